/*
 * kplan.c - one transaction's kernel operations (see kplan.h for the order and the
 * commit point).  Operations live in chunks that never move, so no copy of a key is left
 * behind by a growing array.
 */
#include "pep/kplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/kplan_int.h"

struct kplan *kplan_new(struct kstate *ks)
{
	struct kplan *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->ks = ks;
	p->serial = ++ks->plans;
	return p;
}

void kplan_free(struct kplan *p)
{
	if (!p)
		return;
	while (p->first) {
		struct chunk *c = p->first;
		p->first = c->next;
		for (unsigned i = 0; i < c->used; i++) {
			struct kplan_op *op = &c->op[i];
			free(op->shadow);
			free(op->tunnel);
			if (op->phase == PHASE_TUNNEL_PUT && op->at &&
			    op->at->state == SHADOW_PLANNED)
				kstate_tunnel_drop(p->ks, op->at);
			if (op->phase == PHASE_POLICY_PUT && op->entry &&
			    op->entry->state == SHADOW_PLANNED)
				kstate_policy_drop(p->ks, op->entry);
			if (op->phase == PHASE_DEVICE_PUT && op->device &&
			    op->device->state == SHADOW_PLANNED)
				kstate_device_drop(p->ks, op->device);
			if (op->phase == PHASE_ROUTE_PUT && op->route &&
			    op->route->state == SHADOW_PLANNED)
				kstate_route_drop(p->ks, op->route);
		}
		explicit_bzero(c, sizeof(*c));
		free(c);
	}
	free(p);
}

struct kplan_op *kplan_op_new(struct kplan *p, enum phase phase, const struct korigin *o)
{
	struct kplan_op *op;

	if (!p->last || p->last->used == CHUNK_OPS) {
		struct chunk *c = calloc(1, sizeof(*c));
		if (!c) {
			p->no_memory = true;
			return NULL;
		}
		if (p->last)
			p->last->next = c;
		else
			p->first = c;
		p->last = c;
	}
	op = &p->last->op[p->last->used++];
	op->phase = phase;
	op->order = p->order++;
	if (o)
		op->origin = *o;
	p->ops[phase]++;
	return op;
}

/* --- collecting ------------------------------------------------------------- */

/* What this plan says of an entry: nothing yet if it was not asked before. */
static void entry_touch(struct kplan *p, struct shadow_policy *e)
{
	if (e->plan == p->serial)
		return;
	e->plan = p->serial;
	e->put = false;
	e->dropped = false;
	e->put_owner = 0;
}

static void note_conflict(struct kplan *p, const struct kern_selector *sel, const struct korigin *o)
{
	if (p->conflict)
		return;
	p->conflict = true;
	p->conflict_sel = *sel;
	if (o)
		p->conflict_origin = *o;
}

void kplan_policy_put(
    struct kplan *p, uint64_t owner, const struct kern_policy *pol, const struct korigin *o)
{
	struct shadow_policy *e = kstate_shadow_find(p->ks, &pol->sel);
	struct kplan_op *op;
	bool same;

	if (!e && !(e = kstate_policy_plan(p->ks, &pol->sel))) {
		p->no_memory = true;
		return;
	}
	entry_touch(p, e);
	if (e->put) {
		if (e->put_owner != owner)
			note_conflict(p, &pol->sel, o);
		return;
	}
	e->put = true;
	e->put_owner = owner;
	if (e->dropped)
		p->cancelled++;
	same = e->state == SHADOW_LIVE && kern_policy_same(&e->policy, pol);
	if (same && e->owner == owner)
		return;
	if (!(op = kplan_op_new(p, same ? PHASE_OWNER : PHASE_POLICY_PUT, o))) {
		if (e->state == SHADOW_PLANNED)
			kstate_policy_drop(p->ks, e);
		return;
	}
	op->entry = e;
	op->owner = owner;
	op->u.policy = *pol;
}

static void entry_del(struct kplan *p, struct shadow_policy *e)
{
	struct kplan_op *op;

	entry_touch(p, e);
	if (e->dropped || e->state == SHADOW_PLANNED || e->state == SHADOW_OWED_DEL)
		return;
	e->dropped = true;
	if (!(op = kplan_op_new(p, PHASE_POLICY_DEL, NULL)))
		return;
	op->entry = e;
	op->u.policy = e->policy;
	if (e->put)
		p->cancelled++;
}

void kplan_policy_del(struct kplan *p, const struct kern_selector *sel)
{
	struct shadow_policy *e = kstate_shadow_find(p->ks, sel);
	if (e)
		entry_del(p, e);
}

void kplan_policy_drop(struct kplan *p, uint64_t owner)
{
	struct shadow_owner *o = kstate_owner_find(p->ks, owner);
	struct shadow_policy *e;

	if (!o)
		return;
	LIST_FOREACH (e, &o->policies, in_owner)
		entry_del(p, e);
}

void kplan_sa_add(struct kplan *p, const struct kern_sa *sa, bool inbound, const struct korigin *o)
{
	struct shadow_sa *e = calloc(1, sizeof(*e));
	struct kplan_op *op = e ? kplan_op_new(p, inbound ? PHASE_SA_IN : PHASE_SA_OUT, o) : NULL;

	if (!op) {
		free(e);
		p->no_memory = true;
		return;
	}
	op->u.sa = *sa;
	op->shadow = e;
	e->inbound = inbound;
	e->sa = (struct kern_sa_state) {.id = sa->id,
	    .src = sa->src,
	    .mode = sa->mode,
	    .reqid = sa->reqid,
	    .inner = sa->inner,
	    .encap = sa->encap,
	    .set_mark = sa->set_mark};
}

void kplan_sa_del(struct kplan *p, const struct kern_sa_id *id)
{
	struct kplan_op *op = kplan_op_new(p, PHASE_SA_DEL, NULL);
	if (op)
		op->u.sa_id = *id;
}

static void drop_sa(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	(void)inbound;
	kplan_sa_del(arg, &sa->id);
}

void kplan_sa_drop(struct kplan *p, uint32_t reqid)
{
	if (reqid)
		kstate_sa_each(p->ks, reqid, drop_sa, p);
}

/* What this plan says of a tunnel: nothing yet if it was not asked before. */
static void tunnel_touch(struct kplan *p, struct shadow_tunnel *e)
{
	if (e->plan == p->serial)
		return;
	e->plan = p->serial;
	e->put = false;
	e->dropped = false;
}

void kplan_tunnel_put(struct kplan *p, const struct kern_tunnel *t, const struct korigin *o)
{
	struct shadow_tunnel *e = kstate_tunnel_get(p->ks, t->id);
	struct kplan_op *op;

	if (!e) {
		p->no_memory = true;
		return;
	}
	tunnel_touch(p, e);
	if (e->put)
		return;
	e->put = true;
	p->cancelled += e->dropped;
	if (e->state == SHADOW_LIVE && kern_tunnel_same(e->t, t))
		return;
	if (!(op = kplan_op_new(p, PHASE_TUNNEL_PUT, o))) {
		if (e->state == SHADOW_PLANNED)
			kstate_tunnel_drop(p->ks, e);
		return;
	}
	op->at = e;
	if (!(op->tunnel = kern_tunnel_copy(t)))
		p->no_memory = true;
}

static void tunnel_del(struct kplan *p, struct shadow_tunnel *e)
{
	struct kplan_op *op;

	tunnel_touch(p, e);
	if (e->dropped || e->state == SHADOW_PLANNED || e->state == SHADOW_OWED_DEL)
		return;
	if (!(op = kplan_op_new(p, PHASE_TUNNEL_DEL, NULL)))
		return;
	e->dropped = true;
	op->at = e;
	p->cancelled += e->put;
}

void kplan_tunnel_del(struct kplan *p, uint32_t id)
{
	struct shadow_tunnel *e = kstate_tunnel_find(p->ks, id);

	if (e)
		tunnel_del(p, e);
}

void kplan_tunnel_del_all(struct kplan *p)
{
	struct shadow_tunnel *e, *next;

	HASH_ITER (hh, p->ks->tunnels, e, next) {
		tunnel_del(p, e);
	}
}

void kplan_take(struct kplan *p)
{
	p->take = true;
}

size_t kplan_count(const struct kplan *p)
{
	size_t n = 0;
	for (int i = 0; i < PHASE_OWNER; i++)
		n += p->ops[i];
	return n - p->cancelled;
}

/* --- applying --------------------------------------------------------------- */

static int by_phase(const void *a, const void *b)
{
	const struct kplan_op *x = *(struct kplan_op *const *)a;
	const struct kplan_op *y = *(struct kplan_op *const *)b;

	if (x->phase != y->phase)
		return x->phase < y->phase ? -1 : 1;
	/*
	 * Policies: what is looked up first goes first.  Put so, the control channel's bypass is
	 * there before any discard; deleted so, a discard outlives what it stands behind.
	 */
	if (x->phase == PHASE_POLICY_PUT || x->phase == PHASE_POLICY_DEL)
		if (x->u.policy.priority != y->u.policy.priority)
			return x->u.policy.priority < y->u.policy.priority ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static struct kplan_op **sorted(const struct kplan *p, size_t *count)
{
	struct kplan_op **list;
	size_t n = 0;

	for (const struct chunk *c = p->first; c; c = c->next)
		n += c->used;
	if (!(list = calloc(n + 1, sizeof(*list))))
		return NULL;
	*count = n;
	n = 0;
	for (struct chunk *c = p->first; c; c = c->next)
		for (unsigned i = 0; i < c->used; i++)
			list[n++] = &c->op[i];
	qsort(list, n, sizeof(*list), by_phase);
	return list;
}

/* Somebody else's entry may be taken only in the plan in which that owner drops it. */
static void judge_owner(struct kplan *p, const struct kplan_op *op)
{
	const struct shadow_policy *e = op->entry;

	if ((op->phase == PHASE_ROUTE_PUT || op->phase == PHASE_ROUTE_OWNER) &&
	    (op->route->state == SHADOW_LIVE || op->route->state == SHADOW_OWED_PUT) &&
	    op->route->owner && op->route->owner != op->owner && !op->route->dropped)
		kplan_route_conflict(p, &op->u.route, &op->origin);
	if (op->phase != PHASE_POLICY_PUT && op->phase != PHASE_OWNER)
		return;
	if ((e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT) && e->owner &&
	    e->owner != op->owner && !e->dropped)
		note_conflict(p, &e->policy.sel, &op->origin);
}

static int put_sa(struct kplan *p, const struct kplan_op *op, struct kern_fault *f)
{
	const struct kern_ops *ops = p->ks->ops;
	struct shadow_sa *e = kstate_sa_find(p->ks, &op->u.sa.id);
	char id[KERN_STRLEN];

	if (e && e->state == SHADOW_OWED_DEL) {
		if (ops->sa_del(p->ks->kern, &e->sa.id, f) < 0 && f->kind != KERN_ABSENT)
			return -1;
		kstate_sa_drop(p->ks, e);
	} else if (e) {
		return kern_fault_set(f, KERN_EXISTS, 0, "SA %s: there is one already",
		    kern_sa_id_print(&e->sa.id, id));
	}
	return ops->sa_add(p->ks->kern, &op->u.sa, f);
}

static int put_tunnel(struct kplan *p, const struct kplan_op *op, struct kern_fault *f)
{
	const struct kern_ops *ops = p->ks->ops;
	const struct kern_tunnel *was = op->at->t;
	char name[KERN_TUNNEL_NAME_LEN];

	if (!ops->tunnel_put)
		return kern_fault_set(f, KERN_UNSUPPORTED_MODE, 0,
		    "interface %s: no tunnels with back end %s", kern_tunnel_name(op->at->id, name),
		    ops->name);
	/* owed: nobody knows what is there */
	if (op->at->state != SHADOW_LIVE && op->at->state != SHADOW_PLANNED) {
		if (ops->tunnel_del(p->ks->kern, op->at->id, f) < 0 && f->kind != KERN_ABSENT)
			return -1;
		was = NULL;
	}
	return ops->tunnel_put(p->ks->kern, op->tunnel, was, f);
}

/* A selector that is none of ours in the kernel may be somebody else's there. */
static int put_policy(struct kplan *p, const struct kplan_op *op, struct kern_fault *f)
{
	const struct kern_ops *ops = p->ks->ops;
	char sel[KERN_STRLEN];

	if (op->entry->state == SHADOW_PLANNED) {
		if (ops->policy_add(p->ks->kern, &op->u.policy, f) == 0)
			return 0;
		if (f->kind != KERN_EXISTS || !p->take)
			return -1;
		log_warn("policy %s of others is replaced by ours",
		    kern_selector_print(&op->u.policy.sel, sel));
	}
	return ops->policy_put(p->ks->kern, &op->u.policy, f);
}

static int execute(struct kplan *p, const struct kplan_op *op, struct kern_fault *f)
{
	if (op->phase == PHASE_POLICY_PUT)
		return put_policy(p, op, f);
	if (op->phase == PHASE_TUNNEL_PUT)
		return put_tunnel(p, op, f);
	if (op->phase == PHASE_DEVICE_PUT)
		return p->ks->ops->device_put(p->ks->kern, &op->u.device, f);
	if (op->phase == PHASE_ROUTE_PUT)
		return kplan_put_route(p, op, f);
	return put_sa(p, op, f);
}

static void undo_policy(struct kplan *p, struct shadow_policy *e)
{
	const struct kern_ops *ops = p->ks->ops;
	bool live = e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT;
	struct kern_fault f;

	if (!live && kstate_policy_held(p->ks, &e->policy)) {
		kstate_policy_owe(p->ks, e, SHADOW_OWED_DEL);
		return;
	}
	if (live ? ops->policy_put(p->ks->kern, &e->policy, &f) == 0
		 : ops->policy_del(p->ks->kern, &e->policy.sel, &f) == 0 || f.kind == KERN_ABSENT)
		return;
	log_err("undo: %s; it will be tried again", f.text);
	kstate_policy_owe(p->ks, e, live ? SHADOW_OWED_PUT : SHADOW_OWED_DEL);
}

static void undo_sa(struct kplan *p, struct kplan_op *op)
{
	struct kern_fault f;

	if (p->ks->ops->sa_del(p->ks->kern, &op->u.sa.id, &f) == 0 || f.kind == KERN_ABSENT)
		return;
	log_err("undo: %s; it will be tried again", f.text);
	if (kstate_sa_give(p->ks, op->shadow, SHADOW_OWED_DEL) == 0)
		op->shadow = NULL;
}

/* The one before, made anew; none, if there was none. */
static void undo_tunnel(struct kplan *p, struct shadow_tunnel *e)
{
	const struct kern_ops *ops = p->ks->ops;
	bool live = e->t && (e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT);
	struct kern_fault f;

	if (!ops->tunnel_put)
		return;
	if ((ops->tunnel_del(p->ks->kern, e->id, &f) == 0 || f.kind == KERN_ABSENT) &&
	    (!live || ops->tunnel_put(p->ks->kern, e->t, NULL, &f) == 0))
		return;
	log_err("undo: %s; it will be tried again", f.text);
	kstate_tunnel_owe(p->ks, e, live ? SHADOW_OWED_PUT : SHADOW_OWED_DEL);
}

static void undo(struct kplan *p, struct kplan_op **list, size_t count)
{
	while (count > 0) {
		struct kplan_op *op = list[--count];
		if (op->phase == PHASE_POLICY_PUT)
			undo_policy(p, op->entry);
		else if (op->phase == PHASE_TUNNEL_PUT)
			undo_tunnel(p, op->at);
		else if (op->phase == PHASE_DEVICE_PUT)
			kplan_undo_device(p, op->device);
		else if (op->phase == PHASE_ROUTE_PUT)
			kplan_undo_route(p, op);
		else
			undo_sa(p, op);
	}
}

static void commit_sa(struct kplan *p, struct kplan_op *op)
{
	if (kstate_sa_give(p->ks, op->shadow, SHADOW_LIVE) == 0)
		op->shadow = NULL;
	else
		log_err("out of memory: SA lost from the books until the next reconcile");
}

static void delete_sa(struct kplan *p, const struct kplan_op *op)
{
	struct shadow_sa *e = kstate_sa_find(p->ks, &op->u.sa_id);
	struct kern_fault f;

	if (p->ks->leaving)
		p->ks->leaving(p->ks->leaving_arg, &op->u.sa_id);
	if (p->ks->ops->sa_del(p->ks->kern, &op->u.sa_id, &f) == 0 || f.kind == KERN_ABSENT) {
		if (e)
			kstate_sa_drop(p->ks, e);
		return;
	}
	log_warn("%s; it will be tried again", f.text);
	if (e)
		kstate_sa_owe(p->ks, e);
}

static void delete_policy(struct kplan *p, struct shadow_policy *e)
{
	struct kern_fault f;

	if (e->put)
		return;
	if (kstate_policy_held(p->ks, &e->policy)) {
		kstate_policy_owe(p->ks, e, SHADOW_OWED_DEL);
		return;
	}
	if (p->ks->ops->policy_del(p->ks->kern, &e->policy.sel, &f) == 0 || f.kind == KERN_ABSENT) {
		kstate_policy_drop(p->ks, e);
		return;
	}
	log_warn("%s; it will be tried again", f.text);
	kstate_policy_owe(p->ks, e, SHADOW_OWED_DEL);
}

static void delete_tunnel(struct kplan *p, struct shadow_tunnel *e)
{
	struct kern_fault f;

	if (e->put)
		return;
	if (p->ks->ops->tunnel_del(p->ks->kern, e->id, &f) == 0 || f.kind == KERN_ABSENT) {
		kstate_tunnel_drop(p->ks, e);
		return;
	}
	log_warn("%s; it will be tried again", f.text);
	kstate_tunnel_owe(p->ks, e, SHADOW_OWED_DEL);
}

/* From here on nothing fails. */
static void commit(struct kplan *p, struct kplan_op **list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct kplan_op *op = list[i];
		switch (op->phase) {
		case PHASE_POLICY_PUT:
		case PHASE_OWNER:
			kstate_policy_live(p->ks, op->entry, op->owner, &op->u.policy);
			op->entry = NULL;
			break;
		case PHASE_SA_IN:
		case PHASE_SA_OUT:
			commit_sa(p, op);
			break;
		case PHASE_TUNNEL_PUT:
			kstate_tunnel_live(p->ks, op->at, op->tunnel);
			kstate_tunnel_unsaid(p->ks, op->at);
			op->tunnel = NULL;
			op->at = NULL;
			break;
		case PHASE_DEVICE_PUT:
			kstate_device_live(p->ks, op->device, &op->u.device);
			op->device = NULL;
			break;
		case PHASE_ROUTE_PUT:
		case PHASE_ROUTE_OWNER:
			kstate_route_live(p->ks, op->route, op->owner, &op->u.route);
			op->route = NULL;
			break;
		case PHASE_ROUTE_DEL:
			kplan_delete_route(p, op->route);
			break;
		case PHASE_DEVICE_DEL:
			kplan_delete_device(p, op->device);
			break;
		case PHASE_TUNNEL_DEL:
			delete_tunnel(p, op->at);
			break;
		case PHASE_SA_DEL:
			delete_sa(p, op);
			break;
		case PHASE_POLICY_DEL:
			delete_policy(p, op->entry);
			break;
		case PHASES:
			break;
		}
	}
}

static int check(
    struct kplan *p, struct kplan_op **list, size_t count, struct kern_fault *f, struct korigin *o)
{
	char sel[KERN_STRLEN];

	if (!list || p->no_memory)
		return kern_fault_set(f, KERN_REFUSED, ENOMEM, "plan");
	for (size_t i = 0; i < count; i++)
		judge_owner(p, list[i]);
	if (!p->conflict && !p->route_conflict)
		return 0;
	*o = p->conflict_origin;
	if (p->route_conflict)
		return kern_fault_set(f, KERN_EXISTS, 0, "route to %s: already that of other rows",
		    prefix_print(&p->conflict_dst, sel));
	return kern_fault_set(f, KERN_EXISTS, 0, "policy %s: already used by other rows",
	    kern_selector_print(&p->conflict_sel, sel));
}

int kplan_apply(struct kplan *p, struct kern_fault *f, struct korigin *o)
{
	size_t count = 0;
	struct kplan_op **list = sorted(p, &count);
	int ret;

	*o = (struct korigin) {0};
	ret = check(p, list, count, f, o);
	for (size_t i = 0; ret == 0 && i < count && list[i]->phase < PHASE_COMMIT; i++) {
		ret = execute(p, list[i], f);
		if (ret < 0) {
			*o = list[i]->origin;
			if (list[i]->phase == PHASE_SA_IN || list[i]->phase == PHASE_SA_OUT)
				o->sa = list[i]->u.sa.id;
			/* without an answer it may have happened */
			undo(p, list,
			    i + (f->kind == KERN_NO_REPLY ||
				    (list[i]->phase == PHASE_TUNNEL_PUT && list[i]->at->t)));
			if (f->row && o->route_cls) {
				o->cls = o->route_cls;
				o->instance = f->row;
			}
		}
	}
	if (ret == 0)
		commit(p, list, count);
	free(list);
	return ret;
}
