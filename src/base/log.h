/*
 * Log lines of the programs, to stderr, one write(2) a line.
 *
 * Libraries do not log: they return errors. A program logs once, at the edge of a request.
 *
 *	2026-01-31T23:59:59.123456789Z info  caissond: serving on /run/caisson/caisson.sock
 *
 * Any thread; lines never interleave (one write, at most 4 KiB). Not for a child after
 * clone. Control characters in the text, which may come from outside, are replaced.
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* `name` is borrowed. Default: LOG_INFO, "caisson". */
void log_setup(const char *name, enum log_level level);
enum log_level log_level(void);
/* "error", "warn", "info", "debug": 0 or -EINVAL. */
int log_level_parse(const char *s, enum log_level *ret);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
