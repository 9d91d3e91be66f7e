/*
 * keying_life.c - own epochs, from new to gone.
 *
 * new (number on disk, inbound SAs go in), live (published), lingering (withdrawn, inbound
 * SAs stay a little), gone.  Only live epochs with their private key make new SAs; orphans
 * keep the SAs they have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/keying_int.h"

#define WAIT_MAX_MS   300000 /* between two looks whether a peer is bound to an old epoch */
#define RETRY_MS      2000   /* after the disk or the kernel said no */
#define LOST_CALM_MS  1000   /* at most one new epoch for lost SAs in this time */
#define REKEY_PERCENT 70     /* of the lifetime, +-5 */

/* ------------------------------------------------------------------ own epochs */

/*
 * Look what became of what was planned.  An inbound SA that did not go in (the plan was
 * undone) may be planned again: no packet came under it, as the peer had no word of it.
 * True: all that was planned with this epoch is in.
 */
static bool used_settle(const struct keying *k, struct epoch *e)
{
	struct epoch_used *u = e->used == NULL
				   ? NULL
				   : ELMT_FROM_HH(e->used->hh.tbl, e->used->hh.tbl->tail);
	struct epoch_used *before;
	bool all = true;

	if (k->ks == NULL)
		return true;
	for (; e->unsettled > 0 && u != NULL; e->unsettled--, u = before) {
		before = u->hh.prev;
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

	return keying_signed_text(
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
	e->dscp_clear = m->conf.dscp_clear;
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

/* Are its SAs made as they would be now? */
static bool kind_same(const struct epoch *e, const struct keying_member *m)
{
	if (e->transforms != m->transforms || e->dscp_clear != m->dscp_clear)
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
	else if (due || m->want_new || e->number < conf->epoch_floor || !kind_same(e, conf))
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
	m->acked_any = 0;
	while (m->epochs > 0)
		epochs_drop(m, m->epoch[0]);
	save(k);
	k->ops->publish(k->arg);
}

bool keying_waits(const struct keying *k, uint32_t member)
{
	const struct epoch_member *m = epochs_member_find(&k->own, member);
	const struct epoch *newest = m == NULL ? NULL : epochs_newest(m);

	for (unsigned i = 0; m != NULL && i < m->epochs; i++)
		if (m->epoch[i] != newest && m->epoch[i]->state == EPOCH_LIVE)
			return true;
	return false;
}

void keying_acked(struct keying *k, uint32_t member, uint32_t epoch_acked_by_all, int64_t now_ms)
{
	struct epoch_member *m = epochs_member_find(&k->own, member);
	const struct epoch *newest = m == NULL ? NULL : epochs_newest(m);

	if (newest == NULL)
		return;
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
