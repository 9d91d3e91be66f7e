/*
 * test_copsctl.c - what answers look like: tables, blocks, units, hostile text, the JSON
 * writer, diagnostics, progress, and what an answer means for the exit status.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "copsctl/apply.h"
#include "copsctl/cmd.h"
#include "copsctl/progress.h"
#include "copsctl/render.h"

static json_t *load(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_msg(v != NULL, "test JSON: %s", text);
	return v;
}

static char *rendered(void (*render)(FILE *f, const json_t *v), const char *text)
{
	char *out = NULL;
	size_t len = 0;
	json_t *v = load(text);
	FILE *f = open_memstream(&out, &len);

	render(f, v);
	fclose(f);
	json_decref(v);
	return out;
}

static const struct {
	const char *json;
	const char *text;
} golden[] = {
    {"null", ""},
    {"[]", "none\n"},
    {"\"done\"", "done\n"},
    {"[{\"ce\":\"paris\",\"state\":\"up\",\"rows\":7},{\"ce\":\"x\",\"rows\":1234,\"more\":true}]",
	"CE     STATE  ROWS  MORE\n"
	"paris  up        7  -\n"
	"x      -      1234  yes\n"},
    {"{\"name\":\"office\",\"applied_lsn\":12,\"hubs\":[\"a\",\"b\"],\"members\":[{\"m\":1,\"ce\":"
     "\"\"}],\"empty\":[]}",
	"name:        office\n"
	"applied lsn: 12\n"
	"hubs:        a, b\n"
	"members:\n"
	"  M  CE\n"
	"  1  -\n"
	"empty:       -\n"},
    {"[{\"a\":{\"row\":\"ceVpn.1\",\"why\":\"no\"}}]", "A\nrow ceVpn.1, why no\n"},
    {"[{\"a\":1,\"b\":[{\"c\":2}]},{\"a\":3,\"b\":[]}]", "a: 1\nb:\n  C\n  2\n\na: 3\nb: -\n"},
    {"[\"one\",\"two\"]", "one\ntwo\n"},
    {"{\"age_s\":0,\"up_s\":59,\"run_s\":3600,\"old_s\":90061,\"bad_s\":-1}",
	"age s: 0s\nup s:  59s\nrun s: 1h\nold s: 1d 1h\nbad s: -1\n"},
    {"{\"seen_at\":0,\"x_at\":86399}", "seen at: -\nx at:    1970-01-01 23:59:59\n"},
    {"{\"at\":86399}", "at: 1970-01-01 23:59:59\n"},
    {"{\"evil\":\"a\\u001b[31mb\\nc\"}", "evil: a?[31mb?c\n"},
    {"[{\"n\":\"\xc3\xa9t\xc3\xa9\",\"x\":1},{\"n\":\"abcd\",\"x\":2}]",
	"N     X\n\xc3\xa9t\xc3\xa9   1\nabcd  2\n"},
};

START_TEST(text_is_as_it_should_be)
{
	char *out = rendered(writer_text.result, golden[_i].json);

	ck_assert_str_eq(out, golden[_i].text);
	free(out);
}
END_TEST

START_TEST(json_comes_back_as_it_was)
{
	char *out = rendered(writer_json.result, golden[_i].json);
	json_t *a = load(out);
	json_t *b = load(golden[_i].json);

	ck_assert(json_equal(a, b));
	json_decref(a);
	json_decref(b);
	free(out);
}
END_TEST

START_TEST(diagnostics_have_source_and_caret)
{
	char *out = rendered(writer_text.failure,
	    "{\"code\":\"refused\",\"message\":\"refused\",\"diags\":[{\"file\":\"acme.xml\","
	    "\"line\":41,\"column\":5,\"width\":3,\"severity\":\"error\",\"text\":\"no such CE\","
	    "\"source\":\"  a bcd\"}]}");

	ck_assert_str_eq(out, "acme.xml:41:5: error: no such CE\n"
			      "    41 |   a bcd\n"
			      "       |     ^^^\n"
			      "1 error; nothing was changed\n");
	free(out);
	out = rendered(writer_text.failure, "{\"code\":\"busy\",\"message\":\"try\\u0007 later\"}");
	ck_assert_str_eq(out, "copsctl: try? later\n");
	free(out);
}
END_TEST

START_TEST(progress_is_a_line_per_change)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);
	struct progress p;
	static const char *const said[] = {"{\"text\":\"stored\"}", "{\"text\":\"stored\"}",
	    "{\"done\":1,\"total\":3,\"text\":\"CEs\"}", "{\"done\":9,\"total\":3}"};

	p = (struct progress) {.f = f};
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		json_t *v = load(said[i]);

		progress_show(&p, v);
		json_decref(v);
	}
	progress_end(&p);
	fclose(f);
	ck_assert_str_eq(out, "stored\n1/3 CEs\n\n");
	free(out);
}
END_TEST

static const struct {
	const char *result;
	bool held;
	bool held_strict;
	const char *said; /* a part of it */
} outcome[] = {
    {"null", true, true, ""},
    {"{\"ces\":[{\"ce\":\"a\",\"state\":\"confirmed\"}]}", true, true, ""},
    {"{\"ces\":[{\"ce\":\"a\",\"state\":\"offline\"}]}", true, false, "1 CE is not connected"},
    {"{\"ces\":[{\"ce\":\"a\",\"state\":\"waiting\"}]}", false, false, "a has not answered"},
    {"{\"ces\":[{\"ce\":\"a\",\"state\":\"confirmed\"},{\"ce\":\"b\",\"state\":\"failed\",\"row\":"
     "\"ceVpnProposal.3\",\"column\":\"ceVpnProposalEncr\",\"error\":\"no AEAD\"}]}",
	false, false, "b refused row ceVpnProposal.3 column ceVpnProposalEncr: no AEAD\n"},
    {"{\"ces\":[{\"ce\":\"b\",\"state\":\"failed\",\"error\":\"e\",\"text\":\"why\"}]}", false,
	false, "b refused: why (e)\n"},
    {"{\"ces\":[{\"ce\":\"b\",\"state\":\"failed\"}]}", false, false,
	"b refused: no reason given\n"},
};

START_TEST(exit_status_tells_the_outcome)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);
	json_t *v = load(outcome[_i].result);

	ck_assert(apply_held(v, false, f) == outcome[_i].held);
	ck_assert(apply_held(v, true, f) == outcome[_i].held_strict);
	fclose(f);
	ck_assert_ptr_nonnull(strstr(out, outcome[_i].said));
	json_decref(v);
	free(out);
}
END_TEST

START_TEST(command_line_becomes_a_request)
{
	char *argv[] = {(char[]) {"copsctl"}, (char[]) {"--socket"}, (char[]) {"/s"},
	    (char[]) {"show"}, (char[]) {"pib"}, (char[]) {"--json"}, (char[]) {"--"},
	    (char[]) {"-odd-"}, NULL};
	char err[CMD_ERR_LEN];
	struct cmd c;
	bool usage;

	ck_assert_int_eq(cmd_parse(&c, 8, argv, err, &usage), 0);
	ck_assert_str_eq(c.command->name, "show pib");
	ck_assert_str_eq(c.socket, "/s");
	ck_assert(c.json);
	ck_assert_str_eq(json_string_value(json_object_get(c.args, "ce")), "-odd-");
	ck_assert_uint_eq(json_object_size(c.args), 1);
	cmd_clear(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("copsctl");
	TCase *tc = tcase_create("copsctl");
	const int texts = sizeof(golden) / sizeof(golden[0]);

	setenv("TZ", "UTC", 1);
	tcase_add_loop_test(tc, text_is_as_it_should_be, 0, texts);
	tcase_add_loop_test(tc, json_comes_back_as_it_was, 0, texts);
	tcase_add_test(tc, diagnostics_have_source_and_caret);
	tcase_add_test(tc, progress_is_a_line_per_change);
	tcase_add_loop_test(
	    tc, exit_status_tells_the_outcome, 0, sizeof(outcome) / sizeof(outcome[0]));
	tcase_add_test(tc, command_line_becomes_a_request);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
