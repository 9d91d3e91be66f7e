/*
 * intent_dynamic.c - routing="dynamic": whether a VPN can have it, and its members' addresses
 * inside the tunnels, which are nobody else's.  Cost is n log n in members and sites.
 */
#include "pdp/intent_doc.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *text, const char *word)
{
	return text && !strcmp(text, word);
}

struct sites { /* of a VPN, sorted */
	const struct doc_prefix **p;
	size_t count;
};

static int site_order(const void *a, const void *b)
{
	return prefix_cmp(&(*(const struct doc_prefix *const *)a)->prefix,
	    &(*(const struct doc_prefix *const *)b)->prefix);
}

static int sites_find(struct doc *d, const struct doc_vpn *v, struct sites *s)
{
	size_t n = 0;

	for (uint32_t i = 0; i < v->member.n; i++)
		n += d->member[v->member.at + i].site.n;
	*s = (struct sites) {.p = calloc(n + 1, sizeof(*s->p))};
	if (!s->p) {
		d->failed = true;
		return -1;
	}
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_range *r = &d->member[v->member.at + i].site;
		for (uint32_t k = 0; k < r->n; k++)
			if (d->site[r->at + k].prefix.addr.family)
				s->p[s->count++] = &d->site[r->at + k];
	}
	qsort(s->p, s->count, sizeof(*s->p), site_order);
	return 0;
}

/* The site that has this address, or NULL; sites do not overlap. */
static const struct doc_prefix *site_of(const struct sites *s, const struct addr *a)
{
	size_t lo = 0;
	size_t hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (addr_cmp(&s->p[mid]->prefix.addr, a) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && prefix_has(&s->p[lo - 1]->prefix, a) ? s->p[lo - 1] : NULL;
}

/* Of a member's address inside tunnels, that it is one; 0 or -1. */
static int parse_address(struct doc *d, struct doc_member *m)
{
	const char *text = m->tunnel_text;

	if (addr_parse(&m->tunnel, text) < 0)
		doc_error(d, m->tag, "tunnel-address", 0, "\"%s\" is not an address", text);
	else if (m->tunnel.family != AF_INET)
		doc_error(d, m->tag, "tunnel-address", 0,
		    "%s: only IPv4 goes through tunnel interfaces", text);
	else if (m->tunnel.octets[0] == 0 || m->tunnel.octets[0] == 127 ||
		 m->tunnel.octets[0] >= 224)
		doc_error(d, m->tag, "tunnel-address", 0, "%s is not the address of a host", text);
	else
		return 0;
	m->tunnel = (struct addr) {0};
	return -1;
}

static void check_address(struct doc *d, struct doc_member **taken, const struct sites *s,
    const struct doc_ce *addresses, struct doc_member *m)
{
	const struct doc_prefix *site;
	struct doc_member *first;
	const struct doc_ce *ce;

	if (parse_address(d, m) < 0)
		return;
	DOC_TABLE_PUT(d, hh_tunnel, *taken, &m->tunnel, sizeof(m->tunnel), m, first);
	if (first)
		doc_error(d, m->tag, "tunnel-address", first->tag,
		    "tunnel-address %s is that of another member too", m->tunnel_text);
	if ((site = site_of(s, &m->tunnel)))
		doc_error(d, m->tag, "tunnel-address", site->tag,
		    "tunnel-address %s is in site %s: it is to be no site's", m->tunnel_text,
		    site->text);
	HASH_FIND(hh_address, addresses, &m->tunnel, sizeof(m->tunnel), ce);
	if (ce)
		doc_error(d, m->tag, "tunnel-address", ce->tag,
		    "tunnel-address %s is the outer address of ce \"%s\"", m->tunnel_text,
		    ce->name ? ce->name : "?");
}

static void check_vpn(struct doc *d, const struct doc_vpn *v)
{
	if (!v->space.n)
		doc_error(d, v->tag, "routing", 0,
		    "routing=\"dynamic\" needs <space prefix=.../>: what never leaves a site "
		    "but through a tunnel");
	if (v->relay)
		doc_error(d, v->tag, "relay", 0,
		    "with routing=\"dynamic\" the routing protocol says who forwards");
}

/* In tunnel mode interfaces are VTI's, which Linux has for IPv4 outside; others are another kind.
 */
static void check_outer(struct doc *d, const struct doc_vpn *v, const struct doc_member *m)
{
	if (doc_vti(v) && m->ce && m->ce->address.family == AF_INET6)
		doc_error(d, m->tag, "ce", m->ce->tag,
		    "routing=\"dynamic\" in tunnel mode needs IPv4 around the tunnels, and \"%s\" "
		    "has %s",
		    m->ce->name ? m->ce->name : "?", m->ce->address_text);
}

void intent_check_dynamic(
    struct doc *d, struct doc_vpn *v, struct doc_member **taken, const struct doc_ce *addresses)
{
	bool dynamic = v->routing == ROUTING_DYNAMIC;
	struct sites s = {0};

	if (v->hellos && !(dynamic && is(v->activation, "on-demand")))
		doc_error(d, v->tag, "hellos", 0,
		    "hellos are for routing=\"dynamic\" with activation=\"on-demand\"");
	if (dynamic) {
		check_vpn(d, v);
		if (sites_find(d, v, &s) < 0)
			return;
	}
	for (uint32_t i = 0; i < v->member.n; i++) {
		struct doc_member *m = &d->member[v->member.at + i];

		check_outer(d, v, m);
		if (dynamic && !m->site.n)
			doc_warning(d, m->tag, NULL,
			    "without a <site> nothing of the space is let through to \"%s\"",
			    m->ce_text ? m->ce_text : "?");
		if (dynamic && m->tunnel_text)
			check_address(d, taken, &s, addresses, m);
		else if (dynamic)
			doc_error(d, m->tag, NULL, v->tag,
			    "routing=\"dynamic\" needs a tunnel-address of every member");
		else if (m->tunnel_text)
			doc_error(d, m->tag, "tunnel-address", v->tag,
			    "tunnel-address is for routing=\"dynamic\"");
	}
	free(s.p);
}
