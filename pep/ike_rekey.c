/*
 * ike_rekey.c - rekeys on request, none too soon after another.
 *
 * The end that answers a rekey has the new pair before the other has, and goes on sending on the
 * old one because its agent preferred that (kern_prefer.h) - if it came to it: charon ends one
 * rekey and answers the next within milliseconds, and an agent hears of it later.  So a CHILD_SA is
 * rekeyed when it has been the only one for a while at both ends.
 */
#include <string.h>

#include "common/log.h"
#include "pep/ike_int.h"

#define SETTLE_MS 1500	/* for the other end's agent */
#define LOOK_MS	  300	/* while the other end has not answered a DELETE: no event tells when */
#define WAIT_MS	  30000 /* a request waits no longer */

int64_t ike_settle_ms(const struct ike_peer *p)
{
	const struct ike_child *x;
	int64_t newest = INT64_MIN;

	LIST_FOREACH (x, &p->children, in_peer)
		if (x->installed && x->since_ms > newest)
			newest = x->since_ms;
	return newest == INT64_MIN ? newest : newest + SETTLE_MS;
}

/* List again while x is DELETING, NULL = none is.  When to look again. */
static int64_t look(struct ike *k, struct ike_peer *p, const struct ike_child *x)
{
	if (!x) {
		p->look_ms = 0;
		return INT64_MAX;
	}
	if (!p->look_ms) {
		p->look_ms = k->now_ms + LOOK_MS;
	} else if (k->now_ms >= p->look_ms) {
		x->conn->stale = true;
		p->look_ms = 0;
		return k->now_ms;
	}
	return p->look_ms;
}

int64_t ike_rekey_tick(struct ike *k, struct ike_peer *p, const struct ike_child *best)
{
	const struct ike_child *x, *deleting = NULL;
	bool alone = !best->moving;
	int64_t next;

	LIST_FOREACH (x, &p->children, in_peer) {
		if (x != best && (x->installed || x->moving))
			alone = false;
		if (x->deleting)
			deleting = x;
	}
	if (!alone || p->alone != best->id) {
		p->alone = alone ? best->id : 0;
		p->alone_ms = k->now_ms;
	}
	next = look(k, p, deleting);
	if (p->rekey_ms && best->id != p->rekey)
		p->rekey_ms = 0; /* there is a newer one */
	if (!p->rekey_ms)
		return next;
	if ((alone && k->now_ms - p->alone_ms >= SETTLE_MS) || k->now_ms - p->rekey_ms >= WAIT_MS) {
		if (ike_ask_rekey(k, best) < 0)
			log_err("IKE: %s cannot be rekeyed: no memory, or no charon", p->name);
		p->rekey_ms = 0;
		return next;
	}
	if (alone && p->alone_ms + SETTLE_MS < next)
		next = p->alone_ms + SETTLE_MS;
	return p->rekey_ms + WAIT_MS < next ? p->rekey_ms + WAIT_MS : next;
}

bool ike_rekey(struct ike *k, uint32_t peer, bool leading, int64_t now_ms)
{
	struct ike_peer *p = ike_peer_find(k, peer);
	const struct ike_child *best = p && p->wanted && vici_is_up(k->vici) ? ike_current(p)
									     : NULL;

	if (!best || (leading && !p->leads))
		return false;
	if (!p->rekey_ms || p->rekey != best->id) {
		p->rekey = best->id;
		p->rekey_ms = now_ms;
		k->ops.changed(k->arg);
	}
	return true;
}
