/*
 * Kubernetes' conventions on the error and resize channels. Any thread.
 */
#include "stream/remote.h"

#include "json/json.h"

#include <stdio.h>

enum { SIZE_TEXT_MAX = 1024 };

static const char *const roles[REMOTE_ROLES] = { "stdin", "stdout", "stderr", "error", "resize" };

int remote_role_of(const char *streamtype)
{
	for (int i = 0; i < REMOTE_ROLES; i++)
		if (str_eq(streamtype, roles[i]))
			return i;
	return -EINVAL;
}

struct size {
	uint32_t width, height;
};

static const struct json_field size_fields[] = {
	JSON_FIELD(U32, struct size, width, "Width", 0),
	JSON_FIELD(U32, struct size, height, "Height", 0),
};
static const struct json_type size_type = JSON_TYPE("size", struct size, size_fields);

int remote_size_read(struct buf *partial, const uint8_t *data, size_t len, uint16_t *ret_width,
		     uint16_t *ret_height)
{
	uint8_t *end;
	int found = 0;

	while (len) {
		size_t n = partial->len < SIZE_TEXT_MAX ? SIZE_TEXT_MAX - partial->len : 0;

		n = len < n ? len : n;
		if (!n || buf_append(partial, data, n) < 0)
			return -EBADMSG;
		data += n;
		len -= n;
		while ((end = memchr(partial->data, '}', partial->len))) {
			CLEANUP(arena_done) struct arena a = ARENA_INIT;
			size_t size = (size_t)(end - partial->data) + 1;
			struct size s;

			if (json_read(&size_type, partial->data, size, &a, &s, NULL) < 0)
				return -EBADMSG;
			buf_consume(partial, size);
			if (s.width > UINT16_MAX || s.height > UINT16_MAX)
				return -EBADMSG;
			*ret_width = (uint16_t)s.width;
			*ret_height = (uint16_t)s.height;
			found = 1;
		}
	}
	return found;
}

void remote_status_put(struct buf *out, bool as_json, int code, const struct err *err)
{
	if (!as_json) {
		if (err)
			buf_puts(out, err->text);
		else if (code)
			buf_printf(out, "command terminated with non-zero exit code: exit status %d", code);
		return;
	}
	if (err) {
		buf_puts(out, "{\"metadata\":{},\"status\":\"Failure\",\"message\":");
		json_put_string(out, err->text);
		buf_puts(out, ",\"reason\":\"InternalError\",\"details\":{\"causes\":[{\"message\":");
		json_put_string(out, err->text);
		buf_puts(out, "}]},\"code\":500}");
	} else if (code) {
		buf_printf(out,
			   "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit "
			   "code: exit status %d\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":"
			   "\"ExitCode\",\"message\":\"%d\"}]}}",
			   code, code);
	} else {
		buf_puts(out, "{\"metadata\":{},\"status\":\"Success\"}");
	}
}
