/* delta_int.h - what delta.c and delta_since.c share. */
#ifndef PDP_DELTA_INT_H
#define PDP_DELTA_INT_H

#include "pdp/delta.h"
#include "pdp/rows.h"

/*
 * The install rows of m for a view (PEER, VIA, BLOCKED), borrowed from the snapshot, which keeps
 * them. NULL: there are none, or *failed.
 */
struct cops_chunk *delta_member_rows(struct model_member *m, enum view v, bool *failed);
/* How many rows that is. */
size_t delta_member_count(const struct model_member *m, enum view v);

static inline struct rows_set delta_sites(const struct model_member *m, enum view v)
{
	return (struct rows_set) {.p = m->site, .n = m->sites, .at = rows_site_at(m, v)};
}

static inline struct rows_set delta_space(const struct model_member *r)
{
	return (struct rows_set) {.p = r->vpn->space, .n = r->vpn->spaces, .at = rows_space_at(r)};
}

/* Prefixes of excluded members: discarded, whoever sees them. */
static inline struct rows_set delta_withheld(const struct model_vpn *v)
{
	return (struct rows_set) {.p = v->withheld, .n = v->withhelds, .at = {.how = ROWS_PEER}};
}

static inline struct rows_set delta_internet(const struct model_member *r)
{
	struct rows_set s = {.at = rows_internet_at(r)};
	s.p = model_internet(r, &s.n);
	return s;
}

/* In the same order: are they the same numbers? */
static inline bool delta_prefixes_differ(
    const struct model_prefix *b, size_t bn, const struct model_prefix *a, size_t an)
{
	if (bn != an)
		return true;
	for (size_t i = 0; i < an; i++)
		if (b[i].id != a[i].id)
			return true;
	return false;
}

#endif
