/* What a user namespace may be asked for, and what a container in it may. */
#include "pod/userns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct pod_id_map one[] = { { 0, 70000, 1000 } }, other[] = { { 0, 80000, 1000 } };
static struct pod_id_map two[] = { { 0, 70000, 10 }, { 10, 90000, 10 } };
static struct pod_id_map from_one[] = { { 1, 70000, 10 } }, empty[] = { { 0, 70000, 0 } };
static struct pod_id_map wraps[] = { { 0, UINT32_MAX - 4, 10 } };

#define MODE(m, ids, n) { .user = (m), .uids = (ids), .n_uids = (n), .gids = (ids), .n_gids = (n) }

static void a_pod_is_mapped_by_one_range_from_zero(void **state)
{
	static const struct {
		const char *name, *error;
		struct pod_namespaces ns;
	} rows[] = {
		{ "none", NULL, MODE(POD_NS_NODE, NULL, 0) },
		{ "an older record", NULL, MODE(POD_NS_POD, NULL, 0) },
		{ "one range", NULL, MODE(POD_NS_POD, one, 1) },
		{ "NODE with maps", "takes no mappings", MODE(POD_NS_NODE, one, 1) },
		{ "CONTAINER", "mode: 1", MODE(POD_NS_CONTAINER, NULL, 0) },
		{ "TARGET", "mode: 3", MODE(POD_NS_TARGET, one, 1) },
		{ "two", "exactly one mapping, got 2", MODE(POD_NS_POD, two, 2) },
		{ "not from 0", "must map container id 0, maps 1", MODE(POD_NS_POD, from_one, 1) },
		{ "empty", "are no range", MODE(POD_NS_POD, empty, 1) },
		{ "wraps", "are no range", MODE(POD_NS_POD, wraps, 1) },
		{ "no gids", "gids: needs exactly one",
		  { .user = POD_NS_POD, .uids = one, .n_uids = 1 } },
		{ "the host's processes", "the host's pid namespace",
		  { .user = POD_NS_POD, .uids = one, .n_uids = 1, .gids = one, .n_gids = 1, .pid = POD_NS_NODE } },
		{ "the host's IPC", "the host's ipc namespace",
		  { .user = POD_NS_POD, .uids = one, .n_uids = 1, .gids = one, .n_gids = 1, .ipc = POD_NS_NODE } },
	};
	int bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		int r = pod_userns_check(&rows[i].ns, &err);

		if (rows[i].error ? r == 0 || !strstr(err.text, rows[i].error) : r < 0) {
			print_error("%s: %d \"%s\"\n", rows[i].name, r, err.text);
			bad++;
		}
	}
	assert_int_equal(bad, 0);
}

static void a_container_has_the_pod_s_maps_and_ids_in_them(void **state)
{
	static uint32_t fine[] = { 5, 999 }, far[] = { 5, 1000 };
	static const struct pod_namespaces none = MODE(POD_NS_NODE, NULL, 0), pod = MODE(POD_NS_POD, one, 1),
					   another = MODE(POD_NS_POD, other, 1);
	static const struct {
		const char *error;
		const struct pod_namespaces *pod, *own;
		struct pod_user user;
	} rows[] = {
		{ NULL, &none, &none, { .uid = 5000 } },
		{ NULL, &pod, &pod, { .uid = 999, .gid = 999, .groups = fine, .n_groups = 2 } },
		{ NULL, &pod, &none, { .uid = 0 } },
		{ "user 1000 has no mapping", &pod, &pod, { .uid = 1000 } },
		{ "group 1000 has no mapping", &pod, &pod, { .gid = 1000 } },
		{ "supplemental group 1000 has no", &pod, &pod, { .groups = far, .n_groups = 2 } },
		{ "not those of the pod", &pod, &another, { .uid = 0 } },
		{ "not those of the pod", &none, &pod, { .uid = 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = ERR_INIT;
		int r = pod_userns_check_container(rows[i].pod, rows[i].own, &rows[i].user, &err);

		if (!rows[i].error) {
			assert_int_equal(r, 0);
			continue;
		}
		assert_true(r < 0);
		assert_non_null(strstr(err.text, rows[i].error));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_is_mapped_by_one_range_from_zero),
		cmocka_unit_test(a_container_has_the_pod_s_maps_and_ids_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
