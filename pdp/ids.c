/*
 * ids.c - numbers by key and by number, with what a change set needs beside them:
 *
 *  - dirty: a list, in the order of the first touch, of what the store lacks.  Each slot keeps its
 *    last committed value, so that a rollback is one walk over that list.
 *  - per VPN: its tombstones and its newest stamp;  per CE: memberships that ended.
 *
 * An entry never moves: snapshots point to it.
 */
#include "pdp/ids.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define KINDS ID_KINDS

/* What of an entry changes. */
struct stamps {
	bool dead;
	uint64_t lsn;
	uint64_t aux_lsn;
};

struct slot {
	struct id_entry e; /* first: an id_entry is its slot */
	struct stamps clean;
	bool fresh; /* not in the store yet */
	bool dirty;
	bool entombed; /* in the lists of the dead */
	struct vpn_index *vpn;
	struct slot *dirty_prev, *dirty_next;
	struct slot *dead_prev, *dead_next;
	struct slot *left_prev, *left_next;
	UT_hash_handle hh;
	char text[]; /* kind, then the key */
};

struct vpn_index {
	uint32_t vpn;
	uint64_t lsn;
	struct slot *dead;
	UT_hash_handle hh;
};

struct ce_index {
	struct slot *left;
	UT_hash_handle hh;
	char name[];
};

struct numbers {	    /* of one kind: dense, as they are handed out in order */
	struct slot **slot; /* by number */
	uint32_t cap;
	uint32_t last;
};

struct ids {
	struct slot *by_key;
	struct slot *dirty;
	struct vpn_index *vpn;
	struct ce_index *ce;
	struct numbers number[KINDS];
};

/* Numbers index an array; of none but members are so many needed that it matters. */
static uint32_t number_max(enum id_kind kind)
{
	return kind == ID_MEMBER ? 0xffffff : 0x0fffffff;
}

static struct slot *slot_of(struct id_entry *e)
{
	return (struct slot *)e;
}

static uint32_t vpn_of(const struct id_entry *e)
{
	return e->kind == ID_VPN ? e->number : e->vpn;
}

struct ids *ids_new(void)
{
	return calloc(1, sizeof(struct ids));
}

void ids_free(struct ids *ids)
{
	struct slot *s;
	struct slot *s2;
	struct vpn_index *v;
	struct vpn_index *v2;
	struct ce_index *c;
	struct ce_index *c2;

	if (!ids)
		return;
	HASH_ITER (hh, ids->by_key, s, s2) {
		HASH_DEL(ids->by_key, s);
		free(s);
	}
	HASH_ITER (hh, ids->vpn, v, v2) {
		HASH_DEL(ids->vpn, v);
		free(v);
	}
	HASH_ITER (hh, ids->ce, c, c2) {
		HASH_DEL(ids->ce, c);
		free(c);
	}
	for (size_t i = 0; i < KINDS; i++)
		free(ids->number[i].slot);
	free(ids);
}

static struct vpn_index *vpn_index_find(const struct ids *ids, uint32_t vpn)
{
	struct vpn_index *v;
	HASH_FIND(hh, ids->vpn, &vpn, sizeof(vpn), v);
	return v;
}

static struct vpn_index *vpn_index_get(struct ids *ids, uint32_t vpn)
{
	struct vpn_index *v = vpn_index_find(ids, vpn);
	if (v || !(v = calloc(1, sizeof(*v))))
		return v;
	v->vpn = vpn;
	HASH_ADD(hh, ids->vpn, vpn, sizeof(v->vpn), v);
	if (v->hh.tbl)
		return v;
	free(v);
	return NULL;
}

static struct ce_index *ce_index_get(struct ids *ids, const char *name)
{
	struct ce_index *c;
	size_t len = strlen(name);
	HASH_FIND(hh, ids->ce, name, len, c);
	if (c || !(c = calloc(1, sizeof(*c) + len + 1)))
		return c;
	memcpy(c->name, name, len);
	HASH_ADD_KEYPTR(hh, ids->ce, c->name, len, c);
	if (c->hh.tbl)
		return c;
	free(c);
	return NULL;
}

/* The CE of a membership's key customer/vpn/ce. */
static const char *key_ce(const char *key)
{
	const char *slash = strrchr(key, '/');
	return slash ? slash + 1 : key;
}

/* The entry died or came back: its VPN's and its CE's lists say so. */
static void slot_entomb(struct ids *ids, struct slot *s)
{
	struct ce_index *c = s->e.kind == ID_MEMBER ? ce_index_get(ids, key_ce(s->e.key)) : NULL;

	if (s->e.dead) {
		DL_APPEND2(s->vpn->dead, s, dead_prev, dead_next);
		if (c)
			DL_APPEND2(c->left, s, left_prev, left_next);
	} else {
		DL_DELETE2(s->vpn->dead, s, dead_prev, dead_next);
		if (c && s->left_prev)
			DL_DELETE2(c->left, s, left_prev, left_next);
		s->left_prev = NULL;
	}
	s->entombed = s->e.dead;
}

static void slot_index(struct ids *ids, struct slot *s)
{
	if (s->e.dead != s->entombed)
		slot_entomb(ids, s);
	if (s->e.lsn > s->vpn->lsn)
		s->vpn->lsn = s->e.lsn;
	if (s->e.aux_lsn > s->vpn->lsn)
		s->vpn->lsn = s->e.aux_lsn;
}

static void slot_drop(struct ids *ids, struct slot *s)
{
	s->e.dead = false;
	slot_index(ids, s);
	ids->number[s->e.kind].slot[s->e.number] = NULL;
	HASH_DEL(ids->by_key, s);
	free(s);
}

static int number_room(struct numbers *n, uint32_t number)
{
	if (number < n->cap)
		return 0;
	size_t cap = n->cap ? n->cap : 64;
	while (cap <= number)
		cap *= 2;
	struct slot **slot = reallocarray(n->slot, cap, sizeof(struct slot *));
	if (!slot)
		return -1;
	memset(slot + n->cap, 0, (cap - n->cap) * sizeof(struct slot *));
	n->slot = slot;
	n->cap = cap > UINT32_MAX ? UINT32_MAX : (uint32_t)cap;
	return 0;
}

/* What an entry is found by: its kind, then its key. */
struct text {
	char *at; /* small, or allocated */
	size_t len;
	unsigned hash;
	char small[512];
};

static int text_init(struct text *t, enum id_kind kind, const char *key)
{
	size_t len = strlen(key);

	t->len = len + 1;
	t->at = t->len < sizeof(t->small) ? t->small : malloc(t->len + 1);
	if (!t->at)
		return -1;
	t->at[0] = (char)('0' + kind);
	memcpy(t->at + 1, key, len + 1);
	HASH_VALUE(t->at, t->len, t->hash);
	return 0;
}

static void text_clear(struct text *t)
{
	if (t->at != t->small)
		free(t->at);
}

/* Add an entry with a copy of its text.  NULL: memory. */
static struct slot *slot_add(struct ids *ids, const struct id_entry *e, const struct text *t)
{
	struct numbers *n = &ids->number[e->kind];
	struct vpn_index *v = vpn_index_get(ids, vpn_of(e));
	struct slot *s = calloc(1, sizeof(*s) + t->len + 1);

	if (!s || !v || number_room(n, e->number) < 0)
		goto bad;
	memcpy(s->text, t->at, t->len + 1);
	s->e = *e;
	s->e.key = s->text + 1;
	s->vpn = v;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, ids->by_key, s->text, t->len, t->hash, s);
	if (!s->hh.tbl)
		goto bad;
	n->slot[e->number] = s;
	s->clean = (struct stamps) {.dead = e->dead, .lsn = e->lsn, .aux_lsn = e->aux_lsn};
	slot_index(ids, s);
	return s;
bad:
	free(s);
	return NULL;
}

static struct slot *find_text(const struct ids *ids, const struct text *t)
{
	struct slot *s;
	HASH_FIND_BYHASHVALUE(hh, ids->by_key, t->at, t->len, t->hash, s);
	return s;
}

struct id_entry *ids_find(struct ids *ids, enum id_kind kind, uint32_t number)
{
	const struct numbers *n = &ids->number[kind];
	return number < n->cap && n->slot[number] ? &n->slot[number]->e : NULL;
}

int ids_load(struct ids *ids, const struct id_entry *e)
{
	struct text t;
	int r = -1;

	if (e->kind < ID_VPN || e->kind >= ID_KINDS || !e->number ||
	    e->number > number_max(e->kind) || ids_find(ids, e->kind, e->number) ||
	    text_init(&t, e->kind, e->key) < 0)
		return -1;
	if (!find_text(ids, &t) && slot_add(ids, e, &t)) {
		if (e->number > ids->number[e->kind].last)
			ids->number[e->kind].last = e->number;
		r = 0;
	}
	text_clear(&t);
	return r;
}

static struct slot *hand_out(struct ids *ids, const struct id_entry *like, const struct text *t)
{
	struct numbers *n = &ids->number[like->kind];
	struct id_entry e = *like;

	if (n->last == number_max(e.kind))
		return NULL;
	e.number = n->last + 1;
	struct slot *s = slot_add(ids, &e, t);
	if (!s)
		return NULL;
	n->last++;
	s->fresh = true;
	ids_touch(ids, &s->e);
	return s;
}

struct id_entry *ids_get(
    struct ids *ids, enum id_kind kind, const char *key, uint32_t parent, uint32_t vpn)
{
	struct id_entry like = {.kind = kind, .parent = parent, .vpn = vpn};
	struct slot *s;
	struct text t;

	if (text_init(&t, kind, key) < 0)
		return NULL;
	s = find_text(ids, &t);
	if (!s)
		s = hand_out(ids, &like, &t);
	text_clear(&t);
	return s ? &s->e : NULL;
}

void ids_touch(struct ids *ids, struct id_entry *e)
{
	struct slot *s = slot_of(e);

	if (!s->dirty)
		DL_APPEND2(ids->dirty, s, dirty_prev, dirty_next);
	s->dirty = true;
	slot_index(ids, s);
}

void ids_dirty_each(struct ids *ids, int (*fn)(void *arg, const struct id_entry *e), void *arg)
{
	struct slot *s;
	DL_FOREACH2(ids->dirty, s, dirty_next)
	if (fn(arg, &s->e))
		return;
}

void ids_dirty_clear(struct ids *ids)
{
	struct slot *s;
	DL_FOREACH2(ids->dirty, s, dirty_next)
	{
		s->clean = (struct stamps) {
		    .dead = s->e.dead, .lsn = s->e.lsn, .aux_lsn = s->e.aux_lsn};
		s->fresh = s->dirty = false;
	}
	ids->dirty = NULL;
}

void ids_rollback(struct ids *ids)
{
	struct slot *s = ids->dirty;

	ids->dirty = NULL;
	while (s) {
		struct slot *next = s->dirty_next;
		if (s->fresh) {
			if (s->e.number <= ids->number[s->e.kind].last)
				ids->number[s->e.kind].last = s->e.number - 1;
			slot_drop(ids, s);
		} else {
			s->e.dead = s->clean.dead;
			s->e.lsn = s->clean.lsn;
			s->e.aux_lsn = s->clean.aux_lsn;
			s->dirty = false;
			slot_index(ids, s);
		}
		s = next;
	}
}

void ids_dead_each(struct ids *ids, uint32_t vpn, uint64_t since,
    void (*fn)(void *arg, const struct id_entry *e), void *arg)
{
	struct vpn_index *v = vpn_index_find(ids, vpn);
	struct slot *s;

	if (!v)
		return;
	DL_FOREACH2(v->dead, s, dead_next)
	if (s->e.lsn > since)
		fn(arg, &s->e);
}

void ids_live_each(
    struct ids *ids, enum id_kind kind, void (*fn)(void *arg, struct id_entry *e), void *arg)
{
	const struct numbers *n = &ids->number[kind];

	for (uint32_t i = 1; i <= n->last && i < n->cap; i++)
		if (n->slot[i] && !n->slot[i]->e.dead)
			fn(arg, &n->slot[i]->e);
}

uint64_t ids_vpn_lsn(const struct ids *ids, uint32_t vpn)
{
	const struct vpn_index *v = vpn_index_find(ids, vpn);
	return v ? v->lsn : 0;
}

uint64_t ids_left_lsn(const struct ids *ids, const char *ce)
{
	const struct ce_index *c;
	const struct slot *s;
	uint64_t lsn = 0;

	HASH_FIND(hh, ids->ce, ce, strlen(ce), c);
	if (c)
		DL_FOREACH2(c->left, s, left_next)
	if (s->e.lsn > lsn)
		lsn = s->e.lsn;
	return lsn;
}
