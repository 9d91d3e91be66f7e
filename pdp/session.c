/*
 * session.c - see session.h.  A PEPID must be a name of the TLS certificate and on the access
 * list; a request-state is opened by the first REQ with its handle, gets a number by which the
 * control thread knows it, and is answered by Decisions that the control thread sends.
 */
#include "pdp/session.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/log.h"
#include "libcops/cops_print.h"
#include "pdp/acl.h"
#include "pdp/client.h"
#include "pdp/request.h"
#include "pib/pib_codec.h"

#define STATES_MAX 8 /* request-states of a client-type of a session */

struct state { /* a request-state */
	SLIST_ENTRY(state) next;
	uint32_t number;
	uint16_t len;
	uint8_t handle[];
};

/* An open client-type. */
struct session_type {
	SLIST_ENTRY(session_type) next;
	uint16_t client;
	unsigned states;
	uint32_t last; /* number given */
	SLIST_HEAD(, state) state;
};

struct session {
	struct session_env *env;
	struct cops_io *io;
	SSL *ssl; /* borrowed from io, NULL before the handshake is done */
	uint64_t sid;
	uint32_t slot;
	struct addr peer;
	char *name; /* PEPID, NULL before the first OPN */
	bool refused;
	SLIST_HEAD(, session_type) types;
};

static void up(struct session *s, struct up ev)
{
	ev.sid = s->sid;
	s->env->up(s->env->arg, &ev);
}

static struct session_type *type_find(struct session *s, uint16_t client_type)
{
	struct session_type *t;

	SLIST_FOREACH (t, &s->types, next)
		if (s->env->conf->client[t->client]->client_type == client_type)
			return t;
	return NULL;
}

static void type_free(struct session *s, struct session_type *t)
{
	struct state *x;

	SLIST_REMOVE(&s->types, t, session_type, next);
	while ((x = SLIST_FIRST(&t->state)) != NULL) {
		SLIST_REMOVE_HEAD(&t->state, next);
		free(x);
	}
	free(t);
}

static void type_close(struct session *s, struct session_type *t)
{
	up(s, (struct up) {.kind = UP_CLOSE, .client = t->client});
	type_free(s, t);
}

/* ------------------------------------------------------------ OPN (3.6, 4.3) */

static bool tls_wanted(const struct session *s)
{
	return s->env->conn.security == COPS_SECURITY_TLS;
}

static void log_refused(struct session *s, const char *pepid, const char *why, int level)
{
	char address[ADDR_STRLEN];
	char *names = s->ssl != NULL ? tls_peer_names(s->ssl) : NULL;

	log_at(level, "refused \"%s\" from %s (certificate: %s): %s", pepid,
	    addr_print(&s->peer, address), names != NULL ? names : "none", why);
	free(names);
}

/*
 * Why this PEPID may not be served on this connection; NULL: it may. *level: how much it
 * matters; a CE that is not in the model calls every other second.
 */
static const char *identity_fault(struct session *s, const char *pepid, int *level)
{
	bool revoked;

	*level = LOG_WARNING;
	if (s->name != NULL && strcmp(s->name, pepid) != 0)
		return "another PEPID on the same connection";
	if (s->ssl != NULL ? !tls_peer_is(s->ssl, pepid) : tls_wanted(s))
		return "its certificate does not name it";
	revoked = acl_revoked(s->env->conf->acl, pepid);
	if (!revoked && acl_has(s->env->conf->acl, pepid))
		return NULL;
	if (!acl_refused(s->env->conf->acl, pepid))
		*level = LOG_INFO;
	return revoked ? "it is revoked" : "no such CE";
}

static int type_open(struct session *s, uint16_t client, const char *pepid)
{
	struct session_type *t = calloc(1, sizeof(*t));
	struct up_open *o = calloc(1, sizeof(*o) + strlen(pepid) + 1);

	if (s->name == NULL)
		s->name = strdup(pepid);
	if (t == NULL || o == NULL || s->name == NULL) {
		free(t);
		free(o);
		return -1;
	}
	t->client = client;
	SLIST_INSERT_HEAD(&s->types, t, next);
	strcpy(o->name, pepid);
	addr_print(&s->peer, o->address);
	up(s, (struct up) {.kind = UP_OPEN, .client = client, .open = o});
	return 0;
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	const struct workers_conf *conf;
	struct session *s = arg;
	char name[COPS_PEPID_MAX + 1];
	const char *why;
	int level;
	size_t i;

	conf = s->env->conf;
	*sub = 0;
	for (i = 0; i < conf->clients; i++)
		if (conf->client[i]->client_type == opn->client_type)
			break;
	if (i == conf->clients) {
		atomic_fetch_add(&s->env->count.refused_type, 1);
		return COPS_ERR_CLIENT_TYPE;
	}
	snprintf(name, sizeof(name), "%s", pepid);
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	why = identity_fault(s, name, &level);
	if (why != NULL) {
		s->refused = true;
		atomic_fetch_add(&s->env->count.refused_identity, 1);
		log_refused(s, name, why, level);
		cops_io_shutdown(s->io); /* once the CC is out (RFC 4261 7) */
		return COPS_ERR_AUTH_FAILURE;
	}
	/* a second OPN for an open client-type is answered like the first (3.6) */
	if (type_find(s, opn->client_type) == NULL && type_open(s, (uint16_t)i, name) != 0)
		return COPS_ERR_UNABLE;
	return 0;
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct session *s = arg;
	struct session_type *t = type_find(s, client_type);

	(void)sub, (void)redir;
	log_info("%s: client-type 0x%04x closed: %s", s->name != NULL ? s->name : "?", client_type,
	    cops_error_name(error));
	if (t != NULL)
		type_close(s, t);
}

/* -------------------------------------------------------------- REQ, RPT, DRQ */

/* A DEC that carries nothing but why there is no decision (RFC 2748 3.2). */
static void send_error(struct session *s, const struct cops_msg *m, uint16_t code, uint16_t sub)
{
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DEC, true, m->client_type);
	cops_put_handle(&b, h->body, h->len);
	cops_put_u16x2(&b, COPS_C_ERROR, 1, code, sub);
	cops_msg_end(&b, mark);
	if (b.failed || cops_conn_send(cops_io_conn(s->io), b.data, b.len) != 0)
		log_warn("%s: cannot answer a request", s->name);
	buf_clear(&b);
}

/* The request-state that a message is of; NULL: none. */
static struct state *state_find(const struct session_type *t, const struct cops_msg *m)
{
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	struct state *x;

	SLIST_FOREACH (x, &t->state, next)
		if (x->len == h->len && memcmp(x->handle, h->body, h->len) == 0)
			return x;
	return NULL;
}

/* That of a REQ, a new one if need be.  NULL: memory. */
static struct state *state_get(struct session_type *t, const struct cops_msg *m)
{
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	struct state *x = state_find(t, m);

	if (x != NULL || (x = malloc(sizeof(*x) + h->len)) == NULL)
		return x;
	x->number = ++t->last;
	x->len = h->len;
	memcpy(x->handle, h->body, h->len);
	SLIST_INSERT_HEAD(&t->state, x, next);
	t->states++;
	return x;
}

static void on_req(struct session *s, struct session_type *t, const struct cops_msg *m)
{
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	const struct pdp_client *client = s->env->conf->client[t->client];
	struct pdp_peer peer = {.name = s->name, .addr = &s->peer};
	enum request_result res;
	struct pdp_request *r;
	uint8_t *cert = NULL;
	struct state *x;

	if (h->len == 0) {
		send_error(s, m, COPS_ERR_BAD_HANDLE, 0);
		return;
	}
	if (t->states == STATES_MAX && state_find(t, m) == NULL) {
		send_error(s, m, COPS_ERR_UNABLE, 0);
		return;
	}
	if (s->ssl != NULL && client->check_row != NULL) {
		cert = tls_peer_cert_der(s->ssl, &peer.cert_len);
		peer.cert = cert != NULL ? cert : (const uint8_t *)""; /* no memory: no match */
		peer.lone = tls_peer_good_alone(s->ssl, s->env->tls);
	}
	res = pdp_request_parse(m, client, s->env->schema[t->client], &peer, &r);
	free(cert);
	if (res != REQUEST_OK) {
		atomic_fetch_add(&s->env->count.bad_messages, 1);
		log_warn("%s: request not taken: %s", s->name,
		    res == REQUEST_MALFORMED ? "malformed" : "out of memory");
		send_error(s, m,
		    res == REQUEST_MALFORMED ? COPS_ERR_BAD_MESSAGE : COPS_ERR_CLIENT_FAILURE, 0);
		return;
	}
	if ((x = state_get(t, m)) == NULL) {
		pdp_request_free(r);
		send_error(s, m, COPS_ERR_CLIENT_FAILURE, 0);
		return;
	}
	up(s, (struct up) {
		  .kind = UP_REQUEST, .client = t->client, .state = x->number, .request = r});
}

/* An accounting report (RFC 3084 5.3); one that cannot be read is passed over. */
static void on_usage(
    struct session *s, struct session_type *t, const struct state *x, const struct cops_msg *m)
{
	const struct pdp_client *client = s->env->conf->client[t->client];
	struct pdp_request *r = NULL;

	if (client->report == NULL)
		return;
	if (pdp_usage_parse(m, client, s->env->schema[t->client], &r) != REQUEST_OK) {
		atomic_fetch_add(&s->env->count.bad_messages, 1);
		log_warn("%s: accounting report not taken", s->name);
		return;
	}
	up(s,
	    (struct up) {.kind = UP_USAGE, .client = t->client, .state = x->number, .request = r});
}

static void on_rpt(struct session *s, struct session_type *t, const struct cops_msg *m)
{
	uint16_t type = cops_obj_hi(&m->slot[COPS_SLOT_REPORT_TYPE]);
	struct pdp_report *r = NULL;
	struct state *x = state_find(t, m);
	struct cops_obj_iter it;
	struct cops_obj named;

	if (x == NULL)
		return; /* of a state deleted meanwhile */
	atomic_fetch_add_explicit(&s->env->count.reports, 1, memory_order_relaxed);
	if (type == COPS_RPT_ACCOUNTING) {
		on_usage(s, t, x, m);
		return;
	}
	if (type != COPS_RPT_SUCCESS && type != COPS_RPT_FAILURE) {
		atomic_fetch_add(&s->env->count.bad_messages, 1);
		session_close(s, COPS_ERR_BAD_MESSAGE, "a report of no known type");
		return;
	}
	cops_si_iter_init(&it, m);
	if (type == COPS_RPT_FAILURE || cops_si_iter_next(&it, &named)) {
		r = pdp_report_parse(m, s->env->schema[t->client]);
		if (r == NULL)
			atomic_fetch_add(&s->env->count.bad_messages, 1);
	}
	up(s, (struct up) {.kind = UP_REPORT,
		  .client = t->client,
		  .state = x->number,
		  .report = (uint8_t)type,
		  .solicited = m->solicited,
		  .fault = r});
}

static void on_drq(struct session *s, struct session_type *t, const struct cops_msg *m)
{
	struct state *x = state_find(t, m);

	if (x == NULL)
		return;
	log_info("%s: request-state deleted: %s", s->name,
	    cops_reason_name(cops_obj_hi(&m->slot[COPS_SLOT_REASON])));
	up(s, (struct up) {.kind = UP_RELEASE, .client = t->client, .state = x->number});
	SLIST_REMOVE(&t->state, x, state, next);
	free(x);
	t->states--;
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct session *s = arg;
	struct session_type *t = type_find(s, m->client_type);

	if (t == NULL)
		return;
	if (fault != NULL) {
		atomic_fetch_add(&s->env->count.bad_messages, 1);
		log_warn("%s: bad %s at octet %u: %s", s->name, cops_op_name(m->op), fault->offset,
		    fault->why);
		if (m->op == COPS_OP_REQ)
			send_error(s, m, fault->code, fault->sub);
		else /* what it says of a decision cannot be known: start over */
			session_close(s, COPS_ERR_BAD_MESSAGE, "bad report");
		return;
	}
	switch (m->op) {
	case COPS_OP_REQ:
		on_req(s, t, m);
		break;
	case COPS_OP_RPT:
		on_rpt(s, t, m);
		break;
	case COPS_OP_DRQ:
		on_drq(s, t, m);
		break;
	default: /* SSC: the requests before it have said everything */
		break;
	}
}

static const struct cops_conn_ops conn_ops = {
    .on_open = on_open,
    .on_client_close = on_client_close,
    .on_msg = on_msg,
};

/* ----------------------------------------------------------------- life, send */

static bool on_secure(void *arg, SSL *ssl)
{
	struct session *s = arg;

	s->ssl = ssl;
	/* Who it is, the OPN says.  The handshake may have begun before a reload. */
	return SSL_get_SSL_CTX(ssl) == s->env->tls || tls_peer_still_good(ssl, s->env->tls);
}

static void on_end(void *arg, const char *why)
{
	struct session *s = arg;
	struct session_type *t;
	char address[ADDR_STRLEN];

	if (s->name != NULL) {
		log_info("%s: session over: %s", s->name, why);
	} else if (!s->refused) {
		if (tls_wanted(s) && s->ssl == NULL)
			atomic_fetch_add(&s->env->count.tls_failed, 1);
		log_note("%s: connection over before %s: %s", addr_print(&s->peer, address),
		    s->ssl == NULL && tls_wanted(s) ? "TLS was up" : "a PEP was accepted", why);
	}
	s->ssl = NULL;
	while ((t = SLIST_FIRST(&s->types)) != NULL)
		type_close(s, t);
	s->env->gone(s->env->arg, s, s->slot);
}

static const struct cops_io_ops io_ops = {.on_secure = on_secure, .on_end = on_end};

/* Called only when there is a trace; any worker's thread. */
static void on_trace(void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct session *s = arg;
	const struct workers_conf *conf = s->env->conf;
	struct cops_namer names = {.gperr = pib_gperr_name, .cperr = pib_cperr_name};
	char address[ADDR_STRLEN];

	for (size_t i = 0; i < conf->clients; i++)
		if (conf->client[i]->client_type == m->client_type) {
			names.class_name = pib_prid_class_name;
			names.arg = s->env->schema[i];
		}
	cops_trace_write(conf->trace, s->name != NULL ? s->name : addr_print(&s->peer, address),
	    out, m, fault, &names);
}

struct session *session_new(struct session_env *env, int fd, uint64_t sid, uint32_t slot)
{
	struct session *s = calloc(1, sizeof(*s));
	struct sockaddr_storage ss;

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->env = env;
	s->sid = sid;
	s->slot = slot;
	SLIST_INIT(&s->types);
	atomic_fetch_add(&env->count.accepted, 1);
	s->io = cops_io_accept(env->pool, fd, env->tls, &env->conn, &conn_ops, &io_ops, s);
	if (s->io == NULL) {
		free(s);
		return NULL;
	}
	if (cops_io_peer(s->io, &ss))
		addr_from_sockaddr(&s->peer, (struct sockaddr *)&ss);
	if (env->conf->trace != NULL)
		cops_conn_trace(cops_io_conn(s->io), on_trace, s);
	atomic_fetch_add(&env->count.sessions, 1);
	return s;
}

void session_free(struct session *s)
{
	struct session_type *t;

	if (s == NULL)
		return;
	atomic_fetch_sub(&s->env->count.sessions, 1);
	while ((t = SLIST_FIRST(&s->types)) != NULL)
		type_free(s, t);
	cops_io_free(s->io);
	free(s->name);
	free(s);
}

uint64_t session_sid(const struct session *s)
{
	return s->sid;
}

void session_send(struct session *s, uint16_t client, uint32_t state, bool solicited,
    struct cops_chunk *const *chunk, size_t n)
{
	uint16_t client_type = s->env->conf->client[client]->client_type;
	struct session_type *t = type_find(s, client_type);
	struct state *x = t != NULL ? SLIST_FIRST(&t->state) : NULL;

	while (x != NULL && x->number != state)
		x = SLIST_NEXT(x, next);
	if (x == NULL)
		return; /* closed or deleted meanwhile: the control thread will hear of it */
	atomic_fetch_add_explicit(&s->env->count.decisions, 1, memory_order_relaxed);
	if (cops_conn_send_dec(
		cops_io_conn(s->io), client_type, solicited, x->handle, x->len, chunk, n) != 0)
		session_close(s, COPS_ERR_UNABLE, "too much unsent");
}

void session_security_changed(struct session *s, enum cops_security was)
{
	struct cops_conn *conn = cops_io_conn(s->io);
	enum cops_security now = s->env->conn.security;

	if (s->ssl == NULL) {
		if (now == COPS_SECURITY_TLS && was != now)
			cops_conn_require_tls(conn);
		else if (now == COPS_SECURITY_INTEGRITY && was != now)
			cops_conn_close(conn, COPS_ERR_AUTH_REQUIRED, COPS_C_INTEGRITY << 8 | 1,
			    "Integrity is required from now on");
		return;
	}
	if (tls_peer_still_good(s->ssl, s->env->tls))
		return;
	log_warn("%s: its certificate is not good any more", s->name != NULL ? s->name : "?");
	session_close(s, COPS_ERR_AUTH_FAILURE, "certificate not good any more");
}

void session_ask(struct session *s, uint16_t client)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_SSQ, false, s->env->conf->client[client]->client_type);
	cops_msg_end(&b, mark);
	if (b.failed || cops_conn_send(cops_io_conn(s->io), b.data, b.len) != 0)
		session_close(s, COPS_ERR_UNABLE, "cannot ask for synchronisation");
	buf_clear(&b);
}

void session_redirect(struct session *s, const struct addr *to, uint16_t port)
{
	size_t len = addr_len(to);
	uint8_t body[20] = {0}; /* address, two octets reserved, port */
	const struct cops_obj obj = {
	    .c_num = COPS_C_PDP_REDIR,
	    .c_type = len == 4 ? 1 : 2,
	    .body = body,
	    .len = (uint16_t)(len + 4),
	};

	memcpy(body, to->octets, len);
	body[len + 2] = (uint8_t)(port >> 8);
	body[len + 3] = (uint8_t)port;
	log_info("%s: sent to its primary server", s->name != NULL ? s->name : "?");
	if (!cops_conn_dead(cops_io_conn(s->io)))
		cops_conn_redirect(cops_io_conn(s->io), &obj);
	cops_io_shutdown(s->io);
}

void session_close(struct session *s, uint16_t error, const char *why)
{
	if (!cops_conn_dead(cops_io_conn(s->io)))
		cops_conn_close(cops_io_conn(s->io), error, 0, why);
	cops_io_shutdown(s->io);
}
