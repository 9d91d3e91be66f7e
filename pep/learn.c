/*
 * learn.c - see learn.h.  Entries are in the order in which their prefixes came, which is the order
 * of the queue for places below the limit.  One that is gone is remembered while its penalty
 * counts.
 */
#include "pep/learn.h"

#include <stdlib.h>
#include <uthash.h>

#define PROTOCOLS 256

struct entry {
	struct prefix key;
	struct learn_route route;
	bool present;
	bool suppressed;
	bool refused;
	bool reported;
	uint32_t instance;  /* of its row, also while it is not reported; 0 = never was */
	unsigned seen;	    /* in this round */
	int64_t held_until; /* 0 = not held */
	int64_t penalty;    /* at penalty_at */
	int64_t penalty_at;
	UT_hash_handle hh;
};

struct learn {
	struct learn_limits limits;
	uint32_t *instance;
	struct entry *entries;
	unsigned round;
	uint32_t reported;
	uint32_t unseen;      /* present, but there was no room to look at them */
	uint32_t unseen_next; /* so far in this round */
	int64_t deadline;
};

struct learn *learn_new(const struct learn_limits *limits, uint32_t *instance)
{
	struct learn *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->limits = *limits;
	l->instance = instance;
	l->deadline = INT64_MAX;
	return l;
}

static void forget(struct learn *l, struct entry *e)
{
	HASH_DEL(l->entries, e);
	free(e);
}

void learn_free(struct learn *l)
{
	struct entry *e;
	struct entry *next;

	if (l == NULL)
		return;
	HASH_ITER (hh, l->entries, e, next)
		forget(l, e);
	free(l);
}

void learn_limit(struct learn *l, uint32_t max)
{
	l->limits.max = max;
}

bool learn_reports(const struct learn *l, const struct prefix *dst)
{
	const struct entry *e;

	HASH_FIND(hh, l->entries, dst, sizeof(*dst), e);
	return e != NULL && e->reported;
}

/* ------------------------------------------------------------------ penalty */

/* Halved in each half-life; in between along a straight line. */
static int64_t penalty(const struct learn *l, const struct entry *e, int64_t now)
{
	int64_t half = l->limits.half_life_ms;
	int64_t age = now - e->penalty_at;
	int64_t p = e->penalty;

	if (half == 0 || p == 0)
		return 0;
	if (age < 0)
		age = 0;
	if (age / half >= 32)
		return 0;
	p >>= age / half;
	return p - p * (age % half) / (2 * half);
}

/* When it will be at most level. */
static int64_t penalty_is(const struct learn *l, const struct entry *e, int64_t level)
{
	int64_t half = l->limits.half_life_ms;
	int64_t at = e->penalty_at;
	int64_t p = e->penalty;

	if (half == 0)
		return at;
	for (; p / 2 > level; p /= 2)
		at += half;
	if (p > level)
		at += (2 * half * (p - level) + p - 1) / p;
	return at;
}

static void fine(struct learn *l, struct entry *e, int64_t now)
{
	if (l->limits.half_life_ms == 0)
		return;
	e->penalty = penalty(l, e, now) + LEARN_PENALTY;
	if (e->penalty > LEARN_CEILING)
		e->penalty = LEARN_CEILING;
	e->penalty_at = now;
	if (e->penalty > LEARN_CUT)
		e->suppressed = true;
}

/* ------------------------------------------------------------------ what is there */

void learn_begin(struct learn *l)
{
	l->round++;
	l->unseen_next = 0;
}

void learn_see(struct learn *l, const struct learn_route *r)
{
	struct entry *e;

	HASH_FIND(hh, l->entries, &r->dst, sizeof(r->dst), e);
	if (e != NULL && e->seen == l->round)
		return;
	if (e == NULL) {
		if (HASH_COUNT(l->entries) >= LEARN_PREFIXES_MAX ||
		    (e = calloc(1, sizeof(*e))) == NULL) {
			l->unseen_next++;
			return;
		}
		e->key = r->dst;
		HASH_ADD(hh, l->entries, key, sizeof(e->key), e);
	}
	e->seen = l->round;
	e->route = *r;
}

/* ------------------------------------------------------------------ what becomes of it */

static bool wanted(const struct entry *e)
{
	return (e->present || e->held_until != 0) && !e->suppressed && !e->refused &&
	       !e->route.theirs;
}

static void soonest(struct learn *l, int64_t at)
{
	if (at < l->deadline)
		l->deadline = at;
}

/* Everything that follows from what is there and what time it is; did the report change? */
static bool judge(struct learn *l, int64_t now)
{
	bool changed = false;
	struct entry *e;
	struct entry *next;

	l->deadline = INT64_MAX;
	HASH_ITER (hh, l->entries, e, next) {
		if (e->held_until != 0 && e->held_until <= now) {
			e->held_until = 0;
			fine(l, e, now);
		}
		if (e->suppressed && penalty(l, e, now) <= LEARN_REUSE)
			e->suppressed = false;
		if (e->reported && !wanted(e)) {
			e->reported = false;
			l->reported--;
			changed = true;
		}
		if (e->held_until != 0)
			soonest(l, e->held_until);
		if (e->suppressed)
			soonest(l, penalty_is(l, e, LEARN_REUSE));
		if (e->present || e->held_until != 0 || e->suppressed)
			continue;
		if (penalty(l, e, now) <= LEARN_REUSE / 2)
			forget(l, e);
		else
			soonest(l, penalty_is(l, e, LEARN_REUSE / 2));
	}
	for (e = l->entries; e != NULL && l->reported < l->limits.max; e = e->hh.next) {
		if (e->reported || !wanted(e))
			continue;
		if (e->instance == 0)
			e->instance = ++*l->instance;
		e->reported = true;
		l->reported++;
		changed = true;
	}
	return changed;
}

struct tally { /* of a protocol */
	uint32_t before;
	uint32_t gone;
};

static bool restarted(const struct tally *t)
{
	return t->gone >= LEARN_MASS || t->gone > t->before / 2;
}

bool learn_end(struct learn *l, int64_t now)
{
	struct tally tally[PROTOCOLS] = {{0}};
	struct entry *e;

	l->unseen = l->unseen_next;
	for (e = l->entries; e != NULL; e = e->hh.next) {
		struct tally *t = &tally[e->route.protocol];

		t->before += e->present;
		t->gone += e->present && e->seen != l->round;
	}
	for (e = l->entries; e != NULL; e = e->hh.next) {
		if (e->seen == l->round) {
			e->present = true;
			e->held_until = 0;
			continue;
		}
		if (!e->present)
			continue;
		e->present = false;
		e->refused = false;
		if (e->reported && l->limits.hold_ms > 0 && restarted(&tally[e->route.protocol]))
			e->held_until = now + l->limits.hold_ms;
		else if (e->reported || e->suppressed)
			fine(l, e, now);
	}
	return judge(l, now);
}

bool learn_tick(struct learn *l, int64_t now)
{
	return now >= l->deadline && judge(l, now);
}

int64_t learn_deadline(const struct learn *l)
{
	return l->deadline;
}

bool learn_refuse(struct learn *l, uint32_t instance)
{
	for (struct entry *e = l->entries; e != NULL; e = e->hh.next) {
		if (!e->reported || e->instance != instance)
			continue;
		e->refused = true;
		e->reported = false;
		e->held_until = 0;
		l->reported--;
		return true;
	}
	return false;
}

/* ------------------------------------------------------------------ looking */

void learn_each_reported(const struct learn *l,
    void (*fn)(void *arg, uint32_t instance, const struct prefix *dst), void *arg)
{
	for (const struct entry *e = l->entries; e != NULL; e = e->hh.next)
		if (e->reported)
			fn(arg, e->instance, &e->key);
}

/* false: it is only remembered. */
static bool state_of(const struct entry *e, enum learn_state *s)
{
	if (e->route.theirs)
		*s = LEARN_THEIRS;
	else if (e->suppressed)
		*s = LEARN_SUPPRESSED;
	else if (e->refused)
		*s = LEARN_REFUSED;
	else if (e->reported)
		*s = e->held_until != 0 ? LEARN_HELD : LEARN_REPORTED;
	else
		*s = LEARN_OVER;
	return e->present || e->held_until != 0 || e->suppressed;
}

void learn_each(
    const struct learn *l, void (*fn)(void *arg, const struct learn_shown *s), void *arg)
{
	for (const struct entry *e = l->entries; e != NULL; e = e->hh.next) {
		struct learn_shown s = {.route = &e->route,
		    .present = e->present,
		    .instance = e->reported ? e->instance : 0};

		if (!state_of(e, &s.state))
			continue;
		if (s.state == LEARN_HELD)
			s.until_ms = e->held_until;
		else if (s.state == LEARN_SUPPRESSED)
			s.until_ms = penalty_is(l, e, LEARN_REUSE);
		fn(arg, &s);
	}
}

void learn_count(const struct learn *l, struct learn_count *c)
{
	enum learn_state s;

	*c = (struct learn_count) {.all = l->unseen, .over = l->unseen, .reported = l->reported};
	for (const struct entry *e = l->entries; e != NULL; e = e->hh.next) {
		c->all += e->present || e->held_until != 0;
		if (!state_of(e, &s))
			continue;
		c->held += s == LEARN_HELD;
		c->suppressed += s == LEARN_SUPPRESSED;
		c->over += s == LEARN_OVER;
		c->refused += s == LEARN_REFUSED;
	}
}

const char *learn_state_name(enum learn_state s)
{
	static const char *const name[] = {
	    [LEARN_REPORTED] = "reported",
	    [LEARN_HELD] = "held",
	    [LEARN_SUPPRESSED] = "suppressed",
	    [LEARN_OVER] = "over the limit",
	    [LEARN_REFUSED] = "refused",
	    [LEARN_THEIRS] = "a peer's",
	};
	return name[s];
}
