/*
 * ctl.h - the control protocol: newline-delimited JSON over a unix socket
 * (doc/control-protocol.md).  The server part runs in the daemons' control thread
 * on libevent; the client part blocks and is for copsctl and tests.
 *
 *	-> {"v":1,"id":7,"cmd":"apply","args":{...}}
 *	<- {"id":7,"progress":{...}}                    any number of times
 *	<- {"id":7,"ok":true,"result":...}
 *	or {"id":7,"ok":false,"error":{"code":"refused","message":"...","diags":[...]}}
 *
 * Who may do what: commands.h says which commands change something.  Those are for root,
 * the daemon's own user and members of the configured group; the rest is for
 * everyone whom the socket's mode lets in.
 */
#ifndef COMMON_CTL_H
#define COMMON_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct diag;
struct event_base;
struct ctl_server;
struct ctl_req;

#define CTL_VERSION	1
#define CTL_ERR_LEN	256
#define CTL_REQUEST_MAX ((size_t)256 << 20) /* octets of one request, unless configured */

/* ------------------------------------------------------------------ server */

/*
 * Handle a command.  args is a JSON object, borrowed for the call.  Every request is
 * answered exactly once, by ctl_req_done() or ctl_req_fail(), now or later, in the
 * thread of the event base.
 */
typedef void ctl_handler_fn(void *arg, struct ctl_req *req, const json_t *args);

/* A table ends with a row without command. */
struct ctl_handler {
	const char *cmd; /* as in commands.h */
	ctl_handler_fn *fn;
};

struct ctl_conf {
	const char *path;
	mode_t mode;	    /* of the socket; 0 = 0660 */
	const char *group;  /* may change things, and owns the socket; NULL or "" = none */
	size_t max_request; /* octets; 0 = CTL_REQUEST_MAX */
	unsigned where;	    /* COMMAND_PDP or COMMAND_PEP */
};

/*
 * Listen.  handlers and arg are borrowed, *conf is not.  A socket left behind by a dead daemon is
 * replaced, one in use is not.  Fails when a command of this daemon has no handler or a
 * handler no command.  NULL on failure with the reason in err.
 */
struct ctl_server *ctl_server_new(struct event_base *base, const struct ctl_conf *conf,
    const struct ctl_handler *handlers, void *arg, char err[CTL_ERR_LEN]);
/* Closes every connection (pending requests are cancelled) and removes the socket. */
void ctl_server_free(struct ctl_server *s);

/* Takes progress / result (a NULL result is JSON null).  After done or fail req is gone. */
void ctl_req_progress(struct ctl_req *req, json_t *progress);
void ctl_req_done(struct ctl_req *req, json_t *result);
/* code is one word ("refused", "not_found", "busy", "failed", "usage"); diags may be NULL. */
void ctl_req_fail(struct ctl_req *req, const char *code, const struct diag *diags, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
/*
 * Called when the client goes away before the answer; req is gone when it returns.  Without
 * one the request lives on until it is answered, unheard.
 */
void ctl_req_on_cancel(struct ctl_req *req, void (*fn)(void *arg), void *arg);
uid_t ctl_req_uid(const struct ctl_req *req);
/* Name of the user who asks, for the record; lives as long as req. */
const char *ctl_req_user(const struct ctl_req *req);

/* Handler of "log LEVEL" for both daemons' tables. */
ctl_handler_fn ctl_cmd_log;

/* ------------------------------------------------------------------ client */

typedef void ctl_progress_fn(void *arg, const json_t *progress);

/*
 * Send one command and wait for its answer.  Takes args (NULL = {}).  progress may be NULL.
 * 0 with the whole answer, {"ok":...}, in *reply (caller's reference); -1 when there was
 * none, with the reason in err.
 */
int ctl_client_call(const char *path, const char *cmd, json_t *args, ctl_progress_fn *progress,
    void *arg, json_t **reply, char err[CTL_ERR_LEN]);

#endif
