/*
 * roles.c - see roles.h.  The answer is one sorted list of interfaces, each with the row
 * number, roles and capability set it is told with; whatever changes, the list is made anew
 * and compared with the one before.
 */
#include "pep/roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pib/gen/framework_pib.h"
#include "pib/pib_codec.h"
#include "pib/pib_role.h"
#include "pib/pib_store.h"

#define ROLES_LEN (PIB_ROLE_COMBO_MAX + 1)
/* Rows of ours whose number a row of the PDP's took; interface numbers are below this. */
#define OTHER_INSTANCE 0x80000000U

struct combo { /* an interface's, as the PDP gave it or as it is told */
	uint32_t index;
	uint32_t instance;
	char roles[ROLES_LEN];
	char set[256]; /* capability set */
};

struct pep_roles {
	const char *const *conf;
	size_t lines;
	const struct pep_capability *capability;
	size_t capabilities;
	struct kern_if *itf;
	size_t itfs;
	struct combo *given;
	size_t givens;
	struct combo *told;
	size_t tolds;
};

int pep_roles_parse(const char *text, char name[KERN_IF_NAME], const char **roles)
{
	size_t len = strcspn(text, " \t");
	const char *rest = text + len + strspn(text + len, " \t");

	if (len == 0 || len >= KERN_IF_NAME || *rest == '\0' ||
	    !pib_role_valid(
		(struct pib_octets) {(const uint8_t *)rest, (uint32_t)strlen(rest)}, false))
		return -1;
	memcpy(name, text, len);
	name[len] = '\0';
	*roles = rest;
	return 0;
}

struct pep_roles *pep_roles_new(const char *const *conf, size_t lines,
    const struct pep_capability *capability, size_t capabilities)
{
	struct pep_roles *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->conf = conf;
	r->lines = lines;
	r->capability = capability;
	r->capabilities = capabilities;
	return r;
}

void pep_roles_free(struct pep_roles *r)
{
	if (r == NULL)
		return;
	free(r->itf);
	free(r->given);
	free(r->told);
	free(r);
}

/* ------------------------------------------------------------------ the list */

static const char *configured(const struct pep_roles *r, const char *itf)
{
	char name[KERN_IF_NAME];
	const char *roles;

	for (size_t i = 0; i < r->lines; i++)
		if (pep_roles_parse(r->conf[i], name, &roles) == 0 && strcmp(name, itf) == 0)
			return roles;
	return ""; /* the null combination */
}

static bool instance_taken(const struct combo *given, size_t count, uint32_t instance)
{
	for (size_t i = 0; i < count; i++)
		if (given[i].instance == instance)
			return true;
	return false;
}

static void tell(const struct pep_roles *r, const struct kern_if *itf, const struct combo *given,
    size_t givens, struct combo *t)
{
	memset(t, 0, sizeof(*t));
	t->index = itf->index;
	for (size_t i = 0; i < givens; i++) {
		if (given[i].index == itf->index) {
			*t = given[i];
			return;
		}
	}
	t->instance = itf->index;
	if (instance_taken(given, givens, t->instance))
		t->instance += OTHER_INSTANCE;
	snprintf(t->roles, sizeof(t->roles), "%s", configured(r, itf->name));
	if (r->capabilities > 0)
		snprintf(t->set, sizeof(t->set), "%s", r->capability[0].set);
}

static int by_index(const void *a, const void *b)
{
	const struct combo *x = a;
	const struct combo *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

/* Take over both lists and say whether that makes a difference. */
static int renew(
    struct pep_roles *r, struct kern_if *itf, size_t itfs, struct combo *given, size_t givens)
{
	struct combo *told = calloc(itfs + 1, sizeof(*told));
	bool same = itfs == r->tolds;

	if (told == NULL)
		return -1;
	for (size_t i = 0; i < itfs; i++)
		tell(r, &itf[i], given, givens, &told[i]);
	qsort(told, itfs, sizeof(*told), by_index);
	same = same && (itfs == 0 || memcmp(told, r->told, itfs * sizeof(*told)) == 0);
	free(r->told);
	r->told = told;
	r->tolds = itfs;
	r->itf = itf;
	r->itfs = itfs;
	r->given = given;
	r->givens = givens;
	return same ? 0 : 1;
}

int pep_roles_interfaces(struct pep_roles *r, const struct kern_if *list, size_t count)
{
	struct kern_if *old = r->itf;
	struct kern_if *itf = calloc(count + 1, sizeof(*itf));
	int rc = -1;

	if (itf != NULL && count > 0)
		memcpy(itf, list, count * sizeof(*itf));
	if (itf != NULL)
		rc = renew(r, itf, count, r->given, r->givens);
	free(rc < 0 ? itf : old);
	return rc;
}

/* ------------------------------------------------------------------ what the PDP says */

static void copy_text(char *to, size_t size, struct pib_octets o)
{
	size_t len = o.len < size ? o.len : size - 1;

	if (len > 0)
		memcpy(to, o.p, len);
	to[len] = '\0';
}

struct taking {
	const struct pib_store *store;
	struct combo *given;
	size_t count;
};

static void take_row(void *arg, const struct pib_row *row)
{
	const struct pib_frwk_if_role_combo *itf = row->data;
	struct taking *t = arg;
	const struct pib_row *base = pib_store_find(
	    t->store, &pib_frwk_role_combo_class, row->instance);
	struct combo *g = &t->given[t->count];
	const struct pib_frwk_role_combo *combo;

	if (base == NULL)
		return;
	combo = base->data;
	g->index = (uint32_t)itf->if_index;
	g->instance = row->instance;
	copy_text(g->roles, sizeof(g->roles), combo->roles);
	copy_text(g->set, sizeof(g->set), combo->cap_set_name);
	t->count++;
}

int pep_roles_take(struct pep_roles *r, const struct pib_store *store)
{
	size_t n = pib_store_count(store, &pib_frwk_if_role_combo_class);
	struct taking t = {store, calloc(n + 1, sizeof(*t.given)), 0};
	struct combo *old = r->given;
	int rc = -1;

	if (t.given == NULL)
		return -1;
	pib_store_each(store, &pib_frwk_if_role_combo_class, take_row, &t);
	rc = renew(r, r->itf, r->itfs, t.given, t.count);
	free(rc < 0 ? t.given : old);
	return rc;
}

static int fault(struct pib_txn *t, const struct pib_row *row, enum pib_cperr code, uint16_t column)
{
	struct pib_fault f = {.cperr = (uint16_t)code, .sub = column};

	pib_fault_row(&f, row->cls, row->instance);
	pib_txn_fault(t, &f);
	return -1;
}

static bool has_set(const struct pep_roles *r, struct pib_octets name)
{
	for (size_t i = 0; i < r->capabilities; i++)
		if (strlen(r->capability[i].set) == name.len &&
		    memcmp(r->capability[i].set, name.p, name.len) == 0)
			return true;
	return name.len == 0;
}

/* Roles of an interface: '*' is for policy, never for what an interface has. */
static int judge_combo(const struct pep_roles *r, struct pib_txn *t, const struct pib_row *row)
{
	const struct pib_frwk_role_combo *combo = row->data;

	if (!pib_role_valid(combo->roles, false))
		return fault(t, row, PIB_CPERR_VALUE, PIB_FRWK_ROLE_COMBO_COL_ROLES);
	if (!has_set(r, combo->cap_set_name))
		return fault(t, row, PIB_CPERR_VALUE, PIB_FRWK_ROLE_COMBO_COL_CAP_SET_NAME);
	return 0;
}

static int judge_interface(const struct pep_roles *r, struct pib_txn *t, const struct pib_row *row)
{
	const struct pib_frwk_if_role_combo *itf = row->data;

	for (size_t i = 0; i < r->itfs; i++)
		if (r->itf[i].index == (uint32_t)itf->if_index)
			return 0;
	return fault(t, row, PIB_CPERR_VALUE, PIB_FRWK_IF_ROLE_COMBO_COL_IF_INDEX);
}

struct seen {
	const struct pib_row *row;
	uint32_t index;
	bool twice;
};

static void note_same(void *arg, const struct pib_row *row)
{
	const struct pib_frwk_if_role_combo *itf = row->data;
	struct seen *s = arg;

	if (row != s->row && (uint32_t)itf->if_index == s->index)
		s->twice = true;
}

/* One role combination for an interface, whatever its capability sets (RFC 3318 5). */
static int judge_once(const struct pib_store *store, struct pib_txn *t, const struct pib_row *row)
{
	const struct pib_frwk_if_role_combo *itf = row->data;
	struct seen s = {row, (uint32_t)itf->if_index, false};

	pib_store_each(store, &pib_frwk_if_role_combo_class, note_same, &s);
	return s.twice ? fault(t, row, PIB_CPERR_VALUE, PIB_FRWK_IF_ROLE_COMBO_COL_IF_INDEX) : 0;
}

int pep_roles_judge(const struct pep_roles *r, const struct pib_store *store, struct pib_txn *t)
{
	const struct pib_change *c;
	size_t n = pib_txn_changes(t, &c);
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pib_row *row = c[i].after;

		if (row != NULL && row->cls == &pib_frwk_role_combo_class)
			rc |= judge_combo(r, t, row);
		if (row != NULL && row->cls == &pib_frwk_if_role_combo_class &&
		    (judge_interface(r, t, row) != 0 || judge_once(store, t, row) != 0))
			rc = -1;
	}
	return rc;
}

/* ------------------------------------------------------------------ rows */

static struct pib_octets octets(const char *s)
{
	return (struct pib_octets) {(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct pib_octets prid_of(const struct pep_capability *c, struct pib_fault *f)
{
	pib_fault_row(f, c->cls, c->instance); /* knows a row's PRID */
	return (struct pib_octets) {f->prid, f->prid_len};
}

void pep_roles_put(const struct pep_roles *r,
    void (*put)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	for (size_t i = 0; i < r->capabilities; i++) {
		struct pib_fault f = {0};
		const struct pib_frwk_capability_set row = {.prid = (uint32_t)i + 1,
		    .name = octets(r->capability[i].set),
		    .capability = prid_of(&r->capability[i], &f)};

		put(arg, &pib_frwk_capability_set_class, row.prid, &row);
	}
	for (size_t i = 0; i < r->tolds; i++) {
		const struct combo *t = &r->told[i];
		const struct pib_frwk_role_combo combo = {
		    .prid = t->instance, .roles = octets(t->roles), .cap_set_name = octets(t->set)};
		const struct pib_frwk_if_role_combo itf = {.if_index = (int32_t)t->index};

		put(arg, &pib_frwk_role_combo_class, t->instance, &combo);
		put(arg, &pib_frwk_if_role_combo_class, t->instance, &itf);
	}
}
