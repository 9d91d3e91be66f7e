/*
 * learn_conf.c - see learn_conf.h.  Numbers of protocols are those of linux/rtnetlink.h, and of
 * FRRouting's zebra where that has none.
 */
#include "pep/learn_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OURS 67 /* routes of ours, which nobody learns */

static const struct {
	const char *name;
	uint8_t number;
	bool daemon; /* a routing daemon's, of routes that it found */
} protocols[] = {
    {"redirect", 1, false},
    {"kernel", 2, false},
    {"boot", 3, false},
    {"static", 4, false},
    {"gated", 8, true},
    {"ra", 9, false},
    {"zebra", 11, true},
    {"bird", 12, true},
    {"xorp", 14, true},
    {"dhcp", 16, false},
    {"keepalived", 18, false},
    {"babel", 42, true},
    {"openr", 99, true},
    {"bgp", 186, true},
    {"isis", 187, true},
    {"ospf", 188, true},
    {"rip", 189, true},
    {"ripng", 190, true},
    {"nhrp", 191, true},
    {"eigrp", 192, true},
    {"zstatic", 196, false},
    {"openfabric", 197, true},
};

#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static void take(struct learn_filter *f, unsigned protocol)
{
	f->protocol[protocol / 8] |= (uint8_t)(1U << protocol % 8);
}

void learn_filter_default(struct learn_filter *f)
{
	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].daemon)
			take(f, protocols[i].number);
}

bool learn_filter_protocol(const struct learn_filter *f, uint8_t protocol)
{
	return f->protocol[protocol / 8] & 1U << protocol % 8;
}

/* ------------------------------------------------------------------ reading */

/* A number of 1..max without anything around it; 0: it is none. */
static uint32_t number(const char *s, unsigned long max)
{
	char *end;
	unsigned long n = s[0] >= '0' && s[0] <= '9' ? strtoul(s, &end, 10) : 0;

	return n == 0 || n > max || *end != '\0' ? 0 : (uint32_t)n;
}

static const char *set_table(struct learn_filter *f, char *word)
{
	f->table = strcmp(word, "main") == 0 ? 254 : number(word, UINT32_MAX);
	return f->table == 0 ? "a table is main or a number" : NULL;
}

static const char *add_protocol(struct learn_filter *f, char *word)
{
	uint32_t n = number(word, 255);

	for (size_t i = 0; i < PROTOCOLS; i++)
		if (strcmp(protocols[i].name, word) == 0)
			n = protocols[i].number;
	if (n == OURS)
		return "protocol 67 is of our own routes";
	if (n == 0)
		return "a protocol is a name like ospf or bgp, or its number (1 to 255)";
	take(f, n);
	return NULL;
}

static const char *add_interface(struct learn_filter *f, char *word)
{
	if (f->interfaces == LEARN_CONF_LIST)
		return "too many interfaces for one entry";
	if (strlen(word) >= LEARN_CONF_WORD)
		return "an interface's name has 15 octets at most";
	snprintf(f->interface[f->interfaces++], LEARN_CONF_WORD, "%s", word);
	return NULL;
}

static const char *add_prefix(struct learn_filter *f, char *word)
{
	if (f->prefixes == LEARN_CONF_LIST)
		return "too many prefixes for one entry";
	if (prefix_parse(&f->prefix[f->prefixes++], word) != PREFIX_OK)
		return "a prefix is like 10.1.0.0/16, without host bits";
	return NULL;
}

static const struct {
	const char *name;
	bool list;
	const char *(*take)(struct learn_filter *f, char *word);
} keys[] = {
    {"table", false, set_table},
    {"protocol", true, add_protocol},
    {"interface", true, add_interface},
    {"prefix", true, add_prefix},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *read_values(struct learn_filter *f, size_t key, char *values)
{
	const char *why = NULL;
	char *save = NULL;
	char *word = values;

	if (!keys[key].list)
		return keys[key].take(f, values);
	for (word = strtok_r(values, ",", &save); word != NULL && why == NULL;
	     word = strtok_r(NULL, ",", &save))
		why = keys[key].take(f, word);
	return why;
}

static const char *read_words(struct learn_filter *f, char *text)
{
	char *save = NULL;
	char *word = strtok_r(text, " \t", &save);
	bool given[KEYS] = {false};
	const char *why = NULL;

	if (word == NULL)
		return "the VPN's name is missing";
	if (strlen(word) >= LEARN_CONF_VPN)
		return "a VPN's name has 64 octets at most";
	snprintf(f->vpn, sizeof(f->vpn), "%s", word);
	while (why == NULL && (word = strtok_r(NULL, " \t", &save)) != NULL) {
		char *values = strtok_r(NULL, " \t", &save);
		size_t key = 0;

		while (key < KEYS && strcmp(keys[key].name, word) != 0)
			key++;
		if (key == KEYS)
			return "expected table, protocol, interface or prefix";
		if (values == NULL)
			return "the last word has no value";
		if (given[key])
			return "a word is there twice";
		given[key] = true;
		if (keys[key].take == add_protocol)
			memset(f->protocol, 0, sizeof(f->protocol));
		why = read_values(f, key, values);
	}
	return why;
}

int learn_filter_parse(struct learn_filter *f, const char *text, const char **why)
{
	char *copy = strdup(text);

	learn_filter_default(f);
	*why = copy == NULL ? "out of memory" : read_words(f, copy);
	free(copy);
	return *why == NULL ? 0 : -1;
}

/* ------------------------------------------------------------------ asking */

static bool unfit(const struct prefix *p)
{
	static const struct {
		uint8_t family;
		uint8_t octet;
		uint8_t mask;
		uint8_t second; /* with its mask; 0 = not looked at */
		uint8_t second_mask;
	} never[] = {
	    {AF_INET, 0, 0xff, 0, 0},		/* this host */
	    {AF_INET, 127, 0xff, 0, 0},		/* loopback */
	    {AF_INET, 169, 0xff, 254, 0xff},	/* link-local */
	    {AF_INET, 224, 0xe0, 0, 0},		/* multicast, reserved, broadcast */
	    {AF_INET6, 0xff, 0xff, 0, 0},	/* multicast */
	    {AF_INET6, 0xfe, 0xff, 0x80, 0xc0}, /* link-local */
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (p->addr.family == never[i].family &&
		    (p->addr.octets[0] & never[i].mask) == never[i].octet &&
		    (p->addr.octets[1] & never[i].second_mask) == never[i].second)
			return true;
	return p->len == 0;
}

static bool through(const struct learn_filter *f, const struct learn_candidate *c)
{
	for (unsigned i = 0; i < f->interfaces; i++)
		if (strcmp(f->interface[i], c->interface) == 0)
			return true;
	return f->interfaces == 0 && !c->towards_peers;
}

static bool within(const struct learn_filter *f, const struct prefix *p)
{
	for (unsigned i = 0; i < f->prefixes; i++)
		if (prefix_contains(&f->prefix[i], p))
			return true;
	return f->prefixes == 0;
}

bool learn_filter_takes(const struct learn_filter *f, const struct learn_candidate *c)
{
	return c->protocol != OURS && learn_filter_protocol(f, c->protocol) && !unfit(c->dst) &&
	       through(f, c) && within(f, c->dst);
}

const char *learn_protocol_print(uint8_t protocol, char buf[LEARN_PROTOCOL_LEN])
{
	snprintf(buf, LEARN_PROTOCOL_LEN, "%u", protocol);
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].number == protocol)
			snprintf(buf, LEARN_PROTOCOL_LEN, "%s", protocols[i].name);
	return buf;
}
