/* pep_pdp.c - see pep_pdp.h. */
#include "tests/unit/pep_pdp.h"

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
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/unit/capture.h"

struct event_base *base;
char dir[64];

/* ------------------------------------------------------------------ the PDP */

struct pdp pdp[2];

struct pib_schema *schema;

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
	if (cls == &pib_frwk_feedback_traffic_class) {
		struct pib_frwk_feedback_traffic t;

		ck_assert_int_eq(pib_epd_decode(cls, sub->body, sub->len, &t, &surplus, &f), 0);
		s->usages++;
		s->packets = t.packet_count;
	}
	if (cls == &pib_ce_vpn_site_class && sub->len != 0) {
		struct pib_ce_vpn_site site;

		ck_assert_int_eq(pib_epd_decode(cls, sub->body, sub->len, &site, &surplus, &f), 0);
		s->site = true;
		s->owed = site.owed;
	}
	if (cls != &pib_frwk_pib_incarnation_class)
		return;
	ck_assert_int_eq(pib_epd_decode(cls, sub->body, sub->len, &inc, &surplus, &f), 0);
	s->full = inc.full_state == 1;
	s->active = inc.active == 1;
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

struct cops_conn *conn(struct pdp *p)
{
	ck_assert_ptr_nonnull(p->io);
	return cops_io_conn(p->io);
}

void handle_put(struct buf *b, uint32_t handle)
{
	const uint8_t h[4] = {(uint8_t)(handle >> 24), (uint8_t)(handle >> 16),
	    (uint8_t)(handle >> 8), (uint8_t)handle};

	cops_put_handle(b, h, sizeof(h));
}

/* A DEC whose decisions fn writes; NULL: a NULL decision. */
void send_dec(
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

void pdp_open(struct pdp *p)
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

struct test_client cl;

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
	cl.gone = cl.come = cl.other = 0;
	for (size_t i = 0; i < n; i++) {
		const struct pib_row *row = c[i].after != NULL ? c[i].after : c[i].before;

		if (row->cls != &pib_ce_vpn_proposal_class)
			continue;
		cl.gone += c[i].after == NULL;
		cl.come += c[i].before == NULL;
		cl.other += c[i].after != NULL && c[i].before != NULL;
	}
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

static int cl_count(void *self, const struct pib_store *store,
    void (*put)(
	void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now),
    void *arg)
{
	(void)self;
	(void)store;
	for (uint32_t i = 1; i <= 20; i++)
		put(arg, &pib_ce_vpn_proposal_class, i, &cl.counter);
	return 0;
}

static const struct pep_usage_caps usage[] = {{&pib_ce_vpn_proposal_class,
    &pib_frwk_feedback_traffic_class, &pib_frwk_feedback_traffic_thres_class}};

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
		    .transforms = {octets, 8},
		    .sends = {octets, 8},
		    .certificate = {octets, 1},
		    .signature = {octets, 1},
		};

		put(arg, &pib_ce_vpn_site_key_class, row.id, &row);
	}
}

static const struct pib_module *const modules[] = {
    &pib_framework_pib_module, &pib_framework_feedback_pib_module, &pib_ce_vpn_pib_module};

const struct pep_client client = {
    .name = "test",
    .client_type = TYPE,
    .module = modules,
    .module_count = 3,
    .usage = usage,
    .usages = 1,
    .count = cl_count,
    .start = cl_start,
    .stop = cl_stop,
    .enforce = cl_enforce,
    .settled = cl_settled,
    .reconcile = cl_reconcile,
    .notify = cl_notify,
};

/* ------------------------------------------------------------------ both */

struct pep_conf conf;
struct pep_agent *agent;
static const struct pep_client *client_used;
static const char *settings_more;

void conf_make(const char *pdps)
{
	struct diag d;
	char text[2000];

	snprintf(text, sizeof(text),
	    "pdp = { %s }\nsecurity = none\nidentity = ce1.example.net\nstate-dir = %s\nbackend = "
	    "mem\n"
	    "retry-min = 20\nretry-max = 100\nrequest-timeout = 300\n%s",
	    pdps, dir, settings_more);
	diag_init(&d);
	if (pep_conf_parse(&conf, text, &d) != 0) {
		diag_print(&d, stderr);
		ck_abort();
	}
	diag_clear(&d);
}

void agent_open(void)
{
	const struct pep_client *const clients[] = {client_used};
	char err[256];

	agent = pep_agent_new(base, &conf, clients, 1, err, sizeof(err));
	ck_assert_msg(agent != NULL, "%s", err);
	pep_agent_start(agent);
}

void setup_with(const struct pep_client *c, const char *more)
{
	char pdps[100];

	client_used = c;
	settings_more = more;
	snprintf(dir, sizeof(dir), "/tmp/agent.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	memset(&cl, 0, sizeof(cl));
	base = event_base_new();
	schema = pib_schema_new(modules, 3);
	pdp_open(&pdp[0]);
	pdp_open(&pdp[1]);
	snprintf(pdps, sizeof(pdps), "\"127.0.0.1:%u\"", pdp[0].port);
	conf_make(pdps);
	agent_open();
}

void setup(void)
{
	setup_with(&client, "");
}

void teardown(void)
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

void turn(unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* The next message, which must come and be of this kind. */
struct seen *expect(struct pdp *p, uint8_t op)
{
	for (unsigned i = 0; p->at == p->count && i < 300; i++)
		turn(10);
	ck_assert_msg(p->at < p->count, "no %s comes", cops_op_name(op));
	ck_assert_msg(p->seen[p->at].op == op, "%s instead of %s", cops_op_name(p->seen[p->at].op),
	    cops_op_name(op));
	return &p->seen[p->at++];
}

void expect_nothing(struct pdp *p, unsigned ms)
{
	turn(ms);
	ck_assert_msg(p->at == p->count, "%s comes", cops_op_name(p->seen[p->at].op));
}

enum pep_state state(void)
{
	struct pep_client_status s;

	pep_agent_status(agent, &client, &s);
	return s.state;
}

/* Through to a state in which everything is decided; the handle. */
uint32_t in_sync(struct pdp *p)
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

void put_sub_prid(struct buf *b, const struct pib_class *cls, uint32_t instance)
{
	size_t mark = cops_sub_open(b, COPS_S_PRID);

	pib_prid_put(b, cls, instance);
	cops_sub_close(b, mark);
}

void put_proposal(struct buf *b, uint32_t instance, uint32_t order)
{
	const struct pib_ce_vpn_proposal row = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = instance,
	    .tag = 1, .order = order, .encr = 12, .encr_key_bits = 256, .integ = 14,
	    .replay_window = 32};
	size_t mark;

	put_sub_prid(b, &pib_ce_vpn_proposal_class, instance);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, &pib_ce_vpn_proposal_class, &row);
	cops_sub_close(b, mark);
}

static void put_incarnation(struct buf *b, const struct installs *in)
{
	const uint8_t id[16] = {[15] = in->lsn};
	const struct pib_frwk_pib_incarnation row = {.prid = 1,
	    .id = {id, sizeof(id)},
	    .longevity = in->longevity == 0 ? 1 : in->longevity,
	    .ttl = in->ttl,
	    .in_ctxt_set = 1,
	    .active = in->inactive ? 2 : 1,
	    .full_state = 1};
	size_t mark;

	put_sub_prid(b, &pib_frwk_pib_incarnation_class, 1);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, &pib_frwk_pib_incarnation_class, &row);
	cops_sub_close(b, mark);
}

void installs(struct buf *b, void *arg)
{
	const struct installs *in = arg;
	size_t mark;

	/* Installs first on purpose: it is the PEP that takes removes first. */
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	for (uint32_t i = in->from; i <= in->to; i++)
		put_proposal(b, i, i + in->shift);
	if (in->lsn != 0)
		put_incarnation(b, in);
	cops_named_close(b, mark);
	if (in->remove == 0)
		return;
	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_sub_prid(b, &pib_ce_vpn_proposal_class, in->remove);
	cops_named_close(b, mark);
}

size_t proposals(void)
{
	return pib_store_count(pep_agent_store(agent, &client), &pib_ce_vpn_proposal_class);
}

void send_raw(struct pdp *p, uint32_t handle, const void *objs, size_t len)
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

void install_state(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, COPS_DEC_REQUEST_STATE);
}

void remove_state(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_decision(b, COPS_CMD_REMOVE, COPS_DEC_REQUEST_STATE);
}

void state_not_alone(struct buf *b, void *arg)
{
	remove_state(b, arg);
	cops_put_decision(b, COPS_CMD_NULL, 0);
}

void send_ssq(struct pdp *p, uint32_t handle)
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

void agent_again(void)
{
	pep_agent_free(agent);
	agent_open();
	for (unsigned i = 0; i < 2; i++)
		pdp[i].at = pdp[i].count;
}
