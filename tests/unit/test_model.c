/*
 * test_model.c - who sees whom, in every topology: one letter per pair, a row per receiver.
 * s self, P peer, v via the relay, b blocked, . nothing.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/intent.h"
#include "pdp/rows.h"

static struct ids *ids;
static struct intent in;
static const char *out_of[4][2]; /* {CE, VPN, or NULL: all}: who is excluded */

static void setup(void)
{
	ids = ids_new();
}

static void teardown(void)
{
	intent_clear(&in);
	ids_free(ids);
}

static bool is_excluded(void *arg, const char *customer, const char *vpn, const char *ce)
{
	(void)arg, (void)customer;
	for (size_t i = 0; i < 4; i++)
		if (out_of[i][0] && !strcmp(out_of[i][0], ce) &&
		    (!out_of[i][1] || (vpn && !strcmp(out_of[i][1], vpn))))
			return true;
	return false;
}

static void exclude(const char *ce, const char *vpn)
{
	for (size_t i = 0; i < 4; i++)
		if (!out_of[i][0]) {
			out_of[i][0] = ce;
			out_of[i][1] = vpn;
			return;
		}
}

static struct model_vpn *read_vpn(const char *vpn)
{
	struct intent_env env = {.ids = ids, .max_octets = 1 << 20, .excluded = is_excluded};
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
#define ROUTER_MEMBERS                                                                             \
	"<member ce='a' tunnel-address='10.255.0.1'/><member ce='b' tunnel-address='10.255.0.2'/>" \
	"<member ce='c' tunnel-address='10.255.0.3'/><member ce='d' tunnel-address='10.255.0.4'/>"
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
	    {"routing='dynamic'>" ROUTER_MEMBERS SPACE, "b", "sbPP bsbb PbsP PbPs"},
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

/* "0.0.0.0/0>b ::/0>b": what of the outside the member reaches, and through whom; "-": nobody. */
static void exit_is(struct model_vpn *v, const char *ce, const char *wanted)
{
	const struct model_ce *c = customer_ce_find(v->customer, ce);
	const struct model_member *m = c ? vpn_member_of(v, c) : NULL;
	char got[200] = "";
	char text[PREFIX_STRLEN];
	size_t n;

	ck_assert_ptr_nonnull(m);
	const struct model_prefix *p = model_internet(m, &n);
	struct rows_at at = rows_internet_at(m);
	const struct model_member *hub = at.peer ? vpn_member_find(v, at.peer) : NULL;
	for (size_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s>%s", i ? " " : "",
		    prefix_print(&p[i].prefix, text),
		    at.how == ROWS_INTERNET ? "here"
		    : at.how != ROWS_PEER   ? "?"
		    : hub		    ? hub->ce->name
					    : "-");
	ck_assert_msg(!strcmp(got, wanted), "%s: %s, not %s", ce, got, wanted);
}

#define VIA_HUB                                                                                    \
	"topology='hub-and-spoke' internet='via-hub'>"                                             \
	"<member ce='a'><site prefix='10.1.0.0/16'/><site prefix='2001:db8:1::/48'/></member>"     \
	"<member ce='b' role='hub'/><member ce='c'><site prefix='2001:db8:3::/48'/></member>"      \
	"<member ce='d' role='hub'/>"

/* The first hub that is not out; without one nobody has it, and it is not in clear either. */
START_TEST(internet_exit)
{
	struct model_vpn *v = read_vpn(VIA_HUB);

	exit_is(v, "a", "0.0.0.0/0>b ::/0>b");
	exit_is(v, "b", "0.0.0.0/0>here ::/0>here");
	exit_is(v, "c", "::/0>b");
	exit_is(v, "d", "");
	exclude("b", "v");
	v = read_vpn(VIA_HUB);
	exit_is(v, "a", "0.0.0.0/0>d ::/0>d");
	exit_is(v, "d", "0.0.0.0/0>here ::/0>here");
	exit_is(v, "c", "::/0>d");
	exclude("d", NULL);
	v = read_vpn(VIA_HUB);
	ck_assert_int_eq(rows_internet_at(&v->member[0]).how, ROWS_ABSENT);
	for (size_t i = 0; i < v->members; i++)
		ck_assert_int_eq(v->member[i].internet, INTERNET_VIA_HUB);
}
END_TEST

/* "10.1.0.0/16 ...": as they are sorted. */
static void prefixes_are(const struct model_prefix *p, size_t n, const char *wanted)
{
	char got[200] = "";
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
		    prefix_print(&p[i].prefix, text));
	ck_assert_msg(!strcmp(got, wanted), "%s, not %s", got, wanted);
}

#define EXTRANETS                                                                                  \
	">"                                                                                        \
	"<member ce='a'><site prefix='10.1.0.0/16'/></member>"                                     \
	"<member ce='b'><site prefix='10.2.0.0/16'/></member>"                                     \
	"<extranet from='w' prefix='10.8.1.0/24'/><extranet from='x' prefix='10.9.1.0/24'/>"       \
	"<extranet from='x' prefix='10.9.2.0/24'/></vpn>"                                          \
	"<vpn name='w' id='00005e:00000002'>"                                                      \
	"<member ce='b'><site prefix='10.8.0.0/16'/></member></vpn>"                               \
	"<vpn name='x' id='00005e:00000003'>"                                                      \
	"<member ce='c'><site prefix='10.9.0.0/16'/></member>"

/* Whoever brought a site of another VPN, and is out of either, has it withheld here. */
START_TEST(extranets_are_withheld)
{
	struct model_vpn *v = read_vpn(EXTRANETS);

	ck_assert_uint_eq(v->members, 3);
	prefixes_are(v->withheld, v->withhelds, "");
	prefixes_are(v->member[1].site, v->member[1].sites, "10.2.0.0/16 10.8.1.0/24");
	prefixes_are(v->member[2].site, v->member[2].sites, "10.9.1.0/24 10.9.2.0/24");
	ck_assert(v->member[2].extranet && !v->member[1].extranet);
	ck_assert(v->member[1].site[1].extranet && !v->member[1].site[0].extranet);

	exclude("b", "w"); /* out of the VPN whose site it is: a member here all the same */
	v = read_vpn(EXTRANETS);
	ck_assert_uint_eq(v->members, 3);
	prefixes_are(v->member[1].site, v->member[1].sites, "10.2.0.0/16");
	prefixes_are(v->withheld, v->withhelds, "10.8.1.0/24");

	exclude("c", "x"); /* a member for that alone */
	v = read_vpn(EXTRANETS);
	ck_assert_uint_eq(v->members, 2);
	prefixes_are(v->withheld, v->withhelds, "10.8.1.0/24 10.9.1.0/24 10.9.2.0/24");

	memset(out_of, 0, sizeof(out_of));
	exclude("b", "v"); /* out of this one */
	exclude("c", NULL);
	v = read_vpn(EXTRANETS);
	ck_assert_uint_eq(v->members, 1);
	prefixes_are(v->withheld, v->withhelds, "10.2.0.0/16 10.8.1.0/24 10.9.1.0/24 10.9.2.0/24");
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
	tcase_add_test(t, internet_exit);
	tcase_add_test(t, extranets_are_withheld);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
