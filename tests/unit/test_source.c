/*
 * test_source.c - pdp/source: a client-type that only says which rows a CE must hold gets LSNs,
 * differences and memory over a restart, over the real store.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pdp/client.h"
#include "pdp/db.h"
#include "pdp/delta.h"
#include "pdp/source.h"
#include "pib/gen/ce_vpn_pib.h"

/* The policy: which ceVpnLocalPrefix-like rows each CE has; here ceVpnPeer rows. */
struct fake_row {
	const char *ce;
	uint32_t instance;
	const char *name;
	uint8_t addr_len;
};

static struct fake_row policy[4];
static size_t policies;
static bool fails, wrong_class;
static struct pdp_env env;
static unsigned came, left, changed;
static uint64_t last_lsn;
static char dir[64], path[96], err[512];
static struct db db;
static struct source *s;

static void *fake_start(const struct pdp_env *e, char *text, size_t len)
{
	(void)text, (void)len;
	env = *e;
	env.changed(env.host, NULL); /* allowed during start */
	return &env;
}

static int fake_ces(void *self, int (*fn)(void *arg, const char *ce), void *arg)
{
	(void)self;
	for (size_t i = 0; i < policies; i++)
		if (fn(arg, policy[i].ce) != 0)
			return -1;
	return 0;
}

static int fake_rows(void *self, const char *ce, pdp_put *put, void *arg)
{
	static const uint8_t addr[16] = {192, 0, 2, 1};

	(void)self;
	for (size_t i = 0; i < policies; i++) {
		const struct pib_ce_vpn_peer row = {
		    PIB_CE_VPN_PEER_DEFAULTS,
		    .id = policy[i].instance,
		    .vpn = 1,
		    .name = {(const uint8_t *)policy[i].name, (uint32_t)strlen(policy[i].name)},
		    .role = PIB_CE_VPN_PEER_ROLE_HUB,
		    .addr_type = 1,
		    .addr = {addr, policy[i].addr_len},
		};
		const struct pib_class *cls = wrong_class ? &pib_ce_vpn_site_class
							  : &pib_ce_vpn_peer_class;

		if (strcmp(policy[i].ce, ce) == 0 && put(arg, cls, row.id, &row) != 0)
			return -1;
	}
	return fails ? -1 : 0;
}

static const struct pib_module *const module[] = {&pib_ce_vpn_pib_module};
static struct pdp_client fake = {
    .api = PDP_CLIENT_API,
    .name = "fake",
    .client_type = 0x4001,
    .module = module,
    .modules = 1,
    .start = fake_start,
    .ces = fake_ces,
    .rows = fake_rows,
};

static void on_came(void *arg, const char *ce)
{
	(void)arg, (void)ce;
	came++;
}

static void on_left(void *arg, const char *ce)
{
	(void)arg, (void)ce;
	left++;
}

static void on_changed(void *arg, const char *ce, uint64_t lsn)
{
	(void)arg, (void)ce;
	changed++;
	last_lsn = lsn;
}

static int start(void)
{
	const struct source_conf conf = {
	    .client = &fake,
	    .argument = "",
	    .state_dir = dir,
	    .db = &db,
	    .came = on_came,
	    .left = on_left,
	    .changed = on_changed,
	};
	uint8_t uuid[8];

	came = left = changed = 0;
	db.ops = &store_sqlite_ops;
	db.store = db.ops->open(path, uuid, err, sizeof(err));
	ck_assert_msg(db.store != NULL, "%s", err);
	s = source_new(&conf);
	ck_assert_ptr_nonnull(s);
	return source_start(s, err, sizeof(err));
}

static void stop(void)
{
	source_free(s);
	db.ops->close(db.store);
}

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_source.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pdp.db", dir);
	policy[0] = (struct fake_row) {"a.example", 1, "one", 4};
	policy[1] = (struct fake_row) {"a.example", 2, "two", 4};
	policy[2] = (struct fake_row) {"b.example", 1, "one", 4};
	policies = 3;
	fails = wrong_class = false;
}

static void teardown(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* How many Decisions bring ce up to date from lsn; -1: only everything does. */
static int since(const char *ce, uint64_t lsn)
{
	const struct pdp_client *c = source_client(s);
	struct delta_list l = {0};
	int rc = c->since(s, ce, lsn, &l);
	int count = (int)l.count;

	delta_list_clear(&l);
	ck_assert_int_ge(rc, 0);
	return rc == 0 ? count : -1;
}

START_TEST(every_ce_gets_an_lsn)
{
	const struct pdp_client *c;

	ck_assert_int_eq(start(), 0);
	c = source_client(s);
	ck_assert_uint_eq(came, 2);
	ck_assert_uint_eq(changed, 2);
	ck_assert_uint_ne(c->newest(s, "a.example"), c->newest(s, "b.example"));
	ck_assert_uint_eq(c->lsn(s), last_lsn);
	ck_assert_uint_eq(c->newest(s, "stranger.example"), 0);
	ck_assert_int_eq(since("stranger.example", 1), 0);
	stop();
}
END_TEST

START_TEST(only_what_changed)
{
	uint64_t a;

	ck_assert_int_eq(start(), 0);
	a = source_client(s)->newest(s, "a.example");
	changed = 0;
	env.changed(env.host, NULL);
	ck_assert_uint_eq(changed, 0); /* the same again is nothing */
	policy[1].name = "zwei";
	env.changed(env.host, "a.example");
	ck_assert_uint_eq(changed, 1);
	ck_assert_int_eq(since("a.example", a), 1); /* an Install */
	ck_assert_int_eq(since("a.example", last_lsn), 0);
	ck_assert_int_eq(since("a.example", a - 1), -1); /* before our memory */
	policy[1] = policy[2];
	policies = 2;
	env.changed(env.host, NULL);
	ck_assert_int_eq(since("a.example", a), 1); /* a Remove, the Install is void */
	stop();
}
END_TEST

/* A policy that names its rows anew each time: what went is not remembered for ever. */
START_TEST(what_went_is_forgotten)
{
	uint64_t first, before = 0;

	ck_assert_int_eq(start(), 0);
	first = source_client(s)->newest(s, "a.example");
	for (uint32_t i = 0; i < 400; i++) {
		before = source_client(s)->newest(s, "a.example");
		policy[1].instance = 1000 + i;
		env.changed(env.host, "a.example");
		/* whoever is up to date gets what changed, always */
		ck_assert_int_eq(since("a.example", before), 2);
	}
	ck_assert_int_eq(since("a.example", first), -1);
	stop();
}
END_TEST

START_TEST(restart_remembers)
{
	uint64_t a, now;

	ck_assert_int_eq(start(), 0);
	a = source_client(s)->newest(s, "a.example");
	now = source_client(s)->lsn(s);
	stop();

	ck_assert_int_eq(start(), 0);
	ck_assert_uint_eq(came, 2);
	ck_assert_uint_eq(changed, 0);
	ck_assert_uint_eq(source_client(s)->newest(s, "a.example"), a);
	ck_assert_uint_eq(source_client(s)->lsn(s), now);
	ck_assert_int_eq(since("a.example", a), 0);
	stop();

	policy[0].name = "eins"; /* changed while nobody ran */
	ck_assert_int_eq(start(), 0);
	ck_assert_uint_eq(changed, 1);
	ck_assert_uint_gt(last_lsn, now);
	ck_assert_int_eq(since("a.example", a), -1);
	stop();
}
END_TEST

START_TEST(ce_without_policy_leaves)
{
	ck_assert_int_eq(start(), 0);
	changed = 0;
	policies = 2; /* b.example has none */
	env.changed(env.host, NULL);
	ck_assert_uint_eq(left, 1);
	ck_assert_uint_eq(changed, 1);
	env.changed(env.host, NULL);
	ck_assert_uint_eq(left, 1);
	came = 0;
	policies = 3;
	env.changed(env.host, "b.example");
	ck_assert_uint_eq(came, 1);
	stop();
}
END_TEST

/* A client-type at fault: the CE keeps what it has, whatever was wrong. */
START_TEST(rows_that_cannot_be)
{
	uint64_t a;

	ck_assert_int_eq(start(), 0);
	a = source_client(s)->newest(s, "a.example");
	changed = 0;
	policy[0].addr_len = 5; /* SIZE (4 | 16) */
	env.changed(env.host, NULL);
	policy[0].addr_len = 4;
	policy[0].instance = 2; /* twice */
	env.changed(env.host, NULL);
	policy[0].instance = 0;
	env.changed(env.host, NULL);
	policy[0].instance = 3;
	fails = true;
	env.changed(env.host, NULL);
	fails = false;
	wrong_class = true; /* a notify class */
	env.changed(env.host, NULL);
	ck_assert_uint_eq(changed, 0);
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_eq(source_client(s)->newest(s, "a.example"), a);
	stop();
}
END_TEST

START_TEST(client_without_rows_is_refused)
{
	fake.rows = NULL;
	ck_assert_int_eq(start(), -1);
	ck_assert_ptr_nonnull(strstr(err, "lacks"));
	fake.rows = fake_rows;
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("source");
	TCase *t = tcase_create("source");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_ce_gets_an_lsn);
	tcase_add_test(t, only_what_changed);
	tcase_add_test(t, what_went_is_forgotten);
	tcase_add_test(t, restart_remembers);
	tcase_add_test(t, ce_without_policy_leaves);
	tcase_add_test(t, rows_that_cannot_be);
	tcase_add_test(t, client_without_rows_is_refused);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
