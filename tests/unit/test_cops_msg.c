/*
 * test_cops_msg.c - codec: the golden messages decode and are built again octet by
 * octet, every truncation and every single-octet change is survived, objects in the
 * wrong order, too few, too many or unknown earn the right COPS error.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "tests/unit/capture.h"
#include "tests/unit/cops_vectors.h"

#define MAX_MSG 65536
#define TYPE	0x4001
#define IN_INT4 COPS_C_IN_INT, 1

static const uint8_t handle[] = {0, 0, 0, 1};

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;
	unsigned v;

	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		ck_assert_int_eq(sscanf(hex, "%2x", &v), 1);
		ck_assert_uint_lt(n, size);
		out[n++] = (uint8_t)v;
		hex++;
	}
	return n;
}

static size_t vector(int i, uint8_t out[256])
{
	size_t n = unhex(cops_vectors[i].hex, out, 256);

	ck_assert_uint_eq(n, cops_vectors[i].len);
	return n;
}

static void must_parse(struct cops_msg *m, const uint8_t *p, size_t len)
{
	struct cops_fault f = {0};
	int64_t n = cops_msg_parse(m, p, len, MAX_MSG, &f);

	ck_assert_msg(n == (int64_t)len, "%s at %u", f.why != NULL ? f.why : "short", f.offset);
}

static void put_subs(struct buf *b, const struct cops_obj *named)
{
	enum cops_sub_result r;
	struct cops_sub_iter it;
	struct cops_sub s;
	size_t mark = cops_named_open(b, named->c_num, named->c_type);

	cops_sub_iter_init(&it, named);
	while ((r = cops_sub_iter_next(&it, &s)) != COPS_SUB_END) {
		ck_assert_int_eq(r, COPS_SUB_OK);
		if (cops_sub_desc_find(s.s_num, s.s_type)->body == COPS_BODY_U16_U16)
			cops_put_perr(b, s.s_num, s.code, s.sub);
		else
			cops_put_sub(b, s.s_num, s.body, s.len);
	}
	cops_named_close(b, mark);
}

/* Every object of m again, each by the builder its row of the object table calls for. */
static void rebuild(struct buf *b, const struct cops_msg *m)
{
	char pepid[COPS_PEPID_MAX + 1];
	struct cops_obj_iter it;
	struct cops_obj o;
	size_t mark = cops_msg_begin(b, m->op, m->solicited, m->client_type);

	cops_obj_iter_init(&it, m);
	while (cops_obj_iter_next(&it, &o)) {
		switch (cops_obj_desc_find(o.c_num, o.c_type)->body) {
		case COPS_BODY_U16_U16:
		case COPS_BODY_RSV_U16:
		case COPS_BODY_U16_RSV:
			cops_put_u16x2(b, o.c_num, o.c_type, cops_obj_hi(&o), cops_obj_lo(&o));
			break;
		case COPS_BODY_SUBOBJ:
			put_subs(b, &o);
			break;
		case COPS_BODY_STRING:
			ck_assert(cops_pepid_get(&o, pepid));
			cops_put_pepid(b, pepid);
			break;
		default:
			cops_put_obj(b, o.c_num, o.c_type, o.body, o.len);
		}
	}
	cops_msg_end(b, mark);
}

START_TEST(vectors_round_trip)
{
	uint8_t wire[256];
	size_t len = vector(_i, wire);
	struct cops_msg m;
	struct buf b;

	must_parse(&m, wire, len);
	buf_init(&b, 0);
	rebuild(&b, &m);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, len);
	ck_assert_mem_eq(b.data, wire, len);
	buf_clear(&b);
}
END_TEST

START_TEST(vectors_truncated)
{
	uint8_t wire[256];
	size_t len = vector(_i, wire);
	struct cops_fault f;
	struct cops_msg m;

	for (size_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n + 1); /* exact size: ASan sees one octet too far */

		memcpy(copy, wire, n);
		copy = realloc(copy, n > 0 ? n : 1);
		ck_assert_int_eq(cops_msg_parse(&m, copy, n, MAX_MSG, &f), 0);
		/* And with a Length that claims the rest was never meant to be. */
		if (n >= COPS_HDR_LEN) {
			copy[7] = (uint8_t)n;
			if (n % 4 != 0)
				ck_assert_int_eq(cops_msg_parse(&m, copy, n, MAX_MSG, &f), -1);
			else
				cops_msg_parse(&m, copy, n, MAX_MSG, &f);
		}
		free(copy);
	}
}
END_TEST

/* Walk everything a user would. */
static void walk(const struct cops_msg *m)
{
	struct cops_dec_iter di;
	struct cops_obj_iter oi;
	struct cops_decision d;
	struct cops_sub_iter si;
	struct cops_sub s;
	struct cops_obj o;

	cops_dec_iter_init(&di, m);
	while (cops_dec_iter_next(&di, &d))
		;
	cops_obj_iter_init(&oi, m);
	while (cops_obj_iter_next(&oi, &o)) {
		cops_sub_iter_init(&si, &o);
		while (cops_sub_iter_next(&si, &s) != COPS_SUB_END)
			;
	}
}

START_TEST(vectors_changed)
{
	uint8_t wire[256];
	size_t len = vector(_i, wire);
	uint8_t *copy = malloc(len);
	struct cops_fault f;
	struct cops_msg m;

	for (size_t at = 0; at < len; at++)
		for (unsigned v = 0; v < 256; v++) {
			memcpy(copy, wire, len);
			copy[at] = (uint8_t)v;
			if (cops_msg_parse(&m, copy, len, MAX_MSG, &f) > 0)
				walk(&m);
		}
	free(copy);
}
END_TEST

/* V1..V19 from scratch, as a daemon would build them. */
static void put_opn_cat_objects(struct buf *b, int i)
{
	static const uint8_t last_pdp[] = {192, 0, 2, 10, 0, 0, 0x0c, 0xd8};

	if (i == 0 || i == 2)
		cops_put_pepid(b, "ce1.example.net");
	if (i == 1 || i == 3)
		cops_put_u16x2(b, COPS_C_KA_TIMER, 1, 0, 60);
	if (i == 2)
		cops_put_obj(b, COPS_C_LAST_PDP, 1, last_pdp, sizeof(last_pdp));
	if (i == 3)
		cops_put_u16x2(b, COPS_C_ACCT_TIMER, 1, 0, 30);
	if (i < 2)
		cops_put_u16x2(b, COPS_C_INTEGRITY, 2, 0, COPS_TLS_START);
}

static const uint8_t oid_filter_200[] = {
    6, 11, 0x2b, 6, 1, 2, 2, 2, 3, 1, 1, 0x81, 0x48}; /* the entry's OID and instance 200 */

static void put_v8(struct buf *b)
{
	static const uint8_t prefix[] = {6, 9, 0x2b, 6, 1, 2, 2, 2, 3, 1, 1};
	static const uint8_t epd[] = {0x42, 2, 0, 0xc8, 2, 1, 2};
	size_t named;
	size_t sub;

	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	cops_put_sub(b, COPS_S_PPRID, prefix, sizeof(prefix));
	cops_named_close(b, named);
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	cops_put_sub(b, COPS_S_PRID, oid_filter_200, sizeof(oid_filter_200));
	sub = cops_sub_open(b, COPS_S_EPD);
	buf_put(b, epd, sizeof(epd));
	cops_sub_close(b, sub);
	cops_named_close(b, named);
}

static void put_report(struct buf *b, int i)
{
	size_t named;

	cops_put_handle(b, handle, sizeof(handle));
	cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, i == 6 ? COPS_RPT_SUCCESS : COPS_RPT_FAILURE, 0);
	if (i == 6)
		return;
	named = cops_named_open(b, COPS_C_CLIENT_SI, 2);
	if (i == 8) {
		cops_put_sub(b, COPS_S_ERROR_PRID, oid_filter_200, sizeof(oid_filter_200));
		cops_put_perr(b, COPS_S_CPERR, 3, 2);
	} else {
		cops_put_perr(b, COPS_S_GPERR, 10, 0x0901);
	}
	cops_named_close(b, named);
}

START_TEST(row1_vectors_built)
{
	static const struct {
		int i;
		enum cops_op op;
		bool solicited;
		uint16_t type;
	} heads[] = {{0, COPS_OP_OPN, false, 0}, {1, COPS_OP_CAT, false, 0},
	    {2, COPS_OP_OPN, false, TYPE}, {3, COPS_OP_CAT, false, TYPE},
	    {5, COPS_OP_DEC, true, TYPE}, {6, COPS_OP_RPT, true, TYPE},
	    {7, COPS_OP_DEC, false, TYPE}, {8, COPS_OP_RPT, true, TYPE},
	    {9, COPS_OP_RPT, true, TYPE}, {10, COPS_OP_DEC, false, TYPE},
	    {11, COPS_OP_DEC, false, TYPE}, {12, COPS_OP_DRQ, false, TYPE},
	    {13, COPS_OP_SSQ, false, TYPE}, {14, COPS_OP_SSC, false, TYPE},
	    {15, COPS_OP_KA, false, 0}, {16, COPS_OP_CC, false, 0}};
	uint8_t wire[256];
	int i = heads[_i].i;
	size_t len = vector(i, wire);
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	buf_put_u32(&b, 0xdeadbeef); /* marks are offsets, not starts */
	mark = cops_msg_begin(&b, heads[_i].op, heads[_i].solicited, heads[_i].type);
	if (i < 4)
		put_opn_cat_objects(&b, i);
	else if (i == 6 || i == 8 || i == 9)
		put_report(&b, i);
	else if (i <= 12)
		cops_put_handle(&b, handle, sizeof(handle));
	if (i == 5)
		cops_put_decision(&b, COPS_CMD_NULL, 0);
	if (i == 7)
		put_v8(&b);
	if (i == 10)
		cops_put_decision(&b, COPS_CMD_INSTALL, COPS_DEC_REQUEST_STATE);
	if (i == 11)
		cops_put_decision(&b, COPS_CMD_REMOVE, COPS_DEC_REQUEST_STATE);
	if (i == 12)
		cops_put_u16x2(&b, COPS_C_REASON, 1, COPS_REASON_PDP_DIRECTIVE, 0);
	if (i == 16)
		cops_put_u16x2(&b, COPS_C_ERROR, 1, COPS_ERR_AUTH_REQUIRED, 0x1002);
	cops_msg_end(&b, mark);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 4 + len);
	ck_assert_mem_eq(b.data + 4, wire, len);
	capture_octets(true, b.data + 4, len);
	buf_clear(&b);
}
END_TEST
#define VECTORS_BUILT 16

START_TEST(vectors_meaning)
{
	uint8_t wire[256];
	struct cops_dec_iter di;
	struct cops_decision d;
	struct cops_obj_iter si;
	struct cops_sub_iter subs;
	struct cops_sub sub;
	struct cops_obj o;
	struct cops_msg m;

	must_parse(&m, wire, vector(7, wire));
	cops_dec_iter_init(&di, &m);
	ck_assert(cops_dec_iter_next(&di, &d));
	ck_assert_int_eq(d.r_type, COPS_R_CONFIG);
	ck_assert_int_eq(d.command, COPS_CMD_REMOVE);
	ck_assert_int_eq(d.data.c_type, 5);
	ck_assert(cops_dec_iter_next(&di, &d));
	ck_assert_int_eq(d.command, COPS_CMD_INSTALL);
	cops_sub_iter_init(&subs, &d.data);
	ck_assert_int_eq(cops_sub_iter_next(&subs, &sub), COPS_SUB_OK);
	ck_assert_int_eq(sub.s_num, COPS_S_PRID);
	ck_assert_uint_eq(sub.len, sizeof(oid_filter_200));
	ck_assert_int_eq(cops_sub_iter_next(&subs, &sub), COPS_SUB_OK);
	ck_assert_int_eq(sub.s_num, COPS_S_EPD);
	ck_assert_int_eq(cops_sub_iter_next(&subs, &sub), COPS_SUB_END);
	ck_assert(!cops_dec_iter_next(&di, &d));

	must_parse(&m, wire, vector(5, wire));
	ck_assert(m.solicited);
	cops_dec_iter_init(&di, &m);
	ck_assert(cops_dec_iter_next(&di, &d));
	ck_assert_int_eq(d.command, COPS_CMD_NULL);
	ck_assert_int_eq(d.data.c_num, 0);
	ck_assert(!cops_dec_iter_next(&di, &d));

	must_parse(&m, wire, vector(8, wire));
	cops_si_iter_init(&si, &m);
	ck_assert(cops_si_iter_next(&si, &o));
	cops_sub_iter_init(&subs, &o);
	ck_assert_int_eq(cops_sub_iter_next(&subs, &sub), COPS_SUB_OK);
	ck_assert_int_eq(cops_sub_iter_next(&subs, &sub), COPS_SUB_OK);
	ck_assert_int_eq(sub.code, 3);
	ck_assert_int_eq(sub.sub, 2);
	ck_assert(!cops_si_iter_next(&si, &o));

	must_parse(&m, wire, vector(17, wire));
	ck_assert_int_eq(cops_obj_hi(&m.slot[COPS_SLOT_ERROR]), COPS_ERR_REDIRECT);
	ck_assert_uint_eq(m.slot[COPS_SLOT_PDP_REDIR].len, 8);

	must_parse(&m, wire, vector(18, wire));
	ck_assert(cops_msg_has(&m, COPS_SLOT_INTEGRITY));
	ck_assert(!cops_msg_has(&m, COPS_SLOT_INTEGRITY_TLS));
	ck_assert_uint_eq(m.slot[COPS_SLOT_INTEGRITY].len, 20);
	ck_assert_mem_eq(m.slot[COPS_SLOT_INTEGRITY].body, wire + 12, 20);
}
END_TEST

START_TEST(row1_row3_handle_lengths)
{
	static const uint8_t h[] = {1, 2, 3, 4, 5, 6, 7, 8};
	size_t len = (size_t)_i;
	struct cops_msg m;
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_DRQ, false, TYPE);
	cops_put_handle(&b, h, len);
	cops_put_u16x2(&b, COPS_C_REASON, 1, COPS_REASON_TEAR, 0);
	cops_msg_end(&b, mark);
	ck_assert_uint_eq(b.data[0], 0x10); /* version 1, no flags */
	ck_assert_uint_eq(b.len % 4, 0);
	ck_assert_uint_eq(b.data[7], b.len);
	ck_assert_uint_eq(b.len, 8 + 4 + (len + 3) / 4 * 4 + 8);
	ck_assert_uint_eq(b.data[9], 4 + len);
	for (size_t i = 12 + len; i < b.len - 8; i++)
		ck_assert_uint_eq(b.data[i], 0);
	must_parse(&m, b.data, b.len);
	ck_assert_uint_eq(m.slot[COPS_SLOT_HANDLE].len, len);
	ck_assert_mem_eq(m.slot[COPS_SLOT_HANDLE].body, h, len);
	ck_assert_int_eq(cops_obj_hi(&m.slot[COPS_SLOT_REASON]), COPS_REASON_TEAR);
	buf_clear(&b);
}
END_TEST

/* Whatever length a peer likes: an object of 16 bits holds 65531 octets. */
START_TEST(tolerate_handle_of_any_length)
{
	static uint8_t h[65531];
	struct cops_fault f = {0};
	struct cops_msg m;
	struct buf b;
	size_t mark;

	for (size_t i = 0; i < sizeof(h); i++)
		h[i] = (uint8_t)(i * 31 + 1);
	for (size_t len = 1; len <= sizeof(h); len += len < 300 ? 1 : 769) {
		if (len > sizeof(h) - 769)
			len = sizeof(h);
		buf_init(&b, 0);
		mark = cops_msg_begin(&b, COPS_OP_SSC, false, TYPE);
		cops_put_handle(&b, h, len);
		cops_msg_end(&b, mark);
		ck_assert_int_eq(cops_msg_parse(&m, b.data, b.len, 1 << 17, &f), (int64_t)b.len);
		ck_assert_uint_eq(m.slot[COPS_SLOT_HANDLE].len, len);
		ck_assert_mem_eq(m.slot[COPS_SLOT_HANDLE].body, h, len);
		buf_clear(&b);
	}
}
END_TEST

/*
 * Grammar: a message is spelled as letters, one object each; then the fault it earns
 * (0 = none) and whether the handle could still be read.
 */
static void put_letter(struct buf *b, char letter)
{
	static const uint8_t zero[20];

	switch (letter) {
	case 'H':
		cops_put_handle(b, handle, sizeof(handle));
		break;
	case 'C':
		cops_put_config_context(b);
		break;
	case 'F':
		cops_put_u16x2(b, COPS_C_DECISION, 1, COPS_CMD_INSTALL, 0);
		break;
	case 'D':
		cops_put_obj(b, COPS_C_DECISION, 5, NULL, 0);
		break;
	case 'd':
		cops_put_obj(b, COPS_C_DECISION, 2, NULL, 0);
		break;
	case 'S':
		cops_put_obj(b, COPS_C_CLIENT_SI, 2, NULL, 0);
		break;
	case 'i':
		cops_put_obj(b, IN_INT4, zero, 8);
		break;
	case 'E':
		cops_put_u16x2(b, COPS_C_ERROR, 1, 3, 0);
		break;
	case 'R':
		cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, 1, 0);
		break;
	case 'r':
		cops_put_u16x2(b, COPS_C_REASON, 1, 1, 0);
		break;
	case 'P':
		cops_put_pepid(b, "ce1");
		break;
	case 'L':
		cops_put_obj(b, COPS_C_LAST_PDP, 2, zero, 20);
		break;
	case 'K':
		cops_put_u16x2(b, COPS_C_KA_TIMER, 1, 0, 60);
		break;
	case 'A':
		cops_put_u16x2(b, COPS_C_ACCT_TIMER, 1, 0, 60);
		break;
	case 'I':
		cops_put_obj(b, COPS_C_INTEGRITY, 1, zero, 20);
		break;
	case 'T':
		cops_put_u16x2(b, COPS_C_INTEGRITY, 2, 0, 1);
		break;
	case '?':
		cops_put_u16x2(b, 77, 1, 0, 0);
		break;
	default:
		ck_abort_msg("letter %c", letter);
	}
}

static const struct {
	enum cops_op op;
	uint16_t type;
	const char *objects;
	int code;
	bool has_handle;
} spelled[] = {
    {COPS_OP_REQ, TYPE, "HC", 0, true},
    {COPS_OP_REQ, TYPE, "HCSSSSSI", 0, true},
    {COPS_OP_REQ, TYPE, "H", 7, true},
    {COPS_OP_REQ, TYPE, "HS", 7, true},
    {COPS_OP_REQ, TYPE, "CH", 7, false},
    {COPS_OP_REQ, TYPE, "", 7, false},
    {COPS_OP_REQ, TYPE, "HCC", 3, true},
    {COPS_OP_REQ, TYPE, "HHC", 3, true},
    {COPS_OP_REQ, TYPE, "HCiS", 3, true},
    {COPS_OP_REQ, TYPE, "HCIS", 3, true},
    {COPS_OP_REQ, TYPE, "HC?", 13, true},
    {COPS_OP_REQ, TYPE, "HCT", 3, true},
    {COPS_OP_REQ, 0, "HC", 3, false},
    {COPS_OP_DEC, TYPE, "HCF", 0, true},
    {COPS_OP_DEC, TYPE, "HCFDCFDCFI", 0, true},
    {COPS_OP_DEC, TYPE, "HE", 0, true},
    {COPS_OP_DEC, TYPE, "HEI", 0, true},
    {COPS_OP_DEC, TYPE, "H", 0, true},
    {COPS_OP_DEC, TYPE, "HI", 0, true},
    {COPS_OP_DEC, TYPE, "HECF", 3, true},
    {COPS_OP_DEC, TYPE, "HCFE", 3, true},
    {COPS_OP_DEC, TYPE, "HF", 3, true},
    {COPS_OP_DEC, TYPE, "HC", 7, true},
    {COPS_OP_DEC, TYPE, "HCD", 7, true},
    {COPS_OP_DEC, TYPE, "HCFCD", 7, true},
    {COPS_OP_DEC, TYPE, "HCFC", 7, true},
    {COPS_OP_DEC, TYPE, "HCFDD", 3, true},
    {COPS_OP_DEC, TYPE, "HCFDF", 3, true},
    {COPS_OP_DEC, TYPE, "HCFd", 3, true},
    {COPS_OP_DEC, TYPE, "HCF?", 13, true},
    {COPS_OP_DEC, TYPE, "CFD", 7, false},
    {COPS_OP_RPT, TYPE, "HR", 0, true},
    {COPS_OP_RPT, TYPE, "HRSS", 0, true},
    {COPS_OP_RPT, TYPE, "HS", 7, true},
    {COPS_OP_RPT, TYPE, "RH", 7, false},
    {COPS_OP_DRQ, TYPE, "Hr", 0, true},
    {COPS_OP_DRQ, TYPE, "HrI", 0, true},
    {COPS_OP_DRQ, TYPE, "rH", 7, false},
    {COPS_OP_SSQ, TYPE, "", 0, false},
    {COPS_OP_SSQ, TYPE, "H", 0, true},
    {COPS_OP_SSQ, TYPE, "HH", 3, true},
    {COPS_OP_SSC, TYPE, "HI", 0, true},
    {COPS_OP_SSC, 0, "", 3, false},
    {COPS_OP_OPN, TYPE, "P", 0, false},
    {COPS_OP_OPN, TYPE, "PSLI", 0, false},
    {COPS_OP_OPN, 0, "PT", 0, false},
    {COPS_OP_OPN, TYPE, "PT", 3, false},
    {COPS_OP_OPN, TYPE, "L", 7, false},
    {COPS_OP_OPN, TYPE, "PLL", 3, false},
    {COPS_OP_CAT, TYPE, "K", 0, false},
    {COPS_OP_CAT, TYPE, "KA", 0, false},
    {COPS_OP_CAT, 0, "KAT", 0, false},
    {COPS_OP_CAT, TYPE, "A", 7, false},
    {COPS_OP_CAT, TYPE, "AK", 7, false},
    {COPS_OP_CC, TYPE, "E", 0, false},
    {COPS_OP_CC, TYPE, "", 7, false},
    {COPS_OP_KA, 0, "", 0, false},
    {COPS_OP_KA, 0, "I", 0, false},
    {COPS_OP_KA, TYPE, "", 3, false},
    {COPS_OP_KA, 0, "H", 3, false},
};

START_TEST(row4_grammar)
{
	struct cops_fault f = {0};
	struct cops_msg m;
	struct buf b;
	size_t mark;
	int64_t n;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, spelled[_i].op, false, spelled[_i].type);
	for (const char *p = spelled[_i].objects; *p != '\0'; p++)
		put_letter(&b, *p);
	cops_msg_end(&b, mark);
	n = cops_msg_parse(&m, b.data, b.len, MAX_MSG, &f);
	ck_assert_msg(f.code == spelled[_i].code, "%s \"%s\": %d (%s), not %d",
	    cops_op_name(spelled[_i].op), spelled[_i].objects, f.code, f.why, spelled[_i].code);
	ck_assert_int_eq(n, f.code == 0 ? (int64_t)b.len : -1);
	ck_assert_int_eq(m.op, spelled[_i].op);
	ck_assert_int_eq(m.client_type, spelled[_i].type);
	ck_assert_uint_eq(m.len, b.len);
	ck_assert_int_eq(cops_msg_has(&m, COPS_SLOT_HANDLE), spelled[_i].has_handle);
	if (f.code == COPS_ERR_UNKNOWN_OBJECT)
		ck_assert_uint_eq(f.sub, 0x4d01);
	buf_clear(&b);
}
END_TEST

START_TEST(row2_headers)
{
	static const struct {
		const char *hex;
		int64_t frame;
	} heads[] = {{"10090000 000000", 0}, {"10090000 00000008", 8}, {"10024001 00010000", 65536},
	    {"20090000 00000008", -1}, {"12090000 00000008", -1}, {"18090000 00000008", -1},
	    {"10000000 00000008", -1}, {"100b0000 00000008", -1}, {"10090000 00000004", -1},
	    {"10090000 00000000", -1}, {"10090000 00000009", -1}, {"10090000 00010004", -1},
	    {"10090000 fffffffc", -1}};
	struct cops_fault f;
	uint8_t p[8];

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		size_t n = unhex(heads[i].hex, p, sizeof(p));

		f.code = 0;
		ck_assert_msg(
		    cops_msg_frame(p, n, MAX_MSG, &f) == heads[i].frame, "%s", heads[i].hex);
		ck_assert_int_eq(f.code, heads[i].frame < 0 ? COPS_ERR_BAD_MESSAGE : 0);
	}
}
END_TEST

/* The solicited bit belongs to DEC and RPT only. */
START_TEST(row2_solicited_out_of_place)
{
	uint8_t wire[256];
	struct cops_fault f;
	struct cops_msg m;

	for (int i = 0; i < (int)COPS_VECTORS; i++) {
		size_t len = vector(i, wire);
		bool may = wire[1] == COPS_OP_DEC || wire[1] == COPS_OP_RPT;

		wire[0] = 0x11;
		ck_assert_int_eq(
		    cops_msg_parse(&m, wire, len, MAX_MSG, &f), may ? (int64_t)len : -1);
	}
}
END_TEST

START_TEST(row2_object_lengths)
{
	static const char *const bad[] = {
	    "10044001 00000018 00030101 00000001 00080501 00080000", /* under its own header */
	    "10044001 00000018 00140101 00000001 00080501 00080000", /* beyond the message */
	    "10044001 00000018 00040101 000c0501 00080000 00000000", /* empty handle, long reason */
	    "10044001 00000010 00080101 00000001 0008",		     /* not all here */
	    "10090000 0000000c 00000000",
	};
	uint8_t p[64];
	struct cops_fault f;
	struct cops_msg m;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = unhex(bad[i], p, sizeof(p));

		f.code = 0;
		p[7] = (uint8_t)(n & ~3u);
		ck_assert_int_eq(cops_msg_parse(&m, p, n & ~3u, MAX_MSG, &f), -1);
		ck_assert_int_ne(f.code, 0);
		ck_assert_ptr_nonnull(f.why);
	}
}
END_TEST

START_TEST(row6_pepids)
{
	static const struct {
		const char *hex;
		const char *pepid; /* NULL = refused */
	} t[] = {{"63653100", "ce1"}, {"636531", "ce1"}, {"63", "c"}, {"6300", "c"},
	    {"63653100 00000000", "ce1"}, {"00", NULL}, {"00636500", NULL}, {"63006531", NULL},
	    {"63206531", NULL}, {"630a6531", NULL}, {"63c3a400", NULL}};
	char pepid[COPS_PEPID_MAX + 1];
	char longest[COPS_PEPID_MAX + 2];
	struct cops_obj o = {0};
	uint8_t body[512];
	struct cops_msg m;
	struct buf b;
	size_t mark;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		o.body = body;
		o.len = (uint16_t)unhex(t[i].hex, body, sizeof(body));
		ck_assert_int_eq(cops_pepid_get(&o, pepid), t[i].pepid != NULL);
		if (t[i].pepid != NULL)
			ck_assert_str_eq(pepid, t[i].pepid);
	}
	memset(longest, 'x', sizeof(longest));
	for (size_t len = COPS_PEPID_MAX; len <= COPS_PEPID_MAX + 1; len++) {
		buf_init(&b, 0);
		longest[len] = '\0';
		mark = cops_msg_begin(&b, COPS_OP_OPN, false, TYPE);
		cops_put_pepid(&b, longest);
		cops_msg_end(&b, mark);
		ck_assert_int_eq(b.failed, len > COPS_PEPID_MAX);
		if (!b.failed) {
			must_parse(&m, b.data, b.len);
			ck_assert(cops_pepid_get(&m.slot[COPS_SLOT_PEPID], pepid));
			ck_assert_uint_eq(strlen(pepid), len);
		}
		buf_clear(&b);
		if (len == COPS_PEPID_MAX)
			longest[len] = 'x';
		longest[COPS_PEPID_MAX + 1] = '\0';
	}
}
END_TEST

START_TEST(row50_row54_sub_objects)
{
	static const struct {
		const char *hex;
		enum cops_sub_result first;
		enum cops_sub_result second;
	} t[] = {{"", COPS_SUB_END, COPS_SUB_END}, {"00080401 000a0901", COPS_SUB_OK, COPS_SUB_END},
	    {"00040301", COPS_SUB_OK, COPS_SUB_END},
	    {"000d0101 06072b06 01020208 01000000 00080401 00010000", COPS_SUB_OK, COPS_SUB_OK},
	    {"000d0101 06072b06 01020208 01000001 00080401 00010000", COPS_SUB_BAD_PAD,
		COPS_SUB_OK},
	    {"00080901 00000000 00080401 00010000", COPS_SUB_UNKNOWN, COPS_SUB_OK},
	    {"00080102 00000000", COPS_SUB_UNKNOWN, COPS_SUB_END},
	    {"00030101", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"00000000 00000000", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"000c0101 06000000", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"00070101 060100", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"000801", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"00070401 00010000", COPS_SUB_BAD_LEN, COPS_SUB_END},
	    {"000c0401 00010000 00000000", COPS_SUB_BAD_LEN, COPS_SUB_END}};
	uint8_t body[64];
	struct cops_obj o = {.body = body};
	struct cops_sub_iter it;
	struct cops_sub s;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		o.len = (uint16_t)unhex(t[i].hex, body, sizeof(body));
		cops_sub_iter_init(&it, &o);
		ck_assert_msg(cops_sub_iter_next(&it, &s) == t[i].first, "%s", t[i].hex);
		ck_assert_msg(cops_sub_iter_next(&it, &s) == t[i].second, "%s", t[i].hex);
	}
}
END_TEST

START_TEST(too_big_to_build)
{
	static uint8_t big[65536];
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	cops_put_obj(&b, COPS_C_HANDLE, 1, big, 65531);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, 65536);
	cops_put_obj(&b, COPS_C_HANDLE, 1, big, 65532);
	ck_assert(b.failed);
	buf_reset(&b);
	mark = cops_named_open(&b, COPS_C_DECISION, 5);
	buf_put(&b, big, 65532);
	cops_named_close(&b, mark);
	ck_assert(b.failed);
	buf_clear(&b);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(cops_op_name(COPS_OP_DEC), "DEC");
	ck_assert_str_eq(cops_error_name(COPS_ERR_BAD_MESSAGE), "Bad message format");
	ck_assert_str_eq(cops_reason_name(COPS_REASON_PDP_DIRECTIVE), "PDP's Directive");
	ck_assert_str_eq(cops_report_name(COPS_RPT_SUCCESS), "Success");
	ck_assert_str_eq(cops_command_name(COPS_CMD_INSTALL), "Install");
	ck_assert_str_eq(cops_op_name(0), "?");
	ck_assert_str_eq(cops_error_name(77), "?");
	for (unsigned num = 0; num < 256; num++)
		for (unsigned type = 0; type < 256; type++) {
			const struct cops_obj_desc *d = cops_obj_desc_find(
			    (uint8_t)num, (uint8_t)type);

			if (d == NULL)
				continue;
			ck_assert_uint_eq(d->c_num, num);
			ck_assert_uint_eq(d->c_type, type);
			ck_assert_uint_ge(d->len_min, COPS_OBJ_HDR_LEN);
			ck_assert_uint_le(d->len_min, d->len_max);
		}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cops_msg");
	TCase *tc = tcase_create("codec");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, vectors_round_trip, 0, COPS_VECTORS);
	tcase_add_loop_test(tc, vectors_truncated, 0, COPS_VECTORS);
	tcase_add_loop_test(tc, vectors_changed, 0, COPS_VECTORS);
	tcase_add_loop_test(tc, row1_vectors_built, 0, VECTORS_BUILT);
	tcase_add_test(tc, vectors_meaning);
	tcase_add_loop_test(tc, row1_row3_handle_lengths, 1, 9);
	tcase_add_loop_test(tc, row4_grammar, 0, sizeof(spelled) / sizeof(spelled[0]));
	tcase_add_test(tc, row2_headers);
	tcase_add_test(tc, row2_solicited_out_of_place);
	tcase_add_test(tc, row2_object_lengths);
	tcase_add_test(tc, row6_pepids);
	tcase_add_test(tc, tolerate_handle_of_any_length);
	tcase_add_test(tc, row50_row54_sub_objects);
	tcase_add_test(tc, too_big_to_build);
	tcase_add_test(tc, names);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
