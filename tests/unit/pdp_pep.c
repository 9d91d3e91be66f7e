/* pdp_pep.c - see pdp_pep.h. */
#include "tests/unit/pdp_pep.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/diag.h"
#include "common/json.h"
#include "common/log.h"
#include "common/suites.h"
#include "common/tls.h"
#include "copsctl/pki.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pdp/vpn.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "tests/unit/capture.h"

#define VPN_TYPE PIB_CE_VPN_PIB_SUBJECT_CATEGORY

/* ------------------------------------------------------------------- world */

static void issue(struct world *w, const char *name, enum pki_kind kind)
{
	const struct pki_request r = {.name = name, .kind = kind, .days = 2};
	char text[256], dir[80];

	snprintf(dir, sizeof(dir), "%s/pki", w->dir);
	ck_assert_msg(pki_issue(dir, &r, text, sizeof(text)) != PKI_FAILED, "%s", text);
}

static void signer_clear(struct world *w)
{
	EVP_PKEY_free(w->key);
	OPENSSL_free(w->cert);
	w->key = NULL;
	w->cert = NULL;
}

static void signer_set(struct world *w, X509 *x, EVP_PKEY *key)
{
	signer_clear(w);
	w->cert_len = (size_t)i2d_X509(x, &w->cert);
	w->key = key;
	X509_free(x);
}

static void signer_read(struct world *w, const char *cert, const char *key)
{
	FILE *c = fopen(cert, "r"), *k = fopen(key, "r");

	ck_assert(c != NULL && k != NULL);
	signer_set(w, PEM_read_X509(c, NULL, NULL, NULL), PEM_read_PrivateKey(k, NULL, NULL, NULL));
	fclose(c);
	fclose(k);
}

/* One for all, without TLS; Ed25519, so that a key signed twice is the same row. */
static void signer_make(struct world *w)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *x = X509_new();

	ck_assert(X509_set_pubkey(x, key) == 1 && X509_gmtime_adj(X509_getm_notBefore(x), 0) &&
		  X509_gmtime_adj(X509_getm_notAfter(x), 86400) && X509_sign(x, key, NULL) > 0);
	signer_set(w, x, key);
}

void world_identity(struct world *w, const char *name)
{
	char cert[160], key[160], ca[160], err[TLS_ERR_LEN];

	issue(w, name, PKI_CE);
	snprintf(cert, sizeof(cert), "%s/pki/%s.pem", w->dir, name);
	snprintf(key, sizeof(key), "%s/pki/%s.key", w->dir, name);
	snprintf(ca, sizeof(ca), "%s/pki/ca.pem", w->dir);
	SSL_CTX_free(w->tls);
	w->tls = tls_client_ctx_new(cert, key, ca, NULL, err);
	ck_assert_msg(w->tls != NULL, "%s", err);
	signer_read(w, cert, key);
}

static void start(struct world *w)
{
	char err[PDP_ERR_LEN];

	w->pdp = pdp_new(w->base, &w->conf, err);
	ck_assert_msg(w->pdp != NULL, "%s", err);
}

void world_init(struct world *w, bool tls)
{
	char text[2048], dir[80];
	struct diag d;

	*w = (struct world) {0};
	strcpy(w->dir, "/tmp/test_pdp.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(w->dir));
	signal(SIGPIPE, SIG_IGN);
	log_init("test", getenv("TEST_LOG") != NULL ? LOG_DEBUG : LOG_CRIT, false);
	w->base = event_base_new();
	w->pool = cops_io_pool_new(w->base);
	signer_make(w);
	if (tls) {
		snprintf(dir, sizeof(dir), "%s/pki", w->dir);
		ck_assert_int_ne(pki_init(dir, false, text, sizeof(text)), PKI_FAILED);
		issue(w, "pdp.test", PKI_PDP);
	}
	snprintf(text, sizeof(text),
	    "listen = 127.0.0.1\nsecurity = %s\nname = pdp.test\nstate-dir = %s/state\n"
	    "control-socket = %s/sock\ncertificate = %s/pki/pdp.test.pem\n"
	    "key = %s/pki/pdp.test.key\nca = %s/pki/ca.pem\nworkers = 2\nretry = 0\n",
	    tls ? "tls" : "none", w->dir, w->dir, w->dir, w->dir, w->dir);
	diag_init(&d);
	ck_assert_int_eq(pdp_conf_parse(&w->conf, text, &d), 0);
	diag_clear(&d);
	w->conf.port = 0;
	start(w);
	w->conf.port = pdp_port(w->pdp); /* for restarts */
}

void world_restart(struct world *w)
{
	pdp_free(w->pdp);
	start(w);
}

void world_clear(struct world *w)
{
	char cmd[128];

	pdp_free(w->pdp);
	pdp_conf_clear(&w->conf);
	cops_io_pool_free(w->pool);
	event_base_free(w->base);
	SSL_CTX_free(w->tls);
	signer_clear(w);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	ck_assert_int_eq(system(cmd), 0);
}

void settle(struct world *w, int ms)
{
	for (int i = 0; i < ms; i++) {
		event_base_loop(w->base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
}

enum change_result world_apply(struct world *w, const char *xml)
{
	const struct change_text t = {
	    .name = "test.xml", .text = xml, .len = strlen(xml), .who = "test", .comment = ""};
	char err[DB_ERR_LEN] = "";
	enum change_result res;
	struct change c;
	struct diag d;

	diag_init(&d);
	res = change_apply(&w->pdp->env, &t, &d, &c, err);
	if (getenv("TEST_LOG") != NULL)
		diag_print(&d, stderr);
	diag_clear(&d);
	change_clear(&c);
	return res;
}

char *world_mesh(size_t n, const char *extra, bool hub)
{
	struct buf b;
	size_t len;

	buf_init(&b, 0);
	buf_printf(&b, "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "<ce name=\"ce%zu\" address=\"192.0.%zu.%zu\"/>\n", i, 2 + i / 250,
		    1 + i % 250);
	buf_printf(&b,
	    "<transform name=\"t\" encr=\"aes-cbc-256\" integ=\"hmac-sha2-512-256\" %s/>\n"
	    "<vpn name=\"v\" id=\"00005e:00000001\" topology=\"%s\" %s internet=\"bypass\""
	    " transforms=\"t\">\n",
	    extra, hub ? "hub-and-spoke" : "full-mesh", hub ? "relay=\"yes\"" : "");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b,
		    "<member ce=\"ce%zu\" %s><site prefix=\"10.%zu.%zu.0/24\"/></member>\n", i,
		    !hub     ? ""
		    : i == 0 ? "role=\"hub\""
			     : "role=\"spoke\"",
		    i / 250, i % 250);
	buf_printf(&b, "</vpn></customer></intent>");
	buf_put_u8(&b, 0);
	return (char *)buf_take(&b, &len);
}

static void on_progress(void *arg, const json_t *progress)
{
	(void)progress;
	((struct call *)arg)->progress++;
}

static void *call_run(void *arg)
{
	struct call *c = arg;
	char err[CTL_ERR_LEN];

	ctl_client_call(c->path, c->cmd, c->args, on_progress, c, &c->reply, err);
	atomic_store(&c->done, true);
	return NULL;
}

void call_start(struct world *w, struct call *c)
{
	snprintf(c->path, sizeof(c->path), "%s/sock", w->dir);
	ck_assert_int_eq(pthread_create(&c->thread, NULL, call_run, c), 0);
}

json_t *call_end(struct world *w, struct call *c)
{
	until(w, atomic_load(&c->done));
	pthread_join(c->thread, NULL);
	ck_assert_ptr_nonnull(c->reply);
	return c->reply;
}

json_t *world_call(struct world *w, const char *cmd, json_t *args, const char **code)
{
	struct call c = {.cmd = cmd, .args = args};
	static char text[40];
	json_t *answer, *result;

	call_start(w, &c);
	answer = call_end(w, &c);
	result = json_incref(json_object_get(answer, "result"));
	snprintf(text, sizeof(text), "%s",
	    json_get_string(json_object_get(answer, "error"), "code", ""));
	if (code != NULL)
		*code = text;
	json_decref(answer);
	return result;
}

/* --------------------------------------------------------------------- PEP */

/* Of four octets; from PEP_LONG on, of a thousand. */
static void put_handle(struct buf *b, uint8_t at)
{
	const uint8_t handle[1000] = {[3] = at};

	cops_put_handle(b, handle, at < PEP_LONG ? 4 : sizeof(handle));
}

static void send_all(struct pep *p, struct buf *b, size_t mark)
{
	cops_msg_end(b, mark);
	ck_assert_ptr_nonnull(p->io);
	ck_assert_int_eq(cops_conn_send(cops_io_conn(p->io), b->data, b->len), 0);
	buf_clear(b);
}

void pep_delete(struct pep *p, uint8_t at)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DRQ, false, VPN_TYPE);
	put_handle(&b, at);
	cops_put_u16x2(&b, COPS_C_REASON, 1, COPS_REASON_PDP_DIRECTIVE, 0);
	send_all(p, &b, mark);
}

static void report(struct pep *p, uint8_t at, enum cops_report type, bool whole)
{
	struct buf b;
	size_t mark, named, sub;

	if (p->mute)
		return;
	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_RPT, !p->flagless, VPN_TYPE);
	put_handle(&b, at);
	cops_put_u16x2(&b, COPS_C_REPORT_TYPE, 1, (uint16_t)type, 0);
	if (whole) {
		named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);
		cops_put_perr(&b, COPS_S_GPERR, PIB_GPERR_MAX_STATES, 0);
		cops_named_close(&b, named);
	} else if (type == COPS_RPT_FAILURE) {
		named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);
		sub = cops_sub_open(&b, COPS_S_ERROR_PRID);
		pib_prid_put(&b, &pib_ce_vpn_class, 1);
		cops_sub_close(&b, sub);
		cops_put_perr(&b, COPS_S_CPERR, PIB_CPERR_VALUE_SUP, PIB_CE_VPN_COL_LOCAL_ADDR);
		cops_named_close(&b, named);
	}
	send_all(p, &b, mark);
}

/* The other request-state is in force from now on. */
static void swap(struct pep *p)
{
	struct pib_store *rows = p->rows;
	uint8_t at = p->at;

	p->rows = p->other.rows;
	p->at = p->other.at;
	p->other.rows = rows;
	p->other.at = at;
	pep_request_other(p, at);
}

static void finish(struct pep *p)
{
	if (p->refuse) {
		p->refusals++;
		pib_txn_abort(p->txn);
		report(p, p->txn_at, COPS_RPT_FAILURE, false);
	} else {
		pib_txn_commit(p->txn);
		report(p, p->txn_at, COPS_RPT_SUCCESS, false);
		if (p->txn_at != p->at && p->txn_rows > 0)
			swap(p);
	}
	p->txn = NULL;
}

void pep_release(struct pep *p)
{
	p->hold = false;
	ck_assert_ptr_nonnull(p->txn);
	finish(p);
}

static void take_decision(struct pep *p, const struct cops_decision *d)
{
	struct cops_sub_iter it;
	struct cops_sub s, prid = {0};

	if (d->data.c_num == 0)
		return;
	cops_sub_iter_init(&it, &d->data);
	while (cops_sub_iter_next(&it, &s) == COPS_SUB_OK) {
		if (d->command == COPS_CMD_REMOVE) {
			p->fulls += s.s_num == COPS_S_PPRID;
			pib_txn_remove(p->txn, s.body, s.len);
		} else if (s.s_num == COPS_S_PRID) {
			const struct pib_class *cls;
			struct pib_fault f;
			uint32_t n;

			prid = s;
			ck_assert_int_eq(pib_prid_parse(p->schema, s.body, s.len, &cls, &n, &f), 0);
			p->frwk_errors += cls == &pib_frwk_error_class;
		} else {
			ck_assert_int_eq(
			    pib_txn_install(p->txn, prid.body, prid.len, s.body, s.len), 0);
		}
	}
}

static void open_other(struct pep *p, uint8_t at)
{
	if (p->lone || p->other.at != 0) {
		report(p, at, COPS_RPT_FAILURE, true);
		return;
	}
	p->opened++;
	p->other.at = p->at + 1;
	p->other.rows = pib_store_new(p->schema, PIB_INSTALL, 100000);
	report(p, at, COPS_RPT_SUCCESS, false);
	if (!p->lazy)
		pep_request_other(p, p->other.at);
}

static void remove_other(struct pep *p, uint8_t at)
{
	p->gap += at == p->at;
	ck_assert_uint_eq(at, p->other.at);
	p->removed++;
	report(p, at, COPS_RPT_SUCCESS, false);
	pep_delete(p, at);
	pib_store_free(p->other.rows);
	p->other.rows = NULL;
	p->other.at = 0;
}

/* Request-State is the whole of a decision (RFC 3084 3.2).  False: this is another one. */
static bool request_state(struct pep *p, uint8_t at, const struct cops_msg *m)
{
	struct cops_dec_iter it;
	struct cops_decision d;

	cops_dec_iter_init(&it, m);
	if (!cops_dec_iter_next(&it, &d) || !(d.flags & COPS_DEC_REQUEST_STATE))
		return false;
	ck_assert(d.data.c_num == 0 && !m->solicited);
	if (d.command == COPS_CMD_INSTALL)
		open_other(p, at);
	else
		remove_other(p, at);
	ck_assert(!cops_dec_iter_next(&it, &d));
	return true;
}

static void on_dec(struct pep *p, const struct cops_msg *m)
{
	uint8_t at = m->slot[COPS_SLOT_HANDLE].body[3];
	const struct pib_fault *f;
	struct cops_dec_iter it;
	struct cops_decision d;
	char text[256];

	p->solicited += m->solicited;
	p->asked -= m->solicited;
	if (cops_msg_has(m, COPS_SLOT_ERROR)) {
		p->errors++;
		return;
	}
	if (request_state(p, at, m))
		return;
	ck_assert_ptr_null(p->txn); /* one DEC outstanding */
	p->txn_at = at;
	p->txn_rows = 0;
	p->txn = pib_txn_begin(
	    at == p->other.at && p->other.rows != NULL ? p->other.rows : p->rows);
	cops_dec_iter_init(&it, m);
	while (cops_dec_iter_next(&it, &d)) {
		p->txn_rows += d.data.c_num != 0;
		take_decision(p, &d);
	}
	if (p->txn_rows > 0)
		p->decs++;
	else
		p->nulls++;
	if (pib_txn_check(p->txn) != 0) {
		p->faults++;
		pib_txn_faults(p->txn, &f);
		fprintf(stderr, "%s: %s\n", p->name, pib_fault_print(f, text, sizeof(text)));
	}
	if (!p->hold)
		finish(p);
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pep *p = arg;

	ck_assert_ptr_null(fault);
	if (m->op == COPS_OP_DEC)
		on_dec(p, m);
	if (m->op == COPS_OP_SSQ) {
		static const uint8_t ssc[] = {
		    0x10, COPS_OP_SSC, VPN_TYPE >> 8, VPN_TYPE & 0xff, 0, 0, 0, 8};

		p->ssqs++;
		pep_request(p, true, NULL, 0);
		ck_assert_int_eq(cops_conn_send(cops_io_conn(p->io), ssc, sizeof(ssc)), 0);
	}
}

static void on_accept(void *arg, uint16_t type)
{
	struct pep *p = arg;

	(void)type;
	p->up = true;
	if (!p->silent)
		pep_request(p, true, NULL, 0);
}

static void on_client_close(
    void *arg, uint16_t type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct pep *p = arg;

	(void)type, (void)sub;
	if (redir->c_num != 0) {
		ck_assert_uint_eq(redir->len, 8);
		ck_assert_mem_eq(redir->body, "\x7f\0\0\1\0", 6);
		p->redirected = (uint16_t)(redir->body[6] << 8 | redir->body[7]);
	}
	p->cc_error = error;
	p->up = false;
}

static const struct cops_conn_ops conn_ops = {
    .on_accept = on_accept, .on_client_close = on_client_close, .on_msg = on_msg};

static void open_type(struct pep *p)
{
	ck_assert_int_eq(cops_conn_open(cops_io_conn(p->io), VPN_TYPE, NULL), 0);
}

static void on_connect(void *arg)
{
	struct pep *p = arg;

	if (p->w->tls == NULL)
		open_type(p);
}

static bool on_secure(void *arg, SSL *ssl)
{
	(void)ssl;
	open_type(arg);
	return true;
}

static void on_end(void *arg, const char *why)
{
	struct pep *p = arg;

	(void)why;
	p->ended = true;
	p->up = false;
	cops_io_free(p->io);
	p->io = NULL;
	if (p->txn != NULL)
		pib_txn_abort(p->txn);
	p->txn = NULL;
}

static const struct cops_io_ops io_ops = {
    .on_connect = on_connect, .on_secure = on_secure, .on_end = on_end};

void pep_init(struct pep *p, struct world *w, const char *name)
{
	*p = (struct pep) {.w = w, .at = 1};
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->schema = pib_schema_new(pdp_client_vpn.module, pdp_client_vpn.modules);
	p->rows = pib_store_new(p->schema, PIB_INSTALL, 100000);
}

void pep_forget(struct pep *p)
{
	pib_store_free(p->rows);
	p->rows = pib_store_new(p->schema, PIB_INSTALL, 100000);
}

void pep_connect(struct pep *p)
{
	static struct cops_conn_conf conf[64]; /* outlives the connections of a test */
	static unsigned next;
	struct cops_conn_conf *c = &conf[next++ % 64];
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(pdp_port(p->w->pdp))};

	*c = (struct cops_conn_conf) {.role = COPS_PEP,
	    .pepid = p->name,
	    .security = p->w->tls != NULL ? COPS_SECURITY_TLS : COPS_SECURITY_NONE,
	    .max_msg = 16 << 20,
	    .max_unsent = 16 << 20,
	    .open_timeout_ms = 10000};
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->ended = false;
	p->cc_error = 0;
	p->redirected = 0;
	p->asked = 0;
	p->io = cops_io_connect(p->w->pool, (struct sockaddr *)&sa, sizeof(sa), p->w->tls,
	    p->w->tls != NULL ? "pdp.test" : NULL, c, &conn_ops, &io_ops, p);
	ck_assert_ptr_nonnull(p->io);
	cops_conn_trace(cops_io_conn(p->io), capture_trace, p);
}

void pep_drop(struct pep *p)
{
	cops_io_free(p->io);
	p->io = NULL;
	p->up = false;
	if (p->txn != NULL)
		pib_txn_abort(p->txn);
	p->txn = NULL;
}

void pep_clear(struct pep *p)
{
	if (p->io != NULL)
		pep_drop(p);
	pib_store_free(p->rows);
	if (p->other.rows != NULL)
		pib_store_free(p->other.rows);
	pib_schema_free(p->schema);
}

void peps_init(struct pep *p, size_t n, struct world *w)
{
	char name[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "ce%zu", i);
		pep_init(&p[i], w, name);
	}
}

void peps_clear(struct pep *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(p[i].faults, 0);
		ck_assert_uint_eq(p[i].gap, 0);
		pep_clear(&p[i]);
	}
}

struct sync_info pep_info(const struct pep *p)
{
	struct sync_info s = {0};

	ck_assert_msg(sync_info(p->w->pdp->sync, p->name, &s), "%s is not known", p->name);
	return s;
}

bool pep_in_sync(const struct pep *p)
{
	struct sync_info s = pep_info(p);

	return s.state == SYNC_IDLE && s.known && !s.failed && s.applied >= s.wanted;
}

static void put_row(struct buf *b, const struct pib_class *cls, uint32_t instance, const void *row)
{
	size_t sub = cops_sub_open(b, COPS_S_PRID);

	pib_prid_put(b, cls, instance);
	cops_sub_close(b, sub);
	sub = cops_sub_open(b, COPS_S_EPD);
	if (row != NULL)
		pib_epd_put(b, cls, row);
	cops_sub_close(b, sub);
}

static void put_incarnation(struct pep *p, uint8_t at, struct buf *b, bool full)
{
	const struct pib_store *rows = at == p->at	   ? p->rows
				       : at == p->other.at ? p->other.rows
							   : NULL;
	const struct pib_row *have = rows != NULL
					 ? pib_store_find(rows, &pib_frwk_pib_incarnation_class, 1)
					 : NULL;
	struct pib_frwk_pib_incarnation row = {
	    .prid = 1, .longevity = 1, .in_ctxt_set = 1, .active = 1};

	if (have != NULL)
		row = *(const struct pib_frwk_pib_incarnation *)have->data;
	row.full_state = full ? 1 : 2;
	row.active = at == p->at ? 1 : 2;
	put_row(b, &pib_frwk_pib_incarnation_class, 1, &row);
}

static void key_sign(struct world *w, struct pep_key *k, const struct pib_ce_vpn_site_key *row)
{
	const struct id_entry *id = ids_find(w->pdp->db.ids, ID_MEMBER, k->member);
	const struct model_vpn *vpn = id != NULL ? registry_vpn_number(w->pdp->db.registry, id->vpn)
						 : NULL;
	const struct sitekey sk = {.member = row->member,
	    .epoch = row->epoch,
	    .public_key = row->public_key.p,
	    .nonce = row->nonce.p,
	    .transforms = row->transforms.p,
	    .transforms_len = row->transforms.len,
	    .sends = row->sends.p,
	    .sends_len = row->sends.len};
	uint8_t text[SITEKEY_TEXT_MAX];
	size_t len = sitekey_text(text, vpn != NULL ? vpn->vpn_id : (const uint8_t[7]) {0}, &sk);

	text[0] ^= k->forged;
	ck_assert_int_eq(sitekey_sign(w->key, text, len, k->sig, &k->sig_len), 0);
}

static void put_key(struct world *w, struct buf *b, struct pep_key *k)
{
	const uint8_t suite[SUITE_LEN] = {
	    0, SUITE_ESP, 0, 12, 1, 0, 0, (uint8_t)(k->integ != 0 ? k->integ : 14)};
	uint8_t fill[32];
	struct pib_ce_vpn_site_key row = {
	    .id = k->member << 4 | (k->epoch & 15),
	    .member = k->member,
	    .epoch = k->epoch,
	    .public_key = {fill, 32},
	    .nonce = {fill, 32},
	    .transforms = {suite, sizeof(suite)},
	    .sends = {suite, sizeof(suite)},
	    .certificate = {k->cert != NULL ? k->cert : w->cert,
		(uint32_t)(k->cert != NULL ? k->cert_len : w->cert_len)},
	};

	if (k->removed) {
		put_row(b, &pib_ce_vpn_site_key_class, row.id, NULL);
		return;
	}
	memset(fill, k->fill, sizeof(fill));
	if (k->sig_len == 0)
		key_sign(w, k, &row);
	row.signature = (struct pib_octets) {k->sig, (uint32_t)k->sig_len};
	put_row(b, &pib_ce_vpn_site_key_class, row.id, &row);
}

static size_t req_begin(struct buf *b, uint8_t at)
{
	size_t mark;

	buf_init(b, 0);
	mark = cops_msg_begin(b, COPS_OP_REQ, false, VPN_TYPE);
	put_handle(b, at);
	cops_put_config_context(b);
	return mark;
}

static void req_send(struct pep *p, struct buf *b, size_t mark)
{
	send_all(p, b, mark);
	p->asked++;
}

void pep_request_other(struct pep *p, uint8_t at)
{
	struct buf b;
	size_t mark = req_begin(&b, at), named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);

	put_incarnation(p, at, &b, true);
	cops_named_close(&b, named);
	req_send(p, &b, mark);
}

static void put_caps(struct buf *b)
{
	const struct pib_class *sel = &pib_ce_vpn_class, *usage = &pib_ce_vpn_peer_status_class;
	const struct pib_frwk_feedback_link_caps row = {.id = 1,
	    .selection = {sel->ber, sel->ber_len},
	    .usage = {usage->ber, usage->ber_len},
	    .threshold = {(const uint8_t *)"", 1}};

	put_row(b, &pib_frwk_feedback_link_caps_class, 1, &row);
}

void pep_usage(struct pep *p, const struct pib_ce_vpn_peer_status *row, size_t rows)
{
	size_t mark, named;
	struct buf b;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_RPT, false, VPN_TYPE);
	put_handle(&b, p->at);
	cops_put_u16x2(&b, COPS_C_REPORT_TYPE, 1, COPS_RPT_ACCOUNTING, 0);
	named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);
	for (size_t i = 0; i < rows; i++)
		put_row(&b, &pib_ce_vpn_peer_status_class, row[i].id, &row[i]);
	cops_named_close(&b, named);
	send_all(p, &b, mark);
}

/* As written: host bits stay. */
static void put_net(struct buf *b, const struct pep_net *n)
{
	struct pib_ce_vpn_site_prefix row = {.id = n->id, .vpn = n->vpn};
	char text[64], *slash;
	struct addr a;

	if (n->prefix == NULL) {
		put_row(b, &pib_ce_vpn_site_prefix_class, n->id, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%s", n->prefix + (n->prefix[0] == '!'));
	slash = strchr(text, '/');
	ck_assert_ptr_nonnull(slash);
	*slash = '\0';
	ck_assert_int_eq(addr_parse(&a, text), 0);
	row.addr_type = addr_inet_type(&a) ^ (n->prefix[0] == '!' ? 3 : 0); /* the other one */
	row.addr = (struct pib_octets) {a.octets, (uint32_t)addr_len(&a)};
	row.prefix_length = (uint32_t)atoi(slash + 1);
	put_row(b, &pib_ce_vpn_site_prefix_class, n->id, &row);
}

static void put_site(struct pep *p, struct buf *b)
{
	const struct pib_ce_vpn_site row = {.id = 1,
	    .software = {(const uint8_t *)"test", 4},
	    .esn = PIB_CE_VPN_SITE_ESN_FALSE,
	    .udp_encap = PIB_CE_VPN_SITE_UDP_ENCAP_FALSE,
	    .ike = PIB_CE_VPN_SITE_IKE_FALSE,
	    .separate = PIB_CE_VPN_SITE_SEPARATE_FALSE,
	    .dscp_clear = PIB_CE_VPN_SITE_DSCP_CLEAR_FALSE,
	    .owed = p->owed};
	const char *why = p->why != NULL ? p->why : "moved";
	const struct pib_ce_vpn_site_leave leave = {.id = p->leave,
	    .vpn = p->leave,
	    .reason = {(const uint8_t *)why, (uint32_t)strlen(why)}};

	if (p->site)
		put_row(b, &pib_ce_vpn_site_class, 1, &row);
	if (p->leave != 0)
		put_row(b, &pib_ce_vpn_site_leave_class, p->leave, &leave);
	if (p->leave != 0 && p->twice)
		put_row(b, &pib_ce_vpn_site_leave_class, p->leave + 1, &leave);
	if (p->left != 0)
		put_row(b, &pib_ce_vpn_site_leave_class, p->left, NULL);
	p->left = 0;
}

void pep_learned(struct pep *p, bool full, struct pep_key *key, size_t keys,
    const struct pep_net *net, size_t nets)
{
	struct buf b;
	size_t mark = req_begin(&b, p->at), named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);

	put_incarnation(p, p->at, &b, full);
	if (p->reports && full)
		put_caps(&b);
	put_site(p, &b);
	for (size_t i = 0; i < keys; i++)
		put_key(p->w, &b, &key[i]);
	for (size_t i = 0; i < nets; i++) {
		if (b.len - named > 60000) { /* an object has 16 bits of length */
			cops_named_close(&b, named);
			named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);
		}
		put_net(&b, &net[i]);
	}
	cops_named_close(&b, named);
	req_send(p, &b, mark);
}

void pep_request(struct pep *p, bool full, struct pep_key *key, size_t keys)
{
	pep_learned(p, full, key, keys, NULL, 0);
}

void pep_withdraw(struct pep *p, uint32_t member, uint32_t epoch)
{
	struct buf b;
	size_t mark = req_begin(&b, p->at), named = cops_named_open(&b, COPS_C_CLIENT_SI, 2);

	put_row(&b, &pib_ce_vpn_site_key_class, member << 4 | (epoch & 15), NULL);
	cops_named_close(&b, named);
	req_send(p, &b, mark);
}

size_t pep_rows(struct pep *p, const char *cls)
{
	return pib_store_count(p->rows, pib_schema_find_name(p->schema, cls));
}

/* ---------------------------------------------------------------- matching */

struct matching {
	struct pep *p;
	size_t rows;
	bool same;
};

static int match_one(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct matching *m = arg;
	const struct pib_row *have = pib_store_find(m->p->rows, cls, instance);
	struct buf epd;

	m->rows++;
	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	/* ceVpn.EpochFloor moves without the row being sent again */
	if (have == NULL ||
	    (cls != &pib_ce_vpn_class &&
		(have->epd_len != epd.len || memcmp(have->epd, epd.data, epd.len) != 0))) {
		fprintf(stderr, "%s: %s.%u %s\n", m->p->name, cls->name, instance,
		    have == NULL ? "is missing" : "differs");
		m->same = false;
	}
	buf_clear(&epd);
	return 0;
}

bool pep_matches(struct pep *p)
{
	struct matching m = {.p = p, .same = true};
	struct delta_list l;
	size_t extra;

	delta_list_init(&l);
	ck_assert_int_eq(pdp_client_vpn.full(p->w->pdp->vpn, p->name, &l), 0);
	ck_assert_int_eq(decision_each(l.chunk, l.count, p->schema, match_one, &m), 0);
	delta_list_clear(&l);
	extra = pib_store_count(p->rows, NULL) -
		pib_store_count(p->rows, &pib_frwk_pib_incarnation_class);
	if (extra != m.rows)
		fprintf(stderr, "%s: %zu rows instead of %zu\n", p->name, extra, m.rows);
	return m.same && extra == m.rows;
}
