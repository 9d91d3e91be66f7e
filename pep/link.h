/*
 * link.h - the agent's connection to whichever PDP can be had: the configured list in
 * order, back-off with jitter, the TLS upgrade, and whether the other end is the PDP it
 * should be (RFC 2748 2.3, 4.3; RFC 4261 5-7).
 *
 * One connection at a time.  When it ends the same PDP is tried first, then the
 * others; after a round in vain the link waits, longer each time.
 */
#ifndef PEP_LINK_H
#define PEP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

struct cops_conn;
struct cops_fault;
struct cops_msg;
struct cops_obj;
struct event_base;
struct pep_conf;
struct pep_link;
struct pib_schema;

struct pep_link_ops {
	void (*up)(void *arg); /* secure: open client-types */
	void (*accepted)(void *arg, uint16_t client_type);
	/* A redirect, if there was one, is followed by the link itself, after this. */
	void (*closed)(void *arg, uint16_t client_type, uint16_t error, uint16_t sub);
	void (*message)(void *arg, const struct cops_msg *m, const struct cops_fault *fault);
	void (*down)(void *arg); /* after up only */
	/* The classes of a client-type, for the trace; NULL: not known. */
	const struct pib_schema *(*schema)(void *arg, uint16_t client_type);
};

struct pep_link_status {
	bool connected;	 /* and secure */
	struct addr pdp; /* connected to, or tried last; family 0: none yet */
	uint16_t port;
	char name[256];	      /* the PDP's, "" without TLS */
	int64_t since;	      /* seconds since the epoch: up or down */
	uint64_t connections; /* that came up, since start */
	char last_error[512]; /* why the last one ended or did not come up */
};

/* conf and ops are borrowed. NULL and err on failure (certificates). */
struct pep_link *pep_link_new(struct event_base *base, const struct pep_conf *conf,
    const struct pep_link_ops *ops, void *arg, char *err, unsigned long err_len);
/* At once, no callback. */
void pep_link_free(struct pep_link *l);
void pep_link_start(struct pep_link *l);
/* Close politely for good and call done when that is over (perhaps at once). */
void pep_link_stop(struct pep_link *l, void (*done)(void *arg), void *arg);
/*
 * Read certificates, CRL and Integrity keys again.  Keys count at once, certificates for the next
 * connection.  -1 and err: all stays as it was.
 */
int pep_link_reload(struct pep_link *l, char *err, size_t err_len);
/* Close what there is and connect anew, first PDP first. */
void pep_link_restart(struct pep_link *l);
/* The PDP in use is of no use: close, and go on with the next one after back-off. */
void pep_link_next(struct pep_link *l, const char *why);
/*
 * A decision of it could be carried out: the PDP is a good one, back-off starts anew.  A CAT is
 * not enough: one that accepts us only to close again would be asked without pause.
 */
void pep_link_good(struct pep_link *l);
/* NULL: no secure connection. */
struct cops_conn *pep_link_conn(const struct pep_link *l);
/* Our end of the connection that is up.  false: none is. */
bool pep_link_local(const struct pep_link *l, struct addr *local);
/* Our PEPID. */
const char *pep_link_identity(const struct pep_link *l);
void pep_link_status(const struct pep_link *l, struct pep_link_status *s);

#endif
