/* main.c - copspdpd: options, settings, signals; the rest is a library. */
#include "config.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/diag.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/priv.h"
#include "pdp/pdp.h"

#define CONF_DEFAULT SYSCONFDIR "/cops/pdp.conf"

static const char help[] =
    "copspdpd - policy server: VPN intent in XML to provisioning of CEs by COPS-PR\n\n"
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

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct pdp *p = arg;

	(void)what;
	if (sig == SIGHUP)
		pdp_reload(p);
	else
		event_base_loopbreak(p->base);
}

static int read_conf(struct pdp_conf *conf, const char *path)
{
	struct diag d;
	int rc;

	diag_init(&d);
	rc = pdp_conf_read(conf, path, &d);
	diag_print(&d, stderr);
	diag_clear(&d);
	return rc;
}

/* As many descriptors as the hard limit gives: one for each session. */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int serve(const struct pdp_conf *conf)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct event_base *base = event_base_new();
	struct event *ev[3] = {0};
	char err[PDP_ERR_LEN] = "out of memory";
	struct pdp *p = base != NULL ? pdp_new(base, conf, err) : NULL;

	if (p == NULL) {
		log_err("%s", err);
		return 1;
	}
	for (size_t i = 0; i < 3; i++) {
		ev[i] = evsignal_new(base, signals[i], on_signal, p);
		event_add(ev[i], NULL);
	}
	log_note("copspdpd " PACKAGE_VERSION " serves on port %u", pdp_port(p));
	notify_send("READY=1");
	event_base_dispatch(base);
	notify_send("STOPPING=1");
	log_note("stopping");
	pdp_free(p);
	for (size_t i = 0; i < 3; i++)
		event_free(ev[i]);
	event_base_free(base);
	return 0;
}

int main(int argc, char **argv)
{
	const char *path = CONF_DEFAULT;
	bool foreground = false, debug = false, check = false;
	char err[PRIV_ERR_LEN];
	struct pdp_conf conf;
	int c, status;

	while ((c = getopt_long(argc, argv, "c:fdVh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'd':
			debug = true;
			foreground = true;
			break;
		case 'f':
			foreground = true;
			break;
		case 'k':
			check = true;
			break;
		case 'p':
			pdp_conf_print(stdout);
			return 0;
		case 'V':
			puts("copspdpd " PACKAGE_VERSION);
			return 0;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc) {
		fputs(help, stderr);
		return 2;
	}
	if (read_conf(&conf, path) != 0)
		return 1;
	if (check) {
		pdp_conf_clear(&conf);
		return 0;
	}
	umask(077);
	foreground = foreground || getenv("NOTIFY_SOCKET") != NULL;
	log_init("copspdpd", debug ? LOG_DEBUG : pdp_conf_log_level(conf.log_level), !foreground);
	signal(SIGPIPE, SIG_IGN);
	priv_no_core();
	raise_limits();
	if (priv_drop(conf.user, 0, err) != 0) {
		log_err("%s", err);
		return 1;
	}
	if (!foreground && daemon(0, 0) != 0) {
		log_err("cannot go to the background");
		return 1;
	}
	status = serve(&conf);
	pdp_conf_clear(&conf);
	return status;
}
