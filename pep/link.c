/*
 * link.c - see link.h.
 */
#include "pep/link.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/diag.h"
#include "common/log.h"
#include "common/tls.h"
#include "libcops/cops_hmac.h"
#include "libcops/cops_io.h"
#include "libcops/cops_print.h"
#include "libcops/cops_setting.h"
#include "pep/pep_conf.h"
#include "pib/pib_codec.h"

#define MAX_UNSENT    ((size_t)64 << 20)
#define REDIRECTS_MAX 4 /* in a row, before the list is gone through again */
/* A PDP that does not know us is about to: we are on our way into its intent. */
#define STRANGER_RETRY_MS 2000

struct target {
	struct addr addr;
	uint16_t port;
	const char *name; /* NULL: any name of the list (redirected to) */
};

struct pep_link {
	const struct pep_conf *conf;
	const struct pep_link_ops *ops;
	void *arg;
	struct event_base *base;
	struct event *timer; /* next attempt, or the connection in the making took too long */
	struct cops_io_pool *pool;
	SSL_CTX *tls;		     /* NULL: none is talked */
	struct cops_hmac_ring *ring; /* NULL: no Integrity */
	char *identity;
	struct cops_conn_conf conn_conf;
	struct cops_io *io; /* NULL: none */
	struct target target;
	unsigned index; /* in conf->pdp, of the target or the one to try next */
	unsigned tried; /* of this round */
	unsigned redirects;
	int64_t delay_ms;
	bool redirected; /* target is the one to try next */
	bool restart;	 /* told to begin with the first PDP at once */
	bool up;
	bool good;
	bool stranger; /* the PDP that answered last does not know us */
	bool stopping;
	void (*stopped)(void *arg);
	void *stopped_arg;
	struct pep_link_status status;
};

static void connect_now(struct pep_link *l);

static void timer_set(struct pep_link *l, int64_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(l->timer, &tv);
}

static const char *target_print(const struct target *t, char buf[ADDR_STRLEN + 300])
{
	char a[ADDR_STRLEN];

	snprintf(buf, ADDR_STRLEN + 300, "%s@%s:%u", t->name == NULL ? "?" : t->name,
	    addr_print(&t->addr, a), t->port);
	return buf;
}

/* ------------------------------------------------------------------ ending, retrying */

/* Half to all of the delay, which doubles. */
static int64_t backoff(struct pep_link *l)
{
	int64_t delay = l->delay_ms;

	if (l->stranger && delay > STRANGER_RETRY_MS)
		delay = STRANGER_RETRY_MS;
	l->delay_ms = 2 * delay > l->conf->retry_max_ms ? l->conf->retry_max_ms : 2 * delay;
	return delay / 2 + arc4random_uniform((uint32_t)(delay / 2 + 1));
}

/* After an end: when to try whom. */
static void schedule(struct pep_link *l)
{
	if (l->restart) {
		l->restart = false;
		l->index = 0;
		timer_set(l, 0);
		return;
	}
	if (l->redirected) {
		timer_set(l, 0);
		return;
	}
	if (l->good) { /* it was a good PDP: it first, then the others */
		l->good = false;
		l->tried = 0;
		l->delay_ms = l->conf->retry_min_ms;
		timer_set(l, backoff(l));
		return;
	}
	l->index = (l->index + 1) % l->conf->pdps;
	if (++l->tried < l->conf->pdps) {
		timer_set(l, 0);
		return;
	}
	l->tried = 0;
	l->redirects = 0;
	timer_set(l, backoff(l));
}

static void end(struct pep_link *l, const char *why)
{
	char text[ADDR_STRLEN + 300];
	bool was_up = l->up;

	log_at(was_up && !l->stranger ? LOG_NOTICE : LOG_INFO, "PDP %s: %s: %s",
	    target_print(&l->target, text), was_up ? "connection over" : "no connection", why);
	snprintf(l->status.last_error, sizeof(l->status.last_error), "%s: %s", text, why);
	if (was_up)
		l->status.since = time(NULL);
	l->up = false;
	l->status.connected = false;
	cops_io_free(l->io);
	l->io = NULL;
	evtimer_del(l->timer);
	if (was_up)
		l->ops->down(l->arg);
	if (l->stopping) {
		if (l->stopped != NULL)
			l->stopped(l->stopped_arg);
		l->stopped = NULL;
		return;
	}
	schedule(l);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pep_link *l = arg;

	(void)fd;
	(void)what;
	if (l->io == NULL)
		connect_now(l);
	else if (!l->up)
		end(l, "not up in time");
	else
		end(l, "the PDP does not close the connection");
}

/* ------------------------------------------------------------------ the connection */

static bool name_known(
    const struct pep_link *l, bool (*is)(const void *who, const char *name), const void *who)
{
	if (l->target.name != NULL)
		return is(who, l->target.name);
	for (unsigned i = 0; i < l->conf->pdps; i++)
		if (is(who, l->conf->pdp[i].name))
			return true;
	return false;
}

static bool cert_is(const void *who, const char *name)
{
	return tls_cert_is(who, name);
}

static bool peer_is(const void *who, const char *name)
{
	return tls_peer_is(who, name);
}

static void log_stranger(const struct pep_link *l, char *names)
{
	char text[ADDR_STRLEN + 300];

	log_err("PDP %s refused: its certificate names %s", target_print(&l->target, text),
	    names == NULL ? "nobody" : names);
	free(names);
}

static bool on_cert(void *arg, X509 *cert)
{
	struct pep_link *l = arg;

	if (name_known(l, cert_is, cert))
		return true;
	log_stranger(l, tls_cert_names(cert));
	return false;
}

static void is_up(struct pep_link *l)
{
	char text[ADDR_STRLEN + 300];

	evtimer_del(l->timer);
	l->up = true;
	l->status.connected = true;
	l->status.since = time(NULL);
	l->status.connections++;
	snprintf(l->status.name, sizeof(l->status.name), "%s",
	    l->target.name == NULL ? "" : l->target.name);
	log_at(l->stranger ? LOG_INFO : LOG_NOTICE, "PDP %s: connected",
	    target_print(&l->target, text));
	l->ops->up(l->arg);
}

static bool on_secure(void *arg, SSL *ssl)
{
	struct pep_link *l = arg;

	if (!name_known(l, peer_is, ssl)) {
		log_stranger(l, tls_peer_names(ssl));
		return false;
	}
	is_up(l);
	return true;
}

static void on_connect(void *arg)
{
	struct pep_link *l = arg;

	if (l->conf->security == COPS_SECURITY_NONE)
		is_up(l);
}

static void on_end(void *arg, const char *why)
{
	end(arg, why);
}

static const struct cops_io_ops io_ops = {
    .on_secure = on_secure, .on_connect = on_connect, .on_end = on_end, .on_cert = on_cert};

static void on_accept(void *arg, uint16_t client_type)
{
	struct pep_link *l = arg;

	if (client_type != 0)
		l->ops->accepted(l->arg, client_type);
	else
		is_up(l); /* Integrity is agreed on, or that there is to be nothing */
}

/* The PDP of the list at this address; NULL: none. */
static const struct pep_pdp *target_known(
    const struct pep_link *l, const struct addr *a, uint16_t port)
{
	for (const struct pep_pdp *p = l->conf->pdp; p < l->conf->pdp + l->conf->pdps; p++)
		if (p->port == port && addr_cmp(&p->addr, a) == 0)
			return p;
	return NULL;
}

/* PDPRedirAddr (RFC 2748 2.2.13): an address, two reserved octets, a port. */
static void redirect(struct pep_link *l, const struct cops_obj *o)
{
	size_t alen = o->c_type == 1 ? 4 : 16;
	struct addr a;
	const struct pep_pdp *known;
	uint16_t port;
	char text[ADDR_STRLEN];

	if (o->len != alen + 4 || addr_from_octets(&a, o->body, alen) != 0)
		return;
	port = (uint16_t)(o->body[alen + 2] << 8 | o->body[alen + 3]);
	known = target_known(l, &a, port);
	/* whose keys would be meant, nobody knows */
	if (port == 0 || l->redirects >= REDIRECTS_MAX ||
	    (known == NULL && l->conf->security == COPS_SECURITY_INTEGRITY)) {
		log_warn("redirect to %s:%u not followed", addr_print(&a, text), port);
		return;
	}
	log_note("redirected to %s:%u", addr_print(&a, text), port);
	l->redirects++;
	l->target = (struct target) {.addr = a, .port = port};
	if (known != NULL) {
		l->target.name = known->name;
		l->index = (unsigned)(known - l->conf->pdp);
	}
	l->redirected = true;
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct pep_link *l = arg;

	log_at(l->stranger ? LOG_INFO : LOG_WARNING,
	    "the PDP closed client-type 0x%04x: %s (%u, %u)", client_type, cops_error_name(error),
	    error, sub);
	l->stranger = error == COPS_ERR_AUTH_FAILURE;
	l->ops->closed(l->arg, client_type, error, sub);
	if (redir != NULL && redir->c_num != 0)
		redirect(l, redir);
	if (l->redirected && client_type != 0)
		cops_conn_close(cops_io_conn(l->io), COPS_ERR_REDIRECT, 0, "redirected");
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pep_link *l = arg;

	l->ops->message(l->arg, m, fault);
}

static const struct cops_conn_ops conn_ops = {
    .on_accept = on_accept, .on_client_close = on_client_close, .on_msg = on_msg};

static void on_trace(void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pep_link *l = arg;
	const struct pib_schema *schema = l->ops->schema(l->arg, m->client_type);
	const struct cops_namer names = {
	    .class_name = schema != NULL ? pib_prid_class_name : NULL,
	    .gperr = pib_gperr_name,
	    .cperr = pib_cperr_name,
	    .arg = schema,
	};
	char text[ADDR_STRLEN + 300];

	cops_trace_write(l->conf->trace, target_print(&l->target, text), out, m, fault, &names);
}

static void connect_now(struct pep_link *l)
{
	struct sockaddr_storage ss;
	socklen_t len;

	if (!l->redirected) {
		const struct pep_pdp *p = &l->conf->pdp[l->index];

		l->target = (struct target) {.addr = p->addr, .port = p->port, .name = p->name};
	}
	l->redirected = false;
	l->status.pdp = l->target.addr;
	l->status.port = l->target.port;
	l->conn_conf.integrity.pdp = l->target.name;
	len = addr_to_sockaddr(&l->target.addr, l->target.port, &ss);
	l->io = cops_io_connect(l->pool, (struct sockaddr *)&ss, len, l->tls, l->target.name,
	    &l->conn_conf, &conn_ops, &io_ops, l);
	if (l->io == NULL) {
		log_err("no descriptor or memory to connect");
		schedule(l);
		return;
	}
	if (l->conf->trace != NULL)
		cops_conn_trace(cops_io_conn(l->io), on_trace, l);
	timer_set(l, l->conf->open_timeout_ms);
}

/* ------------------------------------------------------------------ life */

/* The configured name, which must be the certificate's, or the first DNS name there. */
static char *identity_find(const struct pep_conf *conf, SSL_CTX *tls, char *err, size_t err_len)
{
	X509 *cert = tls == NULL ? NULL : SSL_CTX_get0_certificate(tls);
	char *names;
	char *dns;
	char *identity = NULL;

	if (cert == NULL || conf->identity[0] != '\0') {
		if (cert == NULL || tls_cert_is(cert, conf->identity))
			return strdup(conf->identity);
		snprintf(err, err_len, "%s does not name %s", conf->certificate, conf->identity);
		return NULL;
	}
	names = tls_cert_names(cert);
	dns = names == NULL ? NULL : strstr(names, "DNS:");
	if (dns != NULL)
		identity = strndup(dns + 4, strcspn(dns + 4, ", "));
	else
		snprintf(
		    err, err_len, "%s has no DNS name: identity must be set", conf->certificate);
	free(names);
	return identity;
}

static struct cops_hmac_ring *ring_read(const char *path, char *err, size_t err_len)
{
	struct cops_hmac_ring *ring;
	struct diag d;

	diag_init(&d);
	ring = cops_setting_ring(path, &d);
	if (ring == NULL)
		diag_first(&d, err, err_len);
	diag_clear(&d);
	return ring;
}

int pep_link_reload(struct pep_link *l, char *err, size_t err_len)
{
	const struct pep_conf *c = l->conf;
	struct cops_hmac_ring *ring;
	char why[TLS_ERR_LEN];
	SSL_CTX *tls;

	if (pep_conf_tls(c)) {
		tls = tls_client_ctx_new(
		    c->certificate, c->key, c->ca, c->crl[0] == '\0' ? NULL : c->crl, why);
		if (tls == NULL) {
			snprintf(err, err_len, "%s", why);
			return -1;
		}
		SSL_CTX_free(l->tls);
		l->tls = tls;
	}
	if (c->security == COPS_SECURITY_INTEGRITY) {
		ring = ring_read(c->integrity_keys, err, err_len);
		if (ring == NULL)
			return -1;
		cops_hmac_ring_unref(l->ring);
		l->conn_conf.integrity.ring = l->ring = ring;
	}
	return 0;
}

/*
 * More than we tell the PDP that we take: a decision that is longer than that is read, to be
 * reported (maxMsgSizeExceeded); one that is far longer costs the connection.
 */
static uint32_t msg_cap(const struct pep_conf *conf)
{
	uint64_t cap = 2 * (uint64_t)conf->max_msg;

	return cap > UINT32_MAX ? UINT32_MAX : (uint32_t)cap;
}

struct pep_link *pep_link_new(struct event_base *base, const struct pep_conf *conf,
    const struct pep_link_ops *ops, void *arg, char *err, unsigned long err_len)
{
	struct pep_link *l = calloc(1, sizeof(*l));

	snprintf(err, err_len, "out of memory");
	if (l == NULL)
		return NULL;
	l->conf = conf;
	l->ops = ops;
	l->arg = arg;
	l->base = base;
	l->delay_ms = conf->retry_min_ms;
	if (pep_link_reload(l, err, err_len) != 0)
		goto fail;
	snprintf(err, err_len, "out of memory");
	if ((l->identity = identity_find(conf, l->tls, err, err_len)) == NULL ||
	    (l->pool = cops_io_pool_new(base)) == NULL ||
	    (l->timer = evtimer_new(base, on_timer, l)) == NULL)
		goto fail;
	l->conn_conf = (struct cops_conn_conf) {
	    .role = COPS_PEP,
	    .pepid = l->identity,
	    .security = conf->security,
	    .max_msg = msg_cap(conf),
	    .max_unsent = MAX_UNSENT,
	    .open_timeout_ms = (uint32_t)conf->open_timeout_ms,
	    .integrity =
		{
		    .ring = l->ring,
		    .unix_ms = cops_io_unix_ms,
		    .first_number = cops_io_first_number,
		},
	};
	l->status.since = time(NULL);
	return l;
fail:
	pep_link_free(l);
	return NULL;
}

void pep_link_free(struct pep_link *l)
{
	if (l == NULL)
		return;
	cops_io_free(l->io);
	if (l->timer != NULL)
		event_free(l->timer);
	if (l->pool != NULL)
		cops_io_pool_free(l->pool);
	SSL_CTX_free(l->tls);
	cops_hmac_ring_unref(l->ring);
	free(l->identity);
	free(l);
}

void pep_link_start(struct pep_link *l)
{
	timer_set(l, 0);
}

void pep_link_stop(struct pep_link *l, void (*done)(void *arg), void *arg)
{
	l->stopping = true;
	evtimer_del(l->timer);
	if (l->io == NULL) {
		done(arg);
		return;
	}
	l->stopped = done;
	l->stopped_arg = arg;
	cops_conn_close(cops_io_conn(l->io), COPS_ERR_SHUTDOWN, 0, "shutting down");
}

void pep_link_restart(struct pep_link *l)
{
	l->redirected = false;
	l->good = false;
	l->tried = 0;
	l->redirects = 0;
	l->delay_ms = l->conf->retry_min_ms;
	if (l->io == NULL) {
		l->index = 0;
		timer_set(l, 0);
		return;
	}
	l->restart = true;
	cops_conn_close(cops_io_conn(l->io), COPS_ERR_SHUTDOWN, 0, "told to connect anew");
}

void pep_link_next(struct pep_link *l, const char *why)
{
	l->good = false;
	if (l->io != NULL)
		cops_conn_close(cops_io_conn(l->io), COPS_ERR_SHUTDOWN, 0, why);
}

void pep_link_good(struct pep_link *l)
{
	if (l->stranger)
		log_note("the PDP knows us now");
	l->stranger = false;
	l->good = true;
	l->tried = 0;
	l->redirects = 0;
	l->delay_ms = l->conf->retry_min_ms;
}

struct cops_conn *pep_link_conn(const struct pep_link *l)
{
	return l->up && l->io != NULL ? cops_io_conn(l->io) : NULL;
}

bool pep_link_local(const struct pep_link *l, struct addr *local)
{
	struct sockaddr_storage ss;

	return l->up && l->io != NULL && cops_io_local(l->io, &ss) &&
	       addr_from_sockaddr(local, (struct sockaddr *)&ss) == 0;
}

const char *pep_link_identity(const struct pep_link *l)
{
	return l->identity;
}

void pep_link_status(const struct pep_link *l, struct pep_link_status *s)
{
	*s = l->status;
}
