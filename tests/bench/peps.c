/*
 * peps.c - the load of the fan-out benchmark: N sessions in one thread, each of which
 * answers every decision with a Success report.  The same loop serves both sides of
 * the comparison: `cops' does the whole COPS/TLS opening against copspdpd, `raw' is
 * TLS from the first octet against limit.c; after that nothing differs.
 *
 * Prints one line when all sessions stand ("ready"), then one a round: microseconds
 * from the first decision read to the last report written, and octets received.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "libcops/cops_def.h"
#include "libcops/cops_msg.h"

#define CLIENT_TYPE 0x4001
#define HANDLE	    "\0\0\0\1"
#define IN_MAX	    (1U << 20)

enum stage { ST_PLAIN, ST_TLS, ST_OPENING, ST_READY };

struct pep {
	int fd;
	SSL *ssl;
	enum stage stage;
	uint8_t *in; /* an incomplete message */
	size_t in_len;
	unsigned decisions; /* answered since the first */
	char name[128];
};

struct load {
	bool cops;
	struct sockaddr_in to;
	X509 *ca;
	EVP_PKEY *ca_key;
	EVP_PKEY *key; /* one key pair for all: only the names differ */
	SSL_CTX *tls;
	struct pep *pep;
	unsigned count;
	unsigned ready;
	unsigned answered; /* sessions that answered this round */
	unsigned round;
	uint64_t octets;
	uint64_t first_us;
	uint64_t last_us;
	struct buf rpt; /* built once */
	int epoll;
};

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- certificates: made here, for 1,000 names in well under a second ------------- */

static void ca_load(struct load *l, const char *dir)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	if (!(f = fopen(path, "r")) || !(l->ca = PEM_read_X509(f, NULL, NULL, NULL)))
		die(path);
	fclose(f);
	snprintf(path, sizeof(path), "%s/ca.key", dir);
	if (!(f = fopen(path, "r")) || !(l->ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL)))
		die(path);
	fclose(f);
	l->key = EVP_EC_gen("P-256");
	l->tls = SSL_CTX_new(TLS_client_method());
	if (!l->key || !l->tls || X509_STORE_add_cert(SSL_CTX_get_cert_store(l->tls), l->ca) != 1)
		die("tls");
	SSL_CTX_set_min_proto_version(l->tls, TLS1_3_VERSION);
	SSL_CTX_set_verify(l->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(l->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
}

static X509 *cert_new(const struct load *l, const char *name)
{
	X509 *x = X509_new();
	char san[160];
	X509_EXTENSION *ext;
	uint64_t serial;

	RAND_bytes((unsigned char *)&serial, sizeof(serial));
	snprintf(san, sizeof(san), "DNS:%s", name);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	if (!x || !ext)
		die("certificate");
	X509_set_version(x, 2);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_issuer_name(x, X509_get_subject_name(l->ca));
	X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"pep", -1, -1, 0);
	X509_set_pubkey(x, l->key);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	if (!X509_sign(x, l->ca_key, EVP_sha256()))
		die("sign");
	return x;
}

/* ---- COPS messages ------------------------------------------------------------- */

static void plain_write(const struct pep *p, const struct buf *b)
{
	if (write(p->fd, b->data, b->len) != (ssize_t)b->len)
		die("write");
}

static void tls_write(struct pep *p, const struct buf *b)
{
	if (SSL_write(p->ssl, b->data, (int)b->len) != (int)b->len)
		die("SSL_write");
}

static void opn_put(struct buf *b, const char *name, uint16_t client_type, bool tls)
{
	size_t mark = cops_msg_begin(b, COPS_OP_OPN, false, client_type);

	cops_put_pepid(b, name);
	if (tls)
		cops_put_u16x2(b, COPS_C_INTEGRITY, 2, 0, COPS_TLS_START);
	cops_msg_end(b, mark);
}

static void req_put(struct buf *b)
{
	size_t mark = cops_msg_begin(b, COPS_OP_REQ, false, CLIENT_TYPE);

	cops_put_handle(b, (const uint8_t *)HANDLE, 4);
	cops_put_config_context(b);
	cops_msg_end(b, mark);
}

static void rpt_make(struct load *l)
{
	size_t mark;

	buf_init(&l->rpt, 0);
	mark = cops_msg_begin(&l->rpt, COPS_OP_RPT, true, CLIENT_TYPE);
	cops_put_handle(&l->rpt, (const uint8_t *)HANDLE, 4);
	cops_put_u16x2(&l->rpt, COPS_C_REPORT_TYPE, 1, COPS_RPT_SUCCESS, 0);
	cops_msg_end(&l->rpt, mark);
}

/* ---- one session ------------------------------------------------------------- */

/* Opening is done one session after the other, blocking: it is not what is measured here. */
static void pep_open(struct load *l, struct pep *p)
{
	int one = 1;
	struct buf b;
	uint8_t cat[256];
	X509 *cert = cert_new(l, p->name);

	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&l->to, sizeof(l->to)) < 0)
		die("connect");
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	buf_init(&b, 0);
	if (l->cops) {
		opn_put(&b, p->name, 0, true);
		plain_write(p, &b);
		if (read(p->fd, cat, sizeof(cat)) < COPS_HDR_LEN || cat[1] != COPS_OP_CAT)
			die("no CAT");
	}
	p->ssl = SSL_new(l->tls);
	if (!p->ssl || SSL_use_certificate(p->ssl, cert) != 1 ||
	    SSL_use_PrivateKey(p->ssl, l->key) != 1 || SSL_set_fd(p->ssl, p->fd) != 1 ||
	    SSL_connect(p->ssl) != 1)
		die("handshake");
	X509_free(cert);
	if (l->cops) {
		buf_reset(&b);
		opn_put(&b, p->name, CLIENT_TYPE, false);
		req_put(&b); /* the PDP takes them in order; the CAT is read in the loop */
		tls_write(p, &b);
		p->stage = ST_OPENING;
	} else {
		p->stage = ST_READY;
		l->ready++;
	}
	buf_clear(&b);
	fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

static void round_note(struct load *l, struct pep *p)
{
	l->last_us = now_us();
	if (++p->decisions == l->round + 1 && ++l->answered == l->count) {
		printf("round %u us %llu octets %llu\n", l->round,
		    (unsigned long long)(l->last_us - l->first_us), (unsigned long long)l->octets);
		fflush(stdout);
		l->round++;
		l->answered = 0;
		l->first_us = 0;
		l->octets = 0;
		for (unsigned i = 0; i < l->count; i++)
			l->answered += l->pep[i].decisions > l->round;
	}
}

static void pep_message(struct load *l, struct pep *p, const uint8_t *m, size_t len)
{
	if (m[1] == COPS_OP_CC)
		die("the PDP closed");
	if (m[1] != COPS_OP_DEC)
		return;
	if (p->stage == ST_OPENING) {
		tls_write(p, &l->rpt);
		p->stage = ST_READY;
		l->ready++;
		return;
	}
	if (!l->first_us)
		l->first_us = now_us();
	l->octets += len;
	tls_write(p, &l->rpt);
	round_note(l, p);
}

static size_t messages_take(struct load *l, struct pep *p, const uint8_t *buf, size_t len)
{
	size_t at = 0;

	while (len - at >= COPS_HDR_LEN) {
		size_t need = (size_t)buf[at + 4] << 24 | (size_t)buf[at + 5] << 16 |
			      (size_t)buf[at + 6] << 8 | buf[at + 7];

		if (need > IN_MAX || need < COPS_HDR_LEN)
			die("length");
		if (len - at < need)
			break;
		pep_message(l, p, buf + at, need);
		at += need;
	}
	return at;
}

static void pep_read(struct load *l, struct pep *p)
{
	static uint8_t buf[IN_MAX * 2];
	size_t have = p->in_len;
	int n;

	memcpy(buf, p->in, have);
	while ((n = SSL_read(p->ssl, buf + have, (int)(sizeof(buf) - have))) > 0) {
		size_t used = messages_take(l, p, buf, have + (size_t)n);

		have += (size_t)n - used;
		memmove(buf, buf + used, have);
	}
	if (SSL_get_error(p->ssl, n) != SSL_ERROR_WANT_READ)
		die("connection lost");
	p->in_len = have;
	free(p->in);
	p->in = NULL;
	if (have) {
		if (!(p->in = malloc(have)))
			die("malloc");
		memcpy(p->in, buf, have);
	}
}

static void loop(struct load *l, unsigned rounds)
{
	struct epoll_event ev[256];
	bool told = false;

	while (l->round < rounds) {
		int n;

		if (!told && l->ready == l->count) {
			printf("ready %u\n", l->ready);
			fflush(stdout);
			told = true;
		}
		n = epoll_wait(l->epoll, ev, 256, 60000);
		if (n == 0) {
			fprintf(stderr,
			    "peps: nothing for a minute (round %u, %u of %u answered)\n", l->round,
			    l->answered, l->count);
			exit(1);
		}
		for (int i = 0; i < n; i++)
			pep_read(l, ev[i].data.ptr);
	}
}

int main(int argc, char **argv)
{
	struct load l = {0};

	if (argc != 8) {
		fprintf(
		    stderr, "usage: peps cops|raw ADDRESS PORT CA-DIR NAME-FORMAT COUNT ROUNDS\n");
		return 2;
	}
	l.cops = strcmp(argv[1], "cops") == 0;
	l.to.sin_family = AF_INET;
	l.to.sin_port = htons((uint16_t)atoi(argv[3]));
	inet_pton(AF_INET, argv[2], &l.to.sin_addr);
	ca_load(&l, argv[4]);
	l.count = (unsigned)atoi(argv[6]);
	l.pep = calloc(l.count, sizeof(*l.pep));
	l.epoll = epoll_create1(0);
	rpt_make(&l);
	if (!l.pep || l.epoll < 0)
		die("start");
	for (unsigned i = 0; i < l.count; i++) {
		struct pep *p = &l.pep[i];
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(p->name, sizeof(p->name), argv[5], i + 1);
#pragma GCC diagnostic pop
		pep_open(&l, p);
		if (epoll_ctl(l.epoll, EPOLL_CTL_ADD, p->fd, &e) < 0)
			die("epoll_ctl");
		pep_read(&l, p); /* what came with the handshake */
	}
	loop(&l, (unsigned)atoi(argv[7]));
	return 0;
}
