/*
 * rows.c - see rows.h.  Columns are filled here and nowhere else; which columns there are is the
 * PIB's business.
 */
#include "pdp/rows.h"

#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

void rows_init(struct rows *r, bool dry)
{
	*r = (struct rows) {.dry = dry};
	decision_init(&r->remove, COPS_CMD_REMOVE);
	decision_init(&r->install, COPS_CMD_INSTALL);
}

void rows_clear(struct rows *r)
{
	decision_clear(&r->remove);
	decision_clear(&r->install);
}

static void take(struct decision *d, size_t rows, struct delta_list *l, bool remove)
{
	if (!rows)
		return;
	struct cops_chunk *c = decision_take(d);
	if (!c)
		l->failed = true;
	else
		delta_list_put(l, c, remove);
	cops_chunk_unref(c);
}

void rows_take(struct rows *r, struct delta_list *l)
{
	if (!r->dry) {
		take(&r->remove, r->removed, l, true);
		take(&r->install, r->installed, l, false);
	}
	rows_clear(r);
	rows_init(r, r->dry);
}

static void install(struct rows *r, const struct pib_class *cls, uint32_t instance, const void *row)
{
	r->installed++;
	if (!r->dry)
		decision_row(&r->install, cls, instance, row);
}

void rows_remove(struct rows *r, const struct pib_class *cls, uint32_t instance)
{
	r->removed++;
	if (!r->dry)
		decision_prid(&r->remove, cls, instance);
}

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {.p = (const uint8_t *)s, .len = (uint32_t)strlen(s)};
}

static struct pib_octets octets(const struct addr *a)
{
	return (struct pib_octets) {.p = a->octets, .len = (uint32_t)addr_len(a)};
}

static int32_t non_vpn_traffic(enum model_internet i)
{
	static const int32_t value[] = {
	    [INTERNET_BYPASS] = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS,
	    [INTERNET_DISCARD] = PIB_CE_VPN_NON_VPN_TRAFFIC_DISCARD,
	    [INTERNET_VIA_HUB] = PIB_CE_VPN_NON_VPN_TRAFFIC_PEER,
	};
	return value[i];
}

void rows_put_vpn(struct rows *r, const struct model_member *m, const struct delta_keys *keys)
{
	const struct model_vpn *v = m->vpn;
	struct pib_ce_vpn row = {
	    .id = v->id->number,
	    .vpn_id = {.p = v->vpn_id, .len = sizeof(v->vpn_id)},
	    .name = text(v->name),
	    .member = m->id->number,
	    .role = (int32_t)m->role,
	    .mode = v->ipip ? PIB_CE_VPN_MODE_IPIP_TRANSPORT : PIB_CE_VPN_MODE_TUNNEL,
	    .keying = v->ike ? PIB_CE_VPN_KEYING_IKE : PIB_CE_VPN_KEYING_CONTROLLER,
	    .proposals = v->id->number,
	    .local_addr_type = addr_inet_type(model_local_addr(m->ce)),
	    .local_addr = octets(model_local_addr(m->ce)),
	    .non_vpn_traffic = non_vpn_traffic(m->internet),
	    .relay = model_relays(m) ? PIB_CE_VPN_RELAY_TRUE : PIB_CE_VPN_RELAY_FALSE,
	    .activation = v->on_demand ? PIB_CE_VPN_ACTIVATION_ON_DEMAND
				       : PIB_CE_VPN_ACTIVATION_PERMANENT,
	    .idle_timeout = v->idle_s,
	    .ike_proposals = v->ike_proposals ? v->id->number : 0,
	    .ike_auth = v->psk ? PIB_CE_VPN_IKE_AUTH_PRESHARED_KEY
			       : PIB_CE_VPN_IKE_AUTH_CERTIFICATE,
	    .nat = m->ce->nat ? PIB_CE_VPN_NAT_TRUE : PIB_CE_VPN_NAT_FALSE,
	    .routing = (int32_t)v->routing,
	    .vrf = text(m->vrf ? m->vrf : ""),
	    .tunnel_addr_type = addr_inet_type(&m->tunnel_addr),
	    .tunnel_addr = octets(&m->tunnel_addr),
	    .dscp = (int32_t)v->dscp,
	    .dscp_value = v->dscp_value,
	    .hellos = v->hellos ? PIB_CE_VPN_HELLOS_TRUE : PIB_CE_VPN_HELLOS_FALSE,
	};
	if (keys && keys->rekey_serial)
		row.rekey_serial = keys->rekey_serial(keys->arg, v->id->number);
	if (keys && keys->epoch_floor)
		row.epoch_floor = keys->epoch_floor(keys->arg, m->id->number);
	install(r, &pib_ce_vpn_class, row.id, &row);
}

bool rows_net_differs(const struct model_vpn *a, const struct model_vpn *b)
{
	return a->ike != b->ike || a->ipip != b->ipip || a->routing != b->routing ||
	       a->hellos != b->hellos || a->dscp != b->dscp || a->dscp_value != b->dscp_value ||
	       a->on_demand != b->on_demand || a->idle_s != b->idle_s || a->psk != b->psk ||
	       !a->ike_proposals != !b->ike_proposals ||
	       memcmp(a->vpn_id, b->vpn_id, sizeof(a->vpn_id)) != 0;
}

bool rows_self_differs(const struct model_member *a, const struct model_member *b)
{
	return a->internet != b->internet ||
	       strcmp(a->vrf ? a->vrf : "", b->vrf ? b->vrf : "") != 0 ||
	       addr_cmp(&a->tunnel_addr, &b->tunnel_addr);
}

bool rows_vpn_differs(const struct model_member *a, const struct model_member *b)
{
	return a->role != b->role || a->ce->nat != b->ce->nat || rows_self_differs(a, b) ||
	       addr_cmp(model_local_addr(a->ce), model_local_addr(b->ce)) ||
	       model_relays(a) != model_relays(b) || rows_net_differs(a->vpn, b->vpn);
}

const struct pib_class *rows_proposal_class(bool ike)
{
	return ike ? &pib_ce_vpn_ike_proposal_class : &pib_ce_vpn_proposal_class;
}

static void put_ike_proposal(
    struct rows *r, const struct model_vpn *v, const struct model_proposal *p, size_t i)
{
	struct pib_ce_vpn_ike_proposal row = {
	    .id = p->id->number,
	    .tag = v->id->number,
	    .order = (uint32_t)i,
	    .encr = p->encr,
	    .encr_key_bits = p->encr_key_bits,
	    .integ = p->integ,
	    .prf = p->prf,
	    .dh = p->dh,
	    .lifetime_seconds = p->lifetime_s,
	};
	install(r, &pib_ce_vpn_ike_proposal_class, row.id, &row);
}

void rows_put_proposal(
    struct rows *r, const struct model_vpn *v, const struct model_proposal *p, size_t i)
{
	struct pib_ce_vpn_proposal row = {
	    .id = p->id->number,
	    .tag = v->id->number,
	    .order = (uint32_t)i,
	    .encr = p->encr,
	    .encr_key_bits = p->encr_key_bits,
	    .integ = p->integ,
	    .replay_window = p->replay_window,
	    .lifetime_seconds = p->lifetime_s,
	    .lifetime_kilobytes = p->lifetime_kilobytes,
	    .protocol = p->ah ? PIB_CE_VPN_PROPOSAL_PROTOCOL_AH : PIB_CE_VPN_PROPOSAL_PROTOCOL_ESP,
	    .esn = p->esn ? PIB_CE_VPN_PROPOSAL_ESN_TRUE : PIB_CE_VPN_PROPOSAL_ESN_FALSE,
	    .dh = p->dh,
	    .soft_seconds = p->soft_s,
	    .soft_kilobytes = p->soft_kilobytes,
	};

	if (p->ike)
		put_ike_proposal(r, v, p, i);
	else
		install(r, &pib_ce_vpn_proposal_class, row.id, &row);
}

bool rows_proposal_differs(const struct model_proposal *a, const struct model_proposal *b)
{
	return a->encr != b->encr || a->encr_key_bits != b->encr_key_bits || a->integ != b->integ ||
	       a->prf != b->prf || a->dh != b->dh || a->ah != b->ah || a->esn != b->esn ||
	       a->replay_window != b->replay_window || a->lifetime_s != b->lifetime_s ||
	       a->lifetime_kilobytes != b->lifetime_kilobytes || a->soft_s != b->soft_s ||
	       a->soft_kilobytes != b->soft_kilobytes;
}

void rows_put_peer(struct rows *r, const struct model_member *m)
{
	struct pib_ce_vpn_peer row = {
	    .id = m->id->number,
	    .vpn = m->vpn->id->number,
	    .name = text(m->ce->name),
	    .role = (int32_t)m->role,
	    .addr_type = addr_inet_type(model_peer_addr(m->ce)),
	    .addr = octets(model_peer_addr(m->ce)),
	    .nat = m->ce->nat ? PIB_CE_VPN_PEER_NAT_TRUE : PIB_CE_VPN_PEER_NAT_FALSE,
	    .managed = m->ce->foreign ? PIB_CE_VPN_PEER_MANAGED_FALSE
				      : PIB_CE_VPN_PEER_MANAGED_TRUE,
	    .tunnel_addr_type = addr_inet_type(&m->tunnel_addr),
	    .tunnel_addr = octets(&m->tunnel_addr),
	    .internet = m->internet == INTERNET_VIA_HUB ? PIB_CE_VPN_PEER_INTERNET_TRUE
							: PIB_CE_VPN_PEER_INTERNET_FALSE,
	};
	install(r, &pib_ce_vpn_peer_class, row.id, &row);
}

bool rows_peer_differs(const struct model_member *a, const struct model_member *b)
{
	return a->role != b->role || a->ce->nat != b->ce->nat ||
	       addr_cmp(model_peer_addr(a->ce), model_peer_addr(b->ce)) ||
	       addr_cmp(&a->tunnel_addr, &b->tunnel_addr) || a->ce->foreign != b->ce->foreign ||
	       (a->internet == INTERNET_VIA_HUB) != (b->internet == INTERNET_VIA_HUB);
}

/* --- prefixes ------------------------------------------------------------------------------- */

struct rows_at rows_space_at(const struct model_member *r)
{
	const struct model_vpn *v = r->vpn;

	if (model_relays(r))
		return (struct rows_at) {.how = ROWS_SPACE};
	if (v->topology == TOPO_HUB_AND_SPOKE && v->relay && v->hubs && r->role == ROLE_SPOKE &&
	    !model_nat_apart(r, v->hub[0]))
		return (struct rows_at) {.how = ROWS_PEER, .peer = v->hub[0]->id->number};
	return (struct rows_at) {.how = ROWS_PEER};
}

struct rows_at rows_internet_at(const struct model_member *r)
{
	const struct model_member *hub = r->vpn->hubs ? r->vpn->hub[0] : NULL;

	if (model_internet_here(r))
		return (struct rows_at) {.how = ROWS_INTERNET};
	if (!hub || r->internet != INTERNET_VIA_HUB)
		return (struct rows_at) {.how = ROWS_ABSENT};
	return (struct rows_at) {.how = ROWS_PEER,
	    .peer = hub->extranet || model_nat_apart(r, hub) ? 0 : hub->id->number};
}

struct rows_at rows_site_at(const struct model_member *m, enum view v)
{
	switch (v) {
	case VIEW_SELF:
		return (struct rows_at) {.how = ROWS_SITE};
	case VIEW_PEER:
		return (struct rows_at) {.how = ROWS_PEER, .peer = m->id->number};
	case VIEW_VIA:
		return (struct rows_at) {.how = ROWS_PEER, .peer = m->vpn->hub[0]->id->number};
	case VIEW_BLOCKED:
		return (struct rows_at) {.how = ROWS_PEER};
	case VIEW_NONE:
	case VIEW_MAX:
		break;
	}
	return (struct rows_at) {.how = ROWS_ABSENT};
}

const struct pib_class *rows_prefix_class(enum rows_how how)
{
	return how == ROWS_PEER ? &pib_ce_vpn_peer_prefix_class : &pib_ce_vpn_local_prefix_class;
}

static void put_local(
    struct rows *r, const struct model_prefix *p, uint32_t vpn, const struct rows_at *at)
{
	struct pib_ce_vpn_local_prefix row = {
	    .id = p->id->number,
	    .vpn = vpn,
	    .addr_type = addr_inet_type(&p->prefix.addr),
	    .addr = octets(&p->prefix.addr),
	    .prefix_length = p->prefix.len,
	    .kind = at->how == ROWS_SPACE      ? PIB_CE_VPN_LOCAL_PREFIX_KIND_SPACE
		    : at->how == ROWS_INTERNET ? PIB_CE_VPN_LOCAL_PREFIX_KIND_INTERNET
					       : PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE,
	};
	install(r, &pib_ce_vpn_local_prefix_class, row.id, &row);
}

static void put_remote(
    struct rows *r, const struct model_prefix *p, uint32_t vpn, const struct rows_at *at)
{
	struct pib_ce_vpn_peer_prefix row = {
	    .id = p->id->number,
	    .vpn = vpn,
	    .peer = at->peer,
	    .addr_type = addr_inet_type(&p->prefix.addr),
	    .addr = octets(&p->prefix.addr),
	    .prefix_length = p->prefix.len,
	};
	install(r, &pib_ce_vpn_peer_prefix_class, row.id, &row);
}

void rows_put_prefix(
    struct rows *r, const struct model_prefix *p, uint32_t vpn, const struct rows_at *at)
{
	if (at->how == ROWS_PEER)
		put_remote(r, p, vpn, at);
	else
		put_local(r, p, vpn, at);
}

/* One step of the merge: a prefix that is in one set or in both (NULL: not). */
static void diff_one(struct rows *r, const struct model_prefix *before, const struct rows_at *from,
    const struct model_prefix *after, const struct rows_at *to, uint32_t vpn)
{
	bool had = before && from->how != ROWS_ABSENT;
	bool has = after && to->how != ROWS_ABSENT;
	bool same_class = had && has && rows_prefix_class(from->how) == rows_prefix_class(to->how);

	if (had && !same_class)
		rows_remove(r, rows_prefix_class(from->how), before->id->number);
	if (has && (!same_class || from->how != to->how || from->peer != to->peer))
		rows_put_prefix(r, after, vpn, to);
}

void rows_diff_prefixes(
    struct rows *r, const struct rows_set *before, const struct rows_set *after, uint32_t vpn)
{
	size_t i = 0;
	size_t k = 0;

	while (i < before->n || k < after->n) {
		int c = i == before->n	? 1
			: k == after->n ? -1
					: prefix_cmp(&before->p[i].prefix, &after->p[k].prefix);
		diff_one(r, c <= 0 ? &before->p[i] : NULL, &before->at,
		    c >= 0 ? &after->p[k] : NULL, &after->at, vpn);
		i += c <= 0;
		k += c >= 0;
	}
}

struct cops_chunk *rows_remove_all(void)
{
	return decision_remove_classes(&pib_ce_vpn_pib_module);
}
