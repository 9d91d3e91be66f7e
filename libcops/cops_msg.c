/*
 * cops_msg.c - decoding: one table of messages, one grammar per message, and one
 * loop that walks a message's objects along its grammar.  The view points into
 * the caller's octets; no length is believed before it was compared with what is
 * there.
 */
#include "libcops/cops_msg.h"

#include <string.h>

#include "libcops/cops_be.h"

#define MANY	UINT8_MAX /* no upper bound */
#define NO_SLOT COPS_SLOT_MAX

/*
 * One position of a grammar.  Objects come in the order of positions, each min..max
 * times.  Leaving a position skips the next `skip` ones if its object was seen, the
 * next `skip_absent` if not; from the last position of a group of `group` ones the
 * group may begin again.
 */
struct elem {
	uint8_t c_num;
	uint8_t c_type; /* 0 = any that exists */
	uint8_t min;
	uint8_t max;
	uint8_t slot;
	uint8_t skip;
	uint8_t skip_absent;
	uint8_t group;
};

enum type_rule { TYPE_ANY, TYPE_ZERO, TYPE_CLIENT };

struct grammar {
	uint8_t n;
	bool may_solicit;
	enum type_rule type;
	struct elem elem[6];
};

#define ONE(num, type, slot)                                                                       \
	{                                                                                          \
		COPS_C_##num, type, 1, 1, COPS_SLOT_##slot, 0, 0, 0                                \
	}
#define OPT(num, type, slot)                                                                       \
	{                                                                                          \
		COPS_C_##num, type, 0, 1, COPS_SLOT_##slot, 0, 0, 0                                \
	}
#define ANYNUM(num, type)                                                                          \
	{                                                                                          \
		COPS_C_##num, type, 0, MANY, NO_SLOT, 0, 0, 0                                      \
	}
#define INTEGRITY_OPT OPT(INTEGRITY, 1, INTEGRITY)

/*
 * RFC 2748 section 3 as RFC 3084 section 3 narrows it for COPS-PR.  A DEC has an
 * Error or any number of decisions, each Context, Flags and perhaps named data
 * (3084 3.2 allows none at all).  Integrity-TLS only opens connections (4261 4).
 */
static const struct grammar grammars[COPS_OP_MAX + 1] = {
    [COPS_OP_REQ] = {4, false, TYPE_CLIENT,
	{ONE(HANDLE, 1, HANDLE), ONE(CONTEXT, 1, CONTEXT), ANYNUM(CLIENT_SI, 2), INTEGRITY_OPT}},
    [COPS_OP_DEC] = {6, true, TYPE_CLIENT,
	{ONE(HANDLE, 1, HANDLE), {COPS_C_ERROR, 1, 0, 1, COPS_SLOT_ERROR, 3, 0, 0},
	    {COPS_C_CONTEXT, 1, 0, 1, NO_SLOT, 0, 2, 0},
	    {COPS_C_DECISION, 1, 1, 1, NO_SLOT, 0, 0, 0},
	    {COPS_C_DECISION, 5, 0, 1, NO_SLOT, 0, 0, 3}, INTEGRITY_OPT}},
    [COPS_OP_RPT] = {4, true, TYPE_CLIENT,
	{ONE(HANDLE, 1, HANDLE), ONE(REPORT_TYPE, 1, REPORT_TYPE), ANYNUM(CLIENT_SI, 2),
	    INTEGRITY_OPT}},
    [COPS_OP_DRQ] = {3, false, TYPE_CLIENT,
	{ONE(HANDLE, 1, HANDLE), ONE(REASON, 1, REASON), INTEGRITY_OPT}},
    [COPS_OP_SSQ] = {2, false, TYPE_CLIENT, {OPT(HANDLE, 1, HANDLE), INTEGRITY_OPT}},
    [COPS_OP_OPN] = {5, false, TYPE_ANY,
	{ONE(PEPID, 1, PEPID), {COPS_C_CLIENT_SI, 0, 0, 1, NO_SLOT, 0, 0, 0},
	    OPT(LAST_PDP, 0, LAST_PDP), OPT(INTEGRITY, 2, INTEGRITY_TLS), INTEGRITY_OPT}},
    [COPS_OP_CAT] = {4, false, TYPE_ANY,
	{ONE(KA_TIMER, 1, KA_TIMER), OPT(ACCT_TIMER, 1, ACCT_TIMER),
	    OPT(INTEGRITY, 2, INTEGRITY_TLS), INTEGRITY_OPT}},
    [COPS_OP_CC] = {3, false, TYPE_ANY,
	{ONE(ERROR, 1, ERROR), OPT(PDP_REDIR, 0, PDP_REDIR), INTEGRITY_OPT}},
    [COPS_OP_KA] = {1, false, TYPE_ZERO, {INTEGRITY_OPT}},
    [COPS_OP_SSC] = {2, false, TYPE_CLIENT, {OPT(HANDLE, 1, HANDLE), INTEGRITY_OPT}},
};

static int fault_set(
    struct cops_fault *f, enum cops_error code, uint16_t sub, size_t offset, const char *why)
{
	f->code = (uint16_t)code;
	f->sub = sub;
	f->offset = (uint32_t)offset;
	f->why = why;
	return -1;
}

int64_t cops_msg_frame(const uint8_t *p, size_t len, uint32_t max_len, struct cops_fault *f)
{
	uint32_t total;

	if (len < COPS_HDR_LEN)
		return 0;
	total = cops_be32(p + 4);
	if (p[0] >> 4 != COPS_VERSION)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 0, "not COPS version 1");
	if (p[0] & 0x0f & ~COPS_FLAG_SOLICITED)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 0, "reserved header flag set");
	if (p[1] == 0 || p[1] > COPS_OP_MAX)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 1, "no such op-code");
	if (total < COPS_HDR_LEN || total % 4 != 0)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 4, "impossible message length");
	if (total > max_len)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 4, "message too long");
	return total;
}

/* The header against the row of its op-code. */
static int header_check(const struct cops_msg *m, struct cops_fault *f)
{
	const struct grammar *g = &grammars[m->op];

	if (m->solicited && !g->may_solicit)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, 0, "solicited bit out of place");
	if ((g->type == TYPE_ZERO && m->client_type != 0) ||
	    (g->type == TYPE_CLIENT && m->client_type == 0))
		return fault_set(
		    f, COPS_ERR_BAD_MESSAGE, 0, 2, "wrong client-type for this message");
	return 0;
}

/* Read the object at p; returns octets it takes with padding, or -1. */
static int64_t object_read(
    struct cops_obj *o, const uint8_t *p, size_t left, size_t at, struct cops_fault *f)
{
	const struct cops_obj_desc *d;
	uint32_t len;

	if (left < COPS_OBJ_HDR_LEN)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, at, "object header cut short");
	len = cops_be16(p);
	if (len < COPS_OBJ_HDR_LEN || len + cops_pad(len) > left)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, at, "object does not fit the message");
	o->c_num = p[2];
	o->c_type = p[3];
	o->len = (uint16_t)(len - COPS_OBJ_HDR_LEN);
	o->body = p + COPS_OBJ_HDR_LEN;
	d = cops_obj_desc_find(o->c_num, o->c_type);
	if (d == NULL)
		return fault_set(
		    f, COPS_ERR_UNKNOWN_OBJECT, cops_be16(p + 2), at, "unknown object");
	if (len < d->len_min || len > d->len_max)
		return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, at, "object length out of bounds");
	return len + cops_pad(len);
}

static bool elem_takes(const struct elem *e, const struct cops_obj *o)
{
	return e->c_num == o->c_num && (e->c_type == 0 || e->c_type == o->c_type);
}

/* Where a walk along a grammar stands: at position pos, whose object was seen count times. */
struct walk {
	const struct grammar *g;
	unsigned pos;
	unsigned count;
};

/* Go on to the next position; false when a mandatory object was not seen. */
static bool walk_leave(struct walk *w)
{
	const struct elem *e = &w->g->elem[w->pos];

	if (w->count < e->min)
		return false;
	w->pos += 1u + (w->count > 0 ? e->skip : e->skip_absent);
	w->count = 0;
	return true;
}

/* An object the grammar cannot take here: is something missing before it, or is it misplaced? */
static int walk_fault(
    const struct walk *w, const struct cops_obj *o, size_t at, struct cops_fault *f)
{
	for (unsigned i = w->pos; i < w->g->n; i++)
		if (elem_takes(&w->g->elem[i], o))
			return fault_set(
			    f, COPS_ERR_OBJECT_MISSING, 0, at, "mandatory object missing");
	return fault_set(f, COPS_ERR_BAD_MESSAGE, 0, at, "object not allowed here");
}

static int walk_step(
    struct walk *w, struct cops_msg *m, const struct cops_obj *o, size_t at, struct cops_fault *f)
{
	const struct elem *e;

	for (;;) {
		if (w->pos >= w->g->n)
			return walk_fault(w, o, at, f);
		e = &w->g->elem[w->pos];
		if (elem_takes(e, o) && w->count < e->max)
			break;
		if (e->group > 0 && elem_takes(e - (e->group - 1), o)) {
			w->pos -= e->group - 1u;
			w->count = 0;
		} else if (!walk_leave(w)) {
			return walk_fault(w, o, at, f);
		}
	}
	w->count = e->max == MANY ? 1 : w->count + 1;
	if (e->slot != NO_SLOT)
		m->slot[e->slot] = *o;
	return 0;
}

static int walk_end(struct walk *w, size_t at, struct cops_fault *f)
{
	while (w->pos < w->g->n)
		if (!walk_leave(w))
			return fault_set(
			    f, COPS_ERR_OBJECT_MISSING, 0, at, "mandatory object missing");
	return 0;
}

int64_t cops_msg_parse(
    struct cops_msg *m, const uint8_t *p, size_t len, uint32_t max_len, struct cops_fault *f)
{
	struct walk w;
	struct cops_obj o;
	int64_t total;
	int64_t n;

	memset(m, 0, sizeof(*m));
	total = cops_msg_frame(p, len, max_len, f);
	if (total <= 0)
		return total;
	if ((size_t)total > len)
		return 0;
	m->op = p[1];
	m->solicited = p[0] & COPS_FLAG_SOLICITED;
	m->client_type = cops_be16(p + 2);
	m->len = (uint32_t)total;
	m->octets = p;
	if (header_check(m, f) < 0)
		return -1;
	w = (struct walk) {.g = &grammars[m->op]};
	for (size_t at = COPS_HDR_LEN; at < m->len; at += (size_t)n) {
		n = object_read(&o, p + at, m->len - at, at, f);
		if (n < 0 || walk_step(&w, m, &o, at, f) < 0)
			return -1;
	}
	if (walk_end(&w, m->len, f) < 0)
		return -1;
	if (m->client_type != 0 && cops_msg_has(m, COPS_SLOT_INTEGRITY_TLS))
		return fault_set(
		    f, COPS_ERR_BAD_MESSAGE, 0, 2, "Integrity-TLS outside client-type 0");
	return total;
}

bool cops_msg_has(const struct cops_msg *m, enum cops_slot slot)
{
	return m->slot[slot].c_num != 0;
}

bool cops_pepid_get(const struct cops_obj *o, char pepid[COPS_PEPID_MAX + 1])
{
	size_t len = strnlen((const char *)o->body, o->len);

	if (len == 0 || len > COPS_PEPID_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (o->body[i] <= ' ' || o->body[i] > '~')
			return false;
	for (size_t i = len; i < o->len; i++)
		if (o->body[i] != 0)
			return false;
	memcpy(pepid, o->body, len);
	pepid[len] = '\0';
	return true;
}

void cops_obj_iter_init(struct cops_obj_iter *it, const struct cops_msg *m)
{
	it->p = m->octets + COPS_HDR_LEN;
	it->end = m->octets + m->len;
}

bool cops_obj_iter_next(struct cops_obj_iter *it, struct cops_obj *o)
{
	uint32_t len;

	if (it->p == it->end)
		return false;
	len = cops_be16(it->p);
	o->c_num = it->p[2];
	o->c_type = it->p[3];
	o->len = (uint16_t)(len - COPS_OBJ_HDR_LEN);
	o->body = it->p + COPS_OBJ_HDR_LEN;
	it->p += len + cops_pad(len);
	return true;
}

/* The next object of one kind. */
static bool iter_find(struct cops_obj_iter *it, uint8_t c_num, uint8_t c_type, struct cops_obj *o)
{
	while (cops_obj_iter_next(it, o))
		if (o->c_num == c_num && o->c_type == c_type)
			return true;
	return false;
}

void cops_dec_iter_init(struct cops_dec_iter *it, const struct cops_msg *m)
{
	cops_obj_iter_init(&it->objs, m);
	if (!iter_find(&it->objs, COPS_C_CONTEXT, 1, &it->pending))
		it->pending.c_num = 0;
}

/* The grammar put Flags after each Context and at most one data object after Flags. */
bool cops_dec_iter_next(struct cops_dec_iter *it, struct cops_decision *d)
{
	struct cops_obj o;

	memset(d, 0, sizeof(*d));
	if (it->pending.c_num != COPS_C_CONTEXT)
		return false;
	d->r_type = cops_obj_hi(&it->pending);
	d->m_type = cops_obj_lo(&it->pending);
	it->pending.c_num = 0;
	if (!cops_obj_iter_next(&it->objs, &o))
		return false;
	d->command = cops_obj_hi(&o);
	d->flags = cops_obj_lo(&o);
	if (!cops_obj_iter_next(&it->objs, &o))
		return true;
	if (o.c_num == COPS_C_DECISION) {
		d->data = o;
		if (!cops_obj_iter_next(&it->objs, &o))
			return true;
	}
	it->pending = o;
	return true;
}

void cops_si_iter_init(struct cops_obj_iter *it, const struct cops_msg *m)
{
	cops_obj_iter_init(it, m);
}

bool cops_si_iter_next(struct cops_obj_iter *it, struct cops_obj *o)
{
	return iter_find(it, COPS_C_CLIENT_SI, 2, o);
}

void cops_sub_iter_init(struct cops_sub_iter *it, const struct cops_obj *named)
{
	it->p = named->body;
	it->end = named->body + named->len;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n > 0)
		if (p[--n] != 0)
			return false;
	return true;
}

enum cops_sub_result cops_sub_iter_next(struct cops_sub_iter *it, struct cops_sub *s)
{
	const struct cops_sub_desc *d;
	size_t left = (size_t)(it->end - it->p);
	const uint8_t *p = it->p;
	uint32_t len;

	memset(s, 0, sizeof(*s));
	if (left == 0)
		return COPS_SUB_END;
	it->p = it->end; /* until we know where the next one begins */
	if (left < COPS_OBJ_HDR_LEN)
		return COPS_SUB_BAD_LEN;
	len = cops_be16(p);
	s->s_num = p[2];
	s->s_type = p[3];
	if (len < COPS_OBJ_HDR_LEN || len + cops_pad(len) > left)
		return COPS_SUB_BAD_LEN;
	s->len = (uint16_t)(len - COPS_OBJ_HDR_LEN);
	s->body = p + COPS_OBJ_HDR_LEN;
	it->p = p + len + cops_pad(len);
	if (!all_zero(p + len, cops_pad(len)))
		return COPS_SUB_BAD_PAD;
	d = cops_sub_desc_find(s->s_num, s->s_type);
	if (d == NULL)
		return COPS_SUB_UNKNOWN;
	if (len < d->len_min || len > d->len_max)
		return COPS_SUB_BAD_LEN;
	if (d->body == COPS_BODY_U16_U16) {
		s->code = cops_be16(s->body);
		s->sub = cops_be16(s->body + 2);
	}
	return COPS_SUB_OK;
}
