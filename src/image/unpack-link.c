/*
 * Hard links to files that lie in layers below. What they are is not known here, so an empty
 * file holds the place; later entries may replace, remove or link to it as to any other, and
 * its inode tells in the end whether it is still there. image/linked.c fills it.
 */
#include "image/unpack-file.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

static int remember(struct unpack *u, const char *name, char *target, uint64_t inode)
{
	struct unpack_result *res = u->result;
	char *path;
	int r = unpack_real_path(u, u->parent_fd, name, &path);

	if (r < 0)
		return unpack_failed(u, r, "its place");
	if ((res->n_links & (res->n_links - 1)) == 0)
		res->links = mem_grow(res->links, res->n_links ? 2 * res->n_links : 1, sizeof(*res->links));
	res->links[res->n_links++] = (struct unpack_link){ path, target, inode, false };
	return unpack_bound_names(u);
}

/* Has this layer hidden what lies below at the path? Then the link leads nowhere. */
static int hidden(struct unpack *u, const char *path)
{
	char part[PATH_MAX], name[SYS_FD_PATH_MAX], value[4];

	for (const char *end = path; *end; end++) {
		autofd int fd = -EBADF;
		struct stat st;
		int r;

		end += strcspn(end, "/");
		memcpy(part, path, (size_t)(end - path));
		part[end - path] = '\0';
		r = sys_open_in(u->root, part, O_PATH | O_NOFOLLOW, 0, &fd);
		if (r < 0)
			return r == -ENOENT || r == -ENOTDIR ? 0 : r;
		if (fstat(fd, &st) < 0)
			return -errno;
		if (unpack_is_whiteout(&st) || (*end && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) ||
		    (S_ISDIR(st.st_mode) &&
		     getxattr(sys_fd_path(fd, name), "trusted.overlay.opaque", value, sizeof(value)) > 0))
			return 1;
		if (!*end)
			break;
	}
	return 0;
}

int unpack_link_later(struct unpack *u, const char *name, const char *target, int dir)
{
	const char *slash = strrchr(target, '/');
	char *at = arena_strdup(&u->result->arena, target), *path;
	struct stat st;
	bool shadow;
	int r = 0;

	if (!*target)
		return unpack_refuse(u, "a hard link to the root");
	/* its directory is here: where it really is, is where the file is below */
	if (dir >= 0)
		r = unpack_real_path(u, dir, slash ? slash + 1 : target, &at);
	if (r == 0)
		r = unpack_real_path(u, u->parent_fd, name, &path);
	if (r == 0)
		r = hidden(u, at);
	if (r < 0)
		return unpack_failed(u, r, "the target of the hard link");
	if (r > 0 || str_eq(at, path))
		return err_set(u->err, ERR_INVALID,
			       "entry \"%.300s\": a hard link to \"%.300s\", which is not there", u->entry,
			       target);
	r = unpack_clear_place(u, name, &shadow);
	if (r < 0)
		return r;
	if (mknodat(u->parent_fd, name, S_IFREG | 0600, 0) < 0 ||
	    fstatat(u->parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return unpack_failed(u, errno, "hold the place of a hard link");
	u->result->inodes++;
	return remember(u, name, at, st.st_ino);
}

int unpack_link_again(struct unpack *u, const char *name, uint64_t inode)
{
	const struct unpack_result *res = u->result;

	for (size_t i = 0; i < res->n_links; i++)
		if (res->links[i].inode == inode)
			return remember(u, name, res->links[i].target, inode);
	return 0;
}
