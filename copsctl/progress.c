/*
 * progress.c - a progress is {"text": ...} or {"done": n, "total": n, "text": ...}; a
 * daemon that has more to say adds members, which are for programs.
 */
#include "copsctl/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/json.h"

#define BAR_WIDTH 20

void progress_init(struct progress *p, FILE *f)
{
	*p = (struct progress) {.f = f, .tty = isatty(fileno(f)) == 1};
}

static void line_make(char *line, size_t size, const json_t *progress, bool bar)
{
	int64_t total = json_get_int(progress, "total", 0);
	int64_t done = json_get_int(progress, "done", 0);
	const char *text = json_get_string(progress, "text", "");
	size_t n = 0;

	if (total > 0 && done >= 0 && done <= total) {
		int full = (int)(done * BAR_WIDTH / total);
		static const char mark[BAR_WIDTH + 1] = "####################";

		if (bar)
			n = (size_t)snprintf(
			    line, size, "[%.*s%*s] ", full, mark, BAR_WIDTH - full, "");
		n += (size_t)snprintf(
		    line + n, size - n, "%" PRId64 "/%" PRId64 "%s", done, total, *text ? " " : "");
	}
	if (n < size)
		snprintf(line + n, size - n, "%s", text);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
}

void progress_show(void *arg, const json_t *progress)
{
	struct progress *p = arg;
	char line[sizeof(p->last)];

	line_make(line, sizeof(line), progress, p->tty);
	if (strcmp(line, p->last) == 0)
		return;
	memcpy(p->last, line, sizeof(line));
	if (p->tty) {
		fprintf(p->f, "\r%s\033[K", line); /* clears what a longer line left */
		p->open = true;
	} else {
		fprintf(p->f, "%s\n", line);
	}
	fflush(p->f);
}

void progress_end(struct progress *p)
{
	if (p->open)
		fputc('\n', p->f);
	p->open = false;
}
