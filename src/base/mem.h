/*
 * Ownership by attribute.
 *
 * Every owning local carries a cleanup attribute and is valid while empty: NULL for
 * pointers, -EBADF for descriptors. On the line of success it is handed out with
 * take_ptr() or take_fd(), which leave the empty value behind. No goto ladders.
 *
 *	autofree char *text = mem_strdup(s);
 *	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
 *	if (fd < 0)
 *		return -errno;
 *	*ret_fd = take_fd(&fd);
 *	return 0;
 *
 * Small allocations cannot fail: when the kernel refuses memory the process aborts with
 * one line. A daemon that is crash-only has nothing better to do, and no caller carries
 * a branch that was never run. Sizes that come from outside are bounded by their reader
 * before they get here.
 */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Zeroed; aborts when there is no memory or n * size overflows. */
void *mem_new(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
/* Like reallocarray; aborts instead of returning NULL. */
void *mem_grow(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((returns_nonnull)); /* NULL gives "" */
char *mem_strndup(const char *s, size_t n) __attribute__((returns_nonnull));
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

static inline void mem_free_ptr(void *pp)
{
	free(*(void **)pp);
}

static inline void fd_close_ptr(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

/* Closes what is open and leaves the empty value. */
static inline void fd_drop(int *fd)
{
	fd_close_ptr(fd);
	*fd = -EBADF;
}

#define autofree CLEANUP(mem_free_ptr)
#define autofd CLEANUP(fd_close_ptr)

#define take_ptr(pp)                          \
	__extension__({                       \
		__typeof__(*(pp)) took = *(pp); \
		*(pp) = NULL;                 \
		took;                         \
	})

static inline int take_fd(int *fd)
{
	int took = *fd;

	*fd = -EBADF;
	return took;
}
