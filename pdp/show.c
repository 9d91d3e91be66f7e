/* show.c - what copsctl shows: every answer is made here once, as JSON. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/suites.h"
#include "libcops/cops_setting.h"
#include "pdp/control.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pdp/home.h"
#include "pdp/membership.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pdp/transform.h"
#include "pdp/vpn.h"
#include "pdp/worker.h"
#include "pib/pib_codec.h"

#define HISTORY_MAX 1000
#define KEYED_MAX   2000 /* members of a VPN for whose pairs we have the time */

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

const char *control_ce(const json_t *args, const char *key, char name[CE_NAME_MAX])
{
	const char *given = json_get_string(args, key, NULL);

	if (given == NULL)
		return NULL;
	snprintf(name, CE_NAME_MAX, "%s", given);
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return name;
}

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

/* ------------------------------------------------------------------- status */

struct census {
	size_t customers, vpns;
};

static void census_one(void *arg, struct customer *c)
{
	struct census *n = arg;

	n->customers++;
	n->vpns += c->vpns;
}

void show_status(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	struct home_status home;
	struct workers_stats st;
	struct census n = {0};
	char uuid[17];
	json_t *o;

	(void)args;
	for (int i = 0; i < 8; i++)
		snprintf(uuid + 2 * i, 3, "%02x", p->db.uuid[i]);
	registry_each(p->db.registry, census_one, &n);
	workers_stats(p->workers, &st);
	o = json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", p->name, "version", PACKAGE_VERSION,
	    "started_at", (json_int_t)p->started_at, "security", cops_security_name(p->security),
	    "database", uuid);
	if (p->home != NULL) {
		home_status(p->home, &home);
		set(o, "primary", json_string(p->conf->primary));
		set(o, "primary_answers", json_boolean(home.answers));
		set(o, "sent_to_primary", number(home.sent));
	}
	set(o, "generation", number(p->db.generation));
	set(o, "lsn", number(p->db.lsn));
	set(o, "customers", number(n.customers));
	set(o, "vpns", number(n.vpns));
	set(o, "ces", number(registry_ces(p->db.registry)));
	set(o, "sessions", number(st.sessions));
	set(o, "accepted", number(st.accepted));
	set(o, "tls_failed", number(st.tls_failed));
	set(o, "refused_identity", number(st.refused_identity));
	set(o, "refused_client_type", number(st.refused_type));
	set(o, "refused_full", number(st.refused_full));
	set(o, "bad_messages", number(st.bad_messages));
	set(o, "decisions", number(st.decisions));
	set(o, "reports", number(st.reports));
	ctl_req_done(req, o);
}

/* ----------------------------------------------------------------- sessions */

static void session_one(void *arg, const struct sync_info *i)
{
	json_t *o;

	if (i->state == SYNC_OFFLINE)
		return;
	o = json_pack("{s:s, s:s, s:s, s:I}", "ce", i->name, "address", i->address, "state",
	    sync_state_name(i), "connected_at", (json_int_t)i->connected_at);
	set(o, "applied_lsn", i->known ? number(i->applied) : json_null());
	set(o, "decisions", number(i->decisions));
	set(o, "failures", number(i->failures));
	set(o, "latency_ms", number(i->latency_ms));
	json_array_append_new(arg, o);
}

static int by_ce(const void *a, const void *b)
{
	return strcmp(json_get_string(*(json_t *const *)a, "ce", ""),
	    json_get_string(*(json_t *const *)b, "ce", ""));
}

/* Objects of a list in the order of their "ce". */
static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list);
	json_t **v = calloc(n + 1, sizeof(json_t *));
	json_t *out = json_array();

	for (size_t i = 0; v != NULL && i < n; i++)
		v[i] = json_array_get(list, i);
	if (v != NULL)
		qsort(v, n, sizeof(json_t *), by_ce);
	for (size_t i = 0; v != NULL && i < n; i++)
		json_array_append(out, v[i]);
	free(v);
	json_decref(list);
	return out;
}

void show_sessions(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	json_t *list = json_array();

	(void)args;
	sync_each(p->sync, session_one, list);
	ctl_req_done(req, sorted(list));
}

/* --------------------------------------------------------------------- VPNs */

static const char *const topologies[] = {
    [TOPO_FULL_MESH] = "full-mesh",
    [TOPO_HUB_AND_SPOKE] = "hub-and-spoke",
    [TOPO_LINKS] = "links",
};
static const char *const roles[] = {
    [ROLE_HUB] = "hub", [ROLE_SPOKE] = "spoke", [ROLE_MESH] = "mesh"};

/* One that is not managed is not waited for; info says nothing of it. */
static const char *state_of(struct pdp *p, const struct model_ce *ce, struct sync_info *info)
{
	if (!ce->foreign && sync_info(p->sync, ce->name, info))
		return sync_state_name(info);
	*info = (struct sync_info) {.name = ce->name, .address = ""};
	return ce->foreign ? "unmanaged" : "offline";
}

static json_t *vpn_name(const struct model_vpn *v)
{
	return json_sprintf("%s/%s", v->customer->name, v->name);
}

static json_t *vpn_id(const struct model_vpn *v)
{
	const uint8_t *b = v->vpn_id;

	return json_sprintf(
	    "%02x%02x%02x:%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6]);
}

/* Those of the intent. */
static json_t *prefixes(const struct model_prefix *p, size_t n)
{
	json_t *list = json_array();
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < n; i++)
		if (!p[i].learned)
			json_array_append_new(list, json_string(prefix_print(&p[i].prefix, text)));
	return list;
}

static size_t online(struct pdp *p, const struct model_vpn *v)
{
	struct sync_info i;
	size_t n = 0;

	for (size_t k = 0; k < v->members; k++)
		n += sync_info(p->sync, v->member[k].ce->name, &i) && i.state != SYNC_OFFLINE;
	return n;
}

struct listing {
	struct pdp *p;
	json_t *list;
};

static void vpns_of(void *arg, struct customer *c)
{
	struct listing *l = arg;
	json_t *o;

	for (size_t i = 0; i < c->vpns; i++) {
		const struct model_vpn *v = &c->vpn[i];

		o = json_pack("{s:o, s:o, s:s, s:s}", "vpn", vpn_name(v), "vpn_id", vpn_id(v),
		    "topology", topologies[v->topology], "keying", v->ike ? "ike" : "controller");
		set(o, "sites", number(v->members));
		set(o, "online", number(online(l->p, v)));
		json_array_append_new(l->list, o);
	}
}

void show_vpns(void *arg, struct ctl_req *req, const json_t *args)
{
	struct listing l = {.p = arg, .list = json_array()};

	(void)args;
	registry_each(l.p->db.registry, vpns_of, &l);
	ctl_req_done(req, l.list);
}

/* What a CE can do, by names. */
static json_t *transforms(const struct ce_caps *c)
{
	json_t *list = json_array();

	for (size_t at = 0; at < c->suites_len; at += SUITE_LEN) {
		const struct transform *e, *i;
		struct suite s;

		suite_get(&s, c->suites + at);
		e = transform_by_number(TRANSFORM_ENCR, s.encr, s.encr_key_bits);
		i = transform_by_number(TRANSFORM_INTEG, s.integ, 0);
		json_array_append_new(
		    list, json_sprintf("%s%s%s%s", s.protocol == SUITE_AH ? "ah " : "",
			      e != NULL	     ? e->name
			      : s.encr == 20 ? "aes-gcm-16-192"
			      : s.encr == 0  ? ""
					     : "?",
			      s.encr != 0 && s.integ != 0 ? " " : "",
			      s.integ == 0 ? ""
			      : i != NULL  ? i->name
					   : "?"));
	}
	return list;
}

/* Its peers to or from whom no transform leads, by what both have published. */
static json_t *incapable(struct pdp *p, const struct model_member *m)
{
	const struct model_member *other, *via;
	struct model_seen seen;
	json_t *list = json_array();
	uint32_t a = m->id->number, b;

	if (m->vpn->ike || m->vpn->members > KEYED_MAX)
		return list;
	model_seen_init(&seen, m);
	while ((other = model_seen_next(&seen)) != NULL) {
		b = other->id->number;
		if (model_view(m, other, &via) == VIEW_PEER && keyring_epoch(p->db.keys, a) != 0 &&
		    keyring_epoch(p->db.keys, b) != 0 &&
		    (keyring_suite(p->db.keys, a, b) == NULL ||
			keyring_suite(p->db.keys, b, a) == NULL))
			json_array_append_new(list, json_string(other->ce->name));
	}
	return list;
}

/* "2/3": of its 3 peers 2 are keyed both ways. */
static json_t *keyed(struct pdp *p, const struct model_member *m)
{
	const struct model_member *other, *via;
	struct model_seen seen;
	size_t peers = 0, n = 0;

	if (m->vpn->ike || m->vpn->members > KEYED_MAX)
		return json_null();
	model_seen_init(&seen, m);
	while ((other = model_seen_next(&seen)) != NULL)
		if (model_view(m, other, &via) == VIEW_PEER) {
			peers++;
			n += keyring_pair(p->db.keys, m->id->number, other->id->number);
		}
	return json_sprintf("%zu/%zu", n, peers);
}

/* "CE: why" of those that are peers by topology, and NAT is between. */
static json_t *nat_apart(const struct model_member *m)
{
	const struct model_member *other;
	json_t *list = json_array();
	struct model_seen seen;
	const char *why;

	if ((!m->ce->nat && !model_nat_none(m->vpn)) || m->vpn->members > KEYED_MAX)
		return list;
	model_seen_init(&seen, m);
	while ((other = model_seen_next(&seen)) != NULL) {
		why = model_adjacent(m, other) ? model_nat_apart(m, other) : NULL;
		if (why != NULL)
			json_array_append_new(list, json_sprintf("%s: %s", other->ce->name, why));
	}
	return list;
}

/* "198.51.100.7 (is 192.168.1.2)", or "" */
static json_t *nat_text(const struct model_ce *ce)
{
	char seen[ADDR_STRLEN], own[ADDR_STRLEN];

	if (!ce->nat)
		return json_string("");
	return json_sprintf("%s (is %s)", addr_print(&ce->seen, seen), addr_print(&ce->own, own));
}

/* Those of its sites that are another VPN's. */
static json_t *extranets(const struct model_member *m)
{
	json_t *list = json_array();
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < m->sites; i++)
		if (m->site[i].extranet)
			json_array_append_new(
			    list, json_string(prefix_print(&m->site[i].prefix, text)));
	return list;
}

static json_t *member_json(struct pdp *p, const struct model_member *m)
{
	struct learned_counts n;
	json_t *o = json_pack("{s:o, s:s, s:o, s:o}", "member", number(m->id->number), "role",
	    roles[m->role], "sites", prefixes(m->site, m->sites), "keyed", keyed(p, m));

	set(o, "extranet", extranets(m));
	set(o, "internet", json_string(intent_internet_name(m->internet)));
	set(o, "no_transform", incapable(p, m));
	set(o, "epoch",
	    m->vpn->ike ? json_null() : number(keyring_epoch(p->db.keys, m->id->number)));
	set(o, "nat_apart", nat_apart(m));
	if (m->vpn->routing == ROUTING_MANAGED) {
		learned_count(p->db.learned, m, &n);
		set(o, "learned", number(n.taken));
		set(o, "learned_refused", number(n.refused));
	}
	return o;
}

/* In the document, and out all the same. */
static json_t *excluded(struct pdp *p, const struct model_vpn *v)
{
	const struct customer *c = v->customer;
	json_t *list = json_array();
	char name[256];

	snprintf(name, sizeof(name), "%s/%s", c->name, v->name);
	for (size_t i = 0; i < c->excludeds; i++) {
		const struct model_excluded *x = &c->excluded[i];
		const struct verdict *why;

		if (x->vpn == NULL || strcmp(x->vpn, v->name) != 0)
			continue;
		why = verdicts_find(p->db.verdicts, VERDICT_REVOKED, x->ce, "");
		if (why == NULL)
			why = verdicts_find(p->db.verdicts, VERDICT_LEFT, x->ce, name);
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:I, s:s, s:o}", "ce", x->ce, "why",
			      why == NULL		     ? "?"
			      : why->kind == VERDICT_REVOKED ? "revoked"
							     : "left",
			      "at", (json_int_t)(why != NULL ? why->at : 0), "by",
			      why != NULL ? why->who : "", "reason",
			      json_text(why != NULL ? why->reason : "")));
	}
	return list;
}

void show_vpn(void *arg, struct ctl_req *req, const json_t *args)
{
	const char *name = json_get_string(args, "name", "");
	json_t *o, *list = json_array(), *row;
	char address[ADDR_STRLEN];
	struct pdp *p = arg;
	struct model_vpn *v;
	struct sync_info info;
	bool many;

	v = registry_vpn(p->db.registry, name, &many);
	if (v == NULL) {
		json_decref(list);
		ctl_req_fail(req, "not_found", NULL,
		    many ? "several VPNs are named \"%s\": say customer/vpn" : "no VPN \"%s\"",
		    name);
		return;
	}
	o = json_pack("{s:o, s:o, s:o, s:s, s:s, s:s}", "vpn", vpn_name(v), "number",
	    number(v->id->number), "vpn_id", vpn_id(v), "topology", topologies[v->topology],
	    "keying", v->ike ? "ike" : "controller", "internet", intent_internet_name(v->internet));
	if (v->topology == TOPO_HUB_AND_SPOKE)
		set(o, "relay", json_boolean(v->relay));
	set(o, "routing", json_string(intent_routing_name(v->routing)));
	set(o, "space", prefixes(v->space, v->spaces));
	set(o, "rekeys", number(keyring_serial(p->db.keys, v->id->number)));
	for (size_t i = 0; i < v->members; i++) {
		row = json_pack("{s:s, s:s, s:s}", "ce", v->member[i].ce->name, "address",
		    addr_print(&v->member[i].ce->address, address), "state",
		    state_of(p, v->member[i].ce, &info));
		json_t *more = member_json(p, &v->member[i]);

		json_object_update(row, more);
		json_decref(more);
		json_array_append_new(list, row);
	}
	set(o, "members", list);
	set(o, "excluded", excluded(p, v));
	set(o, "departures", membership_departures(p, v));
	ctl_req_done(req, o);
}

/* ---------------------------------------------------------------------- CEs */

/* Row and error of the last refusal, as one text. */
static json_t *failure_text(const char *failure)
{
	json_t *f = failure != NULL ? json_loads(failure, 0, NULL) : NULL;
	const char *row = json_get_string(f, "row", "");
	const char *column = json_get_string(f, "column", "");
	json_t *text = f == NULL ? json_null()
				 : json_sprintf("%s%s%s%s%s (%s)", row, *column ? " " : "", column,
				       *row ? ": " : "", json_get_string(f, "text", "?"),
				       json_get_string(f, "error", "?"));

	json_decref(f);
	return text;
}

static void ces_of(void *arg, struct customer *c)
{
	struct listing *l = arg;
	char address[ADDR_STRLEN];
	struct sync_info i;
	const char *state;
	json_t *o;

	for (size_t k = 0; k < c->ces; k++) {
		state = state_of(l->p, &c->ce[k], &i);
		o = json_pack("{s:s, s:s, s:s, s:o, s:s}", "ce", c->ce[k].name, "customer", c->name,
		    "address", addr_print(&c->ce[k].address, address), "vpns",
		    number(c->ce[k].members), "state", state);
		set(o, "applied_lsn", number(i.applied));
		set(o, "wanted_lsn", number(i.wanted));
		set(o, "confirmed_at", json_integer((json_int_t)i.confirmed_at));
		set(o, "failure", failure_text(i.failure));
		json_array_append_new(l->list, o);
	}
}

static void leaving_one(void *arg, const struct sync_info *i)
{
	if (i->leaving)
		json_array_append_new(
		    arg, json_pack("{s:s, s:n, s:s, s:i, s:s}", "ce", i->name, "customer",
			     "address", "", "vpns", 0, "state",
			     i->state == SYNC_OFFLINE ? "gone, not told yet" : sync_state_name(i)));
}

static void revoked_one(void *arg, const struct verdict *v)
{
	if (v->kind == VERDICT_REVOKED)
		json_array_append_new(
		    arg, json_pack("{s:s, s:s, s:s, s:i, s:s}", "ce", v->ce, "customer", "",
			     "address", "", "vpns", 0, "state", "revoked"));
}

void show_ces(void *arg, struct ctl_req *req, const json_t *args)
{
	struct listing l = {.p = arg, .list = json_array()};

	(void)args;
	registry_each(l.p->db.registry, ces_of, &l);
	sync_each(l.p->sync, leaving_one, l.list);
	verdicts_each(l.p->db.verdicts, revoked_one, l.list);
	ctl_req_done(req, l.list);
}

struct clients_listing {
	json_t *list;
	const struct pdp_client *client;
};

static void client_ce(void *arg, const struct sync_info *i)
{
	struct clients_listing *l = arg;
	json_t *o = json_pack("{s:s, s:s, s:o, s:s}", "ce", i->name, "client", l->client->name,
	    "client_type", json_sprintf("0x%04x", l->client->client_type), "state",
	    sync_state_name(i));

	set(o, "applied_lsn", i->known ? number(i->applied) : json_null());
	set(o, "wanted_lsn", number(i->wanted));
	set(o, "failure", failure_text(i->failure));
	json_array_append_new(l->list, o);
}

void show_clients(void *arg, struct ctl_req *req, const json_t *args)
{
	struct clients_listing l = {.list = json_array()};
	struct pdp *p = arg;

	(void)args;
	for (size_t i = 0; i < p->types; i++) {
		l.client = p->type[i].client;
		sync_each(p->type[i].sync, client_ce, &l);
	}
	ctl_req_done(req, sorted(l.list));
}

void show_ce(void *arg, struct ctl_req *req, const json_t *args)
{
	char buf[CE_NAME_MAX] = "";
	const char *name = control_ce(args, "name", buf);
	struct pdp *p = arg;
	const struct model_ce *ce = name != NULL ? registry_ce(p->db.registry, name) : NULL;
	char address[ADDR_STRLEN] = "", seen[ADDR_STRLEN];
	struct vpn_site site;
	json_t *o, *list = json_array(), *row;
	const struct verdict *revoked;
	const char *state = NULL;
	struct sync_info i;

	if (ce != NULL)
		state = state_of(p, ce, &i);
	else if (name != NULL && sync_info(p->sync, name, &i))
		state = sync_state_name(&i);
	revoked = verdicts_find(p->db.verdicts, VERDICT_REVOKED, buf, "");
	if (state == NULL && revoked != NULL) {
		json_decref(list);
		ctl_req_done(
		    req, json_pack("{s:s, s:s, s:I, s:s, s:o}", "ce", buf, "state", "revoked",
			     "revoked_at", (json_int_t)revoked->at, "revoked_by", revoked->who,
			     "reason", json_text(revoked->reason)));
		return;
	}
	if (state == NULL) {
		json_decref(list);
		ctl_req_fail(req, "not_found", NULL, "no CE \"%s\"", buf);
		return;
	}
	vpn_site(p->vpn, name, &site);
	if (ce != NULL)
		addr_print(&ce->address, address);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "ce", name, "customer",
	    ce != NULL ? ce->customer->name : "", "address", address, "state", state,
	    "connected_from", i.address);
	set(o, "connected_at", json_integer((json_int_t)i.connected_at));
	set(o, "lost_at", json_integer((json_int_t)i.lost_at));
	set(o, "request_state", json_string(i.lost_at == 0 ? "" : i.dropped ? "dropped" : "kept"));
	set(o, "kept_until", json_integer((json_int_t)i.kept_until));
	set(o, "nat", ce != NULL ? nat_text(ce) : json_string(""));
	if (ce != NULL && ce->nat && addr_cmp(&ce->seen, &ce->address) != 0)
		set(o, "warning",
		    json_sprintf("the intent says %s, its peers are told %s", address,
			addr_print(&ce->seen, seen)));
	set(o, "software", json_text(site.software));
	set(o, "backend", json_text(site.backend));
	set(o, "transforms", transforms(&site.caps));
	set(o, "replay_window_max", number(site.caps.window_max));
	set(o, "esn", json_boolean(site.caps.esn));
	set(o, "separate", json_boolean(site.caps.separate));
	set(o, "dscp_clear", json_boolean(site.caps.dscp_clear));
	set(o, "udp_encap", json_boolean(site.caps.udp_encap));
	set(o, "ike", json_boolean(site.caps.ike));
	set(o, "repairs", number(site.repairs));
	set(o, "trouble", json_text(site.trouble));
	set(o, "applied_lsn", number(i.applied));
	set(o, "wanted_lsn", number(i.wanted));
	set(o, "confirmed_at", json_integer((json_int_t)i.confirmed_at));
	set(o, "decisions", number(i.decisions));
	set(o, "failures", number(i.failures));
	for (size_t k = 0; ce != NULL && k < ce->members; k++) {
		row = member_json(p, ce->member[k]);
		json_t *full = json_pack("{s:o}", "vpn", vpn_name(ce->member[k]->vpn));

		json_object_update(full, row);
		json_decref(row);
		json_array_append_new(list, full);
	}
	set(o, "memberships", list);
	if (i.failure != NULL)
		set(o, "last_failure", json_loads(i.failure, 0, NULL));
	ctl_req_done(req, o);
}

/* --------------------------------------------------------------------- rows */

struct pib_row_json {
	size_t cls; /* in the schema */
	uint32_t instance;
	json_t *o;
};

struct pib_listing {
	const struct pib_schema *schema;
	const struct pib_class *only; /* NULL: all */
	struct pib_row_json *row;
	size_t count, cap;
};

static json_t *columns(const struct pib_class *cls, const void *row)
{
	json_t *o = json_object();
	struct buf b;

	buf_init(&b, 0);
	for (uint8_t i = 0; i < cls->col_count; i++) {
		buf_reset(&b);
		pib_value_print(&b, cls, &cls->col[i], row);
		set(o, cls->col[i].label, json_stringn((const char *)b.data, b.len));
	}
	buf_clear(&b);
	return o;
}

static int pib_one(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct pib_listing *l = arg;
	struct pib_row_json *more;

	if (l->only != NULL && l->only != cls)
		return 0;
	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		more = reallocarray(l->row, l->cap, sizeof(*more));
		if (more == NULL)
			return -1;
		l->row = more;
	}
	l->row[l->count++] = (struct pib_row_json) {
	    .cls = pib_schema_index(l->schema, cls),
	    .instance = instance,
	    .o = l->only != NULL
		     ? columns(cls, row)
		     : json_pack("{s:o, s:o}", "row", json_sprintf("%s.%u", cls->name, instance),
			   "columns", columns(cls, row)),
	};
	return 0;
}

static int by_row(const void *a, const void *b)
{
	const struct pib_row_json *x = a, *y = b;

	if (x->cls != y->cls)
		return (x->cls > y->cls) - (x->cls < y->cls);
	return (x->instance > y->instance) - (x->instance < y->instance);
}

/* The rows as a list, by class and instance. */
static json_t *pib_list(struct pib_listing *l)
{
	json_t *list = json_array();

	if (l->count > 0)
		qsort(l->row, l->count, sizeof(*l->row), by_row);
	for (size_t i = 0; i < l->count; i++)
		json_array_append_new(list, l->row[i].o);
	free(l->row);
	return list;
}

/* The rows of one client-type that ce is to hold.  -1: memory. */
static int pib_of(const struct pdp_type *t, const char *ce, struct pib_listing *l)
{
	struct delta_list d;
	int rc;

	delta_list_init(&d);
	rc = t->client->full(t->self, ce, &d);
	if (rc == 0)
		rc = decision_each(d.chunk, d.count, l->schema, pib_one, l);
	delta_list_clear(&d);
	return rc;
}

static bool ce_known(struct pdp *p, const char *ce)
{
	struct sync_info i;

	for (size_t k = 0; k < p->types; k++)
		if (sync_info(p->type[k].sync, ce, &i))
			return true;
	return false;
}

/* Of all client-types, or of those that have the class. */
void show_pib(void *arg, struct ctl_req *req, const json_t *args)
{
	char buf[CE_NAME_MAX];
	const char *ce = control_ce(args, "ce", buf);
	const char *name = json_get_string(args, "class", NULL);
	json_t *list = json_array(), *rows;
	struct pdp *p = arg;
	bool found = name == NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && ce != NULL && ce_known(p, ce) && i < p->types; i++) {
		const struct pdp_client *c = p->type[i].client;
		struct pib_schema *schema = pib_schema_new(c->module, c->modules);
		struct pib_listing l = {.schema = schema};

		rc = schema != NULL ? 0 : -1;
		if (rc == 0 && name != NULL)
			l.only = pib_schema_find_name(schema, name);
		found |= l.only != NULL;
		if (rc == 0 && (name == NULL || l.only != NULL))
			rc = pib_of(&p->type[i], ce, &l);
		rows = pib_list(&l);
		json_array_extend(list, rows);
		json_decref(rows);
		pib_schema_free(schema);
	}
	if (ce == NULL)
		ctl_req_fail(req, "usage", NULL, "say which CE: show pib CE [CLASS]");
	else if (!ce_known(p, ce))
		control_no_ce(p, req, ce);
	else if (rc != 0)
		ctl_req_fail(req, "failed", NULL, "rows of %s cannot be worked out", ce);
	else if (!found)
		ctl_req_fail(req, "not_found", NULL, "no class \"%s\"", name);
	else
		ctl_req_done(req, json_incref(list));
	json_decref(list);
}

/* ------------------------------------------------------------------ history */

static int history_one(void *arg, const struct store_generation *g)
{
	json_t *o = json_object();

	set(o, "generation", number(g->number));
	set(o, "lsn", number(g->lsn));
	set(o, "when", json_integer((json_int_t)g->when));
	set(o, "who", json_text(g->who != NULL ? g->who : ""));
	set(o, "summary", json_text(g->summary != NULL ? g->summary : ""));
	set(o, "comment", json_text(g->comment != NULL ? g->comment : ""));
	json_array_append_new(arg, o);
	return 0;
}

void show_history(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	json_t *list = json_array();
	char err[DB_ERR_LEN];

	(void)args;
	if (p->db.ops->history(p->db.store, HISTORY_MAX, history_one, list, err, sizeof(err)) ==
	    0) {
		ctl_req_done(req, list);
		return;
	}
	json_decref(list);
	ctl_req_fail(req, "failed", NULL, "%s", err);
}
