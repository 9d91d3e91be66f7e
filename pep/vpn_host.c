/*
 * vpn_host.c - what of this host VPNs stand on: addresses within their sites, the interface with
 * the outer address; and what is made of it, a VPN's device with its MTU and the routes into it.
 * Changes are followed, and told: people should know that a site is not as it was when policy came.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fnv.h"
#include "common/log.h"
#include "pep/host_list.h"
#include "pep/kern_suite.h"
#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

#define MTU_FALLBACK 1500
#define MTU_MIN	     1280 /* with less there is no IPv6; each SA sees to what its own path takes */

struct vpn_host { /* of a VPN that was enforced */
	uint32_t vpn;
	uint32_t table;
	bool links;
	bool held;
	bool vrf_missing;
	char vrf[KERN_IF_NAME_LEN];
	struct addr local;
	struct vpn_here now;
	struct vpn_here told; /* as it was when its row came */
	UT_hash_handle hh;
};

/* --- looking ---------------------------------------------------------------- */

#define OWN_MAX 64 /* addresses within a site that are looked at, of a family */

struct owns {
	struct kern_own own[OWN_MAX];
	size_t count;
};

struct looking {
	const struct vpn_net *n;
	uint32_t outer; /* its interface */
	struct owns v4;
	struct owns v6;
};

static void look_at(struct looking *l, const struct kern_own *a)
{
	struct owns *o = a->addr.family == AF_INET6 ? &l->v6 : &l->v4;
	bool within = false;

	if (!addr_cmp(&a->addr, &l->n->member.local))
		l->outer = a->interface;
	for (size_t i = 0; i < l->n->near.site.count && !within; i++)
		within = prefix_has(&l->n->near.site.p[i].prefix, &a->addr);
	if (within && o->count < OWN_MAX)
		o->own[o->count++] = *a;
}

static void note_linked(struct vpn_net *n, struct spd_prefix *site)
{
	if (!site->linked)
		n->here.linked += fnv_add(FNV_START, &site->row, sizeof(site->row));
	site->linked = true;
}

static void note_link(struct vpn_net *n, const struct kern_own *a)
{
	for (size_t i = 0; i < n->near.site.count; i++) {
		struct spd_prefix *site = &n->near.site.p[i];

		if (!prefix_has(&site->prefix, &a->addr))
			continue;
		if (a->len == site->prefix.len)
			note_linked(n, site);
		else if (a->len < 8 * addr_len(&a->addr)) /* not an address alone */
			site->partly = true;
	}
}

static void note_learned(const struct vpn *v, struct vpn_net *n)
{
	for (size_t i = 0; i < n->near.site.count; i++)
		if (vpn_learn_reports(v, n->member.vpn, &n->near.site.p[i].prefix))
			note_linked(n, &n->near.site.p[i]);
}

/* The first that is of an interface in the VPN's VRF; of none, if it has none.  None of ours. */
static void choose_own(struct vpn *v, struct vpn_net *n, const struct owns *o, struct vpn_own *own)
{
	struct kern_interface i;

	for (size_t j = 0; j < o->count; j++) {
		if (!host_list_interface(v->host_list, o->own[j].interface, &i) || i.ours ||
		    i.vrf != n->vrf_index)
			continue;
		note_link(n, &o->own[j]);
		if (own->addr.family)
			continue;
		own->addr = o->own[j].addr;
		memcpy(own->interface, i.name, sizeof(own->interface));
	}
}

void vpn_host_hear(struct vpn *v)
{
	v->ops->net_read(v->kern, vpn_host_event, v);
}

int vpn_host_look(struct vpn *v, struct vpn_net *n, struct vpn_faults *f)
{
	struct looking l = {.n = n};
	const struct korigin o = {.cls = &pib_ce_vpn_class, .instance = n->member.vpn};
	const struct kern_own *own;
	struct kern_interface i;
	struct kern_fault k;
	size_t count;

	n->here = (struct vpn_here) {0};
	if (host_list_own(v->host_list, &own, &count, &k) < 0)
		return vpn_fault_kernel(f, &k, &o);
	for (size_t j = 0; j < count; j++)
		look_at(&l, &own[j]);
	choose_own(v, n, &l.v4, &n->here.v4);
	choose_own(v, n, &l.v6, &n->here.v6);
	note_learned(v, n);
	if (l.outer && host_list_interface(v->host_list, l.outer, &i)) {
		memcpy(n->here.outer, i.name, sizeof(n->here.outer));
		n->here.mtu = i.mtu;
	}
	return 0;
}

/* --- devices and routes ----------------------------------------------------- */

/* What fits into any of the VPN's SAs; IKE's may be any, and in UDP. */
static uint32_t mtu_of(const struct vpn_net *n)
{
	uint32_t outer = n->here.mtu ? n->here.mtu : MTU_FALLBACK;
	const struct keying_member *m = &n->member;
	uint32_t mtu = outer;

	if (!m->transforms)
		mtu = kern_suite_inside(NULL, m->local.family, true, outer);
	for (unsigned i = 0; i < m->transforms; i++) {
		const struct suite s = {.protocol = m->transform[i].protocol,
		    .encr = m->transform[i].encr,
		    .encr_key_bits = m->transform[i].encr_key_bits,
		    .integ = m->transform[i].integ};
		uint32_t fits = kern_suite_inside(&s, m->local.family, m->nat, outer);

		mtu = fits < mtu ? fits : mtu;
	}
	return mtu > MTU_MIN ? mtu : MTU_MIN;
}

void vpn_host_device(struct vpn *v, const struct vpn_net *n, struct kplan *plan)
{
	const struct kern_device d = {.vpn = n->member.vpn, .mtu = mtu_of(n)};
	const struct korigin o = {.cls = &pib_ce_vpn_class,
	    .instance = n->member.vpn,
	    .mode_cls = &pib_ce_vpn_class,
	    .mode_instance = n->member.vpn,
	    .mode_column = PIB_CE_VPN_COL_MODE};

	(void)v;
	if (n->links || n->held)
		kplan_device_del(plan, d.vpn);
	else
		kplan_device_put(plan, &d, &o);
}

const char *vpn_host_no_route(
    const struct vpn *v, const struct vpn_net *n, const struct addr *peer, const struct prefix *dst)
{
	if (n->held)
		return "this back end keeps no VPN in a VRF apart";
	if (n->vrf_missing)
		return "its VRF is gone";
	if (n->vrf[0]) /* what is around is looked up outside of it */
		return NULL;
	if (dst->len == 0)
		return "a default route is the site's own business";
	if (prefix_has(dst, &n->member.local) || prefix_has(dst, peer))
		return "it has an end of the tunnel in it";
	for (unsigned i = 0; i < v->conf->pdps; i++)
		if (prefix_has(dst, &v->conf->pdp[i].addr))
			return "it has a policy server in it";
	return NULL;
}

/* IPv6 takes no source that another VRF's interface has. */
static struct addr source(const struct vpn_net *n, uint8_t family)
{
	if (family == AF_INET)
		return n->here.v4.addr;
	return n->table == KERN_TABLE_MAIN ? n->here.v6.addr : (struct addr) {0};
}

void vpn_host_routes(
    struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p, struct kplan *plan)
{
	uint64_t owner = vpn_owner(VPN_OWNER_PEER, p->peer.peer);

	kplan_route_drop(plan, owner);
	for (size_t i = 0; !n->links && i < p->far.count; i++) {
		const struct spd_prefix *far = &p->far.p[i];
		const struct kern_route r = {.table = n->table,
		    .dst = far->prefix,
		    .vpn = n->member.vpn,
		    .src = source(n, far->prefix.addr.family)};
		const struct korigin o = {.cls = &pib_ce_vpn_peer_prefix_class,
		    .instance = far->row,
		    .column = PIB_CE_VPN_PEER_PREFIX_COL_ADDR};

		if (!vpn_host_no_route(v, n, &p->peer.addr, &far->prefix))
			kplan_route_put(plan, owner, &r, &o);
		vpn_host_discard(n, owner, far, &pib_ce_vpn_peer_prefix_class, plan);
	}
}

void vpn_host_discard(const struct vpn_net *n, uint64_t owner, const struct spd_prefix *far,
    const struct pib_class *cls, struct kplan *plan)
{
	const struct kern_route r = {
	    .table = n->table, .dst = far->prefix, .vpn = n->member.vpn, .discards = true};
	const struct korigin o = {.cls = cls, .instance = far->row};

	if (n->vrf[0] && !n->vrf_missing)
		kplan_route_put(plan, owner, &r, &o);
}

void vpn_host_site(struct vpn *v, const struct vpn_net *n, uint64_t owner, struct kplan *plan)
{
	for (size_t i = 0; !n->vrf_missing && i < n->near.site.count; i++) {
		const struct spd_prefix *site = &n->near.site.p[i];
		const struct prefix *dst = &site->prefix;
		const struct kern_route r = {
		    .table = n->table, .dst = *dst, .vpn = n->member.vpn, .discards = true};
		const struct korigin o = {
		    .cls = &pib_ce_vpn_local_prefix_class, .instance = site->row};
		bool stays = !site->partly && kstate_route_discards(v->ks, r.table, dst, owner);

		if ((site->linked || stays) && !vpn_host_no_route(v, n, &n->member.local, dst))
			kplan_route_put(plan, owner, &r, &o);
	}
}

/* --- what holds ------------------------------------------------------------- */

static struct vpn_host *host_find(const struct vpn *v, uint32_t vpn)
{
	struct vpn_host *e;

	HASH_FIND(hh, v->hosts, &vpn, sizeof(vpn), e);
	return e;
}

/* What there was not before is nothing to miss. */
static void own_told(struct vpn_own *told, const struct vpn_own *now)
{
	if (!told->addr.family)
		*told = *now;
}

void vpn_host_note(struct vpn *v, const struct vpn_net *n, bool fresh)
{
	struct vpn_host *e = host_find(v, n->member.vpn);

	if (!e) {
		if (!(e = calloc(1, sizeof(*e))))
			return; /* looked at again when the host changes */
		e->vpn = n->member.vpn;
		HASH_ADD(hh, v->hosts, vpn, sizeof(e->vpn), e);
		fresh = true;
	}
	e->table = n->table;
	e->links = n->links;
	e->held = n->held;
	e->vrf_missing = n->vrf_missing;
	memcpy(e->vrf, n->vrf, sizeof(e->vrf));
	e->local = n->member.local;
	e->now = n->here;
	if (fresh)
		e->told = n->here;
	own_told(&e->told.v4, &e->now.v4);
	own_told(&e->told.v6, &e->now.v6);
	if (!e->told.outer[0])
		memcpy(e->told.outer, e->now.outer, sizeof(e->told.outer));
}

void vpn_host_forget(struct vpn *v, uint32_t vpn)
{
	struct vpn_host *e = host_find(v, vpn);

	if (e) {
		HASH_DEL(v->hosts, e);
		free(e);
	}
}

void vpn_host_clear(struct vpn *v)
{
	while (v->hosts)
		vpn_host_forget(v, v->hosts->vpn);
}

bool vpn_host_net(const struct vpn *v, uint32_t vpn, struct vpn_net *n)
{
	const struct vpn_host *e = host_find(v, vpn);

	*n = (struct vpn_net) {.row = vpn_row(v->store, vpn)};
	if (!e)
		return false;
	n->member.vpn = vpn;
	n->member.local = e->local;
	n->table = e->table;
	n->links = e->links;
	n->held = e->held;
	n->vrf_missing = e->vrf_missing;
	memcpy(n->vrf, e->vrf, sizeof(n->vrf));
	n->here = e->now;
	return true;
}

/* --- what is not as it was --------------------------------------------------- */

static bool renamed(const char *was, const char *now, char *text, size_t len)
{
	if (!was[0] || !now[0] || !strcmp(was, now))
		return false;
	snprintf(text, len, "interface %s is %s now", was, now);
	return true;
}

static bool own_differs(
    const struct vpn_own *was, const struct vpn_own *now, char *text, size_t len)
{
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	if (!was->addr.family)
		return false;
	if (!now->addr.family)
		snprintf(text, len, "no interface has an address of the site any more (%s had %s)",
		    was->interface, addr_print(&was->addr, a));
	else if (addr_cmp(&was->addr, &now->addr))
		snprintf(text, len, "the address within the site is %s on %s now (was %s on %s)",
		    addr_print(&now->addr, b), now->interface, addr_print(&was->addr, a),
		    was->interface);
	else
		return renamed(was->interface, now->interface, text, len);
	return true;
}

static bool host_differs(const struct vpn_host *e, char *text, size_t len)
{
	char a[ADDR_STRLEN];

	if (e->told.outer[0] && !e->now.outer[0]) {
		snprintf(text, len, "no interface has %s any more (%s had it)",
		    addr_print(&e->local, a), e->told.outer);
		return true;
	}
	return renamed(e->told.outer, e->now.outer, text, len) ||
	       own_differs(&e->told.v4, &e->now.v4, text, len) ||
	       own_differs(&e->told.v6, &e->now.v6, text, len);
}

void vpn_host_tell(struct vpn *v)
{
	char text[sizeof(v->host_trouble)] = "";

	for (const struct vpn_host *e = v->hosts; e && !text[0]; e = e->hh.next)
		(void)host_differs(e, text, sizeof(text));
	for (const struct vpn_host *e = v->hosts; e && !text[0]; e = e->hh.next)
		if (e->vrf_missing)
			vpn_vrf_trouble(v, e->vpn, text, sizeof(text));
		else if (e->held)
			vpn_vti_trouble(v, e->vpn, text, sizeof(text));
	if (!strcmp(text, v->host_trouble))
		return;
	if (text[0])
		log_warn("this host is not as it was when policy came: %s", text);
	else
		log_note("this host is as it was when policy came");
	snprintf(v->host_trouble, sizeof(v->host_trouble), "%s", text);
	vpn_publish(v);
}

/* --- following --------------------------------------------------------------- */

static bool matters(const struct vpn_here *a, const struct vpn_here *b)
{
	return a->mtu != b->mtu || a->linked != b->linked || addr_cmp(&a->v4.addr, &b->v4.addr) ||
	       addr_cmp(&a->v6.addr, &b->v6.addr);
}

struct following {
	struct vpn *v;
	struct vpn_touched t;
};

static void follow(void *arg, const struct pib_row *row)
{
	struct following *g = arg;
	struct vpn *v = g->v;
	struct vpn_env env = vpn_row_env(v, v->store, true);
	struct vpn_host *e = host_find(v, row->instance);
	struct vpn_faults f = {0};
	struct vpn_net n;

	if (!e || vpn_net_load(&n, &env, row->instance, &f) < 0)
		return;
	if (vpn_host_look(v, &n, &f) == 0) {
		if (matters(&n.here, &e->now)) {
			vpn_touch(&g->t, VPN_PART_NET, row->instance, VPN_SITE);
			vpn_touch_peers(&g->t, v->store, row->instance, VPN_POLICY);
		} else {
			e->now = n.here; /* names */
		}
	}
	vpn_net_clear(&n);
}

void vpn_host_changed(struct vpn *v)
{
	struct following g = {.v = v};
	struct vpn_faults f = {0};

	if (!v->store || !v->loaded || v->unclaimed)
		return;
	pib_store_each(v->store, &pib_ce_vpn_class, follow, &g);
	if (g.t.part && vpn_run(v, v->store, &g.t, &f, true) < 0) {
		log_err("following this host's addresses: %s", f.text);
		vpn_change_soon(v);
	}
	vpn_touched_clear(&g.t);
	vpn_host_tell(v);
}

/* With an address that routes have as their source the kernel drops these, and tells nobody. */
static bool is_source(const struct vpn *v, const struct addr *a)
{
	for (const struct vpn_host *e = v->hosts; a->family && e; e = e->hh.next)
		if (!addr_cmp(a, &e->now.v4.addr) || !addr_cmp(a, &e->now.v6.addr))
			return true;
	return false;
}

void vpn_host_event(void *arg, const struct kern_net_event *e)
{
	struct vpn *v = arg;
	uint32_t mtu;

	switch (e->kind) {
	case KERN_NET_LOST:
		host_list_stale(v->host_list);
		vpn_change_soon(v);
		vpn_host_soon(v);
		break;
	case KERN_NET_TUNNEL:
		if (kstate_tunnel_known(v->ks, e->id))
			vpn_change_soon(v);
		break;
	case KERN_NET_SPEAK:
		if (kstate_tunnel_speaks(v->ks, e->id))
			vpn_change_soon(v);
		break;
	case KERN_NET_DEVICE:
		if (kstate_device_known(v->ks, e->id, &mtu) && e->mtu != mtu)
			vpn_change_soon(v);
		break;
	case KERN_NET_ROUTE:
		if (kstate_route_known(v->ks, e->table, &e->dst) ||
		    ((e->table == KERN_TABLE_MAIN || e->table == KERN_TABLE_LOCAL) &&
			kstate_tunnel_routes(v->ks, &e->dst)))
			vpn_change_soon(v);
		break;
	case KERN_NET_VRF:
		host_list_stale(v->host_list);
		vpn_change_soon(v);
		break;
	case KERN_NET_HOST:
		host_list_stale(v->host_list);
		if (is_source(v, &e->gone))
			vpn_change_soon(v);
		vpn_host_soon(v);
		break;
	}
}
