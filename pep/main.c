/* main.c - copspepd: its settings to common/daemon.c; the rest is a library. */
#include <stddef.h>

#include "common/daemon.h"
#include "common/diag.h"
#include "common/log.h"
#include "pep/client.h"
#include "pep/pep.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"

_Static_assert(
    offsetof(struct pep_client, api) == offsetof(struct plugin_head, api) &&
	offsetof(struct pep_client, name) == offsetof(struct plugin_head, name) &&
	offsetof(struct pep_client, client_type) == offsetof(struct plugin_head, client_type),
    "a client begins with struct plugin_head");

/* Client-types are loaded here, before rights are dropped; --check looks at them, too. */
static int read_conf(void *conf, const char *path, struct diag *d)
{
	struct pep_conf *c = conf;

	if (pep_conf_read(c, path, d) != 0)
		return -1;
	if (plugins_load(&c->plugins, &c->client_types, "cops_pep_client",
		(const struct plugin_head *)&pep_client_vpn, path, d) == 0)
		return 0;
	pep_conf_clear(c);
	return -1;
}

static const char *log_level(const void *conf)
{
	return ((const struct pep_conf *)conf)->log_level;
}

static int run(const void *conf)
{
	return pep_run(conf);
}

/* Before anything else runs: what is to hold until the agent does. */
static int lockdown(const void *conf)
{
	const struct pep_conf *c = conf;
	char err[400];

	if (!c->lockdown) {
		log_note("lockdown = no: nothing to do");
		return 0;
	}
	if (vpn_lockdown_once(c, err, sizeof(err)) == 0)
		return 0;
	log_err("lockdown: %s", err);
	return 1;
}

static void clear(void *conf)
{
	pep_conf_clear(conf);
}

int main(int argc, char **argv)
{
	struct pep_conf conf;
	const struct daemon_desc d = {
	    .name = "copspepd",
	    .summary = "agent of a CE: provisioning by COPS-PR to the kernel's IPsec",
	    .conf_path = SYSCONFDIR "/cops/pep.conf",
	    .conf = &conf,
	    .read = read_conf,
	    .print = pep_conf_print,
	    .log_level = log_level,
	    .trace = &conf.trace,
	    .run = run,
	    .once = "lockdown",
	    .once_help = "      --lockdown     discard everything but the control channel, if the "
			 "settings say\n                     lockdown = yes, and exit\n",
	    .once_run = lockdown,
	    .clear = clear,
	};

	return daemon_main(&d, argc, argv);
}
