/*
 * change.h - alterations of the intent: each is worked out, committed as one transaction, and only
 * then sent to the CEs concerned.  Refused or failed, it has changed nothing.  Control thread only.
 */
#ifndef PDP_CHANGE_H
#define PDP_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pdp/db.h"
#include "pdp/delta.h"

struct acl;
struct diag;
struct sync;
struct vpn;

struct change_env { /* borrowed */
	struct db *db;
	struct sync *sync;
	struct acl *acl;
	struct vpn *vpn;
};

/* What was (or, by change_check(), would be) done; change_clear() it. */
struct change {
	bool changed; /* false: the intent says what is in force already */
	uint64_t lsn;
	uint64_t generation; /* 0: not a generation (rekey) */
	struct delta_counts counts;
	size_t ces_added, ces_removed;
	char summary[256]; /* "2 sites added to 1 VPN" */
	char **ce;	   /* concerned */
	size_t ces;
	char **notice; /* what the operator should know besides */
	size_t notices;
	uint32_t *fresh; /* memberships that have new peers, for change_pairs() */
	size_t freshes;
};

struct change_text {
	const char *name; /* for diagnostics */
	const char *text;
	size_t len;
	const char *who;
	const char *comment;
};

enum change_result {
	CHANGE_OK,
	CHANGE_REFUSED,	  /* the document is wrong: see diag */
	CHANGE_NOT_FOUND, /* no such customer or VPN: see err */
	CHANGE_FAILED,	  /* the store did not take it: see err */
};

enum change_result change_check(struct change_env *env, const struct change_text *t,
    struct diag *diag, struct change *c, char err[DB_ERR_LEN]);
enum change_result change_apply(struct change_env *env, const struct change_text *t,
    struct diag *diag, struct change *c, char err[DB_ERR_LEN]);
enum change_result change_delete(struct change_env *env, const char *customer,
    const struct change_text *t, struct change *c, char err[DB_ERR_LEN]);
/* New epochs in one VPN, or (NULL) in all. */
enum change_result change_rekey(
    struct change_env *env, const char *vpn, struct change *c, char err[DB_ERR_LEN]);

/*
 * Who is left out of what the documents say (struct verdict), or is no more. what: for the history.
 * A generation, also if nothing of the documents is touched by it.
 */
enum change_result change_verdict(struct change_env *env, const struct verdict *v, bool gone,
    const char *what, const struct change_text *t, struct change *c, char err[DB_ERR_LEN]);
void change_clear(struct change *c);

/*
 * Of the pairs of controller-keyed peers that the change made, whose both ends are connected
 * and did not refuse: how many there are and how many are keyed both ways.
 */
void change_pairs(struct change_env *env, const struct change *c, size_t *pairs, size_t *keyed);

#endif
