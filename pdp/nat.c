/* nat.c - see nat.h. */
#include "pdp/nat.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "libcops/cops_chunk.h"
#include "pdp/db.h"
#include "pdp/sync.h"

struct fact { /* of a CE that is behind NAT */
	UT_hash_handle hh;
	struct addr seen;
	struct addr own;
	char ce[];
};

struct nat {
	struct fact *facts;
};

struct nat *nat_new(void)
{
	return calloc(1, sizeof(struct nat));
}

void nat_free(struct nat *n)
{
	struct fact *f, *next;

	if (n == NULL)
		return;
	HASH_ITER (hh, n->facts, f, next) {
		HASH_DEL(n->facts, f);
		free(f);
	}
	free(n);
}

static struct fact *fact_find(const struct nat *n, const char *ce)
{
	struct fact *f;

	HASH_FIND_STR(n->facts, ce, f);
	return f;
}

int nat_load(struct nat *n, const char *ce, const struct addr *seen, const struct addr *own)
{
	struct fact *f = fact_find(n, ce);

	if (f == NULL) {
		f = calloc(1, sizeof(*f) + strlen(ce) + 1);
		if (f == NULL)
			return -1;
		strcpy(f->ce, ce);
		HASH_ADD_STR(n->facts, ce, f);
	}
	f->seen = *seen;
	f->own = *own;
	return 0;
}

static void drop(struct nat *n, struct fact *f)
{
	HASH_DEL(n->facts, f);
	free(f);
}

static void fill(const struct nat *n, struct model_ce *ce)
{
	const struct fact *f = ce->foreign ? NULL : fact_find(n, ce->name);

	ce->nat = f != NULL;
	ce->seen = f != NULL ? f->seen : (struct addr) {0};
	ce->own = f != NULL ? f->own : (struct addr) {0};
}

void nat_fill(const struct nat *n, struct customer *c)
{
	for (size_t i = 0; i < c->ces; i++)
		fill(n, &c->ce[i]);
}

void nat_forget(struct db *db, const char *name)
{
	const struct store_nat row = {.name = name, .gone = true};
	struct fact *f = fact_find(db->nat, name);
	char err[DB_ERR_LEN];

	if (f == NULL)
		return;
	if (db->ops->save_nat(db->store, db->lsn, &row, db->ids, err, sizeof(err)) != 0)
		log_err("%s: that it was behind NAT is still stored: %s", name, err);
	else
		drop(db->nat, f);
}

/* --- news ------------------------------------------------------------------- */

static void stamp_all(struct db *db, struct model_member *m, uint64_t lsn)
{
	m->id->lsn = m->id->aux_lsn = lsn;
	ids_touch(db->ids, m->id);
}

/*
 * Everyone sees another row of m, and m itself another of its own; who is behind NAT too may have
 * it for a peer from now on, or no more, which is more than rows that are newer.
 */
static void stamp(struct db *db, struct model_member *m, uint64_t lsn)
{
	struct model_member *r;
	struct model_seen seen;

	stamp_all(db, m, lsn);
	model_seen_init(&seen, m);
	while ((r = model_seen_next(&seen)) != NULL)
		if ((r->ce->nat || model_nat_none(r->vpn)) && model_adjacent(m, r)) {
			r->id->aux_lsn = lsn;
			ids_touch(db->ids, r->id);
		}
}

static void tell(struct sync *sync, const struct model_member *m, uint64_t lsn)
{
	struct model_member *r;
	struct model_seen seen;

	model_seen_init(&seen, m);
	while ((r = model_seen_next(&seen)) != NULL)
		if (model_adjacent(m, r))
			sync_changed(sync, r->ce->name, lsn);
	sync_changed(sync, m->ce->name, lsn);
}

/* What was encoded of ce's memberships says what was. */
static void forget_rows(struct model_ce *ce)
{
	for (size_t i = 0; i < ce->members; i++)
		for (int v = 0; v < VIEW_MAX; v++) {
			cops_chunk_unref(ce->member[i]->chunk[v]);
			ce->member[i]->chunk[v] = NULL;
		}
}

static void log_news(const struct model_ce *ce)
{
	char own[ADDR_STRLEN], seen[ADDR_STRLEN], said[ADDR_STRLEN];

	if (!ce->nat) {
		log_note("%s is not behind NAT any more", ce->name);
		return;
	}
	log_note("%s is behind NAT: %s is seen as %s", ce->name, addr_print(&ce->own, own),
	    addr_print(&ce->seen, seen));
	if (addr_cmp(&ce->seen, &ce->address) != 0)
		log_warn("%s: the intent says %s, its peers are told %s", ce->name,
		    addr_print(&ce->address, said), seen);
}

static bool is_news(const struct fact *f, bool nat, const struct addr *seen, const struct addr *own)
{
	if (f == NULL)
		return nat;
	return !nat || addr_cmp(&f->seen, seen) != 0 || addr_cmp(&f->own, own) != 0;
}

int nat_notice(struct db *db, struct sync *sync, const char *name, const struct addr *seen,
    const struct addr *own)
{
	struct model_ce *ce = (struct model_ce *)(uintptr_t)registry_ce(db->registry, name);
	struct fact *f = fact_find(db->nat, name);
	bool nat = addr_cmp(seen, own) != 0;
	const struct store_nat row = {.name = name, .seen = seen, .own = own, .gone = !nat};
	uint64_t lsn = db->lsn + 1;
	char err[DB_ERR_LEN];

	if (ce == NULL || seen->family == 0 || seen->family != own->family ||
	    !is_news(f, nat, seen, own))
		return 0;
	if (nat && nat_load(db->nat, name, seen, own) != 0)
		goto bad_memory;
	for (size_t i = 0; i < ce->members; i++)
		stamp(db, ce->member[i], lsn);
	if (db->ops->save_nat(db->store, lsn, &row, db->ids, err, sizeof(err)) != 0) {
		ids_rollback(db->ids);
		if (ce->nat)
			nat_load(db->nat, name, &ce->seen, &ce->own); /* has its place */
		else if ((f = fact_find(db->nat, name)) != NULL)
			drop(db->nat, f);
		log_err("%s: that it is behind NAT is not stored: %s", name, err);
		return -1;
	}
	ids_dirty_clear(db->ids);
	db->lsn = lsn;
	if (!nat)
		drop(db->nat, f);
	fill(db->nat, ce);
	forget_rows(ce);
	log_news(ce);
	for (size_t i = 0; i < ce->members; i++)
		tell(sync, ce->member[i], lsn);
	return 0;
bad_memory:
	log_err("%s: out of memory", name);
	return -1;
}
