/*
 * ike_try.c - one initiation: on a connection to charon of its own, since it lasts and the protocol
 * has one command at a time.  charon's answer says only that it failed; why is in the log
 * lines that it sends meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/ike_int.h"

#define INITIATE_MS 15000 /* then it is left to charon, which may still succeed */
#define ANSWER_MS   (INITIATE_MS + 10000)

struct ike_try {
	struct ike *ike;
	struct vici *vici;
	char conn[IKE_NAME_LEN];
	char child[IKE_NAME_LEN];
	bool over;
	bool ok;
	char said[IKE_REASON_LEN]; /* the log line that tells most */
	char why[IKE_REASON_LEN];  /* the answer */
	LIST_ENTRY(ike_try) in_ended;
};

static void finish(struct ike_try *t, bool ok, const char *why)
{
	if (t->over)
		return;
	t->over = true;
	t->ok = ok;
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->ike->ops.changed(t->ike->arg);
}

static void on_reply(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	(void)reply;
	finish(arg, ok, why);
}

static void on_up(void *arg)
{
	struct ike_try *t = arg;
	struct vici_build b;

	vici_build_init(&b);
	vici_value_put(&b, "child", "%s", t->child);
	vici_value_put(&b, "ike", "%s", t->conn);
	vici_value_put(&b, "timeout", "%d", INITIATE_MS);
	vici_value_put(&b, "loglevel", "1");
	if (vici_request(t->vici, "initiate", &b, ANSWER_MS, on_reply, t) < 0)
		finish(t, false, "out of memory");
}

static void on_down(void *arg, const char *why)
{
	finish(arg, false, why);
}

/* The lines of charon's log that say why, most telling first; the last of the best is kept. */
static unsigned telling(const char *line)
{
	static const char *const words[] = {"notify error", "no private key found",
	    "no shared key found", "no trusted", "constraint check failed", "giving up after",
	    "no matching", "unable to", "failed", "error"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(line, words[i]))
			return (unsigned)(sizeof(words) / sizeof(words[0])) - i;
	return strstr(line, "retransmit ") ? 1 : 0;
}

static void on_event(void *arg, const char *name, const struct vici_view *message)
{
	struct ike_try *t = arg;
	char line[IKE_REASON_LEN];

	(void)name;
	vici_text(message, "msg", line, sizeof(line));
	if (!telling(line) || telling(line) < telling(t->said))
		return;
	if (strstr(line, "retransmit "))
		snprintf(t->said, sizeof(t->said), "the peer does not answer");
	else
		snprintf(t->said, sizeof(t->said), "%s", line);
}

int ike_try_start(struct ike *k, struct ike_peer *p)
{
	static const char *const events[] = {"control-log", NULL};
	static const struct vici_ops ops = {.up = on_up, .down = on_down, .event = on_event};
	struct ike_try *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	t->ike = k;
	snprintf(t->conn, sizeof(t->conn), "%s", p->conn->name);
	snprintf(t->child, sizeof(t->child), "%s", p->child);
	if (!(t->vici = vici_new(k->base, k->socket, events, true, &ops, t))) {
		free(t);
		return -1;
	}
	p->trying = t;
	k->trying++;
	return 0;
}

void ike_try_drop(struct ike *k, struct ike_peer *p)
{
	if (!p->trying)
		return;
	p->trying->over = true; /* whatever is still heard of it */
	LIST_INSERT_HEAD(&k->ended, p->trying, in_ended);
	p->trying = NULL;
	k->trying--;
}

bool ike_try_over(struct ike *k, struct ike_peer *p, bool *ok)
{
	const struct ike_try *t = p->trying;

	if (!t || !t->over)
		return false;
	*ok = t->ok;
	if (!t->ok)
		snprintf(p->reason, sizeof(p->reason), "%s", t->said[0] ? t->said : t->why);
	ike_try_drop(k, p);
	return true;
}

void ike_try_sweep(struct ike *k)
{
	struct ike_try *t;

	while ((t = LIST_FIRST(&k->ended))) {
		LIST_REMOVE(t, in_ended);
		vici_free(t->vici);
		free(t);
	}
}
