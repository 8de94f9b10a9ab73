/* Which objects a list's filter means. */
#include "cri/filter.h"
#include "cri/samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct json_kv labels[] = { { (char *)"app", (char *)"web" }, { (char *)"tier", (char *)"front" } };
static struct pod_container_config config = { .labels = labels, .n_labels = 2 };
static struct pod_config pod_config = { .labels = labels, .n_labels = 2 };

static void an_id_may_be_shortened(void **state)
{
	assert_true(cri_filter_id("", "abcdef"));
	assert_true(cri_filter_id("abc", "abcdef"));
	assert_true(cri_filter_id("abcdef", "abcdef"));
	assert_false(cri_filter_id("bcd", "abcdef"));
	assert_false(cri_filter_id("abcdefg", "abcdef"));
}

static void all_labels_must_be_there(void **state)
{
	static const struct {
		const char *key, *value;
		bool found;
	} cases[] = {
		{ "app", "web", true },
		{ "app", "we", false },
		{ "app", "", false },
		{ "other", "web", false },
		{ "tier", "front", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire_entry app = { .key = (char *)"app", .value = (char *)"web" };
		struct wire_entry entry = { .key = (char *)cases[i].key, .value = (char *)cases[i].value };
		void *wanted[] = { &app, &entry };

		assert_int_equal(cri_filter_labels(wanted, 2, labels, 2), cases[i].found);
	}
}

static void a_filter_is_all_of_its_parts(void **state)
{
	struct pod_sandbox pod = { .id = "aaaa", .config = &pod_config, .state = POD_READY };
	struct pod_container c = { .id = "bbbb", .pod = &pod, .config = &config, .state = POD_EXITED };
	Runtime__V1__ContainerFilter filter = RUNTIME__V1__CONTAINER_FILTER__INIT;
	Runtime__V1__ContainerStateValue value = RUNTIME__V1__CONTAINER_STATE_VALUE__INIT;
	Runtime__V1__PodSandboxFilter pods = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;
	Runtime__V1__PodSandboxStateValue pod_value = RUNTIME__V1__POD_SANDBOX_STATE_VALUE__INIT;

	assert_true(cri_filter_container(NULL, &c));
	assert_true(cri_filter_container(&filter, &c));
	filter.pod_sandbox_id = (char *)"aa";
	assert_true(cri_filter_container(&filter, &c));
	filter.state = &value; /* CREATED is 0: a present value, not an absent one */
	assert_false(cri_filter_container(&filter, &c));
	value.state = RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED;
	assert_true(cri_filter_container(&filter, &c));
	filter.id = (char *)"c";
	assert_false(cri_filter_container(&filter, &c));
	pods.state = &pod_value;
	assert_true(cri_filter_pod(&pods, &pod));
	pod_value.state = RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
	assert_false(cri_filter_pod(&pods, &pod));
}

static void a_rate_needs_two_samples_and_keeps_its_window(void **state)
{
	struct cri_samples *s = cri_samples_new();
	uint64_t rate = 0;

	assert_false(cri_samples_rate(s, "a", 1 * NSEC_PER_SEC, 100, &rate));
	assert_true(cri_samples_rate(s, "a", 3 * NSEC_PER_SEC, 100 + 2000, &rate));
	assert_int_equal(rate, 1000);
	/* asked again at once: the window is not cut short */
	assert_true(cri_samples_rate(s, "a", 3 * NSEC_PER_SEC + 5, 100 + 2000 + 400, &rate));
	assert_int_equal(rate, 1000);
	assert_true(cri_samples_rate(s, "a", 5 * NSEC_PER_SEC, 100 + 2000 + 8000, &rate));
	assert_int_equal(rate, 4000);
	assert_false(cri_samples_rate(s, "b", 5 * NSEC_PER_SEC, 1, &rate));
	/* forgotten when nobody has asked for long */
	assert_false(cri_samples_rate(s, "a", 2000 * NSEC_PER_SEC, 1, &rate));
	cri_samples_free(s);
}

static void a_layer_that_is_old_is_due_once(void **state)
{
	struct cri_samples *s = cri_samples_new();
	struct cri_layer_size size = { .at = 100 * NSEC_PER_SEC, .bytes = 5 }, got;
	char *id;
	bool due;

	assert_false(cri_samples_layer(s, "a", 100 * NSEC_PER_SEC, &got, &due));
	cri_samples_set_layer(s, "a", &size);
	assert_true(cri_samples_layer(s, "a", 105 * NSEC_PER_SEC, &got, &due));
	assert_true(got.bytes == 5 && !due);
	assert_null(cri_samples_take_due(s));
	/* the old figure is given meanwhile; one is told to take the due ones */
	assert_true(cri_samples_layer(s, "a", 111 * NSEC_PER_SEC, &got, &due));
	assert_true(got.bytes == 5 && due);
	assert_true(cri_samples_layer(s, "a", 112 * NSEC_PER_SEC, &got, &due));
	assert_false(due);
	id = cri_samples_take_due(s);
	assert_string_equal(id, "a");
	free(id);
	assert_null(cri_samples_take_due(s));
	cri_samples_forget(s, "a");
	assert_false(cri_samples_layer(s, "a", 113 * NSEC_PER_SEC, &got, &due));
	cri_samples_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_may_be_shortened),
		cmocka_unit_test(all_labels_must_be_there),
		cmocka_unit_test(a_filter_is_all_of_its_parts),
		cmocka_unit_test(a_rate_needs_two_samples_and_keeps_its_window),
		cmocka_unit_test(a_layer_that_is_old_is_due_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
