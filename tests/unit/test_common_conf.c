/* test_common_conf.c - configuration files: values, faults, the example. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/diag.h"

struct settings {
	char *name;
	int64_t port;
	bool tls;
	struct addr listen;
	int64_t lifetime;
	struct conf_list pdp;
	char *empty;
};

#define AT(f) offsetof(struct settings, f)
static const struct conf_opt opts[] = {
    {"name", CONF_STRING, AT(name), NULL, "ce1.example.net", 1, 32, "Who we are."},
    {"port", CONF_INT, AT(port), "3288", NULL, 1, 65535, "Port of the policy server."},
    {"tls", CONF_BOOL, AT(tls), "yes", NULL, 0, 0, "Whether to use TLS."},
    {"listen", CONF_ADDR, AT(listen), "", "192.0.2.1", 0, 0, "Address to listen on."},
    {"lifetime", CONF_SECONDS, AT(lifetime), "8h", NULL, 60, 86400, "How long a key lives."},
    {"pdp", CONF_LIST, AT(pdp), "{ a, \"b c\" }", NULL, 1, 3,
	"Policy servers, in the order in which they are tried. This help is long enough to be "
	"wrapped."},
    {"empty", CONF_STRING, AT(empty), "", NULL, 0, 0, "Nothing."},
    {0},
};

static struct settings set;
static struct diag diag;

static void setup(void)
{
	diag_init(&diag);
	memset(&set, 0xff, sizeof(set)); /* the loader zeroes */
}

static void teardown(void)
{
	diag_clear(&diag);
}

static int parse(const char *text)
{
	return conf_parse(opts, &set, "t.conf", text, strlen(text), &diag);
}

START_TEST(defaults)
{
	ck_assert_int_eq(parse("name = x"), 0);
	ck_assert_str_eq(set.name, "x");
	ck_assert_int_eq(set.port, 3288);
	ck_assert(set.tls);
	ck_assert_uint_eq(set.listen.family, 0);
	ck_assert_int_eq(set.lifetime, 8 * 3600);
	ck_assert_uint_eq(set.pdp.count, 2);
	ck_assert_str_eq(set.pdp.item[1], "b c");
	ck_assert_ptr_null(set.empty);
	conf_clear(opts, &set);
	ck_assert_ptr_null(set.name);
}
END_TEST

START_TEST(values)
{
	char text[ADDR_STRLEN];

	ck_assert_int_eq(parse("# all of them\n"
			       "name=\"a \\\"q\\\" \\\\ #1\" # why\n"
			       "port =65535\n tls = off\nlisten=2001:db8::1\nlifetime = 15m\n"
			       "pdp = {\n  pdp1.example.net, # first\n  pdp2.example.net,\n}\n"),
	    0);
	ck_assert_str_eq(set.name, "a \"q\" \\ #1");
	ck_assert_int_eq(set.port, 65535);
	ck_assert(!set.tls);
	ck_assert_str_eq(addr_print(&set.listen, text), "2001:db8::1");
	ck_assert_int_eq(set.lifetime, 900);
	ck_assert_uint_eq(set.pdp.count, 2);
	ck_assert_str_eq(set.pdp.item[0], "pdp1.example.net");
	conf_clear(opts, &set);
}
END_TEST

START_TEST(every_fault_of_a_run)
{
	static const struct {
		unsigned line, column, width;
		const char *text;
	} want[] = {
	    {2, 1, 4, "unknown option \"prot\"; did you mean \"port\"?"},
	    {3, 8, 5, "port: out of range, 1 to 65535"},
	    {4, 7, 5, "tls: expected yes or no"},
	    {5, 1, 3, "duplicate: tls is already given on line 4"},
	    {6, 10, 9, "listen: expected an IPv4 or IPv6 address"},
	    {7, 12, 3, "lifetime: expected a time such as 90s, 15m, 8h or 7d"},
	    {8, 1, 3, "pdp: 1 to 3 values are allowed"},
	    {12, 1, 14, "unknown option \"something_else\""},
	    {13, 7, 1, "expected \"=\" after empty"},
	    {0, 0, 0, "name is missing"},
	};

	ck_assert_int_eq(parse("# a comment\n"
			       "prot = 5\n"
			       "port = 65536\n"
			       "tls = maybe\n"
			       "tls = yes\n"
			       "listen = 192.0.2.x\n"
			       "lifetime = 8hh\n"
			       "pdp = { a,\n"
			       "  b, c,\n"
			       "  d\n"
			       "}\n"
			       "something_else = { 1, 2 }\n"
			       "empty 5\n"),
	    -1);
	ck_assert_uint_eq(diag.errors, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < diag.count; i++) {
		const struct diag_entry *e = &diag.entry[i];
		ck_assert_str_eq(e->text, want[i].text);
		ck_assert_uint_eq(e->line, want[i].line);
		ck_assert_uint_eq(e->column, want[i].column);
		ck_assert_uint_eq(e->width, want[i].width);
	}
	ck_assert_str_eq(diag.entry[1].source, "port = 65536");
	ck_assert_str_eq(diag.entry[6].source, "pdp = { a,");
	ck_assert_ptr_null(set.pdp.item);
}
END_TEST

START_TEST(broken_text)
{
	static const char *const bad[] = {"name = \"open\n", "name =", "name", "= 3", "name = x y",
	    "name = { a }", "pdp = { a", "pdp = { a b }", "pdp = { , }", "}", "name = x\n{",
	    "\"name\" = x", "name = x\nport = 99999999999999999999", "name = x\nport = 5x",
	    "name = x\nport = -", "name = x\nlifetime = -5m",
	    "name = x\nlifetime = 99999999999999999d",
	    "name = abcdefghijklmnopqrstuvwxyzabcdefghijklmn", "name = \"\""};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t before = diag.errors;
		ck_assert_msg(parse(bad[i]) < 0 && diag.errors > before, "%s", bad[i]);
	}
	ck_assert_int_eq(conf_parse(opts, &set, "t", "name = x\0\nport = 1", 19, &diag), -1);
}
END_TEST

/* Any prefix of a good file, and any octet replaced, ends in success or faults, never worse. */
START_TEST(mutations)
{
	char text[] = "# c\nname = \"x\"\npdp = {\n a,\n \"b\" }\nport = 5\n";
	size_t len = strlen(text);
	static const char junk[] = "\0\n\"{}=,#\\\xff z";

	for (size_t n = 0; n <= len; n++)
		if (conf_parse(opts, &set, "t", text, n, &diag) == 0)
			conf_clear(opts, &set);
	for (size_t i = 0; i < len; i++)
		for (size_t j = 0; j < sizeof(junk); j++) {
			char old = text[i];
			text[i] = junk[j];
			if (conf_parse(opts, &set, "t", text, len, &diag) == 0)
				conf_clear(opts, &set);
			text[i] = old;
		}
}
END_TEST

START_TEST(example_parses)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print_example(opts, "Example of a configuration file.", f);
	fclose(f);
	ck_assert_int_eq(parse(text), 0);
	ck_assert_str_eq(set.name, "ce1.example.net");
	ck_assert_int_eq(set.port, 3288);
	ck_assert_ptr_nonnull(strstr(text, "\n# Port of the policy server.\n#port = 3288\n"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_uint_le(strlen(line), 80);
	free(text);
	conf_clear(opts, &set);
}
END_TEST

START_TEST(files)
{
	ck_assert_int_eq(conf_load(opts, &set, "/nonexistent/t.conf", &diag), -1);
	ck_assert_uint_eq(diag.errors, 1);
	ck_assert_int_eq(conf_load(opts, &set, "/dev/zero", &diag), -1);
	ck_assert_uint_eq(diag.errors, 2);
	ck_assert_int_eq(conf_load(opts, &set, "/dev/null", &diag), -1);
	ck_assert_str_eq(diag.entry[2].text, "name is missing");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("common_conf");
	TCase *t = tcase_create("conf");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, defaults);
	tcase_add_test(t, values);
	tcase_add_test(t, every_fault_of_a_run);
	tcase_add_test(t, broken_text);
	tcase_add_test(t, mutations);
	tcase_add_test(t, example_parses);
	tcase_add_test(t, files);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
