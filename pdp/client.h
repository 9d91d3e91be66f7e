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

struct cops_chunk;
struct delta_list;

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
	bool full;		       /* replaces every row notified before */
	struct pib_octets incarnation; /* frwkPibIncarnationId, len 0 = none */
	struct cops_chunk *reject;     /* not NULL: refused already, with these frwkError rows */
	size_t rows;
	struct pdp_row row[];
};

/* Who sends: the certificate is NULL without TLS. */
struct pdp_peer {
	const char *name;
	const uint8_t *cert;
	size_t cert_len;
	bool lone; /* it leads to the CA without a certificate between */
};

struct pdp_client {
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

	/* In the control thread; ce names a CE that pdp/sync was told of. */

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
};

#endif
