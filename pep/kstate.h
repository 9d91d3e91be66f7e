/*
 * kstate.h - inside of the shadow, for kstate.c and kplan.c only: entries with
 * their state, and the moves between states.
 */
#ifndef PEP_KSTATE_H
#define PEP_KSTATE_H

#include <sys/queue.h>
#include <uthash.h>

#include "pep/kplan.h"

enum shadow_state {
	SHADOW_PLANNED, /* in no kernel: an open plan is about to put it */
	SHADOW_LIVE,
	SHADOW_OWED_DEL, /* deleted as far as anyone asks, but the kernel did not do it yet */
	SHADOW_OWED_PUT, /* live, but the kernel holds something else and did not take it back */
};

struct shadow_sa {
	uint8_t key[KERN_SA_KEY_LEN];
	enum shadow_state state;
	bool inbound;
	struct kern_sa_state sa;
	LIST_ENTRY(shadow_sa) in_reqid;
	LIST_ENTRY(shadow_sa) in_owed;
	UT_hash_handle hh;
};

struct shadow_policy {
	uint8_t key[KERN_SELECTOR_KEY_LEN];
	enum shadow_state state;
	uint64_t owner;
	struct kern_policy policy;
	/* what the open plan says of it, valid while plan == its serial */
	uint64_t plan;
	bool put;
	bool dropped;
	uint64_t put_owner;
	LIST_ENTRY(shadow_policy) in_owner;
	LIST_ENTRY(shadow_policy) in_owed;
	UT_hash_handle hh;
};

struct shadow_reqid {
	uint32_t reqid;
	LIST_HEAD(, shadow_sa) sas;
	UT_hash_handle hh;
};

struct shadow_owner {
	uint64_t owner;
	LIST_HEAD(, shadow_policy) policies;
	LIST_HEAD(, shadow_route) routes;
	UT_hash_handle hh;
};

struct shadow_tunnel {
	uint32_t id;
	enum shadow_state state;
	uint8_t unsaid;	       /* how often its address is still to be told */
	struct kern_tunnel *t; /* owned; what the kernel holds, as far as we know. NULL: planned */
	/* as with policies */
	uint64_t plan;
	bool put;
	bool dropped;
	UT_hash_handle hh;
};

struct shadow_device {
	uint32_t vpn;
	enum shadow_state state;
	struct kern_device device; /* as the kernel has it, as far as we know */
	/* as with policies */
	uint64_t plan;
	bool put;
	bool dropped;
	UT_hash_handle hh;
};

struct shadow_route {
	uint8_t key[KERN_ROUTE_KEY_LEN];
	enum shadow_state state;
	uint64_t owner;
	struct kern_route route;
	/* as with policies */
	uint64_t plan;
	bool put;
	bool dropped;
	uint64_t put_owner;
	LIST_ENTRY(shadow_route) in_owner;
	LIST_ENTRY(shadow_route) in_owed;
	UT_hash_handle hh;
};

struct kstate {
	const struct kern_ops *ops;
	struct kern *kern;
	struct shadow_sa *sas;
	struct shadow_policy *policies;
	struct shadow_reqid *reqids;
	struct shadow_owner *owners;
	struct shadow_tunnel *tunnels;
	size_t owed_tunnels;
	bool unsaid_tunnels; /* there may be some */
	struct shadow_device *devices;
	size_t owed_devices;
	struct shadow_route *routes;
	LIST_HEAD(, shadow_route) owed_routes;
	LIST_HEAD(, shadow_sa) owed_sas;
	LIST_HEAD(, shadow_policy) owed_policies;
	size_t sa_live;
	size_t policy_live;
	uint64_t plans;						 /* serial of the newest plan */
	void (*leaving)(void *arg, const struct kern_sa_id *id); /* NULL: nobody asks */
	void *leaving_arg;
};

struct shadow_sa *kstate_sa_find(const struct kstate *ks, const struct kern_sa_id *id);
struct shadow_policy *kstate_shadow_find(const struct kstate *ks, const struct kern_selector *sel);
/* A planned entry; NULL: no memory. */
struct shadow_policy *kstate_policy_plan(struct kstate *ks, const struct kern_selector *sel);
void kstate_policy_live(
    struct kstate *ks, struct shadow_policy *e, uint64_t owner, const struct kern_policy *policy);
void kstate_policy_owe(struct kstate *ks, struct shadow_policy *e, enum shadow_state state);
void kstate_policy_drop(struct kstate *ks, struct shadow_policy *e);
/* Of what still leaves by an interface whose deletion is owed: it goes after that. */
bool kstate_policy_held(const struct kstate *ks, const struct kern_policy *p);
struct shadow_owner *kstate_owner_find(const struct kstate *ks, uint64_t owner);
struct shadow_owner *kstate_owner_get(struct kstate *ks, uint64_t owner); /* NULL: no memory */
void kstate_owner_left(struct kstate *ks, uint64_t owner); /* something of it: it may be empty */
struct shadow_reqid *kstate_reqid_find(const struct kstate *ks, uint32_t reqid);
/* Takes e (malloc()ed, with id, state and inbound filled in); -1: no memory, e is still yours. */
int kstate_sa_give(struct kstate *ks, struct shadow_sa *e, enum shadow_state state);
void kstate_sa_owe(struct kstate *ks, struct shadow_sa *e);
void kstate_sa_drop(struct kstate *ks, struct shadow_sa *e);

/* Tunnels (kstate_tunnel.c). A new one is planned; NULL: no memory. */
struct shadow_tunnel *kstate_tunnel_get(struct kstate *ks, uint32_t id);
struct shadow_tunnel *kstate_tunnel_find(const struct kstate *ks, uint32_t id);
/* Takes t. */
void kstate_tunnel_live(struct kstate *ks, struct shadow_tunnel *e, struct kern_tunnel *t);
void kstate_tunnel_owe(struct kstate *ks, struct shadow_tunnel *e, enum shadow_state state);
void kstate_tunnel_drop(struct kstate *ks, struct shadow_tunnel *e);
void kstate_tunnels_clear(struct kstate *ks);
int kstate_tunnels_load(struct kstate *ks, struct kern_fault *f);
/* It was made, or its interface was made anew. */
void kstate_tunnel_unsaid(struct kstate *ks, struct shadow_tunnel *e);
void kstate_tunnels_retry(struct kstate *ks);
/*
 * To be called some times when unsaid_tunnels: tell of the addresses of new interfaces again.
 * Routing daemons hear of interfaces and of addresses by different sockets, and some (FRR's zebra)
 * forget an address whose interface they do not know yet.
 */
void kstate_tunnels_say(struct kstate *ks);

/* Devices and routes (kstate_route.c).  New ones are planned; NULL: no memory. */
struct shadow_device *kstate_device_find(const struct kstate *ks, uint32_t vpn);
struct shadow_device *kstate_device_get(struct kstate *ks, uint32_t vpn);
void kstate_device_live(
    struct kstate *ks, struct shadow_device *e, const struct kern_device *device);
void kstate_device_owe(struct kstate *ks, struct shadow_device *e, enum shadow_state state);
void kstate_device_drop(struct kstate *ks, struct shadow_device *e);
struct shadow_route *kstate_route_find(
    const struct kstate *ks, uint32_t table, const struct prefix *dst, bool discards);
struct shadow_route *kstate_route_plan(
    struct kstate *ks, uint32_t table, const struct prefix *dst, bool discards);
void kstate_route_live(
    struct kstate *ks, struct shadow_route *e, uint64_t owner, const struct kern_route *route);
void kstate_route_owe(struct kstate *ks, struct shadow_route *e, enum shadow_state state);
void kstate_route_drop(struct kstate *ks, struct shadow_route *e);
void kstate_routes_clear(struct kstate *ks); /* and devices, as those below */
int kstate_routes_load(struct kstate *ks, struct kern_fault *f);
void kstate_routes_retry(struct kstate *ks);
size_t kstate_routes_owed(const struct kstate *ks);

#endif
