/*
 * learned_flush.c - what was reported becomes true.  A member whose networks changed gets other
 * prefixes in place, as pdp/nat changes an address in place: its snapshot is not built anew and
 * nobody else in it is looked at.  The cost is the reports of the CEs that reported and, for each
 * member that changed, those who see it; a row is encoded once for all who see the member alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "libcops/cops_chunk.h"
#include "pdp/db.h"
#include "pdp/delta_int.h"
#include "pdp/learned_int.h"
#include "pdp/sync.h"

#define LINES_MAX 8 /* refusals of a CE that are logged one by one, each time */

struct edit { /* a member that gets other prefixes */
	struct model_member *m;
	struct model_prefix *old, *site;
	size_t olds, sites;
	uint64_t lsn;
};

struct verdicts { /* of one reporter */
	struct learned_reporter *r;
	struct learned_judged *v;
	size_t n;
};

struct flush {
	struct db *db;
	struct learned *l;
	struct verdicts *of;
	size_t ofs;
	struct edit *edit;
	size_t edits, edit_cap;
	struct store_learned *row; /* for the store */
	size_t rows, row_cap;
	struct learned_row **ranked; /* get the ranks after the last used, in this order */
	size_t ranks, rank_cap;
};

/* The array p with room for one more than n; NULL: memory, and p is as before. */
static void *room(void *p, size_t *cap, size_t n, size_t size)
{
	size_t to = *cap == 0 ? 16 : *cap * 2;

	if (n < *cap)
		return p;
	p = reallocarray(p, to, size);
	if (p != NULL)
		*cap = to;
	return p;
}

static void flush_clear(struct flush *f)
{
	for (size_t i = 0; i < f->ofs; i++)
		free(f->of[i].v);
	for (size_t i = 0; i < f->edits; i++)
		free(f->edit[i].site);
	free(f->of);
	free(f->edit);
	free(f->row);
	free(f->ranked);
}

/* ------------------------------------------------------------ what differs */

static int store_put(struct flush *f, const struct store_learned *row)
{
	struct store_learned *more = room(f->row, &f->row_cap, f->rows, sizeof(*more));

	if (more == NULL)
		return -1;
	f->row = more;
	more[f->rows++] = *row;
	return 0;
}

/* One that is taken, or is no more, and the store does not know. */
static int store_row(struct flush *f, const struct learned_judged *j)
{
	bool taken = j->verdict == LEARNED_TAKEN;
	struct learned_row *row = j->row;
	struct store_learned s = {.member = row->member, .prefix = row->key.prefix, .gone = !taken};
	struct learned_row **more;

	if (taken == (row->rank != 0))
		return 0;
	if (taken) {
		more = room(f->ranked, &f->rank_cap, f->ranks, sizeof(struct learned_row *));
		if (more == NULL)
			return -1;
		f->ranked = more;
		more[f->ranks++] = row;
		s.member = j->m->id->number;
		s.rank = f->l->last_rank + f->ranks;
		s.when = row->told == LEARNED_TAKEN ? row->since : (int64_t)time(NULL);
	}
	return store_put(f, &s);
}

/* m's rows are v[0..n); none: what it had goes. */
static int edit_put(
    struct flush *f, struct model_member *m, const struct learned_judged *v, size_t n)
{
	struct edit e = {.m = m, .old = m->site, .olds = m->sites}, *more;

	more = room(f->edit, &f->edit_cap, f->edits, sizeof(*f->edit));
	if (more == NULL)
		return -1;
	f->edit = more;
	e.site = learned_sites(f->db->ids, m, v, n, &e.sites);
	if (e.site == NULL)
		return -1;
	if (delta_prefixes_differ(e.old, e.olds, e.site, e.sites))
		f->edit[f->edits++] = e;
	else
		free(e.site);
	return 0;
}

/* The rows of member m among those of its CE. */
static int member_put(struct flush *f, struct model_member *m, const struct verdicts *of)
{
	size_t at = 0, n = 0;

	while (at < of->n && of->v[at].m != m)
		at++;
	while (at + n < of->n && of->v[at + n].m == m)
		n++;
	return edit_put(f, m, &of->v[at], n);
}

static int reporter_put(struct flush *f, struct learned_reporter *r)
{
	const struct model_ce *ce = registry_ce(f->db->registry, r->name);
	struct verdicts *of = &f->of[f->ofs];
	int rc = 0;

	of->r = r;
	of->v = learned_judge(r, ce, &of->n);
	if (of->v == NULL)
		return -1;
	f->ofs++;
	for (size_t i = 0; rc == 0 && i < of->n; i++)
		rc = store_row(f, &of->v[i]);
	for (size_t i = 0; rc == 0 && ce != NULL && !ce->foreign && i < ce->members; i++)
		rc = member_put(f, ce->member[i], of);
	return rc;
}

static int collect(struct flush *f)
{
	struct learned_reporter *r, *next;

	f->of = calloc(f->l->dirty + 1, sizeof(*f->of));
	if (f->of == NULL)
		return -1;
	for (size_t i = 0; i < f->l->gones; i++)
		if (store_put(f, &f->l->gone[i]) != 0)
			return -1;
	HASH_ITER (hh, f->l->reporters, r, next)
		if (r->dirty && reporter_put(f, r) != 0)
			return -1;
	return 0;
}

/* ------------------------------------------------------------------- commit */

static int by_vpn(const void *a, const void *b)
{
	uint32_t x = ((const struct edit *)a)->m->vpn->id->number;
	uint32_t y = ((const struct edit *)b)->m->vpn->id->number;

	return (x > y) - (x < y);
}

static void stamp(struct ids *ids, struct id_entry *e, bool dead, uint64_t lsn)
{
	e->dead = dead;
	e->lsn = lsn;
	ids_touch(ids, e);
}

static void stamp_edit(struct ids *ids, const struct edit *e)
{
	size_t i = 0, k = 0;

	while (i < e->olds || k < e->sites) {
		int c = i == e->olds	? 1
			: k == e->sites ? -1
					: prefix_cmp(&e->old[i].prefix, &e->site[k].prefix);

		if (c < 0)
			stamp(ids, e->old[i].id, true, e->lsn);
		if (c > 0)
			stamp(ids, e->site[k].id, false, e->lsn);
		i += c <= 0;
		k += c >= 0;
	}
}

/* An LSN for each VPN, so that a CE in several of them never skips one (see keyring_commit()). */
static uint64_t number_edits(struct flush *f)
{
	uint64_t lsn = f->db->lsn;

	if (f->edits > 0)
		qsort(f->edit, f->edits, sizeof(*f->edit), by_vpn);
	for (size_t i = 0; i < f->edits; i++) {
		lsn += i == 0 || f->edit[i].m->vpn != f->edit[i - 1].m->vpn;
		f->edit[i].lsn = lsn;
		stamp_edit(f->db->ids, &f->edit[i]);
	}
	return lsn;
}

static int commit(struct flush *f, char *err, size_t err_len)
{
	struct db *db = f->db;
	uint64_t lsn = number_edits(f);

	if (f->rows + f->edits == 0)
		return 0;
	if (db->ops->save_learned(db->store, lsn, f->row, f->rows, db->ids, err, err_len) != 0)
		return -1;
	ids_dirty_clear(db->ids);
	db->lsn = lsn;
	return 0;
}

/* Committed: ranks, and what is waiting for nothing any more. */
static void book(struct flush *f)
{
	struct learned *l = f->l;

	for (size_t i = 0; i < f->ranks; i++)
		f->ranked[i]->rank = ++l->last_rank;
	l->gones = 0;
	for (size_t i = 0; i < f->ofs; i++) {
		const struct verdicts *of = &f->of[i];

		for (size_t k = 0; k < of->n; k++) {
			struct learned_row *row = of->v[k].row;

			if (of->v[k].verdict != LEARNED_TAKEN)
				row->rank = 0;
			row->member = row->rank != 0 ? of->v[k].m->id->number : 0;
		}
		l->dirty -= of->r->dirty;
		of->r->dirty = false;
	}
}

/* --------------------------------------------------------------------- told */

static void log_refused(
    const struct learned_reporter *r, const struct learned_judged *j, size_t *lines)
{
	char prefix[PREFIX_STRLEN], reason[LEARNED_REASON_LEN];

	if (++*lines > LINES_MAX)
		return;
	learned_reason(j->m, &j->row->key.prefix, j->verdict, reason);
	if (j->m != NULL)
		log_warn("%s: learned network %s of VPN %s/%s is refused: %s", r->name,
		    prefix_print(&j->row->key.prefix, prefix), j->m->vpn->customer->name,
		    j->m->vpn->name, reason);
	else
		log_warn("%s: learned network %s of VPN number %u is refused: %s", r->name,
		    prefix_print(&j->row->key.prefix, prefix), j->row->key.vpn, reason);
}

/* v[0..n) are one VPN's: how many are over its limit, once when that begins. */
static void log_full(
    const struct learned_reporter *r, const struct learned_judged *v, size_t n, bool began)
{
	size_t taken = 0, over = 0;

	for (size_t i = 0; i < n; i++) {
		taken += v[i].verdict == LEARNED_TAKEN;
		over += v[i].verdict == LEARNED_FULL;
	}
	if (began)
		log_warn("%s: VPN %s/%s: %zu learned networks are over max-learned=\"%u\"; the "
			 "first %zu stay",
		    r->name, v[0].m->vpn->customer->name, v[0].m->vpn->name, over,
		    v[0].m->max_learned, taken);
}

static void tell_group(
    struct learned_reporter *r, const struct learned_judged *v, size_t n, size_t *lines)
{
	int64_t now = (int64_t)time(NULL);
	bool was_full = false, is_full = false;

	for (size_t i = 0; i < n; i++)
		was_full |= v[i].row->told == LEARNED_FULL;
	for (size_t i = 0; i < n; i++) {
		struct learned_row *row = v[i].row;

		is_full |= v[i].verdict == LEARNED_FULL;
		if (row->told == v[i].verdict)
			continue;
		row->told = v[i].verdict;
		row->since = now;
		if (row->told != LEARNED_TAKEN && row->told != LEARNED_STATIC &&
		    row->told != LEARNED_FULL)
			log_refused(r, &v[i], lines);
	}
	log_full(r, v, n, is_full && !was_full);
}

/* Each refusal is logged once. */
static void tell(const struct flush *f)
{
	for (size_t i = 0; i < f->ofs; i++) {
		const struct verdicts *of = &f->of[i];
		size_t lines = 0, k;

		for (size_t at = 0; at < of->n; at = k) {
			for (k = at + 1;
			     k < of->n && of->v[k].row->key.vpn == of->v[at].row->key.vpn; k++)
				;
			tell_group(of->r, &of->v[at], k - at, &lines);
		}
		if (lines > LINES_MAX)
			log_warn("%s: %zu more learned networks are refused: \"copsctl show "
				 "learned %s\" has them",
			    of->r->name, lines - LINES_MAX, of->r->name);
	}
	for (size_t i = 0; i < f->edits; i++) {
		const struct edit *e = &f->edit[i];

		log_info("%s: networks of its site in VPN %s/%s: %zu, were %zu (LSN %llu)",
		    e->m->ce->name, e->m->vpn->customer->name, e->m->vpn->name, e->sites, e->olds,
		    (unsigned long long)e->lsn);
	}
}

/* --------------------------------------------------------------------- sent */

/* The rows that lead from before to after, as a member with this view of it sees them. */
static void piece(const struct edit *e, enum view v, struct delta_list *l)
{
	struct rows_set before = {.p = e->old, .n = e->olds, .at = rows_site_at(e->m, v)};
	struct rows_set after = {.p = e->site, .n = e->sites, .at = before.at};
	struct rows r;

	rows_init(&r, false);
	rows_diff_prefixes(&r, &before, &after, e->m->vpn->id->number);
	rows_take(&r, l);
}

static void append(struct delta_list *to, const struct delta_list *l)
{
	to->failed |= l->failed;
	for (size_t i = 0; i < l->count; i++)
		delta_list_put(to, l->chunk[i], i < l->removes);
}

/* list: one for each member of the VPN. */
static void deal(const struct edit *e, struct delta_list *list)
{
	struct delta_list as[VIEW_MAX] = {0};
	const struct model_member *via, *members = e->m->vpn->member;
	bool made[VIEW_MAX] = {false};
	struct model_member *r;
	struct model_seen seen;
	enum view v;

	piece(e, VIEW_SELF, &list[e->m - members]);
	/* who sees m is whom m sees */
	model_seen_init(&seen, e->m);
	while ((r = model_seen_next(&seen)) != NULL) {
		v = model_view(r, e->m, &via);
		if (v == VIEW_NONE)
			continue;
		if (!made[v])
			piece(e, v, &as[v]);
		made[v] = true;
		append(&list[r - members], &as[v]);
	}
	for (v = 0; v < VIEW_MAX; v++)
		delta_list_clear(&as[v]);
}

static void tell_changed(struct sync *sync, const struct edit *e)
{
	struct model_member *r;
	struct model_seen seen;

	model_seen_init(&seen, e->m);
	while ((r = model_seen_next(&seen)) != NULL)
		sync_changed(sync, r->ce->name, e->lsn);
	sync_changed(sync, e->m->ce->name, e->lsn);
}

/* e[0..n) are one VPN's. */
static void send_vpn(struct sync *sync, const struct edit *e, size_t n)
{
	const struct model_vpn *v = e->m->vpn;
	struct sync_push *p = sync_push_new(sync);
	struct delta_list *list = calloc(v->members, sizeof(*list));
	bool failed = p == NULL || list == NULL;

	for (size_t i = 0; !failed && i < n; i++)
		deal(&e[i], list);
	for (size_t i = 0; !failed && i < v->members; i++)
		failed = list[i].failed || sync_push_add(p, v->member[i].ce->name, &list[i]) != 0;
	for (size_t i = 0; list != NULL && i < v->members; i++)
		delta_list_clear(&list[i]);
	free(list);
	if (!failed) {
		sync_push_send(p, e->lsn);
		return;
	}
	sync_push_free(p);
	log_err("out of memory for learned networks: CEs get them one by one");
	for (size_t i = 0; i < n; i++)
		tell_changed(sync, &e[i]);
}

/* From here on the snapshot in force says so; what was encoded of the member says what was. */
static void enact(struct flush *f, struct sync *sync)
{
	size_t k;

	for (size_t i = 0; i < f->edits; i++) {
		struct model_member *m = f->edit[i].m;

		m->site = f->edit[i].site;
		m->sites = f->edit[i].sites;
		for (int v = 0; v < VIEW_MAX; v++) {
			cops_chunk_unref(m->chunk[v]);
			m->chunk[v] = NULL;
		}
	}
	for (size_t i = 0; i < f->edits; i = k) {
		for (k = i + 1; k < f->edits && f->edit[k].m->vpn == f->edit[i].m->vpn; k++)
			;
		send_vpn(sync, &f->edit[i], k - i);
	}
	for (size_t i = 0; i < f->edits; i++)
		f->edit[i].site = f->edit[i].old; /* flush_clear() frees it */
}

int learned_flush(struct db *db, struct sync *sync, char *err, size_t err_len)
{
	struct flush f = {.db = db, .l = db->learned};
	int rc;

	if (!learned_pending(f.l))
		return 0;
	snprintf(err, err_len, "out of memory for learned networks");
	rc = collect(&f);
	if (rc == 0)
		rc = commit(&f, err, err_len);
	if (rc != 0) {
		ids_rollback(db->ids);
	} else {
		book(&f);
		tell(&f);
		enact(&f, sync);
	}
	flush_clear(&f);
	return rc;
}

int learned_settle(struct db *db, struct customer *c, char *err, size_t err_len)
{
	struct flush f = {.db = db, .l = db->learned};
	int rc = 0;

	snprintf(err, err_len, "out of memory for learned networks");
	f.of = calloc(c->ces + 1, sizeof(*f.of));
	if (f.of == NULL)
		return -1;
	for (size_t i = 0; rc == 0 && i < c->ces; i++) {
		struct verdicts *of = &f.of[f.ofs];

		of->r = learned_find(f.l, c->ce[i].name);
		of->v = of->r != NULL ? learned_judge(of->r, &c->ce[i], &of->n) : NULL;
		if (of->r == NULL)
			continue;
		f.ofs++;
		rc = of->v != NULL ? 0 : -1;
		for (size_t k = 0; rc == 0 && k < of->n; k++)
			if (of->v[k].verdict == LEARNED_TAKEN)
				rc = store_row(&f, &of->v[k]);
	}
	/* numbers are stored with the generation */
	if (rc == 0 && f.rows > 0)
		rc = db->ops->save_learned(db->store, db->lsn, f.row, f.rows, NULL, err, err_len);
	for (size_t i = 0; rc == 0 && i < f.ranks; i++) {
		f.ranked[i]->rank = ++f.l->last_rank;
		f.ranked[i]->member = f.row[i].member;
	}
	flush_clear(&f);
	return rc;
}
