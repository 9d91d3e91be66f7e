/*
 * intent_transform.c - what an intent says of algorithms and keys: transforms of IPsec and of IKE,
 * which of them a VPN takes, where its keys come from, and whether all that fits together.
 */
#include "pdp/intent_doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pdp/transform.h"

#define LIFETIME_MIN_S 30 /* a key is replaced in seconds, and its predecessor lingers for some */

static bool is(const char *text, const char *word)
{
	return text && !strcmp(text, word);
}

/* --- values --------------------------------------------------------------------------------- */

/* A decimal number up to max at the start of text; *end is after it. */
static bool number_parse(const char *text, uint64_t max, uint64_t *v, const char **end)
{
	char *e;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &e, 10);
	*v = n;
	*end = e;
	return !errno && n <= max;
}

/* An attribute that is a number; text NULL: other. */
static uint64_t check_number(
    struct doc *d, uint32_t tag, const char *attr, const char *text, uint64_t other, uint64_t max)
{
	uint64_t v = 0;
	const char *end;

	if (!text)
		return other;
	if (number_parse(text, max, &v, &end) && !*end)
		return v;
	doc_error(d, tag, attr, 0, "%s \"%s\" is not a number from 0 to %" PRIu64, attr, text, max);
	return other;
}

/* An attribute that is a time, in seconds: 0, or at least min; text NULL: other. */
static uint32_t check_time(
    struct doc *d, uint32_t tag, const char *attr, const char *text, uint32_t other, uint32_t min)
{
	static const struct {
		char unit[2];
		uint32_t seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	uint64_t v = 0;
	const char *end;

	if (!text)
		return other;
	if (number_parse(text, UINT32_MAX, &v, &end))
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(end, units[i].unit) && v * units[i].seconds <= UINT32_MAX) {
				v *= units[i].seconds;
				if (v != 0 && v < min)
					doc_error(d, tag, attr, 0, "%s \"%s\" is shorter than %u s",
					    attr, text, (unsigned)min);
				return (uint32_t)v;
			}
	doc_error(d, tag, attr, 0,
	    "%s \"%s\" is not a time like 3600s, 90m, 8h or 1d, below 2^32 seconds", attr, text);
	return other;
}

/* --- algorithms ----------------------------------------------------------------------------- */

static const struct kind {
	enum transform_type type;
	const char *attr;
	const char *what;
} encryption = {TRANSFORM_ENCR, "encr", "encryption"},
  integrity = {TRANSFORM_INTEG, "integ", "integrity"}, prf = {TRANSFORM_PRF, "prf", "prf"},
  group = {TRANSFORM_DH, "dh", "key exchange"};

/* The algorithm of this name, or NULL after saying why not. */
static const struct transform *check_algorithm(
    struct doc *d, const struct doc_transform *t, const struct kind *k, const char *name)
{
	const struct transform *a = transform_find(k->type, name);
	char names[200];

	if (!a)
		doc_error(d, t->tag, k->attr, 0, "there is no %s algorithm \"%s\"; there are %s",
		    k->what, name, transform_names(k->type, names, sizeof(names)));
	else if (a->refused)
		doc_error(
		    d, t->tag, k->attr, 0, "%s \"%s\" is refused: %s", k->what, name, a->refused);
	return a && !a->refused ? a : NULL;
}

static uint16_t number_of(
    struct doc *d, const struct doc_transform *t, const struct kind *k, const char *name)
{
	const struct transform *a = check_algorithm(d, t, k, name);
	return a ? a->number : 0;
}

static const char *or_default(const char *text, const char *other)
{
	return text ? text : other;
}

/* Encryption and the integrity that goes with it. */
static void check_encryption(struct doc *d, struct doc_transform *t)
{
	const struct transform *e = check_algorithm(
	    d, t, &encryption, or_default(t->encr, "aes-cbc-256"));

	if (e && e->aead && t->integ)
		doc_error(d, t->tag, "integ", 0,
		    "\"%s\" authenticates by itself and takes no integ", e->name);
	else if (t->integ || !e || !e->aead)
		t->proposal.integ = number_of(
		    d, t, &integrity, or_default(t->integ, "hmac-sha2-512-256"));
	t->proposal.encr = e ? e->number : 0;
	t->proposal.encr_key_bits = e ? e->key_bits : 0;
}

/* AH: integrity alone. */
static void check_ah(struct doc *d, struct doc_transform *t)
{
	t->proposal.ah = true;
	if (t->encr)
		doc_error(d, t->tag, "encr", 0, "AH does not encrypt and takes no encr");
	t->proposal.integ = number_of(d, t, &integrity, or_default(t->integ, "hmac-sha2-512-256"));
	doc_warning(d, t->tag, "protocol",
	    "AH authenticates packets but does not encrypt them: all between can read them");
}

/* --- transforms ----------------------------------------------------------------------------- */

static void check_lifetimes(struct doc *d, struct doc_transform *t)
{
	struct model_proposal *p = &t->proposal;

	p->lifetime_s = check_time(d, t->tag, "lifetime", t->lifetime, 8 * 3600, LIFETIME_MIN_S);
	p->soft_s = check_time(d, t->tag, "soft-lifetime", t->soft_lifetime, 0, LIFETIME_MIN_S / 2);
	p->lifetime_kilobytes = check_number(
	    d, t->tag, "kilobytes", t->kilobytes, 0, UINT64_MAX / 1024);
	p->soft_kilobytes = check_number(
	    d, t->tag, "soft-kilobytes", t->soft_kilobytes, 0, UINT64_MAX / 1024);
	if (p->soft_s && p->soft_s >= p->lifetime_s)
		doc_error(d, t->tag, "soft-lifetime", 0,
		    "the soft lifetime must be shorter than the lifetime, %u s",
		    (unsigned)p->lifetime_s);
	if (p->soft_kilobytes && p->soft_kilobytes >= p->lifetime_kilobytes)
		doc_error(d, t->tag, "soft-kilobytes", 0,
		    "soft-kilobytes must be less than kilobytes, %" PRIu64, p->lifetime_kilobytes);
}

static void check_transform(struct doc *d, struct doc_customer *k, struct doc_transform *t)
{
	struct doc_transform *first = NULL;

	if (t->name)
		DOC_TABLE_PUT(d, hh, k->by_name, t->name, strlen(t->name), t, first);
	if (first)
		doc_error(
		    d, t->tag, "name", first->tag, "transform \"%s\" is there twice", t->name);

	if (is(t->protocol, "ah"))
		check_ah(d, t);
	else
		check_encryption(d, t);
	if (t->dh)
		t->proposal.dh = number_of(d, t, &group, t->dh);
	check_lifetimes(d, t);
	t->proposal.replay_window = (uint32_t)check_number(
	    d, t->tag, "replay-window", t->replay_window, 32, 4096);
	t->proposal.esn = is(t->esn, "yes");
	if (t->proposal.esn && !t->proposal.replay_window)
		doc_error(d, t->tag, "esn", 0,
		    "extended sequence numbers need a replay window (RFC 4303 2.2.1)");
}

static void check_ike_transform(struct doc *d, struct doc_customer *k, struct doc_transform *t)
{
	struct doc_transform *first = NULL;

	if (t->name)
		DOC_TABLE_PUT(d, hh, k->ike_by_name, t->name, strlen(t->name), t, first);
	if (first)
		doc_error(
		    d, t->tag, "name", first->tag, "ike-transform \"%s\" is there twice", t->name);

	t->proposal.ike = true;
	check_encryption(d, t);
	t->proposal.prf = number_of(d, t, &prf, or_default(t->prf, "hmac-sha2-512"));
	t->proposal.dh = number_of(d, t, &group, or_default(t->dh, "curve25519"));
	t->proposal.lifetime_s = check_time(
	    d, t->tag, "lifetime", t->lifetime, 24 * 3600, LIFETIME_MIN_S);
}

void intent_check_transforms(struct doc *d, struct doc_customer *k)
{
	for (uint32_t i = 0; i < k->transform.n; i++)
		check_transform(d, k, &d->transform[k->transform.at + i]);
	for (uint32_t i = 0; i < k->ike_transform.n; i++)
		check_ike_transform(d, k, &d->ike_transform[k->ike_transform.at + i]);
}

/* --- what a VPN takes ------------------------------------------------------------------------ */

struct list { /* an attribute that names transforms */
	const char *attr;
	const char *what;
	const struct doc_customer *k;
	struct doc_transform *by_name;
	struct doc_names *names;
};

/* One name; false: the list is full. */
static bool add_name(
    struct doc *d, const struct doc_vpn *v, const struct list *l, const char *name, size_t len)
{
	struct doc_transform *t;

	HASH_FIND(hh, l->by_name, name, len, t);
	if (!t) {
		doc_error(d, v->tag, l->attr, 0, "customer \"%s\" has no %s \"%.*s\"",
		    l->k->name ? l->k->name : "?", l->what, (int)len, name);
		return true;
	}
	for (uint32_t i = 0; i < l->names->n; i++)
		if (l->names->t[i] == t) {
			doc_error(
			    d, v->tag, l->attr, 0, "%s \"%s\" is named twice", l->what, t->name);
			return true;
		}
	if (l->names->n == DOC_NAMES_MAX) {
		doc_error(d, v->tag, l->attr, 0, "more than %d %ss", DOC_NAMES_MAX, l->what);
		return false;
	}
	l->names->t[l->names->n++] = t;
	return true;
}

static void check_names(
    struct doc *d, const struct doc_vpn *v, const struct list *l, const char *text)
{
	static const char blank[] = " \t\r\n";

	if (!text)
		return;
	l->names->t = calloc(DOC_NAMES_MAX, sizeof(struct doc_transform *));
	if (!l->names->t) {
		d->failed = true;
		return;
	}
	for (const char *p = text + strspn(text, blank); *p;) {
		size_t len = strcspn(p, blank);
		if (!add_name(d, v, l, p, len))
			break;
		p += len;
		p += strspn(p, blank);
	}
}

/* Attributes that only one kind of keying knows. */
static void check_of_ike(struct doc *d, const struct doc_vpn *v)
{
	if (is(v->activation, "on-demand"))
		doc_error(d, v->tag, "activation", 0,
		    "tunnels on demand need keying=\"ike\": with keys from the controller both ends"
		    " must hold a tunnel before either sends");
	if (v->auth)
		doc_error(d, v->tag, "auth", 0, "auth is for keying=\"ike\"");
	if (v->ike_transforms)
		doc_error(d, v->tag, "ike-transforms", 0, "ike-transforms are for keying=\"ike\"");
}

/* Policies name one protocol, and those of IKE's tunnels are ESP's. */
static void check_protocols(struct doc *d, const struct doc_vpn *v)
{
	const struct doc_names *names = &v->transform;

	for (uint32_t i = 0; i < names->n; i++) {
		const struct doc_transform *t = names->t[i], *first = names->t[0];

		if (v->ike && t->proposal.ah)
			doc_error(d, v->tag, "transforms", t->tag,
			    "transform \"%s\": AH is for keying=\"controller\"", t->name);
		else if (t->proposal.ah != first->proposal.ah)
			doc_error(d, v->tag, "transforms", t->tag,
			    "transforms \"%s\" and \"%s\": AH and ESP in one VPN", first->name,
			    t->name);
	}
}

void intent_check_keying(struct doc *d, const struct doc_customer *k, struct doc_vpn *v)
{
	const struct list esp = {"transforms", "transform", k, k->by_name, &v->transform};
	const struct list ike = {
	    "ike-transforms", "ike-transform", k, k->ike_by_name, &v->ike_transform};

	v->ike = is(v->keying, "ike");
	check_names(d, v, &esp, v->transforms);
	check_names(d, v, &ike, v->ike_transforms);
	check_protocols(d, v);
	if (!v->ike)
		check_of_ike(d, v);
	if (is(v->activation, "on-demand"))
		v->idle_s = check_time(d, v->tag, "idle", v->idle_text, 300, 2);
	else if (v->idle_text)
		doc_error(d, v->tag, "idle", 0, "idle is for activation=\"on-demand\"");
}
