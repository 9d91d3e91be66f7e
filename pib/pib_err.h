/*
 * pib_err.h - what can be wrong with PIB data, in the terms a COPS-PR report
 * carries (RFC 3084 4.4, 4.5): which PRC, which instance, which column.
 */
#ifndef PIB_ERR_H
#define PIB_ERR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pib_gperr {
	PIB_GPERR_MEM_LOW = 1,
	PIB_GPERR_MEM_EXHAUSTED = 2,
	PIB_GPERR_UNKNOWN_TAG = 3, /* sub = tag */
	PIB_GPERR_MAX_MSG = 4,
	PIB_GPERR_UNKNOWN = 5,
	PIB_GPERR_MAX_STATES = 6,
	PIB_GPERR_BAD_LENGTH = 7,
	PIB_GPERR_BAD_PAD = 8,
	PIB_GPERR_UNKNOWN_DATA = 9,
	PIB_GPERR_UNKNOWN_OBJECT = 10, /* sub = S-Num<<8 | S-Type */
	PIB_GPERR_MALFORMED_DECISION = 11,
};

enum pib_cperr {
	PIB_CPERR_SPACE = 1,
	PIB_CPERR_INSTANCE = 2,
	PIB_CPERR_VALUE = 3, /* 3..7: sub = column */
	PIB_CPERR_VALUE_SUP = 4,
	PIB_CPERR_ENUM_SUP = 5,
	PIB_CPERR_MAX_LENGTH = 6,
	PIB_CPERR_REFERENCE = 7,
	PIB_CPERR_NOTIFY_ONLY = 8,
	PIB_CPERR_UNKNOWN_PRC = 9,
	PIB_CPERR_TOO_FEW = 10,
	PIB_CPERR_TYPE = 11, /* sub = column (our extension of the SHOULD) */
	PIB_CPERR_DELETED_IN_REF = 12,
	PIB_CPERR_SPECIFIC = 13, /* sub = INSTALL-ERRORS number */
};

struct pib_class;

/* Exactly one of gperr, cperr is not 0. */
struct pib_fault {
	uint16_t gperr;
	uint16_t cperr;
	uint16_t sub;
	const struct pib_class *cls; /* NULL: the PRC is not known */
	uint32_t instance;
	uint8_t prid[64]; /* BER contents of the PRID at fault, for ErrorPRID */
	uint8_t prid_len; /* 0: none to name */
	bool warning;	  /* reported inside a Success report */
};

/* The RFC's names, static; never NULL: "unknown code" when there is none. */
const char *pib_gperr_name(unsigned code); /* "unknownASN.1Tag" */
const char *pib_cperr_name(unsigned code); /* "attrValueInvalid" */
/* Into buf of len octets, cut to fit: "ceVpnPeer.12 column addr(6): attrValueInvalid"; returns buf.
 */
const char *pib_fault_print(const struct pib_fault *f, char *buf, unsigned long len);

#ifdef __cplusplus
}
#endif
#endif
