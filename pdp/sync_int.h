/*
 * sync_int.h - inside of pdp/sync: what is known of a CE, for sync.c, push.c and refresh.c only.
 *
 *	sync.c		a CE's events, and what it is to get next
 *	push.c		a change on its way to many
 *	refresh.c	going over to another request-state
 */
#ifndef PDP_SYNC_INT_H
#define PDP_SYNC_INT_H

#include <uthash.h>

#include "libcops/cops_chunk.h"
#include "pdp/sync.h"

#define OWED_MAX 4 /* Requests that wait for their Decision */

struct pdp_report;

enum sent { SENT_CONTENT, SENT_NULL, SENT_REJECT, SENT_ASIDE };

/* refresh.c has the drawing. */
enum refresh_step {
	REFRESH_NONE,
	REFRESH_WANTED,
	REFRESH_OPEN,
	REFRESH_ASKED,
	REFRESH_LOAD,
	REFRESH_OLD,
	REFRESH_STEPS
};

struct refresh {
	enum refresh_step step;
	uint32_t state; /* the request-state that is new, from OLD on the one that was main */
	uint8_t owed;	/* Requests for it that wait for the report on what was loaded */
	int64_t since_ms;
	refresh_done *done;
	void *arg;
};

struct sync_ce {
	UT_hash_handle hh;
	UT_hash_handle hh_sid;
	char *name;
	uint64_t sid;  /* 0: offline */
	uint32_t main; /* the request-state that Decisions are for; 0: not opened */
	uint32_t told; /* ... that was told what is beside policy; 0: none */
	enum sync_state state;
	enum sent sent; /* while WAITING */
	bool known;
	bool failed;
	bool leaving;
	bool asked;   /* by SSQ what it holds; it has not said so yet */
	bool guest;   /* connected; not of this client-type's model, but of another's */
	bool unheard; /* its newest request was not taken */
	bool cut;     /* a refresh did not end: states that are not in force are its */
	bool save;
	uint8_t push_seen; /* 1: in the push being gathered; 2: more than once */
	uint8_t owed;
	struct cops_chunk *reject[OWED_MAX]; /* what is owed: frwkError rows, NULL = anything */
	uint64_t applied, wanted;
	uint64_t from, target; /* of the DEC outstanding */
	int64_t since_ms;      /* in this state */
	int64_t retry_at_ms, retry_ms;
	int64_t connected_at, confirmed_at, lost_at;
	bool flags;    /* this session has set the Solicited flag in a report */
	bool flagless; /* ... or was told about as one that does not */
	bool dropped;  /* what it had notified, as it was away for too long */
	uint64_t decisions, failures;
	uint32_t latency_ms;
	char *failure;
	char *address;
	struct refresh refresh;
};

struct sync {
	struct sync_conf conf;
	struct workers *workers;
	struct sync_ce *by_name;
	struct sync_ce *by_sid;
	struct cops_chunk *incarnation; /* the row for incarnation_lsn */
	uint64_t incarnation_lsn;
};

/* --------------------------------------------------------------------- sync.c */

int64_t sync_now_ms(void);
struct sync_ce *sync_find(struct sync *s, const char *name);
void sync_enter(struct sync_ce *ce, enum sync_state state);
void sync_outcome(struct sync *s, struct sync_ce *ce);
/* The last row of every DEC with content, borrowed.  NULL: memory. */
struct cops_chunk *sync_incarnation(struct sync *s, uint64_t lsn);
/* Book a DEC that goes out now. */
void sync_waiting(struct sync_ce *ce, enum sent sent, uint64_t target);
/* A DEC for one of ce's request-states; n = 0 is a NULL decision.  -1: memory. */
int sync_send(struct sync *s, const struct sync_ce *ce, uint32_t state, bool solicited,
    struct cops_chunk *const *chunk, size_t n);
bool sync_is_stale(const struct sync_ce *ce);
/* What a CE is to get next, if it may get anything: called whenever that may have changed. */
void sync_next(struct sync *s, struct sync_ce *ce);
void sync_confirmed(struct sync *s, struct sync_ce *ce);
void sync_owed_clear(struct sync_ce *ce);

/* ------------------------------------------------------------------ refresh.c */

enum refresh_kind {
	REFRESH_IDLE,	 /* nothing is outstanding */
	REFRESH_REQUEST, /* REQ for another request-state than the main one */
	REFRESH_SUCCESS, /* RPT */
	REFRESH_FAILURE,
	REFRESH_DELETED, /* DRQ */
	REFRESH_LATE,	 /* nothing came in time */
	REFRESH_LOST,	 /* the connection is gone */
	REFRESH_KINDS
};

struct refresh_event {
	uint32_t state; /* it is of */
	const struct pdp_report *report;
	struct cops_chunk *reject; /* the REQ's rows were refused with these */
};

/* False: it is no business of a refresh. */
bool refresh_event(
    struct sync *s, struct sync_ce *ce, enum refresh_kind kind, const struct refresh_event *ev);
/* DEC Remove with Request-State (RFC 3084 3.2). */
void refresh_remove(struct sync *s, const struct sync_ce *ce, uint32_t state);

#endif
