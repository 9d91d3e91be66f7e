/*
 * delta.c - from one snapshot of a customer to the next.
 *
 * Each VPN that differs gets a work area: its members of before and after side by side, each marked
 * if others see it differently ("touched") or if it sees others differently ("sight").  What a
 * receiver gets is then a sum of pieces - rows of one member going from one view to another, of the
 * space, of the proposals, of its own - and a piece is encoded once, whoever gets it.
 *
 * Two passes over the receivers: the first makes all pieces and finds the longest list, so that the
 * second, which calls out, cannot fail.
 */
#include "pdp/delta.h"

#include <stdlib.h>
#include <string.h>

#include "pdp/delta_int.h"
#include "pib/gen/ce_vpn_pib.h"

struct piece { /* rows of one thing going from one state to another */
	struct piece *next;
	unsigned from;
	unsigned to;
	size_t removed;
	size_t installed;
	struct delta_list list;
};

struct side { /* a member, before and after */
	struct model_member *b;
	struct model_member *a;
	bool touched;
	bool sight;
	bool internet;	     /* it reaches what is outside another way, or is there for others */
	struct piece *piece; /* as others see it */
	struct piece *own;   /* what only it gets */
};

struct vpn_work {
	struct vpn_work *next;
	struct model_vpn *b;
	struct model_vpn *a;
	struct side *side;
	size_t sides;
	struct side **of_b; /* by index in b->member */
	struct side **of_a;
	struct side **touched;
	size_t touches;
	bool all_pairs; /* any member may see any other differently */
	bool changed;	/* something but membership */
	struct piece *space;
	struct piece *withheld;
	struct piece *proposals;
};

struct change {
	struct customer *before;
	struct customer *after;
	const struct delta_keys *keys;
	struct vpn_work *vpn;
	struct vpn_work **of_b; /* by index in before->vpn; NULL: the VPN is as it was */
	struct vpn_work **of_a;
	bool dry;
	bool failed;
	struct delta_counts counts;
};

/* What one receiver gets. */
struct total {
	struct delta_list *list; /* NULL: only counted */
	size_t chunks;
	size_t removed;
	size_t installed;
};

/* --- pieces --------------------------------------------------------------------------------- */

static void pieces_free(struct piece *p)
{
	while (p) {
		struct piece *next = p->next;
		delta_list_clear(&p->list);
		free(p);
		p = next;
	}
}

static struct piece *piece_find(struct piece *p, unsigned from, unsigned to)
{
	while (p && (p->from != from || p->to != to))
		p = p->next;
	return p;
}

static struct piece *piece_new(struct change *c, struct piece **head, unsigned from, unsigned to)
{
	struct piece *p = calloc(1, sizeof(*p));
	if (!p) {
		c->failed = true;
		return NULL;
	}
	p->from = from;
	p->to = to;
	p->next = *head;
	*head = p;
	return p;
}

static void piece_take(struct change *c, struct piece *p, struct rows *r)
{
	p->removed += r->removed;
	p->installed += r->installed;
	rows_take(r, &p->list);
	c->failed |= p->list.failed;
}

static void emit(struct total *t, const struct piece *p)
{
	if (!p)
		return;
	t->chunks += p->list.count;
	t->removed += p->removed;
	t->installed += p->installed;
	for (size_t i = 0; t->list && i < p->list.count; i++)
		delta_list_put(t->list, p->list.chunk[i], i < p->list.removes);
}

/* --- encoded rows kept by the snapshot ------------------------------------------------------ */

size_t delta_member_count(const struct model_member *m, enum view v)
{
	return (v == VIEW_PEER) + m->sites;
}

struct cops_chunk *delta_member_rows(struct model_member *m, enum view v, bool *failed)
{
	struct rows_at at = rows_site_at(m, v);
	struct delta_list l;
	struct rows r;

	if (m->chunk[v] || !delta_member_count(m, v))
		return m->chunk[v];
	delta_list_init(&l);
	rows_init(&r, false);
	if (v == VIEW_PEER)
		rows_put_peer(&r, m);
	for (size_t i = 0; i < m->sites; i++)
		rows_put_prefix(&r, &m->site[i], m->vpn->id->number, &at);
	rows_take(&r, &l);
	if (l.count)
		m->chunk[v] = cops_chunk_ref(l.chunk[0]);
	*failed |= !m->chunk[v];
	delta_list_clear(&l);
	return m->chunk[v];
}

/* --- what others see of a member ------------------------------------------------------------ */

/* VIEW_NONE also where one of the two is not there. */
static enum view state(const struct model_member *r, const struct model_member *m)
{
	const struct model_member *via;
	return r && m ? model_view(r, m, &via) : VIEW_NONE;
}

static void add_keys(struct change *c, struct piece *p, const struct side *s)
{
	const struct delta_keys *k = c->keys;

	if (!k || c->dry)
		return;
	if (p->from == VIEW_PEER && p->to != VIEW_PEER && k->gone)
		k->gone(k->arg, s->b->id->number, &p->list);
	if (p->from != VIEW_PEER && p->to == VIEW_PEER && k->keys)
		k->keys(k->arg, s->a, 0, &p->list);
	c->failed |= p->list.failed;
}

/* Rows of a member that was not seen: all of them, shared with delta_full(). */
static void appear(struct change *c, struct piece *p, struct side *s)
{
	p->installed += delta_member_count(s->a, p->to);
	if (c->dry)
		return;
	struct cops_chunk *chunk = delta_member_rows(s->a, p->to, &c->failed);
	if (chunk)
		delta_list_put(&p->list, chunk, false);
}

static void transform(struct change *c, struct piece *p, const struct side *s)
{
	struct rows_set none = {0};
	struct rows_set before = s->b ? delta_sites(s->b, p->from) : none;
	struct rows_set after = s->a ? delta_sites(s->a, p->to) : none;
	const struct model_member *any = s->a ? s->a : s->b;
	struct rows r;

	rows_init(&r, c->dry);
	if (p->from == VIEW_PEER && p->to != VIEW_PEER)
		rows_remove(&r, &pib_ce_vpn_peer_class, any->id->number);
	if (p->to == VIEW_PEER && (p->from != VIEW_PEER || rows_peer_differs(s->b, s->a)))
		rows_put_peer(&r, s->a);
	rows_diff_prefixes(&r, &before, &after, any->vpn->id->number);
	piece_take(c, p, &r);
}

static const struct piece *member_piece(
    struct change *c, struct side *s, enum view from, enum view to)
{
	struct piece *p = piece_find(s->piece, from, to);
	if (p || !(p = piece_new(c, &s->piece, from, to)))
		return p;
	if (from == VIEW_NONE)
		appear(c, p, s);
	else
		transform(c, p, s);
	add_keys(c, p, s);
	return p;
}

/* What receiver r gets of m. */
static void pair(struct change *c, const struct vpn_work *w, const struct side *r, struct side *m,
    struct total *t)
{
	enum view from = state(r->b, m->b);
	enum view to = state(r->a, m->a);

	if (from == VIEW_SELF || to == VIEW_SELF || (from == VIEW_NONE && to == VIEW_NONE))
		return;
	if (from == to && !m->touched && !w->all_pairs)
		return;
	emit(t, member_piece(c, m, from, to));
}

/* --- what only the member itself gets ------------------------------------------------------- */

static bool internet_differs(const struct model_member *b, const struct model_member *a)
{
	struct rows_set x = delta_internet(b);
	struct rows_set y = delta_internet(a);

	return x.at.how != y.at.how || x.at.peer != y.at.peer ||
	       delta_prefixes_differ(x.p, x.n, y.p, y.n);
}

static bool own_differs(const struct side *s)
{
	return !s->b || !s->a || rows_vpn_differs(s->b, s->a) || s->internet ||
	       delta_prefixes_differ(s->b->site, s->b->sites, s->a->site, s->a->sites);
}

static const struct piece *own_piece(struct change *c, struct side *s)
{
	struct rows_set none = {0};
	struct rows_set before = s->b ? delta_sites(s->b, VIEW_SELF) : none;
	struct rows_set after = s->a ? delta_sites(s->a, VIEW_SELF) : none;
	struct rows_set was = s->b ? delta_internet(s->b) : none;
	struct rows_set is = s->a ? delta_internet(s->a) : none;
	const struct model_member *any = s->a ? s->a : s->b;
	struct rows r;

	if (s->own || !own_differs(s) || !piece_new(c, &s->own, 0, 0))
		return s->own;
	rows_init(&r, c->dry);
	if (!s->a)
		rows_remove(&r, &pib_ce_vpn_class, any->vpn->id->number);
	else if (!s->b || rows_vpn_differs(s->b, s->a))
		rows_put_vpn(&r, s->a, c->keys);
	rows_diff_prefixes(&r, &before, &after, any->vpn->id->number);
	rows_diff_prefixes(&r, &was, &is, any->vpn->id->number);
	piece_take(c, s->own, &r);
	return s->own;
}

/* A number for each way the space may appear: a piece's from and to. */
static unsigned space_state(const struct model_member *r)
{
	struct rows_at at = r ? rows_space_at(r) : (struct rows_at) {0};
	if (at.how == ROWS_PEER)
		return at.peer ? 3 : 2;
	return at.how == ROWS_SPACE;
}

static const struct piece *space_piece(struct change *c, struct vpn_work *w, const struct side *s)
{
	unsigned from = space_state(s->b);
	unsigned to = space_state(s->a);
	struct piece *p = piece_find(w->space, from, to);
	struct rows_set none = {0};
	struct rows_set before = s->b ? delta_space(s->b) : none;
	struct rows_set after = s->a ? delta_space(s->a) : none;
	struct rows r;

	if (p || !(before.n + after.n) || !(p = piece_new(c, &w->space, from, to)))
		return p;
	rows_init(&r, c->dry);
	rows_diff_prefixes(&r, &before, &after, (w->a ? w->a : w->b)->id->number);
	piece_take(c, p, &r);
	return p;
}

/* For a merge by number of two sets: which of the two has the next one; 0: both. */
static int id_cmp(const struct rows_set *b, size_t i, const struct rows_set *a, size_t k)
{
	uint32_t x = i < b->n ? b->p[i].id->number : UINT32_MAX;
	uint32_t y = k < a->n ? a->p[k].id->number : UINT32_MAX;

	return (x > y) - (x < y);
}

/* What is withheld may go from one member to another with the same prefix: numbers count. */
static struct rows_set withheld(const struct model_vpn *v, bool seen)
{
	return v && seen ? delta_withheld(v) : (struct rows_set) {0};
}

static const struct piece *withheld_piece(
    struct change *c, struct vpn_work *w, const struct side *s)
{
	struct piece *p = piece_find(w->withheld, s->b != NULL, s->a != NULL);
	struct rows_set before = withheld(w->b, s->b != NULL);
	struct rows_set after = withheld(w->a, s->a != NULL);
	struct rows r;

	if (p || !(before.n + after.n) ||
	    !(p = piece_new(c, &w->withheld, s->b != NULL, s->a != NULL)))
		return p;
	rows_init(&r, c->dry);
	for (size_t i = 0, k = 0; i < before.n || k < after.n;) {
		int cmp = id_cmp(&before, i, &after, k);
		if (cmp < 0)
			rows_remove(&r, rows_prefix_class(before.at.how), before.p[i].id->number);
		if (cmp > 0)
			rows_put_prefix(&r, &after.p[k], w->a->id->number, &after.at);
		i += cmp <= 0;
		k += cmp >= 0;
	}
	piece_take(c, p, &r);
	return p;
}

/* A VPN's proposals, of IPsec or of IKE; of no VPN: none. */
struct plist {
	const struct model_proposal *p;
	size_t n;
};

static struct plist plist(const struct model_vpn *v, bool ike)
{
	if (!v)
		return (struct plist) {0};
	return ike ? (struct plist) {v->ike_proposal, v->ike_proposals}
		   : (struct plist) {v->proposal, v->proposals};
}

static const struct piece *proposals_piece(
    struct change *c, struct vpn_work *w, const struct side *s)
{
	struct piece *p = piece_find(w->proposals, s->b != NULL, s->a != NULL);
	struct rows r;

	if (p || !(p = piece_new(c, &w->proposals, s->b != NULL, s->a != NULL)))
		return p;
	rows_init(&r, c->dry);
	for (int ike = 0; ike <= 1; ike++) {
		struct plist b = plist(s->b ? w->b : NULL, ike);
		struct plist a = plist(s->a ? w->a : NULL, ike);
		for (size_t i = a.n; i < b.n; i++)
			rows_remove(&r, rows_proposal_class(ike), b.p[i].id->number);
		for (size_t i = 0; i < a.n; i++)
			if (i >= b.n || rows_proposal_differs(&b.p[i], &a.p[i]))
				rows_put_proposal(&r, w->a, &a.p[i], i);
	}
	piece_take(c, p, &r);
	return p;
}

/* --- one receiver --------------------------------------------------------------------------- */

static struct side *side_of(const struct vpn_work *w, const struct model_member *m)
{
	if (w->b && m->vpn == w->b)
		return w->of_b[m - w->b->member];
	return w->of_a[m - w->a->member];
}

/* How many members r sees at most, before and after. */
static size_t seen_count(const struct side *r)
{
	struct model_seen s;
	size_t n = 0;

	if (r->b) {
		model_seen_init(&s, r->b);
		n += s.count;
	}
	if (r->a) {
		model_seen_init(&s, r->a);
		n += s.count;
	}
	return n;
}

/* Everyone r saw, and everyone it sees now and did not see. */
static void pairs_seen(
    struct change *c, const struct vpn_work *w, const struct side *r, bool all, struct total *t)
{
	struct model_member *m;
	struct model_seen s;

	if (r->b) {
		model_seen_init(&s, r->b);
		while ((m = model_seen_next(&s))) {
			struct side *side = side_of(w, m);
			if (all || side->touched)
				pair(c, w, r, side, t);
		}
	}
	if (r->a) {
		model_seen_init(&s, r->a);
		while ((m = model_seen_next(&s))) {
			struct side *side = side_of(w, m);
			if ((all || side->touched) && state(r->b, side->b) == VIEW_NONE)
				pair(c, w, r, side, t);
		}
	}
}

static void receive(struct change *c, struct vpn_work *w, struct side *r, struct total *t)
{
	bool all = w->all_pairs || r->sight;

	emit(t, own_piece(c, r));
	emit(t, proposals_piece(c, w, r));
	emit(t, space_piece(c, w, r));
	emit(t, withheld_piece(c, w, r));
	if (all || seen_count(r) < w->touches) {
		pairs_seen(c, w, r, all, t);
		return;
	}
	for (size_t i = 0; i < w->touches; i++)
		if (w->touched[i] != r)
			pair(c, w, r, w->touched[i], t);
}

static void receive_all(
    struct change *c, const struct model_ce *b, const struct model_ce *a, struct total *t)
{
	for (size_t i = 0; b && i < b->members; i++) {
		struct vpn_work *w = c->of_b[b->member[i]->vpn - c->before->vpn];
		if (w)
			receive(c, w, side_of(w, b->member[i]), t);
	}
	for (size_t i = 0; a && i < a->members; i++) {
		struct vpn_work *w = c->of_a[a->member[i]->vpn - c->after->vpn];
		struct side *s = w ? side_of(w, a->member[i]) : NULL;
		if (s && !s->b)
			receive(c, w, s, t);
	}
}

/* --- what differs in a VPN ------------------------------------------------------------------ */

static bool links_differ(const struct model_member *b, const struct model_member *a)
{
	if (b->links != a->links)
		return true;
	for (size_t i = 0; i < a->links; i++)
		if (b->link[i]->id != a->link[i]->id)
			return true;
	return false;
}

static bool proposals_differ(const struct model_vpn *b, const struct model_vpn *a)
{
	for (int ike = 0; ike <= 1; ike++) {
		struct plist x = plist(b, ike);
		struct plist y = plist(a, ike);
		if (x.n != y.n)
			return true;
		for (size_t i = 0; i < y.n; i++)
			if (rows_proposal_differs(&x.p[i], &y.p[i]))
				return true;
	}
	return false;
}

static const struct id_entry *relay_of(const struct model_vpn *v)
{
	bool relays = v->topology == TOPO_HUB_AND_SPOKE && v->relay && v->hubs;
	return relays ? v->hub[0]->id : NULL;
}

/* May a pair see each other differently though nothing of theirs has changed? */
static bool views_differ(const struct model_vpn *b, const struct model_vpn *a)
{
	if (b->topology != a->topology || relay_of(b) != relay_of(a))
		return true;
	return a->topology != TOPO_FULL_MESH && !b->spaces != !a->spaces;
}

static void mark_side(struct vpn_work *w, struct side *s)
{
	bool both = s->b && s->a;

	s->sight = !both || s->b->role != s->a->role || links_differ(s->b, s->a);
	s->internet = both && internet_differs(s->b, s->a);
	s->touched = s->sight || s->internet || rows_peer_differs(s->b, s->a) ||
		     rows_self_differs(s->b, s->a) ||
		     delta_prefixes_differ(s->b->site, s->b->sites, s->a->site, s->a->sites);
	if (s->touched)
		w->touched[w->touches++] = s;
}

/* Merge the members of before and after, both sorted by number. */
static void merge_members(struct vpn_work *w)
{
	size_t bn = w->b ? w->b->members : 0;
	size_t an = w->a ? w->a->members : 0;
	size_t i = 0;
	size_t k = 0;

	while (i < bn || k < an) {
		struct side *s = &w->side[w->sides++];
		uint32_t x = i < bn ? w->b->member[i].id->number : UINT32_MAX;
		uint32_t y = k < an ? w->a->member[k].id->number : UINT32_MAX;
		if (x <= y) {
			s->b = &w->b->member[i];
			w->of_b[i++] = s;
		}
		if (y <= x) {
			s->a = &w->a->member[k];
			w->of_a[k++] = s;
		}
		mark_side(w, s);
	}
}

static void vpn_work_free(struct vpn_work *w)
{
	for (size_t i = 0; i < w->sides; i++) {
		pieces_free(w->side[i].piece);
		pieces_free(w->side[i].own);
	}
	pieces_free(w->space);
	pieces_free(w->withheld);
	pieces_free(w->proposals);
	free(w->side);
	free(w->of_b);
	free(w->of_a);
	free(w->touched);
	free(w);
}

/* NULL: nothing differs, or c->failed. */
static struct vpn_work *vpn_work_new(struct change *c, struct model_vpn *b, struct model_vpn *a)
{
	size_t bn = b ? b->members : 0;
	size_t an = a ? a->members : 0;
	struct vpn_work *w = calloc(1, sizeof(*w));

	if (!w)
		goto bad;
	w->b = b;
	w->a = a;
	w->side = calloc(bn + an + 1, sizeof(*w->side));
	w->touched = calloc(bn + an + 1, sizeof(struct side *));
	w->of_b = calloc(bn + 1, sizeof(struct side *));
	w->of_a = calloc(an + 1, sizeof(struct side *));
	if (!w->side || !w->touched || !w->of_b || !w->of_a)
		goto bad;
	merge_members(w);
	w->all_pairs = b && a && views_differ(b, a);
	w->changed = !b || !a || w->all_pairs || rows_net_differs(b, a) || proposals_differ(b, a) ||
		     delta_prefixes_differ(b->space, b->spaces, a->space, a->spaces) ||
		     delta_prefixes_differ(b->withheld, b->withhelds, a->withheld, a->withhelds);
	if (w->changed || w->touches)
		return w;
	vpn_work_free(w);
	return NULL;
bad:
	if (w)
		vpn_work_free(w);
	c->failed = true;
	return NULL;
}

static void add_work(struct change *c, struct model_vpn *b, struct model_vpn *a)
{
	struct vpn_work *w = vpn_work_new(c, b, a);

	if (!w)
		return;
	w->next = c->vpn;
	c->vpn = w;
	if (b)
		c->of_b[b - c->before->vpn] = w;
	if (a)
		c->of_a[a - c->after->vpn] = w;
}

/* A VPN is the same if its number is: names of VPNs are sorted in both. */
static void compare_vpns(struct change *c)
{
	size_t bn = c->before ? c->before->vpns : 0;
	size_t an = c->after ? c->after->vpns : 0;

	c->of_b = calloc(bn + 1, sizeof(struct vpn_work *));
	c->of_a = calloc(an + 1, sizeof(struct vpn_work *));
	if (!c->of_b || !c->of_a) {
		c->failed = true;
		return;
	}
	for (size_t i = 0, k = 0; i < bn || k < an;) {
		int cmp = i == bn   ? 1
			  : k == an ? -1
				    : strcmp(c->before->vpn[i].name, c->after->vpn[k].name);
		struct model_vpn *b = cmp <= 0 ? &c->before->vpn[i++] : NULL;
		struct model_vpn *a = cmp >= 0 ? &c->after->vpn[k++] : NULL;
		add_work(c, b, a);
	}
}

static void count_vpns(struct change *c)
{
	struct delta_counts *n = &c->counts;

	for (const struct vpn_work *w = c->vpn; w; w = w->next) {
		n->vpns_added += !w->b;
		n->vpns_removed += !w->a;
		n->vpns_changed += w->b && w->a && w->changed;
		for (size_t i = 0; i < w->touches; i++) {
			n->members_added += !w->touched[i]->b;
			n->members_removed += !w->touched[i]->a;
			n->members_changed += w->touched[i]->b && w->touched[i]->a;
		}
	}
}

/* --- stamps --------------------------------------------------------------------------------- */

struct stamp {
	struct ids *ids;
	uint64_t lsn;
};

static void stamp_rows(const struct stamp *st, struct id_entry *e)
{
	e->dead = false;
	e->lsn = st->lsn;
	ids_touch(st->ids, e);
}

static void stamp_aux(const struct stamp *st, struct id_entry *e)
{
	e->aux_lsn = st->lsn;
	ids_touch(st->ids, e);
}

static void stamp_dead(const struct stamp *st, struct id_entry *e)
{
	e->dead = true;
	e->lsn = st->lsn;
	ids_touch(st->ids, e);
}

static void stamp_prefixes(const struct stamp *st, const struct model_prefix *b, size_t bn,
    const struct model_prefix *a, size_t an)
{
	size_t i = 0;
	size_t k = 0;

	while (i < bn || k < an) {
		int c = i == bn ? 1 : k == an ? -1 : prefix_cmp(&b[i].prefix, &a[k].prefix);
		if (c < 0)
			stamp_dead(st, b[i].id);
		if (c > 0)
			stamp_rows(st, a[k].id);
		i += c <= 0;
		k += c >= 0;
	}
}

static void stamp_side(const struct stamp *st, const struct side *s)
{
	struct model_member *any = s->a ? s->a : s->b;

	if (!s->a)
		stamp_dead(st, any->id);
	else if (!s->b || rows_peer_differs(s->b, s->a))
		stamp_rows(st, any->id);
	if (s->sight || s->internet || rows_peer_differs(s->b, s->a) ||
	    rows_self_differs(s->b, s->a))
		stamp_aux(st, any->id); /* its ceVpn says the same of it */
	stamp_prefixes(st, s->b ? s->b->site : NULL, s->b ? s->b->sites : 0,
	    s->a ? s->a->site : NULL, s->a ? s->a->sites : 0);
}

/*
 * A hub that is none any more, or a member that is back: what others hold of it cannot be told
 * from what is left.
 */
static bool cannot_tell(const struct vpn_work *w)
{
	for (size_t i = 0; i < w->touches; i++) {
		const struct side *s = w->touched[i];
		if (s->b && s->b->role == ROLE_HUB && (!s->a || s->a->role != ROLE_HUB))
			return true;
		if (!s->b && s->a->id->dead)
			return true;
	}
	return false;
}

/*
 * A member's prefix that is withheld keeps its number.  What is withheld no more is either its
 * member's again, which stamps it later, or gone: who missed that cannot be told what it lacks.
 */
static bool stamp_withheld_gone(const struct stamp *st, const struct vpn_work *w)
{
	struct rows_set b = withheld(w->b, true);
	struct rows_set a = withheld(w->a, true);
	bool any = false;

	for (size_t i = 0, k = 0; i < b.n || k < a.n;) {
		int cmp = id_cmp(&b, i, &a, k);
		if (cmp < 0) {
			stamp_dead(st, b.p[i].id);
			any = true;
		}
		i += cmp <= 0;
		k += cmp >= 0;
	}
	return any;
}

/* After the members, which have let them go. */
static void stamp_withheld_new(const struct stamp *st, const struct vpn_work *w)
{
	struct rows_set b = withheld(w->b, true);
	struct rows_set a = withheld(w->a, true);

	for (size_t i = 0, k = 0; i < b.n || k < a.n;) {
		int cmp = id_cmp(&b, i, &a, k);
		if (cmp > 0)
			stamp_rows(st, a.p[k].id);
		i += cmp <= 0;
		k += cmp >= 0;
	}
}

static void stamp_proposals(const struct stamp *st, const struct vpn_work *w)
{
	for (int ike = 0; ike <= 1; ike++) {
		struct plist b = plist(w->b, ike);
		struct plist a = plist(w->a, ike);
		for (size_t i = a.n; i < b.n; i++)
			stamp_dead(st, b.p[i].id);
		for (size_t i = 0; i < a.n; i++)
			if (i >= b.n || rows_proposal_differs(&b.p[i], &a.p[i]))
				stamp_rows(st, a.p[i].id);
	}
}

static void stamp_vpn(const struct stamp *st, const struct vpn_work *w)
{
	struct id_entry *id = (w->a ? w->a : w->b)->id;

	if (!w->a)
		stamp_dead(st, id);
	else if (!w->b || rows_net_differs(w->b, w->a))
		stamp_rows(st, id);
	bool released = stamp_withheld_gone(st, w);
	if (!w->a || !w->b || w->all_pairs || cannot_tell(w) || released)
		stamp_aux(st, id);
	stamp_proposals(st, w);
	stamp_prefixes(st, w->b ? w->b->space : NULL, w->b ? w->b->spaces : 0,
	    w->a ? w->a->space : NULL, w->a ? w->a->spaces : 0);
	stamp_prefixes(st, w->b ? w->b->outside : NULL, w->b ? w->b->outsides : 0,
	    w->a ? w->a->outside : NULL, w->a ? w->a->outsides : 0);
	for (size_t i = 0; i < w->touches; i++)
		stamp_side(st, w->touched[i]);
	stamp_withheld_new(st, w);
}

/* --- all receivers -------------------------------------------------------------------------- */

typedef int (*each_fn)(void *arg, const struct model_ce *ce, const struct delta_list *l);

/* The next CE of either snapshot that we serve, by name; NULL where it is not. */
struct ce_walk {
	const struct customer *before;
	const struct customer *after;
	size_t i;
	size_t k;
	const struct model_ce *b;
	const struct model_ce *a;
};

static bool ce_next(struct ce_walk *w)
{
	size_t bn = w->before ? w->before->ces : 0;
	size_t an = w->after ? w->after->ces : 0;

	do {
		if (w->i == bn && w->k == an)
			return false;
		int c = w->i == bn   ? 1
			: w->k == an ? -1
				     : strcmp(w->before->ce[w->i].name, w->after->ce[w->k].name);
		w->b = c <= 0 ? &w->before->ce[w->i++] : NULL;
		w->a = c >= 0 ? &w->after->ce[w->k++] : NULL;
	} while (w->a ? w->a->foreign : w->b->foreign);
	return true;
}

/* First pass: make the pieces, count; returns the longest list. */
static size_t prepare(struct change *c)
{
	struct ce_walk w = {.before = c->before, .after = c->after};
	size_t longest = 0;

	while (!c->failed && ce_next(&w)) {
		struct total t = {0};
		receive_all(c, w.b, w.a, &t);
		c->counts.ces += t.removed + t.installed > 0;
		c->counts.rows_removed += t.removed;
		c->counts.rows_installed += t.installed;
		longest = t.chunks > longest ? t.chunks : longest;
	}
	return longest;
}

/* Second pass: call out. */
static void deliver(struct change *c, struct delta_list *l, each_fn fn, void *arg)
{
	struct ce_walk w = {.before = c->before, .after = c->after};

	while (ce_next(&w)) {
		struct total t = {.list = l};
		receive_all(c, w.b, w.a, &t);
		int r = l->count ? fn(arg, w.a ? w.a : w.b, l) : 0;
		for (size_t i = 0; i < l->count; i++)
			cops_chunk_unref(l->chunk[i]);
		l->count = l->removes = 0;
		if (r)
			return;
	}
}

static void change_clear(struct change *c)
{
	while (c->vpn) {
		struct vpn_work *next = c->vpn->next;
		vpn_work_free(c->vpn);
		c->vpn = next;
	}
	free(c->of_b);
	free(c->of_a);
}

/* Nothing here is changed but the encoded rows that snapshots keep. */
static struct customer *unconst(const struct customer *c)
{
	return (struct customer *)(uintptr_t)c;
}

static void change_init(
    struct change *c, const struct customer *before, const struct customer *after, bool dry)
{
	*c = (struct change) {.before = unconst(before), .after = unconst(after), .dry = dry};
	compare_vpns(c);
	count_vpns(c);
}

int delta_each(const struct customer *before, const struct customer *after, struct ids *ids,
    uint64_t lsn, const struct delta_keys *keys, each_fn fn, void *arg, struct delta_counts *counts)
{
	struct stamp st = {.ids = ids, .lsn = lsn};
	struct delta_list l;
	struct change c;
	int r = -1;

	delta_list_init(&l);
	change_init(&c, before, after, false);
	c.keys = keys;
	size_t longest = prepare(&c);
	l.cap = longest;
	l.chunk = calloc(longest + 1, sizeof(struct cops_chunk *));
	if (!c.failed && l.chunk) {
		for (const struct vpn_work *w = c.vpn; w; w = w->next)
			stamp_vpn(&st, w);
		deliver(&c, &l, fn, arg);
		r = 0;
	}
	if (counts)
		*counts = c.counts;
	change_clear(&c);
	delta_list_clear(&l);
	return r;
}

int delta_dry(
    const struct customer *before, const struct customer *after, struct delta_counts *counts)
{
	struct change c;

	change_init(&c, before, after, true);
	prepare(&c);
	*counts = c.counts;
	int r = c.failed ? -1 : 0;
	change_clear(&c);
	return r;
}
