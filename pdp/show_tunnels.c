/*
 * show_tunnels.c - "show tunnels": every pair of memberships that see each other directly, once
 * from each end, with what that end reported last and what this server knows beside it: who is not
 * connected, never was, or refused its policy.  Cost: the pairs that are looked at.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/peer_status.h"
#include "pdp/control.h"
#include "pdp/pdp.h"
#include "pdp/sync.h"
#include "pdp/tunnels.h"
#include "pdp/vpn.h"
#include "pib/gen/ce_vpn_pib.h"

#define LINES_MAX 10000
#define PAIRS_MAX 1000000 /* looked at */

#define WHY_LEN 320

struct listing {
	struct pdp *p;
	const struct tunnels *tunnels;
	const struct model_vpn *vpn; /* NULL: all */
	const struct model_ce *ce;   /* NULL: all */
	bool down;		     /* only those that are not up */
	json_t *list;
	size_t lines, pairs;
	int64_t now;
};

struct end { /* a CE of a tunnel */
	const struct model_ce *ce;
	struct sync_info info;
};

struct line {
	const char *state;
	char why[WHY_LEN];
};

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

static void end_get(const struct listing *l, const struct model_ce *ce, struct end *e)
{
	*e = (struct end) {.ce = ce};
	if (!sync_info(l->p->sync, ce->name, &e->info))
		e->info = (struct sync_info) {.name = ce->name, .address = ""};
}

/* --------------------------------------------------------------------- reasons */

/* Why a CE is not here; false: it is, or is none of ours. */
static bool absent(const struct end *e, char *why, size_t size)
{
	char at[32] = "";
	time_t lost = (time_t)e->info.lost_at;
	struct tm tm;

	if (e->ce->foreign || e->info.state != SYNC_OFFLINE)
		return false;
	if (e->info.lost_at == 0 && e->info.applied == 0) {
		snprintf(why, size, "%s has never connected", e->ce->name);
		return true;
	}
	if (lost != 0 && localtime_r(&lost, &tm) != NULL)
		strftime(at, sizeof(at), " %F %T", &tm);
	snprintf(why, size, "%s is not connected since%s%s", e->ce->name,
	    lost != 0 ? at : " this server started",
	    e->info.dropped ? ", and its policy is over" : "");
	return true;
}

/* Why a CE that is here does not hold its policy. */
static bool behind(const struct end *e, char *why, size_t size)
{
	json_t *f;

	if (e->ce->foreign || e->info.state == SYNC_OFFLINE)
		return false;
	if (e->info.failed) {
		f = e->info.failure != NULL ? json_loads(e->info.failure, 0, NULL) : NULL;
		snprintf(why, size, "%s refused %s %s: %s", e->ce->name,
		    json_get_string(f, "row", "its policy"), json_get_string(f, "column", ""),
		    json_get_string(f, "text", "no reason given"));
		json_decref(f);
		return true;
	}
	if (e->info.known && e->info.applied >= e->info.wanted)
		return false;
	snprintf(why, size, "%s has not confirmed its policy yet", e->ce->name);
	return true;
}

static const char *word(uint8_t column, int32_t value)
{
	return pib_enum_name(pib_column_find(&pib_ce_vpn_peer_status_class, column), value);
}

static const char *state_word(const struct tunnel *t)
{
	return word(PIB_CE_VPN_PEER_STATUS_COL_STATE, t->state);
}

static void tell(const struct tunnel *t, char *why, size_t size)
{
	const char *text = peer_status_text(word(PIB_CE_VPN_PEER_STATUS_COL_WHY, t->why));

	snprintf(why, size, "%s%s%s", text, *text != '\0' && t->error != NULL ? ": " : "",
	    t->error != NULL ? t->error : "");
}

/* r says nothing of the tunnel. */
static void untold(const struct listing *l, const struct end *r, struct line *x)
{
	if (behind(r, x->why, sizeof(x->why))) {
		x->state = "down";
		return;
	}
	x->state = "unknown";
	snprintf(x->why, sizeof(x->why), "%s %s", r->ce->name,
	    l->p->conf->accounting_s == 0	    ? "is not asked to report (accounting = 0)"
	    : !tunnels_can(l->tunnels, r->ce->name) ? "does not report on tunnels"
						    : "has not reported yet");
}

/* r says that it is not up, which may have its cause at m. */
static void not_up(const struct tunnel *t, const struct end *m, struct line *x)
{
	size_t n;

	x->state = state_word(t);
	tell(t, x->why, sizeof(x->why));
	n = strlen(x->why);
	if (m->ce->foreign && n < sizeof(x->why))
		snprintf(x->why + n, sizeof(x->why) - n, "%s%s is unmanaged", n > 0 ? ": " : "",
		    m->ce->name);
	if (m->ce->foreign || t->why == PIB_CE_VPN_PEER_STATUS_WHY_NO_OWN_KEY ||
	    n + 3 >= sizeof(x->why))
		return;
	snprintf(x->why + n, sizeof(x->why) - n, "%s", n > 0 ? ": " : "");
	if (!absent(m, x->why + strlen(x->why), sizeof(x->why) - strlen(x->why)) &&
	    !behind(m, x->why + strlen(x->why), sizeof(x->why) - strlen(x->why)))
		x->why[n] = '\0';
}

/* r says that it is up: does m? */
static void half_up(
    const struct tunnel *back, const struct end *r, const struct end *m, struct line *x)
{
	size_t n;

	x->state = "up";
	if (m->ce->foreign) {
		snprintf(x->why, sizeof(x->why), "%s is unmanaged: only %s tells", m->ce->name,
		    r->ce->name);
	} else if (absent(m, x->why, sizeof(x->why))) {
		x->state = "unknown";
	} else if (back != NULL && back->state != PIB_CE_VPN_PEER_STATUS_STATE_UP) {
		x->state = "down";
		n = (size_t)snprintf(x->why, sizeof(x->why), "%s says: ", m->ce->name);
		if (n < sizeof(x->why))
			tell(back, x->why + n, sizeof(x->why) - n);
	}
}

static void judge(const struct listing *l, const struct end *r, const struct end *m,
    const struct tunnel *t, const struct tunnel *back, struct line *x)
{
	x->why[0] = '\0';
	if (absent(r, x->why, sizeof(x->why)))
		x->state = r->info.dropped || (r->info.lost_at == 0 && r->info.applied == 0)
			       ? "down"
			       : "unknown";
	else if (t == NULL)
		untold(l, r, x);
	else if (t->state != PIB_CE_VPN_PEER_STATUS_STATE_UP)
		not_up(t, m, x);
	else
		half_up(back, r, m, x);
}

/* ----------------------------------------------------------------------- lines */

/* How old what is said may be: what did not change is not reported again. */
static json_t *age(const struct listing *l, const struct end *r, const struct tunnel *t)
{
	int64_t said = t->at, interval = l->p->conf->accounting_s, n = l->now - said;

	if (r->info.state != SYNC_OFFLINE && n > interval)
		n = interval;
	if (r->info.lost_at != 0 && l->now - (r->info.lost_at - interval) < n)
		n = l->now - (r->info.lost_at - interval);
	return json_integer((json_int_t)(n > 0 ? n : 0));
}

static json_t *spi(uint32_t n)
{
	return n == 0 ? json_null() : json_sprintf("0x%08x", n);
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void line_put(const struct listing *l, const struct model_member *r, const struct end *re,
    const struct model_member *m, const struct tunnel *t, const struct line *x)
{
	static const struct tunnel none;
	json_t *o = json_pack("{s:o, s:s, s:s, s:s}", "vpn",
	    json_sprintf("%s/%s", r->vpn->customer->name, r->vpn->name), "ce", r->ce->name, "peer",
	    m->ce->name, "state", x->state);

	set(o, "reported", t != NULL ? json_string(state_word(t)) : json_null());
	set(o, "age_s", t != NULL ? age(l, re, t) : json_null());
	if (t == NULL)
		t = &none;
	set(o, "spi_in", spi(t->spi_in));
	set(o, "spi_out", spi(t->spi_out));
	set(o, "packets_in", number(t->packets_in));
	set(o, "octets_in", number(t->octets_in));
	set(o, "packets_out", number(t->packets_out));
	set(o, "octets_out", number(t->octets_out));
	set(o, "since_at", number(t->since));
	set(o, "why", x->why[0] != '\0' ? json_text(x->why) : json_null());
	json_array_append_new(l->list, o);
}

static bool full(const struct listing *l)
{
	return l->lines > LINES_MAX || l->pairs > PAIRS_MAX;
}

static void of_member(struct listing *l, const struct model_member *r)
{
	const struct model_member *via;
	struct model_member *m;
	struct model_seen seen;
	struct end re, me;
	struct line x;

	if (r->ce->foreign)
		return;
	end_get(l, r->ce, &re);
	model_seen_init(&seen, r);
	while (!full(l) && (m = model_seen_next(&seen)) != NULL) {
		const struct tunnel *t, *back;

		l->pairs++;
		if (model_view(r, m, &via) != VIEW_PEER)
			continue;
		t = tunnels_find(l->tunnels, r, m);
		back = tunnels_find(l->tunnels, m, r);
		end_get(l, m->ce, &me);
		judge(l, &re, &me, t, back, &x);
		if (l->down && strcmp(x.state, "up") == 0)
			continue;
		if (l->lines++ < LINES_MAX)
			line_put(l, r, &re, m, t, &x);
	}
}

static void of_vpn(struct listing *l, const struct model_vpn *v)
{
	for (size_t i = 0; i < v->members && !full(l); i++)
		if (l->ce == NULL || v->member[i].ce == l->ce)
			of_member(l, &v->member[i]);
}

static void of_customer(void *arg, struct customer *c)
{
	struct listing *l = arg;

	for (size_t i = 0; i < c->vpns && !full(l); i++)
		of_vpn(l, &c->vpn[i]);
}

static void of_ce(struct listing *l)
{
	for (size_t i = 0; i < l->ce->members; i++)
		if (l->vpn == NULL || l->ce->member[i]->vpn == l->vpn)
			of_member(l, l->ce->member[i]);
}

void show_tunnels(void *arg, struct ctl_req *req, const json_t *args)
{
	struct pdp *p = arg;
	struct listing l = {.p = p, .tunnels = vpn_tunnels(p->vpn), .now = (int64_t)time(NULL)};
	const char *vpn = json_get_string(args, "vpn", NULL);
	char buf[CE_NAME_MAX] = "";
	const char *ce = control_ce(args, "ce", buf);
	bool many = false;

	if (vpn != NULL && (l.vpn = registry_vpn(p->db.registry, vpn, &many)) == NULL) {
		ctl_req_fail(req, "not_found", NULL,
		    many ? "several VPNs are named \"%s\": say customer/vpn" : "no VPN \"%s\"",
		    vpn);
		return;
	}
	if (ce != NULL && (l.ce = registry_ce(p->db.registry, ce)) == NULL) {
		ctl_req_fail(req, "not_found", NULL, "no CE \"%s\"", buf);
		return;
	}
	l.down = json_is_true(json_object_get(args, "down"));
	l.list = json_array();
	if (l.ce != NULL)
		of_ce(&l);
	else if (l.vpn != NULL)
		of_vpn(&l, l.vpn);
	else
		registry_each(p->db.registry, of_customer, &l);
	if (!full(&l)) {
		ctl_req_done(req, l.list);
		return;
	}
	json_decref(l.list);
	ctl_req_fail(req, "too_many", NULL,
	    "more than %u tunnels, or too many to look at: say which VPN, --ce or --down",
	    LINES_MAX);
}
