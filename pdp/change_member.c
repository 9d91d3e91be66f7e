/*
 * change_member.c - who is left out of what the documents say: customers concerned are built anew
 * from the documents in force, with the verdicts as they are to be.
 */
#include <stdio.h>
#include <string.h>

#include "pdp/change_int.h"

struct concerned { /* which customers are */
	struct change_work *w;
	const struct verdict *v;
	char *err;
	int rc;
};

static bool concerns(const struct customer *k, const struct verdict *v)
{
	size_t len = strlen(k->name);

	if (v->kind == VERDICT_REVOKED)
		return customer_ce_find(k, v->ce) != NULL || customer_excludes(k, NULL, v->ce);
	return v->kind == VERDICT_LEFT && strncmp(v->vpn, k->name, len) == 0 && v->vpn[len] == '/';
}

static void rebuild(void *arg, struct customer *k)
{
	struct concerned *x = arg;
	struct customer *after;

	if (x->rc != 0 || !concerns(k, x->v))
		return;
	after = db_rebuild(x->w->env->db, k, x->err);
	x->rc = after != NULL ? change_put(x->w, k, after) : -1;
	customer_unref(after);
}

enum change_result change_verdict(struct change_env *env, const struct verdict *v, bool gone,
    const char *what, const struct change_text *t, struct change *c, char err[DB_ERR_LEN])
{
	struct verdicts *vs = env->db->verdicts;
	struct change_work w = {.env = env, .c = c};
	struct concerned x = {.w = &w, .v = v, .err = err};
	enum change_result res = CHANGE_FAILED;
	struct held_verdict *was;
	char counts[sizeof(c->summary)];

	*c = (struct change) {0};
	snprintf(err, DB_ERR_LEN, "out of memory");
	w.how = v->kind == VERDICT_REVOKED ? "revoked" : "left";
	if (v->kind == VERDICT_REVOKED && !gone)
		w.revoked = v->ce;
	was = verdicts_set_aside(vs, v->kind, v->ce, v->vpn);
	if (!gone && verdicts_put(vs, v) != 0) {
		verdicts_put_back(vs, was);
		return CHANGE_FAILED;
	}
	registry_each(env->db->registry, rebuild, &x);
	if (x.rc == 0 && change_put_verdict(&w, v, gone) == 0 && change_measure(&w) == 0) {
		memcpy(counts, c->summary, sizeof(counts));
		if (c->changed)
			snprintf(c->summary, sizeof(c->summary), "%.100s: %.140s", what, counts);
		else
			snprintf(c->summary, sizeof(c->summary), "%.200s", what);
		c->changed = true;
		res = change_do(&w, t, err);
	} else {
		change_work_clear(&w);
		ids_rollback(env->db->ids);
	}
	if (res == CHANGE_OK) {
		verdict_free(was);
		return res;
	}
	verdicts_drop(vs, v->kind, v->ce, v->vpn);
	verdicts_put_back(vs, was);
	return res;
}
