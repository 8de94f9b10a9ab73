/*
 * Commands that look into a container: logs, exec, explain. Logs are read from the file that
 * the shim writes, so they work on the daemon's host only, as crictl's do.
 */
#include "prog/caisson/caisson.h"

#include "json/json.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>

/* ---- logs ---- */

/* "TIME STREAM P|F TEXT\n": text to the stream that it came from; P lines get no newline. */
static void print_line(const char *line, size_t len)
{
	const char *p = line, *end = line + len, *stream, *tag;
	FILE *to;

	if (!(stream = memchr(p, ' ', len)) || !(tag = memchr(stream + 1, ' ', (size_t)(end - stream - 1))) ||
	    end - tag < 3)
		return;
	to = stream[4] == 'e' ? stderr : stdout; /* " std[e]rr" */
	if (to == stderr)
		fflush(stdout); /* in the order of the log where both are one terminal */
	fwrite(tag + 3, 1, (size_t)(end - tag - 3), to);
	if (tag[1] == 'F')
		fputc('\n', to);
}

/* Where the last n lines begin. */
static off_t tail_offset(int fd, int64_t n)
{
	off_t end = lseek(fd, 0, SEEK_END), at = end;
	char block[4096];

	while (at > 0) {
		size_t len = at > (off_t)sizeof(block) ? sizeof(block) : (size_t)at;

		at -= (off_t)len;
		if (pread(fd, block, len, at) != (ssize_t)len)
			return 0;
		for (size_t i = len; i-- > 0;)
			if (block[i] == '\n' && at + (off_t)i + 1 < end && n-- <= 1)
				return at + (off_t)i + 1;
	}
	return 0;
}

static void print_new(int fd, struct buf *b)
{
	while (buf_read_fd(b, fd, 65536) > 0) {
		char *start = (char *)b->data, *nl;
		size_t left = b->len;

		while ((nl = memchr(start, '\n', left))) {
			print_line(start, (size_t)(nl - start));
			left -= (size_t)(nl + 1 - start);
			start = nl + 1;
		}
		buf_consume(b, b->len - left);
	}
	fflush(stdout);
}

int log_print(const char *path, int64_t tail, bool follow, int pidfd, struct err *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC), notify = -EBADF;

	if (fd < 0)
		return err_sys(err, errno, "log %s", path);
	if (tail >= 0)
		lseek(fd, tail ? tail_offset(fd, tail) : 0, tail ? SEEK_SET : SEEK_END);
	if (follow) {
		notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (notify < 0 || inotify_add_watch(notify, path, IN_MODIFY) < 0)
			return err_sys(err, errno, "watch %s", path);
	}
	for (;;) {
		struct pollfd p[] = { { notify, POLLIN, 0 }, { pidfd, POLLIN, 0 } };
		char events[4096];

		print_new(fd, &b);
		if (!follow)
			return 0;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(err, errno, "watch %s", path);
		while (read(notify, events, sizeof(events)) > 0)
			;
		if (p[1].revents) {
			print_new(fd, &b);
			return 0;
		}
	}
}

struct info {
	int32_t pid;
};

static const struct json_field info_fields[] = { JSON_FIELD(I32, struct info, pid, "pid", 0) };
static const struct json_type info_type = JSON_TYPE("info", struct info, info_fields);

static pid_t pid_of(const char *json)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct info i;

	return json && json_read(&info_type, json, strlen(json), &a, &i, NULL) == 0 ? i.pid : 0;
}

static int container_status(struct client *c, const char *id, Runtime__V1__ContainerStatusResponse **ret,
			    struct err *err)
{
	Runtime__V1__ContainerStatusRequest req = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

	req.container_id = (char *)id;
	req.verbose = true;
	return client_call(c, "RuntimeService/ContainerStatus", &req.base,
			   &runtime__v1__container_status_response__descriptor, ret, err);
}

int client_container_pid(struct client *c, const char *id, pid_t *ret, struct err *err)
{
	autopb Runtime__V1__ContainerStatusResponse *st = NULL;
	int r = container_status(c, id, &st, err);

	if (r < 0)
		return r;
	*ret = 0;
	for (size_t i = 0; i < st->n_info; i++)
		if (str_eq(st->info[i]->key, "info") &&
		    st->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING)
			*ret = pid_of(st->info[i]->value);
	return 0;
}

int cmd_logs(struct client *c, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' }, { "tail", required_argument, NULL, 'n' }, { 0 },
	};
	autopb Runtime__V1__ContainerStatusResponse *st = NULL;
	autofree char *id = NULL;
	autofd int pidfd = -EBADF;
	bool follow = false;
	int64_t tail = -1;
	pid_t pid = 0;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "fn:", options, NULL)) >= 0)
		if (opt == 'f')
			follow = true;
		else if (opt != 'n')
			return -EINVAL;
		else if (str_to_i64(optarg, 10, &tail) < 0)
			return err_set(err, ERR_INVALID, "--tail %s: not a number", optarg);
	if (argc - optind != 1)
		return -EINVAL;
	if ((r = client_find_container(c, argv[optind], &id, NULL, err)) < 0 ||
	    (r = container_status(c, id, &st, err)) < 0 || (r = client_container_pid(c, id, &pid, err)) < 0)
		return r;
	if (!pid || sys_pidfd_open(pid, &pidfd) < 0)
		follow = false;
	return log_print(st->status->log_path, tail, follow, pidfd, err);
}

/* ---- exec ---- */

int cmd_exec(struct client *c, int argc, char **argv, struct err *err)
{
	Runtime__V1__ExecSyncRequest req = RUNTIME__V1__EXEC_SYNC_REQUEST__INIT;
	autopb Runtime__V1__ExecSyncResponse *res = NULL;
	autofree char *id = NULL;
	int r;

	if (argc < 3)
		return -EINVAL;
	r = client_find_container(c, argv[1], &id, NULL, err);
	if (r < 0)
		return r;
	req.container_id = id;
	req.cmd = argv + 2;
	req.n_cmd = (size_t)argc - 2;
	r = client_call(c, "RuntimeService/ExecSync", &req.base,
			&runtime__v1__exec_sync_response__descriptor, &res, err);
	if (r < 0)
		return r;
	fwrite(res->stdout.data, 1, res->stdout.len, stdout);
	fwrite(res->stderr.data, 1, res->stderr.len, stderr);
	return res->exit_code & 0xff;
}

/* ---- explain ---- */

struct image_rootfs {
	char **diff_ids;
	size_t n_diff_ids;
};
struct image_spec {
	struct image_rootfs rootfs;
};
struct image_info {
	struct image_spec spec;
};

static const struct json_field rootfs_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct image_rootfs, diff_ids, "diff_ids", 0),
};
static const struct json_type rootfs_type = JSON_TYPE("rootfs", struct image_rootfs, rootfs_fields);
static const struct json_field spec_fields[] = {
	JSON_FIELD_OBJ(OBJ, struct image_spec, rootfs, "rootfs", 0, &rootfs_type),
};
static const struct json_type spec_type = JSON_TYPE("image", struct image_spec, spec_fields);
static const struct json_field image_info_fields[] = {
	JSON_FIELD_OBJ(OBJ, struct image_info, spec, "imageSpec", 0, &spec_type),
};
static const struct json_type image_info_type = JSON_TYPE("info", struct image_info, image_info_fields);

static void explain_image(struct client *c, const char *ref, struct buf *out)
{
	Runtime__V1__ImageStatusRequest req = RUNTIME__V1__IMAGE_STATUS_REQUEST__INIT;
	Runtime__V1__ImageSpec spec = RUNTIME__V1__IMAGE_SPEC__INIT;
	autopb Runtime__V1__ImageStatusResponse *res = NULL;
	CLEANUP(arena_done) struct arena a = ARENA_INIT;

	spec.image = (char *)ref;
	req.image = &spec;
	req.verbose = true;
	/* the image may have been removed under the container: that is allowed */
	if (client_call(c, "ImageService/ImageStatus", &req.base,
			&runtime__v1__image_status_response__descriptor, &res, NULL) < 0 || !res->image) {
		buf_printf(out, "image      %s (removed since)\n", ref);
		return;
	}
	buf_printf(out, "image      %s, %s\n", res->image->n_repo_tags ? res->image->repo_tags[0] : res->image->id,
		   cli_size(&a, res->image->size));
	for (size_t i = 0; i < res->n_info; i++) {
		struct image_info info;

		if (!str_eq(res->info[i]->key, "info") ||
		    json_read(&image_info_type, res->info[i]->value, strlen(res->info[i]->value), &a, &info, NULL) < 0)
			continue;
		for (size_t j = 0; j < info.spec.rootfs.n_diff_ids; j++)
			buf_printf(out, "  layer %zu  %s\n", j + 1, info.spec.rootfs.diff_ids[j]);
	}
}

int cmd_explain(struct client *c, int argc, char **argv, struct err *err)
{
	static const char *const states[] = { "created", "running", "exited", "unknown" };
	Runtime__V1__PodSandboxStatusRequest req = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;
	autopb Runtime__V1__PodSandboxStatusResponse *pod = NULL;
	autopb Runtime__V1__ContainerStatusResponse *st = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	autofree char *id = NULL, *pod_id = NULL;
	pid_t pid, anchor = 0;
	int r;

	if (argc != 2)
		return -EINVAL;
	if ((r = client_find_container(c, argv[1], &id, &pod_id, err)) < 0 ||
	    (r = container_status(c, id, &st, err)) < 0 || (r = client_container_pid(c, id, &pid, err)) < 0)
		return r;
	req.pod_sandbox_id = pod_id;
	req.verbose = true;
	r = client_call(c, "RuntimeService/PodSandboxStatus", &req.base,
			&runtime__v1__pod_sandbox_status_response__descriptor, &pod, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < pod->n_info; i++)
		if (str_eq(pod->info[i]->key, "info"))
			anchor = pid_of(pod->info[i]->value);
	buf_printf(&out, "container  %s (%s)\nstate      %s", st->status->metadata->name, id,
		   states[st->status->state & 3]);
	if (st->status->state == RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED)
		buf_printf(&out, ", code %d: %s %s", st->status->exit_code, st->status->reason, st->status->message);
	buf_printf(&out, "\npod        %s/%s, address %s\n", pod->status->metadata->namespace_,
		   pod->status->metadata->name,
		   pod->status->network && *pod->status->network->ip ? pod->status->network->ip : "the host's");
	buf_printf(&out, "log        %s\n", st->status->log_path);
	explain_image(c, st->status->image_ref, &out);
	if (pid) {
		buf_printf(&out, "process    %d\n\n", (int)pid);
		r = cli_explain(pid, anchor, &out, err);
		if (r < 0)
			return r;
	}
	return print_out(&out);
}
