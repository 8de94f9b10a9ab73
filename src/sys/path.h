/*
 * Walking paths that somebody else controls.
 *
 * A container's rootfs, an image layer and a volume are hostile: any component may be a
 * symbolic link, and may become one between two calls. So nothing is looked up twice and
 * nothing is checked by name: each walk is one openat2(2) from a descriptor of the root,
 * and what follows uses the descriptor that came back.
 *
 *   sys_open_in       links are followed as if root were "/" (RESOLVE_IN_ROOT): how a
 *                     process inside would see it. Magic links (/proc/x/fd/y) are refused.
 *   sys_open_beneath  no symbolic link in any component, nothing above root: for trees
 *                     whose shape we own ourselves (a layer being unpacked).
 *
 * A leading "/" in path means root. "" and "/" open the root itself. -EXDEV or -ELOOP says
 * that the path tried to leave. Both are retried on -EAGAIN (a rename raced with "..").
 */
#pragma once

#include <sys/types.h>

int sys_open_in(int rootfd, const char *path, int flags, mode_t mode, int *ret_fd);      /* [child] */
int sys_open_beneath(int rootfd, const char *path, int flags, mode_t mode, int *ret_fd); /* [child] */

/*
 * Makes the directory and all that is missing above it, links followed as in sys_open_in,
 * and returns an O_PATH descriptor of it. New directories get `mode`, no umask applied to
 * what exists already. A dangling link on the way: its target is made, inside root.
 */
int sys_mkdir_in(int rootfd, const char *path, mode_t mode, int *ret_fd); /* [child] */

/* The same, then an empty regular file as the last component if nothing is there: the
 * target of a bind mount of a file. O_PATH descriptor. */
int sys_mkfile_in(int rootfd, const char *path, mode_t dir_mode, mode_t mode, int *ret_fd); /* [child] */

/* mkdir -p for paths that only root can write (the program's own directories). */
int sys_mkdir_p(const char *path, mode_t mode);

/*
 * Removes a tree below dirfd without following links and without crossing into another
 * mount. A missing tree is success. Needs no descriptor for each level: depth is bounded
 * only by memory.
 */
int sys_remove_tree(int dirfd, const char *name);

/* "/proc/self/fd/N", for the calls that only take a path. */
enum { SYS_FD_PATH_MAX = 32 };
char *sys_fd_path(int fd, char out[SYS_FD_PATH_MAX]); /* [child] */
