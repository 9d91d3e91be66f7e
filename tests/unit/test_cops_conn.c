/*
 * test_cops_conn.c - both ends of a connection in one process, with virtual time and
 * a wire made of memory.  Each test reads like the RFC's arrows: what one side
 * does, what the other one is told.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_conn.h"
#include "libcops/cops_fsm.h"
#include "libcops/cops_hmac.h"
#include "tests/unit/capture.h"
#include "tests/unit/cops_vectors.h"

#define TYPE	   0x4001
#define OTHER_TYPE 0x4002
#define CC_MAX	   8

/* One end, and what it was told. */
struct side {
	struct cops_conn_conf conf;
	struct cops_conn *c;
	bool tls_wanted;
	const char *dead;
	char pepid[COPS_PEPID_MAX + 1];
	uint16_t refuse; /* error of on_open */
	unsigned opens;
	unsigned accepts;
	unsigned closes;
	uint16_t close_type;
	uint16_t close_error;
	uint16_t close_sub;
	bool close_redir;
	unsigned msgs;
	unsigned faults;
	struct cops_fault fault;
	uint8_t last_op;
	bool last_solicited;
	bool last_pdp;
	uint32_t seen[64]; /* numbers found in DECs, in order */
	unsigned answer_with_rpt : 1;
	/* every CC this end sent, every KA */
	struct {
		uint16_t type, error, sub;
	} cc[CC_MAX];
	unsigned n_cc;
	unsigned n_ka;
	/* what it sent with Integrity, and without */
	unsigned sealed, bare;
	uint32_t number; /* of the last one */
	uint32_t key_id;
	unsigned gaps;	     /* in the numbers, from the second one on */
	unsigned asked_open; /* on_accept for client-type 0 */
	struct buf wire;     /* taken from the core, not yet delivered */
};

static struct side pep, pdp;
static int64_t now;

/* Keys of both ends: one ring, each finds the other's name in it. */
static struct cops_hmac_ring *ring;
static int64_t unix_ms;
static uint32_t next_number;

static int64_t unix_now(void)
{
	return unix_ms;
}

static uint32_t first_number(void)
{
	uint32_t n = next_number;

	next_number += 0x100;
	return n;
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	struct side *s = arg;

	(void)sub;
	s->opens++;
	s->last_pdp = cops_msg_has(opn, COPS_SLOT_LAST_PDP);
	snprintf(s->pepid, sizeof(s->pepid), "%s", pepid);
	return opn->client_type == TYPE || opn->client_type >= 0x5000 ? s->refuse
								      : COPS_ERR_CLIENT_TYPE;
}

static void on_accept(void *arg, uint16_t client_type)
{
	struct side *s = arg;

	if (client_type == 0)
		s->asked_open++;
	else
		s->accepts++;
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	struct side *s = arg;

	s->closes++;
	s->close_type = client_type;
	s->close_error = error;
	s->close_sub = sub;
	s->close_redir = redir->c_num != 0;
}

static void report(struct side *s, const struct cops_msg *m)
{
	const struct cops_obj *h = &m->slot[COPS_SLOT_HANDLE];
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_RPT, true, m->client_type);
	cops_put_handle(&b, h->body, h->len);
	cops_put_u16x2(&b, COPS_C_REPORT_TYPE, 1, COPS_RPT_SUCCESS, 0);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(s->c, b.data, b.len), 0);
	buf_clear(&b);
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct side *s = arg;
	struct cops_dec_iter it;
	struct cops_decision d;

	s->last_op = m->op;
	s->last_solicited = m->solicited;
	if (fault != NULL) {
		s->faults++;
		s->fault = *fault;
		ck_assert_uint_eq(m->slot[COPS_SLOT_HANDLE].len, 4);
		return;
	}
	if (m->op == COPS_OP_DEC) {
		cops_dec_iter_init(&it, m);
		ck_assert(cops_dec_iter_next(&it, &d));
		if (d.data.len >= 12 && s->msgs < 64)
			s->seen[s->msgs] = (uint32_t)((d.data.body[10] & 0x7f) << 7 |
						      d.data.body[11]) -
					   128;
	}
	s->msgs++;
	if (s->answer_with_rpt)
		report(s, m);
}

static void on_start_tls(void *arg)
{
	struct side *s = arg;

	s->tls_wanted = true;
}

static void on_dead(void *arg, const char *why)
{
	struct side *s = arg;

	ck_assert_ptr_null(s->dead);
	s->dead = why != NULL ? why : "no reason";
}

static const struct cops_conn_ops ops = {
    .on_open = on_open,
    .on_accept = on_accept,
    .on_client_close = on_client_close,
    .on_msg = on_msg,
    .on_start_tls = on_start_tls,
    .on_dead = on_dead,
};

static void side_init(struct side *s, enum cops_role role, enum cops_security security)
{
	memset(s, 0, sizeof(*s));
	s->conf = (struct cops_conn_conf) {.role = role,
	    .pepid = role == COPS_PEP ? "ce1.example.net" : NULL,
	    .security = security,
	    .ka_s = 60,
	    .max_msg = 65536,
	    .max_unsent = 1 << 20,
	    .open_timeout_ms = 10000,
	    .integrity = {.ring = ring,
		.pdp = "pdp.example.net",
		.unix_ms = unix_now,
		.first_number = first_number}};
	s->c = cops_conn_new(&s->conf, &ops, s, now);
	buf_init(&s->wire, 0);
}

static void setup(void)
{
	now = 1000;
	side_init(&pep, COPS_PEP, COPS_SECURITY_NONE);
	side_init(&pdp, COPS_PDP, COPS_SECURITY_NONE);
}

static void setup_tls(void)
{
	now = 1000;
	side_init(&pep, COPS_PEP, COPS_SECURITY_TLS);
	side_init(&pdp, COPS_PDP, COPS_SECURITY_TLS);
}

static void key_add(const char *peer, uint32_t id, int64_t from, int64_t to)
{
	const struct cops_hmac_key k = {.id = id,
	    .algorithm = (uint8_t)(id % 2),
	    .len = 16,
	    .octets = (const uint8_t *)"cops-test-key-01",
	    .not_before_ms = from,
	    .not_after_ms = to};
	const char *why;

	ck_assert_int_eq(cops_hmac_ring_add(ring, peer, &k, &why), 0);
}

static void ring_setup(void)
{
	ring = cops_hmac_ring_new();
	unix_ms = 5000;
	next_number = 0xfffffffe;
}

static void setup_integrity(void)
{
	now = 1000;
	ring_setup();
	key_add("pdp.example.net", 1, 0, 10000);
	key_add("ce1.example.net", 1, 0, 10000);
	side_init(&pep, COPS_PEP, COPS_SECURITY_INTEGRITY);
	side_init(&pdp, COPS_PDP, COPS_SECURITY_INTEGRITY);
}

static void teardown(void)
{
	cops_hmac_ring_unref(ring);
	ring = NULL;
	cops_conn_free(pep.c);
	cops_conn_free(pdp.c);
	buf_clear(&pep.wire);
	buf_clear(&pdp.wire);
}

static void note_seal(struct side *s, const struct cops_msg *m)
{
	const uint8_t *o = m->slot[COPS_SLOT_INTEGRITY].body;
	uint32_t number;

	if (o == NULL) {
		s->bare++;
		return;
	}
	s->key_id = (uint32_t)o[0] << 24 | (uint32_t)o[1] << 16 | (uint32_t)o[2] << 8 | o[3];
	number = (uint32_t)o[4] << 24 | (uint32_t)o[5] << 16 | (uint32_t)o[6] << 8 | o[7];
	if (s->sealed++ > 1)
		s->gaps += number != s->number + 1;
	s->number = number;
}

/* Count what goes over the wire that no callback shows. */
static void note(struct side *s, const uint8_t *p, size_t len)
{
	struct cops_fault f;
	struct cops_msg m;
	int64_t n;

	while (len > 0 && (n = cops_msg_parse(&m, p, len, UINT32_MAX, &f)) > 0) {
		capture_octets(s == &pep, p, m.len);
		note_seal(s, &m);
		if (m.op == COPS_OP_KA)
			s->n_ka++;
		if (m.op == COPS_OP_CC && s->n_cc < CC_MAX) {
			s->cc[s->n_cc].type = m.client_type;
			s->cc[s->n_cc].error = cops_obj_hi(&m.slot[COPS_SLOT_ERROR]);
			s->cc[s->n_cc].sub = cops_obj_lo(&m.slot[COPS_SLOT_ERROR]);
			s->n_cc++;
		}
		p += n;
		len -= (size_t)n;
	}
}

/* Move what s has queued onto its wire, taking at most `bite` octets at a time. */
static void collect(struct side *s, size_t bite)
{
	size_t start = s->wire.len;
	struct cops_span span[3];
	size_t total;
	size_t n;

	while (cops_conn_unsent(s->c) > 0) {
		n = cops_conn_output(s->c, span, 3);
		total = 0;
		for (size_t i = 0; i < n && total < bite; i++) {
			size_t take = bite - total < span[i].len ? bite - total : span[i].len;

			buf_put(&s->wire, span[i].p, take);
			total += take;
		}
		cops_conn_output_done(s->c, total);
	}
	ck_assert_uint_eq(cops_conn_output(s->c, span, 3), 0);
	note(s, s->wire.data + start, s->wire.len - start);
}

static void deliver(struct side *from, struct side *to, size_t bite)
{
	uint8_t *copy;

	for (size_t at = 0; at < from->wire.len; at += bite) {
		size_t take = from->wire.len - at < bite ? from->wire.len - at : bite;

		copy = malloc(take); /* exact size, freed at once: ASan guards the view */
		memcpy(copy, from->wire.data + at, take);
		cops_conn_input(to->c, copy, take, now);
		free(copy);
	}
	buf_reset(&from->wire);
}

/* Until both are quiet; TLS comes up when both want it and the wire is empty. */
static void exchange_by(size_t bite)
{
	do {
		collect(&pep, bite);
		deliver(&pep, &pdp, bite);
		collect(&pdp, bite);
		deliver(&pdp, &pep, bite);
		if (pep.tls_wanted && pdp.tls_wanted && !cops_conn_secure(pep.c)) {
			cops_conn_tls_up(pdp.c, now);
			cops_conn_tls_up(pep.c, now);
		}
	} while (cops_conn_unsent(pep.c) > 0 || cops_conn_unsent(pdp.c) > 0);
}

static void exchange(void)
{
	exchange_by(SIZE_MAX / 2);
}

/* Connected, TYPE open. */
static void connect_both(void)
{
	cops_conn_start(pep.c, now);
	exchange();
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, 1);
}

static void feed_hex(struct side *to, const char *hex)
{
	uint8_t p[256];
	size_t n = 0;
	unsigned v;

	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		ck_assert_int_eq(sscanf(hex, "%2x", &v), 1);
		p[n++] = (uint8_t)v;
		hex++;
	}
	cops_conn_input(to->c, p, n, now);
}

/* One Decision: Install with a PRID whose instance, of two octets, is 128 + number. */
static struct cops_chunk *decision(uint16_t number)
{
	const uint16_t n = 128 + number;
	const uint8_t body[] = {6, 6, 0x2b, 6, 1, 2, (uint8_t)(0x80 | n >> 7), n & 0x7f};
	struct cops_chunk *chunk;
	struct buf b;
	size_t named;

	buf_init(&b, 0);
	cops_put_decision(&b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(&b, COPS_C_DECISION, 5);
	cops_put_sub(&b, COPS_S_PRID, body, sizeof(body));
	cops_named_close(&b, named);
	chunk = cops_chunk_new(b.data, b.len);
	buf_clear(&b);
	return chunk;
}

/* --- tables ------------------------------------------------------------------ */

START_TEST(no_cell_unset)
{
	for (unsigned s = 0; s < COPS_ST_MAX; s++)
		for (unsigned e = 0; e < COPS_EV_MAX; e++) {
			struct cops_step step = cops_fsm_step(s, e);

			ck_assert_msg(step.act != COPS_ACT_UNSET, "state %u event %u", s, e);
			ck_assert_uint_lt(step.next, COPS_ST_MAX);
			if (s == COPS_ST_DEAD)
				ck_assert_uint_eq(step.next, COPS_ST_DEAD);
			/* Nothing but the handshake leads from TLS to UP. */
			if (s == COPS_ST_TLS && e != COPS_EV_TLS_UP)
				ck_assert_uint_ne(step.next, COPS_ST_UP);
			/* Who wants TLS never gets UP without it. */
			if (s == COPS_ST_WAIT_OPN || s == COPS_ST_WAIT_CAT)
				ck_assert_uint_ne(step.next, COPS_ST_UP);
			/* Who wants Integrity gets it by a proven message alone. */
			if ((s == COPS_ST_WAIT_OPN_HMAC && e != COPS_EV_OPN0_HMAC) ||
			    (s == COPS_ST_WAIT_CAT_HMAC && e != COPS_EV_CAT0_HMAC))
				ck_assert_uint_ne(step.next, COPS_ST_UP);
		}
	for (unsigned s = 0; s < COPS_TYPE_MAX; s++)
		for (unsigned e = 0; e < COPS_TEV_MAX; e++) {
			struct cops_step step = cops_fsm_type_step(s, e);

			ck_assert_msg(step.act != COPS_TACT_UNSET, "type %u event %u", s, e);
			ck_assert_uint_lt(step.next, COPS_TYPE_MAX);
			if (step.act == COPS_TACT_DELIVER)
				ck_assert_uint_eq(s, COPS_TYPE_OPEN);
		}
}
END_TEST

/* --- opening ----------------------------------------------------------------- */

START_TEST(open_plain)
{
	uint8_t body[8] = {192, 0, 2, 10, 0, 0, 0x0c, 0xd8};
	struct cops_obj last = {.c_num = COPS_C_LAST_PDP, .c_type = 1, .len = 8, .body = body};

	cops_conn_start(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, &last), 0);
	exchange();
	ck_assert_uint_eq(pdp.opens, 1);
	ck_assert(pdp.last_pdp);
	ck_assert_str_eq(pdp.pepid, "ce1.example.net");
	ck_assert_uint_eq(pep.accepts, 1);
	ck_assert_uint_eq(cops_conn_ka_ms(pep.c), 60000);
	ck_assert_int_eq(cops_conn_acct_s(pep.c, TYPE), -1);
	/* OPN may be repeated for the same client-type (RFC 2748 3.6). */
	pdp.conf.acct_s = 30;
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pdp.opens, 2);
	ck_assert(!pdp.last_pdp);
	ck_assert_uint_eq(pep.accepts, 2);
	ck_assert_int_eq(cops_conn_acct_s(pep.c, TYPE), 30);
	ck_assert(!cops_conn_secure(pep.c));
}
END_TEST

START_TEST(row34_row35_integrity_tls_octets)
{
	cops_conn_start(pep.c, now);
	/* Nothing of ours before the handshake. */
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), -1);
	ck_assert_int_eq(cops_conn_send(pep.c, "x", 1), -1);
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.wire.len, cops_vectors[0].len); /* V1 */
	deliver(&pep, &pdp, SIZE_MAX / 2);
	ck_assert(pdp.tls_wanted);
	ck_assert_uint_eq(pdp.opens, 0);
	ck_assert_int_eq(cops_conn_send(pdp.c, "x", 1), -1);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.wire.len, cops_vectors[1].len); /* V2 */
	ck_assert(!pep.tls_wanted);
	deliver(&pdp, &pep, SIZE_MAX / 2);
	ck_assert(pep.tls_wanted);
	ck_assert_uint_eq(cops_conn_unsent(pep.c), 0);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), -1);
	cops_conn_tls_up(pep.c, now);
	cops_conn_tls_up(pdp.c, now);
	ck_assert(cops_conn_secure(pep.c) && cops_conn_secure(pdp.c));
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, 1);
	ck_assert_uint_eq(cops_conn_ka_ms(pep.c), 60000);
}
END_TEST

/* Octets behind the message that starts TLS came in clear: they are never acted upon. */
START_TEST(row48_pre_tls_octets_discarded)
{
	uint8_t both[512];
	size_t n;

	cops_conn_start(pep.c, now);
	collect(&pep, SIZE_MAX / 2);
	memcpy(both, pep.wire.data, pep.wire.len);
	n = pep.wire.len;
	/* the injected OPN for TYPE, then half a message */
	memcpy(both + n, pep.wire.data, n);
	both[n + 2] = TYPE >> 8;
	both[n + 3] = TYPE & 0xff;
	cops_conn_input(pdp.c, both, 2 * n + 5, now);
	ck_assert(pdp.tls_wanted);
	cops_conn_input(pdp.c, both, 2 * n, now);
	cops_conn_tls_up(pdp.c, now);
	ck_assert_uint_eq(pdp.opens, 0);
	ck_assert_ptr_null(pdp.dead);

	/* and on the other side */
	buf_reset(&pep.wire);
	collect(&pdp, SIZE_MAX / 2);
	buf_put(&pdp.wire, both, n);
	deliver(&pdp, &pep, SIZE_MAX / 2);
	ck_assert(pep.tls_wanted);
	cops_conn_tls_up(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, 1);
	ck_assert_ptr_null(pep.dead);
}
END_TEST

/* A stranger cannot have us keep much: the length alone ends it. */
START_TEST(long_before_tls)
{
	static const uint8_t head[COPS_HDR_LEN] = {0x10, COPS_OP_OPN, 0, 0, 0, 0, 0x10, 0x04};

	ck_assert_uint_gt(pdp.conf.max_msg, 4100);
	cops_conn_input(pdp.c, head, sizeof(head), now);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_BAD_MESSAGE);
}
END_TEST

START_TEST(row37_pdp_refuses_cleartext)
{
	static const char *const first[] = {
	    "10064001 00000010 00080b01 63653100",		     /* OPN */
	    "10014001 00000018 00080101 00000001 00080201 00080000", /* REQ */
	    "10090000 00000008",				     /* KA */
	};

	feed_hex(&pdp, first[_i]);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
	ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_AUTH_REQUIRED);
	ck_assert_uint_eq(pdp.cc[0].sub, 0x1002);
	ck_assert_int_eq(cops_conn_input(pdp.c, (const uint8_t *)"x", 1, now), -1);
}
END_TEST

/* A PDP that wants TLS says so in its CAT even if the PEP did not ask (RFC 4261 5.2). */
START_TEST(row36_pdp_starts_tls)
{
	feed_hex(&pdp, "10060000 00000010 00080b01 63653100");
	ck_assert(pdp.tls_wanted);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.wire.len, cops_vectors[1].len);
}
END_TEST

START_TEST(row39_pep_never_falls_back)
{
	static const char *const first[] = {
	    "10070000 00000010 00080a01 0000003c",		     /* CAT 0 without the object */
	    "10070000 00000018 00080a01 0000003c 00081002 00000000", /* StartTLS not set */
	    "10074001 00000010 00080a01 0000003c",		     /* CAT for a client-type */
	    "10024001 00000020 00080101 00000001 00080201 00080000 00080601 00000000",
	};

	cops_conn_start(pep.c, now);
	collect(&pep, SIZE_MAX / 2);
	feed_hex(&pep, first[_i]);
	ck_assert_ptr_nonnull(pep.dead);
	ck_assert(!pep.tls_wanted);
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.n_cc, 1);
	ck_assert_uint_eq(pep.cc[0].type, 0);
	ck_assert_uint_eq(pep.cc[0].error, COPS_ERR_AUTH_REQUIRED);
	ck_assert_uint_eq(pep.cc[0].sub, 0x1002);
}
END_TEST

/* A PDP without TLS: RFC 4261 4.2. */
START_TEST(row38_pdp_has_no_tls)
{
	feed_hex(&pdp, cops_vectors[0].hex);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
	ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_UNKNOWN_OBJECT);
	ck_assert_uint_eq(pdp.cc[0].sub, 0x1002);
}
END_TEST

START_TEST(row33_opn0_after_another)
{
	connect_both();
	feed_hex(&pdp, cops_vectors[0].hex);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
}
END_TEST

START_TEST(not_open_in_time)
{
	int64_t due = cops_conn_tick(pdp.c, now);

	ck_assert_int_eq(due, now + 10000);
	ck_assert_int_eq(cops_conn_tick(pdp.c, due - 1), due);
	ck_assert_ptr_null(pdp.dead);
	ck_assert_int_eq(cops_conn_tick(pdp.c, due), INT64_MAX);
	ck_assert_ptr_nonnull(pdp.dead);
	/* an open one may be idle */
	now = due + 100000;
	teardown();
	setup();
	pdp.conf.ka_s = 0;
	connect_both();
	ck_assert_int_eq(cops_conn_tick(pdp.c, now), INT64_MAX);
	ck_assert_int_eq(cops_conn_tick(pep.c, now), INT64_MAX);
}
END_TEST

START_TEST(handshake_not_done_in_time)
{
	cops_conn_start(pep.c, now);
	collect(&pep, SIZE_MAX / 2);
	deliver(&pep, &pdp, SIZE_MAX / 2);
	collect(&pdp, SIZE_MAX / 2);
	cops_conn_tick(pdp.c, now + 10000);
	ck_assert_ptr_nonnull(pdp.dead);
	/* no COPS octet goes where TLS is expected */
	ck_assert_uint_eq(cops_conn_unsent(pdp.c), 0);
}
END_TEST

/* --- security asked for by the PDP ---------------------------------------------- */

/* A PEP that leaves it to the PDP says nothing between the CAT and its ClientHello. */
START_TEST(row36_pep_waits_for_tls)
{
	teardown();
	side_init(&pep, COPS_PEP, COPS_SECURITY_ANY);
	side_init(&pdp, COPS_PDP, COPS_SECURITY_TLS);
	cops_conn_start(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), -1);
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.wire.len, cops_vectors[0].len - 8); /* V1 without Integrity-TLS */
	deliver(&pep, &pdp, SIZE_MAX / 2);
	collect(&pdp, SIZE_MAX / 2);
	deliver(&pdp, &pep, SIZE_MAX / 2);
	ck_assert(pep.tls_wanted && pdp.tls_wanted);
	ck_assert_uint_eq(pep.asked_open, 0);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), -1);
	ck_assert_int_eq(cops_conn_tick(pep.c, now + 9000), now + 10000); /* no KA either */
	ck_assert_uint_eq(cops_conn_unsent(pep.c), 0);
	exchange();
	ck_assert(cops_conn_secure(pep.c));
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, 1);
}
END_TEST

/* The same PEP and a PDP that wants nothing; a PDP that wants what the PEP cannot do. */
START_TEST(row36_pep_asks)
{
	teardown();
	ring_setup();
	side_init(&pep, COPS_PEP, COPS_SECURITY_ANY);
	side_init(&pdp, COPS_PDP, _i == 0 ? COPS_SECURITY_NONE : COPS_SECURITY_INTEGRITY);
	cops_conn_start(pep.c, now);
	exchange();
	ck_assert_uint_eq(pep.asked_open, _i == 0);
	if (_i == 1) {
		ck_assert_uint_eq(pep.close_error, COPS_ERR_AUTH_REQUIRED);
		ck_assert_uint_eq(pep.close_sub, 0x1001);
		return;
	}
	ck_assert(!pep.tls_wanted);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, 1);
}
END_TEST

/* A PEP without TLS that is told to start it. */
START_TEST(row38_pep_has_no_tls)
{
	cops_conn_start(pep.c, now);
	feed_hex(&pep, cops_vectors[1].hex);
	ck_assert_ptr_nonnull(pep.dead);
	ck_assert(!pep.tls_wanted);
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.cc[0].error, COPS_ERR_UNKNOWN_OBJECT);
	ck_assert_uint_eq(pep.cc[0].sub, 0x1002);
}
END_TEST

/* The PDP's policy is switched on: the PEP is told why, comes back, and is taken with TLS. */
START_TEST(row40_insecure_connection_closed)
{
	connect_both();
	cops_conn_require_tls(pdp.c);
	exchange();
	ck_assert_ptr_nonnull(pdp.dead);
	ck_assert_uint_eq(pep.close_type, 0);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_AUTH_REQUIRED);
	ck_assert_uint_eq(pep.close_sub, 0x1002);
	teardown();
	setup_tls();
	connect_both();
	cops_conn_require_tls(pdp.c); /* is content */
	exchange();
	ck_assert_ptr_null(pdp.dead);
	ck_assert_uint_eq(pep.closes, 0);
}
END_TEST

/* --- Integrity ------------------------------------------------------------------- */

START_TEST(row30_vector)
{
	const struct cops_hmac_key *key;
	struct cops_hmac h;
	uint8_t v[32], digest[COPS_HMAC_DIGEST_LEN];
	unsigned x;

	for (size_t i = 0, n = 0; n < sizeof(v); i += cops_vectors[18].hex[i] == ' ' ? 1 : 2)
		if (cops_vectors[18].hex[i] != ' ') {
			ck_assert_int_eq(sscanf(cops_vectors[18].hex + i, "%2x", &x), 1);
			v[n++] = (uint8_t)x;
		}
	ck_assert_int_eq(cops_hmac_find("HMAC-MD5-96"), 0);
	ring_setup();
	const struct cops_hmac_key md5 = {.id = 7,
	    .len = 16,
	    .octets = (const uint8_t *)"cops-test-key-01",
	    .not_after_ms = 9999};
	const char *why;
	ck_assert_int_eq(cops_hmac_ring_add(ring, "x", &md5, &why), 0);
	key = cops_hmac_ring_to(ring, "X", unix_ms);
	ck_assert_ptr_nonnull(key);
	cops_hmac_begin(&h, ring, key);
	cops_hmac_add(&h, v, 9); /* in two pieces */
	cops_hmac_add(&h, v + 9, sizeof(v) - COPS_HMAC_DIGEST_LEN - 9);
	ck_assert(cops_hmac_end(&h, digest));
	ck_assert_mem_eq(digest, v + 20, COPS_HMAC_DIGEST_LEN);
	ck_assert(cops_hmac_equal(digest, v + 20));
	digest[11] ^= 1;
	ck_assert(!cops_hmac_equal(digest, v + 20));
}
END_TEST

/* Both ways, whatever the message, over the end of the numbers and cut as it may be. */
START_TEST(row30_on_every_message)
{
	static const uint8_t handle[] = {0, 0, 0, 1};
	struct cops_chunk *row = decision(3);
	struct cops_chunk *chunks[] = {row, row, row};
	unsigned n = 20;

	cops_conn_start(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), -1); /* not yet */
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pep.asked_open, 1);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pep.accepts, 1);
	pep.answer_with_rpt = 1;
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(
		    cops_conn_send_dec(pdp.c, TYPE, i == 0, handle, 4, chunks, i % 4), 0);
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pep.msgs, n);
	ck_assert_uint_eq(pdp.msgs, n);
	while (pep.n_ka < 3) {
		now = cops_conn_tick(pep.c, now);
		cops_conn_tick(pep.c, now);
		exchange_by((size_t)_i);
	}
	ck_assert_uint_eq(pdp.n_ka, 3);
	cops_conn_close_type(pep.c, TYPE, COPS_ERR_SHUTDOWN, 0);
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pdp.closes, 1);
	cops_conn_close(pdp.c, COPS_ERR_SHUTDOWN, 0, "over");
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_SHUTDOWN);
	/* OPN 0, OPN, RPTs, KAs, CC; the same number from the PDP */
	ck_assert_uint_eq(pep.sealed, 2 + n + 3 + 1);
	ck_assert_uint_eq(pdp.sealed, 2 + n + 3 + 1);
	ck_assert_uint_eq(pep.bare + pdp.bare + pep.gaps + pdp.gaps, 0);
	/* the PDP counts from the PEP's 0xfffffffe, the PEP from the PDP's 0xfe */
	ck_assert_uint_eq(pdp.number, 0xfffffffe + pdp.sealed - 1);
	ck_assert_uint_eq(pep.number, 0xfe + pep.sealed - 1);
	ck_assert_uint_eq(row->refs, 1);
	cops_chunk_unref(row);
}
END_TEST

/* Several messages in one cops_conn_send() get an object each; what is no message is not sent. */
START_TEST(row30_many_at_once)
{
	static const uint8_t drq[] = {0x10, COPS_OP_DRQ, 0x40, 1, 0, 0, 0, 24, 0, 8, 1, 1, 0, 0, 0,
	    1, 0, 8, 5, 1, 0, 8, 0, 0};
	uint8_t two[2 * sizeof(drq)];

	connect_both();
	memcpy(two, drq, sizeof(drq));
	memcpy(two + sizeof(drq), drq, sizeof(drq));
	ck_assert_int_eq(cops_conn_send(pep.c, two, sizeof(two)), 0);
	ck_assert_int_eq(cops_conn_send(pep.c, two, sizeof(drq) - 1), -1);
	exchange();
	ck_assert_uint_eq(pdp.msgs, 2);
	ck_assert_uint_eq(pep.bare, 0);
}
END_TEST

/* The PEP's next message, as it goes over the wire, in p; its length. */
static size_t next_message(uint8_t *p)
{
	struct buf b;
	size_t mark, len;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_REQ, false, TYPE);
	cops_put_handle(&b, (const uint8_t *)"abcde", 5);
	cops_put_config_context(&b);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(pep.c, b.data, b.len), 0);
	buf_clear(&b);
	collect(&pep, SIZE_MAX / 2);
	len = pep.wire.len;
	memcpy(p, pep.wire.data, len);
	buf_reset(&pep.wire);
	return len;
}

/* The PDP refused: one CC, proven, and the PEP believes it. */
static void refused(uint16_t error, uint16_t sub)
{
	ck_assert_ptr_nonnull(pdp.dead);
	ck_assert_uint_eq(pdp.msgs, 0);
	exchange();
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
	ck_assert_uint_eq(pdp.cc[0].error, error);
	ck_assert_uint_eq(pdp.cc[0].sub, sub);
	ck_assert_uint_eq(pdp.bare + pdp.gaps, 0);
	ck_assert_uint_eq(pep.close_error, error);
	ck_assert_ptr_nonnull(pep.dead);
}

/* One bit of a message flipped, each in turn. */
START_TEST(row31_bit_flips)
{
	uint8_t p[128];
	size_t len;

	connect_both();
	len = next_message(p);
	ck_assert_uint_eq(len, 8 + 12 + 8 + 24);
	if ((size_t)_i / 8 >= len)
		return;
	p[_i / 8] ^= (uint8_t)(0x80 >> _i % 8);
	cops_conn_input(pdp.c, p, len, now);
	if (_i / 8 < 8 && pdp.dead == NULL)
		return; /* a length that says there is more */
	if (pdp.cc[0].error == 0)
		collect(&pdp, SIZE_MAX / 2);
	ck_assert_ptr_nonnull(pdp.dead);
	ck_assert_uint_eq(pdp.msgs, 0);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.bare, 0);
	if (_i / 8 >= 8)
		ck_assert_uint_ge(pdp.cc[0].error, COPS_ERR_UNKNOWN_OBJECT);
	if (_i / 8 >= 32)
		ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_AUTH_FAILURE);
}
END_TEST

START_TEST(row31_sequence)
{
	uint8_t p[256];
	size_t len;

	connect_both();
	len = next_message(p);
	if (_i == 0) { /* sent again */
		cops_conn_input(pdp.c, p, len, now);
		ck_assert_uint_eq(pdp.msgs, 1);
		pdp.msgs = 0;
	} else { /* one was lost */
		len = next_message(p);
	}
	cops_conn_input(pdp.c, p, len, now);
	refused(COPS_ERR_AUTH_FAILURE, 0);
}
END_TEST

START_TEST(row31_missing)
{
	connect_both();
	switch (_i) {
	case 0: /* none */
		feed_hex(&pdp, "10014001 00000018 00080101 00000001 00080201 00080000");
		refused(COPS_ERR_AUTH_REQUIRED, 0x1001);
		break;
	case 1: /* even a keep-alive, even a CC */
		feed_hex(&pdp, "10090000 00000008");
		refused(COPS_ERR_AUTH_REQUIRED, 0x1001);
		break;
	case 2:
		feed_hex(&pdp, "10084001 00000010 00080801 000b0000");
		refused(COPS_ERR_AUTH_REQUIRED, 0x1001);
		break;
	case 3: /* a C-Type nobody knows */
		feed_hex(&pdp, "10090000 00000010 00081009 00000001");
		refused(COPS_ERR_UNKNOWN_OBJECT, 0x1009);
		break;
	case 4: /* the right octets, but of a ClientSI */
		feed_hex(&pdp,
		    "10014001 00000034 00080101 00000001 00080201 00080000 001c0902 00181001"
		    "00000001 0000000b 441b0284 60f7cc15 1e4f7b24");
		refused(COPS_ERR_AUTH_REQUIRED, 0x1001);
		break;
	}
}
END_TEST

/* What a PDP with keys says to a first message that is not what it must be. */
static const struct {
	const char *hex;
	uint16_t error;
	uint16_t sub;
} first[] = {
    {"10064001 00000010 00080b01 63653100", 15, 0x1001},		   /* another client-type */
    {"10060000 00000010 00080b01 63653100", 15, 0x1001},		   /* no Integrity */
    {"10060000 00000018 00080b01 63653100 00081002 00000001", 15, 0x1001}, /* TLS */
    /* C-Type 9; a PEPID without keys; an unknown key; a digest too long, and a wrong one */
    {"10060000 00000018 00080b01 63653100 00081009 00000001", 13, 0x1009},
    {"10060000 00000028 00080b01 63653900 00181001 00000001 00000001 00000000 00000000 00000000",
	14, 0},
    {"10060000 00000034 00140b01 6365312e 6578616d 706c652e 6e657400 00181001 00000063 00000001"
     "00000000 00000000 00000000",
	14, 0},
    {"10060000 00000038 00140b01 6365312e 6578616d 706c652e 6e657400 001c1001 00000001 00000001"
     "00000000 00000000 00000000 00000000",
	14, 0},
    {"10060000 00000034 00140b01 6365312e 6578616d 706c652e 6e657400 00181001 00000001 00000001"
     "00000000 00000000 00000000",
	14, 0},
    {"10090000 00000008", 15, 0x1001},
    {"10014001 00000018 00080101 00000001 00080201 00080000", 15, 0x1001},
};

START_TEST(row31_first_message)
{
	feed_hex(&pdp, first[_i].hex);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
	ck_assert_uint_eq(pdp.cc[0].error, first[_i].error);
	ck_assert_uint_eq(pdp.cc[0].sub, first[_i].sub);
	ck_assert_uint_eq(pdp.opens, 0);
}
END_TEST

/* The PEP is as careful: a CAT without proof is not taken, and a CC ends it without. */
START_TEST(row31_first_answer)
{
	static const struct {
		const char *hex;
		uint16_t error; /* of our CC; 0: none */
	} answer[] = {
	    {"10070000 00000010 00080a01 0000003c", 15},
	    {"10070000 00000018 00080a01 0000003c 00081002 00000001", 15},
	    {"10070000 00000028 00080a01 0000003c 00181001 00000001 00000001 00000000 00000000"
	     "00000000",
		14},
	    {"10080000 00000010 00080801 000e0000", 0},
	};

	cops_conn_start(pep.c, now);
	collect(&pep, SIZE_MAX / 2);
	feed_hex(&pep, answer[_i].hex);
	ck_assert_ptr_nonnull(pep.dead);
	ck_assert_uint_eq(pep.asked_open, 0);
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.n_cc, answer[_i].error != 0);
	ck_assert_uint_eq(pep.cc[0].error, answer[_i].error);
}
END_TEST

/* The key opened the connection for one PEPID; others are not served on it. */
START_TEST(row31_pepid_of_the_key)
{
	cops_conn_start(pep.c, now);
	exchange();
	pep.conf.pepid = "ce2.example.net";
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pdp.opens, 0);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_AUTH_FAILURE);
}
END_TEST

START_TEST(row33_second_opn0_with_integrity)
{
	uint8_t p[128];
	size_t len;

	cops_conn_start(pep.c, now);
	collect(&pep, SIZE_MAX / 2);
	len = pep.wire.len;
	memcpy(p, pep.wire.data, len);
	exchange();
	cops_conn_input(pdp.c, p, len, now); /* the same again: its number gives it away */
	refused(COPS_ERR_AUTH_FAILURE, 0);
}
END_TEST

START_TEST(row32_lifetimes)
{
	static const struct {
		int64_t at;
		uint32_t id;   /* to send with, 0: none */
		bool old, new; /* taken */
	} t[] = {
	    {999, 0, false, false},
	    {1000, 10, true, false},
	    {1999, 10, true, false},
	    {2000, 10, true, true}, /* the overlap begins */
	    {2499, 10, true, true},
	    {2500, 11, true, true}, /* its middle */
	    {2999, 11, true, true},
	    {3000, 11, false, true},
	    {3999, 11, false, true},
	    {4000, 0, false, false},
	};
	const struct cops_hmac_key *k;

	ring_setup();
	key_add("p", 11, 2000, 4000); /* in any order */
	key_add("p", 10, 1000, 3000);
	key_add("q", 10, 0, 9999);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		k = cops_hmac_ring_to(ring, "p", t[i].at);
		ck_assert_uint_eq(k != NULL ? k->id : 0, t[i].id);
		ck_assert((cops_hmac_ring_from(ring, "P", 10, t[i].at) != NULL) == t[i].old);
		ck_assert((cops_hmac_ring_from(ring, "P", 11, t[i].at) != NULL) == t[i].new);
	}
	ck_assert_ptr_null(cops_hmac_ring_to(ring, "r", 2000));
	ck_assert_ptr_null(cops_hmac_ring_from(ring, "p", 12, 2000));
	ck_assert_uint_eq(cops_hmac_ring_count(ring, NULL), 3);
	ck_assert_uint_eq(cops_hmac_ring_count(ring, "p"), 2);
}
END_TEST

/* A session lives through a change of keys: both switch in the middle, nobody notices. */
START_TEST(row32_change_of_keys)
{
	uint8_t p[128];
	size_t len;

	key_add("pdp.example.net", 2, 8000, 20000);
	key_add("ce1.example.net", 2, 8000, 20000);
	connect_both();
	unix_ms = 8999;
	len = next_message(p);
	cops_conn_input(pdp.c, p, len, now);
	ck_assert_uint_eq(pep.key_id, 1);
	unix_ms = 9000;
	len = next_message(p);
	cops_conn_input(pdp.c, p, len, now);
	ck_assert_uint_eq(pep.key_id, 2);
	ck_assert_uint_eq(pdp.msgs, 2);
	ck_assert_ptr_null(pdp.dead);
	/* sent in time, received too late; and nothing left to send with */
	unix_ms = 19999;
	len = next_message(p);
	unix_ms = 20000;
	cops_conn_input(pdp.c, p, len, now);
	ck_assert_ptr_nonnull(pdp.dead);
	ck_assert_uint_eq(pdp.msgs, 2);
	ck_assert_uint_eq(cops_conn_unsent(pdp.c), 0);
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5000, NULL), -1);
	ck_assert_ptr_nonnull(strstr(pep.dead, "lifetime"));
}
END_TEST

START_TEST(ring_refuses)
{
	static const struct {
		const char *peer;
		struct cops_hmac_key key;
		const char *why;
	} bad_key[] = {
	    {"", {.id = 1, .len = 16, .not_after_ms = 1}, "name"},
	    {"p", {.id = 1, .len = 16, .not_after_ms = 1, .algorithm = 9}, "algorithm"},
	    {"p", {.id = 1, .len = 15, .not_after_ms = 1}, "too short"},
	    {"p", {.id = 1, .len = 129, .not_after_ms = 1}, "too long"},
	    {"p", {.id = 1, .len = 16, .not_before_ms = 2, .not_after_ms = 2}, "lifetime"},
	    {"P", {.id = 5, .len = 16, .not_after_ms = 1}, "this number"},
	};
	static const uint8_t zero[COPS_HMAC_KEY_MAX + 1];
	char name[300];
	struct cops_hmac_key key;
	const char *why;

	ring_setup();
	key_add("p", 5, 0, 1);
	for (size_t i = 0; i < sizeof(bad_key) / sizeof(bad_key[0]); i++) {
		key = bad_key[i].key;
		key.octets = zero;
		ck_assert_int_eq(cops_hmac_ring_add(ring, bad_key[i].peer, &key, &why), -1);
		ck_assert_msg(strstr(why, bad_key[i].why) != NULL, "%s", why);
	}
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	key = (struct cops_hmac_key) {.id = 1, .len = 16, .octets = zero, .not_after_ms = 1};
	ck_assert_int_eq(cops_hmac_ring_add(ring, name, &key, &why), -1);
	ck_assert_uint_eq(cops_hmac_ring_count(ring, name), 0);
	ck_assert_ptr_nonnull(cops_hmac_name(1));
	ck_assert_ptr_null(cops_hmac_name(2));
	ck_assert_int_eq(cops_hmac_find("hmac-md4"), -1);
}
END_TEST

/* --- client-types --------------------------------------------------------------- */

START_TEST(row9_client_types)
{
	connect_both();
	/* one this PDP does not know */
	ck_assert_int_eq(cops_conn_open(pep.c, OTHER_TYPE, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.closes, 1);
	ck_assert_uint_eq(pep.close_type, OTHER_TYPE);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_CLIENT_TYPE);
	/* several at once, no more than there is room for */
	for (uint16_t t = 0; t < COPS_CONN_TYPES - 1; t++)
		ck_assert_int_eq(cops_conn_open(pep.c, (uint16_t)(0x5000 + t), NULL), 0);
	ck_assert_int_eq(cops_conn_open(pep.c, 0x6000, NULL), -1);
	exchange();
	ck_assert_uint_eq(pep.accepts, COPS_CONN_TYPES);
	/* the PDP is full as well */
	feed_hex(&pdp, "10066000 00000010 00080b01 63653100");
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.cc[1].type, 0x6000);
	ck_assert_uint_eq(pdp.cc[1].error, COPS_ERR_UNABLE);
	buf_reset(&pdp.wire);
	/* closing one leaves the others */
	cops_conn_close_type(pdp.c, 0x5000, COPS_ERR_UNSPECIFIED, 0);
	exchange();
	ck_assert_uint_eq(pep.closes, 2);
	ck_assert_uint_eq(pep.close_type, 0x5000);
	ck_assert_ptr_null(pep.dead);
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5000, NULL), 0);
	exchange();
	ck_assert_uint_eq(pep.accepts, COPS_CONN_TYPES + 1);
	/* a CC for what is closed is not answered */
	feed_hex(&pdp, "10086000 00000010 00080801 000a0000");
	ck_assert_uint_eq(cops_conn_unsent(pdp.c), 0);
	ck_assert_uint_eq(pdp.closes, 0);
}
END_TEST

START_TEST(message_for_closed_type)
{
	connect_both();
	feed_hex(&pdp, "10014002 00000018 00080101 00000001 00080201 00080000");
	ck_assert_uint_eq(pdp.msgs, 0);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 1);
	ck_assert_uint_eq(pdp.cc[0].type, OTHER_TYPE);
	ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_CLIENT_TYPE);
	ck_assert_ptr_null(pdp.dead);
	/* a CAT nobody asked for */
	feed_hex(&pep, "10074002 00000010 00080a01 0000003c");
	collect(&pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.cc[0].type, OTHER_TYPE);
	ck_assert_uint_eq(pep.accepts, 1);
}
END_TEST

START_TEST(redirect)
{
	connect_both();
	feed_hex(&pep, cops_vectors[17].hex);
	ck_assert_uint_eq(pep.closes, 1);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_REDIRECT);
	ck_assert(pep.close_redir);
	ck_assert_ptr_null(pep.dead);
}
END_TEST

START_TEST(close_all)
{
	connect_both();
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5000, NULL), 0);
	exchange();
	cops_conn_close(pdp.c, COPS_ERR_SHUTDOWN, 0, "shutting down");
	ck_assert_str_eq(pdp.dead, "shutting down");
	ck_assert_int_eq(cops_conn_send(pdp.c, "x", 1), -1);
	cops_conn_close(pdp.c, COPS_ERR_SHUTDOWN, 0, "again");
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 2);
	ck_assert_uint_eq(pdp.cc[0].type, TYPE);
	ck_assert_uint_eq(pdp.cc[1].type, 0x5000);
	deliver(&pdp, &pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.closes, 2);
	ck_assert_uint_eq(pep.close_error, COPS_ERR_SHUTDOWN);
	ck_assert_ptr_null(pep.dead);
	/* client-type 0 is the connection itself */
	feed_hex(&pep, cops_vectors[16].hex);
	ck_assert_uint_eq(pep.closes, 3);
	ck_assert_uint_eq(pep.close_type, 0);
	ck_assert_uint_eq(pep.close_sub, 0x1002);
	ck_assert_ptr_nonnull(pep.dead);
}
END_TEST

/* --- bad input ------------------------------------------------------------------- */

static const struct {
	const char *hex;
	bool to_pep;
	uint16_t error;
	uint16_t sub;
	bool as_fault; /* the user is told, else CC */
	uint16_t cc_type;
	bool dies;
} bad[] = {
    /* REQ without Context; RPT without Report-Type; DEC with unknown object, cut Decision */
    {"10014001 00000010 00080101 00000001", false, 7, 0, true, 0, false},
    {"11034001 00000010 00080101 00000001", false, 7, 0, true, 0, false},
    {"10024001 00000018 00080101 00000001 00084d01 00000000", true, 13, 0x4d01, true, 0, false},
    {"10024001 00000020 00080101 00000001 00080201 00080000 000c0601 00000000", true, 3, 0, true, 0,
	false},
    /* the same without handle, DRQ without Reason, SSQ with rubbish */
    {"10014001 00000010 00080201 00080000", false, 7, 0, false, TYPE, false},
    {"10044001 00000010 00080101 00000001", false, 7, 0, false, TYPE, false},
    {"10054001 0000000c 00050101", true, 3, 0, false, TYPE, false},
    /* OPN without PEPID for a client-type not open and for an open one; a strange PEPID */
    {"10064003 00000008", false, 7, 0, false, 0x4003, false},
    {"10064001 00000008", false, 7, 0, false, TYPE, false},
    {"10064003 00000010 00080b01 63200a00", false, 3, 0, false, 0x4003, false},
    /* CAT without KATimer */
    {"10074001 00000010 00080f01 0000003c", true, 7, 0, false, TYPE, false},
    /* KA with something in it */
    {"10090000 00000010 00080101 00000001", false, 3, 0, false, TYPE, true},
    /* meant for the other role */
    {"10024001 00000020 00080101 00000001 00080201 00080000 00080601 00000000", false, 3, 0, false,
	TYPE, true},
    {"10014001 00000018 00080101 00000001 00080201 00080000", true, 3, 0, false, TYPE, true},
    /* a second CAT for client-type 0 */
    {"10070000 00000010 00080a01 0000003c", true, 3, 0, false, TYPE, true},
    /* unframable: version, op-code, length, size */
    {"47455420 2f204854 54502f31", false, 3, 0, false, TYPE, true},
    {"10ff4001 00000008", false, 3, 0, false, TYPE, true},
    {"10014001 00000005", false, 3, 0, false, TYPE, true},
    {"10014001 00010004", false, 3, 0, false, TYPE, true},
};

START_TEST(row2_row7_row8_bad_input)
{
	struct side *s = bad[_i].to_pep ? &pep : &pdp;

	connect_both();
	feed_hex(s, bad[_i].hex);
	ck_assert_uint_eq(s->msgs, 0);
	ck_assert_uint_eq(s->faults, bad[_i].as_fault);
	ck_assert_int_eq(s->dead != NULL, bad[_i].dies);
	collect(s, SIZE_MAX / 2);
	ck_assert_uint_eq(s->n_cc, !bad[_i].as_fault);
	if (bad[_i].as_fault) {
		ck_assert_uint_eq(s->fault.code, bad[_i].error);
		ck_assert_uint_eq(s->fault.sub, bad[_i].sub);
		return;
	}
	ck_assert_uint_eq(s->cc[0].type, bad[_i].cc_type);
	ck_assert_uint_eq(s->cc[0].error, bad[_i].error);
	ck_assert_uint_eq(s->cc[0].sub, bad[_i].sub);
	/* our user hears that an open client-type is gone, unless all is */
	ck_assert_uint_eq(s->closes, !bad[_i].dies && bad[_i].cc_type == TYPE);
}
END_TEST

/* --- messages ---------------------------------------------------------------------- */

START_TEST(row16_fifty_decisions_in_order)
{
	static const uint8_t handle[] = {9, 8, 7, 6, 5};
	struct cops_chunk *row = decision(7);

	connect_both();
	pep.answer_with_rpt = 1;
	for (uint16_t i = 0; i < 50; i++) {
		struct cops_chunk *own = decision(i);
		struct cops_chunk *chunks[] = {own, row, row};

		ck_assert_int_eq(cops_conn_send_dec(
				     pdp.c, TYPE, false, handle, sizeof(handle), chunks, 1 + i % 3),
		    0);
		cops_chunk_unref(own);
	}
	exchange_by((size_t)_i);
	ck_assert_uint_eq(pep.msgs, 50);
	for (uint32_t i = 0; i < 50; i++)
		ck_assert_uint_eq(pep.seen[i], i);
	ck_assert_uint_eq(pdp.msgs, 50);
	ck_assert(pdp.last_solicited);
	ck_assert_uint_eq(row->refs, 1); /* the queue let go */
	cops_chunk_unref(row);
}
END_TEST

START_TEST(null_decision)
{
	static const uint8_t handle[] = {0, 0, 0, 1};
	struct cops_msg m;
	struct cops_fault f;
	char hex[128] = "";

	connect_both();
	ck_assert_int_eq(cops_conn_send_dec(pdp.c, TYPE, true, handle, 4, NULL, 0), 0);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_int_gt(cops_msg_parse(&m, pdp.wire.data, pdp.wire.len, 1000, &f), 0);
	for (size_t i = 0; i < pdp.wire.len; i++)
		snprintf(hex + strlen(hex), 4, "%02x%s", pdp.wire.data[i],
		    i % 4 == 3 && i + 1 < pdp.wire.len ? " " : "");
	ck_assert_str_eq(hex, cops_vectors[5].hex);
	deliver(&pdp, &pep, SIZE_MAX / 2);
	ck_assert_uint_eq(pep.msgs, 1);
	ck_assert(pep.last_solicited);
}
END_TEST

START_TEST(tolerate_longest_handle)
{
	static uint8_t handle[65532];

	connect_both();
	pep.conf.max_msg = pdp.conf.max_msg = 1 << 17;
	ck_assert_int_eq(cops_conn_send_dec(pdp.c, TYPE, true, handle, 65532, NULL, 0), -1);
	ck_assert_int_eq(cops_conn_send_dec(pdp.c, TYPE, true, handle, 65531, NULL, 0), 0);
	exchange_by(1000);
	ck_assert_uint_eq(pep.msgs, 1);
}
END_TEST

START_TEST(tolerate_thirty_in_one_read)
{
	struct buf b;

	connect_both();
	buf_init(&b, 0);
	for (int i = 0; i < 30; i++) {
		size_t mark = cops_msg_begin(&b, COPS_OP_REQ, false, TYPE);

		cops_put_handle(&b, (const uint8_t *)"abcdefgh", 1 + (size_t)i % 8);
		cops_put_config_context(&b);
		cops_msg_end(&b, mark);
	}
	ck_assert_int_eq(cops_conn_input(pdp.c, b.data, b.len, now), 0);
	ck_assert_uint_eq(pdp.msgs, 30);
	ck_assert_ptr_null(pdp.dead);
	buf_clear(&b);
}
END_TEST

/* A whole life, each octet a read of its own. */
START_TEST(tolerate_one_octet_at_a_time)
{
	static const uint8_t handle[] = {0, 0, 0, 1};
	struct cops_chunk *row = decision(9);

	cops_conn_start(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	exchange_by(1);
	ck_assert_uint_eq(pep.accepts, 1);
	pep.answer_with_rpt = 1;
	ck_assert_int_eq(cops_conn_send_dec(pdp.c, TYPE, true, handle, 4, &row, 1), 0);
	exchange_by(1);
	ck_assert_uint_eq(pep.seen[0], 9);
	ck_assert_uint_eq(pdp.msgs, 1);
	cops_conn_close(pep.c, COPS_ERR_SHUTDOWN, 0, "enough");
	exchange_by(1);
	ck_assert_uint_eq(pdp.closes, 1);
	ck_assert_uint_eq(pdp.faults + pep.faults, 0);
	cops_chunk_unref(row);
}
END_TEST

/* The NUL left out, with and without fill, and fill that Length counts. */
START_TEST(tolerate_pepid_without_nul)
{
	static const struct {
		const char *hex;
		const char *pepid;
	} opn[] = {
	    {"10064001 00000010 00080b01 63653131", "ce11"},
	    {"10064001 00000010 00070b01 63653100", "ce1"},
	    {"10064001 00000014 000c0b01 63653100 00000000", "ce1"},
	};

	feed_hex(&pdp, opn[_i].hex);
	ck_assert_uint_eq(pdp.opens, 1);
	ck_assert_str_eq(pdp.pepid, opn[_i].pepid);
	ck_assert_ptr_null(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.n_cc, 0);
}
END_TEST

/* No AcctTimer: nothing said of accounting; neither does 0 count as one. */
START_TEST(tolerate_cat_without_acct_timer)
{
	cops_conn_start(pep.c, now);
	ck_assert_int_eq(cops_conn_open(pep.c, TYPE, NULL), 0);
	collect(&pep, SIZE_MAX / 2);
	feed_hex(&pep, "10074001 00000010 00080a01 0000003c");
	ck_assert_uint_eq(pep.accepts, 1);
	ck_assert_int_eq(cops_conn_acct_s(pep.c, TYPE), -1);
	feed_hex(&pep, "10074001 00000018 00080a01 0000003c 00080f01 0000001e");
	ck_assert_int_eq(cops_conn_acct_s(pep.c, TYPE), 30);
	feed_hex(&pep, "10074001 00000010 00080a01 0000003c");
	ck_assert_int_eq(cops_conn_acct_s(pep.c, TYPE), -1);
}
END_TEST

/* As large as allowed passes, four octets more do not; what is promised is not allocated. */
START_TEST(largest_message)
{
	for (uint32_t over = 0; over <= 4; over += 4) {
		size_t body = 65536 + over - COPS_HDR_LEN - 8 - 8 - 4 - 4;
		uint8_t *zero = calloc(1, body);
		size_t mark;
		struct buf b;

		setup();
		connect_both();
		buf_init(&b, 0);
		mark = cops_msg_begin(&b, COPS_OP_REQ, false, TYPE);
		cops_put_handle(&b, zero, 4);
		cops_put_config_context(&b);
		cops_put_obj(&b, COPS_C_CLIENT_SI, 2, zero, 0);
		cops_put_obj(&b, COPS_C_CLIENT_SI, 2, zero, body);
		cops_msg_end(&b, mark);
		ck_assert_uint_eq(b.len, 65536 + over);
		for (size_t at = 0; at < b.len; at += 7)
			cops_conn_input(pdp.c, b.data + at, b.len - at < 7 ? b.len - at : 7, now);
		ck_assert_uint_eq(pdp.msgs, over == 0);
		ck_assert_int_eq(pdp.dead != NULL, over > 0);
		buf_clear(&b);
		free(zero);
		teardown();
	}
}
END_TEST

START_TEST(too_much_unsent)
{
	static const uint8_t handle[] = {0, 0, 0, 1};
	struct cops_chunk *row = decision(1);
	unsigned n = 0;

	connect_both();
	pdp.conf.max_unsent = 1000;
	while (cops_conn_send_dec(pdp.c, TYPE, false, handle, 4, &row, 1) == 0) {
		ck_assert_uint_le(cops_conn_unsent(pdp.c), 1000);
		ck_assert_uint_lt(++n, 100);
	}
	ck_assert_uint_gt(n, 5);
	ck_assert_ptr_nonnull(pdp.dead);
	ck_assert_uint_eq(cops_conn_unsent(pdp.c), 0);
	ck_assert_uint_eq(row->refs, 1);
	cops_chunk_unref(row);
}
END_TEST

/* --- keep-alive ------------------------------------------------------------------ */

/* Let time pass as an event loop would, until `until` or the death of one. */
static void run(int64_t until)
{
	int64_t a, b;

	while (pep.dead == NULL && pdp.dead == NULL) {
		a = cops_conn_tick(pep.c, now);
		b = cops_conn_tick(pdp.c, now);
		exchange();
		a = a < b ? a : b;
		if (a > until)
			break;
		ck_assert_int_gt(a, now);
		now = a;
	}
	if (now < until)
		now = until;
}

START_TEST(row23_row24_row25_keep_alive)
{
	int64_t last = 0;
	int64_t low = INT64_MAX;
	int64_t high = 0;
	unsigned seen = 0;

	/* T = 4 and 8 on two client-types: 4 counts */
	pdp.conf.ka_s = 8;
	connect_both();
	pdp.conf.ka_s = 4;
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5000, NULL), 0);
	exchange();
	pdp.conf.ka_s = 0; /* none: does not raise it */
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5001, NULL), 0);
	exchange();
	ck_assert_uint_eq(cops_conn_ka_ms(pep.c), 4000);
	ck_assert_uint_eq(cops_conn_ka_ms(pdp.c), 4000);
	while (pep.n_ka <= 200) {
		int64_t due = cops_conn_tick(pep.c, now);

		cops_conn_tick(pdp.c, now);
		exchange();
		ck_assert_ptr_null(pep.dead);
		ck_assert_ptr_null(pdp.dead);
		if (pep.n_ka > seen) {
			ck_assert_uint_eq(pep.n_ka, ++seen);
			if (last != 0) {
				low = now - last < low ? now - last : low;
				high = now - last > high ? now - last : high;
			}
			last = now;
			ck_assert_uint_eq(pdp.n_ka, pep.n_ka); /* each is echoed */
		}
		now = due > now ? due : now + 1;
	}
	ck_assert_int_ge(low, 1000);
	ck_assert_int_le(high, 3000);
	ck_assert_int_gt(high - low, 1000); /* at random, not constant */
}
END_TEST

START_TEST(keep_alive_tls)
{
	connect_both();
	run(now + 600000);
	ck_assert_uint_gt(pep.n_ka, 600 / 45);
	ck_assert_uint_lt(pep.n_ka, 600 / 15);
	ck_assert_uint_eq(pdp.n_ka, pep.n_ka);
	ck_assert_ptr_null(pep.dead);
}
END_TEST

START_TEST(row27_keep_alive_off)
{
	pdp.conf.ka_s = 0;
	connect_both();
	run(now + 1000000);
	ck_assert_uint_eq(pep.n_ka, 0);
	ck_assert_ptr_null(pep.dead);
	ck_assert_ptr_null(pdp.dead);
}
END_TEST

/* RFC 2748 4.6, 4.7: nothing heard for T, CC 9 for each client-type, over. */
START_TEST(row26_silence)
{
	struct side *s = _i == 0 ? &pep : &pdp;
	int64_t start = now;
	int64_t due;

	connect_both();
	ck_assert_int_eq(cops_conn_open(pep.c, 0x5000, NULL), 0);
	exchange();
	while ((due = cops_conn_tick(s->c, now)) != INT64_MAX)
		now = due;
	ck_assert_int_eq(now, start + 60000);
	ck_assert_str_eq(s->dead, "peer is silent");
	collect(s, SIZE_MAX / 2);
	ck_assert_uint_eq(s->n_cc, 2);
	ck_assert_uint_eq(s->cc[0].type, TYPE);
	ck_assert_uint_eq(s->cc[0].error, COPS_ERR_COMM_FAILURE);
	ck_assert_uint_eq(s->cc[1].type, 0x5000);
}
END_TEST

START_TEST(pepid_bounds)
{
	struct cops_conn_conf conf = {.role = COPS_PEP};
	char name[COPS_PEPID_MAX + 2] = "";

	ck_assert_ptr_null(cops_conn_new(&conf, &ops, NULL, 0));
	conf.pepid = name;
	ck_assert_ptr_null(cops_conn_new(&conf, &ops, NULL, 0));
	memset(name, 'x', COPS_PEPID_MAX + 1);
	ck_assert_ptr_null(cops_conn_new(&conf, &ops, NULL, 0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cops_conn");
	TCase *plain = tcase_create("plain");
	TCase *tls = tcase_create("tls");
	TCase *none = tcase_create("tables");
	TCase *integrity = tcase_create("integrity");
	SRunner *sr;
	int failed;

	tcase_add_test(none, no_cell_unset);
	tcase_add_test(none, largest_message);
	tcase_add_test(none, pepid_bounds);
	tcase_add_checked_fixture(plain, setup, teardown);
	tcase_add_test(plain, open_plain);
	tcase_add_test(plain, row38_pdp_has_no_tls);
	tcase_add_test(plain, row33_opn0_after_another);
	tcase_add_test(plain, not_open_in_time);
	tcase_add_test(plain, row9_client_types);
	tcase_add_test(plain, message_for_closed_type);
	tcase_add_test(plain, redirect);
	tcase_add_test(plain, close_all);
	tcase_add_loop_test(plain, row2_row7_row8_bad_input, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(plain, row16_fifty_decisions_in_order, 1, 21);
	tcase_add_test(plain, null_decision);
	tcase_add_test(plain, tolerate_longest_handle);
	tcase_add_test(plain, tolerate_thirty_in_one_read);
	tcase_add_test(plain, too_much_unsent);
	tcase_add_test(plain, row23_row24_row25_keep_alive);
	tcase_add_test(plain, row27_keep_alive_off);
	tcase_add_test(plain, tolerate_one_octet_at_a_time);
	tcase_add_loop_test(plain, tolerate_pepid_without_nul, 0, 3);
	tcase_add_test(plain, tolerate_cat_without_acct_timer);
	tcase_add_loop_test(plain, row26_silence, 0, 2);
	tcase_add_checked_fixture(tls, setup_tls, teardown);
	tcase_add_test(tls, row34_row35_integrity_tls_octets);
	tcase_add_test(tls, row48_pre_tls_octets_discarded);
	tcase_add_test(tls, long_before_tls);
	tcase_add_loop_test(tls, row37_pdp_refuses_cleartext, 0, 3);
	tcase_add_test(tls, row36_pdp_starts_tls);
	tcase_add_loop_test(tls, row39_pep_never_falls_back, 0, 4);
	tcase_add_test(tls, handshake_not_done_in_time);
	tcase_add_test(tls, keep_alive_tls);
	tcase_add_test(tls, row36_pep_waits_for_tls);
	tcase_add_loop_test(tls, row36_pep_asks, 0, 2);
	tcase_add_test(plain, row38_pep_has_no_tls);
	tcase_add_test(plain, row40_insecure_connection_closed);
	tcase_add_test(none, row30_vector);
	tcase_add_test(none, row32_lifetimes);
	tcase_add_test(none, ring_refuses);
	tcase_add_checked_fixture(integrity, setup_integrity, teardown);
	tcase_add_loop_test(integrity, row30_on_every_message, 1, 40);
	tcase_add_test(integrity, row30_many_at_once);
	tcase_add_loop_test(integrity, row31_bit_flips, 0, 52 * 8);
	tcase_add_loop_test(integrity, row31_sequence, 0, 2);
	tcase_add_loop_test(integrity, row31_missing, 0, 5);
	tcase_add_loop_test(integrity, row31_first_message, 0, sizeof(first) / sizeof(first[0]));
	tcase_add_loop_test(integrity, row31_first_answer, 0, 4);
	tcase_add_test(integrity, row31_pepid_of_the_key);
	tcase_add_test(integrity, row33_second_opn0_with_integrity);
	tcase_add_test(integrity, row32_change_of_keys);
	suite_add_tcase(s, none);
	suite_add_tcase(s, integrity);
	suite_add_tcase(s, plain);
	suite_add_tcase(s, tls);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
