/*
 * test_pib_codec.c - PRIDs, EPDs and descriptors.  The property tests run over all
 * columns of all classes; what a class must be like is not repeated here, but
 * that what the descriptors say is what the codec does.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "tests/unit/pib_gen.h"

static struct pib_schema *schema;

static void setup(void)
{
	schema = gen_schema();
	ck_assert_ptr_nonnull(schema);
}

static void teardown(void)
{
	pib_schema_free(schema);
}

/* Append a TLV with a short or two-octet length. */
static void put_tlv(struct buf *b, uint8_t tag, const void *p, size_t len)
{
	buf_put_u8(b, tag);
	if (len >= 0x80) {
		buf_put_u8(b, 0x82);
		buf_put_u16(b, (uint16_t)len);
	} else {
		buf_put_u8(b, (uint8_t)len);
	}
	buf_put(b, p, len);
}

/* The row's EPD, but column c given as the n octets at p. */
static void put_with(struct buf *b, const struct pib_class *cls, void *row, uint8_t column,
    const uint8_t *p, size_t len)
{
	struct buf one;

	buf_reset(b);
	buf_init(&one, 0);
	pib_epd_put(&one, cls, row);
	struct cur c, v;
	cur_init(&c, one.data, one.len);
	for (uint8_t n = 1; n <= cls->col_count; n++) {
		const uint8_t *start = c.p;
		uint8_t tag, octet;
		uint16_t l16 = 0;

		ck_assert(cur_u8(&c, &tag) && cur_u8(&c, &octet));
		l16 = octet;
		if (octet == 0x81) {
			ck_assert(cur_u8(&c, &octet));
			l16 = octet;
		} else if (octet == 0x82) {
			ck_assert(cur_u16(&c, &l16));
		}
		ck_assert(cur_cut(&c, l16, &v));
		if (n == column)
			buf_put(b, p, len);
		else
			buf_put(b, start, (size_t)(c.p - start));
	}
	buf_clear(&one);
	ck_assert(!b->failed);
}

/* Decode from memory of exactly that size, so that a sanitizer sees one octet too many. */
static int decode(const struct pib_class *cls, const uint8_t *p, size_t len, void *row,
    bool *surplus, struct pib_fault *f)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(len > 0 ? len : 1);
	if (len > 0)
		memcpy(copy, p, len);
	return pib_epd_decode(cls, copy, len, row, surplus, f);
}

static void expect(const struct pib_class *cls, const struct buf *b, uint16_t gperr, uint16_t cperr,
    uint16_t sub, const char *what)
{
	void *row = gen_row(cls);
	struct pib_fault f;
	bool surplus;
	int rc = decode(cls, b->data, b->len, row, &surplus, &f);

	if (gperr == 0 && cperr == 0)
		ck_assert_msg(rc == 0, "%s col %u %s: gperr %u cperr %u sub %u", cls->name, sub,
		    what, f.gperr, f.cperr, f.sub);
	else
		ck_assert_msg(rc == -1 && f.gperr == gperr && f.cperr == cperr && f.sub == sub &&
				  f.cls == cls,
		    "%s %s: rc %d gperr %u cperr %u sub %u, expected %u %u %u", cls->name, what, rc,
		    f.gperr, f.cperr, f.sub, gperr, cperr, sub);
	free(row);
}

#define FOR_ALL(cls)                                                                               \
	const struct pib_class *cls = pib_schema_class(schema, (size_t)_i);                        \
	void *row = gen_row(cls);                                                                  \
	struct buf b;                                                                              \
	buf_init(&b, 0);                                                                           \
	gen_smallest(cls, row, 1)
#define END_ALL                                                                                    \
	buf_clear(&b);                                                                             \
	free(row)

START_TEST(row51_every_type_round_trips)
{
	FOR_ALL(cls);
	struct gen g = {(uint64_t)_i + 1};
	void *back = gen_row(cls);

	for (int n = 0; n < 50; n++) {
		struct pib_fault f;
		bool surplus;
		struct buf again;

		gen_random(&g, cls, row, 1 + gen_below(&g, 0x7fffffff), 0x7fffffff);
		buf_reset(&b);
		pib_epd_put(&b, cls, row);
		ck_assert_int_eq(decode(cls, b.data, b.len, back, &surplus, &f), 0);
		ck_assert(!surplus && gen_same(cls, row, back));
		buf_init(&again, 0);
		pib_epd_put(&again, cls, back);
		ck_assert_mem_eq(again.data, b.data, b.len);
		buf_clear(&again);
	}
	free(back);
	END_ALL;
}
END_TEST

START_TEST(row64_missing_columns)
{
	FOR_ALL(cls);
	void *back = gen_row(cls);
	struct pib_fault f;
	bool surplus;

	pib_epd_put(&b, cls, row);
	for (size_t len = 0; len < b.len; len++) {
		int rc = decode(cls, b.data, len, back, &surplus, &f);

		if (len == 0)
			ck_assert(rc == -1 && f.cperr == PIB_CPERR_TOO_FEW);
		else if (rc == -1)
			ck_assert(f.gperr == PIB_GPERR_BAD_LENGTH ||
				  (f.cperr == PIB_CPERR_TOO_FEW && f.sub > 1 &&
				      !cls->col[f.sub - 1].has_default));
		else /* only when all that is missing has a default */
			ck_assert(cls->col[cls->col_count - 1].has_default);
	}
	free(back);
	END_ALL;
}
END_TEST

static void number_tlv(struct buf *one, const struct pib_column *c, int64_t v)
{
	static const uint8_t tag[] = {
	    [PIB_INTEGER32] = 0x02,
	    [PIB_UNSIGNED32] = 0x42,
	    [PIB_INTEGER64] = 0x4a,
	    [PIB_UNSIGNED64] = 0x4b,
	};
	uint8_t o[9] = {v < 0 && !gen_is_unsigned(c) ? 0xff : 0};
	size_t at = 0;

	buf_reset(one);
	for (int i = 0; i < 8; i++)
		o[i + 1] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
	while (at < 8 && o[at] == (o[at + 1] & 0x80 ? 0xff : 0x00))
		at++;
	put_tlv(one, tag[c->base], o + at, 9 - at);
}

static bool valid_number(const struct pib_column *c, int64_t v)
{
	bool in = c->ranges == 0;

	if (c->base == PIB_INTEGER32 && (v < INT32_MIN || v > INT32_MAX))
		return false;
	if (c->base == PIB_UNSIGNED32 && (v < 0 || v > UINT32_MAX))
		return false;
	for (uint8_t i = 0; i < c->ranges; i++)
		in |= v >= c->range[i].min && v <= (int64_t)c->range[i].max;
	return in && (c->enum_count == 0 || pib_enum_name(c, (int32_t)v) != NULL);
}

static void try_number(
    const struct pib_class *cls, void *row, const struct pib_column *c, int64_t v)
{
	struct buf b, one;

	buf_init(&b, 0);
	buf_init(&one, 0);
	number_tlv(&one, c, v);
	put_with(&b, cls, row, c->number, one.data, one.len);
	if (valid_number(c, v))
		expect(cls, &b, 0, 0, c->number, "valid number");
	else if (one.len - 2 > (c->base == PIB_INTEGER32 ? 4 : c->base == PIB_UNSIGNED32 ? 5 : 9))
		expect(cls, &b, PIB_GPERR_BAD_LENGTH, 0, 0, "number too wide");
	else
		expect(cls, &b, 0, PIB_CPERR_VALUE, c->number, "number out of range");
	buf_clear(&one);
	buf_clear(&b);
}

START_TEST(row67_number_bounds_name_the_column)
{
	FOR_ALL(cls);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		if (!gen_is_number(c) || c->base == PIB_INTEGER64)
			continue;
		for (int d = -1; d <= 1; d++) {
			for (uint8_t k = 0; k < c->ranges; k++) {
				try_number(cls, row, c, c->range[k].min + d);
				try_number(cls, row, c, (int64_t)c->range[k].max + d);
			}
			for (uint8_t k = 0; k < c->enum_count; k++)
				try_number(cls, row, c, c->enums[k].value + d);
			if (c->base == PIB_UNSIGNED32)
				try_number(cls, row, c, (int64_t)UINT32_MAX + d);
			if (c->base == PIB_INTEGER32) {
				try_number(cls, row, c, (int64_t)INT32_MAX + d);
				try_number(cls, row, c, (int64_t)INT32_MIN + d);
			}
			if (c->base != PIB_UNSIGNED64)
				try_number(cls, row, c, d);
		}
	}
	END_ALL;
}
END_TEST

static void try_size(
    const struct pib_class *cls, void *row, const struct pib_column *c, int64_t len)
{
	static const uint8_t zero[65540];
	uint64_t longest = 0;
	bool in = c->ranges == 0;
	struct buf b, one;

	if (len < 0 || len > 65000)
		return;
	for (uint8_t i = 0; i < c->ranges; i++) {
		in |= len >= c->range[i].min && len <= (int64_t)c->range[i].max;
		longest = c->range[i].max > longest ? c->range[i].max : longest;
	}
	buf_init(&b, 0);
	buf_init(&one, 0);
	put_tlv(&one, 0x04, zero, (size_t)len);
	put_with(&b, cls, row, c->number, one.data, one.len);
	if (in)
		expect(cls, &b, 0, 0, c->number, "valid size");
	else
		expect(cls, &b, 0, (uint64_t)len > longest ? PIB_CPERR_MAX_LENGTH : PIB_CPERR_VALUE,
		    c->number, "size");
	buf_clear(&one);
	buf_clear(&b);
}

START_TEST(row67_size_bounds_name_the_column)
{
	FOR_ALL(cls);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		if (c->base != PIB_OCTETS)
			continue;
		for (int d = -1; d <= 1; d++) {
			try_size(cls, row, c, d);
			for (uint8_t k = 0; k < c->ranges; k++) {
				try_size(cls, row, c, c->range[k].min + d);
				try_size(cls, row, c, (int64_t)c->range[k].max + d);
			}
		}
	}
	END_ALL;
}
END_TEST

/* Every tag on every column but the right ones, each with contents that some type has. */
static void try_tags(const struct pib_class *cls, void *row, struct buf *b, bool known)
{
	static const uint8_t tags[] = {0x02, 0x04, 0x05, 0x06, 0x40, 0x42, 0x43, 0x44, 0x4a, 0x4b};
	static const uint8_t right[] = {
	    [PIB_INTEGER32] = 0x02,
	    [PIB_UNSIGNED32] = 0x42,
	    [PIB_INTEGER64] = 0x4a,
	    [PIB_UNSIGNED64] = 0x4b,
	    [PIB_OCTETS] = 0x04,
	    [PIB_BITS] = 0x04,
	    [PIB_OID] = 0x06,
	};

	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		for (int tag = 0; tag <= 255; tag++) {
			uint8_t one[] = {(uint8_t)tag, 0x01, 0x01};

			if (tag == right[c->base] || (c->base == PIB_UNSIGNED32 && tag == 0x02) ||
			    (memchr(tags, tag, sizeof tags) != NULL) != known)
				continue;
			put_with(b, cls, row, c->number, one, sizeof one);
			if (!known)
				expect(
				    cls, b, PIB_GPERR_UNKNOWN_TAG, 0, (uint16_t)tag, "unknown tag");
			else if (tag == 0x05)
				expect(cls, b, PIB_GPERR_BAD_LENGTH, 0, 0, "NULL with contents");
			else
				expect(cls, b, 0, PIB_CPERR_TYPE, c->number, "wrong type");
		}
	}
}

START_TEST(row52_unknown_tag)
{
	FOR_ALL(cls);
	try_tags(cls, row, &b, false);
	END_ALL;
}
END_TEST

START_TEST(row66_wrong_type)
{
	FOR_ALL(cls);
	try_tags(cls, row, &b, true);
	END_ALL;
}
END_TEST

/* RFC 3084's own example gives an Unsigned32 as INTEGER. */
START_TEST(tolerate_unsigned32_as_integer)
{
	static const uint8_t one[] = {0x02, 0x01, 0x01};
	FOR_ALL(cls);

	for (uint8_t i = 0; i < cls->col_count; i++) {
		if (cls->col[i].base != PIB_UNSIGNED32 || !valid_number(&cls->col[i], 1))
			continue;
		put_with(&b, cls, row, cls->col[i].number, one, sizeof one);
		expect(cls, &b, 0, 0, cls->col[i].number, "INTEGER");
	}
	END_ALL;
}
END_TEST

START_TEST(row53_bad_length)
{
	static const struct {
		uint8_t o[16];
		uint8_t len;
	} bad[] = {
	    {{0x04, 0x80, 0x00, 0x00}, 4},		     /* indefinite */
	    {{0x04, 0x85, 0, 0, 0, 0, 1, 0x61}, 8},	     /* five length octets */
	    {{0x04, 0xff}, 2},				     /* reserved */
	    {{0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 0x61}, 7}, /* past the end */
	    {{0x42, 0x00}, 2},				     /* a number of no octets */
	    {{0x02, 0x02, 0x00, 0x01}, 4},		     /* not minimal */
	    {{0x02, 0x02, 0xff, 0xff}, 4},		     /* not minimal */
	    {{0x42, 0x06, 0x00, 0x80, 0, 0, 0, 1}, 8},	     /* too wide */
	    {{0x06, 0x00}, 2},				     /* an OID of no octets */
	};
	FOR_ALL(cls);

	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
			uint8_t tag = bad[k].o[0];
			bool matters = k < 4 ||
				       (tag == 0x02 && (c->base == PIB_INTEGER32 ||
							   c->base == PIB_UNSIGNED32)) ||
				       (tag == 0x42 && c->base == PIB_UNSIGNED32) ||
				       (tag == 0x06 && c->base == PIB_OID);

			if (!matters)
				continue;
			/* the last column, so that nothing after it hides a length past the end */
			put_with(&b, cls, row, c->number, bad[k].o, bad[k].len);
			if (k == 3)
				b.len -= 1;
			expect(cls, &b, PIB_GPERR_BAD_LENGTH, 0, 0, "length");
		}
	}
	END_ALL;
}
END_TEST

START_TEST(test_long_form_accepted)
{
	static const uint8_t one[] = {0x42, 0x83, 0x00, 0x00, 0x01, 0x07};
	struct pib_frwk_error row = {.prid = 1};
	struct buf b;

	buf_init(&b, 0);
	row.prc = (struct pib_octets) {(const uint8_t *)"", 1};
	put_with(&b, &pib_frwk_error_class, &row, PIB_FRWK_ERROR_COL_CODE, one, sizeof one);
	expect(&pib_frwk_error_class, &b, 0, 0, PIB_FRWK_ERROR_COL_CODE, "long form");
	buf_clear(&b);
}
END_TEST

START_TEST(row65_null_is_default_or_error)
{
	static const uint8_t null[] = {0x05, 0x00};
	FOR_ALL(cls);
	void *back = gen_row(cls);

	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];
		struct pib_fault f;
		bool surplus;

		put_with(&b, cls, row, c->number, null, sizeof null);
		if (!c->has_default && !c->deprecated) {
			expect(cls, &b, 0, PIB_CPERR_VALUE, c->number, "NULL");
			continue;
		}
		ck_assert_int_eq(decode(cls, b.data, b.len, back, &surplus, &f), 0);
		ck_assert(pib_row_null(c, back) == !c->has_default);
		if (c->has_default && gen_is_number(c))
			ck_assert_int_eq(pib_row_number(c, back), c->default_number);
	}
	/* and on the way out */
	for (uint8_t i = 0; i < cls->col_count; i++)
		pib_row_set_null(&cls->col[i], row);
	buf_reset(&b);
	pib_epd_put(&b, cls, row);
	ck_assert_uint_eq(b.len, (size_t)cls->col_count * 2);
	for (size_t i = 0; i < b.len; i += 2)
		ck_assert(b.data[i] == 0x05 && b.data[i + 1] == 0x00);
	free(back);
	END_ALL;
}
END_TEST

START_TEST(row63_surplus_columns_ignored)
{
	FOR_ALL(cls);
	void *back = gen_row(cls);
	struct pib_fault f;
	bool surplus;

	pib_epd_put(&b, cls, row);
	for (int n = 0; n < 300; n++)
		put_tlv(&b, 0x04, "new", 3);
	ck_assert_int_eq(decode(cls, b.data, b.len, back, &surplus, &f), 0);
	ck_assert(surplus && gen_same(cls, row, back));
	ck_assert_int_eq(decode(cls, b.data, b.len - 1, back, &surplus, &f), -1);
	ck_assert_uint_eq(f.gperr, PIB_GPERR_BAD_LENGTH);
	put_tlv(&b, 0x30, "", 0);
	ck_assert_int_eq(decode(cls, b.data, b.len, back, &surplus, &f), -1);
	ck_assert_uint_eq(f.gperr, PIB_GPERR_UNKNOWN_TAG);
	ck_assert_uint_eq(f.sub, 0x30);
	free(back);
	END_ALL;
}
END_TEST

START_TEST(row49_prid_octets)
{
	static const uint32_t instances[] = {
	    1, 127, 128, 200, 16383, 16384, 0x7fffffff, UINT32_MAX};
	FOR_ALL(cls);

	for (size_t i = 0; i < sizeof instances / sizeof instances[0]; i++) {
		const struct pib_class *got;
		struct pib_fault f;
		uint32_t instance;

		buf_reset(&b);
		pib_prid_put(&b, cls, instances[i]);
		ck_assert_int_eq(pib_prid_parse(schema, b.data, b.len, &got, &instance, &f), 0);
		ck_assert(got == cls && instance == instances[i]);
		pib_fault_row(&f, cls, instances[i]);
		ck_assert_uint_eq(f.prid_len, b.len - 2);
		ck_assert_mem_eq(f.prid, b.data + 2, f.prid_len);
		for (size_t len = 0; len < b.len; len++) {
			uint8_t *cut = malloc(len > 0 ? len : 1);

			memcpy(cut, b.data, len);
			ck_assert_int_eq(pib_prid_parse(schema, cut, len, &got, &instance, &f), -1);
			ck_assert_uint_eq(f.gperr, PIB_GPERR_BAD_LENGTH);
			free(cut);
		}
	}
	END_ALL;
}
END_TEST

static void expect_prid(const char *octets, size_t len, uint16_t gperr, uint16_t cperr)
{
	const struct pib_class *cls;
	struct pib_fault f;
	uint32_t instance;

	ck_assert_int_eq(
	    pib_prid_parse(schema, (const uint8_t *)octets, len, &cls, &instance, &f), -1);
	ck_assert_uint_eq(f.gperr, gperr);
	ck_assert_uint_eq(f.cperr, cperr);
}

#define PRID(s) (s), sizeof(s) - 1

START_TEST(row60_prid_without_instance_refused)
{
	expect_prid(PRID("\x04\x02\x2b\x06"), PIB_GPERR_UNKNOWN_TAG, 0);
	expect_prid(PRID("\x06\x80\x2b\x00\x00"), PIB_GPERR_BAD_LENGTH, 0);
	expect_prid(PRID("\x06\x02\x2b\x06\x00"), PIB_GPERR_BAD_LENGTH, 0); /* octets after it */
	expect_prid(PRID("\x06\x00"), PIB_GPERR_UNKNOWN_DATA, 0);
	/* frwkBaseFilter: no instance, instance 0, two arcs, leading 80, no end, beyond 32 bits */
	expect_prid(PRID("\x06\x09\x2b\x06\x01\x02\x02\x02\x03\x01\x01"), 0, PIB_CPERR_INSTANCE);
	expect_prid(
	    PRID("\x06\x0a\x2b\x06\x01\x02\x02\x02\x03\x01\x01\x00"), 0, PIB_CPERR_INSTANCE);
	expect_prid(
	    PRID("\x06\x0b\x2b\x06\x01\x02\x02\x02\x03\x01\x01\x01\x01"), 0, PIB_CPERR_INSTANCE);
	expect_prid(PRID("\x06\x0b\x2b\x06\x01\x02\x02\x02\x03\x01\x01\x80\x01"),
	    PIB_GPERR_UNKNOWN_DATA, 0);
	expect_prid(
	    PRID("\x06\x0a\x2b\x06\x01\x02\x02\x02\x03\x01\x01\x81"), PIB_GPERR_UNKNOWN_DATA, 0);
	expect_prid(PRID("\x06\x0e\x2b\x06\x01\x02\x02\x02\x03\x01\x01\x90\x80\x80\x80\x00"),
	    PIB_GPERR_UNKNOWN_DATA, 0);
	expect_prid(
	    PRID("\x06\x0a\x2b\x06\x01\x02\x02\x02\x63\x01\x01\x01"), 0, PIB_CPERR_UNKNOWN_PRC);
}
END_TEST

struct covered {
	size_t count;
	const struct pib_class *cls;
	uint32_t instance;
};

static void count_covered(void *arg, const struct pib_class *cls, uint32_t instance)
{
	struct covered *c = arg;

	c->count++;
	c->cls = cls;
	c->instance = instance;
}

/* The worked examples of RFC 3084's encoding (standards digest 2.3). */
START_TEST(row49_worked_examples)
{
	struct covered got = {0};
	struct pib_fault f;

	/* 1.3.6.1.2.2.8.1: no class of ours, a good OID all the same */
	ck_assert_int_eq(
	    pib_prefix_parse(schema, (const uint8_t *)"\x06\x07\x2b\x06\x01\x02\x02\x08\x01", 9,
		count_covered, &got, &f),
	    -1);
	ck_assert_uint_eq(f.cperr, PIB_CPERR_UNKNOWN_PRC);
	/* 1.3.6.1.2.2: all of the framework PIB */
	ck_assert_int_eq(pib_prefix_parse(schema, (const uint8_t *)"\x06\x05\x2b\x06\x01\x02\x02",
			     7, count_covered, &got, &f),
	    0);
	ck_assert_uint_eq(got.count, pib_framework_pib_module.count);
	/* 1.3.6.1.4.1.32473.1.1.1 (ceVpnTable) is no prefix of anything but ceVpn */
	got.count = 0;
	ck_assert_int_eq(
	    pib_prefix_parse(schema,
		(const uint8_t *)"\x06\x0b\x2b\x06\x01\x04\x01\x81\xfd\x59\x01\x01\x01", 13,
		count_covered, &got, &f),
	    0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_ptr_eq(got.cls, &pib_ce_vpn_class);
	ck_assert_uint_eq(got.instance, 0);
}
END_TEST

/* V5 of the standards digest: the EPD of a frwkPibIncarnation, and its PRID. */
START_TEST(row51_vector_v5)
{
	static const uint8_t prid[] = {
	    0x06, 0x0a, 0x2b, 0x06, 0x01, 0x02, 0x02, 0x02, 0x01, 0x02, 0x01, 0x01};
	static const uint8_t epd[] = {0x42, 0x01, 0x01, 0x04, 0x08, 0x76, 0x70, 0x6e, 0x2d, 0x62,
	    0x6c, 0x75, 0x65, 0x04, 0x03, 0x72, 0x34, 0x32, 0x02, 0x01, 0x03, 0x42, 0x02, 0x01,
	    0x2c, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01};
	struct pib_frwk_pib_incarnation row;
	const struct pib_class *cls;
	struct pib_fault f;
	uint32_t instance;
	bool surplus;
	struct buf b;

	ck_assert_int_eq(pib_prid_parse(schema, prid, sizeof prid, &cls, &instance, &f), 0);
	ck_assert_ptr_eq(cls, &pib_frwk_pib_incarnation_class);
	ck_assert_uint_eq(instance, 1);
	ck_assert_int_eq(pib_epd_decode(cls, epd, sizeof epd, &row, &surplus, &f), 0);
	ck_assert_uint_eq(row.prid, 1);
	ck_assert_uint_eq(row.name.len, 8);
	ck_assert_mem_eq(row.name.p, "vpn-blue", 8);
	ck_assert_mem_eq(row.id.p, "r42", 3);
	ck_assert_int_eq(row.longevity, PIB_FRWK_PIB_INCARNATION_LONGEVITY_EXPIRE_ON_TIMEOUT);
	ck_assert_uint_eq(row.ttl, 300);
	ck_assert_int_eq(row.full_state, PIB_FRWK_PIB_INCARNATION_FULL_STATE_TRUE);

	buf_init(&b, 0);
	pib_prid_put(&b, cls, 1);
	pib_epd_put(&b, cls, &row);
	ck_assert_uint_eq(b.len, sizeof prid + sizeof epd);
	ck_assert_mem_eq(b.data, prid, sizeof prid);
	ck_assert_mem_eq(b.data + sizeof prid, epd, sizeof epd);
	buf_clear(&b);
}
END_TEST

/* V8: remove the class prefix of frwkBaseFilter, install instance 200. */
START_TEST(row49_vector_v8)
{
	static const uint8_t pprid[] = {
	    0x06, 0x09, 0x2b, 0x06, 0x01, 0x02, 0x02, 0x02, 0x03, 0x01, 0x01};
	static const uint8_t pprid_table[] = {
	    0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x02, 0x02, 0x03, 0x01};
	static const uint8_t prid[] = {
	    0x06, 0x0b, 0x2b, 0x06, 0x01, 0x02, 0x02, 0x02, 0x03, 0x01, 0x01, 0x81, 0x48};
	static const uint8_t epd[] = {0x42, 0x02, 0x00, 0xc8, 0x02, 0x01, 0x02};
	struct pib_frwk_base_filter row = {
	    .prid = 200, .negation = PIB_FRWK_BASE_FILTER_NEGATION_FALSE};
	struct covered got = {0};
	struct pib_fault f;
	struct buf b;

	ck_assert_int_eq(pib_prefix_parse(schema, pprid, sizeof pprid, count_covered, &got, &f), 0);
	ck_assert(got.count == 1 && got.cls == &pib_frwk_base_filter_class && got.instance == 0);
	ck_assert_int_eq(
	    pib_prefix_parse(schema, pprid_table, sizeof pprid_table, count_covered, &got, &f), 0);
	ck_assert(got.count == 2 && got.cls == &pib_frwk_base_filter_class);
	ck_assert_int_eq(pib_prefix_parse(schema, prid, sizeof prid, count_covered, &got, &f), 0);
	ck_assert(got.count == 3 && got.instance == 200);

	buf_init(&b, 0);
	pib_pprid_put(&b, &pib_frwk_base_filter_class);
	ck_assert_mem_eq(b.data, pprid, sizeof pprid);
	buf_reset(&b);
	pib_prid_put(&b, &pib_frwk_base_filter_class, 200);
	pib_epd_put(&b, &pib_frwk_base_filter_class, &row);
	ck_assert_uint_eq(b.len, sizeof prid + sizeof epd);
	ck_assert_mem_eq(b.data, prid, sizeof prid);
	ck_assert_mem_eq(b.data + sizeof prid, epd, sizeof epd);
	buf_clear(&b);
}
END_TEST

START_TEST(test_bits)
{
	const struct pib_class *cls = &pib_frwk802_filter_class;
	uint8_t col = PIB_FRWK802_FILTER_COL_USER_PRIORITY;
	void *row = gen_row(cls);
	struct buf b;

	buf_init(&b, 0);
	gen_smallest(cls, row, 1);
	put_with(&b, cls, row, col, (const uint8_t *)"\x04\x01\xff", 3);
	expect(cls, &b, 0, 0, col, "all bits");
	put_with(&b, cls, row, col, (const uint8_t *)"\x04\x00", 2);
	expect(cls, &b, 0, 0, col, "no bits");
	put_with(&b, cls, row, col, (const uint8_t *)"\x04\x02\xff\x00", 4);
	expect(cls, &b, 0, PIB_CPERR_MAX_LENGTH, col, "too long");
	buf_clear(&b);
	free(row);
}
END_TEST

START_TEST(test_oid)
{
	static const struct {
		const char *tlv;
		uint8_t len;
		uint16_t gperr, cperr;
	} cases[] = {
	    {"\x06\x01\x00", 3, 0, 0},
	    {"\x06\x03\x2b\x81\x48", 5, 0, 0},
	    {"\x06\x02\x2b\x81", 4, 0, PIB_CPERR_VALUE},
	    {"\x06\x03\x2b\x80\x01", 5, 0, PIB_CPERR_VALUE},
	    {"\x06\x06\x2b\xff\xff\xff\xff\x7f", 8, 0, PIB_CPERR_VALUE},
	};
	const struct pib_class *cls = &pib_frwk_reference_class;
	uint8_t col = PIB_FRWK_REFERENCE_COL_INSTANCE;
	void *row = gen_row(cls);
	struct buf b;

	buf_init(&b, 0);
	gen_smallest(cls, row, 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		put_with(&b, cls, row, col, (const uint8_t *)cases[i].tlv, cases[i].len);
		expect(cls, &b, cases[i].gperr, cases[i].cperr, col, "OID");
	}
	buf_clear(&b);
	free(row);
}
END_TEST

/* What the modules say, once, by hand: the numbers other systems rely on. */
START_TEST(test_descriptors)
{
	static const struct {
		const char *name;
		uint8_t cols;
		enum pib_access access;
		uint8_t unique;
	} expected[] = {
	    {"frwkPrcSupport", 3, PIB_NOTIFY, 1},
	    {"frwkPibIncarnation", 8, PIB_INSTALL_NOTIFY, 0},
	    {"frwkDeviceId", 4, PIB_NOTIFY, 0},
	    {"frwkCompLimits", 7, PIB_NOTIFY, 6},
	    {"frwkReference", 4, PIB_INSTALL_NOTIFY, 0},
	    {"frwkError", 5, PIB_INSTALL, 4},
	    {"frwkCapabilitySet", 3, PIB_NOTIFY, 2},
	    {"frwkRoleCombo", 3, PIB_INSTALL_NOTIFY, 0},
	    {"frwkIfRoleCombo", 1, PIB_INSTALL_NOTIFY, 2},
	    {"frwkBaseFilter", 2, PIB_INSTALL, 0},
	    {"frwkIpFilter", 12, PIB_INSTALL, 13},
	    {"frwk802Filter", 8, PIB_INSTALL, 9},
	    {"frwkILabelFilter", 1, PIB_INSTALL, 2},
	    {"frwk802Marker", 3, PIB_INSTALL, 2},
	    {"frwkILabelMarker", 2, PIB_INSTALL, 1},
	    {"ceVpn", 26, PIB_INSTALL, 1},
	    {"ceVpnProposal", 14, PIB_INSTALL, 2},
	    {"ceVpnLocalPrefix", 6, PIB_INSTALL, 4},
	    {"ceVpnPeer", 11, PIB_INSTALL, 2},
	    {"ceVpnPeerPrefix", 6, PIB_INSTALL, 4},
	    {"ceVpnPeerKey", 9, PIB_INSTALL, 2},
	    {"ceVpnPeerAck", 3, PIB_INSTALL, 1},
	    {"ceVpnSite", 15, PIB_NOTIFY, 0},
	    {"ceVpnSiteKey", 9, PIB_NOTIFY, 2},
	    {"ceVpnIkeProposal", 9, PIB_INSTALL, 2},
	    {"ceVpnSiteTransform", 5, PIB_NOTIFY, 4},
	    {"ceVpnPeerStatus", 13, PIB_REPORT_ONLY, 0},
	    {"ceVpnSitePrefix", 5, PIB_NOTIFY, 4},
	    {"ceVpnSiteLeave", 3, PIB_NOTIFY, 1},
	};
	const struct pib_column *c;

	ck_assert_uint_eq(pib_schema_count(schema), sizeof expected / sizeof expected[0]);
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		const struct pib_class *cls = pib_schema_class(schema, i);

		ck_assert_str_eq(cls->name, expected[i].name);
		ck_assert_ptr_eq(pib_schema_find_name(schema, cls->name), cls);
		ck_assert_ptr_eq(pib_schema_find_ber(schema, cls->ber, cls->ber_len), cls);
		ck_assert_uint_eq(pib_schema_index(schema, cls), i);
		ck_assert_uint_eq(cls->col_count, expected[i].cols);
		ck_assert_uint_eq(cls->access, expected[i].access);
		ck_assert_uint_eq(cls->unique_count, expected[i].unique);
		ck_assert_uint_eq(cls->oid[cls->oid_len - 1], 1);
		for (uint8_t k = 0; k < cls->col_count; k++)
			ck_assert_uint_eq(cls->col[k].number, k + 1);
	}
	ck_assert_ptr_null(pib_schema_find_name(schema, "ceVpnNothing"));
	ck_assert_uint_eq(pib_ce_vpn_pib_module.subject_category, 0x4001);
	ck_assert_uint_eq(pib_framework_pib_module.subject_category, 0);
	ck_assert(pib_frwk_error_class.transient && !pib_ce_vpn_class.transient);
	ck_assert_ptr_eq(pib_frwk_ip_filter_class.base, &pib_frwk_base_filter_class);
	ck_assert_uint_eq(pib_frwk_ip_filter_class.unique[0],
	    PIB_UNIQUE_BASE | PIB_FRWK_BASE_FILTER_COL_NEGATION);
	ck_assert_uint_eq(pib_ce_vpn_peer_key_class.install_error_count, 4);
	c = pib_column_find(&pib_ce_vpn_class, PIB_CE_VPN_COL_PROPOSALS);
	ck_assert(c->tag_class == &pib_ce_vpn_proposal_class &&
		  c->tag_column == PIB_CE_VPN_PROPOSAL_COL_TAG);
	c = pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_PEER);
	ck_assert(c->refers == &pib_ce_vpn_peer_class && c->ref_zero && c->has_default);
	c = pib_column_find(&pib_frwk_ip_filter_class, PIB_FRWK_IP_FILTER_COL_DSCP);
	ck_assert(c->has_default && c->default_number == -1 && c->range[0].min == -1);
	ck_assert_ptr_null(pib_column_find(&pib_ce_vpn_class, 27));
	ck_assert_ptr_null(pib_column_find(&pib_ce_vpn_class, 0));
}
END_TEST

static void expect_print(
    const struct pib_class *cls, uint8_t col, const void *row, const char *text)
{
	struct buf b;

	buf_init(&b, 0);
	pib_value_print(&b, cls, pib_column_find(cls, col), row);
	buf_put_u8(&b, 0);
	ck_assert_str_eq((const char *)b.data, text);
	buf_clear(&b);
}

START_TEST(test_print)
{
	struct pib_ce_vpn_peer peer = {
	    .id = 12,
	    .name = {(const uint8_t *)"a\nb", 3},
	    .role = PIB_CE_VPN_PEER_ROLE_HUB,
	    .addr = {(const uint8_t *)"\x0a\x00\x00\x01", 4},
	};
	struct pib_ce_vpn vpn = {.vpn_id = {(const uint8_t *)"\x00\x01\x02\x03\x04\x05\xff", 7}};
	struct pib_frwk_reference ref = {.instance = {(const uint8_t *)"\x2b\x06\x81\x48", 4}};
	struct pib_frwk802_filter f802 = {.user_priority = {(const uint8_t *)"\x81", 1}};
	struct pib_ce_vpn_proposal prop = {.lifetime_kilobytes = UINT64_MAX};
	struct pib_fault f = {.cperr = PIB_CPERR_VALUE, .sub = 6};
	char line[128];

	expect_print(&pib_ce_vpn_peer_class, 1, &peer, "12");
	expect_print(&pib_ce_vpn_peer_class, 3, &peer, "a\\x0ab");
	expect_print(&pib_ce_vpn_peer_class, 4, &peer, "hub(1)");
	expect_print(&pib_ce_vpn_peer_class, 6, &peer, "10.0.0.1");
	expect_print(&pib_ce_vpn_class, 2, &vpn, "000102030405ff");
	expect_print(&pib_frwk_reference_class, 4, &ref, "1.3.6.200");
	expect_print(&pib_frwk802_filter_class, 8, &f802, "matchPriority0,matchPriority7");
	expect_print(&pib_ce_vpn_proposal_class, 9, &prop, "18446744073709551615");
	pib_row_set_null(&pib_ce_vpn_peer_class.col[5], &peer);
	expect_print(&pib_ce_vpn_peer_class, 6, &peer, "-");

	pib_fault_row(&f, &pib_ce_vpn_peer_class, 12);
	ck_assert_str_eq(pib_fault_print(&f, line, sizeof line),
	    "ceVpnPeer.12 column addr(6): attrValueInvalid");
	f.cperr = PIB_CPERR_SPECIFIC;
	f.sub = PIB_CE_VPN_PEER_ERR_KERNEL_REFUSED;
	ck_assert_str_eq(pib_fault_print(&f, line, sizeof line),
	    "ceVpnPeer.12: priSpecificError kernelRefused(1)");
	f = (struct pib_fault) {.gperr = PIB_GPERR_UNKNOWN_TAG, .sub = 0x30};
	ck_assert_str_eq(pib_fault_print(&f, line, sizeof line), "unknownASN.1Tag (sub-code 0x30)");
	f = (struct pib_fault) {
	    .cperr = PIB_CPERR_UNKNOWN_PRC, .prid = {0x2b, 0x06, 0x01}, .prid_len = 3};
	ck_assert_str_eq(pib_fault_print(&f, line, sizeof line), "1.3.6.1: unknownPrc");
}
END_TEST

/* Random octets never do more than be refused. */
START_TEST(test_garbage)
{
	FOR_ALL(cls);
	struct gen g = {(uint64_t)_i + 77};
	void *back = gen_row(cls);

	for (int n = 0; n < 3000; n++) {
		struct pib_fault f;
		bool surplus;

		gen_random(&g, cls, row, 1, 3);
		buf_reset(&b);
		pib_epd_put(&b, cls, row);
		for (uint32_t k = 0; k < 1 + gen_below(&g, 4); k++)
			b.data[gen_below(&g, (uint32_t)b.len)] ^= (uint8_t)(1 << gen_below(&g, 8));
		if (decode(cls, b.data, b.len, back, &surplus, &f) != 0)
			ck_assert((f.gperr == 0) != (f.cperr == 0));
	}
	free(back);
	END_ALL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pib_codec");
	TCase *t = tcase_create("codec");
	SRunner *r;
	int classes, failed;

	schema = gen_schema();
	classes = (int)pib_schema_count(schema);
	pib_schema_free(schema);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, row51_every_type_round_trips, 0, classes);
	tcase_add_loop_test(t, row64_missing_columns, 0, classes);
	tcase_add_loop_test(t, row67_number_bounds_name_the_column, 0, classes);
	tcase_add_loop_test(t, row67_size_bounds_name_the_column, 0, classes);
	tcase_add_loop_test(t, row52_unknown_tag, 0, classes);
	tcase_add_loop_test(t, row66_wrong_type, 0, classes);
	tcase_add_loop_test(t, tolerate_unsigned32_as_integer, 0, classes);
	tcase_add_loop_test(t, row53_bad_length, 0, classes);
	tcase_add_loop_test(t, row65_null_is_default_or_error, 0, classes);
	tcase_add_loop_test(t, row63_surplus_columns_ignored, 0, classes);
	tcase_add_loop_test(t, row49_prid_octets, 0, classes);
	tcase_add_loop_test(t, test_garbage, 0, classes);
	tcase_add_test(t, test_long_form_accepted);
	tcase_add_test(t, row60_prid_without_instance_refused);
	tcase_add_test(t, row49_worked_examples);
	tcase_add_test(t, row51_vector_v5);
	tcase_add_test(t, row49_vector_v8);
	tcase_add_test(t, test_bits);
	tcase_add_test(t, test_oid);
	tcase_add_test(t, test_descriptors);
	tcase_add_test(t, test_print);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
