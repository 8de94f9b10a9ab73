/* The table of metrics, the samples of a scene, and their text. */
#include "cri/metrics.h"
#include "cri/prometheus.h"

#include "cgroup/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char net_dev[] =
	"Inter-|   Receive                                                |  Transmit\n"
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
	"    lo:  500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0\n"
	"  eth0: 1234567890123 21   3    4    0     0          0         0      999      12    5    6    0     0       0          0\n"
	"net1-very-long-:1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"
	"broken: 1 2\n";

static void interfaces_of_a_namespace_but_its_loopback(void **state)
{
	struct metric_interface out[4];

	assert_int_equal(cri_metric_interfaces(net_dev, out, 4), 2);
	assert_string_equal(out[0].name, "eth0");
	assert_true(out[0].rx_bytes == 1234567890123 && out[0].rx_packets == 21 && out[0].rx_errors == 3 &&
		    out[0].rx_dropped == 4 && out[0].tx_bytes == 999 && out[0].tx_packets == 12 &&
		    out[0].tx_errors == 5 && out[0].tx_dropped == 6);
	assert_string_equal(out[1].name, "net1-very-long-");
	assert_int_equal(cri_metric_interfaces(net_dev, out, 1), 1);
	assert_int_equal(cri_metric_interfaces("", out, 4), 0);
}

static void names_are_in_order_and_have_all_parts(void **state)
{
	for (size_t i = 0; i < cri_n_metrics; i++) {
		const struct cri_metric *m = &cri_metrics[i];

		assert_true(!i || strcmp(cri_metrics[i - 1].name, m->name) < 0);
		assert_true(m->name && m->help && *m->help && m->per);
		assert_true(!m->stat || !m->take);
		/* Prometheus' own rule, with the one exception that cAdvisor makes */
		if (strstr(m->name, "_total") && !str_eq(m->name, "container_fs_inodes_total"))
			assert_true(m->counter);
	}
}

struct seen {
	size_t n;
	uint64_t value;
	char labels[512];
	const char *name;
};

static void note(const struct cri_sample *s, void *user)
{
	struct seen *seen = user;

	if (seen->name && strcmp(s->metric->name, seen->name) != 0)
		return;
	seen->n++;
	seen->value = s->value;
	seen->labels[0] = '\0';
	for (size_t i = 0; i < cri_metric_labels(s->metric); i++)
		snprintf(seen->labels + strlen(seen->labels), sizeof(seen->labels) - strlen(seen->labels), "%s|",
			 s->labels[i]);
}

static struct seen take(const struct cgroup_stats *st, const struct metric_view *view, const char *name)
{
	static const struct metric_interface eth0 = { .name = "eth0", .rx_bytes = 77 };
	struct seen seen = { .name = name };
	struct metric_scene s = { .stats = st, .view = view, .fn = note, .user = &seen, .now = 5, .fs_device = "/dev/x",
				  .has_processes = true, .processes = 3, .has_open_files = true, .open_files = 1024,
				  .interfaces = &eth0, .n_interfaces = view->container_id ? 0 : 1 };

	cri_metric_take(&s);
	return seen;
}

static void a_scene_gives_its_samples(void **state)
{
	const struct metric_view container = { .id = "c1", .container_id = "c1", .cgroup_path = "/p/c1",
					       .container = "web", .image = "img", .ns = "default", .pod = "pod" };
	const struct metric_view pod = { .id = "p1", .cgroup_path = "/p", .container = "", .image = "",
					 .ns = "default", .pod = "pod" };
	const struct cgroup_stats st = {
		.have = CGROUP_HAVE_CPU | CGROUP_HAVE_MEMORY | CGROUP_HAVE_IO | CGROUP_HAVE_PIDS,
		.cpu_usage_nsec = 1500000000, .memory_limit = UINT64_MAX, .pids_limit = UINT64_MAX,
		.io = { { .major = 9999, .minor = 1, .read_bytes = 10, .write_bytes = 20 } }, .n_io = 1,
	};
	struct seen seen = take(&st, &container, "container_cpu_usage_seconds_total");

	assert_true(seen.n == 1 && seen.value == 1500000000);
	assert_string_equal(seen.labels, "web|/p/c1|img|c1|default|pod|");
	seen = take(&st, &container, "container_blkio_device_usage_total");
	assert_true(seen.n == 2 && seen.value == 20);
	assert_string_equal(seen.labels, "web|/p/c1|img|c1|default|pod||9999|1|Write|");
	seen = take(&st, &container, "container_spec_memory_limit_bytes");
	assert_true(seen.n == 1 && seen.value == 0);
	/* not there: no PSI, no quota; a container has no network of its own, a pod no processes */
	assert_true(take(&st, &container, "container_pressure_cpu_waiting_seconds_total").n == 0);
	assert_true(take(&st, &container, "container_spec_cpu_quota").n == 0);
	assert_true(take(&st, &container, "container_network_receive_bytes_total").n == 0);
	assert_true(take(&st, &pod, "container_network_receive_bytes_total").value == 77);
	assert_true(take(&st, &pod, "container_processes").n == 0);
	assert_true(take(&st, &container, "container_processes").value == 3);
	seen = take(&st, &container, "container_ulimits_soft");
	assert_string_equal(seen.labels, "web|/p/c1|img|c1|default|pod|max_open_files|");
}

static void text_has_families_and_escapes(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	const struct metric_view view = { .id = "c", .container_id = "c", .cgroup_path = "/p\\c",
					  .container = "a\"b\nc", .image = "", .ns = "n", .pod = "p" };
	const struct cgroup_stats st = { .have = CGROUP_HAVE_CPU, .cpu_usage_nsec = 1050000000 };
	struct prometheus *p = prometheus_new();
	struct metric_scene s = { .stats = &st, .view = &view, .fn = prometheus_add, .user = p };

	cri_metric_take(&s);
	cri_metric_take(&s);
	assert_int_equal(prometheus_text(p, &out), 0);
	prometheus_free(p);
	assert_non_null(strstr(buf_text(&out),
			       "# HELP container_cpu_usage_seconds_total CPU time used.\n"
			       "# TYPE container_cpu_usage_seconds_total counter\n"
			       "container_cpu_usage_seconds_total{container=\"a\\\"b\\nc\",id=\"/p\\\\c\",image=\"\","
			       "name=\"c\",namespace=\"n\",pod=\"p\"} 1.050000000\n"
			       "container_cpu_usage_seconds_total{"));
	assert_null(strstr(buf_text(&out), "container_memory_rss"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interfaces_of_a_namespace_but_its_loopback),
		cmocka_unit_test(names_are_in_order_and_have_all_parts),
		cmocka_unit_test(a_scene_gives_its_samples),
		cmocka_unit_test(text_has_families_and_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
