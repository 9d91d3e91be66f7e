/* departed.c - see departed.h. */
#include "pdp/departed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct held {
	UT_hash_handle hh;
	struct departure x;
	bool save;
	bool gone; /* the store is to forget it, then so do we */
};

struct departed {
	struct held *held; /* in the order of going */
	size_t waits;	   /* over all */
	size_t count;	   /* without those that are gone */
};

struct departed *departed_new(void)
{
	return calloc(1, sizeof(struct departed));
}

void departure_clear(struct departure *x)
{
	free(x->wait);
	*x = (struct departure) {0};
}

static void held_free(struct departed *d, struct held *h)
{
	HASH_DEL(d->held, h);
	departure_clear(&h->x);
	free(h);
}

void departed_free(struct departed *d)
{
	struct held *h, *next;

	if (d == NULL)
		return;
	HASH_ITER (hh, d->held, h, next)
		held_free(d, h);
	free(d);
}

static struct held *find(const struct departed *d, uint32_t member)
{
	struct held *h;

	HASH_FIND(hh, d->held, &member, sizeof(member), h);
	return h;
}

int departure_init(const struct departed *d, struct departure *out, const struct model_member *m,
    size_t beside, const char *how, uint64_t lsn, int64_t now)
{
	const struct model_member *via;
	struct model_member *r;
	struct model_seen seen;

	*out = (struct departure) {
	    .member = m->id->number, .vpn = m->vpn->id->number, .at = now, .lsn = lsn};
	snprintf(out->how, sizeof(out->how), "%s", how);
	model_seen_init(&seen, m);
	if (d->waits + beside + seen.count > DEPARTED_WAITS_MAX)
		return -1;
	out->wait = calloc(seen.count + 1, sizeof(*out->wait));
	if (out->wait == NULL)
		return -1;
	/* peers see each other */
	while ((r = model_seen_next(&seen)) != NULL) {
		if (model_view(r, m, &via) != VIEW_PEER)
			continue;
		if (r->ce->foreign)
			out->mute++;
		else
			out->wait[out->waits++] = r->id->number;
	}
	out->peers = (uint32_t)out->waits;
	out->out_at = out->waits == 0 ? now : 0;
	return 0;
}

static void mark_gone(struct departed *d, struct held *h)
{
	if (h->gone)
		return;
	d->waits -= h->x.waits;
	d->count--;
	h->x.waits = 0;
	h->gone = h->save = true;
}

/* Room for one more: the oldest that is out goes, or else the oldest. */
static void make_room(struct departed *d)
{
	struct held *h, *next, *oldest = NULL;

	if (d->count < DEPARTED_MAX)
		return;
	HASH_ITER (hh, d->held, h, next) {
		if (h->gone)
			continue;
		if (oldest == NULL)
			oldest = h;
		if (h->x.out_at != 0) {
			oldest = h;
			break;
		}
	}
	if (oldest != NULL)
		mark_gone(d, oldest);
}

int departed_put(struct departed *d, struct departure *x)
{
	struct held *h = find(d, x->member);

	if (h != NULL) {
		if (!h->gone)
			mark_gone(d, h);
		held_free(d, h); /* its number is used again */
	}
	make_room(d);
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -1;
	h->x = *x;
	*x = (struct departure) {0};
	d->waits += h->x.waits;
	d->count++;
	HASH_ADD(hh, d->held, x.member, sizeof(h->x.member), h);
	return 0;
}

bool departed_drop(struct departed *d, uint32_t member)
{
	struct held *h = find(d, member);

	if (h == NULL || h->gone)
		return false;
	mark_gone(d, h);
	return true;
}

const struct departure *departed_find(const struct departed *d, uint32_t member)
{
	const struct held *h = find(d, member);

	return h != NULL && !h->gone ? &h->x : NULL;
}

void departed_each(
    const struct departed *d, void (*fn)(void *arg, const struct departure *x), void *arg)
{
	struct held *h, *next;

	HASH_ITER (hh, d->held, h, next)
		if (!h->gone)
			fn(arg, &h->x);
}

size_t departed_count(const struct departed *d)
{
	return d->count;
}

void departed_check(struct departed *d, int64_t now,
    enum departed_answer (*ask)(void *arg, uint32_t peer, uint64_t lsn),
    bool (*exists)(void *arg, uint32_t vpn), void *arg)
{
	struct held *h, *next;
	enum departed_answer a;

	HASH_ITER (hh, d->held, h, next) {
		struct departure *x = &h->x;

		if (h->gone)
			continue;
		if (!exists(arg, x->vpn) ||
		    (x->out_at != 0 && now - x->out_at >= DEPARTED_KEEP_S)) {
			mark_gone(d, h);
			continue;
		}
		for (size_t i = 0; i < x->waits;) {
			a = ask(arg, x->wait[i], x->lsn);
			if (a == DEPARTED_HOLDS) {
				i++;
				continue;
			}
			x->mute += a == DEPARTED_MUTE;
			x->peers -= a == DEPARTED_MUTE;
			x->wait[i] = x->wait[--x->waits];
			d->waits--;
			h->save = true;
		}
		if (x->waits == 0 && x->out_at == 0) {
			x->out_at = now;
			h->save = true;
		}
	}
}

void departed_save_each(
    struct departed *d, int (*fn)(void *arg, const struct departure *x, bool gone), void *arg)
{
	struct held *h, *next;

	HASH_ITER (hh, d->held, h, next) {
		if (!h->save || fn(arg, &h->x, h->gone) != 0)
			continue;
		h->save = false;
		if (h->gone)
			held_free(d, h);
	}
}
