/*
 * Bytes of a hostile gRPC client: the first byte says how they are cut into reads, and
 * whether the client preface is put before them.
 */
#include "rpc/grpc-core.h"

#include "shim.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void any_pb(struct grpc_call *call, const void *request, void *user)
{
	grpc_call_reply_pb(call, request);
}

static void any_raw(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_reply(call, data, len);
}

static void any_stream(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_send(call, data, len);
	grpc_call_send(call, data, len);
	grpc_call_finish(call);
}

static void forget(void *user)
{
	grpc_call_finish(user);
}

static void any_hold(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	grpc_call_on_cancel(call, forget, call);
}

static const struct grpc_method methods[] = {
	{ .name = "C", .pb = any_pb, .request = &containerd__task__v2__create_task_request__descriptor },
	{ .name = "R", .raw = any_raw },
	{ .name = "S", .raw = any_stream, .stream = true },
	{ .name = "H", .raw = any_hold },
};

static const struct grpc_service services[] = { { "s", methods, ARRAY_LEN(methods), NULL } };

static void take_all(struct grpc_conn *c)
{
	do {
		grpc_conn_settle(c);
		grpc_conn_pull(c);
		c->out.buf.len = 0;
	} while (!list_empty(&c->due));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct grpc_core *core = grpc_core_new(services, ARRAY_LEN(services));
	struct grpc_conn *c = grpc_conn_new(core, NULL, NULL);
	size_t step = size ? (size_t)data[0] % 64 + 1 : 1;

	if (size && !(data[0] & 0x80))
		grpc_conn_feed(c, (const uint8_t *)preface, sizeof(preface) - 1, 1000);
	for (size_t i = 1; i < size; i += step) {
		grpc_conn_feed(c, data + i, size - i < step ? size - i : step, 1000);
		take_all(c);
	}
	grpc_conn_expire(c, INT64_MAX - 1);
	take_all(c);
	grpc_conn_end(c);
	assert(!core->in_bytes && !core->out_bytes && !c->n_running);
	grpc_conn_unref(c);
	grpc_core_unref(core);
	return 0;
}
