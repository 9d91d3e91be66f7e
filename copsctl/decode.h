/*
 * decode.h - COPS messages for people: octets in, from any number of streams, and out one
 * JSON object a message, from which the text is made too:
 *
 *	{"n", "stream"?, "time"?, "octet", "op", "client_type", "solicited", "length",
 *	 "objects": [{"octet", "name", "c_num", "c_type", "value" or "parts"}, ...]}
 *
 * A part of named data has "name" and "value", or "columns" of an EPD.  Wherever
 * something is wrong stands {"fault", "octet"} instead; "octet" counts from the start of
 * the message there, of the stream in a message.
 */
#ifndef COPSCTL_DECODE_H
#define COPSCTL_DECODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define DECODE_MSG_MAX	 (16u << 20) /* octets of one message */
#define DECODE_LABEL_LEN 128

struct pib_schema;

struct decode {
	const struct pib_schema *schema;
	size_t max; /* octets of a value in hex; 0 = all */
	/* One message; borrowed. */
	void (*emit)(void *arg, const json_t *message);
	void *arg;
	unsigned messages; /* emitted */
	unsigned faults;
};

/* Octets of one direction of a connection, in order. */
struct decode_stream {
	char label[DECODE_LABEL_LEN]; /* who to whom; "" = not known */
	char time[40];		      /* of the octets to come; "" = not known */
	uint64_t at;		      /* octets of the stream before in */
	struct buf in;		      /* no whole message */
	bool lost;		      /* where a message begins is not known */
	bool tls;		      /* and never will be */
};

void decode_stream_init(struct decode_stream *s, const char *label);
void decode_stream_clear(struct decode_stream *s);
/* The next octets.  After a fault of framing, decoding goes on where a call begins with a
 * header. */
void decode_put(struct decode *d, struct decode_stream *s, const uint8_t *p, size_t len);
/* octets are missing here. */
void decode_gap(struct decode *d, struct decode_stream *s, uint64_t octets);
/* No more come. */
void decode_end(struct decode *d, struct decode_stream *s);

/* One message as decode.c made it, for people. */
void decode_print(FILE *f, const json_t *message);

#endif
