/* daemon.c - see daemon.h. */
#include "common/daemon.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/diag.h"
#include "common/log.h"
#include "common/priv.h"
#include "config.h"

#define ONCE 'o' /* the place of the daemon's own option, the last */

static struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"foreground", no_argument, NULL, 'f'},
    {"debug", no_argument, NULL, 'd'},
    {"check", no_argument, NULL, 'k'},
    {"trace", required_argument, NULL, 't'},
    {"print-config", no_argument, NULL, 'p'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {0},
    {0},
};

struct args {
	const char *conf;
	const char *trace; /* NULL: none */
	bool foreground;
	bool debug;
	bool check;
	bool once;
};

static void help(const struct daemon_desc *d, FILE *f)
{
	fprintf(f,
	    "%s - %s\n\n"
	    "  -c, --config FILE  settings (default %s)\n"
	    "  -f, --foreground   stay in the foreground and log to stderr (so under systemd, "
	    "too)\n"
	    "  -d, --debug        the same, and log everything\n"
	    "      --trace FILE   write a line to FILE for each COPS message\n"
	    "      --check        check the settings and exit\n"
	    "      --print-config print an example of the settings and exit\n"
	    "%s"
	    "      --version, --help\n",
	    d->name, d->summary, d->conf_path, d->once != NULL ? d->once_help : "");
}

/* -1: go on; else the exit status. */
static int parse(const struct daemon_desc *d, struct args *a, int argc, char **argv)
{
	size_t last = sizeof(options) / sizeof(options[0]) - 2;
	int c;

	if (d->once != NULL)
		options[last] = (struct option) {d->once, no_argument, NULL, ONCE};
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
		case ONCE:
			a->once = true;
			break;
		case 't':
			a->trace = optarg;
			break;
		case 'p':
			d->print(stdout);
			return 0;
		case 'V':
			printf("%s " PACKAGE_VERSION "\n", d->name);
			return 0;
		case 'h':
			help(d, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	help(d, stderr);
	return 2;
}

static int read_conf(const struct daemon_desc *d, const char *path)
{
	struct diag diag;
	int rc;

	diag_init(&diag);
	rc = d->read(d->conf, path, &diag);
	diag_print(&diag, stderr);
	diag_clear(&diag);
	return rc;
}

/* Before the folder and the user change, and while somebody reads stderr. */
static int trace_open(const struct daemon_desc *d, const char *path)
{
	*d->trace = fopen(path, "ae");
	if (*d->trace == NULL)
		fprintf(stderr, "%s: %s: %s\n", d->name, path, strerror(errno));
	return *d->trace != NULL ? 0 : -1;
}

static int start(const struct daemon_desc *d, const struct args *a)
{
	bool foreground = a->foreground || a->once || getenv("NOTIFY_SOCKET") != NULL;

	log_init(
	    d->name, a->debug ? LOG_DEBUG : log_level_find(d->log_level(d->conf)), !foreground);
	signal(SIGPIPE, SIG_IGN);
	priv_no_core();
	if (a->once)
		return d->once_run(d->conf);
	if (!foreground && daemon(0, 0) != 0) {
		fprintf(stderr, "%s: cannot go to the background\n", d->name);
		return 1;
	}
	return d->run(d->conf);
}

int daemon_main(const struct daemon_desc *d, int argc, char **argv)
{
	struct args a = {.conf = d->conf_path};
	int status = parse(d, &a, argc, argv);

	if (status >= 0)
		return status;
	if (read_conf(d, a.conf) != 0)
		return 1;
	umask(077);
	if (a.trace != NULL && !a.check && trace_open(d, a.trace) != 0)
		status = 1;
	else
		status = a.check ? 0 : start(d, &a);
	if (a.trace != NULL && *d->trace != NULL)
		fclose(*d->trace);
	d->clear(d->conf);
	return status;
}
