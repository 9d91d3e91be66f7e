/*
 * ike.h - charon brought to where it should be, and kept there: connections loaded, CHILD_SAs
 * initiated, replaced and ended, over VICI (pep/vici.h), all of it asynchronous.
 *
 * What is wanted is a set of peers (ike_want); what is there is what charon last listed.  Every
 * event only says which connection to list again.  What differs is asked for; what fails is tried
 * again with back-off, and why it failed is kept for reports.
 *
 *	permanent   a CHILD_SA with the wanted name at all times.  Who leads initiates at once;
 *		    the other end only when nothing came for a while
 *	on demand   from ike_acquire() on, until charon finds it idle
 *	changed     the new CHILD_SA first, then the end of the old one
 *	gone	    the connection unloaded, its CHILD_SAs ended
 */
#ifndef PEP_IKE_H
#define PEP_IKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "pep/ike_conf.h"
#include "pep/ike_psk.h"

struct event_base;
struct ike;

struct ike_sa { /* of a pair that charon lists */
	struct addr local;
	struct addr remote;
	uint32_t spi_in;
	uint32_t spi_out;
};

struct ike_ops {
	/* Something happened: ike_tick() soon. */
	void (*changed)(void *arg);
	/* charon answers, or does not any more. */
	void (*daemon)(void *arg, bool up);
	/* A peer has this pair of SAs, of which the kernel tells nobody else. */
	void (*installed)(void *arg, uint32_t peer, const struct ike_sa *sa);
	/* This pair is about to be ended, for a newer one that is up. */
	void (*retire)(void *arg, uint32_t peer, const struct ike_sa *sa);
	/*
	 * The peer's SAs but these are nobody's: they were another charon's.  sa may be NULL if
	 * count is 0.  false: some are still there, ask again.
	 */
	bool (*only)(void *arg, uint32_t peer, const struct ike_sa *sa, size_t count);
};

/* Borrowed, and read whenever charon comes up; views and texts may be empty. */
struct ike_creds {
	const char *identity;
	struct vici_view certificate; /* PEM */
	struct vici_view key;
	struct vici_view ca;
	const struct ike_psk *psk;
};

/* NULL: no memory. */
struct ike *ike_new(struct event_base *base, const char *socket, const struct ike_creds *creds,
    const struct ike_ops *ops, void *arg);
void ike_free(struct ike *k); /* charon goes on with what it has */
/* The credentials changed: load them again. */
void ike_creds_changed(struct ike *k);

/*
 * A peer is wanted like that; equal to what is wanted already it changes nothing.  0, or -1: no
 * memory, nothing changed.
 */
int ike_want(struct ike *k, const struct ike_conf *c, bool permanent, bool leads, int64_t now_ms);
void ike_unwant(struct ike *k, uint32_t peer);
/* Everything that is wanted was named: what else charon has of ours may go. */
void ike_complete(struct ike *k);
/* Traffic waits for an SA of the peer's. */
void ike_acquire(struct ike *k, uint32_t peer, int64_t now_ms);
/* Does charon list an SA of the peer's with this SPI? */
bool ike_lists(const struct ike *k, uint32_t peer, uint32_t spi);
/*
 * The kernel has this SA no more.  If charon goes on listing it, then somebody else deleted it,
 * and the CHILD_SA is ended and made anew.
 */
void ike_missing(struct ike *k, uint32_t peer, uint32_t spi, int64_t now_ms);
/* The same for all: is the pair in the kernel? */
void ike_verify(struct ike *k, bool (*present)(void *arg, const struct ike_sa *sa), int64_t now_ms);
/*
 * Rekey the peer's CHILD_SA, or leave it at the one that comes meanwhile: a new one is not replaced
 * before both ends had the time to prefer it.  leading: only if it is us who lead, since both ends
 * are told.  false: there is none, or charon is not there.
 */
bool ike_rekey(struct ike *k, uint32_t peer, bool leading, int64_t now_ms);
/* Do what is due; when to call again, INT64_MAX = when something happens. */
int64_t ike_tick(struct ike *k, int64_t now_ms);

enum ike_state {
	IKE_UP,
	IKE_IDLE,	/* on demand, and nothing asks for it */
	IKE_CONNECTING, /* or about to */
	IKE_FAILED,	/* and tried again */
	IKE_NO_DAEMON,
};

struct ike_status {
	enum ike_state state;
	const char *reason; /* borrowed until the next tick; "" when there is none */
	uint32_t spi_in;    /* of the newest; 0 = none */
	uint32_t spi_out;
};
/* false: the peer is not wanted. */
bool ike_status(const struct ike *k, uint32_t peer, struct ike_status *s);
bool ike_up(const struct ike *k); /* charon answers */
/* Connections that charon has, as far as is known, and that nobody wants any more. */
size_t ike_ending(const struct ike *k);

#endif
