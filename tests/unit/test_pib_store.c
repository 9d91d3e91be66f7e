/*
 * test_pib_store.c - transactions on the row store: what one DEC may do, what it
 * may not, that a refused one leaves no trace, and that its cost is its own.  A
 * naive model that knows nothing but the descriptors judges random transactions.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_store.h"
#include "tests/unit/pib_gen.h"

static struct pib_schema *schema;
static struct pib_store *store;
static struct pib_txn *txn;

static void setup(void)
{
	schema = gen_schema();
	store = pib_store_new(schema, PIB_INSTALL, 1000);
	ck_assert_ptr_nonnull(store);
}

static void teardown(void)
{
	pib_store_free(store);
	pib_schema_free(schema);
}

static void begin(void)
{
	txn = pib_txn_begin(store);
	ck_assert_ptr_nonnull(txn);
}

static int put(const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct buf prid, epd;
	int rc;

	buf_init(&prid, 0);
	buf_init(&epd, 0);
	pib_prid_put(&prid, cls, instance);
	pib_epd_put(&epd, cls, row);
	rc = pib_txn_install(txn, prid.data, prid.len, epd.data, epd.len);
	buf_clear(&prid);
	buf_clear(&epd);
	return rc;
}

static int drop(const struct pib_class *cls, uint32_t instance)
{
	struct buf prid;
	int rc;

	buf_init(&prid, 0);
	if (instance != 0)
		pib_prid_put(&prid, cls, instance);
	else
		pib_pprid_put(&prid, cls);
	rc = pib_txn_remove(txn, prid.data, prid.len);
	buf_clear(&prid);
	return rc;
}

static const char *faults_text(void)
{
	static char text[4096];
	const struct pib_fault *f;
	size_t n = pib_txn_faults(txn, &f);
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && at < 3500; i++) {
		pib_fault_print(&f[i], text + at, sizeof text - at);
		at = strlen(text);
		at += (size_t)snprintf(
		    text + at, sizeof text - at, "%s; ", f[i].warning ? " (w)" : "");
	}
	return text;
}

static void commit(size_t changes)
{
	const struct pib_change *c;

	ck_assert_msg(pib_txn_check(txn) == 0, "%s", faults_text());
	ck_assert_uint_eq(pib_txn_changes(txn, &c), changes);
	pib_txn_commit(txn);
}

/* The transaction fails with exactly this fault first; then it is undone. */
static void refused(const struct pib_class *cls, uint32_t instance, uint16_t cperr, uint16_t sub)
{
	const struct pib_fault *f = NULL;

	ck_assert_int_eq(pib_txn_check(txn), -1);
	ck_assert_uint_ge(pib_txn_faults(txn, &f), 1);
	ck_assert_msg(f->cls == cls && f->instance == instance && f->cperr == cperr &&
			  f->sub == sub && !f->warning,
	    "%s", faults_text());
	pib_txn_abort(txn);
}

/* --- rows ------------------------------------------------------------------------- */

static int put_proposal(uint32_t id, uint32_t tag, uint32_t order)
{
	struct pib_ce_vpn_proposal r = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = id, .tag = tag,
	    .order = order, .encr = 12, .encr_key_bits = 256, .integ = 14, .replay_window = 32};

	return put(&pib_ce_vpn_proposal_class, id, &r);
}

static int put_vpn(uint32_t id, uint8_t vpn_id, uint32_t tag)
{
	const uint8_t octets[7] = {0, 0, 1, 0, 0, 0, vpn_id};
	struct pib_ce_vpn r = {PIB_CE_VPN_DEFAULTS, .id = id, .vpn_id = {octets, 7},
	    .name = {octets + 6, 1}, .member = 100 + id, .role = 1, .mode = 1, .keying = 1,
	    .proposals = tag, .local_addr_type = 1, .local_addr = {octets, 4}, .non_vpn_traffic = 1,
	    .relay = 2};

	return put(&pib_ce_vpn_class, id, &r);
}

static int put_peer(uint32_t id, uint32_t vpn, const char *name)
{
	struct pib_ce_vpn_peer r = {PIB_CE_VPN_PEER_DEFAULTS, .id = id, .vpn = vpn,
	    .name = {(const uint8_t *)name, (uint32_t)strlen(name)}, .role = 2, .addr_type = 1,
	    .addr = {(const uint8_t *)"\x0a\x00\x00\x01", 4}};

	return put(&pib_ce_vpn_peer_class, id, &r);
}

static int put_prefix(uint32_t id, uint32_t vpn, uint32_t peer)
{
	const uint8_t addr[4] = {10, (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
	struct pib_ce_vpn_peer_prefix r = {.id = id,
	    .vpn = vpn,
	    .peer = peer,
	    .addr_type = 1,
	    .addr = {addr, 4},
	    .prefix_length = 32};

	return put(&pib_ce_vpn_peer_prefix_class, id, &r);
}

static int put_filter(uint32_t id, int32_t negation)
{
	struct pib_frwk_base_filter r = {.prid = id, .negation = negation};

	return put(&pib_frwk_base_filter_class, id, &r);
}

static int put_ilabel(uint32_t id, const char *label)
{
	struct pib_frwk_i_label_filter r = {
	    .i_label = {(const uint8_t *)label, (uint32_t)strlen(label)}};

	return put(&pib_frwk_i_label_filter_class, id, &r);
}

/* Proposal 1 (tag 5), VPN 1, peers 10 "a" and 11 "b", prefix 20 behind 10. */
static void put_small_vpn(void)
{
	begin();
	put_prefix(20, 1, 10);
	put_peer(10, 1, "a");
	put_peer(11, 1, "b");
	put_vpn(1, 1, 5);
	put_proposal(1, 5, 0);
	commit(5);
}

/* --- a dump to compare ---------------------------------------------------------------- */

static void dump_row(void *arg, const struct pib_row *r)
{
	struct buf *b = arg;

	pib_prid_put(b, r->cls, r->instance);
	buf_put_u32(b, r->epd_len);
	buf_put(b, r->epd, r->epd_len);
}

/* Who refers to what must come back too, whatever the order. */
static void sum_referrer(void *arg, const struct pib_row *r)
{
	uint64_t *sum = arg;

	*sum += (uint64_t)r->instance * 2654435761U;
}

static void dump(struct buf *b)
{
	buf_init(b, 0);
	pib_store_each(store, NULL, dump_row, b);
	for (size_t i = 0; i < pib_schema_count(schema); i++) {
		const struct pib_class *cls = pib_schema_class(schema, i);

		buf_put_u64(b, pib_store_count(store, cls));
		for (uint8_t k = 0; k < cls->col_count; k++) {
			for (uint32_t to = 0; to < 24; to++) {
				uint64_t sum = 0;

				pib_store_referrers(
				    store, cls, &cls->col[k], to, sum_referrer, &sum);
				buf_put_u64(b, sum);
			}
		}
	}
	ck_assert(!b->failed);
}

static void expect_dump(struct buf *before)
{
	struct buf now;

	dump(&now);
	ck_assert_uint_eq(now.len, before->len);
	ck_assert_mem_eq(now.data, before->data, now.len);
	buf_clear(&now);
	buf_clear(before);
}

/* --- one thing at a time ---------------------------------------------------------------- */

START_TEST(test_references_in_any_order)
{
	const struct pib_row *r;

	put_small_vpn();
	ck_assert_uint_eq(pib_store_count(store, NULL), 5);
	r = pib_store_find(store, &pib_ce_vpn_peer_class, 10);
	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(((const struct pib_ce_vpn_peer *)r->data)->vpn, 1);
	ck_assert_ptr_null(pib_store_find(store, &pib_ce_vpn_peer_class, 12));
}
END_TEST

START_TEST(row92_reference_unknown)
{
	put_small_vpn();
	begin();
	put_peer(12, 2, "c");
	refused(&pib_ce_vpn_peer_class, 12, PIB_CPERR_REFERENCE, PIB_CE_VPN_PEER_COL_VPN);
	begin();
	put_vpn(2, 2, 6);
	refused(&pib_ce_vpn_class, 2, PIB_CPERR_REFERENCE, PIB_CE_VPN_COL_PROPOSALS);
	begin(); /* 0 only where the attribute says so */
	put_prefix(21, 0, 0);
	refused(
	    &pib_ce_vpn_peer_prefix_class, 21, PIB_CPERR_REFERENCE, PIB_CE_VPN_PEER_PREFIX_COL_VPN);
	begin();
	put_prefix(21, 1, 0);
	commit(1);
}
END_TEST

START_TEST(row92_deleted_in_ref)
{
	put_small_vpn();
	begin();
	drop(&pib_ce_vpn_peer_class, 10);
	refused(&pib_ce_vpn_peer_class, 10, PIB_CPERR_DELETED_IN_REF, 0);
	begin(); /* with its referrer */
	drop(&pib_ce_vpn_peer_class, 10);
	drop(&pib_ce_vpn_peer_prefix_class, 20);
	commit(2);
	begin(); /* the last proposal of a list in use */
	drop(&pib_ce_vpn_proposal_class, 1);
	refused(&pib_ce_vpn_proposal_class, 1, PIB_CPERR_DELETED_IN_REF, 0);
	begin(); /* moved to another list */
	put_proposal(1, 6, 0);
	refused(&pib_ce_vpn_proposal_class, 1, PIB_CPERR_DELETED_IN_REF, 0);
	begin(); /* replaced by another row of the list */
	drop(&pib_ce_vpn_proposal_class, 1);
	put_proposal(2, 5, 0);
	commit(2);
	begin(); /* the referrer points elsewhere at the end */
	put_proposal(3, 7, 0);
	put_vpn(1, 1, 7);
	drop(&pib_ce_vpn_proposal_class, 2);
	commit(3);
}
END_TEST

START_TEST(row93_uniqueness_at_the_end)
{
	put_small_vpn();
	begin();
	put_peer(12, 1, "a");
	refused(&pib_ce_vpn_peer_class, 12, PIB_CPERR_VALUE, PIB_CE_VPN_PEER_COL_VPN);
	begin(); /* two names change places */
	put_peer(10, 1, "b");
	put_peer(11, 1, "a");
	commit(2);
	begin(); /* one takes what another gives up, and one takes that row's */
	put_peer(12, 1, "a");
	put_peer(11, 1, "c");
	commit(2);
	begin();
	drop(&pib_ce_vpn_peer_class, 12);
	put_peer(13, 1, "a");
	commit(2);
}
END_TEST

START_TEST(row55_removes_come_first)
{
	const struct pib_change *c;

	put_small_vpn();
	begin(); /* whatever the order, an install wins */
	put_peer(10, 1, "new");
	drop(&pib_ce_vpn_peer_class, 10);
	commit(1);
	ck_assert_ptr_nonnull(pib_store_find(store, &pib_ce_vpn_peer_class, 10));
	begin(); /* all of a class, and one of them again */
	drop(&pib_ce_vpn_peer_class, 0);
	drop(&pib_ce_vpn_peer_prefix_class, 0);
	put_peer(11, 1, "b");
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_txn_changes(txn, &c), 2); /* 11 stays as it is */
	pib_txn_commit(txn);
	ck_assert_uint_eq(pib_store_count(store, &pib_ce_vpn_peer_class), 1);
}
END_TEST

START_TEST(row59_remove_unknown_warns)
{
	const struct pib_fault *f;

	put_small_vpn();
	begin();
	ck_assert_int_eq(drop(&pib_ce_vpn_peer_class, 99), 0);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_txn_faults(txn, &f), 1);
	ck_assert(
	    f->warning && f->cperr == PIB_CPERR_INSTANCE && f->instance == 99 && f->prid_len > 0);
	pib_txn_commit(txn);
	begin(); /* a class without rows is no fault */
	ck_assert_int_eq(drop(&pib_ce_vpn_peer_ack_class, 0), 0);
	ck_assert_uint_eq(pib_txn_faults(txn, &f), 0);
	pib_txn_abort(txn);
}
END_TEST

START_TEST(row96_notify_not_installable)
{
	struct pib_ce_vpn_site site = {PIB_CE_VPN_SITE_DEFAULTS, .id = 1};
	struct pib_store *at_pdp;

	begin();
	ck_assert_int_eq(put(&pib_ce_vpn_site_class, 1, &site), -1);
	refused(&pib_ce_vpn_site_class, 1, PIB_CPERR_NOTIFY_ONLY, 0);
	begin();
	ck_assert_int_eq(drop(&pib_ce_vpn_site_class, 1), -1);
	refused(&pib_ce_vpn_site_class, 1, PIB_CPERR_NOTIFY_ONLY, 0);
	at_pdp = pib_store_new(schema, PIB_NOTIFY, 10);
	txn = pib_txn_begin(at_pdp);
	ck_assert_int_eq(put(&pib_ce_vpn_site_class, 1, &site), 0);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	pib_txn_commit(txn);
	pib_store_free(at_pdp);
}
END_TEST

START_TEST(test_index_disagrees)
{
	struct pib_frwk_base_filter r = {.prid = 2, .negation = 1};

	begin();
	ck_assert_int_eq(put(&pib_frwk_base_filter_class, 1, &r), -1);
	refused(&pib_frwk_base_filter_class, 1, PIB_CPERR_VALUE, 1);
}
END_TEST

START_TEST(row94_extension_goes_with_base)
{
	begin();
	put_ilabel(1, "x");
	refused(&pib_frwk_i_label_filter_class, 1, PIB_CPERR_INSTANCE, 0);
	begin();
	put_ilabel(1, "x");
	put_filter(1, 1);
	commit(2);
	begin(); /* alone */
	drop(&pib_frwk_i_label_filter_class, 1);
	commit(1);
	begin();
	put_ilabel(1, "x");
	commit(1);
	begin(); /* an update of the base leaves it */
	put_filter(1, 2);
	commit(1);
	ck_assert_uint_eq(pib_store_count(store, NULL), 2);
	begin(); /* goes with the base, and not back with it */
	drop(&pib_frwk_base_filter_class, 1);
	put_filter(1, 1);
	commit(2);
	ck_assert_uint_eq(pib_store_count(store, NULL), 1);
	begin();
	put_ilabel(1, "x");
	commit(1);
	begin(); /* base removed, extension installed */
	drop(&pib_frwk_base_filter_class, 1);
	put_ilabel(1, "y");
	refused(&pib_frwk_i_label_filter_class, 1, PIB_CPERR_INSTANCE, 0);
	begin(); /* even as it was */
	drop(&pib_frwk_base_filter_class, 1);
	put_ilabel(1, "x");
	refused(&pib_frwk_i_label_filter_class, 1, PIB_CPERR_INSTANCE, 0);
	begin();
	drop(&pib_frwk_base_filter_class, 0);
	commit(2);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
}
END_TEST

/* UNIQUENESS of an extension includes the base's negation. */
START_TEST(row93_uniqueness_with_base)
{
	struct buf before;

	begin();
	put_filter(1, 1);
	put_ilabel(1, "x");
	put_filter(2, 2);
	put_ilabel(2, "x");
	commit(4);
	dump(&before);
	begin(); /* only the base changes, and makes its extension a duplicate */
	put_filter(2, 1);
	refused(&pib_frwk_i_label_filter_class, 2, PIB_CPERR_VALUE, 1);
	expect_dump(&before);
	begin(); /* both at once is fine */
	put_filter(2, 1);
	put_filter(1, 2);
	commit(2);
	begin(); /* and the index knows */
	put_filter(3, 1);
	put_ilabel(3, "x");
	refused(&pib_frwk_i_label_filter_class, 3, PIB_CPERR_VALUE, 1);
}
END_TEST

START_TEST(row84_transient_never_stored)
{
	struct pib_frwk_error r = {.prid = 1, .code = 2, .prc = {(const uint8_t *)"", 1}};
	const struct pib_change *c;

	begin();
	ck_assert_int_eq(put(&pib_frwk_error_class, 1, &r), 0);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_txn_changes(txn, &c), 1);
	ck_assert(c->before == NULL && c->after->cls == &pib_frwk_error_class);
	ck_assert_uint_eq(((const struct pib_frwk_error *)c->after->data)->code, 2);
	pib_txn_commit(txn);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
	begin();
	put(&pib_frwk_error_class, 1, &r);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	pib_txn_abort(txn);
}
END_TEST

START_TEST(test_space)
{
	struct buf before;

	pib_store_free(store);
	store = pib_store_new(schema, PIB_INSTALL, 3);
	begin();
	for (uint32_t i = 1; i <= 3; i++)
		put_filter(i, 1);
	commit(3);
	dump(&before);
	begin();
	put_filter(4, 1);
	refused(&pib_frwk_base_filter_class, 4, PIB_CPERR_SPACE, 0);
	begin();
	for (uint32_t i = 1; i <= 4; i++) /* staged rows are bounded too */
		put_filter(i, 2);
	refused(&pib_frwk_base_filter_class, 4, PIB_CPERR_SPACE, 0);
	expect_dump(&before);
	begin();
	drop(&pib_frwk_base_filter_class, 2);
	put_filter(4, 1);
	commit(2);
}
END_TEST

START_TEST(test_changes)
{
	const struct pib_change *c;
	const struct pib_row *kept;

	put_small_vpn();
	kept = pib_store_find(store, &pib_ce_vpn_peer_class, 11);
	begin();
	put_peer(11, 1, "b"); /* as it is */
	put_peer(10, 1, "z");
	put_peer(12, 1, "c");
	drop(&pib_ce_vpn_peer_prefix_class, 20);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	ck_assert_uint_eq(pib_txn_changes(txn, &c), 3);
	ck_assert(c[0].before != NULL && c[0].after != NULL && c[0].after->instance == 10);
	ck_assert(c[1].before == NULL && c[1].after->instance == 12);
	ck_assert(c[2].before->instance == 20 && c[2].after == NULL);
	ck_assert_ptr_eq(pib_store_find(store, &pib_ce_vpn_peer_class, 12), c[1].after);
	ck_assert_ptr_null(pib_store_find(store, &pib_ce_vpn_peer_prefix_class, 20));
	pib_txn_commit(txn);
	ck_assert_ptr_eq(pib_store_find(store, &pib_ce_vpn_peer_class, 11), kept);
}
END_TEST

START_TEST(row58_faults_found_together)
{
	struct pib_fault kernel = {.cperr = PIB_CPERR_SPECIFIC, .sub = 1};
	const struct pib_fault *f;

	begin();
	ck_assert_int_eq(pib_txn_install(txn, (const uint8_t *)"\x06\x02\x2b\x06", 4, NULL, 0), -1);
	ck_assert_int_eq(pib_txn_remove(txn, (const uint8_t *)"\x04", 1), -1);
	put_filter(1, 7);
	put_peer(12, 2, "c");
	put_prefix(20, 2, 3);
	ck_assert_int_eq(pib_txn_check(txn), -1);
	ck_assert_uint_eq(pib_txn_faults(txn, &f), 6);
	ck_assert_uint_eq(f[0].cperr, PIB_CPERR_UNKNOWN_PRC);
	ck_assert_uint_eq(f[1].gperr, PIB_GPERR_UNKNOWN_TAG);
	ck_assert(f[2].cperr == PIB_CPERR_VALUE && f[2].sub == 2 && f[2].instance == 1);
	pib_txn_commit(txn); /* is an abort */
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);

	begin(); /* what the kernel says comes after the check */
	put_filter(1, 1);
	ck_assert_int_eq(pib_txn_check(txn), 0);
	pib_fault_row(&kernel, &pib_frwk_base_filter_class, 1);
	pib_txn_fault(txn, &kernel);
	ck_assert_int_eq(pib_txn_check(txn), -1);
	pib_txn_abort(txn);
	ck_assert_uint_eq(pib_store_count(store, NULL), 0);
}
END_TEST

/* Warnings never hide what made it fail. */
START_TEST(test_many_faults)
{
	const struct pib_fault *f;
	size_t n, errors = 0;

	begin();
	for (uint32_t i = 1; i < 500; i++)
		drop(&pib_ce_vpn_peer_class, i);
	put_filter(1, 7);
	ck_assert_int_eq(pib_txn_check(txn), -1);
	n = pib_txn_faults(txn, &f);
	for (size_t i = 0; i < n; i++)
		errors += !f[i].warning;
	ck_assert(n <= 128 && errors == 1);
	pib_txn_abort(txn);
}
END_TEST

static void count_row(void *arg, const struct pib_row *r)
{
	size_t *n = arg;

	(void)r;
	(*n)++;
}

START_TEST(test_referrers)
{
	const struct pib_class *cls = &pib_ce_vpn_peer_class;
	size_t n = 0;

	put_small_vpn();
	pib_store_referrers(store, cls, &cls->col[PIB_CE_VPN_PEER_COL_VPN - 1], 1, count_row, &n);
	ck_assert_uint_eq(n, 2);
	n = 0;
	cls = &pib_ce_vpn_proposal_class;
	pib_store_referrers(
	    store, cls, &cls->col[PIB_CE_VPN_PROPOSAL_COL_TAG - 1], 5, count_row, &n);
	ck_assert_uint_eq(n, 1); /* the list itself */
	n = 0;
	cls = &pib_ce_vpn_class;
	pib_store_referrers(store, cls, &cls->col[PIB_CE_VPN_COL_PROPOSALS - 1], 5, count_row, &n);
	ck_assert_uint_eq(n, 1); /* who uses it */
}
END_TEST

/* --- random transactions against a model ---------------------------------------------------- */

#define INSTANCES 4 /* per class */
#define CLASSES	  64

struct model_row {
	bool there;
	void *row;
	struct buf epd;
};
/* [class][instance]; the one a transaction works on, and the one it came from. */
typedef struct model_row model[CLASSES][INSTANCES + 1];
static model was, is;

static void model_put(struct model_row *m, const struct pib_class *cls, const void *row)
{
	if (m->row == NULL)
		m->row = gen_row(cls);
	memcpy(m->row, row, cls->row_size);
	m->there = true;
	buf_reset(&m->epd);
	pib_epd_put(&m->epd, cls, row);
}

static void model_copy(model to, model from)
{
	for (size_t i = 0; i < pib_schema_count(schema); i++) {
		for (uint32_t k = 1; k <= INSTANCES; k++) {
			if (from[i][k].there)
				model_put(&to[i][k], pib_schema_class(schema, i), from[i][k].row);
			else
				to[i][k].there = false;
		}
	}
}

static void model_remove(size_t cls, uint32_t instance)
{
	is[cls][instance].there = false;
	for (size_t i = 0; i < pib_schema_count(schema); i++)
		if (pib_schema_class(schema, i)->base == pib_schema_class(schema, cls))
			is[i][instance].there = false;
}

static bool model_has_tag(const struct pib_column *c, int64_t tag)
{
	size_t cls = pib_schema_index(schema, c->tag_class);

	for (uint32_t k = 1; k <= INSTANCES; k++)
		if (is[cls][k].there &&
		    pib_row_number(&c->tag_class->col[c->tag_column - 1], is[cls][k].row) == tag)
			return true;
	return false;
}

static bool model_refs_ok(const struct pib_class *cls, const void *row)
{
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];
		int64_t n = pib_row_number(c, row);

		if (c->refers != NULL && n == 0 && !c->ref_zero)
			return false;
		if (c->refers != NULL && n != 0 &&
		    (n > INSTANCES || !is[pib_schema_index(schema, c->refers)][n].there))
			return false;
		if (c->tag_class != NULL && n != 0 && !model_has_tag(c, n))
			return false;
	}
	return true;
}

static bool model_same_value(size_t cls, uint8_t unique, uint32_t a, uint32_t b)
{
	const struct pib_class *k = pib_schema_class(schema, cls);
	size_t owner = unique & PIB_UNIQUE_BASE ? pib_schema_index(schema, k->base) : cls;
	const struct pib_column *c =
	    &pib_schema_class(schema, owner)->col[(unique & ~PIB_UNIQUE_BASE) - 1];
	struct pib_octets x, y;

	if (!is[owner][a].there || !is[owner][b].there)
		return false; /* no base: judged elsewhere */
	x = pib_row_octets(c, is[owner][a].row);
	y = pib_row_octets(c, is[owner][b].row);
	return pib_row_number(c, is[owner][a].row) == pib_row_number(c, is[owner][b].row) &&
	       x.len == y.len && (x.len == 0 || memcmp(x.p, y.p, x.len) == 0);
}

static bool model_unique(size_t cls, uint32_t a)
{
	const struct pib_class *k = pib_schema_class(schema, cls);

	for (uint32_t b = 1; b <= INSTANCES; b++) {
		bool all = k->unique_count > 0 && b != a && is[cls][b].there;

		for (uint8_t i = 0; i < k->unique_count && all; i++)
			all = model_same_value(cls, k->unique[i], a, b);
		if (all)
			return false;
	}
	return true;
}

static bool model_ok(void)
{
	for (size_t i = 0; i < pib_schema_count(schema); i++) {
		const struct pib_class *cls = pib_schema_class(schema, i);

		for (uint32_t k = 1; k <= INSTANCES; k++) {
			if (!is[i][k].there)
				continue;
			if (!model_refs_ok(cls, is[i][k].row) || !model_unique(i, k) ||
			    (cls->base != NULL &&
				!is[pib_schema_index(schema, cls->base)][k].there))
				return false;
		}
	}
	return true;
}

static void expect_model(model m)
{
	size_t rows = 0;

	for (size_t i = 0; i < pib_schema_count(schema); i++) {
		const struct pib_class *cls = pib_schema_class(schema, i);

		for (uint32_t k = 1; k <= INSTANCES; k++) {
			const struct pib_row *r = pib_store_find(store, cls, k);

			ck_assert_msg((r != NULL) == m[i][k].there, "%s.%u", cls->name, k);
			if (r == NULL)
				continue;
			rows++;
			ck_assert_uint_eq(r->epd_len, m[i][k].epd.len);
			ck_assert_mem_eq(r->epd, m[i][k].epd.data, r->epd_len);
			ck_assert(gen_same(cls, r->data, m[i][k].row));
		}
	}
	ck_assert_uint_eq(pib_store_count(store, NULL), rows);
}

/* Removes and installs in random order go to the store, removes first to the model. */
static void random_transaction(struct gen *g)
{
	uint32_t ops = 1 + gen_below(g, gen_below(g, 4) == 0 ? 24 : 4);
	struct {
		size_t cls;
		uint32_t instance;
		void *row;
	} op[24];

	for (uint32_t i = 0; i < ops; i++) {
		const struct pib_class *cls;

		do {
			op[i].cls = gen_below(g, (uint32_t)pib_schema_count(schema));
			cls = pib_schema_class(schema, op[i].cls);
		} while (!(cls->access & PIB_INSTALL) || cls->transient);
		op[i].instance = gen_below(g, 12) == 0 ? 0 : 1 + gen_below(g, INSTANCES);
		op[i].row = NULL;
		if (op[i].instance != 0 && gen_below(g, 4) != 0) {
			op[i].row = gen_row(cls);
			gen_random(g, cls, op[i].row, op[i].instance, INSTANCES);
			ck_assert_int_eq(put(cls, op[i].instance, op[i].row), 0);
		} else {
			ck_assert_int_eq(drop(cls, op[i].instance), 0);
			for (uint32_t k = 1; k <= INSTANCES; k++)
				if (op[i].instance == 0 || op[i].instance == k)
					model_remove(op[i].cls, k);
		}
	}
	for (uint32_t i = 0; i < ops; i++) {
		if (op[i].row != NULL)
			model_put(&is[op[i].cls][op[i].instance],
			    pib_schema_class(schema, op[i].cls), op[i].row);
		free(op[i].row);
	}
}

static void clear_model(model m)
{
	for (size_t i = 0; i < CLASSES; i++) {
		for (size_t k = 0; k <= INSTANCES; k++) {
			free(m[i][k].row);
			buf_clear(&m[i][k].epd);
		}
	}
}

START_TEST(row56_random_transactions_all_or_nothing)
{
	struct gen g = {(uint64_t)_i * 1000 + 1};
	int good = 0, bad = 0;

	for (int n = 0; n < 1500; n++) {
		struct buf before;
		bool ok;

		dump(&before);
		begin();
		random_transaction(&g);
		ok = model_ok();
		ck_assert_msg((pib_txn_check(txn) == 0) == ok, "model says %s: %s",
		    ok ? "good" : "bad", faults_text());
		if (ok && gen_below(&g, 8) != 0) {
			expect_model(is);
			pib_txn_commit(txn);
			expect_model(is);
			model_copy(was, is);
			buf_clear(&before);
			good++;
		} else {
			pib_txn_abort(txn);
			model_copy(is, was);
			expect_model(was);
			expect_dump(&before);
			bad++;
		}
	}
	ck_assert_msg(good > 200 && bad > 200, "%d good, %d bad", good, bad);
	clear_model(was);
	clear_model(is);
}
END_TEST

/* --- cost ---------------------------------------------------------------------------------------
 */

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Fastest of many one-row transactions: a new prefix behind a peer, and away with it. */
static double one_row_cost(void)
{
	double best = 1e9;

	for (int i = 0; i < 300; i++) {
		double start = now_s();

		begin();
		put_prefix(0x00ffff00, 1, 10);
		commit(1);
		begin();
		drop(&pib_ce_vpn_peer_prefix_class, 0x00ffff00);
		commit(1);
		/* and one that has to be refused: 100,000 rows refer to this one */
		begin();
		drop(&pib_ce_vpn_peer_class, 10);
		refused(&pib_ce_vpn_peer_class, 10, PIB_CPERR_DELETED_IN_REF, 0);
		start = now_s() - start;
		best = start < best ? start : best;
	}
	return best;
}

START_TEST(test_cost)
{
	double small, large;

	pib_store_free(store);
	store = pib_store_new(schema, PIB_INSTALL, 200000);
	put_small_vpn();
	small = one_row_cost();
	begin();
	for (uint32_t i = 1; i <= 100000; i++)
		put_prefix(100 + i, 1, 10);
	commit(100000);
	large = one_row_cost();
	/* a scan would make it some 10,000 times as much; caches may make it a few times */
	ck_assert_msg(large < small * 20 + 20e-6, "6 rows: %.1f us, 100,006 rows: %.1f us",
	    small * 1e6, large * 1e6);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pib_store");
	TCase *t = tcase_create("store");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, test_references_in_any_order);
	tcase_add_test(t, row92_reference_unknown);
	tcase_add_test(t, row92_deleted_in_ref);
	tcase_add_test(t, row93_uniqueness_at_the_end);
	tcase_add_test(t, row55_removes_come_first);
	tcase_add_test(t, row59_remove_unknown_warns);
	tcase_add_test(t, row96_notify_not_installable);
	tcase_add_test(t, test_index_disagrees);
	tcase_add_test(t, row94_extension_goes_with_base);
	tcase_add_test(t, row93_uniqueness_with_base);
	tcase_add_test(t, row84_transient_never_stored);
	tcase_add_test(t, test_space);
	tcase_add_test(t, test_changes);
	tcase_add_test(t, row58_faults_found_together);
	tcase_add_test(t, test_many_faults);
	tcase_add_test(t, test_referrers);
	tcase_add_loop_test(t, row56_random_transactions_all_or_nothing, 0, 6);
	tcase_add_test(t, test_cost);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
