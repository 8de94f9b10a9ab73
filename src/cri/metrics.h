/*
 * metrics — what is measured of pods and containers, by cAdvisor's names (KEP-2371).
 *
 * One table says each metric's name, meaning, type and labels, and where its value comes from;
 * the CRI answers (measure.c) and the Prometheus text (prometheus.h) are two ways to write
 * the same samples. Every metric has the six labels of cri_metric_base first, then its own.
 *
 *   container  the container's name; "" for a pod as a whole
 *   id         path of the cgroup
 *   image      the image's name
 *   name       the container's id, or the pod's
 *   namespace, pod
 *
 * Only what runs has metrics. What the kernel does not give is left out. Samples are taken on
 * worker threads: cgroup files, directories of /proc and the pod's network are read.
 */
#pragma once

#include "base/base.h"

#include <sys/types.h>

struct cgroup_stats;
struct cri;
struct metric_scene;

enum { METRIC_BASE = 6, METRIC_OWN_MAX = 4, METRIC_INTERFACES_MAX = 16 };
extern const char *const cri_metric_base[METRIC_BASE];

struct cri_metric {
	const char *name, *help;
	bool counter;                    /* else a gauge */
	uint64_t per;                    /* the sample's value is this many times too large: NSEC_PER_SEC */
	bool pod;                        /* also of pods as a whole */
	unsigned have;                   /* CGROUP_HAVE_* that the value needs */
	size_t stat;                     /* offset in struct cgroup_stats, when there is no function */
	void (*take)(struct metric_scene *s, const struct cri_metric *m);
	const char *own[METRIC_OWN_MAX]; /* labels of its own */
};

extern const struct cri_metric cri_metrics[];
extern const size_t cri_n_metrics;

size_t cri_metric_labels(const struct cri_metric *m);

struct cri_sample {
	const struct cri_metric *metric;
	const char *container_id;   /* NULL: the pod's own */
	const char *const *labels;  /* cri_metric_labels of them; valid during the call */
	uint64_t value;
	int64_t at;                 /* real ns */
};

typedef void (*cri_sample_fn)(const struct cri_sample *sample, void *user);

/* All samples of the pod, its own first. NOT_FOUND: no such pod. */
int cri_measure_pod(struct cri *cri, const char *pod_id, cri_sample_fn fn, void *user, struct err *err);

/* ---- between metrics.c, which has the table, and measure.c, which takes the samples ---- */

/* One pod or container while its samples are taken. */
struct metric_scene {
	const struct cgroup_stats *stats;
	const struct metric_view *view;
	int64_t now;
	cri_sample_fn fn;
	void *user;
	const char *labels[METRIC_BASE + METRIC_OWN_MAX];
	/* of the processes */
	uint64_t processes, descriptors, sockets, open_files;
	bool has_processes, has_open_files;
	/* of the file system that has the writable layers */
	const char *fs_device;
	uint64_t fs_bytes, fs_inodes, fs_inodes_free, layer_bytes;
	bool has_fs, has_layer;
	/* of the pod's network */
	const struct metric_interface *interfaces;
	size_t n_interfaces;
};

/* What the records say, copied. */
struct metric_view {
	const char *id, *cgroup_path, *container, *image, *ns, *pod;
	const char *container_id; /* NULL: a pod */
	pid_t pid;
	uint64_t pid_ticks;
	int64_t started_at, cpu_shares, cpu_quota, cpu_period, memory_reservation;
};

struct metric_interface {
	char name[16];
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* Of the network namespace of the pod's pause process; 0 when that is gone. */
size_t cri_pod_interfaces(pid_t pause, uint64_t ticks, struct metric_interface out[METRIC_INTERFACES_MAX]);
/* Text of /proc/<pid>/net/dev; the loopback is left out. Pure. */
size_t cri_metric_interfaces(const char *text, struct metric_interface *out, size_t max);
/* Samples of every row of the table for this scene. */
void cri_metric_take(struct metric_scene *s);
