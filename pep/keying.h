/*
 * keying.h - controller keying (doc/keying.md): own epochs, the
 * site-key rows that publish them, and the SAs a peer's rows ask for.
 *
 * Desired SAs are a pure function of (rows, own epochs, what is in the kernel), so a
 * transaction that is aborted leaves nothing to undo here.  Own epochs change only in
 * keying_settle() and keying_tick(), outside transactions.
 */
#ifndef PEP_KEYING_H
#define PEP_KEYING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/suites.h"
#include "pep/kplan.h"
#include "pib/pib_class.h"

struct keying;

struct keying_transform {
	uint8_t protocol; /* enum suite_protocol */
	bool esn;
	uint16_t encr;
	uint16_t encr_key_bits;
	uint16_t integ;
	uint32_t replay_window;
	uint32_t lifetime_s; /* hard; 0 = none */
	uint64_t lifetime_kilobytes;
	uint32_t soft_s; /* 0 = of our choice */
	uint64_t soft_kilobytes;
	uint32_t proposal; /* ceVpnProposal instance, for reports */
};

/* Our membership in a VPN, from its ceVpn and proposal rows. */
struct keying_member {
	uint32_t vpn;	 /* ceVpn instance */
	uint32_t member; /* m */
	uint8_t vpn_id[7];
	struct addr local;
	enum kern_mode mode;			       /* of its SAs */
	bool nat;				       /* we are behind NAT */
	bool dscp_clear;			       /* as kern_sa has it */
	struct keying_transform transform[SUITES_MAX]; /* that this CE can do, best first */
	unsigned transforms;
	struct kern_mark mark; /* of what its SAs bring in; mask 0: none */
	uint32_t rekey_serial;
	uint32_t epoch_floor;
};

/* A peer's published epoch, from a ceVpnPeerKey row. */
struct keying_peer_key {
	uint32_t instance; /* of the row */
	uint32_t epoch;
	const uint8_t *public_key;    /* 32 octets */
	const uint8_t *nonce;	      /* 32 octets */
	struct pib_octets transforms; /* common/suites.h */
	struct pib_octets sends;
	struct pib_octets certificate;
	struct pib_octets signature;
};

#define KEYING_EPOCHS 8 /* a peer's live epochs we look at, newest first */

struct keying_peer {
	uint32_t peer;	  /* membership id */
	const char *name; /* certificate identity */
	struct addr addr;
	bool nat; /* it is, and addr is the NAT's */
	uint32_t reqid;
	uint8_t inner; /* family of what its SAs carry; 0 = both */
	struct keying_peer_key key[KEYING_EPOCHS];
	uint8_t keys;
	uint32_t acked; /* our newest epoch this peer holds; 0 = none */
};

struct keying_ops { /* what keying asks of its owner */
	/* Own epochs were made or withdrawn: recompute the SAs of every peer of this member. */
	void (*changed)(void *arg, uint32_t member);
	/* The set of site-key rows changed: publish. */
	void (*publish)(void *arg);
};

/* cert/key/ca: the CE's PEM files; state_dir keeps epoch numbers. NULL and err on failure. */
struct keying *keying_new(const char *cert, const char *key, const char *ca, const char *state_dir,
    const struct keying_ops *ops, void *arg, char *err, unsigned long err_len);
/* What this CE can send, at most SENDS_MAX: to be set before there is a membership. */
void keying_set_sends(struct keying *k, const struct suite *s, size_t count);
void keying_free(struct keying *k); /* cleanses private keys; SAs stay */
/*
 * grace: from the last peer's acknowledgement of a newer epoch to the withdrawal of an
 * older one; linger: from there to the deletion of its inbound SAs.  Defaults 5 s, 3 s.
 */
void keying_set_times(struct keying *k, int64_t grace_ms, int64_t linger_ms);

/*
 * Check a key row: certificate chain, name, signature, key.  0, or -1 with the INSTALL-ERRORS
 * number of ceVpnPeerKey and a text. Results are remembered by row octets.
 */
int keying_verify(struct keying *k, const struct keying_member *m, const struct keying_peer *p,
    const struct keying_peer_key *pk, uint16_t *install_error, char *err, unsigned long err_len);

/*
 * Add to plan the SA additions and deletions that bring this peer from the shadow to what its
 * rows and our epochs ask for.  p->keys == 0: the peer has no (more) keys or is gone, all SAs of
 * p->reqid are deleted.  ks must live as long as k.  0, or -1 and err: keys cannot be derived, and
 * the plan is to be dropped.
 */
int keying_plan(struct keying *k, const struct keying_member *m, const struct keying_peer *p,
    const struct kstate *ks, struct kplan *plan, char *err, unsigned long err_len);

/*
 * This SA, which a plan of ours asked for, could not be added: somebody else's has its SPI.  It is
 * not asked for again, and the membership gets an epoch with other SPIs.  False: it is none of
 * ours.
 */
bool keying_taken(struct keying *k, const struct kern_sa_id *sa);

/* A membership came, changed or (gone) went, and the rows are committed. now_ms: monotonic. */
void keying_settle(struct keying *k, const struct keying_member *m, int64_t now_ms);
void keying_gone(struct keying *k, uint32_t member);
/*
 * Does an epoch live beside the newest until all peers hold a newer one?  Else nothing depends on
 * what they hold.
 */
bool keying_waits(const struct keying *k, uint32_t member);
/*
 * The newest epoch acknowledged by every present peer of m (0: none; UINT32_MAX: there
 * is no peer): drives withdrawal.
 */
void keying_acked(struct keying *k, uint32_t member, uint32_t epoch_acked_by_all, int64_t now_ms);
/* SAs of this membership were lost (flush, reboot): new epoch, old ones withdrawn at once. */
void keying_lost(struct keying *k, uint32_t member, int64_t now_ms);
/*
 * The PDP does not take our key in this slot (epoch & 15), for its signature, certificate,
 * number or transform: it is withdrawn, and soon there is another.
 */
void keying_refused(struct keying *k, uint32_t member, unsigned slot, int64_t now_ms);
/*
 * The kernel says that an SA of our membership comes to its soft lifetime: a new epoch, when
 * it is an outbound one of our newest epoch (the sender is the one who replaces it).
 */
void keying_expiring(struct keying *k, uint32_t member, uint32_t spi, int64_t now_ms);
/* copsctl rekey: member 0 = all. Returns how many new epochs were made. */
unsigned keying_rekey(struct keying *k, uint32_t member, int64_t now_ms);
/*
 * Timers (age of epochs, grace) and work put off.  Returns the next deadline, INT64_MAX = none.
 * Call it after the functions above and after every transaction too, for the new deadline.
 * Callbacks of keying_ops run inside the functions that take now_ms and keying_gone(); they may
 * call keying_plan(), keying_notify() and keying_epochs(), nothing else of here.
 */
int64_t keying_tick(struct keying *k, int64_t now_ms);

/* The ceVpnSiteKey rows to notify. */
void keying_notify(struct keying *k,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);

/* For show: own epochs of a member, newest first; returns how many. */
struct keying_epoch_info {
	uint32_t epoch;
	bool private_key; /* false: from before a restart */
	bool withdrawing;
	int64_t age_ms;
};
unsigned keying_epochs(const struct keying *k, uint32_t member, struct keying_epoch_info *info,
    unsigned max, int64_t now_ms);

#endif
