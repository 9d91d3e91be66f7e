/*
 * pib_store.c - the rows of one request-state and their indexes: by class and
 * instance, by tag, by UNIQUENESS, and who refers to whom (see pib_store_int.h).
 * Nothing here judges; that is pib_txn.c.
 */
#include <stdlib.h>
#include <string.h>

#include "pib/pib_limit.h"
#include "pib/pib_role.h"
#include "pib/pib_store_int.h"

/* --- what the schema says about who points where ---------------------------------- */

static bool edge_of(
    const struct pib_store *st, uint32_t cls, const struct pib_column *c, struct edge *e)
{
	const struct pib_class *target = c->refers != NULL ? c->refers : c->tag_class;
	size_t index = target != NULL ? pib_schema_index(st->schema, target) : cls;

	if (target == NULL && !c->is_tag)
		return false;
	e->col = c;
	e->kind = c->refers != NULL ? EDGE_REF : c->tag_class != NULL ? EDGE_TAGREF : EDGE_TAG;
	e->target_class = (uint32_t)index;
	e->target_col = e->kind == EDGE_REF	 ? 0
			: e->kind == EDGE_TAGREF ? c->tag_column
						 : c->number;
	return index != SIZE_MAX; /* of a module this client-type does not speak */
}

static int learn_class(struct pib_store *st, uint32_t index)
{
	struct meta *m = &st->meta[index];
	const struct pib_class *cls = pib_schema_class(st->schema, index);
	size_t base = cls->base != NULL ? pib_schema_index(st->schema, cls->base) : SIZE_MAX;

	m->cls = cls;
	m->base = base != SIZE_MAX ? (uint32_t)base : NO_CLASS;
	m->edge = calloc(cls->col_count, sizeof m->edge[0]);
	if (m->edge == NULL || cls->col_count >= STORE_COLS)
		return -1;
	for (uint8_t i = 0; i < cls->col_count; i++) {
		struct edge *e = &m->edge[m->edges];

		if (edge_of(st, index, &cls->col[i], e)) {
			e->slot = st->meta[e->target_class].slots[e->target_col]++;
			m->edges++;
		}
	}
	return 0;
}

struct pib_store *pib_store_new(const struct pib_schema *s, enum pib_access writer, size_t max_rows)
{
	size_t n = pib_schema_count(s);
	struct pib_store *st = calloc(1, sizeof *st + n * sizeof st->meta[0]);

	if (st == NULL)
		return NULL;
	st->schema = s;
	st->writer = writer;
	st->max_rows = max_rows;
	st->classes = n;
	for (uint32_t i = 0; i < n; i++) {
		if (learn_class(st, i) != 0) {
			pib_store_free(st);
			return NULL;
		}
	}
	return st;
}

void pib_store_free(struct pib_store *st)
{
	if (st == NULL)
		return;
	if (st->txn != NULL)
		pib_txn_abort(st->txn);
	for (size_t i = 0; i < st->classes; i++) {
		struct meta *m = &st->meta[i];
		struct row *r;

		while ((r = m->rows) != NULL) {
			store_row_unlink(st, r);
			store_row_free(st, r);
		}
	}
	for (size_t i = 0; i < st->classes; i++)
		free(st->meta[i].edge);
	free(st);
}

void pib_store_limit(struct pib_store *st, const struct pib_limits *l)
{
	st->limits = l;
}

const struct pib_schema *pib_store_schema(const struct pib_store *st)
{
	return st->schema;
}

/* --- places -------------------------------------------------------------------------- */

struct place *store_place_find(
    const struct pib_store *st, uint32_t cls, uint8_t col, uint32_t value)
{
	struct place_key key = {cls, col, value};
	struct place *p;

	HASH_FIND(hh, st->places, &key, sizeof key, p);
	return p;
}

/* Found or made; counted for the caller.  NULL: no memory. */
struct place *store_place(struct pib_store *st, uint32_t cls, uint8_t col, uint32_t value)
{
	struct place *p = store_place_find(st, cls, col, value);

	if (p == NULL) {
		size_t slots = st->meta[cls].slots[col];

		if ((p = calloc(1, sizeof *p + slots * sizeof p->in[0])) == NULL)
			return NULL;
		p->key = (struct place_key) {cls, col, value};
		HASH_ADD(hh, st->places, key, sizeof p->key, p);
		if (p->hh.tbl == NULL) {
			free(p);
			return NULL;
		}
	}
	p->refs++;
	return p;
}

void store_place_unref(struct pib_store *st, struct place *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	HASH_DELETE(hh, st->places, p);
	free(p);
}

static const struct pib_column *unique_column(
    const struct row *r, const struct row *base, uint8_t i, const void **data)
{
	uint8_t n = r->pub.cls->unique[i];
	const struct row *owner = n & PIB_UNIQUE_BASE ? base : r;

	if (owner == NULL)
		return NULL;
	*data = owner->pub.data;
	return pib_column_find(owner->pub.cls, n & (uint8_t)~PIB_UNIQUE_BASE);
}

/* The values one after the other, each with its length; out NULL: only count. */
static uint32_t unique_key(const struct row *r, const struct row *base, uint8_t *out)
{
	uint32_t len = sizeof(void *);

	if (out != NULL)
		memcpy(out, &r->pub.cls, sizeof(void *));
	for (uint8_t i = 0; i < r->pub.cls->unique_count; i++) {
		const void *data = NULL;
		const struct pib_column *c = unique_column(r, base, i, &data);
		int64_t n = c != NULL ? pib_row_number(c, data) : 0;
		struct pib_octets o = {(const uint8_t *)&n, sizeof n};

		if (c != NULL &&
		    (c->base == PIB_OCTETS || c->base == PIB_BITS || c->base == PIB_OID))
			o = pib_row_octets(c, data);
		if (c == NULL || pib_row_null(c, data))
			o = (struct pib_octets) {NULL, UINT32_MAX};
		if (out != NULL)
			memcpy(out + len, &o.len, sizeof o.len);
		len += (uint32_t)sizeof o.len;
		if (o.p == NULL)
			continue;
		if (out != NULL)
			memcpy(out + len, o.p, o.len);
		len += o.len;
	}
	return len;
}

/* 0 and *out (found or made, counted for the caller; NULL: the class has none), -1: no memory. */
int store_upl(struct pib_store *st, const struct row *r, const struct row *base, struct upl **out)
{
	struct upl *u, *have;
	uint32_t len;

	*out = NULL;
	if (r->pub.cls->unique == NULL)
		return 0;
	len = unique_key(r, base, NULL);
	if ((u = calloc(1, sizeof *u + len)) == NULL)
		return -1;
	u->len = unique_key(r, base, u->key);
	HASH_FIND(hh, st->upls, u->key, u->len, have);
	if (have != NULL) {
		free(u);
		u = have;
	} else {
		HASH_ADD_KEYPTR(hh, st->upls, u->key, u->len, u);
		if (u->hh.tbl == NULL) {
			free(u);
			return -1;
		}
	}
	u->refs++;
	*out = u;
	return 0;
}

void store_upl_unref(struct pib_store *st, struct upl *u)
{
	if (u == NULL || --u->refs > 0)
		return;
	HASH_DELETE(hh, st->upls, u);
	free(u);
}

/* --- rows ------------------------------------------------------------------------------ */

/* What this device and this direction ask for beyond the class's own definition. */
static int judge_local(
    const struct pib_store *st, const struct pib_class *cls, void *data, struct pib_fault *f)
{
	if (pib_role_judge(cls, data, st->writer == PIB_INSTALL, f) != 0)
		return -1;
	if (st->limits == NULL)
		return 0;
	pib_limits_ignore(st->limits, cls, data);
	return pib_limits_judge(st->limits, cls, data, f);
}

/* Count on the places the row points to, all columns of which hold Unsigned32. */
static int find_targets(struct pib_store *st, struct row *r)
{
	struct meta *m = r->meta;

	for (uint8_t i = 0; i < m->edges; i++) {
		const struct edge *e = &m->edge[i];
		uint32_t value = (uint32_t)pib_row_number(e->col, r->pub.data);

		r->link[i].row = r;
		if (value == 0 || pib_row_null(e->col, r->pub.data))
			continue;
		r->link[i].target = store_place(st, e->target_class, e->target_col, value);
		if (r->link[i].target == NULL)
			return -1;
	}
	return 0;
}

struct row *store_row_new(struct pib_store *st, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t len, bool *surplus, struct pib_fault *f)
{
	uint32_t index = (uint32_t)pib_schema_index(st->schema, cls);
	struct meta *m = &st->meta[index];
	size_t links = m->edges * sizeof(struct link);
	size_t pad = (cls->row_size + 7) & ~(size_t)7;
	struct row *r = len <= PIB_EPD_MAX ? calloc(1, sizeof *r + links + pad + len) : NULL;
	uint8_t *data;

	memset(f, 0, sizeof *f);
	f->gperr = PIB_GPERR_MEM_EXHAUSTED;
	if (r == NULL)
		return NULL;
	data = (uint8_t *)r + sizeof *r + links;
	if (len > 0)
		memcpy(data + pad, epd, len);
	r->pub = (struct pib_row) {cls, instance, data, data + pad, (uint32_t)len};
	r->meta = m;
	if (pib_epd_decode(cls, data + pad, len, data, surplus, f) != 0 ||
	    judge_local(st, cls, data, f) != 0) {
		free(r);
		return NULL;
	}
	*f = (struct pib_fault) {.gperr = PIB_GPERR_MEM_EXHAUSTED};
	if ((r->place = store_place(st, index, 0, instance)) == NULL || find_targets(st, r) != 0) {
		store_row_free(st, r);
		return NULL;
	}
	return r;
}

void store_row_free(struct pib_store *st, struct row *r)
{
	if (r == NULL)
		return;
	for (uint8_t i = 0; i < r->meta->edges; i++)
		store_place_unref(st, r->link[i].target);
	store_upl_unref(st, r->upl);
	store_place_unref(st, r->place);
	free(r);
}

void store_row_link(struct pib_store *st, struct row *r)
{
	struct meta *m = r->meta;

	r->place->row = r;
	r->deferred = r->upl != NULL && r->upl->row != NULL;
	if (r->upl != NULL && !r->deferred)
		r->upl->row = r;
	for (uint8_t i = 0; i < m->edges; i++) {
		struct link *l = &r->link[i];

		if (l->target == NULL)
			continue;
		l->prev = &l->target->in[m->edge[i].slot];
		l->next = *l->prev;
		if (l->next != NULL)
			l->next->prev = &l->next;
		*l->prev = l;
	}
	r->prev = &m->rows;
	r->next = m->rows;
	if (r->next != NULL)
		r->next->prev = &r->next;
	m->rows = r;
	m->count++;
	st->count++;
}

void store_row_unlink(struct pib_store *st, struct row *r)
{
	struct meta *m = r->meta;

	r->place->row = NULL;
	if (r->upl != NULL && !r->deferred)
		r->upl->row = NULL;
	for (uint8_t i = 0; i < m->edges; i++) {
		struct link *l = &r->link[i];

		if (l->target == NULL)
			continue;
		*l->prev = l->next;
		if (l->next != NULL)
			l->next->prev = l->prev;
	}
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	m->count--;
	st->count--;
}

/* --- looking ----------------------------------------------------------------------------- */

size_t pib_store_count(const struct pib_store *st, const struct pib_class *cls)
{
	size_t i = cls != NULL ? pib_schema_index(st->schema, cls) : SIZE_MAX;

	if (cls == NULL)
		return st->count;
	return i != SIZE_MAX ? st->meta[i].count : 0;
}

const struct pib_row *pib_store_find(
    const struct pib_store *st, const struct pib_class *cls, uint32_t instance)
{
	size_t i = pib_schema_index(st->schema, cls);
	struct place *p = i != SIZE_MAX ? store_place_find(st, (uint32_t)i, 0, instance) : NULL;

	return p != NULL && p->row != NULL ? &p->row->pub : NULL;
}

static int cmp_instance(const void *a, const void *b)
{
	const struct row *const *x = a, *const *y = b;

	return ((*x)->pub.instance > (*y)->pub.instance) -
	       ((*x)->pub.instance < (*y)->pub.instance);
}

static void each_of(
    const struct meta *m, void (*fn)(void *arg, const struct pib_row *row), void *arg)
{
	struct row **sorted = m->count > 0 ? calloc(m->count, sizeof(struct row *)) : NULL;
	size_t n = 0;

	for (struct row *r = m->rows; r != NULL; r = r->next) {
		if (sorted != NULL)
			sorted[n++] = r;
		else
			fn(arg, &r->pub); /* no memory to sort in: better unsorted than none */
	}
	if (n > 0)
		qsort(sorted, n, sizeof sorted[0], cmp_instance);
	for (size_t i = 0; i < n; i++)
		fn(arg, &sorted[i]->pub);
	free(sorted);
}

void pib_store_each(const struct pib_store *st, const struct pib_class *cls,
    void (*fn)(void *arg, const struct pib_row *row), void *arg)
{
	for (size_t i = 0; i < st->classes; i++)
		if (cls == NULL || st->meta[i].cls == cls)
			each_of(&st->meta[i], fn, arg);
}

void pib_store_referrers(const struct pib_store *st, const struct pib_class *cls,
    const struct pib_column *col, uint32_t instance,
    void (*fn)(void *arg, const struct pib_row *row), void *arg)
{
	size_t index = pib_schema_index(st->schema, cls);
	const struct meta *m = index != SIZE_MAX ? &st->meta[index] : NULL;

	for (uint8_t i = 0; m != NULL && i < m->edges; i++) {
		const struct edge *e = &m->edge[i];
		struct place *p;

		if (e->col != col)
			continue;
		p = store_place_find(st, e->target_class, e->target_col, instance);
		for (struct link *l = p != NULL ? p->in[e->slot] : NULL; l != NULL; l = l->next)
			fn(arg, &l->row->pub);
	}
}
