/*
 * pib_txn.c - one DEC's worth of removes and installs, all or nothing.
 *
 *	stage   each remove or install becomes the place's change {before, after};
 *	        nothing in the store moves
 *	check   all befores are unlinked, all afters linked, then the end state is
 *	        judged where it differs from the one before
 *	commit  befores die; or abort: afters are unlinked, befores linked again, afters die
 *
 * A remove does not affect what the same transaction installs, whatever their
 * order (RFC 3084 3.2), so an install simply wins over it.
 */
#include <stdlib.h>
#include <string.h>

#include "pib/pib_limit.h"
#include "pib/pib_store_int.h"

#define FAULTS_MAX 128 /* reported; a report has to fit into an object */

struct change {
	struct place *place; /* counted */
	struct row *before;
	struct row *after;
	struct upl *upl; /* counted; the unique place a moved row does not have now */
	bool transient;	 /* after is only shown, never linked */
	bool same;	 /* before is after, and nothing about it changes */
	bool moved;	 /* before is after, but its base's columns change its UNIQUENESS */
};

struct pib_txn {
	struct pib_store *st;
	struct change **change;
	size_t count;
	size_t cap;
	struct pib_change *shown;
	size_t shown_count;
	struct pib_fault fault[FAULTS_MAX];
	size_t faults;
	size_t installs;
	bool failed;
	bool linked; /* the store shows the end state */
	bool checked;
};

/* --- faults --------------------------------------------------------------------------------- */

void pib_txn_fault(struct pib_txn *t, const struct pib_fault *f)
{
	bool first_error = !f->warning && !t->failed;

	if (!f->warning)
		t->failed = true;
	if (t->faults < FAULTS_MAX)
		t->fault[t->faults++] = *f;
	else if (first_error) /* warnings never crowd out what made it fail */
		t->fault[FAULTS_MAX - 1] = *f;
}

static int row_fault(struct pib_txn *t, const struct pib_class *cls, uint32_t instance,
    enum pib_cperr code, uint16_t sub, bool warning)
{
	struct pib_fault f = {.cperr = (uint16_t)code, .sub = sub, .warning = warning};

	pib_fault_row(&f, cls, instance);
	pib_txn_fault(t, &f);
	return -1;
}

static int memory_fault(struct pib_txn *t)
{
	struct pib_fault f = {.gperr = PIB_GPERR_MEM_EXHAUSTED};

	pib_txn_fault(t, &f);
	return -1;
}

size_t pib_txn_faults(const struct pib_txn *t, const struct pib_fault **f)
{
	*f = t->fault;
	return t->faults;
}

/* --- staging -------------------------------------------------------------------------------- */

struct pib_txn *pib_txn_begin(struct pib_store *st)
{
	struct pib_txn *t = st->txn == NULL ? calloc(1, sizeof *t) : NULL;

	if (t != NULL) {
		t->st = st;
		st->txn = t;
	}
	return t;
}

/* The place's change, made if there is none yet.  NULL: no memory, fault recorded. */
static struct change *change_at(struct pib_txn *t, const struct pib_class *cls, uint32_t instance)
{
	struct pib_store *st = t->st;
	struct place *p = store_place(st, (uint32_t)pib_schema_index(st->schema, cls), 0, instance);
	struct change *c = NULL;

	if (p != NULL && p->change != NULL) {
		c = p->change;
		store_place_unref(st, p);
		return c;
	}
	if (t->count == t->cap) {
		size_t cap = t->cap > 0 ? t->cap * 2 : 16;
		struct change **grown = realloc(t->change, cap * sizeof *grown);

		if (grown != NULL) {
			t->change = grown;
			t->cap = cap;
		}
	}
	if (p != NULL && t->count < t->cap && (c = calloc(1, sizeof *c)) != NULL) {
		c->place = p;
		c->before = c->after = p->row;
		p->change = c;
		t->change[t->count++] = c;
		return c;
	}
	store_place_unref(st, p);
	memory_fault(t);
	return NULL;
}

static void set_after(struct pib_txn *t, struct change *c, struct row *after)
{
	if (c->after != c->before)
		store_row_free(t->st, c->after);
	c->after = after;
}

static bool staged(const struct change *c)
{
	return c->after != NULL && c->after != c->before;
}

/* A base row takes its extensions along (RFC 3159 7.7, 7.8). */
static int remove_extensions(struct pib_txn *t, const struct pib_class *base, uint32_t instance)
{
	int rc = 0;

	for (size_t i = 0; i < t->st->classes; i++) {
		const struct pib_class *cls = t->st->meta[i].cls;

		if (cls->base == base && pib_store_find(t->st, cls, instance) != NULL)
			rc |= pib_txn_remove_row(t, cls, instance);
	}
	return rc != 0 ? -1 : 0;
}

int pib_txn_remove_row(struct pib_txn *t, const struct pib_class *cls, uint32_t instance)
{
	struct change *c;

	if (!(cls->access & t->st->writer))
		return row_fault(t, cls, instance, PIB_CPERR_NOTIFY_ONLY, 0, false);
	if (pib_store_find(t->st, cls, instance) == NULL) {
		row_fault(t, cls, instance, PIB_CPERR_INSTANCE, 0, true);
		return 0;
	}
	if ((c = change_at(t, cls, instance)) == NULL)
		return -1;
	if (!staged(c))
		set_after(t, c, NULL);
	return remove_extensions(t, cls, instance);
}

static void remove_it(void *arg, const struct pib_row *row)
{
	(void)pib_txn_remove_row(arg, row->cls, row->instance);
}

void pib_txn_remove_all(struct pib_txn *t)
{
	pib_store_each(t->st, NULL, remove_it, t);
}

struct sweep {
	struct pib_txn *t;
	int rc;
};

static void remove_covered(void *arg, const struct pib_class *cls, uint32_t instance)
{
	struct sweep *s = arg;
	struct pib_store *st = s->t->st;

	if (instance != 0) {
		s->rc |= pib_txn_remove_row(s->t, cls, instance);
		return;
	}
	for (struct row *r = st->meta[pib_schema_index(st->schema, cls)].rows; r != NULL;
	     r = r->next)
		s->rc |= pib_txn_remove_row(s->t, cls, r->pub.instance);
}

int pib_txn_remove(struct pib_txn *t, const uint8_t *prid, size_t len)
{
	struct sweep s = {t, 0};
	struct pib_fault f;

	if (pib_prefix_parse(t->st->schema, prid, len, remove_covered, &s, &f) != 0) {
		pib_txn_fault(t, &f);
		return -1;
	}
	return s.rc != 0 ? -1 : 0;
}

/* The PIB-INDEX column says the same as the PRID. */
static bool index_agrees(const struct row *r)
{
	for (uint8_t i = 0; i < r->pub.cls->col_count; i++) {
		const struct pib_column *c = &r->pub.cls->col[i];

		if (c->index)
			return pib_row_number(c, r->pub.data) == r->pub.instance;
	}
	return true;
}

int pib_txn_install_row(struct pib_txn *t, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t epd_len)
{
	struct pib_fault f;
	struct change *c;
	struct row *r;
	bool surplus;

	if (!(cls->access & t->st->writer))
		return row_fault(t, cls, instance, PIB_CPERR_NOTIFY_ONLY, 0, false);
	if (cls->deprecated) { /* from an older PIB: ignored, and said so (RFC 3084 2.2) */
		row_fault(t, cls, instance, PIB_CPERR_UNKNOWN_PRC, 0, true);
		return 0;
	}
	if (t->installs >= t->st->max_rows)
		return row_fault(t, cls, instance, PIB_CPERR_SPACE, 0, false);
	if ((r = store_row_new(t->st, cls, instance, epd, epd_len, &surplus, &f)) == NULL) {
		pib_fault_row(&f, cls, instance);
		pib_txn_fault(t, &f);
		return -1;
	}
	if (surplus)
		row_fault(
		    t, cls, instance, PIB_CPERR_VALUE_SUP, (uint16_t)(cls->col_count + 1), true);
	if (!index_agrees(r)) {
		store_row_free(t->st, r);
		return row_fault(t, cls, instance, PIB_CPERR_VALUE, 1, false);
	}
	if ((c = change_at(t, cls, instance)) == NULL) {
		store_row_free(t->st, r);
		return -1;
	}
	c->transient = cls->transient;
	set_after(t, c, r);
	t->installs++;
	return 0;
}

int pib_txn_install(
    struct pib_txn *t, const uint8_t *prid, size_t prid_len, const uint8_t *epd, size_t epd_len)
{
	const struct pib_class *cls;
	struct pib_fault f;
	uint32_t instance;

	if (pib_prid_parse(t->st->schema, prid, prid_len, &cls, &instance, &f) != 0) {
		pib_txn_fault(t, &f);
		return -1;
	}
	return pib_txn_install_row(t, cls, instance, epd, epd_len);
}

/* --- to the end state ------------------------------------------------------------------------ */

static bool same_octets(const struct row *a, const struct row *b)
{
	return a->pub.epd_len == b->pub.epd_len &&
	       memcmp(a->pub.epd, b->pub.epd, a->pub.epd_len) == 0;
}

static void drop_equal(struct pib_txn *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];

		if (c->before != NULL && staged(c) && same_octets(c->before, c->after))
			set_after(t, c, c->before);
		c->same = c->before == c->after;
	}
}

/* The row that will be at a class's instance when all is done. */
static struct row *end_row(const struct pib_store *st, uint32_t cls, uint32_t instance)
{
	struct place *p = cls != NO_CLASS ? store_place_find(st, cls, 0, instance) : NULL;

	if (p == NULL)
		return NULL;
	return p->change != NULL && !p->change->transient ? p->change->after : p->row;
}

static bool unique_by_base(const struct pib_class *cls)
{
	for (uint8_t i = 0; i < cls->unique_count; i++)
		if (cls->unique[i] & PIB_UNIQUE_BASE)
			return true;
	return false;
}

/* Rows that stay but whose UNIQUENESS includes columns of a base row that changes. */
static int find_moved(struct pib_txn *t)
{
	size_t count = t->count;

	for (size_t k = 0; k < t->st->classes; k++) {
		const struct pib_class *cls = t->st->meta[k].cls;

		if (cls->base == NULL || !unique_by_base(cls))
			continue;
		for (size_t i = 0; i < count; i++) {
			const struct row *base = t->change[i]->after;
			struct change *c;

			if (t->change[i]->same || base == NULL || cls->base != base->pub.cls ||
			    pib_store_find(t->st, cls, base->pub.instance) == NULL)
				continue;
			if ((c = change_at(t, cls, base->pub.instance)) == NULL)
				return -1;
			if (c->before == c->after) {
				c->same = false;
				c->moved = true;
			}
		}
	}
	return 0;
}

/*
 * A row of a class that AUGMENTS another is there exactly when the base row is (RFC 3159 7.7).
 * A sender that does not know the class leaves it out: the row then is all defaults, and
 * tooFewAttrs where a column has none.
 */
static int augment(struct pib_txn *t, const struct pib_class *cls, uint32_t instance)
{
	uint8_t epd[2 * STORE_COLS] = {0}; /* a NULL is 05 00 */
	struct change *c;
	struct pib_fault f;
	struct row *r;
	bool surplus;

	for (uint8_t i = 0; i < cls->col_count; i++)
		epd[2 * i] = 0x05;
	r = store_row_new(t->st, cls, instance, epd, 2U * cls->col_count, &surplus, &f);
	if (r == NULL) {
		if (f.cperr == PIB_CPERR_VALUE)
			f.cperr = PIB_CPERR_TOO_FEW;
		pib_fault_row(&f, cls, instance);
		pib_txn_fault(t, &f);
		return -1;
	}
	if ((c = change_at(t, cls, instance)) == NULL) {
		store_row_free(t->st, r);
		return -1;
	}
	set_after(t, c, r);
	return 0;
}

static int complete(struct pib_txn *t)
{
	size_t count = t->count;
	int rc = 0;

	for (uint32_t k = 0; k < t->st->classes; k++) {
		const struct pib_class *aug = t->st->meta[k].cls;

		if (!aug->augments || aug->deprecated)
			continue;
		for (size_t i = 0; i < count; i++) {
			const struct pib_class *cls = t->st->meta[t->change[i]->place->key.cls].cls;
			uint32_t instance = t->change[i]->place->key.value;

			if (aug->base == (cls->augments ? cls->base : cls) &&
			    end_row(t->st, t->st->meta[k].base, instance) != NULL &&
			    end_row(t->st, k, instance) == NULL)
				rc |= augment(t, aug, instance);
		}
	}
	return rc;
}

/* All that may need memory. */
static int prepare(struct pib_txn *t)
{
	if (complete(t) != 0)
		return -1;
	drop_equal(t);
	if (find_moved(t) != 0)
		return -1;
	t->shown = calloc(t->count + 1, sizeof t->shown[0]);
	if (t->shown == NULL)
		return memory_fault(t);
	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];
		const struct row *base;

		if (c->same || c->after == NULL || c->transient)
			continue;
		base = end_row(t->st, c->after->meta->base, c->after->pub.instance);
		if (store_upl(t->st, c->after, base, c->moved ? &c->upl : &c->after->upl) != 0)
			return memory_fault(t);
	}
	return 0;
}

static void swap_upl(struct change *c)
{
	struct upl *u = c->upl;

	c->upl = c->after->upl;
	c->after->upl = u;
}

/* Unlink one side of all changes, then link the other; cannot fail. */
static void turn(struct pib_txn *t, bool to_after)
{
	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];
		struct row *out = to_after ? c->before : c->after;

		if (!c->same && !c->transient && out != NULL)
			store_row_unlink(t->st, out);
	}
	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];
		struct row *in = to_after ? c->after : c->before;

		if (c->moved)
			swap_upl(c);
		if (!c->same && !c->transient && in != NULL)
			store_row_link(t->st, in);
	}
	t->linked = to_after;
}

/* --- judging the end state ---------------------------------------------------------------------
 */

/* A referrer in this list that the transaction does not itself change. */
static bool has_old_referrer(const struct link *l)
{
	for (; l != NULL; l = l->next) {
		const struct change *c = l->row->place->change;

		if (c == NULL || c->same || c->moved)
			return true;
	}
	return false;
}

static struct link *list_of(const struct place *p, const struct edge *e)
{
	return p->in[e->slot];
}

/* Is anything there?  For a tag list: does any row carry the tag? */
static bool occupied(const struct pib_store *st, const struct edge *e, const struct place *p)
{
	const struct meta *m = &st->meta[e->target_class];

	if (e->target_col == 0)
		return p->row != NULL;
	for (uint8_t i = 0; i < m->edges; i++)
		if (m->edge[i].kind == EDGE_TAG && m->edge[i].target_col == e->target_col)
			return list_of(p, &m->edge[i]) != NULL;
	return false;
}

static void judge_references(struct pib_txn *t, const struct row *r)
{
	for (uint8_t i = 0; i < r->meta->edges; i++) {
		const struct edge *e = &r->meta->edge[i];
		const struct place *p = r->link[i].target;
		bool missing = p != NULL ? !occupied(t->st, e, p)
					 : e->kind == EDGE_REF && !e->col->ref_zero;

		if (missing)
			row_fault(t, r->pub.cls, r->pub.instance, PIB_CPERR_REFERENCE,
			    e->col->number, false);
	}
}

/* Does an unchanged row refer to this place, of a class's rows (col 0) or tags? */
static bool still_referred(const struct pib_store *st, const struct place *p)
{
	for (size_t i = 0; i < st->classes; i++) {
		const struct meta *m = &st->meta[i];

		for (uint8_t k = 0; k < m->edges; k++) {
			const struct edge *e = &m->edge[k];

			if (e->kind != EDGE_TAG && e->target_class == p->key.cls &&
			    e->target_col == p->key.col && has_old_referrer(list_of(p, e)))
				return true;
		}
	}
	return false;
}

/* Extensions installed anew, but as they were, while their base went. */
static void judge_orphans(struct pib_txn *t, const struct row *base)
{
	for (size_t i = 0; i < t->st->classes; i++) {
		const struct pib_class *cls = t->st->meta[i].cls;
		const struct row *r = cls->base == base->pub.cls
					  ? end_row(t->st, (uint32_t)i, base->pub.instance)
					  : NULL;

		if (r != NULL && r->place->change != NULL && r->place->change->same)
			row_fault(t, cls, r->pub.instance, PIB_CPERR_INSTANCE, 0, false);
	}
}

/* What the row before held up: references to it, and to the tag list it was the last of. */
static void judge_left(struct pib_txn *t, const struct change *c)
{
	const struct row *r = c->before;
	bool dangling = c->after == NULL && still_referred(t->st, c->place);

	for (uint8_t i = 0; i < r->meta->edges; i++) {
		const struct edge *e = &r->meta->edge[i];
		const struct place *p = r->link[i].target;

		if (e->kind == EDGE_TAG && p != NULL && !occupied(t->st, e, p) &&
		    still_referred(t->st, p))
			dangling = true;
	}
	if (dangling)
		row_fault(t, r->pub.cls, r->pub.instance, PIB_CPERR_DELETED_IN_REF, 0, false);
	if (c->after == NULL)
		judge_orphans(t, r);
}

static void judge_unique(struct pib_txn *t, const struct row *r)
{
	const struct pib_class *cls = r->pub.cls;
	uint16_t col = 0;

	if (!r->deferred)
		return;
	for (uint8_t i = 0; i < cls->unique_count && col == 0; i++)
		if (!(cls->unique[i] & PIB_UNIQUE_BASE))
			col = cls->unique[i];
	row_fault(t, cls, r->pub.instance, PIB_CPERR_VALUE, col, false);
}

static void judge_change(struct pib_txn *t, const struct change *c)
{
	const struct row *r = c->after;

	if (c->before != NULL && !c->moved)
		judge_left(t, c);
	if (r == NULL || c->transient)
		return;
	if (r->pub.cls->base != NULL && end_row(t->st, r->meta->base, r->pub.instance) == NULL)
		row_fault(t, r->pub.cls, r->pub.instance, PIB_CPERR_INSTANCE, 0, false);
	judge_unique(t, r);
	if (!c->moved)
		judge_references(t, r);
}

/* The store's own bound; r is the last new row. */
static void judge_space(struct pib_txn *t, const struct row *r)
{
	if (t->st->count > t->st->max_rows)
		row_fault(t, r->pub.cls, r->pub.instance, PIB_CPERR_SPACE, 0, false);
}

/* priSpaceLimited: too many rows of the new row's class. */
static void judge_class_space(struct pib_txn *t, const struct row *r)
{
	if (t->st->limits != NULL && r->meta->count > pib_limits_rows(t->st->limits, r->pub.cls))
		row_fault(t, r->pub.cls, r->pub.instance, PIB_CPERR_SPACE, 0, false);
}

static void judge(struct pib_txn *t)
{
	const struct row *last_new = NULL;

	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];

		if (c->same)
			continue;
		judge_change(t, c);
		if (c->before == NULL && !c->transient) {
			last_new = c->after;
			judge_class_space(t, last_new);
		}
		if (!c->moved)
			t->shown[t->shown_count++] = (struct pib_change) {
			    c->before != NULL ? &c->before->pub : NULL,
			    c->after != NULL ? &c->after->pub : NULL,
			};
	}
	if (last_new != NULL)
		judge_space(t, last_new);
}

int pib_txn_check(struct pib_txn *t)
{
	if (!t->checked) {
		t->checked = true;
		if (prepare(t) == 0) {
			turn(t, true);
			judge(t);
		}
	}
	return t->failed ? -1 : 0;
}

size_t pib_txn_changes(const struct pib_txn *t, const struct pib_change **c)
{
	*c = t->shown;
	return t->shown_count;
}

/* --- the end
 * -------------------------------------------------------------------------------------- */

static void finish(struct pib_txn *t, bool keep_after)
{
	struct pib_store *st = t->st;

	for (size_t i = 0; i < t->count; i++) {
		struct change *c = t->change[i];
		struct row *dead = keep_after && !c->transient ? c->before : c->after;

		c->place->change = NULL;
		if (c->before != c->after)
			store_row_free(st, dead);
		store_upl_unref(st, c->upl);
		store_place_unref(st, c->place);
		free(c);
	}
	st->txn = NULL;
	free(t->change);
	free(t->shown);
	free(t);
}

void pib_txn_commit(struct pib_txn *t)
{
	if (pib_txn_check(t) == 0)
		finish(t, true);
	else
		pib_txn_abort(t);
}

void pib_txn_abort(struct pib_txn *t)
{
	if (t->linked)
		turn(t, false);
	finish(t, false);
}
