/*
 * kern_watch.h - routes that others put into the kernel, IPv4 and IPv6: heard of as they come and
 * go, and read.  What is heard only says that the table is to be read again: the kernel is silent
 * about some routes that go (with their interface, source address or nexthop object), and replaces
 * others without saying which.  Routes of ours are never among them.
 */
#ifndef PEP_KERN_WATCH_H
#define PEP_KERN_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

struct kern;
struct kern_fault;

#define KERN_WATCH_NAME	 16  /* of an interface, with its NUL */
#define KERN_WATCH_TABLE 254 /* "main" */

struct kern_watch_route {
	struct prefix dst;
	uint8_t protocol; /* who put it there (rtnetlink.h) */
	uint32_t table;
	unsigned index; /* of the interface, or of the first of several; 0 = not told */
};

struct kern_watch_link {
	unsigned index;
	char name[KERN_WATCH_NAME];
	bool ours;	/* made by us */
	uint32_t table; /* of a VRF device; 0: it is none */
};

/* For pep/vpn_learn, of the kernel (kern_watch_ops) or of a test's memory. */
struct kern_watch_ops {
	/* A descriptor that is readable when something was heard, for close().  -1 and *f. */
	int (*open)(struct kern *k, struct kern_fault *f);
	/*
	 * Read what was heard.  true: the routes may be others now; of those with a table and a
	 * protocol, those for which wanted() says so.
	 */
	bool (*read)(struct kern *k, int fd,
	    bool (*wanted)(void *arg, uint32_t table, uint8_t protocol), void *arg);
	/* All unicast routes of a table, but for the default routes.  0, or -1 and *f. */
	int (*routes)(struct kern *k, uint32_t table,
	    void (*fn)(void *arg, const struct kern_watch_route *r), void *arg,
	    struct kern_fault *f);
	int (*links)(struct kern *k, void (*fn)(void *arg, const struct kern_watch_link *l),
	    void *arg, struct kern_fault *f);
	/* The interface by which packets to this address leave; 0 = not known. */
	unsigned (*towards)(struct kern *k, const struct addr *to);
};

extern const struct kern_watch_ops kern_watch_ops;

#endif
