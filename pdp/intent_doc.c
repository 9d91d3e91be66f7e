/*
 * intent_doc.c - arrays of elements, and faults.  At most DIAG_MAX faults are kept, the others are
 * counted; their places are found in one pass over the text.
 */
#include "pdp/intent_doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/intent_scan.h"

void doc_init(struct doc *d, const char *name, const char *text, size_t len)
{
	*d = (struct doc) {.name = name, .text = text, .len = len};
}

/* Hash tables own no elements, only their buckets. */
static void clear_tables(struct doc *d)
{
	for (uint32_t i = 0; i < d->vec[DOC_CUSTOMER].n; i++) {
		HASH_CLEAR(hh, d->customer[i].by_name);
		HASH_CLEAR(hh, d->customer[i].ike_by_name);
		HASH_CLEAR(hh, d->customer[i].vpn_by_name);
	}
	for (uint32_t i = 0; i < d->vec[DOC_VPN].n; i++) {
		free(d->vpn[i].transform.t);
		free(d->vpn[i].ike_transform.t);
	}
}

void doc_clear(struct doc *d)
{
	doc_read(d);
	clear_tables(d);
	for (size_t i = 0; i < DOC_KINDS; i++)
		free(d->vec[i].v);
	for (size_t i = 0; i < d->lowers; i++)
		free(d->lower[i]);
	free(d->lower);
	for (uint32_t i = 0; i < d->faults; i++)
		free(d->fault[i].text);
	free(d->fault);
}

uint32_t doc_push(struct doc *d, enum doc_kind kind, size_t size)
{
	struct doc_vec *vec = &d->vec[kind];

	if (vec->n == vec->cap) {
		uint32_t cap = vec->cap ? vec->cap * 2 : 64;
		void *v = reallocarray(vec->v, cap, size);
		if (!v) {
			d->failed = true;
			return UINT32_MAX;
		}
		vec->v = v;
		vec->cap = cap;
	}
	memset((char *)vec->v + vec->n * size, 0, size);
	return vec->n++;
}

/* An array of none is still an array: ranges of none point into it. */
static void *array_of(struct doc *d, enum doc_kind kind)
{
	static max_align_t none;
	return d->vec[kind].v ? d->vec[kind].v : &none;
}

void doc_read(struct doc *d)
{
	d->customer = array_of(d, DOC_CUSTOMER);
	d->ce = array_of(d, DOC_CE);
	d->transform = array_of(d, DOC_TRANSFORM);
	d->ike_transform = array_of(d, DOC_IKE_TRANSFORM);
	d->vpn = array_of(d, DOC_VPN);
	d->space = array_of(d, DOC_SPACE);
	d->member = array_of(d, DOC_MEMBER);
	d->site = array_of(d, DOC_SITE);
	d->link = array_of(d, DOC_LINK);
	d->learn = array_of(d, DOC_LEARN);
}

static bool has_upper(const char *s)
{
	while (*s && !(*s >= 'A' && *s <= 'Z'))
		s++;
	return *s != '\0';
}

const char *doc_lower(struct doc *d, const char *text)
{
	if (!has_upper(text))
		return text;
	if (d->lowers == d->lower_cap) {
		size_t cap = d->lower_cap ? d->lower_cap * 2 : 64;
		char **v = reallocarray(d->lower, cap, sizeof(*v));
		if (!v)
			goto bad;
		d->lower = v;
		d->lower_cap = cap;
	}
	char *s = strdup(text);
	if (!s)
		goto bad;
	d->lower[d->lowers++] = s;
	for (char *p = s; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	return s;
bad:
	d->failed = true;
	return NULL;
}

/* A slot for a fault of this severity, or NULL: enough are held, or no memory. */
static struct doc_fault *fault_slot(struct doc *d, enum diag_severity severity)
{
	if (severity == DIAG_ERROR)
		d->errors++;
	else
		d->warnings++;
	if (d->faults == DIAG_MAX)
		return NULL;
	if (!d->fault)
		d->fault = calloc(DIAG_MAX, sizeof(*d->fault));
	return d->fault ? &d->fault[d->faults] : NULL;
}

static bool schema_spoke(const struct doc *d, uint32_t tag, const char *attr)
{
	for (uint32_t i = 0; attr && i < d->faults; i++)
		if (d->fault[i].schema && d->fault[i].tag == tag && !strcmp(d->fault[i].attr, attr))
			return true;
	return false;
}

__attribute__((format(printf, 4, 0))) static void fault_add(
    struct doc *d, const struct doc_fault *f, const char *attr, const char *fmt, va_list ap)
{
	char *text = NULL;

	if (schema_spoke(d, f->tag, attr))
		return;
	struct doc_fault *slot = fault_slot(d, f->severity);
	if (!slot || vasprintf(&text, fmt, ap) < 0)
		return;
	*slot = *f;
	slot->order = d->faults++;
	slot->text = text;
	snprintf(slot->attr, sizeof(slot->attr), "%s", attr ? attr : "");
}

void doc_error(
    struct doc *d, uint32_t tag, const char *attr, uint32_t related, const char *fmt, ...)
{
	struct doc_fault f = {.tag = tag, .related = related, .severity = DIAG_ERROR};
	va_list ap;

	va_start(ap, fmt);
	fault_add(d, &f, attr, fmt, ap);
	va_end(ap);
}

void doc_late_error(
    struct doc *d, uint32_t tag, const char *attr, uint32_t related, const char *fmt, ...)
{
	struct doc_fault f = {
	    .tag = tag, .related = related, .severity = d->stored ? DIAG_WARNING : DIAG_ERROR};
	va_list ap;

	va_start(ap, fmt);
	fault_add(d, &f, attr, fmt, ap);
	va_end(ap);
}

void doc_warning(struct doc *d, uint32_t tag, const char *attr, const char *fmt, ...)
{
	struct doc_fault f = {.tag = tag, .severity = DIAG_WARNING};
	va_list ap;

	va_start(ap, fmt);
	fault_add(d, &f, attr, fmt, ap);
	va_end(ap);
}

void doc_schema_error(struct doc *d, uint32_t tag, const char *attr, const char *fmt, ...)
{
	struct doc_fault f = {.tag = tag, .severity = DIAG_ERROR, .schema = true};
	va_list ap;

	va_start(ap, fmt);
	fault_add(d, &f, attr, fmt, ap);
	va_end(ap);
}

/* --- places --------------------------------------------------------------------------------- */

struct spot { /* where a tag is */
	uint32_t tag;
	struct scan_place place;
	struct scan_tag t;
};

static int spot_order(const void *a, const void *b)
{
	uint32_t x = ((const struct spot *)a)->tag;
	uint32_t y = ((const struct spot *)b)->tag;
	return (x > y) - (x < y);
}

static void find_spots(const struct doc *d, struct spot *spot, size_t n)
{
	struct scan s;
	struct scan_tag t;
	struct scan_place place = {0};
	enum scan_what what;
	uint32_t tag = 0;
	size_t i = 0;

	qsort(spot, n, sizeof(*spot), spot_order);
	while (i < n && spot[i].tag == 0)
		i++;
	scan_init(&s, d->text, d->len);
	while (i < n && (what = scan_next(&s, &t)) != SCAN_END) {
		if (what == SCAN_CLOSE)
			continue;
		tag++;
		for (; i < n && spot[i].tag == tag; i++) {
			scan_place(&place, d->text, d->len, t.at);
			spot[i].place = place;
			spot[i].t = t;
		}
	}
}

static const struct spot *spot_of(const struct spot *spot, size_t n, uint32_t tag)
{
	struct spot key = {.tag = tag};
	return tag ? bsearch(&key, spot, n, sizeof(key), spot_order) : NULL;
}

static int fault_order(const void *a, const void *b)
{
	const struct doc_fault *x = a;
	const struct doc_fault *y = b;
	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static void report_one(const struct doc *d, const struct doc_fault *f, const struct spot *spot,
    size_t n, struct diag *diag)
{
	const struct spot *at = spot_of(spot, n, f->tag);
	const struct spot *related = spot_of(spot, n, f->related);
	struct scan_place place = {0};
	size_t width = 0;

	if (at && at->t.at) {
		size_t len = 0;
		const char *attr = f->attr[0] ? scan_attribute(&at->t, f->attr, &len) : NULL;
		place = at->place;
		width = attr ? len : (size_t)(at->t.name_end - at->t.at);
		if (attr)
			scan_place(&place, d->text, d->len, attr);
	}
	if (related && related->place.line)
		diag_add(diag, f->severity, d->name, place.line, place.column, (unsigned)width,
		    place.line_at, place.line_len, "%s (line %u)", f->text, related->place.line);
	else
		diag_add(diag, f->severity, d->name, place.line, place.column, (unsigned)width,
		    place.line_at, place.line_len, "%s", f->text);
}

void doc_report(struct doc *d, struct diag *diag)
{
	struct spot *spot = d->faults ? calloc(2 * d->faults, sizeof(*spot)) : NULL;
	size_t n = 0;

	if (d->faults)
		qsort(d->fault, d->faults, sizeof(*d->fault), fault_order);
	for (uint32_t i = 0; spot && i < d->faults; i++) {
		spot[n++].tag = d->fault[i].tag;
		spot[n++].tag = d->fault[i].related;
	}
	if (spot)
		find_spots(d, spot, n);
	for (uint32_t i = 0; i < d->faults; i++)
		report_one(d, &d->fault[i], spot, n, diag);
	free(spot);
	/* diag counts what it was given; these were not kept */
	while (diag->errors < d->errors)
		diag_add(diag, DIAG_ERROR, d->name, 0, 0, 0, NULL, 0, "one error more");
	while (diag->warnings < d->warnings)
		diag_add(diag, DIAG_WARNING, d->name, 0, 0, 0, NULL, 0, "one warning more");
}
