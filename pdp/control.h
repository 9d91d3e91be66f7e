/* control.h - copsctl's commands to the policy server (doc/control-protocol.md). */
#ifndef PDP_CONTROL_H
#define PDP_CONTROL_H

#include <jansson.h>

#include "common/ctl.h"

/* For ctl_server_new(); arg is the struct pdp. */
extern const struct ctl_handler pdp_ctl_handlers[];

/* show.c */
#define CE_NAME_MAX 254
/* The argument key, the name of a CE, as we know it: in lower case.  NULL: not given. */
const char *control_ce(const json_t *args, const char *key, char name[CE_NAME_MAX]);
/* There is no such CE, or it is not managed. */
struct pdp;
void control_no_ce(struct pdp *p, struct ctl_req *req, const char *ce);
ctl_handler_fn show_status, show_sessions, show_vpns, show_vpn, show_ces, show_ce, show_pib,
    show_history, show_clients, show_tunnels, show_learned;

/* control.c: what a change did, and how long its command waits for CEs. */
struct change;
json_t *control_change_json(const struct change *c);
int64_t control_wait_ms(const json_t *args);

/* control_member.c */
ctl_handler_fn cmd_revoke, cmd_reinstate, cmd_readmit, cmd_allow, cmd_deny, show_requests;

#endif
