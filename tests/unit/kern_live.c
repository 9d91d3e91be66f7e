/*
 * kern_live.c - each back end (kern_ops) against a real kernel: every operation, every
 * refusal, dumps, events.  Needs root, PF_KEY and XFRM in an empty network namespace;
 * tests/scenario/backends.sh runs it inside tests/uml/boot.  Foreigners are forked children.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pep/kern_pfkey_msg.h"
#include "pep/kplan.h"

static const struct kern_ops *ops; /* the back end under test */
static struct kern *kern;
static struct kern_fault f;
static struct kern_event got[64];
static unsigned got_count;

static void flush_all(void)
{
	ck_assert_int_eq(system("ip xfrm state flush && ip xfrm policy flush"), 0);
}

static void setup(void)
{
	flush_all();
	got_count = 0;
	kern = ops->open(&f);
	ck_assert_msg(kern != NULL, "%s", f.text);
}

static void teardown(void)
{
	ops->close(kern);
}

static struct addr addr(const char *s)
{
	struct addr a;
	ck_assert_int_eq(addr_parse(&a, s), 0);
	return a;
}

static struct prefix prefix(const char *s)
{
	struct prefix p;
	ck_assert_int_eq(prefix_parse(&p, s), PREFIX_OK);
	return p;
}

static struct kern_sa sa(uint32_t spi)
{
	struct kern_sa s = {.mode = KERN_TUNNEL,
	    .reqid = 7,
	    .encr = 12,
	    .integ = 14,
	    .encr_key_len = 32,
	    .integ_key_len = 64,
	    .replay_window = 32};
	s.id.spi = spi;
	s.id.dst = addr("192.0.2.2");
	s.src = addr("192.0.2.1");
	memset(s.encr_key, (int)spi, 32);
	memset(s.integ_key, (int)(spi >> 8), 64);
	return s;
}

static struct kern_policy policy(enum kern_dir dir, enum kern_action action)
{
	struct kern_policy p = {.action = action, .priority = KERN_PRIO_BASE + 5};
	p.sel.dir = dir;
	p.sel.src = prefix("10.9.0.0/16");
	p.sel.dst = prefix("10.8.0.0/16");
	if (action == KERN_PROTECT) {
		p.reqid = 7;
		p.mode = KERN_TUNNEL;
		p.tmpl_src = addr("192.0.2.1");
		p.tmpl_dst = addr("192.0.2.2");
	}
	return p;
}

#define OK(call) ck_assert_msg((call) == 0, "%s", f.text)
#define REFUSED(call, why)                                                                         \
	do {                                                                                       \
		ck_assert_int_eq((call), -1);                                                      \
		ck_assert_msg(f.kind == (why), "kind %d: %s", f.kind, f.text);                     \
	} while (0)

static int can(uint16_t encr, uint16_t bits, uint16_t integ, uint32_t window, struct kern_fault *k)
{
	const struct suite s = {
	    .protocol = SUITE_ESP, .encr = encr, .encr_key_bits = bits, .integ = integ};

	return ops->can(kern, &s, window, k);
}

START_TEST(algorithms)
{
	OK(can(12, 256, 14, 32, &f));
	OK(can(12, 128, 13, 32, &f));
	OK(can(12, 192, 2, 32, &f));
	REFUSED(can(12, 256, 0, 32, &f), KERN_UNSUPPORTED_INTEG);
	REFUSED(can(12, 255, 14, 32, &f), KERN_UNSUPPORTED_KEY_BITS);
	REFUSED(can(3, 192, 14, 32, &f), KERN_UNSUPPORTED_ENCR);
	REFUSED(can(1, 256, 14, 32, &f), KERN_UNSUPPORTED_ENCR);
}
END_TEST

static const struct suite esn_cbc = {
    .protocol = SUITE_ESP, .encr = 12, .encr_key_bits = 256, .integ = 14, .esn = true};

START_TEST(pfkey_limits)
{
	struct kern_policy apart = policy(KERN_OUT, KERN_DISCARD);

	REFUSED(can(20, 256, 0, 32, &f), KERN_UNSUPPORTED_ENCR);
	REFUSED(can(12, 256, 12, 32, &f), KERN_UNSUPPORTED_INTEG);
	REFUSED(can(12, 256, 14, 64, &f), KERN_UNSUPPORTED_WINDOW);
	REFUSED(ops->can(kern, &esn_cbc, 32, &f), KERN_UNSUPPORTED_ESN);
	ck_assert_uint_eq(ops->reqid_max(kern), 0x3fff);
	apart.sel.ifindex = 5;
	REFUSED(ops->policy_put(kern, &apart, &f), KERN_UNSUPPORTED_SELECTOR);
	ck_assert(!ops->separate);
}
END_TEST

START_TEST(sa_life)
{
	struct kern_sa s = sa(0x710);
	struct kern_sa_state st;

	for (int bits = 128; bits <= 256; bits += 64) {
		s.encr_key_len = (uint16_t)(bits / 8);
		OK(ops->sa_add(kern, &s, &f));
		REFUSED(ops->sa_add(kern, &s, &f), KERN_EXISTS);
		ck_assert_int_eq(f.err, EEXIST);
		OK(ops->sa_get(kern, &s.id, &st, &f));
		ck_assert_uint_eq(st.reqid, 7);
		ck_assert_int_eq(st.mode, KERN_TUNNEL);
		ck_assert_int_eq(addr_cmp(&st.src, &s.src), 0);
		ck_assert(!st.larval);
		ck_assert_uint_ne(st.added_at, 0);
		OK(ops->sa_del(kern, &s.id, &f));
		REFUSED(ops->sa_del(kern, &s.id, &f), KERN_ABSENT);
		REFUSED(ops->sa_get(kern, &s.id, &st, &f), KERN_ABSENT);
	}
	s.integ = 13;
	s.integ_key_len = 48;
	OK(ops->sa_add(kern, &s, &f));
	s.id.spi++;
	s.integ = 2;
	s.integ_key_len = 20;
	OK(ops->sa_add(kern, &s, &f));
}
END_TEST

START_TEST(sa_ipv6_and_transport)
{
	struct kern_sa s = sa(0x720);
	struct kern_sa_state st;

	s.id.dst = addr("2001:db8::2");
	s.src = addr("2001:db8::1");
	s.mode = KERN_TRANSPORT;
	OK(ops->sa_add(kern, &s, &f));
	OK(ops->sa_get(kern, &s.id, &st, &f));
	ck_assert_int_eq(st.mode, KERN_TRANSPORT);
	ck_assert_int_eq(addr_cmp(&st.src, &s.src), 0);
	OK(ops->sa_del(kern, &s.id, &f));
}
END_TEST

/* ESP in UDP: other ports come without a new SA. */
START_TEST(sa_encap)
{
	static const char *const end[][2] = {
	    {"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};
	struct kern_sa_state before, st;
	struct kern_sa s;

	for (unsigned i = 0; i < 2; i++) {
		s = sa(0x730);
		s.src = addr(end[i][0]);
		s.id.dst = addr(end[i][1]);
		s.hard.seconds = 1000;
		s.soft.seconds = 900;
		s.encap = (struct kern_encap) {4500, 61000};
		OK(ops->sa_add(kern, &s, &f));
		OK(ops->sa_get(kern, &s.id, &before, &f));
		ck_assert_uint_eq(before.encap.sport, 4500);
		ck_assert_uint_eq(before.encap.dport, 61000);
		OK(ops->sa_ports(kern, &s.id, (struct kern_encap) {4501, 61001}, &f));
		OK(ops->sa_get(kern, &s.id, &st, &f));
		ck_assert_uint_eq(st.encap.sport, 4501);
		ck_assert_uint_eq(st.encap.dport, 61001);
		before.encap = st.encap;
		ck_assert_int_eq(memcmp(&before, &st, sizeof(st)), 0);
		OK(ops->sa_del(kern, &s.id, &f));
		REFUSED(ops->sa_ports(kern, &s.id, s.encap, &f), KERN_ABSENT);
		s.encap = (struct kern_encap) {0};
		OK(ops->sa_add(kern, &s, &f));
		OK(ops->sa_get(kern, &s.id, &st, &f));
		ck_assert(!kern_encap_some(st.encap));
		REFUSED(
		    ops->sa_ports(kern, &s.id, (struct kern_encap) {4500, 4500}, &f), KERN_REFUSED);
	}
}
END_TEST

START_TEST(sa_refusals)
{
	struct kern_sa s = sa(255);

	REFUSED(ops->sa_add(kern, &s, &f), KERN_REFUSED);
	s = sa(256);
	s.encr = 3;
	REFUSED(ops->sa_add(kern, &s, &f), KERN_UNSUPPORTED_ENCR);
	s = sa(256);
	s.encr_key_len = 31;
	REFUSED(ops->sa_add(kern, &s, &f), KERN_UNSUPPORTED_KEY_BITS);
	s = sa(256);
	s.integ_key_len = 32;
	REFUSED(ops->sa_add(kern, &s, &f), KERN_UNSUPPORTED_INTEG);
	s = sa(256);
	s.integ = 0;
	REFUSED(ops->sa_add(kern, &s, &f), KERN_UNSUPPORTED_INTEG);
	s = sa(256);
	s.reqid = ops->reqid_max(kern) + 1;
	REFUSED(ops->sa_add(kern, &s, &f), KERN_REFUSED);
	s = sa(256);
	s.src = addr("2001:db8::1");
	REFUSED(ops->sa_add(kern, &s, &f), KERN_REFUSED);
}
END_TEST

/* what the kernel itself says of AEAD, and why we say it first */
static int raw_add(uint8_t encrypt, size_t key_len)
{
	struct kern_sa s = sa(0x999);
	struct kern_lifetime none = {0};
	struct pfkey_build b;
	struct pfkey_msg m;
	uint64_t in[512];
	ssize_t n;
	int fd = socket(PF_KEY, SOCK_RAW, PF_KEY_V2);

	ck_assert_int_ge(fd, 0);
	pfkey_build_begin(&b, SADB_ADD, SADB_SATYPE_ESP, 1, (uint32_t)getpid());
	pfkey_put_sa(&b, s.id.spi, 32, SADB_X_AALG_SHA2_512HMAC, encrypt);
	pfkey_put_lifetime(&b, SADB_EXT_LIFETIME_HARD, &none);
	pfkey_put_lifetime(&b, SADB_EXT_LIFETIME_SOFT, &none);
	pfkey_put_addr(&b, SADB_EXT_ADDRESS_SRC, &s.src, 32, 0, 0);
	pfkey_put_addr(&b, SADB_EXT_ADDRESS_DST, &s.id.dst, 32, 0, 0);
	pfkey_put_key(&b, SADB_EXT_KEY_AUTH, s.integ_key, 64);
	pfkey_put_key(&b, SADB_EXT_KEY_ENCRYPT, s.encr_key, key_len);
	pfkey_build_end(&b);
	ck_assert_int_eq(send(fd, b.octet, b.len, 0), (ssize_t)b.len);
	n = recv(fd, in, sizeof(in), 0);
	close(fd);
	ck_assert_int_eq(pfkey_msg_parse(&m, in, (size_t)n), 0);
	return m.hdr->sadb_msg_errno;
}

START_TEST(kernel_has_no_aead)
{
	ck_assert_int_eq(raw_add(SADB_X_EALG_AES_GCM_ICV16, 36), ENOSYS);
	ck_assert_int_eq(raw_add(SADB_X_EALG_AESCBC, 31), EINVAL);
	ck_assert_int_eq(raw_add(SADB_X_EALG_AESCBC, 32), 0);
}
END_TEST

struct seen {
	unsigned policies;
	unsigned sas;
	struct kern_policy policy;
	struct kern_sa_state sa;
};

static void see_policy(void *arg, const struct kern_policy *p)
{
	struct seen *s = arg;
	s->policies++;
	s->policy = *p;
}

static void see_sa(void *arg, const struct kern_sa_state *st)
{
	struct seen *s = arg;
	s->sas++;
	s->sa = *st;
}

static struct seen look(void)
{
	struct seen s = {0};
	OK(ops->policy_dump(kern, see_policy, &s, &f));
	OK(ops->sa_dump(kern, see_sa, &s, &f));
	return s;
}

static void check_policy(const struct kern_policy *p)
{
	uint8_t a[KERN_SELECTOR_KEY_LEN], b[KERN_SELECTOR_KEY_LEN];
	struct seen s;

	OK(ops->policy_put(kern, p, &f));
	s = look();
	ck_assert_uint_eq(s.policies, 1);
	kern_selector_key(a, &p->sel);
	kern_selector_key(b, &s.policy.sel);
	ck_assert_mem_eq(a, b, sizeof(a));
	ck_assert(kern_policy_same(p, &s.policy));
	ck_assert(kern_policy_ours(&s.policy));
}

START_TEST(policies)
{
	for (int dir = KERN_IN; dir <= KERN_FWD; dir++)
		for (int action = KERN_PROTECT; action <= KERN_DISCARD; action++) {
			struct kern_policy p = policy((enum kern_dir)dir, (enum kern_action)action);
			check_policy(&p);
			p.priority++; /* the same selector: replaced */
			check_policy(&p);
			p.action = KERN_DISCARD;
			check_policy(&p);
			OK(ops->policy_del(kern, &p.sel, &f));
			REFUSED(ops->policy_del(kern, &p.sel, &f), KERN_ABSENT);
			ck_assert_uint_eq(look().policies, 0);
		}
}
END_TEST

START_TEST(policy_selectors)
{
	struct kern_policy p = policy(KERN_OUT, KERN_BYPASS);

	p.sel.proto = IPPROTO_TCP;
	p.sel.dport = 3288;
	p.sel.src = prefix("0.0.0.0/0");
	p.sel.dst = prefix("198.51.100.1");
	check_policy(&p);
	OK(ops->policy_del(kern, &p.sel, &f));
	p = policy(KERN_FWD, KERN_PROTECT);
	p.sel.src = prefix("2001:db8:1::/48");
	p.sel.dst = prefix("2001:db8:2::/48");
	p.tmpl_src = addr("2001:db8::1");
	p.tmpl_dst = addr("2001:db8::2");
	check_policy(&p);
	OK(ops->policy_del(kern, &p.sel, &f));
	p = policy(KERN_OUT, KERN_PROTECT);
	p.reqid = ops->reqid_max(kern) + 1;
	REFUSED(ops->policy_put(kern, &p, &f), KERN_REFUSED);
	p.reqid = ops->reqid_max(kern);
	check_policy(&p);
}
END_TEST

START_TEST(dumps)
{
	struct seen s = look();

	ck_assert_uint_eq(s.sas, 0);
	ck_assert_uint_eq(s.policies, 0);
	for (uint32_t i = 0; i < 3000; i++) {
		struct kern_sa a = sa(0x1000 + i);
		OK(ops->sa_add(kern, &a, &f));
	}
	s = look();
	ck_assert_uint_eq(s.sas, 3000);
	ck_assert_uint_eq(s.sa.reqid, 7);
}
END_TEST

/* --- events ----------------------------------------------------------------- */

static void note(void *arg, const struct kern_event *e)
{
	(void)arg;
	if (got_count < 64)
		got[got_count++] = *e;
}

/* Read events until one of this kind came; NULL after ms. */
static const struct kern_event *wait_event(enum kern_event_kind kind, int ms)
{
	struct pollfd p = {.fd = ops->event_fd(kern), .events = POLLIN};
	struct timespec t0, t;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (;;) {
		for (unsigned i = 0; i < got_count; i++)
			if (got[i].kind == kind)
				return &got[i];
		clock_gettime(CLOCK_MONOTONIC, &t);
		if ((t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000 >= ms)
			return NULL;
		if (poll(&p, 1, 100) > 0)
			ops->event_read(kern, note, NULL);
	}
}

static void foreigner(void (*act)(struct kern *k))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct kern *k = ops->open(&f);
		if (!k)
			_exit(1);
		act(k);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	got_count = 0;
}

static void act_delete(struct kern *k)
{
	struct kern_sa s = sa(0x710);
	if (ops->sa_del(k, &s.id, &f) < 0)
		_exit(2);
}

static void act_policy(struct kern *k)
{
	struct kern_policy p = policy(KERN_OUT, KERN_DISCARD);
	if (ops->policy_put(k, &p, &f) < 0)
		_exit(2);
}

static void act_flood(struct kern *k)
{
	for (int i = 0; i < 30000; i++)
		act_policy(k);
}

START_TEST(own_changes_are_no_events)
{
	struct kern_sa s = sa(0x710);
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);

	for (int i = 0; i < 500; i++) {
		OK(ops->sa_add(kern, &s, &f));
		OK(ops->policy_put(kern, &p, &f));
		OK(ops->sa_del(kern, &s.id, &f));
		OK(ops->policy_del(kern, &p.sel, &f));
	}
	ops->event_read(kern, note, NULL);
	ck_assert_uint_eq(got_count, 0);
}
END_TEST

START_TEST(foreign_changes_are_events)
{
	struct kern_sa s = sa(0x710);
	const struct kern_event *e;

	OK(ops->sa_add(kern, &s, &f));
	foreigner(act_delete);
	e = wait_event(KERN_EV_SA_DELETED, 3000);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->sa.spi, 0x710);
	ck_assert_int_eq(addr_cmp(&e->sa.dst, &s.id.dst), 0);

	foreigner(act_policy);
	e = wait_event(KERN_EV_SPD_CHANGED, 3000);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->sel.dir, KERN_OUT);
	ck_assert_uint_eq(e->sel.src.len, 16);

	OK(ops->sa_add(kern, &s, &f));
	got_count = 0;
	ck_assert_int_eq(system("ip xfrm state flush"), 0);
	ck_assert_ptr_nonnull(wait_event(KERN_EV_SA_FLUSHED, 3000));
	ck_assert_int_eq(system("ip xfrm policy flush"), 0);
	ck_assert_ptr_nonnull(wait_event(KERN_EV_SPD_FLUSHED, 3000));
}
END_TEST

START_TEST(requests_work_among_broadcasts)
{
	struct kern_sa s = sa(0x710);

	OK(ops->sa_add(kern, &s, &f));
	foreigner(act_flood);
	/* our sockets are full of what the foreigner did, and some was dropped */
	ops->event_read(kern, note, NULL);
	ck_assert_ptr_nonnull(wait_event(KERN_EV_OVERRUN, 1000));
	OK(ops->sa_del(kern, &s.id, &f));
	ck_assert_uint_eq(look().policies, 1);
}
END_TEST

START_TEST(expiry)
{
	struct kern_sa s = sa(0x710);
	const struct kern_event *e;

	s.soft.seconds = 1;
	s.hard.seconds = 3;
	got_count = 0;
	OK(ops->sa_add(kern, &s, &f));
	e = wait_event(KERN_EV_EXPIRE_SOFT, 2500);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->sa.spi, 0x710);
	e = wait_event(KERN_EV_EXPIRE_HARD, 4000);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->sa.spi, 0x710);
	ck_assert_uint_eq(look().sas, 0);
}
END_TEST

START_TEST(acquire)
{
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in from = {.sin_family = AF_INET};
	const struct kern_event *e;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ck_assert_int_eq(
	    system("ip link add pf0 type veth peer name pf1 && ip link set pf1 up &&"
		   "ip link set pf0 up && ip addr add 10.9.0.1/32 dev pf0 &&"
		   "ip route add 10.8.0.0/16 dev pf0 && ip route add 192.0.2.0/24 dev pf0"),
	    0);
	OK(ops->policy_put(kern, &p, &f));
	inet_pton(AF_INET, "10.9.0.1", &from.sin_addr);
	inet_pton(AF_INET, "10.8.0.1", &to.sin_addr);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	got_count = 0;
	(void)!sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	e = wait_event(KERN_EV_ACQUIRE, 3000);
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->reqid, 7);
	ck_assert_int_eq(prefix_cmp(&e->sel.dst, &p.sel.dst), 0);
	/* the larval SA it leaves is shown as such, and is nobody's */
	ck_assert(look().sa.larval);
	ck_assert_int_eq(system("ip link del pf0"), 0);
}
END_TEST

/* --- AH ------------------------------------------------------------------------------ */

static bool shown(const char *pattern)
{
	char command[200];

	snprintf(command, sizeof(command), "ip -s xfrm state | grep -Eq '%s'", pattern);
	return system(command) == 0;
}

static struct kern_sa ah_sa(uint32_t spi)
{
	struct kern_sa s = sa(spi);

	s.id.ah = true;
	s.encr = 0;
	s.encr_key_len = 0;
	explicit_bzero(s.encr_key, sizeof(s.encr_key));
	return s;
}

static void act_delete_ah(struct kern *k)
{
	struct kern_sa s = ah_sa(0x710);

	ops->sa_del(k, &s.id, &f);
}

static int can_ah(uint16_t encr, uint16_t bits, uint16_t integ)
{
	const struct suite s = {
	    .protocol = SUITE_AH, .encr = encr, .encr_key_bits = bits, .integ = integ};

	return ops->can(kern, &s, 32, &f);
}

START_TEST(ah)
{
	struct kern_sa a = ah_sa(0x710), e = sa(0x710);
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);
	const struct kern_event *ev;
	struct seen seen;
	struct kern_sa_state st;

	OK(can_ah(0, 0, 14));
	OK(can_ah(0, 0, 2));
	ck_assert_uint_eq(look().sas, 0); /* probing leaves nothing */
	REFUSED(can_ah(12, 256, 14), KERN_UNSUPPORTED_ENCR);
	REFUSED(can_ah(0, 256, 14), KERN_UNSUPPORTED_KEY_BITS);
	REFUSED(can_ah(0, 0, 0), KERN_UNSUPPORTED_INTEG);

	/* An SPI is one protocol's: both are there, and each is deleted alone. */
	OK(ops->sa_add(kern, &a, &f));
	REFUSED(ops->sa_add(kern, &a, &f), KERN_EXISTS);
	OK(ops->sa_add(kern, &e, &f));
	ck_assert(shown("proto ah spi 0x00000710"));
	ck_assert(shown("proto esp spi 0x00000710"));
	ck_assert(shown("auth-trunc hmac\\(sha512\\) .* 256$"));
	ck_assert_uint_eq(look().sas, 2);
	OK(ops->sa_get(kern, &a.id, &st, &f));
	ck_assert(st.id.ah && !st.larval);
	OK(ops->sa_del(kern, &e.id, &f));
	OK(ops->sa_get(kern, &a.id, &st, &f));
	REFUSED(ops->sa_get(kern, &e.id, &st, &f), KERN_ABSENT);
	ck_assert(look().sa.id.ah);

	foreigner(act_delete_ah);
	ev = wait_event(KERN_EV_SA_DELETED, 3000);
	ck_assert_ptr_nonnull(ev);
	ck_assert(ev->sa.ah);
	ck_assert_uint_eq(look().sas, 0);

	/* The same selector, another protocol: another policy. */
	OK(ops->policy_put(kern, &p, &f));
	seen = look();
	ck_assert(!seen.policy.ah);
	p.ah = true;
	ck_assert(!kern_policy_same(&seen.policy, &p));
	OK(ops->policy_put(kern, &p, &f));
	seen = look();
	ck_assert_uint_eq(seen.policies, 1);
	ck_assert(kern_policy_same(&seen.policy, &p));
	ck_assert_int_eq(system("ip xfrm policy | grep -q 'proto ah.*reqid 7 .*mode tunnel'"), 0);

	a.encr_key_len = 32;
	REFUSED(ops->sa_add(kern, &a, &f), KERN_UNSUPPORTED_KEY_BITS);
}
END_TEST

/* --- which of several outbound SAs --------------------------------------------- */

/* Is one dated ahead, as one without a hard lifetime is? */
static bool dated_ahead(void)
{
	time_t now = time(NULL);
	int year = localtime(&now)->tm_year + 1900;
	char pattern[40];

	snprintf(pattern, sizeof(pattern), "add (%d|%d)-", year + 9, year + 10);
	return shown(pattern);
}

START_TEST(prefer_the_only_one)
{
	struct kern_sa a = sa(0x710), b = sa(0x720), of_another = sa(0x730), back = sa(0x740);
	struct kern_sa_state st;

	of_another.reqid = 8;
	back.src = a.id.dst;
	back.id.dst = a.src;
	OK(ops->sa_add(kern, &a, &f));
	OK(ops->sa_add(kern, &b, &f));
	OK(ops->sa_add(kern, &of_another, &f));
	OK(ops->sa_add(kern, &back, &f));
	OK(ops->sa_prefer(kern, &a.id, true, &f)); /* which of both is not known */
	ck_assert(!dated_ahead());
	OK(ops->sa_del(kern, &b.id, &f));
	OK(ops->sa_prefer(kern, &a.id, true, &f));
	ck_assert(dated_ahead());
	OK(ops->sa_get(kern, &a.id, &st, &f)); /* but it is as old as it is */
	ck_assert_int_le(llabs((long long)st.added_at - (long long)time(NULL)), 60);
	OK(ops->sa_add(kern, &b, &f));
	OK(ops->sa_prefer(kern, &a.id, true, &f));
	OK(ops->sa_prefer(kern, &b.id, true, &f));
	OK(ops->sa_prefer(kern, &a.id, false, &f));
	ck_assert(!dated_ahead());
	OK(ops->sa_del(kern, &a.id, &f));
	REFUSED(ops->sa_prefer(kern, &a.id, true, &f), KERN_ABSENT);
}
END_TEST

/* --- what only XFRM can ------------------------------------------------------- */

static struct kern_sa aead(uint32_t spi, uint16_t encr, uint16_t bits)
{
	struct kern_sa s = sa(spi);

	s.encr = encr;
	s.integ = 0;
	s.encr_key_len = (uint16_t)(bits / 8 + 4);
	s.integ_key_len = 0;
	return s;
}

/* What iproute2 says of the SAs there are. */
START_TEST(xfrm_limits)
{
	OK(can(20, 256, 0, 32, &f));
	OK(can(20, 128, 0, 4096, &f));
	OK(can(12, 256, 12, 64, &f));
	ck_assert_uint_eq(look().sas, 0); /* probing leaves nothing */
	REFUSED(can(20, 256, 14, 32, &f), KERN_UNSUPPORTED_INTEG);
	REFUSED(can(18, 256, 0, 32, &f), KERN_UNSUPPORTED_ENCR);
	REFUSED(can(12, 256, 14, 4097, &f), KERN_UNSUPPORTED_WINDOW);
	ck_assert_uint_gt(ops->reqid_max(kern), 0x3fff);
}
END_TEST

START_TEST(xfrm_combined_modes)
{
	struct kern_sa s = aead(0x810, 20, 256);
	struct kern_sa_state st;

	OK(ops->sa_add(kern, &s, &f));
	ck_assert(shown("aead rfc4106\\(gcm\\(aes\\)\\) .* 128$"));
	OK(ops->sa_get(kern, &s.id, &st, &f));
	ck_assert(!st.larval);
	OK(ops->sa_del(kern, &s.id, &f));
	s.encr_key_len = 32; /* the salt is missing */
	REFUSED(ops->sa_add(kern, &s, &f), KERN_UNSUPPORTED_KEY_BITS);
	OK(can(28, 0, 0, 32, &f)); /* it has one key length, which is not said */
	s = aead(0x811, 28, 256);
	OK(ops->sa_add(kern, &s, &f));
	ck_assert(shown("aead rfc7539esp"));
}
END_TEST

START_TEST(xfrm_truncation_and_window)
{
	struct kern_sa s = sa(0x820);

	s.integ = 12;
	s.integ_key_len = 32;
	s.replay_window = 1024;
	OK(ops->sa_add(kern, &s, &f));
	ck_assert(shown("auth-trunc hmac\\(sha256\\) .* 128$"));
	ck_assert(shown("replay_window 1024"));
}
END_TEST

START_TEST(xfrm_esn)
{
	struct kern_sa s = sa(0x830);

	OK(ops->can(kern, &esn_cbc, 256, &f));
	s.esn = true;
	s.replay_window = 256;
	OK(ops->sa_add(kern, &s, &f));
	ck_assert(shown("flag.* esn"));
	ck_assert(shown("replay_window 256"));
	OK(ops->sa_del(kern, &s.id, &f));
	s.replay_window = 0; /* the kernel has none without a window */
	OK(ops->sa_add(kern, &s, &f));
	ck_assert(shown("replay_window 32"));
	s = aead(0x831, 20, 256);
	s.esn = true;
	OK(ops->sa_add(kern, &s, &f));
}
END_TEST

/* 6 in 4: what is inside may be of the other family. */
START_TEST(xfrm_mixed_families)
{
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);

	p.sel.src = prefix("2001:db8:1::/48");
	p.sel.dst = prefix("2001:db8:2::/48");
	check_policy(&p);
}
END_TEST

static void hear_vrf(void *arg, const struct kern_net_event *e)
{
	*(bool *)arg |= e->kind == KERN_NET_VRF;
}

static bool heard_vrf(void)
{
	bool heard = false;

	ops->net_read(kern, hear_vrf, &heard);
	return heard;
}

static void see_rule(void *arg, const struct kern_policy *p)
{
	unsigned *seen = arg;

	*seen += p->sel.ifindex == 0x40000001 || p->sel.mark.value == 0x20000;
}

/* Policies of an interface and of marks beside those of all; SAs that mark; rules. */
START_TEST(xfrm_apart)
{
	struct kern_policy out = policy(KERN_OUT, KERN_PROTECT);
	struct kern_policy in = policy(KERN_IN, KERN_DISCARD);
	struct kern_sa s = sa(0x710);
	const struct kern_rule rules[] = {{{0x10000, 0xffff0000}, 1}, {{0x20000, 0xffff0000}, 2}};
	struct kern_sa_state state;
	struct kern_vrf v;
	unsigned seen = 0;

	OK(ops->policy_add(kern, &out, &f));
	OK(ops->policy_add(kern, &in, &f));
	out.sel.ifindex = 0x40000001;
	in.sel.mark = rules[1].mark;
	OK(ops->policy_add(kern, &out, &f));
	OK(ops->policy_add(kern, &in, &f));
	REFUSED(ops->policy_add(kern, &out, &f), KERN_EXISTS);
	REFUSED(ops->policy_add(kern, &in, &f), KERN_EXISTS);
	OK(ops->policy_put(kern, &in, &f));
	OK(ops->policy_dump(kern, see_rule, &seen, &f));
	ck_assert_uint_eq(seen, 2);
	OK(ops->policy_del(kern, &out.sel, &f));
	OK(ops->policy_del(kern, &in.sel, &f));
	REFUSED(ops->policy_del(kern, &in.sel, &f), KERN_ABSENT);
	ck_assert_uint_eq(look().policies, 2); /* those of all */

	s.set_mark = rules[0].mark;
	OK(ops->sa_add(kern, &s, &f));
	OK(ops->sa_get(kern, &s.id, &state, &f));
	ck_assert(kern_mark_same(&state.set_mark, &s.set_mark));
	s.id.spi = 0x720;
	s.set_mark.value = 0; /* takes the mark away */
	OK(ops->sa_add(kern, &s, &f));
	OK(ops->sa_get(kern, &s.id, &state, &f));
	ck_assert(kern_mark_same(&state.set_mark, &s.set_mark));

	REFUSED(ops->vrf_find(kern, "nowhere", &v, &f), KERN_ABSENT);
	REFUSED(ops->vrf_find(kern, "lo", &v, &f), KERN_ABSENT);
	ck_assert_int_eq(system("/run/modprobe vrf; ip link add vrfblue type vrf table 77"), 0);
	OK(ops->vrf_find(kern, "vrfblue", &v, &f));
	ck_assert_uint_eq(v.table, 77);
	(void)heard_vrf(); /* of its making */
	OK(ops->rules(kern, rules, 2, true, &f));
	OK(ops->rules(kern, rules, 2, true, &f));
	ck_assert_int_eq(system("test $(ip rule | grep -c 'fwmark.*proto 67') = 2"), 0);
	ck_assert_int_eq(system("test $(ip -6 rule | grep -c 'fwmark.*proto 67') = 2"), 0);
	OK(ops->rules(kern, rules, 1, false, &f));
	ck_assert_int_eq(system("test $(ip rule | grep -c 'fwmark.*proto 67') = 2"), 0);
	OK(ops->rules(kern, rules, 1, true, &f));
	ck_assert_int_eq(system("test $(ip rule | grep -c 'fwmark.*proto 67') = 1"), 0);
	(void)heard_vrf();
	ck_assert_int_eq(system("ip rule del pref 435"), 0);
	ck_assert(heard_vrf()); /* heard */
	ck_assert(!heard_vrf());
	ck_assert_int_eq(system("ip rule add fwmark 0x30000/0xff0000 lookup 5"), 0);
	REFUSED(ops->rules(kern, rules, 2, true, &f), KERN_EXISTS);
	ck_assert_int_eq(
	    system("ip rule del fwmark 0x30000/0xff0000 lookup 5 && ip link del vrfblue"), 0);
	ck_assert(heard_vrf());
	OK(ops->rules(kern, NULL, 0, true, &f));
	ck_assert_int_eq(system("! ip -6 rule | grep 'proto 67'"), 0);
}
END_TEST

START_TEST(xfrm_says_why)
{
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);

	ck_assert_int_eq(ops->policy_del(kern, &p.sel, &f), -1);
	ck_assert_int_eq(f.kind, KERN_ABSENT);
	ck_assert_ptr_nonnull(strstr(f.text, "DELPOLICY out 10.9.0.0/16"));
}
END_TEST

/* a plan whose last operation a foreign SA refuses leaves the kernel as it was */
START_TEST(plan_is_undone)
{
	struct kstate *ks = kstate_new(ops, kern);
	struct kern_policy p = policy(KERN_OUT, KERN_PROTECT);
	struct kern_policy q = policy(KERN_FWD, KERN_PROTECT);
	struct kern_sa a = sa(0x710);
	struct kern_sa b = sa(0x720);
	struct korigin origin = {.instance = 42};
	struct korigin o;
	struct kplan *plan;
	struct seen s;

	OK(ops->sa_add(kern, &b, &f));
	OK(ops->policy_put(kern, &p, &f));
	OK(kstate_load(ks, NULL, NULL, &f));
	ck_assert_uint_eq(kstate_policy_count(ks), 1);
	kstate_sa_forget(ks, &b.id); /* as if it were not known */
	plan = kplan_new(ks);
	p.priority += 9;
	kplan_policy_put(plan, 1, &p, &(struct korigin) {0});
	kplan_policy_put(plan, 1, &q, &(struct korigin) {0});
	kplan_sa_add(plan, &a, true, &(struct korigin) {0});
	kplan_sa_add(plan, &b, false, &origin);
	REFUSED(kplan_apply(plan, &f, &o), KERN_EXISTS);
	ck_assert_uint_eq(o.instance, 42);
	kplan_free(plan);
	s = look();
	ck_assert_uint_eq(s.policies, 1);
	ck_assert_uint_eq(s.policy.priority, KERN_PRIO_BASE + 5);
	ck_assert_uint_eq(s.sas, 1);
	ck_assert_uint_eq(s.sa.id.spi, 0x720);
	kstate_free(ks);
}
END_TEST

struct test {
	const struct kern_ops *only; /* NULL: every back end's */
	const TTest *test;
};

static Suite *suite_of(const struct kern_ops *o, const struct test *tests, size_t count)
{
	Suite *s = suite_create(o->name);
	TCase *t = tcase_create(o->name);

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	for (size_t i = 0; i < count; i++)
		if (tests[i].only == NULL || tests[i].only == o)
			tcase_add_test(t, tests[i].test);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	static const struct kern_ops *const every[] = {&kern_pfkey_ops, &kern_xfrm_ops};
	const struct test tests[] = {
	    {NULL, algorithms},
	    {NULL, sa_life},
	    {NULL, sa_ipv6_and_transport},
	    {NULL, sa_refusals},
	    {NULL, sa_encap},
	    {NULL, policies},
	    {NULL, policy_selectors},
	    {NULL, dumps},
	    {NULL, own_changes_are_no_events},
	    {NULL, foreign_changes_are_events},
	    {NULL, requests_work_among_broadcasts},
	    {NULL, expiry},
	    {NULL, acquire},
	    {NULL, plan_is_undone},
	    {NULL, ah},
	    {NULL, prefer_the_only_one},
	    {&kern_pfkey_ops, pfkey_limits},
	    {&kern_pfkey_ops, kernel_has_no_aead},
	    {&kern_xfrm_ops, xfrm_limits},
	    {&kern_xfrm_ops, xfrm_combined_modes},
	    {&kern_xfrm_ops, xfrm_truncation_and_window},
	    {&kern_xfrm_ops, xfrm_esn},
	    {&kern_xfrm_ops, xfrm_mixed_families},
	    {&kern_xfrm_ops, xfrm_apart},
	    {&kern_xfrm_ops, xfrm_says_why},
	};
	int failed = 0;

	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		SRunner *r;

		ops = every[i];
		r = srunner_create(suite_of(ops, tests, sizeof(tests) / sizeof(tests[0])));
		srunner_run_all(r, CK_ENV);
		failed += srunner_ntests_failed(r);
		srunner_free(r);
	}
	return failed != 0;
}
