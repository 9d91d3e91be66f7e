/*
 * kern_link.c - see kern_link.h.  Each call has a socket of its own and reads the answer to
 * every request before it goes on.
 */
#include "pep/kern_link.h"

/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/ip.h>
#include <linux/ip6_tunnel.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_GROUP	0x4350 /* of our interfaces */
#define ROUTE_PROTOCOL	67     /* of our routes; a number nobody else has (rtnetlink.h) */
#define TTL		64
#define DUMPS_MAX	8 /* while interfaces come and go */
#define MTU_FALLBACK	1500
#define MTU_MIN		576
#define ESP_MAX		73 /* octets: header, IV of 16, padding and trailer of 17, ICV of 32 */
#define REPLY_TIMEOUT_S 5
#define OUT_LEN		1024
#define IN_LEN		32768 /* the kernel fills dumps up to this */

struct talk { /* one call's socket */
	struct mnl_socket *s;
	uint32_t seq;
	union {
		struct nlmsghdr hdr;
		uint8_t octet[OUT_LEN];
	} out;
	uint8_t in[IN_LEN] __attribute__((aligned(8)));
};

/* --- one request, one answer ------------------------------------------------------ */

static struct talk *talk_open(struct kern_fault *f)
{
	const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	struct talk *t = calloc(1, sizeof(*t));

	if (t != NULL && (t->s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) != NULL &&
	    setsockopt(
		mnl_socket_get_fd(t->s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    mnl_socket_bind(t->s, 0, MNL_SOCKET_AUTOPID) == 0)
		return t;
	kern_fault_set(f, KERN_REFUSED, errno, "rtnetlink");
	if (t != NULL && t->s != NULL)
		mnl_socket_close(t->s);
	free(t);
	return NULL;
}

static void talk_close(struct talk *t)
{
	mnl_socket_close(t->s);
	free(t);
}

static void *begin(struct talk *t, uint16_t type, uint16_t flags, size_t len)
{
	mnl_nlmsg_put_header(t->out.octet);
	t->out.hdr.nlmsg_type = type;
	t->out.hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	t->out.hdr.nlmsg_seq = ++t->seq;
	return mnl_nlmsg_put_extra_header(&t->out.hdr, len);
}

/* Send what was built, read up to the answer; 0 or an errno value. each: of a dump, or NULL. */
static int talk(struct talk *t, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	uint32_t port = mnl_socket_get_portid(t->s);
	ssize_t n;
	int more = MNL_CB_OK;

	if (mnl_socket_sendto(t->s, t->out.octet, t->out.hdr.nlmsg_len) < 0)
		return errno;
	while (more > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(t->s, t->in, sizeof(t->in));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ETIMEDOUT; /* what was asked for may have been done */
		more = mnl_cb_run(t->in, (size_t)n, t->seq, port, each, arg);
	}
	return more < 0 ? errno : 0;
}

static int refused(struct kern_fault *f, int err, const char *operation, const char *name)
{
	enum kern_fault_kind kind = KERN_REFUSED;

	if (err == ETIMEDOUT)
		kind = KERN_NO_REPLY;
	else if (err == EEXIST)
		kind = KERN_EXISTS;
	else if (err == ENODEV || err == ESRCH || err == ENOENT)
		kind = KERN_ABSENT;
	else if (err == EOPNOTSUPP)
		kind = KERN_UNSUPPORTED_MODE; /* no such kind of interface */
	return kern_fault_set(f, kind, err, "%s %s", operation, name);
}

/* --- interfaces --------------------------------------------------------------------- */

static const char *kind_of(uint8_t family)
{
	return family == AF_INET6 ? "ip6tnl" : "ipip";
}

static void put_addr(struct nlmsghdr *h, uint16_t type, const struct addr *a)
{
	mnl_attr_put(h, type, addr_len(a), a->octets);
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

/* Outer headers as tunnel mode makes them: nothing optional, what is copied is copied. */
static int link_new(struct talk *t, const struct kern_tunnel *w, const char *name)
{
	bool v6 = w->local.family == AF_INET6;
	struct nlattr *info, *data;
	struct nlmsghdr *h = &t->out.hdr;

	begin(t, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, mtu_of(w));
	mnl_attr_put_u32(h, IFLA_GROUP, LINK_GROUP);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind_of(w->local.family));
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	put_addr(h, IFLA_IPTUN_LOCAL, &w->local);
	put_addr(h, IFLA_IPTUN_REMOTE, &w->remote);
	mnl_attr_put_u8(h, IFLA_IPTUN_TTL, TTL);
	mnl_attr_put_u8(h, IFLA_IPTUN_PROTO, IPPROTO_IPIP);
	if (v6) {
		mnl_attr_put_u32(
		    h, IFLA_IPTUN_FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT | IP6_TNL_F_USE_ORIG_TCLASS);
	} else {
		mnl_attr_put_u8(h, IFLA_IPTUN_TOS, 1); /* the inner one's */
		mnl_attr_put_u8(h, IFLA_IPTUN_PMTUDISC, 1);
	}
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return talk(t, NULL, NULL);
}

static const struct {
	uint16_t number;
	uint32_t value;
} conf[] = {{IPV4_DEVCONF_NOXFRM, 1}, {IPV4_DEVCONF_NOPOLICY, 1}, {IPV4_DEVCONF_RP_FILTER, 1}};

#define CONFS (sizeof(conf) / sizeof(conf[0]))

static int link_conf(struct talk *t, unsigned index)
{
	struct ifinfomsg *i = begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i));
	struct nlmsghdr *h = &t->out.hdr;
	struct nlattr *spec, *inet, *values;

	i->ifi_index = (int)index;
	spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	inet = mnl_attr_nest_start(h, AF_INET);
	values = mnl_attr_nest_start(h, IFLA_INET_CONF);
	for (size_t n = 0; n < CONFS; n++)
		mnl_attr_put_u32(h, conf[n].number, conf[n].value);
	mnl_attr_nest_end(h, values);
	mnl_attr_nest_end(h, inet);
	mnl_attr_nest_end(h, spec);
	return talk(t, NULL, NULL);
}

static int link_up(struct talk *t, unsigned index)
{
	struct ifinfomsg *i = begin(t, RTM_SETLINK, NLM_F_ACK, sizeof(*i));

	i->ifi_index = (int)index;
	i->ifi_flags = IFF_UP;
	i->ifi_change = IFF_UP;
	return talk(t, NULL, NULL);
}

static int link_del(struct talk *t, const char *name)
{
	struct ifinfomsg *i = begin(t, RTM_DELLINK, NLM_F_ACK, sizeof(*i));

	(void)i;
	mnl_attr_put_strz(&t->out.hdr, IFLA_IFNAME, name);
	return talk(t, NULL, NULL);
}

/* Only an interface of ours may be deleted: others may have the name. */
static int own_del(struct talk *t, const char *name, const struct kern_tunnel *was)
{
	return was != NULL ? link_del(t, name) : 0;
}

/* --- routes ------------------------------------------------------------------------- */

static int route_change(
    struct talk *t, uint16_t type, unsigned index, const struct prefix *dst, const struct addr *src)
{
	bool add = type == RTM_NEWROUTE;
	struct rtmsg *r = begin(
	    t, type, NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0), sizeof(*r));

	r->rtm_family = dst->addr.family;
	r->rtm_dst_len = dst->len;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = ROUTE_PROTOCOL;
	r->rtm_scope = add ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
	r->rtm_type = RTN_UNICAST;
	put_addr(&t->out.hdr, RTA_DST, &dst->addr);
	mnl_attr_put_u32(&t->out.hdr, RTA_OIF, index);
	if (add && src->family == dst->addr.family)
		put_addr(&t->out.hdr, RTA_PREFSRC, src);
	return talk(t, NULL, NULL);
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

static int routes_put(struct talk *t, unsigned index, const struct kern_tunnel *w,
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
		refused(f, err, "route to", prefix_print(&w->route[i].dst, text));
		f->row = w->route[i].row;
		return -1;
	}
	for (size_t i = 0; was != NULL && i < was->routes; i++) {
		if (has_route(w, &was->route[i].dst))
			continue;
		err = route_change(t, RTM_DELROUTE, index, &was->route[i].dst, &w->src);
		if (err != 0 && err != ESRCH)
			return refused(
			    f, err, "no route to", prefix_print(&was->route[i].dst, text));
	}
	return 0;
}

/* --- operations ----------------------------------------------------------------------- */

/* Can the interface stay, and only routes come and go? */
static bool stays(const struct kern_tunnel *t, const struct kern_tunnel *was)
{
	return was != NULL && !was->broken && !addr_cmp(&t->local, &was->local) &&
	       !addr_cmp(&t->remote, &was->remote) && !addr_cmp(&t->src, &was->src);
}

static int make(struct talk *t, const struct kern_tunnel *w, const char *name, struct kern_fault *f)
{
	int err = link_new(t, w, name);
	unsigned index;

	if (err != 0)
		return refused(f, err, "interface", name);
	index = if_nametoindex(name);
	err = index == 0 ? errno : link_conf(t, index);
	if (err == 0)
		err = link_up(t, index);
	if (err != 0)
		refused(f, err, "interface", name);
	else if (routes_put(t, index, w, NULL, f) == 0)
		return 0;
	(void)link_del(t, name); /* its routes go with it */
	return -1;
}

static int change(struct talk *t, const struct kern_tunnel *w, const struct kern_tunnel *was,
    const char *name, struct kern_fault *f)
{
	unsigned index;
	int err;

	if (stays(w, was)) {
		index = if_nametoindex(name);
		if (index == 0)
			return refused(f, errno, "interface", name);
		return routes_put(t, index, w, was, f);
	}
	err = own_del(t, name, was);
	if (err != 0 && err != ENODEV)
		return refused(f, err, "no interface", name);
	return make(t, w, name, f);
}

int kern_link_put(struct kern *k, const struct kern_tunnel *t, const struct kern_tunnel *was,
    struct kern_fault *f)
{
	char name[KERN_TUNNEL_NAME_LEN];
	struct talk *s = talk_open(f);
	int ret;

	(void)k;
	if (s == NULL)
		return -1;
	ret = change(s, t, was, kern_tunnel_name(t->id, name), f);
	talk_close(s);
	return ret;
}

int kern_link_del(struct kern *k, uint32_t id, struct kern_fault *f)
{
	char name[KERN_TUNNEL_NAME_LEN];
	struct talk *s = talk_open(f);
	int err;

	(void)k;
	if (s == NULL)
		return -1;
	err = link_del(s, kern_tunnel_name(id, name));
	talk_close(s);
	return err != 0 ? refused(f, err, "no interface", name) : 0;
}

/* --- what is there --------------------------------------------------------------------- */

struct found { /* an interface of ours, in a dump */
	struct found *next;
	unsigned index;
	size_t cap;
	struct kern_tunnel t;
};

struct dump {
	struct found *found;
	bool no_memory;
};

/* The number in a name of ours; 0: it is not one. */
static uint32_t id_of(const char *name)
{
	char again[KERN_TUNNEL_NAME_LEN];
	unsigned id;

	if (sscanf(name, "cv%8x", &id) != 1 || strcmp(kern_tunnel_name(id, again), name) != 0)
		return 0;
	return id;
}

/* The first attribute of this type, with len octets at least, in n octets at p. */
static const struct nlattr *attr_find(const void *p, size_t n, uint16_t type, size_t len)
{
	const struct nlattr *a = p;
	const uint8_t *end = (const uint8_t *)p + n;

	for (; mnl_attr_ok(a, (int)(end - (const uint8_t *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= len)
			return a;
	return NULL;
}

static const struct nlattr *attr_in(const struct nlattr *nest, uint16_t type, size_t len)
{
	return nest == NULL ? NULL
			    : attr_find(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest),
				  type, len);
}

static const struct nlattr *attr_of(
    const struct nlmsghdr *h, size_t fixed, uint16_t type, size_t len)
{
	size_t n = mnl_nlmsg_get_payload_len(h);

	fixed = MNL_ALIGN(fixed);
	return n < fixed ? NULL
			 : attr_find(mnl_nlmsg_get_payload_offset(h, fixed), n - fixed, type, len);
}

static int attr_addr(const struct nlattr *a, struct addr *to)
{
	return a == NULL
		   ? -1
		   : addr_from_octets(to, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
}

/* In dumps all values are an array of 32 bits each, the first of number 1. */
static bool conf_is(const struct nlattr *values)
{
	const uint32_t *v = values == NULL ? NULL : mnl_attr_get_payload(values);
	size_t n = values == NULL ? 0 : mnl_attr_get_payload_len(values) / sizeof(*v);

	for (size_t i = 0; i < CONFS; i++)
		if (conf[i].number > n || v[conf[i].number - 1] != conf[i].value)
			return false;
	return true;
}

static void read_link(const struct nlmsghdr *h, const struct ifinfomsg *i, struct kern_tunnel *t)
{
	const struct nlattr *info = attr_of(h, sizeof(*i), IFLA_LINKINFO, 0);
	const struct nlattr *data = attr_in(info, IFLA_INFO_DATA, 0);
	const struct nlattr *spec = attr_of(h, sizeof(*i), IFLA_AF_SPEC, 0);

	t->broken = attr_addr(attr_in(data, IFLA_IPTUN_LOCAL, 4), &t->local) != 0 ||
		    attr_addr(attr_in(data, IFLA_IPTUN_REMOTE, 4), &t->remote) != 0 ||
		    (i->ifi_flags & IFF_UP) == 0 ||
		    !conf_is(attr_in(attr_in(spec, AF_INET, 0), IFLA_INET_CONF, 0));
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name = attr_of(h, sizeof(*i), IFLA_IFNAME, 1);
	const struct nlattr *group = attr_of(h, sizeof(*i), IFLA_GROUP, sizeof(uint32_t));
	uint32_t id = name == NULL ? 0 : id_of(mnl_attr_get_str(name));
	struct dump *d = arg;
	struct found *f;

	if (id == 0 || group == NULL || mnl_attr_get_u32(group) != LINK_GROUP)
		return MNL_CB_OK;
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		d->no_memory = true;
		return MNL_CB_OK;
	}
	f->index = (unsigned)i->ifi_index;
	f->t.id = id;
	read_link(h, i, &f->t);
	f->next = d->found;
	d->found = f;
	return MNL_CB_OK;
}

static void add_route(struct dump *d, struct found *f, const struct prefix *dst)
{
	if (f->t.routes == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 4;
		struct kern_route *r = reallocarray(f->t.route, cap, sizeof(*r));
		if (r == NULL) {
			d->no_memory = true;
			return;
		}
		f->t.route = r;
		f->cap = cap;
	}
	f->t.route[f->t.routes++] = (struct kern_route) {.dst = *dst};
}

/* The destination of a route of ours; false: it is none. */
static bool route_read(const struct nlmsghdr *h, struct prefix *dst)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *a = attr_of(h, sizeof(*r), RTA_DST, 4);

	if (r->rtm_protocol != ROUTE_PROTOCOL || r->rtm_table != RT_TABLE_MAIN ||
	    attr_addr(a, &dst->addr) != 0)
		return false;
	dst->len = r->rtm_dst_len;
	return true;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *oif = attr_of(h, sizeof(struct rtmsg), RTA_OIF, sizeof(uint32_t));
	struct dump *d = arg;
	struct prefix dst;

	if (!route_read(h, &dst) || oif == NULL)
		return MNL_CB_OK;
	for (struct found *f = d->found; f != NULL; f = f->next)
		if (f->index == mnl_attr_get_u32(oif)) {
			add_route(d, f, &dst);
			(void)attr_addr(
			    attr_of(h, sizeof(struct rtmsg), RTA_PREFSRC, 4), &f->t.src);
		}
	return MNL_CB_OK;
}

static int by_dst(const void *a, const void *b)
{
	return prefix_cmp(
	    &((const struct kern_route *)a)->dst, &((const struct kern_route *)b)->dst);
}

static int dump_once(
    void (*fn)(void *arg, const struct kern_tunnel *t), void *arg, struct kern_fault *f)
{
	struct talk *s = talk_open(f);
	struct dump d = {0};
	struct rtmsg *r;
	int err;

	if (s == NULL)
		return -1;
	begin(s, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	err = talk(s, on_link, &d);
	if (err == 0 && d.found != NULL) {
		r = begin(s, RTM_GETROUTE, NLM_F_DUMP, sizeof(*r));
		r->rtm_family = AF_INET;
		err = talk(s, on_route, &d);
	}
	talk_close(s);
	if (d.no_memory)
		err = ENOMEM;
	while (d.found != NULL) {
		struct found *one = d.found;
		d.found = one->next;
		if (one->t.routes > 1)
			qsort(one->t.route, one->t.routes, sizeof(*one->t.route), by_dst);
		if (err == 0)
			fn(arg, &one->t);
		free(one->t.route);
		free(one);
	}
	return err != 0 ? refused(f, err, "dump of", "interfaces and routes") : 0;
}

int kern_link_dump(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t), void *arg,
    struct kern_fault *f)
{
	int ret = -1;

	(void)k;
	f->err = EINTR; /* something changed during the dump: from the start */
	for (int i = 0; ret < 0 && f->err == EINTR && i < DUMPS_MAX; i++)
		ret = dump_once(fn, arg, f);
	return ret;
}

/* --- what others do --------------------------------------------------------------------- */

int kern_link_watch(void)
{
	const struct sockaddr_nl addr = {
	    .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&addr, sizeof(addr)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Our own making of an interface is heard of, too. */
static bool is_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {0};
	bool up;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_UP) != 0;
	if (fd >= 0)
		close(fd);
	return up;
}

struct hearing {
	void (*fn)(void *arg, enum kern_tunnel_event e, uint32_t id, const struct prefix *dst);
	void *arg;
};

static void heard(const struct nlmsghdr *h, const struct hearing *to)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name;
	struct prefix dst;
	uint32_t id;

	if (h->nlmsg_type == RTM_DELROUTE) {
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg) && route_read(h, &dst))
			to->fn(to->arg, KERN_TUNNEL_ROUTE, 0, &dst);
		return;
	}
	if ((h->nlmsg_type != RTM_DELLINK && h->nlmsg_type != RTM_NEWLINK) ||
	    mnl_nlmsg_get_payload_len(h) < sizeof(*i))
		return;
	name = attr_of(h, sizeof(*i), IFLA_IFNAME, 1);
	id = name == NULL ? 0 : id_of(mnl_attr_get_str(name));
	if (id != 0 && (h->nlmsg_type == RTM_DELLINK || (i->ifi_flags & IFF_UP) == 0) &&
	    !is_up(mnl_attr_get_str(name)))
		to->fn(to->arg, KERN_TUNNEL_DOWN, id, NULL);
}

void kern_link_read(int fd,
    void (*fn)(void *arg, enum kern_tunnel_event e, uint32_t id, const struct prefix *dst),
    void *arg)
{
	const struct hearing to = {.fn = fn, .arg = arg};
	uint8_t in[16384] __attribute__((aligned(8)));
	ssize_t n;

	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)in;
		int left;

		n = recv(fd, in, sizeof(in), 0);
		if (n < 0 && errno == ENOBUFS) {
			fn(arg, KERN_TUNNEL_LOST, 0, NULL);
			continue;
		}
		if (n <= 0)
			return;
		for (left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			heard(h, &to);
	}
}
