/*
 * learned.h - networks that CEs learned from the routing protocols of their sites
 * (ceVpnSitePrefix).  What a CE reports is remembered until it says otherwise, or is away for too
 * long; what of that the intent allows is stored and becomes a prefix of the member
 * (model_prefix.learned) like one of the intent.  Which that is follows from the snapshot and the
 * reports alone (pdp/learned_judge); of more than a member may have those that were taken first
 * stay.  Reports are staged; learned_flush() makes a batch of them one commit.  Control thread
 * only.
 */
#ifndef PDP_LEARNED_H
#define PDP_LEARNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "pib/pib_err.h"

struct customer;
struct db;
struct ids;
struct learned;
struct learned_batch;
struct model_ce;
struct model_member;
struct pdp_request;
struct registry;
struct store_learned;
struct sync;

#define LEARNED_ROWS_MAX   16384 /* that a CE may report, in all its VPNs */
#define LEARNED_REASON_LEN 256

enum learned_verdict {
	LEARNED_NEW,	     /* not judged yet */
	LEARNED_TAKEN,	     /* the peers have it */
	LEARNED_STATIC,	     /* the intent names it for this site anyway */
	LEARNED_NO_VPN,	     /* the CE is not in that VPN (any more) */
	LEARNED_NOT_MANAGED, /* the VPN's routing is not "managed" (any more) */
	LEARNED_NO_NETWORK,  /* multicast, loopback, link-local */
	LEARNED_OUTSIDE,     /* in none of the member's <learn> */
	LEARNED_SPACE,	     /* all of the VPN's space */
	LEARNED_OUTER,	     /* covers the outer address of a CE */
	LEARNED_FULL,	     /* the member has max-learned already */
	LEARNED_CHURN,	     /* it has announced too many different ones */
	LEARNED_VERDICTS
};

struct learned *learned_new(void);
void learned_free(struct learned *l); /* NULL is allowed */
/* From the store: one that was taken, of member number s->member, which is ce in that VPN.  -1:
 * memory. */
int learned_load(struct learned *l, const char *ce, uint32_t vpn, const struct store_learned *s);

/*
 * A new snapshot gets the prefixes that it takes, before it is compared with another; numbers may
 * be handed out.  -1: memory, or no numbers.
 */
int learned_fill(const struct learned *l, struct ids *ids, struct customer *c);
/* Store what such a snapshot takes and the store lacks, before the snapshot is.  -1 and err. */
int learned_settle(struct db *db, struct customer *c, char *err, size_t err_len);
/* The intent of this customer changed: all its CEs' reports are judged with the next flush. */
void learned_review(struct learned *l, const struct customer *c);

/*
 * The ceVpnSitePrefix rows of a request of ce, read and checked; nothing has changed yet.  NULL and
 * *f: refused.  learned_take() or learned_batch_free() it.
 */
struct learned_batch *learned_read(struct learned *l, struct registry *reg, const char *ce,
    const struct pdp_request *req, struct pib_fault *f);
void learned_take(struct learned_batch *b); /* frees it */
void learned_batch_free(struct learned_batch *b);

/* Anything for learned_flush()? */
bool learned_pending(const struct learned *l);
/*
 * Judge the reports that came, store what is new with an LSN for each VPN in one commit, change the
 * snapshots in force, and send it to whom it concerns.  -1 and err: nothing happened, all stays
 * staged.
 */
int learned_flush(struct db *db, struct sync *sync, char *err, size_t err_len);
/* ce is no CE of ours any more. */
void learned_forget(struct learned *l, const char *ce);

/* For show. */
struct learned_info {
	uint32_t vpn;
	const struct model_member *m; /* NULL: LEARNED_NO_VPN */
	struct prefix prefix;
	enum learned_verdict verdict;
	int64_t since; /* seconds since the epoch, when that was found */
};
/* All that a CE of the model reports, by VPN, those taken first.  False: fn said so, or memory. */
bool learned_each(const struct learned *l, const struct model_ce *ce,
    bool (*fn)(void *arg, const struct learned_info *i), void *arg);
struct learned_counts { /* as they were found by the last flush */
	size_t taken;
	size_t refused;
};
void learned_count(const struct learned *l, const struct model_member *m, struct learned_counts *n);
/* "in use", "configured", "refused" */
const char *learned_state(enum learned_verdict v);
/* Why it is refused, and whose it is if it is another's; "" when it is not. */
const char *learned_reason(const struct model_member *m, const struct prefix *p,
    enum learned_verdict v, char text[LEARNED_REASON_LEN]);

#endif
