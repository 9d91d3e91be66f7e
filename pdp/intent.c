/*
 * intent.c - the way of a document: size, scan, tree and schema, meaning, snapshots, report.
 * Numbers are handed out last, so a refused document leaves no trace.
 */
#include "pdp/intent.h"

#include <stdlib.h>

#include "pdp/intent_doc.h"
#include "pdp/intent_scan.h"

static int say(struct diag *diag, const char *name, const char *why)
{
	diag_add(diag, DIAG_ERROR, name, 0, 0, 0, NULL, 0, "%s", why);
	return -1;
}

static int check_size(const char *name, size_t len, size_t max, struct diag *diag)
{
	if (!len)
		return say(diag, name, "the document is empty");
	if (len <= max)
		return 0;
	diag_add(diag, DIAG_ERROR, name, 0, 0, 0, NULL, 0,
	    "%zu octets are more than the %zu allowed", len, max);
	return -1;
}

/* With a tree: check, build, and say all that is wrong. */
static int take_tree(
    struct doc *d, const struct intent_env *env, struct intent *out, struct diag *diag)
{
	const char *why = NULL;

	intent_check(d, env);
	if (!d->errors && !d->failed)
		intent_check_overlap(d);
	if (!d->errors && !d->failed)
		intent_check_caps(d, env);
	bool good = !d->errors && !d->failed;
	if (good && intent_build(d, env, out, &why) < 0) {
		intent_clear(out);
		ids_rollback(env->ids);
		good = false;
	}
	doc_report(d, diag);
	if (d->failed)
		why = "out of memory";
	return why ? say(diag, d->name, why) : good ? 0 : -1;
}

int intent_parse(const char *name, const char *text, size_t len, const struct intent_env *env,
    struct intent *out, struct diag *diag)
{
	struct doc d;
	int r = -1;

	*out = (struct intent) {0};
	if (check_size(name, len, env->max_octets, diag) < 0 ||
	    scan_check(name, text, len, diag) < 0)
		return -1;
	doc_init(&d, name, text, len);
	d.stored = env->stored;
	if (intent_xml_read(&d, diag) == 0)
		r = take_tree(&d, env, out, diag);
	doc_clear(&d);
	intent_xml_free(&d);
	return r;
}

void intent_clear(struct intent *in)
{
	for (size_t i = 0; i < in->customers; i++)
		customer_unref(in->customer[i]);
	free(in->customer);
	*in = (struct intent) {0};
}
