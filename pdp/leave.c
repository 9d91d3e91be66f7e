/* leave.c - see leave.h. */
#include "pdp/leave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "common/log.h"
#include "pib/gen/ce_vpn_pib.h"
#include "pib/pib_codec.h"

#define VPN_NAME_MAX 256

struct asked { /* of one CE, by the instance of its row */
	struct asked *next;
	uint32_t instance;
	uint32_t vpn;
	int64_t at;
	bool seen; /* in the full state being read */
	char reason[VERDICT_REASON_MAX + 1];
};

struct asker {
	UT_hash_handle hh;
	struct asked *asked;
	char name[];
};

struct leaves {
	struct db *db;
	struct asker *by_name;
};

struct leaves *leaves_new(struct db *db)
{
	struct leaves *l = calloc(1, sizeof(*l));

	if (l != NULL)
		l->db = db;
	return l;
}

static struct asker *asker_find(const struct leaves *l, const char *ce)
{
	struct asker *a;

	HASH_FIND_STR(l->by_name, ce, a);
	return a;
}

static void asker_free(struct leaves *l, struct asker *a)
{
	struct asked *x;

	HASH_DEL(l->by_name, a);
	while ((x = a->asked) != NULL) {
		a->asked = x->next;
		free(x);
	}
	free(a);
}

void leaves_free(struct leaves *l)
{
	struct asker *a, *next;

	if (l == NULL)
		return;
	HASH_ITER (hh, l->by_name, a, next)
		asker_free(l, a);
	free(l);
}

void leaves_forget(struct leaves *l, const char *ce)
{
	struct asker *a = asker_find(l, ce);

	if (a != NULL)
		asker_free(l, a);
}

/* The VPN, if ce is a member of it; NULL: it is not, now. */
static const struct model_vpn *membership(const struct leaves *l, const char *ce, uint32_t vpn)
{
	const struct model_vpn *v = registry_vpn_number(l->db->registry, vpn);
	const struct model_ce *e = v != NULL ? registry_ce(l->db->registry, ce) : NULL;

	return e != NULL && vpn_member_of(v, e) != NULL ? v : NULL;
}

static bool is_denied(const struct leaves *l, const char *ce, const struct model_vpn *v)
{
	char name[VPN_NAME_MAX];

	snprintf(name, sizeof(name), "%s/%s", v->customer->name, v->name);
	return verdicts_find(l->db->verdicts, VERDICT_DENIED, ce, name) != NULL;
}

static int decode(const struct pdp_row *r, struct pib_ce_vpn_site_leave *row, struct pib_fault *f)
{
	bool surplus;

	*row = (struct pib_ce_vpn_site_leave) {0};
	return pib_epd_decode(r->cls, r->epd, r->epd_len, row, &surplus, f);
}

static int refuse(const struct pdp_row *r, uint16_t cperr, uint16_t column, struct pib_fault *f)
{
	*f = (struct pib_fault) {
	    .cperr = cperr, .sub = column, .cls = r->cls, .instance = r->instance};
	return -1;
}

struct named { /* a row of a request */
	const struct pdp_row *row;
	uint32_t vpn; /* 0: removed */
};

static int by_instance(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return (x->row->instance > y->row->instance) - (x->row->instance < y->row->instance);
}

static int by_vpn(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return (x->vpn > y->vpn) - (x->vpn < y->vpn);
}

/* Each instance once, and (the class's UNIQUENESS) each VPN; so what we keep is bounded. */
static int distinct(
    const struct asked *old, bool full, struct named *n, size_t count, struct pib_fault *f)
{
	qsort(n, count, sizeof(*n), by_instance);
	for (size_t i = 1; i < count; i++)
		if (n[i].row->instance == n[i - 1].row->instance)
			return refuse(n[i].row, PIB_CPERR_INSTANCE, 0, f);
	for (; !full && old != NULL; old = old->next) {
		const struct pdp_row row = {.instance = old->instance};
		const struct named key = {.row = &row};

		if (bsearch(&key, n, count, sizeof(*n), by_instance) != NULL)
			continue; /* it is replaced, or goes */
		for (size_t i = 0; i < count; i++)
			if (n[i].vpn == old->vpn)
				return refuse(n[i].row, PIB_CPERR_INSTANCE, 0, f);
	}
	qsort(n, count, sizeof(*n), by_vpn);
	for (size_t i = 1; i < count; i++)
		if (n[i].vpn != 0 && n[i].vpn == n[i - 1].vpn)
			return refuse(n[i].row, PIB_CPERR_INSTANCE, 0, f);
	return 0;
}

/* What the rows of a request say, each by itself. */
static int rows_check(struct leaves *l, const char *ce, const struct pdp_request *req,
    struct named *n, size_t *count, struct pib_fault *f)
{
	struct pib_ce_vpn_site_leave row;
	const struct model_vpn *v;

	for (size_t i = 0; i < req->rows; i++) {
		const struct pdp_row *r = &req->row[i];

		if (r->cls != &pib_ce_vpn_site_leave_class)
			continue;
		n[*count] = (struct named) {.row = r};
		++*count;
		if (r->removed)
			continue;
		if (decode(r, &row, f) != 0)
			return -1;
		n[*count - 1].vpn = row.vpn;
		v = membership(l, ce, row.vpn);
		/* one that is over was answered: the CE will see it */
		if (v == NULL ? ids_find(l->db->ids, ID_VPN, row.vpn) != NULL
			      : !is_denied(l, ce, v))
			continue;
		return refuse(r, PIB_CPERR_VALUE, PIB_CE_VPN_SITE_LEAVE_COL_VPN, f);
	}
	return 0;
}

int leaves_check(
    struct leaves *l, const char *ce, const struct pdp_request *req, struct pib_fault *f)
{
	const struct asker *a = asker_find(l, ce);
	size_t rows = 0, count = 0;
	struct named *n;
	int rc;

	for (size_t i = 0; i < req->rows; i++)
		rows += req->row[i].cls == &pib_ce_vpn_site_leave_class;
	if (rows == 0)
		return 0;
	n = calloc(rows, sizeof(*n));
	if (n == NULL) {
		*f = (struct pib_fault) {.cperr = PIB_CPERR_SPACE};
		return -1;
	}
	rc = rows_check(l, ce, req, n, &count, f);
	if (rc == 0)
		rc = distinct(a != NULL ? a->asked : NULL, req->full, n, count, f);
	free(n);
	return rc;
}

static struct asked *asked_get(struct leaves *l, const char *ce, uint32_t instance)
{
	struct asker *a = asker_find(l, ce);
	struct asked *x;

	if (a == NULL) {
		a = calloc(1, sizeof(*a) + strlen(ce) + 1);
		if (a == NULL)
			return NULL;
		strcpy(a->name, ce);
		HASH_ADD_STR(l->by_name, name, a);
	}
	for (x = a->asked; x != NULL && x->instance != instance;)
		x = x->next;
	if (x != NULL || (x = calloc(1, sizeof(*x))) == NULL)
		return x;
	x->instance = instance;
	x->next = a->asked;
	a->asked = x;
	return x;
}

static void put(struct leaves *l, const char *ce, const struct pdp_row *r)
{
	struct pib_ce_vpn_site_leave row;
	const struct model_vpn *v;
	struct pib_fault f;
	struct asked *x;

	if (decode(r, &row, &f) != 0 || (v = membership(l, ce, row.vpn)) == NULL)
		return;
	x = asked_get(l, ce, r->instance);
	if (x == NULL) {
		log_err("%s: out of memory for its wish to leave", ce);
		return;
	}
	x->seen = true;
	snprintf(x->reason, sizeof(x->reason), "%.*s", (int)row.reason.len,
	    row.reason.len > 0 ? (const char *)row.reason.p : "");
	if (x->at != 0 && x->vpn == row.vpn)
		return;
	x->vpn = row.vpn;
	x->at = (int64_t)time(NULL);
	log_note("%s asks to leave %s/%s: %s", ce, v->customer->name, v->name,
	    x->reason[0] != '\0' ? x->reason : "no reason given");
}

/* What the CE does not ask any more. */
static void sweep(struct leaves *l, const char *ce)
{
	struct asker *a = asker_find(l, ce);
	struct asked **at, *x;

	for (at = a != NULL ? &a->asked : NULL; at != NULL && (x = *at) != NULL;) {
		if (x->seen) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		free(x);
	}
	if (a != NULL && a->asked == NULL)
		asker_free(l, a);
}

static void set_seen(struct leaves *l, const char *ce, bool seen)
{
	struct asker *a = asker_find(l, ce);

	for (struct asked *x = a != NULL ? a->asked : NULL; x != NULL; x = x->next)
		x->seen = seen;
}

static void take_back(struct leaves *l, const char *ce, uint32_t instance)
{
	struct asker *a = asker_find(l, ce);

	for (struct asked *x = a != NULL ? a->asked : NULL; x != NULL; x = x->next)
		if (x->instance == instance)
			x->seen = false;
}

struct ending {
	struct leaves *l;
	const char *ce;
};

/* The CE does not ask any more: it was told, or had another mind. */
static void denial_end(void *arg, const struct verdict *v)
{
	struct ending *e = arg;
	const struct store_verdict gone = {.verdict = v, .gone = true};
	struct db *db = e->l->db;
	const struct model_vpn *vpn;
	char err[DB_ERR_LEN];
	struct leave x;
	bool many;

	if (v->kind != VERDICT_DENIED || strcmp(v->ce, e->ce) != 0)
		return;
	vpn = registry_vpn(db->registry, v->vpn, &many);
	if (vpn != NULL && leaves_find(e->l, e->ce, vpn->id->number, &x))
		return;
	if (db->ops->save_membership(db->store, &gone, NULL, false, err, sizeof(err)) != 0) {
		log_err("%s", err); /* with its next request once more */
		return;
	}
	log_info("%s does not ask to leave %s any more", v->ce, v->vpn);
	verdicts_drop(db->verdicts, v->kind, v->ce, v->vpn);
}

void leaves_take(struct leaves *l, const char *ce, const struct pdp_request *req)
{
	struct ending e = {.l = l, .ce = ce};

	set_seen(l, ce, !req->full);
	for (size_t i = 0; i < req->rows; i++) {
		const struct pdp_row *r = &req->row[i];

		if (r->cls != &pib_ce_vpn_site_leave_class)
			continue;
		if (r->removed)
			take_back(l, ce, r->instance);
		else
			put(l, ce, r);
	}
	sweep(l, ce);
	verdicts_each(l->db->verdicts, denial_end, &e);
}

static bool leave_of(struct leaves *l, const char *ce, const struct asked *x, struct leave *out)
{
	const struct model_vpn *v = membership(l, ce, x->vpn);

	if (v == NULL)
		return false;
	*out = (struct leave) {
	    .ce = ce, .vpn = v, .reason = x->reason, .at = x->at, .denied = is_denied(l, ce, v)};
	return true;
}

void leaves_each(struct leaves *l, void (*fn)(void *arg, const struct leave *x), void *arg)
{
	struct asker *a, *next;
	struct leave out;

	HASH_ITER (hh, l->by_name, a, next)
		for (const struct asked *x = a->asked; x != NULL; x = x->next)
			if (leave_of(l, a->name, x, &out))
				fn(arg, &out);
}

bool leaves_find(struct leaves *l, const char *ce, uint32_t vpn, struct leave *out)
{
	struct asker *a = asker_find(l, ce);

	for (const struct asked *x = a != NULL ? a->asked : NULL; x != NULL; x = x->next)
		if (x->vpn == vpn)
			return leave_of(l, ce, x, out);
	return false;
}
