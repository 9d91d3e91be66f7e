/* wait.c - see wait.h. */
#include "pdp/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "common/json.h"
#include "pdp/acl.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"

#define POLL_MS	    100
#define POLL_FACTOR 20 /* looking takes at most a twentieth of the time */
/* A CE that was refused until now, because it is new with this change, tries again soon. */
#define CONNECTING_MS 10000

enum outcome { WAITING, CONNECTING, CONFIRMED, FAILED, OFFLINE, OUTCOMES };

static const char *const outcome_name[OUTCOMES] = {
    "waiting", "offline", "confirmed", "failed", "offline"};

struct waited { /* a CE */
	UT_hash_handle hh;
	const char *name; /* the change's */
	enum outcome outcome;
	int64_t ms; /* until it was known */
};

struct waiter {
	struct waiter *next;
	struct pdp *pdp;
	struct ctl_req *req;
	struct change change;
	json_t *result;
	struct waited *ces;
	size_t count[OUTCOMES];
	size_t pairs, keyed;
	int64_t start_ms, deadline_ms;
	struct event *poll;
	char told[200]; /* the last progress */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void waiter_free(struct waiter *w)
{
	struct waiter **at = &w->pdp->waiters;
	struct waited *c, *next;

	while (*at != NULL && *at != w)
		at = &(*at)->next;
	if (*at == w)
		*at = w->next;
	HASH_ITER (hh, w->ces, c, next) {
		HASH_DEL(w->ces, c);
		free(c);
	}
	if (w->poll != NULL)
		event_free(w->poll);
	json_decref(w->result);
	change_clear(&w->change);
	free(w);
}

/* ------------------------------------------------------------------- outcomes */

static enum outcome outcome_of(struct waiter *w, const char *ce)
{
	struct sync_info i;

	if (!sync_info(w->pdp->sync, ce, &i))
		return CONFIRMED; /* it left, and said that it holds nothing */
	if (i.state == SYNC_OFFLINE)
		return now_ms() - w->start_ms < CONNECTING_MS && acl_refused_lately(w->pdp->acl, ce)
			   ? CONNECTING
			   : OFFLINE;
	if (i.state == SYNC_IDLE && i.failed)
		return FAILED;
	if (i.known && i.applied >= (w->change.lsn < i.wanted ? w->change.lsn : i.wanted))
		return CONFIRMED;
	return WAITING;
}

static void update(struct waiter *w, struct waited *c)
{
	enum outcome o = outcome_of(w, c->name);

	if (o == c->outcome)
		return;
	w->count[c->outcome]--;
	w->count[o]++;
	c->outcome = o;
	c->ms = now_ms() - w->start_ms;
}

static json_t *ce_json(struct waiter *w, const struct waited *c)
{
	struct sync_info i = {0};
	json_t *o = json_pack("{s:s, s:s}", "ce", c->name, "state", outcome_name[c->outcome]);
	json_t *f;

	if (c->outcome == CONFIRMED)
		json_object_set_new(o, "ms", json_integer(c->ms));
	if (c->outcome != FAILED || !sync_info(w->pdp->sync, c->name, &i) || i.failure == NULL)
		return o;
	f = json_loads(i.failure, 0, NULL);
	json_object_set(o, "row", json_object_get(f, "row"));
	json_object_set(o, "column", json_object_get(f, "column"));
	json_object_set(o, "error", json_object_get(f, "error"));
	json_object_set(o, "text", json_object_get(f, "text"));
	json_decref(f);
	return o;
}

static int by_name(const struct waited *a, const struct waited *b)
{
	return strcmp(a->name, b->name);
}

static void answer(struct waiter *w)
{
	json_t *list = json_array();
	struct waited *c, *next;

	HASH_SORT(w->ces, by_name);
	HASH_ITER (hh, w->ces, c, next)
		json_array_append_new(list, ce_json(w, c));
	if (w->pairs > 0)
		json_object_set_new(
		    w->result, "keyed", json_sprintf("%zu of %zu pairs", w->keyed, w->pairs));
	json_object_set_new(w->result, "ms", json_integer(now_ms() - w->start_ms));
	json_object_set_new(w->result, "ces", list);
	ctl_req_done(w->req, json_incref(w->result));
	waiter_free(w);
}

static void progress(struct waiter *w)
{
	size_t done = w->count[CONFIRMED] + w->count[FAILED];
	char text[sizeof(w->told)];
	int n = snprintf(text, sizeof(text), "%zu confirmed", w->count[CONFIRMED]);

	if (w->count[CONNECTING] > 0)
		n += snprintf(
		    text + n, sizeof(text) - (size_t)n, ", %zu connecting", w->count[CONNECTING]);
	if (w->count[FAILED] > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", %zu failed", w->count[FAILED]);
	if (w->count[OFFLINE] > 0)
		n += snprintf(
		    text + n, sizeof(text) - (size_t)n, ", %zu offline", w->count[OFFLINE]);
	if (w->pairs > 0)
		snprintf(text + n, sizeof(text) - (size_t)n, ", %zu of %zu pairs keyed", w->keyed,
		    w->pairs);
	if (strcmp(text, w->told) == 0)
		return;
	strcpy(w->told, text);
	ctl_req_progress(
	    w->req, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "text", text, "done",
			(json_int_t)done, "total", (json_int_t)HASH_COUNT(w->ces), "confirmed",
			(json_int_t)w->count[CONFIRMED], "failed", (json_int_t)w->count[FAILED],
			"offline", (json_int_t)(w->count[OFFLINE] + w->count[CONNECTING]), "keyed",
			(json_int_t)w->keyed, "pairs", (json_int_t)w->pairs));
}

static bool settled(const struct waiter *w)
{
	return w->count[WAITING] == 0 && w->count[CONNECTING] == 0 && w->keyed == w->pairs;
}

/* Look at everything; answer if it is settled or too late. */
static void look(struct waiter *w)
{
	struct waited *c, *more;
	int64_t start = now_ms(), next;
	struct timeval tv;

	HASH_ITER (hh, w->ces, c, more)
		update(w, c);
	change_pairs(&w->pdp->env, &w->change, &w->pairs, &w->keyed);
	progress(w);
	if (settled(w) || start >= w->deadline_ms) {
		answer(w);
		return;
	}
	next = (now_ms() - start) * POLL_FACTOR;
	next = next < POLL_MS ? POLL_MS : next;
	if (next > w->deadline_ms - start)
		next = w->deadline_ms - start;
	tv = (struct timeval) {.tv_sec = next / 1000, .tv_usec = next % 1000 * 1000};
	event_add(w->poll, &tv);
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	look(arg);
}

static void on_cancel(void *arg)
{
	waiter_free(arg);
}

void wait_outcome(struct pdp *p, const char *ce)
{
	const struct timeval now = {0};
	struct waiter *w;
	struct waited *c;

	for (w = p->waiters; w != NULL; w = w->next) {
		HASH_FIND_STR(w->ces, ce, c);
		if (c == NULL)
			continue;
		update(w, c);
		if (w->count[WAITING] == 0)
			event_add(w->poll, &now); /* not here: the caller is not done with the CE */
	}
}

static int ces_put(struct waiter *w)
{
	struct waited *c;

	for (size_t i = 0; i < w->change.ces; i++) {
		HASH_FIND_STR(w->ces, w->change.ce[i], c);
		if (c != NULL)
			continue;
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			return -1;
		c->name = w->change.ce[i];
		w->count[WAITING]++;
		HASH_ADD_KEYPTR(hh, w->ces, c->name, strlen(c->name), c);
	}
	return 0;
}

void wait_start(
    struct pdp *p, struct ctl_req *req, struct change *c, json_t *result, int64_t wait_ms)
{
	struct waiter *w = wait_ms > 0 && c->ces > 0 ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL) {
		ctl_req_done(req, result);
		change_clear(c);
		return;
	}
	*w = (struct waiter) {
	    .next = p->waiters, .pdp = p, .req = req, .change = *c, .result = result};
	*c = (struct change) {0};
	p->waiters = w;
	w->start_ms = now_ms();
	w->deadline_ms = w->start_ms + wait_ms;
	w->poll = evtimer_new(p->base, on_poll, w);
	if (w->poll == NULL || ces_put(w) != 0) {
		ctl_req_done(req, json_incref(result));
		waiter_free(w);
		return;
	}
	ctl_req_on_cancel(req, on_cancel, w);
	look(w);
}

void wait_stop(struct pdp *p)
{
	while (p->waiters != NULL)
		answer(p->waiters);
}
