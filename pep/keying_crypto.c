/* keying_crypto.c - see keying_crypto.h. */
#include "pep/keying_crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/tls.h"

struct kc_identity {
	EVP_PKEY *key;
	X509_STORE *ca;
	uint8_t *cert; /* DER, OpenSSL's memory */
	size_t cert_len;
};

int kc_random(uint8_t *p, size_t len)
{
	return RAND_bytes(p, (int)len) == 1 ? 0 : -1;
}

void kc_cleanse(void *p, size_t len)
{
	OPENSSL_cleanse(p, len);
}

int kc_pair_new(uint8_t priv[SITEKEY_LEN], uint8_t pub[SITEKEY_LEN])
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	size_t priv_len = SITEKEY_LEN;
	size_t pub_len = SITEKEY_LEN;
	int ok = key != NULL && EVP_PKEY_get_raw_private_key(key, priv, &priv_len) == 1 &&
		 EVP_PKEY_get_raw_public_key(key, pub, &pub_len) == 1 && priv_len == SITEKEY_LEN &&
		 pub_len == SITEKEY_LEN;

	EVP_PKEY_free(key);
	return ok ? 0 : -1;
}

int kc_hkdf_sha512(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len,
    const void *info, size_t info_len, uint8_t *out, size_t out_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	OSSL_PARAM p[] = {
	    OSSL_PARAM_construct_utf8_string(
		OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA512", 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm, ikm_len),
	    OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len),
	    OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, info_len),
	    OSSL_PARAM_construct_end(),
	};
	int ok = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, p) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok ? 0 : -1;
}

int kc_digest(const void *p, size_t len, uint8_t out[KC_DIGEST_LEN])
{
	return EVP_Digest(p, len, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

int kc_sign(const struct kc_identity *id, const void *msg, size_t len,
    uint8_t sig[SITEKEY_SIGNATURE_MAX], size_t *sig_len)
{
	return sitekey_sign(id->key, msg, len, sig, sig_len);
}

bool kc_is_ours(
    const struct kc_identity *id, const void *msg, size_t len, const uint8_t *sig, size_t sig_len)
{
	return sitekey_signed(id->key, msg, len, sig, sig_len);
}

static int chain_ok(const struct kc_identity *id, X509 *cert, const char **why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ok = ctx != NULL && X509_STORE_CTX_init(ctx, id->ca, cert, NULL) == 1 &&
		 X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) == 1 &&
		 X509_verify_cert(ctx) == 1;

	if (!ok)
		*why = ctx == NULL ? "out of memory"
				   : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
	X509_STORE_CTX_free(ctx);
	return ok;
}

enum kc_verdict kc_verify(const struct kc_identity *id, const uint8_t *cert, size_t cert_len,
    const char *name, const void *msg, size_t len, const uint8_t *sig, size_t sig_len,
    const char **why)
{
	const uint8_t *p = cert;
	X509 *x = d2i_X509(NULL, &p, (long)cert_len);
	enum kc_verdict v = KC_BAD_CERTIFICATE;
	EVP_PKEY *key;

	if (x == NULL || p != cert + cert_len) {
		*why = "not one DER certificate";
		goto out;
	}
	if (!chain_ok(id, x, why))
		goto out;
	*why = "the certificate names someone else";
	if (!tls_cert_is(x, name))
		goto out;
	key = X509_get0_pubkey(x);
	if (key == NULL) {
		*why = "the certificate's key is of an unknown kind";
		goto out;
	}
	v = KC_BAD_SIGNATURE;
	*why = "the signature does not match";
	if (sitekey_signed(key, msg, len, sig, sig_len))
		v = KC_OK;
out:
	X509_free(x);
	ERR_clear_error();
	return v;
}

static X509 *cert_read(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *x = f == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);

	if (f != NULL)
		fclose(f);
	return x;
}

static EVP_PKEY *key_read(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f == NULL ? NULL : PEM_read_PrivateKey(f, NULL, NULL, NULL);

	if (f != NULL)
		fclose(f);
	return key;
}

struct kc_identity *kc_identity_new(
    const char *cert, const char *key, const char *ca, char *err, size_t err_len)
{
	struct kc_identity *id = calloc(1, sizeof(*id));
	X509 *x = NULL;
	int n;

	snprintf(err, err_len, "out of memory");
	if (id == NULL || (id->ca = X509_STORE_new()) == NULL)
		goto fail;
	snprintf(err, err_len, "%s: no certificate can be read", cert);
	if ((x = cert_read(cert)) == NULL || (n = i2d_X509(x, &id->cert)) <= 0)
		goto fail;
	id->cert_len = (size_t)n;
	snprintf(err, err_len, "%s: no private key can be read", key);
	if ((id->key = key_read(key)) == NULL)
		goto fail;
	snprintf(err, err_len, "%s is not the key of %s", key, cert);
	if (X509_check_private_key(x, id->key) != 1)
		goto fail;
	snprintf(err, err_len, "%s: no CA certificate can be read", ca);
	if (X509_STORE_load_file(id->ca, ca) != 1)
		goto fail;
	X509_free(x);
	return id;
fail:
	X509_free(x);
	kc_identity_free(id);
	ERR_clear_error();
	return NULL;
}

void kc_identity_free(struct kc_identity *id)
{
	if (id == NULL)
		return;
	EVP_PKEY_free(id->key);
	X509_STORE_free(id->ca);
	OPENSSL_free(id->cert);
	free(id);
}

const uint8_t *kc_identity_cert(const struct kc_identity *id, size_t *len)
{
	*len = id->cert_len;
	return id->cert;
}
