/* verdict.c - see verdict.h. */
#include "pdp/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define KEY_MAX 520 /* kind, CE, customer/vpn */

struct held_verdict {
	UT_hash_handle hh;
	struct verdict x; /* its texts are in here */
	char *key;
	char text[];
};

struct verdicts {
	struct held_verdict *held;
};

struct verdicts *verdicts_new(void)
{
	return calloc(1, sizeof(struct verdicts));
}

static void held_free(struct verdicts *v, struct held_verdict *h)
{
	HASH_DEL(v->held, h);
	free(h);
}

void verdicts_free(struct verdicts *v)
{
	struct held_verdict *h, *next;

	if (v == NULL)
		return;
	HASH_ITER (hh, v->held, h, next)
		held_free(v, h);
	free(v);
}

static void key_print(char key[KEY_MAX], enum verdict_kind kind, const char *ce, const char *vpn)
{
	snprintf(key, KEY_MAX, "%d %s %s", (int)kind, ce, vpn);
}

static struct held_verdict *find(
    const struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn)
{
	char key[KEY_MAX];
	struct held_verdict *h;

	key_print(key, kind, ce, vpn);
	HASH_FIND_STR(v->held, key, h);
	return h;
}

/* Append s, with its NUL, and say where it is now. */
static char *store_text(char **at, const char *s)
{
	size_t len = strlen(s) + 1;
	char *to = *at;

	memcpy(to, s, len);
	*at += len;
	return to;
}

int verdicts_put(struct verdicts *v, const struct verdict *x)
{
	const char *who = x->who != NULL ? x->who : "";
	const char *reason = x->reason != NULL ? x->reason : "";
	char key[KEY_MAX], *at;
	struct held_verdict *h, *old = find(v, x->kind, x->ce, x->vpn);

	key_print(key, x->kind, x->ce, x->vpn);
	h = malloc(sizeof(*h) + strlen(key) + strlen(x->ce) + strlen(x->vpn) + strlen(who) +
		   strlen(reason) + 5);
	if (h == NULL)
		return -1;
	at = h->text;
	h->x = *x;
	h->key = store_text(&at, key);
	h->x.ce = store_text(&at, x->ce);
	h->x.vpn = store_text(&at, x->vpn);
	h->x.who = store_text(&at, who);
	h->x.reason = store_text(&at, reason);
	if (old != NULL)
		held_free(v, old);
	HASH_ADD_KEYPTR(hh, v->held, h->key, strlen(h->key), h);
	return 0;
}

void verdicts_drop(struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn)
{
	struct held_verdict *h = find(v, kind, ce, vpn);

	if (h != NULL)
		held_free(v, h);
}

struct held_verdict *verdicts_set_aside(
    struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn)
{
	struct held_verdict *h = find(v, kind, ce, vpn);

	if (h != NULL)
		HASH_DEL(v->held, h);
	return h;
}

void verdicts_put_back(struct verdicts *v, struct held_verdict *h)
{
	if (h == NULL)
		return;
	verdicts_drop(v, h->x.kind, h->x.ce, h->x.vpn);
	HASH_ADD_KEYPTR(hh, v->held, h->key, strlen(h->key), h);
}

void verdict_free(struct held_verdict *h)
{
	free(h);
}

const struct verdict *verdicts_find(
    const struct verdicts *v, enum verdict_kind kind, const char *ce, const char *vpn)
{
	const struct held_verdict *h = find(v, kind, ce, vpn);

	return h != NULL ? &h->x : NULL;
}

void verdicts_each(struct verdicts *v, void (*fn)(void *arg, const struct verdict *x), void *arg)
{
	struct held_verdict *h, *next;

	HASH_ITER (hh, v->held, h, next)
		fn(arg, &h->x);
}

bool verdicts_excluded(void *arg, const char *customer, const char *vpn, const char *ce)
{
	const struct verdicts *v = arg;
	char name[KEY_MAX];

	if (v->held == NULL)
		return false;
	if (find(v, VERDICT_REVOKED, ce, "") != NULL)
		return true;
	if (vpn == NULL)
		return false;
	snprintf(name, sizeof(name), "%s/%s", customer, vpn);
	return find(v, VERDICT_LEFT, ce, name) != NULL;
}
