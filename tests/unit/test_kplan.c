/*
 * test_kplan.c - plans against the kernel in memory: a refusal at any operation
 * leaves the kernel as it was and names its row, deletes never fail, the order holds, and a
 * shadow loaded from a dump knows what is ours.
 */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "pep/kern_mem.h"
#include "pep/kern_suite.h"
#include "pep/kplan.h"

static const struct kern_ops *const ops = &kern_mem_ops;
static struct kern *kern;
static struct kstate *ks;

static void setup(void)
{
	struct kern_fault f;
	kern = ops->open(&f);
	ck_assert_ptr_nonnull(kern);
	ks = kstate_new(ops, kern);
	ck_assert_ptr_nonnull(ks);
}

static void teardown(void)
{
	kstate_free(ks);
	ops->close(kern);
}

static struct addr addr(const char *s)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(&a, s), 0);
	return a;
}

static struct prefix prefix(const char *s)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(&p, s), PREFIX_OK);
	return p;
}

static struct kern_policy protect(unsigned n, enum kern_dir dir, uint32_t reqid)
{
	struct kern_policy p = {.action = KERN_PROTECT, .priority = KERN_PRIO_BASE + 10 + n};
	struct prefix far = {.addr = addr("10.0.0.0"), .len = 24};

	far.addr.octets[1] = (uint8_t)(n >> 8);
	far.addr.octets[2] = (uint8_t)n;
	p.sel.dir = dir;
	p.sel.src = dir == KERN_OUT ? prefix("10.255.1.0/24") : far;
	p.sel.dst = dir == KERN_OUT ? far : prefix("10.255.1.0/24");
	p.reqid = reqid;
	p.mode = KERN_TUNNEL;
	p.tmpl_src = dir == KERN_OUT ? addr("192.0.2.1") : addr("192.0.2.2");
	p.tmpl_dst = dir == KERN_OUT ? addr("192.0.2.2") : addr("192.0.2.1");
	return p;
}

static struct kern_sa sa(uint32_t spi, bool inbound, uint32_t reqid)
{
	struct kern_sa s = {.reqid = reqid, .mode = KERN_TUNNEL, .encr = 12, .integ = 14};
	s.id.spi = spi;
	s.id.dst = addr(inbound ? "192.0.2.1" : "192.0.2.2");
	s.src = addr(inbound ? "192.0.2.2" : "192.0.2.1");
	s.encr_key_len = 32;
	s.integ_key_len = 64;
	memset(s.encr_key, (int)spi, 32);
	memset(s.integ_key, (int)(spi >> 8), 64);
	s.replay_window = 32;
	return s;
}

static void put(struct kplan *p, uint64_t owner, struct kern_policy pol, uint32_t instance)
{
	struct korigin o = {.instance = instance};
	kplan_policy_put(p, owner, &pol, &o);
}

static void add(struct kplan *p, struct kern_sa s, bool inbound, uint32_t instance)
{
	struct korigin o = {.instance = instance};
	kplan_sa_add(p, &s, inbound, &o);
}

static void apply(struct kplan *p)
{
	struct kern_fault f;
	struct korigin o;
	ck_assert_msg(kplan_apply(p, &f, &o) == 0, "%s", f.text);
	kplan_free(p);
}

/* A peer with its policies and SAs is there, and one of a foreigner. */
static void first_state(void)
{
	struct kplan *p = kplan_new(ks);
	struct kern_policy foreign = protect(99, KERN_OUT, 9);

	for (unsigned n = 0; n < 3; n++) {
		put(p, 1, protect(n, KERN_OUT, 1), n);
		put(p, 1, protect(n, KERN_IN, 1), n);
	}
	add(p, sa(0x710, true, 1), true, 1);
	add(p, sa(0x720, false, 1), false, 1);
	ck_assert_uint_eq(kplan_count(p), 8);
	apply(p);
	foreign.priority = 1000;
	kern_mem_foreign_policy_put(kern, &foreign);
}

/* Change one policy, keep one, drop others, add a peer, replace an SA. */
static struct kplan *second_plan(void)
{
	struct kplan *p = kplan_new(ks);
	struct kern_policy changed = protect(1, KERN_OUT, 1);
	struct kern_sa_id id = sa(0x710, true, 1).id;

	changed.priority++;
	kplan_policy_drop(p, 1);
	put(p, 1, protect(0, KERN_OUT, 1), 10);
	put(p, 1, changed, 11);
	put(p, 2, protect(20, KERN_OUT, 2), 20);
	put(p, 2, protect(20, KERN_FWD, 2), 21);
	add(p, sa(0x740, false, 2), false, 31);
	add(p, sa(0x730, true, 2), true, 30);
	kplan_sa_del(p, &id);
	return p;
}

START_TEST(nothing_to_do_is_nothing)
{
	struct kplan *p;
	unsigned before;

	first_state();
	before = kern_mem_operations(kern);
	p = kplan_new(ks);
	kplan_policy_drop(p, 1);
	for (unsigned n = 0; n < 3; n++) {
		put(p, 1, protect(n, KERN_OUT, 1), n);
		put(p, 1, protect(n, KERN_IN, 1), n);
	}
	ck_assert_uint_eq(kplan_count(p), 0);
	apply(p);
	ck_assert_uint_eq(kern_mem_operations(kern), before);
	ck_assert_uint_eq(kstate_policy_count(ks), 6);
}
END_TEST

START_TEST(second_state_is_reached)
{
	struct kplan *p;
	char *text;

	first_state();
	p = second_plan();
	/* 3 puts, 2 additions, 1 SA and 4 policies deleted */
	ck_assert_uint_eq(kplan_count(p), 10);
	apply(p);
	text = kern_mem_dump(kern);
	ck_assert_str_eq(text,
	    "policy fwd 10.0.20.0/24 > 10.255.1.0/24 protect prio 4350001e reqid 2 tunnel "
	    "192.0.2.2 > 192.0.2.1\n"
	    "policy out 10.255.1.0/24 > 10.0.0.0/24 protect prio 4350000a reqid 1 tunnel "
	    "192.0.2.1 > 192.0.2.2\n"
	    "policy out 10.255.1.0/24 > 10.0.1.0/24 protect prio 4350000c reqid 1 tunnel "
	    "192.0.2.1 > 192.0.2.2\n"
	    "policy out 10.255.1.0/24 > 10.0.20.0/24 protect prio 4350001e reqid 2 tunnel "
	    "192.0.2.1 > 192.0.2.2\n"
	    "policy out 10.255.1.0/24 > 10.0.99.0/24 protect prio 3e8 reqid 9 tunnel "
	    "192.0.2.1 > 192.0.2.2\n"
	    "sa 192.0.2.1 spi 0x00000730 from 192.0.2.2 tunnel reqid 2 encr 12/256 integ 14\n"
	    "sa 192.0.2.2 spi 0x00000720 from 192.0.2.1 tunnel reqid 1 encr 12/256 integ 14\n"
	    "sa 192.0.2.2 spi 0x00000740 from 192.0.2.1 tunnel reqid 2 encr 12/256 integ 14\n");
	free(text);
}
END_TEST

/* fail the k-th operation before the commit point, with every kind of refusal */
START_TEST(refusal_undoes_everything)
{
	static const enum kern_fault_kind kind[] = {
	    KERN_REFUSED, KERN_UNSUPPORTED_ENCR, KERN_NO_REPLY};
	static const uint32_t origin[] = {11, 20, 21, 30, 31};
	struct kern_sa later = sa(0x740, false, 2);

	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
		for (unsigned n = 1; n <= 5; n++) {
			struct kern_fault f;
			struct korigin o;
			struct kplan *p;
			char *before, *after;

			teardown();
			setup();
			first_state();
			before = kern_mem_dump(kern);
			p = second_plan();
			kern_mem_fail_at(kern, n, kind[i], EINVAL);
			ck_assert_int_eq(kplan_apply(p, &f, &o), -1);
			ck_assert_int_eq(f.kind, kind[i]);
			ck_assert_uint_eq(o.instance, origin[n - 1]);
			kplan_free(p);
			after = kern_mem_dump(kern);
			ck_assert_str_eq(before, after);
			ck_assert_uint_eq(kstate_policy_count(ks), 6);
			ck_assert_uint_eq(kstate_sa_count(ks), 2);
			ck_assert(!kstate_sa_known(ks, &later.id));
			free(before);
			free(after);
			/* and the same plan again reaches its state */
			apply(second_plan());
		}
}
END_TEST

/* a delete that is refused is not a failure: it is owed, and done later */
START_TEST(deletes_are_retried)
{
	for (unsigned n = 6; n <= 10; n++) {
		char *now, *wanted;

		teardown();
		setup();
		first_state();
		apply(second_plan());
		wanted = kern_mem_dump(kern);
		teardown();
		setup();
		first_state();
		kern_mem_fail_at(kern, n, KERN_REFUSED, EBUSY);
		apply(second_plan());
		ck_assert_uint_eq(kstate_policy_count(ks), 4);
		ck_assert_uint_eq(kstate_retry(ks), 0);
		now = kern_mem_dump(kern);
		ck_assert_str_eq(now, wanted);
		free(now);
		free(wanted);
	}
}
END_TEST

/* while an interface is still to be deleted, what its packets meet outside stays */
START_TEST(outer_policy_outlives_the_tunnel)
{
	struct kern_policy outer = protect(0, KERN_OUT, 1);
	struct kern_tunnel t = {.id = 7,
	    .local = {.family = AF_INET, .octets = {192, 0, 2, 1}},
	    .remote = {.family = AF_INET, .octets = {192, 0, 2, 2}}};
	struct korigin o = {0};
	struct kplan *p = kplan_new(ks);

	outer.sel.proto = IPPROTO_IPIP;
	kplan_policy_put(p, 1, &outer, &o);
	kplan_tunnel_put(p, &t, &o);
	apply(p);
	p = kplan_new(ks);
	kplan_tunnel_del(p, t.id);
	kplan_policy_drop(p, 1);
	kern_mem_fail_at(kern, 1, KERN_REFUSED, EBUSY);
	apply(p);
	ck_assert(kstate_owes(ks));
	ck_assert_uint_eq(kern_mem_policy_count(kern), 1);
	ck_assert_uint_eq(kstate_retry(ks), 0);
	ck_assert_uint_eq(kern_mem_policy_count(kern), 0);
}
END_TEST

/* an undo that is refused is owed too: the first put fails to be taken back */
START_TEST(refused_undo_is_owed)
{
	struct kern_policy changed = protect(0, KERN_OUT, 1);
	struct kern_fault f;
	struct korigin o;
	struct kplan *p;
	char *before, *after;

	first_state();
	before = kern_mem_dump(kern);
	/* put changes a policy, then an SA stands in the way, then the undo is refused */
	p = kplan_new(ks);
	changed.priority = KERN_PRIO_BASE + 1;
	put(p, 1, changed, 1);
	add(p, sa(0x720, false, 1), false, 2);
	kern_mem_fail_at(kern, 2, KERN_REFUSED, EBUSY);
	ck_assert_int_eq(kplan_apply(p, &f, &o), -1);
	ck_assert_int_eq(f.kind, KERN_EXISTS);
	ck_assert_uint_eq(o.instance, 2);
	kplan_free(p);
	after = kern_mem_dump(kern);
	ck_assert_str_ne(before, after);
	free(after);
	ck_assert_uint_eq(kstate_retry(ks), 0);
	after = kern_mem_dump(kern);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
}
END_TEST

START_TEST(selectors_have_one_owner)
{
	struct kern_fault f;
	struct korigin o;
	struct kplan *p;

	first_state();
	p = kplan_new(ks);
	put(p, 2, protect(0, KERN_OUT, 2), 5);
	ck_assert_int_eq(kplan_apply(p, &f, &o), -1);
	ck_assert_int_eq(f.kind, KERN_EXISTS);
	ck_assert_uint_eq(o.instance, 5);
	kplan_free(p);

	p = kplan_new(ks); /* two of one plan */
	put(p, 2, protect(50, KERN_OUT, 2), 5);
	put(p, 3, protect(50, KERN_OUT, 3), 6);
	ck_assert_int_eq(kplan_apply(p, &f, &o), -1);
	ck_assert_uint_eq(o.instance, 6);
	kplan_free(p);

	p = kplan_new(ks); /* handed over: before or after the put */
	put(p, 2, protect(0, KERN_OUT, 2), 5);
	kplan_policy_drop(p, 1);
	put(p, 3, protect(1, KERN_OUT, 1), 6);
	ck_assert_uint_eq(kplan_count(p), 1 + 4);
	apply(p);
	ck_assert_uint_eq(kstate_policy_count(ks), 2);
	ck_assert_uint_eq(kern_mem_policy_count(kern), 3);
}
END_TEST

static void note_order(void *arg, const struct kern_policy *p, uint64_t owner)
{
	(void)owner;
	*(uint32_t *)arg += p->reqid;
}

static bool spi_is_ours(void *arg, const struct kern_sa_state *s)
{
	(void)arg;
	return s->id.spi == 0x900;
}

START_TEST(load_takes_what_is_ours)
{
	struct kern_sa stray = sa(0x900, true, 77);
	struct kern_sa foreign = sa(0x901, true, 78);
	struct kern_fault f;
	struct kplan *p;
	uint32_t sum = 0;

	first_state();
	ck_assert_int_eq(ops->sa_add(kern, &stray, &f), 0);
	ck_assert_int_eq(ops->sa_add(kern, &foreign, &f), 0);
	kstate_free(ks);
	ks = kstate_new(ops, kern);
	ck_assert_int_eq(kstate_load(ks, spi_is_ours, NULL, &f), 0);
	ck_assert_uint_eq(kstate_policy_count(ks), 6);
	ck_assert_uint_eq(kstate_sa_count(ks), 3);
	ck_assert(kstate_sa_known(ks, &stray.id));
	ck_assert(!kstate_sa_known(ks, &foreign.id));
	kstate_policy_each(ks, note_order, &sum);
	ck_assert_uint_eq(sum, 6);

	/* putting them again only names their owner; owner 0's rest goes */
	p = kplan_new(ks);
	kplan_policy_drop(p, 0);
	put(p, 1, protect(0, KERN_OUT, 1), 1);
	ck_assert_uint_eq(kplan_count(p), 5);
	apply(p);
	ck_assert_uint_eq(kstate_policy_count(ks), 1);
	p = kplan_new(ks);
	kplan_policy_drop(p, 1);
	kplan_sa_drop(p, 1);
	apply(p);
	ck_assert_uint_eq(kern_mem_policy_count(kern), 1); /* the foreigner's */
	ck_assert_uint_eq(kern_mem_sa_count(kern), 2);
}
END_TEST

/* RFC 4303 2.1: 0 is for local use, 1 to 255 are IANA's. */
START_TEST(row107_reserved_spi)
{
	struct kern_fault f;
	struct kern_sa x;

	for (uint32_t spi = 0; spi <= 0x100; spi += spi ? 255 : 1) {
		x = sa(spi, true, 1);
		ck_assert_int_eq(ops->sa_add(kern, &x, &f), spi < 0x100 ? -1 : 0);
	}
	x = sa(0xff, true, 1);
	ck_assert_int_eq(ops->sa_add(kern, &x, &f), -1);
	ck_assert_msg(strstr(f.text, "reserved") != NULL, "%s", f.text);
}
END_TEST

START_TEST(row106_weak_suites)
{
	static const struct {
		uint16_t encr, bits, integ;
		uint32_t window;
		int ret;
		enum kern_fault_kind kind;
	} v[] = {
	    {12, 256, 14, 32, 0, 0},
	    {12, 128, 13, 0, 0, 0},
	    {12, 192, 2, 1, 0, 0},
	    {12, 512, 14, 32, -1, KERN_UNSUPPORTED_KEY_BITS},
	    {12, 0, 14, 32, -1, KERN_UNSUPPORTED_KEY_BITS},
	    {20, 256, 0, 32, -1, KERN_UNSUPPORTED_ENCR},
	    {28, 0, 0, 32, -1, KERN_UNSUPPORTED_ENCR},
	    {13, 256, 14, 32, -1, KERN_UNSUPPORTED_ENCR}, /* AES-CTR, with keys not from IKE */
	    {2, 64, 14, 32, -1, KERN_UNSUPPORTED_ENCR},	  /* DES */
	    {3, 192, 14, 32, -1, KERN_UNSUPPORTED_ENCR},  /* 3DES */
	    {12, 256, 1, 32, -1, KERN_UNSUPPORTED_INTEG}, /* MD5 */
	    {11, 0, 14, 32, -1, KERN_UNSUPPORTED_ENCR},
	    {999, 0, 14, 32, -1, KERN_UNSUPPORTED_ENCR},
	    {12, 256, 0, 32, -1, KERN_UNSUPPORTED_INTEG},
	    {12, 256, 12, 32, -1, KERN_UNSUPPORTED_INTEG},
	    {12, 256, 999, 32, -1, KERN_UNSUPPORTED_INTEG},
	    {12, 256, 14, 33, -1, KERN_UNSUPPORTED_WINDOW},
	};
	struct kern_sa bad = sa(0xff, true, 1);
	struct kern_policy pol = protect(0, KERN_OUT, 0x4000);
	struct kern_fault f;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const struct suite s = {.protocol = SUITE_ESP,
		    .encr = v[i].encr,
		    .encr_key_bits = v[i].bits,
		    .integ = v[i].integ};

		ck_assert_int_eq(ops->can(kern, &s, v[i].window, &f), v[i].ret);
		if (v[i].ret < 0)
			ck_assert_int_eq(f.kind, v[i].kind);
	}
	ck_assert_int_eq(ops->sa_add(kern, &bad, &f), -1);
	bad.id.spi = 256;
	bad.integ_key_len = 32;
	ck_assert_int_eq(ops->sa_add(kern, &bad, &f), -1);
	ck_assert_int_eq(f.kind, KERN_UNSUPPORTED_INTEG);
	ck_assert_int_eq(ops->policy_put(kern, &pol, &f), -1);
	pol.reqid = 1;
	pol.sel.dst = prefix("2001:db8::/32");
	ck_assert_int_eq(ops->policy_put(kern, &pol, &f), -1);
	ck_assert_int_eq(f.kind, KERN_UNSUPPORTED_SELECTOR);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kplan");
	TCase *t = tcase_create("kplan");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_to_do_is_nothing);
	tcase_add_test(t, second_state_is_reached);
	tcase_add_test(t, refusal_undoes_everything);
	tcase_add_test(t, deletes_are_retried);
	tcase_add_test(t, outer_policy_outlives_the_tunnel);
	tcase_add_test(t, refused_undo_is_owed);
	tcase_add_test(t, selectors_have_one_owner);
	tcase_add_test(t, load_takes_what_is_ours);
	tcase_add_test(t, row106_weak_suites);
	tcase_add_test(t, row107_reserved_spi);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
