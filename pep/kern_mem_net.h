/*
 * kern_mem_net.h - devices, routes and addresses in memory: a part of kern_mem.c, and what tests
 * may do to them.
 */
#ifndef PEP_KERN_MEM_NET_H
#define PEP_KERN_MEM_NET_H

#include "pep/kern.h"

struct mem_net;

struct mem_net *mem_net_new(void); /* NULL and errno */
void mem_net_free(struct mem_net *n);
int mem_net_device_put(struct mem_net *n, const struct kern_device *d, struct kern_fault *f);
int mem_net_device_del(struct mem_net *n, uint32_t vpn, struct kern_fault *f);
void mem_net_device_each(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_device *d), void *arg);
int mem_net_route_put(
    struct mem_net *n, const struct kern_route *r, bool replace, struct kern_fault *f);
int mem_net_route_del(struct mem_net *n, const struct kern_route *r, struct kern_fault *f);
void mem_net_route_each(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_route *r), void *arg);
void mem_net_own_each(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_own *a), void *arg);
bool mem_net_interface(struct mem_net *n, uint32_t index, struct kern_interface *i);
int mem_net_vrf(struct mem_net *n, const char *name, struct kern_vrf *v, struct kern_fault *f);
int mem_net_rules(struct mem_net *n, const struct kern_rule *want, size_t count, bool prune,
    struct kern_fault *f);
int mem_net_event_fd(struct mem_net *n);
void mem_net_event_read(
    struct mem_net *n, void (*fn)(void *arg, const struct kern_net_event *e), void *arg);
size_t mem_net_count(const struct mem_net *n);		    /* devices and routes ... */
size_t mem_net_lines(const struct mem_net *n, char **line); /* ... a malloc()ed line each */

/* --- as if somebody else had done it: the change is made and events say so ---------------- */

/* A route of this table and destination, with our metric. */
void mem_net_foreign_route_put(struct mem_net *n, uint32_t table, const struct prefix *dst);
void mem_net_foreign_route_del(struct mem_net *n, uint32_t table, const struct prefix *dst);
void mem_net_foreign_device_del(struct mem_net *n, uint32_t vpn); /* and the routes into it */
/* An interface with an address, mtu and name; mtu 0: they go. At first there is none. */
void mem_net_own_put(
    struct mem_net *n, uint32_t interface, const char *name, uint32_t mtu, const struct addr *a);
/* The network on its link; at first there is none. */
void mem_net_own_link(struct mem_net *n, const struct addr *a, uint8_t len);
/* Every name is a VRF device's but this one. */
void mem_net_no_vrf(struct mem_net *n, const char *name);
void mem_net_vrf_table(struct mem_net *n, uint32_t table); /* of all; 0: as at first */
size_t mem_net_rule_count(const struct mem_net *n);

#endif
