/* sitekey.c - see sitekey.h. */
#include "common/sitekey.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/suites.h"

static const char label[] = "copsvpn site key 2";

/* --------------------------------------------------------------------- text */

static uint8_t *put(uint8_t *to, const void *p, size_t len)
{
	memcpy(to, p, len);
	return to + len;
}

static uint8_t *put_u32(uint8_t *to, uint32_t v)
{
	const uint8_t be[4] = {
	    (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	return put(to, be, sizeof(be));
}

size_t sitekey_text(uint8_t out[SITEKEY_TEXT_MAX], const uint8_t vpn_id[SITEKEY_VPN_ID_LEN],
    const struct sitekey *k)
{
	size_t transforms_len = k->transforms_len < SUITES_LEN_MAX ? k->transforms_len
								   : SUITES_LEN_MAX;
	uint8_t *p = put(out, label, sizeof(label) - 1);

	_Static_assert(sizeof(label) - 1 + SITEKEY_VPN_ID_LEN + 3 * 4 + 2 * SITEKEY_LEN +
			       SUITES_LEN_MAX + SENDS_LEN_MAX <=
			   SITEKEY_TEXT_MAX,
	    "room for the text");
	p = put(p, vpn_id, SITEKEY_VPN_ID_LEN);
	p = put_u32(p, k->member);
	p = put_u32(p, k->epoch);
	p = put(p, k->public_key, SITEKEY_LEN);
	p = put(p, k->nonce, SITEKEY_LEN);
	p = put_u32(p, (uint32_t)transforms_len);
	p = put(p, k->transforms, transforms_len);
	p = put(p, k->sends, k->sends_len < SENDS_LEN_MAX ? k->sends_len : SENDS_LEN_MAX);
	return (size_t)(p - out);
}

/* --------------------------------------------------------------- signatures */

static const EVP_MD *sign_md(const EVP_PKEY *key)
{
	int type = EVP_PKEY_get_base_id(key);

	return type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448 ? NULL : EVP_sha256();
}

static int sign_params(EVP_PKEY_CTX *ctx, const EVP_PKEY *key)
{
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
		return 1;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

int sitekey_sign(
    EVP_PKEY *key, const void *msg, size_t len, uint8_t sig[SITEKEY_SIGNATURE_MAX], size_t *sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *kctx; /* ctx's */
	int ok;

	*sig_len = SITEKEY_SIGNATURE_MAX;
	ok = ctx != NULL && EVP_DigestSignInit(ctx, &kctx, sign_md(key), NULL, key) == 1 &&
	     sign_params(kctx, key) && EVP_DigestSign(ctx, sig, sig_len, msg, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : -1;
}

bool sitekey_signed(EVP_PKEY *key, const void *msg, size_t len, const uint8_t *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *kctx;
	bool ok;

	ok = ctx != NULL && EVP_DigestVerifyInit(ctx, &kctx, sign_md(key), NULL, key) == 1 &&
	     sign_params(kctx, key) && EVP_DigestVerify(ctx, sig, sig_len, msg, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool sitekey_signed_by(const uint8_t *cert, size_t cert_len, const void *msg, size_t len,
    const uint8_t *sig, size_t sig_len)
{
	const uint8_t *p = cert;
	X509 *x = d2i_X509(NULL, &p, (long)cert_len);
	EVP_PKEY *key = x != NULL && p == cert + cert_len ? X509_get0_pubkey(x) : NULL;
	bool ok = key != NULL && sitekey_signed(key, msg, len, sig, sig_len);

	X509_free(x);
	ERR_clear_error();
	return ok;
}

/* ------------------------------------------------------------------- X25519 */

int sitekey_agree(
    const uint8_t priv[SITEKEY_LEN], const uint8_t pub[SITEKEY_LEN], uint8_t secret[SITEKEY_LEN])
{
	static const uint8_t zero[SITEKEY_LEN];
	EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, priv, SITEKEY_LEN);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub, SITEKEY_LEN);
	EVP_PKEY_CTX *ctx = own == NULL ? NULL : EVP_PKEY_CTX_new(own, NULL);
	size_t len = SITEKEY_LEN;
	int ok = ctx != NULL && peer != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
		 EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		 EVP_PKEY_derive(ctx, secret, &len) == 1 && len == SITEKEY_LEN &&
		 CRYPTO_memcmp(secret, zero, SITEKEY_LEN) != 0;

	if (!ok)
		OPENSSL_cleanse(secret, SITEKEY_LEN);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	ERR_clear_error();
	return ok ? 0 : -1;
}

bool sitekey_public_ok(const uint8_t pub[SITEKEY_LEN])
{
	/* Any clamped scalar is a multiple of the cofactor, so one trial stands for all. */
	static const uint8_t scalar[SITEKEY_LEN] = {8, [SITEKEY_LEN - 1] = 0x40};
	uint8_t secret[SITEKEY_LEN];
	int rc = sitekey_agree(scalar, pub, secret);

	OPENSSL_cleanse(secret, sizeof(secret));
	return rc == 0;
}
