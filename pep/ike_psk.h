/*
 * ike_psk.h - the file of pre-shared keys (psk-file of pep.conf(5)): they never travel by COPS.
 *
 *	# the peer's identity   its key
 *	lyon.acme.example       0x6b657920666f7220...
 *	nice.acme.example       "a long sentence that both ends know"
 *	metz.acme.example       base64:9uaCc2Qh...
 */
#ifndef PEP_IKE_PSK_H
#define PEP_IKE_PSK_H

#include <stddef.h>
#include <stdint.h>

struct ike_psk;

struct ike_psk_key {
	const char *peer; /* in lower case */
	const uint8_t *octet;
	size_t len;
};

/*
 * Read the file, which nobody but its owner may be able to read or write.  NULL and a text with
 * file and line, but nothing of a key, in err.
 */
struct ike_psk *ike_psk_read(const char *path, char *err, size_t err_len);
void ike_psk_free(struct ike_psk *p); /* cleanses; NULL is none */
/* The key for a peer; borrowed.  NULL: there is none, or no file. */
const struct ike_psk_key *ike_psk_find(const struct ike_psk *p, const char *peer);
/* The i-th; NULL past the last. */
const struct ike_psk_key *ike_psk_at(const struct ike_psk *p, size_t i);

#endif
