/* Elements of lists: kept ones are what fresh ones would be. */
#include "cri/lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct cri room;

/* One element by protobuf-c alone: the whole list with nothing but it. */
static void assert_is(const struct buf *got, const ProtobufCMessage *list)
{
	size_t len = protobuf_c_message_get_packed_size(list);
	autofree uint8_t *want = mem_new(len + 1, 1);

	protobuf_c_message_pack(list, want);
	assert_int_equal(got->len, len);
	assert_memory_equal(got->data, want, len);
}

static void compare_container(struct pod_container *container)
{
	struct cri_call c = { .cri = &room };
	Runtime__V1__ListContainersResponse res = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
	Runtime__V1__Container *item = cri_container_item(&c, container);
	struct err err = ERR_INIT;

	res.containers = &item;
	res.n_containers = 1;
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);

		assert_int_equal(cri_row_container(&c, container, &out, &err), 0);
		assert_is(&out, &res.base);
	}
	arena_done(&c.arena);
}

static void compare_pod(struct pod_sandbox *pod)
{
	struct cri_call c = { .cri = &room };
	Runtime__V1__ListPodSandboxResponse res = RUNTIME__V1__LIST_POD_SANDBOX_RESPONSE__INIT;
	Runtime__V1__PodSandbox *item = cri_pod_item(&c, pod);
	struct err err = ERR_INIT;

	res.items = &item;
	res.n_items = 1;
	for (int i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);

		assert_int_equal(cri_row_pod(&c, pod, &out, &err), 0);
		assert_is(&out, &res.base);
	}
	arena_done(&c.arena);
}

static void a_kept_row_is_a_fresh_one_in_every_state(void **state)
{
	/* of every length around the ends of what one, two and three bytes of length can say */
	static const size_t lengths[] = { 0, 1, 20, 50, 60, 100, 127, 128, 129, 16000, 16383, 16384, 20000, 70000 };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		autofree char *filler = mem_new(lengths[i] + 1, 1);
		struct json_kv labels[] = { { (char *)"app", filler }, { (char *)"", (char *)"" } };
		struct pod_config pod_config = { .name = (char *)"web", .uid = (char *)"u", .ns = (char *)"default",
						 .attempt = 3, .annotations = labels, .n_annotations = 2 };
		struct pod_container_config config = { .name = (char *)"main", .attempt = 1,
						       .image = (char *)"example.com/web:1", .labels = labels,
						       .n_labels = 2 };
		struct pod_sandbox pod = { .id = "0123456789abcdef", .config = &pod_config, .created_at = 12345 };
		struct pod_container container = { .id = "fedcba9876543210", .pod = &pod, .config = &config,
						   .image_id = (char *)"sha256:12", .image_ref = (char *)"web@sha256:34",
						   .created_at = INT64_MAX };

		memset(filler, 'x', lengths[i]);
		for (int n = 0; n < 8; n++) {
			container.state = (enum pod_container_state)(n % 4);
			compare_container(&container);
			pod.state = (enum pod_state)(n % 2);
			compare_pod(&pod);
		}
		free(container.kept_row);
		free(pod.kept_row);
	}
}

static void a_list_that_would_be_too_large_is_refused(void **state)
{
	struct cri_call c = { .cri = &room };
	struct pod_config config = { .name = (char *)"web" };
	struct pod_sandbox pod = { .id = "0123456789abcdef", .config = &config };
	CLEANUP(buf_done) struct buf out = BUF_INIT(100);
	struct err err = ERR_INIT;
	int r = 0, n = 0;

	while (r == 0 && n++ < 100)
		r = cri_row_pod(&c, &pod, &out, &err);
	assert_true(r < 0 && n > 1 && out.len <= 100);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_true(cri_row_put(&out, &cri_pod_item(&c, &pod)->base, &err) < 0);
	arena_done(&c.arena);
	free(pod.kept_row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kept_row_is_a_fresh_one_in_every_state),
		cmocka_unit_test(a_list_that_would_be_too_large_is_refused),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
