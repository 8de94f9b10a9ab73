/* A hostile client's request, and the lists in it. */
#include "stream/http.h"
#include "stream/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = { "v4.channel.k8s.io", "v5.channel.k8s.io" };
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf partial = BUF_INIT(4096);
	struct http_request req;
	uint16_t width, height;

	if (http_request_read(data, size, &a, &req) > 0) {
		http_request_has(&req, "connection", "upgrade");
		http_request_choose(&req, "x-stream-protocol-version", known, ARRAY_LEN(known));
	}
	for (size_t i = 0; i < size; i += 7)
		if (remote_size_read(&partial, data + i, size - i < 7 ? size - i : 7, &width, &height) < 0)
			break;
	return 0;
}
