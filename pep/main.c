/* main.c - copspepd: options and settings; the rest is a library. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/diag.h"
#include "common/log.h"
#include "config.h"
#include "pep/pep.h"
#include "pep/pep_conf.h"

#define CONF_DEFAULT SYSCONFDIR "/cops/pep.conf"

static const char help[] =
    "copspepd - agent of a CE: provisioning by COPS-PR to the kernel's IPsec\n\n"
    "  -c, --config FILE  settings (default " CONF_DEFAULT ")\n"
    "  -f, --foreground   stay in the foreground and log to stderr (so under systemd, too)\n"
    "  -d, --debug        the same, and log everything\n"
    "      --check        check the settings and exit\n"
    "      --print-config print an example of the settings and exit\n"
    "      --version, --help\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"foreground", no_argument, NULL, 'f'},
    {"debug", no_argument, NULL, 'd'},
    {"check", no_argument, NULL, 'k'},
    {"print-config", no_argument, NULL, 'p'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct args {
	const char *conf;
	bool foreground;
	bool debug;
	bool check;
};

/* -1: go on; else the exit status. */
static int parse(struct args *a, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:fdVh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			a->conf = optarg;
			break;
		case 'd':
			a->debug = true;
			a->foreground = true;
			break;
		case 'f':
			a->foreground = true;
			break;
		case 'k':
			a->check = true;
			break;
		case 'p':
			pep_conf_print(stdout);
			return 0;
		case 'V':
			puts("copspepd " PACKAGE_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fputs(help, stderr);
	return 2;
}

static int read_conf(struct pep_conf *conf, const char *path)
{
	struct diag d;
	int rc;

	diag_init(&d);
	rc = pep_conf_read(conf, path, &d);
	diag_print(&d, stderr);
	diag_clear(&d);
	return rc;
}

int main(int argc, char **argv)
{
	struct args a = {.conf = CONF_DEFAULT};
	struct pep_conf conf;
	int status = parse(&a, argc, argv);

	if (status >= 0)
		return status;
	if (read_conf(&conf, a.conf) != 0)
		return 1;
	a.foreground |= getenv("NOTIFY_SOCKET") != NULL;
	log_init(
	    "copspepd", a.debug ? LOG_DEBUG : pep_conf_log_level(conf.log_level), !a.foreground);
	if (!a.check && !a.foreground && daemon(0, 0) != 0) {
		fputs("copspepd: cannot go to the background\n", stderr);
		return 1;
	}
	status = a.check ? 0 : pep_run(&conf);
	pep_conf_clear(&conf);
	return status;
}
