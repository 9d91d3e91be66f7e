/*
 * store_sqlite.c - the embedded store: one SQLite file, WAL, synchronous=FULL, so that
 * a commit is on disk when the call returns.  The file is held exclusively: a second
 * daemon on it is refused.  Every commit is one transaction; when any statement of
 * it fails, all of it is rolled back and the caller told why.
 */
#include "pdp/store_sqlite_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMA_VERSION 1
#define APPLICATION_ID 0x434f5053 /* "COPS" */

static const char *const SCHEMA =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE generation (number INTEGER PRIMARY KEY, lsn INTEGER NOT NULL,"
    "  at INTEGER NOT NULL, who TEXT, comment TEXT, summary TEXT, xml BLOB);"
    "CREATE TABLE customer (name TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE id (kind INTEGER, number INTEGER, parent INTEGER, vpn INTEGER, dead INTEGER,"
    "  lsn INTEGER, aux_lsn INTEGER, key TEXT NOT NULL, PRIMARY KEY (kind, number)) WITHOUT ROWID;"
    "CREATE TABLE serial (vpn INTEGER PRIMARY KEY, serial INTEGER NOT NULL);"
    "CREATE TABLE key (member INTEGER, slot INTEGER, epoch INTEGER, lsn INTEGER,"
    "  withdrawn INTEGER, epd BLOB, PRIMARY KEY (member, slot)) WITHOUT ROWID;"
    "CREATE TABLE ack (subject INTEGER, holder INTEGER, epoch INTEGER, lsn INTEGER,"
    "  PRIMARY KEY (subject, holder)) WITHOUT ROWID;"
    "CREATE TABLE ce (name TEXT PRIMARY KEY, applied INTEGER, at INTEGER, failure TEXT)"
    "  WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('lsn', 0), ('uuid', randomblob(8));";

/* Client-types beside the VPN; added since, and an older copspdpd does not mind it. */
static const char *const SCHEMA_CLIENTS =
    "CREATE TABLE IF NOT EXISTS client_ce (type INTEGER, name TEXT, lsn INTEGER DEFAULT 0,"
    "  hash INTEGER DEFAULT 0, applied INTEGER DEFAULT 0, at INTEGER DEFAULT 0, failure TEXT,"
    "  PRIMARY KEY (type, name)) WITHOUT ROWID;";

/* CEs behind NAT; the same holds. */
static const char *const SCHEMA_NAT =
    "CREATE TABLE IF NOT EXISTS nat (name TEXT PRIMARY KEY, seen BLOB, own BLOB) WITHOUT ROWID;";

/* Networks that sites announced; the same holds. */
static const char *const SCHEMA_LEARNED =
    "CREATE TABLE IF NOT EXISTS learned (member INTEGER, addr BLOB, len INTEGER, rank INTEGER,"
    "  at INTEGER, PRIMARY KEY (member, addr, len)) WITHOUT ROWID;";
/* Who left, is revoked, was denied; members that went and who has not confirmed it.  The same
 * holds.
 */
static const char *const SCHEMA_MEMBERSHIP =
    "CREATE TABLE IF NOT EXISTS verdict (kind INTEGER, ce TEXT, vpn TEXT, at INTEGER, who TEXT,"
    "  reason TEXT, PRIMARY KEY (kind, ce, vpn)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS departure (member INTEGER PRIMARY KEY, vpn INTEGER, at INTEGER,"
    "  lsn INTEGER, how TEXT, peers INTEGER, mute INTEGER, waits BLOB, out_at INTEGER);";

static const char *const SQL[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    [S_LSN_SET] = "UPDATE meta SET value = ?1 WHERE key = 'lsn' AND value < ?1",
    [S_LSN_GET] = "SELECT value FROM meta WHERE key = 'lsn'",
    [S_UUID_GET] = "SELECT value FROM meta WHERE key = 'uuid'",
    [S_GENERATION_PUT] = "INSERT INTO generation VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [S_GENERATION_MAX] = "SELECT max(number) FROM generation",
    [S_CUSTOMER_PUT] = "INSERT OR REPLACE INTO customer VALUES (?1, ?2)",
    [S_CUSTOMER_DELETE] = "DELETE FROM customer WHERE name = ?1",
    [S_ID_PUT] = "INSERT OR REPLACE INTO id VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [S_SERIAL_PUT] = "INSERT OR REPLACE INTO serial VALUES (?1, ?2)",
    [S_NAT_PUT] = "INSERT OR REPLACE INTO nat VALUES (?1, ?2, ?3)",
    [S_NAT_DELETE] = "DELETE FROM nat WHERE name = ?1",
    [S_NATS] = "SELECT name, seen, own FROM nat",
    [S_LEARNED_PUT] = "INSERT OR REPLACE INTO learned VALUES (?1, ?2, ?3, ?4, ?5)",
    [S_LEARNED_DELETE] = "DELETE FROM learned WHERE member = ?1 AND addr = ?2 AND len = ?3",
    [S_LEARNED] = "SELECT member, addr, len, rank, at FROM learned ORDER BY rank",
    [S_VERDICT_PUT] = "INSERT OR REPLACE INTO verdict VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [S_VERDICT_DELETE] = "DELETE FROM verdict WHERE kind = ?1 AND ce = ?2 AND vpn = ?3",
    [S_VERDICTS] = "SELECT kind, ce, vpn, at, who, reason FROM verdict ORDER BY at",
    [S_DEPARTURE_PUT] = "INSERT OR REPLACE INTO departure VALUES"
			" (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [S_DEPARTURE_DELETE] = "DELETE FROM departure WHERE member = ?1",
    [S_DEPARTURES] = "SELECT member, vpn, at, lsn, how, peers, mute, waits, out_at FROM departure"
		     " ORDER BY at, member",
    [S_KEY_PUT] = "INSERT OR REPLACE INTO key VALUES (?1, ?2 & 15, ?2, ?3, ?4, ?5)",
    [S_ACK_PUT] = "INSERT OR REPLACE INTO ack VALUES (?1, ?2, ?3, ?4)",
    [S_ACK_DELETE] = "DELETE FROM ack WHERE subject = ?1 AND holder = ?2",
    [S_ACK_DELETE_ALL] = "DELETE FROM ack WHERE subject = ?1",
    [S_CE_PUT] = "INSERT OR REPLACE INTO ce VALUES (?1, ?2, ?3, ?4)",
    [S_CE_DELETE] = "DELETE FROM ce WHERE name = ?1",
    [S_CLIENT_CE_PUT] = "INSERT INTO client_ce (name, applied, at, failure, type)"
			" VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (type, name) DO UPDATE SET"
			" applied = ?2, at = ?3, failure = ?4",
    /* its LSN stays: no number is used twice */
    [S_CLIENT_CE_CLEAR] = "UPDATE client_ce SET applied = 0, failure = NULL"
			  " WHERE name = ?1 AND type = ?2",
    [S_CLIENT_CES] = "SELECT name, applied, at, failure, type FROM client_ce WHERE type = ?1",
    [S_ROWS_PUT] = "INSERT INTO client_ce (name, lsn, hash, type) VALUES (?1, ?2, ?3, ?4)"
		   " ON CONFLICT (type, name) DO UPDATE SET lsn = ?2, hash = ?3",
    [S_ROWS] = "SELECT name, lsn, hash FROM client_ce WHERE type = ?1",
    [S_IDS] = "SELECT kind, number, parent, vpn, dead, lsn, aux_lsn, key FROM id",
    [S_SERIALS] = "SELECT vpn, serial FROM serial",
    [S_DOCUMENTS] = "SELECT number, lsn, at, who, comment, summary, xml FROM generation"
		    " WHERE number IN (SELECT generation FROM customer) ORDER BY number",
    [S_CUSTOMERS_OF] = "SELECT name FROM customer WHERE generation = ?1 ORDER BY name",
    [S_KEYS] = "SELECT member, epoch, lsn, withdrawn, epd FROM key ORDER BY lsn",
    [S_ACKS] = "SELECT subject, holder, epoch, lsn FROM ack ORDER BY lsn",
    [S_CES] = "SELECT name, applied, at, failure FROM ce",
    [S_HISTORY] = "SELECT number, lsn, at, who, comment, summary FROM generation"
		  " ORDER BY number DESC LIMIT ?1",
    [S_DOCUMENT] = "SELECT xml FROM generation WHERE number = ?1",
};

int sqlite_fail(struct store *s, const char *what, char *err, size_t err_len)
{
	if (err_len > 0)
		snprintf(err, err_len, "store: %s: %s", what, sqlite3_errmsg(s->db));
	return -1;
}

int sqlite_run(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

int sqlite_begin(struct store *s)
{
	return sqlite_run(stmt_get(s, S_BEGIN));
}

int sqlite_lsn_set(struct store *s, uint64_t lsn)
{
	sqlite3_stmt *st = stmt_get(s, S_LSN_SET);

	bind_u64(st, 1, lsn);
	return sqlite_run(st);
}

int sqlite_finish(struct store *s, int rc, const char *what, char *err, size_t err_len)
{
	if (rc == 0 && sqlite_run(stmt_get(s, S_COMMIT)) == 0)
		return 0;
	sqlite_fail(s, what, err, err_len);
	/* SQLite may have rolled back by itself (disk full): then this says so, harmlessly. */
	sqlite_run(stmt_get(s, S_ROLLBACK));
	return -1;
}

/* ------------------------------------------------------------ open, close */

static void sqlite_close(struct store *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < S_COUNT; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
	free(s);
}

static int pragma_get(struct store *s, const char *sql, int *value)
{
	sqlite3_stmt *st = NULL;
	int rc = -1;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		*value = sqlite3_column_int(st, 0);
		rc = 0;
	}
	sqlite3_finalize(st);
	return rc;
}

/* Make the tables in an empty file; refuse one that is not ours or from a newer version. */
static int schema_open(struct store *s, char *err, size_t err_len)
{
	char sql[128];
	int version = 0, app = 0, tables = 0;

	if (pragma_get(s, "PRAGMA user_version", &version) != 0 ||
	    pragma_get(s, "PRAGMA application_id", &app) != 0 ||
	    pragma_get(s, "SELECT count(*) FROM sqlite_master", &tables) != 0)
		return sqlite_fail(s, "cannot read", err, err_len);
	if (tables == 0) {
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		    APPLICATION_ID, SCHEMA_VERSION);
		if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
			return sqlite_fail(s, "cannot create", err, err_len);
		return 0;
	}
	if (app != APPLICATION_ID) {
		snprintf(err, err_len, "store: not a database of copspdpd");
		return -1;
	}
	if (version != SCHEMA_VERSION) {
		snprintf(err, err_len, "store: version %d, but this copspdpd knows only version %d",
		    version, SCHEMA_VERSION);
		return -1;
	}
	return 0;
}

static int prepare_all(struct store *s)
{
	for (int i = 0; i < S_COUNT; i++)
		if (sqlite3_prepare_v3(s->db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[i],
			NULL) != SQLITE_OK)
			return -1;
	return 0;
}

static int uuid_get(struct store *s, uint8_t uuid[8])
{
	sqlite3_stmt *st = stmt_get(s, S_UUID_GET);
	int rc = -1;

	if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_bytes(st, 0) == 8) {
		memcpy(uuid, sqlite3_column_blob(st, 0), 8);
		rc = 0;
	}
	sqlite3_reset(st);
	return rc;
}

static struct store *sqlite_open(const char *where, uint8_t uuid[8], char *err, size_t err_len)
{
	struct store *s = calloc(1, sizeof(*s));
	mode_t mask;
	int rc;

	if (s == NULL) {
		snprintf(err, err_len, "store: out of memory");
		return NULL;
	}
	mask = umask(077);
	rc = sqlite3_open_v2(where, &s->db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		SQLITE_OPEN_EXRESCODE,
	    NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db,
		    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
		    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
		    "PRAGMA trusted_schema = OFF; BEGIN IMMEDIATE; COMMIT;",
		    NULL, NULL, NULL);
	umask(mask);
	if (rc != SQLITE_OK) {
		if ((sqlite3_errcode(s->db) & 0xff) == SQLITE_BUSY)
			snprintf(err, err_len, "store: %s is in use by another copspdpd", where);
		else
			snprintf(err, err_len, "store: cannot open %s: %s", where,
			    s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
		goto bad;
	}
	if (schema_open(s, err, err_len) != 0)
		goto bad;
	if (sqlite3_exec(s->db, SCHEMA_CLIENTS, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, SCHEMA_NAT, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, SCHEMA_LEARNED, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s->db, SCHEMA_MEMBERSHIP, NULL, NULL, NULL) != SQLITE_OK ||
	    prepare_all(s) != 0 || uuid_get(s, uuid) != 0) {
		sqlite_fail(s, "cannot read", err, err_len);
		goto bad;
	}
	return s;
bad:
	sqlite_close(s);
	return NULL;
}

const struct store_ops store_sqlite_ops = {
    .name = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .load = sqlite_load,
    .commit_generation = sqlite_commit_generation,
    .commit_keys = sqlite_commit_keys,
    .save_ces = sqlite_save_ces,
    .save_rows = sqlite_save_rows,
    .load_rows = sqlite_load_rows,
    .load_ces = sqlite_load_ces,
    .save_serial = sqlite_save_serial,
    .save_nat = sqlite_save_nat,
    .save_learned = sqlite_save_learned,
    .save_membership = sqlite_save_membership,
    .history = sqlite_history,
    .document = sqlite_document,
};
