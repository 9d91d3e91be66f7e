/*
 * delta.h - which rows which CE must get.  Rows are computed from the model; nothing is kept
 * per CE.  What comes out are chunks: whole COPS-PR Decisions (context, flags, named data) ready
 * for cops_conn_send_dec(), removes before installs, shared by all receivers that get the same.
 */
#ifndef PDP_DELTA_H
#define PDP_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcops/cops_chunk.h"
#include "pdp/model.h"

/*
 * Key and acknowledgement rows come from the keyring, which delta asks through this: append
 * Decisions (or remove PRIDs) for member m as seen by receiver r.
 */
struct delta_list { /* growing array of chunk references, in DEC order */
	struct cops_chunk **chunk;
	size_t count;
	size_t cap;
	size_t removes; /* the first this many are Removes */
	bool failed;	/* memory */
};
void delta_list_init(struct delta_list *l);
void delta_list_clear(struct delta_list *l);
/* Take a reference of its own; remove says which end it belongs to. */
void delta_list_put(struct delta_list *l, struct cops_chunk *c, bool remove);

struct delta_keys {
	/* published keys of m for receivers of view PEER, changed after since (0: all live) */
	void (*keys)(void *arg, const struct model_member *m, uint64_t since, struct delta_list *l);
	/* m's acknowledgement of r's epochs */
	void (*acks)(void *arg, const struct model_member *r, uint64_t since, struct delta_list *l);
	/* removal of all key and ack rows of m that a receiver may hold */
	void (*gone)(void *arg, uint32_t m, struct delta_list *l);
	/* ceVpn.EpochFloor of our own membership */
	uint32_t (*epoch_floor)(void *arg, uint32_t m);
	/* ceVpn.RekeySerial of the VPN */
	uint32_t (*rekey_serial)(void *arg, uint32_t vpn);
	void *arg;
};

/*
 * before (NULL: new customer) -> after (NULL: deleted).  Stamps every touched id with lsn, then
 * calls fn once for each concerned CE with its Decisions. fn must take references of what it keeps.
 * 0, or -1 when memory is short (nothing was called).
 */
struct delta_counts {
	size_t members_added, members_removed, members_changed, vpns_added, vpns_removed,
	    vpns_changed;
	size_t ces;			     /* concerned */
	size_t rows_installed, rows_removed; /* over all of them */
};
int delta_each(const struct customer *before, const struct customer *after, struct ids *ids,
    uint64_t lsn, const struct delta_keys *keys,
    int (*fn)(void *arg, const struct model_ce *ce, const struct delta_list *l), void *arg,
    struct delta_counts *counts);
/* Only work out what would change (check, apply's summary), stamping nothing. */
int delta_dry(
    const struct customer *before, const struct customer *after, struct delta_counts *counts);

/* Everything ce must hold, after a Remove of every class. */
int delta_full(const struct model_ce *ce, const struct delta_keys *keys, struct delta_list *l);
/*
 * What changed for ce after LSN since.  0: *l (may be empty); 1: cannot tell (structure changed
 * meanwhile): send delta_full.
 */
int delta_since(const struct model_ce *ce, struct ids *ids, uint64_t since,
    const struct delta_keys *keys, struct delta_list *l);
/* Highest LSN of anything that may concern ce: a CE that holds it or newer needs nothing. O(its
 * VPNs). */
uint64_t delta_lsn_max(const struct model_ce *ce);

#endif
