/*
 * keying_int.h - what the files of controller keying share (interface: keying.h):
 *
 *	keying.c	the object, peers' key rows checked, our own as rows
 *	keying_plan.c	the SAs that a peer's rows ask for
 *	keying_life.c	own epochs, from new to gone
 */
#ifndef PEP_KEYING_INT_H
#define PEP_KEYING_INT_H

#include "pep/keying.h"
#include "pep/keying_crypto.h"
#include "pep/keying_derive.h"
#include "pep/keying_epochs.h"

struct verified { /* a key row that passed keying_verify() */
	uint8_t digest[KC_DIGEST_LEN];
	UT_hash_handle hh;
};

struct peer_seen {
	uint32_t peer;
	uint32_t newest; /* epoch with a good signature */
	UT_hash_handle hh;
};

struct keying {
	struct kc_identity *identity;
	struct epochs own;
	uint8_t sends[SENDS_LEN_MAX];
	size_t sends_len;
	const struct keying_ops *ops;
	void *arg;
	int64_t grace_ms;
	int64_t linger_ms;
	const struct kstate *ks; /* of the last plan */
	struct verified *verified;
	struct peer_seen *seen;
};

/* What signs a key of a membership in m's VPN.  Returns how many octets of text it is. */
size_t keying_signed_text(uint8_t text[SITEKEY_TEXT_MAX], const struct keying_member *m,
    uint32_t member, uint32_t epoch, const uint8_t *public_key, const uint8_t *nonce,
    const struct pib_octets *transforms, const struct pib_octets *sends);

#endif
