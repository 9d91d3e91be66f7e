/*
 * pib_codec.c - BER for PRIDs and EPDs.  One table says which tags there are and
 * which base type takes which; everything else follows the class's descriptor.
 *
 * We send minimal lengths and take definite ones of up to four length octets
 * (RFC 3417 8).  One tolerance: RFC 3084's own example tags an Unsigned32 as
 * INTEGER, so that is taken too.
 */
#include <string.h>

#include "common/buf.h"
#include "pib/pib_codec.h"

#define TAG_INTEGER    0x02
#define TAG_OCTETS     0x04
#define TAG_NULL       0x05
#define TAG_OID	       0x06
#define TAG_UNSIGNED32 0x42
#define TAG_INTEGER64  0x4a
#define TAG_UNSIGNED64 0x4b

#define OID_ARCS_MAX 128

struct base {
	uint8_t tag;
	uint8_t also_tag;
	uint8_t width; /* octets of a number's value; 0: not a number */
	bool is_unsigned;
};

static const struct base bases[] = {
    [PIB_INTEGER32] = {TAG_INTEGER, TAG_INTEGER, 4, false},
    [PIB_UNSIGNED32] = {TAG_UNSIGNED32, TAG_INTEGER, 4, true},
    [PIB_INTEGER64] = {TAG_INTEGER64, TAG_INTEGER64, 8, false},
    [PIB_UNSIGNED64] = {TAG_UNSIGNED64, TAG_UNSIGNED64, 8, true},
    [PIB_OCTETS] = {TAG_OCTETS, TAG_OCTETS, 0, false},
    [PIB_BITS] = {TAG_OCTETS, TAG_OCTETS, 0, false},
    [PIB_OID] = {TAG_OID, TAG_OID, 0, false},
};

/* All tags of SPPI, IpAddress, TimeTicks and Opaque with them; another is GPERR 3. */
static const uint8_t tags[] = {TAG_INTEGER, TAG_OCTETS, TAG_NULL, TAG_OID, 0x40, TAG_UNSIGNED32,
    0x43, 0x44, TAG_INTEGER64, TAG_UNSIGNED64};

static int gperr(struct pib_fault *f, enum pib_gperr code, uint16_t sub)
{
	f->gperr = (uint16_t)code;
	f->cperr = 0;
	f->sub = sub;
	return -1;
}

static int cperr(struct pib_fault *f, enum pib_cperr code, uint16_t sub)
{
	f->gperr = 0;
	f->cperr = (uint16_t)code;
	f->sub = sub;
	return -1;
}

/* --- columns in a struct ----------------------------------------------------- */

static const void *field(const struct pib_column *c, const void *row)
{
	return (const uint8_t *)row + c->offset;
}

/* Every generated struct starts with its null_mask. */
bool pib_row_null(const struct pib_column *c, const void *row)
{
	uint64_t mask;

	memcpy(&mask, row, sizeof mask);
	return (mask >> (c->number - 1) & 1) != 0;
}

void pib_row_set_null(const struct pib_column *c, void *row)
{
	uint64_t mask;

	memcpy(&mask, row, sizeof mask);
	mask |= (uint64_t)1 << (c->number - 1);
	memcpy(row, &mask, sizeof mask);
}

int64_t pib_row_number(const struct pib_column *c, const void *row)
{
	int32_t i32;
	uint32_t u32;
	int64_t i64;

	switch (c->base) {
	case PIB_INTEGER32:
		memcpy(&i32, field(c, row), sizeof i32);
		return i32;
	case PIB_UNSIGNED32:
		memcpy(&u32, field(c, row), sizeof u32);
		return u32;
	case PIB_INTEGER64:
	case PIB_UNSIGNED64:
		memcpy(&i64, field(c, row), sizeof i64);
		return i64;
	default:
		return 0;
	}
}

static void set_number(const struct pib_column *c, void *row, int64_t v)
{
	uint32_t v32 = (uint32_t)v;

	if (bases[c->base].width == 4)
		memcpy((uint8_t *)row + c->offset, &v32, sizeof v32);
	else
		memcpy((uint8_t *)row + c->offset, &v, sizeof v);
}

struct pib_octets pib_row_octets(const struct pib_column *c, const void *row)
{
	struct pib_octets o = {NULL, 0};

	if (bases[c->base].width == 0)
		memcpy(&o, field(c, row), sizeof o);
	return o;
}

static void set_octets(const struct pib_column *c, void *row, struct pib_octets o)
{
	memcpy((uint8_t *)row + c->offset, &o, sizeof o);
}

/* --- writing ------------------------------------------------------------------- */

static void put_header(struct buf *b, uint8_t tag, size_t len)
{
	uint8_t h[4] = {tag};
	size_t n = 1;

	if (len > 0xff)
		h[n++] = 0x82;
	else if (len >= 0x80)
		h[n++] = 0x81;
	if (len > 0xff)
		h[n++] = (uint8_t)(len >> 8);
	h[n++] = (uint8_t)len;
	buf_put(b, h, n);
}

/* Minimal two's complement; an unsigned number with its top bit set gets a leading 00. */
static void put_number(struct buf *b, uint8_t tag, int64_t v, bool is_unsigned)
{
	uint64_t bits = (uint64_t)(is_unsigned || v >= 0 ? v : ~v); /* but for those of the sign */
	uint8_t tlv[2 + 9];
	size_t n = 1;

	while (n < 9 && bits >> (8 * n - 1) != 0)
		n++;
	tlv[0] = tag;
	tlv[1] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		tlv[1 + n - i] = i < 8 ? (uint8_t)((uint64_t)v >> 8 * i) : 0;
	buf_put(b, tlv, 2 + n);
}

static size_t put_arc(uint8_t out[5], uint32_t arc)
{
	size_t n = 0;

	for (int shift = 28; shift >= 0; shift -= 7)
		if (shift == 0 || arc >> shift != 0)
			out[n++] = (uint8_t)((arc >> shift & 0x7f) | (shift > 0 ? 0x80 : 0));
	return n;
}

void pib_prid_put(struct buf *b, const struct pib_class *cls, uint32_t instance)
{
	uint8_t arc[5];
	size_t n = put_arc(arc, instance);

	put_header(b, TAG_OID, cls->ber_len + n);
	buf_put(b, cls->ber, cls->ber_len);
	buf_put(b, arc, n);
}

void pib_pprid_put(struct buf *b, const struct pib_class *cls)
{
	put_header(b, TAG_OID, cls->ber_len);
	buf_put(b, cls->ber, cls->ber_len);
}

void pib_fault_row(struct pib_fault *f, const struct pib_class *cls, uint32_t instance)
{
	f->cls = cls;
	f->instance = instance;
	f->prid_len = 0;
	if ((size_t)cls->ber_len + 5 > sizeof f->prid)
		return;
	memcpy(f->prid, cls->ber, cls->ber_len);
	f->prid_len = cls->ber_len;
	if (instance != 0)
		f->prid_len = (uint8_t)(f->prid_len + put_arc(f->prid + cls->ber_len, instance));
}

void pib_epd_put(struct buf *b, const struct pib_class *cls, const void *row)
{
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];
		const struct base *base = &bases[c->base];

		if (pib_row_null(c, row)) {
			put_header(b, TAG_NULL, 0);
		} else if (base->width != 0) {
			put_number(b, base->tag, pib_row_number(c, row), base->is_unsigned);
		} else {
			struct pib_octets o = pib_row_octets(c, row);

			if (o.len > PIB_EPD_MAX) {
				b->failed = true;
				return;
			}
			put_header(b, base->tag, o.len);
			buf_put(b, o.p, o.len);
		}
	}
}

/* --- reading --------------------------------------------------------------------- */

/* What follows a length octet of 0x80 or more: definite, of up to four octets. */
static bool get_long_len(struct cur *c, size_t *len)
{
	size_t count = *len & 0x7f;

	if (count == 0 || count > 4 || count > cur_left(c)) /* no object is that long */
		return false;
	for (*len = 0; count > 0; count--)
		*len = *len << 8 | *c->p++;
	return true;
}

/* One TLV: its tag, and its contents cut out.  Fails on lengths only (GPERR 7). */
static int get_tlv(struct cur *c, uint8_t *tag, struct cur *contents, struct pib_fault *f)
{
	size_t len;

	if (cur_left(c) < 2)
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	*tag = c->p[0];
	len = c->p[1];
	c->p += 2;
	if ((len & 0x80) && !get_long_len(c, &len))
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	if (len > (size_t)(c->end - c->p))
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	*contents = (struct cur) {c->p, c->p + len};
	c->p += len;
	return 0;
}

/* Arcs of minimal length, each below 2^32; returns how many octets lists, 0: malformed. */
static size_t oid_arcs(const uint8_t *p, size_t len)
{
	uint64_t arc = 0;
	size_t arcs = 0;

	for (size_t i = 0; i < len; i++) {
		if (arc == 0 && p[i] == 0x80)
			return 0;
		arc = arc << 7 | (p[i] & 0x7f);
		if (arc > UINT32_MAX)
			return 0;
		if (!(p[i] & 0x80)) {
			arcs++;
			arc = 0;
		}
	}
	return len > 0 && !(p[len - 1] & 0x80) ? arcs : 0;
}

/* The OID a PRID or PPRID body holds, and nothing after it. */
static int get_oid(const uint8_t *p, size_t len, struct cur *oid, struct pib_fault *f)
{
	struct cur c;
	uint8_t tag;

	memset(f, 0, sizeof *f);
	cur_init(&c, p, len);
	if (len > 0 && p[0] != TAG_OID)
		return gperr(f, PIB_GPERR_UNKNOWN_TAG, p[0]);
	if (get_tlv(&c, &tag, oid, f) != 0)
		return -1;
	if (cur_left(&c) != 0)
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	if (cur_left(oid) > PIB_PRID_MAX || oid_arcs(oid->p, cur_left(oid)) == 0)
		return gperr(f, PIB_GPERR_UNKNOWN_DATA, 0);
	f->prid_len = (uint8_t)cur_left(oid);
	memcpy(f->prid, oid->p, f->prid_len);
	return 0;
}

/* The class all but the last arc name; that arc in *instance. */
static const struct pib_class *split_instance(
    const struct pib_schema *s, const struct cur *oid, uint32_t *instance)
{
	const uint8_t *last = oid->end - 1;

	while (last > oid->p && (last[-1] & 0x80))
		last--;
	*instance = 0;
	for (const uint8_t *p = last; p < oid->end; p++)
		*instance = *instance << 7 | (*p & 0x7f);
	return pib_schema_find_ber(s, oid->p, (size_t)(last - oid->p));
}

static bool starts_with(const uint8_t *p, size_t len, const uint8_t *prefix, size_t prefix_len)
{
	return len >= prefix_len && memcmp(p, prefix, prefix_len) == 0;
}

int pib_prid_parse(const struct pib_schema *s, const uint8_t *p, size_t len,
    const struct pib_class **cls, uint32_t *instance, struct pib_fault *f)
{
	struct cur oid;

	if (get_oid(p, len, &oid, f) != 0)
		return -1;
	*cls = split_instance(s, &oid, instance);
	f->cls = *cls;
	if (*cls != NULL)
		return *instance != 0 ? 0 : cperr(f, PIB_CPERR_INSTANCE, 0);

	/* A class without an instance, or with more than one arc of it? */
	for (size_t i = 0; i < pib_schema_count(s); i++) {
		const struct pib_class *k = pib_schema_class(s, i);

		if (starts_with(oid.p, cur_left(&oid), k->ber, k->ber_len)) {
			f->cls = k;
			return cperr(f, PIB_CPERR_INSTANCE, 0);
		}
	}
	return cperr(f, PIB_CPERR_UNKNOWN_PRC, 0);
}

int pib_prefix_parse(const struct pib_schema *s, const uint8_t *p, size_t len,
    void (*fn)(void *arg, const struct pib_class *cls, uint32_t instance), void *arg,
    struct pib_fault *f)
{
	const struct pib_class *cls;
	struct cur oid;
	uint32_t instance;
	size_t covered = 0;

	if (get_oid(p, len, &oid, f) != 0)
		return -1;
	if ((cls = split_instance(s, &oid, &instance)) != NULL) {
		f->cls = cls;
		if (instance == 0)
			return cperr(f, PIB_CPERR_INSTANCE, 0);
		fn(arg, cls, instance);
		return 0;
	}
	for (size_t i = 0; i < pib_schema_count(s); i++) {
		cls = pib_schema_class(s, i);
		if (!starts_with(cls->ber, cls->ber_len, oid.p, cur_left(&oid)))
			continue;
		fn(arg, cls, 0);
		covered++;
	}
	return covered > 0 ? 0 : cperr(f, PIB_CPERR_UNKNOWN_PRC, 0);
}

/* --- one column's value ---------------------------------------------------------- */

/* The ranges are of the base type's signedness; max is an int64_t's octets if signed. */
static bool in_ranges(const struct pib_column *c, int64_t v, bool is_unsigned)
{
	for (uint8_t i = 0; i < c->ranges; i++) {
		const struct pib_range *r = &c->range[i];

		if (is_unsigned ? (uint64_t)v >= (uint64_t)r->min && (uint64_t)v <= r->max
				: v >= r->min && v <= (int64_t)r->max)
			return true;
	}
	return c->ranges == 0;
}

static int check_number(const struct pib_column *c, int64_t v, struct pib_fault *f)
{
	if (!in_ranges(c, v, bases[c->base].is_unsigned) ||
	    (c->enum_count > 0 && pib_enum_name(c, (int32_t)v) == NULL))
		return cperr(f, PIB_CPERR_VALUE, c->number);
	return 0;
}

static int get_number(
    const struct pib_column *c, const struct cur *v, void *row, struct pib_fault *f)
{
	const struct base *base = &bases[c->base];
	size_t len = cur_left(v);
	bool negative = len > 0 && (v->p[0] & 0x80);
	uint64_t n = negative ? UINT64_MAX : 0;

	if (len == 0 || len > (size_t)base->width + base->is_unsigned)
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	if (len > 1 && v->p[0] == (negative ? 0xff : 0x00) && (v->p[1] & 0x80) == (v->p[0] & 0x80))
		return gperr(f, PIB_GPERR_BAD_LENGTH, 0); /* not minimal */
	if (base->is_unsigned && (negative || (len > base->width && v->p[0] != 0)))
		return cperr(f, PIB_CPERR_VALUE, c->number);
	for (size_t i = 0; i < len; i++)
		n = n << 8 | v->p[i];
	set_number(c, row, (int64_t)n);
	return check_number(c, (int64_t)n, f);
}

static int check_size(const struct pib_column *c, uint32_t len, struct pib_fault *f)
{
	uint64_t longest = 0;

	for (uint8_t i = 0; i < c->ranges; i++)
		if (c->range[i].max > longest)
			longest = c->range[i].max;
	if (c->ranges > 0 && len > longest)
		return cperr(f, PIB_CPERR_MAX_LENGTH, c->number);
	return in_ranges(c, len, true) ? 0 : cperr(f, PIB_CPERR_VALUE, c->number);
}

/* Only named bits may be set; octets at the end that would be zero may be left out. */
static int check_bits(const struct pib_column *c, struct pib_octets o, struct pib_fault *f)
{
	int32_t last = 0;

	for (uint8_t i = 0; i < c->enum_count; i++)
		if (c->enums[i].value > last)
			last = c->enums[i].value;
	if (o.len > (uint32_t)last / 8 + 1)
		return cperr(f, PIB_CPERR_MAX_LENGTH, c->number);
	for (uint32_t bit = 0; bit < o.len * 8; bit++)
		if ((o.p[bit / 8] & (0x80 >> bit % 8)) && pib_enum_name(c, (int32_t)bit) == NULL)
			return cperr(f, PIB_CPERR_VALUE, c->number);
	return 0;
}

static int check_oid(const struct pib_column *c, struct pib_octets o, struct pib_fault *f)
{
	size_t arcs = oid_arcs(o.p, o.len);

	if (arcs == 0)
		return o.len == 0 ? gperr(f, PIB_GPERR_BAD_LENGTH, 0)
				  : cperr(f, PIB_CPERR_VALUE, c->number);
	return arcs < OID_ARCS_MAX ? 0 : cperr(f, PIB_CPERR_MAX_LENGTH, c->number);
}

static int get_octets(
    const struct pib_column *c, const struct cur *v, void *row, struct pib_fault *f)
{
	struct pib_octets o = {v->p, (uint32_t)cur_left(v)};

	set_octets(c, row, o);
	if (c->base == PIB_OID)
		return check_oid(c, o, f);
	if (c->base == PIB_BITS)
		return check_bits(c, o, f);
	return check_size(c, o.len, f);
}

/*
 * The column was not given: NULL, or missing at the end (RFC 3084 2.2.1).  A deprecated one
 * stays so, whatever its default was.
 */
static int take_default(
    const struct pib_column *c, void *row, enum pib_cperr code, struct pib_fault *f)
{
	if (c->has_default && !c->index && !c->deprecated) {
		if (bases[c->base].width != 0)
			set_number(c, row, c->default_number);
		else
			set_octets(c, row, c->default_octets);
		return 0;
	}
	pib_row_set_null(c, row);
	return c->deprecated || c->nullable ? 0 : cperr(f, code, c->number);
}

static int get_column(
    const struct pib_column *c, uint8_t tag, const struct cur *v, void *row, struct pib_fault *f)
{
	const struct base *base = &bases[c->base];

	if (tag == base->tag || tag == base->also_tag)
		return base->width != 0 ? get_number(c, v, row, f) : get_octets(c, v, row, f);
	if (tag == TAG_NULL)
		return cur_left(v) == 0 ? take_default(c, row, PIB_CPERR_VALUE, f)
					: gperr(f, PIB_GPERR_BAD_LENGTH, 0);
	return memchr(tags, tag, sizeof tags) != NULL ? cperr(f, PIB_CPERR_TYPE, c->number)
						      : gperr(f, PIB_GPERR_UNKNOWN_TAG, tag);
}

int pib_epd_decode(const struct pib_class *cls, const uint8_t *p, size_t len, void *row,
    bool *surplus, struct pib_fault *f)
{
	struct cur c, v;
	uint8_t tag, n = 0;

	memset(f, 0, sizeof *f);
	f->cls = cls;
	memset(row, 0, cls->row_size);
	*surplus = false;
	cur_init(&c, p, len);
	if (len == 0) /* "remove", and only in a request (RFC 3318 2.3) */
		return cperr(f, PIB_CPERR_TOO_FEW, 1);
	for (; cur_left(&c) > 0; n++) {
		if (get_tlv(&c, &tag, &v, f) != 0)
			return -1;
		if (n < cls->col_count) {
			if (get_column(&cls->col[n], tag, &v, row, f) != 0)
				return -1;
			continue;
		}
		*surplus = true;
		if (memchr(tags, tag, sizeof tags) == NULL)
			return gperr(f, PIB_GPERR_UNKNOWN_TAG, tag);
		n = cls->col_count; /* n must not wrap */
	}
	for (; n < cls->col_count; n++)
		if (take_default(&cls->col[n], row, PIB_CPERR_TOO_FEW, f) != 0)
			return -1;
	return 0;
}
