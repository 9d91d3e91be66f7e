/*
 * test_pep_learn.c - learned prefixes through the enforcer whole: routes in a kernel in memory,
 * rows of VPNs, what is notified and shown, and how large the request is.  The time is real, and
 * short.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/log.h"
#include "copsctl/pki.h"
#include "libcops/cops_msg.h"
#include "pep/client.h"
#include "pep/kern_mem.h"
#include "pep/kern_watch.h"
#include "pep/pep_conf.h"
#include "pep/request.h"
#include "pep/vpn.h"
#include "pep/vpn_show.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define OSPF 188

static char top[] = "/tmp/test_pep_learn.XXXXXX";
static struct event_base *base;
static struct pep_conf conf;
static struct pib_schema *schema;
static struct pib_store *store;
static void *self;
static struct kern *kern;

/* ------------------------------------------------------------------ rows */

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct prefix prefix(const char *s)
{
	struct prefix p;

	ck_assert_msg(prefix_parse(&p, s) == PREFIX_OK, "%s", s);
	return p;
}

static void install(struct pib_txn *t, const struct pib_class *cls, const void *row)
{
	uint32_t instance = (uint32_t)pib_row_number(pib_column_find(cls, 1), row);
	struct buf epd;

	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	ck_assert(!epd.failed);
	ck_assert_int_eq(pib_txn_install_row(t, cls, instance, epd.data, (uint32_t)epd.len), 0);
	buf_clear(&epd);
}

static const char *vrf_of_vpn = "";

static void put_vpn(struct pib_txn *t, unsigned n, const char *name, int routing)
{
	uint8_t id[7] = {0, 0, 0x5e, 0, 0, 0, (uint8_t)n};
	struct addr local = {.family = AF_INET, .octets = {192, 0, 2, 1}};
	struct pib_ce_vpn row = {PIB_CE_VPN_DEFAULTS, .id = n, .vpn_id = {id, 7},
	    .name = text(name), .member = n, .role = PIB_CE_VPN_ROLE_MESH,
	    .mode = PIB_CE_VPN_MODE_TUNNEL, .keying = PIB_CE_VPN_KEYING_CONTROLLER, .proposals = 5,
	    .local_addr_type = 1, .local_addr = {local.octets, 4},
	    .non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS, .relay = PIB_CE_VPN_RELAY_FALSE};

	row.routing = routing;
	row.vrf = text(vrf_of_vpn);
	install(t, &pib_ce_vpn_class, &row);
}

/* VPN 1, "acme": we are member 1 with 10.1.0.0/16, the peer is 100 with 10.2.0.0/16. */
static struct pib_txn *begin(int routing)
{
	struct prefix near = prefix("10.1.0.0/16");
	struct prefix far = prefix("10.2.0.0/16");
	struct addr at = {.family = AF_INET, .octets = {192, 0, 2, 2}};
	struct pib_ce_vpn_proposal proposal = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = 50, .tag = 5,
	    .order = 1, .encr = 12, .encr_key_bits = 256, .integ = 14, .replay_window = 32,
	    .lifetime_seconds = 3600};
	struct pib_ce_vpn_local_prefix local = {.id = 101,
	    .vpn = 1,
	    .addr_type = 1,
	    .addr = {near.addr.octets, 4},
	    .prefix_length = 16,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};
	struct pib_ce_vpn_peer peer = {PIB_CE_VPN_PEER_DEFAULTS, .id = 100, .vpn = 1,
	    .name = text("ce2.example.net"), .role = PIB_CE_VPN_PEER_ROLE_MESH, .addr_type = 1,
	    .addr = {at.octets, 4}};
	struct pib_ce_vpn_peer_prefix behind = {.id = 102,
	    .vpn = 1,
	    .peer = 100,
	    .addr_type = 1,
	    .addr = {far.addr.octets, 4},
	    .prefix_length = 16};
	struct pib_txn *t = pib_txn_begin(store);

	install(t, &pib_ce_vpn_proposal_class, &proposal);
	put_vpn(t, 1, "acme", routing);
	install(t, &pib_ce_vpn_local_prefix_class, &local);
	install(t, &pib_ce_vpn_peer_class, &peer);
	install(t, &pib_ce_vpn_peer_prefix_class, &behind);
	return t;
}

static void commit(struct pib_txn *t)
{
	const struct pib_fault *f;
	char line[200];

	if (pib_txn_check(t) != 0 || pep_client_vpn.enforce(self, store, t) != 0) {
		ck_assert_uint_gt(pib_txn_faults(t, &f), 0);
		ck_abort_msg("%s", pib_fault_print(f, line, sizeof(line)));
	}
	pib_txn_commit(t);
	pep_client_vpn.settled(self, store);
}

/* ------------------------------------------------------------------ the CE */

static void ce_start(void)
{
	struct pep_env env = {
	    .base = base, .identity = conf.identity, .state_dir = conf.state_dir, .conf = &conf};
	char err[200];

	self = pep_client_vpn.start(&env, err, sizeof(err));
	ck_assert_msg(self != NULL, "%s", err);
	kern = vpn_kern(self);
	ck_assert_msg(pep_client_vpn.reconcile(self, store, err, sizeof(err)) == 0, "%s", err);
}

static void ce_new(const char *more)
{
	char settings[1200];
	struct diag d;

	snprintf(settings, sizeof(settings), "rm -rf %s/ce && mkdir -m 700 %s/ce", top, top);
	ck_assert_int_eq(system(settings), 0);
	snprintf(settings, sizeof(settings),
	    "pdp = { \"pdp.example.net@198.51.100.10\" }\nbackend = mem\nstate-dir = \"%s/ce\"\n"
	    "certificate = \"%s/pki/ce1.example.net.pem\"\nkey = \"%s/pki/ce1.example.net.key\"\n"
	    "ca = \"%s/pki/ca.pem\"\nlearn-settle = 10\n%s",
	    top, top, top, top, more);
	diag_init(&d);
	if (pep_conf_parse(&conf, settings, &d) < 0) {
		diag_print(&d, stderr);
		ck_abort();
	}
	diag_clear(&d);
	base = event_base_new();
	schema = pib_schema_new(pep_client_vpn.module, pep_client_vpn.module_count);
	store = pib_store_new(schema, PIB_INSTALL, 100000);
	ce_start();
}

static void teardown(void)
{
	pep_client_vpn.stop(self);
	pib_store_free(store);
	pib_schema_free(schema);
	pep_conf_clear(&conf);
	event_base_free(base);
}

static void run_ms(int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* ------------------------------------------------------------------ routes, and what is told */

static void route_by(const char *dst, uint8_t protocol, unsigned index, uint32_t table)
{
	struct kern_watch_route r = {
	    .dst = prefix(dst), .protocol = protocol, .table = table, .index = index};

	kern_mem_route_put(kern, &r);
}

static void route(const char *dst)
{
	route_by(dst, OSPF, KERN_MEM_LAN, KERN_WATCH_TABLE);
}

static void no_route(const char *dst)
{
	struct prefix p = prefix(dst);

	kern_mem_route_del(kern, &p);
}

struct told {
	unsigned count;
	const char *looked_for;
	uint32_t vpn; /* of looked_for, 0: it is not told */
	uint32_t instance;
	char trouble[256];
};

static void take(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	const struct pib_ce_vpn_site_prefix *r = row;
	const struct pib_ce_vpn_site *site = row;
	struct told *t = arg;
	struct prefix p = {0};
	char buf[PREFIX_STRLEN];

	if (cls == &pib_ce_vpn_site_class)
		snprintf(t->trouble, sizeof(t->trouble), "%.*s", (int)site->trouble.len,
		    (const char *)site->trouble.p);
	if (cls != &pib_ce_vpn_site_prefix_class)
		return;
	ck_assert_uint_eq(instance, r->id);
	ck_assert_int_eq(addr_from_octets(&p.addr, r->addr.p, r->addr.len), 0);
	ck_assert_int_eq(r->addr_type, addr_inet_type(&p.addr));
	p.len = (uint8_t)r->prefix_length;
	t->count++;
	if (t->looked_for == NULL || strcmp(prefix_print(&p, buf), t->looked_for) != 0)
		return;
	ck_assert_uint_eq(t->vpn, 0);
	t->vpn = r->vpn;
	t->instance = instance;
}

static struct told tell(const char *dst)
{
	struct told t = {.looked_for = dst};

	pep_client_vpn.notify(self, take, &t);
	return t;
}

#define TOLD(dst)     ck_assert_uint_ne(tell(dst).vpn, 0)
#define NOT_TOLD(dst) ck_assert_uint_eq(tell(dst).vpn, 0)

/* Until what is told has so many prefixes. */
static void until(unsigned count)
{
	for (unsigned i = 0; i < 500 && tell(NULL).count != count; i++)
		run_ms(10);
	ck_assert_uint_eq(tell(NULL).count, count);
}

static const char *shown_state;
static bool shown_accepted;
static const char *shown_for;
static unsigned shown;

static void see(void *arg, const struct vpn_show_learned *l)
{
	char buf[PREFIX_STRLEN];

	(void)arg;
	shown++;
	if (shown_for == NULL || strcmp(prefix_print(&l->prefix, buf), shown_for) != 0)
		return;
	shown_state = l->state;
	shown_accepted = l->accepted;
	ck_assert_str_eq(l->vpn, "acme");
	ck_assert_str_eq(l->protocol, "ospf");
	ck_assert_str_eq(l->interface, "lan");
}

static const char *state_of(const char *dst)
{
	shown_state = "not shown";
	shown_for = dst;
	shown = 0;
	ck_assert_int_eq(vpn_show_learned(self, NULL, see, NULL), 0);
	return shown_state;
}

/* The server takes all that is told: rows of the site's own. */
static struct pib_txn *taken;

static void take_back(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	const struct pib_ce_vpn_site_prefix *r = row;
	struct pib_ce_vpn_local_prefix l;

	(void)arg;
	if (cls != &pib_ce_vpn_site_prefix_class)
		return;
	l = (struct pib_ce_vpn_local_prefix) {.id = 1000 + instance,
	    .vpn = r->vpn,
	    .addr_type = r->addr_type,
	    .addr = r->addr,
	    .prefix_length = r->prefix_length,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};
	install(taken, &pib_ce_vpn_local_prefix_class, &l);
}

/* ------------------------------------------------------------------ tests */

START_TEST(managed_reports)
{
	uint32_t instance;

	ce_new("");
	route("10.1.7.0/24");
	run_ms(50);
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	until(1); /* at once: no settling before the first report */
	ck_assert_uint_eq(tell("10.1.7.0/24").vpn, 1);
	instance = tell("10.1.7.0/24").instance;
	route("10.1.8.0/24");
	route_by("2001:db8:1::/48", 12, KERN_MEM_LAN, KERN_WATCH_TABLE);
	until(3);
	TOLD("2001:db8:1::/48");
	ck_assert_uint_eq(tell("10.1.7.0/24").instance, instance);
	ck_assert_str_eq(state_of("10.1.8.0/24"), "reported");
	ck_assert(!shown_accepted);
	ck_assert_str_eq(tell(NULL).trouble, "");
	no_route("10.1.7.0/24");
	until(2);
	NOT_TOLD("10.1.7.0/24");
	ck_assert_str_eq(state_of("10.1.7.0/24"), "not shown");
}
END_TEST

START_TEST(what_is_not_learned)
{
	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	route_by("10.1.8.0/24", OSPF, KERN_MEM_WAN, KERN_WATCH_TABLE);
	route_by("10.1.9.0/24", OSPF, KERN_MEM_OURS, KERN_WATCH_TABLE);
	route_by("10.1.10.0/24", 2, KERN_MEM_LAN, KERN_WATCH_TABLE);
	route_by("10.1.11.0/24", 67, KERN_MEM_LAN, KERN_WATCH_TABLE);
	route_by("10.1.12.0/24", OSPF, KERN_MEM_LAN, 100);
	route("10.2.0.0/16"); /* the peer's: learned back */
	route("224.1.0.0/16");
	until(1);
	run_ms(50);
	ck_assert_uint_eq(tell("10.1.7.0/24").count, 1);
	ck_assert_str_eq(state_of("10.2.0.0/16"), "a peer's");
	ck_assert_uint_eq(shown, 2);
}
END_TEST

START_TEST(the_server_took_it)
{
	struct prefix p = prefix("10.1.7.0/24");
	struct pib_ce_vpn_local_prefix row = {.id = 110,
	    .vpn = 1,
	    .addr_type = 1,
	    .addr = {p.addr.octets, 4},
	    .prefix_length = 24,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};
	struct pib_txn *t;

	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	until(1);
	t = pib_txn_begin(store);
	install(t, &pib_ce_vpn_local_prefix_class, &row);
	commit(t);
	run_ms(50);
	ck_assert_uint_eq(tell("10.1.7.0/24").count, 1);
	ck_assert_str_eq(state_of("10.1.7.0/24"), "reported");
	ck_assert(shown_accepted);
}
END_TEST

START_TEST(routing_decides)
{
	struct pib_txn *t;

	ce_new("");
	route("10.1.7.0/24");
	commit(begin(PIB_CE_VPN_ROUTING_STATIC));
	run_ms(50);
	ck_assert_uint_eq(tell(NULL).count, 0);
	t = pib_txn_begin(store);
	put_vpn(t, 1, "acme", PIB_CE_VPN_ROUTING_MANAGED);
	commit(t);
	until(1);
	t = pib_txn_begin(store);
	put_vpn(t, 1, "acme", PIB_CE_VPN_ROUTING_STATIC);
	commit(t);
	ck_assert_uint_eq(tell(NULL).count, 0);
	state_of(NULL);
	ck_assert_uint_eq(shown, 0);
	t = pib_txn_begin(store);
	put_vpn(t, 1, "acme", PIB_CE_VPN_ROUTING_MANAGED);
	commit(t);
	until(1);
	t = pib_txn_begin(store); /* and with the VPN */
	pib_txn_remove_all(t);
	commit(t);
	ck_assert_uint_eq(tell(NULL).count, 0);
}
END_TEST

/* Of a VPN in a VRF those of its table, and of an interface in it; another VRF, other routes. */
START_TEST(in_a_vrf)
{
	struct pib_txn *t;

	ce_new("learn-hold = 0\nlearn = { \"acme protocol ospf\", \"acme table 100 protocol bgp\" "
	       "}\n");
	vrf_of_vpn = "blue";
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route_by("10.1.7.0/24", OSPF, KERN_MEM_LAN, KERN_MEM_VRF);
	route("10.1.8.0/24");
	route_by("10.1.9.0/24", 186, KERN_MEM_LAN, 100); /* a table that is named is that one */
	route_by("10.2.0.0/16", OSPF, KERN_MEM_LAN, KERN_MEM_VRF); /* the peer's */
	until(2);
	run_ms(50);
	ck_assert_uint_eq(tell("10.1.7.0/24").count, 2);
	ck_assert_str_eq(state_of("10.2.0.0/16"), "a peer's");
	/* outside of it */
	vrf_of_vpn = "";
	t = pib_txn_begin(store);
	put_vpn(t, 1, "acme", PIB_CE_VPN_ROUTING_MANAGED);
	commit(t);
	for (unsigned i = 0; i < 500 && tell("10.1.8.0/24").vpn == 0; i++)
		run_ms(10);
	TOLD("10.1.8.0/24");
	NOT_TOLD("10.1.7.0/24");
	/* in one that is not there */
	vrf_of_vpn = "green";
	t = pib_txn_begin(store);
	put_vpn(t, 1, "acme", PIB_CE_VPN_ROUTING_MANAGED);
	commit(t);
	until(1);
	TOLD("10.1.9.0/24");
}
END_TEST

START_TEST(filters_of_the_settings)
{
	ce_new("learn = { \"other prefix 10.1.64.0/18\", \"acme table 100 protocol bgp\","
	       " \"acme protocol static interface wan,lan prefix 10.1.0.0/18\" }\n");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.1.0/24");					     /* not static, not 100 */
	route_by("10.1.2.0/24", 186, KERN_MEM_LAN, 100);	     /* the first entry */
	route_by("10.1.3.0/24", 186, KERN_MEM_WAN, 100);	     /* the wrong way */
	route_by("10.1.4.0/24", 4, KERN_MEM_WAN, KERN_WATCH_TABLE);  /* the second entry */
	route_by("10.1.64.0/24", 4, KERN_MEM_LAN, KERN_WATCH_TABLE); /* prefix */
	route_by("10.1.5.0/24", 4, KERN_MEM_LAN, 100);
	until(2);
	run_ms(50);
	ck_assert_uint_eq(tell("10.1.2.0/24").count, 2);
	TOLD("10.1.2.0/24");
	TOLD("10.1.4.0/24");
}
END_TEST

START_TEST(restart_of_a_daemon)
{
	ce_new("learn-hold = 2s\n");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	route("10.1.8.0/24");
	until(2);
	kern_mem_routes_flush(kern);
	run_ms(100);
	ck_assert_uint_eq(tell(NULL).count, 2);
	ck_assert_str_eq(state_of("10.1.7.0/24"), "held");
	route("10.1.7.0/24");
	run_ms(100);
	ck_assert_str_eq(state_of("10.1.7.0/24"), "reported");
	ck_assert_str_eq(state_of("10.1.8.0/24"), "held");
	until(1); /* by the clock alone */
	TOLD("10.1.7.0/24");
}
END_TEST

START_TEST(restart_of_the_agent)
{
	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	route("10.1.8.0/24");
	until(2);
	kern_mem_keep(kern);
	pep_client_vpn.stop(self);
	ce_start();
	/* without a turn of the loop: its first request has them */
	ck_assert_uint_eq(tell(NULL).count, 2);
}
END_TEST

static bool discards(const char *dst)
{
	char *dump = kern_mem_dump(kern);
	char line[80];
	bool found;

	snprintf(line, sizeof(line), "route %s table 254 dev discards", dst);
	found = strstr(dump, line) != NULL;
	free(dump);
	return found;
}

/* Behind the site's route to what is learned is one that discards; after a boot, when it is. */
START_TEST(without_its_route)
{
	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	until(1);
	ck_assert(!discards("10.1.7.0/24"));
	taken = pib_txn_begin(store);
	pep_client_vpn.notify(self, take_back, NULL);
	commit(taken);
	ck_assert(discards("10.1.7.0/24"));
	pep_client_vpn.stop(self);
	ce_start();
	run_ms(300);
	ck_assert(!discards("10.1.7.0/24"));
	route("10.1.7.0/24");
	until(1);
	for (unsigned i = 0; i < 500 && !discards("10.1.7.0/24"); i++)
		run_ms(10);
	ck_assert(discards("10.1.7.0/24"));
}
END_TEST

START_TEST(limit)
{
	char dst[32];

	ce_new("learn-max = 10\nlearn-hold = 0s\n");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	for (unsigned i = 0; i < 30; i++) {
		snprintf(dst, sizeof(dst), "10.1.%u.0/24", i);
		route(dst);
	}
	until(10);
	ck_assert_str_eq(
	    tell(NULL).trouble, "VPN acme: 20 of 30 learned prefixes are over the limit of 10");
	TOLD("10.1.0.0/24");
	ck_assert_str_eq(state_of("10.1.29.0/24"), "over the limit");
	ck_assert_uint_eq(shown, 30);
	no_route("10.1.0.0/24");
	for (unsigned i = 11; i < 30; i++) {
		snprintf(dst, sizeof(dst), "10.1.%u.0/24", i);
		no_route(dst);
	}
	for (unsigned i = 0; i < 500 && *tell(NULL).trouble != '\0'; i++)
		run_ms(10);
	ck_assert_str_eq(tell(NULL).trouble, "");
	ck_assert_uint_eq(tell(NULL).count, 10);
	TOLD("10.1.10.0/24");
}
END_TEST

/* What comes back as the site's fits beside what it has anyway, also where lockdown takes less. */
START_TEST(limit_under_lockdown)
{
	struct told t;
	char dst[32];

	ce_new("lockdown = yes\n");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	for (unsigned i = 0; i < 300; i++) {
		snprintf(dst, sizeof(dst), "10.1.%u.%u/32", i / 250, i % 250);
		route(dst);
	}
	until(255);
	ck_assert_str_eq(
	    tell(NULL).trouble, "VPN acme: 45 of 300 learned prefixes are over the limit of 255");
	taken = pib_txn_begin(store);
	pep_client_vpn.notify(self, take_back, NULL);
	commit(taken);
	run_ms(100);
	t = tell("10.1.0.0/32");
	ck_assert_uint_ne(t.vpn, 0);
	ck_assert_uint_eq(t.count, 255);
	/* and a place that is free is taken by the next */
	no_route("10.1.0.0/32");
	for (unsigned i = 0; i < 500 && tell("10.1.0.0/32").vpn != 0; i++)
		run_ms(10);
	NOT_TOLD("10.1.0.0/32");
	taken = pib_txn_begin(store);
	ck_assert_int_eq(
	    pib_txn_remove_row(taken, &pib_ce_vpn_local_prefix_class, 1000 + t.instance), 0);
	commit(taken);
	until(255);
}
END_TEST

START_TEST(refused_by_the_server)
{
	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	route("10.1.7.0/24");
	route("10.1.8.0/24");
	until(2);
	pep_client_vpn.refused(self, &pib_ce_vpn_site_prefix_class, tell("10.1.7.0/24").instance);
	NOT_TOLD("10.1.7.0/24");
	TOLD("10.1.8.0/24");
	ck_assert_str_eq(state_of("10.1.7.0/24"), "refused");
	run_ms(50);
	NOT_TOLD("10.1.7.0/24");
}
END_TEST

START_TEST(thousand_in_a_request)
{
	static const uint8_t handle[4] = {0, 0, 0, 1};
	struct pep_request *r;
	struct buf b, more;
	char dst[32];
	struct cops_msg m;
	struct cops_fault f;
	long rows, base_rows;
	size_t base_len;

	ce_new("");
	commit(begin(PIB_CE_VPN_ROUTING_MANAGED));
	r = pep_request_new(&pep_client_vpn, self, 1 << 24, 4);
	buf_init(&b, 0);
	base_rows = pep_request_put(r, store, true, handle, sizeof(handle), &b);
	base_len = b.len;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(dst, sizeof(dst), "10.1.%u.%u/32", i / 250, i % 250);
		route(dst);
	}
	until(1000);
	/* what changed, and all of it */
	buf_init(&more, 0);
	rows = pep_request_put(r, store, true, handle, sizeof(handle), &more);
	ck_assert_int_eq(rows, 1001); /* and what ceVpnSite says of the others */
	printf("1000 learned prefixes: %zu octets more in an updated request\n", more.len);
	ck_assert_uint_lt(more.len, 64 * 1000);
	pep_request_forget(r);
	buf_reset(&b);
	ck_assert_int_eq(
	    pep_request_put(r, store, true, handle, sizeof(handle), &b), base_rows + 1000);
	printf("full state: %zu octets, %zu without them\n", b.len, base_len);
	ck_assert_int_eq(cops_msg_parse(&m, b.data, b.len, 4194304, &f), (int)b.len);
	buf_clear(&more);
	buf_clear(&b);
	pep_request_free(r);
}
END_TEST

static void make_pki(void)
{
	const struct pki_request req = {.name = "ce1.example.net", .kind = PKI_CE, .days = 30};
	char dir[64];
	char err[200];

	if (mkdtemp(top) == NULL)
		abort();
	snprintf(dir, sizeof(dir), "%s/pki", top);
	if (pki_init(dir, false, err, sizeof(err)) == PKI_FAILED ||
	    pki_issue(dir, &req, err, sizeof(err)) == PKI_FAILED)
		abort();
}

int main(void)
{
	Suite *s = suite_create("pep_learn");
	TCase *t = tcase_create("pep_learn");
	SRunner *r = srunner_create(s);
	char cmd[64];
	int failed;

	make_pki();
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, managed_reports);
	tcase_add_test(t, what_is_not_learned);
	tcase_add_test(t, the_server_took_it);
	tcase_add_test(t, routing_decides);
	tcase_add_test(t, filters_of_the_settings);
	tcase_add_test(t, in_a_vrf);
	tcase_add_test(t, restart_of_a_daemon);
	tcase_add_test(t, restart_of_the_agent);
	tcase_add_test(t, without_its_route);
	tcase_add_test(t, limit);
	tcase_add_test(t, limit_under_lockdown);
	tcase_add_test(t, refused_by_the_server);
	tcase_add_test(t, thousand_in_a_request);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	return system(cmd) != 0 || failed != 0 ? 1 : 0;
}
