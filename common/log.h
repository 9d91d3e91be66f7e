/*
 * log.h - one line an event, to stderr (under systemd or in the foreground) or
 * to syslog.  Levels are syslog's.  Secrets have no level: they are never passed here.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <syslog.h>

void log_init(const char *ident, int max_level, bool use_syslog);
void log_level_set(int max_level);
/* syslog's level of one of these words, in any case of letters; -1: none of them. */
#define LOG_LEVEL_WORDS "error, warning, notice, info or debug"
int log_level_find(const char *word);
void log_at(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)   log_at(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARNING, __VA_ARGS__)
#define log_note(...)  log_at(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
