/*
 * kstate_route.c - devices of VPNs and the routes into them in the shadow (see kstate.h): found by
 * their keys, listed by owner, loaded, and what is owed of them.
 */
#include <stdlib.h>

#include "common/log.h"
#include "pep/kstate.h"

static bool owes(enum shadow_state state)
{
	return state == SHADOW_OWED_DEL || state == SHADOW_OWED_PUT;
}

/* --- devices ---------------------------------------------------------------- */

struct shadow_device *kstate_device_find(const struct kstate *ks, uint32_t vpn)
{
	struct shadow_device *e;

	HASH_FIND(hh, ks->devices, &vpn, sizeof(vpn), e);
	return e;
}

struct shadow_device *kstate_device_get(struct kstate *ks, uint32_t vpn)
{
	struct shadow_device *e = kstate_device_find(ks, vpn);

	if (e || !(e = calloc(1, sizeof(*e))))
		return e;
	e->vpn = vpn;
	e->state = SHADOW_PLANNED;
	HASH_ADD(hh, ks->devices, vpn, sizeof(e->vpn), e);
	return e;
}

void kstate_device_owe(struct kstate *ks, struct shadow_device *e, enum shadow_state state)
{
	ks->owed_devices += (size_t)owes(state) - (size_t)owes(e->state);
	e->state = state;
}

void kstate_device_live(
    struct kstate *ks, struct shadow_device *e, const struct kern_device *device)
{
	kstate_device_owe(ks, e, SHADOW_LIVE);
	e->device = *device;
}

void kstate_device_drop(struct kstate *ks, struct shadow_device *e)
{
	kstate_device_owe(ks, e, SHADOW_PLANNED);
	HASH_DEL(ks->devices, e);
	free(e);
}

bool kstate_device_known(const struct kstate *ks, uint32_t vpn, uint32_t *mtu)
{
	const struct shadow_device *e = kstate_device_find(ks, vpn);

	*mtu = e ? e->device.mtu : 0;
	return e && e->state == SHADOW_LIVE;
}

static void retry_device(struct kstate *ks, struct shadow_device *e)
{
	struct kern_fault f;

	if (e->state == SHADOW_OWED_PUT && ks->ops->device_put(ks->kern, &e->device, &f) == 0)
		kstate_device_live(ks, e, &e->device);
	else if (e->state == SHADOW_OWED_DEL &&
		 (ks->ops->device_del(ks->kern, e->vpn, &f) == 0 || f.kind == KERN_ABSENT))
		kstate_device_drop(ks, e);
}

/* --- routes ----------------------------------------------------------------- */

struct shadow_route *kstate_route_find(
    const struct kstate *ks, uint32_t table, const struct prefix *dst, bool discards)
{
	uint8_t key[KERN_ROUTE_KEY_LEN];
	struct shadow_route *e;

	kern_route_key(key, table, dst, discards);
	HASH_FIND(hh, ks->routes, key, sizeof(key), e);
	return e;
}

struct shadow_route *kstate_route_plan(
    struct kstate *ks, uint32_t table, const struct prefix *dst, bool discards)
{
	struct shadow_route *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->state = SHADOW_PLANNED;
	e->route = (struct kern_route) {.table = table, .dst = *dst, .discards = discards};
	kern_route_key(e->key, table, dst, discards);
	HASH_ADD(hh, ks->routes, key, sizeof(e->key), e);
	return e;
}

/* Out of the lists of owner and of debts; the hash keeps it. */
static void unlist(struct kstate *ks, struct shadow_route *e)
{
	if (e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT) {
		LIST_REMOVE(e, in_owner);
		kstate_owner_left(ks, e->owner);
	}
	if (owes(e->state))
		LIST_REMOVE(e, in_owed);
	e->state = SHADOW_PLANNED;
}

void kstate_route_live(
    struct kstate *ks, struct shadow_route *e, uint64_t owner, const struct kern_route *route)
{
	struct shadow_owner *o;

	unlist(ks, e);
	e->route = *route;
	e->owner = owner;
	if (!(o = kstate_owner_get(ks, owner))) {
		log_err("out of memory: route lost from the books until the next reconcile");
		kstate_route_drop(ks, e);
		return;
	}
	LIST_INSERT_HEAD(&o->routes, e, in_owner);
	e->state = SHADOW_LIVE;
}

void kstate_route_owe(struct kstate *ks, struct shadow_route *e, enum shadow_state state)
{
	if (e->state == state)
		return;
	if (state == SHADOW_OWED_DEL)
		unlist(ks, e);
	e->state = state;
	LIST_INSERT_HEAD(&ks->owed_routes, e, in_owed);
}

void kstate_route_drop(struct kstate *ks, struct shadow_route *e)
{
	unlist(ks, e);
	HASH_DEL(ks->routes, e);
	free(e);
}

bool kstate_route_known(const struct kstate *ks, uint32_t table, const struct prefix *dst)
{
	const struct shadow_route *e = kstate_route_find(ks, table, dst, false);

	if (!e || e->state != SHADOW_LIVE)
		e = kstate_route_find(ks, table, dst, true);
	return e && e->state == SHADOW_LIVE;
}

bool kstate_route_discards(
    const struct kstate *ks, uint32_t table, const struct prefix *dst, uint64_t owner)
{
	const struct shadow_route *e = kstate_route_find(ks, table, dst, true);

	return e && (e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT) &&
	       (e->owner == owner || e->owner == 0);
}

void kstate_route_each(const struct kstate *ks,
    void (*fn)(void *arg, const struct kern_route *r, uint64_t owner), void *arg)
{
	struct shadow_route *e, *next;

	HASH_ITER (hh, ks->routes, e, next) {
		if (e->state == SHADOW_LIVE || e->state == SHADOW_OWED_PUT)
			fn(arg, &e->route, e->owner);
	}
}

static void retry_route(struct kstate *ks, struct shadow_route *e)
{
	struct kern_fault f;

	if (e->state == SHADOW_OWED_PUT) {
		if (ks->ops->route_put(ks->kern, &e->route, &f) == 0)
			kstate_route_live(ks, e, e->owner, &e->route);
	} else if (ks->ops->route_del(ks->kern, &e->route, &f) == 0 || f.kind == KERN_ABSENT) {
		kstate_route_drop(ks, e);
	}
}

/* --- both ------------------------------------------------------------------- */

void kstate_routes_clear(struct kstate *ks)
{
	while (ks->routes)
		kstate_route_drop(ks, ks->routes);
	while (ks->devices)
		kstate_device_drop(ks, ks->devices);
}

struct load {
	struct kstate *ks;
	bool no_memory;
};

static void load_device(void *arg, const struct kern_device *d)
{
	struct load *l = arg;
	struct shadow_device *e = kstate_device_get(l->ks, d->vpn);

	if (e)
		kstate_device_live(l->ks, e, d);
	else
		l->no_memory = true;
}

static void load_route(void *arg, const struct kern_route *r)
{
	struct load *l = arg;
	struct shadow_route *e = kstate_route_find(l->ks, r->table, &r->dst, r->discards);

	if (!e)
		e = kstate_route_plan(l->ks, r->table, &r->dst, r->discards);
	if (e)
		kstate_route_live(l->ks, e, 0, r);
	else
		l->no_memory = true;
}

int kstate_routes_load(struct kstate *ks, struct kern_fault *f)
{
	struct load l = {.ks = ks};

	if (!ks->ops->device_dump)
		return 0;
	if (ks->ops->device_dump(ks->kern, load_device, &l, f) < 0 ||
	    ks->ops->route_dump(ks->kern, load_route, &l, f) < 0)
		return -1;
	return l.no_memory
		   ? kern_fault_set(f, KERN_REFUSED, 0, "out of memory while reading routes")
		   : 0;
}

/* A route may wait for its device, a device goes after its routes. */
void kstate_routes_retry(struct kstate *ks)
{
	struct shadow_device *d, *d_next;
	struct shadow_route *r, *r_next;

	HASH_ITER (hh, ks->devices, d, d_next) {
		if (d->state == SHADOW_OWED_PUT)
			retry_device(ks, d);
	}
	for (r = LIST_FIRST(&ks->owed_routes); r; r = r_next) {
		r_next = LIST_NEXT(r, in_owed);
		retry_route(ks, r);
	}
	HASH_ITER (hh, ks->devices, d, d_next) {
		if (d->state == SHADOW_OWED_DEL)
			retry_device(ks, d);
	}
}

size_t kstate_routes_owed(const struct kstate *ks)
{
	size_t n = ks->owed_devices;
	struct shadow_route *r;

	LIST_FOREACH (r, &ks->owed_routes, in_owed)
		n++;
	return n;
}
