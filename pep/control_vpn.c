/*
 * control_vpn.c - see control_vpn.h.
 */
#include "pep/control_vpn.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "pep/vpn.h"
#include "pep/vpn_show.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

static void put(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

static json_t *text(const char *s)
{
	return s[0] == '\0' ? json_null() : json_string(s);
}

static json_t *address(const struct addr *a)
{
	char buf[ADDR_STRLEN];

	return a->family == 0 ? json_null() : json_string(addr_print(a, buf));
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *mark(const struct kern_mark *m)
{
	return m->mask == 0 ? json_null()
			    : json_sprintf("0x%x/0x%x", (unsigned)m->value, (unsigned)m->mask);
}

/* Epochs and reqids are never 0; 0 stands for none. */
static json_t *number_or_none(uint64_t n)
{
	return n == 0 ? json_null() : number(n);
}

/* ------------------------------------------------------------------ peers */

struct peers {
	json_t *list;	 /* NULL: only counted */
	const char *vpn; /* NULL: all */
	unsigned count;
	unsigned ready;
};

/* "7", "7 6*", newest first; * is one whose private key is gone, - one on its way out. */
static json_t *own_epochs(const struct vpn_show_peer *p)
{
	struct buf b;
	json_t *s;

	buf_init(&b, 0);
	for (unsigned i = 0; i < p->own_count; i++)
		buf_printf(&b, "%s%u%s%s", i == 0 ? "" : " ", p->own[i].epoch,
		    p->own[i].private_key || p->own[i].withdrawing ? "" : "*",
		    p->own[i].withdrawing ? "-" : "");
	s = b.len == 0 ? json_null() : json_stringn((const char *)b.data, b.len);
	buf_clear(&b);
	return s;
}

static json_t *peer_epochs(const struct vpn_show_peer *p)
{
	struct buf b;
	json_t *s;

	buf_init(&b, 0);
	for (unsigned i = 0; i < p->peer_count; i++)
		buf_printf(&b, "%s%u", i == 0 ? "" : " ", p->peer_epoch[i]);
	s = b.len == 0 ? json_null() : json_stringn((const char *)b.data, b.len);
	buf_clear(&b);
	return s;
}

static void peer_one(void *arg, const struct vpn_show_peer *p)
{
	struct peers *l = arg;
	json_t *o;

	if (l->vpn != NULL && strcmp(l->vpn, p->vpn) != 0)
		return;
	l->count++;
	l->ready += p->ready;
	if (l->list == NULL)
		return;
	o = json_object();
	put(o, "vpn", text(p->vpn));
	put(o, "peer", text(p->name));
	put(o, "address", address(&p->addr));
	put(o, "ready", json_boolean(p->ready));
	put(o, "prefixes", number(p->prefixes));
	put(o, "own_epochs", own_epochs(p));
	put(o, "peer_epochs", peer_epochs(p));
	put(o, "acked", number_or_none(p->acked));
	put(o, "sends_own", number_or_none(p->out_own));
	put(o, "sends_peer", number_or_none(p->out_peer));
	put(o, "sas_in", number(p->inbound));
	put(o, "sas_out", number(p->outbound));
	put(o, "reqid", number_or_none(p->reqid));
	put(o, "why_not", text(p->why_not));
	json_array_append_new(l->list, o);
}

json_t *control_peers(void *self, const char *vpn)
{
	struct peers l = {.list = json_array(), .vpn = vpn};

	vpn_show_peers(self, peer_one, &l);
	return l.list;
}

/* ------------------------------------------------------------------ VPNs */

struct vpns {
	void *self;
	const struct pib_store *store;
	json_t *list;
	const char *only; /* NULL: all */
};

static json_t *octets_text(const struct pib_octets *o)
{
	return json_stringn((const char *)o->p, o->len);
}

static json_t *column(const struct pib_row *row, uint8_t number_)
{
	const struct pib_column *c = pib_column_find(row->cls, number_);
	struct buf b;
	json_t *s;

	buf_init(&b, 0);
	pib_value_print(&b, row->cls, c, row->data);
	s = json_stringn((const char *)b.data, b.len);
	buf_clear(&b);
	return s;
}

/* An enumeration by its name alone. */
static json_t *word(const struct pib_row *row, uint8_t number_)
{
	const struct pib_column *c = pib_column_find(row->cls, number_);

	return json_string(pib_enum_name(c, (int32_t)pib_row_number(c, row->data)));
}

/* RFC 2685: the OUI and the index. */
static json_t *vpn_id(const struct pib_octets *o)
{
	const uint8_t *b = o->p;

	return o->len != 7 ? json_null()
			   : json_sprintf("%02x%02x%02x:%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
				 b[4], b[5], b[6]);
}

static void vpn_one(void *arg, const struct pib_row *row)
{
	const struct pib_ce_vpn *v = row->data;
	struct vpns *l = arg;
	struct peers n = {0};
	char name[65];
	json_t *o;

	snprintf(name, sizeof(name), "%.*s", (int)v->name.len, (const char *)v->name.p);
	if (l->only != NULL && strcmp(l->only, name) != 0)
		return;
	n.vpn = name;
	vpn_show_peers(l->self, peer_one, &n);
	o = json_object();
	put(o, "vpn", octets_text(&v->name));
	put(o, "vpn_id", vpn_id(&v->vpn_id));
	put(o, "member", number(v->member));
	put(o, "role", word(row, PIB_CE_VPN_COL_ROLE));
	put(o, "mode", word(row, PIB_CE_VPN_COL_MODE));
	put(o, "keying", word(row, PIB_CE_VPN_COL_KEYING));
	put(o, "address", column(row, PIB_CE_VPN_COL_LOCAL_ADDR));
	put(o, "vrf", v->vrf.len == 0 ? json_null() : octets_text(&v->vrf));
	put(o, "peers", number(n.count));
	put(o, "ready", number(n.ready));
	put(o, "leave", text(vpn_leave_state(l->self, v->id)));
	json_array_append_new(l->list, o);
}

json_t *control_vpns(void *self, const struct pib_store *store)
{
	struct vpns l = {.self = self, .store = store, .list = json_array()};

	pib_store_each(store, &pib_ce_vpn_class, vpn_one, &l);
	return l.list;
}

json_t *control_vpn(void *self, const struct pib_store *store, const char *name)
{
	struct vpns l = {.self = self, .store = store, .list = json_array(), .only = name};
	json_t *o;

	pib_store_each(store, &pib_ce_vpn_class, vpn_one, &l);
	o = json_incref(json_array_get(l.list, 0));
	json_decref(l.list);
	if (o != NULL)
		put(o, "peer_list", control_peers(self, name));
	return o;
}

/* ------------------------------------------------------------------ kernel */

static void sa_one(void *arg, const struct vpn_show_sa *s)
{
	json_t *o = json_object();
	char spi[11];

	snprintf(spi, sizeof(spi), "0x%08x", s->sa.id.spi);
	put(o, "dir", json_string(s->inbound ? "in" : "out"));
	put(o, "vpn", text(s->vpn));
	put(o, "peer", text(s->peer));
	put(o, "src", address(&s->sa.src));
	put(o, "dst", address(&s->sa.id.dst));
	put(o, "protocol", json_string(s->sa.id.ah ? "ah" : "esp"));
	put(o, "spi", json_string(spi));
	put(o, "own_epoch", number_or_none(s->own_epoch));
	put(o, "peer_epoch", number_or_none(s->peer_epoch));
	put(o, "reqid", number(s->sa.reqid));
	put(o, "sets_mark", mark(&s->sa.set_mark));
	put(o, "packets", number(s->sa.packets));
	put(o, "octets", number(s->sa.octets));
	put(o, "age_s", s->age_s < 0 ? json_null() : json_integer((json_int_t)s->age_s));
	json_array_append_new(arg, o);
}

json_t *control_sas(void *self)
{
	json_t *list = json_array();
	struct kern_fault f;

	if (vpn_show_sas(self, sa_one, list, &f) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *spi(uint32_t n)
{
	return n == 0 ? json_null() : json_sprintf("0x%08x", n);
}

struct tunnels {
	json_t *list;
	bool down;
};

static void tunnel_one(void *arg, const struct vpn_show_tunnel *t)
{
	struct tunnels *l = arg;
	json_t *o;

	if (l->down && strcmp(t->state, "up") == 0)
		return;
	o = json_object();

	put(o, "vpn", text(t->vpn));
	put(o, "peer", text(t->peer));
	put(o, "address", address(&t->addr));
	if (t->interface[0] != '\0')
		put(o, "interface", text(t->interface));
	if (t->inner.family != 0) {
		put(o, "inner", address(&t->inner));
		put(o, "inner_peer", address(&t->inner_peer));
	}
	put(o, "state", text(t->state));
	put(o, "spi_in", spi(t->spi_in));
	put(o, "spi_out", spi(t->spi_out));
	put(o, "packets_in", number(t->packets_in));
	put(o, "octets_in", number(t->octets_in));
	put(o, "packets_out", number(t->packets_out));
	put(o, "octets_out", number(t->octets_out));
	put(o, "since_at", number((uint64_t)t->since));
	put(o, "why", text(t->why));
	if (t->error[0] != '\0')
		put(o, "error", text(t->error));
	json_array_append_new(l->list, o);
}

json_t *control_tunnels(void *self, const char *vpn, bool down)
{
	struct tunnels l = {.list = json_array(), .down = down};

	if (vpn_show_tunnels(self, vpn, tunnel_one, &l) == 0)
		return l.list;
	json_decref(l.list);
	return NULL;
}

static json_t *prefix(const struct prefix *p)
{
	char buf[PREFIX_STRLEN];

	return p->addr.family == 0 ? json_string("any") : json_string(prefix_print(p, buf));
}

static json_t *interface(uint32_t index)
{
	char name[IF_NAMESIZE];

	return json_string(if_indextoname(index, name) ? name : "(gone)");
}

static void policy_one(void *arg, const struct vpn_show_policy *s)
{
	static const char *const dirs[] = {
	    [KERN_IN] = "in", [KERN_OUT] = "out", [KERN_FWD] = "fwd"};
	static const char *const actions[] = {
	    [KERN_PROTECT] = "protect", [KERN_BYPASS] = "bypass", [KERN_DISCARD] = "discard"};
	const struct kern_policy *p = &s->policy;
	json_t *o = json_object();
	char prio[11];

	snprintf(prio, sizeof(prio), "0x%08x", p->priority);
	put(o, "dir", json_string(dirs[p->sel.dir]));
	put(o, "src", prefix(&p->sel.src));
	put(o, "dst", prefix(&p->sel.dst));
	put(o, "proto", number_or_none(p->sel.proto));
	put(o, "sport", number_or_none(p->sel.sport));
	put(o, "dport", number_or_none(p->sel.dport));
	put(o, "device", p->sel.ifindex ? interface(p->sel.ifindex) : json_null());
	put(o, "mark", mark(&p->sel.mark));
	put(o, "action", json_string(actions[p->action]));
	put(o, "tunnel", p->action == KERN_PROTECT ? address(&p->tmpl_dst) : json_null());
	put(o, "reqid", number_or_none(p->reqid));
	put(o, "part", text(s->part));
	put(o, "vpn", text(s->vpn));
	put(o, "peer", text(s->peer));
	put(o, "priority", json_string(prio));
	json_array_append_new(arg, o);
}

json_t *control_policies(void *self)
{
	json_t *list = json_array();

	if (vpn_show_policies(self, policy_one, list) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static void learned_one(void *arg, const struct vpn_show_learned *l)
{
	json_t *o = json_object();

	put(o, "vpn", text(l->vpn));
	put(o, "prefix", prefix(&l->prefix));
	put(o, "protocol", text(l->protocol));
	put(o, "interface", text(l->interface));
	put(o, "table", number(l->table));
	put(o, "state", text(l->state));
	put(o, "in_kernel", json_boolean(l->present));
	put(o, "accepted", json_boolean(l->accepted));
	put(o, "until_at", number((uint64_t)l->until));
	json_array_append_new(arg, o);
}

json_t *control_learned(void *self, const char *vpn)
{
	json_t *list = json_array();

	if (vpn_show_learned(self, vpn, learned_one, list) == 0)
		return list;
	json_decref(list);
	return NULL;
}

static void route_one(void *arg, const struct vpn_show_route *r)
{
	json_t *o = json_object();

	put(o, "vpn", text(r->vpn));
	put(o, "prefix", prefix(&r->dst));
	put(o, "peer", text(r->peer));
	put(o, "device", r->routed ? text(r->device) : json_null());
	put(o, "table", r->routed ? number(r->table) : json_null());
	put(o, "src", r->routed && r->src.family != 0 ? address(&r->src) : json_null());
	put(o, "routed", json_boolean(r->routed));
	put(o, "why", text(r->why_not));
	json_array_append_new(arg, o);
}

json_t *control_routes(void *self)
{
	json_t *list = json_array();

	vpn_show_routes(self, route_one, list);
	return list;
}

void control_kernel(void *self, json_t *o)
{
	struct vpn_show_status s;

	vpn_show_status(self, &s);
	put(o, "backend", text(s.backend));
	put(o, "kernel_read", json_boolean(s.loaded));
	put(o, "kernel_owes", json_boolean(s.owes));
	put(o, "policies", number(s.policies));
	put(o, "sas", number(s.sas));
	put(o, "repairs", number(s.repairs));
	put(o, "trouble", text(s.trouble));
	put(o, "lockdown", json_boolean(s.lockdown));
	put(o, "default_block", json_boolean(s.default_block));
	put(o, "acquires", number(s.acquires));
}
