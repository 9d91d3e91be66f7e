/* tunnels.c - see tunnels.h. */
#include "pdp/tunnels.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "common/buf.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/pib_codec.h"

struct link { /* a VPN whose tunnels a CE was told to report */
	uint32_t vpn;
	uint32_t member;
};

struct reporter { /* a CE */
	UT_hash_handle hh;
	bool can;
	struct link *link; /* sorted by vpn */
	size_t links;
	char name[];
};

struct side { /* a membership's tunnels */
	uint32_t member;
	struct tunnel *tunnel; /* sorted by peer, but for what a report adds */
	size_t count;
	size_t sorted;
	size_t cap;
	UT_hash_handle hh;
};

struct tunnels {
	struct reporter *ces;
	struct side *sides;
	bool off;
};

struct tunnels *tunnels_new(void)
{
	return calloc(1, sizeof(struct tunnels));
}

void tunnels_set_off(struct tunnels *t, bool off)
{
	t->off = off;
}

static void side_free(struct tunnels *t, struct side *s)
{
	HASH_DEL(t->sides, s);
	for (size_t i = 0; i < s->count; i++)
		free(s->tunnel[i].error);
	free(s->tunnel);
	free(s);
}

static struct side *side_find(const struct tunnels *t, uint32_t member)
{
	struct side *s;

	HASH_FIND(hh, t->sides, &member, sizeof(member), s);
	return s;
}

static void side_drop(struct tunnels *t, uint32_t member)
{
	struct side *s = side_find(t, member);

	if (s != NULL)
		side_free(t, s);
}

void tunnels_free(struct tunnels *t)
{
	struct reporter *r, *next;
	struct side *s, *more;

	if (t == NULL)
		return;
	HASH_ITER (hh, t->ces, r, next) {
		HASH_DEL(t->ces, r);
		free(r->link);
		free(r);
	}
	HASH_ITER (hh, t->sides, s, more)
		side_free(t, s);
	free(t);
}

/* -------------------------------------------------------------- what is asked for */

static struct reporter *reporter_find(const struct tunnels *t, const char *ce)
{
	struct reporter *r;

	HASH_FIND_STR(t->ces, ce, r);
	return r;
}

static bool oid_is(struct pib_octets oid, const struct pib_class *cls)
{
	return oid.len == cls->ber_len && memcmp(oid.p, cls->ber, oid.len) == 0;
}

/* Is this the row of frwkFeedbackLinkCaps that says so? */
static bool caps_row(const struct pdp_row *row)
{
	struct pib_frwk_feedback_link_caps caps = {0};
	struct pib_fault f;
	bool surplus;

	return row->cls == &pib_frwk_feedback_link_caps_class && !row->removed &&
	       pib_epd_decode(row->cls, row->epd, row->epd_len, &caps, &surplus, &f) == 0 &&
	       oid_is(caps.selection, &pib_ce_vpn_class) &&
	       oid_is(caps.usage, &pib_ce_vpn_peer_status_class);
}

int tunnels_request(struct tunnels *t, const char *ce, const struct pdp_request *req)
{
	struct reporter *r = reporter_find(t, ce);
	bool can = false;

	for (size_t i = 0; i < req->rows && !can; i++)
		can = caps_row(&req->row[i]);
	if (r == NULL && can) {
		if ((r = calloc(1, sizeof(*r) + strlen(ce) + 1)) == NULL)
			return -1;
		strcpy(r->name, ce);
		HASH_ADD_STR(t->ces, name, r);
	}
	if (r != NULL && (can || req->full))
		r->can = can;
	return 0;
}

void tunnels_forget(struct tunnels *t, const char *ce)
{
	struct reporter *r = reporter_find(t, ce);

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->links; i++)
		side_drop(t, r->link[i].member);
	HASH_DEL(t->ces, r);
	free(r->link);
	free(r);
}

bool tunnels_can(const struct tunnels *t, const char *ce)
{
	const struct reporter *r = reporter_find(t, ce);

	return r != NULL && r->can;
}

static void put_link(struct decision *d, uint32_t vpn)
{
	static const uint8_t zero_zero = 0;
	static const uint8_t flags = 0x80 >> PIB_FRWK_FEEDBACK_LINK_FLAGS_PERIODIC |
				     0x80 >> PIB_FRWK_FEEDBACK_LINK_FLAGS_CHANGE_ONLY;
	const struct pib_class *usage = &pib_ce_vpn_peer_status_class;
	struct pib_frwk_feedback_link row = {.id = vpn,
	    .usage = {usage->ber, usage->ber_len},
	    .interval = TUNNELS_INTERVAL,
	    .threshold = {&zero_zero, 1},
	    .flags = {&flags, 1}};
	struct buf prid;

	buf_init(&prid, 0);
	pib_prid_put(&prid, &pib_ce_vpn_class, vpn);
	if (!prid.failed) { /* without tag and length */
		row.sel = (struct pib_octets) {prid.data + 2, (uint32_t)prid.len - 2};
		decision_row(d, &pib_frwk_feedback_link_class, vpn, &row);
	}
	d->b.failed |= prid.failed;
	buf_clear(&prid);
}

/* All links report, and now: what they said before is not known here any more. */
static void put_actions(struct decision *d)
{
	static const int32_t order[] = {PIB_FRWK_FEEDBACK_ACTION_INDICATOR_RESUME,
	    PIB_FRWK_FEEDBACK_ACTION_INDICATOR_SOLICIT_REPORT};

	for (uint32_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct pib_frwk_feedback_action row = {.id = i + 1,
		    .indicator = order[i],
		    .specific_pri = PIB_FRWK_FEEDBACK_ACTION_SPECIFIC_PRI_FALSE};

		decision_row(d, &pib_frwk_feedback_action_class, row.id, &row);
	}
}

static void take(struct decision *d, bool remove, struct delta_list *l)
{
	struct cops_chunk *c;

	if (d->b.len == 0 && !d->b.failed)
		return;
	if ((c = decision_take(d)) == NULL)
		l->failed = true;
	else
		delta_list_put(l, c, remove);
	cops_chunk_unref(c);
}

static int by_vpn(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return (x->vpn > y->vpn) - (x->vpn < y->vpn);
}

static struct link *links_of(const struct model_ce *ce, size_t n)
{
	struct link *link = calloc(n + 1, sizeof(*link));

	for (size_t i = 0; link != NULL && i < n; i++)
		link[i] = (struct link) {ce->member[i]->vpn->id->number, ce->member[i]->id->number};
	if (link != NULL)
		qsort(link, n, sizeof(*link), by_vpn);
	return link;
}

static bool as_linked(const struct reporter *r, const struct model_ce *ce, size_t n)
{
	const struct link *found;

	if (r->links != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct link key = {.vpn = ce->member[i]->vpn->id->number};

		found = bsearch(&key, r->link, r->links, sizeof(*r->link), by_vpn);
		if (found == NULL || found->member != ce->member[i]->id->number)
			return false;
	}
	return true;
}

int tunnels_links(struct tunnels *t, const char *name, const struct model_ce *model, bool first,
    struct delta_list *l)
{
	size_t i = 0, k = 0, n = model != NULL && !t->off ? model->members : 0;
	struct reporter *r = reporter_find(t, name);
	struct decision remove, install;
	struct link *link;

	if (r == NULL || !r->can || (!first && as_linked(r, model, n)))
		return 0;
	if ((link = links_of(model, n)) == NULL)
		return -1;
	decision_init(&remove, COPS_CMD_REMOVE);
	decision_init(&install, COPS_CMD_INSTALL);
	while (i < r->links || k < n) { /* both by number */
		const struct link *was = i < r->links ? &r->link[i] : NULL;
		const struct link *is = k < n ? &link[k] : NULL;

		if (was != NULL && (is == NULL || was->vpn < is->vpn)) {
			side_drop(t, was->member);
			if (!first)
				decision_prid(&remove, &pib_frwk_feedback_link_class, was->vpn);
			i++;
			continue;
		}
		if (was != NULL && was->vpn == is->vpn) {
			if (was->member != is->member)
				side_drop(t, was->member);
			i++;
		} else if (!first) {
			put_link(&install, is->vpn);
		}
		if (first)
			put_link(&install, is->vpn);
		k++;
	}
	if (first) {
		/* whatever it has of another time, or of another server */
		struct cops_chunk *all = decision_remove_classes(
		    &pib_framework_feedback_pib_module);

		if (all == NULL)
			l->failed = true;
		else
			delta_list_put(l, all, true);
		cops_chunk_unref(all);
		if (n > 0)
			put_actions(&install);
	}
	take(&remove, true, l);
	take(&install, false, l);
	decision_clear(&remove);
	decision_clear(&install);
	free(r->link);
	r->link = link;
	r->links = n;
	return l->failed ? -1 : 0;
}

/* -------------------------------------------------------------- what is reported */

static int by_peer(const void *a, const void *b)
{
	const struct tunnel *x = a, *y = b;

	return (x->peer > y->peer) - (x->peer < y->peer);
}

static struct tunnel *tunnel_find(const struct side *s, uint32_t peer)
{
	const struct tunnel key = {.peer = peer};

	return s->sorted > 0 ? bsearch(&key, s->tunnel, s->sorted, sizeof(key), by_peer) : NULL;
}

/* Peers that are gone, where they are many; and of what a report said twice the first. */
static void side_tidy(struct side *s, const struct model_member *r)
{
	bool prune = s->count > 2 * r->vpn->members + 16;
	size_t n = 0;

	if (s->sorted == s->count && !prune)
		return;
	qsort(s->tunnel, s->count, sizeof(*s->tunnel), by_peer);
	for (size_t i = 0; i < s->count; i++)
		if ((n > 0 && s->tunnel[i].peer == s->tunnel[n - 1].peer) ||
		    (prune && vpn_member_find(r->vpn, s->tunnel[i].peer) == NULL))
			free(s->tunnel[i].error);
		else
			s->tunnel[n++] = s->tunnel[i];
	s->count = s->sorted = n;
}

static struct side *side_get(struct tunnels *t, uint32_t member)
{
	struct side *s = side_find(t, member);

	if (s != NULL || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	s->member = member;
	HASH_ADD(hh, t->sides, member, sizeof(s->member), s);
	return s;
}

static struct tunnel *tunnel_get(struct side *s, uint32_t peer)
{
	struct tunnel *t = tunnel_find(s, peer), *more;

	if (t != NULL)
		return t;
	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 4 : s->cap * 2;
		more = reallocarray(s->tunnel, s->cap, sizeof(*more));
		if (more == NULL) {
			s->cap = s->count;
			return NULL;
		}
		s->tunnel = more;
	}
	t = &s->tunnel[s->count++];
	*t = (struct tunnel) {.peer = peer};
	return t;
}

static struct model_member *member_in(const struct model_ce *ce, uint32_t vpn)
{
	for (size_t i = 0; i < ce->members; i++)
		if (ce->member[i]->vpn->id->number == vpn)
			return ce->member[i];
	return NULL;
}

static void take_row(
    struct tunnels *t, const struct model_member *r, const struct pib_ce_vpn_peer_status *row)
{
	struct model_member *m = vpn_member_find(r->vpn, row->peer);
	const struct model_member *via;
	struct tunnel *x;
	struct side *s;

	if (m == NULL || model_view(r, m, &via) != VIEW_PEER ||
	    (s = side_get(t, r->id->number)) == NULL || (x = tunnel_get(s, row->peer)) == NULL)
		return;
	free(x->error);
	*x = (struct tunnel) {
	    .peer = row->peer,
	    .spi_in = row->spi_in,
	    .spi_out = row->spi_out,
	    .since = row->since,
	    .at = (uint32_t)time(NULL),
	    .state = (uint8_t)row->state,
	    .why = (uint8_t)row->why,
	    .packets_in = row->packets_in,
	    .octets_in = row->octets_in,
	    .packets_out = row->packets_out,
	    .octets_out = row->octets_out,
	    .error = row->error.len > 0 ? strndup((const char *)row->error.p, row->error.len)
					: NULL,
	};
}

void tunnels_report(
    struct tunnels *t, const struct model_ce *model, const struct pdp_request *report)
{
	const struct model_member *r = NULL;
	struct pib_ce_vpn_peer_status row;
	struct pib_fault f;
	struct side *s;
	bool surplus;

	for (size_t i = 0; i < report->rows; i++) {
		const struct pdp_row *x = &report->row[i];

		memset(&row, 0, sizeof(row));
		if (x->cls != &pib_ce_vpn_peer_status_class || x->removed ||
		    pib_epd_decode(x->cls, x->epd, x->epd_len, &row, &surplus, &f) != 0)
			continue;
		if (r == NULL || r->vpn->id->number != row.link_ref_id)
			r = member_in(model, row.link_ref_id);
		if (r != NULL)
			take_row(t, r, &row);
	}
	for (size_t i = 0; i < model->members; i++)
		if ((s = side_find(t, model->member[i]->id->number)) != NULL)
			side_tidy(s, model->member[i]);
}

const struct tunnel *tunnels_find(
    const struct tunnels *t, const struct model_member *r, const struct model_member *m)
{
	const struct side *s = side_find(t, r->id->number);

	return s != NULL ? tunnel_find(s, m->id->number) : NULL;
}
