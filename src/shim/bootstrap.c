/*
 * The start and delete commands, as containerd (and our daemon) run them: a short-lived
 * process, one thread, that prints its answer on stdout.
 */
#include "shim/server.h"

#include "cgroup/cgroup.h"
#include "rpc/rpc.h"
#include "runtime/runtime.h"
#include "shim/mounts.h"
#include "shim/record.h"
#include "sys/sys.h"

#include "shim.pb-c.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define DEFAULT_STATE "/run/caisson/shim"
#define SOCKET_DIR "/run/caisson/s"
#define DEFAULT_RUNTIME_ROOT "/run/caisson-oci"

static char *state_dir_of(struct arena *a, const struct shim_options *o, const char *id)
{
	if (!str_empty(o->state_dir))
		return arena_strdup(a, o->state_dir);
	return arena_printf(a, "%s/%s/%s", DEFAULT_STATE, o->ns, id);
}

/* Short enough for sun_path of any client: beside the state, else by a hash of it. */
static char *address_of(struct arena *a, const char *state_dir)
{
	char *path = arena_printf(a, "%s/s", state_dir);
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return path;
	for (const char *p = state_dir; *p; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	return arena_printf(a, SOCKET_DIR "/%016llx", (unsigned long long)h);
}

/* The shim of that state directory, if it runs. */
static bool find_running(const char *state_dir, struct arena *a, struct shim_record *ret)
{
	autofd int pidfd = -EBADF;

	return record_read_shim(state_dir, a, ret, NULL) == 0 && str_eq(ret->boot_id, sys_boot_id()) &&
	       sys_pidfd_open_verified(ret->pid, ret->start_ticks, &pidfd) == 0 &&
	       sys_pidfd_exited(pidfd) == 0;
}

/* containerd's way to say that a container belongs to a pod: annotations of its config.json. */
static char *group_of(const char *bundle, struct arena *a)
{
	static const char *const keys[] = { "io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id" };
	CLEANUP(arena_done) struct arena doc = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX);
	struct oci_config config;
	const char *path = arena_printf(&doc, "%s/config.json", bundle);

	if (sys_file_read(AT_FDCWD, path, OCI_CONFIG_MAX, &text) < 0 ||
	    oci_config_read(text.data, text.len, &doc, &config, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value = oci_config_annotation(&config, keys[i]);

		if (value && str_is_id(value, 128))
			return arena_strdup(a, value);
	}
	return NULL;
}

static void print(const char *text)
{
	sys_write_all(STDOUT_FILENO, text, strlen(text));
}

/* The server: a session of its own, nothing of the caller but the listening socket. */
static _Noreturn void become_server(int listen_fd, const char *address, const struct shim_options *o,
				    const char *state_dir)
{
	char log[PATH_MAX];
	struct err err = ERR_INIT;
	int null, out, r;

	setsid();
	umask(022);
	if (chdir("/") < 0)
		_exit(1);
	prctl(PR_SET_NAME, "caisson-shim");
	snprintf(log, sizeof(log), "%s/shim.log", state_dir);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	out = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(out < 0 ? null : out, 2) < 0)
		_exit(1);
	if (listen_fd != 3) {
		if (dup3(listen_fd, 3, O_CLOEXEC) < 0)
			_exit(1);
		listen_fd = 3;
	}
	syscall(SYS_close_range, 4, ~0U, 0);
	malloc_trim(0);
	r = shim_serve(listen_fd, o, state_dir, &err);
	if (r < 0)
		log_error("%s", err.text);
	/* an orderly end leaves nothing to be found; a directory that was given is its giver's */
	unlink(address);
	snprintf(log, sizeof(log), "%s/shim.json", state_dir);
	unlink(log);
	if (r == 0 && str_empty(o->state_dir))
		sys_remove_tree(AT_FDCWD, state_dir);
	_exit(r < 0);
}

/* A directory or a link where the socket is to be; a socket that nobody listens on makes way by itself. */
static void clear_way(const char *address)
{
	struct stat st;

	if (lstat(address, &st) == 0 && !S_ISSOCK(st.st_mode))
		sys_remove_tree(AT_FDCWD, address);
}

int shim_command_start(const struct shim_options *o, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	autofd int fd = -EBADF;
	char cwd[PATH_MAX];
	const char *bundle = o->bundle, *id = o->id, *state_dir, *address;
	struct shim_record running;
	pid_t pid;
	int r;

	if (!str_is_id(id, 128))
		return err_set(err, ERR_INVALID, "-id %s: not an identifier", id ? id : "");
	if (str_empty(bundle) && !(bundle = getcwd(cwd, sizeof(cwd))))
		return err_sys(err, errno, "working directory");
	if (str_empty(o->state_dir)) {
		char *group = group_of(bundle, &a);

		if (group)
			id = group;
	}
	state_dir = state_dir_of(&a, o, id);
	if (find_running(state_dir, &a, &running)) {
		print(arena_printf(&a, "unix://%s", running.address));
		return 0;
	}
	address = address_of(&a, state_dir);
	r = sys_mkdir_p(state_dir, 0700);
	if (r == 0 && str_skip_prefix(address, SOCKET_DIR))
		r = sys_mkdir_p(SOCKET_DIR, 0700);
	if (r < 0)
		return err_sys(err, r, "make %s", state_dir);
	clear_way(address);
	r = rpc_listen(address, 0600, &fd, err);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_sys(err, errno, "fork");
	if (pid == 0)
		become_server(fd, address, o, state_dir);
	r = record_write_shim(state_dir, address, pid, err);
	if (r < 0) {
		kill(pid, SIGKILL);
		unlink(address);
		return r;
	}
	print(arena_printf(&a, "unix://%s", address));
	return 0;
}

/* ---- delete ---- */

static int print_deleted(const struct shim_exit *e, struct err *err)
{
	Containerd__Task__V2__DeleteResponse res = CONTAINERD__TASK__V2__DELETE_RESPONSE__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	int r;

	at.seconds = e->exited_at / NSEC_PER_SEC;
	at.nanos = (int32_t)(e->exited_at % NSEC_PER_SEC);
	res.pid = (uint32_t)e->pid;
	res.exit_status = (uint32_t)e->code;
	res.exited_at = &at;
	r = rpc_pb_pack(&res.base, &out, err);
	if (r == 0 && out.len)
		sys_write_all(STDOUT_FILENO, out.data, out.len);
	return r;
}

int shim_command_delete(const struct shim_options *o, struct err *err)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct shim_exit e = { .code = 128 + SIGKILL, .exited_at = time_now_real() };
	char cwd[PATH_MAX], *root = NULL;
	const char *bundle = o->bundle;
	int r;

	if (!str_is_id(o->id, 128))
		return err_set(err, ERR_INVALID, "-id %s: not an identifier", o->id ? o->id : "");
	if (str_empty(bundle) && !(bundle = getcwd(cwd, sizeof(cwd))))
		return err_sys(err, errno, "working directory");
	if (!str_empty(o->runtime_root))
		root = arena_strdup(&a, o->runtime_root);
	else if (record_read_root(bundle, &a, &root, NULL) < 0)
		root = arena_printf(&a, DEFAULT_RUNTIME_ROOT "/%s", o->ns);
	r = runtime_delete(root, o->id, true, err);
	if (r == 0)
		r = rootfs_unmount(bundle, err);
	if (r < 0)
		return r;
	shim_exit_read(bundle, &a, &e, NULL);
	/* the shim of this one container is gone with it; a pod's directory is its daemon's */
	if (str_empty(o->state_dir)) {
		char *dir = state_dir_of(&a, o, o->id);
		struct shim_record running;

		if (!find_running(dir, &a, &running)) {
			unlink(address_of(&a, dir));
			sys_remove_tree(AT_FDCWD, dir);
		}
	}
	return print_deleted(&e, err);
}
