/*
 * intent_check.c - what an intent means, and whether it can: references, names and numbers that
 * must be one's own, topologies, prefixes.  Every fault is reported; what is at fault is left out
 * of the checks that follow from it, so that one slip gives one message.  A value the schema has
 * refused already is passed over in silence.
 *
 * Everything is found by hash table or by sorting: cost is n log n in the document.
 */
#include "pdp/intent_doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RELAYED_MANY 64 /* spokes from which on each pair's own policies are worth a warning */

struct check {
	struct doc *d;
	const struct intent_env *env;
	struct doc_customer *customers; /* by name */
	struct doc_ce *ces;		/* of all customers, by name */
	struct doc_ce *addresses;	/* by address */
	struct doc_vpn *vpn_ids;
	struct doc_member *tunnels; /* by address inside tunnels, of the customer being checked */
	struct addr *outer;	    /* of the customer being checked, sorted */
	size_t outers;
};

/* The customer an owner of ours names is someone not in this document. */
static bool elsewhere(const struct check *c, const char *owner)
{
	struct doc_customer *found = NULL;
	if (owner)
		HASH_FIND(hh, c->customers, owner, strlen(owner), found);
	return owner && !found;
}

/* --- customers and CEs ---------------------------------------------------------------------- */

static void check_customers(struct check *c)
{
	struct doc *d = c->d;

	for (uint32_t i = 0; i < d->vec[DOC_CUSTOMER].n; i++) {
		struct doc_customer *k = &d->customer[i];
		struct doc_customer *first;
		if (!k->name)
			continue;
		DOC_TABLE_PUT(c->d, hh, c->customers, k->name, strlen(k->name), k, first);
		if (first)
			doc_error(d, k->tag, "name", first->tag, "customer \"%s\" is there twice",
			    k->name);
	}
}

static void check_ce_name(struct check *c, struct doc_ce *ce)
{
	struct doc *d = c->d;
	struct doc_ce *first;
	const char *owner;

	if (!ce->name || !(ce->name = doc_lower(d, ce->name)))
		return;
	DOC_TABLE_PUT(c->d, hh_name, c->ces, ce->name, strlen(ce->name), ce, first);
	if (first) {
		doc_error(d, ce->tag, "name", first->tag, "ce \"%s\" is there twice", ce->name);
		return;
	}

	owner = c->env->ce_owner ? c->env->ce_owner(c->env->arg, ce->name) : NULL;
	if (elsewhere(c, owner))
		doc_error(
		    d, ce->tag, "name", 0, "ce \"%s\" belongs to customer \"%s\"", ce->name, owner);
}

/* An address a tunnel can end at. */
static bool addr_is_host(const struct addr *a)
{
	static const uint8_t zero[16];
	if (a->family == AF_INET)
		return a->octets[0] != 0 && a->octets[0] < 224;
	return a->octets[0] != 0xff && memcmp(a->octets, zero, sizeof(zero)) != 0;
}

static void check_ce_address(struct check *c, struct doc_ce *ce)
{
	struct doc *d = c->d;
	const char *text = ce->address_text;
	struct doc_ce *first;
	const char *owner;

	if (!text)
		return;
	if (addr_parse(&ce->address, text) < 0) {
		doc_error(d, ce->tag, "address", 0, "\"%s\" is not an IPv4 or IPv6 address", text);
		return;
	}
	if (!addr_is_host(&ce->address)) {
		doc_error(d, ce->tag, "address", 0, "%s is not the address of a host", text);
		ce->address = (struct addr) {0};
		return;
	}
	DOC_TABLE_PUT(c->d, hh_address, c->addresses, &ce->address, sizeof(ce->address), ce, first);
	if (first) {
		doc_error(d, ce->tag, "address", first->tag, "address %s is that of ce \"%s\" too",
		    text, first->name ? first->name : "?");
		return;
	}

	owner = c->env->address_owner ? c->env->address_owner(c->env->arg, &ce->address) : NULL;
	if (elsewhere(c, owner))
		doc_error(d, ce->tag, "address", 0, "address %s belongs to a ce of customer \"%s\"",
		    text, owner);
}

static void check_ces(struct check *c)
{
	struct doc *d = c->d;

	for (uint32_t i = 0; i < d->vec[DOC_CUSTOMER].n; i++)
		for (uint32_t k = 0; k < d->customer[i].ce.n; k++) {
			struct doc_ce *ce = &d->ce[d->customer[i].ce.at + k];
			ce->customer = i;
			check_ce_name(c, ce);
			check_ce_address(c, ce);
		}
}

/* --- a VPN's own attributes ----------------------------------------------------------------- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* "00005e:00000001"; 0 or -1. */
static int vpn_id_parse(uint8_t id[7], const char *s)
{
	for (size_t i = 0; i < 7; i++) {
		if (i == 3 && *s++ != ':')
			return -1;
		int hi = hex_digit(s[0]);
		int lo = hi < 0 ? -1 : hex_digit(s[1]);
		if (lo < 0)
			return -1;
		id[i] = (uint8_t)(hi << 4 | lo);
		s += 2;
	}
	return *s ? -1 : 0;
}

static void check_vpn_id(struct check *c, struct doc_vpn *v)
{
	static const uint8_t zero[7];
	struct doc *d = c->d;
	struct doc_vpn *first;
	const char *owner;

	if (!v->id)
		return;
	if (vpn_id_parse(v->vpn_id, v->id) < 0 || !memcmp(v->vpn_id, zero, sizeof(zero))) {
		doc_error(d, v->tag, "id", 0,
		    "\"%s\" is not a VPN-ID (RFC 2685) like 00005e:00000001", v->id);
		return;
	}
	v->has_id = true;
	DOC_TABLE_PUT(c->d, hh_id, c->vpn_ids, v->vpn_id, sizeof(v->vpn_id), v, first);
	if (first) {
		doc_error(d, v->tag, "id", first->tag, "VPN-ID %s is that of vpn \"%s\" too", v->id,
		    first->name ? first->name : "?");
		return;
	}

	owner = c->env->vpn_id_owner ? c->env->vpn_id_owner(c->env->arg, v->vpn_id) : NULL;
	if (elsewhere(c, owner))
		doc_error(d, v->tag, "id", 0, "VPN-ID %s belongs to customer \"%s\"", v->id, owner);
}

static void check_vpn_name(struct check *c, struct doc_customer *k, struct doc_vpn *v)
{
	struct doc_vpn *first;

	if (!v->name)
		return;
	DOC_TABLE_PUT(c->d, hh, k->vpn_by_name, v->name, strlen(v->name), v, first);
	if (first)
		doc_error(c->d, v->tag, "name", first->tag, "vpn \"%s\" is there twice", v->name);
}

static enum model_topology topology_parse(const char *text)
{
	if (text && !strcmp(text, "hub-and-spoke"))
		return TOPO_HUB_AND_SPOKE;
	return text && !strcmp(text, "links") ? TOPO_LINKS : TOPO_FULL_MESH;
}

static void check_vpn_attrs(struct check *c, struct doc_customer *k, struct doc_vpn *v)
{
	check_vpn_name(c, k, v);
	check_vpn_id(c, v);
	intent_check_keying(c->d, k, v);
	intent_check_routing(c->d, v);
	v->topology = topology_parse(v->topology_text);
	v->relay = v->relay_text && !strcmp(v->relay_text, "yes");
	if (v->relay && v->topology != TOPO_HUB_AND_SPOKE)
		doc_error(
		    c->d, v->tag, "relay", 0, "only the hub of a hub-and-spoke VPN can relay");
}

/* --- members and links ---------------------------------------------------------------------- */

/* The CE of this name in customer k, or NULL after saying why not. */
static struct doc_ce *find_ce(
    struct check *c, const struct doc_customer *k, uint32_t tag, const char *attr, const char *name)
{
	struct doc *d = c->d;
	struct doc_ce *ce;

	if (!name || !(name = doc_lower(d, name)))
		return NULL;
	HASH_FIND(hh_name, c->ces, name, strlen(name), ce);
	if (ce && &d->customer[ce->customer] == k)
		return ce;
	if (ce)
		doc_error(d, tag, attr, ce->tag, "ce \"%s\" is another customer's", name);
	else
		doc_error(d, tag, attr, 0, "customer \"%s\" has no ce \"%s\"",
		    k->name ? k->name : "?", name);
	return NULL;
}

static struct doc_member *find_member(const struct doc_vpn *v, const struct doc_ce *ce)
{
	return ce->vpn == v ? ce->member : NULL;
}

static void check_member_role(struct check *c, const struct doc_vpn *v, struct doc_member *m)
{
	bool hub = m->role_text && !strcmp(m->role_text, "hub");

	if (v->topology == TOPO_HUB_AND_SPOKE) {
		m->role = hub ? ROLE_HUB : ROLE_SPOKE;
		return;
	}
	m->role = ROLE_MESH;
	if (m->role_text)
		doc_error(c->d, m->tag, "role", v->tag,
		    "roles are for members of a hub-and-spoke VPN, this one is %s",
		    v->topology == TOPO_LINKS ? "links" : "full-mesh");
}

static void check_member(
    struct check *c, const struct doc_customer *k, struct doc_vpn *v, struct doc_member *m)
{
	struct doc_member *first;

	check_member_role(c, v, m);
	m->ce = find_ce(c, k, m->tag, "ce", m->ce_text);
	if (!m->ce)
		return;
	first = find_member(v, m->ce);
	if (first && m->from_text) {
		intent_extranet_join(first, m);
		return;
	}
	if (first) {
		doc_error(
		    c->d, m->tag, "ce", first->tag, "ce \"%s\" is a member twice", m->ce->name);
		m->ce = NULL;
		return;
	}
	m->ce->vpn = v;
	m->ce->member = m;
	if (m->from_text && v->topology == TOPO_HUB_AND_SPOKE)
		m->role = ROLE_HUB; /* all of the VPN are to reach it */
	if (!v->ike && m->ce->managed && !strcmp(m->ce->managed, "no"))
		doc_error(c->d, m->tag, "ce", m->ce->tag,
		    "ce \"%s\" is not managed and cannot be in a VPN with keying=\"controller\"",
		    m->ce->name);
}

static void check_hubs(struct check *c, const struct doc_vpn *v)
{
	uint32_t hubs = 0;

	if (v->topology != TOPO_HUB_AND_SPOKE)
		return;
	for (uint32_t i = 0; i < v->member.n; i++)
		hubs += c->d->member[v->member.at + i].role == ROLE_HUB &&
			!c->d->member[v->member.at + i].from_text;
	if (!hubs)
		doc_error(c->d, v->tag, "topology", 0,
		    "a hub-and-spoke VPN needs a member with role=\"hub\"");
	else if (v->relay && !v->space.n && v->member.n - hubs > RELAYED_MANY)
		doc_warning(c->d, v->tag, "relay",
		    "%" PRIu32
		    " spokes that meet through a hub need policies for every pair of them;"
		    " with <space prefix=.../> they need one",
		    v->member.n - hubs);
}

/* Outer addresses of peers must be of one family. */
static void check_pair(struct check *c, const struct doc_member *a, const struct doc_member *b,
    uint32_t tag, const char *attr)
{
	uint8_t x = a->ce->address.family;
	uint8_t y = b->ce->address.family;

	if (x && y && x != y)
		doc_error(c->d, tag, attr, a->ce->tag,
		    "ce \"%s\" has an %s address and cannot reach ce \"%s\"", b->ce->name,
		    y == AF_INET ? "IPv4" : "IPv6", a->ce->name);
}

static void check_families(struct check *c, const struct doc_vpn *v)
{
	const struct doc_member *first = NULL;

	for (uint32_t i = 0; i < v->member.n && v->topology != TOPO_LINKS; i++) {
		const struct doc_member *m = &c->d->member[v->member.at + i];
		if (!m->ce || !m->ce->address.family)
			continue;
		if (!first)
			first = m;
		check_pair(c, first, m, m->tag, "ce");
	}
}

static struct doc_member *check_link_end(struct check *c, const struct doc_customer *k,
    const struct doc_vpn *v, const struct doc_link *l, const char *attr, const char *text)
{
	struct doc_ce *ce = find_ce(c, k, l->tag, attr, text);
	struct doc_member *m = ce ? find_member(v, ce) : NULL;

	if (ce && !m)
		doc_error(
		    c->d, l->tag, attr, v->tag, "ce \"%s\" is not a member of this VPN", ce->name);
	return m;
}

static int link_order(const void *a, const void *b)
{
	const struct doc_link *x = *(struct doc_link *const *)a;
	const struct doc_link *y = *(struct doc_link *const *)b;
	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	if (x->b != y->b)
		return x->b < y->b ? -1 : 1;
	return (x->tag > y->tag) - (x->tag < y->tag);
}

static void check_link(
    struct check *c, const struct doc_customer *k, const struct doc_vpn *v, struct doc_link *l)
{
	l->a = check_link_end(c, k, v, l, "a", l->a_text);
	l->b = check_link_end(c, k, v, l, "b", l->b_text);
	if (l->a && l->a == l->b) {
		doc_error(c->d, l->tag, "b", 0, "ce \"%s\" is linked to itself", l->a->ce->name);
		l->a = l->b = NULL;
	}
	if (!l->a || !l->b)
		return;
	check_pair(c, l->a, l->b, l->tag, "b");
	if (l->a > l->b) {
		struct doc_member *m = l->a;
		l->a = l->b;
		l->b = m;
	}
}

static void check_links(struct check *c, const struct doc_customer *k, const struct doc_vpn *v)
{
	struct doc *d = c->d;
	struct doc_link **sorted = NULL;
	size_t n = 0;

	if (v->link.n && v->topology != TOPO_LINKS)
		doc_error(d, d->link[v->link.at].tag, NULL, v->tag,
		    "links are for a VPN with topology=\"links\"");
	if (!v->link.n || v->topology != TOPO_LINKS)
		return;
	sorted = calloc(v->link.n, sizeof(struct doc_link *));
	if (!sorted) {
		d->failed = true;
		return;
	}
	for (uint32_t i = 0; i < v->link.n; i++) {
		struct doc_link *l = &d->link[v->link.at + i];
		check_link(c, k, v, l);
		if (l->a && l->b)
			sorted[n++] = l;
	}
	qsort(sorted, n, sizeof(struct doc_link *), link_order);
	for (size_t i = 1; i < n; i++)
		if (sorted[i]->a == sorted[i - 1]->a && sorted[i]->b == sorted[i - 1]->b)
			doc_error(d, sorted[i]->tag, NULL, sorted[i - 1]->tag,
			    "ces \"%s\" and \"%s\" are linked twice", sorted[i]->a->ce->name,
			    sorted[i]->b->ce->name);
	free(sorted);
}

/* --- prefixes ------------------------------------------------------------------------------- */

struct swept { /* one prefix of a VPN in the sweep */
	struct prefix prefix;
	uint32_t tag;
	uint32_t enclosing;		 /* index + 1 of the smallest prefix around it, 0: none */
	const struct doc_member *member; /* NULL: the space */
	bool learn;			 /* a range, in which its CE may announce prefixes */
};

static bool check_prefix(struct check *c, struct doc_prefix *p)
{
	if (!p->text)
		return false;
	switch (prefix_parse(&p->prefix, p->text)) {
	case PREFIX_OK:
		return true;
	case PREFIX_SYNTAX:
		doc_error(c->d, p->tag, "prefix", 0,
		    "prefix \"%s\" is not a prefix like 10.1.0.0/16 or 2001:db8:1::/48", p->text);
		break;
	case PREFIX_LEN:
		doc_error(
		    c->d, p->tag, "prefix", 0, "prefix %s is longer than an address", p->text);
		break;
	case PREFIX_HOST_BITS:
		doc_error(
		    c->d, p->tag, "prefix", 0, "prefix %s has bits set behind its length", p->text);
		break;
	}
	p->prefix = (struct prefix) {0};
	return false;
}

/* The first outer address that is not below a. */
static size_t outer_from(const struct check *c, const struct addr *a)
{
	size_t lo = 0;
	size_t hi = c->outers;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (addr_cmp(&c->outer[mid], a) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A policy for such a prefix would take the CEs' own packets, ESP and COPS, for VPN traffic. */
static void check_outer(struct check *c, const struct doc_prefix *p)
{
	size_t i = outer_from(c, &p->prefix.addr);
	char text[ADDR_STRLEN];
	struct doc_ce *ce;

	if (i == c->outers || !prefix_has(&p->prefix, &c->outer[i]))
		return;
	HASH_FIND(hh_address, c->addresses, &c->outer[i], sizeof(c->outer[i]), ce);
	doc_error(c->d, p->tag, "prefix", ce ? ce->tag : 0,
	    "prefix %s covers %s, the outer address of ce \"%s\"", p->text,
	    addr_print(&c->outer[i], text), ce && ce->name ? ce->name : "?");
}

static size_t sweep_add(struct check *c, struct swept *s, size_t n, struct doc_prefix *p,
    uint32_t count, const struct doc_member *m, bool learn)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!check_prefix(c, &p[i]))
			continue;
		if (!learn) /* what is announced is looked at then: pdp/learned_judge */
			check_outer(c, &p[i]);
		s[n++] = (struct swept) {
		    .prefix = p[i].prefix, .tag = p[i].tag, .member = m, .learn = learn};
	}
	return n;
}

static int swept_order(const void *a, const void *b)
{
	const struct swept *x = a;
	const struct swept *y = b;
	int r = prefix_cmp(&x->prefix, &y->prefix);
	if (r)
		return r;
	if (!x->member != !y->member) /* the space around a site comes first */
		return x->member ? 1 : -1;
	if (x->learn != y->learn) /* and so does the range */
		return x->learn ? -1 : 1;
	return (x->tag > y->tag) - (x->tag < y->tag);
}

static const char *owner_name(const struct swept *s)
{
	if (!s->member)
		return "the space";
	return s->member->ce ? s->member->ce->name : "another member";
}

/* s overlaps o, which begins before it or where it does and is no smaller. */
static void check_overlap(struct check *c, const struct swept *s, const struct swept *o)
{
	bool same = prefix_cmp(&s->prefix, &o->prefix) == 0;
	char a[PREFIX_STRLEN];
	char b[PREFIX_STRLEN];

	prefix_print(&s->prefix, a);
	prefix_print(&o->prefix, b);
	if (s->member && !o->member) {
		if (same && !s->learn)
			doc_error(c->d, s->tag, "prefix", o->tag, "site %s is the whole space", a);
		return;
	}
	if (s->member && s->member == o->member && s->learn != o->learn)
		return; /* a site's own range may be around its prefixes, or inside one */
	if (s->member == o->member && same)
		doc_error(c->d, s->tag, "prefix", o->tag, "prefix %s is there twice", a);
	else if (!s->member && !o->member)
		doc_error(c->d, s->tag, "prefix", o->tag, "space %s is inside space %s", a, b);
	else if (s->member != o->member)
		doc_error(c->d, s->tag, "prefix", o->tag, "prefix %s overlaps %s%s of %s", a,
		    o->learn ? "<learn> " : "", b, owner_name(o));
}

/*
 * Prefixes nest or are disjoint, so sorted ones are a forest: each is checked against the smallest
 * one around it.
 */
static void sweep(struct check *c, struct swept *s, size_t n, bool has_space)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t around = (uint32_t)i; /* index + 1 of the one before */
		while (around && !prefix_contains(&s[around - 1].prefix, &s[i].prefix))
			around = s[around - 1].enclosing;
		s[i].enclosing = around;
		if (around)
			check_overlap(c, &s[i], &s[around - 1]);
		if (around && !prefix_cmp(&s[around - 1].prefix, &s[i].prefix))
			s[i].enclosing = s[around - 1].enclosing; /* keep chains short */
		while (around && s[around - 1].member)
			around = s[around - 1].enclosing;
		if (has_space && !around && s[i].member) {
			char text[PREFIX_STRLEN];
			doc_error(c->d, s[i].tag, "prefix", 0, "%s %s is outside the VPN's space",
			    s[i].learn ? "learn" : "site", prefix_print(&s[i].prefix, text));
		}
	}
}

static void check_prefixes(struct check *c, const struct doc_vpn *v)
{
	struct doc *d = c->d;
	size_t n = v->space.n;

	for (uint32_t i = 0; i < v->member.n; i++)
		n += d->member[v->member.at + i].site.n + d->member[v->member.at + i].learn.n;
	if (!n)
		return;
	struct swept *s = calloc(n, sizeof(*s));
	if (!s) {
		d->failed = true;
		return;
	}
	size_t at = sweep_add(c, s, 0, &d->space[v->space.at], v->space.n, NULL, false);
	bool has_space = at > 0;
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];
		at = sweep_add(
		    c, s, at, &d->site[m->site.at], m->site.n, m->main ? m->main : m, false);
		at = sweep_add(c, s, at, &d->learn[m->learn.at], m->learn.n, m, true);
	}
	qsort(s, at, sizeof(*s), swept_order);
	sweep(c, s, at, has_space);
	free(s);
}

/* --- all of it ------------------------------------------------------------------------------ */

static int addr_order(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

static void outer_addresses(struct check *c, const struct doc_customer *k)
{
	c->outers = 0;
	c->outer = k->ce.n ? calloc(k->ce.n, sizeof(*c->outer)) : NULL;
	if (!c->outer)
		return;
	for (uint32_t i = 0; i < k->ce.n; i++)
		if (c->d->ce[k->ce.at + i].address.family)
			c->outer[c->outers++] = c->d->ce[k->ce.at + i].address;
	qsort(c->outer, c->outers, sizeof(*c->outer), addr_order);
}

static void check_vpn(struct check *c, struct doc_customer *k, struct doc_vpn *v)
{
	struct doc_member *m = &c->d->member[v->member.at];

	intent_check_extranets(c->d, k, v);
	for (uint32_t i = 0; i < v->member.n; i++)
		if (!m[i].from_text)
			check_member(c, k, v, &m[i]);
	for (uint32_t i = 0; i < v->member.n; i++)
		if (m[i].from_text)
			check_member(c, k, v, &m[i]);
	check_hubs(c, v);
	intent_check_internet(c->d, v);
	check_families(c, v);
	check_links(c, k, v);
	check_prefixes(c, v);
	intent_check_dynamic(c->d, v, &c->tunnels, c->addresses);
}

static void check_customer(struct check *c, struct doc_customer *k)
{
	intent_check_transforms(c->d, k);
	outer_addresses(c, k);
	if (k->ce.n && !c->outer)
		c->d->failed = true;
	for (uint32_t i = 0; i < k->vpn.n; i++)
		check_vpn_attrs(c, k, &c->d->vpn[k->vpn.at + i]);
	for (uint32_t i = 0; i < k->vpn.n; i++)
		check_vpn(c, k, &c->d->vpn[k->vpn.at + i]);
	intent_check_internets(c->d, k);
	free(c->outer);
	HASH_CLEAR(hh_tunnel, c->tunnels);
}

void intent_check(struct doc *d, const struct intent_env *env)
{
	struct check c = {.d = d, .env = env};

	check_customers(&c);
	check_ces(&c);
	for (uint32_t i = 0; i < d->vec[DOC_CUSTOMER].n; i++)
		check_customer(&c, &d->customer[i]);
	HASH_CLEAR(hh, c.customers);
	HASH_CLEAR(hh_name, c.ces);
	HASH_CLEAR(hh_address, c.addresses);
	HASH_CLEAR(hh_id, c.vpn_ids);
}
