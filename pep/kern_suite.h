/*
 * kern_suite.h - what PF_KEY on Linux can express, and what of it we accept
 * (RFC 8221): checks both back ends make before an SA or a policy reaches a kernel, which
 * would take some of it wrongly.
 */
#ifndef PEP_KERN_SUITE_H
#define PEP_KERN_SUITE_H

#include "pep/kern.h"

#define KERN_REQID_MAX	0x3fff /* above it Linux replaces the reqid of a policy by its own */
#define KERN_WINDOW_MAX 32     /* packets; Linux caps PF_KEY's replay window here */
#define KERN_SPI_MIN	256    /* RFC 4303 2.1 */

struct kern_alg {
	uint16_t number;  /* IKEv2 transform number */
	uint8_t sadb;	  /* SADB_X_EALG_*, SADB_AALG_* */
	uint16_t bits[3]; /* key lengths, 0 = no more */
	const char *name;
	const char *refused; /* why not, or NULL: accepted */
};

/* NULL: unknown number. */
const struct kern_alg *kern_suite_encr(uint16_t number);
const struct kern_alg *kern_suite_integ(uint16_t number);
/* Each 0, or -1 and *f, which names the field at fault. */
int kern_suite_check(uint16_t encr, unsigned encr_key_bits, uint16_t integ, uint32_t replay_window,
    struct kern_fault *f);
int kern_suite_check_sa(const struct kern_sa *sa, struct kern_fault *f);
int kern_suite_check_policy(const struct kern_policy *p, struct kern_fault *f);

#endif
