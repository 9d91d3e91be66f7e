/*
 * kern_mem_watch.c - routes of others in memory, for tests (see kern_mem.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pep/kern_mem.h"
#include "pep/kern_watch.h"

struct kern_mem_watch {
	int fd; /* counts changes */
	struct kern_watch_route *route;
	size_t count;
};

static struct kern_mem_watch *watch_of(struct kern *k)
{
	struct kern_mem_watch **w = kern_mem_watch(k);

	if (*w == NULL && (*w = calloc(1, sizeof(**w))) != NULL)
		(*w)->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return *w;
}

void kern_mem_watch_free(struct kern_mem_watch *w)
{
	if (w == NULL)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w->route);
	free(w);
}

static void changed(struct kern_mem_watch *w)
{
	(void)eventfd_write(w->fd, 1);
}

void kern_mem_route_put(struct kern *k, const struct kern_watch_route *r)
{
	struct kern_mem_watch *w = watch_of(k);
	struct kern_watch_route *more;

	kern_mem_route_del(k, &r->dst);
	if (w == NULL || (more = reallocarray(w->route, w->count + 1, sizeof(*more))) == NULL)
		return;
	w->route = more;
	w->route[w->count++] = *r;
	changed(w);
}

void kern_mem_route_del(struct kern *k, const struct prefix *dst)
{
	struct kern_mem_watch *w = watch_of(k);

	for (size_t i = 0; w != NULL && i < w->count; i++) {
		if (prefix_cmp(&w->route[i].dst, dst) != 0)
			continue;
		memmove(&w->route[i], &w->route[i + 1], (w->count - i - 1) * sizeof(w->route[0]));
		w->count--;
		changed(w);
		return;
	}
}

void kern_mem_routes_flush(struct kern *k)
{
	struct kern_mem_watch *w = watch_of(k);

	if (w == NULL)
		return;
	w->count = 0;
	changed(w);
}

/* ------------------------------------------------------------------ as the enforcer sees it */

static int mem_open(struct kern *k, struct kern_fault *f)
{
	struct kern_mem_watch *w = watch_of(k);
	int fd = w == NULL ? -1 : fcntl(w->fd, F_DUPFD_CLOEXEC, 0);

	return fd >= 0 ? fd : kern_fault_set(f, KERN_REFUSED, errno, "routes in memory");
}

static bool mem_read(
    struct kern *k, int fd, bool (*wanted)(void *arg, uint32_t table, uint8_t protocol), void *arg)
{
	eventfd_t n;

	(void)k;
	(void)wanted;
	(void)arg;
	return eventfd_read(fd, &n) == 0 && n > 0;
}

static int mem_routes(struct kern *k, uint32_t table,
    void (*fn)(void *arg, const struct kern_watch_route *r), void *arg, struct kern_fault *f)
{
	struct kern_mem_watch *w = watch_of(k);

	if (w == NULL)
		return kern_fault_set(f, KERN_REFUSED, ENOMEM, "routes in memory");
	for (size_t i = 0; i < w->count; i++)
		if (w->route[i].table == table)
			fn(arg, &w->route[i]);
	return 0;
}

static int mem_links(struct kern *k, void (*fn)(void *arg, const struct kern_watch_link *l),
    void *arg, struct kern_fault *f)
{
	static const struct kern_watch_link links[] = {
	    {.index = KERN_MEM_LAN, .name = "lan"},
	    {.index = KERN_MEM_WAN, .name = "wan"},
	    {.index = KERN_MEM_OURS, .name = "cv1", .ours = true},
	    {.index = KERN_MEM_VRF, .name = "blue", .table = KERN_MEM_VRF},
	};

	(void)k;
	(void)f;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		fn(arg, &links[i]);
	return 0;
}

static unsigned mem_towards(struct kern *k, const struct addr *to)
{
	(void)k;
	(void)to;
	return KERN_MEM_WAN;
}

const struct kern_watch_ops kern_mem_watch_ops = {
    .open = mem_open,
    .read = mem_read,
    .routes = mem_routes,
    .links = mem_links,
    .towards = mem_towards,
};
