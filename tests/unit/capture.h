/*
 * capture.h - what our code sends in the tests, for an independent judge: with COPS_CAPTURE=FILE
 * in the environment every message given to capture_octets() is appended to FILE as text2pcap
 * reads it.  tests/tshark_units.sh has tshark dissect them.  Only what an end under test sends is
 * to be captured: what a test makes malformed on purpose never comes here.
 */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "libcops/cops_msg.h"

#define CAPTURE_MAX 60000 /* octets that fit one IP packet */

/* One whole message; the direction is text2pcap's: the PEP is the client. */
static inline void capture_octets(bool from_pep, const uint8_t *p, size_t len)
{
	const char *path = getenv("COPS_CAPTURE");
	FILE *f;

	if (path == NULL || len > CAPTURE_MAX || (f = fopen(path, "a")) == NULL)
		return;
	fprintf(f, "%c\n000000", from_pep ? 'O' : 'I');
	for (size_t i = 0; i < len; i++)
		fprintf(f, " %02x", p[i]);
	fputc('\n', f);
	fclose(f);
}

/* For cops_conn_trace() of a scripted end: what the other end sent; arg is NULL if a PEP did. */
static inline void capture_trace(
    void *arg, bool out, const struct cops_msg *m, const struct cops_fault *fault)
{
	(void)fault;
	if (!out)
		capture_octets(arg == NULL, m->octets, m->len);
}

#endif
