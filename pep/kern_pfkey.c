/*
 * kern_pfkey.c - SAD and SPD of a real Linux kernel through PF_KEY v2.
 *
 * Two sockets.  The request socket: one request at a time, its reply matched on (seq,
 * pid) and read before the call returns; what others cause arrives there too and is skipped.  The
 * event socket, registered for ESP: what others did, told from our own by pid, EXPIRE and
 * ACQUIRE.  Linux drops what does not fit into the event socket without a word, so its fill is
 * looked at before each read, and it is emptied now and then during long runs of requests of our
 * own.
 *
 * Replies and broadcasts carry keys: every buffer is wiped after use.
 */
#include "pep/kern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "pep/kern_pfkey_msg.h"
#include "pep/kern_net.h"
#include "pep/kern_default.h"
#include "pep/kern_prefer.h"
#include "pep/kern_suite.h"
#include "pep/kern_watch.h"
#include "pep/local_addr.h"

#define PROBE_SPI	    0x43505631U
#define MSG_MAX_LEN	    8192 /* octets; an ACQUIRE with all proposals has about 5000 */
#define BATCH		    32	 /* messages a system call */
#define REPLY_TIMEOUT_S	    5
#define RCVBUF_LEN	    (8 << 20)
#define DRAIN_EVERY	    512 /* requests between two looks at the event socket */
#define EVENTS_PENDING	    4096
#define EVENTS_READ_BATCHES 256 /* at one go, then the event loop has its turn */

struct alg_range { /* of the kernel, in bits; max 0 = it has none */
	uint16_t min;
	uint16_t max;
};

struct pending {
	struct kern_event event;
	uint32_t policy_id; /* of an ACQUIRE, 0 = none */
};

struct kern {
	struct kern_net net; /* first (pep/kern_net.h) */
	int request;
	int event;
	int epoll; /* event and wake, for event_fd */
	int wake;
	bool has_ah;
	uint32_t seq;
	uint32_t pid;
	unsigned since_drain;
	struct alg_range auth[256];
	struct alg_range encrypt[256];
	struct pending pending[EVENTS_PENDING];
	size_t pending_first;
	size_t pending_count;
	bool overrun;
	uint64_t in[MSG_MAX_LEN / 8];
	uint64_t event_in[BATCH][MSG_MAX_LEN / 8];
};

/* --- sockets ---------------------------------------------------------------- */

static int pfkey_socket(void)
{
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	int size = RCVBUF_LEN;
	int fd = socket(PF_KEY, SOCK_RAW | SOCK_CLOEXEC, PF_KEY_V2);

	if (fd < 0)
		return -1;
	/* Best effort: without it the default size serves, with more overruns. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int64_t monotonic_s(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/*
 * Receive one message into k->in.  0 and *m, or an errno value (ETIMEDOUT: none came, EPROTO: not
 * a PF_KEY message). The caller wipes k->in.
 */
static int receive(struct kern *k, int fd, struct pfkey_msg *m)
{
	ssize_t n;

	do
		n = recv(fd, k->in, sizeof(k->in), MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? ETIMEDOUT : errno;
	if ((size_t)n > sizeof(k->in) || pfkey_msg_parse(m, k->in, (size_t)n) < 0)
		return EPROTO;
	return 0;
}

static void wipe(struct kern *k, const struct pfkey_msg *m)
{
	explicit_bzero(k->in, m->hdr ? (size_t)m->hdr->sadb_msg_len * 8 : sizeof(k->in));
}

/* After a reply that did not come: a new socket cannot receive it late. */
static void reopen(struct kern *k)
{
	int fd = pfkey_socket();
	if (fd < 0)
		return;
	close(k->request);
	k->request = fd;
}

static void events_drain(struct kern *k);

static void request_begin(struct kern *k, struct pfkey_build *b, uint8_t type, uint8_t satype)
{
	if (++k->since_drain >= DRAIN_EVERY)
		events_drain(k);
	pfkey_build_begin(b, type, satype, ++k->seq, k->pid);
}

/*
 * Send b on fd and wait for its answer.  0 and the view *m over k->in, which the caller wipes; or
 * an errno value: the kernel's, or ETIMEDOUT for no answer.  Wipes b.
 */
static int request_on(struct kern *k, int fd, struct pfkey_build *b, struct pfkey_msg *m)
{
	uint32_t seq = b->hdr.sadb_msg_seq;
	int64_t deadline = 0; /* set when somebody else's message comes: a clock costs a call */
	ssize_t n;
	int err;

	pfkey_build_end(b);
	do
		n = send(fd, b->octet, b->len, 0);
	while (n < 0 && errno == EINTR);
	err = n < 0 ? errno : 0;
	pfkey_build_wipe(b);
	if (err)
		return err;
	for (;;) {
		err = receive(k, fd, m);
		if (err && err != EPROTO)
			return err;
		if (!err && m->hdr->sadb_msg_seq == seq && m->hdr->sadb_msg_pid == k->pid) {
			err = m->hdr->sadb_msg_errno;
			if (err)
				wipe(k, m);
			return err;
		}
		explicit_bzero(k->in, err ? sizeof(k->in) : (size_t)m->hdr->sadb_msg_len * 8);
		if (!deadline)
			deadline = monotonic_s() + REPLY_TIMEOUT_S;
		else if (monotonic_s() > deadline)
			return ETIMEDOUT;
	}
}

static int request(struct kern *k, struct pfkey_build *b, struct pfkey_msg *m)
{
	int err = request_on(k, k->request, b, m);
	if (err == ETIMEDOUT)
		reopen(k);
	return err;
}

/* --- what the kernel can ---------------------------------------------------- */

static void note_supported(const struct sadb_supported *x, struct alg_range range[256])
{
	const struct sadb_alg *alg = (const struct sadb_alg *)(x + 1);
	size_t count;

	if (!x)
		return;
	count = ((size_t)x->sadb_supported_len * 8 - sizeof(*x)) / sizeof(*alg);
	memset(range, 0, 256 * sizeof(*range));
	for (size_t i = 0; i < count; i++) {
		range[alg[i].sadb_alg_id].min = alg[i].sadb_alg_minbits;
		range[alg[i].sadb_alg_id].max = alg[i].sadb_alg_maxbits;
	}
}

static int register_esp(struct kern *k, int fd)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	pfkey_build_begin(&b, SADB_REGISTER, SADB_SATYPE_ESP, ++k->seq, k->pid);
	err = request_on(k, fd, &b, &m);
	if (err)
		return err == EEXIST ? 0 : err;
	note_supported(m.supported_auth, k->auth);
	note_supported(m.supported_encrypt, k->encrypt);
	wipe(k, &m);
	return 0;
}

/* Crypto modules may have been loaded since: a socket registers once only, so take another. */
static void refresh_supported(struct kern *k)
{
	int fd = pfkey_socket();
	int err;

	if (fd < 0)
		return;
	if ((err = register_esp(k, fd)))
		log_warn("PF_KEY: cannot ask for algorithms: %s", strerrordesc_np(err));
	close(fd);
}

static bool in_range(const struct alg_range *r, unsigned bits)
{
	return r->max && bits >= r->min && bits <= r->max;
}

static int probe_ah(struct kern *k, const struct kern_alg *i, struct kern_fault *f);
static int pfkey_sa_del(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f);

static int pfkey_can(
    struct kern *k, const struct suite *s, uint32_t replay_window, struct kern_fault *f)
{
	const struct kern_alg *e, *i;

	if (kern_suite_check(&kern_limits_pfkey, s, replay_window, f) < 0)
		return -1;
	e = kern_suite_encr(s->encr);
	i = kern_suite_integ(s->integ);
	for (int again = 0;; again++) {
		bool has_e = !e || in_range(&k->encrypt[e->sadb], s->encr_key_bits);
		bool has_i = in_range(&k->auth[i->sadb], i->bits[0]);
		if (has_e && has_i)
			return e ? 0 : probe_ah(k, i, f);
		if (again)
			return kern_fault_set(f,
			    has_e ? KERN_UNSUPPORTED_INTEG : KERN_UNSUPPORTED_ENCR, 0,
			    "this kernel has no %s (is a crypto module missing?)",
			    has_e ? i->name : e->name);
		refresh_supported(k);
	}
}

static uint32_t pfkey_reqid_max(const struct kern *k)
{
	(void)k;
	return kern_limits_pfkey.reqid_max;
}

static bool pfkey_has_addr(const struct kern *k, const struct addr *a)
{
	(void)k;
	return local_addr_present(a);
}

/* --- operations ------------------------------------------------------------- */

/* The fault that err is, for an operation on what. */
static int refused(struct kern_fault *f, int err, const char *operation, const char *what)
{
	enum kern_fault_kind kind = KERN_REFUSED;

	if (err == ETIMEDOUT)
		kind = KERN_NO_REPLY;
	else if (err == EEXIST)
		kind = KERN_EXISTS;
	else if (err == ESRCH || err == ENOENT)
		kind = KERN_ABSENT;
	return kern_fault_set(f, kind, err, "PF_KEY %s %s", operation, what);
}

static int refused_sa(
    struct kern_fault *f, int err, const char *operation, const struct kern_sa_id *id)
{
	char text[KERN_STRLEN];
	return refused(f, err, operation, kern_sa_id_print(id, text));
}

static int refused_policy(
    struct kern_fault *f, int err, const char *operation, const struct kern_selector *sel)
{
	char text[KERN_STRLEN];
	return refused(f, err, operation, kern_selector_print(sel, text));
}

static uint8_t satype(const struct kern_sa_id *id)
{
	return id->ah ? SADB_SATYPE_AH : SADB_SATYPE_ESP;
}

static uint8_t host_len(const struct addr *a)
{
	return (uint8_t)(8 * addr_len(a));
}

/*
 * Linux lets through an SA of PF_KEY what is of the outer family, unless a proxy address says
 * otherwise.
 */
static void put_inner(struct pfkey_build *b, const struct kern_sa *sa)
{
	struct addr any = {.family = sa->inner};

	if (sa->mode == KERN_TUNNEL && sa->inner != 0 && sa->inner != sa->id.dst.family)
		pfkey_put_addr(b, SADB_EXT_ADDRESS_PROXY, &any, 0, 0, 0);
}

static void build_sa_add(struct pfkey_build *b, const struct kern_sa *sa)
{
	pfkey_put_sa(b, sa->id.spi, (uint8_t)sa->replay_window, kern_suite_integ(sa->integ)->sadb,
	    sa->id.ah ? SADB_EALG_NONE : kern_suite_encr(sa->encr)->sadb);
	pfkey_put_sa2(b, sa->mode, sa->reqid);
	pfkey_put_lifetime(b, SADB_EXT_LIFETIME_HARD, &sa->hard); /* both or neither */
	pfkey_put_lifetime(b, SADB_EXT_LIFETIME_SOFT, &sa->soft);
	pfkey_put_addr(b, SADB_EXT_ADDRESS_SRC, &sa->src, host_len(&sa->src), 0, 0);
	pfkey_put_addr(b, SADB_EXT_ADDRESS_DST, &sa->id.dst, host_len(&sa->id.dst), 0, 0);
	put_inner(b, sa);
	pfkey_put_encap(b, sa->encap);
	pfkey_put_key(b, SADB_EXT_KEY_AUTH, sa->integ_key, sa->integ_key_len);
	if (!sa->id.ah)
		pfkey_put_key(b, SADB_EXT_KEY_ENCRYPT, sa->encr_key, sa->encr_key_len);
}

static int pfkey_sa_add(struct kern *k, const struct kern_sa *sa, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	if (kern_suite_check_sa(&kern_limits_pfkey, sa, f) < 0)
		return -1;
	request_begin(k, &b, SADB_ADD, satype(&sa->id));
	build_sa_add(&b, sa);
	err = request(k, &b, &m);
	if (!err) {
		wipe(k, &m);
		return 0;
	}
	refused_sa(f, err, "ADD", &sa->id);
	/* ENOENT and ENOSYS: an algorithm or a module it needs (drbg, echainiv, authenc ...) */
	if (err == ENOENT || err == ENOSYS)
		f->kind = sa->id.ah ? KERN_UNSUPPORTED_INTEG : KERN_UNSUPPORTED_ENCR;
	if (err == EPROTONOSUPPORT)
		f->kind = KERN_UNSUPPORTED_PROTOCOL;
	return -1;
}

/* Whether the kernel has AH no list says: an SA to ourselves, which nothing uses, does. */
static int probe_ah(struct kern *k, const struct kern_alg *i, struct kern_fault *f)
{
	struct kern_sa sa = {.id = {.spi = PROBE_SPI, .ah = true},
	    .mode = KERN_TRANSPORT,
	    .integ = i->number,
	    .integ_key_len = i->bits[0] / 8,
	    .hard.seconds = 1};
	int ret;

	if (k->has_ah)
		return 0;
	addr_parse(&sa.id.dst, "127.0.0.2");
	addr_parse(&sa.src, "127.0.0.2");
	arc4random_buf(sa.integ_key, sa.integ_key_len);
	ret = pfkey_sa_add(k, &sa, f);
	if (ret == 0)
		ret = pfkey_sa_del(k, &sa.id, f);
	else if (f->kind == KERN_EXISTS)
		ret = 0; /* another agent's, this moment */
	else if (f->kind == KERN_UNSUPPORTED_PROTOCOL)
		kern_fault_set(f, KERN_UNSUPPORTED_PROTOCOL, 0,
		    "this kernel has no AH (is a module missing?)");
	k->has_ah = ret == 0;
	return ret;
}

static void build_sa_id(struct pfkey_build *b, const struct kern_sa_id *id)
{
	struct addr any = {.family = id->dst.family};

	pfkey_put_sa(b, id->spi, 0, 0, 0);
	pfkey_put_addr(b, SADB_EXT_ADDRESS_SRC, &any, host_len(&any), 0, 0);
	pfkey_put_addr(b, SADB_EXT_ADDRESS_DST, &id->dst, host_len(&id->dst), 0, 0);
}

static int pfkey_sa_del(struct kern *k, const struct kern_sa_id *id, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	request_begin(k, &b, SADB_DELETE, satype(id));
	build_sa_id(&b, id);
	err = request(k, &b, &m);
	if (err)
		return refused_sa(f, err, "DELETE", id);
	wipe(k, &m);
	return 0;
}

static int pfkey_sa_get(
    struct kern *k, const struct kern_sa_id *id, struct kern_sa_state *s, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	request_begin(k, &b, SADB_GET, satype(id));
	build_sa_id(&b, id);
	err = request(k, &b, &m);
	if (!err) {
		err = pfkey_msg_sa(&m, s) < 0 ? EPROTO : 0;
		wipe(k, &m);
	}
	return err ? refused_sa(f, err, "GET", id) : 0;
}

/*
 * UPDATE leaves keys and sequence numbers of an SA that is there alone, but wants to be told them:
 * so the kernel gets its own words back, with other ports.
 */
static int pfkey_sa_ports(
    struct kern *k, const struct kern_sa_id *id, struct kern_encap encap, struct kern_fault *f)
{
	struct pfkey_build b, again;
	struct pfkey_msg m;
	int err;

	request_begin(k, &b, SADB_GET, satype(id));
	build_sa_id(&b, id);
	err = request(k, &b, &m);
	if (err)
		return refused_sa(f, err, "GET", id);
	err = pfkey_build_ports(&again, &m, SADB_UPDATE, encap, ++k->seq, k->pid) < 0 ? EINVAL : 0;
	wipe(k, &m);
	if (!err && !(err = request(k, &again, &m)))
		wipe(k, &m);
	return err ? refused_sa(f, err, "UPDATE", id) : 0;
}

static int policy_request(struct kern *k, uint8_t type, const char *operation,
    const struct kern_policy *p, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	if (kern_suite_check_policy(&kern_limits_pfkey, p, f) < 0)
		return -1;
	request_begin(k, &b, type, SADB_SATYPE_UNSPEC);
	pfkey_put_selector(&b, &p->sel);
	pfkey_put_policy(&b, p);
	err = request(k, &b, &m);
	return err ? refused_policy(f, err, operation, &p->sel) : 0;
}

static int pfkey_policy_add(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	return policy_request(k, SADB_X_SPDADD, "SPDADD", p, f);
}

static int pfkey_policy_put(struct kern *k, const struct kern_policy *p, struct kern_fault *f)
{
	return policy_request(k, SADB_X_SPDUPDATE, "SPDUPDATE", p, f);
}

static int pfkey_policy_del(struct kern *k, const struct kern_selector *sel, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err;

	request_begin(k, &b, SADB_X_SPDDELETE, SADB_SATYPE_UNSPEC);
	pfkey_put_selector(&b, sel);
	pfkey_put_policy_dir(&b, sel->dir);
	err = request(k, &b, &m);
	return err ? refused_policy(f, err, "SPDDELETE", sel) : 0;
}

/* The entry an ACQUIRE names. */
static int policy_by_id(struct kern *k, uint32_t id, struct kern_policy *p)
{
	struct pfkey_build b;
	struct pfkey_msg m;

	request_begin(k, &b, SADB_X_SPDGET, SADB_SATYPE_UNSPEC);
	pfkey_put_policy_id(&b, id);
	return request(k, &b, &m) || pfkey_msg_policy(&m, p) < 0 ? -1 : 0;
}

struct dump {
	void (*sa)(void *arg, const struct kern_sa_state *s);
	void (*policy)(void *arg, const struct kern_policy *p);
	void *arg;
};

static void dump_one(const struct dump *d, const struct pfkey_msg *m)
{
	struct kern_sa_state s;
	struct kern_policy p;

	if (d->sa && pfkey_msg_sa(m, &s) == 0)
		d->sa(d->arg, &s);
	if (d->policy && pfkey_msg_policy(m, &p) == 0)
		d->policy(d->arg, &p);
}

/*
 * The kernel counts the messages of a dump from 1; the last has seq 0.  An empty database is
 * ENOENT. Linux sends as fast as we read: nothing of a dump is lost.
 */
static int dump(
    struct kern *k, uint8_t type, uint8_t satype, const struct dump *d, struct kern_fault *f)
{
	struct pfkey_build b;
	struct pfkey_msg m;
	int err = 0;

	request_begin(k, &b, type, satype);
	pfkey_build_end(&b);
	if (send(k->request, b.octet, b.len, 0) < 0)
		return refused(f, errno, "dump", "");
	for (bool more = true; more && !err;) {
		err = receive(k, k->request, &m);
		if (err == EPROTO) {
			explicit_bzero(k->in, sizeof(k->in));
			break;
		}
		if (err)
			break;
		if (m.hdr->sadb_msg_pid == k->pid && m.hdr->sadb_msg_type == type) {
			err = m.hdr->sadb_msg_errno;
			if (!err)
				dump_one(d, &m);
			more = m.hdr->sadb_msg_seq != 0;
		}
		wipe(k, &m);
	}
	if (err == ENOENT)
		return 0;
	if (!err)
		return 0;
	reopen(k); /* the rest of the dump must not meet the next request */
	return refused(f, err, "dump", type == SADB_DUMP ? "of SAs" : "of policies");
}

static int pfkey_sa_dump(struct kern *k, void (*fn)(void *arg, const struct kern_sa_state *s),
    void *arg, struct kern_fault *f)
{
	struct dump d = {.sa = fn, .arg = arg};
	return dump(k, SADB_DUMP, SADB_SATYPE_UNSPEC, &d, f);
}

static int pfkey_policy_dump(struct kern *k, void (*fn)(void *arg, const struct kern_policy *p),
    void *arg, struct kern_fault *f)
{
	struct dump d = {.policy = fn, .arg = arg};
	return dump(k, SADB_X_SPDDUMP, SADB_SATYPE_UNSPEC, &d, f);
}

/* --- events ----------------------------------------------------------------- */

static void pending_add(struct kern *k, const struct pending *p)
{
	if (k->pending_count == EVENTS_PENDING) {
		k->overrun = true;
		return;
	}
	k->pending[(k->pending_first + k->pending_count++) % EVENTS_PENDING] = *p;
}

/* What a message of the event socket means to us.  false: nothing. */
static bool event_of(const struct pfkey_msg *m, struct pending *p)
{
	struct kern_event *e = &p->event;
	struct kern_policy policy;

	*p = (struct pending) {0};
	switch (m->hdr->sadb_msg_type) {
	case SADB_ACQUIRE:
		e->kind = KERN_EV_ACQUIRE;
		p->policy_id = m->policy ? m->policy->sadb_x_policy_id : 0;
		return pfkey_msg_addr(m->dst, &e->sa.dst, NULL) == 0;
	case SADB_EXPIRE:
		e->kind = m->hard ? KERN_EV_EXPIRE_HARD : KERN_EV_EXPIRE_SOFT;
		e->reqid = m->sa2 ? m->sa2->sadb_x_sa2_reqid : 0;
		return pfkey_msg_sa_id(m, &e->sa) == 0;
	case SADB_FLUSH:
		e->kind = KERN_EV_SA_FLUSHED;
		return true;
	case SADB_DELETE:
		e->kind = KERN_EV_SA_DELETED;
		return pfkey_msg_sa_id(m, &e->sa) == 0;
	case SADB_X_NAT_T_NEW_MAPPING: /* says neither the SA's destination nor its reqid */
		e->kind = KERN_EV_MAPPING;
		if (!m->sa || !m->nat_dport || pfkey_msg_addr(m->dst, &e->from, NULL) < 0)
			return false;
		e->sa.spi = ntohl(m->sa->sadb_sa_spi);
		e->port = ntohs(m->nat_dport->sadb_x_nat_t_port_port);
		return true;
	case SADB_X_SPDFLUSH:
		e->kind = KERN_EV_SPD_FLUSHED;
		return true;
	case SADB_X_SPDADD:
	case SADB_X_SPDUPDATE:
	case SADB_X_SPDDELETE:
	case SADB_X_SPDDELETE2:
		e->kind = KERN_EV_SPD_CHANGED;
		if (pfkey_msg_policy(m, &policy) < 0)
			return false;
		e->sel = policy.sel;
		return true;
	default:
		return false;
	}
}

static void event_message(struct kern *k, const void *buf, size_t len)
{
	struct pfkey_msg m;
	struct pending p;

	if (pfkey_msg_parse(&m, buf, len) < 0) {
		k->overrun = true; /* too long for us, or not PF_KEY: whatever it said, look */
		return;
	}
	if (m.hdr->sadb_msg_pid == k->pid || m.hdr->sadb_msg_errno)
		return;
	if (m.hdr->sadb_msg_type == SADB_REGISTER) {
		note_supported(m.supported_auth, k->auth);
		note_supported(m.supported_encrypt, k->encrypt);
	} else if (event_of(&m, &p)) {
		pending_add(k, &p);
	}
}

/* Linux drops broadcasts to a socket exactly while it holds more than its receive buffer's size. */
static bool was_full(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(mem);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) == 0 &&
	       mem[SK_MEMINFO_RMEM_ALLOC] > mem[SK_MEMINFO_RCVBUF];
}

/* Read up to BATCH messages of fd without waiting, hand them to fn; how many. */
static int read_batch(
    struct kern *k, int fd, void (*fn)(struct kern *k, const void *buf, size_t len))
{
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	int n;

	memset(msg, 0, sizeof(msg));
	for (int i = 0; i < BATCH; i++) {
		iov[i].iov_base = k->event_in[i];
		iov[i].iov_len = sizeof(k->event_in[i]);
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(fd, msg, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno == ENOBUFS)
		k->overrun = true;
	for (int i = 0; i < n; i++) {
		if (fn)
			fn(k, k->event_in[i], msg[i].msg_len);
		explicit_bzero(k->event_in[i], msg[i].msg_len);
	}
	return n;
}

static void events_drain(struct kern *k)
{
	k->since_drain = 0;
	for (int i = 0; i < EVENTS_READ_BATCHES; i++) {
		if (was_full(k->event))
			k->overrun = true;
		if (read_batch(k, k->event, event_message) < BATCH)
			break;
	}
	if (k->pending_count || k->overrun)
		eventfd_write(k->wake, 1);
}

static int pfkey_event_fd(struct kern *k)
{
	return k->epoll;
}

static void pfkey_event_read(
    struct kern *k, void (*fn)(void *arg, const struct kern_event *e), void *arg)
{
	eventfd_t n;

	events_drain(k);
	/* The request socket got copies of what others did. */
	while (read_batch(k, k->request, NULL) == BATCH)
		;
	if (k->overrun) {
		k->overrun = false;
		fn(arg, &(struct kern_event) {.kind = KERN_EV_OVERRUN});
	}
	while (k->pending_count) {
		struct pending p = k->pending[k->pending_first];
		struct kern_policy policy;

		k->pending_first = (k->pending_first + 1) % EVENTS_PENDING;
		k->pending_count--;
		if (p.policy_id && policy_by_id(k, p.policy_id, &policy) == 0) {
			p.event.sel = policy.sel;
			p.event.reqid = policy.reqid;
		}
		fn(arg, &p.event);
	}
	if (!k->overrun)
		(void)!read(k->wake, &n, sizeof(n));
}

/* --- life ------------------------------------------------------------------- */

static int watch(int epoll, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static void pfkey_close(struct kern *k)
{
	if (!k)
		return;
	int fd[] = {k->request, k->event, k->epoll, k->wake};
	for (size_t i = 0; i < sizeof(fd) / sizeof(fd[0]); i++)
		if (fd[i] >= 0)
			close(fd[i]);
	kern_net_close(&k->net);
	free(k);
}

static struct kern *pfkey_open(struct kern_fault *f)
{
	struct kern *k = calloc(1, sizeof(*k));
	int err;

	if (!k) {
		kern_fault_set(f, KERN_REFUSED, ENOMEM, "PF_KEY");
		return NULL;
	}
	k->pid = (uint32_t)getpid();
	k->request = pfkey_socket();
	err = k->request < 0 ? errno : 0;
	if (kern_net_open(&k->net) < 0 && !err)
		err = errno;
	k->event = pfkey_socket();
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	k->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!err && (k->event < 0 || k->epoll < 0 || k->wake < 0 || watch(k->epoll, k->event) < 0 ||
			watch(k->epoll, k->wake) < 0))
		err = errno;
	if (!err)
		err = register_esp(k, k->event);
	if (err) {
		kern_fault_set(f, KERN_REFUSED, err,
		    "PF_KEY (is af_key there, and the right to administer the network?)");
		pfkey_close(k);
		return NULL;
	}
	return k;
}

const struct kern_ops kern_pfkey_ops = {
    .name = "pfkey",
    .one_family = true,
    .open = pfkey_open,
    .close = pfkey_close,
    .can = pfkey_can,
    .reqid_max = pfkey_reqid_max,
    .has_addr = pfkey_has_addr,
    .sa_add = pfkey_sa_add,
    .sa_del = pfkey_sa_del,
    .sa_get = pfkey_sa_get,
    .policy_add = pfkey_policy_add,
    .sa_ports = pfkey_sa_ports,
    .sa_prefer = kern_prefer,
    .policy_put = pfkey_policy_put,
    .policy_del = pfkey_policy_del,
    .sa_dump = pfkey_sa_dump,
    .policy_dump = pfkey_policy_dump,
    .tunnel_put = kern_tunnel_put,
    .tunnel_say = kern_tunnel_say,
    .tunnel_del = kern_tunnel_del,
    .tunnel_dump = kern_tunnel_dump,
    .device_put = kern_device_put,
    .device_del = kern_device_del,
    .device_dump = kern_device_dump,
    .route_add = kern_route_add,
    .route_put = kern_route_put,
    .route_del = kern_route_del,
    .route_dump = kern_route_dump,
    .own_dump = kern_own_dump,
    .interface_get = kern_interface_get,
    .net_fd = kern_net_fd,
    .net_read = kern_net_read,
    .watch = &kern_watch_ops,
    .default_set = kern_default_set,
    .event_fd = pfkey_event_fd,
    .event_read = pfkey_event_read,
};
