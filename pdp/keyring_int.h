/*
 * keyring_int.h - what the files of the keyring share (interface: keyring.h):
 *
 *	keyring.c	the keys of memberships and who acknowledged which
 *	keyring_stage.c	what came in and is not committed
 */
#ifndef PDP_KEYRING_INT_H
#define PDP_KEYRING_INT_H

#include <uthash.h>

#include "pdp/keyring.h"

#define KR_SLOTS 16

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
	uint32_t staged; /* keys of its own among the staged */
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

/* NULL: there is none. */
struct kr_member *kr_member_find(const struct keyring *k, uint32_t m);
struct kr_vpn *kr_vpn_find(const struct keyring *k, uint32_t number);
/* Finds or makes; NULL: memory. */
struct kr_member *kr_member_get(struct keyring *k, uint32_t m, uint32_t vpn);
/* In a slot, live or withdrawn; NULL: none. */
struct kr_key *kr_key_find(const struct kr_member *km, uint32_t slot);
/* Number of its row. */
uint32_t kr_key_instance(uint32_t m, uint32_t epoch);
/*
 * Put a key, epd being its ceVpnPeerKey row (or, install NULL, its withdrawal) into its slot; takes
 * install.  -1: memory.
 */
int kr_key_put(struct kr_member *km, uint32_t epoch, uint64_t lsn, struct cops_chunk *install,
    const uint8_t *epd, size_t epd_len);
/* After its keys were changed in place. */
void kr_newest_set(struct kr_member *km);
struct kr_ack *kr_ack_find(const struct kr_member *km, uint32_t holder);
/* -1: memory. */
int kr_ack_put(struct kr_member *km, uint32_t holder, uint32_t epoch, uint64_t lsn);
/* False: there was none. */
bool kr_ack_remove(struct kr_member *km, uint32_t holder);
/* Free what is staged. */
void kr_stage_clear(struct keyring *k);

#endif
