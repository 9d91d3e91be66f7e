/* plugin.c - see plugin.h. */
#include "common/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/diag.h"

#define ERR_LEN	     (PATH_MAX + 512)
#define NAME_MAX_LEN 32

/*
 * Could another user than root and us have put path there?  Above its folder a group may write, as
 * staff does in /usr/local, and in a sticky folder others put things beside it, not in its place.
 */
static int trusted(const char *path, bool above, char err[ERR_LEN])
{
	struct stat st;
	mode_t others;

	if (stat(path, &st) != 0) {
		snprintf(err, ERR_LEN, "%s: %s", path, strerror(errno));
		return -1;
	}
	others = !above ? S_IWGRP | S_IWOTH : (st.st_mode & S_ISVTX) != 0 ? 0 : S_IWOTH;
	if ((st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & others) == 0)
		return 0;
	snprintf(err, ERR_LEN, "%s: others can write it: chown root and chmod go-w", path);
	return -1;
}

/* The file, the folder that it really is in, and those above it. */
static int trusted_all(const char *real, char err[ERR_LEN])
{
	char path[PATH_MAX];
	char *slash;

	snprintf(path, sizeof(path), "%s", real);
	for (int depth = 0;; depth++) {
		if (trusted(path, depth > 1, err) != 0)
			return -1;
		slash = strrchr(path, '/');
		if (path[1] == '\0')
			return 0;
		slash[slash == path] = '\0'; /* "/" stays */
	}
}

static const void *load(const char *path, const char *symbol, char err[ERR_LEN])
{
	char real[PATH_MAX]; /* what is judged is what is loaded */
	const void *found;
	void *object;

	if (realpath(path, real) == NULL) {
		snprintf(err, ERR_LEN, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (trusted_all(real, err) != 0)
		return NULL;
	object = dlopen(real, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		snprintf(err, ERR_LEN, "%s", dlerror());
		return NULL;
	}
	found = dlsym(object, symbol);
	if (found == NULL)
		snprintf(
		    err, ERR_LEN, "%s: not for this daemon: it has no symbol %s", path, symbol);
	return found;
}

/* Names become parts of file names. */
static bool name_good(const char *name)
{
	size_t len = name != NULL ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;

	return len > 0 && len <= NAME_MAX_LEN && name[len] == '\0';
}

static bool clash(const struct plugin_head *a, const struct plugin_head *b)
{
	return a->client_type == b->client_type || strcmp(a->name, b->name) == 0;
}

/* May it be served beside the others? */
static int check(const struct plugins *p, const struct plugin_head *h, const char *path,
    const struct plugin_head *builtin, char err[ERR_LEN])
{
	const struct plugin_head *other = builtin;

	if (h->api != builtin->api) {
		snprintf(err, ERR_LEN,
		    "%s: made for version %u of the interface, but this daemon has version %u: "
		    "build it against the headers installed with the daemon",
		    path, (unsigned)h->api, (unsigned)builtin->api);
		return -1;
	}
	if (!name_good(h->name)) {
		snprintf(err, ERR_LEN, "%s: its name must be of a-z, 0-9 and -, at most %d", path,
		    NAME_MAX_LEN);
		return -1;
	}
	if (h->client_type == 0) {
		snprintf(err, ERR_LEN, "%s: client-type 0 is the connection itself", path);
		return -1;
	}
	for (size_t i = 0; i <= p->count; i++) {
		if (clash(h, other)) {
			snprintf(err, ERR_LEN,
			    "%s: client-type 0x%04x (%s) clashes with 0x%04x (%s)", path,
			    h->client_type, h->name, other->client_type, other->name);
			return -1;
		}
		if (i < p->count)
			other = p->item[i].head;
	}
	return 0;
}

static int load_entry(struct plugins *p, const char *entry, const char *symbol,
    const struct plugin_head *builtin, char err[ERR_LEN])
{
	size_t len = strcspn(entry, " \t");
	struct plugin *item = &p->item[p->count];
	char path[PATH_MAX];

	if (entry[0] != '/' || len >= sizeof(path)) {
		snprintf(err, ERR_LEN, "\"%s\": expected a path from /", entry);
		return -1;
	}
	memcpy(path, entry, len);
	path[len] = '\0';
	item->argument = entry + len + strspn(entry + len, " \t");
	item->head = load(path, symbol, err);
	if (item->head == NULL || check(p, item->head, path, builtin, err) != 0)
		return -1;
	p->count++;
	return 0;
}

int plugins_load(struct plugins *p, const struct conf_list *list, const char *symbol,
    const struct plugin_head *builtin, const char *file, struct diag *d)
{
	size_t before = d->errors;
	char err[ERR_LEN];

	p->count = 0;
	for (size_t i = 0; i < list->count && i < PLUGINS_MAX; i++)
		if (load_entry(p, list->item[i], symbol, builtin, err) != 0)
			diag_add(d, DIAG_ERROR, file, 0, 0, 0, NULL, 0, "client-types: %s", err);
	return d->errors == before ? 0 : -1;
}
