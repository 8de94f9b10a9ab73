/*
 * Errors as values. No heap, no locks, no locale: strerrordesc_np() reads a static table,
 * so everything here may run in a child after clone. Invariant: text is always terminated.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* gRPC numbers: https://grpc.io/docs/guides/status-codes/ */
static const struct err_kind_info kinds[ERR_KINDS] = {
	[ERR_NONE] = { "NONE", 0, 0 },
	[ERR_INVALID] = { "INVALID", 3, 1 },
	[ERR_NOT_FOUND] = { "NOT_FOUND", 5, 1 },
	[ERR_EXISTS] = { "EXISTS", 6, 1 },
	[ERR_STATE] = { "STATE", 9, 1 },
	[ERR_DENIED] = { "DENIED", 7, 1 },
	[ERR_LIMIT] = { "LIMIT", 8, 1 },
	[ERR_UNSUPPORTED] = { "UNSUPPORTED", 12, 1 },
	[ERR_TIMEOUT] = { "TIMEOUT", 4, 1 },
	[ERR_UNAVAILABLE] = { "UNAVAILABLE", 14, 1 },
	[ERR_CORRUPT] = { "CORRUPT", 15, 1 },
	[ERR_CANCELLED] = { "CANCELLED", 1, 1 },
	[ERR_INTERNAL] = { "INTERNAL", 13, 1 },
};

static const struct {
	int number;
	enum err_kind kind;
} by_errno[] = {
	{ ENOENT, ERR_NOT_FOUND },     { ESRCH, ERR_NOT_FOUND },       { ENODEV, ERR_NOT_FOUND },
	{ ENXIO, ERR_NOT_FOUND },      { EEXIST, ERR_EXISTS },         { EINVAL, ERR_INVALID },
	{ ENAMETOOLONG, ERR_INVALID }, { ENOTDIR, ERR_INVALID },       { EISDIR, ERR_INVALID },
	{ ELOOP, ERR_INVALID },        { ENOEXEC, ERR_INVALID },       { EBADMSG, ERR_CORRUPT },
	{ EPERM, ERR_DENIED },         { EACCES, ERR_DENIED },         { EROFS, ERR_DENIED },
	{ ENOSPC, ERR_LIMIT },         { EDQUOT, ERR_LIMIT },          { ENOMEM, ERR_LIMIT },
	{ EMFILE, ERR_LIMIT },         { ENFILE, ERR_LIMIT },          { EAGAIN, ERR_LIMIT },
	{ EFBIG, ERR_LIMIT },          { E2BIG, ERR_LIMIT },           { EMSGSIZE, ERR_LIMIT },
	{ ENOSYS, ERR_UNSUPPORTED },   { EOPNOTSUPP, ERR_UNSUPPORTED }, { ETIMEDOUT, ERR_TIMEOUT },
	{ ECANCELED, ERR_CANCELLED },  { ECONNREFUSED, ERR_UNAVAILABLE }, { EPIPE, ERR_UNAVAILABLE },
	{ ECONNRESET, ERR_UNAVAILABLE }, { EHOSTUNREACH, ERR_UNAVAILABLE },
	{ ENETUNREACH, ERR_UNAVAILABLE },
};

const struct err_kind_info *err_kind_info(enum err_kind kind)
{
	return &kinds[kind >= 0 && kind < ERR_KINDS ? kind : ERR_INTERNAL];
}

enum err_kind err_kind_of(int errnum)
{
	if (errnum < 0)
		errnum = -errnum;
	for (size_t i = 0; i < sizeof(by_errno) / sizeof(by_errno[0]); i++)
		if (by_errno[i].number == errnum)
			return by_errno[i].kind;
	return ERR_INTERNAL;
}

static void append_errno(struct err *err)
{
	const char *what = strerrordesc_np(err->number);
	size_t len = strlen(err->text);

	if (what)
		snprintf(err->text + len, sizeof(err->text) - len, "%s%s", len ? ": " : "", what);
	else
		snprintf(err->text + len, sizeof(err->text) - len, "%serrno %d", len ? ": " : "",
			 err->number);
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -EIO;
	err->kind = kind;
	err->number = 0;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -EIO;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (errnum < 0)
		errnum = -errnum;
	if (!err)
		return errnum ? -errnum : -EIO;
	err->kind = err_kind_of(errnum);
	err->number = errnum;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	append_errno(err);
	return errnum ? -errnum : -EIO;
}

int err_sysk(struct err *err, enum err_kind kind, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (errnum < 0)
		errnum = -errnum;
	if (!err)
		return errnum ? -errnum : -EIO;
	err->kind = kind;
	err->number = errnum;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	append_errno(err);
	return errnum ? -errnum : -EIO;
}

int err_wrap(struct err *err, int r, const char *fmt, ...)
{
	char outer[ERR_TEXT_MAX];
	size_t len;
	va_list ap;

	if (r >= 0)
		r = -EIO;
	if (!err)
		return r;
	va_start(ap, fmt);
	vsnprintf(outer, sizeof(outer), fmt, ap);
	va_end(ap);
	len = strlen(outer);
	if (len + 2 >= sizeof(err->text))
		len = sizeof(err->text) - 3;
	/* the inner text keeps its beginning; what no longer fits falls off its end */
	memmove(err->text + len + 2, err->text, sizeof(err->text) - len - 2);
	memcpy(err->text, outer, len);
	memcpy(err->text + len, ": ", 2);
	err->text[sizeof(err->text) - 1] = '\0';
	if (err->kind == ERR_NONE)
		err->kind = ERR_INTERNAL;
	return r;
}

void err_clear(struct err *err)
{
	if (!err)
		return;
	err->kind = ERR_NONE;
	err->number = 0;
	err->text[0] = '\0';
}

void err_sanitize(struct err *err)
{
	if (err->kind <= ERR_NONE || err->kind >= ERR_KINDS)
		err->kind = ERR_INTERNAL;
	if (err->number < 0 || err->number > 4095)
		err->number = 0;
	err->text[sizeof(err->text) - 1] = '\0';
	for (char *p = err->text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}
