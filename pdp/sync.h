/*
 * sync.h - which CE holds what: for every CE of one client-type, the LSN it confirmed, the
 * Decision that is under way, and what it refused last.  At most one DEC is outstanding per
 * CE; what changes meanwhile makes it stale and goes with the next one.  Control thread only.
 *
 *	            OPN              REQ / DEC             RPT
 *	OFFLINE ---------> OPENING -----------> WAITING ---------> IDLE
 *	   ^                                       ^  a change / DEC |
 *	   +--- connection or client-type closed   +-----------------+
 *
 * Decisions are for the main request-state, the first that the CE opens; a refresh (pdp/refresh.c)
 * makes another one the main.  Requests for others get NULL decisions.
 *
 * What a CE notified (its request-state) outlives the connection for as long as the CE keeps policy
 * without a PDP, ttl_s: it comes back with it, and its peers talk to it meanwhile.  Then it is
 * dropped, as if the CE had said that there is nothing (RFC 3084 7).
 *
 * A CE that refused stays where it was; the next change, sync_retry() or the retry timer tries
 * again what it lacks.  A CE that leaves the model is told so, also when it comes back years
 * later, and then forgotten.
 */
#ifndef PDP_SYNC_H
#define PDP_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delta_list;
struct pdp_client;
struct store_ce;
struct sync;
struct sync_push;
struct up;
struct workers;

enum sync_state { SYNC_OFFLINE, SYNC_OPENING, SYNC_IDLE, SYNC_WAITING, SYNC_REFRESHING };

struct sync_conf {
	const struct pdp_client *client;
	void *self;	     /* its */
	uint16_t index;	     /* in the workers' table */
	uint16_t store_type; /* what the store calls it; 0: the VPN */
	const uint8_t *uuid; /* of the database, 8 octets; borrowed */
	const char *pdp_name;
	uint32_t ttl_s; /* how long a CE may keep policy without a PDP; 0 = for ever */
	int64_t report_timeout_ms;
	int64_t retry_ms; /* after a refusal, doubled up to 16 times this; 0 = never */
	/* ce confirmed, refused, connected or went away */
	void (*outcome)(void *arg, const char *ce);
	/* ce, which had left the model, holds nothing any more (or never did) */
	void (*forgotten)(void *arg, const char *ce);
	/* Does ce, of which this client-type knows nothing, belong here, because another one
	 * knows it?  Then it is served as a guest: it holds nothing until it is added. NULL: no. */
	bool (*admits)(void *arg, const char *ce);
	void *arg;
};

struct sync *sync_new(const struct sync_conf *conf); /* *conf is copied, what it points to not */
void sync_free(struct sync *s);
/* Before the first event. */
void sync_set_workers(struct sync *s, struct workers *ws);

/* A CE of the model; in either order with sync_load().  -1: memory. */
int sync_add(struct sync *s, const char *ce);
/* Not of the model any more. */
void sync_leave(struct sync *s, const char *ce);
/*
 * Its session ends at once, without a removal, and it is forgotten; what it holds is out of reach.
 * Before it, whoever asks must be kept from letting it in again.
 */
void sync_revoke(struct sync *s, const char *ce);
/* From the store at start: one that is never added has left. -1: memory. */
int sync_load(struct sync *s, const struct store_ce *ce);
/* What the store should know and does not: fn borrows.  Counts as saved when fn returns 0. */
void sync_save_each(struct sync *s, int (*fn)(void *arg, const struct store_ce *ce), void *arg);

/* An event of a worker.  Takes what it owns. */
void sync_up(struct sync *s, struct up *ev);
/* About once a second: timeouts and retries. */
void sync_tick(struct sync *s);

/*
 * A change on its way to many.  Lists are gathered before the change is committed (nothing is
 * sent, no state changes) and sent after.  CEs that get the same chunks share one message.
 */
struct sync_push *sync_push_new(struct sync *s);
/* References are taken.  -1: memory. */
int sync_push_add(struct sync_push *p, const char *ce, const struct delta_list *l);
void sync_push_send(struct sync_push *p, uint64_t lsn); /* frees p */
void sync_push_free(struct sync_push *p);		/* it was not committed */
/* Rows of ce changed at lsn; they are worked out when they are sent, now if possible. */
void sync_changed(struct sync *s, const char *ce, uint64_t lsn);
/*
 * Ask a CE that is connected what it holds, by SSQ, and send what it lacks by its answer; one that
 * is busy with a decision is about to say so anyhow.  False: no such CE.
 */
bool sync_retry(struct sync *s, const char *ce);

/*
 * How a refresh ended, told once, perhaps before sync_refresh() returns. why NULL: all that ce
 * should hold was loaded anew and is in force.  Else nothing has changed at the CE; failure,
 * if not NULL, is JSON as in sync_info.
 */
typedef void refresh_done(void *arg, const char *ce, const char *why, const char *failure);
/*
 * Load everything at ce anew, in another request-state, and go over to that at once.  False, and
 * done is not called: no such CE, not connected, or another refresh of it is under way.
 */
bool sync_refresh(struct sync *s, const char *ce, refresh_done *done, void *arg);

struct sync_info { /* borrowed strings */
	const char *name;
	uint64_t sid; /* of its session; 0 = not connected */
	enum sync_state state;
	bool failed; /* refused the last DEC with content */
	bool leaving;
	bool unheard; /* its newest request was not taken: what it says is not known */
	bool known;   /* applied is what it holds; else it needs everything */
	uint64_t applied;
	uint64_t wanted;     /* newest change that concerns it */
	const char *address; /* "" = not connected */
	int64_t lost_at;     /* since when it is away; 0 = connected, or never was */
	int64_t kept_until;  /* then what it notified is dropped; 0 = kept for ever, or connected */
	bool dropped;	     /* that has happened */
	int64_t connected_at, confirmed_at; /* seconds since the epoch, 0 = never */
	uint64_t decisions, failures;	    /* with rows, since start; refused ones */
	uint32_t latency_ms;		    /* of the last confirmed DEC */
	const char *failure; /* JSON of the last one, NULL = none, or all is well since */
};
bool sync_info(struct sync *s, const char *ce, struct sync_info *info);
void sync_each(struct sync *s, void (*fn)(void *arg, const struct sync_info *info), void *arg);
const char *sync_state_name(const struct sync_info *info);

#endif
