/*
 * buf.h - octets in and out: a read cursor that cannot run past its end and a
 * growing write buffer whose failures stick, so that a chain of gets or puts is
 * checked once at its end.  All numbers on the wire are big-endian.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A view of octets not yet read; borrows them. */
struct cur {
	const uint8_t *p;
	const uint8_t *end;
};

/* Begin at p[0..len); how many octets are left. */
void cur_init(struct cur *c, const void *p, size_t len);
size_t cur_left(const struct cur *c);
/* Each returns false, and moves nothing, when fewer octets are left than asked for. */
bool cur_u8(struct cur *c, uint8_t *v);
bool cur_u16(struct cur *c, uint16_t *v);
bool cur_u32(struct cur *c, uint32_t *v);
bool cur_u64(struct cur *c, uint64_t *v);
bool cur_get(struct cur *c, void *dst, size_t n);
bool cur_skip(struct cur *c, size_t n);
/* Cut the next n octets out as a cursor of their own. */
bool cur_cut(struct cur *c, size_t n, struct cur *sub);

/*
 * A write buffer.  After an allocation failure, or once it would exceed max,
 * failed is set and every later put is a no-op; look at failed once, at the end.
 */
struct buf {
	uint8_t *data;
	size_t len; /* octets written */
	size_t cap;
	size_t max; /* never grow past this; 0 = no bound */
	bool failed;
};

/* Empty, without memory yet. */
void buf_init(struct buf *b, size_t max);
/* Frees; *b is as after buf_init(b, b->max). */
void buf_clear(struct buf *b);
/* Keeps the memory; len = 0, failed = false. */
void buf_reset(struct buf *b);
/* n octets of room appended (len grows); NULL on failure.  Valid until the next put. */
uint8_t *buf_room(struct buf *b, size_t n);
/* Append a copy of octets, a number, zeros. */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_zero(struct buf *b, size_t n);
/* Write a number over octets already there, from offset at. */
void buf_patch_u16(struct buf *b, size_t at, uint16_t v);
void buf_patch_u32(struct buf *b, size_t at, uint32_t v);
/* Append printf output, no NUL. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drop the first n octets (moves the rest down). */
void buf_shift(struct buf *b, size_t n);
/* The caller owns the malloc()ed octets now; *b is empty. */
uint8_t *buf_take(struct buf *b, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
