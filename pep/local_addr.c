/* local_addr.c - see local_addr.h. */
#include "pep/local_addr.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first address within the prefix; name of its interface, of IF_NAMESIZE octets. */
static bool find(const struct prefix *p, struct addr *a, char *name)
{
	struct ifaddrs *list;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		found = i->ifa_addr && addr_from_sockaddr(a, i->ifa_addr) == 0 && prefix_has(p, a);
		if (found)
			snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
	}
	freeifaddrs(list);
	return found;
}

static struct prefix host(const struct addr *a)
{
	return (struct prefix) {.addr = *a, .len = (uint8_t)(8 * addr_len(a))};
}

bool local_addr_present(const struct addr *a)
{
	struct prefix p = host(a);
	char name[IF_NAMESIZE];
	struct addr have;

	return find(&p, &have, name);
}

bool local_addr_within(const struct prefix *p, struct addr *a)
{
	char name[IF_NAMESIZE];

	return find(p, a, name);
}

uint32_t local_addr_mtu(const struct addr *a)
{
	struct prefix p = host(a);
	struct ifreq r = {0};
	struct addr have;
	uint32_t mtu = 0;
	int fd;

	if (!find(&p, &have, r.ifr_name) ||
	    (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return 0;
	if (ioctl(fd, SIOCGIFMTU, &r) == 0 && r.ifr_mtu > 0)
		mtu = (uint32_t)r.ifr_mtu;
	close(fd);
	return mtu;
}
