/*
 * test_keyring.c - keys and acknowledgements of a VPN of three: what is visible when, which epochs
 * are refused, and what a confirmation acknowledges.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/suites.h"
#include "pdp/keyring.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

#define VPN	  4
#define OTHER_VPN 5 /* of members above */
#define MEMBERS	  3

static struct keyring *k;
static uint64_t lsn;
static size_t stored_keys, stored_acks, told;
static bool store_is_full;

/* A mesh with members 1, 2, 3. */
static struct id_entry vpn_id = {.kind = ID_VPN, .number = VPN};
static struct id_entry member_id[MEMBERS];
static const struct model_ce ce;
static struct model_member member[MEMBERS];
static struct model_vpn vpn = {
    .id = &vpn_id, .topology = TOPO_FULL_MESH, .member = member, .members = MEMBERS};

static int commit_keys(struct store *s, uint64_t at, const struct store_key *key, size_t keys,
    const struct store_ack *ack, size_t acks, char *err, size_t err_len)
{
	(void)s, (void)at, (void)key, (void)ack;
	if (store_is_full) {
		snprintf(err, err_len, "full");
		return -1;
	}
	stored_keys += keys;
	stored_acks += acks;
	return 0;
}

static const struct store_ops ops = {.commit_keys = commit_keys};

static void on_vpn(void *arg, uint32_t number, uint64_t at)
{
	(void)arg;
	ck_assert_uint_eq(number, VPN);
	ck_assert_uint_eq(at, lsn);
	told++;
}

static int commit(void)
{
	char err[64];

	return keyring_commit(k, &ops, NULL, &lsn, on_vpn, NULL, err, sizeof(err));
}

static void setup(void)
{
	k = keyring_new();
	lsn = 100;
	stored_keys = stored_acks = told = 0;
	store_is_full = false;
	vpn_id.aux_lsn = vpn_id.lsn = 50;
	vpn_id.dead = false;
	for (uint32_t i = 0; i < MEMBERS; i++) {
		member_id[i] = (struct id_entry) {
		    .kind = ID_MEMBER, .number = i + 1, .vpn = VPN, .lsn = 50, .aux_lsn = 50};
		member[i] = (struct model_member) {
		    .ce = &ce, .vpn = &vpn, .id = &member_id[i], .role = ROLE_MESH};
	}
}

static void teardown(void)
{
	keyring_free(k);
}

/* What keys are published with: AES-CBC-256 and HMAC-SHA2-512-256, AES-GCM-16-256. */
static const uint8_t suites[2 * SUITE_LEN] = {
    0, SUITE_ESP, 0, 12, 1, 0, 0, 14, 0, SUITE_ESP, 0, 20, 1, 0, 0, 0};
static const uint8_t *says_sends = suites;

static int publish_as(uint32_t m, uint32_t epoch, uint8_t fill, uint32_t says, struct pib_fault *f)
{
	uint8_t octets[64];
	const struct pib_ce_vpn_site_key row = {
	    .id = m << 4 | (epoch & 15),
	    .member = says,
	    .epoch = epoch,
	    .public_key = {octets, 32},
	    .nonce = {octets, 32},
	    .transforms = {suites, sizeof(suites)},
	    .sends = {says_sends, SUITE_LEN},
	    .certificate = {octets, 64},
	    .signature = {octets, 64},
	};
	struct buf b;
	int rc;

	memset(octets, fill, sizeof(octets));
	buf_init(&b, 0);
	pib_epd_put(&b, &pib_ce_vpn_site_key_class, &row);
	rc = keyring_publish(k, m, m > MEMBERS ? OTHER_VPN : VPN, b.data, b.len, f);
	buf_clear(&b);
	return rc;
}

static void on_nothing(void *arg, uint32_t number, uint64_t at)
{
	(void)arg, (void)number, (void)at;
}

static void in_order(void *arg, uint32_t number, uint64_t at)
{
	uint64_t *last = arg;

	ck_assert_uint_eq(at, *last + 1);
	ck_assert_uint_eq(number, at == 101 ? VPN : OTHER_VPN);
	*last = at;
}

static int publish(uint32_t m, uint32_t epoch)
{
	struct pib_fault f;

	return publish_as(m, epoch, (uint8_t)epoch, m, &f);
}

/* Chunks of m's keys since an LSN: installs, and removes in *removes. */
static size_t keys_since(uint32_t m, uint64_t since, size_t *removes)
{
	const struct delta_keys *d = keyring_delta(k);
	struct delta_list l;
	size_t n;

	delta_list_init(&l);
	d->keys(d->arg, &member[m - 1], since, &l);
	n = l.count - l.removes;
	if (removes != NULL)
		*removes = l.removes;
	delta_list_clear(&l);
	return n;
}

START_TEST(test_visible_when_stored)
{
	ck_assert_int_eq(publish(1, 1), 0);
	ck_assert(keyring_pending(k));
	ck_assert_uint_eq(keys_since(1, 0, NULL), 0);
	ck_assert_uint_eq(keyring_epoch(k, 1), 0);
	store_is_full = true;
	ck_assert_int_eq(commit(), -1);
	ck_assert_uint_eq(lsn, 100);
	ck_assert(keyring_pending(k));
	ck_assert_uint_eq(keys_since(1, 0, NULL), 0);
	store_is_full = false;
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(lsn, 101);
	ck_assert_uint_eq(told, 1);
	ck_assert(!keyring_pending(k));
	ck_assert_uint_eq(keys_since(1, 0, NULL), 1);
	ck_assert_uint_eq(keys_since(1, 101, NULL), 0);
	ck_assert_uint_eq(keyring_lsn(k, VPN), 101);
	ck_assert_uint_eq(keyring_epoch(k, 1), 1);
}
END_TEST

START_TEST(test_epochs_grow)
{
	struct pib_fault f;

	ck_assert_int_eq(publish(1, 7), 0);
	ck_assert_int_eq(publish(1, 7), 0); /* the same, staged */
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(stored_keys, 1);
	ck_assert_int_eq(publish(1, 7), 0); /* the same, stored */
	ck_assert(!keyring_pending(k));
	ck_assert_int_eq(publish_as(1, 7, 99, 1, &f), -1); /* the epoch of another key */
	ck_assert_uint_eq(f.cperr, PIB_CPERR_VALUE);
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_SITE_KEY_COL_EPOCH);
	ck_assert_int_eq(publish(1, 6), -1);
	ck_assert_int_eq(publish_as(1, 8, 8, 2, &f), -1); /* says it is another member's */
	ck_assert_uint_eq(f.sub, PIB_CE_VPN_SITE_KEY_COL_MEMBER);
	keyring_withdraw(k, 1, 7);
	ck_assert_int_eq(commit(), 0);
	ck_assert_int_eq(publish(1, 7), -1); /* withdrawn is for ever */
	ck_assert_uint_eq(keyring_delta(k)->epoch_floor(k, 1), 7);
}
END_TEST

START_TEST(test_live_bound)
{
	for (uint32_t e = 1; e <= KEYRING_LIVE_MAX; e++)
		ck_assert_int_eq(publish(1, e), 0);
	ck_assert_int_eq(publish(1, KEYRING_LIVE_MAX + 1), -1);
	keyring_withdraw(k, 1, 1);
	ck_assert_int_eq(publish(1, KEYRING_LIVE_MAX + 1), 0);
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(keyring_live(k, 1), KEYRING_LIVE_MAX);
}
END_TEST

START_TEST(test_slots_come_round)
{
	size_t removes;

	for (uint32_t e = 1; e <= 40; e++) {
		ck_assert_int_eq(publish(1, e), 0);
		if (e > 2)
			keyring_withdraw(k, 1, (e - 2) & 15);
		ck_assert_int_eq(commit(), 0);
		ck_assert_uint_eq(keyring_live(k, 1), e < 2 ? 1 : 2);
	}
	ck_assert_uint_eq(keys_since(1, 0, NULL), 2);
	/* who was away for long hears of every slot */
	ck_assert_uint_eq(keys_since(1, 1, &removes), 2);
	ck_assert_uint_eq(removes, 14);
}
END_TEST

/* A CE in two VPNs of a batch gets the older LSN first, whichever VPN was there first. */
START_TEST(test_order_of_vpns)
{
	uint64_t last = 100;
	char err[64];

	ck_assert_int_eq(publish(MEMBERS + 1, 1), 0);
	ck_assert_int_eq(
	    keyring_commit(k, &ops, NULL, &(uint64_t) {0}, on_nothing, NULL, err, sizeof(err)), 0);
	ck_assert_int_eq(publish(1, 1), 0);
	ck_assert_int_eq(publish(MEMBERS + 1, 2), 0);
	store_is_full = true;
	ck_assert_int_eq(
	    keyring_commit(k, &ops, NULL, &lsn, in_order, &last, err, sizeof(err)), -1);
	store_is_full = false;
	ck_assert_int_eq(keyring_commit(k, &ops, NULL, &lsn, in_order, &last, err, sizeof(err)), 0);
	ck_assert_uint_eq(last, 102);
	ck_assert_uint_eq(lsn, 102);
}
END_TEST

START_TEST(test_keep)
{
	publish(1, 1);
	publish(1, 2);
	commit();
	keyring_keep(k, 1, 1u << 2);
	ck_assert_int_eq(commit(), 0);
	ck_assert_uint_eq(keyring_live(k, 1), 1);
	ck_assert_uint_eq(keyring_epoch(k, 1), 2);
}
END_TEST

START_TEST(test_confirm)
{
	publish(1, 1);
	commit(); /* 101 */
	publish(2, 1);
	commit(); /* 102 */
	/* 3 comes from 100 to 101: it holds 1's key, not 2's */
	keyring_confirm(k, &member[2], 100, 101);
	commit(); /* 103 */
	ck_assert_uint_eq(keyring_ack(k, 1, 3), 1);
	ck_assert_uint_eq(keyring_ack(k, 2, 3), 0);
	/* nothing twice */
	keyring_confirm(k, &member[2], 100, 101);
	ck_assert(!keyring_pending(k));
	keyring_confirm(k, &member[2], 101, 103);
	commit();
	ck_assert_uint_eq(keyring_ack(k, 2, 3), 1);
	/* from nothing: everything but its own */
	keyring_confirm(k, &member[0], 0, lsn);
	keyring_confirm(k, &member[1], 0, lsn);
	commit();
	ck_assert(keyring_pair(k, 1, 2));
	ck_assert_uint_eq(keyring_ack(k, 1, 1), 0);
	/* a new epoch is not acknowledged by what was confirmed before it */
	publish(1, 2);
	commit();
	keyring_confirm(k, &member[1], lsn - 1, lsn - 1);
	ck_assert(!keyring_pending(k));
	ck_assert(!keyring_pair(k, 1, 2));
	keyring_confirm(k, &member[1], lsn - 1, lsn);
	commit();
	ck_assert(keyring_pair(k, 1, 2));
}
END_TEST

/* Who becomes a peer later holds keys from before. */
START_TEST(test_confirm_after_structure)
{
	publish(1, 1);
	commit(); /* 101 */
	vpn_id.aux_lsn = 110;
	keyring_confirm(k, &member[1], 105, 110);
	ck_assert(keyring_pending(k));
	commit();
	ck_assert_uint_eq(keyring_ack(k, 1, 2), 1);
}
END_TEST

START_TEST(test_drop)
{
	struct delta_list l;

	publish(1, 1);
	publish(2, 1);
	commit();
	keyring_confirm(k, &member[0], 0, lsn);
	keyring_confirm(k, &member[1], 0, lsn);
	commit();
	ck_assert(keyring_pair(k, 1, 2));
	publish(1, 2); /* staged, and never to be */
	keyring_drop(k, &member[0], ++lsn);
	ck_assert_uint_eq(keyring_live(k, 1), 0);
	ck_assert_uint_eq(keyring_ack(k, 1, 2), 0);
	ck_assert_uint_eq(keyring_ack(k, 2, 1), 0);
	stored_keys = stored_acks = told = 0;
	ck_assert_int_eq(commit(), 0); /* the store hears of it, the peers did already */
	ck_assert_uint_eq(told, 0);
	ck_assert_uint_eq(stored_keys, 1);
	ck_assert_uint_eq(stored_acks, 2);
	ck_assert_uint_eq(keyring_live(k, 1), 0);
	delta_list_init(&l);
	keyring_delta(k)->gone(k, 1, &l);
	ck_assert_uint_eq(l.removes, 2); /* its key and its acknowledgement */
	delta_list_clear(&l);
	ck_assert_int_eq(publish(1, 1), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keyring");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_visible_when_stored);
	tcase_add_test(t, test_epochs_grow);
	tcase_add_test(t, test_live_bound);
	tcase_add_test(t, test_slots_come_round);
	tcase_add_test(t, test_order_of_vpns);
	tcase_add_test(t, test_keep);
	tcase_add_test(t, test_confirm);
	tcase_add_test(t, test_confirm_after_structure);
	tcase_add_test(t, test_drop);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
