/*
 * fuzz_conf.c - a configuration file: for a table with every type of option, and for that
 * of the policy server.
 */
#include <string.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/diag.h"
#include "pdp/pdp_conf.h"
#include "tests/fuzz/fuzz.h"

struct settings {
	char *string;
	int64_t number;
	bool flag;
	struct addr addr;
	int64_t seconds;
	struct conf_list list;
};

static const struct conf_opt options[] = {
    {"string", CONF_STRING, offsetof(struct settings, string), "", "x", 0, 12, "A string."},
    {"number", CONF_INT, offsetof(struct settings, number), "7", NULL, -5, 100, "A number."},
    {"flag", CONF_BOOL, offsetof(struct settings, flag), "no", NULL, 0, 0, "A flag."},
    {"address", CONF_ADDR, offsetof(struct settings, addr), "", "::1", 0, 0, "An address."},
    {"time", CONF_SECONDS, offsetof(struct settings, seconds), "1m", NULL, 0, 86400, "A time."},
    {"list", CONF_LIST, offsetof(struct settings, list), "{ a }", NULL, 1, 4, "A list."},
    {0},
};

static void print(const struct diag *d)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	MUST(f != NULL);
	diag_print(d, f);
	fclose(f);
	free(text);
}

static void every_type(const char *text, size_t len)
{
	struct settings c = {0};
	struct diag d;

	diag_init(&d);
	if (conf_parse(options, &c, "input.conf", text, len, &d) == 0) {
		MUST(d.errors == 0);
		MUST(c.number >= -5 && c.number <= 100 && c.seconds >= 0 && c.seconds <= 86400);
		MUST(c.string == NULL || strlen(c.string) <= 12);
		MUST(c.list.count >= 1 && c.list.count <= 4);
		for (size_t i = 0; i < c.list.count; i++)
			MUST(c.list.item[i] != NULL);
		conf_clear(options, &c);
	} else {
		MUST(d.errors > 0);
	}
	MUST(c.string == NULL && c.list.item == NULL && c.list.count == 0);
	print(&d);
	diag_clear(&d);
}

static void daemon_conf(const uint8_t *data, size_t size)
{
	struct pdp_conf c;
	struct diag d;
	char *text = malloc(size + 1);

	MUST(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	diag_init(&d);
	if (pdp_conf_parse(&c, text, &d) == 0)
		pdp_conf_clear(&c);
	else
		MUST(d.errors > 0);
	print(&d);
	diag_clear(&d);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 65536)
		return 0;
	every_type((const char *)data, size);
	daemon_conf(data, size);
	return 0;
}
