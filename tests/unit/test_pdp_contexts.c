/*
 * test_pdp_contexts.c - the policy server's side of several request-states: those that it opens to
 * refresh a CE, and those that a CE opens on its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "pdp/sync.h"
#include "tests/unit/pdp_pep.h"

#define PEPS 2

static struct world w;
static struct pep pep[PEPS];
static char why[200], failure[500];
static unsigned ends;

static void setup(void)
{
	world_init(&w, false);
	peps_init(pep, PEPS, &w);
	ends = 0;
}

static void teardown(void)
{
	peps_clear(pep, PEPS);
	world_clear(&w);
}

static struct sync_info info(int i)
{
	return pep_info(&pep[i]);
}

static bool in_sync(int i)
{
	return pep_in_sync(&pep[i]);
}

static bool all_in_sync(void)
{
	return in_sync(0) && in_sync(1);
}

static void apply_mesh(size_t n)
{
	char *xml = world_mesh(n, "", false);

	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
}

static void mesh_up(void)
{
	apply_mesh(PEPS);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, all_in_sync());
}

static void on_done(void *arg, const char *ce, const char *reason, const char *json)
{
	ck_assert_ptr_eq(arg, &w);
	ck_assert_str_eq(ce, "ce0");
	ends++;
	snprintf(why, sizeof(why), "%s", reason != NULL ? reason : "");
	snprintf(failure, sizeof(failure), "%s", json != NULL ? json : "");
}

static void refresh(void)
{
	ck_assert(sync_refresh(w.pdp->sync, "ce0", on_done, &w));
}

/* As it was: a change comes to the request-state that was there before. */
static void still_served(uint8_t at, size_t sites)
{
	apply_mesh(sites);
	until(&w, all_in_sync());
	ck_assert_uint_eq(pep[0].at, at);
	ck_assert(pep_matches(&pep[0]));
}

/* Opened, loaded, in force by one DEC; the old one removed; what follows goes to the new one. */
START_TEST(row70_row72_row85_refresh)
{
	mesh_up();
	for (unsigned i = 1; i <= 3; i++) {
		refresh();
		until(&w, ends == i);
		ck_assert_str_eq(why, "");
		ck_assert_uint_eq(pep[0].at, 1 + i);
		ck_assert_uint_eq(pep[0].opened, i);
		ck_assert_uint_eq(pep[0].removed, i);
		ck_assert_uint_eq(pep[0].other.at, 0);
		ck_assert_uint_eq(pep[0].decs, 1 + i); /* one DEC each */
		ck_assert(pep_matches(&pep[0]));
		ck_assert(in_sync(0));
	}
	still_served(4, PEPS + 1);
	ck_assert_uint_eq(pep[0].asked, 0);
	ck_assert_uint_eq(pep[0].errors, 0);
}
END_TEST

/* A change while the new one is loaded waits, and goes to what is in force afterwards. */
START_TEST(row85_changes_meanwhile)
{
	mesh_up();
	pep[0].hold = true;
	refresh();
	until(&w, pep[0].txn != NULL);
	apply_mesh(PEPS + 1);
	until(&w, in_sync(1));
	pep_request(&pep[0], true, NULL, 0); /* and a REQ for the old one */
	settle(&w, 30);
	ck_assert_uint_eq(pep[0].decs, 2);
	ck_assert(!sync_refresh(w.pdp->sync, "ce0", on_done, &w)); /* one at a time */
	pep_release(&pep[0]);
	until(&w, ends == 1 && all_in_sync());
	ck_assert_str_eq(why, "");
	ck_assert_uint_eq(pep[0].at, 2);
	ck_assert_uint_eq(pep[0].asked, 0); /* answered */
	ck_assert_uint_eq(pep_rows(&pep[0], "ceVpnPeer"), 2);
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

/* GPERR 6: there is no other request-state, and all is as it was. */
START_TEST(row71_no_more_request_states)
{
	pep[0].lone = true;
	mesh_up();
	refresh();
	until(&w, ends == 1);
	ck_assert_str_ne(why, "");
	ck_assert_ptr_nonnull(strstr(failure, "maxRequest"));
	ck_assert_uint_eq(pep[0].decs, 1);
	still_served(1, PEPS + 1);
}
END_TEST

/* Refused: row and column are told, the new one is removed, the first stays in force. */
START_TEST(row72_row85_refused_refresh)
{
	mesh_up();
	pep[0].refuse = true;
	refresh();
	until(&w, ends == 1 && pep[0].removed == 1);
	pep[0].refuse = false;
	ck_assert_str_ne(why, "");
	ck_assert_ptr_nonnull(strstr(failure, "\"ceVpn.1\""));
	ck_assert_msg(strstr(failure, "\"column\":\"local_addr\"") != NULL, "%s", failure);
	ck_assert(in_sync(0));
	ck_assert(pep_matches(&pep[0]));
	still_served(1, PEPS + 1);
	refresh();
	until(&w, ends == 2);
	ck_assert_str_eq(why, "");
}
END_TEST

/* The message of copsctl refresh; "" when it is done. */
static const char *command(const char *ce)
{
	struct call c = {.cmd = "refresh", .args = json_pack("{s:s}", "ce", ce)};
	json_t *reply;

	call_start(&w, &c);
	reply = call_end(&w, &c);
	snprintf(why, sizeof(why), "%s",
	    json_get_string(json_object_get(reply, "error"), "message", ""));
	json_decref(reply);
	return why;
}

/* What copsctl is told, and that it is told. */
START_TEST(row71_row72_command)
{
	mesh_up();
	ck_assert_str_eq(command("ce0"), "");
	ck_assert_uint_eq(pep[0].at, 2);
	pep[0].refuse = true;
	command("CE0");
	ck_assert_msg(
	    strstr(why, "ce0: ") == why && strstr(why, "ceVpn.1 local_addr: ") != NULL, "%s", why);
	pep[0].lone = true;
	ck_assert_ptr_nonnull(strstr(command("ce0"), "(maxRequestStatesOpen)"));
	ck_assert_str_ne(command("ce7"), "");
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	ck_assert_ptr_nonnull(strstr(command("ce0"), "not connected"));
}
END_TEST

/* It opens one and never asks for it; when it does at last, that one is removed. */
START_TEST(row70_opened_but_never_asked_for)
{
	w.conf.report_timeout_s = 1;
	world_restart(&w);
	pep[0].lazy = true;
	mesh_up();
	refresh();
	until(&w, ends == 1);
	ck_assert_str_ne(why, "");
	still_served(1, PEPS + 1);
	pep_request_other(&pep[0], 2);
	until(&w, pep[0].removed == 1);
	ck_assert(!pep[0].ended);
}
END_TEST

/* No report on what was loaded: the connection ends, and what is in force is what the CE says. */
START_TEST(row85_no_report_in_time)
{
	w.conf.report_timeout_s = 1;
	world_restart(&w);
	mesh_up();
	pep[0].mute = true;
	refresh();
	until(&w, ends == 1 && pep[0].ended);
	ck_assert_str_ne(why, "");
	ck_assert_uint_eq(pep[0].removed, 0);
	pep[0].mute = false;
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	still_served(1, PEPS + 1);
}
END_TEST

/* The connection is cut while it is loaded: both come back, what is not in force is removed. */
START_TEST(row72_connection_lost)
{
	mesh_up();
	pep[0].hold = true;
	refresh();
	until(&w, pep[0].txn != NULL);
	pep_drop(&pep[0]);
	until(&w, ends == 1);
	ck_assert_str_ne(why, "");
	pep[0].hold = false;
	pep_connect(&pep[0]);
	until(&w, in_sync(0));
	pep_request_other(&pep[0], pep[0].other.at);
	until(&w, pep[0].removed == 1);
	still_served(1, PEPS + 1);
}
END_TEST

/* A CE that comes back with nothing in force gets all, with Active. */
START_TEST(row86_what_is_not_in_force_is_put_in_force)
{
	mesh_up();
	pep_drop(&pep[0]);
	until(&w, info(0).state == SYNC_OFFLINE);
	pep[0].other.at = 9; /* what it held is not in force */
	pep[0].other.rows = pep[0].rows;
	pep[0].rows = pib_store_new(pep[0].schema, PIB_INSTALL, 1000);
	pep[0].silent = true;
	pep_connect(&pep[0]);
	until(&w, pep[0].up);
	pep_request_other(&pep[0], 9);
	until(&w, in_sync(0) && pep[0].at == 9);
	ck_assert_uint_eq(pep[0].decs, 2);
	ck_assert(pep_matches(&pep[0]));
}
END_TEST

/* Opened by the CE on its own: NULL decisions, until it deletes it; a ninth one is refused. */
START_TEST(row69_request_state_of_its_own)
{
	mesh_up();
	for (uint8_t n = 11; n < 18; n++) {
		pep_request_other(&pep[0], n);
		until(&w, pep[0].nulls == n - 10u);
	}
	pep_request_other(&pep[0], 18);
	until(&w, pep[0].errors == 1);
	pep_delete(&pep[0], 11);
	pep_request_other(&pep[0], 18);
	until(&w, pep[0].nulls == 8);
	ck_assert_uint_eq(pep[0].decs, 1);
	still_served(1, PEPS + 1);
	pep_delete(&pep[0], 12);
	settle(&w, 20);
	ck_assert(in_sync(0));
}
END_TEST

/* Handles are the PEP's to choose (RFC 2748 2.4). */
START_TEST(tolerate_long_handle)
{
	mesh_up();
	pep_request_other(&pep[0], PEP_LONG + 1);
	until(&w, pep[0].nulls == 1);
	pep_delete(&pep[0], PEP_LONG + 1);
	still_served(1, PEPS + 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pdp_contexts");
	TCase *t = tcase_create("contexts");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, row70_row72_row85_refresh);
	tcase_add_test(t, row85_changes_meanwhile);
	tcase_add_test(t, tolerate_long_handle);
	tcase_add_test(t, row71_no_more_request_states);
	tcase_add_test(t, row72_row85_refused_refresh);
	tcase_add_test(t, row71_row72_command);
	tcase_add_test(t, row70_opened_but_never_asked_for);
	tcase_add_test(t, row85_no_report_in_time);
	tcase_add_test(t, row72_connection_lost);
	tcase_add_test(t, row86_what_is_not_in_force_is_put_in_force);
	tcase_add_test(t, row69_request_state_of_its_own);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
