/* test_common_sys.c - log lines, systemd's notify socket, privileges. */
#include <check.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/notify.h"
#include "common/priv.h"

/* Stderr of what fn does. */
static char *captured(void (*fn)(void))
{
	static char text[8192];
	int fd[2], old = dup(STDERR_FILENO);

	ck_assert_int_eq(pipe(fd), 0);
	dup2(fd[1], STDERR_FILENO);
	fn();
	dup2(old, STDERR_FILENO);
	close(fd[1]);
	ssize_t n = read(fd[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd[0]);
	close(old);
	return text;
}

static void say_forged(void)
{
	log_note("peer says %s", "hello\n2026-01-01 error: forged\x1b[2J");
	log_debug("not this");
}

static void say_long(void)
{
	char text[5000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_err("%s", text);
}

START_TEST(log_lines)
{
	unsetenv("JOURNAL_STREAM");
	log_init("testd", LOG_INFO, false);
	char *s = captured(say_forged);
	ck_assert_ptr_eq(strchr(s, '\n'), s + strlen(s) - 1);
	ck_assert_ptr_nonnull(strstr(s, " notice: peer says hello?2026-01-01 error: forged?[2J\n"));
	ck_assert_ptr_nonnull(strstr(s, " testd["));
	s = captured(say_long);
	ck_assert_uint_le(strlen(s), 1024);
	ck_assert_int_eq(s[strlen(s) - 1], '\n');

	setenv("JOURNAL_STREAM", "1:2", 1);
	log_init("testd", LOG_DEBUG, false);
	s = captured(say_forged);
	ck_assert_int_eq(strncmp(s, "<5>peer says hello?", 19), 0);
	ck_assert_ptr_nonnull(strstr(s, "\n<7>not this\n"));
}
END_TEST

START_TEST(notify)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char text[128] = "";

	unsetenv("NOTIFY_SOCKET");
	ck_assert(!notify_send("READY=1"));
	int n = snprintf(
	    sun.sun_path + 1, sizeof(sun.sun_path) - 1, "notify-test-%d", (int)getpid());
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&sun, len), 0);
	snprintf(text, sizeof(text), "@%s", sun.sun_path + 1);
	setenv("NOTIFY_SOCKET", text, 1);
	ck_assert(notify_send("READY=1\nSTATUS=%d sessions", 3));
	ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(got, 0);
	text[got] = 0;
	ck_assert_str_eq(text, "READY=1\nSTATUS=3 sessions");
	close(fd);
	setenv("NOTIFY_SOCKET", "relative", 1);
	ck_assert(!notify_send("READY=1"));
}
END_TEST

START_TEST(watchdog)
{
	char pid[16];

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	ck_assert_uint_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_uint_eq(notify_watchdog_ms(), 15000);
	setenv("WATCHDOG_PID", "1", 1);
	ck_assert_uint_eq(notify_watchdog_ms(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	ck_assert_uint_eq(notify_watchdog_ms(), 15000);
}
END_TEST

START_TEST(no_core)
{
	struct rlimit r;

	priv_no_core();
	ck_assert_int_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_CORE, &r), 0);
	ck_assert_uint_eq(r.rlim_max, 0);
}
END_TEST

/* The line "name:\t" of /proc/self/status as a hexadecimal number. */
static unsigned long long status(const char *name)
{
	char line[256];
	unsigned long long v = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			v = strtoull(line + strlen(name) + 1, NULL, 16);
	fclose(f);
	return v;
}

START_TEST(drop)
{
	const uint64_t keep = (uint64_t)1 << CAP_NET_ADMIN;
	char err[PRIV_ERR_LEN] = "";

	ck_assert_int_eq(priv_drop("no such user", 0, err), -1);
	ck_assert_str_eq(err, "user no such user: unknown");
	if (geteuid() != 0 || !(status("CapEff") & keep)) {
		ck_assert_int_eq(priv_drop(NULL, 0, err), 0);
		ck_assert_uint_eq(status("CapPrm"), 0);
		return;
	}
	ck_assert_msg(priv_drop("nobody", keep, err) == 0, "%s", err);
	ck_assert_uint_eq(status("CapEff"), keep);
	ck_assert_uint_eq(status("CapPrm"), keep);
	ck_assert_uint_eq(status("CapInh"), 0);
	ck_assert_uint_eq(status("NoNewPrivs"), 1);
	ck_assert_uint_ne(geteuid(), 0);
	ck_assert_int_eq(setuid(0), -1);
	ck_assert_int_eq(priv_drop(NULL, (uint64_t)1 << CAP_SYS_ADMIN, err), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("common_sys");
	TCase *t = tcase_create("sys");

	tcase_add_test(t, log_lines);
	tcase_add_test(t, notify);
	tcase_add_test(t, watchdog);
	tcase_add_test(t, no_core);
	tcase_add_test(t, drop);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
