/*
 * Blocks in a chain, newest first; a request that does not fit opens a new block.
 */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

enum { BLOCK_SIZE = 4096 - 64, ALIGN = _Alignof(max_align_t) };

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(max_align_t) unsigned char data[];
};

void arena_done(struct arena *a)
{
	struct arena_block *b = a->block;

	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
	a->block = NULL;
	a->used = 0;
}

void *arena_new(struct arena *a, size_t n, size_t size)
{
	struct arena_block *b = a->block;
	size_t need;
	void *p;

	assert(!size || n <= (SIZE_MAX - ALIGN) / size);
	need = (n * size + ALIGN - 1) & ~((size_t)ALIGN - 1);
	if (!b || b->size - b->used < need) {
		size_t room = need > BLOCK_SIZE ? need : BLOCK_SIZE;

		b = mem_new(1, sizeof(*b) + room);
		b->size = room;
		b->next = a->block;
		a->block = b;
	}
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *copy = arena_new(a, n + 1, 1);

	memcpy(copy, s, n);
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	p = arena_new(a, (size_t)n + 1, 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void arena_adopt(struct arena *into, struct arena *from)
{
	struct arena_block **tail = &into->block;

	while (*tail)
		tail = &(*tail)->next;
	*tail = from->block;
	into->used += from->used;
	from->block = NULL;
	from->used = 0;
}
