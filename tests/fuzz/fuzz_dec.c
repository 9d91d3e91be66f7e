/*
 * fuzz_dec.c - decisions carried out by the agent, one after the other, for a client that does
 * nothing or refuses.  Each is owed one report that our own parser takes; a refused one leaves
 * every row as it was.
 */
#include <string.h>

#include "common/log.h"
#include "pep/cache.h"
#include "pep/dec.h"
#include "pib/pib_store.h"
#include "tests/fuzz/fuzz_wrap.h"
#include "tests/unit/pib_gen.h"

#define ROWS_MAX 60

static struct pib_schema *schema;
static bool refuse;

static int enforce(void *self, const struct pib_store *store, struct pib_txn *txn)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(txn, &c);
	struct pib_fault f = {.cperr = PIB_CPERR_SPECIFIC, .sub = 1};

	(void)self, (void)store;
	MUST(n > 0);
	if (!refuse)
		return 0;
	pib_fault_row(&f, (c[0].after != NULL ? c[0].after : c[0].before)->cls,
	    (c[0].after != NULL ? c[0].after : c[0].before)->instance);
	pib_txn_fault(txn, &f);
	return -1;
}

static const struct pep_client client = {
    .name = "fuzz",
    .client_type = WRAP_TYPE,
    .enforce = enforce,
};

static void add_row(void *arg, const struct pib_row *r)
{
	uint64_t *sum = arg;
	uint64_t h = 1469598103934665603U ^ (pib_schema_index(schema, r->cls) << 32 | r->instance);

	for (uint32_t i = 0; i < r->epd_len; i++)
		h = (h ^ r->epd[i]) * 1099511628211U;
	*sum ^= h * 0x9e3779b97f4a7c15U;
}

static uint64_t digest(const struct pib_store *st)
{
	uint64_t sum = 0;

	pib_store_each(st, NULL, add_row, &sum);
	return sum;
}

static void decision(const struct dec_target *t, const uint8_t *p, size_t len)
{
	uint64_t before = digest(t->store);
	struct dec_outcome out;
	struct cops_fault f;
	struct cops_msg m;
	struct cops_msg answer;
	struct buf rpt;

	if (cops_msg_parse(&m, p, len, WRAP_MAX_MSG, &f) <= 0 || m.op != COPS_OP_DEC ||
	    cops_msg_has(&m, COPS_SLOT_ERROR))
		return;
	buf_init(&rpt, 0);
	dec_handle(t, &m, &rpt, &out);
	MUST(!rpt.failed && rpt.len > 0);
	MUST(cops_msg_parse(&answer, rpt.data, rpt.len, 131072, &f) == (int64_t)rpt.len);
	MUST(answer.op == COPS_OP_RPT && answer.solicited);
	MUST(cops_obj_hi(&answer.slot[COPS_SLOT_REPORT_TYPE]) ==
	     (out.success ? COPS_RPT_SUCCESS : COPS_RPT_FAILURE));
	if (out.success)
		MUST(!out.changed || !refuse);
	else
		MUST(!out.changed && !out.remove_state && digest(t->store) == before);
	MUST(pib_store_count(t->store, NULL) <= ROWS_MAX);
	if (out.remove_state)
		MUST(pib_store_count(t->store, NULL) == 0);
	buf_clear(&rpt);
}

/* One Decision: a row made from the descriptor, or sub-objects from the input. */
static void put_decision(struct buf *b, struct script *s)
{
	uint8_t how = script_u8(s);
	enum cops_command cmd = how & 1 ? COPS_CMD_INSTALL : COPS_CMD_REMOVE;
	const struct pib_class *cls;
	struct gen g;
	size_t named, sub;
	void *row;

	cops_put_decision(b, cmd, 0);
	if (!(how & 2)) {
		wrap_named(b, s, COPS_C_DECISION, 5);
		return;
	}
	cls = pib_schema_class(schema, script_u8(s) % pib_schema_count(schema));
	g.state = script_u8(s);
	row = gen_row(cls);
	gen_random(&g, cls, row, how >> 4, 4);
	named = cops_named_open(b, COPS_C_DECISION, 5);
	sub = cops_sub_open(b, COPS_S_PRID);
	pib_prid_put(b, cls, how >> 4);
	cops_sub_close(b, sub);
	if (cmd == COPS_CMD_INSTALL) {
		sub = cops_sub_open(b, COPS_S_EPD);
		pib_epd_put(b, cls, row);
		cops_sub_close(b, sub);
	}
	cops_named_close(b, named);
	free(row);
}

static void wrapped(const struct dec_target *t, struct script *s)
{
	uint8_t n = script_u8(s) % 8;
	size_t mark;
	struct buf b;

	buf_init(&b, WRAP_MAX_MSG);
	mark = wrap_begin(&b, COPS_OP_DEC, true);
	for (uint8_t i = 0; i <= n; i++)
		put_decision(&b, s);
	cops_msg_end(&b, mark);
	if (!b.failed)
		decision(t, b.data, b.len);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct dec_target t = {.client = &client};

	if (schema == NULL) {
		schema = gen_schema();
		log_level_set(-1);
	}
	t.store = pib_store_new(schema, PIB_INSTALL, ROWS_MAX);
	t.cache = pep_cache_new("/dev/null/nowhere"); /* never opens: a full disk */
	MUST(t.store != NULL && t.cache != NULL);
	for (int i = 0; i < 20 && s.left > 0; i++) {
		uint8_t how = script_u8(&s);

		refuse = how & 2;
		if (how & 1) {
			wrapped(&t, &s);
		} else {
			size_t len;
			uint8_t *p = script_run(&s, &len);

			decision(&t, p, len);
			free(p);
		}
	}
	pep_cache_free(t.cache);
	pib_store_free(t.store);
	return 0;
}
