/*
 * rows.h - the model as rows of CE-VPN-PIB: what each thing looks like to a member that sees it.
 * pdp/delta decides who gets what.
 */
#ifndef PDP_ROWS_H
#define PDP_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pdp/model.h"

/* Rows being written, removes and installs apart; dry: only counted. */
struct rows {
	struct decision remove;
	struct decision install;
	size_t removed;
	size_t installed;
	bool dry;
};
void rows_init(struct rows *r, bool dry);
void rows_clear(struct rows *r);
/* Append what was written to l, removes first; *r is as after rows_init(). */
void rows_take(struct rows *r, struct delta_list *l);

/* How a set of prefixes appears to a member. */
enum rows_how {
	ROWS_ABSENT,
	ROWS_SITE,     /* ceVpnLocalPrefix, its own */
	ROWS_SPACE,    /* ceVpnLocalPrefix, the VPN it relays for */
	ROWS_INTERNET, /* ceVpnLocalPrefix, what others reach through it */
	ROWS_PEER,     /* ceVpnPeerPrefix, through peer or (0) nobody */
};
struct rows_at {
	enum rows_how how;
	uint32_t peer;
};
/* The VPN's space as r sees it. */
struct rows_at rows_space_at(const struct model_member *r);
/* What is outside of the VPN, of model_internet(). */
struct rows_at rows_internet_at(const struct model_member *r);
/* The sites of m as a member sees them whose view of it is v. */
struct rows_at rows_site_at(const struct model_member *m, enum view v);

/* keys may be NULL: no keyring. */
void rows_put_vpn(struct rows *r, const struct model_member *m, const struct delta_keys *keys);
/* The i-th of its list. */
void rows_put_proposal(
    struct rows *r, const struct model_vpn *v, const struct model_proposal *p, size_t i);
/* The class of its row. */
const struct pib_class *rows_proposal_class(bool ike);
void rows_put_peer(struct rows *r, const struct model_member *m);
void rows_put_prefix(
    struct rows *r, const struct model_prefix *p, uint32_t vpn, const struct rows_at *at);
void rows_remove(struct rows *r, const struct pib_class *cls, uint32_t instance);
/* The class of a prefix row. */
const struct pib_class *rows_prefix_class(enum rows_how how);

/* Would rows_put_vpn(), rows_put_peer(), rows_put_proposal() write other octets? */
bool rows_vpn_differs(const struct model_member *a, const struct model_member *b);
bool rows_peer_differs(const struct model_member *a, const struct model_member *b);
bool rows_proposal_differs(const struct model_proposal *a, const struct model_proposal *b);
/* The part of rows_vpn_differs() that only the member itself is told. */
bool rows_self_differs(const struct model_member *a, const struct model_member *b);
/* The part of rows_vpn_differs() that is the VPN's own. */
bool rows_net_differs(const struct model_vpn *a, const struct model_vpn *b);

/* A sorted set of prefixes and how it appears. */
struct rows_set {
	const struct model_prefix *p;
	size_t n;
	struct rows_at at;
};
/* The rows that lead from one set to another of the same owner in VPN number vpn. */
void rows_diff_prefixes(
    struct rows *r, const struct rows_set *before, const struct rows_set *after, uint32_t vpn);

/* Remove of every class of CE-VPN-PIB that a PDP installs, as prefixes (PPRID). NULL: memory. */
struct cops_chunk *rows_remove_all(void);

#endif
