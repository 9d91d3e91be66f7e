/*
 * log.c - one event, one line, one write(), so that lines of several threads do
 * not mix.  What a peer sent may be part of a line: control characters are
 * replaced, or it could forge lines.
 */
#include "common/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024

enum log_target { TO_STDERR, TO_JOURNAL, TO_SYSLOG };

static const char *log_ident = "cops";
static enum log_target log_target = TO_STDERR;
static atomic_int log_max = LOG_INFO;

void log_init(const char *ident, int max_level, bool use_syslog)
{
	log_ident = ident;
	log_level_set(max_level);
	/* systemd sets JOURNAL_STREAM when stderr is its journal: it adds time and name. */
	log_target = use_syslog ? TO_SYSLOG : getenv("JOURNAL_STREAM") ? TO_JOURNAL : TO_STDERR;
	if (use_syslog)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_level_set(int max_level)
{
	atomic_store_explicit(&log_max, max_level, memory_order_relaxed);
}

int log_level_find(const char *word)
{
	static const struct {
		const char *word;
		int level;
	} levels[] = {
	    {"error", LOG_ERR},
	    {"warning", LOG_WARNING},
	    {"notice", LOG_NOTICE},
	    {"info", LOG_INFO},
	    {"debug", LOG_DEBUG},
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcasecmp(word, levels[i].word) == 0)
			return levels[i].level;
	return -1;
}

/* What stands before the text on this target; returns its length. */
static size_t line_head(int level, char *line, size_t size)
{
	static const char *const name[] = {
	    "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"};
	struct timespec now;
	struct tm tm;
	char stamp[32];
	int n;

	if (log_target == TO_JOURNAL)
		return (size_t)snprintf(line, size, "<%d>", level & 7);
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	n = snprintf(line, size, "%s.%03ld %s[%d] %s: ", stamp, now.tv_nsec / 1000000, log_ident,
	    (int)getpid(), name[level & 7]);
	return (size_t)n < size ? (size_t)n : size - 1;
}

void log_at(int level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	size_t head;
	va_list ap;

	if (level > atomic_load_explicit(&log_max, memory_order_relaxed))
		return;
	head = log_target == TO_SYSLOG ? 0 : line_head(level, line, sizeof(line));
	va_start(ap, fmt);
	int n = vsnprintf(line + head, sizeof(line) - head - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;

	size_t len = strlen(line);
	for (size_t i = head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	if (log_target == TO_SYSLOG) {
		syslog(level, "%s", line);
		return;
	}
	line[len++] = '\n';
	/* Nobody to tell when stderr is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
