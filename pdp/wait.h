/*
 * wait.h - requests of copsctl that wait until the CEs concerned have answered and the new
 * pairs are keyed: progress while it lasts, and every CE's outcome at the end.
 */
#ifndef PDP_WAIT_H
#define PDP_WAIT_H

#include <jansson.h>
#include <stdint.h>

#include "pdp/change.h"

struct ctl_req;
struct pdp;

/*
 * Answer req with result (taken) plus "ces", now if nothing is to be waited for, else when it is
 * settled or wait_ms are over.  Takes what *c holds.
 */
void wait_start(
    struct pdp *p, struct ctl_req *req, struct change *c, json_t *result, int64_t wait_ms);
/* Something about a CE changed. */
void wait_outcome(struct pdp *p, const char *ce);
/* Answer all as they stand: the server stops. */
void wait_stop(struct pdp *p);

#endif
