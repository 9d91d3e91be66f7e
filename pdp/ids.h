/*
 * ids.h - stable numbers for things with names: VPNs, memberships, prefixes,
 * proposals.  A key keeps its number for life, also when the thing goes away and
 * comes back; a number is never given to another key.  Also holds the LSN stamps
 * that say when a thing's rows last changed, so that delta_since() needs no log.
 * In memory, backed by the store: what changed since the last commit is listed.
 */
#ifndef PDP_IDS_H
#define PDP_IDS_H

#include <stdbool.h>
#include <stdint.h>

enum id_kind {
	ID_VPN = 1,	 /* key: customer/vpn */
	ID_MEMBER = 2,	 /* key: customer/vpn/ce; number is m, 24 bits */
	ID_PREFIX = 3,	 /* key: vpn number/member number or "space"/prefix */
	ID_PROPOSAL = 4, /* key: vpn number/order */
	ID_IKE_PROPOSAL = 5,
	ID_KINDS
};

#define ID_INTERNET UINT32_MAX /* ... or this: what is outside of the VPN */

struct id_entry {
	enum id_kind kind;
	uint32_t number;
	uint32_t
	    parent; /* VPN number of a member or proposal; member of a prefix, 0: VPN space, ... */
	uint32_t vpn; /* VPN number of anything but a VPN */
	bool dead;    /* not in the model now: a tombstone */
	uint64_t lsn; /* its rows last changed (or it died) then */
	uint64_t
	    aux_lsn; /* VPN: structure (who sees whom) last changed; member: rows only it gets */
	const char *key; /* owned by ids */
};

struct ids;
struct ids *ids_new(void);
void ids_free(struct ids *ids);
/* From the store at start.  -1: duplicate key or number. */
int ids_load(struct ids *ids, const struct id_entry *e);
/*
 * Find or hand out.  NULL: memory, or the kind's numbers are used up.  A tombstone stays one and a
 * new entry has LSN 0 until delta_each() stamps it: a document may still be refused.
 */
struct id_entry *ids_get(
    struct ids *ids, enum id_kind kind, const char *key, uint32_t parent, uint32_t vpn);
struct id_entry *ids_find(struct ids *ids, enum id_kind kind, uint32_t number);
/* Call after changing an entry: it will be in the next ids_dirty_each() (until fn is not 0). */
void ids_touch(struct ids *ids, struct id_entry *e);
void ids_dirty_each(struct ids *ids, int (*fn)(void *arg, const struct id_entry *e), void *arg);
void ids_dirty_clear(struct ids *ids); /* committed */
/*
 * The apply was refused or could not be committed: as at the last ids_dirty_clear().  Entries
 * handed out since are freed: snapshots that hold them must be gone.
 */
void ids_rollback(struct ids *ids);
/* Dead entries of a VPN whose lsn is over since. */
void ids_dead_each(struct ids *ids, uint32_t vpn, uint64_t since,
    void (*fn)(void *arg, const struct id_entry *e), void *arg);
/* All of a kind that are not dead.  O(numbers of that kind). */
void ids_live_each(
    struct ids *ids, enum id_kind kind, void (*fn)(void *arg, struct id_entry *e), void *arg);
/* The newest stamp of anything in a VPN. O(1). */
uint64_t ids_vpn_lsn(const struct ids *ids, uint32_t vpn);
/* When a membership of the CE of this name last ended, 0 if none did.  O(memberships it had). */
uint64_t ids_left_lsn(const struct ids *ids, const char *ce);

#endif
