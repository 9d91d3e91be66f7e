/*
 * kern_mem_net.c - see kern_mem_net.h.  A route of somebody else's has VPN number 0.
 */
#include "pep/kern_mem_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>

#include "common/fnv.h"

#define EVENTS_MAX 32
#define OWN_MAX	   8
#define RULES_MAX  16

struct mem_device {
	uint32_t vpn;
	struct kern_device device;
	UT_hash_handle hh;
};

struct mem_route {
	uint8_t key[KERN_ROUTE_KEY_LEN];
	struct kern_route route;
	UT_hash_handle hh;
};

struct mem_own {
	struct kern_own own;
	struct kern_interface interface;
};

struct mem_net {
	struct mem_device *devices;
	struct mem_route *routes;
	struct mem_own own[OWN_MAX];
	size_t owns;
	char no_vrf[16];
	uint32_t vrf_table; /* of every VRF; 0 = it follows from the name */
	struct kern_rule rule[RULES_MAX];
	size_t rules;
	struct kern_net_event event[EVENTS_MAX];
	size_t events;
	int event_fd;
};

struct mem_net *mem_net_new(void)
{
	struct mem_net *n = calloc(1, sizeof(*n));

	if (n && (n->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) {
		free(n);
		return NULL;
	}
	return n;
}

static void route_drop(struct mem_net *n, struct mem_route *e)
{
	HASH_DEL(n->routes, e);
	free(e);
}

static void device_drop(struct mem_net *n, struct mem_device *e)
{
	struct mem_route *r, *next;

	HASH_ITER (hh, n->routes, r, next) {
		if (r->route.vpn == e->vpn && !r->route.discards)
			route_drop(n, r);
	}
	HASH_DEL(n->devices, e);
	free(e);
}

void mem_net_free(struct mem_net *n)
{
	if (!n)
		return;
	while (n->devices)
		device_drop(n, n->devices);
	while (n->routes)
		route_drop(n, n->routes);
	close(n->event_fd);
	free(n);
}

static struct mem_device *device_find(const struct mem_net *n, uint32_t vpn)
{
	struct mem_device *e;

	HASH_FIND(hh, n->devices, &vpn, sizeof(vpn), e);
	return e;
}

int mem_net_device_put(struct mem_net *n, const struct kern_device *d, struct kern_fault *f)
{
	struct mem_device *e = device_find(n, d->vpn);

	if (!e) {
		if (!(e = calloc(1, sizeof(*e))))
			return kern_fault_set(f, KERN_REFUSED, ENOMEM, "interface");
		e->vpn = d->vpn;
		HASH_ADD(hh, n->devices, vpn, sizeof(e->vpn), e);
	}
	e->device = *d;
	return 0;
}

int mem_net_device_del(struct mem_net *n, uint32_t vpn, struct kern_fault *f)
{
	struct mem_device *e = device_find(n, vpn);
	char name[KERN_IF_NAME_LEN];

	if (!e)
		return kern_fault_set(
		    f, KERN_ABSENT, ENODEV, "no interface %s", kern_device_name(vpn, name));
	device_drop(n, e);
	return 0;
}

void mem_net_device_each(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_device *d), void *arg)
{
	for (struct mem_device *e = n->devices; e; e = e->hh.next)
		fn(arg, &e->device);
}

static struct mem_route *route_find(
    const struct mem_net *n, uint32_t table, const struct prefix *dst, bool discards)
{
	uint8_t key[KERN_ROUTE_KEY_LEN];
	struct mem_route *e;

	kern_route_key(key, table, dst, discards);
	HASH_FIND(hh, n->routes, key, sizeof(key), e);
	return e;
}

int mem_net_route_put(
    struct mem_net *n, const struct kern_route *r, bool replace, struct kern_fault *f)
{
	struct mem_route *e = route_find(n, r->table, &r->dst, r->discards);
	char text[PREFIX_STRLEN];

	if (r->vpn && !r->discards && !device_find(n, r->vpn))
		return kern_fault_set(
		    f, KERN_ABSENT, ENODEV, "route to %s", prefix_print(&r->dst, text));
	if (e && !replace)
		return kern_fault_set(
		    f, KERN_EXISTS, EEXIST, "route to %s", prefix_print(&r->dst, text));
	if (!e) {
		if (!(e = calloc(1, sizeof(*e))))
			return kern_fault_set(f, KERN_REFUSED, ENOMEM, "route");
		kern_route_key(e->key, r->table, &r->dst, r->discards);
		HASH_ADD(hh, n->routes, key, sizeof(e->key), e);
	}
	e->route = *r;
	return 0;
}

int mem_net_route_del(struct mem_net *n, const struct kern_route *r, struct kern_fault *f)
{
	struct mem_route *e = route_find(n, r->table, &r->dst, r->discards);
	char text[PREFIX_STRLEN];

	if (!e || !e->route.vpn)
		return kern_fault_set(
		    f, KERN_ABSENT, ESRCH, "no route to %s", prefix_print(&r->dst, text));
	route_drop(n, e);
	return 0;
}

void mem_net_route_each(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_route *r), void *arg)
{
	for (struct mem_route *e = n->routes; e; e = e->hh.next)
		if (e->route.vpn)
			fn(arg, &e->route);
}

void mem_net_own_each(struct mem_net *n, void (*fn)(void *arg, const struct kern_own *a), void *arg)
{
	for (size_t i = 0; i < n->owns; i++)
		fn(arg, &n->own[i].own);
}

bool mem_net_interface(struct mem_net *n, uint32_t index, struct kern_interface *i)
{
	for (size_t j = 0; j < n->owns; j++)
		if (n->own[j].own.interface == index) {
			*i = n->own[j].interface;
			return true;
		}
	return false;
}

/* --- events ----------------------------------------------------------------- */

int mem_net_event_fd(struct mem_net *n)
{
	return n->event_fd;
}

void mem_net_event_read(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_net_event *e), void *arg)
{
	eventfd_t unread;

	if (eventfd_read(n->event_fd, &unread) < 0)
		return;
	for (size_t i = 0; i < n->events; i++)
		fn(arg, &n->event[i]);
	n->events = 0;
}

static void event(struct mem_net *n, const struct kern_net_event *e)
{
	if (n->events < EVENTS_MAX)
		n->event[n->events++] = *e;
	else
		n->event[0] = (struct kern_net_event) {.kind = KERN_NET_LOST};
	eventfd_write(n->event_fd, 1);
}

void mem_net_foreign_route_put(struct mem_net *n, uint32_t table, const struct prefix *dst)
{
	struct kern_fault f;

	mem_net_route_put(n, &(struct kern_route) {.table = table, .dst = *dst}, true, &f);
	event(n, &(struct kern_net_event) {.kind = KERN_NET_ROUTE, .table = table, .dst = *dst});
}

void mem_net_foreign_route_del(struct mem_net *n, uint32_t table, const struct prefix *dst)
{
	struct mem_route *e = route_find(n, table, dst, false);

	if (e)
		route_drop(n, e);
	event(n, &(struct kern_net_event) {.kind = KERN_NET_ROUTE, .table = table, .dst = *dst});
}

void mem_net_foreign_device_del(struct mem_net *n, uint32_t vpn)
{
	struct mem_device *e = device_find(n, vpn);

	if (e)
		device_drop(n, e);
	event(n, &(struct kern_net_event) {.kind = KERN_NET_DEVICE, .id = vpn});
}

void mem_net_own_put(
    struct mem_net *n, uint32_t interface, const char *name, uint32_t mtu, const struct addr *a)
{
	struct mem_own own = {.own = {.addr = *a, .interface = interface}, .interface.mtu = mtu};
	size_t i = 0;

	snprintf(own.interface.name, sizeof(own.interface.name), "%s", name);
	while (i < n->owns && addr_cmp(&n->own[i].own.addr, a) != 0)
		i++;
	if (!mtu && i < n->owns)
		n->own[i] = n->own[--n->owns];
	else if (mtu && i < OWN_MAX) {
		n->own[i] = own;
		n->owns += i == n->owns;
	}
	event(n,
	    &(struct kern_net_event) {.kind = KERN_NET_HOST, .gone = mtu ? (struct addr) {0} : *a});
}

void mem_net_own_link(struct mem_net *n, const struct addr *a, uint8_t len)
{
	for (size_t i = 0; i < n->owns; i++)
		if (!addr_cmp(&n->own[i].own.addr, a))
			n->own[i].own.len = len;
	event(n, &(struct kern_net_event) {.kind = KERN_NET_HOST});
}

/* --- contents --------------------------------------------------------------- */

size_t mem_net_count(const struct mem_net *n)
{
	return HASH_COUNT(n->devices) + HASH_COUNT(n->routes);
}

static char *route_line(const struct kern_route *r)
{
	char dst[PREFIX_STRLEN], src[ADDR_STRLEN], name[KERN_IF_NAME_LEN];
	char *line;

	if (asprintf(&line, "route %s table %u dev %s%s%s", prefix_print(&r->dst, dst),
		(unsigned)r->table,
		r->discards ? "discards"
		: r->vpn    ? kern_device_name(r->vpn, name)
			    : "-",
		r->src.family ? " src " : "", r->src.family ? addr_print(&r->src, src) : "") < 0)
		return NULL;
	return line;
}

size_t mem_net_lines(const struct mem_net *n, char **line)
{
	char name[KERN_IF_NAME_LEN];
	size_t count = 0;

	for (const struct mem_device *e = n->devices; e; e = e->hh.next)
		if (asprintf(&line[count], "device %s mtu %u", kern_device_name(e->vpn, name),
			(unsigned)e->device.mtu) >= 0)
			count++;
	for (const struct mem_route *e = n->routes; e; e = e->hh.next)
		if ((line[count] = route_line(&e->route)))
			count++;
	return count;
}

/* --- VRFs ------------------------------------------------------------------- */

/* Every name but one is a VRF's, of a table that follows from the name. */
int mem_net_vrf(struct mem_net *n, const char *name, struct kern_vrf *v, struct kern_fault *f)
{
	if (!strcmp(name, n->no_vrf))
		return kern_fault_set(f, KERN_ABSENT, 0, "there is no VRF device %s", name);
	v->table = 1000 + (uint32_t)(fnv_add(FNV_START, name, strlen(name)) % 1000);
	if (n->vrf_table)
		v->table = n->vrf_table;
	v->index = v->table;
	return 0;
}

int mem_net_rules(
    struct mem_net *n, const struct kern_rule *want, size_t count, bool prune, struct kern_fault *f)
{
	if (prune)
		n->rules = 0;
	for (size_t i = 0; i < count; i++) {
		bool there = false;

		for (size_t j = 0; j < n->rules; j++)
			there |= n->rule[j].table == want[i].table &&
				 kern_mark_same(&n->rule[j].mark, &want[i].mark);
		if (!there && n->rules == RULES_MAX)
			return kern_fault_set(f, KERN_REFUSED, ENOSPC, "rule");
		if (!there)
			n->rule[n->rules++] = want[i];
	}
	return 0;
}

void mem_net_no_vrf(struct mem_net *n, const char *name)
{
	snprintf(n->no_vrf, sizeof(n->no_vrf), "%s", name);
}

void mem_net_vrf_table(struct mem_net *n, uint32_t table)
{
	n->vrf_table = table;
	event(n, &(struct kern_net_event) {.kind = KERN_NET_VRF});
}

size_t mem_net_rule_count(const struct mem_net *n)
{
	return n->rules;
}
