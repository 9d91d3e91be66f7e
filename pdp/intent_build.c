/*
 * intent_build.c - a checked document becomes snapshots.  Here numbers are handed out, so the
 * document has no errors by now; what can still go wrong is memory and the stock of numbers.
 */
#include "pdp/intent_doc.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX 512 /* customer/vpn/ce */

static const struct model_proposal default_proposal = {
    .encr = 12, /* AES-CBC */
    .encr_key_bits = 256,
    .integ = 14, /* HMAC-SHA2-512-256 */
    .replay_window = 32,
    .lifetime_s = 8 * 3600,
};

static const struct model_proposal default_ike_proposal = {
    .ike = true,
    .encr = 12,
    .encr_key_bits = 256,
    .integ = 14,
    .prf = 7, /* HMAC-SHA2-512 */
    .dh = 31, /* Curve25519 */
    .lifetime_s = 24 * 3600,
};

struct build {
	struct doc *d;
	struct ids *ids;
	const struct intent_env *env;
	struct customer *customer;
	const char *why;
};

static struct id_entry *id_get(
    struct build *b, enum id_kind kind, const char *key, uint32_t parent, uint32_t vpn)
{
	struct id_entry *e = ids_get(b->ids, kind, key, parent, vpn);
	if (!e)
		b->why = "out of memory or of numbers";
	return e;
}

/* An array of n; NULL and why when there is no memory for it. */
static void *array(struct build *b, size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);
	if (!p)
		b->why = "out of memory";
	return p;
}

/* Keys: parts with slashes between.  printf() would take longer than all else here. */
struct key {
	size_t len;
	char text[KEY_MAX];
};

static void key_text(struct key *k, const char *part)
{
	size_t len = strlen(part);

	if (k->len)
		k->text[k->len++] = '/';
	if (len > KEY_MAX - 2 - k->len) /* never: the schema bounds every name */
		len = KEY_MAX - 2 - k->len;
	memcpy(k->text + k->len, part, len);
	k->len += len;
	k->text[k->len] = '\0';
}

static void key_number(struct key *k, uint32_t n)
{
	char digits[12];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	key_text(k, p);
}

/* --- who is left out ------------------------------------------------------------------------ */

/* Is it excluded?  Then the snapshot says so. vpn NULL: the CE as a whole. */
static bool left_out(struct build *b, const char *vpn, const char *ce)
{
	struct customer *c = b->customer;
	struct model_excluded *more;

	if (!b->env->excluded || !b->env->excluded(b->env->excluded_arg, c->name, vpn, ce))
		return false;
	more = reallocarray(c->excluded, c->excludeds + 1, sizeof(*more));
	if (!more) {
		b->why = "out of memory";
		return true;
	}
	c->excluded = more;
	more += c->excludeds++;
	*more = (struct model_excluded) {.ce = strdup(ce), .vpn = vpn ? strdup(vpn) : NULL};
	if (!more->ce || (vpn && !more->vpn))
		b->why = "out of memory";
	return true;
}

/* --- CEs ------------------------------------------------------------------------------------ */

static int ce_order(const void *a, const void *b)
{
	const struct doc_ce *x = *(struct doc_ce *const *)a;
	const struct doc_ce *y = *(struct doc_ce *const *)b;
	return strcmp(x->name, y->name);
}

static int build_ces(struct build *b, const struct doc_customer *k)
{
	struct customer *c = b->customer;
	struct doc_ce **sorted = array(b, k->ce.n, sizeof(*sorted));

	c->ce = array(b, k->ce.n, sizeof(*c->ce));
	if (!sorted || !c->ce) {
		free(sorted);
		return -1;
	}
	for (uint32_t i = 0; i < k->ce.n; i++)
		sorted[i] = &b->d->ce[k->ce.at + i];
	qsort(sorted, k->ce.n, sizeof(*sorted), ce_order);
	for (uint32_t i = 0; i < k->ce.n && !b->why; i++) {
		if (left_out(b, NULL, sorted[i]->name))
			continue;
		struct model_ce *ce = &c->ce[c->ces++];
		*ce = (struct model_ce) {.address = sorted[i]->address, .customer = c};
		ce->foreign = sorted[i]->managed && !strcmp(sorted[i]->managed, "no");
		ce->name = strdup(sorted[i]->name);
		sorted[i]->model = ce;
		if (!ce->name)
			b->why = "out of memory";
	}
	free(sorted);
	return b->why ? -1 : 0;
}

/* --- prefixes and proposals ----------------------------------------------------------------- */

static int prefix_order(const void *a, const void *b)
{
	return prefix_cmp(
	    &((const struct model_prefix *)a)->prefix, &((const struct model_prefix *)b)->prefix);
}

/* m: 0 for the VPN's space. */
static struct model_prefix *build_prefixes(
    struct build *b, const struct doc_prefix *p, uint32_t n, uint32_t vpn, uint32_t m)
{
	struct model_prefix *out = array(b, n, sizeof(*out));
	char text[PREFIX_STRLEN];
	struct key key;

	if (!out)
		return NULL;

	for (uint32_t i = 0; i < n && !b->why; i++) {
		key.len = 0;
		key_number(&key, vpn);
		if (m)
			key_number(&key, m);
		else
			key_text(&key, "space");
		key_text(&key, prefix_print(&p[i].prefix, text));
		out[i].prefix = p[i].prefix;
		out[i].id = id_get(b, ID_PREFIX, key.text, m, vpn);
	}
	if (!b->why && n > 1)
		qsort(out, n, sizeof(*out), prefix_order);
	return out;
}

/* NULL and why when there is no memory. */
static struct model_proposal *build_list(struct build *b, const struct model_vpn *v,
    const struct doc_names *names, const struct model_proposal *other, enum id_kind kind, size_t *n)
{
	struct model_proposal *out;
	struct key key;

	*n = names->n ? names->n : 1;
	out = array(b, *n, sizeof(*out));
	for (uint32_t i = 0; out && i < *n && !b->why; i++) {
		out[i] = names->n ? names->t[i]->proposal : *other;
		key.len = 0;
		key_number(&key, v->id->number);
		key_number(&key, i);
		out[i].id = id_get(b, kind, key.text, v->id->number, v->id->number);
	}
	return out;
}

static int build_proposals(struct build *b, struct model_vpn *v, const struct doc_vpn *dv)
{
	v->proposal = build_list(
	    b, v, &dv->transform, &default_proposal, ID_PROPOSAL, &v->proposals);
	if (v->ike && !b->why)
		v->ike_proposal = build_list(b, v, &dv->ike_transform, &default_ike_proposal,
		    ID_IKE_PROPOSAL, &v->ike_proposals);
	return b->why ? -1 : 0;
}

/* --- members -------------------------------------------------------------------------------- */

static int member_order(const void *a, const void *b)
{
	uint32_t x = ((const struct model_member *)a)->id->number;
	uint32_t y = ((const struct model_member *)b)->id->number;
	return (x > y) - (x < y);
}

static int learn_order(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static struct prefix *build_learn(struct build *b, const struct doc_member *dm, size_t *learns)
{
	struct prefix *out = array(b, dm->learn.n, sizeof(*out));

	*learns = out ? dm->learn.n : 0;
	for (size_t i = 0; i < *learns; i++)
		out[i] = b->d->learn[dm->learn.at + i].prefix;
	if (*learns)
		qsort(out, *learns, sizeof(*out), learn_order);
	return out;
}

static void build_routing(struct build *b, struct model_member *m, const struct doc_member *dm)
{
	m->internet = dm->internet;
	m->tunnel_addr = dm->tunnel;
	m->max_learned = dm->max_learned;
	if (dm->vrf && !(m->vrf = strdup(dm->vrf)))
		b->why = "out of memory";
	m->learn = build_learn(b, dm, &m->learns);
}

/*
 * May x give its site?  An <extranet> cannot when the member whose site it is, of the other VPN, is
 * excluded there.
 */
static bool gives(const struct build *b, const struct doc_member *x, const char *ce)
{
	return !x->from_text || !b->env->excluded ||
	       !b->env->excluded(b->env->excluded_arg, b->customer->name, x->from_text, ce);
}

/* The prefixes of x, of the member dm, are discarded. */
static int withhold_sites(
    struct build *b, struct model_vpn *v, const struct doc_member *dm, const struct doc_member *x)
{
	struct model_prefix *p = build_prefixes(
	    b, &b->d->site[x->site.at], x->site.n, v->id->number, dm->id->number);

	if (p && vpn_withhold(v, p, x->site.n) < 0)
		b->why = "out of memory";
	free(p);
	return b->why ? -1 : 0;
}

/* An excluded member is no peer of anybody, and all its prefixes are discarded. */
static int withhold(struct build *b, struct model_vpn *v, const struct doc_member *dm)
{
	struct model_excluded *e = &b->customer->excluded[b->customer->excludeds - 1];

	for (const struct doc_member *x = dm; x; x = x->more)
		if (withhold_sites(b, v, dm, x) < 0)
			return -1;
	e->member = dm->id->number;
	e->learn = build_learn(b, dm, &e->learns);
	return b->why ? -1 : 0;
}

/* The sites of a member with those of its extranets, but for what is withheld: to be freed. */
static struct doc_prefix *sites_take(
    struct build *b, struct model_vpn *v, const struct doc_member *dm, uint32_t *n)
{
	struct doc_prefix *sites;
	uint32_t room = 0;

	*n = 0;
	for (const struct doc_member *x = dm; x; x = x->more)
		room += x->site.n;
	sites = array(b, room, sizeof(*sites));
	for (const struct doc_member *x = dm; sites && x; x = x->more) {
		if (!gives(b, x, dm->ce->name)) {
			withhold_sites(b, v, dm, x);
			continue;
		}
		for (uint32_t i = 0; i < x->site.n; i++)
			sites[(*n)++] = b->d->site[x->site.at + i];
	}
	return sites;
}

/* Which of its sites are another VPN's. */
static void mark_extranet(struct model_member *m, const struct doc *d, const struct doc_member *dm)
{
	for (const struct doc_member *x = dm; x; x = x->more)
		for (size_t i = 0; x->from_text && i < m->sites; i++)
			if (!prefix_cmp(&m->site[i].prefix, &d->site[x->site.at].prefix))
				m->site[i].extranet = true;
}

/* With these sites. */
static void put_member(struct build *b, struct model_vpn *v, const struct doc_member *dm,
    const struct doc_prefix *sites, uint32_t n)
{
	struct model_member *m = &v->member[v->members++];

	*m = (struct model_member) {
	    .ce = dm->ce->model, .vpn = v, .id = dm->id, .role = dm->role, .sites = n};
	m->extranet = dm->from_text != NULL;
	m->site = build_prefixes(b, sites, n, v->id->number, m->id->number);
	if (m->site)
		mark_extranet(m, b->d, dm);
	build_routing(b, m, dm);
}

static int build_member(struct build *b, struct model_vpn *v, struct doc_member *dm)
{
	struct doc_prefix *sites;
	struct key key;
	uint32_t n;

	key.len = 0;
	key_text(&key, b->customer->name);
	key_text(&key, v->name);
	key_text(&key, dm->ce->name);
	dm->id = id_get(b, ID_MEMBER, key.text, v->id->number, v->id->number);
	if (!dm->id)
		return -1;
	if (left_out(b, v->name, dm->ce->name))
		return b->why ? -1 : withhold(b, v, dm);
	sites = sites_take(b, v, dm, &n);
	if (sites && !b->why && (n || !dm->from_text)) /* an extranet of nothing is no member */
		put_member(b, v, dm, sites, n);
	free(sites);
	return b->why ? -1 : 0;
}

static int build_hubs(struct build *b, struct model_vpn *v, const struct doc_vpn *dv)
{
	v->hub = array(b, dv->member.n, sizeof(struct model_member *));
	if (!v->hub)
		return -1;
	for (int extranet = 0; extranet <= 1; extranet++) /* the first relays: one of its own */
		for (uint32_t i = 0; i < dv->member.n; i++) {
			const struct doc_member *dm = &b->d->member[dv->member.at + i];
			struct model_member *m = dm->id ? vpn_member_find(v, dm->id->number) : NULL;
			if (m && dm->role == ROLE_HUB && (dm->from_text != NULL) == extranet)
				v->hub[v->hubs++] = m;
		}
	if (v->hubs && v->hub[0]->extranet)
		v->relay = false; /* its own are all away */
	return 0;
}

static int build_members(struct build *b, struct model_vpn *v, const struct doc_vpn *dv)
{
	v->member = array(b, dv->member.n, sizeof(*v->member));
	if (!v->member)
		return -1;
	for (uint32_t i = 0; i < dv->member.n; i++)
		if (!b->d->member[dv->member.at + i].main &&
		    build_member(b, v, &b->d->member[dv->member.at + i]) < 0)
			return -1;
	qsort(v->member, v->members, sizeof(*v->member), member_order);
	vpn_withheld_sort(v);
	return build_hubs(b, v, dv);
}

static int link_order(const void *a, const void *b)
{
	return member_order(*(struct model_member *const *)a, *(struct model_member *const *)b);
}

/* False: an end is excluded. */
static bool link_ends(const struct model_vpn *v, const struct doc_link *l, struct model_member **x,
    struct model_member **y)
{
	*x = vpn_member_find(v, l->a->id->number);
	*y = vpn_member_find(v, l->b->id->number);
	return *x && *y;
}

/* Count, allocate, fill, sort. */
static int build_links(struct build *b, struct model_vpn *v, const struct doc_vpn *dv)
{
	const struct doc_link *link = &b->d->link[dv->link.at];
	uint32_t n = dv->topology == TOPO_LINKS ? dv->link.n : 0;
	struct model_member *x;
	struct model_member *y;

	for (uint32_t i = 0; i < n; i++)
		if (link_ends(v, &link[i], &x, &y)) {
			x->links++;
			y->links++;
		}
	for (size_t i = 0; i < v->members && dv->topology == TOPO_LINKS; i++) {
		v->member[i].link = array(b, v->member[i].links, sizeof(struct model_member *));
		if (!v->member[i].link)
			return -1;
		v->member[i].links = 0;
	}
	for (uint32_t i = 0; i < n; i++)
		if (link_ends(v, &link[i], &x, &y)) {
			x->link[x->links++] = y;
			y->link[y->links++] = x;
		}
	for (size_t i = 0; i < v->members && n; i++)
		qsort(v->member[i].link, v->member[i].links, sizeof(struct model_member *),
		    link_order);
	return 0;
}

/* --- what is outside ------------------------------------------------------------------------ */

static bool wants_internet(const struct model_vpn *v, uint8_t family)
{
	for (size_t i = 0; i < v->members; i++)
		if (v->member[i].internet == INTERNET_VIA_HUB &&
		    model_has_family(&v->member[i], family))
			return true;
	return false;
}

static void build_internet(struct build *b, struct model_vpn *v)
{
	static const uint8_t family[] = {AF_INET, AF_INET6}; /* as prefixes are sorted */
	char text[PREFIX_STRLEN];
	struct key key;

	for (size_t i = 0; i < sizeof(family) && !b->why; i++) {
		struct model_prefix *p = &v->outside[v->outsides];

		if (!wants_internet(v, family[i]))
			continue;
		p->prefix.addr.family = family[i];
		key.len = 0;
		key_number(&key, v->id->number);
		key_text(&key, "internet");
		key_text(&key, prefix_print(&p->prefix, text));
		p->id = id_get(b, ID_PREFIX, key.text, ID_INTERNET, v->id->number);
		v->outsides++;
	}
}

/* --- VPNs ----------------------------------------------------------------------------------- */

static int build_vpn(struct build *b, struct model_vpn *v, const struct doc_vpn *dv)
{
	struct key key;

	*v = (struct model_vpn) {
	    .name = strdup(dv->name),
	    .customer = b->customer,
	    .topology = dv->topology,
	    .relay = dv->relay,
	    .internet = dv->internet_kind,
	    .routing = dv->routing,
	    .hellos = dv->hellos && !strcmp(dv->hellos, "yes"),
	    .leave_allowed = dv->leave && !strcmp(dv->leave, "allow"),
	    .dscp = dv->dscp,
	    .dscp_value = dv->dscp_value,
	    .ike = dv->ike,
	    .on_demand = dv->activation && !strcmp(dv->activation, "on-demand"),
	    .idle_s = dv->idle_s,
	    .psk = dv->auth && !strcmp(dv->auth, "psk"),
	    .ipip = dv->mode && !strcmp(dv->mode, "ipip-transport"),
	    .spaces = dv->space.n,
	};
	if (!v->name) {
		b->why = "out of memory";
		return -1;
	}
	memcpy(v->vpn_id, dv->vpn_id, sizeof(v->vpn_id));
	key.len = 0;
	key_text(&key, b->customer->name);
	key_text(&key, v->name);
	v->id = id_get(b, ID_VPN, key.text, 0, 0);
	if (!v->id)
		return -1;
	v->space = build_prefixes(b, &b->d->space[dv->space.at], dv->space.n, v->id->number, 0);
	if (b->why || build_proposals(b, v, dv) < 0 || build_members(b, v, dv) < 0)
		return -1;
	build_internet(b, v);
	if (b->why)
		return -1;
	return build_links(b, v, dv);
}

static int vpn_order(const void *a, const void *b)
{
	const struct doc_vpn *x = *(struct doc_vpn *const *)a;
	const struct doc_vpn *y = *(struct doc_vpn *const *)b;
	return strcmp(x->name, y->name);
}

static int build_vpns(struct build *b, const struct doc_customer *k)
{
	struct customer *c = b->customer;
	struct doc_vpn **sorted = array(b, k->vpn.n, sizeof(*sorted));

	c->vpn = array(b, k->vpn.n, sizeof(*c->vpn));
	if (!sorted || !c->vpn) {
		free(sorted);
		return -1;
	}
	for (uint32_t i = 0; i < k->vpn.n; i++)
		sorted[i] = &b->d->vpn[k->vpn.at + i];
	qsort(sorted, k->vpn.n, sizeof(*sorted), vpn_order);
	for (uint32_t i = 0; i < k->vpn.n && !b->why; i++)
		build_vpn(b, &c->vpn[c->vpns++], sorted[i]);
	free(sorted);
	return b->why ? -1 : 0;
}

/* NULL and b->why, or a snapshot. */
static struct customer *build_customer(struct build *b, const struct doc_customer *k)
{
	b->customer = customer_new(k->name);
	if (!b->customer) {
		b->why = "out of memory";
		return NULL;
	}
	b->customer->ids = b->ids;
	if (build_ces(b, k) < 0 || build_vpns(b, k) < 0 || customer_index(b->customer) < 0) {
		if (!b->why)
			b->why = "out of memory";
		customer_unref(b->customer);
		return NULL;
	}
	return b->customer;
}

int intent_build(struct doc *d, const struct intent_env *env, struct intent *out, const char **why)
{
	struct build b = {.d = d, .ids = env->ids, .env = env};
	uint32_t n = d->vec[DOC_CUSTOMER].n;

	out->customer = array(&b, n, sizeof(struct customer *));
	for (uint32_t i = 0; i < n && !b.why; i++) {
		struct customer *c = build_customer(&b, &d->customer[i]);
		if (c)
			out->customer[out->customers++] = c;
	}
	*why = b.why;
	return b.why ? -1 : 0;
}
