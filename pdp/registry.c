/* registry.c - see registry.h: hashes over the snapshots' own memory. */
#include "pdp/registry.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "pdp/intent.h"

struct entry_customer {
	UT_hash_handle hh;
	struct customer *c;
};

/* One thing that only one customer may have; the key lies in its snapshot. */
struct entry {
	UT_hash_handle hh;
	void *owner; /* model_ce, or model_vpn */
};

struct registry {
	struct entry_customer *customers;
	struct entry *ce;
	struct entry *address;
	struct entry *vpn_id;
	struct entry *vpn_number;
};

struct registry *registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

static int entry_put(struct entry **h, const void *key, size_t len, void *owner)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return -1;
	e->owner = owner;
	HASH_ADD_KEYPTR(hh, *h, key, len, e);
	return 0;
}

static void entry_remove(struct entry **h, const void *key, size_t len, const void *owner)
{
	struct entry *e;

	HASH_FIND(hh, *h, key, len, e);
	if (e == NULL || e->owner != owner)
		return;
	HASH_DEL(*h, e);
	free(e);
}

static void *entry_find(struct entry *h, const void *key, size_t len)
{
	struct entry *e;

	HASH_FIND(hh, h, key, len, e);
	return e != NULL ? e->owner : NULL;
}

static int index_put(struct registry *r, struct customer *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->ces; i++) {
		rc |= entry_put(&r->ce, c->ce[i].name, strlen(c->ce[i].name), &c->ce[i]);
		rc |= entry_put(&r->address, &c->ce[i].address, sizeof(struct addr), &c->ce[i]);
	}
	for (size_t i = 0; i < c->vpns; i++) {
		rc |= entry_put(&r->vpn_id, c->vpn[i].vpn_id, sizeof(c->vpn[i].vpn_id), &c->vpn[i]);
		rc |= entry_put(&r->vpn_number, &c->vpn[i].id->number, sizeof(c->vpn[i].id->number),
		    &c->vpn[i]);
	}
	return rc;
}

static void index_remove(struct registry *r, struct customer *c)
{
	for (size_t i = 0; i < c->ces; i++) {
		entry_remove(&r->ce, c->ce[i].name, strlen(c->ce[i].name), &c->ce[i]);
		entry_remove(&r->address, &c->ce[i].address, sizeof(struct addr), &c->ce[i]);
	}
	for (size_t i = 0; i < c->vpns; i++) {
		entry_remove(&r->vpn_id, c->vpn[i].vpn_id, sizeof(c->vpn[i].vpn_id), &c->vpn[i]);
		entry_remove(&r->vpn_number, &c->vpn[i].id->number, sizeof(c->vpn[i].id->number),
		    &c->vpn[i]);
	}
}

static struct entry_customer *customer_entry(struct registry *r, const char *name)
{
	struct entry_customer *e;

	HASH_FIND(hh, r->customers, name, strlen(name), e);
	return e;
}

void registry_remove(struct registry *r, const char *name)
{
	struct entry_customer *e = customer_entry(r, name);

	if (e == NULL)
		return;
	index_remove(r, e->c);
	HASH_DEL(r->customers, e);
	customer_unref(e->c);
	free(e);
}

int registry_put(struct registry *r, struct customer *c)
{
	struct entry_customer *e;

	registry_remove(r, c->name);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -1;
	e->c = customer_ref(c);
	HASH_ADD_KEYPTR(hh, r->customers, c->name, strlen(c->name), e);
	return index_put(r, c);
}

void registry_free(struct registry *r)
{
	struct entry_customer *e, *next;

	if (r == NULL)
		return;
	HASH_ITER (hh, r->customers, e, next)
		registry_remove(r, e->c->name);
	free(r);
}

struct customer *registry_find(struct registry *r, const char *name)
{
	struct entry_customer *e = customer_entry(r, name);

	return e != NULL ? e->c : NULL;
}

const struct model_ce *registry_ce(struct registry *r, const char *name)
{
	return entry_find(r->ce, name, strlen(name));
}

struct model_vpn *registry_vpn_number(struct registry *r, uint32_t number)
{
	return entry_find(r->vpn_number, &number, sizeof(number));
}

struct model_vpn *registry_vpn(struct registry *r, const char *name, bool *many)
{
	const char *slash = strchr(name, '/');
	struct model_vpn *found = NULL, *v;
	struct entry_customer *e, *next;

	*many = false;
	HASH_ITER (hh, r->customers, e, next) {
		if (slash != NULL && (strlen(e->c->name) != (size_t)(slash - name) ||
					 strncmp(e->c->name, name, (size_t)(slash - name)) != 0))
			continue;
		v = customer_vpn_find(e->c, slash != NULL ? slash + 1 : name);
		if (v == NULL)
			continue;
		*many = found != NULL;
		if (*many)
			return NULL;
		found = v;
	}
	return found;
}

size_t registry_ces(const struct registry *r)
{
	return HASH_COUNT(r->ce);
}

static int by_name(const struct entry_customer *a, const struct entry_customer *b)
{
	return strcmp(a->c->name, b->c->name);
}

void registry_each(struct registry *r, void (*fn)(void *arg, struct customer *c), void *arg)
{
	struct entry_customer *e, *next;

	HASH_SORT(r->customers, by_name);
	HASH_ITER (hh, r->customers, e, next)
		fn(arg, e->c);
}

/* ------------------------------------------------------- what an intent asks */

static const char *ce_owner(void *arg, const char *name)
{
	const struct model_ce *ce = registry_ce(arg, name);

	return ce != NULL ? ce->customer->name : NULL;
}

static const char *address_owner(void *arg, const struct addr *a)
{
	const struct registry *r = arg;
	const struct model_ce *ce = entry_find(r->address, a, sizeof(*a));

	return ce != NULL ? ce->customer->name : NULL;
}

static const char *vpn_id_owner(void *arg, const uint8_t vpn_id[7])
{
	const struct registry *r = arg;
	const struct model_vpn *v = entry_find(r->vpn_id, vpn_id, 7);

	return v != NULL ? v->customer->name : NULL;
}

void registry_env(struct registry *r, struct intent_env *env)
{
	env->ce_owner = ce_owner;
	env->address_owner = address_owner;
	env->vpn_id_owner = vpn_id_owner;
	env->arg = r;
}
