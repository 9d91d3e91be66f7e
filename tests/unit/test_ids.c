/* test_ids.c - numbers stay with their keys; stamps, tombstones, rollback. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/ids.h"

static struct ids *ids;

static void setup(void)
{
	ids = ids_new();
	ck_assert_ptr_nonnull(ids);
}

static void teardown(void)
{
	ids_free(ids);
}

static int count(void *arg, const struct id_entry *e)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

static size_t dirty(void)
{
	size_t n = 0;
	ids_dirty_each(ids, count, &n);
	return n;
}

static void count_dead(void *arg, const struct id_entry *e)
{
	ck_assert(e->dead);
	++*(size_t *)arg;
}

static size_t dead(uint32_t vpn, uint64_t since)
{
	size_t n = 0;
	ids_dead_each(ids, vpn, since, count_dead, &n);
	return n;
}

static struct id_entry *stamp(struct id_entry *e, bool is_dead, uint64_t lsn)
{
	e->dead = is_dead;
	e->lsn = lsn;
	ids_touch(ids, e);
	return e;
}

START_TEST(numbers)
{
	struct id_entry *v = ids_get(ids, ID_VPN, "c/v", 0, 0);
	struct id_entry *m = ids_get(ids, ID_MEMBER, "c/v/a", v->number, v->number);

	ck_assert_uint_eq(v->number, 1);
	ck_assert_uint_eq(m->number, 1); /* each kind has its own */
	ck_assert_ptr_eq(ids_get(ids, ID_MEMBER, "c/v/a", 9, 9), m);
	ck_assert_uint_eq(m->vpn, 1);
	ck_assert_uint_eq(ids_get(ids, ID_MEMBER, "c/v/b", 1, 1)->number, 2);
	ck_assert_ptr_eq(ids_find(ids, ID_MEMBER, 1), m);
	ck_assert_ptr_null(ids_find(ids, ID_MEMBER, 3));
	ck_assert_ptr_null(ids_find(ids, ID_MEMBER, 0));
	ck_assert_str_eq(m->key, "c/v/a");
	ck_assert_uint_eq(dirty(), 3);
	ids_dirty_clear(ids);
	ck_assert_uint_eq(dirty(), 0);
}
END_TEST

START_TEST(loading)
{
	struct id_entry e = {
	    .kind = ID_MEMBER, .number = 0xffffff, .parent = 1, .vpn = 1, .lsn = 7};

	e.key = "c/v/a";
	ck_assert_int_eq(ids_load(ids, &e), 0);
	ck_assert_int_eq(ids_load(ids, &e), -1); /* key again */
	e.key = "c/v/b";
	ck_assert_int_eq(ids_load(ids, &e), -1); /* number again */
	e.number = 0x1000000;
	ck_assert_int_eq(ids_load(ids, &e), -1); /* over 24 bits */
	e.number = 0;
	ck_assert_int_eq(ids_load(ids, &e), -1);
	e.kind = 9;
	e.number = 1;
	ck_assert_int_eq(ids_load(ids, &e), -1);
	ck_assert_uint_eq(dirty(), 0);
	ck_assert_uint_eq(ids_vpn_lsn(ids, 1), 7);
	/* no number is left of 24 bits */
	ck_assert_ptr_null(ids_get(ids, ID_MEMBER, "c/v/c", 1, 1));
	ck_assert_ptr_nonnull(ids_get(ids, ID_PREFIX, "1/1/10.0.0.0/8", 1, 1));
}
END_TEST

START_TEST(tombstones)
{
	struct id_entry *v = stamp(ids_get(ids, ID_VPN, "c/v", 0, 0), false, 1);
	struct id_entry *a = stamp(ids_get(ids, ID_MEMBER, "c/v/ce", 1, 1), false, 1);
	struct id_entry *b = stamp(ids_get(ids, ID_MEMBER, "c/w/ce", 2, 2), false, 2);

	ck_assert_uint_eq(ids_vpn_lsn(ids, v->number), 1);
	ck_assert_uint_eq(ids_left_lsn(ids, "ce"), 0);
	stamp(a, true, 5);
	ck_assert_uint_eq(dead(1, 4), 1);
	ck_assert_uint_eq(dead(1, 5), 0);
	ck_assert_uint_eq(dead(2, 0), 0);
	ck_assert_uint_eq(ids_vpn_lsn(ids, 1), 5);
	ck_assert_uint_eq(ids_left_lsn(ids, "ce"), 5);
	stamp(b, true, 6);
	ck_assert_uint_eq(ids_left_lsn(ids, "ce"), 6);
	ck_assert_uint_eq(ids_left_lsn(ids, "other"), 0);
	stamp(b, false, 7);
	ck_assert_uint_eq(ids_left_lsn(ids, "ce"), 5);
	ck_assert_uint_eq(dead(2, 0), 0);
	a->aux_lsn = 9;
	ids_touch(ids, a);
	ck_assert_uint_eq(ids_vpn_lsn(ids, 1), 9);
}
END_TEST

START_TEST(rollback)
{
	struct id_entry *v = stamp(ids_get(ids, ID_VPN, "c/v", 0, 0), false, 1);
	struct id_entry *a = stamp(ids_get(ids, ID_MEMBER, "c/v/a", 1, 1), false, 1);
	struct id_entry *d = stamp(ids_get(ids, ID_MEMBER, "c/v/d", 1, 1), true, 1);

	ids_dirty_clear(ids);
	stamp(v, true, 2);
	stamp(a, true, 2);
	stamp(d, false, 2);
	stamp(ids_get(ids, ID_MEMBER, "c/v/b", 1, 1), true, 2);
	ids_get(ids, ID_PREFIX, "1/1/10.0.0.0/8", 1, 1);
	ck_assert_uint_eq(dirty(), 5);
	ids_rollback(ids);
	ck_assert_uint_eq(dirty(), 0);
	ck_assert(!v->dead && !a->dead && d->dead);
	ck_assert_uint_eq(a->lsn, 1);
	ck_assert_uint_eq(dead(1, 0), 1);
	ck_assert_ptr_null(ids_find(ids, ID_MEMBER, 3));
	ck_assert_uint_eq(ids_left_lsn(ids, "a"), 0);
	ck_assert_uint_eq(ids_left_lsn(ids, "b"), 0);
	ck_assert_uint_eq(ids_left_lsn(ids, "d"), 1);
	/* what was rolled back was never given out */
	ck_assert_uint_eq(ids_get(ids, ID_MEMBER, "c/v/z", 1, 1)->number, 3);
}
END_TEST

START_TEST(many)
{
	char key[40];

	for (unsigned i = 1; i <= 20000; i++) {
		snprintf(key, sizeof(key), "c/v/%u", i);
		ck_assert_uint_eq(ids_get(ids, ID_MEMBER, key, 1, 1)->number, i);
	}
	ids_dirty_clear(ids);
	for (unsigned i = 1; i <= 20000; i += 7) {
		snprintf(key, sizeof(key), "c/v/%u", i);
		ck_assert_str_eq(ids_find(ids, ID_MEMBER, i)->key, key);
		ck_assert_uint_eq(ids_get(ids, ID_MEMBER, key, 1, 1)->number, i);
	}
	ck_assert_uint_eq(dirty(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ids");
	TCase *t = tcase_create("ids");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, numbers);
	tcase_add_test(t, loading);
	tcase_add_test(t, tombstones);
	tcase_add_test(t, rollback);
	tcase_add_test(t, many);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
