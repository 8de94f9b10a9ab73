/* What create and exec share on the caller's side. */
#include "runtime/parent.h"

#include "ns/ns.h"
#include "runtime/hook.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum { FILTER_MAX = 65535 };

struct admission {
	struct cgroup *cg;
	const struct cgroup *sub;
	struct err *err;
};

static int admit(pid_t between, void *user)
{
	struct admission *a = user;

	return cgroup_attach(a->cg, a->sub, between, a->err);
}

/*
 * Into a cgroup of v2 the kernel lets go only who may write to what both places have in common: not
 * from a login session to what belongs to the user's systemd. That one may ask the system's to move
 * a process there, and so the child is born of one that was moved.
 */
pid_t parent_clone(const int *join, uint64_t flags, struct cgroup *cg, const struct cgroup *sub,
		   const struct cgroup_entry *entry, int *ret_pidfd, struct err *err)
{
	struct ns_birth birth = { .join = join, .flags = flags, .cgroup_fd = entry->clone_fd };
	struct err refused = ERR_INIT;
	struct admission a = { cg, sub, &refused };
	pid_t pid = ns_clone(&birth, ret_pidfd);

	if (pid == -EACCES && entry->clone_fd >= 0 && cgroup_can_attach(cg)) {
		birth.cgroup_fd = -EBADF;
		birth.admit = admit;
		birth.user = &a;
		pid = ns_clone(&birth, ret_pidfd);
	}
	if (pid < 0 && refused.kind) {
		err_set(err, refused.kind, "%s", refused.text);
		return err_wrap(err, pid, "clone into the container's cgroup, from outside of what is delegated "
				"to the caller's user");
	}
	if (pid == -EACCES && entry->clone_fd >= 0)
		return err_sys(err, pid, "clone into the container's cgroup: the caller is outside of what is "
			       "delegated to its user (try systemd-run --user --scope)");
	return pid < 0 ? err_sys(err, pid, "clone") : pid;
}

int parent_open_proc(int *ret, struct err *err)
{
	autofd int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return err_sys(err, errno, "/proc");
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, ERR_UNSUPPORTED, "/proc is not a procfs");
	*ret = take_fd(&fd);
	return 0;
}

struct shared_filter *parent_share_filter(void)
{
	void *p = mmap(NULL, sizeof(struct shared_filter) + FILTER_MAX * sizeof(struct sock_filter),
		       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void parent_unshare_filter(struct shared_filter *f)
{
	if (f)
		munmap(f, sizeof(struct shared_filter) + FILTER_MAX * sizeof(struct sock_filter));
}

int parent_fill_filter(struct shared_filter *to, const struct sec_filter *from, struct err *err)
{
	to->n = from->n;
	to->flags = from->flags | (from->notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
	memcpy(to->insns, from->insns, from->n * sizeof(*from->insns));
	return 0;
}

void parent_give_streams(pid_t pid, uid_t uid)
{
	struct ns_id_map maps[NS_MAPS_MAX];
	uint32_t owner = uid;
	struct stat st;
	int n;

	if (pid) {
		n = ns_maps_of(pid, maps);
		if (n < 0 || ns_maps_find(maps, (size_t)n, uid, &owner) < 0)
			return;
	}
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_uid != owner && st.st_uid == geteuid())
			/* one on a read-only file system stays as it is */
			(void)!fchown(fd, owner, (gid_t)-1);
}

static int connect_to(const char *path, const char *noun, int *ret, struct err *err)
{
	autofd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(a.sun_path))
		return err_sys(err, ENAMETOOLONG, "%s %s", noun, path);
	memcpy(a.sun_path, path, strlen(path));
	if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(err, errno, "%s %s", noun, path);
	*ret = take_fd(&sock);
	return 0;
}

int parent_pass_pidfd(const char *path, int pidfd, struct err *err)
{
	static const char noun[] = "annotations: run.oci.pidfd_receiver:";
	autofd int sock = -EBADF;
	int r = connect_to(path, noun, &sock, err);

	if (r < 0)
		return r;
	r = sys_send_fds(sock, "0", 1, &pidfd, 1);
	return r < 0 ? err_sys(err, r, "%s %s: send the pidfd", noun, path) : 0;
}

int parent_pass_listener(const struct record *record, enum record_status status, pid_t pid, int fd,
			 struct err *err)
{
	static char *names[] = { (char *)"seccompFd" };
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 << 20);
	struct oci_process_state s = { .oci_version = record->oci_version, .fds = names, .n_fds = 1, .pid = pid,
				       .metadata = record->listener_metadata };
	const char *path = record->listener_path;
	autofd int sock = -EBADF;
	int r;

	if (fd < 0 || !path)
		return err_set(err, ERR_INTERNAL, "seccomp: a listener that nobody asked for");
	record_oci_state(record, status, &s.state);
	if (!s.state.pid)
		s.state.pid = pid;
	r = json_write(&oci_process_state_type, &s, 0, &text, err);
	if (r < 0)
		return r;
	r = connect_to(path, "linux.seccomp.listenerPath", &sock, err);
	if (r < 0)
		return r;
	r = sys_send_fds(sock, text.data, text.len, &fd, 1);
	return r < 0 ? err_sys(err, r, "linux.seccomp.listenerPath %s: send the listener", path) : 0;
}

int parent_await_program(const struct record *record, int pidfd, int sock, struct err *err)
{
	for (;;) {
		autofd int fd = -EBADF;
		size_t n_fds = 1;
		struct sync_msg m;
		int r = sync_recv(sock, &m, &fd, &n_fds);

		if (r == -EPIPE)
			return 0;
		if (r < 0)
			return err_sys(err, r, "start");
		if (m.type != SYNC_LISTENER)
			return parent_child_error(&m, 0, -EBADF, err);
		r = parent_pass_listener(record, RECORD_CREATED, record->pid, fd, err);
		if (r < 0) {
			/* its filter is loaded and nobody would ever answer */
			sys_pidfd_signal(pidfd, SIGKILL);
			return r;
		}
	}
}

int parent_poststart(const struct record *record, int pidfd, struct hooks_output *output, struct err *err)
{
	struct oci_state state;
	int r;

	if (!record->hooks)
		return 0;
	record_oci_state(record, RECORD_RUNNING, &state);
	r = hooks_output_open(record->annotations, record->n_annotations, output, err);
	if (r == 0)
		r = hooks_run(record->hooks->poststart, record->hooks->n_poststart, "poststart", &state, output, err);
	if (r < 0)
		sys_pidfd_signal(pidfd, SIGKILL);
	return r;
}

int parent_set_oom_score(pid_t pid, const int32_t *value, struct err *err)
{
	char path[48], text[16], now[16] = "?";
	int r;

	if (!value)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	snprintf(text, sizeof(text), "%d", *value);
	r = sys_file_write(AT_FDCWD, path, text);
	if (r == -EACCES) {
		sys_file_read_text(AT_FDCWD, path, now, sizeof(now));
		runtime_warn("process.oomScoreAdj: %d needs CAP_SYS_RESOURCE, which is missing: it stays %s",
			     *value,
			     now);
		return 0;
	}
	return r < 0 ? err_sys(err, r, "set oom_score_adj to %d", *value) : 0;
}

int parent_child_error(const struct sync_msg *m, int r, int pidfd, struct err *err)
{
	int status = 0;

	if (r == 0 && m->type == SYNC_ERROR) {
		*err = m->err;
		return err->number ? -err->number : -EIO;
	}
	if (r == 0)
		return err_set(err, ERR_INTERNAL, "unexpected message %u of the container's process",
			       m->type);
	if (r == -EPIPE && pidfd >= 0 && sys_pidfd_wait(pidfd, &status) == 0 && WIFSIGNALED(status))
		return err_set(err, WTERMSIG(status) == SIGKILL ? ERR_LIMIT : ERR_INTERNAL,
			       "the container's process was killed by signal %d%s", WTERMSIG(status),
			       WTERMSIG(status) == SIGKILL ? " (is the memory limit too low?)" : "");
	return err_sys(err, r, "the container's process went away");
}

int parent_write_pid_file(const char *path, pid_t pid, struct err *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)pid), r;

	if (!path)
		return 0;
	r = sys_file_replace(AT_FDCWD, path, text, (size_t)n, 0644, false);
	return r < 0 ? err_sys(err, r, "write pid file %s", path) : 0;
}
