/*
 * kern_if.h - the network interfaces of this system, and when they change (rtnetlink).
 */
#ifndef PEP_KERN_IF_H
#define PEP_KERN_IF_H

#include <stddef.h>
#include <stdint.h>

#define KERN_IF_NAME 16 /* octets, NUL with them */

struct kern_if {
	uint32_t index;
	char name[KERN_IF_NAME];
};

/* All but the loopback; *list is the caller's to free.  0, or -1 and errno. */
int kern_if_list(struct kern_if **list, size_t *count);
/*
 * A socket that becomes readable when interfaces came, went or changed; it does not block.
 * -1 and errno.  Read it empty with kern_if_drain() and list anew.
 */
int kern_if_watch(void);
void kern_if_drain(int fd);

#endif
