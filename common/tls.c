/*
 * tls.c - contexts for mutual TLS and the peer's identity (RFC 4261 7, RFC 9325).
 */
#include "common/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/buf.h"

#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CHAIN_DEPTH   4

const char *tls_err_print(char err[TLS_ERR_LEN])
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	snprintf(err, TLS_ERR_LEN, "%s", reason ? reason : e ? "TLS failure" : "no reason known");
	ERR_clear_error();
	return err;
}

/* ------------------------------------------------------------------ contexts */

static int fail(char err[TLS_ERR_LEN], const char *file)
{
	char reason[TLS_ERR_LEN];

	snprintf(err, TLS_ERR_LEN, "%.120s: %.120s", file, tls_err_print(reason));
	return -1;
}

/* Looks at the file that is then read, not at a name that may change meanwhile. */
static FILE *open_key(const char *file, char err[TLS_ERR_LEN])
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(err, TLS_ERR_LEN, "%.160s: %s", file, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(err, TLS_ERR_LEN, "%.160s: not a file", file);
	} else if (st.st_mode & S_IRWXO) {
		snprintf(err, TLS_ERR_LEN,
		    "%.160s: the private key is open to everyone (mode %03o); chmod 600 it", file,
		    (unsigned)(st.st_mode & 0777));
	} else {
		FILE *f = fdopen(fd, "r");
		if (f)
			return f;
		snprintf(err, TLS_ERR_LEN, "%.160s: %s", file, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* A daemon cannot type a passphrase. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return -1;
}

static int use_key(SSL_CTX *ctx, const char *file, char err[TLS_ERR_LEN])
{
	FILE *f = open_key(file, err);
	if (!f)
		return -1;
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, no_passphrase, NULL);
	fclose(f);
	int ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		 SSL_CTX_check_private_key(ctx) == 1;
	EVP_PKEY_free(key);
	return ok ? 0 : fail(err, file);
}

static int use_ca(SSL_CTX *ctx, const char *ca, const char *crl, char err[TLS_ERR_LEN])
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509_LOOKUP *lookup;

	if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return fail(err, ca);
	if (!crl)
		return 0;
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (!lookup || X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) < 1 ||
	    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
		return fail(err, crl);
	return 0;
}

/* What both ends have in common. */
static SSL_CTX *ctx_new(const SSL_METHOD *method, const char *cert, const char *key, const char *ca,
    const char *crl, char err[TLS_ERR_LEN])
{
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(method);
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1) {
		fail(err, "TLS");
		goto bad;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	/* Idle sessions are many: no buffers while nothing is under way. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);

	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
		fail(err, cert);
		goto bad;
	}
	if (use_key(ctx, key, err) < 0 || use_ca(ctx, ca, crl, err) < 0)
		goto bad;
	return ctx;
bad:
	SSL_CTX_free(ctx);
	return NULL;
}

SSL_CTX *tls_server_ctx_new(
    const char *cert, const char *key, const char *ca, const char *crl, char err[TLS_ERR_LEN])
{
	SSL_CTX *ctx = ctx_new(TLS_server_method(), cert, key, ca, crl, err);
	if (!ctx)
		return NULL;

	/* No resumption: every connection proves its certificate, and sessions last for weeks. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
	if (!names) {
		fail(err, ca);
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	return ctx;
}

SSL_CTX *tls_client_ctx_new(
    const char *cert, const char *key, const char *ca, const char *crl, char err[TLS_ERR_LEN])
{
	return ctx_new(TLS_client_method(), cert, key, ca, crl, err);
}

/* ------------------------------------------------------------------ identity */

/* The text of an ASN.1 string, if it has no NUL inside; borrowed, not terminated. */
static bool asn1_text(const ASN1_STRING *s, const char **text, size_t *len)
{
	*text = (const char *)ASN1_STRING_get0_data(s);
	*len = (size_t)ASN1_STRING_length(s);
	return *len > 0 && !memchr(*text, '\0', *len);
}

/*
 * Wildcards stand for nobody: a name here is the identity of one CE or one PDP, and keys hang
 * on it.
 */
static bool dns_match(const char *text, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(text, name, len) == 0 && !memchr(text, '*', len);
}

static bool ip_match(const ASN1_OCTET_STRING *ip, const struct addr *addr)
{
	struct addr a;

	return addr_from_octets(&a, ASN1_STRING_get0_data(ip), (size_t)ASN1_STRING_length(ip)) ==
		   0 &&
	       addr_cmp(&a, addr) == 0;
}

/* The last common name is the most specific one. */
static bool common_name(const X509 *cert, const char **text, size_t *len)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = -1;

	for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
		at = i;
	return at >= 0 &&
	       asn1_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), text, len);
}

bool tls_cert_is(const X509 *cert, const char *name)
{
	struct addr addr;
	bool is_addr = addr_parse(&addr, name) == 0;
	bool any = false, found = false;
	const char *text;
	size_t len;
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS) {
			any = true;
			found = !is_addr && asn1_text(n->d.dNSName, &text, &len) &&
				dns_match(text, len, name);
		} else if (n->type == GEN_IPADD) {
			any = true;
			found = is_addr && ip_match(n->d.iPAddress, &addr);
		}
	}
	GENERAL_NAMES_free(names);
	if (any || is_addr)
		return found;
	return common_name(cert, &text, &len) && dns_match(text, len, name);
}

bool tls_peer_is(const SSL *ssl, const char *name)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	return cert && SSL_get_verify_result(ssl) == X509_V_OK && tls_cert_is(cert, name);
}

static bool peer_good(const SSL *ssl, SSL_CTX *ctx, STACK_OF(X509) * chain)
{
	X509_STORE_CTX *x = X509_STORE_CTX_new();
	X509 *cert = SSL_get0_peer_certificate(ssl);
	bool ok = x && cert &&
		  X509_STORE_CTX_init(x, SSL_CTX_get_cert_store(ctx), cert, chain) == 1 &&
		  X509_STORE_CTX_set_default(x, SSL_is_server(ssl) ? "ssl_client" : "ssl_server");

	if (ok) {
		X509_STORE_CTX_set_depth(x, CHAIN_DEPTH);
		ok = X509_verify_cert(x) == 1;
	}
	X509_STORE_CTX_free(x);
	ERR_clear_error();
	return ok;
}

bool tls_peer_still_good(const SSL *ssl, SSL_CTX *ctx)
{
	return peer_good(ssl, ctx, SSL_get_peer_cert_chain(ssl));
}

bool tls_peer_good_alone(const SSL *ssl, SSL_CTX *ctx)
{
	return peer_good(ssl, ctx, NULL);
}

static void put_name(struct buf *b, const char *kind, const char *text, size_t len)
{
	buf_printf(b, "%s%s:", b->len ? ", " : "", kind);
	for (size_t i = 0; i < len; i++)
		buf_put_u8(b, text[i] > 0x20 && text[i] < 0x7f ? (uint8_t)text[i] : '?');
}

char *tls_cert_names(const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char ip[ADDR_STRLEN];
	const char *text;
	struct addr addr;
	struct buf b;
	size_t len;

	buf_init(&b, 4096);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS && asn1_text(n->d.dNSName, &text, &len))
			put_name(&b, "DNS", text, len);
		if (n->type != GEN_IPADD)
			continue;
		const ASN1_OCTET_STRING *o = n->d.iPAddress;
		if (addr_from_octets(
			&addr, ASN1_STRING_get0_data(o), (size_t)ASN1_STRING_length(o)) == 0) {
			addr_print(&addr, ip);
			put_name(&b, "IP", ip, strlen(ip));
		}
	}
	GENERAL_NAMES_free(names);
	if (!b.len && common_name(cert, &text, &len))
		put_name(&b, "CN", text, len);
	buf_put_u8(&b, 0);
	if (b.failed)
		buf_clear(&b);
	return (char *)buf_take(&b, &len);
}

char *tls_peer_names(const SSL *ssl)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);

	return cert ? tls_cert_names(cert) : strdup("");
}

uint8_t *tls_peer_cert_der(const SSL *ssl, size_t *len)
{
	const X509 *cert = SSL_get0_peer_certificate(ssl);
	int n = cert ? i2d_X509(cert, NULL) : -1;
	uint8_t *der = n > 0 ? malloc((size_t)n) : NULL;
	uint8_t *p = der;

	if (!der)
		return NULL;
	*len = (size_t)i2d_X509(cert, &p);
	return der;
}
