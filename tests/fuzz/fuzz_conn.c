/*
 * fuzz_conn.c - the connection core in either role against a peer that is the input, in virtual
 * time: in clear, with TLS, with TLS where the PDP wants it, or with Integrity objects, of which
 * the peer's can be good ones.  Every message we send must be one that our own parser takes, a
 * connection dies once, and how a stream is cut into reads makes no difference: a twin gets the
 * same octets one at a time and must have sent the same.
 */
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_conn.h"
#include "libcops/cops_hmac.h"
#include "tests/fuzz/fuzz.h"

#define TYPE	  0x4001
#define PEPID	  "ce1.example.net"
#define PDP	  "pdp.example.net"
#define SEAL_LEN  24   /* octets of an Integrity object */
#define FIRST_IN  1000 /* the number of the peer's first message; what it says of ours */
#define FIRST_OUT 7
#define MAX_SENT  (1U << 20)
#define MAX_STEPS 400

struct end {
	struct cops_conn *c;
	struct buf sent; /* all it ever sent but keep-alives, whose time is random */
	unsigned dead;
	bool tls_wanted;
};

static struct cops_conn_conf conf;
static int64_t now;
static uint32_t sealed; /* messages given a good Integrity object in this run */

static int64_t unix_ms(void)
{
	return 1;
}

static uint32_t first_number(void)
{
	return FIRST_IN;
}

static const struct cops_hmac_key key = {.id = 1,
    .len = 16,
    .octets = (const uint8_t *)"cops-test-key-01",
    .not_before_ms = 0,
    .not_after_ms = 2};

static struct cops_hmac_ring *ring_make(void)
{
	struct cops_hmac_ring *r = cops_hmac_ring_new();
	const char *why;

	MUST(r != NULL && cops_hmac_find("hmac-md5-96") == 0);
	MUST(cops_hmac_ring_add(r, PEPID, &key, &why) == 0);
	MUST(cops_hmac_ring_add(r, PDP, &key, &why) == 0);
	return r;
}

/* One message with the Integrity object that the peer's next one has; takes and gives octets. */
static uint8_t *seal(uint8_t *p, size_t *len)
{
	struct cops_hmac h;
	struct buf b;

	if (*len < COPS_HDR_LEN)
		return p;
	buf_init(&b, 0);
	buf_put(&b, p, *len);
	buf_patch_u32(&b, 4, (uint32_t)(*len + SEAL_LEN));
	buf_put_u16(&b, SEAL_LEN);
	buf_put(&b, "\x10\x01", 2);
	buf_put_u32(&b, key.id);
	buf_put_u32(&b, sealed == 0 ? FIRST_OUT : FIRST_IN + sealed);
	sealed++;
	cops_hmac_begin(&h, conf.integrity.ring, &key);
	cops_hmac_add(&h, b.data, b.len);
	MUST(cops_hmac_end(&h, buf_room(&b, COPS_HMAC_DIGEST_LEN)));
	free(p);
	return buf_take(&b, len);
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	(void)arg, (void)sub;
	MUST(pepid[0] != '\0' && strlen(pepid) <= COPS_PEPID_MAX);
	return opn->client_type >= 0x4000 && opn->client_type < 0x8000 ? 0 : COPS_ERR_CLIENT_TYPE;
}

static void on_accept(void *arg, uint16_t client_type)
{
	(void)arg;
	MUST(client_type != 0 || conf.security >= COPS_SECURITY_INTEGRITY);
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	(void)arg, (void)client_type, (void)error, (void)sub;
	MUST(redir != NULL);
}

/* As a daemon would: a request gets a decision, a decision its report. */
static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct end *e = arg;
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	struct cops_obj_iter it;
	struct cops_obj o;
	struct buf b;
	size_t mark;

	MUST(e->dead == 0);
	if (fault == NULL) {
		cops_obj_iter_init(&it, m);
		while (cops_obj_iter_next(&it, &o))
			MUST(o.body + o.len <= m->octets + m->len);
	}
	if (m->op == COPS_OP_REQ) {
		(void)cops_conn_send_dec(e->c, m->client_type, true, h->body, h->len, NULL, 0);
	} else if (m->op == COPS_OP_DEC) {
		buf_init(&b, 0);
		mark = cops_msg_begin(&b, COPS_OP_RPT, true, m->client_type);
		cops_put_handle(&b, h->body, h->len);
		cops_put_u16x2(&b, COPS_C_REPORT_TYPE, 1, COPS_RPT_SUCCESS, 0);
		cops_msg_end(&b, mark);
		(void)cops_conn_send(e->c, b.data, b.len);
		buf_clear(&b);
	}
}

static void on_start_tls(void *arg)
{
	struct end *e = arg;

	MUST(!e->tls_wanted);
	MUST(conf.security == COPS_SECURITY_TLS || conf.security == COPS_SECURITY_ANY);
	e->tls_wanted = true;
}

static void on_output(void *arg)
{
	(void)arg;
}

static void on_dead(void *arg, const char *why)
{
	struct end *e = arg;

	MUST(why != NULL && e->dead == 0);
	e->dead = 1;
}

static const struct cops_conn_ops ops = {
    .on_open = on_open,
    .on_accept = on_accept,
    .on_client_close = on_client_close,
    .on_msg = on_msg,
    .on_start_tls = on_start_tls,
    .on_output = on_output,
    .on_dead = on_dead,
};

/* What is compared; Integrity objects are not: keep-alives count in their numbers. */
static void take_messages(struct end *e, const struct buf *out)
{
	struct cops_fault f;
	struct cops_msg m;

	for (size_t at = 0; at < out->len; at += m.len) {
		MUST(cops_msg_parse(&m, out->data + at, out->len - at, 65536, &f) > 0);
		if (m.op != COPS_OP_KA)
			buf_put(&e->sent, m.octets,
			    m.len - (cops_msg_has(&m, COPS_SLOT_INTEGRITY) ? SEAL_LEN : 0));
	}
}

static void drain(struct end *e)
{
	struct cops_span span[3];
	struct buf out;
	size_t n, octets;

	buf_init(&out, 0);
	while ((n = cops_conn_output(e->c, span, 3)) > 0) {
		octets = 0;
		for (size_t i = 0; i < n; i++) {
			buf_put(&out, span[i].p, span[i].len);
			octets += span[i].len;
		}
		cops_conn_output_done(e->c, octets);
	}
	MUST(!out.failed && cops_conn_unsent(e->c) == 0);
	take_messages(e, &out);
	buf_clear(&out);
}

static void end_init(struct end *e)
{
	memset(e, 0, sizeof(*e));
	buf_init(&e->sent, MAX_SENT);
	e->c = cops_conn_new(&conf, &ops, e, now);
	MUST(e->c != NULL);
}

static void end_clear(struct end *e)
{
	drain(e);
	cops_conn_free(e->c);
	buf_clear(&e->sent);
}

/* Octets for the transport stop being COPS once TLS is wanted; what follows is dropped. */
static void input(struct end *e, const uint8_t *p, size_t len, size_t step)
{
	for (size_t at = 0; at < len && !e->tls_wanted && !e->dead; at += step) {
		size_t n = step < len - at ? step : len - at;

		MUST((cops_conn_input(e->c, p + at, n, now) == 0) == !cops_conn_dead(e->c));
	}
}

static void on_both(struct end *pair, uint8_t op, uint8_t value)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &pair[i];

		if (e->dead)
			continue;
		if (op == 1 && cops_conn_role(e->c) == COPS_PEP)
			(void)cops_conn_open(e->c, (uint16_t)(TYPE + value % 12), NULL);
		else if (op == 2 && e->tls_wanted) {
			e->tls_wanted = false;
			cops_conn_tls_up(e->c, now);
		} else if (op == 3)
			cops_conn_close_type(
			    e->c, (uint16_t)(TYPE + value % 12), COPS_ERR_SHUTDOWN, 0);
		else if (op == 4)
			cops_conn_close(e->c, COPS_ERR_SHUTDOWN, 0, "told to");
		if (!e->dead)
			(void)cops_conn_tick(e->c, now);
	}
}

static void check(struct end *pair)
{
	drain(&pair[0]);
	drain(&pair[1]);
	MUST(pair[0].dead == pair[1].dead && pair[0].tls_wanted == pair[1].tls_wanted);
	MUST(pair[0].dead == (unsigned)cops_conn_dead(pair[0].c));
	MUST(pair[0].sent.len == pair[1].sent.len);
	MUST(pair[0].sent.len == 0 ||
	     memcmp(pair[0].sent.data, pair[1].sent.data, pair[0].sent.len) == 0);
}

static enum cops_security security_of(uint8_t how)
{
	if (how & 32)
		return COPS_SECURITY_INTEGRITY;
	if (how & 64 && !(how & 1)) /* a PEP's only */
		return COPS_SECURITY_ANY;
	return how & 2 ? COPS_SECURITY_TLS : COPS_SECURITY_NONE;
}

static void conf_make(uint8_t how)
{
	static struct cops_hmac_ring *ring;

	if (ring == NULL)
		ring = ring_make();
	conf = (struct cops_conn_conf) {
	    .role = how & 1 ? COPS_PDP : COPS_PEP,
	    .pepid = PEPID,
	    .security = security_of(how),
	    .ka_s = how & 4 ? 60 : 0,
	    .acct_s = how & 8 ? 30 : 0,
	    .max_msg = 8192,
	    .max_unsent = 1 << 20,
	    .open_timeout_ms = 15000,
	    .integrity = {ring, PDP, unix_ms, first_number},
	};
}

/* Octets from the peer, to one in one piece and to its twin one at a time. */
static void input_both(struct end *pair, struct script *s, bool good)
{
	size_t len;
	uint8_t *p = script_run(s, &len);

	if (good && conf.security == COPS_SECURITY_INTEGRITY)
		p = seal(p, &len);
	input(&pair[0], p, len, len > 0 ? len : 1);
	input(&pair[1], p, len, 1);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint8_t how = script_u8(&s);
	struct end pair[2];

	conf_make(how);
	sealed = 0;
	now = 1000;
	end_init(&pair[0]);
	end_init(&pair[1]);
	if (conf.role == COPS_PEP) {
		cops_conn_start(pair[0].c, now);
		cops_conn_start(pair[1].c, now);
	}
	if (how & 16)
		on_both(pair, 1, 0);
	for (unsigned i = 0; i < MAX_STEPS && s.left > 0; i++) {
		uint8_t op = script_u8(&s) & 7;

		if (op >= 6) {
			input_both(pair, &s, op == 7);
		} else {
			uint8_t value = script_u8(&s);

			if (op == 5)
				now += (int64_t)value * 1000;
			on_both(pair, op, value);
		}
		check(pair);
	}
	end_clear(&pair[0]);
	end_clear(&pair[1]);
	return 0;
}
