/*
 * cops_put.c - building messages, objects and sub-objects into a buffer: written
 * once, lengths patched when a message or an object is closed.  What is written
 * is padded with zeros to 4 octets, so every mark is at a boundary.
 */
#include <string.h>

#include "common/buf.h"
#include "libcops/cops_be.h"
#include "libcops/cops_msg.h"

#define OBJ_MAX 65535 /* what the 16-bit Length can say */

static void object_header(struct buf *b, size_t len, uint8_t num, uint8_t type)
{
	if (len > OBJ_MAX) {
		b->failed = true;
		return;
	}
	buf_put_u16(b, (uint16_t)len);
	buf_put_u8(b, num);
	buf_put_u8(b, type);
}

/* Open something whose Length is not known yet; its header starts at the mark returned. */
static size_t object_open(struct buf *b, uint8_t num, uint8_t type)
{
	size_t mark = b->len;

	object_header(b, 0, num, type);
	return mark;
}

static void object_close(struct buf *b, size_t mark)
{
	size_t len = b->len - mark;

	if (b->failed)
		return;
	if (len > OBJ_MAX) {
		b->failed = true;
		return;
	}
	buf_patch_u16(b, mark, (uint16_t)len);
	buf_put_zero(b, cops_pad((uint32_t)len));
}

size_t cops_msg_begin(struct buf *b, enum cops_op op, bool solicited, uint16_t client_type)
{
	size_t mark = b->len;

	buf_put_u8(b, (uint8_t)(COPS_VERSION << 4 | (solicited ? COPS_FLAG_SOLICITED : 0)));
	buf_put_u8(b, (uint8_t)op);
	buf_put_u16(b, client_type);
	buf_put_u32(b, 0);
	return mark;
}

void cops_msg_end(struct buf *b, size_t mark)
{
	if (b->failed)
		return;
	if (b->len - mark > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_patch_u32(b, mark + 4, (uint32_t)(b->len - mark));
}

void cops_put_obj(struct buf *b, uint8_t c_num, uint8_t c_type, const void *body, size_t len)
{
	object_header(b, COPS_OBJ_HDR_LEN + len, c_num, c_type);
	buf_put(b, body, len);
	buf_put_zero(b, cops_pad((uint32_t)len));
}

void cops_put_u16x2(struct buf *b, uint8_t c_num, uint8_t c_type, uint16_t hi, uint16_t lo)
{
	object_header(b, COPS_OBJ_HDR_LEN + 4, c_num, c_type);
	buf_put_u16(b, hi);
	buf_put_u16(b, lo);
}

void cops_put_handle(struct buf *b, const uint8_t *handle, size_t len)
{
	cops_put_obj(b, COPS_C_HANDLE, 1, handle, len);
}

/* The one object whose zero fill counts in its Length (RFC 2748 2.2.11). */
void cops_put_pepid(struct buf *b, const char *pepid)
{
	size_t len = strlen(pepid);
	size_t fill = 1 + cops_pad((uint32_t)len + 1);

	if (len == 0 || len > COPS_PEPID_MAX) {
		b->failed = true;
		return;
	}
	object_header(b, COPS_OBJ_HDR_LEN + len + fill, COPS_C_PEPID, 1);
	buf_put(b, pepid, len);
	buf_put_zero(b, fill);
}

void cops_put_config_context(struct buf *b)
{
	cops_put_u16x2(b, COPS_C_CONTEXT, 1, COPS_R_CONFIG, 0);
}

void cops_put_decision(struct buf *b, enum cops_command cmd, uint16_t flags)
{
	cops_put_config_context(b);
	cops_put_u16x2(b, COPS_C_DECISION, 1, (uint16_t)cmd, flags);
}

size_t cops_named_open(struct buf *b, uint8_t c_num, uint8_t c_type)
{
	return object_open(b, c_num, c_type);
}

void cops_named_close(struct buf *b, size_t mark)
{
	object_close(b, mark);
}

size_t cops_sub_open(struct buf *b, enum cops_snum s_num)
{
	return object_open(b, (uint8_t)s_num, COPS_S_BER);
}

void cops_sub_close(struct buf *b, size_t mark)
{
	object_close(b, mark);
}

void cops_put_sub(struct buf *b, enum cops_snum s_num, const void *body, size_t len)
{
	cops_put_obj(b, (uint8_t)s_num, COPS_S_BER, body, len);
}

void cops_put_perr(struct buf *b, enum cops_snum s_num, uint16_t code, uint16_t sub)
{
	cops_put_u16x2(b, (uint8_t)s_num, COPS_S_BER, code, sub);
}
