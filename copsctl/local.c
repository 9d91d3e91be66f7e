/*
 * local.c - help, completion, decode and the pki commands: from a parsed command line to a
 * call and a sentence about it.
 */
#include "copsctl/local.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "copsctl/cmd.h"
#include "copsctl/decode_in.h"
#include "copsctl/pki.h"
#include "copsctl/render.h"

#define PKI_DIR	     "/etc/cops/pki"
#define TEXT_LEN     1024
#define DAYS_MAX     36525
#define STATUS_USAGE 2

static int help_run(const struct cmd *c, const struct writer *w)
{
	const char *first = json_get_string(c->args, "command", "");
	const char *second = json_get_string(c->args, "word", "");
	char name[128];

	(void)w;
	snprintf(name, sizeof(name), "%s%s%s", first, *second ? " " : "", second);
	const struct command *about = command_find(name);
	if (!*first) {
		cmd_print_overview(stdout);
	} else if (about) {
		cmd_print_help(about, stdout);
	} else if (!cmd_print_group(name, stdout)) {
		const char *near = cmd_suggest(name);

		fprintf(stderr, "copsctl: no command \"%s\"", name);
		if (near)
			fprintf(stderr, "; did you mean \"%s\"?", near);
		fputc('\n', stderr);
		return STATUS_USAGE;
	}
	return 0;
}

static int completion_run(const struct cmd *c, const struct writer *w)
{
	(void)c, (void)w;
	cmd_print_completion(stdout);
	return 0;
}

static int version_run(const struct cmd *c, const struct writer *w)
{
	(void)c, (void)w;
	cmd_print_version(stdout);
	return 0;
}

/* The sentence a pki verb answers with, where it belongs. */
static int pki_say(
    enum pki_result result, const char *text, const struct cmd *c, const struct writer *w)
{
	if (result == PKI_FAILED) {
		fprintf(stderr, "copsctl: %s\n", text);
		return 1;
	}
	if (!c->json) {
		puts(text);
		return 0;
	}
	json_t *o = json_pack("{s:b, s:s}", "changed", result == PKI_DONE, "text", text);
	w->result(stdout, o);
	json_decref(o);
	return 0;
}

static int pki_init_run(const struct cmd *c, const struct writer *w)
{
	char text[TEXT_LEN] = "";
	enum pki_result r = pki_init(json_get_string(c->args, "dir", PKI_DIR),
	    json_get_bool(c->args, "force", false), text, sizeof(text));

	return pki_say(r, text, c, w);
}

static int pki_issue_run(const struct cmd *c, const struct writer *w)
{
	struct pki_request req = {
	    .name = json_get_string(c->args, "name", ""),
	    .kind = json_get_bool(c->args, "pdp", false) ? PKI_PDP : PKI_CE,
	    .force = json_get_bool(c->args, "force", false),
	};
	const char *address = json_get_string(c->args, "address", NULL);
	int64_t days = json_get_int(c->args, "days", PKI_ISSUE_DAYS);
	char text[TEXT_LEN] = "";

	if (req.kind == PKI_PDP && json_get_bool(c->args, "ce", false)) {
		fputs("copsctl: --pdp or --ce, not both\n", stderr);
		return STATUS_USAGE;
	}
	if (address && addr_parse(&req.address, address) < 0) {
		fprintf(stderr, "copsctl: \"%s\" is not a numeric IP address\n", address);
		return STATUS_USAGE;
	}
	if (days < 1 || days > DAYS_MAX) {
		fprintf(stderr, "copsctl: --days takes a number from 1 to %d\n", DAYS_MAX);
		return STATUS_USAGE;
	}
	req.days = (unsigned)days;
	enum pki_result r = pki_issue(
	    json_get_string(c->args, "dir", PKI_DIR), &req, text, sizeof(text));
	return pki_say(r, text, c, w);
}

static int pki_show_run(const struct cmd *c, const struct writer *w)
{
	char text[TEXT_LEN] = "";
	json_t *list = pki_list(json_get_string(c->args, "dir", PKI_DIR), text, sizeof(text));

	if (!list)
		return pki_say(PKI_FAILED, text, c, w);
	w->result(stdout, list);
	json_decref(list);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct cmd *c, const struct writer *w);
} local[] = {
    {"help", help_run},
    {"version", version_run},
    {"completion", completion_run},
    {"decode", decode_run},
    {"pki init", pki_init_run},
    {"pki issue", pki_issue_run},
    {"pki show", pki_show_run},
};

int local_run(const struct cmd *c, const struct writer *w)
{
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		if (strcmp(local[i].name, c->command->name) == 0)
			return local[i].run(c, w);
	}
	fprintf(stderr, "copsctl: nothing here carries out \"%s\"\n", c->command->name);
	return 1;
}
