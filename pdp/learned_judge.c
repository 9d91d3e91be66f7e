/*
 * learned_judge.c - which of the networks that a CE reports its members get, and why not the
 * others.  A pure function of a snapshot, the reports and their order, so that the same comes out
 * when a document is checked, when it is applied, and after a restart.  That no network is two
 * members' follows from the intent: ranges of <learn> overlap nothing of others
 * (pdp/intent_check), and only what is inside one is taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/ids.h"
#include "pdp/learned_int.h"

#define NUMBERS_MIN    4096 /* prefixes of a member that may have been and gone ... */
#define NUMBERS_FACTOR 16   /* ... or so many times max-learned */

/* --------------------------------------------------------------- one prefix */

/* Can hosts of a site have such addresses? */
static bool is_network(const struct prefix *p)
{
	static const char *const never[] = {
	    "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::1/128", "fe80::/10", "ff00::/8"};
	struct prefix n;

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (prefix_parse(&n, never[i]) == PREFIX_OK && prefix_contains(&n, p))
			return false;
	return true;
}

static bool in_range(const struct model_member *m, const struct prefix *p)
{
	for (size_t i = 0; i < m->learns; i++)
		if (prefix_contains(&m->learn[i], p))
			return true;
	return false;
}

static int prefix_order(const void *a, const void *b)
{
	return prefix_cmp(
	    &((const struct model_prefix *)a)->prefix, &((const struct model_prefix *)b)->prefix);
}

static bool is_static(const struct model_member *m, const struct prefix *p)
{
	const struct model_prefix key = {.prefix = *p}, *site = NULL;

	if (m->sites > 0)
		site = bsearch(&key, m->site, m->sites, sizeof(key), prefix_order);
	return site != NULL && !site->learned;
}

static bool is_space(const struct model_vpn *v, const struct prefix *p)
{
	for (size_t i = 0; i < v->spaces; i++)
		if (prefix_contains(p, &v->space[i].prefix))
			return true;
	return false;
}

/* The CE whose packets to others a policy for p would take for the VPN's. */
static const struct model_ce *covered(const struct customer *c, const struct prefix *p)
{
	for (size_t i = 0; i < c->ces; i++)
		if (prefix_has(p, &c->ce[i].address) ||
		    (c->ce[i].nat &&
			(prefix_has(p, &c->ce[i].seen) || prefix_has(p, &c->ce[i].own))))
			return &c->ce[i];
	return NULL;
}

bool learned_is_fit(const struct model_vpn *v, const struct prefix *p)
{
	return is_network(p) && !is_space(v, p) && covered(v->customer, p) == NULL;
}

static enum learned_verdict judge_alone(const struct model_member *m, const struct prefix *p)
{
	if (m == NULL)
		return LEARNED_NO_VPN;
	if (is_static(m, p))
		return LEARNED_STATIC;
	if (m->vpn->routing != ROUTING_MANAGED)
		return LEARNED_NOT_MANAGED;
	if (!is_network(p))
		return LEARNED_NO_NETWORK;
	if (!in_range(m, p))
		return LEARNED_OUTSIDE;
	if (is_space(m->vpn, p))
		return LEARNED_SPACE;
	if (covered(m->ce->customer, p) != NULL)
		return LEARNED_OUTER;
	return LEARNED_TAKEN;
}

/* ------------------------------------------------------------ all of a CE's */

/* By VPN; those taken before, in that order, then the others as they came. */
static int order(const void *a, const void *b)
{
	const struct learned_row *x = ((const struct learned_judged *)a)->row;
	const struct learned_row *y = ((const struct learned_judged *)b)->row;
	uint64_t i = x->rank != 0 ? x->rank : UINT64_MAX;
	uint64_t k = y->rank != 0 ? y->rank : UINT64_MAX;

	if (x->key.vpn != y->key.vpn)
		return x->key.vpn < y->key.vpn ? -1 : 1;
	if (i != k)
		return i < k ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

struct spent {
	uint32_t member;
	size_t count;
};

static void spent_one(void *arg, const struct id_entry *e)
{
	struct spent *s = arg;

	s->count += e->kind == ID_PREFIX && e->parent == s->member;
}

/* How many numbers of prefixes that it has no more may m still have? */
static size_t numbers_left(const struct model_member *m)
{
	size_t max = (size_t)m->max_learned * NUMBERS_FACTOR;
	struct spent s = {.member = m->id->number};

	if (max < NUMBERS_MIN)
		max = NUMBERS_MIN;
	ids_dead_each(m->vpn->customer->ids, m->vpn->id->number, 0, spent_one, &s);
	return s.count < max ? max - s.count : 0;
}

/* v[0..n) are one member's. */
static void judge_group(struct learned_judged *v, size_t n)
{
	const struct model_member *m = v[0].m;
	size_t left = SIZE_MAX, taken = 0;

	for (size_t i = 0; i < n; i++) {
		v[i].verdict = judge_alone(m, &v[i].row->key.prefix);
		if (v[i].verdict != LEARNED_TAKEN)
			continue;
		if (taken >= m->max_learned) {
			v[i].verdict = LEARNED_FULL;
			continue;
		}
		if (v[i].row->rank == 0 && left == SIZE_MAX)
			left = numbers_left(m);
		if (v[i].row->rank == 0 && left == 0) {
			v[i].verdict = LEARNED_CHURN;
			continue;
		}
		left -= v[i].row->rank == 0;
		taken++;
	}
}

static struct model_member *member_of(const struct model_ce *ce, uint32_t vpn)
{
	for (size_t i = 0; ce != NULL && !ce->foreign && i < ce->members; i++)
		if (ce->member[i]->vpn->id->number == vpn)
			return ce->member[i];
	return NULL;
}

struct learned_judged *learned_judge(
    const struct learned_reporter *r, const struct model_ce *ce, size_t *n)
{
	struct learned_judged *v = calloc(HASH_COUNT(r->rows) + 1, sizeof(*v));
	struct learned_row *row, *next;
	size_t k;

	*n = 0;
	if (v == NULL)
		return NULL;
	HASH_ITER (hh, r->rows, row, next)
		v[(*n)++].row = row;
	qsort(v, *n, sizeof(*v), order);
	for (size_t i = 0; i < *n; i = k) {
		v[i].m = member_of(ce, v[i].row->key.vpn);
		for (k = i + 1; k < *n && v[k].row->key.vpn == v[i].row->key.vpn; k++)
			v[k].m = v[i].m;
		judge_group(&v[i], k - i);
	}
	return v;
}

/* ------------------------------------------------------------ into a model */

/* The number that this prefix has, or would have, in the intent: going over changes no row. */
static struct id_entry *number_of(
    struct ids *ids, const struct model_member *m, const struct prefix *p)
{
	char prefix[PREFIX_STRLEN], key[PREFIX_STRLEN + 24];
	uint32_t vpn = m->vpn->id->number;

	snprintf(key, sizeof(key), "%u/%u/%s", vpn, m->id->number, prefix_print(p, prefix));
	return ids_get(ids, ID_PREFIX, key, m->id->number, vpn);
}

struct model_prefix *learned_sites(struct ids *ids, const struct model_member *m,
    const struct learned_judged *v, size_t n, size_t *sites)
{
	struct model_prefix *out = calloc(m->sites + n + 1, sizeof(*out));

	*sites = 0;
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < m->sites; i++)
		if (!m->site[i].learned)
			out[(*sites)++] = m->site[i];
	for (size_t i = 0; i < n; i++) {
		struct model_prefix *p = &out[*sites];

		if (v[i].verdict != LEARNED_TAKEN)
			continue;
		*p = (struct model_prefix) {.prefix = v[i].row->key.prefix, .learned = true};
		p->id = number_of(ids, m, &p->prefix);
		if (p->id == NULL) {
			free(out);
			return NULL;
		}
		++*sites;
	}
	qsort(out, *sites, sizeof(*out), prefix_order);
	return out;
}

static int fill_ce(struct ids *ids, const struct learned_reporter *r, struct model_ce *ce)
{
	size_t n, k, sites;
	struct learned_judged *v = learned_judge(r, ce, &n);
	struct model_prefix *site;
	int rc = v != NULL ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < n; i = k) {
		struct model_member *m = v[i].m;

		for (k = i + 1; k < n && v[k].row->key.vpn == v[i].row->key.vpn; k++)
			;
		if (m == NULL)
			continue;
		site = learned_sites(ids, m, &v[i], k - i, &sites);
		if (site == NULL) {
			rc = -1;
			break;
		}
		free(m->site);
		m->site = site;
		m->sites = sites;
	}
	free(v);
	return rc;
}

int learned_fill(const struct learned *l, struct ids *ids, struct customer *c)
{
	for (size_t i = 0; i < c->ces; i++) {
		const struct learned_reporter *r = learned_find(l, c->ce[i].name);

		if (r != NULL && fill_ce(ids, r, &c->ce[i]) != 0)
			return -1;
	}
	return learned_withhold(ids, c);
}

/* ------------------------------------------------------------------ in words */

const char *learned_state(enum learned_verdict v)
{
	return v == LEARNED_TAKEN ? "in use" : v == LEARNED_STATIC ? "configured" : "refused";
}

/* Someone else's of which p is, has, or is part: so that one sees what happened. */
static const struct model_member *rightful(
    const struct model_member *m, const struct prefix *p, struct prefix *theirs)
{
	for (size_t i = 0; i < m->vpn->members; i++) {
		const struct model_member *o = &m->vpn->member[i];

		for (size_t k = 0; o != m && k < o->sites; k++)
			if (prefix_overlaps(&o->site[k].prefix, p)) {
				*theirs = o->site[k].prefix;
				return o;
			}
		for (size_t k = 0; o != m && k < o->learns; k++)
			if (prefix_overlaps(&o->learn[k], p)) {
				*theirs = o->learn[k];
				return o;
			}
	}
	return NULL;
}

static void say_outside(const struct model_member *m, const struct prefix *p, char *text)
{
	char theirs[PREFIX_STRLEN];
	struct prefix other;
	const struct model_member *o = rightful(m, p, &other);

	if (o != NULL)
		snprintf(text, LEARNED_REASON_LEN,
		    "not in a <learn> of this member: it overlaps "
		    "%s of %s",
		    prefix_print(&other, theirs), o->ce->name);
	else if (m->learns == 0)
		snprintf(text, LEARNED_REASON_LEN, "the member has no <learn>");
	else
		snprintf(text, LEARNED_REASON_LEN, "not in a <learn> of this member");
}

static void say_outer(const struct model_member *m, const struct prefix *p, char *text)
{
	const struct model_ce *ce = covered(m->ce->customer, p);
	char address[ADDR_STRLEN];

	if (ce != NULL)
		snprintf(text, LEARNED_REASON_LEN, "it covers %s, the outer address of %s",
		    addr_print(model_peer_addr(ce), address), ce->name);
}

const char *learned_reason(const struct model_member *m, const struct prefix *p,
    enum learned_verdict v, char text[LEARNED_REASON_LEN])
{
	static const char *const fixed[LEARNED_VERDICTS] = {
	    [LEARNED_STATIC] = "the intent names it for this site",
	    [LEARNED_NO_VPN] = "the CE is not in this VPN",
	    [LEARNED_NOT_MANAGED] = "the VPN's routing is not \"managed\"",
	    [LEARNED_NO_NETWORK] = "not a network of hosts",
	    [LEARNED_SPACE] = "it is the VPN's whole space",
	    [LEARNED_CHURN] = "the site has announced too many different networks",
	};

	snprintf(text, LEARNED_REASON_LEN, "%s", fixed[v] != NULL ? fixed[v] : "");
	if (v == LEARNED_OUTSIDE)
		say_outside(m, p, text);
	else if (v == LEARNED_OUTER)
		say_outer(m, p, text);
	else if (v == LEARNED_FULL)
		snprintf(text, LEARNED_REASON_LEN, "the member has max-learned=\"%u\" already",
		    m->max_learned);
	return text;
}

/* ------------------------------------------------------------------ for show */

bool learned_each(const struct learned *l, const struct model_ce *ce,
    bool (*fn)(void *arg, const struct learned_info *i), void *arg)
{
	const struct learned_reporter *r = learned_find(l, ce->name);
	struct learned_judged *v;
	bool go_on = true;
	size_t n;

	if (r == NULL)
		return true;
	v = learned_judge(r, ce, &n);
	for (size_t i = 0; v != NULL && go_on && i < n; i++) {
		const struct learned_info info = {
		    .vpn = v[i].row->key.vpn,
		    .m = v[i].m,
		    .prefix = v[i].row->key.prefix,
		    .verdict = v[i].verdict,
		    .since = v[i].row->since,
		};

		go_on = fn(arg, &info);
	}
	go_on = go_on && v != NULL;
	free(v);
	return go_on;
}

void learned_count(const struct learned *l, const struct model_member *m, struct learned_counts *n)
{
	const struct learned_reporter *r = learned_find(l, m->ce->name);
	const struct learned_row *row = r != NULL ? r->rows : NULL;

	*n = (struct learned_counts) {0};
	for (; row != NULL; row = row->hh.next) {
		if (row->key.vpn != m->vpn->id->number || row->told == LEARNED_NEW)
			continue;
		n->taken += row->told == LEARNED_TAKEN;
		n->refused += row->told != LEARNED_TAKEN && row->told != LEARNED_STATIC;
	}
}
