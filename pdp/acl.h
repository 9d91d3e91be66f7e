/*
 * acl.h - names that may open a client-type (RFC 4261 7: the PDP's access-control list), and those
 * that tried lately in vain: they will call again soon, which who adds them wants to know.
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

/* One that is revoked has no place here, whether it was added or not, until it is reinstated. -1:
 * memory. */
int acl_revoke(struct acl *a, const char *name);
void acl_reinstate(struct acl *a, const char *name);
bool acl_revoked(struct acl *a, const char *name);

/* name, which its certificate proved, was not there.  True: worth telling, the first time in long.
 */
bool acl_refused(struct acl *a, const char *name);
/* Was it within the last minute? */
bool acl_refused_lately(struct acl *a, const char *name);

#endif
