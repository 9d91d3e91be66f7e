/*
 * test_common_tls.c - mutual TLS over a socket pair with certificates made here, and the
 * identity rules of RFC 4261 7.
 */
#include <check.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tls.h"

static char dir[] = "/tmp/tls-test.XXXXXX";
static EVP_PKEY *ca_key;
static X509 *ca_cert;

static char *file(const char *name)
{
	static char path[4][96];
	static int at;
	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", dir, name);
	return path[at];
}

static void extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	ck_assert_ptr_nonnull(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* A certificate for key; san may be NULL.  Signed by the CA, or by itself before there is one. */
static X509 *make(const char *cn, const char *san, EVP_PKEY *key, long serial)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	if (cn)
		X509_NAME_add_entry_by_txt(
		    subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, ca_cert ? X509_get_subject_name(ca_cert) : subject);
	if (!ca_cert)
		extend(cert, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		extend(cert, NID_subject_alt_name, san);
	ck_assert_int_ne(X509_sign(cert, ca_cert ? ca_key : key, EVP_sha256()), 0);
	return cert;
}

/* Certificate and key files NAME.pem and NAME.key. */
static void issue(const char *name, const char *cn, const char *san, long serial)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make(cn, san, key, serial);
	char base[64];

	snprintf(base, sizeof(base), "%s.pem", name);
	FILE *f = fopen(file(base), "w");
	PEM_write_X509(f, cert);
	fclose(f);
	snprintf(base, sizeof(base), "%s.key", name);
	f = fdopen(open(file(base), O_WRONLY | O_CREAT, 0600), "w");
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void write_crl(long revoked)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca_cert));
	X509_CRL_set1_lastUpdate(crl, X509_gmtime_adj(t, -60));
	X509_CRL_set1_nextUpdate(crl, X509_gmtime_adj(t, 3600));
	ASN1_INTEGER_set(serial, revoked);
	X509_REVOKED_set_serialNumber(r, serial);
	X509_REVOKED_set_revocationDate(r, X509_gmtime_adj(t, -30));
	X509_CRL_add0_revoked(crl, r);
	ck_assert_int_ne(X509_CRL_sign(crl, ca_key, EVP_sha256()), 0);
	FILE *f = fopen(file("crl.pem"), "w");
	PEM_write_X509_CRL(f, crl);
	fclose(f);
	X509_CRL_free(crl);
	ASN1_TIME_free(t);
	ASN1_INTEGER_free(serial);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ca_key = EVP_EC_gen("P-256");
	X509 *cert = make("Test CA", NULL, ca_key, 1);
	ca_cert = cert;
	FILE *f = fopen(file("ca.pem"), "w");
	PEM_write_X509(f, ca_cert);
	fclose(f);
	issue("pdp", "pdp", "DNS:pdp.example.net,IP:192.0.2.1", 2);
	issue("ce", "ce", "DNS:ce1.example.net", 3);
	write_crl(77);
}

static void teardown(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
	X509_free(ca_cert);
	EVP_PKEY_free(ca_key);
}

/* ------------------------------------------------------------------ handshakes */

struct pair {
	SSL_CTX *server_ctx, *client_ctx;
	SSL *server, *client;
	int fd[2];
	bool up;
};

static void pair_clear(struct pair *p)
{
	SSL_free(p->server);
	SSL_free(p->client);
	SSL_CTX_free(p->server_ctx);
	SSL_CTX_free(p->client_ctx);
	close(p->fd[0]);
	close(p->fd[1]);
}

/* Both ends step by turns; up only if both say so and an octet passed each way. */
static void handshake(struct pair *p)
{
	int s = 0, c = 0;
	char octet;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
	p->server = SSL_new(p->server_ctx);
	p->client = SSL_new(p->client_ctx);
	SSL_set_fd(p->server, p->fd[0]);
	SSL_set_fd(p->client, p->fd[1]);
	for (int i = 0; i < 10 && (s != 1 || c != 1); i++) {
		c = c == 1 ? 1 : SSL_connect(p->client);
		s = s == 1 ? 1 : SSL_accept(p->server);
	}
	p->up = s == 1 && c == 1 && SSL_write(p->client, "x", 1) == 1 &&
		SSL_read(p->server, &octet, 1) == 1 && SSL_write(p->server, "y", 1) == 1 &&
		SSL_read(p->client, &octet, 1) == 1;
}

static void pair_init(struct pair *p, const char *client, const char *crl)
{
	char err[TLS_ERR_LEN], cert[64], key[64];

	*p = (struct pair) {0};
	snprintf(cert, sizeof(cert), "%s.pem", client);
	snprintf(key, sizeof(key), "%s.key", client);
	p->server_ctx = tls_server_ctx_new(
	    file("pdp.pem"), file("pdp.key"), file("ca.pem"), crl ? file(crl) : NULL, err);
	ck_assert_msg(p->server_ctx != NULL, "%s", err);
	p->client_ctx = tls_client_ctx_new(file(cert), file(key), file("ca.pem"), NULL, err);
	ck_assert_msg(p->client_ctx != NULL, "%s", err);
}

START_TEST(row44_mutual)
{
	struct pair p;
	size_t len;

	pair_init(&p, "ce", NULL);
	handshake(&p);
	ck_assert(p.up);
	ck_assert_str_eq(SSL_get_version(p.client), "TLSv1.3");
	ck_assert(
	    tls_peer_is(p.server, "ce1.example.net") && tls_peer_is(p.server, "CE1.Example.NET"));
	ck_assert(!tls_peer_is(p.server, "ce2.example.net") && !tls_peer_is(p.server, "ce"));
	ck_assert(tls_peer_is(p.client, "192.0.2.1") && tls_peer_is(p.client, "pdp.example.net"));
	char *names = tls_peer_names(p.client);
	ck_assert_str_eq(names, "DNS:pdp.example.net, IP:192.0.2.1");
	free(names);
	uint8_t *der = tls_peer_cert_der(p.server, &len);
	const uint8_t *q = der;
	X509 *cert = d2i_X509(NULL, &q, (long)len);
	ck_assert_ptr_nonnull(cert);
	ck_assert(tls_cert_is(cert, "ce1.example.net"));
	X509_free(cert);
	free(der);
	pair_clear(&p);
}
END_TEST

START_TEST(row46_old_versions_refused)
{
	struct pair p;

	pair_init(&p, "ce", NULL);
	SSL_CTX_set_max_proto_version(p.client_ctx, TLS1_2_VERSION);
	handshake(&p);
	ck_assert(p.up);
	ck_assert_int_eq(SSL_CIPHER_is_aead(SSL_get_current_cipher(p.client)), 1);
	pair_clear(&p);

	pair_init(&p, "ce", NULL);
	SSL_CTX_set_max_proto_version(p.client_ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(p.client_ctx, "ECDHE-ECDSA-AES256-SHA384:AES256-SHA");
	handshake(&p);
	ck_assert(!p.up);
	pair_clear(&p);

	pair_init(&p, "ce", NULL);
	SSL_CTX_set_min_proto_version(p.client_ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(p.client_ctx, TLS1_1_VERSION);
	SSL_CTX_set_security_level(p.client_ctx, 0);
	SSL_CTX_set_cipher_list(p.client_ctx, "ALL");
	handshake(&p);
	ck_assert(!p.up);
	pair_clear(&p);
}
END_TEST

START_TEST(row44_strangers_are_refused)
{
	struct pair p;

	/* No certificate. */
	pair_init(&p, "ce", NULL);
	SSL_CTX_free(p.client_ctx);
	p.client_ctx = SSL_CTX_new(TLS_client_method());
	handshake(&p);
	ck_assert(!p.up);
	pair_clear(&p);

	/* One of another CA of the same name. */
	EVP_PKEY *key = ca_key;
	ca_key = EVP_EC_gen("P-256");
	issue("stranger", "ce", "DNS:ce1.example.net", 9);
	EVP_PKEY_free(ca_key);
	ca_key = key;
	pair_init(&p, "stranger", NULL);
	handshake(&p);
	ck_assert(!p.up);
	ck_assert(!tls_peer_is(p.server, "ce1.example.net"));
	pair_clear(&p);
}
END_TEST

START_TEST(revoked)
{
	struct pair p;

	pair_init(&p, "ce", "crl.pem");
	handshake(&p);
	ck_assert(p.up);
	pair_clear(&p);
	write_crl(3);
	pair_init(&p, "ce", "crl.pem");
	handshake(&p);
	ck_assert(!p.up);
	pair_clear(&p);
}
END_TEST

START_TEST(bad_files)
{
	char err[TLS_ERR_LEN];

	ck_assert_int_eq(chmod(file("ce.key"), 0644), 0);
	ck_assert_ptr_null(
	    tls_client_ctx_new(file("ce.pem"), file("ce.key"), file("ca.pem"), NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "chmod 600"));
	ck_assert_int_eq(chmod(file("ce.key"), 0640), 0);
	SSL_CTX *ok = tls_client_ctx_new(file("ce.pem"), file("ce.key"), file("ca.pem"), NULL, err);
	ck_assert_ptr_nonnull(ok);
	SSL_CTX_free(ok);
	ck_assert_ptr_null(
	    tls_client_ctx_new(file("ce.pem"), file("pdp.key"), file("ca.pem"), NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "key values mismatch"));
	ck_assert_ptr_null(
	    tls_client_ctx_new(file("no.pem"), file("ce.key"), file("ca.pem"), NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "no.pem"));
	ck_assert_ptr_null(
	    tls_client_ctx_new(file("ce.pem"), file("no.key"), file("ca.pem"), NULL, err));
	ck_assert_ptr_nonnull(strstr(err, "No such file"));
	ck_assert_ptr_null(
	    tls_server_ctx_new(file("ce.pem"), file("ce.key"), "/dev/null", NULL, err));
	ck_assert_ptr_null(
	    tls_server_ctx_new(file("ce.pem"), file("ce.key"), file("ca.pem"), file("no"), err));
}
END_TEST

START_TEST(row41_row42_identity_rules)
{
	static const struct {
		const char *cn, *san, *name;
		bool want;
	} rows[] = {
	    {"ce1.example.net", NULL, "ce1.example.net", true}, /* CN only as a fallback */
	    {"ce1.example.net", "DNS:other.example.net", "ce1.example.net", false},
	    {"ce1.example.net", "IP:192.0.2.7", "ce1.example.net", false},
	    {"ce1.example.net", "email:a@b.example", "ce1.example.net", true},
	    {"192.0.2.7", NULL, "192.0.2.7", false}, /* an address needs an iPAddress */
	    {"x", "DNS:192.0.2.7", "192.0.2.7", false},
	    {"x", "IP:192.0.2.7", "192.0.2.7", true},
	    {"x", "IP:2001:db8::7", "2001:db8:0::7", true},
	    {"x", "DNS:a.example.net,DNS:b.example.net", "b.example.net", true},
	    {"x", "DNS:*.example.net", "b.example.net", false}, /* one certificate, one name */
	    {"x", "DNS:*.example.net", "*.example.net", false},
	    {"x", "DNS:*.example.net", "example.net", false},
	    {"x", "DNS:*.example.net", "a.b.example.net", false},
	    {"x", "DNS:*.example.net", ".example.net", false},
	    {"x", "DNS:*.net", "example.net", false},
	    {"x", "DNS:b*.example.net", "bb.example.net", false},
	    {"x", "DNS:*", "x", false},
	    {"x", "DNS:ce1.example.net", "", false},
	    {NULL, NULL, "x", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509 *cert = make(rows[i].cn, rows[i].san, ca_key, 5);
		ck_assert_msg(tls_cert_is(cert, rows[i].name) == rows[i].want, "row %zu", i);
		X509_free(cert);
	}
	X509 *cert = make("only a name", NULL, ca_key, 5);
	char *names = tls_cert_names(cert);
	ck_assert_str_eq(names, "CN:only?a?name");
	free(names);
	X509_free(cert);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("common_tls");
	TCase *t = tcase_create("tls");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, row44_mutual);
	tcase_add_test(t, row46_old_versions_refused);
	tcase_add_test(t, row44_strangers_are_refused);
	tcase_add_test(t, revoked);
	tcase_add_test(t, bad_files);
	tcase_add_test(t, row41_row42_identity_rules);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
