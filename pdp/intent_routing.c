/*
 * intent_routing.c - what an intent says of routes: where prefixes are known from, what goes beside
 * the tunnels, how their packets are marked.
 */
#include "pdp/intent_doc.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LEARNED 100 /* prefixes of a member that says nothing */

static const struct {
	const char *name;
	enum model_internet internet;
} internets[] = {
    {"bypass", INTERNET_BYPASS}, {"discard", INTERNET_DISCARD}, {"via-hub", INTERNET_VIA_HUB}};

static const struct {
	const char *name;
	enum model_routing routing;
} routings[] = {
    {"static", ROUTING_STATIC}, {"managed", ROUTING_MANAGED}, {"dynamic", ROUTING_DYNAMIC}};

const char *intent_internet_name(enum model_internet i)
{
	return internets[i].name;
}

const char *intent_routing_name(enum model_routing r)
{
	return routings[r - ROUTING_STATIC].name;
}

/* text is one of the names, or refused by the schema, or NULL. */
static enum model_internet internet_parse(const char *text, enum model_internet other)
{
	for (size_t i = 0; text && i < sizeof(internets) / sizeof(internets[0]); i++)
		if (!strcmp(internets[i].name, text))
			return internets[i].internet;
	return other;
}

static enum model_routing routing_parse(const char *text)
{
	for (size_t i = 0; text && i < sizeof(routings) / sizeof(routings[0]); i++)
		if (!strcmp(routings[i].name, text))
			return routings[i].routing;
	return ROUTING_STATIC;
}

static void check_dscp(struct doc *d, struct doc_vpn *v)
{
	const char *t = v->dscp_text;

	v->dscp = DSCP_COPY;
	if (!t || !strcmp(t, "copy"))
		return;
	v->dscp = strcmp(t, "clear") ? DSCP_SET : DSCP_CLEAR;
	if (v->dscp == DSCP_SET)
		v->dscp_value = (uint8_t)(strtoul(t, NULL, 10) & 63);
	if (v->dscp == DSCP_SET && (!v->mode || strcmp(v->mode, "ipip-transport")))
		doc_error(d, v->tag, "dscp", 0,
		    "dscp=\"%s\" needs mode=\"ipip-transport\": in tunnel mode the DSCP of the "
		    "packet"
		    " inside is copied or cleared",
		    t);
}

static void check_member(struct doc *d, const struct doc_vpn *v, struct doc_member *m)
{
	m->internet = internet_parse(m->internet_text, v->internet_kind);
	m->max_learned = m->max_text ? (uint32_t)strtoul(m->max_text, NULL, 10) : MAX_LEARNED;
	if (m->vrf && v->mode && !strcmp(v->mode, "ipip-transport"))
		doc_error(d, m->tag, "vrf", v->tag,
		    "a VPN with mode=\"ipip-transport\" cannot be in a VRF: its tunnels are told "
		    "apart by their outer addresses alone");
	else if (m->vrf && v->routing == ROUTING_DYNAMIC)
		doc_error(
		    d, m->tag, "vrf", v->tag, "a VPN with routing=\"dynamic\" cannot be in a VRF");
	if (m->learn.n && v->routing != ROUTING_MANAGED)
		doc_error(d, d->learn[m->learn.at].tag, NULL, v->tag,
		    "<learn> is for members of a VPN with routing=\"managed\"");
	if (m->max_text && !m->learn.n)
		doc_error(d, m->tag, "max-learned", 0,
		    "max-learned is for members with a <learn prefix=.../>");
}

void intent_check_routing(struct doc *d, struct doc_vpn *v)
{
	v->internet_kind = internet_parse(v->internet, INTERNET_BYPASS);
	v->routing = routing_parse(v->routing_text);
	check_dscp(d, v);
	for (uint32_t i = 0; i < v->member.n; i++)
		check_member(d, v, &d->member[v->member.at + i]);
}
