/*
 * fuzz_row.c - one row of any class: what decodes encodes to octets that decode to the same row,
 * and to the same octets again.  PRIDs and prefixes likewise.
 */
#include <string.h>

#include "common/buf.h"
#include "pib/pib_codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/pib_gen.h"

static struct pib_schema *schema;

static void check_fault(const struct pib_fault *f)
{
	char text[200];

	MUST((f->gperr != 0) != (f->cperr != 0));
	MUST(pib_fault_print(f, text, sizeof(text)) == text && text[0] != '\0');
}

static void print_row(const struct pib_class *cls, const void *row)
{
	struct buf b;

	buf_init(&b, 0);
	for (uint8_t i = 0; i < cls->col_count; i++)
		pib_value_print(&b, cls, &cls->col[i], row);
	MUST(!b.failed);
	buf_clear(&b);
}

static void there_and_back(const struct pib_class *cls, const uint8_t *epd, size_t len)
{
	void *row = gen_row(cls);
	void *again = gen_row(cls);
	struct pib_fault f = {0};
	struct buf one, two;
	bool surplus = false;

	MUST(row != NULL && again != NULL);
	if (pib_epd_decode(cls, epd, len, row, &surplus, &f) != 0) {
		check_fault(&f);
	} else {
		buf_init(&one, 0);
		buf_init(&two, 0);
		pib_epd_put(&one, cls, row);
		MUST(pib_epd_decode(cls, one.data, one.len, again, &surplus, &f) == 0);
		MUST(!surplus && gen_same(cls, row, again));
		pib_epd_put(&two, cls, again);
		MUST(!one.failed && one.len == two.len &&
		     (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
		print_row(cls, row);
		buf_clear(&one);
		buf_clear(&two);
	}
	free(row);
	free(again);
}

static void prid(const uint8_t *p, size_t len)
{
	const struct pib_class *cls = NULL;
	struct pib_fault f = {0};
	uint32_t instance = 0;
	struct buf b;

	if (pib_prid_parse(schema, p, len, &cls, &instance, &f) != 0) {
		check_fault(&f);
		return;
	}
	buf_init(&b, 0);
	pib_prid_put(&b, cls, instance);
	MUST(!b.failed && pib_prid_parse(schema, b.data, b.len, &cls, &instance, &f) == 0);
	buf_clear(&b);
}

static void covered(void *arg, const struct pib_class *cls, uint32_t instance)
{
	size_t *n = arg;

	(void)instance;
	MUST(pib_schema_index(schema, cls) != SIZE_MAX && ++*n <= pib_schema_count(schema));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct pib_fault f = {0};
	uint8_t which;
	size_t len, n = 0;
	uint8_t *p;

	if (schema == NULL)
		schema = gen_schema();
	which = script_u8(&s);
	p = script_take(&s, PIB_EPD_MAX, &len);
	if (which == 255)
		prid(p, len);
	else if (which == 254) {
		if (pib_prefix_parse(schema, p, len, covered, &n, &f) != 0)
			check_fault(&f);
	} else
		there_and_back(pib_schema_class(schema, which % pib_schema_count(schema)), p, len);
	free(p);
	return 0;
}
