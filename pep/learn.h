/*
 * learn.h - what a site is to report of the routes its routing daemons found (framework draft 4.2):
 * a set of prefixes of one VPN, fed with what is in the kernel, and what of it is told to the PDP.
 * No netlink and no clock: time is handed in.
 *
 *	gone	    A prefix whose route is gone is withdrawn at once.  When most routes of a
 *protocol go together, that is taken for a routing daemon's restart: they are held, reported as
 *before, and withdrawn only if they have not come back in time. flapping    Each withdrawal costs
 *LEARN_PENALTY, which halves with time (RFC 2439).  Above LEARN_CUT a prefix is suppressed: not
 *reported until it is below LEARN_REUSE. limit	    No more than so many are reported; who is keeps
 *its place, the others wait in the order in which they came.
 */
#ifndef PEP_LEARN_H
#define PEP_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

#define LEARN_PENALTY 1000  /* of a withdrawal */
#define LEARN_CUT     3000  /* above: suppressed; three withdrawals in a row are not */
#define LEARN_REUSE   750   /* below: not any more */
#define LEARN_CEILING 12000 /* so that nothing is suppressed for more than four half-lives */
/* So many routes of a protocol, or more than half of them, that go at once are a restart. */
#define LEARN_MASS	   100
#define LEARN_PREFIXES_MAX 131072 /* that are looked at; others are over the limit */

struct learn;

struct learn_limits {
	uint32_t max;	      /* reported */
	int64_t hold_ms;      /* 0 = nothing is held */
	int64_t half_life_ms; /* 0 = nothing is suppressed */
};

struct learn_route {
	struct prefix dst;
	uint8_t protocol;
	uint32_t table;
	char interface[16]; /* "" = not known */
	bool theirs;	    /* a peer's prefix: never reported */
};

enum learn_state {
	LEARN_REPORTED,
	LEARN_HELD,	  /* reported, though its route is gone */
	LEARN_SUPPRESSED, /* flaps */
	LEARN_OVER,	  /* the limit */
	LEARN_REFUSED,	  /* by the PDP */
	LEARN_THEIRS,	  /* a peer's: what we told the site, or somebody else's */
};

struct learn_shown {
	const struct learn_route *route; /* as it was seen last */
	enum learn_state state;
	bool present;	   /* in the kernel */
	uint32_t instance; /* of its row; 0 = not reported */
	int64_t until_ms;  /* of held and suppressed ones, 0 = not bounded */
};

struct learn_count {
	uint32_t all;	   /* present, and those that are held */
	uint32_t reported; /* held ones too */
	uint32_t held;
	uint32_t suppressed;
	uint32_t over;
	uint32_t refused;
};

/* instance: where the next number for a row comes from, shared by all VPNs; borrowed. NULL: memory.
 */
struct learn *learn_new(const struct learn_limits *limits, uint32_t *instance);
void learn_free(struct learn *l);
/* Another limit, from the next _end or _tick on; what is reported already stays. */
void learn_limit(struct learn *l, uint32_t max);
bool learn_reports(const struct learn *l, const struct prefix *dst);
/*
 * All routes that are there now, between _begin and _end; of several with one destination the first
 * counts.  _end returns whether what is reported changed.
 */
void learn_begin(struct learn *l);
void learn_see(struct learn *l, const struct learn_route *r);
bool learn_end(struct learn *l, int64_t now_ms);
/* Time passed.  true: what is reported changed. */
bool learn_tick(struct learn *l, int64_t now_ms);
/* When learn_tick() has something to do next; INT64_MAX: never. */
int64_t learn_deadline(const struct learn *l);
/* The PDP refused the row of this number: not reported until its route goes and comes.  false: it
 * is not here. */
bool learn_refuse(struct learn *l, uint32_t instance);
void learn_each_reported(const struct learn *l,
    void (*fn)(void *arg, uint32_t instance, const struct prefix *dst), void *arg);
/* For people: everything but what is only remembered. */
void learn_each(
    const struct learn *l, void (*fn)(void *arg, const struct learn_shown *s), void *arg);
void learn_count(const struct learn *l, struct learn_count *c);
const char *learn_state_name(enum learn_state s); /* "over the limit" */

#endif
