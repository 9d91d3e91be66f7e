/*
 * prefixes.h - decisions of as many rows as one likes, for figures and for what must hold at any
 * length: ceVpnPeerPrefix, of which a CE has most.  Built as copspdpd builds them.
 */
#ifndef TESTS_BENCH_PREFIXES_H
#define TESTS_BENCH_PREFIXES_H

#include <stddef.h>
#include <stdint.h>

#include "libcops/cops_chunk.h"
#include "libcops/cops_msg.h"
#include "pib/pib_codec.h"

/* Rows 1..n; turn changes each of them.  NULL: no memory. */
struct cops_chunk *prefixes_chunk(unsigned n, unsigned turn);
/* The ceVpn row that they refer to, with its proposal. */
struct cops_chunk *prefixes_vpn(void);
/* A whole DEC with these chunks; to be freed.  NULL: no memory. */
uint8_t *prefixes_dec(struct cops_chunk *const *chunk, size_t n, size_t *len);

/*
 * A DEC as a PEP reads it, but without a store: every row decoded into a struct on the stack.
 * Returns how many there were, -1 when anything about it is wrong.
 */
long prefixes_decode(const struct pib_schema *schema, const uint8_t *dec, size_t len);

#endif
