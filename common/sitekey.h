/*
 * sitekey.h - what a CE that publishes a key, the PDP that passes it on and the CEs that use it
 * must see alike: the text that is signed, the signature, and which public keys are fit
 * (doc/keying.md).
 */
#ifndef COMMON_SITEKEY_H
#define COMMON_SITEKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SITEKEY_LEN	      32 /* X25519 public and private keys, secrets, nonces */
#define SITEKEY_TEXT_MAX      768
#define SITEKEY_SIGNATURE_MAX 1024
#define SITEKEY_VPN_ID_LEN    7

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* A key of a membership, but for who vouches for it. */
struct sitekey {
	uint32_t member;
	uint32_t epoch;
	const uint8_t *public_key; /* SITEKEY_LEN */
	const uint8_t *nonce;	   /* SITEKEY_LEN */
	const uint8_t *transforms; /* common/suites.h */
	size_t transforms_len;	   /* at most SUITES_LEN_MAX, as in the rows */
	const uint8_t *sends;
	size_t sends_len; /* at most SENDS_LEN_MAX */
};

/* What its signature covers; returns its octets. */
size_t sitekey_text(uint8_t out[SITEKEY_TEXT_MAX], const uint8_t vpn_id[SITEKEY_VPN_ID_LEN],
    const struct sitekey *k);

/*
 * Ed25519 and Ed448 as they are, ECDSA with SHA-256, RSA as PSS with SHA-256 and a salt of the
 * digest's length.  0 and *sig_len, or -1.
 */
int sitekey_sign(struct evp_pkey_st *key, const void *msg, size_t len,
    uint8_t sig[SITEKEY_SIGNATURE_MAX], size_t *sig_len);
bool sitekey_signed(
    struct evp_pkey_st *key, const void *msg, size_t len, const uint8_t *sig, size_t sig_len);
/* The same with the key of a certificate (DER), whoever issued that. */
bool sitekey_signed_by(const uint8_t *cert, size_t cert_len, const void *msg, size_t len,
    const uint8_t *sig, size_t sig_len);

/* The X25519 secret.  -1 also when it is all zero: pub has small order (RFC 7748 6.1). */
int sitekey_agree(
    const uint8_t priv[SITEKEY_LEN], const uint8_t pub[SITEKEY_LEN], uint8_t secret[SITEKEY_LEN]);
/* Is pub fit for an agreement with anyone? */
bool sitekey_public_ok(const uint8_t pub[SITEKEY_LEN]);

#endif
