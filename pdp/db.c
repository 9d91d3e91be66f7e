/* db.c - see db.h. */
#include "pdp/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "pdp/intent.h"

struct loading {
	struct db *db;
	int (*on_ce)(void *arg, const struct store_ce *ce);
	void *arg;
	char *err;
};

static int load_lsn(void *arg, uint64_t lsn, uint64_t generation)
{
	struct loading *l = arg;

	l->db->lsn = lsn;
	l->db->generation = generation;
	return 0;
}

static int load_id(void *arg, const struct id_entry *e)
{
	struct loading *l = arg;

	if (ids_load(l->db->ids, e) == 0)
		return 0;
	snprintf(
	    l->err, DB_ERR_LEN, "store: number %u of \"%s\" is there twice", e->number, e->key);
	return -1;
}

static int load_serial(void *arg, uint32_t vpn, uint32_t serial)
{
	struct loading *l = arg;

	return keyring_load_serial(l->db->keys, vpn, serial);
}

/* A document that was good once: schema or rules have changed since. */
static void document_error(char err[DB_ERR_LEN], const struct diag *d)
{
	char first[DB_ERR_LEN];

	snprintf(err, DB_ERR_LEN, "store: a document is not accepted any more: %.*s",
	    DB_ERR_LEN - 64, diag_first(d, first, sizeof(first)));
}

static int load_document(void *arg, const struct store_generation *g,
    const struct store_customer *customer, size_t customers)
{
	struct loading *l = arg;
	struct intent_env env = {.ids = l->db->ids,
	    .max_octets = g->xml_len,
	    .excluded = verdicts_excluded,
	    .excluded_arg = l->db->verdicts,
	    .stored = true};
	struct intent in;
	struct diag diag;
	char name[64];
	int rc;

	registry_env(l->db->registry, &env);
	snprintf(name, sizeof(name), "generation %llu", (unsigned long long)g->number);
	diag_init(&diag);
	rc = intent_parse(name, g->xml, g->xml_len, &env, &in, &diag);
	if (rc != 0)
		document_error(l->err, &diag);
	else
		diag_log(&diag);
	diag_clear(&diag);
	/* a document may describe others too, which a newer one describes now */
	for (size_t i = 0; rc == 0 && i < customers; i++)
		for (size_t k = 0; rc == 0 && k < in.customers; k++)
			if (strcmp(in.customer[k]->name, customer[i].name) == 0) {
				in.customer[k]->generation = g->number;
				nat_fill(l->db->nat, in.customer[k]);
				rc = learned_fill(l->db->learned, l->db->ids, in.customer[k]);
				if (rc == 0)
					rc = registry_put(l->db->registry, in.customer[k]);
			}
	intent_clear(&in);
	return rc;
}

static int load_key(void *arg, const struct store_key *k)
{
	struct loading *l = arg;
	const struct id_entry *e = ids_find(l->db->ids, ID_MEMBER, k->member);

	return e != NULL ? keyring_load_key(l->db->keys, k, e->vpn, e->dead) : 0;
}

static int load_ack(void *arg, const struct store_ack *a)
{
	struct loading *l = arg;
	const struct id_entry *s = ids_find(l->db->ids, ID_MEMBER, a->subject);
	const struct id_entry *h = ids_find(l->db->ids, ID_MEMBER, a->holder);

	if (s == NULL || h == NULL || s->dead || h->dead)
		return 0;
	return keyring_load_ack(l->db->keys, a);
}

static int load_nat(void *arg, const struct store_nat *n)
{
	struct loading *l = arg;

	return nat_load(l->db->nat, n->name, n->seen, n->own);
}

/* Whose membership it is, its number's key says: customer/vpn/ce. */
static int load_learned(void *arg, const struct store_learned *s)
{
	struct loading *l = arg;
	const struct id_entry *e = ids_find(l->db->ids, ID_MEMBER, s->member);
	const char *slash = e != NULL ? strrchr(e->key, '/') : NULL;

	return slash != NULL ? learned_load(l->db->learned, slash + 1, e->vpn, s) : 0;
}

static int load_verdict(void *arg, const struct verdict *v)
{
	struct loading *l = arg;

	return verdicts_put(l->db->verdicts, v);
}

static int load_departure(void *arg, const struct departure *d)
{
	struct loading *l = arg;
	struct departure x = *d;

	x.wait = calloc(d->waits + 1, sizeof(*x.wait));
	if (x.wait == NULL)
		return -1;
	memcpy(x.wait, d->wait, d->waits * sizeof(*x.wait));
	if (departed_put(l->db->departed, &x) == 0)
		return 0;
	departure_clear(&x);
	return -1;
}

static int load_ce(void *arg, const struct store_ce *c)
{
	struct loading *l = arg;

	return l->on_ce(l->arg, c);
}

static const struct store_load load_fns = {
    .lsn = load_lsn,
    .id = load_id,
    .serial = load_serial,
    .nat = load_nat,
    .learned = load_learned,
    .verdict = load_verdict,
    .departure = load_departure,
    .document = load_document,
    .key = load_key,
    .ack = load_ack,
    .ce = load_ce,
};

int db_open(struct db *db, const struct store_ops *ops, const char *where, size_t max_document,
    int (*on_ce)(void *arg, const struct store_ce *ce), void *arg, char err[DB_ERR_LEN])
{
	struct loading l = {.db = db, .on_ce = on_ce, .arg = arg, .err = err};

	*db = (struct db) {.ops = ops, .max_document = max_document};
	err[0] = '\0';
	db->ids = ids_new();
	db->registry = registry_new();
	db->keys = keyring_new();
	db->nat = nat_new();
	db->learned = learned_new();
	db->verdicts = verdicts_new();
	db->departed = departed_new();
	if (db->ids == NULL || db->registry == NULL || db->keys == NULL || db->nat == NULL ||
	    db->learned == NULL || db->verdicts == NULL || db->departed == NULL) {
		snprintf(err, DB_ERR_LEN, "out of memory");
		goto bad;
	}
	db->store = ops->open(where, db->uuid, err, DB_ERR_LEN);
	if (db->store == NULL || ops->load(db->store, &load_fns, &l, err, DB_ERR_LEN) != 0)
		goto bad;
	log_info("store %s: generation %llu, LSN %llu, %zu CEs", where,
	    (unsigned long long)db->generation, (unsigned long long)db->lsn,
	    registry_ces(db->registry));
	return 0;
bad:
	db_close(db);
	return -1;
}

void db_close(struct db *db)
{
	if (db->store != NULL)
		db->ops->close(db->store);
	keyring_free(db->keys);
	nat_free(db->nat);
	learned_free(db->learned);
	verdicts_free(db->verdicts);
	departed_free(db->departed);
	registry_free(db->registry);
	ids_free(db->ids); /* after the snapshots, which point into it */
	*db = (struct db) {0};
}

struct customer *db_rebuild(struct db *db, const struct customer *c, char err[DB_ERR_LEN])
{
	struct customer *out = NULL;
	struct diag diag;
	struct intent in;
	char name[64];
	size_t len = 0;
	char *text = db->ops->document(db->store, c->generation, &len, err, DB_ERR_LEN);

	if (text == NULL)
		return NULL;
	err[0] = '\0';
	/* it was good among the others once; they may have changed since */
	const struct intent_env env = {.ids = db->ids,
	    .max_octets = len,
	    .excluded = verdicts_excluded,
	    .excluded_arg = db->verdicts,
	    .stored = true};

	snprintf(name, sizeof(name), "generation %llu", (unsigned long long)c->generation);
	diag_init(&diag);
	if (intent_parse(name, text, len, &env, &in, &diag) != 0)
		document_error(err, &diag);
	for (size_t i = 0; i < in.customers; i++)
		if (strcmp(in.customer[i]->name, c->name) == 0) {
			out = customer_ref(in.customer[i]);
			out->generation = c->generation;
			nat_fill(db->nat, out);
			if (learned_fill(db->learned, db->ids, out) != 0) {
				snprintf(err, DB_ERR_LEN, "out of memory");
				customer_unref(out);
				out = NULL;
				break;
			}
		}
	if (in.customers > 0 && out == NULL && err[0] == '\0')
		snprintf(err, DB_ERR_LEN, "the document of generation %llu lacks customer %s",
		    (unsigned long long)c->generation, c->name);
	intent_clear(&in);
	diag_clear(&diag);
	free(text);
	return out;
}
