/*
 * diag.h - faults in a text a person wrote (XML intent, configuration): each
 * with file, line, column and what was expected, collected over a whole run and
 * printed with the source line and a caret under the words at fault.
 */
#ifndef COMMON_DIAG_H
#define COMMON_DIAG_H

#include <stddef.h>
#include <stdio.h>

#define DIAG_MAX 200 /* more faults than this in one run are only counted */

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct diag_entry {
	enum diag_severity severity;
	char *file;
	unsigned line;	 /* from 1; 0 = the whole file */
	unsigned column; /* from 1; 0 = the whole line */
	unsigned width;	 /* columns to underline; 0 = a caret alone */
	char *text;
	char *source; /* the source line, or NULL */
};

struct diag {
	struct diag_entry *entry;
	size_t count; /* entries held */
	size_t errors;
	size_t warnings;
};

void diag_init(struct diag *d);
void diag_clear(struct diag *d);
/* source is the text of the line at fault, not NUL-terminated, copied; may be NULL. */
void diag_add(struct diag *d, enum diag_severity severity, const char *file, unsigned line,
    unsigned column, unsigned width, const char *source, size_t source_len, const char *fmt, ...)
    __attribute__((format(printf, 9, 10)));
/* "acme.xml:41:17: error: ..." with source and caret, then "1 error; nothing was changed". */
void diag_print(const struct diag *d, FILE *f);
/* Where and what the first error is, in one line; buf is returned. */
const char *diag_first(const struct diag *d, char *buf, size_t size);
/* The same, a line each and without source, to the log. */
void diag_log(const struct diag *d);

#endif
