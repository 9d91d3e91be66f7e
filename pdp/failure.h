/*
 * failure.h - what a CE refused, as the JSON that the store keeps and show prints:
 *	{"row":"ceVpnProposal.7","column":"encr","error":"attrValueSupLimited",
 *	 "text":"...","lsn":12,"at":1767225600}
 */
#ifndef PDP_FAILURE_H
#define PDP_FAILURE_H

#include <stdint.h>

struct pdp_report;

/* malloc()ed; NULL: memory.  r may be NULL: the report could not be read. */
char *failure_print(const struct pdp_report *r, uint64_t lsn, int64_t at);

#endif
