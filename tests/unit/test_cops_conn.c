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
	struct buf wire; /* taken from the core, not yet delivered */
};

static struct side pep, pdp;
static int64_t now;

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

	(void)client_type;
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
			s->seen[s->msgs] = (uint32_t)(d.data.body[6] << 8 | d.data.body[7]);
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

static void side_init(struct side *s, enum cops_role role, bool tls)
{
	memset(s, 0, sizeof(*s));
	s->conf = (struct cops_conn_conf) {.role = role,
	    .pepid = role == COPS_PEP ? "ce1.example.net" : NULL,
	    .tls = tls,
	    .ka_s = 60,
	    .max_msg = 65536,
	    .max_unsent = 1 << 20,
	    .open_timeout_ms = 10000};
	s->c = cops_conn_new(&s->conf, &ops, s, now);
	buf_init(&s->wire, 0);
}

static void setup(void)
{
	now = 1000;
	side_init(&pep, COPS_PEP, false);
	side_init(&pdp, COPS_PDP, false);
}

static void setup_tls(void)
{
	now = 1000;
	side_init(&pep, COPS_PEP, true);
	side_init(&pdp, COPS_PDP, true);
}

static void teardown(void)
{
	cops_conn_free(pep.c);
	cops_conn_free(pdp.c);
	buf_clear(&pep.wire);
	buf_clear(&pdp.wire);
}

/* Count what goes over the wire that no callback shows. */
static void note(struct side *s, const uint8_t *p, size_t len)
{
	struct cops_fault f;
	struct cops_msg m;
	int64_t n;

	while (len > 0 && (n = cops_msg_parse(&m, p, len, UINT32_MAX, &f)) > 0) {
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

/* One Decision: Install with a PRID-like sub-object holding number. */
static struct cops_chunk *decision(uint16_t number)
{
	const uint8_t body[] = {0, 0, (uint8_t)(number >> 8), (uint8_t)number, 0, 0, 0, 0};
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

START_TEST(open_tls)
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
START_TEST(pre_tls_octets_discarded)
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

START_TEST(pdp_refuses_cleartext)
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
START_TEST(pdp_starts_tls)
{
	feed_hex(&pdp, "10060000 00000010 00080b01 63653100");
	ck_assert(pdp.tls_wanted);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.wire.len, cops_vectors[1].len);
}
END_TEST

START_TEST(pep_never_falls_back)
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
START_TEST(pdp_has_no_tls)
{
	feed_hex(&pdp, cops_vectors[0].hex);
	ck_assert_ptr_nonnull(pdp.dead);
	collect(&pdp, SIZE_MAX / 2);
	ck_assert_uint_eq(pdp.cc[0].type, 0);
	ck_assert_uint_eq(pdp.cc[0].error, COPS_ERR_UNKNOWN_OBJECT);
	ck_assert_uint_eq(pdp.cc[0].sub, 0x1002);
}
END_TEST

START_TEST(opn0_after_another)
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

/* --- client-types --------------------------------------------------------------- */

START_TEST(client_types)
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

START_TEST(bad_input)
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

START_TEST(fifty_decisions_in_order)
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

START_TEST(long_handle)
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

START_TEST(thirty_messages_in_one_read)
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

START_TEST(keep_alive_window)
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

START_TEST(keep_alive_off)
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
START_TEST(silence)
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
	SRunner *sr;
	int failed;

	tcase_add_test(none, no_cell_unset);
	tcase_add_test(none, largest_message);
	tcase_add_test(none, pepid_bounds);
	tcase_add_checked_fixture(plain, setup, teardown);
	tcase_add_test(plain, open_plain);
	tcase_add_test(plain, pdp_has_no_tls);
	tcase_add_test(plain, opn0_after_another);
	tcase_add_test(plain, not_open_in_time);
	tcase_add_test(plain, client_types);
	tcase_add_test(plain, message_for_closed_type);
	tcase_add_test(plain, redirect);
	tcase_add_test(plain, close_all);
	tcase_add_loop_test(plain, bad_input, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(plain, fifty_decisions_in_order, 1, 21);
	tcase_add_test(plain, null_decision);
	tcase_add_test(plain, long_handle);
	tcase_add_test(plain, thirty_messages_in_one_read);
	tcase_add_test(plain, too_much_unsent);
	tcase_add_test(plain, keep_alive_window);
	tcase_add_test(plain, keep_alive_off);
	tcase_add_loop_test(plain, silence, 0, 2);
	tcase_add_checked_fixture(tls, setup_tls, teardown);
	tcase_add_test(tls, open_tls);
	tcase_add_test(tls, pre_tls_octets_discarded);
	tcase_add_test(tls, long_before_tls);
	tcase_add_loop_test(tls, pdp_refuses_cleartext, 0, 3);
	tcase_add_test(tls, pdp_starts_tls);
	tcase_add_loop_test(tls, pep_never_falls_back, 0, 4);
	tcase_add_test(tls, handshake_not_done_in_time);
	tcase_add_test(tls, keep_alive_tls);
	suite_add_tcase(s, none);
	suite_add_tcase(s, plain);
	suite_add_tcase(s, tls);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
