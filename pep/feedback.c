/*
 * feedback.c - see feedback.h.
 *
 * A link counts from a base: value = kept + (counter - base).  While counting is suspended only
 * kept is left.  Periodic reports of all links come at whole multiples of the accounting timer,
 * together, so that a handle never reports more often than the timer allows.
 *
 * A usage class of the client's own has a row for each thing under the selected row: the client
 * says what it is now, and remembered is what the PDP was told.  A state that changed is reported
 * at the next multiple, whatever the link's interval.
 */
#include "pep/feedback.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/fnv.h"
#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define REPORT_FULL 49152 /* octets; then the next row begins another ClientSI object */

struct link_key {
	const struct pib_class *cls;
	uint64_t instance;
};

struct own_row { /* of a usage class of the client's own */
	uint32_t which;
	uint32_t usage; /* its number */
	uint64_t told;	/* digest of what the PDP was told, 0 = nothing */
	uint64_t state; /* as it was told */
	unsigned round; /* of the reading in which it was there last */
	UT_hash_handle hh;
};

struct link {
	uint32_t id;		     /* of the frwkFeedbackLink row */
	uint32_t usage;		     /* of its usage row */
	const struct pib_class *cls; /* it is reported in */
	struct own_row *rows;	     /* if that is not frwkFeedbackTraffic */
	struct link_key sel;	     /* the row that is counted */
	uint32_t interval;	     /* in timer units */
	bool periodic, threshold, change_only;
	bool limit_packets, limit_octets;
	struct pep_usage limit;
	struct pep_usage base, kept, value, told;
	bool counting; /* base is good */
	bool muted;    /* no periodic reports */
	bool stopped;  /* no counting */
	bool told_once;
	bool asked;	/* solicitReport */
	uint64_t born;	/* the unit in which it came */
	unsigned round; /* of pep_feedback_rows() */
	UT_hash_handle hh;
};

struct counter {
	struct link_key key;
	struct pep_usage now;
	UT_hash_handle hh;
};

struct pep_feedback {
	const struct pep_client *client;
	void *self;
	uint32_t next_usage;
	struct link *links;
	struct counter *counters; /* of the last reading */
	int32_t acct_s;
	bool open;
	int64_t since_ms; /* units count from here */
	uint64_t unit;	  /* the last one reported in */
	unsigned round;
	bool asked;	  /* some link is */
	uint64_t stirred; /* the unit in which states that changed are reported; 0: none did */
	unsigned reading; /* of the client's own rows */
	bool no_memory;	  /* in the reading under way */
};

struct pep_feedback *pep_feedback_new(const struct pep_client *client, void *self, uint32_t first)
{
	struct pep_feedback *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->client = client;
	f->self = self;
	f->next_usage = first != 0 ? first : 1;
	return f;
}

static void counters_clear(struct pep_feedback *f)
{
	struct counter *c, *next;

	HASH_ITER (hh, f->counters, c, next) {
		HASH_DEL(f->counters, c);
		free(c);
	}
}

static void own_clear(struct link *l)
{
	struct own_row *o, *next;

	HASH_ITER (hh, l->rows, o, next) {
		HASH_DEL(l->rows, o);
		free(o);
	}
}

static void link_free(struct pep_feedback *f, struct link *l)
{
	own_clear(l);
	HASH_DEL(f->links, l);
	free(l);
}

static void links_clear(struct pep_feedback *f)
{
	struct link *l, *next;

	HASH_ITER (hh, f->links, l, next)
		link_free(f, l);
}

void pep_feedback_free(struct pep_feedback *f)
{
	if (f == NULL)
		return;
	links_clear(f);
	counters_clear(f);
	free(f);
}

void pep_feedback_end(struct pep_feedback *f)
{
	links_clear(f);
}

bool pep_feedback_any(const struct pep_feedback *f)
{
	return f->links != NULL;
}

/* ------------------------------------------------------------------ time */

static int64_t unit_ms(const struct pep_feedback *f)
{
	return f->acct_s > 0 ? (int64_t)f->acct_s * 1000 : 1000;
}

static uint64_t unit_of(const struct pep_feedback *f, int64_t now_ms)
{
	return now_ms > f->since_ms ? (uint64_t)((now_ms - f->since_ms) / unit_ms(f)) : 0;
}

void pep_feedback_open(struct pep_feedback *f, int32_t acct_s, int64_t now_ms)
{
	f->acct_s = acct_s;
	f->open = true;
	f->since_ms = now_ms;
	f->unit = 0;
	f->stirred = 0;
	for (struct link *l = f->links; l != NULL; l = l->hh.next)
		l->born = 0;
}

void pep_feedback_lost(struct pep_feedback *f)
{
	f->open = false;
	f->asked = false;
	for (struct link *l = f->links; l != NULL; l = l->hh.next) {
		l->muted = true;
		l->asked = false;
	}
}

/* The first unit after the last one in which l is due; 0: never. */
static uint64_t link_next(const struct pep_feedback *f, const struct link *l)
{
	uint64_t done = f->unit > l->born ? f->unit - l->born : 0;

	if (!l->periodic || l->muted || l->stopped || f->acct_s == 0)
		return 0;
	return l->born + (done / l->interval + 1) * l->interval;
}

static bool is_own(const struct link *l)
{
	return l->cls != &pib_frwk_feedback_traffic_class;
}

/* Are states that changed told of l? */
static bool link_stirs(const struct pep_feedback *f, const struct link *l)
{
	return is_own(l) && l->periodic && !l->muted && !l->stopped && f->acct_s != 0;
}

void pep_feedback_stir(struct pep_feedback *f, int64_t now_ms)
{
	if (f->open && f->stirred == 0)
		f->stirred = unit_of(f, now_ms) + 1;
}

static bool link_due(const struct pep_feedback *f, const struct link *l, uint64_t unit)
{
	uint64_t next = link_next(f, l);

	return next != 0 && next <= unit;
}

int64_t pep_feedback_next(const struct pep_feedback *f, int64_t now_ms)
{
	uint64_t first = UINT64_MAX, next;

	if (!f->open)
		return INT64_MAX;
	if (f->asked)
		return now_ms;
	for (const struct link *l = f->links; l != NULL; l = l->hh.next) {
		next = link_next(f, l);
		if (next != 0 && next < first)
			first = next;
		if (f->stirred != 0 && f->stirred < first && link_stirs(f, l))
			first = f->stirred;
	}
	if (first > (uint64_t)((INT64_MAX - f->since_ms) / unit_ms(f)))
		return INT64_MAX;
	return f->since_ms + (int64_t)first * unit_ms(f);
}

/* ------------------------------------------------------------------ counters */

static void take_counter(
    void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now)
{
	struct link_key key = {.cls = cls, .instance = instance};
	struct pep_feedback *f = arg;
	struct counter *c;

	HASH_FIND(hh, f->counters, &key, sizeof(key), c);
	if (c == NULL && (c = calloc(1, sizeof(*c))) == NULL) {
		f->no_memory = true;
		return;
	}
	c->now = *now;
	if (c->key.cls != NULL)
		return;
	c->key = key;
	HASH_ADD(hh, f->counters, key, sizeof(c->key), c);
}

/* Values do not stop at UINT64_MAX by turning over (Usage64). */
static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* What came since base; a counter that fell began anew meanwhile. */
static uint64_t since(uint64_t *kept, uint64_t *base, uint64_t last, uint64_t now)
{
	if (now < *base || sum(*kept, now - *base) < last) {
		*kept = last;
		*base = 0;
	}
	return sum(*kept, now - *base);
}

static void link_count(struct link *l, const struct pep_usage *now)
{
	if (l->stopped)
		return;
	if (!l->counting) {
		l->base = *now;
		l->kept = l->value;
		l->counting = true;
		return;
	}
	l->value.packets = since(
	    &l->kept.packets, &l->base.packets, l->value.packets, now->packets);
	l->value.octets = since(&l->kept.octets, &l->base.octets, l->value.octets, now->octets);
}

/* A row of which nobody said anything has had no traffic yet. */
static void links_count(struct pep_feedback *f)
{
	static const struct pep_usage none = {0};
	struct counter *c;

	for (struct link *l = f->links; l != NULL; l = l->hh.next) {
		if (is_own(l))
			continue;
		HASH_FIND(hh, f->counters, &l->sel, sizeof(l->sel), c);
		link_count(l, c != NULL ? &c->now : &none);
	}
}

static int counters_read(struct pep_feedback *f, const struct pib_store *store)
{
	const struct link *l = f->links;
	int rc;

	while (l != NULL && is_own(l))
		l = l->hh.next;
	if (l == NULL)
		return 0; /* no row of traffic is asked for */
	counters_clear(f);
	f->no_memory = false;
	rc = f->client->count(f->self, store, take_counter, f);
	if (rc != 0 || f->no_memory)
		return -1;
	links_count(f);
	return 0;
}

void pep_feedback_sample(struct pep_feedback *f, const struct pib_store *store)
{
	if (f->links != NULL)
		(void)counters_read(f, store); /* the final report says what was known last */
}

/* ------------------------------------------------------------------ rows */

struct row_at { /* what a Prid names */
	const struct pib_class *cls;
	uint32_t instance;
};

/* A Prid's OID as class and instance; cls NULL: it is none that we know. */
static struct row_at prid_row(const struct pib_store *store, struct pib_octets oid)
{
	struct row_at at = {0};
	struct pib_fault ignored;
	uint8_t ber[2 + PIB_PRID_MAX];

	if (oid.len > PIB_PRID_MAX)
		return at;
	ber[0] = 0x06;
	ber[1] = (uint8_t)oid.len;
	memcpy(ber + 2, oid.p, oid.len);
	if (pib_prid_parse(
		pib_store_schema(store), ber, oid.len + 2, &at.cls, &at.instance, &ignored) != 0)
		at.cls = NULL;
	return at;
}

static bool oid_zero(struct pib_octets oid)
{
	return oid.len == 0 || (oid.len == 1 && oid.p[0] == 0);
}

static bool oid_is(struct pib_octets oid, const struct pib_class *cls)
{
	return oid.len == cls->ber_len && memcmp(oid.p, cls->ber, oid.len) == 0;
}

static bool can_count(const struct pep_client *c, const struct pep_usage_caps *caps)
{
	return caps->usage == &pib_frwk_feedback_traffic_class ? c->count != NULL
							       : c->usage_rows != NULL;
}

/* The first column that we cannot do, 0 = none. */
static uint16_t link_fault(const struct pep_feedback *f, const struct pib_store *store,
    const struct pib_frwk_feedback_link *row)
{
	struct row_at sel = prid_row(store, row->sel);
	struct row_at limit = prid_row(store, row->threshold);
	uint16_t fault = PIB_FRWK_FEEDBACK_LINK_COL_SEL;

	if (row->interval < 1)
		return PIB_FRWK_FEEDBACK_LINK_COL_INTERVAL;
	for (uint16_t i = 0; i < f->client->usages && sel.cls != NULL; i++) {
		const struct pep_usage_caps *c = &f->client->usage[i];

		if (c->selection != sel.cls || !can_count(f->client, c))
			continue;
		fault = PIB_FRWK_FEEDBACK_LINK_COL_USAGE;
		if (!oid_is(row->usage, c->usage))
			continue;
		if (oid_zero(row->threshold) ||
		    (c->threshold != NULL && limit.cls == c->threshold &&
			pib_store_find(store, limit.cls, limit.instance) != NULL))
			return 0;
		fault = PIB_FRWK_FEEDBACK_LINK_COL_THRESHOLD;
	}
	return fault;
}

int pep_feedback_judge(
    const struct pep_feedback *f, const struct pib_store *store, struct pib_txn *txn)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(txn, &c);
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		struct pib_fault fault = {.cperr = PIB_CPERR_VALUE_SUP};

		if (c[i].after == NULL || c[i].after->cls != &pib_frwk_feedback_link_class)
			continue;
		fault.sub = link_fault(f, store, c[i].after->data);
		if (fault.sub == 0)
			continue;
		pib_fault_row(&fault, c[i].after->cls, c[i].after->instance);
		pib_txn_fault(txn, &fault);
		rc = -1;
	}
	return rc;
}

static bool flag(struct pib_octets bits, unsigned bit)
{
	return bits.len > bit / 8 && (bits.p[bit / 8] & (0x80 >> bit % 8)) != 0;
}

static void link_limit(struct link *l, const struct pib_store *store, struct pib_octets threshold)
{
	struct row_at at = prid_row(store, threshold);
	const struct pib_row *row = at.cls == &pib_frwk_feedback_traffic_thres_class
					? pib_store_find(store, at.cls, at.instance)
					: NULL;
	const struct pib_frwk_feedback_traffic_thres *t = row != NULL ? row->data : NULL;

	l->limit_packets = t != NULL &&
			   !(t->null_mask >> (PIB_FRWK_FEEDBACK_TRAFFIC_THRES_COL_PACKETS - 1) & 1);
	l->limit_octets = t != NULL &&
			  !(t->null_mask >> (PIB_FRWK_FEEDBACK_TRAFFIC_THRES_COL_BYTES - 1) & 1);
	l->limit.packets = l->limit_packets ? t->packets : 0;
	l->limit.octets = l->limit_octets ? t->bytes : 0;
}

static uint32_t usage_number(struct pep_feedback *f)
{
	uint32_t n = f->next_usage++;

	if (f->next_usage == 0)
		f->next_usage = 1;
	return n;
}

/* Another row to count, or another class, is another usage row, from zero. */
static void link_begin(struct pep_feedback *f, struct link *l, struct link_key sel, uint64_t unit)
{
	own_clear(l);
	l->sel = sel;
	l->usage = usage_number(f);
	memset(&l->kept, 0, sizeof(l->kept));
	memset(&l->value, 0, sizeof(l->value));
	l->counting = l->told_once = false;
	l->muted = l->stopped = false;
	l->born = unit;
}

struct reading {
	struct pep_feedback *f;
	const struct pib_store *store;
	uint64_t unit;
	bool fresh; /* a link wants its base */
};

/* The usage class that a link names; it was judged. */
static const struct pib_class *usage_class(
    const struct pep_feedback *f, const struct pib_frwk_feedback_link *row)
{
	for (uint16_t i = 0; i < f->client->usages; i++)
		if (oid_is(row->usage, f->client->usage[i].usage))
			return f->client->usage[i].usage;
	return &pib_frwk_feedback_traffic_class;
}

static void read_link(void *arg, const struct pib_row *row)
{
	const struct pib_frwk_feedback_link *r = row->data;
	struct reading *rd = arg;
	const struct pib_class *cls = usage_class(rd->f, r);
	struct row_at at = prid_row(rd->store, r->sel);
	struct link_key sel = {.cls = at.cls, .instance = at.instance};
	struct link *l;

	HASH_FIND(hh, rd->f->links, &r->id, sizeof(r->id), l);
	if (l == NULL) {
		if ((l = calloc(1, sizeof(*l))) == NULL)
			return;
		l->id = r->id;
		HASH_ADD(hh, rd->f->links, id, sizeof(l->id), l);
	}
	if (l->usage == 0 || l->cls != cls || memcmp(&l->sel, &sel, sizeof(sel)) != 0) {
		l->cls = cls;
		link_begin(rd->f, l, sel, rd->unit);
		rd->fresh = true;
	}
	l->round = rd->f->round;
	l->interval = (uint32_t)r->interval;
	l->periodic = flag(r->flags, PIB_FRWK_FEEDBACK_LINK_FLAGS_PERIODIC);
	l->threshold = flag(r->flags, PIB_FRWK_FEEDBACK_LINK_FLAGS_THRESHOLD);
	l->change_only = flag(r->flags, PIB_FRWK_FEEDBACK_LINK_FLAGS_CHANGE_ONLY);
	link_limit(l, rd->store, r->threshold);
}

void pep_feedback_rows(struct pep_feedback *f, const struct pib_store *store, int64_t now_ms)
{
	struct reading rd = {.f = f, .store = store, .unit = unit_of(f, now_ms)};
	struct link *l, *next;

	f->round++;
	pib_store_each(store, &pib_frwk_feedback_link_class, read_link, &rd);
	HASH_ITER (hh, f->links, l, next)
		if (l->round != f->round)
			link_free(f, l);
	if (rd.fresh) {
		pep_feedback_sample(f, store);
		pep_feedback_stir(f, now_ms); /* how things are now */
	}
}

/* ------------------------------------------------------------------ actions */

struct ordering {
	struct pep_feedback *f;
	const struct pib_store *store;
	int32_t indicator;
};

static void order(struct ordering *o, struct link *l)
{
	switch (o->indicator) {
	case PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SUSPEND_MONITORING_AND_REPORTS:
		l->stopped = true;
		l->counting = false;
		break;
	case PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SUSPEND_REPORTS:
		l->muted = true;
		break;
	case PIB_FRWK_FEEDBACK_ACTION_INDICATOR_RESUME:
		l->stopped = l->muted = false;
		break;
	case PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SOLICIT_REPORT:
		l->asked = o->f->asked = true;
		break;
	}
}

static void order_listed(void *arg, const struct pib_row *row)
{
	const struct pib_frwk_feedback_action_list *r = row->data;
	struct ordering *o = arg;
	struct link *l;

	HASH_FIND(hh, o->f->links, &r->ref_id, sizeof(r->ref_id), l);
	if (l != NULL)
		order(o, l);
}

void pep_feedback_action(
    struct pep_feedback *f, const struct pib_store *store, const struct pib_row *row)
{
	const struct pib_frwk_feedback_action *a = row->data;
	struct ordering o = {.f = f, .store = store, .indicator = a->indicator};
	const struct pib_class *list = &pib_frwk_feedback_action_list_class;

	pep_feedback_sample(f, store); /* where counting ends or begins */
	if (a->specific_pri == PIB_FRWK_FEEDBACK_ACTION_SPECIFIC_PRI_TRUE)
		pib_store_referrers(store, list,
		    pib_column_find(list, PIB_FRWK_FEEDBACK_ACTION_LIST_COL_TAG), a->list,
		    order_listed, &o);
	else
		for (struct link *l = f->links; l != NULL; l = l->hh.next)
			order(&o, l);
	if (a->indicator == PIB_FRWK_FEEDBACK_ACTION_INDICATOR_RESUME)
		pep_feedback_sample(f, store); /* a new base */
}

/* ------------------------------------------------------------------ reports */

static bool reached(const struct link *l)
{
	return (l->limit_packets && l->value.packets >= l->limit.packets) ||
	       (l->limit_octets && l->value.octets > l->limit.octets);
}

static bool changed(const struct link *l)
{
	return !l->told_once || l->value.packets != l->told.packets ||
	       l->value.octets != l->told.octets;
}

/* Is l said in a report now?  Conditions are for periodic reports only (RFC 3571 2.2.3, 2.2.4). */
static bool said(
    const struct pep_feedback *f, const struct link *l, enum pep_feedback_why why, uint64_t unit)
{
	if (why == PEP_FEEDBACK_FINAL || l->asked)
		return true;
	return link_due(f, l, unit) && (!l->threshold || reached(l)) &&
	       (!l->change_only || changed(l));
}

struct report {
	struct buf *b;
	struct buf epd;
	size_t named;
	bool open;
};

/* One row, the class's struct; epd says whether r->epd has its octets already. */
static void put_row(
    struct report *r, const struct pib_class *cls, uint32_t instance, const void *row, bool epd)
{
	size_t mark;

	if (r->open && r->b->len - r->named > REPORT_FULL) {
		cops_named_close(r->b, r->named);
		r->open = false;
	}
	if (!r->open)
		r->named = cops_named_open(r->b, COPS_C_CLIENT_SI, 2);
	r->open = true;
	mark = cops_sub_open(r->b, COPS_S_PRID);
	pib_prid_put(r->b, cls, instance);
	cops_sub_close(r->b, mark);
	if (!epd) {
		buf_reset(&r->epd);
		pib_epd_put(&r->epd, cls, row);
	}
	cops_put_sub(r->b, COPS_S_EPD, r->epd.data, r->epd.len);
	r->b->failed |= r->epd.failed;
}

static void put_link(struct report *r, const struct link *l)
{
	const struct pib_frwk_feedback_traffic row = {
	    .id = l->usage,
	    .link_ref_id = l->id,
	    .packet_count = l->value.packets,
	    .byte_count = l->value.octets,
	};

	put_row(r, l->cls, l->usage, &row, false);
}

/* ------------------------------------------------------------------ the client's own rows */

enum which_rows { ROWS_ALL, ROWS_CHANGED, ROWS_STIRRED };

struct telling { /* the rows of one link */
	struct pep_feedback *f;
	struct link *l;
	struct report *r;
	enum which_rows rows;
	long count;
};

static struct own_row *own_get(struct pep_feedback *f, struct link *l, uint32_t which)
{
	struct own_row *o;

	HASH_FIND(hh, l->rows, &which, sizeof(which), o);
	if (o != NULL || (o = calloc(1, sizeof(*o))) == NULL)
		return o;
	o->which = which;
	o->usage = usage_number(f);
	HASH_ADD(hh, l->rows, which, sizeof(o->which), o);
	return o;
}

static void number_put(const struct pib_class *cls, void *row, const struct link *l, uint32_t id)
{
	for (uint8_t i = 0; i < cls->col_count; i++) {
		uint32_t *at = (uint32_t *)(void *)((uint8_t *)row + cls->col[i].offset);

		if (cls->col[i].index)
			*at = id;
		else if (cls->col[i].refers == &pib_frwk_feedback_link_class)
			*at = l->id;
	}
}

/* Never 0. */
static uint64_t digest(const struct buf *b)
{
	uint64_t h = fnv_add(FNV_START, b->data, b->len);

	return h != 0 ? h : 1;
}

static void tell_own(void *arg, const struct pep_usage_row *u)
{
	struct telling *t = arg;
	struct own_row *o = own_get(t->f, t->l, u->which);
	uint64_t now;

	if (o == NULL) {
		t->f->no_memory = true;
		return;
	}
	o->round = t->f->reading;
	if (t->rows == ROWS_STIRRED && o->told != 0 && o->state == u->state)
		return;
	number_put(t->l->cls, u->row, t->l, o->usage);
	buf_reset(&t->r->epd);
	pib_epd_put(&t->r->epd, t->l->cls, u->row);
	now = digest(&t->r->epd);
	if (t->rows != ROWS_ALL && o->told == now)
		return;
	put_row(t->r, t->l->cls, o->usage, u->row, true);
	o->told = now;
	o->state = u->state;
	t->count++;
}

/* Rows said, -1: they cannot be read. */
static long tell_link(struct pep_feedback *f, const struct pib_store *store, struct link *l,
    struct report *r, enum which_rows rows)
{
	struct telling t = {.f = f, .l = l, .r = r, .rows = rows};
	struct own_row *o, *next;

	f->reading++;
	f->no_memory = false;
	if (f->client->usage_rows(
		f->self, store, l->cls, (uint32_t)l->sel.instance, tell_own, &t) != 0 ||
	    f->no_memory)
		return -1;
	HASH_ITER (hh, l->rows, o, next) {
		if (o->round == f->reading)
			continue;
		HASH_DEL(l->rows, o);
		free(o);
	}
	return t.count;
}

/* Are states that changed due? */
static bool stirred(const struct pep_feedback *f, uint64_t unit)
{
	return f->stirred != 0 && f->stirred <= unit;
}

/* Which rows of the client's own are said now; false: none. */
static bool own_said(const struct pep_feedback *f, const struct link *l, enum pep_feedback_why why,
    uint64_t unit, enum which_rows *rows)
{
	if (why == PEP_FEEDBACK_FINAL || l->asked)
		*rows = ROWS_ALL;
	else if (link_due(f, l, unit))
		*rows = l->change_only ? ROWS_CHANGED : ROWS_ALL;
	else if (stirred(f, unit) && link_stirs(f, l))
		*rows = ROWS_STIRRED;
	else
		return false;
	return true;
}

/* Does anything have to be read at all? */
static bool due(const struct pep_feedback *f, uint64_t unit)
{
	bool any = f->asked;

	for (const struct link *l = f->links; l != NULL && !any; l = l->hh.next)
		any = link_due(f, l, unit) || (stirred(f, unit) && link_stirs(f, l));
	return any;
}

static void told(struct link *l)
{
	l->told = l->value;
	l->told_once = true;
	l->asked = false;
}

static void own_forget(struct pep_feedback *f)
{
	for (struct link *l = f->links; l != NULL; l = l->hh.next)
		for (struct own_row *o = l->rows; o != NULL; o = o->hh.next)
			o->told = 0;
}

/* One link's part of a report: how many rows, -1: not read. */
static long say_link(struct pep_feedback *f, const struct pib_store *store, struct link *l,
    struct report *r, enum pep_feedback_why why, uint64_t unit)
{
	enum which_rows rows = ROWS_ALL;
	long n;

	if (is_own(l)) {
		if (!own_said(f, l, why, unit, &rows))
			return 0;
		n = tell_link(f, store, l, r, rows);
		l->asked &= n < 0;
		return n;
	}
	if (!said(f, l, why, unit))
		return 0;
	put_link(r, l);
	told(l);
	return 1;
}

long pep_feedback_put(struct pep_feedback *f, const struct pib_store *store,
    enum pep_feedback_why why, const uint8_t *handle, size_t handle_len, int64_t now_ms,
    struct buf *b)
{
	uint64_t unit = unit_of(f, now_ms);
	struct report r = {.b = b};
	size_t start = b->len;
	size_t mark;
	long rows = 0, n = 0;

	if (!f->open || f->links == NULL)
		return 0;
	if (why == PEP_FEEDBACK_DUE) {
		if (!due(f, unit))
			return 0;
		if (counters_read(f, store) != 0)
			return -1;
	}
	buf_init(&r.epd, PIB_EPD_MAX);
	mark = cops_msg_begin(b, COPS_OP_RPT, false, f->client->client_type);
	cops_put_handle(b, handle, handle_len);
	cops_put_u16x2(b, COPS_C_REPORT_TYPE, 1, COPS_RPT_ACCOUNTING, 0);
	for (struct link *l = f->links; l != NULL && n >= 0; l = l->hh.next) {
		n = say_link(f, store, l, &r, why, unit);
		rows += n;
	}
	if (r.open)
		cops_named_close(b, r.named);
	cops_msg_end(b, mark);
	buf_clear(&r.epd);
	if (b->failed || n < 0) {
		b->len = start;
		own_forget(f); /* nobody heard it */
		return -1;
	}
	f->asked = false;
	f->unit = unit > f->unit ? unit : f->unit;
	if (stirred(f, unit))
		f->stirred = 0;
	if (rows == 0)
		b->len = start;
	return rows;
}
