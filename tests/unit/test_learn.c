/*
 * test_learn.c - what is learned of routes, in virtual time: places below the limit, restarts that
 * are held, flaps that are suppressed; and the filters of pep.conf.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/learn.h"
#include "pep/learn_conf.h"

#define OSPF 188
#define BGP  186

static uint32_t numbers;
static struct learn *l;
static int64_t now;

static void start(uint32_t max, int64_t hold_s, int64_t half_life_s)
{
	const struct learn_limits limits = {
	    .max = max, .hold_ms = hold_s * 1000, .half_life_ms = half_life_s * 1000};

	numbers = 0;
	now = 1000000;
	l = learn_new(&limits, &numbers);
	ck_assert_ptr_nonnull(l);
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	ck_assert_int_eq(prefix_parse(&p, text), PREFIX_OK);
	return p;
}

/* Routes "PREFIX PREFIX ...", by OSPF. */
static bool there_is(const char *text)
{
	char *copy = strdup(text);
	char *save = NULL;

	learn_begin(l);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct learn_route r = {
		    .dst = prefix(word), .protocol = OSPF, .table = 254, .interface = "lan"};
		learn_see(l, &r);
	}
	free(copy);
	return learn_end(l, now);
}

static void see_many(unsigned first, unsigned count, uint8_t protocol)
{
	char text[32];

	for (unsigned i = first; i < first + count; i++) {
		struct learn_route r = {.protocol = protocol, .table = 254, .interface = "lan"};

		snprintf(text, sizeof(text), "10.%u.%u.0/24", i / 256, i % 256);
		r.dst = prefix(text);
		learn_see(l, &r);
	}
}

struct found {
	struct prefix dst;
	enum learn_state state;
	bool there;
	uint32_t instance;
	int64_t until;
};

static void find(void *arg, const struct learn_shown *s)
{
	struct found *f = arg;

	if (prefix_cmp(&f->dst, &s->route->dst) != 0)
		return;
	f->there = true;
	f->state = s->state;
	f->instance = s->instance;
	f->until = s->until_ms;
}

static struct found look(const char *text)
{
	struct found f = {.dst = prefix(text)};

	learn_each(l, find, &f);
	return f;
}

#define IS(text, s)                                                                                \
	do {                                                                                       \
		struct found f_ = look(text);                                                      \
		ck_assert_msg(f_.there, "%s is not there", text);                                  \
		ck_assert_str_eq(learn_state_name(f_.state), learn_state_name(s));                 \
	} while (0)
#define IS_NOT(text) ck_assert(!look(text).there)

static struct learn_count counts(void)
{
	struct learn_count c;

	learn_count(l, &c);
	return c;
}

static void count_one(void *arg, uint32_t instance, const struct prefix *dst)
{
	(void)dst;
	ck_assert_uint_ne(instance, 0);
	++*(unsigned *)arg;
}

static unsigned reported(void)
{
	unsigned n = 0;

	learn_each_reported(l, count_one, &n);
	ck_assert_uint_eq(n, counts().reported);
	return n;
}

/* Time passes up to the next thing that happens by itself. */
static bool pass(void)
{
	ck_assert(learn_deadline(l) != INT64_MAX);
	ck_assert(!learn_tick(l, learn_deadline(l) - 1));
	now = learn_deadline(l);
	return learn_tick(l, now);
}

START_TEST(comes_and_goes)
{
	uint32_t instance;

	start(10, 120, 120);
	ck_assert(there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24"));
	ck_assert_uint_eq(reported(), 3);
	instance = look("10.1.2.0/24").instance;
	ck_assert(!there_is("10.1.2.0/24 10.1.3.0/24 10.1.1.0/24"));
	ck_assert_uint_eq(look("10.1.2.0/24").instance, instance);
	/* one of three is no restart: withdrawn at once */
	ck_assert(there_is("10.1.2.0/24 10.1.3.0/24"));
	IS_NOT("10.1.1.0/24");
	ck_assert_uint_eq(reported(), 2);
	ck_assert_uint_eq(look("10.1.2.0/24").instance, instance);
	/* and comes back with the number it had, as its penalty is remembered */
	ck_assert(there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24"));
	IS("10.1.1.0/24", LEARN_REPORTED);
	ck_assert_uint_eq(look("10.1.1.0/24").instance, 1);
	ck_assert_uint_eq(numbers, 3);
	learn_free(l);
}
END_TEST

START_TEST(first_of_two_routes_counts)
{
	struct learn_route r = {
	    .dst = prefix("10.1.0.0/16"), .protocol = OSPF, .table = 254, .interface = "lan0"};

	start(10, 120, 120);
	learn_begin(l);
	learn_see(l, &r);
	snprintf(r.interface, sizeof(r.interface), "lan1");
	r.protocol = BGP;
	learn_see(l, &r);
	ck_assert(learn_end(l, now));
	ck_assert_uint_eq(reported(), 1);
	/* the other one takes over: nothing changes */
	learn_begin(l);
	learn_see(l, &r);
	ck_assert(!learn_end(l, now));
	IS("10.1.0.0/16", LEARN_REPORTED);
	learn_free(l);
}
END_TEST

START_TEST(restart_is_held)
{
	start(10, 120, 120);
	ck_assert(there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24"));
	ck_assert(!there_is(""));
	IS("10.1.1.0/24", LEARN_HELD);
	ck_assert_int_eq(look("10.1.1.0/24").until, now + 120000);
	ck_assert_uint_eq(reported(), 3);
	ck_assert_uint_eq(counts().held, 3);
	/* two come back, the third does not, and is withdrawn when the time is over */
	now += 60000;
	ck_assert(!there_is("10.1.1.0/24 10.1.2.0/24"));
	IS("10.1.1.0/24", LEARN_REPORTED);
	IS("10.1.3.0/24", LEARN_HELD);
	ck_assert(pass());
	IS_NOT("10.1.3.0/24");
	ck_assert_uint_eq(reported(), 2);
	/* being held was no flap of those that came back */
	for (unsigned i = 0; i < 10; i++) {
		ck_assert(!there_is(""));
		ck_assert(!there_is("10.1.1.0/24 10.1.2.0/24"));
	}
	ck_assert_uint_eq(reported(), 2);
	learn_free(l);
}
END_TEST

START_TEST(restart_in_two_batches)
{
	start(1000, 120, 120);
	learn_begin(l);
	see_many(0, 500, OSPF);
	see_many(600, 10, BGP);
	ck_assert(learn_end(l, now));
	/* a fifth of OSPF's are gone by the time of the reading: many, so held */
	learn_begin(l);
	see_many(100, 400, OSPF);
	see_many(600, 10, BGP);
	ck_assert(!learn_end(l, now));
	ck_assert_uint_eq(counts().held, 100);
	learn_begin(l);
	see_many(600, 9, BGP);
	ck_assert(learn_end(l, now)); /* one of BGP's is withdrawn meanwhile */
	ck_assert_uint_eq(counts().held, 500);
	ck_assert_uint_eq(reported(), 509);
	now += 120000;
	ck_assert(learn_tick(l, now));
	ck_assert_uint_eq(reported(), 9);
	ck_assert_uint_eq(counts().held, 0);
	learn_free(l);
}
END_TEST

START_TEST(without_hold)
{
	start(10, 0, 0);
	ck_assert(there_is("10.1.1.0/24 10.1.2.0/24"));
	ck_assert(there_is(""));
	ck_assert_uint_eq(reported(), 0);
	IS_NOT("10.1.1.0/24");
	ck_assert(learn_deadline(l) == INT64_MAX);
	for (unsigned i = 0; i < 50; i++) { /* nor is anything suppressed */
		ck_assert(there_is("10.1.1.0/24"));
		ck_assert(there_is(""));
	}
	learn_free(l);
}
END_TEST

static const char quiet[] = "10.2.1.0/24 10.2.2.0/24 10.2.3.0/24";
static const char flapping[] = "10.2.1.0/24 10.2.2.0/24 10.2.3.0/24 10.1.1.0/24";

START_TEST(flaps_are_suppressed)
{
	int64_t since;

	start(10, 120, 120);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(there_is(flapping));
		now += 1000;
		ck_assert(there_is(quiet));
		now += 1000;
	}
	ck_assert(there_is(flapping)); /* three in a row are forgiven */
	IS("10.1.1.0/24", LEARN_REPORTED);
	ck_assert(there_is(quiet));
	IS("10.1.1.0/24", LEARN_SUPPRESSED);
	since = now;
	for (unsigned i = 0; i < 20; i++) { /* nobody hears of it any more */
		now += 1000;
		ck_assert(!there_is(flapping));
		ck_assert(!there_is(quiet));
	}
	ck_assert_uint_eq(counts().suppressed, 1);
	ck_assert(!there_is(flapping));
	ck_assert_uint_eq(reported(), 3);
	IS("10.1.1.0/24", LEARN_SUPPRESSED);
	ck_assert_int_le(look("10.1.1.0/24").until, now + 4 * 120000);
	ck_assert_int_gt(look("10.1.1.0/24").until, since + 120000);
	/* quiet, and reported again */
	ck_assert(pass());
	IS("10.1.1.0/24", LEARN_REPORTED);
	ck_assert_uint_eq(reported(), 4);
	learn_free(l);
}
END_TEST

START_TEST(suppressed_and_gone)
{
	start(10, 120, 120);
	for (unsigned i = 0; i < 4; i++) {
		there_is(flapping);
		there_is(quiet);
	}
	IS("10.1.1.0/24", LEARN_SUPPRESSED);
	ck_assert(!pass()); /* not suppressed any more, and not there */
	IS_NOT("10.1.1.0/24");
	ck_assert(!pass()); /* and now it is forgotten */
	ck_assert(learn_deadline(l) == INT64_MAX);
	learn_free(l);
}
END_TEST

START_TEST(limit_keeps_the_first)
{
	start(100, 120, 120);
	learn_begin(l);
	see_many(0, 100, OSPF);
	ck_assert(learn_end(l, now));
	learn_begin(l);
	see_many(500, 9900, OSPF); /* in whatever order the kernel gives them */
	see_many(0, 100, OSPF);
	ck_assert(!learn_end(l, now));
	ck_assert_uint_eq(reported(), 100);
	ck_assert_uint_eq(counts().over, 9900);
	ck_assert_uint_eq(counts().all, 10000);
	IS("10.0.99.0/24", LEARN_REPORTED);
	IS("10.1.244.0/24", LEARN_OVER);
	/* a place that is free is taken by the next in the queue */
	learn_begin(l);
	see_many(1, 99, OSPF);
	see_many(500, 9900, OSPF);
	ck_assert(learn_end(l, now));
	IS_NOT("10.0.0.0/24");
	IS("10.1.244.0/24", LEARN_REPORTED);
	IS("10.1.245.0/24", LEARN_OVER);
	ck_assert_uint_eq(reported(), 100);
	learn_free(l);
}
END_TEST

START_TEST(more_than_can_be_looked_at)
{
	start(10, 120, 120);
	learn_begin(l);
	for (unsigned i = 0; i < LEARN_PREFIXES_MAX + 5; i++) {
		struct learn_route r = {.protocol = OSPF, .table = 254};

		r.dst = (struct prefix) {.addr = {.family = AF_INET}, .len = 32};
		r.dst.addr.octets[0] = 10;
		r.dst.addr.octets[1] = (uint8_t)(i >> 16);
		r.dst.addr.octets[2] = (uint8_t)(i >> 8);
		r.dst.addr.octets[3] = (uint8_t)i;
		learn_see(l, &r);
	}
	ck_assert(learn_end(l, now));
	ck_assert_uint_eq(reported(), 10);
	ck_assert_uint_eq(counts().all, LEARN_PREFIXES_MAX + 5);
	ck_assert_uint_eq(counts().over, LEARN_PREFIXES_MAX + 5 - 10);
	learn_free(l);
}
END_TEST

START_TEST(refused_waits_for_another)
{
	uint32_t instance;

	start(1, 120, 120);
	there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24 10.1.4.0/24");
	instance = look("10.1.1.0/24").instance;
	ck_assert(!learn_refuse(l, instance + 7));
	ck_assert(learn_refuse(l, instance));
	IS("10.1.1.0/24", LEARN_REFUSED);
	/* its place is another's */
	ck_assert(there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24 10.1.4.0/24"));
	IS("10.1.2.0/24", LEARN_REPORTED);
	IS("10.1.1.0/24", LEARN_REFUSED);
	/* it goes, and comes: another try, when there is a place */
	ck_assert(!there_is("10.1.2.0/24 10.1.3.0/24 10.1.4.0/24"));
	ck_assert(!there_is("10.1.1.0/24 10.1.2.0/24 10.1.3.0/24 10.1.4.0/24"));
	IS("10.1.1.0/24", LEARN_OVER);
	learn_free(l);
}
END_TEST

/* ------------------------------------------------------------------ filters */

static bool takes(
    const struct learn_filter *f, const char *dst, uint8_t protocol, const char *itf, bool towards)
{
	struct prefix p = prefix(dst);
	struct learn_candidate c = {
	    .dst = &p, .protocol = protocol, .interface = itf, .towards_peers = towards};

	return learn_filter_takes(f, &c);
}

START_TEST(filter_without_entry)
{
	struct learn_filter f;

	learn_filter_default(&f);
	ck_assert(takes(&f, "10.1.0.0/16", OSPF, "lan", false));
	ck_assert(takes(&f, "2001:db8:1::/48", BGP, "lan", false));
	ck_assert(takes(&f, "10.1.0.0/16", 12, "", false)); /* bird */
	ck_assert(!takes(&f, "10.1.0.0/16", OSPF, "wan", true));
	for (unsigned p = 0; p < 256; p++) {
		static const uint8_t never[] = {0, 1, 2, 3, 4, 9, 16, 67, 196};
		bool not = memchr(never, (int)p, sizeof(never)) != NULL;
		ck_assert(!not || !takes(&f, "10.1.0.0/16", (uint8_t)p, "lan", false));
	}
	ck_assert(!takes(&f, "0.0.0.0/0", OSPF, "lan", false));
	ck_assert(!takes(&f, "::/0", OSPF, "lan", false));
	ck_assert(!takes(&f, "224.0.0.0/4", OSPF, "lan", false));
	ck_assert(!takes(&f, "127.0.0.0/8", OSPF, "lan", false));
	ck_assert(!takes(&f, "169.254.1.0/24", OSPF, "lan", false));
	ck_assert(takes(&f, "169.253.1.0/24", OSPF, "lan", false));
	ck_assert(!takes(&f, "fe80::/64", OSPF, "lan", false));
	ck_assert(!takes(&f, "ff02::/16", OSPF, "lan", false));
}
END_TEST

START_TEST(filter_of_an_entry)
{
	struct learn_filter f;
	const char *why;

	ck_assert_int_eq(learn_filter_parse(&f,
			     "office table 100 protocol bgp,12 interface lan0,lan1 prefix "
			     "10.1.0.0/16,2001:db8::/32",
			     &why),
	    0);
	ck_assert_str_eq(f.vpn, "office");
	ck_assert_uint_eq(f.table, 100);
	ck_assert(takes(&f, "10.1.7.0/24", BGP, "lan0", false));
	ck_assert(takes(&f, "10.1.0.0/16", 12, "lan1", true)); /* it is named */
	ck_assert(takes(&f, "2001:db8:1::/48", BGP, "lan0", false));
	ck_assert(!takes(&f, "10.0.0.0/8", BGP, "lan0", false));
	ck_assert(!takes(&f, "10.2.0.0/24", BGP, "lan0", false));
	ck_assert(!takes(&f, "10.1.7.0/24", OSPF, "lan0", false));
	ck_assert(!takes(&f, "10.1.7.0/24", BGP, "lan2", false));
	ck_assert_int_eq(learn_filter_parse(&f, "office protocol kernel,static", &why), 0);
	ck_assert_uint_eq(f.table, 0);
	ck_assert(takes(&f, "10.1.7.0/24", 2, "lan2", false));
	ck_assert(takes(&f, "10.1.7.0/24", 4, "lan2", false));
	ck_assert(!takes(&f, "10.1.7.0/24", OSPF, "lan2", false));
	ck_assert(!takes(&f, "10.1.7.0/24", 2, "wan", true));
	ck_assert_int_eq(learn_filter_parse(&f, "office table main", &why), 0);
	ck_assert_uint_eq(f.table, 254);
	ck_assert(takes(&f, "10.1.7.0/24", OSPF, "lan2", false));
}
END_TEST

static const char *const wrong[] = {
    "",
    "  ",
    "office table",
    "office table none",
    "office table 0",
    "office table 4294967296",
    "office protocol",
    "office protocol x",
    "office protocol 0",
    "office protocol 256",
    "office protocol 67",
    "office protocol ospf,67",
    "office protocol ospf protocol bgp",
    "office interface abcdefghijklmnop",
    "office prefix 10.1.0.1/16",
    "office prefix 10.1.0.0/33",
    "office prefix x",
    "office metric 20",
};

START_TEST(filter_faults)
{
	struct learn_filter f;
	const char *why = NULL;

	ck_assert_int_eq(learn_filter_parse(&f, wrong[_i], &why), -1);
	ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(protocol_names)
{
	char buf[LEARN_PROTOCOL_LEN];

	ck_assert_str_eq(learn_protocol_print(188, buf), "ospf");
	ck_assert_str_eq(learn_protocol_print(12, buf), "bird");
	ck_assert_str_eq(learn_protocol_print(200, buf), "200");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("learn");
	TCase *t = tcase_create("learn");
	SRunner *r;
	int failed;

	tcase_add_test(t, comes_and_goes);
	tcase_add_test(t, first_of_two_routes_counts);
	tcase_add_test(t, restart_is_held);
	tcase_add_test(t, restart_in_two_batches);
	tcase_add_test(t, without_hold);
	tcase_add_test(t, flaps_are_suppressed);
	tcase_add_test(t, suppressed_and_gone);
	tcase_add_test(t, limit_keeps_the_first);
	tcase_add_test(t, more_than_can_be_looked_at);
	tcase_add_test(t, refused_waits_for_another);
	tcase_add_test(t, filter_without_entry);
	tcase_add_test(t, filter_of_an_entry);
	tcase_add_loop_test(t, filter_faults, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(t, protocol_names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
