/*
 * sadb.c - SAs into the kernel: a raw loop that builds one SADB_ADD, sends it and reads
 * the reply, against the same SAs through the PEP's plan and PF_KEY back end (order, shadow,
 * undo list and all).  Runs inside the test kernel (tests/uml/boot), as it needs PF_KEY.
 *
 * usage: sadb raw|plan COUNT
 * Prints SAs, microseconds, SAs a second.
 */
#include <arpa/inet.h>
#include <linux/ipsec.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pep/kern.h"
#include "pep/kplan.h"

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void sa_make(struct kern_sa *sa, unsigned i)
{
	memset(sa, 0, sizeof(*sa));
	sa->id.spi = (i + 1) << 8 | 0x11;
	sa->src.family = sa->id.dst.family = AF_INET;
	memcpy(sa->src.octets, "\12\0\0\0", 4);
	sa->src.octets[2] = (uint8_t)(i >> 8);
	sa->src.octets[3] = (uint8_t)i;
	memcpy(sa->id.dst.octets, "\300\0\2\1", 4);
	sa->mode = KERN_TUNNEL;
	sa->reqid = i % 0x3fff + 1;
	sa->encr = 12;
	sa->integ = 14;
	sa->encr_key_len = 32;
	sa->integ_key_len = 64;
	memset(sa->encr_key, (int)i, 32);
	memset(sa->integ_key, (int)i, 64);
	sa->replay_window = 32;
	sa->hard.seconds = 28800;
	sa->soft.seconds = 23040;
}

/* ---- raw ---------------------------------------------------------------------- */

struct add_msg { /* exactly what goes out, no more */
	struct sadb_msg h;
	struct sadb_sa sa;
	struct sadb_x_sa2 sa2;
	struct sadb_lifetime hard;
	struct sadb_lifetime soft;
	struct sadb_address src;
	struct sockaddr_in src_in;
	struct sadb_address dst;
	struct sockaddr_in dst_in;
	struct sadb_key auth;
	uint8_t auth_key[64];
	struct sadb_key encr;
	uint8_t encr_key[32];
} __attribute__((packed));

#define WORDS(type) (uint16_t)(sizeof(type) / 8)

static void add_make(struct add_msg *m, const struct kern_sa *s, uint32_t seq)
{
	memset(m, 0, sizeof(*m));
	m->h = (struct sadb_msg) {.sadb_msg_version = PF_KEY_V2,
	    .sadb_msg_type = SADB_ADD,
	    .sadb_msg_satype = SADB_SATYPE_ESP,
	    .sadb_msg_len = WORDS(*m),
	    .sadb_msg_seq = seq,
	    .sadb_msg_pid = (uint32_t)getpid()};
	m->sa = (struct sadb_sa) {.sadb_sa_len = 2,
	    .sadb_sa_exttype = SADB_EXT_SA,
	    .sadb_sa_spi = htonl(s->id.spi),
	    .sadb_sa_replay = 32,
	    .sadb_sa_state = SADB_SASTATE_MATURE,
	    .sadb_sa_auth = SADB_X_AALG_SHA2_512HMAC,
	    .sadb_sa_encrypt = SADB_X_EALG_AESCBC};
	m->sa2 = (struct sadb_x_sa2) {.sadb_x_sa2_len = 2,
	    .sadb_x_sa2_exttype = SADB_X_EXT_SA2,
	    .sadb_x_sa2_mode = IPSEC_MODE_TUNNEL,
	    .sadb_x_sa2_reqid = s->reqid};
	m->hard = (struct sadb_lifetime) {.sadb_lifetime_len = 4,
	    .sadb_lifetime_exttype = SADB_EXT_LIFETIME_HARD,
	    .sadb_lifetime_addtime = s->hard.seconds};
	m->soft = (struct sadb_lifetime) {.sadb_lifetime_len = 4,
	    .sadb_lifetime_exttype = SADB_EXT_LIFETIME_SOFT,
	    .sadb_lifetime_addtime = s->soft.seconds};
	m->src = (struct sadb_address) {.sadb_address_len = 3,
	    .sadb_address_exttype = SADB_EXT_ADDRESS_SRC,
	    .sadb_address_prefixlen = 32};
	m->dst = (struct sadb_address) {.sadb_address_len = 3,
	    .sadb_address_exttype = SADB_EXT_ADDRESS_DST,
	    .sadb_address_prefixlen = 32};
	m->src_in.sin_family = m->dst_in.sin_family = AF_INET;
	memcpy(&m->src_in.sin_addr, s->src.octets, 4);
	memcpy(&m->dst_in.sin_addr, s->id.dst.octets, 4);
	m->auth = (struct sadb_key) {
	    .sadb_key_len = 9, .sadb_key_exttype = SADB_EXT_KEY_AUTH, .sadb_key_bits = 512};
	memcpy(m->auth_key, s->integ_key, 64);
	m->encr = (struct sadb_key) {
	    .sadb_key_len = 5, .sadb_key_exttype = SADB_EXT_KEY_ENCRYPT, .sadb_key_bits = 256};
	memcpy(m->encr_key, s->encr_key, 32);
}

static int raw(unsigned count, uint64_t *us)
{
	int fd = socket(PF_KEY, SOCK_RAW, PF_KEY_V2);
	uint8_t in[4096];

	if (fd < 0) {
		perror("PF_KEY");
		return -1;
	}
	*us = now_us();
	for (unsigned i = 0; i < count; i++) {
		struct add_msg m;
		struct sadb_msg r;
		struct kern_sa sa;

		sa_make(&sa, i);
		add_make(&m, &sa, i + 1);
		if (send(fd, &m, sizeof(m), 0) != (ssize_t)sizeof(m) ||
		    recv(fd, in, sizeof(in), 0) < (ssize_t)sizeof(r)) {
			perror("SADB_ADD");
			return -1;
		}
		memcpy(&r, in, sizeof(r));
		if (r.sadb_msg_errno != 0 || r.sadb_msg_seq != i + 1) {
			fprintf(stderr, "SADB_ADD %u: %s\n", i, strerror(r.sadb_msg_errno));
			return -1;
		}
	}
	*us = now_us() - *us;
	close(fd);
	return 0;
}

/* ---- the PEP's way --------------------------------------------------------------- */

/* Opening is left out: the kernel looks for algorithm modules then, once in a daemon's life. */
static int plan(unsigned count, uint64_t *us)
{
	struct kern_fault f = {0};
	struct korigin o = {0};
	struct kern *k = kern_pfkey_ops.open(&f);
	struct kstate *ks = k ? kstate_new(&kern_pfkey_ops, k) : NULL;
	struct kplan *p = ks ? kplan_new(ks) : NULL;
	int rc;

	if (!p) {
		fprintf(stderr, "pfkey: %s\n", f.text);
		return -1;
	}
	*us = now_us();
	for (unsigned i = 0; i < count; i++) {
		struct kern_sa sa;

		sa_make(&sa, i);
		kplan_sa_add(p, &sa, true, &o);
	}
	rc = kplan_apply(p, &f, &o);
	*us = now_us() - *us;
	if (rc != 0)
		fprintf(stderr, "plan: %s\n", f.text);
	kplan_free(p);
	kstate_free(ks);
	kern_pfkey_ops.close(k);
	return rc;
}

int main(int argc, char **argv)
{
	unsigned count;
	uint64_t t = 0;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: sadb raw|plan COUNT\n");
		return 2;
	}
	count = (unsigned)atoi(argv[2]);
	rc = strcmp(argv[1], "raw") == 0 ? raw(count, &t) : plan(count, &t);
	if (rc != 0)
		return 1;
	printf("%u SAs %llu us %.0f /s\n", count, (unsigned long long)t,
	    (double)count * 1e6 / (double)t);
	return 0;
}
