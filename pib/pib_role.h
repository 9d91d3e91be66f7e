/*
 * pib_role.h - roles and role combinations (RFC 3318 2.1, 3): what is well formed, and
 * to which interfaces a policy applies.
 */
#ifndef PIB_ROLE_H
#define PIB_ROLE_H

#include "pib/pib_class.h"
#include "pib/pib_err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIB_ROLE_MAX	   31  /* octets of one role */
#define PIB_ROLE_COMBO_MAX 255 /* octets of a combination */

/*
 * Is o a role combination: roles in ASCII order, none twice, with '+' between them?  Of no
 * octets it is the null combination, of an interface without roles.  With wild, '*' may
 * stand first, as in policy that a PDP installs; never in what a PEP says of itself.
 */
bool pib_role_valid(struct pib_octets o, bool wild);
/*
 * Does policy for this combination apply to an interface of those roles?  Both are valid;
 * without '*' they have to be equal, with it the interface has at least the roles named.
 */
bool pib_role_match(struct pib_octets policy, struct pib_octets roles);
/*
 * Are a row's role combinations valid?  wild as above: true of what a PDP installs.  0, or -1
 * and *f: attrValueInvalid, class and column; the caller adds the instance.
 */
int pib_role_judge(const struct pib_class *cls, const void *row, bool wild, struct pib_fault *f);

#ifdef __cplusplus
}
#endif
#endif
