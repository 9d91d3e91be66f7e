/*
 * kern_mem.c - SAD and SPD in memory with the semantics of kern_pfkey: one entry per
 * (dst, SPI) and per selector, the same refusals.  For tests and as `backend = mem`, a dry
 * run.  Keys are not kept: only a digest, to notice key material that comes twice.
 */
#include "pep/kern_mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "common/fnv.h"
#include "pep/kern_mem_net.h"
#include "pep/kern_suite.h"

struct mem_sa {
	uint8_t key[KERN_SA_KEY_LEN];
	struct kern_sa_state state;
	uint16_t encr;
	uint16_t encr_key_bits;
	uint16_t integ;
	bool dscp_clear;
	UT_hash_handle hh;
};

struct mem_policy {
	uint8_t key[KERN_SELECTOR_KEY_LEN];
	struct kern_policy policy;
	UT_hash_handle hh;
};

#define DIGESTS_MAX (1U << 20) /* a dry run may last for months */

struct mem_digest { /* of key material that was once installed */
	uint64_t digest;
	UT_hash_handle hh;
};

struct mem_event {
	struct kern_event event;
	struct mem_event *next;
};

struct kern {
	struct mem_sa *sas;
	struct mem_policy *policies;
	struct mem_digest *digests;
	struct mem_event *events;
	struct mem_event **events_end;
	int event_fd;
	unsigned operations;
	unsigned questions;
	unsigned key_repeats;
	struct mem_tunnel *tunnels;
	struct mem_net *net; /* devices, routes, addresses (kern_mem_net.c) */
	unsigned fail_at;    /* value of operations that fails, 0 = none */
	enum kern_fault_kind fail_kind;
	int fail_err;
	struct addr absent;
	bool block; /* the default */
	struct kern_mem_watch *watch;
};

struct mem_tunnel {
	struct kern_tunnel *t;
	uint32_t id;
	UT_hash_handle hh;
};

static struct kern *kept; /* by a test, across open and close */

static struct kern *mem_open(struct kern_fault *f)
{
	struct kern *k = kept;

	kept = NULL;
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->net = mem_net_new()) ||
	    (k->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) {
		kern_fault_set(f, KERN_REFUSED, errno, "kernel in memory");
		if (k)
			mem_net_free(k->net);
		free(k);
		return NULL;
	}
	k->events_end = &k->events;
	return k;
}

static void sa_drop(struct kern *k, struct mem_sa *sa)
{
	HASH_DEL(k->sas, sa);
	free(sa);
}

static void policy_drop(struct kern *k, struct mem_policy *p)
{
	HASH_DEL(k->policies, p);
	free(p);
}

static void sa_flush(struct kern *k)
{
	struct mem_sa *sa, *next;
	HASH_ITER (hh, k->sas, sa, next) {
		sa_drop(k, sa);
	}
}

static void mem_close(struct kern *k)
{
	struct mem_policy *p, *p_next;
	struct mem_digest *d, *d_next;

	if (!k || k == kept)
		return;
	kern_mem_watch_free(k->watch);
	sa_flush(k);
	HASH_ITER (hh, k->policies, p, p_next) {
		policy_drop(k, p);
	}
	while (k->tunnels) {
		struct mem_tunnel *t = k->tunnels;
		HASH_DEL(k->tunnels, t);
		free(t->t);
		free(t);
	}
	HASH_ITER (hh, k->digests, d, d_next) {
		HASH_DEL(k->digests, d);
		free(d);
	}
	while (k->events) {
		struct mem_event *next = k->events->next;
		free(k->events);
		k->events = next;
	}
	mem_net_free(k->net);
	close(k->event_fd);
	free(k);
}

static struct mem_sa *sa_find(const struct kern *k, const struct kern_sa_id *id)
{
	uint8_t key[KERN_SA_KEY_LEN];
	struct mem_sa *sa;

	kern_sa_key(key, id);
	HASH_FIND(hh, k->sas, key, sizeof(key), sa);
	return sa;
}

static struct mem_policy *policy_find(const struct kern *k, const struct kern_selector *sel)
{
	uint8_t key[KERN_SELECTOR_KEY_LEN];
	struct mem_policy *p;

	kern_selector_key(key, sel);
	HASH_FIND(hh, k->policies, key, sizeof(key), p);
	return p;
}

/* Count a modifying operation.  Is this the one that was to fail? */
static bool fails(struct kern *k, struct kern_fault *f)
{
	if (++k->operations != k->fail_at)
		return false;
	kern_fault_set(
	    f, k->fail_kind, k->fail_err, "operation %u refused on request", k->operations);
	return true;
}

static int mem_can(
    struct kern *k, const struct suite *s, uint32_t replay_window, struct kern_fault *f)
{
	(void)k;
	return kern_suite_check(&kern_limits_mem, s, replay_window, f);
}

static bool mem_has_addr(const struct kern *k, const struct addr *a)
{
	return !k->absent.family || addr_cmp(&k->absent, a);
}

static uint32_t mem_reqid_max(const struct kern *k)
{
	(void)k;
	return kern_limits_mem.reqid_max;
}

/* Over both keys: enough to notice a repetition in a test. */
static void note_key(struct kern *k, const struct kern_sa *sa)
{
	struct mem_digest *d;
	uint64_t h = fnv_add(FNV_START, sa->encr_key, sa->encr_key_len);

	h = fnv_add(h, sa->integ_key, sa->integ_key_len);
	HASH_FIND(hh, k->digests, &h, sizeof(h), d);
	if (d) {
		k->key_repeats++;
		return;
	}
	if (HASH_COUNT(k->digests) >= DIGESTS_MAX || !(d = malloc(sizeof(*d))))
		return;
	d->digest = h;
	HASH_ADD(hh, k->digests, digest, sizeof(d->digest), d);
}

static int mem_sa_add(struct kern *k, const struct kern_sa *sa, struct kern_fault *f)
{
	char id[KERN_STRLEN];
	struct mem_sa *e;
	bool refused;

	if (kern_suite_check_sa(&kern_limits_mem, sa, f) < 0)
		return -1;
	refused = fails(k, f);
	if (refused && f->kind != KERN_NO_REPLY)
		return -1;
	if (sa_find(k, &sa->id))
		return kern_fault_set(
		    f, KERN_EXISTS, EEXIST, "SA %s", kern_sa_id_print(&sa->id, id));
	if (!(e = calloc(1, sizeof(*e))))
		return kern_fault_set(f, KERN_REFUSED, ENOMEM, "SA");
	kern_sa_key(e->key, &sa->id);
	e->state = (struct kern_sa_state) {.id = sa->id,
	    .src = sa->src,
	    .mode = sa->mode,
	    .reqid = sa->reqid,
	    .encap = sa->encap,
	    .set_mark = sa->set_mark,
	    .added_at = (uint64_t)time(NULL)};
	e->encr = sa->encr;
	e->encr_key_bits = (uint16_t)(sa->encr_key_len * 8);
	e->integ = sa->integ;
	e->dscp_clear = sa->mode == KERN_TUNNEL && sa->dscp_clear;
	HASH_ADD(hh, k->sas, key, sizeof(e->key), e);
	note_key(k, sa);
	return refused ? -1 : 0;
}

static int mem_sa_del(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f)
{
	char text[KERN_STRLEN];
	struct mem_sa *sa;

	if (fails(k, f))
		return -1;
	if (!(sa = sa_find(k, id)))
		return kern_fault_set(f, KERN_ABSENT, ESRCH, "SA %s", kern_sa_id_print(id, text));
	sa_drop(k, sa);
	return 0;
}

static int mem_sa_get(
    struct kern *k, const struct kern_sa_id *id, struct kern_sa_state *s, struct kern_fault *f)
{
	char text[KERN_STRLEN];
	struct mem_sa *sa = sa_find(k, id);

	if (!sa)
		return kern_fault_set(f, KERN_ABSENT, ESRCH, "SA %s", kern_sa_id_print(id, text));
	*s = sa->state;
	return 0;
}

static int mem_sa_ports(
    struct kern *k, const struct kern_sa_id *id, struct kern_encap encap, struct kern_fault *f)
{
	char text[KERN_STRLEN];
	struct mem_sa *sa;

	if (fails(k, f))
		return -1;
	if (!(sa = sa_find(k, id)))
		return kern_fault_set(f, KERN_ABSENT, ESRCH, "SA %s", kern_sa_id_print(id, text));
	if (!kern_encap_some(sa->state.encap))
		return kern_fault_set(f, KERN_REFUSED, EINVAL, "SA %s", kern_sa_id_print(id, text));
	sa->state.encap = encap;
	return 0;
}

static int policy_store(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	struct mem_policy *e = policy_find(k, &p->sel);

	if (!e) {
		if (!(e = calloc(1, sizeof(*e))))
			return kern_fault_set(f, KERN_REFUSED, ENOMEM, "policy");
		kern_selector_key(e->key, &p->sel);
		HASH_ADD(hh, k->policies, key, sizeof(e->key), e);
	}
	e->policy = *p;
	return 0;
}

static int mem_policy_put(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	bool refused;

	if (kern_suite_check_policy(&kern_limits_mem, p, f) < 0)
		return -1;
	refused = fails(k, f);
	if (refused && f->kind != KERN_NO_REPLY)
		return -1;
	if (policy_store(k, p, f) < 0)
		return -1;
	return refused ? -1 : 0;
}

static int mem_policy_add(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	char text[KERN_STRLEN];

	if (policy_find(k, &p->sel) && kern_suite_check_policy(&kern_limits_mem, p, f) == 0)
		return fails(k, f) ? -1
				   : kern_fault_set(f, KERN_EXISTS, EEXIST, "policy %s",
					 kern_selector_print(&p->sel, text));
	return mem_policy_put(k, p, f);
}

static int mem_policy_del(struct kern *k, const struct kern_selector *sel, struct kern_fault *f)
{
	char text[KERN_STRLEN];
	struct mem_policy *p;

	if (fails(k, f))
		return -1;
	if (!(p = policy_find(k, sel)))
		return kern_fault_set(
		    f, KERN_ABSENT, ENOENT, "policy %s", kern_selector_print(sel, text));
	policy_drop(k, p);
	return 0;
}

static int mem_sa_dump(struct kern *k, void (*fn)(void *arg, const struct kern_sa_state *s),
    void *arg, struct kern_fault *f)
{
	struct mem_sa *sa, *next;

	k->questions++;
	(void)f;
	HASH_ITER (hh, k->sas, sa, next) {
		fn(arg, &sa->state);
	}
	return 0;
}

static int mem_policy_dump(struct kern *k, void (*fn)(void *arg, const struct kern_policy *p),
    void *arg, struct kern_fault *f)
{
	struct mem_policy *p, *next;

	k->questions++;
	(void)f;
	HASH_ITER (hh, k->policies, p, next) {
		fn(arg, &p->policy);
	}
	return 0;
}

static int mem_default_set(struct kern *k, bool block, struct kern_fault *f)
{
	(void)f;
	k->block = block;
	return 0;
}

bool kern_mem_default_block(const struct kern *k)
{
	return k->block;
}

static int mem_event_fd(struct kern *k)
{
	return k->event_fd;
}

static void mem_event_read(
    struct kern *k, void (*fn)(void *arg, const struct kern_event *e), void *arg)
{
	eventfd_t n;

	if (eventfd_read(k->event_fd, &n) < 0)
		return;
	while (k->events) {
		struct mem_event *e = k->events;
		k->events = e->next;
		if (!k->events)
			k->events_end = &k->events;
		fn(arg, &e->event);
		free(e);
	}
}

void kern_mem_fail_at(struct kern *k, unsigned n, enum kern_fault_kind kind, int err)
{
	k->fail_at = n ? k->operations + n : 0;
	k->fail_kind = kind;
	k->fail_err = err;
}

void kern_mem_keep(struct kern *k)
{
	kept = k;
}

void kern_mem_set_absent(struct kern *k, const struct addr *a)
{
	k->absent = *a;
}

unsigned kern_mem_operations(const struct kern *k)
{
	return k->operations;
}

unsigned kern_mem_questions(const struct kern *k)
{
	return k->questions;
}

unsigned kern_mem_key_repeats(const struct kern *k)
{
	return k->key_repeats;
}

size_t kern_mem_sa_count(const struct kern *k)
{
	return HASH_COUNT(k->sas);
}

size_t kern_mem_policy_count(const struct kern *k)
{
	return HASH_COUNT(k->policies);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sa_line(const struct mem_sa *sa)
{
	char id[KERN_STRLEN];
	char src[ADDR_STRLEN];
	char mark[40] = "";
	char *line;

	if (sa->state.set_mark.mask)
		snprintf(mark, sizeof(mark), " sets mark 0x%x/0x%x",
		    (unsigned)sa->state.set_mark.value, (unsigned)sa->state.set_mark.mask);
	if (asprintf(&line, "sa %s from %s %s reqid %u encr %u/%u integ %u%s%s",
		kern_sa_id_print(&sa->state.id, id), addr_print(&sa->state.src, src),
		sa->state.mode == KERN_TUNNEL ? "tunnel" : "transport", (unsigned)sa->state.reqid,
		(unsigned)sa->encr, (unsigned)sa->encr_key_bits, (unsigned)sa->integ, mark,
		sa->dscp_clear ? " dscp 0" : "") < 0)
		return NULL;
	return line;
}

static char *policy_line(const struct kern_policy *p)
{
	char sel[KERN_STRLEN];
	char src[ADDR_STRLEN];
	char dst[ADDR_STRLEN];
	char *line;
	int n;

	if (p->action == KERN_PROTECT)
		n = asprintf(&line, "policy %s protect prio %x reqid %u %s %s > %s",
		    kern_selector_print(&p->sel, sel), (unsigned)p->priority, (unsigned)p->reqid,
		    p->mode == KERN_TUNNEL ? "tunnel" : "transport", addr_print(&p->tmpl_src, src),
		    addr_print(&p->tmpl_dst, dst));
	else
		n = asprintf(&line, "policy %s %s prio %x", kern_selector_print(&p->sel, sel),
		    kern_action_name(p->action), (unsigned)p->priority);
	return n < 0 ? NULL : line;
}

static char *tunnel_line(const struct kern_tunnel *t)
{
	char name[KERN_TUNNEL_NAME_LEN], local[ADDR_STRLEN], remote[ADDR_STRLEN];
	char text[PREFIX_STRLEN];
	char *line = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&line, &len);

	if (!out)
		return NULL;
	fprintf(out, "tunnel %s %s > %s", kern_tunnel_name(t->id, name),
	    addr_print(&t->local, local), addr_print(&t->remote, remote));
	if (t->dscp_set)
		fprintf(out, " dscp %u", (unsigned)t->dscp);
	for (size_t i = 0; i < t->routes; i++)
		fprintf(out, " %s", prefix_print(&t->route[i].dst, text));
	if (t->inner.family)
		fprintf(out, " inner %s", addr_print(&t->inner, local));
	if (t->inner_peer.family)
		fprintf(out, " peer %s", addr_print(&t->inner_peer, remote));
	if (t->key)
		fprintf(out, " key 0x%x", (unsigned)t->key);
	fclose(out);
	return line;
}

char *kern_mem_dump(struct kern *k)
{
	size_t count = HASH_COUNT(k->sas) + HASH_COUNT(k->policies) + HASH_COUNT(k->tunnels) +
		       mem_net_count(k->net);
	struct mem_tunnel *t, *t_next;
	char **line = calloc(count + 1, sizeof(*line));
	char *text = NULL;
	size_t len = 0;
	size_t n = 0;
	struct mem_sa *sa, *sa_next;
	struct mem_policy *p, *p_next;
	FILE *out = line ? open_memstream(&text, &len) : NULL;

	if (out) {
		HASH_ITER (hh, k->sas, sa, sa_next) {
			line[n++] = sa_line(sa);
		}
		HASH_ITER (hh, k->policies, p, p_next) {
			line[n++] = policy_line(&p->policy);
		}
		HASH_ITER (hh, k->tunnels, t, t_next) {
			line[n++] = tunnel_line(t->t);
		}
		n += mem_net_lines(k->net, line + n);
		qsort(line, n, sizeof(*line), line_cmp);
		for (size_t i = 0; i < n; i++)
			fprintf(out, "%s\n", line[i]);
		fclose(out);
	}
	while (n > 0)
		free(line[--n]);
	free(line);
	return text;
}

void kern_mem_event_give(struct kern *k, const struct kern_event *e)
{
	struct mem_event *n = calloc(1, sizeof(*n));
	struct mem_sa *sa;

	if (e->kind == KERN_EV_EXPIRE_HARD && (sa = sa_find(k, &e->sa)))
		sa_drop(k, sa);
	if (!n)
		return;
	n->event = *e;
	*k->events_end = n;
	k->events_end = &n->next;
	eventfd_write(k->event_fd, 1);
}

void kern_mem_foreign_sa_flush(struct kern *k)
{
	sa_flush(k);
	kern_mem_event_give(k, &(struct kern_event) {.kind = KERN_EV_SA_FLUSHED});
}

void kern_mem_foreign_sa_del(struct kern *k, const struct kern_sa_id *id)
{
	struct mem_sa *sa = sa_find(k, id);
	if (sa)
		sa_drop(k, sa);
	kern_mem_event_give(k, &(struct kern_event) {.kind = KERN_EV_SA_DELETED, .sa = *id});
}

void kern_mem_foreign_policy_put(struct kern *k, const struct kern_policy *p)
{
	struct kern_fault f;
	if (policy_store(k, p, &f) == 0)
		kern_mem_event_give(
		    k, &(struct kern_event) {.kind = KERN_EV_SPD_CHANGED, .sel = p->sel});
}

void kern_mem_foreign_policy_del(struct kern *k, const struct kern_selector *sel)
{
	struct mem_policy *p = policy_find(k, sel);
	struct kern_event e = {.kind = KERN_EV_SPD_CHANGED, .sel = *sel};
	if (p)
		policy_drop(k, p);
	kern_mem_event_give(k, &e);
}

struct kern_mem_watch **kern_mem_watch(struct kern *k)
{
	return &k->watch;
}

/* --- tunnels ---------------------------------------------------------------- */

static void tunnel_drop(struct kern *k, struct mem_tunnel *t)
{
	HASH_DEL(k->tunnels, t);
	free(t->t);
	free(t);
}

static int mem_tunnel_put(struct kern *k, const struct kern_tunnel *t,
    const struct kern_tunnel *was, struct kern_fault *f)
{
	bool refused = fails(k, f);
	struct kern_tunnel *copy;
	struct mem_tunnel *e;

	(void)was;
	if (refused && f->kind != KERN_NO_REPLY)
		return -1;
	HASH_FIND(hh, k->tunnels, &t->id, sizeof(t->id), e);
	copy = kern_tunnel_copy(t);
	if (copy && !e && (e = calloc(1, sizeof(*e)))) {
		e->id = t->id;
		HASH_ADD(hh, k->tunnels, id, sizeof(e->id), e);
	}
	if (!copy || !e) {
		free(copy);
		return kern_fault_set(f, KERN_REFUSED, ENOMEM, "tunnel");
	}
	free(e->t);
	e->t = copy;
	return refused ? -1 : 0;
}

static int mem_tunnel_del(struct kern *k, uint32_t id, struct kern_fault *f)
{
	struct mem_tunnel *e;

	if (fails(k, f))
		return -1;
	HASH_FIND(hh, k->tunnels, &id, sizeof(id), e);
	if (!e)
		return kern_fault_set(f, KERN_ABSENT, ENODEV, "tunnel %u", (unsigned)id);
	tunnel_drop(k, e);
	return 0;
}

static int mem_tunnel_dump(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t),
    void *arg, struct kern_fault *f)
{
	struct mem_tunnel *e, *next;

	k->questions++;
	(void)f;
	HASH_ITER (hh, k->tunnels, e, next) {
		fn(arg, e->t);
	}
	return 0;
}

/* --- devices and routes: see kern_mem_net.c ----------------------------------- */

static int mem_device_put(struct kern *k, const struct kern_device *d, struct kern_fault *f)
{
	bool refused = fails(k, f);

	if (refused && f->kind != KERN_NO_REPLY)
		return -1;
	return mem_net_device_put(k->net, d, f) < 0 || refused ? -1 : 0;
}

static int mem_device_del(struct kern *k, uint32_t vpn, struct kern_fault *f)
{
	return fails(k, f) ? -1 : mem_net_device_del(k->net, vpn, f);
}

static int mem_device_dump(struct kern *k, void (*fn)(void *arg, const struct kern_device *d),
    void *arg, struct kern_fault *f)
{
	k->questions++;
	(void)f;
	mem_net_device_each(k->net, fn, arg);
	return 0;
}

static int route_store(
    struct kern *k, const struct kern_route *r, bool replace, struct kern_fault *f)
{
	bool refused = fails(k, f);

	if (refused && f->kind != KERN_NO_REPLY)
		return -1;
	return mem_net_route_put(k->net, r, replace, f) < 0 || refused ? -1 : 0;
}

static int mem_route_add(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	return route_store(k, r, false, f);
}

static int mem_route_put(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	return route_store(k, r, true, f);
}

static int mem_route_del(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	return fails(k, f) ? -1 : mem_net_route_del(k->net, r, f);
}

static int mem_route_dump(struct kern *k, void (*fn)(void *arg, const struct kern_route *r),
    void *arg, struct kern_fault *f)
{
	k->questions++;
	(void)f;
	mem_net_route_each(k->net, fn, arg);
	return 0;
}

static int mem_own_dump(struct kern *k, void (*fn)(void *arg, const struct kern_own *a), void *arg,
    struct kern_fault *f)
{
	k->questions++;
	(void)f;
	mem_net_own_each(k->net, fn, arg);
	return 0;
}

static bool mem_interface_get(struct kern *k, uint32_t index, struct kern_interface *i)
{
	k->questions++;
	return mem_net_interface(k->net, index, i);
}

static int mem_net_fd(struct kern *k)
{
	return mem_net_event_fd(k->net);
}

static void mem_net_read(
    struct kern *k, void (*fn)(void *arg, const struct kern_net_event *e), void *arg)
{
	mem_net_event_read(k->net, fn, arg);
}

static int mem_vrf_find(struct kern *k, const char *name, struct kern_vrf *v, struct kern_fault *f)
{
	k->questions++;
	return mem_net_vrf(k->net, name, v, f);
}

static int mem_rules(
    struct kern *k, const struct kern_rule *want, size_t count, bool prune, struct kern_fault *f)
{
	k->questions++;
	return mem_net_rules(k->net, want, count, prune, f);
}

struct mem_net *kern_mem_net(struct kern *k)
{
	return k->net;
}

const struct kern_ops kern_mem_ops = {
    .name = "mem",
    .one_family = true,
    .separate = true,
    .dscp = true,
    .open = mem_open,
    .close = mem_close,
    .can = mem_can,
    .reqid_max = mem_reqid_max,
    .has_addr = mem_has_addr,
    .sa_add = mem_sa_add,
    .sa_del = mem_sa_del,
    .sa_get = mem_sa_get,
    .policy_add = mem_policy_add,
    .sa_ports = mem_sa_ports,
    .policy_put = mem_policy_put,
    .policy_del = mem_policy_del,
    .sa_dump = mem_sa_dump,
    .policy_dump = mem_policy_dump,
    .tunnel_put = mem_tunnel_put,
    .tunnel_del = mem_tunnel_del,
    .tunnel_dump = mem_tunnel_dump,
    .device_put = mem_device_put,
    .device_del = mem_device_del,
    .device_dump = mem_device_dump,
    .route_add = mem_route_add,
    .route_put = mem_route_put,
    .route_del = mem_route_del,
    .route_dump = mem_route_dump,
    .own_dump = mem_own_dump,
    .interface_get = mem_interface_get,
    .net_fd = mem_net_fd,
    .net_read = mem_net_read,
    .watch = &kern_mem_watch_ops,
    .vrf_find = mem_vrf_find,
    .rules = mem_rules,
    .default_set = mem_default_set,
    .event_fd = mem_event_fd,
    .event_read = mem_event_read,
};
