/*
 * pib_gen.h - rows for PIB tests, made from nothing but a class's descriptor, so
 * that a test which uses them covers every class there is.
 */
#ifndef TESTS_UNIT_PIB_GEN_H
#define TESTS_UNIT_PIB_GEN_H

#include "pib/pib_codec.h"

struct pib_schema *gen_schema(void);

/* A deterministic stream of numbers. */
struct gen {
	uint64_t state;
};
uint32_t gen_below(struct gen *g, uint32_t n); /* 0..n-1 */

/* A struct of the class, zeroed; octet columns point to octets that live as long as the test. */
void *gen_row(const struct pib_class *cls);
void gen_set_number(const struct pib_column *c, void *row, int64_t v);
void gen_set_octets(const struct pib_column *c, void *row, const uint8_t *p, uint32_t len);
/* Give every column its smallest valid value, the index the instance. */
void gen_smallest(const struct pib_class *cls, void *row, uint32_t instance);
/*
 * Give every column one of few valid values, so that rows collide: references 0..refs,
 * tags 1..3, strings of two contents.
 */
void gen_random(
    struct gen *g, const struct pib_class *cls, void *row, uint32_t instance, uint32_t refs);

bool gen_is_number(const struct pib_column *c);
bool gen_is_unsigned(const struct pib_column *c);
/* Two structs hold the same values. */
bool gen_same(const struct pib_class *cls, const void *a, const void *b);

#endif
