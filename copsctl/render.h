/*
 * render.h - answers of the daemons, for people or for programs.  Every show is written
 * once, as JSON, by the daemon that knows; what it looks like is decided here, by the
 * shape of the answer alone:
 *
 *	a list of plain objects		a table, one column per key
 *	an object			key: value lines, nested things indented below
 *	a list of anything else		its items, one after the other
 */
#ifndef COPSCTL_RENDER_H
#define COPSCTL_RENDER_H

#include <jansson.h>
#include <stdio.h>

struct writer {
	void (*result)(FILE *f, const json_t *result);
	/* error: {"code", "message", "diags"} of the control protocol. */
	void (*failure)(FILE *f, const json_t *error);
};

extern const struct writer writer_text;
extern const struct writer writer_json;

/* One value as it stands in a table or after a key; key decides about units. malloc()ed, or NULL.
 */
char *render_value(const char *key, const json_t *value);

#endif
