/*
 * fuzz_wrap.h - named data from an input put into a message, so that a fuzzer need not find
 * lengths and padding of the objects around it.
 */
#ifndef TESTS_FUZZ_WRAP_H
#define TESTS_FUZZ_WRAP_H

#include "common/buf.h"
#include "libcops/cops_msg.h"
#include "tests/fuzz/fuzz.h"

#define WRAP_TYPE    0x4001
#define WRAP_MAX_MSG 65536

/* Sub-objects from the input, each a number (0: the end) and a run, as one object's body. */
static inline void wrap_named(struct buf *b, struct script *s, uint8_t c_num, uint8_t c_type)
{
	size_t mark = cops_named_open(b, c_num, c_type);
	uint8_t s_num;

	while ((s_num = script_u8(s)) != 0) {
		size_t len;
		uint8_t *p = script_run(s, &len);

		if (s_num == COPS_S_GPERR || s_num == COPS_S_CPERR)
			cops_put_perr(b, s_num, (uint16_t)(len > 0 ? p[0] : 0),
			    (uint16_t)(len > 1 ? p[1] : 0));
		else
			cops_put_sub(b, s_num, p, len);
		free(p);
	}
	cops_named_close(b, mark);
}

static inline size_t wrap_begin(struct buf *b, enum cops_op op, bool solicited)
{
	static const uint8_t handle[4] = {0, 0, 0, 1};
	size_t mark = cops_msg_begin(b, op, solicited, WRAP_TYPE);

	cops_put_handle(b, handle, sizeof(handle));
	return mark;
}

#endif
