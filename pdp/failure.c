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

/* RFC 3084 4.5 in the words of whoever reads it at the SP. */
static const char *fault_words(const struct pib_fault *f)
{
	static const char *const words[] = {
	    [PIB_CPERR_SPACE] = "no room for another row",
	    [PIB_CPERR_INSTANCE] = "no row can have this number",
	    [PIB_CPERR_VALUE] = "not a valid value",
	    [PIB_CPERR_VALUE_SUP] = "the CE cannot do this value",
	    [PIB_CPERR_ENUM_SUP] = "the CE cannot do this",
	    [PIB_CPERR_MAX_LENGTH] = "too long for the CE",
	    [PIB_CPERR_REFERENCE] = "refers to a row that is not there",
	    [PIB_CPERR_NOTIFY_ONLY] = "only the CE may say this",
	    [PIB_CPERR_UNKNOWN_PRC] = "the CE does not know this class",
	    [PIB_CPERR_TOO_FEW] = "columns are missing",
	    [PIB_CPERR_TYPE] = "a column of the wrong type",
	    [PIB_CPERR_DELETED_IN_REF] = "removed while another row refers to it",
	    [PIB_CPERR_SPECIFIC] = "the CE could not carry it out",
	};

	if (f->gperr == 0 && f->cperr < sizeof(words) / sizeof(words[0]) && words[f->cperr] != NULL)
		return words[f->cperr];
	return "the decision as a whole failed";
}

char *failure_print(const struct pdp_report *r, uint64_t lsn, int64_t at)
{
	const struct pib_fault *f = r != NULL && r->faults > 0 ? &r->fault[0] : NULL;
	const struct pib_column *col = f != NULL ? fault_column(f) : NULL;
	const char *error = "", *text = "no reason given";
	char row[96] = "";
	json_t *o;
	char *out;

	/* the first that names a row is the one to look at */
	for (size_t i = 0; r != NULL && i < r->faults && (f == NULL || f->cperr == 0); i++)
		if (r->fault[i].cperr != 0) {
			f = &r->fault[i];
			col = fault_column(f);
		}
	if (f != NULL) {
		error = fault_error(f);
		text = fault_words(f);
		if (f->cls != NULL)
			snprintf(row, sizeof(row), "%s.%u", f->cls->name, f->instance);
	}
	o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "row", row, "column",
	    col != NULL ? col->label : "", "error", error, "text", text, "lsn", (json_int_t)lsn,
	    "at", (json_int_t)at);
	out = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return out;
}
