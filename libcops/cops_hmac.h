/*
 * cops_hmac.h - the keys of the Integrity object (RFC 2748 2.2.16, 4.1, 4.2): rings of them, by
 * the peer they are shared with, and digests.  The only file of the core that knows a
 * cryptographic library, and it knows no clock: times are Unix time in milliseconds, the
 * caller's.
 *
 * A key is sent with and taken within its lifetime.  Lifetimes overlap when keys are changed;
 * a sender goes over to the later key in the middle of the overlap, a receiver takes both.
 */
#ifndef COPS_HMAC_H
#define COPS_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COPS_HMAC_DIGEST_LEN 12 /* octets of a digest in the object, whatever the algorithm */
#define COPS_HMAC_KEY_MIN    16
#define COPS_HMAC_KEY_MAX    128

struct cops_hmac_key {
	uint32_t id;	   /* of the peer's keys no other has it */
	uint8_t algorithm; /* what cops_hmac_find() returned */
	uint16_t len;	   /* COPS_HMAC_KEY_MIN to COPS_HMAC_KEY_MAX octets */
	const uint8_t *octets;
	int64_t not_before_ms; /* the first moment of its lifetime */
	int64_t not_after_ms;  /* the first moment after it */
};

/* The number of algorithm "hmac-md5-96", which everybody has, or "hmac-sha2-256-96"; -1: no such.
 */
int cops_hmac_find(const char *name);
/* And back, static; NULL: no such. */
const char *cops_hmac_name(unsigned algorithm);

struct cops_hmac_ring;

/* An empty ring with one reference; NULL when memory is short or the library has no HMAC. */
struct cops_hmac_ring *cops_hmac_ring_new(void);
/* References may be taken and given back by any thread; the last one zeroes the keys. */
struct cops_hmac_ring *cops_hmac_ring_ref(struct cops_hmac_ring *r);
void cops_hmac_ring_unref(struct cops_hmac_ring *r); /* NULL is allowed */
/*
 * Add a copy of a key shared with peer (at the PDP a PEPID, at the PEP a PDP's name; capitals
 * do not count).  Only before others see the ring.  0, or -1 and *why, static.
 */
int cops_hmac_ring_add(
    struct cops_hmac_ring *r, const char *peer, const struct cops_hmac_key *key, const char **why);
/* How many keys there are for peer, whatever their lifetimes; NULL: for all. */
size_t cops_hmac_ring_count(const struct cops_hmac_ring *r, const char *peer);
/* The key to send to peer with; NULL: none is within its lifetime. Borrowed from the ring. */
const struct cops_hmac_key *cops_hmac_ring_to(
    const struct cops_hmac_ring *r, const char *peer, int64_t unix_ms);
/* The key by which peer says it proved a message; NULL: unknown or not within its lifetime. */
const struct cops_hmac_key *cops_hmac_ring_from(
    const struct cops_hmac_ring *r, const char *peer, uint32_t id, int64_t unix_ms);

/* A digest over octets that come in pieces; key and ring must live until _end. */
struct cops_hmac {
	void *state; /* NULL: something failed */
};
/* Begin with a key of ring r; a failure shows at the end, which must come in any case. */
void cops_hmac_begin(
    struct cops_hmac *h, const struct cops_hmac_ring *r, const struct cops_hmac_key *key);
void cops_hmac_add(struct cops_hmac *h, const void *p, size_t len);
/* Writes the digest and frees.  False when any step failed; digest is then not to be used. */
bool cops_hmac_end(struct cops_hmac *h, uint8_t digest[COPS_HMAC_DIGEST_LEN]);
/* Are they equal?  In a time that tells nothing about where they differ. */
bool cops_hmac_equal(const uint8_t a[COPS_HMAC_DIGEST_LEN], const uint8_t b[COPS_HMAC_DIGEST_LEN]);

#ifdef __cplusplus
}
#endif
#endif
