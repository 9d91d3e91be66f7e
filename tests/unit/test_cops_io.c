/*
 * test_cops_io.c - the transport over real sockets on loopback, with real mutual TLS
 * and certificates made on the spot: opening, refusing at each point, pushing more
 * than the socket takes, every way to end, and freeing from inside every callback.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "libcops/cops_io.h"

#define TYPE	  0x4001
#define NO_CHUNKS NULL, 0

/* Where an end frees its connection, if it does. */
enum point {
	NOWHERE,
	AT_CONNECT,
	AT_CERT,
	AT_SECURE,
	AT_OPEN,
	AT_ACCEPT,
	AT_MSG,
	AT_CLIENT_CLOSE,
	AT_END,
	POINTS
};

struct end {
	struct cops_conn_conf conf;
	struct cops_io *io;
	SSL_CTX *tls;
	enum point free_at;
	bool refuse_cert;
	bool refuse_secure;
	unsigned connected, secured, accepted, closed, ended;
	unsigned msgs;
	size_t octets; /* of messages */
	uint8_t op;    /* of the last one */
	uint16_t error;
	const char *why;
};

static struct event_base *base;
static struct cops_io_pool *pool;
static struct end pep, pdp;
static int listener;
static struct sockaddr_in addr;
static struct event *accept_ev;

static EVP_PKEY *ca_key;
static X509 *ca;

/* --- certificates -------------------------------------------------------------- */

static X509 *make_cert(EVP_PKEY *key, const char *cn, long serial)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0);
	X509_set_pubkey(x, key);
	if (ca == NULL) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(
		    NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_set_issuer_name(x, ca != NULL ? X509_get_subject_name(ca) : name);
	ck_assert_int_gt(X509_sign(x, ca != NULL ? ca_key : key, EVP_sha256()), 0);
	return x;
}

static SSL_CTX *make_ctx(const SSL_METHOD *method, const char *cn, long serial)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = make_cert(key, cn, serial);

	SSL_CTX_use_certificate(ctx, x);
	SSL_CTX_use_PrivateKey(ctx, key);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return ctx;
}

/* --- both ends' callbacks ---------------------------------------------------------- */

static void maybe_free(struct end *e, enum point at)
{
	if (e->free_at == at && e->io != NULL) {
		cops_io_free(e->io);
		e->io = NULL;
	}
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	struct end *e = arg;

	(void)sub;
	ck_assert_str_eq(pepid, "ce1.example.net");
	ck_assert_int_eq(opn->client_type, TYPE);
	maybe_free(e, AT_OPEN);
	return 0;
}

static void on_accept(void *arg, uint16_t client_type)
{
	struct end *e = arg;

	if (client_type == 0) { /* security is settled, and not TLS */
		ck_assert_int_eq(cops_conn_open(cops_io_conn(e->io), TYPE, NULL), 0);
		return;
	}
	ck_assert_int_eq(client_type, TYPE);
	e->accepted++;
	maybe_free(e, AT_ACCEPT);
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct end *e = arg;

	(void)client_type;
	(void)sub;
	(void)redir;
	e->closed++;
	e->error = error;
	maybe_free(e, AT_CLIENT_CLOSE);
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct end *e = arg;

	ck_assert_ptr_null(fault);
	e->msgs++;
	e->octets += m->len;
	e->op = m->op;
	maybe_free(e, AT_MSG);
}

static const struct cops_conn_ops conn_ops = {
    .on_open = on_open,
    .on_accept = on_accept,
    .on_client_close = on_client_close,
    .on_msg = on_msg,
};

static bool on_secure(void *arg, SSL *ssl)
{
	struct end *e = arg;
	X509 *x = SSL_get1_peer_certificate(ssl);

	ck_assert_ptr_nonnull(x);
	X509_free(x);
	e->secured++;
	if (e->refuse_secure)
		return false;
	if (e->conf.role == COPS_PEP)
		ck_assert_int_eq(cops_conn_open(cops_io_conn(e->io), TYPE, NULL), 0);
	maybe_free(e, AT_SECURE);
	return true;
}

static bool on_cert(void *arg, X509 *cert)
{
	struct end *e = arg;
	char cn[64] = "";

	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn, sizeof(cn));
	ck_assert_str_eq(cn, e->conf.role == COPS_PEP ? "pdp" : "pep");
	maybe_free(e, AT_CERT);
	return !e->refuse_cert;
}

static void on_connect(void *arg)
{
	struct end *e = arg;

	e->connected++;
	if (e->conf.security == COPS_SECURITY_NONE)
		ck_assert_int_eq(cops_conn_open(cops_io_conn(e->io), TYPE, NULL), 0);
	maybe_free(e, AT_CONNECT);
}

static void on_end(void *arg, const char *why)
{
	struct end *e = arg;

	e->ended++;
	e->why = why;
	maybe_free(e, AT_END);
}

static const struct cops_io_ops io_ops = {
    .on_secure = on_secure,
    .on_connect = on_connect,
    .on_end = on_end,
    .on_cert = on_cert,
};

/* --- the world -------------------------------------------------------------------- */

static void on_accept_ready(evutil_socket_t fd, short what, void *arg)
{
	int s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	(void)arg;
	ck_assert_int_ge(s, 0);
	ck_assert_ptr_null(pdp.io);
	pdp.io = cops_io_accept(pool, s, pdp.tls, &pdp.conf, &conn_ops, &io_ops, &pdp);
	ck_assert_ptr_nonnull(pdp.io);
}

static void setup(void)
{
	socklen_t len = sizeof(addr);

	signal(SIGPIPE, SIG_IGN);
	ca_key = EVP_EC_gen("P-256");
	ca = make_cert(ca_key, "test ca", 1);
	memset(&pep, 0, sizeof(pep));
	memset(&pdp, 0, sizeof(pdp));
	pep.tls = make_ctx(TLS_client_method(), "pep", 2);
	pdp.tls = make_ctx(TLS_server_method(), "pdp", 3);
	pep.conf = (struct cops_conn_conf) {.role = COPS_PEP,
	    .pepid = "ce1.example.net",
	    .security = COPS_SECURITY_TLS,
	    .max_msg = 1 << 20,
	    .max_unsent = 64 << 20,
	    .open_timeout_ms = 5000};
	pdp.conf = pep.conf;
	pdp.conf.role = COPS_PDP;
	pdp.conf.ka_s = 60;
	base = event_base_new();
	pool = cops_io_pool_new(base);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	addr = (struct sockaddr_in) {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 16), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	accept_ev = event_new(base, listener, EV_READ | EV_PERSIST, on_accept_ready, NULL);
	event_add(accept_ev, NULL);
}

static void teardown(void)
{
	cops_io_free(pep.io);
	cops_io_free(pdp.io);
	cops_io_pool_free(pool);
	event_free(accept_ev);
	event_base_free(base);
	close(listener);
	SSL_CTX_free(pep.tls);
	SSL_CTX_free(pdp.tls);
	X509_free(ca);
	ca = NULL;
	EVP_PKEY_free(ca_key);
}

static void start_pep(void)
{
	pep.io = cops_io_connect(pool, (struct sockaddr *)&addr, sizeof(addr), pep.tls, "localhost",
	    &pep.conf, &conn_ops, &io_ops, &pep);
	ck_assert_ptr_nonnull(pep.io);
}

/* Turn the loop until the condition holds; ten seconds at most. */
#define TURN_UNTIL(cond)                                                                           \
	do {                                                                                       \
		time_t start = time(NULL);                                                         \
		while (!(cond)) {                                                                  \
			ck_assert_msg(time(NULL) - start < 10, "never: %s (pep: %s, pdp: %s)",     \
			    #cond, pep.why, pdp.why);                                              \
			event_base_loopexit(base, &(struct timeval) {0, 20000});                   \
			event_base_loop(base, EVLOOP_ONCE);                                        \
		}                                                                                  \
	} while (0)

static void turn_for(int ms)
{
	struct timeval tv = {0, ms * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static void connect_both(void)
{
	start_pep();
	TURN_UNTIL(pep.accepted == 1);
	ck_assert_uint_eq(pdp.accepted, 1);
}

static void send_req(struct end *e)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_REQ, false, TYPE);
	cops_put_handle(&b, (const uint8_t *)"h", 1);
	cops_put_config_context(&b);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(cops_io_conn(e->io), b.data, b.len), 0);
	buf_clear(&b);
}

static void send_dec(struct end *e, struct cops_chunk *const *chunk, size_t n)
{
	ck_assert_int_eq(
	    cops_conn_send_dec(cops_io_conn(e->io), TYPE, true, (const uint8_t *)"h", 1, chunk, n),
	    0);
}

/* --- tests ----------------------------------------------------------------------- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void use_version(int i)
{
	SSL_CTX_set_min_proto_version(pep.tls, versions[i]);
	SSL_CTX_set_max_proto_version(pep.tls, versions[i]);
}

START_TEST(row35_session)
{
	struct sockaddr_storage a, b;

	use_version(_i);
	connect_both();
	ck_assert(cops_conn_secure(cops_io_conn(pep.io)));
	ck_assert(cops_conn_secure(cops_io_conn(pdp.io)));
	ck_assert_uint_eq(pep.connected, 1);
	ck_assert_uint_eq(pep.secured + pdp.secured, 2);
	ck_assert(cops_io_peer(pep.io, &a) && cops_io_local(pdp.io, &b));
	ck_assert_mem_eq(&a, &b, sizeof(struct sockaddr_in));
	send_req(&pep);
	TURN_UNTIL(pdp.msgs == 1);
	ck_assert_uint_eq(pdp.op, COPS_OP_REQ);
	send_dec(&pdp, NO_CHUNKS);
	TURN_UNTIL(pep.msgs == 1);
	ck_assert_uint_eq(pep.op, COPS_OP_DEC);
	/* CC, closure alert, end on both sides */
	cops_conn_close(cops_io_conn(pdp.io), COPS_ERR_SHUTDOWN, 0, "shutting down");
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_uint_eq(pep.error, COPS_ERR_SHUTDOWN);
	ck_assert_str_eq(pep.why, "peer closed the connection");
	ck_assert_str_eq(pdp.why, "shutting down");
	ck_assert(!cops_io_peer(pep.io, &a));
	turn_for(30);
	ck_assert_uint_eq(pep.ended + pdp.ended, 2);
}
END_TEST

/* TLS that the PDP starts, over a real handshake; and a PDP that does not ask for it. */
START_TEST(row36_tls_if_asked)
{
	pep.conf.security = COPS_SECURITY_ANY;
	if (_i == 1)
		pdp.conf.security = COPS_SECURITY_NONE;
	connect_both();
	ck_assert_int_eq(cops_conn_secure(cops_io_conn(pep.io)), _i == 0);
	ck_assert_uint_eq(pep.secured, _i == 0);
	send_req(&pep);
	TURN_UNTIL(pdp.msgs == 1);
}
END_TEST

START_TEST(session_plain)
{
	pep.conf.security = pdp.conf.security = COPS_SECURITY_NONE;
	SSL_CTX_free(pdp.tls);
	pdp.tls = NULL;
	connect_both();
	ck_assert(!cops_conn_secure(cops_io_conn(pep.io)));
	send_req(&pep);
	TURN_UNTIL(pdp.msgs == 1);
	cops_io_shutdown(pep.io);
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_str_eq(pep.why, "shut down");
	ck_assert_str_eq(pdp.why, "peer closed the connection");
}
END_TEST

START_TEST(row38_wants_tls_gets_none)
{
	pdp.conf.security = COPS_SECURITY_NONE;
	start_pep();
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_uint_eq(pep.error, COPS_ERR_UNKNOWN_OBJECT);
	ck_assert_uint_eq(pep.secured, 0);
}
END_TEST

START_TEST(row37_offers_cleartext)
{
	pep.conf.security = COPS_SECURITY_NONE;
	start_pep();
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_uint_eq(pep.accepted, 0);
	ck_assert_uint_eq(pep.error, COPS_ERR_AUTH_REQUIRED);
}
END_TEST

/* RFC 4261 7.2: the refused one is told with the alert bad_certificate. */
START_TEST(row43_certificate_refused)
{
	struct end *by = _i & 2 ? &pep : &pdp;
	struct end *of = _i & 2 ? &pdp : &pep;

	use_version(_i & 1);
	by->refuse_cert = true;
	start_pep();
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_str_eq(by->why, "peer certificate refused");
	ck_assert_ptr_nonnull(strstr(of->why, "alert bad certificate"));
	ck_assert_uint_eq(by->secured, 0);
	ck_assert_uint_eq(pep.accepted + pdp.accepted, 0);
}
END_TEST

START_TEST(refused_after_handshake)
{
	struct end *by = _i & 2 ? &pep : &pdp;
	struct end *of = _i & 2 ? &pdp : &pep;

	use_version(_i & 1);
	by->refuse_secure = true;
	start_pep();
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_str_eq(by->why, "peer certificate refused");
	ck_assert_uint_eq(of->error, COPS_ERR_AUTH_FAILURE);
	ck_assert_uint_eq(pep.accepted + pdp.accepted, 0);
}
END_TEST

START_TEST(row44_certificate_unknown)
{
	X509 *good = ca;

	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x;

	ca = NULL; /* the PEP's is signed by itself */
	x = make_cert(key, "pep", 9);
	ca = good;
	SSL_CTX_free(pep.tls);
	pep.tls = SSL_CTX_new(TLS_client_method());
	SSL_CTX_use_certificate(pep.tls, x);
	SSL_CTX_use_PrivateKey(pep.tls, key);
	X509_free(x);
	EVP_PKEY_free(key);
	start_pep();
	TURN_UNTIL(pep.ended && pdp.ended);
	ck_assert_uint_eq(pdp.secured, 0);
	ck_assert_ptr_nonnull(strstr(pep.why, "alert"));
	ck_assert_ptr_nonnull(strstr(pdp.why, "certificate"));
}
END_TEST

START_TEST(nobody_listens)
{
	event_del(accept_ev);
	close(listener);
	listener = -1;
	start_pep();
	ck_assert_uint_eq(pep.ended, 0); /* never from inside the call */
	TURN_UNTIL(pep.ended);
	ck_assert_str_eq(pep.why, "Connection refused");
	ck_assert_uint_eq(pep.connected, 0);
}
END_TEST

/* Much more than a socket holds, in messages of several records; all of it, in order. */
START_TEST(push_much)
{
	enum { CHUNK = 24000, N = 800 };
	struct cops_chunk *row = cops_chunk_alloc(16 + 4 + CHUNK);
	struct buf b;
	size_t named;

	buf_init(&b, 0);
	cops_put_decision(&b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(&b, COPS_C_DECISION, 5);
	buf_put_zero(&b, CHUNK);
	cops_named_close(&b, named);
	ck_assert_uint_eq(b.len, row->len);
	memcpy(row->data, b.data, b.len);
	buf_clear(&b);
	use_version(1);
	connect_both();
	for (int i = 0; i < N; i++) {
		struct cops_chunk *chunks[] = {row, row};

		send_dec(&pdp, chunks, i % 2 + 1);
		if (i % 3 == 0)
			send_dec(&pdp, NO_CHUNKS);
		if (i % 100 == 0)
			turn_for(1);
	}
	TURN_UNTIL(pep.msgs == N + (N + 2) / 3);
	ck_assert_uint_gt(pep.octets, (size_t)N * CHUNK);
	ck_assert_uint_eq(cops_conn_unsent(cops_io_conn(pdp.io)), 0);
	ck_assert_uint_eq(row->refs, 1);
	cops_chunk_unref(row);
}
END_TEST

START_TEST(peer_does_not_read)
{
	static uint8_t big[60000];
	struct cops_conn *c;

	pdp.conf.max_unsent = 4 << 20;
	pep.conf.security = pdp.conf.security = COPS_SECURITY_NONE;
	connect_both();
	c = cops_io_conn(pdp.io);
	cops_io_free(pep.io); /* frees the PEP; a silent stand-in takes over */
	pep.io = NULL;
	TURN_UNTIL(pdp.ended);
	cops_io_free(pdp.io);
	pdp.io = NULL;
	pdp.ended = 0;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	static const uint8_t opn[] = {0x10, 6, 0x40, 1, 0, 0, 0, 28, 0, 20, 11, 1, 'c', 'e', '1',
	    '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'n', 'e', 't', 0};
	ck_assert_int_eq(write(s, opn, sizeof(opn)), sizeof(opn));
	TURN_UNTIL(pdp.accepted == 2);
	c = cops_io_conn(pdp.io);
	for (int i = 0; i < 1000 && cops_conn_send(c, big, sizeof(big)) == 0; i++)
		turn_for(1);
	TURN_UNTIL(pdp.ended);
	ck_assert_ptr_nonnull(strstr(pdp.why, "does not read"));
	close(s);
}
END_TEST

/* The peer dies in mid-connection: told apart from a proper close (RFC 4261 6). */
START_TEST(row47_cut_off)
{
	static const uint8_t half[] = {0x10, COPS_OP_REQ, 0x40, 1, 0, 0, 0, 24, 0, 8, 1, 1};
	int fd;

	connect_both();
	send_req(&pep);
	TURN_UNTIL(pdp.msgs == 1);
	/* a header that promises more, and half of what it promises */
	ck_assert_int_eq(cops_conn_send(cops_io_conn(pep.io), half, sizeof(half)), 0);
	turn_for(20);
	/* find the PEP's socket by its address and cut it under TLS */
	struct sockaddr_storage mine, other;

	ck_assert(cops_io_local(pep.io, &mine));
	for (fd = 3; fd < 256; fd++) {
		socklen_t len = sizeof(other);

		memset(&other, 0, sizeof(other));
		if (fd != listener && getsockname(fd, (struct sockaddr *)&other, &len) == 0 &&
		    memcmp(&mine, &other, sizeof(struct sockaddr_in)) == 0)
			break;
	}
	ck_assert_int_lt(fd, 256);
	shutdown(fd, SHUT_WR);
	TURN_UNTIL(pdp.ended);
	ck_assert_str_eq(pdp.why, "cut off without a TLS closure alert");
	ck_assert_uint_eq(pdp.msgs, 1);
}
END_TEST

START_TEST(handshake_never_comes)
{
	static const uint8_t v1[] = {0x10, 6, 0, 0, 0, 0, 0, 0x24, 0, 0x14, 0x0b, 1, 'c', 'e', '1',
	    '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'n', 'e', 't', 0, 0, 8, 0x10, 2, 0, 0, 0,
	    1};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pdp.conf.open_timeout_ms = 300;
	ck_assert_int_eq(connect(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (_i == 1)
		ck_assert_int_eq(write(s, v1, sizeof(v1)), sizeof(v1));
	TURN_UNTIL(pdp.ended);
	ck_assert_str_eq(pdp.why, "not open in time");
	close(s);
}
END_TEST

/* --- what came in clear before TLS is forgotten ---------------------------------------- */

struct script {
	SSL_CTX *tls;
	int result;
};

/* A PEP that puts a second OPN behind its type-0 OPN, as somebody in the middle would. */
static void *injector(void *arg)
{
	static const uint8_t first[] = {0x10, 6, 0, 0, 0, 0, 0, 0x24, 0, 0x14, 0x0b, 1, 'c', 'e',
	    '1', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'n', 'e', 't', 0, 0, 8, 0x10, 2, 0, 0,
	    0, 1, 0x10, 6, 0x50, 1, 0, 0, 0, 16, 0, 8, 0x0b, 1, 'c', 'e', 'x', 0};
	static const uint8_t second[] = {0x10, 6, 0x40, 1, 0, 0, 0, 28, 0, 20, 11, 1, 'c', 'e', '1',
	    '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'n', 'e', 't', 0};
	struct script *script = arg;
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t in[64];
	SSL *ssl = SSL_new(script->tls);
	int n = -1;

	if (connect(s, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    write(s, first, sizeof(first)) == sizeof(first) && recv(s, in, 24, MSG_WAITALL) == 24 &&
	    SSL_set_fd(ssl, s) == 1 && SSL_connect(ssl) == 1 &&
	    SSL_write(ssl, second, sizeof(second)) == sizeof(second))
		n = SSL_read(ssl, in, sizeof(in));
	/* CAT for TYPE, first and alone */
	script->result = n == 16 && in[1] == COPS_OP_CAT && in[2] == 0x40 && in[3] == 1;
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(s);
	return NULL;
}

START_TEST(row48_injected_before_tls)
{
	struct script script = {pep.tls, -1};
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, injector, &script), 0);
	TURN_UNTIL(pdp.ended);
	pthread_join(thread, NULL);
	ck_assert_int_eq(script.result, 1);
	ck_assert_uint_eq(pdp.accepted, 1);
}
END_TEST

/* --- freeing -------------------------------------------------------------------- */

/* One side frees its connection inside one callback; the other one just sees an end. */
START_TEST(free_inside)
{
	enum point at = _i % POINTS;
	struct end *by = _i < POINTS ? &pep : &pdp;
	struct end *of = _i < POINTS ? &pdp : &pep;

	by->free_at = at;
	start_pep();
	for (int i = 0; i < 100 && !pep.accepted && !pep.ended && !pdp.ended; i++)
		turn_for(5);
	if (pep.accepted && pep.io != NULL && pdp.io != NULL) {
		/* several at once: after the first one is freed none may follow */
		for (int i = 0; i < 3; i++) {
			send_req(&pep);
			send_dec(&pdp, NO_CHUNKS);
		}
		turn_for(20);
	}
	if (of->io != NULL && !of->ended)
		cops_conn_close(cops_io_conn(of->io), COPS_ERR_SHUTDOWN, 0, "bye");
	for (int i = 0; i < 400 && of->io != NULL && !of->ended; i++)
		turn_for(5);
	ck_assert(of->io == NULL || of->ended == 1);
	if (at == AT_MSG)
		ck_assert_uint_eq(by->msgs, 1);
	if (by->io == NULL && at != AT_END)
		ck_assert_uint_eq(by->ended, 0);
}
END_TEST

START_TEST(free_at_once)
{
	/* right after connecting, before the loop turned */
	start_pep();
	cops_io_free(pep.io);
	pep.io = NULL;
	turn_for(20);
	ck_assert_uint_eq(pep.ended, 0);
	/* with work marked */
	pdp.ended = 0;
	cops_io_free(pdp.io);
	pdp.io = NULL;
	start_pep();
	TURN_UNTIL(pep.accepted == 1);
	send_req(&pep);
	send_dec(&pdp, NO_CHUNKS);
	cops_io_free(pep.io);
	cops_io_free(pdp.io);
	pep.io = pdp.io = NULL;
	turn_for(20);
	ck_assert_uint_eq(pep.ended + pdp.ended, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cops_io");
	TCase *tc = tcase_create("loopback");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, row35_session, 0, 2);
	tcase_add_loop_test(tc, row36_tls_if_asked, 0, 2);
	tcase_add_test(tc, session_plain);
	tcase_add_test(tc, row38_wants_tls_gets_none);
	tcase_add_test(tc, row37_offers_cleartext);
	tcase_add_loop_test(tc, row43_certificate_refused, 0, 4);
	tcase_add_loop_test(tc, refused_after_handshake, 0, 4);
	tcase_add_test(tc, row44_certificate_unknown);
	tcase_add_test(tc, nobody_listens);
	tcase_add_test(tc, push_much);
	tcase_add_test(tc, peer_does_not_read);
	tcase_add_test(tc, row47_cut_off);
	tcase_add_loop_test(tc, handshake_never_comes, 0, 2);
	tcase_add_test(tc, row48_injected_before_tls);
	tcase_add_loop_test(tc, free_inside, 1, 2 * POINTS);
	tcase_add_test(tc, free_at_once);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
