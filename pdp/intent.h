/*
 * intent.h - from an XML document to customer snapshots, or to every fault in it.
 */
#ifndef PDP_INTENT_H
#define PDP_INTENT_H

#include <stddef.h>

#include "common/diag.h"
#include "common/suites.h"
#include "pdp/model.h"

/* What a CE said it can do. */
struct ce_caps {
	uint8_t suites[SENDS_LEN_MAX]; /* common/suites.h, without ESN */
	size_t suites_len;	       /* 0: it did not say */
	uint32_t window_max;
	bool esn;
	bool udp_encap;
	bool ike;
	bool separate;	 /* VPNs in VRFs of their own */
	bool dscp_clear; /* of tunnel mode */
	char backend[33];
};

/* Looks across customers: is this taken by someone not in the document?  NULL: no. */
struct intent_env {
	struct ids *ids;
	/* owner customer's name of a CE name / outer address / VPN-ID, or NULL */
	const char *(*ce_owner)(void *arg, const char *name);
	const char *(*address_owner)(void *arg, const struct addr *a);
	const char *(*vpn_id_owner)(void *arg, const uint8_t vpn_id[7]);
	void *arg;
	/* What a CE can do; false: it was not here yet.  NULL: nobody knows. */
	bool (*caps)(void *arg, const char *ce, struct ce_caps *caps);
	void *caps_arg;
	/* Is this CE, or (vpn not NULL) its membership, to be left out?  NULL: none is. */
	bool (*excluded)(void *arg, const char *customer, const char *vpn, const char *ce);
	void *excluded_arg;
	size_t max_octets; /* of a document */
	/* It was accepted once: what only a younger rule forbids is a warning. */
	bool stored;
};

struct intent {
	struct customer **customer; /* refs held */
	size_t customers;
};

/*
 * Read, check against the schema and against meaning.  name is for diagnostics.  0: *out filled
 * (intent_clear() it); ids may have handed out numbers: commit or ids_rollback().  -1: diag has at
 * least one error and *out is empty; ids are as before.  text is not kept.
 */
int intent_parse(const char *name, const char *text, size_t len, const struct intent_env *env,
    struct intent *out, struct diag *diag);
void intent_clear(struct intent *in);

#endif
