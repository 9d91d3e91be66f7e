/*
 * keying_derive.h - the octets of controller keying: SPI and key material, each a pure function of
 * what both ends know (doc/keying.md).
 */
#ifndef PEP_KEYING_DERIVE_H
#define PEP_KEYING_DERIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/suites.h"
#include "pep/keying.h"
#include "pep/keying_crypto.h"

/* One end of an SA. */
struct keying_end {
	uint32_t member;
	uint32_t epoch;
	const uint8_t *nonce;
};

/* SPI of the SA from member m_s under epoch e_s to a receiver under epoch e_r. */
uint32_t keying_spi(uint32_t m_s, uint32_t e_s, uint32_t e_r);
/* The parts of an SPI: the sender's member, and the low four bits of the epochs. */
uint32_t keying_spi_sender(uint32_t spi);
unsigned keying_spi_receiver_epoch(uint32_t spi);
unsigned keying_spi_sender_epoch(uint32_t spi);

/* A transform as it stands in signed lists, and a list of at most SUITES_MAX; its octets. */
void keying_suite(const struct keying_transform *t, uint8_t out[SUITE_LEN]);
size_t keying_suites(const struct keying_transform *t, unsigned count, uint8_t out[SUITES_LEN_MAX]);

/* Are the lengths of this transform's keys known? Lengths in octets. */
bool keying_key_lens(const struct keying_transform *t, uint16_t *encr_len, uint16_t *integ_len);

/*
 * Fill encr_key, integ_key and algorithms of *sa for traffic from s to r.  secret is the
 * X25519 secret of both ends.  0, or -1: unknown transform, or the library failed.
 */
int keying_keymat(const uint8_t vpn_id[7], const struct keying_end *s, const struct keying_end *r,
    const struct keying_transform *t, const uint8_t secret[SITEKEY_LEN], struct kern_sa *sa);

#endif
