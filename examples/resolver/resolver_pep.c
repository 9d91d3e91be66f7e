/*
 * resolver_pep.c - the resolver on a device: rows of RESOLVER-PIB made true in one file, whole or
 * not at all, and put right when somebody else changes it.  pep.conf says which file:
 *	client-types = { "/usr/lib/copsvpn/resolver_pep.so /etc/resolv.conf" }
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pep/client.h>
#include <pib/gen/framework_pib.h>
#include <pib/pib_codec.h>
#include <pib/pib_limit.h>
#include <pib/pib_store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <common/buf.h>

#include "resolver_pib.h"

#define MARK	 "# Kept by copspepd; what is changed here is put back.\n"
#define FILE_MAX 4096 /* octets of the file: 3 servers and 6 domains are fewer */

struct resolver {
	struct pep_env env;
	char path[256], tmp[264];
	uint32_t repairs;
	int watch; /* inotify */
	struct event *ev;
};

/* ------------------------------------------------------------- rows to text */

static void put_server(void *arg, const struct pib_row *row)
{
	const struct pib_rslv_server *s = row->data;
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(s->addr.len == 4 ? AF_INET : AF_INET6, s->addr.p, text, sizeof(text)) != NULL)
		buf_printf(arg, "nameserver %s\n", text);
}

static void put_domain(void *arg, const struct pib_row *row)
{
	const struct pib_rslv_search *s = row->data;

	buf_printf(arg, " %.*s", (int)s->domain.len, (const char *)s->domain.p);
}

/* What the file must be; nothing at all without rows. */
static void render(struct buf *b, const struct pib_store *store)
{
	buf_init(b, FILE_MAX);
	if (pib_store_count(store, &pib_rslv_server_class) +
		pib_store_count(store, &pib_rslv_search_class) ==
	    0)
		return;
	buf_printf(b, "%s", MARK);
	pib_store_each(store, &pib_rslv_server_class, put_server, b);
	if (pib_store_count(store, &pib_rslv_search_class) > 0) {
		buf_printf(b, "search");
		pib_store_each(store, &pib_rslv_search_class, put_domain, b);
		buf_printf(b, "\n");
	}
}

/* ----------------------------------------------------------------- the file */

static bool file_is(const char *path, const struct buf *want, bool *ours)
{
	char have[FILE_MAX + 1];
	FILE *f = fopen(path, "re");
	size_t len = 0;

	if (f != NULL) {
		len = fread(have, 1, sizeof(have), f);
		fclose(f);
	}
	*ours = len >= strlen(MARK) && memcmp(have, MARK, strlen(MARK)) == 0;
	return f != NULL && len == want->len && memcmp(have, want->data, len) == 0;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* The old file or the new one, never a mixture. */
static int file_replace(const struct resolver *r, const struct buf *want)
{
	int fd = open(r->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int rc;

	if (fd < 0)
		return -1;
	rc = write_all(fd, want->data, want->len) == 0 && fsync(fd) == 0 ? 0 : -1;
	if (close(fd) != 0 || (rc == 0 && rename(r->tmp, r->path) != 0))
		rc = -1;
	if (rc != 0) {
		int saved = errno;

		unlink(r->tmp);
		errno = saved;
	}
	return rc;
}

/* 1: the file was something else; 0: it is so already; -1 and errno.  A file without our mark is
 * left alone as long as there are no rows. */
static int file_make(const struct resolver *r, const struct pib_store *store)
{
	struct buf want;
	bool ours;
	int rc = 0;

	render(&want, store);
	if (want.failed) {
		errno = ENOMEM;
		rc = -1;
	} else if (want.len == 0) {
		file_is(r->path, &want, &ours);
		if (ours)
			rc = unlink(r->path) == 0 ? 1 : -1;
	} else if (!file_is(r->path, &want, &ours)) {
		rc = file_replace(r, &want) == 0 ? 1 : -1;
	}
	buf_clear(&want);
	return rc;
}

/* ------------------------------------------------------------------ judging */

/* The column of a row that cannot go into the file, 0 for none: what the PIB cannot say. */
static uint8_t bad_column(const struct pib_row *row)
{
	if (row->cls == &pib_rslv_server_class) {
		const struct pib_rslv_server *s = row->data;

		return s->addr_type == (s->addr.len == 4 ? 1 : 2) ? 0
								  : PIB_RSLV_SERVER_COL_ADDR_TYPE;
	}
	if (row->cls == &pib_rslv_search_class) {
		const struct pib_rslv_search *s = row->data;

		for (uint32_t i = 0; i < s->domain.len; i++)
			if (!isalnum(s->domain.p[i]) && s->domain.p[i] != '-' &&
			    s->domain.p[i] != '.')
				return PIB_RSLV_SEARCH_COL_DOMAIN;
	}
	return 0;
}

static void fault(struct pib_txn *txn, const struct pib_row *row, uint16_t cperr, uint16_t sub)
{
	struct pib_fault f = {.cperr = cperr, .sub = sub};

	pib_fault_row(&f, row->cls, row->instance);
	pib_txn_fault(txn, &f);
}

static int judge(struct pib_txn *txn)
{
	const struct pib_change *change;
	size_t count = pib_txn_changes(txn, &change);
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		uint8_t column = change[i].after != NULL ? bad_column(change[i].after) : 0;

		if (column == 0)
			continue;
		fault(txn, change[i].after, PIB_CPERR_VALUE, column);
		rc = -1;
	}
	return rc;
}

static int resolver_enforce(void *self, const struct pib_store *store, struct pib_txn *txn)
{
	struct resolver *r = self;
	const struct pib_change *change;

	if (judge(txn) != 0)
		return -1;
	if (file_make(r, store) >= 0)
		return 0;
	r->env.log(3, "resolver: %s: %s", r->path, strerror(errno));
	if (pib_txn_changes(txn, &change) > 0)
		fault(txn, change[0].after != NULL ? change[0].after : change[0].before,
		    PIB_CPERR_SPECIFIC, PIB_RSLV_SERVER_ERR_FILE_NOT_WRITTEN);
	return -1;
}

static int resolver_reconcile(
    void *self, const struct pib_store *store, char *err, unsigned long err_len)
{
	struct resolver *r = self;
	int rc = file_make(r, store);

	if (rc < 0) {
		snprintf(err, err_len, "%s: %s", r->path, strerror(errno));
		return -1;
	}
	if (rc > 0) {
		r->env.log(5, "resolver: %s put right", r->path);
		r->repairs++;
		r->env.notify(r->env.agent, &cops_pep_client);
	}
	return 0;
}

/* What it can do and did. */
static void resolver_notify(void *self,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	const struct resolver *r = self;
	const struct pib_rslv_file row = {
	    .id = 1,
	    .path = {(const uint8_t *)r->path, (uint32_t)strlen(r->path)},
	    .repairs = r->repairs,
	};

	put(arg, &pib_rslv_file_class, 1, &row);
}

/* --------------------------------------------------------------------- life */

/* Something happened in the file's folder: whether it concerns us, reconcile() sees. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;
	char events[4096];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		;
	r->env.repair(r->env.agent, &cops_pep_client);
}

static int watch_start(struct resolver *r)
{
	char dir[sizeof(r->path)];

	memcpy(dir, r->path, sizeof(dir));
	r->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->watch < 0 || inotify_add_watch(r->watch, dirname(dir),
				IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0)
		return -1;
	r->ev = event_new(r->env.base, r->watch, EV_READ | EV_PERSIST, on_watch, r);
	return r->ev != NULL ? event_add(r->ev, NULL) : -1;
}

static void resolver_stop(void *self)
{
	struct resolver *r = self;

	if (r->ev != NULL)
		event_free(r->ev);
	if (r->watch >= 0)
		close(r->watch);
	free(r);
}

static void *resolver_start(const struct pep_env *env, char *err, unsigned long err_len)
{
	const char *path = env->argument[0] != '\0' ? env->argument : "/etc/resolv.conf";
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL || path[0] != '/' || strlen(path) >= sizeof(r->path)) {
		snprintf(err, err_len, "resolver: \"%.200s\": expected a path from /", path);
		free(r);
		return NULL;
	}
	r->env = *env;
	r->watch = -1;
	snprintf(r->path, sizeof(r->path), "%s", path);
	snprintf(r->tmp, sizeof(r->tmp), "%s.new", path);
	if (watch_start(r) != 0) {
		snprintf(err, err_len, "resolver: cannot watch %s: %s", path, strerror(errno));
		resolver_stop(r);
		return NULL;
	}
	return r;
}

/* What resolv.conf(5) can hold; told to the PDP as frwkCompLimits and held to by the agent. */
static const struct pib_limit limit[] = {
    {.cls = &pib_rslv_server_class, .kind = PIB_LIMIT_ROWS, .min = 3},
    {.cls = &pib_rslv_search_class, .kind = PIB_LIMIT_ROWS, .min = 6},
};
static const struct pib_limits limits = {limit, sizeof(limit) / sizeof(limit[0])};

static const struct pib_module *const module[] = {
    &pib_framework_pib_module, &pib_resolver_pib_module};

const struct pep_client cops_pep_client = {
    .api = PEP_CLIENT_API,
    .name = "resolver",
    .client_type = PIB_RESOLVER_PIB_SUBJECT_CATEGORY,
    .module = module,
    .module_count = sizeof(module) / sizeof(module[0]),
    .limits = &limits,
    .start = resolver_start,
    .stop = resolver_stop,
    .enforce = resolver_enforce,
    .reconcile = resolver_reconcile,
    .notify = resolver_notify,
};
