/*
 * acl.h - names that may open a client-type (RFC 4261 7: the PDP's access-control list).
 * The control thread adds and removes; the workers look up when a PEP opens, which is
 * the one place where both sides meet in a lock: never on the way of a decision.
 */
#ifndef PDP_ACL_H
#define PDP_ACL_H

#include <stdbool.h>

struct acl;

struct acl *acl_new(void);
void acl_free(struct acl *a);
/* Adding twice and removing what is not there change nothing. -1: memory. */
int acl_add(struct acl *a, const char *name);
void acl_remove(struct acl *a, const char *name);
bool acl_has(struct acl *a, const char *name);

#endif
