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
/* Certificates and pre-shared keys of IKE are read again. */
void vpn_reload(void *self);
/* Lockdown made true once, for before the agent runs (copspepd --lockdown).  0, or -1 and err. */
struct pep_conf;
int vpn_lockdown_once(const struct pep_conf *conf, char *err, unsigned long err_len);
/* For tests: the kernel it works on. */
struct kern *vpn_kern(void *self);

#endif
