/*
 * cops_fsm.c - the tables.
 *
 * The connection; the PEP's side left, the PDP's right, "o" where TCP came up:
 *
 *      o NEW    o NEW         o NEW                 o              o          o
 *      | no     | Integrity:  | TLS or            wants          wants      wants
 *      | secu-  | > OPN 0     | either:          Integrity        TLS      nothing
 *      | rity   |   proven    | > OPN 0            |              |          |
 *      |        v             v                    v              v          |
 *      |   WAIT_CAT_HMAC  WAIT_CAT, _ANY     WAIT_OPN_HMAC    WAIT_OPN       |
 *      |        |             |                    |              |          |
 *      |        | < CAT 0     | < CAT 0            | < OPN 0      | < OPN 0  |
 *      |        |   proven    |   Integrity-TLS    |   proven     | > CAT 0  |
 *      |        |             v                    | > CAT 0      v   I.-TLS |
 *      |        |            TLS <-- handshake --------------->  TLS         |
 *      v        |             | up                 |              | up       v
 *    FRESH      |             |                    |              |        FRESH
 *      | < CAT  |             |                    |              |          | < OPN
 *      v        v             v                    v              v          v
 *      UP       UP            UP                   UP             UP         UP
 *       any client-type's OPN, CAT, REQ, DEC ...; KA; CC
 *                            |
 *                            v  CC 0, garbage, silence, time-out, close
 *                          DEAD
 *
 * A PEP that leaves it to the PDP (WAIT_CAT_ANY) gets to UP by a CAT 0 without Integrity-TLS
 * too.  Who wants TLS or Integrity never does without: anything else in WAIT_OPN, WAIT_CAT and
 * their _HMAC earns CC 15 (Authentication Required) with what is wanted as sub-code, and ends
 * the connection (4261 11).
 *
 * A client-type:
 *
 *               PEP > OPN            < CAT
 *      CLOSED ------------> OPENING -------+
 *        |  ^                  | CC        v
 *        |  +------------------+-- CC -- OPEN --+ OPN / CAT again
 *        +------------------------------>  ^----+
 *               PDP < OPN, > CAT
 */
#include "libcops/cops_fsm.h"

#define CELL(event, state, action) [COPS_EV_##event] = {COPS_ST_##state, COPS_ACT_##action}

/* What happens once, to a PEP that is NEW. */
#define STARTS(state)                                                                              \
	CELL(START, state, NONE), CELL(START_TLS, state, NONE), CELL(START_HMAC, state, NONE),     \
	    CELL(START_ASK, state, NONE)

/* Every message that is one. */
#define MESSAGES(state, action)                                                                    \
	CELL(OPN0, state, action), CELL(OPN0_TLS, state, action), CELL(OPN0_HMAC, state, action),  \
	    CELL(OPN, state, action), CELL(CAT0, state, action), CELL(CAT0_TLS, state, action),    \
	    CELL(CAT0_HMAC, state, action), CELL(CAT, state, action), CELL(CC0, state, action),    \
	    CELL(CC, state, action), CELL(KA, state, action), CELL(CLIENT, state, action)

/* What ends a connection the same way wherever it stands. */
#define ENDINGS                                                                                    \
	CELL(BAD, DEAD, CLOSE), CELL(UNPROVEN, DEAD, REFUSE), CELL(TIMEOUT, DEAD, CLOSE),          \
	    CELL(SILENCE, DEAD, CLOSE), CELL(INSIST, DEAD, NEED_TLS), CELL(CLOSE, DEAD, CLOSE)

/* The same where no COPS octet may be sent. */
#define ENDINGS_MUTE CELL(TIMEOUT, DEAD, NONE), CELL(SILENCE, DEAD, NONE), CELL(CLOSE, DEAD, NONE)

static const struct cops_step steps[COPS_ST_MAX][COPS_EV_MAX] =
    {
	[COPS_ST_NEW] =
	    {
		CELL(START, FRESH, NONE),
		CELL(START_TLS, WAIT_CAT, OPN0_TLS),
		CELL(START_HMAC, WAIT_CAT_HMAC, OPN0),
		CELL(START_ASK, WAIT_CAT_ANY, OPN0),
		MESSAGES(DEAD, NONE),
		CELL(BAD, DEAD, NONE),
		CELL(UNPROVEN, DEAD, NONE),
		CELL(TLS_UP, DEAD, NONE),
		CELL(INSIST, DEAD, NONE),
		ENDINGS_MUTE,
	    },
	[COPS_ST_FRESH] =
	    {
		STARTS(FRESH),
		CELL(OPN0, FRESH, CAT0),
		CELL(OPN0_TLS, DEAD, NO_TLS),
		CELL(OPN0_HMAC, DEAD, NO_SECURITY),
		CELL(OPN, UP, OPN),
		CELL(CAT0, DEAD, CLOSE),
		CELL(CAT0_TLS, DEAD, NO_TLS),
		CELL(CAT0_HMAC, DEAD, CLOSE),
		CELL(CAT, UP, CAT),
		CELL(CC0, DEAD, CC0),
		CELL(CC, FRESH, CC),
		CELL(KA, FRESH, KA),
		CELL(CLIENT, FRESH, CLIENT),
		CELL(TLS_UP, FRESH, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_OPN] =
	    {
		STARTS(WAIT_OPN),
		CELL(OPN0, TLS, CAT0_TLS),
		CELL(OPN0_TLS, TLS, CAT0_TLS),
		CELL(OPN0_HMAC, DEAD, NEED_TLS),
		CELL(OPN, DEAD, NEED_TLS),
		CELL(CAT0, DEAD, NEED_TLS),
		CELL(CAT0_TLS, DEAD, NEED_TLS),
		CELL(CAT0_HMAC, DEAD, NEED_TLS),
		CELL(CAT, DEAD, NEED_TLS),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_TLS),
		CELL(CLIENT, DEAD, NEED_TLS),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_OPN_HMAC] =
	    {
		STARTS(WAIT_OPN_HMAC),
		CELL(OPN0, DEAD, NEED_HMAC),
		CELL(OPN0_TLS, DEAD, NEED_HMAC),
		CELL(OPN0_HMAC, UP, CAT0),
		CELL(OPN, DEAD, NEED_HMAC),
		CELL(CAT0, DEAD, NEED_HMAC),
		CELL(CAT0_TLS, DEAD, NEED_HMAC),
		CELL(CAT0_HMAC, DEAD, NEED_HMAC),
		CELL(CAT, DEAD, NEED_HMAC),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_HMAC),
		CELL(CLIENT, DEAD, NEED_HMAC),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_CAT] =
	    {
		STARTS(WAIT_CAT),
		CELL(OPN0, DEAD, NEED_TLS),
		CELL(OPN0_TLS, DEAD, NEED_TLS),
		CELL(OPN0_HMAC, DEAD, NEED_TLS),
		CELL(OPN, DEAD, NEED_TLS),
		CELL(CAT0, DEAD, NEED_TLS),
		CELL(CAT0_TLS, TLS, AGREED),
		CELL(CAT0_HMAC, DEAD, NEED_TLS),
		CELL(CAT, DEAD, NEED_TLS),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_TLS),
		CELL(CLIENT, DEAD, NEED_TLS),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_CAT_HMAC] =
	    {
		STARTS(WAIT_CAT_HMAC),
		CELL(OPN0, DEAD, NEED_HMAC),
		CELL(OPN0_TLS, DEAD, NEED_HMAC),
		CELL(OPN0_HMAC, DEAD, NEED_HMAC),
		CELL(OPN, DEAD, NEED_HMAC),
		CELL(CAT0, DEAD, NEED_HMAC),
		CELL(CAT0_TLS, DEAD, NEED_HMAC),
		CELL(CAT0_HMAC, UP, AGREED),
		CELL(CAT, DEAD, NEED_HMAC),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_HMAC),
		CELL(CLIENT, DEAD, NEED_HMAC),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_CAT_ANY] =
	    {
		STARTS(WAIT_CAT_ANY),
		CELL(OPN0, DEAD, CLOSE),
		CELL(OPN0_TLS, DEAD, CLOSE),
		CELL(OPN0_HMAC, DEAD, CLOSE),
		CELL(OPN, DEAD, CLOSE),
		CELL(CAT0, UP, AGREED),
		CELL(CAT0_TLS, TLS, AGREED),
		CELL(CAT0_HMAC, DEAD, NO_SECURITY),
		CELL(CAT, DEAD, CLOSE),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, CLOSE),
		CELL(CLIENT, DEAD, CLOSE),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_TLS] =
	    {
		STARTS(TLS),
		MESSAGES(TLS, NONE),
		CELL(BAD, TLS, NONE),
		CELL(UNPROVEN, TLS, NONE),
		CELL(TLS_UP, UP, SECURE),
		CELL(INSIST, TLS, NONE),
		ENDINGS_MUTE,
	    },
	[COPS_ST_UP] =
	    {
		STARTS(UP),
		CELL(OPN0, DEAD, LATE),
		CELL(OPN0_TLS, DEAD, LATE),
		CELL(OPN0_HMAC, DEAD, LATE),
		CELL(OPN, UP, OPN),
		CELL(CAT0, DEAD, CLOSE),
		CELL(CAT0_TLS, DEAD, CLOSE),
		CELL(CAT0_HMAC, DEAD, CLOSE),
		CELL(CAT, UP, CAT),
		CELL(CC0, DEAD, CC0),
		CELL(CC, UP, CC),
		CELL(KA, UP, KA),
		CELL(CLIENT, UP, CLIENT),
		CELL(TLS_UP, UP, NONE),
		ENDINGS,
	    },
	[COPS_ST_DEAD] =
	    {
		STARTS(DEAD),
		MESSAGES(DEAD, NONE),
		CELL(BAD, DEAD, NONE),
		CELL(UNPROVEN, DEAD, NONE),
		CELL(TLS_UP, DEAD, NONE),
		CELL(INSIST, DEAD, NONE),
		ENDINGS_MUTE,
	    },
};

#define TCELL(event, state, action) [COPS_TEV_##event] = {COPS_TYPE_##state, COPS_TACT_##action}

static const struct cops_step type_steps[COPS_TYPE_MAX][COPS_TEV_MAX] = {
    [COPS_TYPE_CLOSED] =
	{
	    TCELL(OPEN, OPENING, OPN),
	    TCELL(GRANT, OPEN, CAT),
	    TCELL(CAT, CLOSED, REFUSE),
	    TCELL(CLIENT, CLOSED, REFUSE),
	    TCELL(CC, CLOSED, NONE),
	    TCELL(FAIL, CLOSED, CC),
	    TCELL(CLOSE, CLOSED, NONE),
	},
    [COPS_TYPE_OPENING] =
	{
	    TCELL(OPEN, OPENING, OPN),
	    TCELL(GRANT, OPENING, NONE),
	    TCELL(CAT, OPEN, ACCEPT),
	    TCELL(CLIENT, CLOSED, FAIL),
	    TCELL(CC, CLOSED, NOTIFY),
	    TCELL(FAIL, CLOSED, FAIL),
	    TCELL(CLOSE, CLOSED, CC),
	},
    [COPS_TYPE_OPEN] =
	{
	    TCELL(OPEN, OPEN, OPN),
	    TCELL(GRANT, OPEN, CAT),
	    TCELL(CAT, OPEN, ACCEPT),
	    TCELL(CLIENT, OPEN, DELIVER),
	    TCELL(CC, CLOSED, NOTIFY),
	    TCELL(FAIL, CLOSED, FAIL),
	    TCELL(CLOSE, CLOSED, CC),
	},
};

struct cops_step cops_fsm_step(enum cops_state state, enum cops_event event)
{
	return steps[state][event];
}

struct cops_step cops_fsm_type_step(enum cops_type_state state, enum cops_type_event event)
{
	return type_steps[state][event];
}
