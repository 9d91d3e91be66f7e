/*
 * vpn_vrf.c - VPNs in VRFs: the VRF device a row names, the mark that stands for it, and the rules
 * that lead marked packets to its table.
 *
 * The mark is the number of the VRF's routing table, in the bits of mark-mask: it is the same after
 * a restart, and two VPNs in one VRF share it and the rule.  Rules are made before the plan that
 * needs them, as they do nothing by themselves, and taken away after one that does not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/host_list.h"
#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define VRFS_MAX  1024 /* rules that are known; with more none is taken away */
#define NOT_APART "back end %s cannot keep a VPN in a VRF apart"

static bool separates(const struct kern_ops *ops)
{
	return ops->separate && ops->vrf_find;
}

static int vrf_fault(
    struct vpn_faults *f, const struct pib_ce_vpn *v, enum pib_cperr code, const char *text)
{
	return vpn_fault(f, &pib_ce_vpn_class, v->id, code, PIB_CE_VPN_COL_VRF, "%s", text);
}

/* 0: the table does not fit. */
static uint32_t mark_of(uint32_t table, uint32_t mask)
{
	uint32_t lowest = mask & -mask;
	uint64_t mark = (uint64_t)table * lowest;

	/* all bits stand for no table at all, and one less for tunnels' interfaces (vpn_vti.c) */
	return lowest == 0 || mark >= (mask & (mask - 1)) ? 0 : (uint32_t)mark;
}

/* One whose table has no mark is as good as none. */
static int find(struct host_list *host, const char *name, uint32_t mask, struct kern_vrf *vrf,
    struct kern_fault *k)
{
	if (host_list_vrf(host, name, vrf, k) < 0)
		return -1;
	if (mark_of(vrf->table, mask) != 0)
		return 0;
	return kern_fault_set(k, KERN_ABSENT, 0,
	    "table %u of VRF %s does not fit into mark-mask 0x%x", (unsigned)vrf->table, name,
	    (unsigned)mask);
}

static int check(const struct vpn_env *env, const struct pib_ce_vpn *v, struct vpn_faults *f)
{
	if (v->vrf.len >= sizeof(((struct vpn_net *)NULL)->vrf) ||
	    memchr(v->vrf.p, '\0', v->vrf.len) || memchr(v->vrf.p, '/', v->vrf.len))
		return vrf_fault(f, v, PIB_CPERR_VALUE, "not the name of a device");
	if (v->mode == PIB_CE_VPN_MODE_IPIP_TRANSPORT)
		return vrf_fault(
		    f, v, PIB_CPERR_VALUE_SUP, "a VPN in mode ipip-transport cannot be in a VRF");
	if (v->routing == PIB_CE_VPN_ROUTING_DYNAMIC)
		return vrf_fault(
		    f, v, PIB_CPERR_VALUE_SUP, "a VPN with dynamic routing cannot be in a VRF");
	if (!separates(env->ops) && !env->lenient)
		return vpn_fault(f, &pib_ce_vpn_class, v->id, PIB_CPERR_VALUE_SUP,
		    PIB_CE_VPN_COL_VRF, NOT_APART, env->ops->name);
	if (v->id > KERN_DEVICE_VPN_MAX)
		return vpn_fault(f, &pib_ce_vpn_class, v->id, PIB_CPERR_VALUE_SUP,
		    PIB_CE_VPN_COL_ID, "no VPN above %u can be in a VRF",
		    (unsigned)KERN_DEVICE_VPN_MAX);
	return 0;
}

int vpn_vrf_load(struct vpn_net *n, const struct vpn_env *env, struct vpn_faults *f)
{
	const struct pib_ce_vpn *v = n->row;
	struct kern_vrf vrf = {0};
	struct kern_fault k;

	if (v->vrf.len == 0)
		return 0;
	if (check(env, v, f) < 0)
		return -1;
	memcpy(n->vrf, v->vrf.p, v->vrf.len);
	if (!separates(env->ops)) { /* of a row that was taken with another back end */
		n->held = n->vrf_missing = true;
		return 0;
	}
	n->near.scope.device = KERN_DEVICE_INDEX(v->id);
	n->near.scope.mark.mask = env->mark_mask;
	n->member.mark.mask = env->mark_mask;
	if (find(env->host, n->vrf, env->mark_mask, &vrf, &k) < 0) {
		if (k.kind != KERN_ABSENT || !env->lenient)
			return vrf_fault(f, v, PIB_CPERR_VALUE_SUP, k.text);
		/* its tunnels wait for it; what they bring meanwhile goes nowhere */
		n->vrf_missing = true;
		n->near.scope.mark.value = n->member.mark.value = env->mark_mask;
		return 0;
	}
	n->vrf_index = vrf.index;
	n->table = vrf.table;
	n->near.scope.mark.value = n->member.mark.value = mark_of(vrf.table, env->mark_mask);
	return 0;
}

/* --- rules -------------------------------------------------------------------- */

int vpn_vrf_need(struct vpn *v, const struct vpn_net *n, struct vpn_faults *f)
{
	const struct kern_rule r = {.mark = n->member.mark, .table = n->table};
	struct kern_fault k;

	if (!n->vrf[0] || n->vrf_missing || v->ops->rules(v->kern, &r, 1, false, &k) == 0)
		return 0;
	return vrf_fault(f, n->row, PIB_CPERR_VALUE_SUP, k.text);
}

struct rules {
	const struct vpn *v;
	struct kern_rule *rule;
	size_t count;
	bool unsure; /* there are others */
};

static void add_rule(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *r = row->data;
	struct rules *l = arg;
	struct kern_rule rule = {.mark.mask = l->v->conf->mark_mask};
	struct kern_vrf vrf;
	struct kern_fault k;
	char name[KERN_IF_NAME_LEN] = "";

	if (r->vrf.len == 0 || r->vrf.len >= sizeof(name))
		return;
	memcpy(name, r->vrf.p, r->vrf.len);
	if (l->count == VRFS_MAX) {
		l->unsure = true;
		return;
	}
	if (find(l->v->host_list, name, rule.mark.mask, &vrf, &k) < 0) {
		l->unsure |= k.kind != KERN_ABSENT; /* else there is nothing to lead to */
		return;
	}
	rule.table = vrf.table;
	rule.mark.value = mark_of(vrf.table, rule.mark.mask);
	l->rule[l->count++] = rule;
}

void vpn_vrf_settle(struct vpn *v, const struct pib_store *store)
{
	struct rules l = {.v = v};
	struct kern_fault k;

	if (!v->ops->rules || !(l.rule = calloc(VRFS_MAX, sizeof(*l.rule))))
		return;
	pib_store_each(store, &pib_ce_vpn_class, add_rule, &l);
	if (v->ops->rules(v->kern, l.rule, l.count, !l.unsure, &k) < 0)
		log_warn("%s", k.text);
	free(l.rule);
}

/* --- one that is gone ----------------------------------------------------------- */

struct gone {
	const struct vpn_net *n;
	struct spd *spd;
};

static void discard_one(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *r = row->data;
	struct gone *g = arg;
	struct prefix far;

	if (addr_from_octets(&far.addr, r->addr.p, r->addr.len) < 0)
		return;
	far.len = (uint8_t)r->prefix_length;
	for (size_t i = 0; i < g->n->near.site.count; i++)
		spd_withhold(g->spd, &g->n->near.site.p[i], &far);
}

/*
 * Without its VRF the site's interface is outside of all of them, where nothing of the VPN holds:
 * what its hosts send to the VPN must not leave by whatever route there is.
 */
void vpn_vrf_withhold(const struct pib_store *store, const struct vpn_net *n, struct spd *spd)
{
	struct gone g = {.n = n, .spd = spd};

	pib_store_referrers(store, &pib_ce_vpn_peer_prefix_class,
	    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_VPN),
	    n->row->id, discard_one, &g);
	for (size_t i = 0; i < n->near.space.count; i++)
		for (size_t j = 0; j < n->near.site.count; j++)
			spd_withhold(spd, &n->near.site.p[j], &n->near.space.p[i].prefix);
}

void vpn_vrf_trouble(const struct vpn *v, uint32_t vpn, char *text, size_t len)
{
	const struct pib_ce_vpn *r = vpn_row(v->store, vpn);
	char name[KERN_IF_NAME_LEN] = "";
	struct kern_vrf vrf;
	struct kern_fault k;

	text[0] = '\0';
	if (!r || r->vrf.len == 0 || r->vrf.len >= sizeof(name))
		return;
	memcpy(name, r->vrf.p, r->vrf.len);
	if (!separates(v->ops))
		kern_fault_set(&k, KERN_REFUSED, 0, NOT_APART, v->ops->name);
	else if (find(v->host_list, name, v->conf->mark_mask, &vrf, &k) == 0)
		return;
	snprintf(text, len, "VPN \"%.*s\" is held up: %s", (int)r->name.len,
	    (const char *)r->name.p, k.text);
}
