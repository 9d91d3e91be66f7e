/*
 * test_spd.c - SPD entries of whole CEs: what becomes of a packet, looked up as the kernel
 * does it; the entries of the plainest case word by word; order by specificity.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pep/spd.h"

static struct spd spd;

static struct prefix prefix(const char *s)
{
	struct prefix p;
	ck_assert_msg(prefix_parse(&p, s) == PREFIX_OK, "%s", s);
	return p;
}

static struct addr addr(const char *s)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(&a, s), 0);
	return a;
}

static struct spd_list list(const char *a, const char *b)
{
	const char *text[] = {a, b};
	static struct spd_prefix room[64];
	static unsigned used;
	struct spd_list l = {.p = &room[used]};

	for (int i = 0; i < 2; i++)
		if (text[i])
			l.p[l.count++] = (struct spd_prefix) {
			    .prefix = prefix(text[i]), .row = (uint32_t)i + 1};
	used = (used + 2) % 64;
	return l;
}

static struct spd_tunnel tunnel(uint32_t reqid)
{
	struct spd_tunnel t = {.local = addr("192.0.2.1"), .reqid = reqid};
	char text[32];
	snprintf(text, sizeof(text), "192.0.2.%u", 100 + (unsigned)reqid);
	t.remote = addr(text);
	return t;
}

/*
 * What the kernel does with a packet: the first entry that matches.  -1: none, it passes in
 * clear; 0: discarded; 1000: bypassed; else the reqid that protects it.
 */
static struct spd_scope packet; /* the interface it leaves by, and its mark */

static bool in_scope(const struct kern_selector *sel)
{
	return (!sel->ifindex || sel->ifindex == packet.device) &&
	       (packet.mark.value & sel->mark.mask) == sel->mark.value;
}

static int fate(enum kern_dir dir, const char *src, const char *dst)
{
	struct addr s = addr(src);
	struct addr d = addr(dst);

	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_policy *p = &spd.entry[i].policy;
		if (p->sel.dir != dir || p->sel.proto || !in_scope(&p->sel) ||
		    !prefix_has(&p->sel.src, &s) || !prefix_has(&p->sel.dst, &d))
			continue;
		return p->action == KERN_PROTECT  ? (int)p->reqid
		       : p->action == KERN_BYPASS ? 1000
						  : 0;
	}
	return -1;
}

#define CLEAR			(-1)
#define DISCARDED		0
#define BYPASSED		1000
#define FATE(dir, src, dst, is) ck_assert_int_eq(fate(dir, src, dst), is)

START_TEST(mesh_word_by_word)
{
	struct spd_near near = {.site = list("10.1.0.0/16", NULL)};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_tunnel t = tunnel(2);
	static const char *const expected[] = {
	    "in 10.2.0.0/16 > 10.1.0.0/16 protect 2 192.0.2.102 > 192.0.2.1",
	    "out 10.1.0.0/16 > 10.2.0.0/16 protect 2 192.0.2.1 > 192.0.2.102",
	    "fwd 10.2.0.0/16 > 10.1.0.0/16 protect 2 192.0.2.102 > 192.0.2.1",
	    "out 0.0.0.0/0 > 10.2.0.0/16 discard 0 - > -",
	};

	spd_peer(&spd, &near, &t, &far);
	spd_finish(&spd);
	ck_assert_uint_eq(spd.count, 4);
	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_policy *p = &spd.entry[i].policy;
		char sel[KERN_STRLEN], a[ADDR_STRLEN], b[ADDR_STRLEN], text[400];
		bool found = false;
		snprintf(text, sizeof(text), "%s %s %u %s > %s", kern_selector_print(&p->sel, sel),
		    kern_action_name(p->action), (unsigned)p->reqid, addr_print(&p->tmpl_src, a),
		    addr_print(&p->tmpl_dst, b));
		for (size_t j = 0; j < 4; j++)
			found |= !strcmp(text, expected[j]);
		ck_assert_msg(found, "%s", text);
		ck_assert_uint_eq(spd.entry[i].row, 1);
		ck_assert(kern_policy_ours(p));
	}
	ck_assert_int_eq(spd.entry[3].policy.action, KERN_DISCARD);
}
END_TEST

/* Three prefixes here, eight there: every pair is an entry in each direction. */
START_TEST(row102_cross_product)
{
	struct spd_prefix l[3], r[8];
	struct spd_near near = {.site = {.p = l, .count = 3}};
	struct spd_list far = {.p = r, .count = 8};
	struct spd_tunnel t = tunnel(2);
	unsigned of_dir[4] = {0};
	char text[32];

	for (unsigned i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "10.2.%u.0/24", i);
		r[i] = (struct spd_prefix) {.prefix = prefix(text), .row = i + 1};
		snprintf(text, sizeof(text), "10.1.%u.0/24", i);
		if (i < 3)
			l[i] = (struct spd_prefix) {.prefix = prefix(text), .row = i + 1};
	}
	spd_peer(&spd, &near, &t, &far);
	spd_finish(&spd);
	for (size_t i = 0; i < spd.count; i++)
		if (spd.entry[i].policy.action == KERN_PROTECT)
			of_dir[spd.entry[i].policy.sel.dir]++;
	ck_assert_uint_eq(of_dir[KERN_IN], 24);
	ck_assert_uint_eq(of_dir[KERN_OUT], 24);
	ck_assert_uint_eq(of_dir[KERN_FWD], 24);
	FATE(KERN_OUT, "10.1.2.9", "10.2.7.9", 2);
	FATE(KERN_OUT, "10.1.3.9", "10.2.7.9", DISCARDED);
}
END_TEST

/* With an interface the prefixes are discarded elsewhere, and the outer header is protected. */
START_TEST(interface)
{
	struct spd_near near = {.site = list("10.1.0.0/16", NULL)};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_tunnel t = tunnel(2);
	unsigned outer = 0;

	t.ipip = true;
	spd_site(&spd, &near);
	spd_peer(&spd, &near, &t, &far);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", DISCARDED);
	FATE(KERN_OUT, "10.9.0.1", "10.2.0.1", DISCARDED);
	FATE(KERN_IN, "10.2.0.1", "10.1.0.1", DISCARDED);
	FATE(KERN_FWD, "10.2.0.1", "10.1.0.1", DISCARDED);
	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_policy *p = &spd.entry[i].policy;
		if (p->sel.proto == 0)
			continue;
		ck_assert_uint_eq(p->sel.proto, IPPROTO_IPIP);
		ck_assert_int_eq(p->action, outer++ < 2 ? KERN_PROTECT : KERN_DISCARD);
		ck_assert(p->action == KERN_DISCARD ||
			  (p->mode == KERN_TRANSPORT && p->reqid == 2 && !p->tmpl_src.family));
	}
	ck_assert_uint_eq(outer, 4);
}
END_TEST

/* what routing daemons speak from and to has no way but the interface, but for the site itself */
START_TEST(addresses_inside)
{
	struct spd_near near = {
	    .site = list("10.1.0.0/16", NULL), .space = list("10.0.0.0/8", NULL)};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_tunnel t = tunnel(2);
	struct addr own = addr("10.255.0.1");

	t.ipip = true;
	t.inner = addr("10.255.0.2");
	spd_site(&spd, &near);
	spd_inner(&spd, &near, &own, 1);
	spd_peer(&spd, &near, &t, &far);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.255.0.1", "10.255.0.2", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "10.255.0.2", DISCARDED);
	FATE(KERN_FWD, "10.255.0.2", "10.1.0.1", DISCARDED);
	FATE(KERN_IN, "10.255.0.2", "10.255.0.1", DISCARDED);
	FATE(KERN_IN, "198.51.100.1", "10.255.0.1", DISCARDED);
	FATE(KERN_OUT, "192.0.2.1", "10.255.0.1", DISCARDED);
	FATE(KERN_IN, "10.1.0.1", "10.255.0.1", BYPASSED);
	FATE(KERN_OUT, "10.255.0.1", "10.1.0.1", BYPASSED);
}
END_TEST

/* of kind VTI: twice looked up on the way out, once on the way in, and nothing else passes by it */
START_TEST(interface_of_tunnel_mode)
{
	struct spd_near near = {
	    .site = list("10.1.0.0/16", NULL), .space = list("10.0.0.0/8", NULL)};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_tunnel t = tunnel(2);
	unsigned scoped = 0;

	t.vti = (struct spd_scope) {77, {0xffff0002, UINT32_MAX}};
	t.inner = addr("10.255.0.2");
	spd_site(&spd, &near);
	spd_peer(&spd, &near, &t, &far);
	spd_finish(&spd);
	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_policy *p = &spd.entry[i].policy;
		bool out = p->sel.dir == KERN_OUT;

		if (!p->sel.ifindex && !p->sel.mark.mask) {
			ck_assert_int_ne(p->action, KERN_PROTECT);
			continue;
		}
		ck_assert_uint_eq(i, scoped++); /* before all others */
		ck_assert_uint_eq(p->sel.src.len + p->sel.dst.len, 0);
		ck_assert_int_ne(p->sel.dir, KERN_FWD);
		ck_assert_uint_eq(p->sel.ifindex, out ? 77 : 0);
		if (p->action == KERN_BYPASS) {
			ck_assert(out && !p->sel.mark.mask);
			continue;
		}
		ck_assert(p->sel.mark.value == 0xffff0002 && p->sel.mark.mask == UINT32_MAX);
		ck_assert_int_eq(p->action, KERN_PROTECT);
		ck_assert(p->mode == KERN_TUNNEL && p->reqid == 2);
		ck_assert(!addr_cmp(out ? &p->tmpl_src : &p->tmpl_dst, &t.local));
	}
	ck_assert_uint_eq(scoped, 3);
	ck_assert_int_ne(spd.entry[2].policy.action, KERN_PROTECT); /* that passes comes last */
	FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", DISCARDED);
	FATE(KERN_FWD, "10.2.0.1", "10.1.0.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "10.255.0.2", DISCARDED);
	FATE(KERN_IN, "10.255.0.2", "10.1.0.1", DISCARDED);
}
END_TEST

START_TEST(neighbours)
{
	spd_neighbours(&spd);
	spd_finish(&spd);
	ck_assert_uint_eq(spd.count, SPD_NEIGHBOURS);
	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_policy *p = &spd.entry[i].policy;
		ck_assert_uint_eq(p->sel.proto, IPPROTO_ICMPV6);
		ck_assert_uint_ge(p->sel.sport, 130);
		ck_assert_int_eq(p->action, p->sel.dir == KERN_FWD ? KERN_DISCARD : KERN_BYPASS);
	}
}
END_TEST

START_TEST(mesh)
{
	struct spd_near near = {.site = list("10.1.0.0/24", "10.1.1.0/24")};
	struct spd_list b = list("10.2.0.0/16", NULL);
	struct spd_list c = list("10.3.0.0/16", "10.3.9.0/24");
	struct spd_tunnel tb = tunnel(2);
	struct spd_tunnel tc = tunnel(3);

	spd_site(&spd, &near);
	spd_peer(&spd, &near, &tb, &b);
	spd_peer(&spd, &near, &tc, &c);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.5", "10.2.3.4", 2);
	FATE(KERN_OUT, "10.1.1.5", "10.3.9.4", 3);
	FATE(KERN_IN, "10.2.3.4", "10.1.0.1", 2);
	FATE(KERN_FWD, "10.2.3.4", "10.1.0.1", 2);
	FATE(KERN_FWD, "10.3.3.4", "10.1.1.1", 3);
	FATE(KERN_OUT, "192.0.2.1", "10.2.3.4", DISCARDED); /* ours, not the site's */
	FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", CLEAR);  /* Internet access */
	FATE(KERN_FWD, "198.51.100.1", "10.1.0.5", CLEAR);
	FATE(KERN_OUT, "10.1.0.5", "10.1.1.5", BYPASSED);
	FATE(KERN_FWD, "10.1.0.5", "10.1.1.5", BYPASSED);
	FATE(KERN_OUT, "10.2.3.4", "10.1.0.5", BYPASSED); /* after the tunnel */
}
END_TEST

START_TEST(other_traffic_discarded)
{
	struct spd_near near = {.site = list("10.1.0.0/24", "10.1.1.0/24"), .discard_other = true};
	struct spd_list b = list("10.2.0.0/16", NULL);
	struct spd_tunnel tb = tunnel(2);
	struct addr pdp = addr("198.51.100.10");
	struct spd_entry *e;

	spd_site(&spd, &near);
	spd_peer(&spd, &near, &tb, &b);
	spd_control(&spd, &pdp, 3288);
	spd_control(&spd, &pdp, 3288);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.5", "10.2.3.4", 2);
	FATE(KERN_IN, "10.2.3.4", "10.1.0.1", 2);
	FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", DISCARDED);
	FATE(KERN_FWD, "198.51.100.1", "10.1.0.5", DISCARDED);
	FATE(KERN_IN, "198.51.100.1", "10.1.0.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.5", "10.1.1.5", BYPASSED);
	FATE(KERN_IN, "10.1.1.5", "10.1.0.1", BYPASSED);
	FATE(KERN_OUT, "10.2.3.4", "10.1.0.5", BYPASSED);
	FATE(KERN_OUT, "192.0.2.1", "192.0.2.102", CLEAR); /* ESP's outer packets */
	/* hellos of the site's routers, which no router passes on; all other multicast is other */
	FATE(KERN_OUT, "10.1.0.1", "224.0.0.5", BYPASSED);
	FATE(KERN_IN, "10.1.0.2", "224.0.0.5", CLEAR);
	FATE(KERN_OUT, "10.1.0.1", "224.0.1.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "239.1.1.1", DISCARDED);
	/* the control channel is first of all, and once */
	e = spd.entry;
	ck_assert_uint_eq(e[0].policy.priority, KERN_PRIO_BASE);
	ck_assert_uint_eq(e[1].policy.priority, KERN_PRIO_BASE);
	ck_assert_uint_gt(e[2].policy.priority, KERN_PRIO_BASE);
	ck_assert_int_eq(e[0].policy.action, KERN_BYPASS);
	ck_assert_uint_eq(e[0].policy.sel.proto, IPPROTO_TCP);
	ck_assert_uint_eq(e[0].policy.sel.sport + e[0].policy.sel.dport, 3288);
}
END_TEST

/* a spoke that reaches the VPN's space through the hub, its own site being inside */
START_TEST(spoke_with_space)
{
	struct spd_near near = {.site = list("10.7.0.0/16", NULL)};
	struct spd_list far = list("10.0.0.0/16", "10.0.0.0/8");
	struct spd_tunnel hub = tunnel(1);

	spd_site(&spd, &near);
	spd_peer(&spd, &near, &hub, &far);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.7.0.5", "10.0.3.4", 1);
	FATE(KERN_OUT, "10.7.0.5", "10.9.3.4", 1);
	FATE(KERN_FWD, "10.9.3.4", "10.7.0.5", 1);
	FATE(KERN_OUT, "10.9.3.4", "10.7.0.5", BYPASSED); /* decrypted, on to the site */
	FATE(KERN_OUT, "10.7.0.5", "10.7.3.4", BYPASSED);
	FATE(KERN_FWD, "10.7.0.5", "10.7.3.4", BYPASSED);
	FATE(KERN_OUT, "198.51.100.1", "10.9.3.4", DISCARDED);
	FATE(KERN_OUT, "10.7.0.5", "198.51.100.1", CLEAR);
}
END_TEST

static void hub(bool with_space)
{
	struct spd_near near = {.site = list("10.0.0.0/16", NULL), .relay = true};
	struct spd_list b = list("10.2.0.0/16", NULL);
	struct spd_list c = list("10.3.0.0/16", NULL);
	struct spd_tunnel tb = tunnel(2);
	struct spd_tunnel tc = tunnel(3);

	if (with_space)
		near.space = list("10.0.0.0/8", NULL);
	else
		spd_relay(&spd, &near, &tb, &b, &tc, &c);
	spd_site(&spd, &near);
	spd_peer(&spd, &near, &tb, &b);
	spd_peer(&spd, &near, &tc, &c);
	spd_finish(&spd);
	FATE(KERN_FWD, "10.2.0.1", "10.3.0.1", 2); /* in from b ... */
	FATE(KERN_OUT, "10.2.0.1", "10.3.0.1", 3); /* ... and out to c */
	FATE(KERN_FWD, "10.3.0.1", "10.2.0.1", 3);
	FATE(KERN_OUT, "10.3.0.1", "10.2.0.1", 2);
	FATE(KERN_OUT, "10.0.0.1", "10.2.0.1", 2);
	FATE(KERN_FWD, "10.2.0.1", "10.0.0.1", 2);
	FATE(KERN_OUT, "10.2.0.1", "10.0.0.1", BYPASSED);
	FATE(KERN_OUT, "198.51.100.1", "10.3.0.1", DISCARDED);
	FATE(KERN_OUT, "10.0.0.1", "198.51.100.1", CLEAR);
	/* an address of the VPN that no site has */
	FATE(KERN_OUT, "10.0.0.1", "10.200.0.1", with_space ? DISCARDED : CLEAR);
	FATE(KERN_OUT, "10.2.0.1", "10.200.0.1", with_space ? DISCARDED : CLEAR);
	FATE(KERN_FWD, "10.200.0.1", "10.0.0.1", with_space ? DISCARDED : CLEAR);
}

START_TEST(hub_with_space)
{
	hub(true);
}
END_TEST

START_TEST(hub_without_space)
{
	hub(false);
}
END_TEST

/* partial mesh: what is not linked is not sent in clear, nor through a link around it */
START_TEST(blocked)
{
	struct spd_near near = {.site = list("10.1.0.0/16", NULL)};
	struct spd_list b = list("10.2.0.0/16", NULL);
	struct spd_list dark = list("10.4.0.0/16", "10.0.0.0/8");
	struct spd_tunnel tb = tunnel(2);

	spd_site(&spd, &near);
	spd_peer(&spd, &near, &tb, &b);
	spd_blocked(&spd, &near, &dark);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", 2);
	FATE(KERN_FWD, "10.2.0.1", "10.1.0.1", 2);
	FATE(KERN_OUT, "10.1.0.1", "10.4.0.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "10.5.0.1", DISCARDED);
	FATE(KERN_FWD, "10.5.0.1", "10.1.0.1", DISCARDED);
	FATE(KERN_IN, "10.4.0.1", "10.1.0.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "10.1.9.1", BYPASSED);
	FATE(KERN_FWD, "10.1.0.1", "10.1.9.1", BYPASSED);
	FATE(KERN_OUT, "10.2.0.1", "10.1.0.1", BYPASSED);

	/* a blocked site inside a tunnel's prefix */
	spd_reset(&spd);
	b = list("10.0.0.0/8", NULL);
	dark = list("10.4.0.0/16", NULL);
	spd_peer(&spd, &near, &tb, &b);
	spd_blocked(&spd, &near, &dark);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.1", "10.4.0.1", DISCARDED);
	FATE(KERN_FWD, "10.4.0.1", "10.1.0.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "10.5.0.1", 2);
}
END_TEST

/* Sites with very many prefixes: packets fare as with entries for each pair. */
static struct spd_list many(unsigned count)
{
	static struct spd_prefix room[200];
	struct spd_list l = {.p = room};
	char text[32];

	room[l.count++] = (struct spd_prefix) {.prefix = prefix("10.1.0.0/16"), .row = 1};
	room[l.count++] = (struct spd_prefix) {.prefix = prefix("10.101.200.0/21"), .row = 2};
	while (l.count < count) {
		snprintf(text, sizeof(text), "10.101.%u.0/24", (unsigned)l.count);
		room[l.count] = (struct spd_prefix) {
		    .prefix = prefix(text), .row = (uint32_t)l.count + 1};
		l.count++;
	}
	return l;
}

static void site_of(unsigned count, int kind)
{
	struct spd_near near = {
	    .site = many(count), .discard_other = (kind & 2) != 0, .lockdown = (kind & 4) != 0};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_list shut = list("10.3.0.0/24", NULL);
	struct spd_tunnel t = tunnel(2);

	if (kind & 1)
		near.space = list("10.0.0.0/8", NULL);
	spd_reset(&spd);
	spd_site(&spd, &near);
	spd_peer(&spd, &near, &t, &far);
	spd_blocked(&spd, &near, &shut);
	if (near.lockdown) {
		spd_open(&spd, &near);
		spd_lockdown(&spd);
	}
	spd_finish(&spd);
}

/* What comes of each packet among these addresses, in each direction. */
static void fates(int *out)
{
	static const char *const at[] = {"10.1.0.1", "10.101.2.1", "10.101.31.1", "10.101.200.7",
	    "10.2.0.1", "10.3.0.1", "10.77.0.1", "192.0.2.1", "203.0.113.9"};
	const size_t n = sizeof(at) / sizeof(at[0]);

	for (size_t s = 0; s < n; s++)
		for (size_t d = 0; d < n; d++)
			for (int dir = KERN_IN; dir <= KERN_FWD; dir++) {
				int f = fate((enum kern_dir)dir, at[s], at[d]);
				*out++ = f == BYPASSED ? CLEAR : f;
			}
}

START_TEST(very_many_of_a_site)
{
	int few[9 * 9 * 3], more[9 * 9 * 3];
	size_t count;

	site_of(SPD_SITE_PAIRS, _i);
	count = spd.count;
	fates(few);
	site_of(SPD_SITE_PAIRS + 1, _i);
	fates(more);
	for (size_t i = 0; i < sizeof(few) / sizeof(few[0]); i++)
		ck_assert_msg(few[i] == more[i], "kind %d, packet %zu: %d, with more prefixes %d",
		    _i, i, few[i], more[i]);
	if (!(_i & 4)) /* lockdown has pairs, in */
		ck_assert_uint_lt(spd.count, count / 4);
	FATE(KERN_OUT, "10.2.0.1", "10.101.32.1", BYPASSED);
}
END_TEST

/*
 * Two VPNs with the same prefixes at both ends, and a third that has the first one's site behind
 * its peer: what is one's own is what the interface and the mark say.
 */
START_TEST(apart)
{
	const struct spd_scope scope[] = {{0x40000001, {0x10000, 0xffff0000}},
	    {0x40000002, {0x20000, 0xffff0000}}, {0x40000003, {0x30000, 0xffff0000}}};
	const char *const here[] = {"10.1.0.0/16", "10.1.0.0/16", "10.2.0.0/16"};
	const char *const there[] = {"10.2.0.0/16", "10.2.0.0/16", "10.1.0.0/24"};
	struct spd_tunnel t[] = {tunnel(2), tunnel(3), tunnel(4)};

	for (int i = 0; i < 3; i++) {
		struct spd_near near = {.site = list(here[i], NULL),
		    .space = list("10.0.0.0/8", NULL),
		    .discard_other = true,
		    .scope = scope[i]};
		struct spd_list far = list(there[i], NULL);

		spd_site(&spd, &near);
		spd_peer(&spd, &near, &t[i], &far);
	}
	spd_finish(&spd);
	for (int i = 0; i < 2; i++) {
		packet = (struct spd_scope) {.device = scope[i].device};
		FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", 2 + i);
		FATE(KERN_OUT, "10.3.0.1", "10.2.0.1", DISCARDED);
		FATE(KERN_OUT, "10.1.0.1", "203.0.113.1", DISCARDED);
		FATE(KERN_FWD, "10.1.0.1", "10.2.0.1", BYPASSED); /* and OUT protects */
		packet = (struct spd_scope) {.mark = scope[i].mark};
		FATE(KERN_IN, "10.2.0.1", "10.1.0.1", 2 + i);
		FATE(KERN_FWD, "10.2.0.1", "10.1.0.1", 2 + i);
		FATE(KERN_FWD, "10.3.0.1", "10.1.0.1", DISCARDED); /* of the space */
		FATE(KERN_OUT, "10.2.0.1", "10.1.0.1", BYPASSED);  /* on to the site */
	}
	packet = (struct spd_scope) {.device = scope[2].device};
	FATE(KERN_OUT, "10.2.0.1", "10.1.0.1", 4);
	FATE(KERN_OUT, "10.2.0.1", "10.1.9.1", DISCARDED);
	packet = (struct spd_scope) {.mark = scope[2].mark};
	FATE(KERN_FWD, "10.1.0.1", "10.2.0.1", 4);
	/* outside of all three */
	packet = (struct spd_scope) {0};
	FATE(KERN_OUT, "10.1.0.1", "203.0.113.1", DISCARDED);
	FATE(KERN_FWD, "203.0.113.1", "10.1.0.1", DISCARDED);
	for (size_t i = 0; i < spd.count; i++)
		ck_assert(kern_policy_ours(&spd.entry[i].policy));
}
END_TEST

START_TEST(families_do_not_mix)
{
	struct spd_near near = {
	    .site = list("10.1.0.0/16", "2001:db8:1::/48"), .discard_other = true};
	struct spd_list b = list("10.2.0.0/16", "2001:db8:2::/48");
	struct spd_tunnel tb = tunnel(2);

	spd_site(&spd, &near);
	spd_peer(&spd, &near, &tb, &b);
	spd_finish(&spd);
	for (size_t i = 0; i < spd.count; i++)
		ck_assert_uint_eq(spd.entry[i].policy.sel.src.addr.family,
		    spd.entry[i].policy.sel.dst.addr.family);
	FATE(KERN_OUT, "2001:db8:1::1", "2001:db8:2::1", 2);
	FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", 2);
	FATE(KERN_OUT, "2001:db8:1::1", "ff02::5", BYPASSED);
	FATE(KERN_OUT, "2001:db8:1::1", "ff05::2", DISCARDED);
	FATE(KERN_OUT, "10.1.0.1", "224.0.0.5", BYPASSED);
}
END_TEST

/* x comes before y: other selectors, and y not inside of x unless they are alike to a packet */
static bool in_order(const struct kern_policy *x, const struct kern_policy *y)
{
	const struct kern_selector *a = &x->sel;
	const struct kern_selector *b = &y->sel;

	if (x->priority > y->priority)
		return false;
	if (a->dir != b->dir || !prefix_contains(&a->src, &b->src) ||
	    !prefix_contains(&a->dst, &b->dst))
		return true;
	return x->priority == y->priority &&
	       (prefix_cmp(&a->src, &b->src) || prefix_cmp(&a->dst, &b->dst));
}

/* of two entries that a packet may match, the one inside the other is looked up first */
START_TEST(lockdown)
{
	struct spd_near near = {
	    .site = list("10.1.0.0/24", NULL), .space = list("10.0.0.0/8", NULL), .lockdown = true};
	struct spd_list far = list("10.2.0.0/16", NULL);
	struct spd_tunnel t = tunnel(2);
	struct prefix ntp = prefix("198.51.100.9");
	unsigned exempt = 0;

	/* no rows */
	spd_lockdown(&spd);
	spd_finish(&spd);
	for (int dir = KERN_IN; dir <= KERN_FWD; dir++) {
		FATE(dir, "10.1.0.1", "10.2.0.1", DISCARDED);
		FATE(dir, "192.0.2.1", "203.0.113.1", DISCARDED);
		FATE(dir, "2001:db8::1", "2001:db8:1::1", DISCARDED);
	}
	FATE(KERN_OUT, "::1", "::1", BYPASSED);
	FATE(KERN_IN, "::1", "::1", BYPASSED);
	for (size_t i = 0; i < spd.count; i++)
		ck_assert(spd.entry[i].policy.action == KERN_DISCARD ||
			  spd.entry[i].policy.sel.dir != KERN_FWD);
	/* with rows: the VPN as ever, the site elsewhere, the host nowhere */
	for (int discard = 0; discard < 2; discard++) {
		int other = discard ? DISCARDED : BYPASSED;

		near.discard_other = discard;
		spd_reset(&spd);
		spd_lockdown(&spd);
		spd_site(&spd, &near);
		spd_open(&spd, &near);
		spd_peer(&spd, &near, &t, &far);
		spd_finish(&spd);
		FATE(KERN_OUT, "10.1.0.1", "10.2.0.1", 2);
		FATE(KERN_IN, "10.2.0.1", "10.1.0.1", 2);
		FATE(KERN_FWD, "10.2.0.1", "10.1.0.1", 2);
		FATE(KERN_FWD, "10.1.0.1", "10.2.0.1", BYPASSED);  /* and OUT protects */
		FATE(KERN_OUT, "10.1.0.1", "10.3.0.1", DISCARDED); /* of the space */
		FATE(KERN_OUT, "192.0.2.1", "10.2.0.1", DISCARDED);
		FATE(KERN_OUT, "10.1.0.1", "203.0.113.1", other);
		FATE(KERN_FWD, "203.0.113.1", "10.1.0.1", other);
		FATE(KERN_IN, "203.0.113.1", "10.1.0.1", other);
		FATE(KERN_OUT, "203.0.113.1", "10.1.0.1", BYPASSED);
		FATE(KERN_OUT, "192.0.2.1", "203.0.113.1", DISCARDED);
		FATE(KERN_IN, "203.0.113.1", "192.0.2.1", DISCARDED);
		FATE(KERN_FWD, "192.0.2.1", "203.0.113.1", DISCARDED);
		/* on its link the site's multicast, and nobody else's; none is let in elsewhere */
		FATE(KERN_OUT, "10.1.0.1", "224.0.0.9", BYPASSED);
		FATE(KERN_IN, "10.1.0.2", "224.0.0.9", BYPASSED);
		FATE(KERN_OUT, "192.0.2.1", "224.0.0.9", DISCARDED);
		FATE(KERN_IN, "203.0.113.1", "224.0.0.9", DISCARDED);
		FATE(KERN_FWD, "203.0.113.1", "224.0.0.9", DISCARDED);
		FATE(KERN_IN, "10.1.0.2", "239.1.1.1", DISCARDED);
	}
	/* what is excepted is the host's own, and of protocols with a number */
	spd_reset(&spd);
	spd_exempt(&spd, &ntp, IPPROTO_UDP, 123);
	for (size_t i = 0; i < spd.count; i++) {
		const struct kern_selector *sel = &spd.entry[i].policy.sel;

		ck_assert(sel->dir != KERN_FWD && sel->proto == IPPROTO_UDP);
		ck_assert(sel->sport == 123 || sel->dport == 123);
		exempt++;
	}
	ck_assert_uint_eq(exempt, 4);
	spd_reset(&spd);
	spd_exempt(&spd, &ntp, 0, 0);
	ck_assert_uint_eq(spd.count, 6);
}
END_TEST

/* A CE in other VPNs too: what comes from here, also through the tunnel, reaches this one's sites.
 */
START_TEST(several_vpns)
{
	struct spd_near near = {.site = list("10.1.0.0/24", NULL), .several = true};
	struct spd_list a = list("10.2.0.0/16", NULL), b = list("10.3.0.0/16", NULL);
	struct spd_tunnel ta = tunnel(2), tb = tunnel(3);

	for (int way = 0; way < 2; way++) {
		near.relay = way;
		spd_reset(&spd);
		spd_site(&spd, &near);
		spd_peer(&spd, &near, &ta, &a);
		if (near.relay)
			spd_relay(&spd, &near, &ta, &a, &tb, &b);
		else
			spd_blocked(&spd, &near, &b);
		spd_finish(&spd);
		FATE(KERN_FWD, "10.2.0.1", "10.1.0.5", 2);
		FATE(KERN_FWD, "10.2.0.1", "10.1.1.5", DISCARDED); /* the other VPN's */
		FATE(KERN_IN, "10.2.0.1", "10.1.1.1", DISCARDED);
		FATE(KERN_FWD, "198.51.100.1", "10.1.1.5", CLEAR);
		FATE(KERN_FWD, "10.2.0.1", "10.3.0.1", near.relay ? 2 : DISCARDED);
		FATE(KERN_FWD, "10.1.1.5", "10.9.0.1", CLEAR);
	}
}
END_TEST

/* A spoke, all of whose traffic goes to the hub; the hub, for which that is not a site of its own.
 */
START_TEST(internet_of_a_spoke)
{
	struct spd_list any = list("0.0.0.0/0", "::/0");
	struct spd_near near = {.site = list("10.1.0.0/16", "2001:db8:1::/48"), .elsewhere = true};
	struct spd_list direct = list("10.3.0.0/16", NULL);
	struct spd_tunnel hub = tunnel(2), third = tunnel(3);

	/* without the hub's rows: nothing in clear */
	spd_site(&spd, &near);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", DISCARDED);
	FATE(KERN_OUT, "10.1.0.5", "8.8.8.8", DISCARDED);
	FATE(KERN_OUT, "2001:db8:1::5", "2001:db8:f::1", DISCARDED);
	FATE(KERN_OUT, "192.0.2.1", "198.51.100.1", CLEAR);
	for (int locked = 0; locked < 2; locked++) {
		spd_reset(&spd);
		if (locked)
			spd_lockdown(&spd);
		spd_site(&spd, &near);
		if (locked)
			spd_open(&spd, &near);
		spd_peer(&spd, &near, &hub, &any);
		spd_peer(&spd, &near, &third, &direct);
		spd_finish(&spd);
		FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", 2);
		FATE(KERN_FWD, "198.51.100.1", "10.1.0.5", 2);
		FATE(KERN_IN, "198.51.100.1", "10.1.0.1", 2);
		FATE(KERN_OUT, "2001:db8:1::5", "2001:db8:f::1", 2);
		FATE(KERN_OUT, "10.1.0.5", "10.3.0.1", 3);
		FATE(KERN_FWD, "10.3.0.1", "10.1.0.5", 3);
		FATE(KERN_OUT, "10.1.0.5", "10.1.9.9", BYPASSED);
		FATE(KERN_OUT, "198.51.100.1", "10.1.0.5", BYPASSED); /* after the tunnel */
		FATE(KERN_OUT, "10.1.0.1", "224.0.0.5", BYPASSED);    /* OSPF at the site */
		FATE(KERN_OUT, "10.1.0.1", "239.1.1.1", 2);
		FATE(KERN_OUT, "192.0.2.1", "192.0.2.102", locked ? DISCARDED : CLEAR);
		FATE(KERN_FWD, "10.1.0.5", "198.51.100.1", locked ? BYPASSED : CLEAR);
	}
	/* no way to the hub */
	spd_reset(&spd);
	spd_site(&spd, &near);
	spd_blocked(&spd, &near, &any);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", DISCARDED);
	FATE(KERN_FWD, "198.51.100.1", "10.1.0.5", DISCARDED);
	FATE(KERN_OUT, "192.0.2.1", "198.51.100.1", CLEAR);
}
END_TEST

START_TEST(internet_at_the_hub)
{
	struct spd_near near = {
	    .site = list("10.0.0.0/16", NULL), .internet = list("0.0.0.0/0", NULL)};
	struct spd_list a = list("10.1.0.0/16", NULL), b = list("10.2.0.0/16", NULL);
	struct spd_tunnel ta = tunnel(2), tb = tunnel(3);

	ta.internet = true;
	for (int locked = 0; locked < 2; locked++) {
		near.discard_other = locked;
		spd_reset(&spd);
		if (locked)
			spd_lockdown(&spd);
		spd_site(&spd, &near);
		if (locked)
			spd_open(&spd, &near);
		spd_peer(&spd, &near, &ta, &a);
		spd_peer(&spd, &near, &tb, &b);
		spd_finish(&spd);
		/* there: in by the tunnel alone, out in clear; and back */
		FATE(KERN_FWD, "10.1.0.5", "198.51.100.1", 2);
		FATE(KERN_OUT, "10.1.0.5", "198.51.100.1", BYPASSED);
		FATE(KERN_FWD, "198.51.100.1", "10.1.0.5", BYPASSED);
		FATE(KERN_OUT, "198.51.100.1", "10.1.0.5", 2);
		FATE(KERN_IN, "10.1.0.5", "192.0.2.1", 2);
		/* its own site as ever; the other peer has no such way */
		FATE(KERN_OUT, "10.0.0.1", "10.1.0.5", 2);
		FATE(KERN_OUT, "10.0.0.1", "198.51.100.1", locked ? DISCARDED : CLEAR);
		FATE(KERN_OUT, "198.51.100.1", "10.2.0.5", DISCARDED);
		FATE(KERN_OUT, "10.1.0.5", "10.2.0.5", DISCARDED);
	}
	near.relay = true;
	spd_relay(&spd, &near, &ta, &a, &tb, &b);
	spd_finish(&spd);
	FATE(KERN_OUT, "10.1.0.5", "10.2.0.5", 3);
	FATE(KERN_FWD, "10.1.0.5", "10.2.0.5", 2);
	FATE(KERN_OUT, "198.51.100.1", "10.1.0.5", 2);
}
END_TEST

START_TEST(nested_selectors_are_sorted)
{
	struct spd_prefix room[20] = {0};
	struct spd_list a = {.p = room};
	struct spd_near near;
	struct spd_tunnel t = tunnel(2);

	srand(7);
	for (int round = 0; round < 10; round++) {
		spd_reset(&spd);
		a.count = 0;
		for (int i = 0; i < 20; i++) {
			char text[32];
			unsigned len = 4 + (unsigned)rand() % 20;
			unsigned v = ((unsigned)rand() & 0xffffff00) & ~(0xffffffffU >> len);
			snprintf(text, sizeof(text), "%u.%u.%u.%u/%u", v >> 24, v >> 16 & 255,
			    v >> 8 & 255, v & 255, len);
			a.p[a.count].prefix = prefix(text);
			a.p[a.count].row = (uint32_t)i + 1;
			a.count++;
		}
		near = (struct spd_near) {.site = {a.p, a.count / 2}, .discard_other = true};
		spd_site(&spd, &near);
		spd_peer(&spd, &near, &t, &(struct spd_list) {a.p + a.count / 2, a.count / 2});
		spd_finish(&spd);
		for (size_t i = 0; i < spd.count; i++)
			for (size_t j = i + 1; j < spd.count; j++)
				if (!in_order(&spd.entry[i].policy, &spd.entry[j].policy))
					ck_abort_msg("entries %zu and %zu", i, j);
	}
}
END_TEST

static void setup(void)
{
	spd_init(&spd);
}

static void teardown(void)
{
	spd_clear(&spd);
}

int main(void)
{
	Suite *s = suite_create("spd");
	TCase *t = tcase_create("spd");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, mesh_word_by_word);
	tcase_add_test(t, row102_cross_product);
	tcase_add_test(t, interface);
	tcase_add_test(t, addresses_inside);
	tcase_add_test(t, interface_of_tunnel_mode);
	tcase_add_test(t, neighbours);
	tcase_add_test(t, mesh);
	tcase_add_test(t, other_traffic_discarded);
	tcase_add_test(t, spoke_with_space);
	tcase_add_test(t, hub_with_space);
	tcase_add_test(t, hub_without_space);
	tcase_add_test(t, blocked);
	tcase_add_loop_test(t, very_many_of_a_site, 0, 8);
	tcase_add_test(t, apart);
	tcase_add_test(t, families_do_not_mix);
	tcase_add_test(t, lockdown);
	tcase_add_test(t, several_vpns);
	tcase_add_test(t, internet_of_a_spoke);
	tcase_add_test(t, internet_at_the_hub);
	tcase_add_test(t, nested_selectors_are_sorted);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
