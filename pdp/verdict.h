/*
 * verdict.h - what was decided about CEs beside the intent, and outlives documents: who left a VPN
 * by its own wish, who is revoked, whose wish to leave was denied.  The first two are left out of
 * every snapshot (struct intent_env's excluded()).  In memory, backed by the store.
 */
#ifndef PDP_VERDICT_H
#define PDP_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

enum verdict_kind { VERDICT_LEFT = 1, VERDICT_REVOKED = 2, VERDICT_DENIED = 3 };

#define VERDICT_REASON_MAX 255

struct verdict {
	enum verdict_kind kind;
	const char *ce;
	const char *vpn; /* "customer/vpn"; "" when it is about the CE as a whole */
	int64_t at;	 /* seconds since the epoch */
	const char *who;
	const char *reason;
};

struct verdicts;

struct verdicts *verdicts_new(void);
void verdicts_free(struct verdicts *v);
/* A copy of *x, in the place of the one with its kind, CE and VPN.  -1: memory. */
int verdicts_put(struct verdicts *v, const struct verdict *x);
/*
 * Out of the set, for a change that may not come to be; NULL: there is none.  The caller's: either
 * verdicts_put_back(), in the place of what is there by then, or verdict_free().  NULL is nothing.
 */
struct held_verdict *verdicts_set_aside(
    struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn);
void verdicts_put_back(struct verdicts *v, struct held_verdict *h);
void verdict_free(struct held_verdict *h);
/* Nothing if there is none. */
void verdicts_drop(struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn);
/* Borrowed until it is put or dropped; NULL: there is none. */
const struct verdict *verdicts_find(
    const struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn);
/* In the order in which they were put; fn may drop the one it is told of. */
void verdicts_each(struct verdicts *v, void (*fn)(void *arg, const struct verdict *x), void *arg);
/* For struct intent_env; arg is the struct verdicts. */
bool verdicts_excluded(void *arg, const char *customer, const char *vpn, const char *ce);

#endif
