/*
 * kstate.c - the shadow: which of the kernel's SAs and policies are ours, as far
 * as we know.  An entry is live, or owed: an operation that must not fail was refused and is tried
 * again until it is done.
 */
#include "pep/kstate.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/local_addr.h"

struct kstate *kstate_new(const struct kern_ops *ops, struct kern *k)
{
	struct kstate *ks = calloc(1, sizeof(*ks));
	if (!ks)
		return NULL;
	ks->ops = ops;
	ks->kern = k;
	LIST_INIT(&ks->owed_sas);
	LIST_INIT(&ks->owed_policies);
	LIST_INIT(&ks->owed_routes);
	return ks;
}

static void kstate_clear(struct kstate *ks)
{
	struct shadow_sa *sa, *sa_next;
	struct shadow_policy *p, *p_next;

	HASH_ITER (hh, ks->sas, sa, sa_next) {
		kstate_sa_drop(ks, sa);
	}
	HASH_ITER (hh, ks->policies, p, p_next) {
		kstate_policy_drop(ks, p);
	}
	kstate_tunnels_clear(ks);
	kstate_routes_clear(ks);
}

static void reqid_drop_empty(struct kstate *ks, struct shadow_reqid *r)
{
	if (r && LIST_EMPTY(&r->sas)) {
		HASH_DEL(ks->reqids, r);
		free(r);
	}
}

void kstate_free(struct kstate *ks)
{
	if (!ks)
		return;
	kstate_clear(ks);
	free(ks);
}

/* --- SAs -------------------------------------------------------------------- */

struct shadow_sa *kstate_sa_find(const struct kstate *ks, const struct kern_sa_id *id)
{
	uint8_t key[KERN_SA_KEY_LEN];
	struct shadow_sa *e;

	kern_sa_key(key, id);
	HASH_FIND(hh, ks->sas, key, sizeof(key), e);
	return e;
}

struct shadow_reqid *kstate_reqid_find(const struct kstate *ks, uint32_t reqid)
{
	struct shadow_reqid *r;
	HASH_FIND(hh, ks->reqids, &reqid, sizeof(reqid), r);
	return r;
}

static struct shadow_reqid *reqid_get(struct kstate *ks, uint32_t reqid)
{
	struct shadow_reqid *r = kstate_reqid_find(ks, reqid);
	if (r || !(r = calloc(1, sizeof(*r))))
		return r;
	r->reqid = reqid;
	LIST_INIT(&r->sas);
	HASH_ADD(hh, ks->reqids, reqid, sizeof(r->reqid), r);
	return r;
}

int kstate_sa_give(struct kstate *ks, struct shadow_sa *e, enum shadow_state state)
{
	struct shadow_reqid *r = reqid_get(ks, e->sa.reqid);
	if (!r)
		return -1;
	kern_sa_key(e->key, &e->sa.id);
	HASH_ADD(hh, ks->sas, key, sizeof(e->key), e);
	LIST_INSERT_HEAD(&r->sas, e, in_reqid);
	e->state = state;
	if (state == SHADOW_OWED_DEL)
		LIST_INSERT_HEAD(&ks->owed_sas, e, in_owed);
	else
		ks->sa_live++;
	return 0;
}

void kstate_sa_owe(struct kstate *ks, struct shadow_sa *e)
{
	if (e->state == SHADOW_OWED_DEL)
		return;
	e->state = SHADOW_OWED_DEL;
	ks->sa_live--;
	LIST_INSERT_HEAD(&ks->owed_sas, e, in_owed);
}

void kstate_sa_drop(struct kstate *ks, struct shadow_sa *e)
{
	struct shadow_reqid *r = kstate_reqid_find(ks, e->sa.reqid);

	if (e->state == SHADOW_OWED_DEL)
		LIST_REMOVE(e, in_owed);
	else
		ks->sa_live--;
	LIST_REMOVE(e, in_reqid);
	HASH_DEL(ks->sas, e);
	free(e);
	reqid_drop_empty(ks, r);
}

bool kstate_sa_known(const struct kstate *ks, const struct kern_sa_id *id)
{
	const struct shadow_sa *e = kstate_sa_find(ks, id);
	return e && e->state == SHADOW_LIVE;
}

void kstate_sa_each(const struct kstate *ks, uint32_t reqid,
    void (*fn)(void *arg, const struct kern_sa_state *sa, bool inbound), void *arg)
{
	struct shadow_sa *e, *next;
	struct shadow_reqid *r;

	if (!reqid) {
		HASH_ITER (hh, ks->sas, e, next) {
			if (e->state == SHADOW_LIVE)
				fn(arg, &e->sa, e->inbound);
		}
		return;
	}
	if (!(r = kstate_reqid_find(ks, reqid)))
		return;
	for (e = LIST_FIRST(&r->sas); e; e = next) {
		next = LIST_NEXT(e, in_reqid);
		if (e->state == SHADOW_LIVE)
			fn(arg, &e->sa, e->inbound);
	}
}

int kstate_sa_adopt(struct kstate *ks, const struct kern_sa_state *sa, bool inbound)
{
	struct shadow_sa *e;

	if (kstate_sa_find(ks, &sa->id))
		return 0;
	if (!(e = calloc(1, sizeof(*e))))
		return -1;
	e->sa = *sa;
	e->inbound = inbound;
	if (kstate_sa_give(ks, e, SHADOW_LIVE) == 0)
		return 0;
	free(e);
	return -1;
}

bool kstate_sa_inbound(const struct kstate *ks, const struct kern_sa_id *id)
{
	const struct shadow_sa *e = kstate_sa_find(ks, id);
	return e && e->inbound;
}

uint32_t kstate_sa_reqid(const struct kstate *ks, const struct kern_sa_id *id)
{
	const struct shadow_sa *e = kstate_sa_find(ks, id);
	return e ? e->sa.reqid : 0;
}

int kstate_sa_ports(
    struct kstate *ks, const struct kern_sa_id *id, struct kern_encap encap, struct kern_fault *f)
{
	struct shadow_sa *e = kstate_sa_find(ks, id);

	if (!e)
		return kern_fault_set(f, KERN_ABSENT, 0, "SA is not known");
	if (e->sa.encap.sport == encap.sport && e->sa.encap.dport == encap.dport)
		return 0;
	if (ks->ops->sa_ports(ks->kern, id, encap, f) < 0)
		return -1;
	e->sa.encap = encap;
	return 0;
}

void kstate_sa_forget(struct kstate *ks, const struct kern_sa_id *id)
{
	struct shadow_sa *e = kstate_sa_find(ks, id);
	if (e)
		kstate_sa_drop(ks, e);
}

size_t kstate_sa_count(const struct kstate *ks)
{
	return ks->sa_live;
}

/* --- policies --------------------------------------------------------------- */

struct shadow_policy *kstate_shadow_find(const struct kstate *ks, const struct kern_selector *sel)
{
	uint8_t key[KERN_SELECTOR_KEY_LEN];
	struct shadow_policy *e;

	kern_selector_key(key, sel);
	HASH_FIND(hh, ks->policies, key, sizeof(key), e);
	return e;
}

struct shadow_owner *kstate_owner_find(const struct kstate *ks, uint64_t owner)
{
	struct shadow_owner *o;
	HASH_FIND(hh, ks->owners, &owner, sizeof(owner), o);
	return o;
}

struct shadow_owner *kstate_owner_get(struct kstate *ks, uint64_t owner)
{
	struct shadow_owner *o = kstate_owner_find(ks, owner);
	if (o || !(o = calloc(1, sizeof(*o))))
		return o;
	o->owner = owner;
	LIST_INIT(&o->policies);
	LIST_INIT(&o->routes);
	HASH_ADD(hh, ks->owners, owner, sizeof(o->owner), o);
	return o;
}

void kstate_owner_left(struct kstate *ks, uint64_t owner)
{
	struct shadow_owner *o = kstate_owner_find(ks, owner);

	if (o && LIST_EMPTY(&o->policies) && LIST_EMPTY(&o->routes)) {
		HASH_DEL(ks->owners, o);
		free(o);
	}
}

static bool policy_listed(const struct shadow_policy *e)
{
	return e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT;
}

/* Out of the lists of owner and of debts; the hash keeps it. */
static void policy_unlist(struct kstate *ks, struct shadow_policy *e)
{
	if (policy_listed(e)) {
		LIST_REMOVE(e, in_owner);
		ks->policy_live--;
		kstate_owner_left(ks, e->owner);
	}
	if (e->state == SHADOW_OWED_DEL || e->state == SHADOW_OWED_PUT)
		LIST_REMOVE(e, in_owed);
	e->state = SHADOW_PLANNED;
}

struct shadow_policy *kstate_policy_plan(struct kstate *ks, const struct kern_selector *sel)
{
	struct shadow_policy *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->state = SHADOW_PLANNED;
	e->policy.sel = *sel;
	kern_selector_key(e->key, sel);
	HASH_ADD(hh, ks->policies, key, sizeof(e->key), e);
	return e;
}

/* Without memory for the owner's list the entry falls to owner 0's fate: found by a full pass. */
void kstate_policy_live(
    struct kstate *ks, struct shadow_policy *e, uint64_t owner, const struct kern_policy *policy)
{
	struct shadow_owner *o;

	policy_unlist(ks, e);
	e->policy = *policy;
	e->owner = owner;
	o = kstate_owner_get(ks, owner);
	if (!o) {
		log_err("out of memory: policy lost from the books until the next reconcile");
		kstate_policy_drop(ks, e);
		return;
	}
	LIST_INSERT_HEAD(&o->policies, e, in_owner);
	ks->policy_live++;
	e->state = SHADOW_LIVE;
}

void kstate_policy_owe(struct kstate *ks, struct shadow_policy *e, enum shadow_state state)
{
	if (e->state == state)
		return;
	if (state == SHADOW_OWED_DEL)
		policy_unlist(ks, e);
	e->state = state;
	LIST_INSERT_HEAD(&ks->owed_policies, e, in_owed);
}

void kstate_policy_drop(struct kstate *ks, struct shadow_policy *e)
{
	policy_unlist(ks, e);
	HASH_DEL(ks->policies, e);
	free(e);
}

void kstate_policy_each(const struct kstate *ks,
    void (*fn)(void *arg, const struct kern_policy *p, uint64_t owner), void *arg)
{
	struct shadow_policy *e, *next;
	HASH_ITER (hh, ks->policies, e, next) {
		if (policy_listed(e))
			fn(arg, &e->policy, e->owner);
	}
}

const struct kern_policy *kstate_policy_find(
    const struct kstate *ks, const struct kern_selector *sel)
{
	const struct shadow_policy *e = kstate_shadow_find(ks, sel);
	return e && policy_listed(e) ? &e->policy : NULL;
}

size_t kstate_policy_count(const struct kstate *ks)
{
	return ks->policy_live;
}

/* --- truth ------------------------------------------------------------------ */

struct load {
	struct kstate *ks;
	bool (*is_ours)(void *arg, const struct kern_sa_state *sa);
	void *arg;
	struct load_reqid *reqids;
	struct addr local; /* an end of an SA that was found to be this host's */
	bool no_memory;
};

struct load_reqid { /* a reqid that our policies use, and our end of its tunnels */
	uint32_t reqid;
	struct addr local;
	UT_hash_handle hh;
};

static void load_note_reqid(struct load *l, const struct kern_policy *p)
{
	struct load_reqid *r;

	HASH_FIND(hh, l->reqids, &p->reqid, sizeof(p->reqid), r);
	if (r)
		return;
	if (!(r = calloc(1, sizeof(*r)))) {
		l->no_memory = true;
		return;
	}
	r->reqid = p->reqid;
	if (p->mode == KERN_TUNNEL)
		r->local = p->sel.dir == KERN_OUT ? p->tmpl_src : p->tmpl_dst;
	else
		r->local = p->sel.dir == KERN_OUT ? p->sel.src.addr : p->sel.dst.addr;
	HASH_ADD(hh, l->reqids, reqid, sizeof(r->reqid), r);
}

static void load_policy(void *arg, const struct kern_policy *p)
{
	struct load *l = arg;
	struct shadow_policy *e;

	if (!kern_policy_ours(p))
		return;
	if (p->action == KERN_PROTECT)
		load_note_reqid(l, p);
	if (kstate_shadow_find(l->ks, &p->sel))
		return; /* two with one selector differ in what we never set (an XFRM interface) */
	if (!(e = kstate_policy_plan(l->ks, &p->sel))) {
		l->no_memory = true;
		return;
	}
	kstate_policy_live(l->ks, e, 0, p);
}

/* Asking the system is a walk over all interfaces; most SAs have the same end here. */
static bool goes_in(struct load *l, const struct kern_sa_state *sa)
{
	bool in;

	if (l->local.family && !addr_cmp(&sa->id.dst, &l->local))
		return true;
	if (l->local.family && !addr_cmp(&sa->src, &l->local))
		return false;
	in = local_addr_present(&sa->id.dst);
	l->local = in ? sa->id.dst : sa->src;
	return in;
}

static void load_sa(void *arg, const struct kern_sa_state *sa)
{
	struct load *l = arg;
	struct load_reqid *r;
	struct shadow_sa *e;

	if (sa->larval)
		return;
	HASH_FIND(hh, l->reqids, &sa->reqid, sizeof(sa->reqid), r);
	if (!r && !(l->is_ours && l->is_ours(l->arg, sa)))
		return;
	if (kstate_sa_find(l->ks, &sa->id))
		return;
	if (!(e = calloc(1, sizeof(*e)))) {
		l->no_memory = true;
		return;
	}
	e->sa = *sa;
	e->inbound = r ? !addr_cmp(&sa->id.dst, &r->local) : goes_in(l, sa);
	if (kstate_sa_give(l->ks, e, SHADOW_LIVE) < 0) {
		free(e);
		l->no_memory = true;
	}
}

int kstate_load(struct kstate *ks, bool (*is_ours)(void *arg, const struct kern_sa_state *sa),
    void *arg, struct kern_fault *f)
{
	struct load l = {.ks = ks, .is_ours = is_ours, .arg = arg};
	struct load_reqid *r, *next;
	int ret;

	kstate_clear(ks);
	ret = ks->ops->policy_dump(ks->kern, load_policy, &l, f);
	if (ret == 0)
		ret = ks->ops->sa_dump(ks->kern, load_sa, &l, f);
	if (ret == 0)
		ret = kstate_tunnels_load(ks, f);
	if (ret == 0)
		ret = kstate_routes_load(ks, f);
	HASH_ITER (hh, l.reqids, r, next) {
		HASH_DEL(l.reqids, r);
		free(r);
	}
	if (ret == 0 && l.no_memory)
		ret = kern_fault_set(f, KERN_REFUSED, 0, "out of memory while reading SAD and SPD");
	return ret;
}

/* --- debts ------------------------------------------------------------------ */

bool kstate_policy_held(const struct kstate *ks, const struct kern_policy *p)
{
	return ks->owed_tunnels && p->sel.proto == IPPROTO_IPIP;
}

static void retry_policy(struct kstate *ks, struct shadow_policy *e)
{
	struct kern_fault f;

	if (e->state == SHADOW_OWED_PUT) {
		if (ks->ops->policy_put(ks->kern, &e->policy, &f) == 0)
			kstate_policy_live(ks, e, e->owner, &e->policy);
		return;
	}
	if (kstate_policy_held(ks, &e->policy))
		return;
	if (ks->ops->policy_del(ks->kern, &e->policy.sel, &f) == 0 || f.kind == KERN_ABSENT)
		kstate_policy_drop(ks, e);
}

bool kstate_owes(const struct kstate *ks)
{
	return ks->owed_tunnels || ks->owed_devices || !LIST_EMPTY(&ks->owed_routes) ||
	       !LIST_EMPTY(&ks->owed_sas) || !LIST_EMPTY(&ks->owed_policies);
}

size_t kstate_owed(const struct kstate *ks)
{
	const struct shadow_sa *sa;
	const struct shadow_policy *p;
	size_t left = ks->owed_tunnels + kstate_routes_owed(ks);

	LIST_FOREACH (sa, &ks->owed_sas, in_owed)
		left++;
	LIST_FOREACH (p, &ks->owed_policies, in_owed)
		left++;
	return left;
}

void kstate_watch(struct kstate *ks, void (*fn)(void *arg, const struct kern_sa_id *id), void *arg)
{
	ks->leaving = fn;
	ks->leaving_arg = arg;
}

size_t kstate_retry(struct kstate *ks)
{
	struct shadow_sa *sa, *sa_next;
	struct shadow_policy *p, *p_next;
	struct kern_fault f;

	for (sa = LIST_FIRST(&ks->owed_sas); sa; sa = sa_next) {
		sa_next = LIST_NEXT(sa, in_owed);
		if (ks->ops->sa_del(ks->kern, &sa->sa.id, &f) == 0 || f.kind == KERN_ABSENT)
			kstate_sa_drop(ks, sa);
	}
	kstate_tunnels_retry(ks);
	kstate_routes_retry(ks);
	for (p = LIST_FIRST(&ks->owed_policies); p; p = p_next) {
		p_next = LIST_NEXT(p, in_owed);
		retry_policy(ks, p);
	}
	return kstate_owed(ks);
}
