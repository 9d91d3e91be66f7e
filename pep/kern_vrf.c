/*
 * kern_vrf.c - VRF devices, and the rules that lead what a VPN's tunnels brought in to the table of
 * its VRF, through rtnetlink.
 *
 * What an inbound SA has decrypted arrives where its ESP did, outside of every VRF.  The SA marks
 * it, and a rule of ours (mark, table, our protocol number) has it looked up where it belongs.
 * There is a rule for a VRF, not for a VPN, and it does nothing as long as nobody sets its mark.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

#define RULE_PRIORITY 435  /* before that of VRF devices (1000), which goes by interface */
#define RULES_MAX     8192 /* that a dump is read of */

/* --- devices -------------------------------------------------------------------------- */

struct search {
	bool found; /* a device of this name */
	struct kern_vrf vrf;
};

bool kern_vrf_is(const struct nlmsghdr *h)
{
	const struct nlattr *info = rtnl_attr(h, sizeof(struct ifinfomsg), IFLA_LINKINFO, 0);
	const struct nlattr *kind = rtnl_attr_in(info, IFLA_INFO_KIND, sizeof("vrf") - 1);

	return kind != NULL && strncmp(mnl_attr_get_str(kind), "vrf", sizeof("vrf") - 1) == 0 &&
	       mnl_attr_get_payload_len(kind) <= sizeof("vrf");
}

static int on_device(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *info = rtnl_attr(h, sizeof(*i), IFLA_LINKINFO, 0);
	const struct nlattr *table = rtnl_attr_in(
	    rtnl_attr_in(info, IFLA_INFO_DATA, 0), IFLA_VRF_TABLE, sizeof(uint32_t));
	struct search *s = arg;

	s->found = true;
	if (!kern_vrf_is(h) || table == NULL)
		return MNL_CB_OK;
	s->vrf = (struct kern_vrf) {
	    .index = (uint32_t)i->ifi_index, .table = mnl_attr_get_u32(table)};
	return MNL_CB_OK;
}

int kern_vrf_find(struct kern *k, const char *name, struct kern_vrf *v, struct kern_fault *f)
{
	struct rtnl *t = kern_net_of(k);
	struct search s = {.found = false};
	struct ifinfomsg *i;
	int err;

	mnl_attr_put_strz(rtnl_begin(t, RTM_GETLINK, 0, sizeof(*i), &i), IFLA_IFNAME, name);
	err = rtnl_talk(t, on_device, &s);
	if (err != 0 && err != ENODEV)
		return rtnl_refused(f, err, "VRF device", name);
	if (s.vrf.index == 0)
		return kern_fault_set(f, KERN_ABSENT, 0, "%s%s%s",
		    s.found ? "" : "there is no VRF device ", name,
		    s.found ? " is not a VRF device" : "");
	*v = s.vrf;
	return 0;
}

/* --- rules ------------------------------------------------------------------------------ */

static const uint8_t families[] = {AF_INET, AF_INET6};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

struct rule { /* in a dump */
	struct kern_rule rule;
	uint8_t family;
	bool ours;
};

struct rules {
	struct rule *rule;
	size_t count;
	size_t cap;
	size_t before; /* of them: not of the dump that runs */
	bool no_memory;
};

static uint32_t rule_u32(const struct nlmsghdr *h, uint16_t type)
{
	const struct nlattr *a = rtnl_attr(h, sizeof(struct fib_rule_hdr), type, sizeof(uint32_t));

	return a == NULL ? 0 : mnl_attr_get_u32(a);
}

bool kern_rule_ours(const struct nlmsghdr *h)
{
	const struct nlattr *a = rtnl_attr(h, sizeof(struct fib_rule_hdr), FRA_PROTOCOL, 1);

	return a != NULL && mnl_attr_get_u8(a) == KERN_ROUTE_PROTOCOL;
}

static int on_rule(const struct nlmsghdr *h, void *arg)
{
	const struct fib_rule_hdr *r = mnl_nlmsg_get_payload(h);
	struct rules *l = arg;
	struct rule *more;

	if (rule_u32(h, FRA_FWMASK) == 0 && !kern_rule_ours(h))
		return MNL_CB_OK; /* it does not look at marks */
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? 16 : 2 * l->cap;

		more = cap > RULES_MAX ? NULL : reallocarray(l->rule, cap, sizeof(*more));
		if (more == NULL) {
			l->no_memory = true;
			return MNL_CB_OK;
		}
		l->rule = more;
		l->cap = cap;
	}
	l->rule[l->count++] = (struct rule) {.rule.mark.value = rule_u32(h, FRA_FWMARK),
	    .rule.mark.mask = rule_u32(h, FRA_FWMASK),
	    .rule.table = rule_u32(h, FRA_TABLE),
	    .family = r->family,
	    .ours = kern_rule_ours(h)};
	return MNL_CB_OK;
}

static void forget(void *arg)
{
	struct rules *l = arg;

	l->count = l->before;
}

static bool rule_same(const struct kern_rule *a, const struct kern_rule *b)
{
	return a->table == b->table && kern_mark_same(&a->mark, &b->mark);
}

static bool has_rule(const struct rules *l, const struct kern_rule *w, uint8_t family)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->rule[i].ours && l->rule[i].family == family &&
		    rule_same(&l->rule[i].rule, w))
			return true;
	return false;
}

static bool wanted(const struct kern_rule *want, size_t count, const struct kern_rule *r)
{
	for (size_t i = 0; i < count; i++)
		if (rule_same(&want[i], r))
			return true;
	return false;
}

static int rule_change(
    struct rtnl *t, uint16_t type, uint16_t flags, uint8_t family, const struct kern_rule *r)
{
	struct fib_rule_hdr *rule;
	struct nlmsghdr *h = rtnl_begin(t, type, NLM_F_ACK | flags, sizeof(*rule), &rule);

	rule->family = family;
	rule->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(h, FRA_PRIORITY, RULE_PRIORITY);
	mnl_attr_put_u32(h, FRA_FWMARK, r->mark.value);
	mnl_attr_put_u32(h, FRA_FWMASK, r->mark.mask);
	mnl_attr_put_u32(h, FRA_TABLE, r->table);
	mnl_attr_put_u8(h, FRA_PROTOCOL, KERN_ROUTE_PROTOCOL);
	return rtnl_talk(t, NULL, NULL);
}

static int refused(struct kern_fault *f, int err, const char *what, const struct kern_rule *r)
{
	return kern_fault_set(f, err == ETIMEDOUT ? KERN_NO_REPLY : KERN_REFUSED, err,
	    "%s: mark 0x%x/0x%x to table %u", what, (unsigned)r->mark.value, (unsigned)r->mark.mask,
	    (unsigned)r->table);
}

/* Others' rules that look at our bits would lead our packets elsewhere, or theirs to us. */
static int check_others(
    const struct rules *l, const struct kern_rule *want, size_t count, struct kern_fault *f)
{
	for (size_t i = 0; i < l->count; i++)
		for (size_t j = 0; j < count && !l->rule[i].ours; j++) {
			const struct kern_rule *r = &l->rule[i].rule;

			if ((r->mark.value & want[j].mark.mask) != 0)
				return kern_fault_set(f, KERN_EXISTS, 0,
				    "a rule of others has mark 0x%x/0x%x, which is within "
				    "mark-mask 0x%x",
				    (unsigned)r->mark.value, (unsigned)r->mark.mask,
				    (unsigned)want[j].mark.mask);
		}
	return 0;
}

static int change(struct rtnl *t, const struct rules *l, const struct kern_rule *want, size_t count,
    bool prune, struct kern_fault *f)
{
	int err = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < FAMILIES && err == 0; j++) {
			if (has_rule(l, &want[i], families[j]))
				continue;
			err = rule_change(
			    t, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, families[j], &want[i]);
			if (err == EAFNOSUPPORT && families[j] == AF_INET6)
				err = 0; /* a kernel without IPv6 */
			if (err != 0)
				return refused(f, err, "rule", &want[i]);
		}
	for (size_t i = 0; prune && i < l->count; i++) {
		const struct rule *r = &l->rule[i];

		if (!r->ours || wanted(want, count, &r->rule))
			continue;
		err = rule_change(t, RTM_DELRULE, 0, r->family, &r->rule);
		if (err != 0 && err != ENOENT)
			return refused(f, err, "no rule", &r->rule);
	}
	return 0;
}

int kern_vrf_rules(
    struct kern *k, const struct kern_rule *want, size_t count, bool prune, struct kern_fault *f)
{
	struct rtnl *t = kern_net_of(k);
	struct rules l = {.count = 0};
	int err = 0;
	int ret = -1;

	for (size_t i = 0; i < FAMILIES && err == 0; i++) {
		struct fib_rule_hdr *h;

		rtnl_begin(t, RTM_GETRULE, NLM_F_DUMP, sizeof(*h), &h);
		h->family = families[i];
		l.before = l.count;
		err = rtnl_dump(t, on_rule, forget, &l);
		if (err == EAFNOSUPPORT || err == EOPNOTSUPP)
			err = 0;
	}
	if (err == 0 && l.no_memory)
		err = ENOMEM;
	if (err != 0)
		rtnl_refused(f, err, "dump of", "rules");
	else if (check_others(&l, want, count, f) == 0)
		ret = change(t, &l, want, count, prune, f);
	free(l.rule);
	return ret;
}
