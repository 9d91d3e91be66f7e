/*
 * test_pib_limit.c - frwkCompLimits: one table makes the PEP's rows, judges its store and,
 * read back from the rows, a PDP's; and roles, as RFC 3318 2.1 writes and matches them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_limit.h"
#include "pib/pib_role.h"
#include "pib/pib_store.h"
#include "tests/pib/test_pib.h"

#define QUEUE	  &pib_test_queue_class
#define COL(name) PIB_TEST_QUEUE_COL_##name

static const struct pib_limit limit[] = {
    {.cls = QUEUE, .kind = PIB_LIMIT_ROWS, .min = 3},
    {.cls = QUEUE, .column = COL(NAME), .kind = PIB_LIMIT_LENGTH, .min = 2, .max = 4},
    {.cls = QUEUE, .column = COL(WEIGHT), .kind = PIB_LIMIT_RANGE, .min = 10, .max = 20},
    {.cls = QUEUE, .column = COL(WEIGHT), .kind = PIB_LIMIT_VALUE, .min = 100},
    {.cls = QUEUE, .column = COL(WEIGHT), .kind = PIB_LIMIT_VALUE, .negation = true, .min = 15},
    {.cls = QUEUE,
	.column = COL(MODE),
	.kind = PIB_LIMIT_ENUM_RANGE,
	.min = PIB_TEST_QUEUE_MODE_FIFO,
	.max = PIB_TEST_QUEUE_MODE_FAIR},
    {.cls = QUEUE, .column = COL(MODE), .kind = PIB_LIMIT_ENUM, .min = PIB_TEST_QUEUE_MODE_RANDOM},
    {.cls = QUEUE,
	.column = COL(MARKS),
	.kind = PIB_LIMIT_BITS,
	.octets = {(const uint8_t *)"\xc0", 1}},
    {.cls = QUEUE,
	.column = COL(RATE),
	.kind = PIB_LIMIT_RANGE,
	.min = 1,
	.max = (int64_t)0x8000000000000001},
    {.cls = QUEUE, .column = COL(NOTE), .kind = PIB_LIMIT_UNSUPPORTED},
    {.cls = &pib_test_port_class, .kind = PIB_LIMIT_NOTIFY},
};
static const struct pib_limits limits = {limit, sizeof limit / sizeof limit[0]};

static struct pib_schema *schema;

static void setup(void)
{
	const struct pib_module *const all[] = {&pib_framework_pib_module, &pib_test_pib_module};

	schema = pib_schema_new(all, 2);
	ck_assert_ptr_nonnull(schema);
}

static void teardown(void)
{
	pib_schema_free(schema);
}

static struct pib_test_queue good(uint32_t id, const char *name)
{
	return (struct pib_test_queue) {
	    .id = id,
	    .name = {(const uint8_t *)name, (uint32_t)strlen(name)},
	    .weight = 10,
	    .colour = 1,
	    .mode = PIB_TEST_QUEUE_MODE_FIFO,
	    .marks = {(const uint8_t *)"\x80", 1},
	    .rate = 5,
	    .note = {(const uint8_t *)"ignored", 7},
	};
}

static void expect(
    const struct pib_limits *l, const struct pib_test_queue *q, uint16_t cperr, uint16_t column)
{
	struct pib_fault f = {0};
	int rc = pib_limits_judge(l, QUEUE, q, &f);

	ck_assert_int_eq(rc, cperr != 0 ? -1 : 0);
	ck_assert_uint_eq(f.cperr, cperr);
	ck_assert_uint_eq(f.sub, column);
}

/* The same answers from the table and from what a PDP reads in the rows. */
static void judge_all(const struct pib_limits *l)
{
	struct pib_test_queue q = good(1, "abc");

	expect(l, &q, 0, 0);
	q.name.len = 1;
	expect(l, &q, PIB_CPERR_VALUE_SUP, COL(NAME));
	q = good(1, "abcde");
	expect(l, &q, PIB_CPERR_MAX_LENGTH, COL(NAME));
	q = good(1, "abc");
	for (uint32_t w = 1; w <= 101; w++) {
		bool in = (w >= 10 && w <= 20 && w != 15) || w == 100;

		q.weight = w;
		expect(l, &q, in ? 0 : PIB_CPERR_VALUE_SUP, in ? 0 : COL(WEIGHT));
	}
	q = good(1, "abc");
	q.mode = PIB_TEST_QUEUE_MODE_FAIR;
	expect(l, &q, 0, 0);
	q.mode = PIB_TEST_QUEUE_MODE_STRICT;
	expect(l, &q, PIB_CPERR_ENUM_SUP, COL(MODE));
	q.mode = PIB_TEST_QUEUE_MODE_RANDOM;
	expect(l, &q, 0, 0);
	q.marks = (struct pib_octets) {(const uint8_t *)"\xc0", 1};
	expect(l, &q, 0, 0);
	q.marks = (struct pib_octets) {(const uint8_t *)"\x20", 1};
	expect(l, &q, PIB_CPERR_VALUE_SUP, COL(MARKS));
	q = good(1, "abc");
	q.rate = 0x8000000000000001;
	expect(l, &q, 0, 0);
	q.rate++;
	expect(l, &q, PIB_CPERR_VALUE_SUP, COL(RATE));
	pib_row_set_null(&pib_test_queue_class.col[COL(RATE) - 1], &q);
	expect(l, &q, 0, 0);
	ck_assert_uint_eq(pib_limits_rows(l, QUEUE), 3);
	ck_assert_uint_eq(pib_limits_rows(l, &pib_test_use_class), SIZE_MAX);
}

START_TEST(limits_judge)
{
	judge_all(&limits);
}
END_TEST

struct told {
	struct pib_limit limit[20];
	size_t count;
	uint32_t rows;
	uint8_t epd[40][200];
};

/* Over the wire and back, as a PDP has it. */
static void tell(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct told *t = arg;
	struct pib_frwk_comp_limits back;
	struct pib_fault f;
	struct buf epd;
	bool surplus;

	ck_assert_ptr_eq(cls, &pib_frwk_comp_limits_class);
	ck_assert_uint_eq(instance, ++t->rows);
	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	ck_assert_uint_le(epd.len, sizeof t->epd[0]);
	memcpy(t->epd[t->rows], epd.data, epd.len);
	ck_assert_int_eq(pib_epd_decode(cls, t->epd[t->rows], epd.len, &back, &surplus, &f), 0);
	ck_assert_uint_eq(back.prid, instance);
	ck_assert_int_eq(pib_limits_take(schema, &back, t->limit, 20, &t->count), 0);
	buf_clear(&epd);
}

START_TEST(limits_told_and_read)
{
	static struct told t;
	struct pib_limits read = {t.limit, 0};

	pib_limits_put(&limits, tell, &t);
	ck_assert_uint_eq(t.rows, 14);
	ck_assert_uint_eq(t.count, limits.count - 1); /* all but the unsupported column */
	read.count = t.count;
	judge_all(&read);
}
END_TEST

/* The example of RFC 3318: SrcPrefixLength only 24, Protocol 10..20. */
START_TEST(limits_of_the_rfc)
{
	static const struct pib_limit filter[] = {
	    {.cls = &pib_frwk_ip_filter_class,
		.column = PIB_FRWK_IP_FILTER_COL_SRC_PREFIX_LENGTH,
		.kind = PIB_LIMIT_VALUE,
		.min = 24},
	    {.cls = &pib_frwk_ip_filter_class,
		.column = PIB_FRWK_IP_FILTER_COL_PROTOCOL,
		.kind = PIB_LIMIT_RANGE,
		.min = 10,
		.max = 20},
	};
	const struct pib_limits l = {filter, 2};
	struct pib_frwk_ip_filter row = {.src_prefix_length = 24, .protocol = 21};
	struct pib_fault f;
	size_t bad;

	ck_assert_int_eq(pib_limits_check(&l, &bad), 0);
	ck_assert_int_eq(pib_limits_judge(&l, &pib_frwk_ip_filter_class, &row, &f), -1);
	ck_assert_uint_eq(f.sub, PIB_FRWK_IP_FILTER_COL_PROTOCOL);
	row.protocol = 20;
	ck_assert_int_eq(pib_limits_judge(&l, &pib_frwk_ip_filter_class, &row, &f), 0);
	row.src_prefix_length = 32;
	ck_assert_int_eq(pib_limits_judge(&l, &pib_frwk_ip_filter_class, &row, &f), -1);
	ck_assert_uint_eq(f.sub, PIB_FRWK_IP_FILTER_COL_SRC_PREFIX_LENGTH);
}
END_TEST

START_TEST(limits_checked)
{
	static const struct pib_limit wrong[] = {
	    {.cls = QUEUE, .column = COL(ID), .kind = PIB_LIMIT_VALUE},
	    {.cls = QUEUE, .column = COL(NAME), .kind = PIB_LIMIT_RANGE},
	    {.cls = QUEUE, .column = COL(WEIGHT), .kind = PIB_LIMIT_ENUM},
	    {.cls = QUEUE, .column = COL(WEIGHT), .kind = PIB_LIMIT_LENGTH},
	    {.cls = QUEUE, .column = COL(NAME), .kind = PIB_LIMIT_BITS},
	    {.cls = QUEUE, .column = COL(NAME), .kind = PIB_LIMIT_UNSUPPORTED}, /* compliance */
	    {.cls = QUEUE, .column = 9, .kind = PIB_LIMIT_VALUE},
	    {.cls = &pib_test_cap_class, .column = 2, .kind = PIB_LIMIT_OCTETS},
	};
	size_t bad;

	ck_assert_int_eq(pib_limits_check(&limits, &bad), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		const struct pib_limits one = {&wrong[i], 1};

		ck_assert_msg(pib_limits_check(&one, &bad) == -1, "%zu", i);
	}
}
END_TEST

START_TEST(limits_support)
{
	uint8_t out[PIB_SUPPORT_MAX];

	/* neither the deprecated column 4 nor the unsupported 8 */
	ck_assert_uint_eq(pib_limits_support(&limits, QUEUE, out), 1);
	ck_assert_uint_eq(out[0], 0xee);
	ck_assert_uint_eq(pib_limits_support(&limits, &pib_frwk_ip_filter_class, out), 2);
	ck_assert(out[0] == 0xff && out[1] == 0xf0);
}
END_TEST

static int put(struct pib_txn *t, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct buf epd;
	int rc;

	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	rc = pib_txn_install_row(t, cls, instance, epd.data, epd.len);
	buf_clear(&epd);
	return rc;
}

/* A store keeps them: column, space, unsupported column, and nothing of a refused transaction. */
START_TEST(row67_store_names_the_limited_column)
{
	static const char *const names[] = {"aa", "bb", "cc", "dd"};
	struct pib_store *store = pib_store_new(schema, PIB_INSTALL, 100);
	struct pib_test_port port = {.id = 1};
	struct pib_test_queue q = good(1, "abc");
	const struct pib_fault *f;
	struct pib_txn *t;

	pib_store_limit(store, &limits);
	t = pib_txn_begin(store);
	q.weight = 15;
	ck_assert_int_eq(put(t, QUEUE, 1, &q), -1);
	ck_assert_int_eq(put(t, &pib_test_port_class, 1, &port), -1);
	ck_assert_uint_eq(pib_txn_faults(t, &f), 2);
	ck_assert(f[0].cperr == PIB_CPERR_VALUE_SUP && f[0].sub == COL(WEIGHT) &&
		  f[0].cls == QUEUE && f[0].instance == 1 && f[0].prid_len > 0);
	ck_assert(f[1].cperr == PIB_CPERR_NOTIFY_ONLY && f[1].sub == 0);
	pib_txn_abort(t);

	for (uint32_t i = 0; i < 4; i++) {
		t = pib_txn_begin(store);
		q = good(i + 1, names[i]);
		ck_assert_int_eq(put(t, QUEUE, i + 1, &q), 0);
		ck_assert_int_eq(pib_txn_check(t), i < 3 ? 0 : -1);
		pib_txn_faults(t, &f);
		if (i == 3)
			ck_assert_uint_eq(f->cperr, PIB_CPERR_SPACE);
		pib_txn_commit(t);
	}
	ck_assert_uint_eq(pib_store_count(store, QUEUE), 3);
	ck_assert(pib_row_null(
	    &pib_test_queue_class.col[COL(NOTE) - 1], pib_store_find(store, QUEUE, 1)->data));
	pib_store_free(store);
}
END_TEST

/* --- roles ------------------------------------------------------------------------------------ */

static struct pib_octets text(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

START_TEST(row90_role_grammar)
{
	static const struct {
		const char *combo;
		bool told, installed;
	} cases[] = {
	    {"", true, true},
	    {"a", true, true},
	    {"a+b", true, true},
	    {"Backbone_interface+web-server+x.1", true, true},
	    {"B+a", true, true}, /* upper case is first in ASCII */
	    {"abcdefghijklmnopqrstuvwxyzabcde", true, true},
	    {"abcdefghijklmnopqrstuvwxyzabcdef", false, false},
	    {"*", false, true},
	    {"*+a+b", false, true},
	    {"b+a", false, false},
	    {"a+B", false, false},
	    {"a+a", false, false},
	    {"a++b", false, false},
	    {"+a", false, false},
	    {"a+", false, false},
	    {"+", false, false},
	    {"a+*", false, false},
	    {"*+*", false, false},
	    {"*+b+a", false, false},
	    {"eth*+a+b", false, false},
	    {"1a", false, false},
	    {"_a", false, false},
	    {"a b", false, false},
	    {"a\xc3\xa9", false, false},
	};
	char longest[300];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ck_assert_msg(pib_role_valid(text(cases[i].combo), false) == cases[i].told,
		    "%s told", cases[i].combo);
		ck_assert_msg(pib_role_valid(text(cases[i].combo), true) == cases[i].installed,
		    "%s installed", cases[i].combo);
	}
	ck_assert(!pib_role_valid((struct pib_octets) {(const uint8_t *)"a\0", 2}, true));
	for (size_t i = 0; i < 255; i++) /* eight of 31 letters each: 255 octets */
		longest[i] = (char)(i % 32 == 31 ? '+' : i % 32 == 0 ? 'a' + (int)(i / 32) : 'x');
	longest[255] = '\0';
	ck_assert(pib_role_valid(text(longest), false));
	strcpy(longest + 224, "i+j+k+l+m+n+o+p+q+r+s+t+u+v+w+x+y"); /* 257 */
	ck_assert(!pib_role_valid(text(longest), false));
}
END_TEST

START_TEST(row90_role_matching)
{
	static const struct {
		const char *policy, *roles;
		bool match;
	} cases[] = {
	    {"", "", true},
	    {"", "a", false},
	    {"a", "", false},
	    {"a+b", "a+b", true},
	    {"a+b", "a+b+c", false},
	    {"a", "A", false},
	    {"*", "", true},
	    {"*", "a+b", true},
	    {"*+A+B", "A+B+R1", true},
	    {"*+A+B", "A+R1", false},
	    {"*+b+e+g", "a+b+c+e+f+g", true},
	    {"*+b+e+g", "a+b+c+e+f", false},
	    {"*+ab", "a+b", false},
	    {"*+a", "ab", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ck_assert_msg(
		    pib_role_match(text(cases[i].policy), text(cases[i].roles)) == cases[i].match,
		    "%s for %s", cases[i].policy, cases[i].roles);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pib_limit");
	TCase *t = tcase_create("limit");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, limits_judge);
	tcase_add_test(t, limits_told_and_read);
	tcase_add_test(t, limits_of_the_rfc);
	tcase_add_test(t, limits_checked);
	tcase_add_test(t, limits_support);
	tcase_add_test(t, row67_store_names_the_limited_column);
	tcase_add_test(t, row90_role_grammar);
	tcase_add_test(t, row90_role_matching);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
