/*
 * kern_xfrm.c - SAD and SPD of a real Linux kernel through XFRM netlink.
 *
 * Two sockets.  The request socket: one request at a time, its answer matched on the
 * sequence number and read before the call returns.  The event socket: what others did, EXPIRE and
 * ACQUIRE.  A filter in the kernel keeps from it what our own requests cause, so that a
 * plan of any length cannot overrun it, and new SAs of others, whose keys are none of our
 * business.
 *
 * Answers to dumps carry keys: every buffer is wiped after use.
 */
#include "pep/kern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pep/kern_net.h"
#include "pep/kern_default.h"
#include "pep/kern_prefer.h"
#include "pep/kern_suite.h"
#include "pep/kern_watch.h"
#include "pep/kern_xfrm_msg.h"
#include "pep/local_addr.h"

#define IN_LEN		32768 /* octets; the kernel fills dumps up to this */
#define RCVBUF_LEN	(8 << 20)
#define REPLY_TIMEOUT_S 5

#define EVENTS_READ_MAX 64 /* datagrams at one go, then the event loop has its turn */
#define PROBES_MAX	64
#define PROBE_SPI	0x43505631U

struct kern {
	struct kern_net net; /* first (pep/kern_net.h) */
	struct mnl_socket *request;
	struct mnl_socket *event;
	uint32_t portid; /* of request: its changes bear it */
	uint32_t seq;
	struct suite probe[PROBES_MAX]; /* what this kernel has been seen to take */
	size_t probes;
	uint8_t in[IN_LEN] __attribute__((aligned(8)));
	uint8_t event_in[IN_LEN] __attribute__((aligned(8))); /* whoever is told may request */
};

/* --- sockets ------------------------------------------------------------------ */

static struct mnl_socket *xfrm_socket(unsigned groups)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	int size = RCVBUF_LEN;
	int one = 1;

	if (s == NULL)
		return NULL;
	/* Best effort: without them overruns are likelier and refusals say less. */
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)mnl_socket_setsockopt(s, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)mnl_socket_setsockopt(s, NETLINK_CAP_ACK, &one, sizeof(one));
	if (setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ==
		0 &&
	    mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) == 0)
		return s;
	mnl_socket_close(s);
	return NULL;
}

/* Let the event socket receive neither what our requests cause nor anybody's SAs with their keys.
 */
static int filter_events(const struct kern *k)
{
	const uint16_t newsa = htons(XFRM_MSG_NEWSA); /* filters load in network order */
	const uint16_t updsa = htons(XFRM_MSG_UPDSA);
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(k->portid), 3, 0),
	    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, newsa, 1, 0),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, updsa, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(
	    mnl_socket_get_fd(k->event), SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

/* After an answer that did not come: a new socket cannot receive it late. */
static void reopen(struct kern *k)
{
	struct mnl_socket *s;

	mnl_socket_close(k->request);
	k->request = NULL;
	s = xfrm_socket(0);
	if (s == NULL)
		return;
	k->request = s;
	k->portid = mnl_socket_get_portid(s);
	(void)filter_events(k);
}

/* --- one request, one answer ---------------------------------------------------- */

/* The reason the kernel gives in words, if it does. */
static void error_text(const struct nlmsghdr *h, char *text, size_t size)
{
	const char *s = h->nlmsg_flags & NLM_F_ACK_TLVS
			    ? xfrm_msg_attr(h, sizeof(struct nlmsgerr), NLMSGERR_ATTR_MSG, 1)
			    : NULL;

	if (s != NULL) /* the kernel ends it with a NUL */
		snprintf(text, size, "%s", s);
}

static int error_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	return mnl_nlmsg_get_payload_len(h) < sizeof(*e) ? EPROTO : -e->error;
}

/* One datagram into k->in: its octets, or an errno value negated. The caller wipes k->in. */
static ssize_t receive(struct kern *k)
{
	ssize_t n;

	do
		n = mnl_socket_recvfrom(k->request, k->in, sizeof(k->in));
	while (n < 0 && errno == EINTR);
	/* Whatever became of the answer, what was asked for may have been done. */
	return n < 0 ? -ETIMEDOUT : n;
}

static int send_request(struct kern *k, struct xfrm_build *b)
{
	int err = 0;

	if (k->request == NULL)
		reopen(k);
	if (k->request == NULL)
		err = ENOTCONN;
	b->hdr.nlmsg_seq = ++k->seq;
	b->hdr.nlmsg_pid = k->portid; /* what it causes is told with this one */
	if (err == 0 && mnl_socket_sendto(k->request, b->octet, b->hdr.nlmsg_len) < 0)
		err = errno;
	xfrm_build_wipe(b);
	return err;
}

/* The message that answers the request sent last, in a datagram of n octets; NULL: none. */
static const struct nlmsghdr *answer_in(const struct kern *k, ssize_t n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)k->in;

	for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		if (h->nlmsg_seq == k->seq && h->nlmsg_pid == k->portid)
			return h;
	return NULL;
}

struct answer {
	struct kern_sa_state *sa; /* where an SA goes, or NULL */
	struct xfrm_build *again; /* where its message goes, with these ports, or NULL */
	struct kern_encap encap;
	char text[96]; /* why not, in the kernel's words */
};

static int answer_sa(const struct nlmsghdr *h, const struct answer *a)
{
	if (a->again != NULL)
		return xfrm_build_sa_ports(a->again, h, a->encap) == 0 ? 0 : EINVAL;
	return a->sa != NULL && xfrm_msg_sa(h, a->sa) == 0 ? 0 : EPROTO;
}

/* Send *b, which is wiped, and read its answer.  0 or an errno value. */
static int request(struct kern *k, struct xfrm_build *b, struct answer *a)
{
	const struct nlmsghdr *h = NULL;
	int err = send_request(k, b);
	ssize_t n;

	a->text[0] = '\0';
	while (err == 0 && h == NULL) {
		n = receive(k);
		if (n < 0)
			err = (int)-n;
		else if ((h = answer_in(k, n)) == NULL)
			continue;
		else if (h->nlmsg_type != NLMSG_ERROR)
			err = answer_sa(h, a);
		else if ((err = error_of(h)) != 0)
			error_text(h, a->text, sizeof(a->text));
		explicit_bzero(k->in, n > 0 ? (size_t)n : 0);
	}
	if (err == ETIMEDOUT)
		reopen(k);
	return err;
}

/* --- faults ----------------------------------------------------------------------- */

/* The fault that err is, for an operation on what. */
static int refused(
    struct kern_fault *f, int err, const char *operation, const char *what, const struct answer *a)
{
	enum kern_fault_kind kind = KERN_REFUSED;

	if (err == ETIMEDOUT)
		kind = KERN_NO_REPLY;
	else if (err == EEXIST)
		kind = KERN_EXISTS;
	else if (err == ESRCH || err == ENOENT)
		kind = KERN_ABSENT;
	return kern_fault_set(f, kind, err, "XFRM %s %s%s%s", operation, what,
	    a->text[0] != '\0' ? ": " : "", a->text);
}

static int refused_sa(struct kern_fault *f, int err, const char *operation,
    const struct kern_sa_id *id, const struct answer *a)
{
	char text[KERN_STRLEN];

	return refused(f, err, operation, kern_sa_id_print(id, text), a);
}

static int refused_policy(struct kern_fault *f, int err, const char *operation,
    const struct kern_selector *sel, const struct answer *a)
{
	char text[KERN_STRLEN];

	return refused(f, err, operation, kern_selector_print(sel, text), a);
}

/* --- operations --------------------------------------------------------------------- */

static int xfrm_sa_add(struct kern *k, const struct kern_sa *sa, struct kern_fault *f)
{
	struct answer a = {.sa = NULL};
	struct xfrm_build b;
	int err;

	if (kern_suite_check_sa(&kern_limits_xfrm, sa, f) < 0)
		return -1;
	xfrm_build_sa_add(&b, sa);
	err = request(k, &b, &a);
	if (err == 0)
		return 0;
	refused_sa(f, err, "NEWSA", &sa->id, &a);
	/* an algorithm or a module it needs (gcm, drbg, echainiv, authenc ...) */
	if (err == ENOENT || err == ENOSYS)
		f->kind = sa->id.ah ? KERN_UNSUPPORTED_INTEG : KERN_UNSUPPORTED_ENCR;
	if (err == EPROTONOSUPPORT)
		f->kind = KERN_UNSUPPORTED_PROTOCOL;
	return -1;
}

static int xfrm_sa_del(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f)
{
	struct answer a = {.sa = NULL};
	struct xfrm_build b;
	int err;

	xfrm_build_sa_id(&b, XFRM_MSG_DELSA, id);
	err = request(k, &b, &a);
	return err != 0 ? refused_sa(f, err, "DELSA", id, &a) : 0;
}

static int xfrm_sa_get(
    struct kern *k, const struct kern_sa_id *id, struct kern_sa_state *s, struct kern_fault *f)
{
	struct answer a = {.sa = s};
	struct xfrm_build b;
	int err;

	xfrm_build_sa_id(&b, XFRM_MSG_GETSA, id);
	err = request(k, &b, &a);
	return err != 0 ? refused_sa(f, err, "GETSA", id, &a) : 0;
}

/*
 * UPDSA leaves keys and sequence numbers of an SA that is there alone, but wants to be told them:
 * so the kernel gets its own words back, with other ports.
 */
static int xfrm_sa_ports(
    struct kern *k, const struct kern_sa_id *id, struct kern_encap encap, struct kern_fault *f)
{
	struct xfrm_build b, again;
	struct answer a = {.again = &again, .encap = encap};
	int err;

	xfrm_build_sa_id(&b, XFRM_MSG_GETSA, id);
	err = request(k, &b, &a);
	if (err != 0)
		return refused_sa(f, err, "GETSA", id, &a);
	a.again = NULL;
	err = request(k, &again, &a);
	return err != 0 ? refused_sa(f, err, "UPDSA", id, &a) : 0;
}

static int policy_request(struct kern *k, uint16_t type, const char *operation,
    const struct kern_policy *p, struct kern_fault *f)
{
	struct answer a = {.sa = NULL};
	struct xfrm_build b;
	int err;

	if (kern_suite_check_policy(&kern_limits_xfrm, p, f) < 0)
		return -1;
	xfrm_build_policy_put(&b, type, p);
	err = request(k, &b, &a);
	return err != 0 ? refused_policy(f, err, operation, &p->sel, &a) : 0;
}

static int xfrm_policy_add(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	return policy_request(k, XFRM_MSG_NEWPOLICY, "NEWPOLICY", p, f);
}

static int xfrm_policy_put(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	return policy_request(k, XFRM_MSG_UPDPOLICY, "UPDPOLICY", p, f);
}

static int xfrm_policy_del(struct kern *k, const struct kern_selector *sel, struct kern_fault *f)
{
	struct answer a = {.sa = NULL};
	struct xfrm_build b;
	int err;

	xfrm_build_policy_del(&b, sel);
	err = request(k, &b, &a);
	return err != 0 ? refused_policy(f, err, "DELPOLICY", sel, &a) : 0;
}

/* --- what the kernel can --------------------------------------------------------------- */

/*
 * XFRM has no list of algorithms: an SA to ourselves, which nothing uses, is made and
 * taken away again.  That also loads the modules, as the first real one would.
 */
static int probe(struct kern *k, const struct suite *s, struct kern_fault *f)
{
	const struct kern_alg *e = kern_suite_encr(s->encr);
	const struct kern_alg *i = kern_suite_integ(s->integ);
	unsigned bits = e != NULL ? kern_suite_key_bits(e, s->encr_key_bits) : 0;
	struct kern_sa sa = {.mode = KERN_TRANSPORT,
	    .encr = s->encr,
	    .integ = i->number,
	    .esn = s->esn,
	    .encr_key_len = (uint16_t)(e != NULL ? bits / 8 + e->salt : 0),
	    .integ_key_len = i->bits[0] / 8};

	sa.id.spi = PROBE_SPI;
	sa.id.ah = s->protocol == SUITE_AH;
	addr_parse(&sa.id.dst, "127.0.0.2");
	addr_parse(&sa.src, "127.0.0.2");
	arc4random_buf(sa.encr_key, sa.encr_key_len);
	arc4random_buf(sa.integ_key, sa.integ_key_len);
	sa.hard.seconds = 1;
	if (xfrm_sa_add(k, &sa, f) == 0)
		return xfrm_sa_del(k, &sa.id, f);
	if (f->kind == KERN_EXISTS)
		return 0; /* another agent's, this moment */
	if (f->kind == KERN_UNSUPPORTED_ENCR && e != NULL)
		kern_fault_set(f, KERN_UNSUPPORTED_ENCR, 0,
		    "this kernel has no %s with %s (is a crypto module missing?)", e->name,
		    i->name);
	if (f->kind == KERN_UNSUPPORTED_PROTOCOL)
		kern_fault_set(f, KERN_UNSUPPORTED_PROTOCOL, 0,
		    "this kernel has no %s (is a module missing?)", sa.id.ah ? "AH" : "ESP");
	return -1;
}

static int xfrm_can(
    struct kern *k, const struct suite *s, uint32_t replay_window, struct kern_fault *f)
{
	if (kern_suite_check(&kern_limits_xfrm, s, replay_window, f) < 0)
		return -1;
	for (size_t i = 0; i < k->probes; i++)
		if (suite_same(&k->probe[i], s))
			return 0;
	if (probe(k, s, f) < 0)
		return -1;
	if (k->probes < PROBES_MAX)
		k->probe[k->probes++] = *s;
	return 0;
}

static uint32_t xfrm_reqid_max(const struct kern *k)
{
	(void)k;
	return kern_limits_xfrm.reqid_max;
}

static bool xfrm_has_addr(const struct kern *k, const struct addr *a)
{
	(void)k;
	return local_addr_present(a);
}

/* --- dumps ------------------------------------------------------------------------------ */

struct dump {
	void (*sa)(void *arg, const struct kern_sa_state *s);
	void (*policy)(void *arg, const struct kern_policy *p);
	void *arg;
};

static void dump_one(const struct dump *d, const struct nlmsghdr *h)
{
	struct kern_sa_state s;
	struct kern_policy p;

	if (d->sa != NULL && xfrm_msg_sa(h, &s) == 0)
		d->sa(d->arg, &s);
	if (d->policy != NULL && xfrm_msg_policy(h, &p) == 0)
		d->policy(d->arg, &p);
}

/* One datagram of a dump.  0: more follow; -1: that was the last; else an errno value. */
static int dump_datagram(const struct kern *k, ssize_t n, const struct dump *d)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)k->in;

	for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != k->seq || h->nlmsg_pid != k->portid)
			continue;
		if (h->nlmsg_type == NLMSG_DONE)
			return -1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return error_of(h);
		dump_one(d, h);
	}
	return 0;
}

static int dump(struct kern *k, uint16_t type, const struct dump *d, struct kern_fault *f)
{
	const struct answer none = {.sa = NULL};
	struct xfrm_build b;
	int err;
	ssize_t n;

	xfrm_build_dump(&b, type);
	err = send_request(k, &b);
	while (err == 0) {
		n = receive(k);
		err = n < 0 ? (int)-n : dump_datagram(k, n, d);
		explicit_bzero(k->in, n > 0 ? (size_t)n : 0);
	}
	if (err == -1)
		return 0;
	reopen(k); /* the rest of the dump must not meet the next request */
	return refused(f, err, "dump", type == XFRM_MSG_GETSA ? "of SAs" : "of policies", &none);
}

static int xfrm_sa_dump(struct kern *k, void (*fn)(void *arg, const struct kern_sa_state *s),
    void *arg, struct kern_fault *f)
{
	const struct dump d = {.sa = fn, .arg = arg};

	return dump(k, XFRM_MSG_GETSA, &d, f);
}

static int xfrm_policy_dump(struct kern *k, void (*fn)(void *arg, const struct kern_policy *p),
    void *arg, struct kern_fault *f)
{
	const struct dump d = {.policy = fn, .arg = arg};

	return dump(k, XFRM_MSG_GETPOLICY, &d, f);
}

/* --- events ------------------------------------------------------------------------------ */

static int xfrm_event_fd(struct kern *k)
{
	return mnl_socket_get_fd(k->event);
}

static void xfrm_event_read(
    struct kern *k, void (*fn)(void *arg, const struct kern_event *e), void *arg)
{
	const struct nlmsghdr *h;
	struct kern_event e;
	ssize_t n;
	int left;

	for (int i = 0; i < EVENTS_READ_MAX; i++) {
		n = recv(
		    mnl_socket_get_fd(k->event), k->event_in, sizeof(k->event_in), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS)
			fn(arg, &(struct kern_event) {.kind = KERN_EV_OVERRUN});
		else if (n < 0)
			return;
		h = (const struct nlmsghdr *)k->event_in;
		for (left = (int)n; n > 0 && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			if (xfrm_msg_event(h, &e))
				fn(arg, &e);
		explicit_bzero(k->event_in, n > 0 ? (size_t)n : 0); /* deletions tell keys */
	}
}

/* --- life --------------------------------------------------------------------------------- */

static unsigned group(unsigned g)
{
	return 1U << (g - 1);
}

static void xfrm_close(struct kern *k)
{
	if (k == NULL)
		return;
	if (k->request != NULL)
		mnl_socket_close(k->request);
	if (k->event != NULL)
		mnl_socket_close(k->event);
	kern_net_close(&k->net);
	free(k);
}

static struct kern *xfrm_open(struct kern_fault *f)
{
	struct kern *k = calloc(1, sizeof(*k));

	if (k != NULL && kern_net_open(&k->net) == 0 && (k->request = xfrm_socket(0)) != NULL) {
		k->portid = mnl_socket_get_portid(k->request);
		k->event = xfrm_socket(group(XFRMNLGRP_ACQUIRE) | group(XFRMNLGRP_EXPIRE) |
				       group(XFRMNLGRP_SA) | group(XFRMNLGRP_POLICY) |
				       group(XFRMNLGRP_MAPPING));
		if (k->event != NULL && filter_events(k) == 0)
			return k;
	}
	kern_fault_set(f, KERN_REFUSED, errno,
	    "XFRM netlink (is xfrm_user there, and the right to administer the network?)");
	xfrm_close(k);
	return NULL;
}

const struct kern_ops kern_xfrm_ops = {
    .name = "xfrm",
    .separate = true,
    .dscp = true,
    .open = xfrm_open,
    .close = xfrm_close,
    .can = xfrm_can,
    .reqid_max = xfrm_reqid_max,
    .has_addr = xfrm_has_addr,
    .sa_add = xfrm_sa_add,
    .sa_del = xfrm_sa_del,
    .sa_get = xfrm_sa_get,
    .policy_add = xfrm_policy_add,
    .sa_ports = xfrm_sa_ports,
    .sa_prefer = kern_prefer,
    .policy_put = xfrm_policy_put,
    .policy_del = xfrm_policy_del,
    .sa_dump = xfrm_sa_dump,
    .policy_dump = xfrm_policy_dump,
    .tunnel_put = kern_tunnel_put,
    .tunnel_say = kern_tunnel_say,
    .tunnel_del = kern_tunnel_del,
    .tunnel_dump = kern_tunnel_dump,
    .device_put = kern_device_put,
    .device_del = kern_device_del,
    .device_dump = kern_device_dump,
    .route_add = kern_route_add,
    .route_put = kern_route_put,
    .route_del = kern_route_del,
    .route_dump = kern_route_dump,
    .own_dump = kern_own_dump,
    .interface_get = kern_interface_get,
    .net_fd = kern_net_fd,
    .net_read = kern_net_read,
    .watch = &kern_watch_ops,
    .vrf_find = kern_vrf_find,
    .rules = kern_vrf_rules,
    .default_set = kern_default_set,
    .event_fd = xfrm_event_fd,
    .event_read = xfrm_event_read,
};
