/*
 * ike_sas.c - what charon has: its answers to list-sas and get-conns, put in place of what
 * was known of a connection.  Events name a connection, which is listed again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/ike_int.h"

#define LIST_MS 30000

const char *const ike_events[] = {
    "list-sa", "ike-updown", "ike-rekey", "child-updown", "child-rekey", NULL};

/* --- one CHILD_SA ---------------------------------------------------------------- */

struct ike_child *ike_child_find(const struct ike_conn *c, uint32_t id)
{
	struct ike_child *x;

	LIST_FOREACH (x, &c->children, in_conn)
		if (x->id == id)
			return x;
	return NULL;
}

static struct ike_child *child_new(struct ike *k, struct ike_conn *c, uint32_t id, const char *name)
{
	uint32_t number = ike_conf_peer(name);
	struct ike_peer *p = number ? ike_peer_get(k, number) : NULL;
	struct ike_child *x = p ? calloc(1, sizeof(*x)) : NULL;

	if (!x)
		return NULL;
	x->id = id;
	x->conn = c;
	x->peer = p;
	snprintf(x->name, sizeof(x->name), "%s", name);
	LIST_INSERT_HEAD(&c->children, x, in_conn);
	LIST_INSERT_HEAD(&p->children, x, in_peer);
	return x;
}

static bool installed(const char *state)
{
	return !strcmp(state, "INSTALLED") || !strcmp(state, "UPDATING") ||
	       !strcmp(state, "REKEYING");
}

static bool moving(const char *state)
{
	return !strcmp(state, "REKEYING") || !strcmp(state, "REKEYED");
}

static void addr_of(struct addr *a, const struct vici_view *v, const char *key)
{
	char text[ADDR_STRLEN + 1];

	if (addr_parse(a, vici_text(v, key, text, sizeof(text))) < 0)
		*a = (struct addr) {0};
}

static void take_child(
    struct ike *k, struct ike_conn *c, const struct vici_view *ike, const struct vici_view *child)
{
	uint32_t id = vici_number(child, "uniqueid", 10);
	struct ike_child *x = ike_child_find(c, id);
	char name[IKE_NAME_LEN], state[24];
	bool was;

	vici_text(child, "name", name, sizeof(name));
	if (!x && !(x = child_new(k, c, id, name)))
		return;
	was = x->installed;
	x->seen = true;
	x->ike_id = vici_number(ike, "uniqueid", 10);
	x->installed = installed(vici_text(child, "state", state, sizeof(state)));
	x->deleting = !strcmp(state, "DELETING");
	x->moving = x->deleting || moving(state);
	x->sa.spi_in = vici_number(child, "spi-in", 16);
	x->sa.spi_out = vici_number(child, "spi-out", 16);
	addr_of(&x->sa.local, ike, "local-host");
	addr_of(&x->sa.remote, ike, "remote-host");
	if (!x->installed || was)
		return;
	x->since_ms = k->now_ms;
	if (x->sa.local.family && x->sa.remote.family)
		k->ops.installed(k->arg, x->peer->peer, &x->sa);
}

/* --- one IKE_SA --------------------------------------------------------------------- */

static void take_ike_sa(struct ike *k, const struct vici_view *message)
{
	struct vici_view rest = *message, children;
	struct vici_entry e, child;
	struct ike_conn *c;
	char state[24];

	while (vici_next(&rest, &e)) {
		if (e.type != VICI_SECTION_START ||
		    strncmp(e.name, IKE_CONN_PREFIX, strlen(IKE_CONN_PREFIX)) != 0 ||
		    !(c = ike_conn_get(k, e.name)))
			continue;
		if (!strcmp(vici_text(&e.body, "state", state, sizeof(state)), "CONNECTING"))
			c->connecting = true;
		if (!vici_find(&e.body, VICI_SECTION_START, "child-sas", &children))
			continue;
		while (vici_next(&children, &child))
			if (child.type == VICI_SECTION_START)
				take_child(k, c, &e.body, &child.body);
	}
}

void ike_on_event(struct ike *k, const char *name, const struct vici_view *message)
{
	struct vici_view rest = *message;
	struct vici_entry e;
	struct ike_conn *c;

	if (!strcmp(name, "list-sa")) {
		take_ike_sa(k, message);
		return;
	}
	while (vici_next(&rest, &e)) {
		if (e.type != VICI_SECTION_START ||
		    strncmp(e.name, IKE_CONN_PREFIX, strlen(IKE_CONN_PREFIX)) != 0 ||
		    !(c = ike_conn_get(k, e.name)))
			continue;
		c->stale = true;
		c->relist = c->listing;
		k->ops.changed(k->arg);
	}
}

/* --- listings ---------------------------------------------------------------------- */

static void begin(struct ike_conn *c)
{
	struct ike_child *x;

	LIST_FOREACH (x, &c->children, in_conn)
		x->seen = false;
	c->connecting = false;
	c->stale = false;
	c->relist = false;
	c->listing = true;
}

static void end(struct ike_conn *c, bool ok)
{
	struct ike_child *x, *next;

	if (!c->listing)
		return;
	c->listing = false;
	c->stale = c->relist || !ok;
	for (x = LIST_FIRST(&c->children); ok && x; x = next) {
		next = LIST_NEXT(x, in_conn);
		if (!x->seen)
			ike_child_free(x);
	}
}

struct listing {
	struct ike *ike;
	char conn[IKE_NAME_LEN];
};

static void on_listed(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct listing *l = arg;
	struct ike_conn *c;

	(void)reply;
	(void)why;
	HASH_FIND_STR(l->ike->conns, l->conn, c);
	if (c)
		end(c, ok);
	l->ike->ops.changed(l->ike->arg);
	free(l);
}

int ike_list(struct ike *k, struct ike_conn *c)
{
	struct listing *l = calloc(1, sizeof(*l));
	struct vici_build b;

	if (!l)
		return -1;
	l->ike = k;
	snprintf(l->conn, sizeof(l->conn), "%s", c->name);
	vici_build_init(&b);
	vici_value_put(&b, "ike", "%s", c->name);
	begin(c);
	if (vici_request(k->vici, "list-sas", &b, LIST_MS, on_listed, l) == 0)
		return 0;
	end(c, false);
	free(l);
	return -1;
}

static void on_listed_all(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct ike *k = arg;
	struct ike_conn *c, *next;

	HASH_ITER (hh, k->conns, c, next)
		end(c, ok);
	k->asked--;
	k->listed = ok && k->named;
	if (!k->listed)
		k->list_ms = k->now_ms + IKE_RETRY_MAX_MS;
	if (!ok && reply)
		log_err("charon does not list its SAs: %s", why);
	k->ops.changed(k->arg);
}

/* The connections that charon has. */
static void on_conns(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct vici_view names;
	struct vici_entry e;
	struct ike *k = arg;
	char name[IKE_NAME_LEN];
	struct ike_conn *c;

	k->asked--;
	k->named = ok;
	k->ops.changed(k->arg);
	if (!ok && reply)
		log_err("charon does not list its connections: %s", why);
	if (!ok || !vici_find(reply, VICI_LIST_START, "conns", &names))
		return;
	while (vici_next(&names, &e)) {
		if (e.body.len >= sizeof(name) || e.body.len < strlen(IKE_CONN_PREFIX) ||
		    memcmp(e.body.p, IKE_CONN_PREFIX, strlen(IKE_CONN_PREFIX)) != 0)
			continue;
		memcpy(name, e.body.p, e.body.len);
		name[e.body.len] = '\0';
		if ((c = ike_conn_get(k, name)))
			c->has = true;
	}
}

int ike_list_all(struct ike *k)
{
	struct ike_conn *c, *next;

	HASH_ITER (hh, k->conns, c, next)
		begin(c);
	k->listed = false;
	if (vici_request(k->vici, "get-conns", NULL, LIST_MS, on_conns, k) == 0) {
		k->asked++;
		if (vici_request(k->vici, "list-sas", NULL, LIST_MS, on_listed_all, k) == 0) {
			k->asked++;
			return 0;
		}
	}
	HASH_ITER (hh, k->conns, c, next)
		end(c, false);
	k->list_ms = k->now_ms + IKE_RETRY_MAX_MS;
	return -1;
}
