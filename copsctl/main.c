/*
 * main.c - copsctl: one command to the PDP, to a CE's agent, or to our own small CA.
 * Results go to stdout, everything else to stderr.  Exit status: 0 done, 1 refused or failed,
 * 2 wrong usage.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ctl.h"
#include "common/json.h"
#include "copsctl/apply.h"
#include "copsctl/cmd.h"
#include "copsctl/local.h"
#include "copsctl/progress.h"
#include "copsctl/render.h"

#ifndef RUNDIR
#define RUNDIR "/run/cops"
#endif
#define PDP_SOCKET RUNDIR "/pdp.sock"
#define PEP_SOCKET RUNDIR "/pep.sock"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };

/* Which daemon: the one that can carry it out, the PDP when both could and both are here. */
static const char *socket_find(const struct cmd *c)
{
	bool pdp_here = access(PDP_SOCKET, F_OK) == 0;

	if (c->socket)
		return c->socket;
	if (c->pep || !(c->command->where & COMMAND_PDP))
		return PEP_SOCKET;
	if (!(c->command->where & COMMAND_PEP))
		return PDP_SOCKET;
	return pdp_here || access(PEP_SOCKET, F_OK) != 0 ? PDP_SOCKET : PEP_SOCKET;
}

static int remote_run(const struct cmd *c, const struct writer *w)
{
	const char *path = socket_find(c);
	bool strict = json_get_bool(c->args, "strict", false);
	char err[CTL_ERR_LEN];
	struct progress progress;
	json_t *reply = NULL;
	int status = EXIT_DONE;

	progress_init(&progress, stderr);
	int rc = ctl_client_call(path, c->command->name, json_incref(c->args),
	    c->json ? NULL : progress_show, &progress, &reply, err);
	progress_end(&progress);
	if (rc < 0) {
		fprintf(stderr, "copsctl: %s\n", err);
		return EXIT_REFUSED;
	}
	if (json_get_bool(reply, "ok", false)) {
		const json_t *result = json_object_get(reply, "result");

		w->result(stdout, result);
		if (!apply_held(result, strict, stderr))
			status = EXIT_REFUSED;
	} else {
		const json_t *error = json_object_get(reply, "error");

		w->failure(w == &writer_json ? stdout : stderr, error);
		status = strcmp(json_get_string(error, "code", ""), "usage") == 0 ? EXIT_USAGE
										  : EXIT_REFUSED;
	}
	json_decref(reply);
	return status;
}

int main(int argc, char *argv[])
{
	char err[CMD_ERR_LEN];
	struct cmd c;
	bool usage;
	int status = EXIT_DONE;

	if (cmd_parse(&c, argc, argv, err, &usage) < 0) {
		fprintf(stderr, usage ? "copsctl: %s\n" : "%s\n", err);
		return usage ? EXIT_USAGE : EXIT_REFUSED;
	}
	if (c.version) {
		cmd_print_version(stdout);
	} else if (c.help && c.command) {
		cmd_print_help(c.command, stdout);
	} else if (!c.command && c.word && cmd_print_group(c.word, stdout)) {
		status = EXIT_DONE;
	} else if (!c.command) {
		cmd_print_overview(c.help ? stdout : stderr);
		status = c.help ? EXIT_DONE : EXIT_USAGE;
	} else {
		const struct writer *w = c.json ? &writer_json : &writer_text;

		status = c.command->where & COMMAND_LOCAL ? local_run(&c, w) : remote_run(&c, w);
	}
	cmd_clear(&c);
	if (fflush(stdout) == EOF)
		status = EXIT_REFUSED;
	return status;
}
