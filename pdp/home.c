/* home.c - see home.h. */
#include "pdp/home.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "common/log.h"
#include "pdp/sync.h"

#define STAY_MS	    60000   /* that a CE which returned is served */
#define STAY_MAX_MS 3600000 /* after doubling */

/* A CE that was sent home; forgotten when the primary goes away. */
struct traveller {
	UT_hash_handle hh;
	int64_t stay_until_ms;
	int64_t stay_ms;
	char name[];
};

struct home {
	struct home_conf conf;
	struct event *look; /* the connection in the making */
	int fd;		    /* -1: none */
	int64_t look_at_ms;
	unsigned streak; /* answers in a row, up to HOME_STREAK */
	unsigned budget; /* CEs that may go in this second */
	struct traveller *gone;
	uint64_t sent;
};

struct home *home_new(const struct home_conf *conf)
{
	struct home *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->conf = *conf;
	h->fd = -1;
	return h;
}

static void look_end(struct home *h)
{
	if (h->look != NULL)
		event_free(h->look);
	if (h->fd >= 0)
		close(h->fd);
	h->look = NULL;
	h->fd = -1;
}

static void travellers_clear(struct home *h)
{
	struct traveller *t, *next;

	HASH_ITER (hh, h->gone, t, next) {
		HASH_DEL(h->gone, t);
		free(t);
	}
}

void home_free(struct home *h)
{
	if (h == NULL)
		return;
	look_end(h);
	travellers_clear(h);
	free(h);
}

static bool answers(const struct home *h)
{
	return h->streak == HOME_STREAK;
}

static void answered(struct home *h, bool yes)
{
	bool before = answers(h);
	char text[ADDR_STRLEN];

	look_end(h);
	h->streak = !yes ? 0 : h->streak + !before;
	if (answers(h) == before)
		return;
	log_note("the primary server %s:%u %s", addr_print(&h->conf.addr, text), h->conf.port,
	    before ? "does not answer: CEs are served here" : "answers: CEs are sent there");
	travellers_clear(h);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	socklen_t len = sizeof(int);
	int err = 0;

	answered(arg, (what & EV_WRITE) != 0 &&
			  getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0);
}

/* Connect and see. */
static void look(struct home *h)
{
	const struct timeval limit = {
	    .tv_sec = h->conf.check_ms / 1000, .tv_usec = h->conf.check_ms % 1000 * 1000};
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&h->conf.addr, h->conf.port, &ss);

	h->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return; /* says nothing about the primary */
	if (connect(h->fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS) {
		answered(h, false);
		return;
	}
	h->look = event_new(h->conf.base, h->fd, EV_WRITE, on_look, h);
	if (h->look == NULL || event_add(h->look, &limit) != 0)
		look_end(h);
}

void home_tick(struct home *h, int64_t now_ms)
{
	h->budget = answers(h) ? h->conf.rate : 0;
	if (h->fd >= 0 || now_ms < h->look_at_ms)
		return;
	h->look_at_ms = now_ms + h->conf.check_ms;
	look(h);
}

bool home_sends(struct home *h, const struct sync_info *ce, int64_t now_ms)
{
	struct traveller *t;
	size_t len;

	/* one that is in the middle of something may finish it */
	if (h->budget == 0 || ce->state != SYNC_IDLE)
		return false;
	HASH_FIND_STR(h->gone, ce->name, t);
	if (t != NULL && now_ms < t->stay_until_ms)
		return false;
	if (t == NULL) {
		len = strlen(ce->name);
		t = calloc(1, sizeof(*t) + len + 1);
		if (t == NULL)
			return false;
		memcpy(t->name, ce->name, len);
		t->stay_ms = STAY_MS / 2;
		HASH_ADD_STR(h->gone, name, t);
	}
	t->stay_ms = 2 * t->stay_ms < STAY_MAX_MS ? 2 * t->stay_ms : STAY_MAX_MS;
	t->stay_until_ms = now_ms + t->stay_ms;
	h->budget--;
	h->sent++;
	return true;
}

void home_status(const struct home *h, struct home_status *st)
{
	*st = (struct home_status) {.answers = answers(h), .sent = h->sent};
}
