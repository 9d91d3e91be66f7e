/*
 * keying_crypto.h - the cryptography of controller keying that the PDP has no part in: key
 * pairs, HKDF-SHA512 (RFC 5869), certificate checks (RFC 5280); common/sitekey has the rest.
 * The only file of keying that sees OpenSSL.
 */
#ifndef PEP_KEYING_CRYPTO_H
#define PEP_KEYING_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sitekey.h"

#define KC_DIGEST_LEN 32

int kc_random(uint8_t *p, size_t len); /* 0 or -1 */
void kc_cleanse(void *p, size_t len);
/* A fresh key pair. 0 or -1. */
int kc_pair_new(uint8_t priv[SITEKEY_LEN], uint8_t pub[SITEKEY_LEN]);
int kc_hkdf_sha512(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len,
    const void *info, size_t info_len, uint8_t *out, size_t out_len);
/* SHA-256 of p[0..len). 0 or -1. */
int kc_digest(const void *p, size_t len, uint8_t out[KC_DIGEST_LEN]);

/* Who we are (certificate and its key) and whom we believe (the CA). */
struct kc_identity;
/* PEM files. NULL and a line in err on failure. */
struct kc_identity *kc_identity_new(
    const char *cert, const char *key, const char *ca, char *err, size_t err_len);
void kc_identity_free(struct kc_identity *id);
/* Our certificate as DER, borrowed. */
const uint8_t *kc_identity_cert(const struct kc_identity *id, size_t *len);
/* Sign msg with our key. 0 and *sig_len, or -1. */
int kc_sign(const struct kc_identity *id, const void *msg, size_t len,
    uint8_t sig[SITEKEY_SIGNATURE_MAX], size_t *sig_len);

/* Does sig over msg verify under our own key? */
bool kc_is_ours(
    const struct kc_identity *id, const void *msg, size_t len, const uint8_t *sig, size_t sig_len);

enum kc_verdict { KC_OK, KC_BAD_CERTIFICATE, KC_BAD_SIGNATURE };
/*
 * Does the certificate (DER) lead to our CA, name `name`, and verify sig over msg?  *why
 * is a static text for logs.
 */
enum kc_verdict kc_verify(const struct kc_identity *id, const uint8_t *cert, size_t cert_len,
    const char *name, const void *msg, size_t len, const uint8_t *sig, size_t sig_len,
    const char **why);

#endif
