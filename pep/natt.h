/*
 * natt.h - ESP in UDP (RFC 3948): the socket on port 4500 through which the kernel takes such
 * packets, and what keeps a NAT's binding for us alive and known.  The NAT forgets a binding, and
 * may choose another port then; a peer learns of it from the next good ESP packet only.  So, while
 * we are behind NAT, each peer is sent the one octet of RFC 3948 2.3 and a small packet of the
 * VPN's own through its tunnel, at once when its SAs are new and then again and again.
 */
#ifndef PEP_NATT_H
#define PEP_NATT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

#define NATT_PORT 4500

struct event_base;
struct natt;

struct natt_peer {
	uint32_t peer; /* membership */
	bool speak;    /* we are behind NAT: keep the binding */
	struct addr local;
	struct addr remote;
	/* From the site's prefixes to the peer's: what a packet through the tunnel bears.  Family
	 * 0: as before, or, if none were told yet, unknown. */
	struct addr inner_src;
	struct addr inner_dst;
};

struct natt *natt_new(struct event_base *base, int64_t keepalive_ms); /* NULL: no memory */
void natt_free(struct natt *n);
/*
 * This peer's SAs are in UDP, and new; or not, any more.  natt_sweep() ends a series of these: when
 * it returns the socket is there, if it can be.
 */
void natt_put(struct natt *n, const struct natt_peer *p);
void natt_drop(struct natt *n, uint32_t peer);
/* Drop those for which gone() says so. */
void natt_sweep(struct natt *n, bool (*gone)(void *arg, uint32_t peer), void *arg);
/*
 * yes: the port is an IKE daemon's, whose socket takes ESP in UDP as ours would.  Then there are no
 * single octets, the packets through the tunnels do the same.
 */
void natt_share(struct natt *n, bool yes);
/* For show: is there a socket of ours for this family?  How many peers. */
bool natt_open(const struct natt *n, int family);
unsigned natt_peers(const struct natt *n);

#endif
