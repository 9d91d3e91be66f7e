/*
 * test_rtnl.c - dumps of rtnetlink during which something changes (NLM_F_DUMP_INTR, as the kernel
 * marks them): asked for again, some times, and what came before is forgotten.  The kernel is that
 * of the machine, of which only interfaces are asked, which needs no rights; the mark is the
 * test's.
 */
#include <check.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "pep/kern_net.h"
#include "pep/kern_rtnl.h"

static unsigned dumps;	     /* that were asked for */
static unsigned interrupted; /* so many, from the first on */

ssize_t __real_mnl_socket_sendto(const struct mnl_socket *s, const void *req, size_t len);
ssize_t __real_mnl_socket_recvfrom(const struct mnl_socket *s, void *buf, size_t len);
ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *s, const void *req, size_t len);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *s, void *buf, size_t len);

ssize_t __wrap_mnl_socket_sendto(const struct mnl_socket *s, const void *req, size_t len)
{
	dumps++;
	return __real_mnl_socket_sendto(s, req, len);
}

/* The last message of what was read, so that something was seen before. */
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *s, void *buf, size_t len)
{
	ssize_t n = __real_mnl_socket_recvfrom(s, buf, len);
	struct nlmsghdr *h = buf, *last = NULL;

	for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		last = h;
	if (last != NULL && dumps <= interrupted)
		last->nlmsg_flags |= NLM_F_DUMP_INTR;
	return n;
}

static struct kern_net net;

static void setup(void)
{
	ck_assert_int_eq(kern_net_open(&net), 0);
	dumps = interrupted = 0;
}

static void teardown(void)
{
	kern_net_close(&net);
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	(void)h;
	++*(unsigned *)arg;
	return MNL_CB_OK;
}

static void anew(void *arg)
{
	*(unsigned *)arg = 0;
}

static int links(unsigned *count)
{
	struct ifinfomsg *m;

	dumps = 0;
	*count = 0;
	rtnl_begin(net.request, RTM_GETLINK, NLM_F_DUMP, sizeof(*m), &m);
	return rtnl_dump(net.request, on_link, anew, count);
}

START_TEST(asked_again)
{
	unsigned all, count;

	ck_assert_int_eq(links(&all), 0);
	ck_assert_uint_ge(all, 1); /* lo */
	ck_assert_uint_eq(dumps, 1);
	for (interrupted = 1; interrupted <= 3; interrupted++) {
		ck_assert_int_eq(links(&count), 0);
		ck_assert_uint_eq(count, all);
		ck_assert_uint_eq(dumps, interrupted + 1);
	}
}
END_TEST

START_TEST(not_for_ever)
{
	unsigned count;

	interrupted = 1000000;
	ck_assert_int_eq(links(&count), EINTR);
	ck_assert_uint_ge(dumps, 2);
	ck_assert_uint_le(dumps, 100);
}
END_TEST

static void count_own(void *arg, const struct kern_own *a)
{
	(void)a;
	++*(unsigned *)arg;
}

START_TEST(addresses)
{
	struct kern *k = (struct kern *)(void *)&net; /* as those of the back ends begin */
	struct kern_fault f;
	unsigned all = 0, count = 0;

	ck_assert_int_eq(kern_own_dump(k, count_own, &all, &f), 0);
	dumps = 0;
	interrupted = 2;
	ck_assert_int_eq(kern_own_dump(k, count_own, &count, &f), 0);
	ck_assert_uint_eq(dumps, 3);
	ck_assert_uint_eq(count, all); /* none twice */
	interrupted = 1000000;
	count = 0;
	ck_assert_int_eq(kern_own_dump(k, count_own, &count, &f), -1);
	ck_assert_int_eq(f.err, EINTR);
	ck_assert_uint_eq(count, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rtnl");
	SRunner *r = srunner_create(s);
	TCase *t = tcase_create("dumps");
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, asked_again);
	tcase_add_test(t, not_for_ever);
	tcase_add_test(t, addresses);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
