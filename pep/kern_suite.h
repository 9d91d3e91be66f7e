/*
 * kern_suite.h - the algorithms we know by their IKEv2 numbers, how each of Linux's two
 * interfaces names them, and what of it we accept (RFC 8221): checks every back end makes
 * before an SA or a policy reaches a kernel, which would take some of it wrongly.
 */
#ifndef PEP_KERN_SUITE_H
#define PEP_KERN_SUITE_H

#include "pep/kern.h"

#define KERN_SPI_MIN 256 /* RFC 4303 2.1 */

/* What an interface to the kernel can carry. */
struct kern_limits {
	const char *name;    /* "PF_KEY" */
	bool pfkey;	     /* its algorithms are the ones PF_KEY can express */
	uint32_t reqid_max;  /* above it the kernel would put a reqid of its own */
	uint32_t window_max; /* packets of a replay window */
	bool esn;	     /* extended sequence numbers */
	bool separate;	     /* policies of an interface or a mark, SAs that set one */
};

extern const struct kern_limits kern_limits_pfkey;
extern const struct kern_limits kern_limits_xfrm;
extern const struct kern_limits kern_limits_mem; /* as PF_KEY's, but with policies kept apart */

struct kern_alg {
	uint16_t number;	   /* IKEv2 transform number */
	uint8_t sadb;		   /* SADB_X_EALG_*, SADB_AALG_*; 0 = PF_KEY has none */
	uint8_t salt;		   /* octets of the key that are one */
	uint16_t icv_bits;	   /* of an AEAD, or what is left of an integrity algorithm */
	uint16_t bits[3];	   /* key lengths without the salt, 0 = no more */
	const char *name;	   /* for people */
	const char *xfrm;	   /* the kernel's */
	const char *refused;	   /* why not, or NULL: accepted */
	const char *pfkey_refused; /* the same, of PF_KEY only */
};

/* NULL: unknown number. */
const struct kern_alg *kern_suite_encr(uint16_t number);
const struct kern_alg *kern_suite_integ(uint16_t number);
bool kern_suite_aead(const struct kern_alg *encr);
/* The length of the key where a transform says 0: the only one there is. */
unsigned kern_suite_key_bits(const struct kern_alg *encr, unsigned bits);
/* Every combination that is accepted at all, as transforms, AH last; how many, at most max. */
size_t kern_suite_list(struct suite *out, size_t max);
/*
 * The largest packet that fits into one of mtu octets with a tunnel mode SA of s (NULL: of any),
 * whose ends are of this family, in UDP or not.
 */
uint32_t kern_suite_inside(const struct suite *s, uint8_t family, bool udp, uint32_t mtu);
/* Each 0, or -1 and *f, which names the field at fault. */
int kern_suite_check(const struct kern_limits *l, const struct suite *s, uint32_t replay_window,
    struct kern_fault *f);
int kern_suite_check_sa(
    const struct kern_limits *l, const struct kern_sa *sa, struct kern_fault *f);
int kern_suite_check_policy(
    const struct kern_limits *l, const struct kern_policy *p, struct kern_fault *f);

#endif
