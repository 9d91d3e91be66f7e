/*
 * control_vpn.h - what pep/vpn shows (pep/vpn_show.h) as JSON.  Each returns a new
 * reference; self is the enforcer.  doc/control-protocol.md has the members.
 */
#ifndef PEP_CONTROL_VPN_H
#define PEP_CONTROL_VPN_H

#include <jansson.h>
#include <stdbool.h>

struct pib_store;

json_t *control_vpns(void *self, const struct pib_store *store);
json_t *control_vpn(void *self, const struct pib_store *store, const char *name); /* NULL: none */
json_t *control_peers(void *self, const char *vpn); /* NULL: of all VPNs */
/* Only those that are not up, if so; NULL: not read. */
json_t *control_tunnels(void *self, const char *vpn, bool down);
json_t *control_learned(void *self, const char *vpn); /* NULL: no memory */
json_t *control_sas(void *self);
json_t *control_policies(void *self);
json_t *control_routes(void *self);
/* Add what the kernel side has to say to the answer of "show status". */
void control_kernel(void *self, json_t *o);

#endif
