/*
 * departed.h - members that went, until each of their former peers has said that nothing of them is
 * left in its kernel: neither SA, nor policy, nor route.  What a peer says is judged by whoever
 * asks (departed_check()); here it is counted, and the store is told.
 *
 * One that is out is remembered for DEPARTED_KEEP_S; of all together no more than DEPARTED_MAX.
 */
#ifndef PDP_DEPARTED_H
#define PDP_DEPARTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pdp/model.h"

#define DEPARTED_KEEP_S	   (30 * 86400)
#define DEPARTED_MAX	   10000
#define DEPARTED_WAITS_MAX 1000000 /* pairs that wait, over all */

struct departure {
	uint32_t member;
	uint32_t vpn;	/* its number */
	int64_t at;	/* it went, seconds since the epoch */
	uint64_t lsn;	/* of the change by which it went */
	char how[12];	/* "edit", "left", "revoked" */
	uint32_t peers; /* it had, and that can be asked */
	uint32_t mute;	/* ... that cannot: not managed, or revoked since */
	size_t waits;	/* of peers have not confirmed yet */
	uint32_t *wait; /* their memberships */
	int64_t out_at; /* all have; 0: not yet */
};

struct departed;

struct departed *departed_new(void);
void departed_free(struct departed *d);
/*
 * m goes: who are the peers that see it?  beside: pairs of others that go with it.  *out is the
 * caller's, departure_clear() it.  -1: memory, or more pairs than we keep.
 */
int departure_init(const struct departed *d, struct departure *out, const struct model_member *m,
    size_t beside, const char *how, uint64_t lsn, int64_t now);
void departure_clear(struct departure *x);
/* Takes what *x holds, in the place of what there was of its member.  -1: memory. */
int departed_put(struct departed *d, struct departure *x);
/* It is back, or its VPN is gone.  True: there was something. */
bool departed_drop(struct departed *d, uint32_t member);
/* Borrowed. */
const struct departure *departed_find(const struct departed *d, uint32_t member);
void departed_each(
    const struct departed *d, void (*fn)(void *arg, const struct departure *x), void *arg);
size_t departed_count(const struct departed *d);

enum departed_answer {
	DEPARTED_HOLDS, /* something, or nobody knows */
	DEPARTED_CLEAN, /* nothing */
	DEPARTED_MUTE,	/* it will never say */
};

/*
 * Ask for every pair that waits; what is over is forgotten. exists: is this VPN still there?
 */
void departed_check(struct departed *d, int64_t now,
    enum departed_answer (*ask)(void *arg, uint32_t peer, uint64_t lsn),
    bool (*exists)(void *arg, uint32_t vpn), void *arg);

/* What the store should know and does not. gone: forget it.  Counts as saved when fn returns 0. */
void departed_save_each(
    struct departed *d, int (*fn)(void *arg, const struct departure *x, bool gone), void *arg);

#endif
