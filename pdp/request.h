/*
 * request.h - from a REQ or RPT message to what the control thread works with.  Runs in
 * the workers; everything a peer sent is checked and bounded here.
 */
#ifndef PDP_REQUEST_H
#define PDP_REQUEST_H

#include "libcops/cops_msg.h"
#include "pdp/client.h"

enum request_result {
	REQUEST_OK,	   /* *out; with reject set when a row was refused (RFC 3318 2.3) */
	REQUEST_MALFORMED, /* owed a DEC with Error 3 */
	REQUEST_NO_MEMORY
};

enum request_result pdp_request_parse(const struct cops_msg *m, const struct pdp_client *client,
    const struct pib_schema *schema, const struct pdp_peer *peer, struct pdp_request **out);
/* The rows of an accounting RPT: report-only ones.  One that is none makes all of it malformed. */
enum request_result pdp_usage_parse(const struct cops_msg *m, const struct pdp_client *client,
    const struct pib_schema *schema, struct pdp_request **out);
void pdp_request_free(struct pdp_request *r); /* NULL is allowed */

/* frwkError rows (RFC 3318) that say what is wrong with a request. NULL: memory. */
struct cops_chunk *pdp_request_error(const struct pib_fault *f);

/* The faults of a RPT (RFC 3084 5.3). */
#define REPORT_FAULTS_MAX 16
struct pdp_report {
	size_t faults;
	struct pib_fault fault[];
};
/* NULL: memory, or not a report's grammar. */
struct pdp_report *pdp_report_parse(const struct cops_msg *m, const struct pib_schema *schema);

#endif
