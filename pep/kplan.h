/*
 * kplan.h - kernel changes of one transaction: collected, ordered, applied, and
 * undone as a whole when one is refused.  Also keeps the shadow: what we know to be
 * in the kernel.
 *
 * Order: devices put, policies put, inbound SAs added, outbound SAs added, tunnels put, routes put
 * -- commit point -- routes deleted, tunnels deleted, SAs deleted, policies deleted, devices
 * deleted.  Before the commit point a refusal undoes everything in reverse; after it nothing fails
 * any more: a delete that is refused is kept and retried (kstate_retry), one that finds nothing is
 * done.  So no SA ever has to be put back and no key is installed twice.
 *
 * Every policy has an owner, a number its maker chose for the part of the rows it comes from; a
 * part that changed drops all its policies and puts them anew, and only what differs
 * becomes an operation.  Cost grows with the plan, never with the shadow.
 */
#ifndef PEP_KPLAN_H
#define PEP_KPLAN_H

#include "pep/kern.h"

struct pib_class;

/* Which row an operation comes from, for the report. */
struct korigin {
	const struct pib_class *cls; /* NULL: none of the rows (control channel) */
	uint32_t instance;
	uint8_t column; /* 0 = the row as a whole */
	/* where another row is to blame for an unsupported algorithm: the proposal, or the key row
	 */
	const struct pib_class *alg_cls;
	uint32_t alg_instance;
	uint8_t encr_column;
	uint8_t integ_column;
	/* of a tunnel: the class of its routes' rows, and the row that asks for one at all */
	const struct pib_class *route_cls;
	const struct pib_class *mode_cls;
	uint32_t mode_instance;
	uint8_t mode_column;
	/* of an SA that was refused, set by kplan_apply(); spi 0: it was no SA */
	struct kern_sa_id sa;
};

/* The shadow.  Policies by selector and by owner, SAs by (dst, SPI) and by reqid. */
struct kstate;
/* ops and k are borrowed. NULL: no memory. */
struct kstate *kstate_new(const struct kern_ops *ops, struct kern *k);
void kstate_free(struct kstate *ks);
/*
 * Dump the kernel and take what is ours into the shadow: policies in our priority
 * band (with owner 0 until a plan puts them again), and SAs whose reqid one of those policies
 * or is_ours(arg, sa) claims.  No plan may be open.  0, or -1 and *f.
 */
int kstate_load(struct kstate *ks, bool (*is_ours)(void *arg, const struct kern_sa_state *sa),
    void *arg, struct kern_fault *f);
bool kstate_sa_known(const struct kstate *ks, const struct kern_sa_id *id);
void kstate_sa_each(const struct kstate *ks, uint32_t reqid, /* 0 = all */
    void (*fn)(void *arg, const struct kern_sa_state *sa, bool inbound), void *arg);
void kstate_policy_each(const struct kstate *ks,
    void (*fn)(void *arg, const struct kern_policy *p, uint64_t owner), void *arg);
/* The entry with this selector, borrowed until the next plan or load. NULL: none of ours. */
const struct kern_policy *kstate_policy_find(
    const struct kstate *ks, const struct kern_selector *sel);
/* An SA that somebody makes for us is there. 0, or -1: no memory. */
int kstate_sa_adopt(struct kstate *ks, const struct kern_sa_state *sa, bool inbound);
bool kstate_sa_inbound(const struct kstate *ks, const struct kern_sa_id *id);
uint32_t kstate_sa_reqid(const struct kstate *ks, const struct kern_sa_id *id); /* 0: not known */
size_t kstate_policy_count(const struct kstate *ks);
size_t kstate_sa_count(const struct kstate *ks);
/* Other ports for an SA that has encap; nothing if they are those.  0, or -1 and *f. */
int kstate_sa_ports(
    struct kstate *ks, const struct kern_sa_id *id, struct kern_encap encap, struct kern_fault *f);
/* The kernel told us (expiry, foreign delete): forget it from the shadow. */
void kstate_sa_forget(struct kstate *ks, const struct kern_sa_id *id);
/* Is anything owed: an operation that must not fail, and was refused? */
/* fn is told of every SA that is about to be deleted, and may read it; NULL: nobody. */
void kstate_watch(struct kstate *ks, void (*fn)(void *arg, const struct kern_sa_id *id), void *arg);
/* Is this tunnel one of those that should be there; and does one have this route? */
bool kstate_tunnel_known(const struct kstate *ks, uint32_t id);
bool kstate_tunnel_speaks(const struct kstate *ks, uint32_t id); /* and with inner_peer? */
bool kstate_tunnel_routes(const struct kstate *ks, const struct prefix *dst);
/* And is this device, or this route? */
bool kstate_device_known(const struct kstate *ks, uint32_t vpn, uint32_t *mtu);
bool kstate_route_known(const struct kstate *ks, uint32_t table, const struct prefix *dst);
/* One of owner's that discards, or one that nobody put anew yet? */
bool kstate_route_discards(
    const struct kstate *ks, uint32_t table, const struct prefix *dst, uint64_t owner);
void kstate_route_each(const struct kstate *ks,
    void (*fn)(void *arg, const struct kern_route *r, uint64_t owner), void *arg);
bool kstate_owes(const struct kstate *ks);
size_t kstate_owed(const struct kstate *ks); /* how many */
/* Run operations that are still owed. Returns how many remain. */
size_t kstate_retry(struct kstate *ks);

/* One plan at a time per shadow. */
struct kplan;
struct kplan *kplan_new(struct kstate *ks); /* NULL: no memory */
void kplan_free(struct kplan *p);
/*
 * Put: no operation if the shadow already holds exactly this.  A selector that another owner
 * holds, and does not drop in this plan, is refused by kplan_apply with KERN_EXISTS.
 */
void kplan_policy_put(
    struct kplan *p, uint64_t owner, const struct kern_policy *pol, const struct korigin *o);
/* Delete, unless this plan puts the same selector, earlier or later. */
void kplan_policy_del(struct kplan *p, const struct kern_selector *sel);
/* kplan_policy_del for every policy of owner. */
void kplan_policy_drop(struct kplan *p, uint64_t owner);
/* The plan keeps a copy of the keys and cleanses it. */
void kplan_sa_add(struct kplan *p, const struct kern_sa *sa, bool inbound, const struct korigin *o);
void kplan_sa_del(struct kplan *p, const struct kern_sa_id *id);
/* kplan_sa_del for every SA with this reqid. */
void kplan_sa_drop(struct kplan *p, uint32_t reqid);
/* The plan keeps a copy.  Nothing is done if the shadow holds exactly this. */
void kplan_tunnel_put(struct kplan *p, const struct kern_tunnel *t, const struct korigin *o);
/* Delete, unless this plan puts it, earlier or later; every one. */
void kplan_tunnel_del(struct kplan *p, uint32_t id);
void kplan_tunnel_del_all(struct kplan *p);
/* Devices of VPNs, as tunnels. */
void kplan_device_put(struct kplan *p, const struct kern_device *d, const struct korigin *o);
void kplan_device_del(struct kplan *p, uint32_t vpn);
void kplan_device_del_all(struct kplan *p);
/* Routes into them, as policies: with an owner, who drops his and puts them anew. */
void kplan_route_put(
    struct kplan *p, uint64_t owner, const struct kern_route *r, const struct korigin *o);
void kplan_route_drop(struct kplan *p, uint64_t owner);
/*
 * Entries of others with our selectors are replaced, not respected: for repairs, where what we know
 * to be ours was overwritten.  Else such an entry is KERN_EXISTS.
 */
void kplan_take(struct kplan *p);
/* Operations on the kernel that kplan_apply will make. */
size_t kplan_count(const struct kplan *p);
/*
 * 0: done, shadow updated.  -1: undone; *f and *o say what was refused and whose row it was. Once
 * per plan.
 */
int kplan_apply(struct kplan *p, struct kern_fault *f, struct korigin *o);

#endif
