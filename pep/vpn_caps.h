/*
 * vpn_caps.h - what this CE can do, found once at start by asking the kernel: told to the PDP
 * (ceVpnSite, ceVpnSiteTransform), and signed with every own key as what we can send.
 */
#ifndef PEP_VPN_CAPS_H
#define PEP_VPN_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/suites.h"
#include "pep/kern.h"
#include "pib/pib_class.h"

struct vpn_caps {
	struct suite suite[SENDS_MAX]; /* esn: with these too */
	size_t suites;
	uint32_t window_max;
	bool esn; /* with all of them */
};

void vpn_caps_find(struct vpn_caps *c, const struct kern_ops *ops, struct kern *k);
/* The ceVpnSiteTransform rows. */
void vpn_caps_notify(const struct vpn_caps *c,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);

#endif
