/*
 * progress.h - how far a long command is: one line rewritten in place on a terminal, a
 * line per change elsewhere.  Goes to stderr, so that results can be piped.
 */
#ifndef COPSCTL_PROGRESS_H
#define COPSCTL_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct progress {
	FILE *f;
	bool tty;
	bool open;	/* the terminal's line is ours and unfinished */
	char last[256]; /* what was said last: repeats are not */
};

void progress_init(struct progress *p, FILE *f);
/* A ctl_progress_fn; arg is the struct progress. */
void progress_show(void *arg, const json_t *progress);
/* Leave the terminal on a fresh line. */
void progress_end(struct progress *p);

#endif
