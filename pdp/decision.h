/*
 * decision.h - rows as COPS-PR Decisions and back (RFC 3084 3.2, 5.1): context, flags,
 * named data, as many of them as the 65,535 octets of an object ask for.
 */
#ifndef PDP_DECISION_H
#define PDP_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "libcops/cops_chunk.h"
#include "libcops/cops_def.h"
#include "pib/pib_class.h"

/* Decisions of one command being written. */
struct decision {
	struct buf b;
	enum cops_command command; /* install or remove */
	size_t mark;		   /* of the open named data object */
	bool open;
};

void decision_init(struct decision *d, enum cops_command command);
void decision_clear(struct decision *d);
/* A row given by its struct, by its EPD's octets, or (to remove it) by its PRID alone. */
void decision_row(
    struct decision *d, const struct pib_class *cls, uint32_t instance, const void *row);
void decision_epd(struct decision *d, const struct pib_class *cls, uint32_t instance,
    const uint8_t *epd, size_t epd_len);
void decision_prid(struct decision *d, const struct pib_class *cls, uint32_t instance);
/* What was written as a chunk, *d is as after decision_init().  NULL: memory. */
struct cops_chunk *decision_take(struct decision *d);

/* A chunk that installs or removes one row. */
struct cops_chunk *decision_install_one(
    const struct pib_class *cls, uint32_t instance, const uint8_t *epd, size_t epd_len);
struct cops_chunk *decision_remove_one(const struct pib_class *cls, uint32_t instance);
/* One that removes all rows of a module's classes (PPRIDs). */
struct cops_chunk *decision_remove_classes(const struct pib_module *m);

/*
 * Every row that the chunks install, in order.  fn gets the row as its class's struct, which
 * borrows the chunk.  0, or -1: not decodable, or fn said so.
 */
int decision_each(struct cops_chunk *const *chunk, size_t n, const struct pib_schema *schema,
    int (*fn)(void *arg, const struct pib_class *cls, uint32_t instance, const void *row),
    void *arg);

#endif
