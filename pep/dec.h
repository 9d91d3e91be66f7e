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
struct pib_row;

enum { DEC_END_FIRST = 1, DEC_TAKEN = 2 };

/* What surrounds the rows; any may be NULL, and the whole table, too. */
struct dec_ops {
	/* A checked transaction: rows whose meaning is the agent's.  -1: faults in txn. */
	int (*judge)(void *arg, struct pib_txn *txn);
	/*
	 * Make it true if it is to be; NULL: the client's enforce().  0: done.  DEC_TAKEN: and with
	 * it the request-state is in force.  DEC_END_FIRST: what is in force has to end before: the
	 * transaction is put off, end() called, and it is carried out again.  -1: faults in txn.
	 */
	int (*enforce)(void *arg, struct pib_txn *txn, bool remove_state);
	/* 0, or -1 and perhaps a transaction of the store with the faults. */
	int (*end)(void *arg, struct pib_txn **txn);
	/* Make ready another request-state, whose REQ follows the report; 0, or an enum pib_gperr.
	 */
	uint16_t (*open)(void *arg);
	/* A frwkFeedbackAction of a decision that holds; the store shows its rows. */
	void (*action)(void *arg, const struct pib_row *row);
};

struct dec_target {
	const struct pep_client *client;
	void *self; /* the client's instance */
	struct pib_store *store;
	struct pep_cache *cache;
	const struct dec_ops *ops;
	void *arg;	  /* of ops */
	uint32_t max_msg; /* octets of a DEC (frwkDeviceIdMaxMsg); 0: any */
};

struct dec_outcome {
	bool success;
	bool changed;	 /* the transaction was not empty, and committed */
	bool links;	 /* what is counted may be another */
	bool taken;	 /* enforce() said DEC_TAKEN */
	bool ended;	 /* end() was called, and did */
	bool open_state; /* Install with Request-State: a REQ of another is to follow the report */
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
