/*
 * decode.c - see decode.h.  What the grammar and the tables of libcops say is wrong is
 * shown where it is; around it everything that can be read is.
 */
#include "copsctl/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "libcops/cops_def.h"
#include "libcops/cops_msg.h"
#include "libcops/cops_obj.h"
#include "libcops/cops_print.h"
#include "pib/pib_codec.h"

#define FAULT_LEN 256

/* --- pieces of JSON ----------------------------------------------------------- */

/* What was printed into b, which is cleared. */
static json_t *text_of(struct buf *b)
{
	json_t *text;

	buf_put_u8(b, '\0');
	text = b->failed ? NULL : json_text((const char *)b->data);
	buf_clear(b);
	return text;
}

static void fault_add(struct decode *d, json_t *list, size_t octet, const char *why)
{
	d->faults++;
	json_array_append_new(
	    list, json_pack("{s:s, s:I}", "fault", why, "octet", (json_int_t)octet));
}

static void cops_fault_add(struct decode *d, json_t *list, const struct cops_fault *f)
{
	char why[FAULT_LEN];

	snprintf(why, sizeof(why), "%s (error %s(%u))", f->why, cops_error_name(f->code), f->code);
	fault_add(d, list, f->offset, why);
}

static void octets_add(
    struct decode *d, json_t *list, const char *name, size_t octet, const uint8_t *p, size_t len)
{
	struct buf b;

	buf_init(&b, 0);
	cops_octets_print(&b, p, len, d->max);
	json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "octet", (json_int_t)octet, "name",
					name, "value", text_of(&b)));
}

static void rest_add(struct decode *d, json_t *list, size_t octet, const uint8_t *p, size_t len)
{
	octets_add(d, list, "octets not decoded", octet, p, len);
}

/* --- named data: sub-objects, rows ---------------------------------------------- */

/* Where the decoder of named data stands. */
struct named {
	struct decode *d;
	json_t *parts;
	const uint8_t *msg;	     /* its first octet */
	const struct pib_class *cls; /* of the last PRID or ErrorPRID, NULL = not known */
};

static json_t *column_text(
    struct decode *d, const struct pib_class *cls, const struct pib_column *c, const void *row)
{
	struct buf b;

	buf_init(&b, 0);
	if (c->base == PIB_OCTETS && c->display == PIB_SHOW_HEX && !pib_row_null(c, row)) {
		struct pib_octets o = pib_row_octets(c, row);

		cops_octets_print(&b, o.p, o.len, d->max);
	} else {
		pib_value_print(&b, cls, c, row);
	}
	return text_of(&b);
}

static void epd_add(struct named *n, const struct cops_sub *s, size_t octet)
{
	struct pib_fault f = {0};
	char why[FAULT_LEN];
	bool surplus = false;
	json_t *columns;
	void *row;

	if (n->cls == NULL) {
		octets_add(n->d, n->parts, "EPD", octet, s->body, s->len);
		return;
	}
	row = calloc(1, n->cls->row_size);
	if (row == NULL)
		return;
	if (pib_epd_decode(n->cls, s->body, s->len, row, &surplus, &f) < 0) {
		f.cls = n->cls;
		fault_add(n->d, n->parts, octet, pib_fault_print(&f, why, sizeof(why)));
		rest_add(n->d, n->parts, octet, s->body, s->len);
	} else {
		columns = json_object();
		for (uint8_t i = 0; i < n->cls->col_count; i++)
			json_object_set_new(columns, n->cls->col[i].name,
			    column_text(n->d, n->cls, &n->cls->col[i], row));
		json_array_append_new(
		    n->parts, json_pack("{s:I, s:s, s:s, s:o}", "octet", (json_int_t)octet, "name",
				  "EPD", "class", n->cls->name, "columns", columns));
		if (surplus)
			fault_add(n->d, n->parts, octet, "more attributes than the class has");
	}
	free(row);
}

/* A column by name, or an error of the class's own, in a CPERR's sub-code. */
static const char *cperr_sub_name(const struct pib_class *cls, uint16_t code, uint16_t sub)
{
	const struct pib_column *c;

	if (cls == NULL)
		return NULL;
	if (code == PIB_CPERR_SPECIFIC) {
		for (uint8_t i = 0; i < cls->install_error_count; i++)
			if (cls->install_errors[i].value == sub)
				return cls->install_errors[i].name;
		return NULL;
	}
	c = sub <= UINT8_MAX ? pib_column_find(cls, (uint8_t)sub) : NULL;
	return c != NULL ? c->name : NULL;
}

static void sub_add(struct named *n, const struct cops_sub *s)
{
	const char *name = cops_sub_desc_find(s->s_num, s->s_type)->name;
	size_t octet = (size_t)(s->body - COPS_OBJ_HDR_LEN - n->msg);
	const char *sub_name = NULL;
	struct buf b;

	if (s->s_num == COPS_S_EPD) {
		epd_add(n, s, octet);
		return;
	}
	buf_init(&b, 0);
	if (s->s_num == COPS_S_GPERR) {
		buf_printf(&b, "%s(%u)", pib_gperr_name(s->code), s->code);
		if (s->sub != 0)
			buf_printf(&b, ", sub-code 0x%04x", s->sub);
	} else if (s->s_num == COPS_S_CPERR) {
		buf_printf(&b, "%s(%u)", pib_cperr_name(s->code), s->code);
		sub_name = cperr_sub_name(n->cls, s->code, s->sub);
		if (sub_name != NULL)
			buf_printf(&b, ", %s(%u)", sub_name, s->sub);
		else if (s->sub != 0)
			buf_printf(&b, ", sub-code %u", s->sub);
	} else {
		n->cls = pib_prid_print(n->d->schema, &b, s->body, s->len);
	}
	json_array_append_new(n->parts, json_pack("{s:I, s:s, s:o}", "octet", (json_int_t)octet,
					    "name", name, "value", text_of(&b)));
}

static json_t *named_parts(struct decode *d, const uint8_t *msg, const struct cops_obj *o)
{
	struct named n = {.d = d, .parts = json_array(), .msg = msg};
	struct cops_sub_iter it;
	struct cops_sub s;

	cops_sub_iter_init(&it, o);
	for (;;) {
		const uint8_t *p = it.p;
		enum cops_sub_result res = cops_sub_iter_next(&it, &s);
		const char *why = NULL;

		switch (res) {
		case COPS_SUB_END:
			return n.parts;
		case COPS_SUB_OK:
			sub_add(&n, &s);
			break;
		case COPS_SUB_BAD_LEN:
			why = "impossible length of sub-object (GPERR invalidASN.1Length)";
			break;
		case COPS_SUB_BAD_PAD:
			why = "sub-object not padded with zeros (GPERR invalidObjectPad)";
			break;
		case COPS_SUB_UNKNOWN:
			why = "unknown sub-object (GPERR unknownCOPSPRObject)";
			break;
		}
		if (why != NULL) {
			fault_add(d, n.parts, (size_t)(p - msg), why);
			rest_add(d, n.parts, (size_t)(p - msg), p, (size_t)(it.p - p));
		}
	}
}

/* --- messages ------------------------------------------------------------------- */

static json_t *object_json(struct decode *d, const uint8_t *msg, const struct cops_obj *o)
{
	const struct cops_obj_desc *desc = cops_obj_desc_find(o->c_num, o->c_type);
	json_t *j = json_pack("{s:I, s:s, s:i, s:i}", "octet",
	    (json_int_t)(o->body - COPS_OBJ_HDR_LEN - msg), "name",
	    desc != NULL ? desc->name : "unknown object", "c_num", o->c_num, "c_type", o->c_type);
	struct buf b;

	if (desc != NULL && desc->body == COPS_BODY_SUBOBJ) {
		json_object_set_new(j, "parts", named_parts(d, msg, o));
		return j;
	}
	buf_init(&b, 0);
	cops_obj_print(&b, o, d->max);
	json_object_set_new(j, "value", text_of(&b));
	return j;
}

/* The objects of p[0..len), a message or what there is of it; *f, if there is one, among them. */
static json_t *objects_json(
    struct decode *d, const uint8_t *p, size_t len, const struct cops_fault *f)
{
	struct cops_obj_iter it = {p + COPS_HDR_LEN, p + len};
	json_t *list = json_array();
	struct cops_obj o;

	for (;;) {
		if (f != NULL && f->offset <= (size_t)(it.p - p)) {
			cops_fault_add(d, list, f);
			f = NULL;
		}
		if (!cops_obj_iter_try(&it, &o))
			break;
		json_array_append_new(list, object_json(d, p, &o));
	}
	if (f != NULL)
		cops_fault_add(d, list, f);
	if (it.p < it.end)
		rest_add(d, list, (size_t)(it.p - p), it.p, (size_t)(it.end - it.p));
	return list;
}

static void emit(struct decode *d, const struct decode_stream *s, json_t *m, json_t *objects)
{
	json_t *whole = json_pack("{s:i}", "n", ++d->messages);

	if (s->label[0] != '\0')
		json_object_set_new(whole, "stream", json_text(s->label));
	if (s->time[0] != '\0')
		json_object_set_new(whole, "time", json_text(s->time));
	json_object_set_new(whole, "octet", json_integer((json_int_t)s->at));
	json_object_update(whole, m);
	json_object_set_new(whole, "objects", objects);
	d->emit(d->arg, whole);
	json_decref(m);
	json_decref(whole);
}

static json_t *header_json(const uint8_t *p)
{
	return json_pack("{s:s, s:i, s:b, s:I}", "op", cops_op_name(p[1]), "client_type",
	    p[2] << 8 | p[3], "solicited", p[0] & COPS_FLAG_SOLICITED, "length",
	    (json_int_t)p[4] << 24 | p[5] << 16 | p[6] << 8 | p[7]);
}

/* A message of which total octets are here, all of them. */
static void message(struct decode *d, struct decode_stream *s, const uint8_t *p, size_t total)
{
	struct cops_fault fault = {0};
	struct cops_msg m;
	bool bad = cops_msg_parse(&m, p, total, DECODE_MSG_MAX, &fault) < 0;

	emit(d, s, header_json(p), objects_json(d, p, total, bad ? &fault : NULL));
}

/* Octets that are no message. */
static void no_message(
    struct decode *d, const struct decode_stream *s, const char *why, const uint8_t *p, size_t len)
{
	json_t *list = json_array();

	fault_add(d, list, 0, why);
	if (len > 0)
		rest_add(d, list, 0, p, len);
	emit(d, s, json_object(), list);
}

/* --- streams -------------------------------------------------------------------- */

void decode_stream_init(struct decode_stream *s, const char *label)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->label, sizeof(s->label), "%s", label);
	buf_init(&s->in, 0);
}

void decode_stream_clear(struct decode_stream *s)
{
	buf_clear(&s->in);
}

/* n octets of s->in are done with. */
static void stream_take(struct decode_stream *s, size_t n)
{
	buf_shift(&s->in, n);
	s->at += n;
}

static bool is_tls(const uint8_t *p, size_t len)
{
	return len >= 3 && p[0] >= 20 && p[0] <= 23 && p[1] == 3;
}

/* A place where no message begins: what there is is passed over. */
static void stream_lose(struct decode *d, struct decode_stream *s, const struct cops_fault *f)
{
	char why[FAULT_LEN];

	s->lost = true;
	s->tls = is_tls(s->in.data, s->in.len);
	if (s->tls) {
		json_t *list = json_array();

		json_array_append_new(list, json_pack("{s:s}", "note", "TLS from here on"));
		emit(d, s, json_object(), list);
	} else {
		snprintf(why, sizeof(why), "no COPS message: %s", f->why);
		no_message(d, s, why, s->in.data, s->in.len);
	}
	stream_take(s, s->in.len);
}

void decode_put(struct decode *d, struct decode_stream *s, const uint8_t *p, size_t len)
{
	struct cops_fault f = {0};
	size_t done = 0;
	int64_t n;

	if (s->lost && (s->tls || cops_msg_frame(p, len, DECODE_MSG_MAX, &f) <= 0)) {
		s->at += len;
		return;
	}
	s->lost = false;
	buf_put(&s->in, p, len);
	if (s->in.failed) {
		buf_clear(&s->in);
		decode_gap(d, s, len);
		return;
	}
	for (;;) {
		n = cops_msg_frame(s->in.data + done, s->in.len - done, DECODE_MSG_MAX, &f);
		if (n <= 0 || (size_t)n > s->in.len - done)
			break;
		message(d, s, s->in.data + done, (size_t)n);
		done += (size_t)n;
		s->at += (size_t)n;
	}
	buf_shift(&s->in, done);
	if (n < 0)
		stream_lose(d, s, &f);
}

void decode_end(struct decode *d, struct decode_stream *s)
{
	size_t len = s->in.len;
	char why[FAULT_LEN];
	json_t *list;

	if (len == 0)
		return;
	if (len < COPS_HDR_LEN) {
		no_message(d, s, "the input ends inside a header", s->in.data, len);
	} else {
		list = objects_json(d, s->in.data, len, NULL);
		snprintf(
		    why, sizeof(why), "the input ends here, after %zu octets of the message", len);
		fault_add(d, list, len, why);
		emit(d, s, header_json(s->in.data), list);
	}
	stream_take(s, len);
}

void decode_gap(struct decode *d, struct decode_stream *s, uint64_t octets)
{
	char why[FAULT_LEN];

	decode_end(d, s);
	if (!s->tls) {
		snprintf(why, sizeof(why), "%llu octets are missing in the capture",
		    (unsigned long long)octets);
		no_message(d, s, why, NULL, 0);
	}
	s->at += octets;
	s->lost = true;
}
