/* Any bytes as what a plugin printed: a result, an error, the answer to VERSION, a list. */
#include "cni/conf.h"
#include "cni/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	const char *text = size ? (const char *)data : "";
	struct err err = ERR_INIT;
	struct cni_result res;
	struct cni_conf conf;
	char *input;

	if (cni_result_read(text, size, "eth0", &a, &res, &err) == 0)
		assert(res.n_pod_ips <= res.n_ips);
	cni_result_error(text, size, "CNI plugin x", &err);
	if (cni_conf_read(text, size, &a, &conf, &err) < 0) {
		assert(err.kind != ERR_NONE);
		return 0;
	}
	assert(conf.n_plugins > 0 && conf.n_versions > 0);
	for (size_t i = 0; i < conf.n_plugins; i++)
		assert(cni_conf_input(&conf, &conf.plugins[i], "{\"portMappings\":[]}", "{}", &a, &input, &err) == 0);
	input = cni_conf_write(&conf, conf.versions[0], &a);
	assert(cni_conf_read(input, strlen(input), &a, &conf, &err) == 0);
	cni_conf_negotiate(&conf, "x", text, size, &err);
	return 0;
}
