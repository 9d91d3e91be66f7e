/*
 * vpn_usage.c - packets and octets of each peer, both directions together, over all the SAs it ever
 * had (RFC 3571).  SAs come and go with every rekey: what is known of each was added to its peer's
 * sum, and one that we are about to delete is read a last time (kstate_watch()).
 */
#include <stdlib.h>
#include <string.h>

#include "pep/vpn_int.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_store.h"

struct usage_sa { /* as read last */
	uint8_t key[KERN_SA_KEY_LEN];
	uint32_t peer;
	struct pep_usage seen;
	unsigned round;
	UT_hash_handle hh;
};

struct usage_peer {
	uint32_t peer;
	struct pep_usage sum;
	UT_hash_handle hh;
};

struct vpn_usage {
	struct usage_sa *sas;
	struct usage_peer *peers;
	unsigned round;
	bool no_memory;
};

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

static void sa_read(struct vpn *v, const struct kern_sa_state *sa)
{
	uint32_t peer = sa->reqid ? vpn_reqids_peer(v->reqids, sa->reqid) : 0;
	struct vpn_usage *u = v->usage;
	struct usage_peer *p = peer ? peer_get(u, peer) : NULL;
	struct usage_sa *s = p ? sa_get(u, &sa->id) : NULL;

	if (!s) {
		u->no_memory |= peer != 0;
		return;
	}
	p->sum.packets += more(s->seen.packets, sa->packets);
	p->sum.octets += more(s->seen.octets, sa->octets);
	s->seen = (struct pep_usage) {.packets = sa->packets, .octets = sa->octets};
	s->peer = peer;
	s->round = u->round;
}

static void dumped(void *arg, const struct kern_sa_state *sa)
{
	sa_read(arg, sa);
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
	sa_read(v, &sa);
	kern_sa_key(key, id);
	HASH_FIND(hh, v->usage->sas, key, sizeof(key), s);
	if (!s)
		return;
	HASH_DEL(v->usage->sas, s);
	free(s);
}

int vpn_count(void *self, const struct pib_store *store,
    void (*put)(
	void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now),
    void *arg)
{
	struct vpn *v = self;
	struct vpn_usage *u = v->usage;
	struct usage_peer *p, *next_p;
	struct usage_sa *s, *next_s;
	struct kern_fault f;

	u->round++;
	u->no_memory = false;
	if (v->ops->sa_dump(v->kern, dumped, v, &f) < 0 || u->no_memory)
		return -1;
	HASH_ITER (hh, u->sas, s, next_s) {
		if (s->round == u->round)
			continue;
		HASH_DEL(u->sas, s);
		free(s);
	}
	HASH_ITER (hh, u->peers, p, next_p) {
		if (pib_store_find(store, &pib_ce_vpn_peer_class, p->peer)) {
			put(arg, &pib_ce_vpn_peer_class, p->peer, &p->sum);
			continue;
		}
		HASH_DEL(u->peers, p);
		free(p);
	}
	return 0;
}
