/*
 * pibc_text.c - reads single clauses from a module's text.  libsmi 0.4.8 checks
 * SUBJECT-CATEGORIES and INSTALL-ERRORS and then drops them; it does tell at which line
 * a definition starts, and the definition ends at its "::=".  By the time we
 * look, libsmi has accepted the text, so a small lexer is enough: words,
 * numbers, punctuation, strings, comments.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pib/pibc.h"

#define TEXT_MAX (1 << 20)

struct pibc_text {
	char *path;
	char *s;
};

struct token {
	char s[PIBC_NAME_MAX];
	bool comment;
	bool string;
};

struct pibc_text *pibc_text_new(const char *path)
{
	FILE *f = fopen(path, "r");
	struct pibc_text *t = calloc(1, sizeof *t);

	if (f == NULL || t == NULL || (t->path = strdup(path)) == NULL ||
	    (t->s = calloc(1, TEXT_MAX + 1)) == NULL || fread(t->s, 1, TEXT_MAX, f) == TEXT_MAX) {
		pibc_error(path, 0, "cannot read it");
		pibc_text_free(t);
		t = NULL;
	}
	if (f != NULL)
		fclose(f);
	return t;
}

void pibc_text_free(struct pibc_text *t)
{
	if (t == NULL)
		return;
	free(t->path);
	free(t->s);
	free(t);
}

static const char *at_line(const struct pibc_text *t, int line)
{
	const char *p = t->s;

	while (--line > 0 && p != NULL)
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	return p != NULL ? p : "";
}

/* The token at or after p; returns where the next one may start. */
static const char *next(const char *p, struct token *tok)
{
	const char *end;
	size_t len;

	memset(tok, 0, sizeof *tok);
	p += strspn(p, " \t\r\n");
	if (p[0] == '-' && p[1] == '-') {
		tok->comment = true;
		end = p + strcspn(p, "\n");
	} else if (*p == '"') {
		tok->string = true;
		end = strchr(p + 1, '"');
		end = end != NULL ? end + 1 : p + strlen(p);
	} else if (isalnum((unsigned char)*p)) {
		end = p;
		while (isalnum((unsigned char)*end) || (*end == '-' && end[1] != '-'))
			end++;
	} else if (strncmp(p, "::=", 3) == 0) {
		end = p + 3;
	} else {
		end = *p != '\0' ? p + 1 : p;
	}
	len = (size_t)(end - p);
	if (len >= sizeof tok->s)
		len = sizeof tok->s - 1;
	memcpy(tok->s, p, len);
	return end;
}

static const char *next_word(const char *p, struct token *tok)
{
	do
		p = next(p, tok);
	while (tok->comment || tok->string);
	return p;
}

int pibc_text_named(
    const struct pibc_text *t, int line, const char *clause, struct pibc_named *out, int max)
{
	const char *p = at_line(t, line);
	struct token tok;
	int n = 0;

	do
		p = next_word(p, &tok);
	while (strcmp(tok.s, clause) != 0 && strcmp(tok.s, "::=") != 0 && tok.s[0] != '\0');
	if (strcmp(tok.s, clause) != 0)
		return 0;
	for (p = next_word(p, &tok); strcmp(tok.s, "}") != 0; p = next_word(p, &tok)) {
		if (tok.s[0] == '\0' || n >= max) {
			pibc_error(t->path, line, "%s: no end, or more than %d names", clause, max);
			return -1;
		}
		if (isalpha((unsigned char)tok.s[0])) {
			memcpy(out[n].name, tok.s, sizeof out[n].name);
			out[n++].value = 0;
		} else if (isdigit((unsigned char)tok.s[0]) && n > 0) {
			out[n - 1].value = strtol(tok.s, NULL, 10);
		}
	}
	return n;
}

bool pibc_text_mark(const struct pibc_text *t, int line, const char *word)
{
	const char *p = at_line(t, line);
	struct token tok;
	char mark[PIBC_NAME_MAX];

	snprintf(mark, sizeof mark, "-- pibc: %s", word);
	do {
		p = next(p, &tok);
		if (tok.comment && strcmp(tok.s, mark) == 0)
			return true;
	} while (strcmp(tok.s, "::=") != 0 && tok.s[0] != '\0');
	return false;
}
