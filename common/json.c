/*
 * json.c - members with defaults; diagnostics to JSON and back.
 */
#include "common/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/diag.h"

const char *json_get_string(const json_t *obj, const char *key, const char *def)
{
	const json_t *v = json_object_get(obj, key);
	return json_is_string(v) ? json_string_value(v) : def;
}

int64_t json_get_int(const json_t *obj, const char *key, int64_t def)
{
	const json_t *v = json_object_get(obj, key);
	return json_is_integer(v) ? json_integer_value(v) : def;
}

bool json_get_bool(const json_t *obj, const char *key, bool def)
{
	const json_t *v = json_object_get(obj, key);
	return json_is_boolean(v) ? json_boolean_value(v) : def;
}

json_t *json_text(const char *s)
{
	json_t *v = json_string(s);
	char *copy = v ? NULL : strdup(s);

	/* All beyond ASCII goes, octet by octet: columns stay what they were. */
	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	if (copy)
		v = json_string(copy);
	free(copy);
	return v;
}

json_t *json_from_diag(const struct diag *d)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < d->count; i++) {
		const struct diag_entry *e = &d->entry[i];
		json_t *o = json_pack("{so si si si ss so}", "file", json_text(e->file), "line",
		    (int)e->line, "column", (int)e->column, "width", (int)e->width, "severity",
		    e->severity == DIAG_ERROR ? "error" : "warning", "text", json_text(e->text));
		if (o && e->source)
			json_object_set_new(o, "source", json_text(e->source));
		if (!o || json_array_append_new(array, o) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static unsigned get_unsigned(const json_t *o, const char *key)
{
	int64_t v = json_get_int(o, key, 0);
	return v > 0 && v <= INT_MAX ? (unsigned)v : 0;
}

void json_to_diag(const json_t *array, struct diag *d)
{
	size_t i;
	json_t *o;

	json_array_foreach(array, i, o)
	{
		const char *text = json_get_string(o, "text", NULL);
		const char *source = json_get_string(o, "source", NULL);
		if (!text)
			continue;
		bool warning = strcmp(json_get_string(o, "severity", ""), "warning") == 0;
		diag_add(d, warning ? DIAG_WARNING : DIAG_ERROR, json_get_string(o, "file", "-"),
		    get_unsigned(o, "line"), get_unsigned(o, "column"), get_unsigned(o, "width"),
		    source, source ? strlen(source) : 0, "%s", text);
	}
}
