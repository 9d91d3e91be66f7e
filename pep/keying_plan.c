/*
 * keying_plan.c - the SAs that a peer's rows ask for, from its keys and our own epochs.
 *
 * Every SA planned with an epoch is noted in epoch->used.  One that was in the kernel
 * and is not any more, or an outbound one that may have been, is never planned again: the
 * membership wants a new epoch instead.  So no key is installed twice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/keying_int.h"
#include "pep/natt.h"
#include "pib/gen/ce_vpn_pib.h"

#define SOFT_PERCENT 80

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
	e->unsettled++;
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
	struct kern_sa sa = {.mode = pl->m->mode,
	    .reqid = pl->p->reqid,
	    .inner = pl->p->inner,
	    .dscp_clear = pl->m->dscp_clear};
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
