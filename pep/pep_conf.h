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
#include "common/conf.h"
#include "common/plugin.h"
#include "libcops/cops_conn.h"

struct diag;

#define PEP_CONF_PDPS	 8
#define PEP_CONTEXTS_MAX 8 /* request-states of a client-type */

struct pep_pdp { /* "NAME@ADDRESS" or "NAME@ADDRESS:PORT", an IPv6 address in brackets */
	struct addr addr;
	uint16_t port;
	char *name; /* identity its certificate must have; never NULL, "" = only without security */
};

struct pep_exempt { /* "198.51.100.0/24 tcp 22" */
	struct prefix far;
	uint8_t proto; /* 0 = any of tcp, udp and icmp */
	uint16_t port; /* 0 = any */
};

struct pep_conf {
	struct conf_list pdp_list;	   /* as written */
	struct pep_pdp pdp[PEP_CONF_PDPS]; /* the same, parsed; in order of preference */
	unsigned pdps;
	char *identity;	   /* PEPID; "" until known: the name in the certificate */
	char *certificate; /* PEM files */
	char *key;
	char *ca;
	char *crl; /* "" = none */
	char *security_word;
	enum cops_security security; /* the same */
	char *integrity_keys;	     /* a file, see common/keyfile.h; "" without INTEGRITY */
	char *state_dir;	     /* private: row cache, epoch numbers, lock */
	char *control_socket;
	char *control_group; /* may change things over the control socket; "" = root only */
	char *backend;	     /* for kern_open() */
	bool lockdown;
	struct conf_list lockdown_except; /* for pep_exempt_parse() */
	struct conf_list client_types;	  /* "PATH ARGUMENT" each ... */
	struct plugins plugins;		  /* ... and loaded: struct pep_client */
	char *user;			  /* user to become after start; "" = stay */
	char *log_level;
	int64_t retry_min_ms;
	int64_t retry_max_ms;
	int64_t open_timeout_ms;
	int64_t request_timeout_ms;
	int64_t grace_ms;  /* keying: withdrawal of an epoch, see keying_set_times() */
	int64_t linger_ms; /* keying: inbound SAs after withdrawal */
	int64_t nat_keepalive_ms;
	char *mark_mask_text;
	uint32_t mark_mask; /* the same: bits of packets' marks for VRFs, in one piece */
	int64_t max_msg;    /* octets */
	int64_t max_rows;
	int64_t max_contexts;
	struct conf_list learn; /* for learn_filter_parse() */
	int64_t learn_max;	/* prefixes of a VPN */
	int64_t learn_settle_ms;
	int64_t learn_hold_s;
	int64_t learn_half_life_s;
	struct conf_list roles; /* "INTERFACE ROLES", see pep_roles_parse() */
	char *vici_socket;	/* "" = no IKE */
	char *psk_file;		/* "" = none, see ike_psk.h */
	FILE *trace;		/* of --trace, borrowed; NULL: none */
};

/*
 * Read and check path.  Every fault of the run goes to d.  0, or -1 with at least one error
 * in d; *c is to be cleared either way.
 */
int pep_conf_read(struct pep_conf *c, const char *path, struct diag *d);
void pep_conf_clear(struct pep_conf *c);
/* The same from text in memory, for tests. */
int pep_conf_parse(struct pep_conf *c, const char *text, struct diag *d);
/* 0, or -1: not PREFIX [tcp|udp|icmp [PORT]]. */
int pep_exempt_parse(struct pep_exempt *e, const char *text);
/* TLS may be talked: there must be certificates. */
bool pep_conf_tls(const struct pep_conf *c);
/* A commented example of every option, which pep_conf_read() takes. */
void pep_conf_print(FILE *f);

#endif
