/*
 * cops_chunk.c - octets with an atomic reference count.  The octets never change
 * after the chunk was shown to a second holder, so readers need no lock.
 */
#include "libcops/cops_chunk.h"

#include <stdlib.h>
#include <string.h>

struct cops_chunk *cops_chunk_alloc(size_t len)
{
	struct cops_chunk *c;

	if (len > UINT32_MAX)
		return NULL;
	c = malloc(sizeof(*c) + len);
	if (c == NULL)
		return NULL;
	c->refs = 1;
	c->len = (uint32_t)len;
	return c;
}

struct cops_chunk *cops_chunk_new(const void *data, size_t len)
{
	struct cops_chunk *c = cops_chunk_alloc(len);

	if (c != NULL && len > 0)
		memcpy(c->data, data, len);
	return c;
}

struct cops_chunk *cops_chunk_ref(struct cops_chunk *c)
{
	__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void cops_chunk_unref(struct cops_chunk *c)
{
	if (c == NULL)
		return;
	/* Release our reads; the last holder acquires everybody's before freeing. */
	if (__atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(c);
}
