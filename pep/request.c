/*
 * request.c - see request.h.
 */
#include "pep/request.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/buf.h"
#include "config.h"
#include "libcops/cops_msg.h"
#include "pep/roles.h"
#include "pib/gen/framework_feedback_pib.h"
#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_limit.h"
#include "pib/pib_store.h"

#define OBJECT_FULL 49152 /* octets; then the next row begins another ClientSI object */

struct told_key {
	const struct pib_class *cls;
	uint64_t instance;
};

struct told { /* a row the PDP was told of */
	struct told_key key;
	uint8_t *epd;
	size_t len;
	unsigned round; /* the request that last had it */
	UT_hash_handle hh;
};

struct pep_request {
	const struct pep_client *client;
	void *self;
	uint32_t max_msg;
	uint32_t max_contexts;
	const struct pep_roles *roles; /* NULL: not told */
	struct told *told;
	unsigned round;
	bool full;
};

/* A request in the making. */
struct writer {
	struct pep_request *r;
	struct buf *b;
	struct buf epd;
	size_t named; /* mark of the open object */
	bool open;
	bool failed;
	long rows;
};

struct pep_request *pep_request_new(
    const struct pep_client *client, void *self, uint32_t max_msg, uint32_t max_contexts)
{
	struct pep_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->client = client;
	r->self = self;
	r->max_msg = max_msg;
	r->max_contexts = max_contexts;
	r->full = true;
	return r;
}

static void told_free(struct pep_request *r, struct told *t)
{
	HASH_DEL(r->told, t);
	free(t->epd);
	free(t);
}

void pep_request_forget(struct pep_request *r)
{
	struct told *t;
	struct told *tmp;

	HASH_ITER (hh, r->told, t, tmp)
		told_free(r, t);
	r->full = true;
}

void pep_request_free(struct pep_request *r)
{
	if (r == NULL)
		return;
	pep_request_forget(r);
	free(r);
}

void pep_request_roles(struct pep_request *r, const struct pep_roles *roles)
{
	r->roles = roles;
}

bool pep_request_is_full(const struct pep_request *r)
{
	return r->full;
}

/* ------------------------------------------------------------------ writing */

/* PRID and EPD of one row; a removed one has an EPD of nothing (RFC 3318 2.3.4). */
static void put_pair(struct writer *w, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t len)
{
	size_t mark;

	if (w->open && w->b->len - w->named > OBJECT_FULL) {
		cops_named_close(w->b, w->named);
		w->open = false;
	}
	if (!w->open)
		w->named = cops_named_open(w->b, COPS_C_CLIENT_SI, 2);
	w->open = true;
	mark = cops_sub_open(w->b, COPS_S_PRID);
	pib_prid_put(w->b, cls, instance);
	cops_sub_close(w->b, mark);
	cops_put_sub(w->b, COPS_S_EPD, epd, len);
	w->rows++;
}

static struct told *told_get(struct pep_request *r, const struct pib_class *cls, uint32_t instance)
{
	struct told_key key = {.cls = cls, .instance = instance};
	struct told *t;

	HASH_FIND(hh, r->told, &key, sizeof(key), t);
	if (t != NULL || (t = calloc(1, sizeof(*t))) == NULL)
		return t;
	t->key = key;
	HASH_ADD(hh, r->told, key, sizeof(t->key), t);
	return t;
}

/* A row we notify: said if the PDP does not know it like this. */
static void row_put(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct writer *w = arg;
	struct told *t = told_get(w->r, cls, instance);
	uint8_t *copy;

	buf_reset(&w->epd);
	pib_epd_put(&w->epd, cls, row);
	if (t == NULL || w->epd.failed) {
		w->failed = true;
		return;
	}
	t->round = w->r->round;
	if (t->epd != NULL && t->len == w->epd.len && memcmp(t->epd, w->epd.data, t->len) == 0)
		return;
	if ((copy = malloc(w->epd.len + 1)) == NULL) {
		w->failed = true;
		return;
	}
	memcpy(copy, w->epd.data, w->epd.len);
	free(t->epd);
	t->epd = copy;
	t->len = w->epd.len;
	put_pair(w, cls, instance, t->epd, t->len);
}

static void put_removed(struct writer *w)
{
	struct told *t;
	struct told *tmp;

	HASH_ITER (hh, w->r->told, t, tmp) {
		if (t->round == w->r->round)
			continue;
		put_pair(w, t->key.cls, (uint32_t)t->key.instance, (const uint8_t *)"", 0);
		told_free(w->r, t);
	}
}

/* ------------------------------------------------------------------ the framework's rows */

static const struct pib_limits *limits_of(const struct pep_request *r)
{
	static const struct pib_limits none;

	return r->client->limits != NULL ? r->client->limits : &none;
}

static void put_support(struct writer *w, const struct pib_class *cls, uint32_t instance)
{
	uint8_t attrs[PIB_SUPPORT_MAX];
	const struct pib_frwk_prc_support row = {
	    .prid = instance,
	    .supported_prc = {cls->ber, cls->ber_len},
	    .supported_attrs = {attrs, (uint32_t)pib_limits_support(limits_of(w->r), cls, attrs)},
	};

	if (!cls->deprecated)
		row_put(w, &pib_frwk_prc_support_class, instance, &row);
}

/* Of the framework we know what a request-state needs; of the client's modules everything. */
static void put_supports(struct writer *w)
{
	static const struct pib_class *const framework[] = {&pib_frwk_prc_support_class,
	    &pib_frwk_pib_incarnation_class, &pib_frwk_device_id_class, &pib_frwk_error_class};
	static const struct pib_class *const roles[] = {&pib_frwk_capability_set_class,
	    &pib_frwk_role_combo_class, &pib_frwk_if_role_combo_class};
	uint32_t instance = 1;

	for (size_t i = 0; i < sizeof(framework) / sizeof(framework[0]); i++)
		put_support(w, framework[i], instance++);
	for (size_t i = 0; w->r->roles != NULL && i < sizeof(roles) / sizeof(roles[0]); i++)
		put_support(w, roles[i], instance++);
	if (limits_of(w->r)->count > 0)
		put_support(w, &pib_frwk_comp_limits_class, instance++);
	for (unsigned m = 0; m < w->r->client->module_count; m++) {
		const struct pib_module *mod = w->r->client->module[m];

		for (unsigned i = 0; mod != &pib_framework_pib_module && i < mod->count; i++)
			put_support(w, mod->cls[i], instance++);
	}
}

static void put_device(struct writer *w)
{
	static const char descr[] = "copspepd " PACKAGE_VERSION;
	const struct pib_frwk_device_id row = {
	    .prid = 1,
	    .descr = {(const uint8_t *)descr, sizeof(descr) - 1},
	    .max_msg = w->r->max_msg,
	    .max_contexts = w->r->max_contexts,
	};

	row_put(w, &pib_frwk_device_id_class, 1, &row);
}

/* What can be counted, and how it is told (RFC 3571). */
static void put_usages(struct writer *w)
{
	static const uint8_t zero_zero = 0;

	for (uint16_t i = 0; i < w->r->client->usages; i++) {
		const struct pep_usage_caps *c = &w->r->client->usage[i];
		const struct pib_frwk_feedback_link_caps row = {
		    .id = i + 1,
		    .selection = {c->selection->ber, c->selection->ber_len},
		    .usage = {c->usage->ber, c->usage->ber_len},
		    .threshold = c->threshold != NULL ? (struct pib_octets) {c->threshold->ber,
							    c->threshold->ber_len}
						      : (struct pib_octets) {&zero_zero, 1},
		};

		row_put(w, &pib_frwk_feedback_link_caps_class, row.id, &row);
	}
}

static void take_first(void *arg, const struct pib_row *row)
{
	const struct pib_row **first = arg;

	if (*first == NULL)
		*first = row;
}

/*
 * The incarnation as held, or an empty one; FullState says what this request is.  Not
 * among what was told: it goes into every request.
 */
static void put_incarnation(struct writer *w, const struct pib_store *store, bool active)
{
	struct pib_frwk_pib_incarnation row = {
	    .prid = 1, .longevity = 1, .in_ctxt_set = 1, .active = active ? 1 : 2};
	const struct pib_row *held = NULL;

	pib_store_each(store, &pib_frwk_pib_incarnation_class, take_first, &held);
	if (held != NULL)
		memcpy(&row, held->data, sizeof(row));
	row.full_state = w->r->full ? 1 : 2;
	row.null_mask &= ~((uint64_t)1 << (PIB_FRWK_PIB_INCARNATION_COL_FULL_STATE - 1));
	buf_reset(&w->epd);
	pib_epd_put(&w->epd, &pib_frwk_pib_incarnation_class, &row);
	w->failed |= w->epd.failed;
	if (!w->failed)
		put_pair(w, &pib_frwk_pib_incarnation_class, row.prid, w->epd.data, w->epd.len);
}

long pep_request_put(struct pep_request *r, const struct pib_store *store, bool active,
    const uint8_t *handle, size_t handle_len, struct buf *b)
{
	struct writer w = {.r = r, .b = b};
	size_t start = b->len;
	size_t mark = cops_msg_begin(b, COPS_OP_REQ, false, r->client->client_type);
	bool full = r->full;

	buf_init(&w.epd, 65536);
	r->round++;
	cops_put_handle(b, handle, handle_len);
	cops_put_u16x2(b, COPS_C_CONTEXT, 1, COPS_R_CONFIG, 0);
	put_incarnation(&w, store, active);
	w.rows = 0;
	put_supports(&w);
	put_device(&w);
	pib_limits_put(limits_of(r), row_put, &w);
	if (r->roles != NULL)
		pep_roles_put(r->roles, row_put, &w);
	put_usages(&w);
	r->client->notify(r->self, row_put, &w);
	put_removed(&w);
	if (w.open)
		cops_named_close(b, w.named);
	cops_msg_end(b, mark);
	buf_clear(&w.epd);
	if (w.failed || b->failed) {
		pep_request_forget(r);
		return -1;
	}
	r->full = false;
	if (!full && w.rows == 0)
		b->len = start;
	return w.rows;
}
