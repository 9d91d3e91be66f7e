/*
 * client.h - a client-type as the PDP's machinery sees it: a schema, what its rows of
 * requests mean, and which Decisions bring a CE up to date.  Sessions, workers and
 * pdp/sync know nothing else of it; pdp/vpn is one.
 */
#ifndef PDP_CLIENT_H
#define PDP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pib/pib_class.h"
#include "pib/pib_err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct addr;
struct cops_chunk;
struct delta_list;
struct event_base;

/* A row that a PEP notifies; its octets were checked against the class. */
struct pdp_row {
	const struct pib_class *cls;
	uint32_t instance;
	bool removed;	/* RFC 3318 2.3.4: an EPD without octets */
	uint16_t doubt; /* the column that check_row() did not believe, 0 = none */
	const uint8_t *epd;
	uint32_t epd_len;
};

/* A Request as it goes from a worker to the control thread; one allocation. */
struct pdp_request {
	bool inactive;		       /* the request-state is not in force (RFC 3318 2.4) */
	bool full;		       /* replaces every row notified before */
	struct pib_octets incarnation; /* frwkPibIncarnationId, len 0 = none */
	const struct addr *from;       /* the session's other end; NULL = unknown */
	struct cops_chunk *reject;     /* not NULL: refused already, with these frwkError rows */
	size_t rows;
	struct pdp_row row[];
};

/* Who sends: the certificate is NULL without TLS. */
struct pdp_peer {
	const char *name;
	const uint8_t *cert;
	size_t cert_len;
	const struct addr *addr; /* where its session comes from; NULL: unknown */
	bool lone;		 /* it leads to the CA without a certificate between */
};

/* What the machinery gives a plug-in at start: to be copied; what it points to stays. */
struct pdp_env {
	struct event_base *base; /* of the control thread */
	const char *argument;	 /* what pdp.conf says after the plug-in's path; "" = nothing */
	const char *state_dir;	 /* private directory; files in it are to begin with the name */
	/* A line for the log; syslog's levels. */
	void (*log)(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	/*
	 * rows() may give others for ce now, or (NULL) for all CEs: they are asked for and what
	 * differs is sent.  Also during start().
	 */
	void (*changed)(void *host, const char *ce);
	void *host;
};

/* Takes a row, as the class's struct; copied.  -1: it is no row of the class, or memory. */
typedef int pdp_put(void *arg, const struct pib_class *cls, uint32_t instance, const void *row);

#define PDP_CLIENT_API 2 /* of what follows; a plug-in made for another one is refused */

struct pdp_client {
	uint32_t api;	  /* PDP_CLIENT_API */
	const char *name; /* "vpn" */
	uint16_t client_type;
	const struct pib_module *const *module;
	uint16_t modules;
	size_t max_rows; /* of one Request */

	/*
	 * In any worker's thread: the column of this row (the class's struct) that cannot be as
	 * it is, coming from this peer; 0: none.  request() is told so.
	 */
	uint16_t (*check_row)(
	    const struct pib_class *cls, const void *row, const struct pdp_peer *peer);

	/*
	 * A plug-in's: start, stop, reload and rows, all in the control thread.  The machinery
	 * (pdp/source) keeps its LSNs and works out full, since, newest and lsn, which stay NULL.
	 */

	/* NULL and err. */
	void *(*start)(const struct pdp_env *env, char *err, size_t err_len);
	void (*stop)(void *self);
	/*
	 * Read the policy again (SIGHUP, copsctl reload) and say what changed.  -1: all stays as it
	 * was, and err has a line "file:line: what" for each fault.  NULL: nothing to read.
	 */
	int (*reload)(void *self, char *err, size_t err_len);
	/* The CEs that have policy: fn for each.  -1: fn said so. */
	int (*ces)(void *self, int (*fn)(void *arg, const char *ce), void *arg);
	/* Everything ce must hold, in any order; nothing when it has no policy.  -1: put said so.
	 */
	int (*rows)(void *self, const char *ce, pdp_put *put, void *arg);

	/* In the control thread; ce names a CE that pdp/sync was told of.  NULL: takes all. */

	/* Take the rows of a Request, all or none. -1 and *f: refused. */
	int (*request)(
	    void *self, const char *ce, const struct pdp_request *req, struct pib_fault *f);
	/* Everything ce must hold, after a Remove of every class.  -1: memory. */
	int (*full)(void *self, const char *ce, struct delta_list *l);
	/* What changed for ce after LSN since. 0: *l, may be empty; 1: full is needed; -1: memory.
	 */
	int (*since)(void *self, const char *ce, uint64_t since, struct delta_list *l);
	/* No change after this LSN concerns ce (an upper bound). */
	uint64_t (*newest)(void *self, const char *ce);
	/* The LSN that a CE brought up to date now is at. */
	uint64_t (*lsn)(void *self);
	/* ce confirmed what brings it from one LSN to another. */
	void (*confirmed)(void *self, const char *ce, uint64_t from, uint64_t to);

	/* Of usage feedback (RFC 3571), a plug-in's too; NULL: there is none. */

	/*
	 * Decisions beside policy for a CE that is up to date, asked for whenever it is: links and
	 * actions.  first: it was told nothing yet in this request-state.  -1: memory.
	 */
	int (*aside)(void *self, const char *ce, bool first, struct delta_list *l);
	/* The report-only rows of an accounting report, checked as a request's are. */
	void (*report)(void *self, const char *ce, const struct pdp_request *report);
};

/* A plug-in's own: the one symbol that copspdpd looks for in it. */
extern const struct pdp_client cops_pdp_client;

#ifdef __cplusplus
}
#endif

#endif
