/* local_addr.h - what of addresses is this host's?  Asks the system each time. */
#ifndef PEP_LOCAL_ADDR_H
#define PEP_LOCAL_ADDR_H

#include "common/addr.h"

bool local_addr_present(const struct addr *a);
/* An address of this host within the prefix.  False: there is none. */
bool local_addr_within(const struct prefix *p, struct addr *a);
/* The MTU of the interface that has this address, 0: none has. */
uint32_t local_addr_mtu(const struct addr *a);

#endif
