/*
 * vpn_natt.c - ESP in UDP for the enforcer: which peers need it, and what their SAs must know of
 * where a NAT has put them.
 */
#include "common/log.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

/* --- which peers ------------------------------------------------------------ */

static bool encapsulated(const struct vpn_net *n, const struct vpn_peer *p)
{
	return n->row->keying == PIB_CE_VPN_KEYING_CONTROLLER && (n->member.nat || p->peer.nat);
}

/* A pair of prefixes of one family between which the SPD has the tunnel. */
static void inner(struct natt_peer *x, const struct spd_list *near, const struct spd_list *far)
{
	for (size_t i = 0; i < near->count; i++)
		for (size_t j = 0; j < far->count; j++)
			if (near->p[i].prefix.addr.family == far->p[j].prefix.addr.family &&
			    far->p[j].prefix.len > 0) {
				x->inner_src = near->p[i].prefix.addr;
				x->inner_dst = far->p[j].prefix.addr;
				return;
			}
}

/* Everything goes there, and nothing is behind it by name: its own address will do. */
static void anywhere(struct natt_peer *x, const struct spd_list *near, const struct spd_list *far,
    const struct addr *peer)
{
	for (size_t j = 0; j < far->count; j++)
		for (size_t i = 0; i < near->count; i++)
			if (far->p[j].prefix.len == 0 &&
			    far->p[j].prefix.addr.family == peer->family &&
			    near->p[i].prefix.addr.family == peer->family) {
				x->inner_src = near->p[i].prefix.addr;
				x->inner_dst = *peer;
				return;
			}
}

bool vpn_natt_of(const struct vpn_net *n, const struct vpn_peer *p, struct natt_peer *x)
{
	*x = (struct natt_peer) {.peer = p->peer.peer,
	    .speak = n->member.nat,
	    .local = n->member.local,
	    .remote = p->peer.addr};
	inner(x, &n->near.site, &p->far);
	if (!x->inner_src.family)
		inner(x, &n->near.space, &p->far);
	if (!x->inner_src.family)
		anywhere(x, &n->near.site, &p->far, &p->peer.addr);
	return encapsulated(n, p);
}

static void match_ike(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	*(bool *)arg |= n->keying == PIB_CE_VPN_KEYING_IKE;
}

void vpn_natt_settle(struct vpn *v, const struct pib_store *store)
{
	bool ike = false;

	pib_store_each(store, &pib_ce_vpn_class, match_ike, &ike);
	natt_share(v->natt, ike);
}

/* --- where they are --------------------------------------------------------- */

struct moving { /* the SAs of a peer that is behind another port now */
	struct vpn *v;
	const struct kern_event *e;
	bool heard; /* the SA of the event is one of them */
	struct kern_sa_state *sa;
	bool *inbound;
	size_t count;
	size_t cap;
};

static void note_sa(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct moving *m = arg;

	if (!kern_encap_some(sa->encap) || addr_cmp(inbound ? &sa->src : &sa->id.dst, &m->e->from))
		return;
	m->heard |= inbound && sa->id.spi == m->e->sa.spi;
	if (m->count < m->cap) {
		m->sa[m->count] = *sa;
		m->inbound[m->count++] = inbound;
	}
}

static void count_sa(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct moving *m = arg;

	(void)sa;
	(void)inbound;
	m->cap++;
}

static void move(struct moving *m)
{
	struct kern_fault f;

	for (size_t i = 0; i < m->count; i++) {
		struct kern_encap to = m->sa[i].encap;

		if (m->inbound[i])
			to.sport = m->e->port;
		else
			to.dport = m->e->port;
		if (kstate_sa_ports(m->v->ks, &m->sa[i].id, to, &f) < 0)
			log_err("%s", f.text);
	}
}

/*
 * The kernel has authenticated a packet from there.  Only the port may be another: an address that
 * is another the PDP must have seen too, and then it says so.
 */
void vpn_natt_mapping(struct vpn *v, const struct kern_event *e)
{
	uint32_t peer = e->sa.spi >> 8; /* of SAs by controller keying */
	const struct pib_ce_vpn_peer *p = v->store ? vpn_peer_row(v->store, peer) : NULL;
	const struct pib_ce_vpn *n = p ? vpn_row(v->store, p->vpn) : NULL;
	uint32_t reqid = vpn_reqids_find(v->reqids, peer);
	struct moving m = {.v = v, .e = e};
	char text[ADDR_STRLEN];

	if (!n || n->keying != PIB_CE_VPN_KEYING_CONTROLLER || p->nat != PIB_CE_VPN_PEER_NAT_TRUE ||
	    !reqid)
		return;
	kstate_sa_each(v->ks, reqid, count_sa, &m);
	m.sa = calloc(m.cap + 1, sizeof(*m.sa));
	m.inbound = calloc(m.cap + 1, sizeof(*m.inbound));
	if (m.sa && m.inbound) {
		kstate_sa_each(v->ks, reqid, note_sa, &m);
		if (m.heard) {
			move(&m);
			log_info("%.*s is at %s port %u", (int)p->name.len, (const char *)p->name.p,
			    addr_print(&e->from, text), (unsigned)e->port);
		} else {
			log_debug("%.*s: a packet from %s: waiting for the PDP's word",
			    (int)p->name.len, (const char *)p->name.p, addr_print(&e->from, text));
		}
	}
	free(m.sa);
	free(m.inbound);
}
