/*
 * tunnels.h - what CEs report of their tunnels (ceVpnPeerStatus, RFC 3571): which links a CE is
 * to have for that, and what it said last of each of its peers.  A link a VPN, told once a
 * connection and when the CE's VPNs change; a few dozen octets a pair that was reported.  Control
 * thread only.
 */
#ifndef PDP_TUNNELS_H
#define PDP_TUNNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "pdp/client.h"
#include "pdp/model.h"

struct tunnels;

#define TUNNELS_INTERVAL 4 /* of links, in units of the accounting timer: states come faster */

struct tunnel {	       /* from one membership to another, as the CE of the first says */
	uint32_t peer; /* the other */
	uint32_t spi_in;
	uint32_t spi_out;
	uint32_t since; /* in this state, seconds since 1970, its clock; 0 = not known */
	uint32_t at;	/* when it said so, our clock */
	uint8_t state;	/* enum pib_ce_vpn_peer_status_state */
	uint8_t why;	/* enum pib_ce_vpn_peer_status_why */
	uint64_t packets_in, octets_in, packets_out, octets_out;
	char *error; /* NULL: nothing went wrong */
};

struct tunnels *tunnels_new(void);
/* Nothing is asked for (no accounting), or again. */
void tunnels_set_off(struct tunnels *t, bool off);
void tunnels_free(struct tunnels *t);

/* A request of ce's: does it say that it can report?  0, or -1: memory. */
int tunnels_request(struct tunnels *t, const char *ce, const struct pdp_request *req);
/* Does it? */
bool tunnels_can(const struct tunnels *t, const char *ce);
/*
 * What ce is to be told so that it reports what it should; model is NULL when it has left.  first:
 * it was told nothing yet in this request-state.  -1: memory.
 */
int tunnels_links(struct tunnels *t, const char *ce, const struct model_ce *model, bool first,
    struct delta_list *l);
/* An accounting report of ce's; what is not of its peers is ignored. */
void tunnels_report(
    struct tunnels *t, const struct model_ce *model, const struct pdp_request *report);
/* ce is gone, and what it said with it. */
void tunnels_forget(struct tunnels *t, const char *ce);
/* Borrowed until the next call that is not const; NULL: it has said nothing. */
const struct tunnel *tunnels_find(
    const struct tunnels *t, const struct model_member *r, const struct model_member *m);

#endif
