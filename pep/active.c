/*
 * active.c - which request-state of a client-type is in force (RFC 3318 2.4), and for how long
 * without a PDP (RFC 3318 5, RFC 3084 7).
 *
 * What is in force changes in one transaction of the client: from the rows of the one state to
 * those of the other, where rows that are equal are no change.  Nothing in force means the rows
 * that the client's protect() leaves: for the VPN, destinations that are discarded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"
#include "pep/agent_int.h"
#include "pep/cache.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define RECONCILE_MAX_MS 60000

struct pib_store *active_store(const struct pep_type *t)
{
	return t->active != NULL ? t->active->store : t->closed;
}

/* ------------------------------------------------------------------ rows */

static void take_first(void *arg, const struct pib_row *row)
{
	const struct pib_row **first = arg;

	if (*first == NULL)
		*first = row;
}

static const struct pib_frwk_pib_incarnation *incarnation(const struct pib_store *st)
{
	const struct pib_row *row = NULL;

	pib_store_each(st, &pib_frwk_pib_incarnation_class, take_first, &row);
	return row != NULL ? row->data : NULL;
}

static bool is_null(const struct pib_frwk_pib_incarnation *inc, unsigned column)
{
	return inc->null_mask >> (column - 1) & 1;
}

static void row_install(void *arg, const struct pib_row *row)
{
	(void)pib_txn_install_row(arg, row->cls, row->instance, row->epd, row->epd_len);
}

/* protect()'s rows, installed into a transaction. */
static void row_protect(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct buf b;

	buf_init(&b, PIB_EPD_MAX);
	pib_epd_put(&b, cls, row);
	if (b.failed) {
		static const struct pib_fault memory = {.gperr = PIB_GPERR_MEM_EXHAUSTED};

		pib_txn_fault(arg, &memory);
	} else {
		(void)pib_txn_install_row(arg, cls, instance, b.data, b.len);
	}
	buf_clear(&b);
}

/* Has the client make the checked end state of txn true; nothing to do if there is no change. */
static int enforce(struct pep_type *t, struct pib_store *st, struct pib_txn *txn)
{
	const struct pib_change *c;

	if (pib_txn_check(txn) != 0)
		return -1;
	if (pib_txn_changes(txn, &c) == 0)
		return 0;
	return t->client->enforce(t->self, st, txn);
}

/* All of a store's rows replaced by those of another (NULL: by none), stored on disk. */
static int copy_rows(struct pib_store *to, const struct pib_store *from, struct pep_cache *cache)
{
	struct pib_txn *txn = pib_txn_begin(to);

	if (txn == NULL)
		return -1;
	pib_txn_remove_all(txn);
	if (from != NULL)
		pib_store_each(from, NULL, row_install, txn);
	if (pib_txn_check(txn) != 0) {
		pib_txn_abort(txn);
		return -1;
	}
	pep_cache_note(cache, txn);
	pib_txn_commit(txn);
	(void)pep_cache_flush(cache, to);
	return 0;
}

/* ------------------------------------------------------------------ going over */

enum active_verdict active_judge(const struct context *x)
{
	const struct pib_frwk_pib_incarnation *inc = incarnation(x->store);
	const struct pep_type *t = x->type;
	bool is = t->active == x, wants;

	if (inc != NULL && !is_null(inc, PIB_FRWK_PIB_INCARNATION_COL_ACTIVE))
		wants = inc->active == PIB_FRWK_PIB_INCARNATION_ACTIVE_TRUE;
	else
		wants = is || (t->active == NULL && !t->deactivated && x->slot == 0);
	if (is)
		return wants ? ACTIVE_ENFORCE : ACTIVE_DEACTIVATE;
	return wants ? ACTIVE_TAKE_OVER : ACTIVE_STORE;
}

static void faults_copy(struct pib_txn *to, const struct pib_txn *from)
{
	const struct pib_fault *f;
	size_t n = pib_txn_faults(from, &f);

	for (size_t i = 0; i < n; i++)
		pib_txn_fault(to, &f[i]);
}

int active_take_over(struct context *x, struct pib_txn *txn)
{
	static const struct pib_fault memory = {.gperr = PIB_GPERR_MEM_EXHAUSTED};
	struct pep_type *t = x->type;
	struct pib_store *old = active_store(t);
	struct pib_txn *over = pib_txn_begin(old);
	int rc;

	if (over == NULL) {
		pib_txn_fault(txn, &memory);
		return -1;
	}
	pib_txn_remove_all(over);
	pib_store_each(x->store, NULL, row_install, over);
	rc = enforce(t, old, over);
	if (rc != 0)
		faults_copy(txn, over);
	pib_txn_abort(over); /* the old rows stay those of the old state */
	return rc;
}

/* Its row says that it is active no more, here and on disk. */
static void row_retire(struct context *x)
{
	const struct pib_frwk_pib_incarnation *held = incarnation(x->store);
	struct pib_frwk_pib_incarnation row = {.prid = 1, .longevity = 1, .in_ctxt_set = 1};
	struct pib_txn *txn = pib_txn_begin(x->store);

	if (held != NULL)
		row = *held;
	row.active = PIB_FRWK_PIB_INCARNATION_ACTIVE_FALSE;
	row.null_mask &= ~((uint64_t)1 << (PIB_FRWK_PIB_INCARNATION_COL_ACTIVE - 1));
	if (txn != NULL) {
		row_protect(txn, &pib_frwk_pib_incarnation_class, row.prid, &row);
		if (pib_txn_check(txn) == 0) {
			pep_cache_note(x->cache, txn);
			pib_txn_commit(txn);
			(void)pep_cache_flush(x->cache, x->store);
		} else {
			pib_txn_abort(txn);
		}
	}
}

void active_taken(struct context *x)
{
	struct pep_type *t = x->type;
	struct context *old = t->active;

	t->active = x;
	t->deactivated = false;
	if (old != NULL) {
		row_retire(old);
		context_request_anew(old); /* the PDP is to see it */
	}
	if (pib_store_count(t->closed, NULL) > 0)
		(void)copy_rows(t->closed, NULL, t->closed_cache);
	log_note("%s: request-state %u is in force", t->client->name, x->slot);
}

/* closed gets what the checked transaction shows in st. */
static int keep_closed(struct pep_type *t, const struct pib_store *st)
{
	return copy_rows(t->closed, st, t->closed_cache);
}

int active_end(struct pep_type *t, struct pib_txn **out)
{
	struct pib_store *st = active_store(t);
	struct pib_txn *txn = pib_txn_begin(st);
	int rc = -1;

	if (out != NULL)
		*out = NULL;
	if (txn == NULL)
		return -1;
	if (t->active == NULL) {
		pib_txn_abort(txn);
		return 0;
	}
	if (t->client->protect != NULL)
		t->client->protect(t->self, st, row_protect, txn);
	/* what protect() gave is installed, so the removal does not touch it (RFC 3084 3.2) */
	pib_txn_remove_all(txn);
	rc = enforce(t, st, txn);
	if (rc == 0 && (rc = keep_closed(t, st)) != 0)
		agent_event_in(t->repair, 0); /* memory: back to what was in force */
	if (rc != 0 && out != NULL) {
		*out = txn;
		return rc;
	}
	pib_txn_abort(txn);
	if (rc == 0) {
		t->active = NULL;
		t->deactivated = true;
		log_note("%s: no policy is in force, but what protects", t->client->name);
	}
	return rc;
}

/* ------------------------------------------------------------------ reality */

/* A decision that ended what was in force, and then could not be carried out. */
void active_back(struct context *x)
{
	struct pep_type *t = x->type;

	t->active = x;
	t->deactivated = false;
	(void)copy_rows(t->closed, NULL, t->closed_cache);
	agent_event_in(t->repair, 0);
}

void active_reconcile(struct pep_type *t)
{
	char err[200] = "";

	if (t->client->reconcile == NULL ||
	    t->client->reconcile(t->self, active_store(t), err, sizeof(err)) == 0) {
		t->repair_ms = RECONCILE_MIN_MS;
		return;
	}
	log_err("%s: %s; tried again in %lld ms", t->client->name, err, (long long)t->repair_ms);
	snprintf(t->status.last_error, sizeof(t->status.last_error), "%s", err);
	agent_event_in(t->repair, t->repair_ms);
	if (t->repair_ms < RECONCILE_MAX_MS)
		t->repair_ms *= 2;
}

static void on_repair(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	active_reconcile(arg);
}

/* ------------------------------------------------------------------ without a PDP */

/* All request-states go, and what they held (RFC 3084 7). */
static void expire(struct pep_type *t)
{
	if (active_end(t, NULL) != 0) {
		log_err(
		    "%s: policy is over, but cannot be taken out; tried again", t->client->name);
		agent_event_in(t->expiry, RECONCILE_MIN_MS);
		return;
	}
	log_warn("%s: policy is over: no PDP in time", t->client->name);
	t->deactivated = false;
	t->expires_at = 0;
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++)
		if (t->ctx[i].used)
			context_remove(&t->ctx[i]);
	t->ctx[0].used = true;
	if (t->client->settled != NULL)
		t->client->settled(t->self, active_store(t));
	type_usage_rows(t);
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	expire(arg);
}

/* What is in force ends at lost_at + its Ttl. */
static void arm(struct pep_type *t, int64_t lost_at)
{
	const struct pib_frwk_pib_incarnation *inc = t->active != NULL
							 ? incarnation(t->active->store)
							 : NULL;
	int64_t now = (int64_t)time(NULL);

	if (inc == NULL)
		return;
	if (inc->longevity == PIB_FRWK_PIB_INCARNATION_LONGEVITY_EXPIRE_IMMEDIATE) {
		expire(t);
	} else if (inc->longevity == PIB_FRWK_PIB_INCARNATION_LONGEVITY_EXPIRE_ON_TIMEOUT) {
		if (lost_at == 0 || lost_at > now)
			lost_at = now;
		t->expires_at = lost_at + inc->ttl;
		agent_event_in(t->expiry, t->expires_at > now ? (t->expires_at - now) * 1000 : 0);
	}
}

void active_lost(struct pep_type *t)
{
	if (t->active == NULL || t->expires_at != 0)
		return;
	pep_cache_lost_put(t->active->cache, (int64_t)time(NULL));
	(void)pep_cache_flush(t->active->cache, t->active->store);
	arm(t, 0);
}

void active_found(struct pep_type *t)
{
	evtimer_del(t->expiry);
	t->expires_at = 0;
	if (t->active == NULL)
		return;
	pep_cache_lost_put(t->active->cache, 0);
	(void)pep_cache_flush(t->active->cache, t->active->store);
}

/* ------------------------------------------------------------------ life */

static bool says_active(const struct context *x)
{
	const struct pib_frwk_pib_incarnation *inc = x->used ? incarnation(x->store) : NULL;

	return inc != NULL && inc->active == PIB_FRWK_PIB_INCARNATION_ACTIVE_TRUE;
}

/*
 * The one that says it is in force.  Two say so when the agent was killed between the two journals
 * of a take-over: then the one that was written last.
 */
static void choose(struct pep_type *t)
{
	for (unsigned i = 0; i < PEP_CONTEXTS_MAX; i++) {
		struct context *x = &t->ctx[i], *other = t->active;

		if (!says_active(x))
			continue;
		if (other == NULL || pep_cache_newer(x->cache, other->cache))
			t->active = x;
		if (other != NULL)
			row_retire(t->active == x ? other : x);
	}
}

int active_start(struct pep_type *t, char *err, size_t err_len)
{
	char path[4200];

	t->repair_ms = RECONCILE_MIN_MS;
	t->repair = evtimer_new(t->agent->base, on_repair, t);
	t->expiry = evtimer_new(t->agent->base, on_expiry, t);
	snprintf(path, sizeof(path), "%s/closed-%s", t->agent->conf->state_dir, t->client->name);
	t->closed = pib_store_new(t->schema, PIB_INSTALL, (size_t)t->agent->conf->max_rows);
	t->closed_cache = pep_cache_new(path);
	if (t->repair == NULL || t->expiry == NULL || t->closed == NULL ||
	    t->closed_cache == NULL || pep_cache_load(t->closed_cache, t->closed, err, err_len) < 0)
		return -1;
	choose(t);
	if (t->active != NULL && pib_store_count(t->closed, NULL) > 0)
		(void)copy_rows(t->closed, NULL, t->closed_cache); /* stopped between the two */
	/* rows without incarnation, and a first start */
	if (t->active == NULL && t->ctx[0].used && incarnation(t->ctx[0].store) == NULL &&
	    pib_store_count(t->closed, NULL) == 0)
		t->active = &t->ctx[0];
	return 0;
}

void active_resume(struct pep_type *t)
{
	struct context *x = t->active;
	int64_t lost_at = x != NULL ? pep_cache_lost(x->cache) : 0;

	if (x == NULL)
		return;
	if (lost_at == 0 && pep_cache_complete(x->cache)) { /* killed: the time runs from now */
		pep_cache_lost_put(x->cache, (int64_t)time(NULL));
		(void)pep_cache_flush(x->cache, x->store);
	}
	arm(t, lost_at);
}

void active_clear(struct pep_type *t)
{
	if (t->repair != NULL)
		event_free(t->repair);
	if (t->expiry != NULL)
		event_free(t->expiry);
	pep_cache_free(t->closed_cache);
	if (t->closed != NULL)
		pib_store_free(t->closed);
}
