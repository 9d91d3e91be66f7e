/*
 * pki.h - a small certificate authority of our own: one directory with ca.pem, ca.key and,
 * for every identity NAME, NAME.pem and NAME.key.  Keys are EC P-256 and mode 0600; a
 * file that is there is never overwritten unless asked for.
 *
 * A certificate carries its identity as SAN dNSName and the one purpose it has: a PDP's may
 * act as TLS server only, a CE's as TLS client only, so no CE can pose as the PDP.
 */
#ifndef COPSCTL_PKI_H
#define COPSCTL_PKI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"

#define PKI_CA_DAYS    3652 /* ten years */
#define PKI_ISSUE_DAYS 825

enum pki_kind { PKI_CE, PKI_PDP };

enum pki_result { PKI_DONE, PKI_UNCHANGED, PKI_FAILED };

struct pki_request {
	const char *name; /* identity: a DNS name, any case */
	enum pki_kind kind;
	struct addr address; /* goes into the SAN too; family 0 = none */
	unsigned days;
	bool force; /* replace what is there, key included */
};

/*
 * Make the CA.  text gets one sentence: what was done, why nothing was (there already), or
 * what failed.  Creates dir (0755) if it is not there.
 */
enum pki_result pki_init(const char *dir, bool force, char *text, size_t text_len);
/*
 * Make a key and a certificate.  UNCHANGED: one of the same name, kind and address is there
 * and valid.  A different one of that name is refused without force.
 */
enum pki_result pki_issue(
    const char *dir, const struct pki_request *req, char *text, size_t text_len);
/*
 * What is there: {"ca": {...}, "certificates": [{name, kind, address, until, fingerprint}]},
 * new reference; NULL and a text on failure.
 */
json_t *pki_list(const char *dir, char *text, size_t text_len);

#endif
