/*
 * keyring.c - see keyring.h.  Of every membership at most 16 keys are kept, one per
 * slot (epoch & 15): live ones with their encoded row, withdrawn ones only by number, so that
 * whoever was away can be told.  Each VPN has its memberships in order of their last
 * change, so that "what changed since" costs what changed.
 */
#include "pdp/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/log.h"
#include "common/suites.h"
#include "pdp/decision.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

#define SLOTS 16

struct kr_suites { /* a key's lists (common/suites.h): what it takes, then what it can send */
	uint16_t takes_len;
	uint16_t sends_len;
	uint8_t octets[];
};

struct kr_key {
	uint32_t epoch;
	uint64_t lsn;		    /* of its publication or withdrawal */
	struct cops_chunk *install; /* NULL: withdrawn */
	struct cops_chunk *remove;
	struct kr_suites *suites; /* of a live one */
};

struct kr_ack {
	uint32_t holder;
	uint32_t epoch;
	uint64_t lsn;
};

struct kr_vpn;

struct kr_member {
	UT_hash_handle hh;
	uint32_t m;
	struct kr_vpn *vpn;
	struct kr_key *key; /* unordered */
	uint8_t keys;
	uint32_t floor;	 /* highest epoch ever, staged ones too */
	uint32_t newest; /* highest live one, committed */
	uint64_t newest_lsn;
	uint64_t keys_lsn; /* of the last change */
	uint64_t acks_lsn;
	struct kr_ack *ack; /* of its epochs, sorted by holder */
	uint32_t acks, ack_cap;
	struct kr_member *keys_prev, *keys_next; /* in vpn->by_keys */
	struct kr_member *acks_prev, *acks_next; /* in vpn->by_acks, if acks_lsn != 0 */
};

struct kr_vpn {
	UT_hash_handle hh;
	uint32_t number;
	uint32_t serial;
	uint64_t lsn;
	uint64_t batch_lsn;	   /* while committing */
	struct kr_vpn *batch_next; /* with the next LSN */
	struct kr_member *by_keys; /* every membership, newest change first */
	struct kr_member *by_acks;
};

struct staged_key {
	struct kr_member *member;
	uint32_t epoch;
	uint64_t lsn;		    /* not 0: for the store only, memory has it already */
	struct cops_chunk *install; /* NULL: withdrawal */
	uint8_t *epd;
	size_t epd_len;
};

struct staged_ack {
	struct kr_member *subject;
	uint32_t holder;
	uint32_t epoch; /* 0: for the store only */
};

struct keyring {
	struct kr_member *members;
	struct kr_vpn *vpns;
	struct staged_key *skey;
	size_t skeys, skey_cap;
	struct staged_ack *sack;
	size_t sacks, sack_cap;
	struct kr_vpn *batch; /* while committing: VPNs with something staged, by their LSNs */
	struct kr_vpn **batch_end;
	struct delta_keys delta;
};

/* ----------------------------------------------------------- finding, making */

static struct kr_member *member_find(const struct keyring *k, uint32_t m)
{
	struct kr_member *km;

	HASH_FIND(hh, k->members, &m, sizeof(m), km);
	return km;
}

static struct kr_vpn *vpn_find(const struct keyring *k, uint32_t number)
{
	struct kr_vpn *v;

	HASH_FIND(hh, k->vpns, &number, sizeof(number), v);
	return v;
}

static struct kr_vpn *vpn_get(struct keyring *k, uint32_t number)
{
	struct kr_vpn *v = vpn_find(k, number);

	if (v == NULL && (v = calloc(1, sizeof(*v))) != NULL) {
		v->number = number;
		HASH_ADD(hh, k->vpns, number, sizeof(v->number), v);
	}
	return v;
}

static struct kr_member *member_get(struct keyring *k, uint32_t m, uint32_t vpn)
{
	struct kr_member *km = member_find(k, m);
	struct kr_vpn *v;

	if (km != NULL)
		return km;
	v = vpn_get(k, vpn);
	km = v != NULL ? calloc(1, sizeof(*km)) : NULL;
	if (km == NULL)
		return NULL;
	km->m = m;
	km->vpn = v;
	HASH_ADD(hh, k->members, m, sizeof(km->m), km);
	DL_APPEND2(v->by_keys, km, keys_prev, keys_next);
	return km;
}

static struct kr_key *key_find(const struct kr_member *km, uint32_t slot)
{
	for (uint8_t i = 0; i < km->keys; i++)
		if ((km->key[i].epoch & (SLOTS - 1)) == slot)
			return &km->key[i];
	return NULL;
}

static void key_clear(struct kr_key *key)
{
	cops_chunk_unref(key->install);
	cops_chunk_unref(key->remove);
	free(key->suites);
	key->install = key->remove = NULL;
	key->suites = NULL;
}

static uint32_t key_instance(uint32_t m, uint32_t epoch)
{
	return m << 4 | (epoch & (SLOTS - 1));
}

static void keys_changed(struct kr_member *km, uint64_t lsn)
{
	DL_DELETE2(km->vpn->by_keys, km, keys_prev, keys_next);
	DL_PREPEND2(km->vpn->by_keys, km, keys_prev, keys_next);
	km->keys_lsn = lsn;
	if (lsn > km->vpn->lsn)
		km->vpn->lsn = lsn;
}

static void acks_changed(struct kr_member *km, uint64_t lsn)
{
	if (km->acks_lsn != 0)
		DL_DELETE2(km->vpn->by_acks, km, acks_prev, acks_next);
	DL_PREPEND2(km->vpn->by_acks, km, acks_prev, acks_next);
	km->acks_lsn = lsn;
	if (lsn > km->vpn->lsn)
		km->vpn->lsn = lsn;
}

static void newest_set(struct kr_member *km)
{
	km->newest = 0;
	km->newest_lsn = 0;
	for (uint8_t i = 0; i < km->keys; i++)
		if (km->key[i].install != NULL && km->key[i].epoch > km->newest) {
			km->newest = km->key[i].epoch;
			km->newest_lsn = km->key[i].lsn;
		}
}

/* The lists in a ceVpnPeerKey row; malloc()ed.  NULL: it is not such a row, or no memory. */
static struct kr_suites *suites_of(const uint8_t *epd, size_t epd_len)
{
	struct pib_ce_vpn_peer_key row = {0};
	struct kr_suites *s;
	struct pib_fault f;
	bool surplus;

	if (pib_epd_decode(&pib_ce_vpn_peer_key_class, epd, epd_len, &row, &surplus, &f) != 0 ||
	    !suites_ok(row.transforms.p, row.transforms.len, SUITES_MAX) ||
	    !suites_ok(row.sends.p, row.sends.len, SENDS_MAX) ||
	    (s = malloc(sizeof(*s) + row.transforms.len + row.sends.len)) == NULL)
		return NULL;
	s->takes_len = (uint16_t)row.transforms.len;
	s->sends_len = (uint16_t)row.sends.len;
	memcpy(s->octets, row.transforms.p, row.transforms.len);
	memcpy(s->octets + row.transforms.len, row.sends.p, row.sends.len);
	return s;
}

/*
 * Put a key, epd being its ceVpnPeerKey row (or, install NULL, its withdrawal) into its slot; takes
 * install.  -1: memory.
 */
static int key_put(struct kr_member *km, uint32_t epoch, uint64_t lsn, struct cops_chunk *install,
    const uint8_t *epd, size_t epd_len)
{
	struct kr_key *key = key_find(km, epoch & (SLOTS - 1));
	struct cops_chunk *remove = decision_remove_one(
	    &pib_ce_vpn_peer_key_class, key_instance(km->m, epoch));
	struct kr_suites *suites = install != NULL ? suites_of(epd, epd_len) : NULL;
	struct kr_key *more;

	if (remove == NULL || (install != NULL && suites == NULL))
		goto bad;
	if (key == NULL) {
		more = reallocarray(km->key, km->keys + 1u, sizeof(*more));
		if (more == NULL)
			goto bad;
		km->key = more;
		key = &more[km->keys++];
		*key = (struct kr_key) {0};
	}
	key_clear(key);
	*key = (struct kr_key) {
	    .epoch = epoch, .lsn = lsn, .install = install, .remove = remove, .suites = suites};
	if (epoch > km->floor)
		km->floor = epoch;
	newest_set(km);
	keys_changed(km, lsn);
	return 0;
bad:
	free(suites);
	cops_chunk_unref(install);
	cops_chunk_unref(remove);
	return -1;
}

/* Where holder is, or belongs, among the acknowledgements. */
static uint32_t ack_place(const struct kr_member *km, uint32_t holder)
{
	uint32_t lo = 0, hi = km->acks, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (km->ack[mid].holder < holder)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct kr_ack *ack_find(const struct kr_member *km, uint32_t holder)
{
	uint32_t i = ack_place(km, holder);

	return i < km->acks && km->ack[i].holder == holder ? &km->ack[i] : NULL;
}

static int ack_put(struct kr_member *km, uint32_t holder, uint32_t epoch, uint64_t lsn)
{
	uint32_t i = ack_place(km, holder);
	struct kr_ack *more;

	if (i == km->acks || km->ack[i].holder != holder) {
		if (km->acks == km->ack_cap) {
			uint32_t cap = km->ack_cap == 0 ? 4 : km->ack_cap * 2;

			more = reallocarray(km->ack, cap, sizeof(*more));
			if (more == NULL)
				return -1;
			km->ack = more;
			km->ack_cap = cap;
		}
		memmove(&km->ack[i + 1], &km->ack[i], (km->acks - i) * sizeof(*km->ack));
		km->acks++;
	}
	km->ack[i] = (struct kr_ack) {.holder = holder, .epoch = epoch, .lsn = lsn};
	acks_changed(km, lsn);
	return 0;
}

static bool ack_remove(struct kr_member *km, uint32_t holder)
{
	struct kr_ack *a = ack_find(km, holder);

	if (a == NULL)
		return false;
	km->acks--;
	memmove(a, a + 1, (size_t)(&km->ack[km->acks] - a) * sizeof(*a));
	return true;
}

void keyring_free(struct keyring *k)
{
	struct kr_member *km, *nm;
	struct kr_vpn *v, *nv;

	if (k == NULL)
		return;
	HASH_ITER (hh, k->members, km, nm) {
		HASH_DEL(k->members, km);
		for (uint8_t i = 0; i < km->keys; i++)
			key_clear(&km->key[i]);
		free(km->key);
		free(km->ack);
		free(km);
	}
	HASH_ITER (hh, k->vpns, v, nv) {
		HASH_DEL(k->vpns, v);
		free(v);
	}
	for (size_t i = 0; i < k->skeys; i++) {
		cops_chunk_unref(k->skey[i].install);
		free(k->skey[i].epd);
	}
	free(k->skey);
	free(k->sack);
	free(k);
}

/* --------------------------------------------------------------------- load */

int keyring_load_key(struct keyring *k, const struct store_key *key, uint32_t vpn, bool dead)
{
	struct kr_member *km = member_get(k, key->member, vpn);
	struct cops_chunk *install = NULL;
	struct kr_suites *suites;
	bool live;

	if (km == NULL)
		return -1;
	suites = suites_of(key->epd, key->epd_len);
	if (!key->withdrawn && !dead && suites == NULL)
		log_warn("epoch %u of member %u is not a row of today: its CE will send it again",
		    key->epoch, key->member);
	live = !key->withdrawn && !dead && suites != NULL;
	free(suites);
	if (live) {
		install = decision_install_one(&pib_ce_vpn_peer_key_class,
		    key_instance(key->member, key->epoch), key->epd, key->epd_len);
		if (install == NULL)
			return -1;
	}
	return key_put(km, key->epoch, key->lsn, install, key->epd, key->epd_len);
}

int keyring_load_ack(struct keyring *k, const struct store_ack *a)
{
	struct kr_member *km = member_find(k, a->subject);

	/* one of a membership without keys says nothing */
	return km != NULL ? ack_put(km, a->holder, a->epoch, a->lsn) : 0;
}

int keyring_load_serial(struct keyring *k, uint32_t vpn, uint32_t serial)
{
	struct kr_vpn *v = vpn_get(k, vpn);

	if (v != NULL)
		v->serial = serial;
	return v != NULL ? 0 : -1;
}

/* ------------------------------------------------------------------ staging */

/* What a slot will hold once everything staged is committed: chunk NULL = nothing live. */
static struct cops_chunk *slot_after(
    const struct keyring *k, const struct kr_member *km, uint32_t slot, uint32_t *epoch)
{
	const struct kr_key *key;

	for (size_t i = k->skeys; i-- > 0;)
		if (k->skey[i].member == km && (k->skey[i].epoch & (SLOTS - 1)) == slot) {
			*epoch = k->skey[i].epoch;
			return k->skey[i].install;
		}
	key = key_find(km, slot);
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
	    .id = key_instance(in->member, in->epoch),
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
	struct kr_member *km = member_find(k, m);
	struct cops_chunk *old;
	unsigned live = 0;
	uint32_t epoch;
	bool surplus;

	*in = (struct incoming) {0};
	if (pib_epd_decode(&pib_ce_vpn_site_key_class, epd, epd_len, &row, &surplus, f) != 0)
		return -1;
	if (row.id != key_instance(m, row.epoch))
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
	old = slot_after(k, km, row.epoch & (SLOTS - 1), &epoch);
	in->known = old != NULL && old->len == in->install->len &&
		    memcmp(old->data, in->install->data, old->len) == 0;
	if (in->known)
		return 0;
	if (row.epoch <= km->floor)
		return refuse(f, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_KEY_COL_EPOCH, row.id);
	for (uint32_t i = 0; i < SLOTS; i++)
		live += slot_after(k, km, i, &epoch) != NULL;
	if (live >= KEYRING_LIVE_MAX)
		return refuse(f, PIB_CPERR_SPACE, 0, row.id);
	return 0;
}

static struct staged_key *stage(struct keyring *k)
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
	k->skey[k->skeys] = (struct staged_key) {0};
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
		km = member_get(k, m, vpn);
		s = km != NULL ? stage(k) : NULL;
		if (s == NULL) {
			rc = refuse(f, PIB_CPERR_SPACE, 0, key_instance(m, in.epoch));
		} else {
			s->member = km;
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
	const struct kr_member *km = member_find(k, m);
	uint32_t epoch;

	return km != NULL && slot_after(k, km, slot, &epoch) != NULL;
}

void keyring_withdraw(struct keyring *k, uint32_t m, unsigned slot)
{
	struct kr_member *km = member_find(k, m);
	struct staged_key *s;
	uint32_t epoch;

	if (km == NULL || slot_after(k, km, slot, &epoch) == NULL)
		return;
	s = stage(k);
	if (s == NULL) {
		log_err("out of memory: epoch %u of member %u is not withdrawn", epoch, m);
		return;
	}
	s->member = km;
	s->epoch = epoch;
}

void keyring_keep(struct keyring *k, uint32_t m, uint16_t slots)
{
	for (unsigned i = 0; i < SLOTS; i++)
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
static void unstage(struct keyring *k, const struct kr_member *km)
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
		s = stage(k);
		if (s != NULL)
			*s = (struct staged_key) {
			    .member = km, .epoch = km->key[i].epoch, .lsn = lsn};
	}
	newest_set(km);
	km->acks = 0;
	stage_ack(k, km, 0, 0);
}

void keyring_drop(struct keyring *k, const struct model_member *m, uint64_t lsn)
{
	struct kr_vpn *v = vpn_find(k, m->vpn->id->number);
	struct kr_member *km = member_find(k, m->id->number), *other;

	if (km != NULL)
		drop_own(k, km, lsn);
	if (v == NULL || m->vpn->id->dead)
		return; /* with the VPN all others are dropped too */
	DL_FOREACH2(v->by_keys, other, keys_next)
	if (ack_remove(other, m->id->number))
		stage_ack(k, other, m->id->number, 0);
}

void keyring_confirm(struct keyring *k, const struct model_member *r, uint64_t from, uint64_t to)
{
	const struct kr_vpn *v = vpn_find(k, r->vpn->id->number);
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
		a = ack_find(km, r->id->number);
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

		if (s->lsn == 0 && key_put(s->member, s->epoch, s->member->vpn->batch_lsn,
				       s->install, s->epd, s->epd_len) != 0)
			log_err("out of memory: epoch %u of member %u waits for a restart",
			    s->epoch, s->member->m);
		free(s->epd);
	}
	for (size_t i = 0; i < k->sacks; i++) {
		struct staged_ack *s = &k->sack[i];

		if (s->epoch != 0)
			ack_put(s->subject, s->holder, s->epoch, s->subject->vpn->batch_lsn);
	}
	k->skeys = k->sacks = 0;
	while ((v = batch_take(k, &at)) != NULL)
		fn(arg, v->number, at);
	return 0;
}

void keyring_changed_keys(
    struct keyring *k, uint32_t vpn, uint64_t since, void (*fn)(void *arg, uint32_t m), void *arg)
{
	const struct kr_vpn *v = vpn_find(k, vpn);
	struct kr_member *km;

	if (v == NULL)
		return;
	DL_FOREACH2(v->by_keys, km, keys_next)
	{
		if (km->keys_lsn <= since)
			break;
		fn(arg, km->m);
	}
}

void keyring_changed_acks(
    struct keyring *k, uint32_t vpn, uint64_t since, void (*fn)(void *arg, uint32_t m), void *arg)
{
	const struct kr_vpn *v = vpn_find(k, vpn);
	struct kr_member *km;

	if (v == NULL)
		return;
	DL_FOREACH2(v->by_acks, km, acks_next)
	{
		if (km->acks_lsn <= since)
			break;
		fn(arg, km->m);
	}
}

/* -------------------------------------------------------------- for pdp/delta */

static void give_keys(void *arg, const struct model_member *m, uint64_t since, struct delta_list *l)
{
	const struct kr_member *km = member_find(arg, m->id->number);

	if (km == NULL || (since != 0 && km->keys_lsn <= since))
		return;
	for (uint8_t i = 0; i < km->keys; i++) {
		if (km->key[i].install != NULL && km->key[i].lsn > since)
			delta_list_put(l, km->key[i].install, false);
		else if (km->key[i].install == NULL && since != 0 && km->key[i].lsn > since)
			delta_list_put(l, km->key[i].remove, true);
	}
}

static void give_acks(void *arg, const struct model_member *r, uint64_t since, struct delta_list *l)
{
	const struct kr_member *km = member_find(arg, r->id->number);
	const struct model_member *holder, *via;
	struct pib_ce_vpn_peer_ack row;
	struct cops_chunk *chunk;
	struct decision d;
	size_t rows = 0;

	if (km == NULL || km->acks == 0 || km->acks_lsn <= since)
		return;
	decision_init(&d, COPS_CMD_INSTALL);
	for (uint32_t i = 0; i < km->acks; i++) {
		if (km->ack[i].lsn <= since)
			continue;
		holder = vpn_member_find(r->vpn, km->ack[i].holder);
		if (holder == NULL || model_view(r, holder, &via) != VIEW_PEER)
			continue;
		row = (struct pib_ce_vpn_peer_ack) {
		    .id = km->ack[i].holder, .peer = km->ack[i].holder, .epoch = km->ack[i].epoch};
		decision_row(&d, &pib_ce_vpn_peer_ack_class, row.id, &row);
		rows++;
	}
	if (rows > 0) {
		chunk = decision_take(&d);
		if (chunk != NULL)
			delta_list_put(l, chunk, false);
		else
			l->failed = true;
		cops_chunk_unref(chunk);
	}
	decision_clear(&d);
}

static void give_gone(void *arg, uint32_t m, struct delta_list *l)
{
	const struct kr_member *km = member_find(arg, m);
	struct cops_chunk *ack;

	/* withdrawn ones too: whoever was away may hold them still */
	for (uint8_t i = 0; km != NULL && i < km->keys; i++)
		delta_list_put(l, km->key[i].remove, true);
	ack = decision_remove_one(&pib_ce_vpn_peer_ack_class, m);
	if (ack != NULL)
		delta_list_put(l, ack, true);
	else
		l->failed = true;
	cops_chunk_unref(ack);
}

static uint32_t give_floor(void *arg, uint32_t m)
{
	const struct kr_member *km = member_find(arg, m);

	return km != NULL ? km->floor : 0;
}

static uint32_t give_serial(void *arg, uint32_t vpn)
{
	return keyring_serial(arg, vpn);
}

struct keyring *keyring_new(void)
{
	struct keyring *k = calloc(1, sizeof(*k));

	if (k != NULL)
		k->delta = (struct delta_keys) {
		    .keys = give_keys,
		    .acks = give_acks,
		    .gone = give_gone,
		    .epoch_floor = give_floor,
		    .rekey_serial = give_serial,
		    .arg = k,
		};
	return k;
}

const struct delta_keys *keyring_delta(struct keyring *k)
{
	return &k->delta;
}

uint64_t keyring_lsn(const struct keyring *k, uint32_t vpn)
{
	const struct kr_vpn *v = vpn_find(k, vpn);

	return v != NULL ? v->lsn : 0;
}

uint32_t keyring_serial(const struct keyring *k, uint32_t vpn)
{
	const struct kr_vpn *v = vpn_find(k, vpn);

	return v != NULL ? v->serial : 0;
}

void keyring_serial_set(struct keyring *k, uint32_t vpn, uint32_t serial)
{
	keyring_load_serial(k, vpn, serial);
}

/* ------------------------------------------------------------------ for show */

unsigned keyring_live(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = member_find(k, m);
	unsigned n = 0;

	for (uint8_t i = 0; km != NULL && i < km->keys; i++)
		n += km->key[i].install != NULL;
	return n;
}

uint32_t keyring_epoch(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = member_find(k, m);

	return km != NULL ? km->newest : 0;
}

uint32_t keyring_ack(const struct keyring *k, uint32_t subject, uint32_t holder)
{
	const struct kr_member *km = member_find(k, subject);
	const struct kr_ack *a = km != NULL ? ack_find(km, holder) : NULL;

	return a != NULL ? a->epoch : 0;
}

static const struct kr_key *key_newest(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = member_find(k, m);

	for (uint8_t i = 0; km != NULL && i < km->keys; i++)
		if (km->key[i].install != NULL && km->key[i].epoch == km->newest)
			return &km->key[i];
	return NULL;
}

const uint8_t *keyring_suite(const struct keyring *k, uint32_t sender, uint32_t receiver)
{
	const struct kr_key *s = key_newest(k, sender), *r = key_newest(k, receiver);

	return s != NULL && r != NULL
		   ? suites_choose(r->suites->octets, r->suites->takes_len,
			 s->suites->octets + s->suites->takes_len, s->suites->sends_len)
		   : NULL;
}

bool keyring_pair(const struct keyring *k, uint32_t a, uint32_t b)
{
	uint32_t ea = keyring_epoch(k, a), eb = keyring_epoch(k, b);

	return ea != 0 && eb != 0 && keyring_ack(k, a, b) == ea && keyring_ack(k, b, a) == eb &&
	       keyring_suite(k, a, b) != NULL && keyring_suite(k, b, a) != NULL;
}
