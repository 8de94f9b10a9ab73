/* Any bytes as config.json, process, state and a list of mounts: what was read is written and read again, equal. */
#include "oci/oci.h"

static void round_trip(const struct json_type *type, void *x, void *y, const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT, b = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 26), again = BUF_INIT(1 << 26);
	struct err err = ERR_INIT;

	if (json_read(type, data, size, &a, x, &err) < 0) {
		assert(err.kind != ERR_NONE);
		return;
	}
	assert(json_write(type, x, 0, &out, &err) == 0);
	assert(json_read(type, out.data, out.len, &b, y, &err) == 0);
	assert(json_write(type, y, 0, &again, &err) == 0);
	assert(out.len == again.len && memcmp(out.data, again.data, out.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_config c, c2;
	struct oci_process p, p2;
	struct oci_state s, s2;

	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct oci_mount *mounts;
	size_t n;

	if (oci_mounts_read(data, size, &a, &mounts, &n, &err) < 0)
		assert(err.kind != ERR_NONE);
	else
		for (size_t i = 0; i < n; i++)
			assert(mounts[i].destination);
	round_trip(&oci_config_type, &c, &c2, data, size);
	round_trip(&oci_process_type, &p, &p2, data, size);
	round_trip(&oci_state_type, &s, &s2, data, size);
	return 0;
}
