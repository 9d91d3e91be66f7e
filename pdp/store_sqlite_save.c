/* store_sqlite_save.c - everything that is written into the store, each time as one transaction. */
#include "pdp/departed.h"
#include "pdp/store_sqlite_int.h"
#include "pdp/verdict.h"

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
	return sqlite_run(st);
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
	return sqlite_run(st);
}

static int put_customer(struct store *s, const char *name, uint64_t generation)
{
	sqlite3_stmt *st = stmt_get(s, S_CUSTOMER_PUT);

	bind_text(st, 1, name);
	bind_u64(st, 2, generation);
	return sqlite_run(st);
}

static int delete_name(struct store *s, enum stmt query, const char *name)
{
	sqlite3_stmt *st = stmt_get(s, query);

	bind_text(st, 1, name);
	return sqlite_run(st);
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
	return sqlite_run(st);
}

static int put_departure(struct store *s, const struct departure *d, bool gone)
{
	sqlite3_stmt *st = stmt_get(s, gone ? S_DEPARTURE_DELETE : S_DEPARTURE_PUT);

	bind_u64(st, 1, d->member);
	if (gone)
		return sqlite_run(st);
	bind_u64(st, 2, d->vpn);
	sqlite3_bind_int64(st, 3, d->at);
	bind_u64(st, 4, d->lsn);
	bind_text(st, 5, d->how);
	bind_u64(st, 6, d->peers);
	bind_u64(st, 7, d->mute);
	/* host order: the file stays on its machine, as all of SQLite's WAL does */
	sqlite3_bind_blob64(st, 8, d->wait, d->waits * sizeof(*d->wait), SQLITE_STATIC);
	sqlite3_bind_int64(st, 9, d->out_at);
	return sqlite_run(st);
}

int sqlite_save_membership(struct store *s, const struct store_verdict *v,
    const struct departure *d, bool gone, char *err, size_t err_len)
{
	int rc = sqlite_begin(s);

	if (rc == 0 && v != NULL)
		rc = put_verdict(s, v);
	if (rc == 0 && d != NULL)
		rc = put_departure(s, d, gone);
	return sqlite_finish(s, rc, "cannot save a membership", err, err_len);
}

int sqlite_commit_generation(struct store *s, const struct store_generation *g,
    const char *const *customer, size_t customers, const char *const *deleted, size_t deletions,
    struct ids *ids, char *err, size_t err_len)
{
	int rc = sqlite_begin(s);

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
		rc = sqlite_lsn_set(s, g->lsn);
	return sqlite_finish(s, rc, "cannot commit the generation", err, err_len);
}

static int put_key(struct store *s, const struct store_key *k)
{
	sqlite3_stmt *st = stmt_get(s, S_KEY_PUT);

	bind_u64(st, 1, k->member);
	bind_u64(st, 2, k->epoch);
	bind_u64(st, 3, k->lsn);
	sqlite3_bind_int(st, 4, k->withdrawn);
	sqlite3_bind_blob64(st, 5, k->epd, k->epd_len, SQLITE_STATIC);
	return sqlite_run(st);
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
	return sqlite_run(st);
}

int sqlite_commit_keys(struct store *s, uint64_t lsn, const struct store_key *key, size_t keys,
    const struct store_ack *ack, size_t acks, char *err, size_t err_len)
{
	int rc = sqlite_begin(s);

	for (size_t i = 0; rc == 0 && i < keys; i++)
		rc = put_key(s, &key[i]);
	for (size_t i = 0; rc == 0 && i < acks; i++)
		rc = put_ack(s, &ack[i]);
	if (rc == 0)
		rc = sqlite_lsn_set(s, lsn);
	return sqlite_finish(s, rc, "cannot commit keys", err, err_len);
}

static int put_ce(struct store *s, const struct store_ce *c)
{
	sqlite3_stmt *st;

	if (c->client_type != 0 && c->gone) {
		st = stmt_get(s, S_CLIENT_CE_CLEAR);
		bind_text(st, 1, c->name);
		bind_u64(st, 2, c->client_type);
		return sqlite_run(st);
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
	return sqlite_run(st);
}

int sqlite_save_ces(
    struct store *s, const struct store_ce *ce, size_t count, char *err, size_t err_len)
{
	int rc = sqlite_begin(s);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = put_ce(s, &ce[i]);
	return sqlite_finish(s, rc, "cannot save what CEs confirmed", err, err_len);
}

int sqlite_save_rows(struct store *s, uint16_t client_type, const char *ce, uint64_t lsn,
    uint64_t hash, char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = sqlite_begin(s);

	if (rc == 0) {
		st = stmt_get(s, S_ROWS_PUT);
		bind_text(st, 1, ce);
		bind_u64(st, 2, lsn);
		bind_u64(st, 3, hash);
		bind_u64(st, 4, client_type);
		rc = sqlite_run(st);
	}
	return sqlite_finish(s, rc, "cannot save the rows of a CE", err, err_len);
}

int sqlite_save_serial(struct store *s, uint64_t lsn, uint32_t vpn, uint32_t rekey_serial,
    struct ids *ids, char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = sqlite_begin(s);

	if (rc == 0) {
		st = stmt_get(s, S_SERIAL_PUT);
		bind_u64(st, 1, vpn);
		bind_u64(st, 2, rekey_serial);
		rc = sqlite_run(st);
	}
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = sqlite_lsn_set(s, lsn);
	return sqlite_finish(s, rc, "cannot save the rekey", err, err_len);
}

int sqlite_save_nat(struct store *s, uint64_t lsn, const struct store_nat *n, struct ids *ids,
    char *err, size_t err_len)
{
	sqlite3_stmt *st;
	int rc = sqlite_begin(s);

	if (rc == 0) {
		st = stmt_get(s, n->gone ? S_NAT_DELETE : S_NAT_PUT);
		bind_text(st, 1, n->name);
		if (!n->gone) {
			sqlite3_bind_blob(
			    st, 2, n->seen->octets, (int)addr_len(n->seen), SQLITE_STATIC);
			sqlite3_bind_blob(
			    st, 3, n->own->octets, (int)addr_len(n->own), SQLITE_STATIC);
		}
		rc = sqlite_run(st);
	}
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = sqlite_lsn_set(s, lsn);
	return sqlite_finish(s, rc, "cannot save that a CE is behind NAT", err, err_len);
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
	return sqlite_run(st);
}

int sqlite_save_learned(struct store *s, uint64_t lsn, const struct store_learned *row, size_t rows,
    struct ids *ids, char *err, size_t err_len)
{
	int rc = sqlite_begin(s);

	for (int gone = 1; gone >= 0; gone--)
		for (size_t i = 0; rc == 0 && i < rows; i++)
			if (row[i].gone == (gone != 0))
				rc = put_learned(s, &row[i]);
	if (rc == 0)
		rc = put_ids(s, ids);
	if (rc == 0)
		rc = sqlite_lsn_set(s, lsn);
	return sqlite_finish(s, rc, "cannot commit learned networks", err, err_len);
}
