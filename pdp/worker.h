/*
 * worker.h - the threads that own the sessions.  The control thread hands them sockets
 * and Decisions and gets back events, both in batches through mailboxes.  A session is
 * known to the control thread by an id that is never used again.
 *
 *	control                                   worker
 *	workers_accept(fd)        ------------>   session
 *	workers_send(ids, chunks) ------------>   DEC to each
 *	on_up(events)             <------------   OPEN, REQUEST, REPORT, USAGE, RELEASE, CLOSE
 */
#ifndef PDP_WORKER_H
#define PDP_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"
#include "common/tls.h"
#include "libcops/cops_conn.h"

struct acl;
struct event_base;
struct pdp_client;
struct pdp_report;
struct pdp_request;
struct workers;

#define WORKERS_MAX 255

enum up_kind {
	UP_OPEN,    /* a client-type was opened: name, address */
	UP_REQUEST, /* request */
	UP_REPORT,  /* the solicited (or unsolicited) RPT */
	UP_USAGE,   /* an accounting RPT: request */
	UP_RELEASE, /* the PEP deleted its request-state */
	UP_CLOSE,   /* the client-type is closed, mostly with its connection */
};

/* An event of one client-type of one session. */
struct up {
	uint64_t sid;
	uint16_t client; /* index in workers_conf.client */
	uint8_t kind;	 /* enum up_kind */
	uint8_t report;	 /* enum cops_report */
	bool solicited;
	uint32_t state; /* which request-state, REQUEST, REPORT, USAGE, RELEASE; never used again in
			   a session */
	union {
		struct up_open *open;
		struct pdp_request *request; /* the receiver owns it now */
		struct pdp_report *fault;    /* of a Failure or with warnings, else NULL */
	};
};

struct worker_to { /* a request-state of a session */
	uint64_t sid;
	uint32_t state;
};

struct up_open { /* malloc()ed, the receiver frees it */
	char address[ADDR_STRLEN];
	char name[]; /* the PEPID, lower case */
};

struct worker_security {
	enum cops_security kind;
	const char *keys; /* the file of Integrity keys, for that kind */
	const char *cert; /* PEM files, for TLS */
	const char *key;
	const char *ca;
	const char *crl;
};

struct workers_conf {
	unsigned count;
	const struct pdp_client *const *client;
	size_t clients;
	struct acl *acl;
	struct worker_security security;
	struct cops_conn_conf conn; /* without what security says */
	size_t max_sessions;
	FILE *trace; /* of every message a line; NULL: none */
	/* In the control thread.  Takes what the events own. */
	void (*on_up)(void *arg, struct up *ev, size_t n);
	void *arg;
};

/* Since start, over all workers. */
struct workers_stats {
	uint64_t sessions; /* now */
	uint64_t accepted;
	uint64_t tls_failed;	   /* no handshake, or no certificate that verifies */
	uint64_t refused_identity; /* PEPID is not of the certificate, or not known */
	uint64_t refused_type;	   /* client-type we do not serve */
	uint64_t refused_full;	   /* over max_sessions */
	uint64_t bad_messages;
	uint64_t decisions;
	uint64_t reports;
};

/* base is the control thread's.  *conf is copied, what it points to is not.  NULL and err. */
struct workers *workers_new(
    struct event_base *base, const struct workers_conf *conf, char err[TLS_ERR_LEN]);
/* Close every session with CC 11, give them a moment to flush, join the threads. */
void workers_stop(struct workers *ws);
void workers_free(struct workers *ws);

/* Takes fd, an accepted non-blocking socket. */
void workers_accept(struct workers *ws, int fd);
/*
 * A DEC with these chunks to each request-state; n = 0 is a NULL decision.  ids may belong to
 * different workers: one message goes to each worker concerned.  -1: memory.
 */
int workers_send(struct workers *ws, uint16_t client, bool solicited, const struct worker_to *to,
    size_t tos, struct cops_chunk *const *chunk, size_t n);
/* SSQ for a client-type: the PEP says anew what it holds, in full (RFC 2748 3.5). */
void workers_ask(struct workers *ws, uint16_t client, uint64_t sid);
/* CC for every client-type, and the end of the session; why is static. */
void workers_close(struct workers *ws, uint64_t sid, uint16_t error, const char *why);
/* CC with Redirect to Preferred Server (RFC 2748 3.8), and the end of the session. */
void workers_redirect(struct workers *ws, uint64_t sid, const struct addr *to, uint16_t port);
/*
 * Read certificates, CRL and keys anew, and protect sessions so from now on.  Closed are those
 * whose certificate is not good any more, and with Authentication Required those that are less
 * protected than they must be now (RFC 4261 5.2).  -1 and err: all as before.
 */
int workers_reload(struct workers *ws, const struct worker_security *s, char err[TLS_ERR_LEN]);
void workers_stats(struct workers *ws, struct workers_stats *st);

#endif
