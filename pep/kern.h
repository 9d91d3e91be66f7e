/*
 * kern.h - the kernel's SAD and SPD as values and a vtable (RFC 4301 4.4, RFC
 * 2367).  Identity structs say which entry, data structs what it holds.  A back
 * end can say "not supported" in a way that names the field at fault, so that the
 * report names row and column.
 */
#ifndef PEP_KERN_H
#define PEP_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/suites.h"

#define KERN_KEY_MAX 64 /* octets */
/* Our entries in the SPD are those with a priority in this band (smaller is looked up first). */
#define KERN_PRIO_BASE 0x43500000U
#define KERN_PRIO_SPAN 0x10000U

enum kern_dir { KERN_IN = 1, KERN_OUT = 2, KERN_FWD = 3 };
enum kern_action { KERN_PROTECT, KERN_BYPASS, KERN_DISCARD };
enum kern_mode { KERN_TUNNEL, KERN_TRANSPORT };

/* A packet's mark: the bits of mask are value's.  mask 0: none is meant. */
struct kern_mark {
	uint32_t value;
	uint32_t mask;
};

struct kern_selector { /* identifies a policy, with dir */
	struct prefix src;
	struct prefix dst;
	uint8_t proto;	/* IP protocol; 0 = any */
	uint16_t sport; /* 0 = any */
	uint16_t dport;
	enum kern_dir dir;
	uint32_t ifindex; /* of the interface it leaves by; 0 = any */
	struct kern_mark mark;
};

struct kern_policy {
	struct kern_selector sel;
	enum kern_action action;
	uint32_t priority; /* KERN_PRIO_BASE + ... */
	/* of KERN_PROTECT: one template, level unique */
	bool ah; /* not ESP */
	uint32_t reqid;
	enum kern_mode mode;
	struct addr tmpl_src;
	struct addr tmpl_dst;
};

struct kern_sa_id {
	struct addr dst;
	uint32_t spi; /* host order */
	bool ah;      /* not ESP */
};

/* ESP in UDP (RFC 3948): the ports of its packets.  Both 0: ESP as it is. */
struct kern_encap {
	uint16_t sport;
	uint16_t dport;
};

struct kern_lifetime {
	uint64_t seconds; /* 0 = none */
	uint64_t octets;
};

struct kern_sa {
	struct kern_sa_id id;
	struct addr src;
	enum kern_mode mode;
	uint32_t reqid;
	uint16_t encr;	/* IKEv2 ENCR number, 0 = none (AH) */
	uint16_t integ; /* IKEv2 INTEG number, 0 = none (AEAD) */
	uint8_t encr_key[KERN_KEY_MAX];
	uint16_t encr_key_len; /* octets; with the salt of an AEAD */
	uint8_t integ_key[KERN_KEY_MAX];
	uint16_t integ_key_len;
	uint32_t replay_window; /* packets */
	uint8_t inner;		/* family inside a tunnel; 0 = of the back end's choice (both) */
	bool dscp_clear;	/* of a tunnel: DSCP outside is 0, not that of the packet inside */
	bool esn;		/* 64-bit sequence numbers; a window of 0 is made 32 then */
	struct kern_encap encap;
	struct kern_mark set_mark; /* of what it has worked on */
	struct kern_lifetime soft;
	struct kern_lifetime hard;
};

/* An SA as a dump shows it: keys left out. */
struct kern_sa_state {
	struct kern_sa_id id;
	struct addr src;
	enum kern_mode mode;
	uint32_t reqid;
	uint8_t inner; /* family inside a tunnel; 0 = both, or not known */
	struct kern_encap encap;
	struct kern_mark set_mark;
	bool larval;
	uint64_t octets;
	uint64_t packets;
	uint64_t added_at; /* seconds since the epoch */
	uint64_t used_at;  /* 0 = never */
};

/*
 * A tunnel interface of ours and the routes into it, of one of two kinds.  IP in IP (RFC 2003, RFC
 * 2473): what leaves through it is looked up in the SPD with its outer header only, what comes from
 * it too.  VTI, with a key: what leaves through it is looked up twice, as a packet that leaves by
 * this interface, and with the key as its mark, by which it finds the policy whose SA makes the
 * tunnel; what its peer's SAs bring in is looked up with the key as its mark.
 */
struct kern_tunnel_route {
	struct prefix dst;
	uint32_t row; /* instance of its row, for reports */
};

struct kern_tunnel {
	uint32_t id; /* names the interface */
	struct addr local;
	struct addr remote;
	struct addr src;	/* of this host's own packets; family 0 = the kernel's choice */
	struct addr inner;	/* this end's address inside (IPv4); family 0 = none */
	struct addr inner_peer; /* and the other end's; family 0: see kern_link.c */
	uint32_t key;		/* of VTI, which has IPv4 around it; 0 = IP in IP */
	uint32_t mtu;		/* of local's interface, 0 = not known; counts when it is made */
	bool dscp_set;		/* DSCP outside is this, not that of the packet inside: */
	uint8_t dscp;
	bool broken;			 /* in dumps: not as we make them, or down */
	struct kern_tunnel_route *route; /* sorted by dst */
	size_t routes;
};

/*
 * Where the routes of a VPN in tunnel mode lead: an interface of ours that sends nothing.  What the
 * SPD protects is so before it gets there; what it does not (any more) ends there.
 */
struct kern_device {
	uint32_t vpn; /* names the interface */
	uint32_t mtu;
	bool broken; /* in dumps: down */
};

/*
 * A route of ours into one.  Table and destination identify it, as its metric is ours; and whether
 * it is the one behind it, of a worse metric, which discards: in a VRF's table, where the SPD does
 * not see what another route of the table would take; and behind others' routes to the site itself.
 */
struct kern_route {
	uint32_t table;
	struct prefix dst;
	uint32_t vpn; /* its device; 0 in dumps: some other interface, or it discards */
	bool discards;
	struct addr src; /* of this host's own packets; family 0 = the kernel's choice */
};

#define KERN_TABLE_MAIN	 254
#define KERN_TABLE_LOCAL 255 /* of the host's own addresses */
#define KERN_IF_NAME_LEN 16

/* An address of this host that can be sent from, and the interface that has one. */
struct kern_own {
	struct addr addr;
	uint8_t len; /* so many bits of it are a network on that interface's link; all: none is */
	uint32_t interface; /* its index */
};

struct kern_interface {
	char name[KERN_IF_NAME_LEN];
	uint32_t mtu;
	uint32_t vrf; /* index of the VRF device it belongs to, 0 = none */
	bool ours;    /* made by us */
};
/* A VRF device, which the host's administrator makes. */
struct kern_vrf {
	uint32_t index;
	uint32_t table; /* of its routes */
};

/* Packets with this mark are looked up in that table. */
struct kern_rule {
	struct kern_mark mark;
	uint32_t table;
};

/* The index that a VPN's own interface has, so that policies may name it before it is there. */
#define KERN_DEVICE_INDEX(vpn) (0x40000000U | (vpn))
#define KERN_DEVICE_VPN_MAX    0x3fffffffU
/* And a tunnel interface of kind VTI.  Its id has 24 bits. */
#define KERN_TUNNEL_INDEX(id) (0x20000000U | (id))

enum kern_fault_kind {
	KERN_REFUSED, /* errno says why */
	KERN_EXISTS,
	KERN_ABSENT,
	KERN_UNSUPPORTED_ENCR,	   /* unknown to this kernel or back end */
	KERN_UNSUPPORTED_KEY_BITS, /* the algorithm is known, not with this key length */
	KERN_UNSUPPORTED_INTEG,
	KERN_UNSUPPORTED_WINDOW,
	KERN_UNSUPPORTED_PROTOCOL, /* no AH */
	KERN_UNSUPPORTED_ESN,
	KERN_UNSUPPORTED_SELECTOR,
	KERN_UNSUPPORTED_MODE,
	KERN_NO_REPLY, /* the kernel did not answer */
};

struct kern_fault {
	enum kern_fault_kind kind;
	int err;	/* errno value, 0 = none */
	uint32_t row;	/* of the tunnel's route at fault, 0 = another thing is */
	char text[160]; /* for people: operation, object, reason; never key octets */
};

enum kern_event_kind {
	KERN_EV_ACQUIRE,     /* traffic wants an SA: sel, reqid */
	KERN_EV_EXPIRE_SOFT, /* sa */
	KERN_EV_EXPIRE_HARD, /* sa */
	KERN_EV_SA_FLUSHED,  /* by someone else */
	KERN_EV_SA_DELETED,  /* sa, by someone else */
	KERN_EV_SPD_FLUSHED,
	KERN_EV_SPD_CHANGED, /* an entry changed by someone else */
	KERN_EV_OVERRUN,     /* events were lost: dump */
	/*
	 * A good packet of inbound SA sa came from elsewhere than its encap says: from, port.
	 * sa.dst may be unknown (family 0).
	 */
	KERN_EV_MAPPING,
};

/* What others did to interfaces, routes and addresses; told also of what only looks like ours. */
enum kern_net_event_kind {
	KERN_NET_TUNNEL, /* id: the interface was taken down or is gone */
	KERN_NET_SPEAK,	 /* id: an address, or multicast, was taken from the interface */
	KERN_NET_DEVICE, /* id, mtu: changed; mtu 0: it was taken down or is gone */
	KERN_NET_ROUTE,	 /* table, dst: gone, or another is in its place */
	KERN_NET_HOST,	 /* an address, or an interface that is none of ours, is new or changed;
			    gone: this address is not there any more */
	KERN_NET_VRF,	 /* a VRF device is new, changed or gone, or a rule of ours is gone */
	KERN_NET_LOST,	 /* events were lost: dump */
};

struct kern_net_event {
	enum kern_net_event_kind kind;
	uint32_t id;
	uint32_t mtu;
	uint32_t table;
	struct prefix dst;
	struct addr gone;
};

struct kern_event {
	enum kern_event_kind kind;
	struct kern_sa_id sa;
	uint32_t reqid;
	struct kern_selector sel;
	struct addr from;
	uint16_t port;
};

struct kern; /* a back end's instance */
struct kern_watch_ops;

struct kern_ops {
	const char *name; /* "pfkey", "xfrm", "mem" */
	/* An SA of a tunnel carries one family, kern_sa.inner; otherwise it carries both. */
	bool one_family;
	/* Policies of one interface or mark, and SAs that set marks: VPNs in VRFs, VTI. */
	bool separate;
	/* Of kern_sa.dscp_clear; without it what is outside of a tunnel always has the DSCP inside.
	 */
	bool dscp;
	/* NULL and *f on failure. */
	struct kern *(*open)(struct kern_fault *f);
	void (*close)(struct kern *k);
	/* Can SAs be made of this?  0, or -1 and what of it is at fault.  No SA remains. */
	int (*can)(
	    struct kern *k, const struct suite *s, uint32_t replay_window, struct kern_fault *f);
	uint32_t (*reqid_max)(const struct kern *k);
	/* Is this one of the host's own addresses? */
	bool (*has_addr)(const struct kern *k, const struct addr *a);
	/* Each reads the kernel's reply before it returns.  0, or -1 and *f. */
	int (*sa_add)(struct kern *k, const struct kern_sa *sa, struct kern_fault *f);
	int (*sa_del)(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f);
	int (*sa_get)(struct kern *k, const struct kern_sa_id *id, struct kern_sa_state *s,
	    struct kern_fault *f);
	/* Add an entry.  One with this selector that is there already is KERN_EXISTS. */
	int (*policy_add)(struct kern *k, const struct kern_policy *p, struct kern_fault *f);
	/*
	 * Other ports for an SA that has encap; keys, sequence numbers and lifetimes stay as they
	 * are.
	 */
	int (*sa_ports)(struct kern *k, const struct kern_sa_id *id, struct kern_encap encap,
	    struct kern_fault *f);
	/*
	 * Prefer this outbound SA, if it is the only one, to newer ones of its reqid, or no more
	 * (pep/kern_prefer.h).  NULL: there is no choice with this back end.
	 */
	int (*sa_prefer)(
	    struct kern *k, const struct kern_sa_id *id, bool on, struct kern_fault *f);
	/* Add or replace the entry with this selector. */
	int (*policy_put)(struct kern *k, const struct kern_policy *p, struct kern_fault *f);
	int (*policy_del)(struct kern *k, const struct kern_selector *sel, struct kern_fault *f);
	int (*sa_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_sa_state *s),
	    void *arg, struct kern_fault *f);
	/* Every entry, ours or not. */
	int (*policy_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_policy *p),
	    void *arg, struct kern_fault *f);
	/*
	 * Make tunnel *t out of *was, which may be NULL: there is none.  On failure *was may be
	 * damaged: put it again.  NULL: no tunnels with this back end.
	 */
	int (*tunnel_put)(struct kern *k, const struct kern_tunnel *t,
	    const struct kern_tunnel *was, struct kern_fault *f);
	/* Have the kernel tell everybody of *t's inner address again.  NULL: it has no listeners.
	 */
	int (*tunnel_say)(struct kern *k, const struct kern_tunnel *t, struct kern_fault *f);
	int (*tunnel_del)(struct kern *k, uint32_t id, struct kern_fault *f);
	int (*tunnel_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t),
	    void *arg, struct kern_fault *f);
	/* Make the device, or bring it in line.  An interface of others is KERN_EXISTS. */
	int (*device_put)(struct kern *k, const struct kern_device *d, struct kern_fault *f);
	int (*device_del)(struct kern *k, uint32_t vpn, struct kern_fault *f);
	int (*device_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_device *d),
	    void *arg, struct kern_fault *f);
	/* Add a route.  One with its table, destination and metric is KERN_EXISTS. */
	int (*route_add)(struct kern *k, const struct kern_route *r, struct kern_fault *f);
	/* Add or replace it. */
	int (*route_put)(struct kern *k, const struct kern_route *r, struct kern_fault *f);
	int (*route_del)(struct kern *k, const struct kern_route *r, struct kern_fault *f);
	int (*route_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_route *r),
	    void *arg, struct kern_fault *f);
	/*
	 * This host's addresses, and what of an interface matters.  Both ask the kernel; what it
	 * says holds until net_read() tells of KERN_NET_HOST, _VRF or _LOST.
	 */
	int (*own_dump)(struct kern *k, void (*fn)(void *arg, const struct kern_own *a), void *arg,
	    struct kern_fault *f);
	bool (*interface_get)(struct kern *k, uint32_t index, struct kern_interface *i);
	/* A descriptor that is readable when others changed some of these (-1: none). */
	int (*net_fd)(struct kern *k);
	void (*net_read)(
	    struct kern *k, void (*fn)(void *arg, const struct kern_net_event *e), void *arg);
	/* Routes of others (pep/kern_watch.h). */
	const struct kern_watch_ops *watch;
	/* The VRF device of this name.  KERN_ABSENT: none has it, or another kind of device. */
	int (*vrf_find)(struct kern *k, const char *name, struct kern_vrf *v, struct kern_fault *f);
	/*
	 * Have these rules, and (prune) no others of ours.  KERN_EXISTS: somebody else's rule uses
	 * our bits of the mark; nothing was done.  NULL, both: no VRFs with this back end.
	 */
	int (*rules)(struct kern *k, const struct kern_rule *want, size_t count, bool prune,
	    struct kern_fault *f);
	/* What becomes of packets that no entry matches: discarded, or let pass as at first. */
	int (*default_set)(struct kern *k, bool block, struct kern_fault *f);
	/* A descriptor that is readable when events wait (-1: none), and their reading. */
	int (*event_fd)(struct kern *k);
	void (*event_read)(
	    struct kern *k, void (*fn)(void *arg, const struct kern_event *e), void *arg);
};

/* Values: compare, key, print (kern.c). */
#define KERN_SA_KEY_LEN	      22
#define KERN_SELECTOR_KEY_LEN 54
#define KERN_STRLEN	      224
/* Octets that are equal when, and only when, the identities are (for hash tables). */
void kern_sa_key(uint8_t key[KERN_SA_KEY_LEN], const struct kern_sa_id *id);
void kern_selector_key(uint8_t key[KERN_SELECTOR_KEY_LEN], const struct kern_selector *sel);
/* Do two entries with one selector do the same? */
bool kern_policy_same(const struct kern_policy *a, const struct kern_policy *b);
static inline bool kern_encap_some(struct kern_encap e)
{
	return e.sport != 0 || e.dport != 0;
}
static inline bool kern_mark_same(const struct kern_mark *a, const struct kern_mark *b)
{
	return a->value == b->value && a->mask == b->mask;
}
static inline bool kern_policy_ours(const struct kern_policy *p)
{
	return p->priority - KERN_PRIO_BASE < KERN_PRIO_SPAN;
}
#define KERN_TUNNEL_NAME_LEN 16
const char *kern_tunnel_name(uint32_t id, char buf[KERN_TUNNEL_NAME_LEN]); /* "cv1a"; returns buf */
bool kern_tunnel_same(const struct kern_tunnel *a, const struct kern_tunnel *b);
/* In one piece, for free(). NULL: no memory. */
struct kern_tunnel *kern_tunnel_copy(const struct kern_tunnel *t);
const char *kern_device_name(uint32_t vpn, char buf[KERN_IF_NAME_LEN]); /* "cvn1a"; returns buf */
/* Octets that are equal when, and only when, table, destination and kind are. */
#define KERN_ROUTE_KEY_LEN 23
void kern_route_key(
    uint8_t key[KERN_ROUTE_KEY_LEN], uint32_t table, const struct prefix *dst, bool discards);
bool kern_route_same(const struct kern_route *a, const struct kern_route *b);
const char *kern_dir_name(enum kern_dir d);	  /* "in" */
const char *kern_action_name(enum kern_action a); /* "protect" */
/* "203.0.113.2 spi 0x00000710", "out 10.1.0.0/16 > 10.2.0.0/16"; return buf. */
const char *kern_sa_id_print(const struct kern_sa_id *id, char buf[KERN_STRLEN]);
const char *kern_selector_print(const struct kern_selector *sel, char buf[KERN_STRLEN]);
/* Fill *f; with err, its text is appended.  Always -1. */
int kern_fault_set(struct kern_fault *f, enum kern_fault_kind kind, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

extern const struct kern_ops kern_pfkey_ops;
extern const struct kern_ops kern_xfrm_ops;
extern const struct kern_ops kern_mem_ops;

#define KERN_AUTO "auto" /* stands for the first of "xfrm" and "pfkey" that answers */
bool kern_backend_known(const char *name);
/*
 * The back end of this name, or the first that answers, and an instance of it in *k.  NULL and *f:
 * there is none.
 */
const struct kern_ops *kern_open(const char *name, struct kern **k, struct kern_fault *f);

#endif
