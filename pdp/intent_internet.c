/*
 * intent_internet.c - internet="via-hub": spokes whose traffic to anywhere goes to the first hub,
 * which passes it on.  Said of the VPN it is for all spokes; hubs are at the Internet themselves.
 */
#include "pdp/intent_doc.h"

#include <string.h>

/* The hub that spokes go through: the first, as relays are. */
static const struct doc_member *first_hub(const struct doc *d, const struct doc_vpn *v)
{
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];
		if (m->role == ROLE_HUB && !m->from_text)
			return m;
	}
	return NULL;
}

/* Where it is said, of the member or of its VPN. */
static void refuse(
    struct doc *d, const struct doc_vpn *v, const struct doc_member *m, const char *why)
{
	doc_error(d, m->internet_text ? m->tag : v->tag, "internet", 0, "%s", why);
}

/* NULL, or why a member of this VPN cannot be so. */
static const char *why_not(const struct doc_vpn *v, const struct doc_member *hub)
{
	if (v->topology != TOPO_HUB_AND_SPOKE)
		return "internet=\"via-hub\" is for the spokes of a hub-and-spoke VPN";
	if (v->mode && !strcmp(v->mode, "ipip-transport"))
		return "internet=\"via-hub\" needs mode=\"tunnel\": a route of everything into a"
		       " tunnel interface would take the tunnel's own packets too";
	if (v->routing == ROUTING_DYNAMIC)
		return "internet=\"via-hub\" is not for routing=\"dynamic\", where everything "
		       "would be"
		       " routed into a tunnel interface, the tunnel's own packets too";
	if (hub && hub->vrf)
		return "internet=\"via-hub\" cannot go through a hub whose sites are in a VRF";
	return NULL;
}

static bool check_member(
    struct doc *d, const struct doc_vpn *v, const struct doc_member *hub, struct doc_member *m)
{
	const char *why = why_not(v, hub);

	if (why) {
		refuse(d, v, m, why);
		m->internet = INTERNET_BYPASS;
		return m->internet_text != NULL; /* the VPN's is said once */
	}
	if (m->role == ROLE_HUB && m->internet_text)
		refuse(d, v, m, "a hub reaches the Internet itself: bypass or discard");
	if (m->role == ROLE_HUB)
		m->internet = INTERNET_BYPASS;
	else if (m->vrf)
		doc_error(d, m->tag, "vrf", 0,
		    "a member whose Internet is behind the hub cannot be in a VRF");
	return true;
}

void intent_check_internet(struct doc *d, const struct doc_vpn *v)
{
	const struct doc_member *hub = first_hub(d, v);
	bool on = true;

	for (uint32_t i = 0; i < v->member.n; i++) {
		struct doc_member *m = &d->member[v->member.at + i];

		if (m->from_text)
			m->internet = INTERNET_BYPASS; /* the other VPN's business */
		if (m->internet == INTERNET_VIA_HUB && (on || m->internet_text))
			on &= check_member(d, v, hub, m);
	}
}

/* --- VPNs of one CE -------------------------------------------------------------------------- */

static bool sites_overlap(
    const struct doc *d, const struct doc_member *a, const struct doc_member *b)
{
	for (uint32_t i = 0; i < a->site.n; i++)
		for (uint32_t k = 0; k < b->site.n; k++) {
			const struct prefix *p = &d->site[a->site.at + i].prefix;
			const struct prefix *q = &d->site[b->site.at + k].prefix;
			if (p->addr.family && q->addr.family && prefix_overlaps(p, q))
				return true;
		}
	return false;
}

static void note(struct doc *d, struct doc_member *m)
{
	if (!m->ce || m->internet != INTERNET_VIA_HUB)
		return;
	if (m->ce->via_hub)
		doc_error(d, m->tag, "internet", m->ce->via_hub->tag,
		    "ce \"%s\": its Internet is behind the hub of another VPN already",
		    m->ce->name);
	else
		m->ce->via_hub = m;
}

static void compare(struct doc *d, const struct doc_member *m)
{
	const struct doc_member *other = m->ce ? m->ce->via_hub : NULL;

	if (other && m->internet == INTERNET_DISCARD && sites_overlap(d, m, other))
		doc_error(d, m->tag, "internet", other->tag,
		    "ce \"%s\": a site whose Internet is behind the hub of another VPN discards it"
		    " here",
		    m->ce->name);
}

void intent_check_internets(struct doc *d, const struct doc_customer *k)
{
	for (uint32_t i = 0; i < k->vpn.n; i++) {
		const struct doc_vpn *v = &d->vpn[k->vpn.at + i];
		for (uint32_t n = 0; n < v->member.n; n++)
			note(d, &d->member[v->member.at + n]);
	}
	for (uint32_t i = 0; i < k->vpn.n; i++) {
		const struct doc_vpn *v = &d->vpn[k->vpn.at + i];
		for (uint32_t n = 0; n < v->member.n; n++)
			compare(d, &d->member[v->member.at + n]);
	}
}
