/*
 * learned_int.h - inside of pdp/learned: what a CE reports.
 *
 *	learned.c	reports: rows of requests, their life
 *	learned_judge.c	which of them a snapshot takes, and why not the others
 *	learned_withhold.c	what members had learned that are excluded since
 *	learned_flush.c	from reports to prefixes of the members in force, stored and sent
 */
#ifndef PDP_LEARNED_INT_H
#define PDP_LEARNED_INT_H

#include <uthash.h>

#include "pdp/learned.h"
#include "pdp/model.h"
#include "pdp/store.h"

struct learned_key { /* compared octet by octet: there is no padding */
	uint32_t vpn;
	struct prefix prefix;
	uint8_t zero[2];
};
_Static_assert(sizeof(struct learned_key) == 24, "learned_key has padding");

struct learned_row {
	UT_hash_handle hh;	    /* by key, one each */
	UT_hash_handle hh_instance; /* in reporter.by_instance, if instance is not 0 */
	struct learned_key key;
	uint32_t instance; /* its row's; 0: from the store, not reported since */
	uint32_t member;   /* with a rank */
	uint64_t rank;	   /* not 0: taken, and in the store; the order in which that was */
	uint64_t seq;	   /* the order in which it was reported */
	enum learned_verdict told;
	int64_t since;
};

struct learned_reporter { /* a CE */
	UT_hash_handle hh;
	struct learned_row *rows;
	struct learned_row *by_instance;
	bool dirty;
	char name[];
};

struct learned {
	struct learned_reporter *reporters;
	uint64_t last_rank;
	uint64_t last_seq;
	size_t dirty;		    /* reporters */
	struct store_learned *gone; /* what the store is to forget */
	size_t gones, gone_cap;
};

struct learned_reporter *learned_find(const struct learned *l, const char *ce);
void learned_dirty(struct learned *l, struct learned_reporter *r);

struct learned_judged {
	struct learned_row *row;
	struct model_member *m; /* NULL: LEARNED_NO_VPN */
	enum learned_verdict verdict;
};
/*
 * All rows of a reporter, which is ce (NULL: not of the model), by VPN, and in the order in which
 * they count; malloc()ed.  NULL: memory.
 */
struct learned_judged *learned_judge(
    const struct learned_reporter *r, const struct model_ce *ce, size_t *n);
/*
 * The prefixes of a member with those of its rows that are taken, v[0..n) being all of its rows;
 * malloc()ed, sorted.  NULL: memory, or no numbers.
 */
struct model_prefix *learned_sites(struct ids *ids, const struct model_member *m,
    const struct learned_judged *v, size_t n, size_t *sites);
/* Can a member of v have p, as far as that does not depend on the member? */
bool learned_is_fit(const struct model_vpn *v, const struct prefix *p);
/* Put into c what its excluded members had learned.  0, or -1: memory. */
int learned_withhold(struct ids *ids, struct customer *c);

#endif
