/*
 * vici.c - see vici.h.  One request is on its way at a time, as the protocol has no
 * numbers; the registrations of events come first on every connection.
 */
#include "pep/vici.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 5000
#define REGISTER_MS  10000
#define BUSY_MS	     20 /* charon's socket holds 3 that it has not accepted; then again */
#define BUSY_TRIES   250
#define UNSENT_MAX   (64U << 20) /* octets of waiting requests */
#define READ_AT_ONCE 64		 /* packets, then the event loop has its turn */

struct request {
	uint8_t *octet; /* NULL once sent */
	size_t len;
	unsigned timeout_ms;
	bool registers;
	char what[64]; /* command or event */
	vici_reply_fn *fn;
	void *arg;
	STAILQ_ENTRY(request) next;
};

struct vici {
	struct event_base *base;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *const *events;
	bool once;
	struct vici_ops ops;
	void *arg;
	struct bufferevent *bev; /* NULL: not connected */
	struct event *retry;
	struct event *timeout;
	struct event *more;
	unsigned retry_ms;
	unsigned busy; /* tries */
	bool up;
	size_t unsent;
	STAILQ_HEAD(, request) requests; /* the first is on its way */
};

static void later(struct event *e, unsigned ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	evtimer_add(e, &tv);
}

/* --- requests ---------------------------------------------------------------- */

/* They may be keys. */
static void cleanse(const void *octet, size_t len, void *to_free)
{
	(void)octet;
	explicit_bzero(to_free, len);
	free(to_free);
}

static void request_free(struct vici *v, struct request *r)
{
	if (r->octet) {
		v->unsent -= r->len;
		cleanse(r->octet, r->len, r->octet);
	}
	free(r);
}

static void request_take(struct vici *v)
{
	STAILQ_REMOVE_HEAD(&v->requests, next);
}

static void send_first(struct vici *v)
{
	struct request *r = STAILQ_FIRST(&v->requests);
	unsigned timeout_ms;
	bool sent;

	if (!r || !r->octet || !v->bev)
		return;
	timeout_ms = r->timeout_ms;
	sent = evbuffer_add_reference(
		   bufferevent_get_output(v->bev), r->octet, r->len, cleanse, r->octet) == 0;
	if (!sent) {
		cleanse(r->octet, r->len, r->octet);
		timeout_ms = 1; /* no answer will come */
	}
	v->unsent -= r->len;
	r->octet = NULL;
	if (timeout_ms)
		later(v->timeout, timeout_ms);
	else
		evtimer_del(v->timeout);
}

static int request_add(struct vici *v, enum vici_type type, const char *name,
    struct vici_build *args, unsigned timeout_ms, vici_reply_fn *fn, void *arg)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r)
		r->octet = vici_packet_build(type, name, args, &r->len);
	if (!r || !r->octet || r->len > UNSENT_MAX - v->unsent) {
		if (r && r->octet)
			cleanse(r->octet, r->len, r->octet);
		free(r);
		return -1;
	}
	v->unsent += r->len;
	snprintf(r->what, sizeof(r->what), "%s", name);
	r->registers = type == VICI_EVENT_REGISTER;
	r->timeout_ms = timeout_ms;
	r->fn = fn;
	r->arg = arg;
	STAILQ_INSERT_TAIL(&v->requests, r, next);
	if (r == STAILQ_FIRST(&v->requests))
		send_first(v);
	return 0;
}

int vici_request(struct vici *v, const char *command, struct vici_build *args, unsigned timeout_ms,
    vici_reply_fn *fn, void *fn_arg)
{
	int rc = v->up ? request_add(v, VICI_CMD_REQUEST, command, args, timeout_ms, fn, fn_arg)
		       : -1;

	if (args)
		vici_build_clear(args);
	return rc;
}

/* --- the connection ends ------------------------------------------------------ */

static void disconnect(struct vici *v)
{
	if (v->bev)
		bufferevent_free(v->bev);
	v->bev = NULL;
}

static void requests_end(struct vici *v, const char *why)
{
	struct request *r;

	while ((r = STAILQ_FIRST(&v->requests))) {
		request_take(v);
		if (r->fn)
			r->fn(r->arg, false, NULL, why);
		request_free(v, r);
	}
}

static void lose(struct vici *v, const char *why)
{
	v->up = false;
	v->busy = 0;
	disconnect(v);
	evtimer_del(v->timeout);
	evtimer_del(v->more);
	requests_end(v, why);
	if (!v->once) {
		later(v->retry, v->retry_ms);
		v->retry_ms = v->retry_ms * 2 < RETRY_MAX_MS ? v->retry_ms * 2 : RETRY_MAX_MS;
	}
	v->ops.down(v->arg, why);
}

/* --- packets ------------------------------------------------------------------ */

static void answer(struct vici *v, const struct vici_packet *p)
{
	struct request *r = STAILQ_FIRST(&v->requests);
	char success[8];
	char why[200] = "";
	bool ok;

	request_take(v);
	evtimer_del(v->timeout);
	ok = p->type != VICI_CMD_UNKNOWN;
	if (!ok)
		snprintf(why, sizeof(why), "charon knows no command %s", r->what);
	else if (strcmp(vici_text(&p->message, "success", success, sizeof(success)), "no") == 0) {
		ok = false;
		vici_text(&p->message, "errmsg", why, sizeof(why));
		if (!why[0])
			snprintf(why, sizeof(why), "charon refused %s", r->what);
	}
	send_first(v);
	if (r->fn)
		r->fn(r->arg, ok, &p->message, why);
	request_free(v, r);
}

static void registered(struct vici *v)
{
	struct request *r = STAILQ_FIRST(&v->requests);

	request_take(v);
	request_free(v, r);
	evtimer_del(v->timeout);
	send_first(v);
	if (STAILQ_EMPTY(&v->requests)) {
		v->up = true;
		v->retry_ms = RETRY_MIN_MS;
		v->ops.up(v->arg);
	}
}

/* false: not what may come now. */
static bool take_packet(struct vici *v, const struct vici_packet *p)
{
	const struct request *r = STAILQ_FIRST(&v->requests);
	bool waiting = r && !r->octet;

	switch (p->type) {
	case VICI_EVENT:
		v->ops.event(v->arg, p->name, &p->message);
		return true;
	case VICI_CMD_RESPONSE:
	case VICI_CMD_UNKNOWN:
		if (!waiting || r->registers)
			return false;
		answer(v, p);
		return true;
	case VICI_EVENT_CONFIRM:
		if (!waiting || !r->registers)
			return false;
		registered(v);
		return true;
	default:
		return false;
	}
}

static void read_packets(struct vici *v)
{
	struct vici_packet p;

	for (int i = 0; v->bev; i++) {
		struct evbuffer *in = bufferevent_get_input(v->bev);
		size_t len = evbuffer_get_length(in);
		const uint8_t *octet = evbuffer_pullup(in, -1);
		ptrdiff_t used;

		if (len == 0 || (used = vici_packet_parse(&p, octet, len)) == 0)
			return;
		if (i == READ_AT_ONCE) {
			later(v->more, 0);
			return;
		}
		if (used < 0 || !take_packet(v, &p)) {
			lose(v, "charon sent something that is not VICI");
			return;
		}
		evbuffer_drain(in, (size_t)used);
	}
}

/* --- life --------------------------------------------------------------------- */

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	read_packets(arg);
}

static void on_more(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_packets(arg);
}

static void on_connected(struct vici *v)
{
	for (const char *const *name = v->events; *name; name++)
		if (request_add(v, VICI_EVENT_REGISTER, *name, NULL, REGISTER_MS, NULL, NULL) < 0) {
			lose(v, "out of memory");
			return;
		}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct vici *v = arg;
	char why[128];

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) {
		on_connected(v);
		return;
	}
	if (what & BEV_EVENT_EOF)
		snprintf(why, sizeof(why), "charon closed the connection");
	else
		snprintf(why, sizeof(why), "%s: %s", v->path, strerror(errno));
	lose(v, why);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct vici *v = arg;
	const struct request *r = STAILQ_FIRST(&v->requests);
	char why[128];

	(void)fd;
	(void)what;
	snprintf(why, sizeof(why), "charon does not answer to %s", r ? r->what : "us");
	lose(v, why);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct vici *v = arg;
	char why[160];
	int error;

	(void)fd;
	(void)what;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", v->path);
	v->bev = bufferevent_socket_new(
	    v->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!v->bev) {
		lose(v, "out of memory");
		return;
	}
	bufferevent_setcb(v->bev, on_read, NULL, on_event, v);
	bufferevent_setwatermark(v->bev, EV_READ, 0, 2 * (size_t)VICI_SEGMENT_MAX);
	if (bufferevent_socket_connect(v->bev, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    bufferevent_enable(v->bev, EV_READ | EV_WRITE) == 0) {
		v->busy = 0;
		return;
	}
	error = errno;
	if (error == EAGAIN && v->busy++ < BUSY_TRIES) {
		disconnect(v);
		later(v->retry, BUSY_MS);
		return;
	}
	snprintf(why, sizeof(why), "%s: %s", v->path, strerror(error));
	lose(v, why);
}

struct vici *vici_new(struct event_base *base, const char *path, const char *const *events,
    bool once, const struct vici_ops *ops, void *arg)
{
	struct vici *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->base = base;
	snprintf(v->path, sizeof(v->path), "%s", path);
	v->events = events;
	v->once = once;
	v->ops = *ops;
	v->arg = arg;
	v->retry_ms = RETRY_MIN_MS;
	STAILQ_INIT(&v->requests);
	v->retry = evtimer_new(base, on_retry, v);
	v->timeout = evtimer_new(base, on_timeout, v);
	v->more = evtimer_new(base, on_more, v);
	if (!v->retry || !v->timeout || !v->more) {
		vici_free(v);
		return NULL;
	}
	later(v->retry, 0);
	return v;
}

void vici_free(struct vici *v)
{
	if (!v)
		return;
	v->up = false;
	disconnect(v);
	requests_end(v, "closed");
	if (v->retry)
		event_free(v->retry);
	if (v->timeout)
		event_free(v->timeout);
	if (v->more)
		event_free(v->more);
	free(v);
}

bool vici_is_up(const struct vici *v)
{
	return v->up;
}
