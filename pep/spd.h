/*
 * spd.h - from a VPN's prefixes and tunnels to SPD entries (doc/architecture.md
 * section 4).  Pure: no kernel, no rows, no state.
 *
 * What goes where: l is a prefix of this site, s the VPN's space, r one reached through
 * a peer, n any l and, when this CE relays, any s.
 *
 *   control    out any > PDP, in PDP > any                       bypass
 *   neighbours out and in any > any, of ND's and MLD's ICMPv6    bypass
 *              fwd any > any of them                             discard
 *   site       out any > l, all directions l > l'                bypass
 *   link       out l > multicast of a link, broadcast, if other
 *              discards or elsewhere; in l > it, with lockdown   bypass
 *   space      out any > s, in and fwd s > l                     discard
 *   other      out l > any, in and fwd any > l                   discard (if so told)
 *   elsewhere  out l > each half of any, after everything        discard (if a peer has "any")
 *   peer       out n > r, in r > l, fwd r > n                    protect
 *              out any > r                                       discard
 *   several    in and fwd r > any                                discard (if there are other VPNs)
 *   r is any   out l > any, in and fwd any > l                   protect, or discard (blocked)
 *   internet   out any > r, in and fwd r > any                   protect (this CE is the way there)
 *              out r > any, fwd any > r, after everything        bypass
 *   relay      out and fwd q > r, r behind one peer, q another   protect (if no space)
 *   blocked    out n > r, in r > l, fwd r > n, out any > r       discard
 *   ipip peer  as blocked: its interface is not asked for these  discard
 *              out L > R, in R > L, of IP in IP, outer addresses protect
 *              out any > R, in R > any, of IP in IP              discard
 *   vti peer   as blocked; and of its interface and its mark
 *              (struct spd_scope), before all others of these,
 *              out any > any of both, in any > any of the mark   protect
 *              out any > any of the interface                    bypass
 *   inside     addresses of tunnels' interfaces, a its, b ours:
 *              a as r of an ipip or vti peer; in l > b           bypass
 *              out any > b, in any > b                           discard
 *
 * An interface of kind VTI has what leaves by it looked up as any packet, and once more with its
 * mark, which must find the one that protects.  It asks for what came by it with its mark.
 *
 * Of a VPN in a VRF (struct spd_scope) the entries of space, peer, relay and blocked are of its
 * device (out) and of its mark (in, fwd), come before all those of others, and there are
 *
 *   device     out any > any                                     discard
 *              fwd any > any (out decides)                       bypass
 *
 * Its site's entries are everybody's: where two VPNs have the same site, discard of one holds.
 *
 * and with lockdown, below all of these
 *
 *   open       fwd l > any; unless told otherwise out l > any,
 *              in and fwd any > l                                bypass
 *   exempt     what the host needs (spd_lockdown.c), and is told bypass
 *   lockdown   all directions any > any                          discard
 *
 * A prefix of length 0 behind a peer is the Internet behind a hub: only what is of this site goes
 * there, the host's own packets do not.  At the hub it is no site, so that "any" has no entries
 * of its own: what a peer may send elsewhere is tied to that peer's prefixes.
 *
 * Out any > l is there because packets that leave a tunnel are looked up once more as they
 * are sent on to the site, where the discard of a space around l would meet them.
 *
 * A site with very many prefixes (SPD_SITE_PAIRS) has no entry for each pair of them: out any > l
 * comes before all that discards, and so does, in and forwarded, l > s, if the spaces have the
 * whole site, else l > any.  What l sends to others meets no entry in these directions anyway;
 * under lockdown it does on its way in, and there each pair has its entry.
 *
 * Neighbour discovery (RFC 4861) and the multicast reports it depends on (RFC 3810) never leave
 * their link, and hosts cannot do without them whatever else is discarded.  So what this host
 * sends and receives of them passes, and they are forwarded nowhere: nobody can get a packet
 * past the tunnels by calling it one of them.
 *
 * Order is by scope, by specificity, the sum of both prefix lengths, and at equal specificity
 * by enum spd_rank; spd_priority() is the one place.
 */
#ifndef PEP_SPD_H
#define PEP_SPD_H

#include "pep/kern.h"

enum spd_rank {	     /* at equal specificity the first wins */
	SPD_CONTROL, /* before everything, whatever its specificity */
	SPD_SITE,
	SPD_PROTECT,
	SPD_BLOCKED,
	SPD_CATCH, /* what is not for the tunnel must not go in clear either */
	SPD_OTHER,
	SPD_OPEN, /* this and the following after everything, whatever their specificity */
	SPD_EXEMPT,
	SPD_LOCKDOWN,
};

struct spd_prefix {
	struct prefix prefix;
	uint32_t row; /* instance of its row */
	/* of a site's (vpn_host_look()): a link of the host's, or a learned route, is exactly this;
	 * a link is in it */
	bool linked;
	bool partly;
};

struct spd_list {
	struct spd_prefix *p;
	size_t count;
};

/* What keeps a VPN in a VRF, or a peer behind VTI, apart from the others of this CE. */
struct spd_scope {
	uint32_t device; /* its interface: what leaves by it is its; 0 = none, it is not apart */
	struct kern_mark mark; /* of what its tunnels brought in */
};

#define SPD_SITE_PAIRS 32 /* prefixes of a site, for which pairs are made */

/* The near side of one VPN. */
struct spd_near {
	struct spd_list site;
	struct spd_list space;
	struct spd_list internet; /* prefixes of length 0 that peers reach through this CE */
	bool relay;
	bool discard_other;
	bool lockdown;	/* everything else is discarded */
	bool several;	/* this CE is in other VPNs too, whose sites are not this one's to reach */
	bool elsewhere; /* what is not for the VPN goes to the peer with a prefix of length 0 */
	struct spd_scope scope;
};

struct spd_tunnel {
	struct addr local;
	struct addr remote;
	uint32_t reqid;
	bool ah;	      /* not ESP */
	bool ipip;	      /* an interface in front of transport mode (RFC 3884) */
	struct spd_scope vti; /* an interface of this kind and tunnel mode; device 0 = none */
	struct addr inner;    /* with either: the peer's address on it; family 0 = none */
	bool internet;	      /* the peer reaches near.internet through this CE */
};

struct spd_entry {
	struct kern_policy policy;
	uint32_t row; /* of the prefix it is for; 0 = none */
};

struct spd {
	struct spd_entry *entry;
	size_t count;
	size_t cap;
	bool no_memory; /* sticks; the entries are not complete */
};

void spd_init(struct spd *s);
void spd_clear(struct spd *s);
void spd_reset(struct spd *s); /* keeps the memory */
uint32_t spd_priority(const struct kern_selector *sel, enum spd_rank rank);

/* Each appends. Prefixes of different families meet nowhere. */
void spd_control(struct spd *s, const struct addr *pdp, uint16_t port);
#define SPD_NEIGHBOURS 27 /* entries */
void spd_neighbours(struct spd *s);
void spd_site(struct spd *s, const struct spd_near *near);
void spd_peer(struct spd *s, const struct spd_near *near, const struct spd_tunnel *t,
    const struct spd_list *far);
/* Both ways between two peers of a CE that relays; with interfaces, routes do it. */
void spd_relay(struct spd *s, const struct spd_near *near, const struct spd_tunnel *a,
    const struct spd_list *behind_a, const struct spd_tunnel *b, const struct spd_list *behind_b);
/* Our own address inside tunnels: to be spoken to through them and from the site alone. */
void spd_inner(struct spd *s, const struct spd_near *near, const struct addr *own, uint32_t row);
void spd_blocked(struct spd *s, const struct spd_near *near, const struct spd_list *far);

/* What l sends to r is discarded, whoever's r is. */
void spd_withhold(struct spd *s, const struct spd_prefix *l, const struct prefix *r);

/* Lockdown: everything is discarded but what other entries say ... */
void spd_lockdown(struct spd *s);
/* ... and the host's own packets to and from far: proto 0 is TCP, UDP and ICMP; port 0 is all, else
 * that port of far and of the host. */
void spd_exempt(struct spd *s, const struct prefix *far, uint8_t proto, uint16_t port);
/* ... and, of a VPN, what its site may send and receive outside of it. */
void spd_open(struct spd *s, const struct spd_near *near);
/* Any other. */
void spd_add(struct spd *s, const struct kern_policy *p, uint32_t row);

/* Sort by priority; of entries with one selector keep the first. */
void spd_finish(struct spd *s);

#endif
