/*
 * control.c - see control.h.  What the agent knows is shown here, what rows mean is
 * shown by the client that enforces them (pep/control_vpn.c).
 */
#include "pep/control.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/commands.h"
#include "common/json.h"
#include "config.h"
#include "pep/agent.h"
#include "pep/control_vpn.h"
#include "pep/link.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

static const struct pep_client *const client = &pep_client_vpn;

/* ------------------------------------------------------------------ status */

static void put_hex(json_t *o, const char *key, const uint8_t *p, size_t len)
{
	char text[2 * 255 + 1] = "";

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", p[i]);
	json_object_set_new(o, key, json_string(text));
}

/* The second half of an incarnation of 16 octets is the server's sequence number. */
static void put_lsn(json_t *o, const struct pep_client_status *s)
{
	uint64_t lsn = 0;

	for (unsigned i = 8; s->incarnation_len == 16 && i < 16; i++)
		lsn = lsn << 8 | s->incarnation[i];
	json_object_set_new(
	    o, "lsn", s->incarnation_len == 16 ? json_integer((json_int_t)lsn) : json_null());
}

static void put_text(json_t *o, const char *key, const char *text)
{
	json_object_set_new(o, key, text[0] == '\0' ? json_null() : json_string(text));
}

static void put_link(json_t *o, const struct pep_link_status *l)
{
	char addr[ADDR_STRLEN] = "";
	char pdp[ADDR_STRLEN + 8] = "";

	if (l->pdp.family != 0)
		snprintf(pdp, sizeof(pdp), "%s:%u", addr_print(&l->pdp, addr), l->port);
	put_text(o, "pdp", l->name);
	put_text(o, "address", pdp);
	json_object_set_new(o, "connected", json_boolean(l->connected));
	json_object_set_new(o, "since_at", json_integer((json_int_t)l->since));
}

static void cmd_show_status(void *arg, struct ctl_req *req, const json_t *args)
{
	const struct pep_agent *a = arg;
	struct pep_client_status s;
	struct pep_link_status l;
	json_t *o = json_object();

	(void)args;
	pep_agent_status(a, client, &s);
	pep_agent_link_status(a, &l);
	put_text(o, "name", pep_agent_identity(a));
	put_text(o, "version", PACKAGE_VERSION);
	put_link(o, &l);
	json_object_set_new(o, "connections", json_integer((json_int_t)l.connections));
	put_text(o, "state", pep_state_name(s.state));
	put_lsn(o, &s);
	put_hex(o, "incarnation", s.incarnation, s.incarnation_len);
	json_object_set_new(o, "rows", json_integer((json_int_t)s.rows));
	json_object_set_new(o, "cached", json_boolean(s.cache_complete));
	json_object_set_new(o, "in_force", json_boolean(s.active));
	json_object_set_new(o, "expires_at",
	    s.expires_at == 0 ? json_null() : json_integer((json_int_t)s.expires_at));
	json_object_set_new(o, "request_states", json_integer((json_int_t)s.request_states));
	json_object_set_new(o, "decisions", json_integer((json_int_t)s.decisions));
	json_object_set_new(o, "failures", json_integer((json_int_t)s.failures));
	json_object_set_new(o, "last_decision_at",
	    s.last_decision == 0 ? json_null() : json_integer((json_int_t)s.last_decision));
	control_kernel(pep_agent_self(a, client), o);
	put_text(o, "last_failure", s.last_error);
	put_text(o, "last_connection_error", l.last_error);
	ctl_req_done(req, o);
}

static void cmd_show_sessions(void *arg, struct ctl_req *req, const json_t *args)
{
	const struct pep_agent *a = arg;
	struct pep_client_status s;
	struct pep_link_status l;
	json_t *o = json_object();
	json_t *list = json_array();
	char type[8];

	(void)args;
	pep_agent_status(a, client, &s);
	pep_agent_link_status(a, &l);
	put_link(o, &l);
	snprintf(type, sizeof(type), "0x%04x", client->client_type);
	put_text(o, "client_type", type);
	put_text(o, "state", pep_state_name(s.state));
	json_object_set_new(o, "handle", json_integer(s.handle));
	put_lsn(o, &s);
	json_array_append_new(list, o);
	ctl_req_done(req, list);
}

static void cmd_show_clients(void *arg, struct ctl_req *req, const json_t *args)
{
	const struct pep_agent *a = arg;
	const struct pep_client *c;
	struct pep_client_status s;
	json_t *list = json_array();
	json_t *o;
	char type[8];

	(void)args;
	for (size_t i = 0; (c = pep_agent_client_at(a, i)) != NULL; i++) {
		pep_agent_status(a, c, &s);
		o = json_object();
		snprintf(type, sizeof(type), "0x%04x", c->client_type);
		put_text(o, "client", c->name);
		put_text(o, "client_type", type);
		put_text(o, "state", pep_state_name(s.state));
		json_object_set_new(o, "rows", json_integer((json_int_t)s.rows));
		put_text(o, "last_failure", s.last_error);
		json_array_append_new(list, o);
	}
	ctl_req_done(req, list);
}

/* ------------------------------------------------------------------ rows */

struct listing {
	json_t *list;
	bool flat; /* of one class: its columns are the table's */
};

static json_t *columns(const struct pib_row *row)
{
	json_t *o = json_object();
	struct buf b;

	buf_init(&b, 0);
	for (uint8_t i = 0; i < row->cls->col_count; i++) {
		const struct pib_column *c = &row->cls->col[i];

		buf_reset(&b);
		pib_value_print(&b, row->cls, c, row->data);
		json_object_set_new(o, c->label, json_stringn((const char *)b.data, b.len));
	}
	buf_clear(&b);
	return o;
}

static void list_row(void *arg, const struct pib_row *row)
{
	struct listing *l = arg;

	json_array_append_new(
	    l->list, l->flat ? columns(row)
			     : json_pack("{s:o, s:o}", "row",
				   json_sprintf("%s.%u", row->cls->name, row->instance), "columns",
				   columns(row)));
}

/* "show pib [CE] [CLASS]": on a CE there is only one CE, so one word is a class. */
static void cmd_show_pib(void *arg, struct ctl_req *req, const json_t *args)
{
	const struct pep_agent *a = arg;
	const char *ce = json_get_string(args, "ce", NULL);
	const char *name = json_get_string(args, "class", NULL);
	const struct pib_class *cls = NULL;
	struct listing l = {0};

	if (name == NULL && ce != NULL && strcmp(ce, pep_agent_identity(a)) != 0)
		name = ce;
	if (name != NULL &&
	    (cls = pib_schema_find_name(pep_agent_schema(a, client), name)) == NULL) {
		ctl_req_fail(req, "not_found", NULL, "no class \"%s\"", name);
		return;
	}
	l.list = json_array();
	l.flat = cls != NULL;
	pib_store_each(pep_agent_store(a, client), cls, list_row, &l);
	ctl_req_done(req, l.list);
}

/* ------------------------------------------------------------------ the client's */

static void done_list(struct ctl_req *req, json_t *list)
{
	if (list == NULL)
		ctl_req_fail(req, "failed", NULL, "the kernel did not answer, or memory is short");
	else
		ctl_req_done(req, list);
}

static void cmd_show_vpns(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	done_list(req, control_vpns(pep_agent_self(arg, client), pep_agent_store(arg, client)));
}

static void cmd_show_vpn(void *arg, struct ctl_req *req, const json_t *args)
{
	const char *name = json_get_string(args, "name", "");
	json_t *o = control_vpn(pep_agent_self(arg, client), pep_agent_store(arg, client), name);

	if (o == NULL)
		ctl_req_fail(req, "not_found", NULL, "no VPN \"%s\"", name);
	else
		ctl_req_done(req, o);
}

static void cmd_show_peers(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	done_list(req, control_peers(pep_agent_self(arg, client), NULL));
}

static void cmd_show_tunnels(void *arg, struct ctl_req *req, const json_t *args)
{
	const struct pep_agent *a = arg;
	const char *ce = json_get_string(args, "ce", NULL);

	if (ce != NULL && strcasecmp(ce, pep_agent_identity(a)) != 0)
		ctl_req_fail(req, "not_found", NULL, "this CE is \"%s\"", pep_agent_identity(a));
	else
		done_list(req,
		    control_tunnels(pep_agent_self(a, client), json_get_string(args, "vpn", NULL),
			json_is_true(json_object_get(args, "down"))));
}

static void cmd_show_learned(void *arg, struct ctl_req *req, const json_t *args)
{
	done_list(
	    req, control_learned(pep_agent_self(arg, client), json_get_string(args, "name", NULL)));
}

static void cmd_show_sa(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	done_list(req, control_sas(pep_agent_self(arg, client)));
}

static void cmd_show_spd(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	done_list(req, control_policies(pep_agent_self(arg, client)));
}

static void cmd_show_routes(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)args;
	done_list(req, control_routes(pep_agent_self(arg, client)));
}

static void cmd_rekey(void *arg, struct ctl_req *req, const json_t *args)
{
	const char *vpn = json_get_string(args, "vpn", NULL);
	unsigned child_sas = 0;
	int made = vpn_rekey(pep_agent_self(arg, client), vpn, &child_sas);

	if (made < 0)
		ctl_req_fail(req, "not_found", NULL, "no VPN \"%s\"", vpn);
	else
		ctl_req_done(
		    req, json_pack("{s:i,s:i}", "new_epochs", made, "child_sas", (int)child_sas));
}

static void cmd_leave(void *arg, struct ctl_req *req, const json_t *args)
{
	const char *vpn = json_get_string(args, "vpn", "");
	const char *reason = json_get_string(args, "reason", "");
	bool cancel = json_get_bool(args, "cancel", false);
	void *self = pep_agent_self(arg, client);

	if (strlen(reason) > VPN_LEAVE_REASON_MAX) {
		ctl_req_fail(
		    req, "usage", NULL, "a reason has at most %d octets", VPN_LEAVE_REASON_MAX);
		return;
	}
	switch (cancel ? vpn_leave_cancel(self, vpn) : vpn_leave_ask(self, vpn, reason)) {
	case VPN_LEAVE_DONE:
		ctl_req_done(req, json_pack("{s:s, s:s, s:b}", "vpn", vpn, "leave",
				      cancel ? "not asked any more" : "asked to leave", "connected",
				      pep_agent_online(arg)));
		break;
	case VPN_LEAVE_NO_VPN:
		ctl_req_fail(req, "not_found", NULL, "no VPN \"%s\"", vpn);
		break;
	case VPN_LEAVE_NOT_ASKED:
		ctl_req_fail(req, "not_found", NULL, "this CE does not ask to leave %s", vpn);
		break;
	case VPN_LEAVE_FAILED:
		ctl_req_fail(req, "failed", NULL, "it cannot be written to the disk: see the log");
		break;
	}
}

static void cmd_reload(void *arg, struct ctl_req *req, const json_t *args)
{
	char err[400];

	(void)args;
	if (pep_agent_reload(arg, err, sizeof(err)) == 0)
		ctl_req_done(req, json_pack("{s:b}", "reloaded", true));
	else
		ctl_req_fail(req, "failed", NULL, "%s", err);
}

static const struct ctl_handler handlers[] = {
    {"show status", cmd_show_status},
    {"show sessions", cmd_show_sessions},
    {"show vpns", cmd_show_vpns},
    {"show vpn", cmd_show_vpn},
    {"show pib", cmd_show_pib},
    {"show clients", cmd_show_clients},
    {"show peers", cmd_show_peers},
    {"show tunnels", cmd_show_tunnels},
    {"show learned", cmd_show_learned},
    {"show sa", cmd_show_sa},
    {"show spd", cmd_show_spd},
    {"show routes", cmd_show_routes},
    {"rekey", cmd_rekey},
    {"leave", cmd_leave},
    {"reload", cmd_reload},
    {"log", ctl_cmd_log},
    {0},
};

struct ctl_server *control_new(struct event_base *base, const struct pep_conf *conf,
    struct pep_agent *agent, char err[CTL_ERR_LEN])
{
	const struct ctl_conf c = {
	    .path = conf->control_socket, .group = conf->control_group, .where = COMMAND_PEP};

	return ctl_server_new(base, &c, handlers, agent, err);
}
