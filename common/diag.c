/*
 * diag.c - collects faults, copies of everything, and prints them.  Past DIAG_MAX
 * entries faults are counted only: a hostile document must not fill the memory.
 */
#include "common/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define SOURCE_SHOWN 200 /* octets of a source line worth keeping */

void diag_init(struct diag *d)
{
	*d = (struct diag) {0};
}

void diag_clear(struct diag *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->entry[i].file);
		free(d->entry[i].text);
		free(d->entry[i].source);
	}
	free(d->entry);
	diag_init(d);
}

/* A slot for one more entry, or NULL: enough held, or no memory. */
static struct diag_entry *diag_slot(struct diag *d)
{
	if (d->count == DIAG_MAX)
		return NULL;
	if (!d->entry)
		d->entry = calloc(DIAG_MAX, sizeof(*d->entry));
	return d->entry ? &d->entry[d->count] : NULL;
}

void diag_add(struct diag *d, enum diag_severity severity, const char *file, unsigned line,
    unsigned column, unsigned width, const char *source, size_t source_len, const char *fmt, ...)
{
	if (severity == DIAG_ERROR)
		d->errors++;
	else
		d->warnings++;

	struct diag_entry *e = diag_slot(d);
	if (!e)
		return;

	char *text = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);

	while (source && source_len && strchr("\r\n", source[source_len - 1]))
		source_len--;
	*e = (struct diag_entry) {
	    .severity = severity,
	    .file = strdup(file ? file : "-"),
	    .line = line,
	    .column = column,
	    .width = width,
	    .text = text,
	    .source = source
			  ? strndup(source, source_len < SOURCE_SHOWN ? source_len : SOURCE_SHOWN)
			  : NULL,
	};
	if (!e->file || !e->text) { /* counted all the same */
		free(e->file);
		free(e->text);
		free(e->source);
		return;
	}
	d->count++;
}

/* Columns of the line number: 4 for any text a person writes, more for generated ones. */
static int line_digits(unsigned line)
{
	int n = snprintf(NULL, 0, "%u", line);
	return n > 4 ? n : 4;
}

/* The caret line copies the source's tabs, so that carets stand under their words. */
static void print_caret(const struct diag_entry *e, FILE *f)
{
	size_t len = strlen(e->source);
	size_t from = e->column - 1;
	if (from > len)
		return;
	fprintf(f, "  %*s | ", line_digits(e->line), "");
	for (size_t i = 0; i < from; i++) {
		unsigned char c = (unsigned char)e->source[i];
		if (c == '\t')
			fputc('\t', f);
		else if ((c & 0xc0) != 0x80) /* a UTF-8 continuation has no width */
			fputc(' ', f);
	}
	size_t width = e->width ? e->width : 1;
	if (width > len - from)
		width = len > from ? len - from : 1;
	for (size_t i = 0; i < width; i++)
		fputc('^', f);
	fputc('\n', f);
}

/* Text of unknown origin goes to a terminal: control characters do not. */
static void print_source(const char *s, FILE *f)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		fputc((c < 0x20 && c != '\t') || c == 0x7f ? '?' : c, f);
	}
	fputc('\n', f);
}

static void print_entry(const struct diag_entry *e, FILE *f)
{
	fprintf(f, "%s:", e->file);
	if (e->line)
		fprintf(f, "%u:", e->line);
	if (e->line && e->column)
		fprintf(f, "%u:", e->column);
	fprintf(f, " %s: ", e->severity == DIAG_ERROR ? "error" : "warning");
	print_source(e->text, f);
	if (!e->source || !e->line)
		return;
	fprintf(f, "  %*u | ", line_digits(e->line), e->line);
	print_source(e->source, f);
	if (e->column)
		print_caret(e, f);
}

static void print_count(size_t n, const char *noun, FILE *f)
{
	fprintf(f, "%zu %s%s", n, noun, n == 1 ? "" : "s");
}

void diag_print(const struct diag *d, FILE *f)
{
	if (!d->errors && !d->warnings)
		return;
	for (size_t i = 0; i < d->count; i++)
		print_entry(&d->entry[i], f);
	if (d->errors)
		print_count(d->errors, "error", f);
	if (d->errors && d->warnings)
		fputs(", ", f);
	if (d->warnings)
		print_count(d->warnings, "warning", f);
	if (d->count < d->errors + d->warnings)
		fprintf(f, " (the first %zu are shown)", d->count);
	fputs(d->errors ? "; nothing was changed\n" : "\n", f);
}

void diag_log(const struct diag *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct diag_entry *e = &d->entry[i];
		int level = e->severity == DIAG_ERROR ? LOG_ERR : LOG_WARNING;

		if (e->line != 0)
			log_at(level, "%s:%u:%u: %s", e->file, e->line, e->column, e->text);
		else
			log_at(level, "%s: %s", e->file, e->text);
	}
}

const char *diag_first(const struct diag *d, char *buf, size_t size)
{
	const struct diag_entry *e = d->entry;

	while (e != NULL && e < d->entry + d->count && e->severity != DIAG_ERROR)
		e++;
	if (e == NULL || e == d->entry + d->count)
		snprintf(buf, size, "out of memory");
	else if (e->line == 0)
		snprintf(buf, size, "%s: %s", e->file, e->text);
	else
		snprintf(buf, size, "%s:%u: %s", e->file, e->line, e->text);
	return buf;
}
