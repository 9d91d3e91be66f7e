/*
 * ike_conf.h - what charon is to do for one peer, as VICI messages (swanctl.conf(5)).  Pure: no
 * rows, no sockets.
 *
 * Peers with equal settings (both addresses and identities, authentication, IKE transforms) share
 * a connection, so that a responder never has to choose between two; each has a child of its
 * own in it.  Names are made of what they name: the connection's of a hash of its settings, the
 * child's of the peer's number and a hash of the child.  A CHILD_SA thus says by
 * its name whether it is what is wanted now, also after a restart of either daemon.
 */
#ifndef PEP_IKE_CONF_H
#define PEP_IKE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "pep/kern.h"
#include "pep/vici_msg.h"

#define IKE_TRANSFORMS_MAX 16
#define IKE_NAME_LEN	   40 /* of connections and children */
#define IKE_CONN_PREFIX	   "copsvpn-"

struct ike_transform { /* IKEv2 transform numbers; 0 = none */
	uint16_t encr;
	uint16_t encr_bits;
	uint16_t integ;
	uint16_t prf; /* of IKE_SAs only */
	uint16_t dh;
	bool esn;
};

/* Which part of a transform charon has no name for: */
enum ike_unknown {
	IKE_KNOWN,
	IKE_UNKNOWN_ENCR,
	IKE_UNKNOWN_BITS,
	IKE_UNKNOWN_INTEG,
	IKE_UNKNOWN_PRF,
	IKE_UNKNOWN_DH
};

/* "aes256-sha512-prfsha512-curve25519"; text says what is not known otherwise. */
enum ike_unknown ike_transform_print(
    const struct ike_transform *t, bool of_ike, char *buf, size_t size);

struct ike_lifetime { /* 0 = none */
	uint64_t soft_s;
	uint64_t hard_s;
	uint64_t soft_octets;
	uint64_t hard_octets;
};

struct ike_conf {
	/* the connection */
	struct addr local;
	struct addr remote;
	const char *local_id;
	const char *remote_id;
	bool psk;				      /* else certificates: */
	struct vici_view certificate;		      /* ours, PEM */
	struct vici_view ca;			      /* of the peer's, PEM */
	struct ike_transform ike[IKE_TRANSFORMS_MAX]; /* none: charon's own */
	size_t ikes;
	uint64_t ike_lifetime_s; /* 0 = charon's own */
	/* the child */
	uint32_t peer;
	uint32_t reqid;
	bool transport;
	bool dscp_clear; /* of a tunnel: DSCP outside is 0, not that of the packet inside */
	struct ike_transform esp[IKE_TRANSFORMS_MAX]; /* at least one */
	size_t esps;
	struct ike_lifetime lifetime;
	uint32_t replay_window; /* packets */
	struct kern_mark
	    mark;	 /* of what it brings in, and none of what it sends; mask 0: as they are */
	uint64_t idle_s; /* torn down after so long without traffic; 0 = never */
	const struct prefix *local_ts;
	size_t local_tss;
	const struct prefix *remote_ts;
	size_t remote_tss;
};

struct ike_names {
	char conn[IKE_NAME_LEN];
	char child[IKE_NAME_LEN];
};

/*
 * The settings of the connection, without its children, and the child, each as elements of a
 * message; names from them.  0, or -1: no memory or too long.  *settings and *child are to be
 * cleared either way.
 */
int ike_conf_build(const struct ike_conf *c, struct vici_build *settings, struct vici_build *child,
    struct ike_names *names);
/* The peer whose child bears this name, 0: it is not one of ours. */
uint32_t ike_conf_peer(const char *child);

#endif
