/*
 * keyring.c - see keyring.h.  Of every membership at most 16 keys are kept, one per
 * slot (epoch & 15): live ones with their encoded row, withdrawn ones only by number, so that
 * whoever was away can be told.  Each VPN has its memberships in order of their last
 * change, so that "what changed since" costs what changed.
 */
#include "pdp/keyring.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/suites.h"
#include "pdp/decision.h"
#include "pdp/keyring_int.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

/* ----------------------------------------------------------- finding, making */

struct kr_member *kr_member_find(const struct keyring *k, uint32_t m)
{
	struct kr_member *km;

	HASH_FIND(hh, k->members, &m, sizeof(m), km);
	return km;
}

struct kr_vpn *kr_vpn_find(const struct keyring *k, uint32_t number)
{
	struct kr_vpn *v;

	HASH_FIND(hh, k->vpns, &number, sizeof(number), v);
	return v;
}

static struct kr_vpn *vpn_get(struct keyring *k, uint32_t number)
{
	struct kr_vpn *v = kr_vpn_find(k, number);

	if (v == NULL && (v = calloc(1, sizeof(*v))) != NULL) {
		v->number = number;
		HASH_ADD(hh, k->vpns, number, sizeof(v->number), v);
	}
	return v;
}

struct kr_member *kr_member_get(struct keyring *k, uint32_t m, uint32_t vpn)
{
	struct kr_member *km = kr_member_find(k, m);
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

struct kr_key *kr_key_find(const struct kr_member *km, uint32_t slot)
{
	for (uint8_t i = 0; i < km->keys; i++)
		if ((km->key[i].epoch & (KR_SLOTS - 1)) == slot)
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

uint32_t kr_key_instance(uint32_t m, uint32_t epoch)
{
	return m << 4 | (epoch & (KR_SLOTS - 1));
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

void kr_newest_set(struct kr_member *km)
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

int kr_key_put(struct kr_member *km, uint32_t epoch, uint64_t lsn, struct cops_chunk *install,
    const uint8_t *epd, size_t epd_len)
{
	struct kr_key *key = kr_key_find(km, epoch & (KR_SLOTS - 1));
	struct cops_chunk *remove = decision_remove_one(
	    &pib_ce_vpn_peer_key_class, kr_key_instance(km->m, epoch));
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
	kr_newest_set(km);
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

struct kr_ack *kr_ack_find(const struct kr_member *km, uint32_t holder)
{
	uint32_t i = ack_place(km, holder);

	return i < km->acks && km->ack[i].holder == holder ? &km->ack[i] : NULL;
}

int kr_ack_put(struct kr_member *km, uint32_t holder, uint32_t epoch, uint64_t lsn)
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

bool kr_ack_remove(struct kr_member *km, uint32_t holder)
{
	struct kr_ack *a = kr_ack_find(km, holder);

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
	kr_stage_clear(k);
	free(k);
}

/* --------------------------------------------------------------------- load */

int keyring_load_key(struct keyring *k, const struct store_key *key, uint32_t vpn, bool dead)
{
	struct kr_member *km = kr_member_get(k, key->member, vpn);
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
		    kr_key_instance(key->member, key->epoch), key->epd, key->epd_len);
		if (install == NULL)
			return -1;
	}
	return kr_key_put(km, key->epoch, key->lsn, install, key->epd, key->epd_len);
}

int keyring_load_ack(struct keyring *k, const struct store_ack *a)
{
	struct kr_member *km = kr_member_find(k, a->subject);

	/* one of a membership without keys says nothing */
	return km != NULL ? kr_ack_put(km, a->holder, a->epoch, a->lsn) : 0;
}

int keyring_load_serial(struct keyring *k, uint32_t vpn, uint32_t serial)
{
	struct kr_vpn *v = vpn_get(k, vpn);

	if (v != NULL)
		v->serial = serial;
	return v != NULL ? 0 : -1;
}

/* -------------------------------------------------------------- what changed */

void keyring_changed_keys(
    struct keyring *k, uint32_t vpn, uint64_t since, void (*fn)(void *arg, uint32_t m), void *arg)
{
	const struct kr_vpn *v = kr_vpn_find(k, vpn);
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
	const struct kr_vpn *v = kr_vpn_find(k, vpn);
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
	const struct kr_member *km = kr_member_find(arg, m->id->number);

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
	const struct kr_member *km = kr_member_find(arg, r->id->number);
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
	const struct kr_member *km = kr_member_find(arg, m);
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
	const struct kr_member *km = kr_member_find(arg, m);

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
	const struct kr_vpn *v = kr_vpn_find(k, vpn);

	return v != NULL ? v->lsn : 0;
}

uint32_t keyring_serial(const struct keyring *k, uint32_t vpn)
{
	const struct kr_vpn *v = kr_vpn_find(k, vpn);

	return v != NULL ? v->serial : 0;
}

void keyring_serial_set(struct keyring *k, uint32_t vpn, uint32_t serial)
{
	keyring_load_serial(k, vpn, serial);
}

/* ------------------------------------------------------------------ for show */

unsigned keyring_live(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = kr_member_find(k, m);
	unsigned n = 0;

	for (uint8_t i = 0; km != NULL && i < km->keys; i++)
		n += km->key[i].install != NULL;
	return n;
}

uint32_t keyring_epoch(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = kr_member_find(k, m);

	return km != NULL ? km->newest : 0;
}

uint32_t keyring_ack(const struct keyring *k, uint32_t subject, uint32_t holder)
{
	const struct kr_member *km = kr_member_find(k, subject);
	const struct kr_ack *a = km != NULL ? kr_ack_find(km, holder) : NULL;

	return a != NULL ? a->epoch : 0;
}

static const struct kr_key *key_newest(const struct keyring *k, uint32_t m)
{
	const struct kr_member *km = kr_member_find(k, m);

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
