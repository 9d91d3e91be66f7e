/* control.h - copsctl's commands to the policy server (doc/control-protocol.md). */
#ifndef PDP_CONTROL_H
#define PDP_CONTROL_H

#include "common/ctl.h"

/* For ctl_server_new(); arg is the struct pdp. */
extern const struct ctl_handler pdp_ctl_handlers[];

/* show.c */
ctl_handler_fn show_status, show_sessions, show_vpns, show_vpn, show_ces, show_ce, show_pib,
    show_history;

#endif
