/*
 * vpn_reqid.c - the table of reqids and its file: a journal of lines "PEER REQID",
 * 0 for a peer that is gone, written anew when it is read.  A torn last line is ignored.
 */
#include "pep/vpn_reqid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/buf.h"
#include "pep/durable.h"

#define FILE_MAX_LEN	(8U << 20)
#define JOURNAL_MAX_LEN (4U << 20) /* then it is written anew */

struct reqid {
	uint32_t peer;
	uint32_t reqid;
	UT_hash_handle hh;
};

struct vpn_reqids {
	char *path;
	int fd; /* of the journal */
	uint32_t max;
	uint32_t next; /* to try first */
	size_t journal_len;
	struct reqid *peers;
	uint32_t *owner; /* of each reqid, 0 = free */
	struct buf unsaved;
};

static struct reqid *find(const struct vpn_reqids *r, uint32_t peer)
{
	struct reqid *e;
	HASH_FIND(hh, r->peers, &peer, sizeof(peer), e);
	return e;
}

uint32_t vpn_reqids_find(const struct vpn_reqids *r, uint32_t peer)
{
	const struct reqid *e = find(r, peer);
	return e ? e->reqid : 0;
}

uint32_t vpn_reqids_peer(const struct vpn_reqids *r, uint32_t reqid)
{
	return reqid && reqid <= r->max ? r->owner[reqid] : 0;
}

static int enter(struct vpn_reqids *r, uint32_t peer, uint32_t reqid)
{
	struct reqid *e;

	if (!peer || !reqid || reqid > r->max || r->owner[reqid] || find(r, peer) ||
	    !(e = calloc(1, sizeof(*e))))
		return -1;
	e->peer = peer;
	e->reqid = reqid;
	HASH_ADD(hh, r->peers, peer, sizeof(e->peer), e);
	r->owner[reqid] = peer;
	return 0;
}

static void leave(struct vpn_reqids *r, struct reqid *e)
{
	r->owner[e->reqid] = 0;
	HASH_DEL(r->peers, e);
	free(e);
}

static void note(struct vpn_reqids *r, uint32_t peer, uint32_t reqid)
{
	buf_printf(&r->unsaved, "%u %u\n", (unsigned)peer, (unsigned)reqid);
}

uint32_t vpn_reqids_get(struct vpn_reqids *r, uint32_t peer)
{
	uint32_t reqid = vpn_reqids_find(r, peer);

	if (reqid || HASH_COUNT(r->peers) >= r->max)
		return reqid;
	while (r->owner[r->next])
		r->next = r->next % r->max + 1;
	reqid = r->next;
	r->next = r->next % r->max + 1;
	if (enter(r, peer, reqid) < 0)
		return 0;
	note(r, peer, reqid);
	return reqid;
}

int vpn_reqids_claim(struct vpn_reqids *r, uint32_t peer, uint32_t reqid)
{
	if (enter(r, peer, reqid) < 0)
		return -1;
	note(r, peer, reqid);
	return 0;
}

void vpn_reqids_drop(struct vpn_reqids *r, uint32_t peer)
{
	struct reqid *e = find(r, peer);
	if (!e)
		return;
	leave(r, e);
	note(r, peer, 0);
}

void vpn_reqids_each(
    struct vpn_reqids *r, void (*fn)(void *arg, uint32_t peer, uint32_t reqid), void *arg)
{
	struct reqid *e, *next;
	HASH_ITER (hh, r->peers, e, next)
		fn(arg, e->peer, e->reqid);
}

/* --- file ------------------------------------------------------------------- */

/* The whole table as the new file, and the journal opened at its end. */
static int rewrite(struct vpn_reqids *r)
{
	struct reqid *e, *next;
	struct buf b;
	int ret = -1;

	buf_init(&b, FILE_MAX_LEN);
	HASH_ITER (hh, r->peers, e, next)
		buf_printf(&b, "%u %u\n", (unsigned)e->peer, (unsigned)e->reqid);
	if (b.failed) {
		errno = ENOMEM;
	} else if (durable_write(r->path, b.data, b.len) == 0) {
		if (r->fd >= 0)
			close(r->fd);
		r->fd = open(r->path, O_WRONLY | O_APPEND | O_CLOEXEC);
		r->journal_len = b.len;
		ret = r->fd < 0 ? -1 : 0;
	}
	if (ret == 0)
		buf_reset(&r->unsaved);
	buf_clear(&b);
	return ret;
}

int vpn_reqids_save(struct vpn_reqids *r)
{
	if (r->unsaved.failed || r->journal_len + r->unsaved.len > JOURNAL_MAX_LEN)
		return rewrite(r);
	if (r->unsaved.len == 0)
		return 0;
	if (durable_write_all(r->fd, r->unsaved.data, r->unsaved.len) < 0 || fdatasync(r->fd) < 0)
		return rewrite(r); /* half a line may be there */
	r->journal_len += r->unsaved.len;
	buf_reset(&r->unsaved);
	return 0;
}

static void replay(struct vpn_reqids *r, char *text)
{
	char *line = text;

	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned peer, reqid;
		struct reqid *e;
		*end = '\0';
		if (sscanf(line, "%u %u", &peer, &reqid) != 2)
			continue;
		if ((e = find(r, peer)))
			leave(r, e);
		if (reqid && enter(r, peer, reqid) == 0)
			r->next = reqid % r->max + 1;
	}
}

struct vpn_reqids *vpn_reqids_new(
    const char *state_dir, uint32_t max, char *err, unsigned long err_len)
{
	struct vpn_reqids *r = calloc(1, sizeof(*r));
	size_t len;
	char *text;

	snprintf(err, err_len, "out of memory");
	if (!r)
		return NULL;
	r->fd = -1;
	r->max = max;
	r->next = 1;
	buf_init(&r->unsaved, FILE_MAX_LEN);
	r->owner = calloc((size_t)max + 1, sizeof(*r->owner));
	if (!r->owner || asprintf(&r->path, "%s/reqids", state_dir) < 0) {
		r->path = NULL;
		goto fail;
	}
	text = durable_read(r->path, FILE_MAX_LEN, &len);
	if (text)
		replay(r, text);
	else if (errno != ENOENT)
		goto file;
	free(text);
	if (rewrite(r) == 0)
		return r;
file:
	snprintf(err, err_len, "%s: %s", r->path, strerror(errno));
fail:
	vpn_reqids_free(r);
	return NULL;
}

void vpn_reqids_free(struct vpn_reqids *r)
{
	struct reqid *e, *next;

	if (!r)
		return;
	HASH_ITER (hh, r->peers, e, next)
		leave(r, e);
	if (r->fd >= 0)
		close(r->fd);
	buf_clear(&r->unsaved);
	free(r->owner);
	free(r->path);
	free(r);
}
