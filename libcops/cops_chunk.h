/*
 * cops_chunk.h - immutable octets shared by reference.  What many sessions send
 * is encoded once into a chunk; every output queue that holds it holds a
 * reference, across threads.
 */
#ifndef COPS_CHUNK_H
#define COPS_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cops_chunk {
	uint32_t refs; /* for the functions below, which go at it atomically */
	uint32_t len;
	uint8_t data[];
};

/* A copy of data[0..len) with one reference; NULL when memory is short. */
struct cops_chunk *cops_chunk_new(const void *data, size_t len);
/* len octets for the caller to fill before anybody else sees the chunk; NULL as above. */
struct cops_chunk *cops_chunk_alloc(size_t len);
/* One reference more; returns c.  Any thread that has one may take and give back. */
struct cops_chunk *cops_chunk_ref(struct cops_chunk *c);
/* Give one back; the last one frees.  NULL is allowed. */
void cops_chunk_unref(struct cops_chunk *c);

#ifdef __cplusplus
}
#endif
#endif
