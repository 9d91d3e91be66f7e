/*
 * pki.c - the small CA.  Every file is written under a temporary name and moved into
 * place whole, key before certificate: a certificate that is there has its key beside it.
 */
#include "copsctl/pki.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LEN	253 /* RFC 1035 2.3.4, as text */
#define COMMON_NAME_MAX 64  /* X.520 ub-common-name */
#define PATH_LEN	1024
#define BACKDATE_S	3600 /* clocks of CEs differ */

struct ext {
	int nid;
	const char *value;
};

static const struct ext ca_ext[] = {
    {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"},
    {0, NULL},
};

static const struct ext leaf_ext[] = {
    {NID_basic_constraints, "critical,CA:FALSE"},
    {NID_key_usage, "critical,digitalSignature"},
    {NID_subject_key_identifier, "hash"},
    {NID_authority_key_identifier, "keyid:always"},
    {0, NULL},
};

static const char *const kind_name[] = {[PKI_CE] = "ce", [PKI_PDP] = "pdp"};
static const char *const kind_eku[] = {[PKI_CE] = "clientAuth", [PKI_PDP] = "serverAuth"};

struct paths { /* of one identity */
	char cert[PATH_LEN];
	char key[PATH_LEN];
};

static enum pki_result fail(char *text, size_t len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum pki_result fail(char *text, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, len, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return PKI_FAILED;
}

static int paths_init(struct paths *p, const char *dir, const char *name)
{
	int a = snprintf(p->cert, sizeof(p->cert), "%s/%s.pem", dir, name);
	int b = snprintf(p->key, sizeof(p->key), "%s/%s.key", dir, name);

	return a < (int)sizeof(p->cert) && b < (int)sizeof(p->key) ? 0 : -1;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Lower-case name into out if it is a host name (RFC 1123 2.1); it becomes a file's name too. */
static bool name_take(const char *name, char out[NAME_MAX_LEN + 1])
{
	size_t len = strlen(name);
	size_t label = 0;

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool edge = label == 0 || i + 1 == len || name[i + 1] == '.';

		if (c == '.') {
			if (label == 0 || i + 1 == len)
				return false;
			label = 0;
		} else if (isascii(c) && (isalnum(c) || (c == '-' && !edge)) && label < 63) {
			label++;
		} else {
			return false;
		}
		out[i] = (char)tolower(c);
	}
	out[len] = '\0';
	return strcmp(out, "ca") != 0; /* the CA's own files */
}

/* ---- files --------------------------------------------------------------- */

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return fsync(fd);
}

/* Put the memory BIO's text at path in one step, with exactly this mode. */
static int file_put(const char *path, BIO *text, mode_t mode)
{
	char tmp[PATH_LEN + 8];
	char *p;
	long n = BIO_get_mem_data(text, &p);
	int fd = -1;
	int rc = -1;

	snprintf(tmp, sizeof(tmp), "%s.new", path);
	if (unlink(tmp) < 0 && errno != ENOENT)
		return -1;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -1;
	rc = fchmod(fd, mode) < 0 || write_all(fd, p, (size_t)n) < 0 ? -1 : 0;
	if (close(fd) < 0 || (rc == 0 && rename(tmp, path) < 0))
		rc = -1;
	if (rc < 0) {
		int saved = errno;

		unlink(tmp);
		errno = saved;
	}
	return rc;
}

static int pair_write(const struct paths *p, X509 *cert, EVP_PKEY *key, char *text, size_t len)
{
	BIO *cert_pem = BIO_new(BIO_s_mem());
	BIO *key_pem = BIO_new(BIO_s_secmem());
	int rc = -1;

	if (!cert_pem || !key_pem || !PEM_write_bio_X509(cert_pem, cert) ||
	    !PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL)) {
		fail(text, len, "cannot write key and certificate as PEM");
	} else if (file_put(p->key, key_pem, 0600) < 0) {
		fail(text, len, "%s: %s", p->key, strerror(errno));
	} else if (file_put(p->cert, cert_pem, 0644) < 0) {
		fail(text, len, "%s: %s", p->cert, strerror(errno));
	} else {
		rc = 0;
	}
	BIO_free(cert_pem);
	BIO_free(key_pem);
	return rc;
}

static X509 *cert_read(const char *path)
{
	BIO *in = BIO_new_file(path, "r");
	X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

	BIO_free(in);
	ERR_clear_error();
	return cert;
}

/* An encrypted key is not ours: never ask for a passphrase on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static EVP_PKEY *key_read(const char *path)
{
	BIO *in = BIO_new_file(path, "r");
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;

	BIO_free(in);
	ERR_clear_error();
	return key;
}

/* ---- certificates -------------------------------------------------------- */

static int serial_set(X509 *cert)
{
	BIGNUM *n = BN_new();
	int ok = n && BN_rand(n, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		 BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

	BN_free(n);
	return ok ? 0 : -1;
}

static int ext_add(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	int ok = e && X509_add_ext(cert, e, -1);

	X509_EXTENSION_free(e);
	return ok ? 0 : -1;
}

static int subject_set(X509 *cert, const char *organization, const char *common)
{
	X509_NAME *n = X509_get_subject_name(cert);
	const unsigned char *o = (const unsigned char *)organization;
	const unsigned char *cn = (const unsigned char *)common;

	if (!X509_NAME_add_entry_by_NID(n, NID_organizationName, MBSTRING_ASC, o, -1, -1, 0))
		return -1;
	if (strlen(common) <= COMMON_NAME_MAX &&
	    !X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_ASC, cn, -1, -1, 0))
		return -1;
	return 0;
}

/* An unsigned certificate: version, serial, subject, validity, key and the listed extensions. */
static X509 *cert_draft(
    const char *common, unsigned days, EVP_PKEY *key, X509 *issuer, const struct ext *ext)
{
	X509 *cert = X509_new();
	X509V3_CTX ctx;

	if (!cert || !X509_set_version(cert, X509_VERSION_3) || serial_set(cert) < 0 ||
	    subject_set(cert, "copsvpn", common) < 0 ||
	    !X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_S) ||
	    !X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL) ||
	    !X509_set_pubkey(cert, key))
		goto bad;
	X509V3_set_ctx(&ctx, issuer ? issuer : cert, cert, NULL, NULL, 0);
	for (; ext->nid; ext++) {
		if (ext_add(cert, &ctx, ext->nid, ext->value) < 0)
			goto bad;
	}
	return cert;
bad:
	X509_free(cert);
	return NULL;
}

static int leaf_names_add(X509 *cert, X509 *ca, const char *name, const struct pki_request *req)
{
	char san[NAME_MAX_LEN + ADDR_STRLEN + 32];
	char text[ADDR_STRLEN];
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, ca, cert, NULL, NULL, 0);
	if (req->address.family)
		snprintf(san, sizeof(san), "DNS:%s,IP:%s", name, addr_print(&req->address, text));
	else
		snprintf(san, sizeof(san), "DNS:%s", name);
	return ext_add(cert, &ctx, NID_subject_alt_name, san) < 0 ||
		       ext_add(cert, &ctx, NID_ext_key_usage, kind_eku[req->kind]) < 0
		   ? -1
		   : 0;
}

static enum pki_kind cert_kind(X509 *cert)
{
	return X509_get_extended_key_usage(cert) & XKU_SSL_SERVER ? PKI_PDP : PKI_CE;
}

/* The SAN's first dNSName and iPAddress; empty when it has none. */
static void cert_names(X509 *cert, char name[NAME_MAX_LEN + 1], struct addr *address)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	name[0] = '\0';
	*address = (struct addr) {0};
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
		const ASN1_STRING *s = g->d.ia5;

		if (g->type == GEN_DNS && !name[0] && ASN1_STRING_length(s) <= NAME_MAX_LEN)
			snprintf(name, NAME_MAX_LEN + 1, "%.*s", ASN1_STRING_length(s),
			    (const char *)ASN1_STRING_get0_data(s));
		else if (g->type == GEN_IPADD && !address->family)
			addr_from_octets(
			    address, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	}
	GENERAL_NAMES_free(all);
}

static void cert_until(X509 *cert, char *out, size_t len)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) || !strftime(out, len, "%F", &tm))
		snprintf(out, len, "?");
}

static bool cert_expired(X509 *cert)
{
	return X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0;
}

/* The request would make what is there already: same identity, kind and address, this CA. */
static bool cert_matches(X509 *cert, X509 *ca, const char *name, const struct pki_request *req)
{
	char have[NAME_MAX_LEN + 1];
	struct addr address;

	cert_names(cert, have, &address);
	return strcmp(have, name) == 0 && cert_kind(cert) == req->kind &&
	       addr_cmp(&address, &req->address) == 0 && !cert_expired(cert) &&
	       X509_verify(cert, X509_get0_pubkey(ca)) == 1;
}

/* ---- the three verbs ----------------------------------------------------- */

enum pki_result pki_init(const char *dir, bool force, char *text, size_t len)
{
	enum pki_result result = PKI_FAILED;
	struct paths p;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	char until[32];

	if (paths_init(&p, dir, "ca") < 0)
		return fail(text, len, "the directory's name is too long");
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return fail(text, len, "%s: %s", dir, strerror(errno));
	if (!force && (is_there(p.cert) || is_there(p.key))) {
		cert = cert_read(p.cert);
		key = key_read(p.key);
		if (!cert || !key || X509_check_private_key(cert, key) != 1) {
			fail(text, len,
			    "%s and %s are not a CA's certificate and its key; "
			    "--force replaces them",
			    p.cert, p.key);
			goto out;
		}
		cert_until(cert, until, sizeof(until));
		snprintf(text, len, "CA %s is there already, valid until %s; nothing was changed",
		    p.cert, until);
		result = PKI_UNCHANGED;
		goto out;
	}

	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	cert = key ? cert_draft("copsvpn CA", PKI_CA_DAYS, key, NULL, ca_ext) : NULL;
	if (!cert || !X509_sign(cert, key, EVP_sha256())) {
		fail(text, len, "cannot make a CA certificate");
		goto out;
	}
	if (pair_write(&p, cert, key, text, len) < 0)
		goto out;
	cert_until(cert, until, sizeof(until));
	snprintf(text, len, "CA %s made, valid until %s; its key is %s", p.cert, until, p.key);
	result = PKI_DONE;
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return result;
}

static enum pki_result leaf_make(const struct paths *p, const char *name, X509 *ca,
    EVP_PKEY *ca_key, const struct pki_request *req, char *text, size_t len)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *cert = key ? cert_draft(name, req->days, key, ca, leaf_ext) : NULL;
	enum pki_result result = PKI_FAILED;
	char until[32];

	if (!cert || leaf_names_add(cert, ca, name, req) < 0 ||
	    !X509_sign(cert, ca_key, EVP_sha256())) {
		fail(text, len, "cannot make a certificate for %s", name);
	} else if (pair_write(p, cert, key, text, len) == 0) {
		cert_until(cert, until, sizeof(until));
		snprintf(text, len, "certificate %s for %s %s made, valid until %s; its key is %s",
		    p->cert, kind_name[req->kind], name, until, p->key);
		result = PKI_DONE;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return result;
}

/* What is there under the name already?  PKI_DONE: nothing, or it may be replaced. */
static enum pki_result leaf_present(const struct paths *p, const char *name, X509 *ca,
    const struct pki_request *req, char *text, size_t len)
{
	if (req->force || (!is_there(p->cert) && !is_there(p->key)))
		return PKI_DONE;

	enum pki_result result = PKI_UNCHANGED;
	X509 *cert = cert_read(p->cert);
	EVP_PKEY *key = key_read(p->key);
	char until[32];

	if (cert && key && X509_check_private_key(cert, key) == 1 &&
	    cert_matches(cert, ca, name, req)) {
		cert_until(cert, until, sizeof(until));
		snprintf(text, len,
		    "certificate %s for %s %s is there already, valid until %s; "
		    "nothing was changed",
		    p->cert, kind_name[req->kind], name, until);
	} else {
		result = fail(text, len,
		    "%s is there already and is not what was asked for (other kind, address or "
		    "CA, expired, or its key is missing); --force replaces it",
		    is_there(p->cert) ? p->cert : p->key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return result;
}

enum pki_result pki_issue(const char *dir, const struct pki_request *req, char *text, size_t len)
{
	enum pki_result result = PKI_FAILED;
	char name[NAME_MAX_LEN + 1];
	struct paths ca_paths;
	struct paths p;

	if (!name_take(req->name, name))
		return fail(
		    text, len, "\"%s\" is not a host name (letters, digits, '-', '.')", req->name);
	if (paths_init(&ca_paths, dir, "ca") < 0 || paths_init(&p, dir, name) < 0)
		return fail(text, len, "the directory's name is too long");

	X509 *ca = cert_read(ca_paths.cert);
	EVP_PKEY *ca_key = key_read(ca_paths.key);
	if (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1) {
		fail(text, len, "no CA in %s (make one: copsctl pki init %s)", dir, dir);
		goto out;
	}
	result = leaf_present(&p, name, ca, req, text, len);
	if (result == PKI_DONE)
		result = leaf_make(&p, name, ca, ca_key, req, text, len);
out:
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	ERR_clear_error();
	return result;
}

static json_t *cert_json(X509 *cert, const char *file)
{
	char name[NAME_MAX_LEN + 1];
	char until[32];
	char print[EVP_MAX_MD_SIZE * 2 + 1] = "";
	char text[ADDR_STRLEN] = "";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned md_len = 0;
	struct addr address;

	cert_names(cert, name, &address);
	cert_until(cert, until, sizeof(until));
	if (X509_digest(cert, EVP_sha256(), md, &md_len)) {
		for (unsigned i = 0; i < md_len; i++)
			snprintf(print + 2 * i, 3, "%02x", md[i]);
	}
	if (address.family)
		addr_print(&address, text);
	bool ca = X509_check_ca(cert);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "name", ca ? "CA" : name, "kind",
	    ca ? "ca" : kind_name[cert_kind(cert)], "address", text, "until", until, "expired",
	    cert_expired(cert), "file", file, "sha256", print);
}

static int is_certificate(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot && strcmp(dot, ".pem") == 0;
}

json_t *pki_list(const char *dir, char *text, size_t len)
{
	struct dirent **entry = NULL;
	int n = scandir(dir, &entry, is_certificate, alphasort);
	json_t *list = json_array();

	if (n < 0)
		fail(text, len, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char path[PATH_LEN];
		X509 *cert = NULL;

		if (snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name) < PATH_LEN)
			cert = cert_read(path);
		if (cert)
			json_array_append_new(list, cert_json(cert, path));
		X509_free(cert);
		free(entry[i]);
	}
	free(entry);
	if (n < 0) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:o}", "certificates", list);
}
