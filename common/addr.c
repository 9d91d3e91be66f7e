/*
 * addr.c - IPv4 and IPv6 addresses and prefixes.  Octets past addr_len() are zero
 * always, so that two values may be compared octet by octet.
 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t addr_len(const struct addr *a)
{
	switch (a->family) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	default:
		return 0;
	}
}

int addr_parse(struct addr *a, const char *s)
{
	*a = (struct addr) {0};
	uint8_t family = strchr(s, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, s, a->octets) != 1) {
		*a = (struct addr) {0};
		return -1;
	}
	a->family = family;
	return 0;
}

/* ":PORT", or nothing. */
static int port_parse(uint16_t *port, const char *s, uint16_t port_default)
{
	unsigned long n;
	char *end;

	*port = port_default;
	if (*s == '\0')
		return 0;
	if (s[0] != ':' || s[1] < '0' || s[1] > '9')
		return -1;
	n = strtoul(s + 1, &end, 10);
	*port = (uint16_t)n;
	return *end != '\0' || n == 0 || n > 65535 ? -1 : 0;
}

int addr_port_parse(struct addr *a, uint16_t *port, const char *s, uint16_t port_default)
{
	bool bracket = *s == '[';
	char host[ADDR_STRLEN];
	size_t len;

	s += bracket;
	if (bracket)
		len = strcspn(s, "]");
	else if (strchr(s, ':') != strrchr(s, ':')) /* IPv6 without a port */
		len = strlen(s);
	else
		len = strcspn(s, ":");
	if (len >= sizeof(host) || (bracket && s[len] != ']'))
		return -1;
	memcpy(host, s, len);
	host[len] = '\0';
	return addr_parse(a, host) == 0 ? port_parse(port, s + len + bracket, port_default) : -1;
}

const char *addr_print(const struct addr *a, char buf[ADDR_STRLEN])
{
	if (!addr_len(a) || !inet_ntop(a->family, a->octets, buf, ADDR_STRLEN))
		strcpy(buf, "-");
	return buf;
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->octets, b->octets, sizeof(a->octets));
}

int addr_from_octets(struct addr *a, const uint8_t *p, size_t len)
{
	*a = (struct addr) {0};
	if (len != 4 && len != 16)
		return -1;
	a->family = len == 4 ? AF_INET : AF_INET6;
	memcpy(a->octets, p, len);
	return 0;
}

int addr_from_sockaddr(struct addr *a, const struct sockaddr *sa)
{
	*a = (struct addr) {0};
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		return addr_from_octets(a, (const uint8_t *)&in.sin_addr, 4);
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		return addr_from_octets(a, in6.sin6_addr.s6_addr, 16);
	}
	return -1;
}

socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&in.sin_addr, a->octets, 4);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&in6.sin6_addr, a->octets, 16);
		memcpy(ss, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

int addr_inet_type(const struct addr *a)
{
	return a->family == AF_INET ? 1 : a->family == AF_INET6 ? 2 : 0;
}

/* The octet of a mask of len bits at index i. */
static uint8_t mask_octet(unsigned len, size_t i)
{
	if (len >= 8 * (i + 1))
		return 0xff;
	if (len <= 8 * i)
		return 0;
	return (uint8_t)(0xff00 >> (len - 8 * i));
}

/* Do the first len bits of a and b agree?  Families must. */
static bool same_bits(const struct addr *a, const struct addr *b, unsigned len)
{
	if (a->family != b->family)
		return false;
	for (size_t i = 0; i < addr_len(a); i++)
		if ((a->octets[i] ^ b->octets[i]) & mask_octet(len, i))
			return false;
	return true;
}

/* Decimal, at most three digits, no sign, no leading zero; -1 if it is anything else. */
static int parse_bits(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > 3 || strspn(s, "0123456789") != n || (n > 1 && s[0] == '0'))
		return -1;
	int v = 0;
	while (*s)
		v = v * 10 + (*s++ - '0');
	return v;
}

enum prefix_fault prefix_parse(struct prefix *p, const char *s)
{
	struct prefix tmp = {0};
	char text[ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	size_t n = slash ? (size_t)(slash - s) : strlen(s);

	*p = tmp;
	if (n >= sizeof(text))
		return PREFIX_SYNTAX;
	memcpy(text, s, n);
	text[n] = '\0';
	if (addr_parse(&tmp.addr, text) < 0)
		return PREFIX_SYNTAX;

	size_t octets = addr_len(&tmp.addr);
	int bits = slash ? parse_bits(slash + 1) : (int)(8 * octets);
	if (bits < 0)
		return PREFIX_SYNTAX;
	if ((size_t)bits > 8 * octets)
		return PREFIX_LEN;
	for (size_t i = 0; i < octets; i++)
		if (tmp.addr.octets[i] & ~mask_octet((unsigned)bits, i))
			return PREFIX_HOST_BITS;
	tmp.len = (uint8_t)bits;
	*p = tmp;
	return PREFIX_OK;
}

const char *prefix_print(const struct prefix *p, char buf[PREFIX_STRLEN])
{
	char text[ADDR_STRLEN];
	snprintf(buf, PREFIX_STRLEN, "%s/%u", addr_print(&p->addr, text), (unsigned)p->len);
	return buf;
}

int prefix_cmp(const struct prefix *a, const struct prefix *b)
{
	int r = addr_cmp(&a->addr, &b->addr);
	return r ? r : (a->len > b->len) - (a->len < b->len);
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	return outer->len <= inner->len && same_bits(&outer->addr, &inner->addr, outer->len);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return same_bits(&a->addr, &b->addr, a->len < b->len ? a->len : b->len);
}

bool prefix_has(const struct prefix *p, const struct addr *a)
{
	return same_bits(&p->addr, a, p->len);
}
