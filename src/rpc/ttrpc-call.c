/*
 * One blocking ttrpc call. Any thread; nothing is shared.
 */
#include "rpc/out.h"
#include "rpc/sock.h"
#include "rpc/ttrpc-frame.h"

#include <poll.h>
#include <sys/socket.h>

enum { READ_SIZE = 8192 };

static int wait_for(int fd, short events, int64_t deadline, const char *method, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, time_poll_ms(deadline));

	if (n < 0 && errno != EINTR)
		return err_sys(err, errno, "%s: poll", method);
	if (n <= 0 && time_now_mono() >= deadline)
		return err_set(err, ERR_TIMEOUT, "%s: no answer by the deadline", method);
	return 0;
}

/* 1: the answer was read into out. 0: not yet. */
static int take_answer(struct ttrpc_reader *reader, const uint8_t *p, size_t n, uint32_t stream,
		       struct buf *out, struct err *err)
{
	struct ttrpc_frame frame;

	while (ttrpc_reader_feed(reader, &p, &n, &frame)) {
		ProtobufCMessage *keep = NULL;
		const uint8_t *data;
		size_t len;
		int r;

		if (frame.type != TTRPC_RESPONSE || frame.stream != stream)
			continue; /* late, for a call that timed out */
		r = ttrpc_read_response(&frame, &keep, &data, &len, err);
		if (r < 0)
			return r;
		if (out && buf_append(out, data, len) < 0)
			r = err_set(err, ERR_LIMIT, "a response of %zu bytes is larger than %zu", len, out->max);
		rpc_pb_free(keep);
		return r < 0 ? r : 1;
	}
	return 0;
}

int ttrpc_call_fd(int fd, uint32_t stream, const char *service, const char *method, const void *request,
		  size_t len, int64_t deadline, struct buf *out, struct err *err)
{
	CLEANUP(rpc_out_done) struct rpc_out send_out = RPC_OUT_INIT(TTRPC_DATA_MAX + TTRPC_HEAD);
	CLEANUP(ttrpc_reader_done) struct ttrpc_reader reader = { 0 };
	int64_t timeout = deadline == INT64_MAX ? 0 : deadline - time_now_mono();
	bool dead = false;
	int r;

	if (timeout < 0)
		return err_set(err, ERR_TIMEOUT, "%s: the deadline has passed already", method);
	r = ttrpc_put_request(&send_out.buf, stream, service, method, request, len, timeout, err);
	if (r < 0)
		return err_wrap(err, r, "%s", method);
	for (;;) {
		uint8_t data[READ_SIZE];
		ssize_t n;

		/* a peer that closed may have answered first: read before giving up */
		if (!dead && rpc_out_flush(&send_out, fd) < 0)
			dead = true;
		n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
		if (n > 0) {
			r = take_answer(&reader, data, (size_t)n, stream, out, err);
			if (r)
				return r < 0 ? r : 0;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return err_sysk(err, ERR_UNAVAILABLE, n ? errno : ECONNRESET,
					"%s: the connection ended before the answer", method);
		r = wait_for(fd, !dead && rpc_out_pending(&send_out) ? POLLIN | POLLOUT : POLLIN, deadline,
			     method, err);
		if (r < 0)
			return r;
	}
}

int ttrpc_call_once(const char *address, const char *service, const char *method, const void *request,
		    size_t len, int64_t deadline, struct buf *out, struct err *err)
{
	autofd int fd = -EBADF;
	int r = rpc_connect(address, deadline, &fd, err);

	if (r < 0)
		return r;
	return ttrpc_call_fd(fd, 1, service, method, request, len, deadline, out, err);
}

int ttrpc_call_once_pb(const char *address, const char *service, const char *method,
		       const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response_type,
		       int64_t deadline, ProtobufCMessage **ret, struct err *err)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(TTRPC_DATA_MAX), out = BUF_INIT(TTRPC_DATA_MAX);
	int r = rpc_pb_pack(request, &in, err);

	if (r < 0)
		return err_wrap(err, r, "%s", method);
	r = ttrpc_call_once(address, service, method, in.data, in.len, deadline, &out, err);
	if (r < 0 || !ret)
		return r;
	return rpc_pb_unpack(response_type, out.data, out.len, ret, err);
}
