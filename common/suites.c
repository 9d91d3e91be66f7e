/* suites.c - see suites.h. */
#include "common/suites.h"

#include <string.h>

#define ESN_BIT 0x8000U

static void put_u16(uint8_t *to, uint16_t v)
{
	to[0] = (uint8_t)(v >> 8);
	to[1] = (uint8_t)v;
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

bool suite_same(const struct suite *a, const struct suite *b)
{
	return a->protocol == b->protocol && a->esn == b->esn && a->encr == b->encr &&
	       a->encr_key_bits == b->encr_key_bits && a->integ == b->integ;
}

void suite_put(uint8_t out[SUITE_LEN], const struct suite *s)
{
	put_u16(out, (uint16_t)(s->protocol | (s->esn ? ESN_BIT : 0)));
	put_u16(out + 2, s->encr);
	put_u16(out + 4, s->encr_key_bits);
	put_u16(out + 6, s->integ);
}

bool suite_get(struct suite *s, const uint8_t in[SUITE_LEN])
{
	uint16_t protocol = get_u16(in);

	*s = (struct suite) {
	    .protocol = (uint8_t)protocol,
	    .esn = (protocol & ESN_BIT) != 0,
	    .encr = get_u16(in + 2),
	    .encr_key_bits = get_u16(in + 4),
	    .integ = get_u16(in + 6),
	};
	protocol &= (uint16_t)~ESN_BIT;
	return protocol == SUITE_AH || protocol == SUITE_ESP;
}

bool suites_have(const uint8_t *list, size_t len, const uint8_t suite[SUITE_LEN])
{
	for (size_t at = 0; at + SUITE_LEN <= len; at += SUITE_LEN)
		if (memcmp(list + at, suite, SUITE_LEN) == 0)
			return true;
	return false;
}

bool suites_ok(const uint8_t *list, size_t len, size_t max)
{
	if (len == 0 || len % SUITE_LEN != 0 || len > max * SUITE_LEN)
		return false;
	for (size_t at = SUITE_LEN; at < len; at += SUITE_LEN)
		if (suites_have(list, at, list + at))
			return false;
	return true;
}

const uint8_t *suites_choose(
    const uint8_t *wants, size_t wants_len, const uint8_t *sends, size_t sends_len)
{
	uint8_t with_esn[SUITE_LEN];

	for (size_t at = 0; at + SUITE_LEN <= wants_len; at += SUITE_LEN) {
		memcpy(with_esn, wants + at, SUITE_LEN);
		with_esn[0] |= ESN_BIT >> 8;
		if (suites_have(sends, sends_len, with_esn) ||
		    suites_have(sends, sends_len, wants + at))
			return wants + at;
	}
	return NULL;
}
