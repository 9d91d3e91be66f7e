/* source.c - see source.h. */
#include "pdp/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/fnv.h"
#include "common/log.h"
#include "pdp/db.h"
#include "pdp/decision.h"
#include "pdp/delta.h"
#include "pib/pib_codec.h"

#define GONE_MIN 64

struct source_row {
	const struct pib_class *cls;
	uint32_t instance;
	uint64_t lsn; /* of its last change */
	uint8_t *epd; /* NULL: it went */
	size_t epd_len;
};

struct source_rows {
	struct source_row *row; /* by class and instance */
	size_t count, cap;
};

struct source_ce {
	UT_hash_handle hh;
	struct source_rows rows;
	uint64_t lsn;  /* of its last change */
	uint64_t base; /* since this one we know what changed */
	uint64_t hash; /* of its rows */
	bool asked;    /* rows is what the client gave */
	bool has;      /* policy */
	char name[];
};

struct source {
	struct source_conf conf;
	struct pdp_client client; /* as served */
	void *self;		  /* of conf.client */
	struct source_ce *ces;
	uint64_t lsn; /* the highest used */
};

/* ------------------------------------------------------------------- rows */

static void rows_clear(struct source_rows *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->row[i].epd);
	free(r->row);
	*r = (struct source_rows) {0};
}

static struct source_row *rows_add(struct source_rows *r)
{
	struct source_row *more;

	if (r->count == r->cap) {
		size_t cap = r->cap == 0 ? 16 : r->cap * 2;

		more = reallocarray(r->row, cap, sizeof(*more));
		if (more == NULL)
			return NULL;
		r->row = more;
		r->cap = cap;
	}
	return &r->row[r->count++];
}

static int row_cmp(const void *a, const void *b)
{
	const struct source_row *x = a, *y = b;
	size_t n = x->cls->ber_len < y->cls->ber_len ? x->cls->ber_len : y->cls->ber_len;
	int c = memcmp(x->cls->ber, y->cls->ber, n);

	if (c == 0)
		c = (x->cls->ber_len > y->cls->ber_len) - (x->cls->ber_len < y->cls->ber_len);
	return c != 0 ? c : (x->instance > y->instance) - (x->instance < y->instance);
}

struct collect {
	struct source *s;
	struct source_rows rows;
};

static bool speaks(const struct pdp_client *c, const struct pib_class *cls)
{
	for (uint16_t m = 0; m < c->modules; m++)
		for (uint16_t i = 0; i < c->module[m]->count; i++)
			if (c->module[m]->cls[i] == cls)
				return (cls->access & PIB_INSTALL) != 0;
	return false;
}

/* Takes what its own decoder would take, and nothing else: a CE must not be the first to find out.
 */
static int collect_row(void *arg, const struct pib_class *cls, uint32_t instance, const void *row)
{
	struct collect *c = arg;
	struct source_row *r;
	struct pib_fault f = {0};
	struct buf b;
	void *copy;
	bool surplus;
	int rc = -1;

	if (!speaks(c->s->conf.client, cls) || instance == 0)
		return -1;
	buf_init(&b, PIB_EPD_MAX);
	pib_epd_put(&b, cls, row);
	copy = calloc(1, cls->row_size);
	if (copy != NULL && !b.failed &&
	    pib_epd_decode(cls, b.data, b.len, copy, &surplus, &f) == 0 &&
	    (r = rows_add(&c->rows)) != NULL) {
		*r = (struct source_row) {.cls = cls, .instance = instance};
		r->epd = buf_take(&b, &r->epd_len);
		rc = r->epd != NULL ? 0 : -1;
	} else if (f.cls != NULL) {
		char text[200];

		log_err("%s: a row that cannot be: %s", c->s->conf.client->name,
		    pib_fault_print(&f, text, sizeof(text)));
	}
	free(copy);
	buf_clear(&b);
	return rc;
}

/* All rows of a CE in order.  -1: the client failed, gave one twice or one that cannot be. */
static int rows_get(struct source *s, const char *ce, struct source_rows *out)
{
	struct collect c = {.s = s};
	int rc = s->conf.client->rows(s->self, ce, collect_row, &c);

	if (rc == 0 && c.rows.count > 0)
		qsort(c.rows.row, c.rows.count, sizeof(*c.rows.row), row_cmp);
	for (size_t i = 1; rc == 0 && i < c.rows.count; i++)
		if (row_cmp(&c.rows.row[i - 1], &c.rows.row[i]) == 0)
			rc = -1;
	if (rc != 0)
		rows_clear(&c.rows);
	*out = c.rows;
	return rc;
}

static uint64_t rows_hash(const struct source_rows *r)
{
	uint64_t h = FNV_START;

	for (size_t i = 0; i < r->count; i++) {
		const struct source_row *x = &r->row[i];

		if (x->epd == NULL)
			continue;
		h = fnv_add(h, x->cls->ber, x->cls->ber_len);
		h = fnv_add(h, &x->instance, sizeof(x->instance));
		h = fnv_add(h, &x->epd_len, sizeof(x->epd_len));
		h = fnv_add(h, x->epd, x->epd_len);
	}
	return h;
}

/* What changed gets lsn, what did not keeps its own; what went stays as a row without octets. */
static int rows_merge(const struct source_rows *old, struct source_rows *now, uint64_t lsn)
{
	size_t i = 0, k = 0, count = now->count;
	struct source_row *gone;

	while (i < old->count || k < count) {
		int c = i == old->count ? 1 : k == count ? -1 : row_cmp(&old->row[i], &now->row[k]);

		if (c < 0) {
			gone = rows_add(now);
			if (gone == NULL)
				return -1;
			*gone = old->row[i];
			gone->lsn = old->row[i].epd != NULL ? lsn : old->row[i].lsn;
			gone->epd = NULL;
			gone->epd_len = 0;
		} else if (c > 0) {
			now->row[k].lsn = lsn;
		} else {
			bool same = old->row[i].epd != NULL &&
				    old->row[i].epd_len == now->row[k].epd_len &&
				    memcmp(old->row[i].epd, now->row[k].epd, now->row[k].epd_len) ==
					0;

			now->row[k].lsn = same ? old->row[i].lsn : lsn;
		}
		i += c <= 0;
		k += c >= 0;
	}
	if (now->count > 0)
		qsort(now->row, now->count, sizeof(*now->row), row_cmp);
	return 0;
}

/* --------------------------------------------------------------------- CEs */

static struct source_ce *ce_find(struct source *s, const char *name)
{
	struct source_ce *ce;

	HASH_FIND_STR(s->ces, name, ce);
	return ce;
}

static struct source_ce *ce_get(struct source *s, const char *name)
{
	struct source_ce *ce = ce_find(s, name);

	if (ce == NULL) {
		ce = calloc(1, sizeof(*ce) + strlen(name) + 1);
		if (ce == NULL)
			return NULL;
		strcpy(ce->name, name);
		HASH_ADD_STR(s->ces, name, ce);
	}
	return ce;
}

/* Rows that went are remembered as long as they are not more than those that are there. */
static bool rows_forget(struct source_rows *r, uint64_t lsn)
{
	size_t gone = 0, kept = 0;

	for (size_t i = 0; i < r->count; i++)
		gone += r->row[i].epd == NULL && r->row[i].lsn < lsn;
	if (gone <= GONE_MIN + r->count / 2)
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (r->row[i].epd != NULL || r->row[i].lsn == lsn)
			r->row[kept++] = r->row[i];
	r->count = kept;
	return true;
}

/* Other rows than before: stored first, as everything that leaves this server. */
static int ce_advance(
    struct source *s, struct source_ce *ce, struct source_rows *now, uint64_t hash)
{
	const struct db *db = s->conf.db;
	uint64_t lsn = s->lsn + 1;
	char err[DB_ERR_LEN];

	if (rows_merge(&ce->rows, now, lsn) != 0)
		return -1;
	if (db->ops->save_rows(
		db->store, s->client.client_type, ce->name, lsn, hash, err, sizeof(err)) != 0) {
		log_err("%s: %s", s->client.name, err);
		return -1;
	}
	if (rows_forget(now, lsn))
		ce->base = ce->lsn; /* who is further behind gets everything */
	s->lsn = ce->lsn = lsn;
	ce->hash = hash;
	if (!ce->asked)
		ce->base = lsn; /* what it was before this process, nobody knows */
	return 0;
}

/* Ask for ce's rows and pass on what differs. */
static void ce_update(struct source *s, struct source_ce *ce)
{
	struct source_rows now;
	uint64_t hash;
	bool had = ce->has, differs;

	if (rows_get(s, ce->name, &now) != 0) {
		log_err("%s: no rows for %s; it keeps what it has", s->client.name, ce->name);
		return;
	}
	ce->has = now.count > 0;
	hash = rows_hash(&now);
	differs = ce->lsn == 0 || hash != ce->hash;
	if (differs && ce_advance(s, ce, &now, hash) != 0) {
		log_err("%s: %s keeps what it has", s->client.name, ce->name);
		ce->has = had;
		rows_clear(&now);
		return;
	}
	if (differs || !ce->asked) {
		for (size_t i = 0; !differs && i < now.count; i++)
			now.row[i].lsn = ce->lsn;
		if (!differs)
			ce->base = ce->lsn;
		rows_clear(&ce->rows);
		ce->rows = now;
	} else {
		rows_clear(&now);
	}
	ce->asked = true;
	if (ce->has)
		s->conf.came(s->conf.arg, ce->name);
	if (differs)
		s->conf.changed(s->conf.arg, ce->name, ce->lsn);
	if (!ce->has && had)
		s->conf.left(s->conf.arg, ce->name);
}

static int ce_put(void *arg, const char *name)
{
	return ce_get(arg, name) != NULL ? 0 : -1;
}

static void on_changed(void *host, const char *name)
{
	struct source *s = host;
	struct source_ce *ce, *next;

	if (s->self == NULL)
		return; /* still starting: all are asked for after it */
	if (name != NULL) {
		ce = ce_get(s, name);
		if (ce != NULL)
			ce_update(s, ce);
		return;
	}
	if (s->conf.client->ces(s->self, ce_put, s) != 0)
		log_err("%s: not all CEs are known", s->client.name);
	HASH_ITER (hh, s->ces, ce, next)
		ce_update(s, ce);
}

/* ------------------------------------------------------------- for pdp/sync */

static int request(void *self, const char *ce, const struct pdp_request *req, struct pib_fault *f)
{
	struct source *s = self;

	return s->conf.client->request != NULL ? s->conf.client->request(s->self, ce, req, f) : 0;
}

static void put(struct delta_list *l, struct cops_chunk *c, bool remove)
{
	if (c == NULL) {
		l->failed = true;
		return;
	}
	delta_list_put(l, c, remove);
	cops_chunk_unref(c);
}

static int rows_put(const struct source_ce *ce, uint64_t since, struct delta_list *l)
{
	struct decision remove, install;
	bool removes = false, installs = false;

	decision_init(&remove, COPS_CMD_REMOVE);
	decision_init(&install, COPS_CMD_INSTALL);
	for (size_t i = 0; ce != NULL && i < ce->rows.count; i++) {
		const struct source_row *r = &ce->rows.row[i];

		if (since > 0 && r->lsn <= since)
			continue;
		if (r->epd != NULL) {
			decision_epd(&install, r->cls, r->instance, r->epd, r->epd_len);
			installs = true;
		} else if (since > 0) {
			decision_prid(&remove, r->cls, r->instance);
			removes = true;
		}
	}
	if (removes)
		put(l, decision_take(&remove), true);
	if (installs)
		put(l, decision_take(&install), false);
	decision_clear(&remove);
	decision_clear(&install);
	return l->failed ? -1 : 0;
}

static int full(void *self, const char *name, struct delta_list *l)
{
	struct source *s = self;

	for (uint16_t i = 0; i < s->client.modules; i++)
		if (s->client.module[i]->subject_category == s->client.client_type)
			put(l, decision_remove_classes(s->client.module[i]), true);
	return rows_put(ce_find(s, name), 0, l);
}

static int since(void *self, const char *name, uint64_t lsn, struct delta_list *l)
{
	const struct source_ce *ce = ce_find(self, name);

	if (ce == NULL)
		return 0;
	return lsn < ce->base ? 1 : rows_put(ce, lsn, l);
}

static uint64_t newest(void *self, const char *name)
{
	const struct source_ce *ce = ce_find(self, name);

	return ce != NULL ? ce->lsn : 0;
}

static uint64_t lsn_now(void *self)
{
	return ((struct source *)self)->lsn;
}

static void confirmed(void *self, const char *ce, uint64_t from, uint64_t to)
{
	struct source *s = self;

	if (s->conf.client->confirmed != NULL)
		s->conf.client->confirmed(s->self, ce, from, to);
}

/* -------------------------------------------------------------------- life */

struct source *source_new(const struct source_conf *conf)
{
	struct source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->conf = *conf;
	s->client = *conf->client;
	s->client.request = request;
	s->client.full = full;
	s->client.since = since;
	s->client.newest = newest;
	s->client.lsn = lsn_now;
	s->client.confirmed = confirmed;
	s->lsn = 1; /* an incarnation of 0 is none */
	return s;
}

static int load_rows(void *arg, const char *name, uint64_t lsn, uint64_t hash)
{
	struct source *s = arg;
	struct source_ce *ce = ce_get(s, name);

	if (ce == NULL)
		return -1;
	ce->lsn = lsn;
	ce->base = lsn;
	ce->hash = hash;
	if (lsn > s->lsn)
		s->lsn = lsn;
	return 0;
}

int source_start(struct source *s, char *err, size_t err_len)
{
	const struct pdp_env env = {
	    .base = s->conf.base,
	    .argument = s->conf.argument,
	    .state_dir = s->conf.state_dir,
	    .log = log_at,
	    .changed = on_changed,
	    .host = s,
	};
	const struct db *db = s->conf.db;
	const struct pdp_client *c = s->conf.client;

	if (c->start == NULL || c->ces == NULL || c->rows == NULL) {
		snprintf(err, err_len, "client-type %s lacks start, ces or rows", c->name);
		return -1;
	}
	if (db->ops->load_rows(db->store, s->client.client_type, load_rows, s, err, err_len) != 0)
		return -1;
	snprintf(err, err_len, "out of memory");
	s->self = s->conf.client->start(&env, err, err_len);
	if (s->self == NULL)
		return -1;
	on_changed(s, NULL);
	return 0;
}

void source_free(struct source *s)
{
	struct source_ce *ce, *next;

	if (s == NULL)
		return;
	if (s->self != NULL && s->conf.client->stop != NULL)
		s->conf.client->stop(s->self);
	HASH_ITER (hh, s->ces, ce, next) {
		HASH_DEL(s->ces, ce);
		rows_clear(&ce->rows);
		free(ce);
	}
	free(s);
}

const struct pdp_client *source_client(const struct source *s)
{
	return &s->client;
}

int source_reload(struct source *s, char *err, size_t err_len)
{
	err[0] = '\0';
	return s->conf.client->reload != NULL ? s->conf.client->reload(s->self, err, err_len) : 0;
}
