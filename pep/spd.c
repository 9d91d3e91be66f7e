/*
 * spd.c - SPD entries of one VPN, peer by peer (see spd.h for what goes where).
 */
#include "pep/spd.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PRIO_SCOPED 0x100  /* below it the control channel alone */
#define PRIO_FIRST  0x1000 /* of those without a scope */
#define BITS_MAX    256	   /* of two IPv6 prefixes */
#define RANK_STEP   8
#define PRIO_LAST   (KERN_PRIO_SPAN - RANK_STEP) /* from here on specificity does not count */

_Static_assert(PRIO_SCOPED + (BITS_MAX + 1) * RANK_STEP <= PRIO_FIRST, "scoped ones come first");
_Static_assert(PRIO_FIRST + (BITS_MAX + 1) * RANK_STEP <= PRIO_LAST, "one band of ours");

void spd_init(struct spd *s)
{
	*s = (struct spd) {0};
}

void spd_clear(struct spd *s)
{
	free(s->entry);
	spd_init(s);
}

void spd_reset(struct spd *s)
{
	s->count = 0;
	s->no_memory = false;
}

uint32_t spd_priority(const struct kern_selector *sel, enum spd_rank rank)
{
	unsigned bits = (unsigned)sel->src.len + sel->dst.len;
	uint32_t first = sel->ifindex || sel->mark.mask ? PRIO_SCOPED : PRIO_FIRST;

	if (rank == SPD_CONTROL)
		return KERN_PRIO_BASE;
	if (rank >= SPD_OPEN)
		return KERN_PRIO_BASE + PRIO_LAST + (uint32_t)(rank - SPD_OPEN);
	return KERN_PRIO_BASE + first + (BITS_MAX - bits) * RANK_STEP + (uint32_t)rank;
}

static struct prefix any(uint8_t family)
{
	return (struct prefix) {.addr.family = family};
}

/* Room for one more entry; NULL: no memory. */
static struct spd_entry *room(struct spd *s)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 32;
		struct spd_entry *e = reallocarray(s->entry, cap, sizeof(*e));
		if (!e) {
			s->no_memory = true;
			return NULL;
		}
		s->entry = e;
		s->cap = cap;
	}
	return &s->entry[s->count++];
}

void spd_add(struct spd *s, const struct kern_policy *p, uint32_t row)
{
	struct spd_entry *e = room(s);

	if (e)
		*e = (struct spd_entry) {.policy = *p, .row = row};
}

/* With a scope: of what leaves by its device, or of what came in by its tunnels. */
static struct spd_entry *add_in(struct spd *s, const struct spd_scope *scope, enum kern_dir dir,
    const struct prefix *src, const struct prefix *dst, enum kern_action action, enum spd_rank rank,
    uint32_t row)
{
	struct spd_entry *e;

	if (src->addr.family != dst->addr.family || !(e = room(s)))
		return NULL;
	*e = (struct spd_entry) {.row = row};
	e->policy.sel = (struct kern_selector) {.src = *src, .dst = *dst, .dir = dir};
	if (scope && scope->device && dir == KERN_OUT)
		e->policy.sel.ifindex = scope->device;
	else if (scope && scope->device)
		e->policy.sel.mark = scope->mark;
	e->policy.action = action;
	e->policy.priority = spd_priority(&e->policy.sel, rank);
	return e;
}

static struct spd_entry *add(struct spd *s, enum kern_dir dir, const struct prefix *src,
    const struct prefix *dst, enum kern_action action, enum spd_rank rank, uint32_t row)
{
	return add_in(s, NULL, dir, src, dst, action, rank, row);
}

static struct spd_entry *protect(struct spd *s, const struct spd_scope *scope, enum kern_dir dir,
    const struct prefix *src, const struct prefix *dst, const struct spd_tunnel *t, uint32_t row)
{
	struct spd_entry *e = add_in(s, scope, dir, src, dst, KERN_PROTECT, SPD_PROTECT, row);

	if (!e)
		return NULL;
	e->policy.reqid = t->reqid;
	e->policy.ah = t->ah;
	e->policy.mode = KERN_TUNNEL;
	e->policy.tmpl_src = dir == KERN_OUT ? t->local : t->remote;
	e->policy.tmpl_dst = dir == KERN_OUT ? t->remote : t->local;
	return e;
}

static struct prefix host(const struct addr *a)
{
	return (struct prefix) {.addr = *a, .len = (uint8_t)(8 * addr_len(a))};
}

void spd_control(struct spd *s, const struct addr *pdp, uint16_t port)
{
	struct prefix server = host(pdp);
	struct prefix all = any(pdp->family);
	struct spd_entry *e;

	if ((e = add(s, KERN_OUT, &all, &server, KERN_BYPASS, SPD_CONTROL, 0))) {
		e->policy.sel.proto = IPPROTO_TCP;
		e->policy.sel.dport = port;
	}
	if ((e = add(s, KERN_IN, &server, &all, KERN_BYPASS, SPD_CONTROL, 0))) {
		e->policy.sel.proto = IPPROTO_TCP;
		e->policy.sel.sport = port;
	}
}

/* ICMPv6 types of one link's business (RFC 2710, 3810, 4861). */
static const uint8_t link_type[] = {130, 131, 132, 133, 134, 135, 136, 137, 143};

_Static_assert(SPD_NEIGHBOURS == 3 * sizeof(link_type), "three directions");

void spd_neighbours(struct spd *s)
{
	struct prefix all = any(AF_INET6);

	for (size_t i = 0; i < sizeof(link_type); i++)
		for (int dir = KERN_IN; dir <= KERN_FWD; dir++) {
			struct spd_entry *e = add(s, (enum kern_dir)dir, &all, &all,
			    dir == KERN_FWD ? KERN_DISCARD : KERN_BYPASS, SPD_CONTROL, 0);
			if (!e)
				return;
			e->policy.sel.proto = IPPROTO_ICMPV6;
			e->policy.sel.sport = link_type[i]; /* where the kernel has the type */
		}
}

/* Nothing leaves in clear, also while no peer's entry says where to. */
static void elsewhere(struct spd *s, const struct spd_prefix *l)
{
	struct prefix half = any(l->prefix.addr.family);

	half.len = 1;
	add(s, KERN_OUT, &l->prefix, &half, KERN_DISCARD, SPD_OPEN, l->row);
	half.addr.octets[0] = 0x80;
	add(s, KERN_OUT, &l->prefix, &half, KERN_DISCARD, SPD_OPEN, l->row);
}

/* As add(), before whatever has the prefix at its other end, however specific it is. */
static void add_first(struct spd *s, enum kern_dir dir, const struct prefix *src,
    const struct prefix *dst, uint32_t row)
{
	struct spd_entry *e = add(s, dir, src, dst, KERN_BYPASS, SPD_SITE, row);
	struct kern_selector longest;

	if (!e)
		return;
	longest = e->policy.sel;
	*(dir == KERN_OUT ? &longest.src.len
			  : &longest.dst.len) = (uint8_t)(8 * addr_len(&src->addr));
	e->policy.priority = spd_priority(&longest, SPD_SITE);
}

static bool within_some(const struct spd_list *l, const struct prefix *p)
{
	for (size_t i = 0; i < l->count; i++)
		if (prefix_contains(&l->p[i].prefix, p))
			return true;
	return false;
}

/* Do the spaces have all of the site's prefixes, if there are any of this family? */
static bool in_space(const struct spd_near *near, uint8_t family)
{
	for (size_t i = 0; i < near->site.count; i++)
		if (near->site.p[i].prefix.addr.family == family &&
		    !within_some(&near->space, &near->site.p[i].prefix))
			return false;
	return true;
}

/* What site_pairs() does, for very many. */
static void site_wide(struct spd *s, const struct spd_near *near, const struct spd_prefix *l)
{
	struct spd_prefix all = {.prefix = any(l->prefix.addr.family)};
	struct spd_list to = {.p = &all, .count = 1};

	if (near->space.count > 0 && in_space(near, l->prefix.addr.family))
		to = near->space;
	add_first(s, KERN_OUT, &all.prefix, &l->prefix, l->row);
	for (size_t i = 0; i < to.count; i++) {
		add_first(s, KERN_FWD, &l->prefix, &to.p[i].prefix, l->row);
		if (!near->lockdown)
			add_first(s, KERN_IN, &l->prefix, &to.p[i].prefix, l->row);
	}
	for (size_t i = 0; near->lockdown && i < near->site.count; i++)
		add(s, KERN_IN, &l->prefix, &near->site.p[i].prefix, KERN_BYPASS, SPD_SITE, l->row);
}

static void site_pairs(struct spd *s, const struct spd_near *near, const struct spd_prefix *l)
{
	struct prefix all = any(l->prefix.addr.family);

	add(s, KERN_OUT, &all, &l->prefix, KERN_BYPASS, SPD_SITE, l->row);
	for (size_t i = 0; i < near->site.count; i++)
		for (int dir = KERN_IN; dir <= KERN_FWD; dir++)
			add(s, (enum kern_dir)dir, &l->prefix, &near->site.p[i].prefix, KERN_BYPASS,
			    SPD_SITE, l->row);
}

/*
 * Multicast that no router passes on, Linux as little as others (RFC 5771 4, RFC 4291 2.7).  The
 * CE's routing daemon says hello by it, from an address of the site; its neighbours answer.  As
 * little does broadcast leave its link, by which a DHCP server answers.
 */
static void site_link(struct spd *s, const struct spd_near *near, const struct spd_prefix *l)
{
	static const struct prefix broadcast = {
	    .addr = {.family = AF_INET, .octets = {255, 255, 255, 255}}, .len = 32};
	struct prefix link = any(l->prefix.addr.family);

	if (link.addr.family == AF_INET6) {
		link.addr.octets[0] = 0xff;
		link.addr.octets[1] = 0x02;
		link.len = 16;
	} else {
		link.addr.octets[0] = 224;
		link.len = 24;
	}
	if (near->discard_other || near->elsewhere) {
		add(s, KERN_OUT, &l->prefix, &link, KERN_BYPASS, SPD_SITE, l->row);
		add(s, KERN_OUT, &l->prefix, &broadcast, KERN_BYPASS, SPD_SITE, l->row);
	}
	if (near->lockdown)
		add(s, KERN_IN, &l->prefix, &link, KERN_BYPASS, SPD_SITE, l->row);
}

static void site_alone(struct spd *s, const struct spd_near *near, const struct spd_prefix *l)
{
	struct prefix all = any(l->prefix.addr.family);

	if (near->site.count > SPD_SITE_PAIRS)
		site_wide(s, near, l);
	else
		site_pairs(s, near, l);
	site_link(s, near, l);
	if (near->elsewhere)
		elsewhere(s, l);
	if (!near->discard_other)
		return;
	add(s, KERN_OUT, &l->prefix, &all, KERN_DISCARD, SPD_OTHER, l->row);
	add(s, KERN_IN, &all, &l->prefix, KERN_DISCARD, SPD_OTHER, l->row);
	add(s, KERN_FWD, &all, &l->prefix, KERN_DISCARD, SPD_OTHER, l->row);
}

/* Nothing from r comes in, in clear. */
static void deny_from(struct spd *s, const struct spd_near *near, const struct spd_prefix *r)
{
	for (size_t i = 0; i < near->site.count; i++) {
		const struct prefix *l = &near->site.p[i].prefix;
		add_in(s, &near->scope, KERN_IN, &r->prefix, l, KERN_DISCARD, SPD_BLOCKED, r->row);
		add_in(s, &near->scope, KERN_FWD, &r->prefix, l, KERN_DISCARD, SPD_BLOCKED, r->row);
	}
}

/*
 * The host's own packets are not the site's: of "any" there is no rest.  Whoever sends from r, be
 * it through the tunnel, reaches nothing of other VPNs.
 */
static void catch_rest(struct spd *s, const struct spd_near *near, const struct spd_prefix *r)
{
	struct prefix all = any(r->prefix.addr.family);

	if (r->prefix.len == 0)
		return;
	add_in(s, &near->scope, KERN_OUT, &all, &r->prefix, KERN_DISCARD, SPD_CATCH, r->row);
	if (!near->several)
		return;
	add_in(s, &near->scope, KERN_IN, &r->prefix, &all, KERN_DISCARD, SPD_CATCH, r->row);
	add_in(s, &near->scope, KERN_FWD, &r->prefix, &all, KERN_DISCARD, SPD_CATCH, r->row);
}

/*
 * Nothing that was routed to the VPN leaves but as its entries say; and what is forwarded to it
 * meets no other's entries of forwarding.
 */
static void device(struct spd *s, const struct spd_near *near)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	uint32_t row = near->site.count ? near->site.p[0].row : 0;

	for (size_t i = 0; i < sizeof(families); i++) {
		struct prefix all = any(families[i]);
		struct spd_entry *e;

		add_in(s, &near->scope, KERN_OUT, &all, &all, KERN_DISCARD, SPD_CATCH, row);
		if (!(e = add(s, KERN_FWD, &all, &all, KERN_BYPASS, SPD_SITE, row)))
			return;
		e->policy.sel.ifindex = near->scope.device;
		e->policy.priority = spd_priority(&e->policy.sel, SPD_SITE);
	}
}

void spd_site(struct spd *s, const struct spd_near *near)
{
	for (size_t i = 0; i < near->site.count; i++)
		site_alone(s, near, &near->site.p[i]);
	for (size_t i = 0; i < near->space.count; i++) {
		deny_from(s, near, &near->space.p[i]);
		catch_rest(s, near, &near->space.p[i]);
	}
	if (near->scope.device)
		device(s, near);
}

/*
 * What r sends elsewhere, and its answers: through the tunnel on r's side, in clear on the other.
 * No VRF is in between: apply refuses that.
 */
static void internet(struct spd *s, const struct spd_near *near, const struct spd_tunnel *t,
    const struct spd_prefix *r)
{
	for (size_t i = 0; i < near->internet.count; i++) {
		const struct prefix *all = &near->internet.p[i].prefix;

		protect(s, &near->scope, KERN_OUT, all, &r->prefix, t, r->row);
		protect(s, &near->scope, KERN_IN, &r->prefix, all, t, r->row);
		protect(s, &near->scope, KERN_FWD, &r->prefix, all, t, r->row);
		add(s, KERN_OUT, &r->prefix, all, KERN_BYPASS, SPD_OPEN, r->row);
		add(s, KERN_FWD, all, &r->prefix, KERN_BYPASS, SPD_OPEN, r->row);
	}
}

static void peer_prefix(struct spd *s, const struct spd_near *near, const struct spd_tunnel *t,
    const struct spd_prefix *r)
{
	for (size_t i = 0; i < near->site.count; i++) {
		const struct prefix *l = &near->site.p[i].prefix;
		protect(s, &near->scope, KERN_OUT, l, &r->prefix, t, r->row);
		protect(s, &near->scope, KERN_IN, &r->prefix, l, t, r->row);
		protect(s, &near->scope, KERN_FWD, &r->prefix, l, t, r->row);
	}
	for (size_t i = 0; near->relay && i < near->space.count; i++) {
		const struct prefix *space = &near->space.p[i].prefix;
		protect(s, &near->scope, KERN_OUT, space, &r->prefix, t, r->row);
		protect(s, &near->scope, KERN_FWD, &r->prefix, space, t, r->row);
	}
	if (t->internet)
		internet(s, near, t, r);
	catch_rest(s, near, r);
}

/* The packets of a tunnel's interface: protected between these two hosts, and not otherwise. */
static void outer(struct spd *s, const struct spd_tunnel *t)
{
	struct prefix all = any(t->remote.family);
	struct prefix own = host(&t->local);
	struct prefix peer = host(&t->remote);
	size_t first = s->count;

	add(s, KERN_OUT, &own, &peer, KERN_PROTECT, SPD_PROTECT, 0);
	add(s, KERN_IN, &peer, &own, KERN_PROTECT, SPD_PROTECT, 0);
	add(s, KERN_OUT, &all, &peer, KERN_DISCARD, SPD_CATCH, 0);
	add(s, KERN_IN, &peer, &all, KERN_DISCARD, SPD_CATCH, 0);
	for (size_t i = first; i < s->count; i++) {
		struct kern_policy *p = &s->entry[i].policy;
		p->sel.proto = IPPROTO_IPIP;
		if (p->action != KERN_PROTECT)
			continue;
		p->mode = KERN_TRANSPORT;
		p->reqid = t->reqid;
		p->ah = t->ah;
	}
}

/* What is given to an interface of kind VTI, and what comes by it. */
static void by_vti(struct spd *s, const struct spd_tunnel *t)
{
	struct prefix all = any(AF_INET);
	struct spd_entry *e = protect(s, &t->vti, KERN_OUT, &all, &all, t, 0);

	if (e)
		e->policy.sel.mark = t->vti.mark;
	protect(s, &t->vti, KERN_IN, &all, &all, t, 0);
	add_in(s, &t->vti, KERN_OUT, &all, &all, KERN_BYPASS, SPD_CATCH, 0);
}

void spd_peer(struct spd *s, const struct spd_near *near, const struct spd_tunnel *t,
    const struct spd_list *far)
{
	if (t->ipip || t->vti.device) {
		struct spd_prefix inner = {.prefix = host(&t->inner)};

		spd_blocked(s, near, far);
		if (t->inner.family)
			spd_blocked(s, near, &(struct spd_list) {.p = &inner, .count = 1});
		if (t->ipip)
			outer(s, t);
		else
			by_vti(s, t);
		return;
	}
	for (size_t i = 0; i < far->count; i++)
		peer_prefix(s, near, t, &far->p[i]);
}

/* From q behind one to r behind the other: in through the one tunnel, out through the other. */
static void relay_one(struct spd *s, const struct spd_near *near, const struct spd_tunnel *in,
    const struct spd_prefix *q, const struct spd_tunnel *out, const struct spd_prefix *r)
{
	protect(s, &near->scope, KERN_FWD, &q->prefix, &r->prefix, in, q->row);
	protect(s, &near->scope, KERN_OUT, &q->prefix, &r->prefix, out, r->row);
}

void spd_relay(struct spd *s, const struct spd_near *near, const struct spd_tunnel *a,
    const struct spd_list *behind_a, const struct spd_tunnel *b, const struct spd_list *behind_b)
{
	if (a->ipip || a->vti.device || b->ipip || b->vti.device)
		return;
	for (size_t i = 0; i < behind_a->count; i++)
		for (size_t j = 0; j < behind_b->count; j++) {
			relay_one(s, near, a, &behind_a->p[i], b, &behind_b->p[j]);
			relay_one(s, near, b, &behind_b->p[j], a, &behind_a->p[i]);
		}
}

void spd_blocked(struct spd *s, const struct spd_near *near, const struct spd_list *far)
{
	for (size_t i = 0; i < far->count; i++) {
		const struct spd_prefix *r = &far->p[i];
		for (size_t j = 0; j < near->site.count; j++)
			add_in(s, &near->scope, KERN_OUT, &near->site.p[j].prefix, &r->prefix,
			    KERN_DISCARD, SPD_BLOCKED, r->row);
		for (size_t j = 0; near->relay && j < near->space.count; j++) {
			const struct prefix *space = &near->space.p[j].prefix;
			add_in(s, &near->scope, KERN_OUT, space, &r->prefix, KERN_DISCARD,
			    SPD_BLOCKED, r->row);
			add_in(s, &near->scope, KERN_FWD, &r->prefix, space, KERN_DISCARD,
			    SPD_BLOCKED, r->row);
		}
		deny_from(s, near, r);
		catch_rest(s, near, r);
	}
}

void spd_inner(struct spd *s, const struct spd_near *near, const struct addr *own, uint32_t row)
{
	struct prefix all = any(own->family);
	struct prefix p = host(own);

	for (size_t i = 0; i < near->site.count; i++)
		add(s, KERN_IN, &near->site.p[i].prefix, &p, KERN_BYPASS, SPD_SITE, row);
	add(s, KERN_IN, &all, &p, KERN_DISCARD, SPD_OTHER, row);
	add(s, KERN_OUT, &all, &p, KERN_DISCARD, SPD_CATCH, row);
}

void spd_withhold(struct spd *s, const struct spd_prefix *l, const struct prefix *r)
{
	add(s, KERN_OUT, &l->prefix, r, KERN_DISCARD, SPD_BLOCKED, l->row);
}

/* --- order ------------------------------------------------------------------ */

static int entry_cmp(const struct spd_entry *a, const struct spd_entry *b)
{
	uint8_t ka[KERN_SELECTOR_KEY_LEN], kb[KERN_SELECTOR_KEY_LEN];

	kern_selector_key(ka, &a->policy.sel);
	kern_selector_key(kb, &b->policy.sel);
	return memcmp(ka, kb, sizeof(ka));
}

static int by_selector(const void *x, const void *y)
{
	const struct spd_entry *a = x;
	const struct spd_entry *b = y;
	int r = entry_cmp(a, b);

	if (r)
		return r;
	if (a->policy.priority != b->policy.priority)
		return a->policy.priority < b->policy.priority ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static int by_priority(const void *x, const void *y)
{
	const struct spd_entry *a = x;
	const struct spd_entry *b = y;

	if (a->policy.priority != b->policy.priority)
		return a->policy.priority < b->policy.priority ? -1 : 1;
	return entry_cmp(a, b);
}

void spd_finish(struct spd *s)
{
	size_t kept = 0;

	if (s->count == 0)
		return;
	qsort(s->entry, s->count, sizeof(*s->entry), by_selector);
	for (size_t i = 0; i < s->count; i++)
		if (kept == 0 || entry_cmp(&s->entry[kept - 1], &s->entry[i]))
			s->entry[kept++] = s->entry[i];
	s->count = kept;
	qsort(s->entry, s->count, sizeof(*s->entry), by_priority);
}
