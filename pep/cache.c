/*
 * cache.c - see cache.h.  The file: 8 octets of magic, then records
 *
 *	len(32) crc(32) kind(8) body[len - 1]		crc over kind and body
 *
 * kind 1, rows: each op(8) prid-len(16) prid [epd-len(32) epd], PRID and EPD as on the
 * wire.  kind 2, PDP: family(8) address(128) port(16).  kind 3, lost: when(64), 0 = it is there.
 */
#include "pep/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "pep/durable.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define MAGIC	    "copspep1"
#define MAGIC_LEN   8
#define RECORD_HEAD 8
#define FILE_MAX    ((size_t)1 << 31)
#define COMPACT_MIN ((size_t)256 << 10) /* octets; a smaller journal is left alone */
#define COMPACT_AT  4			/* times the snapshot */

enum kind { KIND_ROWS = 1, KIND_PDP = 2, KIND_LOST = 3 };
enum op { OP_REMOVE = 1, OP_INSTALL = 2 };

struct pep_cache {
	char *path;
	int fd;		 /* -1: not open */
	size_t size;	 /* of the journal */
	size_t snapshot; /* of its first record when last rewritten or loaded */
	struct buf note; /* records to append */
	bool noted_rows;
	bool any;    /* a decision is in it */
	bool behind; /* the disk lacks something */
	struct addr pdp;
	uint16_t pdp_port;
	bool have_pdp;
	int64_t lost; /* seconds since the epoch */
};

struct pep_cache *pep_cache_new(const char *path)
{
	struct pep_cache *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->path = strdup(path)) == NULL) {
		free(c);
		return NULL;
	}
	c->fd = -1;
	buf_init(&c->note, FILE_MAX);
	return c;
}

void pep_cache_free(struct pep_cache *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		close(c->fd);
	buf_clear(&c->note);
	free(c->path);
	free(c);
}

/* ------------------------------------------------------------------ records */

/* CRC-32 of IEEE 802.3, four bits at a time. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
	    0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8,
	    0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static size_t record_open(struct buf *b, enum kind kind)
{
	size_t mark = b->len;

	buf_put_zero(b, RECORD_HEAD);
	buf_put_u8(b, (uint8_t)kind);
	return mark;
}

static void record_close(struct buf *b, size_t mark)
{
	if (b->failed)
		return;
	buf_patch_u32(b, mark, (uint32_t)(b->len - mark - RECORD_HEAD));
	buf_patch_u32(
	    b, mark + 4, crc32_of(b->data + mark + RECORD_HEAD, b->len - mark - RECORD_HEAD));
}

static void put_row(struct buf *b, enum op op, const struct pib_row *row)
{
	size_t mark;

	buf_put_u8(b, (uint8_t)op);
	mark = b->len;
	buf_put_u16(b, 0);
	pib_prid_put(b, row->cls, row->instance);
	if (b->failed)
		return;
	buf_patch_u16(b, mark, (uint16_t)(b->len - mark - 2));
	if (op == OP_REMOVE)
		return;
	buf_put_u32(b, row->epd_len);
	buf_put(b, row->epd, row->epd_len);
}

static void put_pdp(const struct pep_cache *c, struct buf *b)
{
	size_t mark = record_open(b, KIND_PDP);

	buf_put_u8(b, c->pdp.family);
	buf_put(b, c->pdp.octets, sizeof(c->pdp.octets));
	buf_put_u16(b, c->pdp_port);
	record_close(b, mark);
}

static void put_lost(const struct pep_cache *c, struct buf *b)
{
	size_t mark = record_open(b, KIND_LOST);

	buf_put_u32(b, (uint32_t)((uint64_t)c->lost >> 32));
	buf_put_u32(b, (uint32_t)c->lost);
	record_close(b, mark);
}

/* ------------------------------------------------------------------ loading */

static int load_rows(struct pib_store *st, struct cur *c)
{
	struct pib_txn *t = pib_txn_begin(st);
	int rc = t == NULL ? -1 : 0;

	while (rc == 0 && cur_left(c) > 0) {
		struct cur prid;
		struct cur epd;
		uint16_t prid_len;
		uint32_t epd_len;
		uint8_t op;

		if (!cur_u8(c, &op) || !cur_u16(c, &prid_len) || !cur_cut(c, prid_len, &prid) ||
		    (op == OP_INSTALL && (!cur_u32(c, &epd_len) || !cur_cut(c, epd_len, &epd))))
			rc = -1;
		else if (op == OP_INSTALL)
			rc = pib_txn_install(t, prid.p, cur_left(&prid), epd.p, cur_left(&epd));
		else
			rc = pib_txn_remove(t, prid.p, cur_left(&prid));
	}
	if (t == NULL)
		return -1;
	if (rc == 0 && pib_txn_check(t) == 0) {
		pib_txn_commit(t);
		return 0;
	}
	pib_txn_abort(t);
	return -1;
}

static int load_pdp(struct pep_cache *c, struct cur *r)
{
	if (!cur_u8(r, &c->pdp.family) || !cur_get(r, c->pdp.octets, sizeof(c->pdp.octets)) ||
	    !cur_u16(r, &c->pdp_port) || addr_len(&c->pdp) == 0)
		return -1;
	c->have_pdp = true;
	return 0;
}

static int load_lost(struct pep_cache *c, struct cur *r)
{
	uint32_t hi, lo;

	if (!cur_u32(r, &hi) || !cur_u32(r, &lo) || hi > INT32_MAX)
		return -1;
	c->lost = (int64_t)((uint64_t)hi << 32 | lo);
	return 0;
}

static int load_body(struct pep_cache *c, struct pib_store *st, uint8_t kind, struct cur *body)
{
	switch (kind) {
	case KIND_ROWS:
		return load_rows(st, body);
	case KIND_PDP:
		return load_pdp(c, body);
	case KIND_LOST:
		return load_lost(c, body);
	}
	return -1;
}

/* One record; false at the end or at one that is torn or not ours. */
static bool load_record(struct pep_cache *c, struct pib_store *st, struct cur *all)
{
	struct cur left = *all;
	struct cur body;
	uint32_t len;
	uint32_t crc;
	uint8_t kind;

	if (!cur_u32(&left, &len) || !cur_u32(&left, &crc) || !cur_cut(&left, len, &body) ||
	    crc32_of(body.p, len) != crc || !cur_u8(&body, &kind))
		return false;
	if (load_body(c, st, kind, &body) != 0)
		return false;
	c->any |= kind == KIND_ROWS;
	*all = left;
	return true;
}

long pep_cache_load(struct pep_cache *c, struct pib_store *st, char *err, size_t err_len)
{
	struct cur cur;
	size_t len;
	char *text = durable_read(c->path, FILE_MAX, &len);

	if (text == NULL && errno == ENOENT)
		return 0;
	if (text == NULL) {
		snprintf(err, err_len, "%s: %s", c->path, strerror(errno));
		return -1;
	}
	cur_init(&cur, text, len);
	if (len >= MAGIC_LEN && memcmp(text, MAGIC, MAGIC_LEN) == 0) {
		cur_skip(&cur, MAGIC_LEN);
		while (load_record(c, st, &cur))
			if (c->snapshot == 0)
				c->snapshot = (size_t)(cur.p - (const uint8_t *)text);
		c->size = (size_t)(cur.p - (const uint8_t *)text);
	}
	if (c->size < len) {
		log_warn(
		    "%s: %zu octets at the end are not whole, cut off", c->path, len - c->size);
		if (truncate(c->path, (off_t)c->size) != 0)
			log_warn("%s: %s", c->path, strerror(errno));
	}
	free(text);
	return (long)pib_store_count(st, NULL);
}

/* ------------------------------------------------------------------ writing */

void pep_cache_note(struct pep_cache *c, const struct pib_txn *t)
{
	const struct pib_change *ch;
	size_t n = pib_txn_changes(t, &ch);
	size_t mark;

	if (n == 0 && c->any)
		return;
	mark = record_open(&c->note, KIND_ROWS);
	for (size_t i = 0; i < n; i++) {
		const struct pib_row *row = ch[i].after != NULL ? ch[i].after : ch[i].before;

		if (!row->cls->transient)
			put_row(&c->note, ch[i].after != NULL ? OP_INSTALL : OP_REMOVE, row);
	}
	record_close(&c->note, mark);
	c->noted_rows = true;
}

void pep_cache_pdp_put(struct pep_cache *c, const struct addr *a, uint16_t port)
{
	if (c->have_pdp && c->pdp_port == port && addr_cmp(&c->pdp, a) == 0)
		return;
	c->pdp = *a;
	c->pdp_port = port;
	c->have_pdp = true;
	put_pdp(c, &c->note);
}

void pep_cache_lost_put(struct pep_cache *c, int64_t when)
{
	if (c->lost == when)
		return;
	c->lost = when;
	put_lost(c, &c->note);
}

int64_t pep_cache_lost(const struct pep_cache *c)
{
	return c->lost;
}

bool pep_cache_newer(const struct pep_cache *a, const struct pep_cache *b)
{
	struct stat x = {0}, y = {0};

	(void)stat(a->path, &x);
	(void)stat(b->path, &y);
	return x.st_mtim.tv_sec != y.st_mtim.tv_sec ? x.st_mtim.tv_sec > y.st_mtim.tv_sec
						    : x.st_mtim.tv_nsec > y.st_mtim.tv_nsec;
}

void pep_cache_forget(struct pep_cache *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->size = c->snapshot = 0;
	c->any = c->behind = c->have_pdp = c->noted_rows = false;
	c->lost = 0;
	buf_reset(&c->note);
	if (unlink(c->path) != 0 && errno != ENOENT)
		log_warn("%s: %s", c->path, strerror(errno));
}

static void snapshot_row(void *arg, const struct pib_row *row)
{
	put_row(arg, OP_INSTALL, row);
}

/* The whole state as a new journal. */
static int rewrite(struct pep_cache *c, const struct pib_store *st)
{
	struct buf b;
	size_t mark;
	int rc = -1;

	buf_init(&b, FILE_MAX);
	buf_put(&b, MAGIC, MAGIC_LEN);
	mark = record_open(&b, KIND_ROWS);
	pib_store_each(st, NULL, snapshot_row, &b);
	record_close(&b, mark);
	if (c->have_pdp)
		put_pdp(c, &b);
	if (c->lost != 0)
		put_lost(c, &b);
	errno = ENOMEM;
	if (!b.failed && durable_write(c->path, b.data, b.len) == 0) {
		if (c->fd >= 0)
			close(c->fd); /* of the file that was */
		c->fd = -1;
		c->size = c->snapshot = b.len;
		rc = 0;
	}
	buf_clear(&b);
	return rc;
}

static int append(struct pep_cache *c)
{
	if (c->note.failed) {
		errno = ENOMEM;
		return -1;
	}
	if (c->fd < 0)
		c->fd = open(c->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (c->fd < 0 || lseek(c->fd, (off_t)c->size, SEEK_SET) < 0 ||
	    durable_write_all(c->fd, c->note.data, c->note.len) != 0 || fdatasync(c->fd) != 0)
		return -1;
	c->size += c->note.len;
	return 0;
}

static int failed(struct pep_cache *c)
{
	if (!c->behind)
		log_err("%s: %s; the decision holds, but not beyond a restart", c->path,
		    strerror(errno));
	c->behind = true;
	return -1;
}

int pep_cache_flush(struct pep_cache *c, const struct pib_store *st)
{
	bool fresh = c->size < MAGIC_LEN || c->behind || c->note.failed ||
		     (c->size > COMPACT_MIN && c->size > COMPACT_AT * c->snapshot);
	int rc;

	if (c->note.len == 0 && !c->note.failed)
		return 0;
	c->any |= c->noted_rows;
	rc = fresh ? rewrite(c, st) : append(c);
	buf_reset(&c->note);
	c->noted_rows = false;
	if (rc != 0)
		return failed(c);
	c->behind = false;
	return 0;
}

int pep_cache_retry(struct pep_cache *c, const struct pib_store *st)
{
	if (!c->behind)
		return 0;
	if (rewrite(c, st) != 0)
		return -1;
	c->behind = false;
	log_note("%s: complete again", c->path);
	return 0;
}

bool pep_cache_complete(const struct pep_cache *c)
{
	return c->any && !c->behind;
}

bool pep_cache_pdp(const struct pep_cache *c, struct addr *a, uint16_t *port)
{
	if (!pep_cache_complete(c) || !c->have_pdp)
		return false;
	*a = c->pdp;
	*port = c->pdp_port;
	return true;
}
