/*
 * addr.h - IPv4 and IPv6 addresses and prefixes as plain values: parse, print,
 * compare.  No sockets, no names.
 */
#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	uint8_t family;	    /* AF_INET, AF_INET6, or 0 = none */
	uint8_t octets[16]; /* network order; 4 used for AF_INET, the rest zero */
};

struct prefix {
	struct addr addr; /* host bits are zero */
	uint8_t len;	  /* bits */
};

#define ADDR_STRLEN   46
#define PREFIX_STRLEN 50

size_t addr_len(const struct addr *a);	       /* octets: 4, 16, or 0 */
int addr_parse(struct addr *a, const char *s); /* 0, or -1: not a numeric address */
/* "192.0.2.1", "192.0.2.1:3288", "2001:db8::1", "[2001:db8::1]:3288".  0, or -1. */
int addr_port_parse(struct addr *a, uint16_t *port, const char *s, uint16_t port_default);
const char *addr_print(const struct addr *a, char buf[ADDR_STRLEN]);
int addr_cmp(const struct addr *a, const struct addr *b); /* total order, family first */
/* From the wire: len must be 4 or 16.  0 or -1. */
int addr_from_octets(struct addr *a, const uint8_t *p, size_t len);
int addr_from_sockaddr(struct addr *a, const struct sockaddr *sa);
/* Fills ss with address and port (host order); returns its length. */
socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss);
/* RFC 4001 InetAddressType: ipv4(1), ipv6(2), unknown(0). */
int addr_inet_type(const struct addr *a);

/* "10.1.0.0/16", "2001:db8::/32"; a bare address is a host prefix. */
enum prefix_fault { PREFIX_OK, PREFIX_SYNTAX, PREFIX_LEN, PREFIX_HOST_BITS };
enum prefix_fault prefix_parse(struct prefix *p, const char *s);
const char *prefix_print(const struct prefix *p, char buf[PREFIX_STRLEN]);
int prefix_cmp(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool prefix_has(const struct prefix *p, const struct addr *a);

#endif
