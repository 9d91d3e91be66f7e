/*
 * vpn_learn.c - what sites with managed routing report (framework draft 4.2): the kernel's routes,
 * read when they may have changed, through the filters of pep.conf into a struct learn for each
 * VPN, and from there into ceVpnSitePrefix rows.  Nothing is watched while no VPN is managed.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "pep/kern_watch.h"
#include "pep/learn.h"
#include "pep/learn_conf.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pep/vpn_int.h"
#include "pep/vpn_show.h"
#include "pib/pib_store.h"

#define PEERS_ASKED 8  /* of whom it is asked which interface leads to them */
#define PAUSE	    20 /* times as long as the reading took, at least, until the next */
#define RETRY_MS    5000

struct prefixes { /* sorted */
	struct prefix *p;
	size_t count;
	size_t cap;
	bool no_memory;
};

struct managed { /* a VPN */
	uint32_t vpn;
	struct learn *learn;
	char name[LEARN_CONF_VPN];
	uint32_t max; /* of those that are reported */
	bool kept;    /* its row is still there */
	bool over;    /* the limit, as was said */
	/* while the routes are read: */
	struct prefixes theirs;
	unsigned towards[PEERS_ASKED];
	unsigned towards_count;
	UT_hash_handle hh;
};

struct source { /* where a VPN's routes are looked for */
	struct managed *m;
	const struct learn_filter *filter;
	uint32_t table;
};

struct vpn_learn {
	const struct kern_watch_ops *ops;
	struct learn_limits limits;
	struct learn_filter any; /* of VPNs without an entry */
	struct learn_filter *filter;
	size_t filters;
	struct managed *vpns;
	uint32_t instance; /* the newest row's */
	int fd;		   /* -1: nothing is watched */
	struct event *on_routes;
	struct event *on_look;
	struct event *on_tick;
	int64_t look_after_ms; /* not earlier */
	struct source *source;
	size_t sources;
	struct kern_watch_link *link;
	size_t links;
	bool no_memory;
	char trouble[160];
};

/* --- life ------------------------------------------------------------------- */

static int read_filters(struct vpn_learn *w, const struct pep_conf *conf)
{
	const char *why;

	learn_filter_default(&w->any);
	if (!(w->filter = calloc(conf->learn.count + 1, sizeof(*w->filter))))
		return -1;
	for (size_t i = 0; i < conf->learn.count; i++) /* pep_conf.c has checked them */
		if (learn_filter_parse(&w->filter[w->filters], conf->learn.item[i], &why) == 0)
			w->filters++;
	return 0;
}

static void on_routes(evutil_socket_t fd, short what, void *arg);
static void on_look(evutil_socket_t fd, short what, void *arg);
static void on_tick(evutil_socket_t fd, short what, void *arg);

int vpn_learn_start(struct vpn *v)
{
	struct vpn_learn *w = calloc(1, sizeof(*w));

	if (!(v->learn = w))
		return -1;
	w->ops = v->ops->watch;
	w->fd = -1;
	w->limits = (struct learn_limits) {.max = (uint32_t)v->conf->learn_max,
	    .hold_ms = v->conf->learn_hold_s * 1000,
	    .half_life_ms = v->conf->learn_half_life_s * 1000};
	w->on_look = evtimer_new(v->env.base, on_look, v);
	w->on_tick = evtimer_new(v->env.base, on_tick, v);
	return w->on_look && w->on_tick && read_filters(w, v->conf) == 0 ? 0 : -1;
}

static void managed_free(struct vpn_learn *w, struct managed *m)
{
	HASH_DEL(w->vpns, m);
	learn_free(m->learn);
	free(m->theirs.p);
	free(m);
}

static void watch_end(struct vpn_learn *w)
{
	if (w->on_routes)
		event_free(w->on_routes);
	w->on_routes = NULL;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	evtimer_del(w->on_look);
	evtimer_del(w->on_tick);
}

void vpn_learn_stop(struct vpn *v)
{
	struct vpn_learn *w = v->learn;
	struct managed *m, *next;

	if (!w)
		return;
	HASH_ITER (hh, w->vpns, m, next)
		managed_free(w, m);
	if (w->on_look && w->on_tick)
		watch_end(w);
	if (w->on_look)
		event_free(w->on_look);
	if (w->on_tick)
		event_free(w->on_tick);
	free(w->source);
	free(w->link);
	free(w->filter);
	free(w);
	v->learn = NULL;
}

static int watch_begin(struct vpn *v)
{
	struct vpn_learn *w = v->learn;
	struct kern_fault f;

	if (w->fd >= 0)
		return 0;
	if ((w->fd = w->ops->open(v->kern, &f)) < 0) {
		log_err("routes cannot be watched: %s", f.text);
		return -1;
	}
	w->on_routes = event_new(v->env.base, w->fd, EV_READ | EV_PERSIST, on_routes, v);
	if (w->on_routes && event_add(w->on_routes, NULL) == 0)
		return 0;
	watch_end(w);
	return -1;
}

/* --- times ------------------------------------------------------------------ */

static void arm(struct event *e, int64_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(e, &tv);
}

/* Read the routes when what changes now has settled. */
static void look_soon(struct vpn *v)
{
	struct vpn_learn *w = v->learn;
	int64_t wait = v->conf->learn_settle_ms;
	int64_t pause = w->look_after_ms - vpn_now_ms();

	if (!evtimer_pending(w->on_look, NULL))
		arm(w->on_look, pause > wait ? pause : wait);
}

static void arm_tick(struct vpn_learn *w)
{
	int64_t now = vpn_now_ms();
	int64_t at = INT64_MAX;

	for (const struct managed *m = w->vpns; m; m = m->hh.next)
		if (learn_deadline(m->learn) < at)
			at = learn_deadline(m->learn);
	if (at == INT64_MAX)
		evtimer_del(w->on_tick);
	else
		arm(w->on_tick, at > now ? at - now : 0);
}

/* --- what is over the limit -------------------------------------------------- */

/* Told to the PDP, and said once.  Does it differ from what was told? */
static bool judge_limit(struct vpn_learn *w)
{
	char now[sizeof(w->trouble)] = "";
	bool differs;

	for (struct managed *m = w->vpns; m; m = m->hh.next) {
		char text[sizeof(now)];
		struct learn_count c;

		learn_count(m->learn, &c);
		if (c.over > 0) {
			snprintf(text, sizeof(text),
			    "VPN %s: %u of %u learned prefixes are over the limit of %u", m->name,
			    (unsigned)c.over, (unsigned)c.all, (unsigned)m->max);
			if (!m->over)
				log_warn("%s", text);
			if (!*now)
				snprintf(now, sizeof(now), "%s", text);
		} else if (m->over) {
			log_note("VPN %s: the %u learned prefixes are within the limit again",
			    m->name, (unsigned)c.all);
		}
		m->over = c.over > 0;
	}
	differs = strcmp(now, w->trouble) != 0;
	memcpy(w->trouble, now, sizeof(now));
	return differs;
}

/* --- reading ---------------------------------------------------------------- */

static void prefix_add(struct prefixes *l, const struct pib_octets *a, uint32_t len)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct prefix *p = reallocarray(l->p, cap, sizeof(*p));
		if (!p) {
			l->no_memory = true;
			return;
		}
		l->p = p;
		l->cap = cap;
	}
	memset(&l->p[l->count], 0, sizeof(l->p[0]));
	l->p[l->count].len = (uint8_t)len;
	if (addr_from_octets(&l->p[l->count].addr, a->p, a->len) == 0)
		l->count++;
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

static void prefixes_sort(struct prefixes *l)
{
	if (l->count > 1)
		qsort(l->p, l->count, sizeof(l->p[0]), by_prefix);
}

static bool prefixes_have(const struct prefixes *l, const struct prefix *p)
{
	return l->count && bsearch(p, l->p, l->count, sizeof(l->p[0]), by_prefix);
}

static void peer_prefix(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer_prefix *p = row->data;
	struct managed *m = arg;

	prefix_add(&m->theirs, &p->addr, p->prefix_length);
}

struct rooms {
	const struct managed *m;
	uint32_t others;
};

static void other_place(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_local_prefix *p = row->data;
	struct prefix dst = {.len = (uint8_t)p->prefix_length};
	struct rooms *r = arg;

	r->others += p->kind == PIB_CE_VPN_LOCAL_PREFIX_KIND_SITE &&
		     !(addr_from_octets(&dst.addr, p->addr.p, p->addr.len) == 0 &&
			 learn_reports(r->m->learn, &dst));
}

/*
 * No more than what this CE takes when it comes back as the site's, beside the prefixes that the
 * site has anyway: else every decision were refused.
 */
static void limit_to_room(struct vpn *v, struct managed *m)
{
	uint32_t room = v->conf->lockdown ? VPN_SITE_LOCKED_MAX : VPN_SITE_MAX;
	struct rooms r = {.m = m};

	pib_store_referrers(v->store, &pib_ce_vpn_local_prefix_class,
	    pib_column_find(&pib_ce_vpn_local_prefix_class, PIB_CE_VPN_LOCAL_PREFIX_COL_VPN),
	    m->vpn, other_place, &r);
	room = room > r.others ? room - r.others : 0;
	m->max = v->learn->limits.max < room ? v->learn->limits.max : room;
	learn_limit(m->learn, m->max);
}

struct asking {
	const struct vpn *v;
	struct managed *m;
	unsigned asked;
};

static void ask_way(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_peer *p = row->data;
	struct asking *a = arg;
	struct addr to;
	unsigned index;

	if (a->asked == PEERS_ASKED || addr_from_octets(&to, p->addr.p, p->addr.len) != 0)
		return;
	a->asked++;
	index = a->v->learn->ops->towards(a->v->kern, &to);
	for (unsigned i = 0; i < a->m->towards_count; i++)
		if (a->m->towards[i] == index)
			return;
	if (index)
		a->m->towards[a->m->towards_count++] = index;
}

static void take_link(void *arg, const struct kern_watch_link *l)
{
	struct vpn_learn *w = arg;
	struct kern_watch_link *more = reallocarray(w->link, w->links + 1, sizeof(*more));

	if (!more) {
		w->no_memory = true;
		return;
	}
	w->link = more;
	w->link[w->links++] = *l;
}

static const struct kern_watch_link *link_find(const struct vpn_learn *w, unsigned index)
{
	for (size_t i = w->links; i-- > 0;) /* the newest, if it was told twice */
		if (w->link[i].index == index)
			return &w->link[i];
	return NULL;
}

static void source_add(
    struct vpn_learn *w, struct managed *m, const struct learn_filter *f, uint32_t table)
{
	struct source *more = reallocarray(w->source, w->sources + 1, sizeof(*more));

	if (!more) {
		w->no_memory = true;
		return;
	}
	w->source = more;
	w->source[w->sources++] = (struct source) {m, f, table};
}

/* The table in which the VPN's site is; 0: it has a VRF that is not there. */
static uint32_t own_table(const struct vpn_learn *w, const struct pib_ce_vpn *row)
{
	if (row->vrf.len == 0)
		return KERN_WATCH_TABLE;
	for (size_t i = w->links; i-- > 0;)
		if (strlen(w->link[i].name) == row->vrf.len &&
		    memcmp(w->link[i].name, row->vrf.p, row->vrf.len) == 0)
			return w->link[i].table;
	return 0;
}

static void sources_of(struct vpn *v, struct managed *m)
{
	const struct pib_ce_vpn *row = vpn_row(v->store, m->vpn);
	struct vpn_learn *w = v->learn;
	uint32_t own = row ? own_table(w, row) : 0;
	bool some = false;

	for (size_t i = 0; i < w->filters; i++) {
		const struct learn_filter *f = &w->filter[i];
		if (strcmp(f->vpn, m->name) != 0)
			continue;
		some = true;
		source_add(w, m, f, f->table ? f->table : own);
	}
	if (!some)
		source_add(w, m, &w->any, own);
}

static void prepare(struct vpn *v, struct managed *m)
{
	struct asking a = {.v = v, .m = m};

	m->theirs.count = 0;
	m->towards_count = 0;
	pib_store_referrers(v->store, &pib_ce_vpn_peer_prefix_class,
	    pib_column_find(&pib_ce_vpn_peer_prefix_class, PIB_CE_VPN_PEER_PREFIX_COL_VPN), m->vpn,
	    peer_prefix, m);
	prefixes_sort(&m->theirs);
	pib_store_referrers(v->store, &pib_ce_vpn_peer_class,
	    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), m->vpn, ask_way, &a);
	sources_of(v, m);
	limit_to_room(v, m);
	learn_begin(m->learn);
}

static bool leads_to_peers(const struct managed *m, unsigned index)
{
	for (unsigned i = 0; i < m->towards_count; i++)
		if (m->towards[i] == index)
			return true;
	return false;
}

static void take_route(void *arg, const struct kern_watch_route *r)
{
	struct vpn *v = arg;
	struct vpn_learn *w = v->learn;
	const struct kern_watch_link *l = link_find(w, r->index);
	struct learn_candidate c = {
	    .dst = &r->dst, .protocol = r->protocol, .interface = l ? l->name : ""};

	if (l && l->ours)
		return;
	for (size_t i = 0; i < w->sources; i++) {
		struct managed *m = w->source[i].m;
		struct learn_route route = {
		    .dst = r->dst, .protocol = r->protocol, .table = r->table};

		c.towards_peers = leads_to_peers(m, r->index);
		if (w->source[i].table != r->table || !learn_filter_takes(w->source[i].filter, &c))
			continue;
		snprintf(route.interface, sizeof(route.interface), "%s", c.interface);
		route.theirs = prefixes_have(&m->theirs, &r->dst);
		learn_see(m->learn, &route);
	}
}

static int read_tables(struct vpn *v, struct kern_fault *f)
{
	struct vpn_learn *w = v->learn;

	for (size_t i = 0; i < w->sources; i++) {
		uint32_t table = w->source[i].table;
		bool before = table == 0;

		for (size_t j = 0; j < i && !before; j++)
			before = w->source[j].table == table;
		if (!before && w->ops->routes(v->kern, table, take_route, v, f) < 0)
			return -1;
	}
	return 0;
}

/* Read everything.  On failure what was known stays, and it is tried again. */
static void look(struct vpn *v)
{
	struct vpn_learn *w = v->learn;
	int64_t begin = vpn_now_ms();
	struct kern_fault f = {.text = "out of memory"};
	bool changed = false;
	bool good;
	bool watched = watch_begin(v) == 0; /* if it could not before */

	evtimer_del(w->on_look);
	w->links = w->sources = 0;
	w->no_memory = false;
	good = w->ops->links(v->kern, take_link, w, &f) == 0;
	for (struct managed *m = w->vpns; m && good; m = m->hh.next) {
		prepare(v, m);
		w->no_memory |= m->theirs.no_memory;
		m->theirs.no_memory = false;
	}
	good = good && !w->no_memory && read_tables(v, &f) == 0;
	w->look_after_ms = vpn_now_ms() + PAUSE * (vpn_now_ms() - begin);
	if (!good) {
		log_warn("routes cannot be read: %s; it will be tried again", f.text);
		arm(w->on_look, RETRY_MS);
		return;
	}
	for (struct managed *m = w->vpns; m; m = m->hh.next)
		changed |= learn_end(m->learn, vpn_now_ms());
	arm_tick(w);
	if (!watched) /* what changes is not heard of */
		arm(w->on_look, RETRY_MS);
	if (changed)
		vpn_host_soon(v);
	if (judge_limit(w) || changed)
		vpn_publish(v);
}

static bool wanted(void *arg, uint32_t table, uint8_t protocol)
{
	const struct vpn_learn *w = arg;

	for (size_t i = 0; i < w->sources; i++)
		if (w->source[i].table == table &&
		    learn_filter_protocol(w->source[i].filter, protocol))
			return true;
	return false;
}

static void on_routes(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;

	(void)what;
	if (v->learn->ops->read(v->kern, fd, wanted, v->learn))
		look_soon(v);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;

	(void)fd;
	(void)what;
	if (v->store && v->learn->vpns)
		look(v);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;
	bool changed = false;

	(void)fd;
	(void)what;
	for (struct managed *m = v->learn->vpns; m; m = m->hh.next)
		changed |= learn_tick(m->learn, vpn_now_ms());
	arm_tick(v->learn);
	if (changed)
		vpn_host_soon(v);
	if (judge_limit(v->learn) || changed)
		vpn_publish(v);
}

/* --- rows ------------------------------------------------------------------- */

struct keeping {
	struct vpn_learn *w;
	bool came;
};

static void keep_row(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	struct keeping *k = arg;
	struct managed *m;

	if (n->routing != PIB_CE_VPN_ROUTING_MANAGED)
		return;
	HASH_FIND(hh, k->w->vpns, &n->id, sizeof(n->id), m);
	if (!m) {
		if (!(m = calloc(1, sizeof(*m))) ||
		    !(m->learn = learn_new(&k->w->limits, &k->w->instance))) {
			free(m);
			log_err("VPN %u: no memory to learn routes", (unsigned)n->id);
			return;
		}
		m->vpn = n->id;
		HASH_ADD(hh, k->w->vpns, vpn, sizeof(m->vpn), m);
		k->came = true;
	}
	m->kept = true;
	snprintf(m->name, sizeof(m->name), "%.*s", (int)n->name.len, (const char *)n->name.p);
}

void vpn_learn_rows(struct vpn *v)
{
	struct vpn_learn *w = v->learn;
	struct keeping k = {.w = w};
	struct managed *m, *next;
	bool went = false;

	pib_store_each(v->store, &pib_ce_vpn_class, keep_row, &k);
	HASH_ITER (hh, w->vpns, m, next) {
		if (m->kept) {
			m->kept = false;
			continue;
		}
		managed_free(w, m);
		went = true;
	}
	w->sources = went ? 0 : w->sources; /* they name those that went */
	if (!w->vpns)
		watch_end(w);
	else if (watch_begin(v) < 0)
		arm(w->on_look, RETRY_MS);
	else if (k.came)
		look(v); /* so that the first request after a start has them */
	else
		look_soon(v);
	if (went && !(w->vpns && k.came)) {
		judge_limit(w);
		vpn_publish(v);
	}
}

struct notifying {
	uint32_t vpn;
	void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row);
	void *arg;
};

static void notify_one(void *arg, uint32_t instance, const struct prefix *dst)
{
	const struct notifying *n = arg;
	const struct pib_ce_vpn_site_prefix row = {
	    .id = instance,
	    .vpn = n->vpn,
	    .addr_type = addr_inet_type(&dst->addr),
	    .addr = {dst->addr.octets, (uint32_t)addr_len(&dst->addr)},
	    .prefix_length = dst->len,
	};

	n->put(n->arg, &pib_ce_vpn_site_prefix_class, row.id, &row);
}

void vpn_learn_notify(struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	for (const struct managed *m = v->learn->vpns; m; m = m->hh.next) {
		struct notifying n = {.vpn = m->vpn, .put = put, .arg = arg};
		learn_each_reported(m->learn, notify_one, &n);
	}
}

void vpn_learn_refused(struct vpn *v, uint32_t instance)
{
	for (struct managed *m = v->learn->vpns; m; m = m->hh.next)
		if (learn_refuse(m->learn, instance)) {
			log_warn("VPN %s: the policy server refused the row of a learned prefix",
			    m->name);
			look_soon(v); /* its place is another's */
			return;
		}
}

bool vpn_learn_reports(const struct vpn *v, uint32_t vpn, const struct prefix *dst)
{
	const struct managed *m = NULL;

	if (v->learn)
		HASH_FIND(hh, v->learn->vpns, &vpn, sizeof(vpn), m);
	return m && learn_reports(m->learn, dst);
}

const char *vpn_learn_trouble(const struct vpn *v)
{
	return v->learn->trouble;
}

/* --- for people -------------------------------------------------------------- */

struct showing {
	const struct managed *m;
	struct prefixes taken; /* by the PDP: the site's prefixes */
	int64_t now_ms;
	time_t now;
	void (*fn)(void *arg, const struct vpn_show_learned *l);
	void *arg;
};

static void local_prefix(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn_local_prefix *p = row->data;

	prefix_add(arg, &p->addr, p->prefix_length);
}

static void show_one(void *arg, const struct learn_shown *l)
{
	const struct showing *s = arg;
	char protocol[LEARN_PROTOCOL_LEN];
	struct vpn_show_learned out = {
	    .vpn = s->m->name,
	    .prefix = l->route->dst,
	    .table = l->route->table,
	    .protocol = learn_protocol_print(l->route->protocol, protocol),
	    .interface = l->route->interface,
	    .state = learn_state_name(l->state),
	    .present = l->present,
	    .accepted = l->instance && prefixes_have(&s->taken, &l->route->dst),
	};

	if (l->until_ms)
		out.until = s->now + (l->until_ms > s->now_ms ? l->until_ms - s->now_ms : 0) / 1000;
	s->fn(s->arg, &out);
}

int vpn_show_learned(
    void *self, const char *vpn, void (*fn)(void *arg, const struct vpn_show_learned *l), void *arg)
{
	struct vpn *v = self;
	struct showing s = {.now_ms = vpn_now_ms(), .now = time(NULL), .fn = fn, .arg = arg};

	for (struct managed *m = v->learn->vpns; m; m = m->hh.next) {
		if (vpn && strcmp(vpn, m->name) != 0)
			continue;
		s.m = m;
		s.taken.count = 0;
		pib_store_referrers(v->store, &pib_ce_vpn_local_prefix_class,
		    pib_column_find(
			&pib_ce_vpn_local_prefix_class, PIB_CE_VPN_LOCAL_PREFIX_COL_VPN),
		    m->vpn, local_prefix, &s.taken);
		prefixes_sort(&s.taken);
		learn_each(m->learn, show_one, &s);
	}
	free(s.taken.p);
	return s.taken.no_memory ? -1 : 0;
}
