/*
 * vpn.h - the enforcer of client-type 0x4001 (CE-VPN-PIB) beyond struct pep_client:
 * what the control socket asks of it.  self is pep_agent_self(agent, &pep_client_vpn).
 */
#ifndef PEP_VPN_H
#define PEP_VPN_H

#include "pep/client.h"

struct kern;

extern const struct pep_client pep_client_vpn;

/*
 * New keys now, of one VPN by name or (NULL) of all; how many epochs were made, and how many
 * CHILD_SAs the IKE daemon was asked to rekey.  -1: no such VPN.
 */
int vpn_rekey(void *self, const char *vpn, unsigned *child_sas);
/* Ask the PDP to let us leave a VPN, or do not ask any more; durable when it returns. */
enum vpn_leave_result {
	VPN_LEAVE_DONE,
	VPN_LEAVE_NO_VPN,
	VPN_LEAVE_NOT_ASKED, /* there is nothing to cancel */
	VPN_LEAVE_FAILED,    /* it cannot be written */
};
#define VPN_LEAVE_REASON_MAX 255
enum vpn_leave_result vpn_leave_ask(void *self, const char *vpn, const char *reason);
enum vpn_leave_result vpn_leave_cancel(void *self, const char *vpn);
/* "asked to leave", "denied", or "": of a VPN's number. */
const char *vpn_leave_state(void *self, uint32_t vpn);
/* Certificates and pre-shared keys of IKE are read again. */
void vpn_reload(void *self);
/* Lockdown made true once, for before the agent runs (copspepd --lockdown).  0, or -1 and err. */
struct pep_conf;
int vpn_lockdown_once(const struct pep_conf *conf, char *err, unsigned long err_len);
/* For tests: the kernel it works on. */
struct kern *vpn_kern(void *self);

#endif
