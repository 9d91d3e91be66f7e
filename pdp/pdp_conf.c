/* pdp_conf.c - see pdp_conf.h. */
#include "pdp/pdp_conf.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/diag.h"
#include "common/log.h"
#include "libcops/cops_hmac.h"
#include "libcops/cops_setting.h"

#define PDP_PORT 3288 /* RFC 2748 2.3 */

#define AT(field) offsetof(struct pdp_conf, field)

static const struct conf_opt options[] = {
    {"listen", CONF_LIST, AT(listen), "{ \"0.0.0.0\" }", NULL, 1, 16,
	"Addresses on which CEs are served; \"::\" is all of IPv6."},
    {"port", CONF_INT, AT(port), "3288", NULL, 1, 65535, "The TCP port, 3288 by RFC 2748."},
    {"security", CONF_STRING, AT(security_word), "tls", NULL, 1, 16,
	"How sessions are protected, and nothing less is served: tls, with certificates on both "
	"sides (RFC 4261); integrity, an HMAC with shared keys on every message (RFC 2748), which "
	"can be read on the way; or none, with which anybody on the way can be any CE: for tests "
	"on one machine only."},
    {"integrity-keys", CONF_STRING, AT(integrity_keys), "", SYSCONFDIR "/cops/integrity.keys", 0,
	4096,
	"The file of keys for security = integrity, which only its owner may be able to read.  A "
	"key a line: the CE, the key's number, hmac-md5-96 or hmac-sha2-256-96, 0x and hexadecimal "
	"digits or \"text\", and the dates from which and until which it is good.  Read again on "
	"SIGHUP."},
    {"name", CONF_STRING, AT(name), "", "pdp1.example.net", 0, 255,
	"What this server calls itself to the CEs; the host's name by default."},
    {"certificate", CONF_STRING, AT(certificate), SYSCONFDIR "/cops/pdp.pem", NULL, 1, 4096,
	"This server's certificate (PEM); CEs look for the name they know it by in there."},
    {"key", CONF_STRING, AT(key), SYSCONFDIR "/cops/pdp.key", NULL, 1, 4096,
	"Its private key (PEM); only its owner may be able to read it."},
    {"ca", CONF_STRING, AT(ca), SYSCONFDIR "/cops/ca.pem", NULL, 1, 4096,
	"The certificate of the authority that issues those of servers and CEs (PEM)."},
    {"crl", CONF_STRING, AT(crl), "", SYSCONFDIR "/cops/crl.pem", 0, 4096,
	"A file of revoked certificates (PEM), read again on SIGHUP.  None by default."},
    {"state-dir", CONF_STRING, AT(state_dir), LOCALSTATEDIR "/lib/cops/pdp", NULL, 1, 4000,
	"A private directory for the database of intents, numbers and published keys."},
    {"control-socket", CONF_STRING, AT(control_socket), "/run/cops/pdp.sock", NULL, 1, 107,
	"Where copsctl finds the server."},
    {"control-group", CONF_STRING, AT(control_group), "", "noc", 0, 64,
	"Members of this group may use all of copsctl's commands, as root may."},
    {"client-types", CONF_LIST, AT(client_types), "",
	"{ \"/usr/lib/copsvpn/resolver_pdp.so /etc/cops/resolver\" }", 0, 15,
	"Client-types beside the VPN: shared objects, each with what it is to be told after a "
	"space.  Only root and the daemon's user may be able to write the file or its folder."},
    {"user", CONF_STRING, AT(user), "", "cops", 0, 32,
	"The user to become after the start.  The server needs no privilege."},
    {"log-level", CONF_STRING, AT(log_level), "notice", NULL, 1, 16,
	"error, warning, notice, info or debug: this and everything worse is logged."},
    {"workers", CONF_INT, AT(workers), "0", NULL, 0, 255,
	"Threads that serve CEs; 0 is one for every CPU."},
    {"max-sessions", CONF_INT, AT(max_sessions), "19000", NULL, 1, 1000000,
	"The most CEs connected at once; each takes a file descriptor."},
    {"max-message", CONF_INT, AT(max_message), "4194304", NULL, 4096, 268435456,
	"Octets of the largest COPS message that is taken from a CE."},
    {"max-unsent", CONF_INT, AT(max_unsent), "268435456", NULL, 65536, 4294967296,
	"Octets that may wait for one CE to read them; then it is disconnected."},
    {"max-document", CONF_INT, AT(max_document), "134217728", NULL, 4096, 1073741824,
	"Octets of the largest intent that is taken."},
    {"keepalive", CONF_SECONDS, AT(keepalive_s), "60s", NULL, 0, 65535,
	"A CE from which nothing came for this long is taken for lost, and so is the server by "
	"the CE.  0 is never."},
    {"accounting", CONF_SECONDS, AT(accounting_s), "20s", NULL, 0, 262140,
	"How often CEs report what their tunnels carried, if that has changed; that a tunnel went "
	"up or down they report in a quarter of this time.  At least 4s; 0 is never."},
    {"open-timeout", CONF_SECONDS, AT(open_timeout_s), "15s", NULL, 1, 3600,
	"The time a connection has to come up, TLS included."},
    {"report-timeout", CONF_SECONDS, AT(report_timeout_s), "120s", NULL, 1, 86400,
	"The time a CE has to say what became of a decision; then it is disconnected."},
    {"retry", CONF_SECONDS, AT(retry_s), "5m", NULL, 0, 86400,
	"After this time a CE that refused a decision is asked again; the time doubles up to "
	"sixteenfold.  0 is only when something changes."},
    {"longevity", CONF_SECONDS, AT(longevity_s), "0", NULL, 0, 4294967295,
	"How long a CE goes on with what it has when it cannot reach the server; 0 is for "
	"ever."},
    {"primary", CONF_STRING, AT(primary), "", "192.0.2.1", 0, 64,
	"This server is a backup of the one at this address, or ADDRESS:PORT: CEs are served here "
	"while that one does not answer, and sent there when it does."},
    {"primary-check", CONF_SECONDS, AT(primary_check_s), "5s", NULL, 1, 3600,
	"How often the primary server is looked for."},
    {"primary-rate", CONF_INT, AT(primary_rate), "200", NULL, 1, 100000,
	"The most CEs that are sent to the primary server in one second."},
    {0},
};

static void fault(
    struct diag *d, const char *path, const char *what, const char *value, const char *expected)
{
	diag_add(
	    d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "%s \"%s\": expected %s", what, value, expected);
}

static void check_security(struct pdp_conf *c, const char *path, struct diag *d)
{
	int security = cops_security_find(c->security_word);
	bool keys = c->integrity_keys != NULL && c->integrity_keys[0] != '\0';

	if (security < 0 || security == COPS_SECURITY_ANY) {
		fault(d, path, "security", c->security_word, "tls, integrity or none");
		return;
	}
	c->security = (enum cops_security)security;
	if (keys != (security == COPS_SECURITY_INTEGRITY))
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    keys ? "integrity-keys without security = integrity"
			 : "security = integrity needs integrity-keys");
	else if (keys)
		cops_hmac_ring_unref(cops_setting_ring(c->integrity_keys, d));
}

static int check(struct pdp_conf *c, const char *path, struct diag *d)
{
	size_t before = d->errors;
	struct addr a;

	for (size_t i = 0; i < c->listen.count; i++)
		if (addr_parse(&a, c->listen.item[i]) != 0)
			fault(d, path, "listen", c->listen.item[i], "a numeric IP address");
	check_security(c, path, d);
	if (c->accounting_s > 0 && c->accounting_s < 4)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "accounting %llds: expected 0, or 4s and more", (long long)c->accounting_s);
	if (c->primary != NULL && c->primary[0] != '\0' &&
	    addr_port_parse(&c->primary_addr, &c->primary_port, c->primary, PDP_PORT) != 0)
		fault(d, path, "primary", c->primary, "ADDRESS or ADDRESS:PORT");
	if (log_level_find(c->log_level) < 0)
		fault(d, path, "log-level", c->log_level, LOG_LEVEL_WORDS);
	if (d->errors == before)
		return 0;
	pdp_conf_clear(c);
	return -1;
}

int pdp_conf_read(struct pdp_conf *c, const char *path, struct diag *d)
{
	*c = (struct pdp_conf) {0};
	if (conf_load(options, c, path, d) != 0 || check(c, path, d) != 0)
		return -1;
	c->path = realpath(path, NULL); /* the daemon goes elsewhere */
	return 0;
}

int pdp_conf_parse(struct pdp_conf *c, const char *text, struct diag *d)
{
	*c = (struct pdp_conf) {0};
	return conf_parse(options, c, "(text)", text, strlen(text), d) == 0 ? check(c, "(text)", d)
									    : -1;
}

void pdp_conf_clear(struct pdp_conf *c)
{
	conf_clear(options, c);
	free(c->path);
	*c = (struct pdp_conf) {0};
}

void pdp_conf_print(FILE *f)
{
	conf_print_example(options, "pdp.conf - settings of copspdpd, see pdp.conf(5)", f);
}
