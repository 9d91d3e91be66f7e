/*
 * decode_text.c - a decoded message for people: a line about it, its objects indented
 * below, rows by column below their sub-object, "!" before what is wrong.
 */
#include <stdio.h>

#include "common/json.h"
#include "copsctl/decode.h"

static void print_list(FILE *f, const json_t *list, int indent);

static void print_columns(FILE *f, const json_t *columns, int indent)
{
	const char *name;
	json_t *value;

	/* jansson's macro wants a json_t it may change, and changes nothing */
	json_object_foreach((json_t *)columns, name, value)
	    fprintf(f, "%*s%s: %s\n", indent, "", name, json_string_value(value));
}

static void print_item(FILE *f, const json_t *item, int indent)
{
	const char *fault = json_get_string(item, "fault", NULL);
	const char *note = json_get_string(item, "note", NULL);
	const json_t *columns = json_object_get(item, "columns");
	const json_t *parts = json_object_get(item, "parts");

	if (fault != NULL) {
		fprintf(f, "%*s! octet %lld: %s\n", indent - 2, "",
		    (long long)json_get_int(item, "octet", 0), fault);
		return;
	}
	if (note != NULL) {
		fprintf(f, "%*s%s\n", indent, "", note);
		return;
	}
	fprintf(f, "%*s%s", indent, "", json_get_string(item, "name", "?"));
	if (columns != NULL) {
		fprintf(f, " of %s\n", json_get_string(item, "class", "?"));
		print_columns(f, columns, indent + 4);
	} else if (parts != NULL) {
		fputc('\n', f);
		print_list(f, parts, indent + 4);
	} else {
		fprintf(f, ": %s\n", json_get_string(item, "value", ""));
	}
}

static void print_list(FILE *f, const json_t *list, int indent)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		print_item(f, json_array_get(list, i), indent);
}

void decode_print(FILE *f, const json_t *m)
{
	const char *op = json_get_string(m, "op", NULL);
	const char *stream = json_get_string(m, "stream", NULL);
	const char *time = json_get_string(m, "time", NULL);

	fprintf(f, "%lld  ", (long long)json_get_int(m, "n", 0));
	if (time != NULL)
		fprintf(f, "%s  ", time);
	if (stream != NULL)
		fprintf(f, "%s  ", stream);
	if (op != NULL)
		fprintf(f, "%s  client-type 0x%04llx, %s%lld octets", op,
		    (long long)json_get_int(m, "client_type", 0),
		    json_get_bool(m, "solicited", false) ? "solicited, " : "",
		    (long long)json_get_int(m, "length", 0));
	else
		fprintf(f, "at octet %lld", (long long)json_get_int(m, "octet", 0));
	fputc('\n', f);
	print_list(f, json_object_get(m, "objects"), 4);
}
