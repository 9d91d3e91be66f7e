/*
 * refresh.c - everything is loaded anew at a CE without a moment in which nothing is in force
 * (RFC 3084 3.2, RFC 3318 2.4): in a request-state beside the main one, which takes its place.
 *
 *	          DEC Install,        RPT           REQ / DEC with all,    RPT
 *	WANTED ──────────────▶ OPEN ──────▶ ASKED ───────────────────▶ LOAD ──────▶ OLD ─────▶ done
 *	  idle    Request-State      Success            Active true       Success        DRQ
 *
 * In OLD the new request-state is the main one; the REQ by which the CE tells that the old one is
 * not in force gets a NULL decision, and DEC Remove, Request-State after it.  Whatever fails before
 * that ends with the main request-state as it was.  What was loaded is removed only when the CE has
 * refused it: while its report is open it may be what is in force, and a CE that is late loses the
 * connection instead.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/log.h"
#include "libcops/cops_chunk.h"
#include "libcops/cops_msg.h"
#include "pdp/client.h"
#include "pdp/delta.h"
#include "pdp/failure.h"
#include "pdp/sync_int.h"
#include "pdp/worker.h"

static void step(struct sync_ce *ce, enum refresh_step to)
{
	ce->refresh.step = to;
	ce->refresh.since_ms = sync_now_ms();
}

/* A Decision that is Request-State and nothing else (RFC 3084 3.2). */
static int send_request_state(
    struct sync *s, const struct sync_ce *ce, uint32_t state, enum cops_command command)
{
	struct cops_chunk *c = NULL;
	struct buf b;
	int rc;

	buf_init(&b, 0);
	cops_put_decision(&b, command, COPS_DEC_REQUEST_STATE);
	if (!b.failed)
		c = cops_chunk_new(b.data, b.len);
	buf_clear(&b);
	rc = c != NULL ? sync_send(s, ce, state, false, &c, 1) : -1;
	cops_chunk_unref(c);
	return rc;
}

void refresh_remove(struct sync *s, const struct sync_ce *ce, uint32_t state)
{
	log_info("%s: request-state %u is to go", ce->name, state);
	(void)send_request_state(s, ce, state, COPS_CMD_REMOVE);
}

/* ------------------------------------------------------------------------ ends */

static void end(struct sync_ce *ce, const char *why, const struct pdp_report *r)
{
	struct refresh was = ce->refresh;
	char *failure = r != NULL ? failure_print(r, ce->target, (int64_t)time(NULL)) : NULL;

	ce->refresh = (struct refresh) {0};
	if (why != NULL)
		log_warn("%s: not refreshed: %s", ce->name, why);
	else
		log_note("%s: refreshed", ce->name);
	was.done(was.arg, ce->name, why, failure);
	free(failure);
}

/* All is as it was: go on with that. */
static void fail(struct sync *s, struct sync_ce *ce, const char *why, const struct pdp_report *r)
{
	ce->cut = true; /* what comes of it later is to go */
	end(ce, why, r);
	if (ce->state != SYNC_REFRESHING)
		return;
	sync_enter(ce, SYNC_IDLE);
	sync_next(s, ce);
}

static void lost(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)s, (void)ev;
	ce->cut = true;
	end(ce, "the connection was lost", NULL);
}

/* Nobody knows what is in force: it is to say so itself, on another connection. */
static void start_over(struct sync *s, struct sync_ce *ce, const char *why)
{
	ce->cut = true;
	workers_close(s->workers, ce->sid, COPS_ERR_COMM_FAILURE, why);
	end(ce, why, NULL);
}

static void late(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)ev;
	start_over(s, ce, "no answer in time");
}

/* ----------------------------------------------------------------------- steps */

static void open_another(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)ev;
	ce->cut = false;
	sync_enter(ce, SYNC_REFRESHING);
	step(ce, REFRESH_OPEN);
	if (send_request_state(s, ce, ce->main, COPS_CMD_INSTALL) != 0)
		fail(s, ce, "out of memory", NULL);
}

static void not_opened(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	fail(s, ce, "the CE opens no other request-state", ev->report);
}

static void opened(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)s, (void)ev;
	step(ce, REFRESH_ASKED);
}

static void never_asked(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)ev;
	fail(s, ce, "no request for the new request-state in time", NULL);
}

/* Everything, and the incarnation that is Active, in one DEC. */
static int send_all(struct sync *s, struct sync_ce *ce, uint64_t lsn)
{
	struct cops_chunk *inc = sync_incarnation(s, lsn);
	struct delta_list l;
	int rc = -1;

	delta_list_init(&l);
	if (inc != NULL && s->conf.client->full(s->conf.self, ce->name, &l) == 0) {
		delta_list_put(&l, inc, false);
		if (!l.failed)
			rc = sync_send(s, ce, ce->refresh.state, true, l.chunk, l.count);
	}
	delta_list_clear(&l);
	return rc;
}

static void load(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	uint64_t lsn = s->conf.client->lsn(s->conf.self);

	ce->refresh.state = ev->state;
	if (ev->reject != NULL || send_all(s, ce, lsn) != 0) {
		sync_send(s, ce, ev->state, true, &ev->reject, ev->reject != NULL);
		refresh_remove(s, ce, ev->state);
		fail(s, ce, ev->reject != NULL ? "the new request has bad rows" : "out of memory",
		    NULL);
		return;
	}
	sync_waiting(ce, SENT_CONTENT, lsn);
	sync_enter(ce, SYNC_REFRESHING);
	step(ce, REFRESH_LOAD);
}

static void asked_again(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)ev;
	if (++ce->refresh.owed > OWED_MAX)
		start_over(s, ce, "too many requests at once");
}

static void not_loaded(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	uint32_t state = ce->refresh.state;

	ce->failures++;
	for (; ce->refresh.owed > 0; ce->refresh.owed--)
		sync_send(s, ce, state, true, NULL, 0);
	refresh_remove(s, ce, state);
	fail(s, ce, "the CE refused it", ev->report);
}

/* What was owed for the old one has nothing to say there any more. */
static void in_force(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	uint32_t old = ce->main;

	(void)ev;
	for (uint8_t i = 0; i < ce->owed; i++)
		sync_send(s, ce, old, true, &ce->reject[i], ce->reject[i] != NULL);
	sync_owed_clear(ce);
	ce->main = ce->refresh.state;
	for (; ce->refresh.owed > 0; ce->refresh.owed--)
		ce->reject[ce->owed++] = NULL;
	ce->refresh.state = old;
	step(ce, REFRESH_OLD);
	sync_confirmed(s, ce);
	sync_enter(ce, SYNC_IDLE);
	sync_outcome(s, ce);
	sync_next(s, ce);
}

static void retire(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	sync_send(s, ce, ev->state, true, &ev->reject, ev->reject != NULL);
	refresh_remove(s, ce, ev->state);
}

static void done(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)s, (void)ev;
	end(ce, NULL, NULL);
}

/* It is in force, but the CE does not say so of the old one. */
static void not_retired(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	(void)ev;
	refresh_remove(s, ce, ce->refresh.state);
	ce->cut = true;
	end(ce, NULL, NULL);
}

/* The CE gave up one of the two. */
static void deleted(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev)
{
	if (ce->refresh.step != REFRESH_LOAD || ev->state == ce->refresh.state)
		fail(s, ce, "the CE deleted the request-state", NULL);
	else
		start_over(s, ce, "the request-state in force was deleted");
}

/* ----------------------------------------------------------------- the machine */

enum of { ANY, MAIN, OTHER, ITS, EITHER }; /* which request-state an event must be of */

static const struct rule {
	enum of of;
	void (*act)(struct sync *s, struct sync_ce *ce, const struct refresh_event *ev);
} rules[REFRESH_STEPS][REFRESH_KINDS] = {
    [REFRESH_WANTED] =
	{
	    [REFRESH_IDLE] = {ANY, open_another},
	    [REFRESH_LOST] = {ANY, lost},
	},
    [REFRESH_OPEN] =
	{
	    [REFRESH_SUCCESS] = {MAIN, opened},
	    [REFRESH_FAILURE] = {MAIN, not_opened},
	    [REFRESH_DELETED] = {EITHER, deleted},
	    [REFRESH_LATE] = {ANY, late},
	    [REFRESH_LOST] = {ANY, lost},
	},
    [REFRESH_ASKED] =
	{
	    [REFRESH_REQUEST] = {OTHER, load},
	    [REFRESH_DELETED] = {EITHER, deleted},
	    [REFRESH_LATE] = {ANY, never_asked},
	    [REFRESH_LOST] = {ANY, lost},
	},
    [REFRESH_LOAD] =
	{
	    [REFRESH_REQUEST] = {ITS, asked_again},
	    [REFRESH_SUCCESS] = {ITS, in_force},
	    [REFRESH_FAILURE] = {ITS, not_loaded},
	    [REFRESH_DELETED] = {EITHER, deleted},
	    [REFRESH_LATE] = {ANY, late},
	    [REFRESH_LOST] = {ANY, lost},
	},
    [REFRESH_OLD] =
	{
	    [REFRESH_REQUEST] = {ITS, retire},
	    [REFRESH_DELETED] = {ITS, done},
	    [REFRESH_LATE] = {ANY, not_retired},
	    [REFRESH_LOST] = {ANY, done},
	},
};

/* A request-state that was deleted is not the main one any more when its event comes. */
static bool concerns(const struct sync_ce *ce, enum of of, uint32_t state)
{
	switch (of) {
	case ANY:
		return true;
	case MAIN:
		return state == ce->main;
	case OTHER:
		return state != ce->main;
	case ITS:
		return state == ce->refresh.state;
	case EITHER:
		return ce->main == 0 || state == ce->refresh.state;
	}
	return false;
}

bool refresh_event(
    struct sync *s, struct sync_ce *ce, enum refresh_kind kind, const struct refresh_event *ev)
{
	const struct rule *r = &rules[ce->refresh.step][kind];

	if (r->act == NULL || !concerns(ce, r->of, ev->state))
		return false;
	r->act(s, ce, ev);
	return true;
}

bool sync_refresh(struct sync *s, const char *name, refresh_done *fn, void *arg)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL || ce->guest || ce->leaving || ce->sid == 0 ||
	    ce->refresh.step != REFRESH_NONE)
		return false;
	ce->refresh = (struct refresh) {.done = fn, .arg = arg};
	step(ce, REFRESH_WANTED);
	sync_next(s, ce);
	return true;
}
