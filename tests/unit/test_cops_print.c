/*
 * test_cops_print.c - messages in a line: the golden ones, faults, names that only the
 * caller knows; the trace of a connection; and that no length hurts.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "cops_vectors.h"
#include "libcops/cops_conn.h"
#include "libcops/cops_print.h"

#define OCTETS_MAX 256

static size_t from_hex(uint8_t out[OCTETS_MAX], const char *hex)
{
	size_t n = 0;
	unsigned v;
	int used;

	for (; sscanf(hex, " %2x%n", &v, &used) == 1; hex += used) {
		ck_assert_uint_lt(n, OCTETS_MAX);
		out[n++] = (uint8_t)v;
	}
	return n;
}

static const char *class_name(const void *arg, const uint8_t *prid, size_t len)
{
	(void)prid, (void)len;
	return arg;
}

static const char *code_name(unsigned code)
{
	(void)code;
	return "code";
}

static const struct cops_namer names = {class_name, code_name, code_name, "row"};

static void line_is(const char *hex, const struct cops_namer *n, const char *want)
{
	uint8_t octets[OCTETS_MAX];
	size_t len = from_hex(octets, hex);
	struct cops_fault fault = {0};
	struct cops_msg m;
	struct buf b;
	bool bad = cops_msg_parse(&m, octets, len, UINT32_MAX, &fault) < 0;

	buf_init(&b, 0);
	cops_msg_print_line(&b, &m, bad ? &fault : NULL, n);
	buf_put_u8(&b, '\0');
	ck_assert_str_eq((char *)b.data, want);
	buf_clear(&b);
}

static const char *const lines[COPS_VECTORS] = {
    "OPN 0x0000 - 36 octets: ce1.example.net start TLS",
    "CAT 0x0000 - 24 octets: keep-alive 60 s start TLS",
    "OPN 0x4001 - 40 octets: ce1.example.net last PDP 192.0.2.10:3288",
    "CAT 0x4001 - 24 octets: keep-alive 60 s accounting 30 s",
    "REQ 0x4001 - 84 octets handle 00000001: 1 row (row 1)",
    "DEC 0x4001 solicited 32 octets handle 00000001: NULL",
    "RPT 0x4001 solicited 24 octets handle 00000001: Success(1)",
    "DEC 0x4001 - 104 octets handle 00000001: Remove 1 row (row 1), Install 1 row (row 1)",
    "RPT 0x4001 solicited 56 octets handle 00000001: Failure(2) at row CPERR code(3) sub-code 2",
    "RPT 0x4001 solicited 36 octets handle 00000001: Failure(2) GPERR code(10) sub-code 2305",
    "DEC 0x4001 - 32 octets handle 00000001: Install request-state",
    "DEC 0x4001 - 32 octets handle 00000001: Remove request-state",
    "DRQ 0x4001 - 24 octets handle 00000001: PDP's Directive(8)",
    "SSQ 0x4001 - 8 octets:",
    "SSC 0x4001 - 8 octets:",
    "KA 0x0000 - 8 octets:",
    "CC 0x0000 - 16 octets: Authentication Required(15), sub-code 0x1002 (Integrity-TLS)",
    "CC 0x4001 - 28 octets: Redirect to Preferred Server(12) to 192.0.2.11:3288",
    "KA 0x0000 - 32 octets:",
};

START_TEST(golden)
{
	line_is(cops_vectors[_i].hex, &names, lines[_i]);
}
END_TEST

START_TEST(faults)
{
	line_is("10044001 00000018 00080101 00000001 00200501 00080000", &names,
	    "DRQ 0x4001 - 24 octets handle 00000001: FAULT at octet 16: object does not fit the "
	    "message (error Bad message format(3))");
	line_is("20090000 00000008", &names,
	    "? 0x0000 - 0 octets: FAULT at octet 0: not COPS version 1 (error Bad message "
	    "format(3))");
	line_is("11034001 00000024 00080101 00000001 00080c01 00020000 000c0902 00080901 00000000",
	    &names, "RPT 0x4001 solicited 36 octets handle 00000001: Failure(2) bad sub-object");
	line_is(cops_vectors[8].hex, &(struct cops_namer) {0},
	    "RPT 0x4001 solicited 56 octets handle 00000001: Failure(2) at ? CPERR (3) sub-code 2");
}
END_TEST

/* Every object there is with every short length: nothing is read that is not there. */
START_TEST(lengths)
{
	struct buf b;

	buf_init(&b, 0);
	for (unsigned num = 0; num < 20; num++)
		for (unsigned type = 0; type < 8; type++)
			for (uint16_t len = 0; len < 80; len++) {
				uint8_t *body = malloc(len + 1u); /* so that a sanitizer sees */
				struct cops_obj o = {(uint8_t)num, (uint8_t)type, len, body};

				memset(body, 0xa5, len);
				cops_obj_print(&b, &o, 16);
				free(body);
			}
	ck_assert(!b.failed);
	buf_clear(&b);
}
END_TEST

START_TEST(untrusted_objects)
{
	const uint8_t p[] = {0, 8, 1, 1, 0, 0, 0, 1, 0, 6, 1, 1, 9, 9, 0, 0, 0, 9, 1, 1, 0, 0};
	struct cops_obj_iter it = {p, p + sizeof(p)};
	struct cops_obj o;

	ck_assert(cops_obj_iter_try(&it, &o));
	ck_assert_uint_eq(o.len, 4);
	ck_assert(cops_obj_iter_try(&it, &o));
	ck_assert_uint_eq(o.len, 2);
	ck_assert(!cops_obj_iter_try(&it, &o));
	ck_assert_uint_eq(it.p - p, 16);
}
END_TEST

/* --- the trace of a connection ----------------------------------------------- */

static void trace(void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault)
{
	struct buf *b = arg;

	buf_printf(b, out ? "> " : "< ");
	cops_msg_print_line(b, m, fault, &names);
	buf_put_u8(b, '\n');
}

static uint16_t on_open(void *arg, const struct cops_msg *opn, const char *pepid, uint16_t *sub)
{
	(void)arg, (void)opn, (void)pepid, (void)sub;
	return 0;
}

static void on_client_close(
    void *arg, uint16_t client_type, uint16_t error, uint16_t sub, const struct cops_obj *redir)
{
	(void)arg, (void)client_type, (void)error, (void)sub, (void)redir;
}

static void on_msg(void *arg, const struct cops_msg *m, const struct cops_fault *fault)
{
	(void)arg, (void)m, (void)fault;
}

static const struct cops_conn_ops ops = {
    .on_open = on_open, .on_client_close = on_client_close, .on_msg = on_msg};

static void input(struct cops_conn *c, const char *hex)
{
	uint8_t octets[OCTETS_MAX];
	size_t len = from_hex(octets, hex);

	cops_conn_input(c, octets, len, 0);
}

START_TEST(connection)
{
	/* a Decision in two pieces: Context and Flags, named data with one Remove prefix */
	static const char named[] = "00080201 00080000 00080601 00020000 00140605 000f0201 "
				    "06092b06 01020202 03010100";
	const struct cops_conn_conf conf = {
	    .role = COPS_PDP, .max_msg = 4096, .max_unsent = 65536, .open_timeout_ms = 1000};
	struct cops_conn *c = cops_conn_new(&conf, &ops, NULL, 0);
	uint8_t octets[OCTETS_MAX];
	struct cops_chunk *chunk[2];
	struct buf b;

	buf_init(&b, 0);
	from_hex(octets, named);
	chunk[0] = cops_chunk_new(octets, 36);
	chunk[1] = cops_chunk_new(octets, 36);
	cops_conn_trace(c, trace, &b);
	input(c, cops_vectors[2].hex);
	ck_assert_int_eq(
	    cops_conn_send_dec(c, 0x4001, false, (const uint8_t *)"\x07", 1, chunk, 2), 0);
	cops_conn_trace(c, NULL, NULL);
	input(c, cops_vectors[15].hex);
	cops_conn_trace(c, trace, &b);
	input(c, "20090000 00000008");
	buf_put_u8(&b, '\0');
	ck_assert_str_eq((char *)b.data,
	    "< OPN 0x4001 - 40 octets: ce1.example.net last PDP 192.0.2.10:3288\n"
	    "> CAT 0x4001 - 16 octets: keep-alive 0 s\n"
	    "> DEC 0x4001 - 88 octets handle 07: Remove 1 row (row 1), Remove 1 row (row 1)\n"
	    "< ? 0x0000 - 0 octets: FAULT at octet 0: not COPS version 1 (error Bad message "
	    "format(3))\n"
	    "> CC 0x4001 - 16 octets: Bad message format(3)\n");
	cops_chunk_unref(chunk[0]);
	cops_chunk_unref(chunk[1]);
	cops_conn_free(c);
	buf_clear(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cops_print");
	TCase *t = tcase_create("cops_print");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_loop_test(t, golden, 0, COPS_VECTORS);
	tcase_add_test(t, faults);
	tcase_add_test(t, lengths);
	tcase_add_test(t, untrusted_objects);
	tcase_add_test(t, connection);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
