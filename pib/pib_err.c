/*
 * pib_err.c - the error codes of RFC 3084 4.4 and 4.5 by name, and a fault as a
 * line for people.
 */
#include <stdio.h>

#include "pib/pib_class.h"
#include "pib/pib_err.h"

static const char *const gperr_names[] = {
    [PIB_GPERR_MEM_LOW] = "availMemLow",
    [PIB_GPERR_MEM_EXHAUSTED] = "availMemExhausted",
    [PIB_GPERR_UNKNOWN_TAG] = "unknownASN.1Tag",
    [PIB_GPERR_MAX_MSG] = "maxMsgSizeExceeded",
    [PIB_GPERR_UNKNOWN] = "unknownError",
    [PIB_GPERR_MAX_STATES] = "maxRequestStatesOpen",
    [PIB_GPERR_BAD_LENGTH] = "invalidASN.1Length",
    [PIB_GPERR_BAD_PAD] = "invalidObjectPad",
    [PIB_GPERR_UNKNOWN_DATA] = "unknownPIBData",
    [PIB_GPERR_UNKNOWN_OBJECT] = "unknownCOPSPRObject",
    [PIB_GPERR_MALFORMED_DECISION] = "malformedDecision",
};

static const char *const cperr_names[] = {
    [PIB_CPERR_SPACE] = "priSpaceExhausted",
    [PIB_CPERR_INSTANCE] = "priInstanceInvalid",
    [PIB_CPERR_VALUE] = "attrValueInvalid",
    [PIB_CPERR_VALUE_SUP] = "attrValueSupLimited",
    [PIB_CPERR_ENUM_SUP] = "attrEnumSupLimited",
    [PIB_CPERR_MAX_LENGTH] = "attrMaxLengthExceeded",
    [PIB_CPERR_REFERENCE] = "attrReferenceUnknown",
    [PIB_CPERR_NOTIFY_ONLY] = "priNotifyOnly",
    [PIB_CPERR_UNKNOWN_PRC] = "unknownPrc",
    [PIB_CPERR_TOO_FEW] = "tooFewAttrs",
    [PIB_CPERR_TYPE] = "invalidAttrType",
    [PIB_CPERR_DELETED_IN_REF] = "deletedInRef",
    [PIB_CPERR_SPECIFIC] = "priSpecificError",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *pib_gperr_name(unsigned code)
{
	return code < COUNT(gperr_names) && gperr_names[code] != NULL ? gperr_names[code]
								      : "unknown code";
}

const char *pib_cperr_name(unsigned code)
{
	return code < COUNT(cperr_names) && cperr_names[code] != NULL ? cperr_names[code]
								      : "unknown code";
}

/* The fault's row: "ceVpnPeer.12", or dotted numbers when the class is not known. */
static void print_row(const struct pib_fault *f, char *buf, size_t len)
{
	uint64_t arc = 0;
	int n = 0;

	if (f->cls != NULL) {
		snprintf(buf, len, f->instance != 0 ? "%s.%u" : "%s", f->cls->name, f->instance);
		return;
	}
	snprintf(buf, len, "?");
	for (uint8_t i = 0; i < f->prid_len && n >= 0 && (size_t)n < len; i++) {
		arc = (arc << 7 | (f->prid[i] & 0x7f)) & UINT32_MAX;
		if (f->prid[i] & 0x80)
			continue;
		if (n == 0)
			n = snprintf(buf, len, "%u.%u", (unsigned)(arc < 80 ? arc / 40 : 2),
			    (unsigned)(arc < 80 ? arc % 40 : arc - 80));
		else
			n += snprintf(buf + n, len - (size_t)n, ".%u", (unsigned)arc);
		arc = 0;
	}
}

/* What a CPERR's sub-code says: a column, or one of the class's own INSTALL-ERRORS. */
static void print_sub(const struct pib_fault *f, char *buf, size_t len)
{
	const struct pib_class *cls = f->cls;
	const struct pib_column *col = cls != NULL && f->sub <= UINT8_MAX
					   ? pib_column_find(cls, (uint8_t)f->sub)
					   : NULL;

	buf[0] = '\0';
	if (f->cperr != PIB_CPERR_SPECIFIC && col != NULL)
		snprintf(buf, len, " column %s(%u)", col->label, f->sub);
	else if (f->sub != 0)
		snprintf(buf, len, " sub-code %u", f->sub);
}

static const char *specific_name(const struct pib_fault *f)
{
	for (uint8_t i = 0; f->cls != NULL && i < f->cls->install_error_count; i++)
		if (f->cls->install_errors[i].value == f->sub)
			return f->cls->install_errors[i].name;
	return "unknown code";
}

const char *pib_fault_print(const struct pib_fault *f, char *buf, unsigned long len)
{
	char row[256], sub[128];

	print_row(f, row, sizeof row);
	if (f->gperr != 0) {
		snprintf(buf, len, f->sub != 0 ? "%s%s%s (sub-code 0x%x)" : "%s%s%s",
		    f->cls != NULL || f->prid_len > 0 ? row : "",
		    f->cls != NULL || f->prid_len > 0 ? ": " : "", pib_gperr_name(f->gperr),
		    f->sub);
	} else if (f->cperr == PIB_CPERR_SPECIFIC) {
		snprintf(buf, len, "%s: %s %s(%u)", row, pib_cperr_name(f->cperr), specific_name(f),
		    f->sub);
	} else {
		print_sub(f, sub, sizeof sub);
		snprintf(buf, len, "%s%s: %s", row, sub, pib_cperr_name(f->cperr));
	}
	return buf;
}
