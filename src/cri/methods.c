/*
 * Every RPC of runtime.v1, in the order of its definition, and the daemon's own: how its work
 * runs and by which function. A row without a function answers UNIMPLEMENTED.
 */
#include "cri/lists.h"

#include "caisson.pb-c.h"

#define ROW(name_, type_) \
	.name = (name_), .request = &runtime__v1__##type_##_request__descriptor, \
	.response = &runtime__v1__##type_##_response__descriptor
#define ABSENT(name_, type_) { ROW(name_, type_) }
#define STREAM(name_, type_) \
	{ .name = (name_), .request = &runtime__v1__##type_##_request__descriptor, .mode = CRI_STREAM, \
	  .fn = cri_##type_ }
#define INLINE(name_, type_) { ROW(name_, type_), .fn = cri_##type_ }
#define WORKER(name_, type_, changes_) \
	{ ROW(name_, type_), .mode = CRI_WORKER, .fn = cri_##type_, .changes = (changes_) }
#define MEMORY_LIST(name_, type_, list_) \
	{ ROW(name_, type_), .fn = cri_list_memory, .list = &cri_##list_##_list }
#define KERNEL_LIST(name_, type_, list_) \
	{ ROW(name_, type_), .mode = CRI_WORKER, .fn = cri_list_kernel, .list = &cri_##list_##_list }
#define STREAM_LIST(name_, type_, list_) \
	{ .name = (name_), .request = &runtime__v1__##type_##_request__descriptor, .mode = CRI_STREAM, \
	  .fn = cri_list_pages, .list = &cri_##list_##_list }
#define OPERATION(name_, type_) { ROW(name_, type_), .mode = CRI_OPERATION, .fn = cri_##type_, .changes = true }
#define OPERATION_WITH(name_, type_, changes_) \
	{ ROW(name_, type_), .mode = CRI_OPERATION, .fn = cri_##type_, .finish = cri_##type_##_finish, \
	  .changes = (changes_) }

static const struct cri_method runtime_methods[] = {
	INLINE("Version", version),
	OPERATION_WITH("RunPodSandbox", run_pod_sandbox, true),
	OPERATION("StopPodSandbox", stop_pod_sandbox),
	OPERATION("RemovePodSandbox", remove_pod_sandbox),
	INLINE("PodSandboxStatus", pod_sandbox_status),
	MEMORY_LIST("ListPodSandbox", list_pod_sandbox, pod),
	STREAM_LIST("StreamPodSandboxes", stream_pod_sandboxes, pod),
	OPERATION_WITH("CreateContainer", create_container, true),
	OPERATION("StartContainer", start_container),
	OPERATION("StopContainer", stop_container),
	OPERATION("RemoveContainer", remove_container),
	MEMORY_LIST("ListContainers", list_containers, container),
	STREAM_LIST("StreamContainers", stream_containers, container),
	INLINE("ContainerStatus", container_status),
	OPERATION("UpdateContainerResources", update_container_resources),
	OPERATION("ReopenContainerLog", reopen_container_log),
	OPERATION_WITH("ExecSync", exec_sync, false),
	INLINE("Exec", exec),
	INLINE("Attach", attach),
	INLINE("PortForward", port_forward),
	WORKER("ContainerStats", container_stats, false),
	KERNEL_LIST("ListContainerStats", list_container_stats, container_stats),
	STREAM_LIST("StreamContainerStats", stream_container_stats, container_stats),
	WORKER("PodSandboxStats", pod_sandbox_stats, false),
	KERNEL_LIST("ListPodSandboxStats", list_pod_sandbox_stats, pod_stats),
	STREAM_LIST("StreamPodSandboxStats", stream_pod_sandbox_stats, pod_stats),
	INLINE("UpdateRuntimeConfig", update_runtime_config),
	INLINE("Status", status),
	OPERATION("CheckpointContainer", checkpoint_container),
	OPERATION("CheckpointPod", checkpoint_pod),
	OPERATION_WITH("RestorePod", restore_pod, true),
	STREAM("GetContainerEvents", get_events),
	INLINE("ListMetricDescriptors", list_metric_descriptors),
	KERNEL_LIST("ListPodSandboxMetrics", list_pod_sandbox_metrics, pod_metrics),
	STREAM_LIST("StreamPodSandboxMetrics", stream_pod_sandbox_metrics, pod_metrics),
	INLINE("RuntimeConfig", runtime_config),
	OPERATION("UpdatePodSandboxResources", update_pod_sandbox_resources),
};

static const struct cri_method image_methods[] = {
	MEMORY_LIST("ListImages", list_images, image),
	STREAM_LIST("StreamImages", stream_images, image),
	INLINE("ImageStatus", image_status),
	WORKER("PullImage", pull_image, true),
	WORKER("RemoveImage", remove_image, true),
	INLINE("ImageFsInfo", image_fs_info),
};

static const struct cri_method own_image_methods[] = {
	{ .name = "Import", .request = &caisson__v1__import_request__descriptor, .mode = CRI_WORKER, .fn = cri_import,
	  .changes = true },
	{ .name = "Pulls", .request = &caisson__v1__pulls_request__descriptor, .mode = CRI_INLINE, .fn = cri_pulls },
	{ .name = "Tag", .request = &caisson__v1__tag_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_tag, .changes = true },
	{ .name = "Untag", .request = &caisson__v1__untag_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_untag, .changes = true },
	{ .name = "Prune", .request = &caisson__v1__prune_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_prune, .changes = true },
	{ .name = "Export", .request = &caisson__v1__export_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_export },
	{ .name = "Verify", .request = &caisson__v1__verify_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_verify, .changes = true },
	{ .name = "Diff", .request = &caisson__v1__diff_request__descriptor, .mode = CRI_WORKER,
	  .fn = cri_diff },
	{ .name = "Explain", .request = &caisson__v1__explain_request__descriptor, .mode = CRI_WORKER, .fn = cri_explain },
};

const struct cri_service cri_services_table[CRI_SERVICES] = {
	{ "runtime.v1.RuntimeService", runtime_methods, ARRAY_LEN(runtime_methods) },
	{ "runtime.v1.ImageService", image_methods, ARRAY_LEN(image_methods) },
	{ "caisson.v1.Images", own_image_methods, ARRAY_LEN(own_image_methods) },
};
