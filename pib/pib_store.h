/*
 * pib_store.h - rows of one request-state, and all-or-nothing transactions on
 * them (RFC 3084 3.2, RFC 3159 7): removes first, references, uniqueness and
 * extensions judged on the state at the end, every fault with PRC, instance and
 * column.  Cost grows with the transaction, never with the store.
 */
#ifndef PIB_STORE_H
#define PIB_STORE_H

#include "pib/pib_class.h"
#include "pib/pib_err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pib_limits;
struct pib_store;
struct pib_txn;

struct pib_row {
	const struct pib_class *cls;
	uint32_t instance;
	const void *data;   /* the class's generated struct; owned by the store */
	const uint8_t *epd; /* its octets as received; owned by the store */
	uint32_t epd_len;
};

/*
 * writer: a PEP's store takes install rows, a PDP's store of one PEP notify rows.  The schema is
 * borrowed; max_rows bounds the store and a transaction.  One thread at a time.  NULL: no memory.
 */
struct pib_store *pib_store_new(
    const struct pib_schema *s, enum pib_access writer, size_t max_rows);
void pib_store_free(struct pib_store *st); /* aborts its transaction; NULL is allowed */
/*
 * From now on rows are judged by these limits, too, and what they call unsupported is NULL in
 * them; borrowed until the store is freed.
 */
void pib_store_limit(struct pib_store *st, const struct pib_limits *l);
const struct pib_schema *pib_store_schema(const struct pib_store *st); /* borrowed */
/* Rows of a class; NULL: of all. */
size_t pib_store_count(const struct pib_store *st, const struct pib_class *cls);
/* Borrowed, valid until the row changes. NULL: none. */
const struct pib_row *pib_store_find(
    const struct pib_store *st, const struct pib_class *cls, uint32_t instance);
/* Rows of a class in instance order (NULL class: all classes in schema order). */
void pib_store_each(const struct pib_store *st, const struct pib_class *cls,
    void (*fn)(void *arg, const struct pib_row *row), void *arg);
/*
 * Rows of class cls whose reference column refers to instance (uses the reverse index), in no
 * order.  A TagReferenceId column: that refer to tag list instance; a TagId column: that are in it.
 */
void pib_store_referrers(const struct pib_store *st, const struct pib_class *cls,
    const struct pib_column *col, uint32_t instance,
    void (*fn)(void *arg, const struct pib_row *row), void *arg);

/* One transaction at a time per store; NULL: there is one, or no memory. */
struct pib_txn *pib_txn_begin(struct pib_store *st);
/* Each returns 0, or -1 after recording a fault (the transaction goes on, to find them all). */
int pib_txn_remove(struct pib_txn *t, const uint8_t *prid, size_t len); /* PRID or PPRID body */
int pib_txn_install(
    struct pib_txn *t, const uint8_t *prid, size_t prid_len, const uint8_t *epd, size_t epd_len);
/* The same with class and instance known. */
int pib_txn_remove_row(struct pib_txn *t, const struct pib_class *cls, uint32_t instance);
/* Every row that the store has. */
void pib_txn_remove_all(struct pib_txn *t);
int pib_txn_install_row(struct pib_txn *t, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t epd_len);
/* Record a fault found elsewhere (COPS-PR framing, kernel). */
void pib_txn_fault(struct pib_txn *t, const struct pib_fault *f);
/* Judge the end state. 0: may be committed; -1: faults, it can only be aborted. */
int pib_txn_check(struct pib_txn *t);
/* How many faults and warnings, in order found; borrowed until the transaction ends. */
size_t pib_txn_faults(const struct pib_txn *t, const struct pib_fault **f);

/* What differs between the state before and the end state (after pib_txn_check). Rows whose
 * octets are equal before and after are not changes. */
struct pib_change {
	const struct pib_row *before; /* NULL: did not exist */
	const struct pib_row *after;  /* NULL: removed */
};
size_t pib_txn_changes(const struct pib_txn *t, const struct pib_change **c);
/*
 * During a checked transaction the store's find/each already show the end state.  Rows of a
 * transient class (frwkError) are changes, but never in the store.  A commit that has not been
 * checked checks, and aborts if there are faults.
 */
void pib_txn_commit(struct pib_txn *t); /* frees t; before-rows die */
void pib_txn_abort(struct pib_txn *t);	/* frees t; the store is as before */

#ifdef __cplusplus
}
#endif
#endif
