/*
 * fuzz_txn.c - transactions of removes and installs on a row store.  What must hold after each:
 * the changes listed are the difference, an aborted one leaves no trace, every row
 * is found, decodes and has what it refers to.
 */
#include <string.h>

#include "common/buf.h"
#include "pib/pib_store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/pib_gen.h"

#define ROWS_MAX 60

static struct pib_schema *schema;

/* Digests of rows are combined by exclusive or, so that a change is one in and one out. */
static uint64_t digest(const struct pib_row *r)
{
	uint64_t h = 1469598103934665603U ^ (pib_schema_index(schema, r->cls) << 32 | r->instance);

	for (uint32_t i = 0; i < r->epd_len; i++)
		h = (h ^ r->epd[i]) * 1099511628211U;
	return h * 0x9e3779b97f4a7c15U;
}

struct look {
	const struct pib_store *st;
	size_t rows;
	uint64_t digest;
};

static void look_refs(const struct look *l, const struct pib_row *r)
{
	for (uint8_t i = 0; i < r->cls->col_count; i++) {
		const struct pib_column *c = &r->cls->col[i];
		int64_t v;

		if (c->refers == NULL || pib_row_null(c, r->data))
			continue;
		v = pib_row_number(c, r->data);
		MUST((v == 0 && c->ref_zero) ||
		     pib_store_find(l->st, c->refers, (uint32_t)v) != NULL);
	}
}

static void look_row(void *arg, const struct pib_row *r)
{
	struct look *l = arg;
	struct pib_fault f = {0};
	void *copy = gen_row(r->cls);
	bool surplus;

	MUST(pib_store_find(l->st, r->cls, r->instance) == r);
	MUST(!r->cls->transient && (r->cls->access & PIB_INSTALL));
	MUST(pib_epd_decode(r->cls, r->epd, r->epd_len, copy, &surplus, &f) == 0);
	MUST(gen_same(r->cls, copy, r->data));
	look_refs(l, r);
	l->rows++;
	l->digest ^= digest(r);
	free(copy);
}

static struct look look(const struct pib_store *st)
{
	struct look l = {.st = st};

	pib_store_each(st, NULL, look_row, &l);
	MUST(l.rows == pib_store_count(st, NULL) && l.rows <= ROWS_MAX);
	return l;
}

static void generated_row(struct pib_txn *t, const struct pib_class *cls, uint8_t a, uint8_t b)
{
	struct gen g = {.state = b};
	void *row = gen_row(cls);
	struct buf epd;

	gen_random(&g, cls, row, a % 5 + 1U, 4);
	buf_init(&epd, 0);
	pib_epd_put(&epd, cls, row);
	(void)pib_txn_install_row(t, cls, a % 5 + 1U, epd.data, epd.len);
	buf_clear(&epd);
	free(row);
}

static void one_op(struct pib_txn *t, struct script *s)
{
	uint8_t op = script_u8(s) % 6;
	const struct pib_class *cls = pib_schema_class(
	    schema, script_u8(s) % pib_schema_count(schema));
	uint8_t a = script_u8(s);
	size_t len, prid_len;
	uint8_t *p, *prid;

	switch (op) {
	case 0:
		p = script_run(s, &len);
		(void)pib_txn_remove(t, p, len);
		free(p);
		break;
	case 1:
		(void)pib_txn_remove_row(t, cls, a % 5);
		break;
	case 2:
		prid = script_run(s, &prid_len);
		p = script_run(s, &len);
		(void)pib_txn_install(t, prid, prid_len, p, len);
		free(prid);
		free(p);
		break;
	case 3:
		p = script_run(s, &len);
		(void)pib_txn_install_row(t, cls, a, p, len);
		free(p);
		break;
	default:
		generated_row(t, cls, a, script_u8(s));
		break;
	}
}

static uint64_t changes_digest(const struct pib_txn *t)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(t, &c);
	uint64_t d = 0;

	for (size_t i = 0; i < n; i++) {
		MUST(c[i].before != NULL || c[i].after != NULL);
		if (c[i].before != NULL)
			d ^= digest(c[i].before);
		if (c[i].after != NULL && !c[i].after->cls->transient)
			d ^= digest(c[i].after);
	}
	return d;
}

static void one_txn(struct pib_store *st, struct script *s)
{
	struct look before = look(st);
	struct pib_txn *t = pib_txn_begin(st);
	const struct pib_fault *f;
	uint8_t ops = script_u8(s);
	uint64_t d = 0;
	bool good;

	MUST(t != NULL && pib_txn_begin(st) == NULL);
	for (uint8_t i = 0; i <= ops % 16; i++)
		one_op(t, s);
	good = pib_txn_check(t) == 0;
	if (good) {
		d = changes_digest(t);
		MUST((before.digest ^ d) == look(st).digest);
	} else {
		MUST(pib_txn_faults(t, &f) > 0);
	}
	if (good && ops < 192) {
		pib_txn_commit(t);
		MUST((before.digest ^ d) == look(st).digest);
	} else {
		pib_txn_abort(t);
		MUST(before.digest == look(st).digest);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct pib_store *st;

	if (schema == NULL)
		schema = gen_schema();
	st = pib_store_new(schema, PIB_INSTALL, ROWS_MAX);
	MUST(st != NULL);
	for (int i = 0; i < 40 && s.left > 0; i++)
		one_txn(st, &s);
	pib_store_free(st);
	return 0;
}
