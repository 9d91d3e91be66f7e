/*
 * kern_link.h - tunnel interfaces (IP in IP) and the routes into them, through rtnetlink;
 * the same for every back end.  An interface of ours has a name and a group of ours, a route of
 * ours a protocol number.
 *
 * An interface is made so that the kernel looks neither what goes into it nor what comes from it
 * up in the SPD (disable_xfrm, disable_policy), only the packet around it; and that what comes
 * from it has a source that is routed into it (rp_filter).  So entries that discard the prefixes
 * behind a tunnel hold for all other interfaces.  Linux has this for IPv4 alone, so IPv4 alone
 * is carried; what is around it may be of either family.
 */
#ifndef PEP_KERN_LINK_H
#define PEP_KERN_LINK_H

#include "pep/kern.h"

/* As struct kern_ops has them; the instance does not matter. */
int kern_link_put(struct kern *k, const struct kern_tunnel *t, const struct kern_tunnel *was,
    struct kern_fault *f);
int kern_link_del(struct kern *k, uint32_t id, struct kern_fault *f);
int kern_link_dump(struct kern *k, void (*fn)(void *arg, const struct kern_tunnel *t), void *arg,
    struct kern_fault *f);

/* A socket that hears of interfaces and routes, -1 on failure; and what it heard. */
int kern_link_watch(void);
void kern_link_read(int fd,
    void (*fn)(void *arg, enum kern_tunnel_event e, uint32_t id, const struct prefix *dst),
    void *arg);

#endif
