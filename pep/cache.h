/*
 * cache.h - the rows of one request-state on disk, so that policy outlives the agent
 * and the PDP (RFC 3084 7).  A journal: each committed decision appends what it
 * changed, with length and CRC, and is on disk when the call returns.  When the journal
 * has grown to four times the rows it stands for it is rewritten as one snapshot.
 * Cost grows with the change, not with the rows.
 *
 * Loading replays it; a torn tail (power cut, kill) is cut off: what remains is the
 * state after an earlier decision, and the incarnation in it says which.
 */
#ifndef PEP_CACHE_H
#define PEP_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

struct pib_store;
struct pib_txn;
struct pep_cache;

/* path is the journal's. NULL when memory is short. */
struct pep_cache *pep_cache_new(const char *path);
void pep_cache_free(struct pep_cache *c);
/*
 * Replay into st, which is empty.  Returns how many rows came back, or -1 when the
 * file cannot be read (not: is not there).
 */
long pep_cache_load(struct pep_cache *c, struct pib_store *st, char *err, size_t err_len);
/* Note what the checked transaction changes; before it is committed. */
void pep_cache_note(struct pep_cache *c, const struct pib_txn *t);
/*
 * Make what was noted durable; after the commit.  0, or -1: the disk lags behind
 * (logged), the cache is incomplete until pep_cache_retry() says 0.
 */
int pep_cache_flush(struct pep_cache *c, const struct pib_store *st);
int pep_cache_retry(struct pep_cache *c, const struct pib_store *st);
/* The PDP whose decisions these are; on disk with the next flush. */
void pep_cache_pdp_put(struct pep_cache *c, const struct addr *a, uint16_t port);
/*
 * When the PDP was lost (seconds since the epoch), 0: it is there, or nobody knows; on disk with
 * the next flush.
 */
void pep_cache_lost_put(struct pep_cache *c, int64_t when);
int64_t pep_cache_lost(const struct pep_cache *c);
/* Was a's file written after b's? */
bool pep_cache_newer(const struct pep_cache *a, const struct pep_cache *b);
/* The request-state is no more: nothing is cached, and the file is gone. */
void pep_cache_forget(struct pep_cache *c);
/* Is there a complete set of decisions, and from whom (LastPDPAddr, RFC 2748 4.3)? */
bool pep_cache_complete(const struct pep_cache *c);
bool pep_cache_pdp(const struct pep_cache *c, struct addr *a, uint16_t *port);

#endif
