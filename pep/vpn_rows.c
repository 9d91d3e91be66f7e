/*
 * vpn_rows.c - rows of CE-VPN-PIB to values, with every check before the kernel
 * (see vpn_rows.h).  References and ranges were checked by the store.
 */
#include "pep/vpn_rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define FAR_PREFIXES_MAX 4096 /* behind one peer */
#define MEMBER_MAX	 0xffffffU

static const struct pib_class *const vpn_class = &pib_ce_vpn_class;

/* --- addresses -------------------------------------------------------------- */

struct columns { /* where an address stands in its class */
	const struct pib_class *cls;
	uint8_t type;
	uint8_t addr;
	uint8_t len;
};

static const struct columns vpn_columns = {
    &pib_ce_vpn_class, PIB_CE_VPN_COL_LOCAL_ADDR_TYPE, PIB_CE_VPN_COL_LOCAL_ADDR, 0};
static const struct columns peer_columns = {
    &pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_ADDR_TYPE, PIB_CE_VPN_PEER_COL_ADDR, 0};
static const struct columns inner_columns = {
    &pib_ce_vpn_class, PIB_CE_VPN_COL_TUNNEL_ADDR_TYPE, PIB_CE_VPN_COL_TUNNEL_ADDR, 0};
static const struct columns peer_inner_columns = {&pib_ce_vpn_peer_class,
    PIB_CE_VPN_PEER_COL_TUNNEL_ADDR_TYPE, PIB_CE_VPN_PEER_COL_TUNNEL_ADDR, 0};
static const struct columns local_columns = {&pib_ce_vpn_local_prefix_class,
    PIB_CE_VPN_LOCAL_PREFIX_COL_ADDR_TYPE, PIB_CE_VPN_LOCAL_PREFIX_COL_ADDR,
    PIB_CE_VPN_LOCAL_PREFIX_COL_PREFIX_LENGTH};
static const struct columns far_columns = {&pib_ce_vpn_peer_prefix_class,
    PIB_CE_VPN_PEER_PREFIX_COL_ADDR_TYPE, PIB_CE_VPN_PEER_PREFIX_COL_ADDR,
    PIB_CE_VPN_PEER_PREFIX_COL_PREFIX_LENGTH};

static int load_addr(struct addr *a, const struct columns *c, uint32_t instance, int32_t type,
    const struct pib_octets *o, struct vpn_faults *f)
{
	if (type != 1 && type != 2)
		return vpn_fault(f, c->cls, instance, PIB_CPERR_ENUM_SUP, c->type,
		    "only IPv4 and IPv6 addresses are supported");
	if (addr_from_octets(a, o->p, o->len) < 0 || addr_inet_type(a) != type)
		return vpn_fault(f, c->cls, instance, PIB_CPERR_VALUE, c->addr,
		    "an address of %u octets does not fit its type", (unsigned)o->len);
	return 0;
}

static int load_prefix(struct spd_prefix *p, const struct columns *c, uint32_t instance,
    int32_t type, const struct pib_octets *o, uint32_t len, struct vpn_faults *f)
{
	struct prefix whole;

	*p = (struct spd_prefix) {.row = instance};
	if (load_addr(&p->prefix.addr, c, instance, type, o, f) < 0)
		return -1;
	if (len > 8 * addr_len(&p->prefix.addr))
		return vpn_fault(f, c->cls, instance, PIB_CPERR_VALUE, c->len,
		    "a prefix of %u bits is too long for its address", (unsigned)len);
	p->prefix.len = (uint8_t)len;
	/* host bits: the address masked to its prefix must be itself */
	whole = p->prefix;
	for (size_t i = 0; i < addr_len(&whole.addr); i++) {
		unsigned used = len > 8 * i ? len - 8 * (unsigned)i : 0;
		if (used < 8 && whole.addr.octets[i] & (0xff >> used))
			return vpn_fault(f, c->cls, instance, PIB_CPERR_VALUE, c->addr,
			    "address bits beyond the prefix length are not zero");
	}
	return 0;
}

/* --- lists ------------------------------------------------------------------ */

struct gather { /* prefixes met while walking the store */
	const struct vpn_env *env;
	struct vpn_faults *f;
	struct spd_near *near;
	struct spd_list *far;
	uint32_t vpn;
	size_t max;
	int ret;
};

static void list_add(
    struct gather *g, struct spd_list *l, const struct spd_prefix *p, const struct pib_class *cls)
{
	struct spd_prefix *more;

	if (l->count == g->max) {
		g->ret = vpn_fault(g->f, cls, p->row, PIB_CPERR_SPACE, 0,
		    "more than %zu prefixes in one place", g->max);
		return;
	}
	if ((l->count & (l->count - 1)) == 0) { /* doubles at every power of two */
		more = reallocarray(l->p, l->count ? 2 * l->count : 1, sizeof(*more));
		if (!more) {
			g->ret = vpn_fault_memory(g->f);
			return;
		}
		l->p = more;
	}
	l->p[l->count++] = *p;
}

static void gather_local(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_local_prefix *r = row->data;
	struct gather *g = arg;
	struct spd_prefix p;

	if (load_prefix(&p, &local_columns, row->instance, r->addr_type, &r->addr, r->prefix_length,
		g->f) < 0) {
		g->ret = -1;
		return;
	}
	if (r->kind == PIB_CE_VPN_LOCAL_PREFIX_KIND_INTERNET && p.prefix.len > 0) {
		g->ret = vpn_fault(g->f, row->cls, row->instance, PIB_CPERR_VALUE,
		    PIB_CE_VPN_LOCAL_PREFIX_COL_PREFIX_LENGTH,
		    "what is outside of a VPN has a prefix of length 0");
		return;
	}
	list_add(g,
	    r->kind == PIB_CE_VPN_LOCAL_PREFIX_KIND_SPACE      ? &g->near->space
	    : r->kind == PIB_CE_VPN_LOCAL_PREFIX_KIND_INTERNET ? &g->near->internet
							       : &g->near->site,
	    &p, row->cls);
}

static void gather_far(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *r = row->data;
	struct gather *g = arg;
	struct spd_prefix p;

	if (r->vpn != g->vpn) {
		g->ret = vpn_fault(g->f, row->cls, row->instance, PIB_CPERR_REFERENCE,
		    PIB_CE_VPN_PEER_PREFIX_COL_PEER, "the peer is in another VPN");
		return;
	}
	if (load_prefix(&p, &far_columns, row->instance, r->addr_type, &r->addr, r->prefix_length,
		g->f) < 0) {
		g->ret = -1;
		return;
	}
	list_add(g, g->far, &p, row->cls);
	if (g->far->count > 1 && g->env->ops->one_family &&
	    g->far->p[0].prefix.addr.family != p.prefix.addr.family)
		g->ret = vpn_fault(g->f, row->cls, row->instance, PIB_CPERR_VALUE_SUP,
		    PIB_CE_VPN_PEER_PREFIX_COL_ADDR_TYPE,
		    "%s has one family inside a tunnel: IPv4 and IPv6 behind one peer need the "
		    "back end xfrm",
		    g->env->ops->name);
}

/* --- VPN -------------------------------------------------------------------- */

struct choice { /* the proposals of a list, best first */
	uint32_t tag;
	const struct pib_ce_vpn_proposal *p[SUITES_MAX];
	unsigned count;
};

static struct suite suite_of(const struct pib_ce_vpn_proposal *p)
{
	return (struct suite) {
	    .protocol = p->protocol == PIB_CE_VPN_PROPOSAL_PROTOCOL_AH ? SUITE_AH : SUITE_ESP,
	    .esn = p->esn == PIB_CE_VPN_PROPOSAL_ESN_TRUE,
	    .encr = (uint16_t)p->encr,
	    .encr_key_bits = (uint16_t)p->encr_key_bits,
	    .integ = (uint16_t)p->integ,
	};
}

static int proposal_can(
    const struct vpn_env *env, const struct pib_ce_vpn_proposal *p, struct kern_fault *k)
{
	const struct suite s = suite_of(p);

	return env->ops->can(env->kern, &s, p->replay_window, k);
}

static void choose(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_proposal *p = row->data;
	struct choice *c = arg;
	unsigned at = c->count;

	if (p->tag != c->tag)
		return;
	while (at > 0 && c->p[at - 1]->order > p->order)
		at--;
	if (at == SUITES_MAX)
		return; /* worse than as many as we look at */
	if (c->count < SUITES_MAX)
		c->count++;
	memmove(&c->p[at + 1], &c->p[at], (c->count - at - 1) * sizeof(c->p[0]));
	c->p[at] = p;
}

static int check_soft(const struct pib_ce_vpn_proposal *p, struct vpn_faults *f)
{
	if ((p->soft_seconds && p->soft_seconds >= p->lifetime_seconds) ||
	    (p->soft_kilobytes && p->soft_kilobytes >= p->lifetime_kilobytes))
		return vpn_fault(f, &pib_ce_vpn_proposal_class, p->id, PIB_CPERR_VALUE,
		    p->soft_seconds && p->soft_seconds >= p->lifetime_seconds
			? PIB_CE_VPN_PROPOSAL_COL_SOFT_SECONDS
			: PIB_CE_VPN_PROPOSAL_COL_SOFT_KILOBYTES,
		    "the soft lifetime is not shorter than the lifetime");
	return 0;
}

static struct keying_transform transform_of(const struct pib_ce_vpn_proposal *p)
{
	const struct suite s = suite_of(p);

	return (struct keying_transform) {
	    .protocol = s.protocol,
	    .esn = s.esn,
	    .encr = s.encr,
	    .encr_key_bits = s.encr_key_bits,
	    .integ = s.integ,
	    .replay_window = p->replay_window,
	    .lifetime_s = p->lifetime_seconds,
	    .lifetime_kilobytes = p->lifetime_kilobytes,
	    .soft_s = p->soft_seconds,
	    .soft_kilobytes = p->soft_kilobytes,
	    .proposal = p->id,
	};
}

static bool suite_twice(const struct keying_member *m, const struct keying_transform *t)
{
	for (unsigned i = 0; i < m->transforms; i++)
		if (m->transform[i].protocol == t->protocol && m->transform[i].esn == t->esn &&
		    m->transform[i].encr == t->encr &&
		    m->transform[i].encr_key_bits == t->encr_key_bits &&
		    m->transform[i].integ == t->integ)
			return true;
	return false;
}

/* The proposals that can be done; a VPN of which none can is refused for its first. */
static int load_transforms(struct keying_member *m, const struct vpn_env *env,
    const struct pib_ce_vpn *v, struct vpn_faults *f)
{
	struct choice c = {.tag = v->proposals};
	struct kern_fault k;
	struct kern_fault first = {0};
	struct korigin o = {
	    .cls = &pib_ce_vpn_proposal_class,
	    .alg_cls = &pib_ce_vpn_proposal_class,
	    .encr_column = PIB_CE_VPN_PROPOSAL_COL_ENCR,
	    .integ_column = PIB_CE_VPN_PROPOSAL_COL_INTEG,
	};

	pib_store_each(env->store, &pib_ce_vpn_proposal_class, choose, &c);
	if (!c.count)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_REFERENCE, PIB_CE_VPN_COL_PROPOSALS,
		    "there is no proposal with tag %u", (unsigned)v->proposals);
	for (unsigned i = 0; i < c.count; i++) {
		const struct keying_transform t = transform_of(c.p[i]);

		if (c.p[i]->protocol != c.p[0]->protocol)
			return vpn_fault(f, &pib_ce_vpn_proposal_class, c.p[i]->id, PIB_CPERR_VALUE,
			    PIB_CE_VPN_PROPOSAL_COL_PROTOCOL, "AH and ESP in one VPN");
		if (check_soft(c.p[i], f) < 0)
			return -1;
		if (proposal_can(env, c.p[i], i == 0 ? &first : &k) == 0 && !suite_twice(m, &t))
			m->transform[m->transforms++] = t;
	}
	if (m->transforms)
		return 0;
	o.instance = o.alg_instance = c.p[0]->id;
	return vpn_fault_kernel(f, &first, &o);
}

static int check_local(
    const struct vpn_env *env, const struct addr *a, uint32_t vpn, struct vpn_faults *f)
{
	char text[ADDR_STRLEN];

	if (env->ops->has_addr(env->kern, a))
		return 0;
	if (env->lenient) {
		log_warn("%s is not an address of this host (any more)", addr_print(a, text));
		return 0;
	}
	return vpn_fault(f, vpn_class, vpn, PIB_CPERR_SPECIFIC,
	    PIB_CE_VPN_ERR_NO_SUCH_LOCAL_ADDRESS, "%s is not an address of this host",
	    addr_print(a, text));
}

struct same_member {
	const struct pib_ce_vpn *v;
	bool found;
	bool others; /* there are other VPNs */
};

static void match_member(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct same_member *s = arg;

	s->others |= v->id != s->v->id;
	if (v->id != s->v->id && v->member == s->v->member)
		s->found = true;
}

/* Of tunnel mode; what makes tunnel interfaces does all of it. */
static int check_dscp(const struct vpn_env *env, const struct pib_ce_vpn *v, struct vpn_faults *f)
{
	if (v->mode != PIB_CE_VPN_MODE_TUNNEL)
		return 0;
	if (v->dscp == PIB_CE_VPN_DSCP_SET)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_DSCP,
		    "tunnel mode copies the DSCP or clears it");
	if (v->dscp == PIB_CE_VPN_DSCP_CLEAR && v->keying == PIB_CE_VPN_KEYING_CONTROLLER &&
	    !env->ops->dscp)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_DSCP,
		    "back end %s cannot clear the DSCP: it takes the back end xfrm",
		    env->ops->name);
	return 0;
}

static int check_vpn(
    struct vpn_net *n, const struct vpn_env *env, const struct pib_ce_vpn *v, struct vpn_faults *f)
{
	struct same_member s = {.v = v};

	if (v->mode == PIB_CE_VPN_MODE_IPIP_TRANSPORT && !env->ops->tunnel_put)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_MODE,
		    "only tunnel mode is supported with back end %s", env->ops->name);
	if (v->activation != PIB_CE_VPN_ACTIVATION_PERMANENT && v->keying != PIB_CE_VPN_KEYING_IKE)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_ACTIVATION,
		    "only IKE makes tunnels on demand");
	if (v->nat == PIB_CE_VPN_NAT_TRUE && v->mode != PIB_CE_VPN_MODE_TUNNEL)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_NAT,
		    "transport mode cannot pass NAT");
	if (check_dscp(env, v, f) < 0)
		return -1;
	if (!env->keying(v->keying))
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_KEYING,
		    "there is no keying of this kind");
	pib_store_each(env->store, vpn_class, match_member, &s);
	n->near.several = s.others;
	if (s.found)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_VALUE, PIB_CE_VPN_COL_MEMBER,
		    "another VPN has membership %u", (unsigned)v->member);
	return 0;
}

/* --- routing daemons over tunnels ------------------------------------------- */

/* An address inside tunnels: a host's, IPv4, and no site's. */
static int load_inner(struct addr *a, const struct vpn_net *n, const struct columns *c,
    uint32_t instance, int32_t type, const struct pib_octets *o, struct vpn_faults *f)
{
	char text[ADDR_STRLEN];

	if (o->len == 0)
		return vpn_fault(f, c->cls, instance, PIB_CPERR_VALUE, c->addr,
		    "dynamic routing needs an address inside the tunnels");
	if (load_addr(a, c, instance, type, o, f) < 0)
		return -1;
	if (a->family != AF_INET)
		return vpn_fault(f, c->cls, instance, PIB_CPERR_ENUM_SUP, c->type,
		    "only IPv4 goes through a tunnel interface");
	for (size_t i = 0; i < n->near.site.count; i++)
		if (prefix_has(&n->near.site.p[i].prefix, a))
			return vpn_fault(f, c->cls, instance, PIB_CPERR_VALUE, c->addr,
			    "%s, an address inside tunnels, is one of the site's",
			    addr_print(a, text));
	return 0;
}

struct same_inner {
	const struct pib_ce_vpn *v;
	bool found;
};

static void match_inner(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct same_inner *s = arg;

	s->found |= v->id != s->v->id && v->tunnel_addr.len == s->v->tunnel_addr.len &&
		    memcmp(v->tunnel_addr.p, s->v->tunnel_addr.p, v->tunnel_addr.len) == 0;
}

static int load_dynamic(struct vpn_net *n, const struct vpn_env *env, struct vpn_faults *f)
{
	const struct pib_ce_vpn *v = n->row;
	struct same_inner s = {.v = v};

	n->dynamic = v->routing == PIB_CE_VPN_ROUTING_DYNAMIC;
	if (!n->dynamic && v->tunnel_addr.len != 0)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_VALUE_SUP,
		    PIB_CE_VPN_COL_TUNNEL_ADDR, "an address inside tunnels is for dynamic routing");
	if (!n->dynamic)
		return 0;
	if (n->vti && vpn_vti_check(n, env, f) < 0)
		return -1;
	if (env->lockdown && !env->lenient)
		return vpn_fault(f, vpn_class, v->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_ROUTING,
		    "with lockdown the kernel lets routing daemons send nothing into tunnels");
	n->hellos = v->activation == PIB_CE_VPN_ACTIVATION_PERMANENT ||
		    v->hellos == PIB_CE_VPN_HELLOS_TRUE;
	if (load_inner(
		&n->inner, n, &inner_columns, v->id, v->tunnel_addr_type, &v->tunnel_addr, f) < 0)
		return -1;
	pib_store_each(env->store, vpn_class, match_inner, &s);
	return !s.found
		   ? 0
		   : vpn_fault(f, vpn_class, v->id, PIB_CPERR_VALUE, PIB_CE_VPN_COL_TUNNEL_ADDR,
			 "another VPN has this address inside its tunnels");
}

int vpn_net_load(
    struct vpn_net *n, const struct vpn_env *env, uint32_t instance, struct vpn_faults *f)
{
	const struct pib_row *row = pib_store_find(env->store, vpn_class, instance);
	struct gather g = {.env = env,
	    .f = f,
	    .near = &n->near,
	    .vpn = instance,
	    .max = env->lockdown ? VPN_SITE_LOCKED_MAX : VPN_SITE_MAX};
	const struct pib_ce_vpn *v = row->data;

	*n = (struct vpn_net) {.row = v};
	n->member.vpn = instance;
	n->member.member = v->member;
	n->member.nat = v->nat == PIB_CE_VPN_NAT_TRUE;
	n->member.rekey_serial = v->rekey_serial;
	n->member.epoch_floor = v->epoch_floor;
	memcpy(n->member.vpn_id, v->vpn_id.p, sizeof(n->member.vpn_id));
	n->table = KERN_TABLE_MAIN;
	n->vti = v->mode == PIB_CE_VPN_MODE_TUNNEL && v->routing == PIB_CE_VPN_ROUTING_DYNAMIC;
	n->links = n->vti || v->mode == PIB_CE_VPN_MODE_IPIP_TRANSPORT;
	n->member.mode = v->mode == PIB_CE_VPN_MODE_IPIP_TRANSPORT ? KERN_TRANSPORT : KERN_TUNNEL;
	n->near.relay = v->relay == PIB_CE_VPN_RELAY_TRUE;
	n->near.lockdown = env->lockdown;
	n->near.discard_other = v->non_vpn_traffic == PIB_CE_VPN_NON_VPN_TRAFFIC_DISCARD;
	n->near.elsewhere = v->non_vpn_traffic == PIB_CE_VPN_NON_VPN_TRAFFIC_PEER;
	n->member.dscp_clear = n->member.mode == KERN_TUNNEL && v->dscp == PIB_CE_VPN_DSCP_CLEAR;
	pib_store_referrers(env->store, &pib_ce_vpn_local_prefix_class,
	    pib_column_find(&pib_ce_vpn_local_prefix_class, PIB_CE_VPN_LOCAL_PREFIX_COL_VPN),
	    instance, gather_local, &g);
	if (check_vpn(n, env, v, f) < 0 || vpn_vrf_load(n, env, f) < 0)
		g.ret = -1;
	if (load_addr(&n->member.local, &vpn_columns, instance, v->local_addr_type, &v->local_addr,
		f) < 0 ||
	    check_local(env, &n->member.local, instance, f) < 0)
		g.ret = -1;
	if (v->keying == PIB_CE_VPN_KEYING_CONTROLLER && load_transforms(&n->member, env, v, f) < 0)
		g.ret = -1;
	if (g.ret == 0 && load_dynamic(n, env, f) < 0)
		g.ret = -1;
	if (g.ret < 0)
		vpn_net_clear(n);
	return g.ret;
}

void vpn_net_clear(struct vpn_net *n)
{
	free(n->near.site.p);
	free(n->near.space.p);
	free(n->near.internet.p);
	n->near = (struct spd_near) {0};
}

/* --- peers ------------------------------------------------------------------ */

static int check_peer(struct vpn_peer *p, const struct vpn_net *n, struct vpn_faults *f)
{
	const struct pib_ce_vpn_peer *r = p->row;
	const struct pib_class *cls = &pib_ce_vpn_peer_class;

	if (r->id > MEMBER_MAX || r->id == n->member.member)
		return vpn_fault(f, cls, r->id, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_ID,
		    "not a peer's membership number");
	if (r->name.len >= sizeof(p->name) || memchr(r->name.p, '\0', r->name.len))
		return vpn_fault(
		    f, cls, r->id, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_NAME, "not a name");
	memcpy(p->name, r->name.p, r->name.len);
	if (load_addr(&p->peer.addr, &peer_columns, r->id, r->addr_type, &r->addr, f) < 0)
		return -1;
	if (p->peer.addr.family != n->member.local.family)
		return vpn_fault(f, cls, r->id, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_COL_ADDR,
		    "the peer's address and ours are of different families");
	p->peer.nat = r->nat == PIB_CE_VPN_PEER_NAT_TRUE;
	if (p->peer.nat && n->row->mode != PIB_CE_VPN_MODE_TUNNEL)
		return vpn_fault(f, cls, r->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_COL_NAT,
		    "transport mode cannot pass NAT");
	if ((p->peer.nat || n->member.nat) && n->member.transform[0].protocol == SUITE_AH)
		return vpn_fault(f, cls, r->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_COL_NAT,
		    "AH cannot pass NAT");
	if (p->peer.nat && n->member.nat && n->row->keying == PIB_CE_VPN_KEYING_CONTROLLER)
		return vpn_fault(f, cls, r->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_COL_NAT,
		    "both are behind NAT: only IKE can do that");
	if (r->managed == PIB_CE_VPN_PEER_MANAGED_FALSE &&
	    n->row->keying == PIB_CE_VPN_KEYING_CONTROLLER)
		return vpn_fault(f, cls, r->id, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_COL_MANAGED,
		    "only IKE reaches a peer that is not managed");
	if (!addr_cmp(&p->peer.addr, &n->member.local))
		return vpn_fault(f, cls, r->id, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_ADDR,
		    "the peer's address is our own");
	if (n->dynamic && load_inner(&p->inner, n, &peer_inner_columns, r->id, r->tunnel_addr_type,
			      &r->tunnel_addr, f) < 0)
		return -1;
	if (n->vti && vpn_vti_check_peer(n, p, f) < 0)
		return -1;
	if (n->dynamic && !addr_cmp(&p->inner, &n->inner))
		return vpn_fault(f, cls, r->id, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_TUNNEL_ADDR,
		    "the peer's address inside tunnels is our own");
	return 0;
}

static void note_family(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *r = row->data;
	uint8_t *family = arg;

	if (*family == 0)
		*family = r->addr_type == PIB_CE_VPN_PEER_PREFIX_ADDR_TYPE_IPV6 ? AF_INET6
										: AF_INET;
}

/* Of what is behind the peer, where an SA has to know; 0: both, or there is nothing. */
static uint8_t inner_family(const struct vpn_env *env, uint32_t peer)
{
	uint8_t family = 0;

	if (env->ops->one_family)
		pib_store_referrers(env->store, &pib_ce_vpn_peer_prefix_class,
		    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_PEER),
		    peer, note_family, &family);
	return family;
}

/* What is behind a tunnel interface is reached by routes. */
static int check_routed(const struct vpn_peer *p, const struct vpn_net *n,
    const struct spd_prefix *far, struct vpn_faults *f)
{
	const struct pib_class *cls = &pib_ce_vpn_peer_prefix_class;
	char text[PREFIX_STRLEN];

	if (far->prefix.addr.family != AF_INET)
		return vpn_fault(f, cls, far->row, PIB_CPERR_ENUM_SUP,
		    PIB_CE_VPN_PEER_PREFIX_COL_ADDR_TYPE,
		    "%s: only IPv4 goes through a tunnel interface",
		    prefix_print(&far->prefix, text));
	if (prefix_has(&far->prefix, &p->peer.addr) || prefix_has(&far->prefix, &n->member.local))
		return vpn_fault(f, cls, far->row, PIB_CPERR_VALUE_SUP,
		    PIB_CE_VPN_PEER_PREFIX_COL_ADDR,
		    "%s has an end of the tunnel in it, which cannot be routed into the tunnel",
		    prefix_print(&far->prefix, text));
	return 0;
}

int vpn_peer_load(struct vpn_peer *p, const struct vpn_env *env, const struct vpn_net *n,
    uint32_t instance, bool prefixes, struct vpn_faults *f)
{
	const struct pib_row *row = pib_store_find(env->store, &pib_ce_vpn_peer_class, instance);
	struct gather g = {
	    .env = env, .f = f, .far = &p->far, .vpn = n->member.vpn, .max = FAR_PREFIXES_MAX};

	*p = (struct vpn_peer) {.row = row->data};
	p->peer.peer = instance;
	p->peer.name = p->name;
	if (check_peer(p, n, f) < 0)
		return -1;
	if (prefixes)
		pib_store_referrers(env->store, &pib_ce_vpn_peer_prefix_class,
		    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_PEER),
		    instance, gather_far, &g);
	p->peer.inner = inner_family(env, instance);
	for (size_t i = 0; n->links && i < p->far.count; i++)
		if (check_routed(p, n, &p->far.p[i], f) < 0)
			g.ret = -1;
	if (g.ret < 0)
		vpn_peer_clear(p);
	return g.ret;
}

void vpn_peer_clear(struct vpn_peer *p)
{
	free(p->far.p);
	p->far = (struct spd_list) {0};
}

struct keys {
	struct vpn_peer *p;
	struct vpn_faults *f;
	int ret;
};

/* What a list's transforms can do is found out when an SA is to be made of one. */
static int check_key(const struct pib_ce_vpn_peer_key *r, struct vpn_faults *f)
{
	bool transforms = suites_ok(r->transforms.p, r->transforms.len, SUITES_MAX);

	if (transforms && suites_ok(r->sends.p, r->sends.len, SENDS_MAX))
		return 0;
	return vpn_fault(f, &pib_ce_vpn_peer_key_class, r->id, PIB_CPERR_VALUE,
	    transforms ? PIB_CE_VPN_PEER_KEY_COL_SENDS : PIB_CE_VPN_PEER_KEY_COL_TRANSFORMS,
	    "not a list of transforms");
}

static void gather_key(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_key *r = row->data;
	struct keys *g = arg;
	struct keying_peer *p = &g->p->peer;
	unsigned at = 0;

	if (check_key(r, g->f) < 0) {
		g->ret = -1;
		return;
	}
	while (at < p->keys && p->key[at].epoch > r->epoch)
		at++;
	if (at == KEYING_EPOCHS)
		return; /* older than as many as we look at */
	if (p->keys < KEYING_EPOCHS)
		p->keys++;
	memmove(&p->key[at + 1], &p->key[at], (p->keys - at - 1U) * sizeof(p->key[0]));
	p->key[at] = (struct keying_peer_key) {
	    .instance = row->instance,
	    .epoch = r->epoch,
	    .public_key = r->public_key.p,
	    .nonce = r->nonce.p,
	    .transforms = r->transforms,
	    .sends = r->sends,
	    .certificate = r->certificate,
	    .signature = r->signature,
	};
}

static void gather_ack(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_ack *r = row->data;
	*(uint32_t *)arg = r->epoch;
}

uint32_t vpn_peer_acked(const struct pib_store *store, uint32_t peer)
{
	uint32_t epoch = 0;
	pib_store_referrers(store, &pib_ce_vpn_peer_ack_class,
	    pib_column_find(&pib_ce_vpn_peer_ack_class, PIB_CE_VPN_PEER_ACK_COL_PEER), peer,
	    gather_ack, &epoch);
	return epoch;
}

int vpn_peer_keys(struct vpn_peer *p, const struct vpn_env *env, struct vpn_faults *f)
{
	struct keys g = {.p = p, .f = f};

	pib_store_referrers(env->store, &pib_ce_vpn_peer_key_class,
	    pib_column_find(&pib_ce_vpn_peer_key_class, PIB_CE_VPN_PEER_KEY_COL_PEER), p->row->id,
	    gather_key, &g);
	p->peer.acked = vpn_peer_acked(env->store, p->row->id);
	return g.ret;
}

int vpn_blocked_load(
    struct spd_prefix *p, const struct vpn_env *env, uint32_t instance, struct vpn_faults *f)
{
	const struct pib_ce_vpn_peer_prefix *r =
	    pib_store_find(env->store, &pib_ce_vpn_peer_prefix_class, instance)->data;

	return load_prefix(p, &far_columns, instance, r->addr_type, &r->addr, r->prefix_length, f);
}
