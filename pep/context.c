/*
 * context.c - one request-state (RFC 3084 3.1):
 *
 *	          CAT, REQ            DEC
 *	closed ────────────▶ requesting ────────▶ in sync
 *	   ▲                   ▲    │ DEC with Error,   │ rows to notify
 *	   └── connection or   │    ▼ malformed DEC     │ changed
 *	       client-type     └─ backing off ◀─────────┘ (requesting again)
 *	       over
 *
 * What is to be said to the PDP is never queued: flags say that a request is due, and
 * its rows are asked from the client when it can be sent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/log.h"
#include "pep/agent_int.h"
#include "pep/cache.h"
#include "pep/dec.h"
#include "pep/feedback.h"
#include "pep/link.h"
#include "pep/request.h"
#include "pep/roles.h"
#include "pib/pib_store.h"

#define CACHE_RETRY_MS 10000

/* ------------------------------------------------------------------ sending */

void context_handle(const struct context *x, uint8_t h[4])
{
	h[0] = (uint8_t)(x->handle >> 24);
	h[1] = (uint8_t)(x->handle >> 16);
	h[2] = (uint8_t)(x->handle >> 8);
	h[3] = (uint8_t)x->handle;
}

struct context *type_context(struct pep_type *t, const struct cops_obj *handle)
{
	uint8_t h[4];

	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++) {
		struct context *x = &t->ctx[i];

		context_handle(x, h);
		if (x->used && x->handle != 0 && handle->len == sizeof(h) &&
		    memcmp(handle->body, h, sizeof(h)) == 0)
			return x;
	}
	return NULL;
}

/* Send and clear *b; a message that cannot be sent ends the connection. */
static bool send_buf(struct pep_type *t, struct buf *b)
{
	struct cops_conn *conn = pep_link_conn(t->agent->link);
	bool ok = conn != NULL && !b->failed && cops_conn_send(conn, b->data, b->len) == 0;

	if (!ok && conn != NULL && !cops_conn_dead(conn))
		pep_link_next(t->agent->link, "out of memory");
	buf_clear(b);
	return ok;
}

void type_send_drq(
    struct pep_type *t, uint16_t reason, uint16_t sub, const uint8_t *handle, size_t len)
{
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DRQ, false, t->client->client_type);
	cops_put_handle(&b, handle, len);
	cops_put_u16x2(&b, COPS_C_REASON, 1, reason, sub);
	cops_msg_end(&b, mark);
	send_buf(t, &b);
}

static void send_ssc(struct pep_type *t, const struct context *one)
{
	uint8_t h[4];
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_SSC, false, t->client->client_type);
	if (one != NULL) {
		context_handle(one, h);
		cops_put_handle(&b, h, sizeof(h));
	}
	cops_msg_end(&b, mark);
	send_buf(t, &b);
}

/* x's request of a synchronisation went out; the SSC comes after the last one. */
static void synchronised(struct context *x)
{
	struct pep_type *t = x->type;

	x->sync = false;
	if (x->sync_one) {
		x->sync_one = false;
		send_ssc(t, x);
	}
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used && t->ctx[i].sync)
			return;
	if (t->sync) {
		t->sync = false;
		send_ssc(t, NULL);
	}
}

/* The handle is given up; the next request opens another, with full state. */
static void handle_drop(struct context *x, uint16_t reason, uint16_t sub)
{
	uint8_t h[4];

	if (x->handle != 0) {
		if (x->type->active == x)
			type_usage(x->type, true); /* RFC 3571 2.2.2: before the DRQ */
		context_handle(x, h);
		type_send_drq(x->type, reason, sub, h, sizeof(h));
	}
	x->handle = 0;
	x->outstanding = false;
	x->due = true;
	evtimer_del(x->timer);
	pep_request_forget(x->request);
	if (x->type->active == x && x->type->feedback != NULL) {
		pep_feedback_end(x->type->feedback);
		type_usage_rows(x->type);
	}
}

static void request_send(struct context *x)
{
	const struct pep_conf *conf = x->type->agent->conf;
	uint8_t h[4];
	struct buf b;
	long rows;

	if (x->handle == 0)
		x->handle = ++x->type->agent->last_handle;
	context_handle(x, h);
	buf_init(&b, 0);
	rows = pep_request_put(x->request, x->store, x->type->active == x, h, sizeof(h), &b);
	x->due = false;
	if (rows == 0) {
		buf_clear(&b);
		return;
	}
	if (!send_buf(x->type, &b))
		return;
	log_debug("%s: request with %ld rows", x->type->client->name, rows);
	x->outstanding = true;
	x->state = PEP_REQUESTING;
	agent_event_in(x->timer, conf->request_timeout_ms);
	if (x->sync)
		synchronised(x);
}

/* Send what is due, if it may be now: one request outstanding per handle. */
static void request_now(struct context *x)
{
	if (x->due && !x->outstanding && (x->state == PEP_REQUESTING || x->state == PEP_IN_SYNC))
		request_send(x);
}

/*
 * What the client wants said before the report that follows: also while another request is
 * outstanding, whose decision then stands for both.  One that the PDP refused it hears of later,
 * and until then believes nothing of us.
 */
static void request_first(struct context *x)
{
	x->due = true;
	if (x->handle != 0 && (x->state == PEP_REQUESTING || x->state == PEP_IN_SYNC))
		request_send(x);
}

static void back_off(struct context *x)
{
	int64_t max = x->type->agent->conf->retry_max_ms;

	x->state = PEP_BACKING_OFF;
	x->due = true;
	agent_event_in(x->timer, x->backoff_ms);
	x->backoff_ms = 2 * x->backoff_ms > max ? max : 2 * x->backoff_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct context *x = arg;
	int64_t timeout_ms = x->type->agent->conf->request_timeout_ms;

	(void)fd;
	(void)what;
	if (x->state == PEP_BACKING_OFF) {
		x->state = PEP_REQUESTING;
		if (x->outstanding) /* refused by another decision than the one waited for */
			agent_event_in(x->timer, timeout_ms);
	} else if (x->outstanding) {
		log_warn(
		    "%s: no decision in %lld ms", x->type->client->name, (long long)timeout_ms);
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

void context_request_soon(struct context *x)
{
	x->due = true;
	agent_event_in(x->soon, 0);
}

/* Full state, once what is being said has been said. */
void context_request_anew(struct context *x)
{
	pep_request_forget(x->request);
	context_request_soon(x);
}

/* ------------------------------------------------------------------ usage feedback */

void type_usage(struct pep_type *t, bool final)
{
	struct context *x = t->active;
	uint8_t h[4];
	struct buf b;
	long rows;

	if (t->feedback == NULL || !t->open || x == NULL || x->handle == 0)
		return;
	if (final)
		pep_feedback_sample(t->feedback, x->store);
	context_handle(x, h);
	buf_init(&b, 0);
	rows = pep_feedback_put(t->feedback, x->store,
	    final ? PEP_FEEDBACK_FINAL : PEP_FEEDBACK_DUE, h, sizeof(h), agent_now_ms(), &b);
	if (rows > 0)
		send_buf(t, &b);
	else
		buf_clear(&b);
}

static void usage_arm(struct pep_type *t)
{
	int64_t now = agent_now_ms();
	int64_t next = t->feedback != NULL ? pep_feedback_next(t->feedback, now) : INT64_MAX;

	if (next != INT64_MAX)
		agent_event_in(t->usage, next > now ? next - now : 0);
	else if (t->usage != NULL)
		evtimer_del(t->usage);
}

void type_usage_stir(struct pep_type *t)
{
	if (!t->open || !pep_feedback_any(t->feedback))
		return;
	pep_feedback_stir(t->feedback, agent_now_ms());
	usage_arm(t);
}

void type_usage_rows(struct pep_type *t)
{
	if (t->feedback == NULL)
		return;
	pep_feedback_rows(t->feedback, active_store(t), agent_now_ms());
	usage_arm(t);
}

/* ------------------------------------------------------------------ decisions */

static void refused(struct context *x, const char *why)
{
	struct pep_client_status *s = &x->type->status;

	snprintf(s->last_error, sizeof(s->last_error), "%s", why);
	pep_request_forget(x->request);
	back_off(x);
}

/* The PDP decided that it will not: no report, tried again later (RFC 2748 3.1). */
static void error_take(struct context *x, const struct cops_obj *error)
{
	char text[120];

	snprintf(text, sizeof(text), "the PDP refused the request: %s (%u, %u)",
	    cops_error_name(cops_obj_hi(error)), cops_obj_hi(error), cops_obj_lo(error));
	log_warn("%s: %s", x->type->client->name, text);
	refused(x, text);
}

static void cache_watch(struct context *x)
{
	if (!pep_cache_complete(x->cache) && pep_cache_retry(x->cache, x->store) != 0)
		agent_event_in(x->disk, CACHE_RETRY_MS);
}

static void on_disk(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	cache_watch(arg);
}

/* Whose decisions the cache holds now; costs a write only when that is another PDP. */
static void pdp_note(struct context *x)
{
	struct pep_link_status s;

	pep_link_status(x->type->agent->link, &s);
	pep_cache_pdp_put(x->cache, &s.pdp, s.port);
	(void)pep_cache_flush(x->cache, x->store);
}

/* Of rows that the enforcer does not see: framework rows that only the agent understands. */
static int dec_judge(void *arg, struct pib_txn *txn)
{
	struct context *x = arg;
	struct pep_type *t = x->type;

	if (t->roles != NULL && pep_roles_judge(t->roles, x->store, txn) != 0)
		return -1;
	return t->feedback != NULL ? pep_feedback_judge(t->feedback, x->store, txn) : 0;
}

static int dec_enforce(void *arg, struct pib_txn *txn, bool remove_state)
{
	struct context *x = arg;
	struct pep_type *t = x->type;
	const struct pib_change *c;

	if (remove_state)
		return t->active == x ? DEC_END_FIRST : 0;
	switch (active_judge(x)) {
	case ACTIVE_STORE:
		break;
	case ACTIVE_ENFORCE:
		return pib_txn_changes(txn, &c) == 0 ? 0
						     : t->client->enforce(t->self, x->store, txn);
	case ACTIVE_TAKE_OVER:
		type_usage(t, true);
		return active_take_over(x, txn) == 0 ? DEC_TAKEN : -1;
	case ACTIVE_DEACTIVATE:
		return DEC_END_FIRST;
	}
	return 0;
}

static int dec_end(void *arg, struct pib_txn **txn)
{
	struct context *x = arg;

	type_usage(x->type, true); /* RFC 3571 2.2.2: before it is deactivated */
	return active_end(x->type, txn);
}

static void dec_action(void *arg, const struct pib_row *row)
{
	struct context *x = arg;

	if (x->type->feedback != NULL && x->type->active == x)
		pep_feedback_action(x->type->feedback, x->store, row);
}

static unsigned contexts(const struct pep_type *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		n += t->ctx[i].used;
	return n;
}

static struct context *context_free_find(struct pep_type *t)
{
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (!t->ctx[i].used)
			return &t->ctx[i];
	return NULL;
}

/* Another request-state, as the PDP wants it: all that can fail does before the report. */
static uint16_t dec_open(void *arg)
{
	struct pep_type *t = ((struct context *)arg)->type;
	struct context *x = context_free_find(t);
	char err[200];

	if (x == NULL || contexts(t) >= (unsigned)t->agent->conf->max_contexts)
		return PIB_GPERR_MAX_STATES;
	if (x->store == NULL && context_start(x, err, sizeof(err)) < 0) {
		log_err("%s: no request-state: %s", t->client->name, err);
		return PIB_GPERR_MEM_EXHAUSTED;
	}
	t->opening = x;
	return 0;
}

static const struct dec_ops dec_ops = {.judge = dec_judge,
    .enforce = dec_enforce,
    .end = dec_end,
    .open = dec_open,
    .action = dec_action};

/* What follows the report of a decision that holds. */
static void decided(struct context *x, const struct dec_outcome *out)
{
	struct pep_type *t = x->type;

	if (out->taken)
		active_taken(x);
	if (out->changed && t->roles != NULL && pep_roles_take(t->roles, active_store(t)) != 0)
		for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
			if (t->ctx[i].used)
				context_request_anew(&t->ctx[i]);
	if ((out->changed || out->ended) && t->client->settled != NULL &&
	    (t->active == x || out->ended))
		t->client->settled(t->self, active_store(t));
	if (t->feedback != NULL && (out->taken || out->ended))
		pep_feedback_end(t->feedback);
	if (out->links || out->taken || out->ended)
		type_usage_rows(t);
	else
		usage_arm(t); /* an action may ask for a report now */
}

static void state_removed(struct context *x)
{
	struct pep_type *t = x->type;

	handle_drop(x, COPS_REASON_PDP_DIRECTIVE, 0);
	if (contexts(t) > 1) {
		context_remove(x);
		return;
	}
	t->deactivated = false; /* the next one may be in force again */
	back_off(x);
}

static void decision_take(struct context *x, const struct cops_msg *m)
{
	struct pep_type *t = x->type;
	const struct dec_target target = {
	    .client = t->client,
	    .self = t->self,
	    .store = x->store,
	    .cache = x->cache,
	    .ops = &dec_ops,
	    .arg = x,
	    .max_msg = (uint32_t)t->agent->conf->max_msg,
	};
	struct dec_outcome out;
	struct buf rpt;

	buf_init(&rpt, 0);
	dec_handle(&target, m, &rpt, &out);
	t->status.decisions++;
	t->status.last_decision = time(NULL);
	if (out.success) {
		pep_link_good(t->agent->link);
		pdp_note(x);
	} else {
		t->status.failures++;
		memcpy(t->status.last_error, out.error, sizeof(out.error));
		if (out.ended)
			active_back(x);
	}
	if (t->first && out.success)
		request_first(x);
	t->first = false;
	if (!send_buf(t, &rpt))
		return;
	cache_watch(x);
	decided(x, &out);
	if (out.remove_state) {
		state_removed(x);
	} else if (out.request_refused) {
		if (out.refused_cls != NULL && t->client->refused != NULL)
			t->client->refused(t->self, out.refused_cls, out.refused_instance);
		refused(x, "the PDP refused rows of the request");
	} else {
		x->backoff_ms = t->agent->conf->retry_min_ms;
	}
	if (out.open_state) {
		t->opening->used = true;
		context_opened(t->opening);
	}
}

void context_dec(struct context *x, const struct cops_msg *m, const struct cops_fault *fault)
{
	if (fault != NULL) {
		bool unknown = fault->code == COPS_ERR_UNKNOWN_OBJECT;

		log_warn("%s: malformed decision: %s (at octet %u)", x->type->client->name,
		    fault->why, fault->offset);
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
	if (x->used)
		request_now(x);
}

/* SSQ: all request-states or one (RFC 2748 3.5); the request comes first, then the SSC. */
void context_ssq(struct context *x, bool one)
{
	pep_request_forget(x->request);
	x->due = true;
	x->sync = true;
	x->sync_one |= one;
	request_now(x);
}

/* ------------------------------------------------------------------ life */

void context_close(struct context *x)
{
	x->state = PEP_CLOSED;
	x->handle = 0;
	x->outstanding = false;
	x->sync = x->sync_one = false;
	if (x->timer != NULL)
		evtimer_del(x->timer);
}

void context_opened(struct context *x)
{
	x->state = PEP_REQUESTING;
	x->due = true;
	pep_request_forget(x->request);
	request_now(x);
}

static struct pib_store *store_new(const struct pep_type *t)
{
	struct pib_store *st = pib_store_new(
	    t->schema, PIB_INSTALL, (size_t)t->agent->conf->max_rows);

	if (st != NULL)
		pib_store_limit(st, t->client->limits);
	return st;
}

static int parts_new(struct context *x)
{
	const struct pep_conf *conf = x->type->agent->conf;
	struct event_base *base = x->type->agent->base;
	char path[4200], number[12] = "";

	if (x->slot > 0)
		snprintf(number, sizeof(number), ".%u", x->slot);
	snprintf(
	    path, sizeof(path), "%s/cache-%s%s", conf->state_dir, x->type->client->name, number);
	x->timer = evtimer_new(base, on_timer, x);
	x->soon = evtimer_new(base, on_soon, x);
	x->disk = evtimer_new(base, on_disk, x);
	x->store = store_new(x->type);
	x->cache = pep_cache_new(path);
	x->request = pep_request_new(
	    x->type->client, x->type->self, (uint32_t)conf->max_msg, (uint32_t)conf->max_contexts);
	if (x->timer == NULL || x->soon == NULL || x->disk == NULL || x->store == NULL ||
	    x->cache == NULL || x->request == NULL)
		return -1;
	pep_request_roles(x->request, x->type->roles);
	return 0;
}

long context_start(struct context *x, char *err, size_t err_len)
{
	long rows;

	snprintf(err, err_len, "out of memory");
	x->backoff_ms = x->type->agent->conf->retry_min_ms;
	rows = parts_new(x) == 0 ? pep_cache_load(x->cache, x->store, err, err_len) : -1;
	if (rows < 0)
		context_clear(x);
	return rows;
}

void context_clear(struct context *x)
{
	struct event *ev[] = {x->timer, x->soon, x->disk};

	for (size_t i = 0; i < sizeof(ev) / sizeof(ev[0]); i++)
		if (ev[i] != NULL)
			event_free(ev[i]);
	pep_request_free(x->request);
	pep_cache_free(x->cache);
	if (x->store != NULL)
		pib_store_free(x->store);
	*x = (struct context) {.type = x->type, .slot = x->slot};
}

void context_remove(struct context *x)
{
	struct pib_txn *txn;

	pep_cache_forget(x->cache);
	if (x->slot > 0) {
		context_clear(x);
		return;
	}
	/* the first one stays, empty, to be used when it is needed again */
	context_close(x);
	x->used = false;
	if ((txn = pib_txn_begin(x->store)) == NULL)
		return;
	pib_txn_remove_all(txn);
	pib_txn_commit(txn);
}
