/*
 * vpn.h - client-type 0x4001 (CE-VPN-PIB) in the PDP: what CEs notify becomes staged keys,
 * what they confirm becomes acknowledgements, and both go on to their peers once stored.
 */
#ifndef PDP_VPN_H
#define PDP_VPN_H

#include "pdp/client.h"
#include "pdp/db.h"
#include "pdp/intent.h"

struct leaves;
struct sync;
struct tunnels;
struct vpn;

extern const struct pdp_client pdp_client_vpn; /* self is a struct vpn */

/* Borrows db.  staged: something waits for vpn_flush(), which should come within milliseconds. */
struct vpn *vpn_new(struct db *db, void (*staged)(void *arg), void *arg);
void vpn_free(struct vpn *v);
void vpn_set_sync(struct vpn *v, struct sync *s);
/* Others staged something in db's keyring, or with its learned networks. */
void vpn_staged(struct vpn *v);
/* Commit what is staged, then pass it on.  -1 and err: all stays staged. */
int vpn_flush(struct vpn *v, char *err, size_t err_len);

/* What a CE said of itself (ceVpnSite); empty strings: nothing yet. */
struct vpn_site {
	char software[64];
	char backend[33];
	struct ce_caps caps;
	uint32_t repairs;  /* of what others did to its kernel */
	uint32_t owed;	   /* entries of its kernel that are to go and are there still */
	char trouble[256]; /* why not all of its policy is in force; "" = it is */
};
/* For struct intent_env; arg is the struct vpn. */
bool vpn_caps(void *arg, const char *ce, struct ce_caps *caps);
/* ce has left, and what it said of itself and its tunnels is of no use any more. */
void vpn_forget(struct vpn *v, const char *ce);
/* false: CEs are asked for no reports on tunnels. */
void vpn_set_reports(struct vpn *v, bool on);
/* What CEs reported of their tunnels. */
const struct tunnels *vpn_tunnels(const struct vpn *v);
/* CEs that ask to leave. */
struct leaves *vpn_leaves(struct vpn *v);
bool vpn_site(struct vpn *v, const char *ce, struct vpn_site *site);

#endif
