/*
 * session.h - one PEP's connection, in the worker that owns it: who it is (RFC 4261 7), which
 * client-types it has open, and messages as events for the control thread.  Between worker.c
 * and session.c only.
 */
#ifndef PDP_SESSION_H
#define PDP_SESSION_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "libcops/cops_io.h"
#include "pdp/worker.h"

struct pib_schema;
struct session;

/* What all sessions of a worker share. */
struct session_env {
	const struct workers_conf *conf;
	struct pib_schema *const *schema; /* per client */
	struct cops_io_pool *pool;
	SSL_CTX *tls;		    /* NULL: never was any TLS */
	struct cops_conn_conf conn; /* of every session */
	struct session_counters {
		atomic_uint_fast64_t sessions, accepted, tls_failed, refused_identity, refused_type;
		atomic_uint_fast64_t bad_messages, decisions, reports;
	} count;
	/* Queue an event for the control thread; takes what it owns. */
	void (*up)(void *arg, const struct up *ev);
	/* The session ended: forget it. */
	void (*gone)(void *arg, struct session *s, uint32_t slot);
	void *arg;
};

/* Takes fd.  NULL on failure. */
struct session *session_new(struct session_env *env, int fd, uint64_t sid, uint32_t slot);
void session_free(struct session *s);
uint64_t session_sid(const struct session *s);
/* A DEC for the request-state of that number. */
void session_send(struct session *s, uint16_t client, uint32_t state, bool solicited,
    struct cops_chunk *const *chunk, size_t n);
/*
 * env->tls and env->conn may be others now: close the session if its certificate is not good any
 * more, or if its kind of protection is not.
 */
void session_security_changed(struct session *s, enum cops_security was);
/* SSQ for all request-states of a client-type. */
void session_ask(struct session *s, uint16_t client);
void session_redirect(struct session *s, const struct addr *to, uint16_t port);
void session_close(struct session *s, uint16_t error, const char *why);

#endif
