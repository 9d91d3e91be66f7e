/*
 * test_pep_contexts.c - several request-states of one client-type, which one is in force, how
 * long without a PDP, synchronisation, and usage reports at the agent: rows 20 to 22, 28, 70
 * to 78, 85 to 88 and 97 to 100 of the conformance table.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/unit/pep_pdp.h"

/* A DEC and its report. */
static struct seen *decide(uint32_t h, struct installs in)
{
	struct seen *s;

	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->handle, h);
	return s;
}

static void decide_well(uint32_t h, struct installs in)
{
	ck_assert_uint_eq(decide(h, in)->report, COPS_RPT_SUCCESS);
}

/* Answer a REQ for h with a NULL decision. */
static void null_dec(struct pdp *p, uint32_t h)
{
	send_dec(p, h, true, NULL, NULL);
	ck_assert_uint_eq(expect(p, COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
}

/* The PDP opens another one; its handle. */
static uint32_t another(uint32_t h)
{
	struct seen *s;
	uint32_t other;

	send_dec(&pdp[0], h, false, install_state, NULL);
	s = expect(&pdp[0], COPS_OP_RPT); /* the report comes first */
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->handle, h);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(s->full);
	ck_assert(!s->active);
	ck_assert_uint_eq(s->incarnation_len, 0);
	ck_assert_uint_gt(s->supports, 10);
	other = s->handle;
	ck_assert_uint_gt(other, h);
	null_dec(&pdp[0], other);
	return other;
}

static bool held(uint32_t instance)
{
	return pib_store_find(
		   pep_agent_store(agent, &client), &pib_ce_vpn_proposal_class, instance) != NULL;
}

/* The next REQ, past connections that end. */
static struct seen *req_again(void)
{
	for (unsigned i = 0; i < 300; i++) {
		while (pdp[0].at < pdp[0].count && pdp[0].seen[pdp[0].at].op == 0)
			pdp[0].at++;
		if (pdp[0].at < pdp[0].count)
			break;
		turn(10);
	}
	return expect(&pdp[0], COPS_OP_REQ);
}

START_TEST(row70_opened_by_the_pdp)
{
	uint32_t h = in_sync(&pdp[0]);

	another(h);
	another(h);
	expect_nothing(&pdp[0], 50);
}
END_TEST

START_TEST(row71_no_more_than_the_limit)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	for (int64_t i = 1; i < conf.max_contexts; i++)
		another(h);
	send_dec(&pdp[0], h, false, install_state, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->gperr, PIB_GPERR_MAX_STATES);
	expect_nothing(&pdp[0], 50);
}
END_TEST

START_TEST(row72_removed_by_the_pdp)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	send_dec(&pdp[0], two, false, remove_state, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(s->handle, two);
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->handle, two);
	ck_assert_uint_eq(s->reason, COPS_REASON_PDP_DIRECTIVE);
	expect_nothing(&pdp[0], 150);
	ck_assert_uint_eq(proposals(), 5);
	/* the last one goes: the agent opens another, later */
	send_dec(&pdp[0], h, false, remove_state, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_DRQ)->reason, COPS_REASON_PDP_DIRECTIVE);
	ck_assert_uint_eq(proposals(), 0);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_gt(s->handle, two);
	null_dec(&pdp[0], s->handle);
	decide_well(s->handle, (struct installs) {.from = 1, .to = 2, .lsn = 2});
	ck_assert_uint_eq(proposals(), 2);
}
END_TEST

/* The first one is removed and opened again, with nothing of what it was. */
START_TEST(row70_row72_the_first_again)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h), three;

	decide_well(h, (struct installs) {.from = 1, .to = 3, .lsn = 1});
	decide_well(two, (struct installs) {.from = 1, .to = 5, .lsn = 2});
	null_dec(&pdp[0], expect(&pdp[0], COPS_OP_REQ)->handle);
	send_dec(&pdp[0], h, false, remove_state, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_DRQ)->handle, h);
	three = another(two);
	ck_assert_uint_eq(decide(three, (struct installs) {.from = 9, .to = 9, .remove = 1})->cperr,
	    PIB_CPERR_INSTANCE);
	ck_assert_uint_eq(proposals(), 5);
	decide_well(three, (struct installs) {.from = 1, .to = 1, .lsn = 3});
	ck_assert_uint_eq(proposals(), 2);
}
END_TEST

START_TEST(row73_request_state_alone)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5});
	send_dec(&pdp[0], h, false, state_not_alone, NULL);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->gperr, PIB_GPERR_MALFORMED_DECISION);
	ck_assert_uint_eq(proposals(), 5);
	expect_nothing(&pdp[0], 50);
}
END_TEST

START_TEST(row74_rows_of_one_are_not_the_others)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);

	decide_well(h, (struct installs) {.from = 1, .to = 3, .lsn = 1});
	ck_assert_uint_eq(cl.enforced, 1);
	decide_well(two, (struct installs) {.from = 1, .to = 2, .shift = 7});
	ck_assert_uint_eq(cl.enforced, 1); /* stored, not in force */
	ck_assert_uint_eq(proposals(), 3);
	/* what the first has, the second has not */
	ck_assert_uint_eq(decide(two, (struct installs) {.from = 1, .to = 2, .remove = 3})->cperr,
	    PIB_CPERR_INSTANCE);
	ck_assert(held(3));
	/* and its faults are its own */
	ck_assert_uint_eq(
	    decide(two, (struct installs) {.from = 3, .to = 3, .shift = (uint32_t)-2})->report,
	    COPS_RPT_FAILURE); /* order 1 is taken in two */
}
END_TEST

START_TEST(row85_switch_by_one_decision)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	decide_well(two, (struct installs) {.from = 4, .to = 8});
	cl.enforced = 0;
	decide_well(two, (struct installs) {.from = 8, .to = 9, .lsn = 2});
	ck_assert_uint_eq(cl.enforced, 1); /* one transaction, of what differs */
	ck_assert_uint_eq(cl.gone, 3);
	ck_assert_uint_eq(cl.come, 4);
	ck_assert_uint_eq(cl.other, 0);
	ck_assert_uint_eq(proposals(), 6);
	ck_assert(!held(1) && held(9));
	s = expect(&pdp[0], COPS_OP_REQ); /* the other row reports Active false */
	ck_assert_uint_eq(s->handle, h);
	ck_assert(s->full);
	ck_assert(!s->active);
	null_dec(&pdp[0], h);
	/* and back */
	decide_well(h, (struct installs) {.from = 1, .to = 1, .lsn = 3});
	ck_assert(held(1) && !held(9));
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_eq(s->handle, two);
	ck_assert(!s->active);
	null_dec(&pdp[0], two);
	ck_assert_uint_gt(cl.settled, 2);
}
END_TEST

START_TEST(row85_refused_switch_changes_nothing)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	decide_well(two, (struct installs) {.from = 4, .to = 8});
	cl.refuse = 7;
	s = decide(two, (struct installs) {.from = 9, .to = 9, .lsn = 2});
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_VALUE);
	ck_assert_uint_eq(s->cperr_sub, PIB_CE_VPN_PROPOSAL_COL_ENCR);
	ck_assert_uint_eq(s->instance, 7);
	ck_assert_uint_eq(proposals(), 5);
	expect_nothing(&pdp[0], 50);
	/* what is in force still is */
	decide_well(h, (struct installs) {.from = 6, .to = 6, .lsn = 3});
	ck_assert_uint_eq(proposals(), 6);
	cl.refuse = 0;
	decide_well(two, (struct installs) {.from = 9, .to = 9, .lsn = 4});
	ck_assert_uint_eq(proposals(), 6);
	ck_assert(held(7));
}
END_TEST

START_TEST(row86_nothing_in_force)
{
	uint32_t h = in_sync(&pdp[0]);
	struct pep_client_status st;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	decide_well(h, (struct installs) {.from = 6, .to = 6, .lsn = 2, .inactive = true});
	ck_assert_uint_eq(cl.gone, 5);
	ck_assert_uint_eq(proposals(), 0);
	pep_agent_status(agent, &client, &st);
	ck_assert(!st.active);
	cl.enforced = 0;
	decide_well(h, (struct installs) {.from = 7, .to = 7, .lsn = 3, .inactive = true});
	ck_assert_uint_eq(cl.enforced, 0);
	agent_again(); /* nor after a restart */
	ck_assert_uint_eq(proposals(), 0);
	h = req_again()->handle;
	null_dec(&pdp[0], h);
	decide_well(h, (struct installs) {.from = 8, .to = 8, .lsn = 4});
	ck_assert_uint_eq(proposals(), 8);
}
END_TEST

START_TEST(row87_removal_of_the_active_ignores_longevity)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1, .longevity = 1});
	send_dec(&pdp[0], h, false, remove_state, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_DRQ)->handle, h);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.gone, 5);
	decide_well(two, (struct installs) {.from = 1, .to = 2, .lsn = 2});
	ck_assert_uint_eq(proposals(), 2);
	expect_nothing(&pdp[0], 150);
}
END_TEST

START_TEST(row88_capabilities_are_told_in_all)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);

	cl.keys[cl.key_count++] = 1;
	pep_agent_notify(agent, &client);
	for (int i = 0; i < 2; i++) {
		struct seen *s = expect(&pdp[0], COPS_OP_REQ);

		ck_assert_uint_eq(s->handle, i == 0 ? h : two);
		ck_assert_uint_eq(s->site_keys, 1);
	}
}
END_TEST

START_TEST(row20_row21_row22_synchronise)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	struct seen *s;

	send_ssq(&pdp[0], 0);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->handle, h);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_eq(s->handle, two);
	ck_assert(s->full);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_SSC)->handle, 0); /* after the last one */
	null_dec(&pdp[0], h);
	null_dec(&pdp[0], two);
	send_ssq(&pdp[0], two);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->handle, two);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_SSC)->handle, two);
	null_dec(&pdp[0], two);
	send_ssq(&pdp[0], 4711);
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->handle, 4711);
	ck_assert_uint_eq(s->reason, COPS_REASON_SYNC_UNKNOWN);
	expect_nothing(&pdp[0], 50);
}
END_TEST

/* A request is outstanding when the SSQ comes: its turn is after the decision. */
START_TEST(row20_synchronise_while_waiting)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);

	cl.keys[cl.key_count++] = 1;
	pep_agent_notify(agent, &client);
	expect(&pdp[0], COPS_OP_REQ);
	expect(&pdp[0], COPS_OP_REQ);
	send_ssq(&pdp[0], 0);
	expect_nothing(&pdp[0], 50);
	null_dec(&pdp[0], h);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->handle, h);
	null_dec(&pdp[0], two);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->handle, two);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_SSC)->handle, 0);
}
END_TEST

START_TEST(row89_longer_than_we_take)
{
	struct seen *s;
	uint32_t h;

	pep_agent_free(agent);
	conf.max_msg = 4096;
	agent_open();
	pdp[0].at = pdp[0].count;
	h = req_again()->handle;
	null_dec(&pdp[0], h);
	s = decide(h, (struct installs) {.from = 1, .to = 80}); /* about 5 KB */
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->gperr, PIB_GPERR_MAX_MSG);
	ck_assert_uint_eq(proposals(), 0);
	decide_well(h, (struct installs) {.from = 1, .to = 40});
	send_dec(&pdp[0], h, false, installs, &(struct installs) {.from = 1, .to = 400});
	expect(&pdp[0], 0); /* no end to it: the connection is closed */
}
END_TEST

/* ------------------------------------------------------------------ without a PDP */

static void lose(void)
{
	cops_conn_close(conn(&pdp[0]), COPS_ERR_SHUTDOWN, 0, "test");
	expect(&pdp[0], 0);
}

/* What a REQ says after a reconnect. */
static struct seen *back(void)
{
	return expect(&pdp[0], COPS_OP_REQ);
}

START_TEST(row75_row77_nothing_lost_and_changes_told)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	cl.enforced = 0;
	lose();
	cl.keys[cl.key_count++] = 1; /* meanwhile */
	pep_agent_notify(agent, &client);
	s = back();
	ck_assert(pdp[0].last_pdp);
	ck_assert_uint_eq(s->site_keys, 1);
	ck_assert_uint_eq(s->incarnation[15], 1);
	null_dec(&pdp[0], s->handle);
	ck_assert_uint_eq(proposals(), 5);
	ck_assert_uint_eq(cl.enforced, 0);
}
END_TEST

START_TEST(row28_row78_expire_immediate)
{
	uint32_t h = in_sync(&pdp[0]);

	another(h);
	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1, .longevity = 2});
	lose();
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.gone, 5);
	ck_assert_uint_eq(back()->incarnation_len, 0);
	ck_assert(!pdp[0].last_pdp);
	expect_nothing(&pdp[0], 50); /* the other request-state is gone, too */
}
END_TEST

static void pdps_gone(void)
{
	pep_agent_free(agent);
	pep_conf_clear(&conf);
	conf_make("\"127.0.0.1:1\"");
	agent_open();
}

static void wait_ms(unsigned ms)
{
	turn(ms);
}

START_TEST(row28_row78_expire_on_timeout)
{
	uint32_t h = in_sync(&pdp[0]);
	struct pep_client_status st;
	char pdps[100];

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1, .longevity = 3, .ttl = 2});
	lose();
	back(); /* in time: it stays, and the time does not run */
	ck_assert(pdp[0].last_pdp);
	pep_agent_status(agent, &client, &st);
	ck_assert_int_eq(st.expires_at, 0);
	wait_ms(2300);
	ck_assert_uint_eq(proposals(), 5);
	pdps_gone();
	pep_agent_status(agent, &client, &st);
	ck_assert_int_gt(st.expires_at, 0);
	wait_ms(500);
	ck_assert_uint_eq(proposals(), 5);
	wait_ms(2600);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.gone, 5);
	pep_agent_free(agent);
	pep_conf_clear(&conf);
	snprintf(pdps, sizeof(pdps), "\"127.0.0.1:%u\"", pdp[0].port);
	conf_make(pdps);
	pdp[0].at = pdp[0].count;
	agent_open();
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(back()->incarnation_len, 0);
	ck_assert(!pdp[0].last_pdp);
}
END_TEST

START_TEST(row78_time_runs_over_a_restart)
{
	uint32_t h = in_sync(&pdp[0]);

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1, .longevity = 3, .ttl = 2});
	pdps_gone();
	wait_ms(1300);
	pdps_gone(); /* what is left of the time, not all of it again */
	ck_assert_uint_eq(proposals(), 5);
	wait_ms(1900);
	ck_assert_uint_eq(proposals(), 0);
}
END_TEST

START_TEST(row78_expire_never)
{
	uint32_t h = in_sync(&pdp[0]);

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1, .longevity = 1, .ttl = 1});
	pdps_gone();
	wait_ms(1500);
	ck_assert_uint_eq(proposals(), 5);
}
END_TEST

START_TEST(restart_with_several)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	decide_well(two, (struct installs) {.from = 4, .to = 9, .lsn = 2});
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->handle, h);
	null_dec(&pdp[0], h);
	agent_again();
	ck_assert_uint_eq(proposals(), 6);
	ck_assert(held(9));
	s = req_again();
	ck_assert(!s->active);
	ck_assert_uint_eq(s->incarnation[15], 1);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(s->active);
	ck_assert_uint_eq(s->incarnation[15], 2);
	null_dec(&pdp[0], s->handle);
	/* the first goes, and stays away after a restart */
	send_dec(&pdp[0], s->handle - 1, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	send_dec(&pdp[0], s->handle - 1, false, remove_state, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(proposals(), 6);
	agent_again();
	s = req_again();
	ck_assert(s->active);
	expect_nothing(&pdp[0], 50);
	ck_assert_uint_eq(proposals(), 6);
}
END_TEST

/* Killed between the two journals of a switch: both say Active. */
START_TEST(row57_row85_killed_in_a_switch)
{
	uint32_t h = in_sync(&pdp[0]), two = another(h);
	char cmd[300];
	struct seen *s;

	decide_well(h, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	snprintf(cmd, sizeof(cmd), "cp -p %s/cache-test %s/before", dir, dir);
	ck_assert_int_eq(system(cmd), 0);
	decide_well(two, (struct installs) {.from = 4, .to = 9, .lsn = 2});
	null_dec(&pdp[0], expect(&pdp[0], COPS_OP_REQ)->handle);
	pep_agent_free(agent);
	snprintf(cmd, sizeof(cmd), "mv %s/before %s/cache-test", dir, dir);
	ck_assert_int_eq(system(cmd), 0);
	agent_open();
	ck_assert_uint_eq(proposals(), 6); /* the newer one is in force, and says so alone */
	pdp[0].at = pdp[0].count;
	s = req_again();
	ck_assert(!s->active);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(s->active);
	ck_assert_uint_eq(s->incarnation[15], 2);
}
END_TEST

/* Fewer may be opened now; those that are there stay. */
START_TEST(limit_lowered)
{
	uint32_t h = in_sync(&pdp[0]), three;

	another(h);
	three = another(h);
	decide_well(three, (struct installs) {.from = 1, .to = 5, .lsn = 1});
	null_dec(&pdp[0], expect(&pdp[0], COPS_OP_REQ)->handle);
	conf.max_contexts = 1;
	agent_again();
	ck_assert_uint_eq(proposals(), 5);
	ck_assert(req_again()->active);
}
END_TEST

/* ------------------------------------------------------------------ usage */

static void put_row(struct buf *b, const struct pib_class *cls, uint32_t instance, const void *row)
{
	size_t mark;

	put_sub_prid(b, cls, instance);
	mark = cops_sub_open(b, COPS_S_EPD);
	pib_epd_put(b, cls, row);
	cops_sub_close(b, mark);
}

static void put_link(struct buf *b, void *arg)
{
	const struct pib_class *usage = &pib_frwk_feedback_traffic_class;
	const uint8_t *flags = arg;
	struct pib_frwk_feedback_link row = {.id = 1,
	    .usage = {usage->ber, usage->ber_len},
	    .interval = 1,
	    .threshold = {(const uint8_t *)"", 1},
	    .flags = {flags, 1}};
	struct buf oid;
	size_t named;

	buf_init(&oid, 0);
	pib_prid_put(&oid, &pib_ce_vpn_proposal_class, 1);
	row.sel = (struct pib_octets) {oid.data + 2, (uint32_t)oid.len - 2};
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	put_row(b, &pib_frwk_feedback_link_class, 1, &row);
	cops_named_close(b, named);
	buf_clear(&oid);
}

static void put_action(struct buf *b, void *arg)
{
	const struct pib_frwk_feedback_action row = {
	    .id = 1, .indicator = *(int32_t *)arg, .specific_pri = 2};
	size_t named;

	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	put_row(b, &pib_frwk_feedback_action_class, 1, &row);
	cops_named_close(b, named);
}

static uint32_t linked(int acct_s, uint8_t flags)
{
	uint32_t h;

	pep_agent_free(agent);
	pdp[0].conf.acct_s = (uint16_t)(acct_s > 0 ? acct_s : 0);
	agent_open();
	pdp[0].at = pdp[0].count;
	h = in_sync(&pdp[0]);
	cl.counter.packets = 100;
	decide_well(h, (struct installs) {.from = 1, .to = 2, .lsn = 1});
	send_dec(&pdp[0], h, false, put_link, &flags);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	cl.counter.packets = 130;
	return h;
}

static struct seen *usage_report(uint32_t h, uint64_t packets)
{
	struct seen *s = expect(&pdp[0], COPS_OP_RPT);

	ck_assert_uint_eq(s->report, COPS_RPT_ACCOUNTING);
	ck_assert(!s->solicited);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->usages, 1);
	ck_assert_uint_eq(s->packets, packets);
	return s;
}

START_TEST(row97_periodic_usage)
{
	uint32_t h = linked(1, 0x80);
	int32_t solicit = PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SOLICIT_REPORT;

	usage_report(h, 30);
	cl.counter.packets = 140;
	usage_report(h, 40);
	send_dec(&pdp[0], h, false, put_action, &solicit);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	usage_report(h, 40);
}
END_TEST

START_TEST(row99_final_usage_before_drq)
{
	uint32_t h = linked(3600, 0x80);

	send_dec(&pdp[0], h, false, remove_state, NULL);
	usage_report(h, 30);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	expect(&pdp[0], COPS_OP_DRQ);
}
END_TEST

START_TEST(row99_final_usage_before_deactivation)
{
	uint32_t h = linked(3600, 0);

	send_dec(&pdp[0], h, false, installs,
	    &(struct installs) {.from = 1, .to = 2, .lsn = 2, .inactive = true});
	usage_report(h, 30);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
}
END_TEST

/* What is counted goes on being counted when another state may not take over. */
START_TEST(row99_refused_switch_ends_no_counting)
{
	uint32_t h = linked(1, 0x80), two = another(h);

	usage_report(h, 30);
	decide_well(two, (struct installs) {.from = 4, .to = 8});
	cl.refuse = 7;
	send_dec(&pdp[0], two, false, installs, &(struct installs) {.from = 9, .to = 9, .lsn = 2});
	usage_report(h, 30);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_FAILURE);
	cl.counter.packets = 170;
	usage_report(h, 70);
}
END_TEST

/* After a fail-over nothing is told until the PDP says "resume" (RFC 3483 10). */
START_TEST(row97_told_again_after_resume)
{
	int32_t resume = PIB_FRWK_FEEDBACK_ACTION_INDICATOR_RESUME;
	uint32_t h = linked(1, 0x80);

	usage_report(h, 30);
	lose();
	cl.counter.packets = 150;
	h = back()->handle;
	null_dec(&pdp[0], h);
	expect_nothing(&pdp[0], 1500);
	send_dec(&pdp[0], h, false, put_action, &resume);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	usage_report(h, 50);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pep_contexts");
	TCase *tc = tcase_create("contexts");
	SRunner *sr = srunner_create(s);
	int failed;

	log_init(
	    "test_pep_contexts", getenv("COPSVPN_VERBOSE") == NULL ? LOG_CRIT : LOG_DEBUG, false);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, row70_opened_by_the_pdp);
	tcase_add_test(tc, row71_no_more_than_the_limit);
	tcase_add_test(tc, row72_removed_by_the_pdp);
	tcase_add_test(tc, row70_row72_the_first_again);
	tcase_add_test(tc, row73_request_state_alone);
	tcase_add_test(tc, row74_rows_of_one_are_not_the_others);
	tcase_add_test(tc, row85_switch_by_one_decision);
	tcase_add_test(tc, row85_refused_switch_changes_nothing);
	tcase_add_test(tc, row86_nothing_in_force);
	tcase_add_test(tc, row87_removal_of_the_active_ignores_longevity);
	tcase_add_test(tc, row88_capabilities_are_told_in_all);
	tcase_add_test(tc, row20_row21_row22_synchronise);
	tcase_add_test(tc, row20_synchronise_while_waiting);
	tcase_add_test(tc, row89_longer_than_we_take);
	tcase_add_test(tc, row75_row77_nothing_lost_and_changes_told);
	tcase_add_test(tc, row28_row78_expire_immediate);
	tcase_add_test(tc, row28_row78_expire_on_timeout);
	tcase_add_test(tc, row78_time_runs_over_a_restart);
	tcase_add_test(tc, row78_expire_never);
	tcase_add_test(tc, restart_with_several);
	tcase_add_test(tc, row57_row85_killed_in_a_switch);
	tcase_add_test(tc, limit_lowered);
	tcase_add_test(tc, row97_periodic_usage);
	tcase_add_test(tc, row99_refused_switch_ends_no_counting);
	tcase_add_test(tc, row99_final_usage_before_drq);
	tcase_add_test(tc, row99_final_usage_before_deactivation);
	tcase_add_test(tc, row97_told_again_after_resume);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
