/*
 * vpn_touch.c - which parts of what is enforced a set of changed rows concerns: one
 * row of the binding table per class.
 */
#include <stdlib.h>
#include <string.h>

#include "pep/vpn_int.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

struct touching {
	struct vpn_touched *t;
	const struct pib_store *store;
	unsigned what;
	uint32_t tag;
};

static struct vpn_touch *touch(
    struct vpn_touched *t, enum vpn_part part, uint32_t id, unsigned what)
{
	struct vpn_touch_key key = {.part = part, .id = id};
	struct vpn_touch *e;

	HASH_FIND(hh, t->part, &key, sizeof(key), e);
	if (!e) {
		if (!(e = calloc(1, sizeof(*e)))) {
			t->no_memory = true;
			return NULL;
		}
		e->key = key;
		HASH_ADD(hh, t->part, key, sizeof(e->key), e);
	}
	e->what |= what;
	return e;
}

void vpn_touch(struct vpn_touched *t, enum vpn_part part, uint32_t id, unsigned what)
{
	touch(t, part, id, what);
}

bool vpn_touched_any(const struct vpn_touched *t, unsigned what)
{
	for (const struct vpn_touch *e = t->part; e; e = e->hh.next)
		if (e->what & what)
			return true;
	return false;
}

void vpn_touched_clear(struct vpn_touched *t)
{
	struct vpn_touch *e, *next;

	HASH_ITER (hh, t->part, e, next) {
		HASH_DEL(t->part, e);
		free(e);
	}
	*t = (struct vpn_touched) {0};
}

/* --- bindings --------------------------------------------------------------- */

static bool octets_same(const struct pib_octets *a, const struct pib_octets *b)
{
	return a->len == b->len && (a->len == 0 || !memcmp(a->p, b->p, a->len));
}

/* Does it matter to more than our own epochs? */
static bool near_differs(const struct pib_ce_vpn *a, const struct pib_ce_vpn *b)
{
	return !a || !b || a->member != b->member || a->mode != b->mode ||
	       a->proposals != b->proposals || a->keying != b->keying || a->relay != b->relay ||
	       a->non_vpn_traffic != b->non_vpn_traffic || a->nat != b->nat || a->dscp != b->dscp ||
	       a->dscp_value != b->dscp_value || a->routing != b->routing ||
	       a->hellos != b->hellos || a->activation != b->activation ||
	       !octets_same(&a->tunnel_addr, &b->tunnel_addr) || !octets_same(&a->vrf, &b->vrf) ||
	       a->ike_auth != b->ike_auth || a->ike_proposals != b->ike_proposals ||
	       !octets_same(&a->vpn_id, &b->vpn_id) || !octets_same(&a->local_addr, &b->local_addr);
}

static void touch_near(void *arg, const struct pib_row *row)
{
	struct touching *g = arg;
	touch(g->t, VPN_PART_NET, row->instance, VPN_NEAR);
}

static void net_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn *b = before;
	const struct pib_ce_vpn *a = after;
	struct vpn_touch *e = touch(g->t, VPN_PART_NET, a ? a->id : b->id,
	    VPN_MEMBER | VPN_ACK | VPN_CHECK | (near_differs(b, a) ? VPN_NEAR : 0));

	/* Policies say whether there are other VPNs. */
	if (!a || !b)
		pib_store_each(g->store, &pib_ce_vpn_class, touch_near, g);
	if (e && b && (!a || a->member != b->member || a->keying != b->keying)) {
		e->member_before = b->member;
		e->keying_before = b->keying;
	}
}

static bool is_ike(const struct pib_ce_vpn *v)
{
	return v && v->keying == PIB_CE_VPN_KEYING_IKE;
}

/* With IKE a proposal is judged peer by peer. */
static void touch_tagged(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct touching *g = arg;
	if (v->proposals == g->tag)
		touch(g->t, VPN_PART_NET, v->id, VPN_MEMBER | g->what | (is_ike(v) ? VPN_NEAR : 0));
}

static void proposal_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_proposal *rows[] = {before, after};
	bool ah = false;

	for (int i = 0; i < 2; i++)
		ah |= rows[i] && rows[i]->protocol == PIB_CE_VPN_PROPOSAL_PROTOCOL_AH;
	g->what = ah ? VPN_NEAR : 0; /* policies name the protocol */
	for (int i = 0; i < 2; i++)
		if (rows[i]) {
			g->tag = rows[i]->tag;
			pib_store_each(g->store, &pib_ce_vpn_class, touch_tagged, g);
		}
}

static void touch_ike_tagged(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct touching *g = arg;
	if (is_ike(v) && v->ike_proposals == g->tag)
		touch(g->t, VPN_PART_NET, v->id, VPN_NEAR);
}

static void ike_proposal_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_ike_proposal *rows[] = {before, after};

	for (int i = 0; i < 2; i++)
		if (rows[i] && rows[i]->tag) { /* a VPN without such proposals has tag 0 */
			g->tag = rows[i]->tag;
			pib_store_each(g->store, &pib_ce_vpn_class, touch_ike_tagged, g);
		}
}

static void local_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_local_prefix *rows[] = {before, after};
	for (int i = 0; i < 2; i++)
		if (rows[i])
			touch(g->t, VPN_PART_NET, rows[i]->vpn, VPN_NEAR);
}

static void peer_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_peer *rows[] = {before, after};
	for (int i = 0; i < 2; i++)
		if (rows[i]) {
			touch(g->t, VPN_PART_PEER, rows[i]->id, VPN_POLICY | VPN_KEYS);
			touch(g->t, VPN_PART_NET, rows[i]->vpn, VPN_RELAY | VPN_ACK | VPN_MEMBER);
		}
}

/* With IKE a peer's prefixes are its traffic selectors, of which there may be too many. */
static void far_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_peer_prefix *rows[] = {before, after};
	for (int i = 0; i < 2; i++)
		if (rows[i]) {
			unsigned keys = is_ike(vpn_row(g->store, rows[i]->vpn)) ? VPN_KEYS : 0;

			if (rows[i]->peer)
				touch(g->t, VPN_PART_PEER, rows[i]->peer, VPN_POLICY | keys);
			else
				touch(g->t, VPN_PART_BLOCKED, rows[i]->id, VPN_POLICY);
			touch(g->t, VPN_PART_NET, rows[i]->vpn, VPN_RELAY);
		}
}

/* SAs of a peer may change; keying is to hear of what became of them. */
static void sas_changed(struct touching *g, uint32_t peer, unsigned what)
{
	const struct pib_ce_vpn_peer *p = vpn_peer_row(g->store, peer);

	touch(g->t, VPN_PART_PEER, peer, VPN_KEYS);
	if (p)
		touch(g->t, VPN_PART_NET, p->vpn, VPN_MEMBER | what);
}

static void key_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_peer_key *rows[] = {before, after};
	for (int i = 0; i < 2; i++)
		if (rows[i])
			sas_changed(g, rows[i]->peer, 0);
}

static void ack_changed(struct touching *g, const void *before, const void *after)
{
	const struct pib_ce_vpn_peer_ack *rows[] = {before, after};
	for (int i = 0; i < 2; i++)
		if (rows[i])
			sas_changed(g, rows[i]->peer, VPN_ACK);
}

static const struct binding {
	const struct pib_class *cls;
	void (*changed)(struct touching *g, const void *before, const void *after);
} binding[] = {
    {&pib_ce_vpn_class, net_changed},
    {&pib_ce_vpn_proposal_class, proposal_changed},
    {&pib_ce_vpn_ike_proposal_class, ike_proposal_changed},
    {&pib_ce_vpn_local_prefix_class, local_changed},
    {&pib_ce_vpn_peer_class, peer_changed},
    {&pib_ce_vpn_peer_prefix_class, far_changed},
    {&pib_ce_vpn_peer_key_class, key_changed},
    {&pib_ce_vpn_peer_ack_class, ack_changed},
};

void vpn_touch_changes(
    struct vpn_touched *t, const struct pib_store *store, const struct pib_txn *txn)
{
	struct touching g = {.t = t, .store = store};
	const struct pib_change *c;
	size_t count = pib_txn_changes(txn, &c);

	for (size_t i = 0; i < count; i++) {
		const struct pib_row *row = c[i].after ? c[i].after : c[i].before;
		for (size_t j = 0; j < sizeof(binding) / sizeof(binding[0]); j++)
			if (binding[j].cls == row->cls)
				binding[j].changed(&g, c[i].before ? c[i].before->data : NULL,
				    c[i].after ? c[i].after->data : NULL);
	}
}

/* --- expansion -------------------------------------------------------------- */

static void touch_net(void *arg, const struct pib_row *row)
{
	touch(arg, VPN_PART_NET, row->instance, VPN_NEAR | VPN_MEMBER | VPN_ACK);
}

void vpn_touch_everything(struct vpn_touched *t, const struct pib_store *store)
{
	t->everything = true;
	pib_store_each(store, &pib_ce_vpn_class, touch_net, t);
}

static void touch_peer(void *arg, const struct pib_row *row)
{
	struct touching *g = arg;
	touch(g->t, VPN_PART_PEER, row->instance, g->what);
}

static void touch_blocked(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *p = row->data;
	struct touching *g = arg;
	if (!p->peer)
		touch(g->t, VPN_PART_BLOCKED, row->instance, VPN_POLICY);
}

void vpn_touch_peers(
    struct vpn_touched *t, const struct pib_store *store, uint32_t vpn, unsigned what)
{
	struct touching g = {.t = t, .store = store, .what = what};
	pib_store_referrers(store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), vpn, touch_peer, &g);
}

void vpn_touch_sas(struct vpn_touched *t, const struct pib_store *store, uint32_t peer)
{
	struct touching g = {.t = t, .store = store};
	sas_changed(&g, peer, 0);
}

/* Where we relay, prefixes of one peer are IKE's traffic selectors with all others. */
static void touch_relayed(struct vpn_touched *t, const struct pib_store *store, uint32_t vpn)
{
	const struct pib_ce_vpn *v = vpn_row(store, vpn);

	if (is_ike(v) && v->relay == PIB_CE_VPN_RELAY_TRUE)
		vpn_touch_peers(t, store, vpn, VPN_KEYS);
}

void vpn_touch_expand(struct vpn_touched *t, const struct pib_store *store)
{
	struct touching g = {.t = t, .store = store};
	struct vpn_touch *e, *next;

	HASH_ITER (hh, t->part, e, next) {
		if (e->key.part == VPN_PART_NET && !(e->what & VPN_NEAR) && e->what & VPN_RELAY)
			touch_relayed(t, store, e->key.id);
		if (e->key.part != VPN_PART_NET || !(e->what & VPN_NEAR))
			continue;
		e->what |= VPN_RELAY;
		vpn_touch_peers(t, store, e->key.id, VPN_POLICY | VPN_KEYS);
		pib_store_referrers(store, &pib_ce_vpn_peer_prefix_class,
		    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_VPN),
		    e->key.id, touch_blocked, &g);
	}
}
