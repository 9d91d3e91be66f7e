/*
 * vpn_int.h - inside of the enforcer of client-type 0x4001, for pep/vpn*.c only.
 *
 *	vpn.c		the client: life, transactions, kernel events, timers
 *	vpn_touch.c	which parts a set of changed rows concerns (the binding table)
 *	vpn_run.c	those parts computed anew, planned and applied
 *	vpn_keying.c	where SAs come from: the table of keying providers
 *	vpn_ike.c	the one that asks charon
 *	vpn_ike_rows.c	rows in its words; vpn_ike_sas.c its SAs
 *	vpn_rows.c	rows to values, checks; vpn_fault.c what is reported
 *	vpn_repair.c	what others did to the kernel, noticed and told
 *	vpn_learn.c	what the site's routing daemons found, reported
 *	vpn_lockdown.c	what is discarded before, below and without rows
 *	vpn_owed.c	what is to go and is still there
 *	vpn_leave.c	VPNs that we ask to leave
 *	vpn_reqid.c	a peer's reqid
 *	vpn_show.c	for people
 *	vpn_natt.c	ESP in UDP
 *	vpn_host.c	this host's addresses and interfaces, followed; VPN devices and their routes
 *	vpn_vrf.c	VRFs, their marks and rules
 *	vpn_vti.c	VPNs whose tunnels are interfaces of kind VTI: keys, and what they cannot
 *	vpn_usage.c	what each peer's SAs carried
 *	vpn_status.c	how each peer's tunnel is, and since when
 */
#ifndef PEP_VPN_INT_H
#define PEP_VPN_INT_H

#include <time.h>
#include <uthash.h>

#include "pep/boot_id.h"
#include "pep/client.h"
#include "pep/natt.h"
#include "pep/vpn_caps.h"
#include "pep/vpn_reqid.h"
#include "pep/vpn_rows.h"

struct ike_status;
struct pep_conf;
struct event;
struct pib_txn;

/* --- parts ------------------------------------------------------------------ */

enum vpn_part { VPN_PART_NET = 1, VPN_PART_PEER, VPN_PART_BLOCKED };

enum vpn_what {
	VPN_POLICY = 1,	 /* a peer's or blocked prefix's own policies */
	VPN_KEYS = 2,	 /* a peer's SAs */
	VPN_NEAR = 4,	 /* of a VPN: near side, and with it everybody's policies and SAs */
	VPN_RELAY = 8,	 /* of a VPN: policies between its peers */
	VPN_MEMBER = 16, /* of a VPN: our membership, to be settled with its keying */
	VPN_ACK = 32,	 /* of a VPN: what its peers acknowledged */
	VPN_CHECK = 64,	 /* of a VPN: its row is new, check it against this host */
	VPN_STALE = 128, /* of a VPN: SAs of another kind are there, its keys are to be renewed */
	VPN_SITE = 256,	 /* of a VPN: what the site has of its own, of all VPNs together */
};

struct vpn_touch {
	struct vpn_touch_key {
		uint32_t part;
		uint32_t id; /* instance of its row */
	} key;
	unsigned what;
	uint32_t member_before; /* of a VPN that is gone or is another's now; 0 = none */
	int32_t keying_before;
	UT_hash_handle hh;
};

struct vpn_touched {
	struct vpn_touch *part; /* in order of touching */
	bool everything;	/* the shadow was just loaded: what is not put anew goes */
	bool no_memory;
};

void vpn_touch(struct vpn_touched *t, enum vpn_part part, uint32_t id, unsigned what);
/* The parts that the changes of a checked transaction concern. */
void vpn_touch_changes(
    struct vpn_touched *t, const struct pib_store *store, const struct pib_txn *txn);
void vpn_touch_everything(struct vpn_touched *t, const struct pib_store *store);
/* Near sides that changed touch all peers and prefixes of their VPN. */
void vpn_touch_expand(struct vpn_touched *t, const struct pib_store *store);
void vpn_touch_peers(
    struct vpn_touched *t, const struct pib_store *store, uint32_t vpn, unsigned what);
/* A peer's SAs, and its membership's settling. */
void vpn_touch_sas(struct vpn_touched *t, const struct pib_store *store, uint32_t peer);
/* Is there a part of which some of this is touched? */
bool vpn_touched_any(const struct vpn_touched *t, unsigned what);
void vpn_touched_clear(struct vpn_touched *t);

/* Owners of policies in the shadow. */
enum vpn_owner {
	VPN_OWNER_CONTROL = 1,
	VPN_OWNER_SITE,
	VPN_OWNER_PEER,
	VPN_OWNER_RELAY,
	VPN_OWNER_BLOCKED,
	VPN_OWNER_INNER
};
static inline uint64_t vpn_owner(enum vpn_owner kind, uint32_t id)
{
	return (uint64_t)kind << 32 | id;
}

/* --- repairs (vpn_repair.c) -------------------------------------------------- */

/* What others did to the kernel's tables, and what became of it. */
struct vpn_repair {
	bool changed;		 /* somebody did something: the next reconcile is a repair */
	struct kern_sa_id *gone; /* SAs of ours that somebody deleted, whatever is there now */
	size_t gone_count;
	size_t gone_cap;
	size_t operations; /* of the last plan */
	uint32_t repairs;  /* that changed something, since the start */
	char trouble[200]; /* why not all of the policy is in the kernel; "" = it is */
};

struct vpn;
/* Somebody deleted this SA of ours. */
void vpn_repair_gone(struct vpn *v, const struct kern_sa_id *sa);
void vpn_repair_begin(struct vpn *v); /* before any is asked for */
bool vpn_repair_is_gone(const struct vpn *v, const struct kern_sa_id *sa);
/* The kernel was read and brought in line, losing so many SAs; NULL: it could, else why not. */
void vpn_repair_done(struct vpn *v, size_t lost, const char *why_not);
/* What is not as it should be, of policy, this host and what is learned; "" = nothing.  Returns
 * buf. */
#define VPN_TROUBLE_LEN 256
const char *vpn_trouble(const struct vpn *v, char buf[VPN_TROUBLE_LEN]);
/* Debts came or were paid. */
void vpn_repair_debts(struct vpn *v);
void vpn_repair_clear(struct vpn *v);

/* --- the instance ----------------------------------------------------------- */

struct vpn {
	struct pep_env env;
	const struct pep_conf *conf;
	const struct kern_ops *ops;
	struct kern *kern;
	struct kstate *ks;
	struct vpn_reqids *reqids;
	struct vpn_caps caps;
	struct keying *keying;
	struct vpn_ike *ike;
	const struct pib_store *store; /* of the newest call; NULL before the first */
	bool loaded;		       /* the shadow shows the kernel */
	bool unclaimed;		       /* and holds entries that nobody put anew yet */
	bool over;		       /* policy ends with what is enforced now */
	struct vpn_touched settle;     /* enforced, and to be settled after the report */
	uint8_t boot_id[BOOT_ID_LEN];
	bool rebooted;
	struct event *on_kernel;
	struct event *on_net;
	struct event *on_tick;
	int64_t say_at; /* when addresses of new interfaces are told again; 0: none are */
	struct event *on_host;
	struct event *on_change; /* reality was changed by others: reconcile */
	uint64_t acquires;
	struct vpn_repair repair;
	bool default_block; /* lockdown: and the kernel's default is its second line */
	bool unlock;	    /* the kernel is locked down, and is not to be */
	struct vpn_usage *usage;
	struct vpn_states *states;
	struct natt *natt;
	struct vpn_learn *learn;
	struct host_list *host_list;
	struct vpn_host *hosts; /* by VPN */
	char host_trouble[200]; /* what of this host is not as when rows came; "" = nothing */
	size_t owed_ike;	/* peers that charon is about to be told to forget */
	uint32_t owed_told;	/* what the PDP was told last that we owe */
	struct vpn_leave *leaves;
};

int64_t vpn_now_ms(void); /* monotonic */

/*
 * Compute the touched parts from the store's rows, plan, apply.  0: everything holds.  -1: nothing
 * changed, faults recorded.
 */
int vpn_run(struct vpn *v, const struct pib_store *store, struct vpn_touched *t,
    struct vpn_faults *f, bool lenient);
/* The VPN of our membership, 0 = none; a VPN's row, NULL = none. */
uint32_t vpn_of_member(const struct pib_store *store, uint32_t member);
const struct pib_ce_vpn *vpn_row(const struct pib_store *store, uint32_t vpn);
const struct pib_ce_vpn_peer *vpn_peer_row(const struct pib_store *store, uint32_t peer);
struct vpn_env vpn_row_env(const struct vpn *v, const struct pib_store *store, bool lenient);

/* --- what is owed, and who asks to leave -------------------------------------- */

uint32_t vpn_owed(const struct vpn *v);
/* These parts were enforced, and nothing was reported yet: what is owed is said before. */
void vpn_owed_enforced(struct vpn *v, const struct vpn_touched *t);
void vpn_owed_settled(struct vpn *v); /* providers know what was enforced */
void vpn_owed_tick(struct vpn *v);    /* what is owed may be another */

void vpn_leave_start(struct vpn *v);
void vpn_leave_stop(struct vpn *v);
void vpn_leave_notify(const struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);
void vpn_leave_refused(struct vpn *v, uint32_t instance);
void vpn_leave_settle(struct vpn *v); /* by the rows of a decision: some may be answered */

/* --- lockdown --------------------------------------------------------------- */

/* What holds without rows: the control channel, neighbour discovery, and lockdown. */
void vpn_control_entries(const struct pep_conf *conf, struct spd *s);
/* With lockdown, make it hold, rows or no rows; the shadow is loaded.  0, or -1 and *f. */
int vpn_lockdown_guard(struct vpn *v, struct kern_fault *f);
/* The shadow was loaded; and everything was enforced from rows. */
void vpn_lockdown_loaded(struct vpn *v);
void vpn_lockdown_settle(struct vpn *v);

/* --- learned prefixes --------------------------------------------------------- */

int vpn_learn_start(struct vpn *v); /* 0, or -1: no memory */
void vpn_learn_stop(struct vpn *v);
/* The rows are these now. */
void vpn_learn_rows(struct vpn *v);
/* For struct pep_client's notify() and refused(): rows of ceVpnSitePrefix. */
void vpn_learn_notify(struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);
void vpn_learn_refused(struct vpn *v, uint32_t instance);
/* Is this prefix reported as one of the VPN's site? */
bool vpn_learn_reports(const struct vpn *v, uint32_t vpn, const struct prefix *dst);
/* Why not all that was learned is reported; "": it is. */
const char *vpn_learn_trouble(const struct vpn *v);

/* --- this host (vpn_host.c) --------------------------------------------------- */

/* Hear of what changed at this host until now. */
void vpn_host_hear(struct vpn *v);
/* Fill in n->here.  0, or -1 with faults. */
int vpn_host_look(struct vpn *v, struct vpn_net *n, struct vpn_faults *f);
/* It holds now, with what was seen then; fresh: its row is new. */
void vpn_host_note(struct vpn *v, const struct vpn_net *n, bool fresh);
void vpn_host_forget(struct vpn *v, uint32_t vpn);
/* Say what changed since rows came, if that is something else than was said. */
void vpn_host_tell(struct vpn *v);
void vpn_host_clear(struct vpn *v);
/* What others did to interfaces, routes and addresses. */
void vpn_host_event(void *arg, const struct kern_net_event *e);
/* The addresses and interfaces of this host may be others now. */
void vpn_host_changed(struct vpn *v);
/* Add the VPN's device to the plan, or its deletion. */
void vpn_host_device(struct vpn *v, const struct vpn_net *n, struct kplan *plan);
/* Why the peer's prefix has no route; NULL: it has one. */
const char *vpn_host_no_route(const struct vpn *v, const struct vpn_net *n, const struct addr *peer,
    const struct prefix *dst);
/* Add routes to all that is behind the peer to the plan; none of those before stays. */
void vpn_host_routes(
    struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p, struct kplan *plan);
/*
 * In a VRF's table, behind a route to far or instead of it: it is discarded, and goes nowhere by
 * another route of the VRF.  Nothing for VPNs that are in none.
 */
void vpn_host_discard(const struct vpn_net *n, uint64_t owner, const struct spd_prefix *far,
    const struct pib_class *cls, struct kplan *plan);
/*
 * Behind the site's own routes to its prefixes: what comes out of a tunnel is discarded while such
 * a route is gone, and does not leave in clear by another one, like the default route.  Only where
 * there is, or was, a route of others to exactly the prefix, so that none that is shorter is
 * wanted: a network on a link of this host, or one that is learned.
 */
void vpn_host_site(struct vpn *v, const struct vpn_net *n, uint64_t owner, struct kplan *plan);
/* What the VPN's routes are, as far as it was enforced.  false: it was not. */
bool vpn_host_net(const struct vpn *v, uint32_t vpn, struct vpn_net *n);
/* What others did is to be looked at, soon; and addresses and interfaces are. */
void vpn_change_soon(struct vpn *v);
void vpn_host_soon(struct vpn *v);

/* --- VRFs (vpn_vrf.c) -------------------------------------------------------- */

/* Have the rule that the VPN needs, if it is in a VRF.  0, or -1 with faults. */
int vpn_vrf_need(struct vpn *v, const struct vpn_net *n, struct vpn_faults *f);
/* Rows are these now: no other rules of ours. */
void vpn_vrf_settle(struct vpn *v, const struct pib_store *store);
/* The VRF is gone, or the VPN held: discard what the site sends to the VPN. */
void vpn_vrf_withhold(const struct pib_store *store, const struct vpn_net *n, struct spd *spd);
/* Why a VPN whose VRF was missing is held up; "": it is there. */
void vpn_vrf_trouble(const struct vpn *v, uint32_t vpn, char *text, size_t len);

/* --- VTI (vpn_vti.c) --------------------------------------------------------- */

/* Why a VPN that this back end cannot have, and that is in no VRF, is held up. */
void vpn_vti_trouble(const struct vpn *v, uint32_t vpn, char *text, size_t len);
/* Does no other VPN have a tunnel where one with VTI has?  0, or -1 with faults. */
int vpn_vti_alone(const struct pib_store *store, struct vpn_faults *f);

/* --- NAT -------------------------------------------------------------------- */

/* Do this peer's SAs need ESP in UDP?  *x: what of it is to be told to v->natt once they are in. */
bool vpn_natt_of(const struct vpn_net *n, const struct vpn_peer *p, struct natt_peer *x);
/* The rows are these now. */
void vpn_natt_settle(struct vpn *v, const struct pib_store *store);
/* KERN_EV_MAPPING */
void vpn_natt_mapping(struct vpn *v, const struct kern_event *e);

/* --- usage ------------------------------------------------------------------ */

struct vpn_usage *vpn_usage_new(void);
void vpn_usage_free(struct vpn_usage *u);
/* arg is the struct vpn; for kstate_watch(). */
void vpn_usage_last(void *arg, const struct kern_sa_id *id);
/* struct pep_client's count(), of ceVpnPeer rows. */
int vpn_count(void *self, const struct pib_store *store,
    void (*put)(
	void *arg, const struct pib_class *cls, uint32_t instance, const struct pep_usage *now),
    void *arg);

struct vpn_traffic { /* of a peer, by direction, over all SAs there were */
	struct pep_usage in;
	struct pep_usage out;
	uint32_t spi_in; /* of the newest SA, 0 = none */
	uint32_t spi_out;
};
/* Read the kernel's counters now, or take those of a moment ago.  0, or -1: not read. */
int vpn_usage_read(struct vpn *v);
/* As of the last reading; all zero: nothing is known of the peer. */
void vpn_usage_peer(const struct vpn *v, uint32_t peer, struct vpn_traffic *t);

/* --- status ----------------------------------------------------------------- */

struct vpn_status {
	int32_t state;	 /* enum pib_ce_vpn_peer_status_state */
	int32_t why;	 /* enum pib_ce_vpn_peer_status_why */
	char error[128]; /* what went wrong last, for people; "" = nothing */
};

struct vpn_states;

struct vpn_states *vpn_states_new(void);
void vpn_states_free(struct vpn_states *s);
/*
 * How the tunnel to the peer of this row is now, as its provider says, and since when (seconds
 * since the epoch; 0 = memory is short).
 */
time_t vpn_status_get(struct vpn *v, const struct pib_ce_vpn_peer *row, struct vpn_status *s);
/* Forget those whose rows are gone. */
void vpn_states_sweep(struct vpn *v);
/*
 * Some peer's status may be another now; costs nothing and may be called often.  Providers call it
 * for what happens outside of vpn_run(): an exchange that failed, a daemon that is gone ...
 */
void vpn_status_changed(struct vpn *v);
/* struct pep_client's usage_rows(), of ceVpnPeerStatus for a ceVpn row. */
int vpn_usage_rows(void *self, const struct pib_store *store, const struct pib_class *usage,
    uint32_t selected, void (*put)(void *arg, const struct pep_usage_row *row), void *arg);

/* --- keying providers ------------------------------------------------------- */

struct vpn_provider {
	int32_t keying; /* ceVpnKeying */
	/* Check a peer's keys; lenient: forget bad ones.  0, or -1 with faults. */
	int (*verify)(struct vpn *v, const struct vpn_net *n, struct vpn_peer *p,
	    struct vpn_faults *f, bool lenient);
	/* Add the peer's SA operations to plan.  0, or -1 with faults. */
	int (*plan)(struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p,
	    struct kplan *plan, struct vpn_faults *f);
	void (*settle)(struct vpn *v, const struct vpn_net *n);
	void (*gone)(struct vpn *v, uint32_t member);
	/* What peers acknowledged changed.  NULL: it does not matter. */
	void (*acked)(struct vpn *v, const struct pib_ce_vpn *row);
	void (*lost)(struct vpn *v, uint32_t member);
	void (*expiring)(struct vpn *v, uint32_t member, uint32_t spi);
	/* How the tunnel to a peer is; *s says down, for no reason, and no error. */
	void (*status)(struct vpn *v, const struct pib_ce_vpn *n, const struct pib_ce_vpn_peer *p,
	    struct vpn_status *s);
	/* Somebody else's SA has the SPI of one they planned: true if they do without.  May be
	 * NULL. */
	bool (*taken)(struct vpn *v, const struct kern_sa_id *sa);
};

const struct vpn_provider *vpn_provider_find(int32_t keying); /* NULL: none */
int vpn_providers_start(struct vpn *v, char *err, unsigned long err_len);
void vpn_providers_stop(struct vpn *v);
int64_t vpn_providers_tick(struct vpn *v); /* next deadline, INT64_MAX = none */
/* An SA of a plan is refused as it exists already: is the plan worth another try? */
bool vpn_providers_taken(struct vpn *v, const struct kern_sa_id *sa);
/* The PDP refused this row of theirs. */
void vpn_providers_refused(struct vpn *v, const struct pib_class *cls, uint32_t instance);
void vpn_providers_notify(struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);
/* What concerns all of them, after it was enforced: rows of a part changed; all parts were told. */
void vpn_providers_touched(struct vpn *v, const struct vpn_touch *e);
void vpn_providers_complete(struct vpn *v);
/* What providers ask of the enforcer. */
void vpn_tick_soon(struct vpn *v);
void vpn_sas_changed(struct vpn *v, uint32_t member);
void vpn_publish(struct vpn *v);

/* --- IKE ---------------------------------------------------------------------- */

extern const struct vpn_provider vpn_ike_provider;
int vpn_ike_start(struct vpn *v, char *err, unsigned long err_len);
void vpn_ike_stop(struct vpn *v);
int64_t vpn_ike_tick(struct vpn *v);
bool vpn_ike_up(const struct vpn *v);	    /* charon answers */
size_t vpn_ike_ending(const struct vpn *v); /* connections that charon has and is not to */
void vpn_ike_touched(struct vpn *v, const struct vpn_touch *e);
void vpn_ike_complete(struct vpn *v);
/* Is it a peer of a VPN with IKE?  Then also: */
bool vpn_ike_has(const struct vpn *v, uint32_t peer);
void vpn_ike_acquire(struct vpn *v, uint32_t peer); /* traffic waits */
/* The kernel has this SA no more. */
void vpn_ike_missing(struct vpn *v, uint32_t peer, const struct kern_sa_id *id);
/* What charon tells of its SAs (struct ike_ops); v is a struct vpn. */
struct ike_sa;
void vpn_ike_installed(void *v, uint32_t peer, const struct ike_sa *sa);
void vpn_ike_retire(void *v, uint32_t peer, const struct ike_sa *sa);
/* All others of the peer's SAs go.  false: not now. */
bool vpn_ike_only(void *v, uint32_t peer, const struct ike_sa *sa, size_t count);
/* Prefer the outbound SA to the peer if there is only one. */
void vpn_ike_prefer(struct vpn *v, uint32_t peer);
void vpn_ike_verify(struct vpn *v); /* charon's SAs against the shadow, which was just loaded */
/* false: not a peer that charon is to reach. */
bool vpn_ike_status(const struct vpn *v, uint32_t peer, struct ike_status *s);
/* Rekey the CHILD_SAs of a membership (0 = of all); how many charon was asked to. */
unsigned vpn_ike_rekey(struct vpn *v, uint32_t member);
void vpn_ike_reload(struct vpn *v); /* certificates and keys */

#endif
