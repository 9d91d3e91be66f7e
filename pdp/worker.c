/*
 * worker.c - see worker.h.  A session id is worker (8 bits), slot (24) and the slot's
 * generation (32), so an id of a session that is over never finds another one.
 */
#include "pdp/worker.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/diag.h"
#include "common/log.h"
#include "libcops/cops_hmac.h"
#include "libcops/cops_setting.h"
#include "pdp/client.h"
#include "pdp/mailbox.h"
#include "pdp/request.h"
#include "pdp/session.h"
#include "pib/pib_class.h"

#define SLOTS_MAX (1u << 24)
#define BATCH_MIN 64
#define STOP_MS	  2000 /* for CC and close_notify to get out */

enum mail_kind { MAIL_ACCEPT, MAIL_DEC, MAIL_CLOSE, MAIL_ASK, MAIL_SECURITY, MAIL_STOP, MAIL_UP };

struct mail_accept {
	struct mail mail;
	int fd;
};

struct mail_dec {
	struct mail mail;
	uint16_t client;
	bool solicited;
	size_t tos;
	struct worker_to *to; /* behind chunk[] */
	size_t chunks;
	struct cops_chunk *chunk[];
};

struct mail_close {
	struct mail mail;
	uint64_t sid;
	uint16_t error;
	const char *why;
	struct addr to; /* redirected there; family 0: not */
	uint16_t port;
};

struct mail_ask {
	struct mail mail;
	uint64_t sid;
	uint16_t client;
};

struct mail_security { /* what is NULL stays as it was */
	struct mail mail;
	enum cops_security kind;
	SSL_CTX *tls;
	struct cops_hmac_ring *ring;
};

struct mail_up { /* to the control thread: what one turn of the loop brought */
	struct mail mail;
	size_t count;
	size_t cap;
	struct up ev[];
};

struct slot {
	struct session *session; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct worker {
	struct workers *all;
	unsigned index;
	pthread_t thread;
	bool started;
	struct event_base *base;
	struct mailbox *in;
	struct session_env env;
	struct slot *slot;
	uint32_t slots; /* ever used */
	uint32_t slot_cap;
	uint32_t free_slot; /* SLOTS_MAX: none */
	struct mail_up *up;
	bool stopping;
};

struct workers {
	struct workers_conf conf;
	struct pib_schema **schema;
	struct mailbox *out; /* to the control thread */
	atomic_uint_fast64_t refused_full;
	struct worker *worker;
	unsigned next; /* round robin */
	bool stopped;
};

/* ------------------------------------------------------------------- slots */

static uint64_t sid_make(unsigned worker, uint32_t slot, uint32_t generation)
{
	return (uint64_t)(worker + 1) << 56 | (uint64_t)slot << 32 | generation;
}

static struct worker *sid_worker(struct workers *ws, uint64_t sid)
{
	unsigned i = (unsigned)(sid >> 56);

	return i >= 1 && i <= ws->conf.count ? &ws->worker[i - 1] : NULL;
}

static struct session *sid_session(struct worker *w, uint64_t sid)
{
	uint32_t slot = (uint32_t)(sid >> 32) & (SLOTS_MAX - 1);

	if (slot >= w->slots || w->slot[slot].generation != (uint32_t)sid)
		return NULL;
	return w->slot[slot].session;
}

/* SLOTS_MAX: none to be had. */
static uint32_t slot_take(struct worker *w)
{
	uint32_t i = w->free_slot;
	struct slot *more;
	uint32_t cap;

	if (i != SLOTS_MAX) {
		w->free_slot = w->slot[i].next_free;
		w->slot[i].generation++;
		return i;
	}
	if (w->slots == w->slot_cap) {
		cap = w->slot_cap == 0 ? 64 : w->slot_cap * 2;
		more = cap <= SLOTS_MAX ? reallocarray(w->slot, cap, sizeof(*more)) : NULL;
		if (more == NULL)
			return SLOTS_MAX;
		w->slot = more;
		w->slot_cap = cap;
	}
	w->slot[w->slots] = (struct slot) {.generation = 1};
	return w->slots++;
}

static void slot_give(struct worker *w, uint32_t i)
{
	w->slot[i].session = NULL;
	w->slot[i].next_free = w->free_slot;
	w->free_slot = i;
}

/* ------------------------------------------------------------ events going up */

static void up_owned_free(struct up *ev)
{
	switch (ev->kind) {
	case UP_OPEN:
		free(ev->open);
		break;
	case UP_REQUEST:
	case UP_USAGE:
		pdp_request_free(ev->request);
		break;
	case UP_REPORT:
		free(ev->fault);
		break;
	default:
		break;
	}
}

static void up_discard(struct mail *m)
{
	struct mail_up *u = (struct mail_up *)m;

	for (size_t i = 0; i < u->count; i++)
		up_owned_free(&u->ev[i]);
	free(u);
}

static void up_flush(struct worker *w)
{
	if (w->up == NULL)
		return;
	mailbox_put(w->all->out, &w->up->mail);
	w->up = NULL;
}

static void up_put(void *arg, const struct up *ev)
{
	struct worker *w = arg;
	size_t cap = w->up == NULL ? BATCH_MIN : w->up->cap * 2;
	struct mail_up *more = w->up;

	if (w->up == NULL || w->up->count == w->up->cap) {
		more = realloc(w->up, sizeof(*more) + cap * sizeof(more->ev[0]));
		if (more == NULL) {
			/* an event must not be lost, or the two sides disagree */
			log_err("out of memory for the events of sessions");
			abort();
		}
		if (w->up == NULL)
			*more = (struct mail_up) {.mail = {.kind = MAIL_UP, .discard = up_discard}};
		more->cap = cap;
		w->up = more;
	}
	more->ev[more->count++] = *ev;
}

static void on_up(void *arg, struct mail *m)
{
	struct workers *ws = arg;
	struct mail_up *u = (struct mail_up *)m;

	ws->conf.on_up(ws->conf.arg, u->ev, u->count);
	free(u);
}

/* ----------------------------------------------------------- mail for a worker */

static void session_gone(void *arg, struct session *s, uint32_t slot)
{
	session_free(s);
	slot_give(arg, slot);
}

static void take_accept(struct worker *w, struct mail *m)
{
	struct mail_accept *a = (struct mail_accept *)m;
	uint32_t slot = w->stopping ? SLOTS_MAX : slot_take(w);

	if (slot == SLOTS_MAX) {
		close(a->fd);
		return;
	}
	w->slot[slot].session = session_new(
	    &w->env, a->fd, sid_make(w->index, slot, w->slot[slot].generation), slot);
	if (w->slot[slot].session == NULL)
		slot_give(w, slot);
}

static void take_dec(struct worker *w, struct mail *m)
{
	struct mail_dec *d = (struct mail_dec *)m;
	struct session *s;

	for (size_t i = 0; i < d->tos; i++) {
		s = sid_session(w, d->to[i].sid);
		if (s != NULL)
			session_send(
			    s, d->client, d->to[i].state, d->solicited, d->chunk, d->chunks);
	}
	for (size_t i = 0; i < d->chunks; i++)
		cops_chunk_unref(d->chunk[i]);
}

static void take_close(struct worker *w, struct mail *m)
{
	struct mail_close *c = (struct mail_close *)m;
	struct session *s = sid_session(w, c->sid);

	if (s != NULL && c->to.family != 0)
		session_redirect(s, &c->to, c->port);
	else if (s != NULL)
		session_close(s, c->error, c->why);
}

static void take_ask(struct worker *w, struct mail *m)
{
	struct mail_ask *a = (struct mail_ask *)m;
	struct session *s = sid_session(w, a->sid);

	if (s != NULL)
		session_ask(s, a->client);
}

/* Sessions that were protected in another way go on with what they have. */
static void security_set(struct session_env *env, const struct mail_security *s)
{
	env->conn.security = s->kind;
	if (s->tls != NULL) {
		SSL_CTX_free(env->tls);
		env->tls = s->tls;
	}
	if (s->ring != NULL) {
		cops_hmac_ring_unref(env->conn.integrity.ring);
		env->conn.integrity.ring = s->ring;
	}
}

static void take_security(struct worker *w, struct mail *m)
{
	enum cops_security was = w->env.conn.security;

	security_set(&w->env, (struct mail_security *)m);
	for (uint32_t i = 0; i < w->slots; i++)
		if (w->slot[i].session != NULL)
			session_security_changed(w->slot[i].session, was);
}

static void take_stop(struct worker *w, struct mail *m)
{
	const struct timeval tv = {.tv_sec = STOP_MS / 1000};

	(void)m;
	w->stopping = true;
	event_base_loopexit(w->base, &tv);
	for (uint32_t i = 0; i < w->slots; i++)
		if (w->slot[i].session != NULL)
			session_close(w->slot[i].session, COPS_ERR_SHUTDOWN, "shutting down");
}

static void on_mail(void *arg, struct mail *m)
{
	static void (*const take[])(struct worker * w, struct mail * m) = {
	    [MAIL_ACCEPT] = take_accept,
	    [MAIL_DEC] = take_dec,
	    [MAIL_CLOSE] = take_close,
	    [MAIL_ASK] = take_ask,
	    [MAIL_SECURITY] = take_security,
	    [MAIL_STOP] = take_stop,
	};

	take[m->kind](arg, m);
	free(m);
}

static void discard_accept(struct mail *m)
{
	close(((struct mail_accept *)m)->fd);
	free(m);
}

static void discard_dec(struct mail *m)
{
	struct mail_dec *d = (struct mail_dec *)m;

	for (size_t i = 0; i < d->chunks; i++)
		cops_chunk_unref(d->chunk[i]);
	free(d);
}

static void discard_security(struct mail *m)
{
	struct mail_security *s = (struct mail_security *)m;

	SSL_CTX_free(s->tls);
	cops_hmac_ring_unref(s->ring);
	free(s);
}

static void discard_plain(struct mail *m)
{
	free(m);
}

/* ------------------------------------------------------------------ the thread */

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	bool over = false;

	/* one turn of the loop, then what it brought goes up in one message */
	while (!over && event_base_loop(w->base, EVLOOP_ONCE) == 0) {
		up_flush(w);
		over = w->stopping &&
		       (event_base_got_exit(w->base) || atomic_load(&w->env.count.sessions) == 0);
	}
	for (uint32_t i = 0; i < w->slots; i++)
		session_free(w->slot[i].session);
	up_flush(w);
	return NULL;
}

static struct cops_hmac_ring *ring_read(const char *path, char err[TLS_ERR_LEN])
{
	struct cops_hmac_ring *ring;
	struct diag d;

	diag_init(&d);
	ring = cops_setting_ring(path, &d);
	if (ring == NULL)
		diag_first(&d, err, TLS_ERR_LEN);
	diag_clear(&d);
	return ring;
}

/* What one worker needs to protect sessions so: a context of its own, a reference to ring. */
static struct mail_security *security_make(
    const struct worker_security *s, struct cops_hmac_ring *ring, char err[TLS_ERR_LEN])
{
	struct mail_security *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->mail = (struct mail) {.kind = MAIL_SECURITY, .discard = discard_security};
	m->kind = s->kind;
	if (ring != NULL)
		m->ring = cops_hmac_ring_ref(ring);
	if (s->kind == COPS_SECURITY_TLS &&
	    (m->tls = tls_server_ctx_new(s->cert, s->key, s->ca, s->crl, err)) == NULL) {
		discard_security(&m->mail);
		return NULL;
	}
	return m;
}

/* One for each worker, or none of them. */
static int security_make_all(struct workers *ws, const struct worker_security *s,
    struct mail_security *mail[WORKERS_MAX], char err[TLS_ERR_LEN])
{
	struct cops_hmac_ring *ring = NULL;
	unsigned n = 0;

	snprintf(err, TLS_ERR_LEN, "out of memory");
	if (s->kind == COPS_SECURITY_INTEGRITY && (ring = ring_read(s->keys, err)) == NULL)
		return -1;
	while (n < ws->conf.count && (mail[n] = security_make(s, ring, err)) != NULL)
		n++;
	cops_hmac_ring_unref(ring);
	if (n == ws->conf.count)
		return 0;
	while (n-- > 0)
		discard_security(&mail[n]->mail);
	return -1;
}

static int worker_start(
    struct worker *w, struct workers *ws, unsigned index, const struct mail_security *security)
{
	w->all = ws;
	w->index = index;
	w->free_slot = SLOTS_MAX;
	w->env.conf = &ws->conf;
	w->env.schema = ws->schema;
	w->env.conn = ws->conf.conn;
	w->env.conn.integrity.unix_ms = cops_io_unix_ms;
	w->env.conn.integrity.first_number = cops_io_first_number;
	security_set(&w->env, security);
	w->env.up = up_put;
	w->env.gone = session_gone;
	w->env.arg = w;
	w->base = event_base_new();
	if (w->base == NULL || (w->in = mailbox_new(w->base, on_mail, w)) == NULL ||
	    (w->env.pool = cops_io_pool_new(w->base)) == NULL)
		return -1;
	if (pthread_create(&w->thread, NULL, worker_run, w) != 0)
		return -1;
	w->started = true;
	return 0;
}

static int schemas_make(struct workers *ws)
{
	const struct pdp_client *c;

	ws->schema = calloc(ws->conf.clients, sizeof(*ws->schema));
	if (ws->schema == NULL)
		return -1;
	for (size_t i = 0; i < ws->conf.clients; i++) {
		c = ws->conf.client[i];
		ws->schema[i] = pib_schema_new(c->module, c->modules);
		if (ws->schema[i] == NULL)
			return -1;
	}
	return 0;
}

struct workers *workers_new(
    struct event_base *base, const struct workers_conf *conf, char err[TLS_ERR_LEN])
{
	struct mail_security *security[WORKERS_MAX] = {0};
	struct workers *ws = calloc(1, sizeof(*ws));
	bool ok = true;

	snprintf(err, TLS_ERR_LEN, "out of memory for the workers");
	if (ws == NULL)
		return NULL;
	ws->conf = *conf;
	if (ws->conf.count > WORKERS_MAX)
		ws->conf.count = WORKERS_MAX;
	ws->out = mailbox_new(base, on_up, ws);
	ws->worker = calloc(ws->conf.count, sizeof(*ws->worker));
	if (ws->out == NULL || ws->worker == NULL || schemas_make(ws) != 0)
		goto bad;
	if (security_make_all(ws, &conf->security, security, err) != 0)
		goto bad;
	for (unsigned i = 0; i < ws->conf.count; i++) {
		ok = worker_start(&ws->worker[i], ws, i, security[i]) == 0 && ok;
		free(security[i]); /* the worker has what is in it */
	}
	if (ok)
		return ws;
	snprintf(err, TLS_ERR_LEN, "out of memory for the workers");
bad:
	workers_stop(ws);
	workers_free(ws);
	return NULL;
}

void workers_stop(struct workers *ws)
{
	struct worker *w;
	struct mail *m;

	if (ws == NULL || ws->stopped)
		return;
	ws->stopped = true;
	for (unsigned i = 0; ws->worker != NULL && i < ws->conf.count; i++) {
		w = &ws->worker[i];
		m = w->started ? calloc(1, sizeof(*m)) : NULL;
		if (m == NULL)
			continue;
		*m = (struct mail) {.kind = MAIL_STOP, .discard = discard_plain};
		mailbox_put(w->in, m);
	}
	for (unsigned i = 0; ws->worker != NULL && i < ws->conf.count; i++)
		if (ws->worker[i].started)
			pthread_join(ws->worker[i].thread, NULL);
	/* the last reports count: they are the truth about what holds */
	if (ws->out != NULL)
		mailbox_drain(ws->out);
}

static void worker_clear(struct worker *w)
{
	mailbox_free(w->in);
	if (w->env.pool != NULL)
		cops_io_pool_free(w->env.pool);
	if (w->base != NULL)
		event_base_free(w->base);
	SSL_CTX_free(w->env.tls);
	cops_hmac_ring_unref(w->env.conn.integrity.ring);
	free(w->slot);
}

void workers_free(struct workers *ws)
{
	if (ws == NULL)
		return;
	workers_stop(ws);
	for (unsigned i = 0; ws->worker != NULL && i < ws->conf.count; i++)
		worker_clear(&ws->worker[i]);
	mailbox_free(ws->out);
	for (size_t i = 0; ws->schema != NULL && i < ws->conf.clients; i++)
		pib_schema_free(ws->schema[i]);
	free(ws->schema);
	free(ws->worker);
	free(ws);
}

/* ------------------------------------------------ what the control thread asks */

void workers_stats(struct workers *ws, struct workers_stats *st)
{
	struct session_counters *c;

	*st = (struct workers_stats) {.refused_full = atomic_load(&ws->refused_full)};
	for (unsigned i = 0; i < ws->conf.count; i++) {
		c = &ws->worker[i].env.count;
		st->sessions += atomic_load(&c->sessions);
		st->accepted += atomic_load(&c->accepted);
		st->tls_failed += atomic_load(&c->tls_failed);
		st->refused_identity += atomic_load(&c->refused_identity);
		st->refused_type += atomic_load(&c->refused_type);
		st->bad_messages += atomic_load(&c->bad_messages);
		st->decisions += atomic_load(&c->decisions);
		st->reports += atomic_load(&c->reports);
	}
}

void workers_accept(struct workers *ws, int fd)
{
	struct mail_accept *a;
	struct workers_stats st;

	workers_stats(ws, &st);
	a = st.sessions < ws->conf.max_sessions ? malloc(sizeof(*a)) : NULL;
	if (a == NULL) {
		atomic_fetch_add(&ws->refused_full, 1);
		close(fd);
		return;
	}
	*a = (struct mail_accept) {
	    .mail = {.kind = MAIL_ACCEPT, .discard = discard_accept}, .fd = fd};
	mailbox_put(ws->worker[ws->next].in, &a->mail);
	ws->next = (ws->next + 1) % ws->conf.count;
}

/* One worker's share of a DEC to many. */
static struct mail_dec *dec_make(
    uint16_t client, bool solicited, size_t tos, struct cops_chunk *const *chunk, size_t n)
{
	struct mail_dec *d = malloc(sizeof(*d) + n * sizeof(d->chunk[0]) + tos * sizeof(*d->to));

	if (d == NULL)
		return NULL;
	*d = (struct mail_dec) {
	    .mail = {.kind = MAIL_DEC, .discard = discard_dec},
	    .client = client,
	    .solicited = solicited,
	    .to = (struct worker_to *)(void *)&d->chunk[n],
	    .chunks = n,
	};
	for (size_t i = 0; i < n; i++)
		d->chunk[i] = cops_chunk_ref(chunk[i]);
	return d;
}

int workers_send(struct workers *ws, uint16_t client, bool solicited, const struct worker_to *to,
    size_t tos, struct cops_chunk *const *chunk, size_t n)
{
	struct mail_dec *mail[WORKERS_MAX] = {0};
	size_t count[WORKERS_MAX] = {0};
	struct worker *w;
	unsigned k;

	for (size_t i = 0; i < tos; i++)
		if ((w = sid_worker(ws, to[i].sid)) != NULL)
			count[w->index]++;
	for (k = 0; k < ws->conf.count; k++) {
		if (count[k] == 0)
			continue;
		mail[k] = dec_make(client, solicited, count[k], chunk, n);
		if (mail[k] == NULL)
			goto bad;
	}
	for (size_t i = 0; i < tos; i++)
		if ((w = sid_worker(ws, to[i].sid)) != NULL)
			mail[w->index]->to[mail[w->index]->tos++] = to[i];
	for (k = 0; k < ws->conf.count; k++)
		if (mail[k] != NULL)
			mailbox_put(ws->worker[k].in, &mail[k]->mail);
	return 0;
bad:
	while (k-- > 0)
		if (mail[k] != NULL)
			discard_dec(&mail[k]->mail);
	return -1;
}

void workers_close(struct workers *ws, uint64_t sid, uint16_t error, const char *why)
{
	struct worker *w = sid_worker(ws, sid);
	struct mail_close *c = w != NULL ? malloc(sizeof(*c)) : NULL;

	if (c == NULL)
		return;
	*c = (struct mail_close) {.mail = {.kind = MAIL_CLOSE, .discard = discard_plain},
	    .sid = sid,
	    .error = error,
	    .why = why};
	mailbox_put(w->in, &c->mail);
}

void workers_ask(struct workers *ws, uint16_t client, uint64_t sid)
{
	struct worker *w = sid_worker(ws, sid);
	struct mail_ask *a = w != NULL ? malloc(sizeof(*a)) : NULL;

	if (a == NULL)
		return; /* no request comes in time: the session ends, and it connects anew */
	*a = (struct mail_ask) {
	    .mail = {.kind = MAIL_ASK, .discard = discard_plain}, .sid = sid, .client = client};
	mailbox_put(w->in, &a->mail);
}

void workers_redirect(struct workers *ws, uint64_t sid, const struct addr *to, uint16_t port)
{
	struct worker *w = sid_worker(ws, sid);
	struct mail_close *c = w != NULL ? malloc(sizeof(*c)) : NULL;

	if (c == NULL)
		return; /* it stays */
	*c = (struct mail_close) {.mail = {.kind = MAIL_CLOSE, .discard = discard_plain},
	    .sid = sid,
	    .to = *to,
	    .port = port};
	mailbox_put(w->in, &c->mail);
}

int workers_reload(struct workers *ws, const struct worker_security *s, char err[TLS_ERR_LEN])
{
	struct mail_security *mail[WORKERS_MAX] = {0};

	if (security_make_all(ws, s, mail, err) != 0)
		return -1;
	for (unsigned i = 0; i < ws->conf.count; i++)
		mailbox_put(ws->worker[i].in, &mail[i]->mail);
	return 0;
}
