/* change.c - see change.h. */
#include "pdp/change.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/diag.h"
#include "common/log.h"
#include "pdp/acl.h"
#include "pdp/change_int.h"
#include "pdp/intent.h"
#include "pdp/sync.h"
#include "pdp/vpn.h"

void change_clear(struct change *c)
{
	for (size_t i = 0; i < c->ces; i++)
		free(c->ce[i]);
	for (size_t i = 0; i < c->notices; i++)
		free(c->notice[i]);
	free(c->notice);
	free(c->ce);
	free(c->fresh);
	*c = (struct change) {0};
}

/* ------------------------------------------------------------- what changes */

static void counts_add(struct delta_counts *to, const struct delta_counts *n)
{
	to->members_added += n->members_added;
	to->members_removed += n->members_removed;
	to->members_changed += n->members_changed;
	to->vpns_added += n->vpns_added;
	to->vpns_removed += n->vpns_removed;
	to->vpns_changed += n->vpns_changed;
	to->ces += n->ces;
	to->rows_installed += n->rows_installed;
	to->rows_removed += n->rows_removed;
}

static void put_count(char *text, size_t size, size_t n, const char *what, const char *done)
{
	size_t at = strlen(text);

	if (n > 0)
		snprintf(text + at, size - at, "%s%zu %s%s %s", at > 0 ? ", " : "", n, what,
		    n == 1 ? "" : "s", done);
}

static void summarize(struct change *c)
{
	const struct delta_counts *n = &c->counts;
	char *s = c->summary;
	size_t size = sizeof(c->summary);

	s[0] = '\0';
	put_count(s, size, c->ces_added, "CE", "added");
	put_count(s, size, c->ces_removed, "CE", "removed");
	put_count(s, size, n->vpns_added, "VPN", "added");
	put_count(s, size, n->vpns_removed, "VPN", "removed");
	put_count(s, size, n->vpns_changed, "VPN", "changed");
	put_count(s, size, n->members_added, "site", "added");
	put_count(s, size, n->members_removed, "site", "removed");
	put_count(s, size, n->members_changed, "site", "changed");
	if (s[0] == '\0')
		snprintf(s, size, c->changed ? "no rows changed" : "nothing changed");
}

/* CEs of a that b lacks, or (how) has with another address or managed otherwise. */
static size_t ces_missing(const struct customer *a, const struct customer *b, bool how)
{
	const struct model_ce *other;
	size_t n = 0;

	for (size_t i = 0; a != NULL && i < a->ces; i++) {
		other = b != NULL ? customer_ce_find(b, a->ce[i].name) : NULL;
		if (other == NULL || (how && (addr_cmp(&other->address, &a->ce[i].address) != 0 ||
						 other->foreign != a->ce[i].foreign)))
			n++;
	}
	return n;
}

/* What a member may learn is in no row, nor is that the intent names what it has learned. */
static bool learns_differ(const struct model_member *a, const struct model_member *b)
{
	if (a->max_learned != b->max_learned || a->learns != b->learns || a->sites != b->sites)
		return true;
	for (size_t i = 0; i < a->sites; i++)
		if (a->site[i].learned != b->site[i].learned)
			return true;
	for (size_t i = 0; i < a->learns; i++)
		if (prefix_cmp(&a->learn[i], &b->learn[i]) != 0)
			return true;
	return false;
}

/* Is there a difference that no CE is told of? */
static bool quietly_differs(const struct customer *before, const struct customer *after)
{
	for (size_t i = 0; before != NULL && after != NULL && i < after->vpns; i++) {
		const struct model_vpn *a = &after->vpn[i];
		const struct model_vpn *b = customer_vpn_by_number(before, a->id->number);

		if (b != NULL && a->leave_allowed != b->leave_allowed)
			return true;
		for (size_t k = 0; b != NULL && k < a->members; k++) {
			const struct model_member *m = vpn_member_find(b, a->member[k].id->number);

			if (m != NULL && learns_differ(m, &a->member[k]))
				return true;
		}
	}
	return false;
}

/* Count what differs.  -1: memory. */
int change_measure(struct change_work *w)
{
	struct change *c = w->c;
	struct delta_counts n;
	size_t addresses = 0;

	for (size_t i = 0; i < w->pairs; i++) {
		const struct change_pair *p = &w->pair[i];

		if (delta_dry(p->before, p->after, &n) != 0)
			return -1;
		counts_add(&c->counts, &n);
		c->ces_added += ces_missing(p->after, p->before, false);
		c->ces_removed += ces_missing(p->before, p->after, false);
		addresses += ces_missing(p->after, p->before, true);
		c->changed |= p->before == NULL || p->after == NULL ||
			      quietly_differs(p->before, p->after);
	}
	n = c->counts;
	c->changed |= addresses + c->ces_added + c->ces_removed + n.members_added +
			  n.members_removed + n.members_changed + n.vpns_added + n.vpns_removed +
			  n.vpns_changed + n.ces >
		      0;
	summarize(c);
	return 0;
}

void change_work_clear(struct change_work *w)
{
	for (size_t i = 0; i < w->pairs; i++) {
		customer_unref(w->pair[i].before);
		customer_unref(w->pair[i].after);
	}
	for (size_t i = 0; i < w->departures; i++)
		departure_clear(&w->departure[i]);
	free(w->departure);
	free(w->verdict);
	free(w->pair);
	sync_push_free(w->push);
}

int change_put_verdict(struct change_work *w, const struct verdict *v, bool gone)
{
	struct store_verdict *more = reallocarray(w->verdict, w->verdicts + 1, sizeof(*more));

	if (more == NULL)
		return -1;
	w->verdict = more;
	more[w->verdicts++] = (struct store_verdict) {.verdict = v, .gone = gone};
	return 0;
}

int change_put(struct change_work *w, struct customer *before, struct customer *after)
{
	struct change_pair *more = reallocarray(w->pair, w->pairs + 1, sizeof(*more));

	if (more == NULL)
		return -1;
	w->pair = more;
	more[w->pairs++] = (struct change_pair) {
	    .before = before != NULL ? customer_ref(before) : NULL,
	    .after = after != NULL ? customer_ref(after) : NULL,
	};
	return 0;
}

struct judging {
	struct change_work *w;
	int rc;
};

static bool has_member(const struct customer *k, const char *vpn, const char *ce)
{
	const struct model_vpn *v = k != NULL ? customer_vpn_find(k, vpn) : NULL;
	const struct model_ce *e = v != NULL ? customer_ce_find(k, ce) : NULL;

	return e != NULL && vpn_member_of(v, e) != NULL;
}

/* What was decided of members that are not in the document any more is over; the rest holds on. */
static void verdict_judge(void *arg, const struct verdict *v)
{
	struct judging *j = arg;

	for (size_t i = 0; v->kind != VERDICT_REVOKED && i < j->w->pairs; i++) {
		const struct change_pair *p = &j->w->pair[i];
		const char *name = p->after != NULL ? p->after->name : p->before->name;
		size_t len = strlen(name);

		if (strncmp(v->vpn, name, len) != 0 || v->vpn[len] != '/')
			continue;
		if (v->kind == VERDICT_LEFT && p->after != NULL &&
		    customer_excludes(p->after, v->vpn + len + 1, v->ce))
			continue;
		if (v->kind == VERDICT_DENIED && has_member(p->after, v->vpn + len + 1, v->ce))
			continue;
		/* a revoked CE hides what else holds of it */
		if (p->after != NULL && customer_excludes(p->after, NULL, v->ce))
			continue;
		j->rc |= change_put_verdict(j->w, v, true);
		j->w->c->changed = true;
	}
}

static int notice(struct change *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int notice(struct change *c, const char *fmt, ...)
{
	char **more = reallocarray(c->notice, c->notices + 1, sizeof(char *));
	va_list ap;
	int n;

	if (more == NULL)
		return -1;
	c->notice = more;
	va_start(ap, fmt);
	n = vasprintf(&more[c->notices], fmt, ap);
	va_end(ap);
	return n < 0 ? -1 : (c->notices++, 0);
}

#define NOTICES_MAX 20

/* The document has them, and they stay out: whoever applies it should know. */
static int notices(struct change_work *w, const struct customer *k)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < k->excludeds && w->c->notices < NOTICES_MAX; i++) {
		const struct model_excluded *x = &k->excluded[i];

		if (x->vpn == NULL)
			rc = notice(w->c, "%s is revoked and stays out: copsctl reinstate %s",
			    x->ce, x->ce);
		else if (!customer_excludes(k, NULL, x->ce))
			rc = notice(w->c,
			    "%s has left %s/%s and stays out: copsctl readmit %s %s/%s", x->ce,
			    k->name, x->vpn, x->ce, k->name, x->vpn);
	}
	return rc;
}

static int verdicts_judge(struct change_work *w)
{
	struct judging j = {.w = w};

	verdicts_each(w->env->db->verdicts, verdict_judge, &j);
	for (size_t i = 0; j.rc == 0 && i < w->pairs; i++)
		if (w->pair[i].after != NULL)
			j.rc = notices(w, w->pair[i].after);
	return j.rc;
}

/* Read the document into w.  Numbers may have been handed out, see intent_parse(). */
static enum change_result work_parse(
    struct change_work *w, const struct change_text *t, struct diag *diag, char err[DB_ERR_LEN])
{
	struct db *db = w->env->db;
	struct intent_env env = {.ids = db->ids,
	    .max_octets = db->max_document,
	    .excluded = verdicts_excluded,
	    .excluded_arg = db->verdicts};
	struct intent in;
	int rc = 0;

	registry_env(db->registry, &env);
	env.caps = vpn_caps;
	env.caps_arg = w->env->vpn;
	if (intent_parse(t->name, t->text, t->len, &env, &in, diag) != 0)
		return CHANGE_REFUSED;
	for (size_t i = 0; rc == 0 && i < in.customers; i++) {
		nat_fill(db->nat, in.customer[i]);
		rc = learned_fill(db->learned, db->ids, in.customer[i]);
	}
	for (size_t i = 0; rc == 0 && i < in.customers; i++)
		rc = change_put(
		    w, registry_find(db->registry, in.customer[i]->name), in.customer[i]);
	intent_clear(&in);
	w->how = "edit";
	if (rc == 0)
		rc = verdicts_judge(w);
	if (rc == 0)
		rc = change_measure(w);
	if (rc == 0)
		return CHANGE_OK;
	snprintf(err, DB_ERR_LEN, "out of memory");
	return CHANGE_FAILED;
}

enum change_result change_check(struct change_env *env, const struct change_text *t,
    struct diag *diag, struct change *c, char err[DB_ERR_LEN])
{
	struct change_work w = {.env = env, .c = c};
	enum change_result res;

	*c = (struct change) {0};
	res = work_parse(&w, t, diag, err);
	change_work_clear(&w);
	ids_rollback(env->db->ids);
	return res;
}

/* ------------------------------------------------------------------ commit */

static int concerned_put(struct change *c, const char *name)
{
	char **more;

	if ((c->ces & (c->ces - 1)) == 0) { /* a power of two: full */
		more = reallocarray(c->ce, c->ces == 0 ? 1 : c->ces * 2, sizeof(char *));
		if (more == NULL)
			return -1;
		c->ce = more;
	}
	c->ce[c->ces] = strdup(name);
	return c->ce[c->ces] != NULL ? (c->ces++, 0) : -1;
}

static int on_delta(void *arg, const struct model_ce *ce, const struct delta_list *l)
{
	struct change_work *w = arg;

	if (w->revoked != NULL && strcmp(w->revoked, ce->name) == 0)
		return 0;
	if (concerned_put(w->c, ce->name) != 0)
		return -1;
	return sync_push_add(w->push, ce->name, l);
}

static bool is_member(const struct customer *c, const struct model_member *m)
{
	const struct model_vpn *v = c != NULL ? customer_vpn_by_number(c, m->vpn->id->number)
					      : NULL;

	return v != NULL && vpn_member_find(v, m->id->number) != NULL;
}

/* Members that go, of VPNs that stay: who is to confirm it?  Without memory nobody is asked. */
static void departures_put(struct change_work *w, const struct change_pair *p, uint64_t lsn)
{
	int64_t now = (int64_t)time(NULL);
	size_t pairs = 0, lost = 0;
	struct departure *more;

	for (size_t i = 0; i < w->departures; i++)
		pairs += w->departure[i].waits;
	for (size_t i = 0; p->before != NULL && p->after != NULL && i < p->before->vpns; i++) {
		const struct model_vpn *v = &p->before->vpn[i];

		if (customer_vpn_by_number(p->after, v->id->number) == NULL)
			continue;
		for (size_t k = 0; k < v->members; k++) {
			if (is_member(p->after, &v->member[k]))
				continue;
			more = reallocarray(w->departure, w->departures + 1, sizeof(*more));
			if (more == NULL)
				return;
			w->departure = more;
			if (departure_init(w->env->db->departed, &more[w->departures],
				&v->member[k], pairs, w->how, lsn, now) == 0)
				pairs += more[w->departures++].waits;
			else
				lost++;
		}
	}
	if (lost > 0)
		log_warn(
		    "%s: nobody follows who confirms that %zu members are gone: too many pairs "
		    "of them and their peers",
		    p->before->name, lost);
}

/* Stamp, work out who gets what, and store; nothing has left yet. */
static int work_commit(struct change_work *w, const struct change_text *t, char err[DB_ERR_LEN])
{
	struct db *db = w->env->db;
	const char **defined = calloc(w->pairs + 1, sizeof(*defined));
	const char **deleted = calloc(w->pairs + 1, sizeof(*deleted));
	struct store_generation g = {
	    .number = db->generation + 1,
	    .lsn = db->lsn + 1,
	    .when = (int64_t)time(NULL),
	    .who = t->who,
	    .comment = t->comment,
	    .summary = w->c->summary,
	    .xml = t->text,
	    .xml_len = t->len,
	};
	size_t n = 0, gone = 0;
	struct delta_counts counts;
	int rc = -1;

	snprintf(err, DB_ERR_LEN, "out of memory");
	w->push = sync_push_new(w->env->sync);
	if (defined == NULL || deleted == NULL || w->push == NULL)
		goto out;
	for (size_t i = 0; i < w->pairs; i++) {
		const struct change_pair *p = &w->pair[i];

		if (delta_each(p->before, p->after, db->ids, g.lsn, keyring_delta(db->keys),
			on_delta, w, &counts) != 0)
			goto out;
		if (p->after != NULL && learned_settle(db, p->after, err, DB_ERR_LEN) != 0)
			goto out;
		departures_put(w, p, g.lsn);
		if (p->after != NULL && t->text != NULL) {
			p->after->generation = g.number;
			defined[n++] = p->after->name;
		} else if (p->after == NULL) {
			deleted[gone++] = p->before->name;
		}
	}
	g.verdict = w->verdict;
	g.verdicts = w->verdicts;
	g.departure = w->departure;
	g.departures = w->departures;
	rc = db->ops->commit_generation(
	    db->store, &g, defined, n, deleted, gone, db->ids, err, DB_ERR_LEN);
	if (rc == 0) {
		ids_dirty_clear(db->ids);
		db->lsn = w->c->lsn = g.lsn;
		db->generation = w->c->generation = g.number;
	}
out:
	free(defined);
	free(deleted);
	return rc;
}

/* Who has new peers: new members, and all of a VPN whose structure changed. */
static void fresh_put(struct change_work *w, const struct change_pair *p)
{
	struct change *c = w->c;
	uint32_t *more;

	for (size_t i = 0; p->after != NULL && i < p->after->vpns; i++) {
		const struct model_vpn *v = &p->after->vpn[i];

		more = v->ike ? NULL
			      : reallocarray(c->fresh, c->freshes + v->members, sizeof(*more));
		if (more == NULL)
			continue;
		c->fresh = more;
		for (size_t k = 0; k < v->members; k++)
			if (v->id->aux_lsn == c->lsn || !is_member(p->before, &v->member[k]))
				more[c->freshes++] = v->member[k].id->number;
	}
}

static void members_drop(struct change_work *w, const struct change_pair *p)
{
	for (size_t i = 0; p->before != NULL && i < p->before->vpns; i++) {
		const struct model_vpn *v = &p->before->vpn[i];

		for (size_t k = 0; k < v->members; k++)
			if (!is_member(p->after, &v->member[k]))
				keyring_drop(w->env->db->keys, &v->member[k], w->c->lsn);
	}
}

/* Who went is to be confirmed, who is back is not, and what was decided of others is over. */
static void membership_enact(struct change_work *w)
{
	struct db *db = w->env->db;
	const struct verdict *v;

	for (size_t i = 0; i < w->pairs; i++) {
		const struct customer *k = w->pair[i].after;

		for (size_t n = 0; departed_count(db->departed) > 0 && k != NULL && n < k->vpns;
		     n++)
			for (size_t m = 0; m < k->vpn[n].members; m++)
				departed_drop(db->departed, k->vpn[n].member[m].id->number);
	}
	for (size_t i = 0; i < w->departures; i++)
		if (departed_put(db->departed, &w->departure[i]) != 0)
			log_err("out of memory for who confirms that a member left");
	for (size_t i = 0; i < w->verdicts; i++)
		if (w->verdict[i].gone &&
		    (v = verdicts_find(db->verdicts, w->verdict[i].verdict->kind,
			 w->verdict[i].verdict->ce, w->verdict[i].verdict->vpn)) != NULL) {
			log_note(
			    "%s, %s: what was decided is over, it is not in the intent any more",
			    v->ce, v->vpn);
			verdicts_drop(db->verdicts, v->kind, v->ce, v->vpn);
		}
}

/* Committed: make it so in memory and send. */
static void work_enact(struct change_work *w)
{
	struct change_env *env = w->env;
	struct registry *reg = env->db->registry;
	const struct model_ce *ce;
	const struct customer *c;
	int rc = 0;

	membership_enact(w);
	if (w->revoked != NULL)
		rc |= acl_revoke(env->acl, w->revoked);
	for (size_t i = 0; i < w->pairs; i++)
		if (w->pair[i].before != NULL)
			registry_remove(reg, w->pair[i].before->name);
	for (size_t i = 0; i < w->pairs; i++) {
		c = w->pair[i].after;
		if (c != NULL)
			rc |= registry_put(reg, w->pair[i].after);
		for (size_t k = 0; c != NULL && k < c->ces; k++) {
			if (c->ce[k].foreign)
				continue;
			rc |= acl_add(env->acl, c->ce[k].name);
			rc |= sync_add(env->sync, c->ce[k].name);
		}
	}
	if (w->revoked != NULL)
		sync_revoke(env->sync, w->revoked);
	for (size_t i = 0; i < w->pairs; i++) {
		fresh_put(w, &w->pair[i]);
		members_drop(w, &w->pair[i]);
		learned_review(env->db->learned, w->pair[i].before);
		learned_review(env->db->learned, w->pair[i].after);
	}
	sync_push_send(w->push, w->c->lsn);
	w->push = NULL;
	for (size_t i = 0; i < w->pairs; i++) {
		c = w->pair[i].before;
		for (size_t k = 0; c != NULL && k < c->ces; k++) {
			ce = registry_ce(reg, c->ce[k].name);
			if (ce == NULL || ce->foreign)
				sync_leave(env->sync, c->ce[k].name);
		}
	}
	vpn_staged(env->vpn);
	if (rc != 0)
		log_err("generation %llu is stored, but memory is short: restart copspdpd",
		    (unsigned long long)w->c->generation);
}

/* Nothing changes, but some may lack what is in force already: they are concerned, and asked again.
 */
static void work_laggards(struct change_work *w)
{
	struct change *c = w->c;
	const struct customer *k;
	struct sync_info i;

	c->lsn = w->env->db->lsn;
	for (size_t p = 0; p < w->pairs; p++) {
		k = w->pair[p].before;
		for (size_t n = 0; k != NULL && n < k->ces; n++) {
			if (k->ce[n].foreign || !sync_info(w->env->sync, k->ce[n].name, &i) ||
			    (i.known && !i.failed && i.applied >= i.wanted))
				continue;
			if (concerned_put(c, i.name) == 0)
				sync_retry(w->env->sync, i.name);
		}
	}
	if (c->ces > 0)
		snprintf(c->summary, sizeof(c->summary),
		    "nothing changed; %zu CE%s to be told what is in force", c->ces,
		    c->ces == 1 ? " is" : "s are");
}

enum change_result change_do(
    struct change_work *w, const struct change_text *t, char err[DB_ERR_LEN])
{
	enum change_result res = CHANGE_OK;

	if (w->c->changed && work_commit(w, t, err) != 0)
		res = CHANGE_FAILED;
	else if (w->c->changed)
		work_enact(w);
	else
		work_laggards(w);
	change_work_clear(w);
	if (res != CHANGE_OK || !w->c->changed)
		ids_rollback(w->env->db->ids);
	if (res == CHANGE_OK && w->c->changed)
		log_note("generation %llu by %s: %s; %zu CEs concerned",
		    (unsigned long long)w->c->generation, t->who, w->c->summary, w->c->ces);
	return res;
}

enum change_result change_apply(struct change_env *env, const struct change_text *t,
    struct diag *diag, struct change *c, char err[DB_ERR_LEN])
{
	struct change_work w = {.env = env, .c = c};
	enum change_result res;

	*c = (struct change) {0};
	res = work_parse(&w, t, diag, err);
	if (res == CHANGE_OK)
		return change_do(&w, t, err);
	change_work_clear(&w);
	ids_rollback(env->db->ids);
	return res;
}

enum change_result change_delete(struct change_env *env, const char *customer,
    const struct change_text *t, struct change *c, char err[DB_ERR_LEN])
{
	struct change_work w = {.env = env, .c = c};
	struct customer *before = registry_find(env->db->registry, customer);

	*c = (struct change) {0};
	if (before == NULL) {
		snprintf(err, DB_ERR_LEN, "no customer \"%s\"", customer);
		return CHANGE_NOT_FOUND;
	}
	if (change_put(&w, before, NULL) != 0 || verdicts_judge(&w) != 0 ||
	    change_measure(&w) != 0) {
		change_work_clear(&w);
		snprintf(err, DB_ERR_LEN, "out of memory");
		return CHANGE_FAILED;
	}
	return change_do(&w, t, err);
}

/* ------------------------------------------------------------------- rekey */

static int rekey_one(
    struct change_env *env, struct model_vpn *v, struct change *c, char err[DB_ERR_LEN])
{
	struct db *db = env->db;
	uint32_t serial = keyring_serial(db->keys, v->id->number) + 1;
	uint64_t lsn = db->lsn + 1;

	v->id->lsn = lsn;
	ids_touch(db->ids, v->id);
	if (db->ops->save_serial(db->store, lsn, v->id->number, serial, db->ids, err, DB_ERR_LEN) !=
	    0) {
		ids_rollback(db->ids);
		return -1;
	}
	ids_dirty_clear(db->ids);
	db->lsn = c->lsn = lsn;
	c->changed = true;
	c->counts.vpns_changed++;
	keyring_serial_set(db->keys, v->id->number, serial);
	for (size_t i = 0; i < v->members; i++) {
		concerned_put(c, v->member[i].ce->name);
		sync_changed(env->sync, v->member[i].ce->name, lsn);
	}
	log_note("rekey of VPN %s/%s, serial %u", v->customer->name, v->name, serial);
	return 0;
}

struct rekey_all {
	struct change_env *env;
	struct change *c;
	char *err;
	int rc;
};

static void rekey_customer(void *arg, struct customer *c)
{
	struct rekey_all *r = arg;

	for (size_t i = 0; r->rc == 0 && i < c->vpns; i++)
		if (!c->vpn[i].ike)
			r->rc = rekey_one(r->env, &c->vpn[i], r->c, r->err);
}

enum change_result change_rekey(
    struct change_env *env, const char *name, struct change *c, char err[DB_ERR_LEN])
{
	struct rekey_all all = {.env = env, .c = c, .err = err};
	struct model_vpn *v;
	bool many;

	*c = (struct change) {0};
	if (name == NULL) {
		registry_each(env->db->registry, rekey_customer, &all);
	} else {
		v = registry_vpn(env->db->registry, name, &many);
		if (v == NULL || v->ike) {
			snprintf(err, DB_ERR_LEN,
			    many	? "several VPNs are named \"%s\": say customer/vpn"
			    : v == NULL ? "no VPN \"%s\""
					: "VPN \"%s\" is keyed by IKE",
			    name);
			return CHANGE_NOT_FOUND;
		}
		all.rc = rekey_one(env, v, c, err);
	}
	snprintf(c->summary, sizeof(c->summary), "%zu VPN%s get%s new keys", c->counts.vpns_changed,
	    c->counts.vpns_changed == 1 ? "" : "s", c->counts.vpns_changed == 1 ? "s" : "");
	return all.rc == 0 ? CHANGE_OK : CHANGE_FAILED;
}

/* ------------------------------------------------------------------- pairs */

static bool is_up(struct change_env *env, const struct model_member *m)
{
	struct sync_info info;

	return sync_info(env->sync, m->ce->name, &info) && info.state != SYNC_OFFLINE &&
	       !info.failed;
}

static int number_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool is_fresh(const struct change *c, uint32_t m)
{
	return bsearch(&m, c->fresh, c->freshes, sizeof(m), number_cmp) != NULL;
}

void change_pairs(struct change_env *env, const struct change *c, size_t *pairs, size_t *keyed)
{
	struct db *db = env->db;
	const struct model_member *m, *other, *via;
	const struct model_vpn *v;
	const struct id_entry *e;
	struct model_seen seen;

	*pairs = *keyed = 0;
	if (c->freshes > 0)
		qsort(c->fresh, c->freshes, sizeof(*c->fresh), number_cmp);
	for (size_t i = 0; i < c->freshes; i++) {
		e = ids_find(db->ids, ID_MEMBER, c->fresh[i]);
		v = e != NULL ? registry_vpn_number(db->registry, e->vpn) : NULL;
		m = v != NULL ? vpn_member_find(v, c->fresh[i]) : NULL;
		if (m == NULL || !is_up(env, m))
			continue;
		model_seen_init(&seen, m);
		while ((other = model_seen_next(&seen)) != NULL) {
			if (model_view(m, other, &via) != VIEW_PEER ||
			    (other->id->number < m->id->number && is_fresh(c, other->id->number)) ||
			    !is_up(env, other))
				continue;
			++*pairs;
			*keyed += keyring_pair(db->keys, m->id->number, other->id->number);
		}
	}
}
