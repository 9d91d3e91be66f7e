/*
 * vpn_usage.c - packets and octets of each peer, in and out, over all the SAs it ever had
 * (RFC 3571).  SAs come and go with every rekey: what is known of each was added to its peer's
 * sum, and one that we are about to delete is read a last time (kstate_watch()).
 */
#include <stdlib.h>
#include <string.h>

#include "pep/vpn_int.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_store.h"

struct usage_sa { /* as read last */
	uint8_t key[KERN_SA_KEY_LEN];
	uint32_t peer; /* 0: new */
	bool in;       /* as it was when it was new: a peer may get another address */
	struct pep_usage seen;
	unsigned round;
	UT_hash_handle hh;
};

struct usage_peer {
	uint32_t peer;
	struct vpn_traffic sum;
	uint64_t added_in; /* when the newest SA was, in this round */
	uint64_t added_out;
	unsigned round;
	UT_hash_handle hh;
};

struct vpn_usage {
	struct usage_sa *sas;
	struct usage_peer *peers;
	unsigned round;
	int64_t read_ms; /* when, 0 = never */
	bool no_memory;
};

#define FRESH_MS 100 /* several links ask for counters at once */

struct vpn_usage *vpn_usage_new(void)
{
	return calloc(1, sizeof(struct vpn_usage));
}

void vpn_usage_free(struct vpn_usage *u)
{
	struct usage_peer *p, *next_p;
	struct usage_sa *s, *next_s;

	if (!u)
		return;
	HASH_ITER (hh, u->sas, s, next_s) {
		HASH_DEL(u->sas, s);
		free(s);
	}
	HASH_ITER (hh, u->peers, p, next_p) {
		HASH_DEL(u->peers, p);
		free(p);
	}
	free(u);
}

static struct usage_peer *peer_get(struct vpn_usage *u, uint32_t peer)
{
	struct usage_peer *p;

	HASH_FIND(hh, u->peers, &peer, sizeof(peer), p);
	if (p || !(p = calloc(1, sizeof(*p))))
		return p;
	p->peer = peer;
	HASH_ADD(hh, u->peers, peer, sizeof(p->peer), p);
	return p;
}

static struct usage_sa *sa_get(struct vpn_usage *u, const struct kern_sa_id *id)
{
	uint8_t key[KERN_SA_KEY_LEN];
	struct usage_sa *s;

	kern_sa_key(key, id);
	HASH_FIND(hh, u->sas, key, sizeof(key), s);
	if (s || !(s = calloc(1, sizeof(*s))))
		return s;
	memcpy(s->key, key, sizeof(key));
	HASH_ADD(hh, u->sas, key, sizeof(s->key), s);
	return s;
}

/* Another SA under an SPI that was used before counts from zero. */
static uint64_t more(uint64_t seen, uint64_t now)
{
	return now >= seen ? now - seen : now;
}

/* An SA from the peer's address is inbound; its row may be gone by now, then our own says it. */
static bool inbound(const struct vpn *v, uint32_t peer, const struct kern_sa_state *sa)
{
	const struct pib_ce_vpn_peer *row = v->store ? vpn_peer_row(v->store, peer) : NULL;
	struct addr far;

	if (!row || addr_from_octets(&far, row->addr.p, row->addr.len) != 0)
		return v->ops->has_addr(v->kern, &sa->id.dst);
	return addr_cmp(&sa->id.dst, &far) != 0;
}

/* Of several SAs in one direction the newest is shown; epochs are in an SPI's low bits. */
static void newest(uint32_t *spi, uint64_t *added, const struct kern_sa_state *sa)
{
	if (*spi && (sa->added_at < *added || (sa->added_at == *added && sa->id.spi < *spi)))
		return;
	*spi = sa->id.spi;
	*added = sa->added_at;
}

static void newest_sa(
    const struct vpn_usage *u, struct usage_peer *p, const struct kern_sa_state *sa, bool in)
{
	if (p->round != u->round) {
		p->round = u->round;
		p->sum.spi_in = p->sum.spi_out = 0;
	}
	if (!sa->larval)
		newest(
		    in ? &p->sum.spi_in : &p->sum.spi_out, in ? &p->added_in : &p->added_out, sa);
}

static void sa_read(struct vpn *v, const struct kern_sa_state *sa, bool now)
{
	uint32_t peer = sa->reqid ? vpn_reqids_peer(v->reqids, sa->reqid) : 0;
	struct vpn_usage *u = v->usage;
	struct usage_peer *p = peer ? peer_get(u, peer) : NULL;
	struct usage_sa *s = p ? sa_get(u, &sa->id) : NULL;
	struct pep_usage *sum;
	bool in;

	if (!s) {
		u->no_memory |= peer != 0;
		return;
	}
	if (s->peer == 0)
		s->in = inbound(v, peer, sa);
	in = s->in;
	sum = in ? &p->sum.in : &p->sum.out;
	sum->packets += more(s->seen.packets, sa->packets);
	sum->octets += more(s->seen.octets, sa->octets);
	if (now)
		newest_sa(u, p, sa, in);
	s->seen = (struct pep_usage) {.packets = sa->packets, .octets = sa->octets};
	s->peer = peer;
	s->round = u->round;
}

static void dumped(void *arg, const struct kern_sa_state *sa)
{
	sa_read(arg, sa, true);
}

/* Before an SA of ours is deleted. */
void vpn_usage_last(void *arg, const struct kern_sa_id *id)
{
	struct vpn *v = arg;
	struct kern_sa_state sa;
	struct kern_fault f;
	uint8_t key[KERN_SA_KEY_LEN];
	struct usage_sa *s;

	if (!v->usage->peers || v->ops->sa_get(v->kern, id, &sa, &f) < 0)
		return; /* nobody counts */
	sa_read(v, &sa, false);
	kern_sa_key(key, id);
	HASH_FIND(hh, v->usage->sas, key, sizeof(key), s);
	if (!s)
		return;
	HASH_DEL(v->usage->sas, s);
	free(s);
}

int vpn_usage_read(struct vpn *v)
{
	struct vpn_usage *u = v->usage;
	struct usage_peer *p, *next_p;
	struct usage_sa *s, *next_s;
	int64_t now = vpn_now_ms();
	struct kern_fault f;

	if (u->read_ms && now - u->read_ms < FRESH_MS)
		return 0;
	u->round++;
	u->no_memory = false;
	if (v->ops->sa_dump(v->kern, dumped, v, &f) < 0 || u->no_memory)
		return -1;
	u->read_ms = now;
	vpn_states_sweep(v);
	HASH_ITER (hh, u->sas, s, next_s) {
		if (s->round == u->round)
			continue;
		HASH_DEL(u->sas, s);
		free(s);
	}
	HASH_ITER (hh, u->peers, p, next_p) {
		if (p->round != u->round)
			p->sum.spi_in = p->sum.spi_out = 0;
		if (v->store && vpn_peer_row(v->store, p->peer))
			continue;
		HASH_DEL(u->peers, p);
		free(p);
	}
	return 0;
}

void vpn_usage_peer(const struct vpn *v, uint32_t peer, struct vpn_traffic *t)
{
	const struct usage_peer *p;

	HASH_FIND(hh, v->usage->peers, &peer, sizeof(peer), p);
	*t = p ? p->sum : (struct vpn_traffic) {0};
}

int vpn_count(void *self, const struct pib_store *store,
    void (*put)(
	void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now),
    void *arg)
{
	struct vpn *v = self;
	struct usage_peer *p;
	struct pep_usage both;

	v->store = store;
	v->usage->read_ms = 0;
	if (vpn_usage_read(v) < 0)
		return -1;
	for (p = v->usage->peers; p; p = p->hh.next) {
		both.packets = p->sum.in.packets + p->sum.out.packets;
		both.octets = p->sum.in.octets + p->sum.out.octets;
		put(arg, &pib_ce_vpn_peer_class, p->peer, &both);
	}
	return 0;
}
