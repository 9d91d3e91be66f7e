/*
 * keying.c - see keying.h; the object itself, the check of a peer's key rows, and our own
 * epochs as rows.
 */
#include "pep/keying_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pib/gen/ce_vpn_pib.h"

#define GRACE_MS       5000
#define LINGER_MS      3000
#define VERIFIED_MAX   65536
#define STALE_DISTANCE 16 /* live epochs of a member differ in their low four bits */

/* ------------------------------------------------------------------ life */

struct keying *keying_new(const char *cert, const char *key, const char *ca, const char *state_dir,
    const struct keying_ops *ops, void *arg, char *err, unsigned long err_len)
{
	struct keying *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		snprintf(err, err_len, "out of memory");
		return NULL;
	}
	k->ops = ops;
	k->arg = arg;
	k->grace_ms = GRACE_MS;
	k->linger_ms = LINGER_MS;
	if ((k->identity = kc_identity_new(cert, key, ca, err, err_len)) == NULL ||
	    epochs_load(&k->own, state_dir, err, err_len) != 0) {
		keying_free(k);
		return NULL;
	}
	return k;
}

static void verified_clear(struct keying *k)
{
	struct verified *v;
	struct verified *tmp;

	HASH_ITER (hh, k->verified, v, tmp) {
		HASH_DEL(k->verified, v);
		free(v);
	}
}

void keying_free(struct keying *k)
{
	struct peer_seen *s;
	struct peer_seen *tmp;

	if (k == NULL)
		return;
	HASH_ITER (hh, k->seen, s, tmp) {
		HASH_DEL(k->seen, s);
		free(s);
	}
	verified_clear(k);
	epochs_clear(&k->own);
	kc_identity_free(k->identity);
	free(k);
}

void keying_set_sends(struct keying *k, const struct suite *s, size_t count)
{
	k->sends_len = 0;
	for (size_t i = 0; i < count && i < SENDS_MAX; i++, k->sends_len += SUITE_LEN)
		suite_put(k->sends + k->sends_len, &s[i]);
}

void keying_set_times(struct keying *k, int64_t grace_ms, int64_t linger_ms)
{
	k->grace_ms = grace_ms;
	k->linger_ms = linger_ms;
}

/* ------------------------------------------------------------------ a peer's rows */

static int row_digest(const struct keying_member *m, const struct keying_peer *p,
    const struct keying_peer_key *pk, const uint8_t *text, size_t text_len,
    uint8_t digest[KC_DIGEST_LEN])
{
	const struct {
		const void *p;
		size_t len;
	} part[] = {
	    {text, text_len},
	    {p->name, strlen(p->name) + 1},
	    {&m->member, sizeof(m->member)},
	    {pk->certificate.p, pk->certificate.len},
	    {pk->signature.p, pk->signature.len},
	};
	uint8_t all[sizeof(part) / sizeof(part[0])][KC_DIGEST_LEN];

	/* A digest of digests, so that no part can borrow octets from its neighbour. */
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		if (kc_digest(part[i].p, part[i].len, all[i]) != 0)
			return -1;
	return kc_digest(all, sizeof(all), digest);
}

static void verified_add(struct keying *k, const uint8_t digest[KC_DIGEST_LEN])
{
	struct verified *v;

	if (HASH_COUNT(k->verified) >= VERIFIED_MAX)
		verified_clear(k);
	if ((v = calloc(1, sizeof(*v))) == NULL)
		return;
	memcpy(v->digest, digest, KC_DIGEST_LEN);
	HASH_ADD(hh, k->verified, digest, KC_DIGEST_LEN, v);
}

static bool epoch_stale(const struct keying *k, uint32_t peer, uint32_t epoch)
{
	struct peer_seen *s;

	HASH_FIND(hh, k->seen, &peer, sizeof(peer), s);
	return s != NULL && s->newest >= STALE_DISTANCE && epoch <= s->newest - STALE_DISTANCE;
}

static void epoch_seen(struct keying *k, uint32_t peer, uint32_t epoch)
{
	struct peer_seen *s;

	HASH_FIND(hh, k->seen, &peer, sizeof(peer), s);
	if (s == NULL) {
		if ((s = calloc(1, sizeof(*s))) == NULL)
			return;
		s->peer = peer;
		HASH_ADD(hh, k->seen, peer, sizeof(s->peer), s);
	}
	if (epoch > s->newest)
		s->newest = epoch;
}

static int refuse(uint16_t *install_error, uint16_t number, char *err, unsigned long err_len,
    const struct keying_peer *p, const struct keying_peer_key *pk, const char *why)
{
	*install_error = number;
	snprintf(err, err_len, "key of %s, epoch %u: %s", p->name, pk->epoch, why);
	return -1;
}

size_t keying_signed_text(uint8_t text[SITEKEY_TEXT_MAX], const struct keying_member *m,
    uint32_t member, uint32_t epoch, const uint8_t *public_key, const uint8_t *nonce,
    const struct pib_octets *transforms, const struct pib_octets *sends)
{
	const struct sitekey key = {
	    .member = member,
	    .epoch = epoch,
	    .public_key = public_key,
	    .nonce = nonce,
	    .transforms = transforms->p,
	    .transforms_len = transforms->len,
	    .sends = sends->p,
	    .sends_len = sends->len,
	};

	return sitekey_text(text, m->vpn_id, &key);
}

int keying_verify(struct keying *k, const struct keying_member *m, const struct keying_peer *p,
    const struct keying_peer_key *pk, uint16_t *install_error, char *err, unsigned long err_len)
{
	uint8_t text[SITEKEY_TEXT_MAX];
	uint8_t digest[KC_DIGEST_LEN];
	struct verified *v;
	const char *why = "";
	size_t len;

	if (pk->instance != (p->peer << 4 | (pk->epoch & 15)) || p->peer == m->member)
		return refuse(install_error, PIB_CE_VPN_PEER_KEY_ERR_STALE_EPOCH, err, err_len, p,
		    pk, "the row's number does not belong to it");
	if (epoch_stale(k, p->peer, pk->epoch))
		return refuse(install_error, PIB_CE_VPN_PEER_KEY_ERR_STALE_EPOCH, err, err_len, p,
		    pk, "far older than one seen before");
	len = keying_signed_text(
	    text, m, p->peer, pk->epoch, pk->public_key, pk->nonce, &pk->transforms, &pk->sends);
	if (row_digest(m, p, pk, text, len, digest) != 0)
		return refuse(install_error, PIB_CE_VPN_PEER_KEY_ERR_BAD_SIGNATURE, err, err_len, p,
		    pk, "cannot be checked");
	HASH_FIND(hh, k->verified, digest, KC_DIGEST_LEN, v);
	if (v != NULL)
		return 0;
	switch (kc_verify(k->identity, pk->certificate.p, pk->certificate.len, p->name, text, len,
	    pk->signature.p, pk->signature.len, &why)) {
	case KC_OK:
		break;
	case KC_BAD_CERTIFICATE:
		return refuse(install_error, PIB_CE_VPN_PEER_KEY_ERR_BAD_CERTIFICATE, err, err_len,
		    p, pk, why);
	case KC_BAD_SIGNATURE:
		return refuse(
		    install_error, PIB_CE_VPN_PEER_KEY_ERR_BAD_SIGNATURE, err, err_len, p, pk, why);
	}
	if (!sitekey_public_ok(pk->public_key))
		return refuse(install_error, PIB_CE_VPN_PEER_KEY_ERR_BAD_SIGNATURE, err, err_len, p,
		    pk, "a public key of small order");
	verified_add(k, digest);
	epoch_seen(k, p->peer, pk->epoch);
	return 0;
}

/* ------------------------------------------------------------------ rows, show */

void keying_notify(struct keying *k,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	struct epoch_member *m;
	struct epoch_member *tmp;
	size_t cert_len;
	const uint8_t *cert = kc_identity_cert(k->identity, &cert_len);

	HASH_ITER (hh, k->own.member, m, tmp) {
		for (unsigned i = 0; m->present && i < m->epochs; i++) {
			const struct epoch *e = m->epoch[i];
			struct pib_ce_vpn_site_key row = {
			    .id = m->member << 4 | (e->number & 15),
			    .member = m->member,
			    .epoch = e->number,
			    .public_key = {e->pub, SITEKEY_LEN},
			    .nonce = {e->nonce, SITEKEY_LEN},
			    .transforms = {e->suites, (uint32_t)e->suites_len},
			    .sends = {e->sends, (uint32_t)e->sends_len},
			    .certificate = {cert, (uint32_t)cert_len},
			    .signature = {e->signature, (uint32_t)e->signature_len},
			};

			if (e->state == EPOCH_LIVE)
				put(arg, &pib_ce_vpn_site_key_class, row.id, &row);
		}
	}
}

unsigned keying_epochs(const struct keying *k, uint32_t member, struct keying_epoch_info *info,
    unsigned max, int64_t now_ms)
{
	const struct epoch_member *m = epochs_member_find(&k->own, member);
	unsigned n = 0;

	for (unsigned i = m == NULL ? 0 : m->epochs; i-- > 0 && n < max;) {
		const struct epoch *e = m->epoch[i];

		info[n++] = (struct keying_epoch_info) {
		    .epoch = e->number,
		    .private_key = e->has_key,
		    .withdrawing = e->state == EPOCH_LINGER || e->withdraw_ms != 0,
		    .age_ms = now_ms - e->born_ms,
		};
	}
	return n;
}
