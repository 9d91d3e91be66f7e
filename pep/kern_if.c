/*
 * kern_if.c - see kern_if.h.  What a message says does not matter, nor whether some were lost:
 * each only means that the list is to be read again.
 */
#include "pep/kern_if.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int kern_if_list(struct kern_if **list, size_t *count)
{
	struct if_nameindex *all = if_nameindex();
	size_t n = 0;

	*count = 0;
	if (all == NULL)
		return -1;
	while (all[n].if_index != 0)
		n++;
	if ((*list = calloc(n + 1, sizeof(**list))) == NULL) {
		if_freenameindex(all);
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		struct kern_if *k = &(*list)[*count];

		if (strcmp(all[i].if_name, "lo") == 0)
			continue;
		k->index = all[i].if_index;
		snprintf(k->name, sizeof(k->name), "%s", all[i].if_name);
		++*count;
	}
	if_freenameindex(all);
	return 0;
}

int kern_if_watch(void)
{
	const struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&addr, sizeof(addr)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void kern_if_drain(int fd)
{
	char unread[4096];

	while (recv(fd, unread, sizeof(unread), 0) > 0 || errno == ENOBUFS || errno == EINTR)
		errno = 0;
}
