/*
 * kern_route.c - routes into the interfaces of VPNs, through rtnetlink.  Their metric is our own,
 * so that they are next to other people's routes of the same prefix instead of over them; what has
 * that metric too is somebody's who means to be in our place, and is respected.
 */
/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

#define METRIC	    67
#define METRIC_LAST 4294967000U /* of those that discard */
#define DUMPS_MAX   8		/* while routes come and go */

/* The kernel is not asked for each route.  0: errno says why. */
static unsigned device_index(uint32_t vpn)
{
	char name[KERN_IF_NAME_LEN];

	return vpn <= KERN_DEVICE_VPN_MAX ? KERN_DEVICE_INDEX(vpn)
					  : if_nametoindex(kern_device_name(vpn, name));
}

static int change(struct rtnl *t, uint16_t type, uint16_t flags, const struct kern_route *r)
{
	bool add = type == RTM_NEWROUTE;
	bool via = add && !r->discards;
	unsigned index = via ? device_index(r->vpn) : 0;
	struct nlmsghdr *h;
	struct rtmsg *m;

	if (via && index == 0)
		return errno;
	h = rtnl_begin(t, type, NLM_F_ACK | flags, sizeof(*m), &m);
	m->rtm_family = r->dst.addr.family;
	m->rtm_dst_len = r->dst.len;
	m->rtm_table = RT_TABLE_UNSPEC;
	m->rtm_protocol = KERN_ROUTE_PROTOCOL;
	m->rtm_scope = !via			       ? add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE
		       : r->dst.addr.family == AF_INET ? RT_SCOPE_LINK
						       : RT_SCOPE_UNIVERSE;
	m->rtm_type = r->discards ? RTN_BLACKHOLE : RTN_UNICAST;
	rtnl_put_addr(h, RTA_DST, &r->dst.addr);
	mnl_attr_put_u32(h, RTA_TABLE, r->table);
	mnl_attr_put_u32(h, RTA_PRIORITY, r->discards ? METRIC_LAST : METRIC);
	if (via)
		mnl_attr_put_u32(h, RTA_OIF, index);
	if (via && r->src.family == r->dst.addr.family)
		rtnl_put_addr(h, RTA_PREFSRC, &r->src);
	return rtnl_talk(t, NULL, NULL);
}

static int refused(struct kern_fault *f, int err, const char *operation, const struct prefix *dst)
{
	char text[PREFIX_STRLEN];

	return rtnl_refused(f, err, operation, prefix_print(dst, text));
}

int kern_route_add(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	int err = change(kern_net_of(k), RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);

	return err != 0 ? refused(f, err, "route to", &r->dst) : 0;
}

int kern_route_put(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	int err = change(kern_net_of(k), RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r);

	return err != 0 ? refused(f, err, "route to", &r->dst) : 0;
}

int kern_route_del(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	int err = change(kern_net_of(k), RTM_DELROUTE, 0, r);

	return err != 0 ? refused(f, err, "no route to", &r->dst) : 0;
}

struct found {
	struct found *next;
	struct kern_route r;
};

struct dump {
	struct found *found;
	bool no_memory;
	uint32_t index; /* of the interface that was looked up last, and whose it is */
	uint32_t vpn;
};

/* By its name: one that somebody gave another name is to be made anew. */
static uint32_t device_of(struct dump *d, uint32_t index)
{
	char name[IF_NAMESIZE];

	if (index != d->index) {
		d->index = index;
		d->vpn = if_indextoname(index, name) != NULL ? kern_device_of(name) : 0;
	}
	return d->vpn;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *oif = rtnl_attr(h, sizeof(*m), RTA_OIF, sizeof(uint32_t));
	const struct nlattr *metric = rtnl_attr(h, sizeof(*m), RTA_PRIORITY, sizeof(uint32_t));
	struct kern_route r = {0};
	struct dump *d = arg;
	struct found *f;

	r.discards = m->rtm_type == RTN_BLACKHOLE;
	if (!rtnl_route(h, &r.table, &r.dst) || metric == NULL ||
	    mnl_attr_get_u32(metric) != (r.discards ? METRIC_LAST : METRIC) ||
	    (m->rtm_flags & RTM_F_CLONED) != 0)
		return MNL_CB_OK;
	if (!r.discards && oif != NULL)
		r.vpn = device_of(d, mnl_attr_get_u32(oif));
	(void)rtnl_addr(rtnl_attr(h, sizeof(*m), RTA_PREFSRC, 4), &r.src);
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		d->no_memory = true;
		return MNL_CB_OK;
	}
	f->r = r;
	f->next = d->found;
	d->found = f;
	return MNL_CB_OK;
}

/* All tables.  A kernel that knows how to sends only those with our number. */
static int dump_family(struct rtnl *t, uint8_t family, struct dump *d)
{
	struct rtmsg *m;

	rtnl_begin(t, RTM_GETROUTE, NLM_F_DUMP, sizeof(*m), &m);
	m->rtm_family = family;
	m->rtm_protocol = KERN_ROUTE_PROTOCOL;
	return rtnl_talk(t, on_route, d);
}

static int dump_once(struct rtnl *t, void (*fn)(void *arg, const struct kern_route *r), void *arg)
{
	struct dump d = {0};
	int err = dump_family(t, AF_INET, &d);

	if (err == 0)
		err = dump_family(t, AF_INET6, &d);
	if (err == EOPNOTSUPP || err == EAFNOSUPPORT || err == ENOENT)
		err = 0; /* no IPv6; no table yet */
	if (d.no_memory)
		err = ENOMEM;
	while (d.found != NULL) {
		struct found *one = d.found;
		d.found = one->next;
		if (err == 0)
			fn(arg, &one->r);
		free(one);
	}
	return err;
}

int kern_route_dump(struct kern *k, void (*fn)(void *arg, const struct kern_route *r), void *arg,
    struct kern_fault *f)
{
	int err = EINTR; /* something changed during the dump: from the start */

	for (int i = 0; err == EINTR && i < DUMPS_MAX; i++)
		err = dump_once(kern_net_of(k), fn, arg);
	return err != 0 ? rtnl_refused(f, err, "dump of", "routes") : 0;
}
