/*
 * show_learned.c - copsctl show learned: the networks that CEs announce, which of them are in use,
 * and why the others are not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "pdp/control.h"
#include "pdp/learned.h"
#include "pdp/pdp.h"

#define LINES_MAX 20000 /* a CE may have LEARNED_ROWS_MAX */

struct listing {
	struct pdp *p;
	const struct model_vpn *vpn; /* only of this one; NULL: of all */
	json_t *list;
	size_t lines;
	const struct model_ce *ce; /* whose is looked at */
};

static json_t *vpn_name(const struct learned_info *i)
{
	return i->m != NULL ? json_sprintf("%s/%s", i->m->vpn->customer->name, i->m->vpn->name)
			    : json_sprintf("number %u", i->vpn);
}

static bool line_put(void *arg, const struct learned_info *i)
{
	char prefix[PREFIX_STRLEN], reason[LEARNED_REASON_LEN];
	struct listing *l = arg;
	json_t *o;

	if (l->vpn != NULL && (i->m == NULL || i->m->vpn != l->vpn))
		return true;
	if (l->lines++ == LINES_MAX)
		return false;
	learned_reason(i->m, &i->prefix, i->verdict, reason);
	o = json_pack("{s:s, s:o, s:s, s:s, s:I}", "ce", l->ce->name, "vpn", vpn_name(i), "prefix",
	    prefix_print(&i->prefix, prefix), "state", learned_state(i->verdict), "since_at",
	    (json_int_t)i->since);
	json_object_set_new(o, "reason", reason[0] != '\0' ? json_text(reason) : json_null());
	json_array_append_new(l->list, o);
	return true;
}

static bool of_ce(struct listing *l, const struct model_ce *ce)
{
	l->ce = ce;
	return learned_each(l->p->db.learned, ce, line_put, l);
}

static void of_customer(void *arg, struct customer *c)
{
	struct listing *l = arg;

	for (size_t i = 0; i < c->ces && l->lines <= LINES_MAX; i++)
		of_ce(l, &c->ce[i]);
}

static void of_vpn(struct listing *l)
{
	for (size_t i = 0; i < l->vpn->members && l->lines <= LINES_MAX; i++)
		of_ce(l, l->vpn->member[i].ce);
}

void show_learned(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	struct listing l = {.p = p};
	const char *name = json_get_string(args, "name", NULL);
	char buf[CE_NAME_MAX] = "";
	const char *ce_name = control_ce(args, "name", buf);
	const struct model_ce *ce = NULL;
	bool many = false;

	if (name != NULL) {
		l.vpn = registry_vpn(p->db.registry, name, &many);
		ce = l.vpn == NULL && !many ? registry_ce(p->db.registry, ce_name) : NULL;
	}
	if (name != NULL && l.vpn == NULL && ce == NULL) {
		ctl_req_fail(req, "not_found", NULL,
		    many ? "several VPNs are named \"%s\": say customer/vpn"
			 : "no VPN and no CE \"%s\"",
		    name);
		return;
	}
	l.list = json_array();
	if (ce != NULL)
		of_ce(&l, ce);
	else if (l.vpn != NULL)
		of_vpn(&l);
	else
		registry_each(p->db.registry, of_customer, &l);
	if (l.lines <= LINES_MAX) {
		ctl_req_done(req, l.list);
		return;
	}
	json_decref(l.list);
	ctl_req_fail(req, "too_many", NULL,
	    "more than %u learned networks: say which VPN or which CE", LINES_MAX);
}
