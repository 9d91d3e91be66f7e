/*
 * model.h - the VPN model: one immutable snapshot per customer, built from its
 * intent, and the question everything else asks: what does member r see of member m?
 * Control thread only.
 */
#ifndef PDP_MODEL_H
#define PDP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "pdp/ids.h"

struct cops_chunk;

enum model_topology { TOPO_FULL_MESH, TOPO_HUB_AND_SPOKE, TOPO_LINKS };
enum model_routing { ROUTING_STATIC = 1, ROUTING_MANAGED, ROUTING_DYNAMIC }; /* as ceVpnRouting */
enum model_internet { INTERNET_BYPASS, INTERNET_DISCARD, INTERNET_VIA_HUB };
enum model_dscp { DSCP_COPY = 1, DSCP_CLEAR, DSCP_SET };	 /* as ceVpnDscp */
enum model_role { ROLE_HUB = 1, ROLE_SPOKE = 2, ROLE_MESH = 3 }; /* as ceVpnRole */

/* What one member sees of another. */
enum view {
	VIEW_NONE, /* no rows: covered by the space, or not a member */
	VIEW_SELF,
	VIEW_PEER,    /* direct */
	VIEW_VIA,     /* prefixes behind *via */
	VIEW_BLOCKED, /* prefixes discarded */
	VIEW_MAX
};

struct model_ce {
	char *name;	     /* certificate identity, lower case */
	bool foreign;	     /* managed="no": never has a session */
	struct addr address; /* in the SP's realm */
	/* What its session shows (pdp/nat): the only thing here that changes. */
	bool nat;
	struct addr seen; /* behind NAT: the NAT's address */
	struct addr own;  /* and its own */
	struct customer *customer;
	struct model_member **member; /* its memberships, by VPN name */
	size_t members;
};

struct model_prefix {
	struct prefix prefix;
	bool learned;  /* reported by the CE, not of the intent */
	bool extranet; /* also a site's of another VPN, whose it is */
	struct id_entry *id;
};

struct model_proposal { /* of IPsec, or of IKE itself; algorithms by IKEv2 numbers */
	bool ike;
	bool ah; /* else ESP */
	bool esn;
	uint16_t encr;
	uint16_t encr_key_bits;
	uint16_t integ;
	uint16_t prf; /* IKE */
	uint16_t dh;
	uint32_t replay_window;
	uint32_t lifetime_s; /* hard; 0 = none */
	uint32_t soft_s;     /* 0 = the CE chooses */
	uint64_t lifetime_kilobytes;
	uint64_t soft_kilobytes;
	struct id_entry *id;
};

struct model_member {
	const struct model_ce *ce;
	struct model_vpn *vpn;
	struct id_entry *id; /* id->number is m */
	enum model_role role;
	bool extranet;		   /* for sites of another VPN alone */
	struct model_prefix *site; /* sorted by prefix */
	size_t sites;
	enum model_internet internet;
	char *vrf;		 /* NULL: none */
	struct addr tunnel_addr; /* family 0: none */
	struct prefix *learn;	 /* where it may learn prefixes; sorted */
	size_t learns;
	uint32_t max_learned;
	struct model_member **link; /* TOPO_LINKS: peers, sorted by m */
	size_t links;
	/* Its rows by view, encoded when first asked for: pdp/delta's, freed with the snapshot. */
	struct cops_chunk *chunk[VIEW_MAX];
};

struct model_vpn {
	char *name;
	struct customer *customer;
	struct id_entry *id;
	uint8_t vpn_id[7]; /* RFC 2685 */
	enum model_topology topology;
	bool relay;
	enum model_internet internet; /* of members that say nothing */
	enum model_routing routing;
	bool hellos;
	bool leave_allowed; /* a CE's own wish to leave is granted at once */
	enum model_dscp dscp;
	uint8_t dscp_value;
	bool ike; /* keying="ike", and of that: */
	bool on_demand;
	bool psk;
	uint32_t idle_s;
	bool ipip; /* mode="ipip-transport" */
	struct model_proposal *proposal;
	size_t proposals;
	struct model_proposal *ike_proposal;
	size_t ike_proposals;
	struct model_prefix *space; /* sorted by prefix */
	size_t spaces;
	/* Of members that are excluded: discarded by all, so that nothing goes there in clear. */
	struct model_prefix *withheld; /* sorted by number */
	size_t withhelds, withheld_cap;
	struct model_member *member; /* sorted by m */
	size_t members;
	/* What is not of the VPN, for members with INTERNET_VIA_HUB: "any" of each family they
	 * have. */
	struct model_prefix outside[2];
	size_t outsides;
	struct model_member **hub; /* in intent order; hub[0] relays, and has the Internet */
	size_t hubs;
};

struct model_excluded { /* in the document, and not in the snapshot */
	char *ce;
	char *vpn; /* NULL: the whole CE */
	/* Of a membership: */
	uint32_t member;
	struct prefix *learn; /* where it could learn prefixes */
	size_t learns;
};

struct customer {
	char *name;
	unsigned refs;
	uint64_t generation;
	struct ids *ids;     /* where the numbers are from; borrowed */
	struct model_ce *ce; /* sorted by name */
	size_t ces;
	struct model_vpn *vpn; /* sorted by name */
	size_t vpns;
	struct model_vpn **vpn_by_number;
	struct model_excluded *excluded;
	size_t excludeds;
};

/*
 * An empty snapshot with one reference; whoever fills it allocates with malloc(), sorts as said
 * above, and calls customer_index().  NULL: memory.
 */
struct customer *customer_new(const char *name);
/* Fill what follows from the rest: memberships of CEs, number index.  0, or -1: memory. */
int customer_index(struct customer *c);

/* Borrowed lookups inside a snapshot. */
struct model_ce *customer_ce_find(const struct customer *c, const char *name);
struct model_vpn *customer_vpn_find(const struct customer *c, const char *name);
struct model_vpn *customer_vpn_by_number(const struct customer *c, uint32_t number);
struct model_member *vpn_member_find(const struct model_vpn *v, uint32_t m);
struct model_member *vpn_member_of(const struct model_vpn *v, const struct model_ce *ce);
/* Prefixes that are withheld too; sort when all are there.  0, or -1: memory. */
int vpn_withhold(struct model_vpn *v, const struct model_prefix *p, size_t n);
void vpn_withheld_sort(struct model_vpn *v); /* each once, too */
/* Does the document have this CE, or (vpn not NULL) membership, which is excluded? */
bool customer_excludes(const struct customer *c, const char *vpn, const char *ce);
struct customer *customer_ref(struct customer *c);
void customer_unref(struct customer *c);

/*
 * A cursor over the members r sees (VIEW_NONE and VIEW_SELF left out), by number; hubs first in
 * intent order where only they are seen.  Cost: as many as it gives.
 */
struct model_seen {
	const struct model_member *r;
	struct model_member **few; /* NULL: all members of its VPN */
	size_t next;
	size_t count; /* an upper bound of what it gives */
};
void model_seen_init(struct model_seen *s, const struct model_member *r);
struct model_member *model_seen_next(struct model_seen *s);
/* Does r forward between its peers (ceVpnRelay)? */
bool model_relays(const struct model_member *r);

/* The part of its VPN's outside that concerns r: it has it, or it is there for others. */
const struct model_prefix *model_internet(const struct model_member *r, size_t *count);
/* Of what the intent says of its site: what comes and goes by itself changes nothing here. */
bool model_has_family(const struct model_member *m, uint8_t family);
bool model_internet_here(const struct model_member *r); /* r is there for others */

/* Do the two have a tunnel, as far as the topology goes? */
bool model_adjacent(const struct model_member *r, const struct model_member *m);
/*
 * Why NAT keeps two from being peers though the topology has them so; NULL: it does not.  Both
 * behind NAT, and the keys ours: neither can send to the other first (IKE does its own).  IP-in-IP:
 * its transport mode cannot pass.  Nor are there routing daemons over tunnels with NAT between.
 */
const char *model_nat_apart(const struct model_member *r, const struct model_member *m);
/* Does NAT of one of them keep any two of this VPN's members apart? */
bool model_nat_none(const struct model_vpn *v);
/* Where peers send to, and its own end. */
static inline const struct addr *model_peer_addr(const struct model_ce *ce)
{
	return ce->nat ? &ce->seen : &ce->address;
}
static inline const struct addr *model_local_addr(const struct model_ce *ce)
{
	return ce->nat ? &ce->own : &ce->address;
}

/* As the intent writes them (pdp/intent_routing.c). */
const char *intent_internet_name(enum model_internet i); /* "via-hub" */
const char *intent_routing_name(enum model_routing r);	 /* "managed" */

/* O(1) (O(log links) for TOPO_LINKS).  via: the relaying hub of VIEW_VIA. */
enum view model_view(
    const struct model_member *r, const struct model_member *m, const struct model_member **via);

#endif
