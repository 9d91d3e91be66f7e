/*
 * host_list.c - see host_list.h.  Only what is there is remembered: what was not found, or without
 * an answer, is asked for again.
 */
#include "pep/host_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct seen_interface {
	uint32_t index;
	struct kern_interface interface;
	UT_hash_handle hh;
};

struct seen_vrf {
	char name[KERN_IF_NAME_LEN];
	struct kern_vrf vrf;
	UT_hash_handle hh;
};

struct host_list {
	const struct kern_ops *ops;
	struct kern *kern;
	struct kern_own *own;
	size_t count;
	size_t cap;
	bool known; /* own is what the kernel has */
	bool no_memory;
	struct seen_interface *interfaces;
	struct seen_vrf *vrfs;
};

struct host_list *host_list_new(const struct kern_ops *ops, struct kern *k)
{
	struct host_list *l = calloc(1, sizeof(*l));

	if (l) {
		l->ops = ops;
		l->kern = k;
	}
	return l;
}

void host_list_free(struct host_list *l)
{
	if (!l)
		return;
	host_list_stale(l);
	free(l->own);
	free(l);
}

void host_list_stale(struct host_list *l)
{
	struct seen_interface *i, *i_next;
	struct seen_vrf *v, *v_next;

	HASH_ITER (hh, l->interfaces, i, i_next) {
		HASH_DEL(l->interfaces, i);
		free(i);
	}
	HASH_ITER (hh, l->vrfs, v, v_next) {
		HASH_DEL(l->vrfs, v);
		free(v);
	}
	l->known = false;
}

static void take_own(void *arg, const struct kern_own *a)
{
	struct host_list *l = arg;

	if (l->count == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct kern_own *more = reallocarray(l->own, cap, sizeof(*more));
		if (!more) {
			l->no_memory = true;
			return;
		}
		l->own = more;
		l->cap = cap;
	}
	l->own[l->count++] = *a;
}

int host_list_own(
    struct host_list *l, const struct kern_own **own, size_t *count, struct kern_fault *f)
{
	if (!l->known) {
		l->count = 0;
		l->no_memory = false;
		if (l->ops->own_dump(l->kern, take_own, l, f) < 0)
			return -1;
		if (l->no_memory)
			return kern_fault_set(f, KERN_REFUSED, ENOMEM, "this host's addresses");
		l->known = true;
	}
	*own = l->own;
	*count = l->count;
	return 0;
}

bool host_list_interface(struct host_list *l, uint32_t index, struct kern_interface *i)
{
	struct seen_interface *e;

	HASH_FIND(hh, l->interfaces, &index, sizeof(index), e);
	if (e) {
		*i = e->interface;
		return true;
	}
	if (!l->ops->interface_get(l->kern, index, i))
		return false;
	if ((e = calloc(1, sizeof(*e)))) {
		e->index = index;
		e->interface = *i;
		HASH_ADD(hh, l->interfaces, index, sizeof(e->index), e);
	}
	return true;
}

int host_list_vrf(struct host_list *l, const char *name, struct kern_vrf *v, struct kern_fault *f)
{
	struct seen_vrf *e;

	HASH_FIND_STR(l->vrfs, name, e);
	if (e) {
		*v = e->vrf;
		return 0;
	}
	if (l->ops->vrf_find(l->kern, name, v, f) < 0)
		return -1;
	if (strlen(name) < sizeof(e->name) && (e = calloc(1, sizeof(*e)))) {
		memcpy(e->name, name, strlen(name));
		e->vrf = *v;
		HASH_ADD_STR(l->vrfs, name, e);
	}
	return 0;
}
