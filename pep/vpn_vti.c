/*
 * vpn_vti.c - VPNs whose tunnels are interfaces of kind VTI, tunnel mode under routing daemons:
 * what such a VPN cannot do, and the keys of its interfaces.
 *
 * A VTI takes all ESP that comes from its peer's address, whichever SA it is of, and its policy is
 * for one SA.  So two CEs that have such a VPN in common can have no other one: what belongs to
 * that would be lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pep/vpn_int.h"
#include "pib/pib_store.h"

#define NO_VTI "back end %s has no interfaces for dynamic routing in tunnel mode"

int vpn_vti_check(struct vpn_net *n, const struct vpn_env *env, struct vpn_faults *f)
{
	const struct pib_ce_vpn *v = n->row;

	n->held = !env->ops->separate || !env->ops->tunnel_put;
	if (n->held && !env->lenient)
		return vpn_fault(f, &pib_ce_vpn_class, v->id, PIB_CPERR_ENUM_SUP,
		    PIB_CE_VPN_COL_ROUTING, NO_VTI, env->ops->name);
	if (n->member.local.family != AF_INET)
		return vpn_fault(f, &pib_ce_vpn_class, v->id, PIB_CPERR_ENUM_SUP,
		    PIB_CE_VPN_COL_LOCAL_ADDR_TYPE,
		    "dynamic routing in tunnel mode needs IPv4 around the tunnels");
	if (n->member.nat)
		return vpn_fault(f, &pib_ce_vpn_class, v->id, PIB_CPERR_ENUM_SUP,
		    PIB_CE_VPN_COL_NAT, "tunnels that are interfaces cannot pass NAT");
	return 0;
}

int vpn_vti_check_peer(const struct vpn_net *n, const struct vpn_peer *p, struct vpn_faults *f)
{
	(void)n;
	if (!p->peer.nat)
		return 0;
	return vpn_fault(f, &pib_ce_vpn_peer_class, p->row->id, PIB_CPERR_ENUM_SUP,
	    PIB_CE_VPN_PEER_COL_NAT, "tunnels that are interfaces cannot pass NAT");
}

void vpn_vti_trouble(const struct vpn *v, uint32_t vpn, char *text, size_t len)
{
	const struct pib_ce_vpn *r = vpn_row(v->store, vpn);

	text[0] = '\0';
	if (r)
		snprintf(text, len, "VPN \"%.*s\" is held up: " NO_VTI, (int)r->name.len,
		    (const char *)r->name.p, v->ops->name);
}

/* In the bits of the mask the largest number but one, which stands for no VRF; else the reqid. */
uint32_t vpn_vti_key(uint32_t reqid, uint32_t mark_mask)
{
	uint32_t most = mark_mask & (mark_mask - 1);
	uint32_t key = most ? most : mark_mask; /* of one bit no VRF has a mark */

	for (uint32_t bit = 1; bit != 0 && reqid != 0; bit <<= 1) {
		if (mark_mask & bit)
			continue;
		if (reqid & 1)
			key |= bit;
		reqid >>= 1;
	}
	return reqid == 0 ? key : 0;
}

/* --- nothing else between two ends ---------------------------------------------- */

struct end { /* of a tunnel */
	struct pib_octets local;
	struct pib_octets remote;
	uint32_t peer;
	bool vti;
};

struct ends {
	const struct pib_store *store;
	struct end *end;
	size_t count;
	size_t cap;
	size_t vpns;
	bool vti;
	bool no_memory;
};

static bool is_vti(const struct pib_ce_vpn *v)
{
	return v->mode == PIB_CE_VPN_MODE_TUNNEL && v->routing == PIB_CE_VPN_ROUTING_DYNAMIC;
}

static void note_vpn(void *arg, const struct pib_row *row)
{
	struct ends *e = arg;

	e->vpns++;
	e->vti |= is_vti(row->data);
}

static void note_end(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer *p = row->data;
	struct ends *e = arg;
	const struct pib_ce_vpn *v = vpn_row(e->store, p->vpn);

	if (!v)
		return;
	if (e->count == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 64;
		struct end *more = reallocarray(e->end, cap, sizeof(*more));

		if (!more) {
			e->no_memory = true;
			return;
		}
		e->end = more;
		e->cap = cap;
	}
	e->end[e->count++] = (struct end) {
	    .local = v->local_addr, .remote = p->addr, .peer = p->id, .vti = is_vti(v)};
}

static int octets_cmp(const struct pib_octets *a, const struct pib_octets *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return a->len == 0 ? 0 : memcmp(a->p, b->p, a->len);
}

static int ends_cmp(const struct end *a, const struct end *b)
{
	int r = octets_cmp(&a->remote, &b->remote);

	return r ? r : octets_cmp(&a->local, &b->local);
}

/* Of the same two ends, those of kind VTI first. */
static int by_ends(const void *x, const void *y)
{
	const struct end *a = x;
	const struct end *b = y;
	int r = ends_cmp(a, b);

	if (r)
		return r;
	if (a->vti != b->vti)
		return a->vti ? -1 : 1;
	return (a->peer > b->peer) - (a->peer < b->peer);
}

int vpn_vti_alone(const struct pib_store *store, struct vpn_faults *f)
{
	struct ends e = {.store = store};
	int ret = 0;

	pib_store_each(store, &pib_ce_vpn_class, note_vpn, &e);
	if (!e.vti || e.vpns < 2)
		return 0;
	pib_store_each(store, &pib_ce_vpn_peer_class, note_end, &e);
	if (e.count > 1)
		qsort(e.end, e.count, sizeof(*e.end), by_ends);
	for (size_t i = 0; i + 1 < e.count && ret == 0; i++)
		if (e.end[i].vti && !ends_cmp(&e.end[i], &e.end[i + 1]))
			ret = vpn_fault(f, &pib_ce_vpn_peer_class, e.end[i].peer,
			    PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_COL_ADDR,
			    "another VPN has a tunnel to this address, and its packets would be "
			    "taken by the interface (VTI) of this one");
	if (e.no_memory)
		ret = vpn_fault_memory(f);
	free(e.end);
	return ret;
}
