/*
 * kern_rtnl.h - rtnetlink: one request, one answer, on a socket that stays open; and the
 * attributes of what it says.  For pep/kern_*.c only.
 */
#ifndef PEP_KERN_RTNL_H
#define PEP_KERN_RTNL_H

#include <libmnl/libmnl.h>

#include "pep/kern.h"

#define KERN_LINK_GROUP	    0x4350 /* of our interfaces */
#define KERN_ROUTE_PROTOCOL 67	   /* of our routes; a number nobody else has (rtnetlink.h) */

struct rtnl;

/* NULL and *f. */
struct rtnl *rtnl_open(struct kern_fault *f);
void rtnl_close(struct rtnl *t);
uint32_t rtnl_port(const struct rtnl *t); /* changes made through it bear this number */

/* Begin a request; the header to add attributes to, and in *extra what follows it, of len octets.
 */
struct nlmsghdr *rtnl_begin(struct rtnl *t, uint16_t type, uint16_t flags, size_t len, void *extra);
/* Send what was begun, read up to the answer; 0 or an errno value.  each: of a dump, or NULL. */
int rtnl_talk(struct rtnl *t, int (*each)(const struct nlmsghdr *h, void *arg), void *arg);
/*
 * As rtnl_talk(), of a dump: one during which something changed is asked for again, some times, and
 * anew() is called before.  EINTR: each was such a one.
 */
int rtnl_dump(struct rtnl *t, int (*each)(const struct nlmsghdr *h, void *arg),
    void (*anew)(void *arg), void *arg);
/* Fill *f with what an errno value of rtnl_talk() means.  Always -1. */
int rtnl_refused(struct kern_fault *f, int err, const char *operation, const char *name);

void rtnl_put_addr(struct nlmsghdr *h, uint16_t type, const struct addr *a);
/* The first attribute of this type, with len octets at least; NULL: none. */
const struct nlattr *rtnl_attr(const struct nlmsghdr *h, size_t fixed, uint16_t type, size_t len);
const struct nlattr *rtnl_attr_in(const struct nlattr *nest, uint16_t type, size_t len);
/* 0, or -1: a is NULL, or no address. */
int rtnl_addr(const struct nlattr *a, struct addr *to);
/* Of a message with a struct rtmsg: a route of ours, of type unicast or blackhole; in which table.
 */
bool rtnl_route(const struct nlmsghdr *h, uint32_t *table, struct prefix *dst);

#endif
