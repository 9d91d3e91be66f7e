/*
 * vpn_lockdown.c - lockdown (pep.conf(5)): everything is discarded but the control channel, from
 * before the first contact with a policy server on, and stays so below what its rows say.
 *
 * Two lines: discards at the bottom of the SPD, and the kernel's default for what no entry
 * matches, so that nothing leaves while the SPD is flushed and not yet repaired.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/log.h"
#include "pep/pep_conf.h"
#include "pep/vpn.h"
#include "pep/vpn_int.h"

void vpn_control_entries(const struct pep_conf *conf, struct spd *s)
{
	for (unsigned i = 0; i < conf->pdps; i++)
		spd_control(s, &conf->pdp[i].addr, conf->pdp[i].port);
	spd_neighbours(s);
	if (!conf->lockdown)
		return;
	for (size_t i = 0; i < conf->lockdown_except.count; i++) {
		struct pep_exempt e;

		if (pep_exempt_parse(&e, conf->lockdown_except.item[i]) == 0)
			spd_exempt(s, &e.far, e.proto, e.port);
	}
	spd_lockdown(s);
}

static int guard(struct kstate *ks, const struct pep_conf *conf, struct kern_fault *f)
{
	struct kplan *plan = kplan_new(ks);
	struct korigin o = {0};
	struct spd s;
	int ret;

	spd_init(&s);
	vpn_control_entries(conf, &s);
	if (plan == NULL || s.no_memory) {
		ret = kern_fault_set(f, KERN_REFUSED, 0, "out of memory");
	} else {
		spd_finish(&s); /* the control channel is first */
		kplan_take(
		    plan); /* whoever has a place of these: it is as if there were no lockdown */
		for (size_t i = 0; i < s.count; i++)
			kplan_policy_put(
			    plan, vpn_owner(VPN_OWNER_CONTROL, 0), &s.entry[i].policy, &o);
		ret = kplan_apply(plan, f, &o);
	}
	spd_clear(&s);
	if (plan != NULL)
		kplan_free(plan);
	return ret;
}

static bool block(const struct kern_ops *ops, struct kern *k, bool block)
{
	struct kern_fault f;

	if (ops->default_set(k, block, &f) == 0)
		return true;
	if (block)
		log_warn(
		    "%s: while the SPD is flushed by others packets may leave in clear", f.text);
	else
		log_err("%s: nothing but what the SPD names passes", f.text);
	return false;
}

int vpn_lockdown_guard(struct vpn *v, struct kern_fault *f)
{
	if (!v->conf->lockdown)
		return 0;
	if (guard(v->ks, v->conf, f) < 0)
		return -1;
	v->default_block = block(v->ops, v->kern, true);
	return 0;
}

void vpn_lockdown_loaded(struct vpn *v)
{
	struct kern_selector all = {.dir = KERN_OUT};
	const struct kern_policy *p;

	all.src.addr.family = all.dst.addr.family = AF_INET;
	p = kstate_policy_find(v->ks, &all);
	v->unlock |= !v->conf->lockdown && p && p->priority == spd_priority(&all, SPD_LOCKDOWN);
}

void vpn_lockdown_settle(struct vpn *v)
{
	if (!v->unlock)
		return;
	v->unlock = !block(v->ops, v->kern, false);
	if (!v->unlock)
		log_note("lockdown is over, as the settings say");
}

/* An SA of nobody: policies alone count here. */
static bool no_sa(void *arg, const struct kern_sa_state *sa)
{
	(void)arg;
	(void)sa;
	return false;
}

int vpn_lockdown_once(const struct pep_conf *conf, char *err, unsigned long err_len)
{
	struct kern_fault f = {.text = "out of memory"};
	struct kern *k = NULL;
	const struct kern_ops *ops = kern_open(conf->backend, &k, &f);
	struct kstate *ks = ops ? kstate_new(ops, k) : NULL;
	int ret = ks && kstate_load(ks, no_sa, NULL, &f) == 0 ? guard(ks, conf, &f) : -1;

	if (ret == 0)
		(void)block(ops, k, true);
	else
		snprintf(err, err_len, "%s", f.text);
	if (ks)
		kstate_free(ks);
	if (ops)
		ops->close(k);
	return ret;
}
