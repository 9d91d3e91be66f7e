/*
 * store_sqlite_int.h - inside of the SQLite store: its statements and how they are run.
 *
 *	store_sqlite.c	the file: tables, statements, transactions
 *	store_sqlite_load.c	everything that is read
 *	store_sqlite_save.c	everything that is written
 */
#ifndef PDP_STORE_SQLITE_INT_H
#define PDP_STORE_SQLITE_INT_H

#include <sqlite3.h>

#include "pdp/store.h"

enum stmt {
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	S_LSN_SET,
	S_LSN_GET,
	S_UUID_GET,
	S_GENERATION_PUT,
	S_GENERATION_MAX,
	S_CUSTOMER_PUT,
	S_CUSTOMER_DELETE,
	S_ID_PUT,
	S_SERIAL_PUT,
	S_NAT_PUT,
	S_NAT_DELETE,
	S_NATS,
	S_LEARNED_PUT,
	S_LEARNED_DELETE,
	S_LEARNED,
	S_VERDICT_PUT,
	S_VERDICT_DELETE,
	S_VERDICTS,
	S_DEPARTURE_PUT,
	S_DEPARTURE_DELETE,
	S_DEPARTURES,
	S_KEY_PUT,
	S_ACK_PUT,
	S_ACK_DELETE,
	S_ACK_DELETE_ALL,
	S_CE_PUT,
	S_CE_DELETE,
	S_CLIENT_CE_PUT,
	S_CLIENT_CE_CLEAR,
	S_CLIENT_CES,
	S_ROWS_PUT,
	S_ROWS,
	S_IDS,
	S_SERIALS,
	S_DOCUMENTS,
	S_CUSTOMERS_OF,
	S_KEYS,
	S_ACKS,
	S_CES,
	S_HISTORY,
	S_DOCUMENT,
	S_COUNT
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmt[S_COUNT];
};

/* A statement ready to be bound: reset, no old values. */
static inline sqlite3_stmt *stmt_get(struct store *s, enum stmt i)
{
	sqlite3_reset(s->stmt[i]);
	sqlite3_clear_bindings(s->stmt[i]);
	return s->stmt[i];
}

static inline void bind_u64(sqlite3_stmt *st, int i, uint64_t v)
{
	sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

/* Borrowed until the statement is reset.  NULL text is SQL NULL. */
static inline void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static inline uint64_t col_u64(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

static inline uint32_t col_u32(sqlite3_stmt *st, int i)
{
	return (uint32_t)sqlite3_column_int64(st, i);
}

static inline const char *col_text(sqlite3_stmt *st, int i)
{
	return (const char *)sqlite3_column_text(st, i);
}

/* What SQLite says is in err.  -1. */
int sqlite_fail(struct store *s, const char *what, char *err, size_t err_len);
/* Run a statement without rows. 0 or -1. */
int sqlite_run(sqlite3_stmt *st);
int sqlite_begin(struct store *s);
int sqlite_lsn_set(struct store *s, uint64_t lsn);
/* The end of every transaction: all of it, or nothing and the reason. */
int sqlite_finish(struct store *s, int rc, const char *what, char *err, size_t err_len);

/* The functions of struct store_ops of the same names. */
int sqlite_load(struct store *s, const struct store_load *cb, void *arg, char *err, size_t err_len);
int sqlite_load_rows(struct store *s, uint16_t client_type,
    int (*fn)(void *arg, const char *ce, uint64_t lsn, uint64_t hash), void *arg, char *err,
    size_t err_len);
int sqlite_load_ces(struct store *s, uint16_t client_type,
    int (*fn)(void *arg, const struct store_ce *ce), void *arg, char *err, size_t err_len);
int sqlite_history(struct store *s, size_t max,
    int (*fn)(void *arg, const struct store_generation *g), void *arg, char *err, size_t err_len);
char *sqlite_document(struct store *s, uint64_t generation, size_t *len, char *err, size_t err_len);
int sqlite_save_membership(struct store *s, const struct store_verdict *v,
    const struct departure *d, bool gone, char *err, size_t err_len);
int sqlite_commit_generation(struct store *s, const struct store_generation *g,
    const char *const *customer, size_t customers, const char *const *deleted, size_t deletions,
    struct ids *ids, char *err, size_t err_len);
int sqlite_commit_keys(struct store *s, uint64_t lsn, const struct store_key *key, size_t keys,
    const struct store_ack *ack, size_t acks, char *err, size_t err_len);
int sqlite_save_ces(
    struct store *s, const struct store_ce *ce, size_t count, char *err, size_t err_len);
int sqlite_save_rows(struct store *s, uint16_t client_type, const char *ce, uint64_t lsn,
    uint64_t hash, char *err, size_t err_len);
int sqlite_save_serial(struct store *s, uint64_t lsn, uint32_t vpn, uint32_t rekey_serial,
    struct ids *ids, char *err, size_t err_len);
int sqlite_save_nat(struct store *s, uint64_t lsn, const struct store_nat *n, struct ids *ids,
    char *err, size_t err_len);
int sqlite_save_learned(struct store *s, uint64_t lsn, const struct store_learned *row, size_t rows,
    struct ids *ids, char *err, size_t err_len);

#endif
