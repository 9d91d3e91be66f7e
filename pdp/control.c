/* control.c - commands that change something; those that show are in show.c. */
#include "pdp/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/diag.h"
#include "common/json.h"
#include "common/log.h"
#include "pdp/acl.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pdp/wait.h"

#define WAIT_DEFAULT_S 60
#define WAIT_MAX_S     86400

int64_t control_wait_ms(const json_t *args)
{
	int64_t s = json_get_int(args, "wait", WAIT_DEFAULT_S);

	if (json_get_bool(args, "no-wait", false) || s < 0)
		return 0;
	return (s < WAIT_MAX_S ? s : WAIT_MAX_S) * 1000;
}

json_t *control_change_json(const struct change *c)
{
	json_t *o = json_pack("{s:b, s:s}", "changed", c->changed, "summary", c->summary);
	json_t *list = NULL;

	if (c->generation != 0)
		json_object_set_new(o, "generation", json_integer((json_int_t)c->generation));
	if (c->lsn != 0)
		json_object_set_new(o, "lsn", json_integer((json_int_t)c->lsn));
	for (size_t i = 0; i < c->notices; i++) {
		if (list == NULL)
			list = json_array();
		json_array_append_new(list, json_string(c->notice[i]));
	}
	if (list != NULL)
		json_object_set_new(o, "notices", list);
	return o;
}

/* One way out of a change that was not done. */
static void fail(
    struct ctl_req *req, enum change_result res, const struct diag *diag, const char *err)
{
	switch (res) {
	case CHANGE_REFUSED:
		ctl_req_fail(req, "refused", diag, "%zu error%s; nothing was changed", diag->errors,
		    diag->errors == 1 ? "" : "s");
		break;
	case CHANGE_NOT_FOUND:
		ctl_req_fail(req, "not_found", NULL, "%s", err);
		break;
	default:
		log_err("change failed: %s", err);
		ctl_req_fail(req, "failed", NULL, "%s; nothing was changed", err);
		break;
	}
}

static bool document(struct ctl_req *req, const json_t *args, struct change_text *t)
{
	const json_t *content = json_object_get(args, "content");

	if (!json_is_string(content)) {
		ctl_req_fail(req, "usage", NULL, "no document");
		return false;
	}
	*t = (struct change_text) {
	    .name = json_get_string(args, "file", "document"),
	    .text = json_string_value(content),
	    .len = json_string_length(content),
	    .who = ctl_req_user(req),
	    .comment = json_get_string(args, "comment", ""),
	};
	return true;
}

static void cmd_apply(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	enum change_result res;
	struct change_text t;
	char err[DB_ERR_LEN] = "";
	struct change c;
	struct diag diag;

	if (!document(req, args, &t))
		return;
	diag_init(&diag);
	res = change_apply(&p->env, &t, &diag, &c, err);
	if (res == CHANGE_OK)
		wait_start(p, req, &c, control_change_json(&c), control_wait_ms(args));
	else
		fail(req, res, &diag, err);
	change_clear(&c);
	diag_clear(&diag);
}

static void cmd_check(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	enum change_result res;
	struct change_text t;
	char err[DB_ERR_LEN] = "";
	struct change c;
	struct diag diag;
	json_t *o;

	if (!document(req, args, &t))
		return;
	diag_init(&diag);
	res = change_check(&p->env, &t, &diag, &c, err);
	if (res == CHANGE_OK) {
		o = control_change_json(&c);
		json_object_set_new(o, "ces_concerned", json_integer((json_int_t)c.counts.ces));
		json_object_set_new(
		    o, "rows_installed", json_integer((json_int_t)c.counts.rows_installed));
		json_object_set_new(
		    o, "rows_removed", json_integer((json_int_t)c.counts.rows_removed));
		ctl_req_done(req, o);
	} else {
		fail(req, res, &diag, err);
	}
	change_clear(&c);
	diag_clear(&diag);
}

static void cmd_delete_customer(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	const struct change_text t = {
	    .who = ctl_req_user(req),
	    .comment = json_get_string(args, "comment", ""),
	};
	char err[DB_ERR_LEN] = "";
	enum change_result res;
	struct change c;

	res = change_delete(&p->env, json_get_string(args, "name", ""), &t, &c, err);
	if (res == CHANGE_OK)
		wait_start(p, req, &c, control_change_json(&c), control_wait_ms(args));
	else
		fail(req, res, NULL, err);
	change_clear(&c);
}

static void cmd_rekey(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	char err[DB_ERR_LEN] = "";
	enum change_result res;
	struct change c;

	res = change_rekey(&p->env, json_get_string(args, "vpn", NULL), &c, err);
	if (res == CHANGE_OK)
		ctl_req_done(req, control_change_json(&c));
	else
		fail(req, res, NULL, err);
	change_clear(&c);
}

/* Of every client-type that knows the CE; *i is of the first.  False: none does. */
static bool retry_all(struct pdp *p, const char *ce, struct sync_info *i)
{
	bool found = false;

	for (size_t k = 0; k < p->types; k++)
		if (sync_retry(p->type[k].sync, ce))
			found = found || sync_info(p->type[k].sync, ce, i);
	return found;
}

void control_no_ce(struct pdp *p, struct ctl_req *req, const char *ce)
{
	if (acl_revoked(p->acl, ce))
		ctl_req_fail(req, "failed", NULL, "%s is revoked", ce);
	else if (registry_ce(p->db.registry, ce) != NULL)
		ctl_req_fail(req, "failed", NULL, "%s is unmanaged: it gets nothing from here", ce);
	else
		ctl_req_fail(req, "not_found", NULL, "no CE \"%s\"", ce);
}

static void cmd_sync(void *arg, struct ctl_req *req, const json_t *args)
{
	char buf[CE_NAME_MAX] = "";
	const char *ce = control_ce(args, "ce", buf);
	struct pdp *p = arg;
	struct sync_info i;

	if (ce == NULL || !retry_all(p, ce, &i))
		control_no_ce(p, req, buf);
	else if (i.state == SYNC_OFFLINE)
		ctl_req_fail(req, "failed", NULL,
		    "%s is not connected; it gets what it lacks when it is", ce);
	else
		ctl_req_done(req, json_pack("{s:s, s:s}", "ce", ce, "state", sync_state_name(&i)));
}

/* A refresh of a CE's client-types, one after the other; req is NULL when nobody waits any more. */
struct refreshing {
	struct pdp *pdp;
	struct ctl_req *req;
	size_t type;  /* which one is next */
	size_t count; /* done */
	char ce[CE_NAME_MAX];
};

static void refresh_next(struct refreshing *r);

static void refresh_failed(struct refreshing *r, const char *why, const char *failure)
{
	json_t *f = failure != NULL ? json_loads(failure, 0, NULL) : NULL;
	const char *row = json_get_string(f, "row", "");
	const char *column = json_get_string(f, "column", "");

	if (f == NULL)
		ctl_req_fail(r->req, "failed", NULL, "%s: %s", r->ce, why);
	else
		ctl_req_fail(r->req, "failed", NULL, "%s: %s: %s%s%s%s%s (%s); all is as it was",
		    r->ce, why, row, *column != '\0' ? " " : "", column, *row != '\0' ? ": " : "",
		    json_get_string(f, "text", ""), json_get_string(f, "error", ""));
	json_decref(f);
}

static void on_refreshed(void *arg, const char *ce, const char *why, const char *failure)
{
	struct refreshing *r = arg;

	(void)ce;
	if (why == NULL && r->req != NULL) {
		r->count++;
		refresh_next(r);
		return;
	}
	if (r->req != NULL)
		refresh_failed(r, why, failure);
	free(r);
}

static void on_refresh_cancel(void *arg)
{
	((struct refreshing *)arg)->req = NULL;
}

static void refresh_next(struct refreshing *r)
{
	while (r->type < r->pdp->types)
		if (sync_refresh(r->pdp->type[r->type++].sync, r->ce, on_refreshed, r))
			return;
	if (r->count > 0)
		ctl_req_done(r->req,
		    json_pack("{s:s, s:I}", "ce", r->ce, "refreshed", (json_int_t)r->count));
	else
		ctl_req_fail(
		    r->req, "busy", NULL, "%s is being refreshed, or has no policy", r->ce);
	free(r);
}

static void cmd_refresh(void *arg, struct ctl_req *req, const json_t *args)
{
	char buf[CE_NAME_MAX] = "";
	const char *ce = control_ce(args, "ce", buf);
	struct refreshing *r;
	struct pdp *p = arg;
	struct sync_info i;
	bool found = false;

	for (size_t k = 0; k < p->types && ce != NULL && !found; k++)
		found = sync_info(p->type[k].sync, ce, &i);
	if (!found) {
		control_no_ce(p, req, buf);
	} else if (i.sid == 0) {
		ctl_req_fail(req, "failed", NULL, "%s is not connected", ce);
	} else if ((r = calloc(1, sizeof(*r))) == NULL) {
		ctl_req_fail(req, "failed", NULL, "out of memory");
	} else {
		*r = (struct refreshing) {.pdp = p, .req = req};
		snprintf(r->ce, sizeof(r->ce), "%s", ce);
		ctl_req_on_cancel(req, on_refresh_cancel, r);
		refresh_next(r);
	}
}

static void cmd_reload(void *arg, struct ctl_req *req, const json_t *args)
{
	char err[4096];

	(void)args;
	if (pdp_reload(arg, err, sizeof(err)) == 0)
		ctl_req_done(req, json_pack("{s:b}", "reloaded", true));
	else
		ctl_req_fail(req, "refused", NULL, "%s", err);
}

const struct ctl_handler pdp_ctl_handlers[] = {
    {"apply", cmd_apply},
    {"check", cmd_check},
    {"delete customer", cmd_delete_customer},
    {"rekey", cmd_rekey},
    {"revoke", cmd_revoke},
    {"reinstate", cmd_reinstate},
    {"readmit", cmd_readmit},
    {"allow", cmd_allow},
    {"deny", cmd_deny},
    {"sync", cmd_sync},
    {"refresh", cmd_refresh},
    {"reload", cmd_reload},
    {"show status", show_status},
    {"show sessions", show_sessions},
    {"show vpns", show_vpns},
    {"show vpn", show_vpn},
    {"show ces", show_ces},
    {"show ce", show_ce},
    {"show pib", show_pib},
    {"show clients", show_clients},
    {"show tunnels", show_tunnels},
    {"show learned", show_learned},
    {"show history", show_history},
    {"show requests", show_requests},
    {"log", ctl_cmd_log},
    {0},
};
