/*
 * Bytes of a hostile ttrpc client: the first byte says how they are cut into reads.
 */
#include "rpc/ttrpc-core.h"

#include "shim.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void any_pb(struct ttrpc_call *call, const void *request, void *user)
{
	ttrpc_call_reply_pb(call, request);
}

static void any_raw(struct ttrpc_call *call, const uint8_t *data, size_t len, void *user)
{
	ttrpc_call_reply(call, data, len);
}

static const struct ttrpc_method methods[] = {
	{ .name = "C", .pb = any_pb, .request = &containerd__task__v2__create_task_request__descriptor },
	{ .name = "R", .raw = any_raw },
};

static const struct ttrpc_service services[] = { { "s", methods, ARRAY_LEN(methods), NULL } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ttrpc_conn c;
	size_t step;

	if (!size)
		return 0;
	step = (size_t)data[0] % 64 + 1;
	data++;
	size--;
	ttrpc_conn_init(&c, services, ARRAY_LEN(services), NULL, NULL);
	for (size_t i = 0; i < size; i += step)
		ttrpc_conn_feed(&c, data + i, size - i < step ? size - i : step, 1000);
	ttrpc_conn_expire(&c, INT64_MAX - 1);
	ttrpc_conn_done(&c);
	return 0;
}
