/*
 * notify.c - sd_notify(3): a datagram of KEY=VALUE lines to the unix socket whose path
 * or, with a leading @, abstract name is in NOTIFY_SOCKET.
 */
#include "common/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool notify_send(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char text[512];
	va_list ap;

	size_t len = path ? strlen(path) : 0;
	if (len < 2 || len >= sizeof(sun.sun_path) || !strchr("/@", path[0]))
		return false;
	memcpy(sun.sun_path, path, len);
	if (sun.sun_path[0] == '@')
		sun.sun_path[0] = '\0';

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	int fd = n < 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	socklen_t sun_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
	    (const struct sockaddr *)&sun, sun_len);
	close(fd);
	return sent >= 0;
}

uint32_t notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	unsigned long long ms = strtoull(usec, NULL, 10) / 1000 / 2;
	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}
