/*
 * fuzz_ctl.c - what a client writes to the control socket.  Every line of the answer must be a JSON
 * object, and the server must be there for the next client.
 */
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/commands.h"
#include "common/ctl.h"
#include "common/log.h"
#include "tests/fuzz/fuzz.h"

#define HANDLERS_MAX 100
#define REQUEST_MAX  2048
#define INPUT_MAX    8192 /* fits into a socket's buffer */

static char dir[] = "/tmp/fuzz-ctl.XXXXXX";
static char path[64];
static struct event_base *base;
static struct ctl_server *server;
static struct ctl_handler handlers[HANDLERS_MAX + 1];
static unsigned turn;

/* By turns: the arguments back, progress first, a failure. */
static void handle(void *arg, struct ctl_req *req, const json_t *args)
{
	(void)arg;
	if (++turn % 3 == 0) {
		ctl_req_fail(req, "refused", NULL, "no");
		return;
	}
	if (turn % 3 == 1)
		ctl_req_progress(req, json_object());
	ctl_req_done(req, json_deep_copy(args));
}

static void finish(void)
{
	ctl_server_free(server);
	event_base_free(base);
	rmdir(dir);
}

static void start(void)
{
	struct ctl_conf conf = {.path = path, .max_request = REQUEST_MAX, .where = COMMAND_PDP};
	char err[CTL_ERR_LEN];
	size_t n = 0;

	log_level_set(-1);
	for (const struct command *c = commands; c->name != NULL; c++)
		if (c->where & COMMAND_PDP) {
			MUST(n < HANDLERS_MAX);
			handlers[n++] = (struct ctl_handler) {c->name, handle};
		}
	MUST(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	base = event_base_new();
	MUST(base != NULL);
	server = ctl_server_new(base, &conf, handlers, NULL, err);
	MUST(server != NULL);
	atexit(finish);
}

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	return fd;
}

static void check_line(const char *line, size_t len)
{
	json_error_t error;
	json_t *answer = json_loadb(line, len, 0, &error);

	MUST(json_is_object(answer));
	MUST(json_object_get(answer, "ok") != NULL || json_object_get(answer, "progress") != NULL);
	json_decref(answer);
}

/* Run the server until it has closed the connection; the answer's lines are looked at. */
static void listen_to(int fd)
{
	static char text[1 << 20];
	size_t len = 0, at = 0;
	ssize_t n = 1;

	for (int i = 0; n != 0; i++) {
		MUST(i < 10000 && len < sizeof(text));
		(void)event_base_loop(base, EVLOOP_NONBLOCK);
		n = recv(fd, text + len, sizeof(text) - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	for (char *nl; (nl = memchr(text + at, '\n', len - at)) != NULL;) {
		check_line(text + at, (size_t)(nl - (text + at)));
		at = (size_t)(nl - text) + 1;
	}
	MUST(at == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd;

	if (size > INPUT_MAX)
		return 0;
	if (base == NULL)
		start();
	turn = 0;
	fd = dial();
	MUST(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	MUST(shutdown(fd, SHUT_WR) == 0);
	listen_to(fd);
	close(fd);
	return 0;
}
