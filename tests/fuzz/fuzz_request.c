/*
 * fuzz_request.c - what a CE may say to the policy server: a REQ or RPT, either as it is on the
 * wire or as named data that is put into one.  What a request gives must lie within itself, and
 * what it is refused with must be a Decision we could send.
 */
#include <string.h>

#include "libcops/cops_chunk.h"
#include "pdp/request.h"
#include "pdp/vpn.h"
#include "pib/pib_codec.h"
#include "tests/fuzz/fuzz_wrap.h"

static struct pib_schema *schema;

static void check_decision(const struct cops_chunk *rows)
{
	struct cops_fault f;
	struct cops_msg m;
	struct buf b;
	size_t mark;

	MUST(rows != NULL);
	buf_init(&b, 0);
	mark = wrap_begin(&b, COPS_OP_DEC, true);
	buf_put(&b, rows->data, rows->len);
	cops_msg_end(&b, mark);
	MUST(!b.failed && cops_msg_parse(&m, b.data, b.len, WRAP_MAX_MSG, &f) == (int64_t)b.len);
	buf_clear(&b);
}

static void check_row(const struct pdp_row *r)
{
	struct pib_fault f = {0};
	bool surplus;
	void *row;

	MUST(r->cls != NULL && (r->cls->access & PIB_NOTIFY) && r->removed == (r->epd_len == 0));
	if (r->removed)
		return;
	row = calloc(1, r->cls->row_size);
	MUST(row != NULL && pib_epd_decode(r->cls, r->epd, r->epd_len, row, &surplus, &f) == 0);
	free(row);
}

static void request(const struct cops_msg *m)
{
	const struct pdp_peer peer = {.name = "ce1.example.net"};
	struct pdp_request *r = NULL;
	volatile uint8_t last;

	if (pdp_request_parse(m, &pdp_client_vpn, schema, &peer, &r) != REQUEST_OK) {
		MUST(r == NULL);
		return;
	}
	MUST(r->rows <= pdp_client_vpn.max_rows);
	for (size_t i = 0; i < r->rows; i++)
		check_row(&r->row[i]);
	if (r->incarnation.len > 0)
		last = r->incarnation.p[r->incarnation.len - 1];
	(void)last;
	if (r->reject != NULL)
		check_decision(r->reject);
	pdp_request_free(r);
}

static void report(const struct cops_msg *m)
{
	struct pdp_report *r = pdp_report_parse(m, schema);
	char text[200];

	if (r == NULL)
		return;
	MUST(r->faults <= REPORT_FAULTS_MAX);
	for (size_t i = 0; i < r->faults; i++) {
		struct cops_chunk *rows = pdp_request_error(&r->fault[i]);

		pib_fault_print(&r->fault[i], text, sizeof(text));
		check_decision(rows);
		cops_chunk_unref(rows);
	}
	free(r);
}

static void message(const uint8_t *p, size_t len)
{
	struct cops_fault f;
	struct cops_msg m;

	if (cops_msg_parse(&m, p, len, WRAP_MAX_MSG, &f) <= 0)
		return;
	if (m.op == COPS_OP_REQ)
		request(&m);
	else if (m.op == COPS_OP_RPT)
		report(&m);
}

static void wrapped(struct script *s, bool is_report)
{
	size_t mark;
	struct buf b;

	buf_init(&b, WRAP_MAX_MSG);
	mark = wrap_begin(&b, is_report ? COPS_OP_RPT : COPS_OP_REQ, is_report);
	if (is_report)
		cops_put_u16x2(&b, COPS_C_REPORT_TYPE, 1, COPS_RPT_FAILURE, 0);
	else
		cops_put_config_context(&b);
	do
		wrap_named(&b, s, COPS_C_CLIENT_SI, 2);
	while (s->left > 0 && !b.failed);
	cops_msg_end(&b, mark);
	if (!b.failed)
		message(b.data, b.len);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint8_t how;

	if (schema == NULL)
		schema = pib_schema_new(pdp_client_vpn.module, pdp_client_vpn.modules);
	how = script_u8(&s) % 3;
	if (how == 0)
		message(s.p, s.left);
	else
		wrapped(&s, how == 2);
	return 0;
}
