/*
 * test_pib_evolve.c - what a store does when PDP and PEP are of different ages, and with
 * classes that belong together (RFC 3084 2.2, RFC 3159 7.3-7.9), on TEST-PIB, a module
 * outside libpib.  And that decoding allocates nothing.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/pib/test_pib.h"

static struct pib_schema *schema;
static struct pib_store *store;
static struct pib_txn *txn;

static void setup(void)
{
	const struct pib_module *const all[] = {&pib_framework_pib_module, &pib_test_pib_module};

	schema = pib_schema_new(all, 2);
	store = pib_store_new(schema, PIB_INSTALL, 1000);
	ck_assert_ptr_nonnull(store);
	txn = pib_txn_begin(store);
}

static void teardown(void)
{
	pib_store_free(store);
	pib_schema_free(schema);
}

static int put(const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct buf epd;
	int rc;

	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	rc = pib_txn_install_row(txn, cls, instance, epd.data, epd.len);
	buf_clear(&epd);
	return rc;
}

/* The transaction holds, with so many warnings; the next one is open. */
static const struct pib_fault *holds(size_t warnings)
{
	static struct pib_fault first;
	const struct pib_fault *f;

	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_txn_faults(txn, &f), warnings);
	for (size_t i = 0; i < warnings; i++)
		ck_assert(f[i].warning);
	if (warnings > 0)
		first = f[0];
	pib_txn_commit(txn);
	txn = pib_txn_begin(store);
	return &first;
}

/* It fails with this fault first; nothing of it is left, and the next one is open. */
static void fails(const struct pib_class *cls, uint32_t instance, uint16_t cperr, uint16_t sub)
{
	const struct pib_fault *f;
	char text[200];

	ck_assert_int_eq(pib_txn_check(txn), -1);
	ck_assert_uint_ge(pib_txn_faults(txn, &f), 1);
	ck_assert_msg(f->cls == cls && f->instance == instance && f->cperr == cperr &&
			  f->sub == sub && !f->warning,
	    "%s", pib_fault_print(f, text, sizeof text));
	pib_txn_abort(txn);
	txn = pib_txn_begin(store);
}

static struct pib_test_queue queue(uint32_t id, const char *name)
{
	return (struct pib_test_queue) {
	    .id = id,
	    .name = {(const uint8_t *)name, (uint32_t)strlen(name)},
	    .weight = 20,
	    .colour = PIB_TEST_QUEUE_COLOUR_BLUE,
	    .mode = PIB_TEST_QUEUE_MODE_FAIR,
	    .marks = {(const uint8_t *)"\x40", 1},
	    .rate = 7,
	    .note = {(const uint8_t *)"n", 1},
	};
}

static void put_queue(uint32_t id, const char *name)
{
	struct pib_test_queue q = queue(id, name);

	ck_assert_int_eq(put(&pib_test_queue_class, id, &q), 0);
}

static int put_use(uint32_t id, const char *roles, uint32_t order, uint32_t to)
{
	struct pib_test_use u = {.id = id,
	    .roles = {(const uint8_t *)roles, (uint32_t)strlen(roles)},
	    .order = order,
	    .queue = to};

	return put(&pib_test_use_class, id, &u);
}

static const void *data_of(const struct pib_class *cls, uint32_t instance)
{
	const struct pib_row *r = pib_store_find(store, cls, instance);

	return r != NULL ? r->data : NULL;
}

/* --- rows and columns of another age ------------------------------------------------------ */

START_TEST(row62_deprecated_class_ignored)
{
	struct pib_test_old old = {.id = 1, .value = 1};
	struct pib_test_gone gone = {.id = 1, .value = 1};
	const struct pib_fault *f;

	ck_assert_int_eq(put(&pib_test_old_class, 1, &old), 0);
	put_queue(1, "a");
	f = holds(1);
	ck_assert(f->cls == &pib_test_old_class && f->instance == 1);
	ck_assert_uint_eq(f->cperr, PIB_CPERR_UNKNOWN_PRC);
	ck_assert_ptr_null(pib_store_find(store, &pib_test_old_class, 1));
	ck_assert_ptr_nonnull(pib_store_find(store, &pib_test_queue_class, 1));
	ck_assert_int_eq(put(&pib_test_gone_class, 1, &gone), 0);
	holds(1);
}
END_TEST

START_TEST(row65_null_of_a_deprecated_column)
{
	struct pib_test_queue q = queue(1, "a");
	const struct pib_test_queue *at;

	pib_row_set_null(&pib_test_queue_class.col[PIB_TEST_QUEUE_COL_COLOUR - 1], &q);
	pib_row_set_null(&pib_test_queue_class.col[PIB_TEST_QUEUE_COL_WEIGHT - 1], &q);
	ck_assert_int_eq(put(&pib_test_queue_class, 1, &q), 0);
	holds(0);
	at = data_of(&pib_test_queue_class, 1);
	/* not given, though it had a default; a current one takes its default */
	ck_assert(pib_row_null(&pib_test_queue_class.col[PIB_TEST_QUEUE_COL_COLOUR - 1], at));
	ck_assert_uint_eq(at->weight, 10);
	pib_row_set_null(&pib_test_queue_class.col[PIB_TEST_QUEUE_COL_MODE - 1], &q);
	ck_assert_int_eq(put(&pib_test_queue_class, 1, &q), -1);
	fails(&pib_test_queue_class, 1, PIB_CPERR_VALUE, PIB_TEST_QUEUE_COL_MODE);
}
END_TEST

START_TEST(row63_surplus_columns_warn)
{
	struct pib_test_queue q = queue(1, "a");
	const struct pib_fault *f;
	struct buf epd;

	buf_init(&epd, 0);
	pib_epd_put(&epd, &pib_test_queue_class, &q);
	buf_put(&epd, "\x42\x01\x05", 3);
	pib_txn_install_row(txn, &pib_test_queue_class, 1, epd.data, epd.len);
	f = holds(1);
	ck_assert_ptr_eq(f->cls, &pib_test_queue_class);
	buf_clear(&epd);
}
END_TEST

/* --- classes that belong together ----------------------------------------------------------- */

START_TEST(row94_augmenting_row_comes_and_goes)
{
	struct pib_test_queue_red red = {.min = 1, .max = 2};
	const struct pib_test_queue_red *at;

	put_queue(1, "a"); /* a PDP that does not know testQueueRed */
	put_queue(2, "b");
	put(&pib_test_queue_red_class, 2, &red);
	holds(0);
	at = data_of(&pib_test_queue_red_class, 1);
	ck_assert(at != NULL && at->min == 5 && at->max == 50);
	at = data_of(&pib_test_queue_red_class, 2);
	ck_assert(at != NULL && at->min == 1 && at->max == 2);
	pib_txn_remove_row(txn, &pib_test_queue_red_class, 2); /* alone: back to the defaults */
	holds(0);
	at = data_of(&pib_test_queue_red_class, 2);
	ck_assert(at != NULL && at->min == 5);
	pib_txn_remove_row(txn, &pib_test_queue_class, 2);
	holds(0);
	ck_assert_ptr_null(data_of(&pib_test_queue_red_class, 2));
	put(&pib_test_queue_red_class, 3, &red); /* without its base */
	fails(&pib_test_queue_red_class, 3, PIB_CPERR_INSTANCE, 0);
	put_queue(1, "a"); /* as it is: nothing changes */
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_store_count(store, NULL), 2);
	pib_txn_abort(txn);
	txn = pib_txn_begin(store);
}
END_TEST

START_TEST(row94_augmenting_row_has_no_default)
{
	struct pib_test_port port = {.id = 1};
	struct pib_test_port_speed speed = {.rate = 9};

	put(&pib_test_port_class, 1, &port);
	fails(&pib_test_port_speed_class, 1, PIB_CPERR_TOO_FEW, 1);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
	put(&pib_test_port_speed_class, 1, &speed);
	put(&pib_test_port_class, 1, &port);
	holds(0);
	pib_txn_remove_row(txn, &pib_test_port_speed_class, 1);
	fails(&pib_test_port_speed_class, 1, PIB_CPERR_TOO_FEW, 1);
	ck_assert_uint_eq(pib_store_count(store, NULL), 2);
	pib_txn_remove_row(txn, &pib_test_port_class, 1);
	holds(0);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
}
END_TEST

/* An extension may be extended; all goes with the base, and none is there without. */
START_TEST(row94_extension_of_an_extension)
{
	struct pib_test_deep deep = {.value = 1};
	struct pib_test_deeper deeper = {.value = 2};

	put_queue(1, "a");
	put_use(1, "lan", 1, 1);
	put(&pib_test_deeper_class, 1, &deeper);
	fails(&pib_test_deeper_class, 1, PIB_CPERR_INSTANCE, 0);
	put_queue(1, "a");
	put_use(1, "lan", 1, 1);
	put(&pib_test_deeper_class, 1, &deeper);
	put(&pib_test_deep_class, 1, &deep);
	holds(0);
	ck_assert_uint_eq(pib_store_count(store, NULL), 5);
	pib_txn_remove_row(txn, &pib_test_use_class, 1);
	holds(0);
	ck_assert_uint_eq(pib_store_count(store, NULL), 2);
}
END_TEST

START_TEST(row92_reference_both_ways)
{
	put_queue(1, "a");
	put_use(1, "lan", 1, 2);
	fails(&pib_test_use_class, 1, PIB_CPERR_REFERENCE, PIB_TEST_USE_COL_QUEUE);
	put_use(1, "lan", 1, 1);
	put_queue(1, "a");
	holds(0);
	pib_txn_remove_row(txn, &pib_test_queue_class, 1);
	fails(&pib_test_queue_class, 1, PIB_CPERR_DELETED_IN_REF, 0);
	pib_txn_remove_row(txn, &pib_test_queue_class, 1); /* both in one, in either order */
	pib_txn_remove_row(txn, &pib_test_use_class, 1);
	holds(0);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
}
END_TEST

/*
 * Two policies for one interface conflict when they have the same order for the same roles:
 * UNIQUENESS says so, and judges the end of the transaction.
 */
START_TEST(row91_conflicting_policies_refused)
{
	put_queue(1, "a");
	put_queue(2, "b");
	put_use(1, "lan+red", 1, 1);
	put_use(2, "lan+red", 2, 2);
	holds(0);
	put_use(3, "lan+red", 1, 2);
	fails(&pib_test_use_class, 3, PIB_CPERR_VALUE, PIB_TEST_USE_COL_ROLES);
	put_use(1, "lan+red", 2, 1); /* they change places */
	put_use(2, "lan+red", 1, 2);
	holds(0);
	put_use(3, "*+lan", 1, 2); /* other interfaces as well */
	holds(0);
}
END_TEST

START_TEST(row90_roles_in_rows)
{
	struct pib_test_cap cap = {.id = 1, .roles = {(const uint8_t *)"*+a", 3}};
	struct pib_store *told = pib_store_new(schema, PIB_NOTIFY, 10);

	put_queue(1, "a");
	ck_assert_int_eq(put_use(1, "*+a+b", 1, 1), 0);
	holds(0);
	put_use(2, "b+a", 1, 1);
	fails(&pib_test_use_class, 2, PIB_CPERR_VALUE, PIB_TEST_USE_COL_ROLES);
	pib_txn_abort(txn);
	txn = pib_txn_begin(told); /* a PEP never says it */
	ck_assert_int_eq(put(&pib_test_cap_class, 1, &cap), -1);
	cap.roles.p++;
	cap.roles.p++;
	cap.roles.len = 1;
	ck_assert_int_eq(put(&pib_test_cap_class, 1, &cap), 0);
	pib_txn_abort(txn);
	pib_store_free(told);
	txn = pib_txn_begin(store);
}
END_TEST

/* --- access and errors of one's own --------------------------------------------------------- */

START_TEST(row96_only_install_is_installable)
{
	struct pib_test_count count = {.id = 1, .octets = 1};
	struct pib_test_cap cap = {.id = 1};
	struct pib_store *told = pib_store_new(schema, PIB_NOTIFY, 10);

	put(&pib_test_count_class, 1, &count);
	fails(&pib_test_count_class, 1, PIB_CPERR_NOTIFY_ONLY, 0);
	put(&pib_test_cap_class, 1, &cap);
	fails(&pib_test_cap_class, 1, PIB_CPERR_NOTIFY_ONLY, 0);
	pib_txn_abort(txn);
	txn = pib_txn_begin(told); /* nor does a request carry what is for reports */
	ck_assert_int_eq(put(&pib_test_count_class, 1, &count), -1);
	ck_assert_int_eq(put(&pib_test_cap_class, 1, &cap), 0);
	pib_txn_abort(txn);
	pib_store_free(told);
	txn = pib_txn_begin(store);
}
END_TEST

START_TEST(row95_install_errors)
{
	struct pib_fault f = {.cperr = PIB_CPERR_SPECIFIC, .sub = PIB_TEST_QUEUE_ERR_BUSY};
	char text[100];

	ck_assert_uint_eq(PIB_TEST_QUEUE_ERR_NO_SUCH_QUEUE, 1);
	ck_assert_uint_eq(PIB_TEST_QUEUE_ERR_BUSY, 700);
	put_queue(1, "a");
	ck_assert_int_eq(pib_txn_check(txn), 0);
	pib_fault_row(&f, &pib_test_queue_class, 1);
	pib_txn_fault(txn, &f); /* what an enforcer does */
	ck_assert_str_eq(
	    pib_fault_print(&f, text, sizeof text), "testQueue.1: priSpecificError busy(700)");
	fails(&pib_test_queue_class, 1, 13, 700);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
}
END_TEST

/* --- what it costs --------------------------------------------------------------------------- */

static size_t allocations;
static size_t fail_at; /* the allocation that fails; 0: none */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	if (++allocations == fail_at)
		return NULL;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (++allocations == fail_at)
		return NULL;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	if (++allocations == fail_at)
		return NULL;
	return __real_realloc(p, n);
}

static void build_dec(struct buf *dec, uint32_t rows)
{
	struct pib_test_queue q = queue(0, "a");
	size_t msg = cops_msg_begin(dec, COPS_OP_DEC, false, PIB_TEST_PIB_SUBJECT_CATEGORY);
	size_t named, sub;

	cops_put_handle(dec, (const uint8_t *)"\0\0\0\1", 4);
	cops_put_u16x2(dec, COPS_C_CONTEXT, 1, COPS_R_CONFIG, 0);
	cops_put_u16x2(dec, COPS_C_DECISION, 1, COPS_CMD_INSTALL, 0);
	named = cops_named_open(dec, COPS_C_DECISION, 5);
	for (q.id = 1; q.id <= rows; q.id++) {
		sub = cops_sub_open(dec, COPS_S_PRID);
		pib_prid_put(dec, &pib_test_queue_class, q.id);
		cops_sub_close(dec, sub);
		sub = cops_sub_open(dec, COPS_S_EPD);
		pib_epd_put(dec, &pib_test_queue_class, &q);
		cops_sub_close(dec, sub);
	}
	cops_named_close(dec, named);
	cops_msg_end(dec, msg);
}

/*
 * From octets to rows: the message, its objects, their sub-objects, PRIDs and EPDs.  How many
 * rows come out as they went in; Check's own assertions would allocate.
 */
static uint32_t decode_dec(const struct buf *dec)
{
	struct pib_test_queue row;
	const struct pib_class *cls;
	struct cops_dec_iter decisions;
	struct cops_sub_iter subs;
	struct cops_decision d;
	struct cops_sub sub;
	struct cops_fault fault;
	struct cops_msg m;
	struct pib_fault f;
	uint32_t rows = 0, instance = 0;
	bool surplus;

	if (cops_msg_parse(&m, dec->data, dec->len, (uint32_t)dec->len, &fault) <= 0)
		return 0;
	cops_dec_iter_init(&decisions, &m);
	if (!cops_dec_iter_next(&decisions, &d))
		return 0;
	cops_sub_iter_init(&subs, &d.data);
	while (cops_sub_iter_next(&subs, &sub) == COPS_SUB_OK) {
		if (sub.s_num == COPS_S_PRID &&
		    pib_prid_parse(schema, sub.body, sub.len, &cls, &instance, &f) != 0)
			return 0;
		if (sub.s_num == COPS_S_EPD &&
		    pib_epd_decode(cls, sub.body, sub.len, &row, &surplus, &f) == 0)
			rows += row.id == instance;
	}
	return rows;
}

START_TEST(no_allocation_on_decode)
{
	size_t before, built, decoded;
	struct buf dec;
	uint32_t rows;

	buf_init(&dec, 0);
	before = allocations;
	build_dec(&dec, 100);
	built = allocations;
	rows = decode_dec(&dec);
	decoded = allocations;
	ck_assert_uint_gt(built, before); /* it does count */
	ck_assert_uint_eq(decoded, built);
	ck_assert_uint_eq(rows, 100);
	buf_clear(&dec);
}
END_TEST

struct content {
	uint64_t sum;
	uint32_t rows;
};

static void add_row(void *arg, const struct pib_row *r)
{
	struct content *c = arg;

	c->rows++;
	for (uint32_t i = 0; i < r->epd_len; i++)
		c->sum = c->sum * 31 + r->epd[i] + r->instance;
}

static struct content content(void)
{
	struct content c = {0, 0};

	pib_store_each(store, NULL, add_row, &c);
	return c;
}

/* Install, update and remove in one; octets are made beforehand. */
static int change_much(const struct buf *a, const struct buf *b)
{
	struct pib_txn *t = pib_txn_begin(store);
	int rc;

	if (t == NULL)
		return -1;
	pib_txn_install_row(t, &pib_test_queue_class, 1, a->data, a->len);
	pib_txn_install_row(t, &pib_test_queue_class, 3, b->data, b->len);
	pib_txn_remove_row(t, &pib_test_use_class, 1);
	pib_txn_remove_row(t, &pib_test_queue_class, 2);
	rc = pib_txn_check(t);
	if (rc == 0)
		pib_txn_commit(t);
	else
		pib_txn_abort(t);
	return rc;
}

/* Whichever allocation fails, all of the transaction happened or nothing of it. */
START_TEST(row57_no_half_state_without_memory)
{
	struct pib_test_queue q1 = queue(1, "c"), q3 = queue(3, "d");
	struct content before, now;
	struct buf a, b;
	size_t failed = 0;
	int rc;

	put_queue(1, "a");
	put_queue(2, "b");
	put_use(1, "lan", 1, 2);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	pib_txn_commit(txn);
	buf_init(&a, 0);
	buf_init(&b, 0);
	pib_epd_put(&a, &pib_test_queue_class, &q1);
	pib_epd_put(&b, &pib_test_queue_class, &q3);
	before = content();
	do {
		fail_at = allocations + ++failed;
		rc = change_much(&a, &b);
		fail_at = 0;
		now = content();
		if (rc != 0)
			ck_assert(now.rows == before.rows && now.sum == before.sum);
	} while (rc != 0);
	ck_assert_uint_gt(failed, 10);
	ck_assert_uint_eq(now.rows, 4); /* queues 1 and 3, and what augments them */
	buf_clear(&a);
	buf_clear(&b);
	txn = NULL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pib_evolve");
	TCase *t = tcase_create("evolve");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, row62_deprecated_class_ignored);
	tcase_add_test(t, row65_null_of_a_deprecated_column);
	tcase_add_test(t, row63_surplus_columns_warn);
	tcase_add_test(t, row94_augmenting_row_comes_and_goes);
	tcase_add_test(t, row94_augmenting_row_has_no_default);
	tcase_add_test(t, row94_extension_of_an_extension);
	tcase_add_test(t, row92_reference_both_ways);
	tcase_add_test(t, row91_conflicting_policies_refused);
	tcase_add_test(t, row90_roles_in_rows);
	tcase_add_test(t, row96_only_install_is_installable);
	tcase_add_test(t, row95_install_errors);
	tcase_add_test(t, no_allocation_on_decode);
	tcase_add_test(t, row57_no_half_state_without_memory);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
