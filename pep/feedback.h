/*
 * feedback.h - usage feedback of one request-state (RFC 3483, RFC 3571): which links the PDP
 * installed, what was counted under each, and which rows a report says now.
 *
 * Pure: the clock is the caller's, counters come from the client (struct pep_client's count()),
 * and reports go into a buffer.  Values only grow; a link that begins anew has another number,
 * so that a PDP sees that it counts from zero.
 */
#ifndef PEP_FEEDBACK_H
#define PEP_FEEDBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pep/client.h"

struct buf;
struct pep_feedback;
struct pib_row;

/*
 * client, which has count(), and self are borrowed.  first is the number of the first usage row:
 * take one that no earlier process had lately.  NULL: memory.
 */
struct pep_feedback *pep_feedback_new(const struct pep_client *client, void *self, uint32_t first);
void pep_feedback_free(struct pep_feedback *f); /* NULL is allowed */

/*
 * The PDP took the client-type, with this AcctTimer in seconds (0: nothing unasked; -1: none
 * given, then intervals are seconds).  What was linked before waits for "resume" (RFC 3483 10).
 */
void pep_feedback_open(struct pep_feedback *f, int32_t acct_s, int64_t now_ms);
/* The connection is gone: counting goes on, reports do not. */
void pep_feedback_lost(struct pep_feedback *f);

/*
 * Judge the links of a checked transaction: rows that nobody counts, classes that are not told in
 * frwkFeedbackLinkCaps.  0, or -1 with faults in txn.
 */
int pep_feedback_judge(
    const struct pep_feedback *f, const struct pib_store *store, struct pib_txn *txn);
/* The rows as committed: links come, change and go.  Counting begins here. */
void pep_feedback_rows(struct pep_feedback *f, const struct pib_store *store, int64_t now_ms);
/* A frwkFeedbackAction row; store shows the list it may name. */
void pep_feedback_action(
    struct pep_feedback *f, const struct pib_store *store, const struct pib_row *row);

/*
 * Read the counters now, because what they count is about to be taken away; a final report says
 * these.
 */
void pep_feedback_sample(struct pep_feedback *f, const struct pib_store *store);

/* A state of the client's own rows may have changed: it is reported as soon as may be. */
void pep_feedback_stir(struct pep_feedback *f, int64_t now_ms);

enum pep_feedback_why {
	PEP_FEEDBACK_DUE,   /* what is asked for by time or by action, else nothing */
	PEP_FEEDBACK_FINAL, /* everything, from the last sample */
};
/* What was linked is not in force any more. */
void pep_feedback_end(struct pep_feedback *f);
/*
 * Append an Accounting RPT to b if there is something to say.  Rows said, -1: no memory or no
 * counters, to be tried again.
 */
long pep_feedback_put(struct pep_feedback *f, const struct pib_store *store,
    enum pep_feedback_why why, const uint8_t *handle, size_t handle_len, int64_t now_ms,
    struct buf *b);
/* When to call pep_feedback_put() next; INT64_MAX: not before something happens. */
int64_t pep_feedback_next(const struct pep_feedback *f, int64_t now_ms);
bool pep_feedback_any(const struct pep_feedback *f); /* is anything linked? */

#endif
