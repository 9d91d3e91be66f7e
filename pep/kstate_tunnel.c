/*
 * kstate_tunnel.c - tunnels in the shadow (see kstate.h): found by number, loaded, and what is
 * owed of them.
 */
#include <stdlib.h>

#include "pep/kstate.h"

#define SAY_TIMES 3

struct shadow_tunnel *kstate_tunnel_find(const struct kstate *ks, uint32_t id)
{
	struct shadow_tunnel *e;

	HASH_FIND(hh, ks->tunnels, &id, sizeof(id), e);
	return e;
}

struct shadow_tunnel *kstate_tunnel_get(struct kstate *ks, uint32_t id)
{
	struct shadow_tunnel *e = kstate_tunnel_find(ks, id);

	if (e || !(e = calloc(1, sizeof(*e))))
		return e;
	e->id = id;
	e->state = SHADOW_PLANNED;
	HASH_ADD(hh, ks->tunnels, id, sizeof(e->id), e);
	return e;
}

static void set_state(struct kstate *ks, struct shadow_tunnel *e, enum shadow_state state)
{
	bool owed = e->state == SHADOW_OWED_DEL || e->state == SHADOW_OWED_PUT;
	bool owes = state == SHADOW_OWED_DEL || state == SHADOW_OWED_PUT;

	ks->owed_tunnels += (size_t)owes - (size_t)owed;
	e->state = state;
}

void kstate_tunnel_live(struct kstate *ks, struct shadow_tunnel *e, struct kern_tunnel *t)
{
	set_state(ks, e, SHADOW_LIVE);
	if (e->t != t)
		free(e->t);
	e->t = t;
}

void kstate_tunnel_unsaid(struct kstate *ks, struct shadow_tunnel *e)
{
	if (e->t->inner_peer.family == 0 || !ks->ops->tunnel_say)
		return;
	e->unsaid = SAY_TIMES;
	ks->unsaid_tunnels = true;
}

void kstate_tunnels_say(struct kstate *ks)
{
	struct shadow_tunnel *e, *next;
	struct kern_fault f;

	ks->unsaid_tunnels = false;
	HASH_ITER (hh, ks->tunnels, e, next) {
		if (e->unsaid == 0)
			continue;
		if (e->state == SHADOW_LIVE)
			(void)ks->ops->tunnel_say(
			    ks->kern, e->t, &f); /* gone: made anew, and told */
		ks->unsaid_tunnels |= --e->unsaid != 0;
	}
}

void kstate_tunnel_owe(struct kstate *ks, struct shadow_tunnel *e, enum shadow_state state)
{
	set_state(ks, e, state);
}

void kstate_tunnel_drop(struct kstate *ks, struct shadow_tunnel *e)
{
	set_state(ks, e, SHADOW_PLANNED);
	HASH_DEL(ks->tunnels, e);
	free(e->t);
	free(e);
}

void kstate_tunnels_clear(struct kstate *ks)
{
	while (ks->tunnels)
		kstate_tunnel_drop(ks, ks->tunnels);
}

struct load {
	struct kstate *ks;
	bool no_memory;
};

static void load_one(void *arg, const struct kern_tunnel *t)
{
	struct load *l = arg;
	struct shadow_tunnel *e = kstate_tunnel_get(l->ks, t->id);
	struct kern_tunnel *copy = e ? kern_tunnel_copy(t) : NULL;

	if (copy)
		kstate_tunnel_live(l->ks, e, copy);
	else
		l->no_memory = true;
}

int kstate_tunnels_load(struct kstate *ks, struct kern_fault *f)
{
	struct load l = {.ks = ks};

	if (!ks->ops->tunnel_dump)
		return 0;
	if (ks->ops->tunnel_dump(ks->kern, load_one, &l, f) < 0)
		return -1;
	return l.no_memory
		   ? kern_fault_set(f, KERN_REFUSED, 0, "out of memory while reading tunnels")
		   : 0;
}

static void retry_one(struct kstate *ks, struct shadow_tunnel *e)
{
	struct kern_fault f;

	if (e->state == SHADOW_OWED_PUT) {
		/* nobody knows what is left of it: made anew */
		if (ks->ops->tunnel_del(ks->kern, e->id, &f) < 0 && f.kind != KERN_ABSENT)
			return;
		if (ks->ops->tunnel_put(ks->kern, e->t, NULL, &f) == 0) {
			kstate_tunnel_live(ks, e, e->t);
			kstate_tunnel_unsaid(ks, e);
		}
	} else if (e->state == SHADOW_OWED_DEL) {
		if (ks->ops->tunnel_del(ks->kern, e->id, &f) == 0 || f.kind == KERN_ABSENT)
			kstate_tunnel_drop(ks, e);
	}
}

void kstate_tunnels_retry(struct kstate *ks)
{
	struct shadow_tunnel *e, *next;

	if (!ks->owed_tunnels)
		return;
	HASH_ITER (hh, ks->tunnels, e, next) {
		retry_one(ks, e);
	}
}

bool kstate_tunnel_known(const struct kstate *ks, uint32_t id)
{
	const struct shadow_tunnel *e = kstate_tunnel_find(ks, id);

	return e && e->state == SHADOW_LIVE;
}

bool kstate_tunnel_speaks(const struct kstate *ks, uint32_t id)
{
	return kstate_tunnel_known(ks, id) && kstate_tunnel_find(ks, id)->t->inner_peer.family != 0;
}

bool kstate_tunnel_routes(const struct kstate *ks, const struct prefix *dst)
{
	struct shadow_tunnel *e, *next;

	HASH_ITER (hh, ks->tunnels, e, next) {
		for (size_t i = 0; e->state == SHADOW_LIVE && i < e->t->routes; i++)
			if (!prefix_cmp(&e->t->route[i].dst, dst))
				return true;
		if (e->state == SHADOW_LIVE && !addr_cmp(&e->t->inner, &dst->addr))
			return true;
	}
	return false;
}
