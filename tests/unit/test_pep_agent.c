/*
 * test_pep_agent.c - the agent against a scripted PDP, both on one event loop, over TCP
 * without TLS; the client is a small one that can be told to fail.  Row 12 to 29, 56, 58,
 * 68 and 70 to 82 of the conformance table, as far as they are the agent's.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/log.h"
#include "libcops/cops_io.h"
#include "pep/agent.h"
#include "pep/kern_if.h"
#include "pep/link.h"
#include "pep/pep_conf.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/unit/capture.h"

#define TYPE	 0x4001
#define SEEN_MAX 400

static struct event_base *base;
static char dir[64];

/* ------------------------------------------------------------------ the PDP */

struct seen { /* a message from the PEP, or (op 0) a connection that ended */
	uint8_t op;
	bool solicited;
	uint32_t handle;
	uint16_t report, reason, reason_sub;
	uint16_t gperr, gperr_sub, cperr, cperr_sub; /* the first ones */
	unsigned cperrs;
	uint32_t instance; /* of the first ErrorPRID */
	bool full;	   /* REQ: FullState of its incarnation */
	uint8_t incarnation[16];
	unsigned incarnation_len;
	unsigned site_keys, removed, supports; /* REQ: rows */
	unsigned interfaces, lan_combos, wan_combos;
};

static struct pdp {
	int fd;
	uint16_t port;
	struct event *accept;
	struct cops_io_pool *pool;
	struct cops_io *io;
	struct cops_conn_conf conf;
	struct seen seen[SEEN_MAX];
	unsigned count;
	unsigned at; /* the next one to be looked at */
	unsigned opens;
	bool last_pdp; /* the newest OPN had LastPDPAddr */
	bool answer;   /* NULL decision for every REQ */
	bool stranger; /* no PEP is known */
} pdp[2];

static struct pib_schema *schema;

static void see_prid(struct seen *s, const struct cops_sub *sub, const struct pib_class **cls)
{
	struct pib_fault f;
	uint32_t instance;

	if (pib_prid_parse(schema, sub->body, sub->len, cls, &instance, &f) != 0) {
		*cls = NULL;
		return;
	}
	if (sub->s_num == COPS_S_ERROR_PRID && s->cperrs == 0)
		s->instance = instance;
}

static void see_epd(struct seen *s, const struct cops_sub *sub, const struct pib_class *cls)
{
	struct pib_frwk_pib_incarnation inc;
	struct pib_fault f;
	bool surplus;

	s->removed += sub->len == 0;
	s->site_keys += cls == &pib_ce_vpn_site_key_class && sub->len != 0;
	s->supports += cls == &pib_frwk_prc_support_class;
	s->interfaces += cls == &pib_frwk_if_role_combo_class;
	if (cls == &pib_frwk_role_combo_class) {
		s->lan_combos += memmem(sub->body, sub->len, "lan+red", 7) != NULL;
		s->wan_combos += memmem(sub->body, sub->len, "wan", 3) != NULL;
	}
	if (cls != &pib_frwk_pib_incarnation_class)
		return;
	ck_assert_int_eq(pib_epd_decode(cls, sub->body, sub->len, &inc, &surplus, &f), 0);
	s->full = inc.full_state == 1;
	s->incarnation_len = inc.id.len;
	ck_assert_uint_le(inc.id.len, sizeof(s->incarnation));
	memcpy(s->incarnation, inc.id.p, inc.id.len);
}

static void see_data(struct seen *s, const struct cops_msg *m)
{
	const struct pib_class *cls = NULL;
	struct cops_obj_iter objs;
	struct cops_sub_iter it;
	struct cops_obj o;
	struct cops_sub sub;

	cops_si_iter_init(&objs, m);
	while (cops_si_iter_next(&objs, &o)) {
		cops_sub_iter_init(&it, &o);
		while (cops_sub_iter_next(&it, &sub) == COPS_SUB_OK) {
			if (sub.s_num == COPS_S_GPERR && s->gperr == 0) {
				s->gperr = sub.code;
				s->gperr_sub = sub.sub;
			} else if (sub.s_num == COPS_S_CPERR) {
				if (s->cperrs++ == 0) {
					s->cperr = sub.code;
					s->cperr_sub = sub.sub;
				}
			} else if (sub.s_num == COPS_S_EPD) {
				see_epd(s, &sub, cls);
			} else {
				see_prid(s, &sub, &cls);
			}
		}
	}
}

static struct cops_conn *conn(struct pdp *p)
{
	ck_assert_ptr_nonnull(p->io);
	return cops_io_conn(p->io);
}

static void handle_put(struct buf *b, uint32_t handle)
{
	const uint8_t h[4] = {(uint8_t)(handle >> 24), (uint8_t)(handle >> 16),
	    (uint8_t)(handle >> 8), (uint8_t)handle};

	cops_put_handle(b, h, sizeof(h));
}

/* A DEC whose decisions fn writes; NULL: a NULL decision. */
static void send_dec(
    struct pdp *p, uint32_t handle, bool solicited, void (*fn)(struct buf *b, void *arg), void *arg)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DEC, solicited, TYPE);
	handle_put(&b, handle);
	if (fn == NULL)
		cops_put_decision(&b, COPS_CMD_NULL, 0);
	else
		fn(&b, arg);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(conn(p), b.data, b.len), 0);
	buf_clear(&b);
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pdp *p = arg;
	struct seen *s = &p->seen[p->count++];
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];

	ck_assert_msg(fault == NULL, "%s", fault == NULL ? "" : fault->why);
	ck_assert_uint_lt(p->count, SEEN_MAX);
	memset(s, 0, sizeof(*s));
	s->op = m->op;
	s->solicited = m->solicited;
	if (h->c_num != 0) {
		ck_assert_uint_eq(h->len, 4);
		s->handle = (uint32_t)h->body[0] << 24 | (uint32_t)h->body[1] << 16 |
			    (uint32_t)h->body[2] << 8 | h->body[3];
	}
	if (cops_msg_has(m, COPS_SLOT_REPORT_TYPE))
		s->report = cops_obj_hi(&m->slot[COPS_SLOT_REPORT_TYPE]);
	if (cops_msg_has(m, COPS_SLOT_REASON)) {
		s->reason = cops_obj_hi(&m->slot[COPS_SLOT_REASON]);
		s->reason_sub = cops_obj_lo(&m->slot[COPS_SLOT_REASON]);
	}
	if (m->op == COPS_OP_REQ || m->op == COPS_OP_RPT)
		see_data(s, m);
	if (m->op == COPS_OP_REQ && p->answer)
		send_dec(p, s->handle, true, NULL, NULL);
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	struct pdp *p = arg;

	(void)sub;
	ck_assert_str_eq(pepid, "ce1.example.net");
	p->opens++;
	p->last_pdp = cops_msg_has(opn, COPS_SLOT_LAST_PDP);
	if (p->stranger)
		return COPS_ERR_AUTH_FAILURE;
	return opn->client_type == TYPE ? 0 : COPS_ERR_CLIENT_TYPE;
}

static void on_client_close(
    void *arg, uint16_t type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	(void)arg;
	(void)type;
	(void)error;
	(void)sub;
	(void)redir;
}

static const struct cops_conn_ops conn_ops = {
    .on_open = on_open, .on_client_close = on_client_close, .on_msg = on_msg};

static void on_end(void *arg, const char *why)
{
	struct pdp *p = arg;

	(void)why;
	p->seen[p->count++] = (struct seen) {.op = 0};
	cops_io_free(p->io);
	p->io = NULL;
}

static const struct cops_io_ops io_ops = {.on_end = on_end};

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct pdp *p = arg;
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (s < 0)
		return;
	if (p->io != NULL)
		cops_io_free(p->io);
	p->io = cops_io_accept(p->pool, s, NULL, &p->conf, &conn_ops, &io_ops, p);
	if (p->io != NULL)
		cops_conn_trace(cops_io_conn(p->io), capture_trace, NULL);
	ck_assert_ptr_nonnull(p->io);
}

static void pdp_open(struct pdp *p)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);

	memset(p, 0, sizeof(*p));
	p->conf = (struct cops_conn_conf) {
	    .role = COPS_PDP, .max_msg = 1 << 20, .max_unsent = 1 << 24, .open_timeout_ms = 5000};
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(p->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ck_assert_int_eq(listen(p->fd, 5), 0);
	ck_assert_int_eq(getsockname(p->fd, (struct sockaddr *)&sin, &len), 0);
	p->port = ntohs(sin.sin_port);
	p->pool = cops_io_pool_new(base);
	p->accept = event_new(base, p->fd, EV_READ | EV_PERSIST, on_accept, p);
	event_add(p->accept, NULL);
}

static void pdp_close(struct pdp *p)
{
	cops_io_free(p->io);
	cops_io_pool_free(p->pool);
	event_free(p->accept);
	close(p->fd);
}

/* ------------------------------------------------------------------ the client */

static struct {
	const struct pep_client *client;
	struct pep_agent *agent;
	unsigned started, stopped, enforced, settled, reconciled;
	size_t rows;	  /* at the last reconcile */
	uint32_t refuse;  /* this ceVpnProposal instance */
	uint32_t keys[8]; /* epochs of site keys to notify */
	unsigned key_count;
} cl;

static void *cl_start(const struct pep_env *env, char *err, unsigned long err_len)
{
	(void)err;
	(void)err_len;
	ck_assert_str_eq(env->identity, "ce1.example.net");
	cl.agent = env->agent;
	cl.started++;
	return &cl;
}

static void cl_stop(void *self)
{
	(void)self;
	cl.stopped++;
}

static int cl_enforce(void *self, const struct pib_store *store, struct pib_txn *txn)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(txn, &c);

	(void)self;
	(void)store;
	ck_assert_uint_gt(n, 0);
	cl.enforced++;
	for (size_t i = 0; i < n; i++) {
		struct pib_fault f = {.cperr = PIB_CPERR_VALUE,
		    .sub = PIB_CE_VPN_PROPOSAL_COL_ENCR,
		    .cls = &pib_ce_vpn_proposal_class};

		if (c[i].after == NULL || c[i].after->cls != f.cls || cl.refuse == 0 ||
		    c[i].after->instance != cl.refuse)
			continue;
		f.instance = cl.refuse;
		pib_txn_fault(txn, &f);
		return -1;
	}
	return 0;
}

static void cl_settled(void *self, const struct pib_store *store)
{
	(void)self;
	(void)store;
	cl.settled++;
}

static int cl_reconcile(void *self, const struct pib_store *store, char *err, unsigned long err_len)
{
	(void)self;
	(void)err;
	(void)err_len;
	cl.reconciled++;
	cl.rows = pib_store_count(store, NULL);
	return 0;
}

static void cl_notify(void *self,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	static const uint8_t octets[32];

	(void)self;
	for (unsigned i = 0; i < cl.key_count; i++) {
		const struct pib_ce_vpn_site_key row = {
		    .id = 5 << 4 | (cl.keys[i] & 15),
		    .member = 5,
		    .epoch = cl.keys[i],
		    .public_key = {octets, 32},
		    .nonce = {octets, 32},
		    .encr = 12,
		    .certificate = {octets, 1},
		    .signature = {octets, 1},
		};

		put(arg, &pib_ce_vpn_site_key_class, row.id, &row);
	}
}

static const struct pib_module *const modules[] = {
    &pib_framework_pib_module, &pib_ce_vpn_pib_module};

static const struct pep_client client = {
    .name = "test",
    .client_type = TYPE,
    .module = modules,
    .module_count = 2,
    .start = cl_start,
    .stop = cl_stop,
    .enforce = cl_enforce,
    .settled = cl_settled,
    .reconcile = cl_reconcile,
    .notify = cl_notify,
};

/* ------------------------------------------------------------------ both */

static struct pep_conf conf;
static struct pep_agent *agent;

static void conf_make(const char *pdps)
{
	struct diag d;
	char text[1000];

	snprintf(text, sizeof(text),
	    "pdp = { %s }\nsecurity = none\nidentity = ce1.example.net\nstate-dir = %s\nbackend = "
	    "mem\n"
	    "retry-min = 20\nretry-max = 100\nrequest-timeout = 300\n",
	    pdps, dir);
	diag_init(&d);
	if (pep_conf_parse(&conf, text, &d) != 0) {
		diag_print(&d, stderr);
		ck_abort();
	}
	diag_clear(&d);
}

static void agent_open(void)
{
	const struct pep_client *const clients[] = {&client};
	char err[256];

	agent = pep_agent_new(base, &conf, clients, 1, err, sizeof(err));
	ck_assert_msg(agent != NULL, "%s", err);
	pep_agent_start(agent);
}

static void setup(void)
{
	char pdps[100];

	snprintf(dir, sizeof(dir), "/tmp/agent.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(&cl, 0, sizeof(cl));
	base = event_base_new();
	schema = pib_schema_new(modules, 2);
	pdp_open(&pdp[0]);
	pdp_open(&pdp[1]);
	snprintf(pdps, sizeof(pdps), "\"127.0.0.1:%u\"", pdp[0].port);
	conf_make(pdps);
	agent_open();
}

static void teardown(void)
{
	char cmd[100];

	pep_agent_free(agent);
	pdp_close(&pdp[0]);
	pdp_close(&pdp[1]);
	pib_schema_free(schema);
	event_base_free(base);
	pep_conf_clear(&conf);
	ck_assert_uint_eq(cl.started, cl.stopped);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static void turn(unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* The next message, which must come and be of this kind. */
static struct seen *expect(struct pdp *p, uint8_t op)
{
	for (unsigned i = 0; p->at == p->count && i < 300; i++)
		turn(10);
	ck_assert_msg(p->at < p->count, "no %s comes", cops_op_name(op));
	ck_assert_msg(p->seen[p->at].op == op, "%s instead of %s", cops_op_name(p->seen[p->at].op),
	    cops_op_name(op));
	return &p->seen[p->at++];
}

static void expect_nothing(struct pdp *p, unsigned ms)
{
	turn(ms);
	ck_assert_msg(p->at == p->count, "%s comes", cops_op_name(p->seen[p->at].op));
}

static enum pep_state state(void)
{
	struct pep_client_status s;

	pep_agent_status(agent, &client, &s);
	return s.state;
}

/* Through to a state in which everything is decided; the handle. */
static uint32_t in_sync(struct pdp *p)
{
	uint32_t h = expect(p, COPS_OP_REQ)->handle;
	struct seen *s;

	send_dec(p, h, true, NULL, NULL);
	s = expect(p, COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_int_eq(state(), PEP_IN_SYNC);
	return h;
}

/* ------------------------------------------------------------------ decisions */

static void put_sub_prid(struct buf *b, const struct pib_class *cls, uint32_t instance)
{
	size_t mark = cops_sub_open(b, COPS_S_PRID);

	pib_prid_put(b, cls, instance);
	cops_sub_close(b, mark);
}

static void put_proposal(struct buf *b, uint32_t instance, uint32_t order)
{
	const struct pib_ce_vpn_proposal row = {.id = instance,
	    .tag = 1,
	    .order = order,
	    .encr = 12,
	    .encr_key_bits = 256,
	    .integ = 14,
	    .replay_window = 32};
	size_t mark;

	put_sub_prid(b, &pib_ce_vpn_proposal_class, instance);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, &pib_ce_vpn_proposal_class, &row);
	cops_sub_close(b, mark);
}

static void put_incarnation(struct buf *b, uint8_t lsn)
{
	const uint8_t id[16] = {[15] = lsn};
	const struct pib_frwk_pib_incarnation row = {.prid = 1,
	    .id = {id, sizeof(id)},
	    .longevity = 1,
	    .in_ctxt_set = 1,
	    .active = 1,
	    .full_state = 1};
	size_t mark;

	put_sub_prid(b, &pib_frwk_pib_incarnation_class, 1);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, &pib_frwk_pib_incarnation_class, &row);
	cops_sub_close(b, mark);
}

struct installs {
	uint32_t from, to;
	uint8_t lsn; /* 0: no incarnation */
	uint32_t remove;
	uint32_t shift; /* of the order */
};

static void installs(struct buf *b, void *arg)
{
	const struct installs *in = arg;
	size_t mark;

	/* Installs first on purpose: it is the PEP that takes removes first. */
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	for (uint32_t i = in->from; i <= in->to; i++)
		put_proposal(b, i, i + in->shift);
	if (in->lsn != 0)
		put_incarnation(b, in->lsn);
	cops_named_close(b, mark);
	if (in->remove == 0)
		return;
	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_sub_prid(b, &pib_ce_vpn_proposal_class, in->remove);
	cops_named_close(b, mark);
}

static size_t proposals(void)
{
	return pib_store_count(pep_agent_store(agent, &client), &pib_ce_vpn_proposal_class);
}

START_TEST(request_and_null)
{
	struct seen *s;
	uint32_t h = in_sync(&pdp[0]);

	s = &pdp[0].seen[0];
	ck_assert(s->full);
	ck_assert_uint_eq(s->incarnation_len, 0);
	ck_assert_uint_gt(s->supports, 10);
	ck_assert(!s->solicited);
	ck_assert(!pdp[0].last_pdp);
	ck_assert_uint_ne(h, 0);
	ck_assert_uint_eq(cl.reconciled, 1);
	ck_assert_uint_eq(cl.enforced, 0);
	expect_nothing(&pdp[0], 400); /* and no request timeout */
}
END_TEST

START_TEST(install_replace_remove)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 3, .lsn = 7};
	struct seen *s;

	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->cperrs, 0);
	ck_assert_uint_eq(proposals(), 3);
	ck_assert_uint_eq(cl.enforced, 1);
	ck_assert_uint_eq(cl.settled, 1);

	in = (struct installs) {.from = 3, .to = 3, .remove = 3}; /* the install wins */
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 3);
	ck_assert_uint_eq(cl.enforced, 1); /* nothing changed */

	in = (struct installs) {.from = 4, .to = 4, .remove = 99}; /* unknown: a warning */
	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_INSTANCE);
	ck_assert_uint_eq(s->instance, 99);
	ck_assert_uint_eq(proposals(), 4);
}
END_TEST

START_TEST(failure_changes_nothing)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 5};
	struct seen *s;

	cl.refuse = 4;
	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_VALUE);
	ck_assert_uint_eq(s->cperr_sub, PIB_CE_VPN_PROPOSAL_COL_ENCR);
	ck_assert_uint_eq(s->instance, 4);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.settled, 0);
	cl.refuse = 0;
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 5);
}
END_TEST

static void same_order_twice(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	for (uint32_t i = 1; i <= 60; i++)
		put_proposal(b, i, i / 2);
	cops_named_close(b, mark);
}

static void epd_without_prid(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	cops_put_sub(b, COPS_S_EPD, "\x05\x00", 2);
	cops_named_close(b, mark);
}

static void epd_in_remove(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_proposal(b, 1, 1);
	cops_named_close(b, mark);
}

static void unknown_sub(struct buf *b, void *arg)
{
	static const uint8_t sub[] = {0, 4, 9, 1};
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	buf_put(b, sub, sizeof(sub));
	cops_named_close(b, mark);
}

START_TEST(faults_of_data)
{
	static const struct {
		void (*fn)(struct buf *b, void *arg);
		uint16_t gperr, sub;
	} t[] = {
	    {epd_without_prid, PIB_GPERR_MALFORMED_DECISION, 0},
	    {epd_in_remove, PIB_GPERR_MALFORMED_DECISION, 0},
	    {unknown_sub, PIB_GPERR_UNKNOWN_OBJECT, 0x0901},
	};
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		send_dec(&pdp[0], h, false, t[i].fn, NULL);
		s = expect(&pdp[0], COPS_OP_RPT);
		ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
		ck_assert_uint_eq(s->gperr, t[i].gperr);
		ck_assert_uint_eq(s->gperr_sub, t[i].sub);
	}
	send_dec(&pdp[0], h, false, same_order_twice, NULL); /* UNIQUENESS, 29 times */
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_gt(s->cperrs, 0);
	ck_assert_uint_le(s->cperrs, 16);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.enforced, 0);
}
END_TEST

START_TEST(fifty_in_order)
{
	uint32_t h = in_sync(&pdp[0]);

	for (uint32_t i = 1; i <= 50; i++) {
		struct installs in = {.from = i, .to = i};

		if (i % 3 == 0)
			send_dec(&pdp[0], h, false, epd_in_remove, NULL);
		else
			send_dec(&pdp[0], h, false, installs, &in);
	}
	for (uint32_t i = 1; i <= 50; i++) {
		struct seen *s = expect(&pdp[0], COPS_OP_RPT);

		ck_assert(s->solicited);
		ck_assert_uint_eq(s->report, i % 3 == 0 ? COPS_RPT_FAILURE : COPS_RPT_SUCCESS);
	}
	expect_nothing(&pdp[0], 50);
	ck_assert_uint_eq(proposals(), 34);
}
END_TEST

/* ------------------------------------------------------------------ what is no decision */

static void send_raw(struct pdp *p, uint32_t handle, const void *objs, size_t len)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DEC, false, TYPE);
	handle_put(&b, handle);
	buf_put(&b, objs, len);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(conn(p), b.data, b.len), 0);
	buf_clear(&b);
}

START_TEST(malformed_decision)
{
	static const uint8_t no_flags[] = {0, 8, 2, 1, 0, 8, 0, 0};
	static const uint8_t unknown[] = {
	    0, 8, 2, 1, 0, 8, 0, 0, 0, 8, 6, 1, 0, 1, 0, 0, 0, 8, 77, 1, 0, 0, 0, 0};
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	send_raw(&pdp[0], h, no_flags, sizeof(no_flags));
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->reason, COPS_REASON_MALFORMED_DEC);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_gt(s->handle, h);
	ck_assert(s->full);
	h = s->handle;
	send_dec(&pdp[0], h - 1, false, NULL, NULL); /* late, for the old one: no report */
	send_dec(&pdp[0], h, true, NULL, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->handle, h);

	send_raw(&pdp[0], h, unknown, sizeof(unknown));
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->reason, COPS_REASON_UNKNOWN_OBJECT);
	ck_assert_uint_eq(s->reason_sub, 77 << 8 | 1);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

static void error_object(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_u16x2(b, COPS_C_ERROR, 1, COPS_ERR_UNABLE, 0);
}

START_TEST(refused_request)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;
	struct seen *s;

	send_dec(&pdp[0], h, true, error_object, NULL);
	for (unsigned i = 0; i < 3; i++) { /* no report; asked again, later each time */
		s = expect(&pdp[0], COPS_OP_REQ);
		ck_assert_uint_eq(s->handle, h);
		ck_assert(s->full);
		send_dec(&pdp[0], h, true, error_object, NULL);
	}
	s = expect(&pdp[0], COPS_OP_REQ);
	send_dec(&pdp[0], h, true, NULL, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_int_eq(state(), PEP_IN_SYNC);
}
END_TEST

/* An Error that answers nothing, while a request waits: the request still times out. */
START_TEST(refused_unasked)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;

	send_dec(&pdp[0], h, false, error_object, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_DRQ)->reason, COPS_REASON_TIMEOUT);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

START_TEST(request_timeout)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;
	struct seen *s = expect(&pdp[0], COPS_OP_DRQ);

	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->reason, COPS_REASON_TIMEOUT);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

static void install_state(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, COPS_DEC_REQUEST_STATE);
}

static void remove_state(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_decision(b, COPS_CMD_REMOVE, COPS_DEC_REQUEST_STATE);
}

static void state_not_alone(struct buf *b, void *arg)
{
	remove_state(b, arg);
	cops_put_decision(b, COPS_CMD_NULL, 0);
}

START_TEST(request_states)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 5};
	struct seen *s;

	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	send_dec(&pdp[0], h, false, install_state, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->gperr, PIB_GPERR_MAX_STATES);
	send_dec(&pdp[0], h, false, state_not_alone, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->gperr, PIB_GPERR_MALFORMED_DECISION);
	ck_assert_uint_eq(proposals(), 5);
	send_dec(&pdp[0], h, false, remove_state, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(s->handle, h);
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->reason, COPS_REASON_PDP_DIRECTIVE);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

static void send_ssq(struct pdp *p, uint32_t handle)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_SSQ, false, TYPE);
	if (handle != 0)
		handle_put(&b, handle);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(conn(p), b.data, b.len), 0);
	buf_clear(&b);
}

START_TEST(synchronise)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	for (unsigned one = 0; one < 2; one++) {
		send_ssq(&pdp[0], one ? h : 0);
		s = expect(&pdp[0], COPS_OP_REQ);
		ck_assert_uint_eq(s->handle, h);
		ck_assert(s->full);
		s = expect(&pdp[0], COPS_OP_SSC);
		ck_assert_uint_eq(s->handle, one ? h : 0);
		send_dec(&pdp[0], h, true, NULL, NULL);
		expect(&pdp[0], COPS_OP_RPT);
	}
	send_ssq(&pdp[0], 4711);
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->handle, 4711);
	ck_assert_uint_eq(s->reason, COPS_REASON_SYNC_UNKNOWN);
	expect_nothing(&pdp[0], 50);
}
END_TEST

START_TEST(updated_requests)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	cl.keys[cl.key_count++] = 1;
	cl.keys[cl.key_count++] = 2;
	pep_agent_notify(agent, &client);
	pep_agent_notify(agent, &client); /* one request says it all */
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(!s->full);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->site_keys, 2);
	ck_assert_uint_eq(s->supports, 0);
	cl.keys[1] = 3; /* meanwhile: waits for the decision */
	pep_agent_notify(agent, &client);
	expect_nothing(&pdp[0], 50);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_eq(s->site_keys, 1);
	ck_assert_uint_eq(s->removed, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	pep_agent_notify(agent, &client); /* nothing new */
	expect_nothing(&pdp[0], 50);
}
END_TEST

/* ------------------------------------------------------------------ cache, connections */

static void agent_again(void)
{
	pep_agent_free(agent);
	agent_open();
	for (unsigned i = 0; i < 2; i++)
		pdp[i].at = pdp[i].count;
}

/* An interface gets these roles from the PDP, as an update of what it was told. */
static void put_roles(struct buf *b, void *arg)
{
	const struct kern_if *itf = arg;
	const struct pib_frwk_role_combo combo = {
	    .prid = itf->index, .roles = {(const uint8_t *)"wan", 3}};
	const struct pib_frwk_if_role_combo row = {.if_index = (int32_t)itf->index};
	size_t named, sub;

	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	for (int i = 0; i < 2; i++) {
		const struct pib_class *cls = i == 0 ? &pib_frwk_role_combo_class
						     : &pib_frwk_if_role_combo_class;

		sub = cops_sub_open(b, COPS_S_PRID);
		pib_prid_put(b, cls, itf->index);
		cops_sub_close(b, sub);
		sub = cops_sub_open(b, COPS_S_EPD);
		pib_epd_put(b, cls, i == 0 ? (const void *)&combo : (const void *)&row);
		cops_sub_close(b, sub);
	}
	cops_named_close(b, named);
}

/*
 * The first request tells of all interfaces with their roles; after roles from the PDP comes first
 * the Success report, then full state (RFC 3318 2.2).
 */
START_TEST(row81_interfaces_in_the_first_request)
{
	char roles[KERN_IF_NAME + 20];
	char *item = roles;
	struct kern_if *itf;
	struct seen *s;
	size_t count;
	uint32_t h;

	ck_assert_int_eq(kern_if_list(&itf, &count), 0);
	if (count == 0) { /* nothing to tell of */
		free(itf);
		return;
	}
	snprintf(roles, sizeof(roles), "%s lan+red", itf->name);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->interfaces, 0); /* none configured */
	conf.roles = (struct conf_list) {&item, 1};
	agent_again();
	for (unsigned i = 0; i < 300 && pdp[0].seen[pdp[0].at].op != COPS_OP_REQ; i++) {
		pdp[0].at += pdp[0].at < pdp[0].count; /* the end of the one before */
		turn(10);
	}
	s = expect(&pdp[0], COPS_OP_REQ);
	h = s->handle;
	ck_assert(s->full);
	ck_assert_uint_eq(s->interfaces, count);
	ck_assert_uint_eq(s->lan_combos, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	send_dec(&pdp[0], h, false, put_roles, itf);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(s->full);
	ck_assert_uint_eq(s->interfaces, count);
	ck_assert_uint_eq(s->lan_combos, 0);
	ck_assert_uint_eq(s->wan_combos, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	itf->index = 999999; /* no such interface: only a Failure report */
	send_dec(&pdp[0], h, false, put_roles, itf);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_VALUE);
	expect_nothing(&pdp[0], 50);
	conf.roles = (struct conf_list) {NULL, 0};
	free(itf);
}
END_TEST

static void cache_path(char path[100])
{
	snprintf(path, 100, "%s/cache-test", dir);
}

START_TEST(cache_outlives)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 20, .lsn = 9};
	struct seen *s;
	char path[100];
	FILE *f;

	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	in = (struct installs) {.from = 21, .to = 21, .remove = 5, .lsn = 10};
	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);

	cache_path(path); /* a record that was being written when the power went */
	f = fopen(path, "a");
	fwrite("\0\0\1\0garbage", 11, 1, f);
	fclose(f);
	pep_agent_free(agent);
	agent_open();
	ck_assert_uint_eq(cl.rows, 21); /* before any connection */
	ck_assert_uint_eq(proposals(), 20);
	while (pdp[0].at < pdp[0].count)
		pdp[0].at++;
	turn(50);
	while (pdp[0].seen[pdp[0].at].op != COPS_OP_REQ)
		pdp[0].at++;
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(pdp[0].last_pdp);
	ck_assert_uint_eq(s->incarnation_len, 16);
	ck_assert_uint_eq(s->incarnation[15], 10);
	send_dec(&pdp[0], s->handle, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	in = (struct installs) {.from = 30, .to = 30};
	send_dec(&pdp[0], s->handle, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	agent_again(); /* the tail was cut off, what came after it is whole */
	ck_assert_uint_eq(proposals(), 21);
}
END_TEST

/* Decisions about the same rows for ever: the journal does not grow without end. */
START_TEST(cache_is_compacted)
{
	uint32_t h = in_sync(&pdp[0]);
	struct stat st;
	char path[100];
	off_t most = 0;

	cache_path(path);
	for (unsigned i = 0; i < 200; i++) {
		struct installs in = {
		    .from = 1, .to = 100, .lsn = (uint8_t)(i + 1), .shift = i % 2 * 500};

		send_dec(&pdp[0], h, false, installs, &in);
		ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
		pdp[0].at = pdp[0].count = 0;
		ck_assert_int_eq(stat(path, &st), 0);
		most = st.st_size > most ? st.st_size : most;
	}
	ck_assert_int_gt(most, 200000); /* it was written 200 times 6 KB */
	ck_assert_int_lt(most, 300000);
	agent_again();
	ck_assert_uint_eq(proposals(), 100);
}
END_TEST

/* A disk that cannot be written: the report stays true, LastPDPAddr is not sent. */
START_TEST(cache_cannot_be_written)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 2, .lsn = 1};
	struct pep_client_status st;
	char away[100];

	snprintf(away, sizeof(away), "%s.away", dir);
	ck_assert_int_eq(rename(dir, away), 0);
	send_dec(&pdp[0], h, false, installs, &in);
	/* The journal is open, so the first decision still goes to it. */
	expect(&pdp[0], COPS_OP_RPT);
	pep_agent_free(agent);
	ck_assert_int_eq(rename(away, dir), 0);
	agent_open();
	ck_assert_uint_eq(proposals(), 2);
	pdp[0].at = pdp[0].count;
	ck_assert_int_eq(rename(dir, away), 0);
	turn(50);
	while (pdp[0].seen[pdp[0].at].op != COPS_OP_REQ)
		pdp[0].at++;
	h = in_sync(&pdp[0]);
	in = (struct installs) {.from = 3, .to = 3, .lsn = 2};
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 3);
	pep_agent_status(agent, &client, &st);
	ck_assert(!st.cache_complete);
	pep_agent_reconnect(agent);
	expect(&pdp[0], 0);
	expect(&pdp[0], COPS_OP_REQ);
	ck_assert(!pdp[0].last_pdp);
	ck_assert_int_eq(rename(away, dir), 0);
}
END_TEST

START_TEST(next_pdp)
{
	char pdps[100];

	pep_agent_free(agent);
	pep_conf_clear(&conf);
	snprintf(pdps, sizeof(pdps), "\"127.0.0.1:1\", \"127.0.0.1:%u\"", pdp[1].port);
	conf_make(pdps);
	agent_open();
	in_sync(&pdp[1]);
	cops_conn_close(conn(&pdp[1]), COPS_ERR_SHUTDOWN, 0, "test"); /* it comes back */
	expect(&pdp[1], 0);
	ck_assert(expect(&pdp[1], COPS_OP_REQ)->full);
	ck_assert_uint_eq(pdp[1].opens, 2);
}
END_TEST

/* Accepted, asked and thrown out, again and again: each time after a longer pause. */
START_TEST(closed_before_a_decision)
{
	pep_agent_free(agent);
	pdp[0].at = pdp[0].count;
	pdp[0].opens = 0;
	conf.retry_min_ms = 20;
	conf.retry_max_ms = 10000;
	agent_open();
	for (unsigned i = 0; i < 100; i++) {
		turn(10);
		if (pdp[0].at < pdp[0].count && pdp[0].seen[pdp[0].count - 1].op == COPS_OP_REQ)
			cops_conn_close(conn(&pdp[0]), COPS_ERR_UNABLE, 0, "test");
		pdp[0].at = pdp[0].count;
	}
	/* At least 10, 20, 40 ... ms apart; from the start anew each time it would be dozens. */
	ck_assert_uint_ge(pdp[0].opens, 3);
	ck_assert_uint_le(pdp[0].opens, 8);
}
END_TEST

/* Whoever is not known yet is about to be: within 2 s again, whatever the settings say. */
START_TEST(stranger)
{
	pep_agent_free(agent);
	pdp[0].opens = 0;
	conf.retry_min_ms = 60000;
	conf.retry_max_ms = 60000;
	pdp[0].stranger = true;
	agent_open();
	for (unsigned i = 0; i < 5000 && pdp[0].opens < 2; i++)
		turn(1);
	ck_assert_uint_eq(pdp[0].opens, 2);
	pdp[0].stranger = false;
	pdp[0].at = pdp[0].count;
	in_sync(&pdp[0]);
}
END_TEST

static void cc_redirect(struct pdp *p, uint16_t port)
{
	const uint8_t body[8] = {127, 0, 0, 1, 0, 0, (uint8_t)(port >> 8), (uint8_t)port};
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_CC, false, TYPE);
	cops_put_u16x2(&b, COPS_C_ERROR, 1, COPS_ERR_REDIRECT, 0);
	cops_put_obj(&b, COPS_C_PDP_REDIR, 1, body, sizeof(body));
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(conn(p), b.data, b.len), 0);
	buf_clear(&b);
}

/* Sent to where nobody is, more often than is followed in a row: it goes on being followed. */
START_TEST(row10_redirect_to_nobody)
{
	for (unsigned i = 0; i < 6; i++) {
		expect(&pdp[0], COPS_OP_REQ);
		cc_redirect(&pdp[0], 1);
		expect(&pdp[0], 0);
	}
	expect(&pdp[0], COPS_OP_REQ);
	cc_redirect(&pdp[0], pdp[1].port);
	in_sync(&pdp[1]);
}
END_TEST

START_TEST(row10_redirect)
{
	in_sync(&pdp[0]);
	cc_redirect(&pdp[0], pdp[1].port);
	in_sync(&pdp[1]);
	expect(&pdp[0], 0);
}
END_TEST

static void stopped(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(stop_is_polite)
{
	bool done = false;

	in_sync(&pdp[0]);
	pep_agent_stop(agent, stopped, &done);
	for (unsigned i = 0; i < 100 && !done; i++)
		turn(10);
	ck_assert(done);
	expect(&pdp[0], 0);
}
END_TEST

START_TEST(settings)
{
	static const struct {
		const char *text;
		bool ok;
	} t[] = {
	    {"pdp = { \"a.example@192.0.2.1\" }\n", true},
	    {"pdp = { \"a.example@192.0.2.1:3289\", \"b@[2001:db8::1]:1\", \"c@2001:db8::1\" }\n",
		true},
	    {"pdp = { \"192.0.2.1\" }\n", false}, /* TLS needs the name */
	    {"pdp = { \"a@192.0.2.1:\" }\n", false},
	    {"pdp = { \"a@192.0.2.1:0\" }\n", false},
	    {"pdp = { \"a@192.0.2.1:65536\" }\n", false},
	    {"pdp = { \"a@[2001:db8::1\" }\n", false},
	    {"pdp = { \"a@nowhere.example\" }\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nbackend = ipfw\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nlog-level = loud\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nretry-min = 100\nretry-max = 10\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nsecurity = none\n", false}, /* who are we? */
	    {"", false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct pep_conf c;
		struct diag d;

		diag_init(&d);
		ck_assert_msg((pep_conf_parse(&c, t[i].text, &d) == 0) == t[i].ok, "%s", t[i].text);
		ck_assert((d.errors == 0) == t[i].ok);
		diag_clear(&d);
		pep_conf_clear(&c);
	}
}
END_TEST

START_TEST(example_settings)
{
	struct pep_conf c;
	struct diag d;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	pep_conf_print(f);
	fclose(f);
	diag_init(&d);
	ck_assert_int_eq(pep_conf_parse(&c, text, &d), 0);
	ck_assert_uint_eq(c.pdps, 1);
	ck_assert_uint_eq(c.pdp[0].port, 3288);
	ck_assert_str_eq(c.identity, "");
	diag_clear(&d);
	pep_conf_clear(&c);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pep_agent");
	TCase *tc = tcase_create("agent");
	TCase *conf_tc = tcase_create("settings");
	SRunner *sr = srunner_create(s);
	int failed;

	log_init("test_pep_agent", getenv("COPSVPN_VERBOSE") == NULL ? LOG_CRIT : LOG_DEBUG, false);
	tcase_add_test(conf_tc, settings);
	tcase_add_test(conf_tc, example_settings);
	suite_add_tcase(s, conf_tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, request_and_null);
	tcase_add_test(tc, install_replace_remove);
	tcase_add_test(tc, failure_changes_nothing);
	tcase_add_test(tc, faults_of_data);
	tcase_add_test(tc, fifty_in_order);
	tcase_add_test(tc, malformed_decision);
	tcase_add_test(tc, refused_request);
	tcase_add_test(tc, refused_unasked);
	tcase_add_test(tc, request_timeout);
	tcase_add_test(tc, request_states);
	tcase_add_test(tc, synchronise);
	tcase_add_test(tc, updated_requests);
	tcase_add_test(tc, row81_interfaces_in_the_first_request);
	tcase_add_test(tc, cache_outlives);
	tcase_add_test(tc, cache_is_compacted);
	tcase_add_test(tc, cache_cannot_be_written);
	tcase_add_test(tc, next_pdp);
	tcase_add_test(tc, closed_before_a_decision);
	tcase_add_test(tc, stranger);
	tcase_add_test(tc, row10_redirect);
	tcase_add_test(tc, row10_redirect_to_nobody);
	tcase_add_test(tc, stop_is_polite);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
