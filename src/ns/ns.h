/*
 * ns — the namespaces of Linux and the id maps of user namespaces.
 *
 * One table holds the eight types; everything else is a loop over it. Nothing here knows
 * OCI: whoever has a document looks the type up by name.
 *
 *	parent: ns_type_find("network"), ns_open(path, NS_NET, &fd) for those that are joined;
 *	        sys_clone3(ns_flags(new) | …) for those that are made
 *	child:  ns_join(fd, NS_NET) [child], ns_loopback_up() [child]
 *	parent: ns_maps_write(pid, …) while a child in a new user namespace waits for its maps
 *
 * Returns -errno; the caller adds the noun. Hostile: paths given for namespaces (a path
 * may name anything; ns_open tells) and maps (ns_maps_check).
 *
 * Sources: namespaces(7), user_namespaces(7), time_namespaces(7), ioctl_ns(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order in which they are joined when all are: the mount namespace last, since
 * paths (procfs) are looked up in the old one until then; the user namespace is treated
 * apart, since who enters it gives up its rights over all others. */
enum ns_kind { NS_USER, NS_PID, NS_NET, NS_IPC, NS_UTS, NS_CGROUP, NS_TIME, NS_MNT, NS_KINDS };

struct ns_type {
	const char *name; /* of the OCI specification: "network", "mount" */
	const char *file; /* below /proc/<pid>/ns: "net", "mnt" */
	uint64_t flag;    /* CLONE_NEW* */
};

extern const struct ns_type ns_types[NS_KINDS];

/* The kind by OCI's name, or -EINVAL. */
int ns_type_find(const char *name);
/* CLONE_NEW* of a set of kinds (bits 1 << enum ns_kind). */
uint64_t ns_flags(unsigned kinds);

/* A descriptor of the namespace at path. -EINVAL: it is none, or of another type. */
int ns_open(const char *path, enum ns_kind kind, int *ret_fd);
/* The same of a process. */
int ns_open_pid(pid_t pid, enum ns_kind kind, int *ret_fd);
/* 1 when fd is the calling process's own namespace of that kind, else 0, -errno. */
int ns_is_own(int fd, enum ns_kind kind);

/* Whether the caller is in the user namespace that the kernel began with. */
bool ns_user_is_initial(void);

int ns_join(int fd, enum ns_kind kind); /* [child] */

/*
 * clone3 with a child that is born in other namespaces than the caller's, and is the caller's child
 * all the same; SIGCHLD tells of its end. The caller has one thread.
 */
struct ns_birth {
	const int *join; /* [NS_KINDS], -EBADF where it is the caller's; not NS_USER nor NS_MNT */
	uint64_t flags;  /* CLONE_NEW* */
	int cgroup_fd;   /* clone into that cgroup, or -EBADF */
	/*
	 * NULL, or called with a process between the two before there is a child: whatever is done
	 * to it, the child inherits. Negative: there will be no child, and that is returned.
	 */
	int (*admit)(pid_t between, void *user);
	void *user;
};

pid_t ns_clone(const struct ns_birth *birth, int *ret_pidfd);

struct ns_id_map {
	uint32_t inside, outside, size;
};

enum { NS_MAPS_MAX = 340 }; /* the kernel's bound */

/* -EINVAL: none or too many, an empty range, one that wraps or overlaps another on either
 * side, in *ret_at which. */
int ns_maps_check(const struct ns_id_map *maps, size_t n, size_t *ret_at);
/* The outside id of an inside one: 0 or -ENOENT. */
int ns_maps_find(const struct ns_id_map *maps, size_t n, uint32_t inside, uint32_t *ret_outside);

/* The uid maps of a process's user namespace as seen from ours: how many, at most NS_MAPS_MAX. */
int ns_maps_of(pid_t pid, struct ns_id_map maps[NS_MAPS_MAX]);

/* Writes uid_map and gid_map of a process that waits in its new user namespace.
 * `single`: the caller is not privileged: setgroups has to be denied first. */
int ns_maps_write(pid_t pid, const struct ns_id_map *uids, size_t n_uids, const struct ns_id_map *gids,
		  size_t n_gids, bool single);

/* A user namespace that has these maps and no process, for idmapped mounts. Forks. */
int ns_user_make(const struct ns_id_map *uids, size_t n_uids, const struct ns_id_map *gids, size_t n_gids,
		 int *ret_fd);

struct ns_time_offset {
	bool boottime; /* else monotonic */
	int64_t secs;
	uint32_t nanosecs;
};

/*
 * A new time namespace with these offsets, and the calling process in it. procfd is a
 * verified descriptor of a procfs that shows the caller. One thread only. [child]
 */
int ns_time_enter_new(int procfd, const struct ns_time_offset *offsets, size_t n);

/* Brings the interface "lo" of the caller's network namespace up. [child] */
int ns_loopback_up(void);

struct ns_device {
	char name[16]; /* there */
	bool moved, was_up;
};

/* Whether it can be the name of a network device, or a template ("eth%d"): 0 or -EINVAL. */
int ns_device_check_name(const char *name);
/*
 * Moves the device `name` of the network namespace from_ns to to_ns (-EBADF: the caller's) under
 * another name or the same, with the addresses of global scope that somebody set, and up where
 * asked. One thread only. -ENODEV: there is none; -EEXIST: the name is taken there. When it
 * fails behind the move, ret->moved says so.
 */
int ns_device_move(int from_ns, const char *name, int to_ns, const char *new_name, bool up,
		   struct ns_device *ret);
