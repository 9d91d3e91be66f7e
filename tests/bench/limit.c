/*
 * limit.c - the limit of the fan-out benchmark: bare epoll and OpenSSL, mutual TLS.  In
 * each round it writes the same octets to N connections and reads N reports; no
 * protocol, no state, no queue.  What this does with the same octets is what the
 * machine can do; copspdpd is held against it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define RPT_LEN 24

struct conn {
	SSL *ssl;
	unsigned got; /* octets of the report */
};

static void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static uint64_t clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static long rss_kb(void)
{
	char line[128];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int listen_on(const char *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 1024) < 0)
		die("listen");
	return fd;
}

static SSL_CTX *tls_new(const char *cert, const char *key, const char *ca)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (!tls || SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(tls, ca, NULL) != 1)
		die("tls");
	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_num_tickets(tls, 0);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	return tls;
}

static void accept_all(int listener, SSL_CTX *tls, int ep, struct conn *c, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &c[i]};
		int one = 1;
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			die("accept");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c[i].ssl = SSL_new(tls);
		SSL_set_fd(c[i].ssl, fd);
		if (SSL_accept(c[i].ssl) != 1)
			die("SSL_accept");
		fcntl(fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	}
}

static void round_run(int ep, struct conn *c, unsigned count, const uint8_t *dec, int len)
{
	struct epoll_event ev[256];
	uint8_t in[4096];
	unsigned left = count;

	for (unsigned i = 0; i < count; i++) {
		c[i].got = 0;
		if (SSL_write(c[i].ssl, dec, len) != len)
			die("SSL_write");
	}
	while (left) {
		int n = epoll_wait(ep, ev, 256, -1);

		for (int i = 0; i < n; i++) {
			struct conn *k = ev[i].data.ptr;
			int r;

			while ((r = SSL_read(k->ssl, in, sizeof(in))) > 0)
				if ((k->got += (unsigned)r) == RPT_LEN)
					left--;
			if (SSL_get_error(k->ssl, r) != SSL_ERROR_WANT_READ)
				die("SSL_read");
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 8) {
		fprintf(stderr, "usage: limit PORT CERT KEY CA COUNT ROUNDS OCTETS\n");
		return 2;
	}
	unsigned count = (unsigned)atoi(argv[5]);
	unsigned rounds = (unsigned)atoi(argv[6]);
	int len = atoi(argv[7]);
	uint8_t *dec = calloc(1, (size_t)len);
	struct conn *c = calloc(count, sizeof(*c));
	int ep = epoll_create1(0);
	int listener = listen_on(argv[1]);
	SSL_CTX *tls = tls_new(argv[2], argv[3], argv[4]);
	long before;

	if (!dec || !c || ep < 0)
		die("start");
	dec[0] = 0x10; /* framed as a DEC: the load reads its length */
	dec[1] = 2;
	for (int i = 0; i < 4; i++)
		dec[4 + i] = (uint8_t)(len >> (24 - 8 * i));
	printf("listening\n");
	fflush(stdout);
	before = rss_kb();
	accept_all(listener, tls, ep, c, count);
	printf("memory octets_per_connection %ld\n", (rss_kb() - before) * 1024 / (long)count);
	for (unsigned r = 0; r < rounds; r++) {
		uint64_t wall = clock_us(CLOCK_MONOTONIC);
		uint64_t cpu = clock_us(CLOCK_PROCESS_CPUTIME_ID);

		round_run(ep, c, count, dec, len);
		printf("round %u us %llu cpu_us %llu\n", r,
		    (unsigned long long)(clock_us(CLOCK_MONOTONIC) - wall),
		    (unsigned long long)(clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu));
		fflush(stdout);
		usleep(50000);
	}
	return 0;
}
