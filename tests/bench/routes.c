/*
 * routes.c - routes of many peers into a VPN's device: through the back end alone, one request and
 * its reply after the other, against the same routes through the PEP's plan (order, owners, shadow,
 * undo list and all); then one route more and away again, with all of them there.  Runs inside the
 * test kernel (tests/uml/boot).
 *
 * usage: routes COUNT
 * Prints a line "what value unit" each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pep/kern.h"
#include "pep/kplan.h"

#define VPN   1
#define TIMES 100 /* one more and away again */

static const struct kern_ops *const ops = &kern_xfrm_ops;
static uint64_t sends; /* requests to the kernel */

ssize_t sendto(
    int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
	sends++;
	return syscall(SYS_sendto, fd, buf, len, flags, to, to_len);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void say(const char *what, uint64_t value, const char *unit)
{
	printf("%s %" PRIu64 " %s\n", what, value, unit);
}

static void must(int ret, const struct kern_fault *f)
{
	if (ret == 0)
		return;
	fprintf(stderr, "routes: %s\n", f->text);
	exit(1);
}

static const struct kern_device device = {.vpn = VPN, .mtu = 1400};

static struct kern_route route(unsigned i)
{
	struct kern_route r = {.table = KERN_TABLE_MAIN, .vpn = VPN, .dst.len = 24};

	r.dst.addr.family = AF_INET;
	r.dst.addr.octets[0] = 10;
	r.dst.addr.octets[1] = (uint8_t)(i >> 8);
	r.dst.addr.octets[2] = (uint8_t)i;
	return r;
}

static void alone(struct kern *k, unsigned count)
{
	struct kern_fault f = {0};
	struct kern_route r;
	uint64_t us;

	sends = 0;
	us = now_us();
	must(ops->device_put(k, &device, &f), &f);
	for (unsigned i = 0; i < count; i++) {
		r = route(i);
		must(ops->route_add(k, &r, &f), &f);
	}
	say("alone_us", now_us() - us, "us");
	say("alone_requests", sends, "requests");
	r = route(count);
	sends = 0;
	us = now_us();
	for (unsigned i = 0; i < TIMES; i++) {
		must(ops->route_add(k, &r, &f), &f);
		must(ops->route_del(k, &r, &f), &f);
	}
	say("alone_one_ns", (now_us() - us) * 1000 / TIMES, "ns");
	say("alone_one_requests", sends / TIMES, "requests");
	must(ops->device_del(k, VPN, &f), &f);
}

/* A peer's routes are its own: the owner is its number. */
static void put(struct kplan *p, unsigned i)
{
	const struct kern_route r = route(i);

	kplan_route_drop(p, i + 1);
	kplan_route_put(p, i + 1, &r, &(struct korigin) {0});
}

static void apply(struct kplan *p)
{
	struct kern_fault f = {0};
	struct korigin o;

	must(kplan_apply(p, &f, &o), &f);
	kplan_free(p);
}

static void plan(struct kern *k, unsigned count)
{
	struct kstate *ks = kstate_new(ops, k);
	struct kern_fault f = {0};
	struct kplan *p;
	uint64_t us;

	sends = 0;
	us = now_us();
	p = kplan_new(ks);
	kplan_device_put(p, &device, &(struct korigin) {0});
	for (unsigned i = 0; i < count; i++)
		put(p, i);
	apply(p);
	say("plan_us", now_us() - us, "us");
	say("plan_requests", sends, "requests");
	sends = 0;
	us = now_us();
	for (unsigned i = 0; i < TIMES; i++) {
		p = kplan_new(ks);
		put(p, count);
		apply(p);
		p = kplan_new(ks);
		kplan_route_drop(p, count + 1);
		apply(p);
	}
	say("plan_one_ns", (now_us() - us) * 1000 / TIMES, "ns");
	say("plan_one_requests", sends / TIMES, "requests");
	kstate_free(ks);
	must(ops->device_del(k, VPN, &f), &f);
}

int main(int argc, char **argv)
{
	unsigned count = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	struct kern_fault f = {0};
	struct kern *k;

	if (count == 0 || count > 60000) {
		fprintf(stderr, "usage: routes COUNT\n");
		return 2;
	}
	must((k = ops->open(&f)) ? 0 : -1, &f);
	for (unsigned i = 0; i < 3; i++) { /* the reader takes medians */
		alone(k, count);
		plan(k, count);
	}
	ops->close(k);
	return 0;
}
