/*
 * codec.c - decode|encode ROWS TIMES: a DEC with that many rows read as a PEP reads it, or
 * written as a PDP writes it.  tests/bench/run counts the instructions of codec_once() by
 * callgrind; without it, nanoseconds for each are printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pib/gen/ce_vpn_pib.h"
#include "pib/gen/framework_pib.h"
#include "tests/bench/prefixes.h"

struct job {
	bool decode;
	unsigned rows;
	const struct pib_schema *schema;
	const uint8_t *dec;
	size_t len;
};

/* Only this is counted; 0 or -1. */
int codec_once(const struct job *j);
__attribute__((noinline)) int codec_once(const struct job *j)
{
	struct cops_chunk *c;

	if (j->decode)
		return prefixes_decode(j->schema, j->dec, j->len) == (long)j->rows ? 0 : -1;
	c = prefixes_chunk(j->rows, 1);
	if (c == NULL)
		return -1;
	cops_chunk_unref(c);
	return 0;
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	static const struct pib_module *const modules[] = {
	    &pib_framework_pib_module, &pib_ce_vpn_pib_module};
	struct cops_chunk *chunk;
	struct job j = {0};
	unsigned times;
	double start;

	if (argc != 4) {
		fprintf(stderr, "usage: codec decode|encode ROWS TIMES\n");
		return 2;
	}
	j.decode = strcmp(argv[1], "decode") == 0;
	j.rows = (unsigned)atoi(argv[2]);
	times = (unsigned)atoi(argv[3]);
	j.schema = pib_schema_new(modules, 2);
	chunk = prefixes_chunk(j.rows, 1);
	j.dec = chunk != NULL ? prefixes_dec(&chunk, 1, &j.len) : NULL;
	if (j.schema == NULL || j.dec == NULL)
		return 1;
	start = now_ns();
	for (unsigned i = 0; i < times; i++)
		if (codec_once(&j) != 0)
			return 1;
	printf(
	    "%s %u rows %zu octets %.0f ns\n", argv[1], j.rows, j.len, (now_ns() - start) / times);
	return 0;
}
