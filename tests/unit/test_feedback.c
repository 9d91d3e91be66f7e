/*
 * test_feedback.c - usage feedback in virtual time: rows 97 to 100 of the conformance table and
 * what RFC 3571 2.2 says of suspending, resuming and failing over.  What is counted are
 * ceVpnProposal rows, because they need no others.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "pep/feedback.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define SELS  4
#define FIRST 1000 /* usage rows are numbered from here */

static const struct pib_module *const modules[] = {
    &pib_framework_pib_module, &pib_framework_feedback_pib_module, &pib_ce_vpn_pib_module};
static struct pib_schema *schema;
static struct pib_store *store;
static struct pep_feedback *fb;
static struct pep_usage counter[SELS + 1]; /* of proposal 1.. */
static bool blind;
static unsigned readings;

static int count(void *self, const struct pib_store *st,
    void (*put)(
	void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now),
    void *arg)
{
	(void)self, (void)st;
	readings++;
	if (blind)
		return -1;
	for (uint32_t i = 1; i <= SELS; i++)
		put(arg, &pib_ce_vpn_proposal_class, i, &counter[i]);
	return 0;
}

static const struct pep_usage_caps caps[] = {{&pib_ce_vpn_proposal_class,
    &pib_frwk_feedback_traffic_class, &pib_frwk_feedback_traffic_thres_class}};
static const struct pep_client client = {.client_type = 0x4001,
    .module = modules,
    .module_count = 3,
    .usage = caps,
    .usages = 1,
    .count = count};

/* ------------------------------------------------------------------ rows */

static struct pib_octets oid_row(const struct pib_class *cls, uint32_t instance, uint8_t oid[80])
{
	struct buf b;

	buf_init(&b, 0);
	pib_prid_put(&b, cls, instance);
	memcpy(oid, b.data + 2, b.len - 2);
	struct pib_octets o = {oid, (uint32_t)b.len - 2};
	buf_clear(&b);
	return o;
}

static int install(const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct pib_txn *t = pib_txn_begin(store);
	struct buf b;
	int rc;

	buf_init(&b, 0);
	if (row != NULL)
		pib_epd_put(&b, cls, row);
	if (row != NULL)
		ck_assert_int_eq(pib_txn_install_row(t, cls, instance, b.data, b.len), 0);
	else
		ck_assert_int_eq(pib_txn_remove_row(t, cls, instance), 0);
	buf_clear(&b);
	ck_assert_int_eq(pib_txn_check(t), 0);
	rc = pep_feedback_judge(fb, store, t);
	if (rc == 0) {
		pib_txn_commit(t);
	} else {
		const struct pib_fault *f;

		ck_assert_uint_eq(pib_txn_faults(t, &f), 1);
		ck_assert_uint_eq(f->cperr, PIB_CPERR_VALUE_SUP);
		rc = f->sub;
		pib_txn_abort(t);
	}
	return rc;
}

#define PERIODIC    0x80
#define THRESHOLD   0x40
#define CHANGE_ONLY 0x20

struct how {
	uint8_t flags;
	int32_t interval;
	uint32_t threshold; /* instance, 0 = none */
};

static int link_put(uint32_t id, uint32_t sel, struct how how)
{
	uint8_t s[80], t[80];
	const struct pib_class *usage = &pib_frwk_feedback_traffic_class;
	const struct pib_frwk_feedback_link row = {
	    .id = id,
	    .sel = oid_row(&pib_ce_vpn_proposal_class, sel, s),
	    .usage = {usage->ber, usage->ber_len},
	    .interval = how.interval == 0 ? 1 : how.interval,
	    .threshold = how.threshold != 0
			     ? oid_row(&pib_frwk_feedback_traffic_thres_class, how.threshold, t)
			     : (struct pib_octets) {(const uint8_t *)"", 1},
	    .flags = {&how.flags, 1},
	};

	return install(&pib_frwk_feedback_link_class, id, &row);
}

static void limit_put(uint32_t id, uint64_t packets, uint64_t octets)
{
	struct pib_frwk_feedback_traffic_thres row = {
	    .id = id, .packets = packets, .bytes = octets};

	if (packets == 0)
		row.null_mask |= 1 << (PIB_FRWK_FEEDBACK_TRAFFIC_THRES_COL_PACKETS - 1);
	if (octets == 0)
		row.null_mask |= 1 << (PIB_FRWK_FEEDBACK_TRAFFIC_THRES_COL_BYTES - 1);
	ck_assert_int_eq(install(&pib_frwk_feedback_traffic_thres_class, id, &row), 0);
}

static void list_put(uint32_t id, uint32_t tag, uint32_t link)
{
	const struct pib_frwk_feedback_action_list row = {.id = id, .tag = tag, .ref_id = link};

	ck_assert_int_eq(install(&pib_frwk_feedback_action_list_class, id, &row), 0);
}

static void action(int32_t indicator, uint32_t list)
{
	const struct pib_frwk_feedback_action a = {
	    .id = 1, .indicator = indicator, .specific_pri = list != 0 ? 1 : 2, .list = list};
	const struct pib_row row = {
	    .cls = &pib_frwk_feedback_action_class, .instance = 1, .data = &a};

	pep_feedback_action(fb, store, &row);
}

#define SUSPEND_ALL	PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SUSPEND_MONITORING_AND_REPORTS
#define SUSPEND_REPORTS PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SUSPEND_REPORTS
#define RESUME		PIB_FRWK_FEEDBACK_ACTION_INDICATOR_RESUME
#define SOLICIT		PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SOLICIT_REPORT

/* ------------------------------------------------------------------ reports */

static struct pib_frwk_feedback_traffic said[8];

static void parse(const struct buf *b, long rows)
{
	struct cops_fault fault;
	struct cops_obj_iter it;
	struct cops_sub_iter subs;
	struct cops_obj o;
	struct cops_sub s;
	struct cops_msg m;
	struct pib_fault f;
	const struct pib_class *cls = NULL;
	uint32_t instance = 0;
	bool surplus;
	long n = 0;

	ck_assert_int_eq(cops_msg_parse(&m, b->data, b->len, 1 << 20, &fault), (int)b->len);
	ck_assert_uint_eq(m.op, COPS_OP_RPT);
	ck_assert(!m.solicited);
	ck_assert_uint_eq(cops_obj_hi(&m.slot[COPS_SLOT_REPORT_TYPE]), COPS_RPT_ACCOUNTING);
	cops_si_iter_init(&it, &m);
	while (cops_si_iter_next(&it, &o)) {
		cops_sub_iter_init(&subs, &o);
		while (cops_sub_iter_next(&subs, &s) == COPS_SUB_OK) {
			if (s.s_num == COPS_S_PRID) {
				ck_assert_int_eq(
				    pib_prid_parse(schema, s.body, s.len, &cls, &instance, &f), 0);
				ck_assert_ptr_eq(cls, &pib_frwk_feedback_traffic_class);
				continue;
			}
			ck_assert_int_lt(n, 8);
			ck_assert_int_eq(
			    pib_epd_decode(cls, s.body, s.len, &said[n], &surplus, &f), 0);
			ck_assert_uint_eq(said[n++].id, instance);
		}
	}
	ck_assert_int_eq(n, rows);
}

static long report(enum pep_feedback_why why, int64_t now_ms)
{
	static const uint8_t handle[4] = {0, 0, 0, 1};
	struct buf b;
	long rows;

	buf_init(&b, 0);
	rows = pep_feedback_put(fb, store, why, handle, sizeof(handle), now_ms, &b);
	if (rows > 0)
		parse(&b, rows);
	else
		ck_assert_uint_eq(b.len, 0);
	buf_clear(&b);
	return rows;
}

static long due(int64_t now_ms)
{
	return report(PEP_FEEDBACK_DUE, now_ms);
}

static void traffic(uint32_t sel, uint64_t packets, uint64_t octets)
{
	counter[sel].packets += packets;
	counter[sel].octets += octets;
}

static void setup(void)
{
	schema = pib_schema_new(modules, 3);
	store = pib_store_new(schema, PIB_INSTALL, 1000);
	fb = pep_feedback_new(&client, NULL, FIRST);
	ck_assert_ptr_nonnull(fb);
	memset(counter, 0, sizeof(counter));
	blind = false;
	readings = 0;
	for (uint32_t i = 1; i <= SELS; i++) {
		const struct pib_ce_vpn_proposal row = {PIB_CE_VPN_PROPOSAL_DEFAULTS, .id = i,
		    .tag = 1, .order = i, .encr = 12, .encr_key_bits = 256, .integ = 14,
		    .replay_window = 32};

		traffic(i, 100, 10000); /* before anybody counts */
		ck_assert_int_eq(install(&pib_ce_vpn_proposal_class, i, &row), 0);
	}
}

static void teardown(void)
{
	pep_feedback_free(fb);
	pib_store_free(store);
	pib_schema_free(schema);
}

/* ------------------------------------------------------------------ a class of its own */

#define PEERS 3

static struct pib_ce_vpn_peer_status peer[PEERS]; /* peer 0: not there */
static struct pib_ce_vpn_peer_status heard[PEERS];
static long heard_rows;

static int own_rows(void *self, const struct pib_store *st, const struct pib_class *usage,
    uint32_t selected, void (*put)(void *arg, const struct pep_usage_row *row), void *arg)
{
	(void)self, (void)st;
	ck_assert_ptr_eq(usage, &pib_ce_vpn_peer_status_class);
	ck_assert_uint_eq(selected, 9);
	if (blind)
		return -1;
	for (uint32_t i = 0; i < PEERS; i++) {
		struct pib_ce_vpn_peer_status row = peer[i];

		if (row.peer != 0)
			put(arg, &(struct pep_usage_row) {.which = row.peer,
				     .state = (uint64_t)row.state << 32 | (uint32_t)row.why,
				     .row = &row});
	}
	return 0;
}

static const struct pep_usage_caps own_caps[] = {
    {&pib_ce_vpn_class, &pib_ce_vpn_peer_status_class, NULL}};
static const struct pep_client own_client = {.client_type = 0x4001,
    .module = modules,
    .module_count = 3,
    .usage = own_caps,
    .usages = 1,
    .usage_rows = own_rows};

static void hear(const struct buf *b)
{
	struct cops_sub_iter subs;
	struct cops_obj_iter it;
	struct cops_fault fault;
	struct cops_obj o;
	struct cops_sub s;
	struct cops_msg m;
	struct pib_fault f;
	bool surplus;

	ck_assert_int_eq(cops_msg_parse(&m, b->data, b->len, 1 << 20, &fault), (int)b->len);
	cops_si_iter_init(&it, &m);
	while (cops_si_iter_next(&it, &o)) {
		cops_sub_iter_init(&subs, &o);
		while (cops_sub_iter_next(&subs, &s) == COPS_SUB_OK) {
			if (s.s_num == COPS_S_PRID)
				continue;
			ck_assert_int_lt(heard_rows, PEERS);
			ck_assert_int_eq(pib_epd_decode(&pib_ce_vpn_peer_status_class, s.body,
					     s.len, &heard[heard_rows], &surplus, &f),
			    0);
			heard[heard_rows++].error = (struct pib_octets) {0};
		}
	}
}

static long own_due(int64_t now_ms)
{
	static const uint8_t handle[4] = {0, 0, 0, 1};
	struct buf b;
	long rows;

	heard_rows = 0;
	buf_init(&b, 0);
	rows = pep_feedback_put(fb, store, PEP_FEEDBACK_DUE, handle, sizeof(handle), now_ms, &b);
	if (rows > 0)
		hear(&b);
	buf_clear(&b);
	if (rows >= 0)
		ck_assert_int_eq(rows, heard_rows);
	return rows;
}

/* One link, interval 4 times 5 s, rows for peers 1 and 2 of VPN 9. */
static void own_setup(void)
{
	uint8_t s[80];
	const uint8_t flags = PERIODIC | CHANGE_ONLY;
	const struct pib_class *usage = &pib_ce_vpn_peer_status_class;
	struct pib_frwk_feedback_link row = {.id = 3,
	    .sel = oid_row(&pib_ce_vpn_class, 9, s),
	    .usage = {usage->ber, usage->ber_len},
	    .interval = 4,
	    .threshold = {(const uint8_t *)"", 1},
	    .flags = {&flags, 1}};

	pep_feedback_free(fb);
	fb = pep_feedback_new(&own_client, NULL, FIRST);
	memset(peer, 0, sizeof(peer));
	for (uint32_t i = 1; i < PEERS; i++)
		peer[i] = (struct pib_ce_vpn_peer_status) {
		    .peer = i, .state = PIB_CE_VPN_PEER_STATUS_STATE_UP, .why = 1};
	pep_feedback_open(fb, 5, 0);
	ck_assert_int_eq(install(&pib_frwk_feedback_link_class, 3, &row), 0);
	pep_feedback_rows(fb, store, 100);
}

/* ------------------------------------------------------------------ tests */

START_TEST(own_rows_when_they_change)
{
	own_setup();
	/* how things are, at the first multiple of the timer */
	ck_assert_int_eq(pep_feedback_next(fb, 100), 5000);
	ck_assert_int_eq(own_due(4999), 0);
	ck_assert_int_eq(own_due(5000), 2);
	ck_assert_uint_eq(heard[0].link_ref_id, 3);
	ck_assert_uint_eq(heard[0].peer + heard[1].peer, 3);
	ck_assert_uint_ne(heard[0].id, heard[1].id);
	/* counters wait for the interval, and what did not change is not said */
	peer[1].packets_in = 7;
	ck_assert_int_eq(pep_feedback_next(fb, 5001), 20000);
	pep_feedback_stir(fb, 6000);
	ck_assert_int_eq(own_due(10000), 0);
	ck_assert_int_eq(own_due(20000), 1);
	ck_assert_uint_eq(heard[0].packets_in, 7);
	ck_assert_int_eq(own_due(40000), 0);
	/* a state does not */
	peer[2].state = PIB_CE_VPN_PEER_STATUS_STATE_DOWN;
	peer[1].packets_in = 8;
	pep_feedback_stir(fb, 41000);
	pep_feedback_stir(fb, 44000);
	ck_assert_int_eq(pep_feedback_next(fb, 44000), 45000);
	ck_assert_int_eq(own_due(45000), 1);
	ck_assert_uint_eq(heard[0].peer, 2);
	ck_assert_int_eq(heard[0].state, PIB_CE_VPN_PEER_STATUS_STATE_DOWN);
	ck_assert_int_eq(own_due(60000), 1);
	ck_assert_uint_eq(heard[0].packets_in, 8);
}
END_TEST

START_TEST(own_rows_come_and_go)
{
	uint32_t id;

	own_setup();
	ck_assert_int_eq(own_due(5000), 2);
	id = heard[0].peer == 2 ? heard[0].id : heard[1].id;
	peer[2].peer = 0;
	ck_assert_int_eq(own_due(20000), 0);
	peer[2].peer = 2; /* counts anew, and another number says so */
	pep_feedback_stir(fb, 21000);
	ck_assert_int_eq(own_due(25000), 1);
	ck_assert_uint_gt(heard[0].id, id);
	/* what cannot be read now is not lost */
	peer[1].state = PIB_CE_VPN_PEER_STATUS_STATE_DOWN;
	pep_feedback_stir(fb, 26000);
	blind = true;
	ck_assert_int_eq(own_due(30000), -1);
	blind = false;
	ck_assert_int_ge(own_due(31000), 1);
}
END_TEST

START_TEST(own_rows_after_a_fail_over)
{
	own_setup();
	ck_assert_int_eq(own_due(5000), 2);
	pep_feedback_lost(fb);
	peer[1].state = PIB_CE_VPN_PEER_STATUS_STATE_DOWN;
	pep_feedback_stir(fb, 6000);
	pep_feedback_open(fb, 5, 100000);
	pep_feedback_stir(fb, 100000);
	ck_assert_int_eq(own_due(120000), 0); /* RFC 3571 2.2.6: not before "resume" */
	action(RESUME, 0);
	action(SOLICIT, 0);
	ck_assert_int_eq(own_due(121000), 2);
	action(SUSPEND_REPORTS, 0);
	peer[1].state = PIB_CE_VPN_PEER_STATUS_STATE_UP;
	pep_feedback_stir(fb, 122000);
	ck_assert_int_eq(own_due(160000), 0);
	/* AcctTimer 0: nothing unasked */
	pep_feedback_open(fb, 0, 200000);
	action(RESUME, 0);
	pep_feedback_stir(fb, 200000);
	ck_assert_int_eq(pep_feedback_next(fb, 200000), INT64_MAX);
	ck_assert_int_eq(own_due(300000), 0);
	action(SOLICIT, 0);
	ck_assert_int_eq(own_due(300001), 2);
}
END_TEST

START_TEST(row97_interval_times_timer)
{
	pep_feedback_open(fb, 60, 5000);
	ck_assert_int_eq(link_put(7, 1, (struct how) {.flags = PERIODIC, .interval = 2}), 0);
	pep_feedback_rows(fb, store, 5000);
	traffic(1, 3, 300);
	ck_assert_int_eq(pep_feedback_next(fb, 5000), 125000);
	ck_assert_int_eq(due(124999), 0);
	ck_assert_int_eq(due(125000), 1);
	ck_assert_uint_eq(said[0].link_ref_id, 7);
	ck_assert_uint_eq(said[0].id, FIRST);
	ck_assert_uint_eq(said[0].packet_count, 3); /* from zero, not from 100 */
	ck_assert_uint_eq(said[0].byte_count, 300);
	ck_assert_int_eq(pep_feedback_next(fb, 125000), 245000);
	ck_assert_int_eq(due(125000), 0);
	ck_assert_int_eq(due(250000), 1); /* late, but once */
	ck_assert_int_eq(pep_feedback_next(fb, 250000), 365000);
}
END_TEST

/* However links come, a handle reports no more often than the timer says. */
START_TEST(row97_spacing)
{
	int64_t last = -1;

	pep_feedback_open(fb, 10, 0);
	for (uint32_t i = 1; i <= SELS; i++) {
		ck_assert_int_eq(
		    link_put(i, i, (struct how) {.flags = PERIODIC, .interval = (int32_t)i}), 0);
		pep_feedback_rows(fb, store, (int64_t)i * 1700);
	}
	for (int64_t now = 0; now < 600000; now += 500) {
		if (pep_feedback_next(fb, now) > now || due(now) == 0)
			continue;
		ck_assert(last < 0 || now - last >= 10000);
		last = now;
	}
	ck_assert_int_ge(last, 590000);
}
END_TEST

START_TEST(row97_counters_not_to_be_read)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 0);
	blind = true;
	ck_assert_int_eq(due(10000), -1);
	blind = false;
	traffic(1, 1, 1);
	ck_assert_int_eq(due(10500), 1);
}
END_TEST

START_TEST(row98_change_only)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC | CHANGE_ONLY}), 0);
	pep_feedback_rows(fb, store, 0);
	ck_assert_int_eq(due(10000), 1);
	ck_assert_int_eq(due(20000), 0);
	ck_assert_int_eq(pep_feedback_next(fb, 20000), 30000);
	traffic(1, 1, 60);
	ck_assert_int_eq(due(30000), 1);
	ck_assert_int_eq(due(40000), 0);
	action(SOLICIT, 0);
	ck_assert_int_eq(pep_feedback_next(fb, 41000), 41000);
	ck_assert_int_eq(due(41000), 1); /* asked for: whatever changed */
	ck_assert_uint_eq(said[0].byte_count, 60);
}
END_TEST

START_TEST(row98_threshold)
{
	pep_feedback_open(fb, 10, 0);
	limit_put(1, 5, 0);
	limit_put(2, 0, 500);
	ck_assert_int_eq(
	    link_put(1, 1, (struct how) {.flags = PERIODIC | THRESHOLD, .threshold = 1}), 0);
	ck_assert_int_eq(
	    link_put(2, 2, (struct how) {.flags = PERIODIC | THRESHOLD, .threshold = 2}), 0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 4, 1000000);
	traffic(2, 1000000, 500);
	ck_assert_int_eq(due(10000), 0);
	traffic(1, 1, 1);
	ck_assert_int_eq(due(20000), 1); /* packets: when reached */
	ck_assert_uint_eq(said[0].link_ref_id, 1);
	traffic(2, 1, 1);
	ck_assert_int_eq(due(30000), 2); /* octets: when exceeded */
}
END_TEST

START_TEST(row98_both_must_hold)
{
	pep_feedback_open(fb, 10, 0);
	limit_put(1, 5, 0);
	ck_assert_int_eq(
	    link_put(
		1, 1, (struct how) {.flags = PERIODIC | THRESHOLD | CHANGE_ONLY, .threshold = 1}),
	    0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 1, 1);
	ck_assert_int_eq(due(10000), 0);
	traffic(1, 4, 4);
	ck_assert_int_eq(due(20000), 1);
	ck_assert_int_eq(due(30000), 0);
	traffic(1, 1, 1);
	ck_assert_int_eq(due(40000), 1);
}
END_TEST

START_TEST(row98_only_when_asked)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = 0}), 0);
	ck_assert_int_eq(link_put(2, 2, (struct how) {.flags = 0}), 0);
	list_put(1, 77, 2);
	pep_feedback_rows(fb, store, 0);
	ck_assert_int_eq(pep_feedback_next(fb, 0), INT64_MAX);
	ck_assert_int_eq(due(50000), 0);
	action(SOLICIT, 77);
	ck_assert_int_eq(due(50001), 1);
	ck_assert_uint_eq(said[0].link_ref_id, 2);
	action(SOLICIT, 0);
	ck_assert_int_eq(due(50002), 2);
	ck_assert_int_eq(due(50003), 0);
}
END_TEST

START_TEST(row99_final_report)
{
	pep_feedback_open(fb, 10, 0);
	limit_put(1, 1000, 0);
	ck_assert_int_eq(
	    link_put(1, 1, (struct how) {.flags = PERIODIC | THRESHOLD, .threshold = 1}), 0);
	ck_assert_int_eq(link_put(2, 2, (struct how) {.flags = 0}), 0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 2, 200);
	pep_feedback_sample(fb, store);
	blind = true; /* what was counted is gone */
	ck_assert_int_eq(report(PEP_FEEDBACK_FINAL, 3000), 2);
	ck_assert_uint_eq(said[0].packet_count, 2);
	pep_feedback_end(fb);
	ck_assert_int_eq(report(PEP_FEEDBACK_FINAL, 3000), 0);
	ck_assert_int_eq(pep_feedback_next(fb, 3000), INT64_MAX);
}
END_TEST

START_TEST(row100_timer_of_zero)
{
	pep_feedback_open(fb, 0, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 9, 900);
	ck_assert_int_eq(pep_feedback_next(fb, 0), INT64_MAX);
	ck_assert_int_eq(due(1000000000), 0);
	action(SOLICIT, 0);
	ck_assert_int_eq(due(1000000000), 1);
	ck_assert_uint_eq(said[0].packet_count, 9);
}
END_TEST

/* RFC 3571 2.2.5 */
START_TEST(suspend_and_resume)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 1, 10);
	action(SUSPEND_REPORTS, 0);
	traffic(1, 1, 10);
	ck_assert_int_eq(due(20000), 0);
	action(RESUME, 0);
	ck_assert_int_eq(due(30000), 1);
	ck_assert_uint_eq(said[0].packet_count, 2);
	action(SUSPEND_ALL, 0);
	traffic(1, 50, 5000);
	ck_assert_int_eq(due(40000), 0);
	action(SOLICIT, 0);
	ck_assert_int_eq(due(41000), 1);
	ck_assert_uint_eq(said[0].packet_count, 2); /* not counted */
	action(RESUME, 0);
	traffic(1, 1, 10);
	ck_assert_int_eq(due(50000), 1);
	ck_assert_uint_eq(said[0].packet_count, 3);
	ck_assert_uint_eq(said[0].byte_count, 30);
}
END_TEST

/* RFC 3483 10: counted meanwhile, told after resume. */
START_TEST(fail_over)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 0);
	pep_feedback_lost(fb);
	traffic(1, 4, 40);
	ck_assert_int_eq(pep_feedback_next(fb, 50000), INT64_MAX);
	pep_feedback_open(fb, 10, 100000);
	ck_assert_int_eq(due(120000), 0);
	action(RESUME, 0);
	ck_assert_int_eq(due(130000), 1);
	ck_assert_uint_eq(said[0].packet_count, 4);
	ck_assert_uint_eq(said[0].id, FIRST);
}
END_TEST

/* A counter that began anew takes nothing away; another selection counts from zero as another row.
 */
START_TEST(never_less)
{
	pep_feedback_open(fb, 10, 0);
	ck_assert_int_eq(link_put(1, 1, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 0);
	traffic(1, 5, 500);
	ck_assert_int_eq(due(10000), 1);
	counter[1] = (struct pep_usage) {.packets = 2, .octets = 20};
	ck_assert_int_eq(due(20000), 1);
	ck_assert_uint_eq(said[0].packet_count, 7);
	ck_assert_uint_eq(said[0].byte_count, 520);
	counter[1] = (struct pep_usage) {UINT64_MAX, UINT64_MAX};
	ck_assert_int_eq(due(30000), 1);
	ck_assert_uint_eq(said[0].byte_count, UINT64_MAX);
	ck_assert_int_eq(link_put(1, 2, (struct how) {.flags = PERIODIC}), 0);
	pep_feedback_rows(fb, store, 30000);
	ck_assert_int_eq(due(40000), 1);
	ck_assert_uint_eq(said[0].packet_count, 0);
	ck_assert_uint_eq(said[0].id, FIRST + 1);
	ck_assert_int_eq(install(&pib_frwk_feedback_link_class, 1, NULL), 0);
	pep_feedback_rows(fb, store, 40000);
	ck_assert(!pep_feedback_any(fb));
}
END_TEST

START_TEST(links_judged)
{
	uint8_t s[80];
	const uint8_t flags = PERIODIC;
	struct pib_frwk_feedback_link row = {.id = 1,
	    .sel = oid_row(&pib_ce_vpn_proposal_class, 1, s),
	    .usage = {pib_frwk_feedback_if_traffic_class.ber,
		pib_frwk_feedback_if_traffic_class.ber_len},
	    .interval = 1,
	    .threshold = {(const uint8_t *)"", 1},
	    .flags = {&flags, 1}};

	ck_assert_int_eq(
	    install(&pib_frwk_feedback_link_class, 1, &row), PIB_FRWK_FEEDBACK_LINK_COL_USAGE);
	row.usage = (struct pib_octets) {
	    pib_frwk_feedback_traffic_class.ber, pib_frwk_feedback_traffic_class.ber_len};
	row.interval = -1;
	ck_assert_int_eq(
	    install(&pib_frwk_feedback_link_class, 1, &row), PIB_FRWK_FEEDBACK_LINK_COL_INTERVAL);
	row.interval = 1;
	limit_put(1, 1, 1);
	row.sel = oid_row(&pib_frwk_feedback_traffic_thres_class, 1, s);
	ck_assert_int_eq(
	    install(&pib_frwk_feedback_link_class, 1, &row), PIB_FRWK_FEEDBACK_LINK_COL_SEL);
	row.threshold = oid_row(&pib_ce_vpn_proposal_class, 1, (uint8_t[80]) {0});
	row.sel = row.threshold;
	ck_assert_int_eq(
	    install(&pib_frwk_feedback_link_class, 1, &row), PIB_FRWK_FEEDBACK_LINK_COL_THRESHOLD);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {row97_interval_times_timer, row97_spacing,
	    row97_counters_not_to_be_read, row98_change_only, row98_threshold, row98_both_must_hold,
	    row98_only_when_asked, row99_final_report, row100_timer_of_zero, suspend_and_resume,
	    fail_over, never_less, links_judged, own_rows_when_they_change, own_rows_come_and_go,
	    own_rows_after_a_fail_over};
	Suite *s = suite_create("feedback");
	TCase *tc = tcase_create("feedback");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
