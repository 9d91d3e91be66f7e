/* cops_setting.c - see cops_setting.h. */
#include "libcops/cops_setting.h"

#include <string.h>

#include "common/diag.h"
#include "common/keyfile.h"
#include "libcops/cops_hmac.h"

static const char *const words[] = {
    [COPS_SECURITY_NONE] = "none",
    [COPS_SECURITY_TLS] = "tls",
    [COPS_SECURITY_INTEGRITY] = "integrity",
    [COPS_SECURITY_ANY] = "any",
};

int cops_security_find(const char *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

const char *cops_security_name(enum cops_security security)
{
	return words[security];
}

static int key_take(void *ring, const struct keyfile_key *k, const char **why)
{
	int algorithm = cops_hmac_find(k->algorithm);
	struct cops_hmac_key key = {
	    .id = k->id,
	    .algorithm = (uint8_t)algorithm,
	    .len = (uint16_t)k->len,
	    .octets = k->octets,
	    .not_before_ms = k->not_before_ms,
	    .not_after_ms = k->not_after_ms,
	};

	*why = "the algorithm is not one of hmac-md5-96 and hmac-sha2-256-96";
	return algorithm < 0 ? -1 : cops_hmac_ring_add(ring, k->peer, &key, why);
}

struct cops_hmac_ring *cops_setting_ring(const char *path, struct diag *d)
{
	struct cops_hmac_ring *ring = cops_hmac_ring_new();
	const char *why = NULL;
	int rc = -1;

	if (ring == NULL)
		why = "out of memory, or no HMAC in the cryptographic library";
	else if ((rc = keyfile_read(path, key_take, ring, d)) == 0 &&
		 cops_hmac_ring_count(ring, NULL) == 0)
		why = "no key in it";
	if (why != NULL)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "%s", why);
	if (rc == 0 && why == NULL)
		return ring;
	cops_hmac_ring_unref(ring);
	return NULL;
}
