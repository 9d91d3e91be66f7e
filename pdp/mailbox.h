/*
 * mailbox.h - messages from one thread to another thread's event loop: a list under a
 * short lock, and an eventfd that is written only when the list was empty.  The reader
 * takes the whole list at once, so a burst costs one wake-up.
 */
#ifndef PDP_MAILBOX_H
#define PDP_MAILBOX_H

struct event_base;
struct mailbox;

/* First member of every message; kind is between the two sides. */
struct mail {
	struct mail *next;
	int kind;
	void (*discard)(struct mail *m); /* frees one that was never read */
};

/* Read in base's thread: fn takes each mail, in the order put.  NULL on failure. */
struct mailbox *mailbox_new(
    struct event_base *base, void (*fn)(void *arg, struct mail *m), void *arg);
/* Discards what is left.  Nobody may put any more. */
void mailbox_free(struct mailbox *b);
/* From any thread; takes m. */
void mailbox_put(struct mailbox *b, struct mail *m);
/* In the reader's thread: hand over what is there without waiting for the loop. */
void mailbox_drain(struct mailbox *b);

#endif
