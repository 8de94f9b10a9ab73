/*
 * The CRI log format, without I/O: bytes of a stream in, whole log lines out.
 *
 *	2026-01-31T23:59:59.123456789Z stdout F a whole line\n
 *	2026-01-31T23:59:59.123456789Z stdout P the beginning of a long one\n
 *
 * Kubernetes' kubelet reads this (pkg/kubelet/kuberuntime/logs). A line of more than
 * LOG_LINE_MAX bytes is cut into P chunks of that size, the last chunk is F. What a stream
 * leaves without a newline at its end is P: the reader adds no newline of its own then, and
 * what it shows is byte for byte what was written.
 *
 * Any thread. The bytes are whatever the container writes.
 */
#pragma once

#include "base/base.h"

enum {
	LOG_LINE_MAX = 16 * 1024, /* of content: what the kubelet expects of a chunk */
	LOG_HEAD_MAX = 48,        /* "<time> stdout F " */
	LOG_OUT_MIN = LOG_LINE_MAX + LOG_HEAD_MAX + 1,
};

/* The head of every line of one batch, up to the tag: "<time> stdout ". */
struct log_head {
	char text[LOG_HEAD_MAX];
	size_t len;
};

void log_head_init(struct log_head *h, const char *stream, int64_t real);

/*
 * Writes log lines for as much of in as there is room for in out (at least LOG_OUT_MIN
 * bytes): bytes written, and in *ret_used how much of in they stand for. 0 means that in
 * is the beginning of a line, at most LOG_LINE_MAX bytes, that the caller keeps and
 * gives again with what follows. `end`: nothing follows, all of in is used up.
 */
size_t log_format(const struct log_head *h, const uint8_t *in, size_t len, bool end, uint8_t *out,
		  size_t out_size, size_t *ret_used);
