/*
 * vpn_owed.c - what is to go and is still there (ceVpnSiteOwed): entries of the kernel whose
 * deletion was refused and is tried again, and the IKE daemon's connections to former peers.
 * Success of a decision does not wait for them, so the PDP is told of them *before* that Success:
 * it takes a member that left for gone only when its peers have reported Success and owe nothing.
 */
#include "pep/agent.h"
#include "pep/ike.h"
#include "pep/vpn.h"
#include "pep/vpn_int.h"

uint32_t vpn_owed(const struct vpn *v)
{
	size_t n = kstate_owed(v->ks) + vpn_ike_ending(v) + v->owed_ike;

	/* nobody knows what is there, or there is something of which nobody knows whose it is */
	if (n == 0 && v->loaded && v->unclaimed &&
	    kstate_policy_count(v->ks) + kstate_sa_count(v->ks) > 0)
		n = 1;
	if (n == 0 && !v->loaded && v->repair.trouble[0])
		n = 1;
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Peers whose rows went, and whose connections the IKE daemon is to be told to end. */
static size_t ike_to_end(struct vpn *v, const struct vpn_touched *t)
{
	struct vpn_touch *e, *next;
	struct ike_status s;
	size_t n = 0;

	HASH_ITER (hh, t->part, e, next)
		n += e->key.part == VPN_PART_PEER && !vpn_peer_row(v->store, e->key.id) &&
		     vpn_ike_status(v, e->key.id, &s);
	return n;
}

void vpn_owed_enforced(struct vpn *v, const struct vpn_touched *t)
{
	v->owed_ike = ike_to_end(v, t);
	if (vpn_owed(v) != 0 && v->env.agent)
		pep_agent_notify_first(v->env.agent, &pep_client_vpn);
}

void vpn_owed_settled(struct vpn *v)
{
	v->owed_ike = 0; /* they were told; vpn_ike_ending() counts from here */
}

void vpn_owed_tick(struct vpn *v)
{
	if (vpn_owed(v) != v->owed_told)
		vpn_publish(v);
}
