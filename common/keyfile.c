/*
 * keyfile.c - see keyfile.h.  A line is six words; what is said about a word at fault never
 * quotes it.
 */
#include "common/keyfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/diag.h"

#define OCTETS_MAX 512 /* of a key; who takes it has a bound of its own */

/* A first number comes again after 2^32 / 125 s (cops_io_first_number()). */
#define LIFETIME_MAX_MS ((int64_t)397 * 86400 * 1000)

enum word { PEER, ID, ALGORITHM, KEY, FROM, UNTIL, WORDS };

static const char *const word_names[WORDS] = {"the peer's name", "the number of the key",
    "its algorithm", "the key", "the time from which it is good", "the time until which it is"};

struct line {
	char *word[WORDS];
	unsigned column[WORDS];
	bool quoted[WORDS];
};

struct reading {
	const char *path;
	unsigned number; /* of the line */
	keyfile_add_fn *add;
	void *arg;
	struct diag *diag;
};

static bool fault(struct reading *r, unsigned column, const char *what, const char *why)
{
	diag_add(r->diag, DIAG_ERROR, r->path, r->number, column, 0, NULL, 0, "%s%s%s", what,
	    what[0] != '\0' ? ": " : "", why);
	return false;
}

/* Cut the line into words in place; how many there are, -1: a quote is not closed. */
static int split(struct line *l, char *text, unsigned *column)
{
	char *p = text;
	int n = 0;

	for (;;) {
		while (isspace((unsigned char)*p))
			p++;
		*column = (unsigned)(p - text) + 1;
		if (*p == '\0' || *p == '#')
			return n;
		if (n == WORDS)
			return WORDS + 1;
		l->column[n] = *column;
		l->quoted[n] = *p == '"';
		l->word[n] = p + l->quoted[n];
		p = l->word[n] + strcspn(l->word[n], l->quoted[n] ? "\"" : " \t\r\n");
		if (*p == '\0' && l->quoted[n])
			return -1;
		if (*p != '\0')
			*p++ = '\0';
		n++;
	}
}

static bool id_parse(const char *s, uint32_t *id)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(s, &end, 10);
	*id = (uint32_t)v;
	return isdigit((unsigned char)*s) && *end == '\0' && errno == 0 && v <= UINT32_MAX;
}

/* 2026-01-01 or 2026-01-01T12:00:00Z. */
static bool time_parse(const char *s, int64_t *ms)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};
		const char *end = strptime(s, forms[i], &tm);
		int day = tm.tm_mday;

		if (end == NULL || *end != '\0')
			continue;
		*ms = (int64_t)timegm(&tm) * 1000;
		return tm.tm_mday == day; /* there is no February 30 */
	}
	return false;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

	return at != NULL ? (int)(at - digits) : -1;
}

/* "text" or 0xhex; the octets, or -1. */
static int key_parse(const struct line *l, uint8_t octets[OCTETS_MAX])
{
	const char *s = l->word[KEY];
	size_t len = strlen(s);
	size_t n = 0;

	if (l->quoted[KEY]) {
		if (len > OCTETS_MAX)
			return -1;
		memcpy(octets, s, len);
		return (int)len;
	}
	if (s[0] != '0' || s[1] != 'x' || len % 2 != 0 || len / 2 - 1 > OCTETS_MAX)
		return -1;
	for (s += 2; *s != '\0'; s += 2) {
		int hi = hex_digit(s[0]);
		int lo = hex_digit(s[1]);

		if (hi < 0 || lo < 0)
			return -1;
		octets[n++] = (uint8_t)(hi << 4 | lo);
	}
	return (int)n;
}

static bool line_take(struct reading *r, const struct line *l)
{
	struct keyfile_key k = {.peer = l->word[PEER], .algorithm = l->word[ALGORITHM]};
	uint8_t octets[OCTETS_MAX];
	const char *why;
	int len = key_parse(l, octets);
	bool ok = true;

	if (!id_parse(l->word[ID], &k.id))
		ok = fault(r, l->column[ID], word_names[ID], "expected 0 to 4294967295");
	if (len < 0)
		ok = fault(r, l->column[KEY], word_names[KEY],
		    "expected 0x and an even number of hexadecimal digits, or \"text\"");
	if (!time_parse(l->word[FROM], &k.not_before_ms))
		ok = fault(r, l->column[FROM], word_names[FROM],
		    "expected 2026-01-01 or 2026-01-01T12:00:00Z");
	if (!time_parse(l->word[UNTIL], &k.not_after_ms))
		ok = fault(r, l->column[UNTIL], word_names[UNTIL],
		    "expected 2026-01-01 or 2026-01-01T12:00:00Z");
	k.octets = octets;
	k.len = ok ? (size_t)len : 0;
	if (ok && r->add(r->arg, &k, &why) != 0)
		ok = fault(r, l->column[PEER], "", why);
	if (ok && k.not_after_ms - k.not_before_ms > LIFETIME_MAX_MS)
		diag_add(r->diag, DIAG_WARNING, r->path, r->number, l->column[UNTIL], 0, NULL, 0,
		    "a key of more than 397 days: its sequence numbers come again, and with them "
		    "what somebody recorded");
	explicit_bzero(octets, sizeof(octets));
	return ok;
}

static void line_read(struct reading *r, char *text)
{
	struct line l;
	unsigned column;
	int n = split(&l, text, &column);

	if (n == WORDS)
		line_take(r, &l);
	else if (n > WORDS)
		fault(r, column, "", "expected the end of the line");
	else if (n < 0)
		fault(r, column, "", "the quote is not closed on this line");
	else if (n > 0)
		fault(r, column, "expected here", word_names[n]);
}

/* Looks at the file that is then read, not at a name that may change meanwhile. */
static FILE *open_private(const char *path, struct diag *d)
{
	struct stat st;
	const char *why = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	FILE *f = NULL;

	if (fd < 0 || fstat(fd, &st) != 0)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a file";
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		why = "keys that others may read: chmod 600 it";
	else if ((f = fdopen(fd, "r")) == NULL)
		why = strerror(errno);
	if (f == NULL && fd >= 0)
		close(fd);
	if (why != NULL)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "%s", why);
	return f;
}

int keyfile_read(const char *path, keyfile_add_fn *add, void *arg, struct diag *d)
{
	struct reading r = {.path = path, .add = add, .arg = arg, .diag = d};
	size_t before = d->errors;
	char stdio[4096]; /* so that it can be wiped */
	char text[2048];
	FILE *f = open_private(path, d);

	if (f == NULL)
		return -1;
	setvbuf(f, stdio, _IOFBF, sizeof(stdio));
	while (fgets(text, sizeof(text), f) != NULL) {
		r.number++;
		if (strlen(text) == sizeof(text) - 1 && text[sizeof(text) - 2] != '\n') {
			fault(&r, 0, "", "the line is too long");
			break;
		}
		line_read(&r, text);
	}
	if (ferror(f))
		fault(&r, 0, "", "cannot be read");
	fclose(f);
	explicit_bzero(stdio, sizeof(stdio));
	explicit_bzero(text, sizeof(text));
	return d->errors == before ? 0 : -1;
}
