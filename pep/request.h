/*
 * request.h - what a REQ of ours says (RFC 3084 3.1; RFC 3318 2.2, 2.3): the rows we
 * notify, as full state or as the difference from what the PDP was told before.
 *
 * The framework's rows are ours: which classes we know, who we are, and the
 * incarnation we hold.  The others come from the client.
 */
#ifndef PEP_REQUEST_H
#define PEP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pep/client.h"

struct buf;
struct pep_request;
struct pep_roles;

/* client and self are borrowed; the maxima are what frwkDeviceId says. NULL: no memory. */
struct pep_request *pep_request_new(
    const struct pep_client *client, void *self, uint32_t max_msg, uint32_t max_contexts);
void pep_request_free(struct pep_request *r);
/* From now on it tells of interfaces and their roles, too; borrowed until it is freed. */
void pep_request_roles(struct pep_request *r, const struct pep_roles *roles);
/* Forget what the PDP was told: the next request is full state. */
void pep_request_forget(struct pep_request *r);
bool pep_request_is_full(const struct pep_request *r);
/*
 * Append the REQ for this handle with all rows (after _forget) or the difference, and take it
 * as told.  Returns how many rows it says anything of, or -1: memory; 0 of a
 * difference: nothing was appended, as there is nothing to say.  active: what the incarnation says
 * when the store has none.
 */
long pep_request_put(struct pep_request *r, const struct pib_store *store, bool active,
    const uint8_t *handle, size_t handle_len, struct buf *b);

#endif
