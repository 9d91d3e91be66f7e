/*
 * kern_pfkey_msg.h - PF_KEY v2 messages as octets (RFC 2367, Linux extensions): one
 * parser that checks every length and indexes the extensions, and puts that append one
 * extension each.  No socket, no state.
 */
#ifndef PEP_KERN_PFKEY_MSG_H
#define PEP_KERN_PFKEY_MSG_H

#include <linux/ipsec.h>
#include <linux/pfkeyv2.h>

#include "pep/kern.h"

/* A message received: a view that borrows the octets. Absent extensions are NULL. */
struct pfkey_msg {
	const struct sadb_msg *hdr;
	union {
		const struct sadb_ext *ext[SADB_EXT_MAX + 1]; /* by extension type */
		struct {
			const void *reserved;
			const struct sadb_sa *sa;
			const struct sadb_lifetime *current;
			const struct sadb_lifetime *hard;
			const struct sadb_lifetime *soft;
			const struct sadb_address *src;
			const struct sadb_address *dst;
			const struct sadb_address *proxy;
			const struct sadb_key *key_auth;
			const struct sadb_key *key_encrypt;
			const struct sadb_ident *ident_src;
			const struct sadb_ident *ident_dst;
			const struct sadb_sens *sensitivity;
			const struct sadb_prop *proposal;
			const struct sadb_supported *supported_auth;
			const struct sadb_supported *supported_encrypt;
			const struct sadb_spirange *spirange;
			const struct sadb_x_kmprivate *kmprivate;
			const struct sadb_x_policy *policy;
			const struct sadb_x_sa2 *sa2;
			const struct sadb_x_nat_t_type *nat_type;
			const struct sadb_x_nat_t_port *nat_sport;
			const struct sadb_x_nat_t_port *nat_dport;
		};
	};
};

/*
 * Parse exactly one message of len octets at buf (8-octet aligned).  Refuses bad lengths,
 * duplicates and leftovers; skips extensions it does not know. 0 or -1.
 */
int pfkey_msg_parse(struct pfkey_msg *m, const void *buf, size_t len);
/* An address extension's address and port. 0, or -1: none or malformed. */
int pfkey_msg_addr(const struct sadb_address *x, struct addr *a, uint16_t *port);
/* What a message tells.  0, or -1: an extension it needs is absent or malformed. */
int pfkey_msg_sa(const struct pfkey_msg *m, struct kern_sa_state *s);
int pfkey_msg_sa_id(const struct pfkey_msg *m, struct kern_sa_id *id);
/* The ports of a message's encapsulation; none: zeros. */
struct kern_encap pfkey_msg_encap(const struct pfkey_msg *m);
int pfkey_msg_policy(const struct pfkey_msg *m, struct kern_policy *p);

/* A message being built; with keys in it, pfkey_build_wipe() after use. */
struct pfkey_build {
	size_t len; /* octets */
	union {
		struct sadb_msg hdr;
		uint8_t octet[1024]; /* enough for any message of ours */
		uint64_t align;
	};
};

void pfkey_build_begin(
    struct pfkey_build *b, uint8_t type, uint8_t satype, uint32_t seq, uint32_t pid);
void pfkey_build_end(struct pfkey_build *b); /* fills in the length */
void pfkey_build_wipe(struct pfkey_build *b);
/* The message m, which shows an SA, as type and with other ports.  -1: no encap, or too long. */
int pfkey_build_ports(struct pfkey_build *b, const struct pfkey_msg *m, uint8_t type,
    struct kern_encap e, uint32_t seq, uint32_t pid);
void pfkey_put_sa(
    struct pfkey_build *b, uint32_t spi, uint8_t replay, uint8_t auth, uint8_t encrypt);
void pfkey_put_sa2(struct pfkey_build *b, enum kern_mode mode, uint32_t reqid);
void pfkey_put_lifetime(struct pfkey_build *b, uint16_t exttype, const struct kern_lifetime *l);
/* proto 255 = any */
void pfkey_put_encap(struct pfkey_build *b, struct kern_encap e); /* nothing, if there is none */
void pfkey_put_addr(struct pfkey_build *b, uint16_t exttype, const struct addr *a, uint8_t len,
    uint8_t proto, uint16_t port);
void pfkey_put_key(struct pfkey_build *b, uint16_t exttype, const uint8_t *key, size_t len);
void pfkey_put_policy(struct pfkey_build *b, const struct kern_policy *p);
/* Selector of p and its direction, as SPDDELETE wants them. */
void pfkey_put_selector(struct pfkey_build *b, const struct kern_selector *sel);
void pfkey_put_policy_dir(struct pfkey_build *b, enum kern_dir dir);
void pfkey_put_policy_id(struct pfkey_build *b, uint32_t id);

#endif
