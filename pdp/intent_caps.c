/*
 * intent_caps.c - what CEs said they can do against what an intent wants of them.  Each member has
 * a set of the VPN's transforms that it can do; sets are few, so pairs of sets are
 * looked at and not pairs of members.  Of controller keying alone: what they said is what their
 * back ends make SAs with, and those of IKE are made by the IKE daemon.
 */
#include <string.h>

#include "common/suites.h"
#include "pdp/intent_doc.h"

#define SETS_MAX 64 /* distinct ones that are compared; the CEs themselves judge the rest */

struct set {
	uint32_t can; /* bit i: the VPN's transform i */
	const struct doc_member *first;
	bool hub; /* some hub has it */
};

struct sets {
	struct set set[SETS_MAX];
	size_t count;
};

static bool can(const struct ce_caps *caps, const struct model_proposal *p)
{
	struct suite s = {.protocol = p->ah ? SUITE_AH : SUITE_ESP,
	    .encr = p->encr,
	    .encr_key_bits = p->encr_key_bits,
	    .integ = p->integ};
	uint8_t octets[SUITE_LEN];

	suite_put(octets, &s);
	return suites_have(caps->suites, caps->suites_len, octets) && (!p->esn || caps->esn) &&
	       p->replay_window <= caps->window_max;
}

static uint32_t can_of(const struct doc_vpn *v, const struct ce_caps *caps)
{
	uint32_t set = 0;

	for (uint32_t i = 0; i < v->transform.n; i++)
		if (can(caps, &v->transform.t[i]->proposal))
			set |= 1U << i;
	return set;
}

static void say_none(
    struct doc *d, const struct doc_vpn *v, const struct doc_member *m, const struct ce_caps *caps)
{
	doc_error(d, m->tag, "ce", v->tag,
	    "member \"%s\": transform \"%s\"%s cannot be done by this CE (%s)", m->ce->name,
	    v->transform.t[0]->name, v->transform.n > 1 ? " and the others that the VPN names" : "",
	    caps->backend);
}

static struct set *set_put(struct sets *s, uint32_t can, const struct doc_member *m)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->set[i].can == can)
			return &s->set[i];
	if (s->count == SETS_MAX)
		return NULL;
	s->set[s->count] = (struct set) {.can = can, .first = m};
	return &s->set[s->count++];
}

static void check_sets(struct doc *d, const struct doc_vpn *v, const struct sets *s)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t j = i + 1; j < s->count; j++) {
			const struct set *a = &s->set[i], *b = &s->set[j];

			if ((a->can & b->can) != 0 ||
			    (v->topology == TOPO_HUB_AND_SPOKE && !a->hub && !b->hub))
				continue;
			doc_error(d, b->first->tag, "ce", a->first->tag,
			    "members \"%s\" and \"%s\" have no transform in common",
			    a->first->ce->name, b->first->ce->name);
		}
}

static void check_links(struct doc *d, const struct doc_vpn *v, const struct intent_env *env)
{
	for (uint32_t i = 0; i < v->link.n; i++) {
		const struct doc_link *l = &d->link[v->link.at + i];
		struct ce_caps a, b;

		if (l->a == NULL || l->b == NULL || l->a->ce == NULL || l->b->ce == NULL ||
		    !env->caps(env->caps_arg, l->a->ce->name, &a) ||
		    !env->caps(env->caps_arg, l->b->ce->name, &b))
			continue;
		if (can_of(v, &a) != 0 && can_of(v, &b) != 0 &&
		    (can_of(v, &a) & can_of(v, &b)) == 0)
			doc_error(d, l->tag, NULL, v->tag,
			    "members \"%s\" and \"%s\" have no transform in common", l->a->ce->name,
			    l->b->ce->name);
	}
}

static void check_vpn(struct doc *d, const struct doc_vpn *v, const struct intent_env *env)
{
	struct sets sets = {.count = 0};

	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];
		struct ce_caps caps;
		struct set *set;
		uint32_t set_of;

		if (m->ce == NULL || m->ce->name == NULL ||
		    !env->caps(env->caps_arg, m->ce->name, &caps))
			continue; /* it has not been here yet: then it judges itself */
		set_of = can_of(v, &caps);
		if (set_of == 0) {
			say_none(d, v, m, &caps);
			continue;
		}
		if ((set = set_put(&sets, set_of, m)) != NULL)
			set->hub |= m->role == ROLE_HUB;
	}
	if (v->topology == TOPO_LINKS)
		check_links(d, v, env);
	else
		check_sets(d, v, &sets);
}

/* Whoever makes the SAs: policies are the agent's. */
static void check_separate(struct doc *d, const struct doc_vpn *v, const struct intent_env *env)
{
	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];
		struct ce_caps caps;

		if ((!m->vrf && !doc_vti(v)) || m->ce == NULL || m->ce->name == NULL ||
		    !env->caps(env->caps_arg, m->ce->name, &caps) || caps.separate)
			continue;
		if (m->vrf)
			doc_error(d, m->tag, "vrf", v->tag,
			    "member \"%s\": this CE cannot keep a VPN in a VRF apart (%s)",
			    m->ce->name, caps.backend);
		else
			doc_error(d, m->tag, "ce", v->tag,
			    "member \"%s\": this CE has no interfaces for routing=\"dynamic\" in "
			    "tunnel mode (%s)",
			    m->ce->name, caps.backend);
	}
}

/* Back ends that cannot tell the kernel not to copy it. */
static void check_dscp(struct doc *d, const struct doc_vpn *v, const struct intent_env *env)
{
	struct ce_caps caps;

	for (uint32_t i = 0; i < v->member.n; i++) {
		const struct doc_member *m = &d->member[v->member.at + i];

		if (m->ce && m->ce->name && env->caps(env->caps_arg, m->ce->name, &caps) &&
		    !caps.dscp_clear)
			doc_error(d, v->tag, "dscp", m->tag,
			    "dscp=\"clear\" cannot be done by ce \"%s\" (%s)", m->ce->name,
			    caps.backend);
	}
}

void intent_check_caps(struct doc *d, const struct intent_env *env)
{
	if (env->caps == NULL)
		return;
	for (uint32_t i = 0; i < d->vec[DOC_VPN].n; i++) {
		const struct doc_vpn *v = &d->vpn[i];

		check_separate(d, v, env);
		if (v->ike)
			continue; /* charon makes its SAs */
		if (v->transform.n > 0)
			check_vpn(d, v, env);
		if (v->dscp == DSCP_CLEAR && (!v->mode || !strcmp(v->mode, "tunnel")))
			check_dscp(d, v, env);
	}
}
