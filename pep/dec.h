/*
 * dec.h - one decision as one transaction, and its report (RFC 3084 3.2, 3.3, 5):
 * removes first over the whole DEC, then installs; checked, enforced, committed,
 * cached, or nothing at all.
 */
#ifndef PEP_DEC_H
#define PEP_DEC_H

#include <stdbool.h>
#include <stdint.h>

#include "pep/client.h"

struct buf;
struct cops_msg;
struct pep_cache;
struct pep_roles;

struct dec_target {
	const struct pep_client *client;
	void *self; /* the client's instance */
	struct pib_store *store;
	struct pep_cache *cache;
	const struct pep_roles *roles; /* NULL: interfaces have none */
};

struct dec_outcome {
	bool success;
	bool changed;	      /* the transaction was not empty, and committed */
	bool remove_state;    /* Remove with Request-State: the DRQ is to follow the report */
	bool request_refused; /* frwkError: the PDP did not take our request (RFC 3318 2.3.6) */
	const struct pib_class *refused_cls; /* for this value of a row of ours, NULL: not known */
	uint32_t refused_instance;
	char error[200]; /* of a failure, for people */
};

#define DEC_FAULTS_MAX 16 /* faults named in one report */

/*
 * Carry out a well-formed DEC without Error object and append the one solicited RPT it
 * is owed to rpt.  Nothing of dec is kept.
 */
void dec_handle(const struct dec_target *t, const struct cops_msg *dec, struct buf *rpt,
    struct dec_outcome *out);

#endif
