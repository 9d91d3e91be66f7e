/*
 * cmd.h - from the command line to a request, by the one table of common/commands.h;
 * and what people are told about the table: help, suggestions, completion.
 */
#ifndef COPSCTL_CMD_H
#define COPSCTL_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/commands.h"

#define CMD_ERR_LEN 512

struct cmd {
	const struct command *command; /* NULL: none was named (--help, --version alone) */
	const char *word;	       /* but this was (show --help) */
	json_t *args;		       /* request arguments; owned */
	const char *socket;	       /* --socket; NULL = by default */
	bool pep;		       /* --pep: the agent here, when the PDP could answer too */
	bool json;
	bool help;
	bool version;
};

/*
 * Parse argv[1..argc).  Strings of *c borrow argv.  FILE arguments are read.  0; or -1 with the
 * reason in err, *c cleared: *usage says whether it was the command line or a file.
 */
int cmd_parse(struct cmd *c, int argc, char *const argv[], char err[CMD_ERR_LEN], bool *usage);
void cmd_clear(struct cmd *c);

void cmd_print_version(FILE *f);
/* The overview; one command with its options; all commands that begin with a word ("show"). */
void cmd_print_overview(FILE *f);
void cmd_print_help(const struct command *command, FILE *f);
bool cmd_print_group(const char *word, FILE *f); /* false: no command begins with it */
/* The command nearest to what was typed, NULL if none is near. */
const char *cmd_suggest(const char *typed);
/* A bash completion script. */
void cmd_print_completion(FILE *f);

#endif
