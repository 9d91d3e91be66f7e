/*
 * delta_list.c - the Decisions of one DEC: removes in front, as the order of a transaction wants.
 */
#include <stdlib.h>

#include "pdp/delta.h"

void delta_list_init(struct delta_list *l)
{
	*l = (struct delta_list) {0};
}

void delta_list_clear(struct delta_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		cops_chunk_unref(l->chunk[i]);
	free(l->chunk);
	delta_list_init(l);
}

void delta_list_put(struct delta_list *l, struct cops_chunk *c, bool remove)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 4;
		struct cops_chunk **chunk = reallocarray(l->chunk, cap, sizeof(*chunk));
		if (!chunk) {
			l->failed = true;
			return;
		}
		l->chunk = chunk;
		l->cap = cap;
	}
	l->chunk[l->count++] = cops_chunk_ref(c);
	if (!remove)
		return;
	/* Installs have no order among themselves: the first one makes room. */
	l->chunk[l->count - 1] = l->chunk[l->removes];
	l->chunk[l->removes++] = c;
}
