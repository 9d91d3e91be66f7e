/*
 * vpn_rows.h - rows of CE-VPN-PIB as the values the enforcer works with, and every
 * check that can be made before the kernel is asked.  What we do not implement is refused
 * with its column, never ignored.
 */
#ifndef PEP_VPN_ROWS_H
#define PEP_VPN_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "pep/kern.h"
#include "pep/keying.h"
#include "pep/kplan.h"
#include "pep/spd.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_err.h"

struct pib_store;
struct pib_txn;

/* Where faults go: to a transaction, or without one (reconcile) the first as text. */
struct vpn_faults {
	struct pib_txn *txn;
	unsigned count;
	char text[200];
};

/*
 * Record a fault of row cls.instance; column 0 = the row.  The text is logged. Always -1.
 */
int vpn_fault(struct vpn_faults *f, const struct pib_class *cls, uint32_t instance,
    enum pib_cperr code, unsigned sub, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* cls may be NULL: no row is to blame. */
int vpn_fault_memory(struct vpn_faults *f);
/* What the kernel refused, as the row that asked for it. */
int vpn_fault_kernel(struct vpn_faults *f, const struct kern_fault *k, const struct korigin *o);

/* What of this host matters to a VPN: addresses within the site, and the outer one. */
struct vpn_own {
	struct addr addr; /* family 0 = none */
	char interface[KERN_IF_NAME_LEN];
};

struct vpn_here {
	struct vpn_own v4;
	struct vpn_own v6;
	char outer[KERN_IF_NAME_LEN]; /* the interface with the outer address, "" = none ... */
	uint32_t mtu;		      /* ... and what it takes, 0 = not known */
	uint64_t linked; /* a sum over the site's prefixes that are a link's, or learned */
};

/* One VPN as its rows say. */
struct vpn_net {
	const struct pib_ce_vpn *row; /* borrowed from the store */
	bool links;		      /* an interface for each peer, of IP in IP ... */
	bool vti;		      /* ... or, in tunnel mode, of kind VTI */
	uint32_t table;		      /* of its routes */
	char vrf[KERN_IF_NAME_LEN];   /* "" = none */
	uint32_t vrf_index;
	bool vrf_missing;     /* it was there once: no table, and nothing gets through */
	bool held;	      /* taken with another back end: this one keeps no VPN apart */
	struct vpn_here here; /* set by vpn_host_look() */
	bool dynamic;	      /* others route into the tunnel interfaces; and for that: */
	struct addr inner;    /* this CE's address inside tunnels */
	bool hellos;	      /* routing daemons speak over the interfaces */
	struct spd_near near; /* owned */
	struct keying_member member;
};

/* A peer in it. */
struct vpn_peer {
	const struct pib_ce_vpn_peer *row; /* borrowed */
	char name[256];
	struct spd_list far; /* owned */
	struct addr inner;   /* its address inside tunnels, family 0 = none */
	struct keying_peer peer;
};

/* Prefixes of a site of one VPN; the second with lockdown, where pairs of them are policies
 * (spd.h).
 */
#define VPN_SITE_MAX	    4096
#define VPN_SITE_LOCKED_MAX 256

struct host_list;

struct vpn_env { /* what checks may ask */
	const struct pib_store *store;
	const struct kern_ops *ops;
	struct host_list *host;
	struct kern *kern;
	bool (*keying)(int32_t keying); /* is there a provider? */
	bool lockdown;
	uint32_t mark_mask; /* bits of packets' marks for VRFs */
	bool lenient;	    /* rows that were accepted once: what the host lost since is no fault */
};

/* Each 0 and to be cleared, or -1 with faults recorded and nothing to clear. */
int vpn_net_load(
    struct vpn_net *n, const struct vpn_env *env, uint32_t instance, struct vpn_faults *f);
void vpn_net_clear(struct vpn_net *n);
/* What of it a VRF is (vpn_vrf.c), if its row names one.  0, or -1 with faults. */
int vpn_vrf_load(struct vpn_net *n, const struct vpn_env *env, struct vpn_faults *f);
/*
 * May it have interfaces of kind VTI (or n->held, of rows that were taken with another back end),
 * and may the peer (vpn_vti.c)?  0, or -1 with faults.
 */
int vpn_vti_check(struct vpn_net *n, const struct vpn_env *env, struct vpn_faults *f);
int vpn_vti_check_peer(const struct vpn_net *n, const struct vpn_peer *p, struct vpn_faults *f);
/*
 * The key of the interface to the peer with this reqid, which no packet has as mark but by the
 * interface.  0: there is none, as too few bits are left of mark_mask.
 */
uint32_t vpn_vti_key(uint32_t reqid, uint32_t mark_mask);
/* Without keys: vpn_peer_keys() adds them. reqid is filled in by the caller. */
int vpn_peer_load(struct vpn_peer *p, const struct vpn_env *env, const struct vpn_net *n,
    uint32_t instance, bool prefixes, struct vpn_faults *f);
void vpn_peer_clear(struct vpn_peer *p);
/* The newest KEYING_EPOCHS keys, newest first, and the acknowledgement. */
int vpn_peer_keys(struct vpn_peer *p, const struct vpn_env *env, struct vpn_faults *f);
/* One ceVpnPeerPrefix row without peer. */
int vpn_blocked_load(
    struct spd_prefix *p, const struct vpn_env *env, uint32_t instance, struct vpn_faults *f);
/* Our epoch that peer has acknowledged, 0 = none. */
uint32_t vpn_peer_acked(const struct pib_store *store, uint32_t peer);

#endif
