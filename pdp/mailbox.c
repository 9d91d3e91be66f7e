/*
 * mailbox.c - see mailbox.h.  The eventfd is level-triggered state: it is readable
 * exactly while mail may be waiting, so no wake-up is ever lost.
 */
#include "pdp/mailbox.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct mail *head;
	struct mail **tail;
	int fd;
	struct event *ev;
	void (*fn)(void *arg, struct mail *m);
	void *arg;
};

void mailbox_drain(struct mailbox *b)
{
	struct mail *m, *next;

	pthread_mutex_lock(&b->lock);
	m = b->head;
	b->head = NULL;
	b->tail = &b->head;
	pthread_mutex_unlock(&b->lock);
	for (; m != NULL; m = next) {
		next = m->next;
		b->fn(b->arg, m);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	/* reset before the list is taken: a put after this wakes us again */
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	mailbox_drain(arg);
}

struct mailbox *mailbox_new(
    struct event_base *base, void (*fn)(void *arg, struct mail *m), void *arg)
{
	struct mailbox *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->tail = &b->head;
	b->fn = fn;
	b->arg = arg;
	pthread_mutex_init(&b->lock, NULL);
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->fd >= 0)
		b->ev = event_new(base, b->fd, EV_READ | EV_PERSIST, on_wake, b);
	if (b->ev == NULL || event_add(b->ev, NULL) != 0) {
		mailbox_free(b);
		return NULL;
	}
	return b;
}

void mailbox_free(struct mailbox *b)
{
	struct mail *m;

	if (b == NULL)
		return;
	while ((m = b->head) != NULL) {
		b->head = m->next;
		m->discard(m);
	}
	if (b->ev != NULL)
		event_free(b->ev);
	if (b->fd >= 0)
		close(b->fd);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

void mailbox_put(struct mailbox *b, struct mail *m)
{
	const uint64_t one = 1;
	ssize_t n;
	int was_empty;

	m->next = NULL;
	pthread_mutex_lock(&b->lock);
	was_empty = b->head == NULL;
	*b->tail = m;
	b->tail = &m->next;
	pthread_mutex_unlock(&b->lock);
	if (was_empty) {
		/* can only fail with the counter full, and then the reader is awake */
		n = write(b->fd, &one, sizeof(one));
		(void)n;
	}
}
