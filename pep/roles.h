/*
 * roles.h - which interface has which roles (RFC 3318 2.1, 2.2): the interfaces there are,
 * the roles that pep.conf gives them, those that the PDP gives them instead, and the
 * frwkCapabilitySet, frwkRoleCombo and frwkIfRoleCombo rows that say so in every request.
 *
 * One for each client-type that wants it.  It does no I/O: kern_if lists interfaces.
 */
#ifndef PEP_ROLES_H
#define PEP_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pep/client.h"
#include "pep/kern_if.h"

struct pep_roles;

/* "eth0 lan+red" of pep.conf: name and roles, borrowed from text. 0, or -1: not like that. */
int pep_roles_parse(const char *text, char name[KERN_IF_NAME], const char **roles);

/*
 * conf: lines that pep_roles_parse() takes, borrowed.  Capability sets are the client's, borrowed;
 * every interface has the first, without any CapSetName is empty.  NULL: no memory.
 */
struct pep_roles *pep_roles_new(const char *const *conf, size_t lines,
    const struct pep_capability *capability, size_t capabilities);
void pep_roles_free(struct pep_roles *r);

/*
 * The interfaces there are now.  1: what pep_roles_put() says is another than before, so every
 * open context needs a request; 0: nothing new; -1: no memory, all as before.
 */
int pep_roles_interfaces(struct pep_roles *r, const struct kern_if *list, size_t count);
/*
 * May the PDP have it so?  Judges the frwkRoleCombo and frwkIfRoleCombo rows a checked
 * transaction changes: roles without '*', an interface that exists, a capability set of ours.
 * 0, or -1 with faults in the transaction.
 */
int pep_roles_judge(const struct pep_roles *r, const struct pib_store *store, struct pib_txn *t);
/*
 * The roles that the PDP's rows in a context's store give, after a decision or a start; those of
 * pep.conf hold where it gives none.  Returns as pep_roles_interfaces(): after 1, once the report
 * is sent, all open contexts of the client-type send full-state requests.
 */
int pep_roles_take(struct pep_roles *r, const struct pib_store *store);
/* Every row, for pep_client's notify(). */
void pep_roles_put(const struct pep_roles *r,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);

#endif
