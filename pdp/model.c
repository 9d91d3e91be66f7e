/*
 * model.c - snapshots: their life, lookups in them, and who sees whom.  Everything is found in
 * sorted arrays; after customer_index() nothing changes but the encoded rows that pdp/delta keeps
 * here.
 */
#include "pdp/model.h"

#include <stdlib.h>
#include <string.h>

#include "libcops/cops_chunk.h"

struct customer *customer_new(const char *name)
{
	struct customer *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->refs = 1;
	c->name = strdup(name);
	if (c->name)
		return c;
	free(c);
	return NULL;
}

static int number_order(const void *a, const void *b)
{
	uint32_t x = (*(struct model_vpn *const *)a)->id->number;
	uint32_t y = (*(struct model_vpn *const *)b)->id->number;
	return (x > y) - (x < y);
}

/* model_ce.member: count, allocate, fill; VPNs come in the order of their names. */
static int index_memberships(struct customer *c)
{
	for (size_t i = 0; i < c->vpns; i++)
		for (size_t k = 0; k < c->vpn[i].members; k++)
			c->ce[c->vpn[i].member[k].ce - c->ce].members++;
	for (size_t i = 0; i < c->ces; i++) {
		if (!c->ce[i].members)
			continue;
		c->ce[i].member = calloc(c->ce[i].members, sizeof(*c->ce[i].member));
		if (!c->ce[i].member)
			return -1;
		c->ce[i].members = 0;
	}
	for (size_t i = 0; i < c->vpns; i++)
		for (size_t k = 0; k < c->vpn[i].members; k++) {
			struct model_ce *ce = &c->ce[c->vpn[i].member[k].ce - c->ce];
			ce->member[ce->members++] = &c->vpn[i].member[k];
		}
	return 0;
}

int customer_index(struct customer *c)
{
	if (index_memberships(c) < 0)
		return -1;
	if (!c->vpns)
		return 0;
	c->vpn_by_number = calloc(c->vpns, sizeof(struct model_vpn *));
	if (!c->vpn_by_number)
		return -1;
	for (size_t i = 0; i < c->vpns; i++)
		c->vpn_by_number[i] = &c->vpn[i];
	qsort(c->vpn_by_number, c->vpns, sizeof(struct model_vpn *), number_order);
	return 0;
}

struct customer *customer_ref(struct customer *c)
{
	c->refs++;
	return c;
}

static void vpn_clear(struct model_vpn *v)
{
	for (size_t i = 0; i < v->members; i++) {
		struct model_member *m = &v->member[i];
		for (size_t k = 0; k < VIEW_MAX; k++)
			cops_chunk_unref(m->chunk[k]);
		free(m->site);
		free(m->vrf);
		free(m->learn);
		free(m->link);
	}
	free(v->member);
	free(v->hub);
	free(v->space);
	free(v->withheld);
	free(v->proposal);
	free(v->ike_proposal);
	free(v->name);
}

void customer_unref(struct customer *c)
{
	if (!c || --c->refs)
		return;
	for (size_t i = 0; i < c->vpns; i++)
		vpn_clear(&c->vpn[i]);
	for (size_t i = 0; i < c->ces; i++) {
		free(c->ce[i].name);
		free(c->ce[i].member);
	}
	for (size_t i = 0; i < c->excludeds; i++) {
		free(c->excluded[i].ce);
		free(c->excluded[i].vpn);
		free(c->excluded[i].learn);
	}
	free(c->excluded);
	free(c->vpn);
	free(c->vpn_by_number);
	free(c->ce);
	free(c->name);
	free(c);
}

static int ce_name_cmp(const void *key, const void *ce)
{
	return strcmp(key, ((const struct model_ce *)ce)->name);
}

struct model_ce *customer_ce_find(const struct customer *c, const char *name)
{
	return c->ces ? bsearch(name, c->ce, c->ces, sizeof(*c->ce), ce_name_cmp) : NULL;
}

static int vpn_name_cmp(const void *key, const void *v)
{
	return strcmp(key, ((const struct model_vpn *)v)->name);
}

struct model_vpn *customer_vpn_find(const struct customer *c, const char *name)
{
	return c->vpns ? bsearch(name, c->vpn, c->vpns, sizeof(*c->vpn), vpn_name_cmp) : NULL;
}

static int vpn_number_cmp(const void *key, const void *v)
{
	uint32_t x = *(const uint32_t *)key;
	uint32_t y = (*(struct model_vpn *const *)v)->id->number;
	return (x > y) - (x < y);
}

struct model_vpn *customer_vpn_by_number(const struct customer *c, uint32_t number)
{
	struct model_vpn **v = NULL;
	if (c->vpns)
		v = bsearch(&number, c->vpn_by_number, c->vpns, sizeof(*v), vpn_number_cmp);
	return v ? *v : NULL;
}

static int member_number_cmp(const void *key, const void *m)
{
	uint32_t x = *(const uint32_t *)key;
	uint32_t y = ((const struct model_member *)m)->id->number;
	return (x > y) - (x < y);
}

struct model_member *vpn_member_find(const struct model_vpn *v, uint32_t m)
{
	if (!v->members)
		return NULL;
	return bsearch(&m, v->member, v->members, sizeof(*v->member), member_number_cmp);
}

struct model_member *vpn_member_of(const struct model_vpn *v, const struct model_ce *ce)
{
	for (size_t i = 0; i < ce->members; i++)
		if (ce->member[i]->vpn == v)
			return ce->member[i];
	return NULL;
}

int vpn_withhold(struct model_vpn *v, const struct model_prefix *p, size_t n)
{
	struct model_prefix *more = v->withheld;

	if (v->withhelds + n > v->withheld_cap) {
		size_t cap = v->withhelds + n + v->withhelds / 2;
		if (!(more = reallocarray(v->withheld, cap, sizeof(*more))))
			return -1;
		v->withheld = more;
		v->withheld_cap = cap;
	}
	for (size_t i = 0; i < n; i++)
		more[v->withhelds++] = p[i];
	return 0;
}

static int withheld_order(const void *a, const void *b)
{
	uint32_t x = ((const struct model_prefix *)a)->id->number;
	uint32_t y = ((const struct model_prefix *)b)->id->number;
	return (x > y) - (x < y);
}

void vpn_withheld_sort(struct model_vpn *v)
{
	size_t n = 0;

	if (v->withhelds > 1)
		qsort(v->withheld, v->withhelds, sizeof(*v->withheld), withheld_order);
	for (size_t i = 0; i < v->withhelds; i++)
		if (!n || v->withheld[n - 1].id != v->withheld[i].id)
			v->withheld[n++] = v->withheld[i];
	v->withhelds = n;
}

bool customer_excludes(const struct customer *c, const char *vpn, const char *ce)
{
	for (size_t i = 0; i < c->excludeds; i++) {
		const struct model_excluded *x = &c->excluded[i];
		if (!vpn == !x->vpn && !strcmp(x->ce, ce) && (!vpn || !strcmp(x->vpn, vpn)))
			return true;
	}
	return false;
}

static int link_cmp(const void *key, const void *link)
{
	const struct model_member *a = key;
	const struct model_member *b = *(struct model_member *const *)link;
	return (a->id->number > b->id->number) - (a->id->number < b->id->number);
}

bool model_adjacent(const struct model_member *r, const struct model_member *m)
{
	switch (r->vpn->topology) {
	case TOPO_FULL_MESH:
		return true;
	case TOPO_HUB_AND_SPOKE:
		return r->role == ROLE_HUB || m->role == ROLE_HUB;
	case TOPO_LINKS:
		return r->links && bsearch(m, r->link, r->links, sizeof(m), link_cmp);
	}
	return false;
}

bool model_nat_none(const struct model_vpn *v)
{
	return v->ipip || v->routing == ROUTING_DYNAMIC;
}

const char *model_nat_apart(const struct model_member *r, const struct model_member *m)
{
	if (!r->ce->nat && !m->ce->nat)
		return NULL;
	if (r->vpn->ipip)
		return "IP-in-IP with transport mode cannot pass NAT";
	if (r->vpn->routing == ROUTING_DYNAMIC)
		return "tunnels that are interfaces cannot pass NAT";
	return !r->vpn->ike && r->ce->nat && m->ce->nat ? "both are behind NAT" : NULL;
}

enum view model_view(
    const struct model_member *r, const struct model_member *m, const struct model_member **via)
{
	const struct model_vpn *v = r->vpn;

	*via = NULL;
	if (m == r)
		return VIEW_SELF;
	if (m->vpn != v)
		return VIEW_NONE;
	if (model_adjacent(r, m))
		return model_nat_apart(r, m) != NULL ? VIEW_BLOCKED : VIEW_PEER;
	if (v->spaces)
		return VIEW_NONE;
	if (v->topology != TOPO_HUB_AND_SPOKE || !v->relay || !v->hubs ||
	    model_nat_apart(r, v->hub[0]))
		return VIEW_BLOCKED;
	*via = v->hub[0];
	return VIEW_VIA;
}

bool model_relays(const struct model_member *r)
{
	const struct model_vpn *v = r->vpn;
	return v->topology == TOPO_HUB_AND_SPOKE && v->relay && v->hubs && v->hub[0] == r;
}

bool model_internet_here(const struct model_member *r)
{
	const struct model_vpn *v = r->vpn;
	return v->outsides && v->hubs && v->hub[0] == r && !r->extranet;
}

bool model_has_family(const struct model_member *m, uint8_t family)
{
	for (size_t i = 0; i < m->sites; i++)
		if (!m->site[i].learned && m->site[i].prefix.addr.family == family)
			return true;
	return false;
}

const struct model_prefix *model_internet(const struct model_member *r, size_t *count)
{
	const struct model_prefix *p = r->vpn->outside;

	*count = r->vpn->outsides;
	if (model_internet_here(r))
		return p;
	if (r->internet != INTERNET_VIA_HUB)
		*count = 0;
	if (*count && !model_has_family(r, p[*count - 1].prefix.addr.family))
		--*count;
	if (*count && !model_has_family(r, p[0].prefix.addr.family)) {
		--*count;
		p++;
	}
	return p;
}

/* The peers r has when the space stands for everyone else; NULL: r sees all members. */
static struct model_member **few_seen(const struct model_member *r, size_t *count)
{
	const struct model_vpn *v = r->vpn;

	if (v->spaces && v->topology == TOPO_HUB_AND_SPOKE && r->role != ROLE_HUB) {
		*count = v->hubs;
		return v->hub;
	}
	if (v->spaces && v->topology == TOPO_LINKS) {
		*count = r->links;
		return r->link; /* an array also of none: see intent_build */
	}
	return NULL;
}

void model_seen_init(struct model_seen *s, const struct model_member *r)
{
	*s = (struct model_seen) {.r = r};
	s->few = few_seen(r, &s->count);
	if (!s->few)
		s->count = r->vpn->members;
}

struct model_member *model_seen_next(struct model_seen *s)
{
	while (s->next < s->count) {
		struct model_member *m = s->few ? s->few[s->next] : &s->r->vpn->member[s->next];
		s->next++;
		if (m != s->r)
			return m;
	}
	return NULL;
}
