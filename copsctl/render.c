/*
 * render.c - the text and the JSON writer.  Text from elsewhere (names, kernel
 * messages, peers' errors) goes to a terminal, so control characters do not.
 */
#include "copsctl/render.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/diag.h"
#include "common/json.h"

#define INDENT	    2
#define COLUMNS_MAX 32
#define CELL_MAX    4 /* members of an object that a cell may hold */

/* ---- values -------------------------------------------------------------- */

static void put_text(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		buf_put_u8(b, c < 0x20 || c == 0x7f ? '?' : c);
	}
}

static void put_time(struct buf *b, int64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char text[32];

	if (when == 0)
		buf_printf(b, "-");
	else if (localtime_r(&t, &tm) && strftime(text, sizeof(text), "%F %T", &tm))
		buf_printf(b, "%s", text);
	else
		buf_printf(b, "%" PRId64, when);
}

/* The two largest units are enough for a reader: "3d 4h", "12m 5s", "7s". */
static void put_duration(struct buf *b, int64_t s)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} unit[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
	const char *gap = "";
	unsigned shown = 0;

	if (s == 0)
		buf_printf(b, "0s");
	for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]) && shown < 2; i++) {
		if (s < unit[i].seconds && !shown)
			continue;
		if (s / unit[i].seconds) {
			buf_printf(b, "%s%" PRId64 "%s", gap, s / unit[i].seconds, unit[i].name);
			gap = " ";
		}
		s %= unit[i].seconds;
		shown++;
	}
}

/* What the end of a key says about a number. */
static const struct {
	const char *suffix;
	void (*put)(struct buf *b, int64_t v);
} unit_of[] = {
    {"_at", put_time},
    {"when", put_time},
    {"until", put_time},
    {"_s", put_duration},
};

/* "_at" ends "since_at", and is what "at" means too. */
static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s);
	size_t m = strlen(end);

	return (n >= m && strcmp(s + n - m, end) == 0) || (*end == '_' && strcmp(s, end + 1) == 0);
}

static void put_integer(struct buf *b, const char *key, int64_t v)
{
	for (size_t i = 0; v >= 0 && i < sizeof(unit_of) / sizeof(unit_of[0]); i++) {
		if (ends_with(key, unit_of[i].suffix)) {
			unit_of[i].put(b, v);
			return;
		}
	}
	buf_printf(b, "%" PRId64, v);
}

static void put_value(struct buf *b, const char *key, const json_t *v)
{
	const char *gap = "";
	const char *name;
	const json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_STRING:
		put_text(b, *json_string_value(v) ? json_string_value(v) : "-");
		break;
	case JSON_INTEGER:
		put_integer(b, key, json_integer_value(v));
		break;
	case JSON_REAL:
		buf_printf(b, "%g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_printf(b, json_is_true(v) ? "yes" : "no");
		break;
	case JSON_NULL:
		buf_printf(b, "-");
		break;
	case JSON_ARRAY:
		if (json_array_size(v) == 0)
			buf_printf(b, "-");
		json_array_foreach(v, i, item)
		{
			buf_printf(b, "%s", gap);
			put_value(b, key, item);
			gap = ", ";
		}
		break;
	case JSON_OBJECT: /* in a table's cell */
		json_object_foreach((json_t *)(uintptr_t)v, name, item)
		{
			buf_printf(b, "%s%s ", gap, name);
			put_value(b, name, item);
			gap = ", ";
		}
		break;
	}
}

char *render_value(const char *key, const json_t *value)
{
	struct buf b;
	size_t len;

	buf_init(&b, 0);
	put_value(&b, key, value);
	buf_put_u8(&b, '\0');
	if (b.failed) {
		buf_clear(&b);
		return NULL;
	}
	return (char *)buf_take(&b, &len);
}

/* ---- text ---------------------------------------------------------------- */

/* Columns a terminal gives to UTF-8 text, near enough: one for every code point. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_padded(FILE *f, const char *s, int width, bool right)
{
	int pad = width - width_of(s);

	fprintf(f, "%*s%s%*s", right && pad > 0 ? pad : 0, "", s, !right && pad > 0 ? pad : 0, "");
}

/* A key as people read it: "applied_lsn" -> "applied lsn"; a table's heading in capitals. */
static void print_key(FILE *f, const char *key, int width, bool heading)
{
	char name[64];
	size_t n = 0;

	for (; key[n] && n + 1 < sizeof(name); n++) {
		name[n] = key[n] == '_' ? ' ' : key[n];
		if (heading && name[n] >= 'a' && name[n] <= 'z')
			name[n] = (char)(name[n] - 'a' + 'A');
	}
	name[n] = '\0';
	print_padded(f, name, width, false);
}

static bool is_plain(const json_t *v)
{
	const json_t *item;
	size_t i;

	if (json_is_object(v))
		return false;
	json_array_foreach(v, i, item)
	{
		if (json_is_object(item) || json_is_array(item))
			return false;
	}
	return true;
}

/* Every item an object whose members fit into cells. */
static bool is_table(const json_t *list)
{
	const json_t *row;
	const json_t *v;
	const char *key;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (!json_is_object(row))
			return false;
		json_object_foreach((json_t *)(uintptr_t)row, key, v)
		{
			const char *inner;
			const json_t *w;

			if ((json_is_array(v) && !is_plain(v)) || json_object_size(v) > CELL_MAX)
				return false;
			json_object_foreach((json_t *)(uintptr_t)v, inner, w)
			{
				if (!is_plain(w))
					return false;
			}
		}
	}
	return true;
}

struct column {
	const char *key;
	int width;
	bool number; /* right-aligned */
};

struct table {
	struct column column[COLUMNS_MAX];
	size_t columns;
};

static struct column *table_column(struct table *t, const char *key)
{
	for (size_t i = 0; i < t->columns; i++) {
		if (strcmp(t->column[i].key, key) == 0)
			return &t->column[i];
	}
	if (t->columns == COLUMNS_MAX)
		return NULL;
	t->column[t->columns] = (struct column) {
	    .key = key, .width = width_of(key), .number = true};
	return &t->column[t->columns++];
}

/* The columns: every key of any row, in the order of their first appearance. */
static void table_measure(struct table *t, const json_t *list)
{
	const json_t *row;
	const json_t *v;
	const char *key;
	size_t i;

	t->columns = 0;
	json_array_foreach(list, i, row)
	{
		json_object_foreach((json_t *)(uintptr_t)row, key, v)
		{
			struct column *c = table_column(t, key);
			char *cell = c ? render_value(key, v) : NULL;

			if (cell && width_of(cell) > c->width)
				c->width = width_of(cell);
			if (c && !json_is_number(v) && !json_is_null(v))
				c->number = false;
			free(cell);
		}
	}
}

static void table_print(FILE *f, const json_t *list, int indent)
{
	const json_t *row;
	struct table t;
	size_t i;

	table_measure(&t, list);
	fprintf(f, "%*s", indent, "");
	for (size_t c = 0; c < t.columns; c++) {
		bool last = c + 1 == t.columns;

		if (t.column[c].number)
			fprintf(f, "%*s", t.column[c].width - width_of(t.column[c].key), "");
		print_key(
		    f, t.column[c].key, last || t.column[c].number ? 0 : t.column[c].width, true);
		fputs(last ? "\n" : "  ", f);
	}
	json_array_foreach(list, i, row)
	{
		fprintf(f, "%*s", indent, "");
		for (size_t c = 0; c < t.columns; c++) {
			const json_t *v = json_object_get(row, t.column[c].key);
			char *cell = v ? render_value(t.column[c].key, v) : NULL;
			bool last = c + 1 == t.columns;

			print_padded(f, cell ? cell : "-",
			    last && !t.column[c].number ? 0 : t.column[c].width,
			    t.column[c].number);
			fputs(last ? "\n" : "  ", f);
			free(cell);
		}
	}
}

static void print_any(FILE *f, const json_t *v, int indent);

static void print_object(FILE *f, const json_t *object, int indent)
{
	const char *key;
	const json_t *v;
	int width = 0;

	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		if (is_plain(v) && width_of(key) > width)
			width = width_of(key);
	}
	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		fprintf(f, "%*s", indent, "");
		print_key(f, key, 0, false);
		if (is_plain(v)) {
			char *text = render_value(key, v);

			fprintf(f, ":%*s %s\n", width - width_of(key), "", text ? text : "-");
			free(text);
		} else {
			fputs(":\n", f);
			print_any(f, v, indent + INDENT);
		}
	}
}

static void print_list(FILE *f, const json_t *list, int indent)
{
	const json_t *item;
	size_t i;

	if (json_array_size(list) == 0) {
		fprintf(f, "%*snone\n", indent, "");
	} else if (is_table(list)) {
		table_print(f, list, indent);
	} else {
		json_array_foreach(list, i, item)
		{
			if (i && !is_plain(item))
				fputc('\n', f);
			print_any(f, item, indent);
		}
	}
}

static void print_any(FILE *f, const json_t *v, int indent)
{
	if (json_is_object(v)) {
		print_object(f, v, indent);
	} else if (json_is_array(v)) {
		print_list(f, v, indent);
	} else {
		char *text = render_value("", v);

		fprintf(f, "%*s%s\n", indent, "", text ? text : "-");
		free(text);
	}
}

static void text_result(FILE *f, const json_t *result)
{
	if (!json_is_null(result))
		print_any(f, result, 0);
}

static void text_failure(FILE *f, const json_t *error)
{
	const json_t *diags = json_object_get(error, "diags");
	const char *message = json_get_string(error, "message", "failed");

	if (json_array_size(diags)) {
		struct diag d;

		diag_init(&d);
		json_to_diag(diags, &d);
		diag_print(&d, f);
		diag_clear(&d);
		return;
	}
	fputs("copsctl: ", f);
	for (; *message; message++)
		fputc((unsigned char)*message < 0x20 || *message == 0x7f ? '?' : *message, f);
	fputc('\n', f);
}

const struct writer writer_text = {.result = text_result, .failure = text_failure};

/* ---- JSON ---------------------------------------------------------------- */

static void json_result(FILE *f, const json_t *result)
{
	json_dumpf(result, f, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', f);
}

static void json_failure(FILE *f, const json_t *error)
{
	json_t *o = json_pack("{s:O}", "error", error);

	json_dumpf(o, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(o);
}

const struct writer writer_json = {.result = json_result, .failure = json_failure};
