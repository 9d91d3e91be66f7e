/*
 * vpn_show.h - what the enforcer holds, for people: policies, SAs and peers as plain
 * structs through callbacks.  self is pep_agent_self(agent, &pep_client_vpn); texts are borrowed
 * until the callback returns.
 */
#ifndef PEP_VPN_SHOW_H
#define PEP_VPN_SHOW_H

#include "pep/kern.h"
#include "pep/keying.h"

struct vpn_show_policy {
	struct kern_policy policy;
	/* "control", "lockdown", "site", "peer", "relay", "blocked", "address"; "?" = left over */
	const char *part;
	const char *vpn; /* names; "" where there is none */
	const char *peer;
};
/* In the order in which they are looked up. 0, or -1: no memory. */
int vpn_show_policies(
    void *self, void (*fn)(void *arg, const struct vpn_show_policy *p), void *arg);

struct vpn_show_sa {
	struct kern_sa_state sa; /* octets and packets as the kernel counts them now */
	bool inbound;
	const char *vpn;
	const char *peer;
	uint32_t own_epoch; /* from the SPI's low bits; 0 = no such epoch lives */
	uint32_t peer_epoch;
	int64_t age_s; /* -1 = not known */
};
/* Those of ours. 0, or -1 and *f. */
int vpn_show_sas(void *self, void (*fn)(void *arg, const struct vpn_show_sa *s), void *arg,
    struct kern_fault *f);

struct vpn_show_peer {
	const char *vpn;
	const char *name;
	struct addr addr;
	uint32_t member;
	uint32_t reqid;
	unsigned prefixes;
	struct keying_epoch_info own[KEYING_EPOCHS]; /* newest first */
	unsigned own_count;
	uint32_t peer_epoch[KEYING_EPOCHS]; /* published, newest first */
	unsigned peer_count;
	uint32_t acked;	  /* our newest epoch the peer holds, 0 = none */
	uint32_t out_own; /* epochs of the outbound SA in use, 0 = none */
	uint32_t out_peer;
	unsigned inbound; /* SAs */
	unsigned outbound;
	bool ready;	     /* traffic can go out */
	const char *why_not; /* "" when ready */
};
void vpn_show_peers(void *self, void (*fn)(void *arg, const struct vpn_show_peer *p), void *arg);

struct vpn_show_tunnel {
	const char *vpn;
	const char *peer;
	struct addr addr;
	const char *interface;	/* of this tunnel alone, and it is there; else "" */
	struct addr inner;	/* of an interface with addresses: this CE's; family 0: none */
	struct addr inner_peer; /* and the peer's */
	const char *state;	/* "up", "down", "connecting", "idle" */
	const char *why;	/* "" = nothing to say */
	const char *error;
	int64_t since; /* seconds since the epoch, 0 = not known */
	uint32_t spi_in;
	uint32_t spi_out;
	uint64_t packets_in, octets_in, packets_out, octets_out;
};
/* All, or those of a VPN.  0, or -1: the kernel did not answer, or no memory. */
int vpn_show_tunnels(
    void *self, const char *vpn, void (*fn)(void *arg, const struct vpn_show_tunnel *t), void *arg);

struct vpn_show_learned {
	const char *vpn;
	struct prefix prefix;
	uint32_t table;
	const char *protocol;  /* "ospf", "200" */
	const char *interface; /* "" = not known */
	const char *state;     /* learn_state_name() */
	bool present;	       /* in the kernel */
	bool accepted;	       /* the PDP made it one of the site's prefixes */
	int64_t until; /* of what is held or suppressed: seconds since the epoch; 0 = none */
};
/* All, or those of a VPN.  0, or -1: no memory. */
int vpn_show_learned(void *self, const char *vpn,
    void (*fn)(void *arg, const struct vpn_show_learned *l), void *arg);

struct vpn_show_route { /* to what is behind a peer */
	const char *vpn;
	const char *peer;
	struct prefix dst;
	bool routed; /* in the kernel, as far as we know; then also: */
	const char *device;
	uint32_t table;
	struct addr src;     /* family 0 = the kernel's choice */
	const char *why_not; /* "" when routed */
};
/* All. */
void vpn_show_routes(void *self, void (*fn)(void *arg, const struct vpn_show_route *r), void *arg);

struct vpn_show_status {
	const char *backend;
	size_t policies;
	size_t sas;
	bool loaded;	    /* the kernel was read */
	bool owes;	    /* operations are being retried */
	uint32_t repairs;   /* of what others did to the kernel's tables */
	bool lockdown;	    /* all is discarded but what policy and settings say ... */
	bool default_block; /* ... and by the kernel also while the SPD is empty */
	char trouble[256];  /* why not all of the policy is in the kernel; "" = it is */
	uint64_t acquires;  /* packets that found no SA, as the kernel told */
};
void vpn_show_status(void *self, struct vpn_show_status *s);

#endif
