/*
 * test_pep_vpn.c - the enforcer whole: rows in transactions, real keying, kernel in
 * memory.  Two CEs in one process exchange keys through the test, which plays the PDP.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/suites.h"
#include "copsctl/pki.h"
#include "pep/client.h"
#include "pep/kern_mem.h"
#include "pep/kern_mem_net.h"
#include "pep/spd.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pep/vpn_rows.h"
#include "pep/vpn_show.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

/* to and from the PDP, and of neighbour discovery */
#define CONTROL_POLICIES (2 + SPD_NEIGHBOURS)

static char top[] = "/tmp/test_pep_vpn.XXXXXX";
static struct event_base *base;

struct ce {
	unsigned n;
	struct pep_conf conf;
	char dir[64];
	struct pib_schema *schema;
	struct pib_store *store;
	void *self;
	struct kern *kern;
};

static struct ce a, b;

/* --- rows ------------------------------------------------------------------- */

static const uint8_t vpn_id[7] = {0, 0, 0x5e, 0, 0, 0, 1};

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct pib_octets ip(const char *s)
{
	static struct addr keep[64];
	static unsigned next;
	struct addr *x = &keep[next++ % 64];

	ck_assert_int_eq(addr_parse(x, s), 0);
	return (struct pib_octets) {x->octets, (uint32_t)addr_len(x)};
}

static void install(struct pib_txn *t, const struct pib_class *cls, const void *row)
{
	const struct pib_column *index = pib_column_find(cls, 1);
	struct buf epd;

	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	ck_assert(!epd.failed);
	ck_assert_int_eq(pib_txn_install_row(t, cls, (uint32_t)pib_row_number(index, row), epd.data,
			     (uint32_t)epd.len),
	    0);
	buf_clear(&epd);
}

/* CE n is member n with 10.n.0.0/16 at 192.0.2.n; VPN 1. */
static struct pib_ce_vpn vpn_row_of(unsigned n)
{
	char local[32];
	snprintf(local, sizeof(local), "192.0.2.%u", n);
	return (struct pib_ce_vpn) {PIB_CE_VPN_DEFAULTS, .id = 1, .vpn_id = {vpn_id, 7},
	    .name = text("acme"), .member = n, .role = PIB_CE_VPN_ROLE_MESH,
	    .mode = PIB_CE_VPN_MODE_TUNNEL, .keying = PIB_CE_VPN_KEYING_CONTROLLER, .proposals = 5,
	    .local_addr_type = 1, .local_addr = ip(local),
	    .non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS, .relay = PIB_CE_VPN_RELAY_FALSE};
}

static struct pib_ce_vpn_proposal proposal(void)
{
	return (struct pib_ce_vpn_proposal) {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = 50, .tag = 5,
	    .order = 1, .encr = 12, .encr_key_bits = 256, .integ = 14, .replay_window = 32,
	    .lifetime_seconds = 3600};
}

static struct pib_ce_vpn_local_prefix local_prefix(unsigned n)
{
	char p[32];
	snprintf(p, sizeof(p), "10.%u.0.0", n);
	return (struct pib_ce_vpn_local_prefix) {.id = 100 + n,
	    .vpn = 1,
	    .addr_type = 1,
	    .addr = ip(p),
	    .prefix_length = 16,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};
}

static struct pib_ce_vpn_peer peer(unsigned n)
{
	static char name[8][32];
	char p[32];
	snprintf(p, sizeof(p), "192.0.2.%u", n);
	snprintf(name[n % 8], sizeof(name[0]), "ce%u.example.net", n);
	return (struct pib_ce_vpn_peer) {PIB_CE_VPN_PEER_DEFAULTS, .id = n, .vpn = 1,
	    .name = text(name[n % 8]), .role = PIB_CE_VPN_PEER_ROLE_MESH, .addr_type = 1,
	    .addr = ip(p)};
}

static struct pib_ce_vpn_peer_prefix peer_prefix(unsigned n)
{
	char p[32];
	snprintf(p, sizeof(p), "10.%u.0.0", n);
	return (struct pib_ce_vpn_peer_prefix) {
	    .id = 100 + n, .vpn = 1, .peer = n, .addr_type = 1, .addr = ip(p), .prefix_length = 16};
}

#define INSTALL(t, name, row)                                                                      \
	do {                                                                                       \
		struct pib_##name r_ = row;                                                        \
		install(t, &pib_##name##_class, &r_);                                              \
	} while (0)

static void first_rows(struct pib_txn *t, unsigned n, unsigned other)
{
	INSTALL(t, ce_vpn_proposal, proposal());
	INSTALL(t, ce_vpn, vpn_row_of(n));
	INSTALL(t, ce_vpn_local_prefix, local_prefix(n));
	INSTALL(t, ce_vpn_peer, peer(other));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(other));
}

/* --- a CE ------------------------------------------------------------------- */

static void ce_start(struct ce *c)
{
	struct pep_env env = {
	    .base = base, .identity = c->conf.identity, .state_dir = c->dir, .conf = &c->conf};
	char err[200];

	c->self = pep_client_vpn.start(&env, err, sizeof(err));
	ck_assert_msg(c->self != NULL, "%s", err);
	c->kern = vpn_kern(c->self);
	ck_assert_msg(
	    pep_client_vpn.reconcile(c->self, c->store, err, sizeof(err)) == 0, "%s", err);
}

static void ce_new(struct ce *c, unsigned n)
{
	struct pep_conf *conf = &c->conf;
	struct diag d;
	char settings[800];

	c->n = n;
	snprintf(c->dir, sizeof(c->dir), "%s/ce%u", top, n);
	snprintf(settings, sizeof(settings), "rm -rf %s && mkdir -m 700 %s", c->dir, c->dir);
	ck_assert_int_eq(system(settings), 0);
	snprintf(settings, sizeof(settings),
	    "pdp = { \"pdp.example.net@198.51.100.10\" }\nbackend = mem\nstate-dir = \"%s\"\n"
	    "certificate = \"%s/pki/ce%u.example.net.pem\"\nkey = \"%s/pki/ce%u.example.net.key\"\n"
	    "ca = \"%s/pki/ca.pem\"\n",
	    c->dir, top, n, top, n, top);
	diag_init(&d);
	if (pep_conf_parse(conf, settings, &d) < 0) {
		diag_print(&d, stderr);
		ck_abort();
	}
	diag_clear(&d);
	c->schema = pib_schema_new(pep_client_vpn.module, pep_client_vpn.module_count);
	c->store = pib_store_new(c->schema, PIB_INSTALL, 100000);
	ce_start(c);
}

static void ce_restart(struct ce *c)
{
	kern_mem_keep(c->kern);
	pep_client_vpn.stop(c->self);
	ce_start(c);
}

static void ce_free(struct ce *c)
{
	pep_client_vpn.stop(c->self);
	pib_store_free(c->store);
	pib_schema_free(c->schema);
	pep_conf_clear(&c->conf);
}

/* Judge, enforce, commit. 0, or -1: aborted, *f is the first fault. */
static int commit(struct ce *c, struct pib_txn *t, struct pib_fault *f)
{
	const struct pib_fault *faults;

	if (pib_txn_check(t) == 0 && pep_client_vpn.enforce(c->self, c->store, t) == 0) {
		pib_txn_commit(t);
		pep_client_vpn.settled(c->self, c->store);
		return 0;
	}
	ck_assert_uint_gt(pib_txn_faults(t, &faults), 0);
	*f = faults[0];
	pib_txn_abort(t);
	return -1;
}

static void must(struct ce *c, struct pib_txn *t)
{
	struct pib_fault f;
	char line[200];

	if (commit(c, t, &f) < 0)
		ck_abort_msg("%s", pib_fault_print(&f, line, sizeof(line)));
}

static void remove_row(struct pib_txn *t, const struct pib_class *cls, uint32_t instance)
{
	ck_assert_int_eq(pib_txn_remove_row(t, cls, instance), 0);
}

/* --- the policy server ------------------------------------------------------- */

static struct pib_txn *relay_to;
static uint32_t relay_newest;

static void relay_key(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	const struct pib_ce_vpn_site_key *k = row;
	struct pib_ce_vpn_peer_key p;

	(void)arg;
	if (cls != &pib_ce_vpn_site_key_class)
		return;
	p = (struct pib_ce_vpn_peer_key) {.id = instance,
	    .peer = k->member,
	    .epoch = k->epoch,
	    .public_key = k->public_key,
	    .nonce = k->nonce,
	    .transforms = k->transforms,
	    .sends = k->sends,
	    .certificate = k->certificate,
	    .signature = k->signature};
	install(relay_to, &pib_ce_vpn_peer_key_class, &p);
	if (k->epoch > relay_newest)
		relay_newest = k->epoch;
}

static void remove_key(void *arg, const struct pib_row *row)
{
	(void)arg;
	remove_row(relay_to, row->cls, row->instance);
}

/* What one published becomes known to the other, and its success the acknowledgement. */
static void pass_keys(struct ce *from, struct ce *to)
{
	struct pib_ce_vpn_peer_ack ack = {.id = to->n, .peer = to->n};

	relay_to = pib_txn_begin(to->store);
	pib_store_each(to->store, &pib_ce_vpn_peer_key_class, remove_key, NULL);
	relay_newest = 0;
	pep_client_vpn.notify(from->self, relay_key, NULL);
	must(to, relay_to);
	if (!relay_newest)
		return;
	ack.epoch = relay_newest;
	relay_to = pib_txn_begin(from->store);
	install(relay_to, &pib_ce_vpn_peer_ack_class, &ack);
	must(from, relay_to);
}

static void exchange(void)
{
	pass_keys(&a, &b);
	pass_keys(&b, &a);
}

static void run_ms(int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static void join(void)
{
	struct pib_txn *t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	must(&a, t);
	t = pib_txn_begin(b.store);
	first_rows(t, 2, 1);
	must(&b, t);
	exchange();
}

static unsigned count_lines(const char *dump, const char *with)
{
	unsigned n = 0;
	for (const char *p = dump; (p = strstr(p, with)); p++)
		n++;
	return n;
}

/* Every outbound SA of one is an inbound one of the other. */
static void check_pair(void)
{
	char *x = kern_mem_dump(a.kern);
	char *y = kern_mem_dump(b.kern);
	char *save = NULL;
	unsigned shared = 0;

	for (char *l = strtok_r(x, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *reqid = strstr(l, " reqid");
		if (strncmp(l, "sa ", 3) || !reqid)
			continue;
		*reqid = '\0';
		ck_assert_msg(
		    strstr(y, l) || !strncmp(l, "sa 192.0.2.1 ", 13), "%s: not at b\n%s", l, y);
		shared += strstr(y, l) != NULL;
	}
	ck_assert_uint_ge(shared, 2);
	free(x);
	free(y);
}

/* --- tests ------------------------------------------------------------------ */

static void setup(void)
{
	base = event_base_new();
	ce_new(&a, 1);
	ce_new(&b, 2);
}

static void teardown(void)
{
	ce_free(&a);
	ce_free(&b);
	event_base_free(base);
}

START_TEST(policies_before_keys)
{
	struct pib_txn *t = pib_txn_begin(a.store);
	char *dump;

	first_rows(t, 1, 2);
	must(&a, t);
	dump = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(dump, "protect"), 3);
	ck_assert_uint_eq(count_lines(dump, "policy out 0.0.0.0/0 > 10.2.0.0/16 discard"), 1);
	ck_assert_uint_eq(count_lines(dump, "proto 6 port"), 2); /* the control channel */
	ck_assert_uint_eq(count_lines(dump, "sa "), 0);
	free(dump);
}
END_TEST

START_TEST(keys_make_a_pair)
{
	join();
	check_pair();
	ck_assert_uint_eq(kern_mem_key_repeats(a.kern) + kern_mem_key_repeats(b.kern), 0);
}
END_TEST

static void note_peer(void *arg, const struct vpn_show_peer *p)
{
	*(struct vpn_show_peer *)arg = *p;
	ck_assert_str_eq(p->vpn, "acme");
	ck_assert_str_eq(p->name, "ce2.example.net");
}

static void note_sa(void *arg, const struct vpn_show_sa *s)
{
	unsigned *n = arg;
	ck_assert_str_eq(s->peer, "ce2.example.net");
	ck_assert_uint_ne(s->own_epoch, 0);
	ck_assert_uint_ne(s->peer_epoch, 0);
	ck_assert_int_eq(s->inbound, s->sa.id.dst.octets[3] == 1);
	++*n;
}

static void note_policy(void *arg, const struct vpn_show_policy *p)
{
	unsigned *n = arg;
	ck_assert_str_ne(p->part, "?");
	if (p->policy.action == KERN_PROTECT)
		ck_assert_str_eq(p->peer, "ce2.example.net");
	++*n;
}

struct seen_tunnel {
	unsigned count;
	char state[16], why[64];
	uint32_t spi_in, spi_out;
	int64_t since;
};

static void note_tunnel(void *arg, const struct vpn_show_tunnel *t)
{
	struct seen_tunnel *s = arg;

	s->count++;
	snprintf(s->state, sizeof(s->state), "%s", t->state);
	snprintf(s->why, sizeof(s->why), "%s", t->why);
	s->spi_in = t->spi_in;
	s->spi_out = t->spi_out;
	s->since = t->since;
	ck_assert_str_eq(t->peer, "ce2.example.net");
}

static void note_row(void *arg, const struct pep_usage_row *u)
{
	struct pib_ce_vpn_peer_status *row = arg;

	memcpy(row, u->row, sizeof(*row));
	ck_assert_uint_eq(u->which, row->peer);
}

/* As it is shown, and as the row of usage feedback says it. */
static struct seen_tunnel tunnel(void)
{
	struct pib_ce_vpn_peer_status row = {0};
	struct seen_tunnel s = {0};

	ck_assert_int_eq(vpn_show_tunnels(a.self, NULL, note_tunnel, &s), 0);
	ck_assert_uint_eq(s.count, 1);
	ck_assert_int_eq(pep_client_vpn.usage_rows(
			     a.self, a.store, &pib_ce_vpn_peer_status_class, 1, note_row, &row),
	    0);
	ck_assert_uint_eq(row.peer, 2);
	ck_assert_uint_eq(row.spi_in, s.spi_in);
	ck_assert_uint_eq(row.spi_out, s.spi_out);
	ck_assert_int_eq((int64_t)row.since, s.since);
	ck_assert_int_ne(s.since, 0);
	return s;
}

START_TEST(show_tunnels)
{
	struct pib_txn *t = pib_txn_begin(a.store);
	struct seen_tunnel s = {0};

	first_rows(t, 1, 2);
	must(&a, t);
	s = tunnel();
	ck_assert_str_eq(s.state, "down");
	ck_assert_str_eq(s.why, "the peer has published no key");
	ck_assert_uint_eq(s.spi_out, 0);
	t = pib_txn_begin(b.store);
	first_rows(t, 2, 1);
	must(&b, t);
	exchange();
	usleep(150000); /* counters of a moment ago are good */
	s = tunnel();
	ck_assert_str_eq(s.state, "up");
	ck_assert_str_eq(s.why, "");
	ck_assert_uint_eq(s.spi_in >> 8, 2);
	ck_assert_uint_eq(s.spi_out >> 8, 1);
	s.count = 0;
	ck_assert_int_eq(vpn_show_tunnels(a.self, "no such VPN", note_tunnel, &s), 0);
	ck_assert_uint_eq(s.count, 0);
}
END_TEST

START_TEST(show)
{
	struct vpn_show_status st;
	struct vpn_show_peer p;
	struct kern_fault f;
	unsigned n = 0;
	struct pib_txn *t = pib_txn_begin(a.store);

	first_rows(t, 1, 2);
	must(&a, t);
	vpn_show_peers(a.self, note_peer, &p);
	ck_assert(!p.ready);
	ck_assert_str_eq(p.why_not, "the peer has published no key");
	t = pib_txn_begin(b.store);
	first_rows(t, 2, 1);
	must(&b, t);
	exchange();
	vpn_show_peers(a.self, note_peer, &p);
	ck_assert_msg(p.ready, "%s", p.why_not);
	ck_assert_uint_ne(p.out_own, 0);
	ck_assert_uint_eq(p.acked, p.out_own);
	ck_assert_int_eq(vpn_show_sas(a.self, note_sa, &n, &f), 0);
	ck_assert_uint_eq(n, kern_mem_sa_count(a.kern));
	n = 0;
	ck_assert_int_eq(vpn_show_policies(a.self, note_policy, &n), 0);
	ck_assert_uint_eq(n, kern_mem_policy_count(a.kern));
	vpn_show_status(a.self, &st);
	ck_assert_str_eq(st.backend, "mem");
	ck_assert(st.loaded);
	ck_assert(!st.owes);
}
END_TEST

START_TEST(rekey)
{
	unsigned before, child_sas = 1;

	join();
	before = (unsigned)kern_mem_sa_count(a.kern);
	ck_assert_int_eq(vpn_rekey(a.self, "nobody", &child_sas), -1);
	ck_assert_int_eq(vpn_rekey(a.self, "acme", &child_sas), 1);
	ck_assert_uint_eq(child_sas, 0);
	ck_assert_uint_gt(kern_mem_sa_count(a.kern), before);
	exchange();
	check_pair();
	ck_assert_uint_eq(kern_mem_key_repeats(a.kern) + kern_mem_key_repeats(b.kern), 0);
}
END_TEST

START_TEST(removing_the_peer_removes_all_of_it)
{
	struct pib_txn *t;
	char *before, *dump;

	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_proposal, proposal());
	INSTALL(t, ce_vpn, vpn_row_of(1));
	INSTALL(t, ce_vpn_local_prefix, local_prefix(1));
	must(&a, t);
	before = kern_mem_dump(a.kern);
	join();
	t = pib_txn_begin(a.store);
	remove_row(t, &pib_ce_vpn_peer_prefix_class, 102);
	remove_row(t, &pib_ce_vpn_peer_ack_class, 2);
	relay_to = t;
	pib_store_each(a.store, &pib_ce_vpn_peer_key_class, remove_key, NULL);
	remove_row(t, &pib_ce_vpn_peer_class, 2);
	must(&a, t);
	dump = kern_mem_dump(a.kern);
	ck_assert_str_eq(before, dump);
	free(before);
	free(dump);
	t = pib_txn_begin(a.store);
	remove_row(t, &pib_ce_vpn_local_prefix_class, 101);
	remove_row(t, &pib_ce_vpn_class, 1);
	remove_row(t, &pib_ce_vpn_proposal_class, 50);
	must(&a, t);
	ck_assert_uint_eq(kern_mem_policy_count(a.kern), CONTROL_POLICIES);
	ck_assert_uint_eq(kern_mem_sa_count(a.kern), 0);
}
END_TEST

/* one thing wrong with the rows of a first decision */
struct wrong {
	const char *what;
	void (*rows)(struct pib_txn *t);
	unsigned code, sub;
	const struct pib_class *cls;
	uint32_t instance;
};

#define CHANGED(name, init, change)                                                                \
	struct pib_##name r = init;                                                                \
	change;                                                                                    \
	install(t, &pib_##name##_class, &r)

/* only IPv4 goes through a tunnel interface */
static void bad_inner(struct pib_txn *t)
{
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.mode = PIB_CE_VPN_MODE_IPIP_TRANSPORT);
	}
	CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr_type = 2; r.addr = ip("2001:db8:2::");
		r.prefix_length = 48);
}

/* nor what holds the tunnel's own end */
static void bad_route(struct pib_txn *t)
{
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.mode = PIB_CE_VPN_MODE_IPIP_TRANSPORT);
	}
	CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr = ip("192.0.0.0"); r.prefix_length = 16);
}

/* routing daemons need interfaces, and addresses on them that are nobody else's */
static void bad_routing(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), r.routing = PIB_CE_VPN_ROUTING_DYNAMIC);
}

/* that of tunnel mode is VTI's, and not used across NAT */
#define VTI                                                                                        \
	r.routing = PIB_CE_VPN_ROUTING_DYNAMIC;                                                    \
	r.tunnel_addr_type = 1;                                                                    \
	r.tunnel_addr = ip("10.255.0.1")
#define VTI_PEER(number)                                                                           \
	r.tunnel_addr_type = 1;                                                                    \
	r.tunnel_addr = ip("10.255.0." #number)

static void bad_vti_nat(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), VTI; r.nat = PIB_CE_VPN_NAT_TRUE);
}

static void bad_vti_peer_nat(struct pib_txn *t)
{
	{
		CHANGED(ce_vpn, vpn_row_of(1), VTI);
	}
	CHANGED(ce_vpn_peer, peer(2), VTI_PEER(2); r.nat = PIB_CE_VPN_PEER_NAT_TRUE);
}

static void bad_vti_vrf(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), VTI; r.vrf = text("red"));
}

#define DYNAMIC                                                                                    \
	r.mode = PIB_CE_VPN_MODE_IPIP_TRANSPORT;                                                   \
	r.routing = PIB_CE_VPN_ROUTING_DYNAMIC;                                                    \
	r.tunnel_addr_type = 1

static void bad_own_inner(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), DYNAMIC; r.tunnel_addr = ip("10.1.0.1"));
}

static void bad_no_inner(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), DYNAMIC; r.tunnel_addr = ip("10.255.0.1"));
}

static void bad_static_inner(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), r.tunnel_addr_type = 1; r.tunnel_addr = ip("10.255.0.1"));
}

static void bad_peer_inner(struct pib_txn *t)
{
	{
		CHANGED(ce_vpn, vpn_row_of(1), DYNAMIC; r.tunnel_addr = ip("10.255.0.1"));
	}
	CHANGED(ce_vpn_peer, peer(2), r.tunnel_addr_type = 1; r.tunnel_addr = ip("10.255.0.1"));
}

/* the back end has one family in an SA */
static void bad_families(struct pib_txn *t)
{
	struct pib_ce_vpn_peer_prefix r = peer_prefix(2);

	r.id = 77;
	r.addr_type = 2;
	r.addr = ip("2001:db8:2::");
	r.prefix_length = 48;
	install(t, &pib_ce_vpn_peer_prefix_class, &r);
}

static void bad_activation(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), r.activation = PIB_CE_VPN_ACTIVATION_ON_DEMAND);
}

static void bad_local(struct pib_txn *t)
{
	CHANGED(ce_vpn, vpn_row_of(1), r.local_addr = ip("192.0.2.77"));
}

static void bad_tag(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.tag = 6);
}

static void bad_encr(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.encr = 20; r.integ = 0);
}

static void bad_bits(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.encr_key_bits = 100);
}

static void bad_integ(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.integ = 12);
}

static void bad_window(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.replay_window = 64);
}

static void bad_family(struct pib_txn *t)
{
	CHANGED(ce_vpn_peer, peer(2), r.addr_type = 2; r.addr = ip("2001:db8::2"));
}

static void bad_type(struct pib_txn *t)
{
	CHANGED(ce_vpn_peer, peer(2), r.addr = ip("2001:db8::2"));
}

static void bad_dns(struct pib_txn *t)
{
	CHANGED(ce_vpn_peer, peer(2), r.addr_type = PIB_CE_VPN_PEER_ADDR_TYPE_DNS);
}

static void bad_host_bits(struct pib_txn *t)
{
	CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr = ip("10.2.0.1"));
}

static void bad_length(struct pib_txn *t)
{
	CHANGED(ce_vpn_local_prefix, local_prefix(1), r.prefix_length = 33);
}

static const uint8_t suite[SUITE_LEN + 1] = {0, SUITE_ESP, 0, 12, 1, 0, 0, 14};

static void bad_key(struct pib_txn *t)
{
	static const uint8_t octets[32] = {1};
	struct pib_ce_vpn_peer_key k = {.id = 2 << 4 | 1,
	    .peer = 2,
	    .epoch = 1,
	    .public_key = {octets, 32},
	    .nonce = {octets, 32},
	    .transforms = {suite, SUITE_LEN},
	    .sends = {suite, SUITE_LEN},
	    .certificate = {octets, 32},
	    .signature = {octets, 32}};
	install(t, &pib_ce_vpn_peer_key_class, &k);
}

static void bad_key_list(struct pib_txn *t)
{
	static const uint8_t octets[32] = {1};
	struct pib_ce_vpn_peer_key k = {.id = 2 << 4 | 1,
	    .peer = 2,
	    .epoch = 1,
	    .public_key = {octets, 32},
	    .nonce = {octets, 32},
	    .transforms = {suite, sizeof(suite)},
	    .sends = {suite, SUITE_LEN},
	    .certificate = {octets, 32},
	    .signature = {octets, 32}};
	install(t, &pib_ce_vpn_peer_key_class, &k);
}

static const struct wrong wrongs[] = {
    {"routing", bad_routing, PIB_CPERR_VALUE, PIB_CE_VPN_COL_TUNNEL_ADDR, &pib_ce_vpn_class, 1},
    {"vti nat", bad_vti_nat, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_NAT, &pib_ce_vpn_class, 1},
    {"vti peer nat", bad_vti_peer_nat, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_COL_NAT,
	&pib_ce_vpn_peer_class, 2},
    {"vti vrf", bad_vti_vrf, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_COL_VRF, &pib_ce_vpn_class, 1},
    {"own inner", bad_own_inner, PIB_CPERR_VALUE, PIB_CE_VPN_COL_TUNNEL_ADDR, &pib_ce_vpn_class, 1},
    {"no inner", bad_no_inner, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_TUNNEL_ADDR,
	&pib_ce_vpn_peer_class, 2},
    {"static inner", bad_static_inner, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_COL_TUNNEL_ADDR,
	&pib_ce_vpn_class, 1},
    {"peer inner", bad_peer_inner, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_TUNNEL_ADDR,
	&pib_ce_vpn_peer_class, 2},
    {"inner", bad_inner, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_PREFIX_COL_ADDR_TYPE,
	&pib_ce_vpn_peer_prefix_class, 102},
    {"route", bad_route, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_PREFIX_COL_ADDR,
	&pib_ce_vpn_peer_prefix_class, 102},
    {"families", bad_families, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_PREFIX_COL_ADDR_TYPE,
	&pib_ce_vpn_peer_prefix_class, 102},
    {"activation", bad_activation, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_COL_ACTIVATION, &pib_ce_vpn_class,
	1},
    {"local", bad_local, PIB_CPERR_SPECIFIC, PIB_CE_VPN_ERR_NO_SUCH_LOCAL_ADDRESS,
	&pib_ce_vpn_class, 1},
    {"tag", bad_tag, PIB_CPERR_REFERENCE, PIB_CE_VPN_COL_PROPOSALS, &pib_ce_vpn_class, 1},
    {"encr", bad_encr, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PROPOSAL_COL_ENCR,
	&pib_ce_vpn_proposal_class, 50},
    {"bits", bad_bits, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PROPOSAL_COL_ENCR_KEY_BITS,
	&pib_ce_vpn_proposal_class, 50},
    {"integ", bad_integ, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PROPOSAL_COL_INTEG,
	&pib_ce_vpn_proposal_class, 50},
    {"window", bad_window, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PROPOSAL_COL_REPLAY_WINDOW,
	&pib_ce_vpn_proposal_class, 50},
    {"family", bad_family, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PEER_COL_ADDR, &pib_ce_vpn_peer_class,
	2},
    {"type", bad_type, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_ADDR, &pib_ce_vpn_peer_class, 2},
    {"dns", bad_dns, PIB_CPERR_ENUM_SUP, PIB_CE_VPN_PEER_COL_ADDR_TYPE, &pib_ce_vpn_peer_class, 2},
    {"host bits", bad_host_bits, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_PREFIX_COL_ADDR,
	&pib_ce_vpn_peer_prefix_class, 102},
    {"length", bad_length, PIB_CPERR_VALUE, PIB_CE_VPN_LOCAL_PREFIX_COL_PREFIX_LENGTH,
	&pib_ce_vpn_local_prefix_class, 101},
    {"key", bad_key, PIB_CPERR_SPECIFIC, PIB_CE_VPN_PEER_KEY_ERR_BAD_CERTIFICATE,
	&pib_ce_vpn_peer_key_class, 33},
    {"key's transforms", bad_key_list, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_KEY_COL_TRANSFORMS,
	&pib_ce_vpn_peer_key_class, 33},
};

START_TEST(wrong_rows_are_named)
{
	const struct wrong *w = &wrongs[_i];
	struct addr absent;
	struct pib_fault f;
	struct pib_txn *t;
	char *before = kern_mem_dump(a.kern);
	char *after;
	char line[200];

	addr_parse(&absent, "192.0.2.77");
	kern_mem_set_absent(a.kern, &absent);
	t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	w->rows(t);
	ck_assert_msg(commit(&a, t, &f) == -1, "%s was taken", w->what);
	pib_fault_print(&f, line, sizeof(line));
	ck_assert_msg(f.cperr == w->code && f.sub == w->sub && f.cls == w->cls &&
			  f.instance == w->instance && f.prid_len,
	    "%s: %s", w->what, line);
	after = kern_mem_dump(a.kern);
	ck_assert_str_eq(before, after);
	ck_assert_uint_eq(pib_store_count(a.store, NULL), 0);
	free(before);
	free(after);
	/* and the right ones pass afterwards */
	t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	must(&a, t);
}
END_TEST

START_TEST(list_of_proposals_takes_the_first_possible)
{
	struct pib_ce_vpn_proposal gcm = proposal();
	struct pib_txn *t = pib_txn_begin(a.store);

	first_rows(t, 1, 2);
	gcm.id = 49;
	gcm.order = 0;
	gcm.encr = 20;
	gcm.integ = 0;
	install(t, &pib_ce_vpn_proposal_class, &gcm);
	must(&a, t);
}
END_TEST

static void undo_all(struct ce *c)
{
	struct pib_txn *t = pib_txn_begin(c->store);
	relay_to = t;
	pib_store_each(c->store, NULL, remove_key, NULL);
	must(c, t);
}

/* the kernel refuses the k-th operation of a decision, for every k */
START_TEST(kernel_refusals_undo_and_name)
{
	static const enum kern_fault_kind kind[] = {KERN_REFUSED, KERN_NO_REPLY};
	struct pib_fault f;
	struct pib_txn *t;

	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 1;; k++) {
			unsigned before = kern_mem_operations(a.kern);
			char *was = kern_mem_dump(a.kern);
			char *is;
			int ret;

			t = pib_txn_begin(a.store);
			first_rows(t, 1, 2);
			kern_mem_fail_at(a.kern, k, kind[i], EINVAL);
			ret = commit(&a, t, &f);
			kern_mem_fail_at(a.kern, 0, KERN_REFUSED, 0);
			is = kern_mem_dump(a.kern);
			if (ret == 0) {
				ck_assert_uint_lt(kern_mem_operations(a.kern) - before, k);
				ck_assert_uint_ge(k, 9);
				free(was);
				free(is);
				undo_all(&a);
				break;
			}
			ck_assert_str_eq(was, is);
			ck_assert(f.cperr == PIB_CPERR_SPECIFIC || f.gperr == PIB_GPERR_UNKNOWN);
			free(was);
			free(is);
		}
}
END_TEST

static size_t lines_with(const char *word)
{
	char *dump = kern_mem_dump(a.kern);
	size_t n = count_lines(dump, word);

	free(dump);
	return n;
}

/* the same with tunnel interfaces, where there was tunnel mode, and back */
START_TEST(modes_change_as_a_whole)
{
	static const int32_t mode[] = {PIB_CE_VPN_MODE_IPIP_TRANSPORT, PIB_CE_VPN_MODE_TUNNEL};
	struct pib_fault f;
	struct pib_txn *t;

	join();
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 1;; k++) {
			char *was = kern_mem_dump(a.kern);
			char *is;
			int ret;

			t = pib_txn_begin(a.store);
			{
				CHANGED(ce_vpn, vpn_row_of(1), r.mode = mode[i % 2]);
			}
			kern_mem_fail_at(a.kern, k, i < 2 ? KERN_REFUSED : KERN_NO_REPLY, EINVAL);
			ret = commit(&a, t, &f);
			kern_mem_fail_at(a.kern, 0, KERN_REFUSED, 0);
			is = kern_mem_dump(a.kern);
			if (ret < 0)
				ck_assert_str_eq(was, is);
			free(was);
			free(is);
			if (ret == 0)
				break;
		}
	ck_assert_uint_eq(lines_with("tunnel cv"), 0);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.mode = mode[0]);
	}
	must(&a, t);
	ck_assert_uint_eq(lines_with("tunnel cv2 "), 1);
	undo_all(&a);
	ck_assert_uint_eq(lines_with("tunnel cv"), 0);
	ck_assert_uint_eq(kern_mem_policy_count(a.kern), CONTROL_POLICIES);
}
END_TEST

/* with routing daemons an interface has addresses and no routes, and all goes back */
START_TEST(dynamic)
{
	struct pib_txn *t;
	char *before, *now;

	join();
	before = kern_mem_dump(a.kern);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), DYNAMIC; r.tunnel_addr = ip("10.255.0.1"));
	}
	{
		CHANGED(ce_vpn_peer, peer(2), r.tunnel_addr_type = 1;
			r.tunnel_addr = ip("10.255.0.2"));
	}
	must(&a, t);
	ck_assert_uint_eq(
	    lines_with("tunnel cv2 192.0.2.1 > 192.0.2.2 inner 10.255.0.1 peer 10.255.0.2"), 1);
	ck_assert_uint_eq(lines_with("policy in 0.0.0.0/0 > 10.255.0.1/32 discard"), 1);
	ck_assert_uint_eq(lines_with("policy out 0.0.0.0/0 > 10.255.0.2/32 discard"), 1);
	ck_assert_uint_eq(lines_with("policy out 0.0.0.0/0 > 10.2.0.0/16 discard"), 1);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_peer, peer(2), r.tunnel_addr_type = 1;
			r.tunnel_addr = ip("10.255.0.9"));
	}
	must(&a, t);
	ck_assert_uint_eq(lines_with("inner 10.255.0.1 peer 10.255.0.9"), 1);
	ck_assert_uint_eq(lines_with("10.255.0.2/32"), 0);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.role = PIB_CE_VPN_ROLE_MESH);
	}
	{
		CHANGED(ce_vpn_peer, peer(2), r.role = PIB_CE_VPN_PEER_ROLE_MESH);
	}
	must(&a, t);
	ck_assert_uint_eq(lines_with("10.255."), 0);
	ck_assert_uint_eq(lines_with("tunnel cv"), 0);
	now = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(now, "policy "), count_lines(before, "policy "));
	free(before);
	free(now);
}
END_TEST

/* in tunnel mode too; its SAs stay what they were, and a restart finds all as it was */
START_TEST(dynamic_in_tunnel_mode)
{
	char *before, *now;
	struct pib_fault f;
	struct pib_txn *t;

	join();
	before = kern_mem_dump(a.kern);
	for (unsigned k = 1;; k++) { /* as a whole or not at all */
		char *was = kern_mem_dump(a.kern);
		int ret;

		t = pib_txn_begin(a.store);
		{
			CHANGED(ce_vpn, vpn_row_of(1), VTI);
		}
		{
			CHANGED(ce_vpn_peer, peer(2), VTI_PEER(2));
		}
		kern_mem_fail_at(a.kern, k, KERN_REFUSED, EINVAL);
		ret = commit(&a, t, &f);
		kern_mem_fail_at(a.kern, 0, KERN_REFUSED, 0);
		now = kern_mem_dump(a.kern);
		if (ret < 0)
			ck_assert_str_eq(was, now);
		free(was);
		free(now);
		if (ret == 0)
			break;
	}
	ck_assert_uint_eq(lines_with("tunnel cv2 192.0.2.1 > 192.0.2.2 inner 10.255.0.1 peer "
				     "10.255.0.2 key 0xfffe0001"),
	    1);
	ck_assert_uint_eq(lines_with("policy out 0.0.0.0/0 > 10.255.0.2/32 discard"), 1);
	ck_assert_uint_eq(lines_with("policy in 0.0.0.0/0 > 0.0.0.0/0 "), 1);
	ck_assert_uint_eq(lines_with("policy out 0.0.0.0/0 > 0.0.0.0/0 "), 2);
	ck_assert_uint_eq(lines_with("route "), 0);
	ce_restart(&a); /* nothing is owed any more */
	now = kern_mem_dump(a.kern);
	ce_restart(&a);
	for (char *l = now, *end; (end = strchr(l, '\n')); l = end + 1) {
		*end = '\0';
		ck_assert_msg(lines_with(l) == 1, "gone: %s", l);
	}
	free(now);
	/* another VPN with a tunnel between the same two: the interface would take its packets */
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.id = 2; r.member = 9;
			r.vpn_id.p = (const uint8_t *)"another");
	}
	{
		CHANGED(ce_vpn_peer, peer(2), r.id = 8; r.vpn = 2);
	}
	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_int_eq(f.cperr, PIB_CPERR_VALUE_SUP);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_PEER_COL_ADDR);
	ck_assert_uint_eq(f.instance, 2);
	/* back */
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.role = PIB_CE_VPN_ROLE_MESH);
	}
	{
		CHANGED(ce_vpn_peer, peer(2), r.role = PIB_CE_VPN_PEER_ROLE_MESH);
	}
	must(&a, t);
	now = kern_mem_dump(a.kern);
	ck_assert_uint_eq(lines_with("10.255."), 0);
	ck_assert_uint_eq(lines_with("tunnel cv"), 0);
	ck_assert_uint_eq(count_lines(now, "policy "), count_lines(before, "policy "));
	ck_assert_uint_eq(count_lines(now, "route "), count_lines(before, "route "));
	free(before);
	free(now);
}
END_TEST

/* beside the bits of mark-mask, or there is none */
START_TEST(keys_of_interfaces)
{
	ck_assert_uint_eq(vpn_vti_key(1, 0xffff0000), 0xfffe0001);
	ck_assert_uint_eq(vpn_vti_key(0xffff, 0xffff0000), 0xfffeffff);
	ck_assert_uint_eq(vpn_vti_key(0x10000, 0xffff0000), 0);
	ck_assert_uint_eq(vpn_vti_key(5, 0x0ff0), 0x0fe5);
	ck_assert_uint_eq(vpn_vti_key(0x3a, 0x0ff0), 0x3fea);
	ck_assert_uint_eq(vpn_vti_key(5, 0x80000000), 0x80000005);
	ck_assert_uint_eq(vpn_vti_key(1, UINT32_MAX), 0);
}
END_TEST

START_TEST(everything_removed_is_nothing_left)
{
	join();
	undo_all(&a);
	ck_assert_uint_eq(kern_mem_policy_count(a.kern), CONTROL_POLICIES);
	ck_assert_uint_eq(kern_mem_sa_count(a.kern), 0);
}
END_TEST

START_TEST(changes_are_local)
{
	struct pib_txn *t;
	unsigned before;

	join();
	/* another peer: its own policies and its route, and nothing else */
	before = kern_mem_operations(a.kern);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	ck_assert_uint_eq(kern_mem_operations(a.kern) - before, 5);
	/* a name: nothing */
	before = kern_mem_operations(a.kern);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.name = text("acme2"));
	}
	must(&a, t);
	ck_assert_uint_eq(kern_mem_operations(a.kern) - before, 0);
	/* the prefix gets blocked: out l > r and in, fwd r > l turn to discards in place, the route
	 * goes */
	before = kern_mem_operations(a.kern);
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_peer_prefix, peer_prefix(3), r.peer = 0);
	}
	must(&a, t);
	ck_assert_uint_eq(kern_mem_operations(a.kern) - before, 4);
}
END_TEST

static void install_far(struct pib_txn *t, unsigned i)
{
	struct pib_ce_vpn_peer p = peer(2);
	struct pib_ce_vpn_peer_prefix x = peer_prefix(2);
	char name[32];
	char where[32];

	p.id = 1000 + i;
	snprintf(name, sizeof(name), "far%u.example.net", i);
	p.name = text(name);
	install(t, &pib_ce_vpn_peer_class, &p);
	x.id = 100000 + i;
	x.peer = p.id;
	snprintf(where, sizeof(where), "11.%u.%u.0", i >> 8, i & 255);
	x.addr = ip(where);
	x.prefix_length = 24;
	install(t, &pib_ce_vpn_peer_prefix_class, &x);
}

/* as many peers as PF_KEY has reqids, and one more */
START_TEST(reqids_run_out)
{
	const unsigned most = 0x3fff;
	struct pib_txn *t = pib_txn_begin(a.store);
	unsigned before;
	struct pib_fault f;
	char *was, *is;

	INSTALL(t, ce_vpn_proposal, proposal());
	INSTALL(t, ce_vpn, vpn_row_of(1));
	INSTALL(t, ce_vpn_local_prefix, local_prefix(1));
	for (unsigned i = 0; i < most - 1; i++)
		install_far(t, i);
	must(&a, t);
	before = kern_mem_operations(a.kern);
	t = pib_txn_begin(a.store);
	install_far(t, most - 1);
	must(&a, t);
	ck_assert_uint_eq(kern_mem_operations(a.kern) - before, 5);
	was = kern_mem_dump(a.kern);
	t = pib_txn_begin(a.store);
	install_far(t, most);
	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_uint_eq(f.cperr, PIB_CPERR_SPACE);
	ck_assert_ptr_eq(f.cls, &pib_ce_vpn_peer_class);
	ck_assert_uint_eq(f.instance, 1000 + most);
	is = kern_mem_dump(a.kern);
	ck_assert_str_eq(was, is);
	free(was);
	free(is);
	/* one that goes makes room */
	t = pib_txn_begin(a.store);
	remove_row(t, &pib_ce_vpn_peer_prefix_class, 100007);
	remove_row(t, &pib_ce_vpn_peer_class, 1007);
	must(&a, t);
	t = pib_txn_begin(a.store);
	install_far(t, most);
	must(&a, t);
}
END_TEST

START_TEST(two_vpns_cannot_share_a_selector)
{
	static const uint8_t other_id[7] = {0, 0, 0x5e, 0, 0, 0, 2};
	struct pib_fault f;
	struct pib_txn *t;

	join();
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.id = 2; r.member = 11;
			r.vpn_id = ((struct pib_octets) {other_id, 7}));
	}
	{
		CHANGED(ce_vpn_local_prefix, local_prefix(1), r.id = 201; r.vpn = 2);
	}
	{
		CHANGED(ce_vpn_peer, peer(12), r.vpn = 2);
	}
	{
		CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.id = 212; r.vpn = 2; r.peer = 12);
	}
	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_uint_eq(f.cperr, PIB_CPERR_VALUE_SUP);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
	ck_assert_uint_eq(f.instance, 212);
}
END_TEST

START_TEST(hub_relays)
{
	struct pib_txn *t = pib_txn_begin(a.store);
	char *dump;

	first_rows(t, 1, 2);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.relay = PIB_CE_VPN_RELAY_TRUE);
	}
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	dump = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(dump, "policy out 10.2.0.0/16 > 10.3.0.0/16 protect"), 1);
	ck_assert_uint_eq(count_lines(dump, "policy fwd 10.2.0.0/16 > 10.3.0.0/16 protect"), 1);
	free(dump);
	/* a space takes the place of the pairs */
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_local_prefix, local_prefix(1), r.id = 300; r.addr = ip("10.0.0.0");
			r.prefix_length = 8; r.kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SPACE);
	}
	must(&a, t);
	dump = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(dump, "10.2.0.0/16 > 10.3.0.0/16"), 0);
	ck_assert_uint_eq(count_lines(dump, "policy out 10.0.0.0/8 > 10.3.0.0/16 protect"), 1);
	ck_assert_uint_eq(count_lines(dump, "policy out 0.0.0.0/0 > 10.0.0.0/8 discard"), 1);
	free(dump);
}
END_TEST

/* --- IKE: what an edited row asks for is judged as in the first decision ---------- */

static struct pib_ce_vpn ike_vpn_of(unsigned n)
{
	struct pib_ce_vpn r = vpn_row_of(n);

	r.keying = PIB_CE_VPN_KEYING_IKE;
	r.ike_proposals = 7;
	return r;
}

static struct pib_ce_vpn_ike_proposal ike_proposal(void)
{
	return (struct pib_ce_vpn_ike_proposal) {.id = 70,
	    .tag = 7,
	    .order = 1,
	    .encr = 20,
	    .encr_key_bits = 256,
	    .prf = 7,
	    .dh = 31,
	    .lifetime_seconds = 14400};
}

static void ike_rows(bool relay)
{
	struct pib_txn *t = pib_txn_begin(a.store);

	first_rows(t, 1, 2);
	INSTALL(t, ce_vpn_ike_proposal, ike_proposal());
	CHANGED(ce_vpn, ike_vpn_of(1),
	    r.relay = relay ? PIB_CE_VPN_RELAY_TRUE : PIB_CE_VPN_RELAY_FALSE);
	must(&a, t);
}

static void bad_ike_dh(struct pib_txn *t)
{
	CHANGED(ce_vpn_ike_proposal, ike_proposal(), r.dh = 2);
}

static void bad_pfs(struct pib_txn *t)
{
	CHANGED(ce_vpn_proposal, proposal(), r.dh = 2);
}

static void bad_auth(struct pib_txn *t)
{
	CHANGED(ce_vpn, ike_vpn_of(1), r.ike_auth = PIB_CE_VPN_IKE_AUTH_PRESHARED_KEY);
}

static void bad_other_list(struct pib_txn *t)
{
	{
		CHANGED(ce_vpn_ike_proposal, ike_proposal(), r.id = 71; r.tag = 8; r.prf = 1);
	}
	CHANGED(ce_vpn, ike_vpn_of(1), r.ike_proposals = 8);
}

static const struct wrong ike_wrongs[] = {
    {"IKE group", bad_ike_dh, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_IKE_PROPOSAL_COL_DH,
	&pib_ce_vpn_ike_proposal_class, 70},
    {"group", bad_pfs, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_PROPOSAL_COL_DH, &pib_ce_vpn_proposal_class,
	50},
    {"authentication", bad_auth, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_COL_IKE_AUTH, &pib_ce_vpn_class,
	1},
    {"another list", bad_other_list, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_IKE_PROPOSAL_COL_PRF,
	&pib_ce_vpn_ike_proposal_class, 71},
};

START_TEST(ike_edits_are_judged)
{
	const struct wrong *w = &ike_wrongs[_i];
	struct pib_txn *t;
	struct pib_fault f;
	char line[200];

	ike_rows(false);
	t = pib_txn_begin(a.store);
	w->rows(t);
	ck_assert_msg(commit(&a, t, &f) == -1, "%s was taken", w->what);
	pib_fault_print(&f, line, sizeof(line));
	ck_assert_msg(
	    f.cperr == w->code && f.sub == w->sub && f.cls == w->cls && f.instance == w->instance,
	    "%s: %s", w->what, line);
	/* one that charon has words for is taken */
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_ike_proposal, ike_proposal(), r.dh = 20);
	}
	must(&a, t);
}
END_TEST

/* So many prefixes behind peer n, from 10.n.first.0/24 on, into t. */
static void more_prefixes(struct pib_txn *t, unsigned n, unsigned first, unsigned count)
{
	char p[32];

	for (unsigned i = first; i < first + count; i++) {
		snprintf(p, sizeof(p), "10.%u.%u.0", 100 + n, i);
		CHANGED(ce_vpn_peer_prefix, peer_prefix(n), r.id = 1000 * n + i; r.addr = ip(p);
			r.prefix_length = 24);
	}
}

static void selectors_refused(struct pib_txn *t)
{
	struct pib_fault f;

	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_int_eq(f.cperr, PIB_CPERR_VALUE_SUP);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
	ck_assert(f.cls == &pib_ce_vpn_peer_prefix_class);
}

/* IKE counts traffic selectors with an octet. */
START_TEST(ike_has_255_selectors)
{
	struct pib_txn *t;

	ike_rows(false);
	t = pib_txn_begin(a.store);
	more_prefixes(t, 2, 0, 254);
	must(&a, t);
	t = pib_txn_begin(a.store);
	more_prefixes(t, 2, 254, 1);
	selectors_refused(t);
}
END_TEST

/* Where we relay, those of one peer are ours with another. */
START_TEST(ike_has_255_selectors_relayed)
{
	struct pib_txn *t;

	ike_rows(true);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	more_prefixes(t, 2, 0, 253); /* with our own and the first 255 */
	must(&a, t);
	t = pib_txn_begin(a.store);
	more_prefixes(t, 2, 253, 1);
	selectors_refused(t);
}
END_TEST

START_TEST(restart_disturbs_nothing)
{
	char *before, *after;
	unsigned policies;

	join();
	before = kern_mem_dump(a.kern);
	policies = count_lines(before, "policy");
	ce_restart(&a);
	after = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(after, "policy"), policies);
	for (char *l = before, *end; (end = strchr(l, '\n')); l = end + 1) {
		*end = '\0';
		ck_assert_msg(strstr(after, l) != NULL, "gone: %s", l);
	}
	free(before);
	free(after);
	exchange();
	check_pair();
	ck_assert_uint_eq(kern_mem_key_repeats(a.kern) + kern_mem_key_repeats(b.kern), 0);
}
END_TEST

/* without a cache nobody knows what should be: nothing is touched until a decision says */
START_TEST(restart_without_rows_waits)
{
	char *before, *after;
	struct pib_txn *t;

	join();
	before = kern_mem_dump(a.kern);
	pib_store_free(a.store);
	a.store = pib_store_new(a.schema, PIB_INSTALL, 100000);
	ce_restart(&a);
	after = kern_mem_dump(a.kern);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_proposal, proposal());
	must(&a, t);
	ck_assert_uint_eq(kern_mem_policy_count(a.kern), CONTROL_POLICIES);
	ck_assert_uint_eq(kern_mem_sa_count(a.kern), 0);
}
END_TEST

static unsigned lockdown_entries(void)
{
	char *dump = kern_mem_dump(a.kern);
	unsigned n = 0;

	for (int dir = KERN_IN; dir <= KERN_FWD; dir++) {
		char line[80];

		snprintf(
		    line, sizeof(line), "%s 0.0.0.0/0 > 0.0.0.0/0 discard", kern_dir_name(dir));
		n += strstr(dump, line) != NULL;
		snprintf(line, sizeof(line), "%s ::/0 > ::/0 discard", kern_dir_name(dir));
		n += strstr(dump, line) != NULL;
	}
	free(dump);
	return n;
}

/* from before the first decision on, through a refused one, a flush and a restart, until the
 * settings say otherwise */
START_TEST(row111_lockdown)
{
	/* somebody lets everything out, in the place of a discard of ours */
	const struct kern_policy opened = {.action = KERN_BYPASS,
	    .priority = 100,
	    .sel = {.src.addr.family = AF_INET, .dst.addr.family = AF_INET, .dir = KERN_OUT}};
	struct pib_fault f;
	struct pib_txn *t;

	a.conf.lockdown = true;
	ce_restart(&a);
	ck_assert_uint_eq(lockdown_entries(), 6);
	ck_assert(kern_mem_default_block(a.kern));
	t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	kern_mem_fail_at(a.kern, 3, KERN_REFUSED, EINVAL);
	ck_assert_int_lt(commit(&a, t, &f), 0);
	ck_assert_uint_eq(lockdown_entries(), 6);
	t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	must(&a, t);
	ck_assert_uint_eq(lockdown_entries(), 6);
	kern_mem_foreign_policy_put(a.kern, &opened);
	ck_assert_uint_eq(lockdown_entries(), 5);
	run_ms(400);
	ck_assert_uint_eq(lockdown_entries(), 6);
	ce_restart(&a);
	ck_assert_uint_eq(lockdown_entries(), 6);
	a.conf.lockdown = false;
	ce_restart(&a);
	ck_assert_uint_eq(lockdown_entries(), 0);
	ck_assert(!kern_mem_default_block(a.kern));
}
END_TEST

START_TEST(flush_is_repaired)
{
	uint32_t epoch;
	char *before, *after;
	struct vpn_show_peer p;

	join();
	before = kern_mem_dump(a.kern);
	vpn_show_peers(a.self, note_peer, &p);
	epoch = p.own[0].epoch;
	kern_mem_foreign_sa_flush(a.kern);
	run_ms(400);
	vpn_show_peers(a.self, note_peer, &p);
	ck_assert_uint_gt(p.own[0].epoch, epoch);
	exchange();
	check_pair();
	after = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(before, "policy"), count_lines(after, "policy"));
	ck_assert_uint_eq(kern_mem_key_repeats(a.kern) + kern_mem_key_repeats(b.kern), 0);
	free(before);
	free(after);
}
END_TEST

static void drop_policy(void *arg, const struct vpn_show_policy *p)
{
	struct kern_selector *sel = arg;
	if (p->policy.action == KERN_PROTECT)
		*sel = p->policy.sel;
}

START_TEST(foreign_policy_changes_are_repaired)
{
	struct kern_selector sel = {0};
	struct kern_policy foreign = {.action = KERN_DISCARD, .priority = 7};
	char *before, *after;

	join();
	before = kern_mem_dump(a.kern);
	vpn_show_policies(a.self, drop_policy, &sel);
	kern_mem_foreign_policy_del(a.kern, &sel);
	run_ms(300);
	after = kern_mem_dump(a.kern);
	ck_assert_str_eq(before, after);
	free(after);
	free(before);
	/* what is not ours stays as it is */
	foreign.sel = sel;
	foreign.sel.dst.len = 32;
	kern_mem_foreign_policy_put(a.kern, &foreign);
	before = kern_mem_dump(a.kern);
	kern_mem_foreign_policy_del(a.kern, &sel);
	run_ms(300);
	after = kern_mem_dump(a.kern);
	ck_assert_str_eq(before, after);
	free(after);
	free(before);
}
END_TEST

static struct prefix prefix_of(const char *s)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(&p, s), PREFIX_OK);
	return p;
}

static void note_route(void *arg, const struct vpn_show_route *r)
{
	char *line = arg;
	char dst[PREFIX_STRLEN], src[ADDR_STRLEN];

	snprintf(line + strlen(line), 200, "%s %s %s %s %u %s %s\n", r->vpn, r->peer,
	    prefix_print(&r->dst, dst), r->routed ? r->device : "-", (unsigned)r->table,
	    r->src.family ? addr_print(&r->src, src) : "-", r->why_not);
}

/* With a route and the device it leads to: gone, back, and somebody else's. */
START_TEST(routes_and_devices)
{
	struct mem_net *net = kern_mem_net(a.kern);
	const struct prefix dst = prefix_of("10.2.0.0/16");
	const struct prefix other = prefix_of("10.3.0.0/16");
	struct vpn_show_status s;
	char line[400] = "";
	struct pib_fault f;
	struct pib_txn *t;
	char *was, *is;

	join();
	ck_assert_uint_eq(lines_with("device cvn1 mtu 1422"), 1); /* AES-CBC, HMAC-SHA2-512 */
	ck_assert_uint_eq(lines_with("route 10.2.0.0/16 table 254 dev cvn1"), 1);
	vpn_show_routes(a.self, note_route, line);
	ck_assert_str_eq(line, "acme ce2.example.net 10.2.0.0/16 cvn1 254 - \n");
	was = kern_mem_dump(a.kern);
	mem_net_foreign_route_del(net, 254, &dst);
	run_ms(300);
	mem_net_foreign_route_put(net, 254, &dst);
	run_ms(300);
	mem_net_foreign_device_del(net, 1);
	run_ms(300);
	is = kern_mem_dump(a.kern);
	ck_assert_str_eq(was, is);
	free(is);
	vpn_show_status(a.self, &s);
	ck_assert_uint_eq(s.repairs, 3);
	ck_assert_str_eq(s.trouble, "");
	/* a place that somebody has is refused, and nothing of the peer is there */
	mem_net_foreign_route_put(net, 254, &other);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_ptr_eq(f.cls, &pib_ce_vpn_peer_prefix_class);
	ck_assert_uint_eq(f.instance, 103);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_PEER_PREFIX_COL_ADDR);
	mem_net_foreign_route_del(net, 254, &other);
	is = kern_mem_dump(a.kern);
	ck_assert_str_eq(was, is);
	free(is);
	free(was);
	/* a restart finds them as they are */
	ce_restart(&a);
	ck_assert_uint_eq(lines_with("route 10.2.0.0/16 table 254 dev cvn1"), 1);
	ck_assert_uint_eq(lines_with("route ") + lines_with("device "), 2);
	undo_all(&a);
	ck_assert_uint_eq(lines_with("route ") + lines_with("device "), 0);
}
END_TEST

START_TEST(prefixes_without_a_route)
{
	struct pib_txn *t;
	char line[800] = "";

	join();
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr = ip("192.0.2.0");
			r.prefix_length = 24);
	}
	must(&a, t);
	ck_assert_uint_eq(lines_with("route "), 0);
	vpn_show_routes(a.self, note_route, line);
	ck_assert_ptr_nonnull(strstr(line, "192.0.2.0/24 - 254 - it has an end of the tunnel"));
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr = ip("0.0.0.0");
			r.prefix_length = 0);
	}
	must(&a, t);
	ck_assert_uint_eq(lines_with("route "), 0);
}
END_TEST

static const char *trouble(void)
{
	static struct vpn_show_status s;
	vpn_show_status(a.self, &s);
	return s.trouble;
}

START_TEST(host_is_followed)
{
	struct mem_net *net = kern_mem_net(a.kern);
	struct addr lan, lan2, wan;

	addr_parse(&lan, "10.1.0.1");
	addr_parse(&lan2, "10.1.0.7");
	addr_parse(&wan, "192.0.2.1");
	mem_net_own_put(net, 1, "wan", 1500, &wan);
	mem_net_own_put(net, 2, "lan", 1500, &lan);
	join();
	ck_assert_uint_eq(lines_with("dev cvn1 src 10.1.0.1"), 1);
	mem_net_own_put(net, 2, "lan", 1500, &lan2);
	mem_net_own_put(net, 2, "lan", 0, &lan);
	run_ms(300);
	ck_assert_uint_eq(lines_with("dev cvn1 src 10.1.0.7"), 1);
	ck_assert_str_eq(
	    trouble(), "the address within the site is 10.1.0.7 on lan now (was 10.1.0.1 on lan)");
	mem_net_own_put(net, 2, "lan", 0, &lan2);
	run_ms(300);
	ck_assert_uint_eq(lines_with("dev cvn1 src"), 0);
	ck_assert_str_eq(
	    trouble(), "no interface has an address of the site any more (lan had 10.1.0.1)");
	mem_net_own_put(net, 2, "inside", 1500, &lan);
	run_ms(300);
	ck_assert_uint_eq(lines_with("dev cvn1 src 10.1.0.1"), 1);
	ck_assert_str_eq(trouble(), "interface lan is inside now");
	mem_net_own_put(net, 2, "lan", 1500, &lan);
	run_ms(300);
	ck_assert_str_eq(trouble(), "");
	mem_net_own_put(net, 1, "wan", 1400, &wan);
	run_ms(300);
	ck_assert_uint_eq(lines_with("device cvn1 mtu 1310"), 1);
	mem_net_own_put(net, 1, "wan", 0, &wan);
	run_ms(300);
	ck_assert_str_eq(trouble(), "no interface has 192.0.2.1 any more (wan had it)");
}
END_TEST

static void remove_any(void *arg, const struct pib_row *row)
{
	(void)pib_txn_remove_row(arg, row->cls, row->instance);
}

/* Behind a route to the site's network there is one that discards, until the network is another's.
 */
START_TEST(site_without_its_route)
{
	struct mem_net *net = kern_mem_net(a.kern);
	struct addr lan, part;
	struct pib_txn *t;

	addr_parse(&lan, "10.1.0.1");
	addr_parse(&part, "10.1.0.7");
	mem_net_own_put(net, 2, "lan", 1500, &lan);
	mem_net_own_link(net, &lan, 24);
	join();
	/* a part of it is on a link: others' routes, which may be shorter, lead to the rest */
	ck_assert_uint_eq(lines_with("dev discards"), 0);
	mem_net_own_link(net, &lan, 16);
	run_ms(300);
	ck_assert_uint_eq(lines_with("route 10.1.0.0/16 table 254 dev discards"), 1);
	mem_net_own_put(net, 2, "lan", 0, &lan); /* the interface is gone */
	run_ms(300);
	ck_assert_uint_eq(lines_with("route 10.1.0.0/16 table 254 dev discards"), 1);
	mem_net_own_put(net, 3, "loop", 1500, &part); /* an address alone is no network */
	mem_net_own_link(net, &part, 32);
	run_ms(300);
	ck_assert_uint_eq(lines_with("route 10.1.0.0/16 table 254 dev discards"), 1);
	mem_net_own_put(net, 3, "loop", 0, &part);
	mem_net_own_put(net, 2, "lan", 1500, &part);
	mem_net_own_link(net, &part, 24);
	run_ms(300);
	ck_assert_uint_eq(lines_with("dev discards"), 0);
	mem_net_own_link(net, &part, 16);
	run_ms(300);
	ck_assert_uint_eq(lines_with("dev discards"), 1);
	t = pib_txn_begin(a.store);
	pib_store_each(a.store, NULL, remove_any, t);
	must(&a, t);
	ck_assert_uint_eq(lines_with("dev discards"), 0);
}
END_TEST

/* A VRF made anew with a table that has no mark: as if it was gone, and no rule is everybody's. */
START_TEST(vrf_with_another_table)
{
	struct mem_net *net = kern_mem_net(a.kern);
	struct pib_txn *t;

	join();
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.vrf = text("blue"));
	}
	must(&a, t);
	ck_assert_uint_eq(mem_net_rule_count(net), 1);
	ck_assert_str_eq(trouble(), "");
	mem_net_vrf_table(net, 70000);
	run_ms(300);
	ck_assert_uint_eq(mem_net_rule_count(net), 0);
	ck_assert_ptr_nonnull(strstr(trouble(), "table 70000 of VRF blue does not fit"));
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn_peer_prefix, peer_prefix(2), r.addr = ip("10.9.0.0"));
	}
	must(&a, t);
	ck_assert_uint_eq(mem_net_rule_count(net), 0);
	mem_net_vrf_table(net, 0);
	run_ms(300);
	ck_assert_uint_eq(mem_net_rule_count(net), 1);
	ck_assert_str_eq(trouble(), "");
}
END_TEST

/* What the kernel told of this host holds until it says that it does not. */
START_TEST(host_is_asked_when_it_changed)
{
	struct mem_net *net = kern_mem_net(a.kern);
	struct addr lan, other;
	struct pib_txn *t;
	unsigned before;

	addr_parse(&lan, "10.1.0.1");
	addr_parse(&other, "203.0.113.1");
	mem_net_own_put(net, 2, "lan", 1500, &lan);
	join();
	/* a peer with its prefix, then keys, then neither: nothing is asked */
	before = kern_mem_questions(a.kern);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	ck_assert_uint_eq(lines_with("dev cvn1 src 10.1.0.1"), 2);
	exchange();
	t = pib_txn_begin(a.store);
	remove_row(t, &pib_ce_vpn_peer_prefix_class, 103);
	remove_row(t, &pib_ce_vpn_peer_class, 3);
	must(&a, t);
	ck_assert_uint_eq(kern_mem_questions(a.kern) - before, 0);
	/* an address more: one dump; and the interface again, of which it was not told */
	before = kern_mem_questions(a.kern);
	mem_net_own_put(net, 3, "lan3", 1500, &other);
	run_ms(300);
	ck_assert_uint_eq(kern_mem_questions(a.kern) - before, 2);
	/* an event that nobody has read yet counts: the decision is of the host as it is */
	mem_net_own_put(net, 2, "lan", 0, &lan);
	addr_parse(&lan, "10.1.0.9");
	mem_net_own_put(net, 2, "lan", 1500, &lan);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	ck_assert_uint_eq(lines_with("10.3.0.0/16 table 254 dev cvn1 src 10.1.0.9"), 1);
}
END_TEST

START_TEST(soft_expiry_rekeys)
{
	struct kern_event e = {.kind = KERN_EV_EXPIRE_SOFT};
	struct vpn_show_peer p;
	uint32_t epoch;

	join();
	vpn_show_peers(a.self, note_peer, &p);
	epoch = p.own[0].epoch;
	e.reqid = p.reqid;
	e.sa.spi = 1U << 8 | (p.out_peer & 15) << 4 | (p.out_own & 15);
	addr_parse(&e.sa.dst, "192.0.2.2");
	kern_mem_event_give(a.kern, &e);
	run_ms(100);
	vpn_show_peers(a.self, note_peer, &p);
	ck_assert_uint_gt(p.own[0].epoch, epoch);
}
END_TEST

/* --- VRFs ------------------------------------------------------------------- */

/* For "pfkey": the kernel in memory without what keeps VPNs apart (tests/local.mk). */
struct kern_ops __wrap_kern_pfkey_ops;
extern const struct kern_ops __real_kern_pfkey_ops;

static void make_pfkey(void)
{
	__wrap_kern_pfkey_ops = kern_mem_ops;
	__wrap_kern_pfkey_ops.name = __real_kern_pfkey_ops.name;
	__wrap_kern_pfkey_ops.separate = __real_kern_pfkey_ops.separate;
	__wrap_kern_pfkey_ops.vrf_find = __real_kern_pfkey_ops.vrf_find;
	__wrap_kern_pfkey_ops.rules = __real_kern_pfkey_ops.rules;
}

static void put_vrf(const char *vrf)
{
	struct pib_txn *t = pib_txn_begin(a.store);

	CHANGED(ce_vpn, vpn_row_of(1), r.vrf = text(vrf));
	must(&a, t);
}

static unsigned dump_has(const char *with)
{
	char *dump = kern_mem_dump(a.kern);
	unsigned n = count_lines(dump, with);

	free(dump);
	return n;
}

START_TEST(vrf_changes)
{
	struct pib_txn *t;
	unsigned before;

	join();
	ck_assert_uint_eq(dump_has("table 254"), 1);
	ck_assert_uint_eq(dump_has("mark"), 0);
	put_vrf("blue");
	ck_assert_uint_eq(dump_has("table 254"), 0);
	ck_assert_uint_eq(dump_has("table 1"), 2); /* into the VPN, and what discards behind it */
	ck_assert_uint_gt(dump_has("mark"), dump_has("sets mark"));
	exchange(); /* the SAs there were set no mark */
	check_pair();
	before = kern_mem_questions(a.kern);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	exchange();
	ck_assert_uint_eq(kern_mem_questions(a.kern) - before, 0);
	put_vrf("");
	ck_assert_uint_eq(dump_has("table 254"), 2);
	ck_assert_uint_eq(dump_has("mark"), dump_has("sets mark")); /* SAs that new ones replace */
}
END_TEST

/* what the site sends to the VPN whose VRF is gone is discarded, to what comes meanwhile too */
START_TEST(vrf_is_gone)
{
	struct pib_txn *t;

	join();
	put_vrf("blue");
	mem_net_no_vrf(kern_mem_net(a.kern), "blue");
	ce_restart(&a);
	ck_assert_ptr_nonnull(strstr(trouble(), "held up: there is no VRF device blue"));
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.2.0.0/16 discard"), 1);
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.3.0.0/16 discard"), 1);
	mem_net_no_vrf(kern_mem_net(a.kern), "");
	ce_restart(&a);
	ck_assert_str_eq(trouble(), "");
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.2.0.0/16 discard"), 0);
}
END_TEST

/* with a back end that cannot what rows ask for that were taken with another */
/* nor that of tunnels that are interfaces */
START_TEST(back_end_without_vti)
{
	struct pib_txn *t;

	join();
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), VTI);
	}
	{
		CHANGED(ce_vpn_peer, peer(2), VTI_PEER(2));
	}
	must(&a, t);
	free(a.conf.backend);
	a.conf.backend = strdup("pfkey");
	ce_restart(&a);
	ck_assert_str_eq(trouble(), "VPN \"acme\" is held up: back end pfkey has no interfaces for "
				    "dynamic routing in tunnel mode");
	ck_assert_uint_eq(dump_has("sa ") + dump_has("protect") + dump_has("tunnel cv"), 0);
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.2.0.0/16 discard"), 1);
	free(a.conf.backend);
	a.conf.backend = strdup("mem");
	ce_restart(&a);
	exchange();
	ck_assert_uint_eq(dump_has("tunnel cv2 "), 1);
	ck_assert_str_eq(trouble(), "");
}
END_TEST

START_TEST(back_end_without_vrfs)
{
	struct pib_fault f;
	struct pib_txn *t;

	join();
	put_vrf("blue");
	exchange();
	free(a.conf.backend);
	a.conf.backend = strdup("pfkey");
	ce_restart(&a); /* its reconcile is good */
	ck_assert_str_eq(
	    trouble(), "VPN \"acme\" is held up: back end pfkey cannot keep a VPN in a VRF apart");
	ck_assert_uint_eq(dump_has("sa "), 0);
	ck_assert_uint_eq(dump_has("protect"), 0);
	ck_assert_uint_eq(dump_has("mark"), 0);
	ck_assert_uint_eq(dump_has("route ") + dump_has("device "), 0);
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.2.0.0/16 discard"), 1);
	/* also where there is more since */
	t = pib_txn_begin(a.store);
	INSTALL(t, ce_vpn_peer, peer(3));
	INSTALL(t, ce_vpn_peer_prefix, peer_prefix(3));
	must(&a, t);
	ck_assert_uint_eq(dump_has("policy out 10.1.0.0/16 > 10.3.0.0/16 discard"), 1);
	ck_assert_uint_eq(dump_has("protect"), 0);
	t = pib_txn_begin(a.store);
	remove_row(t, &pib_ce_vpn_peer_prefix_class, 103);
	remove_row(t, &pib_ce_vpn_peer_class, 3);
	must(&a, t);
	ck_assert_uint_eq(dump_has("10.3.0.0/16"), 0);
	/* what others are told stays */
	exchange();
	ck_assert_uint_eq(dump_has("sa "), 0);
	/* a row that comes now is refused */
	t = pib_txn_begin(a.store);
	{
		CHANGED(ce_vpn, vpn_row_of(1), r.vrf = text("red"));
	}
	ck_assert_int_eq(commit(&a, t, &f), -1);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_COL_VRF);
	/* and without a VRF it is as it was */
	put_vrf("");
	exchange();
	check_pair();
	ck_assert_str_eq(trouble(), "");
	ck_assert_uint_eq(dump_has("table 254"), 1);
}
END_TEST

static void protect_row(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	(void)instance;
	install(arg, cls, row);
}

START_TEST(row79_policy_over_leaves_discards_and_no_keys)
{
	struct pib_txn *t;
	struct vpn_show_peer p;
	uint32_t epoch;
	char *dump;

	join();
	vpn_show_peers(a.self, note_peer, &p);
	epoch = p.own[0].epoch;
	t = pib_txn_begin(a.store);
	pep_client_vpn.protect(a.self, a.store, protect_row, t);
	pib_store_each(a.store, NULL, remove_any, t);
	must(&a, t);
	dump = kern_mem_dump(a.kern);
	ck_assert_uint_eq(count_lines(dump, "sa "), 0);
	ck_assert_uint_eq(count_lines(dump, "protect"), 0);
	ck_assert_uint_eq(count_lines(dump, "policy out 10.1.0.0/16 > 10.2.0.0/16 discard"), 1);
	ck_assert_uint_eq(count_lines(dump, "policy out 0.0.0.0/0 > 10.2.0.0/16 discard"), 1);
	ck_assert_uint_eq(count_lines(dump, "policy in 10.2.0.0/16 > 10.1.0.0/16 discard"), 1);
	ck_assert_uint_eq(count_lines(dump, "policy fwd 10.2.0.0/16 > 10.1.0.0/16 discard"), 1);
	free(dump);

	t = pib_txn_begin(a.store);
	first_rows(t, 1, 2);
	must(&a, t);
	exchange(); /* of keys that b has not seen */
	check_pair();
	vpn_show_peers(a.self, note_peer, &p);
	ck_assert_uint_gt(p.own[0].epoch, epoch);
	ck_assert_uint_eq(p.own_count, 1);
}
END_TEST

static void make_pki(void)
{
	char dir[64];
	char err[200];

	if (!mkdtemp(top))
		abort();
	snprintf(dir, sizeof(dir), "%s/pki", top);
	if (pki_init(dir, false, err, sizeof(err)) == PKI_FAILED)
		abort();
	for (unsigned i = 1; i <= 2; i++) {
		char name[32];
		const struct pki_request req = {.name = name, .kind = PKI_CE, .days = 30};
		snprintf(name, sizeof(name), "ce%u.example.net", i);
		if (pki_issue(dir, &req, err, sizeof(err)) == PKI_FAILED)
			abort();
	}
}

int main(void)
{
	Suite *s = suite_create("pep_vpn");
	TCase *t = tcase_create("pep_vpn");
	SRunner *r = srunner_create(s);
	char cmd[64];
	int failed;

	make_pki();
	make_pfkey();
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, policies_before_keys);
	tcase_add_test(t, keys_make_a_pair);
	tcase_add_test(t, show);
	tcase_add_test(t, show_tunnels);
	tcase_add_test(t, rekey);
	tcase_add_test(t, removing_the_peer_removes_all_of_it);
	tcase_add_loop_test(t, wrong_rows_are_named, 0, (int)(sizeof(wrongs) / sizeof(wrongs[0])));
	tcase_add_test(t, list_of_proposals_takes_the_first_possible);
	tcase_add_test(t, kernel_refusals_undo_and_name);
	tcase_add_test(t, everything_removed_is_nothing_left);
	tcase_add_test(t, modes_change_as_a_whole);
	tcase_add_test(t, dynamic);
	tcase_add_test(t, dynamic_in_tunnel_mode);
	tcase_add_test(t, keys_of_interfaces);
	tcase_add_test(t, changes_are_local);
	tcase_add_test(t, reqids_run_out);
	tcase_add_test(t, two_vpns_cannot_share_a_selector);
	tcase_add_test(t, hub_relays);
	tcase_add_loop_test(t, ike_edits_are_judged, 0, sizeof(ike_wrongs) / sizeof(ike_wrongs[0]));
	tcase_add_test(t, ike_has_255_selectors);
	tcase_add_test(t, ike_has_255_selectors_relayed);
	tcase_add_test(t, restart_disturbs_nothing);
	tcase_add_test(t, restart_without_rows_waits);
	tcase_add_test(t, row111_lockdown);
	tcase_add_test(t, flush_is_repaired);
	tcase_add_test(t, foreign_policy_changes_are_repaired);
	tcase_add_test(t, routes_and_devices);
	tcase_add_test(t, prefixes_without_a_route);
	tcase_add_test(t, host_is_followed);
	tcase_add_test(t, site_without_its_route);
	tcase_add_test(t, vrf_with_another_table);
	tcase_add_test(t, host_is_asked_when_it_changed);
	tcase_add_test(t, soft_expiry_rekeys);
	tcase_add_test(t, vrf_changes);
	tcase_add_test(t, vrf_is_gone);
	tcase_add_test(t, back_end_without_vrfs);
	tcase_add_test(t, back_end_without_vti);
	tcase_add_test(t, row79_policy_over_leaves_discards_and_no_keys);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	return system(cmd) || failed ? 1 : 0;
}
