/*
 * pib_class.c - the classes one client-type speaks, found by name, by OID and by
 * descriptor.  A schema is built once and never changes; any thread may read it.
 */
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "pib/pib_class.h"

struct entry {
	const struct pib_class *cls;
	size_t index;
	UT_hash_handle by_cls;
	UT_hash_handle by_name;
	UT_hash_handle by_ber;
};

struct pib_schema {
	size_t count;
	struct entry *by_cls;
	struct entry *by_name;
	struct entry *by_ber;
	struct entry entry[];
};

static bool add(struct pib_schema *s, const struct pib_class *cls)
{
	struct entry *e = &s->entry[s->count];

	e->cls = cls;
	e->index = s->count++;
	HASH_ADD(by_cls, s->by_cls, cls, sizeof e->cls, e);
	HASH_ADD_KEYPTR(by_name, s->by_name, cls->name, strlen(cls->name), e);
	HASH_ADD_KEYPTR(by_ber, s->by_ber, cls->ber, cls->ber_len, e);
	return e->by_cls.tbl != NULL && e->by_name.tbl != NULL && e->by_ber.tbl != NULL;
}

struct pib_schema *pib_schema_new(const struct pib_module *const *module, size_t count)
{
	struct pib_schema *s;
	size_t classes = 0;

	for (size_t i = 0; i < count; i++)
		classes += module[i]->count;
	s = calloc(1, sizeof *s + classes * sizeof s->entry[0]);
	for (size_t i = 0; s != NULL && i < count; i++) {
		for (size_t j = 0; s != NULL && j < module[i]->count; j++) {
			if (!add(s, module[i]->cls[j])) {
				pib_schema_free(s);
				s = NULL;
			}
		}
	}
	return s;
}

void pib_schema_free(struct pib_schema *s)
{
	if (s == NULL)
		return;
	HASH_CLEAR(by_cls, s->by_cls);
	HASH_CLEAR(by_name, s->by_name);
	HASH_CLEAR(by_ber, s->by_ber);
	free(s);
}

size_t pib_schema_count(const struct pib_schema *s)
{
	return s->count;
}

const struct pib_class *pib_schema_class(const struct pib_schema *s, size_t i)
{
	return i < s->count ? s->entry[i].cls : NULL;
}

const struct pib_class *pib_schema_find_name(const struct pib_schema *s, const char *name)
{
	struct entry *e;

	HASH_FIND(by_name, s->by_name, name, strlen(name), e);
	return e != NULL ? e->cls : NULL;
}

const struct pib_class *pib_schema_find_ber(
    const struct pib_schema *s, const uint8_t *ber, size_t len)
{
	struct entry *e;

	HASH_FIND(by_ber, s->by_ber, ber, len, e);
	return e != NULL ? e->cls : NULL;
}

size_t pib_schema_index(const struct pib_schema *s, const struct pib_class *cls)
{
	struct entry *e;

	HASH_FIND(by_cls, s->by_cls, &cls, sizeof cls, e);
	return e != NULL ? e->index : SIZE_MAX;
}

const struct pib_column *pib_column_find(const struct pib_class *cls, uint8_t number)
{
	return number >= 1 && number <= cls->col_count ? &cls->col[number - 1] : NULL;
}

const char *pib_enum_name(const struct pib_column *col, int32_t value)
{
	for (uint8_t i = 0; i < col->enum_count; i++)
		if (col->enums[i].value == value)
			return col->enums[i].name;
	return NULL;
}
