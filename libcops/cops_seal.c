/*
 * cops_seal.c - see cops_seal.h.  Whether a message that was sealed can be believed is judged by
 * its last octets, before anything else in it is.
 */
#include "libcops/cops_seal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libcops/cops_be.h"
#include "libcops/cops_hmac.h"

#define SUB_HMAC (COPS_C_INTEGRITY << 8 | 1)

/* Where what is, from the start of the object. */
enum { AT_KEY_ID = 4, AT_NUMBER = 8, AT_DIGEST = 12 };

static const uint8_t object_header[COPS_OBJ_HDR_LEN] = {0, COPS_SEAL_LEN, COPS_C_INTEGRITY, 1};

struct cops_seal {
	const struct cops_conn_conf *conf;
	bool agreed;
	uint32_t sent; /* number of the last message, each way */
	uint32_t received;
	char peer[COPS_PEPID_MAX + 1]; /* whose keys these are; "": not known yet */
};

struct cops_seal *cops_seal_new(const struct cops_conn_conf *conf)
{
	const struct cops_integrity *i = &conf->integrity;
	struct cops_seal *s;

	if (i->unix_ms == NULL || i->first_number == NULL ||
	    (conf->role == COPS_PEP && (i->pdp == NULL || strlen(i->pdp) > COPS_PEPID_MAX)))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->conf = conf;
	if (conf->role == COPS_PEP)
		strcpy(s->peer, i->pdp);
	return s;
}

void cops_seal_free(struct cops_seal *s)
{
	free(s);
}

bool cops_seal_is_peer(const struct cops_seal *s, const char *pepid)
{
	return strcasecmp(s->peer, pepid) == 0;
}

/* --- out ---------------------------------------------------------------------- */

bool cops_seal_wanted(const struct cops_seal *s, const uint8_t *head)
{
	return s->agreed || head[1] == COPS_OP_OPN || head[1] == COPS_OP_CAT;
}

/*
 * The number of the next message.  The first one of each side is what the other is to count
 * from; the PEP's own counting begins with the PDP's answer, the PDP's with the PEP's OPN.
 */
static uint32_t number_next(struct cops_seal *s)
{
	if (s->agreed)
		return ++s->sent;
	s->received = s->conf->integrity.first_number();
	s->agreed = s->conf->role == COPS_PDP;
	return s->received;
}

struct cops_chunk *cops_seal_put(struct cops_seal *s, struct cops_chunk *first,
    struct cops_chunk *const *more, size_t n, const char **why)
{
	const struct cops_integrity *i = &s->conf->integrity;
	const struct cops_hmac_key *key = cops_hmac_ring_to(i->ring, s->peer, i->unix_ms());
	struct cops_chunk *seal = key != NULL ? cops_chunk_alloc(COPS_SEAL_LEN) : NULL;
	struct cops_hmac h;

	*why = key != NULL ? "out of memory" : "no Integrity key for the peer is in its lifetime";
	if (seal == NULL)
		return NULL;
	cops_be32_put(first->data + 4, cops_be32(first->data + 4) + COPS_SEAL_LEN);
	memcpy(seal->data, object_header, sizeof(object_header));
	cops_be32_put(seal->data + AT_KEY_ID, key->id);
	cops_be32_put(seal->data + AT_NUMBER, number_next(s));
	cops_hmac_begin(&h, i->ring, key);
	cops_hmac_add(&h, first->data, first->len);
	for (size_t k = 0; k < n; k++)
		cops_hmac_add(&h, more[k]->data, more[k]->len);
	cops_hmac_add(&h, seal->data, AT_DIGEST);
	*why = NULL;
	if (cops_hmac_end(&h, seal->data + AT_DIGEST))
		return seal;
	*why = "no digest can be made";
	cops_chunk_unref(seal);
	return NULL;
}

/* --- in ----------------------------------------------------------------------- */

static bool refuse(struct cops_fault *f, const struct cops_msg *m, enum cops_error code,
    uint16_t sub, const char *why)
{
	*f = (struct cops_fault) {.code = (uint16_t)code, .sub = sub, .offset = m->len, .why = why};
	return false;
}

/* The object at the end of the message, or NULL. */
static const uint8_t *object_find(const struct cops_msg *m, bool well_formed)
{
	const uint8_t *o;

	if (m->len < COPS_HDR_LEN + COPS_SEAL_LEN)
		return NULL;
	o = m->octets + m->len - COPS_SEAL_LEN;
	if (memcmp(o, object_header, sizeof(object_header)) != 0)
		return NULL;
	/* Octets that look like it, inside of another object, are not it. */
	if (well_formed && m->slot[COPS_SLOT_INTEGRITY].body != o + COPS_OBJ_HDR_LEN)
		return NULL;
	return o;
}

static bool digest_check(
    const struct cops_seal *s, const struct cops_msg *m, const uint8_t *o, struct cops_fault *f)
{
	const struct cops_integrity *i = &s->conf->integrity;
	const struct cops_hmac_key *key = cops_hmac_ring_from(
	    i->ring, s->peer, cops_be32(o + AT_KEY_ID), i->unix_ms());
	uint8_t digest[COPS_HMAC_DIGEST_LEN];
	struct cops_hmac h;

	if (key == NULL)
		return refuse(f, m, COPS_ERR_AUTH_FAILURE, 0,
		    "Integrity by a key that is not known or not in its lifetime");
	cops_hmac_begin(&h, i->ring, key);
	cops_hmac_add(&h, m->octets, (size_t)(o + AT_DIGEST - m->octets));
	if (!cops_hmac_end(&h, digest) || !cops_hmac_equal(digest, o + AT_DIGEST))
		return refuse(f, m, COPS_ERR_AUTH_FAILURE, 0, "wrong Integrity digest");
	return true;
}

/* The first message from the peer: OPN at the PDP, CAT at the PEP, both for client-type 0. */
static bool check_first(struct cops_seal *s, const struct cops_msg *m, struct cops_fault *f)
{
	const struct cops_obj *pepid = &m->slot[COPS_SLOT_PEPID];
	const uint8_t *o = object_find(m, true);

	if (o == NULL)
		return refuse(f, m, COPS_ERR_AUTH_FAILURE, 0, "a digest of unknown length");
	if (m->op == COPS_OP_OPN && !cops_pepid_get(pepid, s->peer))
		return refuse(f, m, COPS_ERR_BAD_MESSAGE, 0, "PEPID is no name");
	if (!digest_check(s, m, o, f))
		return false;
	s->sent = cops_be32(o + AT_NUMBER);
	s->agreed = m->op == COPS_OP_CAT;
	return true;
}

bool cops_seal_check(
    struct cops_seal *s, const struct cops_msg *m, bool well_formed, struct cops_fault *f)
{
	const uint8_t *o;

	if (!s->agreed) {
		bool first = m->op == COPS_OP_OPN || m->op == COPS_OP_CAT;

		return !first || m->client_type != 0 || !well_formed ||
		       !cops_msg_has(m, COPS_SLOT_INTEGRITY) || check_first(s, m, f);
	}
	o = object_find(m, well_formed);
	if (o == NULL && f->code == COPS_ERR_UNKNOWN_OBJECT && f->sub >> 8 == COPS_C_INTEGRITY)
		return false; /* as the parser found it */
	if (o == NULL)
		return refuse(
		    f, m, COPS_ERR_AUTH_REQUIRED, SUB_HMAC, "a message without Integrity");
	if (!digest_check(s, m, o, f))
		return false;
	if (cops_be32(o + AT_NUMBER) != s->received + 1)
		return refuse(
		    f, m, COPS_ERR_AUTH_FAILURE, 0, "wrong sequence number: lost or sent again");
	s->received++;
	return true;
}
