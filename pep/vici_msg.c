/*
 * vici_msg.c - see vici_msg.h.
 */
#include "pep/vici_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX 65535

/* --- building ---------------------------------------------------------------- */

void vici_build_init(struct vici_build *b)
{
	*b = (struct vici_build) {0};
}

void vici_build_clear(struct vici_build *b)
{
	if (b->octet)
		explicit_bzero(b->octet, b->cap);
	free(b->octet);
	vici_build_init(b);
}

/* Room for more octets; realloc() would leave secrets behind. */
static uint8_t *room(struct vici_build *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 512;
	uint8_t *p;

	if (b->failed || more > VICI_SEGMENT_MAX - b->len) {
		b->failed = true;
		return NULL;
	}
	while (cap < b->len + more)
		cap *= 2;
	if (cap > b->cap) {
		if (!(p = malloc(cap))) {
			b->failed = true;
			return NULL;
		}
		if (b->octet) {
			memcpy(p, b->octet, b->len);
			explicit_bzero(b->octet, b->cap);
		}
		free(b->octet);
		b->octet = p;
		b->cap = cap;
	}
	p = b->octet + b->len;
	b->len += more;
	return p;
}

static void put(struct vici_build *b, enum vici_element type, const char *name, const void *value,
    size_t value_len)
{
	size_t name_len = name ? strlen(name) : 0;
	uint8_t *p;

	if (name_len > UINT8_MAX || value_len > VALUE_MAX) {
		b->failed = true;
		return;
	}
	p = room(b, 1 + (name ? 1 + name_len : 0) + (value ? 2 + value_len : 0));
	if (!p)
		return;
	*p++ = (uint8_t)type;
	if (name) {
		*p++ = (uint8_t)name_len;
		memcpy(p, name, name_len);
		p += name_len;
	}
	if (value) {
		*p++ = (uint8_t)(value_len >> 8);
		*p++ = (uint8_t)value_len;
		memcpy(p, value, value_len);
	}
}

__attribute__((format(printf, 4, 0))) static void put_text(
    struct vici_build *b, enum vici_element type, const char *name, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0 || (size_t)n >= sizeof(text))
		b->failed = true;
	else
		put(b, type, name, text, (size_t)n);
}

void vici_section_put(struct vici_build *b, const char *name)
{
	put(b, VICI_SECTION_START, name, NULL, 0);
}

void vici_section_end(struct vici_build *b)
{
	put(b, VICI_SECTION_END, NULL, NULL, 0);
}

void vici_value_put(struct vici_build *b, const char *key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_text(b, VICI_KEY_VALUE, key, fmt, ap);
	va_end(ap);
}

void vici_octets_put(struct vici_build *b, const char *key, const void *p, size_t len)
{
	put(b, VICI_KEY_VALUE, key, p, len);
}

void vici_list_put(struct vici_build *b, const char *key)
{
	put(b, VICI_LIST_START, key, NULL, 0);
}

void vici_item_put(struct vici_build *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_text(b, VICI_LIST_ITEM, NULL, fmt, ap);
	va_end(ap);
}

void vici_item_octets_put(struct vici_build *b, const void *p, size_t len)
{
	put(b, VICI_LIST_ITEM, NULL, p, len);
}

void vici_list_end(struct vici_build *b)
{
	put(b, VICI_LIST_END, NULL, NULL, 0);
}

uint8_t *vici_packet_build(
    enum vici_type type, const char *name, const struct vici_build *message, size_t *len)
{
	size_t name_len = name ? strlen(name) : 0;
	size_t message_len = message ? message->len : 0;
	size_t body = 1 + (name ? 1 + name_len : 0) + message_len;
	uint32_t length = htonl((uint32_t)body);
	uint8_t *p;

	if (name_len > UINT8_MAX || body > VICI_SEGMENT_MAX || (message && message->failed) ||
	    !(p = malloc(sizeof(length) + body)))
		return NULL;
	*len = sizeof(length) + body;
	memcpy(p, &length, sizeof(length));
	p[4] = (uint8_t)type;
	if (name) {
		p[5] = (uint8_t)name_len;
		memcpy(p + 6, name, name_len);
	}
	if (message_len)
		memcpy(p + *len - message_len, message->octet, message_len);
	return p;
}

/* --- elements ---------------------------------------------------------------- */

struct element {
	enum vici_element type;
	struct vici_view name;
	struct vici_view value;
};

/* Which parts an element has. */
static const struct {
	bool known;
	bool name;
	bool value;
} shape[] = {
    [VICI_SECTION_START] = {true, true, false},
    [VICI_SECTION_END] = {true, false, false},
    [VICI_KEY_VALUE] = {true, true, true},
    [VICI_LIST_START] = {true, true, false},
    [VICI_LIST_ITEM] = {true, false, true},
    [VICI_LIST_END] = {true, false, false},
};

static bool take(struct vici_view *v, size_t len, struct vici_view *part)
{
	if (len > v->len)
		return false;
	*part = (struct vici_view) {v->p, len};
	v->p += len;
	v->len -= len;
	return true;
}

/* A part with its length, of so many octets, before it. */
static bool take_counted(struct vici_view *v, size_t count_len, struct vici_view *part)
{
	struct vici_view count;
	size_t len = 0;

	if (!take(v, count_len, &count))
		return false;
	for (size_t i = 0; i < count_len; i++)
		len = len << 8 | count.p[i];
	return take(v, len, part);
}

static bool take_element(struct vici_view *v, struct element *e)
{
	struct vici_view type;

	*e = (struct element) {0};
	if (!take(v, 1, &type) || type.p[0] >= sizeof(shape) / sizeof(shape[0]) ||
	    !shape[type.p[0]].known)
		return false;
	e->type = (enum vici_element)type.p[0];
	return (!shape[e->type].name || take_counted(v, 1, &e->name)) &&
	       (!shape[e->type].value || take_counted(v, 2, &e->value));
}

/* Everything balanced, lists with items only. */
static bool check(struct vici_view v)
{
	struct element e;
	bool list = false;
	unsigned depth = 0;

	while (v.len) {
		if (!take_element(&v, &e) ||
		    list != (e.type == VICI_LIST_ITEM || e.type == VICI_LIST_END))
			return false;
		if (e.type == VICI_LIST_START || e.type == VICI_LIST_END)
			list = e.type == VICI_LIST_START;
		else if (e.type == VICI_SECTION_START && ++depth > VICI_DEPTH_MAX)
			return false;
		else if (e.type == VICI_SECTION_END && depth-- == 0)
			return false;
	}
	return !list && depth == 0;
}

static void name_copy(char to[VICI_NAME_LEN], const struct vici_view *from)
{
	memcpy(to, from->p, from->len);
	to[from->len] = '\0';
	for (size_t i = 0; i < from->len; i++)
		if ((unsigned char)to[i] < ' ' || to[i] == 0x7f)
			to[i] = '?';
}

/* --- packets ----------------------------------------------------------------- */

static const struct {
	bool name;
	bool message;
} packet[] = {
    [VICI_CMD_REQUEST] = {true, true},
    [VICI_CMD_RESPONSE] = {false, true},
    [VICI_CMD_UNKNOWN] = {false, false},
    [VICI_EVENT_REGISTER] = {true, false},
    [VICI_EVENT_UNREGISTER] = {true, false},
    [VICI_EVENT_CONFIRM] = {false, false},
    [VICI_EVENT_UNKNOWN] = {false, false},
    [VICI_EVENT] = {true, true},
};

ptrdiff_t vici_packet_parse(struct vici_packet *p, const uint8_t *buf, size_t len)
{
	struct vici_view v, type, name;
	uint32_t length;

	if (len < sizeof(length))
		return 0;
	memcpy(&length, buf, sizeof(length));
	length = ntohl(length);
	if (length == 0 || length > VICI_SEGMENT_MAX)
		return -1;
	if (len - sizeof(length) < length)
		return 0;
	v = (struct vici_view) {buf + sizeof(length), length};
	take(&v, 1, &type);
	if (type.p[0] >= sizeof(packet) / sizeof(packet[0]))
		return -1;
	p->type = (enum vici_type)type.p[0];
	p->name[0] = '\0';
	if (packet[p->type].name) {
		if (!take_counted(&v, 1, &name))
			return -1;
		name_copy(p->name, &name);
	}
	if (packet[p->type].message ? !check(v) : v.len != 0)
		return -1;
	p->message = v;
	return (ptrdiff_t)(sizeof(length) + length);
}

/* --- walking ----------------------------------------------------------------- */

/* What follows up to the end that belongs to the start just taken. */
static struct vici_view inside(struct vici_view *v)
{
	struct vici_view body = {v->p, 0};
	struct element e;
	unsigned depth = 1;

	while (depth && v->len) {
		body.len = (size_t)(v->p - body.p);
		if (!take_element(v, &e))
			break;
		depth += e.type == VICI_SECTION_START || e.type == VICI_LIST_START;
		depth -= e.type == VICI_SECTION_END || e.type == VICI_LIST_END;
	}
	return body;
}

bool vici_next(struct vici_view *v, struct vici_entry *e)
{
	struct element x;

	if (!v->len || !take_element(v, &x))
		return false;
	e->type = x.type;
	e->body = x.value;
	e->name[0] = '\0';
	if (x.name.len)
		name_copy(e->name, &x.name);
	if (x.type == VICI_SECTION_START || x.type == VICI_LIST_START)
		e->body = inside(v);
	return true;
}

bool vici_find(
    const struct vici_view *v, enum vici_element type, const char *name, struct vici_view *body)
{
	struct vici_view rest = *v;
	struct vici_entry e;

	while (vici_next(&rest, &e))
		if (e.type == type && !strcmp(e.name, name)) {
			*body = e.body;
			return true;
		}
	return false;
}

const char *vici_text(const struct vici_view *v, const char *key, char *buf, size_t size)
{
	struct vici_view body;
	size_t n = 0;

	if (vici_find(v, VICI_KEY_VALUE, key, &body)) {
		n = body.len < size - 1 ? body.len : size - 1;
		memcpy(buf, body.p, n);
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)buf[i] < ' ' || buf[i] == 0x7f)
				buf[i] = '?';
	}
	buf[n] = '\0';
	return buf;
}

uint32_t vici_number(const struct vici_view *v, const char *key, int base)
{
	char text[24];
	char *end;
	unsigned long n;

	vici_text(v, key, text, sizeof(text));
	if (text[0] < '0' || text[0] == '?')
		return 0;
	errno = 0;
	n = strtoul(text, &end, base);
	return *end == '\0' && errno == 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}
