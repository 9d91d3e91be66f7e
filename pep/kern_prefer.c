/*
 * kern_prefer.c - an SA dated ahead (see kern_prefer.h): GETSA, and NEWAE with another time.
 *
 * Seldom called, once for each CHILD_SA: it opens a socket of its own, and what it causes is a
 * broadcast that no back end listens to.
 */
#include "pep/kern_prefer.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "pep/kern_xfrm_msg.h"

#define NO_LIMIT_S	(3650ULL * 24 * 60 * 60) /* of an SA without a hard lifetime */
#define REPLY_TIMEOUT_S 5
#define REPLY_LEN	8192

static uint64_t ahead(uint64_t hard_s)
{
	return hard_s ? hard_s : NO_LIMIT_S;
}

uint64_t kern_prefer_added(uint64_t add_time, uint64_t hard_s)
{
	return add_time > (uint64_t)time(NULL) ? add_time - ahead(hard_s) : add_time;
}

/* Send *b and receive its answer into buf, which may hold keys.  NULL and errno. */
static const struct nlmsghdr *ask(
    struct mnl_socket *s, struct xfrm_build *b, uint32_t seq, uint8_t *buf, size_t size)
{
	const struct nlmsghdr *h;
	ssize_t n;

	b->hdr.nlmsg_seq = seq;
	if (mnl_socket_sendto(s, b->octet, b->hdr.nlmsg_len) < 0)
		return NULL;
	for (;;) {
		n = mnl_socket_recvfrom(s, buf, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		h = (const struct nlmsghdr *)buf;
		if (mnl_nlmsg_ok(h, (int)n) && h->nlmsg_seq == seq)
			return h;
	}
}

/* 0 or an errno value. */
static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	if (!h)
		return errno ? errno : EIO;
	if (h->nlmsg_type != NLMSG_ERROR)
		return 0;
	return mnl_nlmsg_get_payload_len(h) < sizeof(*e) ? EPROTO : -e->error;
}

struct others {
	const struct kern_sa_id *id;
	struct kern_sa_state of; /* the SA itself */
	unsigned count;
};

static int count_other(const struct nlmsghdr *h, void *arg)
{
	struct others *o = arg;
	struct kern_sa_state sa;

	if (xfrm_msg_sa(h, &sa) == 0 && !sa.larval && sa.reqid == o->of.reqid &&
	    sa.id.spi != o->id->spi && !addr_cmp(&sa.src, &o->of.src) &&
	    !addr_cmp(&sa.id.dst, &o->id->dst))
		o->count++;
	return MNL_CB_OK;
}

/* How many more SAs the kernel could send on: o->count.  0 or an errno value. */
static int others_of(struct mnl_socket *s, struct others *o, uint8_t *buf)
{
	struct xfrm_build b;
	int rc = MNL_CB_OK;
	ssize_t n;

	xfrm_build_dump_between(&b, &o->of.src, &o->id->dst);
	b.hdr.nlmsg_seq = 3;
	if (mnl_socket_sendto(s, &b, b.hdr.nlmsg_len) < 0)
		return errno;
	while (rc > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(s, buf, REPLY_LEN);
		if (n < 0 && errno != EINTR)
			return errno;
		if (n >= 0)
			rc = mnl_cb_run(
			    buf, (size_t)n, 3, mnl_socket_get_portid(s), count_other, o);
	}
	return rc < 0 ? errno : 0;
}

static int prefer(struct mnl_socket *s, const struct kern_sa_id *id, bool on, uint8_t *buf)
{
	struct others o = {.id = id};
	uint64_t now = (uint64_t)time(NULL);
	const struct xfrm_usersa_info *x;
	struct xfrm_lifetime_cur l;
	const struct nlmsghdr *h;
	struct xfrm_build b;
	uint64_t hard;
	int err;

	xfrm_build_sa_id(&b, XFRM_MSG_GETSA, id);
	h = ask(s, &b, 1, buf, REPLY_LEN);
	if ((err = error_of(h)) != 0)
		return err;
	if (h->nlmsg_type != XFRM_MSG_NEWSA || mnl_nlmsg_get_payload_len(h) < sizeof(*x))
		return EPROTO;
	x = mnl_nlmsg_get_payload(h);
	l = x->curlft;
	hard = ahead(x->lft.hard_add_expires_seconds);
	if ((l.add_time > now) == on)
		return 0;
	if (on) {
		if (xfrm_msg_sa(h, &o.of) < 0)
			return EPROTO;
		if ((err = others_of(s, &o, buf)) != 0 || o.count)
			return err;
	}
	l.add_time = on ? l.add_time + hard : l.add_time - hard;
	xfrm_build_sa_times(&b, id, &l);
	h = ask(s, &b, 2, buf, REPLY_LEN);
	if (!h)
		return error_of(h);
	return h->nlmsg_type == NLMSG_ERROR ? error_of(h) : EPROTO;
}

int kern_prefer(struct kern *k, const struct kern_sa_id *id, bool on, struct kern_fault *f)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	uint8_t buf[REPLY_LEN] __attribute__((aligned(8)));
	char text[KERN_STRLEN];
	int err;

	(void)k;
	if (!s ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) !=
		0 ||
	    mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) != 0)
		err = errno;
	else
		err = prefer(s, id, on, buf);
	explicit_bzero(buf, sizeof(buf));
	if (s)
		mnl_socket_close(s);
	if (err == 0)
		return 0;
	return kern_fault_set(f, err == ESRCH ? KERN_ABSENT : KERN_REFUSED, err, "XFRM NEWAE %s",
	    kern_sa_id_print(id, text));
}
