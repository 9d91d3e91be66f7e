/* vpn.c - see vpn.h. */
#include "pdp/vpn.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/sitekey.h"
#include "common/suites.h"
#include "pdp/delta.h"
#include "pdp/leave.h"
#include "pdp/sync.h"
#include "pdp/tunnels.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"

struct site {
	UT_hash_handle hh;
	struct vpn_site site;
	char name[];
};

struct vpn {
	struct db *db;
	struct sync *sync;
	void (*staged)(void *arg);
	void *arg;
	struct site *sites;
	struct tunnels *tunnels;
	struct leaves *leaves;
};

struct vpn *vpn_new(struct db *db, void (*staged)(void *arg), void *arg)
{
	struct vpn *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->tunnels = tunnels_new();
	v->leaves = leaves_new(db);
	if (v->tunnels == NULL || v->leaves == NULL) {
		vpn_free(v);
		return NULL;
	}
	v->db = db;
	v->staged = staged;
	v->arg = arg;
	return v;
}

void vpn_free(struct vpn *v)
{
	struct site *s, *next;

	if (v == NULL)
		return;
	HASH_ITER (hh, v->sites, s, next) {
		HASH_DEL(v->sites, s);
		free(s);
	}
	if (v->tunnels != NULL)
		tunnels_free(v->tunnels);
	leaves_free(v->leaves);
	free(v);
}

void vpn_set_sync(struct vpn *v, struct sync *s)
{
	v->sync = s;
}

void vpn_staged(struct vpn *v)
{
	if (keyring_pending(v->db->keys) || learned_pending(v->db->learned))
		v->staged(v->arg);
}

/* ----------------------------------------------------- what a CE notifies */

/*
 * What can be said of a key without the model.  Peers believe the certificate alone, without
 * any that came with it in TLS.
 */
static uint16_t check_row(const struct pib_class *cls, const void *row, const struct pdp_peer *peer)
{
	const struct pib_ce_vpn_site_key *key = row;

	if (cls != &pib_ce_vpn_site_key_class)
		return 0;
	if (peer->cert != NULL && (!peer->lone || key->certificate.len != peer->cert_len ||
				      memcmp(key->certificate.p, peer->cert, peer->cert_len) != 0))
		return PIB_CE_VPN_SITE_KEY_COL_CERTIFICATE;
	return sitekey_public_ok(key->public_key.p) ? 0 : PIB_CE_VPN_SITE_KEY_COL_PUBLIC_KEY;
}

enum belongs { OURS, ENDED, OTHERS };

/* Whose is membership m?  ENDED: ce's until not long ago. */
static enum belongs belongs(struct vpn *v, const char *ce, uint32_t m, struct model_member **member)
{
	const struct id_entry *e = ids_find(v->db->ids, ID_MEMBER, m);
	struct model_vpn *vpn = e != NULL ? registry_vpn_number(v->db->registry, e->vpn) : NULL;
	const char *slash = e != NULL ? strrchr(e->key, '/') : NULL;

	*member = vpn != NULL ? vpn_member_find(vpn, m) : NULL;
	if (*member != NULL)
		return strcmp((*member)->ce->name, ce) == 0 ? OURS : OTHERS;
	return slash != NULL && strcmp(slash + 1, ce) == 0 ? ENDED : OTHERS;
}

/* The key rows of a request, by epoch, so that epochs grow. */
struct key_row {
	const struct pdp_row *row;
	struct model_member *member;
	uint32_t epoch;
};

static int by_epoch(const void *a, const void *b)
{
	const struct key_row *x = a, *y = b;

	return (x->epoch > y->epoch) - (x->epoch < y->epoch);
}

/* Of one of the VPN's proposals? */
static bool suite_offered(const struct model_vpn *vpn, const uint8_t suite[SUITE_LEN])
{
	const struct model_proposal *p = vpn->proposal;
	struct suite s;

	if (!suite_get(&s, suite))
		return false;
	for (size_t i = 0; i < vpn->proposals; i++)
		if (p[i].encr == s.encr && p[i].encr_key_bits == s.encr_key_bits &&
		    p[i].integ == s.integ && p[i].ah == (s.protocol == SUITE_AH) &&
		    p[i].esn == s.esn)
			return true;
	return false;
}

static bool transforms_offered(const struct model_vpn *vpn, const struct pib_octets *list)
{
	if (!suites_ok(list->p, list->len, SUITES_MAX))
		return false;
	for (size_t at = 0; at < list->len; at += SUITE_LEN)
		if (!suite_offered(vpn, list->p + at))
			return false;
	return true;
}

static bool signature_good(const struct model_vpn *vpn, const struct pib_ce_vpn_site_key *key)
{
	const struct sitekey k = {
	    .member = key->member,
	    .epoch = key->epoch,
	    .public_key = key->public_key.p,
	    .nonce = key->nonce.p,
	    .transforms = key->transforms.p,
	    .transforms_len = key->transforms.len,
	    .sends = key->sends.p,
	    .sends_len = key->sends.len,
	};
	uint8_t text[SITEKEY_TEXT_MAX];
	size_t len = sitekey_text(text, vpn->vpn_id, &k);

	return sitekey_signed_by(key->certificate.p, key->certificate.len, text, len,
	    key->signature.p, key->signature.len);
}

/* The column for which the peers would refuse a key, and with it all else they are sent. */
static uint16_t key_fault(
    const struct model_vpn *vpn, const struct pib_ce_vpn_site_key *key, uint16_t doubt)
{
	if (doubt != 0)
		return doubt;
	if (!transforms_offered(vpn, &key->transforms))
		return PIB_CE_VPN_SITE_KEY_COL_TRANSFORMS;
	if (!suites_ok(key->sends.p, key->sends.len, SENDS_MAX))
		return PIB_CE_VPN_SITE_KEY_COL_SENDS;
	return signature_good(vpn, key) ? 0 : PIB_CE_VPN_SITE_KEY_COL_SIGNATURE;
}

static int key_refuse(const struct pdp_row *r, uint16_t cperr, uint16_t column, struct pib_fault *f)
{
	*f = (struct pib_fault) {
	    .cperr = cperr, .sub = column, .cls = r->cls, .instance = r->instance};
	return -1;
}

/*
 * A key taken earlier stays good when the CE has got itself another certificate, or the VPN
 * other proposals, since.  *room: how many new ones may still be looked at.
 */
static int key_check(struct vpn *v, const struct model_member *member, const struct pdp_row *r,
    uint32_t *epoch, size_t *room, struct pib_fault *f)
{
	struct pib_ce_vpn_site_key key = {0};
	uint16_t column;
	bool known, surplus;

	if (keyring_check(v->db->keys, member->id->number, r->epd, r->epd_len, &known, f) != 0 ||
	    pib_epd_decode(r->cls, r->epd, r->epd_len, &key, &surplus, f) != 0)
		return -1;
	*epoch = key.epoch;
	if (known)
		return 0;
	if (*room == 0)
		return key_refuse(r, PIB_CPERR_SPACE, 0, f);
	--*room;
	column = key_fault(member->vpn, &key, r->doubt);
	return column != 0 ? key_refuse(r, PIB_CPERR_VALUE, column, f) : 0;
}

/* Collect the key rows of ce's memberships and see whether all would be taken. */
static int keys_collect(struct vpn *v, const char *name, const struct pdp_request *req,
    struct key_row *key, size_t *keys, struct pib_fault *f)
{
	const struct model_ce *ce = registry_ce(v->db->registry, name);
	size_t room = ce != NULL ? ce->members * KEYRING_LIVE_MAX : 0;
	struct model_member *member;
	const struct pdp_row *r;
	uint32_t epoch;

	for (size_t i = 0; i < req->rows; i++) {
		r = &req->row[i];
		if (r->cls != &pib_ce_vpn_site_key_class)
			continue;
		switch (belongs(v, name, r->instance >> 4, &member)) {
		case OTHERS:
			return key_refuse(r, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_KEY_COL_MEMBER, f);
		case ENDED:
			continue;
		case OURS:
			break;
		}
		epoch = 0;
		if (r->removed && !keyring_has(v->db->keys, member->id->number, r->instance & 15))
			return key_refuse(r, PIB_CPERR_INSTANCE, 0, f); /* RFC 3318 2.3.4 */
		if (!r->removed && key_check(v, member, r, &epoch, &room, f) != 0)
			return -1;
		key[*keys] = (struct key_row) {.row = r, .member = member, .epoch = epoch};
		++*keys;
	}
	return 0;
}

static int by_instance(const void *a, const void *b)
{
	const struct key_row *x = a, *y = b;

	return (x->row->instance > y->row->instance) - (x->row->instance < y->row->instance);
}

/* One row named twice: which is meant? */
static int keys_distinct(struct key_row *key, size_t keys, struct pib_fault *f)
{
	qsort(key, keys, sizeof(*key), by_instance);
	for (size_t i = 1; i < keys; i++)
		if (key[i].row->instance == key[i - 1].row->instance)
			return key_refuse(key[i].row, PIB_CPERR_INSTANCE, 0, f);
	return 0;
}

/* A full state names all keys of the CE: the others are withdrawn. */
static void keys_replace(struct vpn *v, const char *name, const struct key_row *key, size_t keys)
{
	const struct model_ce *ce = registry_ce(v->db->registry, name);
	uint16_t slots;

	for (size_t i = 0; ce != NULL && i < ce->members; i++) {
		slots = 0;
		for (size_t k = 0; k < keys; k++)
			if (key[k].member == ce->member[i] && !key[k].row->removed)
				slots |= (uint16_t)(1u << (key[k].row->instance & 15));
		keyring_keep(v->db->keys, ce->member[i]->id->number, slots);
	}
}

static void copy_text(char *to, size_t size, struct pib_octets from)
{
	size_t n = from.len < size - 1 ? from.len : size - 1;

	if (n > 0)
		memcpy(to, from.p, n);
	to[n] = '\0';
}

static struct site *site_find(struct vpn *v, const char *ce)
{
	struct site *s;

	HASH_FIND_STR(v->sites, ce, s);
	return s;
}

/* A full state names all that the CE can do. */
static void caps_begin(struct vpn *v, const char *ce)
{
	struct site *s = site_find(v, ce);

	if (s != NULL)
		s->site.caps.suites_len = 0;
}

static void caps_put(struct vpn *v, const char *ce, const struct pdp_row *r)
{
	struct pib_ce_vpn_site_transform row = {0};
	struct site *s = site_find(v, ce);
	struct ce_caps *c = s != NULL ? &s->site.caps : NULL;
	uint8_t suite[SUITE_LEN];
	struct pib_fault f;
	bool surplus;

	if (c == NULL || c->suites_len == SENDS_LEN_MAX ||
	    pib_epd_decode(r->cls, r->epd, r->epd_len, &row, &surplus, &f) != 0)
		return;
	suite_put(suite, &(struct suite) {.protocol = (uint8_t)row.protocol,
			     .encr = (uint16_t)row.encr,
			     .encr_key_bits = (uint16_t)row.encr_key_bits,
			     .integ = (uint16_t)row.integ});
	if (suites_have(c->suites, c->suites_len, suite))
		return;
	memcpy(c->suites + c->suites_len, suite, SUITE_LEN);
	c->suites_len += SUITE_LEN;
}

bool vpn_caps(void *arg, const char *ce, struct ce_caps *caps)
{
	struct vpn_site site;

	if (!vpn_site(arg, ce, &site) || site.caps.suites_len == 0)
		return false;
	*caps = site.caps;
	return true;
}

/* Where its own end of the session is, as it says; family 0: it does not. */
static struct addr site_addr(const struct pib_ce_vpn_site *row)
{
	struct addr a = {0};

	if (addr_from_octets(&a, row->addr.p, row->addr.len) != 0 ||
	    addr_inet_type(&a) != row->addr_type)
		a = (struct addr) {0};
	return a;
}

static void site_put(
    struct vpn *v, const char *ce, const struct addr *from, const struct pdp_row *r)
{
	struct pib_ce_vpn_site row = {0};
	struct site *s = site_find(v, ce);
	struct addr own;
	struct pib_fault f;
	bool surplus;

	if (pib_epd_decode(r->cls, r->epd, r->epd_len, &row, &surplus, &f) != 0)
		return;
	own = site_addr(&row);
	if (from != NULL)
		nat_notice(v->db, v->sync, ce, from, &own);
	if (s == NULL) {
		s = calloc(1, sizeof(*s) + strlen(ce) + 1);
		if (s == NULL)
			return;
		strcpy(s->name, ce);
		HASH_ADD_STR(v->sites, name, s);
	}
	copy_text(s->site.software, sizeof(s->site.software), row.software);
	copy_text(s->site.backend, sizeof(s->site.backend), row.backend);
	copy_text(s->site.caps.backend, sizeof(s->site.caps.backend), row.backend);
	s->site.caps.window_max = row.replay_window_max;
	s->site.caps.esn = row.esn == PIB_CE_VPN_SITE_ESN_TRUE;
	s->site.caps.separate = row.separate == PIB_CE_VPN_SITE_SEPARATE_TRUE;
	s->site.caps.dscp_clear = row.dscp_clear == PIB_CE_VPN_SITE_DSCP_CLEAR_TRUE;
	s->site.caps.udp_encap = row.udp_encap == PIB_CE_VPN_SITE_UDP_ENCAP_TRUE;
	s->site.caps.ike = row.ike == PIB_CE_VPN_SITE_IKE_TRUE;
	copy_text(s->site.trouble, sizeof(s->site.trouble), row.trouble);
	s->site.repairs = row.repairs;
	s->site.owed = row.owed;
}

bool vpn_site(struct vpn *v, const char *ce, struct vpn_site *site)
{
	const struct site *s = site_find(v, ce);

	*site = s != NULL ? s->site : (struct vpn_site) {0};
	return s != NULL;
}

static int request(void *self, const char *ce, const struct pdp_request *req, struct pib_fault *f)
{
	struct vpn *v = self;
	struct key_row *key = calloc(req->rows + 1, sizeof(*key));
	struct learned_batch *learned = NULL;
	const struct pdp_row *site = NULL;
	uint32_t vpn;
	size_t keys = 0;
	int rc = -1;

	if (key == NULL) {
		*f = (struct pib_fault) {.cperr = PIB_CPERR_SPACE};
		return -1;
	}
	/* All is judged before anything is done: a request is taken as a whole (RFC 3318 2.3.6). */
	if (keys_collect(v, ce, req, key, &keys, f) != 0 || keys_distinct(key, keys, f) != 0 ||
	    leaves_check(v->leaves, ce, req, f) != 0)
		goto out;
	learned = learned_read(v->db->learned, v->db->registry, ce, req, f);
	if (learned == NULL)
		goto out;
	qsort(key, keys, sizeof(*key), by_epoch);
	if (req->full)
		keys_replace(v, ce, key, keys);
	rc = 0;
	if (tunnels_request(v->tunnels, ce, req) != 0)
		log_warn("%s: out of memory for its reports", ce);
	for (size_t i = 0; rc == 0 && i < keys; i++) {
		const struct pdp_row *r = key[i].row;

		vpn = key[i].member->vpn->id->number;
		if (r->removed)
			keyring_withdraw(v->db->keys, key[i].member->id->number, r->instance & 15);
		else
			rc = keyring_publish(
			    v->db->keys, key[i].member->id->number, vpn, r->epd, r->epd_len, f);
	}
	for (size_t i = 0; rc == 0 && i < req->rows; i++)
		if (req->row[i].cls == &pib_ce_vpn_site_class && !req->row[i].removed)
			site = &req->row[i]; /* a CE has one: of more the last counts */
	if (site != NULL)
		site_put(v, ce, req->from, site);
	if (rc == 0 && req->full)
		caps_begin(v, ce);
	for (size_t i = 0; rc == 0 && i < req->rows; i++)
		if (req->row[i].cls == &pib_ce_vpn_site_transform_class && !req->row[i].removed)
			caps_put(v, ce, &req->row[i]);
	if (rc == 0) {
		learned_take(learned);
		learned = NULL;
	}
	if (rc == 0)
		leaves_take(v->leaves, ce, req);
	vpn_staged(v);
out:
	learned_batch_free(learned);
	free(key);
	return rc;
}

/* ------------------------------------------------------ what a CE must get */

/* A CE that is to have rows: of the model, and served by us. NULL: neither. */
static const struct model_ce *served(struct vpn *v, const char *name)
{
	const struct model_ce *ce = registry_ce(v->db->registry, name);

	return ce != NULL && !ce->foreign ? ce : NULL;
}

static int full(void *self, const char *name, struct delta_list *l)
{
	struct vpn *v = self;
	const struct model_ce *ce = served(v, name);
	struct customer nobody = {.ids = v->db->ids};
	struct model_ce former = {.name = (char *)(uintptr_t)name, .customer = &nobody};

	/* one that left the model gets the Removes alone */
	return delta_full(ce != NULL ? ce : &former, keyring_delta(v->db->keys), l);
}

static int since(void *self, const char *name, uint64_t lsn, struct delta_list *l)
{
	struct vpn *v = self;
	const struct model_ce *ce = served(v, name);

	if (ce == NULL)
		return 1;
	return delta_since(ce, v->db->ids, lsn, keyring_delta(v->db->keys), l);
}

static uint64_t newest(void *self, const char *name)
{
	struct vpn *v = self;
	const struct model_ce *ce = served(v, name);
	uint64_t lsn, keys;

	if (ce == NULL)
		return v->db->lsn;
	lsn = delta_lsn_max(ce);
	for (size_t i = 0; i < ce->members; i++) {
		keys = keyring_lsn(v->db->keys, ce->member[i]->vpn->id->number);
		if (keys > lsn)
			lsn = keys;
	}
	return lsn;
}

static uint64_t lsn_now(void *self)
{
	return ((struct vpn *)self)->db->lsn;
}

static void confirmed(void *self, const char *name, uint64_t from, uint64_t to)
{
	struct vpn *v = self;
	const struct model_ce *ce = served(v, name);

	for (size_t i = 0; ce != NULL && i < ce->members; i++)
		keyring_confirm(v->db->keys, ce->member[i], from, to);
	vpn_staged(v);
}

/* -------------------------------------------------------- reports on tunnels */

static int aside(void *self, const char *name, bool first, struct delta_list *l)
{
	struct vpn *v = self;

	return tunnels_links(v->tunnels, name, served(v, name), first, l);
}

static void report(void *self, const char *name, const struct pdp_request *rows)
{
	struct vpn *v = self;
	const struct model_ce *ce = served(v, name);

	if (ce != NULL)
		tunnels_report(v->tunnels, ce, rows);
}

void vpn_forget(struct vpn *v, const char *ce)
{
	struct site *s = site_find(v, ce);

	tunnels_forget(v->tunnels, ce);
	leaves_forget(v->leaves, ce);
	nat_forget(v->db, ce);
	learned_forget(v->db->learned, ce);
	vpn_staged(v);
	if (s == NULL)
		return;
	HASH_DEL(v->sites, s);
	free(s);
}

void vpn_set_reports(struct vpn *v, bool on)
{
	tunnels_set_off(v->tunnels, !on);
}

struct leaves *vpn_leaves(struct vpn *v)
{
	return v->leaves;
}

const struct tunnels *vpn_tunnels(const struct vpn *v)
{
	return v->tunnels;
}

/* ------------------------------------------------------------ passing on */

/* What one VPN's members get of a batch of keys and acknowledgements. */
struct batch {
	struct vpn *v;
	const struct model_vpn *vpn;
	uint64_t since;
	struct delta_list *list; /* per member */
};

static struct delta_list *batch_list(struct batch *b, const struct model_member *r)
{
	return &b->list[r - b->vpn->member];
}

static void key_changed(void *arg, uint32_t m)
{
	const struct delta_keys *keys;
	struct batch *b = arg;
	const struct model_member *member = vpn_member_find(b->vpn, m), *via;
	struct model_member *r;
	struct model_seen seen;

	if (member == NULL)
		return;
	keys = keyring_delta(b->v->db->keys);
	/* peers see each other: those that m sees directly are those that see m so */
	model_seen_init(&seen, member);
	while ((r = model_seen_next(&seen)) != NULL)
		if (model_view(r, member, &via) == VIEW_PEER)
			keys->keys(keys->arg, member, b->since, batch_list(b, r));
}

static void ack_changed(void *arg, uint32_t m)
{
	const struct delta_keys *keys;
	struct batch *b = arg;
	const struct model_member *member = vpn_member_find(b->vpn, m);

	keys = keyring_delta(b->v->db->keys);
	if (member != NULL)
		keys->acks(keys->arg, member, b->since, batch_list(b, member));
}

static void pass_on(void *arg, uint32_t number, uint64_t lsn)
{
	struct vpn *v = arg;
	struct batch b = {
	    .v = v, .vpn = registry_vpn_number(v->db->registry, number), .since = lsn - 1};
	struct sync_push *p;
	bool failed = false;

	if (b.vpn == NULL)
		return; /* went since */
	p = sync_push_new(v->sync);
	b.list = calloc(b.vpn->members, sizeof(*b.list));
	if (p == NULL || b.list == NULL) {
		failed = true;
	} else {
		keyring_changed_keys(v->db->keys, number, b.since, key_changed, &b);
		keyring_changed_acks(v->db->keys, number, b.since, ack_changed, &b);
	}
	for (size_t i = 0; !failed && i < b.vpn->members; i++)
		failed = sync_push_add(p, b.vpn->member[i].ce->name, &b.list[i]) != 0;
	for (size_t i = 0; b.list != NULL && i < b.vpn->members; i++)
		delta_list_clear(&b.list[i]);
	free(b.list);
	if (!failed) {
		sync_push_send(p, lsn);
		return;
	}
	sync_push_free(p);
	log_err("out of memory for a batch of keys: CEs get it one by one");
	for (size_t i = 0; i < b.vpn->members; i++)
		sync_changed(v->sync, b.vpn->member[i].ce->name, lsn);
}

int vpn_flush(struct vpn *v, char *err, size_t err_len)
{
	int rc = learned_flush(v->db, v->sync, err, err_len);

	if (keyring_pending(v->db->keys) && keyring_commit(v->db->keys, v->db->ops, v->db->store,
						&v->db->lsn, pass_on, v, err, err_len) != 0)
		rc = -1;
	return rc;
}

static const struct pib_module *const modules[] = {
    &pib_framework_pib_module, &pib_framework_feedback_pib_module, &pib_ce_vpn_pib_module};

const struct pdp_client pdp_client_vpn = {
    .api = PDP_CLIENT_API,
    .name = "vpn",
    .client_type = PIB_CE_VPN_PIB_SUBJECT_CATEGORY,
    .module = modules,
    .modules = sizeof(modules) / sizeof(modules[0]),
    .max_rows = 65536,
    .check_row = check_row,
    .request = request,
    .full = full,
    .since = since,
    .newest = newest,
    .lsn = lsn_now,
    .confirmed = confirmed,
    .aside = aside,
    .report = report,
};
