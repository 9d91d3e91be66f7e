/*
 * leave.h - CEs that ask to leave a VPN (ceVpnSiteLeave, part of what they notify): kept while the
 * CE says so, also while it is away (pdp/sync), and until its membership is over.  What became of a
 * denial is told to the CE by refusing the row (frwkError), which it then takes back; that ends the
 * denial, so that it may ask again another time.  Control thread only.
 */
#ifndef PDP_LEAVE_H
#define PDP_LEAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "pdp/client.h"
#include "pdp/db.h"

struct leaves;

struct leave {
	const char *ce;
	const struct model_vpn *vpn;
	const char *reason;
	int64_t at;  /* we heard of it first, in this connection or an earlier one */
	bool denied; /* and it does not know yet */
};

struct leaves *leaves_new(struct db *db); /* borrows db, which may be opened later */
void leaves_free(struct leaves *l);
/* May the request be taken?  -1 and *f: a row is not of the CE's VPNs, or was denied. */
int leaves_check(
    struct leaves *l, const char *ce, const struct pdp_request *req, struct pib_fault *f);
/* It was taken. */
void leaves_take(struct leaves *l, const char *ce, const struct pdp_request *req);
void leaves_forget(struct leaves *l, const char *ce);
/* Of memberships that there are; borrowed. */
void leaves_each(struct leaves *l, void (*fn)(void *arg, const struct leave *x), void *arg);
bool leaves_find(struct leaves *l, const char *ce, uint32_t vpn, struct leave *x);

#endif
