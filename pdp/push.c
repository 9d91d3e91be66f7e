/* push.c - a change on its way to many CEs, see sync.h. */
#include <stdlib.h>
#include <string.h>

#include "pdp/delta.h"
#include "pdp/sync_int.h"
#include "pdp/worker.h"

struct push_group { /* CEs that get the same chunks */
	UT_hash_handle hh;
	struct sync_ce **ce;
	size_t ces, cap;
	size_t chunks;
	struct cops_chunk *chunk[]; /* and room for the incarnation */
};

struct sync_push {
	struct sync *sync;
	struct push_group *groups;
	struct push_group *last;
	struct sync_ce **stale; /* cannot take the chunks as they are */
	size_t stales, cap;
};

struct sync_push *sync_push_new(struct sync *s)
{
	struct sync_push *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->sync = s;
	return p;
}

static int ce_put(struct sync_ce ***list, size_t *count, size_t *cap, struct sync_ce *ce)
{
	struct sync_ce **more;

	if (*count == *cap) {
		*cap = *cap == 0 ? 16 : *cap * 2;
		more = reallocarray(*list, *cap, sizeof(struct sync_ce *));
		if (more == NULL)
			return -1;
		*list = more;
	}
	(*list)[(*count)++] = ce;
	return 0;
}

static struct push_group *group_get(struct sync_push *p, const struct delta_list *l)
{
	size_t octets = l->count * sizeof(struct cops_chunk *);
	struct push_group *g = p->last;

	if (g != NULL && g->chunks == l->count && memcmp(g->chunk, l->chunk, octets) == 0)
		return g;
	HASH_FIND(hh, p->groups, l->chunk, octets, g);
	if (g == NULL) {
		g = calloc(1, sizeof(*g) + octets + sizeof(struct cops_chunk *));
		if (g == NULL)
			return NULL;
		for (size_t i = 0; i < l->count; i++)
			g->chunk[i] = cops_chunk_ref(l->chunk[i]);
		g->chunks = l->count;
		HASH_ADD_KEYPTR(hh, p->groups, g->chunk, octets, g);
	}
	p->last = g;
	return g;
}

int sync_push_add(struct sync_push *p, const char *name, const struct delta_list *l)
{
	struct sync_ce *ce = sync_find(p->sync, name);
	struct push_group *g;

	if (l->failed)
		return -1;
	if (ce == NULL || l->count == 0)
		return 0;
	if (ce->push_seen != 0) {
		ce->push_seen = 2;
		return 0;
	}
	ce->push_seen = 1;
	if (ce->state != SYNC_IDLE || ce->owed > 0 || ce->failed || sync_is_stale(ce))
		return ce_put(&p->stale, &p->stales, &p->cap, ce);
	g = group_get(p, l);
	return g != NULL ? ce_put(&g->ce, &g->ces, &g->cap, ce) : -1;
}

static void group_send(struct sync *s, struct push_group *g, uint64_t lsn)
{
	struct cops_chunk *inc = sync_incarnation(s, lsn);
	struct worker_to *to = calloc(g->ces, sizeof(*to));
	size_t n = 0;

	for (size_t i = 0; i < g->ces; i++) {
		g->ce[i]->wanted = lsn;
		/* two customers of one change had it: it needs both parts, in order */
		if (g->ce[i]->push_seen > 1)
			g->ce[i]->known = false;
		else if (to != NULL)
			to[n++] = (struct worker_to) {g->ce[i]->sid, g->ce[i]->main};
	}
	if (inc == NULL || n == 0) {
		free(to);
		return; /* they are stale now: the tick sends */
	}
	g->chunk[g->chunks] = inc; /* without a reference of ours */
	if (workers_send(s->workers, s->conf.index, false, to, n, g->chunk, g->chunks + 1) == 0)
		for (size_t i = 0; i < g->ces; i++)
			if (g->ce[i]->push_seen <= 1)
				sync_waiting(g->ce[i], SENT_CONTENT, lsn);
	free(to);
}

void sync_push_send(struct sync_push *p, uint64_t lsn)
{
	struct push_group *g, *more;

	HASH_ITER (hh, p->groups, g, more)
		group_send(p->sync, g, lsn);
	for (size_t i = 0; i < p->stales; i++) {
		p->stale[i]->wanted = lsn;
		if (p->stale[i]->push_seen > 1)
			p->stale[i]->known = false;
		sync_next(p->sync, p->stale[i]);
	}
	HASH_ITER (hh, p->groups, g, more)
		for (size_t i = 0; i < g->ces; i++)
			if (g->ce[i]->push_seen > 1)
				sync_next(p->sync, g->ce[i]);
	sync_push_free(p);
}

void sync_push_free(struct sync_push *p)
{
	struct push_group *g, *more;

	if (p == NULL)
		return;
	HASH_ITER (hh, p->groups, g, more) {
		HASH_DEL(p->groups, g);
		for (size_t i = 0; i < g->ces; i++)
			g->ce[i]->push_seen = 0;
		for (size_t i = 0; i < g->chunks; i++)
			cops_chunk_unref(g->chunk[i]);
		free(g->ce);
		free(g);
	}
	for (size_t i = 0; i < p->stales; i++)
		p->stale[i]->push_seen = 0;
	free(p->stale);
	free(p);
}
