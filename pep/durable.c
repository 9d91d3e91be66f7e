/*
 * durable.c - see durable.h.
 */
#include "pep/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int durable_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int durable_sync_dir(const char *path)
{
	char *copy = strdup(path);
	int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = -1;
	int e;

	if (fd >= 0) {
		rc = fsync(fd);
		e = errno;
		close(fd);
		errno = e;
	}
	free(copy);
	return rc;
}

static int write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;
	int e;

	if (fd < 0)
		return -1;
	rc = durable_write_all(fd, data, len) != 0 || fsync(fd) != 0 ? -1 : 0;
	e = errno;
	if (close(fd) != 0 && rc == 0)
		return -1;
	errno = e;
	return rc;
}

int durable_write(const char *path, const void *data, size_t len)
{
	char *tmp;
	int rc = -1;
	int e;

	if (asprintf(&tmp, "%s.new", path) < 0)
		return -1;
	if (write_file(tmp, data, len) == 0 && rename(tmp, path) == 0)
		rc = durable_sync_dir(path);
	e = errno;
	if (rc != 0)
		unlink(tmp);
	free(tmp);
	errno = e;
	return rc;
}

static char *read_fd(int fd, size_t max, size_t *len)
{
	struct stat st;
	char *p;
	size_t got = 0;

	if (fstat(fd, &st) != 0)
		return NULL;
	if (st.st_size < 0 || (size_t)st.st_size > max) {
		errno = EFBIG;
		return NULL;
	}
	p = malloc((size_t)st.st_size + 1);
	while (p != NULL && got < (size_t)st.st_size) {
		ssize_t n = read(fd, p + got, (size_t)st.st_size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(p);
			return NULL;
		}
		if (n == 0)
			break;
		got += (size_t)n;
	}
	if (p != NULL) {
		p[got] = '\0';
		*len = got;
	}
	return p;
}

char *durable_read(const char *path, size_t max, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *p;
	int e;

	if (fd < 0)
		return NULL;
	p = read_fd(fd, max, len);
	e = errno;
	close(fd);
	errno = e;
	return p;
}
