/*
 * cops_io.h - binds a connection core (cops_conn.h) to a TCP socket: libevent for
 * readiness and timers, OpenSSL for the TLS upgrade on the same connection (RFC
 * 4261).  No bufferevents: octets go straight between SSL_read/SSL_write and the
 * core through one scratch buffer per event base, so an idle session costs its SSL
 * object and little else.
 */
#ifndef COPS_IO_H
#define COPS_IO_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libcops/cops_conn.h"

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct cops_io;
struct cops_io_pool;

/*
 * Per event base (= per thread): scratch buffers shared by its connections.  A pool and
 * its connections are used by the thread that runs the base only.  SIGPIPE must be ignored.
 */
struct cops_io_pool *cops_io_pool_new(struct event_base *base);
void cops_io_pool_free(struct cops_io_pool *pool); /* after its connections */

/* Milliseconds of Unix time, by the system's clock; for struct cops_integrity. */
int64_t cops_io_unix_ms(void);
/*
 * A number that never comes again, for struct cops_integrity: of 125 a second of that clock, and
 * more than the last one given by this process.  Any thread.
 */
uint32_t cops_io_first_number(void);

/*
 * Callbacks, like those of cops_conn_ops, come from the event loop only, never from
 * inside a cops_io or cops_conn call of the user's.  Any of them may send, close, shut
 * down and free this or another connection; after cops_io_free() none comes any more.
 */
struct cops_io_ops {
	/*
	 * The TLS handshake is done; look at the peer certificate of ssl.  Return false to
	 * refuse: CC 14 and the connection ends; the handshake being over, no certificate
	 * alert can be sent any more (see on_cert).  PEP: open client-types here.
	 */
	bool (*on_secure)(void *arg, SSL *ssl);
	/*
	 * PEP: TCP is connected; no COPS octet was sent yet.  May be NULL.  Without security,
	 * open client-types here; with Integrity wait for the core's on_accept.
	 */
	void (*on_connect)(void *arg);
	/* All over; the owner calls cops_io_free() here or later, not cops_io_*() otherwise. */
	void (*on_end)(void *arg, const char *why);
	/*
	 * In the handshake: the chain of the peer's certificate was found good.  Return false
	 * to refuse: the peer gets the alert bad_certificate (RFC 4261 7.2).  May be NULL.
	 * Not called when a TLS session is resumed: on_secure is the one that always is.
	 */
	bool (*on_cert)(void *arg, X509 *cert);
};

/*
 * Take over fd (non-blocking, accepted).  tls may be NULL only where conf->security is not TLS.
 * conf, cops (the core's callbacks; on_start_tls, on_output, on_dead are the io's own and
 * ignored) and ops are borrowed, tls is referenced.  On failure fd is closed and NULL
 * returned.
 */
struct cops_io *cops_io_accept(struct cops_io_pool *pool, int fd, SSL_CTX *tls,
    const struct cops_conn_conf *conf, const struct cops_conn_ops *cops,
    const struct cops_io_ops *ops, void *arg);
/*
 * PEP side: connect to address; peer_name, if not NULL and no address, is put into SNI
 * (copied).  That nobody listens is told by on_end; NULL means no memory or descriptor.
 */
struct cops_io *cops_io_connect(struct cops_io_pool *pool, const struct sockaddr *sa,
    socklen_t sa_len, SSL_CTX *tls, const char *peer_name, const struct cops_conn_conf *conf,
    const struct cops_conn_ops *cops, const struct cops_io_ops *ops, void *arg);
/* Its core, to open, send and close with; lives as long as io. */
struct cops_conn *cops_io_conn(struct cops_io *io);
/* Address of the other end / our own end; false if not known any more. */
bool cops_io_peer(struct cops_io *io, struct sockaddr_storage *ss);
bool cops_io_local(struct cops_io *io, struct sockaddr_storage *ss);
/*
 * Graceful end: flush, close_notify, wait a moment for the peer's end, close, on_end.
 * cops_conn_close() alone does the same; a peer that does not read is cut off after 5 s.
 */
void cops_io_shutdown(struct cops_io *io);
/* At once, without on_end; a close_notify is tried.  NULL is allowed. */
void cops_io_free(struct cops_io *io);

#ifdef __cplusplus
}
#endif
#endif
