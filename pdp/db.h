/*
 * db.h - what is true now, and where it is kept: store, numbers, customers, keys, and the
 * counters of changes.  Opened once at start; pdp/change alters the intent, pdp/vpn the keys.
 * Control thread only.
 */
#ifndef PDP_DB_H
#define PDP_DB_H

#include <stddef.h>
#include <stdint.h>

#include "pdp/departed.h"
#include "pdp/ids.h"
#include "pdp/keyring.h"
#include "pdp/learned.h"
#include "pdp/nat.h"
#include "pdp/registry.h"
#include "pdp/store.h"
#include "pdp/verdict.h"

#define DB_ERR_LEN 512

struct db {
	const struct store_ops *ops;
	struct store *store;
	uint8_t uuid[8];
	struct ids *ids;
	struct registry *registry;
	struct keyring *keys;
	struct nat *nat;
	struct learned *learned;
	struct verdicts *verdicts;
	struct departed *departed;
	uint64_t lsn; /* last used */
	uint64_t generation;
	size_t max_document; /* octets */
};

/*
 * Open the store and load all of it; documents in force are parsed again.  What CEs confirmed
 * goes to on_ce (borrowed), last.  -1 and err.
 */
int db_open(struct db *db, const struct store_ops *ops, const char *where, size_t max_document,
    int (*on_ce)(void *arg, const struct store_ce *ce), void *arg, char err[DB_ERR_LEN]);
void db_close(struct db *db);

/*
 * The snapshot of a customer of the document in force, with what was decided beside it; numbers may
 * have been handed out (ids_rollback()).  A reference, or NULL and err.
 */
struct customer *db_rebuild(struct db *db, const struct customer *c, char err[DB_ERR_LEN]);

#endif
