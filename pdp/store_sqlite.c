/*
 * store_sqlite.c - the embedded store: one SQLite file, WAL, synchronous=FULL, so that
 * a commit is on disk when the call returns.  The file is held exclusively: a second
 * daemon on it is refused.  Every commit is one transaction; when any statement of
 * it fails, all of it is rolled back and the caller told why.
 */
#include "pdp/store.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pdp/departed.h"
#include "pdp/verdict.h"

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

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmt[S_COUNT];
};

static int fail(struct store *s, const char *what, char *err, size_t err_len)
{
	if (err_len > 0)
		snprintf(err, err_len, "store: %s: %s", what, sqlite3_errmsg(s->db));
	return -1;
}

/* A statement ready to be bound: reset, no old values. */
static sqlite3_stmt *stmt_get(struct store *s, enum stmt i)
{
	sqlite3_reset(s->stmt[i]);
	sqlite3_clear_bindings(s->stmt[i]);
	return s->stmt[i];
}

static void bind_u64(sqlite3_stmt *st, int i, uint64_t v)
{
	sqlite3_bind_int64(st, i, (sqlite3_int64)v);
}

/* Borrowed until the statement is reset.  NULL text is SQL NULL. */
static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static uint64_t col_u64(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

static uint32_t col_u32(sqlite3_stmt *st, int i)
{
	return (uint32_t)sqlite3_column_int64(st, i);
}

static const char *col_text(sqlite3_stmt *st, int i)
{
	return (const char *)sqlite3_column_text(st, i);
}

/* Run a statement without rows. 0 or -1. */
static int run(sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

static int begin(struct store *s)
{
	return run(stmt_get(s, S_BEGIN));
}

static int lsn_set(struct store *s, uint64_t lsn)
{
	sqlite3_stmt *st = stmt_get(s, S_LSN_SET);

	bind_u64(st, 1, lsn);
	return run(st);
}

/* The end of every transaction: all of it, or nothing and the reason. */
static int finish(struct store *s, int rc, const char *what, char *err, size_t err_len)
{
	if (rc == 0 && run(stmt_get(s, S_COMMIT)) == 0)
		return 0;
	fail(s, what, err, err_len);
	/* SQLite may have rolled back by itself (disk full): then this says so, harmlessly. */
	run(stmt_get(s, S_ROLLBACK));
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
		return fail(s, "cannot read", err, err_len);
	if (tables == 0) {
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		    APPLICATION_ID, SCHEMA_VERSION);
		if (sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, SCHEMA, NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK ||
		    sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
			return fail(s, "cannot create", err, err_len);
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
		fail(s, "cannot read", err, err_len);
		goto bad;
	}
	return s;
bad:
	sqlite_close(s);
	return NULL;
}

/* ------------------------------------------------------------------- load */

static int load_counters(struct store *s, const struct store_load *cb, void *arg)
{
	sqlite3_stmt *st = stmt_get(s, S_LSN_GET);
	uint64_t lsn = 0, generation = 0;

	if (sqlite3_step(st) == SQLITE_ROW)
		lsn = col_u64(st, 0);
	sqlite3_reset(st);
	st = stmt_get(s, S_GENERATION_MAX);
	if (sqlite3_step(st) == SQLITE_ROW)
		generation = col_u64(st, 0);
	sqlite3_reset(st);
	return cb->lsn(arg, lsn, generation);
}

static int load_id(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	const struct id_entry e = {
	    .kind = (enum id_kind)sqlite3_column_int(st, 0),
	    .number = col_u32(st, 1),
	    .parent = col_u32(st, 2),
	    .vpn = col_u32(st, 3),
	    .dead = sqlite3_column_int(st, 4) != 0,
	    .lsn = col_u64(st, 5),
	    .aux_lsn = col_u64(st, 6),
	    .key = col_text(st, 7),
	};

	return cb->id(arg, &e);
}

static int col_addr(sqlite3_stmt *st, int i, struct addr *a)
{
	return addr_from_octets(a, sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i));
}

static int load_nat(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	struct addr seen, own;
	const struct store_nat n = {.name = col_text(st, 0), .seen = &seen, .own = &own};

	if (cb->nat == NULL || col_addr(st, 1, &seen) != 0 || col_addr(st, 2, &own) != 0)
		return 0;
	return cb->nat(arg, &n);
}

static int load_learned(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	struct store_learned l = {
	    .member = col_u32(st, 0),
	    .rank = col_u64(st, 3),
	    .when = sqlite3_column_int64(st, 4),
	};

	l.prefix.len = (uint8_t)sqlite3_column_int(st, 2);
	if (cb->learned == NULL || col_addr(st, 1, &l.prefix.addr) != 0)
		return 0;
	return cb->learned(arg, &l);
}

static const char *text_or_empty(sqlite3_stmt *st, int i)
{
	const char *text = col_text(st, i);

	return text != NULL ? text : "";
}

static int load_verdict(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	const struct verdict v = {
	    .kind = (enum verdict_kind)sqlite3_column_int(st, 0),
	    .ce = text_or_empty(st, 1),
	    .vpn = text_or_empty(st, 2),
	    .at = sqlite3_column_int64(st, 3),
	    .who = text_or_empty(st, 4),
	    .reason = text_or_empty(st, 5),
	};

	return cb->verdict != NULL ? cb->verdict(arg, &v) : 0;
}

static int load_departure(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	struct departure d = {
	    .member = col_u32(st, 0),
	    .vpn = col_u32(st, 1),
	    .at = sqlite3_column_int64(st, 2),
	    .lsn = col_u64(st, 3),
	    .peers = col_u32(st, 5),
	    .mute = col_u32(st, 6),
	    .waits = (size_t)sqlite3_column_bytes(st, 7) / sizeof(uint32_t),
	    .out_at = sqlite3_column_int64(st, 8),
	};
	const uint32_t *wait = sqlite3_column_blob(st, 7);
	int rc;

	if (cb->departure == NULL)
		return 0;
	snprintf(d.how, sizeof(d.how), "%s", text_or_empty(st, 4));
	d.wait = calloc(d.waits + 1, sizeof(*d.wait));
	if (d.wait == NULL)
		return -1;
	if (d.waits > 0)
		memcpy(d.wait, wait, d.waits * sizeof(*d.wait));
	rc = cb->departure(arg, &d);
	free(d.wait);
	return rc;
}

static int load_serial(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	return cb->serial(arg, col_u32(st, 0), col_u32(st, 1));
}

static int load_key(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	const struct store_key k = {
	    .member = col_u32(st, 0),
	    .epoch = col_u32(st, 1),
	    .lsn = col_u64(st, 2),
	    .withdrawn = sqlite3_column_int(st, 3) != 0,
	    .epd = sqlite3_column_blob(st, 4),
	    .epd_len = (size_t)sqlite3_column_bytes(st, 4),
	};

	return cb->key(arg, &k);
}

static int load_ack(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	const struct store_ack a = {
	    .subject = col_u32(st, 0),
	    .holder = col_u32(st, 1),
	    .epoch = col_u32(st, 2),
	    .lsn = col_u64(st, 3),
	};

	return cb->ack(arg, &a);
}

static struct store_ce ce_row(sqlite3_stmt *st)
{
	return (struct store_ce) {
	    .name = col_text(st, 0),
	    .applied_lsn = col_u64(st, 1),
	    .when = sqlite3_column_int64(st, 2),
	    .failure = col_text(st, 3),
	};
}

static int load_ce(sqlite3_stmt *st, const struct store_load *cb, void *arg)
{
	const struct store_ce c = ce_row(st);

	return cb->ce(arg, &c);
}

/* Every row of a query through fn.  0; -1: SQLite's error; 1: fn said no. */
static int load_rows(struct store *s, enum stmt query,
    int (*fn)(sqlite3_stmt *st, const struct store_load *cb, void *arg),
    const struct store_load *cb, void *arg)
{
	sqlite3_stmt *st = stmt_get(s, query);
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		if (fn(st, cb, arg) != 0) {
			sqlite3_reset(st);
			return 1;
		}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static void generation_row(sqlite3_stmt *st, struct store_generation *g)
{
	*g = (struct store_generation) {
	    .number = col_u64(st, 0),
	    .lsn = col_u64(st, 1),
	    .when = sqlite3_column_int64(st, 2),
	    .who = col_text(st, 3),
	    .comment = col_text(st, 4),
	    .summary = col_text(st, 5),
	};
}

/* Names of the customers a generation still defines; *out and its names are malloc()ed. */
static int customers_of(
    struct store *s, uint64_t generation, struct store_customer **out, size_t *n)
{
	sqlite3_stmt *st = stmt_get(s, S_CUSTOMERS_OF);
	struct store_customer *more;
	int rc;

	*out = NULL;
	*n = 0;
	bind_u64(st, 1, generation);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		more = reallocarray(*out, *n + 1, sizeof(**out));
		if (more == NULL)
			break;
		*out = more;
		more[*n].generation = generation;
		more[*n].name = strdup(col_text(st, 0));
		if (more[*n].name == NULL)
			break;
		(*n)++;
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load_documents(struct store *s, const struct store_load *cb, void *arg)
{
	sqlite3_stmt *st = stmt_get(s, S_DOCUMENTS);
	struct store_customer *customer;
	struct store_generation g;
	size_t n;
	int rc, bad = 0;

	while (bad == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		generation_row(st, &g);
		g.xml = sqlite3_column_blob(st, 6);
		g.xml_len = (size_t)sqlite3_column_bytes(st, 6);
		bad = customers_of(s, g.number, &customer, &n);
		if (bad == 0 && cb->document(arg, &g, customer, n) != 0)
			bad = 1;
		for (size_t i = 0; i < n; i++)
			free((char *)customer[i].name);
		free(customer);
	}
	sqlite3_reset(st);
	return bad != 0 ? bad : rc == SQLITE_DONE ? 0 : -1;
}

static int sqlite_load(
    struct store *s, const struct store_load *cb, void *arg, char *err, size_t err_len)
{
	static const struct {
		enum stmt query;
		int (*fn)(sqlite3_stmt *st, const struct store_load *cb, void *arg);
	} after[] = {{S_SERIALS, load_serial}, {S_KEYS, load_key}, {S_ACKS, load_ack},
	    {S_CES, load_ce}, {S_DEPARTURES, load_departure}};
	int rc = load_counters(s, cb, arg) != 0 ? 1 : 0;

	/* numbers, who is behind NAT and who is left out, before the documents that use them, the
	 * rest after */
	if (rc == 0)
		rc = load_rows(s, S_IDS, load_id, cb, arg);
	if (rc == 0)
		rc = load_rows(s, S_NATS, load_nat, cb, arg);
	if (rc == 0)
		rc = load_rows(s, S_LEARNED, load_learned, cb, arg);
	if (rc == 0)
		rc = load_rows(s, S_VERDICTS, load_verdict, cb, arg);
	if (rc == 0)
		rc = load_documents(s, cb, arg);
	for (size_t i = 0; rc == 0 && i < sizeof(after) / sizeof(after[0]); i++)
		rc = load_rows(s, after[i].query, after[i].fn, cb, arg);
	if (rc < 0)
		return fail(s, "cannot load", err, err_len);
	if (rc > 0 && err_len > 0 && err[0] == '\0')
		snprintf(err, err_len, "store: what it holds cannot be used");
	return rc == 0 ? 0 : -1;
}

/* ---------------------------------------------------------------- commits */

static int put_id(void *arg, const struct id_entry *e)
{
	sqlite3_stmt *st = stmt_get(arg, S_ID_PUT);

	sqlite3_bind_int(st, 1, (int)e->kind);
	bind_u64(st, 2, e->number);
	bind_u64(st, 3, e->parent);
	bind_u64(st, 4, e->vpn);
	sqlite3_bind_int(st, 5, e->dead);
	bind_u64(st, 6, e->lsn);
	bind_u64(st, 7, e->aux_lsn);
	bind_text(st, 8, e->key);
	return run(st);
}

struct put_ids {
	struct store *s;
	int rc;
};

static int put_ids_one(void *arg, const struct id_entry *e)
{
	struct put_ids *p = arg;

	if (p->rc == 0)
		p->rc = put_id(p->s, e);
	return p->rc;
}

static int put_ids(struct store *s, struct ids *ids)
{
	struct put_ids p = {.s = s};

	if (ids != NULL)
		ids_dirty_each(ids, put_ids_one, &p);
	return p.rc;
}

static int put_generation(struct store *s, const struct store_generation *g)
{
	sqlite3_stmt *st = stmt_get(s, S_GENERATION_PUT);

	bind_u64(st, 1, g->number);
	bind_u64(st, 2, g->lsn);
	sqlite3_bind_int64(st, 3, g->when);
	bind_text(st, 4, g->who);
	bind_text(st, 5, g->comment);
	bind_text(st, 6, g->summary);
	if (g->xml != NULL)
		sqlite3_bind_blob64(st, 7, g->xml, g->xml_len, SQLITE_STATIC);
	return run(st);
}

static int put_customer(struct store *s, const char *name, uint64_t generation)
{
	sqlite3_stmt *st = stmt_get(s, S_CUSTOMER_PUT);

	bind_text(st, 1, name);
	bind_u64(st, 2, generation);
	return run(st);
}

static int delete_name(struct store *s, enum stmt query, const char *name)
{
	sqlite3_stmt *st = stmt_get(s, query);

	bind_text(st, 1, name);
	return run(st);
}

static int put_verdict(struct store *s, const struct store_verdict *v)
{
	const struct verdict *x = v->verdict;
	sqlite3_stmt *st = stmt_get(s, v->gone ? S_VERDICT_DELETE : S_VERDICT_PUT);

	sqlite3_bind_int(st, 1, (int)x->kind);
	bind_text(st, 2, x->ce);
	bind_text(st, 3, x->vpn);
	if (!v->gone) {
		sqlite3_bind_int64(st, 4, x->at);
		bind_text(st, 5, x->who);
		bind_text(st, 6, x->reason);
	}
	return run(st);
}

static int put_departure(struct store *s, const struct departure *d, bool gone)
{
	sqlite3_stmt *st = stmt_get(s, gone ? S_DEPARTURE_DELETE : S_DEPARTURE_PUT);

	bind_u64(st, 1, d->member);
	if (gone)
		return run(st);
	bind_u64(st, 2, d->vpn);
	sqlite3_bind_int64(st, 3, d->at);
	bind_u64(st, 4, d->lsn);
	bind_text(st, 5, d->how);
	bind_u64(st, 6, d->peers);
	bind_u64(st, 7, d->mute);
	/* host order: the file stays on its machine, as all of SQLite's WAL does */
	sqlite3_bind_blob64(st, 8, d->wait, d->waits * sizeof(*d->wait), SQLITE_STATIC);
	sqlite3_bind_int64(st, 9, d->out_at);
	return run(st);
}

static int sqlite_save_membership(struct store *s, const struct store_verdict *v,
    const struct departure *d, bool gone, char *err, size_t err_len)
{
	int rc = begin(s);

	if (rc == 0 && v != NULL)
		rc = put_verdict(s, v);
	if (rc == 0 && d != NULL)
		rc = put_departure(s, d, gone);
	return finish(s, rc, "cannot save a membership", err, err_len);
}

static int sqlite_commit_generation(struct store *s, const struct store_generation *g,
    const char *const *customer, size_t customers, const char *const *deleted, size_t deletions,
    struct ids *ids, char *err, size_t err_len)
{
	int rc = begin(s);

	if (rc == 0)
		rc = put_generation(s, g);
	for (size_t i = 0; rc == 0 && i < customers; i++)
		rc = put_customer(s, customer[i], g->number);
	for (size_t i = 0; rc == 0 && i < deletions; i++)
		rc = delete_name(s, S_CUSTOMER_DELETE, deleted[i]);
	for (size_t i = 0; rc == 0 && i < g->verdicts; i++)
		rc = put_verdict(s, &g->verdict[i]);
	for (size_t i = 0; rc == 0 && i < g->departures; i++)
		rc = put_departure(s, &g->departure[i], false);
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = lsn_set(s, g->lsn);
	return finish(s, rc, "cannot commit the generation", err, err_len);
}

static int put_key(struct store *s, const struct store_key *k)
{
	sqlite3_stmt *st = stmt_get(s, S_KEY_PUT);

	bind_u64(st, 1, k->member);
	bind_u64(st, 2, k->epoch);
	bind_u64(st, 3, k->lsn);
	sqlite3_bind_int(st, 4, k->withdrawn);
	sqlite3_bind_blob64(st, 5, k->epd, k->epd_len, SQLITE_STATIC);
	return run(st);
}

static int put_ack(struct store *s, const struct store_ack *a)
{
	enum stmt query = a->epoch != 0	   ? S_ACK_PUT
			  : a->holder != 0 ? S_ACK_DELETE
					   : S_ACK_DELETE_ALL;
	sqlite3_stmt *st = stmt_get(s, query);

	bind_u64(st, 1, a->subject);
	if (query != S_ACK_DELETE_ALL)
		bind_u64(st, 2, a->holder);
	if (query == S_ACK_PUT) {
		bind_u64(st, 3, a->epoch);
		bind_u64(st, 4, a->lsn);
	}
	return run(st);
}

static int sqlite_commit_keys(struct store *s, uint64_t lsn, const struct store_key *key,
    size_t keys, const struct store_ack *ack, size_t acks, char *err, size_t err_len)
{
	int rc = begin(s);

	for (size_t i = 0; rc == 0 && i < keys; i++)
		rc = put_key(s, &key[i]);
	for (size_t i = 0; rc == 0 && i < acks; i++)
		rc = put_ack(s, &ack[i]);
	if (rc == 0)
		rc = lsn_set(s, lsn);
	return finish(s, rc, "cannot commit keys", err, err_len);
}

static int put_ce(struct store *s, const struct store_ce *c)
{
	sqlite3_stmt *st;

	if (c->client_type != 0 && c->gone) {
		st = stmt_get(s, S_CLIENT_CE_CLEAR);
		bind_text(st, 1, c->name);
		bind_u64(st, 2, c->client_type);
		return run(st);
	}
	if (c->gone)
		return delete_name(s, S_CE_DELETE, c->name);
	st = stmt_get(s, c->client_type != 0 ? S_CLIENT_CE_PUT : S_CE_PUT);
	if (c->client_type != 0)
		bind_u64(st, 5, c->client_type);
	bind_text(st, 1, c->name);
	bind_u64(st, 2, c->applied_lsn);
	sqlite3_bind_int64(st, 3, c->when);
	bind_text(st, 4, c->failure);
	return run(st);
}

static int sqlite_save_ces(
    struct store *s, const struct store_ce *ce, size_t count, char *err, size_t err_len)
{
	int rc = begin(s);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = put_ce(s, &ce[i]);
	return finish(s, rc, "cannot save what CEs confirmed", err, err_len);
}

static int sqlite_save_rows(struct store *s, uint16_t client_type, const char *ce, uint64_t lsn,
    uint64_t hash, char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = begin(s);

	if (rc == 0) {
		st = stmt_get(s, S_ROWS_PUT);
		bind_text(st, 1, ce);
		bind_u64(st, 2, lsn);
		bind_u64(st, 3, hash);
		bind_u64(st, 4, client_type);
		rc = run(st);
	}
	return finish(s, rc, "cannot save the rows of a CE", err, err_len);
}

static int sqlite_load_rows(struct store *s, uint16_t client_type,
    int (*fn)(void *arg, const char *ce, uint64_t lsn, uint64_t hash), void *arg, char *err,
    size_t err_len)
{
	sqlite3_stmt *st = stmt_get(s, S_ROWS);
	int rc;

	bind_u64(st, 1, client_type);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		if (fn(arg, col_text(st, 0), col_u64(st, 1), col_u64(st, 2)) != 0)
			break;
	if (rc != SQLITE_DONE)
		fail(s, "cannot load rows", err, err_len);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int sqlite_load_ces(struct store *s, uint16_t client_type,
    int (*fn)(void *arg, const struct store_ce *ce), void *arg, char *err, size_t err_len)
{
	sqlite3_stmt *st = stmt_get(s, S_CLIENT_CES);
	struct store_ce ce;
	int rc;

	bind_u64(st, 1, client_type);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		ce = ce_row(st);
		ce.client_type = client_type;
		if (fn(arg, &ce) != 0)
			break;
	}
	if (rc != SQLITE_DONE)
		fail(s, "cannot load CEs", err, err_len);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int sqlite_save_serial(struct store *s, uint64_t lsn, uint32_t vpn, uint32_t rekey_serial,
    struct ids *ids, char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = begin(s);

	if (rc == 0) {
		st = stmt_get(s, S_SERIAL_PUT);
		bind_u64(st, 1, vpn);
		bind_u64(st, 2, rekey_serial);
		rc = run(st);
	}
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = lsn_set(s, lsn);
	return finish(s, rc, "cannot save the rekey", err, err_len);
}

static int sqlite_save_nat(struct store *s, uint64_t lsn, const struct store_nat *n,
    struct ids *ids, char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = begin(s);

	if (rc == 0) {
		st = stmt_get(s, n->gone ? S_NAT_DELETE : S_NAT_PUT);
		bind_text(st, 1, n->name);
		if (!n->gone) {
			sqlite3_bind_blob(
			    st, 2, n->seen->octets, (int)addr_len(n->seen), SQLITE_STATIC);
			sqlite3_bind_blob(
			    st, 3, n->own->octets, (int)addr_len(n->own), SQLITE_STATIC);
		}
		rc = run(st);
	}
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = lsn_set(s, lsn);
	return finish(s, rc, "cannot save that a CE is behind NAT", err, err_len);
}

static int put_learned(struct store *s, const struct store_learned *l)
{
	sqlite3_stmt *st = stmt_get(s, l->gone ? S_LEARNED_DELETE : S_LEARNED_PUT);

	bind_u64(st, 1, l->member);
	sqlite3_bind_blob(
	    st, 2, l->prefix.addr.octets, (int)addr_len(&l->prefix.addr), SQLITE_STATIC);
	sqlite3_bind_int(st, 3, l->prefix.len);
	if (!l->gone) {
		bind_u64(st, 4, l->rank);
		sqlite3_bind_int64(st, 5, l->when);
	}
	return run(st);
}

static int sqlite_save_learned(struct store *s, uint64_t lsn, const struct store_learned *row,
    size_t rows, struct ids *ids, char *err, size_t err_len)
{
	int rc = begin(s);

	for (int gone = 1; gone >= 0; gone--)
		for (size_t i = 0; rc == 0 && i < rows; i++)
			if (row[i].gone == (gone != 0))
				rc = put_learned(s, &row[i]);
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = lsn_set(s, lsn);
	return finish(s, rc, "cannot commit learned networks", err, err_len);
}

/* ---------------------------------------------------------------- queries */

static int sqlite_history(struct store *s, size_t max,
    int (*fn)(void *arg, const struct store_generation *g), void *arg, char *err, size_t err_len)
{
	sqlite3_stmt *st = stmt_get(s, S_HISTORY);
	struct store_generation g;
	int rc, stop = 0;

	bind_u64(st, 1, max < INT_MAX ? max : INT_MAX);
	while (stop == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		generation_row(st, &g);
		stop = fn(arg, &g);
	}
	sqlite3_reset(st);
	if (stop == 0 && rc != SQLITE_DONE)
		return fail(s, "cannot read the history", err, err_len);
	return stop == 0 ? 0 : -1;
}

static char *sqlite_document(
    struct store *s, uint64_t generation, size_t *len, char *err, size_t err_len)
{
	sqlite3_stmt *st = stmt_get(s, S_DOCUMENT);
	char *text = NULL;

	bind_u64(st, 1, generation);
	if (sqlite3_step(st) != SQLITE_ROW || sqlite3_column_type(st, 0) == SQLITE_NULL) {
		snprintf(err, err_len, "store: generation %llu has no document",
		    (unsigned long long)generation);
	} else {
		*len = (size_t)sqlite3_column_bytes(st, 0);
		text = malloc(*len + 1);
		if (text != NULL) {
			memcpy(text, sqlite3_column_blob(st, 0), *len);
			text[*len] = '\0';
		} else {
			snprintf(err, err_len, "store: out of memory");
		}
	}
	sqlite3_reset(st);
	return text;
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
