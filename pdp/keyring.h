/*
 * keyring.h - the public keys that memberships published and who acknowledged which
 * (doc/keying.md).  What comes in is staged; keyring_commit() stores a
 * batch, one LSN per VPN, and only then is it visible to pdp/delta.  A key's row is encoded
 * once and shared by all receivers.  Control thread only.
 */
#ifndef PDP_KEYRING_H
#define PDP_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pdp/delta.h"
#include "pdp/model.h"
#include "pdp/store.h"
#include "pib/pib_err.h"

struct keyring;

#define KEYRING_LIVE_MAX 8 /* epochs of a membership that may live at once */

struct keyring *keyring_new(void);
void keyring_free(struct keyring *k);

/* From the store; dead memberships keep only their epoch numbers.  -1: memory or nonsense. */
int keyring_load_key(struct keyring *k, const struct store_key *key, uint32_t vpn, bool dead);
int keyring_load_ack(struct keyring *k, const struct store_ack *a);
int keyring_load_serial(struct keyring *k, uint32_t vpn, uint32_t serial);

/*
 * Member m of a VPN publishes a key, epd being its ceVpnSiteKey row.  The same row again
 * changes nothing; an epoch that is not above all before is refused: -1 and *f.
 */
int keyring_publish(struct keyring *k, uint32_t m, uint32_t vpn, const uint8_t *epd, size_t epd_len,
    struct pib_fault *f);
/* Would it be refused?  Stages nothing.  *known: this very key is there already. */
int keyring_check(struct keyring *k, uint32_t m, const uint8_t *epd, size_t epd_len, bool *known,
    struct pib_fault *f);
/* Does m have a live key in this slot (epoch & 15), with all that is staged? */
bool keyring_has(const struct keyring *k, uint32_t m, unsigned slot);
/* Withdraw the key in a slot; nothing if there is none. */
void keyring_withdraw(struct keyring *k, uint32_t m, unsigned slot);
/* Withdraw every key of m that is not in the set of slots. */
void keyring_keep(struct keyring *k, uint32_t m, uint16_t slots);
/* The membership is over: its keys go now, what the store has of it with the next commit. */
void keyring_drop(struct keyring *k, const struct model_member *m, uint64_t lsn);
/*
 * r confirmed everything between two LSNs: it holds the keys of its peers that are from there.
 */
void keyring_confirm(struct keyring *k, const struct model_member *r, uint64_t from, uint64_t to);

/* Anything staged? */
bool keyring_pending(const struct keyring *k);
/*
 * Store what is staged and make it visible; *lsn is the last used and advances.  Then calls fn
 * for each VPN that changed, in the order of their LSNs, so that a CE in several of them never
 * skips one: from keyring_delta() its changes are those after lsn - 1. -1 and err: nothing
 * happened, all stays staged.
 */
int keyring_commit(struct keyring *k, const struct store_ops *ops, struct store *store,
    uint64_t *lsn, void (*fn)(void *arg, uint32_t vpn, uint64_t lsn), void *arg, char *err,
    size_t err_len);
/* Members of a VPN with keys, or with acknowledgements of theirs, after LSN since. */
void keyring_changed_keys(
    struct keyring *k, uint32_t vpn, uint64_t since, void (*fn)(void *arg, uint32_t m), void *arg);
void keyring_changed_acks(
    struct keyring *k, uint32_t vpn, uint64_t since, void (*fn)(void *arg, uint32_t m), void *arg);

/* For pdp/delta. */
const struct delta_keys *keyring_delta(struct keyring *k);
/* Newest LSN of anything in a VPN's keys. */
uint64_t keyring_lsn(const struct keyring *k, uint32_t vpn);
uint32_t keyring_serial(const struct keyring *k, uint32_t vpn);
void keyring_serial_set(struct keyring *k, uint32_t vpn, uint32_t serial);

/* For show and for waiting. */
unsigned keyring_live(const struct keyring *k, uint32_t m);  /* epochs live */
uint32_t keyring_epoch(const struct keyring *k, uint32_t m); /* newest live, 0 = none */
/* The newest epoch of subject that holder acknowledged, 0 = none. */
uint32_t keyring_ack(const struct keyring *k, uint32_t subject, uint32_t holder);
/*
 * What traffic from sender to receiver under their newest epochs is made of (common/suites.h),
 * borrowed.  NULL: one has not published, or the
 * receiver wants nothing that the sender can send.
 */
const uint8_t *keyring_suite(const struct keyring *k, uint32_t sender, uint32_t receiver);
/* Both published, have transforms both ways, and each acknowledged the other's newest. */
bool keyring_pair(const struct keyring *k, uint32_t a, uint32_t b);

#endif
