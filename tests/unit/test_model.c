/*
 * test_model.c - who sees whom, in every topology: one letter per pair, a row per receiver.
 * s self, P peer, v via the relay, b blocked, . nothing.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/intent.h"

static struct ids *ids;
static struct intent in;

static void setup(void)
{
	ids = ids_new();
}

static void teardown(void)
{
	intent_clear(&in);
	ids_free(ids);
}

static struct model_vpn *read_vpn(const char *vpn)
{
	struct intent_env env = {.ids = ids, .max_octets = 1 << 20};
	struct diag diag;
	char text[4000];

	intent_clear(&in);
	snprintf(text, sizeof(text),
	    "<intent xmlns='urn:copsvpn:intent:1'><customer name='c'>"
	    "<ce name='a' address='192.0.2.1'/><ce name='b' address='192.0.2.2'/>"
	    "<ce name='c' address='192.0.2.3'/><ce name='d' address='192.0.2.4'/>"
	    "<vpn name='v' id='00005e:00000001' %s</vpn></customer></intent>",
	    vpn);
	diag_init(&diag);
	int r = intent_parse("model", text, strlen(text), &env, &in, &diag);
	if (r < 0)
		diag_print(&diag, stderr);
	ck_assert_int_eq(r, 0);
	diag_clear(&diag);
	return &in.customer[0]->vpn[0];
}

#define MESH_MEMBERS "<member ce='a'/><member ce='b'/><member ce='c'/><member ce='d'/>"
#define SPACE	     "<space prefix='10.0.0.0/8'/>"
#define STAR                                                                                       \
	"<member ce='a' role='hub'/><member ce='b' role='spoke'/><member ce='c' role='spoke'/>"    \
	"<member ce='d'/>"
#define TWO_HUBS                                                                                   \
	"<member ce='a'/><member ce='b' role='hub'/><member ce='c'/><member ce='d' role='hub'/>"
#define LINKS "<link a='a' b='b'/><link a='c' b='b'/>"

static const struct {
	const char *vpn;
	const char *views;
	const char *via;
} cases[] = {
    {">" MESH_MEMBERS, "sPPP PsPP PPsP PPPs", NULL},
    {">" MESH_MEMBERS SPACE, "sPPP PsPP PPsP PPPs", NULL},
    {"topology='hub-and-spoke'>" STAR, "sPPP Psbb Pbsb Pbbs", NULL},
    {"topology='hub-and-spoke'>" STAR SPACE, "sPPP Ps.. P.s. P..s", NULL},
    {"topology='hub-and-spoke' relay='yes'>" STAR, "sPPP Psvv Pvsv Pvvs", "a"},
    {"topology='hub-and-spoke' relay='yes'>" STAR SPACE, "sPPP Ps.. P.s. P..s", "a"},
    {"topology='hub-and-spoke' relay='yes'>" TWO_HUBS, "sPvP PsPP vPsP PPPs", "b"},
    {"topology='hub-and-spoke'>" TWO_HUBS SPACE, "sP.P PsPP .PsP PPPs", NULL},
    {"topology='links'>" MESH_MEMBERS LINKS, "sPbb PsPb bPsb bbbs", NULL},
    {"topology='links'>" MESH_MEMBERS LINKS SPACE, "sP.. PsP. .Ps. ...s", NULL},
    {"topology='links'>" MESH_MEMBERS, "sbbb bsbb bbsb bbbs", NULL},
};

static char letter(enum view v)
{
	static const char letters[] = ".sPvb";
	return letters[v];
}

START_TEST(views)
{
	struct model_vpn *v = read_vpn(cases[_i].vpn);
	const struct model_member *via;
	char seen[40] = "";
	size_t at = 0;

	ck_assert_uint_eq(v->members, 4);
	for (size_t r = 0; r < 4; r++) {
		if (r)
			seen[at++] = ' ';
		for (size_t m = 0; m < 4; m++) {
			enum view w = model_view(&v->member[r], &v->member[m], &via);
			seen[at++] = letter(w);
			ck_assert_int_eq(via != NULL, w == VIEW_VIA);
			if (via)
				ck_assert_str_eq(via->ce->name, cases[_i].via);
		}
		bool relays = cases[_i].via && !strcmp(v->member[r].ce->name, cases[_i].via);
		ck_assert_int_eq(model_relays(&v->member[r]), relays);
	}
	ck_assert_str_eq(seen, cases[_i].views);
}
END_TEST

/* b and c (and a, in the last) are behind NAT. */
START_TEST(nat)
{
	static const struct {
		const char *vpn;
		const char *nat;
		const char *views;
	} c[] = {
	    {">" MESH_MEMBERS, "b", "sPPP PsPP PPsP PPPs"},
	    {">" MESH_MEMBERS, "bc", "sPPP PsbP PbsP PPPs"},
	    {">" MESH_MEMBERS SPACE, "bc", "sPPP PsbP PbsP PPPs"},
	    {"topology='hub-and-spoke' relay='yes'>" STAR, "ab", "sbPP bsbb Pvsv Pvvs"},
	    {"topology='hub-and-spoke' relay='yes'>" STAR SPACE, "ab", "sbPP bs.. P.s. P..s"},
	    {"keying='ike'>" MESH_MEMBERS, "bc", "sPPP PsPP PPsP PPPs"},
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		struct model_vpn *v = read_vpn(c[i].vpn);
		const struct model_member *via;
		char seen[40] = "";
		size_t at = 0;

		for (size_t k = 0; k < 4; k++) {
			struct model_ce *ce = &in.customer[0]->ce[k];
			ce->nat = strstr(c[i].nat, ce->name) != NULL;
		}
		for (size_t r = 0; r < 4; r++) {
			if (r)
				seen[at++] = ' ';
			for (size_t m = 0; m < 4; m++)
				seen[at++] = letter(model_view(&v->member[r], &v->member[m], &via));
		}
		ck_assert_str_eq(seen, c[i].views);
	}
}
END_TEST

/* The cursor gives exactly whom the view shows, once. */
START_TEST(cursor)
{
	struct model_vpn *v = read_vpn(cases[_i].vpn);
	const struct model_member *via;
	struct model_member *m;
	struct model_seen s;

	for (size_t r = 0; r < 4; r++) {
		unsigned given[4] = {0};
		size_t n = 0;
		model_seen_init(&s, &v->member[r]);
		while ((m = model_seen_next(&s))) {
			given[m - v->member]++;
			n++;
		}
		ck_assert_uint_le(n, s.count);
		for (size_t k = 0; k < 4; k++) {
			enum view w = model_view(&v->member[r], &v->member[k], &via);
			ck_assert_uint_eq(given[k], w != VIEW_NONE && w != VIEW_SELF);
		}
	}
}
END_TEST

START_TEST(lookups)
{
	struct model_vpn *v = read_vpn("topology='hub-and-spoke'>" TWO_HUBS);
	struct customer *c = v->customer;

	ck_assert_uint_eq(v->hubs, 2);
	ck_assert_str_eq(v->hub[0]->ce->name, "b");
	ck_assert_ptr_eq(customer_vpn_find(c, "v"), v);
	ck_assert_ptr_null(customer_vpn_find(c, "w"));
	ck_assert_ptr_eq(customer_vpn_by_number(c, v->id->number), v);
	ck_assert_ptr_null(customer_vpn_by_number(c, 77));
	ck_assert_ptr_eq(vpn_member_find(v, v->member[2].id->number), &v->member[2]);
	ck_assert_ptr_null(vpn_member_find(v, 77));
	ck_assert_ptr_eq(vpn_member_of(v, customer_ce_find(c, "d")), &v->member[3]);
	struct customer *second = customer_ref(c);
	customer_unref(second);
	ck_assert_str_eq(c->name, "c");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("model");
	TCase *t = tcase_create("model");
	int n = sizeof(cases) / sizeof(cases[0]);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, views, 0, n);
	tcase_add_loop_test(t, cursor, 0, n);
	tcase_add_test(t, nat);
	tcase_add_test(t, lookups);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
