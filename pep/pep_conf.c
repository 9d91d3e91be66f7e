/*
 * pep_conf.c - see pep_conf.h.
 */
#include "pep/pep_conf.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/diag.h"
#include "common/log.h"
#include "libcops/cops_hmac.h"
#include "libcops/cops_setting.h"
#include "pep/kern.h"
#include "pep/learn_conf.h"
#include "pep/roles.h"

#define PDP_PORT 3288 /* RFC 2748 2.3 */

#define AT(field) offsetof(struct pep_conf, field)

static const struct conf_opt options[] = {
    {"pdp", CONF_LIST, AT(pdp_list), NULL, "{ \"pdp1.example.net@192.0.2.1\" }", 1, PEP_CONF_PDPS,
	"The policy servers, best first, each as NAME@ADDRESS or NAME@ADDRESS:PORT (an IPv6 "
	"address in brackets when a port follows).  A server is believed only when its "
	"certificate bears NAME.  The port is 3288 unless given."},
    {"identity", CONF_STRING, AT(identity), "", "ce1.example.net", 0, 255,
	"The name by which the servers know this CE.  It must be a name in the certificate; "
	"the default is the first DNS name there."},
    {"certificate", CONF_STRING, AT(certificate), SYSCONFDIR "/cops/ce.pem", NULL, 1, 4096,
	"This CE's certificate (PEM)."},
    {"key", CONF_STRING, AT(key), SYSCONFDIR "/cops/ce.key", NULL, 1, 4096,
	"Its private key (PEM); only its owner may be able to read it."},
    {"ca", CONF_STRING, AT(ca), SYSCONFDIR "/cops/ca.pem", NULL, 1, 4096,
	"The certificate of the authority that issues those of servers and CEs (PEM)."},
    {"crl", CONF_STRING, AT(crl), "", SYSCONFDIR "/cops/crl.pem", 0, 4096,
	"A file of revoked certificates (PEM).  None by default."},
    {"security", CONF_STRING, AT(security_word), "tls", NULL, 1, 16,
	"How connections are protected: tls, with certificates on both sides (RFC 4261); "
	"integrity, an HMAC with shared keys on every message (RFC 2748), which can be read on the "
	"way; any, TLS if the server asks for it and else nothing, while servers go over to TLS; "
	"or none.  With any and none somebody on the way can change policy: for laboratories "
	"only."},
    {"integrity-keys", CONF_STRING, AT(integrity_keys), "", SYSCONFDIR "/cops/integrity.keys", 0,
	4096,
	"The file of keys for security = integrity, which only its owner may be able to read.  A "
	"key a line: the server's NAME, the key's number, hmac-md5-96 or hmac-sha2-256-96, 0x and "
	"hexadecimal digits or \"text\", and the dates from which and until which it is good.  "
	"Read again on SIGHUP."},
    {"state-dir", CONF_STRING, AT(state_dir), LOCALSTATEDIR "/lib/cops/pep", NULL, 1, 4096,
	"A private directory for what must outlive the agent: the rows it was given, the "
	"numbers of its keys.  Private keys of tunnels are never in it."},
    {"control-socket", CONF_STRING, AT(control_socket), "/run/cops/pep.sock", NULL, 1, 107,
	"Where copsctl finds the agent."},
    {"control-group", CONF_STRING, AT(control_group), "", "netadmin", 0, 64,
	"Members of this group may use all of copsctl's commands, as root may."},
    {"backend", CONF_STRING, AT(backend), KERN_AUTO, NULL, 1, 16,
	"How the kernel is driven: xfrm (netlink: combined-mode algorithms, wide replay windows), "
	"pfkey, or mem for a dry run that touches no kernel.  With auto, xfrm if the kernel "
	"answers to it, else pfkey; the log and copsctl show status say which."},
    {"vici-socket", CONF_STRING, AT(vici_socket), "/run/charon.vici", NULL, 0, 107,
	"Where the IKE daemon (charon of strongSwan) listens for VICI.  It makes the tunnels of "
	"VPNs "
	"whose keys come from IKE; without it they are down and say so, and nothing of them leaves "
	"in "
	"clear.  Empty: there is no IKE here, and such VPNs are refused."},
    {"psk-file", CONF_STRING, AT(psk_file), "", SYSCONFDIR "/cops/psk", 0, 4096,
	"The file of pre-shared keys for IKE, which only its owner may be able to use.  A line has "
	"the "
	"peer's name and its key: 0x and hexadecimal digits, base64:, or \"text\", of 16 octets at "
	"least.  They never travel by COPS.  Read again on SIGHUP."},
    {"lockdown", CONF_BOOL, AT(lockdown), "no", NULL, 0, 0,
	"Whether everything is discarded but the control channel and what policy says, from before "
	"the first contact with a server on (RFC 9061): the host's own packets too, but for "
	"neighbour discovery, DHCP and path MTU.  copspepd --lockdown does it early at boot."},
    {"lockdown-except", CONF_LIST, AT(lockdown_except), "",
	"{ \"198.51.100.0/24 tcp 22\", 192.0.2.53 }", 0, 64,
	"What the host itself may send and receive under lockdown, each PREFIX, PREFIX PROTOCOL or "
	"PREFIX PROTOCOL PORT: the other end, tcp, udp or icmp (all three unless given), and the "
	"port there or here.  Never what is forwarded, and no prefix of a VPN."},
    {"client-types", CONF_LIST, AT(client_types), "",
	"{ \"/usr/lib/copsvpn/resolver_pep.so /etc/resolv.conf\" }", 0, 15,
	"Client-types beside the VPN: shared objects, each with what it is to be told after a "
	"space.  Only root and the daemon's user may be able to write the file or its folder."},
    {"user", CONF_STRING, AT(user), "", "cops", 0, 32,
	"The user to become after the start, keeping no right but CAP_NET_ADMIN.  By default "
	"the agent stays who it is, with that one capability."},
    {"log-level", CONF_STRING, AT(log_level), "notice", NULL, 1, 16,
	"error, warning, notice, info or debug: this and everything worse is logged."},
    {"retry-min", CONF_INT, AT(retry_min_ms), "500", NULL, 1, 3600000,
	"Milliseconds before servers are tried again, the first time; the time doubles then, "
	"with some chance in it."},
    {"retry-max", CONF_INT, AT(retry_max_ms), "30000", NULL, 1, 3600000,
	"The most milliseconds between two attempts; 2000 while the server does not know this CE "
	"yet."},
    {"open-timeout", CONF_INT, AT(open_timeout_ms), "10000", NULL, 100, 600000,
	"Milliseconds for a connection to come up, TLS included."},
    {"request-timeout", CONF_INT, AT(request_timeout_ms), "30000", NULL, 100, 3600000,
	"Milliseconds a server has to decide on a request; then it is withdrawn and made anew."},
    {"key-grace", CONF_INT, AT(grace_ms), "5000", NULL, 0, 3600000,
	"Milliseconds from the last peer's acknowledgement of a newer key to the withdrawal "
	"of an older one."},
    {"key-linger", CONF_INT, AT(linger_ms), "3000", NULL, 0, 3600000,
	"Milliseconds after its withdrawal that packets under an old key are still taken."},
    {"nat-keepalive", CONF_INT, AT(nat_keepalive_ms), "20000", NULL, 1000, 3600000,
	"Behind NAT, milliseconds between two packets that keep its binding and tell peers of "
	"another."},
    {"mark-mask", CONF_STRING, AT(mark_mask_text), "0xffff0000", NULL, 3, 10,
	"The bits of packets' marks that are the agent's, in one piece: what the tunnels of a VPN "
	"in a VRF bring in has the number of the VRF's routing table there, and a rule leads it to "
	"that table.  Nobody else on this host may use them."},
    {"max-message", CONF_INT, AT(max_msg), "16777216", NULL, 4096, 268435456,
	"Octets of the largest COPS message that is taken."},
    {"max-rows", CONF_INT, AT(max_rows), "1000000", NULL, 16, 100000000,
	"The most rows that are taken."},
    {"max-contexts", CONF_INT, AT(max_contexts), "4", NULL, 1, PEP_CONTEXTS_MAX,
	"The most request-states of a client-type that a policy server may open; one is in force."},
    {"learn", CONF_LIST, AT(learn), "",
	"{ \"office protocol ospf,bgp interface lan0 prefix 10.1.0.0/16\" }", 0, 256,
	"Which routes of the kernel are reported as reachable at the site, of VPNs with managed "
	"routing: each the VPN's name, and what narrows it down, in pairs of a word and a value: "
	"table (main, or a number), protocol (names like ospf, bgp, bird, or numbers), interface, "
	"prefix (it and what is in it), the last three with commas between several values.  What "
	"an entry leaves out, and a VPN without entries, is the table main, or that of the VPN's "
	"VRF; the routing daemons' protocols; any interface but the one that leads to the VPN's "
	"peers; any prefix.  Entries for one VPN add up.  Never reported are default routes, "
	"link-local and multicast ones, copspepd's own and prefixes of the VPN's other sites."},
    {"learn-max", CONF_INT, AT(learn_max), "1000", NULL, 0, 16384,
	"The most prefixes that are reported of a VPN.  The first ones are; what comes above "
	"waits, "
	"is counted, and is told to the server."},
    {"learn-settle", CONF_INT, AT(learn_settle_ms), "1000", NULL, 10, 60000,
	"Milliseconds after a change of the routes until they are read: what changes meanwhile is "
	"one report."},
    {"learn-hold", CONF_SECONDS, AT(learn_hold_s), "120s", NULL, 0, 86400,
	"How long prefixes are still reported when most routes of a protocol go at once: a routing "
	"daemon that restarts puts them back.  Single ones are withdrawn at once.  0: all are."},
    {"learn-half-life", CONF_SECONDS, AT(learn_half_life_s), "120s", NULL, 0, 86400,
	"Each withdrawal of a prefix costs it 1000 points, and half of its points go in this time "
	"(RFC 2439).  With more than 3000 it is not reported until it has less than 750.  0: flaps "
	"are reported as they are."},
    {"roles", CONF_LIST, AT(roles), "", "{ \"eth0 lan+red\" }", 0, 256,
	"Roles of interfaces (RFC 3318), each INTERFACE and the roles in ASCII order with + "
	"between "
	"them.  Servers are told of all interfaces with their roles, and may give them others.  "
	"Without any, they are told of none unless a client-type asks for it."},
    {0},
};

bool pep_conf_tls(const struct pep_conf *c)
{
	return c->security == COPS_SECURITY_TLS || c->security == COPS_SECURITY_ANY;
}

/* NAME@ADDRESS[:PORT]. 0, or -1. */
static int pdp_parse(struct pep_pdp *pdp, const char *text)
{
	const char *at = strrchr(text, '@');

	pdp->name = strndup(text, at == NULL ? 0 : (size_t)(at - text));
	if (pdp->name == NULL)
		return -1;
	return addr_port_parse(&pdp->addr, &pdp->port, at == NULL ? text : at + 1, PDP_PORT);
}

int pep_exempt_parse(struct pep_exempt *e, const char *text)
{
	static const struct {
		const char *name;
		uint8_t number;
	} proto[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}};
	char *copy = strdup(text);
	char *save = NULL;
	char *far = copy == NULL ? NULL : strtok_r(copy, " ", &save);
	const char *name = far == NULL ? NULL : strtok_r(NULL, " ", &save);
	const char *port = name == NULL ? NULL : strtok_r(NULL, " ", &save);
	char *end = NULL;
	unsigned long n = port == NULL ? 0 : strtoul(port, &end, 10);
	bool good = far != NULL && strtok_r(NULL, " ", &save) == NULL &&
		    prefix_parse(&e->far, far) == PREFIX_OK;

	e->proto = 0;
	for (size_t i = 0; name != NULL && i < sizeof(proto) / sizeof(proto[0]); i++)
		if (strcmp(proto[i].name, name) == 0)
			e->proto = proto[i].number;
	good = good && (name == NULL || e->proto != 0);
	if (port != NULL)
		good = good && *end == '\0' && n >= 1 && n <= UINT16_MAX &&
		       e->proto != IPPROTO_ICMP && port[0] >= '0' && port[0] <= '9';
	e->port = (uint16_t)n;
	free(copy);
	return good ? 0 : -1;
}

static void check_lockdown(const struct pep_conf *c, const char *path, struct diag *d)
{
	struct pep_exempt e;

	for (size_t i = 0; i < c->lockdown_except.count; i++)
		if (pep_exempt_parse(&e, c->lockdown_except.item[i]) != 0)
			diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
			    "lockdown-except \"%s\": expected PREFIX, PREFIX tcp|udp|icmp or "
			    "PREFIX "
			    "tcp|udp PORT",
			    c->lockdown_except.item[i]);
	if (c->lockdown_except.count > 0 && !c->lockdown)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "lockdown-except without lockdown = yes");
}

static void check_learn(const struct pep_conf *c, const char *path, struct diag *d)
{
	struct learn_filter f;
	const char *why;

	for (size_t i = 0; i < c->learn.count; i++)
		if (learn_filter_parse(&f, c->learn.item[i], &why) != 0)
			diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "learn \"%s\": %s",
			    c->learn.item[i], why);
}

static void check_mark(struct pep_conf *c, const char *path, struct diag *d)
{
	char *end;
	unsigned long n = strtoul(c->mark_mask_text, &end, 0);

	c->mark_mask = n > UINT32_MAX || *end != '\0' ? 0 : (uint32_t)n;
	/* in one piece: with its lowest bit added it is a power of two, or nothing is left */
	if (c->mark_mask != 0 &&
	    ((c->mark_mask + (c->mark_mask & -c->mark_mask)) & c->mark_mask) == 0)
		return;
	diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
	    "mark-mask \"%s\": expected bits in one piece, like 0xffff0000", c->mark_mask_text);
}

static void check_security(struct pep_conf *c, const char *path, struct diag *d)
{
	int security = cops_security_find(c->security_word);
	bool keys = c->integrity_keys[0] != '\0';

	if (security < 0) {
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "security \"%s\": expected tls, integrity, any or none", c->security_word);
		return;
	}
	c->security = (enum cops_security)security;
	if (keys != (security == COPS_SECURITY_INTEGRITY))
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    keys ? "integrity-keys without security = integrity"
			 : "security = integrity needs integrity-keys");
	else if (keys)
		cops_hmac_ring_unref(cops_setting_ring(c->integrity_keys, d));
	if (!pep_conf_tls(c) && c->identity[0] == '\0')
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "identity must be given with security = %s", c->security_word);
}

static void check(struct pep_conf *c, const char *path, struct diag *d)
{
	check_security(c, path, d);
	check_lockdown(c, path, d);
	check_mark(c, path, d);
	for (size_t i = 0; i < c->pdp_list.count; i++) {
		const char *text = c->pdp_list.item[i];
		struct pep_pdp *pdp = &c->pdp[c->pdps++];

		if (pdp_parse(pdp, text) != 0)
			diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
			    "pdp \"%s\": expected NAME@ADDRESS or NAME@ADDRESS:PORT", text);
		else if (c->security != COPS_SECURITY_NONE && pdp->name[0] == '\0')
			diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
			    "pdp \"%s\": the name of its certificate or keys is missing (NAME@...)",
			    text);
	}
	if (!kern_backend_known(c->backend))
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "backend \"%s\": expected auto, xfrm, pfkey or mem", c->backend);
	for (size_t i = 0; i < c->roles.count; i++) {
		char name[KERN_IF_NAME];
		const char *roles;

		if (pep_roles_parse(c->roles.item[i], name, &roles) != 0)
			diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
			    "roles \"%s\": expected INTERFACE and roles in order, like lan+red",
			    c->roles.item[i]);
	}
	check_learn(c, path, d);
	if (log_level_find(c->log_level) < 0)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0,
		    "log-level \"%s\": expected " LOG_LEVEL_WORDS, c->log_level);
	if (c->retry_max_ms < c->retry_min_ms)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "retry-max is less than retry-min");
}

/* A text that was not given is "", so that nobody has to ask twice. -1: no memory. */
static int fill(struct pep_conf *c)
{
	for (const struct conf_opt *o = options; o->name != NULL; o++) {
		char **field = (char **)(void *)((char *)c + o->offset);

		if (o->type == CONF_STRING && *field == NULL && (*field = strdup("")) == NULL)
			return -1;
	}
	return 0;
}

static int finish(struct pep_conf *c, const char *path, struct diag *d, int rc)
{
	size_t before = d->errors;

	if (rc != 0)
		return -1;
	if (fill(c) != 0)
		diag_add(d, DIAG_ERROR, path, 0, 0, 0, NULL, 0, "out of memory");
	else
		check(c, path, d);
	return d->errors == before ? 0 : -1;
}

int pep_conf_read(struct pep_conf *c, const char *path, struct diag *d)
{
	memset(c, 0, sizeof(*c));
	return finish(c, path, d, conf_load(options, c, path, d));
}

int pep_conf_parse(struct pep_conf *c, const char *text, struct diag *d)
{
	memset(c, 0, sizeof(*c));
	return finish(c, "(text)", d, conf_parse(options, c, "(text)", text, strlen(text), d));
}

void pep_conf_clear(struct pep_conf *c)
{
	for (unsigned i = 0; i < c->pdps; i++)
		free(c->pdp[i].name);
	conf_clear(options, c);
	memset(c, 0, sizeof(*c));
}

void pep_conf_print(FILE *f)
{
	conf_print_example(options, "pep.conf - settings of copspepd, see pep.conf(5)", f);
}
