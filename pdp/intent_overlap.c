/*
 * intent_overlap.c - VPNs of one CE whose addresses overlap.  A member sees every prefix of its
 * VPN, as its own, behind a peer, behind a hub or blocked, or the space around it; so what matters
 * of two VPNs is only whether some CE is in both.  Without a VRF for each, that CE could not
 * tell one's packets from the other's.  A site that is in both VPNs with the same addresses is no
 * such case: there they are told by where they go.  Two VPNs that two CEs have in common, one of
 * which has its tunnels' packets taken by interfaces, are in each other's way whatever they have.
 *
 * A document of before this rule stays in force, with a warning (struct intent_env).
 *
 * What may be learned counts as a site.  VPNs that share a CE are looked at in pairs, each pair
 * once and its smaller list of prefixes in the larger one's: n log n in the prefixes.
 */
#include <stdlib.h>
#include <string.h>

#include "pdp/intent_doc.h"

struct claim { /* a prefix of a VPN */
	struct prefix prefix;
	const struct doc_member *member; /* NULL: the space */
	uint32_t enclosing;		 /* index + 1 of the smallest one around it, 0: none */
};

struct claims { /* of a VPN, sorted: those inside one follow it */
	struct claim *c;
	uint32_t n;
	bool made;
};

struct seat { /* a CE's place in a VPN */
	const struct doc_ce *ce;
	const struct doc_vpn *vpn;
	const struct doc_member *member;
};

struct pair { /* two VPNs that share CEs, which have no VRF for each of them */
	struct {
		uint32_t a, b; /* indexes, a < b */
	} key;
	const struct doc_member *in_a[2], *in_b[2]; /* the first two CEs' memberships */
	bool many;				    /* there is a second one */
	UT_hash_handle hh;
};

struct work {
	struct doc *d;
	uint32_t first; /* the customer's first VPN */
	struct claims *claims;
	struct seat *seat;
	uint32_t seats;
	struct pair *pairs;
};

/* --- who is in several ------------------------------------------------------------------- */

static int seat_order(const void *x, const void *y)
{
	const struct seat *a = x;
	const struct seat *b = y;

	if (a->ce != b->ce)
		return a->ce < b->ce ? -1 : 1;
	return (a->vpn > b->vpn) - (a->vpn < b->vpn);
}

static void find_seats(struct work *w, const struct doc_customer *k)
{
	for (uint32_t i = 0; i < k->vpn.n; i++) {
		const struct doc_vpn *v = &w->d->vpn[k->vpn.at + i];

		for (uint32_t j = 0; j < v->member.n; j++) {
			const struct doc_member *m = &w->d->member[v->member.at + j];
			if (m->ce && (!m->ce->managed || strcmp(m->ce->managed, "no") != 0))
				w->seat[w->seats++] = (struct seat) {m->ce, v, m};
		}
	}
	qsort(w->seat, w->seats, sizeof(*w->seat), seat_order);
}

static bool has_vrf(const struct doc_member *m)
{
	return m->vrf && m->vrf[0];
}

static bool apart(const struct doc_member *a, const struct doc_member *b)
{
	return has_vrf(a) && has_vrf(b) && strcmp(a->vrf, b->vrf) != 0;
}

static void note_pair(struct work *w, const struct seat *a, const struct seat *b)
{
	struct pair *p, key = {.key = {(uint32_t)(a->vpn - w->d->vpn) - w->first,
				   (uint32_t)(b->vpn - w->d->vpn) - w->first}};

	HASH_FIND(hh, w->pairs, &key.key, sizeof(key.key), p);
	if (p && p->many)
		return;
	if (p) {
		p->in_a[1] = a->member;
		p->in_b[1] = b->member;
		p->many = true;
		return;
	}
	if (!(p = calloc(1, sizeof(*p)))) {
		w->d->failed = true;
		return;
	}
	p->key.a = key.key.a;
	p->key.b = key.key.b;
	p->in_a[0] = a->member;
	p->in_b[0] = b->member;
	HASH_ADD(hh, w->pairs, key, sizeof(p->key), p);
	if (!p->hh.tbl) {
		w->d->failed = true;
		free(p);
	}
}

static void find_pairs(struct work *w)
{
	uint32_t end;

	for (uint32_t at = 0; at < w->seats; at = end) {
		for (end = at + 1; end < w->seats && w->seat[end].ce == w->seat[at].ce;)
			end++;
		for (uint32_t i = at; i < end; i++)
			for (uint32_t j = i + 1; j < end; j++)
				if (!apart(w->seat[i].member, w->seat[j].member))
					note_pair(w, &w->seat[i], &w->seat[j]);
	}
}

/* --- what a VPN claims -------------------------------------------------------------------- */

static int claim_order(const void *x, const void *y)
{
	const struct claim *a = x;
	const struct claim *b = y;
	int r = prefix_cmp(&a->prefix, &b->prefix);

	return r ? r : (a->member > b->member) - (a->member < b->member);
}

static void claim(
    struct claims *l, const struct doc_prefix *p, struct doc_range r, const struct doc_member *m)
{
	for (uint32_t i = 0; i < r.n; i++)
		if (p[r.at + i].prefix.addr.family)
			l->c[l->n++] = (struct claim) {
			    .prefix = p[r.at + i].prefix, .member = m && m->main ? m->main : m};
}

static const struct claims *claims_of(struct work *w, uint32_t vpn)
{
	const struct doc_vpn *v = &w->d->vpn[w->first + vpn];
	struct claims *l = &w->claims[vpn];
	size_t n = v->space.n;

	if (l->made)
		return l;
	l->made = true;
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &w->d->member[v->member.at + i];
		n += m->site.n + m->learn.n;
	}
	if (!(l->c = calloc(n + 1, sizeof(*l->c)))) {
		w->d->failed = true;
		return l;
	}
	claim(l, w->d->space, v->space, NULL);
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &w->d->member[v->member.at + i];
		claim(l, w->d->site, m->site, m);
		claim(l, w->d->learn, m->learn, m);
	}
	qsort(l->c, l->n, sizeof(*l->c), claim_order);
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t around = i; /* index + 1 of the one before */
		while (around && !prefix_contains(&l->c[around - 1].prefix, &l->c[i].prefix))
			around = l->c[around - 1].enclosing;
		l->c[i].enclosing = around;
	}
	return l;
}

/* --- a pair --------------------------------------------------------------------------------- */

/* Which of the pair's CEs sees x of the one and y of the other, and not both as its own; -1: none.
 */
static int seen_by(
    const struct work *w, const struct pair *p, const struct claim *x, const struct claim *y)
{
	const struct doc_vpn *a = &w->d->vpn[w->first + p->key.a];
	const struct doc_vpn *b = &w->d->vpn[w->first + p->key.b];
	const struct doc_ce *own = p->in_a[0]->ce;

	if (!x->member && !y->member) /* spaces that only discard may be the same */
		return a->relay || b->relay ? 0 : -1;
	if ((!x->member || x->member->ce == own) && (!y->member || y->member->ce == own))
		return p->many ? 1 : -1;
	return 0;
}

static void say(
    struct work *w, const struct pair *p, int who, const struct claim *x, const struct claim *y)
{
	const struct doc_vpn *a = &w->d->vpn[w->first + p->key.a];
	const struct doc_vpn *b = &w->d->vpn[w->first + p->key.b];
	const struct doc_member *in_a = p->in_a[who];
	const struct doc_member *in_b = p->in_b[who];
	char s[PREFIX_STRLEN], t[PREFIX_STRLEN];

	doc_late_error(w->d, in_b->tag, "vrf", in_a->tag,
	    "member \"%s\": %s of vpn \"%s\" overlaps %s of vpn \"%s\", and the CE is in both%s: "
	    "%s%s",
	    in_b->ce->name, prefix_print(&y->prefix, t), b->name ? b->name : "?",
	    prefix_print(&x->prefix, s), a->name ? a->name : "?", p->many ? ", as are others" : "",
	    in_a->from_text || in_b->from_text
		? "an <extranet> cannot be in a VRF; leave it out, or take those of one CE alone"
		: "write vrf=\"...\" at both members, with the name of another VRF device each",
	    w->d->stored ? " (it is in force as it was; the next apply of it is refused)" : "");
}

/*
 * An interface of kind VTI takes all ESP that comes from its peer's address, also that of another
 * VPN's tunnel.
 */
static bool meet_at_vti(const struct work *w, const struct pair *p)
{
	const struct doc_vpn *a = &w->d->vpn[w->first + p->key.a];
	const struct doc_vpn *b = &w->d->vpn[w->first + p->key.b];

	if (!p->many || (!doc_vti(a) && !doc_vti(b)))
		return false;
	doc_error(w->d, p->in_b[1]->tag, "ce", p->in_a[1]->tag,
	    "\"%s\" and \"%s\" are both in vpn \"%s\" too: two CEs that have a VPN with "
	    "routing=\"dynamic\" in tunnel mode in common can have no other in common",
	    p->in_b[0]->ce->name, p->in_b[1]->ce->name, a->name ? a->name : "?");
	return true;
}

/* The first of l that is not before p. */
static uint32_t from(const struct claims *l, const struct prefix *p)
{
	uint32_t lo = 0;
	uint32_t hi = l->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (prefix_cmp(&l->c[mid].prefix, p) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* x against one list; swapped: it is b's, the list is a's.  true: that was said. */
static bool meets(struct work *w, const struct pair *p, const struct claim *x,
    const struct claims *l, bool swapped)
{
	uint32_t at = from(l, &x->prefix);
	uint32_t around = at;
	uint32_t next = at;

	while (around && !prefix_contains(&l->c[around - 1].prefix, &x->prefix))
		around = l->c[around - 1].enclosing;
	for (;;) {
		const struct claim *y;
		int who;

		if (next < l->n && prefix_contains(&x->prefix, &l->c[next].prefix)) {
			y = &l->c[next++];
		} else if (around) {
			y = &l->c[around - 1];
			around = y->enclosing;
		} else {
			return false;
		}
		who = swapped ? seen_by(w, p, y, x) : seen_by(w, p, x, y);
		if (who < 0)
			continue;
		say(w, p, who, swapped ? y : x, swapped ? x : y);
		return true;
	}
}

static void check_pair(struct work *w, const struct pair *p)
{
	const struct claims *a = claims_of(w, p->key.a);
	const struct claims *b = claims_of(w, p->key.b);
	bool swapped = b->n < a->n;
	const struct claims *few = swapped ? b : a;

	if (meet_at_vti(w, p))
		return;
	for (uint32_t i = 0; i < few->n; i++)
		if (meets(w, p, &few->c[i], swapped ? a : b, swapped))
			return;
}

/* --- a customer ------------------------------------------------------------------------------- */

static int pair_order(const struct pair *x, const struct pair *y)
{
	if (x->key.a != y->key.a)
		return x->key.a < y->key.a ? -1 : 1;
	return (x->key.b > y->key.b) - (x->key.b < y->key.b);
}

static void check_customer(struct doc *d, const struct doc_customer *k)
{
	struct work w = {.d = d, .first = k->vpn.at};
	struct pair *p, *next;
	size_t members = 0;

	for (uint32_t i = 0; i < k->vpn.n; i++)
		members += d->vpn[k->vpn.at + i].member.n;
	w.claims = calloc(k->vpn.n + 1U, sizeof(*w.claims));
	w.seat = calloc(members + 1, sizeof(*w.seat));
	if (w.claims && w.seat) {
		find_seats(&w, k);
		find_pairs(&w);
	} else {
		d->failed = true;
	}
	HASH_SORT(w.pairs, pair_order);
	HASH_ITER (hh, w.pairs, p, next) {
		if (!d->failed)
			check_pair(&w, p);
		HASH_DEL(w.pairs, p);
		free(p);
	}
	for (uint32_t i = 0; w.claims && i < k->vpn.n; i++)
		free(w.claims[i].c);
	free(w.claims);
	free(w.seat);
}

void intent_check_overlap(struct doc *d)
{
	for (uint32_t i = 0; i < d->vec[DOC_CUSTOMER].n && !d->failed; i++)
		if (d->customer[i].vpn.n > 1)
			check_customer(d, &d->customer[i]);
}
