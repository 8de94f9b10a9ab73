/*
 * What a plugin answers to CreateContainer, twice by two plugins: whatever is taken must make a config.json
 * that can be written.
 */
#include "nri/adjust.h"

#include "rpc/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(struct nri_adjust *ad, const uint8_t *data, size_t size, struct err *err)
{
	CLEANUP(rpc_pb_free_ptr) ProtobufCMessage *m = NULL;
	int r = rpc_pb_unpack(NRI_TYPE(container_adjustment), data, size, &m, err);

	return r < 0 ? r : nri_adjust_apply(ad, (const NRI(ContainerAdjustment) *)m, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(nri_owners_done) struct nri_owners owners = NRI_OWNERS_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(OCI_CONFIG_MAX);
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *env[] = { (char *)"A=1", (char *)"B=2" };
	struct oci_mount mounts[] = { { .destination = (char *)"/a/b" }, { .destination = (char *)"/" } };
	struct oci_process process = { .env = env, .n_env = 2 };
	struct oci_linux l = { 0 };
	struct oci_config config = {
		.oci_version = (char *)"1.2.0", .process = &process, .linux_ = &l, .mounts = mounts, .n_mounts = 2,
	};
	struct nri_adjust ad = { .owners = &owners, .id = "c", .plugin = "10-a", .a = &a, .config = &config };
	size_t half = size / 2;
	struct err err = ERR_INIT;

	process.cwd = (char *)"/";
	if (apply(&ad, data, half, &err) < 0)
		return 0;
	ad.plugin = "20-b";
	if (apply(&ad, data + half, size - half, &err) < 0)
		return 0;
	nri_owners_write(&owners, &a);
	oci_config_write(&config, 0, &out, &err);
	return 0;
}
