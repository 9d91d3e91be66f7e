/* local_addr.c - see local_addr.h. */
#include "pep/local_addr.h"

#include <ifaddrs.h>

bool local_addr_present(const struct addr *a)
{
	struct ifaddrs *list;
	struct addr have;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (struct ifaddrs *i = list; i && !found; i = i->ifa_next)
		found = i->ifa_addr && addr_from_sockaddr(&have, i->ifa_addr) == 0 &&
			!addr_cmp(&have, a);
	freeifaddrs(list);
	return found;
}
