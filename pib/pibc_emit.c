/*
 * pibc_emit.c - writes a checked module as C: a header with a struct, column numbers
 * and enumerations per class, and a source file with the const descriptors.
 * What it writes has to pass the warnings the rest of the tree is built with.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "pib/pibc.h"

#define ERRORS_MAX 64

#define FOR_CLASSES(m, t)                                                                          \
	for (SmiNode *t = smiGetFirstNode(m, SMI_NODEKIND_TABLE); t != NULL;                       \
	     t = smiGetNextNode(t, SMI_NODEKIND_TABLE))
#define FOR_COLUMNS(row, c)                                                                        \
	for (SmiNode *c = smiGetFirstChildNode(row); c != NULL; c = smiGetNextChildNode(c))

/* A class's or a module's names, in the three spellings the output needs. */
struct names {
	char camel[PIBC_NAME_MAX];
	char snake[PIBC_NAME_MAX];
	char upper[PIBC_NAME_MAX];
};

static struct names names_of(SmiNode *node)
{
	struct names n;

	pibc_class_name(node, n.camel);
	pibc_snake(n.camel, n.snake);
	pibc_upper(n.snake, n.upper);
	return n;
}

static struct names module_names(SmiModule *m)
{
	struct names n;

	snprintf(n.camel, sizeof n.camel, "%s", m->name);
	pibc_snake(m->name, n.snake);
	pibc_upper(n.snake, n.upper);
	return n;
}

static void upper_of(const char *camel, char out[PIBC_NAME_MAX])
{
	char snake[PIBC_NAME_MAX];

	pibc_snake(camel, snake);
	pibc_upper(snake, out);
}

static long subject_category(SmiModule *m, const struct pibc_text *t)
{
	SmiNode *id = smiGetModuleIdentityNode(m);
	struct pibc_named cat[8];
	int n = pibc_text_named(
	    t, id != NULL ? smiGetNodeLine(id) : 1, "SUBJECT-CATEGORIES", cat, 8);

	return n == 1 ? cat[0].value : 0; /* "all" has no number */
}

/* --- the header ------------------------------------------------------------- */

static void emit_struct(FILE *f, SmiNode *row)
{
	struct names n = names_of(row);
	char label[PIBC_NAME_MAX], upper[PIBC_NAME_MAX];

	fprintf(f, "\n/* %s */\nstruct pib_%s {\n\tuint64_t null_mask;\n", n.camel, n.snake);
	FOR_COLUMNS(row, c)
	{
		pibc_label(c, label);
		fprintf(f, "\t%s %s;", pibc_field_type(c), label);
		if (c->units != NULL)
			fprintf(f, " /* %s */", c->units);
		fputc('\n', f);
	}
	fprintf(f, "};\nextern const struct pib_class pib_%s_class;\n", n.snake);
	FOR_COLUMNS(row, c)
	{
		pibc_label(c, label);
		pibc_upper(label, upper);
		fprintf(f, "#define PIB_%s_COL_%s %d\n", n.upper, upper, pibc_column_number(c));
	}
}

static void emit_enum(FILE *f, SmiNode *col)
{
	struct names n = names_of(col);
	SmiType *t = pibc_enum_type(col);
	char label[PIBC_NAME_MAX], upper[PIBC_NAME_MAX], value[PIBC_NAME_MAX];

	if (t == NULL)
		return;
	pibc_label(col, label);
	pibc_upper(label, upper);
	fprintf(f, "enum pib_%s_%s {\n", n.snake, label);
	for (SmiNamedNumber *v = smiGetFirstNamedNumber(t); v != NULL;
	     v = smiGetNextNamedNumber(v)) {
		upper_of(v->name, value);
		fprintf(f, "\tPIB_%s_%s_%s = %lld,\n", n.upper, upper, value,
		    (long long)pibc_signed(&v->value));
	}
	fprintf(f, "};\n");
}

static int64_t number_default(SmiNode *col)
{
	switch (col->value.basetype) {
	case SMI_BASETYPE_UNKNOWN: /* no DEFVAL */
	case SMI_BASETYPE_OCTETSTRING:
	case SMI_BASETYPE_BITS:
	case SMI_BASETYPE_OBJECTIDENTIFIER:
		return 0;
	default:
		return pibc_signed(&col->value);
	}
}

/* For initializers of a row: its columns whose default is a number other than 0. */
static void emit_defaults(FILE *f, SmiNode *row)
{
	struct names n = names_of(row);
	char label[PIBC_NAME_MAX];
	bool any = false;

	FOR_COLUMNS(row, c)
	{
		int64_t v = number_default(c);
		if (v == 0)
			continue;
		pibc_label(c, label);
		if (!any)
			fprintf(f, "#define PIB_%s_DEFAULTS ", n.upper);
		fprintf(f, "%s.%s = %lld", any ? ", " : "", label, (long long)v);
		any = true;
	}
	if (any)
		fprintf(f, "\n");
}

static void emit_error_enum(FILE *f, SmiNode *table, const struct pibc_text *text)
{
	struct names n = names_of(table);
	struct pibc_named err[ERRORS_MAX];
	int count = pibc_text_named(text, smiGetNodeLine(table), "INSTALL-ERRORS", err, ERRORS_MAX);
	char upper[PIBC_NAME_MAX];

	if (count <= 0)
		return;
	fprintf(f, "enum pib_%s_err { /* INSTALL-ERRORS */\n", n.snake);
	for (int i = 0; i < count; i++) {
		upper_of(err[i].name, upper);
		fprintf(f, "\tPIB_%s_ERR_%s = %ld,\n", n.upper, upper, err[i].value);
	}
	fprintf(f, "};\n");
}

static void emit_header(FILE *f, SmiModule *m, const struct pibc_text *text)
{
	struct names n = module_names(m);

	fprintf(f, "/* Written by pibc from %s; edit that, not this. */\n", m->name);
	fprintf(f, "#ifndef PIB_GEN_%s_H\n#define PIB_GEN_%s_H\n\n", n.upper, n.upper);
	fprintf(f, "#include \"pib/pib_class.h\"\n\n");
	fprintf(f, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
	fprintf(f, "extern const struct pib_module pib_%s_module;\n", n.snake);
	fprintf(f, "#define PIB_%s_SUBJECT_CATEGORY %ld\n", n.upper, subject_category(m, text));
	FOR_CLASSES(m, t)
	{
		emit_struct(f, pibc_row(t));
		FOR_COLUMNS(pibc_row(t), c)
		emit_enum(f, c);
		emit_defaults(f, pibc_row(t));
		emit_error_enum(f, t, text);
	}
	fprintf(f, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

/* --- the descriptors -------------------------------------------------------- */

static void emit_oid(FILE *f, SmiNode *row)
{
	struct names n = names_of(row);
	uint8_t ber[PIBC_NAME_MAX];
	size_t len = pibc_ber(row->oid, row->oidlen, ber);

	fprintf(f, "\nstatic const uint32_t %s_oid[] = {", n.snake);
	for (unsigned int i = 0; i < row->oidlen; i++)
		fprintf(f, "%s%u", i > 0 ? ", " : "", row->oid[i]);
	fprintf(f, "};\nstatic const uint8_t %s_ber[] = {", n.snake);
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%s0x%02x", i > 0 ? ", " : "", ber[i]);
	fprintf(f, "};\n");
}

static void emit_range(FILE *f, SmiNode *col)
{
	struct names n = names_of(col);
	SmiType *t = pibc_range_type(col);
	char label[PIBC_NAME_MAX];

	if (t == NULL)
		return;
	pibc_label(col, label);
	fprintf(f, "static const struct pib_range %s_%s_range[] = {", n.snake, label);
	for (SmiRange *r = smiGetFirstRange(t); r != NULL; r = smiGetNextRange(r))
		fprintf(f, "{%lld, %lluU}, ", (long long)pibc_signed(&r->minValue),
		    (unsigned long long)pibc_unsigned(&r->maxValue));
	fprintf(f, "};\n");
}

static void emit_values(FILE *f, SmiNode *col)
{
	struct names n = names_of(col);
	SmiType *t = pibc_enum_type(col);
	char label[PIBC_NAME_MAX];

	if (t == NULL)
		return;
	pibc_label(col, label);
	fprintf(f, "static const struct pib_enum %s_%s_enum[] = {\n", n.snake, label);
	for (SmiNamedNumber *v = smiGetFirstNamedNumber(t); v != NULL; v = smiGetNextNamedNumber(v))
		fprintf(f, "\t{%lld, \"%s\"},\n", (long long)pibc_signed(&v->value), v->name);
	fprintf(f, "};\n");
}

static void emit_string(FILE *f, const uint8_t *p, size_t len)
{
	fprintf(f, "\t\t.default_octets = {(const uint8_t *)\"");
	for (size_t i = 0; i < len; i++)
		fprintf(f, "\\%03o", p[i]);
	fprintf(f, "\", %zu},\n", len);
}

static void emit_default(FILE *f, SmiNode *col)
{
	const SmiValue *v = &col->value;
	uint8_t ber[PIBC_NAME_MAX];

	switch (v->basetype) {
	case SMI_BASETYPE_UNKNOWN: /* no DEFVAL */
		return;
	case SMI_BASETYPE_OCTETSTRING:
	case SMI_BASETYPE_BITS:
		emit_string(f, (const uint8_t *)v->value.ptr, v->len);
		break;
	case SMI_BASETYPE_OBJECTIDENTIFIER:
		emit_string(f, ber, pibc_ber(v->value.oid, v->len, ber));
		break;
	default:
		fprintf(f, "\t\t.default_number = %lld,\n", (long long)pibc_signed(v));
	}
	fprintf(f, "\t\t.has_default = true,\n");
}

static void emit_related(FILE *f, SmiNode *col)
{
	SmiNode *related = smiGetRelatedNode(col);
	struct names n;

	if (related == NULL)
		return;
	n = names_of(related);
	if (related->nodekind == SMI_NODEKIND_ROW)
		fprintf(f, "\t\t.refers = &pib_%s_class,\n", n.snake);
	else
		fprintf(f, "\t\t.tag_class = &pib_%s_class,\n\t\t.tag_column = %d,\n", n.snake,
		    pibc_column_number(related));
	if (col->value.basetype != SMI_BASETYPE_UNKNOWN && pibc_unsigned(&col->value) == 0)
		fprintf(f, "\t\t.ref_zero = true,\n");
}

static bool is_index(SmiNode *col)
{
	SmiElement *e = smiGetFirstElement(pibc_row_of(col));

	return pibc_row_of(col)->indexkind == SMI_INDEX_INDEX && e != NULL &&
	       smiGetElementNode(e) == col;
}

static void emit_column(FILE *f, SmiNode *col, const struct pibc_text *text)
{
	struct names n = names_of(col);
	char label[PIBC_NAME_MAX];

	pibc_label(col, label);
	fprintf(f, "\t{\n\t\t.name = \"%s\",\n\t\t.label = \"%s\",\n", col->name, label);
	fprintf(f, "\t\t.number = %d,\n", pibc_column_number(col));
	fprintf(f, "\t\t.base = %s,\n\t\t.display = %s,\n", pibc_base(col), pibc_display(col));
	fprintf(f, "\t\t.offset = offsetof(struct pib_%s, %s),\n", n.snake, label);
	if (pibc_range_type(col) != NULL)
		fprintf(f, "\t\t.range = %s_%s_range,\n\t\t.ranges = COUNT(%s_%s_range),\n",
		    n.snake, label, n.snake, label);
	if (pibc_enum_type(col) != NULL)
		fprintf(f, "\t\t.enums = %s_%s_enum,\n\t\t.enum_count = COUNT(%s_%s_enum),\n",
		    n.snake, label, n.snake, label);
	if (is_index(col))
		fprintf(f, "\t\t.index = true,\n");
	if (pibc_deprecated(col))
		fprintf(f, "\t\t.deprecated = true,\n");
	fprintf(f, "\t\t.min_access = %s,\n", pibc_min_access(col));
	if (pibc_text_mark(text, smiGetNodeLine(col), "nullable"))
		fprintf(f, "\t\t.nullable = true,\n");
	if (pibc_type_is(col, "TagId"))
		fprintf(f, "\t\t.is_tag = true,\n");
	if (pibc_type_is(col, "Prid"))
		fprintf(f, "\t\t.prid = true,\n");
	if (pibc_type_is(col, "RoleCombination"))
		fprintf(f, "\t\t.roles = true,\n");
	emit_related(f, col);
	emit_default(f, col);
	if (col->units != NULL)
		fprintf(f, "\t\t.units = \"%s\",\n", col->units);
	fprintf(f, "\t},\n");
}

static void emit_unique(FILE *f, SmiNode *row)
{
	struct names n = names_of(row);
	SmiElement *e = smiGetFirstUniquenessElement(row);

	if (e == NULL)
		return;
	fprintf(f, "static const uint8_t %s_unique[] = {", n.snake);
	for (; e != NULL; e = smiGetNextUniquenessElement(e)) {
		SmiNode *col = smiGetElementNode(e);

		fprintf(f, "%s%d, ", pibc_row_of(col) != row ? "PIB_UNIQUE_BASE | " : "",
		    pibc_column_number(col));
	}
	fprintf(f, "};\n");
}

static int emit_install_errors(FILE *f, SmiNode *table, const struct pibc_text *text)
{
	struct names n = names_of(table);
	struct pibc_named err[ERRORS_MAX];
	int count = pibc_text_named(text, smiGetNodeLine(table), "INSTALL-ERRORS", err, ERRORS_MAX);

	if (count <= 0)
		return 0;
	fprintf(f, "static const struct pib_enum %s_err[] = {\n", n.snake);
	for (int i = 0; i < count; i++)
		fprintf(f, "\t{%ld, \"%s\"},\n", err[i].value, err[i].name);
	fprintf(f, "};\n");
	return count;
}

static void emit_class(FILE *f, SmiNode *table, const struct pibc_text *text, int ordinal)
{
	SmiNode *row = pibc_row(table);
	struct names n = names_of(row);
	int errors;

	emit_oid(f, row);
	FOR_COLUMNS(row, c)
	{
		emit_range(f, c);
		emit_values(f, c);
	}
	fprintf(f, "static const struct pib_column %s_col[] = {\n", n.snake);
	FOR_COLUMNS(row, c)
	emit_column(f, c, text);
	fprintf(f, "};\n");
	emit_unique(f, row);
	errors = emit_install_errors(f, table, text);

	fprintf(
	    f, "const struct pib_class pib_%s_class = {\n\t.name = \"%s\",\n", n.snake, n.camel);
	fprintf(f, "\t.oid = %s_oid,\n\t.oid_len = COUNT(%s_oid),\n", n.snake, n.snake);
	fprintf(f, "\t.ber = %s_ber,\n\t.ber_len = COUNT(%s_ber),\n", n.snake, n.snake);
	fprintf(f, "\t.access = %s,\n", pibc_access(table));
	fprintf(f, "\t.col = %s_col,\n\t.col_count = COUNT(%s_col),\n", n.snake, n.snake);
	fprintf(f, "\t.row_size = sizeof(struct pib_%s),\n", n.snake);
	if (smiGetFirstUniquenessElement(row) != NULL)
		fprintf(f, "\t.unique = %s_unique,\n\t.unique_count = COUNT(%s_unique),\n", n.snake,
		    n.snake);
	if (row->indexkind != SMI_INDEX_INDEX)
		fprintf(f, "\t.base = &pib_%s_class,\n", names_of(smiGetRelatedNode(row)).snake);
	if (row->indexkind == SMI_INDEX_AUGMENT)
		fprintf(f, "\t.augments = true,\n");
	if (pibc_text_mark(text, smiGetNodeLine(table), "transient"))
		fprintf(f, "\t.transient = true,\n");
	if (pibc_deprecated(table) || pibc_deprecated(row))
		fprintf(f, "\t.deprecated = true,\n");
	if (errors > 0)
		fprintf(f, "\t.install_errors = %s_err,\n\t.install_error_count = COUNT(%s_err),\n",
		    n.snake, n.snake);
	fprintf(f, "\t.ordinal = %d,\n};\n", ordinal);
}

/* A header of this run is beside the source that includes it, another in libpib. */
static void emit_include(FILE *f, SmiModule *m)
{
	fprintf(
	    f, "#include \"%s%s.h\"\n", pibc_compiles(m) ? "" : "pib/gen/", module_names(m).snake);
}

/* The headers of other modules whose classes this one refers to or extends. */
static void emit_includes(FILE *f, SmiModule *m)
{
	SmiModule *seen[32] = {m};
	int count = 1;

	emit_include(f, m);
	for (SmiNode *n = smiGetFirstNode(m, SMI_NODEKIND_ROW | SMI_NODEKIND_COLUMN);
	     n != NULL && count < 32;
	     n = smiGetNextNode(n, SMI_NODEKIND_ROW | SMI_NODEKIND_COLUMN)) {
		SmiNode *related = smiGetRelatedNode(n);
		SmiModule *other = related != NULL ? smiGetNodeModule(related) : m;
		int i = 0;

		while (i < count && seen[i] != other)
			i++;
		if (i < count)
			continue;
		seen[count++] = other;
		emit_include(f, other);
	}
}

static void emit_source(FILE *f, SmiModule *m, const struct pibc_text *text)
{
	struct names n = module_names(m);
	int ordinal = 0;

	fprintf(f, "/* Written by pibc from %s; edit that, not this. */\n", m->name);
	emit_includes(f, m);
	fprintf(f, "\n#define COUNT(a) (sizeof(a) / sizeof((a)[0]))\n");
	FOR_CLASSES(m, t)
	emit_class(f, t, text, ordinal++);
	fprintf(f, "\nstatic const struct pib_class *const classes[] = {\n");
	FOR_CLASSES(m, t)
	fprintf(f, "\t&pib_%s_class,\n", names_of(t).snake);
	fprintf(f, "};\n\nconst struct pib_module pib_%s_module = {\n", n.snake);
	fprintf(f, "\t.name = \"%s\",\n\t.cls = classes,\n\t.count = COUNT(classes),\n", m->name);
	fprintf(f, "\t.subject_category = PIB_%s_SUBJECT_CATEGORY,\n};\n", n.upper);
}

static void emit_file(SmiModule *m, const struct pibc_text *text, const char *dir, char kind,
    void (*emit)(FILE *f, SmiModule *m, const struct pibc_text *text))
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s.%c", dir, module_names(m).snake, kind);
	if ((f = fopen(path, "w")) == NULL) {
		pibc_error(path, 0, "cannot write it");
		return;
	}
	emit(f, m, text);
	if (ferror(f) != 0 || fclose(f) != 0)
		pibc_error(path, 0, "cannot write it");
}

void pibc_emit(SmiModule *m, const struct pibc_text *t, const char *dir)
{
	emit_file(m, t, dir, 'h', emit_header);
	emit_file(m, t, dir, 'c', emit_source);
}
