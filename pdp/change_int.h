/*
 * change_int.h - inside of pdp/change*.c: a change being worked out.
 *
 *	change.c	documents: check, apply, delete; commit and send, whatever changes
 *	change_member.c	who is left out of what documents say
 */
#ifndef PDP_CHANGE_INT_H
#define PDP_CHANGE_INT_H

#include "pdp/change.h"

struct sync_push;

/* A customer that the change touches; before or after is NULL when it is new or deleted. */
struct change_pair {
	struct customer *before;
	struct customer *after;
};

struct change_work {
	struct change_env *env;
	struct change *c;
	struct change_pair *pair;
	size_t pairs;
	struct sync_push *push;
	const char *how;	       /* members that go do so by this (struct departure) */
	const char *revoked;	       /* this CE is; NULL: none */
	struct store_verdict *verdict; /* stored with it; what they point to is borrowed */
	size_t verdicts;
	struct departure *departure; /* of members that go */
	size_t departures;
};

/* References are taken.  -1: memory. */
int change_put(struct change_work *w, struct customer *before, struct customer *after);
int change_put_verdict(struct change_work *w, const struct verdict *v, bool gone);
/* Count what differs, and say it.  -1: memory. */
int change_measure(struct change_work *w);
/* Commit and send, if there is a change; clears *w. */
enum change_result change_do(
    struct change_work *w, const struct change_text *t, char err[DB_ERR_LEN]);
void change_work_clear(struct change_work *w);

#endif
