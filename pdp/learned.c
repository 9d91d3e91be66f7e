/* learned.c - see learned.h: the reports themselves, each known by VPN and prefix. */
#include "pdp/learned.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "pdp/client.h"
#include "pdp/learned_int.h"
#include "pdp/registry.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

struct learned *learned_new(void)
{
	return calloc(1, sizeof(struct learned));
}

struct learned_reporter *learned_find(const struct learned *l, const char *ce)
{
	struct learned_reporter *r;

	HASH_FIND_STR(l->reporters, ce, r);
	return r;
}

static struct learned_reporter *reporter_get(struct learned *l, const char *ce)
{
	struct learned_reporter *r = learned_find(l, ce);

	if (r != NULL)
		return r;
	r = calloc(1, sizeof(*r) + strlen(ce) + 1);
	if (r == NULL)
		return NULL;
	strcpy(r->name, ce);
	HASH_ADD_STR(l->reporters, name, r);
	return r;
}

void learned_dirty(struct learned *l, struct learned_reporter *r)
{
	l->dirty += !r->dirty;
	r->dirty = true;
}

static struct learned_key key_of(uint32_t vpn, const struct prefix *p)
{
	return (struct learned_key) {.vpn = vpn, .prefix = *p};
}

static struct learned_row *row_find(const struct learned_reporter *r, const struct learned_key *key)
{
	struct learned_row *row;

	HASH_FIND(hh, r->rows, key, sizeof(*key), row);
	return row;
}

static struct learned_row *row_by_instance(const struct learned_reporter *r, uint32_t instance)
{
	struct learned_row *row;

	HASH_FIND(hh_instance, r->by_instance, &instance, sizeof(instance), row);
	return row;
}

static void instance_set(struct learned_reporter *r, struct learned_row *row, uint32_t instance)
{
	if (row->instance != 0)
		HASH_DELETE(hh_instance, r->by_instance, row);
	row->instance = instance;
	if (instance != 0)
		HASH_ADD(hh_instance, r->by_instance, instance, sizeof(row->instance), row);
}

/* What the store has of it goes with the next commit. */
static void gone_put(struct learned *l, const struct learned_row *row)
{
	struct store_learned *more;

	if (l->gones == l->gone_cap) {
		size_t cap = l->gone_cap == 0 ? 16 : l->gone_cap * 2;

		more = reallocarray(l->gone, cap, sizeof(*more));
		if (more == NULL) {
			log_err("out of memory: a learned network stays stored");
			return;
		}
		l->gone = more;
		l->gone_cap = cap;
	}
	l->gone[l->gones++] = (struct store_learned) {
	    .member = row->member, .prefix = row->key.prefix, .gone = true};
}

static void row_drop(struct learned *l, struct learned_reporter *r, struct learned_row *row)
{
	instance_set(r, row, 0);
	if (row->rank != 0)
		gone_put(l, row);
	HASH_DEL(r->rows, row);
	free(row);
}

static void reporter_free(struct learned *l, struct learned_reporter *r)
{
	struct learned_row *row, *next;

	HASH_ITER (hh, r->rows, row, next)
		row_drop(l, r, row);
	l->dirty -= r->dirty;
	HASH_DEL(l->reporters, r);
	free(r);
}

void learned_free(struct learned *l)
{
	struct learned_reporter *r, *next;

	if (l == NULL)
		return;
	HASH_ITER (hh, l->reporters, r, next)
		reporter_free(l, r);
	free(l->gone);
	free(l);
}

void learned_forget(struct learned *l, const char *ce)
{
	struct learned_reporter *r = learned_find(l, ce);

	if (r != NULL)
		reporter_free(l, r);
}

bool learned_pending(const struct learned *l)
{
	return l->dirty > 0 || l->gones > 0;
}

int learned_load(struct learned *l, const char *ce, uint32_t vpn, const struct store_learned *s)
{
	struct learned_reporter *r = reporter_get(l, ce);
	struct learned_row *row = r != NULL ? calloc(1, sizeof(*row)) : NULL;

	if (row == NULL)
		return -1;
	row->key = key_of(vpn, &s->prefix);
	row->member = s->member;
	row->rank = s->rank;
	row->since = s->when;
	row->told = LEARNED_TAKEN;
	if (s->rank > l->last_rank)
		l->last_rank = s->rank;
	HASH_ADD(hh, r->rows, key, sizeof(row->key), row);
	return 0;
}

void learned_review(struct learned *l, const struct customer *c)
{
	struct learned_reporter *r;

	for (size_t i = 0; c != NULL && i < c->ces; i++)
		if ((r = learned_find(l, c->ce[i].name)) != NULL)
			learned_dirty(l, r);
}

/* ----------------------------------------------------------------- requests */

struct incoming { /* one row of a request */
	uint32_t instance;
	uint32_t at; /* which of its rows */
	bool removed;
	struct learned_key key;
	struct learned_row *fresh; /* room for it */
};

struct learned_batch {
	struct learned *l;
	struct learned_reporter *r; /* NULL: none of ours, nothing is kept */
	bool full;
	size_t count;
	struct incoming row[];
};

void learned_batch_free(struct learned_batch *b)
{
	for (size_t i = 0; b != NULL && i < b->count; i++)
		free(b->row[i].fresh);
	free(b);
}

static int refuse(struct pib_fault *f, uint16_t cperr, uint16_t column, uint32_t instance)
{
	*f = (struct pib_fault) {.cperr = cperr,
	    .sub = column,
	    .cls = &pib_ce_vpn_site_prefix_class,
	    .instance = instance};
	return -1;
}

static int prefix_read(
    struct prefix *p, const struct pib_ce_vpn_site_prefix *row, struct pib_fault *f)
{
	struct prefix canonical;
	char text[PREFIX_STRLEN];

	memset(p, 0, sizeof(*p));
	if (addr_from_octets(&p->addr, row->addr.p, row->addr.len) != 0)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_PREFIX_COL_ADDR, row->id);
	if (addr_inet_type(&p->addr) != row->addr_type)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_PREFIX_COL_ADDR_TYPE, row->id);
	if (row->prefix_length > addr_len(&p->addr) * 8)
		return refuse(
		    f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_PREFIX_COL_PREFIX_LENGTH, row->id);
	p->len = (uint8_t)row->prefix_length;
	if (prefix_parse(&canonical, prefix_print(p, text)) != PREFIX_OK)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_PREFIX_COL_ADDR, row->id);
	return 0;
}

static int row_read(struct learned_batch *b, const struct pdp_row *r, struct pib_fault *f)
{
	struct incoming *in = &b->row[b->count];
	struct pib_ce_vpn_site_prefix row = {0};
	struct prefix p;
	bool surplus;

	*in = (struct incoming) {
	    .instance = r->instance, .at = (uint32_t)b->count, .removed = r->removed};
	b->count++;
	if (r->instance == 0)
		return refuse(f, PIB_CPERR_INSTANCE, 0, 0);
	if (r->removed) /* RFC 3318 2.3.4 */
		return row_by_instance(b->r, r->instance) != NULL
			   ? 0
			   : refuse(f, PIB_CPERR_INSTANCE, 0, r->instance);
	if (pib_epd_decode(r->cls, r->epd, r->epd_len, &row, &surplus, f) != 0)
		return -1;
	row.id = r->instance;
	if (prefix_read(&p, &row, f) != 0)
		return -1;
	in->key = key_of(row.vpn, &p);
	in->fresh = calloc(1, sizeof(*in->fresh));
	return in->fresh != NULL ? 0 : refuse(f, PIB_CPERR_SPACE, 0, r->instance);
}

static int by_instance(const void *a, const void *b)
{
	const struct incoming *x = a, *y = b;

	return (x->instance > y->instance) - (x->instance < y->instance);
}

static int by_key(const void *a, const void *b)
{
	const struct incoming *x = a, *y = b;

	if (x->removed != y->removed)
		return x->removed ? 1 : -1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int by_place(const void *a, const void *b)
{
	const struct incoming *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Is this row of before, of an instance that is not 0, still there after the request? */
static bool stays(const struct learned_batch *b, uint32_t instance)
{
	const struct incoming key = {.instance = instance};

	return !b->full && bsearch(&key, b->row, b->count, sizeof(b->row[0]), by_instance) == NULL;
}

/* Each instance once, each network once (the class's UNIQUENESS), and not too many. */
static int judge_end_state(struct learned_batch *b, struct pib_fault *f)
{
	const struct learned_row *old, *next;
	size_t after = 0;

	qsort(b->row, b->count, sizeof(b->row[0]), by_instance);
	for (size_t i = 0; i < b->count; i++) {
		const struct incoming *in = &b->row[i];

		if (i > 0 && in->instance == in[-1].instance)
			return refuse(f, PIB_CPERR_INSTANCE, 0, in->instance);
		after += !in->removed;
		old = in->removed ? NULL : row_find(b->r, &in->key);
		if (old != NULL && old->instance != 0 && stays(b, old->instance))
			return refuse(f, PIB_CPERR_INSTANCE, 0, in->instance);
	}
	for (old = b->r->by_instance; old != NULL; old = next) {
		next = old->hh_instance.next;
		after += stays(b, old->instance);
	}
	if (after > LEARNED_ROWS_MAX)
		return refuse(f, PIB_CPERR_SPACE, 0, b->row[b->count - 1].instance);
	qsort(b->row, b->count, sizeof(b->row[0]), by_key);
	for (size_t i = 1; i < b->count && !b->row[i].removed; i++)
		if (memcmp(&b->row[i].key, &b->row[i - 1].key, sizeof(b->row[i].key)) == 0)
			return refuse(f, PIB_CPERR_INSTANCE, 0, b->row[i].instance);
	qsort(b->row, b->count, sizeof(b->row[0]), by_place);
	return 0;
}

struct learned_batch *learned_read(struct learned *l, struct registry *reg, const char *ce,
    const struct pdp_request *req, struct pib_fault *f)
{
	struct learned_batch *b;
	size_t n = 0;

	for (size_t i = 0; i < req->rows; i++)
		n += req->row[i].cls == &pib_ce_vpn_site_prefix_class;
	b = calloc(1, sizeof(*b) + n * sizeof(b->row[0]));
	if (b == NULL)
		goto no_memory;
	b->l = l;
	b->full = req->full;
	b->r = learned_find(l, ce);
	if (b->r == NULL && (n == 0 || registry_ce(reg, ce) == NULL))
		return b; /* nothing there, or none of ours */
	if (b->r == NULL && (b->r = reporter_get(l, ce)) == NULL)
		goto no_memory;
	for (size_t i = 0; i < req->rows; i++)
		if (req->row[i].cls == &pib_ce_vpn_site_prefix_class &&
		    row_read(b, &req->row[i], f) != 0)
			goto bad;
	if (judge_end_state(b, f) == 0)
		return b;
	goto bad;
no_memory:
	refuse(f, PIB_CPERR_SPACE, 0, 0);
bad:
	learned_batch_free(b);
	return NULL;
}

static void incoming_put(struct learned_batch *b, struct incoming *in)
{
	struct learned_row *row = row_find(b->r, &in->key);

	if (row == NULL) {
		row = in->fresh;
		in->fresh = NULL;
		row->key = in->key;
		row->since = (int64_t)time(NULL);
		HASH_ADD(hh, b->r->rows, key, sizeof(row->key), row);
	}
	if (row->seq == 0)
		row->seq = ++b->l->last_seq;
	instance_set(b->r, row, in->instance);
}

void learned_take(struct learned_batch *b)
{
	struct learned_row *row, *next;

	if (b->r == NULL || (b->count == 0 && !b->full)) {
		learned_batch_free(b);
		return;
	}
	/* What was there and is not named, or is named with something else, has no instance ... */
	HASH_ITER (hh, b->r->rows, row, next)
		if (b->full)
			instance_set(b->r, row, 0);
	for (size_t i = 0; i < b->count; i++)
		if ((row = row_by_instance(b->r, b->row[i].instance)) != NULL)
			instance_set(b->r, row, 0);
	for (size_t i = 0; i < b->count; i++)
		if (!b->row[i].removed)
			incoming_put(b, &b->row[i]);
	/* ... and is gone. */
	HASH_ITER (hh, b->r->rows, row, next)
		if (row->instance == 0)
			row_drop(b->l, b->r, row);
	learned_dirty(b->l, b->r);
	learned_batch_free(b);
}
