/*
 * agent.c - see agent.h.  Client-types, the connection they share, interfaces, life.  A
 * request-state is context.c's; which one is in force, active.c's.
 */
#include "pep/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "pep/agent_int.h"
#include "pep/cache.h"
#include "pep/feedback.h"
#include "pep/link.h"
#include "pep/request.h"
#include "pep/roles.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_store.h"

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

void agent_event_in(struct event *ev, int64_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(ev, &tv);
}

int64_t agent_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct pep_type *by_type(struct pep_agent *a, uint16_t client_type)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->type[i].client->client_type == client_type)
			return &a->type[i];
	return NULL;
}

static struct pep_type *by_client(const struct pep_agent *a, const struct pep_client *c)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->type[i].client == c)
			return (struct pep_type *)(uintptr_t)&a->type[i];
	return NULL;
}

/* ------------------------------------------------------------------ messages */

void pep_agent_usage(struct pep_agent *a, const struct pep_client *c)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->type[i].client == c && a->type[i].feedback != NULL)
			type_usage_stir(&a->type[i]);
}

void pep_agent_notify(struct pep_agent *a, const struct pep_client *c)
{
	struct pep_type *t = by_client(a, c);

	for (unsigned i = 0; t != NULL && i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used)
			context_request_soon(&t->ctx[i]);
}

void pep_agent_notify_first(struct pep_agent *a, const struct pep_client *c)
{
	struct pep_type *t = by_client(a, c);

	if (t != NULL)
		t->first = true;
}

static void ssq_all(struct pep_type *t)
{
	t->sync = true;
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		t->ctx[i].sync |= t->ctx[i].used; /* the SSC waits for all of them */
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used)
			context_ssq(&t->ctx[i], false);
}

static void on_message(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct pep_agent *a = arg;
	struct pep_type *t = by_type(a, m->client_type);
	const struct cops_obj *handle = &m->slot[COPS_SLOT_HANDLE];
	struct context *x;

	if (t == NULL || !t->open)
		return;
	x = cops_msg_has(m, COPS_SLOT_HANDLE) ? type_context(t, handle) : NULL;
	if (m->op == COPS_OP_DEC && x != NULL)
		context_dec(x, m, fault);
	else if (m->op == COPS_OP_DEC)
		log_info("%s: a decision for a request that was withdrawn", t->client->name);
	else if (m->op == COPS_OP_SSQ && x != NULL)
		context_ssq(x, true);
	else if (m->op == COPS_OP_SSQ && cops_msg_has(m, COPS_SLOT_HANDLE))
		type_send_drq(t, COPS_REASON_SYNC_UNKNOWN, 0, handle->body, handle->len);
	else if (m->op == COPS_OP_SSQ)
		ssq_all(t);
	else
		log_warn("%s: %s from a PDP", t->client->name, cops_op_name(m->op));
}

/* ------------------------------------------------------------------ the link */

/* LastPDPAddr, of the PDP a complete set of decisions is cached from (RFC 2748 2.2.14). */
static bool last_pdp(const struct pep_type *t, uint8_t body[20], struct cops_obj *o)
{
	struct addr a;
	uint16_t port;
	size_t len;

	if (t->active == NULL || !pep_cache_pdp(t->active->cache, &a, &port))
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
		struct pep_type *t = &a->type[i];
		struct cops_obj o;
		uint8_t body[20];
		bool has = last_pdp(t, body, &o);

		if (cops_conn_open(
			pep_link_conn(a->link), t->client->client_type, has ? &o : NULL) != 0)
			continue;
		for (unsigned k = 0; k < PEP_CONTEXTS_MAX; k++)
			if (t->ctx[k].used)
				t->ctx[k].state = PEP_OPENING;
	}
}

static void on_accepted(void *arg, uint16_t client_type)
{
	struct pep_agent *a = arg;
	struct pep_type *t = by_type(a, client_type);

	if (t == NULL || t->open)
		return;
	t->open = true;
	active_found(t);
	if (t->feedback != NULL)
		pep_feedback_open(t->feedback,
		    cops_conn_acct_s(pep_link_conn(a->link), client_type), agent_now_ms());
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used)
			context_opened(&t->ctx[i]);
}

static void type_close(struct pep_type *t)
{
	bool was_open = t->open;

	t->open = t->sync = false;
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		context_close(&t->ctx[i]);
	if (t->feedback != NULL)
		pep_feedback_lost(t->feedback);
	if (t->usage != NULL)
		evtimer_del(t->usage);
	if (was_open)
		active_lost(t);
}

static void on_closed(void *arg, uint16_t client_type, uint16_t error, uint16_t sub)
{
	struct pep_agent *a = arg;
	struct pep_type *t = by_type(a, client_type);

	if (t == NULL)
		return;
	snprintf(t->status.last_error, sizeof(t->status.last_error),
	    "the PDP closed the client-type: %s (%u, %u)", cops_error_name(error), error, sub);
	type_close(t);
	for (size_t i = 0; i < a->count; i++)
		for (unsigned k = 0; k < PEP_CONTEXTS_MAX; k++)
			if (a->type[i].ctx[k].state != PEP_CLOSED)
				return;
	pep_link_next(a->link, "no client-type is left");
}

static void on_down(void *arg)
{
	struct pep_agent *a = arg;

	for (size_t i = 0; i < a->count; i++)
		type_close(&a->type[i]);
}

static const struct pib_schema *on_schema(void *arg, uint16_t client_type)
{
	struct pep_type *t = by_type(arg, client_type);

	return t != NULL ? t->schema : NULL;
}

static const struct pep_link_ops link_ops = {
    .up = on_up,
    .accepted = on_accepted,
    .closed = on_closed,
    .message = on_message,
    .down = on_down,
    .schema = on_schema,
};

void pep_agent_reconcile(struct pep_agent *a, const struct pep_client *c)
{
	struct pep_type *t = by_client(a, c);

	if (t != NULL)
		agent_event_in(t->repair, 0);
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
		if (a->type[i].roles != NULL &&
		    pep_roles_interfaces(a->type[i].roles, list, count) > 0)
			pep_agent_notify(a, a->type[i].client);
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

static int roles_start(struct pep_type *t)
{
	const struct pep_conf *conf = t->agent->conf;
	const struct pep_client *c = t->client;

	if (conf->roles.count == 0 && !c->roles)
		return 0;
	t->roles = pep_roles_new((const char *const *)conf->roles.item, conf->roles.count,
	    c->capability, c->capabilities);
	if (t->roles == NULL || pep_roles_take(t->roles, active_store(t)) < 0 ||
	    interfaces_watch(t->agent, t->agent->base) != 0)
		return -1;
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].request != NULL)
			pep_request_roles(t->ctx[i].request, t->roles);
	interfaces_take(t->agent);
	return 0;
}

/* ------------------------------------------------------------------ life */

/* What the settings say to a plug-in. */
static const char *argument_of(const struct pep_conf *conf, const struct pep_client *c)
{
	for (size_t i = 0; i < conf->plugins.count; i++)
		if ((const void *)conf->plugins.item[i].head == c)
			return conf->plugins.item[i].argument;
	return "";
}

static void on_usage(evutil_socket_t fd, short what, void *arg)
{
	struct pep_type *t = arg;
	int64_t next, now;

	(void)fd;
	(void)what;
	type_usage(t, false);
	now = agent_now_ms();
	next = pep_feedback_next(t->feedback, now);
	if (next != INT64_MAX) /* counters that could not be read are tried again, not at once */
		agent_event_in(t->usage, next > now ? next - now : RECONCILE_MIN_MS);
}

static int usage_start(struct pep_type *t)
{
	if (t->client->usages == 0 || (t->client->count == NULL && t->client->usage_rows == NULL))
		return 0;
	/* numbers of usage rows that no process of the last days had */
	t->feedback = pep_feedback_new(t->client, t->self, (uint32_t)time(NULL) << 8);
	t->usage = evtimer_new(t->agent->base, on_usage, t);
	return t->feedback != NULL && t->usage != NULL ? 0 : -1;
}

/* Those that were open when the agent ended; the first one in any case. */
static int contexts_start(struct pep_type *t, char *err, size_t err_len)
{
	bool any = false;

	for (unsigned i = PEP_CONTEXTS_MAX; i-- > 0;) {
		struct context *x = &t->ctx[i];
		long rows;

		x->type = t;
		x->slot = i;
		if ((rows = context_start(x, err, err_len)) < 0)
			return -1;
		x->used = rows > 0 || (i == 0 && !any);
		any |= x->used;
		if (x->used)
			log_info("%s: %ld rows of request-state %u were cached", t->client->name,
			    rows, i);
		else if (i > 0)
			context_clear(x);
	}
	return 0;
}

static int type_start(struct pep_type *t, char *err, size_t err_len)
{
	const struct pep_conf *conf = t->agent->conf;
	const struct pep_env env = {
	    .base = t->agent->base,
	    .agent = t->agent,
	    .identity = pep_link_identity(t->agent->link),
	    .state_dir = conf->state_dir,
	    .conf = conf,
	    .argument = argument_of(conf, t->client),
	    .log = log_at,
	    .notify = pep_agent_notify,
	    .repair = pep_agent_reconcile,
	    .usage = pep_agent_usage,
	};

	snprintf(err, err_len, "out of memory");
	if ((t->schema = pib_schema_new(t->client->module, t->client->module_count)) == NULL ||
	    (t->self = t->client->start(&env, err, err_len)) == NULL ||
	    contexts_start(t, err, err_len) != 0 || active_start(t, err, err_len) != 0)
		return -1;
	snprintf(err, err_len, "out of memory");
	if (roles_start(t) != 0 || usage_start(t) != 0)
		return -1;
	active_reconcile(t);
	type_usage_rows(t);
	active_resume(t);
	return 0;
}

struct pep_agent *pep_agent_new(struct event_base *base, const struct pep_conf *conf,
    const struct pep_client *const *client, size_t count, char *err, unsigned long err_len)
{
	struct pep_agent *a = calloc(1, sizeof(*a));

	snprintf(err, err_len, "out of memory");
	if (a == NULL || count > AGENT_CLIENTS_MAX) {
		free(a);
		return NULL;
	}
	a->conf = conf;
	a->base = base;
	a->link = pep_link_new(base, conf, &link_ops, a, err, err_len);
	for (size_t i = 0; a->link != NULL && i < count; i++) {
		a->type[i].agent = a;
		a->type[i].client = client[i];
		a->count++;
		if (type_start(&a->type[i], err, err_len) != 0) {
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

static void type_clear(struct pep_type *t)
{
	if (t->self != NULL)
		t->client->stop(t->self);
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		context_clear(&t->ctx[i]);
	active_clear(t);
	pep_feedback_free(t->feedback);
	if (t->usage != NULL)
		event_free(t->usage);
	pep_roles_free(t->roles);
	if (t->schema != NULL)
		pib_schema_free(t->schema);
}

void pep_agent_free(struct pep_agent *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++)
		type_clear(&a->type[i]);
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

bool pep_agent_local(const struct pep_agent *a, struct addr *local)
{
	return pep_link_local(a->link, local);
}

const char *pep_agent_identity(const struct pep_agent *a)
{
	return pep_link_identity(a->link);
}

const struct pep_client *pep_agent_client(const struct pep_agent *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->type[i].client->name, name) == 0)
			return a->type[i].client;
	return NULL;
}

const struct pep_client *pep_agent_client_at(const struct pep_agent *a, size_t i)
{
	return i < a->count ? a->type[i].client : NULL;
}

void *pep_agent_self(const struct pep_agent *a, const struct pep_client *c)
{
	return by_client(a, c)->self;
}

const struct pib_store *pep_agent_store(const struct pep_agent *a, const struct pep_client *c)
{
	return active_store(by_client(a, c));
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

/* The one to speak of first: in force, or the first that there is. */
static const struct context *context_shown(const struct pep_type *t)
{
	const struct context *x = t->active;

	for (unsigned i = 0; x == NULL && i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used)
			x = &t->ctx[i];
	return x;
}

void pep_agent_status(
    const struct pep_agent *a, const struct pep_client *c, struct pep_client_status *s)
{
	const struct pep_type *t = by_client(a, c);
	const struct context *x = context_shown(t);

	*s = t->status;
	s->expires_at = t->expires_at;
	s->active = t->active != NULL;
	s->rows = pib_store_count(active_store(t), NULL);
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		s->request_states += t->ctx[i].used;
	if (x == NULL)
		return;
	s->state = x->state;
	s->handle = x->handle;
	s->cache_complete = pep_cache_complete(x->cache);
	pib_store_each(x->store, &pib_frwk_pib_incarnation_class, take_incarnation, s);
}

void pep_agent_link_status(const struct pep_agent *a, struct pep_link_status *s)
{
	pep_link_status(a->link, s);
}
