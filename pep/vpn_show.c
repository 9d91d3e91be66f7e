/*
 * vpn_show.c - the enforcer's view for people (see vpn_show.h).  Names come from the
 * rows, epochs from the low bits of SPIs: sender's member << 8 | receiver's epoch << 4 |
 * sender's epoch.
 */
#include "pep/vpn_show.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/peer_status.h"
#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define NAME_LEN 256

/* Octets of a row as text. */
static const char *name_of(const struct pib_octets *o, char buf[NAME_LEN])
{
	size_t n = o->len < NAME_LEN - 1 ? o->len : NAME_LEN - 1;
	memcpy(buf, o->p, n);
	buf[n] = '\0';
	return buf;
}

struct names {
	char vpn[NAME_LEN];
	char peer[NAME_LEN];
};

static void names_of(const struct vpn *v, uint32_t vpn, uint32_t peer, struct names *n)
{
	const struct pib_ce_vpn_peer *p = peer && v->store ? vpn_peer_row(v->store, peer) : NULL;
	const struct pib_ce_vpn *net;

	n->vpn[0] = n->peer[0] = '\0';
	if (p)
		name_of(&p->name, n->peer);
	net = v->store ? vpn_row(v->store, p ? p->vpn : vpn) : NULL;
	if (net)
		name_of(&net->name, n->vpn);
}

/* --- policies --------------------------------------------------------------- */

struct held {
	struct kern_policy policy;
	uint64_t owner;
};

struct policies {
	struct held *held;
	size_t count;
	size_t cap;
};

static void hold(void *arg, const struct kern_policy *p, uint64_t owner)
{
	struct policies *l = arg;
	if (l->count < l->cap)
		l->held[l->count++] = (struct held) {*p, owner};
}

static int by_lookup(const void *x, const void *y)
{
	const struct kern_policy *a = &((const struct held *)x)->policy;
	const struct kern_policy *b = &((const struct held *)y)->policy;
	int r;

	if (a->sel.dir != b->sel.dir)
		return a->sel.dir < b->sel.dir ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	r = prefix_cmp(&a->sel.dst, &b->sel.dst);
	return r ? r : prefix_cmp(&a->sel.src, &b->sel.src);
}

static uint32_t vpn_of_prefix(const struct vpn *v, uint32_t prefix)
{
	const struct pib_row *row = v->store ? pib_store_find(
						   v->store, &pib_ce_vpn_peer_prefix_class, prefix)
					     : NULL;
	return row ? ((const struct pib_ce_vpn_peer_prefix *)row->data)->vpn : 0;
}

static void show_policy(const struct vpn *v, const struct held *h,
    void (*fn)(void *arg, const struct vpn_show_policy *p), void *arg)
{
	static const char *const part[] = {
	    [0] = "?",
	    [VPN_OWNER_CONTROL] = "control",
	    [VPN_OWNER_SITE] = "site",
	    [VPN_OWNER_PEER] = "peer",
	    [VPN_OWNER_RELAY] = "relay",
	    [VPN_OWNER_BLOCKED] = "blocked",
	    [VPN_OWNER_INNER] = "address",
	};
	struct vpn_show_policy s = {.policy = h->policy};
	uint32_t kind = (uint32_t)(h->owner >> 32);
	uint32_t id = (uint32_t)h->owner;
	uint32_t vpn = kind == VPN_OWNER_RELAY || kind == VPN_OWNER_INNER ? id
		       : kind == VPN_OWNER_BLOCKED			  ? vpn_of_prefix(v, id)
									  : 0;
	uint32_t peer = kind == VPN_OWNER_PEER ? id
			: h->policy.action == KERN_PROTECT
			    ? vpn_reqids_peer(v->reqids, h->policy.reqid)
			    : 0;
	struct names n;

	names_of(v, vpn, peer, &n);
	s.part = part[kind <= VPN_OWNER_INNER ? kind : 0];
	if (kind == VPN_OWNER_CONTROL &&
	    h->policy.priority >= spd_priority(&h->policy.sel, SPD_EXEMPT))
		s.part = "lockdown";
	s.vpn = n.vpn;
	s.peer = n.peer;
	fn(arg, &s);
}

int vpn_show_policies(void *self, void (*fn)(void *arg, const struct vpn_show_policy *p), void *arg)
{
	struct vpn *v = self;
	struct policies l = {.cap = kstate_policy_count(v->ks)};

	if (!(l.held = calloc(l.cap + 1, sizeof(*l.held))))
		return -1;
	kstate_policy_each(v->ks, hold, &l);
	qsort(l.held, l.count, sizeof(*l.held), by_lookup);
	for (size_t i = 0; i < l.count; i++)
		show_policy(v, &l.held[i], fn, arg);
	free(l.held);
	return 0;
}

/* --- epochs ----------------------------------------------------------------- */

struct epochs { /* of a peer, newest first */
	uint32_t epoch[KEYING_EPOCHS];
	unsigned count;
};

static void note_epoch(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_key *k = row->data;
	struct epochs *e = arg;
	unsigned at = 0;

	while (at < e->count && e->epoch[at] > k->epoch)
		at++;
	if (at == KEYING_EPOCHS)
		return;
	if (e->count < KEYING_EPOCHS)
		e->count++;
	memmove(&e->epoch[at + 1], &e->epoch[at], (e->count - at - 1) * sizeof(e->epoch[0]));
	e->epoch[at] = k->epoch;
}

static void peer_epochs(const struct vpn *v, uint32_t peer, struct epochs *e)
{
	e->count = 0;
	pib_store_referrers(v->store, &pib_ce_vpn_peer_key_class,
	    pib_column_find(&pib_ce_vpn_peer_key_class, PIB_CE_VPN_PEER_KEY_COL_PEER), peer,
	    note_epoch, e);
}

static uint32_t with_low_bits(const struct epochs *e, unsigned low)
{
	for (unsigned i = 0; i < e->count; i++)
		if ((e->epoch[i] & 15) == low)
			return e->epoch[i];
	return 0;
}

static void own_epochs(const struct vpn *v, uint32_t member, struct epochs *e)
{
	struct keying_epoch_info info[KEYING_EPOCHS];

	e->count = keying_epochs(v->keying, member, info, KEYING_EPOCHS, vpn_now_ms());
	for (unsigned i = 0; i < e->count; i++)
		e->epoch[i] = info[i].epoch;
}

/* The epochs that an SPI names; 0 where none that lives has those bits. */
static void decode_spi(uint32_t spi, bool inbound, const struct epochs *own,
    const struct epochs *peer, uint32_t *own_epoch, uint32_t *peer_epoch)
{
	unsigned receiver = spi >> 4 & 15;
	unsigned sender = spi & 15;

	*own_epoch = with_low_bits(own, inbound ? receiver : sender);
	*peer_epoch = with_low_bits(peer, inbound ? sender : receiver);
}

/* --- SAs -------------------------------------------------------------------- */

struct sas {
	const struct vpn *v;
	void (*fn)(void *arg, const struct vpn_show_sa *s);
	void *arg;
	time_t now;
};

static void show_sa(void *arg, const struct kern_sa_state *sa)
{
	struct sas *l = arg;
	const struct vpn *v = l->v;
	uint32_t peer = vpn_reqids_peer(v->reqids, sa->reqid);
	const struct pib_ce_vpn_peer *row = v->store ? vpn_peer_row(v->store, peer) : NULL;
	const struct pib_ce_vpn *net = row ? vpn_row(v->store, row->vpn) : NULL;
	struct vpn_show_sa s = {.sa = *sa, .age_s = -1};
	struct epochs own, theirs;
	struct names n;

	if (!kstate_sa_known(v->ks, &sa->id))
		return;
	names_of(v, 0, peer, &n);
	s.vpn = n.vpn;
	s.peer = n.peer;
	s.inbound = kstate_sa_inbound(v->ks, &sa->id);
	if (net && net->keying == PIB_CE_VPN_KEYING_CONTROLLER) {
		own_epochs(v, net->member, &own);
		peer_epochs(v, peer, &theirs);
		decode_spi(sa->id.spi, s.inbound, &own, &theirs, &s.own_epoch, &s.peer_epoch);
	}
	if (sa->added_at && (int64_t)sa->added_at <= l->now)
		s.age_s = l->now - (int64_t)sa->added_at;
	l->fn(l->arg, &s);
}

int vpn_show_sas(
    void *self, void (*fn)(void *arg, const struct vpn_show_sa *s), void *arg, struct kern_fault *f)
{
	struct vpn *v = self;
	struct sas l = {.v = v, .fn = fn, .arg = arg, .now = time(NULL)};

	return v->ops->sa_dump(v->kern, show_sa, &l, f);
}

/* --- peers ------------------------------------------------------------------ */

struct peers {
	struct vpn *v;
	void (*fn)(void *arg, const struct vpn_show_peer *p);
	void *arg;
};

struct pairs {
	bool ike; /* SPIs say nothing */
	struct vpn_show_peer *s;
	struct epochs own;
	struct epochs theirs;
};

static void note_sa(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct pairs *p = arg;
	uint32_t own, peer;

	if (inbound) {
		p->s->inbound++;
		return;
	}
	p->s->outbound++;
	if (p->ike)
		return;
	decode_spi(sa->id.spi, false, &p->own, &p->theirs, &own, &peer);
	if (peer > p->s->out_peer || (peer == p->s->out_peer && own >= p->s->out_own)) {
		p->s->out_own = own;
		p->s->out_peer = peer;
	}
}

static const char *word(uint8_t column, int32_t value)
{
	return pib_enum_name(pib_column_find(&pib_ce_vpn_peer_status_class, column), value);
}

static void count_row(void *arg, const struct pib_row *row)
{
	(void)row;
	++*(unsigned *)arg;
}

static void show_peer(void *arg, const struct pib_row *r)
{
	const struct pib_ce_vpn_peer *row = r->data;
	struct peers *l = arg;
	struct vpn *v = l->v;
	const struct pib_ce_vpn *net = vpn_row(v->store, row->vpn);
	struct vpn_show_peer s = {.member = row->id};
	struct vpn_status status;
	struct pairs pairs = {.s = &s, .ike = net->keying == PIB_CE_VPN_KEYING_IKE};
	struct names n;

	names_of(v, 0, row->id, &n);
	s.vpn = n.vpn;
	s.name = n.peer;
	addr_from_octets(&s.addr, row->addr.p, row->addr.len);
	s.reqid = vpn_reqids_find(v->reqids, row->id);
	s.acked = vpn_peer_acked(v->store, row->id);
	pib_store_referrers(v->store, &pib_ce_vpn_peer_prefix_class,
	    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_PEER),
	    row->id, count_row, &s.prefixes);
	s.own_count = keying_epochs(v->keying, net->member, s.own, KEYING_EPOCHS, vpn_now_ms());
	own_epochs(v, net->member, &pairs.own);
	peer_epochs(v, row->id, &pairs.theirs);
	s.peer_count = pairs.theirs.count;
	memcpy(s.peer_epoch, pairs.theirs.epoch, sizeof(s.peer_epoch));
	if (s.reqid)
		kstate_sa_each(v->ks, s.reqid, note_sa, &pairs);
	vpn_status_get(v, row, &status);
	s.ready = status.state == PIB_CE_VPN_PEER_STATUS_STATE_UP;
	s.why_not = s.ready ? ""
		    : *status.error
			? status.error
			: peer_status_text(word(PIB_CE_VPN_PEER_STATUS_COL_WHY, status.why));
	l->fn(l->arg, &s);
}

void vpn_show_peers(void *self, void (*fn)(void *arg, const struct vpn_show_peer *p), void *arg)
{
	struct vpn *v = self;
	struct peers l = {.v = v, .fn = fn, .arg = arg};

	if (v->store)
		pib_store_each(v->store, &pib_ce_vpn_peer_class, show_peer, &l);
}

/* --- tunnels ---------------------------------------------------------------- */

struct tunnels {
	struct vpn *v;
	const char *vpn;
	void (*fn)(void *arg, const struct vpn_show_tunnel *t);
	void *arg;
};

static void show_interface(const struct vpn *v, const struct pib_ce_vpn_peer *row,
    struct vpn_show_tunnel *t, char name[KERN_TUNNEL_NAME_LEN])
{
	const struct pib_ce_vpn *net = vpn_row(v->store, row->vpn);

	t->interface = kern_tunnel_name(row->id, name);
	if (net && net->tunnel_addr.len && row->tunnel_addr.len) {
		addr_from_octets(&t->inner, net->tunnel_addr.p, net->tunnel_addr.len);
		addr_from_octets(&t->inner_peer, row->tunnel_addr.p, row->tunnel_addr.len);
	}
}

static void show_tunnel(void *arg, const struct pib_row *r)
{
	const struct pib_ce_vpn_peer *row = r->data;
	struct tunnels *l = arg;
	struct vpn_show_tunnel t = {.interface = ""};
	char interface[KERN_TUNNEL_NAME_LEN];
	struct vpn_traffic traffic;
	struct vpn_status s;
	struct names n;

	names_of(l->v, 0, row->id, &n);
	if (l->vpn && strcmp(l->vpn, n.vpn) != 0)
		return;
	t.vpn = n.vpn;
	t.peer = n.peer;
	addr_from_octets(&t.addr, row->addr.p, row->addr.len);
	if (kstate_tunnel_known(l->v->ks, row->id))
		show_interface(l->v, row, &t, interface);
	t.since = vpn_status_get(l->v, row, &s);
	t.state = word(PIB_CE_VPN_PEER_STATUS_COL_STATE, s.state);
	t.why = peer_status_text(word(PIB_CE_VPN_PEER_STATUS_COL_WHY, s.why));
	t.error = s.error;
	vpn_usage_peer(l->v, row->id, &traffic);
	t.spi_in = traffic.spi_in;
	t.spi_out = traffic.spi_out;
	t.packets_in = traffic.in.packets;
	t.octets_in = traffic.in.octets;
	t.packets_out = traffic.out.packets;
	t.octets_out = traffic.out.octets;
	l->fn(l->arg, &t);
}

int vpn_show_tunnels(
    void *self, const char *vpn, void (*fn)(void *arg, const struct vpn_show_tunnel *t), void *arg)
{
	struct vpn *v = self;
	struct tunnels l = {.v = v, .vpn = vpn, .fn = fn, .arg = arg};

	if (!v->store)
		return 0;
	if (vpn_usage_read(v) < 0)
		return -1;
	pib_store_each(v->store, &pib_ce_vpn_peer_class, show_tunnel, &l);
	return 0;
}

/* --- routes ----------------------------------------------------------------- */

struct routes {
	struct vpn *v;
	void (*fn)(void *arg, const struct vpn_show_route *r);
	void *arg;
};

/* With an interface for each peer they are of the tunnel to it. */
static bool is_routed(const struct vpn *v, const struct vpn_net *n, uint32_t peer,
    const struct prefix *dst, char device[KERN_IF_NAME_LEN])
{
	if (n->links) {
		kern_tunnel_name(peer, device);
		return kstate_tunnel_known(v->ks, peer);
	}
	kern_device_name(n->member.vpn, device);
	return kstate_route_known(v->ks, n->table, dst);
}

static void show_route(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *far = row->data;
	struct routes *l = arg;
	const struct pib_ce_vpn_peer *peer = far->peer ? vpn_peer_row(l->v->store, far->peer)
						       : NULL;
	struct vpn_show_route r = {.why_not = ""};
	char device[KERN_IF_NAME_LEN];
	const char *why = NULL;
	struct addr end = {0};
	struct vpn_net n;
	struct names names;

	if (!peer || addr_from_octets(&r.dst.addr, far->addr.p, far->addr.len) < 0)
		return; /* what is blocked is discarded, with or without a route */
	r.dst.len = (uint8_t)far->prefix_length;
	(void)addr_from_octets(&end, peer->addr.p, peer->addr.len);
	names_of(l->v, 0, peer->id, &names);
	r.vpn = names.vpn;
	r.peer = names.peer;
	if (vpn_host_net(l->v, far->vpn, &n)) {
		r.routed = is_routed(l->v, &n, peer->id, &r.dst, device);
		why = n.links ? NULL : vpn_host_no_route(l->v, &n, &end, &r.dst);
	}
	r.device = device;
	r.table = n.table;
	r.src = r.dst.addr.family == AF_INET ? n.here.v4.addr : n.here.v6.addr;
	if (!r.routed)
		r.why_not = why ? why : "it is not in the kernel";
	l->fn(l->arg, &r);
}

void vpn_show_routes(void *self, void (*fn)(void *arg, const struct vpn_show_route *r), void *arg)
{
	struct vpn *v = self;
	struct routes l = {.v = v, .fn = fn, .arg = arg};

	if (v->store)
		pib_store_each(v->store, &pib_ce_vpn_peer_prefix_class, show_route, &l);
}

void vpn_show_status(void *self, struct vpn_show_status *s)
{
	const struct vpn *v = self;

	*s = (struct vpn_show_status) {
	    .backend = v->ops->name,
	    .policies = kstate_policy_count(v->ks),
	    .sas = kstate_sa_count(v->ks),
	    .loaded = v->loaded,
	    .owes = kstate_owes(v->ks),
	    .lockdown = v->conf->lockdown,
	    .default_block = v->default_block,
	    .acquires = v->acquires,
	    .repairs = v->repair.repairs,
	};
	(void)vpn_trouble(v, s->trouble);
}
