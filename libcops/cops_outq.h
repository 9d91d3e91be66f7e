/*
 * cops_outq.h - what a connection has still to send: references to chunks in a
 * ring.  A few fit without allocation; a longer ring is freed when it runs empty.
 * Private to libcops.
 */
#ifndef COPS_OUTQ_H
#define COPS_OUTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcops/cops_chunk.h"

#define COPS_OUTQ_SMALL 4 /* a power of two; a DEC with its header and rows */

struct cops_span;

struct cops_outq {
	struct cops_chunk **ring; /* NULL: small is the ring */
	uint32_t cap;		  /* of ring, a power of two */
	uint32_t head;
	uint32_t n;
	uint32_t gone; /* octets of the first chunk already sent */
	size_t octets; /* not sent yet */
	struct cops_chunk *small[COPS_OUTQ_SMALL];
};

void cops_outq_init(struct cops_outq *q);
void cops_outq_clear(struct cops_outq *q);
/* Make room for n more chunks; false when memory is short. */
bool cops_outq_reserve(struct cops_outq *q, size_t n);
/* Takes the reference; room was reserved. */
void cops_outq_give(struct cops_outq *q, struct cops_chunk *c);
size_t cops_outq_peek(const struct cops_outq *q, struct cops_span *span, size_t max_spans);
/* Octets were sent, at most as many as are queued. */
void cops_outq_done(struct cops_outq *q, size_t octets);

#endif
