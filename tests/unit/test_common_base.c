/* test_common_base.c - buffers, addresses, diagnostics. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/diag.h"

START_TEST(cursor_reads_big_endian)
{
	static const uint8_t in[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xaa};
	struct cur c;
	uint8_t v8, last;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	cur_init(&c, in, sizeof(in));
	ck_assert(cur_u8(&c, &v8) && cur_u16(&c, &v16) && cur_u32(&c, &v32) && cur_u64(&c, &v64));
	ck_assert_uint_eq(v8, 1);
	ck_assert_uint_eq(v16, 0x0203);
	ck_assert_uint_eq(v32, 0x04050607);
	ck_assert_uint_eq(v64, 0x08090a0b0c0d0e0f);
	ck_assert(!cur_u16(&c, &v16));
	ck_assert_uint_eq(cur_left(&c), 1);
	ck_assert(cur_u8(&c, &last));
	ck_assert_uint_eq(last, 0xaa);
	ck_assert(!cur_u8(&c, &last));
}
END_TEST

START_TEST(cursor_never_passes_its_end)
{
	static const uint8_t in[4] = {1, 2, 3, 4};
	uint8_t out[8];
	struct cur c, sub;

	cur_init(&c, in, sizeof(in));
	ck_assert(!cur_skip(&c, 5) && !cur_cut(&c, 5, &sub) && !cur_get(&c, out, 5));
	ck_assert(!cur_skip(&c, SIZE_MAX));
	ck_assert_uint_eq(cur_left(&c), 4);
	ck_assert(cur_skip(&c, 1) && cur_cut(&c, 2, &sub));
	ck_assert_uint_eq(cur_left(&sub), 2);
	ck_assert(cur_get(&sub, out, 2));
	ck_assert_mem_eq(out, in + 1, 2);
	ck_assert_uint_eq(cur_left(&c), 1);

	cur_init(&c, NULL, 0);
	ck_assert_uint_eq(cur_left(&c), 0);
	ck_assert(cur_get(&c, out, 0) && cur_cut(&c, 0, &sub) && !cur_skip(&c, 1));
}
END_TEST

START_TEST(buffer_puts_and_patches)
{
	static const uint8_t want[] = {
	    7, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 'x', '4', '2'};
	struct buf b;
	size_t len;

	buf_init(&b, 0);
	buf_put_u8(&b, 7);
	buf_put_u16(&b, 8);
	buf_put_u32(&b, 0);
	buf_put_u64(&b, 5);
	buf_put_zero(&b, 2);
	buf_put(&b, "x", 1);
	buf_printf(&b, "%d", 42);
	buf_patch_u16(&b, 1, 9);
	buf_patch_u32(&b, 3, 0x01020304);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.len, sizeof(want));
	ck_assert_mem_eq(b.data, want, sizeof(want));
	buf_shift(&b, 17);
	ck_assert_mem_eq(b.data, "x42", 3);
	uint8_t *mine = buf_take(&b, &len);
	ck_assert_uint_eq(len, 3);
	ck_assert_ptr_null(b.data);
	free(mine);
}
END_TEST

START_TEST(buffer_failure_sticks)
{
	struct buf b;

	buf_init(&b, 4);
	buf_put(&b, "abc", 3);
	buf_put(&b, "de", 2);
	ck_assert(b.failed);
	buf_put(&b, "d", 1); /* would fit */
	ck_assert_uint_eq(b.len, 3);
	ck_assert_ptr_null(buf_room(&b, 1));
	buf_reset(&b);
	buf_put(&b, "abcd", 4);
	ck_assert(!b.failed && b.len == 4);
	buf_patch_u16(&b, 3, 0);
	ck_assert(b.failed);
	buf_clear(&b);
	ck_assert(!b.failed && b.max == 4);
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX));
	ck_assert(b.failed);
	buf_clear(&b);
}
END_TEST

START_TEST(buffer_printf_keeps_the_bound)
{
	struct buf b;

	buf_init(&b, 5);
	buf_printf(&b, "%s", "12345");
	ck_assert(!b.failed && b.len == 5);
	buf_printf(&b, "%s", "");
	ck_assert(!b.failed && b.len == 5);
	buf_printf(&b, "x");
	ck_assert(b.failed && b.len == 5);
	buf_clear(&b);
}
END_TEST

START_TEST(addresses_round_trip)
{
	static const char *const good[] = {"0.0.0.0", "192.0.2.255", "::", "2001:db8::1", "::1"};
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ",
	    ":::", "2001:db8::g", "a.example", "fe80::1%eth0", "1.2.3.4/8"};
	char text[ADDR_STRLEN];
	struct addr a, b;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct sockaddr_storage ss;
		ck_assert_int_eq(addr_parse(&a, good[i]), 0);
		ck_assert_str_eq(addr_print(&a, text), good[i]);
		ck_assert_int_eq(addr_from_octets(&b, a.octets, addr_len(&a)), 0);
		ck_assert_int_eq(addr_cmp(&a, &b), 0);
		ck_assert_uint_ne(addr_to_sockaddr(&a, 3288, &ss), 0);
		ck_assert_int_eq(addr_from_sockaddr(&b, (const struct sockaddr *)&ss), 0);
		ck_assert_int_eq(addr_cmp(&a, &b), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(addr_parse(&a, bad[i]), -1);
		ck_assert_uint_eq(addr_len(&a), 0);
	}
	ck_assert_int_eq(addr_from_octets(&a, a.octets, 5), -1);
	ck_assert_str_eq(addr_print(&a, text), "-");
}
END_TEST

START_TEST(prefixes)
{
	static const struct {
		const char *text;
		enum prefix_fault want;
	} rows[] = {{"10.1.0.0/16", PREFIX_OK}, {"0.0.0.0/0", PREFIX_OK}, {"::/0", PREFIX_OK},
	    {"10.1.2.3/32", PREFIX_OK}, {"2001:db8::/32", PREFIX_OK}, {"10.1.0.0/33", PREFIX_LEN},
	    {"::/129", PREFIX_LEN}, {"::/999", PREFIX_LEN}, {"10.1.0.1/16", PREFIX_HOST_BITS},
	    {"10.1.0.0/15", PREFIX_HOST_BITS}, {"10.1.0.0/", PREFIX_SYNTAX},
	    {"10.1.0.0/-1", PREFIX_SYNTAX}, {"10.1.0.0/+8", PREFIX_SYNTAX},
	    {"10.1.0.0/08", PREFIX_SYNTAX}, {"10.1.0.0/8/8", PREFIX_SYNTAX},
	    {"10.1/16", PREFIX_SYNTAX}, {"", PREFIX_SYNTAX}, {"/8", PREFIX_SYNTAX}};
	char text[PREFIX_STRLEN];
	struct prefix p;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(prefix_parse(&p, rows[i].text) == rows[i].want, "%s", rows[i].text);
		if (rows[i].want == PREFIX_OK)
			ck_assert_str_eq(prefix_print(&p, text), rows[i].text);
	}
	ck_assert_int_eq(prefix_parse(&p, "192.0.2.1"), PREFIX_OK);
	ck_assert_str_eq(prefix_print(&p, text), "192.0.2.1/32");
}
END_TEST

static struct prefix pfx(const char *s)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(&p, s), PREFIX_OK);
	return p;
}

START_TEST(prefix_relations)
{
	struct prefix ten = pfx("10.0.0.0/8"), site = pfx("10.1.0.0/16"), other = pfx("11.0.0.0/8");
	struct prefix all4 = pfx("0.0.0.0/0"), all6 = pfx("::/0"), odd = pfx("10.1.64.0/19");
	struct addr a;

	ck_assert(prefix_contains(&ten, &site) && !prefix_contains(&site, &ten));
	ck_assert(prefix_contains(&ten, &ten) && prefix_contains(&all4, &odd));
	ck_assert(prefix_contains(&site, &odd));
	ck_assert(!prefix_contains(&all6, &ten) && !prefix_overlaps(&all6, &all4));
	ck_assert(prefix_overlaps(&ten, &site) && prefix_overlaps(&site, &ten));
	ck_assert(!prefix_overlaps(&ten, &other));
	addr_parse(&a, "10.1.95.255");
	ck_assert(prefix_has(&odd, &a));
	addr_parse(&a, "10.1.96.0");
	ck_assert(!prefix_has(&odd, &a));
	ck_assert(prefix_cmp(&ten, &site) < 0 && prefix_cmp(&ten, &ten) == 0);
	ck_assert(prefix_cmp(&other, &ten) > 0);
}
END_TEST

static char *printed(const struct diag *d)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	diag_print(d, f);
	fclose(f);
	return text;
}

START_TEST(diagnostics_print)
{
	static const char line[] = "\t<member ce=\"lyon\"/>\r\n";
	struct diag d;

	diag_init(&d);
	char *none = printed(&d);
	ck_assert_str_eq(none, "");
	free(none);
	diag_add(
	    &d, DIAG_ERROR, "acme.xml", 41, 13, 6, line, strlen(line), "CE %s is unknown", "lyon");
	diag_add(&d, DIAG_WARNING, "acme.xml", 0, 0, 0, NULL, 0, "odd");
	char *text = printed(&d);
	ck_assert_str_eq(text, "acme.xml:41:13: error: CE lyon is unknown\n"
			       "    41 | \t<member ce=\"lyon\"/>\n"
			       "       | \t           ^^^^^^\n"
			       "acme.xml: warning: odd\n"
			       "1 error, 1 warning; nothing was changed\n");
	free(text);
	diag_clear(&d);
}
END_TEST

START_TEST(diagnostics_are_bounded)
{
	struct diag d;

	diag_init(&d);
	for (int i = 0; i < 10000; i++)
		diag_add(&d, DIAG_ERROR, "f", 1, 1000000, 50, "x", 1, "no");
	ck_assert_uint_eq(d.errors, 10000);
	ck_assert_uint_eq(d.count, DIAG_MAX);
	char *text = printed(&d);
	ck_assert_ptr_nonnull(
	    strstr(text, "10000 errors (the first 200 are shown); nothing was changed"));
	free(text);
	diag_clear(&d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("common_base");
	TCase *t = tcase_create("base");

	tcase_add_test(t, cursor_reads_big_endian);
	tcase_add_test(t, cursor_never_passes_its_end);
	tcase_add_test(t, buffer_puts_and_patches);
	tcase_add_test(t, buffer_failure_sticks);
	tcase_add_test(t, buffer_printf_keeps_the_bound);
	tcase_add_test(t, addresses_round_trip);
	tcase_add_test(t, prefixes);
	tcase_add_test(t, prefix_relations);
	tcase_add_test(t, diagnostics_print);
	tcase_add_test(t, diagnostics_are_bounded);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
