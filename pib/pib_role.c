/*
 * pib_role.c - see pib_role.h.  A combination is walked role by role; as they are sorted,
 * one pass over both sides answers everything.
 */
#include <string.h>

#include "pib/pib_codec.h"
#include "pib/pib_role.h"

static bool letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool role_octet(uint8_t c)
{
	return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* Cut the role up to the next '+' off the front of *rest.  False: there is none left. */
static bool next_role(struct pib_octets *rest, struct pib_octets *role)
{
	const uint8_t *plus;

	if (rest->p == NULL)
		return false;
	plus = memchr(rest->p, '+', rest->len);
	role->p = rest->p;
	role->len = plus != NULL ? (uint32_t)(plus - rest->p) : rest->len;
	rest->len -= plus != NULL ? role->len + 1 : role->len;
	rest->p = plus != NULL ? plus + 1 : NULL;
	return true;
}

static int role_cmp(struct pib_octets a, struct pib_octets b)
{
	uint32_t len = a.len < b.len ? a.len : b.len;
	int cmp = len > 0 ? memcmp(a.p, b.p, len) : 0;

	return cmp != 0 ? cmp : (a.len > b.len) - (a.len < b.len);
}

static bool is_star(struct pib_octets role)
{
	return role.len == 1 && role.p[0] == '*';
}

static bool role_valid(struct pib_octets role)
{
	if (role.len == 0 || role.len > PIB_ROLE_MAX || !letter(role.p[0]))
		return false;
	for (uint32_t i = 1; i < role.len; i++)
		if (!role_octet(role.p[i]))
			return false;
	return true;
}

bool pib_role_valid(struct pib_octets o, bool wild)
{
	struct pib_octets role, before = {NULL, 0};

	if (o.len == 0)
		return true;
	if (o.len > PIB_ROLE_COMBO_MAX)
		return false;
	while (next_role(&o, &role)) {
		bool star = wild && before.p == NULL && is_star(role);

		if (!star && !role_valid(role))
			return false;
		if (before.p != NULL && role_cmp(before, role) >= 0)
			return false;
		before = role;
	}
	return true;
}

bool pib_role_match(struct pib_octets policy, struct pib_octets roles)
{
	struct pib_octets wanted, has;

	if (policy.len == 0 || policy.p[0] != '*')
		return policy.len == roles.len &&
		       (policy.len == 0 || memcmp(policy.p, roles.p, policy.len) == 0);
	if (roles.len == 0)
		roles.p = NULL;
	next_role(&policy, &wanted); /* the star */
	while (next_role(&policy, &wanted)) {
		int cmp = 1;

		while (cmp > 0 && next_role(&roles, &has))
			cmp = role_cmp(wanted, has);
		if (cmp != 0)
			return false;
	}
	return true;
}

int pib_role_judge(const struct pib_class *cls, const void *row, bool wild, struct pib_fault *f)
{
	for (uint8_t i = 0; i < cls->col_count; i++) {
		const struct pib_column *c = &cls->col[i];

		if (!c->roles || pib_row_null(c, row) ||
		    pib_role_valid(pib_row_octets(c, row), wild))
			continue;
		*f = (struct pib_fault) {.cperr = PIB_CPERR_VALUE, .sub = c->number, .cls = cls};
		return -1;
	}
	return 0;
}
