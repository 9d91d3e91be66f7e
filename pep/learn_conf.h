/*
 * learn_conf.h - which of the kernel's routes a VPN's site is learned from: the entries of "learn"
 * in pep.conf, as text and as filters.
 *
 *	VPN [table TABLE] [protocol PROTOCOL,...] [interface NAME,...] [prefix PREFIX,...]
 *
 * What an entry does not name is as without any entry: the VPN's own table (that of its VRF, or
 * main), the protocols of routing daemons, every interface but those of ours and the one that leads
 * to the VPN's peers, every prefix.  Several entries for a VPN add up.
 */
#ifndef PEP_LEARN_CONF_H
#define PEP_LEARN_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"

#define LEARN_CONF_LIST 16 /* interfaces or prefixes of an entry */
#define LEARN_CONF_WORD 16 /* octets of an interface's name, with its NUL */
#define LEARN_CONF_VPN	65 /* of a VPN's */

struct learn_filter {
	char vpn[LEARN_CONF_VPN];
	uint32_t table;	      /* 0 = the VPN's own */
	uint8_t protocol[32]; /* a bit for each */
	unsigned interfaces;  /* 0 = any but the one that leads to the peers */
	char interface[LEARN_CONF_LIST][LEARN_CONF_WORD];
	unsigned prefixes; /* 0 = any */
	struct prefix prefix[LEARN_CONF_LIST];
};

struct learn_candidate {
	const struct prefix *dst;
	uint8_t protocol;
	const char *interface; /* "" = not known */
	bool towards_peers;    /* it leads to them, or is one of ours */
};

/* That of a VPN without entry. */
void learn_filter_default(struct learn_filter *f);
/* 0, or -1 and what is wrong in *why. */
int learn_filter_parse(struct learn_filter *f, const char *text, const char **why);
bool learn_filter_takes(const struct learn_filter *f, const struct learn_candidate *c);
/* The table apart. */
bool learn_filter_protocol(const struct learn_filter *f, uint8_t protocol);
/* "ospf", or its number; returns buf. */
#define LEARN_PROTOCOL_LEN 12
const char *learn_protocol_print(uint8_t protocol, char buf[LEARN_PROTOCOL_LEN]);

#endif
