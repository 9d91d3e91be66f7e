/*
 * transform.c - the table of algorithms.  Refused ones are in it so that a diagnostic can say why.
 */
#include "pdp/transform.h"

#include <stdio.h>
#include <string.h>

#define MUST_NOT   "RFC 8221 says it MUST NOT be used"
#define SHOULD_NOT "RFC 8221 says it SHOULD NOT be used"

static const struct transform table[] = {
    {TRANSFORM_ENCR, "aes-cbc-128", 12, 128, false, NULL},
    {TRANSFORM_ENCR, "aes-cbc-192", 12, 192, false, NULL},
    {TRANSFORM_ENCR, "aes-cbc-256", 12, 256, false, NULL},
    {TRANSFORM_ENCR, "aes-gcm-16-128", 20, 128, true, NULL},
    {TRANSFORM_ENCR, "aes-gcm-16-256", 20, 256, true, NULL},
    {TRANSFORM_ENCR, "chacha20-poly1305", 28, 0, true, NULL},
    {TRANSFORM_ENCR, "des", 2, 0, false, MUST_NOT},
    {TRANSFORM_ENCR, "3des", 3, 0, false, SHOULD_NOT},
    {TRANSFORM_ENCR, "blowfish", 7, 0, false, MUST_NOT},
    {TRANSFORM_ENCR, "null", 11, 0, false, "it does not encrypt"},
    {TRANSFORM_INTEG, "hmac-sha1-96", 2, 0, false, NULL},
    {TRANSFORM_INTEG, "hmac-sha2-256-128", 12, 0, false, NULL},
    {TRANSFORM_INTEG, "hmac-sha2-384-192", 13, 0, false, NULL},
    {TRANSFORM_INTEG, "hmac-sha2-512-256", 14, 0, false, NULL},
    {TRANSFORM_INTEG, "hmac-md5-96", 1, 0, false, MUST_NOT},
    {TRANSFORM_INTEG, "des-mac", 3, 0, false, MUST_NOT},
    {TRANSFORM_INTEG, "kpdk-md5", 4, 0, false, MUST_NOT},
    {TRANSFORM_INTEG, "none", 0, 0, false,
	"RFC 8221 says encryption without integrity MUST NOT be used"},
    {TRANSFORM_PRF, "hmac-sha2-256", 5, 0, false, NULL},
    {TRANSFORM_PRF, "hmac-sha2-384", 6, 0, false, NULL},
    {TRANSFORM_PRF, "hmac-sha2-512", 7, 0, false, NULL},
    {TRANSFORM_PRF, "hmac-sha1", 2, 0, false, NULL},
    {TRANSFORM_PRF, "hmac-md5", 1, 0, false, "RFC 8247 says it MUST NOT be used"},
    {TRANSFORM_DH, "curve25519", 31, 0, false, NULL},
    {TRANSFORM_DH, "curve448", 32, 0, false, NULL},
    {TRANSFORM_DH, "ecp256", 19, 0, false, NULL},
    {TRANSFORM_DH, "ecp384", 20, 0, false, NULL},
    {TRANSFORM_DH, "ecp521", 21, 0, false, NULL},
    {TRANSFORM_DH, "modp2048", 14, 0, false, NULL},
    {TRANSFORM_DH, "modp3072", 15, 0, false, NULL},
    {TRANSFORM_DH, "modp4096", 16, 0, false, NULL},
    {TRANSFORM_DH, "modp768", 1, 0, false, "RFC 8247 says it MUST NOT be used"},
    {TRANSFORM_DH, "modp1024", 2, 0, false, "RFC 8247 says it SHOULD NOT be used"},
    {TRANSFORM_DH, "modp1536", 5, 0, false, "RFC 8247 says it SHOULD NOT be used"},
};
#define ROWS (sizeof(table) / sizeof(table[0]))

const struct transform *transform_find(enum transform_type type, const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].type == type && !strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

const struct transform *transform_by_number(
    enum transform_type type, uint16_t number, uint16_t key_bits)
{
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].type == type && table[i].number == number &&
		    table[i].key_bits == key_bits)
			return &table[i];
	return NULL;
}

const char *transform_names(enum transform_type type, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ROWS; i++) {
		if (table[i].type != type || table[i].refused)
			continue;
		int n = snprintf(buf + at, len - at, "%s%s", at ? " " : "", table[i].name);
		if (n < 0 || (size_t)n >= len - at) {
			buf[at] = '\0';
			break;
		}
		at += (size_t)n;
	}
	return buf;
}
