/*
 * ike_ask.c - what is asked of charon by a name or number: to unload a connection, to end its
 * IKE_SAs or one CHILD_SA, to rekey one.  charon answers at once and acts later; what became of it
 * comes with the next listing.
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

static struct ike_child *child_find(const struct ike_conn *c, uint32_t id)
{
	struct ike_child *x;

	LIST_FOREACH (x, &c->children, in_conn)
		if (x->id == id)
			return x;
	return NULL;
}

/* It ended by itself meanwhile. */
static bool gone(const char *why)
{
	return strstr(why, "no matching") || strstr(why, "not found");
}

static void refused(struct asked *a, struct ike_conn *c, const char *why)
{
	struct ike_child *x = a->child ? child_find(c, a->child) : NULL;

	if (gone(why)) {
		log_info("charon has nothing left to %s of %s: %s", a->command, c->name, why);
		return;
	}
	log_err("charon does not %s %s (%u): %s", a->command, c->name, (unsigned)a->child, why);
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
