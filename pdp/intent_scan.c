/*
 * intent_scan.c - see intent_scan.h.  One pass with memchr() from '<' to '>'; quotes, comments,
 * CDATA sections and processing instructions are stepped over, never looked into.
 */
#include "pdp/intent_scan.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char doctype[] = "<!DOCTYPE";

void scan_init(struct scan *s, const char *text, size_t len)
{
	*s = (struct scan) {.p = text, .end = text + len};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* After the next occurrence of word, or NULL. */
static const char *after(const char *p, const char *end, const char *word)
{
	const char *at = memmem(p, (size_t)(end - p), word, strlen(word));
	return at ? at + strlen(word) : NULL;
}

static bool starts(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - p) >= n && !memcmp(p, word, n);
}

static const char *name_end(const char *p, const char *end)
{
	while (p < end && !is_space(*p) && *p != '>' && *p != '/' && *p != '[')
		p++;
	return p;
}

/* A start tag from its '<'. */
static enum scan_what open_tag(struct scan *s, struct scan_tag *t, const char *at)
{
	const char *p = name_end(at + 1, s->end);

	*t = (struct scan_tag) {.at = at, .name_end = p};
	for (; p < s->end && *p != '>'; p++) {
		if (*p != '"' && *p != '\'')
			continue;
		t->attributes++;
		p = memchr(p + 1, *p, (size_t)(s->end - p - 1));
		if (!p)
			return SCAN_BROKEN;
	}
	if (p >= s->end)
		return SCAN_BROKEN;
	t->end = s->p = p + 1;
	return p[-1] == '/' ? SCAN_EMPTY : SCAN_OPEN;
}

/* What begins with <! or <? at *p: after it, or NULL with *what said, and where in *p. */
static const char *step_over(const char **p, const char *end, enum scan_what *what)
{
	const char *q;
	const char *hidden;

	*what = SCAN_BROKEN;
	if ((*p)[1] == '?') {
		q = after(*p + 2, end, "?>");
		/* An XML declaration without its end is an error the parser goes on after. */
		hidden = q ? memmem(*p, (size_t)(q - *p), doctype, strlen(doctype)) : NULL;
		if (!hidden)
			return q;
		*p = hidden;
	} else if (starts(*p, end, "<!--")) {
		return after(*p + 4, end, "-->");
	} else if (starts(*p, end, "<![CDATA[")) {
		return after(*p + 9, end, "]]>");
	}
	*what = SCAN_DOCTYPE;
	return NULL;
}

enum scan_what scan_next(struct scan *s, struct scan_tag *t)
{
	enum scan_what what = SCAN_BROKEN;

	for (;;) {
		const char *p = memchr(s->p, '<', (size_t)(s->end - s->p));
		*t = (struct scan_tag) {.at = p};
		if (!p)
			return SCAN_END;
		s->p = p;
		if (p + 1 == s->end)
			return SCAN_BROKEN;
		if (p[1] != '/' && p[1] != '?' && p[1] != '!')
			return open_tag(s, t, p);
		bool closes = p[1] == '/';
		const char *next = closes ? after(p, s->end, ">")
					  : step_over(&t->at, s->end, &what);
		if (!next)
			return what;
		s->p = next;
		if (closes)
			return SCAN_CLOSE;
	}
}

const char *scan_attribute(const struct scan_tag *t, const char *name, size_t *len)
{
	const char *p = t->name_end;
	size_t n = strlen(name);

	while (p < t->end) {
		while (p < t->end && is_space(*p))
			p++;
		const char *at = p;
		while (p < t->end && !is_space(*p) && *p != '=' && *p != '>')
			p++;
		size_t name_len = (size_t)(p - at);
		while (p < t->end && *p != '"' && *p != '\'' && *p != '>')
			p++;
		if (p >= t->end || *p == '>')
			return NULL;
		p = memchr(p + 1, *p, (size_t)(t->end - p - 1));
		if (!p)
			return NULL;
		p++;
		if (name_len == n && !memcmp(at, name, n)) {
			*len = (size_t)(p - at);
			return at;
		}
	}
	return NULL;
}

void scan_place(struct scan_place *pl, const char *text, size_t len, const char *p)
{
	const char *end = text + len;

	if (!pl->line)
		*pl = (struct scan_place) {.line_at = text, .line = 1};
	for (;;) {
		const char *nl = memchr(pl->line_at, '\n', (size_t)(p - pl->line_at));
		if (!nl)
			break;
		pl->line_at = nl + 1;
		pl->line++;
	}
	const char *nl = memchr(p, '\n', (size_t)(end - p));
	pl->line_len = (size_t)((nl ? nl : end) - pl->line_at);
	pl->column = (unsigned)(p - pl->line_at) + 1;
}

static int refuse(struct diag *diag, const char *name, const char *text, size_t len,
    const struct scan_tag *t, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

static int refuse(struct diag *diag, const char *name, const char *text, size_t len,
    const struct scan_tag *t, const char *fmt, ...)
{
	struct scan_place pl = {0};
	char why[100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	scan_place(&pl, text, len, t->at);
	diag_add(diag, DIAG_ERROR, name, pl.line, pl.column,
	    t->name_end ? (unsigned)(t->name_end - t->at) : 0, pl.line_at, pl.line_len, "%s", why);
	return -1;
}

/* Where a broken text still has a document type the parser might come to. */
static bool broken_doctype(const struct scan *s, struct scan_tag *t)
{
	const char *at = memmem(s->p, (size_t)(s->end - s->p), doctype, strlen(doctype));
	*t = (struct scan_tag) {.at = at};
	return at;
}

int scan_check(const char *name, const char *text, size_t len, struct diag *diag)
{
	struct scan s;
	struct scan_tag t = {.at = memchr(text, '\0', len)};
	unsigned elements = 0;
	unsigned depth = 0;

	if (t.at)
		return refuse(diag, name, text, len, &t, "a zero octet: this is not XML in UTF-8");
	scan_init(&s, text, len);
	for (;;) {
		enum scan_what what = scan_next(&s, &t);
		if (what == SCAN_END || (what == SCAN_BROKEN && !broken_doctype(&s, &t)))
			return 0;
		if (what == SCAN_DOCTYPE || what == SCAN_BROKEN) {
			t.name_end = name_end(t.at, s.end);
			return refuse(diag, name, text, len, &t,
			    "an intent has no document type and no entities");
		}
		if (what == SCAN_CLOSE) {
			depth -= depth > 0;
			continue;
		}
		if (++elements > SCAN_ELEMENTS_MAX)
			return refuse(
			    diag, name, text, len, &t, "more than %u elements", SCAN_ELEMENTS_MAX);
		if (t.attributes > SCAN_ATTRIBUTES_MAX)
			return refuse(diag, name, text, len, &t, "more than %u attributes",
			    SCAN_ATTRIBUTES_MAX);
		if (what == SCAN_OPEN && ++depth > SCAN_DEPTH_MAX)
			return refuse(diag, name, text, len, &t,
			    "elements nested more than %u deep", SCAN_DEPTH_MAX);
	}
}
