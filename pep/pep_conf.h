/*
 * pep_conf.h - copspepd's settings (pep.conf(5)): one table owns every option's
 * name, kind, default, unit and help text; reading, checking, --print-config and
 * the man page walk it.  Read once at start, const from then on.
 */
#ifndef PEP_PEP_CONF_H
#define PEP_PEP_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"

struct diag;

#define PEP_CONF_PDPS 8

struct pep_pdp {
	struct addr addr;
	uint16_t port;
	char *name; /* identity its certificate must have; never NULL, "" = only without TLS */
};

struct pep_conf {
	struct pep_pdp pdp[PEP_CONF_PDPS]; /* in order of preference */
	unsigned pdps;
	char *identity;	      /* PEPID; never NULL once checked (default: the certificate's name) */
	char *certificate;    /* PEM files */
	char *key;
	char *ca;
	bool tls;	      /* false: plain TCP, for tests and lab captures only */
	char *state_dir;      /* private: row cache, epoch numbers, lock */
	char *control_socket;
	char *control_group;  /* may read over the control socket; "" = root only */
	char *backend;	      /* "pfkey" or "mem" */
	char *user;	      /* user to become after start; "" = stay */
	char *log_level;
	uint32_t retry_min_ms;
	uint32_t retry_max_ms;
	uint32_t open_timeout_ms;
	uint32_t request_timeout_ms;
	uint32_t grace_ms;    /* keying: withdrawal of an epoch, see keying.h */
	uint32_t linger_ms;   /* keying: inbound SAs after withdrawal */
	uint32_t max_msg;     /* octets */
	uint32_t max_rows;
};

/*
 * Read and check path.  Every fault of the run goes to d.  0, or -1 with at least one error
 * in d; *c is to be cleared either way.
 */
int pep_conf_read(struct pep_conf *c, const char *path, struct diag *d);
void pep_conf_clear(struct pep_conf *c);
/* The settings in force in the file's own syntax, each with its help text. */
void pep_conf_print(const struct pep_conf *c, FILE *f);
/* All defaults, no PDP; for --print-config without a file and for tests. */
int pep_conf_defaults(struct pep_conf *c);

#endif
