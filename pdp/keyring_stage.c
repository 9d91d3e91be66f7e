/*
 * keyring_stage.c - keys and acknowledgements that came in and are not committed: what they
 * will change, and the commit of all of them as one batch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/buf.h"
#include "common/log.h"
#include "pdp/decision.h"
#include "pdp/keyring_int.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

/* ------------------------------------------------------------------ staging */

/* What a slot will hold once everything staged is committed: chunk NULL = nothing live. */
static struct cops_chunk *slot_after(
    const struct keyring *k, const struct kr_member *km, uint32_t slot, uint32_t *epoch)
{
	const struct kr_key *key;

	for (size_t i = km->staged ? k->skeys : 0; i-- > 0;)
		if (k->skey[i].member == km && (k->skey[i].epoch & (KR_SLOTS - 1)) == slot) {
			*epoch = k->skey[i].epoch;
			return k->skey[i].install;
		}
	key = kr_key_find(km, slot);
	*epoch = key != NULL ? key->epoch : 0;
	return key != NULL ? key->install : NULL;
}

static int refuse(struct pib_fault *f, uint16_t cperr, uint16_t sub, uint32_t instance)
{
	memset(f, 0, sizeof(*f));
	f->cperr = cperr;
	f->sub = sub;
	f->cls = &pib_ce_vpn_site_key_class;
	f->instance = instance;
	return -1;
}

/* The ceVpnPeerKey row that the peers get; the octets are those of the ceVpnSiteKey row. */
static void peer_row(const struct pib_ce_vpn_site_key *in, struct pib_ce_vpn_peer_key *out)
{
	*out = (struct pib_ce_vpn_peer_key) {
	    .id = kr_key_instance(in->member, in->epoch),
	    .peer = in->member,
	    .epoch = in->epoch,
	    .public_key = in->public_key,
	    .nonce = in->nonce,
	    .transforms = in->transforms,
	    .sends = in->sends,
	    .certificate = in->certificate,
	    .signature = in->signature,
	};
}

/* A key on its way in. */
struct incoming {
	uint32_t epoch;
	struct buf epd;
	struct cops_chunk *install;
	bool known; /* the very same is there already */
};

static void incoming_clear(struct incoming *in)
{
	buf_clear(&in->epd);
	cops_chunk_unref(in->install);
}

static int incoming_read(struct keyring *k, struct incoming *in, uint32_t m, const uint8_t *epd,
    size_t epd_len, struct pib_fault *f)
{
	struct pib_ce_vpn_site_key row = {0};
	struct pib_ce_vpn_peer_key peer;
	struct kr_member *km = kr_member_find(k, m);
	struct cops_chunk *old;
	unsigned live = 0;
	uint32_t epoch;
	bool surplus;

	*in = (struct incoming) {0};
	if (pib_epd_decode(&pib_ce_vpn_site_key_class, epd, epd_len, &row, &surplus, f) != 0)
		return -1;
	if (row.id != kr_key_instance(m, row.epoch))
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_KEY_COL_ID, row.id);
	if (row.member != m)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_KEY_COL_MEMBER, row.id);
	peer_row(&row, &peer);
	pib_epd_put(&in->epd, &pib_ce_vpn_peer_key_class, &peer);
	if (!in->epd.failed)
		in->install = decision_install_one(
		    &pib_ce_vpn_peer_key_class, peer.id, in->epd.data, in->epd.len);
	if (in->install == NULL)
		return refuse(f, PIB_CPERR_SPACE, 0, row.id);
	in->epoch = row.epoch;
	if (km == NULL)
		return 0;
	old = slot_after(k, km, row.epoch & (KR_SLOTS - 1), &epoch);
	in->known = old != NULL && old->len == in->install->len &&
		    memcmp(old->data, in->install->data, old->len) == 0;
	if (in->known)
		return 0;
	if (row.epoch <= km->floor)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_KEY_COL_EPOCH, row.id);
	for (uint32_t i = 0; i < KR_SLOTS; i++)
		live += slot_after(k, km, i, &epoch) != NULL;
	if (live >= KEYRING_LIVE_MAX)
		return refuse(f, PIB_CPERR_SPACE, 0, row.id);
	return 0;
}

/* One more key of km, to be filled in. NULL: memory. */
static struct staged_key *stage(struct keyring *k, struct kr_member *km)
{
	struct staged_key *more;

	if (k->skeys == k->skey_cap) {
		size_t cap = k->skey_cap == 0 ? 16 : k->skey_cap * 2;

		more = reallocarray(k->skey, cap, sizeof(*more));
		if (more == NULL)
			return NULL;
		k->skey = more;
		k->skey_cap = cap;
	}
	km->staged++;
	k->skey[k->skeys] = (struct staged_key) {.member = km};
	return &k->skey[k->skeys++];
}

int keyring_check(struct keyring *k, uint32_t m, const uint8_t *epd, size_t epd_len, bool *known,
    struct pib_fault *f)
{
	struct incoming in;
	int rc = incoming_read(k, &in, m, epd, epd_len, f);

	*known = in.known;
	incoming_clear(&in);
	return rc;
}

int keyring_publish(struct keyring *k, uint32_t m, uint32_t vpn, const uint8_t *epd, size_t epd_len,
    struct pib_fault *f)
{
	struct incoming in;
	struct staged_key *s;
	struct kr_member *km;
	int rc = incoming_read(k, &in, m, epd, epd_len, f);

	if (rc == 0 && !in.known) {
		km = kr_member_get(k, m, vpn);
		s = km != NULL ? stage(k, km) : NULL;
		if (s == NULL) {
			rc = refuse(f, PIB_CPERR_SPACE, 0, kr_key_instance(m, in.epoch));
		} else {
			s->epoch = in.epoch;
			s->install = in.install;
			in.install = NULL;
			s->epd = buf_take(&in.epd, &s->epd_len);
			km->floor = in.epoch;
		}
	}
	incoming_clear(&in);
	return rc;
}

bool keyring_has(const struct keyring *k, uint32_t m, unsigned slot)
{
	const struct kr_member *km = kr_member_find(k, m);
	uint32_t epoch;

	return km != NULL && slot_after(k, km, slot, &epoch) != NULL;
}

void keyring_withdraw(struct keyring *k, uint32_t m, unsigned slot)
{
	struct kr_member *km = kr_member_find(k, m);
	struct staged_key *s;
	uint32_t epoch;

	if (km == NULL || slot_after(k, km, slot, &epoch) == NULL)
		return;
	s = stage(k, km);
	if (s == NULL) {
		log_err("out of memory: epoch %u of member %u is not withdrawn", epoch, m);
		return;
	}
	s->epoch = epoch;
}

void keyring_keep(struct keyring *k, uint32_t m, uint16_t slots)
{
	for (unsigned i = 0; i < KR_SLOTS; i++)
		if ((slots >> i & 1) == 0)
			keyring_withdraw(k, m, i);
}

static void stage_ack(struct keyring *k, struct kr_member *subject, uint32_t holder, uint32_t epoch)
{
	struct staged_ack *more;

	if (k->sacks == k->sack_cap) {
		size_t cap = k->sack_cap == 0 ? 64 : k->sack_cap * 2;

		more = reallocarray(k->sack, cap, sizeof(*more));
		if (more == NULL) {
			log_err("out of memory for what %u acknowledged", holder);
			return;
		}
		k->sack = more;
		k->sack_cap = cap;
	}
	k->sack[k->sacks++] = (struct staged_ack) {
	    .subject = subject, .holder = holder, .epoch = epoch};
}

/* Nothing of km that is staged may come true any more. */
static void unstage(struct keyring *k, struct kr_member *km)
{
	size_t n = 0;

	for (size_t i = 0; i < k->skeys; i++) {
		if (k->skey[i].member == km) {
			cops_chunk_unref(k->skey[i].install);
			free(k->skey[i].epd);
		} else {
			k->skey[n++] = k->skey[i];
		}
	}
	k->skeys = n;
	km->staged = 0;
	n = 0;
	for (size_t i = 0; i < k->sacks; i++)
		if (k->sack[i].subject != km && k->sack[i].holder != km->m)
			k->sack[n++] = k->sack[i];
	k->sacks = n;
}

/* km's own keys and what others acknowledged of them. */
static void drop_own(struct keyring *k, struct kr_member *km, uint64_t lsn)
{
	struct staged_key *s;

	unstage(k, km);
	for (uint8_t i = 0; i < km->keys; i++) {
		if (km->key[i].install == NULL)
			continue;
		cops_chunk_unref(km->key[i].install);
		km->key[i].install = NULL;
		km->key[i].lsn = lsn;
		s = stage(k, km);
		if (s != NULL)
			*s = (struct staged_key) {
			    .member = km, .epoch = km->key[i].epoch, .lsn = lsn};
	}
	kr_newest_set(km);
	km->acks = 0;
	stage_ack(k, km, 0, 0);
}

void keyring_drop(struct keyring *k, const struct model_member *m, uint64_t lsn)
{
	struct kr_vpn *v = kr_vpn_find(k, m->vpn->id->number);
	struct kr_member *km = kr_member_find(k, m->id->number), *other;

	if (km != NULL)
		drop_own(k, km, lsn);
	if (v == NULL || m->vpn->id->dead)
		return; /* with the VPN all others are dropped too */
	DL_FOREACH2(v->by_keys, other, keys_next)
	if (kr_ack_remove(other, m->id->number))
		stage_ack(k, other, m->id->number, 0);
}

void keyring_confirm(struct keyring *k, const struct model_member *r, uint64_t from, uint64_t to)
{
	const struct kr_vpn *v = kr_vpn_find(k, r->vpn->id->number);
	uint64_t structure = r->vpn->id->aux_lsn > r->id->aux_lsn ? r->vpn->id->aux_lsn
								  : r->id->aux_lsn;
	const struct model_member *m, *via;
	struct kr_member *km;
	struct kr_ack *a;

	/* who is new here, or sees new ones, may hold keys from before */
	if (structure > from || r->id->lsn > from)
		from = 0;
	if (v == NULL)
		return;
	DL_FOREACH2(v->by_keys, km, keys_next)
	{
		if (km->keys_lsn <= from)
			break;
		if (km->newest == 0 || km->newest_lsn <= from || km->newest_lsn > to)
			continue;
		m = vpn_member_find(r->vpn, km->m);
		if (m == NULL || model_view(r, m, &via) != VIEW_PEER)
			continue;
		a = kr_ack_find(km, r->id->number);
		if (a == NULL || a->epoch != km->newest || a->lsn < structure)
			stage_ack(k, km, r->id->number, km->newest);
	}
}

/* ------------------------------------------------------------------- commit */

bool keyring_pending(const struct keyring *k)
{
	return k->skeys > 0 || k->sacks > 0;
}

static uint64_t batch_lsn(struct keyring *k, struct kr_vpn *v, uint64_t *lsn)
{
	if (v->batch_lsn == 0) {
		v->batch_lsn = ++*lsn;
		v->batch_next = NULL;
		*k->batch_end = v;
		k->batch_end = &v->batch_next;
	}
	return v->batch_lsn;
}

/* The next VPN of the batch, which is out of it then; NULL: that was all. */
static struct kr_vpn *batch_take(struct keyring *k, uint64_t *lsn)
{
	struct kr_vpn *v = k->batch;

	if (v == NULL)
		return NULL;
	k->batch = v->batch_next;
	*lsn = v->batch_lsn;
	v->batch_lsn = 0;
	return v;
}

static int store_staged(struct keyring *k, const struct store_ops *ops, struct store *store,
    uint64_t *lsn, char *err, size_t err_len)
{
	struct store_key *key = calloc(k->skeys + 1, sizeof(*key));
	struct store_ack *ack = calloc(k->sacks + 1, sizeof(*ack));
	int rc = -1;

	if (key == NULL || ack == NULL) {
		snprintf(err, err_len, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < k->skeys; i++) {
		const struct staged_key *s = &k->skey[i];

		key[i] = (struct store_key) {
		    .member = s->member->m,
		    .epoch = s->epoch,
		    .lsn = s->lsn != 0 ? s->lsn : batch_lsn(k, s->member->vpn, lsn),
		    .withdrawn = s->install == NULL,
		    .epd = s->epd,
		    .epd_len = s->epd_len,
		};
	}
	for (size_t i = 0; i < k->sacks; i++) {
		const struct staged_ack *s = &k->sack[i];

		ack[i] = (struct store_ack) {
		    .subject = s->subject->m,
		    .holder = s->holder,
		    .epoch = s->epoch,
		    .lsn = s->epoch != 0 ? batch_lsn(k, s->subject->vpn, lsn) : 0,
		};
	}
	rc = ops->commit_keys(store, *lsn, key, k->skeys, ack, k->sacks, err, err_len);
out:
	free(key);
	free(ack);
	return rc;
}

int keyring_commit(struct keyring *k, const struct store_ops *ops, struct store *store,
    uint64_t *lsn, void (*fn)(void *arg, uint32_t vpn, uint64_t lsn), void *arg, char *err,
    size_t err_len)
{
	uint64_t last = *lsn;
	struct kr_vpn *v;
	uint64_t at;

	k->batch = NULL;
	k->batch_end = &k->batch;
	if (store_staged(k, ops, store, &last, err, err_len) != 0) {
		while (batch_take(k, &at) != NULL)
			;
		return -1;
	}
	*lsn = last;
	for (size_t i = 0; i < k->skeys; i++) {
		struct staged_key *s = &k->skey[i];

		if (s->lsn == 0 && kr_key_put(s->member, s->epoch, s->member->vpn->batch_lsn,
				       s->install, s->epd, s->epd_len) != 0)
			log_err("out of memory: epoch %u of member %u waits for a restart",
			    s->epoch, s->member->m);
		free(s->epd);
		s->member->staged = 0;
	}
	for (size_t i = 0; i < k->sacks; i++) {
		struct staged_ack *s = &k->sack[i];

		if (s->epoch != 0)
			kr_ack_put(s->subject, s->holder, s->epoch, s->subject->vpn->batch_lsn);
	}
	k->skeys = k->sacks = 0;
	while ((v = batch_take(k, &at)) != NULL)
		fn(arg, v->number, at);
	return 0;
}

void kr_stage_clear(struct keyring *k)
{
	for (size_t i = 0; i < k->skeys; i++) {
		cops_chunk_unref(k->skey[i].install);
		free(k->skey[i].epd);
	}
	free(k->skey);
	free(k->sack);
}
