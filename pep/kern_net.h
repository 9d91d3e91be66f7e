/*
 * kern_net.h - interfaces, routes and addresses through rtnetlink, the same for every back end:
 * tunnel interfaces (kern_link.c), devices of VPNs (kern_device.c), routes into these
 * (kern_route.c), this host's addresses (kern_own.c), and what others do to any of them
 * (kern_net.c).  An interface of ours has a name and a group of ours, a route of ours a protocol
 * number.
 */
#ifndef PEP_KERN_NET_H
#define PEP_KERN_NET_H

#include "pep/kern.h"

struct rtnl;

/* Of each of these back ends' struct kern the first member. */
struct kern_net {
	struct rtnl *request;
	int watch; /* -1: closed */
};

/* 0, or -1 and errno. */
int kern_net_open(struct kern_net *n);
void kern_net_close(struct kern_net *n); /* also after a failure, and of zeros with watch -1 */
struct rtnl *kern_net_of(struct kern *k);

/* As struct kern_ops has them. */
int kern_tunnel_put(struct kern *k, const struct kern_tunnel *t, const struct kern_tunnel *was,
    struct kern_fault *f);
int kern_tunnel_say(struct kern *k, const struct kern_tunnel *t, struct kern_fault *f);
int kern_tunnel_del(struct kern *k, uint32_t id, struct kern_fault *f);
int kern_tunnel_dump(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t), void *arg,
    struct kern_fault *f);
int kern_device_put(struct kern *k, const struct kern_device *d, struct kern_fault *f);
int kern_device_del(struct kern *k, uint32_t vpn, struct kern_fault *f);
int kern_device_dump(struct kern *k, void (*fn)(void *arg, const struct kern_device *d), void *arg,
    struct kern_fault *f);
int kern_route_add(struct kern *k, const struct kern_route *r, struct kern_fault *f);
int kern_route_put(struct kern *k, const struct kern_route *r, struct kern_fault *f);
int kern_route_del(struct kern *k, const struct kern_route *r, struct kern_fault *f);
int kern_route_dump(struct kern *k, void (*fn)(void *arg, const struct kern_route *r), void *arg,
    struct kern_fault *f);
int kern_own_dump(struct kern *k, void (*fn)(void *arg, const struct kern_own *a), void *arg,
    struct kern_fault *f);
int kern_vrf_find(struct kern *k, const char *name, struct kern_vrf *v, struct kern_fault *f);
int kern_vrf_rules(
    struct kern *k, const struct kern_rule *want, size_t count, bool prune, struct kern_fault *f);
bool kern_interface_get(struct kern *k, uint32_t index, struct kern_interface *i);
int kern_net_fd(struct kern *k);
void kern_net_read(
    struct kern *k, void (*fn)(void *arg, const struct kern_net_event *e), void *arg);

/* The number in a name of ours (kern_tunnel_name(), kern_device_name()); 0: it is not one. */
uint32_t kern_tunnel_of(const char *name);
uint32_t kern_device_of(const char *name);
/* Of a message of an interface: a VRF device; of one of a rule: one of ours. */
struct nlmsghdr;
bool kern_vrf_is(const struct nlmsghdr *h);
bool kern_rule_ours(const struct nlmsghdr *h);

#endif
