/*
 * membership.h - who is out, who asks to leave, who is revoked: what the policy server does of
 * itself about it (the commands are in control_member.c).  Control thread only.
 */
#ifndef PDP_MEMBERSHIP_H
#define PDP_MEMBERSHIP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "pdp/change.h"

struct leave;
struct model_vpn;
struct pdp;

/* Once the store was read and client-types are there: those that are revoked are kept out. */
int membership_start(struct pdp *p);
/* About once a second: ask who has confirmed, and tell the store. */
void membership_tick(struct pdp *p);

/* The CE's wish is granted: a generation by who.  As change_verdict(). */
enum change_result membership_leave(
    struct pdp *p, const struct leave *x, const char *who, struct change *c, char err[DB_ERR_LEN]);
/* CEs that do not know yet that they may not leave are told. */
void membership_tell(struct pdp *p);
/* Who asks for what, a list of objects for "show requests". */
json_t *membership_requests(struct pdp *p);

/* Members of a VPN that went, a list of objects for "show vpn". */
json_t *membership_departures(struct pdp *p, const struct model_vpn *v);
/* The CE's name of a membership's number; "?" if there never was one. */
const char *membership_ce(struct pdp *p, uint32_t member);

#endif
