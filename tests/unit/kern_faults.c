/*
 * kern_faults.c - see kern_faults.h.
 *
 * A daemon (copspepd_faults) is told by a file, which $COPS_FAULTS names and the next operation
 * reads and removes: "refuse N", "no-reply N", "kill-before N", "kill-after N".  "count 0"
 * counts only.  What an operation was is written to that name with ".log", a line each.
 */
#include "tests/unit/kern_faults.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct kern_ops __real_kern_pfkey_ops;
extern const struct kern_ops __real_kern_xfrm_ops;
struct kern_ops __wrap_kern_pfkey_ops;
struct kern_ops __wrap_kern_xfrm_ops;

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len);

static const struct kern_ops *real; /* of the back end that was opened last */
static const char *file;	    /* NULL: nobody tells by a file */
static unsigned count;
static unsigned at;
static enum faults_what what;
static int error;
static struct faults_seen seen;
static enum faults_op met[FAULTS_MET_MAX];

void kern_faults_arm(unsigned n, enum faults_what w, int err)
{
	count = 0;
	at = n;
	what = w;
	error = err;
	memset(&seen, 0, sizeof(seen));
}

unsigned kern_faults_operations(void)
{
	return count;
}

enum faults_op kern_faults_met(unsigned n)
{
	return met[n % FAULTS_MET_MAX];
}

const struct faults_seen *kern_faults_seen(void)
{
	return &seen;
}

/* $COPS_FAULTS_RCVBUF: octets that sockets to the kernel get instead of what they ask for. */
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
	const char *room = getenv("COPS_FAULTS_RCVBUF");
	int size = room ? atoi(room) : 0;

	if (size && level == SOL_SOCKET && option == SO_RCVBUFFORCE)
		return __real_setsockopt(fd, level, option, &size, sizeof(size));
	return __real_setsockopt(fd, level, option, value, len);
}

static void read_orders(void)
{
	static const char *const word[] = {
	    "count", "refuse", "no-reply", "kill-before", "kill-after"};
	char w[20];
	unsigned n;
	FILE *in = file ? fopen(file, "re") : NULL;

	if (!in)
		return;
	if (fscanf(in, "%19s %u", w, &n) == 2)
		for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
			if (!strcmp(w, word[i]))
				kern_faults_arm(n, (enum faults_what)i, EINVAL);
	fclose(in);
	unlink(file);
}

static void note(bool hit, const char *text)
{
	char name[300];
	FILE *out;

	if (!file)
		return;
	snprintf(name, sizeof(name), "%s.log", file);
	if (!(out = fopen(name, "ae")))
		return;
	fprintf(out, "%u %s%s\n", count, text, hit ? " HIT" : "");
	fclose(out);
}

/* Count this operation, told by what it is of.  What happens to it? */
static enum faults_what meet_any(enum faults_op op, const char *object)
{
	static const char *const name[] = {"sa-add", "sa-del", "policy-put", "policy-del",
	    "device-put", "device-del", "route-put", "route-del", "tunnel-put", "tunnel-del"};
	char line[KERN_STRLEN + 20];
	bool hit;

	read_orders();
	hit = ++count == at;
	met[count % FAULTS_MET_MAX] = op;
	snprintf(line, sizeof(line), "%s %s", name[op], object);
	note(hit, line);
	if (!hit)
		return FAULTS_NONE;
	seen.hit = true;
	seen.op = op;
	if (what == FAULTS_KILL_BEFORE)
		kill(getpid(), SIGKILL);
	return what;
}

static enum faults_what meet(enum faults_op op, const struct kern_sa_id *sa, const struct addr *src,
    const struct kern_selector *sel)
{
	char text[KERN_STRLEN];
	enum faults_what w = meet_any(
	    op, sa ? kern_sa_id_print(sa, text) : kern_selector_print(sel, text));

	if (w == FAULTS_NONE)
		return w;
	if (sa)
		seen.sa = *sa;
	if (src)
		seen.sa_src = *src;
	if (sel)
		seen.sel = *sel;
	return w;
}

static enum faults_what meet_device(enum faults_op op, uint32_t vpn)
{
	char name[KERN_IF_NAME_LEN];
	enum faults_what w = meet_any(op, kern_device_name(vpn, name));

	if (w != FAULTS_NONE)
		seen.route = (struct kern_route) {.vpn = vpn};
	return w;
}

static enum faults_what meet_route(enum faults_op op, const struct kern_route *r)
{
	char text[PREFIX_STRLEN];
	enum faults_what w = meet_any(op, prefix_print(&r->dst, text));

	if (w != FAULTS_NONE)
		seen.route = *r;
	return w;
}

static enum faults_what meet_tunnel(enum faults_op op, uint32_t id)
{
	char name[KERN_TUNNEL_NAME_LEN];
	enum faults_what w = meet_any(op, kern_tunnel_name(id, name));

	if (w != FAULTS_NONE)
		seen.tunnel = id;
	return w;
}

static int after(enum faults_what w, int ret, struct kern_fault *f)
{
	if (w == FAULTS_KILL_AFTER)
		kill(getpid(), SIGKILL);
	if (w == FAULTS_NO_REPLY && ret == 0)
		return kern_fault_set(f, KERN_NO_REPLY, ETIMEDOUT, "operation %u", count);
	return ret;
}

static int refuse(struct kern_fault *f)
{
	return kern_fault_set(f, KERN_REFUSED, error, "operation %u", count);
}

static int faults_sa_add(struct kern *k, const struct kern_sa *sa, struct kern_fault *f)
{
	enum faults_what w = meet(FAULTS_SA_ADD, &sa->id, &sa->src, NULL);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->sa_add(k, sa, f), f);
}

static int faults_sa_del(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f)
{
	enum faults_what w = meet(FAULTS_SA_DEL, id, NULL, NULL);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->sa_del(k, id, f), f);
}

static int faults_policy_add(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	enum faults_what w = meet(FAULTS_POLICY_PUT, NULL, NULL, &p->sel);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->policy_add(k, p, f), f);
}

static int faults_policy_put(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	enum faults_what w = meet(FAULTS_POLICY_PUT, NULL, NULL, &p->sel);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->policy_put(k, p, f), f);
}

static int faults_policy_del(struct kern *k, const struct kern_selector *sel, struct kern_fault *f)
{
	enum faults_what w = meet(FAULTS_POLICY_DEL, NULL, NULL, sel);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->policy_del(k, sel, f), f);
}

static int faults_tunnel_put(struct kern *k, const struct kern_tunnel *t,
    const struct kern_tunnel *was, struct kern_fault *f)
{
	enum faults_what w = meet_tunnel(FAULTS_TUNNEL_PUT, t->id);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->tunnel_put(k, t, was, f), f);
}

static int faults_tunnel_del(struct kern *k, uint32_t id, struct kern_fault *f)
{
	enum faults_what w = meet_tunnel(FAULTS_TUNNEL_DEL, id);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->tunnel_del(k, id, f), f);
}

static int faults_device_put(struct kern *k, const struct kern_device *d, struct kern_fault *f)
{
	enum faults_what w = meet_device(FAULTS_DEVICE_PUT, d->vpn);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->device_put(k, d, f), f);
}

static int faults_device_del(struct kern *k, uint32_t vpn, struct kern_fault *f)
{
	enum faults_what w = meet_device(FAULTS_DEVICE_DEL, vpn);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->device_del(k, vpn, f), f);
}

static int faults_route_add(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	enum faults_what w = meet_route(FAULTS_ROUTE_PUT, r);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->route_add(k, r, f), f);
}

static int faults_route_put(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	enum faults_what w = meet_route(FAULTS_ROUTE_PUT, r);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->route_put(k, r, f), f);
}

static int faults_route_del(struct kern *k, const struct kern_route *r, struct kern_fault *f)
{
	enum faults_what w = meet_route(FAULTS_ROUTE_DEL, r);
	return w == FAULTS_REFUSE ? refuse(f) : after(w, real->route_del(k, r, f), f);
}

static struct kern *open_pfkey(struct kern_fault *f)
{
	real = &__real_kern_pfkey_ops;
	return real->open(f);
}

static struct kern *open_xfrm(struct kern_fault *f)
{
	real = &__real_kern_xfrm_ops;
	return real->open(f);
}

/* The operations that change the kernel are ours, the rest is theirs. */
static void wrap(
    struct kern_ops *ops, const struct kern_ops *of, struct kern *(*opener)(struct kern_fault *f))
{
	*ops = *of;
	ops->open = opener;
	ops->sa_add = faults_sa_add;
	ops->sa_del = faults_sa_del;
	ops->policy_add = faults_policy_add;
	ops->policy_put = faults_policy_put;
	ops->policy_del = faults_policy_del;
	ops->tunnel_put = faults_tunnel_put;
	ops->tunnel_del = faults_tunnel_del;
	ops->device_put = faults_device_put;
	ops->device_del = faults_device_del;
	ops->route_add = faults_route_add;
	ops->route_put = faults_route_put;
	ops->route_del = faults_route_del;
}

static void __attribute__((constructor)) start(void)
{
	file = getenv("COPS_FAULTS");
	wrap(&__wrap_kern_pfkey_ops, &__real_kern_pfkey_ops, open_pfkey);
	wrap(&__wrap_kern_xfrm_ops, &__real_kern_xfrm_ops, open_xfrm);
}
