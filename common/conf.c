/*
 * conf.c - reads configuration files.  Text becomes tokens, each of which knows
 * its line and column; a statement is "name = value" or "name = { value, ... }".  A
 * statement at fault is reported and skipped, so that one run finds every fault.
 *
 * No library does this: libconfuse ends at the first fault and loses count of the
 * lines behind a comment.
 */
#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/diag.h"

#define FILE_MAX    ((size_t)1 << 20) /* octets of a file */
#define OPT_MAX	    128		      /* rows of a table */
#define WRAP	    76		      /* columns of help in the example */
#define NEAR_ENOUGH 3		      /* edits between a typo and the name that is suggested */

enum token_kind { T_END, T_WORD, T_EQUAL, T_OPEN, T_CLOSE, T_COMMA, T_BAD };

struct token {
	enum token_kind kind;
	unsigned line, column, width;
	bool quoted;
	struct buf text; /* of a T_WORD: NUL-terminated, NUL not in len */
};

struct parser {
	const struct conf_opt *opt;
	void *conf;
	const char *name; /* of the file */
	const char *p, *end;
	const char *line_start;
	unsigned line;
	struct token tok;
	unsigned seen[OPT_MAX]; /* line of the statement, by row */
	struct diag *diag;
};

static void *field(const struct conf_opt *opt, void *conf)
{
	return (char *)conf + opt->offset;
}

/* ------------------------------------------------------------------ faults */

/* The text of line n, found anew: faults are rare. */
static const char *source_line(const struct parser *ps, unsigned line, size_t *len)
{
	const char *s = ps->line_start;
	const char *stop;

	/* A token's line is never after the line the parser is on. */
	for (unsigned n = ps->line; n > line; n--) {
		s--;
		while (s[-1] != '\n' && s[-1] != '\0')
			s--;
	}
	stop = memchr(s, '\n', (size_t)(ps->end - s));
	*len = (size_t)((stop ? stop : ps->end) - s);
	return s;
}

#define fault(ps, ...) fault_at(ps, (ps)->tok.line, (ps)->tok.column, (ps)->tok.width, __VA_ARGS__)
#define fault_at(ps, line, column, width, ...)                                                     \
	do {                                                                                       \
		size_t len_;                                                                       \
		const char *source_ = source_line(ps, line, &len_);                                \
		diag_add((ps)->diag, DIAG_ERROR, (ps)->name, line, column, width, source_, len_,   \
		    __VA_ARGS__);                                                                  \
	} while (0)

/* ------------------------------------------------------------------ tokens */

static void skip_space(struct parser *ps)
{
	while (ps->p < ps->end) {
		if (*ps->p == '#') {
			while (ps->p < ps->end && *ps->p != '\n')
				ps->p++;
			continue;
		}
		if (!isspace((unsigned char)*ps->p))
			return;
		if (*ps->p++ == '\n') {
			ps->line++;
			ps->line_start = ps->p;
		}
	}
}

static bool word_char(char c)
{
	return !isspace((unsigned char)c) && !strchr("={},#\"", c) && c != '\0';
}

/* A string ends on its line; \" and \\ are the escapes. */
static enum token_kind quoted(struct parser *ps)
{
	for (ps->p++; ps->p < ps->end && *ps->p != '\n' && *ps->p != '\0'; ps->p++) {
		if (*ps->p == '"') {
			ps->p++;
			return T_WORD;
		}
		if (*ps->p == '\\' && ps->end - ps->p > 1 && strchr("\"\\", ps->p[1]))
			ps->p++;
		buf_put(&ps->tok.text, ps->p, 1);
	}
	return T_BAD;
}

static enum token_kind scan(struct parser *ps)
{
	static const char single[] = "={},";
	static const enum token_kind kind[] = {T_EQUAL, T_OPEN, T_CLOSE, T_COMMA};

	if (ps->p == ps->end)
		return T_END;
	const char *at = *ps->p ? strchr(single, *ps->p) : NULL;
	if (at) {
		ps->p++;
		return kind[at - single];
	}
	if (*ps->p == '"') {
		ps->tok.quoted = true;
		return quoted(ps);
	}
	const char *start = ps->p;
	while (ps->p < ps->end && word_char(*ps->p))
		ps->p++;
	if (ps->p == start) { /* a NUL octet */
		ps->p++;
		return T_BAD;
	}
	buf_put(&ps->tok.text, start, (size_t)(ps->p - start));
	return T_WORD;
}

static void next(struct parser *ps)
{
	struct token *t = &ps->tok;

	skip_space(ps);
	buf_reset(&t->text);
	t->quoted = false;
	t->line = ps->line;
	t->column = (unsigned)(ps->p - ps->line_start) + 1;
	const char *start = ps->p;
	t->kind = scan(ps);
	t->width = (unsigned)(ps->p - start);
	buf_put_u8(&t->text, 0);
	if (t->text.failed) /* no memory: reported as a bad token, nothing is misread */
		t->kind = T_BAD;
	else
		t->text.len--;
}

static const char *token_text(const struct parser *ps)
{
	return (const char *)ps->tok.text.data;
}

/* ------------------------------------------------------------------ values */

static bool in_bounds(const struct conf_opt *opt, int64_t v)
{
	return (!opt->min && !opt->max) || (v >= opt->min && v <= opt->max);
}

static bool parse_number(const char *s, const char **rest, int64_t *v)
{
	char *stop;

	if (!isdigit((unsigned char)s[*s == '-']))
		return false;
	errno = 0;
	long long n = strtoll(s, &stop, 10);
	*rest = stop;
	*v = n;
	return errno == 0;
}

static bool parse_seconds(const char *s, int64_t *v)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	const char *rest;

	if (!parse_number(s, &rest, v) || *v < 0 || (*rest && rest[1]))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == *rest)
			return !__builtin_mul_overflow(*v, units[i].seconds, v);
	return false;
}

static bool parse_bool(const char *s, bool *v)
{
	static const char *const yes[] = {"yes", "true", "on"};
	static const char *const no[] = {"no", "false", "off"};

	for (size_t i = 0; i < 3; i++) {
		*v = strcasecmp(s, yes[i]) == 0;
		if (*v || strcasecmp(s, no[i]) == 0)
			return true;
	}
	return false;
}

/* CONF_INT and CONF_SECONDS. */
static void set_number(struct parser *ps, const struct conf_opt *opt)
{
	const char *s = token_text(ps);
	const char *rest;
	int64_t v;
	bool seconds = opt->type == CONF_SECONDS;

	if (seconds ? !parse_seconds(s, &v) : !parse_number(s, &rest, &v) || *rest)
		fault(ps, "%s: expected %s", opt->name,
		    seconds ? "a time such as 90s, 15m, 8h or 7d" : "a number");
	else if (!in_bounds(opt, v))
		fault(ps, "%s: out of range, %lld to %lld%s", opt->name, (long long)opt->min,
		    (long long)opt->max, seconds ? " seconds" : "");
	else
		*(int64_t *)field(opt, ps->conf) = v;
}

static void set_string(struct parser *ps, const struct conf_opt *opt)
{
	char **dst = field(opt, ps->conf);

	if (!in_bounds(opt, (int64_t)ps->tok.text.len)) {
		fault(ps, "%s: %lld to %lld characters are allowed", opt->name, (long long)opt->min,
		    (long long)opt->max);
		return;
	}
	free(*dst);
	*dst = strdup(token_text(ps));
	if (!*dst)
		fault(ps, "no memory");
}

/* Gives the token's text to the option, unless it is at fault. */
static void set_scalar(struct parser *ps, const struct conf_opt *opt)
{
	switch (opt->type) {
	case CONF_STRING:
		set_string(ps, opt);
		break;
	case CONF_BOOL:
		if (!parse_bool(token_text(ps), field(opt, ps->conf)))
			fault(ps, "%s: expected yes or no", opt->name);
		break;
	case CONF_ADDR:
		if (ps->tok.text.len && addr_parse(field(opt, ps->conf), token_text(ps)) < 0)
			fault(ps, "%s: expected an IPv4 or IPv6 address", opt->name);
		break;
	case CONF_INT:
	case CONF_SECONDS:
		set_number(ps, opt);
		break;
	case CONF_LIST:
		break;
	}
}

static void list_append(struct parser *ps, const struct conf_opt *opt)
{
	struct conf_list *list = field(opt, ps->conf);
	char **item = realloc(list->item, (list->count + 1) * sizeof(*item));
	char *text = strdup(token_text(ps));

	if (item)
		list->item = item;
	if (!item || !text) {
		free(text);
		fault(ps, "no memory");
		return;
	}
	item[list->count++] = text;
}

/* ------------------------------------------------------------------ statements */

/* After a fault: go on at the first line that starts outside braces. */
static void recover(struct parser *ps)
{
	unsigned depth = 0;
	unsigned line = ps->tok.line;

	while (ps->tok.kind != T_END && (depth || ps->tok.line == line)) {
		if (ps->tok.kind == T_OPEN)
			depth++;
		else if (ps->tok.kind == T_CLOSE && depth)
			depth--;
		line = ps->tok.line;
		next(ps);
	}
}

/* The token is the value or its brace; returns false after a fault that needs recovery. */
static bool parse_value(struct parser *ps, const struct conf_opt *opt)
{
	bool list = opt->type == CONF_LIST;

	if (ps->tok.kind == T_WORD) {
		if (list)
			list_append(ps, opt);
		else
			set_scalar(ps, opt);
		next(ps);
		return true;
	}
	if (!list || ps->tok.kind != T_OPEN) {
		fault(ps, list ? "%s: expected a value or { a list }" : "%s: expected a value",
		    opt->name);
		return false;
	}
	for (next(ps); ps->tok.kind == T_WORD;) {
		list_append(ps, opt);
		next(ps);
		if (ps->tok.kind != T_COMMA)
			break;
		next(ps);
	}
	if (ps->tok.kind != T_CLOSE) {
		fault(ps, "%s: expected \"}\" or \",\" here", opt->name);
		return false;
	}
	next(ps);
	return true;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned m = a < b ? a : b;
	return m < c ? m : c;
}

/* Insertions, deletions and replacements that make a of b (Levenshtein). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= sizeof(row) / sizeof(row[0]))
		return UINT_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned same = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = min3(same, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[n];
}

static void fault_unknown(struct parser *ps)
{
	const char *nearest = NULL;
	unsigned least = NEAR_ENOUGH + 1;

	for (const struct conf_opt *o = ps->opt; o->name; o++) {
		unsigned d = ps->tok.width > 64 ? UINT_MAX : distance(token_text(ps), o->name);
		if (d < least) {
			least = d;
			nearest = o->name;
		}
	}
	if (nearest)
		fault(ps, "unknown option \"%s\"; did you mean \"%s\"?", token_text(ps), nearest);
	else
		fault(ps, "unknown option \"%s\"", token_text(ps));
}

/* One statement; the token after it is current when this returns. */
static void parse_statement(struct parser *ps)
{
	const struct conf_opt *opt = ps->opt;
	unsigned line = ps->tok.line, column = ps->tok.column, width = ps->tok.width;

	if (ps->tok.kind != T_WORD || ps->tok.quoted) {
		fault(ps, "expected the name of an option");
		recover(ps);
		return;
	}
	while (opt->name && strcmp(opt->name, token_text(ps)) != 0)
		opt++;
	if (!opt->name) {
		fault_unknown(ps);
		recover(ps);
		return;
	}
	unsigned *seen = &ps->seen[opt - ps->opt];
	if (*seen) {
		fault(ps, "duplicate: %s is already given on line %u", opt->name, *seen);
		recover(ps);
		return;
	}
	*seen = line;
	next(ps);
	if (ps->tok.kind != T_EQUAL) {
		fault(ps, "expected \"=\" after %s", opt->name);
		recover(ps);
		return;
	}
	next(ps);
	if (!parse_value(ps, opt)) {
		recover(ps);
		return;
	}
	const struct conf_list *list = field(opt, ps->conf);
	if (opt->type == CONF_LIST && !in_bounds(opt, (int64_t)list->count))
		fault_at(ps, line, column, width, "%s: %lld to %lld values are allowed", opt->name,
		    (long long)opt->min, (long long)opt->max);
}

static void parse_text(struct parser *ps, const char *text, size_t len)
{
	ps->p = ps->line_start = text;
	ps->end = text + len;
	ps->line = 1;
	for (next(ps); ps->tok.kind != T_END;)
		parse_statement(ps);
}

/*
 * The defaults are text in the same language, so they pass the same checks.  text has a
 * NUL before its first octet, which is where source_line() stops.
 */
static void parse_default(const struct parser *main, const struct conf_opt *opt, struct buf *text)
{
	struct parser ps = {.opt = main->opt, .conf = main->conf, .diag = main->diag};

	ps.name = "(default)";
	buf_reset(text);
	buf_printf(text, "%c%s = %s\n", 0, opt->name, opt->def);
	if (!text->failed)
		parse_text(&ps, (const char *)text->data + 1, text->len - 1);
	buf_clear(&ps.tok.text);
}

static void fill_defaults(struct parser *ps)
{
	struct buf text;

	buf_init(&text, 0);
	for (const struct conf_opt *o = ps->opt; o->name; o++) {
		if (ps->seen[o - ps->opt])
			continue;
		if (!o->def)
			diag_add(ps->diag, DIAG_ERROR, ps->name, 0, 0, 0, NULL, 0, "%s is missing",
			    o->name);
		else if (*o->def)
			parse_default(ps, o, &text);
	}
	buf_clear(&text);
}

int conf_parse(const struct conf_opt *opt, void *conf, const char *name, const char *text,
    size_t len, struct diag *d)
{
	struct parser ps = {.opt = opt, .conf = conf, .name = name, .diag = d};
	size_t errors = d->errors;
	char *copy = malloc(len + 1); /* the NUL before the text: see parse_default() */

	for (const struct conf_opt *o = opt; o->name; o++) {
		static const size_t size[] = {
		    [CONF_STRING] = sizeof(char *),
		    [CONF_INT] = sizeof(int64_t),
		    [CONF_BOOL] = sizeof(bool),
		    [CONF_ADDR] = sizeof(struct addr),
		    [CONF_SECONDS] = sizeof(int64_t),
		    [CONF_LIST] = sizeof(struct conf_list),
		};
		memset(field(o, conf), 0, size[o->type]);
		if (o - opt == OPT_MAX - 1) {
			diag_add(
			    d, DIAG_ERROR, name, 0, 0, 0, NULL, 0, "table of options too long");
			free(copy);
			return -1;
		}
	}
	if (!copy) {
		diag_add(d, DIAG_ERROR, name, 0, 0, 0, NULL, 0, "no memory");
		return -1;
	}
	copy[0] = '\0';
	memcpy(copy + 1, text, len);
	parse_text(&ps, copy + 1, len);
	fill_defaults(&ps);
	buf_clear(&ps.tok.text);
	free(copy);
	if (d->errors == errors)
		return 0;
	conf_clear(opt, conf);
	return -1;
}

int conf_load(const struct conf_opt *opt, void *conf, const char *file, struct diag *d)
{
	FILE *f = fopen(file, "re");
	struct buf text;
	int rc = -1;

	buf_init(&text, FILE_MAX + 1);
	uint8_t *p = f ? buf_room(&text, FILE_MAX + 1) : NULL;
	size_t len = p ? fread(p, 1, FILE_MAX + 1, f) : 0;
	if (!p || ferror(f))
		diag_add(d, DIAG_ERROR, file, 0, 0, 0, NULL, 0, "%s", strerror(errno));
	else if (len > FILE_MAX)
		diag_add(d, DIAG_ERROR, file, 0, 0, 0, NULL, 0, "larger than %zu octets", FILE_MAX);
	else
		rc = conf_parse(opt, conf, file, (const char *)p, len, d);
	buf_clear(&text);
	if (f)
		fclose(f);
	return rc;
}

void conf_clear(const struct conf_opt *opt, void *conf)
{
	for (; opt->name; opt++) {
		if (opt->type == CONF_STRING) {
			char **s = field(opt, conf);
			free(*s);
			*s = NULL;
		} else if (opt->type == CONF_LIST) {
			struct conf_list *list = field(opt, conf);
			for (size_t i = 0; i < list->count; i++)
				free(list->item[i]);
			free(list->item);
			*list = (struct conf_list) {0};
		}
	}
}

/* ------------------------------------------------------------------ example */

static void print_wrapped(const char *s, FILE *f)
{
	size_t column = 0;

	while (*s) {
		size_t n = strcspn(s, " \n");
		if (!column || column + 1 + n > WRAP)
			column = (size_t)fprintf(f, "%s#", column ? "\n" : "") - (column != 0);
		fprintf(f, " %.*s", (int)n, s);
		column += n + 1;
		s += n + (s[n] != '\0');
	}
	fputc('\n', f);
}

void conf_print_example(const struct conf_opt *opt, const char *title, FILE *f)
{
	print_wrapped(title, f);
	for (; opt->name; opt++) {
		bool given = opt->def && *opt->def;
		fputc('\n', f);
		print_wrapped(opt->help, f);
		fprintf(f, "%s%s = %s\n", opt->def ? "#" : "", opt->name,
		    given	   ? opt->def
		    : opt->example ? opt->example
				   : "\"\"");
	}
}
