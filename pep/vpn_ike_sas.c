/*
 * vpn_ike_sas.c - charon's SAs in the kernel: into the shadow when they are listed, preferred while
 * they are the only ones, and gone when no charon has them any more.
 */
#include <stdlib.h>

#include "common/log.h"
#include "pep/ike.h"
#include "pep/vpn_int.h"

static void adopt(struct vpn *v, const struct kern_sa_id *id, bool inbound)
{
	struct kern_sa_state sa;
	struct kern_fault f;

	if (!kstate_sa_known(v->ks, id) && v->ops->sa_get(v->kern, id, &sa, &f) == 0 &&
	    !sa.larval && kstate_sa_adopt(v->ks, &sa, inbound) < 0)
		log_err("out of memory: an SA of IKE is not in the books");
}

struct out {
	struct kern_sa_id id;
	size_t count;
};

static void count_out(void *arg, const struct kern_sa_state *sa, bool inbound)
{
	struct out *o = arg;

	if (inbound)
		return;
	o->id = sa->id;
	o->count++;
}

/*
 * The only outbound SA to a peer is sent on until it is gone: a responder has its successor before
 * the other end has.
 */
void vpn_ike_prefer(struct vpn *v, uint32_t peer)
{
	uint32_t reqid = vpn_reqids_find(v->reqids, peer);
	char text[KERN_STRLEN];
	struct kern_fault f;
	struct out o = {0};

	if (!reqid || !v->ops->sa_prefer)
		return;
	kstate_sa_each(v->ks, reqid, count_out, &o);
	if (o.count == 1 && v->ops->sa_prefer(v->kern, &o.id, true, &f) < 0)
		log_info("%s: packets may be lost when it is rekeyed: %s",
		    kern_sa_id_print(&o.id, text), f.text);
}

void vpn_ike_retire(void *arg, uint32_t peer, const struct ike_sa *sa)
{
	struct kern_sa_id id = {.dst = sa->remote, .spi = sa->spi_out};
	struct vpn *v = arg;
	struct kern_fault f;

	(void)peer;
	if (v->ops->sa_prefer && v->ops->sa_prefer(v->kern, &id, false, &f) < 0)
		log_info("an SA on its way out stays in use: %s", f.text);
}

void vpn_ike_installed(void *arg, uint32_t peer, const struct ike_sa *sa)
{
	struct vpn *v = arg;

	if (!v->loaded)
		return;
	adopt(v, &(struct kern_sa_id) {.dst = sa->local, .spi = sa->spi_in}, true);
	adopt(v, &(struct kern_sa_id) {.dst = sa->remote, .spi = sa->spi_out}, false);
	vpn_ike_prefer(v, peer);
}

struct only {
	struct kplan *plan;
	const struct ike_sa *sa;
	size_t count;
};

static void drop_unlisted(void *arg, const struct kern_sa_state *s, bool inbound)
{
	struct only *o = arg;

	for (size_t i = 0; i < o->count; i++)
		if ((inbound ? o->sa[i].spi_in : o->sa[i].spi_out) == s->id.spi)
			return;
	kplan_sa_del(o->plan, &s->id);
}

bool vpn_ike_only(void *arg, uint32_t peer, const struct ike_sa *sa, size_t count)
{
	struct vpn *v = arg;
	uint32_t reqid = vpn_reqids_find(v->reqids, peer);
	struct only o = {.sa = sa, .count = count};
	struct kern_fault f = {.text = "out of memory"};
	struct korigin origin;
	bool ok;

	if (!reqid)
		return true; /* nor has it any SA */
	if (!v->loaded || !(o.plan = kplan_new(v->ks)))
		return false;
	kstate_sa_each(v->ks, reqid, drop_unlisted, &o);
	ok = !kplan_count(o.plan) || kplan_apply(o.plan, &f, &origin) == 0;
	if (!ok)
		log_err(
		    "SAs that another IKE daemon left to peer %u stay: %s", (unsigned)peer, f.text);
	else if (kplan_count(o.plan))
		log_note("SAs that another IKE daemon left to peer %u are gone", (unsigned)peer);
	kplan_free(o.plan);
	return ok;
}
