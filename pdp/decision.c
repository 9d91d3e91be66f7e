/* decision.c - see decision.h. */
#include "pdp/decision.h"

#include <stdlib.h>

#include "libcops/cops_msg.h"
#include "pib/pib_codec.h"

/* Room for a PRID, headers and padding beside the EPD of one more row. */
#define ROW_EXTRA 96
#define NAMED_MAX 65535
#define ANY_TYPE  0xffff /* a DEC has some client-type, but the rows do not care */

void decision_init(struct decision *d, enum cops_command command)
{
	*d = (struct decision) {.command = command};
	buf_init(&d->b, 0);
}

void decision_clear(struct decision *d)
{
	buf_clear(&d->b);
	d->open = false;
}

static void close_named(struct decision *d)
{
	if (d->open)
		cops_named_close(&d->b, d->mark);
	d->open = false;
}

/* The PRID of a row, in an object with room for it and room octets more. */
static void open_row(
    struct decision *d, const struct pib_class *cls, uint32_t instance, size_t room)
{
	size_t sub;

	if (d->open && d->b.len - d->mark + room + ROW_EXTRA > NAMED_MAX)
		close_named(d);
	if (!d->open) {
		cops_put_decision(&d->b, d->command, 0);
		d->mark = cops_named_open(&d->b, COPS_C_DECISION, 5);
		d->open = true;
	}
	sub = cops_sub_open(&d->b, COPS_S_PRID);
	pib_prid_put(&d->b, cls, instance);
	cops_sub_close(&d->b, sub);
}

void decision_epd(struct decision *d, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t epd_len)
{
	open_row(d, cls, instance, epd_len);
	cops_put_sub(&d->b, COPS_S_EPD, epd, epd_len);
}

/* Written in place; a row with which the object has become too long goes into the next one. */
void decision_row(
    struct decision *d, const struct pib_class *cls, uint32_t instance, const void *row)
{
	size_t before = d->b.len;
	size_t mark = d->open ? d->mark : SIZE_MAX;
	size_t sub;

	open_row(d, cls, instance, 0);
	sub = cops_sub_open(&d->b, COPS_S_EPD);
	pib_epd_put(&d->b, cls, row);
	cops_sub_close(&d->b, sub);
	if (d->b.failed || d->mark != mark || d->b.len - mark <= NAMED_MAX)
		return;
	d->b.len = before;
	close_named(d);
	decision_row(d, cls, instance, row);
}

void decision_prid(struct decision *d, const struct pib_class *cls, uint32_t instance)
{
	open_row(d, cls, instance, 0);
}

struct cops_chunk *decision_take(struct decision *d)
{
	struct cops_chunk *c = NULL;

	close_named(d);
	if (!d->b.failed)
		c = cops_chunk_new(d->b.data, d->b.len);
	buf_clear(&d->b);
	return c;
}

struct cops_chunk *decision_install_one(
    const struct pib_class *cls, uint32_t instance, const uint8_t *epd, size_t epd_len)
{
	struct decision d;

	decision_init(&d, COPS_CMD_INSTALL);
	decision_epd(&d, cls, instance, epd, epd_len);
	return decision_take(&d);
}

struct cops_chunk *decision_remove_one(const struct pib_class *cls, uint32_t instance)
{
	struct decision d;

	decision_init(&d, COPS_CMD_REMOVE);
	decision_prid(&d, cls, instance);
	return decision_take(&d);
}

struct cops_chunk *decision_remove_classes(const struct pib_module *m)
{
	struct cops_chunk *c = NULL;
	struct buf b;
	size_t named, sub;

	buf_init(&b, 0);
	cops_put_decision(&b, COPS_CMD_REMOVE, 0);
	named = cops_named_open(&b, COPS_C_DECISION, 5);
	for (uint16_t i = 0; i < m->count; i++) {
		if (!(m->cls[i]->access & PIB_INSTALL))
			continue;
		sub = cops_sub_open(&b, COPS_S_PPRID);
		pib_pprid_put(&b, m->cls[i]);
		cops_sub_close(&b, sub);
	}
	cops_named_close(&b, named);
	if (!b.failed)
		c = cops_chunk_new(b.data, b.len);
	buf_clear(&b);
	return c;
}

/* The PRID + EPD pairs of one Install. */
static int each_row(const struct cops_obj *named, const struct pib_schema *schema,
    int (*fn)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	const struct pib_class *cls = NULL;
	struct cops_sub_iter it;
	struct cops_sub s;
	struct pib_fault f;
	uint32_t instance = 0;
	bool surplus;
	void *row;
	int rc = 0;

	cops_sub_iter_init(&it, named);
	while (rc == 0 && cops_sub_iter_next(&it, &s) == COPS_SUB_OK) {
		if (s.s_num == COPS_S_PRID) {
			rc = pib_prid_parse(schema, s.body, s.len, &cls, &instance, &f);
		} else if (s.s_num == COPS_S_EPD && cls != NULL) {
			row = calloc(1, cls->row_size);
			if (row == NULL)
				return -1;
			rc = pib_epd_decode(cls, s.body, s.len, row, &surplus, &f);
			if (rc == 0)
				rc = fn(arg, cls, instance, row);
			free(row);
		}
	}
	return rc;
}

int decision_each(struct cops_chunk *const *chunk, size_t n, const struct pib_schema *schema,
    int (*fn)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg)
{
	static const uint8_t handle[4];
	struct cops_dec_iter it;
	struct cops_decision dec;
	struct cops_fault f;
	struct cops_msg m;
	struct buf b;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		/* a chunk is the middle of a DEC: what the walker takes is a whole one */
		buf_init(&b, 0);
		size_t mark = cops_msg_begin(&b, COPS_OP_DEC, false, ANY_TYPE);
		cops_put_handle(&b, handle, sizeof(handle));
		buf_put(&b, chunk[i]->data, chunk[i]->len);
		cops_msg_end(&b, mark);
		if (b.failed || cops_msg_parse(&m, b.data, b.len, UINT32_MAX, &f) <= 0) {
			buf_clear(&b);
			return -1;
		}
		cops_dec_iter_init(&it, &m);
		while (rc == 0 && cops_dec_iter_next(&it, &dec))
			if (dec.command == COPS_CMD_INSTALL && dec.data.c_num != 0)
				rc = each_row(&dec.data, schema, fn, arg);
		buf_clear(&b);
	}
	return rc;
}
