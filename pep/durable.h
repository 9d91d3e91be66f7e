/*
 * durable.h - small files that survive a power cut: the old content or the new,
 * never a mixture, and on the disk when the call returns.
 */
#ifndef PEP_DURABLE_H
#define PEP_DURABLE_H

#include <stddef.h>

/* Replace path by data[0..len), mode 0600. 0, or -1 with errno. */
int durable_write(const char *path, const void *data, size_t len);
/* Write all of it to fd. 0, or -1 with errno. */
int durable_write_all(int fd, const void *data, size_t len);
/* Make the directory entry of path durable. 0, or -1 with errno. */
int durable_sync_dir(const char *path);
/*
 * Read the whole of path, at most max octets; one NUL is added after them.  malloc()ed,
 * NULL with errno (EFBIG: longer than max).
 */
char *durable_read(const char *path, size_t max, size_t *len);

#endif
