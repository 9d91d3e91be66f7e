/*
 * pdp.h - the policy server as one object: database, client-types, workers, listeners, timers and
 * control socket, all driven by the control thread's event base.  main() and the tests make one.
 */
#ifndef PDP_PDP_H
#define PDP_PDP_H

#include <event2/event.h>
#include <stdint.h>

#include "common/ctl.h"
#include "pdp/change.h"
#include "pdp/db.h"
#include "pdp/pdp_conf.h"

#define PDP_ERR_LEN    DB_ERR_LEN
#define PDP_LISTEN_MAX 16

struct acl;
struct home;
struct pdp;
struct pdp_client;
struct source;
struct sync;
struct vpn;
struct waiter;
struct workers;

struct pdp_listener {
	struct pdp *pdp;
	struct event *ev;
	struct event *pause; /* after EMFILE */
	int fd;
};

#define PDP_TYPES_MAX (1 + PLUGINS_MAX)

struct pdp_type { /* a client-type that is served: the VPN first, then plug-ins */
	struct pdp *pdp;
	const struct pdp_client *client;
	void *self;
	struct source *source; /* NULL: the VPN */
	struct sync *sync;
};

struct pdp {
	const struct pdp_conf *conf;
	struct event_base *base;
	struct db db;
	struct acl *acl;
	struct vpn *vpn;
	struct sync *sync; /* of the VPN, as in type[0] */
	struct pdp_type type[PDP_TYPES_MAX];
	size_t types;
	const struct pdp_client *client[PDP_TYPES_MAX]; /* of each, for the workers */
	struct workers *workers;
	struct home *home; /* NULL: no backup of another server */
	struct ctl_server *ctl;
	struct pdp_listener listener[PDP_LISTEN_MAX];
	size_t listeners;
	struct event *tick;	/* every second */
	struct event *flush;	/* staged keys, milliseconds */
	struct waiter *waiters; /* requests that wait for CEs, see wait.h */
	struct change_env env;
	enum cops_security security; /* of the settings, as they were read last */
	char name[256];
	int64_t started_at;
	int64_t leave_at_ms, tell_at_ms; /* when to try again */
	int64_t membership_at_ms;	 /* when to ask next who has confirmed */
};

/* *conf is borrowed.  Listens when it returns.  NULL and err. */
struct pdp *pdp_new(struct event_base *base, const struct pdp_conf *conf, char err[PDP_ERR_LEN]);
/* CC to every session, everything that was confirmed is stored, then gone. */
void pdp_free(struct pdp *p);
/* SIGHUP: how sessions are protected, certificates, CRL, keys, and the policies of plug-ins.  -1:
 * the log, and err (a line a fault).
 */
int pdp_reload(struct pdp *p, char *err, size_t err_len);
/* The port of the first listener (for tests: conf.port 0 picks one). */
uint16_t pdp_port(const struct pdp *p);

#endif
