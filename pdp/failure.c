/* failure.c - see failure.h. */
#include "pdp/failure.h"

#include <jansson.h>
#include <stdio.h>

#include "pdp/request.h"
#include "pib/pib_class.h"

/* Sub-codes that are a column (RFC 3084 4.5). */
static const struct pib_column *fault_column(const struct pib_fault *f)
{
	if (f->cls == NULL || !((f->cperr >= PIB_CPERR_VALUE && f->cperr <= PIB_CPERR_REFERENCE) ||
				  f->cperr == PIB_CPERR_TYPE))
		return NULL;
	return pib_column_find(f->cls, (uint8_t)f->sub);
}

static const char *fault_error(const struct pib_fault *f)
{
	if (f->gperr != 0)
		return pib_gperr_name(f->gperr);
	for (uint8_t i = 0;
	     f->cperr == PIB_CPERR_SPECIFIC && f->cls != NULL && i < f->cls->install_error_count;
	     i++)
		if (f->cls->install_errors[i].value == f->sub)
			return f->cls->install_errors[i].name;
	return pib_cperr_name(f->cperr);
}

char *failure_print(const struct pdp_report *r, uint64_t lsn, int64_t at)
{
	const struct pib_fault *f = r != NULL && r->faults > 0 ? &r->fault[0] : NULL;
	const struct pib_column *col = f != NULL ? fault_column(f) : NULL;
	char row[96] = "", text[256] = "no reason given";
	json_t *o;
	char *out;

	/* the first that names a row is the one to look at */
	for (size_t i = 0; r != NULL && i < r->faults && (f == NULL || f->cperr == 0); i++)
		if (r->fault[i].cperr != 0) {
			f = &r->fault[i];
			col = fault_column(f);
		}
	if (f != NULL) {
		pib_fault_print(f, text, sizeof(text));
		if (f->cls != NULL)
			snprintf(row, sizeof(row), "%s.%u", f->cls->name, f->instance);
	}
	o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "row", row, "column",
	    col != NULL ? col->label : "", "error", f != NULL ? fault_error(f) : text, "text", text,
	    "lsn", (json_int_t)lsn, "at", (json_int_t)at);
	out = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return out;
}
