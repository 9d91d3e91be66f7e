/*
 * cops_io.c - one connection's way through a socket:
 *
 *	CONNECT -> CLEAR -> HANDSHAKE -> SECURE -> LINGER -> ENDED
 *
 * (an accepted one starts in CLEAR; without TLS it stays there).  Reading feeds the
 * core; the core's callbacks only mark the connection as having work, and io_pump(),
 * run from the event loop alone, does it: write, start TLS, close, tell the owner.
 * So writes of one loop turn are gathered into few records, and nothing recurses.
 *
 * Freeing is safe anywhere: while a connection is being worked on (depth > 0) it is
 * only marked, and the outermost io_leave() does it.
 */
#include "libcops/cops_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH_LEN 65536
#define RECORD_MAX  16384 /* octets one TLS record carries */
#define SPANS_MAX   32
#define READS_MAX   16	 /* per event, so that one busy peer does not starve the others */
#define CLOSE_MS    5000 /* to flush, and see the peer's end, when we close */
#define LINGER_MS   1000 /* to see the peer's end once everything is flushed */

enum io_phase { IO_CONNECT, IO_CLEAR, IO_HANDSHAKE, IO_SECURE, IO_LINGER, IO_ENDED };

struct cops_io_pool {
	struct event_base *base;
	struct event flush;
	TAILQ_HEAD(, cops_io) marked;
	uint8_t scratch[SCRATCH_LEN];
};

struct cops_io {
	struct cops_io_pool *pool;
	struct cops_conn *conn;
	const struct cops_conn_ops *cops;
	const struct cops_io_ops *ops;
	void *arg;
	SSL_CTX *tls;	  /* until there is ssl */
	SSL *ssl;	  /* from IO_HANDSHAKE on */
	char *peer_name;  /* for SNI, until there is ssl */
	const char *why;  /* the first reason given for the end; static */
	int64_t armed_ms; /* when the timer will fire, INT64_MAX = not armed */
	int64_t close_by_ms;
	int fd;
	unsigned depth;
	short waits; /* EV_* of ev as added */
	uint8_t phase;
	bool is_marked;
	bool start_tls;
	bool closing;
	bool want_write;   /* the socket took less than we have */
	bool read_blocked; /* SSL_read waits for room to write */
	bool read_more;	   /* we stopped reading for fairness */
	bool broken;	   /* TLS failed: ssl must not be used to say goodbye */
	bool refused;	   /* by on_cert */
	bool told;	   /* on_end was called */
	bool freed;
	TAILQ_ENTRY(cops_io) mark;
	struct event ev;
	struct event timer;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t cops_io_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint32_t cops_io_first_number(void)
{
	static int64_t last; /* of any thread */
	int64_t was = __atomic_load_n(&last, __ATOMIC_RELAXED);
	int64_t next;

	do {
		next = cops_io_unix_ms() >> 3;
		next = next > was ? next : was + 1;
	} while (!__atomic_compare_exchange_n(
	    &last, &was, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (uint32_t)next;
}

/* --- life ------------------------------------------------------------------- */

static void io_pump(struct cops_io *io);

static void io_enter(struct cops_io *io)
{
	io->depth++;
}

static void io_mark(struct cops_io *io)
{
	if (io->is_marked || io->freed)
		return;
	if (TAILQ_EMPTY(&io->pool->marked))
		event_active(&io->pool->flush, 0, 0);
	TAILQ_INSERT_TAIL(&io->pool->marked, io, mark);
	io->is_marked = true;
}

static void io_unmark(struct cops_io *io)
{
	if (io->is_marked)
		TAILQ_REMOVE(&io->pool->marked, io, mark);
	io->is_marked = false;
}

/* The socket goes; what is known of the end stays for on_end. */
static void io_close_fd(struct cops_io *io)
{
	if (event_initialized(&io->ev))
		event_del(&io->ev);
	event_del(&io->timer);
	io->armed_ms = INT64_MAX;
	io->waits = 0;
	SSL_free(io->ssl);
	io->ssl = NULL;
	if (io->fd >= 0)
		close(io->fd);
	io->fd = -1;
}

static void io_destroy(struct cops_io *io)
{
	io_unmark(io);
	io_close_fd(io);
	cops_conn_free(io->conn);
	SSL_CTX_free(io->tls);
	free(io->peer_name);
	free(io);
}

static void io_leave(struct cops_io *io)
{
	if (--io->depth == 0 && io->freed)
		io_destroy(io);
}

static void io_why(struct cops_io *io, const char *why)
{
	if (io->why == NULL)
		io->why = why;
}

/* The connection is gone: nothing can be sent or read any more. */
static void io_fail(struct cops_io *io, const char *why)
{
	io_why(io, why);
	if (io->phase == IO_ENDED)
		return;
	io->phase = IO_ENDED;
	io_close_fd(io);
	io_mark(io);
}

/* --- what the core calls ------------------------------------------------------ */

static uint16_t core_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	struct cops_io *io = arg;

	if (io->freed)
		return COPS_ERR_SHUTDOWN;
	return io->cops->on_open(io->arg, opn, pepid, sub);
}

static void core_accept(void *arg, uint16_t client_type)
{
	struct cops_io *io = arg;

	if (!io->freed && io->cops->on_accept != NULL)
		io->cops->on_accept(io->arg, client_type);
}

static void core_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct cops_io *io = arg;

	if (!io->freed)
		io->cops->on_client_close(io->arg, client_type, error, sub, redir);
}

static void core_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct cops_io *io = arg;

	if (!io->freed)
		io->cops->on_msg(io->arg, m, fault);
}

static void core_start_tls(void *arg)
{
	struct cops_io *io = arg;

	io->start_tls = true;
	io_mark(io);
}

static void core_output(void *arg)
{
	io_mark(arg);
}

static void core_dead(void *arg, const char *why)
{
	struct cops_io *io = arg;

	io_why(io, why);
	io_mark(io);
}

static const struct cops_conn_ops core_ops = {
    .on_open = core_open,
    .on_accept = core_accept,
    .on_client_close = core_client_close,
    .on_msg = core_msg,
    .on_start_tls = core_start_tls,
    .on_output = core_output,
    .on_dead = core_dead,
};

/* --- TLS ---------------------------------------------------------------------- */

/* Our look at the leaf, in time for the alert; the context's own callback goes first. */
static int tls_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	SSL_verify_cb ctx_cb = SSL_CTX_get_verify_callback(SSL_get_SSL_CTX(ssl));
	struct cops_io *io = SSL_get_app_data(ssl);

	if (ctx_cb != NULL)
		ok = ctx_cb(ok, x);
	if (!ok || X509_STORE_CTX_get_error_depth(x) != 0)
		return ok;
	if (io->freed || io->ops->on_cert == NULL ||
	    io->ops->on_cert(io->arg, X509_STORE_CTX_get_current_cert(x)))
		return ok;
	io->refused = true;
	X509_STORE_CTX_set_error(x, X509_V_ERR_CERT_REJECTED);
	return 0;
}

/* Static text for the TLS error just met; err is SSL_get_error()'s. */
static const char *tls_why(struct cops_io *io, int err)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(e);

	if (io->refused)
		return "peer certificate refused";
	if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return "cut off without a TLS closure alert";
	if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return X509_verify_cert_error_string(SSL_get_verify_result(io->ssl));
	if (err == SSL_ERROR_SYSCALL && e == 0)
		text = errno != 0 ? strerrordesc_np(errno) : "cut off without a TLS closure alert";
	return text != NULL ? text : "TLS failed";
}

/* A TLS call did not go through: wait for what it wants, or false: it is broken. */
static bool tls_retry(struct cops_io *io, int r)
{
	int err = SSL_get_error(io->ssl, r);

	if (err == SSL_ERROR_WANT_WRITE)
		io->want_write = true;
	if (err == SSL_ERROR_WANT_WRITE || err == SSL_ERROR_WANT_READ)
		return true;
	io->broken = true;
	io_why(io, tls_why(io, err));
	return false;
}

static bool is_address(const char *name)
{
	struct in6_addr a;

	return inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1;
}

static void tls_begin(struct cops_io *io)
{
	SSL *ssl = io->tls != NULL ? SSL_new(io->tls) : NULL;

	io->ssl = ssl;
	if (ssl == NULL || SSL_set_fd(ssl, io->fd) != 1) {
		io_fail(io, "no TLS to be had");
		return;
	}
	SSL_CTX_free(io->tls);
	io->tls = NULL;
	SSL_set_app_data(ssl, io);
	SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_verify(ssl, SSL_get_verify_mode(ssl), tls_verify);
	if (io->peer_name != NULL && !is_address(io->peer_name))
		SSL_set_tlsext_host_name(ssl, io->peer_name);
	free(io->peer_name);
	io->peer_name = NULL;
	if (cops_conn_role(io->conn) == COPS_PDP)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	io->phase = IO_HANDSHAKE;
}

/* Move the timer, but only when something is due earlier than it fires. */
static void io_arm(struct cops_io *io, int64_t due, int64_t now)
{
	int64_t in_ms;
	struct timeval tv;

	due = io->close_by_ms < due ? io->close_by_ms : due;
	if (due >= io->armed_ms)
		return;
	in_ms = due > now ? due - now : 0;
	tv.tv_sec = (time_t)(in_ms / 1000);
	tv.tv_usec = (suseconds_t)(in_ms % 1000 * 1000);
	event_add(&io->timer, &tv);
	io->armed_ms = due;
}

/* From now on we want it to end, within so many milliseconds. */
static void io_close_within(struct cops_io *io, int64_t ms)
{
	int64_t now = now_ms();

	io->closing = true;
	if (now + ms < io->close_by_ms)
		io->close_by_ms = now + ms;
	io_arm(io, INT64_MAX, now);
}

/* Everything is flushed or cannot be: our half is closed, wait a moment for the peer's. */
static void io_linger(struct cops_io *io)
{
	shutdown(io->fd, SHUT_WR);
	io_close_within(io, LINGER_MS);
	io->phase = IO_LINGER;
}

/* Say goodbye; false: not yet, the socket is full. */
static bool tls_close_notify(struct cops_io *io)
{
	int r;

	if (io->ssl == NULL || io->broken || !SSL_is_init_finished(io->ssl))
		return true;
	ERR_clear_error();
	errno = 0;
	r = SSL_shutdown(io->ssl);
	return r >= 0 || SSL_get_error(io->ssl, r) != SSL_ERROR_WANT_WRITE;
}

/* --- reading and writing -------------------------------------------------------- */

/* Feed the core; false when reading must stop. */
static bool io_feed(struct cops_io *io, size_t n, int64_t now)
{
	return cops_conn_input(io->conn, io->pool->scratch, n, now) == 0 && !io->freed &&
	       !io->closing && !io->start_tls;
}

static void read_clear(struct cops_io *io)
{
	int64_t now = now_ms();
	ssize_t n;

	for (int i = 0; i < READS_MAX; i++) {
		n = recv(io->fd, io->pool->scratch, SCRATCH_LEN, 0);
		if (n == 0)
			io_fail(io, "peer closed the connection");
		else if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			io_fail(io, strerrordesc_np(errno));
		if (n <= 0 || !io_feed(io, (size_t)n, now) || (size_t)n < SCRATCH_LEN)
			return;
	}
}

static void read_secure(struct cops_io *io)
{
	int64_t now = now_ms();
	int n;

	io->read_blocked = io->read_more = false;
	for (int i = 0; i < READS_MAX; i++) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(io->ssl, io->pool->scratch, SCRATCH_LEN);
		if (n <= 0 && SSL_get_error(io->ssl, n) == SSL_ERROR_ZERO_RETURN) {
			tls_close_notify(io);
			io_fail(io, "peer closed the connection");
			return;
		}
		io->read_blocked = n <= 0 && SSL_want_write(io->ssl);
		if (n <= 0 && !tls_retry(io, n))
			io_fail(io, NULL);
		if (n <= 0 || !io_feed(io, (size_t)n, now))
			return;
		/*
		 * More in the kernel brings another event, what OpenSSL holds does not.  After
		 * a full record more is likely: asking again is cheaper than the event.
		 */
		if (n < RECORD_MAX && !SSL_has_pending(io->ssl))
			return;
	}
	/* By the timer, that is after the loop looked at everybody else's socket. */
	io->read_more = true;
	io_arm(io, now, now);
}

static void read_linger(struct cops_io *io)
{
	ssize_t n = 1;

	for (int i = 0; i < READS_MAX && n > 0; i++)
		n = recv(io->fd, io->pool->scratch, SCRATCH_LEN, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		io_fail(io, NULL);
}

static void write_clear(struct cops_io *io)
{
	struct cops_span span[SPANS_MAX];
	struct iovec iov[SPANS_MAX];
	struct msghdr mh = {.msg_iov = iov};
	ssize_t n;

	io->want_write = false;
	while (cops_conn_unsent(io->conn) > 0) {
		mh.msg_iovlen = cops_conn_output(io->conn, span, SPANS_MAX);
		for (size_t i = 0; i < mh.msg_iovlen; i++)
			iov[i] = (struct iovec) {(void *)(uintptr_t)span[i].p, span[i].len};
		n = sendmsg(io->fd, &mh, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
			io->want_write = true;
			return;
		}
		if (n < 0) {
			io_fail(io, strerrordesc_np(errno));
			return;
		}
		cops_conn_output_done(io->conn, (size_t)n);
	}
}

/*
 * What the next record carries: one span as it lies, or several gathered.  A retry offers
 * at least as much as before, as OpenSSL demands: the queue only grows at its end.
 */
static const uint8_t *record_gather(struct cops_io *io, size_t *len)
{
	struct cops_span span[SPANS_MAX];
	size_t n = cops_conn_output(io->conn, span, SPANS_MAX);
	size_t take;

	if (n == 1 || span[0].len >= RECORD_MAX) {
		*len = span[0].len < RECORD_MAX ? span[0].len : RECORD_MAX;
		return span[0].p;
	}
	*len = 0;
	for (size_t i = 0; i < n && *len < RECORD_MAX; i++) {
		take = RECORD_MAX - *len;
		take = span[i].len < take ? span[i].len : take;
		memcpy(io->pool->scratch + *len, span[i].p, take);
		*len += take;
	}
	return io->pool->scratch;
}

static void write_secure(struct cops_io *io)
{
	const uint8_t *p;
	size_t len;
	size_t done;

	io->want_write = false;
	while (cops_conn_unsent(io->conn) > 0) {
		p = record_gather(io, &len);
		ERR_clear_error();
		errno = 0;
		if (SSL_write_ex(io->ssl, p, len, &done) != 1) {
			if (!tls_retry(io, 0))
				io_fail(io, NULL);
			return;
		}
		cops_conn_output_done(io->conn, done);
	}
}

static void tls_handshake(struct cops_io *io)
{
	int r;

	ERR_clear_error();
	errno = 0;
	io->want_write = false;
	r = SSL_do_handshake(io->ssl);
	if (r != 1) {
		/* A fatal alert may just have been written: let it arrive. */
		if (!tls_retry(io, r))
			io_linger(io);
		return;
	}
	io->phase = IO_SECURE;
	cops_conn_tls_up(io->conn, now_ms());
	if (!io->freed && !io->ops->on_secure(io->arg, io->ssl))
		cops_conn_close(io->conn, COPS_ERR_AUTH_FAILURE, 0, "peer certificate refused");
	/* The first messages may have come along with the end of the handshake. */
	if (!io->freed && SSL_has_pending(io->ssl))
		read_secure(io);
}

/* --- the pump ------------------------------------------------------------------- */

/* We want to end it: go as far towards LINGER as the socket lets us. */
static void io_close_step(struct cops_io *io)
{
	if (!io->closing)
		io_close_within(io, CLOSE_MS);
	if (io->phase == IO_CONNECT || io->phase == IO_HANDSHAKE) {
		io_fail(io, NULL);
		return;
	}
	if (io->want_write || cops_conn_unsent(io->conn) > 0)
		return;
	if (!tls_close_notify(io))
		io->want_write = true;
	else
		io_linger(io);
}

static short io_wants(const struct cops_io *io)
{
	short w = io->want_write || io->read_blocked ? EV_WRITE : 0;

	switch ((enum io_phase)io->phase) {
	case IO_CONNECT:
		return EV_WRITE;
	case IO_CLEAR:
	case IO_SECURE:
		return io->closing || io->start_tls ? w : w | EV_READ;
	case IO_HANDSHAKE:
		return w != 0 ? w : EV_READ;
	case IO_LINGER:
		return EV_READ;
	case IO_ENDED:
		break;
	}
	return 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg);

static void io_wait(struct cops_io *io)
{
	short wants = io_wants(io);

	if (wants == io->waits)
		return;
	event_del(&io->ev);
	io->waits = wants;
	if (wants == 0)
		return;
	event_assign(&io->ev, io->pool->base, io->fd, wants | EV_PERSIST, on_event, io);
	if (event_add(&io->ev, NULL) < 0)
		io_fail(io, "event loop refuses the socket");
}

/* Do whatever can be done now; called from the event loop only, between enter and leave. */
static void io_pump(struct cops_io *io)
{
	if (io->phase == IO_CLEAR)
		write_clear(io);
	else if (io->phase == IO_SECURE)
		write_secure(io);
	if (io->phase == IO_CLEAR && io->start_tls && cops_conn_unsent(io->conn) == 0) {
		io->start_tls = false;
		if (!cops_conn_dead(io->conn))
			tls_begin(io);
		if (io->phase == IO_HANDSHAKE)
			tls_handshake(io);
	}
	if (io->phase < IO_LINGER && (io->closing || cops_conn_dead(io->conn)))
		io_close_step(io);
	if (io->phase != IO_ENDED)
		io_wait(io);
	if (io->phase == IO_ENDED && !io->told && !io->freed) {
		io->told = true;
		io->ops->on_end(io->arg, io->why != NULL ? io->why : "closed");
	}
}

/* Run the core's timers. */
static void io_tick(struct cops_io *io)
{
	int64_t now;

	if (io->phase == IO_ENDED)
		return;
	now = now_ms();
	if (now >= io->close_by_ms)
		io_fail(io, NULL);
	else
		io_arm(io, cops_conn_tick(io->conn, now), now);
}

static void connect_done(struct cops_io *io)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0) {
		io_fail(io, strerrordesc_np(err));
		return;
	}
	io->phase = IO_CLEAR;
	cops_conn_start(io->conn, now_ms());
	if (io->ops->on_connect != NULL)
		io->ops->on_connect(io->arg);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct cops_io *io = arg;

	(void)fd;
	(void)what;
	io_enter(io);
	switch ((enum io_phase)io->phase) {
	case IO_CONNECT:
		connect_done(io);
		break;
	case IO_CLEAR:
		if (!io->closing && !io->start_tls)
			read_clear(io);
		break;
	case IO_HANDSHAKE:
		tls_handshake(io);
		break;
	case IO_SECURE:
		if (!io->closing)
			read_secure(io);
		break;
	case IO_LINGER:
		read_linger(io);
		break;
	case IO_ENDED:
		break;
	}
	if (!io->freed)
		io_tick(io);
	if (!io->freed)
		io_pump(io);
	io_leave(io);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct cops_io *io = arg;

	(void)fd;
	(void)what;
	io_enter(io);
	io->armed_ms = INT64_MAX;
	if (io->read_more && io->phase == IO_SECURE && !io->closing)
		read_secure(io);
	if (!io->freed)
		io_tick(io);
	if (!io->freed)
		io_pump(io);
	io_leave(io);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct cops_io_pool *pool = arg;
	struct cops_io *io;

	(void)fd;
	(void)what;
	while ((io = TAILQ_FIRST(&pool->marked)) != NULL) {
		io_unmark(io);
		io_enter(io);
		io_pump(io);
		io_leave(io);
	}
}

/* --- what the owner calls ---------------------------------------------------------- */

struct cops_io_pool *cops_io_pool_new(struct event_base *base)
{
	struct cops_io_pool *pool = malloc(sizeof(*pool));

	if (pool == NULL)
		return NULL;
	pool->base = base;
	TAILQ_INIT(&pool->marked);
	event_assign(&pool->flush, base, -1, 0, on_flush, pool);
	return pool;
}

void cops_io_pool_free(struct cops_io_pool *pool)
{
	if (pool == NULL)
		return;
	event_del(&pool->flush);
	free(pool);
}

static bool needs_tls(const struct cops_conn_conf *conf)
{
	return conf->security == COPS_SECURITY_TLS || conf->security == COPS_SECURITY_ANY;
}

static struct cops_io *io_new(struct cops_io_pool *pool, int fd, SSL_CTX *tls,
    const struct cops_conn_conf *conf, const struct cops_conn_ops *cops,
    const struct cops_io_ops *ops, void *arg)
{
	struct cops_io *io = calloc(1, sizeof(*io));
	int one = 1;

	if (io == NULL) {
		close(fd);
		return NULL;
	}
	io->pool = pool;
	io->cops = cops;
	io->ops = ops;
	io->arg = arg;
	io->fd = fd;
	io->armed_ms = INT64_MAX;
	io->close_by_ms = INT64_MAX;
	event_assign(&io->ev, pool->base, fd, 0, on_event, io);
	event_assign(&io->timer, pool->base, -1, 0, on_timer, io);
	if (tls != NULL && SSL_CTX_up_ref(tls) == 1)
		io->tls = tls;
	io->conn = cops_conn_new(conf, &core_ops, io, now_ms());
	if (io->conn == NULL || (needs_tls(conf) && io->tls == NULL)) {
		io_destroy(io);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return io;
}

struct cops_io *cops_io_accept(struct cops_io_pool *pool, int fd, SSL_CTX *tls,
    const struct cops_conn_conf *conf, const struct cops_conn_ops *cops,
    const struct cops_io_ops *ops, void *arg)
{
	struct cops_io *io = io_new(pool, fd, tls, conf, cops, ops, arg);

	if (io == NULL)
		return NULL;
	io->phase = IO_CLEAR;
	io_tick(io);
	io_wait(io);
	return io;
}

struct cops_io *cops_io_connect(struct cops_io_pool *pool, const struct sockaddr *sa,
    socklen_t sa_len, SSL_CTX *tls, const char *peer_name, const struct cops_conn_conf *conf,
    const struct cops_conn_ops *cops, const struct cops_io_ops *ops, void *arg)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct cops_io *io = fd >= 0 ? io_new(pool, fd, tls, conf, cops, ops, arg) : NULL;

	if (io == NULL)
		return NULL;
	if (peer_name != NULL && (io->peer_name = strdup(peer_name)) == NULL) {
		io_destroy(io);
		return NULL;
	}
	io->phase = IO_CONNECT;
	if (connect(fd, sa, sa_len) < 0 && errno != EINPROGRESS && errno != EINTR) {
		io_fail(io, strerrordesc_np(errno));
		return io;
	}
	io_tick(io);
	io_wait(io);
	return io;
}

struct cops_conn *cops_io_conn(struct cops_io *io)
{
	return io->conn;
}

bool cops_io_peer(struct cops_io *io, struct sockaddr_storage *ss)
{
	socklen_t len = sizeof(*ss);

	return io->fd >= 0 && getpeername(io->fd, (struct sockaddr *)ss, &len) == 0;
}

bool cops_io_local(struct cops_io *io, struct sockaddr_storage *ss)
{
	socklen_t len = sizeof(*ss);

	return io->fd >= 0 && getsockname(io->fd, (struct sockaddr *)ss, &len) == 0;
}

void cops_io_shutdown(struct cops_io *io)
{
	if (io->closing || io->phase == IO_ENDED)
		return;
	io_why(io, "shut down");
	io_close_within(io, CLOSE_MS);
	io_mark(io);
}

void cops_io_free(struct cops_io *io)
{
	if (io == NULL || io->freed)
		return;
	if (io->phase == IO_SECURE)
		tls_close_notify(io);
	io->freed = true;
	if (io->depth == 0)
		io_destroy(io);
}
