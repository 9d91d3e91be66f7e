/*
 * tls.h - TLS contexts for mutual authentication, and who the peer is by its
 * certificate (RFC 4261 section 7).  TLS 1.3; 1.2 only with ECDHE and AEAD.  RFC 4261's
 * mandatory 3DES suite is left out on purpose (RFC 8996, RFC 9325).
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_ERR_LEN 256

/*
 * A context with our certificate (chain) and key and the CA's certificates, all PEM
 * files.  crl may be NULL; when given, every certificate of the peer's chain is checked against it.
 * The peer must show a certificate that verifies.  A key file that others may read is
 * refused.  NULL on failure, with one line of reason in err.
 */
SSL_CTX *tls_server_ctx_new(
    const char *cert, const char *key, const char *ca, const char *crl, char err[TLS_ERR_LEN]);
SSL_CTX *tls_client_ctx_new(
    const char *cert, const char *key, const char *ca, const char *crl, char err[TLS_ERR_LEN]);

/*
 * Is name (a DNS name or a numeric address) an identity of the certificate?  By RFC 4261
 * 7: names in the subjectAltName of type dNSName or iPAddress are all that counts when
 * there are any; only without them the (last) common name.  A wildcard matches nothing.
 * An address matches iPAddress only.
 */
bool tls_cert_is(const X509 *cert, const char *name);
/* The same for the verified certificate of the other end; false without one. */
bool tls_peer_is(const SSL *ssl, const char *name);
/* Would the certificate of the other end be accepted by this context (another CA, CRL, time)? */
bool tls_peer_still_good(const SSL *ssl, SSL_CTX *ctx);
/* And without the certificates that came with it, as others see it who get it alone? */
bool tls_peer_good_alone(const SSL *ssl, SSL_CTX *ctx);
/* "DNS:ce1.example.net, IP:192.0.2.1" for logs; malloc()ed, NULL when memory is short. */
char *tls_cert_names(const X509 *cert);
char *tls_peer_names(const SSL *ssl);
/* The peer's certificate as DER, malloc()ed; NULL without one or memory. */
uint8_t *tls_peer_cert_der(const SSL *ssl, size_t *len);
/* One line of why the last OpenSSL call failed; empties OpenSSL's error queue. */
const char *tls_err_print(char err[TLS_ERR_LEN]);

#endif
