/* local_addr.h - is an address this host's?  Asks the system each time. */
#ifndef PEP_LOCAL_ADDR_H
#define PEP_LOCAL_ADDR_H

#include "common/addr.h"

bool local_addr_present(const struct addr *a);

#endif
