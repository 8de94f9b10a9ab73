/*
 * What the daemon asks of the machine before it serves: kernel, limits, its state directory
 * for itself alone, and the two programs that it starts.
 */
#include "prog/caissond/daemon.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum { KERNEL_MAJOR = 5, KERNEL_MINOR = 14 };

int host_check_kernel(struct err *err)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) < 0)
		return err_sys(err, errno, "uname");
	if (sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return 0; /* a name of somebody's own: what is missing will say so itself */
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "kernel %s is too old: %d.%d or newer is needed", u.release, KERNEL_MAJOR,
		       KERNEL_MINOR);
}

void host_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			log_warn("raise the number of open files to %llu: %s", (unsigned long long)limit.rlim_max,
				 strerror(errno));
	}
	/* each thread would get an arena of its own, and its memory would stay there */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

int host_take_state(const char *state, int *ret_lock, struct err *err)
{
	CLEANUP(buf_done) struct buf path = BUF_INIT(PATH_MAX), pid = BUF_INIT(32);
	char other[32] = "unknown";
	autofd int fd = -EBADF;
	int r;

	r = sys_mkdir_p(state, 0711);
	if (r < 0)
		return err_sys(err, r, "make the state directory %s", state);
	if (buf_printf(&path, "%s/caissond.lock", state) < 0)
		return err_sys(err, ENAMETOOLONG, "state directory %s", state);
	fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && (errno == EISDIR || errno == ELOOP)) {
		/* a directory or a link in its place, which nobody can have locked */
		log_warn("%s is damaged (it is no file) and made again", buf_text(&path));
		if (sys_remove_tree(AT_FDCWD, buf_text(&path)) == 0)
			fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (fd < 0)
		return err_sys(err, errno, "open %s", buf_text(&path));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(err, errno, "lock %s", buf_text(&path));
		sys_file_read_text(AT_FDCWD, buf_text(&path), other, sizeof(other));
		return err_set(err, ERR_STATE, "another caissond (pid %s) runs on the state directory %s", other, state);
	}
	buf_printf(&pid, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid.data, pid.len, 0) < 0)
		return err_sys(err, errno, "write %s", buf_text(&path));
	*ret_lock = take_fd(&fd);
	return 0;
}

int host_find_program(const char *name, const char *configured, struct arena *a, char **ret, struct err *err)
{
	char self[PATH_MAX];
	ssize_t n;
	char *slash;

	if (!str_empty(configured)) {
		if (access(configured, X_OK) < 0)
			return err_sys(err, errno, "%s", configured);
		*ret = arena_strdup(a, configured);
		return 0;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(err, errno, "read /proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	const char *const candidates[] = {
		arena_printf(a, "%s/%s", self, name),                    /* side by side */
		arena_printf(a, "%s/../libexec/caisson/%s", self, name), /* bin and libexec of one prefix */
		arena_printf(a, "%s/../%s/%s", self, name, name),        /* a build tree */
		arena_printf(a, "%s/%s", CAISSON_LIBEXECDIR, name),
	};
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		struct stat st;
		char path[PATH_MAX];

		if (!realpath(candidates[i], path) || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		    access(path, X_OK) < 0)
			continue;
		*ret = arena_strdup(a, path);
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "%s is neither beside this program (%s), nor in ../libexec/caisson, nor in %s",
		       name, self, CAISSON_LIBEXECDIR);
}
