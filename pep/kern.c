/*
 * kern.c - what all back ends share about SAD and SPD entries as values: keys for
 * hash tables, comparison, printing, faults.  Knows no kernel interface.
 */
#include "pep/kern.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *put_octets(uint8_t *p, const void *v, size_t len)
{
	memcpy(p, v, len);
	return p + len;
}

static uint8_t *put_addr(uint8_t *p, const struct addr *a)
{
	*p++ = a->family;
	return put_octets(p, a->octets, sizeof(a->octets));
}

static uint8_t *put_prefix(uint8_t *p, const struct prefix *x)
{
	p = put_addr(p, &x->addr);
	*p++ = x->len;
	return p;
}

void kern_sa_key(uint8_t key[KERN_SA_KEY_LEN], const struct kern_sa_id *id)
{
	*put_octets(put_addr(key, &id->dst), &id->spi, sizeof(id->spi)) = id->ah;
}

void kern_selector_key(uint8_t key[KERN_SELECTOR_KEY_LEN], const struct kern_selector *sel)
{
	uint8_t *p = put_prefix(put_prefix(key, &sel->src), &sel->dst);
	*p++ = sel->proto;
	*p++ = (uint8_t)sel->dir;
	p = put_octets(p, &sel->sport, sizeof(sel->sport));
	p = put_octets(p, &sel->dport, sizeof(sel->dport));
	p = put_octets(p, &sel->ifindex, sizeof(sel->ifindex));
	p = put_octets(p, &sel->mark.value, sizeof(sel->mark.value));
	put_octets(p, &sel->mark.mask, sizeof(sel->mark.mask));
}

bool kern_policy_same(const struct kern_policy *a, const struct kern_policy *b)
{
	if (a->action != b->action || a->priority != b->priority)
		return false;
	return a->action != KERN_PROTECT ||
	       (a->reqid == b->reqid && a->mode == b->mode && a->ah == b->ah &&
		   !addr_cmp(&a->tmpl_src, &b->tmpl_src) && !addr_cmp(&a->tmpl_dst, &b->tmpl_dst));
}

const char *kern_device_name(uint32_t vpn, char buf[KERN_IF_NAME_LEN])
{
	snprintf(buf, KERN_IF_NAME_LEN, "cvn%x", (unsigned)vpn);
	return buf;
}

void kern_route_key(
    uint8_t key[KERN_ROUTE_KEY_LEN], uint32_t table, const struct prefix *dst, bool discards)
{
	*put_octets(put_prefix(key, dst), &table, sizeof(table)) = discards;
}

bool kern_route_same(const struct kern_route *a, const struct kern_route *b)
{
	return a->table == b->table && a->discards == b->discards &&
	       !prefix_cmp(&a->dst, &b->dst) &&
	       (a->discards || (a->vpn == b->vpn && !addr_cmp(&a->src, &b->src)));
}

const char *kern_tunnel_name(uint32_t id, char buf[KERN_TUNNEL_NAME_LEN])
{
	snprintf(buf, KERN_TUNNEL_NAME_LEN, "cv%x", (unsigned)id);
	return buf;
}

bool kern_tunnel_same(const struct kern_tunnel *a, const struct kern_tunnel *b)
{
	if (a->id != b->id || addr_cmp(&a->local, &b->local) || addr_cmp(&a->remote, &b->remote) ||
	    addr_cmp(&a->src, &b->src) || addr_cmp(&a->inner, &b->inner) ||
	    addr_cmp(&a->inner_peer, &b->inner_peer) || a->key != b->key ||
	    a->broken != b->broken || a->routes != b->routes || a->dscp_set != b->dscp_set ||
	    (a->dscp_set && a->dscp != b->dscp))
		return false;
	for (size_t i = 0; i < a->routes; i++)
		if (prefix_cmp(&a->route[i].dst, &b->route[i].dst))
			return false;
	return true;
}

struct kern_tunnel *kern_tunnel_copy(const struct kern_tunnel *t)
{
	size_t len = t->routes * sizeof(*t->route);
	struct kern_tunnel *c = malloc(sizeof(*c) + len);

	if (!c)
		return NULL;
	*c = *t;
	c->route = (struct kern_tunnel_route *)(c + 1);
	if (len)
		memcpy(c->route, t->route, len);
	return c;
}

const char *kern_dir_name(enum kern_dir d)
{
	static const char *const name[] = {"?", "in", "out", "fwd"};
	return name[d <= KERN_FWD ? d : 0];
}

const char *kern_action_name(enum kern_action a)
{
	static const char *const name[] = {"protect", "bypass", "discard"};
	return a <= KERN_DISCARD ? name[a] : "?";
}

const char *kern_sa_id_print(const struct kern_sa_id *id, char buf[KERN_STRLEN])
{
	char a[ADDR_STRLEN];
	snprintf(buf, KERN_STRLEN, "%s%s spi 0x%08x", addr_print(&id->dst, a), id->ah ? " ah" : "",
	    (unsigned)id->spi);
	return buf;
}

const char *kern_selector_print(const struct kern_selector *sel, char buf[KERN_STRLEN])
{
	char src[PREFIX_STRLEN];
	char dst[PREFIX_STRLEN];
	int n = snprintf(buf, KERN_STRLEN, "%s %s > %s", kern_dir_name(sel->dir),
	    prefix_print(&sel->src, src), prefix_print(&sel->dst, dst));
	if (sel->proto && n > 0 && n < KERN_STRLEN)
		n += snprintf(buf + n, KERN_STRLEN - (size_t)n, " proto %u port %u > %u",
		    (unsigned)sel->proto, (unsigned)sel->sport, (unsigned)sel->dport);
	if (sel->ifindex && n > 0 && n < KERN_STRLEN)
		n += snprintf(buf + n, KERN_STRLEN - (size_t)n, " if %u", (unsigned)sel->ifindex);
	if (sel->mark.mask && n > 0 && n < KERN_STRLEN)
		snprintf(buf + n, KERN_STRLEN - (size_t)n, " mark 0x%x/0x%x",
		    (unsigned)sel->mark.value, (unsigned)sel->mark.mask);
	return buf;
}

int kern_fault_set(struct kern_fault *f, enum kern_fault_kind kind, int err, const char *fmt, ...)
{
	va_list ap;

	f->kind = kind;
	f->err = err;
	f->row = 0;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	if (err) {
		size_t n = strlen(f->text);
		snprintf(f->text + n, sizeof(f->text) - n, ": %s", strerrordesc_np(err));
	}
	return -1;
}
