/*
 * cops_hmac.c - rings of keys, a hash of peers each with its keys in the order in which their
 * lifetimes begin, and HMAC (RFC 2104) by OpenSSL.
 */
#include "libcops/cops_hmac.h"

#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define PEER_MAX 255 /* octets of a name */

/*
 * The object leaves the digest's length to the algorithm, and the algorithm to the key.  What
 * we have are digests cut to 96 bits.
 */
static const struct {
	const char *name;
	const char *digest; /* OpenSSL's name */
} algorithms[] = {
    {"hmac-md5-96", "MD5"},
    {"hmac-sha2-256-96", "SHA2-256"},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

struct peer {
	UT_hash_handle hh;
	struct cops_hmac_key *key; /* by not_before_ms */
	size_t keys;
	char name[]; /* lower case */
};

struct cops_hmac_ring {
	uint32_t refs;
	EVP_MAC *mac;
	struct peer *peers;
	size_t keys;
};

int cops_hmac_find(const char *name)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (strcasecmp(algorithms[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *cops_hmac_name(unsigned algorithm)
{
	return algorithm < ALGORITHMS ? algorithms[algorithm].name : NULL;
}

/* --- rings ------------------------------------------------------------------ */

struct cops_hmac_ring *cops_hmac_ring_new(void)
{
	struct cops_hmac_ring *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->refs = 1;
	r->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (r->mac == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

struct cops_hmac_ring *cops_hmac_ring_ref(struct cops_hmac_ring *r)
{
	__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

static void key_free(struct cops_hmac_key *k)
{
	OPENSSL_clear_free((void *)(uintptr_t)k->octets, k->len);
}

void cops_hmac_ring_unref(struct cops_hmac_ring *r)
{
	struct peer *p, *next;

	if (r == NULL || __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	HASH_ITER (hh, r->peers, p, next) {
		HASH_DEL(r->peers, p);
		for (size_t i = 0; i < p->keys; i++)
			key_free(&p->key[i]);
		free(p->key);
		free(p);
	}
	EVP_MAC_free(r->mac);
	free(r);
}

/* Names differ in capitals only by mistake: DNS names. */
static struct peer *peer_find(const struct cops_hmac_ring *r, const char *name)
{
	char lower[PEER_MAX + 1];
	struct peer *p;
	size_t len;

	for (len = 0; name[len] != '\0' && len < PEER_MAX; len++)
		lower[len] = (char)tolower((unsigned char)name[len]);
	HASH_FIND(hh, r->peers, lower, len, p);
	return name[len] == '\0' ? p : NULL;
}

static struct peer *peer_get(struct cops_hmac_ring *r, const char *name)
{
	struct peer *p = peer_find(r, name);
	size_t len = strlen(name);

	if (p != NULL)
		return p;
	p = calloc(1, sizeof(*p) + len + 1);
	if (p == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++)
		p->name[i] = (char)tolower((unsigned char)name[i]);
	HASH_ADD_KEYPTR(hh, r->peers, p->name, len, p);
	if (p->hh.tbl == NULL) { /* no memory */
		free(p);
		return NULL;
	}
	return p;
}

/* Put k, whose octets are ours already, where its lifetime begins; false: no memory. */
static bool peer_put(struct peer *p, const struct cops_hmac_key *k)
{
	struct cops_hmac_key *key = reallocarray(p->key, p->keys + 1, sizeof(*key));
	size_t at = p->keys;

	if (key == NULL)
		return false;
	p->key = key;
	while (at > 0 && key[at - 1].not_before_ms > k->not_before_ms)
		at--;
	memmove(&key[at + 1], &key[at], (p->keys - at) * sizeof(*key));
	key[at] = *k;
	p->keys++;
	return true;
}

static const char *key_fault(
    const struct cops_hmac_ring *r, const char *peer, const struct cops_hmac_key *key)
{
	const struct peer *p = peer_find(r, peer);

	if (peer[0] == '\0' || strlen(peer) > PEER_MAX)
		return "a name has 1 to 255 characters";
	if (key->algorithm >= ALGORITHMS)
		return "no such algorithm";
	if (key->len < COPS_HMAC_KEY_MIN)
		return "the key is too short: 16 octets are the least";
	if (key->len > COPS_HMAC_KEY_MAX)
		return "the key is too long: 128 octets are the most";
	if (key->not_after_ms <= key->not_before_ms)
		return "the lifetime ends before it begins";
	for (size_t i = 0; p != NULL && i < p->keys; i++)
		if (p->key[i].id == key->id)
			return "there is a key with this number for this peer";
	return NULL;
}

int cops_hmac_ring_add(
    struct cops_hmac_ring *r, const char *peer, const struct cops_hmac_key *key, const char **why)
{
	struct cops_hmac_key k = *key;
	struct peer *p;

	*why = key_fault(r, peer, key);
	if (*why != NULL)
		return -1;
	*why = "out of memory";
	p = peer_get(r, peer);
	k.octets = OPENSSL_memdup(key->octets, key->len);
	if (p == NULL || k.octets == NULL || !peer_put(p, &k)) {
		key_free(&k);
		return -1;
	}
	r->keys++;
	return 0;
}

size_t cops_hmac_ring_count(const struct cops_hmac_ring *r, const char *peer)
{
	const struct peer *p = peer != NULL ? peer_find(r, peer) : NULL;

	if (peer == NULL)
		return r->keys;
	return p != NULL ? p->keys : 0;
}

static bool alive(const struct cops_hmac_key *k, int64_t unix_ms)
{
	return k->not_before_ms <= unix_ms && unix_ms < k->not_after_ms;
}

/* The middle of the overlap of two that are alive, the later one starting it (RFC 2748 4.2). */
static int64_t midpoint(const struct cops_hmac_key *old, const struct cops_hmac_key *new)
{
	int64_t from = new->not_before_ms;
	int64_t to = old->not_after_ms < new->not_after_ms ? old->not_after_ms : new->not_after_ms;

	return from + (to - from) / 2;
}

const struct cops_hmac_key *cops_hmac_ring_to(
    const struct cops_hmac_ring *r, const char *peer, int64_t unix_ms)
{
	const struct peer *p = peer_find(r, peer);
	const struct cops_hmac_key *best = NULL;

	for (size_t i = 0; p != NULL && i < p->keys; i++)
		if (alive(&p->key[i], unix_ms) &&
		    (best == NULL || unix_ms >= midpoint(best, &p->key[i])))
			best = &p->key[i];
	return best;
}

const struct cops_hmac_key *cops_hmac_ring_from(
    const struct cops_hmac_ring *r, const char *peer, uint32_t id, int64_t unix_ms)
{
	const struct peer *p = peer_find(r, peer);

	for (size_t i = 0; p != NULL && i < p->keys; i++)
		if (p->key[i].id == id)
			return alive(&p->key[i], unix_ms) ? &p->key[i] : NULL;
	return NULL;
}

/* --- digests ---------------------------------------------------------------- */

static void fail(struct cops_hmac *h)
{
	EVP_MAC_CTX_free(h->state);
	h->state = NULL;
}

void cops_hmac_begin(
    struct cops_hmac *h, const struct cops_hmac_ring *r, const struct cops_hmac_key *key)
{
	char *digest = (char *)(uintptr_t)algorithms[key->algorithm].digest;
	const OSSL_PARAM param[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	h->state = EVP_MAC_CTX_new(r->mac);
	if (h->state != NULL && EVP_MAC_init(h->state, key->octets, key->len, param) != 1)
		fail(h);
}

void cops_hmac_add(struct cops_hmac *h, const void *p, size_t len)
{
	if (h->state != NULL && EVP_MAC_update(h->state, p, len) != 1)
		fail(h);
}

bool cops_hmac_end(struct cops_hmac *h, uint8_t digest[COPS_HMAC_DIGEST_LEN])
{
	uint8_t whole[EVP_MAX_MD_SIZE];
	size_t len;
	bool ok = h->state != NULL && EVP_MAC_final(h->state, whole, &len, sizeof(whole)) == 1 &&
		  len >= COPS_HMAC_DIGEST_LEN;

	if (ok)
		memcpy(digest, whole, COPS_HMAC_DIGEST_LEN);
	fail(h);
	return ok;
}

bool cops_hmac_equal(const uint8_t a[COPS_HMAC_DIGEST_LEN], const uint8_t b[COPS_HMAC_DIGEST_LEN])
{
	return CRYPTO_memcmp(a, b, COPS_HMAC_DIGEST_LEN) == 0;
}
