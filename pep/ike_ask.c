/*
 * ike_ask.c - what is asked of charon: to take our credentials; by a name or number to unload a
 * connection, to end its IKE_SAs or one CHILD_SA, to rekey one.  charon answers at once and acts
 * later; what became of it comes with the next listing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/ike_int.h"

struct asked {
	struct ike *ike;
	const char *command;
	char conn[IKE_NAME_LEN];
	uint32_t child; /* charon's number, 0 = the connection */
};

/* It ended by itself meanwhile. */
static bool gone(const char *why)
{
	return strstr(why, "no matching") || strstr(why, "not found");
}

static void refused(struct asked *a, struct ike_conn *c, const char *why)
{
	struct ike_child *x = a->child ? ike_child_find(c, a->child) : NULL;

	if (gone(why)) {
		log_info("charon has nothing left to %s of %s: %s", a->command, c->name, why);
		return;
	}
	log_err("charon does not %s %s (%u): %s", a->command, c->name, (unsigned)a->child, why);
	if (!strcmp(a->command, "rekey"))
		return; /* which says nothing of its end */
	if (x) {
		x->ending = false;
		x->refused_ms = a->ike->now_ms + IKE_RETRY_MAX_MS;
	} else if (!a->child) {
		c->ending = false;
		c->has |= !strcmp(a->command, "unload-conn");
		c->refused_ms = a->ike->now_ms + IKE_RETRY_MAX_MS;
	}
}

static void on_answer(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct asked *a = arg;
	struct ike_conn *c;

	HASH_FIND_STR(a->ike->conns, a->conn, c);
	if (c) {
		c->stale = true;
		c->relist = c->listing;
		if (!ok && reply) /* else charon is gone, and all of this with it */
			refused(a, c, why);
	}
	a->ike->ops.changed(a->ike->arg);
	free(a);
}

static int ask(struct ike *k, const char *command, const struct ike_conn *c, uint32_t child)
{
	struct asked *a = calloc(1, sizeof(*a));
	struct vici_build b;

	if (!a)
		return -1;
	*a = (struct asked) {.ike = k, .command = command, .child = child};
	snprintf(a->conn, sizeof(a->conn), "%s", c->name);
	vici_build_init(&b);
	if (child)
		vici_value_put(&b, "child-id", "%u", (unsigned)child);
	else
		vici_value_put(&b, !strcmp(command, "unload-conn") ? "name" : "ike", "%s", c->name);
	if (!strcmp(command, "terminate"))
		vici_value_put(&b, "timeout", "-1"); /* do not wait for the peer */
	if (vici_request(k->vici, command, &b, IKE_REPLY_MS, on_answer, a) == 0)
		return 0;
	free(a);
	return -1;
}

void ike_ask_unload(struct ike *k, struct ike_conn *c)
{
	if (ask(k, "unload-conn", c, 0) < 0)
		return;
	c->has = false;
	c->stale = true;
}

void ike_ask_end(struct ike *k, struct ike_conn *c)
{
	if (ask(k, "terminate", c, 0) < 0)
		return;
	c->ending = true;
	c->stale = true;
}

void ike_ask_child_end(struct ike *k, struct ike_child *x)
{
	if (!x->ending && k->now_ms >= x->refused_ms && ask(k, "terminate", x->conn, x->id) == 0)
		x->ending = true;
}

int ike_ask_rekey(struct ike *k, const struct ike_child *x)
{
	return ask(k, "rekey", x->conn, x->id);
}

/* --- credentials ------------------------------------------------------------------------ */

static void on_cred(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct ike *k = arg;

	k->asked--;
	if (!ok && reply) /* else charon is gone, and asked again when it is back */
		log_err("charon does not take a credential: %s", why);
	k->ops.changed(k->arg);
}

static void send_cred(struct ike *k, const char *command, struct vici_build *b)
{
	if (vici_request(k->vici, command, b, IKE_REPLY_MS, on_cred, k) == 0)
		k->asked++;
}

/* A shared key that charon has: of ours, and not of the file any more? */
static bool key_over(const struct ike *k, const char *id)
{
	const struct ike_psk_key *key;

	if (strncmp(id, IKE_CONN_PREFIX, strlen(IKE_CONN_PREFIX)) != 0)
		return false;
	key = ike_psk_find(k->creds->psk, id + strlen(IKE_CONN_PREFIX));
	return !key || strcmp(key->peer, id + strlen(IKE_CONN_PREFIX)) != 0;
}

static void on_shared(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	char id[VICI_NAME_LEN + sizeof(IKE_CONN_PREFIX)];
	struct ike *k = arg;
	struct vici_view keys;
	struct vici_entry e;
	struct vici_build b;

	k->asked--;
	k->ops.changed(k->arg);
	if (!ok && reply)
		log_err("charon does not say which shared keys it has: %s", why);
	if (!ok || !vici_find(reply, VICI_LIST_START, "keys", &keys))
		return;
	while (vici_next(&keys, &e)) {
		if (e.body.len >= sizeof(id))
			continue;
		memcpy(id, e.body.p, e.body.len);
		id[e.body.len] = '\0';
		if (!key_over(k, id))
			continue;
		vici_build_init(&b);
		vici_value_put(&b, "id", "%s", id);
		send_cred(k, "unload-shared", &b);
	}
}

static void send_pem(struct ike *k, const char *command, const char *type, const char *flag,
    const struct vici_view *data)
{
	struct vici_build b;

	if (!data->len)
		return;
	vici_build_init(&b);
	vici_value_put(&b, "type", "%s", type);
	if (flag)
		vici_value_put(&b, "flag", "%s", flag);
	vici_octets_put(&b, "data", data->p, data->len);
	send_cred(k, command, &b);
}

void ike_ask_creds(struct ike *k)
{
	const struct ike_psk_key *key;
	struct vici_build b;

	k->reload = false;
	send_pem(k, "load-cert", "X509", "CA", &k->creds->ca);
	send_pem(k, "load-cert", "X509", "NONE", &k->creds->certificate);
	send_pem(k, "load-key", "any", NULL, &k->creds->key);
	for (size_t i = 0; (key = ike_psk_at(k->creds->psk, i)); i++) {
		vici_build_init(&b);
		/* replaces the one before */
		vici_value_put(&b, "id", IKE_CONN_PREFIX "%s", key->peer);
		vici_value_put(&b, "type", "IKE");
		vici_octets_put(&b, "data", key->octet, key->len);
		vici_list_put(&b, "owners");
		vici_item_put(&b, "%s", k->creds->identity);
		vici_item_put(&b, "%s", key->peer);
		vici_list_end(&b);
		send_cred(k, "load-shared", &b);
	}
	if (vici_request(k->vici, "get-shared", NULL, IKE_REPLY_MS, on_shared, k) == 0)
		k->asked++;
}
