/*
 * ctl_server.c - the daemon's end of the control protocol.  One request at a time
 * per connection: what a client sends meanwhile waits in the socket.  Everything a client can
 * make us hold is bounded: connections, octets of a request, unsent octets of answers.
 */
#include "common/ctl.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/commands.h"
#include "common/diag.h"
#include "common/json.h"
#include "common/log.h"

#define CLIENTS_MAX 64
#define UNSENT_MAX  ((size_t)256 << 20) /* octets of answers one client leaves unread */
#define READ_STEP   ((size_t)64 << 10)
#define PAUSE_S	    1 /* before accept() is tried again without descriptors */

struct ctl_client {
	LIST_ENTRY(ctl_client) link;
	struct ctl_server *server;
	struct event *readable, *writable;
	struct ctl_req *req; /* under way */
	struct buf in, out;
	size_t scanned; /* octets of in known to hold no newline */
	uid_t uid;
	char user[64];
	bool may_change;
	bool handling;	/* a handler is on the stack: do not start the next request */
	bool close_out; /* close when out is sent */
	int fd;
};

struct ctl_req {
	struct ctl_client *client; /* NULL: it went away */
	json_t *id;
	void (*cancel)(void *arg);
	void *cancel_arg;
	uid_t uid;
	char user[64];
};

struct ctl_server {
	struct event_base *base;
	const struct ctl_handler *handlers;
	void *arg;
	struct event *acceptable, *resume;
	LIST_HEAD(, ctl_client) clients;
	unsigned count;
	gid_t group; /* (gid_t)-1: none */
	size_t max_request;
	unsigned where;
	int fd;
	struct sockaddr_un sun;
};

static void client_next(struct ctl_client *c);

/* ------------------------------------------------------------------ clients */

static void client_free(struct ctl_client *c)
{
	struct ctl_req *req = c->req;

	LIST_REMOVE(c, link);
	c->server->count--;
	if (c->readable)
		event_free(c->readable);
	if (c->writable)
		event_free(c->writable);
	close(c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c);
	if (!req)
		return;
	req->client = NULL;
	if (req->cancel) {
		req->cancel(req->cancel_arg);
		json_decref(req->id);
		free(req);
	}
}

static int sink(const char *text, size_t len, void *arg)
{
	struct buf *b = arg;

	buf_put(b, text, len);
	return b->failed ? -1 : 0;
}

/* Queue one line.  Takes the message. */
static void client_send(struct ctl_client *c, json_t *msg)
{
	size_t before = c->out.len;

	if (!msg || json_dump_callback(msg, sink, &c->out, JSON_COMPACT) < 0 || c->out.failed) {
		log_warn(
		    "control: an answer to %s is lost: too much unread, or no memory", c->user);
		c->out.failed = false;
		c->out.len = before;
		c->close_out = true;
	} else {
		buf_put_u8(&c->out, '\n');
	}
	json_decref(msg);
	event_add(c->writable, NULL);
}

static json_t *error_new(const char *code, const char *text, json_t *diags)
{
	json_t *e = json_pack("{ss so}", "code", code, "message", json_text(text));

	if (diags)
		json_object_set_new(e, "diags", diags);
	return e;
}

/* A request that never became one. */
static void client_refuse(struct ctl_client *c, json_t *id, const char *code, const char *text)
{
	client_send(
	    c, json_pack("{sO? sb so}", "id", id, "ok", 0, "error", error_new(code, text, NULL)));
}

/* ------------------------------------------------------------------ requests */

void ctl_req_progress(struct ctl_req *req, json_t *progress)
{
	if (req->client)
		client_send(req->client, json_pack("{sO so}", "id", req->id, "progress", progress));
	else
		json_decref(progress);
}

/* Sends the answer (taken) and ends the request. */
static void req_end(struct ctl_req *req, json_t *answer)
{
	struct ctl_client *c = req->client;

	if (c) {
		c->req = NULL;
		client_send(c, answer);
		if (!c->handling)
			event_active(c->readable, EV_TIMEOUT, 0);
	} else {
		json_decref(answer);
	}
	json_decref(req->id);
	free(req);
}

void ctl_req_done(struct ctl_req *req, json_t *result)
{
	if (!result)
		result = json_null();
	req_end(req, json_pack("{sO sb so}", "id", req->id, "ok", 1, "result", result));
}

void ctl_req_fail(
    struct ctl_req *req, const char *code, const struct diag *diags, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_t *list = diags && diags->count ? json_from_diag(diags) : NULL;
	req_end(req,
	    json_pack("{sO sb so}", "id", req->id, "ok", 0, "error", error_new(code, text, list)));
}

void ctl_req_on_cancel(struct ctl_req *req, void (*fn)(void *arg), void *arg)
{
	req->cancel = fn;
	req->cancel_arg = arg;
}

uid_t ctl_req_uid(const struct ctl_req *req)
{
	return req->uid;
}

const char *ctl_req_user(const struct ctl_req *req)
{
	return req->user;
}

static const struct ctl_handler *handler_find(const struct ctl_handler *h, const char *cmd)
{
	for (; h->cmd; h++)
		if (strcmp(h->cmd, cmd) == 0)
			return h;
	return NULL;
}

/* A daemon that has not got a command knows who has. */
static const char *command_elsewhere(const struct command *command)
{
	if (!command || command->where & COMMAND_LOCAL)
		return "no such command";
	return command->where & COMMAND_PEP ? "only the agent of a CE can say that"
					    : "only the policy server can do that";
}

/* Runs a request that is a JSON object; borrows it. */
static void client_run(struct ctl_client *c, json_t *msg)
{
	struct ctl_server *s = c->server;
	json_t *id = json_object_get(msg, "id");
	const char *cmd = json_get_string(msg, "cmd", "");
	const json_t *args = json_object_get(msg, "args");
	const struct command *command = command_find(cmd);
	const struct ctl_handler *h = handler_find(s->handlers, cmd);

	if (json_get_int(msg, "v", 0) != CTL_VERSION) {
		client_refuse(c, id, "version", "this daemon speaks version 1 of the protocol");
		return;
	}
	if (!h || !command) {
		client_refuse(c, id, "unknown", command_elsewhere(command));
		return;
	}
	if (command->change && !c->may_change) {
		log_note("control: %s may not \"%s\"", c->user, cmd);
		client_refuse(c, id, "denied", "not allowed: this changes something");
		return;
	}
	json_t *none = json_object();
	struct ctl_req *req = calloc(1, sizeof(*req));
	if (!req || !none) {
		free(req);
		json_decref(none);
		client_refuse(c, id, "failed", "no memory");
		return;
	}
	*req = (struct ctl_req) {.client = c, .uid = c->uid};
	memcpy(req->user, c->user, sizeof(req->user));
	req->id = id ? json_incref(id) : json_null();
	c->req = req;
	c->handling = true;
	log_debug("control: %s: %s", c->user, cmd);
	h->fn(s->arg, req, json_is_object(args) ? args : none);
	c->handling = false;
	json_decref(none);
}

static void client_line(struct ctl_client *c, const char *line, size_t len)
{
	json_error_t error;
	json_t *msg = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(msg))
		client_run(c, msg);
	else
		client_refuse(c, NULL, "syntax", msg ? "expected a JSON object" : error.text);
	json_decref(msg);
}

/* Starts requests for as long as whole ones are here and none is under way. */
static void client_next(struct ctl_client *c)
{
	while (!c->req && !c->close_out) {
		size_t fresh = c->in.len - c->scanned;
		uint8_t *nl = fresh > 0 ? memchr(c->in.data + c->scanned, '\n', fresh) : NULL;
		if (!nl) {
			c->scanned = c->in.len;
			break;
		}
		size_t len = (size_t)(nl - c->in.data);
		client_line(c, (const char *)c->in.data, len);
		buf_shift(&c->in, len + 1);
		c->scanned = 0;
	}
	if (!c->in.len)
		buf_clear(&c->in); /* a large request is not kept for the life of the connection */
}

/* ------------------------------------------------------------------ events */

/*
 * Octets, the end, or (EV_TIMEOUT) an answer given since: go on.  While a request is under
 * way only the end is looked for; the socket holds the rest.
 */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_client *c = arg;

	(void)what;
	if (c->req) {
		uint8_t peek;
		ssize_t n = recv(fd, &peek, 1, MSG_PEEK | MSG_DONTWAIT);
		if (n > 0)
			event_del(c->readable); /* until the answer; EPOLLIN would not rest */
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			client_free(c);
		return;
	}
	event_add(c->readable, NULL);
	client_next(c);
	if (c->close_out)
		event_del(c->readable);
	if (c->req || c->close_out)
		return;
	uint8_t *room = buf_room(&c->in, READ_STEP);
	if (!room) {
		client_refuse(c, NULL, "too_big", "the request is larger than this daemon accepts");
		event_del(c->readable);
		c->close_out = true;
		return;
	}
	ssize_t n = recv(fd, room, READ_STEP, MSG_DONTWAIT);
	c->in.len -= READ_STEP - (n > 0 ? (size_t)n : 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		client_free(c);
		return;
	}
	client_next(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_client *c = arg;

	(void)what;
	ssize_t n = send(fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_free(c);
		return;
	}
	if ((size_t)n < c->out.len) {
		buf_shift(&c->out, (size_t)n);
		return;
	}
	buf_clear(&c->out);
	event_del(c->writable);
	if (c->close_out)
		client_free(c);
}

static bool in_group(const char *user, gid_t primary, gid_t group)
{
	gid_t groups[256];
	int n = sizeof(groups) / sizeof(groups[0]);

	if (primary == group)
		return true;
	if (getgrouplist(user, primary, groups, &n) < 0)
		n = sizeof(groups) / sizeof(groups[0]);
	for (int i = 0; i < n; i++)
		if (groups[i] == group)
			return true;
	return false;
}

static void client_identify(struct ctl_client *c, const struct ucred *cred)
{
	const struct passwd *pw = getpwuid(cred->uid);
	gid_t group = c->server->group;

	c->uid = cred->uid;
	if (pw)
		snprintf(c->user, sizeof(c->user), "%s", pw->pw_name);
	else
		snprintf(c->user, sizeof(c->user), "uid %ju", (uintmax_t)cred->uid);
	c->may_change = cred->uid == 0 || cred->uid == geteuid() ||
			(group != (gid_t)-1 &&
			    (pw ? in_group(pw->pw_name, cred->gid, group) : cred->gid == group));
}

static void client_new(struct ctl_server *s, int fd)
{
	struct ctl_client *c = calloc(1, sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	LIST_INSERT_HEAD(&s->clients, c, link);
	s->count++;
	client_identify(c, &cred);
	buf_init(&c->in, s->max_request + READ_STEP);
	buf_init(&c->out, UNSENT_MAX);
	c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (!c->readable || !c->writable || event_add(c->readable, NULL) < 0)
		client_free(c);
}

/* Full, or out of descriptors: wait a while instead of spinning on a readable listener. */
static void server_pause(struct ctl_server *s)
{
	struct timeval tv = {.tv_sec = PAUSE_S};

	event_del(s->acceptable);
	event_add(s->resume, &tv);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_server *s = arg;

	(void)what;
	if (s->count >= CLIENTS_MAX) {
		server_pause(s);
		return;
	}
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (client >= 0)
		client_new(s, client);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		server_pause(s);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct ctl_server *s = arg;

	(void)fd, (void)what;
	event_add(s->acceptable, NULL);
}

/* ------------------------------------------------------------------ server */

static int fail(char err[CTL_ERR_LEN], const char *what)
{
	snprintf(err, CTL_ERR_LEN, "%.160s: %s", what, strerror(errno));
	return -1;
}

/* The table of commands and the daemon's handlers must be about the same commands. */
static int check_handlers(unsigned where, const struct ctl_handler *handlers, char err[CTL_ERR_LEN])
{
	for (const struct command *c = commands; c->name; c++)
		if ((c->where & where) && !handler_find(handlers, c->name)) {
			snprintf(err, CTL_ERR_LEN, "command \"%s\" has no handler", c->name);
			return -1;
		}
	for (const struct ctl_handler *h = handlers; h->cmd; h++) {
		const struct command *c = command_find(h->cmd);
		if (!c || !(c->where & where)) {
			snprintf(err, CTL_ERR_LEN, "handler \"%s\" has no command", h->cmd);
			return -1;
		}
	}
	return 0;
}

static int set_address(struct ctl_server *s, const char *path, char err[CTL_ERR_LEN])
{
	if (strlen(path) >= sizeof(s->sun.sun_path)) {
		snprintf(err, CTL_ERR_LEN, "%.160s: too long for a socket", path);
		return -1;
	}
	s->sun.sun_family = AF_UNIX;
	memcpy(s->sun.sun_path, path, strlen(path) + 1);
	return 0;
}

/* Removes a socket nobody listens on; refuses to touch anything else. */
static int clear_path(const struct ctl_server *s, char err[CTL_ERR_LEN])
{
	const char *path = s->sun.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(err, path);
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(err, CTL_ERR_LEN, "%.160s: exists and is not a socket", path);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(err, path);
	int rc = connect(fd, (const struct sockaddr *)&s->sun, sizeof(s->sun));
	close(fd);
	if (rc == 0) {
		snprintf(err, CTL_ERR_LEN, "%.160s: another daemon listens there", path);
		return -1;
	}
	return unlink(path) < 0 ? fail(err, path) : 0;
}

static int server_listen(struct ctl_server *s, mode_t mode, char err[CTL_ERR_LEN])
{
	const char *path = s->sun.sun_path;

	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return fail(err, path);
	mode_t old = umask(0177); /* nobody gets in before owner and mode are right */
	int rc = bind(s->fd, (const struct sockaddr *)&s->sun, sizeof(s->sun));
	umask(old);
	if (rc < 0 || (s->group != (gid_t)-1 && chown(path, (uid_t)-1, s->group) < 0) ||
	    chmod(path, mode ? mode : 0660) < 0 || listen(s->fd, CLIENTS_MAX) < 0)
		return fail(err, path);
	return 0;
}

static int set_group(struct ctl_server *s, const char *name, char err[CTL_ERR_LEN])
{
	s->group = (gid_t)-1;
	if (!name || !*name)
		return 0;
	const struct group *g = getgrnam(name);
	if (!g) {
		snprintf(err, CTL_ERR_LEN, "group %.80s: unknown", name);
		return -1;
	}
	s->group = g->gr_gid;
	return 0;
}

struct ctl_server *ctl_server_new(struct event_base *base, const struct ctl_conf *conf,
    const struct ctl_handler *handlers, void *arg, char err[CTL_ERR_LEN])
{
	struct ctl_server *s;

	if (check_handlers(conf->where, handlers, err) < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s) {
		fail(err, conf->path);
		return NULL;
	}
	*s = (struct ctl_server) {.base = base, .handlers = handlers, .arg = arg, .fd = -1};
	LIST_INIT(&s->clients);
	s->max_request = conf->max_request ? conf->max_request : CTL_REQUEST_MAX;
	s->where = conf->where;
	if (set_address(s, conf->path, err) < 0 || set_group(s, conf->group, err) < 0 ||
	    clear_path(s, err) < 0 || server_listen(s, conf->mode, err) < 0)
		goto bad;
	s->acceptable = event_new(base, s->fd, EV_READ | EV_PERSIST, on_acceptable, s);
	s->resume = event_new(base, -1, 0, on_resume, s);
	if (!s->acceptable || !s->resume || event_add(s->acceptable, NULL) < 0) {
		fail(err, conf->path);
		goto bad;
	}
	return s;
bad:
	ctl_server_free(s);
	return NULL;
}

void ctl_server_free(struct ctl_server *s)
{
	struct ctl_client *c;

	if (!s)
		return;
	while ((c = LIST_FIRST(&s->clients)))
		client_free(c);
	if (s->acceptable)
		event_free(s->acceptable);
	if (s->resume)
		event_free(s->resume);
	if (s->fd >= 0) {
		close(s->fd);
		unlink(s->sun.sun_path);
	}
	free(s);
}

void ctl_cmd_log(void *arg, struct ctl_req *req, const json_t *args)
{
	const char *word = json_get_string(args, "level", "");
	int level = log_level_find(word);

	(void)arg;
	if (level < 0) {
		ctl_req_fail(req, "usage", NULL, "a level is " LOG_LEVEL_WORDS);
		return;
	}
	log_level_set(level);
	ctl_req_done(req, json_pack("{ss}", "level", word));
}
