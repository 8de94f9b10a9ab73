#include "oci/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define D3 "sha256:3333333333333333333333333333333333333333333333333333333333333333"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

static void documents_are_told_apart_and_contradictions_refused(void **state)
{
	static const struct {
		const char *text, *served;
		int kind; /* enum oci_document, or -1 and the error has */
		enum err_kind err;
	} rows[] = {
		{ "{\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[]}", NULL, OCI_DOC_INDEX, 0 },
		{ "{\"mediaType\":\"" DOCKER_LIST "\",\"manifests\":[]}", DOCKER_LIST, OCI_DOC_INDEX, 0 },
		{ "{\"manifests\":[]}", OCI_INDEX "; charset=utf-8", OCI_DOC_INDEX, 0 },
		{ "{\"manifests\":[]}", "application/json", OCI_DOC_INDEX, 0 },
		{ "{\"config\":{},\"layers\":[]}", NULL, OCI_DOC_MANIFEST, 0 },
		{ "{\"config\":{},\"layers\":[]}", OCI_MANIFEST, OCI_DOC_MANIFEST, 0 },
		{ "{\"mediaType\":\"" OCI_MANIFEST "\",\"manifests\":[]}", OCI_INDEX, -1, ERR_INVALID },
		{ "{\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[],\"layers\":[]}", NULL, -1, ERR_INVALID },
		{ "{\"layers\":[],\"manifests\":[]}", OCI_MANIFEST, -1, ERR_INVALID },
		{ "{\"schemaVersion\":1,\"fsLayers\":[]}", NULL, -1, ERR_UNSUPPORTED },
		{ "{\"mediaType\":\"application/x\"}", NULL, -1, ERR_UNSUPPORTED },
		{ "{}", NULL, -1, ERR_INVALID },
		{ "[]", NULL, -1, ERR_INVALID },
		{ "", NULL, -1, ERR_INVALID },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		enum oci_document kind = 99;
		int r = oci_document_kind(rows[i].text, strlen(rows[i].text), rows[i].served, &kind, &err);

		if (r == 0 ? (int)kind != rows[i].kind : rows[i].kind != -1 || err.kind != rows[i].err)
			fail_msg("%s as %s: %d, kind %d, %s", rows[i].text, rows[i].served, r, kind,
				 err.text);
	}
}

#define ENTRY(digest, os, arch, variant)                                                              \
	"{\"digest\":\"" digest "\",\"size\":1,\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch \
	"\",\"variant\":\"" variant "\"}}"

static void the_entry_for_this_machine_is_chosen_wherever_it_stands(void **state)
{
	static const struct {
		const char *entries, *digest;
		struct oci_host_platform host;
	} rows[] = {
		{ ENTRY(D1, "linux", "arm64", "v8") "," ENTRY(D2, "linux", "amd64", ""), D2,
		  { "linux", "amd64", "v3" } },
		{ ENTRY(D1, "linux", "amd64", "") "," ENTRY(D2, "linux", "amd64", "v3"), D2,
		  { "linux", "amd64", "v3" } },
		{ ENTRY(D1, "linux", "amd64", "v4") "," ENTRY(D2, "linux", "amd64", "v2"), D2,
		  { "linux", "amd64", "v3" } },
		{ ENTRY(D1, "windows", "amd64", "") "," ENTRY(D2, "linux", "x86_64", ""), D2,
		  { "linux", "amd64", "" } },
		{ ENTRY(D1, "linux", "arm", "v6") "," ENTRY(D2, "linux", "arm", "v7") "," ENTRY(D3, "linux",
												"arm", "v8"),
		  D2, { "linux", "arm", "v7" } },
		{ ENTRY(D1, "linux", "arm64", ""), D1, { "linux", "arm64", "v8" } },
		{ "{\"digest\":\"" D1 "\",\"size\":1}," ENTRY(D2, "linux", "amd64", ""), D2,
		  { "linux", "amd64", "" } },
		{ "{\"digest\":\"" D1 "\",\"size\":1}", D1, { "linux", "amd64", "" } },
		{ ENTRY(D1, "unknown", "unknown", "") "," ENTRY(D2, "linux", "s390x", ""), NULL,
		  { "linux", "amd64", "" } },
		{ ENTRY(D1, "linux", "amd64", "vx"), NULL, { "linux", "amd64", "v1" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct oci_index index;
		struct err err = ERR_INIT;
		char text[2048];
		const struct oci_descriptor *d;

		snprintf(text, sizeof(text), "{\"schemaVersion\":2,\"manifests\":[%s]}", rows[i].entries);
		assert_int_equal(oci_index_read(text, strlen(text), &a, &index, &err), 0);
		d = oci_index_choose(&index, &rows[i].host, &err);
		if (!d != !rows[i].digest || (d && strcmp(d->digest, rows[i].digest) != 0))
			fail_msg("%s: %s %s", rows[i].entries, d ? d->digest : "none", err.text);
		if (!d)
			assert_int_equal(err.kind, ERR_NOT_FOUND);
	}
}

#define MANIFEST(config_type, digest, size, layer_type)                                             \
	"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" config_type "\",\"digest\":\"" digest     \
	"\",\"size\":" size "},\"layers\":[{\"mediaType\":\"" layer_type "\",\"digest\":\"" D2          \
	"\",\"size\":5}]}"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"

static void manifests_that_cannot_run_are_refused_by_name(void **state)
{
	static const struct {
		const char *text;
		enum err_kind kind;
		const char *says;
	} rows[] = {
		{ MANIFEST(CONFIG_TYPE, D1, "9", "x"), ERR_NONE, "" },
		{ MANIFEST("application/vnd.cncf.helm.config.v1+json", D1, "9", "x"), ERR_UNSUPPORTED,
		  "helm" },
		{ MANIFEST(CONFIG_TYPE, D1, "-9", "x"), ERR_INVALID, "negative" },
		{ MANIFEST(CONFIG_TYPE, D1, "99999999", "x"), ERR_LIMIT, "config has" },
		{ MANIFEST(CONFIG_TYPE, "sha512:22", "9", "x"), ERR_UNSUPPORTED, "sha512" },
		{ MANIFEST(CONFIG_TYPE, "sha256:../../../etc/passwd", "9", "x"), ERR_INVALID,
		  "not a sha256" },
		{ "{\"schemaVersion\":2,\"layers\":[]}", ERR_INVALID, "config" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct oci_manifest m;
		struct err err = ERR_INIT;
		int r = oci_manifest_read(rows[i].text, strlen(rows[i].text), &a, &m, &err);

		if ((r == 0) != (rows[i].kind == ERR_NONE) || err.kind != rows[i].kind ||
		    !strstr(err.text, rows[i].says))
			fail_msg("%s: %d %s", rows[i].text, r, err.text);
	}
}

static void layer_types_are_known_or_named(void **state)
{
	struct oci_descriptor d = { .digest = (char *)D1 };
	enum oci_compression c;
	struct err err = ERR_INIT;

	d.media_type = (char *)"application/vnd.docker.image.rootfs.diff.tar.gzip";
	assert_int_equal(oci_layer_compression(&d, &c, &err), 0);
	assert_int_equal(c, OCI_GZIP);
	d.media_type = (char *)"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
	assert_true(oci_layer_compression(&d, &c, &err) < 0);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "foreign"));
	d.media_type = (char *)"text/plain";
	assert_true(oci_layer_compression(&d, &c, &err) < 0);
	assert_non_null(strstr(err.text, "text/plain"));
	d.media_type = NULL;
	assert_true(oci_layer_compression(&d, &c, &err) < 0);
}

static void a_config_gives_the_defaults_of_a_process(void **state)
{
	static const char text[] =
		"{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"User\":\"www-data:33\","
		"\"ExposedPorts\":{\"80/tcp\":{}},\"Env\":[\"A=b\"],\"Entrypoint\":null,\"Cmd\":[\"nginx\"],"
		"\"Volumes\":{\"/data\":{},\"/x\":{}},\"Labels\":null,\"StopSignal\":\"SIGQUIT\"},"
		"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"]},"
		"\"history\":[{\"empty_layer\":true}]}";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct oci_image image;
	struct err err = ERR_INIT;

	assert_int_equal(oci_image_read(text, strlen(text), &a, &image, &err), 0);
	assert_string_equal(image.config.user, "www-data:33");
	assert_int_equal(image.config.n_exposed_ports, 1);
	assert_string_equal(image.config.exposed_ports[0].key, "80/tcp");
	assert_int_equal(image.config.n_volumes, 2);
	assert_int_equal(image.config.n_entrypoint, 0);
	assert_string_equal(image.config.stop_signal, "SIGQUIT");
	assert_int_equal(image.rootfs.n_diff_ids, 1);
	assert_true(image.history[0].empty_layer);
	assert_true(oci_image_read("{\"rootfs\":{\"diff_ids\":[\"x\"]}}", 31, &a, &image, &err) < 0);
	assert_int_equal(err.kind, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_told_apart_and_contradictions_refused),
		cmocka_unit_test(the_entry_for_this_machine_is_chosen_wherever_it_stands),
		cmocka_unit_test(manifests_that_cannot_run_are_refused_by_name),
		cmocka_unit_test(layer_types_are_known_or_named),
		cmocka_unit_test(a_config_gives_the_defaults_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
