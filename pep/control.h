/*
 * control.h - copspepd's end of the control protocol (doc/control-protocol.md).
 */
#ifndef PEP_CONTROL_H
#define PEP_CONTROL_H

#include "common/ctl.h"

struct event_base;
struct pep_agent;
struct pep_conf;

/* Listen; agent is borrowed. NULL and a reason in err. ctl_server_free() ends it. */
struct ctl_server *control_new(struct event_base *base, const struct pep_conf *conf,
    struct pep_agent *agent, char err[CTL_ERR_LEN]);

#endif
