/*
 * intent_extranet.c - <extranet from="VPN" prefix="P"/>: a part of another VPN's site is made
 * reachable.  P lies in one site of one member there; the CE of that member is a member here as
 * well, for P alone, or has P as one more site if it is a member here already.  Nothing of this
 * goes on: what is an extranet in the other VPN is not its own to give.
 */
#include "pdp/intent_doc.h"

#include <string.h>

#define EXTRANETS_MAX 256 /* of a VPN: each is looked for among all sites of another */

/* The member of v that has a site around p, which must be well formed to count. */
static const struct doc_member *member_around(
    const struct doc *d, const struct doc_vpn *v, const struct prefix *p)
{
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];

		for (uint32_t k = 0; !m->from_text && k < m->site.n; k++) {
			const char *text = d->site[m->site.at + k].text;
			struct prefix site;

			if (text && prefix_parse(&site, text) == PREFIX_OK &&
			    prefix_contains(&site, p))
				return m;
		}
	}
	return NULL;
}

/* Whose it is, or NULL after saying why it is nobody's. */
static const struct doc_member *owner_of(struct doc *d, const struct doc_customer *k,
    const struct doc_vpn *v, const struct doc_member *x)
{
	const struct doc_member *owner;
	struct doc_vpn *from;
	struct prefix p;

	if (!*x->from_text || !x->prefix_text || prefix_parse(&p, x->prefix_text) != PREFIX_OK)
		return NULL; /* that was, or will be, said */
	HASH_FIND(hh, k->vpn_by_name, x->from_text, strlen(x->from_text), from);
	if (!from) {
		doc_error(d, x->tag, "from", 0, "customer \"%s\" has no vpn \"%s\"",
		    k->name ? k->name : "?", x->from_text);
		return NULL;
	}
	if (from == v) {
		doc_error(d, x->tag, "from", v->tag, "vpn \"%s\" is this one", x->from_text);
		return NULL;
	}
	owner = member_around(d, from, &p);
	if (!owner)
		doc_error(d, x->tag, "prefix", from->tag,
		    "prefix %s is not inside a <site> of a member of vpn \"%s\"", x->prefix_text,
		    x->from_text);
	return owner;
}

static void check_one(
    struct doc *d, const struct doc_customer *k, const struct doc_vpn *v, struct doc_member *x)
{
	const struct doc_member *owner = owner_of(d, k, v, x);

	if (owner)
		x->ce_text = owner->ce_text;
	else if (!x->prefix_text || prefix_parse(&(struct prefix) {0}, x->prefix_text) == PREFIX_OK)
		x->site.n = 0; /* nobody's; what is wrong with others is said where sites are */
}

void intent_check_extranets(struct doc *d, const struct doc_customer *k, const struct doc_vpn *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->member.n; i++) {
		struct doc_member *x = &d->member[v->member.at + i];

		if (!x->from_text)
			continue;
		if (v->topology == TOPO_LINKS)
			doc_error(d, x->tag, NULL, v->tag,
			    "a VPN with topology=\"links\" takes no <extranet>: make the ce a"
			    " <member> with this <site>, and <link> it with those that are to reach"
			    " it");
		else if (n++ == EXTRANETS_MAX)
			doc_error(d, x->tag, NULL, v->tag, "more than %d <extranet>s in a VPN",
			    EXTRANETS_MAX);
		else if (n <= EXTRANETS_MAX)
			check_one(d, k, v, x);
	}
}

void intent_extranet_join(struct doc_member *first, struct doc_member *m)
{
	m->main = first;
	m->ce = NULL;
	m->role = first->role;
	m->more = first->more;
	first->more = m;
}
