/*
 * cops_outq.c - the ring.  cap and COPS_OUTQ_SMALL are powers of two, so that an
 * index is masked; n <= cap always.
 */
#include "libcops/cops_outq.h"

#include <stdlib.h>
#include <string.h>

#include "libcops/cops_conn.h"

static struct cops_chunk **slot(const struct cops_outq *q, uint32_t i)
{
	struct cops_chunk **ring = q->ring != NULL ? q->ring : (struct cops_chunk **)q->small;

	return &ring[(q->head + i) & (q->cap - 1)];
}

void cops_outq_init(struct cops_outq *q)
{
	memset(q, 0, sizeof(*q));
	q->cap = COPS_OUTQ_SMALL;
}

void cops_outq_clear(struct cops_outq *q)
{
	for (uint32_t i = 0; i < q->n; i++)
		cops_chunk_unref(*slot(q, i));
	free(q->ring);
	cops_outq_init(q);
}

bool cops_outq_reserve(struct cops_outq *q, size_t n)
{
	struct cops_chunk **ring;
	uint32_t cap = q->cap;

	if (n > UINT32_MAX / 4 - q->n)
		return false;
	while (cap < q->n + n)
		cap *= 2;
	if (cap == q->cap)
		return true;
	ring = malloc(cap * sizeof(*ring));
	if (ring == NULL)
		return false;
	for (uint32_t i = 0; i < q->n; i++)
		ring[i] = *slot(q, i);
	free(q->ring);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
	return true;
}

void cops_outq_give(struct cops_outq *q, struct cops_chunk *c)
{
	if (c->len == 0) {
		cops_chunk_unref(c);
		return;
	}
	*slot(q, q->n++) = c;
	q->octets += c->len;
}

size_t cops_outq_peek(const struct cops_outq *q, struct cops_span *span, size_t max_spans)
{
	size_t n = q->n < max_spans ? q->n : max_spans;
	uint32_t gone = q->gone;

	for (uint32_t i = 0; i < n; i++) {
		const struct cops_chunk *c = *slot(q, i);

		span[i].p = c->data + gone;
		span[i].len = c->len - gone;
		gone = 0;
	}
	return n;
}

void cops_outq_done(struct cops_outq *q, size_t octets)
{
	q->octets -= octets;
	while (q->n > 0) {
		struct cops_chunk *c = *slot(q, 0);
		size_t left = c->len - q->gone;

		if (octets < left)
			break;
		octets -= left;
		cops_chunk_unref(c);
		q->head = (q->head + 1) & (q->cap - 1);
		q->gone = 0;
		q->n--;
	}
	q->gone += (uint32_t)octets;
	if (q->n == 0)
		cops_outq_clear(q);
}
