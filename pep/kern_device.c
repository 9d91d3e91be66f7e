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

/* Policies of its index are of no use to another one. */
static bool has_index(uint32_t vpn, int index)
{
	return vpn > KERN_DEVICE_VPN_MAX || index == (int)KERN_DEVICE_INDEX(vpn);
}

/* Whose it is, of ours; 0: it is not.  One that somebody gave another name is told by its index. */
static uint32_t vpn_of(const struct nlmsghdr *h, bool *named)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name = rtnl_attr(h, sizeof(*i), IFLA_IFNAME, 1);
	const struct nlattr *group = rtnl_attr(h, sizeof(*i), IFLA_GROUP, sizeof(uint32_t));
	const struct nlattr *kind = rtnl_attr_in(
	    rtnl_attr(h, sizeof(*i), IFLA_LINKINFO, 0), IFLA_INFO_KIND, sizeof(KIND) - 1);
	uint32_t id = name == NULL ? 0 : kern_device_of(mnl_attr_get_str(name));
	uint32_t index = (uint32_t)i->ifi_index;

	if (group == NULL || kind == NULL || mnl_attr_get_u32(group) != KERN_LINK_GROUP ||
	    memcmp(mnl_attr_get_payload(kind), KIND, sizeof(KIND) - 1) != 0)
		return 0;
	*named = id != 0;
	if (id != 0)
		return id;
	return index > KERN_DEVICE_INDEX(0) && index <= KERN_DEVICE_INDEX(KERN_DEVICE_VPN_MAX)
		   ? index - KERN_DEVICE_INDEX(0)
		   : 0;
}

static int on_one(const struct nlmsghdr *h, void *arg)
{
	bool named, *ours = arg;

	*ours = vpn_of(h, &named) != 0;
	return MNL_CB_OK;
}

/* Is the interface of this index one of ours?  0 or an errno value. */
static int is_ours(struct rtnl *t, unsigned index, bool *ours)
{
	struct ifinfomsg *i;
	int err;

	*ours = false;
	rtnl_begin(t, RTM_GETLINK, 0, sizeof(*i), &i);
	i->ifi_index = (int)index;
	err = rtnl_talk(t, on_one, ours);
	return err == ENODEV ? 0 : err;
}

static int link_del(struct rtnl *t, unsigned index)
{
	struct ifinfomsg *i;

	rtnl_begin(t, RTM_DELLINK, NLM_F_ACK, sizeof(*i), &i);
	i->ifi_index = (int)index;
	return rtnl_talk(t, NULL, NULL);
}

/* What of ours has the index, whatever its name is now, or the name. */
static int own_del(struct rtnl *t, uint32_t vpn, const char *name)
{
	unsigned at[] = {vpn <= KERN_DEVICE_VPN_MAX ? KERN_DEVICE_INDEX(vpn) : 0, 0};
	bool ours, found = false;
	int err = 0;

	for (size_t n = 0; n < sizeof(at) / sizeof(at[0]) && err == 0; n++) {
		if (n > 0)
			at[n] = if_nametoindex(name);
		if (at[n] == 0 || (err = is_ours(t, at[n], &ours)) != 0 || !ours)
			continue;
		found = true;
		err = link_del(t, at[n]);
	}
	return err == 0 && !found ? ENODEV : err;
}

int kern_device_put(struct kern *k, const struct kern_device *d, struct kern_fault *f)
{
	struct rtnl *t = kern_net_of(k);
	char name[KERN_IF_NAME_LEN];
	bool ours = false;
	unsigned index;
	int err;

	err = link_new(t, kern_device_name(d->vpn, name), d->vpn, d->mtu);
	index = if_nametoindex(name);
	if (err == EEXIST && index != 0 && has_index(d->vpn, (int)index) &&
	    is_ours(t, index, &ours) == 0 && ours) {
		err = 0;
	} else if (err == EEXIST && own_del(t, d->vpn, name) == 0) {
		err = link_new(t, name, d->vpn, d->mtu);
		index = if_nametoindex(name);
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
	char name[KERN_IF_NAME_LEN];
	int err = own_del(kern_net_of(k), vpn, kern_device_name(vpn, name));

	return err != 0 ? rtnl_refused(f, err, "no interface", name) : 0;
}

/* --- what is there --------------------------------------------------------------------- */

struct found {
	struct found *next;
	struct kern_device d;
};

struct dump {
	struct found *found;
	bool no_memory;
};

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *mtu = rtnl_attr(h, sizeof(*i), IFLA_MTU, sizeof(uint32_t));
	bool named = false;
	uint32_t id = vpn_of(h, &named);
	struct dump *d = arg;
	struct found *f;

	if (id == 0)
		return MNL_CB_OK;
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		d->no_memory = true;
		return MNL_CB_OK;
	}
	f->d = (struct kern_device) {.vpn = id,
	    .mtu = mtu == NULL ? 0 : mnl_attr_get_u32(mtu),
	    .broken = !named || (i->ifi_flags & IFF_UP) == 0 || !has_index(id, i->ifi_index)};
	f->next = d->found;
	d->found = f;
	return MNL_CB_OK;
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
