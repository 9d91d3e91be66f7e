/*
 * cmd.c - the command line.  Options may stand anywhere; "--" ends them.  A daemon's
 * argument named FILE is read here, so that the daemon needs no right to read it and its
 * name in diagnostics is the one that was typed.
 */
#include "copsctl/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/ctl.h"
#include "config.h"

#define WORDS_MAX    64
#define WORD_LEN_MAX 64
#define SUGGEST_MAX  3 /* edits between what was typed and what was meant */
#define HELP_COLUMN  26

/* ---- near names ---------------------------------------------------------- */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance; names past WORD_LEN_MAX are far from everything. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_LEN_MAX + 1];
	size_t n = strlen(b);

	if (n > WORD_LEN_MAX || strlen(a) > WORD_LEN_MAX)
		return WORD_LEN_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[n];
}

const char *cmd_suggest(const char *typed)
{
	const char *best = NULL;
	unsigned least = SUGGEST_MAX + 1;

	for (const struct command *c = commands; c->name; c++) {
		unsigned d = distance(typed, c->name);

		if (d < least && d < strlen(c->name)) {
			least = d;
			best = c->name;
		}
	}
	return best;
}

/* Do several commands begin with it? */
static bool is_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *c = commands; c->name; c++)
		if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
			return true;
	return false;
}

static void fail_unknown_command(char err[CMD_ERR_LEN], int argc, char *const argv[])
{
	char typed[WORD_LEN_MAX * 2];
	const char *near = NULL;

	if (argc > 1) {
		snprintf(typed, sizeof(typed), "%s %s", argv[0], argv[1]);
		near = cmd_suggest(typed);
	} else if (is_group(argv[0])) {
		snprintf(err, CMD_ERR_LEN, "%s what? copsctl %s --help lists it", argv[0], argv[0]);
		return;
	}
	if (!near)
		near = cmd_suggest(argv[0]);
	if (near)
		snprintf(
		    err, CMD_ERR_LEN, "no command \"%s\"; did you mean \"%s\"?", argv[0], near);
	else
		snprintf(err, CMD_ERR_LEN, "no command \"%s\"; copsctl --help lists them", argv[0]);
}

/* ---- options ------------------------------------------------------------- */

/* len: the name ends there, at '=' or at its end. */
static const struct command_opt *opt_find(
    const struct command_opt *opt, const char *name, size_t len)
{
	for (; opt && opt->name; opt++) {
		if (strlen(opt->name) == len && strncmp(opt->name, name, len) == 0)
			return opt;
	}
	return NULL;
}

static const char *opt_suggest(const struct command *c, const char *name)
{
	const struct command_opt *set[] = {c ? c->opt : NULL, command_common_opts};
	const char *best = NULL;
	unsigned least = SUGGEST_MAX + 1;

	for (size_t i = 0; i < 2; i++) {
		for (const struct command_opt *o = set[i]; o && o->name; o++) {
			if (distance(name, o->name) < least) {
				least = distance(name, o->name);
				best = o->name;
			}
		}
	}
	return best;
}

/* Common options are ours; a daemon never sees them. */
static void common_set(struct cmd *c, const char *name, const char *value)
{
	if (strcmp(name, "--json") == 0)
		c->json = true;
	else if (strcmp(name, "--help") == 0)
		c->help = true;
	else if (strcmp(name, "--version") == 0)
		c->version = true;
	else if (strcmp(name, "--pep") == 0)
		c->pep = true;
	else if (strcmp(name, "--socket") == 0)
		c->socket = value;
}

/* Units in the table stand for numbers, which requests carry as such. */
static bool opt_is_number(const struct command_opt *o)
{
	return strcmp(o->arg, "SECONDS") == 0 || strcmp(o->arg, "DAYS") == 0;
}

/* NULL: not what the option takes, not UTF-8, or no memory. */
static json_t *opt_value(const struct command_opt *o, const char *value)
{
	char *end;

	if (!opt_is_number(o))
		return json_string(value);
	if (*value < '0' || *value > '9' || strlen(value) > 9)
		return NULL;
	long n = strtol(value, &end, 10);
	return *end ? NULL : json_integer(n);
}

/*
 * The option at argv[i], looked up among own (may be NULL) and the common ones.  Returns how
 * many words it took, or -1.
 */
static int opt_take(struct cmd *c, const struct command *own, int argc, char *const argv[], int i,
    char err[CMD_ERR_LEN])
{
	size_t len = strcspn(argv[i], "=");
	const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
	const struct command_opt *mine = own ? opt_find(own->opt, argv[i], len) : NULL;
	const struct command_opt *o = mine ? mine : opt_find(command_common_opts, argv[i], len);
	int words = 1;

	if (!o) {
		const char *near = opt_suggest(own, argv[i]);

		snprintf(err, CMD_ERR_LEN, near ? "no option %s; did you mean %s?" : "no option %s",
		    argv[i], near);
		return -1;
	}
	if (!o->arg && value) {
		snprintf(err, CMD_ERR_LEN, "option %s takes no value", o->name);
		return -1;
	}
	if (o->arg && !value) {
		if (i + 1 >= argc) {
			snprintf(err, CMD_ERR_LEN, "option %s needs a value (%s)", o->name, o->arg);
			return -1;
		}
		value = argv[i + 1];
		words = 2;
	}
	if (!mine) {
		common_set(c, o->name, value);
		return words;
	}
	json_t *v = value ? opt_value(o, value) : json_true();
	if (!v && value && opt_is_number(o)) {
		snprintf(err, CMD_ERR_LEN, "option %s takes a number of %s, not \"%s\"", o->name,
		    o->arg, value);
		return -1;
	}
	if (!v || json_object_set_new(c->args, o->name + strspn(o->name, "-"), v) < 0) {
		snprintf(err, CMD_ERR_LEN, "the value of %s is not UTF-8", o->name);
		return -1;
	}
	return words;
}

/* ---- arguments ----------------------------------------------------------- */

static void fail_too_large(const char *path, char err[CMD_ERR_LEN])
{
	snprintf(err, CMD_ERR_LEN,
	    "%s:1:1: error: larger than %zu MB, which no document of ours is", path,
	    CTL_REQUEST_MAX >> 20);
}

static bool is_too_large(FILE *f)
{
	struct stat st;

	return fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size > CTL_REQUEST_MAX;
}

/* The whole file, or standard input for "-"; NULL and err. */
static char *file_read(const char *path, size_t *len, char err[CMD_ERR_LEN])
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = NULL;
	size_t n = 1;
	struct buf b;

	if (!f) {
		snprintf(err, CMD_ERR_LEN, "%s: %s", path, strerror(errno));
		return NULL;
	}
	buf_init(&b, CTL_REQUEST_MAX);
	b.failed = is_too_large(f);
	while (n && !b.failed) {
		char chunk[65536];

		n = fread(chunk, 1, sizeof(chunk), f);
		buf_put(&b, chunk, n);
	}
	buf_put_u8(&b, '\0'); /* so that an empty file is not NULL */
	if (b.failed) {
		fail_too_large(path, err);
	} else if (ferror(f)) {
		snprintf(err, CMD_ERR_LEN, "%s: %s", path, strerror(errno));
	} else {
		text = (char *)buf_take(&b, len);
		--*len;
	}
	buf_clear(&b);
	if (f != stdin)
		fclose(f);
	return text;
}

/* Where text stops being UTF-8 without NUL: line and column of the first octet that is not. */
static void utf8_fault(const char *path, const char *text, size_t len, char err[CMD_ERR_LEN])
{
	unsigned line = 1;
	unsigned column = 1;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		json_t *one = i + n <= len ? json_stringn(text + i, n) : NULL;

		json_decref(one);
		if (!one || c == '\0')
			break;
		i += n - 1;
		column++;
		if (c == '\n') {
			line++;
			column = 1;
		}
	}
	snprintf(err, CMD_ERR_LEN, "%s:%u:%u: error: not UTF-8 text", path, line, column);
}

static int file_take(struct cmd *c, const char *path, char err[CMD_ERR_LEN])
{
	size_t len = 0;
	char *text = file_read(path, &len, err);
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;

	if (!text)
		return -1;
	json_t *content = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
	if (!content)
		utf8_fault(name, text, len, err);
	free(text);
	if (!content || json_object_set_new(c->args, "content", content) < 0)
		return -1;
	return json_object_set_new(c->args, "file", json_string(name));
}

static int args_take(
    struct cmd *c, int words, char *const word[], char err[CMD_ERR_LEN], bool *usage)
{
	char key[WORD_LEN_MAX];
	int min;
	int max;

	command_arg_count(c->command, &min, &max);
	if (words < min || words > max) {
		snprintf(err, CMD_ERR_LEN, "%s: copsctl %s %s",
		    words < min ? "something is missing" : "too many arguments", c->command->name,
		    c->command->args);
		return -1;
	}
	for (int i = 0; i < words; i++) {
		if (!command_arg_key(c->command, i, key, sizeof(key)))
			return -1;
		if (strcmp(key, "file") == 0 && !(c->command->where & COMMAND_LOCAL)) {
			*usage = false;
			if (file_take(c, word[i], err) < 0)
				return -1;
			*usage = true;
			continue;
		}
		json_t *v = json_string(word[i]);
		if (!v || json_object_set_new(c->args, key, v) < 0) {
			snprintf(err, CMD_ERR_LEN, "%s is not UTF-8", key);
			return -1;
		}
	}
	return 0;
}

/* The words of argv that are not common options, before the command is known. */
static int words_find(int argc, char *const argv[], char *word[WORDS_MAX])
{
	int n = 0;

	for (int i = 1; i < argc && n < WORDS_MAX; i++) {
		const struct command_opt *o = opt_find(
		    command_common_opts, argv[i], strcspn(argv[i], "="));

		if (o && o->arg && !strchr(argv[i], '='))
			i++;
		else if (argv[i][0] != '-' || !argv[i][1])
			word[n++] = argv[i];
	}
	return n;
}

int cmd_parse(struct cmd *c, int argc, char *const argv[], char err[CMD_ERR_LEN], bool *usage)
{
	char *word[WORDS_MAX];
	int named = 0;
	int words = words_find(argc, argv, word);
	bool options = true;

	*c = (struct cmd) {.args = json_object()};
	*usage = true;
	err[0] = '\0';
	c->command = words ? command_match(words, word, &named) : NULL;
	words = 0;
	for (int i = 1; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			int n = opt_take(c, c->command, argc, argv, i, err);

			if (n < 0)
				goto bad;
			i += n - 1;
		} else if (words < WORDS_MAX) {
			word[words++] = argv[i];
		}
	}
	if (words && !c->command)
		c->word = word[0];
	if (c->word && !c->help) {
		fail_unknown_command(err, words, word);
		goto bad;
	}
	if (c->command && !c->help && !c->version &&
	    args_take(c, words - named, word + named, err, usage) < 0)
		goto bad;
	return 0;
bad:
	if (!err[0])
		snprintf(err, CMD_ERR_LEN, "out of memory");
	cmd_clear(c);
	return -1;
}

void cmd_clear(struct cmd *c)
{
	json_decref(c->args);
	*c = (struct cmd) {0};
}

void cmd_print_version(FILE *f)
{
	fputs("copsctl " PACKAGE_VERSION "\n", f);
}

/* ---- help ---------------------------------------------------------------- */

static void print_row(FILE *f, const char *left, const char *right)
{
	if (strlen(left) < HELP_COLUMN)
		fprintf(f, "  %-*s%s\n", HELP_COLUMN, left, right);
	else
		fprintf(f, "  %s\n  %-*s%s\n", left, HELP_COLUMN, "", right);
}

static void print_options(const struct command_opt *opt, FILE *f)
{
	for (; opt && opt->name; opt++) {
		char left[WORD_LEN_MAX];

		snprintf(left, sizeof(left), "%s%s%s", opt->name, opt->arg ? " " : "",
		    opt->arg ? opt->arg : "");
		print_row(f, left, opt->help);
	}
}

static void print_command(const struct command *c, FILE *f)
{
	char left[WORD_LEN_MAX * 2];

	snprintf(left, sizeof(left), "%s%s%s", c->name, *c->args ? " " : "", c->args);
	print_row(f, left, c->help);
}

void cmd_print_overview(FILE *f)
{
	fputs("usage: copsctl [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n", f);
	for (const struct command *c = commands; c->name; c++)
		print_command(c, f);
	fputs("\nOptions of every command:\n", f);
	print_options(command_common_opts, f);
	fputs("\ncopsctl COMMAND --help tells more about one command.\n", f);
}

void cmd_print_help(const struct command *c, FILE *f)
{
	static const struct {
		unsigned where;
		const char *text;
	} place[] = {
	    {COMMAND_PDP, "the PDP"}, {COMMAND_PEP, "a CE"}, {COMMAND_LOCAL, "copsctl itself"}};
	const char *gap = "";

	fprintf(f, "usage: copsctl %s%s%s%s\n\n%s.\nCarried out by ", c->name, *c->args ? " " : "",
	    c->args, c->opt && c->opt->name ? " [OPTION...]" : "", c->help);
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		if (c->where & place[i].where) {
			fprintf(f, "%s%s", gap, place[i].text);
			gap = " or ";
		}
	}
	fprintf(f, "%s.\n", c->change ? "; changes something" : "");
	if (c->opt && c->opt->name) {
		fputs("\nOptions:\n", f);
		print_options(c->opt, f);
	}
	fputs("\nOptions of every command:\n", f);
	print_options(command_common_opts, f);
}

bool cmd_print_group(const char *word, FILE *f)
{
	size_t len = strlen(word);
	bool any = false;

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ') {
			print_command(c, f);
			any = true;
		}
	}
	return any;
}

/* ---- completion ---------------------------------------------------------- */

static void print_completion_options(const struct command_opt *opt, FILE *f)
{
	for (; opt && opt->name; opt++)
		fprintf(f, " %s", opt->name);
}

void cmd_print_completion(FILE *f)
{
	fputs(
	    "# bash completion for copsctl; made by copsctl completion from its table of commands\n"
	    "_copsctl()\n{\n"
	    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=() w name list\n"
	    "\tfor w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
	    "\t\t[[ $w == -* ]] || words+=(\"$w\")\n"
	    "\tdone\n"
	    "\tdeclare -A options=(\n",
	    f);
	for (const struct command *c = commands; c->name; c++) {
		fprintf(f, "\t\t[\"%s\"]=\"", c->name);
		print_completion_options(c->opt, f);
		fputs("\"\n", f);
	}
	fputs("\t)\n\tname=\"${words[*]:0:2}\"\n"
	      "\t[[ -v options[\"$name\"] ]] || name=${words[0]:-}\n"
	      "\tif [[ $cur == -* ]]; then\n\t\tlist=\"",
	    f);
	print_completion_options(command_common_opts, f);
	fputs(" ${options[$name]:-}\"\n"
	      "\telif ((${#words[@]} > 0)) && [[ -n $name && -v options[\"$name\"] ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	      "\t\treturn\n"
	      "\telse\n"
	      "\t\tlist=\n"
	      "\t\tfor name in \"${!options[@]}\"; do\n"
	      "\t\t\tif ((${#words[@]} == 0)); then\n"
	      "\t\t\t\tlist+=\" ${name%% *}\"\n"
	      "\t\t\telif [[ $name == \"${words[0]} \"* ]]; then\n"
	      "\t\t\t\tlist+=\" ${name#* }\"\n"
	      "\t\t\tfi\n"
	      "\t\tdone\n"
	      "\tfi\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\" | sort -u)\n"
	      "}\n"
	      "complete -F _copsctl copsctl\n",
	    f);
}
