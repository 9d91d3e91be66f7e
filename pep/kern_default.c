/*
 * kern_default.c - what becomes of packets that no entry of the SPD matches: XFRM_MSG_SETDEFAULT
 * (Linux 5.15), which PF_KEY has no message for, so both back ends come here.
 */
#include "pep/kern_default.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define REPLY_TIMEOUT_S 5

static int ask(struct mnl_socket *s, bool block)
{
	const uint8_t what = block ? XFRM_USERPOLICY_BLOCK : XFRM_USERPOLICY_ACCEPT;
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	uint8_t buf[1024] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct xfrm_userpolicy_default *x = mnl_nlmsg_put_extra_header(h, sizeof(*x));
	ssize_t n;
	int rc;

	h->nlmsg_type = XFRM_MSG_SETDEFAULT;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	x->in = x->fwd = x->out = what;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) != 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) !=
		0 ||
	    mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		return -1;
	do
		n = mnl_socket_recvfrom(s, buf, sizeof(buf));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	rc = mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(s), NULL, NULL);
	return rc < 0 ? -1 : 0;
}

int kern_default_set(struct kern *k, bool block, struct kern_fault *f)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);
	int err = 0;

	(void)k;
	if (s == NULL || ask(s, block) != 0)
		err = errno;
	if (s != NULL)
		mnl_socket_close(s);
	if (err == 0)
		return 0;
	return kern_fault_set(
	    f, KERN_REFUSED, err, "XFRM SETDEFAULT %s (Linux 5.15)", block ? "block" : "accept");
}
