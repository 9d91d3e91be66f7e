/*
 * vpn_ike_rows.h - rows as IKE puts them: proposals as transforms that charon has words for,
 * prefixes as traffic selectors.
 */
#ifndef PEP_VPN_IKE_ROWS_H
#define PEP_VPN_IKE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pep/ike.h"
#include "pep/vpn_rows.h"

/*
 * What all peers of a VPN share; *c borrows from n, identity and creds.  false: a transform cannot
 * be done, and f, unless NULL, has row and column.
 */
bool vpn_ike_conf(const struct pib_store *store, const struct vpn_net *n, const char *identity,
    const struct ike_creds *creds, struct ike_conf *c, struct vpn_faults *f);

#define VPN_IKE_TS_MAX 255 /* traffic selectors of a side: an octet counts them (RFC 7296 3.13) */

struct vpn_ike_ts {
	struct prefix p[VPN_IKE_TS_MAX];
	size_t count;
	uint32_t but;		     /* peer whose prefixes are left out */
	const struct pib_class *cls; /* of the first row that has no room; NULL = all have */
	uint32_t row;
	uint64_t rest; /* digest of all that have none */
};

void vpn_ike_ts_list(struct vpn_ike_ts *t, const struct spd_list *l, const struct pib_class *cls);
/* Our side, as peer sees it: when relaying, with what is reached through us. */
void vpn_ike_ts_near(
    const struct pib_store *store, const struct vpn_net *n, uint32_t peer, struct vpn_ike_ts *t);
/* Everything of IPv4, between interfaces that are routed into. */
void vpn_ike_ts_any(struct vpn_ike_ts *t);
/* A host alone. */
void vpn_ike_ts_host(struct vpn_ike_ts *t, const struct addr *a);

#endif
