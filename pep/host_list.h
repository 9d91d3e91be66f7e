/*
 * host_list.h - this host's addresses, interfaces and VRF devices as the kernel told of them,
 * remembered until it says that some changed: so that asking costs nothing on the push path.
 */
#ifndef PEP_HOST_LIST_H
#define PEP_HOST_LIST_H

#include "pep/kern.h"

struct host_list;

/* Borrows both.  NULL: no memory. */
struct host_list *host_list_new(const struct kern_ops *ops, struct kern *k);
void host_list_free(struct host_list *l);
/* Something changed: the kernel is asked again when there is something to ask. */
void host_list_stale(struct host_list *l);
/*
 * The addresses, in the kernel's order; *own is the list's and holds until the next call.  0, or -1
 * and *f: the kernel did not tell.
 */
int host_list_own(
    struct host_list *l, const struct kern_own **own, size_t *count, struct kern_fault *f);
/* As those of struct kern_ops, of which the second may not be NULL. */
bool host_list_interface(struct host_list *l, uint32_t index, struct kern_interface *i);
int host_list_vrf(struct host_list *l, const char *name, struct kern_vrf *v, struct kern_fault *f);

#endif
