/*
 * store.h - what the PDP must not forget, behind one vtable.  pdp/store_sqlite.c is the
 * embedded default; a server for several PDPs can follow.  Every commit is durable
 * when the call returns.  Control thread only.
 */
#ifndef PDP_STORE_H
#define PDP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "pdp/ids.h"

struct departure;
struct verdict;
struct store;
struct store_load;

struct store_generation {
	uint64_t number;
	uint64_t lsn;
	int64_t when; /* seconds since the epoch */
	const char *who;
	const char *comment;
	const char *summary; /* "1 site added ..." */
	/* the document as given and the customers it replaced; NULL in listings */
	const char *xml;
	size_t xml_len;
	/* what else changed with it (commit_generation only) */
	const struct store_verdict *verdict;
	size_t verdicts;
	const struct departure *departure;
	size_t departures;
};

struct store_verdict {
	const struct verdict *verdict;
	bool gone; /* forget it */
};

struct store_customer { /* which document describes a customer now */
	const char *name;
	uint64_t generation;
};

struct store_key { /* a published ceVpnSiteKey */
	uint32_t member;
	uint32_t epoch;
	uint64_t lsn;
	bool withdrawn;
	const uint8_t *epd; /* the ceVpnPeerKey row's octets */
	size_t epd_len;
};

struct store_ack {
	uint32_t holder;  /* has inbound SAs for ... */
	uint32_t subject; /* ... this member's epoch */
	uint32_t epoch;	  /* 0: forget it; with holder 0: all of subject's */
	uint64_t lsn;
};

struct store_ce {	      /* what a CE last confirmed */
	uint16_t client_type; /* 0: the VPN's */
	const char *name;
	uint64_t applied_lsn;
	int64_t when;
	const char *failure; /* JSON of the last failure, or NULL */
	bool gone;	     /* save_ces: forget it */
};

struct store_nat { /* a CE behind NAT */
	const char *name;
	const struct addr *seen;
	const struct addr *own;
	bool gone; /* save_nat: forget it */
};

struct store_learned { /* a network that a member learned, and its peers have */
	uint32_t member;
	struct prefix prefix;
	uint64_t rank; /* the order in which they were taken, over all members */
	int64_t when;
	bool gone; /* save_learned: forget it */
};

struct store_ops {
	const char *name;
	/* NULL and a text in err. uuid: 8 octets naming this database, made when it is created. */
	struct store *(*open)(const char *where, uint8_t uuid[8], char *err, size_t err_len);
	void (*close)(struct store *s);
	/* Everything at start, through callbacks; -1 and err. */
	int (*load)(
	    struct store *s, const struct store_load *cb, void *arg, char *err, size_t err_len);
	/*
	 * One transaction: generation, its document, the customers it (re)defines or deletes, ids
	 * and stamps.
	 */
	int (*commit_generation)(struct store *s, const struct store_generation *g,
	    const char *const *customer, size_t customers, const char *const *deleted,
	    size_t deletions, struct ids *ids, char *err, size_t err_len);
	/* One transaction for a batch. */
	int (*commit_keys)(struct store *s, uint64_t lsn, const struct store_key *key, size_t keys,
	    const struct store_ack *ack, size_t acks, char *err, size_t err_len);
	int (*save_ces)(
	    struct store *s, const struct store_ce *ce, size_t count, char *err, size_t err_len);
	/*
	 * Of a client-type other than the VPN: ce's rows have this hash since lsn.  Then all of
	 * them through fn; and what CEs confirmed of it.
	 */
	int (*save_rows)(struct store *s, uint16_t client_type, const char *ce, uint64_t lsn,
	    uint64_t hash, char *err, size_t err_len);
	int (*load_rows)(struct store *s, uint16_t client_type,
	    int (*fn)(void *arg, const char *ce, uint64_t lsn, uint64_t hash), void *arg, char *err,
	    size_t err_len);
	int (*load_ces)(struct store *s, uint16_t client_type,
	    int (*fn)(void *arg, const struct store_ce *ce), void *arg, char *err, size_t err_len);
	int (*save_serial)(struct store *s, uint64_t lsn, uint32_t vpn, uint32_t rekey_serial,
	    struct ids *ids, char *err, size_t err_len);
	int (*save_nat)(struct store *s, uint64_t lsn, const struct store_nat *n, struct ids *ids,
	    char *err, size_t err_len);
	/* One transaction for a batch: those that are gone first. */
	int (*save_learned)(struct store *s, uint64_t lsn, const struct store_learned *row,
	    size_t rows, struct ids *ids, char *err, size_t err_len);
	/* One transaction: either may be NULL; gone: the departure is to be forgotten. */
	int (*save_membership)(struct store *s, const struct store_verdict *v,
	    const struct departure *d, bool gone, char *err, size_t err_len);
	int (*history)(struct store *s, size_t max,
	    int (*fn)(void *arg, const struct store_generation *g), void *arg, char *err,
	    size_t err_len);
	/* The document of a generation; malloc()ed. */
	char *(*document)(
	    struct store *s, uint64_t generation, size_t *len, char *err, size_t err_len);
};

struct store_load {
	int (*lsn)(void *arg, uint64_t lsn, uint64_t generation); /* highest used */
	int (*id)(void *arg, const struct id_entry *e);
	int (*serial)(void *arg, uint32_t vpn, uint32_t rekey_serial);
	int (*nat)(void *arg, const struct store_nat *n); /* NULL: none of it */
	/* after all ids, before documents; NULL: none of it */
	int (*learned)(void *arg, const struct store_learned *l);
	int (*verdict)(void *arg, const struct verdict *v);	/* NULL: none of them */
	int (*departure)(void *arg, const struct departure *d); /* NULL: none of them */
	int (*document)(void *arg, const struct store_generation *g,
	    const struct store_customer *customer,
	    size_t customers); /* each document still in force, with the customers it defines */
	int (*key)(void *arg, const struct store_key *k);
	int (*ack)(void *arg, const struct store_ack *a);
	int (*ce)(void *arg, const struct store_ce *c);
};

extern const struct store_ops store_sqlite_ops;

#endif
