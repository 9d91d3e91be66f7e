/*
 * vpn_status.c - how the tunnel to each peer is, and since when (ceVpnPeerStatus).  What it is
 * only the keying provider knows; here is remembered what it said last, and rows are made of it
 * for usage feedback.
 */
#include <stdlib.h>
#include <string.h>

#include "common/fnv.h"
#include "pep/vpn.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

struct state { /* of a peer */
	uint32_t peer;
	int32_t state;
	int32_t why;
	time_t since;
	UT_hash_handle hh;
};

struct vpn_states {
	struct state *peers;
};

struct vpn_states *vpn_states_new(void)
{
	return calloc(1, sizeof(struct vpn_states));
}

void vpn_states_free(struct vpn_states *s)
{
	struct state *p, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->peers, p, next) {
		HASH_DEL(s->peers, p);
		free(p);
	}
	free(s);
}

void vpn_states_sweep(struct vpn *v)
{
	struct state *p, *next;

	HASH_ITER (hh, v->states->peers, p, next) {
		if (v->store && vpn_peer_row(v->store, p->peer))
			continue;
		HASH_DEL(v->states->peers, p);
		free(p);
	}
}

static time_t since(struct vpn_states *states, uint32_t peer, const struct vpn_status *s)
{
	struct state *p;

	HASH_FIND(hh, states->peers, &peer, sizeof(peer), p);
	if (p && p->state == s->state && p->why == s->why)
		return p->since;
	if (!p) {
		if (!(p = calloc(1, sizeof(*p))))
			return 0;
		p->peer = peer;
		HASH_ADD(hh, states->peers, peer, sizeof(p->peer), p);
	}
	p->state = s->state;
	p->why = s->why;
	p->since = time(NULL);
	return p->since;
}

time_t vpn_status_get(struct vpn *v, const struct pib_ce_vpn_peer *row, struct vpn_status *s)
{
	const struct pib_ce_vpn *n = v->store ? vpn_row(v->store, row->vpn) : NULL;
	const struct vpn_provider *p = n ? vpn_provider_find(n->keying) : NULL;

	*s = (struct vpn_status) {
	    .state = PIB_CE_VPN_PEER_STATUS_STATE_DOWN, .why = PIB_CE_VPN_PEER_STATUS_WHY_NONE};
	if (p && p->status)
		p->status(v, n, row, s);
	return since(v->states, row->id, s);
}

void vpn_status_changed(struct vpn *v)
{
	if (v->env.agent)
		pep_agent_usage(v->env.agent, &pep_client_vpn);
}

/* --- rows ------------------------------------------------------------------- */

struct reading {
	struct vpn *v;
	void (*put)(void *arg, const struct pep_usage_row *row);
	void *arg;
};

/* State, reason and text in 64 bits. */
static uint64_t digest(const struct vpn_status *s)
{
	uint64_t h = fnv_add(FNV_START, &s->state, sizeof(s->state));

	h = fnv_add(h, &s->why, sizeof(s->why));
	return fnv_add(h, s->error, strlen(s->error));
}

static void put_peer(void *arg, const struct pib_row *r)
{
	const struct pib_ce_vpn_peer *peer = r->data;
	struct reading *rd = arg;
	struct pib_ce_vpn_peer_status row = {.peer = peer->id};
	struct pep_usage_row u = {.which = peer->id, .row = &row};
	struct vpn_traffic t;
	struct vpn_status s;

	row.since = (uint32_t)vpn_status_get(rd->v, peer, &s);
	vpn_usage_peer(rd->v, peer->id, &t);
	row.state = s.state;
	row.why = s.why;
	row.error = (struct pib_octets) {(const uint8_t *)s.error, (uint32_t)strlen(s.error)};
	row.spi_in = t.spi_in;
	row.spi_out = t.spi_out;
	row.packets_in = t.in.packets;
	row.octets_in = t.in.octets;
	row.packets_out = t.out.packets;
	row.octets_out = t.out.octets;
	u.state = digest(&s);
	rd->put(rd->arg, &u);
}

int vpn_usage_rows(void *self, const struct pib_store *store, const struct pib_class *usage,
    uint32_t selected, void (*put)(void *arg, const struct pep_usage_row *row), void *arg)
{
	struct vpn *v = self;
	struct reading rd = {.v = v, .put = put, .arg = arg};

	if (usage != &pib_ce_vpn_peer_status_class)
		return 0;
	v->store = store;
	if (vpn_usage_read(v) < 0)
		return -1;
	pib_store_referrers(store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), selected, put_peer,
	    &rd);
	return 0;
}
