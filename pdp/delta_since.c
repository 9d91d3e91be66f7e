/*
 * delta_since.c - a CE's rows from the snapshot alone: everything, or what has a newer stamp than
 * the CE holds.  The stamps say (delta.c puts them):
 *
 *   VPN       rows: ceVpn's columns;  aux: who sees whom
 *   member    rows: ceVpnPeer's;      aux: its own ceVpn, or whom it sees
 *   prefix, proposal: theirs
 *
 * and a thing that died is still there with the time of its death.
 */
#include "pdp/delta_int.h"
#include "pib/gen/ce_vpn_pib.h"

/* What one CE gets. */
struct gather {
	const struct delta_keys *keys;
	struct delta_list *list;
	struct ids *ids;
	uint64_t since;
	const struct model_member *r;
	struct rows rows;
	bool failed;
};

static void gather_done(struct gather *g)
{
	rows_take(&g->rows, g->list);
	rows_clear(&g->rows);
	g->list->failed |= g->failed;
}

/* --- everything ----------------------------------------------------------------------------- */

static void full_own(struct gather *g)
{
	const struct model_vpn *v = g->r->vpn;
	struct rows_set none = {0};
	struct rows_set sites = delta_sites(g->r, VIEW_SELF);
	struct rows_set space = delta_space(g->r);
	struct rows_set withheld = delta_withheld(v);
	struct rows_set internet = delta_internet(g->r);

	rows_put_vpn(&g->rows, g->r, g->keys);
	for (size_t i = 0; i < v->proposals; i++)
		rows_put_proposal(&g->rows, v, &v->proposal[i], i);
	for (size_t i = 0; i < v->ike_proposals; i++)
		rows_put_proposal(&g->rows, v, &v->ike_proposal[i], i);
	rows_diff_prefixes(&g->rows, &none, &sites, v->id->number);
	rows_diff_prefixes(&g->rows, &none, &space, v->id->number);
	rows_diff_prefixes(&g->rows, &none, &withheld, v->id->number);
	rows_diff_prefixes(&g->rows, &none, &internet, v->id->number);
}

static void full_member(struct gather *g)
{
	const struct delta_keys *k = g->keys;
	const struct model_member *via;
	struct model_member *m;
	struct model_seen s;

	full_own(g);
	model_seen_init(&s, g->r);
	while ((m = model_seen_next(&s))) {
		enum view v = model_view(g->r, m, &via);
		struct cops_chunk *c = delta_member_rows(m, v, &g->failed);
		if (c)
			delta_list_put(g->list, c, false);
		if (v == VIEW_PEER && k && k->keys)
			k->keys(k->arg, m, 0, g->list);
	}
	if (k && k->acks)
		k->acks(k->arg, g->r, 0, g->list);
}

int delta_full(const struct model_ce *ce, const struct delta_keys *keys, struct delta_list *l)
{
	struct gather g = {.keys = keys, .list = l};
	struct cops_chunk *all = rows_remove_all();

	if (!all)
		return -1;
	delta_list_put(l, all, true);
	cops_chunk_unref(all);
	rows_init(&g.rows, false);
	for (size_t i = 0; i < ce->members; i++) {
		g.r = ce->member[i];
		full_member(&g);
	}
	gather_done(&g);
	return l->failed ? -1 : 0;
}

/* --- what is newer -------------------------------------------------------------------------- */

/* Prefixes with a newer stamp. */
static void newer_prefixes(struct gather *g, const struct rows_set *set)
{
	if (set->at.how == ROWS_ABSENT)
		return;
	for (size_t i = 0; i < set->n; i++)
		if (set->p[i].id->lsn > g->since)
			rows_put_prefix(&g->rows, &set->p[i], g->r->vpn->id->number, &set->at);
}

static void newer_own(struct gather *g)
{
	const struct model_vpn *v = g->r->vpn;
	struct rows_set sites = delta_sites(g->r, VIEW_SELF);
	struct rows_set space = delta_space(g->r);
	struct rows_set withheld = delta_withheld(v);

	if (v->id->lsn > g->since)
		rows_put_vpn(&g->rows, g->r, g->keys);
	for (size_t i = 0; i < v->proposals; i++)
		if (v->proposal[i].id->lsn > g->since)
			rows_put_proposal(&g->rows, v, &v->proposal[i], i);
	for (size_t i = 0; i < v->ike_proposals; i++)
		if (v->ike_proposal[i].id->lsn > g->since)
			rows_put_proposal(&g->rows, v, &v->ike_proposal[i], i);
	newer_prefixes(g, &sites);
	newer_prefixes(g, &space);
	newer_prefixes(g, &withheld);
}

/*
 * Keys of a peer.  One that is new to r, or was away, is sent with all it has; r may still hold
 * keys withdrawn since.
 */
static void newer_keys(struct gather *g, const struct model_member *m, bool renewed)
{
	const struct delta_keys *k = g->keys;
	struct delta_list some;

	if (!k || !k->keys)
		return;
	if (!renewed) {
		k->keys(k->arg, m, g->since, g->list);
		return;
	}
	delta_list_init(&some);
	k->keys(k->arg, m, g->since, &some);
	for (size_t i = 0; i < some.removes; i++)
		delta_list_put(g->list, some.chunk[i], true);
	g->failed |= some.failed;
	delta_list_clear(&some);
	k->keys(k->arg, m, 0, g->list);
}

static void newer_member(struct gather *g, struct model_member *m)
{
	const struct model_member *via;
	enum view v = model_view(g->r, m, &via);
	bool renewed = m->id->lsn > g->since;
	struct rows_set sites = delta_sites(m, v);

	if (renewed) {
		struct cops_chunk *c = delta_member_rows(m, v, &g->failed);
		if (c)
			delta_list_put(g->list, c, false);
	} else {
		newer_prefixes(g, &sites);
	}
	if (v == VIEW_PEER)
		newer_keys(g, m, renewed);
}

/*
 * How r saw a member that is gone: as any member of its role would be seen.  The loss of a hub or
 * of a link is structure, so what is left is someone r had no tunnel to, or a spoke.
 */
static enum view view_of_gone(const struct model_member *r)
{
	const struct model_vpn *v = r->vpn;

	if (v->topology == TOPO_FULL_MESH || r->role == ROLE_HUB)
		return VIEW_PEER;
	return v->spaces ? VIEW_NONE : VIEW_BLOCKED; /* or VIA: the same rows to remove */
}

static void dead_prefix(struct gather *g, const struct id_entry *e)
{
	const struct model_member *via;
	const struct model_member *m;
	enum rows_how how;

	if (e->parent == ID_INTERNET)
		return; /* whoever had it has a newer aux */
	if (e->parent == 0) {
		how = rows_space_at(g->r).how;
	} else {
		m = vpn_member_find(g->r->vpn, e->parent);
		enum view v = m ? model_view(g->r, m, &via) : view_of_gone(g->r);
		how = v == VIEW_NONE ? ROWS_ABSENT : v == VIEW_SELF ? ROWS_SITE : ROWS_PEER;
	}
	if (how != ROWS_ABSENT)
		rows_remove(&g->rows, rows_prefix_class(how), e->number);
}

static void dead_one(void *arg, const struct id_entry *e)
{
	struct gather *g = arg;
	const struct delta_keys *k = g->keys;

	if (e->kind == ID_PREFIX)
		dead_prefix(g, e);
	if (e->kind == ID_PROPOSAL || e->kind == ID_IKE_PROPOSAL)
		rows_remove(&g->rows, rows_proposal_class(e->kind == ID_IKE_PROPOSAL), e->number);
	if (e->kind == ID_MEMBER && view_of_gone(g->r) == VIEW_PEER) {
		rows_remove(&g->rows, &pib_ce_vpn_peer_class, e->number);
		if (k && k->gone)
			k->gone(k->arg, e->number, g->list);
	}
}

static void newer_in_vpn(struct gather *g)
{
	struct model_member *m;
	struct model_seen s;

	ids_dead_each(g->ids, g->r->vpn->id->number, g->since, dead_one, g);
	newer_own(g);
	model_seen_init(&s, g->r);
	while ((m = model_seen_next(&s)))
		newer_member(g, m);
	if (g->keys && g->keys->acks)
		g->keys->acks(g->keys->arg, g->r, g->since, g->list);
}

int delta_since(const struct model_ce *ce, struct ids *ids, uint64_t since,
    const struct delta_keys *keys, struct delta_list *l)
{
	struct gather g = {.keys = keys, .list = l, .ids = ids, .since = since};

	if (ids_left_lsn(ids, ce->name) > since)
		return 1;
	for (size_t i = 0; i < ce->members; i++)
		if (ce->member[i]->id->aux_lsn > since || ce->member[i]->vpn->id->aux_lsn > since)
			return 1;
	rows_init(&g.rows, false);
	for (size_t i = 0; i < ce->members; i++) {
		g.r = ce->member[i];
		newer_in_vpn(&g);
	}
	gather_done(&g);
	return l->failed ? -1 : 0;
}

uint64_t delta_lsn_max(const struct model_ce *ce)
{
	const struct ids *ids = ce->customer->ids;
	uint64_t max = ids_left_lsn(ids, ce->name);

	for (size_t i = 0; i < ce->members; i++) {
		uint64_t lsn = ids_vpn_lsn(ids, ce->member[i]->vpn->id->number);
		max = lsn > max ? lsn : max;
	}
	return max;
}
