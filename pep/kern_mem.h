/*
 * kern_mem.h - what tests may do to the back end in memory beyond kern_mem_ops:
 * refuse an operation, be the foreigner who changes things, compare contents.
 */
#ifndef PEP_KERN_MEM_H
#define PEP_KERN_MEM_H

#include "pep/kern.h"

/*
 * The n-th modifying operation from now (1 = the next) fails with *f's kind and err; 0 = none.  The
 * failure is not repeated.  KERN_NO_REPLY does the operation and says it had no answer.
 */
void kern_mem_fail_at(struct kern *k, unsigned n, enum kern_fault_kind kind, int err);
/* This host has every address but this one. */
void kern_mem_set_absent(struct kern *k, const struct addr *a);
/* As if the process restarted: close() leaves it be, and the next open() finds it. */
void kern_mem_keep(struct kern *k);
/* Modifying operations since open, refused ones too. */
unsigned kern_mem_operations(const struct kern *k);
/* Dumps, and questions for interfaces, VRFs and rules. */
unsigned kern_mem_questions(const struct kern *k);
/* How many SAs were added with key material that an earlier sa_add had already used. */
unsigned kern_mem_key_repeats(const struct kern *k);
/* Contents as sorted text without keys; malloc()ed, the caller's. */
char *kern_mem_dump(struct kern *k);
size_t kern_mem_sa_count(const struct kern *k);
size_t kern_mem_policy_count(const struct kern *k);
bool kern_mem_default_block(const struct kern *k);
/* As if somebody else had done it: the change is made and events say so. */
void kern_mem_foreign_sa_flush(struct kern *k);
void kern_mem_foreign_sa_del(struct kern *k, const struct kern_sa_id *id);
void kern_mem_foreign_policy_put(struct kern *k, const struct kern_policy *p);
void kern_mem_foreign_policy_del(struct kern *k, const struct kern_selector *sel);
/*
 * Routes of others, of which none or one has a destination; each change is heard of.  Interface
 * KERN_MEM_LAN is "lan"; KERN_MEM_WAN, "wan", leads to everybody; KERN_MEM_OURS, "cv1", is of ours;
 * KERN_MEM_VRF, "blue", a VRF device with table KERN_MEM_VRF.
 */
enum { KERN_MEM_LAN = 2, KERN_MEM_WAN, KERN_MEM_OURS, KERN_MEM_VRF };
struct kern_mem_watch;
struct kern_watch_route;
void kern_mem_route_put(struct kern *k, const struct kern_watch_route *r);
void kern_mem_route_del(struct kern *k, const struct prefix *dst);
void kern_mem_routes_flush(struct kern *k);
/* Between kern_mem.c and kern_mem_watch.c. */
struct kern_mem_watch **kern_mem_watch(struct kern *k);
void kern_mem_watch_free(struct kern_mem_watch *w);
extern const struct kern_watch_ops kern_mem_watch_ops;
/* Its devices, routes and addresses, for kern_mem_net.h. */
struct mem_net *kern_mem_net(struct kern *k);
/* Append an event (EXPIRE, ACQUIRE); a hard expiry removes the SA first. */
void kern_mem_event_give(struct kern *k, const struct kern_event *e);

#endif
