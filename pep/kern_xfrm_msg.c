/*
 * kern_xfrm_msg.c - see kern_xfrm_msg.h.
 */
#include "pep/kern_xfrm_msg.h"

#include <arpa/inet.h>
#include <linux/udp.h>
#include <string.h>

#include "pep/kern_prefer.h"
#include "pep/kern_suite.h"

/* --- addresses, selectors, lifetimes ------------------------------------------ */

static void put_addr(xfrm_address_t *x, const struct addr *a)
{
	memset(x, 0, sizeof(*x));
	memcpy(x, a->octets, addr_len(a));
}

static int get_addr(struct addr *a, const xfrm_address_t *x, uint16_t family)
{
	size_t len = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;

	return addr_from_octets(a, (const uint8_t *)x, len);
}

static void put_selector(struct xfrm_selector *x, const struct kern_selector *s)
{
	put_addr(&x->daddr, &s->dst.addr);
	put_addr(&x->saddr, &s->src.addr);
	x->prefixlen_d = s->dst.len;
	x->prefixlen_s = s->src.len;
	x->family = s->dst.addr.family;
	x->proto = s->proto;
	x->sport = htons(s->sport);
	x->sport_mask = s->sport != 0 ? 0xffff : 0;
	x->dport = htons(s->dport);
	x->dport_mask = s->dport != 0 ? 0xffff : 0;
	x->ifindex = (int)s->ifindex;
}

static int get_selector(struct kern_selector *s, const struct xfrm_selector *x, uint8_t dir)
{
	static const enum kern_dir dirs[] = {
	    [XFRM_POLICY_IN] = KERN_IN, [XFRM_POLICY_OUT] = KERN_OUT, [XFRM_POLICY_FWD] = KERN_FWD};

	memset(s, 0, sizeof(*s));
	if (dir > XFRM_POLICY_FWD || get_addr(&s->src.addr, &x->saddr, x->family) != 0 ||
	    get_addr(&s->dst.addr, &x->daddr, x->family) != 0 ||
	    x->prefixlen_s > 8 * addr_len(&s->src.addr) ||
	    x->prefixlen_d > 8 * addr_len(&s->dst.addr))
		return -1; /* a socket's own policy, or no addresses at all */
	s->src.len = x->prefixlen_s;
	s->dst.len = x->prefixlen_d;
	s->proto = x->proto;
	s->sport = ntohs(x->sport);
	s->dport = ntohs(x->dport);
	s->ifindex = (uint32_t)x->ifindex;
	s->dir = dirs[dir];
	return 0;
}

/* Of a policy the mark is no part of the selector, but of what names it. */
static void get_mark(struct kern_mark *mark, const struct nlmsghdr *h, size_t fixed_len)
{
	const struct xfrm_mark *m = xfrm_msg_attr(h, fixed_len, XFRMA_MARK, sizeof(*m));

	if (m != NULL)
		*mark = (struct kern_mark) {.value = m->v, .mask = m->m};
}

static uint8_t protocol(bool ah)
{
	return ah ? IPPROTO_AH : IPPROTO_ESP;
}

static bool is_protocol(uint8_t proto)
{
	return proto == IPPROTO_ESP || proto == IPPROTO_AH;
}

static uint8_t xfrm_dir(enum kern_dir dir)
{
	return dir == KERN_IN	 ? XFRM_POLICY_IN
	       : dir == KERN_OUT ? XFRM_POLICY_OUT
				 : XFRM_POLICY_FWD;
}

static void no_limits(struct xfrm_lifetime_cfg *l)
{
	l->soft_byte_limit = l->hard_byte_limit = XFRM_INF;
	l->soft_packet_limit = l->hard_packet_limit = XFRM_INF;
}

/* --- requests ------------------------------------------------------------------ */

/* The fixed part of a request, zeroed. */
static void *begin(struct xfrm_build *b, uint16_t type, uint16_t flags, size_t len)
{
	mnl_nlmsg_put_header(b->octet);
	b->hdr.nlmsg_type = type;
	b->hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(&b->hdr, len);
}

void xfrm_build_wipe(struct xfrm_build *b)
{
	explicit_bzero(b->octet, b->hdr.nlmsg_len);
}

/* A key with its algorithm: the three structs differ in what stands before the key. */
static void put_crypt(struct xfrm_build *b, const struct kern_sa *sa, const struct kern_alg *e)
{
	uint8_t octet[sizeof(struct xfrm_algo) + KERN_KEY_MAX] = {0};
	struct xfrm_algo *a = (struct xfrm_algo *)octet;

	strncpy(a->alg_name, e->xfrm, sizeof(a->alg_name) - 1);
	a->alg_key_len = sa->encr_key_len * 8U;
	memcpy(a->alg_key, sa->encr_key, sa->encr_key_len);
	mnl_attr_put(&b->hdr, XFRMA_ALG_CRYPT, sizeof(*a) + sa->encr_key_len, a);
	explicit_bzero(octet, sizeof(octet));
}

static void put_auth(struct xfrm_build *b, const struct kern_sa *sa, const struct kern_alg *i)
{
	uint8_t octet[sizeof(struct xfrm_algo_auth) + KERN_KEY_MAX] = {0};
	struct xfrm_algo_auth *a = (struct xfrm_algo_auth *)octet;

	strncpy(a->alg_name, i->xfrm, sizeof(a->alg_name) - 1);
	a->alg_key_len = sa->integ_key_len * 8U;
	a->alg_trunc_len = i->icv_bits;
	memcpy(a->alg_key, sa->integ_key, sa->integ_key_len);
	mnl_attr_put(&b->hdr, XFRMA_ALG_AUTH_TRUNC, sizeof(*a) + sa->integ_key_len, a);
	explicit_bzero(octet, sizeof(octet));
}

static void put_aead(struct xfrm_build *b, const struct kern_sa *sa, const struct kern_alg *e)
{
	uint8_t octet[sizeof(struct xfrm_algo_aead) + KERN_KEY_MAX] = {0};
	struct xfrm_algo_aead *a = (struct xfrm_algo_aead *)octet;

	strncpy(a->alg_name, e->xfrm, sizeof(a->alg_name) - 1);
	a->alg_key_len = sa->encr_key_len * 8U;
	a->alg_icv_len = e->icv_bits;
	memcpy(a->alg_key, sa->encr_key, sa->encr_key_len);
	mnl_attr_put(&b->hdr, XFRMA_ALG_AEAD, sizeof(*a) + sa->encr_key_len, a);
	explicit_bzero(octet, sizeof(octet));
}

/*
 * Windows of more than 32 packets have a bitmap, which the old struct has no room for, nor for the
 * upper half of extended sequence numbers.  These need a window also to be known at all.
 */
static void put_replay(struct xfrm_build *b, struct xfrm_usersa_info *x, const struct kern_sa *sa)
{
	uint32_t window = sa->esn && sa->replay_window == 0 ? 32 : sa->replay_window;
	uint8_t octet[sizeof(struct xfrm_replay_state_esn) + XFRMA_REPLAY_ESN_MAX / 8] = {0};
	struct xfrm_replay_state_esn *r = (struct xfrm_replay_state_esn *)octet;

	if (window <= 32 && !sa->esn) {
		x->replay_window = (uint8_t)window;
		return;
	}
	if (sa->esn)
		x->flags |= XFRM_STATE_ESN;
	r->bmp_len = (window + 31) / 32;
	r->replay_window = window;
	mnl_attr_put(&b->hdr, XFRMA_REPLAY_ESN_VAL, sizeof(*r) + r->bmp_len * 4, r);
}

static void put_encap(struct xfrm_build *b, struct kern_encap e)
{
	struct xfrm_encap_tmpl t = {.encap_type = UDP_ENCAP_ESPINUDP,
	    .encap_sport = htons(e.sport),
	    .encap_dport = htons(e.dport)};

	if (kern_encap_some(e))
		mnl_attr_put(&b->hdr, XFRMA_ENCAP, sizeof(t), &t);
}

static void put_mark(struct xfrm_build *b, const struct kern_mark *mark)
{
	const struct xfrm_mark m = {.v = mark->value, .m = mark->mask};

	if (mark->mask != 0)
		mnl_attr_put(&b->hdr, XFRMA_MARK, sizeof(m), &m);
}

static void put_set_mark(struct xfrm_build *b, const struct kern_mark *mark)
{
	if (mark->mask == 0)
		return;
	mnl_attr_put_u32(&b->hdr, XFRMA_SET_MARK, mark->value);
	mnl_attr_put_u32(&b->hdr, XFRMA_SET_MARK_MASK, mark->mask);
}

void xfrm_build_sa_add(struct xfrm_build *b, const struct kern_sa *sa)
{
	const struct kern_alg *e = kern_suite_encr(sa->encr);
	struct xfrm_usersa_info *x = begin(b, XFRM_MSG_NEWSA, NLM_F_ACK, sizeof(*x));

	put_addr(&x->id.daddr, &sa->id.dst);
	put_addr(&x->saddr, &sa->src);
	x->id.spi = htonl(sa->id.spi);
	x->id.proto = protocol(sa->id.ah);
	x->family = sa->id.dst.family;
	x->reqid = sa->reqid;
	if (sa->mode == KERN_TUNNEL) {
		x->mode = XFRM_MODE_TUNNEL;
		x->flags = XFRM_STATE_AF_UNSPEC; /* what is inside may be of either family */
	} else {
		x->mode = XFRM_MODE_TRANSPORT;
		x->sel.family = sa->id.dst.family;
	}
	no_limits(&x->lft);
	if (sa->soft.octets != 0)
		x->lft.soft_byte_limit = sa->soft.octets;
	if (sa->hard.octets != 0)
		x->lft.hard_byte_limit = sa->hard.octets;
	x->lft.soft_add_expires_seconds = sa->soft.seconds;
	x->lft.hard_add_expires_seconds = sa->hard.seconds;
	if (e != NULL && kern_suite_aead(e)) {
		put_aead(b, sa, e);
	} else {
		if (e != NULL) /* not of AH */
			put_crypt(b, sa, e);
		put_auth(b, sa, kern_suite_integ(sa->integ));
	}
	put_replay(b, x, sa);
	put_encap(b, sa->encap);
	put_set_mark(b, &sa->set_mark);
	if (sa->mode == KERN_TUNNEL && sa->dscp_clear)
		mnl_attr_put_u32(&b->hdr, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
}

int xfrm_build_sa_ports(struct xfrm_build *b, const struct nlmsghdr *h, struct kern_encap e)
{
	struct xfrm_encap_tmpl *t;

	if (h->nlmsg_type != XFRM_MSG_NEWSA || h->nlmsg_len > sizeof(b->octet))
		return -1;
	memcpy(b->octet, h, h->nlmsg_len);
	b->hdr.nlmsg_type = XFRM_MSG_UPDSA;
	b->hdr.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	t = (struct xfrm_encap_tmpl *)(uintptr_t)xfrm_msg_attr(
	    &b->hdr, sizeof(struct xfrm_usersa_info), XFRMA_ENCAP, sizeof(*t));
	if (t == NULL || t->encap_type != UDP_ENCAP_ESPINUDP) {
		xfrm_build_wipe(b);
		return -1;
	}
	t->encap_sport = htons(e.sport);
	t->encap_dport = htons(e.dport);
	return 0;
}

void xfrm_build_sa_id(struct xfrm_build *b, uint16_t type, const struct kern_sa_id *id)
{
	/* GETSA is answered by the SA itself */
	struct xfrm_usersa_id *x = begin(
	    b, type, type == XFRM_MSG_GETSA ? 0 : NLM_F_ACK, sizeof(*x));

	put_addr(&x->daddr, &id->dst);
	x->spi = htonl(id->spi);
	x->family = id->dst.family;
	x->proto = protocol(id->ah);
}

void xfrm_build_sa_times(
    struct xfrm_build *b, const struct kern_sa_id *id, const struct xfrm_lifetime_cur *l)
{
	struct xfrm_aevent_id *x = begin(b, XFRM_MSG_NEWAE, NLM_F_ACK | NLM_F_REPLACE, sizeof(*x));

	put_addr(&x->sa_id.daddr, &id->dst);
	x->sa_id.spi = htonl(id->spi);
	x->sa_id.family = id->dst.family;
	x->sa_id.proto = IPPROTO_ESP;
	mnl_attr_put(&b->hdr, XFRMA_LTIME_VAL, sizeof(*l), l);
}

void xfrm_build_policy_put(struct xfrm_build *b, uint16_t type, const struct kern_policy *p)
{
	struct xfrm_userpolicy_info *x = begin(b, type, NLM_F_ACK, sizeof(*x));
	struct xfrm_user_tmpl t = {.id.proto = protocol(p->ah),
	    .family = p->tmpl_dst.family,
	    .reqid = p->reqid,
	    .mode = p->mode == KERN_TUNNEL ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT,
	    .aalgos = UINT32_MAX,
	    .ealgos = UINT32_MAX,
	    .calgos = UINT32_MAX};

	put_selector(&x->sel, &p->sel);
	no_limits(&x->lft);
	x->priority = p->priority;
	x->dir = xfrm_dir(p->sel.dir);
	x->action = p->action == KERN_DISCARD ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	put_mark(b, &p->sel.mark);
	if (p->action != KERN_PROTECT)
		return;
	if (p->mode == KERN_TUNNEL) {
		put_addr(&t.saddr, &p->tmpl_src);
		put_addr(&t.id.daddr, &p->tmpl_dst);
	} else {
		t.family = p->sel.dst.addr.family;
	}
	mnl_attr_put(&b->hdr, XFRMA_TMPL, sizeof(t), &t);
}

void xfrm_build_policy_del(struct xfrm_build *b, const struct kern_selector *sel)
{
	struct xfrm_userpolicy_id *x = begin(b, XFRM_MSG_DELPOLICY, NLM_F_ACK, sizeof(*x));

	put_selector(&x->sel, sel);
	x->dir = xfrm_dir(sel->dir);
	put_mark(b, &sel->mark);
}

void xfrm_build_dump(struct xfrm_build *b, uint16_t type)
{
	begin(b, type, NLM_F_DUMP,
	    type == XFRM_MSG_GETSA ? sizeof(struct xfrm_usersa_id)
				   : sizeof(struct xfrm_userpolicy_id));
}

void xfrm_build_dump_between(struct xfrm_build *b, const struct addr *src, const struct addr *dst)
{
	struct xfrm_address_filter f = {.family = dst->family,
	    .splen = (uint8_t)(8 * addr_len(src)),
	    .dplen = (uint8_t)(8 * addr_len(dst))};

	put_addr(&f.saddr, src);
	put_addr(&f.daddr, dst);
	begin(b, XFRM_MSG_GETSA, NLM_F_DUMP, 0); /* attributes of a dump follow its header */
	mnl_attr_put(&b->hdr, XFRMA_ADDRESS_FILTER, sizeof(f), &f);
}

/* --- answers ------------------------------------------------------------------- */

/* The fixed part of a message, if it is all there. */
static const void *fixed(const struct nlmsghdr *h, size_t len)
{
	return mnl_nlmsg_get_payload_len(h) >= len ? mnl_nlmsg_get_payload(h) : NULL;
}

const void *xfrm_msg_attr(const struct nlmsghdr *h, size_t fixed_len, uint16_t type, size_t len)
{
	const uint8_t *tail = mnl_nlmsg_get_payload_tail(h);
	const struct nlattr *a = mnl_nlmsg_get_payload_offset(h, fixed_len);

	for (; mnl_attr_ok(a, (int)(tail - (const uint8_t *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= len)
			return mnl_attr_get_payload(a);
	return NULL;
}

static bool has_keys(const struct nlmsghdr *h)
{
	static const uint16_t alg[] = {XFRMA_ALG_CRYPT, XFRMA_ALG_AUTH, XFRMA_ALG_AEAD};

	for (size_t i = 0; i < sizeof(alg) / sizeof(alg[0]); i++)
		if (xfrm_msg_attr(h, sizeof(struct xfrm_usersa_info), alg[i], 1) != NULL)
			return true;
	return false;
}

static int get_sa(const struct xfrm_usersa_info *x, struct kern_sa_state *s)
{
	memset(s, 0, sizeof(*s));
	if (!is_protocol(x->id.proto) || get_addr(&s->id.dst, &x->id.daddr, x->family) != 0 ||
	    get_addr(&s->src, &x->saddr, x->family) != 0)
		return -1;
	s->id.spi = ntohl(x->id.spi);
	s->id.ah = x->id.proto == IPPROTO_AH;
	s->mode = x->mode == XFRM_MODE_TUNNEL ? KERN_TUNNEL : KERN_TRANSPORT;
	s->reqid = x->reqid;
	s->octets = x->curlft.bytes;
	s->packets = x->curlft.packets;
	s->added_at = kern_prefer_added(x->curlft.add_time, x->lft.hard_add_expires_seconds);
	s->used_at = x->curlft.use_time;
	return 0;
}

/* Without a mask of its own all of the mark is set. */
static void get_set_mark(struct kern_mark *mark, const struct nlmsghdr *h)
{
	const size_t len = sizeof(struct xfrm_usersa_info);
	const uint32_t *v = xfrm_msg_attr(h, len, XFRMA_SET_MARK, sizeof(*v));
	const uint32_t *m = xfrm_msg_attr(h, len, XFRMA_SET_MARK_MASK, sizeof(*m));

	if (v != NULL || m != NULL)
		*mark = (struct kern_mark) {
		    .value = v != NULL ? *v : 0, .mask = m != NULL ? *m : UINT32_MAX};
}

int xfrm_msg_sa(const struct nlmsghdr *h, struct kern_sa_state *s)
{
	const struct xfrm_usersa_info *x = fixed(h, sizeof(*x));
	const struct xfrm_encap_tmpl *e;

	if (h->nlmsg_type != XFRM_MSG_NEWSA || x == NULL || get_sa(x, s) != 0)
		return -1;
	s->larval = !has_keys(h);
	e = xfrm_msg_attr(h, sizeof(*x), XFRMA_ENCAP, sizeof(*e));
	if (e != NULL && e->encap_type == UDP_ENCAP_ESPINUDP)
		s->encap = (struct kern_encap) {ntohs(e->encap_sport), ntohs(e->encap_dport)};
	get_set_mark(&s->set_mark, h);
	return 0;
}

static int get_policy(const struct nlmsghdr *h, const struct xfrm_userpolicy_info *x,
    size_t fixed_len, struct kern_policy *p)
{
	const struct xfrm_user_tmpl *t = xfrm_msg_attr(h, fixed_len, XFRMA_TMPL, sizeof(*t));

	memset(p, 0, sizeof(*p));
	if (get_selector(&p->sel, &x->sel, x->dir) != 0)
		return -1;
	get_mark(&p->sel.mark, h, fixed_len);
	p->priority = x->priority;
	p->action = x->action == XFRM_POLICY_BLOCK ? KERN_DISCARD : KERN_BYPASS;
	if (p->action == KERN_DISCARD || t == NULL)
		return 0;
	p->action = KERN_PROTECT;
	p->reqid = t->reqid;
	p->ah = t->id.proto == IPPROTO_AH;
	p->mode = t->mode == XFRM_MODE_TUNNEL ? KERN_TUNNEL : KERN_TRANSPORT;
	if (p->mode == KERN_TUNNEL && (get_addr(&p->tmpl_src, &t->saddr, t->family) != 0 ||
					  get_addr(&p->tmpl_dst, &t->id.daddr, t->family) != 0))
		return -1;
	return 0;
}

int xfrm_msg_policy(const struct nlmsghdr *h, struct kern_policy *p)
{
	const struct xfrm_userpolicy_info *x = fixed(h, sizeof(*x));

	if (h->nlmsg_type != XFRM_MSG_NEWPOLICY || x == NULL)
		return -1;
	return get_policy(h, x, sizeof(*x), p);
}

/* --- broadcasts ------------------------------------------------------------------ */

static bool event_acquire(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_user_acquire *x = fixed(h, sizeof(*x));
	struct kern_policy p;

	e->kind = KERN_EV_ACQUIRE;
	if (x == NULL || get_policy(h, &x->policy, sizeof(*x), &p) != 0)
		return false;
	e->sel = p.sel;
	e->reqid = p.reqid;
	return get_addr(&e->sa.dst, &x->id.daddr,
		   p.mode == KERN_TUNNEL ? p.tmpl_dst.family : x->sel.family) == 0;
}

static bool event_expire(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_user_expire *x = fixed(h, sizeof(*x));
	struct kern_sa_state s;

	if (x == NULL || get_sa(&x->state, &s) != 0)
		return false;
	e->kind = x->hard ? KERN_EV_EXPIRE_HARD : KERN_EV_EXPIRE_SOFT;
	e->sa = s.id;
	e->reqid = s.reqid;
	return true;
}

static bool event_sa_deleted(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_usersa_id *x = fixed(h, sizeof(*x));

	e->kind = KERN_EV_SA_DELETED;
	if (x == NULL || !is_protocol(x->proto) || get_addr(&e->sa.dst, &x->daddr, x->family) != 0)
		return false;
	e->sa.spi = ntohl(x->spi);
	e->sa.ah = x->proto == IPPROTO_AH;
	return true;
}

static bool event_policy(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_userpolicy_info *x = fixed(h, sizeof(*x));

	e->kind = KERN_EV_SPD_CHANGED;
	if (x == NULL || get_selector(&e->sel, &x->sel, x->dir) != 0)
		return false;
	get_mark(&e->sel.mark, h, sizeof(*x));
	return true;
}

static bool event_policy_deleted(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_userpolicy_id *x = fixed(h, sizeof(*x));
	const struct xfrm_userpolicy_info *p;

	e->kind = KERN_EV_SPD_CHANGED;
	if (x == NULL)
		return false;
	p = xfrm_msg_attr(h, sizeof(*x), XFRMA_POLICY, sizeof(*p)); /* when deleted by index */
	if (get_selector(&e->sel, p != NULL ? &p->sel : &x->sel, x->dir) != 0)
		return false;
	get_mark(&e->sel.mark, h, sizeof(*x));
	return true;
}

static bool event_mapping(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_user_mapping *x = fixed(h, sizeof(*x));

	e->kind = KERN_EV_MAPPING;
	if (x == NULL || get_addr(&e->sa.dst, &x->id.daddr, x->id.family) != 0 ||
	    get_addr(&e->from, &x->new_saddr, x->id.family) != 0)
		return false;
	e->sa.spi = ntohl(x->id.spi);
	e->reqid = x->reqid;
	e->port = ntohs(x->new_sport);
	return true;
}

static bool event_sa_flushed(const struct nlmsghdr *h, struct kern_event *e)
{
	const struct xfrm_usersa_flush *x = fixed(h, sizeof(*x));

	e->kind = KERN_EV_SA_FLUSHED;
	return x == NULL || is_protocol(x->proto) || x->proto == 0 || x->proto == 255;
}

static bool event_policies_flushed(const struct nlmsghdr *h, struct kern_event *e)
{
	(void)h;
	e->kind = KERN_EV_SPD_FLUSHED;
	return true;
}

static const struct {
	uint16_t type;
	bool (*read)(const struct nlmsghdr *h, struct kern_event *e);
} events[] = {
    {XFRM_MSG_ACQUIRE, event_acquire},
    {XFRM_MSG_EXPIRE, event_expire},
    {XFRM_MSG_DELSA, event_sa_deleted},
    {XFRM_MSG_MAPPING, event_mapping},
    {XFRM_MSG_FLUSHSA, event_sa_flushed},
    {XFRM_MSG_NEWPOLICY, event_policy},
    {XFRM_MSG_UPDPOLICY, event_policy},
    {XFRM_MSG_DELPOLICY, event_policy_deleted},
    {XFRM_MSG_FLUSHPOLICY, event_policies_flushed},
};

bool xfrm_msg_event(const struct nlmsghdr *h, struct kern_event *e)
{
	memset(e, 0, sizeof(*e));
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i].type == h->nlmsg_type)
			return events[i].read(h, e);
	return false;
}
