/*
 * kern_pfkey_msg.c - PF_KEY v2 messages: parse into an indexed union of extension
 * pointers, build extension by extension.  Lengths are in 64-bit words but for those of policy
 * requests, which are in octets.
 */
#include "pep/kern_pfkey_msg.h"

#include <linux/udp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "pep/kern_prefer.h"

#define WORD	    8
#define PROTO_ANY   255
#define REQUEST_MIN sizeof(struct sadb_x_ipsecrequest)

_Static_assert(offsetof(struct pfkey_msg, sa2) - offsetof(struct pfkey_msg, ext) ==
		       SADB_X_EXT_SA2 * sizeof(void *) &&
		   offsetof(struct pfkey_msg, nat_dport) - offsetof(struct pfkey_msg, ext) ==
		       SADB_X_EXT_NAT_T_DPORT * sizeof(void *),
    "named pointers must follow the extension numbers");

/* --- parsing ---------------------------------------------------------------- */

/* Least octets of an extension, by type; those not listed need only their header. */
static const uint8_t ext_min[SADB_EXT_MAX + 1] = {
    [SADB_EXT_SA] = sizeof(struct sadb_sa),
    [SADB_EXT_LIFETIME_CURRENT] = sizeof(struct sadb_lifetime),
    [SADB_EXT_LIFETIME_HARD] = sizeof(struct sadb_lifetime),
    [SADB_EXT_LIFETIME_SOFT] = sizeof(struct sadb_lifetime),
    [SADB_EXT_ADDRESS_SRC] = sizeof(struct sadb_address) + sizeof(struct sockaddr_in),
    [SADB_EXT_ADDRESS_DST] = sizeof(struct sadb_address) + sizeof(struct sockaddr_in),
    [SADB_EXT_ADDRESS_PROXY] = sizeof(struct sadb_address) + sizeof(struct sockaddr_in),
    [SADB_EXT_KEY_AUTH] = sizeof(struct sadb_key),
    [SADB_EXT_KEY_ENCRYPT] = sizeof(struct sadb_key),
    [SADB_EXT_IDENTITY_SRC] = sizeof(struct sadb_ident),
    [SADB_EXT_IDENTITY_DST] = sizeof(struct sadb_ident),
    [SADB_EXT_SENSITIVITY] = sizeof(struct sadb_sens),
    [SADB_EXT_PROPOSAL] = sizeof(struct sadb_prop),
    [SADB_EXT_SUPPORTED_AUTH] = sizeof(struct sadb_supported),
    [SADB_EXT_SUPPORTED_ENCRYPT] = sizeof(struct sadb_supported),
    [SADB_EXT_SPIRANGE] = sizeof(struct sadb_spirange),
    [SADB_X_EXT_POLICY] = sizeof(struct sadb_x_policy),
    [SADB_X_EXT_SA2] = sizeof(struct sadb_x_sa2),
    [SADB_X_EXT_NAT_T_TYPE] = sizeof(struct sadb_x_nat_t_type),
    [SADB_X_EXT_NAT_T_SPORT] = sizeof(struct sadb_x_nat_t_port),
    [SADB_X_EXT_NAT_T_DPORT] = sizeof(struct sadb_x_nat_t_port),
};

int pfkey_msg_parse(struct pfkey_msg *m, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	const uint8_t *end = p + len;

	*m = (struct pfkey_msg) {.hdr = buf};
	if (len < sizeof(struct sadb_msg) || m->hdr->sadb_msg_version != PF_KEY_V2 ||
	    (size_t)m->hdr->sadb_msg_len * WORD != len)
		return -1;
	for (p += sizeof(struct sadb_msg); p < end;) {
		const struct sadb_ext *x = (const struct sadb_ext *)(const void *)p;
		size_t n = (size_t)x->sadb_ext_len * WORD; /* len is a multiple of WORD */

		if (n == 0 || n > (size_t)(end - p) || x->sadb_ext_type == SADB_EXT_RESERVED)
			return -1;
		p += n;
		if (x->sadb_ext_type > SADB_EXT_MAX)
			continue;
		if (n < ext_min[x->sadb_ext_type] || m->ext[x->sadb_ext_type])
			return -1;
		m->ext[x->sadb_ext_type] = x;
	}
	return 0;
}

/* Address and port of the sockaddr in p[0..len); returns its octets, 0: malformed. */
static size_t sockaddr_get(const uint8_t *p, size_t len, struct addr *a, uint16_t *port)
{
	struct sockaddr_in6 in6 = {0};
	struct sockaddr_in in;
	struct sockaddr sa;
	size_t n;

	if (len < sizeof(in))
		return 0;
	memcpy(&sa, p, sizeof(sa));
	n = sa.sa_family == AF_INET ? sizeof(in) : sa.sa_family == AF_INET6 ? sizeof(in6) : 0;
	if (n == 0 || n > len)
		return 0;
	memcpy(&in, p, sizeof(in));
	memcpy(&in6, p, n);
	if (port) /* at the same place in both */
		*port = ntohs(in.sin_port);
	if (n == sizeof(in))
		addr_from_octets(a, (const uint8_t *)&in.sin_addr, 4);
	else
		addr_from_octets(a, in6.sin6_addr.s6_addr, 16);
	return n;
}

int pfkey_msg_addr(const struct sadb_address *x, struct addr *a, uint16_t *port)
{
	if (!x)
		return -1;
	return sockaddr_get((const uint8_t *)(x + 1),
		   (size_t)x->sadb_address_len * WORD - sizeof(*x), a, port)
		   ? 0
		   : -1;
}

int pfkey_msg_sa_id(const struct pfkey_msg *m, struct kern_sa_id *id)
{
	id->ah = m->hdr->sadb_msg_satype == SADB_SATYPE_AH;
	if (!m->sa || (!id->ah && m->hdr->sadb_msg_satype != SADB_SATYPE_ESP) ||
	    pfkey_msg_addr(m->dst, &id->dst, NULL) < 0)
		return -1;
	id->spi = ntohl(m->sa->sadb_sa_spi);
	return 0;
}

struct kern_encap pfkey_msg_encap(const struct pfkey_msg *m)
{
	if (!m->nat_type || !m->nat_sport || !m->nat_dport ||
	    m->nat_type->sadb_x_nat_t_type_type != UDP_ENCAP_ESPINUDP)
		return (struct kern_encap) {0};
	return (struct kern_encap) {ntohs(m->nat_sport->sadb_x_nat_t_port_port),
	    ntohs(m->nat_dport->sadb_x_nat_t_port_port)};
}

int pfkey_msg_sa(const struct pfkey_msg *m, struct kern_sa_state *s)
{
	*s = (struct kern_sa_state) {0};
	if (pfkey_msg_sa_id(m, &s->id) < 0 || pfkey_msg_addr(m->src, &s->src, NULL) < 0)
		return -1;
	s->larval = m->sa->sadb_sa_state == SADB_SASTATE_LARVAL;
	s->encap = pfkey_msg_encap(m);
	s->mode = KERN_TRANSPORT;
	if (m->sa2) {
		s->reqid = m->sa2->sadb_x_sa2_reqid;
		if (m->sa2->sadb_x_sa2_mode == IPSEC_MODE_TUNNEL)
			s->mode = KERN_TUNNEL;
	}
	if (m->current) {
		s->octets = m->current->sadb_lifetime_bytes;
		s->packets = m->current->sadb_lifetime_allocations;
		s->added_at = kern_prefer_added(m->current->sadb_lifetime_addtime,
		    m->hard ? m->hard->sadb_lifetime_addtime : 0);
		s->used_at = m->current->sadb_lifetime_usetime;
	}
	return 0;
}

static int selector_side(const struct sadb_address *x, struct prefix *p, uint16_t *port)
{
	if (pfkey_msg_addr(x, &p->addr, port) < 0 ||
	    x->sadb_address_prefixlen > 8 * addr_len(&p->addr))
		return -1;
	p->len = x->sadb_address_prefixlen;
	return 0;
}

/* The first request of a policy; ours have one. */
static int policy_request(const struct sadb_x_policy *x, struct kern_policy *p)
{
	size_t left = (size_t)x->sadb_x_policy_len * WORD - sizeof(*x);
	const uint8_t *at = (const uint8_t *)(x + 1);
	struct sadb_x_ipsecrequest req;
	size_t n;

	if (left < sizeof(req))
		return -1;
	memcpy(&req, at, sizeof(req));
	if (req.sadb_x_ipsecrequest_len < sizeof(req) || req.sadb_x_ipsecrequest_len > left)
		return -1;
	p->reqid = req.sadb_x_ipsecrequest_reqid;
	p->ah = req.sadb_x_ipsecrequest_proto == IPPROTO_AH;
	p->mode = KERN_TRANSPORT;
	if (req.sadb_x_ipsecrequest_mode != IPSEC_MODE_TUNNEL)
		return 0;
	p->mode = KERN_TUNNEL;
	at += sizeof(req);
	left = req.sadb_x_ipsecrequest_len - sizeof(req);
	n = sockaddr_get(at, left, &p->tmpl_src, NULL);
	return n && sockaddr_get(at + n, left - n, &p->tmpl_dst, NULL) ? 0 : -1;
}

int pfkey_msg_policy(const struct pfkey_msg *m, struct kern_policy *p)
{
	struct kern_selector *s = &p->sel;

	*p = (struct kern_policy) {0};
	if (!m->policy || selector_side(m->src, &s->src, &s->sport) < 0 ||
	    selector_side(m->dst, &s->dst, &s->dport) < 0)
		return -1;
	if (m->policy->sadb_x_policy_dir < IPSEC_DIR_INBOUND ||
	    m->policy->sadb_x_policy_dir > IPSEC_DIR_FWD)
		return -1; /* of a socket */
	s->dir = m->policy->sadb_x_policy_dir;
	if (m->dst->sadb_address_proto != PROTO_ANY)
		s->proto = m->dst->sadb_address_proto;
	p->priority = m->policy->sadb_x_policy_priority;
	switch (m->policy->sadb_x_policy_type) {
	case IPSEC_POLICY_DISCARD:
		p->action = KERN_DISCARD;
		return 0;
	case IPSEC_POLICY_NONE:
		p->action = KERN_BYPASS;
		return 0;
	default:
		p->action = KERN_PROTECT;
		return policy_request(m->policy, p);
	}
}

/* --- building --------------------------------------------------------------- */

void pfkey_build_begin(
    struct pfkey_build *b, uint8_t type, uint8_t satype, uint32_t seq, uint32_t pid)
{
	b->len = sizeof(b->hdr);
	b->hdr = (struct sadb_msg) {
	    .sadb_msg_version = PF_KEY_V2,
	    .sadb_msg_type = type,
	    .sadb_msg_satype = satype,
	    .sadb_msg_seq = seq,
	    .sadb_msg_pid = pid,
	};
}

void pfkey_build_end(struct pfkey_build *b)
{
	b->hdr.sadb_msg_len = (uint16_t)(b->len / WORD);
}

void pfkey_build_wipe(struct pfkey_build *b)
{
	explicit_bzero(b->octet, b->len);
}

int pfkey_build_ports(struct pfkey_build *b, const struct pfkey_msg *m, uint8_t type,
    struct kern_encap e, uint32_t seq, uint32_t pid)
{
	const uint8_t *from = (const uint8_t *)m->hdr;
	size_t len = (size_t)m->hdr->sadb_msg_len * WORD;
	struct sadb_x_nat_t_port port;
	size_t at;

	if (!kern_encap_some(pfkey_msg_encap(m)) || len > sizeof(b->octet))
		return -1;
	memcpy(b->octet, from, len);
	b->len = len;
	b->hdr.sadb_msg_type = type;
	b->hdr.sadb_msg_errno = 0;
	b->hdr.sadb_msg_seq = seq;
	b->hdr.sadb_msg_pid = pid;
	at = (size_t)((const uint8_t *)m->nat_sport - from);
	memcpy(&port, b->octet + at, sizeof(port));
	port.sadb_x_nat_t_port_port = htons(e.sport);
	memcpy(b->octet + at, &port, sizeof(port));
	at = (size_t)((const uint8_t *)m->nat_dport - from);
	memcpy(&port, b->octet + at, sizeof(port));
	port.sadb_x_nat_t_port_port = htons(e.dport);
	memcpy(b->octet + at, &port, sizeof(port));
	return 0;
}

/* n octets, zero, rounded up to a word.  The largest message of ours fits by far. */
static uint8_t *room(struct pfkey_build *b, size_t n)
{
	uint8_t *p = b->octet + b->len;

	n = (n + WORD - 1) / WORD * WORD;
	memset(p, 0, n);
	b->len += n;
	return p;
}

static void put(struct pfkey_build *b, const void *ext, size_t len)
{
	memcpy(room(b, len), ext, len);
}

static size_t put_sockaddr(uint8_t *p, const struct addr *a, uint16_t port)
{
	struct sockaddr_storage ss;
	size_t n = addr_to_sockaddr(a, port, &ss);

	memcpy(p, &ss, n);
	return n;
}

static size_t sockaddr_len(const struct addr *a)
{
	return a->family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void pfkey_put_sa(
    struct pfkey_build *b, uint32_t spi, uint8_t replay, uint8_t auth, uint8_t encrypt)
{
	struct sadb_sa x = {
	    .sadb_sa_len = sizeof(x) / WORD,
	    .sadb_sa_exttype = SADB_EXT_SA,
	    .sadb_sa_spi = htonl(spi),
	    .sadb_sa_replay = replay,
	    .sadb_sa_state = SADB_SASTATE_MATURE,
	    .sadb_sa_auth = auth,
	    .sadb_sa_encrypt = encrypt,
	};
	put(b, &x, sizeof(x));
}

void pfkey_put_sa2(struct pfkey_build *b, enum kern_mode mode, uint32_t reqid)
{
	struct sadb_x_sa2 x = {
	    .sadb_x_sa2_len = sizeof(x) / WORD,
	    .sadb_x_sa2_exttype = SADB_X_EXT_SA2,
	    .sadb_x_sa2_mode = mode == KERN_TUNNEL ? IPSEC_MODE_TUNNEL : IPSEC_MODE_TRANSPORT,
	    .sadb_x_sa2_reqid = reqid,
	};
	put(b, &x, sizeof(x));
}

void pfkey_put_lifetime(struct pfkey_build *b, uint16_t exttype, const struct kern_lifetime *l)
{
	struct sadb_lifetime x = {
	    .sadb_lifetime_len = sizeof(x) / WORD,
	    .sadb_lifetime_exttype = exttype,
	    .sadb_lifetime_bytes = l->octets,
	    .sadb_lifetime_addtime = l->seconds,
	};
	put(b, &x, sizeof(x));
}

void pfkey_put_addr(struct pfkey_build *b, uint16_t exttype, const struct addr *a, uint8_t len,
    uint8_t proto, uint16_t port)
{
	size_t n = (sizeof(struct sadb_address) + sockaddr_len(a) + WORD - 1) / WORD;
	struct sadb_address x = {
	    .sadb_address_len = (uint16_t)n,
	    .sadb_address_exttype = exttype,
	    .sadb_address_proto = proto,
	    .sadb_address_prefixlen = len,
	};
	uint8_t *p = room(b, n * WORD);

	memcpy(p, &x, sizeof(x));
	put_sockaddr(p + sizeof(x), a, port);
}

static void put_nat_port(struct pfkey_build *b, uint16_t exttype, uint16_t port)
{
	struct sadb_x_nat_t_port x = {
	    .sadb_x_nat_t_port_len = sizeof(x) / WORD,
	    .sadb_x_nat_t_port_exttype = exttype,
	    .sadb_x_nat_t_port_port = htons(port),
	};
	put(b, &x, sizeof(x));
}

void pfkey_put_encap(struct pfkey_build *b, struct kern_encap e)
{
	struct sadb_x_nat_t_type x = {
	    .sadb_x_nat_t_type_len = sizeof(x) / WORD,
	    .sadb_x_nat_t_type_exttype = SADB_X_EXT_NAT_T_TYPE,
	    .sadb_x_nat_t_type_type = UDP_ENCAP_ESPINUDP,
	};

	if (!kern_encap_some(e))
		return;
	put(b, &x, sizeof(x));
	put_nat_port(b, SADB_X_EXT_NAT_T_SPORT, e.sport);
	put_nat_port(b, SADB_X_EXT_NAT_T_DPORT, e.dport);
}

void pfkey_put_key(struct pfkey_build *b, uint16_t exttype, const uint8_t *key, size_t len)
{
	size_t n = (sizeof(struct sadb_key) + len + WORD - 1) / WORD;
	struct sadb_key x = {
	    .sadb_key_len = (uint16_t)n,
	    .sadb_key_exttype = exttype,
	    .sadb_key_bits = (uint16_t)(len * 8),
	};
	uint8_t *p = room(b, n * WORD);

	memcpy(p, &x, sizeof(x));
	memcpy(p + sizeof(x), key, len);
}

void pfkey_put_selector(struct pfkey_build *b, const struct kern_selector *sel)
{
	uint8_t proto = sel->proto ? sel->proto : PROTO_ANY;

	pfkey_put_addr(b, SADB_EXT_ADDRESS_SRC, &sel->src.addr, sel->src.len, proto, sel->sport);
	pfkey_put_addr(b, SADB_EXT_ADDRESS_DST, &sel->dst.addr, sel->dst.len, proto, sel->dport);
}

static uint16_t policy_type(enum kern_action a)
{
	switch (a) {
	case KERN_PROTECT:
		return IPSEC_POLICY_IPSEC;
	case KERN_BYPASS:
		return IPSEC_POLICY_NONE; /* Linux refuses IPSEC_POLICY_BYPASS */
	case KERN_DISCARD:
		break;
	}
	return IPSEC_POLICY_DISCARD;
}

void pfkey_put_policy(struct pfkey_build *b, const struct kern_policy *p)
{
	bool tunnel = p->action == KERN_PROTECT && p->mode == KERN_TUNNEL;
	size_t ends = tunnel ? sockaddr_len(&p->tmpl_src) + sockaddr_len(&p->tmpl_dst) : 0;
	size_t req_len = p->action == KERN_PROTECT ? REQUEST_MIN + ends : 0;
	size_t n = (sizeof(struct sadb_x_policy) + req_len + WORD - 1) / WORD;
	struct sadb_x_policy x = {
	    .sadb_x_policy_len = (uint16_t)n,
	    .sadb_x_policy_exttype = SADB_X_EXT_POLICY,
	    .sadb_x_policy_type = policy_type(p->action),
	    .sadb_x_policy_dir = (uint8_t)p->sel.dir,
	    .sadb_x_policy_priority = p->priority,
	};
	struct sadb_x_ipsecrequest req = {
	    .sadb_x_ipsecrequest_len = (uint16_t)req_len,
	    .sadb_x_ipsecrequest_proto = p->ah ? IPPROTO_AH : IPPROTO_ESP,
	    .sadb_x_ipsecrequest_mode = tunnel ? IPSEC_MODE_TUNNEL : IPSEC_MODE_TRANSPORT,
	    .sadb_x_ipsecrequest_level = IPSEC_LEVEL_UNIQUE, /* others drop the reqid */
	    .sadb_x_ipsecrequest_reqid = p->reqid,
	};
	uint8_t *at = room(b, n * WORD);

	memcpy(at, &x, sizeof(x));
	if (!req_len)
		return;
	at += sizeof(x);
	memcpy(at, &req, sizeof(req));
	if (!tunnel)
		return;
	at += sizeof(req);
	at += put_sockaddr(at, &p->tmpl_src, 0);
	put_sockaddr(at, &p->tmpl_dst, 0);
}

void pfkey_put_policy_dir(struct pfkey_build *b, enum kern_dir dir)
{
	struct sadb_x_policy x = {
	    .sadb_x_policy_len = sizeof(x) / WORD,
	    .sadb_x_policy_exttype = SADB_X_EXT_POLICY,
	    .sadb_x_policy_type = IPSEC_POLICY_DISCARD,
	    .sadb_x_policy_dir = (uint8_t)dir,
	};
	put(b, &x, sizeof(x));
}

void pfkey_put_policy_id(struct pfkey_build *b, uint32_t id)
{
	struct sadb_x_policy x = {
	    .sadb_x_policy_len = sizeof(x) / WORD,
	    .sadb_x_policy_exttype = SADB_X_EXT_POLICY,
	    .sadb_x_policy_id = id,
	};
	put(b, &x, sizeof(x));
}
