/*
 * pep.c - see pep.h.
 *
 * SIGTERM and SIGINT end the daemon and leave the kernel as it is: the next one finds
 * everything in place.  SIGHUP reads certificates and keys again and connects anew.  The order at
 * the start: lock, kernel sockets and control socket, cached rows made true, rights dropped, the
 * world told.
 */
#include "pep/pep.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ctl.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/priv.h"
#include "config.h"
#include "pep/agent.h"
#include "pep/control.h"
#include "pep/durable.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"

#define STOP_MS 2000 /* for the PDP to take our leave */

struct daemon {
	const struct pep_conf *conf;
	struct event_base *base;
	struct pep_agent *agent;
	struct ctl_server *control;
	struct event *signal[3];
	struct event *watchdog;
	bool stopping;
	int lock;
};

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

/* ------------------------------------------------------------------ state directory */

/* Every directory on the way to path, which is a directory too if whole. */
static int make_dirs(const char *path, bool whole, mode_t mode)
{
	char *copy = strdup(path);
	int rc = copy == NULL ? -1 : 0;

	for (char *p = copy; rc == 0 && (p = strchr(p + 1, '/')) != NULL; *p = '/') {
		*p = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			rc = -1;
	}
	if (rc == 0 && whole && mkdir(copy, mode) != 0 && errno != EEXIST)
		rc = -1;
	free(copy);
	return rc;
}

/* The directory, with what is in it, belongs to the user we become. */
static int give_dir(int dir, const char *user)
{
	const struct passwd *pw;
	const struct dirent *e;
	DIR *d;
	int fd;
	int rc = 0;

	if (user[0] == '\0' || geteuid() != 0)
		return 0;
	if ((pw = getpwnam(user)) == NULL) {
		errno = ENOENT;
		return -1;
	}
	if ((fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    (d = fdopendir(fd)) == NULL)
		return -1;
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, "..") != 0)
			rc = fchownat(dir, e->d_name, pw->pw_uid, pw->pw_gid, AT_SYMLINK_NOFOLLOW);
	closedir(d);
	return rc;
}

/* One agent on one directory: the lock is held until the process ends. */
static int lock_state(const struct pep_conf *conf)
{
	char pid[16];
	int dir = -1;
	int fd = -1;

	if (make_dirs(conf->state_dir, true, 0700) == 0)
		dir = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || give_dir(dir, conf->user) != 0) {
		log_err("%s: %s", conf->state_dir, strerror(errno));
		goto fail;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		log_err("%s: another copspepd is running on it", conf->state_dir);
		goto fail;
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || durable_write_all(fd, pid, strlen(pid)) != 0)
		log_warn("%s/lock: %s", conf->state_dir, strerror(errno));
	close(dir);
	return fd;
fail:
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return -1;
}

/* ------------------------------------------------------------------ signals, watchdog */

static void on_stopped(void *arg)
{
	struct daemon *d = arg;

	event_base_loopbreak(d->base);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	const struct timeval limit = {.tv_sec = STOP_MS / 1000};
	struct daemon *d = arg;
	char err[400];

	(void)what;
	if (sig == SIGHUP) {
		if (pep_agent_reload(d->agent, err, sizeof(err)) != 0)
			log_err("certificates and keys are not read again: %s", err);
		vpn_reload(pep_agent_self(d->agent, &pep_client_vpn));
		log_note("told to connect anew");
		pep_agent_reconnect(d->agent);
		return;
	}
	if (d->stopping) {
		event_base_loopbreak(d->base);
		return;
	}
	d->stopping = true;
	log_note("stopping; what is in the kernel stays");
	notify_send("STOPPING=1");
	event_base_loopexit(d->base, &limit);
	pep_agent_stop(d->agent, on_stopped, d);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	notify_send("WATCHDOG=1");
}

static int events_new(struct daemon *d)
{
	uint32_t ms = notify_watchdog_ms();
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		d->signal[i] = evsignal_new(d->base, signals[i], on_signal, d);
		if (d->signal[i] == NULL || event_add(d->signal[i], NULL) != 0)
			return -1;
	}
	if (ms == 0)
		return 0;
	d->watchdog = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
	return d->watchdog == NULL ? -1 : event_add(d->watchdog, &tv);
}

/* ------------------------------------------------------------------ life */

static int open_all(struct daemon *d)
{
	const struct pep_client *clients[1 + PLUGINS_MAX] = {&pep_client_vpn};
	const struct plugins *more = &d->conf->plugins;
	char err[400] = "out of memory";
	char ctl_err[CTL_ERR_LEN];
	char priv_err[PRIV_ERR_LEN];

	for (size_t i = 0; i < more->count; i++)
		clients[1 + i] = (const void *)more->item[i].head;
	if ((d->base = event_base_new()) == NULL ||
	    (d->agent = pep_agent_new(
		 d->base, d->conf, clients, 1 + more->count, err, sizeof(err))) == NULL ||
	    events_new(d) != 0) {
		log_err("%s", err);
		return -1;
	}
	(void)make_dirs(d->conf->control_socket, false, 0755);
	if ((d->control = control_new(d->base, d->conf, d->agent, ctl_err)) == NULL) {
		log_err("%s", ctl_err);
		return -1;
	}
	/* A dry run needs no right at all. */
	if (priv_drop(d->conf->user,
		strcmp(d->conf->backend, "mem") == 0 ? 0 : (uint64_t)1 << CAP_NET_ADMIN,
		priv_err) != 0) {
		log_err("%s", priv_err);
		return -1;
	}
	return 0;
}

static void close_all(struct daemon *d)
{
	if (d->control != NULL)
		ctl_server_free(d->control);
	pep_agent_free(d->agent);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (d->signal[i] != NULL)
			event_free(d->signal[i]);
	if (d->watchdog != NULL)
		event_free(d->watchdog);
	if (d->base != NULL)
		event_base_free(d->base);
}

int pep_run(const struct pep_conf *conf)
{
	struct daemon d = {.conf = conf};
	int status = 1;

	if ((d.lock = lock_state(conf)) < 0)
		return 1;
	if (open_all(&d) == 0) {
		log_note("copspepd " PACKAGE_VERSION " runs as %s", pep_agent_identity(d.agent));
		pep_agent_start(d.agent);
		notify_send("READY=1\nSTATUS=CE %s", pep_agent_identity(d.agent));
		event_base_dispatch(d.base);
		status = 0;
	}
	close_all(&d);
	close(d.lock);
	return status;
}
