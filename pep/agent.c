/*
 * agent.c - see agent.h.
 *
 *	          OPN          CAT, REQ            DEC
 *	closed ────────▶ opening ────────▶ requesting ────────▶ in sync
 *	   ▲                                 ▲    │ DEC with Error,   │ rows to notify
 *	   └── CC, connection over           │    ▼ malformed DEC     │ changed
 *	                                     └─ backing off ◀─────────┘ (requesting again)
 *
 * What is to be said to the PDP is never queued: flags say that a request is due, and
 * its rows are asked from the client when it can be sent.
 */
#include "pep/agent.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "libcops/cops_conn.h"
#include "pep/cache.h"
#include "pep/dec.h"
#include "pep/link.h"
#include "pep/pep_conf.h"
#include "pep/request.h"
#include "pep/roles.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_store.h"

#define RECONCILE_MIN_MS 1000
#define RECONCILE_MAX_MS 60000
#define CACHE_RETRY_MS	 10000
#define CLIENTS_MAX	 COPS_CONN_TYPES

struct context {
	struct pep_agent *agent;
	const struct pep_client *client;
	void *self;
	struct pib_schema *schema;
	struct pib_store *store;
	struct pep_cache *cache;
	struct pep_request *request;
	struct pep_roles *roles; /* NULL: interfaces have none */
	enum pep_state state;
	uint32_t handle;      /* 0: none is open */
	bool outstanding;     /* a REQ has no decision yet */
	bool due;	      /* a REQ is to be sent when it can be */
	bool sync;	      /* and an SSC after it */
	bool sync_one;	      /* which bears the handle */
	int64_t backoff_ms;   /* for requests refused */
	struct event *timer;  /* request timeout, or the end of backing off */
	struct event *soon;   /* a request is due: once per turn of the loop */
	struct event *repair; /* reconcile */
	int64_t repair_ms;
	struct event *disk; /* cache incomplete */
	struct pep_client_status status;
};

struct pep_agent {
	const struct pep_conf *conf;
	struct pep_link *link;
	struct event *itf; /* interfaces changed; NULL: nobody asks */
	int itf_fd;
	uint32_t last_handle;
	struct context ctx[CLIENTS_MAX];
	size_t count;
};

static const char *const state_names[] = {
    [PEP_CLOSED] = "closed",
    [PEP_OPENING] = "opening",
    [PEP_REQUESTING] = "requesting",
    [PEP_IN_SYNC] = "in sync",
    [PEP_BACKING_OFF] = "backing off",
};

const char *pep_state_name(enum pep_state s)
{
	return state_names[s];
}

static void event_in(struct event *ev, int64_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(ev, &tv);
}

static struct context *by_type(struct pep_agent *a, uint16_t client_type)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->ctx[i].client->client_type == client_type)
			return &a->ctx[i];
	return NULL;
}

static struct context *by_client(const struct pep_agent *a, const struct pep_client *c)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->ctx[i].client == c)
			return (struct context *)(uintptr_t)&a->ctx[i];
	return NULL;
}

/* ------------------------------------------------------------------ sending */

static void handle_octets(const struct context *x, uint8_t h[4])
{
	h[0] = (uint8_t)(x->handle >> 24);
	h[1] = (uint8_t)(x->handle >> 16);
	h[2] = (uint8_t)(x->handle >> 8);
	h[3] = (uint8_t)x->handle;
}

/* Send and clear *b; a message that cannot be sent ends the connection. */
static bool send_buf(struct context *x, struct buf *b)
{
	struct cops_conn *conn = pep_link_conn(x->agent->link);
	bool ok = conn != NULL && !b->failed && cops_conn_send(conn, b->data, b->len) == 0;

	if (!ok && conn != NULL && !cops_conn_dead(conn))
		pep_link_next(x->agent->link, "out of memory");
	buf_clear(b);
	return ok;
}

static void send_drq(
    struct context *x, uint16_t reason, uint16_t sub, const uint8_t *handle, size_t len)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DRQ, false, x->client->client_type);
	cops_put_handle(&b, handle, len);
	cops_put_u16x2(&b, COPS_C_REASON, 1, reason, sub);
	cops_msg_end(&b, mark);
	send_buf(x, &b);
}

static void send_ssc(struct context *x)
{
	uint8_t h[4];
	struct buf b;
	size_t mark;

	handle_octets(x, h);
	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_SSC, false, x->client->client_type);
	if (x->sync_one)
		cops_put_handle(&b, h, sizeof(h));
	cops_msg_end(&b, mark);
	x->sync = false;
	send_buf(x, &b);
}

/* The handle is given up; the next request opens another, with full state. */
static void handle_drop(struct context *x, uint16_t reason, uint16_t sub)
{
	uint8_t h[4];

	handle_octets(x, h);
	if (x->handle != 0)
		send_drq(x, reason, sub, h, sizeof(h));
	x->handle = 0;
	x->outstanding = false;
	x->due = true;
	evtimer_del(x->timer);
	pep_request_forget(x->request);
}

/* Send what is due, if it may be now: one request outstanding per handle. */
static void request_now(struct context *x)
{
	uint8_t h[4];
	struct buf b;
	long rows;

	if (!x->due || x->outstanding || (x->state != PEP_REQUESTING && x->state != PEP_IN_SYNC))
		return;
	if (x->handle == 0)
		x->handle = ++x->agent->last_handle;
	handle_octets(x, h);
	buf_init(&b, 0);
	rows = pep_request_put(x->request, x->store, h, sizeof(h), &b);
	x->due = false;
	if (rows == 0) {
		buf_clear(&b);
		return;
	}
	if (!send_buf(x, &b))
		return;
	log_debug("%s: request with %ld rows", x->client->name, rows);
	x->outstanding = true;
	x->state = PEP_REQUESTING;
	event_in(x->timer, x->agent->conf->request_timeout_ms);
	if (x->sync)
		send_ssc(x);
}

static void back_off(struct context *x)
{
	int64_t max = x->agent->conf->retry_max_ms;

	x->state = PEP_BACKING_OFF;
	x->due = true;
	event_in(x->timer, x->backoff_ms);
	x->backoff_ms = 2 * x->backoff_ms > max ? max : 2 * x->backoff_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct context *x = arg;

	(void)fd;
	(void)what;
	if (x->state == PEP_BACKING_OFF) {
		x->state = PEP_REQUESTING;
		if (x->outstanding) /* refused by another decision than the one waited for */
			event_in(x->timer, x->agent->conf->request_timeout_ms);
	} else if (x->outstanding) {
		log_warn("%s: no decision in %lld ms", x->client->name,
		    (long long)x->agent->conf->request_timeout_ms);
		handle_drop(x, COPS_REASON_TIMEOUT, 0);
	}
	request_now(x);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	request_now(arg);
}

void pep_agent_notify(struct pep_agent *a, const struct pep_client *c)
{
	struct context *x = by_client(a, c);

	if (x == NULL)
		return;
	x->due = true;
	event_in(x->soon, 0);
}

/* Full state, once what is being said has been said. */
static void request_anew(struct context *x)
{
	pep_request_forget(x->request);
	x->due = true;
	event_in(x->soon, 0);
}

/* ------------------------------------------------------------------ decisions */

static void refused(struct context *x, const char *why)
{
	snprintf(x->status.last_error, sizeof(x->status.last_error), "%s", why);
	pep_request_forget(x->request);
	back_off(x);
}

/* The PDP decided that it will not: no report, tried again later (RFC 2748 3.1). */
static void error_take(struct context *x, const struct cops_obj *error)
{
	char text[120];

	snprintf(text, sizeof(text), "the PDP refused the request: %s (%u, %u)",
	    cops_error_name(cops_obj_hi(error)), cops_obj_hi(error), cops_obj_lo(error));
	log_warn("%s: %s", x->client->name, text);
	refused(x, text);
}

static void cache_watch(struct context *x)
{
	struct pib_store *st = x->store;

	if (!pep_cache_complete(x->cache) && pep_cache_retry(x->cache, st) != 0)
		event_in(x->disk, CACHE_RETRY_MS);
}

/* Whose decisions the cache holds now; costs a write only when that is another PDP. */
static void pdp_note(struct context *x)
{
	struct pep_link_status s;

	pep_link_status(x->agent->link, &s);
	pep_cache_pdp_put(x->cache, &s.pdp, s.port);
	(void)pep_cache_flush(x->cache, x->store);
}

static void decision_take(struct context *x, const struct cops_msg *m)
{
	const struct dec_target t = {
	    .client = x->client,
	    .self = x->self,
	    .store = x->store,
	    .cache = x->cache,
	    .roles = x->roles,
	};
	struct dec_outcome out;
	struct buf rpt;

	buf_init(&rpt, 0);
	dec_handle(&t, m, &rpt, &out);
	x->status.decisions++;
	x->status.last_decision = time(NULL);
	if (out.success) {
		pep_link_good(x->agent->link);
		pdp_note(x);
	} else {
		x->status.failures++;
		memcpy(x->status.last_error, out.error, sizeof(x->status.last_error));
	}
	if (!send_buf(x, &rpt))
		return;
	cache_watch(x);
	if (out.changed && x->roles != NULL && pep_roles_take(x->roles, x->store) != 0)
		request_anew(x);
	if (out.changed && x->client->settled != NULL)
		x->client->settled(x->self, x->store);
	if (out.remove_state) {
		handle_drop(x, COPS_REASON_PDP_DIRECTIVE, 0);
		back_off(x);
	} else if (out.request_refused) {
		if (out.refused_cls != NULL && x->client->refused != NULL)
			x->client->refused(x->self, out.refused_cls, out.refused_instance);
		refused(x, "the PDP refused rows of the request");
	} else {
		x->backoff_ms = x->agent->conf->retry_min_ms;
	}
}

static void dec_take(struct context *x, const struct cops_msg *m, const struct cops_fault *fault)
{
	if (fault != NULL) {
		bool unknown = fault->code == COPS_ERR_UNKNOWN_OBJECT;

		log_warn("%s: malformed decision: %s (at octet %u)", x->client->name, fault->why,
		    fault->offset);
		handle_drop(x, unknown ? COPS_REASON_UNKNOWN_OBJECT : COPS_REASON_MALFORMED_DEC,
		    unknown ? fault->sub : 0);
		refused(x, "malformed decision");
		return;
	}
	if (m->solicited && x->outstanding) {
		x->outstanding = false;
		evtimer_del(x->timer);
		if (x->state == PEP_REQUESTING)
			x->state = PEP_IN_SYNC;
	}
	if (cops_msg_has(m, COPS_SLOT_ERROR))
		error_take(x, &m->slot[COPS_SLOT_ERROR]);
	else
		decision_take(x, m);
	request_now(x);
}

/* SSQ: all request-states or one (RFC 2748 3.5); the request comes first, then the SSC. */
static void ssq_take(struct context *x, bool one)
{
	pep_request_forget(x->request);
	x->due = true;
	x->sync = true;
	x->sync_one = one;
	request_now(x);
}

static void on_message(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pep_agent *a = arg;
	struct context *x = by_type(a, m->client_type);
	const struct cops_obj *handle = &m->slot[COPS_SLOT_HANDLE];
	uint8_t h[4];
	bool ours;

	if (x == NULL ||
	    (x->state != PEP_REQUESTING && x->state != PEP_IN_SYNC && x->state != PEP_BACKING_OFF))
		return;
	handle_octets(x, h);
	ours = x->handle != 0 && handle->len == sizeof(h) &&
	       memcmp(handle->body, h, sizeof(h)) == 0;
	if (m->op == COPS_OP_DEC && ours)
		dec_take(x, m, fault);
	else if (m->op == COPS_OP_DEC)
		log_info("%s: a decision for a request that was withdrawn", x->client->name);
	else if (m->op == COPS_OP_SSQ && cops_msg_has(m, COPS_SLOT_HANDLE) && !ours)
		send_drq(x, COPS_REASON_SYNC_UNKNOWN, 0, handle->body, handle->len);
	else if (m->op == COPS_OP_SSQ)
		ssq_take(x, cops_msg_has(m, COPS_SLOT_HANDLE));
	else
		log_warn("%s: %s from a PDP", x->client->name, cops_op_name(m->op));
}

/* ------------------------------------------------------------------ the link */

/* LastPDPAddr, of the PDP a complete set of decisions is cached from (RFC 2748 2.2.14). */
static bool last_pdp(const struct context *x, uint8_t body[20], struct cops_obj *o)
{
	struct addr a;
	uint16_t port;
	size_t len;

	if (!pep_cache_pdp(x->cache, &a, &port))
		return false;
	len = addr_len(&a);
	memcpy(body, a.octets, len);
	body[len] = body[len + 1] = 0;
	body[len + 2] = (uint8_t)(port >> 8);
	body[len + 3] = (uint8_t)port;
	*o = (struct cops_obj) {.c_num = COPS_C_LAST_PDP,
	    .c_type = len == 4 ? 1 : 2,
	    .len = (uint16_t)(len + 4),
	    .body = body};
	return true;
}

static void on_up(void *arg)
{
	struct pep_agent *a = arg;

	for (size_t i = 0; i < a->count; i++) {
		struct context *x = &a->ctx[i];
		struct cops_obj o;
		uint8_t body[20];
		bool has = last_pdp(x, body, &o);

		if (cops_conn_open(
			pep_link_conn(a->link), x->client->client_type, has ? &o : NULL) == 0)
			x->state = PEP_OPENING;
	}
}

static void on_accepted(void *arg, uint16_t client_type)
{
	struct pep_agent *a = arg;
	struct context *x = by_type(a, client_type);

	if (x == NULL || x->state != PEP_OPENING)
		return;
	x->state = PEP_REQUESTING;
	x->due = true;
	pep_request_forget(x->request);
	request_now(x);
}

static void context_close(struct context *x)
{
	x->state = PEP_CLOSED;
	x->handle = 0;
	x->outstanding = false;
	x->sync = false;
	evtimer_del(x->timer);
}

static void on_closed(void *arg, uint16_t client_type, uint16_t error, uint16_t sub)
{
	struct pep_agent *a = arg;
	struct context *x = by_type(a, client_type);

	if (x == NULL)
		return;
	snprintf(x->status.last_error, sizeof(x->status.last_error),
	    "the PDP closed the client-type: %s (%u, %u)", cops_error_name(error), error, sub);
	context_close(x);
	for (size_t i = 0; i < a->count; i++)
		if (a->ctx[i].state != PEP_CLOSED)
			return;
	pep_link_next(a->link, "no client-type is left");
}

static void on_down(void *arg)
{
	struct pep_agent *a = arg;

	for (size_t i = 0; i < a->count; i++)
		context_close(&a->ctx[i]);
}

static const struct pib_schema *on_schema(void *arg, uint16_t client_type)
{
	struct context *x = by_type(arg, client_type);

	return x != NULL ? x->schema : NULL;
}

static const struct pep_link_ops link_ops = {
    .up = on_up,
    .accepted = on_accepted,
    .closed = on_closed,
    .message = on_message,
    .down = on_down,
    .schema = on_schema,
};

/* ------------------------------------------------------------------ reality */

static bool reconcile(struct context *x)
{
	char err[200] = "";

	if (x->client->reconcile == NULL ||
	    x->client->reconcile(x->self, x->store, err, sizeof(err)) == 0) {
		x->repair_ms = RECONCILE_MIN_MS;
		return true;
	}
	log_err("%s: %s; tried again in %lld ms", x->client->name, err, (long long)x->repair_ms);
	snprintf(x->status.last_error, sizeof(x->status.last_error), "%s", err);
	event_in(x->repair, x->repair_ms);
	if (x->repair_ms < RECONCILE_MAX_MS)
		x->repair_ms *= 2;
	return false;
}

static void on_repair(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	reconcile(arg);
}

void pep_agent_reconcile(struct pep_agent *a, const struct pep_client *c)
{
	struct context *x = by_client(a, c);

	if (x != NULL)
		event_in(x->repair, 0);
}

static void on_disk(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cache_watch(arg);
}

/* ------------------------------------------------------------------ interfaces */

/* Interfaces came or went: whose roles are told sends another request (RFC 3318 2.4). */
static void interfaces_take(struct pep_agent *a)
{
	struct kern_if *list = NULL;
	size_t count = 0;

	if (kern_if_list(&list, &count) != 0) {
		log_warn("interfaces cannot be listed: %s", strerror(errno));
		return;
	}
	for (size_t i = 0; i < a->count; i++)
		if (a->ctx[i].roles != NULL &&
		    pep_roles_interfaces(a->ctx[i].roles, list, count) > 0)
			pep_agent_notify(a, a->ctx[i].client);
	free(list);
}

static void on_interfaces(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	kern_if_drain(fd);
	interfaces_take(arg);
}

static int interfaces_watch(struct pep_agent *a, struct event_base *base)
{
	if (a->itf != NULL)
		return 0;
	if ((a->itf_fd = kern_if_watch()) < 0)
		return -1;
	a->itf = event_new(base, a->itf_fd, EV_READ | EV_PERSIST, on_interfaces, a);
	if (a->itf != NULL)
		return event_add(a->itf, NULL);
	close(a->itf_fd);
	return -1;
}

static void interfaces_forget(struct pep_agent *a)
{
	if (a->itf == NULL)
		return;
	event_free(a->itf);
	close(a->itf_fd);
}

static int roles_start(struct context *x, struct event_base *base)
{
	const struct pep_conf *conf = x->agent->conf;
	const struct pep_client *c = x->client;

	if (conf->roles.count == 0 && !c->roles)
		return 0;
	x->roles = pep_roles_new((const char *const *)conf->roles.item, conf->roles.count,
	    c->capability, c->capabilities);
	if (x->roles == NULL || pep_roles_take(x->roles, x->store) < 0 ||
	    interfaces_watch(x->agent, base) != 0)
		return -1;
	pep_request_roles(x->request, x->roles);
	interfaces_take(x->agent);
	return 0;
}

/* ------------------------------------------------------------------ life */

static struct pib_store *store_new(const struct context *x)
{
	struct pib_store *st = pib_store_new(
	    x->schema, PIB_INSTALL, (size_t)x->agent->conf->max_rows);

	if (st != NULL)
		pib_store_limit(st, x->client->limits);
	return st;
}

static int context_events(struct context *x, struct event_base *base)
{
	x->timer = evtimer_new(base, on_timer, x);
	x->soon = evtimer_new(base, on_soon, x);
	x->repair = evtimer_new(base, on_repair, x);
	x->disk = evtimer_new(base, on_disk, x);
	return x->timer != NULL && x->soon != NULL && x->repair != NULL && x->disk != NULL ? 0 : -1;
}

/* What the settings say to a plug-in. */
static const char *argument_of(const struct pep_conf *conf, const struct pep_client *c)
{
	for (size_t i = 0; i < conf->plugins.count; i++)
		if ((const void *)conf->plugins.item[i].head == c)
			return conf->plugins.item[i].argument;
	return "";
}

static int context_start(struct context *x, struct event_base *base, char *err, size_t err_len)
{
	const struct pep_conf *conf = x->agent->conf;
	const struct pep_env env = {
	    .base = base,
	    .agent = x->agent,
	    .identity = pep_link_identity(x->agent->link),
	    .state_dir = conf->state_dir,
	    .conf = conf,
	    .argument = argument_of(conf, x->client),
	    .log = log_at,
	    .notify = pep_agent_notify,
	    .repair = pep_agent_reconcile,
	};
	char path[4200];
	long rows;

	snprintf(err, err_len, "out of memory");
	snprintf(path, sizeof(path), "%s/cache-%s", conf->state_dir, x->client->name);
	x->repair_ms = RECONCILE_MIN_MS;
	x->backoff_ms = conf->retry_min_ms;
	if (context_events(x, base) != 0 ||
	    (x->schema = pib_schema_new(x->client->module, x->client->module_count)) == NULL ||
	    (x->store = store_new(x)) == NULL || (x->cache = pep_cache_new(path)) == NULL ||
	    (rows = pep_cache_load(x->cache, x->store, err, err_len)) < 0 ||
	    (x->self = x->client->start(&env, err, err_len)) == NULL)
		return -1;
	snprintf(err, err_len, "out of memory");
	x->request = pep_request_new(x->client, x->self, (uint32_t)conf->max_msg);
	if (x->request == NULL || roles_start(x, base) != 0)
		return -1;
	log_info("%s: %ld rows from %s", x->client->name, rows, path);
	reconcile(x);
	return 0;
}

struct pep_agent *pep_agent_new(struct event_base *base, const struct pep_conf *conf,
    const struct pep_client *const *client, size_t count, char *err, unsigned long err_len)
{
	struct pep_agent *a = calloc(1, sizeof(*a));

	snprintf(err, err_len, "out of memory");
	if (a == NULL || count > CLIENTS_MAX) {
		free(a);
		return NULL;
	}
	a->conf = conf;
	a->link = pep_link_new(base, conf, &link_ops, a, err, err_len);
	for (size_t i = 0; a->link != NULL && i < count; i++) {
		a->ctx[i].agent = a;
		a->ctx[i].client = client[i];
		a->count++;
		if (context_start(&a->ctx[i], base, err, err_len) != 0) {
			pep_agent_free(a);
			return NULL;
		}
	}
	if (a->link == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

void pep_agent_start(struct pep_agent *a)
{
	pep_link_start(a->link);
}

void pep_agent_stop(struct pep_agent *a, void (*done)(void *arg), void *arg)
{
	pep_link_stop(a->link, done, arg);
}

static void context_clear(struct context *x)
{
	struct event *ev[] = {x->timer, x->soon, x->repair, x->disk};

	if (x->self != NULL)
		x->client->stop(x->self);
	pep_request_free(x->request);
	pep_roles_free(x->roles);
	pep_cache_free(x->cache);
	if (x->store != NULL)
		pib_store_free(x->store);
	if (x->schema != NULL)
		pib_schema_free(x->schema);
	for (size_t i = 0; i < sizeof(ev) / sizeof(ev[0]); i++)
		if (ev[i] != NULL)
			event_free(ev[i]);
}

void pep_agent_free(struct pep_agent *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++)
		context_clear(&a->ctx[i]);
	interfaces_forget(a);
	pep_link_free(a->link);
	free(a);
}

int pep_agent_reload(struct pep_agent *a, char *err, size_t err_len)
{
	return pep_link_reload(a->link, err, err_len);
}

void pep_agent_reconnect(struct pep_agent *a)
{
	pep_link_restart(a->link);
}

/* ------------------------------------------------------------------ looking */

bool pep_agent_online(const struct pep_agent *a)
{
	return pep_link_conn(a->link) != NULL;
}

const char *pep_agent_identity(const struct pep_agent *a)
{
	return pep_link_identity(a->link);
}

const struct pep_client *pep_agent_client(const struct pep_agent *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->ctx[i].client->name, name) == 0)
			return a->ctx[i].client;
	return NULL;
}

const struct pep_client *pep_agent_client_at(const struct pep_agent *a, size_t i)
{
	return i < a->count ? a->ctx[i].client : NULL;
}

void *pep_agent_self(const struct pep_agent *a, const struct pep_client *c)
{
	return by_client(a, c)->self;
}

const struct pib_store *pep_agent_store(const struct pep_agent *a, const struct pep_client *c)
{
	return by_client(a, c)->store;
}

const struct pib_schema *pep_agent_schema(const struct pep_agent *a, const struct pep_client *c)
{
	return by_client(a, c)->schema;
}

static void take_incarnation(void *arg, const struct pib_row *row)
{
	const struct pib_frwk_pib_incarnation *inc = row->data;
	struct pep_client_status *s = arg;

	s->incarnation_len = (uint8_t)(inc->id.len > 255 ? 255 : inc->id.len);
	memcpy(s->incarnation, inc->id.p, s->incarnation_len);
}

void pep_agent_status(
    const struct pep_agent *a, const struct pep_client *c, struct pep_client_status *s)
{
	const struct context *x = by_client(a, c);

	*s = x->status;
	s->state = x->state;
	s->handle = x->handle;
	s->rows = pib_store_count(x->store, NULL);
	s->cache_complete = pep_cache_complete(x->cache);
	pib_store_each(x->store, &pib_frwk_pib_incarnation_class, take_incarnation, s);
}

void pep_agent_link_status(const struct pep_agent *a, struct pep_link_status *s)
{
	pep_link_status(a->link, s);
}
