/*
 * decode_pcap.c - captures through libpcap: frames to IP to TCP, and each direction of a
 * connection put in order.  A direction is a flow; segments that come too early are held,
 * at most HELD_MAX of them, then what lies between counts as missing.  IP fragments are
 * not put together: they are missing too.
 */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "common/addr.h"
#include "common/buf.h"
#include "copsctl/decode_in.h"

#define HELD_MAX      256
#define IP6_EXTS_MAX  8
#define PROTO_TCP     6
#define TYPE_IPV4     0x0800
#define TYPE_IPV6     0x86dd
#define TYPE_VLAN     0x8100
#define TYPE_QINQ     0x88a8
#define TCP_SYN	      0x02
#define ADDR_TEXT_LEN (ADDR_STRLEN + 8)

/* A segment that came too early. */
struct held {
	struct held *next;
	uint32_t seq;
	uint32_t len;
	uint8_t data[];
};

struct flow_key {
	struct addr from;
	struct addr to;
	uint16_t from_port;
	uint16_t to_port;
};

struct flow {
	struct flow_key key;
	UT_hash_handle hh;
	struct decode_stream stream;
	bool started;
	uint32_t next;	   /* the sequence number expected */
	struct held *held; /* by sequence number, all after next */
	unsigned held_n;
};

struct capture {
	struct decode *d;
	uint16_t port;
	struct flow *flows;
	char time[40];
	bool failed; /* out of memory */
};

struct segment {
	struct flow_key key;
	uint32_t seq;
	bool syn;
	struct cur data;
};

/* --- flows ---------------------------------------------------------------------- */

static void end_print(char text[ADDR_TEXT_LEN], const struct addr *a, uint16_t port)
{
	char s[ADDR_STRLEN];

	snprintf(
	    text, ADDR_TEXT_LEN, addr_len(a) == 16 ? "[%s]:%u" : "%s:%u", addr_print(a, s), port);
}

static struct flow *flow_get(struct capture *c, const struct flow_key *key)
{
	char from[ADDR_TEXT_LEN];
	char to[ADDR_TEXT_LEN];
	char label[DECODE_LABEL_LEN];
	struct flow *f;

	HASH_FIND(hh, c->flows, key, sizeof(*key), f);
	if (f != NULL)
		return f;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->key = *key;
	end_print(from, &key->from, key->from_port);
	end_print(to, &key->to, key->to_port);
	snprintf(label, sizeof(label), "%s > %s", from, to);
	decode_stream_init(&f->stream, label);
	HASH_ADD(hh, c->flows, key, sizeof(f->key), f);
	if (f->hh.tbl == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

/* Octets from seq on, which is not after next. */
static void flow_take(
    struct capture *c, struct flow *f, uint32_t seq, const uint8_t *p, uint32_t len)
{
	uint32_t known = f->next - seq;

	if (known >= len)
		return;
	snprintf(f->stream.time, sizeof(f->stream.time), "%s", c->time);
	f->next += len - known;
	decode_put(c->d, &f->stream, p + known, len - known);
}

/* Take what is held and has its turn now. */
static void flow_drain(struct capture *c, struct flow *f)
{
	struct held *h;

	while ((h = f->held) != NULL && (int32_t)(h->seq - f->next) <= 0) {
		flow_take(c, f, h->seq, h->data, h->len);
		f->held = h->next;
		f->held_n--;
		free(h);
	}
}

/* What is before the first held segment will not come. */
static void flow_skip(struct capture *c, struct flow *f)
{
	snprintf(f->stream.time, sizeof(f->stream.time), "%s", c->time);
	decode_gap(c->d, &f->stream, f->held->seq - f->next);
	f->next = f->held->seq;
	flow_drain(c, f);
}

static void flow_hold(struct capture *c, struct flow *f, const struct segment *s)
{
	uint32_t len = (uint32_t)cur_left(&s->data);
	struct held **at = &f->held;
	struct held *h = malloc(sizeof(*h) + len);

	if (h == NULL) {
		c->failed = true;
		return;
	}
	h->seq = s->seq;
	h->len = len;
	memcpy(h->data, s->data.p, len);
	while (*at != NULL && (int32_t)((*at)->seq - s->seq) <= 0)
		at = &(*at)->next;
	h->next = *at;
	*at = h;
	if (++f->held_n > HELD_MAX)
		flow_skip(c, f);
}

static void flow_end(struct capture *c, struct flow *f)
{
	while (f->held != NULL)
		flow_skip(c, f);
	decode_end(c->d, &f->stream);
}

/* A connection begins, perhaps where another with the same ports was. */
static void flow_start(struct capture *c, struct flow *f, uint32_t next)
{
	if (f->started && f->next == next)
		return; /* the SYN again */
	flow_end(c, f);
	f->started = true;
	f->next = next;
	f->stream.at = 0;
	f->stream.lost = f->stream.tls = false;
}

static void segment_take(struct capture *c, struct segment *s)
{
	struct flow *f = flow_get(c, &s->key);

	if (f == NULL) {
		c->failed = true;
		return;
	}
	if (s->syn)
		flow_start(c, f, ++s->seq);
	if (cur_left(&s->data) == 0)
		return;
	if (!f->started) { /* its beginning is not in the capture */
		f->started = true;
		f->next = s->seq;
		f->stream.lost = true;
	}
	if ((int32_t)(s->seq - f->next) > 0) {
		flow_hold(c, f, s);
		return;
	}
	flow_take(c, f, s->seq, s->data.p, (uint32_t)cur_left(&s->data));
	flow_drain(c, f);
}

static void flows_clear(struct capture *c)
{
	struct flow *f;
	struct flow *next;
	struct held *h;

	HASH_ITER (hh, c->flows, f, next) {
		HASH_DEL(c->flows, f);
		while ((h = f->held) != NULL) {
			f->held = h->next;
			free(h);
		}
		decode_stream_clear(&f->stream);
		free(f);
	}
}

/* --- frames --------------------------------------------------------------------- */

/* What lies before IP: how many octets, and where in them the type is; NO_TYPE: IP follows. */
#define NO_TYPE UINT8_MAX
static const struct link {
	int dlt;
	uint8_t len;
	uint8_t type_at;
} links[] = {
    {DLT_EN10MB, 14, 12},
    {DLT_LINUX_SLL, 16, 14},
    {DLT_LINUX_SLL2, 20, 0},
    {DLT_NULL, 4, NO_TYPE},
    {DLT_LOOP, 4, NO_TYPE},
    {DLT_RAW, 0, NO_TYPE},
    {DLT_IPV4, 0, NO_TYPE},
    {DLT_IPV6, 0, NO_TYPE},
};

static const struct link *link_find(int dlt)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].dlt == dlt)
			return &links[i];
	return NULL;
}

/* Cut the IP packet out of a frame; false: there is none. */
static bool frame_strip(const struct link *l, struct cur *c)
{
	uint16_t type = TYPE_IPV4;
	struct cur head;

	if (!cur_cut(c, l->len, &head))
		return false;
	if (l->type_at == NO_TYPE)
		return true;
	if (!cur_skip(&head, l->type_at) || !cur_u16(&head, &type))
		return false;
	while (type == TYPE_VLAN || type == TYPE_QINQ)
		if (!cur_skip(c, 2) || !cur_u16(c, &type))
			return false;
	return type == TYPE_IPV4 || type == TYPE_IPV6;
}

/* Drop what is after the first n octets: padding of the link. */
static void cur_limit(struct cur *c, size_t n)
{
	if (cur_left(c) > n)
		c->end = c->p + n;
}

static bool ip4_strip(struct cur *c, struct flow_key *key)
{
	const uint8_t *p = c->p;
	size_t head;
	size_t total;

	if (cur_left(c) < 20)
		return false;
	head = (p[0] & 15u) * 4;
	total = (size_t)p[2] << 8 | p[3];
	if (head < 20 || total < head || p[9] != PROTO_TCP || (p[6] & 0x3f) != 0 || p[7] != 0)
		return false;
	cur_limit(c, total);
	addr_from_octets(&key->from, p + 12, 4);
	addr_from_octets(&key->to, p + 16, 4);
	return cur_skip(c, head);
}

static bool ip6_strip(struct cur *c, struct flow_key *key)
{
	const uint8_t *p = c->p;
	uint8_t proto;
	uint8_t len;

	if (cur_left(c) < 40)
		return false;
	cur_limit(c, 40 + ((size_t)p[4] << 8 | p[5]));
	proto = p[6];
	addr_from_octets(&key->from, p + 8, 16);
	addr_from_octets(&key->to, p + 24, 16);
	cur_skip(c, 40);
	/* hop-by-hop, routing and destination options */
	for (int i = 0; i < IP6_EXTS_MAX && (proto == 0 || proto == 43 || proto == 60); i++)
		if (!cur_u8(c, &proto) || !cur_u8(c, &len) || !cur_skip(c, len * 8u + 6))
			return false;
	return proto == PROTO_TCP;
}

static bool tcp_strip(struct cur *c, struct segment *s)
{
	const uint8_t *p = c->p;
	size_t head;

	if (cur_left(c) < 20)
		return false;
	head = (p[12] >> 4) * 4u;
	s->syn = p[13] & TCP_SYN;
	return cur_u16(c, &s->key.from_port) && cur_u16(c, &s->key.to_port) &&
	       cur_u32(c, &s->seq) && head >= 20 && cur_skip(c, head - 8);
}

static void frame_take(struct capture *c, const struct link *l, const uint8_t *p, size_t len)
{
	struct segment s;
	struct cur cur;
	unsigned version;

	memset(&s, 0, sizeof(s)); /* the key's padding too: it is hashed */
	cur_init(&cur, p, len);
	if (!frame_strip(l, &cur) || cur_left(&cur) == 0)
		return;
	version = cur.p[0] >> 4;
	if (version != 4 && version != 6)
		return;
	if (!(version == 4 ? ip4_strip : ip6_strip)(&cur, &s.key) || !tcp_strip(&cur, &s))
		return;
	if (s.key.from_port != c->port && s.key.to_port != c->port)
		return;
	s.data = cur;
	segment_take(c, &s);
}

static void time_print(char text[40], const struct timeval *tv)
{
	time_t t = tv->tv_sec;
	char date[24];
	struct tm tm;

	text[0] = '\0';
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return;
	snprintf(text, 40, "%s.%06ldZ", date, (long)tv->tv_usec % 1000000);
}

int decode_pcap(
    struct decode *d, const uint8_t *p, size_t len, uint16_t port, char err[DECODE_ERR_LEN])
{
	struct capture c = {.d = d, .port = port};
	char why[PCAP_ERRBUF_SIZE] = "out of memory";
	struct pcap_pkthdr *head;
	const struct link *l;
	const u_char *frame;
	FILE *f = fmemopen((void *)p, len, "rb");
	pcap_t *pcap = f != NULL ? pcap_fopen_offline(f, why) : NULL;
	int rc = 0;

	if (pcap == NULL) {
		snprintf(err, DECODE_ERR_LEN, "capture: %s", why);
		if (f != NULL)
			fclose(f);
		return -1;
	}
	l = link_find(pcap_datalink(pcap));
	if (l == NULL) {
		snprintf(err, DECODE_ERR_LEN, "capture: no TCP is looked for in link type %d",
		    pcap_datalink(pcap));
		pcap_close(pcap);
		return -1;
	}
	while (!c.failed && (rc = pcap_next_ex(pcap, &head, &frame)) == 1) {
		time_print(c.time, &head->ts);
		frame_take(&c, l, frame, head->caplen);
	}
	for (struct flow *flow = c.flows; flow != NULL; flow = flow->hh.next)
		flow_end(&c, flow);
	if (c.failed || rc == PCAP_ERROR)
		snprintf(err, DECODE_ERR_LEN, "capture: %s",
		    c.failed ? "out of memory" : pcap_geterr(pcap));
	flows_clear(&c);
	pcap_close(pcap);
	return c.failed || rc == PCAP_ERROR ? -1 : 0;
}
