/*
 * spd_lockdown.c - SPD entries of lockdown (pep.conf(5)): everything is discarded but what
 * other entries say, and below all of them but the discards are those without which a host
 * finds neither its neighbours nor its policy server.
 *
 * Packets that are forwarded meet FWD first, and nothing here lets them pass: what is exempt by
 * OUT and IN is the host's own.
 */
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include "pep/spd.h"

#define IN_  (1U << KERN_IN)
#define OUT_ (1U << KERN_OUT)
#define BOTH (IN_ | OUT_)
#define DIRS (BOTH | 1U << KERN_FWD)

/* Neighbour discovery is bypassed anyway: spd_neighbours().  Of ICMP, a selector's source port is
 * the type and its destination port the code. */
static const struct exempt {
	unsigned dirs;
	uint8_t family;
	uint8_t proto;
	uint16_t sport;
	uint16_t dport;
} exempts[] = {
    {IN_, AF_INET, IPPROTO_ICMP, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED}, /* path MTU */
    {OUT_, AF_INET, IPPROTO_UDP, 68, 67},			       /* DHCP: an address */
    {IN_, AF_INET, IPPROTO_UDP, 67, 68},
    {IN_, AF_INET6, IPPROTO_ICMPV6, ICMP6_PACKET_TOO_BIG, 0},
    {OUT_, AF_INET6, IPPROTO_UDP, 546, 547}, /* DHCPv6 */
    {IN_, AF_INET6, IPPROTO_UDP, 547, 546},
};

static const uint8_t families[] = {AF_INET, AF_INET6};

static struct prefix any(uint8_t family)
{
	return (struct prefix) {.addr.family = family};
}

static void put(struct spd *s, unsigned dirs, const struct kern_selector *sel,
    enum kern_action action, enum spd_rank rank)
{
	for (int dir = KERN_IN; dir <= KERN_FWD; dir++) {
		struct kern_policy p = {.sel = *sel, .action = action};

		if ((dirs & 1U << dir) == 0)
			continue;
		p.sel.dir = (enum kern_dir)dir;
		p.priority = spd_priority(&p.sel, rank);
		spd_add(s, &p, 0);
	}
}

static void loopback(struct spd *s)
{
	struct kern_selector sel = {0};

	/* The kernel leaves IPv4's alone by itself. */
	addr_parse(&sel.src.addr, "::1");
	sel.src.len = 128;
	sel.dst = sel.src;
	put(s, BOTH, &sel, KERN_BYPASS, SPD_EXEMPT);
}

/* One protocol.  (Never any: a VPN's own entries are of any, and one selector is one entry.) */
static void exempt(struct spd *s, const struct prefix *far, uint8_t proto, uint16_t port)
{
	struct kern_selector out = {.src = any(far->addr.family), .dst = *far, .proto = proto};
	struct kern_selector in = {.src = *far, .dst = any(far->addr.family), .proto = proto};

	out.dport = port;
	in.sport = port;
	put(s, OUT_, &out, KERN_BYPASS, SPD_EXEMPT);
	put(s, IN_, &in, KERN_BYPASS, SPD_EXEMPT);
	if (port == 0)
		return;
	out.dport = in.sport = 0;
	out.sport = in.dport = port;
	put(s, OUT_, &out, KERN_BYPASS, SPD_EXEMPT);
	put(s, IN_, &in, KERN_BYPASS, SPD_EXEMPT);
}

void spd_exempt(struct spd *s, const struct prefix *far, uint8_t proto, uint16_t port)
{
	const uint8_t icmp = far->addr.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (proto == 0 || proto == IPPROTO_ICMP)
		exempt(s, far, icmp, 0);
	if (proto == 0 || proto == IPPROTO_TCP)
		exempt(s, far, IPPROTO_TCP, port);
	if (proto == 0 || proto == IPPROTO_UDP)
		exempt(s, far, IPPROTO_UDP, port);
}

void spd_lockdown(struct spd *s)
{
	loopback(s);
	for (size_t i = 0; i < sizeof(exempts) / sizeof(exempts[0]); i++) {
		const struct exempt *e = &exempts[i];
		struct kern_selector sel = {.src = any(e->family),
		    .dst = any(e->family),
		    .proto = e->proto,
		    .sport = e->sport,
		    .dport = e->dport};

		put(s, e->dirs, &sel, KERN_BYPASS, SPD_EXEMPT);
	}
	for (size_t i = 0; i < sizeof(families); i++) {
		struct kern_selector sel = {.src = any(families[i]), .dst = any(families[i])};

		put(s, DIRS, &sel, KERN_DISCARD, SPD_LOCKDOWN);
	}
}

void spd_open(struct spd *s, const struct spd_near *near)
{
	for (size_t i = 0; i < near->site.count; i++) {
		const struct prefix *l = &near->site.p[i].prefix;
		struct kern_selector from = {.src = *l, .dst = any(l->addr.family)};
		struct kern_selector to = {.src = any(l->addr.family), .dst = *l};

		/* OUT decides about what leaves the site. */
		put(s, 1U << KERN_FWD, &from, KERN_BYPASS, SPD_OPEN);
		if (near->discard_other || near->elsewhere)
			continue;
		put(s, OUT_, &from, KERN_BYPASS, SPD_OPEN);
		put(s, DIRS & ~OUT_, &to, KERN_BYPASS, SPD_OPEN);
	}
}
