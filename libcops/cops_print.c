/*
 * cops_print.c - see cops_print.h.  How a value is laid out comes from the object
 * table; what its numbers mean from the table of value printers here.
 */
#include "libcops/cops_print.h"

#include <time.h>

#include "common/addr.h"
#include "common/buf.h"
#include "libcops/cops_be.h"

#define LINE_OCTETS  16 /* of a handle in a line */
#define LINE_CLASSES 32 /* counted apart in a line */

void cops_octets_print(struct buf *b, const uint8_t *p, size_t len, size_t max)
{
	size_t n = max != 0 && len > max ? max : len;

	for (size_t i = 0; i < n; i++)
		buf_printf(b, "%02x", p[i]);
	if (n < len)
		buf_printf(b, "... %zu more", len - n);
}

void cops_text_print(struct buf *b, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] < ' ' || p[i] > '~' || p[i] == '\\')
			buf_printf(b, "\\x%02x", p[i]);
		else
			buf_put_u8(b, p[i]);
	}
}

/* --- values ----------------------------------------------------------------- */

static void code_print(struct buf *b, const char *name, unsigned code)
{
	buf_printf(b, "%s(%u)", name, code);
}

static void context_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	if (hi == COPS_R_CONFIG)
		buf_printf(b, "configuration");
	else
		buf_printf(b, "R-Type 0x%04x", hi);
	if (lo != 0)
		buf_printf(b, ", M-Type 0x%04x", lo);
}

static void decision_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	uint16_t other = (uint16_t)(lo & ~(COPS_DEC_TRIGGER_ERROR | COPS_DEC_REQUEST_STATE));

	code_print(b, cops_command_name(hi), hi);
	if (lo & COPS_DEC_TRIGGER_ERROR)
		buf_printf(b, ", trigger error");
	if (lo & COPS_DEC_REQUEST_STATE)
		buf_printf(b, ", request-state");
	if (other != 0)
		buf_printf(b, ", flags 0x%04x", other);
}

/* The sub-code names an object or not (RFC 2748 2.2.8, RFC 4261 4). */
static void error_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	const struct cops_obj_desc *d = NULL;

	code_print(b, cops_error_name(hi), hi);
	if (hi == COPS_ERR_UNKNOWN_OBJECT || hi == COPS_ERR_AUTH_REQUIRED)
		d = cops_obj_desc_find((uint8_t)(lo >> 8), (uint8_t)lo);
	if (lo != 0)
		buf_printf(b, ", sub-code 0x%04x%s%s%s", lo, d != NULL ? " (" : "",
		    d != NULL ? d->name : "", d != NULL ? ")" : "");
}

static void reason_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	code_print(b, cops_reason_name(hi), hi);
	if (lo != 0)
		buf_printf(b, ", sub-code 0x%04x", lo);
}

static void report_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	(void)lo;
	code_print(b, cops_report_name(hi), hi);
}

static void seconds_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	(void)hi;
	buf_printf(b, "%u s", lo);
}

static void integrity_tls_print(struct buf *b, uint16_t hi, uint16_t lo)
{
	(void)hi;
	buf_printf(b, lo == COPS_TLS_START ? "start TLS" : "flags 0x%04x", lo);
}

/* The meaning of a 4-octet value. */
static void (*const pair_print[COPS_C_INTEGRITY + 1])(struct buf *b, uint16_t hi, uint16_t lo) = {
    [COPS_C_CONTEXT] = context_print,
    [COPS_C_REASON] = reason_print,
    [COPS_C_DECISION] = decision_print,
    [COPS_C_LPDP_DECISION] = decision_print,
    [COPS_C_ERROR] = error_print,
    [COPS_C_KA_TIMER] = seconds_print,
    [COPS_C_REPORT_TYPE] = report_print,
    [COPS_C_ACCT_TIMER] = seconds_print,
    [COPS_C_INTEGRITY] = integrity_tls_print,
};

/* The address before the last four octets of the body. */
static void address_print(struct buf *b, const struct cops_obj *o, bool port)
{
	char s[ADDR_STRLEN];
	struct addr a;

	if (addr_from_octets(&a, o->body, o->len - 4u) != 0)
		return;
	addr_print(&a, s);
	if (!port)
		buf_printf(b, "%s, ifindex %u", s, cops_be32(o->body + o->len - 4));
	else
		buf_printf(b, o->len > 8 ? "[%s]:%u" : "%s:%u", s, cops_be16(o->body + o->len - 2));
}

static void string_print(struct buf *b, const struct cops_obj *o)
{
	size_t len = o->len;

	while (len > 0 && o->body[len - 1] == 0)
		len--;
	cops_text_print(b, o->body, len);
}

void cops_obj_print(struct buf *b, const struct cops_obj *o, size_t max)
{
	const struct cops_obj_desc *d = cops_obj_desc_find(o->c_num, o->c_type);
	uint32_t len = COPS_OBJ_HDR_LEN + (uint32_t)o->len;

	if (d == NULL || len < d->len_min || len > d->len_max) {
		cops_octets_print(b, o->body, o->len, max);
		return;
	}
	switch (d->body) {
	case COPS_BODY_U16_U16:
	case COPS_BODY_RSV_U16:
	case COPS_BODY_U16_RSV:
		pair_print[o->c_num](b, cops_obj_hi(o), cops_obj_lo(o));
		break;
	case COPS_BODY_IF:
	case COPS_BODY_ADDR_PORT:
		address_print(b, o, d->body == COPS_BODY_ADDR_PORT);
		break;
	case COPS_BODY_STRING:
		string_print(b, o);
		break;
	case COPS_BODY_INTEGRITY:
		buf_printf(
		    b, "key %u, sequence %u, digest ", cops_be32(o->body), cops_be32(o->body + 4));
		cops_octets_print(b, o->body + 8, o->len - 8u, max);
		break;
	case COPS_BODY_OCTETS:
	case COPS_BODY_SUBOBJ:
		cops_octets_print(b, o->body, o->len, max);
		break;
	}
}

bool cops_obj_iter_try(struct cops_obj_iter *it, struct cops_obj *o)
{
	size_t left = (size_t)(it->end - it->p);
	uint32_t len = left < COPS_OBJ_HDR_LEN ? 0 : cops_be16(it->p);

	if (len < COPS_OBJ_HDR_LEN || len + cops_pad(len) > left)
		return false;
	return cops_obj_iter_next(it, o);
}

/* --- a line ----------------------------------------------------------------- */

/* Rows of one command, or errors of a report, by class. */
struct tally {
	unsigned n; /* of class[] */
	unsigned rows;
	struct {
		const char *name;
		unsigned rows;
	} class[LINE_CLASSES];
};

static void tally_add(struct tally *t, const char *name)
{
	t->rows++;
	for (unsigned i = 0; i < t->n; i++)
		if (t->class[i].name == name) {
			t->class[i].rows++;
			return;
		}
	if (t->n < LINE_CLASSES) {
		t->class[t->n].name = name;
		t->class[t->n++].rows = 1;
	}
}

static void tally_print(struct buf *b, const struct tally *t)
{
	buf_printf(b, " %u row%s", t->rows, t->rows == 1 ? "" : "s");
	for (unsigned i = 0; i < t->n; i++)
		buf_printf(b, "%s%s %u", i == 0 ? " (" : ", ",
		    t->class[i].name != NULL ? t->class[i].name : "?", t->class[i].rows);
	buf_printf(b, t->n > 0 ? ")" : "");
}

static const char *class_of(const struct cops_namer *names, const struct cops_sub *s)
{
	if (names->class_name == NULL)
		return NULL;
	return names->class_name(names->arg, s->body, s->len);
}

/* Count the PRIDs of named data; errors (GPERR, CPERR) are printed as they come. */
static void named_line(
    struct buf *b, struct tally *t, const struct cops_obj *named, const struct cops_namer *names)
{
	struct cops_sub_iter it;
	enum cops_sub_result res;
	struct cops_sub s;
	const char *(*code)(unsigned);

	cops_sub_iter_init(&it, named);
	while ((res = cops_sub_iter_next(&it, &s)) != COPS_SUB_END) {
		if (res != COPS_SUB_OK) {
			buf_printf(b, " bad sub-object");
			continue;
		}
		if (s.s_num == COPS_S_PRID || s.s_num == COPS_S_PPRID) {
			tally_add(t, class_of(names, &s));
		} else if (s.s_num == COPS_S_ERROR_PRID) {
			const char *name = class_of(names, &s);

			buf_printf(b, " at %s", name != NULL ? name : "?");
		} else if (s.s_num != COPS_S_EPD) {
			code = s.s_num == COPS_S_GPERR ? names->gperr : names->cperr;
			buf_printf(b, " %s %s(%u) sub-code %u",
			    s.s_num == COPS_S_GPERR ? "GPERR" : "CPERR",
			    code != NULL ? code(s.code) : "", s.code, s.sub);
		}
	}
}

static void decisions_line(struct buf *b, const struct cops_msg *m, const struct cops_namer *names)
{
	struct cops_dec_iter it;
	struct cops_decision d;
	const char *gap = "";

	cops_dec_iter_init(&it, m);
	while (cops_dec_iter_next(&it, &d)) {
		struct tally t = {0};

		buf_printf(b, "%s %s", gap, cops_command_name(d.command));
		if (d.flags & COPS_DEC_REQUEST_STATE)
			buf_printf(b, " request-state");
		if (d.data.c_num != 0) {
			named_line(b, &t, &d.data, names);
			tally_print(b, &t);
		}
		gap = ",";
	}
}

static void client_si_line(struct buf *b, const struct cops_msg *m, const struct cops_namer *names)
{
	struct tally t = {0};
	struct cops_obj_iter it;
	struct cops_obj o;

	cops_si_iter_init(&it, m);
	while (cops_si_iter_next(&it, &o))
		named_line(b, &t, &o, names);
	if (t.rows > 0)
		tally_print(b, &t);
}

/* Objects that a line shows, in this order, with this before each. */
static const struct {
	uint8_t slot;
	const char *label;
} line_slots[] = {
    {COPS_SLOT_PEPID, ""},
    {COPS_SLOT_LAST_PDP, "last PDP "},
    {COPS_SLOT_REPORT_TYPE, ""},
    {COPS_SLOT_REASON, ""},
    {COPS_SLOT_ERROR, ""},
    {COPS_SLOT_PDP_REDIR, "to "},
    {COPS_SLOT_KA_TIMER, "keep-alive "},
    {COPS_SLOT_ACCT_TIMER, "accounting "},
    {COPS_SLOT_INTEGRITY_TLS, ""},
};

void cops_msg_print_line(struct buf *b, const struct cops_msg *m, const struct cops_fault *fault,
    const struct cops_namer *names)
{
	const struct cops_obj *handle = &m->slot[COPS_SLOT_HANDLE];

	buf_printf(b, "%s 0x%04x %s %u octets", cops_op_name(m->op), m->client_type,
	    m->solicited ? "solicited" : "-", m->len);
	if (handle->c_num != 0) {
		buf_printf(b, " handle ");
		cops_octets_print(b, handle->body, handle->len, LINE_OCTETS);
	}
	buf_printf(b, ":");
	for (size_t i = 0; i < sizeof(line_slots) / sizeof(line_slots[0]); i++) {
		const struct cops_obj *o = &m->slot[line_slots[i].slot];

		if (o->c_num != 0) {
			buf_printf(b, " %s", line_slots[i].label);
			cops_obj_print(b, o, LINE_OCTETS);
		}
	}
	if (fault != NULL) {
		buf_printf(b, " FAULT at octet %u: %s (error %s(%u))", fault->offset, fault->why,
		    cops_error_name(fault->code), fault->code);
		return;
	}
	if (m->op == COPS_OP_DEC)
		decisions_line(b, m, names);
	else
		client_si_line(b, m, names);
}

void cops_trace_write(FILE *f, const char *peer, bool out, const struct cops_msg *m,
    const struct cops_fault *fault, const struct cops_namer *names)
{
	struct timespec now;
	struct tm tm;
	char date[32];
	struct buf b;

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
	buf_init(&b, 0);
	buf_printf(&b, "%s.%06ldZ %s %s ", date, now.tv_nsec / 1000, out ? "->" : "<-", peer);
	cops_msg_print_line(&b, m, fault, names);
	buf_put_u8(&b, '\n');
	if (!b.failed) {
		fwrite(b.data, 1, b.len, f); /* one call: under the stream's lock */
		fflush(f);
	}
	buf_clear(&b);
}
