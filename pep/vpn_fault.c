/*
 * vpn_fault.c - faults of the enforcer in the terms a COPS-PR report carries (RFC 3084
 * 4.4, 4.5): row, column, and for people a line in the log.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "pep/vpn_rows.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

static int record(struct vpn_faults *f, const struct pib_fault *p, const char *text)
{
	char row[160];

	log_warn("%s: %s", pib_fault_print(p, row, sizeof(row)), text);
	if (f->txn)
		pib_txn_fault(f->txn, p);
	if (f->count++ == 0)
		snprintf(f->text, sizeof(f->text), "%s", text);
	return -1;
}

int vpn_fault(struct vpn_faults *f, const struct pib_class *cls, uint32_t instance,
    enum pib_cperr code, unsigned sub, const char *fmt, ...)
{
	struct pib_fault p = {.cperr = (uint16_t)code, .sub = (uint16_t)sub};
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pib_fault_row(&p, cls, instance);
	return record(f, &p, text);
}

int vpn_fault_memory(struct vpn_faults *f)
{
	struct pib_fault p = {.gperr = PIB_GPERR_MEM_EXHAUSTED};
	return record(f, &p, "out of memory");
}

/* The class's own number for "kernelRefused"; 0: it has none. */
static uint16_t refused_number(const struct pib_class *cls)
{
	for (unsigned i = 0; i < cls->install_error_count; i++)
		if (!strcmp(cls->install_errors[i].name, "kernelRefused"))
			return (uint16_t)cls->install_errors[i].value;
	return 0;
}

/* In both classes that name algorithms, the key's length is the column after the cipher's. */
static unsigned alg_column(const struct korigin *o, enum kern_fault_kind kind)
{
	switch (kind) {
	case KERN_UNSUPPORTED_ENCR:
		return o->encr_column;
	case KERN_UNSUPPORTED_KEY_BITS:
		return o->encr_column + 1U;
	case KERN_UNSUPPORTED_INTEG:
		return o->integ_column;
	case KERN_UNSUPPORTED_PROTOCOL:
		return o->alg_cls == &pib_ce_vpn_proposal_class ? PIB_CE_VPN_PROPOSAL_COL_PROTOCOL
								: 0U;
	case KERN_UNSUPPORTED_ESN:
		return o->alg_cls == &pib_ce_vpn_proposal_class ? PIB_CE_VPN_PROPOSAL_COL_ESN : 0U;
	case KERN_UNSUPPORTED_WINDOW:
		return o->alg_cls == &pib_ce_vpn_proposal_class
			   ? PIB_CE_VPN_PROPOSAL_COL_REPLAY_WINDOW
			   : 0U;
	default:
		return 0;
	}
}

int vpn_fault_kernel(struct vpn_faults *f, const struct kern_fault *k, const struct korigin *o)
{
	struct pib_fault p = {0};
	unsigned column = o->alg_cls ? alg_column(o, k->kind) : 0;
	uint16_t number = o->cls ? refused_number(o->cls) : 0;

	if (column) {
		p.cperr = PIB_CPERR_VALUE_SUP;
		p.sub = (uint16_t)column;
		pib_fault_row(&p, o->alg_cls, o->alg_instance);
		return record(f, &p, k->text);
	}
	if (o->mode_cls && k->kind == KERN_UNSUPPORTED_MODE) {
		p.cperr = PIB_CPERR_ENUM_SUP;
		p.sub = o->mode_column;
		pib_fault_row(&p, o->mode_cls, o->mode_instance);
		return record(f, &p, k->text);
	}
	if (o->cls)
		pib_fault_row(&p, o->cls, o->instance);
	if (k->err == ENOMEM || k->err == ENOBUFS) {
		p.gperr = PIB_GPERR_MEM_EXHAUSTED;
	} else if (o->column && (k->kind == KERN_EXISTS || k->kind == KERN_UNSUPPORTED_SELECTOR)) {
		p.cperr = PIB_CPERR_VALUE_SUP;
		p.sub = o->column;
	} else if (number) {
		p.cperr = PIB_CPERR_SPECIFIC;
		p.sub = number;
	} else {
		p.gperr = PIB_GPERR_UNKNOWN;
	}
	return record(f, &p, k->text);
}
