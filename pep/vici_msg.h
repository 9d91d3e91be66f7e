/*
 * vici_msg.h - messages of strongSwan's VICI (src/libcharon/plugins/vici/README.md), octets
 * to values and back, no sockets.
 *
 *	segment   length 32 bits, then so many octets: one packet
 *	packet    type 8 bits, in some a name (length 8 bits), in some a message
 *	message   elements: sections that nest, KEY = VALUE, lists of items; values 16 bits long
 *
 * What arrives is checked as a whole first (vici_packet_parse); views of it are walked then
 * without a chance to fail.  Numbers are decimal or hexadecimal text.
 */
#ifndef PEP_VICI_MSG_H
#define PEP_VICI_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_SEGMENT_MAX (512U * 1024) /* octets after the length; charon's own limit */
#define VICI_DEPTH_MAX	 16
#define VICI_NAME_LEN	 256 /* with the NUL */

enum vici_type {
	VICI_CMD_REQUEST = 0,
	VICI_CMD_RESPONSE = 1,
	VICI_CMD_UNKNOWN = 2,
	VICI_EVENT_REGISTER = 3,
	VICI_EVENT_UNREGISTER = 4,
	VICI_EVENT_CONFIRM = 5,
	VICI_EVENT_UNKNOWN = 6,
	VICI_EVENT = 7,
};

enum vici_element {
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

/* --- building ---------------------------------------------------------------- */

/* A message that grows; may hold secrets, so its memory is cleansed. */
struct vici_build {
	uint8_t *octet;
	size_t len;
	size_t cap;
	bool failed; /* no memory, or something too long: sticks, the message is of no use */
};

void vici_build_init(struct vici_build *b);
void vici_build_clear(struct vici_build *b);
void vici_section_put(struct vici_build *b, const char *name);
void vici_section_end(struct vici_build *b);
void vici_value_put(struct vici_build *b, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vici_octets_put(struct vici_build *b, const char *key, const void *p, size_t len);
void vici_list_put(struct vici_build *b, const char *key);
void vici_item_put(struct vici_build *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void vici_item_octets_put(struct vici_build *b, const void *p, size_t len);
void vici_list_end(struct vici_build *b);
/*
 * A segment with one packet: name may be NULL, message too.  malloc()ed, or NULL: no memory, too
 * long, or the message had failed.
 */
uint8_t *vici_packet_build(
    enum vici_type type, const char *name, const struct vici_build *message, size_t *len);

/* --- reading ----------------------------------------------------------------- */

struct vici_view { /* elements of a checked message; borrowed */
	const uint8_t *p;
	size_t len;
};

struct vici_packet {
	enum vici_type type;
	char name[VICI_NAME_LEN]; /* "" without one */
	struct vici_view message; /* borrows the input */
};

/*
 * One segment from buf[0..len): its octets, 0 if more are needed, -1 if it is no such thing: too
 * long, of unknown type, not balanced, too deep, cut off.
 */
ptrdiff_t vici_packet_parse(struct vici_packet *p, const uint8_t *buf, size_t len);

struct vici_entry {
	enum vici_element type; /* VICI_SECTION_START, VICI_KEY_VALUE, VICI_LIST_START or _ITEM */
	char name[VICI_NAME_LEN];
	struct vici_view body; /* of a section or list: what is in it; else the value's octets */
};

/* The next entry of *v, which moves on past it. */
bool vici_next(struct vici_view *v, struct vici_entry *e);
/* The entry of that type and name; false: none. */
bool vici_find(
    const struct vici_view *v, enum vici_element type, const char *name, struct vici_view *body);
/* A value as text, cut to size, without control characters; "" if there is none.  Returns buf. */
const char *vici_text(const struct vici_view *v, const char *key, char *buf, size_t size);
/* A value as a number in this base; 0 if there is none or it is no such number. */
uint32_t vici_number(const struct vici_view *v, const char *key, int base);

#endif
