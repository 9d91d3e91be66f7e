/*
 * pib_limit.h - what a device cannot do of a class it supports (RFC 3318 2.6, 5): one table
 * of a client-type, from which the PEP notifies frwkCompLimits and frwkPrcSupport, by which
 * its store judges what is installed, and by which a PDP may judge before it sends.
 */
#ifndef PIB_LIMIT_H
#define PIB_LIMIT_H

#include "pib/pib_class.h"
#include "pib/pib_err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pib_limit_kind {
	PIB_LIMIT_ROWS,	       /* at most this many rows of the class: priSpaceLimited */
	PIB_LIMIT_NOTIFY,      /* the class cannot be installed: prcLimitedNotify */
	PIB_LIMIT_VALUE,       /* this number: attrValueSupLimited, valueOnly */
	PIB_LIMIT_OCTETS,      /* these octets: attrValueSupLimited, valueOnly */
	PIB_LIMIT_RANGE,       /* min..max: attrValueSupLimited, rangeMin and rangeMax */
	PIB_LIMIT_BITS,	       /* no bit but these octets': attrValueSupLimited, bitMask */
	PIB_LIMIT_ENUM,	       /* this one: attrEnumSupLimited, enumOnly */
	PIB_LIMIT_ENUM_RANGE,  /* min..max: attrEnumSupLimited, enumMin and enumMax */
	PIB_LIMIT_LENGTH,      /* min..max octets: attrLengthLimited, lengthMin and lengthMax */
	PIB_LIMIT_UNSUPPORTED, /* the column is ignored: its bit in frwkPrcSupport is not set */
};

/*
 * One limit.  Several of a column are what it may be, one or the other; a negated one is what
 * it may not be.  ROWS, VALUE and ENUM have their number in min.
 */
struct pib_limit {
	const struct pib_class *cls;
	uint8_t column; /* 0 for ROWS and NOTIFY */
	enum pib_limit_kind kind;
	bool negation;
	int64_t min; /* an Unsigned64's octets if the column is one */
	int64_t max;
	struct pib_octets octets; /* borrowed */
};

struct pib_limits {
	const struct pib_limit *limit; /* borrowed */
	size_t count;
};

/* Are they what RFC 3318 and the classes allow?  -1: the first that is not in *bad. */
int pib_limits_check(const struct pib_limits *l, size_t *bad);

/*
 * Does a row keep within them?  0, or -1 and *f: class, CPERR (attrValueSupLimited,
 * attrEnumSupLimited, attrMaxLengthExceeded, priNotifyOnly) and column; the caller adds the
 * instance.  NULL columns are within every limit.
 */
int pib_limits_judge(
    const struct pib_limits *l, const struct pib_class *cls, const void *row, struct pib_fault *f);
/* The most rows of cls there may be, SIZE_MAX: not limited. */
size_t pib_limits_rows(const struct pib_limits *l, const struct pib_class *cls);
/* Make NULL of what is not supported: the PEP ignores it (RFC 3318 4.1). */
void pib_limits_ignore(const struct pib_limits *l, const struct pib_class *cls, void *row);

#define PIB_SUPPORT_MAX 8 /* octets */
/* frwkPrcSupportSupportedAttrs of cls into out; returns its octets. */
size_t pib_limits_support(
    const struct pib_limits *l, const struct pib_class *cls, uint8_t out[PIB_SUPPORT_MAX]);

struct pib_frwk_comp_limits;
/* Every frwkCompLimits row, numbered from 1; row is a struct pib_frwk_comp_limits. */
void pib_limits_put(const struct pib_limits *l,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);
/*
 * The way back, at a PDP: take one frwkCompLimits row into limit[0..*count), which has room for
 * max.  A Min and its Max become one limit, so rows are to be given in the order of their
 * instances.  Octets borrow the row's.  0, or -1: of a class not known, with guidance that does
 * not fit its column, or no room; rows without guidance are 0 and leave nothing.
 */
int pib_limits_take(const struct pib_schema *s, const struct pib_frwk_comp_limits *row,
    struct pib_limit *limit, size_t max, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
