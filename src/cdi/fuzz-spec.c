/*
 * A specification of somebody's: JSON, or YAML when the first byte is even. What is taken must be
 * applicable without harm.
 */
#include "cdi/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_process process = { 0 };
	struct oci_linux l = { 0 };
	struct oci_config config = { .process = &process, .linux_ = &l };
	struct cdi_spec spec;
	struct err err = ERR_INIT;

	if (!size || cdi_spec_read(data + 1, size - 1, data[0] % 2 == 0, &a, &spec, &err) < 0)
		return 0;
	for (size_t i = 0; i < spec.n_devices; i++)
		cdi_edits_apply(&spec.devices[i].edits, &config, &a, &err);
	cdi_edits_apply(&spec.edits, &config, &a, &err);
	return 0;
}
