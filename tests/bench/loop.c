/*
 * loop.c - one connection over loopback doing Request, Decision, Report, as fast as it goes,
 *between two processes.
 *
 *	cops	both ends are libcops, and all of it is done: the PDP encodes a decision of so many
 *		rows for every request, the PEP decodes it into its row store as a transaction,
 *		commits, and reports
 *	bare	the same octets by the same system calls (epoll_wait, recv or SSL_read, send or
 *SSL_write at each end), and nothing looks at them
 *
 * Each decision changes every row.  Prints loops a second, and octets of a decision.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "libcops/cops_io.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_store.h"
#include "tests/bench/prefixes.h"

#define TYPE	 PIB_CE_VPN_PIB_SUBJECT_CATEGORY
#define MAX_ROWS 100000
#define MAX_MSG	 (1U << 20)
#define WARM_UP	 200 /* loops not counted */

static const uint8_t handle[4] = {0, 0, 0, 1};

struct loop {
	unsigned rows;
	double seconds;
	SSL_CTX *tls; /* NULL: in clear */
	struct event_base *base;
	struct cops_io *io;
	unsigned turn; /* PDP: requests answered */
	struct pib_store *store;
	unsigned long done; /* PEP: loops */
	double started;
};

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One more loop; true when the time is over and the figure was printed. */
static bool loop_count(struct loop *l, size_t dec_len)
{
	double passed;

	if (++l->done == WARM_UP)
		l->started = now_s();
	if (l->done < WARM_UP || l->done % 64 != 0)
		return false;
	passed = now_s() - l->started;
	if (passed < l->seconds)
		return false;
	printf("%.0f loops/s %zu octets\n", (double)(l->done - WARM_UP) / passed, dec_len);
	return true;
}

/* ---- TLS: a key and certificate made here; who is who is not what is measured -------------- */

static SSL_CTX *tls_new(bool server)
{
	SSL_CTX *tls = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	if (tls == NULL || key == NULL || x == NULL)
		die("tls");
	X509_set_pubkey(x, key);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	if (!X509_sign(x, key, EVP_sha256()) ||
	    (server &&
		(SSL_CTX_use_certificate(tls, x) != 1 || SSL_CTX_use_PrivateKey(tls, key) != 1)))
		die("certificate");
	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(tls, 0);
	X509_free(x);
	EVP_PKEY_free(key);
	return tls;
}

/* ---- cops: the PDP's end ------------------------------------------------------------------- */

static uint16_t pdp_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	(void)arg, (void)opn, (void)pepid, (void)sub;
	return 0;
}

/* The first decision brings what the others' rows refer to. */
static void pdp_answer(struct loop *l, const struct cops_obj *h)
{
	struct cops_chunk *c = l->turn == 0 ? prefixes_vpn() : prefixes_chunk(l->rows, l->turn);

	l->turn++;
	if (c == NULL ||
	    cops_conn_send_dec(cops_io_conn(l->io), TYPE, true, h->body, h->len, &c, 1) != 0)
		die("decision");
	cops_chunk_unref(c);
}

static void pdp_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	if (fault != NULL)
		die(fault->why);
	if (m->op == COPS_OP_REQ)
		pdp_answer(arg, &m->slot[COPS_SLOT_HANDLE]);
	else if (m->op == COPS_OP_RPT &&
		 cops_obj_hi(&m->slot[COPS_SLOT_REPORT_TYPE]) != COPS_RPT_SUCCESS)
		die("the PEP refused");
}

/* ---- cops: the PEP's end ------------------------------------------------------------------- */

static void put_request(struct buf *b)
{
	size_t mark = cops_msg_begin(b, COPS_OP_REQ, false, TYPE);

	cops_put_handle(b, handle, sizeof(handle));
	cops_put_config_context(b);
	cops_msg_end(b, mark);
}

static void put_report(struct buf *b)
{
	size_t mark = cops_msg_begin(b, COPS_OP_RPT, true, TYPE);

	cops_put_handle(b, handle, sizeof(handle));
	cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, COPS_RPT_SUCCESS, 0);
	cops_msg_end(b, mark);
}

static void pep_send(struct loop *l, void (*put)(struct buf *b))
{
	struct buf b;

	buf_init(&b, 0);
	put(&b);
	if (b.failed || cops_conn_send(cops_io_conn(l->io), b.data, b.len) != 0)
		die("send");
	buf_clear(&b);
}

static void pep_accept(void *arg, uint16_t client_type)
{
	(void)client_type;
	pep_send(arg, put_request);
}

static void take_rows(struct pib_txn *t, const struct cops_obj *named)
{
	struct cops_sub prid = {0};
	struct cops_sub_iter it;
	struct cops_sub s;

	cops_sub_iter_init(&it, named);
	while (cops_sub_iter_next(&it, &s) == COPS_SUB_OK)
		if (s.s_num == COPS_S_PRID)
			prid = s;
		else
			(void)pib_txn_install(t, prid.body, prid.len, s.body, s.len);
}

/* The transaction of one decision; how many rows it changed. */
static size_t take_decision(struct loop *l, const struct cops_msg *m)
{
	struct pib_txn *t = pib_txn_begin(l->store);
	const struct pib_change *change;
	struct cops_decision d;
	struct cops_dec_iter it;
	size_t changed;

	cops_dec_iter_init(&it, m);
	while (cops_dec_iter_next(&it, &d))
		if (d.data.c_num != 0)
			take_rows(t, &d.data);
	if (pib_txn_check(t) != 0)
		die("a decision is refused");
	changed = pib_txn_changes(t, &change);
	pib_txn_commit(t);
	return changed;
}

static void pep_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct loop *l = arg;

	if (fault != NULL || m->op != COPS_OP_DEC)
		die("not a decision");
	if (take_decision(l, m) != (l->done == 0 ? 2 : l->rows))
		die("rows are missing");
	pep_send(l, put_report);
	if (loop_count(l, m->len))
		exit(0);
	pep_send(l, put_request);
}

static void pep_connect(void *arg)
{
	struct loop *l = arg;

	if (l->tls == NULL && cops_conn_open(cops_io_conn(l->io), TYPE, NULL) != 0)
		die("open");
}

static bool on_secure(void *arg, SSL *ssl)
{
	struct loop *l = arg;

	(void)ssl;
	return cops_conn_role(cops_io_conn(l->io)) == COPS_PDP ||
	       cops_conn_open(cops_io_conn(l->io), TYPE, NULL) == 0;
}

static void on_client_close(
    void *arg, uint16_t type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	(void)arg, (void)type, (void)error, (void)sub, (void)redir;
}

static void on_end(void *arg, const char *why)
{
	struct loop *l = arg;

	if (l->store != NULL)
		die(why);
	event_base_loopbreak(l->base);
}

static const struct cops_conn_ops pdp_ops = {
    .on_open = pdp_open, .on_client_close = on_client_close, .on_msg = pdp_msg};
static const struct cops_conn_ops pep_ops = {
    .on_accept = pep_accept, .on_client_close = on_client_close, .on_msg = pep_msg};
static const struct cops_io_ops io_ops = {
    .on_connect = pep_connect, .on_secure = on_secure, .on_end = on_end};

/* Either end, until it ends. */
static void cops_run(struct loop *l, int fd, const struct sockaddr_in *to)
{
	const struct pib_module *const modules[] = {
	    &pib_framework_pib_module, &pib_ce_vpn_pib_module};
	struct cops_conn_conf conf = {.role = to != NULL ? COPS_PEP : COPS_PDP,
	    .pepid = "ce1.example",
	    .security = l->tls != NULL ? COPS_SECURITY_TLS : COPS_SECURITY_NONE,
	    .max_msg = MAX_MSG,
	    .max_unsent = MAX_MSG * 2,
	    .open_timeout_ms = 10000};
	struct cops_io_pool *pool;

	l->base = event_base_new();
	pool = cops_io_pool_new(l->base);
	if (to == NULL) {
		l->io = cops_io_accept(pool, fd, l->tls, &conf, &pdp_ops, &io_ops, l);
	} else {
		struct pib_schema *schema = pib_schema_new(modules, 2);

		l->store = pib_store_new(schema, PIB_INSTALL, MAX_ROWS);
		l->io = cops_io_connect(pool, (const struct sockaddr *)to, sizeof(*to), l->tls,
		    NULL, &conf, &pep_ops, &io_ops, l);
	}
	if (l->io == NULL)
		die("connection");
	event_base_dispatch(l->base);
}

/* ---- bare ---------------------------------------------------------------------------------- */

struct bare {
	int fd;
	int ep;
	SSL *ssl;
	uint8_t in[MAX_MSG];
};

static void bare_init(struct bare *b, int fd, SSL_CTX *tls, bool server)
{
	struct epoll_event e = {.events = EPOLLIN};

	b->fd = fd;
	if (tls != NULL) {
		b->ssl = SSL_new(tls);
		SSL_set_read_ahead(b->ssl, 1);
		SSL_set_fd(b->ssl, fd);
		if ((server ? SSL_accept(b->ssl) : SSL_connect(b->ssl)) != 1)
			die("handshake");
	}
	b->ep = epoll_create1(0);
	if (b->ep < 0 || epoll_ctl(b->ep, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

/* Exactly len octets, or false: the end. */
static bool bare_read(struct bare *b, size_t len)
{
	struct epoll_event e;
	size_t got = 0;

	while (got < len) {
		ssize_t n;

		/* OpenSSL may hold octets already: they came with the end of the handshake. */
		if ((b->ssl == NULL || !SSL_has_pending(b->ssl)) &&
		    epoll_wait(b->ep, &e, 1, -1) < 0)
			die("epoll_wait");
		do {
			n = b->ssl != NULL
				? SSL_read(b->ssl, b->in + got, (int)(sizeof(b->in) - got))
				: recv(b->fd, b->in + got, sizeof(b->in) - got, 0);
			if (n <= 0)
				return false;
			got += (size_t)n;
		} while (got < len && b->ssl != NULL && SSL_has_pending(b->ssl));
	}
	return true;
}

static void bare_write(struct bare *b, const uint8_t *p, size_t len)
{
	ssize_t n = b->ssl != NULL ? SSL_write(b->ssl, p, (int)len)
				   : send(b->fd, p, len, MSG_NOSIGNAL);

	if (n != (ssize_t)len)
		die("write");
}

static void bare_run(struct loop *l, int fd, bool server)
{
	static struct bare bare;
	struct cops_chunk *c = prefixes_chunk(l->rows, 1);
	size_t dec_len;
	uint8_t *dec = c != NULL ? prefixes_dec(&c, 1, &dec_len) : NULL;
	struct buf up; /* a report and the next request */

	buf_init(&up, 0);
	put_report(&up);
	put_request(&up);
	if (dec == NULL || up.failed)
		die("memory");
	bare_init(&bare, fd, l->tls, server);
	while (server && bare_read(&bare, up.len))
		bare_write(&bare, dec, dec_len);
	while (!server) {
		bare_write(&bare, up.data, up.len);
		if (!bare_read(&bare, dec_len))
			die("read");
		if (loop_count(l, dec_len))
			exit(0);
	}
}

/* ---- */

static int listen_on(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*sin = (struct sockaddr_in) {.sin_family = AF_INET};
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)sin, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)sin, &len) < 0)
		die("listen");
	return fd;
}

static int accept_one(int listener)
{
	int one = 1;
	int fd = accept(listener, NULL, NULL);

	if (fd < 0)
		die("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int connect_to(const struct sockaddr_in *sin)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)sin, sizeof(*sin)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void server_run(struct loop *l, bool cops, int listener)
{
	int fd = accept_one(listener);

	if (!cops) {
		bare_run(l, fd, true);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	cops_run(l, fd, NULL);
}

int main(int argc, char **argv)
{
	struct loop l = {0};
	struct sockaddr_in sin;
	int listener;
	pid_t pdp;

	if (argc != 5) {
		fprintf(stderr, "usage: loop cops|bare clear|tls ROWS SECONDS\n");
		return 2;
	}
	bool cops = strcmp(argv[1], "cops") == 0;
	bool tls = strcmp(argv[2], "tls") == 0;

	l.rows = (unsigned)atoi(argv[3]);
	l.seconds = atof(argv[4]);
	signal(SIGPIPE, SIG_IGN);
	listener = listen_on(&sin);
	pdp = fork();
	l.tls = tls ? tls_new(pdp == 0) : NULL;
	if (pdp < 0)
		die("fork");
	if (pdp == 0) {
		server_run(&l, cops, listener);
		_exit(0);
	}
	close(listener);
	if (cops)
		cops_run(&l, -1, &sin);
	else
		bare_run(&l, connect_to(&sin), false);
	return 1; /* the figure is printed by who exits */
}
