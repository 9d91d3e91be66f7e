/*
 * cops_obj.h - the one table of COPS objects (RFC 2748 2.2, RFC 4261 4.1) and of
 * COPS-PR sub-objects (RFC 3084 4).  Decoder, builder, printer and the COPS
 * Error a fault earns all walk it.
 */
#ifndef COPS_OBJ_H
#define COPS_OBJ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cops_body {
	COPS_BODY_OCTETS,    /* opaque */
	COPS_BODY_U16_U16,   /* two numbers: code and sub-code, command and flags ... */
	COPS_BODY_RSV_U16,   /* reserved, number: timers, Integrity-TLS flags */
	COPS_BODY_U16_RSV,   /* number, reserved: Report-Type */
	COPS_BODY_IF,	     /* address, ifindex */
	COPS_BODY_ADDR_PORT, /* address, reserved, TCP port */
	COPS_BODY_STRING,    /* NUL-terminated, zero padded */
	COPS_BODY_SUBOBJ,    /* COPS-PR sub-objects */
	COPS_BODY_INTEGRITY, /* key id, sequence number, digest */
};

struct cops_obj_desc {
	uint8_t c_num;
	uint8_t c_type;
	uint16_t len_min; /* octets, header included, padding not */
	uint16_t len_max;
	enum cops_body body;
	const char *name; /* the RFC's */
};

/* The table's row of an object, static.  NULL: no such object. */
const struct cops_obj_desc *cops_obj_desc_find(uint8_t c_num, uint8_t c_type);

/* A sub-object of COPS-PR, S-Type BER; the same kind of row. */
struct cops_sub_desc {
	uint8_t s_num;
	uint8_t s_type;
	uint16_t len_min;
	uint16_t len_max;
	enum cops_body body; /* OCTETS (BER inside) or U16_U16 */
	const char *name;
};

/* The table's row of a sub-object, static.  NULL: no such sub-object. */
const struct cops_sub_desc *cops_sub_desc_find(uint8_t s_num, uint8_t s_type);

/* One object in a message; borrows the message's octets. */
struct cops_obj {
	uint8_t c_num;
	uint8_t c_type;
	uint16_t len; /* octets of body: header and padding not counted */
	const uint8_t *body;
};

/* The first and the second 16 bits of a body of 4 octets or more, host order. */
uint16_t cops_obj_hi(const struct cops_obj *o);
uint16_t cops_obj_lo(const struct cops_obj *o);

#ifdef __cplusplus
}
#endif
#endif
