/*
 * CVE-2019-5736: a container that gets hold of the runtime's own file through /proc, as
 * /proc/<pid>/exe of a process that is about to become the container's, or by naming
 * /proc/self/exe as its program, as a script's interpreter or as an ELF's loader, and then
 * writes to it, owns the host.
 *
 * All these ways end at one link, and that link leads to the mount that the program was
 * executed from. So the program is executed from a clone of its own mount that is detached
 * (in no mount table, nobody can remount it) and read-only: opening it for writing is EROFS
 * for everybody, whatever its capabilities. No byte is copied, the page cache is shared; it
 * costs one execve of a static program.
 */
#include "runtime/runtime.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

extern char **environ;

/* A program executed by descriptor is named after its number. */
static void name_self(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	prctl(PR_SET_NAME, slash ? slash + 1 : argv0 ? argv0 : "caisson");
}

int runtime_protect_self(char **argv)
{
	autofd int fd = -EBADF;
	struct statfs fs;

	/* no /proc: nothing inside could show us either, and nothing can be done here */
	if (statfs("/proc/self/exe", &fs) < 0)
		return 0;
	if (fs.f_flags & ST_RDONLY) {
		name_self(argv[0]);
		return 0;
	}
	if (sys_clone_tree(AT_FDCWD, "/proc/self/exe", 0, &fd) < 0 ||
	    sys_mount_setattr(fd, 0, MOUNT_ATTR_RDONLY, 0, 0, -EBADF) < 0)
		return 0;
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	return -errno;
}
