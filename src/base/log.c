#include "base/log.h"

#include "base/mem.h"
#include "base/time.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const names[] = { "error", "warn", "info", "debug" };
static const char *program = "caisson";
static enum log_level most = LOG_INFO;

void log_setup(const char *name, enum log_level level)
{
	program = name;
	most = level;
}

enum log_level log_level(void)
{
	return most;
}

int log_level_parse(const char *s, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(s, names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[4096], stamp[TIME_TEXT_MAX];
	int head, body;
	size_t len;
	va_list ap;

	if (level > most)
		return;
	head = snprintf(line, sizeof(line), "%s %-5s %s: ", time_format_rfc3339(time_now_real(), stamp),
			names[level], program);
	va_start(ap, fmt);
	body = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, ap);
	va_end(ap);
	len = (size_t)head + (size_t)(body < 0 ? 0 : body);
	if (len > sizeof(line) - 1)
		len = sizeof(line) - 1;
	for (size_t i = (size_t)head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}
