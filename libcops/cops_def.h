/*
 * cops_def.h - the code points of COPS: RFC 2748 sections 2.1, 2.2, RFC 3084
 * sections 3 and 4, RFC 4261 sections 4 and 10.  Numbers only; what objects and
 * messages look like is in cops_obj.h and cops_msg.h.
 */
#ifndef COPS_DEF_H
#define COPS_DEF_H

#ifdef __cplusplus
extern "C" {
#endif

#define COPS_VERSION	 1
#define COPS_PORT	 3288
#define COPS_HDR_LEN	 8
#define COPS_OBJ_HDR_LEN 4
#define COPS_PEPID_MAX	 255 /* octets, NUL not counted; our bound */

enum cops_op {
	COPS_OP_REQ = 1,
	COPS_OP_DEC = 2,
	COPS_OP_RPT = 3,
	COPS_OP_DRQ = 4,
	COPS_OP_SSQ = 5,
	COPS_OP_OPN = 6,
	COPS_OP_CAT = 7,
	COPS_OP_CC = 8,
	COPS_OP_KA = 9,
	COPS_OP_SSC = 10,
};
#define COPS_OP_MAX	    10
#define COPS_FLAG_SOLICITED 0x1

enum cops_cnum {
	COPS_C_HANDLE = 1,
	COPS_C_CONTEXT = 2,
	COPS_C_IN_INT = 3,
	COPS_C_OUT_INT = 4,
	COPS_C_REASON = 5,
	COPS_C_DECISION = 6,
	COPS_C_LPDP_DECISION = 7,
	COPS_C_ERROR = 8,
	COPS_C_CLIENT_SI = 9,
	COPS_C_KA_TIMER = 10,
	COPS_C_PEPID = 11,
	COPS_C_REPORT_TYPE = 12,
	COPS_C_PDP_REDIR = 13,
	COPS_C_LAST_PDP = 14,
	COPS_C_ACCT_TIMER = 15,
	COPS_C_INTEGRITY = 16,
};

#define COPS_R_CONFIG 0x08 /* R-Type of COPS-PR's contexts */

enum cops_command { COPS_CMD_NULL = 0, COPS_CMD_INSTALL = 1, COPS_CMD_REMOVE = 2 };
#define COPS_DEC_TRIGGER_ERROR 0x01
#define COPS_DEC_REQUEST_STATE 0x02

enum cops_report { COPS_RPT_SUCCESS = 1, COPS_RPT_FAILURE = 2, COPS_RPT_ACCOUNTING = 3 };

enum cops_reason {
	COPS_REASON_UNSPECIFIED = 1,
	COPS_REASON_MANAGEMENT = 2,
	COPS_REASON_PREEMPTED = 3,
	COPS_REASON_TEAR = 4,
	COPS_REASON_TIMEOUT = 5,
	COPS_REASON_ROUTE_CHANGE = 6,
	COPS_REASON_RESOURCES = 7,
	COPS_REASON_PDP_DIRECTIVE = 8,
	COPS_REASON_UNSUPPORTED = 9,
	COPS_REASON_SYNC_UNKNOWN = 10,
	COPS_REASON_TRANSIENT = 11,
	COPS_REASON_MALFORMED_DEC = 12,
	COPS_REASON_UNKNOWN_OBJECT = 13,
};

enum cops_error {
	COPS_ERR_BAD_HANDLE = 1,
	COPS_ERR_INVALID_HANDLE_REF = 2,
	COPS_ERR_BAD_MESSAGE = 3,
	COPS_ERR_UNABLE = 4,
	COPS_ERR_SI_MISSING = 5,
	COPS_ERR_CLIENT_TYPE = 6,
	COPS_ERR_OBJECT_MISSING = 7,
	COPS_ERR_CLIENT_FAILURE = 8,
	COPS_ERR_COMM_FAILURE = 9,
	COPS_ERR_UNSPECIFIED = 10,
	COPS_ERR_SHUTDOWN = 11,
	COPS_ERR_REDIRECT = 12,
	COPS_ERR_UNKNOWN_OBJECT = 13,
	COPS_ERR_AUTH_FAILURE = 14,
	COPS_ERR_AUTH_REQUIRED = 15,
};

#define COPS_TLS_START 0x0001 /* flag of Integrity-TLS, RFC 4261 4.1 */

/* COPS-PR sub-objects, RFC 3084 4. */
enum cops_snum {
	COPS_S_PRID = 1,
	COPS_S_PPRID = 2,
	COPS_S_EPD = 3,
	COPS_S_GPERR = 4,
	COPS_S_CPERR = 5,
	COPS_S_ERROR_PRID = 6,
};
#define COPS_S_BER 1 /* S-Type */

/* Names in the RFCs' spelling, for people; static, never NULL: "?" when there is no such number. */
const char *cops_op_name(unsigned op);	     /* "DEC" */
const char *cops_error_name(unsigned code);  /* "Bad message format" */
const char *cops_reason_name(unsigned code); /* "PDP's Directive" */
const char *cops_report_name(unsigned type); /* "Success" */
const char *cops_command_name(unsigned cmd); /* "Install" */

#ifdef __cplusplus
}
#endif

#endif
