/*
 * vpn_run.c - the touched parts computed anew from rows: each drops its policies and
 * puts them again, each peer's SAs come from its keying provider; one plan, applied or undone
 * as a whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

#define PLANS_MAX	   8   /* that meet an SA of others on one of our SPIs */
#define RELAY_PREFIXES_MAX 256 /* without a space each pair of them is four policies */

struct net { /* a VPN met in this run */
	uint32_t id;
	bool failed;
	bool fresh; /* its row is new */
	struct vpn_net net;
	UT_hash_handle hh;
};

struct fresh { /* a reqid taken in this run */
	uint32_t peer;
	struct fresh *next;
};

struct in_udp { /* a peer's, or (not wanted) no more */
	struct natt_peer natt;
	bool wanted;
	struct in_udp *next;
};

struct run {
	struct vpn *v;
	const struct pib_store *store;
	struct vpn_touched *t;
	struct vpn_faults *f;
	struct vpn_env env;
	bool lenient;
	bool last; /* no other plan will be tried */
	struct kplan *plan;
	struct spd spd;
	struct net *nets;
	struct fresh *fresh;
	struct in_udp *in_udp;
};

/* --- VPNs ------------------------------------------------------------------- */

/* The VPN's values, computed once a run.  NULL: it has a fault, which is recorded, or no row. */
static const struct vpn_net *net_get(struct run *r, uint32_t vpn)
{
	struct vpn_touch_key key = {.part = VPN_PART_NET, .id = vpn};
	struct vpn_touch *touched;
	struct net *n;

	HASH_FIND(hh, r->nets, &vpn, sizeof(vpn), n);
	if (n)
		return n->failed ? NULL : &n->net;
	if (!vpn_row(r->store, vpn))
		return NULL;
	if (!(n = calloc(1, sizeof(*n)))) {
		vpn_fault_memory(r->f);
		return NULL;
	}
	HASH_FIND(hh, r->t->part, &key, sizeof(key), touched);
	/* What the host lost since a row was accepted is no fault of the rows that come now. */
	r->env.lenient = r->lenient || !touched || !(touched->what & VPN_CHECK);
	n->id = vpn;
	n->failed = vpn_net_load(&n->net, &r->env, vpn, r->f) < 0;
	r->env.lenient = r->lenient;
	n->fresh = touched && touched->what & VPN_CHECK;
	if (!n->failed && vpn_host_look(r->v, &n->net, r->f) < 0) {
		vpn_net_clear(&n->net);
		n->failed = true;
	}
	/* Its rule is there since the row came, or since everything was read. */
	if (!n->failed && touched && touched->what & (VPN_CHECK | VPN_NEAR) &&
	    vpn_vrf_need(r->v, &n->net, r->f) < 0) {
		vpn_net_clear(&n->net);
		n->failed = true;
	}
	if (!n->failed)
		vpn_host_device(r->v, &n->net, r->plan);
	HASH_ADD(hh, r->nets, id, sizeof(n->id), n);
	return n->failed ? NULL : &n->net;
}

/* What was collected in r->spd becomes the owner's policies. */
static void put_unit(struct run *r, uint64_t owner, const struct pib_class *cls, uint8_t column)
{
	if (r->spd.no_memory) {
		vpn_fault_memory(r->f);
		return;
	}
	spd_finish(&r->spd);
	kplan_policy_drop(r->plan, owner);
	for (size_t i = 0; i < r->spd.count; i++) {
		const struct spd_entry *e = &r->spd.entry[i];
		struct korigin o = {.cls = cls, .instance = e->row, .column = column};
		if (!e->row && owner >> 32 == VPN_OWNER_PEER) /* of the tunnel, not of a prefix */
			o = (struct korigin) {.cls = &pib_ce_vpn_peer_class,
			    .instance = (uint32_t)owner,
			    .column = PIB_CE_VPN_PEER_COL_ADDR};
		kplan_policy_put(r->plan, owner, &e->policy, &o);
	}
	spd_reset(&r->spd);
}

static void control_unit(struct run *r)
{
	vpn_control_entries(r->v->conf, &r->spd);
	put_unit(r, vpn_owner(VPN_OWNER_CONTROL, 0), NULL, 0);
}

static void site_of_net(void *arg, const struct pib_row *row)
{
	struct run *r = arg;
	const struct vpn_net *n = net_get(r, row->instance);
	if (n)
		spd_site(&r->spd, &n->near);
	if (n && r->v->conf->lockdown)
		spd_open(&r->spd, &n->near);
	if (n && (n->vrf_missing || n->held))
		vpn_vrf_withhold(r->store, n, &r->spd);
	for (size_t i = 0; n && i < n->near.space.count; i++)
		vpn_host_discard(n, vpn_owner(VPN_OWNER_SITE, 0), &n->near.space.p[i],
		    &pib_ce_vpn_local_prefix_class, r->plan);
	if (n)
		vpn_host_site(r->v, n, vpn_owner(VPN_OWNER_SITE, 0), r->plan);
}

/* All VPNs together: a prefix of the site may be in several. */
static void site_unit(struct run *r)
{
	kplan_route_drop(r->plan, vpn_owner(VPN_OWNER_SITE, 0));
	pib_store_each(r->store, &pib_ce_vpn_class, site_of_net, r);
	put_unit(r, vpn_owner(VPN_OWNER_SITE, 0), &pib_ce_vpn_local_prefix_class,
	    PIB_CE_VPN_LOCAL_PREFIX_COL_ADDR);
}

/* --- peers ------------------------------------------------------------------ */

static uint32_t reqid_get(struct run *r, uint32_t peer)
{
	uint32_t reqid = vpn_reqids_find(r->v->reqids, peer);
	struct fresh *n;

	if (reqid)
		return reqid;
	if (!(n = calloc(1, sizeof(*n)))) {
		vpn_fault_memory(r->f);
		return 0;
	}
	reqid = vpn_reqids_get(r->v->reqids, peer);
	if (!reqid) {
		free(n);
		vpn_fault(r->f, &pib_ce_vpn_peer_class, peer, PIB_CPERR_SPACE, 0,
		    "all %u reqids of this kernel interface are in use",
		    (unsigned)r->v->ops->reqid_max(r->v->kern));
		return 0;
	}
	n->peer = peer;
	n->next = r->fresh;
	r->fresh = n;
	return reqid;
}

static struct spd_tunnel tunnel_of(const struct vpn_net *n, const struct vpn_peer *p)
{
	return (struct spd_tunnel) {.local = n->member.local,
	    .remote = p->peer.addr,
	    .reqid = p->peer.reqid,
	    .ah = n->member.transform[0].protocol == SUITE_AH,
	    .ipip = n->links && !n->vti,
	    .inner = p->inner,
	    .internet = p->row->internet == PIB_CE_VPN_PEER_INTERNET_TRUE};
}

/* The peer's interface of kind VTI has an index and a key for policies to name.  0, or -1. */
static int scope_vti(struct run *r, const struct vpn_net *n, struct spd_tunnel *t, uint32_t peer)
{
	uint32_t key = vpn_vti_key(t->reqid, r->env.mark_mask);

	if (!n->vti)
		return 0;
	if (!key)
		return vpn_fault(r->f, &pib_ce_vpn_peer_class, peer, PIB_CPERR_SPACE, 0,
		    "no key for an interface is left beside mark-mask 0x%x",
		    (unsigned)r->env.mark_mask);
	t->vti.device = KERN_TUNNEL_INDEX(peer);
	t->vti.mark = (struct kern_mark) {.value = key, .mask = UINT32_MAX};
	return 0;
}

static void peer_sas(struct run *r, const struct vpn_net *n, struct vpn_peer *p)
{
	const struct vpn_provider *provider = vpn_provider_find(n->row->keying);

	if (vpn_peer_keys(p, &r->env, r->f) < 0 ||
	    provider->verify(r->v, n, p, r->f, r->lenient) < 0)
		return;
	provider->plan(r->v, n, p, r->plan, r->f);
}

static int by_dst(const void *a, const void *b)
{
	return prefix_cmp(&((const struct kern_tunnel_route *)a)->dst,
	    &((const struct kern_tunnel_route *)b)->dst);
}

/* Routes to all that is behind the peer; and who routes himself needs one to the peer at most. */
static int tunnel_routes(const struct vpn_net *n, const struct vpn_peer *p, struct kern_tunnel *t)
{
	if (!(t->route = calloc(p->far.count + 1, sizeof(*t->route))))
		return -1;
	if (!n->dynamic) {
		for (; t->routes < p->far.count; t->routes++)
			t->route[t->routes] = (struct kern_tunnel_route) {
			    .dst = p->far.p[t->routes].prefix, .row = p->far.p[t->routes].row};
		qsort(t->route, t->routes, sizeof(*t->route), by_dst);
		if (t->routes)
			t->src = n->here.v4.addr;
		return 0;
	}
	t->inner = n->inner;
	if (n->hellos) {
		t->inner_peer = p->inner;
		return 0;
	}
	t->src = n->inner;
	t->route[t->routes++].dst = (struct prefix) {
	    .addr = p->inner, .len = (uint8_t)(8 * addr_len(&p->inner))};
	return 0;
}

/* An interface and what leads into it; in tunnel mode the VPN has the one. */
static void peer_tunnel(struct run *r, const struct vpn_net *n, const struct vpn_peer *p,
    const struct spd_tunnel *tunnel)
{
	struct kern_tunnel t = {.id = p->peer.peer,
	    .local = tunnel->local,
	    .remote = tunnel->remote,
	    .key = tunnel->vti.mark.value};
	const struct korigin o = {
	    .cls = &pib_ce_vpn_peer_class,
	    .instance = p->peer.peer,
	    .column = PIB_CE_VPN_PEER_COL_ADDR,
	    .route_cls = &pib_ce_vpn_peer_prefix_class,
	    .mode_cls = &pib_ce_vpn_class,
	    .mode_instance = n->member.vpn,
	    .mode_column = n->vti ? PIB_CE_VPN_COL_ROUTING : PIB_CE_VPN_COL_MODE,
	};

	if (!n->links) {
		kplan_tunnel_del(r->plan, t.id);
		return;
	}
	if (tunnel_routes(n, p, &t) < 0) {
		vpn_fault_memory(r->f);
		return;
	}
	t.mtu = n->here.mtu;
	t.dscp_set = !n->vti && n->row->dscp != PIB_CE_VPN_DSCP_COPY; /* VTI leaves it to the SA */
	t.dscp = n->row->dscp == PIB_CE_VPN_DSCP_SET ? (uint8_t)n->row->dscp_value : 0;
	kplan_tunnel_put(r->plan, &t, &o);
	free(t.route);
}

struct kind { /* of a peer's SAs: wanted, and whether one is of another */
	uint8_t inner;
	enum kern_mode mode;
	const struct kern_mark *mark; /* NULL: it does not matter */
	bool other;
};

static void match_kind(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct kind *k = arg;

	k->other |= sa->mode != k->mode;
	k->other |= k->mark && (sa->set_mark.mask != k->mark->mask ||
				   sa->set_mark.value != (inbound ? k->mark->value : 0));
	k->other |= sa->inner && k->inner && sa->inner != k->inner;
}

/* An SA cannot be made another, nor its key be used again: SAs of another kind need new keys. */
static void check_kind(struct run *r, const struct vpn_net *n, const struct vpn_peer *p)
{
	struct kind k = {.inner = p->peer.inner, .mode = n->member.mode};

	/* charon's bear their mark in their name; without the VRF nothing gets through anyway */
	if (n->row->keying == PIB_CE_VPN_KEYING_CONTROLLER && !n->vrf_missing)
		k.mark = &n->member.mark;
	kstate_sa_each(r->v->ks, p->peer.reqid, match_kind, &k);
	if (k.other)
		vpn_touch(r->t, VPN_PART_NET, n->member.vpn, VPN_STALE);
}

static void peer_gone(struct run *r, uint32_t peer)
{
	kplan_policy_drop(r->plan, vpn_owner(VPN_OWNER_PEER, peer));
	kplan_sa_drop(r->plan, vpn_reqids_find(r->v->reqids, peer));
	kplan_tunnel_del(r->plan, peer);
	kplan_route_drop(r->plan, vpn_owner(VPN_OWNER_PEER, peer));
}

static void note_natt(struct run *r, const struct vpn_net *n, const struct vpn_peer *p)
{
	struct in_udp *x = calloc(1, sizeof(*x));

	if (!x) {
		vpn_fault_memory(r->f);
		return;
	}
	x->wanted = vpn_natt_of(n, p, &x->natt);
	x->next = r->in_udp;
	r->in_udp = x;
}

static void peer_part(struct run *r, const struct vpn_touch *e)
{
	const struct pib_ce_vpn_peer *row = vpn_peer_row(r->store, e->key.id);
	const struct vpn_net *n;
	struct spd_tunnel tunnel;
	struct vpn_peer p;

	n = row ? net_get(r, row->vpn) : NULL;
	if (!row || (n && n->held)) {
		peer_gone(r, e->key.id);
		return;
	}
	if (!n || vpn_peer_load(&p, &r->env, n, row->id, e->what & VPN_POLICY, r->f) < 0)
		return;
	p.peer.reqid = reqid_get(r, row->id);
	if (p.peer.reqid) {
		tunnel = tunnel_of(n, &p);
		note_natt(r, n, &p);
		if (e->what & VPN_POLICY && scope_vti(r, n, &tunnel, row->id) == 0) {
			spd_peer(&r->spd, &n->near, &tunnel, &p.far);
			put_unit(r, vpn_owner(VPN_OWNER_PEER, row->id),
			    &pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
			peer_tunnel(r, n, &p, &tunnel);
			vpn_host_routes(r->v, n, &p, r->plan);
			check_kind(r, n, &p);
		}
		if (e->what & VPN_KEYS)
			peer_sas(r, n, &p);
	}
	vpn_peer_clear(&p);
}

static void blocked_part(struct run *r, const struct vpn_touch *e)
{
	const struct pib_row *row = pib_store_find(
	    r->store, &pib_ce_vpn_peer_prefix_class, e->key.id);
	const struct pib_ce_vpn_peer_prefix *data = row ? row->data : NULL;
	const struct vpn_net *n = data && !data->peer ? net_get(r, data->vpn) : NULL;
	struct spd_prefix far;

	if (n && n->held) /* site_of_net() discards what goes there */
		n = NULL;
	if (n) {
		if (vpn_blocked_load(&far, &r->env, e->key.id, r->f) < 0)
			return;
		spd_blocked(&r->spd, &n->near, &(struct spd_list) {.p = &far, .count = 1});
	}
	kplan_route_drop(r->plan, vpn_owner(VPN_OWNER_BLOCKED, e->key.id));
	if (n)
		vpn_host_discard(n, vpn_owner(VPN_OWNER_BLOCKED, e->key.id), &far,
		    &pib_ce_vpn_peer_prefix_class, r->plan);
	put_unit(r, vpn_owner(VPN_OWNER_BLOCKED, e->key.id), &pib_ce_vpn_peer_prefix_class,
	    PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
}

/* --- relaying --------------------------------------------------------------- */

struct relays { /* the peers of a VPN, for pairs of them */
	struct run *r;
	const struct vpn_net *n;
	struct vpn_peer *p;
	size_t count;
	size_t prefixes;
	bool failed;
};

static void relay_peer(void *arg, const struct pib_row *row)
{
	struct relays *g = arg;
	struct vpn_peer *more;

	if (g->failed)
		return;
	more = reallocarray(g->p, g->count + 1, sizeof(*more));
	if (!more) {
		vpn_fault_memory(g->r->f);
		g->failed = true;
		return;
	}
	g->p = more;
	if (vpn_peer_load(&g->p[g->count], &g->r->env, g->n, row->instance, true, g->r->f) < 0) {
		g->failed = true;
		return;
	}
	g->p[g->count].peer.reqid = reqid_get(g->r, row->instance);
	g->prefixes += g->p[g->count++].far.count;
	if (g->prefixes <= RELAY_PREFIXES_MAX)
		return;
	vpn_fault(g->r->f, &pib_ce_vpn_class, g->n->member.vpn, PIB_CPERR_VALUE_SUP,
	    PIB_CE_VPN_COL_RELAY, "more than %d prefixes to relay between, and no space",
	    RELAY_PREFIXES_MAX);
	g->failed = true;
}

static void relay_pairs(struct relays *g)
{
	for (size_t i = 0; i < g->count; i++)
		for (size_t j = i + 1; j < g->count; j++) {
			struct spd_tunnel a = tunnel_of(g->n, &g->p[i]);
			struct spd_tunnel b = tunnel_of(g->n, &g->p[j]);
			spd_relay(&g->r->spd, &g->n->near, &a, &g->p[i].far, &b, &g->p[j].far);
		}
}

static void relay_unit(struct run *r, uint32_t vpn)
{
	struct relays g = {.r = r, .n = net_get(r, vpn)};

	if (g.n && g.n->near.relay && !g.n->links && !g.n->held && !g.n->near.space.count) {
		pib_store_referrers(r->store, &pib_ce_vpn_peer_class,
		    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), vpn,
		    relay_peer, &g);
		if (!g.failed)
			relay_pairs(&g);
	}
	put_unit(r, vpn_owner(VPN_OWNER_RELAY, vpn), &pib_ce_vpn_peer_prefix_class,
	    PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
	for (size_t i = 0; i < g.count; i++)
		vpn_peer_clear(&g.p[i]);
	free(g.p);
}

/* --- our own address inside tunnels ------------------------------------------ */

static void inner_unit(struct run *r, uint32_t vpn)
{
	const struct vpn_net *n = net_get(r, vpn);

	if (n && n->dynamic)
		spd_inner(&r->spd, &n->near, &n->inner, vpn);
	put_unit(r, vpn_owner(VPN_OWNER_INNER, vpn), &pib_ce_vpn_class, PIB_CE_VPN_COL_TUNNEL_ADDR);
}

/* --- everything ------------------------------------------------------------- */

/* SAs of ours whose peer is not in the rows. */
static void drop_stray(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct run *r = arg;
	uint32_t peer = vpn_reqids_peer(r->v->reqids, sa->reqid);

	(void)inbound;
	if (!peer || !vpn_peer_row(r->store, peer))
		kplan_sa_del(r->plan, &sa->id);
}

/* The file of reqids was lost?  An inbound SA says whose it is: SPI = sender << 8 | epochs. */
static void claim_reqid(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct run *r = arg;
	uint32_t peer = sa->id.spi >> 8;

	if (inbound && !vpn_reqids_peer(r->v->reqids, sa->reqid) && vpn_peer_row(r->store, peer))
		vpn_reqids_claim(r->v->reqids, peer, sa->reqid);
}

/* Of a VPN whose row came or changed? */
static bool is_new(const struct run *r, const struct vpn_touch *e)
{
	struct vpn_touch_key key = {.part = VPN_PART_NET, .id = e->key.id};
	const struct pib_ce_vpn_peer *peer;
	const struct pib_row *row;
	struct vpn_touch *net;

	if (e->key.part == VPN_PART_PEER) {
		peer = vpn_peer_row(r->store, e->key.id);
		key.id = peer ? peer->vpn : 0;
	} else if (e->key.part != VPN_PART_NET) {
		row = pib_store_find(r->store, &pib_ce_vpn_peer_prefix_class, e->key.id);
		key.id = row ? ((const struct pib_ce_vpn_peer_prefix *)row->data)->vpn : 0;
	}
	HASH_FIND(hh, r->t->part, &key, sizeof(key), net);
	return net && net->what & VPN_CHECK;
}

/* true: the part's VPN has entries for all of the site, or had. */
static bool part(struct run *r, const struct vpn_touch *e)
{
	const struct vpn_net *n;

	switch (e->key.part) {
	case VPN_PART_NET:
		if (!vpn_row(r->store, e->key.id))
			kplan_device_del(r->plan, e->key.id);
		n = net_get(r, e->key.id); /* and its faults */
		if (e->what & VPN_RELAY)
			relay_unit(r, e->key.id);
		if (e->what & VPN_NEAR)
			inner_unit(r, e->key.id);
		/* where its VRF is missing, what goes to its peers is discarded there */
		return e->what & (VPN_NEAR | VPN_SITE) || (n && (n->vrf_missing || n->held));
	case VPN_PART_PEER:
		peer_part(r, e);
		return false;
	default:
		blocked_part(r, e);
		return false;
	}
}

static void collect(struct run *r)
{
	struct vpn_touch *e, *next;
	bool site = r->t->everything;

	if (r->t->everything) {
		kstate_sa_each(r->v->ks, 0, claim_reqid, r);
		kstate_sa_each(r->v->ks, 0, drop_stray, r);
		kplan_policy_drop(r->plan, 0);
		kplan_tunnel_del_all(r->plan);
		kplan_route_drop(r->plan, 0);
		kplan_device_del_all(r->plan);
		control_unit(r);
	}
	if (r->t->everything || vpn_touched_any(r->t, VPN_POLICY | VPN_CHECK)) /* not for keys */
		(void)vpn_vti_alone(r->store, r->f);
	vpn_touch_expand(r->t, r->store);
	/* What was there first: where two VPNs want one entry, the one that came is refused. */
	for (int fresh = 0; fresh <= 1; fresh++)
		HASH_ITER (hh, r->t->part, e, next) {
			if (is_new(r, e) == (fresh != 0))
				site |= part(r, e);
		}
	if (site)
		site_unit(r);
	if (r->t->no_memory)
		vpn_fault_memory(r->f);
}

static void drop_reqid(void *arg, uint32_t peer, uint32_t reqid)
{
	struct run *r = arg;
	(void)reqid;
	if (!vpn_peer_row(r->store, peer))
		vpn_reqids_drop(r->v->reqids, peer);
}

static bool no_peer(void *arg, uint32_t peer)
{
	struct run *r = arg;
	return !vpn_peer_row(r->store, peer);
}

static void natt_done(struct run *r)
{
	vpn_natt_settle(r->v, r->store);
	for (struct in_udp *x = r->in_udp; x; x = x->next)
		if (x->wanted)
			natt_put(r->v->natt, &x->natt);
		else
			natt_drop(r->v->natt, x->natt.peer);
	natt_sweep(r->v->natt, no_peer, r); /* last: sockets and timer, once */
}

/* What is no more has no reqid either; without the disk's help that is repeated at the next start.
 */
static void done(struct run *r)
{
	struct vpn_touch *e, *next;
	struct net *n, *n_next;
	bool rules = r->t->everything;

	if (r->t->everything)
		vpn_reqids_each(r->v->reqids, drop_reqid, r);
	HASH_ITER (hh, r->t->part, e, next)
		if (e->key.part == VPN_PART_PEER)
			drop_reqid(r, e->key.id, 0);
		else if (e->key.part == VPN_PART_NET)
			rules |= e->what & VPN_CHECK || !vpn_row(r->store, e->key.id);
	HASH_ITER (hh, r->t->part, e, next)
		if (e->key.part == VPN_PART_NET && !vpn_row(r->store, e->key.id))
			vpn_host_forget(r->v, e->key.id);
	HASH_ITER (hh, r->nets, n, n_next)
		vpn_host_note(r->v, &n->net, n->fresh);
	vpn_host_tell(r->v);
	if (rules)
		vpn_vrf_settle(r->v, r->store);
	natt_done(r);
}

enum { AGAIN = 1 };

/* 0, -1 with faults, or AGAIN: nothing changed, and another plan may do. */
static int apply(struct run *r)
{
	struct kern_fault k;
	struct korigin o = {0};

	if (r->f->count)
		return -1;
	if (vpn_reqids_save(r->v->reqids) < 0) {
		kern_fault_set(
		    &k, KERN_REFUSED, errno, "cannot write %s/reqids", r->v->env.state_dir);
		return vpn_fault_kernel(r->f, &k, &o);
	}
	r->v->repair.operations = kplan_count(r->plan);
	if (kplan_apply(r->plan, &k, &o) < 0) {
		if (k.kind == KERN_EXISTS && o.sa.spi && !r->last &&
		    vpn_providers_taken(r->v, &o.sa))
			return AGAIN;
		return vpn_fault_kernel(r->f, &k, &o);
	}
	done(r);
	return 0;
}

static void run_clear(struct run *r, bool failed)
{
	struct net *n, *n_next;

	while (r->fresh) {
		struct fresh *next = r->fresh->next;
		if (failed)
			vpn_reqids_drop(r->v->reqids, r->fresh->peer);
		free(r->fresh);
		r->fresh = next;
	}
	while (r->in_udp) {
		struct in_udp *next = r->in_udp->next;
		free(r->in_udp);
		r->in_udp = next;
	}
	HASH_ITER (hh, r->nets, n, n_next) {
		HASH_DEL(r->nets, n);
		if (!n->failed)
			vpn_net_clear(&n->net);
		free(n);
	}
	spd_clear(&r->spd);
	kplan_free(r->plan);
}

static int run_once(struct vpn *v, const struct pib_store *store, struct vpn_touched *t,
    struct vpn_faults *f, bool lenient, bool last)
{
	struct run r = {.v = v,
	    .store = store,
	    .t = t,
	    .f = f,
	    .env = vpn_row_env(v, store, lenient),
	    .lenient = lenient,
	    .last = last};
	int ret;

	spd_init(&r.spd);
	vpn_host_hear(v);
	if (!(r.plan = kplan_new(v->ks)))
		return vpn_fault_memory(f);
	if (lenient)
		kplan_take(r.plan);
	collect(&r);
	ret = apply(&r);
	run_clear(&r, ret < 0);
	return ret;
}

int vpn_run(struct vpn *v, const struct pib_store *store, struct vpn_touched *t,
    struct vpn_faults *f, bool lenient)
{
	int ret = AGAIN;

	for (unsigned i = 1; ret == AGAIN; i++)
		ret = run_once(v, store, t, f, lenient, i == PLANS_MAX);
	return ret;
}
