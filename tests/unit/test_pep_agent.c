/*
 * test_pep_agent.c - the agent against a scripted PDP (pep_pdp.h): requests, decisions, cache,
 * connections.  Several request-states and longevity are test_pep_contexts.c's.
 */
#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/log.h"
#include "pep/kern_if.h"
#include "pep/link.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"
#include "tests/unit/pep_pdp.h"

START_TEST(row68_row81_request_and_null)
{
	struct seen *s;
	uint32_t h = in_sync(&pdp[0]);

	s = &pdp[0].seen[0];
	ck_assert(s->full);
	ck_assert_uint_eq(s->incarnation_len, 0);
	ck_assert_uint_gt(s->supports, 10);
	ck_assert(!s->solicited);
	ck_assert(!pdp[0].last_pdp);
	ck_assert_uint_ne(h, 0);
	ck_assert_uint_eq(cl.reconciled, 1);
	ck_assert_uint_eq(cl.enforced, 0);
	expect_nothing(&pdp[0], 400); /* and no request timeout */
}
END_TEST

START_TEST(row55_row59_install_replace_remove)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 3, .lsn = 7};
	struct seen *s;

	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->cperrs, 0);
	ck_assert_uint_eq(proposals(), 3);
	ck_assert_uint_eq(cl.enforced, 1);
	ck_assert_uint_eq(cl.settled, 1);

	in = (struct installs) {.from = 3, .to = 3, .remove = 3}; /* the install wins */
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 3);
	ck_assert_uint_eq(cl.enforced, 1); /* nothing changed */

	in = (struct installs) {.from = 4, .to = 4, .remove = 99}; /* unknown: a warning */
	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_INSTANCE);
	ck_assert_uint_eq(s->instance, 99);
	ck_assert_uint_eq(proposals(), 4);
}
END_TEST

START_TEST(row67_failure_changes_nothing)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 5};
	struct seen *s;

	cl.refuse = 4;
	send_dec(&pdp[0], h, false, installs, &in);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert(s->solicited);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_VALUE);
	ck_assert_uint_eq(s->cperr_sub, PIB_CE_VPN_PROPOSAL_COL_ENCR);
	ck_assert_uint_eq(s->instance, 4);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.settled, 0);
	cl.refuse = 0;
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 5);
}
END_TEST

static void same_order_twice(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	for (uint32_t i = 1; i <= 60; i++)
		put_proposal(b, i, i / 2);
	cops_named_close(b, mark);
}

static void epd_without_prid(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	cops_put_sub(b, COPS_S_EPD, "\x05\x00", 2);
	cops_named_close(b, mark);
}

static void epd_in_remove(struct buf *b, void *arg)
{
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_REMOVE, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	put_proposal(b, 1, 1);
	cops_named_close(b, mark);
}

static void unknown_sub(struct buf *b, void *arg)
{
	static const uint8_t sub[] = {0, 4, 9, 1};
	size_t mark;

	(void)arg;
	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	mark = cops_named_open(b, COPS_C_DECISION, 5);
	buf_put(b, sub, sizeof(sub));
	cops_named_close(b, mark);
}

START_TEST(row54_row58_row61_faults_of_data)
{
	static const struct {
		void (*fn)(struct buf *b, void *arg);
		uint16_t gperr, sub;
	} t[] = {
	    {epd_without_prid, PIB_GPERR_MALFORMED_DECISION, 0},
	    {epd_in_remove, PIB_GPERR_MALFORMED_DECISION, 0},
	    {unknown_sub, PIB_GPERR_UNKNOWN_OBJECT, 0x0901},
	};
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		send_dec(&pdp[0], h, false, t[i].fn, NULL);
		s = expect(&pdp[0], COPS_OP_RPT);
		ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
		ck_assert_uint_eq(s->gperr, t[i].gperr);
		ck_assert_uint_eq(s->gperr_sub, t[i].sub);
	}
	send_dec(&pdp[0], h, false, same_order_twice, NULL); /* UNIQUENESS, 29 times */
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_gt(s->cperrs, 0);
	ck_assert_uint_le(s->cperrs, 16);
	ck_assert_uint_eq(proposals(), 0);
	ck_assert_uint_eq(cl.enforced, 0);
}
END_TEST

START_TEST(row16_fifty_in_order)
{
	uint32_t h = in_sync(&pdp[0]);

	for (uint32_t i = 1; i <= 50; i++) {
		struct installs in = {.from = i, .to = i};

		if (i % 3 == 0)
			send_dec(&pdp[0], h, false, epd_in_remove, NULL);
		else
			send_dec(&pdp[0], h, false, installs, &in);
	}
	for (uint32_t i = 1; i <= 50; i++) {
		struct seen *s = expect(&pdp[0], COPS_OP_RPT);

		ck_assert(s->solicited);
		ck_assert_uint_eq(s->report, i % 3 == 0 ? COPS_RPT_FAILURE : COPS_RPT_SUCCESS);
	}
	expect_nothing(&pdp[0], 50);
	ck_assert_uint_eq(proposals(), 34);
}
END_TEST

/* ------------------------------------------------------------------ what is no decision */

START_TEST(row17_row18_malformed_decision)
{
	static const uint8_t no_flags[] = {0, 8, 2, 1, 0, 8, 0, 0};
	static const uint8_t unknown[] = {
	    0, 8, 2, 1, 0, 8, 0, 0, 0, 8, 6, 1, 0, 1, 0, 0, 0, 8, 77, 1, 0, 0, 0, 0};
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	send_raw(&pdp[0], h, no_flags, sizeof(no_flags));
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->reason, COPS_REASON_MALFORMED_DEC);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_gt(s->handle, h);
	ck_assert(s->full);
	h = s->handle;
	send_dec(&pdp[0], h - 1, false, NULL, NULL); /* late, for the old one: no report */
	send_dec(&pdp[0], h, true, NULL, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->handle, h);

	send_raw(&pdp[0], h, unknown, sizeof(unknown));
	s = expect(&pdp[0], COPS_OP_DRQ);
	ck_assert_uint_eq(s->reason, COPS_REASON_UNKNOWN_OBJECT);
	ck_assert_uint_eq(s->reason_sub, 77 << 8 | 1);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

static void error_object(struct buf *b, void *arg)
{
	(void)arg;
	cops_put_u16x2(b, COPS_C_ERROR, 1, COPS_ERR_UNABLE, 0);
}

START_TEST(refused_request)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;
	struct seen *s;

	send_dec(&pdp[0], h, true, error_object, NULL);
	for (unsigned i = 0; i < 3; i++) { /* no report; asked again, later each time */
		s = expect(&pdp[0], COPS_OP_REQ);
		ck_assert_uint_eq(s->handle, h);
		ck_assert(s->full);
		send_dec(&pdp[0], h, true, error_object, NULL);
	}
	s = expect(&pdp[0], COPS_OP_REQ);
	send_dec(&pdp[0], h, true, NULL, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_int_eq(state(), PEP_IN_SYNC);
}
END_TEST

/* An Error that answers nothing, while a request waits: the request still times out. */
START_TEST(refused_unasked)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;

	send_dec(&pdp[0], h, false, error_object, NULL);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_DRQ)->reason, COPS_REASON_TIMEOUT);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

START_TEST(row12_row15_request_timeout)
{
	uint32_t h = expect(&pdp[0], COPS_OP_REQ)->handle;
	struct seen *s = expect(&pdp[0], COPS_OP_DRQ);

	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->reason, COPS_REASON_TIMEOUT);
	ck_assert_uint_gt(expect(&pdp[0], COPS_OP_REQ)->handle, h);
}
END_TEST

START_TEST(row14_row82_updated_requests)
{
	uint32_t h = in_sync(&pdp[0]);
	struct seen *s;

	cl.keys[cl.key_count++] = 1;
	cl.keys[cl.key_count++] = 2;
	pep_agent_notify(agent, &client);
	pep_agent_notify(agent, &client); /* one request says it all */
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(!s->full);
	ck_assert_uint_eq(s->handle, h);
	ck_assert_uint_eq(s->site_keys, 2);
	ck_assert_uint_eq(s->supports, 0);
	cl.keys[1] = 3; /* meanwhile: waits for the decision */
	pep_agent_notify(agent, &client);
	expect_nothing(&pdp[0], 50);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert_uint_eq(s->site_keys, 1);
	ck_assert_uint_eq(s->removed, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	pep_agent_notify(agent, &client); /* nothing new */
	expect_nothing(&pdp[0], 50);
}
END_TEST

/* ------------------------------------------------------------------ cache, connections */

/* An interface gets these roles from the PDP, as an update of what it was told. */
static void put_roles(struct buf *b, void *arg)
{
	const struct kern_if *itf = arg;
	const struct pib_frwk_role_combo combo = {
	    .prid = itf->index, .roles = {(const uint8_t *)"wan", 3}};
	const struct pib_frwk_if_role_combo row = {.if_index = (int32_t)itf->index};
	size_t named, sub;

	cops_put_decision(b, COPS_CMD_INSTALL, 0);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	for (int i = 0; i < 2; i++) {
		const struct pib_class *cls = i == 0 ? &pib_frwk_role_combo_class
						     : &pib_frwk_if_role_combo_class;

		sub = cops_sub_open(b, COPS_S_PRID);
		pib_prid_put(b, cls, itf->index);
		cops_sub_close(b, sub);
		sub = cops_sub_open(b, COPS_S_EPD);
		pib_epd_put(b, cls, i == 0 ? (const void *)&combo : (const void *)&row);
		cops_sub_close(b, sub);
	}
	cops_named_close(b, named);
}

/*
 * The first request tells of all interfaces with their roles; after roles from the PDP comes first
 * the Success report, then full state (RFC 3318 2.2).
 */
START_TEST(row81_interfaces_in_the_first_request)
{
	char roles[KERN_IF_NAME + 20];
	char *item = roles;
	struct kern_if *itf;
	struct seen *s;
	size_t count;
	uint32_t h;

	ck_assert_int_eq(kern_if_list(&itf, &count), 0);
	if (count == 0) { /* nothing to tell of */
		free(itf);
		return;
	}
	snprintf(roles, sizeof(roles), "%s lan+red", itf->name);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_REQ)->interfaces, 0); /* none configured */
	conf.roles = (struct conf_list) {&item, 1};
	agent_again();
	for (unsigned i = 0; i < 300 && pdp[0].seen[pdp[0].at].op != COPS_OP_REQ; i++) {
		pdp[0].at += pdp[0].at < pdp[0].count; /* the end of the one before */
		turn(10);
	}
	s = expect(&pdp[0], COPS_OP_REQ);
	h = s->handle;
	ck_assert(s->full);
	ck_assert_uint_eq(s->interfaces, count);
	ck_assert_uint_eq(s->lan_combos, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	send_dec(&pdp[0], h, false, put_roles, itf);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_SUCCESS);
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(s->full);
	ck_assert_uint_eq(s->interfaces, count);
	ck_assert_uint_eq(s->lan_combos, 0);
	ck_assert_uint_eq(s->wan_combos, 1);
	send_dec(&pdp[0], h, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	itf->index = 999999; /* no such interface: only a Failure report */
	send_dec(&pdp[0], h, false, put_roles, itf);
	s = expect(&pdp[0], COPS_OP_RPT);
	ck_assert_uint_eq(s->report, COPS_RPT_FAILURE);
	ck_assert_uint_eq(s->cperr, PIB_CPERR_VALUE);
	expect_nothing(&pdp[0], 50);
	conf.roles = (struct conf_list) {NULL, 0};
	free(itf);
}
END_TEST

static void cache_path(char path[100])
{
	snprintf(path, 100, "%s/cache-test", dir);
}

START_TEST(row28_cache_outlives)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 20, .lsn = 9};
	struct seen *s;
	char path[100];
	FILE *f;

	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	in = (struct installs) {.from = 21, .to = 21, .remove = 5, .lsn = 10};
	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);

	cache_path(path); /* a record that was being written when the power went */
	f = fopen(path, "a");
	fwrite("\0\0\1\0garbage", 11, 1, f);
	fclose(f);
	pep_agent_free(agent);
	agent_open();
	ck_assert_uint_eq(cl.rows, 21); /* before any connection */
	ck_assert_uint_eq(proposals(), 20);
	while (pdp[0].at < pdp[0].count)
		pdp[0].at++;
	turn(50);
	while (pdp[0].seen[pdp[0].at].op != COPS_OP_REQ)
		pdp[0].at++;
	s = expect(&pdp[0], COPS_OP_REQ);
	ck_assert(pdp[0].last_pdp);
	ck_assert_uint_eq(s->incarnation_len, 16);
	ck_assert_uint_eq(s->incarnation[15], 10);
	send_dec(&pdp[0], s->handle, true, NULL, NULL);
	expect(&pdp[0], COPS_OP_RPT);
	in = (struct installs) {.from = 30, .to = 30};
	send_dec(&pdp[0], s->handle, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	agent_again(); /* the tail was cut off, what came after it is whole */
	ck_assert_uint_eq(proposals(), 21);
}
END_TEST

/* Decisions about the same rows for ever: the journal does not grow without end. */
START_TEST(cache_is_compacted)
{
	uint32_t h = in_sync(&pdp[0]);
	struct stat st;
	char path[100];
	off_t most = 0;

	cache_path(path);
	for (unsigned i = 0; i < 200; i++) {
		struct installs in = {
		    .from = 1, .to = 100, .lsn = (uint8_t)(i + 1), .shift = i % 2 * 500};

		send_dec(&pdp[0], h, false, installs, &in);
		ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
		pdp[0].at = pdp[0].count = 0;
		ck_assert_int_eq(stat(path, &st), 0);
		most = st.st_size > most ? st.st_size : most;
	}
	ck_assert_int_gt(most, 200000); /* it was written 200 times 6 KB */
	ck_assert_int_lt(most, 300000);
	agent_again();
	ck_assert_uint_eq(proposals(), 100);
}
END_TEST

/* A disk that cannot be written: the report stays true, LastPDPAddr is not sent. */
START_TEST(row28_cache_cannot_be_written)
{
	uint32_t h = in_sync(&pdp[0]);
	struct installs in = {.from = 1, .to = 2, .lsn = 1};
	struct pep_client_status st;
	struct rlimit before, little = {.rlim_cur = 16, .rlim_max = RLIM_INFINITY};

	send_dec(&pdp[0], h, false, installs, &in);
	expect(&pdp[0], COPS_OP_RPT);
	pep_agent_free(agent);
	agent_open();
	ck_assert_uint_eq(proposals(), 2);
	pdp[0].at = pdp[0].count;
	turn(50);
	while (pdp[0].seen[pdp[0].at].op != COPS_OP_REQ)
		pdp[0].at++;
	h = in_sync(&pdp[0]);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0); /* the disk is full */
	little.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
	in = (struct installs) {.from = 3, .to = 3, .lsn = 2};
	send_dec(&pdp[0], h, false, installs, &in);
	ck_assert_uint_eq(expect(&pdp[0], COPS_OP_RPT)->report, COPS_RPT_SUCCESS);
	ck_assert_uint_eq(proposals(), 3);
	pep_agent_status(agent, &client, &st);
	ck_assert(!st.cache_complete);
	pep_agent_reconnect(agent);
	expect(&pdp[0], 0);
	expect(&pdp[0], COPS_OP_REQ);
	ck_assert(!pdp[0].last_pdp);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
}
END_TEST

START_TEST(row29_next_pdp)
{
	char pdps[100];

	pep_agent_free(agent);
	pep_conf_clear(&conf);
	snprintf(pdps, sizeof(pdps), "\"127.0.0.1:1\", \"127.0.0.1:%u\"", pdp[1].port);
	conf_make(pdps);
	agent_open();
	in_sync(&pdp[1]);
	cops_conn_close(conn(&pdp[1]), COPS_ERR_SHUTDOWN, 0, "test"); /* it comes back */
	expect(&pdp[1], 0);
	ck_assert(expect(&pdp[1], COPS_OP_REQ)->full);
	ck_assert_uint_eq(pdp[1].opens, 2);
}
END_TEST

/* Accepted, asked and thrown out, again and again: each time after a longer pause. */
START_TEST(closed_before_a_decision)
{
	pep_agent_free(agent);
	pdp[0].at = pdp[0].count;
	pdp[0].opens = 0;
	conf.retry_min_ms = 20;
	conf.retry_max_ms = 10000;
	agent_open();
	for (unsigned i = 0; i < 100; i++) {
		turn(10);
		if (pdp[0].at < pdp[0].count && pdp[0].seen[pdp[0].count - 1].op == COPS_OP_REQ)
			cops_conn_close(conn(&pdp[0]), COPS_ERR_UNABLE, 0, "test");
		pdp[0].at = pdp[0].count;
	}
	/* At least 10, 20, 40 ... ms apart; from the start anew each time it would be dozens. */
	ck_assert_uint_ge(pdp[0].opens, 3);
	ck_assert_uint_le(pdp[0].opens, 8);
}
END_TEST

/* Whoever is not known yet is about to be: within 2 s again, whatever the settings say. */
START_TEST(stranger)
{
	pep_agent_free(agent);
	pdp[0].opens = 0;
	conf.retry_min_ms = 60000;
	conf.retry_max_ms = 60000;
	pdp[0].stranger = true;
	agent_open();
	for (unsigned i = 0; i < 5000 && pdp[0].opens < 2; i++)
		turn(1);
	ck_assert_uint_eq(pdp[0].opens, 2);
	pdp[0].stranger = false;
	pdp[0].at = pdp[0].count;
	in_sync(&pdp[0]);
}
END_TEST

static void cc_redirect(struct pdp *p, uint16_t port)
{
	const uint8_t body[8] = {127, 0, 0, 1, 0, 0, (uint8_t)(port >> 8), (uint8_t)port};
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, COPS_OP_CC, false, TYPE);
	cops_put_u16x2(&b, COPS_C_ERROR, 1, COPS_ERR_REDIRECT, 0);
	cops_put_obj(&b, COPS_C_PDP_REDIR, 1, body, sizeof(body));
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_conn_send(conn(p), b.data, b.len), 0);
	buf_clear(&b);
}

/* Sent to where nobody is, more often than is followed in a row: it goes on being followed. */
START_TEST(row10_redirect_to_nobody)
{
	for (unsigned i = 0; i < 6; i++) {
		expect(&pdp[0], COPS_OP_REQ);
		cc_redirect(&pdp[0], 1);
		expect(&pdp[0], 0);
	}
	expect(&pdp[0], COPS_OP_REQ);
	cc_redirect(&pdp[0], pdp[1].port);
	in_sync(&pdp[1]);
}
END_TEST

START_TEST(row10_redirect)
{
	in_sync(&pdp[0]);
	cc_redirect(&pdp[0], pdp[1].port);
	in_sync(&pdp[1]);
	expect(&pdp[0], 0);
}
END_TEST

static void stopped(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(stop_is_polite)
{
	bool done = false;

	in_sync(&pdp[0]);
	pep_agent_stop(agent, stopped, &done);
	for (unsigned i = 0; i < 100 && !done; i++)
		turn(10);
	ck_assert(done);
	expect(&pdp[0], 0);
}
END_TEST

START_TEST(settings)
{
	static const struct {
		const char *text;
		bool ok;
	} t[] = {
	    {"pdp = { \"a.example@192.0.2.1\" }\n", true},
	    {"pdp = { \"a.example@192.0.2.1:3289\", \"b@[2001:db8::1]:1\", \"c@2001:db8::1\" }\n",
		true},
	    {"pdp = { \"192.0.2.1\" }\n", false}, /* TLS needs the name */
	    {"pdp = { \"a@192.0.2.1:\" }\n", false},
	    {"pdp = { \"a@192.0.2.1:0\" }\n", false},
	    {"pdp = { \"a@192.0.2.1:65536\" }\n", false},
	    {"pdp = { \"a@[2001:db8::1\" }\n", false},
	    {"pdp = { \"a@nowhere.example\" }\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nbackend = ipfw\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nlog-level = loud\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nretry-min = 100\nretry-max = 10\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nsecurity = none\n", false}, /* who are we? */
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = perhaps\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { 192.0.2.0/24, "
	     "\"2001:db8::/32 icmp\", \"192.0.2.1 tcp 22\", \"0.0.0.0/0 udp\" }\n",
		true},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown-except = { 192.0.2.0/24 }\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { nowhere }\n", false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { \"192.0.2.1 esp\" }\n",
		false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { \"192.0.2.1 icmp 3\" "
	     "}\n",
		false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { \"192.0.2.1 tcp 0\" "
	     "}\n",
		false},
	    {"pdp = { \"a@192.0.2.1\" }\nlockdown = yes\nlockdown-except = { \"192.0.2.1 tcp 22 "
	     "1\" "
	     "}\n",
		false},
	    {"", false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct pep_conf c;
		struct diag d;

		diag_init(&d);
		ck_assert_msg((pep_conf_parse(&c, t[i].text, &d) == 0) == t[i].ok, "%s", t[i].text);
		ck_assert((d.errors == 0) == t[i].ok);
		diag_clear(&d);
		pep_conf_clear(&c);
	}
}
END_TEST

START_TEST(example_settings)
{
	struct pep_conf c;
	struct diag d;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	pep_conf_print(f);
	fclose(f);
	diag_init(&d);
	ck_assert_int_eq(pep_conf_parse(&c, text, &d), 0);
	ck_assert_uint_eq(c.pdps, 1);
	ck_assert_uint_eq(c.pdp[0].port, 3288);
	ck_assert_str_eq(c.identity, "");
	diag_clear(&d);
	pep_conf_clear(&c);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pep_agent");
	TCase *tc = tcase_create("agent");
	TCase *conf_tc = tcase_create("settings");
	SRunner *sr = srunner_create(s);
	int failed;

	log_init("test_pep_agent", getenv("COPSVPN_VERBOSE") == NULL ? LOG_CRIT : LOG_DEBUG, false);
	tcase_add_test(conf_tc, settings);
	tcase_add_test(conf_tc, example_settings);
	suite_add_tcase(s, conf_tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, row68_row81_request_and_null);
	tcase_add_test(tc, row55_row59_install_replace_remove);
	tcase_add_test(tc, row67_failure_changes_nothing);
	tcase_add_test(tc, row54_row58_row61_faults_of_data);
	tcase_add_test(tc, row16_fifty_in_order);
	tcase_add_test(tc, row17_row18_malformed_decision);
	tcase_add_test(tc, refused_request);
	tcase_add_test(tc, refused_unasked);
	tcase_add_test(tc, row12_row15_request_timeout);
	tcase_add_test(tc, row14_row82_updated_requests);
	tcase_add_test(tc, row81_interfaces_in_the_first_request);
	tcase_add_test(tc, row28_cache_outlives);
	tcase_add_test(tc, cache_is_compacted);
	tcase_add_test(tc, row28_cache_cannot_be_written);
	tcase_add_test(tc, row29_next_pdp);
	tcase_add_test(tc, closed_before_a_decision);
	tcase_add_test(tc, stranger);
	tcase_add_test(tc, row10_redirect);
	tcase_add_test(tc, row10_redirect_to_nobody);
	tcase_add_test(tc, stop_is_polite);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
