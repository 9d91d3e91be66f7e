/*
 * cops_fsm.c - the tables.
 *
 * The connection; the PEP's side left, the PDP's right, "o" where TCP came up:
 *
 *      o                     o                 o                 o
 *      | NEW                 | NEW             |                 |
 *      | start               | start, TLS      | TLS wanted      | no TLS
 *      |                     | > OPN 0         v                 |
 *      |                     v             WAIT_OPN              |
 *      |                 WAIT_CAT              |                 |
 *      |                     | < CAT 0         | < OPN 0         |
 *      |                     |   Integrity-TLS | > CAT 0         |
 *      |                     v                 v Integrity-TLS   |
 *      |                    TLS <- handshake -> TLS              |
 *      |                     | up              | up              |
 *      v                     v                 v                 v
 *      UP                   UP                 UP                UP
 *       any client-type's OPN, CAT, REQ, DEC ...; KA; CC
 *                            |
 *                            v  CC 0, garbage, silence, time-out, close
 *                          DEAD
 *
 * Anything else in WAIT_OPN or WAIT_CAT earns CC 15 (Authentication Required) with
 * sub-code 16/2 and ends the connection: no falling back to cleartext (4261 11).
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

/* What ends a connection the same way wherever it stands. */
#define ENDINGS                                                                                    \
	CELL(BAD, DEAD, CLOSE), CELL(TIMEOUT, DEAD, CLOSE), CELL(SILENCE, DEAD, CLOSE),            \
	    CELL(CLOSE, DEAD, CLOSE)

static const struct cops_step steps[COPS_ST_MAX][COPS_EV_MAX] =
    {
	[COPS_ST_NEW] =
	    {
		CELL(START, UP, NONE),
		CELL(START_TLS, WAIT_CAT, OPN0),
		CELL(OPN0, DEAD, NONE),
		CELL(OPN, DEAD, NONE),
		CELL(CAT0, DEAD, NONE),
		CELL(CAT0_TLS, DEAD, NONE),
		CELL(CAT, DEAD, NONE),
		CELL(CC0, DEAD, NONE),
		CELL(CC, DEAD, NONE),
		CELL(KA, DEAD, NONE),
		CELL(CLIENT, DEAD, NONE),
		CELL(BAD, DEAD, NONE),
		CELL(TLS_UP, DEAD, NONE),
		CELL(TIMEOUT, DEAD, NONE),
		CELL(SILENCE, DEAD, NONE),
		CELL(CLOSE, DEAD, NONE),
	    },
	[COPS_ST_WAIT_OPN] =
	    {
		CELL(START, WAIT_OPN, NONE),
		CELL(START_TLS, WAIT_OPN, NONE),
		CELL(OPN0, TLS, CAT0),
		CELL(OPN, DEAD, NEED_TLS),
		CELL(CAT0, DEAD, NEED_TLS),
		CELL(CAT0_TLS, DEAD, NEED_TLS),
		CELL(CAT, DEAD, NEED_TLS),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_TLS),
		CELL(CLIENT, DEAD, NEED_TLS),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_WAIT_CAT] =
	    {
		CELL(START, WAIT_CAT, NONE),
		CELL(START_TLS, WAIT_CAT, NONE),
		CELL(OPN0, DEAD, NEED_TLS),
		CELL(OPN, DEAD, NEED_TLS),
		CELL(CAT0, DEAD, NEED_TLS),
		CELL(CAT0_TLS, TLS, START_TLS),
		CELL(CAT, DEAD, NEED_TLS),
		CELL(CC0, DEAD, CC0),
		CELL(CC, DEAD, CC0),
		CELL(KA, DEAD, NEED_TLS),
		CELL(CLIENT, DEAD, NEED_TLS),
		CELL(TLS_UP, DEAD, NONE),
		ENDINGS,
	    },
	[COPS_ST_TLS] =
	    {
		CELL(START, TLS, NONE),
		CELL(START_TLS, TLS, NONE),
		CELL(OPN0, TLS, NONE),
		CELL(OPN, TLS, NONE),
		CELL(CAT0, TLS, NONE),
		CELL(CAT0_TLS, TLS, NONE),
		CELL(CAT, TLS, NONE),
		CELL(CC0, TLS, NONE),
		CELL(CC, TLS, NONE),
		CELL(KA, TLS, NONE),
		CELL(CLIENT, TLS, NONE),
		CELL(BAD, TLS, NONE),
		CELL(TLS_UP, UP, SECURE),
		CELL(TIMEOUT, DEAD, NONE),
		CELL(SILENCE, DEAD, NONE),
		CELL(CLOSE, DEAD, NONE),
	    },
	[COPS_ST_UP] =
	    {
		CELL(START, UP, NONE),
		CELL(START_TLS, UP, NONE),
		CELL(OPN0, DEAD, NO_SECURITY),
		CELL(OPN, UP, OPN),
		CELL(CAT0, DEAD, CLOSE),
		CELL(CAT0_TLS, DEAD, CLOSE),
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
		CELL(START, DEAD, NONE),
		CELL(START_TLS, DEAD, NONE),
		CELL(OPN0, DEAD, NONE),
		CELL(OPN, DEAD, NONE),
		CELL(CAT0, DEAD, NONE),
		CELL(CAT0_TLS, DEAD, NONE),
		CELL(CAT, DEAD, NONE),
		CELL(CC0, DEAD, NONE),
		CELL(CC, DEAD, NONE),
		CELL(KA, DEAD, NONE),
		CELL(CLIENT, DEAD, NONE),
		CELL(BAD, DEAD, NONE),
		CELL(TLS_UP, DEAD, NONE),
		CELL(TIMEOUT, DEAD, NONE),
		CELL(SILENCE, DEAD, NONE),
		CELL(CLOSE, DEAD, NONE),
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
