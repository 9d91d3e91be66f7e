/*
 * test_alloc.c - what must not allocate does not: malloc() and its kin are counted around it, by
 * names that the linker puts in their place (--wrap) in everything that is linked in.
 */
#include <check.h>
#include <stdlib.h>

#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "tests/bench/prefixes.h"

static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	allocations++;
	return __real_realloc(p, size);
}

static const unsigned sizes[] = {1, 10, 100, 3000};

/* From octets to structs, message, objects, PRIDs and rows. */
START_TEST(no_allocation_decoding)
{
	const struct pib_module *const modules[] = {
	    &pib_framework_pib_module, &pib_ce_vpn_pib_module};
	struct pib_schema *schema = pib_schema_new(modules, 2);
	struct cops_chunk *chunk = prefixes_chunk(sizes[_i], 1);
	size_t len;
	uint8_t *dec = prefixes_dec(&chunk, 1, &len);
	long rows;

	ck_assert_uint_gt(allocations, 0); /* they are counted */
	allocations = 0;
	rows = prefixes_decode(schema, dec, len);
	ck_assert_uint_eq(allocations, 0);
	ck_assert_int_eq(rows, sizes[_i]);
	free(dec);
	cops_chunk_unref(chunk);
	pib_schema_free(schema);
}
END_TEST

/* A message that is refused costs nothing either: cut at each octet, or with one changed. */
START_TEST(no_allocation_refusing)
{
	const struct pib_module *const modules[] = {
	    &pib_framework_pib_module, &pib_ce_vpn_pib_module};
	struct pib_schema *schema = pib_schema_new(modules, 2);
	struct cops_chunk *chunk = prefixes_chunk(2, 1);
	size_t len;
	uint8_t *dec = prefixes_dec(&chunk, 1, &len);

	allocations = 0;
	for (size_t i = 0; i < len; i++) {
		(void)prefixes_decode(schema, dec, i);
		dec[i] ^= 0xff;
		(void)prefixes_decode(schema, dec, len);
		dec[i] ^= 0xff;
	}
	ck_assert_uint_eq(allocations, 0);
	free(dec);
	cops_chunk_unref(chunk);
	pib_schema_free(schema);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("alloc");
	TCase *tc = tcase_create("alloc");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, no_allocation_decoding, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(tc, no_allocation_refusing);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
