/*
 * nat.h - which CEs are behind NAT.  A CE says which address its end of the session has
 * (ceVpnSite); the session says where it comes from, and who it is: where the two differ, there is
 * NAT between. That is stored, like a key, and changes the rows of that CE and of its peers.  Only
 * what the session itself shows is believed of an address that others send to.  Control thread
 * only.
 */
#ifndef PDP_NAT_H
#define PDP_NAT_H

#include "common/addr.h"

struct customer;
struct db;
struct nat;
struct sync;

struct nat *nat_new(void);
void nat_free(struct nat *n);
/* From the store.  -1: memory. */
int nat_load(struct nat *n, const char *ce, const struct addr *seen, const struct addr *own);
/* Tell a new snapshot, before it is compared with another. */
void nat_fill(const struct nat *n, struct customer *c);
/* The CE is not served any more: one that comes under its name later is another. */
void nat_forget(struct db *db, const char *ce);
/*
 * CE ce, in the model, says its session begins at own; it comes from seen.  If that is news it is
 * stored with an LSN of its own, and sync is told of those whom it concerns.  0, or -1: it could
 * not be stored, which the log says, and all is as before; own and seen of family 0 are no news.
 */
int nat_notice(struct db *db, struct sync *sync, const char *ce, const struct addr *seen,
    const struct addr *own);

#endif
