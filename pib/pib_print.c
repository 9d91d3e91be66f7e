/*
 * pib_print.c - one column for people: enumerations and bits by name, addresses and
 * text as such, OIDs dotted, everything else as number or hex.  NULL is "-".
 */
#include <inttypes.h>

#include "common/addr.h"
#include "common/buf.h"
#include "pib/pib_codec.h"

static void print_hex(struct buf *b, struct pib_octets o)
{
	for (uint32_t i = 0; i < o.len; i++)
		buf_printf(b, "%02x", o.p[i]);
}

/* Octets that would upset a terminal or a table are shown as \xNN. */
static void print_text(struct buf *b, struct pib_octets o)
{
	for (uint32_t i = 0; i < o.len; i++) {
		if (o.p[i] < 0x20 || o.p[i] == 0x7f || o.p[i] == '\\')
			buf_printf(b, "\\x%02x", o.p[i]);
		else
			buf_put_u8(b, o.p[i]);
	}
}

static void print_address(struct buf *b, struct pib_octets o)
{
	struct addr a;
	char s[ADDR_STRLEN];

	if (addr_from_octets(&a, o.p, o.len) == 0)
		buf_printf(b, "%s", addr_print(&a, s));
	else
		print_hex(b, o);
}

void pib_oid_print(struct buf *b, struct pib_octets o)
{
	uint32_t arc = 0;
	bool first = true;

	for (uint32_t i = 0; i < o.len; i++) {
		arc = arc << 7 | (o.p[i] & 0x7f);
		if (o.p[i] & 0x80)
			continue;
		if (first)
			buf_printf(
			    b, "%u.%u", arc < 80 ? arc / 40 : 2, arc < 80 ? arc % 40 : arc - 80);
		else
			buf_printf(b, ".%u", arc);
		first = false;
		arc = 0;
	}
}

static void print_bits(struct buf *b, const struct pib_column *c, struct pib_octets o)
{
	const char *sep = "";

	for (uint8_t i = 0; i < c->enum_count; i++) {
		uint32_t bit = (uint32_t)c->enums[i].value;

		if (bit / 8 < o.len && (o.p[bit / 8] & (0x80 >> bit % 8))) {
			buf_printf(b, "%s%s", sep, c->enums[i].name);
			sep = ",";
		}
	}
}

static void print_octets(struct buf *b, const struct pib_column *c, struct pib_octets o)
{
	switch (c->display) {
	case PIB_SHOW_TEXT:
		print_text(b, o);
		break;
	case PIB_SHOW_ADDRESS:
		print_address(b, o);
		break;
	case PIB_SHOW_HEX:
		print_hex(b, o);
		break;
	}
}

void pib_value_print(
    struct buf *b, const struct pib_class *cls, const struct pib_column *c, const void *row)
{
	int64_t n = pib_row_number(c, row);
	const char *name = c->base == PIB_INTEGER32 ? pib_enum_name(c, (int32_t)n) : NULL;

	(void)cls;
	if (pib_row_null(c, row)) {
		buf_put_u8(b, '-');
		return;
	}
	switch (c->base) {
	case PIB_OCTETS:
		print_octets(b, c, pib_row_octets(c, row));
		break;
	case PIB_BITS:
		print_bits(b, c, pib_row_octets(c, row));
		break;
	case PIB_OID:
		pib_oid_print(b, pib_row_octets(c, row));
		break;
	case PIB_UNSIGNED64:
		buf_printf(b, "%" PRIu64, (uint64_t)n);
		break;
	default:
		if (name != NULL)
			buf_printf(b, "%s(%" PRId64 ")", name, n);
		else
			buf_printf(b, "%" PRId64, n);
	}
}

const struct pib_class *pib_prid_print(
    const struct pib_schema *s, struct buf *b, const uint8_t *p, size_t len)
{
	const struct pib_class *cls;
	struct pib_fault f = {0};
	uint32_t instance;

	if (pib_prid_parse(s, p, len, &cls, &instance, &f) == 0) {
		buf_printf(b, "%s.%" PRIu32, cls->name, instance);
		return cls;
	}
	/* not BER that an OID of one length octet could be: as it is */
	if (len < 2 || p[0] != 0x06 || p[1] >= 0x80 || p[1] != len - 2) {
		print_hex(b, (struct pib_octets) {p, (uint32_t)len});
		return NULL;
	}
	cls = pib_schema_find_ber(s, p + 2, len - 2);
	if (cls != NULL)
		buf_printf(b, "%s.*", cls->name);
	else
		pib_oid_print(b, (struct pib_octets) {p + 2, (uint32_t)(len - 2)});
	return cls;
}

const char *pib_prid_class_name(const void *schema, const uint8_t *p, size_t len)
{
	const struct pib_schema *s = schema;
	const struct pib_class *cls;
	struct pib_fault f = {0};
	uint32_t instance;

	if (pib_prid_parse(s, p, len, &cls, &instance, &f) == 0)
		return cls->name;
	return f.cls != NULL ? f.cls->name : NULL;
}
