/*
 * cops_fsm.h - the two state machines of a connection as data: the connection
 * itself (RFC 2748 3.6-3.9, 4.1, RFC 4261 5) and each client-type on it.  Pure: a step
 * says what is next and what to do; cops_conn.c does it.  Private to libcops.
 */
#ifndef COPS_FSM_H
#define COPS_FSM_H

#include <stdint.h>

enum cops_state {
	COPS_ST_NEW,	       /* PEP: no TCP connection yet */
	COPS_ST_FRESH,	       /* in clear, nothing agreed on: all is possible but TLS */
	COPS_ST_WAIT_OPN,      /* PDP that wants TLS: nothing but OPN for client-type 0 */
	COPS_ST_WAIT_OPN_HMAC, /* PDP that wants Integrity: the same */
	COPS_ST_WAIT_CAT,      /* PEP that wants TLS: type-0 OPN is out */
	COPS_ST_WAIT_CAT_HMAC, /* PEP that wants Integrity: the same */
	COPS_ST_WAIT_CAT_ANY,  /* PEP that leaves it to the PDP: the same */
	COPS_ST_TLS,	       /* handshake; no COPS in either direction */
	COPS_ST_UP,
	COPS_ST_DEAD,
	COPS_ST_MAX
};

enum cops_event {
	COPS_EV_START,	    /* PEP: TCP is there, no security wanted */
	COPS_EV_START_TLS,  /* PEP: TCP is there, TLS wanted */
	COPS_EV_START_HMAC, /* PEP: TCP is there, Integrity wanted */
	COPS_EV_START_ASK,  /* PEP: TCP is there, what the PDP wants */
	COPS_EV_OPN0,	    /* OPN for client-type 0 without Integrity of any kind */
	COPS_EV_OPN0_TLS,
	COPS_EV_OPN0_HMAC, /* checked, if Integrity is in use here */
	COPS_EV_OPN,	   /* OPN for another one */
	COPS_EV_CAT0,	   /* CAT for client-type 0 without Integrity of any kind */
	COPS_EV_CAT0_TLS,
	COPS_EV_CAT0_HMAC, /* checked, if Integrity is in use here */
	COPS_EV_CAT,
	COPS_EV_CC0,
	COPS_EV_CC,
	COPS_EV_KA,
	COPS_EV_CLIENT,	  /* REQ, DEC, RPT, DRQ, SSQ, SSC */
	COPS_EV_BAD,	  /* octets that are no message, or one for the other role */
	COPS_EV_UNPROVEN, /* Integrity is in use and the message's is wrong or not there */
	COPS_EV_TLS_UP,
	COPS_EV_TIMEOUT, /* not open in time */
	COPS_EV_SILENCE, /* nothing heard for the keep-alive time */
	COPS_EV_INSIST,	 /* PDP: clear text is not good enough any more */
	COPS_EV_CLOSE,	 /* our side is done */
	COPS_EV_MAX
};

enum cops_action {
	COPS_ACT_UNSET, /* no cell has it */
	COPS_ACT_NONE,
	COPS_ACT_OPN0,	      /* send OPN 0 */
	COPS_ACT_OPN0_TLS,    /* the same with Integrity-TLS */
	COPS_ACT_CAT0,	      /* send CAT 0 */
	COPS_ACT_CAT0_TLS,    /* the same with Integrity-TLS; TLS is to start */
	COPS_ACT_AGREED,      /* the CAT 0 we wait for came */
	COPS_ACT_SECURE,      /* remember that TLS is up */
	COPS_ACT_NEED_TLS,    /* CC 0, Authentication Required, Integrity-TLS */
	COPS_ACT_NEED_HMAC,   /* CC 0, Authentication Required, Integrity */
	COPS_ACT_NO_SECURITY, /* CC 0, Authentication Required, none: we have no keys */
	COPS_ACT_NO_TLS,      /* CC 0, Unknown COPS Object, Integrity-TLS */
	COPS_ACT_LATE,	      /* CC 0: OPN 0 when something else was opened before */
	COPS_ACT_OPN,
	COPS_ACT_CAT,
	COPS_ACT_CC0,
	COPS_ACT_CC,
	COPS_ACT_KA,
	COPS_ACT_CLIENT,
	COPS_ACT_REFUSE, /* CC 0 with the reason at hand */
	COPS_ACT_CLOSE,	 /* CC for every open client-type with the reason at hand */
};

struct cops_step {
	uint8_t next; /* enum cops_state */
	uint8_t act;  /* enum cops_action */
};

struct cops_step cops_fsm_step(enum cops_state state, enum cops_event event);

enum cops_type_state { COPS_TYPE_CLOSED, COPS_TYPE_OPENING, COPS_TYPE_OPEN, COPS_TYPE_MAX };

enum cops_type_event {
	COPS_TEV_OPEN,	 /* PEP: our OPN goes out */
	COPS_TEV_GRANT,	 /* PDP: our CAT goes out */
	COPS_TEV_CAT,	 /* PEP: CAT came */
	COPS_TEV_CLIENT, /* a message of this client-type came */
	COPS_TEV_CC,	 /* the peer's CC came */
	COPS_TEV_FAIL,	 /* ours goes out because of what the peer sent */
	COPS_TEV_CLOSE,	 /* ours goes out because our user says so */
	COPS_TEV_MAX
};

enum cops_type_action {
	COPS_TACT_UNSET,
	COPS_TACT_NONE,
	COPS_TACT_OPN,	   /* send OPN */
	COPS_TACT_CAT,	   /* send CAT */
	COPS_TACT_ACCEPT,  /* tell the user: accepted */
	COPS_TACT_DELIVER, /* tell the user: message */
	COPS_TACT_REFUSE,  /* send CC 6 */
	COPS_TACT_NOTIFY,  /* tell the user: closed */
	COPS_TACT_FAIL,	   /* send CC, tell the user */
	COPS_TACT_CC,	   /* send CC */
};

/* next is an enum cops_type_state, act an enum cops_type_action. */
struct cops_step cops_fsm_type_step(enum cops_type_state state, enum cops_type_event event);

#endif
