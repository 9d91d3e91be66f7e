/* main.c - copspepd: its settings to common/daemon.c; the rest is a library. */
#include "common/daemon.h"
#include "common/diag.h"
#include "pep/pep.h"
#include "pep/pep_conf.h"

static int read_conf(void *conf, const char *path, struct diag *d)
{
	return pep_conf_read(conf, path, d);
}

static const char *log_level(const void *conf)
{
	return ((const struct pep_conf *)conf)->log_level;
}

static int run(const void *conf)
{
	return pep_run(conf);
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
	    .clear = clear,
	};

	return daemon_main(&d, argc, argv);
}
