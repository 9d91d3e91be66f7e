/*
 * pibc_smi.c - what libsmi knows of a module, in the words of pib_class.h, and
 * the rules of SPPI (RFC 3159 7) and of our descriptors that libsmi does not
 * hold a module to.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pib/pibc.h"

static const char *path_of(SmiNode *n)
{
	return smiGetNodeModule(n)->path;
}

static size_t strip(const char *name, const char *suffix)
{
	size_t len = strlen(name), cut = strlen(suffix);

	return len > cut && strcmp(name + len - cut, suffix) == 0 ? len - cut : len;
}

void pibc_class_name(SmiNode *node, char out[PIBC_NAME_MAX])
{
	SmiNode *row = node->nodekind == SMI_NODEKIND_COLUMN ? smiGetParentNode(node) : node;
	size_t len = strip(row->name, row->nodekind == SMI_NODEKIND_TABLE ? "Table" : "Entry");

	snprintf(out, PIBC_NAME_MAX, "%.*s", (int)len, row->name);
}

SmiNode *pibc_row(SmiNode *table)
{
	return smiGetFirstChildNode(table);
}

SmiNode *pibc_row_of(SmiNode *column)
{
	return smiGetParentNode(column);
}

int pibc_column_number(SmiNode *column)
{
	return (int)column->oid[column->oidlen - 1];
}

void pibc_snake(const char *camel, char out[PIBC_NAME_MAX])
{
	size_t n = 0;

	for (const char *p = camel; *p != '\0' && n + 2 < PIBC_NAME_MAX; p++) {
		bool word = p > camel && isupper((unsigned char)*p) &&
			    (!isupper((unsigned char)p[-1]) || islower((unsigned char)p[1]));

		if (word && p[-1] != '-')
			out[n++] = '_';
		out[n++] = *p == '-' ? '_' : (char)tolower((unsigned char)*p);
	}
	out[n] = '\0';
}

void pibc_upper(const char *snake, char out[PIBC_NAME_MAX])
{
	size_t n = 0;

	for (; snake[n] != '\0' && n + 1 < PIBC_NAME_MAX; n++)
		out[n] = (char)toupper((unsigned char)snake[n]);
	out[n] = '\0';
}

void pibc_label(SmiNode *column, char out[PIBC_NAME_MAX])
{
	char cls[PIBC_NAME_MAX];

	pibc_class_name(column, cls);
	pibc_snake(column->name + strlen(cls), out);
}

struct base {
	SmiBasetype smi;
	const char *base;
	const char *field;
};

static const struct base bases[] = {
    {SMI_BASETYPE_INTEGER32, "PIB_INTEGER32", "int32_t"},
    {SMI_BASETYPE_ENUM, "PIB_INTEGER32", "int32_t"},
    {SMI_BASETYPE_UNSIGNED32, "PIB_UNSIGNED32", "uint32_t"},
    {SMI_BASETYPE_INTEGER64, "PIB_INTEGER64", "int64_t"},
    {SMI_BASETYPE_UNSIGNED64, "PIB_UNSIGNED64", "uint64_t"},
    {SMI_BASETYPE_OCTETSTRING, "PIB_OCTETS", "struct pib_octets"},
    {SMI_BASETYPE_BITS, "PIB_BITS", "struct pib_octets"},
    {SMI_BASETYPE_OBJECTIDENTIFIER, "PIB_OID", "struct pib_octets"},
};

static const struct base *base_of(SmiNode *column)
{
	SmiType *t = smiGetNodeType(column);

	for (size_t i = 0; t != NULL && i < sizeof bases / sizeof bases[0]; i++)
		if (bases[i].smi == t->basetype)
			return &bases[i];
	return NULL;
}

const char *pibc_base(SmiNode *column)
{
	const struct base *b = base_of(column);

	return b != NULL ? b->base : NULL;
}

const char *pibc_field_type(SmiNode *column)
{
	return base_of(column)->field;
}

bool pibc_type_is(SmiNode *column, const char *tc)
{
	for (SmiType *t = smiGetNodeType(column); t != NULL; t = smiGetParentType(t))
		if (t->name != NULL && strcmp(t->name, tc) == 0)
			return true;
	return false;
}

/* Text is what a DISPLAY-HINT such as "255a" or "255t" shows as text. */
const char *pibc_display(SmiNode *column)
{
	if (pibc_type_is(column, "InetAddress"))
		return "PIB_SHOW_ADDRESS";
	for (SmiType *t = smiGetNodeType(column); t != NULL; t = smiGetParentType(t)) {
		size_t len = t->format != NULL ? strlen(t->format) : 0;

		if (t->basetype == SMI_BASETYPE_OCTETSTRING && len > 0 &&
		    strchr("at", t->format[len - 1]) != NULL)
			return "PIB_SHOW_TEXT";
	}
	return "PIB_SHOW_HEX";
}

static const char *access_word(SmiAccess access)
{
	switch (access) {
	case SMI_ACCESS_INSTALL:
		return "PIB_INSTALL";
	case SMI_ACCESS_NOTIFY:
		return "PIB_NOTIFY";
	case SMI_ACCESS_INSTALL_NOTIFY:
		return "PIB_INSTALL_NOTIFY";
	case SMI_ACCESS_REPORT_ONLY:
		return "PIB_REPORT_ONLY";
	case SMI_ACCESS_NOT_ACCESSIBLE:
		return "PIB_NOT_ACCESSIBLE";
	default:
		return NULL;
	}
}

const char *pibc_access(SmiNode *table)
{
	return table->access != SMI_ACCESS_NOT_ACCESSIBLE ? access_word(table->access) : NULL;
}

const char *pibc_min_access(SmiNode *column)
{
	SmiModule *m = smiGetNodeModule(column);

	for (SmiNode *n = smiGetFirstNode(m, SMI_NODEKIND_COMPLIANCE); n != NULL;
	     n = smiGetNextNode(n, SMI_NODEKIND_COMPLIANCE))
		for (SmiRefinement *r = smiGetFirstRefinement(n); r != NULL;
		     r = smiGetNextRefinement(r))
			if (smiGetRefinementNode(r) == column && access_word(r->access) != NULL)
				return access_word(r->access);
	return pibc_access(smiGetParentNode(smiGetParentNode(column)));
}

bool pibc_deprecated(SmiNode *node)
{
	return node->status == SMI_STATUS_DEPRECATED || node->status == SMI_STATUS_OBSOLETE;
}

SmiType *pibc_range_type(SmiNode *column)
{
	for (SmiType *t = smiGetNodeType(column); t != NULL; t = smiGetParentType(t))
		if (smiGetFirstRange(t) != NULL)
			return t;
	return NULL;
}

SmiType *pibc_enum_type(SmiNode *column)
{
	for (SmiType *t = smiGetNodeType(column); t != NULL; t = smiGetParentType(t))
		if (smiGetFirstNamedNumber(t) != NULL)
			return t;
	return NULL;
}

int64_t pibc_signed(const SmiValue *v)
{
	switch (v->basetype) {
	case SMI_BASETYPE_INTEGER32:
	case SMI_BASETYPE_ENUM:
		return (int32_t)v->value.integer32;
	case SMI_BASETYPE_INTEGER64:
		return v->value.integer64;
	default:
		return (int64_t)pibc_unsigned(v);
	}
}

uint64_t pibc_unsigned(const SmiValue *v)
{
	switch (v->basetype) {
	case SMI_BASETYPE_UNSIGNED32:
		return (uint32_t)v->value.unsigned32;
	case SMI_BASETYPE_UNSIGNED64:
		return v->value.unsigned64;
	default:
		return (uint64_t)pibc_signed(v);
	}
}

size_t pibc_ber(const SmiSubid *oid, unsigned int len, uint8_t out[PIBC_NAME_MAX])
{
	size_t n = 0;

	for (unsigned int i = 1; i < len && n + 5 <= PIBC_NAME_MAX; i++) {
		uint32_t arc = i == 1 ? oid[0] * 40 + oid[1] : oid[i];

		for (int shift = 28; shift >= 0; shift -= 7)
			if (shift == 0 || (arc >> shift) != 0)
				out[n++] = (uint8_t)((arc >> shift & 0x7f) | (shift ? 0x80 : 0));
	}
	return n;
}

/* --- rules ------------------------------------------------------------------ */

static void check_column(SmiNode *col, const char *cls, int number)
{
	const char *path = path_of(col);
	int line = smiGetNodeLine(col);
	SmiNode *related = smiGetRelatedNode(col);
	bool refers = pibc_type_is(col, "ReferenceId");
	bool tags = pibc_type_is(col, "TagReferenceId");

	if (col->name == NULL) {
		pibc_error(path, line, "an attribute of %s has no name", cls);
		return;
	}
	if (strncmp(col->name, cls, strlen(cls)) != 0 || col->name[strlen(cls)] == '\0')
		pibc_error(path, line, "%s: its name must start with %s", col->name, cls);
	if (pibc_base(col) == NULL)
		pibc_error(path, line, "%s: SPPI has no such type", col->name);
	if (pibc_column_number(col) != number)
		pibc_error(
		    path, line, "%s: attributes are numbered from 1 without gaps", col->name);
	if (refers && (related == NULL || related->nodekind != SMI_NODEKIND_ROW))
		pibc_error(path, line, "%s: ReferenceId without PIB-REFERENCES", col->name);
	if (tags && (related == NULL || !pibc_type_is(related, "TagId")))
		pibc_error(path, line, "%s: TagReferenceId without PIB-TAG of a TagId", col->name);
	if (!refers && !tags && related != NULL)
		pibc_error(path, line, "%s: PIB-REFERENCES or PIB-TAG on another type", col->name);
}

static void check_row(SmiNode *row)
{
	const char *path = path_of(row);
	int line = smiGetNodeLine(row);
	SmiElement *e = smiGetFirstElement(row);
	SmiNode *related = smiGetRelatedNode(row);
	SmiNode *index = e != NULL ? smiGetElementNode(e) : NULL;

	switch (row->indexkind) {
	case SMI_INDEX_INDEX:
		if (index == NULL || smiGetNextElement(e) != NULL ||
		    smiGetParentNode(index) != row || !pibc_type_is(index, "InstanceId"))
			pibc_error(path, line, "%s: PIB-INDEX names one InstanceId of the class",
			    row->name);
		break;
	case SMI_INDEX_AUGMENT:
	case SMI_INDEX_SPARSE:
		if (related == NULL || related->nodekind != SMI_NODEKIND_ROW)
			pibc_error(path, line, "%s: extends no class", row->name);
		break;
	default:
		pibc_error(path, line, "%s: neither PIB-INDEX nor EXTENDS nor AUGMENTS", row->name);
	}
	for (e = smiGetFirstUniquenessElement(row); e != NULL; e = smiGetNextUniquenessElement(e)) {
		SmiNode *col = smiGetElementNode(e);
		SmiNode *owner = col != NULL ? smiGetParentNode(col) : NULL;

		if (col == NULL || col == index || (owner != row && owner != related))
			pibc_error(path, line, "%s: UNIQUENESS of %s", row->name,
			    col != NULL ? col->name : "an unknown attribute");
	}
}

static void check_table(SmiNode *table)
{
	SmiNode *row = pibc_row(table);
	char cls[PIBC_NAME_MAX];
	int count = 0;

	if (pibc_access(table) == NULL)
		pibc_error(path_of(table), smiGetNodeLine(table), "%s: no PIB-ACCESS", table->name);
	if (row == NULL || row->nodekind != SMI_NODEKIND_ROW) {
		pibc_error(path_of(table), smiGetNodeLine(table), "%s: no row", table->name);
		return;
	}
	check_row(row);
	pibc_class_name(row, cls);
	for (SmiNode *c = smiGetFirstChildNode(row); c != NULL; c = smiGetNextChildNode(c))
		check_column(c, cls, ++count);
	if (count == 0 || count > PIBC_COLUMNS_MAX)
		pibc_error(path_of(row), smiGetNodeLine(row),
		    "%s: %d attributes (1..%d are allowed)", row->name, count, PIBC_COLUMNS_MAX);
}

void pibc_check(SmiModule *m)
{
	for (SmiNode *n = smiGetFirstNode(m, SMI_NODEKIND_TABLE); n != NULL;
	     n = smiGetNextNode(n, SMI_NODEKIND_TABLE))
		check_table(n);
	for (SmiNode *n = smiGetFirstNode(m, SMI_NODEKIND_SCALAR); n != NULL;
	     n = smiGetNextNode(n, SMI_NODEKIND_SCALAR))
		pibc_error(path_of(n), smiGetNodeLine(n), "%s: SPPI has no scalars", n->name);
}
