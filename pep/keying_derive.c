/*
 * keying_derive.c - see keying_derive.h.
 */
#include "pep/keying_derive.h"

#include <string.h>

static const char sa_label[] = "copsvpn sa 2";

/* IKEv2 transforms: octets of keying material (RFC 7296 2.17; with the salt of an AEAD). */
static const struct {
	uint16_t encr;
	uint16_t fixed; /* octets; 0 = from the key length attribute */
	uint16_t salt;
} encr_table[] = {
    {12, 0, 0},	 /* AES-CBC */
    {13, 0, 4},	 /* AES-CTR */
    {18, 0, 4},	 /* AES-GCM-8 */
    {19, 0, 4},	 /* AES-GCM-12 */
    {20, 0, 4},	 /* AES-GCM-16 */
    {28, 32, 4}, /* ChaCha20-Poly1305 */
};

static const struct {
	uint16_t integ;
	uint16_t octets;
} integ_table[] = {
    {0, 0},   /* none: the encryption authenticates */
    {2, 20},  /* HMAC-SHA1-96 */
    {12, 32}, /* HMAC-SHA2-256-128 */
    {13, 48}, /* HMAC-SHA2-384-192 */
    {14, 64}, /* HMAC-SHA2-512-256 */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

uint32_t keying_spi(uint32_t m_s, uint32_t e_s, uint32_t e_r)
{
	return m_s << 8 | (e_r & 15) << 4 | (e_s & 15);
}

uint32_t keying_spi_sender(uint32_t spi)
{
	return spi >> 8;
}

unsigned keying_spi_receiver_epoch(uint32_t spi)
{
	return spi >> 4 & 15;
}

unsigned keying_spi_sender_epoch(uint32_t spi)
{
	return spi & 15;
}

void keying_suite(const struct keying_transform *t, uint8_t out[SUITE_LEN])
{
	const struct suite s = {.protocol = t->protocol,
	    .esn = t->esn,
	    .encr = t->encr,
	    .encr_key_bits = t->encr_key_bits,
	    .integ = t->integ};

	suite_put(out, &s);
}

size_t keying_suites(const struct keying_transform *t, unsigned count, uint8_t out[SUITES_LEN_MAX])
{
	for (unsigned i = 0; i < count; i++)
		keying_suite(&t[i], out + (size_t)i * SUITE_LEN);
	return (size_t)count * SUITE_LEN;
}

bool keying_key_lens(const struct keying_transform *t, uint16_t *encr_len, uint16_t *integ_len)
{
	size_t e = 0;
	size_t i = 0;
	unsigned octets;

	while (e < COUNT(encr_table) && encr_table[e].encr != t->encr)
		e++;
	while (i < COUNT(integ_table) && integ_table[i].integ != t->integ)
		i++;
	if (t->protocol == SUITE_AH) {
		if (t->encr != 0 || t->encr_key_bits != 0 || t->integ == 0 ||
		    i == COUNT(integ_table))
			return false;
		*encr_len = 0;
		*integ_len = integ_table[i].octets;
		return true;
	}
	if (e == COUNT(encr_table) || i == COUNT(integ_table))
		return false;
	octets = encr_table[e].fixed != 0 ? encr_table[e].fixed : t->encr_key_bits / 8U;
	if (octets < 16 || octets > 32 || (encr_table[e].fixed == 0 && t->encr_key_bits % 64 != 0))
		return false;
	/* Never encryption alone (RFC 8221 4). */
	if (t->integ == 0 && t->encr < 18)
		return false;
	*encr_len = (uint16_t)(octets + encr_table[e].salt);
	*integ_len = integ_table[i].octets;
	return true;
}

#define INFO_MAX 64

struct text {
	uint8_t octets[INFO_MAX];
	size_t len;
};

static void text_put(struct text *t, const void *p, size_t len)
{
	memcpy(t->octets + t->len, p, len);
	t->len += len;
}

static void text_put_u32(struct text *t, uint32_t v)
{
	const uint8_t be[4] = {
	    (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	text_put(t, be, sizeof(be));
}

int keying_keymat(const uint8_t vpn_id[7], const struct keying_end *s, const struct keying_end *r,
    const struct keying_transform *t, const uint8_t secret[SITEKEY_LEN], struct kern_sa *sa)
{
	const struct keying_end *low = s->member < r->member ? s : r;
	const struct keying_end *high = low == s ? r : s;
	struct text info = {.len = 0};
	uint8_t salt[2 * SITEKEY_LEN];
	uint8_t mat[2 * KERN_KEY_MAX];
	uint8_t suite[SUITE_LEN];
	uint16_t encr_len;
	uint16_t integ_len;
	int rc;

	if (!keying_key_lens(t, &encr_len, &integ_len))
		return -1;
	memcpy(salt, low->nonce, SITEKEY_LEN);
	memcpy(salt + SITEKEY_LEN, high->nonce, SITEKEY_LEN);
	text_put(&info, sa_label, sizeof(sa_label) - 1);
	text_put(&info, vpn_id, 7);
	text_put_u32(&info, s->member);
	text_put_u32(&info, s->epoch);
	text_put_u32(&info, r->member);
	text_put_u32(&info, r->epoch);
	keying_suite(t, suite);
	text_put(&info, suite, sizeof(suite));
	rc = kc_hkdf_sha512(secret, SITEKEY_LEN, salt, sizeof(salt), info.octets, info.len, mat,
	    (size_t)encr_len + integ_len);
	if (rc == 0) {
		sa->encr = t->encr;
		sa->integ = t->integ;
		sa->esn = t->esn;
		sa->encr_key_len = encr_len;
		sa->integ_key_len = integ_len;
		memcpy(sa->encr_key, mat, encr_len);
		memcpy(sa->integ_key, mat + encr_len, integ_len);
	}
	kc_cleanse(mat, sizeof(mat));
	return rc;
}
