/*
 * cops_msg.h - one COPS message: header, then objects in order (RFC 2748 2.1,
 * 2.2, section 3).  Parsing gives a view over the receive buffer and allocates
 * nothing; building writes once into a buffer and patches lengths.
 */
#ifndef COPS_MSG_H
#define COPS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcops/cops_def.h"
#include "libcops/cops_obj.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

/* Why a message is refused, in the terms of the COPS Error object the peer is owed. */
struct cops_fault {
	uint16_t code;	 /* enum cops_error */
	uint16_t sub;	 /* its sub-code */
	uint32_t offset; /* octets from the start of the message */
	const char *why; /* static text for the log */
};

/* Objects that occur at most once in a message, by what they are. */
enum cops_slot {
	COPS_SLOT_HANDLE,
	COPS_SLOT_CONTEXT, /* of a REQ; a DEC's contexts belong to its decisions */
	COPS_SLOT_REASON,
	COPS_SLOT_ERROR,
	COPS_SLOT_KA_TIMER,
	COPS_SLOT_PEPID,
	COPS_SLOT_REPORT_TYPE,
	COPS_SLOT_PDP_REDIR,
	COPS_SLOT_LAST_PDP,
	COPS_SLOT_ACCT_TIMER,
	COPS_SLOT_INTEGRITY,	 /* 16/1 */
	COPS_SLOT_INTEGRITY_TLS, /* 16/2 */
	COPS_SLOT_MAX
};

struct cops_msg {
	uint8_t op; /* enum cops_op */
	bool solicited;
	uint16_t client_type;
	uint32_t len;			     /* whole message, octets, multiple of 4 */
	const uint8_t *octets;		     /* borrowed: the whole message */
	struct cops_obj slot[COPS_SLOT_MAX]; /* c_num 0 = absent */
};

/*
 * Header only: octets the whole message will have, 0 if fewer than 8 are here, -1 and *f
 * when version, flags, op-code or length cannot be (also: over max_len).
 */
int64_t cops_msg_frame(const uint8_t *p, size_t len, uint32_t max_len, struct cops_fault *f);

/*
 * Parse exactly one message from p[0..len), checking every object against the
 * object table and the order and counts against the message's grammar (2748 3,
 * 3084 3).  The view borrows p, which must outlive *m; nothing is allocated.
 * Returns octets consumed, 0 if more input is needed, -1 on a protocol error
 * described by *f.  On -1, m->op, m->client_type and the slots parsed before the
 * fault are valid, so that the right answer (DEC with Error, DRQ, CC) can be built;
 * m->len is 0 when not even the header could be believed.
 */
int64_t cops_msg_parse(
    struct cops_msg *m, const uint8_t *p, size_t len, uint32_t max_len, struct cops_fault *f);

/*
 * The PEPID as a C string.  Takes one with and without NUL, with the fill counted in
 * the Length or not; false when it is empty, too long or not printable ASCII.
 */
bool cops_pepid_get(const struct cops_obj *o, char pepid[COPS_PEPID_MAX + 1]);

/* Is the object there?  Then it is m->slot[slot]. */
bool cops_msg_has(const struct cops_msg *m, enum cops_slot slot);

/*
 * Iterators: _init, then _next until it is false.  What they give borrows the message's octets.
 * Only for a message that cops_msg_parse() accepted.  This one: every object in order.
 */
struct cops_obj_iter {
	const uint8_t *p;
	const uint8_t *end;
};
void cops_obj_iter_init(struct cops_obj_iter *it, const struct cops_msg *m);
bool cops_obj_iter_next(struct cops_obj_iter *it, struct cops_obj *o);

/* The decisions of a DEC (RFC 2748 3.2): Context, Flags, and named data if present. */
struct cops_decision {
	uint16_t r_type;
	uint16_t m_type;
	uint16_t command;     /* enum cops_command */
	uint16_t flags;	      /* COPS_DEC_* */
	struct cops_obj data; /* c_num 0 = none */
};
struct cops_dec_iter {
	struct cops_obj_iter objs;
	struct cops_obj pending;
};
void cops_dec_iter_init(struct cops_dec_iter *it, const struct cops_msg *m);
bool cops_dec_iter_next(struct cops_dec_iter *it, struct cops_decision *d);

/* The Named ClientSI objects of a REQ or RPT, one after the other. */
void cops_si_iter_init(struct cops_obj_iter *it, const struct cops_msg *m);
bool cops_si_iter_next(struct cops_obj_iter *it, struct cops_obj *o);

/* COPS-PR sub-objects inside named data (RFC 3084 4): Named Decision Data 6/5, Named ClientSI 9/2.
 */
struct cops_sub {
	uint8_t s_num; /* enum cops_snum */
	uint8_t s_type;
	uint16_t len; /* octets of body */
	const uint8_t *body;
	uint16_t code; /* GPERR, CPERR: error code */
	uint16_t sub;  /* and sub-code */
};
struct cops_sub_iter {
	const uint8_t *p;
	const uint8_t *end;
};
enum cops_sub_result {
	COPS_SUB_END,
	COPS_SUB_OK,
	COPS_SUB_BAD_LEN, /* does not fit the object around it */
	COPS_SUB_BAD_PAD, /* GPERR invalidObjectPad(8) */
	COPS_SUB_UNKNOWN, /* GPERR unknownCOPSPRObject(10); *s says which; can go on */
};
/*
 * _init with the object around them; _next gives one after the other and judges it: the message's
 * parser looks at objects only.  Nothing follows COPS_SUB_END and the two COPS_SUB_BAD.
 */
void cops_sub_iter_init(struct cops_sub_iter *it, const struct cops_obj *named);
enum cops_sub_result cops_sub_iter_next(struct cops_sub_iter *it, struct cops_sub *s);

/*
 * Building.  A message: begin, put objects, end.  Named data: open, put
 * sub-objects, close; close pads and patches.  Marks are offsets in *b.
 * Failures stick in b->failed, an object over 65,535 octets sets it too.
 * What is put is copied; that a message's objects are the right ones is the caller's affair.
 */
/* Append a header (RFC 2748 2.1); the mark is for cops_msg_end(), which puts in the length. */
size_t cops_msg_begin(struct buf *b, enum cops_op op, bool solicited, uint16_t client_type);
void cops_msg_end(struct buf *b, size_t mark);
/* Append an object with any body, or with a body of two numbers; padded with zeros (2.2). */
void cops_put_obj(struct buf *b, uint8_t c_num, uint8_t c_type, const void *body, size_t len);
void cops_put_u16x2(struct buf *b, uint8_t c_num, uint8_t c_type, uint16_t hi, uint16_t lo);
/* Handle (2.2.1); PEPID (2.2.11) of 1 to COPS_PEPID_MAX octets. */
void cops_put_handle(struct buf *b, const uint8_t *handle, size_t len);
void cops_put_pepid(struct buf *b, const char *pepid);
/* Context (2.2.2) of COPS-PR: R-Type 0x08, M-Type 0 (RFC 3084 3.1). */
void cops_put_config_context(struct buf *b);
/* That and Decision Flags (2.2.6), COPS_DEC_*: named data of it may follow. */
void cops_put_decision(struct buf *b, enum cops_command cmd, uint16_t flags);
/* Named data: 6/5 or 9/2 (RFC 3084 3.1-3.3). */
size_t cops_named_open(struct buf *b, uint8_t c_num, uint8_t c_type);
void cops_named_close(struct buf *b, size_t mark);
/* Append a sub-object (RFC 3084 4), its body BER. */
void cops_put_sub(struct buf *b, enum cops_snum s_num, const void *body, size_t len);
/* A sub-object whose body is written in place between open and close. */
size_t cops_sub_open(struct buf *b, enum cops_snum s_num);
void cops_sub_close(struct buf *b, size_t mark);
/* GPERR or CPERR (RFC 3084 4.4, 4.5). */
void cops_put_perr(struct buf *b, enum cops_snum s_num, uint16_t code, uint16_t sub);

#ifdef __cplusplus
}
#endif
#endif
