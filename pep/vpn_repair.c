/*
 * vpn_repair.c - what others did to the kernel's tables: which of our SAs they deleted, what
 * was put right, what could not be, and how people and the PDP are told (ceVpnSite's Repairs and
 * Trouble).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pep/vpn_int.h"

#define OWES "operations on the kernel are being tried again"

/*
 * An SA that somebody deleted is lost even if one with its SPI is there when we look: that one has
 * other keys.
 */
void vpn_repair_gone(struct vpn *v, const struct kern_sa_id *sa)
{
	struct vpn_repair *r = &v->repair;

	if (r->gone_count == r->gone_cap) {
		size_t cap = r->gone_cap ? 2 * r->gone_cap : 16;
		struct kern_sa_id *g = reallocarray(r->gone, cap, sizeof(*g));
		if (!g)
			return; /* it is missed in the dump all the same, if nobody took its place
				 */
		r->gone = g;
		r->gone_cap = cap;
	}
	r->gone[r->gone_count++] = *sa;
}

static int by_id(const void *x, const void *y)
{
	const struct kern_sa_id *a = x;
	const struct kern_sa_id *b = y;

	if (a->spi != b->spi)
		return a->spi < b->spi ? -1 : 1;
	return addr_cmp(&a->dst, &b->dst);
}

void vpn_repair_begin(struct vpn *v)
{
	if (v->repair.gone_count)
		qsort(v->repair.gone, v->repair.gone_count, sizeof(*v->repair.gone), by_id);
}

bool vpn_repair_is_gone(const struct vpn *v, const struct kern_sa_id *sa)
{
	const struct vpn_repair *r = &v->repair;

	return r->gone_count && bsearch(sa, r->gone, r->gone_count, sizeof(*sa), by_id);
}

const char *vpn_trouble(const struct vpn *v, char buf[VPN_TROUBLE_LEN])
{
	const char *const part[] = {v->repair.trouble, v->host_trouble, vpn_learn_trouble(v)};
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]) && len < VPN_TROUBLE_LEN; i++)
		if (*part[i])
			len += (size_t)snprintf(
			    buf + len, VPN_TROUBLE_LEN - len, "%s%s", len ? "; " : "", part[i]);
	return buf;
}

/* The PDP is told when it is another one. */
static void trouble_set(struct vpn *v, const char *text)
{
	struct vpn_repair *r = &v->repair;

	if (!strncmp(r->trouble, text, sizeof(r->trouble) - 1))
		return;
	snprintf(r->trouble, sizeof(r->trouble), "%s", text);
	vpn_publish(v);
}

void vpn_repair_debts(struct vpn *v)
{
	bool owes = kstate_owes(v->ks);

	if (owes && !v->repair.trouble[0])
		trouble_set(v, OWES);
	else if (!owes && !strcmp(v->repair.trouble, OWES))
		trouble_set(v, "");
}

void vpn_repair_done(struct vpn *v, size_t lost, const char *why_not)
{
	struct vpn_repair *r = &v->repair;
	bool was = r->changed;

	if (why_not) { /* gone and changed stay for the next try */
		log_err("the kernel's tables are not as they should be: %s", why_not);
		trouble_set(v, why_not);
		return;
	}
	r->gone_count = 0;
	r->changed = false;
	trouble_set(v, kstate_owes(v->ks) ? OWES : "");
	if (!was || (!lost && !r->operations))
		return;
	r->repairs++;
	log_warn("others changed the kernel's tables: %zu SAs were lost, %zu entries put right",
	    lost, r->operations);
	vpn_publish(v);
}

void vpn_repair_clear(struct vpn *v)
{
	free(v->repair.gone);
	v->repair.gone = NULL;
}
