/*
 * ike.c - what is wanted of charon and what is due (see ike.h).
 */
#include "pep/ike.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/ike_int.h"

#define TRIES_MAX      16    /* initiations at a time */
#define RETRY_MIN_MS   1000  /* after a failure; doubles */
#define FOLLOW_MS      4000  /* so long the other end is left to begin */
#define LINGER_MS      2000  /* from the new CHILD_SA to the end of an old one, where we lead */
#define LINGER_LONG_MS 15000 /* and where the other end does and did not */
#define DEMAND_MS      35000 /* the kernel keeps still so long after it asked once */
#define BROKEN_MS      1000  /* for charon to end what it deleted in the kernel itself */
#define LOOK_MS	       3000  /* while charon goes on with an initiation that we wait for no more */

/* --- tables ------------------------------------------------------------------------ */

struct ike_conn *ike_conn_get(struct ike *k, const char *name)
{
	struct ike_conn *c;

	HASH_FIND_STR(k->conns, name, c);
	if (c || strlen(name) >= IKE_NAME_LEN || !(c = calloc(1, sizeof(*c))))
		return c;
	snprintf(c->name, sizeof(c->name), "%s", name);
	LIST_INIT(&c->peers);
	LIST_INIT(&c->children);
	HASH_ADD_STR(k->conns, name, c);
	return c;
}

struct ike_peer *ike_peer_get(struct ike *k, uint32_t peer)
{
	struct ike_peer *p;

	HASH_FIND(hh, k->peers, &peer, sizeof(peer), p);
	if (p || !(p = calloc(1, sizeof(*p))))
		return p;
	p->peer = peer;
	LIST_INIT(&p->children);
	HASH_ADD(hh, k->peers, peer, sizeof(p->peer), p);
	return p;
}

struct ike_peer *ike_peer_find(const struct ike *k, uint32_t peer)
{
	struct ike_peer *p;

	HASH_FIND(hh, k->peers, &peer, sizeof(peer), p);
	return p;
}

void ike_child_free(struct ike_child *c)
{
	LIST_REMOVE(c, in_conn);
	LIST_REMOVE(c, in_peer);
	free(c);
}

static void conn_free(struct ike *k, struct ike_conn *c)
{
	while (!LIST_EMPTY(&c->children))
		ike_child_free(LIST_FIRST(&c->children));
	vici_build_clear(&c->settings);
	HASH_DEL(k->conns, c);
	free(c);
}

static void peer_leave(struct ike_peer *p)
{
	if (!p->conn)
		return;
	LIST_REMOVE(p, in_conn);
	p->conn->dirty = true;
	p->conn = NULL;
}

static void peer_free(struct ike *k, struct ike_peer *p)
{
	while (!LIST_EMPTY(&p->children))
		ike_child_free(LIST_FIRST(&p->children));
	peer_leave(p);
	ike_try_drop(k, p);
	vici_build_clear(&p->conf);
	HASH_DEL(k->peers, p);
	free(p);
}

/* --- what is wanted ------------------------------------------------------------------ */

static void want_new(struct ike_peer *p, struct ike_conn *c, const struct ike_names *names,
    struct vici_build *settings, struct vici_build *child)
{
	peer_leave(p);
	vici_build_clear(&c->settings);
	c->settings = *settings;
	vici_build_clear(&p->conf);
	p->conf = *child;
	snprintf(p->child, sizeof(p->child), "%s", names->child);
	p->conn = c;
	c->dirty = true;
	c->retry_ms = 0;
	c->refused[0] = '\0';
	LIST_INSERT_HEAD(&c->peers, p, in_conn);
	p->failures = 0;
	p->reason[0] = '\0';
	p->up_ms = 0;
}

int ike_want(struct ike *k, const struct ike_conf *conf, bool permanent, bool leads, int64_t now_ms)
{
	struct vici_build settings, child;
	struct ike_names names;
	struct ike_conn *c = NULL;
	struct ike_peer *p = NULL;
	bool replaces;

	if (ike_conf_build(conf, &settings, &child, &names) == 0 &&
	    (c = ike_conn_get(k, names.conn)))
		p = ike_peer_get(k, conf->peer);
	if (!p) {
		vici_build_clear(&settings);
		vici_build_clear(&child);
		return -1;
	}
	p->permanent = permanent;
	p->leads = leads;
	snprintf(p->name, sizeof(p->name), "%s", conf->remote_id);
	if (p->wanted && p->conn == c && !strcmp(p->child, names.child)) {
		vici_build_clear(&settings);
		vici_build_clear(&child);
		return 0;
	}
	replaces = !LIST_EMPTY(&p->children);
	p->wanted = true;
	ike_try_drop(k, p);
	want_new(p, c, &names, &settings, &child);
	/* The other end learns of a change about now: it should know before we ask it. */
	p->try_ms = now_ms + (leads ? (replaces ? 500 : 0) : FOLLOW_MS);
	k->ops.changed(k->arg);
	return 0;
}

void ike_unwant(struct ike *k, uint32_t peer)
{
	struct ike_peer *p = ike_peer_find(k, peer);

	if (!p || !p->wanted)
		return;
	p->wanted = false;
	p->up_ms = 0;
	ike_try_drop(k, p);
	peer_leave(p);
	k->ops.changed(k->arg);
}

void ike_complete(struct ike *k)
{
	k->complete = true;
}

void ike_acquire(struct ike *k, uint32_t peer, int64_t now_ms)
{
	struct ike_peer *p = ike_peer_find(k, peer);

	if (!p || !p->wanted)
		return;
	p->demanded_ms = now_ms + DEMAND_MS;
	if (!p->failures)
		p->try_ms = now_ms;
	k->ops.changed(k->arg);
}

bool ike_lists(const struct ike *k, uint32_t peer, uint32_t spi)
{
	const struct ike_peer *p = ike_peer_find(k, peer);
	const struct ike_child *x;

	if (p)
		LIST_FOREACH (x, &p->children, in_peer)
			if (x->sa.spi_in == spi || x->sa.spi_out == spi)
				return true;
	return false;
}

static void child_broken(struct ike *k, struct ike_child *x)
{
	if (!x->broken_ms)
		x->broken_ms = k->now_ms;
	x->conn->stale = true;
	k->ops.changed(k->arg);
}

void ike_missing(struct ike *k, uint32_t peer, uint32_t spi, int64_t now_ms)
{
	struct ike_peer *p = ike_peer_find(k, peer);
	struct ike_child *x;

	k->now_ms = now_ms;
	if (p)
		LIST_FOREACH (x, &p->children, in_peer)
			if (x->sa.spi_in == spi || x->sa.spi_out == spi)
				child_broken(k, x);
}

void ike_verify(struct ike *k, bool (*present)(void *arg, const struct ike_sa *sa), int64_t now_ms)
{
	struct ike_conn *c, *next;
	struct ike_child *x;

	k->now_ms = now_ms;
	HASH_ITER (hh, k->conns, c, next)
		LIST_FOREACH (x, &c->children, in_conn)
			if (x->installed && !present(k->arg, &x->sa))
				child_broken(k, x);
}

void ike_creds_changed(struct ike *k)
{
	k->reload = true;
	k->ops.changed(k->arg);
}

/* --- charon comes and goes --------------------------------------------------------------- */

static void forget_all(struct ike *k)
{
	struct ike_conn *c, *c_next;
	struct ike_peer *p, *p_next;

	k->listed = false;
	k->asked = 0;
	HASH_ITER (hh, k->conns, c, c_next) {
		while (!LIST_EMPTY(&c->children))
			ike_child_free(LIST_FIRST(&c->children));
		c->has = c->loading = c->listing = c->stale = c->connecting = c->ending = false;
		c->dirty = true;
		c->retry_ms = 0;
		if (LIST_EMPTY(&c->peers))
			conn_free(k, c);
	}
	HASH_ITER (hh, k->peers, p, p_next) {
		ike_try_drop(k, p);
		p->up_ms = 0;
		p->rekey_ms = 0;
		p->alone = 0;
		p->failures = 0;
		p->reason[0] = '\0';
		if (!p->wanted)
			peer_free(k, p);
	}
}

static void on_up(void *arg)
{
	struct ike *k = arg;
	struct ike_peer *p, *next;

	log_note("charon answers on %s", k->socket);
	k->down[0] = '\0';
	HASH_ITER (hh, k->peers, p, next) {
		p->sweep = true;
		p->sweep_ms = 0;
	}
	ike_ask_creds(k);
	(void)ike_list_all(k); /* else ike_tick() does */
	k->ops.daemon(k->arg, true);
	k->ops.changed(k->arg);
}

static void on_down(void *arg, const char *why)
{
	struct ike *k = arg;
	bool first = !k->down[0];

	if (first && k->peers)
		log_err("no IKE daemon: %s", why);
	else if (first)
		log_info("no IKE daemon: %s", why);
	snprintf(k->down, sizeof(k->down), "%s", why);
	forget_all(k);
	if (first) {
		k->ops.daemon(k->arg, false);
		k->ops.changed(k->arg);
	}
}

static void on_event(void *arg, const char *name, const struct vici_view *message)
{
	ike_on_event(arg, name, message);
}

struct ike *ike_new(struct event_base *base, const char *socket, const struct ike_creds *creds,
    const struct ike_ops *ops, void *arg)
{
	static const struct vici_ops vici_ops = {.up = on_up, .down = on_down, .event = on_event};
	struct ike *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->base = base;
	k->creds = creds;
	k->ops = *ops;
	k->arg = arg;
	LIST_INIT(&k->ended);
	k->socket = strdup(socket);
	k->vici = k->socket ? vici_new(base, socket, ike_events, false, &vici_ops, k) : NULL;
	if (k->vici)
		return k;
	ike_free(k);
	return NULL;
}

static void nobody(void *arg)
{
	(void)arg;
}

void ike_free(struct ike *k)
{
	struct ike_conn *c, *c_next;
	struct ike_peer *p, *p_next;

	if (!k)
		return;
	k->ops.changed = nobody; /* requests that are open end with vici_free() */
	HASH_ITER (hh, k->peers, p, p_next)
		peer_free(k, p);
	HASH_ITER (hh, k->conns, c, c_next)
		conn_free(k, c);
	ike_try_sweep(k);
	vici_free(k->vici);
	free(k->socket);
	free(k);
}

/* --- connections --------------------------------------------------------------------------- */

struct loading {
	struct ike *ike;
	char conn[IKE_NAME_LEN];
};

static void on_loaded(void *arg, bool ok, const struct vici_view *reply, const char *why)
{
	struct loading *l = arg;
	struct ike_conn *c;

	(void)reply;
	HASH_FIND_STR(l->ike->conns, l->conn, c);
	if (c) {
		c->loading = false;
		c->has |= ok;
		c->retry_ms = ok ? 0 : l->ike->now_ms + IKE_RETRY_MAX_MS;
		c->dirty |= !ok;
		snprintf(c->refused, sizeof(c->refused), "%s", ok ? "" : why);
		if (!ok)
			log_err("charon does not take connection %s: %s", c->name, why);
	}
	l->ike->ops.changed(l->ike->arg);
	free(l);
}

static void append(struct vici_build *b, const struct vici_build *part)
{
	struct vici_view rest = {part->octet, part->len};
	struct vici_entry e;
	struct vici_view items;

	/* Elements again, since a build has no other way to take some. */
	while (vici_next(&rest, &e)) {
		if (e.type == VICI_KEY_VALUE) {
			vici_octets_put(b, e.name, e.body.p, e.body.len);
		} else if (e.type == VICI_LIST_START) {
			vici_list_put(b, e.name);
			items = e.body;
			while (vici_next(&items, &e))
				vici_item_octets_put(b, e.body.p, e.body.len);
			vici_list_end(b);
		} else {
			struct vici_build inner = {
			    .octet = (uint8_t *)(uintptr_t)e.body.p, .len = e.body.len};
			vici_section_put(b, e.name);
			append(b, &inner);
			vici_section_end(b);
		}
	}
}

static void conn_load(struct ike *k, struct ike_conn *c)
{
	struct loading *l = calloc(1, sizeof(*l));
	const struct ike_peer *p;
	struct vici_build b;

	if (!l)
		goto failed;
	l->ike = k;
	snprintf(l->conn, sizeof(l->conn), "%s", c->name);
	vici_build_init(&b);
	vici_section_put(&b, c->name);
	append(&b, &c->settings);
	vici_section_put(&b, "children");
	LIST_FOREACH (p, &c->peers, in_conn) {
		vici_section_put(&b, p->child);
		append(&b, &p->conf);
		vici_section_end(&b);
	}
	vici_section_end(&b);
	vici_section_end(&b);
	c->dirty = false;
	if (vici_request(k->vici, "load-conn", &b, IKE_REPLY_MS, on_loaded, l) == 0) {
		c->loading = true;
		return;
	}
failed:
	c->dirty = true;
	c->retry_ms = k->now_ms + IKE_RETRY_MAX_MS;
	snprintf(c->refused, sizeof(c->refused), "too long for charon, or no memory");
	log_err("connection %s cannot be loaded: %s", c->name, c->refused);
	free(l);
}

static void at(int64_t *next, int64_t ms)
{
	if (ms < *next)
		*next = ms;
}

/* Is a child of an unwanted connection of no use any more? */
static bool child_over(const struct ike *k, const struct ike_child *x)
{
	const struct ike_peer *p = x->peer;

	return !p->wanted || (p->up_ms && k->now_ms - p->up_ms >= LINGER_MS);
}

/* A connection that nobody is in. true: it is gone. */
static bool conn_end(struct ike *k, struct ike_conn *c)
{
	const struct ike_child *x;

	if (c->has) { /* a peer must not be taken for this one while it is on its way out */
		ike_ask_unload(k, c);
		return false;
	}
	LIST_FOREACH (x, &c->children, in_conn)
		if (!child_over(k, x))
			return false;
	if (!c->ending) {
		ike_ask_end(k, c);
		return false;
	}
	if (c->stale || c->listing || c->loading || !LIST_EMPTY(&c->children))
		return false;
	conn_free(k, c);
	return true;
}

static void conn_due(struct ike *k, struct ike_conn *c, int64_t *next)
{
	if (c->stale && !c->listing && ike_list(k, c) < 0)
		at(next, k->now_ms + RETRY_MIN_MS);
	if (LIST_EMPTY(&c->peers)) {
		if (k->complete && k->now_ms < c->refused_ms)
			at(next, c->refused_ms);
		else if (k->complete)
			(void)conn_end(k, c);
		return;
	}
	c->ending = false;
	if (c->dirty && !c->loading && k->now_ms >= c->retry_ms)
		conn_load(k, c);
	if (c->dirty && !c->loading)
		at(next, c->retry_ms);
}

/* --- peers ----------------------------------------------------------------------------------- */

static bool is_current(const struct ike_peer *p, const struct ike_child *x)
{
	return x->conn == p->conn && !strcmp(x->name, p->child);
}

struct ike_child *ike_current(const struct ike_peer *p)
{
	struct ike_child *x, *best = NULL;

	LIST_FOREACH (x, &p->children, in_peer)
		if (x->installed && !x->broken_ms && is_current(p, x) &&
		    (!best || x->since_ms > best->since_ms ||
			(x->since_ms == best->since_ms && x->id > best->id)))
			best = x;
	return best;
}

/* With the wanted CHILD_SA up the others end: of older configurations, and doubles. */
static void end_others(
    struct ike *k, struct ike_peer *p, const struct ike_child *best, int64_t *next)
{
	int64_t due = p->up_ms + (p->leads ? LINGER_MS : LINGER_LONG_MS);
	struct ike_child *x;

	LIST_FOREACH (x, &p->children, in_peer) {
		if (x == best || !x->installed || x->ending)
			continue;
		if (is_current(p, x) && k->now_ms - best->since_ms < LINGER_LONG_MS && !p->leads) {
			at(next, best->since_ms + LINGER_LONG_MS);
			continue;
		}
		if (k->now_ms >= due && k->now_ms - best->since_ms >= LINGER_MS) {
			if (k->now_ms >= x->refused_ms)
				k->ops.retire(k->arg, p->peer, &x->sa);
			ike_ask_child_end(k, x);
		} else
			at(next,
			    due > best->since_ms + LINGER_MS ? due : best->since_ms + LINGER_MS);
	}
}

static void sweep(struct ike *k, struct ike_peer *p, int64_t *next)
{
	struct ike_child *x;
	struct ike_sa *sa;
	size_t count = 0;

	if (p->conn && (p->conn->stale || p->conn->listing))
		return; /* there may be one that is not known yet */
	if (k->now_ms < p->sweep_ms) {
		at(next, p->sweep_ms);
		return;
	}
	LIST_FOREACH (x, &p->children, in_peer)
		count++;
	if ((sa = calloc(count + 1, sizeof(*sa)))) {
		count = 0;
		LIST_FOREACH (x, &p->children, in_peer)
			sa[count++] = x->sa;
		p->sweep = !k->ops.only(k->arg, p->peer, sa, count);
		free(sa);
	}
	if (p->sweep) {
		p->sweep_ms = k->now_ms + IKE_RETRY_MAX_MS;
		at(next, p->sweep_ms);
	}
}

static void peer_up(struct ike *k, struct ike_peer *p, const struct ike_child *best, int64_t *next)
{
	if (!p->up_ms) {
		p->up_ms = best->since_ms ? best->since_ms : k->now_ms;
		log_note("IKE: %s is up, SPIs %08x in, %08x out", p->name,
		    (unsigned)best->sa.spi_in, (unsigned)best->sa.spi_out);
	}
	ike_try_drop(k, p);
	p->failures = 0;
	p->reason[0] = '\0';
	p->demanded_ms = 0;
	end_others(k, p, best, next);
	at(next, ike_rekey_tick(k, p, best));
	if (!p->sweep)
		return;
	if (k->now_ms - p->up_ms >= LINGER_MS)
		sweep(k, p, next);
	else
		at(next, p->up_ms + LINGER_MS);
}

static void failed(struct ike *k, struct ike_peer *p)
{
	int64_t wait = RETRY_MIN_MS;

	for (unsigned i = 0; i < p->failures && wait < IKE_RETRY_MAX_MS; i++)
		wait *= 2;
	if (wait > IKE_RETRY_MAX_MS)
		wait = IKE_RETRY_MAX_MS;
	if (!p->failures)
		log_err("IKE: no tunnel to %s: %s", p->name, p->reason);
	p->failures++;
	p->try_ms = k->now_ms + wait + (p->leads ? 0 : wait / 2);
	if (p->conn)
		p->conn->stale = true;
	if (p->hh.next) { /* the others have their turn first */
		HASH_DEL(k->peers, p);
		HASH_ADD(hh, k->peers, peer, sizeof(p->peer), p);
	}
}

/* Does charon take a CHILD_SA for installed that the kernel lacks? */
static bool broken(const struct ike_peer *p)
{
	const struct ike_child *x;

	LIST_FOREACH (x, &p->children, in_peer)
		if (x->broken_ms && x->installed)
			return true;
	return false;
}

static void peer_down(struct ike *k, struct ike_peer *p, int64_t *next)
{
	int64_t settle_ms;
	bool ok;

	if (p->up_ms) {
		p->up_ms = 0;
		p->try_ms = k->now_ms + (p->leads ? 0 : FOLLOW_MS);
		log_note("IKE: %s is down", p->name);
	}
	if (ike_try_over(k, p, &ok)) {
		if (ok) { /* it will be listed */
			p->conn->stale = true;
			p->try_ms = k->now_ms + LOOK_MS;
		} else {
			failed(k, p);
		}
	}
	if (!p->permanent && p->sweep && LIST_EMPTY(&p->children))
		sweep(k, p, next); /* so that the kernel asks */
	if (p->trying || !(p->permanent || k->now_ms < p->demanded_ms || !LIST_EMPTY(&p->children)))
		return;
	if (k->now_ms < p->try_ms) {
		at(next, p->try_ms);
		return;
	}
	if (broken(p))
		return; /* charon makes no second one beside it; end_broken() ends it */
	if (!p->conn->has || p->conn->dirty || p->conn->loading || p->conn->stale ||
	    p->conn->listing || k->trying >= TRIES_MAX)
		return;		   /* whose end is heard of */
	if (p->conn->connecting) { /* charon still tries, or the peer does */
		p->conn->stale = true;
		p->try_ms = k->now_ms + LOOK_MS;
		at(next, p->try_ms);
		return;
	}
	if ((settle_ms = ike_settle_ms(p)) > k->now_ms) {
		at(next, settle_ms);
		return;
	}
	if (ike_try_start(k, p) < 0) {
		p->try_ms = k->now_ms + RETRY_MIN_MS;
		at(next, p->try_ms);
	}
}

/* What charon still takes for installed and the kernel has no more. */
static void end_broken(struct ike *k, struct ike_peer *p, int64_t *next)
{
	struct ike_child *x;

	LIST_FOREACH (x, &p->children, in_peer) {
		int64_t due = x->broken_ms + BROKEN_MS;

		if (!x->broken_ms || !x->installed || x->ending)
			continue;
		if (due < x->refused_ms)
			due = x->refused_ms;
		if (k->now_ms < due)
			at(next, due);
		else if (!x->conn->stale && !x->conn->listing)
			ike_ask_child_end(k, x);
	}
}

static void peer_due(struct ike *k, struct ike_peer *p, int64_t *next)
{
	struct ike_child *x;
	const struct ike_child *best;

	end_broken(k, p, next);
	if (p->wanted) {
		best = ike_current(p);
		if (best)
			peer_up(k, p, best, next);
		else
			peer_down(k, p, next);
		return;
	}
	if (!k->complete)
		return;
	if (LIST_EMPTY(&p->children)) {
		peer_free(k, p);
		return;
	}
	LIST_FOREACH (x, &p->children, in_peer)
		ike_ask_child_end(k, x);
}

int64_t ike_tick(struct ike *k, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	struct ike_conn *c, *c_next;
	struct ike_peer *p, *p_next;

	k->now_ms = now_ms;
	ike_try_sweep(k);
	if (!vici_is_up(k->vici) || k->asked)
		return INT64_MAX;
	if (!k->listed)
		return now_ms >= k->list_ms && ike_list_all(k) == 0 ? INT64_MAX : k->list_ms;
	if (k->reload)
		ike_ask_creds(k);
	HASH_ITER (hh, k->conns, c, c_next)
		conn_due(k, c, &next);
	HASH_ITER (hh, k->peers, p, p_next)
		peer_due(k, p, &next);
	ike_try_sweep(k);
	return next;
}

/* --- reports -----------------------------------------------------------------------------------
 */

size_t ike_ending(const struct ike *k)
{
	const struct ike_conn *c, *c_next;
	const struct ike_peer *p, *p_next;
	size_t n = 0;

	HASH_ITER (hh, k->conns, c, c_next)
		n += LIST_EMPTY(&c->peers) && (c->has || !LIST_EMPTY(&c->children));
	HASH_ITER (hh, k->peers, p, p_next)
		n += !p->wanted && !LIST_EMPTY(&p->children);
	return n;
}

bool ike_up(const struct ike *k)
{
	return vici_is_up(k->vici);
}

bool ike_status(const struct ike *k, uint32_t peer, struct ike_status *s)
{
	const struct ike_peer *p = ike_peer_find(k, peer);
	const struct ike_child *best;

	if (!p || !p->wanted)
		return false;
	best = ike_current(p);
	*s = (struct ike_status) {.state = IKE_CONNECTING, .reason = p->reason};
	if (best) {
		s->state = IKE_UP;
		s->spi_in = best->sa.spi_in;
		s->spi_out = best->sa.spi_out;
	} else if (!vici_is_up(k->vici)) {
		s->state = IKE_NO_DAEMON;
		s->reason = k->down[0] ? k->down : "no IKE daemon yet";
	} else if (p->conn->refused[0]) {
		s->state = IKE_FAILED;
		s->reason = p->conn->refused;
	} else if (p->reason[0]) {
		s->state = IKE_FAILED;
	} else if (!p->permanent && k->now_ms >= p->demanded_ms && !p->trying) {
		s->state = IKE_IDLE;
	}
	return true;
}
