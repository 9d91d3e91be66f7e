/*
 * kern_net.c - see kern_net.h: the sockets, and what others do to interfaces, routes and addresses.
 * A filter in the kernel leaves out what we did ourselves and routes that are not ours, of which
 * there may be many.
 */
/* Before the kernel's headers, which leave out what it has. */
#include <net/if.h>

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

#define RCVBUF_LEN (1 << 20)

/* What to hear of routes: ours that go, and what takes a place (only we know whether it is ours).
 */
static int filter(int fd, uint32_t port)
{
	struct sock_filter code[] = {
	    /* filters load in network order */
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 8, 0),
	    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 2, 4),
	    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_flags)),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_REPLACE), 2, 3),
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KERN_ROUTE_PROTOCOL, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog f = {
	    .len = (unsigned short)(sizeof(code) / sizeof(code[0])), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof(f));
}

int kern_net_open(struct kern_net *n)
{
	const struct sockaddr_nl addr = {.nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR |
			 RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_RULE | 1U << (RTNLGRP_IPV6_RULE - 1)};
	int size = RCVBUF_LEN;
	struct kern_fault f;

	n->watch = -1;
	if ((n->request = rtnl_open(&f)) == NULL) {
		errno = f.err;
		return -1;
	}
	n->watch = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (n->watch < 0)
		return -1;
	(void)setsockopt(n->watch, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (filter(n->watch, rtnl_port(n->request)) < 0)
		return -1;
	return bind(n->watch, (const struct sockaddr *)(const void *)&addr, sizeof(addr));
}

void kern_net_close(struct kern_net *n)
{
	rtnl_close(n->request);
	if (n->watch >= 0)
		close(n->watch);
	*n = (struct kern_net) {.watch = -1};
}

struct rtnl *kern_net_of(struct kern *k)
{
	return ((struct kern_net *)(void *)k)->request;
}

int kern_net_fd(struct kern *k)
{
	return ((struct kern_net *)(void *)k)->watch;
}

/* Our own making of an interface is heard of, too: how is it now?  false: it is gone. */
static bool ask(const char *name, unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	*r = (struct ifreq) {0};
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	ok = fd >= 0 && ioctl(fd, what, r) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool has_flag(const char *name, short flag)
{
	struct ifreq r;

	return ask(name, SIOCGIFFLAGS, &r) && (r.ifr_flags & flag) != 0;
}

static bool is_up(const char *name)
{
	return has_flag(name, IFF_UP);
}

/* Is it the interface's first address?  Ours is, if it is there. */
static bool is_first(const char *name, const struct addr *a)
{
	struct sockaddr_in now;
	struct ifreq r;

	if (!ask(name, SIOCGIFADDR, &r))
		return false;
	memcpy(&now, &r.ifr_addr, sizeof(now));
	return memcmp(&now.sin_addr, a->octets, sizeof(now.sin_addr)) == 0;
}

struct hearing {
	void (*fn)(void *arg, const struct kern_net_event *e);
	void *arg;
};

static void tell(const struct hearing *to, enum kern_net_event_kind kind, uint32_t id, uint32_t mtu)
{
	to->fn(to->arg, &(struct kern_net_event) {.kind = kind, .id = id, .mtu = mtu});
}

/* Something with our metric in our place is of another protocol, unless it is us. */
static void heard_route(const struct nlmsghdr *h, const struct hearing *to)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	struct kern_net_event e = {.kind = KERN_NET_ROUTE};
	const struct nlattr *t;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*r) ||
	    rtnl_addr(rtnl_attr(h, sizeof(*r), RTA_DST, 4), &e.dst.addr) != 0)
		return;
	t = rtnl_attr(h, sizeof(*r), RTA_TABLE, sizeof(uint32_t));
	e.table = t != NULL ? mnl_attr_get_u32(t) : r->rtm_table;
	e.dst.len = r->rtm_dst_len;
	to->fn(to->arg, &e);
}

static void heard_link(const struct nlmsghdr *h, const struct hearing *to)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *name, *mtu, *group;
	const char *text;
	uint32_t id;
	bool gone;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*i))
		return;
	name = rtnl_attr(h, sizeof(*i), IFLA_IFNAME, 1);
	mtu = rtnl_attr(h, sizeof(*i), IFLA_MTU, sizeof(uint32_t));
	group = rtnl_attr(h, sizeof(*i), IFLA_GROUP, sizeof(uint32_t));
	text = name == NULL ? "" : mnl_attr_get_str(name);
	gone = h->nlmsg_type == RTM_DELLINK || (i->ifi_flags & IFF_UP) == 0;
	if (kern_vrf_is(h))
		tell(to, KERN_NET_VRF, 0, 0);
	if ((id = kern_tunnel_of(text)) != 0) {
		if (gone && !is_up(text))
			tell(to, KERN_NET_TUNNEL, id, 0);
		else if ((i->ifi_flags & IFF_MULTICAST) == 0 && !has_flag(text, IFF_MULTICAST))
			tell(to, KERN_NET_SPEAK, id, 0);
	} else if ((id = kern_device_of(text)) != 0) {
		if (!gone || !is_up(text))
			tell(to, KERN_NET_DEVICE, id,
			    gone || mtu == NULL ? 0 : mnl_attr_get_u32(mtu));
	} else if (group != NULL && mnl_attr_get_u32(group) == KERN_LINK_GROUP) {
		tell(to, KERN_NET_LOST, 0, 0); /* somebody gave it another name */
	} else {
		tell(to, KERN_NET_HOST, 0, 0);
	}
}

static void heard_addr(const struct nlmsghdr *h, const struct hearing *to)
{
	struct kern_net_event e = {.kind = KERN_NET_HOST};
	const struct nlattr *local, *label;
	uint32_t id;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(struct ifaddrmsg))
		return;
	local = rtnl_attr(h, sizeof(struct ifaddrmsg), IFA_LOCAL, 4);
	if (local == NULL)
		local = rtnl_attr(h, sizeof(struct ifaddrmsg), IFA_ADDRESS, 4);
	if (h->nlmsg_type == RTM_DELADDR)
		(void)rtnl_addr(local, &e.gone);
	label = rtnl_attr(h, sizeof(struct ifaddrmsg), IFA_LABEL, 1);
	id = label == NULL ? 0 : kern_tunnel_of(mnl_attr_get_str(label));
	if (id != 0 && e.gone.family != 0 && !is_first(mnl_attr_get_str(label), &e.gone))
		tell(to, KERN_NET_SPEAK, id, 0);
	to->fn(to->arg, &e);
}

static void heard(const struct nlmsghdr *h, const struct hearing *to)
{
	switch (h->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		heard_route(h, to);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		heard_link(h, to);
		break;
	case RTM_DELRULE:
		if (mnl_nlmsg_get_payload_len(h) >= sizeof(struct fib_rule_hdr) &&
		    kern_rule_ours(h))
			tell(to, KERN_NET_VRF, 0, 0);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		heard_addr(h, to);
		break;
	default:
		break;
	}
}

void kern_net_read(struct kern *k, void (*fn)(void *arg, const struct kern_net_event *e), void *arg)
{
	const struct hearing to = {.fn = fn, .arg = arg};
	uint8_t in[16384] __attribute__((aligned(8)));
	int fd = kern_net_fd(k);
	ssize_t n;

	for (;;) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)in;
		int left;

		n = recv(fd, in, sizeof(in), 0);
		if (n < 0 && errno == ENOBUFS) {
			tell(&to, KERN_NET_LOST, 0, 0);
			continue;
		}
		if (n <= 0)
			return;
		for (left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			heard(h, &to);
	}
}
