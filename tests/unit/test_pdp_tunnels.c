/*
 * test_pdp_tunnels.c - the policy server and what CEs report of their tunnels: who is asked, once a
 * connection and when VPNs change; what "show tunnels" says of each end, and why it is down.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "pdp/sync.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "tests/unit/pdp_pep.h"

#define PEPS 2

static struct world w;
static struct pep pep[PEPS];

static void setup(void)
{
	world_init(&w, false);
	peps_init(pep, PEPS, &w);
	for (int i = 0; i < PEPS; i++)
		pep[i].reports = true;
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

static size_t links(int i)
{
	return pep_rows(&pep[i], "frwkFeedbackLink");
}

static void apply(size_t n, bool hub)
{
	char *xml = world_mesh(n, "", hub);

	ck_assert_int_eq(world_apply(&w, xml), CHANGE_OK);
	free(xml);
}

/* A hub ce0 and PEPS spokes after it, of which the last is never there. */
static void up(void)
{
	apply(PEPS + 1, true);
	for (int i = 0; i < PEPS; i++)
		pep_connect(&pep[i]);
	until(&w, in_sync(0) && in_sync(1) && links(0) == 1 && links(1) == 1);
}

static uint32_t member(int i)
{
	char name[16];
	bool many;
	const struct model_vpn *v = registry_vpn(w.pdp->db.registry, "v", &many);

	snprintf(name, sizeof(name), "ce%d", i);
	for (size_t k = 0; k < v->members; k++)
		if (strcmp(v->member[k].ce->name, name) == 0)
			return v->member[k].id->number;
	ck_abort_msg("no member %s", name);
}

static uint32_t vpn(void)
{
	bool many;

	return registry_vpn(w.pdp->db.registry, "v", &many)->id->number;
}

static struct pib_ce_vpn_peer_status row(int to, int32_t state, int32_t why)
{
	return (struct pib_ce_vpn_peer_status) {.id = 100 + (uint32_t)to,
	    .link_ref_id = vpn(),
	    .peer = member(to),
	    .state = state,
	    .why = why,
	    .since = 1000,
	    .spi_in = 0x111,
	    .spi_out = 0x222,
	    .packets_in = 1,
	    .octets_in = 2,
	    .packets_out = 3,
	    .octets_out = 4};
}

#define UP   PIB_CE_VPN_PEER_STATUS_STATE_UP
#define DOWN PIB_CE_VPN_PEER_STATUS_STATE_DOWN
#define NONE PIB_CE_VPN_PEER_STATUS_WHY_NONE

static json_t *call(const char *ce, bool down, const char **code)
{
	json_t *args = json_pack("{s:s}", "vpn", "v");

	if (ce != NULL)
		json_object_set_new(args, "ce", json_string(ce));
	if (down)
		json_object_set_new(args, "down", json_true());
	return world_call(&w, "show tunnels", args, code);
}

/* The line of a tunnel as ce sees it. */
static json_t *line(const char *ce, const char *peer)
{
	json_t *list = call(ce, false, NULL), *found = NULL, *o;
	size_t i;

	json_array_foreach(list, i, o)
	{
		ck_assert_str_eq(json_get_string(o, "ce", ""), ce);
		if (strcmp(json_get_string(o, "peer", ""), peer) == 0)
			found = json_incref(o);
	}
	json_decref(list);
	ck_assert_ptr_nonnull(found);
	return found;
}

static void is(const char *ce, const char *peer, const char *state, const char *why)
{
	json_t *o = line(ce, peer);

	ck_assert_str_eq(json_get_string(o, "state", ""), state);
	ck_assert_msg(strstr(json_get_string(o, "why", ""), why) != NULL, "why: %s",
	    json_get_string(o, "why", ""));
	json_decref(o);
}

static bool reported(const char *ce, const char *peer, const char *state)
{
	json_t *o = line(ce, peer);
	bool yes = strcmp(json_get_string(o, "reported", ""), state) == 0;

	json_decref(o);
	return yes;
}

START_TEST(asked_once)
{
	unsigned decs;

	up();
	settle(&w, 50);
	decs = pep[0].decs;
	apply(PEPS + 3, true); /* more spokes: no more links */
	until(&w, in_sync(0));
	settle(&w, 50);
	ck_assert_uint_eq(pep[0].decs, decs + 1);
	ck_assert_uint_eq(links(0), 1);
	pep_drop(&pep[0]); /* asked again, and nothing else */
	until(&w, info(0).state == SYNC_OFFLINE);
	pep_connect(&pep[0]);
	until(&w, in_sync(0) && pep[0].decs == decs + 2);
	settle(&w, 50);
	ck_assert_uint_eq(pep[0].decs, decs + 2);
	ck_assert_uint_eq(info(0).decisions - decs, 0); /* no policy was among it */
}
END_TEST

START_TEST(asked_only_who_can)
{
	pep[1].reports = false;
	apply(PEPS + 1, true);
	pep_connect(&pep[0]);
	pep_connect(&pep[1]);
	until(&w, in_sync(0) && in_sync(1) && links(0) == 1);
	settle(&w, 50);
	ck_assert_uint_eq(links(1), 0);
	is("ce1", "ce0", "unknown", "ce1 does not report on tunnels");
	is("ce0", "ce1", "unknown", "ce0 has not reported yet");
}
END_TEST

START_TEST(what_both_ends_say)
{
	struct pib_ce_vpn_peer_status r;
	json_t *o;

	up();
	r = row(1, UP, NONE);
	pep_usage(&pep[0], &r, 1);
	until(&w, reported("ce0", "ce1", "up"));
	is("ce0", "ce1", "up", "");
	o = line("ce0", "ce1");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "packets_in")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "octets_in")), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "packets_out")), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "octets_out")), 4);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "since_at")), 1000);
	ck_assert_str_eq(json_get_string(o, "spi_in", ""), "0x00000111");
	ck_assert_str_eq(json_get_string(o, "spi_out", ""), "0x00000222");
	json_decref(o);
	is("ce1", "ce0", "unknown", "ce1 has not reported yet");
	/* the other end says why it is not */
	r = row(0, DOWN, PIB_CE_VPN_PEER_STATUS_WHY_KERNEL_REFUSED);
	r.error = (struct pib_octets) {(const uint8_t *)"out of memory", 13};
	pep_usage(&pep[1], &r, 1);
	until(&w, reported("ce1", "ce0", "down"));
	is("ce1", "ce0", "down", "the kernel refused it: out of memory");
	is("ce0", "ce1", "down", "ce1 says: the kernel refused it: out of memory");
	o = call(NULL, true, NULL);
	ck_assert_uint_eq(json_array_size(o), 4); /* both ends of both tunnels */
	json_decref(o);
	r = row(0, UP, NONE);
	pep_usage(&pep[1], &r, 1);
	until(&w, reported("ce1", "ce0", "up"));
	is("ce1", "ce0", "up", "");
	is("ce0", "ce1", "up", "");
	o = call(NULL, true, NULL);
	ck_assert_uint_eq(json_array_size(o), 2);
	json_decref(o);
}
END_TEST

START_TEST(who_is_not_there)
{
	struct pib_ce_vpn_peer_status r[2];

	up();
	r[0] = row(1, UP, NONE);
	r[1] = row(2, DOWN, PIB_CE_VPN_PEER_STATUS_WHY_NO_PEER_KEY);
	pep_usage(&pep[0], r, 2);
	r[0] = row(0, UP, NONE);
	pep_usage(&pep[1], r, 1);
	until(&w, reported("ce0", "ce2", "down") && reported("ce1", "ce0", "up"));
	is("ce0", "ce2", "down", "the peer has published no key: ce2 has never connected");
	is("ce2", "ce0", "down", "ce2 has never connected");
	pep_drop(&pep[1]);
	until(&w, info(1).state == SYNC_OFFLINE);
	is("ce1", "ce0", "unknown", "ce1 is not connected since 2");
	is("ce0", "ce1", "unknown", "ce1 is not connected since 2");
	ck_assert(reported("ce1", "ce0", "up"));
}
END_TEST

START_TEST(who_refused)
{
	apply(PEPS + 1, true);
	pep[1].refuse = true;
	pep_connect(&pep[0]);
	pep_connect(&pep[1]);
	until(&w, in_sync(0) && info(1).failed);
	is("ce1", "ce0", "down", "ce1 refused ceVpn.1");
	ck_assert_uint_eq(links(1), 0);
}
END_TEST

/* What a CE says of others than its peers is nothing, and a row that is none ends the report alone.
 */
START_TEST(nonsense)
{
	struct pib_ce_vpn_peer_status r[3];

	up();
	r[0] = row(2, UP, NONE); /* spokes do not see each other */
	r[1] = row(0, UP, NONE);
	r[1].link_ref_id = 77;
	r[2] = row(0, UP, NONE);
	r[2].peer = 7777;
	pep_usage(&pep[1], r, 3);
	settle(&w, 50);
	is("ce1", "ce0", "unknown", "ce1 has not reported yet");
	r[0] = row(0, UP, NONE);
	r[0].state = 99;
	pep_usage(&pep[1], r, 1);
	r[0] = row(0, UP, NONE);
	r[1] = row(0, UP, NONE); /* twice */
	pep_usage(&pep[1], r, 2);
	until(&w, reported("ce1", "ce0", "up"));
	ck_assert(!pep[1].ended);
}
END_TEST

/* The CE leaves the VPN and comes back: what it said before is forgotten. */
START_TEST(vpn_left)
{
	struct pib_ce_vpn_peer_status r;
	const char *code;

	up();
	r = row(0, UP, NONE);
	pep_usage(&pep[1], &r, 1);
	until(&w, reported("ce1", "ce0", "up"));
	apply(1, true);
	until(&w, pep[1].ended || links(1) == 0);
	json_decref(call("ce1", false, &code));
	ck_assert_str_eq(code, "not_found");
	apply(2, true);
	pep_connect(&pep[1]);
	until(&w, in_sync(1) && links(1) == 1);
	is("ce1", "ce0", "unknown", "ce1 has not reported yet");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pdp tunnels");
	TCase *tc = tcase_create("tunnels");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, asked_once);
	tcase_add_test(tc, asked_only_who_can);
	tcase_add_test(tc, what_both_ends_say);
	tcase_add_test(tc, who_is_not_there);
	tcase_add_test(tc, who_refused);
	tcase_add_test(tc, nonsense);
	tcase_add_test(tc, vpn_left);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
