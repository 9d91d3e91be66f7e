/*
 * kern_own.c - this host's addresses, and what of its interfaces matters, through rtnetlink.
 */
/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

struct owns {
	struct kern_own *own;
	size_t count;
	size_t cap;
	bool no_memory;
};

static void take(struct owns *o, const struct kern_own *a)
{
	if (o->count == o->cap) {
		size_t cap = o->cap == 0 ? 16 : 2 * o->cap;
		struct kern_own *more = reallocarray(o->own, cap, sizeof(*more));

		if (more == NULL) {
			o->no_memory = true;
			return;
		}
		o->own = more;
		o->cap = cap;
	}
	o->own[o->count++] = *a;
}

/* One that cannot be sent from yet, or never, is none: the kernel refuses routes that name it. */
static int on_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *flags = rtnl_attr(h, sizeof(*m), IFA_FLAGS, sizeof(uint32_t));
	const struct nlattr *local = rtnl_attr(h, sizeof(*m), IFA_LOCAL, 4);
	const struct nlattr *net = rtnl_attr(h, sizeof(*m), IFA_ADDRESS, 4);
	struct kern_own a = {.len = m->ifa_prefixlen, .interface = m->ifa_index};
	uint32_t have = flags != NULL ? mnl_attr_get_u32(flags) : m->ifa_flags;
	struct addr other;

	if (local == NULL)
		local = net;
	if ((have & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 || m->ifa_scope >= RT_SCOPE_LINK ||
	    rtnl_addr(local, &a.addr) != 0)
		return MNL_CB_OK;
	if (rtnl_addr(net, &other) == 0 && addr_cmp(&a.addr, &other) != 0)
		a.len = (uint8_t)(8 * addr_len(&a.addr)); /* the network is the other end's */
	take(arg, &a);
	return MNL_CB_OK;
}

static void forget(void *arg)
{
	((struct owns *)arg)->count = 0;
}

/* In the kernel's order: the first one counts. */
int kern_own_dump(struct kern *k, void (*fn)(void *arg, const struct kern_own *a), void *arg,
    struct kern_fault *f)
{
	struct owns o = {.count = 0};
	struct ifaddrmsg *m;
	int err;

	rtnl_begin(kern_net_of(k), RTM_GETADDR, NLM_F_DUMP, sizeof(*m), &m);
	err = rtnl_dump(kern_net_of(k), on_addr, forget, &o);
	if (o.no_memory)
		err = ENOMEM;
	for (size_t i = 0; err == 0 && i < o.count; i++)
		fn(arg, &o.own[i]);
	free(o.own);
	return err != 0 ? rtnl_refused(f, err, "dump of", "addresses") : 0;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *name = rtnl_attr(h, sizeof(struct ifinfomsg), IFLA_IFNAME, 1);
	const struct nlattr *mtu = rtnl_attr(
	    h, sizeof(struct ifinfomsg), IFLA_MTU, sizeof(uint32_t));
	const struct nlattr *master = rtnl_attr(
	    h, sizeof(struct ifinfomsg), IFLA_MASTER, sizeof(uint32_t));
	const struct nlattr *kind = rtnl_attr_in(
	    rtnl_attr(h, sizeof(struct ifinfomsg), IFLA_LINKINFO, 0), IFLA_INFO_SLAVE_KIND,
	    sizeof("vrf"));
	const struct nlattr *group = rtnl_attr(
	    h, sizeof(struct ifinfomsg), IFLA_GROUP, sizeof(uint32_t));
	struct kern_interface *i = arg;

	i->ours = group != NULL && mnl_attr_get_u32(group) == KERN_LINK_GROUP;
	if (name != NULL)
		snprintf(i->name, sizeof(i->name), "%s", mnl_attr_get_str(name));
	if (mtu != NULL)
		i->mtu = mnl_attr_get_u32(mtu);
	if (master != NULL && kind != NULL && strcmp(mnl_attr_get_str(kind), "vrf") == 0)
		i->vrf = mnl_attr_get_u32(master);
	return MNL_CB_OK;
}

bool kern_interface_get(struct kern *k, uint32_t index, struct kern_interface *i)
{
	struct ifinfomsg *m;

	*i = (struct kern_interface) {0};
	rtnl_begin(kern_net_of(k), RTM_GETLINK, 0, sizeof(*m), &m);
	m->ifi_index = (int)index;
	return rtnl_talk(kern_net_of(k), on_link, i) == 0 && i->name[0] != '\0';
}
