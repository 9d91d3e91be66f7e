/*
 * learned_withhold.c - networks that a member had learned when it was excluded.  Nobody reports
 * them any more, and what reports left behind is gone; but their numbers are alive as long as the
 * snapshot in force has them.  So what a new snapshot withholds follows from the numbers and the
 * member's <learn> alone, and is the same after a restart.
 */
#include <stdlib.h>
#include <string.h>

#include "pdp/ids.h"
#include "pdp/learned_int.h"

struct withholding {
	struct customer *c;
	const struct model_excluded **by_member; /* those that could learn */
	size_t count;
	int rc;
};

static int member_order(const void *a, const void *b)
{
	uint32_t x = (*(const struct model_excluded *const *)a)->member;
	uint32_t y = (*(const struct model_excluded *const *)b)->member;

	return (x > y) - (x < y);
}

static const struct model_excluded *excluded_find(const struct withholding *w, uint32_t member)
{
	const struct model_excluded key = {.member = member}, *at = &key, **found;

	found = bsearch(&at, w->by_member, w->count, sizeof(*w->by_member), member_order);
	return found != NULL ? *found : NULL;
}

/* The prefix of a key like "1/2/10.1.0.0/16". */
static int key_prefix(const char *key, struct prefix *p)
{
	for (int parts = 0; key != NULL && parts < 2; parts++) {
		key = strchr(key, '/');
		key += key != NULL;
	}
	return key != NULL && prefix_parse(p, key) == PREFIX_OK ? 0 : -1;
}

static void withhold_one(void *arg, struct id_entry *e)
{
	struct withholding *w = arg;
	const struct model_excluded *x = excluded_find(w, e->parent);
	struct model_prefix p = {.learned = true, .id = e};
	struct model_vpn *v = x != NULL ? customer_vpn_find(w->c, x->vpn) : NULL;

	if (v == NULL || key_prefix(e->key, &p.prefix) != 0)
		return;
	for (size_t i = 0; i < x->learns; i++)
		if (prefix_contains(&x->learn[i], &p.prefix) && learned_is_fit(v, &p.prefix)) {
			w->rc |= vpn_withhold(v, &p, 1);
			return;
		}
}

int learned_withhold(struct ids *ids, struct customer *c)
{
	struct withholding w = {.c = c};

	w.by_member = calloc(c->excludeds + 1, sizeof(*w.by_member));
	if (w.by_member == NULL)
		return -1;
	for (size_t i = 0; i < c->excludeds; i++)
		if (c->excluded[i].learns > 0)
			w.by_member[w.count++] = &c->excluded[i];
	if (w.count > 0) {
		qsort(w.by_member, w.count, sizeof(*w.by_member), member_order);
		ids_live_each(ids, ID_PREFIX, withhold_one, &w);
		for (size_t i = 0; i < c->vpns; i++)
			vpn_withheld_sort(&c->vpn[i]);
	}
	free(w.by_member);
	return w.rc;
}
