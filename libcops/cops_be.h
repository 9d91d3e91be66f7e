/*
 * cops_be.h - big-endian numbers at a place whose bounds were already checked.
 * Private to libcops; whoever has not checked uses the cursor of common/buf.h.
 */
#ifndef COPS_BE_H
#define COPS_BE_H

#include <stdint.h>

static inline uint16_t cops_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t cops_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void cops_be16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void cops_be32_put(uint8_t *p, uint32_t v)
{
	cops_be16_put(p, (uint16_t)(v >> 16));
	cops_be16_put(p + 2, (uint16_t)v);
}

/* Octets that fill len up to the 4-octet boundary COPS keeps. */
static inline uint32_t cops_pad(uint32_t len)
{
	return -len & 3;
}

#endif
