/*
 * Addresses of an earlier boot. host-local writes one file an address, in a directory that outlives the
 * machine's boot, and takes it away at DEL. A power loss comes between the two, or leaves the
 * file and takes the record of the pod with it: then nobody ever gives the address back. No pod
 * outlives a boot, so at the first start in a new one all addresses of our own network are free.
 *
 * <data_dir>/boot says in which boot they were given out. Where it is missing nothing is known,
 * and nothing is removed.
 */
#include "cni/cni.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>

#define BOOT_FILE "boot"

static int remove_networks(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.' && !str_eq(e->d_name, BOOT_FILE))
			r = sys_remove_tree(dirfd, e->d_name);
	closedir(dir);
	return r;
}

int cni_leases_of_this_boot(const char *data_dir, struct err *err)
{
	const char *now = sys_boot_id();
	autofd int dir = -EBADF;
	char then[64];
	int r = sys_mkdir_p(data_dir, 0755);

	if (r < 0)
		return err_sys(err, r, "make %s", data_dir);
	dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "open %s", data_dir);
	if (sys_file_read_text(dir, BOOT_FILE, then, sizeof(then)) < 0)
		*then = '\0';
	if (str_eq(then, now))
		return 0;
	if (*then && (r = remove_networks(dir)) < 0)
		return err_sys(err, r, "remove addresses of the earlier boot from %s", data_dir);
	r = sys_file_replace(dir, BOOT_FILE, now, strlen(now), 0644, true);
	return r < 0 ? err_sys(err, r, "write %s/" BOOT_FILE, data_dir) : *then != '\0';
}
