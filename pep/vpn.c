/*
 * vpn.c - the enforcer of client-type 0x4001: VPN rows made true in the kernel.
 *
 * A transaction touches parts (vpn_touch), which are computed anew and applied as one
 * plan (vpn_run); only after its report do own keys follow (settled).  When others change the
 * kernel, or at start, the kernel is read and everything is computed: what differs is changed.
 */
#include "pep/vpn.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "config.h"
#include "pep/agent.h"
#include "pep/host_list.h"
#include "pep/pep_conf.h"
#include "pep/kstate.h"
#include "pep/vpn_int.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

#define DEBOUNCE_MS 100
#define DEBTS_MS    1000 /* between two tries of owed operations */
#define SAY_MS	    2000 /* between two tellings of new addresses */

int64_t vpn_now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- rows ------------------------------------------------------------------- */

const struct pib_ce_vpn *vpn_row(const struct pib_store *store, uint32_t vpn)
{
	const struct pib_row *row = pib_store_find(store, &pib_ce_vpn_class, vpn);
	return row ? row->data : NULL;
}

const struct pib_ce_vpn_peer *vpn_peer_row(const struct pib_store *store, uint32_t peer)
{
	const struct pib_row *row = pib_store_find(store, &pib_ce_vpn_peer_class, peer);
	return row ? row->data : NULL;
}

struct member_search {
	uint32_t member;
	uint32_t vpn;
};

static void match_member(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct member_search *s = arg;
	if (v->member == s->member)
		s->vpn = v->id;
}

uint32_t vpn_of_member(const struct pib_store *store, uint32_t member)
{
	struct member_search s = {.member = member};
	pib_store_each(store, &pib_ce_vpn_class, match_member, &s);
	return s.vpn;
}

static bool keying_exists(int32_t keying)
{
	return vpn_provider_find(keying) != NULL;
}

struct vpn_env vpn_row_env(const struct vpn *v, const struct pib_store *store, bool lenient)
{
	return (struct vpn_env) {.store = store,
	    .ops = v->ops,
	    .host = v->host_list,
	    .kern = v->kern,
	    .keying = keying_exists,
	    .lockdown = v->conf->lockdown,
	    .mark_mask = v->conf->mark_mask,
	    .lenient = lenient};
}

/* --- the kernel as it is ---------------------------------------------------- */

/* Of ours, as far as an SA alone can tell: its reqid is known, or its SPI names a peer. */
static bool sa_is_ours(void *arg, const struct kern_sa_state *sa)
{
	const struct vpn *v = arg;

	if (!sa->reqid)
		return false;
	if (vpn_reqids_peer(v->reqids, sa->reqid))
		return true;
	/* the file of reqids was lost; else it is somebody else's who has such an SPI */
	return !vpn_reqids_find(v->reqids, sa->id.spi >> 8) && v->store &&
	       vpn_peer_row(v->store, sa->id.spi >> 8);
}

struct lost { /* memberships whose SAs are not in the kernel any more */
	struct vpn *v;
	struct kern_sa_id *sa;
	uint32_t *member;
	size_t count;
	size_t cap;
	size_t gone; /* of them */
};

static uint32_t member_of_reqid(const struct vpn *v, uint32_t reqid)
{
	uint32_t peer = vpn_reqids_peer(v->reqids, reqid);
	const struct pib_ce_vpn_peer *p = peer && v->store ? vpn_peer_row(v->store, peer) : NULL;
	const struct pib_ce_vpn *n = p ? vpn_row(v->store, p->vpn) : NULL;

	return n ? n->member : 0;
}

static void note_before(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct lost *l = arg;

	(void)inbound;
	if (l->count == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct kern_sa_id *s = reallocarray(l->sa, cap, sizeof(*s));
		uint32_t *m = s ? reallocarray(l->member, cap, sizeof(*m)) : NULL;
		l->sa = s ? s : l->sa;
		if (!m)
			return;
		l->member = m;
		l->cap = cap;
	}
	l->sa[l->count] = sa->id;
	if (vpn_repair_is_gone(l->v, &sa->id))
		l->sa[l->count].spi = 0; /* whatever is in its place */
	l->member[l->count++] = member_of_reqid(l->v, sa->reqid);
}

static int load(struct vpn *v, struct lost *l, char *err, unsigned long err_len)
{
	struct kern_fault f;

	host_list_stale(v->host_list);
	vpn_repair_begin(v);
	if (v->loaded)
		kstate_sa_each(v->ks, 0, note_before, l);
	v->loaded = false;
	if (kstate_load(v->ks, sa_is_ours, v, &f) < 0) {
		snprintf(err, err_len, "%s", f.text);
		return -1;
	}
	v->loaded = true;
	v->unclaimed = true;
	vpn_lockdown_loaded(v);
	return 0;
}

static void provider_lost(struct vpn *v, uint32_t member)
{
	const struct pib_ce_vpn *n = vpn_row(v->store, vpn_of_member(v->store, member));
	const struct vpn_provider *p = n ? vpn_provider_find(n->keying) : NULL;

	if (!p)
		return;
	log_note("SAs of VPN %.*s are gone: %s", (int)n->name.len, (const char *)n->name.p,
	    n->keying == PIB_CE_VPN_KEYING_IKE ? "IKE makes new ones" : "new keys");
	p->lost(v, member);
}

static void lost_member(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	provider_lost(arg, n->member);
}

/* Keys are never installed twice, so lost SAs need new ones. */
static void lost_settle(struct vpn *v, struct lost *l)
{
	uint32_t last = 0;

	if (v->rebooted) {
		pib_store_each(v->store, &pib_ce_vpn_class, lost_member, v);
		if (boot_id_remember(v->env.state_dir, v->boot_id) == 0)
			v->rebooted = false;
		else
			log_err("cannot write %s/boot-id", v->env.state_dir);
		l->count = 0;
	}
	for (size_t i = 0; i < l->count; i++) {
		if (!l->member[i] || l->member[i] == last || kstate_sa_known(v->ks, &l->sa[i]))
			continue;
		last = l->member[i];
		for (size_t j = i; j < l->count; j++) /* once a membership */
			if (l->member[j] == last)
				l->member[j] = 0;
		provider_lost(v, last);
	}
}

/* --- after the rows are committed ------------------------------------------- */

static void settle_net(struct vpn *v, const struct vpn_touch *e)
{
	struct vpn_env env = vpn_row_env(v, v->store, true);
	const struct pib_ce_vpn *row = vpn_row(v->store, e->key.id);
	const struct vpn_provider *p = row ? vpn_provider_find(row->keying) : NULL;
	struct vpn_faults f = {0};
	struct vpn_net n;

	if (!p)
		return;
	if (e->what & VPN_MEMBER && vpn_net_load(&n, &env, e->key.id, &f) == 0) {
		p->settle(v, &n);
		vpn_net_clear(&n);
	}
	if (e->what & VPN_STALE)
		p->lost(v, row->member);
	if (e->what & VPN_ACK && p->acked)
		p->acked(v, row);
}

/* A membership that left its VPN's row, unless another row has it now. */
static void leave_net(struct vpn *v, const struct vpn_touch *e)
{
	const struct pib_ce_vpn *now = vpn_row(v->store, vpn_of_member(v->store, e->member_before));
	const struct vpn_provider *p = vpn_provider_find(e->keying_before);

	if (p && (!now || now->keying != e->keying_before))
		p->gone(v, e->member_before);
}

static void tick(struct vpn *v)
{
	int64_t now = vpn_now_ms();
	int64_t next;
	struct timeval tv;

	if (kstate_owes(v->ks))
		kstate_retry(v->ks);
	next = v->store && v->loaded ? vpn_providers_tick(v) : INT64_MAX;
	vpn_repair_debts(v);
	vpn_owed_tick(v);
	if (kstate_owes(v->ks) && next > now + DEBTS_MS)
		next = now + DEBTS_MS;
	if (v->ks->unsaid_tunnels) {
		if (v->say_at == 0)
			v->say_at = now + SAY_MS;
		if (now >= v->say_at) {
			kstate_tunnels_say(v->ks);
			v->say_at = v->ks->unsaid_tunnels ? now + SAY_MS : 0;
		}
		if (v->say_at && next > v->say_at)
			next = v->say_at;
	}
	if (next == INT64_MAX) {
		evtimer_del(v->on_tick);
		return;
	}
	next = next > now ? next - now : 0;
	tv = (struct timeval) {.tv_sec = next / 1000, .tv_usec = next % 1000 * 1000};
	evtimer_add(v->on_tick, &tv);
}

void vpn_tick_soon(struct vpn *v)
{
	const struct timeval now = {0};

	if (v->on_tick)
		evtimer_add(v->on_tick, &now);
}

/* Tell keying what came of it, now that it holds; clears t. */
static void settle(struct vpn *v, struct vpn_touched *t)
{
	struct vpn_touch *e, *next;

	HASH_ITER (hh, t->part, e, next)
		if (e->member_before)
			leave_net(v, e);
	HASH_ITER (hh, t->part, e, next)
		if (e->key.part == VPN_PART_NET)
			settle_net(v, e);
	HASH_ITER (hh, t->part, e, next)
		vpn_providers_touched(v, e);
	if (v->loaded && !v->unclaimed)
		vpn_providers_complete(v);
	if (vpn_touched_any(t, VPN_POLICY | VPN_NEAR | VPN_CHECK)) /* not for keys */
		vpn_learn_rows(v);
	vpn_owed_settled(v);
	vpn_touched_clear(t);
	tick(v);
	vpn_status_changed(v);
}

/* --- client ----------------------------------------------------------------- */

static int vpn_enforce(void *self, const struct pib_store *store, struct pib_txn *txn)
{
	struct vpn *v = self;
	struct vpn_faults f = {.txn = txn};
	struct kern_fault k = {.kind = KERN_REFUSED};
	struct lost l = {.v = v};

	v->store = store;
	vpn_touched_clear(&v->settle);
	if (!v->loaded && load(v, &l, k.text, sizeof(k.text)) < 0)
		return vpn_fault_kernel(&f, &k, &(struct korigin) {0});
	vpn_touch_changes(&v->settle, store, txn);
	if (v->unclaimed)
		vpn_touch_everything(&v->settle, store);
	vpn_lockdown_settle(v); /* before its discards go, by which a restart would know of it */
	if (vpn_run(v, store, &v->settle, &f, false) < 0) {
		vpn_touched_clear(&v->settle);
		v->over = false;
		return -1;
	}
	v->unclaimed = false;
	vpn_owed_enforced(v, &v->settle);
	return 0;
}

struct protecting {
	void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row);
	void *arg;
};

static void protect_row(void *arg, const struct pib_row *row)
{
	struct protecting *p = arg;
	struct pib_ce_vpn_peer_prefix far;

	if (row->cls != &pib_ce_vpn_peer_prefix_class) {
		p->put(p->arg, row->cls, row->instance, row->data);
		return;
	}
	memcpy(&far, row->data, sizeof(far));
	far.peer = 0; /* is of the VPN and cannot be reached */
	p->put(p->arg, row->cls, row->instance, &far);
}

/* Policy is over, but no packet of the VPN's may leave in clear: its prefixes are discarded. */
static void vpn_protect(void *self, const struct pib_store *store,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	static const struct pib_class *const kept[] = {&pib_ce_vpn_class,
	    &pib_ce_vpn_proposal_class, &pib_ce_vpn_local_prefix_class,
	    &pib_ce_vpn_peer_prefix_class};
	struct protecting p = {.put = put, .arg = arg};
	struct vpn *v = self;

	v->over = true;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		pib_store_each(store, kept[i], protect_row, &p);
}

static void vpn_refused(void *self, const struct pib_class *cls, uint32_t instance)
{
	struct vpn *v = self;

	if (cls == &pib_ce_vpn_site_leave_class)
		vpn_leave_refused(v, instance);
	else if (cls == &pib_ce_vpn_site_prefix_class)
		vpn_learn_refused(v, instance);
	else
		vpn_providers_refused(v, cls, instance);
	tick(v);
}

static void vpn_settled(void *self, const struct pib_store *store)
{
	struct vpn *v = self;

	v->store = store;
	vpn_leave_settle(v);
	settle(v, &v->settle);
	if (!v->over)
		return;
	/* With the SAs their keys went, and the PDP may have dropped what we published of them. */
	v->over = false;
	pib_store_each(v->store, &pib_ce_vpn_class, lost_member, v);
	tick(v);
}

/* Nothing is known of what should be: there was no decision yet, or the cache is lost. */
static bool know_nothing(const struct pib_store *store)
{
	return pib_store_count(store, NULL) == 0;
}

static void count_lost(struct vpn *v, struct lost *l)
{
	for (size_t i = 0; i < l->count; i++)
		l->gone += !kstate_sa_known(v->ks, &l->sa[i]);
}

static int reconcile(struct vpn *v, char *err, unsigned long err_len)
{
	struct vpn_touched t = {0};
	struct vpn_faults f = {0};
	struct lost l = {.v = v};
	struct kern_fault k;
	int ret = load(v, &l, err, err_len);

	v->repair.operations = 0;
	if (ret == 0 && (ret = vpn_lockdown_guard(v, &k)) < 0)
		snprintf(err, err_len, "%s", k.text);
	if (ret == 0 && !know_nothing(v->store)) {
		count_lost(v, &l);
		vpn_touch_everything(&t, v->store);
		vpn_lockdown_settle(v);
		ret = vpn_run(v, v->store, &t, &f, true);
		if (ret < 0)
			snprintf(err, err_len, "%s", f.text);
		else
			v->unclaimed = false;
	}
	vpn_repair_done(v, l.gone, ret < 0 ? err : NULL);
	if (ret == 0) {
		settle(v, &t);
		lost_settle(v, &l);
		vpn_ike_verify(v);
		tick(v);
	}
	vpn_touched_clear(&t);
	free(l.sa);
	free(l.member);
	return ret;
}

static int vpn_reconcile(
    void *self, const struct pib_store *store, char *err, unsigned long err_len)
{
	struct vpn *v = self;

	v->store = store;
	return reconcile(v, err, err_len);
}

static void vpn_notify(void *self,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	static const char software[] = PACKAGE_NAME " " PACKAGE_VERSION;
	struct vpn *v = self;
	struct addr own;
	char buf[VPN_TROUBLE_LEN];
	const char *trouble = vpn_trouble(v, buf);
	struct pib_ce_vpn_site site = {
	    .id = 1,
	    .software = {(const uint8_t *)software, sizeof(software) - 1},
	    .backend = {(const uint8_t *)v->ops->name, (uint32_t)strlen(v->ops->name)},
	    .boot_id = {v->boot_id, sizeof(v->boot_id)},
	    .repairs = v->repair.repairs,
	    .trouble = {(const uint8_t *)trouble, (uint32_t)strlen(trouble)},
	    .replay_window_max = v->caps.window_max,
	    .esn = v->caps.esn ? PIB_CE_VPN_SITE_ESN_TRUE : PIB_CE_VPN_SITE_ESN_FALSE,
	    .udp_encap = PIB_CE_VPN_SITE_UDP_ENCAP_TRUE,
	    .ike = vpn_ike_up(v) ? PIB_CE_VPN_SITE_IKE_TRUE : PIB_CE_VPN_SITE_IKE_FALSE,
	    .separate = v->ops->separate ? PIB_CE_VPN_SITE_SEPARATE_TRUE
					 : PIB_CE_VPN_SITE_SEPARATE_FALSE,
	    .dscp_clear = v->ops->dscp ? PIB_CE_VPN_SITE_DSCP_CLEAR_TRUE
				       : PIB_CE_VPN_SITE_DSCP_CLEAR_FALSE,
	};

	site.owed = v->owed_told = vpn_owed(v);
	if (v->env.agent && pep_agent_local(v->env.agent, &own)) {
		site.addr_type = addr_inet_type(&own);
		site.addr = (struct pib_octets) {own.octets, (uint32_t)addr_len(&own)};
	}
	put(arg, &pib_ce_vpn_site_class, site.id, &site);
	vpn_caps_notify(&v->caps, put, arg);
	vpn_leave_notify(v, put, arg);
	vpn_providers_notify(v, put, arg);
	vpn_learn_notify(v, put, arg);
}

/* --- what providers ask ----------------------------------------------------- */

void vpn_sas_changed(struct vpn *v, uint32_t member)
{
	struct vpn_touched t = {0};
	struct vpn_faults f = {0};
	uint32_t vpn = v->store ? vpn_of_member(v->store, member) : 0;

	if (!vpn || !v->loaded)
		return;
	vpn_touch_peers(&t, v->store, vpn, VPN_KEYS);
	if (vpn_run(v, v->store, &t, &f, true) < 0)
		log_err("SAs of member %u: %s; it will be tried again", (unsigned)member, f.text);
	vpn_touched_clear(&t);
	vpn_status_changed(v);
}

void vpn_publish(struct vpn *v)
{
	if (v->env.agent)
		pep_agent_notify(v->env.agent, &pep_client_vpn);
}

/* --- what the kernel tells -------------------------------------------------- */

static void soon(struct event *timer)
{
	struct timeval tv = {.tv_usec = DEBOUNCE_MS * 1000};
	if (!evtimer_pending(timer, NULL))
		evtimer_add(timer, &tv);
}

void vpn_change_soon(struct vpn *v)
{
	soon(v->on_change);
}

void vpn_host_soon(struct vpn *v)
{
	soon(v->on_host);
}

static void sa_expired(struct vpn *v, const struct kern_event *e)
{
	struct vpn_touched t = {0};
	struct vpn_faults f = {0};
	uint32_t peer = vpn_reqids_peer(v->reqids, e->reqid);

	kstate_sa_forget(v->ks, &e->sa);
	if (vpn_ike_has(v, peer)) {
		vpn_ike_missing(v, peer, &e->sa);
		return;
	}
	if (!peer || !v->store || !vpn_peer_row(v->store, peer))
		return;
	vpn_touch_sas(&t, v->store, peer);
	if (vpn_run(v, v->store, &t, &f, true) == 0) {
		settle(v, &t);
		return;
	}
	vpn_touched_clear(&t);
	vpn_change_soon(v);
}

static void sa_expiring(struct vpn *v, const struct kern_event *e)
{
	uint32_t member = member_of_reqid(v, e->reqid);
	const struct pib_ce_vpn *n = member ? vpn_row(v->store, vpn_of_member(v->store, member))
					    : NULL;
	const struct vpn_provider *p = n ? vpn_provider_find(n->keying) : NULL;

	char text[KERN_STRLEN];

	if (!p)
		return;
	log_info("%s comes to its soft lifetime", kern_sa_id_print(&e->sa, text));
	p->expiring(v, member, e->sa.spi);
	tick(v);
}

/* charon deletes its SAs itself; anybody else must not. */
static void sa_deleted(struct vpn *v, const struct kern_event *e)
{
	uint32_t peer = vpn_reqids_peer(v->reqids, kstate_sa_reqid(v->ks, &e->sa));

	if (!vpn_ike_has(v, peer)) {
		if (kstate_sa_known(v->ks, &e->sa)) {
			vpn_repair_gone(v, &e->sa);
			vpn_change_soon(v);
		}
		return;
	}
	kstate_sa_forget(v->ks, &e->sa);
	vpn_ike_missing(v, peer, &e->sa);
}

static void kernel_event(void *arg, const struct kern_event *e)
{
	struct vpn *v = arg;

	switch (e->kind) {
	case KERN_EV_ACQUIRE:
		v->acquires++;
		log_debug("traffic waits for an SA of reqid %u", (unsigned)e->reqid);
		if (vpn_ike_has(v, vpn_reqids_peer(v->reqids, e->reqid)))
			vpn_ike_acquire(v, vpn_reqids_peer(v->reqids, e->reqid));
		break;
	case KERN_EV_EXPIRE_SOFT:
		sa_expiring(v, e);
		break;
	case KERN_EV_EXPIRE_HARD:
		sa_expired(v, e);
		break;
	case KERN_EV_SA_DELETED:
		sa_deleted(v, e);
		break;
	case KERN_EV_SPD_CHANGED:
		if (kstate_policy_find(v->ks, &e->sel))
			vpn_change_soon(v);
		break;
	case KERN_EV_OVERRUN:
		log_warn("events of the kernel were lost");
		vpn_change_soon(v);
		break;
	case KERN_EV_MAPPING:
		vpn_natt_mapping(v, e);
		break;
	case KERN_EV_SA_FLUSHED:
	case KERN_EV_SPD_FLUSHED:
		vpn_change_soon(v);
		break;
	}
}

static void on_kernel(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;

	(void)fd;
	(void)what;
	v->ops->event_read(v->kern, kernel_event, v);
}

static void on_net(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;

	(void)fd;
	(void)what;
	v->ops->net_read(v->kern, vpn_host_event, v);
}

static void on_host(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	vpn_host_changed(arg);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tick(arg);
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	struct vpn *v = arg;
	char err[200];

	(void)fd;
	(void)what;
	log_note("the kernel's tables were changed by others: looking");
	v->repair.changed = true;
	if (v->env.agent)
		pep_agent_reconcile(v->env.agent, &pep_client_vpn);
	else if (v->store && reconcile(v, err, sizeof(err)) < 0)
		log_err("%s", err);
}

/* --- life ------------------------------------------------------------------- */

static int kern_start(struct vpn *v, char *err, unsigned long err_len)
{
	struct kern_fault f;

	if (!(v->ops = kern_open(v->conf->backend, &v->kern, &f))) {
		snprintf(err, err_len, "%s", f.text);
		return -1;
	}
	vpn_caps_find(&v->caps, v->ops, v->kern);
	log_note("the kernel is driven by %s%s", v->ops->name,
	    strcmp(v->conf->backend, KERN_AUTO) == 0 ? ", as it answers" : "");
	return 0;
}

static int events_start(struct vpn *v)
{
	int fd = v->ops->event_fd(v->kern);
	int net;

	v->on_tick = evtimer_new(v->env.base, on_tick, v);
	v->on_change = evtimer_new(v->env.base, on_change, v);
	v->on_host = evtimer_new(v->env.base, on_host, v);
	if (!v->on_tick || !v->on_change || !v->on_host)
		return -1;
	if ((net = v->ops->net_fd(v->kern)) >= 0) {
		v->on_net = event_new(v->env.base, net, EV_READ | EV_PERSIST, on_net, v);
		if (!v->on_net || event_add(v->on_net, NULL) < 0)
			return -1;
	}
	if (fd < 0)
		return 0;
	v->on_kernel = event_new(v->env.base, fd, EV_READ | EV_PERSIST, on_kernel, v);
	return v->on_kernel && event_add(v->on_kernel, NULL) == 0 ? 0 : -1;
}

static void vpn_stop(void *self)
{
	struct vpn *v = self;

	if (!v)
		return;
	if (v->on_kernel)
		event_free(v->on_kernel);
	if (v->on_net)
		event_free(v->on_net);
	if (v->on_host)
		event_free(v->on_host);
	if (v->on_tick)
		event_free(v->on_tick);
	if (v->on_change)
		event_free(v->on_change);
	vpn_touched_clear(&v->settle);
	vpn_learn_stop(v);
	vpn_providers_stop(v);
	vpn_reqids_free(v->reqids);
	vpn_usage_free(v->usage);
	vpn_states_free(v->states);
	vpn_repair_clear(v);
	vpn_host_clear(v);
	host_list_free(v->host_list);
	vpn_leave_stop(v);
	natt_free(v->natt);
	kstate_free(v->ks);
	if (v->kern)
		v->ops->close(v->kern);
	free(v);
}

/* Before anything else, the first contact included: without it the agent does not start. */
static int lock_down(struct vpn *v, char *err, unsigned long err_len)
{
	struct lost none = {.v = v};
	struct kern_fault f;
	int ret;

	if (!v->conf->lockdown)
		return 0;
	if (load(v, &none, err, err_len) < 0)
		return -1;
	ret = vpn_lockdown_guard(v, &f);
	if (ret < 0)
		snprintf(err, err_len, "lockdown: %s", f.text);
	else
		log_note("lockdown: only the control channel passes, and what policy says");
	v->loaded = false; /* without rows it was not told which SAs are ours */
	return ret;
}

static void *vpn_start(const struct pep_env *env, char *err, unsigned long err_len)
{
	struct vpn *v = calloc(1, sizeof(*v));

	snprintf(err, err_len, "out of memory");
	if (!v)
		return NULL;
	v->env = *env;
	v->conf = env->conf;
	boot_id_get(v->boot_id);
	v->rebooted = !boot_id_remembered(env->state_dir, v->boot_id);
	if (kern_start(v, err, err_len) < 0 ||
	    !(v->reqids = vpn_reqids_new(
		  env->state_dir, v->ops->reqid_max(v->kern), err, err_len)) ||
	    vpn_providers_start(v, err, err_len) < 0)
		goto fail;
	snprintf(err, err_len, "out of memory");
	if (!(v->natt = natt_new(env->base, v->conf->nat_keepalive_ms)) ||
	    !(v->usage = vpn_usage_new()) || !(v->states = vpn_states_new()) ||
	    !(v->ks = kstate_new(v->ops, v->kern)) ||
	    !(v->host_list = host_list_new(v->ops, v->kern)) || events_start(v) < 0 ||
	    vpn_learn_start(v) < 0)
		goto fail;
	kstate_watch(v->ks, vpn_usage_last, v);
	vpn_leave_start(v);
	if (lock_down(v, err, err_len) < 0)
		goto fail;
	return v;
fail:
	vpn_stop(v);
	return NULL;
}

struct rekey {
	const char *name;
	uint32_t member;
};

static void match_name(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *n = row->data;
	struct rekey *r = arg;
	if (strlen(r->name) == n->name.len && !memcmp(r->name, n->name.p, n->name.len))
		r->member = n->member;
}

int vpn_rekey(void *self, const char *vpn, unsigned *child_sas)
{
	struct vpn *v = self;
	struct rekey r = {.name = vpn};
	unsigned made;

	if (vpn && v->store)
		pib_store_each(v->store, &pib_ce_vpn_class, match_name, &r);
	if (vpn && !r.member)
		return -1;
	made = keying_rekey(v->keying, r.member, vpn_now_ms());
	*child_sas = vpn_ike_rekey(v, r.member);
	tick(v);
	return (int)made;
}

void vpn_reload(void *self)
{
	vpn_ike_reload(self);
}

struct kern *vpn_kern(void *self)
{
	struct vpn *v = self;
	return v->kern;
}

static const struct pib_module *const module[] = {
    &pib_framework_pib_module, &pib_framework_feedback_pib_module, &pib_ce_vpn_pib_module};

static const struct pep_usage_caps usage[] = {
    {&pib_ce_vpn_peer_class, &pib_frwk_feedback_traffic_class,
	&pib_frwk_feedback_traffic_thres_class},
    {&pib_ce_vpn_class, &pib_ce_vpn_peer_status_class, NULL},
};

const struct pep_client pep_client_vpn = {
    .api = PEP_CLIENT_API,
    .name = "vpn",
    .client_type = PIB_CE_VPN_PIB_SUBJECT_CATEGORY,
    .module = module,
    .module_count = sizeof(module) / sizeof(module[0]),
    .usage = usage,
    .usages = sizeof(usage) / sizeof(usage[0]),
    .start = vpn_start,
    .stop = vpn_stop,
    .enforce = vpn_enforce,
    .protect = vpn_protect,
    .count = vpn_count,
    .usage_rows = vpn_usage_rows,
    .refused = vpn_refused,
    .settled = vpn_settled,
    .reconcile = vpn_reconcile,
    .notify = vpn_notify,
};
