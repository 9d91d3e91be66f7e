/*
 * buf.c - read cursor and write buffer.  A cursor keeps p <= end; a buffer keeps
 * len <= cap, and cap <= max when max is set.
 */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAP 256

void cur_init(struct cur *c, const void *p, size_t len)
{
	c->p = p;
	/* NULL + 0 is undefined, and an empty view of nothing is legal. */
	c->end = len ? c->p + len : c->p;
}

size_t cur_left(const struct cur *c)
{
	return (size_t)(c->end - c->p);
}

/* Reads an n-octet big-endian number, n <= 8. */
static bool cur_number(struct cur *c, size_t n, uint64_t *v)
{
	if (cur_left(c) < n)
		return false;
	uint64_t x = 0;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | c->p[i];
	c->p += n;
	*v = x;
	return true;
}

bool cur_u8(struct cur *c, uint8_t *v)
{
	uint64_t x;
	if (!cur_number(c, 1, &x))
		return false;
	*v = (uint8_t)x;
	return true;
}

bool cur_u16(struct cur *c, uint16_t *v)
{
	uint64_t x;
	if (!cur_number(c, 2, &x))
		return false;
	*v = (uint16_t)x;
	return true;
}

bool cur_u32(struct cur *c, uint32_t *v)
{
	uint64_t x;
	if (!cur_number(c, 4, &x))
		return false;
	*v = (uint32_t)x;
	return true;
}

bool cur_u64(struct cur *c, uint64_t *v)
{
	return cur_number(c, 8, v);
}

bool cur_get(struct cur *c, void *dst, size_t n)
{
	if (cur_left(c) < n)
		return false;
	if (n) {
		memcpy(dst, c->p, n);
		c->p += n;
	}
	return true;
}

bool cur_skip(struct cur *c, size_t n)
{
	if (cur_left(c) < n)
		return false;
	if (n)
		c->p += n;
	return true;
}

bool cur_cut(struct cur *c, size_t n, struct cur *sub)
{
	const uint8_t *start = c->p;
	if (!cur_skip(c, n))
		return false;
	cur_init(sub, start, n);
	return true;
}

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf) {.max = max};
}

void buf_clear(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

/* Makes room for n more octets; false, with failed set, when that cannot be. */
static bool buf_grow(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n <= b->cap - b->len)
		return true;
	if (n > SIZE_MAX - b->len || (b->max && b->len + n > b->max))
		goto fail;
	size_t need = b->len + n;
	size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->max && cap > b->max)
		cap = b->max;
	uint8_t *data = realloc(b->data, cap);
	if (!data)
		goto fail;
	b->data = data;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	/* At least one octet, so that n = 0 on an empty buffer is no failure. */
	if (!buf_grow(b, n ? n : (size_t)(b->data == NULL)))
		return NULL;
	uint8_t *p = b->data + b->len;
	b->len += n;
	return p;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (!n)
		return;
	uint8_t *dst = buf_room(b, n);
	if (dst)
		memcpy(dst, p, n);
}

static void store_be(uint8_t *p, uint64_t v, size_t n)
{
	while (n) {
		p[--n] = (uint8_t)v;
		v >>= 8;
	}
}

static void buf_put_number(struct buf *b, uint64_t v, size_t n)
{
	uint8_t *p = buf_room(b, n);
	if (p)
		store_be(p, v, n);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put_number(b, v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
	buf_put_number(b, v, 2);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
	buf_put_number(b, v, 4);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
	buf_put_number(b, v, 8);
}

void buf_put_zero(struct buf *b, size_t n)
{
	uint8_t *p = n ? buf_room(b, n) : NULL;
	if (p)
		memset(p, 0, n);
}

static void buf_patch(struct buf *b, size_t at, uint64_t v, size_t n)
{
	if (b->failed)
		return;
	if (at > b->len || n > b->len - at) {
		b->failed = true;
		return;
	}
	store_be(b->data + at, v, n);
}

void buf_patch_u16(struct buf *b, size_t at, uint16_t v)
{
	buf_patch(b, at, v, 2);
}

void buf_patch_u32(struct buf *b, size_t at, uint32_t v)
{
	buf_patch(b, at, v, 4);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);

	/* vsnprintf writes a NUL too: room for it, then give it back.  max does not count it. */
	size_t max = b->max;
	if (n >= 0 && max && (size_t)n <= max - b->len)
		b->max = max + 1;
	char *p = n < 0 ? NULL : (char *)buf_room(b, (size_t)n + 1);
	b->max = max;
	if (p) {
		vsnprintf(p, (size_t)n + 1, fmt, again);
		b->len--;
	} else {
		b->failed = true;
	}
	va_end(again);
}

void buf_shift(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n && n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

uint8_t *buf_take(struct buf *b, size_t *len)
{
	uint8_t *data = b->data;
	*len = b->len;
	buf_init(b, b->max);
	return data;
}
