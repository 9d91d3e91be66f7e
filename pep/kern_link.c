/*
 * kern_link.c - tunnel interfaces (IP in IP, VTI) and the routes into them, through rtnetlink.
 *
 * An interface of IP in IP is made so that the kernel looks neither what goes into it nor what
 * comes from it up in the SPD (disable_xfrm, disable_policy), only the packet around it; and that
 * what comes from it has a source that is routed into it (rp_filter).  So entries that discard the
 * prefixes behind a tunnel hold for all other interfaces.  Linux has this for IPv4 alone, so IPv4
 * alone is carried; what is around it may be of either family.
 *
 * VTI finds its SA by looking into the SPD, so what goes into it must not be exempt (disable_xfrm),
 * and has policies of the interface's own; for these its index is one that we choose.  What comes
 * out of it was looked up with its key as mark, and is not once more (disable_policy).  Without its
 * policies or SA it drops what it is given.
 *
 * A tunnel with an inner address is one that routing daemons put routes into, so that a packet may
 * come by another tunnel than an answer would take: its rp_filter is the loose one, which only
 * wants the source to be routed somewhere.  With inner_peer the interface has both addresses, as a
 * point-to-point link, and multicast: routing daemons speak over it.  Without inner_peer it has
 * neither, so that no daemon says anything unasked: inner is an address of the host by a route of
 * type local.
 */
/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/ip.h>
#include <linux/ip6_tunnel.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

#define TTL	     64
#define DUMPS_MAX    8 /* while interfaces come and go */
#define MTU_FALLBACK 1500
#define MTU_MIN	     576
#define ESP_MAX	     73 /* octets: header, IV of 16, padding and trailer of 17, ICV of 32 */

/* --- interfaces --------------------------------------------------------------------- */

static const char *kind_of(const struct kern_tunnel *t)
{
	if (t->key != 0)
		return "vti";
	return t->local.family == AF_INET6 ? "ip6tnl" : "ipip";
}

/* The inner packet must fit in with everything that comes around it. */
static uint32_t mtu_of(const struct kern_tunnel *t)
{
	uint32_t mtu = t->mtu;
	uint32_t around = ESP_MAX + (t->local.family == AF_INET6 ? 40U : 20U);

	if (mtu == 0)
		mtu = MTU_FALLBACK;
	return mtu > MTU_MIN + around ? mtu - around : MTU_MIN;
}

#define TOS_INHERIT 1 /* of IPv4's tunnels: of the packet inside (ip_tunnel_xmit()) */

/* The DSCP outside: of the packet inside, or another; ECN is the tunnel's business (RFC 6040). */
static void put_dscp(struct nlmsghdr *h, const struct kern_tunnel *w)
{
	uint8_t tos = (uint8_t)(w->dscp << 2);
	uint32_t flags = IP6_TNL_F_IGN_ENCAP_LIMIT;

	if (w->local.family != AF_INET6) {
		mnl_attr_put_u8(h, IFLA_IPTUN_TOS, w->dscp_set ? tos : TOS_INHERIT);
		return;
	}
	if (!w->dscp_set)
		flags |= IP6_TNL_F_USE_ORIG_TCLASS;
	mnl_attr_put_u32(h, IFLA_IPTUN_FLAGS, flags);
	mnl_attr_put_u32(h, IFLA_IPTUN_FLOWINFO, w->dscp_set ? htonl((uint32_t)tos << 20) : 0);
}

static void put_ipip(struct nlmsghdr *h, const struct kern_tunnel *w)
{
	rtnl_put_addr(h, IFLA_IPTUN_LOCAL, &w->local);
	rtnl_put_addr(h, IFLA_IPTUN_REMOTE, &w->remote);
	mnl_attr_put_u8(h, IFLA_IPTUN_TTL, TTL);
	mnl_attr_put_u8(h, IFLA_IPTUN_PROTO, IPPROTO_IPIP);
	put_dscp(h, w);
	if (w->local.family == AF_INET)
		mnl_attr_put_u8(h, IFLA_IPTUN_PMTUDISC, 1);
}

static void put_vti(struct nlmsghdr *h, const struct kern_tunnel *w)
{
	rtnl_put_addr(h, IFLA_VTI_LOCAL, &w->local);
	rtnl_put_addr(h, IFLA_VTI_REMOTE, &w->remote);
	mnl_attr_put_u32(h, IFLA_VTI_IKEY, htonl(w->key));
	mnl_attr_put_u32(h, IFLA_VTI_OKEY, htonl(w->key));
}

/*
 * Outer headers as tunnel mode makes them: nothing optional, what is copied is copied.  flags:
 * NLM_F_CREATE, or 0 for one that is there.
 */
static int link_set(struct rtnl *t, const struct kern_tunnel *w, const char *name, uint16_t flags)
{
	struct nlattr *info, *data;
	struct ifinfomsg *i;
	struct nlmsghdr *h = rtnl_begin(t, RTM_NEWLINK, NLM_F_ACK | flags, sizeof(*i), &i);

	if (w->key != 0)
		i->ifi_index = (int)KERN_TUNNEL_INDEX(w->id);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, mtu_of(w));
	mnl_attr_put_u32(h, IFLA_GROUP, KERN_LINK_GROUP);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind_of(w));
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	(w->key != 0 ? put_vti : put_ipip)(h, w);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return rtnl_talk(t, NULL, NULL);
}

#define CONFS	  3
#define RP_STRICT 1
#define RP_LOOSE  2

struct conf {
	uint16_t number;
	uint32_t value;
};

static void conf_of(const struct kern_tunnel *t, struct conf conf[CONFS])
{
	conf[0] = (struct conf) {IPV4_DEVCONF_NOXFRM, t->key == 0};
	conf[1] = (struct conf) {IPV4_DEVCONF_NOPOLICY, 1};
	conf[2] = (struct conf) {
	    IPV4_DEVCONF_RP_FILTER, t->inner.family != 0 ? RP_LOOSE : RP_STRICT};
}

static int link_conf(struct rtnl *t, const struct kern_tunnel *w, unsigned index)
{
	struct conf conf[CONFS];
	struct ifinfomsg *i;
	struct nlmsghdr *h = rtnl_begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i), &i);
	struct nlattr *spec, *inet, *values;

	conf_of(w, conf);
	i->ifi_index = (int)index;
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	inet = mnl_attr_nest_start(h, AF_INET);
	values = mnl_attr_nest_start(h, IFLA_INET_CONF);
	for (size_t n = 0; n < CONFS; n++)
		mnl_attr_put_u32(h, conf[n].number, conf[n].value);
	mnl_attr_nest_end(h, values);
	mnl_attr_nest_end(h, inet);
	mnl_attr_nest_end(h, spec);
	return rtnl_talk(t, NULL, NULL);
}

static int link_up(struct rtnl *t, const struct kern_tunnel *w, unsigned index)
{
	struct ifinfomsg *i;

	rtnl_begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i), &i);
	i->ifi_index = (int)index;
	i->ifi_flags = IFF_UP | (w->inner_peer.family != 0 ? IFF_MULTICAST : 0);
	i->ifi_change = IFF_UP | IFF_MULTICAST;
	return rtnl_talk(t, NULL, NULL);
}

static int link_addr(struct rtnl *t, const struct kern_tunnel *w, unsigned index, uint16_t flags)
{
	struct ifaddrmsg *a;
	struct nlmsghdr *h = rtnl_begin(t, RTM_NEWADDR, NLM_F_ACK | flags, sizeof(*a), &a);

	a->ifa_family = w->inner.family;
	a->ifa_prefixlen = (uint8_t)(8 * addr_len(&w->inner));
	a->ifa_index = index;
	rtnl_put_addr(h, IFA_LOCAL, &w->inner);
	rtnl_put_addr(h, IFA_ADDRESS, &w->inner_peer);
	return rtnl_talk(t, NULL, NULL);
}

static int link_del(struct rtnl *t, const char *name)
{
	struct ifinfomsg *i;
	struct nlmsghdr *h = rtnl_begin(t, RTM_DELLINK, NLM_F_ACK, sizeof(*i), &i);

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return rtnl_talk(t, NULL, NULL);
}

/* Only an interface of ours may be deleted: others may have the name. */
static int own_del(struct rtnl *t, const char *name, const struct kern_tunnel *was)
{
	return was != NULL ? link_del(t, name) : 0;
}

/* --- routes ------------------------------------------------------------------------- */

static int route_change(
    struct rtnl *t, uint16_t type, unsigned index, const struct prefix *dst, const struct addr *src)
{
	bool add = type == RTM_NEWROUTE;
	struct rtmsg *r;
	struct nlmsghdr *h = rtnl_begin(
	    t, type, NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0), sizeof(*r), &r);

	r->rtm_family = dst->addr.family;
	r->rtm_dst_len = dst->len;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = KERN_ROUTE_PROTOCOL;
	r->rtm_scope = add ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
	r->rtm_type = RTN_UNICAST;
	rtnl_put_addr(h, RTA_DST, &dst->addr);
	mnl_attr_put_u32(h, RTA_OIF, index);
	if (add && src->family == dst->addr.family)
		rtnl_put_addr(h, RTA_PREFSRC, src);
	return rtnl_talk(t, NULL, NULL);
}

/* The host's without being the interface's.  Each tunnel has such a route, told apart by metric. */
static int local_route(struct rtnl *t, const struct kern_tunnel *w, unsigned index)
{
	struct rtmsg *r;
	struct nlmsghdr *h = rtnl_begin(
	    t, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(*r), &r);

	r->rtm_family = w->inner.family;
	r->rtm_dst_len = (uint8_t)(8 * addr_len(&w->inner));
	r->rtm_table = RT_TABLE_LOCAL;
	r->rtm_protocol = KERN_ROUTE_PROTOCOL;
	r->rtm_scope = RT_SCOPE_HOST;
	r->rtm_type = RTN_LOCAL;
	rtnl_put_addr(h, RTA_DST, &w->inner);
	mnl_attr_put_u32(h, RTA_OIF, index);
	mnl_attr_put_u32(h, RTA_PRIORITY, w->id);
	return rtnl_talk(t, NULL, NULL);
}

static int inner_put(struct rtnl *t, const struct kern_tunnel *w, unsigned index)
{
	if (w->inner.family == 0)
		return 0;
	return w->inner_peer.family != 0 ? link_addr(t, w, index, NLM_F_CREATE | NLM_F_EXCL)
					 : local_route(t, w, index);
}

static bool has_route(const struct kern_tunnel *t, const struct prefix *dst)
{
	size_t lo = 0;
	size_t hi = t == NULL ? 0 : t->routes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int r = prefix_cmp(&t->route[mid].dst, dst);
		if (r == 0)
			return true;
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static int routes_put(struct rtnl *t, unsigned index, const struct kern_tunnel *w,
    const struct kern_tunnel *was, struct kern_fault *f)
{
	char text[PREFIX_STRLEN];
	int err;

	for (size_t i = 0; i < w->routes; i++) {
		if (has_route(was, &w->route[i].dst))
			continue;
		err = route_change(t, RTM_NEWROUTE, index, &w->route[i].dst, &w->src);
		if (err == 0)
			continue;
		rtnl_refused(f, err, "route to", prefix_print(&w->route[i].dst, text));
		f->row = w->route[i].row;
		return -1;
	}
	for (size_t i = 0; was != NULL && i < was->routes; i++) {
		if (has_route(w, &was->route[i].dst))
			continue;
		err = route_change(t, RTM_DELROUTE, index, &was->route[i].dst, &w->src);
		if (err != 0 && err != ESRCH)
			return rtnl_refused(
			    f, err, "no route to", prefix_print(&was->route[i].dst, text));
	}
	return 0;
}

/* --- operations ----------------------------------------------------------------------- */

/* Can the interface stay, and only routes come and go? */
static bool stays(const struct kern_tunnel *t, const struct kern_tunnel *was)
{
	return was != NULL && !was->broken && !addr_cmp(&t->local, &was->local) &&
	       !addr_cmp(&t->remote, &was->remote) && !addr_cmp(&t->src, &was->src) &&
	       !addr_cmp(&t->inner, &was->inner) && !addr_cmp(&t->inner_peer, &was->inner_peer) &&
	       t->key == was->key;
}

/* Two interfaces of a kind between the same two addresses are one too many for the kernel. */
static int not_made(struct kern_fault *f, int err, const struct kern_tunnel *w, const char *name)
{
	char what[32];

	snprintf(what, sizeof(what), "interface of kind %s", kind_of(w));
	return rtnl_refused(f, err, what, name);
}

static bool dscp_same(const struct kern_tunnel *a, const struct kern_tunnel *b)
{
	return a->dscp_set == b->dscp_set && (!a->dscp_set || a->dscp == b->dscp);
}

static int make(struct rtnl *t, const struct kern_tunnel *w, const char *name, struct kern_fault *f)
{
	int err = link_set(t, w, name, NLM_F_CREATE | NLM_F_EXCL);
	unsigned index;

	if (err != 0)
		return not_made(f, err, w, name);
	index = if_nametoindex(name);
	err = index == 0 ? errno : link_conf(t, w, index);
	if (err == 0)
		err = link_up(t, w, index);
	if (err == 0)
		err = inner_put(t, w, index);
	if (err != 0)
		rtnl_refused(f, err, "interface", name);
	else if (routes_put(t, index, w, NULL, f) == 0)
		return 0;
	(void)link_del(t, name); /* its routes go with it */
	return -1;
}

static int change(struct rtnl *t, const struct kern_tunnel *w, const struct kern_tunnel *was,
    const char *name, struct kern_fault *f)
{
	unsigned index;
	int err;

	if (stays(w, was)) {
		index = if_nametoindex(name);
		if (index == 0)
			return rtnl_refused(f, errno, "interface", name);
		err = dscp_same(w, was) ? 0 : link_set(t, w, name, 0);
		if (err != 0)
			return rtnl_refused(f, err, "DSCP of interface", name);
		return routes_put(t, index, w, was, f);
	}
	err = own_del(t, name, was);
	if (err != 0 && err != ENODEV)
		return rtnl_refused(f, err, "no interface", name);
	return make(t, w, name, f);
}

int kern_tunnel_put(struct kern *k, const struct kern_tunnel *t, const struct kern_tunnel *was,
    struct kern_fault *f)
{
	char name[KERN_TUNNEL_NAME_LEN];

	return change(kern_net_of(k), t, was, kern_tunnel_name(t->id, name), f);
}

int kern_tunnel_say(struct kern *k, const struct kern_tunnel *t, struct kern_fault *f)
{
	struct rtnl *s = kern_net_of(k);
	char name[KERN_TUNNEL_NAME_LEN];
	unsigned index = if_nametoindex(kern_tunnel_name(t->id, name));
	int err = index == 0 ? errno : link_addr(s, t, index, NLM_F_REPLACE);

	return err != 0 ? rtnl_refused(f, err, "address of", name) : 0;
}

int kern_tunnel_del(struct kern *k, uint32_t id, struct kern_fault *f)
{
	char name[KERN_TUNNEL_NAME_LEN];
	struct rtnl *s = kern_net_of(k);
	int err;

	err = link_del(s, kern_tunnel_name(id, name));
	return err != 0 ? rtnl_refused(f, err, "no interface", name) : 0;
}

/* --- what is there --------------------------------------------------------------------- */

struct found { /* an interface of ours, in a dump */
	struct found *next;
	unsigned index;
	bool multicast;
	uint32_t conf[CONFS]; /* values, in the order of conf_of() */
	size_t cap;
	struct kern_tunnel t;
};

struct dump {
	struct found *found;
	bool no_memory;
};

/* The number in a name of ours; 0: it is not one. */
uint32_t kern_tunnel_of(const char *name)
{
	char again[KERN_TUNNEL_NAME_LEN];
	unsigned id;

	if (sscanf(name, "cv%8x", &id) != 1 || strcmp(kern_tunnel_name(id, again), name) != 0)
		return 0;
	return id;
}

/* In dumps all values are an array of 32 bits each, the first of number 1. */
static void read_conf(const struct nlattr *values, struct found *f)
{
	const uint32_t *v = values == NULL ? NULL : mnl_attr_get_payload(values);
	size_t n = values == NULL ? 0 : mnl_attr_get_payload_len(values) / sizeof(*v);
	struct conf conf[CONFS];

	conf_of(&f->t, conf);
	for (size_t i = 0; i < CONFS; i++)
		f->conf[i] = conf[i].number > n ? 0 : v[conf[i].number - 1];
}

static void read_dscp(const struct nlattr *data, struct kern_tunnel *t)
{
	const struct nlattr *tos = rtnl_attr_in(data, IFLA_IPTUN_TOS, 1);
	const struct nlattr *flags = rtnl_attr_in(data, IFLA_IPTUN_FLAGS, sizeof(uint32_t));
	const struct nlattr *flow = rtnl_attr_in(data, IFLA_IPTUN_FLOWINFO, sizeof(uint32_t));

	if (t->local.family == AF_INET) {
		t->dscp_set = tos != NULL && mnl_attr_get_u8(tos) != TOS_INHERIT;
		t->dscp = t->dscp_set ? mnl_attr_get_u8(tos) >> 2 : 0;
	} else if (flags != NULL && (mnl_attr_get_u32(flags) & IP6_TNL_F_USE_ORIG_TCLASS) == 0) {
		t->dscp_set = true;
		t->dscp = flow == NULL ? 0 : (uint8_t)(ntohl(mnl_attr_get_u32(flow)) >> 22 & 0x3f);
	}
}

/* All of it was read. */
static void judge(struct found *f)
{
	struct conf conf[CONFS];

	conf_of(&f->t, conf);
	for (size_t i = 0; i < CONFS; i++)
		f->t.broken |= f->conf[i] != conf[i].value;
	f->t.broken |= f->t.inner_peer.family != 0 && !f->multicast;
}

/* false: it is not as we make them. */
static bool read_vti(const struct nlattr *data, const struct ifinfomsg *i, struct kern_tunnel *t)
{
	const struct nlattr *in = rtnl_attr_in(data, IFLA_VTI_IKEY, sizeof(uint32_t));
	const struct nlattr *out = rtnl_attr_in(data, IFLA_VTI_OKEY, sizeof(uint32_t));

	t->key = in == NULL ? 0 : ntohl(mnl_attr_get_u32(in));
	return rtnl_addr(rtnl_attr_in(data, IFLA_VTI_LOCAL, 4), &t->local) == 0 &&
	       rtnl_addr(rtnl_attr_in(data, IFLA_VTI_REMOTE, 4), &t->remote) == 0 && t->key != 0 &&
	       out != NULL && ntohl(mnl_attr_get_u32(out)) == t->key &&
	       (unsigned)i->ifi_index == KERN_TUNNEL_INDEX(t->id);
}

static bool read_ipip(const struct nlattr *data, const struct ifinfomsg *i, struct kern_tunnel *t)
{
	(void)i;
	if (rtnl_addr(rtnl_attr_in(data, IFLA_IPTUN_LOCAL, 4), &t->local) != 0 ||
	    rtnl_addr(rtnl_attr_in(data, IFLA_IPTUN_REMOTE, 4), &t->remote) != 0)
		return false;
	read_dscp(data, t);
	return true;
}

static bool is_vti(const struct nlattr *info)
{
	const struct nlattr *kind = rtnl_attr_in(info, IFLA_INFO_KIND, sizeof("vti"));

	return kind != NULL && strncmp(mnl_attr_get_str(kind), "vti", sizeof("vti")) == 0;
}

static void read_link(const struct nlmsghdr *h, const struct ifinfomsg *i, struct found *f)
{
	struct kern_tunnel *t = &f->t;
	const struct nlattr *info = rtnl_attr(h, sizeof(*i), IFLA_LINKINFO, 0);
	const struct nlattr *data = rtnl_attr_in(info, IFLA_INFO_DATA, 0);
	const struct nlattr *spec = rtnl_attr(h, sizeof(*i), IFLA_AF_SPEC, 0);
	bool as_made = (is_vti(info) ? read_vti : read_ipip)(data, i, t);

	t->broken = !as_made || (i->ifi_flags & IFF_UP) == 0;
	f->multicast = (i->ifi_flags & IFF_MULTICAST) != 0;
	read_conf(rtnl_attr_in(rtnl_attr_in(spec, AF_INET, 0), IFLA_INET_CONF, 0), f);
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name = rtnl_attr(h, sizeof(*i), IFLA_IFNAME, 1);
	const struct nlattr *group = rtnl_attr(h, sizeof(*i), IFLA_GROUP, sizeof(uint32_t));
	uint32_t id = name == NULL ? 0 : kern_tunnel_of(mnl_attr_get_str(name));
	struct dump *d = arg;
	struct found *f;

	if (id == 0 || group == NULL || mnl_attr_get_u32(group) != KERN_LINK_GROUP)
		return MNL_CB_OK;
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		d->no_memory = true;
		return MNL_CB_OK;
	}
	f->index = (unsigned)i->ifi_index;
	f->t.id = id;
	read_link(h, i, f);
	f->next = d->found;
	d->found = f;
	return MNL_CB_OK;
}

static void add_route(struct dump *d, struct found *f, const struct prefix *dst)
{
	if (f->t.routes == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 4;
		struct kern_tunnel_route *r = reallocarray(f->t.route, cap, sizeof(*r));
		if (r == NULL) {
			d->no_memory = true;
			return;
		}
		f->t.route = r;
		f->cap = cap;
	}
	f->t.route[f->t.routes++] = (struct kern_tunnel_route) {.dst = *dst};
}

static struct found *found_of(const struct dump *d, unsigned index)
{
	struct found *f = d->found;

	while (f != NULL && f->index != index)
		f = f->next;
	return f;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *oif = rtnl_attr(h, sizeof(struct rtmsg), RTA_OIF, sizeof(uint32_t));
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	struct dump *d = arg;
	struct prefix dst;
	struct found *f;
	uint32_t table;

	if (oif == NULL || (f = found_of(d, mnl_attr_get_u32(oif))) == NULL)
		return MNL_CB_OK;
	if (r->rtm_type == RTN_LOCAL && r->rtm_protocol == KERN_ROUTE_PROTOCOL)
		(void)rtnl_addr(rtnl_attr(h, sizeof(*r), RTA_DST, 4), &f->t.inner);
	if (!rtnl_route(h, &table, &dst) || table != RT_TABLE_MAIN || r->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	add_route(d, f, &dst);
	(void)rtnl_addr(rtnl_attr(h, sizeof(*r), RTA_PREFSRC, 4), &f->t.src);
	return MNL_CB_OK;
}

/* The first one with a peer: others may have given it more. */
static int on_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
	struct found *f = found_of(arg, a->ifa_index);
	struct addr own, peer;

	if (f == NULL || f->t.inner.family != 0 || a->ifa_prefixlen != 32 ||
	    rtnl_addr(rtnl_attr(h, sizeof(*a), IFA_LOCAL, 4), &own) != 0 ||
	    rtnl_addr(rtnl_attr(h, sizeof(*a), IFA_ADDRESS, 4), &peer) != 0 ||
	    addr_cmp(&own, &peer) == 0)
		return MNL_CB_OK;
	f->t.inner = own;
	f->t.inner_peer = peer;
	return MNL_CB_OK;
}

static int by_dst(const void *a, const void *b)
{
	return prefix_cmp(&((const struct kern_tunnel_route *)a)->dst,
	    &((const struct kern_tunnel_route *)b)->dst);
}

static int dump_once(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t), void *arg,
    struct kern_fault *f)
{
	struct rtnl *s = kern_net_of(k);
	struct dump d = {0};
	struct ifinfomsg *i;
	struct ifaddrmsg *a;
	struct rtmsg *r;
	int err;

	rtnl_begin(s, RTM_GETLINK, NLM_F_DUMP, sizeof(*i), &i);
	err = rtnl_talk(s, on_link, &d);
	if (err == 0 && d.found != NULL) {
		rtnl_begin(s, RTM_GETADDR, NLM_F_DUMP, sizeof(*a), &a);
		a->ifa_family = AF_INET;
		err = rtnl_talk(s, on_addr, &d);
	}
	if (err == 0 && d.found != NULL) {
		rtnl_begin(s, RTM_GETROUTE, NLM_F_DUMP, sizeof(*r), &r);
		r->rtm_family = AF_INET;
		r->rtm_protocol = KERN_ROUTE_PROTOCOL; /* a kernel that can sends no others */
		err = rtnl_talk(s, on_route, &d);
	}
	if (d.no_memory)
		err = ENOMEM;
	while (d.found != NULL) {
		struct found *one = d.found;
		d.found = one->next;
		judge(one);
		if (one->t.routes > 1)
			qsort(one->t.route, one->t.routes, sizeof(*one->t.route), by_dst);
		if (err == 0)
			fn(arg, &one->t);
		free(one->t.route);
		free(one);
	}
	return err != 0 ? rtnl_refused(f, err, "dump of", "interfaces and routes") : 0;
}

int kern_tunnel_dump(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t), void *arg,
    struct kern_fault *f)
{
	int ret = -1;

	f->err = EINTR; /* something changed during the dump: from the start */
	for (int i = 0; ret < 0 && f->err == EINTR && i < DUMPS_MAX; i++)
		ret = dump_once(k, fn, arg, f);
	return ret;
}
