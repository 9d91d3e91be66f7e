/*
 * cops_conn.h - one COPS connection, either end, without sockets, clock or TLS
 * library: octets and milliseconds go in, octets and events come out (RFC 2748
 * 3.6-3.9, 4; RFC 4261 4, 5).  The same core serves the PDP, the PEP, the tests
 * (both ends in one process, virtual time) and the load generator.
 *
 * The caller feeds received octets to cops_conn_input(), calls cops_conn_tick()
 * no later than the deadline it returned, and sends what is in the output queue
 * when on_output asks.  Callbacks run inside those calls; they may send, and may
 * call cops_conn_close(), but must not free the connection: that is for after the
 * call returns (see cops_conn_dead()).
 */
#ifndef COPS_CONN_H
#define COPS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcops/cops_chunk.h"
#include "libcops/cops_msg.h"

#ifdef __cplusplus
extern "C" {
#endif

#define COPS_CONN_TYPES 8 /* client-types open at once on one connection, 0 not counted */

enum cops_role { COPS_PEP, COPS_PDP };

/* What protects a connection. */
enum cops_security {
	COPS_SECURITY_NONE,
	COPS_SECURITY_TLS,	 /* RFC 4261; refused without it */
	COPS_SECURITY_INTEGRITY, /* the Integrity object, RFC 2748 4.1; refused without it */
	/* PEP: TLS if the PDP asks for it (RFC 4261 5.2), else none.  Whoever is in the middle can
	 * take the PDP's wish away: for the time in which PDPs go over to TLS. */
	COPS_SECURITY_ANY,
};

struct cops_conn;
struct cops_hmac_ring;

/* For COPS_SECURITY_INTEGRITY; all borrowed. */
struct cops_integrity {
	struct cops_hmac_ring *ring; /* may be exchanged by the owner of the settings at any time */
	const char *pdp;	     /* PEP only: whose keys these are; PDP: the PEPID says */
	int64_t (*unix_ms)(void);    /* the time by which keys live, cops_io_unix_ms() */
	/*
	 * The number with which the peer's messages are to begin.  It must grow by more than
	 * messages come, so that none ever fits another connection: cops_io_first_number().
	 */
	uint32_t (*first_number)(void);
};

/* Settings shared by many connections; borrowed, must outlive them. */
struct cops_conn_conf {
	enum cops_role role;
	const char *pepid; /* PEP only */
	enum cops_security security;
	uint16_t ka_s;		  /* PDP: KATimer in CAT, 0 = none */
	uint16_t acct_s;	  /* PDP: AcctTimer in CAT, 0 = object left out */
	uint32_t max_msg;	  /* octets of one message we take; 4096 at most before security */
	size_t max_unsent;	  /* octets queued before the connection is given up */
	uint32_t open_timeout_ms; /* first OPN/CAT and the TLS handshake must be done by then */
	struct cops_integrity integrity;
};

struct cops_conn_ops {
	/*
	 * PDP: a PEP opens client_type.  Return 0 to accept (CAT goes out), else the
	 * COPS error of the CC (*sub likewise).  Type 0 is answered by the core itself.
	 */
	uint16_t (*on_open)(
	    void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub);
	/*
	 * PEP: CAT for client_type arrived; client_type 0: security is agreed on and not TLS, open
	 * client-types now.  PDP: ours is queued, more may follow it.  May be NULL.
	 */
	void (*on_accept)(void *arg, uint16_t client_type);
	/*
	 * client_type is closed: by the peer's CC (error, sub; redir may be absent, c_num 0),
	 * or by ours because what the peer sent for it was malformed or came before its CAT.
	 * Client-type 0: the peer's CC ends the whole connection, on_dead follows.
	 */
	void (*on_client_close)(void *arg, uint16_t client_type, uint16_t error, uint16_t sub,
	    const struct cops_obj *redir);
	/*
	 * A well-formed REQ, DEC, RPT, DRQ, SSQ or SSC for an open client-type, or
	 * (fault != NULL) a malformed REQ, DEC or RPT whose handle could still be read:
	 * the receiver answers it (DEC with Error, DRQ).  The view dies on return; with a
	 * fault only slots, op and client_type may be looked at, not the iterators.
	 */
	void (*on_msg)(void *arg, const struct cops_msg *m, const struct cops_fault *fault);
	/* Begin the TLS handshake once the output queue is empty; input stops until
	 * cops_conn_tls_up(). */
	void (*on_start_tls)(void *arg);
	/* The output queue went from empty to not empty. */
	void (*on_output)(void *arg);
	/* The connection is over, for this reason; nothing follows.  Close after flushing output.
	 */
	void (*on_dead)(void *arg, const char *why);
};

/*
 * conf and ops are borrowed and must outlive the connection; arg is handed to ops.  now_ms, here
 * and below, is the caller's clock in milliseconds, from any beginning, which never goes back.
 * NULL: no memory, a PEP without a good pepid, or COPS_SECURITY_INTEGRITY without its settings.
 */
struct cops_conn *cops_conn_new(
    const struct cops_conn_conf *conf, const struct cops_conn_ops *ops, void *arg, int64_t now_ms);
/* At once and without a word to the peer or ops; not from inside ops.  NULL is allowed. */
void cops_conn_free(struct cops_conn *c);
enum cops_role cops_conn_role(const struct cops_conn *c); /* as in conf */

/*
 * PEP: begin.  Without security open client-types at once; else the type-0 OPN goes out, and
 * its CAT brings on_start_tls or on_accept with client-type 0.
 */
void cops_conn_start(struct cops_conn *c, int64_t now_ms);
/* The transport finished the TLS handshake. PEP may now open client-types. */
void cops_conn_tls_up(struct cops_conn *c, int64_t now_ms);
/* Is it inside TLS?  Integrity does not count. */
bool cops_conn_secure(const struct cops_conn *c);
/*
 * PDP: clear text is not good enough any more.  A connection without TLS is closed with
 * Authentication Required, Integrity-TLS (RFC 4261 5.2), for the PEP to come back.
 */
void cops_conn_require_tls(struct cops_conn *c);
/*
 * PEP: send OPN.  last_pdp NULL or an address+port body of LastPDPAddr (RFC 2748
 * 2.2.14; c_type 1 or 2, len 8 or 20).  0, or -1: not now (handshake) or too many types.
 */
int cops_conn_open(struct cops_conn *c, uint16_t client_type, const struct cops_obj *last_pdp);

/*
 * Take received octets.  Whole messages are handled in place; an incomplete last one
 * is kept.  Returns 0, or -1 once the connection is dead.  Octets after the message
 * that starts TLS are discarded (RFC 4261; never trust pre-TLS input).
 */
int cops_conn_input(struct cops_conn *c, const uint8_t *p, size_t len, int64_t now_ms);
/* Run timers; returns the next deadline (absolute ms), or INT64_MAX. */
int64_t cops_conn_tick(struct cops_conn *c, int64_t now_ms);

/*
 * Queue octets already built as whole messages; copied.  0, or -1 (not up, over max_unsent, or,
 * where Integrity goes on each, no messages).
 */
int cops_conn_send(struct cops_conn *c, const void *msg, size_t len);
/*
 * Queue a DEC: header and handle are written, then the chunks (each one or more whole
 * Decisions) follow by reference; nothing is copied.  n = 0 sends a NULL decision.
 * 0, or -1 as above.
 */
int cops_conn_send_dec(struct cops_conn *c, uint16_t client_type, bool solicited,
    const uint8_t *handle, size_t handle_len, struct cops_chunk *const *chunk, size_t n);
/* Close one client-type with CC: error an enum cops_error, sub its sub-code (RFC 2748 2.2.8, 3.8).
 * Nothing happens when it is not open. */
void cops_conn_close_type(struct cops_conn *c, uint16_t client_type, uint16_t error, uint16_t sub);
/*
 * CC for every open client-type (or type 0 when none), then dead (RFC 2748 3.8).  why is what
 * on_dead hears, static.
 */
void cops_conn_close(struct cops_conn *c, uint16_t error, uint16_t sub, const char *why);
/*
 * PDP: the same with Redirect to Preferred Server and where that is: a body of PDPRedirAddr (RFC
 * 2748 2.2.13, 3.8; c_type 1 or 2, len 8 or 20), borrowed for the call.
 */
void cops_conn_redirect(struct cops_conn *c, const struct cops_obj *to);
/* Is it over?  What is still in the output queue may be written, then cops_conn_free(). */
bool cops_conn_dead(const struct cops_conn *c);
/* Keep-alive time in force: the least of all CATs of the connection; 0 = none. */
uint32_t cops_conn_ka_ms(const struct cops_conn *c);
/* PEP: AcctTimer of an open client-type, seconds; 0 = send none, -1 = CAT had none: no limit. */
int32_t cops_conn_acct_s(const struct cops_conn *c, uint16_t client_type);

/*
 * Show every message received (out false) and sent (out true) to fn, in that moment; NULL,
 * as at first: none, at no cost.  fault is what cops_msg_parse() found or NULL; m->op is 0
 * when not even the header could be believed.  fn must not call the connection.
 */
typedef void cops_conn_trace_fn(
    void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault);
void cops_conn_trace(struct cops_conn *c, cops_conn_trace_fn *fn, void *arg);

/* Octets to write, borrowed from the output queue until the next call that takes the connection. */
struct cops_span {
	const uint8_t *p;
	size_t len;
};
/* The first max_spans at most of what is to be written, in order; returns how many, 0: nothing. */
size_t cops_conn_output(struct cops_conn *c, struct cops_span *span, size_t max_spans);
/* So many octets of it were written, no more than cops_conn_output() gave. */
void cops_conn_output_done(struct cops_conn *c, size_t octets);
/* Octets in the output queue. */
size_t cops_conn_unsent(const struct cops_conn *c);

#ifdef __cplusplus
}
#endif
#endif
