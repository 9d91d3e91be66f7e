/*
 * fuzz_msg.c - one COPS message: whatever is accepted can be walked to its end, and written
 * again as a message that is accepted and says the same.
 */
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "tests/fuzz/fuzz.h"

#define MAX_MSG 65536

static void walk_named(const struct cops_obj *o)
{
	struct cops_sub_iter it;
	struct cops_sub s;
	enum cops_sub_result r;
	size_t n = 0;

	cops_sub_iter_init(&it, o);
	while ((r = cops_sub_iter_next(&it, &s)) == COPS_SUB_OK || r == COPS_SUB_UNKNOWN) {
		MUST(s.body >= o->body && s.body + s.len <= o->body + o->len);
		MUST(++n <= o->len);
	}
}

static void walk(const struct cops_msg *m)
{
	struct cops_obj_iter si;
	struct cops_dec_iter it;
	struct cops_decision d;
	struct cops_obj o;
	char pepid[COPS_PEPID_MAX + 1];

	if (m->op == COPS_OP_DEC) {
		cops_dec_iter_init(&it, m);
		while (cops_dec_iter_next(&it, &d))
			if (d.data.c_num != 0)
				walk_named(&d.data);
	}
	cops_si_iter_init(&si, m);
	while (cops_si_iter_next(&si, &o))
		walk_named(&o);
	if (cops_msg_has(m, COPS_SLOT_PEPID) && cops_pepid_get(&m->slot[COPS_SLOT_PEPID], pepid))
		MUST(strlen(pepid) > 0 && strlen(pepid) <= COPS_PEPID_MAX);
}

static void write_again(const struct cops_msg *m)
{
	struct cops_obj_iter it;
	struct cops_fault f;
	struct cops_msg again;
	struct cops_obj o;
	struct buf b;
	size_t mark;

	buf_init(&b, 0);
	mark = cops_msg_begin(&b, m->op, m->solicited, m->client_type);
	cops_obj_iter_init(&it, m);
	while (cops_obj_iter_next(&it, &o)) {
		MUST(o.body >= m->octets && o.body + o.len <= m->octets + m->len);
		cops_put_obj(&b, o.c_num, o.c_type, o.body, o.len);
	}
	cops_msg_end(&b, mark);
	MUST(!b.failed && b.len == m->len);
	MUST(cops_msg_parse(&again, b.data, b.len, MAX_MSG, &f) == (int64_t)b.len);
	MUST(again.op == m->op && again.solicited == m->solicited);
	for (int i = 0; i < COPS_SLOT_MAX; i++) {
		MUST(
		    again.slot[i].c_num == m->slot[i].c_num && again.slot[i].len == m->slot[i].len);
		MUST(m->slot[i].len == 0 ||
		     memcmp(again.slot[i].body, m->slot[i].body, m->slot[i].len) == 0);
	}
	buf_clear(&b);
}

static void with_fault(const struct cops_msg *m, size_t size, const struct cops_fault *f)
{
	MUST(f->why != NULL && f->code != 0 && f->offset <= size);
	for (int i = 0; i < COPS_SLOT_MAX; i++)
		MUST(m->slot[i].c_num == 0 || m->slot[i].body != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cops_fault f = {0};
	struct cops_msg m;
	int64_t frame = cops_msg_frame(data, size, MAX_MSG, &f);
	int64_t n = cops_msg_parse(&m, data, size, MAX_MSG, &f);

	MUST(n <= (int64_t)size);
	if (n > 0) {
		MUST(n == frame && m.len == (uint32_t)n);
		walk(&m);
		write_again(&m);
		MUST(cops_msg_parse(&m, data, (size_t)n - 1, MAX_MSG, &f) == 0);
	} else if (n < 0) {
		with_fault(&m, size, &f);
	} else {
		MUST(frame == 0 || frame > (int64_t)size);
	}
	return 0;
}
