/*
 * fuzz.h - what the fuzz targets share.  A target is a file with libFuzzer's entry point
 * (fuzz_X.c); AFL++ and the seed corpora of tests/run use the same one through fuzz_main.c.
 * A broken promise aborts, as it would when the sanitizers find it.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Run one input. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* An input read as a script of small numbers and runs of octets; all zero when it is used up. */
struct script {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t script_u8(struct script *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->p++;
}

/* At most n octets in one go, as many as are left; a copy of its own, so that no overrun is hidden.
 */
static inline uint8_t *script_take(struct script *s, size_t n, size_t *got)
{
	uint8_t *copy;

	*got = n < s->left ? n : s->left;
	copy = malloc(*got > 0 ? *got : 1);
	MUST(copy != NULL);
	for (size_t i = 0; i < *got; i++)
		copy[i] = s->p[i];
	s->p += *got;
	s->left -= *got;
	return copy;
}

/* A run with its length in front, 16 bits, big-endian. */
static inline uint8_t *script_run(struct script *s, size_t *got)
{
	size_t n = (size_t)script_u8(s) << 8;

	n |= script_u8(s);
	return script_take(s, n, got);
}

#endif
