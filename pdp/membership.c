/* membership.c - see membership.h. */
#include "pdp/membership.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/log.h"
#include "pdp/acl.h"
#include "pdp/control.h"
#include "pdp/leave.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pdp/vpn.h"

#define LEAVE_AGAIN_MS 10000 /* after it could not be done */
#define TELL_AGAIN_MS  10000
#define CHECK_FACTOR   20 /* asking takes at most a twentieth of the time */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ who is revoked */

struct starting {
	struct pdp *p;
	int rc;
};

static void keep_out(void *arg, const struct verdict *v)
{
	struct starting *s = arg;

	if (v->kind != VERDICT_REVOKED)
		return;
	s->rc |= acl_revoke(s->p->acl, v->ce);
	sync_revoke(s->p->sync, v->ce);
}

int membership_start(struct pdp *p)
{
	struct starting s = {.p = p};

	verdicts_each(p->db.verdicts, keep_out, &s);
	return s.rc;
}

/* ----------------------------------------------------------- who has confirmed what */

const char *membership_ce(struct pdp *p, uint32_t member)
{
	const struct id_entry *e = ids_find(p->db.ids, ID_MEMBER, member);
	const char *slash = e != NULL ? strrchr(e->key, '/') : NULL;

	return slash != NULL ? slash + 1 : "?";
}

/*
 * What keeps a CE from having confirmed a change, in words; NULL: nothing of it is left there.  It
 * has reported Success and owes its kernel nothing; what it owes it says before it reports
 * (pep/vpn.c), and of what it said only this connection's newest request counts.
 */
static const char *holds_why(struct pdp *p, const char *ce, uint64_t lsn, char *buf, size_t size)
{
	struct vpn_site site;
	struct sync_info i;

	if (!sync_info(p->sync, ce, &i))
		return NULL; /* it left, and said that it holds nothing */
	if (i.state == SYNC_OFFLINE || i.state == SYNC_OPENING)
		return i.lost_at == 0 && i.state == SYNC_OFFLINE ? "was not connected since"
								 : "offline";
	if (i.failed && (!i.known || i.applied < lsn))
		return "refuses what it was sent";
	if (!i.known || (i.applied < lsn && i.applied < i.wanted))
		return "has not reported yet";
	if (i.unheard || !vpn_site(p->vpn, ce, &site))
		return "has not said how its kernel is";
	if (site.owed == 0)
		return NULL;
	snprintf(buf, size, "its kernel still has %u entries that are to go", site.owed);
	return buf;
}

static enum departed_answer ask(void *arg, uint32_t peer, uint64_t lsn)
{
	struct pdp *p = arg;
	const char *ce = membership_ce(p, peer);
	const struct model_ce *k = registry_ce(p->db.registry, ce);
	char buf[80];

	if (verdicts_find(p->db.verdicts, VERDICT_REVOKED, ce, "") != NULL ||
	    (k != NULL && k->foreign && !sync_info(p->sync, ce, &(struct sync_info) {0})))
		return DEPARTED_MUTE;
	return holds_why(p, ce, lsn, buf, sizeof(buf)) == NULL ? DEPARTED_CLEAN : DEPARTED_HOLDS;
}

static bool vpn_exists(void *arg, uint32_t vpn)
{
	struct pdp *p = arg;

	return registry_vpn_number(p->db.registry, vpn) != NULL;
}

static int save_departure(void *arg, const struct departure *x, bool gone)
{
	struct pdp *p = arg;
	char err[DB_ERR_LEN];

	if (p->db.ops->save_membership(p->db.store, NULL, x, gone, err, sizeof(err)) == 0)
		return 0;
	log_err("%s", err);
	return -1;
}

/* ------------------------------------------------------------- who asks to leave */

struct granting { /* the first that may go; one a tick, as it changes what is asked */
	const struct leave *found;
	struct leave x;
	char ce[CE_NAME_MAX];
};

static void may_go(void *arg, const struct leave *x)
{
	struct granting *g = arg;

	if (g->found != NULL || !x->vpn->leave_allowed || x->denied)
		return;
	g->x = *x;
	g->found = &g->x;
	snprintf(g->ce, sizeof(g->ce), "%s", x->ce);
	g->x.ce = g->ce;
}

enum change_result membership_leave(
    struct pdp *p, const struct leave *x, const char *who, struct change *c, char err[DB_ERR_LEN])
{
	char vpn[512], what[800], reason[VERDICT_REASON_MAX + 1], ce[CE_NAME_MAX];
	const struct verdict v = {.kind = VERDICT_LEFT,
	    .ce = ce,
	    .vpn = vpn,
	    .at = (int64_t)time(NULL),
	    .who = who,
	    .reason = reason};
	const struct change_text t = {.who = who, .comment = reason};

	/* what *x points to may be gone by then */
	snprintf(ce, sizeof(ce), "%s", x->ce);
	snprintf(vpn, sizeof(vpn), "%s/%s", x->vpn->customer->name, x->vpn->name);
	snprintf(reason, sizeof(reason), "%s", x->reason);
	snprintf(what, sizeof(what), "CE %s left %s", ce, vpn);
	return change_verdict(&p->env, &v, false, what, &t, c, err);
}

static void grant(struct pdp *p)
{
	struct granting g = {0};
	char err[DB_ERR_LEN] = "";
	struct change c;

	if (now_ms() < p->leave_at_ms)
		return;
	leaves_each(vpn_leaves(p->vpn), may_go, &g);
	if (g.found == NULL)
		return;
	if (membership_leave(p, g.found, g.ce, &c, err) != CHANGE_OK) {
		log_err("%s cannot leave: %s; it will be tried again", g.ce, err);
		p->leave_at_ms = now_ms() + LEAVE_AGAIN_MS;
	}
	change_clear(&c);
}

/* A CE hears of a denial when its request is refused: have it say again what it asks. */
static void tell(void *arg, const struct leave *x)
{
	struct pdp *p = arg;
	struct sync_info i;

	if (x->denied && sync_info(p->sync, x->ce, &i) && i.state == SYNC_IDLE)
		sync_retry(p->sync, x->ce);
}

void membership_tell(struct pdp *p)
{
	leaves_each(vpn_leaves(p->vpn), tell, p);
}

void membership_tick(struct pdp *p)
{
	int64_t start = now_ms();

	if (departed_count(p->db.departed) > 0 && start >= p->membership_at_ms) {
		departed_check(p->db.departed, (int64_t)time(NULL), ask, vpn_exists, p);
		p->membership_at_ms = start + (now_ms() - start) * CHECK_FACTOR;
	}
	departed_save_each(p->db.departed, save_departure, p);
	grant(p);
	if (start >= p->tell_at_ms) {
		membership_tell(p);
		p->tell_at_ms = start + TELL_AGAIN_MS;
	}
}

/* ------------------------------------------------------------------------- show */

#define WAITS_SHOWN 100

struct departures {
	struct pdp *p;
	const struct model_vpn *v;
	json_t *list;
};

static json_t *waits(struct pdp *p, const struct departure *x)
{
	json_t *list = json_array();
	const char *why;
	char buf[80];

	for (size_t i = 0; i < x->waits && i < WAITS_SHOWN; i++) {
		why = holds_why(p, membership_ce(p, x->wait[i]), x->lsn, buf, sizeof(buf));
		json_array_append_new(list, json_sprintf("%s: %s", membership_ce(p, x->wait[i]),
						why != NULL ? why : "confirms now"));
	}
	return list;
}

static void departure_json(void *arg, const struct departure *x)
{
	struct departures *d = arg;
	json_t *o;

	if (x->vpn != d->v->id->number)
		return;
	o = json_pack("{s:s, s:i, s:s, s:I}", "ce", membership_ce(d->p, x->member), "member",
	    (int)x->member, "how", x->how, "at", (json_int_t)x->at);
	json_object_set_new(o, "peers", json_integer((json_int_t)x->peers));
	json_object_set_new(o, "confirmed", json_integer((json_int_t)(x->peers - x->waits)));
	json_object_set_new(o, "cannot_say", json_integer((json_int_t)x->mute));
	json_object_set_new(
	    o, "out_at", x->out_at != 0 ? json_integer((json_int_t)x->out_at) : json_null());
	json_object_set_new(o, "state",
	    x->out_at != 0 ? json_string("out")
			   : json_sprintf("leaving: %zu of %u peers have confirmed",
				 x->peers - x->waits, x->peers));
	json_object_set_new(o, "waits_for", waits(d->p, x));
	json_array_append_new(d->list, o);
}

json_t *membership_departures(struct pdp *p, const struct model_vpn *v)
{
	struct departures d = {.p = p, .v = v, .list = json_array()};

	departed_each(p->db.departed, departure_json, &d);
	return d.list;
}

static void request_json(void *arg, const struct leave *x)
{
	json_array_append_new(
	    arg, json_pack("{s:s, s:s, s:s, s:o, s:I, s:o}", "ce", x->ce, "asks", "leave", "state",
		     x->denied		     ? "denied, not told yet"
		     : x->vpn->leave_allowed ? "being done"
					     : "held",
		     "vpn", json_sprintf("%s/%s", x->vpn->customer->name, x->vpn->name), "since_at",
		     (json_int_t)x->at, "reason", json_text(x->reason)));
}

json_t *membership_requests(struct pdp *p)
{
	json_t *list = json_array();

	leaves_each(vpn_leaves(p->vpn), request_json, list);
	return list;
}
