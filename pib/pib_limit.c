/*
 * pib_limit.c - see pib_limit.h.  One table says what each kind of limit is called in
 * frwkCompLimits, which columns it is for and which error it gives.
 */
#include <string.h>

#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_limit.h"

enum operand { NONE, NUMBER, RANGE, OCTETS };

struct kind {
	uint8_t type;	 /* frwkCompLimitsType; 0: no row */
	uint8_t subtype; /* frwkCompLimitsSubType; of a range, that of min; max has the next */
	enum operand operand;
	bool of_length; /* the operand is a count, 32 bits, whatever the column */
	enum pib_cperr cperr;
};

#define TYPE(t) PIB_FRWK_COMP_LIMITS_TYPE_##t
#define SUB(t)	PIB_FRWK_COMP_LIMITS_SUB_TYPE_##t

static const struct kind kinds[] = {
    [PIB_LIMIT_ROWS] = {TYPE(PRI_SPACE_LIMITED), SUB(VALUE_ONLY), NUMBER, true, PIB_CPERR_SPACE},
    [PIB_LIMIT_NOTIFY] = {TYPE(PRC_LIMITED_NOTIFY), SUB(NONE), NONE, false, PIB_CPERR_NOTIFY_ONLY},
    [PIB_LIMIT_VALUE] = {TYPE(ATTR_VALUE_SUP_LIMITED), SUB(VALUE_ONLY), NUMBER, false,
	PIB_CPERR_VALUE_SUP},
    [PIB_LIMIT_OCTETS] = {TYPE(ATTR_VALUE_SUP_LIMITED), SUB(VALUE_ONLY), OCTETS, false,
	PIB_CPERR_VALUE_SUP},
    [PIB_LIMIT_RANGE] = {TYPE(ATTR_VALUE_SUP_LIMITED), SUB(RANGE_MIN), RANGE, false,
	PIB_CPERR_VALUE_SUP},
    [PIB_LIMIT_BITS] = {TYPE(ATTR_VALUE_SUP_LIMITED), SUB(BIT_MASK), OCTETS, false,
	PIB_CPERR_VALUE_SUP},
    [PIB_LIMIT_ENUM] = {TYPE(ATTR_ENUM_SUP_LIMITED), SUB(ENUM_ONLY), NUMBER, false,
	PIB_CPERR_ENUM_SUP},
    [PIB_LIMIT_ENUM_RANGE] = {TYPE(ATTR_ENUM_SUP_LIMITED), SUB(ENUM_MIN), RANGE, false,
	PIB_CPERR_ENUM_SUP},
    [PIB_LIMIT_LENGTH] = {TYPE(ATTR_LENGTH_LIMITED), SUB(LENGTH_MIN), RANGE, true,
	PIB_CPERR_MAX_LENGTH},
    [PIB_LIMIT_UNSUPPORTED] = {0, 0, NONE, false, PIB_CPERR_VALUE},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static bool is_number(const struct pib_column *c)
{
	return c->base != PIB_OCTETS && c->base != PIB_BITS && c->base != PIB_OID;
}

static bool is_unsigned(const struct pib_column *c)
{
	return c->base == PIB_UNSIGNED32 || c->base == PIB_UNSIGNED64;
}

static bool is_wide(const struct pib_column *c)
{
	return c->base == PIB_INTEGER64 || c->base == PIB_UNSIGNED64;
}

/* --- judging ------------------------------------------------------------------------ */

static bool in_range(const struct pib_limit *l, int64_t n, bool without_sign)
{
	if (without_sign)
		return (uint64_t)n >= (uint64_t)l->min && (uint64_t)n <= (uint64_t)l->max;
	return n >= l->min && n <= l->max;
}

static bool same_octets(struct pib_octets a, struct pib_octets b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool within_mask(struct pib_octets mask, struct pib_octets o)
{
	for (uint32_t i = 0; i < o.len; i++)
		if (o.p[i] & ~(i < mask.len ? mask.p[i] : 0))
			return false;
	return true;
}

/* Is the column's value what the limit names? */
static bool named(const struct pib_limit *l, const struct pib_column *c, const void *row)
{
	int64_t n = pib_row_number(c, row);

	switch (l->kind) {
	case PIB_LIMIT_VALUE:
	case PIB_LIMIT_ENUM:
		return n == l->min;
	case PIB_LIMIT_RANGE:
	case PIB_LIMIT_ENUM_RANGE:
		return in_range(l, n, is_unsigned(c));
	case PIB_LIMIT_LENGTH:
		return in_range(l, pib_row_octets(c, row).len, true);
	case PIB_LIMIT_OCTETS:
		return same_octets(l->octets, pib_row_octets(c, row));
	case PIB_LIMIT_BITS:
		return within_mask(l->octets, pib_row_octets(c, row));
	default:
		return true;
	}
}

/* attrMaxLengthExceeded is for what is too long; there is none for too short. */
static enum pib_cperr error_of(
    const struct pib_limit *l, const struct pib_column *c, const void *row)
{
	if (l->kind == PIB_LIMIT_LENGTH && pib_row_octets(c, row).len < (uint64_t)l->min)
		return PIB_CPERR_VALUE_SUP;
	return kinds[l->kind].cperr;
}

/* All limits of a column at once: one of the positive ones holds, and no negated one. */
static enum pib_cperr judge_column(const struct pib_limits *l, const struct pib_class *cls,
    const struct pib_column *c, const void *row)
{
	enum pib_cperr missed = 0;
	bool held = false;

	for (size_t i = 0; i < l->count; i++) {
		const struct pib_limit *k = &l->limit[i];
		bool yes;

		if (k->cls != cls || k->column != c->number || k->kind == PIB_LIMIT_UNSUPPORTED)
			continue;
		yes = named(k, c, row);
		if (k->negation && yes)
			return error_of(k, c, row);
		held |= !k->negation && yes;
		if (!k->negation && !yes && missed == 0)
			missed = error_of(k, c, row);
	}
	return held ? 0 : missed;
}

int pib_limits_judge(
    const struct pib_limits *l, const struct pib_class *cls, const void *row, struct pib_fault *f)
{
	enum pib_cperr code = 0;
	uint8_t column = 0;

	for (size_t i = 0; i < l->count && code == 0; i++)
		if (l->limit[i].cls == cls && l->limit[i].kind == PIB_LIMIT_NOTIFY)
			code = kinds[PIB_LIMIT_NOTIFY].cperr;
	for (uint8_t i = 0; i < cls->col_count && code == 0; i++) {
		if (pib_row_null(&cls->col[i], row))
			continue;
		column = cls->col[i].number;
		code = judge_column(l, cls, &cls->col[i], row);
	}
	if (code == 0)
		return 0;
	*f = (struct pib_fault) {.cperr = (uint16_t)code, .sub = column, .cls = cls};
	return -1;
}

size_t pib_limits_rows(const struct pib_limits *l, const struct pib_class *cls)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->limit[i].cls == cls && l->limit[i].kind == PIB_LIMIT_ROWS)
			return (size_t)l->limit[i].min;
	return SIZE_MAX;
}

static bool unsupported(
    const struct pib_limits *l, const struct pib_class *cls, const struct pib_column *c)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->limit[i].cls == cls && l->limit[i].kind == PIB_LIMIT_UNSUPPORTED &&
		    l->limit[i].column == c->number)
			return true;
	return c->deprecated;
}

void pib_limits_ignore(const struct pib_limits *l, const struct pib_class *cls, void *row)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->limit[i].cls == cls && l->limit[i].kind == PIB_LIMIT_UNSUPPORTED)
			pib_row_set_null(&cls->col[l->limit[i].column - 1], row);
}

size_t pib_limits_support(
    const struct pib_limits *l, const struct pib_class *cls, uint8_t out[PIB_SUPPORT_MAX])
{
	size_t len = 0;

	memset(out, 0, PIB_SUPPORT_MAX);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		if (unsupported(l, cls, &cls->col[i]))
			continue;
		out[i / 8] |= (uint8_t)(0x80 >> i % 8);
		len = i / 8U + 1;
	}
	return len;
}

static bool fits(const struct pib_limit *l)
{
	const struct kind *k = l->kind < KINDS ? &kinds[l->kind] : NULL;
	const struct pib_column *c = pib_column_find(l->cls, l->column);

	if (k == NULL || !(l->cls->access & PIB_INSTALL))
		return false;
	if (l->kind == PIB_LIMIT_ROWS || l->kind == PIB_LIMIT_NOTIFY)
		return l->column == 0 && l->min >= 0;
	if (c == NULL || c->index)
		return false;
	if (l->kind == PIB_LIMIT_UNSUPPORTED)
		return c->min_access == PIB_NOT_ACCESSIBLE;
	if (k->type == TYPE(ATTR_ENUM_SUP_LIMITED) && c->enum_count == 0)
		return false;
	if (l->kind == PIB_LIMIT_BITS)
		return c->base == PIB_BITS;
	return is_number(c) == (k->operand != OCTETS && !k->of_length);
}

int pib_limits_check(const struct pib_limits *l, size_t *bad)
{
	for (*bad = 0; *bad < l->count; ++*bad)
		if (!fits(&l->limit[*bad]))
			return -1;
	return 0;
}

/* --- as frwkCompLimits ---------------------------------------------------------------- */

/* Numbers are in network order, as wide as the column. */
static struct pib_octets guidance_number(uint8_t out[8], int64_t n, bool wide)
{
	uint8_t len = wide ? 8 : 4;

	for (uint8_t i = 0; i < len; i++)
		out[i] = (uint8_t)((uint64_t)n >> 8 * (len - 1 - i));
	return (struct pib_octets) {out, len};
}

static bool guidance_is(struct pib_octets o, const struct pib_column *c, bool count, int64_t *n)
{
	bool wide = !count && is_wide(c);
	uint64_t v = 0;

	if (o.len != (wide ? 8U : 4U))
		return false;
	for (uint32_t i = 0; i < o.len; i++)
		v = v << 8 | o.p[i];
	*n = !wide && !count && !is_unsigned(c) ? (int32_t)v : (int64_t)v;
	return true;
}

void pib_limits_put(const struct pib_limits *l,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	uint32_t instance = 0;
	uint8_t number[8];

	for (size_t i = 0; i < l->count; i++) {
		const struct pib_limit *m = &l->limit[i];
		const struct kind *k = &kinds[m->kind];
		const struct pib_column *c = pib_column_find(m->cls, m->column);
		bool wide = c != NULL && !k->of_length && is_wide(c);
		struct pib_frwk_comp_limits row = {
		    .component = {m->cls->ber, m->cls->ber_len},
		    .attr_pos = m->column,
		    .negation = m->negation ? 1 : 2,
		    .type = k->type,
		    .sub_type = k->subtype,
		    .guidance = m->octets,
		};

		if (k->type == 0)
			continue;
		if (k->operand == NUMBER || k->operand == RANGE)
			row.guidance = guidance_number(number, m->min, wide);
		row.prid = ++instance;
		put(arg, &pib_frwk_comp_limits_class, instance, &row);
		if (k->operand != RANGE)
			continue;
		row.guidance = guidance_number(number, m->max, wide);
		row.sub_type++;
		row.prid = ++instance;
		put(arg, &pib_frwk_comp_limits_class, instance, &row);
	}
}

/* The kind a row is of, and whether it is the Max of a range; KINDS: none. */
static size_t kind_of(
    const struct pib_frwk_comp_limits *row, const struct pib_column *c, bool *is_max)
{
	for (size_t i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];

		*is_max = k->operand == RANGE && row->sub_type == k->subtype + 1;
		if (k->type != row->type || (row->sub_type != k->subtype && !*is_max))
			continue;
		if (i == PIB_LIMIT_VALUE && c != NULL && !is_number(c))
			continue; /* the same words, but of octets */
		return i;
	}
	return KINDS;
}

int pib_limits_take(const struct pib_schema *s, const struct pib_frwk_comp_limits *row,
    struct pib_limit *limit, size_t max, size_t *count)
{
	const struct pib_class *cls = pib_schema_find_ber(s, row->component.p, row->component.len);
	const struct pib_column *c = cls != NULL && row->attr_pos <= UINT8_MAX
					 ? pib_column_find(cls, (uint8_t)row->attr_pos)
					 : NULL;
	struct pib_limit *last = *count > 0 ? &limit[*count - 1] : NULL;
	struct pib_limit l = {.cls = cls, .negation = row->negation == 1, .octets = row->guidance};
	bool is_max;
	size_t kind = kind_of(row, c, &is_max);
	int64_t n = 0;

	if (cls == NULL || (c == NULL && row->attr_pos != 0))
		return -1;
	if (kind == KINDS) /* limited, but not how */
		return 0;
	l.column = (uint8_t)row->attr_pos;
	l.kind = (enum pib_limit_kind)kind;
	if (!fits(&l) || ((kinds[kind].operand == NUMBER || kinds[kind].operand == RANGE) &&
			     !guidance_is(row->guidance, c, kinds[kind].of_length, &n)))
		return -1;
	if (is_max) {
		if (last == NULL || last->cls != cls || last->column != l.column ||
		    last->kind != l.kind || last->negation != l.negation)
			return -1;
		last->max = n;
		return 0;
	}
	if (*count == max)
		return -1;
	l.min = l.max = n;
	limit[(*count)++] = l;
	return 0;
}
