/*
 * keying.c - see keying.h.
 *
 * Life of an own epoch: new (number on disk, inbound SAs go in), live (published),
 * lingering (withdrawn, inbound SAs stay a little), gone.  Only live epochs with their
 * private key make new SAs; orphans keep the SAs they have.
 *
 * Every SA planned with an epoch is noted in epoch->used.  One that was in the kernel
 * and is not any more, or an outbound one that may have been, is never planned again: the
 * membership wants a new epoch instead.  So no key is installed twice.
 */
#include "pep/keying.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/keying_crypto.h"
#include "pep/keying_derive.h"
#include "pep/keying_epochs.h"
#include "pep/natt.h"
#include "pib/gen/ce_vpn_pib.h"

#define GRACE_MS       5000
#define LINGER_MS      3000
#define WAIT_MAX_MS    300000 /* between two looks whether a peer is bound to an old epoch */
#define RETRY_MS       2000   /* after the disk or the kernel said no */
#define LOST_CALM_MS   1000   /* at most one new epoch for lost SAs in this time */
#define REKEY_PERCENT  70     /* of the lifetime, +-5 */
#define SOFT_PERCENT   80
#define VERIFIED_MAX   65536
#define STALE_DISTANCE 16 /* live epochs of a member differ in their low four bits */

struct verified { /* a key row that passed keying_verify() */
	uint8_t digest[KC_DIGEST_LEN];
	UT_hash_handle hh;
};

struct peer_seen {
	uint32_t peer;
	uint32_t newest; /* epoch with a good signature */
	UT_hash_handle hh;
};

struct keying {
	struct kc_identity *identity;
	struct epochs own;
	uint8_t sends[SENDS_LEN_MAX];
	size_t sends_len;
	const struct keying_ops *ops;
	void *arg;
	int64_t grace_ms;
	int64_t linger_ms;
	const struct kstate *ks; /* of the last plan */
	struct verified *verified;
	struct peer_seen *seen;
};

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

/* What signs a key of a membership in m's VPN. */
static size_t signed_text(uint8_t text[SITEKEY_TEXT_MAX], const struct keying_member *m,
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
	len = signed_text(
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

/* ------------------------------------------------------------------ plan */

struct have { /* an SA of this peer in the kernel */
	struct kern_sa_id id;
	struct addr src;
	struct kern_encap encap;
	bool inbound;
	bool keep;
};

struct planning {
	struct keying *k;
	const struct keying_member *m;
	const struct keying_peer *p;
	struct epoch_member *own; /* NULL: not settled yet */
	struct kplan *plan;
	struct have *have;
	size_t count;
	size_t cap;
	bool failed;
	char *err;
	unsigned long err_len;
};

static void have_add(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct planning *pl = arg;

	if (pl->count == pl->cap) {
		size_t cap = pl->cap == 0 ? 16 : 2 * pl->cap;
		struct have *h = reallocarray(pl->have, cap, sizeof(*h));

		if (h == NULL) {
			pl->failed = true;
			return;
		}
		pl->have = h;
		pl->cap = cap;
	}
	pl->have[pl->count++] = (struct have) {
	    .id = sa->id, .src = sa->src, .encap = sa->encap, .inbound = inbound};
}

/* ESP in UDP is for pairs one of whom is behind NAT. */
static bool in_udp(const struct planning *pl)
{
	return pl->m->nat || pl->p->nat;
}

static struct have *have_find(const struct planning *pl, uint32_t spi, bool inbound)
{
	const struct addr *src = inbound ? &pl->p->addr : &pl->m->local;
	const struct addr *dst = inbound ? &pl->m->local : &pl->p->addr;

	for (size_t i = 0; i < pl->count; i++) {
		struct have *h = &pl->have[i];

		if (h->inbound == inbound && h->id.spi == spi && addr_cmp(&h->src, src) == 0 &&
		    addr_cmp(&h->id.dst, dst) == 0 && kern_encap_some(h->encap) == in_udp(pl))
			return h;
	}
	return NULL;
}

/*
 * A NAT's port for the peer, as its SAs have learned it; the one that most NATs try to keep,
 * until it has sent something.
 */
static uint16_t peer_port(const struct planning *pl)
{
	for (size_t i = 0; pl->p->nat && i < pl->count; i++) {
		const struct have *h = &pl->have[i];

		if (kern_encap_some(h->encap) &&
		    addr_cmp(h->inbound ? &h->src : &h->id.dst, &pl->p->addr) == 0)
			return h->inbound ? h->encap.sport : h->encap.dport;
	}
	return NATT_PORT;
}

static const struct keying_peer_key *peer_key_newest(const struct keying_peer *p)
{
	const struct keying_peer_key *best = NULL;

	for (unsigned i = 0; i < p->keys; i++)
		if (best == NULL || p->key[i].epoch > best->epoch)
			best = &p->key[i];
	return best;
}

static bool peer_key_low(const struct keying_peer *p, unsigned low_bits)
{
	for (unsigned i = 0; i < p->keys; i++)
		if ((p->key[i].epoch & 15) == low_bits)
			return true;
	return false;
}

static struct epoch_used *used_find(
    const struct epoch *e, uint32_t peer, uint32_t peer_epoch, bool outbound)
{
	struct epoch_used_key key = {.peer = peer, .epoch = peer_epoch, .outbound = outbound};
	struct epoch_used *u;

	HASH_FIND(hh, e->used, &key, sizeof(key), u);
	return u;
}

static struct epoch_used *used_get(
    struct epoch *e, uint32_t peer, uint32_t peer_epoch, bool outbound)
{
	struct epoch_used *u = used_find(e, peer, peer_epoch, outbound);

	if (u != NULL || (u = calloc(1, sizeof(*u))) == NULL)
		return u;
	u->key = (struct epoch_used_key) {.peer = peer, .epoch = peer_epoch, .outbound = outbound};
	HASH_ADD(hh, e->used, key, sizeof(u->key), u);
	return u;
}

static uint64_t percent(uint64_t v, unsigned p)
{
	return v / 100 * p + v % 100 * p / 100;
}

static uint64_t octets(uint64_t kilobytes)
{
	return kilobytes > UINT64_MAX / 1024 ? UINT64_MAX : kilobytes * 1024;
}

static void sa_lifetimes(struct kern_sa *sa, const struct keying_transform *t)
{
	sa->hard.seconds = t->lifetime_s;
	sa->hard.octets = octets(t->lifetime_kilobytes);
	sa->soft.seconds = t->soft_s ? t->soft_s : percent(sa->hard.seconds, SOFT_PERCENT);
	sa->soft.octets = t->soft_kilobytes ? octets(t->soft_kilobytes)
					    : percent(sa->hard.octets, SOFT_PERCENT);
}

static const struct keying_transform *suite_find(
    const struct keying_transform *t, unsigned count, const uint8_t suite[SUITE_LEN])
{
	uint8_t octets[SUITE_LEN];

	for (unsigned i = 0; i < count; i++) {
		keying_suite(&t[i], octets);
		if (memcmp(octets, suite, SUITE_LEN) == 0)
			return &t[i];
	}
	return NULL;
}

/*
 * What an SA between own epoch e and the peer's key pk is made of: the first of the receiver's
 * signed list that the sender can send.  Window and lifetimes are ours.  False: there is none.
 */
static bool sa_transform(const struct keying_member *m, const struct epoch *e,
    const struct keying_peer_key *pk, bool inbound, struct keying_transform *out)
{
	const uint8_t *octets = inbound ? suites_choose(
					      e->suites, e->suites_len, pk->sends.p, pk->sends.len)
					: suites_choose(pk->transforms.p, pk->transforms.len,
					      e->sends, e->sends_len);
	const struct keying_transform *t;
	struct suite suite;

	if (octets == NULL || !suite_get(&suite, octets))
		return false;
	t = suite_find(m->transform, m->transforms, octets);
	if (t != NULL) {
		*out = *t;
		return true;
	}
	/* Of proposals that one of us does not have any more, or not yet. */
	t = suite_find(e->transform, e->transforms, octets);
	*out = t != NULL ? *t : m->transform[0];
	out->protocol = suite.protocol;
	out->esn = suite.esn;
	out->encr = suite.encr;
	out->encr_key_bits = suite.encr_key_bits;
	out->integ = suite.integ;
	out->proposal = 0;
	return true;
}

/* Derive and add the SA between own epoch e and the peer's key pk. */
static int sa_plan(struct planning *pl, const struct epoch *e, const struct keying_peer_key *pk,
    const struct keying_transform *t, bool inbound)
{
	const struct keying_end own = {pl->m->member, e->number, e->nonce};
	const struct keying_end peer = {pl->p->peer, pk->epoch, pk->nonce};
	struct korigin o = {
	    .cls = &pib_ce_vpn_peer_key_class,
	    .instance = pk->instance,
	    .alg_cls = t->proposal != 0 ? &pib_ce_vpn_proposal_class : NULL,
	    .alg_instance = t->proposal,
	    .encr_column = PIB_CE_VPN_PROPOSAL_COL_ENCR,
	    .integ_column = PIB_CE_VPN_PROPOSAL_COL_INTEG,
	};
	struct kern_sa sa = {.mode = pl->m->mode, .reqid = pl->p->reqid, .inner = pl->p->inner};
	uint8_t secret[SITEKEY_LEN];
	int rc;

	sa.src = inbound ? pl->p->addr : pl->m->local;
	sa.id.dst = inbound ? pl->m->local : pl->p->addr;
	sa.id.spi = inbound ? keying_spi(peer.member, peer.epoch, own.epoch)
			    : keying_spi(own.member, own.epoch, peer.epoch);
	sa.id.ah = t->protocol == SUITE_AH;
	if (in_udp(pl)) {
		sa.encap.sport = inbound ? peer_port(pl) : NATT_PORT;
		sa.encap.dport = inbound ? NATT_PORT : peer_port(pl);
	}
	sa.set_mark = pl->m->mark;
	if (!inbound) /* what is around must find its way outside of the VRF */
		sa.set_mark.value = 0;
	sa.replay_window = t->replay_window;
	sa_lifetimes(&sa, t);
	rc = sitekey_agree(e->priv, pk->public_key, secret);
	if (rc == 0)
		rc = keying_keymat(
		    pl->m->vpn_id, inbound ? &peer : &own, inbound ? &own : &peer, t, secret, &sa);
	kc_cleanse(secret, sizeof(secret));
	if (rc == 0)
		kplan_sa_add(pl->plan, &sa, inbound, &o);
	else
		snprintf(pl->err, pl->err_len,
		    "%s: no keys for epochs %u and %u (ENCR %u, INTEG %u)", pl->p->name, e->number,
		    pk->epoch, t->encr, t->integ);
	kc_cleanse(&sa, sizeof(sa));
	return rc;
}

enum want { WANT_HELD, WANT_ADDED, WANT_SPENT, WANT_NONE, WANT_FAILED };

/*
 * See to it that one SA is there when the plan is done.  WANT_NONE: there cannot be one, as the two
 * epochs have no transform in common.
 */
static enum want sa_want(
    struct planning *pl, struct epoch *e, const struct keying_peer_key *pk, bool inbound)
{
	uint32_t spi = inbound ? keying_spi(pl->p->peer, pk->epoch, e->number)
			       : keying_spi(pl->m->member, e->number, pk->epoch);
	struct keying_transform t;
	struct epoch_used *u = used_find(e, pl->p->peer, pk->epoch, !inbound);
	struct have *h = have_find(pl, spi, inbound);

	if (!sa_transform(pl->m, e, pk, inbound, &t))
		return WANT_NONE;
	if (h != NULL && u != NULL) {
		h->keep = true;
		u->installed = true;
		return WANT_HELD;
	}
	/* With an SPI in the kernel that is of other epochs with the same low bits, or spent. */
	if (h != NULL || (u != NULL && (u->installed || !inbound))) {
		pl->own->want_new = true;
		return WANT_SPENT;
	}
	if ((u = used_get(e, pl->p->peer, pk->epoch, !inbound)) == NULL) {
		snprintf(pl->err, pl->err_len, "out of memory");
		return WANT_FAILED;
	}
	u->id.spi = spi;
	u->id.ah = t.protocol == SUITE_AH;
	u->id.dst = inbound ? pl->m->local : pl->p->addr;
	return sa_plan(pl, e, pk, &t, inbound) == 0 ? WANT_ADDED : WANT_FAILED;
}

static int plan_inbound(struct planning *pl)
{
	for (unsigned i = 0; i < pl->own->epochs; i++) {
		struct epoch *e = pl->own->epoch[i];

		if (!e->has_key)
			continue;
		for (unsigned j = 0; j < pl->p->keys; j++)
			if (sa_want(pl, e, &pl->p->key[j], true) == WANT_FAILED)
				return -1;
	}
	return 0;
}

/* The sender's rule: the peer's newest epoch, and what it acknowledged of ours. */
static int plan_outbound(struct planning *pl, bool *chosen)
{
	const struct keying_peer_key *pk = peer_key_newest(pl->p);
	struct epoch *e = epochs_find(pl->own, pl->p->acked);
	enum want w = WANT_SPENT;

	if (pk != NULL && e != NULL && e->has_key && e->state == EPOCH_LIVE)
		w = sa_want(pl, e, pk, false);
	*chosen = w == WANT_HELD || w == WANT_ADDED;
	return w == WANT_FAILED ? -1 : 0;
}

/*
 * An epoch that has lingered leaves when no peer can be bound to it: one that restarted goes on
 * with the SA it has, until we hold its new epoch and it knows that.  Until then it publishes both.
 */
static bool have_keeps_inbound(const struct planning *pl, const struct have *h)
{
	const struct keying_peer_key *newest = peer_key_newest(pl->p);
	struct epoch *e = epochs_find_low(pl->own, keying_spi_receiver_epoch(h->id.spi));
	unsigned s = keying_spi_sender_epoch(h->id.spi);

	if (e == NULL || keying_spi_sender(h->id.spi) != pl->p->peer || !peer_key_low(pl->p, s))
		return false;
	if (!e->lingered)
		return true;
	if ((newest->epoch & 15) == s)
		return false;
	e->needed = true;
	return true;
}

/* What stays although it is not of the desired ones: SAs of epochs that both still hold. */
static bool have_keeps(const struct planning *pl, const struct have *h, bool chosen)
{
	const struct epoch *e;

	if (have_find(pl, h->id.spi, h->inbound) != h || pl->own == NULL)
		return false; /* of an address that was, or of no membership of ours */
	if (h->inbound)
		return have_keeps_inbound(pl, h);
	e = epochs_find_low(pl->own, keying_spi_sender_epoch(h->id.spi));
	return !chosen && keying_spi_sender(h->id.spi) == pl->m->member &&
	       peer_key_low(pl->p, keying_spi_receiver_epoch(h->id.spi)) && e != NULL &&
	       !e->lingered;
}

int keying_plan(struct keying *k, const struct keying_member *m, const struct keying_peer *p,
    const struct kstate *ks, struct kplan *plan, char *err, unsigned long err_len)
{
	struct planning pl = {
	    .k = k,
	    .m = m,
	    .p = p,
	    .own = epochs_member_find(&k->own, m->member),
	    .plan = plan,
	    .err = err,
	    .err_len = err_len,
	};
	bool chosen = false;
	int rc = 0;

	k->ks = ks;
	if (pl.own != NULL && p->acked > pl.own->acked_any)
		pl.own->acked_any = p->acked;
	snprintf(err, err_len, "out of memory");
	kstate_sa_each(ks, p->reqid, have_add, &pl);
	if (pl.failed ||
	    (pl.own != NULL && (plan_inbound(&pl) != 0 || plan_outbound(&pl, &chosen) != 0)))
		rc = -1;
	for (size_t i = 0; rc == 0 && i < pl.count; i++)
		if (!pl.have[i].keep && !have_keeps(&pl, &pl.have[i], chosen))
			kplan_sa_del(plan, &pl.have[i].id);
	free(pl.have);
	return rc;
}

/* ------------------------------------------------------------------ own epochs */

/*
 * Look what became of what was planned.  An inbound SA that did not go in (the plan was
 * undone) may be planned again: no packet came under it, as the peer had no word of it.
 * True: all that was planned with this epoch is in.
 */
static bool used_settle(const struct keying *k, struct epoch *e)
{
	struct epoch_used *u;
	struct epoch_used *tmp;
	bool all = true;

	if (k->ks == NULL)
		return true;
	HASH_ITER (hh, e->used, u, tmp) {
		if (u->installed)
			continue;
		if (u->key.outbound || kstate_sa_known(k->ks, &u->id)) {
			u->installed = true;
			continue;
		}
		HASH_DEL(e->used, u);
		free(u);
		all = false;
	}
	return all;
}

/* Have the owner bring the SAs of m in line, and note the outcome. */
static void member_changed(struct keying *k, struct epoch_member *m)
{
	k->ops->changed(k->arg, m->member);
	for (unsigned i = 0; i < m->epochs; i++)
		m->epoch[i]->complete = used_settle(k, m->epoch[i]);
}

/* Which of its transforms its SAs are made of the peers decide: the shortest life counts ... */
static int64_t life_shortest_ms(const struct epoch *e)
{
	uint32_t s = 0;

	for (unsigned i = 0; i < e->transforms; i++)
		if (e->transform[i].lifetime_s != 0 && (s == 0 || e->transform[i].lifetime_s < s))
			s = e->transform[i].lifetime_s;
	return (int64_t)s * 1000;
}

/* ... and the longest, when all of them must be over. */
static int64_t life_longest_ms(const struct epoch *e)
{
	uint32_t s = 0;

	for (unsigned i = 0; i < e->transforms; i++) {
		if (e->transform[i].lifetime_s == 0)
			return 0;
		if (e->transform[i].lifetime_s > s)
			s = e->transform[i].lifetime_s;
	}
	return (int64_t)s * 1000;
}

/* What the rows say of when a new key is due; 0: nothing. */
static int64_t soft_earliest_ms(const struct epoch *e)
{
	uint32_t s = 0;

	for (unsigned i = 0; i < e->transforms; i++)
		if (e->transform[i].soft_s != 0 && (s == 0 || e->transform[i].soft_s < s))
			s = e->transform[i].soft_s;
	return (int64_t)s * 1000;
}

static void epoch_times(struct epoch *e, int64_t now_ms)
{
	int64_t life_ms = life_shortest_ms(e);
	uint16_t random = 0;

	e->born_ms = now_ms;
	e->rekey_ms = INT64_MAX;
	e->dead_ms = INT64_MAX;
	if (life_ms == 0)
		return;
	(void)kc_random((uint8_t *)&random, sizeof(random));
	e->rekey_ms = now_ms + life_ms / 100 * (REKEY_PERCENT - 5) + life_ms / 10 * random / 65536;
	if (soft_earliest_ms(e) != 0)
		e->rekey_ms = now_ms + soft_earliest_ms(e);
	if (life_longest_ms(e) != 0)
		e->dead_ms = now_ms + life_longest_ms(e);
}

static void epoch_transforms(struct epoch *e, const struct keying_member *m)
{
	memcpy(e->transform, m->transform, m->transforms * sizeof(e->transform[0]));
	e->transforms = m->transforms;
}

static size_t epoch_text(
    const struct epoch_member *m, const struct epoch *e, uint8_t text[SITEKEY_TEXT_MAX])
{
	const struct pib_octets transforms = {e->suites, (uint32_t)e->suites_len};
	const struct pib_octets sends = {e->sends, (uint32_t)e->sends_len};

	return signed_text(
	    text, &m->conf, m->member, e->number, e->pub, e->nonce, &transforms, &sends);
}

static struct epoch *epoch_make(struct keying *k, struct epoch_member *m, int64_t now_ms)
{
	uint8_t text[SITEKEY_TEXT_MAX];
	struct epoch *e = calloc(1, sizeof(*e));
	size_t len;

	if (e == NULL)
		return NULL;
	e->number = epochs_next(m);
	epoch_transforms(e, &m->conf);
	e->suites_len = keying_suites(e->transform, e->transforms, e->suites);
	memcpy(e->sends, k->sends, k->sends_len);
	e->sends_len = k->sends_len;
	e->has_key = true;
	if (e->number == 0 || kc_pair_new(e->priv, e->pub) != 0 ||
	    kc_random(e->nonce, sizeof(e->nonce)) != 0)
		goto fail;
	len = epoch_text(m, e, text);
	if (kc_sign(k->identity, text, len, e->signature, &e->signature_len) != 0)
		goto fail;
	epoch_times(e, now_ms);
	return e;
fail:
	epochs_free(e);
	return NULL;
}

static void epoch_withdraw(struct keying *k, struct epoch *e, int64_t now_ms)
{
	epochs_forget_key(e);
	e->state = EPOCH_LINGER;
	e->gone_ms = now_ms + k->linger_ms;
	e->wait_ms = k->linger_ms;
}

/* The list of live epochs, or its tail, is at stake when this fails; numbers never are. */
static void save(struct keying *k)
{
	if (epochs_save(&k->own) != 0)
		log_warn("%s: %s", k->own.path, strerror(errno));
}

/*
 * Inbound SAs first; only then the world is told.  One whose SPIs are not all to be had is never
 * published: another takes its place.
 */
static void epoch_publish(struct keying *k, struct epoch_member *m, struct epoch *e, int64_t now_ms)
{
	member_changed(k, m);
	if (e->taken) {
		epochs_drop(m, e);
		m->want_new = true;
		m->not_before = now_ms + LOST_CALM_MS;
		return;
	}
	if (!e->complete) {
		log_warn("epoch %u of member %u waits: its inbound SAs are not all in", e->number,
		    m->member);
		m->not_before = now_ms + RETRY_MS;
		return;
	}
	e->state = EPOCH_LIVE;
	save(k);
	log_info("member %u: epoch %u published", m->member, e->number);
	k->ops->publish(k->arg);
}

struct usage {
	uint32_t member;
	unsigned low_bits; /* of the epoch asked for */
	bool used;
};

static void usage_see(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct usage *u = arg;

	u->used |= !inbound && keying_spi_sender(sa->id.spi) == u->member &&
		   keying_spi_sender_epoch(sa->id.spi) == u->low_bits;
}

/*
 * Do we still send under e?  We should not once all have acknowledged a newer one, but the
 * kernel may have refused the newer SA.
 */
static bool epoch_in_use(
    const struct keying *k, const struct epoch_member *m, const struct epoch *e)
{
	struct usage u = {.member = m->member, .low_bits = e->number & 15};

	if (k->ks != NULL)
		kstate_sa_each(k->ks, 0, usage_see, &u);
	return u.used;
}

/*
 * Without regard for who needs it: an orphan that no peer is known to hold, newest first,
 * so that many restarts without a PDP do not cost the epoch in use; else the oldest.
 */
static struct epoch *victim_force(const struct epoch_member *m)
{
	struct epoch *oldest = NULL;

	for (unsigned i = m->epochs; i-- > 0;) {
		struct epoch *e = m->epoch[i];

		if (e->state == EPOCH_LINGER)
			continue;
		if (!e->has_key && e->number > m->acked_any)
			return e;
		oldest = e;
	}
	return oldest;
}

/* The oldest that nobody needs any more: grace is over, or its life. NULL: none. */
static struct epoch *victim_find(
    const struct keying *k, const struct epoch_member *m, int64_t now_ms)
{
	for (unsigned i = 0; i < m->epochs; i++) {
		struct epoch *e = m->epoch[i];

		if (e->state == EPOCH_LINGER)
			continue;
		if (now_ms >= e->dead_ms ||
		    (e->withdraw_ms != 0 && now_ms >= e->withdraw_ms && !epoch_in_use(k, m, e)))
			return e;
	}
	return NULL;
}

/* When the first of them is past its lifetime, and may go whoever needs it. */
static int64_t victim_time(const struct epoch_member *m)
{
	int64_t t = INT64_MAX;

	for (unsigned i = 0; i < m->epochs; i++)
		if (m->epoch[i]->state != EPOCH_LINGER && m->epoch[i]->dead_ms < t)
			t = m->epoch[i]->dead_ms;
	return t;
}

static bool room_find(const struct keying *k, const struct epoch_member *m, int64_t now_ms,
    bool force, struct epoch **victim)
{
	*victim = NULL;
	if (epochs_live(m) < (force ? EPOCHS_FORCED_MAX : EPOCHS_LIVE_MAX))
		return true;
	*victim = victim_find(k, m, now_ms);
	if (*victim == NULL && force)
		*victim = victim_force(m);
	return *victim != NULL;
}

/* Of those that linger the oldest goes at once when there are too many. */
static void lingering_drop(struct epoch_member *m)
{
	unsigned i = 0;

	if (m->epochs < EPOCHS_HELD_MAX)
		return;
	while (m->epoch[i]->state != EPOCH_LINGER)
		i++; /* there is one, since so few may live */
	epochs_drop(m, m->epoch[i]);
}

enum renew { RENEW_WANTED, RENEW_FORCED, RENEW_LOST };

/* Start a new epoch; what cannot be done now stays wanted.  True: there is a new one. */
static bool member_renew(struct keying *k, struct epoch_member *m, enum renew why, int64_t now_ms)
{
	struct epoch *victim;
	struct epoch *e;

	m->want_new = true;
	m->lost |= why == RENEW_LOST;
	if (now_ms < m->not_before || !room_find(k, m, now_ms, why != RENEW_WANTED, &victim))
		return false;
	lingering_drop(m);
	e = epoch_make(k, m, now_ms);
	if (e != NULL)
		m->last = e->number;
	if (e == NULL || epochs_save(&k->own) != 0) {
		log_err("member %u: no new epoch: %s", m->member,
		    e == NULL ? "no numbers, memory or random octets" : strerror(errno));
		if (e != NULL)
			epochs_free(e);
		m->not_before = now_ms + RETRY_MS;
		return false;
	}
	while (m->lost && m->epochs > 0)
		epochs_drop(m, m->epoch[0]);
	if (victim != NULL && !m->lost)
		epoch_withdraw(k, victim, now_ms);
	if (m->lost)
		m->not_before = now_ms + LOST_CALM_MS;
	m->want_new = false;
	m->lost = false;
	epochs_append(m, e);
	epoch_publish(k, m, e, now_ms);
	return true;
}

/* ------------------------------------------------------------------ events */

static bool transform_same(const struct keying_transform *a, const struct keying_transform *b)
{
	return a->protocol == b->protocol && a->esn == b->esn && a->encr == b->encr &&
	       a->encr_key_bits == b->encr_key_bits && a->integ == b->integ &&
	       a->replay_window == b->replay_window && a->lifetime_s == b->lifetime_s &&
	       a->lifetime_kilobytes == b->lifetime_kilobytes && a->soft_s == b->soft_s &&
	       a->soft_kilobytes == b->soft_kilobytes;
}

static bool transforms_same(const struct epoch *e, const struct keying_member *m)
{
	if (e->transforms != m->transforms)
		return false;
	for (unsigned i = 0; i < m->transforms; i++)
		if (!transform_same(&e->transform[i], &m->transform[i]))
			return false;
	return true;
}

/* Epochs of the process before this one, or of the file. */
static void orphans_adopt(struct keying *k, struct epoch_member *m, int64_t now_ms)
{
	uint8_t text[SITEKEY_TEXT_MAX];

	for (unsigned i = 0; i < m->epochs; i++) {
		struct epoch *e = m->epoch[i];
		size_t len = epoch_text(m, e, text);

		epoch_transforms(e, &m->conf); /* for the lifetimes; its suites stay */
		epoch_times(e, now_ms);
		e->rekey_ms = INT64_MAX;
		/* The certificate may have a new key since. */
		if (kc_is_ours(k->identity, text, len, e->signature, e->signature_len))
			continue;
		if (kc_sign(k->identity, text, len, e->signature, &e->signature_len) != 0)
			log_err("member %u: epoch %u cannot be signed", m->member, e->number);
	}
}

void keying_settle(struct keying *k, const struct keying_member *conf, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_get(&k->own, conf->member);
	const struct epoch *e;
	bool lost;
	bool due;

	if (m == NULL) {
		log_err("member %u: out of memory", conf->member);
		return;
	}
	due = m->present && conf->rekey_serial > m->conf.rekey_serial;
	lost = m->present && memcmp(conf->vpn_id, m->conf.vpn_id, sizeof(conf->vpn_id)) != 0;
	m->conf = *conf;
	if (!m->present) {
		m->present = true;
		orphans_adopt(k, m, now_ms);
	}
	for (unsigned i = 0; i < m->epochs; i++)
		used_settle(k, m->epoch[i]);
	e = epochs_newest(m);
	if (lost)
		member_renew(k, m, RENEW_LOST, now_ms);
	else if (e == NULL || !e->has_key)
		member_renew(k, m, RENEW_FORCED, now_ms);
	else if (due || m->want_new || e->number < conf->epoch_floor || !transforms_same(e, conf))
		member_renew(k, m, RENEW_WANTED, now_ms);
}

void keying_gone(struct keying *k, uint32_t member)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);

	if (m == NULL || !m->present)
		return;
	m->present = false;
	m->want_new = false;
	m->lost = false;
	m->acked_all = 0;
	m->acked_any = 0;
	while (m->epochs > 0)
		epochs_drop(m, m->epoch[0]);
	save(k);
	k->ops->publish(k->arg);
}

void keying_acked(struct keying *k, uint32_t member, uint32_t epoch_acked_by_all, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);
	const struct epoch *newest = m == NULL ? NULL : epochs_newest(m);

	if (newest == NULL)
		return;
	m->acked_all = epoch_acked_by_all;
	for (unsigned i = 0; i < m->epochs; i++) {
		struct epoch *e = m->epoch[i];

		if (e == newest || e->state != EPOCH_LIVE || e->number >= epoch_acked_by_all)
			e->withdraw_ms = 0;
		else if (e->withdraw_ms == 0)
			e->withdraw_ms = now_ms + k->grace_ms;
	}
}

void keying_lost(struct keying *k, uint32_t member, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);

	if (m != NULL && m->present)
		member_renew(k, m, RENEW_LOST, now_ms);
}

static bool epoch_taken(struct epoch_member *m, struct epoch *e, const struct kern_sa_id *sa)
{
	struct epoch_used *u;
	struct epoch_used *tmp;

	HASH_ITER (hh, e->used, u, tmp) {
		if (u->id.spi != sa->spi || addr_cmp(&u->id.dst, &sa->dst) != 0)
			continue;
		u->installed = true; /* by others, but so it is */
		e->taken |= e->state == EPOCH_NEW;
		m->want_new = true;
		log_warn("member %u: an SA of somebody else has an SPI of epoch %u: new keys",
		    m->member, e->number);
		return true;
	}
	return false;
}

bool keying_taken(struct keying *k, const struct kern_sa_id *sa)
{
	struct epoch_member *m;
	struct epoch_member *tmp;

	HASH_ITER (hh, k->own.member, m, tmp)
		for (unsigned i = 0; i < m->epochs; i++)
			if (epoch_taken(m, m->epoch[i], sa))
				return true;
	return false;
}

void keying_refused(struct keying *k, uint32_t member, unsigned slot, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);
	struct epoch *e = m == NULL ? NULL : epochs_find_low(m, slot);

	if (e == NULL || !m->present || e->state != EPOCH_LIVE)
		return;
	log_warn("member %u: the PDP refused epoch %u", member, e->number);
	if (e == epochs_newest(m)) {
		m->want_new = true;
		m->not_before = now_ms + RETRY_MS;
	}
	epoch_withdraw(k, e, now_ms);
	save(k);
	k->ops->publish(k->arg);
}

void keying_expiring(struct keying *k, uint32_t member, uint32_t spi, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);
	const struct epoch *e = m == NULL ? NULL : epochs_newest(m);

	if (e != NULL && m->present && keying_spi_sender(spi) == member &&
	    keying_spi_sender_epoch(spi) == (e->number & 15))
		member_renew(k, m, RENEW_WANTED, now_ms);
}

unsigned keying_rekey(struct keying *k, uint32_t member, int64_t now_ms)
{
	struct epoch_member *m;
	struct epoch_member *tmp;
	unsigned made = 0;

	HASH_ITER (hh, k->own.member, m, tmp)
		if (m->present && (member == 0 || m->member == member))
			made += member_renew(k, m, RENEW_WANTED, now_ms);
	return made;
}

/* ------------------------------------------------------------------ time */

static void earlier(int64_t *next, int64_t t)
{
	if (t < *next)
		*next = t;
}

/* Withdraw and drop what is due. */
static void member_retire(struct keying *k, struct epoch_member *m, int64_t now_ms)
{
	bool withdrawn = false;
	bool gone = false;

	for (unsigned i = m->epochs; i-- > 0;) {
		struct epoch *e = m->epoch[i];

		if (e->state == EPOCH_LIVE && e->withdraw_ms != 0 && now_ms >= e->withdraw_ms) {
			if (epoch_in_use(k, m, e)) {
				e->withdraw_ms = now_ms + RETRY_MS;
				continue;
			}
			epoch_withdraw(k, e, now_ms);
			withdrawn = true;
		} else if (e->state == EPOCH_LINGER && now_ms >= e->gone_ms) {
			e->lingered = true;
			e->needed = false;
			gone = true;
		}
	}
	if (withdrawn) {
		save(k);
		k->ops->publish(k->arg);
	}
	if (!gone)
		return;
	member_changed(k, m);
	for (unsigned i = m->epochs; i-- > 0;) {
		struct epoch *e = m->epoch[i];

		if (!e->lingered || now_ms < e->gone_ms)
			continue;
		if (!e->needed) {
			epochs_drop(m, e);
			continue;
		}
		e->wait_ms = e->wait_ms < WAIT_MAX_MS / 2 ? 2 * e->wait_ms + 1 : WAIT_MAX_MS;
		e->gone_ms = now_ms + e->wait_ms;
	}
}

static int64_t member_next(const struct keying *k, const struct epoch_member *m, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	bool waits = m->want_new;
	struct epoch *victim;

	for (unsigned i = 0; i < m->epochs; i++) {
		const struct epoch *e = m->epoch[i];

		waits |= e->state == EPOCH_NEW;
		if (e->state == EPOCH_LINGER)
			earlier(&next, e->gone_ms);
		else if (e->withdraw_ms != 0)
			earlier(&next, e->withdraw_ms);
		if (e == epochs_newest(m))
			earlier(&next, e->rekey_ms);
	}
	if (!waits)
		return next;
	if (m->want_new && !room_find(k, m, now_ms, m->lost, &victim))
		earlier(&next, victim_time(m));
	else
		earlier(&next, m->not_before > now_ms ? m->not_before : now_ms);
	return next;
}

static int64_t member_tick(struct keying *k, struct epoch_member *m, int64_t now_ms)
{
	struct epoch *e = epochs_newest(m);

	if (e != NULL && e->state == EPOCH_NEW && now_ms >= m->not_before) {
		epoch_publish(k, m, e, now_ms);
		e = epochs_newest(m);
	}
	member_retire(k, m, now_ms);
	if (e != NULL && now_ms >= e->rekey_ms) {
		e->rekey_ms = INT64_MAX;
		m->want_new = true;
	}
	if (m->want_new)
		member_renew(k, m, m->lost ? RENEW_LOST : RENEW_WANTED, now_ms);
	return member_next(k, m, now_ms);
}

int64_t keying_tick(struct keying *k, int64_t now_ms)
{
	struct epoch_member *m;
	struct epoch_member *tmp;
	int64_t next = INT64_MAX;

	HASH_ITER (hh, k->own.member, m, tmp)
		if (m->present)
			earlier(&next, member_tick(k, m, now_ms));
	return next;
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
