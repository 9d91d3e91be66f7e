/*
 * json.h - what jansson lacks: members of an object with a default, and
 * diagnostics as JSON.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct diag;

/* Member key of obj, or def when it is absent or of another type.  Strings are borrowed. */
const char *json_get_string(const json_t *obj, const char *key, const char *def);
int64_t json_get_int(const json_t *obj, const char *key, int64_t def);
bool json_get_bool(const json_t *obj, const char *key, bool def);

/* s as a JSON string; octets that are not UTF-8 (peers may send anything) become '?'. */
json_t *json_text(const char *s);

/* [{"file","line","column","width","severity","text","source"}, ...]; new reference or NULL. */
json_t *json_from_diag(const struct diag *d);
/* The reverse, adding to *d what is well formed. */
void json_to_diag(const json_t *array, struct diag *d);

#endif
