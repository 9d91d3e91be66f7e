/*
 * kern_device.c - the interface of a VPN in tunnel mode, through rtnetlink.  Its kind is "dummy":
 * routes can lead to it, and whatever the SPD does not take before ends in it.  It has no address,
 * so that neither IPv6 nor routing protocols find anything to do on it.
 */
/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

#define KIND	  "dummy"
#define DUMPS_MAX 8 /* while interfaces come and go */

uint32_t kern_device_of(const char *name)
{
	char again[KERN_IF_NAME_LEN];
	unsigned id;

	if (sscanf(name, "cvn%8x", &id) != 1 || strcmp(kern_device_name(id, again), name) != 0)
		return 0;
	return id;
}

/* The index is ours to choose: policies name it before the interface is there. */
static int link_new(struct rtnl *t, const char *name, uint32_t vpn, uint32_t mtu)
{
	struct nlmsghdr *h;
	struct ifinfomsg *i;
	struct nlattr *info;

	h = rtnl_begin(t, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*i), &i);
	if (vpn <= KERN_DEVICE_VPN_MAX)
		i->ifi_index = (int)KERN_DEVICE_INDEX(vpn);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_GROUP, KERN_LINK_GROUP);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, KIND);
	mnl_attr_nest_end(h, info);
	return rtnl_talk(t, NULL, NULL);
}

/* No link-local address.  Without IPv6 in the kernel there is none anyway. */
static void no_addresses(struct rtnl *t, unsigned index)
{
	struct nlmsghdr *h;
	struct ifinfomsg *i;
	struct nlattr *spec, *inet6;

	h = rtnl_begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i), &i);
	i->ifi_index = (int)index;
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(h, AF_INET6);
	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	(void)rtnl_talk(t, NULL, NULL);
}

static int link_up(struct rtnl *t, unsigned index, uint32_t mtu)
{
	struct nlmsghdr *h;
	struct ifinfomsg *i;

	h = rtnl_begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i), &i);
	i->ifi_index = (int)index;
	i->ifi_flags = IFF_UP;
	i->ifi_change = IFF_UP;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return rtnl_talk(t, NULL, NULL);
}

struct found {
	struct found *next;
	struct kern_device d;
};

struct dump {
	struct found *found;
	uint32_t only; /* 0: all */
	bool no_memory;
};

/* Policies of its index are of no use to another one. */
static bool has_index(uint32_t vpn, int index)
{
	return vpn > KERN_DEVICE_VPN_MAX || index == (int)KERN_DEVICE_INDEX(vpn);
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name = rtnl_attr(h, sizeof(*i), IFLA_IFNAME, 1);
	const struct nlattr *group = rtnl_attr(h, sizeof(*i), IFLA_GROUP, sizeof(uint32_t));
	const struct nlattr *mtu = rtnl_attr(h, sizeof(*i), IFLA_MTU, sizeof(uint32_t));
	const struct nlattr *kind = rtnl_attr_in(
	    rtnl_attr(h, sizeof(*i), IFLA_LINKINFO, 0), IFLA_INFO_KIND, sizeof(KIND) - 1);
	uint32_t id = name == NULL ? 0 : kern_device_of(mnl_attr_get_str(name));
	struct dump *d = arg;
	struct found *f;

	if (id == 0 || (d->only != 0 && id != d->only) || group == NULL || kind == NULL ||
	    mnl_attr_get_u32(group) != KERN_LINK_GROUP ||
	    memcmp(mnl_attr_get_payload(kind), KIND, sizeof(KIND) - 1) != 0)
		return MNL_CB_OK;
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		d->no_memory = true;
		return MNL_CB_OK;
	}
	f->d = (struct kern_device) {.vpn = id,
	    .mtu = mtu == NULL ? 0 : mnl_attr_get_u32(mtu),
	    .broken = (i->ifi_flags & IFF_UP) == 0 || !has_index(id, i->ifi_index)};
	f->next = d->found;
	d->found = f;
	return MNL_CB_OK;
}

/* One that is there: of ours? */
static bool is_ours(struct rtnl *t, uint32_t vpn, unsigned index)
{
	struct dump d = {.only = vpn};
	struct ifinfomsg *i;
	bool ours;

	rtnl_begin(t, RTM_GETLINK, 0, sizeof(*i), &i);
	i->ifi_index = (int)index;
	ours = rtnl_talk(t, on_link, &d) == 0 && d.found != NULL;
	free(d.found);
	return ours;
}

static int link_del(struct rtnl *t, unsigned index)
{
	struct ifinfomsg *i;

	rtnl_begin(t, RTM_DELLINK, NLM_F_ACK, sizeof(*i), &i);
	i->ifi_index = (int)index;
	return rtnl_talk(t, NULL, NULL);
}

int kern_device_put(struct kern *k, const struct kern_device *d, struct kern_fault *f)
{
	struct rtnl *t = kern_net_of(k);
	char name[KERN_IF_NAME_LEN];
	unsigned index;
	int err;

	err = link_new(t, kern_device_name(d->vpn, name), d->vpn, d->mtu);
	index = if_nametoindex(name);
	if (err == EEXIST && index != 0 && is_ours(t, d->vpn, index)) {
		err = 0;
		if (!has_index(d->vpn, (int)index) && (err = link_del(t, index)) == 0) {
			err = link_new(t, name, d->vpn, d->mtu);
			index = if_nametoindex(name);
		}
	}
	if (err == 0 && index == 0)
		err = ENODEV;
	if (err == 0) {
		no_addresses(t, index);
		err = link_up(t, index, d->mtu);
	}
	return err != 0 ? rtnl_refused(f, err, "interface", name) : 0;
}

int kern_device_del(struct kern *k, uint32_t vpn, struct kern_fault *f)
{
	struct rtnl *t = kern_net_of(k);
	char name[KERN_IF_NAME_LEN];
	unsigned index = if_nametoindex(kern_device_name(vpn, name));
	int err = ENODEV;

	if (index != 0 && is_ours(t, vpn, index))
		err = link_del(t, index);
	return err != 0 ? rtnl_refused(f, err, "no interface", name) : 0;
}

static int dump_once(struct rtnl *t, void (*fn)(void *arg, const struct kern_device *d), void *arg)
{
	struct dump d = {0};
	struct ifinfomsg *i;
	int err;

	rtnl_begin(t, RTM_GETLINK, NLM_F_DUMP, sizeof(*i), &i);
	err = rtnl_talk(t, on_link, &d);
	if (d.no_memory)
		err = ENOMEM;
	while (d.found != NULL) {
		struct found *one = d.found;
		d.found = one->next;
		if (err == 0)
			fn(arg, &one->d);
		free(one);
	}
	return err;
}

int kern_device_dump(struct kern *k, void (*fn)(void *arg, const struct kern_device *d), void *arg,
    struct kern_fault *f)
{
	int err = EINTR; /* something changed during the dump: from the start */

	for (int i = 0; err == EINTR && i < DUMPS_MAX; i++)
		err = dump_once(kern_net_of(k), fn, arg);
	return err != 0 ? rtnl_refused(f, err, "dump of", "interfaces") : 0;
}
