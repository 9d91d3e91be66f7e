/*
 * faults_live.c - the enforcer whole over a real kernel, and a transaction of some seventy
 * operations, of every kind that changes the kernel, in which the k-th fails, has no answer, or is
 * the last the process ever did; for every k, over both back ends.  What the kernel holds
 * afterwards is asked of iproute2.
 *
 * CE 1 is over the real kernel; CEs 2 and 3, which make real keys, over one in memory.  The test
 * is the PDP.  Needs root and an empty network namespace; tests/scenario/refusals.sh runs it
 * inside tests/uml/boot, once for each back end.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/log.h"
#include "copsctl/pki.h"
#include "pep/kern_mem.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/unit/kern_faults.h"

#define OPERATIONS_MAX 100
#define DUMP_MAX       400 /* lines */
#define KILLS_A_WORLD  6

static char top[] = "/tmp/faults_live.XXXXXX";
static const char *backend;
static struct event_base *base;

struct ce {
	unsigned n;
	struct pep_conf conf;
	char dir[80];
	struct pib_schema *schema;
	struct pib_store *store;
	void *self;
};

static struct ce a, b, c;

/* --- rows ------------------------------------------------------------------- */

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

/* The outside address of CE n, and the prefix of a net. */
static struct pib_octets ip_of_ce(unsigned n)
{
	char s[32];

	snprintf(s, sizeof(s), "192.0.2.%u", n);
	return ip(s);
}

static struct pib_octets ip_of_net(unsigned net)
{
	char s[32];

	snprintf(s, sizeof(s), "10.%u.0.0", net);
	return ip(s);
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

/* The VPN of this number, in which the CE is this member. */
static void put_vpn(struct pib_txn *t, unsigned id, unsigned member, int32_t mode)
{
	const uint8_t vpn_id[7] = {0, 0, 0x5e, 0, 0, 0, (uint8_t)id};
	struct pib_ce_vpn_proposal proposal = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = 50, .tag = 5,
	    .order = 1, .encr = 12, .encr_key_bits = 256, .integ = 14, .replay_window = 32,
	    .lifetime_seconds = 3600};
	struct pib_ce_vpn vpn = {PIB_CE_VPN_DEFAULTS, .id = id, .vpn_id = {vpn_id, 7},
	    .name = text("acme"), .member = member, .role = PIB_CE_VPN_ROLE_MESH, .mode = mode,
	    .keying = PIB_CE_VPN_KEYING_CONTROLLER, .proposals = 5, .local_addr_type = 1,
	    .local_addr = ip_of_ce(member % 10),
	    .non_vpn_traffic = PIB_CE_VPN_NON_VPN_TRAFFIC_BYPASS, .relay = PIB_CE_VPN_RELAY_FALSE};

	install(t, &pib_ce_vpn_proposal_class, &proposal);
	install(t, &pib_ce_vpn_class, &vpn);
}

/* 10.NET.0.0/16, row 1000 + NET, at home. */
static void put_local(struct pib_txn *t, unsigned vpn, unsigned net)
{
	struct pib_ce_vpn_local_prefix row = {.id = 1000 + net,
	    .vpn = vpn,
	    .addr_type = 1,
	    .addr = ip_of_net(net),
	    .prefix_length = 16,
	    .kind = PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE};

	install(t, &pib_ce_vpn_local_prefix_class, &row);
}

static void put_peer(struct pib_txn *t, unsigned vpn, unsigned n)
{
	static char name[8][32];
	struct pib_ce_vpn_peer row = {PIB_CE_VPN_PEER_DEFAULTS, .id = n, .vpn = vpn,
	    .role = PIB_CE_VPN_PEER_ROLE_MESH, .addr_type = 1, .addr = ip_of_ce(n)};

	snprintf(name[n % 8], sizeof(name[0]), "ce%u.example.net", n);
	row.name = text(name[n % 8]);
	install(t, &pib_ce_vpn_peer_class, &row);
}

/* 10.NET.0.0/16, row 1000 + NET, behind peer n. */
static void put_far(struct pib_txn *t, unsigned vpn, unsigned n, unsigned net)
{
	struct pib_ce_vpn_peer_prefix row = {.id = 1000 + net,
	    .vpn = vpn,
	    .peer = n,
	    .addr_type = 1,
	    .addr = ip_of_net(net),
	    .prefix_length = 16};

	install(t, &pib_ce_vpn_peer_prefix_class, &row);
}

/* --- a CE ------------------------------------------------------------------- */

static void ce_start(struct ce *ce)
{
	struct pep_env env = {
	    .base = base, .identity = ce->conf.identity, .state_dir = ce->dir, .conf = &ce->conf};
	char err[200];

	ce->self = pep_client_vpn.start(&env, err, sizeof(err));
	ck_assert_msg(ce->self != NULL, "%s", err);
	ck_assert_msg(
	    pep_client_vpn.reconcile(ce->self, ce->store, err, sizeof(err)) == 0, "%s", err);
}

static void ce_new(struct ce *ce, unsigned n, const char *kernel)
{
	static unsigned dirs;
	struct diag d;
	char settings[800];

	ce->n = n;
	snprintf(ce->dir, sizeof(ce->dir), "%s/%d.%u.ce%u", top, (int)getpid(), dirs++, n);
	ck_assert_int_eq(mkdir(ce->dir, 0700), 0);
	snprintf(settings, sizeof(settings),
	    "pdp = { \"pdp.example.net@198.51.100.10\" }\nbackend = %s\nstate-dir = \"%s\"\n"
	    "certificate = \"%s/pki/ce%u.example.net.pem\"\nkey = \"%s/pki/ce%u.example.net.key\"\n"
	    "ca = \"%s/pki/ca.pem\"\n",
	    kernel, ce->dir, top, n, top, n, top);
	diag_init(&d);
	if (pep_conf_parse(&ce->conf, settings, &d) < 0) {
		diag_print(&d, stderr);
		ck_abort();
	}
	diag_clear(&d);
	ce->schema = pib_schema_new(pep_client_vpn.module, pep_client_vpn.module_count);
	ce->store = pib_store_new(ce->schema, PIB_INSTALL, 100000);
	ce_start(ce);
}

static void ce_free(struct ce *ce)
{
	pep_client_vpn.stop(ce->self);
	pib_store_free(ce->store);
	pib_schema_free(ce->schema);
	pep_conf_clear(&ce->conf);
}

/* Judge, enforce, commit. 0, or -1: aborted, *f is the first fault. */
static int commit(struct ce *ce, struct pib_txn *t, struct pib_fault *f)
{
	const struct pib_fault *faults;

	if (pib_txn_check(t) == 0 && pep_client_vpn.enforce(ce->self, ce->store, t) == 0) {
		pib_txn_commit(t);
		return 0;
	}
	ck_assert_uint_gt(pib_txn_faults(t, &faults), 0);
	*f = faults[0];
	pib_txn_abort(t);
	return -1;
}

static void must(struct ce *ce, struct pib_txn *t)
{
	struct pib_fault f;
	char line[200];

	if (commit(ce, t, &f) < 0)
		ck_abort_msg("%s", pib_fault_print(&f, line, sizeof(line)));
	pep_client_vpn.settled(ce->self, ce->store);
}

/* Let timers run: debts, kernel events. */
static void run_ms(int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* --- the policy server ------------------------------------------------------- */

struct relaying {
	struct pib_txn *to;
	uint32_t member; /* whose */
	uint32_t newest;
};

static void relay_key(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	const struct pib_ce_vpn_site_key *k = row;
	struct relaying *r = arg;
	struct pib_ce_vpn_peer_key p;

	if (cls != &pib_ce_vpn_site_key_class || k->member != r->member)
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
	install(r->to, &pib_ce_vpn_peer_key_class, &p);
	if (k->epoch > r->newest)
		r->newest = k->epoch;
}

struct removing {
	struct pib_txn *t;
	uint32_t peer;
};

static void remove_key(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_key *k = row->data;
	struct removing *r = arg;

	if (k->peer == r->peer)
		ck_assert_int_eq(pib_txn_remove_row(r->t, row->cls, row->instance), 0);
}

/* What from published goes into a transaction of to; the newest epoch. */
static uint32_t put_keys(struct pib_txn *t, struct ce *from, struct ce *to)
{
	struct removing gone = {.t = t, .peer = from->n};
	struct relaying r = {.to = t, .member = from->n};

	pib_store_each(to->store, &pib_ce_vpn_peer_key_class, remove_key, &gone);
	pep_client_vpn.notify(from->self, relay_key, &r);
	return r.newest;
}

static void put_ack(struct pib_txn *t, unsigned peer, uint32_t epoch)
{
	struct pib_ce_vpn_peer_ack ack = {.id = peer, .peer = peer, .epoch = epoch};

	install(t, &pib_ce_vpn_peer_ack_class, &ack);
}

/* The newest epoch of from that to holds now. */
static uint32_t pass_keys(struct ce *from, struct ce *to)
{
	struct pib_txn *t = pib_txn_begin(to->store);
	uint32_t newest = put_keys(t, from, to);

	must(to, t);
	return newest;
}

static void acked(struct ce *ce, unsigned by, uint32_t epoch)
{
	struct pib_txn *t = pib_txn_begin(ce->store);

	put_ack(t, by, epoch);
	must(ce, t);
}

/* --- the kernel -------------------------------------------------------------- */

struct dump { /* lines of iproute2, sorted */
	char *text;
	char *line[DUMP_MAX];
	size_t lines;
};

static int by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/*
 * Everything, or all but SAs and without reqids, of which one is as good as another, as are numbers
 * and hardware addresses of interfaces.
 */
#define AROUND                                                                                     \
	"xfrm policy\nroute show table all proto 67\nlink show type dummy\nlink show type ipip\n"
static const char all[] = "xfrm state\n" AROUND;
static const char policies[] = AROUND;

static void cut_reqid(char *line)
{
	char *reqid = strstr(line, " reqid ");

	if (reqid) {
		char *rest = reqid + 7 + strspn(reqid + 7, "0123456789");
		memmove(reqid, rest, strlen(rest) + 1);
	}
}

/* "12: cv4@NONE: ..." */
static void cut_link(char *line)
{
	size_t digits = strspn(line, "0123456789");
	char *hardware = strstr(line, "link/ether ");

	if (digits == 0 || line[digits] != ':')
		return;
	memmove(line, line + digits, strlen(line + digits) + 1);
	if (hardware)
		hardware[-(long)digits] = '\0';
}

/* One process for all of it: they are dear in the test kernel. */
static void ip_batch(struct dump *d, const char *commands)
{
	char name[100], command[150];
	size_t len = 0;
	FILE *batch, *in, *out = open_memstream(&d->text, &len);

	snprintf(name, sizeof(name), "%s/%d.ip", top, (int)getpid());
	batch = fopen(name, "w");
	ck_assert(batch != NULL && out != NULL);
	fputs(commands, batch);
	fclose(batch);
	snprintf(command, sizeof(command), "exec ip -o -batch %s", name);
	in = popen(command, "r");
	ck_assert_ptr_nonnull(in);
	for (int ch; (ch = fgetc(in)) != EOF;)
		fputc(ch, out);
	fclose(out);
	ck_assert_int_eq(pclose(in), 0);
}

static void dump_take(struct dump *d, const char *what)
{
	char *save = NULL;

	ip_batch(d, what);
	d->lines = 0;
	for (char *l = strtok_r(d->text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		ck_assert_uint_lt(d->lines, DUMP_MAX);
		d->line[d->lines++] = l;
		cut_link(l);
		if (what == policies)
			cut_reqid(l);
	}
	qsort(d->line, d->lines, sizeof(d->line[0]), by_text);
}

static void dump_same(const struct dump *want, const char *of, const char *what, unsigned k)
{
	struct dump now;

	dump_take(&now, of);
	for (size_t i = 0; i < want->lines && i < now.lines; i++)
		ck_assert_msg(!strcmp(want->line[i], now.line[i]), "%s %u: for\n%s\nthere is\n%s",
		    what, k, want->line[i], now.line[i]);
	ck_assert_msg(want->lines == now.lines, "%s %u: %zu entries, not %zu: %s", what, k,
	    now.lines, want->lines,
	    now.lines > want->lines ? now.line[want->lines] : want->line[now.lines]);
	free(now.text);
}

static void flush(void)
{
	struct dump none;

	ip_batch(&none, "xfrm state flush\nxfrm policy flush\n");
	free(none.text);
}

/* Every SA that CE 1 sends under is one that its receiver holds: by SPI, from the other's dump. */
static void check_pairs(const char *what, unsigned k)
{
	struct dump sas;
	unsigned outbound = 0;

	dump_take(&sas, "xfrm state\n");
	for (size_t i = 0; i < sas.lines; i++) {
		struct ce *to = strstr(sas.line[i], "dst 192.0.2.2")   ? &b
				: strstr(sas.line[i], "dst 192.0.2.3") ? &c
								       : NULL;
		const char *spi = strstr(sas.line[i], "spi 0x");
		char id[60];
		char *held;
		if (!to)
			continue;
		snprintf(id, sizeof(id), "sa 192.0.2.%u %.14s ", to->n, spi);
		held = kern_mem_dump(vpn_kern(to->self));
		ck_assert_msg(strstr(held, id) != NULL, "%s %u: %s is not at the receiver:\n%s",
		    what, k, id, held);
		free(held);
		outbound++;
	}
	ck_assert_msg(outbound == 2, "%s %u: %u outbound SAs", what, k, outbound);
	free(sas.text);
}

/* --- the world, and the transaction ------------------------------------------- */

/* Of CE 1 alone, with a peer that has no keys: a VPN in this mode. */
static void put_other(struct pib_txn *t, unsigned vpn, int32_t mode)
{
	put_vpn(t, vpn, 10 * vpn + 1, mode);
	put_local(t, vpn, 10 + vpn);
	put_peer(t, vpn, vpn + 2);
	put_far(t, vpn, vpn + 2, 100 + vpn);
}

/*
 * 1 has two prefixes and is keyed with 2; 2 has made a newer key; 3 knows the keys of 1.  And 1 is
 * in two other VPNs, one in each mode.
 */
static void world_new(void)
{
	unsigned child_sas;
	struct pib_txn *t;

	flush();
	base = event_base_new();
	kern_faults_arm(0, FAULTS_NONE, 0);
	ce_new(&a, 1, backend);
	ce_new(&b, 2, "mem");
	ce_new(&c, 3, "mem");
	t = pib_txn_begin(a.store);
	put_vpn(t, 1, 1, PIB_CE_VPN_MODE_TUNNEL);
	put_local(t, 1, 1);
	put_local(t, 1, 11);
	put_peer(t, 1, 2);
	put_far(t, 1, 2, 2);
	put_other(t, 2, PIB_CE_VPN_MODE_TUNNEL);
	put_other(t, 3, PIB_CE_VPN_MODE_IPIP_TRANSPORT);
	must(&a, t);
	for (struct ce *ce = &b;; ce = &c) {
		t = pib_txn_begin(ce->store);
		put_vpn(t, 1, ce->n, PIB_CE_VPN_MODE_TUNNEL);
		put_local(t, 1, ce->n);
		put_peer(t, 1, 1);
		put_far(t, 1, 1, 1);
		must(ce, t);
		if (ce == &c)
			break;
	}
	acked(&a, 2, pass_keys(&a, &b));
	acked(&b, 1, pass_keys(&b, &a));
	pass_keys(&a, &c);
	ck_assert_int_eq(vpn_rekey(b.self, NULL, &child_sas), 1);
}

static void world_free(void)
{
	kern_faults_arm(0, FAULTS_NONE, 0);
	ce_free(&a);
	ce_free(&b);
	ce_free(&c);
	event_base_free(base);
}

static uint32_t newest_key(struct ce *from, struct ce *at)
{
	struct pib_txn *t = pib_txn_begin(at->store);
	uint32_t newest = put_keys(t, from, at);

	pib_txn_abort(t);
	return newest;
}

/*
 * Another prefix at home, on a link, another one behind 2 and its new key; 3 is new, with keys. And
 * the other VPNs go over to the other mode.
 */
static struct pib_txn *big(void)
{
	struct pib_txn *t = pib_txn_begin(a.store);

	put_local(t, 1, 111);
	ck_assert_int_eq(pib_txn_remove_row(t, &pib_ce_vpn_peer_prefix_class, 1002), 0);
	put_far(t, 1, 2, 22);
	put_keys(t, &b, &a);
	put_peer(t, 1, 3);
	put_far(t, 1, 3, 3);
	put_other(t, 2, PIB_CE_VPN_MODE_IPIP_TRANSPORT);
	put_other(t, 3, PIB_CE_VPN_MODE_TUNNEL);
	put_keys(t, &c, &a);
	put_ack(t, 3, newest_key(&a, &c));
	return t;
}

static bool net_of(const struct prefix *p, unsigned *net)
{
	*net = p->addr.octets[1];
	return p->len == 16;
}

static bool is_far(unsigned net)
{
	return net == 22 || net == 3 || net == 102 || net == 103;
}

/* The row an operation of that transaction comes from, found without the enforcer's help. */
static void row_of(const struct faults_seen *s, const struct pib_class **cls, uint32_t *instance)
{
	unsigned src, dst, far;
	bool has_src, has_dst;

	if (s->op == FAULTS_SA_ADD) { /* the peer's key: inbound it sent, outbound it receives */
		bool inbound = s->sa.dst.octets[3] == 1;
		unsigned peer = inbound ? s->sa_src.octets[3] : s->sa.dst.octets[3];
		*cls = &pib_ce_vpn_peer_key_class;
		*instance = peer << 4 | (inbound ? s->sa.spi & 15 : s->sa.spi >> 4 & 15);
		return;
	}
	if (s->op == FAULTS_DEVICE_PUT) {
		*cls = &pib_ce_vpn_class;
		*instance = s->route.vpn;
		return;
	}
	if (s->op == FAULTS_TUNNEL_PUT) {
		*cls = &pib_ce_vpn_peer_class;
		*instance = s->tunnel;
		return;
	}
	if (s->op == FAULTS_ROUTE_PUT) {
		ck_assert(net_of(&s->route.dst, &far));
		*cls = s->route.discards ? &pib_ce_vpn_local_prefix_class
					 : &pib_ce_vpn_peer_prefix_class;
		*instance = 1000 + far;
		return;
	}
	ck_assert_int_eq(s->op, FAULTS_POLICY_PUT);
	if (s->sel.proto == IPPROTO_IPIP) {
		*cls = &pib_ce_vpn_peer_class;
		*instance = s->sel.dst.len == 32 && s->sel.dst.addr.octets[3] != 1
				? s->sel.dst.addr.octets[3]
				: s->sel.src.addr.octets[3];
		return;
	}
	has_src = net_of(&s->sel.src, &src);
	has_dst = net_of(&s->sel.dst, &dst);
	far = has_src && is_far(src) ? src : dst;
	if (is_far(far)) {
		*cls = &pib_ce_vpn_peer_prefix_class;
		*instance = 1000 + far;
		return;
	}
	/* the site's own: of the prefix that is new, or from which it goes */
	ck_assert(has_dst);
	*cls = &pib_ce_vpn_local_prefix_class;
	*instance = 1000 + (has_src ? src : dst);
}

static void check_row(const struct pib_fault *f, unsigned k)
{
	const struct pib_class *cls;
	uint32_t instance;
	char line[200];

	row_of(kern_faults_seen(), &cls, &instance);
	ck_assert_msg(f->cls == cls && f->instance == instance,
	    "operation %u: the report names %s, not %s.%u", k,
	    pib_fault_print(f, line, sizeof(line)), cls->name, (unsigned)instance);
}

enum outcome { UNDONE = 10, DONE_LATER };

static const bool is_del[] = {[FAULTS_SA_DEL] = true,
    [FAULTS_POLICY_DEL] = true,
    [FAULTS_DEVICE_DEL] = true,
    [FAULTS_ROUTE_DEL] = true,
    [FAULTS_TUNNEL_DEL] = true};

/*
 * In a child: the k-th operation of the transaction fails.  UNDONE, and the row was named; or it
 * was past the commit point, and what failed was done later.
 */
static enum outcome fail_one(
    unsigned k, enum faults_what what, const struct dump *before, const struct dump *after)
{
	struct pib_fault f;

	kern_faults_arm(k, what, k % 3 == 0 ? EINVAL : EPERM);
	if (commit(&a, big(), &f) < 0) {
		ck_assert_msg(kern_faults_seen()->hit, "refused without an operation that was");
		check_row(&f, k);
		dump_same(before, all, "undone, operation", k);
		return UNDONE;
	}
	ck_assert(kern_faults_seen()->hit);
	ck_assert_msg(is_del[kern_faults_seen()->op], "operation %u: success all the same", k);
	pep_client_vpn.settled(a.self, a.store);
	run_ms(1100); /* what is owed is tried again */
	dump_same(after, policies, "owed, operation", k);
	return DONE_LATER;
}

/* fn in a process of its own, as the agent it forks from never heard of it; its exit status. */
static int forked(
    unsigned k, enum faults_what what, const struct dump *before, const struct dump *after)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit((int)fail_one(k, what, before, after));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "operation %u: the agent died: %x", k, (unsigned)status);
	return WEXITSTATUS(status);
}

/* Without a fault: the operations, each of some kind, and the policies afterwards. */
static unsigned whole(struct dump *after, enum faults_op *ops)
{
	struct pib_fault f;
	unsigned n;

	world_new();
	kern_faults_arm(0, FAULTS_NONE, 0);
	ck_assert_int_eq(commit(&a, big(), &f), 0);
	n = kern_faults_operations();
	dump_take(after, policies);
	world_free();
	ck_assert_uint_ge(n, 60);
	ck_assert_uint_lt(n, OPERATIONS_MAX);
	for (unsigned k = 1; k <= n; k++)
		ops[k] = kern_faults_met(k);
	return n;
}

/* Of policies and SAs, of which there are many, each step-th of a kind; of all others each. */
static bool is_turn(enum faults_op op, unsigned before, unsigned step)
{
	return op > FAULTS_POLICY_DEL || before % step == 0;
}

static void fail_every(enum faults_what what, unsigned step, const char *how)
{
	enum faults_op ops[OPERATIONS_MAX];
	struct dump before, after;
	unsigned n = whole(&after, ops);
	unsigned met[FAULTS_TUNNEL_DEL + 1] = {0};
	unsigned kinds = 0;
	unsigned undone = 0;
	unsigned done = 0;

	world_new();
	dump_take(&before, all);
	for (unsigned k = 1; k <= n; k++) {
		int outcome;
		if (!is_turn(ops[k], met[ops[k]]++, step))
			continue;
		outcome = forked(k, what, &before, &after);
		ck_assert_msg(outcome == UNDONE || outcome == DONE_LATER, "operation %u", k);
		kinds |= 1U << ops[k];
		undone += outcome == UNDONE;
		done += outcome == DONE_LATER;
		if (outcome == UNDONE)
			continue;
		/* the kernel went on; the others, too */
		world_free();
		world_new();
	}
	world_free();
	free(before.text);
	free(after.text);
	ck_assert_uint_ge(undone * step, 45);
	ck_assert_uint_eq(kinds, (1U << (FAULTS_TUNNEL_DEL + 1)) - 1);
	printf(" ok  %s: of %u operations %u were %s: %u undone to the octet, with the row named; "
	       "%u done later\n",
	    backend, n, undone + done, how, undone, done);
}

START_TEST(every_operation_refused)
{
	fail_every(FAULTS_REFUSE, 1, "refused");
}
END_TEST

START_TEST(every_operation_unanswered)
{
	fail_every(FAULTS_NO_REPLY, 3, "done but unanswered");
}
END_TEST

/* kill -9 after the k-th operation; a is the agent that starts then. */
static void kill_one(unsigned k)
{
	struct pib_fault f;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		kern_faults_arm(k, FAULTS_KILL_AFTER, 0);
		(void)commit(&a, big(), &f);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "operation %u: %x", k,
	    (unsigned)status);
	/* the rows it had on its disk are those before, its state is what it left */
	pep_client_vpn.stop(a.self);
	ce_start(&a);
}

/* The key that the new process made, to both. */
static void keys_again(void)
{
	acked(&a, 2, pass_keys(&a, &b));
	pass_keys(&a, &c);
}

static void do_it_now(const struct dump *after, unsigned k)
{
	must(&a, big());
	acked(&b, 1, newest_key(&b, &a));
	dump_same(after, policies, "done after", k);
	check_pairs("done after", k);
}

static void no_sa_of_three(unsigned k)
{
	struct dump sas;

	dump_take(&sas, "xfrm state\n");
	for (size_t i = 0; i < sas.lines; i++)
		ck_assert_msg(!strstr(sas.line[i], " 192.0.2.3"),
		    "operation %u: an SA of a peer that is in no row: %s", k, sas.line[i]);
	free(sas.text);
}

START_TEST(killed_after_every_operation)
{
	enum faults_op ops[OPERATIONS_MAX];
	struct dump before, after;
	unsigned n = whole(&after, ops);

	world_new();
	dump_take(&before, policies);
	for (unsigned k = 1; k <= n; k++) {
		kill_one(k);
		dump_same(&before, policies, "started after", k);
		no_sa_of_three(k);
		keys_again();
		if (k % KILLS_A_WORLD && k != n)
			continue;
		do_it_now(&after, k);
		world_free();
		world_new();
	}
	world_free();
	free(before.text);
	free(after.text);
	printf(
	    " ok  %s: killed after each of %u operations: the start makes it as before, and then "
	    "it is done\n",
	    backend, n);
}
END_TEST

static void make_pki(void)
{
	char dir[100];
	char err[200];
	char name[40];

	if (!mkdtemp(top))
		abort();
	snprintf(dir, sizeof(dir), "%s/pki", top);
	if (pki_init(dir, false, err, sizeof(err)) == PKI_FAILED)
		abort();
	for (unsigned n = 1; n <= 3; n++) {
		const struct pki_request req = {.name = name, .kind = PKI_CE, .days = 30};
		snprintf(name, sizeof(name), "ce%u.example.net", n);
		if (pki_issue(dir, &req, err, sizeof(err)) == PKI_FAILED)
			abort();
	}
}

int main(int argc, char **argv)
{
	Suite *s = suite_create("faults");
	TCase *t = tcase_create("faults");
	SRunner *r;
	int failed;

	if (argc != 2) {
		fprintf(stderr, "usage: faults_live pfkey|xfrm\n");
		return 2;
	}
	backend = argv[1];
	setvbuf(stdout, NULL, _IONBF, 0);
	log_level_set(LOG_CRIT);
	make_pki();
	if (system("ip addr add 192.0.2.1/32 dev lo 2>/dev/null; "
		   "ip addr add 10.111.0.1/16 dev lo 2>/dev/null") < 0)
		return 2;
	tcase_set_timeout(t, 400);
	tcase_add_test(t, every_operation_refused);
	tcase_add_test(t, every_operation_unanswered);
	tcase_add_test(t, killed_after_every_operation);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
