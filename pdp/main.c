/* main.c - copspdpd: its settings to common/daemon.c, its signals; the rest is a library. */
#include "config.h"

#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/daemon.h"
#include "common/diag.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/priv.h"
#include "pdp/pdp.h"
#include "pdp/vpn.h"

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct pdp *p = arg;
	char err[4096];

	(void)what;
	if (sig == SIGHUP)
		pdp_reload(p, err, sizeof(err));
	else
		event_base_loopbreak(p->base);
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

_Static_assert(
    offsetof(struct pdp_client, api) == offsetof(struct plugin_head, api) &&
	offsetof(struct pdp_client, name) == offsetof(struct plugin_head, name) &&
	offsetof(struct pdp_client, client_type) == offsetof(struct plugin_head, client_type),
    "a client begins with struct plugin_head");

/* Client-types are loaded here, before rights are dropped; --check looks at them, too. */
static int read_conf(void *conf, const char *path, struct diag *d)
{
	struct pdp_conf *c = conf;

	if (pdp_conf_read(c, path, d) != 0)
		return -1;
	if (plugins_load(&c->plugins, &c->client_types, "cops_pdp_client",
		(const struct plugin_head *)&pdp_client_vpn, path, d) == 0)
		return 0;
	pdp_conf_clear(c);
	return -1;
}

static const char *log_level(const void *conf)
{
	return ((const struct pdp_conf *)conf)->log_level;
}

static int run(const void *arg)
{
	const struct pdp_conf *conf = arg;
	char err[PRIV_ERR_LEN];

	raise_limits();
	if (priv_drop(conf->user, 0, err) == 0)
		return serve(conf);
	log_err("%s", err);
	return 1;
}

static void clear(void *conf)
{
	pdp_conf_clear(conf);
}

int main(int argc, char **argv)
{
	struct pdp_conf conf;
	const struct daemon_desc d = {
	    .name = "copspdpd",
	    .summary = "policy server: VPN intent in XML to provisioning of CEs by COPS-PR",
	    .conf_path = SYSCONFDIR "/cops/pdp.conf",
	    .conf = &conf,
	    .read = read_conf,
	    .print = pdp_conf_print,
	    .log_level = log_level,
	    .trace = &conf.trace,
	    .run = run,
	    .clear = clear,
	};

	return daemon_main(&d, argc, argv);
}
