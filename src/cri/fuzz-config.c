/*
 * Any bytes as RunPodSandboxRequest and as CreateContainerRequest: unpacked, translated,
 * and what was translated written back.
 */
#include "cri/configs.h"
#include "rpc/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		const ProtobufCMessageDescriptor *request;
		size_t config; /* offset of the configuration in it */
		const struct wire_type *type;
	} kinds[] = {
		{ &runtime__v1__run_pod_sandbox_request__descriptor,
		  offsetof(Runtime__V1__RunPodSandboxRequest, config), &cri_pod_config },
		{ &runtime__v1__create_container_request__descriptor,
		  offsetof(Runtime__V1__CreateContainerRequest, config), &cri_container_config },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *msg = NULL;
		struct err err = ERR_INIT;
		const void *config;
		void *own, *back;

		if (rpc_pb_unpack(kinds[i].request, data, size, &msg, &err) < 0)
			continue;
		config = *(void *const *)((const char *)msg + kinds[i].config);
		if (!config)
			continue;
		own = arena_new(&a, 1, kinds[i].type->size);
		if (wire_read(kinds[i].type, config, NULL, &a, own, &err) < 0) {
			assert(err.kind == ERR_INVALID && err.text[0]);
			continue;
		}
		back = wire_write(kinds[i].type, own, &a);
		assert(protobuf_c_message_check(back));
		assert(protobuf_c_message_get_packed_size(back) > 0);
	}
	return 0;
}
