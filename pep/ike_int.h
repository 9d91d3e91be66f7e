/*
 * ike_int.h - inside of pep/ike.h, for pep/ike*.c only.
 *
 *	ike.c		what is wanted, what is due
 *	ike_sas.c	what charon lists
 *	ike_ask.c	what is asked of charon: to take credentials, to end, to rekey
 *	ike_rekey.c	rekeys on request, none too soon
 *	ike_try.c	one initiation, on a connection of its own, and why it failed
 */
#ifndef PEP_IKE_INT_H
#define PEP_IKE_INT_H

#include <sys/queue.h>
#include <uthash.h>

#include "pep/ike.h"
#include "pep/vici.h"

#define IKE_REASON_LEN	 160
#define IKE_REPLY_MS	 20000
#define IKE_RETRY_MAX_MS 30000

struct ike_conn { /* a connection of charon's that is ours */
	char name[IKE_NAME_LEN];
	struct vici_build settings; /* empty: not wanted any more, or not yet known */
	LIST_HEAD(, ike_peer) peers;
	LIST_HEAD(, ike_child) children;
	bool has;     /* charon has the connection, as far as we know */
	bool dirty;   /* to be loaded */
	bool loading; /* the answer is open */
	bool stale;   /* to be listed */
	bool listing;
	bool ending;	    /* terminate was sent, and not refused */
	int64_t refused_ms; /* charon refused to end it: not again before */
	bool connecting;    /* an IKE_SA of it is being set up */
	bool relist;	    /* something happened while it was being listed */
	int64_t retry_ms;
	char refused[IKE_REASON_LEN]; /* charon's words; "" = loaded or not asked yet */
	UT_hash_handle hh;
};

struct ike_child {   /* a CHILD_SA */
	uint32_t id; /* charon's number */
	uint32_t ike_id;
	char name[IKE_NAME_LEN];
	struct ike_sa sa;
	bool installed; /* carries traffic: not on its way in or out */
	bool moving;	/* is being replaced or ended */
	bool
	    deleting; /* ended, and the other end has not said that it heard; of that is no event */
	bool seen;    /* in the listing that goes on */
	bool ending;
	int64_t refused_ms; /* as in struct ike_conn */
	int64_t broken_ms;  /* since when the kernel lacks it, 0 = it does not */
	int64_t since_ms;
	struct ike_conn *conn;
	struct ike_peer *peer;
	LIST_ENTRY(ike_child) in_conn;
	LIST_ENTRY(ike_child) in_peer;
};

struct ike_peer {
	uint32_t peer;
	char name[64]; /* for logs */
	bool wanted;
	bool permanent;
	bool leads;
	char child[IKE_NAME_LEN]; /* the name that is wanted */
	struct vici_build conf;	  /* of the child */
	struct ike_conn *conn;	  /* NULL when not wanted */
	LIST_ENTRY(ike_peer) in_conn;
	LIST_HEAD(, ike_child) children;
	struct ike_try *trying;
	int64_t try_ms; /* not before */
	unsigned failures;
	int64_t demanded_ms; /* until then traffic is taken to wait */
	int64_t up_ms;	     /* since when the wanted child is up, 0 = it is not */
	uint32_t alone;	     /* the child beside which there is none */
	int64_t alone_ms;    /* since when */
	int64_t look_ms;     /* then list again, 0 = events tell */
	uint32_t rekey;	     /* the child that is to be rekeyed */
	int64_t rekey_ms;    /* since when, 0 = none is */
	bool sweep;	     /* of the SAs that another charon left */
	int64_t sweep_ms;    /* that failed: not again before */
	char reason[IKE_REASON_LEN];
	UT_hash_handle hh;
};

struct ike {
	struct event_base *base;
	char *socket;
	const struct ike_creds *creds;
	struct ike_ops ops;
	void *arg;
	struct vici *vici;
	struct ike_conn *conns;
	struct ike_peer *peers;
	unsigned trying;
	unsigned asked;	 /* answers that are open before anything may be done */
	bool named;	 /* the connections that charon has are known */
	bool listed;	 /* and their SAs; nothing is done before */
	int64_t list_ms; /* that failed: not again before */
	bool complete;	 /* and what is wanted */
	bool reload;	 /* credentials */
	int64_t now_ms;	 /* of the newest tick */
	char down[IKE_REASON_LEN];
	LIST_HEAD(, ike_try) ended;
};

/* --- ike.c -------------------------------------------------------------------- */

struct ike_conn *ike_conn_get(struct ike *k, const char *name); /* NULL: no memory */
struct ike_peer *ike_peer_get(struct ike *k, uint32_t peer);
struct ike_peer *ike_peer_find(const struct ike *k, uint32_t peer); /* NULL: unknown */
/* The newest of the wanted kind that carries traffic, or NULL. */
struct ike_child *ike_current(const struct ike_peer *p);
void ike_child_free(struct ike_child *c);

/* --- ike_sas.c ---------------------------------------------------------------- */

extern const char *const ike_events[];
/* Any event of the main connection. */
void ike_on_event(struct ike *k, const char *name, const struct vici_view *message);
/* By charon's number; NULL: not (any more) among those listed. */
struct ike_child *ike_child_find(const struct ike_conn *c, uint32_t id);
/* List all (when it failed, not again before ike.list_ms), or one connection. */
int ike_list_all(struct ike *k);
int ike_list(struct ike *k, struct ike_conn *c);

/* --- ike_ask.c ---------------------------------------------------------------- */

/* Answers are read, refusals logged and asked again later; what became of it is listed. */
void ike_ask_unload(struct ike *k, struct ike_conn *c);
void ike_ask_end(struct ike *k, struct ike_conn *c);	    /* all its IKE_SAs */
void ike_ask_child_end(struct ike *k, struct ike_child *x); /* once; no-op while it is asked */
int ike_ask_rekey(struct ike *k, const struct ike_child *x);
/* Load all that there are; keys of ours that are not among them any more go. */
void ike_ask_creds(struct ike *k);

/* --- ike_rekey.c -------------------------------------------------------------- */

/* With best up: keep account of it, and rekey it if that is asked and due.  When to call again. */
int64_t ike_rekey_tick(struct ike *k, struct ike_peer *p, const struct ike_child *best);
/* Not before then another CHILD_SA beside those that there are; INT64_MIN if there are none. */
int64_t ike_settle_ms(const struct ike_peer *p);

/* --- ike_try.c ---------------------------------------------------------------- */

struct ike_try;
/* Initiate the peer's child; ike.ops.changed when it is over.  -1: no memory. */
int ike_try_start(struct ike *k, struct ike_peer *p);
void ike_try_drop(struct ike *k, struct ike_peer *p); /* nobody waits for it any more */
/* Is it over?  Then *ok says how, p->reason why not, and it is gone. */
bool ike_try_over(struct ike *k, struct ike_peer *p, bool *ok);
void ike_try_sweep(struct ike *k); /* free those that were dropped */

#endif
