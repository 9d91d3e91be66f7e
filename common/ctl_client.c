/*
 * ctl_client.c - copsctl's end of the control protocol: one command, one answer,
 * blocking.
 */
#include "common/ctl.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/json.h"

#define REQUEST_ID 1
#define ANSWER_MAX ((size_t)1 << 30)
#define READ_STEP  ((size_t)64 << 10)

static int fail(char err[CTL_ERR_LEN], const char *path, const char *why)
{
	snprintf(err, CTL_ERR_LEN, "%.160s: %s", path, why);
	return -1;
}

static int connect_to(const char *path, char err[CTL_ERR_LEN])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof(sun.sun_path))
		return fail(err, path, "too long for a socket");
	memcpy(sun.sun_path, path, len + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(err, path, strerror(errno));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0) {
		fail(err, path,
		    errno == ENOENT || errno == ECONNREFUSED ? "no daemon listens there"
							     : strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Send it all.  A daemon that refuses a request half way has answered and closed: what
 * it said is then read, so a broken pipe is no error here.
 */
static int send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The next line, without its newline, in in->data[0..*len). */
static int read_line(int fd, struct buf *in, size_t *len)
{
	size_t scanned = 0;

	for (;;) {
		uint8_t *nl = in->len > scanned
				  ? memchr(in->data + scanned, '\n', in->len - scanned)
				  : NULL;
		if (nl) {
			*len = (size_t)(nl - in->data);
			return 0;
		}
		scanned = in->len;
		uint8_t *room = buf_room(in, READ_STEP);
		ssize_t n = room ? recv(fd, room, READ_STEP, 0) : -1;
		if (!room)
			return -1;
		in->len = scanned + (n > 0 ? (size_t)n : 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return -1;
	}
}

static int read_answer(int fd, ctl_progress_fn *progress, void *arg, json_t **reply)
{
	struct buf in;
	size_t len;

	*reply = NULL;
	buf_init(&in, ANSWER_MAX);
	while (!*reply && read_line(fd, &in, &len) == 0) {
		json_t *msg = json_loadb((const char *)in.data, len, 0, NULL);
		const json_t *p = json_object_get(msg, "progress");
		buf_shift(&in, len + 1);
		if (!p && json_is_boolean(json_object_get(msg, "ok"))) {
			*reply = msg;
			break;
		}
		if (p && progress)
			progress(arg, p);
		json_decref(msg);
		if (!p)
			break;
	}
	buf_clear(&in);
	return *reply ? 0 : -1;
}

int ctl_client_call(const char *path, const char *cmd, json_t *args, ctl_progress_fn *progress,
    void *arg, json_t **reply, char err[CTL_ERR_LEN])
{
	json_t *msg = json_pack("{si si ss so}", "v", CTL_VERSION, "id", REQUEST_ID, "cmd", cmd,
	    "args", args ? args : json_object());
	struct buf out;
	int rc = -1;

	*reply = NULL;
	buf_init(&out, 0);
	char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	json_decref(msg);
	int fd = text ? connect_to(path, err) : fail(err, path, "a request that is not UTF-8 text");
	if (fd >= 0) {
		if (send_all(fd, text, strlen(text)) < 0 || send_all(fd, "\n", 1) < 0)
			fail(err, path, strerror(errno));
		else if (read_answer(fd, progress, arg, reply) < 0)
			fail(err, path, "the daemon gave no answer");
		else
			rc = 0;
		close(fd);
	}
	free(text);
	return rc;
}
