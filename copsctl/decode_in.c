/*
 * decode_in.c - copsctl decode: what kind of input it is is seen by its first octets, all
 * kinds end in decode_put().  Text is hex digits, '#' begins a comment, an empty line a
 * new stream: a message cut short does not spoil the next.
 */
#include "copsctl/decode_in.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "copsctl/cmd.h"
#include "copsctl/render.h"
#include "libcops/cops_def.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"

#define INPUT_MAX    ((size_t)256 << 20)
#define SHOW_OCTETS  32 /* of a value, without --full */
#define STATUS_USAGE 2

static const struct pib_module *const modules[] = {
    &pib_framework_pib_module, &pib_ce_vpn_pib_module};

/* --- text ----------------------------------------------------------------------- */

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Where we are in a text. */
struct text {
	const char *name;
	const char *p;
	const char *end;
	const char *line; /* its start */
	unsigned number;
};

static int text_fault(const struct text *t, const char *what, char err[DECODE_ERR_LEN])
{
	snprintf(err, DECODE_ERR_LEN, "%s:%u:%u: error: %s", t->name, t->number,
	    (unsigned)(t->p - t->line) + 1, what);
	return -1;
}

/* One line into b; *empty: it holds nothing, not even a comment.  0 or -1. */
static int text_line(struct text *t, struct buf *b, bool *empty, char err[DECODE_ERR_LEN])
{
	int high = -1;

	*empty = true;
	for (t->line = t->p; t->p < t->end && *t->p != '\n'; t->p++) {
		int c = (unsigned char)*t->p;
		int digit = hex_digit(c);

		if (isspace(c))
			continue;
		*empty = false;
		if (c == '#') {
			t->p += strcspn(t->p, "\n");
			break;
		}
		if (digit < 0)
			return text_fault(t, "neither a hex digit nor a comment (#)", err);
		if (high >= 0)
			buf_put_u8(b, (uint8_t)(high << 4 | digit));
		high = high >= 0 ? -1 : digit;
	}
	if (high >= 0)
		return text_fault(t, "half an octet", err);
	t->p += t->p < t->end;
	t->number++;
	return 0;
}

static void text_flush(struct decode *d, struct buf *b)
{
	struct decode_stream s;

	decode_stream_init(&s, "");
	decode_put(d, &s, b->data, b->len);
	decode_end(d, &s);
	decode_stream_clear(&s);
	buf_reset(b);
}

/* text ends with NUL after its len characters. */
static int decode_text(
    struct decode *d, const char *name, const char *text, size_t len, char err[DECODE_ERR_LEN])
{
	struct text t = {.name = name, .p = text, .end = text + len, .number = 1};
	bool empty = false;
	struct buf b;
	int rc = 0;

	buf_init(&b, INPUT_MAX);
	while (rc == 0 && t.p < t.end) {
		rc = text_line(&t, &b, &empty, err);
		if (rc == 0 && empty && b.len > 0)
			text_flush(d, &b);
	}
	if (rc == 0 && b.len > 0)
		text_flush(d, &b);
	buf_clear(&b);
	return rc;
}

/* --- which kind ------------------------------------------------------------------- */

static bool is_pcap(const uint8_t *p, size_t len)
{
	static const uint8_t magic[][4] = {
	    {0xa1, 0xb2, 0xc3, 0xd4}, {0xd4, 0xc3, 0xb2, 0xa1}, {0xa1, 0xb2, 0x3c, 0x4d},
	    {0x4d, 0x3c, 0xb2, 0xa1}, {0x0a, 0x0d, 0x0d, 0x0a}, /* pcapng */
	};

	for (size_t i = 0; len >= 4 && i < sizeof(magic) / sizeof(magic[0]); i++)
		if (memcmp(p, magic[i], 4) == 0)
			return true;
	return false;
}

/* No message is text: its first octet says version 1. */
static bool is_text(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 0x7f || (p[i] < ' ' && !isspace(p[i])))
			return false;
	return true;
}

int decode_input(struct decode *d, const char *name, const uint8_t *p, size_t len, uint16_t port,
    char err[DECODE_ERR_LEN])
{
	struct decode_stream s;

	if (is_pcap(p, len))
		return decode_pcap(d, p, len, port, err);
	if (is_text(p, len))
		return decode_text(d, name, (const char *)p, len, err);
	decode_stream_init(&s, "");
	decode_put(d, &s, p, len);
	decode_end(d, &s);
	decode_stream_clear(&s);
	return 0;
}

/* --- the command ------------------------------------------------------------------ */

/* The whole file and a NUL after it; NULL and err. */
static uint8_t *input_read(const char *path, size_t *len, char err[DECODE_ERR_LEN])
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	uint8_t *octets = NULL;
	struct buf b;
	size_t n = 1;

	if (f == NULL) {
		snprintf(err, DECODE_ERR_LEN, "%s: %s", path, strerror(errno));
		return NULL;
	}
	buf_init(&b, INPUT_MAX);
	while (n > 0 && !b.failed) {
		char chunk[65536];

		n = fread(chunk, 1, sizeof(chunk), f);
		buf_put(&b, chunk, n);
	}
	buf_put_u8(&b, '\0');
	if (ferror(f)) {
		snprintf(err, DECODE_ERR_LEN, "%s: %s", path, strerror(errno));
	} else if (b.failed) {
		snprintf(err, DECODE_ERR_LEN, "%s: larger than %zu MB", path, INPUT_MAX >> 20);
	} else {
		octets = buf_take(&b, len);
		--*len;
	}
	buf_clear(&b);
	if (f != stdin)
		fclose(f);
	return octets;
}

static void emit_text(void *arg, const json_t *message)
{
	decode_print(arg, message);
}

static void emit_json(void *arg, const json_t *message)
{
	json_array_append(arg, (json_t *)message);
}

/* 1..65535, 0 = it is none. */
static uint16_t port_parse(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return *s >= '0' && *s <= '9' && *end == '\0' && n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

static int decode_file(struct decode *d, const char *path, uint16_t port, char err[DECODE_ERR_LEN])
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	size_t len = 0;
	uint8_t *octets = input_read(path, &len, err);
	int rc = -1;

	if (octets == NULL)
		return -1;
	rc = decode_input(d, name, octets, len, port, err);
	free(octets);
	if (rc == 0 && d->messages == 0) {
		snprintf(err, DECODE_ERR_LEN, "%s: no COPS message in it", name);
		rc = -1;
	}
	return rc;
}

int decode_run(const struct cmd *c, const struct writer *w)
{
	const char *port_text = json_get_string(c->args, "port", NULL);
	uint16_t port = port_text != NULL ? port_parse(port_text) : COPS_PORT;
	struct pib_schema *schema;
	struct decode d = {.max = json_get_bool(c->args, "full", false) ? 0 : SHOW_OCTETS};
	json_t *list = c->json ? json_array() : NULL;
	char err[DECODE_ERR_LEN];
	int rc;

	if (port == 0) {
		fprintf(stderr, "copsctl: \"%s\" is not a TCP port\n", port_text);
		json_decref(list);
		return STATUS_USAGE;
	}
	schema = pib_schema_new(modules, sizeof(modules) / sizeof(modules[0]));
	if (schema == NULL)
		return 1;
	d.schema = schema;
	d.emit = c->json ? emit_json : emit_text;
	d.arg = c->json ? (void *)list : (void *)stdout;
	rc = decode_file(&d, json_get_string(c->args, "file", "-"), port, err);
	if (c->json)
		w->result(stdout, list);
	if (rc < 0)
		fprintf(stderr, "%s\n", err);
	json_decref(list);
	pib_schema_free(schema);
	return rc < 0 || d.faults > 0 ? 1 : 0;
}
