/*
 * cops_print.h - COPS for people: one object's value, one message in one line.
 * Table-driven from cops_obj.h.  What is inside PRIDs and EPDs is the PIB's affair:
 * the caller names it.  Takes malformed input: whatever lies in memory can be shown.
 */
#ifndef COPS_PRINT_H
#define COPS_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libcops/cops_msg.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

/* Names that libcops does not know; any of the functions may be NULL. */
struct cops_namer {
	/* The class of a PRID (BER, tag and length included); NULL: not known.  The same class
	 * always gives the same pointer. */
	const char *(*class_name)(const void *arg, const uint8_t *prid, size_t len);
	const char *(*gperr)(unsigned code);
	const char *(*cperr)(unsigned code);
	const void *arg;
};

/* Append octets as hex; those after the first max are only counted ("... 12 more"); 0 = all. */
void cops_octets_print(struct buf *b, const uint8_t *p, size_t len, size_t max);
/* Append peer-chosen text; what would upset a terminal as \xNN. */
void cops_text_print(struct buf *b, const uint8_t *p, size_t len);
/*
 * Append an object's value: "Install", "192.0.2.1:3288", "60 s"; hex, cut after max
 * octets, where there is nothing better.  Lengths need not be right.
 */
void cops_obj_print(struct buf *b, const struct cops_obj *o, size_t max);
/*
 * The next object of octets nobody has checked.  False at the end, or at an object that
 * does not fit; it->p is where it stopped.
 */
bool cops_obj_iter_try(struct cops_obj_iter *it, struct cops_obj *o);

/*
 * Append what a message says in one line without end: op-code, client-type, flags,
 * handle, then decisions and rows counted by class, report, error or reason.  fault is
 * what cops_msg_parse() found, or NULL.  No row's content appears.
 */
void cops_msg_print_line(struct buf *b, const struct cops_msg *m, const struct cops_fault *fault,
    const struct cops_namer *names);
/*
 * Write that line with the time (UTC) and the peer in front of it; out: we send it.  Lines
 * of several threads do not mix.
 */
void cops_trace_write(FILE *f, const char *peer, bool out, const struct cops_msg *m,
    const struct cops_fault *fault, const struct cops_namer *names);

#ifdef __cplusplus
}
#endif
#endif
