/*
 * cops_def.c - code points to the RFCs' names for them, for logs and people.
 */
#include "libcops/cops_def.h"

#include <stddef.h>

static const char *const op_names[] = {
    [COPS_OP_REQ] = "REQ",
    [COPS_OP_DEC] = "DEC",
    [COPS_OP_RPT] = "RPT",
    [COPS_OP_DRQ] = "DRQ",
    [COPS_OP_SSQ] = "SSQ",
    [COPS_OP_OPN] = "OPN",
    [COPS_OP_CAT] = "CAT",
    [COPS_OP_CC] = "CC",
    [COPS_OP_KA] = "KA",
    [COPS_OP_SSC] = "SSC",
};

static const char *const error_names[] = {
    [COPS_ERR_BAD_HANDLE] = "Bad handle",
    [COPS_ERR_INVALID_HANDLE_REF] = "Invalid handle reference",
    [COPS_ERR_BAD_MESSAGE] = "Bad message format",
    [COPS_ERR_UNABLE] = "Unable to process",
    [COPS_ERR_SI_MISSING] = "Mandatory client-specific info missing",
    [COPS_ERR_CLIENT_TYPE] = "Unsupported client-type",
    [COPS_ERR_OBJECT_MISSING] = "Mandatory COPS object missing",
    [COPS_ERR_CLIENT_FAILURE] = "Client Failure",
    [COPS_ERR_COMM_FAILURE] = "Communication Failure",
    [COPS_ERR_UNSPECIFIED] = "Unspecified",
    [COPS_ERR_SHUTDOWN] = "Shutting down",
    [COPS_ERR_REDIRECT] = "Redirect to Preferred Server",
    [COPS_ERR_UNKNOWN_OBJECT] = "Unknown COPS Object",
    [COPS_ERR_AUTH_FAILURE] = "Authentication Failure",
    [COPS_ERR_AUTH_REQUIRED] = "Authentication Required",
};

static const char *const reason_names[] = {
    [COPS_REASON_UNSPECIFIED] = "Unspecified",
    [COPS_REASON_MANAGEMENT] = "Management",
    [COPS_REASON_PREEMPTED] = "Preempted",
    [COPS_REASON_TEAR] = "Tear",
    [COPS_REASON_TIMEOUT] = "Timeout",
    [COPS_REASON_ROUTE_CHANGE] = "Route Change",
    [COPS_REASON_RESOURCES] = "Insufficient Resources",
    [COPS_REASON_PDP_DIRECTIVE] = "PDP's Directive",
    [COPS_REASON_UNSUPPORTED] = "Unsupported decision",
    [COPS_REASON_SYNC_UNKNOWN] = "Synchronize Handle Unknown",
    [COPS_REASON_TRANSIENT] = "Transient Handle",
    [COPS_REASON_MALFORMED_DEC] = "Malformed Decision",
    [COPS_REASON_UNKNOWN_OBJECT] = "Unknown COPS Object from PDP",
};

static const char *const report_names[] = {
    [COPS_RPT_SUCCESS] = "Success",
    [COPS_RPT_FAILURE] = "Failure",
    [COPS_RPT_ACCOUNTING] = "Accounting",
};

static const char *const command_names[] = {
    [COPS_CMD_NULL] = "NULL",
    [COPS_CMD_INSTALL] = "Install",
    [COPS_CMD_REMOVE] = "Remove",
};

static const char *name_find(const char *const *names, size_t n, unsigned code)
{
	return code < n && names[code] != NULL ? names[code] : "?";
}
#define NAME_FIND(names, code) name_find(names, sizeof(names) / sizeof(names[0]), code)

const char *cops_op_name(unsigned op)
{
	return NAME_FIND(op_names, op);
}

const char *cops_error_name(unsigned code)
{
	return NAME_FIND(error_names, code);
}

const char *cops_reason_name(unsigned code)
{
	return NAME_FIND(reason_names, code);
}

const char *cops_report_name(unsigned type)
{
	return NAME_FIND(report_names, type);
}

const char *cops_command_name(unsigned cmd)
{
	return NAME_FIND(command_names, cmd);
}
