/*
 * pdp_conf.h - copspdpd's settings (pdp.conf(5)): one table owns every option's name, kind,
 * default and help text; reading, --print-config and the shipped example walk it.
 */
#ifndef PDP_PDP_CONF_H
#define PDP_PDP_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/plugin.h"
#include "libcops/cops_conn.h"

struct diag;

struct pdp_conf { /* a string that was not given and has no default is NULL */
	struct conf_list listen;
	int64_t port;
	char *security_word;
	enum cops_security security; /* the same; not ANY */
	char *integrity_keys;	     /* a file, see common/keyfile.h; only with INTEGRITY */
	char *name;
	char *certificate, *key, *ca, *crl;
	char *state_dir;
	char *control_socket;
	char *control_group;
	struct conf_list client_types; /* "PATH ARGUMENT" each ... */
	struct plugins plugins;	       /* ... and loaded: struct pdp_client */
	char *user;
	char *log_level;
	int64_t workers; /* 0 = one per CPU */
	int64_t max_sessions;
	int64_t max_message;  /* octets */
	int64_t max_unsent;   /* octets per session */
	int64_t max_document; /* octets */
	int64_t keepalive_s;
	int64_t accounting_s;
	int64_t open_timeout_s;
	int64_t report_timeout_s;
	int64_t retry_s;
	int64_t longevity_s;
	char *path;    /* of the file that was read, absolute; NULL: none */
	char *primary; /* NULL or "": this one is no backup ... */
	struct addr primary_addr;
	uint16_t primary_port;
	int64_t primary_check_s;
	int64_t primary_rate; /* CEs a second */
	FILE *trace;	      /* of --trace, borrowed; NULL: none */
};

/* Every fault goes to d.  0, or -1 with *c clear. */
int pdp_conf_read(struct pdp_conf *c, const char *path, struct diag *d);
int pdp_conf_parse(struct pdp_conf *c, const char *text, struct diag *d);
void pdp_conf_clear(struct pdp_conf *c);
/* The shipped example: every option with its help and default. */
void pdp_conf_print(FILE *f);

#endif
