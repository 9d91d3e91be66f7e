/*
 * kern_rtnl.c - see kern_rtnl.h.  After an answer that did not come, or a dump that was broken off,
 * the socket is another one, so that nothing old is read as an answer.
 */
#include "pep/kern_rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#define REPLY_TIMEOUT_S 5
#define DUMPS_MAX	8 /* while what is dumped changes */
#define OUT_LEN		1024
#define IN_LEN		32768 /* the kernel fills dumps up to this */

struct rtnl {
	struct mnl_socket *s; /* NULL: broken, and to be opened anew */
	uint32_t port; /* of the socket before, too: who does not want to hear of us knows it */
	uint32_t seq;
	union {
		struct nlmsghdr hdr;
		uint8_t octet[OUT_LEN];
	} out;
	uint8_t in[IN_LEN] __attribute__((aligned(8)));
};

/* 0 or an errno value. */
static int socket_open(struct rtnl *t)
{
	const struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	int one = 1;
	int err;

	if ((t->s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)) == NULL)
		return errno;
	/* Best effort: with it the kernel sends only what a dump asks for. */
	(void)mnl_socket_setsockopt(t->s, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	if (setsockopt(
		mnl_socket_get_fd(t->s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    (mnl_socket_bind(t->s, 0, (pid_t)t->port) == 0 ||
		mnl_socket_bind(t->s, 0, MNL_SOCKET_AUTOPID) == 0)) {
		t->port = mnl_socket_get_portid(t->s);
		return 0;
	}
	err = errno;
	mnl_socket_close(t->s);
	t->s = NULL;
	return err;
}

struct rtnl *rtnl_open(struct kern_fault *f)
{
	struct rtnl *t = calloc(1, sizeof(*t));
	int err = t == NULL ? ENOMEM : socket_open(t);

	if (err == 0)
		return t;
	kern_fault_set(f, KERN_REFUSED, err, "rtnetlink");
	free(t);
	return NULL;
}

void rtnl_close(struct rtnl *t)
{
	if (t == NULL)
		return;
	if (t->s != NULL)
		mnl_socket_close(t->s);
	free(t);
}

uint32_t rtnl_port(const struct rtnl *t)
{
	return t->port;
}

struct nlmsghdr *rtnl_begin(struct rtnl *t, uint16_t type, uint16_t flags, size_t len, void *extra)
{
	mnl_nlmsg_put_header(t->out.octet);
	t->out.hdr.nlmsg_type = type;
	t->out.hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	t->out.hdr.nlmsg_seq = ++t->seq;
	*(void **)extra = mnl_nlmsg_put_extra_header(&t->out.hdr, len);
	return &t->out.hdr;
}

/* Requests to make something have flags of the same numbers. */
static bool is_dump(const struct rtnl *t)
{
	return (t->out.hdr.nlmsg_flags & NLM_F_ACK) == 0 &&
	       (t->out.hdr.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
}

static int exchange(struct rtnl *t, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	uint32_t port = mnl_socket_get_portid(t->s);
	bool one = (t->out.hdr.nlmsg_flags & NLM_F_ACK) == 0 && !is_dump(t);
	int more = MNL_CB_OK;
	ssize_t n;

	if (mnl_socket_sendto(t->s, t->out.octet, t->out.hdr.nlmsg_len) < 0)
		return errno;
	while (more > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(t->s, t->in, sizeof(t->in));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ETIMEDOUT; /* what was asked for may have been done */
		more = mnl_cb_run(t->in, (size_t)n, t->seq, port, each, arg);
		if (one && more > MNL_CB_STOP)
			more = MNL_CB_STOP; /* no word follows that it was all */
	}
	return more < 0 ? errno : 0;
}

int rtnl_talk(struct rtnl *t, int (*each)(const struct nlmsghdr *h, void *arg), void *arg)
{
	int err = t->s == NULL ? socket_open(t) : 0;

	if (err == 0)
		err = exchange(t, each, arg);
	if (t->s != NULL && (err == ETIMEDOUT || err == EPROTO || (err != 0 && is_dump(t)))) {
		mnl_socket_close(t->s);
		t->s = NULL;
	}
	return err;
}

int rtnl_dump(struct rtnl *t, int (*each)(const struct nlmsghdr *h, void *arg),
    void (*anew)(void *arg), void *arg)
{
	int err = rtnl_talk(t, each, arg);

	for (int i = 1; err == EINTR && i < DUMPS_MAX; i++) {
		anew(arg);
		t->out.hdr.nlmsg_seq = ++t->seq;
		err = rtnl_talk(t, each, arg);
	}
	return err;
}

int rtnl_refused(struct kern_fault *f, int err, const char *operation, const char *name)
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

void rtnl_put_addr(struct nlmsghdr *h, uint16_t type, const struct addr *a)
{
	mnl_attr_put(h, type, addr_len(a), a->octets);
}

/* In n octets at p. */
static const struct nlattr *find(const void *p, size_t n, uint16_t type, size_t len)
{
	const struct nlattr *a = p;
	const uint8_t *end = (const uint8_t *)p + n;

	for (; mnl_attr_ok(a, (int)(end - (const uint8_t *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= len)
			return a;
	return NULL;
}

const struct nlattr *rtnl_attr(const struct nlmsghdr *h, size_t fixed, uint16_t type, size_t len)
{
	size_t n = mnl_nlmsg_get_payload_len(h);

	fixed = MNL_ALIGN(fixed);
	return n < fixed ? NULL
			 : find(mnl_nlmsg_get_payload_offset(h, fixed), n - fixed, type, len);
}

const struct nlattr *rtnl_attr_in(const struct nlattr *nest, uint16_t type, size_t len)
{
	return nest == NULL
		   ? NULL
		   : find(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), type, len);
}

int rtnl_addr(const struct nlattr *a, struct addr *to)
{
	return a == NULL
		   ? -1
		   : addr_from_octets(to, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
}

bool rtnl_route(const struct nlmsghdr *h, uint32_t *table, struct prefix *dst)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *t;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*r) || r->rtm_protocol != KERN_ROUTE_PROTOCOL ||
	    (r->rtm_type != RTN_UNICAST && r->rtm_type != RTN_BLACKHOLE) ||
	    rtnl_addr(rtnl_attr(h, sizeof(*r), RTA_DST, 4), &dst->addr) != 0)
		return false;
	t = rtnl_attr(h, sizeof(*r), RTA_TABLE, sizeof(uint32_t));
	*table = t != NULL ? mnl_attr_get_u32(t) : r->rtm_table;
	dst->len = r->rtm_dst_len;
	return true;
}
