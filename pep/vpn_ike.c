/*
 * vpn_ike.c - the provider of IKE keying: VPN rows to what charon is to do (pep/ike), and charon's
 * SAs into the shadow.
 *
 * A transaction checks what can be checked (transforms, identities, keys that must be there) and
 * puts the policies, so that nothing leaves in clear; what charon is asked for follows after its
 * report and may take as long as the peer takes.  The tunnel's state says how far it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fnv.h"
#include "common/log.h"
#include "pep/ike.h"
#include "pep/pep_conf.h"
#include "pep/vpn_ike_rows.h"
#include "pep/vpn_int.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define PEM_MAX 65535 /* octets of a value in VICI */

struct pem {
	uint8_t *octet;
	size_t len;
};

struct net_digest { /* of what all peers of a VPN share */
	uint32_t vpn;
	uint64_t digest;
	uint32_t rekey_serial;
	UT_hash_handle hh;
};

struct vpn_ike {
	struct ike *ike;
	struct ike_creds creds;
	struct pem certificate;
	struct pem key;
	struct pem ca;
	struct ike_psk *psk;
	struct net_digest *nets;
};

/* --- files ------------------------------------------------------------------------- */

static void pem_clear(struct pem *p)
{
	if (p->octet)
		explicit_bzero(p->octet, p->len);
	free(p->octet);
	*p = (struct pem) {0};
}

static int pem_read(struct pem *p, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *why = NULL;
	struct stat st;
	ssize_t n = -1;

	*p = (struct pem) {0};
	if (fd < 0 || fstat(fd, &st) < 0)
		why = strerror(errno);
	else if (st.st_size <= 0 || st.st_size > PEM_MAX)
		why = st.st_size <= 0 ? "empty" : "too large";
	else if (!(p->octet = malloc((size_t)st.st_size)))
		why = "out of memory";
	else if ((n = read(fd, p->octet, (size_t)st.st_size)) <= 0)
		why = n < 0 ? strerror(errno) : "empty";
	if (!why) {
		p->len = (size_t)n;
		close(fd);
		return 0;
	}
	log_warn("%s: %s: no IKE with certificates", path, why);
	if (fd >= 0)
		close(fd);
	pem_clear(p);
	return -1;
}

static struct vici_view pem_view(const struct pem *p)
{
	return (struct vici_view) {p->octet, p->len};
}

/* Files as they are now; what cannot be read any more stays as it was. */
static int files_read(struct vpn *v, char *err, unsigned long err_len)
{
	struct vpn_ike *i = v->ike;
	const struct pep_conf *c = v->conf;
	struct pem cert, key, ca;
	struct ike_psk *psk;

	if (pep_conf_tls(c)) {
		if (pem_read(&cert, c->certificate) == 0) {
			pem_clear(&i->certificate);
			i->certificate = cert;
		}
		if (pem_read(&key, c->key) == 0) {
			pem_clear(&i->key);
			i->key = key;
		}
		if (pem_read(&ca, c->ca) == 0) {
			pem_clear(&i->ca);
			i->ca = ca;
		}
	}
	i->creds.certificate = pem_view(&i->certificate);
	i->creds.key = pem_view(&i->key);
	i->creds.ca = pem_view(&i->ca);
	i->creds.identity = v->env.identity;
	if (!c->psk_file[0])
		return 0;
	if (!(psk = ike_psk_read(c->psk_file, err, err_len)))
		return -1;
	ike_psk_free(i->psk);
	i->creds.psk = i->psk = psk;
	return 0;
}

/* --- what charon tells ---------------------------------------------------------------- */

static void on_changed(void *arg)
{
	vpn_tick_soon(arg);
	vpn_status_changed(arg);
}

static void on_daemon(void *arg, bool up)
{
	(void)up;
	vpn_publish(arg);
}

static const struct ike_ops ike_ops = {.changed = on_changed,
    .daemon = on_daemon,
    .installed = vpn_ike_installed,
    .retire = vpn_ike_retire,
    .only = vpn_ike_only};

/* --- life ------------------------------------------------------------------------------ */

int vpn_ike_start(struct vpn *v, char *err, unsigned long err_len)
{
	struct vpn_ike *i = calloc(1, sizeof(*i));

	snprintf(err, err_len, "out of memory");
	if (!(v->ike = i))
		return -1;
	if (files_read(v, err, err_len) < 0)
		return -1;
	if (!v->conf->vici_socket[0] || !v->env.base)
		return 0; /* no IKE here */
	i->ike = ike_new(v->env.base, v->conf->vici_socket, &i->creds, &ike_ops, v);
	return i->ike ? 0 : -1;
}

void vpn_ike_stop(struct vpn *v)
{
	struct vpn_ike *i = v->ike;
	struct net_digest *d, *next;

	if (!i)
		return;
	ike_free(i->ike);
	ike_psk_free(i->psk);
	pem_clear(&i->certificate);
	pem_clear(&i->key);
	pem_clear(&i->ca);
	HASH_ITER (hh, i->nets, d, next) {
		HASH_DEL(i->nets, d);
		free(d);
	}
	free(i);
	v->ike = NULL;
}

int64_t vpn_ike_tick(struct vpn *v)
{
	return v->ike->ike ? ike_tick(v->ike->ike, vpn_now_ms()) : INT64_MAX;
}

bool vpn_ike_up(const struct vpn *v)
{
	return v->ike && v->ike->ike && ike_up(v->ike->ike);
}

size_t vpn_ike_ending(const struct vpn *v)
{
	return v->ike && v->ike->ike ? ike_ending(v->ike->ike) : 0;
}

void vpn_ike_complete(struct vpn *v)
{
	if (v->ike->ike)
		ike_complete(v->ike->ike);
}

/* --- the provider -------------------------------------------------------------------------------
 */

static int ike_verify_keys(
    struct vpn *v, const struct vpn_net *n, struct vpn_peer *p, struct vpn_faults *f, bool lenient)
{
	(void)v;
	(void)n;
	(void)p;
	(void)f;
	(void)lenient;
	return 0;
}

struct leftover {
	struct vpn *v;
	struct kplan *plan;
	uint32_t peer;
	uint32_t member;
};

/* SAs of controller keying, which the VPN had before. */
static void drop_controller(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct leftover *l = arg;

	if (sa->id.spi >> 8 == (inbound ? l->peer : l->member) &&
	    !(l->v->ike->ike && ike_lists(l->v->ike->ike, l->peer, sa->id.spi)))
		kplan_sa_del(l->plan, &sa->id);
}

/* Can charon authenticate us to it, and it to us? */
static int check_auth(
    struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p, struct vpn_faults *f)
{
	const struct pib_class *cls = &pib_ce_vpn_class;

	if (!v->ike->ike)
		return vpn_fault(f, cls, n->row->id, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_KEYING,
		    "IKE is switched off here (vici-socket)");
	if (strpbrk(p->name, "*?%/@#{} "))
		return vpn_fault(f, &pib_ce_vpn_peer_class, p->row->id, PIB_CPERR_VALUE,
		    PIB_CE_VPN_PEER_COL_NAME, "not the name of one peer");
	if (n->row->ike_auth == PIB_CE_VPN_IKE_AUTH_PRESHARED_KEY) {
		if (!ike_psk_find(v->ike->psk, p->name))
			return vpn_fault(f, cls, n->row->id, PIB_CPERR_VALUE_SUP,
			    PIB_CE_VPN_COL_IKE_AUTH, "psk-file has no key for %s", p->name);
	} else if (!v->ike->creds.certificate.len || !v->ike->creds.key.len ||
		   !v->ike->creds.ca.len) {
		return vpn_fault(f, cls, n->row->id, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_COL_IKE_AUTH,
		    "this CE has no certificate");
	}
	return 0;
}

static int ts_fault(const struct vpn_ike_ts *t, const struct vpn_peer *p, struct vpn_faults *f)
{
	if (!t->cls)
		return 0;
	return vpn_fault(f, t->cls, t->row, PIB_CPERR_VALUE_SUP,
	    t->cls == &pib_ce_vpn_peer_prefix_class ? PIB_CE_VPN_PEER_PREFIX_COL_ADDR
						    : PIB_CE_VPN_LOCAL_PREFIX_COL_ADDR,
	    "IKE has %d traffic selectors for a side, with %s there are more", VPN_IKE_TS_MAX,
	    p->name);
}

/* Are there words for all that is to pass?  p->far is empty unless it may have changed. */
static int check_ts(
    struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p, struct vpn_faults *f)
{
	struct vpn_ike_ts t;

	vpn_ike_ts_near(v->store, n, p->row->id, &t);
	if (ts_fault(&t, p, f) < 0)
		return -1;
	t = (struct vpn_ike_ts) {0};
	vpn_ike_ts_list(&t, &p->far, &pib_ce_vpn_peer_prefix_class);
	return ts_fault(&t, p, f);
}

static int ike_plan(struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p,
    struct kplan *plan, struct vpn_faults *f)
{
	struct leftover l = {.v = v, .plan = plan, .peer = p->row->id, .member = n->member.member};
	struct ike_conf c;

	kstate_sa_each(v->ks, p->peer.reqid, drop_controller, &l);
	if (!f->txn) /* what was accepted once: said in the tunnel's state */
		return 0;
	if (check_auth(v, n, p, f) < 0 ||
	    !vpn_ike_conf(v->store, n, v->env.identity, &v->ike->creds, &c, f))
		return -1;
	return n->links ? 0 : check_ts(v, n, p, f);
}

static void ike_settle(struct vpn *v, const struct vpn_net *n)
{
	(void)v;
	(void)n;
}

static void ike_nothing(struct vpn *v, uint32_t member)
{
	(void)v;
	(void)member;
}

static void ike_expiring(struct vpn *v, uint32_t member, uint32_t spi)
{
	(void)v; /* charon rekeys by its own clock, which is set a little earlier */
	(void)member;
	(void)spi;
}

/* charon's words for what ceVpnPeerStatusWhy has a number for. */
static int32_t why_failed(const char *reason)
{
	static const struct {
		const char *words;
		int32_t why;
	} known[] = {
	    {"does not answer", PIB_CE_VPN_PEER_STATUS_WHY_UNREACHABLE},
	    {"giving up after", PIB_CE_VPN_PEER_STATUS_WHY_UNREACHABLE},
	    {"NO_PROPOSAL_CHOSEN", PIB_CE_VPN_PEER_STATUS_WHY_NO_PROPOSAL},
	    {"no shared key", PIB_CE_VPN_PEER_STATUS_WHY_NO_SECRET},
	    {"kernel", PIB_CE_VPN_PEER_STATUS_WHY_KERNEL_REFUSED},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(reason, known[i].words))
			return known[i].why;
	return PIB_CE_VPN_PEER_STATUS_WHY_IKE_FAILED;
}

static void ike_status_of(struct vpn *v, const struct pib_ce_vpn *n,
    const struct pib_ce_vpn_peer *p, struct vpn_status *s)
{
	static const struct {
		int32_t state;
		int32_t why;
	} as[] = {
	    [IKE_UP] = {PIB_CE_VPN_PEER_STATUS_STATE_UP, PIB_CE_VPN_PEER_STATUS_WHY_NONE},
	    [IKE_IDLE] = {PIB_CE_VPN_PEER_STATUS_STATE_IDLE, PIB_CE_VPN_PEER_STATUS_WHY_NONE},
	    [IKE_CONNECTING] = {PIB_CE_VPN_PEER_STATUS_STATE_CONNECTING,
		PIB_CE_VPN_PEER_STATUS_WHY_NONE},
	    [IKE_FAILED] = {PIB_CE_VPN_PEER_STATUS_STATE_DOWN,
		PIB_CE_VPN_PEER_STATUS_WHY_IKE_FAILED},
	    [IKE_NO_DAEMON] = {PIB_CE_VPN_PEER_STATUS_STATE_DOWN,
		PIB_CE_VPN_PEER_STATUS_WHY_NO_DAEMON},
	};
	struct ike_status now;

	(void)n;
	if (!vpn_ike_status(v, p->id, &now))
		return;
	s->state = as[now.state].state;
	s->why = now.state == IKE_FAILED ? why_failed(now.reason) : as[now.state].why;
	if (now.state != IKE_UP)
		snprintf(s->error, sizeof(s->error), "%s", now.reason);
}

const struct vpn_provider vpn_ike_provider = {
    .keying = PIB_CE_VPN_KEYING_IKE,
    .verify = ike_verify_keys,
    .plan = ike_plan,
    .settle = ike_settle,
    .gone = ike_nothing,
    .lost = ike_nothing,
    .expiring = ike_expiring,
    .status = ike_status_of,
};

/* --- what is wanted
 * -------------------------------------------------------------------------------- */

static bool leads(const struct vpn_net *n, const struct vpn_peer *p)
{
	bool own_nat = n->row->nat == PIB_CE_VPN_NAT_TRUE;
	bool peer_nat = p->row->nat == PIB_CE_VPN_PEER_NAT_TRUE;

	if (p->row->managed == PIB_CE_VPN_PEER_MANAGED_FALSE)
		return true;
	if (own_nat != peer_nat)
		return own_nat; /* who can be reached waits */
	return n->member.member < p->row->id;
}

struct shared { /* by all peers of a VPN */
	struct vpn *v;
	struct vpn_net net;
	struct ike_conf conf;
	bool can; /* charon has words for it */
};

/* -1: there is nothing to clear. */
static int shared_load(struct vpn *v, struct shared *s, uint32_t vpn)
{
	struct vpn_env env = vpn_row_env(v, v->store, true);
	struct vpn_faults f = {0};

	s->v = v;
	if (vpn_net_load(&s->net, &env, vpn, &f) < 0)
		return -1;
	s->can = vpn_ike_conf(v->store, &s->net, v->env.identity, &v->ike->creds, &s->conf, NULL);
	return 0;
}

static int want(const struct shared *s, const struct vpn_peer *p)
{
	const struct vpn_net *n = &s->net;
	struct vpn_ike_ts near, far = {0};
	struct ike_conf c = s->conf;
	struct vpn *v = s->v;

	if (n->held) {
		ike_unwant(v->ike->ike, p->row->id);
		return 0;
	}
	if (!s->can)
		return -1;
	c.remote = p->peer.addr;
	c.remote_id = p->name;
	c.peer = p->row->id;
	c.reqid = vpn_reqids_find(v->reqids, p->row->id);
	if (c.transport) {
		vpn_ike_ts_host(&near, &c.local);
		vpn_ike_ts_host(&far, &c.remote);
	} else {
		vpn_ike_ts_near(v->store, n, p->row->id, &near);
		if (n->vti)
			vpn_ike_ts_any(&far);
		else
			vpn_ike_ts_list(&far, &p->far, &pib_ce_vpn_peer_prefix_class);
	}
	if (near.cls || far.cls) /* rows of an older agent's */
		log_err("%s: more than %d traffic selectors, IKE asks for the first", p->name,
		    VPN_IKE_TS_MAX);
	c.local_ts = near.p;
	c.local_tss = near.count;
	c.remote_ts = far.p;
	c.remote_tss = far.count;
	if (!c.reqid || !near.count || !far.count) {
		ike_unwant(v->ike->ike, p->row->id);
		return 0;
	}
	return ike_want(v->ike->ike, &c, n->row->activation == PIB_CE_VPN_ACTIVATION_PERMANENT,
	    leads(n, p), vpn_now_ms());
}

static void want_row(void *arg, const struct pib_row *row)
{
	struct shared *s = arg;
	struct vpn_env env = vpn_row_env(s->v, s->v->store, true);
	struct vpn_faults f = {0};
	struct vpn_peer p;
	int rc = -1;

	if (vpn_peer_load(&p, &env, &s->net, row->instance, true, &f) == 0) {
		rc = want(s, &p);
		vpn_peer_clear(&p);
	}
	if (rc < 0)
		log_err("IKE with peer %u cannot be set up", (unsigned)row->instance);
}

static void unwant_row(void *arg, const struct pib_row *row)
{
	struct vpn *v = arg;

	ike_unwant(v->ike->ike, row->instance);
}

/* A peer as the rows say now, also that it is gone. */
static void peer_changed(struct vpn *v, uint32_t peer)
{
	const struct pib_row *row = pib_store_find(v->store, &pib_ce_vpn_peer_class, peer);
	const struct pib_ce_vpn_peer *data = row ? row->data : NULL;
	const struct pib_ce_vpn *net = data ? vpn_row(v->store, data->vpn) : NULL;
	struct shared s;

	if (!net || net->keying != PIB_CE_VPN_KEYING_IKE) {
		ike_unwant(v->ike->ike, peer);
	} else if (shared_load(v, &s, data->vpn) == 0) {
		want_row(&s, row);
		vpn_net_clear(&s.net);
	}
}

static void each_peer(
    struct vpn *v, uint32_t vpn, void (*fn)(void *arg, const struct pib_row *row), void *arg)
{
	pib_store_referrers(v->store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), vpn, fn, arg);
}

/* Of what all of a VPN's peers share. */
static uint64_t digest_of(const struct shared *s)
{
	const struct vpn_net *n = &s->net;
	struct vici_build settings, child;
	struct ike_names names = {0};
	struct ike_conf c = s->conf;
	struct vpn_ike_ts near;
	uint64_t h;

	if (!s->can)
		return 1;
	vpn_ike_ts_near(s->v->store, n, 0, &near);
	c.remote = c.local;
	c.remote_id = "";
	c.local_ts = near.p;
	c.local_tss = near.count;
	(void)ike_conf_build(&c, &settings, &child, &names);
	h = fnv_add(FNV_START, &names, sizeof(names));
	vici_build_clear(&settings);
	vici_build_clear(&child);
	h = fnv_add(h, &near.rest, sizeof(near.rest)); /* of a peer's own there may be many */
	h = fnv_add(h, &n->row->activation, sizeof(n->row->activation));
	return fnv_add(h, &n->row->nat, sizeof(n->row->nat));
}

struct rekey {
	struct vpn *v;
	bool leading;
	unsigned asked;
};

static void rekey_peer(void *arg, const struct pib_row *row)
{
	struct rekey *r = arg;

	r->asked += ike_rekey(r->v->ike->ike, row->instance, r->leading, vpn_now_ms());
}

/* CHILD_SAs of a VPN; leading: only where we lead, as the other end is told too. */
static unsigned rekey_net(struct vpn *v, uint32_t vpn, bool leading)
{
	struct rekey r = {.v = v, .leading = leading};

	each_peer(v, vpn, rekey_peer, &r);
	return r.asked;
}

struct rekey_all {
	struct vpn *v;
	uint32_t member;
	unsigned asked;
};

static void rekey_row(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	struct rekey_all *a = arg;

	if (n->keying == PIB_CE_VPN_KEYING_IKE && (!a->member || n->member == a->member))
		a->asked += rekey_net(a->v, row->instance, false);
}

unsigned vpn_ike_rekey(struct vpn *v, uint32_t member)
{
	struct rekey_all a = {.v = v, .member = member};

	if (v->ike && v->ike->ike && v->store)
		pib_store_each(v->store, &pib_ce_vpn_class, rekey_row, &a);
	return a.asked;
}

/* s: the VPN as it is now, NULL: it is not IKE's any more, or cannot be loaded. */
static void shared_changed(struct vpn *v, uint32_t vpn, struct shared *s)
{
	const struct pib_ce_vpn *row = s ? s->net.row : NULL;
	const struct pib_ce_vpn *now = vpn_row(v->store, vpn);
	uint64_t digest = s ? digest_of(s) : 0;
	struct net_digest *d;

	HASH_FIND(hh, v->ike->nets, &vpn, sizeof(vpn), d);
	if (!d && digest && (d = calloc(1, sizeof(*d)))) {
		d->vpn = vpn;
		d->rekey_serial = row->rekey_serial;
		HASH_ADD(hh, v->ike->nets, vpn, sizeof(d->vpn), d);
	}
	if (!d)
		return;
	if (row && row->rekey_serial > d->rekey_serial) {
		d->rekey_serial = row->rekey_serial;
		if (d->digest == digest)
			(void)rekey_net(v, vpn, true);
	}
	if (d->digest == digest)
		return;
	d->digest = digest;
	if (s) {
		each_peer(v, vpn, want_row, s);
		return;
	}
	if (!now || now->keying != PIB_CE_VPN_KEYING_IKE)
		each_peer(v, vpn, unwant_row, v);
	HASH_DEL(v->ike->nets, d);
	free(d);
}

static void net_changed(struct vpn *v, uint32_t vpn)
{
	const struct pib_ce_vpn *row = vpn_row(v->store, vpn);
	struct shared s;

	if (row && row->keying == PIB_CE_VPN_KEYING_IKE && shared_load(v, &s, vpn) == 0) {
		shared_changed(v, vpn, &s);
		vpn_net_clear(&s.net);
	} else {
		shared_changed(v, vpn, NULL);
	}
}

static void net_row(void *arg, const struct pib_row *row)
{
	net_changed(arg, row->instance);
}

void vpn_ike_touched(struct vpn *v, const struct vpn_touch *e)
{
	if (!v->ike->ike || !v->store)
		return;
	if (e->key.part == VPN_PART_PEER)
		peer_changed(v, e->key.id);
	else if (e->key.part == VPN_PART_NET)
		net_changed(v, e->key.id);
}

/* --- the kernel
 * ---------------------------------------------------------------------------------------- */

bool vpn_ike_has(const struct vpn *v, uint32_t peer)
{
	const struct pib_ce_vpn_peer *p = peer && v->store ? vpn_peer_row(v->store, peer) : NULL;
	const struct pib_ce_vpn *n = p ? vpn_row(v->store, p->vpn) : NULL;

	return n && n->keying == PIB_CE_VPN_KEYING_IKE && v->ike && v->ike->ike;
}

void vpn_ike_acquire(struct vpn *v, uint32_t peer)
{
	ike_acquire(v->ike->ike, peer, vpn_now_ms());
}

void vpn_ike_missing(struct vpn *v, uint32_t peer, const struct kern_sa_id *id)
{
	vpn_ike_prefer(v, peer);
	ike_missing(v->ike->ike, peer, id->spi, vpn_now_ms());
}

static bool present(void *arg, const struct ike_sa *sa)
{
	const struct vpn *v = arg;

	return kstate_sa_known(v->ks, &(struct kern_sa_id) {.dst = sa->local, .spi = sa->spi_in}) &&
	       kstate_sa_known(v->ks, &(struct kern_sa_id) {.dst = sa->remote, .spi = sa->spi_out});
}

void vpn_ike_verify(struct vpn *v)
{
	if (v->ike->ike)
		ike_verify(v->ike->ike, present, vpn_now_ms());
}

bool vpn_ike_status(const struct vpn *v, uint32_t peer, struct ike_status *s)
{
	return v->ike && v->ike->ike && ike_status(v->ike->ike, peer, s);
}

void vpn_ike_reload(struct vpn *v)
{
	char err[400];

	if (files_read(v, err, sizeof(err)) < 0)
		log_err("pre-shared keys are not read again: %s", err);
	if (!v->ike->ike)
		return;
	ike_creds_changed(v->ike->ike);
	if (v->store)
		pib_store_each(v->store, &pib_ce_vpn_class, net_row, v);
}
