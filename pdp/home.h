/*
 * home.h - a backup policy server's duty to send CEs back to the primary one when that answers
 * again (RFC 2748 2.3, 3.8): is it there, whose turn is it.  Control thread only.
 *
 * The primary is looked for by a TCP connection every few seconds and counts as back when it
 * answered HOME_STREAK times in a row.  Then so many CEs a second are redirected.  One that
 * returns, because it cannot reach the primary, say, or because that redirects to us, is served
 * for a minute, and for twice as long each time after: nobody goes round in circles.
 */
#ifndef PDP_HOME_H
#define PDP_HOME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"

#define HOME_STREAK 3

struct event_base;
struct home;
struct sync_info;

struct home_conf {
	struct event_base *base; /* borrowed */
	struct addr addr;	 /* of the primary */
	uint16_t port;
	int64_t check_ms; /* between two looks, and the most that one takes */
	unsigned rate;	  /* CEs sent home a second */
};

struct home *home_new(const struct home_conf *conf); /* copied; NULL: memory */
void home_free(struct home *h);
/* Every second, before home_sends() is asked. */
void home_tick(struct home *h, int64_t now_ms);
/* Is it this CE's turn now?  True once: the caller redirects it. */
bool home_sends(struct home *h, const struct sync_info *ce, int64_t now_ms);

struct home_status {
	bool answers;  /* the primary counts as there */
	uint64_t sent; /* CEs redirected since start */
};
void home_status(const struct home *h, struct home_status *st);

#endif
