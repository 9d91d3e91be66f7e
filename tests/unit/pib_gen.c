/* pib_gen.c - see pib_gen.h. */
#include <stdlib.h>
#include <string.h>

#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "tests/unit/pib_gen.h"

struct pib_schema *gen_schema(void)
{
	const struct pib_module *const all[] = {&pib_framework_pib_module, &pib_ce_vpn_pib_module};

	return pib_schema_new(all, 2);
}

uint32_t gen_below(struct gen *g, uint32_t n)
{
	g->state = g->state * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(g->state >> 33) % n;
}

void *gen_row(const struct pib_class *cls)
{
	return calloc(1, cls->row_size);
}

bool gen_is_number(const struct pib_column *c)
{
	return c->base != PIB_OCTETS && c->base != PIB_BITS && c->base != PIB_OID;
}

bool gen_is_unsigned(const struct pib_column *c)
{
	return c->base == PIB_UNSIGNED32 || c->base == PIB_UNSIGNED64;
}

void gen_set_number(const struct pib_column *c, void *row, int64_t v)
{
	uint32_t v32 = (uint32_t)v;

	if (c->base == PIB_INTEGER32 || c->base == PIB_UNSIGNED32)
		memcpy((uint8_t *)row + c->offset, &v32, sizeof v32);
	else
		memcpy((uint8_t *)row + c->offset, &v, sizeof v);
}

void gen_set_octets(const struct pib_column *c, void *row, const uint8_t *p, uint32_t len)
{
	struct pib_octets o = {p, len};

	memcpy((uint8_t *)row + c->offset, &o, sizeof o);
}

static int64_t smallest_number(const struct pib_column *c)
{
	if (c->enum_count > 0)
		return c->enums[0].value;
	return c->ranges > 0 ? c->range[0].min : 0;
}

static uint32_t smallest_size(const struct pib_column *c)
{
	return c->ranges > 0 ? (uint32_t)c->range[0].min : 0;
}

void gen_smallest(const struct pib_class *cls, void *row, uint32_t instance)
{
	static const uint8_t zero[65536];

	memset(row, 0, cls->row_size);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		if (c->index)
			gen_set_number(c, row, instance);
		else if (gen_is_number(c))
			gen_set_number(c, row, smallest_number(c));
		else /* 0.0 is one octet */
			gen_set_octets(c, row, zero, c->base == PIB_OID ? 1 : smallest_size(c));
	}
}

static int64_t random_number(struct gen *g, const struct pib_column *c, uint32_t refs)
{
	if (c->refers != NULL)
		return gen_below(g, refs + 1);
	if (c->tag_class != NULL)
		return gen_below(g, 4);
	if (c->is_tag)
		return 1 + gen_below(g, 3);
	if (c->enum_count > 0)
		return c->enums[gen_below(g, c->enum_count)].value;
	if (c->ranges > 0 && c->range[0].min == (int64_t)c->range[0].max)
		return c->range[0].min;
	return smallest_number(c) + gen_below(g, 2);
}

void gen_random(
    struct gen *g, const struct pib_class *cls, void *row, uint32_t instance, uint32_t refs)
{
	static const uint8_t content[2][65536] = {{0x00}, {0x01}};

	gen_smallest(cls, row, instance);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];
		uint32_t len = smallest_size(c);

		if (c->index)
			continue;
		if (gen_is_number(c))
			gen_set_number(c, row, random_number(g, c, refs));
		else if (c->base == PIB_OCTETS)
			gen_set_octets(c, row, content[gen_below(g, 2)], len);
	}
}

bool gen_same(const struct pib_class *cls, const void *a, const void *b)
{
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];
		struct pib_octets x = pib_row_octets(c, a), y = pib_row_octets(c, b);

		if (pib_row_null(c, a) != pib_row_null(c, b) ||
		    pib_row_number(c, a) != pib_row_number(c, b) || x.len != y.len ||
		    (x.len > 0 && memcmp(x.p, y.p, x.len) != 0))
			return false;
	}
	return true;
}
