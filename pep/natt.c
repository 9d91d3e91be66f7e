/* natt.c - see natt.h. */
#include "pep/natt.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "common/log.h"

#define DISCARD_PORT 9 /* RFC 863: whoever gets it throws it away */
#define AT_ONCE	     3 /* packets after a change: now, a second later, two more later */
#define AT_ONCE_MS   1000
#define REOPEN_MS    5000 /* to the next try for the port */
#define DRAIN_MAX    64

struct entry {
	struct natt_peer p;
	unsigned sent; /* since the change */
	int64_t next_ms;
	UT_hash_handle hh;
};

struct sock {
	int family;
	int fd;
	struct event *ev;
	bool told; /* the log has why there is none */
	int64_t retry_ms;
};

struct natt {
	struct event_base *base;
	int64_t keepalive_ms;
	struct entry *entries;
	struct sock sock[2];
	bool share;
	struct event *timer;
};

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the socket ------------------------------------------------------------- */

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	uint8_t octet[16];

	(void)what;
	(void)arg;
	/* ESP never comes up here: this is IKE, which nobody speaks on this port, or noise. */
	for (int i = 0; i < DRAIN_MAX && recv(fd, octet, sizeof(octet), MSG_DONTWAIT) >= 0; i++)
		;
}

/* What arrives for the socket, and what it sends itself, is none of the SPD's business. */
static int bypass(int fd, int family)
{
	int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int option = family == AF_INET6 ? IPV6_XFRM_POLICY : IP_XFRM_POLICY;
	struct xfrm_userpolicy_info p = {
	    .action = XFRM_POLICY_ALLOW, .sel.family = (uint16_t)family};

	for (uint8_t dir = XFRM_POLICY_IN; dir <= XFRM_POLICY_OUT; dir++) {
		p.dir = dir;
		if (setsockopt(fd, level, option, &p, sizeof(p)) < 0)
			return -1;
	}
	return 0;
}

static int encap(int fd)
{
	int type = UDP_ENCAP_ESPINUDP;
	return setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof(type));
}

static int sock_open(int family)
{
	struct addr any = {.family = (uint8_t)family};
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&any, NATT_PORT, &ss);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;
	int err;

	if (fd < 0)
		return -1;
	if ((family != AF_INET6 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
	    encap(fd) == 0 && bypass(fd, family) == 0 && bind(fd, (struct sockaddr *)&ss, len) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void sock_close(struct sock *s)
{
	if (s->ev)
		event_free(s->ev);
	if (s->fd >= 0)
		close(s->fd);
	s->ev = NULL;
	s->fd = -1;
}

static void sock_want(struct natt *n, struct sock *s, int64_t now)
{
	if (s->fd >= 0 || now < s->retry_ms)
		return;
	s->retry_ms = now + REOPEN_MS;
	s->fd = sock_open(s->family);
	if (s->fd >= 0 && (!(s->ev = event_new(n->base, s->fd, EV_READ | EV_PERSIST, on_read, n)) ||
			      event_add(s->ev, NULL) != 0))
		sock_close(s);
	if (s->fd >= 0) {
		log_info("ESP in UDP: port %d is open", NATT_PORT);
		s->told = false;
	} else if (!s->told) {
		log_warn("ESP in UDP: port %d: %s%s", NATT_PORT, strerrordesc_np(errno),
		    errno == EADDRINUSE ? "; if an IKE daemon has it, it serves" : "");
		s->told = true;
	}
}

static bool wanted(const struct natt *n, int family)
{
	const struct entry *e;

	if (n->share)
		return false;
	for (e = n->entries; e; e = e->hh.next)
		if (e->p.local.family == family)
			return true;
	return false;
}

static void sockets(struct natt *n)
{
	for (int i = 0; i < 2; i++) {
		struct sock *s = &n->sock[i];
		if (wanted(n, s->family)) {
			sock_want(n, s, now_ms());
		} else {
			sock_close(s);
			s->retry_ms = 0;
		}
	}
}

/* --- what is sent ----------------------------------------------------------- */

/* RFC 3948 2.3.  The NAT needs only see it. */
static void send_octet(const struct natt *n, const struct natt_peer *p)
{
	static const uint8_t octet = 0xff;
	const struct sock *s = &n->sock[p->local.family == AF_INET6];
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&p->remote, NATT_PORT, &ss);

	if (s->fd >= 0 && sendto(s->fd, &octet, 1, MSG_DONTWAIT, (struct sockaddr *)&ss, len) < 0)
		log_debug("keep-alive: %s", strerrordesc_np(errno));
}

/*
 * An empty datagram through the tunnel, from the site to the peer's, whether or not the
 * addresses are anybody's.  It ends at the peer: no router forwards it.
 */
static int send_through(const struct natt_peer *p)
{
	bool v6 = p->inner_src.family == AF_INET6;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	struct sockaddr_storage from, to;
	socklen_t from_len = addr_to_sockaddr(&p->inner_src, 0, &from);
	socklen_t to_len = addr_to_sockaddr(&p->inner_dst, DISCARD_PORT, &to);
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;
	int ret = -1;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, level, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)) == 0 &&
	    setsockopt(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, &one, sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *)&from, from_len) == 0 &&
	    sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, to_len) == 0)
		ret = 0;
	close(fd);
	return ret;
}

static void speak(const struct natt *n, const struct natt_peer *p)
{
	send_octet(n, p);
	if (p->inner_src.family != 0 && send_through(p) < 0)
		log_debug("packet through the tunnel of peer %u: %s", (unsigned)p->peer,
		    strerrordesc_np(errno));
}

static void timer_set(struct natt *n)
{
	int64_t now = now_ms();
	int64_t next = INT64_MAX;
	struct timeval tv;

	for (const struct entry *e = n->entries; e; e = e->hh.next)
		if (e->p.speak && e->next_ms < next)
			next = e->next_ms;
	for (int i = 0; i < 2; i++)
		if (n->sock[i].fd < 0 && wanted(n, n->sock[i].family) && n->sock[i].retry_ms < next)
			next = n->sock[i].retry_ms;
	if (next == INT64_MAX) {
		evtimer_del(n->timer);
		return;
	}
	next = next > now ? next - now : 0;
	tv = (struct timeval) {.tv_sec = next / 1000, .tv_usec = next % 1000 * 1000};
	evtimer_add(n->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct natt *n = arg;
	int64_t now = now_ms();

	(void)fd;
	(void)what;
	sockets(n);
	for (struct entry *e = n->entries; e; e = e->hh.next) {
		if (!e->p.speak || now < e->next_ms)
			continue;
		speak(n, &e->p);
		e->next_ms = now + (++e->sent < AT_ONCE ? AT_ONCE_MS * e->sent : n->keepalive_ms);
	}
	timer_set(n);
}

/* --- peers ------------------------------------------------------------------ */

static struct entry *entry_find(const struct natt *n, uint32_t peer)
{
	struct entry *e;

	HASH_FIND(hh, n->entries, &peer, sizeof(peer), e);
	return e;
}

void natt_put(struct natt *n, const struct natt_peer *p)
{
	struct entry *e = entry_find(n, p->peer);
	struct natt_peer before = {0};

	if (e)
		before = e->p;
	else if (!(e = calloc(1, sizeof(*e)))) {
		log_err("out of memory: no keep-alives for peer %u", (unsigned)p->peer);
		return;
	} else {
		e->p.peer = p->peer;
		HASH_ADD(hh, n->entries, p.peer, sizeof(e->p.peer), e);
	}
	e->p = *p;
	if (!p->inner_src.family) {
		e->p.inner_src = before.inner_src;
		e->p.inner_dst = before.inner_dst;
	}
	e->sent = 0;
	e->next_ms = 0; /* from the loop, when all that belongs to this change is done */
}

static void entry_drop(struct natt *n, struct entry *e)
{
	HASH_DEL(n->entries, e);
	free(e);
}

void natt_drop(struct natt *n, uint32_t peer)
{
	struct entry *e = entry_find(n, peer);

	if (e)
		entry_drop(n, e);
}

void natt_sweep(struct natt *n, bool (*gone)(void *arg, uint32_t peer), void *arg)
{
	struct entry *e, *next;

	HASH_ITER (hh, n->entries, e, next)
		if (gone(arg, e->p.peer))
			entry_drop(n, e);
	sockets(n);
	timer_set(n);
}

void natt_share(struct natt *n, bool yes)
{
	if (n->share == yes)
		return;
	n->share = yes;
	sockets(n);
	timer_set(n);
}

bool natt_open(const struct natt *n, int family)
{
	return n->sock[family == AF_INET6].fd >= 0;
}

unsigned natt_peers(const struct natt *n)
{
	return HASH_COUNT(n->entries);
}

/* --- life ------------------------------------------------------------------- */

struct natt *natt_new(struct event_base *base, int64_t keepalive_ms)
{
	struct natt *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->base = base;
	n->keepalive_ms = keepalive_ms;
	n->sock[0] = (struct sock) {.family = AF_INET, .fd = -1};
	n->sock[1] = (struct sock) {.family = AF_INET6, .fd = -1};
	if (!(n->timer = evtimer_new(base, on_timer, n))) {
		free(n);
		return NULL;
	}
	return n;
}

void natt_free(struct natt *n)
{
	struct entry *e, *next;

	if (!n)
		return;
	HASH_ITER (hh, n->entries, e, next)
		entry_drop(n, e);
	sock_close(&n->sock[0]);
	sock_close(&n->sock[1]);
	event_free(n->timer);
	free(n);
}
