/*
 * pib_codec.h - PRIDs and EPDs as octets (RFC 3084 4.1-4.3, RFC 3159 3): one
 * codec for every class, driven by the class's descriptor.
 */
#ifndef PIB_CODEC_H
#define PIB_CODEC_H

#include "pib/pib_class.h"
#include "pib/pib_err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

#define PIB_PRID_MAX 64 /* BER contents octets */

/* Append the PRID's BER OBJECT IDENTIFIER (tag, length, contents) of row cls.instance. */
void pib_prid_put(struct buf *b, const struct pib_class *cls, uint32_t instance);
/* Append the class prefix (for PPRID: every row of cls). */
void pib_pprid_put(struct buf *b, const struct pib_class *cls);
/*
 * Parse a PRID sub-object's body.  0 and (*cls, *instance), or -1 and *f: unknown PRC,
 * no instance, bad BER.
 */
int pib_prid_parse(const struct pib_schema *s, const uint8_t *p, size_t len,
    const struct pib_class **cls, uint32_t *instance, struct pib_fault *f);
/*
 * What a PRID or PPRID covers (RFC 3084 5.1: in a Remove a PRID may be a prefix too):
 * calls fn for each class covered; whole classes have instance 0.  0, or -1 and *f.
 */
int pib_prefix_parse(const struct pib_schema *s, const uint8_t *p, size_t len,
    void (*fn)(void *arg, const struct pib_class *cls, uint32_t instance), void *arg,
    struct pib_fault *f);

/* Append the EPD of a row: attribute TLVs in column order, NULL where null_mask says so. */
void pib_epd_put(struct buf *b, const struct pib_class *cls, const void *row);

#define PIB_EPD_MAX 65531 /* octets: a COPS-PR sub-object's body */

/*
 * Decode an EPD into the class's struct (cls->row_size octets, octet columns borrow p).
 * Checks tags, BER, ranges, sizes, enumerations; missing trailing and NULL columns take
 * their default or are an error (RFC 3084 2.2.1); surplus ones are skipped and set *surplus.
 * 0, or -1 and *f (class, column in sub; the caller adds the instance).
 */
int pib_epd_decode(const struct pib_class *cls, const uint8_t *p, size_t len, void *row,
    bool *surplus, struct pib_fault *f);

/* Let *f name row cls.instance: its class, instance and prid are set. */
void pib_fault_row(struct pib_fault *f, const struct pib_class *cls, uint32_t instance);

/*
 * Column access by descriptor; row is a struct of c's class.  A number, 0 where it is octets;
 * an Unsigned64 over 2^63 wraps.
 */
int64_t pib_row_number(const struct pib_column *c, const void *row);
/* Octets, borrowed from the row; none where it is a number. */
struct pib_octets pib_row_octets(const struct pib_column *c, const void *row);
/* Is the column NULL; make it so. */
bool pib_row_null(const struct pib_column *c, const void *row);
void pib_row_set_null(const struct pib_column *c, void *row);

/* Append a column for people: "10.0.0.1", "hub(1)", "text", hex; key material is the caller's to
 * blank. */
void pib_value_print(
    struct buf *b, const struct pib_class *cls, const struct pib_column *c, const void *row);

/* Append an OBJECT IDENTIFIER's contents octets, dotted. */
void pib_oid_print(struct buf *b, struct pib_octets o);
/*
 * Append a PRID's or PPRID's BER: "ceVpnPeer.12", "ceVpnPeer.*" for the class, dotted when its
 * class is not known, else hex.  Returns the class, or NULL.
 */
const struct pib_class *pib_prid_print(
    const struct pib_schema *s, struct buf *b, const uint8_t *p, size_t len);
/* Only the class's name, NULL = not known; schema is a struct pib_schema. */
const char *pib_prid_class_name(const void *schema, const uint8_t *p, size_t len);

/*
 * The PRID + EPD pair of a row as COPS-PR sub-objects is built by the caller with
 * libcops; pib knows only BER.
 */

#ifdef __cplusplus
}
#endif
#endif
