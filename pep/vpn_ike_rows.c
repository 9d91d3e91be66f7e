/* vpn_ike_rows.c - see vpn_ike_rows.h. */
#include "pep/vpn_ike_rows.h"

#include <sys/socket.h>

#include "common/fnv.h"
#include "pib/pib_store.h"

/* --- rows to transforms ------------------------------------------------------------------- */

struct gather {
	struct ike_conf *c;
	uint32_t tag;
	uint32_t order[IKE_TRANSFORMS_MAX];
	struct vpn_faults *f; /* NULL: nobody is told */
	bool ok;
};

/* Where a transform of this order goes, the others moved; -1: no room. */
static int place(uint32_t order[], struct ike_transform t[], size_t *count, uint32_t this)
{
	size_t at = *count;

	if (at == IKE_TRANSFORMS_MAX)
		return -1;
	for (; at > 0 && order[at - 1] > this; at--) {
		order[at] = order[at - 1];
		t[at] = t[at - 1];
	}
	order[at] = this;
	++*count;
	return (int)at;
}

static void check(struct gather *g, const struct ike_transform *t, bool of_ike,
    const struct pib_class *cls, uint32_t instance, const uint8_t column[])
{
	static const char *const what[] = {
	    "", "encryption", "key length", "integrity algorithm", "PRF", "Diffie-Hellman group"};
	char text[128];
	enum ike_unknown u = ike_transform_print(t, of_ike, text, sizeof(text));

	if (u == IKE_KNOWN)
		return;
	g->ok = false;
	if (g->f)
		vpn_fault(g->f, cls, instance, PIB_CPERR_VALUE_SUP, column[u],
		    "the IKE daemon has no such %s", what[u]);
}

static void gather_esp(void *arg, const struct pib_row *row)
{
	static const uint8_t column[] = {0, PIB_CE_VPN_PROPOSAL_COL_ENCR,
	    PIB_CE_VPN_PROPOSAL_COL_ENCR_KEY_BITS, PIB_CE_VPN_PROPOSAL_COL_INTEG, 0,
	    PIB_CE_VPN_PROPOSAL_COL_DH};
	const struct pib_ce_vpn_proposal *p = row->data;
	struct gather *g = arg;
	struct ike_lifetime *l = &g->c->lifetime;
	int at;

	if (p->tag != g->tag || (at = place(g->order, g->c->esp, &g->c->esps, p->order)) < 0)
		return;
	g->c->esp[at] = (struct ike_transform) {.encr = (uint16_t)p->encr,
	    .encr_bits = (uint16_t)p->encr_key_bits,
	    .integ = (uint16_t)p->integ,
	    .dh = (uint16_t)p->dh,
	    .esn = p->esn == PIB_CE_VPN_PROPOSAL_ESN_TRUE};
	if (p->protocol == PIB_CE_VPN_PROPOSAL_PROTOCOL_AH) { /* the policies are ESP's */
		g->ok = false;
		if (g->f)
			vpn_fault(g->f, row->cls, row->instance, PIB_CPERR_ENUM_SUP,
			    PIB_CE_VPN_PROPOSAL_COL_PROTOCOL, "AH is for controller keying only");
	} else {
		check(g, &g->c->esp[at], false, row->cls, row->instance, column);
	}
	if (at != 0)
		return;
	/* charon has one lifetime for all of a child's proposals: that of the best. */
	*l = (struct ike_lifetime) {.soft_s = p->soft_seconds,
	    .hard_s = p->lifetime_seconds,
	    .soft_octets = p->soft_kilobytes * 1024,
	    .hard_octets = p->lifetime_kilobytes * 1024};
	g->c->replay_window = p->replay_window;
}

static void gather_ike(void *arg, const struct pib_row *row)
{
	static const uint8_t column[] = {0, PIB_CE_VPN_IKE_PROPOSAL_COL_ENCR,
	    PIB_CE_VPN_IKE_PROPOSAL_COL_ENCR_KEY_BITS, PIB_CE_VPN_IKE_PROPOSAL_COL_INTEG,
	    PIB_CE_VPN_IKE_PROPOSAL_COL_PRF, PIB_CE_VPN_IKE_PROPOSAL_COL_DH};
	const struct pib_ce_vpn_ike_proposal *p = row->data;
	struct gather *g = arg;
	int at;

	if (p->tag != g->tag || (at = place(g->order, g->c->ike, &g->c->ikes, p->order)) < 0)
		return;
	g->c->ike[at] = (struct ike_transform) {.encr = (uint16_t)p->encr,
	    .encr_bits = (uint16_t)p->encr_key_bits,
	    .integ = (uint16_t)p->integ,
	    .prf = (uint16_t)p->prf,
	    .dh = (uint16_t)p->dh};
	check(g, &g->c->ike[at], true, row->cls, row->instance, column);
	if (at == 0)
		g->c->ike_lifetime_s = p->lifetime_seconds;
}

bool vpn_ike_conf(const struct pib_store *store, const struct vpn_net *n, const char *identity,
    const struct ike_creds *creds, struct ike_conf *c, struct vpn_faults *f)
{
	struct gather g = {.c = c, .f = f, .ok = true};

	*c = (struct ike_conf) {.local = n->member.local,
	    .local_id = identity,
	    .psk = n->row->ike_auth == PIB_CE_VPN_IKE_AUTH_PRESHARED_KEY,
	    .certificate = creds->certificate,
	    .ca = creds->ca,
	    .mark = n->member.mark,
	    .transport = n->row->mode != PIB_CE_VPN_MODE_TUNNEL,
	    .dscp_clear = n->member.dscp_clear};
	if (n->row->activation == PIB_CE_VPN_ACTIVATION_ON_DEMAND)
		c->idle_s = n->row->idle_timeout;
	g.tag = n->row->proposals;
	pib_store_each(store, &pib_ce_vpn_proposal_class, gather_esp, &g);
	g.tag = n->row->ike_proposals;
	if (g.tag)
		pib_store_each(store, &pib_ce_vpn_ike_proposal_class, gather_ike, &g);
	if (!c->esps) {
		if (f)
			vpn_fault(f, &pib_ce_vpn_class, n->row->id, PIB_CPERR_REFERENCE,
			    PIB_CE_VPN_COL_PROPOSALS, "there is no proposal with tag %u",
			    (unsigned)n->row->proposals);
		return false;
	}
	return g.ok;
}

/* --- traffic selectors ------------------------------------------------------------------------ */

static void ts_add(
    struct vpn_ike_ts *t, const struct prefix *p, const struct pib_class *cls, uint32_t row)
{
	for (size_t i = 0; i < t->count; i++)
		if (!prefix_cmp(&t->p[i], p))
			return;
	if (t->count < VPN_IKE_TS_MAX) {
		t->p[t->count++] = *p;
		return;
	}
	t->rest = fnv_add(
	    fnv_add(t->rest, p->addr.octets, addr_len(&p->addr)), &p->len, sizeof(p->len));
	if (!t->cls) {
		t->cls = cls;
		t->row = row;
	}
}

void vpn_ike_ts_list(struct vpn_ike_ts *t, const struct spd_list *l, const struct pib_class *cls)
{
	for (size_t i = 0; i < l->count; i++)
		ts_add(t, &l->p[i].prefix, cls, l->p[i].row);
}

static void ts_far(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *p = row->data;
	struct vpn_ike_ts *t = arg;
	struct prefix prefix;

	if (!p->peer || p->peer == t->but ||
	    addr_from_octets(&prefix.addr, p->addr.p, p->addr.len) < 0)
		return;
	prefix.len = (uint8_t)p->prefix_length;
	ts_add(t, &prefix, row->cls, row->instance);
}

void vpn_ike_ts_near(
    const struct pib_store *store, const struct vpn_net *n, uint32_t peer, struct vpn_ike_ts *t)
{
	const struct pib_row *row = pib_store_find(store, &pib_ce_vpn_peer_class, peer);
	const struct pib_ce_vpn_peer *p = row ? row->data : NULL;

	if (n->vti) {
		vpn_ike_ts_any(t);
		return;
	}
	*t = (struct vpn_ike_ts) {.but = peer};
	vpn_ike_ts_list(t, &n->near.site, &pib_ce_vpn_local_prefix_class);
	if (p && p->internet == PIB_CE_VPN_PEER_INTERNET_TRUE)
		vpn_ike_ts_list(t, &n->near.internet, &pib_ce_vpn_local_prefix_class);
	if (!n->near.relay)
		return;
	if (n->near.space.count)
		vpn_ike_ts_list(t, &n->near.space, &pib_ce_vpn_local_prefix_class);
	else
		pib_store_referrers(store, &pib_ce_vpn_peer_prefix_class,
		    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_VPN),
		    n->row->id, ts_far, t);
}

void vpn_ike_ts_any(struct vpn_ike_ts *t)
{
	*t = (struct vpn_ike_ts) {.count = 1};
	t->p[0] = (struct prefix) {.addr.family = AF_INET};
}

void vpn_ike_ts_host(struct vpn_ike_ts *t, const struct addr *a)
{
	*t = (struct vpn_ike_ts) {0};
	t->p[t->count++] = (struct prefix) {.addr = *a, .len = (uint8_t)(8 * addr_len(a))};
}
