/*
 * commands.h - the one table of commands: what copsctl parses, completes and
 * explains, what the man page lists, and what each daemon must have a handler for.
 */
#ifndef COMMON_COMMANDS_H
#define COMMON_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* Where a command is carried out. */
#define COMMAND_PDP   0x1u
#define COMMAND_PEP   0x2u
#define COMMAND_LOCAL 0x4u /* by copsctl itself */

struct command_opt {
	const char *name; /* "--wait"; its key in the request's args is "wait" */
	const char *arg;  /* "SECONDS", or NULL: a flag, true in args */
	const char *help;
};

/*
 * args names the arguments in order, a word each, optional ones in brackets: "[CE] [CLASS]".
 * In a request the word in lower case is the key: {"ce":"paris","class":"ceVpn"}.  FILE
 * is special: the request carries "file" (its name) and "content" (its text); a command of
 * copsctl itself gets only the name.
 */
struct command {
	const char *name;	       /* one or two words: "show vpn" */
	const char *args;	       /* "" = none */
	const char *help;	       /* one line, no full stop */
	unsigned where;		       /* COMMAND_* */
	bool change;		       /* changes something: see ctl.h for who may */
	const struct command_opt *opt; /* ends with a row without name; NULL = none */
};

/* In the order of help; ends with a row without name. */
extern const struct command commands[];
/* Options of every command. */
extern const struct command_opt command_common_opts[];

const struct command *command_find(const char *name); /* NULL: there is none of that name */
/*
 * The command that the first words of argv[0..argc) name, and in *used how many words
 * that were; NULL if none.
 */
const struct command *command_match(int argc, char *const argv[], int *used);
/* How many arguments it takes at least and at most. */
void command_arg_count(const struct command *c, int *min, int *max);
/* The key of argument i, in buf; NULL past the last. */
const char *command_arg_key(const struct command *c, int i, char *buf, size_t size);

#endif
