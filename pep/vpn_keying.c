/*
 * vpn_keying.c - where SAs come from: one row per ceVpnKeying value.  Controller
 * keying is pep/keying, IKE is vpn_ike.c; another provider is another row.
 */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "pep/pep_conf.h"
#include "pep/vpn_int.h"
#include "pib/pib_store.h"

static int controller_verify(
    struct vpn *v, const struct vpn_net *n, struct vpn_peer *p, struct vpn_faults *f, bool lenient)
{
	struct keying_peer *kp = &p->peer;
	uint8_t kept = 0;
	int ret = 0;

	for (uint8_t i = 0; i < kp->keys; i++) {
		const struct keying_peer_key *key = &kp->key[i];
		uint16_t number = PIB_CE_VPN_PEER_KEY_ERR_BAD_SIGNATURE;
		char err[160];
		if (keying_verify(v->keying, &n->member, kp, key, &number, err, sizeof(err)) == 0)
			kp->key[kept++] = *key;
		else if (lenient)
			log_err(
			    "%s: key of epoch %u left out: %s", p->name, (unsigned)key->epoch, err);
		else
			ret = vpn_fault(f, &pib_ce_vpn_peer_key_class, key->instance,
			    PIB_CPERR_SPECIFIC, number, "%s", err);
	}
	kp->keys = kept;
	return ret;
}

static int controller_plan(struct vpn *v, const struct vpn_net *n, const struct vpn_peer *p,
    struct kplan *plan, struct vpn_faults *f)
{
	char err[160];

	if (keying_plan(v->keying, &n->member, &p->peer, v->ks, plan, err, sizeof(err)) == 0)
		return 0;
	return vpn_fault(f, &pib_ce_vpn_class, n->member.vpn, PIB_CPERR_SPECIFIC,
	    PIB_CE_VPN_ERR_KEYING_FAILED, "%s: %s", p->name, err);
}

static void controller_settle(struct vpn *v, const struct vpn_net *n)
{
	keying_settle(v->keying, &n->member, vpn_now_ms());
}

static void controller_gone(struct vpn *v, uint32_t member)
{
	keying_gone(v->keying, member);
}

struct acks {
	const struct pib_store *store;
	uint32_t min;
};

static void ack_min(void *arg, const struct pib_row *row)
{
	struct acks *a = arg;
	uint32_t epoch = vpn_peer_acked(a->store, row->instance);
	if (epoch < a->min)
		a->min = epoch;
}

/* All peers are asked only when an older epoch of ours waits for them. */
static void controller_acked(struct vpn *v, const struct pib_ce_vpn *row)
{
	bool asks = keying_waits(v->keying, row->member);
	struct acks a = {.store = v->store, .min = asks ? UINT32_MAX : 0};

	if (asks)
		pib_store_referrers(v->store, &pib_ce_vpn_peer_class,
		    pib_column_find(&pib_ce_vpn_peer_class, PIB_CE_VPN_PEER_COL_VPN), row->id,
		    ack_min, &a);
	keying_acked(v->keying, row->member, a.min, vpn_now_ms());
}

static void controller_lost(struct vpn *v, uint32_t member)
{
	keying_lost(v->keying, member, vpn_now_ms());
}

static void controller_expiring(struct vpn *v, uint32_t member, uint32_t spi)
{
	keying_expiring(v->keying, member, spi, vpn_now_ms());
}

struct counting {
	unsigned in, out;
};

static void count_sa(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct counting *c = arg;

	(void)sa;
	c->in += inbound;
	c->out += !inbound;
}

static void count_key(void *arg, const struct pib_row *row)
{
	(void)row;
	++*(unsigned *)arg;
}

/* Does the peer hold a key of ours, and we no more? */
static bool key_lost(struct vpn *v, const struct pib_ce_vpn *n, uint32_t acked)
{
	struct keying_epoch_info own[KEYING_EPOCHS];
	unsigned count = keying_epochs(v->keying, n->member, own, KEYING_EPOCHS, vpn_now_ms());

	for (unsigned i = 0; i < count; i++)
		if (own[i].epoch <= acked && own[i].private_key)
			return false;
	return acked != 0;
}

/* Why nothing can be sent to a peer. */
static int32_t controller_why(
    struct vpn *v, const struct pib_ce_vpn *n, const struct pib_ce_vpn_peer *p)
{
	struct keying_epoch_info own;
	unsigned keys = 0;

	if (v->rebooted)
		return PIB_CE_VPN_PEER_STATUS_WHY_REBOOTED;
	if (!keying_epochs(v->keying, n->member, &own, 1, vpn_now_ms()))
		return PIB_CE_VPN_PEER_STATUS_WHY_NO_OWN_KEY;
	pib_store_referrers(v->store, &pib_ce_vpn_peer_key_class,
	    pib_column_find(&pib_ce_vpn_peer_key_class, PIB_CE_VPN_PEER_KEY_COL_PEER), p->id,
	    count_key, &keys);
	if (!keys)
		return PIB_CE_VPN_PEER_STATUS_WHY_NO_PEER_KEY;
	if (key_lost(v, n, vpn_peer_acked(v->store, p->id)))
		return PIB_CE_VPN_PEER_STATUS_WHY_REBOOTED;
	if (!vpn_peer_acked(v->store, p->id))
		return PIB_CE_VPN_PEER_STATUS_WHY_NOT_ACKNOWLEDGED;
	return PIB_CE_VPN_PEER_STATUS_WHY_NEW_KEYS;
}

static void controller_status(struct vpn *v, const struct pib_ce_vpn *n,
    const struct pib_ce_vpn_peer *p, struct vpn_status *s)
{
	uint32_t reqid = vpn_reqids_find(v->reqids, p->id);
	struct counting c = {0};

	if (reqid)
		kstate_sa_each(v->ks, reqid, count_sa, &c);
	if (c.in && c.out)
		s->state = PIB_CE_VPN_PEER_STATUS_STATE_UP;
	else
		s->why = controller_why(v, n, p);
}

static bool controller_taken(struct vpn *v, const struct kern_sa_id *sa)
{
	return keying_taken(v->keying, sa);
}

static const struct vpn_provider controller = {
    .keying = PIB_CE_VPN_KEYING_CONTROLLER,
    .verify = controller_verify,
    .plan = controller_plan,
    .settle = controller_settle,
    .gone = controller_gone,
    .acked = controller_acked,
    .lost = controller_lost,
    .expiring = controller_expiring,
    .status = controller_status,
    .taken = controller_taken,
};

static const struct vpn_provider *const provider[] = {&controller, &vpn_ike_provider};

const struct vpn_provider *vpn_provider_find(int32_t keying)
{
	for (size_t i = 0; i < sizeof(provider) / sizeof(provider[0]); i++)
		if (provider[i]->keying == keying)
			return provider[i];
	return NULL;
}

/* --- life of all ------------------------------------------------------------ */

static void on_changed(void *arg, uint32_t member)
{
	vpn_sas_changed(arg, member);
}

static void on_publish(void *arg)
{
	vpn_publish(arg);
}

static const struct keying_ops keying_ops = {.changed = on_changed, .publish = on_publish};

int vpn_providers_start(struct vpn *v, char *err, unsigned long err_len)
{
	const struct pep_conf *c = v->conf;

	v->keying = keying_new(
	    c->certificate, c->key, c->ca, v->env.state_dir, &keying_ops, v, err, err_len);
	if (!v->keying)
		return -1;
	keying_set_times(v->keying, c->grace_ms, c->linger_ms);
	keying_set_sends(v->keying, v->caps.suite, v->caps.suites);
	return vpn_ike_start(v, err, err_len);
}

void vpn_providers_stop(struct vpn *v)
{
	vpn_ike_stop(v);
	keying_free(v->keying);
	v->keying = NULL;
}

int64_t vpn_providers_tick(struct vpn *v)
{
	int64_t ike = vpn_ike_tick(v);
	int64_t controller_next = keying_tick(v->keying, vpn_now_ms());

	return ike < controller_next ? ike : controller_next;
}

void vpn_providers_touched(struct vpn *v, const struct vpn_touch *e)
{
	vpn_ike_touched(v, e);
}

void vpn_providers_complete(struct vpn *v)
{
	vpn_ike_complete(v);
}

bool vpn_providers_taken(struct vpn *v, const struct kern_sa_id *sa)
{
	for (size_t i = 0; i < sizeof(provider) / sizeof(provider[0]); i++)
		if (provider[i]->taken && provider[i]->taken(v, sa))
			return true;
	return false;
}

void vpn_providers_refused(struct vpn *v, const struct pib_class *cls, uint32_t instance)
{
	if (cls == &pib_ce_vpn_site_key_class)
		keying_refused(v->keying, instance >> 4, instance & 15, vpn_now_ms());
}

void vpn_providers_notify(struct vpn *v,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	keying_notify(v->keying, put, arg);
}
