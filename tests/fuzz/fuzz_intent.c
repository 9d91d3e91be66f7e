/*
 * fuzz_intent.c - an intent document: it is taken, or refused with at least one fault that
 * can be printed and with no number handed out.
 */
#include <string.h>

#include "pdp/ids.h"
#include "pdp/intent.h"
#include "tests/fuzz/fuzz.h"

static const char *ce_owner(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "taken.example") == 0 ? "someone" : NULL;
}

static const char *address_owner(void *arg, const struct addr *a)
{
	(void)arg;
	return a->octets[0] == 203 ? "someone" : NULL;
}

static const char *vpn_id_owner(void *arg, const uint8_t vpn_id[7])
{
	(void)arg;
	return vpn_id[6] == 0xff ? "someone" : NULL;
}

static int count(void *arg, const struct id_entry *e)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

static void print(const struct diag *d)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	MUST(f != NULL);
	diag_print(d, f);
	fclose(f);
	MUST(d->count == 0 || len > 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ids *ids = ids_new();
	const struct intent_env env = {
	    .ids = ids,
	    .ce_owner = ce_owner,
	    .address_owner = address_owner,
	    .vpn_id_owner = vpn_id_owner,
	    .max_octets = 65536,
	};
	struct intent in;
	struct diag diag;
	size_t dirty = 0;

	MUST(ids != NULL);
	diag_init(&diag);
	if (intent_parse("input.xml", (const char *)data, size, &env, &in, &diag) == 0) {
		MUST(diag.errors == 0);
	} else {
		MUST(diag.errors > 0 && in.customers == 0);
		ids_dirty_each(ids, count, &dirty);
		MUST(dirty == 0);
	}
	print(&diag);
	intent_clear(&in);
	diag_clear(&diag);
	ids_free(ids);
	return 0;
}
