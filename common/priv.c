/*
 * priv.c - capabilities by prctl(2) and capset(2): no library for five calls.
 */
#include "common/priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void priv_no_core(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int fail(char err[PRIV_ERR_LEN], const char *what)
{
	snprintf(err, PRIV_ERR_LEN, "%s: %s", what, strerror(errno));
	return -1;
}

/* What children could get by exec.  Without CAP_SETPCAP there is nothing to take away from. */
static void drop_bounding(uint64_t keep)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno == EINVAL)
			break; /* past the kernel's last capability */
}

static int set_caps(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++)
		data[i] = (struct __user_cap_data_struct) {
		    .effective = (uint32_t)(keep >> (32 * i)),
		    .permitted = (uint32_t)(keep >> (32 * i)),
		};
	return (int)syscall(SYS_capset, &head, data);
}

static int become(const char *user, char err[PRIV_ERR_LEN])
{
	errno = 0;
	const struct passwd *pw = getpwnam(user);

	if (!pw) {
		snprintf(
		    err, PRIV_ERR_LEN, "user %s: %s", user, errno ? strerror(errno) : "unknown");
		return -1;
	}
	if (pw->pw_uid == getuid() && pw->pw_uid == geteuid())
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return fail(err, "keepcaps");
	if (initgroups(user, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		return fail(err, user);
	return 0;
}

int priv_drop(const char *user, uint64_t keep, char err[PRIV_ERR_LEN])
{
	drop_bounding(keep);
	if (user && *user && become(user, err) < 0)
		return -1;
	if (set_caps(keep) < 0)
		return fail(err, "cannot keep the capabilities needed");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, "no_new_privs");
	return 0;
}
