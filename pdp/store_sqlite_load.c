/* store_sqlite_load.c - everything that is read from the store. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/departed.h"
#include "pdp/store_sqlite_int.h"
#include "pdp/verdict.h"

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

int sqlite_load(struct store *s, const struct store_load *cb, void *arg, char *err, size_t err_len)
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
		return sqlite_fail(s, "cannot load", err, err_len);
	if (rc > 0 && err_len > 0 && err[0] == '\0')
		snprintf(err, err_len, "store: what it holds cannot be used");
	return rc == 0 ? 0 : -1;
}

int sqlite_load_rows(struct store *s, uint16_t client_type,
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
		sqlite_fail(s, "cannot load rows", err, err_len);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int sqlite_load_ces(struct store *s, uint16_t client_type,
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
		sqlite_fail(s, "cannot load CEs", err, err_len);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

int sqlite_history(struct store *s, size_t max,
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
		return sqlite_fail(s, "cannot read the history", err, err_len);
	return stop == 0 ? 0 : -1;
}

char *sqlite_document(struct store *s, uint64_t generation, size_t *len, char *err, size_t err_len)
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
