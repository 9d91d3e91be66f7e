/*
 * test_membership.c - who is in and who is out, at the policy server: removal that is confirmed by
 * every former peer, CEs that ask to leave, CEs that are revoked; PEPs do as told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "pdp/acl.h"
#include "pdp/leave.h"
#include "pdp/membership.h"
#include "pdp/sync.h"
#include "pdp/vpn.h"
#include "pib/gen/ce_vpn_pib.h"
#include "tests/unit/pdp_pep.h"

#define PEPS 4

static struct world w;
static struct pep pep[PEPS];

static void setup(void)
{
	world_init(&w, false);
	peps_init(pep, PEPS, &w);
	for (int i = 0; i < PEPS; i++)
		pep[i].site = true;
}

static void teardown(void)
{
	peps_clear(pep, PEPS);
	world_clear(&w);
}

static bool in_sync(int i)
{
	struct sync_info s;

	return sync_info(w.pdp->sync, pep[i].name, &s) && pep_in_sync(&pep[i]);
}

static bool all_in_sync(int n)
{
	while (n > 0 && in_sync(n - 1))
		n--;
	return n == 0;
}

static void apply_mesh(size_t n, bool allow)
{
	char *xml = world_mesh(n, "", false);
	char *at = strstr(xml, "internet=");

	/* as long as what it replaces */
	if (allow)
		memcpy(at, "leave=\"allow\"     ", 17);
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
}

static void again(int i)
{
	if (pep[i].io != NULL)
		pep_drop(&pep[i]);
	pep_connect(&pep[i]);
}

/* Its connection is cut, and the server has seen it. */
static void away(int i)
{
	pep_drop(&pep[i]);
	until(&w, pep_info(&pep[i]).state == SYNC_OFFLINE);
}

static void mesh_up(bool allow)
{
	apply_mesh(PEPS, allow);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, all_in_sync(PEPS));
}

static void done(const char *cmd, json_t *args)
{
	const char *code;
	json_t *r = world_call(&w, cmd, args, &code);

	ck_assert_msg(code[0] == '\0', "%s: %s", cmd, code);
	json_decref(r);
}

static void refused_as(const char *expected, const char *cmd, json_t *args)
{
	const char *code;
	json_t *r = world_call(&w, cmd, args, &code);

	ck_assert_str_eq(code, expected);
	json_decref(r);
}

/* What "show vpn" says of the only one that went; "" if there is none. */
static const char *departure(const char *key)
{
	static char text[200];
	const char *code;
	json_t *r = world_call(&w, "show vpn", json_pack("{s:s}", "name", "v"), &code);
	json_t *list = json_object_get(r, "departures");

	ck_assert_uint_le(json_array_size(list), 1);
	snprintf(text, sizeof(text), "%s", json_get_string(json_array_get(list, 0), key, ""));
	json_decref(r);
	return text;
}

static const char *first_wait(void)
{
	static char text[200];
	const char *code;
	json_t *r = world_call(&w, "show vpn", json_pack("{s:s}", "name", "v"), &code);
	json_t *d = json_array_get(json_object_get(r, "departures"), 0);
	const char *s = json_string_value(json_array_get(json_object_get(d, "waits_for"), 0));

	snprintf(text, sizeof(text), "%s", s != NULL ? s : "");
	json_decref(r);
	return text;
}

static const struct departure *gone(int i)
{
	const struct departure *found = NULL;

	for (uint32_t m = 1; m <= PEPS && found == NULL; m++)
		if (strcmp(membership_ce(w.pdp, m), pep[i].name) == 0)
			found = departed_find(w.pdp->db.departed, m);
	return found;
}

/* How many ceVpnPeerPrefix rows have no peer: their prefixes are discarded. */
static void count_blocked(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *p = row->data;

	*(size_t *)arg += p->peer == 0;
}

static size_t blocked(int i)
{
	size_t n = 0;

	pib_store_each(pep[i].rows, &pib_ce_vpn_peer_prefix_class, count_blocked, &n);
	return n;
}

/* ----------------------------------------------------------------- confirmed removal */

/* Success is not enough while the kernel owes; one that is away confirms when it is back. */
START_TEST(removal_is_confirmed)
{
	mesh_up(false);
	away(2);
	pep[1].owed = 3; /* said before the report on what comes */
	pep_request(&pep[1], false, NULL, 0);
	until(&w, pep[1].asked == 0);
	pep[0].hold = true;
	apply_mesh(3, false);
	until(&w, pep[0].txn != NULL && in_sync(1));
	settle(&w, 1300);
	ck_assert_ptr_nonnull(gone(3));
	ck_assert_uint_eq(gone(3)->waits, 3);
	ck_assert_str_eq(departure("state"), "leaving: 0 of 3 peers have confirmed");
	pep_release(&pep[0]);
	until(&w, gone(3)->waits == 2);
	ck_assert_str_eq(departure("how"), "edit");
	pep[1].owed = 0;
	pep_request(&pep[1], false, NULL, 0);
	until(&w, gone(3)->waits == 1);
	ck_assert_str_eq(first_wait(), "ce2: offline");

	world_restart(&w);
	settle(&w, 1300);
	ck_assert_uint_eq(gone(3)->waits, 1);
	ck_assert_str_eq(departure("state"), "leaving: 2 of 3 peers have confirmed");
	again(2);
	until(&w, gone(3)->waits == 0);
	ck_assert_str_eq(departure("state"), "out");
	ck_assert_int_ne(gone(3)->out_at, 0);
	world_restart(&w);
	ck_assert_str_eq(departure("state"), "out");
	apply_mesh(PEPS, false); /* it is back */
	ck_assert_ptr_null(gone(3));
	ck_assert_str_eq(departure("state"), "");
}
END_TEST

static void count_waits(void *arg, const struct departure *x)
{
	*(size_t *)arg += x->waits;
}

/* Of a change by which many go no more pairs are followed than of many such changes. */
START_TEST(pairs_are_bounded)
{
	size_t waits;

	for (int i = 0; i < 2; i++) {
		apply_mesh(1100, false);
		waits = 0;
		departed_each(w.pdp->db.departed, count_waits, &waits);
		ck_assert_uint_eq(waits, 0);
		apply_mesh(2, false);
		departed_each(w.pdp->db.departed, count_waits, &waits);
		ck_assert_uint_gt(waits, DEPARTED_WAITS_MAX / 2);
		ck_assert_uint_le(waits, DEPARTED_WAITS_MAX);
	}
}
END_TEST

/* ----------------------------------------------------------------------- to leave */

START_TEST(leave_allowed)
{
	const char *code;
	json_t *r;

	mesh_up(true);
	pep[3].leave = 1;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, pep_rows(&pep[3], "ceVpn") == 0);
	ck_assert_uint_eq(pep_rows(&pep[3], "ceVpnPeer"), 0);
	pep[3].left = pep[3].leave;
	pep[3].leave = 0;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, all_in_sync(3) && gone(3) != NULL && gone(3)->waits == 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 2);
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeerPrefix"), 3);
		ck_assert_uint_eq(blocked(i), 1); /* nothing goes there in clear */
		ck_assert(pep_matches(&pep[i]));
	}
	ck_assert_str_eq(departure("how"), "left");
	r = world_call(&w, "show history", NULL, &code);
	ck_assert_str_eq(json_get_string(json_array_get(r, 0), "who", ""), "ce3");
	ck_assert_str_eq(json_get_string(json_array_get(r, 0), "comment", ""), "moved");
	json_decref(r);

	apply_mesh(PEPS, false); /* it stays out */
	until(&w, all_in_sync(3));
	ck_assert_uint_eq(blocked(0), 1);
	world_restart(&w);
	for (int i = 0; i < 3; i++)
		again(i);
	until(&w, all_in_sync(3));
	ck_assert(pep_matches(&pep[0]));
	ck_assert_uint_eq(blocked(0), 1);

	refused_as("not_found", "readmit", json_pack("{s:s, s:s}", "ce", "ce2", "vpn", "v"));
	done("readmit", json_pack("{s:s, s:s, s:b}", "ce", "ce3", "vpn", "v", "no-wait", 1));
	again(3);
	until(&w, all_in_sync(PEPS));
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(blocked(i), 0);
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 3);
		ck_assert(pep_matches(&pep[i]));
	}
	ck_assert_ptr_null(gone(3));
}
END_TEST

static size_t requests(void)
{
	const char *code;
	json_t *r = world_call(&w, "show requests", NULL, &code);
	size_t n = json_array_size(r);

	json_decref(r);
	return n;
}

START_TEST(leave_held)
{
	unsigned errors;

	mesh_up(false);
	pep[3].leave = 1;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, pep[3].asked == 0);
	settle(&w, 1300);
	ck_assert_uint_eq(requests(), 1);
	ck_assert_uint_eq(pep_rows(&pep[3], "ceVpn"), 1);
	refused_as("not_found", "deny", json_pack("{s:s, s:s}", "ce", "ce2", "vpn", "v"));

	/* denied: the CE is asked what it has, and the row is refused */
	errors = pep[3].frwk_errors;
	done("deny", json_pack("{s:s, s:s, s:s}", "ce", "ce3", "vpn", "v", "reason", "not now"));
	until(&w, pep[3].frwk_errors == errors + 1);
	pep[3].leave = 0;
	pep_request(&pep[3], true, NULL, 0);
	until(&w, pep[3].asked == 0 && in_sync(3));
	ck_assert_uint_eq(requests(), 0);
	ck_assert_ptr_null(verdicts_find(w.pdp->db.verdicts, VERDICT_DENIED, "ce3", "c/v"));

	/* it may ask again; denied while it is away, it hears of that when it comes */
	pep[3].leave = 1;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, requests() == 1);
	away(3);
	done("deny", json_pack("{s:s, s:s}", "ce", "ce3", "vpn", "v"));
	world_restart(&w);
	errors = pep[3].frwk_errors;
	again(3);
	until(&w, pep[3].frwk_errors == errors + 1);
	pep[3].leave = 0;
	pep_request(&pep[3], true, NULL, 0);
	until(&w, pep[3].asked == 0);

	/* allowed */
	for (int i = 0; i < 3; i++)
		again(i);
	until(&w, all_in_sync(PEPS));
	pep[3].leave = 1;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, requests() == 1);
	done("allow", json_pack("{s:s, s:s, s:b}", "ce", "ce3", "vpn", "c/v", "no-wait", 1));
	until(&w, pep_rows(&pep[3], "ceVpn") == 0);
	ck_assert_uint_eq(requests(), 0);
	apply_mesh(3, false); /* the document has it no more: nothing is left of it */
	ck_assert_ptr_null(verdicts_find(w.pdp->db.verdicts, VERDICT_LEFT, "ce3", "c/v"));
	until(&w, all_in_sync(3));
	ck_assert_uint_eq(blocked(0), 0);
	ck_assert(pep_matches(&pep[0]));
	until(&w, pep[3].ended); /* it left the intent */
	apply_mesh(PEPS, false);
	pep[3].leave = 0;
	again(3);
	until(&w, all_in_sync(PEPS));
	ck_assert_uint_eq(pep_rows(&pep[3], "ceVpn"), 1);
}
END_TEST

/* A VPN in two rows is refused, and what a CE says is shown whatever it is. */
START_TEST(leave_in_bad_words)
{
	const char *code;
	unsigned errors;
	json_t *r;

	mesh_up(false);
	errors = pep[3].frwk_errors;
	pep[3].leave = 1;
	pep[3].twice = true;
	pep_request(&pep[3], false, NULL, 0);
	until(&w, pep[3].frwk_errors == errors + 1);
	ck_assert_uint_eq(requests(), 0);
	pep[3].twice = false;
	pep[3].why = "m\xff\xfeve";
	pep_request(&pep[3], false, NULL, 0);
	until(&w, pep[3].asked == 0);
	r = world_call(&w, "show requests", NULL, &code);
	ck_assert_str_eq(json_get_string(json_array_get(r, 0), "reason", ""), "m??ve");
	json_decref(r);
	done("allow", json_pack("{s:s, s:s, s:b}", "ce", "ce3", "vpn", "v", "no-wait", 1));
	r = world_call(&w, "show history", NULL, &code);
	ck_assert_str_eq(json_get_string(json_array_get(r, 0), "comment", ""), "m??ve");
	json_decref(r);
}
END_TEST

/* -------------------------------------------------------------------------- revoked */

static int full_disk(struct store *s, const struct store_generation *g, const char *const *customer,
    size_t customers, const char *const *deleted, size_t deletions, struct ids *ids, char *err,
    size_t err_len)
{
	(void)s, (void)g, (void)customer, (void)customers, (void)deleted, (void)deletions,
	    (void)ids;
	snprintf(err, err_len, "disk full");
	return -1;
}

/* What cannot be stored is not done, and what was known of it is known as before. */
START_TEST(reinstated_on_a_full_disk)
{
	struct store_ops broken = store_sqlite_ops;
	const char *code;
	json_t *r;

	mesh_up(false);
	broken.commit_generation = full_disk;
	w.pdp->db.ops = &broken;
	refused_as("failed", "revoke", json_pack("{s:s}", "ce", "ce3"));
	ck_assert(!acl_revoked(w.pdp->acl, "ce3"));
	w.pdp->db.ops = &store_sqlite_ops;
	done("revoke", json_pack("{s:s, s:s, s:b}", "ce", "ce3", "reason", "stolen", "no-wait", 1));
	until(&w, pep[3].ended);
	w.pdp->db.ops = &broken;
	refused_as("failed", "reinstate", json_pack("{s:s}", "ce", "ce3"));
	w.pdp->db.ops = &store_sqlite_ops;
	ck_assert(acl_revoked(w.pdp->acl, "ce3"));
	r = world_call(&w, "show ce", json_pack("{s:s}", "name", "ce3"), &code);
	ck_assert_str_eq(json_get_string(r, "state", ""), "revoked");
	ck_assert_str_eq(json_get_string(r, "reason", ""), "stolen");
	json_decref(r);
}
END_TEST

START_TEST(revoked)
{
	const char *code;
	json_t *r;

	mesh_up(false);
	away(2); /* misses it */
	done("revoke", json_pack("{s:s, s:s, s:b}", "ce", "CE3", "reason", "stolen", "no-wait", 1));
	until(&w, pep[3].ended);
	ck_assert_uint_eq(pep[3].cc_error, COPS_ERR_AUTH_FAILURE);
	ck_assert_uint_eq(pep_rows(&pep[3], "ceVpn"), 1); /* it was told nothing */
	until(&w, all_in_sync(2));
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 2);
		ck_assert_uint_eq(blocked(i), 1);
		ck_assert(pep_matches(&pep[i]));
	}
	refused_as("refused", "revoke", json_pack("{s:s}", "ce", "ce3"));
	refused_as("not_found", "revoke", json_pack("{s:s}", "ce", "ce77"));
	again(3);
	until(&w, pep[3].ended);
	ck_assert_uint_eq(pep[3].cc_error, COPS_ERR_AUTH_FAILURE);
	ck_assert(!pep[3].up);

	r = world_call(&w, "check", json_pack("{s:o}", "content", json_string("<x/>")), &code);
	ck_assert_str_eq(code, "refused");
	json_decref(r);
	apply_mesh(PEPS, false); /* also through later documents, and a restart */
	world_restart(&w);
	ck_assert(acl_revoked(w.pdp->acl, "ce3"));
	again(3);
	until(&w, pep[3].ended);
	for (int i = 0; i < 3; i++)
		again(i);
	until(&w, all_in_sync(3));
	ck_assert(pep_matches(&pep[2]));
	ck_assert_uint_eq(blocked(2), 1);
	until(&w, gone(3) != NULL && gone(3)->waits == 0);
	ck_assert_str_eq(departure("how"), "revoked");
	r = world_call(&w, "show ce", json_pack("{s:s}", "name", "ce3"), &code);
	ck_assert_str_eq(json_get_string(r, "state", ""), "revoked");
	ck_assert_str_eq(json_get_string(r, "reason", ""), "stolen");
	json_decref(r);

	done("reinstate", json_pack("{s:s, s:b}", "ce", "ce3", "no-wait", 1));
	again(3);
	until(&w, all_in_sync(PEPS));
	for (int i = 0; i < PEPS; i++) {
		ck_assert_uint_eq(pep_rows(&pep[i], "ceVpnPeer"), 3);
		ck_assert_uint_eq(blocked(i), 0);
		ck_assert(pep_matches(&pep[i]));
	}
	refused_as("not_found", "reinstate", json_pack("{s:s}", "ce", "ce3"));
}
END_TEST

/* A VPN "v" of three, with sites 10.0.i.0/24; of which ce0 may learn, and what. */
static void apply_managed(const char *learn)
{
	char xml[2048];

	snprintf(xml, sizeof(xml),
	    "<intent xmlns=\"urn:copsvpn:intent:1\"><customer name=\"c\">"
	    "<ce name=\"ce0\" address=\"192.0.2.1\"/><ce name=\"ce1\" address=\"192.0.2.2\"/>"
	    "<ce name=\"ce2\" address=\"192.0.2.3\"/>"
	    "<vpn name=\"v\" id=\"00005e:00000001\" topology=\"full-mesh\" routing=\"managed\">"
	    "<member ce=\"ce0\"><site prefix=\"10.0.0.0/24\"/>%s</member>"
	    "<member ce=\"ce1\"><site prefix=\"10.0.1.0/24\"/></member>"
	    "<member ce=\"ce2\"><site prefix=\"10.0.2.0/24\"/></member>"
	    "</vpn></customer></intent>",
	    learn);
	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
}

/* What an excluded member had learned is discarded like its sites, until it is back. */
START_TEST(learned_is_withheld)
{
	const char *both = "<learn prefix=\"10.10.0.0/16\"/><learn prefix=\"2001:db8::/32\"/>";
	struct pep_net net[] = {
	    {1, 0, "10.10.1.0/24"}, {2, 0, "2001:db8:1::/48"}, {3, 0, "10.10.2.0/24"}};
	bool many;

	apply_managed(both);
	for (int i = 0; i < 3; i++)
		pep_connect(&pep[i]);
	until(&w, all_in_sync(3));
	for (int i = 0; i < 3; i++)
		net[i].vpn = registry_vpn(w.pdp->db.registry, "v", &many)->id->number;
	pep_learned(&pep[0], false, NULL, 0, net, 3);
	until(&w, all_in_sync(3) && pep_rows(&pep[1], "ceVpnPeerPrefix") == 5);
	net[2].prefix = NULL; /* gone before that */
	pep_learned(&pep[0], false, NULL, 0, &net[2], 1);
	until(&w, all_in_sync(3) && pep_rows(&pep[2], "ceVpnPeerPrefix") == 4);
	away(2); /* misses it */
	done("revoke", json_pack("{s:s, s:b}", "ce", "ce0", "no-wait", 1));
	until(&w, pep[0].ended && in_sync(1) && !learned_pending(w.pdp->db.learned));
	ck_assert_uint_eq(blocked(1), 3);
	ck_assert(pep_matches(&pep[1]));
	again(2);
	until(&w, in_sync(2));
	ck_assert_uint_eq(blocked(2), 3);
	ck_assert(pep_matches(&pep[2]));

	/* also after a restart and by documents, as far as they still have it learn that */
	world_restart(&w);
	again(1);
	again(2);
	until(&w, in_sync(1) && in_sync(2));
	ck_assert_uint_eq(blocked(1), 3);
	ck_assert(pep_matches(&pep[1]));
	apply_managed("<learn prefix=\"10.10.0.0/16\"/>");
	until(&w, in_sync(1) && in_sync(2));
	ck_assert_uint_eq(blocked(1), 2);
	ck_assert(pep_matches(&pep[1]));

	done("reinstate", json_pack("{s:s, s:b}", "ce", "ce0", "no-wait", 1));
	until(&w, in_sync(1) && in_sync(2));
	ck_assert_uint_eq(blocked(1), 0);
	again(0);
	until(&w, all_in_sync(3));
	pep_learned(&pep[0], false, NULL, 0, net, 1);
	until(&w, all_in_sync(3) && pep_rows(&pep[2], "ceVpnPeerPrefix") == 3);
	for (int i = 0; i < 3; i++)
		ck_assert(pep_matches(&pep[i]));
}
END_TEST

/* A former peer that is revoked will never say anything: nobody waits for it. */
START_TEST(revoked_peer_is_not_waited_for)
{
	mesh_up(false);
	away(2);
	apply_mesh(3, false);
	until(&w, gone(3) != NULL && gone(3)->waits == 1);
	done("revoke", json_pack("{s:s, s:b}", "ce", "ce2", "no-wait", 1));
	until(&w, gone(3)->waits == 0);
	ck_assert_uint_eq(gone(3)->peers, 2);
	ck_assert_uint_eq(gone(3)->mute, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("membership");
	TCase *t = tcase_create("membership");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, removal_is_confirmed);
	tcase_add_test(t, leave_allowed);
	tcase_add_test(t, leave_held);
	tcase_add_test(t, revoked);
	tcase_add_test(t, pairs_are_bounded);
	tcase_add_test(t, leave_in_bad_words);
	tcase_add_test(t, reinstated_on_a_full_disk);
	tcase_add_test(t, learned_is_withheld);
	tcase_add_test(t, revoked_peer_is_not_waited_for);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
