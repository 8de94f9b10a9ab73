/*
 * Allocation that cannot fail. Any thread. The abort is deliberate: see mem.h.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

static _Noreturn void mem_exhausted(void)
{
	static const char line[] = "caisson: out of memory\n";

	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		abort();
	abort();
}

void *mem_new(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		mem_exhausted();
	return p;
}

void *mem_grow(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		mem_exhausted();
	return q;
}

char *mem_strdup(const char *s)
{
	return mem_strndup(s ? s : "", s ? strlen(s) : 0);
}

char *mem_strndup(const char *s, size_t n)
{
	char *copy = mem_new(n + 1, 1);

	memcpy(copy, s, n);
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		mem_exhausted();
	va_end(ap);
	return text;
}
