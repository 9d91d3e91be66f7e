/*
 * apply.c - counts the outcomes of a change and says in words what did not hold.
 */
#include "copsctl/apply.h"

#include <string.h>

#include "common/json.h"

static void print_failure(FILE *f, const json_t *ce)
{
	const char *row = json_get_string(ce, "row", "");
	const char *column = json_get_string(ce, "column", "");
	const char *error = json_get_string(ce, "error", "");
	const char *text = json_get_string(ce, "text", "");

	fprintf(f, "copsctl: %s ", json_get_string(ce, "ce", "a CE"));
	if (*row)
		fprintf(f, "refused row %s%s%s: ", row, *column ? " column " : "", column);
	else
		fputs("refused: ", f);
	fprintf(f, *text && *error ? "%s (%s)\n" : "%s%s\n", text,
	    *text || *error ? error : "no reason given");
}

bool apply_held(const json_t *result, bool strict, FILE *f)
{
	const json_t *ces = json_object_get(result, "ces");
	size_t failed = 0;
	size_t waiting = 0;
	size_t offline = 0;
	const json_t *ce;
	size_t i;

	json_array_foreach(ces, i, ce)
	{
		const char *state = json_get_string(ce, "state", "");

		if (strcmp(state, "failed") == 0) {
			print_failure(f, ce);
			failed++;
		} else if (strcmp(state, "waiting") == 0) {
			fprintf(f, "copsctl: %s has not answered yet\n",
			    json_get_string(ce, "ce", "a CE"));
			waiting++;
		} else if (strcmp(state, "offline") == 0) {
			offline++;
		}
	}
	if (offline)
		fprintf(f, "copsctl: %zu CE%s not connected; %s the change on connecting\n",
		    offline, offline == 1 ? " is" : "s are", offline == 1 ? "it gets" : "they get");
	return !failed && !waiting && !(strict && offline);
}
