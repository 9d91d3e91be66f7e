/*
 * agent.h - the generic half of a COPS-PR PEP (RFC 3084 3, 5): the request-states of each
 * client-type, one of them in force, their requests, and each decision as one transaction that the
 * client enforces, the cache keeps and one solicited report answers.
 *
 * It knows rows and messages, not what rows mean: that is the client's
 * (pep/client.h).  Restarting disturbs nothing: the cached rows are reconciled
 * with reality before the first connection is tried.
 */
#ifndef PEP_AGENT_H
#define PEP_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pep/client.h"
#include "pib/pib_err.h"

struct pep_conf;
struct pep_link_status;

/*
 * Start clients: load each one's cached rows, start it, reconcile.  All arguments are borrowed
 * until pep_agent_free().  NULL and a text in err on failure.
 */
struct pep_agent *pep_agent_new(struct event_base *base, const struct pep_conf *conf,
    const struct pep_client *const *client, size_t count, char *err, unsigned long err_len);
/* Begin connecting (after privileges were dropped). */
void pep_agent_start(struct pep_agent *a);
/* Close the connection politely, for good, and call done when that is over (perhaps at once). */
void pep_agent_stop(struct pep_agent *a, void (*done)(void *arg), void *arg);
/* Stops the clients, which leave in place what they enforce. */
void pep_agent_free(struct pep_agent *a);
/* Certificates and keys are read again, see pep_link_reload().  -1 and err: all as before. */
int pep_agent_reload(struct pep_agent *a, char *err, size_t err_len);
/* Drop the connection, if any, and connect anew at once, first PDP first. */
void pep_agent_reconnect(struct pep_agent *a);

/* Our PEPID. */
const char *pep_agent_identity(const struct pep_agent *a);
/* A client by name; NULL: no such client. Its instance and rows, borrowed. */
const struct pep_client *pep_agent_client(const struct pep_agent *a, const char *name);
/* The i-th of them; NULL: there are no more. */
const struct pep_client *pep_agent_client_at(const struct pep_agent *a, size_t i);
void *pep_agent_self(const struct pep_agent *a, const struct pep_client *c);
const struct pib_store *pep_agent_store(const struct pep_agent *a, const struct pep_client *c);
const struct pib_schema *pep_agent_schema(const struct pep_agent *a, const struct pep_client *c);

/*
 * Reality was changed by others (flush, foreign delete): have the client reconcile soon, and again
 * with back-off until it says it succeeded.
 */
void pep_agent_reconcile(struct pep_agent *a, const struct pep_client *c);

enum pep_state {
	PEP_CLOSED,	/* no connection, or the PDP does not take this client-type */
	PEP_OPENING,	/* OPN sent */
	PEP_REQUESTING, /* REQ sent, its decision is not here yet */
	PEP_IN_SYNC,	/* every REQ has its decision */
	PEP_BACKING_OFF /* connected, the PDP refused the request; tried again later */
};

/* For show. */
struct pep_client_status {
	enum pep_state state;
	uint32_t handle;
	uint8_t incarnation[255]; /* frwkPibIncarnationId held */
	uint8_t incarnation_len;
	size_t rows;
	bool cache_complete;
	bool active; /* a request-state is in force */
	unsigned request_states;
	int64_t expires_at; /* what is in force ends then, without a PDP; 0 = not */
	uint64_t decisions; /* since start */
	uint64_t failures;
	int64_t last_decision; /* seconds since the epoch, 0 = none */
	char last_error[200];  /* of the newest failure, "" = none */
};
const char *pep_state_name(enum pep_state s);
void pep_agent_status(
    const struct pep_agent *a, const struct pep_client *c, struct pep_client_status *s);
void pep_agent_link_status(const struct pep_agent *a, struct pep_link_status *s);

#endif
