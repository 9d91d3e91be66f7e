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

#include "common/log.h"
#include "pep/ike.h"
#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define PEM_MAX 65535 /* octets of a value in VICI */
#define TS_MAX	256   /* traffic selectors of a side; IKEv2 counts them with 8 bits */

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
	struct stat st;
	ssize_t n = -1;

	*p = (struct pem) {0};
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= PEM_MAX &&
	    (p->octet = malloc((size_t)st.st_size)))
		n = read(fd, p->octet, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	if (n > 0) {
		p->len = (size_t)n;
		return 0;
	}
	log_warn("%s: %s: no IKE with certificates", path, strerror(errno));
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

void vpn_ike_complete(struct vpn *v)
{
	if (v->ike->ike)
		ike_complete(v->ike->ike);
}

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
	    .esn = p->esn == PIB_CE_VPN_PROPOSAL_ESN_TRUE,
	    .ah = p->protocol == PIB_CE_VPN_PROPOSAL_PROTOCOL_AH};
	check(g, &g->c->esp[at], false, row->cls, row->instance, column);
	if (g->c->esp[at].ah) { /* the policies are ESP's */
		g->ok = false;
		if (g->f)
			vpn_fault(g->f, row->cls, row->instance, PIB_CPERR_ENUM_SUP,
			    PIB_CE_VPN_PROPOSAL_COL_PROTOCOL, "AH is for controller keying only");
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

/* What all peers of a VPN share. false: a transform cannot be done. */
static bool conf_net(struct vpn *v, const struct pib_store *store, const struct vpn_net *n,
    struct ike_conf *c, struct vpn_faults *f)
{
	struct gather g = {.c = c, .f = f, .ok = true};

	*c = (struct ike_conf) {.local = n->member.local,
	    .local_id = v->env.identity,
	    .psk = n->row->ike_auth == PIB_CE_VPN_IKE_AUTH_PRESHARED_KEY,
	    .certificate = v->ike->creds.certificate,
	    .ca = v->ike->creds.ca,
	    .transport = n->row->mode != PIB_CE_VPN_MODE_TUNNEL};
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

struct ts {
	struct prefix p[TS_MAX];
	size_t count;
	uint32_t but; /* peer whose prefixes are left out */
	bool too_many;
};

static void ts_add(struct ts *t, const struct prefix *p)
{
	for (size_t i = 0; i < t->count; i++)
		if (!prefix_cmp(&t->p[i], p))
			return;
	if (t->count == TS_MAX)
		t->too_many = true;
	else
		t->p[t->count++] = *p;
}

static void ts_list(struct ts *t, const struct spd_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		ts_add(t, &l->p[i].prefix);
}

static void ts_far(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *p = row->data;
	struct ts *t = arg;
	struct prefix prefix;

	if (!p->peer || p->peer == t->but ||
	    addr_from_octets(&prefix.addr, p->addr.p, p->addr.len) < 0)
		return;
	prefix.len = (uint8_t)p->prefix_length;
	ts_add(t, &prefix);
}

/* Our side, as peer sees it: when relaying, with what is reached through us. */
static void ts_near(
    const struct pib_store *store, const struct vpn_net *n, uint32_t peer, struct ts *t)
{
	*t = (struct ts) {.but = peer};
	ts_list(t, &n->near.site);
	if (!n->near.relay)
		return;
	if (n->near.space.count)
		ts_list(t, &n->near.space);
	else
		pib_store_referrers(store, &pib_ce_vpn_peer_prefix_class,
		    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_VPN),
		    n->row->id, ts_far, t);
}

static void ts_host(struct ts *t, const struct addr *a)
{
	*t = (struct ts) {0};
	ts_add(t, &(struct prefix) {.addr = *a, .len = (uint8_t)(8 * addr_len(a))});
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

static int ike_plan(struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p,
    struct kplan *plan, struct vpn_faults *f)
{
	struct leftover l = {.v = v, .plan = plan, .peer = p->row->id, .member = n->member.member};
	struct vpn_faults lenient = {0};
	struct ike_conf c;

	kstate_sa_each(v->ks, p->peer.reqid, drop_controller, &l);
	if (!f->txn) { /* what was accepted once: said in the tunnel's state */
		(void)check_auth(v, n, p, &lenient);
		return 0;
	}
	if (check_auth(v, n, p, f) < 0)
		return -1;
	return conf_net(v, v->store, n, &c, f) ? 0 : -1;
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

static void ike_acked(struct vpn *v, uint32_t member, uint32_t by_all)
{
	(void)v;
	(void)member;
	(void)by_all;
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
    .acked = ike_acked,
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

static int want(struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p)
{
	struct ts near, far = {0};
	struct ike_conf c;

	if (!conf_net(v, v->store, n, &c, NULL))
		return -1;
	c.remote = p->peer.addr;
	c.remote_id = p->name;
	c.peer = p->row->id;
	c.reqid = vpn_reqids_find(v->reqids, p->row->id);
	if (c.transport) {
		ts_host(&near, &c.local);
		ts_host(&far, &c.remote);
	} else {
		ts_near(v->store, n, p->row->id, &near);
		ts_list(&far, &p->far);
	}
	if (near.too_many || far.too_many)
		log_err(
		    "%s: more than %d traffic selectors, IKE asks for the first", p->name, TS_MAX);
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

/* A peer as the rows say now, also that it is gone. */
static void peer_changed(struct vpn *v, uint32_t peer)
{
	const struct pib_ce_vpn_peer *row = vpn_peer_row(v->store, peer);
	const struct pib_ce_vpn *net = row ? vpn_row(v->store, row->vpn) : NULL;
	struct vpn_env env = vpn_row_env(v, v->store, true);
	struct vpn_faults f = {0};
	struct vpn_net n;
	struct vpn_peer p;
	int rc = -1;

	if (!net || net->keying != PIB_CE_VPN_KEYING_IKE) {
		ike_unwant(v->ike->ike, peer);
		return;
	}
	if (vpn_net_load(&n, &env, row->vpn, &f) < 0)
		return;
	if (vpn_peer_load(&p, &env, &n, peer, true, &f) == 0) {
		rc = want(v, &n, &p);
		vpn_peer_clear(&p);
	}
	if (rc < 0)
		log_err("IKE with peer %u cannot be set up", (unsigned)peer);
	vpn_net_clear(&n);
}

static void row_changed(void *arg, const struct pib_row *row)
{
	peer_changed(arg, row->instance);
}

static void all_changed(struct vpn *v, uint32_t vpn)
{
	pib_store_referrers(v->store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), vpn, row_changed, v);
}

static uint64_t mix(uint64_t h, const void *p, size_t len)
{
	const uint8_t *o = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ o[i]) * 0x100000001b3U;
	return h;
}

/* Of what all of a VPN's peers share. */
static uint64_t digest_of(struct vpn *v, const struct vpn_net *n)
{
	struct vici_build settings, child;
	struct ike_names names = {0};
	struct ike_conf c;
	struct ts near;
	uint64_t h;

	if (!conf_net(v, v->store, n, &c, NULL))
		return 1;
	ts_near(v->store, n, 0, &near);
	c.remote = c.local;
	c.remote_id = "";
	c.local_ts = near.p;
	c.local_tss = near.count;
	(void)ike_conf_build(&c, &settings, &child, &names);
	h = mix(0xcbf29ce484222325U, &names, sizeof(names));
	vici_build_clear(&settings);
	vici_build_clear(&child);
	h = mix(h, &n->row->activation, sizeof(n->row->activation));
	return mix(h, &n->row->nat, sizeof(n->row->nat));
}

struct rekey {
	struct vpn *v;
	bool leading;
	unsigned asked;
};

static void rekey_peer(void *arg, const struct pib_row *row)
{
	struct rekey *r = arg;

	r->asked += ike_rekey(r->v->ike->ike, row->instance, r->leading);
}

/* CHILD_SAs of a VPN; leading: only where we lead, as the other end is told too. */
static unsigned rekey_net(struct vpn *v, uint32_t vpn, bool leading)
{
	struct rekey r = {.v = v, .leading = leading};

	pib_store_referrers(v->store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), vpn, rekey_peer, &r);
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

static void net_changed(struct vpn *v, uint32_t vpn)
{
	struct vpn_env env = vpn_row_env(v, v->store, true);
	const struct pib_ce_vpn *row = vpn_row(v->store, vpn);
	struct vpn_faults f = {0};
	struct net_digest *d;
	struct vpn_net n;
	uint64_t digest = 0;

	if (row && row->keying == PIB_CE_VPN_KEYING_IKE && vpn_net_load(&n, &env, vpn, &f) == 0) {
		digest = digest_of(v, &n);
		vpn_net_clear(&n);
	}
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
	all_changed(v, vpn);
	if (digest)
		return;
	HASH_DEL(v->ike->nets, d);
	free(d);
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
		pib_store_each(v->store, &pib_ce_vpn_peer_class, row_changed, v);
}
