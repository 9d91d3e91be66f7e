/* control_member.c - copsctl's commands about who is in and who is out (membership.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "pdp/acl.h"
#include "pdp/control.h"
#include "pdp/leave.h"
#include "pdp/membership.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pdp/vpn.h"
#include "pdp/wait.h"
#include "pdp/worker.h"

#define VPN_NAME_MAX 256

/* The VPN of the request as "customer/vpn"; false: it is answered. */
static bool vpn_arg(struct pdp *p, struct ctl_req *req, const json_t *args, char name[VPN_NAME_MAX])
{
	const char *given = json_get_string(args, "vpn", "");
	const struct model_vpn *v;
	bool many;

	v = registry_vpn(p->db.registry, given, &many);
	if (v == NULL) {
		ctl_req_fail(req, "not_found", NULL,
		    many ? "several VPNs are named \"%s\": say customer/vpn" : "no VPN \"%s\"",
		    given);
		return false;
	}
	snprintf(name, VPN_NAME_MAX, "%s/%s", v->customer->name, v->name);
	return true;
}

/* Carry it out, and answer when those it concerns have confirmed. */
static bool carry_out(struct pdp *p, struct ctl_req *req, const json_t *args,
    const struct verdict *v, bool gone, const char *what)
{
	const struct change_text t = {
	    .who = ctl_req_user(req),
	    .comment = v->reason != NULL ? v->reason : "",
	};
	char err[DB_ERR_LEN] = "";
	struct change c;
	bool good;

	good = change_verdict(&p->env, v, gone, what, &t, &c, err) == CHANGE_OK;
	if (good)
		wait_start(p, req, &c, control_change_json(&c), control_wait_ms(args));
	else
		ctl_req_fail(req, "failed", NULL, "%s; nothing was changed", err);
	change_clear(&c);
	return good;
}

/* ------------------------------------------------------------------ revoke, reinstate */

/* Of other client-types too: one connection is for all of them. */
static void sessions_end(struct pdp *p, const char *ce)
{
	struct sync_info i;

	for (size_t k = 0; k < p->types; k++)
		if (sync_info(p->type[k].sync, ce, &i) && i.sid != 0)
			workers_close(p->workers, i.sid, COPS_ERR_AUTH_FAILURE, "revoked");
}

static bool is_known(struct pdp *p, const char *ce)
{
	struct sync_info i;

	for (size_t k = 0; k < p->types; k++)
		if (sync_info(p->type[k].sync, ce, &i))
			return true;
	return registry_ce(p->db.registry, ce) != NULL;
}

void cmd_revoke(void *arg, struct ctl_req *req, const json_t *args)
{
	char ce[CE_NAME_MAX] = "", what[CE_NAME_MAX + 16];
	struct pdp *p = arg;
	const struct verdict v = {.kind = VERDICT_REVOKED,
	    .ce = ce,
	    .vpn = "",
	    .at = (int64_t)time(NULL),
	    .who = ctl_req_user(req),
	    .reason = json_get_string(args, "reason", "")};

	control_ce(args, "ce", ce);
	if (verdicts_find(p->db.verdicts, v.kind, ce, "") != NULL) {
		ctl_req_fail(req, "refused", NULL, "%s is revoked already", ce);
	} else if (!is_known(p, ce)) {
		ctl_req_fail(req, "not_found", NULL, "no CE \"%s\"", ce);
	} else {
		snprintf(what, sizeof(what), "CE %s revoked", ce);
		if (carry_out(p, req, args, &v, false, what)) {
			sessions_end(p, ce);
			log_warn("%s is revoked by %s: %s", ce, v.who, v.reason);
		}
	}
}

void cmd_reinstate(void *arg, struct ctl_req *req, const json_t *args)
{
	char ce[CE_NAME_MAX] = "", what[CE_NAME_MAX + 16];
	struct pdp *p = arg;
	const struct verdict v = {.kind = VERDICT_REVOKED, .ce = ce, .vpn = ""};
	const struct verdict *was;

	control_ce(args, "ce", ce);
	was = verdicts_find(p->db.verdicts, v.kind, ce, "");
	if (was == NULL) {
		ctl_req_fail(req, "not_found", NULL, "%s is not revoked", ce);
		return;
	}
	acl_reinstate(p->acl, ce);
	snprintf(what, sizeof(what), "CE %s reinstated", ce);
	if (!carry_out(p, req, args, &v, true, what) && acl_revoke(p->acl, ce) != 0)
		log_err("out of memory: %s is not kept out any more", ce);
}

/* ------------------------------------------------------------------------ readmit */

void cmd_readmit(void *arg, struct ctl_req *req, const json_t *args)
{
	char ce[CE_NAME_MAX] = "", vpn[VPN_NAME_MAX], what[CE_NAME_MAX + VPN_NAME_MAX + 16];
	struct pdp *p = arg;
	const struct verdict v = {.kind = VERDICT_LEFT, .ce = ce, .vpn = vpn};

	control_ce(args, "ce", ce);
	if (!vpn_arg(p, req, args, vpn))
		return;
	if (verdicts_find(p->db.verdicts, v.kind, ce, vpn) == NULL) {
		ctl_req_fail(req, "not_found", NULL, "%s has not left %s", ce, vpn);
		return;
	}
	snprintf(what, sizeof(what), "CE %s readmitted to %s", ce, vpn);
	carry_out(p, req, args, &v, true, what);
}

/* ------------------------------------------------------- CEs that ask to leave */

/* The wish of the request's CE and VPN; false: it is answered. */
static bool wish_arg(struct pdp *p, struct ctl_req *req, const json_t *args, char ce[CE_NAME_MAX],
    char vpn[VPN_NAME_MAX], struct leave *x)
{
	const struct model_vpn *v;
	bool many;

	ce[0] = '\0';
	control_ce(args, "ce", ce);
	if (!vpn_arg(p, req, args, vpn))
		return false;
	v = registry_vpn(p->db.registry, vpn, &many);
	if (v != NULL && leaves_find(vpn_leaves(p->vpn), ce, v->id->number, x))
		return true;
	ctl_req_fail(req, "not_found", NULL, "%s does not ask to leave %s", ce, vpn);
	return false;
}

void cmd_allow(void *arg, struct ctl_req *req, const json_t *args)
{
	char ce[CE_NAME_MAX], vpn[VPN_NAME_MAX], err[DB_ERR_LEN] = "";
	struct pdp *p = arg;
	struct change c;
	struct leave x;

	if (!wish_arg(p, req, args, ce, vpn, &x))
		return;
	if (membership_leave(p, &x, ctl_req_user(req), &c, err) == CHANGE_OK)
		wait_start(p, req, &c, control_change_json(&c), control_wait_ms(args));
	else
		ctl_req_fail(req, "failed", NULL, "%s; nothing was changed", err);
	change_clear(&c);
}

void cmd_deny(void *arg, struct ctl_req *req, const json_t *args)
{
	char ce[CE_NAME_MAX], vpn[VPN_NAME_MAX], err[DB_ERR_LEN] = "";
	struct pdp *p = arg;
	const struct verdict v = {.kind = VERDICT_DENIED,
	    .ce = ce,
	    .vpn = vpn,
	    .at = (int64_t)time(NULL),
	    .who = ctl_req_user(req),
	    .reason = json_get_string(args, "reason", "")};
	const struct store_verdict stored = {.verdict = &v};
	struct held_verdict *was;
	struct sync_info i;
	struct leave x;

	if (!wish_arg(p, req, args, ce, vpn, &x))
		return;
	was = verdicts_set_aside(p->db.verdicts, v.kind, ce, vpn);
	if (verdicts_put(p->db.verdicts, &v) != 0 ||
	    p->db.ops->save_membership(p->db.store, &stored, NULL, false, err, sizeof(err)) != 0) {
		verdicts_drop(p->db.verdicts, v.kind, ce, vpn);
		verdicts_put_back(p->db.verdicts, was);
		ctl_req_fail(req, "failed", NULL, "%s", err[0] != '\0' ? err : "out of memory");
		return;
	}
	verdict_free(was);
	log_note("%s may not leave %s, says %s: %s", ce, vpn, v.who, v.reason);
	membership_tell(p);
	ctl_req_done(req, json_pack("{s:s, s:s, s:s}", "ce", ce, "vpn", vpn, "state",
			      sync_info(p->sync, ce, &i) && i.state != SYNC_OFFLINE
				  ? "denied, being told"
				  : "denied, is told on connecting"));
}

void show_requests(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	ctl_req_done(req, membership_requests(arg));
}
