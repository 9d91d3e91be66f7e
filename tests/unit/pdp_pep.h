/*
 * pdp_pep.h - for tests of the policy server: a whole server in this process and PEPs that
 * do as told.  A PEP keeps its rows in a real row store, so that every decision is judged as
 * a transaction, as a CE would.
 */
#ifndef TESTS_PDP_PEP_H
#define TESTS_PDP_PEP_H

#include <check.h>
#include <event2/event.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "common/sitekey.h"
#include "libcops/cops_io.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pib/pib_store.h"

struct world {
	char dir[64];
	struct event_base *base;
	struct pdp_conf conf;
	struct pdp *pdp;
	struct cops_io_pool *pool;
	SSL_CTX *tls;  /* the PEPs', NULL = plain */
	EVP_PKEY *key; /* what PEPs sign with, and its certificate */
	uint8_t *cert;
	size_t cert_len;
};

struct pep_key { /* a ceVpnSiteKey to notify */
	uint32_t member;
	uint32_t epoch;
	uint8_t fill;	     /* every octet of public key and nonce */
	uint16_t integ;	     /* 0: that of world_mesh() */
	const uint8_t *cert; /* NULL: the world's */
	size_t cert_len;
	bool forged;
	bool removed;			    /* it is withdrawn */
	uint8_t sig[SITEKEY_SIGNATURE_MAX]; /* made when first sent */
	size_t sig_len;
};

struct pep_net { /* a ceVpnSitePrefix to notify */
	uint32_t id;
	uint32_t vpn;
	const char *prefix; /* NULL: it is withdrawn; with "!" before it its type is wrong */
};

#define PEP_LONG 100 /* request-states from this number on have a long handle */

struct pep {
	struct world *w;
	char name[64];
	struct cops_io *io;
	struct pib_schema *schema;
	struct pib_store *rows; /* of the request-state in force */
	uint8_t at;		/* last octet of its handle */
	struct {		/* the other request-state */
		uint8_t at;	/* 0: none */
		struct pib_store *rows;
	} other;
	bool lone;	     /* opens no other request-state */
	bool lazy;	     /* ... or never asks for it */
	struct pib_txn *txn; /* of a decision held */
	uint8_t txn_at;	     /* whose it is */
	unsigned txn_rows;   /* Decisions with rows in it */
	bool hold;	     /* do not report yet */
	bool mute;	     /* reports are lost on the way */
	bool flagless;	     /* reports lack the Solicited flag */
	bool refuse;	     /* report a failure of ceVpn.1 column 10 */
	bool reports;	     /* says that it can report on tunnels */
	bool site;	     /* says how it is (ceVpnSite), and: */
	unsigned owed;	     /* entries of its kernel that are to go */
	uint32_t leave;	     /* the VPN that it asks to leave, 0: none */
	uint32_t left;	     /* ... and no more */
	const char *why;     /* its reason, NULL: "moved" */
	bool twice;	     /* in two rows, which is wrong */
	bool silent;	     /* never send the REQ by itself */
	bool up;	     /* CAT was received */
	bool ended;
	unsigned asked;	     /* Requests not answered yet; a real PEP has one at most */
	unsigned cc_error;   /* of the last CC */
	uint16_t redirected; /* the port of its PDPRedirAddr, at 127.0.0.1; 0 = none */
	unsigned decs, nulls, errors, solicited, fulls, refusals, frwk_errors, ssqs;
	unsigned opened, removed; /* other request-states */
	unsigned gap;		  /* what is in force was removed: must stay 0 */
	unsigned faults;	  /* decisions that are no good transaction: must stay 0 */
};

/* A server with an empty database; tls: with certificates for it and for these CEs. */
void world_init(struct world *w, bool tls);
void world_clear(struct world *w);
void world_restart(struct world *w); /* SIGTERM and start, without the PEPs noticing first */
/* Certificate of a CE from here on; NULL: none */
void world_identity(struct world *w, const char *name);

/* Run the loops until cond() holds; false after 5 s. */
#define until(w, cond)                                                                             \
	do {                                                                                       \
		int64_t left_ = 20000;                                                             \
		while (!(cond) && left_-- > 0) {                                                   \
			event_base_loop((w)->base, EVLOOP_NONBLOCK);                               \
			usleep(250);                                                               \
		}                                                                                  \
		ck_assert_msg((cond), "never came true: %s", #cond);                               \
	} while (0)
void settle(struct world *w, int ms); /* run that long */

void pep_init(struct pep *p, struct world *w, const char *name);
/* ce0 ..., not connected; peps_clear() wants that all went well with them. */
void peps_init(struct pep *p, size_t n, struct world *w);
void peps_clear(struct pep *p, size_t n);
void pep_connect(struct pep *p);
void pep_drop(struct pep *p); /* the TCP connection is cut */
void pep_clear(struct pep *p);
void pep_forget(struct pep *p); /* the rows are lost */
/* A REQ: full state with what the incarnation row says, and these keys. */
void pep_request(struct pep *p, bool full, struct pep_key *key, size_t keys);
/* A REQ with full state for another handle. */
void pep_request_other(struct pep *p, uint8_t at);
void pep_delete(struct pep *p, uint8_t at); /* DRQ */
struct pib_ce_vpn_peer_status;
/* An accounting report with these rows. */
void pep_usage(struct pep *p, const struct pib_ce_vpn_peer_status *row, size_t rows);
/* The same with learned networks beside the keys. */
void pep_learned(struct pep *p, bool full, struct pep_key *key, size_t keys,
    const struct pep_net *net, size_t nets);
void pep_withdraw(struct pep *p, uint32_t member, uint32_t epoch);
/* Report on the decision that was held. */
void pep_release(struct pep *p);
size_t pep_rows(struct pep *p, const char *cls);
/* What the server knows of it, which must be something; whether that is: it has everything. */
struct sync_info pep_info(const struct pep *p);
bool pep_in_sync(const struct pep *p);
/* Are its rows exactly those that the server would send in full? */
bool pep_matches(struct pep *p);

/* A command by the control socket, as copsctl gives it. */
struct call {
	char path[128];
	const char *cmd;
	json_t *args; /* taken */
	json_t *reply;
	unsigned progress;
	atomic_bool done;
	pthread_t thread;
};
void call_start(struct world *w, struct call *c);
json_t *call_end(struct world *w, struct call *c); /* the whole answer, new reference */
/* Both; the result (new reference, or NULL), and the error's code ("": none) unless code is NULL.
 */
json_t *world_call(struct world *w, const char *cmd, json_t *args, const char **code);

/* Apply a document; its result. */
enum change_result world_apply(struct world *w, const char *xml);
/* A full mesh (or hub and spoke with ce0 as hub) of n CEs ce0 ..., VPN "v" of customer "c". */
char *world_mesh(size_t n, const char *extra, bool hub);

#endif
