/*
 * notify.h - tell systemd how we are (sd_notify(3)), without its library: one
 * datagram to the socket named by NOTIFY_SOCKET.  Nothing happens without it.
 */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* "READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"; true if somebody was told. */
bool notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Milliseconds between two WATCHDOG=1 that systemd would be content with; 0 = none wanted. */
uint32_t notify_watchdog_ms(void);

#endif
