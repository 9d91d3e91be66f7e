/*
 * vici.h - a connection to charon's VICI socket: requests one after the other with their
 * replies, events as they come, and connecting again when charon went away.
 *
 * libvici of strongSwan blocks and brings threads and all of libstrongswan; davici, which would
 * fit an event loop, is not in Debian.  The protocol is small.
 */
#ifndef PEP_VICI_H
#define PEP_VICI_H

#include <stdbool.h>
#include <stdint.h>

#include "pep/vici_msg.h"

struct event_base;
struct vici;

/* None of these may free the connection it is called for. */
struct vici_ops {
	void (*up)(void *arg); /* connected, the events are registered */
	void (*down)(void *arg, const char *why);
	void (*event)(void *arg, const char *name, const struct vici_view *message);
};

/*
 * events: names, the last NULL, borrowed.  once: one attempt, and after the loss of the connection
 * no other.  Nothing happens before the event loop runs.  NULL: no memory.
 */
struct vici *vici_new(struct event_base *base, const char *path, const char *const *events,
    bool once, const struct vici_ops *ops, void *arg);
/* Requests without a reply yet are told "closed" first; ops are not called. */
void vici_free(struct vici *v);
bool vici_is_up(const struct vici *v);

/*
 * ok: charon answered, and not with success = no; else why says what it said, or what became of
 * the connection (reply is NULL then).
 */
typedef void vici_reply_fn(void *arg, bool ok, const struct vici_view *reply, const char *why);
/*
 * Send a request when those before it were answered.  args is cleared, may be NULL.  timeout_ms: of
 * the answer, 0 = for ever; then the connection is given up.  fn (may be NULL) is called exactly
 * once.  -1: not connected, no memory, or too long; fn is not called.
 */
int vici_request(struct vici *v, const char *command, struct vici_build *args, unsigned timeout_ms,
    vici_reply_fn *fn, void *fn_arg);

#endif
