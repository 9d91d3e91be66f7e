/*
 * fuzz_conf.c - a configuration file: for a table with every type of option, and for those of
 * both daemons, the roles of interfaces in it.
 */
#include <string.h>

#include "common/addr.h"
#include "common/conf.h"
#include "common/diag.h"
#include "pdp/pdp_conf.h"
#include "pep/pep_conf.h"
#include "pep/roles.h"
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

static int pdp(const char *text, struct diag *d)
{
	struct pdp_conf c;
	int rc = pdp_conf_parse(&c, text, d);

	if (rc == 0)
		pdp_conf_clear(&c);
	return rc;
}

static int pep(const char *text, struct diag *d)
{
	struct pep_conf c;
	int rc = pep_conf_parse(&c, text, d);
	const char *roles;

	if (rc == 0) {
		MUST(c.pdps >= 1 && c.pdps <= PEP_CONF_PDPS);
		for (unsigned i = 0; i < c.pdps; i++)
			MUST(c.pdp[i].name != NULL && c.pdp[i].port != 0);
		for (size_t i = 0; i < c.roles.count; i++) {
			char name[KERN_IF_NAME];

			MUST(pep_roles_parse(c.roles.item[i], name, &roles) == 0);
			MUST(strlen(name) > 0 && strlen(name) < KERN_IF_NAME);
		}
	}
	pep_conf_clear(&c);
	return rc;
}

static void daemon_conf(int (*parse)(const char *text, struct diag *d), const char *text)
{
	struct diag d;
	int rc;

	diag_init(&d);
	rc = parse(text, &d);
	MUST((rc == 0) == (d.errors == 0));
	print(&d);
	diag_clear(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	MUST(text != NULL);
	if (size > 65536)
		size = 65536;
	memcpy(text, data, size);
	text[size] = '\0';
	every_type((const char *)data, size);
	daemon_conf(pdp, text);
	daemon_conf(pep, text);
	free(text);
	return 0;
}
