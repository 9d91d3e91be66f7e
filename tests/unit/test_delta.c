/*
 * test_delta.c - random customers, random edits, random keys.  What delta_each() and delta_since()
 * say is applied to a map of rows per CE, and to a real row store, which knows references and
 * uniqueness; after each step every CE must hold exactly what delta_full() of the new snapshot
 * says.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pdp/intent.h"
#include "pdp/rows.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_store.h"

/* --- rows of one CE -------------------------------------------------------------------------- */

struct row {
	const struct pib_class *cls;
	uint32_t instance;
	unsigned dec; /* the DEC it came with */
	size_t len;
	uint8_t *epd;
};

struct map {
	struct row *row;
	size_t n;
	size_t cap;
};

static const struct pib_schema *schema(void)
{
	static struct pib_schema *s;
	static const struct pib_module *const modules[] = {
	    &pib_framework_pib_module, &pib_ce_vpn_pib_module};
	if (!s)
		s = pib_schema_new(modules, 2);
	return s;
}

static void map_remove_at(struct map *m, size_t i)
{
	free(m->row[i].epd);
	m->row[i] = m->row[--m->n];
}

static struct row *map_find(const struct map *m, const struct pib_class *cls, uint32_t instance)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->row[i].cls == cls && m->row[i].instance == instance)
			return &m->row[i];
	return NULL;
}

static void map_remove(void *arg, const struct pib_class *cls, uint32_t instance)
{
	struct map *m = arg;
	for (size_t i = m->n; i-- > 0;)
		if (m->row[i].cls == cls && (!instance || m->row[i].instance == instance))
			map_remove_at(m, i);
}

static void map_install(
    struct map *m, const struct pib_class *cls, uint32_t instance, const uint8_t *epd, size_t len)
{
	struct row *r = map_find(m, cls, instance);

	if (!r) {
		if (m->n == m->cap) {
			m->cap = m->cap ? m->cap * 2 : 32;
			m->row = reallocarray(m->row, m->cap, sizeof(*m->row));
		}
		r = &m->row[m->n++];
		*r = (struct row) {.cls = cls, .instance = instance};
	}
	free(r->epd);
	r->epd = malloc(len ? len : 1);
	memcpy(r->epd, epd, len);
	r->len = len;
}

static void map_clear(struct map *m)
{
	while (m->n)
		map_remove_at(m, 0);
	free(m->row);
	*m = (struct map) {0};
}

static struct map map_copy(const struct map *from)
{
	struct map m = {0};
	for (size_t i = 0; i < from->n; i++)
		map_install(&m, from->row[i].cls, from->row[i].instance, from->row[i].epd,
		    from->row[i].len);
	return m;
}

static bool map_equal(const struct map *a, const struct map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct row *r = map_find(b, a->row[i].cls, a->row[i].instance);
		if (!r || r->len != a->row[i].len || memcmp(r->epd, a->row[i].epd, r->len) != 0)
			return false;
	}
	return true;
}

static void map_print(const char *what, const struct map *m)
{
	fprintf(stderr, "%s:\n", what);
	for (size_t i = 0; i < m->n; i++)
		fprintf(stderr, "  %s.%u (%zu octets)\n", m->row[i].cls->name, m->row[i].instance,
		    m->row[i].len);
}

/* --- Decisions applied ----------------------------------------------------------------------- */

struct applied {
	size_t removed; /* rows of the model, by PRID */
	size_t installed;
	size_t decisions;
};

static bool is_key(const struct pib_class *cls)
{
	return cls == &pib_ce_vpn_peer_key_class || cls == &pib_ce_vpn_peer_ack_class;
}

static unsigned dec; /* counts them */

static void apply_named(
    const struct cops_decision *d, struct map *m, struct pib_txn *txn, struct applied *a)
{
	const struct pib_class *cls = NULL;
	struct cops_sub_iter it;
	struct cops_sub s;
	struct cops_sub prid = {0};
	struct pib_fault f;
	enum cops_sub_result r;
	uint32_t instance = 0;

	cops_sub_iter_init(&it, &d->data);
	while ((r = cops_sub_iter_next(&it, &s)) == COPS_SUB_OK) {
		if (d->command == COPS_CMD_REMOVE) {
			ck_assert_int_eq(
			    pib_prefix_parse(schema(), s.body, s.len, map_remove, m, &f), 0);
			if (txn)
				pib_txn_remove(txn, s.body, s.len);
			if (s.s_num == COPS_S_PRID) {
				pib_prid_parse(schema(), s.body, s.len, &cls, &instance, &f);
				a->removed += !is_key(cls);
			}
		} else if (s.s_num == COPS_S_PRID) {
			prid = s;
			ck_assert_int_eq(
			    pib_prid_parse(schema(), s.body, s.len, &cls, &instance, &f), 0);
		} else {
			ck_assert_int_eq(s.s_num, COPS_S_EPD);
			const struct row *had = map_find(m, cls, instance);
			ck_assert(!had || had->dec != dec || is_key(cls)); /* once in a DEC */
			map_install(m, cls, instance, s.body, s.len);
			map_find(m, cls, instance)->dec = dec;
			if (txn)
				pib_txn_install(txn, prid.body, prid.len, s.body, s.len);
			a->installed += !is_key(cls);
		}
	}
	ck_assert_int_eq(r, COPS_SUB_END);
}

/* A DEC of the list's chunks, as a session sends it and a CE takes it. */
static struct applied apply(const struct delta_list *l, struct map *m, struct pib_store *store)
{
	static const uint8_t handle[4] = {1};
	struct pib_txn *txn = store ? pib_txn_begin(store) : NULL;
	struct applied a = {0};
	struct cops_decision d;
	struct cops_dec_iter it;
	struct cops_fault f;
	struct cops_msg msg;
	bool installs = false;
	struct buf b;

	ck_assert(!l->failed);
	dec++;
	buf_init(&b, 0);
	size_t mark = cops_msg_begin(&b, COPS_OP_DEC, true, 0x4001);
	cops_put_handle(&b, handle, sizeof(handle));
	for (size_t i = 0; i < l->count; i++)
		buf_put(&b, l->chunk[i]->data, l->chunk[i]->len);
	cops_msg_end(&b, mark);
	ck_assert_int_eq(cops_msg_parse(&msg, b.data, b.len, UINT32_MAX, &f), b.len);
	cops_dec_iter_init(&it, &msg);
	while (cops_dec_iter_next(&it, &d)) {
		ck_assert(d.command == COPS_CMD_INSTALL || !installs); /* removes first */
		installs |= d.command == COPS_CMD_INSTALL;
		apply_named(&d, m, txn, &a);
		a.decisions++;
	}
	buf_clear(&b);
	if (txn) {
		const struct pib_fault *fault;
		char text[200];
		if (pib_txn_check(txn) < 0 && pib_txn_faults(txn, &fault))
			ck_abort_msg("%s", pib_fault_print(fault, text, sizeof(text)));
		pib_txn_commit(txn);
	}
	return a;
}

/* --- a keyring of our own -------------------------------------------------------------------- */

#define MEMBERS_MAX 200
#define SLOTS	    16

static struct {
	struct {
		uint32_t epoch; /* 0: never */
		uint64_t lsn;
		uint64_t withdrawn;
	} slot[SLOTS];
	uint32_t newest;
	struct {
		uint32_t epoch;
		uint64_t lsn;
	} ack[MEMBERS_MAX]; /* by holder */
} ring[MEMBERS_MAX];

static void put_key(struct delta_list *l, uint32_t m, uint32_t epoch)
{
	static const uint8_t zero[32];
	struct pib_octets key = {.p = zero, .len = 32};
	struct pib_ce_vpn_peer_key row = {
	    .id = m << 4 | (epoch & 15),
	    .peer = m,
	    .epoch = epoch,
	    .public_key = key,
	    .nonce = key,
	    .transforms = {zero, 8},
	    .sends = {zero, 8},
	    .certificate = key,
	    .signature = key,
	};
	struct rows r;
	rows_init(&r, false);
	decision_row(&r.install, &pib_ce_vpn_peer_key_class, row.id, &row);
	r.installed++;
	rows_take(&r, l);
	rows_clear(&r);
}

static void put_gone(struct delta_list *l, const struct pib_class *cls, uint32_t instance)
{
	struct cops_chunk *c = decision_remove_one(cls, instance);
	delta_list_put(l, c, true);
	cops_chunk_unref(c);
}

static void ring_keys(void *arg, const struct model_member *m, uint64_t since, struct delta_list *l)
{
	uint32_t n = m->id->number;

	(void)arg;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!ring[n].slot[i].epoch)
			continue;
		if (ring[n].slot[i].withdrawn) {
			if (since && ring[n].slot[i].withdrawn > since)
				put_gone(l, &pib_ce_vpn_peer_key_class, n << 4 | i);
		} else if (ring[n].slot[i].lsn > since) {
			put_key(l, n, ring[n].slot[i].epoch);
		}
	}
}

static void ring_acks(void *arg, const struct model_member *r, uint64_t since, struct delta_list *l)
{
	uint32_t n = r->id->number;

	(void)arg;
	for (uint32_t h = 0; h < MEMBERS_MAX; h++) {
		if (!ring[n].ack[h].epoch || ring[n].ack[h].lsn <= since)
			continue;
		struct pib_ce_vpn_peer_ack row = {
		    .id = h, .peer = h, .epoch = ring[n].ack[h].epoch};
		struct rows rows;
		rows_init(&rows, false);
		decision_row(&rows.install, &pib_ce_vpn_peer_ack_class, h, &row);
		rows.installed++;
		rows_take(&rows, l);
		rows_clear(&rows);
	}
}

static void ring_gone(void *arg, uint32_t m, struct delta_list *l)
{
	(void)arg;
	for (unsigned i = 0; i < SLOTS; i++)
		put_gone(l, &pib_ce_vpn_peer_key_class, m << 4 | i);
	put_gone(l, &pib_ce_vpn_peer_ack_class, m);
}

static const struct delta_keys ring_delta = {
    .keys = ring_keys, .acks = ring_acks, .gone = ring_gone};

static enum view view(const struct model_member *r, const struct model_member *m)
{
	const struct model_member *via;
	return model_view(r, m, &via);
}

static const struct model_member *member_by_number(const struct customer *c, uint32_t m)
{
	for (size_t i = 0; c && i < c->vpns; i++) {
		const struct model_member *x = vpn_member_find(&c->vpn[i], m);
		if (x)
			return x;
	}
	return NULL;
}

/* Keys of members that are gone, and acknowledgements between those who are no peers any more. */
static void ring_purge(const struct customer *c)
{
	for (uint32_t m = 1; m < MEMBERS_MAX; m++) {
		const struct model_member *x = member_by_number(c, m);
		if (!x)
			memset(ring[m].slot, 0, sizeof(ring[m].slot));
		for (uint32_t h = 1; h < MEMBERS_MAX; h++) {
			const struct model_member *y = ring[m].ack[h].epoch ? member_by_number(c, h)
									    : NULL;
			if (!x || !y || view(x, y) != VIEW_PEER)
				ring[m].ack[h].epoch = 0;
		}
	}
}

static void ring_event(const struct model_member *m, uint64_t lsn)
{
	uint32_t n = m->id->number;
	unsigned i;

	switch (random() % 3) {
	case 0:
		ring[n].newest++;
		i = ring[n].newest & 15;
		ring[n].slot[i].epoch = ring[n].newest;
		ring[n].slot[i].lsn = lsn;
		ring[n].slot[i].withdrawn = 0;
		break;
	case 1:
		i = (ring[n].newest + 15u * (unsigned)(random() % 3)) & 15;
		if (ring[n].slot[i].epoch && !ring[n].slot[i].withdrawn)
			ring[n].slot[i].withdrawn = lsn;
		break;
	default:
		for (size_t k = 0; k < m->vpn->members; k++) {
			const struct model_member *h = &m->vpn->member[k];
			if (view(m, h) != VIEW_PEER || !ring[n].newest || random() % 2)
				continue;
			ring[n].ack[h->id->number].epoch = ring[n].newest;
			ring[n].ack[h->id->number].lsn = lsn;
		}
	}
}

/* --- a random customer ----------------------------------------------------------------------- */

#define CES  7
#define VPNS 3
#define POOL 10 /* prefixes of a VPN */

static struct {
	struct {
		bool there;
		unsigned address;
		bool via_hub; /* where it is a spoke of one VPN (via()) */
	} ce[CES];
	struct {
		bool there;
		unsigned topology;
		bool relay, bypass, ike;
		unsigned transforms;
		unsigned space;
		struct {
			bool there;
			bool hub;
		} member[CES];
		unsigned owner[POOL]; /* CE, or none */
		bool link[CES][CES];
	} vpn[VPNS];
} plan;

static unsigned dice(unsigned n)
{
	return (unsigned)random() % n;
}

static void edit(void)
{
	unsigned c = dice(CES);
	unsigned d = dice(CES);
	unsigned v = dice(VPNS);

	switch (dice(17)) {
	case 0:
		plan.ce[c].there = !plan.ce[c].there;
		break;
	case 1:
		plan.ce[c].address = dice(4);
		break;
	case 2:
		plan.vpn[v].there = !plan.vpn[v].there;
		break;
	case 3:
		plan.vpn[v].topology = dice(3);
		break;
	case 4:
		plan.vpn[v].relay = !plan.vpn[v].relay;
		break;
	case 5:
		plan.vpn[v].bypass = !plan.vpn[v].bypass;
		plan.vpn[v].ike ^= dice(3) == 0;
		break;
	case 6:
		plan.vpn[v].transforms = dice(4);
		break;
	case 7:
		plan.vpn[v].space = dice(4);
		break;
	case 8:
	case 9:
	case 10:
		plan.vpn[v].member[c].there = !plan.vpn[v].member[c].there;
		break;
	case 11:
		plan.vpn[v].member[c].hub = !plan.vpn[v].member[c].hub;
		break;
	case 12:
	case 13:
	case 14:
		plan.vpn[v].owner[dice(POOL)] = dice(CES + 2);
		break;
	case 15:
		plan.ce[c].via_hub = !plan.ce[c].via_hub;
		break;
	default:
		if (c != d)
			plan.vpn[v].link[c][d] = plan.vpn[v].link[d][c] = !plan.vpn[v].link[c][d];
	}
}

/* A CE goes through the hub of one VPN at most, and discards nothing in the others then. */
static const char *via(unsigned v, unsigned c, bool spoke)
{
	if (!plan.ce[c].via_hub)
		return "";
	if (v != c % VPNS)
		return " internet='bypass'";
	return spoke ? " internet='via-hub'" : "";
}

static void print_member(FILE *f, unsigned v, unsigned c, bool star, bool hub)
{
	fprintf(f, "<member ce='ce%u'%s%s>", c,
	    !star ? ""
	    : hub ? " role='hub'"
		  : "",
	    via(v, c, star && !hub));
	for (unsigned p = 0; p < POOL; p++)
		if (plan.vpn[v].owner[p] == c)
			fprintf(f, "<site prefix='%u.%u.0.0/16'/>", 10 + v, p * 20);
	fputs("</member>", f);
}

/* The VPN's number is in all its prefixes: VPNs of one CE do not overlap. */
static void print_space(FILE *f, unsigned v)
{
	switch (plan.vpn[v].space) {
	case 1:
		fprintf(f, "<space prefix='%u.0.0.0/8'/>", 10 + v);
		break;
	case 2:
		fprintf(f, "<space prefix='%u.0.0.0/9'/><space prefix='%u.128.0.0/9'/>", 10 + v,
		    10 + v);
		break;
	case 3:
		fprintf(f, "<space prefix='%u.0.0.0/8'/><space prefix='%u.16.0.0/12'/>", 10 + v,
		    172 + v);
		break;
	default:
		break;
	}
}

static void print_vpn(FILE *f, unsigned v)
{
	static const char *const topologies[] = {"full-mesh", "hub-and-spoke", "links"};
	static const char *const transforms[] = {
	    "", "transforms='t1'", "transforms='t1 t2'", "transforms='t2'"};
	unsigned hubs = 0;
	unsigned first = CES;

	for (unsigned c = 0; c < CES; c++)
		if (plan.vpn[v].member[c].there && plan.ce[c].there) {
			hubs += plan.vpn[v].member[c].hub;
			first = first == CES ? c : first;
		}
	unsigned topology = first == CES ? 0 : plan.vpn[v].topology;
	bool star = topology == 1;
	fprintf(f,
	    "<vpn name='v%u' id='00005e:%08x' topology='%s' %s internet='%s' keying='%s' %s>", v,
	    v + 1, topologies[topology], star && plan.vpn[v].relay ? "relay='yes'" : "",
	    plan.vpn[v].bypass ? "bypass" : "discard", plan.vpn[v].ike ? "ike" : "controller",
	    transforms[plan.vpn[v].transforms]);
	print_space(f, v);
	for (unsigned c = 0; c < CES; c++)
		if (plan.vpn[v].member[c].there && plan.ce[c].there)
			print_member(
			    f, v, c, star, plan.vpn[v].member[c].hub || (!hubs && c == first));
	for (unsigned c = 0; c < CES && topology == 2; c++)
		for (unsigned d = c + 1; d < CES; d++)
			if (plan.vpn[v].link[c][d] && plan.vpn[v].member[c].there &&
			    plan.vpn[v].member[d].there && plan.ce[c].there && plan.ce[d].there)
				fprintf(f, "<link a='ce%u' b='ce%u'/>", c, d);
	fputs("</vpn>", f);
}

static char *print_plan(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("<intent xmlns='urn:copsvpn:intent:1'><customer name='c'><transform name='t1'/>"
	      "<transform name='t2' encr='aes-cbc-128' integ='hmac-sha2-256-128'/>",
	    f);
	for (unsigned c = 0; c < CES; c++)
		if (plan.ce[c].there)
			fprintf(f, "<ce name='ce%u' address='192.0.%u.%u'/>", c, plan.ce[c].address,
			    c + 1);
	for (unsigned v = 0; v < VPNS; v++)
		if (plan.vpn[v].there)
			print_vpn(f, v);
	fputs("</customer></intent>", f);
	fclose(f);
	return text;
}

static struct customer *parse(struct ids *ids, const char *text)
{
	struct intent_env env = {.ids = ids, .max_octets = 1 << 24};
	struct intent in;
	struct diag diag;

	diag_init(&diag);
	int r = intent_parse("plan", text, strlen(text), &env, &in, &diag);
	if (r < 0)
		diag_print(&diag, stderr);
	ck_assert_msg(r == 0, "%s", text);
	diag_clear(&diag);
	struct customer *c = customer_ref(in.customer[0]);
	intent_clear(&in);
	return c;
}

/* --- the world: every CE's rows, now and at every LSN ---------------------------------------- */

#define STEPS 60

struct world {
	struct ids *ids;
	struct customer *c;
	uint64_t lsn;
	struct map now[CES];
	struct pib_store *store[CES];
	struct map then[STEPS + 1][CES]; /* by LSN */
	bool called[CES];
	size_t calls;
	struct applied applied;
	size_t deltas; /* delta_since() could tell */
	size_t fulls;
};

static unsigned ce_index(const struct model_ce *ce)
{
	return (unsigned)(ce->name[2] - '0');
}

static int on_ce(void *arg, const struct model_ce *ce, const struct delta_list *l)
{
	struct world *w = arg;
	unsigned i = ce_index(ce);
	struct map before = map_copy(&w->now[i]);

	ck_assert(!w->called[i]);
	w->called[i] = true;
	w->calls++;
	struct applied a = apply(l, &w->now[i], w->store[i]);
	w->applied.removed += a.removed;
	w->applied.installed += a.installed;
	ck_assert_msg(!map_equal(&before, &w->now[i]), "%s was called for nothing", ce->name);
	map_clear(&before);
	return 0;
}

static struct map full(const struct model_ce *ce)
{
	struct delta_list l;
	struct map m = {0};

	delta_list_init(&l);
	if (ce) {
		ck_assert_int_eq(delta_full(ce, &ring_delta, &l), 0);
		ck_assert_uint_eq(l.removes, 1);
		apply(&l, &m, NULL);
	}
	delta_list_clear(&l);
	return m;
}

static void same(const struct map *want, const struct map *got, const char *what, unsigned ce,
    const struct world *w)
{
	if (map_equal(want, got))
		return;
	map_print("wanted", want);
	map_print("got", got);
	ck_abort_msg("%s: ce%u differs at LSN %lu", what, ce, (unsigned long)w->lsn);
}

static const struct model_ce *ce_now(const struct world *w, unsigned i)
{
	char name[8];
	snprintf(name, sizeof(name), "ce%u", i);
	return w->c ? customer_ce_find(w->c, name) : NULL;
}

/* A CE that holds what it held at LSN since. */
static void check_since(struct world *w, uint64_t since, unsigned i)
{
	const struct model_ce *ce = ce_now(w, i);
	struct delta_list l;

	if (!ce)
		return;
	struct map want = full(ce);
	struct map got = map_copy(&w->then[since][i]);
	delta_list_init(&l);
	int r = delta_since(ce, w->ids, since, &ring_delta, &l);
	ck_assert_int_ge(r, 0);
	w->deltas += r == 0;
	w->fulls += r == 1;
	if (r == 0) {
		apply(&l, &got, NULL);
		same(&want, &got, "since", i, w);
	}
	map_clear(&want);
	map_clear(&got);
	delta_list_clear(&l);
}

static void check_all(struct world *w)
{
	for (unsigned i = 0; i < CES; i++) {
		struct map want = full(ce_now(w, i));
		same(&want, &w->now[i], "now", i, w);
		ck_assert_uint_eq(pib_store_count(w->store[i], NULL), want.n);
		map_clear(&want);
		map_clear(&w->then[w->lsn][i]);
		w->then[w->lsn][i] = map_copy(&w->now[i]);
	}
	for (uint64_t since = 0; since <= w->lsn; since++)
		for (unsigned i = 0; i < CES; i++)
			check_since(w, since, i);
}

static void step_model(struct world *w, struct customer *next)
{
	struct delta_counts dry;
	struct delta_counts n;

	w->lsn++;
	w->calls = 0;
	w->applied = (struct applied) {0};
	memset(w->called, 0, sizeof(w->called));
	ck_assert_int_eq(delta_dry(w->c, next, &dry), 0);
	ck_assert_int_eq(delta_each(w->c, next, w->ids, w->lsn, &ring_delta, on_ce, w, &n), 0);
	ck_assert_uint_eq(n.ces, w->calls);
	ck_assert_uint_eq(n.rows_installed, w->applied.installed);
	ck_assert_uint_eq(n.rows_removed, w->applied.removed);
	ck_assert_int_eq(memcmp(&n, &dry, sizeof(n)), 0);
	customer_unref(w->c);
	w->c = next;
	ring_purge(next);
}

/* Keys published, withdrawn, acknowledged: the CEs hear of it through delta_since(). */
static void step_keys(struct world *w)
{
	struct delta_list l;

	w->lsn++;
	for (unsigned k = 0; k < 3 && w->c && w->c->vpns; k++) {
		struct model_vpn *v = &w->c->vpn[dice((unsigned)w->c->vpns)];
		if (v->members)
			ring_event(&v->member[dice((unsigned)v->members)], w->lsn);
	}
	for (unsigned i = 0; i < CES; i++) {
		const struct model_ce *ce = ce_now(w, i);
		if (!ce)
			continue;
		delta_list_init(&l);
		ck_assert_int_eq(delta_since(ce, w->ids, w->lsn - 1, &ring_delta, &l), 0);
		apply(&l, &w->now[i], w->store[i]);
		delta_list_clear(&l);
	}
}

/* What a store keeps of the ids. */
struct kept {
	struct id_entry *e;
	size_t n;
};

static int keep(void *arg, const struct id_entry *e)
{
	struct kept *k = arg;
	size_t i = 0;

	while (i < k->n && (k->e[i].kind != e->kind || k->e[i].number != e->number))
		i++;
	if (i == k->n) {
		k->e = reallocarray(k->e, ++k->n, sizeof(*k->e));
		k->e[i].key = strdup(e->key);
	}
	const char *key = k->e[i].key;
	k->e[i] = *e;
	k->e[i].key = key;
	return 0;
}

static int not_stored(void *arg, const struct id_entry *e)
{
	(void)arg;
	ck_abort_msg("%s is not as stored", e->key);
	return 0;
}

/* The same document on ids from the store: nothing moves, and every LSN is still understood. */
static void restart(struct world *w, const struct kept *k, const char *text)
{
	struct ids *ids = ids_new();

	for (size_t i = 0; i < k->n; i++)
		ck_assert_int_eq(ids_load(ids, &k->e[i]), 0);
	struct customer *c = parse(ids, text);
	ids_dirty_each(ids, not_stored, NULL);
	struct delta_counts n;
	ck_assert_int_eq(delta_dry(w->c, c, &n), 0);
	customer_unref(w->c);
	ids_free(w->ids);
	w->c = c;
	w->ids = ids;
	for (uint64_t since = 0; since <= w->lsn; since++)
		for (unsigned i = 0; i < CES; i++)
			check_since(w, since, i);
}

START_TEST(property)
{
	struct world w = {.ids = ids_new()};
	struct kept kept = {0};
	char *text = NULL;

	srandom((unsigned)_i + 1);
	memset(ring, 0, sizeof(ring));
	memset(&plan, 0, sizeof(plan));
	for (unsigned i = 0; i < CES; i++)
		w.store[i] = pib_store_new(schema(), PIB_INSTALL, 100000);
	for (unsigned i = 0; i < CES; i++)
		plan.ce[i].there = true;
	for (unsigned v = 0; v < VPNS; v++)
		for (unsigned p = 0; p < POOL; p++)
			plan.vpn[v].owner[p] = dice(CES);
	for (unsigned i = 0; i < 60; i++)
		edit();
	for (unsigned s = 0; s < STEPS; s++) {
		if (dice(3) == 0) {
			step_keys(&w);
		} else {
			for (unsigned n = 1 + dice(3); n--;)
				edit();
			free(text);
			text = print_plan();
			bool gone = s != STEPS - 1 && dice(25) == 0;
			step_model(&w, gone ? NULL : parse(w.ids, text));
		}
		ids_dirty_each(w.ids, keep, &kept);
		ids_dirty_clear(w.ids);
		check_all(&w);
	}
	if (w.c) {
		restart(&w, &kept, text);
		check_all(&w);
	}
	/* it is worth something only if it can often tell */
	ck_assert_uint_gt(w.deltas, w.fulls / 20);
	step_model(&w, NULL);
	for (unsigned i = 0; i < CES; i++) {
		ck_assert_uint_eq(w.now[i].n, 0);
		map_clear(&w.now[i]);
		for (unsigned s = 0; s <= STEPS; s++)
			map_clear(&w.then[s][i]);
		pib_store_free(w.store[i]);
	}
	for (size_t i = 0; i < kept.n; i++)
		free((char *)(uintptr_t)kept.e[i].key);
	free(kept.e);
	free(text);
	ids_free(w.ids);
}
END_TEST

/* --- single things --------------------------------------------------------------------------- */

#define HEAD                                                                                       \
	"<intent xmlns='urn:copsvpn:intent:1'><customer name='c'>"                                 \
	"<ce name='ce0' address='192.0.2.1'/><ce name='ce1' address='192.0.2.2'/>"                 \
	"<ce name='ce2' address='192.0.2.3'/><ce name='ce3' address='192.0.2.4'/>"                 \
	"<vpn name='v' id='00005e:00000001' "
#define TAIL	"</vpn></customer></intent>"
#define SITE(n) "<site prefix='10." #n ".0.0/16'/></member>"
#define STAR                                                                                       \
	"<member ce='ce0' role='hub'>" SITE(0) "<member ce='ce1'>" SITE(                           \
	    1) "<member ce='ce2'>" SITE(2)

#define MESH_3 "<member ce='ce0'>" SITE(0) "<member ce='ce1'>" SITE(1) "<member ce='ce2'>" SITE(2)
#define MESH_4 MESH_3 "<member ce='ce3'>" SITE(3)

struct seen {
	unsigned calls;
	unsigned mask;
	struct delta_list list[CES];
};

static int remember(void *arg, const struct model_ce *ce, const struct delta_list *l)
{
	struct seen *s = arg;
	unsigned i = ce_index(ce);

	s->calls++;
	s->mask |= 1u << i;
	for (size_t k = 0; k < l->count; k++)
		delta_list_put(&s->list[i], l->chunk[k], k < l->removes);
	return 0;
}

static struct seen change(const char *before, const char *after)
{
	struct ids *ids = ids_new();
	struct customer *b = before ? parse(ids, before) : NULL;
	struct customer *a = parse(ids, after);
	struct seen s = {0};

	ck_assert_int_eq(delta_each(b, a, ids, 1, NULL, remember, &s, NULL), 0);
	customer_unref(b);
	customer_unref(a);
	ids_free(ids);
	return s;
}

static void seen_clear(struct seen *s)
{
	for (unsigned i = 0; i < CES; i++)
		delta_list_clear(&s->list[i]);
}

/* A new member of a mesh: the others get the very same octets. */
START_TEST(encode_once)
{
	struct seen s = change(HEAD ">" MESH_3 TAIL, HEAD ">" MESH_4 TAIL);

	ck_assert_uint_eq(s.mask, 0xf);
	ck_assert_uint_eq(s.list[0].count, 1);
	for (unsigned i = 1; i < 3; i++) {
		ck_assert_uint_eq(s.list[i].count, 1);
		ck_assert_ptr_eq(s.list[i].chunk[0], s.list[0].chunk[0]);
	}
	seen_clear(&s);
}
END_TEST

/* With a space only the hub and the new spoke are concerned. */
START_TEST(concerned)
{
	static const char star[] = "topology='hub-and-spoke' relay='yes'>";
	char before[2000];
	char after[2000];
	struct seen s;

	snprintf(before, sizeof(before), "%s%s%s%s", HEAD, star, STAR, TAIL);
	snprintf(
	    after, sizeof(after), "%s%s%s<member ce='ce3'>%s%s", HEAD, star, STAR, SITE(3), TAIL);
	s = change(before, after);
	ck_assert_uint_eq(s.mask, 0xf);
	seen_clear(&s);

	snprintf(
	    before, sizeof(before), "%s%s<space prefix='10.0.0.0/8'/>%s%s", HEAD, star, STAR, TAIL);
	snprintf(after, sizeof(after), "%s%s<space prefix='10.0.0.0/8'/>%s<member ce='ce3'>%s%s",
	    HEAD, star, STAR, SITE(3), TAIL);
	s = change(before, after);
	ck_assert_uint_eq(s.mask, 0x9);
	seen_clear(&s);

	s = change(before, before); /* nothing */
	ck_assert_uint_eq(s.calls, 0);
	s = change(NULL, before); /* ce3 is in no VPN */
	ck_assert_uint_eq(s.mask, 0x7);
	seen_clear(&s);
}
END_TEST

/* One prefix more: one row for each, no more. */
START_TEST(one_row)
{
	char after[2000];
	struct delta_counts n;
	struct ids *ids = ids_new();

	snprintf(after, sizeof(after), "%s>%s<member ce='ce3'><site prefix='10.9.0.0/16'/>%s%s",
	    HEAD, MESH_3, SITE(3), TAIL);
	struct customer *b = parse(ids, HEAD ">" MESH_4 TAIL);
	struct customer *a = parse(ids, after);
	ck_assert_int_eq(delta_dry(b, a, &n), 0);
	ck_assert_uint_eq(n.members_changed, 1);
	ck_assert_uint_eq(n.ces, 4);
	ck_assert_uint_eq(n.rows_installed, 4);
	ck_assert_uint_eq(n.rows_removed, 0);
	customer_unref(b);
	customer_unref(a);
	ids_free(ids);
}
END_TEST

/* Rows for more than an object of 65,535 octets: several Decisions, all rows there. */
START_TEST(many_rows)
{
	struct ids *ids = ids_new();
	struct map m = {0};
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct delta_list l;

	fprintf(f, "%s><member ce='ce0'>", HEAD);
	for (unsigned i = 0; i < 3000; i++)
		fprintf(f, "<site prefix='10.%u.%u.0/24'/>", i / 256, i % 256);
	fprintf(f, "</member><member ce='ce1'/>%s", TAIL);
	fclose(f);
	struct customer *c = parse(ids, text);
	for (unsigned i = 0; i < 2; i++) {
		delta_list_init(&l);
		ck_assert_int_eq(delta_full(&c->ce[i], NULL, &l), 0);
		struct applied a = apply(&l, &m, NULL);
		ck_assert_uint_gt(a.decisions, 3);
		ck_assert_uint_eq(a.installed, 3000 + 3); /* ceVpn, ceVpnProposal, ceVpnPeer */
		ck_assert_uint_eq(m.n, 3003);
		delta_list_clear(&l);
		map_clear(&m);
	}
	customer_unref(c);
	free(text);
	ids_free(ids);
}
END_TEST

static const struct row *only(const struct map *m, const struct pib_class *cls, size_t count)
{
	const struct row *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->row[i].cls == cls) {
			found = &m->row[i];
			n++;
		}
	ck_assert_uint_eq(n, count);
	return found;
}

/* What the rows say, column by column, for a relayed star with a space. */
START_TEST(columns)
{
	struct ids *ids = ids_new();
	struct customer *c = parse(ids,
	    HEAD "topology='hub-and-spoke' relay='yes' internet='discard'>"
		 "<space prefix='10.0.0.0/8'/>" STAR TAIL);
	const struct model_vpn *v = &c->vpn[0];
	struct pib_ce_vpn vpn;
	struct pib_ce_vpn_peer peer;
	struct pib_ce_vpn_peer_prefix remote;
	struct pib_fault f;
	bool surplus;
	memset(ring, 0, sizeof(ring));
	struct map spoke = full(customer_ce_find(c, "ce1"));
	struct map hub = full(customer_ce_find(c, "ce0"));
	const struct row *r = only(&spoke, &pib_ce_vpn_class, 1);

	ck_assert_int_eq(pib_epd_decode(r->cls, r->epd, r->len, &vpn, &surplus, &f), 0);
	ck_assert_uint_eq(vpn.id, v->id->number);
	ck_assert_uint_eq(vpn.vpn_id.len, 7);
	ck_assert_uint_eq(vpn.member, v->member[1].id->number);
	ck_assert_int_eq(vpn.role, PIB_CE_VPN_ROLE_SPOKE);
	ck_assert_int_eq(vpn.mode, PIB_CE_VPN_MODE_TUNNEL);
	ck_assert_int_eq(vpn.keying, PIB_CE_VPN_KEYING_CONTROLLER);
	ck_assert_int_eq(vpn.non_vpn_traffic, PIB_CE_VPN_NON_VPN_TRAFFIC_DISCARD);
	ck_assert_int_eq(vpn.relay, PIB_CE_VPN_RELAY_FALSE);
	ck_assert_int_eq(memcmp(vpn.local_addr.p, "\xc0\x00\x02\x02", 4), 0);

	r = only(&spoke, &pib_ce_vpn_peer_class, 1);
	ck_assert_int_eq(pib_epd_decode(r->cls, r->epd, r->len, &peer, &surplus, &f), 0);
	ck_assert_uint_eq(peer.id, v->hub[0]->id->number);
	ck_assert_uint_eq(r->instance, peer.id);
	ck_assert_int_eq(memcmp(peer.name.p, "ce0", peer.name.len), 0);

	/* the hub's site and the space, both through the hub */
	only(&spoke, &pib_ce_vpn_peer_prefix_class, 2);
	const struct row *s = map_find(
	    &spoke, &pib_ce_vpn_peer_prefix_class, v->space[0].id->number);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(pib_epd_decode(s->cls, s->epd, s->len, &remote, &surplus, &f), 0);
	ck_assert_uint_eq(remote.peer, peer.id);
	ck_assert_uint_eq(remote.prefix_length, 8);
	only(&spoke, &pib_ce_vpn_local_prefix_class, 1);
	only(&spoke, &pib_ce_vpn_proposal_class, 1);

	/* the hub: both spokes, their sites; its own site and the space */
	r = only(&hub, &pib_ce_vpn_class, 1);
	ck_assert_int_eq(pib_epd_decode(r->cls, r->epd, r->len, &vpn, &surplus, &f), 0);
	ck_assert_int_eq(vpn.relay, PIB_CE_VPN_RELAY_TRUE);
	only(&hub, &pib_ce_vpn_peer_class, 2);
	only(&hub, &pib_ce_vpn_peer_prefix_class, 2);
	only(&hub, &pib_ce_vpn_local_prefix_class, 2);
	map_clear(&spoke);
	map_clear(&hub);
	customer_unref(c);
	ids_free(ids);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("delta");
	TCase *t = tcase_create("delta");

	tcase_set_timeout(t, 300);
	tcase_add_loop_test(t, property, 0, 25);
	tcase_add_test(t, encode_once);
	tcase_add_test(t, concerned);
	tcase_add_test(t, one_row);
	tcase_add_test(t, many_rows);
	tcase_add_test(t, columns);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
