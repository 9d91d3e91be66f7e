/*
 * transform.h - the names of IPsec's and IKE's algorithms and what RFC 8221 thinks of them: one
 * table, by IKEv2 transform numbers (IANA), for the intent reader and for showing rows to people.
 */
#ifndef PDP_TRANSFORM_H
#define PDP_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum transform_type { /* IKEv2 transform types */
	TRANSFORM_ENCR = 1,
	TRANSFORM_PRF = 2,
	TRANSFORM_INTEG = 3,
	TRANSFORM_DH = 4,
};

struct transform {
	enum transform_type type;
	const char *name; /* "aes-cbc-256" */
	uint16_t number;
	uint16_t key_bits;   /* 0: the algorithm has only one length */
	bool aead;	     /* authenticates by itself */
	const char *refused; /* why it is not to be used, or NULL */
};

/* NULL: no such name. */
const struct transform *transform_find(enum transform_type type, const char *name);
/* NULL: not in the table. */
const struct transform *transform_by_number(
    enum transform_type type, uint16_t number, uint16_t key_bits);
/* The names that may be used, separated by blanks; returns buf. */
const char *transform_names(enum transform_type type, char *buf, size_t len);

#endif
