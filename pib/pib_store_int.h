/*
 * pib_store_int.h - what pib_store.c and pib_txn.c share.
 *
 * A *place* is somewhere a reference can point to: row (class, instance), or tag
 * list (class, column of the TagId, value).  It exists as long as something counts on it:
 * its row, rows that refer to it, a transaction.  It holds the lists of its
 * referrers, one per referring column, so the reverse index is the place itself.
 *
 * A *upl* (unique place) is one combination of values of a class's UNIQUENESS columns, and the
 * row that has it.
 *
 * A transaction allocates and hashes all it needs before it touches a list; from then on
 * linking, unlinking and undoing only move pointers and cannot fail.
 */
#ifndef PIB_STORE_INT_H
#define PIB_STORE_INT_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define NO_CLASS   UINT32_MAX
#define STORE_COLS 65 /* columns of a class, and 0 */

struct row;
struct change;

enum edge_kind {
	EDGE_REF,    /* ReferenceId: the place of a row */
	EDGE_TAGREF, /* TagReferenceId: a tag list */
	EDGE_TAG,    /* TagId: membership of one's own tag list */
};

/* A column that points somewhere. */
struct edge {
	const struct pib_column *col;
	enum edge_kind kind;
	uint32_t target_class; /* index in the schema */
	uint8_t target_col;    /* 0: row; else the TagId's column */
	uint8_t slot;	       /* which list of the target's place */
};

/* What the store has worked out about a class. */
struct meta {
	const struct pib_class *cls;
	struct edge *edge;
	uint8_t edges;
	uint8_t slots[STORE_COLS]; /* lists at a place of column i; 0 = the row's */
	uint32_t base;		   /* index of the class it extends, or NO_CLASS */
	struct row *rows;
	size_t count;
};

struct link {
	struct row *row;
	struct place *target; /* counted; NULL: the value is 0 */
	struct link *next;
	struct link **prev;
};

struct place_key {
	uint32_t cls;
	uint32_t col;
	uint32_t value;
};

struct place {
	struct place_key key;
	uint32_t refs;
	struct row *row;       /* the row that is here now */
	struct change *change; /* what the open transaction makes of it */
	UT_hash_handle hh;
	struct link *in[]; /* heads of the referrers' lists */
};

struct upl {
	UT_hash_handle hh;
	struct row *row;
	uint32_t refs;
	uint32_t len;
	uint8_t key[];
};

struct row {
	struct pib_row pub; /* first: a struct row * is a struct pib_row * */
	struct meta *meta;
	struct place *place; /* counted */
	struct upl *upl;     /* counted; NULL: no UNIQUENESS, or not linked yet */
	struct row *next;    /* of its class */
	struct row **prev;
	bool deferred;	    /* duplicate: could not take its upl */
	struct link link[]; /* one per edge; then the struct, then the EPD */
};

struct pib_store {
	const struct pib_schema *schema;
	enum pib_access writer;
	const struct pib_limits *limits; /* NULL: none */
	size_t max_rows;
	size_t count;
	struct place *places;
	struct upl *upls;
	struct pib_txn *txn;
	size_t classes;
	struct meta meta[];
};

struct place *store_place(struct pib_store *st, uint32_t cls, uint8_t col, uint32_t value);
struct place *store_place_find(
    const struct pib_store *st, uint32_t cls, uint8_t col, uint32_t value);
void store_place_unref(struct pib_store *st, struct place *p);
/* The unique place of a row, base being the row it extends (or NULL). *out NULL: has none. */
int store_upl(struct pib_store *st, const struct row *r, const struct row *base, struct upl **out);
void store_upl_unref(struct pib_store *st, struct upl *u);

/*
 * A row that is nowhere yet, octets copied and decoded.  NULL and *f on a fault in them or
 * when out of memory.
 */
struct row *store_row_new(struct pib_store *st, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t len, bool *surplus, struct pib_fault *f);
void store_row_free(struct pib_store *st, struct row *r);
void store_row_link(struct pib_store *st, struct row *r);
void store_row_unlink(struct pib_store *st, struct row *r);

#endif
