/*
 * test_ike.c - VICI messages (the example of its README, and what is none) and connections, what
 * charon is asked for and when it rekeys, and the file of pre-shared keys.
 */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pep/ike_conf.h"
#include "pep/ike_int.h"
#include "pep/ike_psk.h"
#include "pep/vici.h"
#include "pep/vici_msg.h"

/* The encoding example of strongSwan's vici README. */
static const uint8_t example[] = {3, 4, 'k', 'e', 'y', '1', 0, 6, 'v', 'a', 'l', 'u', 'e', '1', 1,
    8, 's', 'e', 'c', 't', 'i', 'o', 'n', '1', 1, 11, 's', 'u', 'b', '-', 's', 'e', 'c', 't', 'i',
    'o', 'n', 3, 4, 'k', 'e', 'y', '2', 0, 6, 'v', 'a', 'l', 'u', 'e', '2', 2, 4, 5, 'l', 'i', 's',
    't', '1', 5, 0, 5, 'i', 't', 'e', 'm', '1', 5, 0, 5, 'i', 't', 'e', 'm', '2', 6, 2};

static void example_build(struct vici_build *b)
{
	vici_build_init(b);
	vici_value_put(b, "key1", "value%d", 1);
	vici_section_put(b, "section1");
	vici_section_put(b, "sub-section");
	vici_octets_put(b, "key2", "value2", 6);
	vici_section_end(b);
	vici_list_put(b, "list1");
	vici_item_put(b, "item1");
	vici_item_octets_put(b, "item2", 5);
	vici_list_end(b);
	vici_section_end(b);
}

START_TEST(message_example)
{
	struct vici_view message, section, sub, list;
	struct vici_packet p;
	struct vici_build b;
	struct vici_entry e;
	uint8_t *packet;
	char text[16];
	size_t len;

	example_build(&b);
	ck_assert(!b.failed && b.len == sizeof(example) && !memcmp(b.octet, example, b.len));
	packet = vici_packet_build(VICI_EVENT, "log", &b, &len);
	vici_build_clear(&b);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_eq(vici_packet_parse(&p, packet, cut), 0);
	ck_assert_int_eq(vici_packet_parse(&p, packet, len), (ptrdiff_t)len);
	ck_assert_int_eq(p.type, VICI_EVENT);
	ck_assert_str_eq(p.name, "log");
	message = p.message;
	ck_assert_str_eq(vici_text(&message, "key1", text, sizeof(text)), "value1");
	ck_assert_str_eq(vici_text(&message, "key1", text, 4), "val");
	ck_assert_str_eq(vici_text(&message, "key2", text, sizeof(text)), "");
	ck_assert(vici_find(&message, VICI_SECTION_START, "section1", &section));
	ck_assert(vici_find(&section, VICI_SECTION_START, "sub-section", &sub));
	ck_assert_str_eq(vici_text(&sub, "key2", text, sizeof(text)), "value2");
	ck_assert(vici_find(&section, VICI_LIST_START, "list1", &list));
	ck_assert(vici_next(&list, &e) && e.body.len == 5 && !memcmp(e.body.p, "item1", 5));
	ck_assert(vici_next(&list, &e) && !memcmp(e.body.p, "item2", 5));
	ck_assert(!vici_next(&list, &e));
	free(packet);
}
END_TEST

/* Every message with one octet changed is taken or refused, and walked without harm. */
static void walk(struct vici_view v, unsigned depth)
{
	struct vici_entry e;

	ck_assert_uint_le(depth, VICI_DEPTH_MAX + 1);
	while (vici_next(&v, &e))
		if (e.type == VICI_SECTION_START || e.type == VICI_LIST_START)
			walk(e.body, depth + 1);
}

START_TEST(message_damaged)
{
	struct vici_packet p;
	struct vici_build b;
	uint8_t *packet;
	size_t len;
	unsigned taken = 0;

	example_build(&b);
	packet = vici_packet_build(VICI_CMD_RESPONSE, NULL, &b, &len);
	vici_build_clear(&b);
	for (size_t i = 4; i < len; i++)
		for (unsigned value = 0; value < 256; value++) {
			uint8_t was = packet[i];
			packet[i] = (uint8_t)value;
			if (vici_packet_parse(&p, packet, len) > 0) {
				walk(p.message, 0);
				taken++;
			}
			packet[i] = was;
		}
	ck_assert_uint_gt(taken, 0);
	packet[0] = 1; /* longer than any may be */
	ck_assert_int_eq(vici_packet_parse(&p, packet, len), -1);
	free(packet);
}
END_TEST

START_TEST(message_limits)
{
	static const char big[70000];
	struct vici_packet p;
	struct vici_build b;
	uint8_t *packet;
	size_t len;

	vici_build_init(&b);
	vici_octets_put(&b, "k", big, sizeof(big)); /* more than 16 bits can count */
	ck_assert(b.failed);
	ck_assert_ptr_null(vici_packet_build(VICI_CMD_REQUEST, "x", &b, &len));
	vici_build_clear(&b);
	for (int i = 0; i < 17; i++)
		vici_section_put(&b, "s");
	for (int i = 0; i < 17; i++)
		vici_section_end(&b);
	packet = vici_packet_build(VICI_CMD_REQUEST, "x", &b, &len);
	ck_assert_int_eq(vici_packet_parse(&p, packet, len), -1); /* too deep */
	free(packet);
	vici_build_clear(&b);
}
END_TEST

/* --- a connection -------------------------------------------------------------- */

/* A charon that answers to registrations and, unless it is dumb, to rekeys, which it counts. */
struct charon {
	char dir[32];
	struct event_base *base;
	struct sockaddr_un at;
	int listener;
	struct event *on_conn; /* then of what it accepted */
	bool dumb;
	unsigned rekeys;
	uint32_t child; /* of the last */
};

static void charon_read(evutil_socket_t fd, short what, void *arg)
{
	struct charon *d = arg;
	struct vici_packet p;
	uint8_t in[512], *out;
	size_t len;
	ssize_t n = read(fd, in, sizeof(in)); /* there is one packet at a time */

	(void)what;
	if (n <= 0 || vici_packet_parse(&p, in, (size_t)n) != n)
		return;
	if (p.type == VICI_EVENT_REGISTER) {
		out = vici_packet_build(VICI_EVENT_CONFIRM, NULL, NULL, &len);
	} else if (d->dumb) {
		return;
	} else {
		ck_assert_str_eq(p.name, "rekey");
		d->rekeys++;
		d->child = vici_number(&p.message, "child-id", 10);
		out = vici_packet_build(VICI_CMD_RESPONSE, NULL, NULL, &len);
	}
	ck_assert_int_eq(write(fd, out, len), (ssize_t)len);
	free(out);
}

static void charon_accept(evutil_socket_t fd, short what, void *arg)
{
	struct charon *d = arg;

	(void)what;
	event_free(d->on_conn);
	d->on_conn = event_new(
	    d->base, accept(fd, NULL, NULL), EV_READ | EV_PERSIST, charon_read, d);
	event_add(d->on_conn, NULL);
}

static void charon_open(struct charon *d, int backlog)
{
	*d = (struct charon) {.dir = "/tmp/test_ike.XXXXXX", .at.sun_family = AF_UNIX};
	ck_assert_ptr_nonnull(mkdtemp(d->dir));
	snprintf(d->at.sun_path, sizeof(d->at.sun_path), "%s/vici", d->dir);
	d->base = event_base_new();
	d->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(d->listener, (struct sockaddr *)&d->at, sizeof(d->at)), 0);
	ck_assert_int_eq(listen(d->listener, backlog), 0);
	d->on_conn = event_new(d->base, d->listener, EV_READ, charon_accept, d);
}

static void charon_close(struct charon *d)
{
	close(event_get_fd(d->on_conn));
	event_free(d->on_conn);
	event_base_free(d->base);
	close(d->listener);
	unlink(d->at.sun_path);
	rmdir(d->dir);
}

/* A charon whose queue is full at first, and what becomes of it. */
struct busy {
	struct charon charon;
	int queued; /* has the one place there is */
	unsigned ups, downs, replies;
};

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct busy *d = arg;
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)fd;
	(void)what;
	ck_assert_int_eq(
	    connect(probe, (struct sockaddr *)&d->charon.at, sizeof(d->charon.at)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(probe);
	close(accept(d->charon.listener, NULL, NULL));
	event_add(d->charon.on_conn, NULL);
}

static void on_reply(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct busy *d = arg;

	ck_assert(!ok && !reply);
	ck_assert_str_eq(why, "closed");
	d->replies++;
}

static void on_up(void *arg)
{
	struct busy *d = arg;

	d->ups++;
	event_base_loopbreak(d->charon.base);
}

static void on_down(void *arg, const char *why)
{
	struct busy *d = arg;

	(void)why;
	d->downs++;
	event_base_loopbreak(d->charon.base);
}

START_TEST(connection_waits_for_a_place)
{
	static const char *const events[] = {"control-log", NULL};
	static const struct vici_ops ops = {.up = on_up, .down = on_down};
	const struct timeval soon = {.tv_usec = 100000}, limit = {.tv_sec = 30};
	struct busy d = {0};
	struct charon *c = &d.charon;
	struct event *late;
	struct vici *v;

	charon_open(c, 0);
	c->dumb = true;
	d.queued = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(d.queued, (struct sockaddr *)&c->at, sizeof(c->at)), 0);
	late = evtimer_new(c->base, on_late, &d);
	evtimer_add(late, &soon);
	v = vici_new(c->base, c->at.sun_path, events, true, &ops, &d);
	event_base_loopexit(c->base, &limit);
	event_base_dispatch(c->base);
	ck_assert_uint_eq(d.downs, 0);
	ck_assert_uint_eq(d.ups, 1);
	/* whoever waits for an answer hears of the end, once */
	ck_assert_int_eq(vici_request(v, "version", NULL, 0, on_reply, &d), 0);
	ck_assert_int_eq(vici_request(v, "stats", NULL, 0, on_reply, &d), 0);
	event_base_loop(c->base, EVLOOP_NONBLOCK);
	vici_free(v);
	ck_assert_uint_eq(d.replies, 2);
	ck_assert_uint_eq(d.downs, 0);
	event_free(late);
	charon_close(c);
	close(d.queued);
}
END_TEST

/* --- rekeys --------------------------------------------------------------------- */

static void rekey_up(void *arg)
{
	const struct ike *k = arg;
	event_base_loopbreak(k->base);
}

static void rekey_down(void *arg, const char *why)
{
	(void)arg;
	ck_abort_msg("%s", why);
}

static void rekey_changed(void *arg)
{
	(void)arg;
}

#define ANY INT64_MIN /* time of the next tick */

static void child_put(struct ike_peer *p, struct ike_child *x, uint32_t id)
{
	*x = (struct ike_child) {.id = id, .installed = true, .conn = p->conn, .peer = p};
	snprintf(x->name, sizeof(x->name), "%s", p->child);
	LIST_INSERT_HEAD(&p->children, x, in_peer);
}

/* What ike_rekey_tick() says at that time; charon has then done what it was asked for. */
static int64_t tick_at(struct ike *k, struct ike_peer *p, int64_t now_ms)
{
	int64_t next;

	k->now_ms = now_ms;
	next = ike_rekey_tick(k, p, ike_current(p));
	for (int i = 0; i < 4; i++)
		event_base_loop(k->base, EVLOOP_NONBLOCK);
	return next;
}

/* What rekeys are made with: a charon, and a peer with one connection and no CHILD_SA. */
static struct {
	struct charon charon;
	struct ike ike;
	struct ike_peer *peer;
	struct ike_child child[3];
} rekeying;

static void rekeying_setup(void)
{
	static const char *const events[] = {"child-rekey", NULL};
	static const struct vici_ops ops = {.up = rekey_up, .down = rekey_down};
	const struct timeval limit = {.tv_sec = 30};
	struct charon *d = &rekeying.charon;
	struct ike *k = &rekeying.ike;
	struct ike_peer *p;

	charon_open(d, 5);
	*k = (struct ike) {.base = d->base, .ops.changed = rekey_changed};
	event_add(d->on_conn, NULL);
	k->vici = vici_new(d->base, d->at.sun_path, events, true, &ops, k);
	event_base_loopexit(d->base, &limit);
	event_base_dispatch(d->base);
	ck_assert(vici_is_up(k->vici));
	rekeying.peer = p = ike_peer_get(k, 7);
	p->conn = ike_conn_get(k, "copsvpn-x");
	p->wanted = true;
	snprintf(p->child, sizeof(p->child), "c7-x");
}

static void rekeying_teardown(void)
{
	struct ike *k = &rekeying.ike;

	vici_free(k->vici);
	HASH_DEL(k->conns, rekeying.peer->conn);
	free(rekeying.peer->conn);
	HASH_DEL(k->peers, rekeying.peer);
	free(rekeying.peer);
	charon_close(&rekeying.charon);
}

/* The next CHILD_SA is there, the one before has been replaced by it or is on its way out. */
static void child_next(uint32_t id, bool moving)
{
	struct ike_child *x = rekeying.child;

	if (id > 1) {
		x[id - 2].moving = moving;
		x[id - 2].installed = false;
	}
	child_put(rekeying.peer, &x[id - 1], id);
}

/* At that time: what the tick says of the next one, and how many rekeys charon was asked for by
 * then. */
static void tick_is(int64_t now_ms, int64_t next_ms, unsigned rekeys)
{
	int64_t next = tick_at(&rekeying.ike, rekeying.peer, now_ms);

	if (next_ms != ANY)
		ck_assert_int_eq(next, next_ms);
	ck_assert_uint_eq(rekeying.charon.rekeys, rekeys);
}

static bool asked_at(int64_t now_ms)
{
	return ike_rekey(&rekeying.ike, 7, false, now_ms);
}

/* Not before it was the only one for a while. */
START_TEST(rekey_waits_for_its_turn)
{
	ck_assert_int_eq(ike_settle_ms(rekeying.peer), INT64_MIN);
	ck_assert(!asked_at(10000)); /* there is none */
	child_next(1, false);
	tick_is(10000, INT64_MAX, 0);
	ck_assert(!ike_rekey(&rekeying.ike, 7, true, 10100)); /* the other end leads */
	ck_assert(asked_at(10100));
	tick_is(11499, 11500, 0);
	tick_is(11500, ANY, 1);
	ck_assert_uint_eq(rekeying.charon.child, 1);
}
END_TEST

/* Nor while the one before has not left, of which charon tells when it is asked. */
START_TEST(rekey_waits_for_the_one_before)
{
	struct ike_child *one = &rekeying.child[0];
	struct ike_conn *conn = rekeying.peer->conn;

	child_next(1, false);
	child_next(2, true);
	tick_is(11600, INT64_MAX, 0); /* an event tells */
	ck_assert(asked_at(11700));
	one->deleting = true;
	conn->stale = false;
	tick_is(11800, 12100, 0);
	ck_assert(!conn->stale);
	tick_is(12100, 12100, 0);
	ck_assert(conn->stale);
	one->deleting = one->moving = false;
	tick_is(12200, 13700, 0);
	tick_is(13700, ANY, 1);
	ck_assert_uint_eq(rekeying.charon.child, 2);
}
END_TEST

/* Nor if the other end was first. */
START_TEST(rekey_of_the_other_end_counts)
{
	child_next(1, false);
	tick_is(10000, INT64_MAX, 0);
	ck_assert(asked_at(10100));
	child_next(2, false);
	tick_is(10200, INT64_MAX, 0);
	tick_is(60000, ANY, 0);
}
END_TEST

/* One that is asked for late is done at once; one that cannot be seen to be alone, in the end. */
START_TEST(rekey_is_not_put_off_for_ever)
{
	child_next(1, false);
	child_next(2, false);
	tick_is(14000, INT64_MAX, 0);
	ck_assert(asked_at(61000));
	tick_is(61000, ANY, 1);
	rekeying.child[0].moving = true;
	ck_assert(asked_at(62000));
	tick_is(62000, 92000, 1);
	tick_is(92000, ANY, 2);
}
END_TEST

/* --- what charon is asked for ------------------------------------------------- */

static const struct {
	struct ike_transform t;
	bool of_ike;
	enum ike_unknown unknown;
	const char *text;
} transforms[] = {
    {{.encr = 20, .encr_bits = 256, .dh = 31}, false, IKE_KNOWN, "aes256gcm16-curve25519-noesn"},
    {{.encr = 12, .encr_bits = 128, .integ = 12, .esn = true}, false, IKE_KNOWN,
	"aes128-sha256-esn"},
    {{.encr = 28, .encr_bits = 256}, false, IKE_KNOWN, "chacha20poly1305-noesn"},
    {{.encr = 12, .encr_bits = 256, .integ = 14, .prf = 7, .dh = 14}, true, IKE_KNOWN,
	"aes256-sha512-prfsha512-modp2048"},
    {{.encr = 20, .encr_bits = 128, .prf = 5, .dh = 19}, true, IKE_KNOWN,
	"aes128gcm16-prfsha256-ecp256"},
    {{.encr = 3, .encr_bits = 192}, false, IKE_UNKNOWN_ENCR, NULL},
    {{.encr = 12, .encr_bits = 512, .integ = 12}, false, IKE_UNKNOWN_BITS, NULL},
    {{.encr = 12, .encr_bits = 256}, false, IKE_UNKNOWN_INTEG, NULL},
    {{.encr = 20, .encr_bits = 256, .integ = 12}, false, IKE_UNKNOWN_INTEG, NULL},
    {{.encr = 20, .encr_bits = 256, .dh = 31}, true, IKE_UNKNOWN_PRF, NULL},
    {{.encr = 20, .encr_bits = 256, .prf = 7}, true, IKE_UNKNOWN_DH, NULL},
};

START_TEST(transform_words)
{
	char text[128];

	for (size_t i = 0; i < sizeof(transforms) / sizeof(transforms[0]); i++) {
		ck_assert_int_eq(
		    ike_transform_print(&transforms[i].t, transforms[i].of_ike, text, sizeof(text)),
		    transforms[i].unknown);
		if (transforms[i].text)
			ck_assert_str_eq(text, transforms[i].text);
	}
}
END_TEST

static struct ike_conf conf_of(const struct prefix *local, const struct prefix *remote)
{
	struct ike_conf c = {.local_id = "a.example",
	    .remote_id = "b.example",
	    .psk = true,
	    .esp = {{.encr = 20, .encr_bits = 256}},
	    .esps = 1,
	    .peer = 7,
	    .reqid = 3,
	    .local_ts = local,
	    .local_tss = 1,
	    .remote_ts = remote,
	    .remote_tss = 1};

	addr_parse(&c.local, "192.0.2.1");
	addr_parse(&c.remote, "192.0.2.2");
	return c;
}

START_TEST(names_say_what_is_meant)
{
	struct vici_build settings, child;
	struct ike_names one, two;
	struct prefix l, r;
	struct ike_conf c;

	prefix_parse(&l, "10.1.0.0/16");
	prefix_parse(&r, "10.2.0.0/16");
	c = conf_of(&l, &r);
	ck_assert_int_eq(ike_conf_build(&c, &settings, &child, &one), 0);
	vici_build_clear(&settings);
	vici_build_clear(&child);
	ck_assert_uint_eq(ike_conf_peer(one.child), 7);
	ck_assert_uint_eq(ike_conf_peer("net"), 0);
	ck_assert_uint_eq(ike_conf_peer("c12"), 0);
	prefix_parse(&r, "10.3.0.0/16"); /* another child of the same connection */
	c = conf_of(&l, &r);
	ck_assert_int_eq(ike_conf_build(&c, &settings, &child, &two), 0);
	vici_build_clear(&settings);
	vici_build_clear(&child);
	ck_assert_str_eq(one.conn, two.conn);
	ck_assert_str_ne(one.child, two.child);
	c.remote_id = "c.example"; /* another connection */
	ck_assert_int_eq(ike_conf_build(&c, &settings, &child, &two), 0);
	vici_build_clear(&settings);
	vici_build_clear(&child);
	ck_assert_str_ne(one.conn, two.conn);
}
END_TEST

/* Transport mode asks for IP in IP between the two hosts, and for nothing else. */
START_TEST(transport_is_of_ip_in_ip)
{
	static const char *const want[] = {"192.0.2.1/32[4]", "192.0.2.2/32[4]", "transport"};
	struct vici_build settings, child;
	struct ike_names names;
	struct prefix l, r;
	struct ike_conf c;

	prefix_parse(&l, "192.0.2.1/32");
	prefix_parse(&r, "192.0.2.2/32");
	c = conf_of(&l, &r);
	c.transport = true;
	ck_assert_int_eq(ike_conf_build(&c, &settings, &child, &names), 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_ptr_nonnull(memmem(child.octet, child.len, want[i], strlen(want[i])));
	vici_build_clear(&settings);
	vici_build_clear(&child);
}
END_TEST

/* --- pre-shared keys -------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *fault; /* part of it; NULL: fine */
} files[] = {
    {"# none\n\n", NULL},
    {"b.example 0x000102030405060708090a0b0c0d0e0f\n", NULL},
    {"b.example base64:AAECAwQFBgcICQoLDA0ODw==\n", NULL},
    {"b.example \"sixteen letters!\"\nc.example \"another sixteen!\"", NULL},
    {"b.example \"too short\"\n", ":1: a key has at least"},
    {"# x\nb.example 0x0001020304050607080900xx0c0d0e0f\n", ":2: expected 0x"},
    {"b.example secret-without-quotes\n", ":1: expected 0x"},
    {"b.example\n", ":1: expected the peer"},
    {"b.example \"sixteen letters!\"\nB.example \"another sixteen!\"", ":2: this peer has"},
};

START_TEST(psk_files)
{
	char path[] = "/tmp/test_ike.XXXXXX";
	char err[300];
	int fd = mkstemp(path);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct ike_psk *p;
		FILE *f = fopen(path, "w");

		fputs(files[i].text, f);
		fclose(f);
		p = ike_psk_read(path, err, sizeof(err));
		if (files[i].fault) {
			ck_assert_ptr_null(p);
			ck_assert_msg(strstr(err, files[i].fault) != NULL, "%s", err);
			ck_assert_ptr_null(strstr(err, "secret"));
		} else {
			ck_assert_msg(p != NULL, "%s", err);
			if (i)
				ck_assert_uint_eq(ike_psk_find(p, "b.EXAMPLE")->len, 16);
			ck_assert_ptr_null(ike_psk_find(p, "d.example"));
		}
		ike_psk_free(p);
	}
	chmod(path, 0640);
	ck_assert_ptr_null(ike_psk_read(path, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "chmod 600"));
	close(fd);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ike");
	TCase *t = tcase_create("ike"), *rekeys = tcase_create("rekeys");
	SRunner *r;
	int failed;

	tcase_add_test(t, message_example);
	tcase_add_test(t, message_damaged);
	tcase_add_test(t, message_limits);
	tcase_add_test(t, connection_waits_for_a_place);
	tcase_add_test(t, transform_words);
	tcase_add_test(t, names_say_what_is_meant);
	tcase_add_test(t, transport_is_of_ip_in_ip);
	tcase_add_test(t, psk_files);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(rekeys, rekeying_setup, rekeying_teardown);
	tcase_add_test(rekeys, rekey_waits_for_its_turn);
	tcase_add_test(rekeys, rekey_waits_for_the_one_before);
	tcase_add_test(rekeys, rekey_of_the_other_end_counts);
	tcase_add_test(rekeys, rekey_is_not_put_off_for_ever);
	suite_add_tcase(s, rekeys);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
