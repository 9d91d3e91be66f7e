/* test_store.c - the SQLite store: what is committed is there after opening again, and nothing
 * else. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pdp/store.h"

static const struct store_ops *const ops = &store_sqlite_ops;
static char dir[64], path[96], err[256];
static uint8_t uuid[8];
static struct store *s;

struct seen { /* what a load brought */
	uint64_t lsn, generation;
	size_t ids, serials, nats, documents, customers, keys, acks, ces;
	struct addr nat_seen, nat_own;
	size_t learned;
	struct store_learned first; /* of them */
	struct id_entry id;
	char id_key[32], xml[64], customer[32], ce[32], failure[32];
	uint32_t serial;
	struct store_key key;
	uint8_t epd[16];
	struct store_ack ack;
	uint64_t applied;
};

static int on_lsn(void *arg, uint64_t lsn, uint64_t generation)
{
	struct seen *n = arg;

	n->lsn = lsn;
	n->generation = generation;
	return 0;
}

static int on_id(void *arg, const struct id_entry *e)
{
	struct seen *n = arg;

	n->ids++;
	n->id = *e;
	snprintf(n->id_key, sizeof(n->id_key), "%s", e->key);
	return 0;
}

static int on_serial(void *arg, uint32_t vpn, uint32_t serial)
{
	struct seen *n = arg;

	ck_assert_uint_eq(vpn, 7);
	n->serials++;
	n->serial = serial;
	return 0;
}

static int on_nat(void *arg, const struct store_nat *x)
{
	struct seen *n = arg;

	ck_assert_str_eq(x->name, "paris");
	ck_assert_uint_eq(n->documents, 0); /* they are told by it */
	n->nats++;
	n->nat_seen = *x->seen;
	n->nat_own = *x->own;
	return 0;
}

static int on_learned(void *arg, const struct store_learned *l)
{
	struct seen *n = arg;

	ck_assert_uint_eq(n->documents, 0); /* they are filled with it */
	if (n->learned++ == 0)
		n->first = *l;
	return 0;
}

static int on_document(
    void *arg, const struct store_generation *g, const struct store_customer *c, size_t count)
{
	struct seen *n = arg;

	n->documents++;
	n->customers += count;
	snprintf(n->xml, sizeof(n->xml), "%.*s", (int)g->xml_len, g->xml);
	snprintf(n->customer, sizeof(n->customer), "%s", c[0].name);
	return 0;
}

static int on_key(void *arg, const struct store_key *k)
{
	struct seen *n = arg;

	n->keys++;
	n->key = *k;
	ck_assert_uint_le(k->epd_len, sizeof(n->epd));
	if (k->epd_len > 0)
		memcpy(n->epd, k->epd, k->epd_len);
	return 0;
}

static int on_ack(void *arg, const struct store_ack *a)
{
	struct seen *n = arg;

	n->acks++;
	n->ack = *a;
	return 0;
}

static int on_ce(void *arg, const struct store_ce *c)
{
	struct seen *n = arg;

	n->ces++;
	n->applied = c->applied_lsn;
	snprintf(n->ce, sizeof(n->ce), "%s", c->name);
	snprintf(n->failure, sizeof(n->failure), "%s", c->failure != NULL ? c->failure : "");
	return 0;
}

static const struct store_load load = {
    .lsn = on_lsn,
    .id = on_id,
    .serial = on_serial,
    .nat = on_nat,
    .learned = on_learned,
    .document = on_document,
    .key = on_key,
    .ack = on_ack,
    .ce = on_ce,
};

/* Open again and load. */
static struct seen reopened(void)
{
	struct seen n = {0};
	uint8_t again[8];

	ops->close(s);
	s = ops->open(path, again, err, sizeof(err));
	ck_assert_msg(s != NULL, "%s", err);
	ck_assert_mem_eq(uuid, again, 8);
	err[0] = '\0';
	ck_assert_msg(ops->load(s, &load, &n, err, sizeof(err)) == 0, "%s", err);
	return n;
}

static void setup(void)
{
	strcpy(dir, "/tmp/test_store.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pdp.db", dir);
	s = ops->open(path, uuid, err, sizeof(err));
	ck_assert_msg(s != NULL, "%s", err);
}

static void teardown(void)
{
	char cmd[96];

	ops->close(s);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static int commit(uint64_t number, const char *customer, const char *deleted, struct ids *ids)
{
	const struct store_generation g = {
	    .number = number,
	    .lsn = number * 10,
	    .when = 1000,
	    .who = "me",
	    .comment = "why",
	    .summary = "what",
	    .xml = customer != NULL ? customer : NULL,
	    .xml_len = customer != NULL ? strlen(customer) : 0,
	};

	return ops->commit_generation(
	    s, &g, &customer, customer != NULL, &deleted, deleted != NULL, ids, err, sizeof(err));
}

START_TEST(test_empty)
{
	const struct seen none = {0};
	struct seen n = reopened();
	struct stat st;

	ck_assert_mem_eq(&n, &none, sizeof(n));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 077, 0);
}
END_TEST

START_TEST(test_generation)
{
	struct ids *ids = ids_new();
	struct id_entry *e = ids_get(ids, ID_VPN, "acme/office", 0, 0);
	struct seen n;
	size_t len;
	char *xml;

	e->lsn = 10;
	e->aux_lsn = 9;
	ids_touch(ids, e);
	ck_assert_int_eq(commit(1, "acme", NULL, ids), 0);
	ids_dirty_clear(ids);
	n = reopened();
	ck_assert_uint_eq(n.lsn, 10);
	ck_assert_uint_eq(n.generation, 1);
	ck_assert_uint_eq(n.ids, 1);
	ck_assert_str_eq(n.id_key, "acme/office");
	ck_assert_uint_eq(n.id.lsn, 10);
	ck_assert_uint_eq(n.id.aux_lsn, 9);
	ck_assert_uint_eq(n.documents, 1);
	ck_assert_str_eq(n.xml, "acme");
	ck_assert_str_eq(n.customer, "acme");
	/* a newer one takes its place, the older stays readable */
	ck_assert_int_eq(commit(2, "acme", NULL, ids), 0);
	ck_assert_int_eq(commit(3, "other", NULL, ids), 0);
	n = reopened();
	ck_assert_uint_eq(n.documents, 2);
	ck_assert_uint_eq(n.customers, 2);
	xml = ops->document(s, 1, &len, err, sizeof(err));
	ck_assert_ptr_nonnull(xml);
	ck_assert_uint_eq(len, 4);
	free(xml);
	ck_assert_ptr_null(ops->document(s, 9, &len, err, sizeof(err)));
	ck_assert_int_eq(commit(4, NULL, "acme", ids), 0);
	n = reopened();
	ck_assert_uint_eq(n.documents, 1);
	ck_assert_uint_eq(n.lsn, 40);
	ids_free(ids);
}
END_TEST

START_TEST(test_all_or_nothing)
{
	struct ids *ids = ids_new();
	struct seen n;

	ck_assert_int_eq(commit(1, "acme", NULL, ids), 0);
	ids_get(ids, ID_VPN, "acme/office", 0, 0);
	ck_assert_int_eq(commit(1, "other", NULL, ids), -1); /* that number is taken */
	ck_assert_uint_gt(strlen(err), 0);
	n = reopened();
	ck_assert_uint_eq(n.ids, 0);
	ck_assert_uint_eq(n.customers, 1);
	ck_assert_str_eq(n.customer, "acme");
	ids_free(ids);
}
END_TEST

START_TEST(test_keys)
{
	const struct store_key k[] = {
	    {.member = 5, .epoch = 1, .lsn = 11, .epd = (const uint8_t *)"abc", .epd_len = 3},
	    {.member = 5, .epoch = 17, .lsn = 12, .epd = (const uint8_t *)"defg", .epd_len = 4},
	};
	const struct store_ack a[] = {{.subject = 5, .holder = 6, .epoch = 1, .lsn = 11},
	    {.subject = 5, .holder = 6, .epoch = 17, .lsn = 12}};
	const struct store_ack gone[] = {{.subject = 5, .holder = 6}};
	const struct store_key withdrawn = {.member = 5, .epoch = 17, .lsn = 13, .withdrawn = true};
	struct seen n;

	ck_assert_int_eq(ops->commit_keys(s, 12, k, 2, a, 2, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.keys, 1); /* epochs 1 and 17 share a slot */
	ck_assert_uint_eq(n.key.epoch, 17);
	ck_assert_mem_eq(n.epd, "defg", 4);
	ck_assert_uint_eq(n.acks, 1);
	ck_assert_uint_eq(n.ack.epoch, 17);
	ck_assert_uint_eq(n.lsn, 12);
	ck_assert_int_eq(ops->commit_keys(s, 13, &withdrawn, 1, gone, 1, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.keys, 1);
	ck_assert(n.key.withdrawn);
	ck_assert_uint_eq(n.key.epd_len, 0);
	ck_assert_uint_eq(n.acks, 0);
}
END_TEST

START_TEST(test_ces)
{
	struct store_ce c = {
	    .name = "paris", .applied_lsn = 7, .when = 1, .failure = "{\"row\":\"x\"}"};
	struct seen n;

	ck_assert_int_eq(ops->save_ces(s, &c, 1, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_str_eq(n.ce, "paris");
	ck_assert_str_eq(n.failure, "{\"row\":\"x\"}");
	c.failure = NULL;
	c.applied_lsn = 8;
	ck_assert_int_eq(ops->save_ces(s, &c, 1, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.applied, 8);
	ck_assert_str_eq(n.failure, "");
	c.gone = true;
	ck_assert_int_eq(ops->save_ces(s, &c, 1, err, sizeof(err)), 0);
	ck_assert_uint_eq(reopened().ces, 0);
	ck_assert_int_eq(ops->save_serial(s, 50, 7, 3, NULL, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.serial, 3);
	ck_assert_uint_eq(n.lsn, 50);
}
END_TEST

START_TEST(test_nat)
{
	struct addr seen, own;
	struct store_nat x = {.name = "paris", .seen = &seen, .own = &own};
	struct seen n;

	addr_parse(&seen, "192.0.2.9");
	addr_parse(&own, "192.168.7.2");
	ck_assert_int_eq(ops->save_nat(s, 51, &x, NULL, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.nats, 1);
	ck_assert_uint_eq(n.lsn, 51);
	ck_assert_int_eq(addr_cmp(&n.nat_seen, &seen), 0);
	ck_assert_int_eq(addr_cmp(&n.nat_own, &own), 0);
	x.gone = true;
	ck_assert_int_eq(ops->save_nat(s, 52, &x, NULL, err, sizeof(err)), 0);
	ck_assert_uint_eq(reopened().nats, 0);
}
END_TEST

START_TEST(test_learned)
{
	struct store_learned x[3] = {{.member = 4, .rank = 9, .when = 1000},
	    {.member = 4, .rank = 8, .when = 1001}, {.member = 5, .rank = 7, .when = 1002}};
	struct seen n;

	prefix_parse(&x[0].prefix, "10.1.0.0/16");
	prefix_parse(&x[1].prefix, "10.1.0.0/24");
	prefix_parse(&x[2].prefix, "2001:db8::/48");
	ck_assert_int_eq(ops->save_learned(s, 61, x, 3, NULL, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.learned, 3);
	ck_assert_uint_eq(n.lsn, 61);
	ck_assert_uint_eq(n.first.member, 5); /* in the order of their ranks */
	ck_assert_int_eq(prefix_cmp(&n.first.prefix, &x[2].prefix), 0);
	ck_assert_int_eq(n.first.when, 1002);
	/* one that goes and comes in a batch is there */
	x[1].gone = true;
	x[2] = x[0];
	x[2].gone = true;
	ck_assert_int_eq(ops->save_learned(s, 62, x, 3, NULL, err, sizeof(err)), 0);
	n = reopened();
	ck_assert_uint_eq(n.learned, 2);
	ck_assert_uint_eq(n.first.rank, 7);
}
END_TEST

START_TEST(test_one_daemon)
{
	uint8_t other[8];

	ck_assert_ptr_null(ops->open(path, other, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "in use"));
}
END_TEST

START_TEST(test_foreign_file)
{
	char foreign[128], cmd[256];
	uint8_t other[8];
	FILE *f;

	snprintf(foreign, sizeof(foreign), "%s/foreign.db", dir);
	f = fopen(foreign, "w");
	fputs("this is no database, but long enough to be looked at as one", f);
	fclose(f);
	ck_assert_ptr_null(ops->open(foreign, other, err, sizeof(err)));
	/* of a version to come: byte 60..63 of the header */
	ops->close(s);
	s = NULL;
	snprintf(cmd, sizeof(cmd),
	    "printf '\\000\\000\\000\\143' | dd of=%s bs=1 seek=60 conv=notrunc 2>/dev/null", path);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_ptr_null(ops->open(path, other, err, sizeof(err)));
	ck_assert_msg(strstr(err, "version 99") != NULL, "%s", err);
}
END_TEST

static int count_generations(void *arg, const struct store_generation *g)
{
	uint64_t *last = arg;

	ck_assert(*last == 0 || g->number == *last - 1); /* newest first */
	ck_assert_str_eq(g->comment, "why");
	*last = g->number;
	return 0;
}

START_TEST(test_history)
{
	struct ids *ids = ids_new();
	uint64_t last = 0;

	for (uint64_t i = 1; i <= 5; i++)
		ck_assert_int_eq(commit(i, "acme", NULL, ids), 0);
	ck_assert_int_eq(ops->history(s, 3, count_generations, &last, err, sizeof(err)), 0);
	ck_assert_uint_eq(last, 3);
	ids_free(ids);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *t = tcase_create("sqlite");
	SRunner *r = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_empty);
	tcase_add_test(t, test_generation);
	tcase_add_test(t, test_all_or_nothing);
	tcase_add_test(t, test_keys);
	tcase_add_test(t, test_ces);
	tcase_add_test(t, test_nat);
	tcase_add_test(t, test_learned);
	tcase_add_test(t, test_one_daemon);
	tcase_add_test(t, test_foreign_file);
	tcase_add_test(t, test_history);
	suite_add_tcase(suite, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
