/* sync.c - see sync.h. */
#include "pdp/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/log.h"
#include "pdp/client.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pdp/failure.h"
#include "pdp/request.h"
#include "pdp/store.h"
#include "pdp/sync_int.h"
#include "pdp/worker.h"
#include "pib/gen/framework_pib.h"

#define RETRY_FACTOR	16
#define INCARNATION_LEN 16 /* database, LSN */

int64_t sync_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct sync *sync_new(const struct sync_conf *conf)
{
	struct sync *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->conf = *conf;
	return s;
}

void sync_set_workers(struct sync *s, struct workers *ws)
{
	s->workers = ws;
}

struct sync_ce *sync_find(struct sync *s, const char *name)
{
	struct sync_ce *ce;

	HASH_FIND_STR(s->by_name, name, ce);
	return ce;
}

static struct sync_ce *ce_new(struct sync *s, const char *name)
{
	struct sync_ce *ce = calloc(1, sizeof(*ce));

	if (ce == NULL || (ce->name = strdup(name)) == NULL) {
		free(ce);
		return NULL;
	}
	ce->since_ms = sync_now_ms(); /* away since we know of it */
	HASH_ADD_KEYPTR(hh, s->by_name, ce->name, strlen(ce->name), ce);
	return ce;
}

void sync_owed_clear(struct sync_ce *ce)
{
	while (ce->owed > 0)
		cops_chunk_unref(ce->reject[--ce->owed]);
}

static void ce_free(struct sync *s, struct sync_ce *ce)
{
	refresh_event(s, ce, REFRESH_LOST, &(struct refresh_event) {0});
	if (ce->sid != 0)
		HASH_DELETE(hh_sid, s->by_sid, ce);
	HASH_DEL(s->by_name, ce);
	sync_owed_clear(ce);
	free(ce->failure);
	free(ce->address);
	free(ce->name);
	free(ce);
}

void sync_free(struct sync *s)
{
	struct sync_ce *ce, *next;

	if (s == NULL)
		return;
	HASH_ITER (hh, s->by_name, ce, next)
		ce_free(s, ce);
	cops_chunk_unref(s->incarnation);
	free(s);
}

void sync_outcome(struct sync *s, struct sync_ce *ce)
{
	if (s->conf.outcome != NULL)
		s->conf.outcome(s->conf.arg, ce->name);
}

void sync_enter(struct sync_ce *ce, enum sync_state state)
{
	ce->state = state;
	ce->since_ms = sync_now_ms();
}

/* ---------------------------------------------------------------- sending */

/* The last row of every DEC with content: which LSN it brings the CE to.  Encoded once per LSN. */
struct cops_chunk *sync_incarnation(struct sync *s, uint64_t lsn)
{
	uint8_t id[INCARNATION_LEN];
	struct pib_frwk_pib_incarnation row = {
	    .prid = 1,
	    .name = {.p = (const uint8_t *)s->conf.pdp_name,
		.len = (uint32_t)strlen(s->conf.pdp_name)},
	    .id = {.p = id, .len = sizeof(id)},
	    .longevity = s->conf.ttl_s == 0 ? PIB_FRWK_PIB_INCARNATION_LONGEVITY_EXPIRE_NEVER
					    : PIB_FRWK_PIB_INCARNATION_LONGEVITY_EXPIRE_ON_TIMEOUT,
	    .ttl = s->conf.ttl_s,
	    .in_ctxt_set = PIB_FRWK_PIB_INCARNATION_IN_CTXT_SET_TRUE,
	    .active = PIB_FRWK_PIB_INCARNATION_ACTIVE_TRUE,
	    .full_state = PIB_FRWK_PIB_INCARNATION_FULL_STATE_FALSE,
	};
	struct decision d;

	if (s->incarnation != NULL && s->incarnation_lsn == lsn)
		return s->incarnation;
	memcpy(id, s->conf.uuid, 8);
	for (int i = 0; i < 8; i++)
		id[8 + i] = (uint8_t)(lsn >> (56 - 8 * i));
	decision_init(&d, COPS_CMD_INSTALL);
	decision_row(&d, &pib_frwk_pib_incarnation_class, row.prid, &row);
	cops_chunk_unref(s->incarnation);
	s->incarnation = decision_take(&d);
	s->incarnation_lsn = lsn;
	return s->incarnation;
}

/* The LSN of an incarnation of ours; 0: none, or not ours. */
static uint64_t incarnation_lsn(const struct sync *s, const struct pib_octets *id)
{
	uint64_t lsn = 0;

	if (id->len != INCARNATION_LEN || memcmp(id->p, s->conf.uuid, 8) != 0)
		return 0;
	for (int i = 8; i < INCARNATION_LEN; i++)
		lsn = lsn << 8 | id->p[i];
	/* a database restored from a backup has not been there yet */
	return lsn <= s->conf.client->lsn(s->conf.self) ? lsn : 0;
}

/* Book a DEC that goes out now. */
void sync_waiting(struct sync_ce *ce, enum sent sent, uint64_t target)
{
	ce->sent = sent;
	ce->from = ce->known ? ce->applied : 0;
	ce->target = target;
	ce->decisions += sent == SENT_CONTENT;
	sync_enter(ce, SYNC_WAITING);
}

int sync_send(struct sync *s, const struct sync_ce *ce, uint32_t state, bool solicited,
    struct cops_chunk *const *chunk, size_t n)
{
	const struct worker_to to = {.sid = ce->sid, .state = state};

	if (workers_send(s->workers, s->conf.index, solicited, &to, 1, chunk, n) == 0)
		return 0;
	log_err("%s: out of memory for a decision", ce->name);
	return -1;
}

static void send_dec(struct sync *s, struct sync_ce *ce, enum sent sent, uint64_t target,
    struct cops_chunk *const *chunk, size_t n)
{
	if (sync_send(s, ce, ce->main, ce->owed > 0, chunk, n) != 0)
		return; /* the tick tries again */
	if (ce->owed > 0) {
		cops_chunk_unref(ce->reject[0]);
		memmove(&ce->reject[0], &ce->reject[1], (OWED_MAX - 1) * sizeof(ce->reject[0]));
		ce->owed--;
	}
	sync_waiting(ce, sent, target);
}

bool sync_is_stale(const struct sync_ce *ce)
{
	return !ce->known || ce->wanted > ce->applied;
}

/* All that ce lacks.  1: there is something in *l; 0: nothing; -1: memory. */
static int what_it_lacks(struct sync *s, struct sync_ce *ce, struct delta_list *l)
{
	const struct pdp_client *c = s->conf.client;
	int rc = 1;

	if (ce->known)
		rc = c->since(s->conf.self, ce->name, ce->applied, l);
	if (rc == 1) {
		delta_list_clear(l);
		delta_list_init(l);
		rc = c->full(s->conf.self, ce->name, l);
		ce->known = false; /* a refusal of all does not leave it with a part */
	}
	if (rc != 0 || l->failed)
		return -1;
	return l->count > 0;
}

/* May this one be told what is beside policy? */
static bool has_aside(const struct sync *s, const struct sync_ce *ce)
{
	return s->conf.client->aside != NULL && ce->known && !ce->failed && !ce->guest &&
	       !ce->leaving;
}

/* Nothing is owed and nothing lacks: what is beside policy, of which no LSN tells. */
static void aside(struct sync *s, struct sync_ce *ce)
{
	const struct pdp_client *c = s->conf.client;
	bool first = ce->told != ce->main;
	struct delta_list l;

	if (!has_aside(s, ce))
		return;
	delta_list_init(&l);
	if (c->aside(s->conf.self, ce->name, first, &l) != 0) {
		log_err("%s: out of memory for what it is to report", ce->name);
		ce->told = 0; /* all of it again, next time */
	} else {
		if (l.count > 0)
			send_dec(s, ce, SENT_ASIDE, ce->applied, l.chunk, l.count);
		ce->told = l.count == 0 || ce->state == SYNC_WAITING ? ce->main : 0;
	}
	delta_list_clear(&l);
}

/* What a CE is to get next, if it may get anything: called whenever that may have changed. */
void sync_next(struct sync *s, struct sync_ce *ce)
{
	uint64_t lsn = s->conf.client->lsn(s->conf.self);
	struct cops_chunk *inc;
	struct delta_list l;
	int rc = 0;

	if (ce->state != SYNC_IDLE)
		return;
	if (ce->owed > 0 && ce->reject[0] != NULL) {
		send_dec(s, ce, SENT_REJECT, 0, &ce->reject[0], 1);
		return;
	}
	if (ce->owed == 0 && refresh_event(s, ce, REFRESH_IDLE, &(struct refresh_event) {0}))
		return;
	if (!sync_is_stale(ce)) {
		if (ce->owed > 0)
			send_dec(s, ce, SENT_NULL, 0, NULL, 0);
		else
			aside(s, ce);
		return;
	}
	delta_list_init(&l);
	rc = what_it_lacks(s, ce, &l);
	inc = rc > 0 ? sync_incarnation(s, lsn) : NULL;
	if (inc != NULL)
		delta_list_put(&l, inc, false);
	if (rc < 0 || (rc > 0 && (inc == NULL || l.failed))) {
		log_err("%s: out of memory for its rows", ce->name);
	} else if (rc > 0) {
		send_dec(s, ce, SENT_CONTENT, lsn, l.chunk, l.count);
	} else {
		ce->wanted = ce->applied; /* the newest change did not concern it */
		if (ce->owed > 0)
			send_dec(s, ce, SENT_NULL, 0, NULL, 0);
		else
			aside(s, ce);
	}
	delta_list_clear(&l);
}

/* ----------------------------------------------------------------- events */

static bool admits(struct sync *s, const char *ce)
{
	return s->conf.admits != NULL && s->conf.admits(s->conf.arg, ce);
}

static void forget(struct sync *s, struct sync_ce *ce)
{
	/* for others it may be here still: then it stays, holding nothing */
	if (ce->sid != 0 && admits(s, ce->name)) {
		ce->guest = true;
		ce->leaving = ce->save = false;
		if (s->conf.forgotten != NULL)
			s->conf.forgotten(s->conf.arg, ce->name);
		return;
	}
	if (ce->sid != 0)
		workers_close(s->workers, ce->sid, COPS_ERR_AUTH_FAILURE, "no CE of ours any more");
	if (s->conf.forgotten != NULL)
		s->conf.forgotten(s->conf.arg, ce->name);
	ce_free(s, ce);
}

static void disconnect(struct sync *s, struct sync_ce *ce)
{
	if (ce->sid != 0)
		HASH_DELETE(hh_sid, s->by_sid, ce);
	ce->sid = 0;
	ce->main = ce->told = 0;
	sync_owed_clear(ce);
	free(ce->address);
	ce->address = NULL;
	ce->asked = false;
	ce->lost_at = (int64_t)time(NULL);
	sync_enter(ce, SYNC_OFFLINE);
	refresh_event(s, ce, REFRESH_LOST, &(struct refresh_event) {0});
}

static void on_open(struct sync *s, struct up *ev)
{
	struct sync_ce *ce = sync_find(s, ev->open->name);

	if (ce == NULL && admits(s, ev->open->name) && (ce = ce_new(s, ev->open->name)) != NULL)
		ce->guest = true;
	if (ce == NULL) { /* left the model since the worker looked */
		workers_close(s->workers, ev->sid, COPS_ERR_AUTH_FAILURE, "no such CE");
	} else if (ce->sid != ev->sid) {
		if (ce->sid != 0) {
			log_note("%s: a newer session from %s replaces the one from %s", ce->name,
			    ev->open->address, ce->address);
			workers_close(s->workers, ce->sid, COPS_ERR_UNSPECIFIED,
			    "replaced by a newer session");
			disconnect(s, ce);
		}
		ce->sid = ev->sid;
		HASH_ADD(hh_sid, s->by_sid, sid, sizeof(ce->sid), ce);
		ce->address = strdup(ev->open->address);
		ce->connected_at = (int64_t)time(NULL);
		ce->lost_at = 0;
		ce->dropped = false;
		ce->flags = ce->flagless = false;
		sync_enter(ce, SYNC_OPENING);
		log_info("%s: connected from %s", ce->name, ev->open->address);
		sync_outcome(s, ce);
	}
	free(ev->open);
}

/*
 * A REQ for another request-state than the main one.  When no refresh waits for it, there is
 * nothing to decide; one that is not in force and holds rows of ours was left over by a refresh.
 */
static void on_other_request(
    struct sync *s, struct sync_ce *ce, uint32_t state, const struct pdp_request *r)
{
	const struct refresh_event ev = {.state = state, .reject = r->reject};
	bool left = r->inactive && (ce->cut || incarnation_lsn(s, &r->incarnation) != 0);

	if (refresh_event(s, ce, REFRESH_REQUEST, &ev))
		return;
	sync_send(s, ce, state, true, &r->reject, r->reject != NULL);
	if (left)
		refresh_remove(s, ce, state);
}

static void on_request(struct sync *s, struct sync_ce *ce, struct pdp_request *r)
{
	const struct pdp_client *c = s->conf.client;
	/* an update that was under way when it was asked is no answer to that */
	bool first = ce->state == SYNC_OPENING && (!ce->asked || r->full);
	struct cops_chunk *reject = r->reject != NULL ? cops_chunk_ref(r->reject) : NULL;
	struct pib_fault f = {0};
	char text[256];
	uint64_t newest;

	if (first)
		r->full = true; /* RFC 3318 2.2 */
	if (reject == NULL && c->request(s->conf.self, ce->name, r, &f) != 0) {
		log_warn(
		    "%s: request refused: %s", ce->name, pib_fault_print(&f, text, sizeof(text)));
		reject = pdp_request_error(&f);
	} else if (reject != NULL) {
		log_warn("%s: request refused: bad rows", ce->name);
	}
	ce->unheard = reject != NULL;
	if (ce->owed == OWED_MAX) {
		cops_chunk_unref(reject);
		workers_close(s->workers, ce->sid, COPS_ERR_UNABLE, "too many requests at once");
		return;
	}
	ce->reject[ce->owed++] = reject;
	if (first) {
		uint64_t before = ce->applied;

		ce->asked = false;
		ce->applied = incarnation_lsn(s, &r->incarnation);
		ce->known = ce->applied != 0;
		/* its report of that was lost with a connection, or with us */
		if (ce->known && ce->applied > before) {
			c->confirmed(s->conf.self, ce->name, before, ce->applied);
			ce->save = true;
		}
		newest = c->newest(s->conf.self, ce->name);
		ce->wanted = newest > ce->applied ? newest : ce->applied;
		if (ce->leaving || r->inactive)
			ce->known = false; /* all of it, and put in force */
		if (!sync_is_stale(ce))
			ce->failed = false;
		sync_enter(ce, SYNC_IDLE);
	}
	sync_next(s, ce);
}

static void refused(struct sync *s, struct sync_ce *ce, const struct pdp_report *r)
{
	char text[256] = "no reason given";

	ce->failed = true;
	ce->failures++;
	ce->save = true;
	free(ce->failure);
	ce->failure = failure_print(r, ce->target, (int64_t)time(NULL));
	if (r != NULL && r->faults > 0)
		pib_fault_print(&r->fault[0], text, sizeof(text));
	log_warn("%s: refused LSN %llu: %s", ce->name, (unsigned long long)ce->target, text);
	ce->retry_ms = ce->retry_ms == 0 ? s->conf.retry_ms : ce->retry_ms * 2;
	if (ce->retry_ms > s->conf.retry_ms * RETRY_FACTOR)
		ce->retry_ms = s->conf.retry_ms * RETRY_FACTOR;
	ce->retry_at_ms = sync_now_ms() + ce->retry_ms;
}

void sync_confirmed(struct sync *s, struct sync_ce *ce)
{
	log_debug("%s: confirmed LSN %llu", ce->name, (unsigned long long)ce->target);
	ce->latency_ms = (uint32_t)(sync_now_ms() - ce->since_ms);
	ce->applied = ce->target;
	ce->known = true;
	ce->failed = false;
	ce->retry_ms = 0;
	ce->confirmed_at = (int64_t)time(NULL);
	ce->save = true;
	free(ce->failure);
	ce->failure = NULL;
	s->conf.client->confirmed(s->conf.self, ce->name, ce->from, ce->target);
}

/* The RPT of the DEC outstanding. */
static void on_report(struct sync *s, struct sync_ce *ce, uint8_t type, const struct pdp_report *r)
{
	bool more, was_refused = false;
	char text[256];

	/* "not there" of a Remove is what we expect of rows that it may or may not hold */
	for (size_t i = 0; r != NULL && type == COPS_RPT_SUCCESS && i < r->faults; i++)
		log_at(r->fault[i].cperr == PIB_CPERR_INSTANCE ? LOG_DEBUG : LOG_WARNING,
		    "%s: warns: %s", ce->name, pib_fault_print(&r->fault[i], text, sizeof(text)));
	if (ce->sent == SENT_CONTENT) {
		was_refused = type != COPS_RPT_SUCCESS;
		if (was_refused)
			refused(s, ce, r);
		else
			sync_confirmed(s, ce);
	}
	if (ce->sent == SENT_ASIDE && type != COPS_RPT_SUCCESS)
		log_warn("%s: will not report: %s", ce->name,
		    r != NULL && r->faults > 0 ? pib_fault_print(&r->fault[0], text, sizeof(text))
					       : "no reason given");
	more = ce->owed > 0 || ce->wanted > ce->target;
	sync_enter(ce, SYNC_IDLE);
	sync_outcome(s, ce);
	if (ce->leaving && ce->sent == SENT_CONTENT && !was_refused && ce->wanted <= ce->applied)
		forget(s, ce);
	else if (!was_refused || more || ce->refresh.step == REFRESH_WANTED)
		sync_next(s, ce);
}

/* An unsolicited Failure: something installed broke later (RFC 3084 5.3). */
static void on_trouble(struct sync_ce *ce, uint8_t type, const struct pdp_report *r)
{
	char text[256];

	if (type != COPS_RPT_FAILURE)
		return;
	ce->failures++;
	free(ce->failure);
	ce->failure = failure_print(r, ce->applied, (int64_t)time(NULL));
	ce->save = true;
	log_warn("%s: what it had confirmed broke: %s", ce->name,
	    r != NULL && r->faults > 0 ? pib_fault_print(&r->fault[0], text, sizeof(text))
				       : "no reason given");
}

/*
 * Does this report answer the DEC outstanding?  One with the Solicited flag does (RFC 3084 5.3).
 * A peer may forget the flag: an unsolicited Success means nothing else, and a Failure is
 * something that broke later only if the session has shown that it knows the flag.
 */
static bool answers(struct sync_ce *ce, const struct up *ev)
{
	if (ev->solicited) {
		ce->flags = true;
		return true;
	}
	if (ce->state != SYNC_WAITING || (ev->report != COPS_RPT_SUCCESS && ce->flags))
		return false;
	if (!ce->flagless)
		log_note("%s: reports lack the Solicited flag", ce->name);
	ce->flagless = true;
	return true;
}

static void on_report_any(struct sync *s, struct sync_ce *ce, struct up *ev)
{
	const struct refresh_event re = {.state = ev->state, .report = ev->fault};
	bool good = ev->report == COPS_RPT_SUCCESS;

	if ((good || ev->solicited || !ce->flags) &&
	    refresh_event(s, ce, good ? REFRESH_SUCCESS : REFRESH_FAILURE, &re))
		return;
	if (ev->state != ce->main)
		return; /* on nothing, or on its removal */
	if (!answers(ce, ev))
		on_trouble(ce, ev->report, ev->fault);
	else if (ce->state == SYNC_WAITING)
		on_report(s, ce, ev->report, ev->fault);
	else
		log_warn("%s: reports on a decision it was not sent", ce->name);
}

static void on_release(struct sync *s, struct sync_ce *ce, uint32_t state)
{
	if (state == ce->main) {
		ce->main = ce->told = 0;
		sync_owed_clear(ce);
		sync_enter(ce, SYNC_OPENING);
	}
	refresh_event(s, ce, REFRESH_DELETED, &(struct refresh_event) {.state = state});
}

void sync_up(struct sync *s, struct up *ev)
{
	struct sync_ce *ce;

	if (ev->kind == UP_OPEN) {
		on_open(s, ev);
		return;
	}
	HASH_FIND(hh_sid, s->by_sid, &ev->sid, sizeof(ev->sid), ce);
	switch (ev->kind) {
	case UP_REQUEST:
		if (ce != NULL && (ce->main == 0 || ce->main == ev->state)) {
			ce->main = ev->state;
			on_request(s, ce, ev->request);
		} else if (ce != NULL) {
			on_other_request(s, ce, ev->state, ev->request);
		}
		pdp_request_free(ev->request);
		break;
	case UP_USAGE:
		if (ce != NULL && ev->state == ce->main && s->conf.client->report != NULL)
			s->conf.client->report(s->conf.self, ce->name, ev->request);
		pdp_request_free(ev->request);
		break;
	case UP_REPORT:
		if (ce != NULL)
			on_report_any(s, ce, ev);
		free(ev->fault);
		break;
	case UP_RELEASE:
		if (ce != NULL)
			on_release(s, ce, ev->state);
		break;
	default:
		if (ce != NULL) {
			disconnect(s, ce);
			sync_outcome(s, ce);
			if (ce->guest)
				ce_free(s, ce);
		}
		break;
	}
}

/* The CE has no policy any more by now, and what it notified is of no use to anybody. */
static void drop_state(struct sync *s, struct sync_ce *ce, int64_t now)
{
	const struct pdp_client *c = s->conf.client;
	struct pdp_request nothing = {.full = true};
	struct pib_fault f = {0};

	if (s->conf.ttl_s == 0 || ce->dropped || ce->guest ||
	    now - ce->since_ms < (int64_t)s->conf.ttl_s * 1000)
		return;
	ce->dropped = true;
	log_info("%s: away for %u s: what it had notified is dropped", ce->name, s->conf.ttl_s);
	if (c->request(s->conf.self, ce->name, &nothing, &f) != 0)
		log_err("%s: it cannot be dropped", ce->name);
}

void sync_tick(struct sync *s)
{
	struct sync_ce *ce, *more;
	int64_t now = sync_now_ms();

	HASH_ITER (hh, s->by_name, ce, more) {
		if (ce->refresh.step > REFRESH_WANTED &&
		    now - ce->refresh.since_ms >= s->conf.report_timeout_ms)
			refresh_event(s, ce, REFRESH_LATE, &(struct refresh_event) {0});
		switch (ce->state) {
		case SYNC_OPENING:
		case SYNC_WAITING:
			if (now - ce->since_ms < s->conf.report_timeout_ms)
				break;
			log_warn("%s: no %s in time", ce->name,
			    ce->state == SYNC_WAITING ? "report" : "request");
			workers_close(
			    s->workers, ce->sid, COPS_ERR_COMM_FAILURE, "no answer in time");
			ce->since_ms = now; /* the close is on its way */
			break;
		case SYNC_REFRESHING: /* see above */
			break;
		case SYNC_IDLE:
			if ((!sync_is_stale(ce) && (!has_aside(s, ce) || ce->told == ce->main)) ||
			    (ce->failed && (ce->retry_ms == 0 || now < ce->retry_at_ms)))
				break;
			sync_next(s, ce);
			break;
		case SYNC_OFFLINE:
			drop_state(s, ce, now);
			break;
		}
	}
}

/* ------------------------------------------------------------- the model's side */

int sync_add(struct sync *s, const char *name)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL)
		ce = ce_new(s, name);
	if (ce == NULL)
		return -1;
	ce->leaving = ce->guest = false;
	return 0;
}

void sync_leave(struct sync *s, const char *name)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL)
		return;
	ce->leaving = true;
	if (ce->state == SYNC_OFFLINE && ce->applied == 0) {
		forget(s, ce); /* never had anything */
		return;
	}
	ce->save = true;
	if (ce->state == SYNC_IDLE && !ce->failed && !sync_is_stale(ce))
		ce->known = false; /* nothing of this change concerns it: take what it may hold */
	sync_next(s, ce);
}

void sync_revoke(struct sync *s, const char *name)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL)
		return;
	if (ce->sid != 0)
		workers_close(s->workers, ce->sid, COPS_ERR_AUTH_FAILURE, "revoked");
	if (s->conf.forgotten != NULL)
		s->conf.forgotten(s->conf.arg, name);
	ce_free(s, ce);
}

int sync_load(struct sync *s, const struct store_ce *in)
{
	struct sync_ce *ce = sync_find(s, in->name);

	if (ce == NULL) {
		ce = ce_new(s, in->name);
		if (ce == NULL)
			return -1;
		ce->leaving = true;
	}
	ce->applied = in->applied_lsn;
	ce->wanted = s->conf.client->newest(s->conf.self, ce->name);
	ce->confirmed_at = in->when;
	if (in->failure != NULL) {
		ce->failure = strdup(in->failure);
		ce->failed = true;
	}
	return 0;
}

void sync_save_each(struct sync *s, int (*fn)(void *arg, const struct store_ce *ce), void *arg)
{
	struct sync_ce *ce, *more;

	HASH_ITER (hh, s->by_name, ce, more) {
		const struct store_ce out = {
		    .client_type = s->conf.store_type,
		    .name = ce->name,
		    .applied_lsn = ce->applied,
		    .when = ce->confirmed_at,
		    .failure = ce->failure,
		};

		if (ce->save && !ce->guest && fn(arg, &out) == 0)
			ce->save = false;
	}
}

/* -------------------------------------------------------- sent by the way */

void sync_changed(struct sync *s, const char *name, uint64_t lsn)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL)
		return;
	ce->wanted = lsn;
	sync_next(s, ce);
}

bool sync_retry(struct sync *s, const char *name)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL)
		return false;
	if (ce->state == SYNC_IDLE && ce->owed == 0 && ce->refresh.step == REFRESH_NONE) {
		/* no trust in what we believe it holds: it is to say so itself (RFC 2748 3.5) */
		ce->asked = true;
		ce->failed = false;
		sync_enter(ce, SYNC_OPENING);
		workers_ask(s->workers, s->conf.index, ce->sid);
	}
	return true;
}

/* -------------------------------------------------------------------- show */

static struct sync_info info_of(const struct sync *s, const struct sync_ce *ce)
{
	uint64_t newest = ce->sid == 0 ? s->conf.client->newest(s->conf.self, ce->name) : 0;

	if (newest < ce->wanted)
		newest = ce->wanted;
	if (ce->known && newest < ce->applied)
		newest = ce->applied; /* came along with something else */

	return (struct sync_info) {
	    .name = ce->name,
	    .sid = ce->sid,
	    .state = ce->state,
	    .failed = ce->failed,
	    .leaving = ce->leaving,
	    .unheard = ce->unheard,
	    .known = ce->known,
	    .applied = ce->applied,
	    .wanted = newest,
	    .address = ce->address != NULL ? ce->address : "",
	    .connected_at = ce->sid != 0 ? ce->connected_at : 0,
	    .confirmed_at = ce->confirmed_at,
	    .lost_at = ce->lost_at,
	    .kept_until = ce->lost_at != 0 && s->conf.ttl_s != 0 ? ce->lost_at + s->conf.ttl_s : 0,
	    .dropped = ce->dropped,
	    .decisions = ce->decisions,
	    .failures = ce->failures,
	    .latency_ms = ce->latency_ms,
	    .failure = ce->failure,
	};
}

bool sync_info(struct sync *s, const char *name, struct sync_info *info)
{
	struct sync_ce *ce = sync_find(s, name);

	if (ce == NULL || ce->guest)
		return false;
	*info = info_of(s, ce);
	return true;
}

void sync_each(struct sync *s, void (*fn)(void *arg, const struct sync_info *info), void *arg)
{
	struct sync_info info;
	struct sync_ce *ce, *more;

	HASH_ITER (hh, s->by_name, ce, more) {
		if (ce->guest)
			continue;
		info = info_of(s, ce);
		fn(arg, &info);
	}
}

const char *sync_state_name(const struct sync_info *info)
{
	static const char *const name[] = {
	    [SYNC_OFFLINE] = "offline",
	    [SYNC_OPENING] = "opening",
	    [SYNC_IDLE] = "in sync",
	    [SYNC_WAITING] = "waiting",
	    [SYNC_REFRESHING] = "refreshing",
	};

	if (info->state == SYNC_IDLE && info->failed)
		return "failed";
	return name[info->state];
}
