/*
 * kplan_route.c - devices of VPNs and the routes into them in a plan: collected, put, undone
 * and deleted as policies are.
 */
#include "common/log.h"
#include "pep/kplan_int.h"

/* --- collecting ------------------------------------------------------------- */

/* What this plan says of a device, and of a route: nothing yet if it was not asked before. */
static void device_touch(struct kplan *p, struct shadow_device *e)
{
	if (e->plan == p->serial)
		return;
	e->plan = p->serial;
	e->put = false;
	e->dropped = false;
}

void kplan_device_put(struct kplan *p, const struct kern_device *d, const struct korigin *o)
{
	struct shadow_device *e = kstate_device_get(p->ks, d->vpn);
	struct kplan_op *op;

	if (!e) {
		p->no_memory = true;
		return;
	}
	device_touch(p, e);
	if (e->put)
		return;
	e->put = true;
	p->cancelled += e->dropped;
	if (e->state == SHADOW_LIVE && !e->device.broken && e->device.mtu == d->mtu)
		return;
	if (!(op = kplan_op_new(p, PHASE_DEVICE_PUT, o))) {
		if (e->state == SHADOW_PLANNED)
			kstate_device_drop(p->ks, e);
		return;
	}
	op->device = e;
	op->u.device = *d;
}

static void device_del(struct kplan *p, struct shadow_device *e)
{
	struct kplan_op *op;

	device_touch(p, e);
	if (e->dropped || e->state == SHADOW_PLANNED || e->state == SHADOW_OWED_DEL)
		return;
	if (!(op = kplan_op_new(p, PHASE_DEVICE_DEL, NULL)))
		return;
	e->dropped = true;
	op->device = e;
	p->cancelled += e->put;
}

void kplan_device_del(struct kplan *p, uint32_t vpn)
{
	struct shadow_device *e = kstate_device_find(p->ks, vpn);

	if (e)
		device_del(p, e);
}

void kplan_device_del_all(struct kplan *p)
{
	struct shadow_device *e, *next;

	HASH_ITER (hh, p->ks->devices, e, next) {
		device_del(p, e);
	}
}

static void route_touch(struct kplan *p, struct shadow_route *e)
{
	if (e->plan == p->serial)
		return;
	e->plan = p->serial;
	e->put = false;
	e->dropped = false;
	e->put_owner = 0;
}

void kplan_route_conflict(struct kplan *p, const struct kern_route *r, const struct korigin *o)
{
	if (p->conflict || p->route_conflict)
		return;
	p->route_conflict = true;
	p->conflict_dst = r->dst;
	if (o)
		p->conflict_origin = *o;
}

void kplan_route_put(
    struct kplan *p, uint64_t owner, const struct kern_route *r, const struct korigin *o)
{
	struct shadow_route *e = kstate_route_find(p->ks, r->table, &r->dst, r->discards);
	struct kplan_op *op;
	bool same;

	if (!e && !(e = kstate_route_plan(p->ks, r->table, &r->dst, r->discards))) {
		p->no_memory = true;
		return;
	}
	route_touch(p, e);
	if (e->put) {
		if (e->put_owner != owner)
			kplan_route_conflict(p, r, o);
		return;
	}
	e->put = true;
	e->put_owner = owner;
	p->cancelled += e->dropped;
	same = e->state == SHADOW_LIVE && kern_route_same(&e->route, r);
	if (same && e->owner == owner)
		return;
	if (!(op = kplan_op_new(p, same ? PHASE_ROUTE_OWNER : PHASE_ROUTE_PUT, o))) {
		if (e->state == SHADOW_PLANNED)
			kstate_route_drop(p->ks, e);
		return;
	}
	op->route = e;
	op->owner = owner;
	op->u.route = *r;
}

void kplan_route_drop(struct kplan *p, uint64_t owner)
{
	struct shadow_owner *o = kstate_owner_find(p->ks, owner);
	struct shadow_route *e;
	struct kplan_op *op;

	if (!o)
		return;
	LIST_FOREACH (e, &o->routes, in_owner) {
		route_touch(p, e);
		if (e->dropped || !(op = kplan_op_new(p, PHASE_ROUTE_DEL, NULL)))
			continue;
		e->dropped = true;
		op->route = e;
		p->cancelled += e->put;
	}
}

/* --- applying --------------------------------------------------------------- */

/* As with policies. */
int kplan_put_route(struct kplan *p, const struct kplan_op *op, struct kern_fault *f)
{
	const struct kern_ops *ops = p->ks->ops;
	char dst[PREFIX_STRLEN];

	if (op->route->state == SHADOW_PLANNED) {
		if (ops->route_add(p->ks->kern, &op->u.route, f) == 0)
			return 0;
		if (f->kind != KERN_EXISTS || !p->take)
			return -1;
		log_warn("route to %s of others is replaced by ours",
		    prefix_print(&op->u.route.dst, dst));
	}
	return ops->route_put(p->ks->kern, &op->u.route, f);
}

void kplan_undo_device(struct kplan *p, struct shadow_device *e)
{
	const struct kern_ops *ops = p->ks->ops;
	bool live = e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT;
	struct kern_fault f;

	if (live ? ops->device_put(p->ks->kern, &e->device, &f) == 0
		 : ops->device_del(p->ks->kern, e->vpn, &f) == 0 || f.kind == KERN_ABSENT)
		return;
	log_err("undo: %s; it will be tried again", f.text);
	kstate_device_owe(p->ks, e, live ? SHADOW_OWED_PUT : SHADOW_OWED_DEL);
}

void kplan_undo_route(struct kplan *p, const struct kplan_op *op)
{
	const struct kern_ops *ops = p->ks->ops;
	struct shadow_route *e = op->route;
	bool live = e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT;
	struct kern_fault f;

	if (live ? ops->route_put(p->ks->kern, &e->route, &f) == 0
		 : ops->route_del(p->ks->kern, &op->u.route, &f) == 0 || f.kind == KERN_ABSENT)
		return;
	log_err("undo: %s; it will be tried again", f.text);
	if (!live)
		e->route = op->u.route;
	kstate_route_owe(p->ks, e, live ? SHADOW_OWED_PUT : SHADOW_OWED_DEL);
}

void kplan_delete_device(struct kplan *p, struct shadow_device *e)
{
	struct kern_fault f;

	if (e->put)
		return;
	if (p->ks->ops->device_del(p->ks->kern, e->vpn, &f) == 0 || f.kind == KERN_ABSENT) {
		kstate_device_drop(p->ks, e);
		return;
	}
	log_warn("%s; it will be tried again", f.text);
	kstate_device_owe(p->ks, e, SHADOW_OWED_DEL);
}

void kplan_delete_route(struct kplan *p, struct shadow_route *e)
{
	struct kern_fault f;

	if (e->put)
		return;
	if (p->ks->ops->route_del(p->ks->kern, &e->route, &f) == 0 || f.kind == KERN_ABSENT) {
		kstate_route_drop(p->ks, e);
		return;
	}
	log_warn("%s; it will be tried again", f.text);
	kstate_route_owe(p->ks, e, SHADOW_OWED_DEL);
}
