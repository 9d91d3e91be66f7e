/*
 * kern_watch.c - see kern_watch.h.  Dumps are asked for by table (NETLINK_GET_STRICT_CHK, Linux
 * 4.20), so that a large table beside the one that matters costs nothing.
 */
#include "pep/kern_watch.h"

#include <net/if.h>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pep/kern.h"

#define LINK_GROUP	0x4350 /* of our interfaces, as in kern_link.c */
#define ROUTE_PROTOCOL	67     /* of our routes, as there */
#define EVENTS_LEN	(1 << 20)
#define REPLY_TIMEOUT_S 5
#define DUMPS_MAX	8 /* while the table changes */
#define IN_LEN		32768

/* --- a socket that hears ------------------------------------------------------------ */

static int join(int fd, int group)
{
	return setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
}

static int watch_open(struct kern *k, struct kern_fault *f)
{
	static const int groups[] = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_LINK,
	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
	const struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
	const int len = EVENTS_LEN;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	bool good = fd >= 0 &&
		    bind(fd, (const struct sockaddr *)(const void *)&addr, sizeof(addr)) == 0;

	(void)k;
	for (size_t i = 0; good && i < sizeof(groups) / sizeof(groups[0]); i++)
		good = join(fd, groups[i]) == 0;
	if (!good) {
		kern_fault_set(f, KERN_REFUSED, errno, "rtnetlink");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	(void)join(fd, RTNLGRP_NEXTHOP); /* since Linux 5.3 */
	/* More room is a wish: what does not fit is an overrun, and read again. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
	return fd;
}

/* --- attributes ------------------------------------------------------------------ */

#define ATTRS 64 /* types that we look at are below this */

struct attrs { /* by type; NULL: it is not there */
	const struct nlattr *of[ATTRS];
};

static int attr_note(const struct nlattr *a, void *arg)
{
	struct attrs *t = arg;

	if (mnl_attr_get_type(a) < ATTRS)
		t->of[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static void attrs_of(const struct nlmsghdr *h, size_t fixed, struct attrs *t)
{
	memset(t, 0, sizeof(*t));
	(void)mnl_attr_parse(h, (unsigned)fixed, attr_note, t);
}

static void attrs_in(const struct nlattr *nest, struct attrs *t)
{
	memset(t, 0, sizeof(*t));
	if (nest != NULL)
		(void)mnl_attr_parse_nested(nest, attr_note, t);
}

static uint32_t attr_u32(const struct attrs *t, unsigned type, uint32_t otherwise)
{
	const struct nlattr *a = t->of[type];

	return a != NULL && mnl_attr_validate(a, MNL_TYPE_U32) >= 0 ? mnl_attr_get_u32(a)
								    : otherwise;
}

static const char *attr_text(const struct attrs *t, unsigned type)
{
	const struct nlattr *a = t->of[type];

	return a != NULL && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a)
									   : "";
}

/* --- what is heard ---------------------------------------------------------------- */

static uint32_t table_of(const struct nlmsghdr *h, const struct rtmsg *r)
{
	struct attrs t;

	attrs_of(h, sizeof(*r), &t);
	return attr_u32(&t, RTA_TABLE, r->rtm_table);
}

static bool heard(const struct nlmsghdr *h,
    bool (*wanted)(void *arg, uint32_t table, uint8_t protocol), void *arg)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);

	switch (h->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return mnl_nlmsg_get_payload_len(h) >= sizeof(*r) &&
		       r->rtm_protocol != ROUTE_PROTOCOL && (r->rtm_flags & RTM_F_CLONED) == 0 &&
		       wanted(arg, table_of(h, r), r->rtm_protocol);
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_DELADDR:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return true;
	default:
		return false;
	}
}

static bool watch_read(
    struct kern *k, int fd, bool (*wanted)(void *arg, uint32_t table, uint8_t protocol), void *arg)
{
	uint8_t in[16384] __attribute__((aligned(8)));
	bool changed = false;
	ssize_t n;

	(void)k;
	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)in;
		int left;

		n = recv(fd, in, sizeof(in), 0);
		if (n < 0 && errno == ENOBUFS) {
			changed = true;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return changed;
		for (left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			changed = changed || heard(h, wanted, arg);
	}
}

/* --- what is there ---------------------------------------------------------------- */

struct ask { /* one call's socket */
	struct mnl_socket *s;
	uint32_t seq;
	uint8_t in[IN_LEN] __attribute__((aligned(8)));
};

static struct ask *ask_open(struct kern_fault *f)
{
	const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	struct ask *a = calloc(1, sizeof(*a));
	int strict = 1;

	if (a != NULL && (a->s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) != NULL &&
	    setsockopt(
		mnl_socket_get_fd(a->s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    mnl_socket_bind(a->s, 0, MNL_SOCKET_AUTOPID) == 0) {
		/* Where it is not known, all tables come and are looked through. */
		(void)setsockopt(mnl_socket_get_fd(a->s), SOL_NETLINK, NETLINK_GET_STRICT_CHK,
		    &strict, sizeof(strict));
		return a;
	}
	kern_fault_set(f, KERN_REFUSED, errno, "rtnetlink");
	if (a != NULL && a->s != NULL)
		mnl_socket_close(a->s);
	free(a);
	return NULL;
}

static void ask_close(struct ask *a)
{
	mnl_socket_close(a->s);
	free(a);
}

/* Send what was built and have each message of the answer looked at; 0 or an errno value. */
static int ask(
    struct ask *a, struct nlmsghdr *h, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	unsigned port = mnl_socket_get_portid(a->s);
	int more = MNL_CB_OK;
	ssize_t n;

	h->nlmsg_seq = ++a->seq;
	if (mnl_socket_sendto(a->s, h, h->nlmsg_len) < 0)
		return errno;
	while (more > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(a->s, a->in, sizeof(a->in));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? ETIMEDOUT : errno;
		more = mnl_cb_run(a->in, (size_t)n, a->seq, port, each, arg);
	}
	return more < 0 ? errno : 0;
}

struct routes {
	uint8_t family;
	uint32_t table;
	void (*fn)(void *arg, const struct kern_watch_route *r);
	void *arg;
};

static unsigned first_hop(const struct nlattr *a)
{
	const struct rtnexthop *n = mnl_attr_get_payload(a);

	return mnl_attr_get_payload_len(a) >= sizeof(*n) ? (unsigned)n->rtnh_ifindex : 0;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct routes *l = arg;
	struct kern_watch_route w = {0};
	const struct nlattr *dst;
	struct attrs t;

	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*r) ||
	    r->rtm_family != l->family || r->rtm_type != RTN_UNICAST ||
	    r->rtm_protocol == ROUTE_PROTOCOL || (r->rtm_flags & RTM_F_CLONED) != 0)
		return MNL_CB_OK;
	attrs_of(h, sizeof(*r), &t);
	dst = t.of[RTA_DST];
	if (dst == NULL || addr_from_octets(&w.dst.addr, mnl_attr_get_payload(dst),
			       mnl_attr_get_payload_len(dst)) != 0)
		return MNL_CB_OK;
	w.dst.len = r->rtm_dst_len;
	w.protocol = r->rtm_protocol;
	w.table = attr_u32(&t, RTA_TABLE, r->rtm_table);
	w.index = attr_u32(&t, RTA_OIF, 0);
	if (t.of[RTA_MULTIPATH] != NULL)
		w.index = first_hop(t.of[RTA_MULTIPATH]);
	if (w.table == l->table && w.dst.len > 0 && w.dst.addr.family == l->family)
		l->fn(l->arg, &w);
	return MNL_CB_OK;
}

static int routes_once(struct ask *a, struct routes *l)
{
	uint8_t out[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(out);
	struct rtmsg *r;

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = l->family;
	mnl_attr_put_u32(h, RTA_TABLE, l->table);
	return ask(a, h, on_route, l);
}

static int watch_routes(struct kern *k, uint32_t table,
    void (*fn)(void *arg, const struct kern_watch_route *r), void *arg, struct kern_fault *f)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	struct ask *a = ask_open(f);
	int err = 0;

	(void)k;
	if (a == NULL)
		return -1;
	for (size_t i = 0; err == 0 && i < sizeof(families); i++) {
		struct routes l = {.family = families[i], .table = table, .fn = fn, .arg = arg};
		int tries = DUMPS_MAX;

		/* EINTR: it changed meanwhile, and something may have been left out. */
		do
			err = routes_once(a, &l);
		while (err == EINTR && --tries > 0);
		if (err == ENOENT || err == EOPNOTSUPP || err == EAFNOSUPPORT)
			err = 0; /* no such table, or family: no routes */
	}
	ask_close(a);
	return err != 0
		   ? kern_fault_set(f, KERN_REFUSED, err, "routes of table %u", (unsigned)table)
		   : 0;
}

/* --- interfaces --------------------------------------------------------------------- */

struct links {
	void (*fn)(void *arg, const struct kern_watch_link *l);
	void *arg;
};

static uint32_t vrf_table(const struct nlattr *info)
{
	struct attrs t, data;

	attrs_in(info, &t);
	attrs_in(t.of[IFLA_INFO_DATA], &data);
	return strcmp(attr_text(&t, IFLA_INFO_KIND), "vrf") == 0
		   ? attr_u32(&data, IFLA_VRF_TABLE, 0)
		   : 0;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct links *l = arg;
	struct kern_watch_link w = {0};
	struct attrs t;

	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*i))
		return MNL_CB_OK;
	attrs_of(h, sizeof(*i), &t);
	w.index = (unsigned)i->ifi_index;
	snprintf(w.name, sizeof(w.name), "%s", attr_text(&t, IFLA_IFNAME));
	w.ours = attr_u32(&t, IFLA_GROUP, 0) == LINK_GROUP;
	w.table = vrf_table(t.of[IFLA_LINKINFO]);
	l->fn(l->arg, &w);
	return MNL_CB_OK;
}

static int watch_links(struct kern *k, void (*fn)(void *arg, const struct kern_watch_link *l),
    void *arg, struct kern_fault *f)
{
	uint8_t out[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(out);
	struct links l = {.fn = fn, .arg = arg};
	struct ask *a = ask_open(f);
	int tries = DUMPS_MAX;
	int err;

	(void)k;
	if (a == NULL)
		return -1;
	h->nlmsg_type = RTM_GETLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	do
		err = ask(a, h, on_link, &l);
	while (err == EINTR && --tries > 0);
	ask_close(a);
	return err != 0 ? kern_fault_set(f, KERN_REFUSED, err, "interfaces") : 0;
}

static int on_way(const struct nlmsghdr *h, void *arg)
{
	unsigned *index = arg;
	struct attrs t;

	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(struct rtmsg))
		return MNL_CB_STOP;
	attrs_of(h, sizeof(struct rtmsg), &t);
	*index = attr_u32(&t, RTA_OIF, 0);
	return MNL_CB_STOP;
}

static unsigned watch_towards(struct kern *k, const struct addr *to)
{
	uint8_t out[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(out);
	struct kern_fault f;
	struct ask *a = ask_open(&f);
	unsigned index = 0;
	struct rtmsg *r;

	(void)k;
	if (a == NULL)
		return 0;
	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = to->family;
	r->rtm_dst_len = (uint8_t)(8 * addr_len(to));
	mnl_attr_put(h, RTA_DST, addr_len(to), to->octets);
	(void)ask(a, h, on_way, &index);
	ask_close(a);
	return index;
}

const struct kern_watch_ops kern_watch_ops = {
    .open = watch_open,
    .read = watch_read,
    .routes = watch_routes,
    .links = watch_links,
    .towards = watch_towards,
};
