/*
 * agent_int.h - inside of the agent, for pep/agent.c, pep/context.c and pep/active.c only.
 *
 *	agent.c		client-types, the connection, interfaces, life
 *	context.c	one request-state: its requests, its decisions, its handle
 *	active.c	which request-state is in force, going over from one to another, and
 *			what becomes of policy without a PDP
 */
#ifndef PEP_AGENT_INT_H
#define PEP_AGENT_INT_H

#include <event2/event.h>

#include "libcops/cops_conn.h"
#include "pep/agent.h"
#include "pep/pep_conf.h"

#define AGENT_CLIENTS_MAX COPS_CONN_TYPES
#define RECONCILE_MIN_MS  1000

struct dec_outcome;
struct pep_cache;
struct pep_feedback;
struct pep_link;
struct pep_request;
struct pep_roles;
struct pep_type;

struct context { /* a request-state (RFC 3084 3.1) */
	struct pep_type *type;
	unsigned slot; /* 0: the one that the agent opens by itself */
	bool used;
	struct pib_store *store;
	struct pep_cache *cache;
	struct pep_request *request;
	enum pep_state state;
	uint32_t handle;     /* 0: none is open */
	bool outstanding;    /* a REQ has no decision yet */
	bool due;	     /* a REQ is to be sent when it can be */
	bool sync;	     /* it answers an SSQ */
	bool sync_one;	     /* which bore the handle, and so does the SSC */
	int64_t backoff_ms;  /* for requests refused */
	struct event *timer; /* request timeout, or the end of backing off */
	struct event *soon;  /* a request is due: once per turn of the loop */
	struct event *disk;  /* cache incomplete */
};

struct pep_type { /* a client-type */
	struct pep_agent *agent;
	const struct pep_client *client;
	void *self;
	struct pib_schema *schema;
	struct pep_roles *roles; /* NULL: interfaces have none */
	struct context ctx[PEP_CONTEXTS_MAX];
	struct context *active;	  /* whose rows are in force; NULL: those of closed */
	struct context *opening;  /* made ready for the PDP, its REQ comes next */
	bool deactivated;	  /* the PDP said that nothing is to be in force */
	struct pib_store *closed; /* what protects when no policy is in force */
	struct pep_cache *closed_cache;
	struct pep_feedback *feedback; /* NULL: nothing is counted */
	struct event *usage;	       /* a report of it is due */
	bool open;		       /* the PDP serves us */
	bool first;		       /* a request is to go before the report */
	bool sync;		       /* an SSQ for all is being answered */
	struct event *repair;	       /* reconcile */
	int64_t repair_ms;
	struct event *expiry;
	int64_t expires_at; /* seconds since the epoch; 0 = not */
	struct pep_client_status status;
};

struct pep_agent {
	const struct pep_conf *conf;
	struct pep_link *link;
	struct event_base *base;
	struct event *itf; /* interfaces changed; NULL: nobody asks */
	int itf_fd;
	uint32_t last_handle;
	struct pep_type type[AGENT_CLIENTS_MAX];
	size_t count;
};

void agent_event_in(struct event *ev, int64_t ms);
int64_t agent_now_ms(void); /* monotonic */

/* ------------------------------------------------------------------ context.c */

/* With its rows from the disk; how many, -1 and err. */
long context_start(struct context *x, char *err, size_t err_len);
void context_clear(struct context *x); /* what is on disk stays */
/* The request-state is no more, here and on disk; its handle was deleted before. */
void context_remove(struct context *x);
void context_close(struct context *x);	/* the connection is gone, or the client-type */
void context_opened(struct context *x); /* CAT: ask with full state */
void context_request_soon(struct context *x);
/* The same with full state. */
void context_request_anew(struct context *x);
/* m is for x->handle, and is a DEC. */
void context_dec(struct context *x, const struct cops_msg *m, const struct cops_fault *fault);
void context_ssq(struct context *x, bool one);
/* DRQ for any handle (RFC 2748 3.4, 3.5). */
void type_send_drq(
    struct pep_type *t, uint16_t reason, uint16_t sub, const uint8_t *handle, size_t len);
void context_handle(const struct context *x, uint8_t h[4]);
struct context *type_context(struct pep_type *t, const struct cops_obj *handle); /* NULL: none */
/* Send what was counted, when it is time or (final) before it ends. */
void type_usage(struct pep_type *t, bool final);
void type_usage_stir(struct pep_type *t); /* a state that is reported may have changed */
void type_usage_rows(struct pep_type *t); /* the rows in force changed */

/* ------------------------------------------------------------------ active.c */

int active_start(struct pep_type *t, char *err, size_t err_len);
/* The client has started and reality is reconciled: policy may be over already. */
void active_resume(struct pep_type *t);
void active_clear(struct pep_type *t);
/* The rows in force, or closed's. */
struct pib_store *active_store(const struct pep_type *t);

enum active_verdict {
	ACTIVE_STORE,	   /* x is not in force and is not to be */
	ACTIVE_ENFORCE,	   /* it is, and stays */
	ACTIVE_TAKE_OVER,  /* it is to be, instead of what is */
	ACTIVE_DEACTIVATE, /* it is, and is not to be */
};
/* By x's rows as they are at the end of a checked transaction (RFC 3318 2.4). */
enum active_verdict active_judge(const struct context *x);
/*
 * Go over from what is in force to x's rows as its checked transaction txn shows them.  0: they are
 * in force, commit txn and call active_taken().  -1: all is as before, and txn has the faults.
 */
int active_take_over(struct context *x, struct pib_txn *txn);
void active_taken(struct context *x);
/*
 * From what is in force to nothing but what protects.  0: done.  -1: all as before; *out, if not
 * NULL, is then a transaction with the faults, for the caller to abort.
 */
int active_end(struct pep_type *t, struct pib_txn **out);
void active_back(struct context *x); /* undo it: x, which is as it was, is in force again */
void active_reconcile(struct pep_type *t);

/* The PDP is lost: policy stays for as long as it says (RFC 3318 5, RFC 3084 7). */
void active_lost(struct pep_type *t);
void active_found(struct pep_type *t); /* and is back */

#endif
