/*
 * The one error idiom.
 *
 * Functions return int: 0 done; negative failed, pass it on; positive only where the
 * header of the function names the value. Leaf calls in base, sys, event and ns return
 * -errno and say nothing. Whatever reads a document or acts for a user takes a
 * `struct err *err` as its last parameter and fills it exactly once, where the failure
 * is first understood; each layer above adds the noun that it knows:
 *
 *	r = sys_open_in(root, path, O_PATH, &fd);
 *	if (r < 0)
 *		return err_sys(err, r, "openat2 %s", path);
 *	...
 *	r = mount_add(plan, m, err);
 *	if (r < 0)
 *		return err_wrap(err, r, "mount %s", m->target);
 *
 * reads in the end: `create container web: mount /data: openat2 data: No such file or
 * directory`. The text names things as the user named them.
 *
 * struct err lives on the caller's stack, holds no pointer and needs no heap, so it works
 * in a cloned child and travels over a pipe as plain bytes (the receiver calls
 * err_sanitize, since the sender may be hostile or half dead). err may be NULL where the
 * caller does not care.
 *
 * The kind decides what the outside sees: one table gives the gRPC status and the exit
 * code of each kind.
 */
#pragma once

#include <stddef.h>

enum err_kind {
	ERR_NONE = 0,
	ERR_INVALID,     /* the request or document is wrong; retrying the same is useless */
	ERR_NOT_FOUND,   /* the named thing does not exist */
	ERR_EXISTS,      /* the named thing exists already */
	ERR_STATE,       /* the thing is in a state that does not allow this */
	ERR_DENIED,      /* permission or authentication */
	ERR_LIMIT,       /* out of disk, memory, descriptors, pids, or over a configured bound */
	ERR_UNSUPPORTED, /* this kernel, build or configuration cannot do it */
	ERR_TIMEOUT,     /* a deadline passed */
	ERR_UNAVAILABLE, /* a peer (registry, shim, plugin) cannot be reached now; retry helps */
	ERR_CORRUPT,     /* bytes that should have verified did not */
	ERR_CANCELLED,   /* whoever asked went away */
	ERR_INTERNAL,    /* everything else: an unexpected refusal of the kernel, a bug */
	ERR_KINDS
};

enum { ERR_TEXT_MAX = 1024 };

struct err {
	enum err_kind kind;
	int number; /* positive errno, or 0 */
	char text[ERR_TEXT_MAX];
};

#define ERR_INIT { ERR_NONE, 0, "" }

struct err_kind_info {
	const char *name; /* "NOT_FOUND" */
	int grpc;         /* google.rpc.Code */
	int exit;         /* exit status of a command line */
};

/* The row of a kind; never NULL, an unknown kind gives INTERNAL's row. */
const struct err_kind_info *err_kind_info(enum err_kind kind);

/* The kind that an errno suggests: ENOENT → NOT_FOUND, ENOSPC → LIMIT, … */
enum err_kind err_kind_of(int errnum);

/*
 * Birth of an error. All return a negative number for the caller to pass on; it is
 * -number where there is one. The text is cut at ERR_TEXT_MAX, never overrun.
 *
 * err_set   kind and text, no errno.
 * err_sys   text, then ": " and the description of errnum (given as errno or -errno); the
 *           kind is err_kind_of(errnum).
 * err_sysk  the same with a kind of the caller's choice.
 */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_sys(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_sysk(struct err *err, enum err_kind kind, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Puts "fmt: " in front of the text; returns r, or -EIO if r was not negative. */
int err_wrap(struct err *err, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Empties err so that it can be used again (an expected failure was handled). */
void err_clear(struct err *err);

/* Makes bytes received from another process a valid struct err. */
void err_sanitize(struct err *err);
