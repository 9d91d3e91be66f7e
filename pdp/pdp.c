/*
 * pdp.c - see pdp.h: what is made in which order, and what happens on which event.
 */
#include "pdp/pdp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/commands.h"
#include "common/diag.h"
#include "common/log.h"
#include "common/notify.h"
#include "pdp/acl.h"
#include "pdp/control.h"
#include "pdp/home.h"
#include "pdp/membership.h"
#include "pdp/source.h"
#include "pdp/sync.h"
#include "pdp/tunnels.h"
#include "pdp/vpn.h"
#include "pdp/wait.h"
#include "pdp/worker.h"

#define TICK_MS	       1000
#define FLUSH_MS       3 /* keys and acknowledgements that come within it are one commit */
#define FLUSH_AGAIN_MS 1000
#define ACCEPT_MAX     64 /* connections taken in one turn of the loop */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void after_ms(struct event *ev, int64_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_add(ev, &tv);
}

/* ------------------------------------------------------------------ listening */

/* No descriptor to be had: do not spin, what is there must go on. */
static void accept_pause(struct pdp_listener *l)
{
	log_warn("cannot accept connections: %s", strerror(errno));
	event_del(l->ev);
	after_ms(l->pause, 1000);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct pdp_listener *l = arg;

	(void)fd, (void)what;
	event_add(l->ev, NULL);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct pdp_listener *l = arg;
	const int on = 1;
	int s;

	(void)what;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				accept_pause(l);
			return; /* EAGAIN, or one that is gone already */
		}
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		workers_accept(l->pdp->workers, s);
	}
}

static int listen_on(struct pdp *p, const char *text, char err[PDP_ERR_LEN])
{
	struct pdp_listener *l = &p->listener[p->listeners];
	struct sockaddr_storage ss;
	const int on = 1;
	socklen_t len;
	struct addr a;

	addr_parse(&a, text);
	len = addr_to_sockaddr(&a, (uint16_t)p->conf->port, &ss);
	l->pdp = p;
	l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto bad;
	p->listeners++;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ss.ss_family == AF_INET6) /* "0.0.0.0" beside "::" is no conflict */
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(l->fd, (struct sockaddr *)&ss, len) != 0 || listen(l->fd, SOMAXCONN) != 0)
		goto bad;
	l->ev = event_new(p->base, l->fd, EV_READ | EV_PERSIST, on_accept, l);
	l->pause = evtimer_new(p->base, on_resume, l);
	if (l->ev != NULL && l->pause != NULL && event_add(l->ev, NULL) == 0)
		return 0;
	errno = ENOMEM;
bad:
	snprintf(err, PDP_ERR_LEN, "cannot listen on %s port %d: %s", text, (int)p->conf->port,
	    strerror(errno));
	return -1;
}

static void listeners_free(struct pdp *p)
{
	for (size_t i = 0; i < p->listeners; i++) {
		if (p->listener[i].ev != NULL)
			event_free(p->listener[i].ev);
		if (p->listener[i].pause != NULL)
			event_free(p->listener[i].pause);
		close(p->listener[i].fd);
	}
	p->listeners = 0;
}

uint16_t pdp_port(const struct pdp *p)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (p->listeners == 0 || getsockname(p->listener[0].fd, (struct sockaddr *)&ss, &len) != 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					      : ((struct sockaddr_in *)&ss)->sin_port);
}

/* --------------------------------------------------------------------- events */

static void on_up(void *arg, struct up *ev, size_t n)
{
	struct pdp *p = arg;

	for (size_t i = 0; i < n; i++) {
		/* revoked since its worker let it in */
		if (ev[i].kind == UP_OPEN && acl_revoked(p->acl, ev[i].open->name)) {
			workers_close(p->workers, ev[i].sid, COPS_ERR_AUTH_FAILURE, "revoked");
			free(ev[i].open);
			continue;
		}
		sync_up(p->type[ev[i].client].sync, &ev[i]);
	}
}

static void on_outcome(void *arg, const char *ce)
{
	struct pdp_type *t = arg;

	if (t->sync == t->pdp->sync)
		wait_outcome(t->pdp, ce);
}

/* Is ce of another client-type than t? */
static bool on_admits(void *arg, const char *ce)
{
	const struct pdp_type *t = arg;
	struct pdp *p = t->pdp;
	struct sync_info i;

	for (size_t k = 0; k < p->types; k++)
		if (&p->type[k] != t && !acl_revoked(p->acl, ce) &&
		    sync_info(p->type[k].sync, ce, &i) && !i.leaving)
			return true;
	return false;
}

static uint16_t store_type(const struct pdp_type *t)
{
	return t->source != NULL ? t->client->client_type : 0;
}

static void on_forgotten(void *arg, const char *ce)
{
	const struct pdp_type *t = arg;
	const struct store_ce gone = {.client_type = store_type(t), .name = ce, .gone = true};
	struct pdp *p = t->pdp;
	char err[DB_ERR_LEN];

	if (!on_admits(arg, ce))
		acl_remove(p->acl, ce);
	if (t->client == &pdp_client_vpn)
		vpn_forget(p->vpn, ce);
	if (p->db.ops->save_ces(p->db.store, &gone, 1, err, sizeof(err)) != 0)
		log_err("%s", err);
	if (acl_revoked(p->acl, ce))
		log_note("%s: revoked, and what it holds is out of reach", ce);
	else
		log_note("%s: no CE of ours any more, and holds nothing of client-type %s", ce,
		    t->client->name);
}

static void on_staged(void *arg)
{
	struct pdp *p = arg;

	if (!evtimer_pending(p->flush, NULL))
		after_ms(p->flush, FLUSH_MS);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct pdp *p = arg;
	char err[DB_ERR_LEN];

	(void)fd, (void)what;
	if (vpn_flush(p->vpn, err, sizeof(err)) == 0)
		return;
	log_err("%s; keys and learned networks wait for it", err);
	after_ms(p->flush, FLUSH_AGAIN_MS);
}

struct saving {
	struct store_ce *ce;
	size_t count, cap;
};

static int save_one(void *arg, const struct store_ce *ce)
{
	struct saving *s = arg;
	struct store_ce *more;

	if (s->count == s->cap) {
		size_t cap = s->cap == 0 ? 64 : s->cap * 2;

		more = reallocarray(s->ce, cap, sizeof(*more));
		if (more == NULL)
			return -1;
		s->ce = more;
		s->cap = cap;
	}
	s->ce[s->count++] = *ce;
	return 0;
}

/*
 * What CEs confirmed: lazily, a CE that connects says it again.  The acknowledgements that follow
 * from it go first: up to what is saved here they are not worked out again.
 */
static void save_ces(struct pdp *p)
{
	struct saving s = {0};
	char err[DB_ERR_LEN];

	if (vpn_flush(p->vpn, err, sizeof(err)) != 0)
		return; /* on_flush() says so and tries again */
	for (size_t i = 0; i < p->types; i++)
		sync_save_each(p->type[i].sync, save_one, &s);
	if (s.count > 0 && p->db.ops->save_ces(p->db.store, s.ce, s.count, err, sizeof(err)) != 0)
		log_err("%s", err);
	free(s.ce);
}

static void send_home(void *arg, const struct sync_info *ce)
{
	const struct pdp_conf *c = ((struct pdp *)arg)->conf;
	struct pdp *p = arg;

	if (home_sends(p->home, ce, now_ms()))
		workers_redirect(p->workers, ce->sid, &c->primary_addr, c->primary_port);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct pdp *p = arg;

	(void)fd, (void)what;
	for (size_t i = 0; i < p->types; i++)
		sync_tick(p->type[i].sync);
	if (p->home != NULL) {
		home_tick(p->home, now_ms());
		for (size_t i = 0; i < p->types; i++)
			sync_each(p->type[i].sync, send_home, p);
	}
	save_ces(p);
	membership_tick(p);
	if (notify_watchdog_ms() > 0)
		notify_send("WATCHDOG=1");
}

/* The policies of all plug-ins; one that is at fault does not keep the others from theirs. */
static int reload_policies(struct pdp *p, char *err, size_t err_len)
{
	size_t at = 0;
	int rc = 0;

	for (size_t i = 1; i < p->types; i++) {
		if (source_reload(p->type[i].source, err + at, err_len - at) == 0) {
			log_note("policy of client-type %s read again", p->type[i].client->name);
			continue;
		}
		log_err("policy of client-type %s is not read again: %s", p->type[i].client->name,
		    err + at);
		at = strlen(err);
		if (at > 0 && at + 1 < err_len && err[at - 1] != '\n') {
			err[at++] = '\n';
			err[at] = '\0';
		}
		rc = -1;
	}
	return rc;
}

static struct worker_security security_of(const struct pdp_conf *c)
{
	return (struct worker_security) {
	    .kind = c->security,
	    .keys = c->integrity_keys,
	    .cert = c->certificate,
	    .key = c->key,
	    .ca = c->ca,
	    .crl = c->crl,
	};
}

static void log_security(const struct pdp_conf *c)
{
	if (c->security == COPS_SECURITY_NONE)
		log_warn("security is none: anybody who reaches the port can be any CE");
}

/* Of the settings, those that say how sessions are protected may be others now. */
static int reload_security(struct pdp *p, char why[TLS_ERR_LEN])
{
	const struct pdp_conf *c = p->conf;
	struct pdp_conf again = {0};
	struct worker_security s;
	struct diag d;
	int rc = 0;

	diag_init(&d);
	if (c->path != NULL) {
		rc = pdp_conf_read(&again, c->path, &d);
		if (rc != 0)
			diag_first(&d, why, TLS_ERR_LEN);
		c = &again;
	}
	if (rc == 0) {
		s = security_of(c);
		rc = workers_reload(p->workers, &s, why);
	}
	if (rc == 0 && c->security != p->security)
		log_note("security is %s from now on", c->security_word);
	if (rc == 0) {
		log_security(c);
		p->security = c->security;
	}
	pdp_conf_clear(&again);
	diag_clear(&d);
	return rc;
}

int pdp_reload(struct pdp *p, char *err, size_t err_len)
{
	char why[TLS_ERR_LEN];
	int rc;

	err[0] = '\0';
	rc = reload_policies(p, err, err_len);
	if (reload_security(p, why) == 0) {
		log_note("certificates and keys read again");
		return rc;
	}
	log_err("certificates and keys are not read again: %s", why);
	snprintf(err + strlen(err), err_len - strlen(err), "security: %s", why);
	return -1;
}

/* ---------------------------------------------------------------------- start */

static int load_ce(void *arg, const struct store_ce *ce)
{
	struct pdp *p = arg;

	return sync_load(p->sync, ce);
}

static void add_ces(void *arg, struct customer *c)
{
	struct pdp *p = arg;

	for (size_t i = 0; i < c->ces; i++)
		if (!c->ce[i].foreign && sync_add(p->sync, c->ce[i].name) != 0)
			log_err("out of memory for %s", c->ce[i].name);
}

static void allow_ce(void *arg, const struct sync_info *info)
{
	struct pdp *p = arg;

	acl_add(p->acl, info->name);
}

/* The folders on the way to path (not path itself), as far as we may. */
static void make_parents(const char *path, mode_t mode)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *slash = strchr(dir + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(dir, mode) == 0) /* what could not be made shows when it is used */
			chmod(dir, mode);
		*slash = '/';
	}
}

/* The next client-type; source is NULL for the VPN. */
static int type_add(
    struct pdp *p, const struct pdp_client *client, void *self, struct source *source)
{
	struct pdp_type *t = &p->type[p->types];

	*t = (struct pdp_type) {.pdp = p, .client = client, .self = self, .source = source};
	const struct sync_conf conf = {
	    .client = client,
	    .self = self,
	    .index = (uint16_t)p->types,
	    .store_type = store_type(t),
	    .uuid = p->db.uuid,
	    .pdp_name = p->name,
	    .ttl_s = (uint32_t)p->conf->longevity_s,
	    .report_timeout_ms = p->conf->report_timeout_s * 1000,
	    .retry_ms = p->conf->retry_s * 1000,
	    .outcome = on_outcome,
	    .forgotten = on_forgotten,
	    .admits = on_admits,
	    .arg = t,
	};

	t->sync = sync_new(&conf);
	if (t->sync == NULL)
		return -1;
	p->client[p->types++] = client;
	return 0;
}

/* A plug-in's CE has policy, has none any more, has other rows. */
static void on_came(void *arg, const char *ce)
{
	struct pdp_type *t = arg;

	if (sync_add(t->sync, ce) != 0 || acl_add(t->pdp->acl, ce) != 0)
		log_err("out of memory for %s", ce);
}

static void on_left(void *arg, const char *ce)
{
	sync_leave(((struct pdp_type *)arg)->sync, ce);
}

static void on_rows(void *arg, const char *ce, uint64_t lsn)
{
	sync_changed(((struct pdp_type *)arg)->sync, ce, lsn);
}

static int load_client_ce(void *arg, const struct store_ce *ce)
{
	const struct pdp_type *t = arg;

	return ce->applied_lsn != 0 ? sync_load(t->sync, ce) : 0;
}

static int plugin_open(struct pdp *p, const struct plugin *plugin, char err[PDP_ERR_LEN])
{
	struct pdp_type *t = &p->type[p->types];
	const struct source_conf conf = {
	    .client = (const void *)plugin->head,
	    .base = p->base,
	    .argument = plugin->argument,
	    .state_dir = p->conf->state_dir,
	    .db = &p->db,
	    .came = on_came,
	    .left = on_left,
	    .changed = on_rows,
	    .arg = t,
	};
	struct source *source = source_new(&conf);

	snprintf(err, PDP_ERR_LEN, "out of memory");
	if (source == NULL)
		return -1;
	if (type_add(p, source_client(source), source, source) != 0) {
		source_free(source);
		return -1;
	}
	if (source_start(source, err, PDP_ERR_LEN) != 0)
		return -1;
	return p->db.ops->load_ces(
	    p->db.store, t->client->client_type, load_client_ce, t, err, PDP_ERR_LEN);
}

static int data_open(struct pdp *p, char err[PDP_ERR_LEN])
{
	char path[4096];

	if (type_add(p, &pdp_client_vpn, p->vpn, NULL) != 0)
		return -1;
	p->sync = p->type[0].sync;
	vpn_set_sync(p->vpn, p->sync);
	vpn_set_reports(p->vpn, p->conf->accounting_s != 0);
	snprintf(path, sizeof(path), "%s/pdp.db", p->conf->state_dir);
	make_parents(path, 0700);
	if (db_open(&p->db, &store_sqlite_ops, path, (size_t)p->conf->max_document, load_ce, p,
		err) != 0)
		return -1;
	registry_each(p->db.registry, add_ces, p);
	for (size_t i = 0; i < p->conf->plugins.count; i++)
		if (plugin_open(p, &p->conf->plugins.item[i], err) != 0)
			return -1;
	if (membership_start(p) != 0)
		return -1;
	for (size_t i = 0; i < p->types; i++) /* those that left too: they are to hear of it */
		sync_each(p->type[i].sync, allow_ce, p);
	return 0;
}

static int workers_open(struct pdp *p, char err[PDP_ERR_LEN])
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const struct pdp_conf *c = p->conf;
	char why[TLS_ERR_LEN];
	const struct workers_conf conf = {
	    .count = c->workers > 0 ? (unsigned)c->workers
		     : cpus > 0	    ? (unsigned)cpus
				    : 1,
	    .client = p->client,
	    .clients = p->types,
	    .acl = p->acl,
	    .trace = c->trace,
	    .security = security_of(c),
	    .conn =
		{
		    .role = COPS_PDP,
		    .ka_s = (uint16_t)c->keepalive_s,
		    .acct_s = (uint16_t)(c->accounting_s / TUNNELS_INTERVAL),
		    .max_msg = (uint32_t)c->max_message,
		    .max_unsent = (size_t)c->max_unsent,
		    .open_timeout_ms = (uint32_t)c->open_timeout_s * 1000,
		},
	    .max_sessions = (size_t)c->max_sessions,
	    .on_up = on_up,
	    .arg = p,
	};

	p->security = c->security;
	log_security(c);
	p->workers = workers_new(p->base, &conf, why);
	if (p->workers == NULL) {
		snprintf(err, PDP_ERR_LEN, "%s", why);
		return -1;
	}
	for (size_t i = 0; i < p->types; i++)
		sync_set_workers(p->type[i].sync, p->workers);
	return 0;
}

/* Are we a backup? */
static int home_open(struct pdp *p)
{
	const struct home_conf conf = {
	    .base = p->base,
	    .addr = p->conf->primary_addr,
	    .port = p->conf->primary_port,
	    .check_ms = p->conf->primary_check_s * 1000,
	    .rate = (unsigned)p->conf->primary_rate,
	};

	if (conf.addr.family == 0)
		return 0;
	p->home = home_new(&conf);
	return p->home != NULL ? 0 : -1;
}

static int control_open(struct pdp *p, char err[PDP_ERR_LEN])
{
	const struct ctl_conf conf = {
	    .path = p->conf->control_socket,
	    .group = p->conf->control_group,
	    /* JSON may take a document's octets twice over */
	    .max_request = (size_t)p->conf->max_document * 2 + 65536,
	    .where = COMMAND_PDP,
	};

	make_parents(conf.path, 0755);
	p->ctl = ctl_server_new(p->base, &conf, pdp_ctl_handlers, p, err);
	return p->ctl != NULL ? 0 : -1;
}

static void set_name(struct pdp *p)
{
	if (p->conf->name != NULL)
		snprintf(p->name, sizeof(p->name), "%s", p->conf->name);
	if (p->name[0] == '\0' && gethostname(p->name, sizeof(p->name) - 1) != 0)
		snprintf(p->name, sizeof(p->name), "pdp");
}

struct pdp *pdp_new(struct event_base *base, const struct pdp_conf *conf, char err[PDP_ERR_LEN])
{
	struct pdp *p = calloc(1, sizeof(*p));

	snprintf(err, PDP_ERR_LEN, "out of memory");
	if (p == NULL)
		return NULL;
	p->conf = conf;
	p->base = base;
	p->started_at = (int64_t)time(NULL);
	set_name(p);
	p->acl = acl_new();
	p->vpn = vpn_new(&p->db, on_staged, p);
	p->tick = event_new(base, -1, EV_PERSIST, on_tick, p);
	p->flush = evtimer_new(base, on_flush, p);
	if (p->acl == NULL || p->vpn == NULL || p->tick == NULL || p->flush == NULL)
		goto bad;
	if (data_open(p, err) != 0 || workers_open(p, err) != 0 || home_open(p) != 0)
		goto bad;
	p->env = (struct change_env) {.db = &p->db, .sync = p->sync, .acl = p->acl, .vpn = p->vpn};
	if (control_open(p, err) != 0)
		goto bad;
	for (size_t i = 0; i < conf->listen.count && i < PDP_LISTEN_MAX; i++)
		if (listen_on(p, conf->listen.item[i], err) != 0)
			goto bad;
	after_ms(p->tick, TICK_MS);
	return p;
bad:
	pdp_free(p);
	return NULL;
}

void pdp_free(struct pdp *p)
{
	char err[DB_ERR_LEN];

	if (p == NULL)
		return;
	listeners_free(p);
	if (p->workers != NULL)
		workers_stop(p->workers);
	wait_stop(p);
	ctl_server_free(p->ctl);
	if (p->db.store != NULL && vpn_flush(p->vpn, err, sizeof(err)) != 0)
		log_err("%s", err);
	if (p->db.store != NULL)
		save_ces(p);
	workers_free(p->workers);
	for (size_t i = 0; i < p->types; i++) {
		source_free(p->type[i].source);
		sync_free(p->type[i].sync);
	}
	home_free(p->home);
	vpn_free(p->vpn);
	db_close(&p->db);
	acl_free(p->acl);
	if (p->tick != NULL)
		event_free(p->tick);
	if (p->flush != NULL)
		event_free(p->flush);
	free(p);
}
