/*
 * fnv.h - FNV-1a in 64 bits: to see whether something of our own is what it was.  Not against those
 * who choose what is hashed.
 */
#ifndef COMMON_FNV_H
#define COMMON_FNV_H

#include <stddef.h>
#include <stdint.h>

#define FNV_START 0xcbf29ce484222325U

static inline uint64_t fnv_add(uint64_t h, const void *p, size_t len)
{
	const uint8_t *octet = (const uint8_t *)p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ octet[i]) * 0x100000001b3U;
	return h;
}

#endif
