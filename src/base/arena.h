/*
 * Bump allocation for documents.
 *
 * A parsed config.json, a pod's record or an image manifest is many small things that
 * live and die together. They come from one arena and go with it:
 *
 *	CLEANUP(arena_done) struct arena a = ARENA_INIT;
 *	const char *name = arena_strdup(&a, s);
 *
 * Memory is zeroed and aligned for any type. Allocation cannot fail (mem.h). One thread
 * at a time; the arena owns everything it gave out; nothing is freed singly.
 */
#pragma once

#include <stddef.h>

struct arena {
	struct arena_block *block;
	size_t used; /* bytes handed out in all, for bounds kept by readers */
};

#define ARENA_INIT { NULL, 0 }

void arena_done(struct arena *a);
void *arena_new(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

/* Moves everything of `from` into `into`; `from` is empty after. */
void arena_adopt(struct arena *into, struct arena *from);
