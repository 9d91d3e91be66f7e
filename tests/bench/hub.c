/*
 * hub.c - from rows to SAs on a hub: copspepd's enforcer, keying and all, gets the rows of COUNT
 * peers in one transaction, each with certificate, key and acknowledgement, and makes two SAs,
 * four policies and a route of each in the kernel; then one peer comes and goes.  Beside it the
 * same SAs, policies and routes one after the other through the back end alone, every reply read.
 * Runs inside the test kernel (tests/uml/boot).
 *
 * usage: hub pfkey|xfrm|mem COUNT (mem needs no kernel: what the agent itself costs)
 * Prints a line "what value unit" each.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/sitekey.h"
#include "copsctl/pki.h"
#include "pep/kplan.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define HUB	"hub.example.net"
#define ADDRESS "192.0.2.1"
#define SELF	1U
#define FIRST	2U /* peer's membership */

static char top[] = "/tmp/hub.XXXXXX";
static const uint8_t vpn_id[7] = {0, 0, 0x5e, 0, 0, 0, 1};
static uint64_t sends; /* requests to the kernel */

/* Both back ends end here: counted, then sent. */
ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	sends++;
	return syscall(SYS_sendto, fd, buf, len, flags, NULL, 0);
}

ssize_t sendto(
    int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	sends++;
	return syscall(SYS_sendto, fd, buf, len, flags, to, to_len);
}

static void die(const char *what)
{
	fprintf(stderr, "hub: %s\n", what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned long rss_kb(void)
{
	unsigned long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &rss) != 2)
		die("/proc/self/statm");
	fclose(f);
	return rss * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* --- certificates ------------------------------------------------------------- */

static X509 *ca;
static EVP_PKEY *ca_key;
static EVP_PKEY *peers_key; /* all peers share one; each has a certificate of its own */

static void ca_load(void)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pki/ca.pem", top);
	if (!(f = fopen(path, "r")) || !(ca = PEM_read_X509(f, NULL, NULL, NULL)))
		die(path);
	fclose(f);
	snprintf(path, sizeof(path), "%s/pki/ca.key", top);
	if (!(f = fopen(path, "r")) || !(ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL)))
		die(path);
	fclose(f);
	peers_key = EVP_EC_gen("P-256");
}

static uint32_t certificate(const char *name, unsigned serial, uint8_t *der)
{
	X509 *x = X509_new();
	char san[80];
	uint8_t *p = der;
	X509_EXTENSION *e;
	X509V3_CTX ctx;

	snprintf(san, sizeof(san), "DNS:%s", name);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), (long)serial + 100);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, peers_key);
	X509_set_issuer_name(x, X509_get_subject_name(ca));
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0);
	X509V3_set_ctx(&ctx, ca, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
	if (!e || !X509_add_ext(x, e, -1) || !X509_sign(x, ca_key, EVP_sha256()))
		die("certificate");
	X509_EXTENSION_free(e);
	int len = i2d_X509(x, &p);
	X509_free(x);
	return (uint32_t)len;
}

/* --- rows ---------------------------------------------------------------------- */

static struct pib_store *store;
static void *self;
static uint32_t own_epoch;

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

struct row { /* encoded */
	const struct pib_class *cls;
	uint32_t instance;
	struct buf epd;
};

static void encode(struct row *r, const struct pib_class *cls, uint32_t instance, const void *row)
{
	r->cls = cls;
	r->instance = instance;
	buf_init(&r->epd, 0);
	pib_epd_put(&r->epd, cls, row);
	if (r->epd.failed)
		die("a row cannot be encoded");
}

#define PEER_ROWS 4

static void peer_rows(struct row *r, unsigned i)
{
	static const uint8_t suite[] = {
	    0, 3, 0, 12, 1, 0, 0, 14}; /* ESP, AES-CBC 256, HMAC-SHA2-512-256 */
	uint32_t m = FIRST + i;
	uint8_t outer[4] = {172, (uint8_t)(16 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i};
	uint8_t inner[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
	uint8_t pub[32], nonce[32], der[2048], msg[SITEKEY_TEXT_MAX], sig[SITEKEY_SIGNATURE_MAX];
	size_t len, sig_len, pub_len = sizeof(pub);
	EVP_PKEY *x = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	char name[64];

	snprintf(name, sizeof(name), "ce%u.example.net", i);
	EVP_PKEY_get_raw_public_key(x, pub, &pub_len);
	EVP_PKEY_free(x);
	RAND_bytes(nonce, sizeof(nonce));
	encode(&r[0], &pib_ce_vpn_peer_class, m,
	    &(struct pib_ce_vpn_peer) {PIB_CE_VPN_PEER_DEFAULTS, .id = m, .vpn = 1,
		.name = text(name), .role = PIB_CE_VPN_PEER_ROLE_SPOKE, .addr_type = 1,
		.addr = {outer, 4}});
	encode(&r[1], &pib_ce_vpn_peer_prefix_class, m,
	    &(struct pib_ce_vpn_peer_prefix) {.id = m,
		.vpn = 1,
		.peer = m,
		.addr_type = 1,
		.addr = {inner, 4},
		.prefix_length = 24});
	struct sitekey k = {.member = m,
	    .epoch = 1,
	    .public_key = pub,
	    .nonce = nonce,
	    .transforms = suite,
	    .transforms_len = sizeof(suite),
	    .sends = suite,
	    .sends_len = sizeof(suite)};
	struct pib_ce_vpn_peer_key key = {.id = m << 4 | 1,
	    .peer = m,
	    .epoch = 1,
	    .public_key = {pub, 32},
	    .nonce = {nonce, 32},
	    .transforms = {suite, sizeof(suite)},
	    .sends = {suite, sizeof(suite)}};
	len = sitekey_text(msg, vpn_id, &k);
	if (sitekey_sign(peers_key, msg, len, sig, &sig_len) < 0)
		die("signature");
	key.certificate = (struct pib_octets) {der, certificate(name, i, der)};
	key.signature = (struct pib_octets) {sig, (uint32_t)sig_len};
	encode(&r[2], &pib_ce_vpn_peer_key_class, key.id, &key);
	encode(&r[3], &pib_ce_vpn_peer_ack_class, m,
	    &(struct pib_ce_vpn_peer_ack) {.id = m, .peer = m, .epoch = own_epoch});
}

static unsigned net_rows(struct row *r)
{
	static const uint8_t local[4] = {192, 0, 2, 1}, site[4] = {192, 168, 0, 0};

	encode(&r[0], &pib_ce_vpn_proposal_class, 50,
	    &(struct pib_ce_vpn_proposal) {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = 50, .tag = 5,
		.encr = 12, .encr_key_bits = 256, .integ = 14, .replay_window = 32,
		.lifetime_seconds = 86400});
	encode(&r[1], &pib_ce_vpn_class, 1,
	    &(struct pib_ce_vpn) {PIB_CE_VPN_DEFAULTS, .id = 1, .vpn_id = {vpn_id, 7},
		.name = text("office"), .member = SELF, .role = PIB_CE_VPN_ROLE_HUB,
		.mode = PIB_CE_VPN_MODE_TUNNEL, .keying = PIB_CE_VPN_KEYING_CONTROLLER,
		.proposals = 5, .local_addr_type = 1, .local_addr = {local, 4},
		.non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS,
		.relay = PIB_CE_VPN_RELAY_FALSE});
	encode(&r[2], &pib_ce_vpn_local_prefix_class, 1,
	    &(struct pib_ce_vpn_local_prefix) {.id = 1,
		.vpn = 1,
		.addr_type = 1,
		.addr = {site, 4},
		.prefix_length = 16,
		.kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE});
	return 3;
}

/* --- transactions ---------------------------------------------------------------- */

static void finish(struct pib_txn *t)
{
	const struct pib_fault *f;
	char line[200];

	if (pib_txn_check(t) < 0 || pep_client_vpn.enforce(self, store, t) < 0) {
		if (pib_txn_faults(t, &f))
			die(pib_fault_print(f, line, sizeof(line)));
		die("refused");
	}
	pib_txn_commit(t);
	pep_client_vpn.settled(self, store);
}

static void install(const struct row *r, size_t n)
{
	struct pib_txn *t = pib_txn_begin(store);

	for (size_t i = 0; i < n; i++)
		pib_txn_install_row(
		    t, r[i].cls, r[i].instance, r[i].epd.data, (uint32_t)r[i].epd.len);
	finish(t);
}

static void uninstall(const struct row *r, size_t n)
{
	struct pib_txn *t = pib_txn_begin(store);

	for (size_t i = n; i-- > 0;)
		pib_txn_remove_row(t, r[i].cls, r[i].instance);
	finish(t);
}

static void own_key(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	(void)arg;
	(void)instance;
	if (cls == &pib_ce_vpn_site_key_class)
		own_epoch = ((const struct pib_ce_vpn_site_key *)row)->epoch;
}

static void say(const char *what, uint64_t value, const char *unit)
{
	printf("%s %" PRIu64 " %s\n", what, value, unit);
}

/* On its own, so that a profiler can be told of it. */
static __attribute__((noinline)) void one_more(const struct row *r)
{
	install(r, PEER_ROWS);
}

static void ours(unsigned count)
{
	struct row net[8];
	struct row *r = calloc((size_t)(count + 1) * PEER_ROWS, sizeof(*r));
	struct row *last = &r[(size_t)count * PEER_ROWS];
	unsigned long before;
	uint64_t us;

	if (!r)
		die("memory");
	install(net, net_rows(net));
	pep_client_vpn.notify(self, own_key, NULL);
	for (unsigned i = 0; i <= count; i++)
		peer_rows(&r[(size_t)i * PEER_ROWS], i);

	before = rss_kb();
	sends = 0;
	us = now_us();
	install(r, (size_t)count * PEER_ROWS);
	us = now_us() - us;
	say("rows_us", us, "us");
	say("rows_requests", sends, "requests");
	say("memory", rss_kb() - before, "kB");

	sends = 0;
	us = now_us();
	one_more(last);
	say("one_us", now_us() - us, "us");
	say("one_requests", sends, "requests");
	sends = 0;
	us = now_us();
	uninstall(last, PEER_ROWS);
	say("gone_us", now_us() - us, "us");
	say("gone_requests", sends, "requests");
}

/* --- the limit -------------------------------------------------------------------- */

static void sa_make(struct kern_sa *sa, unsigned i, bool in)
{
	const uint8_t outer[4] = {172, (uint8_t)(16 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i};
	struct addr far = {.family = AF_INET}, near;

	memcpy(far.octets, outer, 4);
	addr_parse(&near, ADDRESS);
	memset(sa, 0, sizeof(*sa));
	sa->id.spi = (in ? i + FIRST : SELF) << 8 | 0x11;
	sa->id.dst = in ? near : far;
	sa->src = in ? far : near;
	sa->reqid = i + 1;
	sa->encr = 12;
	sa->integ = 14;
	sa->encr_key_len = 32;
	sa->integ_key_len = 64;
	memset(sa->encr_key, (int)i, 32);
	memset(sa->integ_key, (int)i, 64);
	sa->replay_window = 32;
	sa->hard.seconds = 86400;
	sa->soft.seconds = 69120;
}

static void policy_make(struct kern_policy *p, unsigned i, unsigned which)
{
	const uint8_t inner[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
	const uint8_t outer[4] = {172, (uint8_t)(16 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i};
	static const enum kern_dir dir[] = {KERN_OUT, KERN_IN, KERN_FWD, KERN_OUT};
	struct prefix far = {.addr.family = AF_INET, .len = 24}, site, all;
	bool out = dir[which] == KERN_OUT;

	memcpy(far.addr.octets, inner, 4);
	prefix_parse(&site, "192.168.0.0/16");
	prefix_parse(&all, "0.0.0.0/0");
	memset(p, 0, sizeof(*p));
	p->sel.dir = dir[which];
	p->sel.src = out ? which == 3 ? all : site : far;
	p->sel.dst = out ? far : site;
	p->action = which == 3 ? KERN_DISCARD : KERN_PROTECT;
	p->priority = KERN_PRIO_BASE + 0x200 + which;
	if (which == 3)
		return;
	p->reqid = i + 1;
	p->tmpl_src.family = p->tmpl_dst.family = AF_INET;
	memcpy(out ? p->tmpl_dst.octets : p->tmpl_src.octets, outer, 4);
	memcpy(out ? p->tmpl_src.octets : p->tmpl_dst.octets, "\300\0\2\1", 4);
}

static void must(int ret, const struct kern_fault *f)
{
	if (ret < 0)
		die(f->text);
}

static void limit(const struct kern_ops *ops, unsigned count)
{
	struct kern_fault f = {0};
	struct kern *k = ops->open(&f);
	struct kern_policy p;
	struct kern_sa sa;
	uint64_t us;

	if (!k)
		die(f.text);
	sends = 0;
	us = now_us();
	for (unsigned i = 0; i < count; i++)
		for (unsigned w = 0; w < 4; w++) {
			policy_make(&p, i, w);
			must(ops->policy_put(k, &p, &f), &f);
		}
	say("limit_policies_us", now_us() - us, "us");
	for (unsigned i = 0; i < 2 * count; i++) {
		sa_make(&sa, i / 2, i & 1);
		must(ops->sa_add(k, &sa, &f), &f);
	}
	must(ops->device_put(k, &(struct kern_device) {.vpn = 1, .mtu = 1400}, &f), &f);
	for (unsigned i = 0; i < count; i++) {
		policy_make(&p, i, 0);
		must(
		    ops->route_add(k,
			&(struct kern_route) {.table = KERN_TABLE_MAIN, .dst = p.sel.dst, .vpn = 1},
			&f),
		    &f);
	}
	say("limit_us", now_us() - us, "us");
	say("limit_requests", sends, "requests");
	must(ops->device_del(k, 1, &f), &f);
	ops->close(k);
}

/* --- start ----------------------------------------------------------------------- */

static void start(const char *backend)
{
	static struct pep_conf conf;
	struct pki_request req = {.name = HUB, .kind = PKI_CE, .days = 30};
	char path[64], settings[800], err[300];
	struct pib_schema *schema;
	struct diag d;

	if (!mkdtemp(top))
		die("no room under /tmp");
	snprintf(path, sizeof(path), "%s/pki", top);
	if (pki_init(path, false, err, sizeof(err)) == PKI_FAILED ||
	    pki_issue(path, &req, err, sizeof(err)) == PKI_FAILED)
		die(err);
	ca_load();
	snprintf(settings, sizeof(settings),
	    "pdp = { \"pdp.example.net@198.51.100.10\" }\nbackend = %s\nstate-dir = \"%s\"\n"
	    "certificate = \"%s/" HUB ".pem\"\nkey = \"%s/" HUB ".key\"\nca = \"%s/ca.pem\"\n",
	    backend, top, path, path, path);
	diag_init(&d);
	if (pep_conf_parse(&conf, settings, &d) < 0) {
		diag_print(&d, stderr);
		die("settings");
	}
	schema = pib_schema_new(pep_client_vpn.module, pep_client_vpn.module_count);
	store = pib_store_new(schema, PIB_INSTALL, 1000000);
	const struct pep_env env = {
	    .base = event_base_new(), .identity = conf.identity, .state_dir = top, .conf = &conf};
	self = pep_client_vpn.start(&env, err, sizeof(err));
	if (!self || pep_client_vpn.reconcile(self, store, err, sizeof(err)) < 0)
		die(err);
}

int main(int argc, char **argv)
{
	static const struct kern_ops *const all[] = {
	    &kern_pfkey_ops, &kern_xfrm_ops, &kern_mem_ops};
	const struct kern_ops *ops = NULL;
	unsigned count = argc == 3 ? (unsigned)atoi(argv[2]) : 0;

	for (size_t i = 0; argc == 3 && i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(argv[1], all[i]->name))
			ops = all[i];
	if (count == 0 || count > 16000 || !ops) {
		fprintf(stderr, "usage: hub pfkey|xfrm|mem COUNT\n");
		return 2;
	}
	if (ops != &kern_mem_ops &&
	    system("ip addr add " ADDRESS "/32 dev lo; ip link set lo up") != 0)
		die("ip");
	limit(ops, count);
	if (ops != &kern_mem_ops && system("ip xfrm state flush; ip xfrm policy flush") != 0)
		die("ip xfrm");
	start(argv[1]);
	ours(count);
	fflush(stdout);
	execlp("rm", "rm", "-rf", top, (char *)NULL);
	return 1;
}
