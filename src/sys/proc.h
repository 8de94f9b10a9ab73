/*
 * Processes: made by clone3, held by pidfd, told apart by start time and boot id.
 *
 * A pid alone names nobody: it is reused. What is kept over time is a pidfd, or in a
 * record (pid, start time, boot id), from which sys_pidfd_open_verified makes a pidfd
 * again or says -ESRCH.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <sched.h>
#include <sys/types.h>

/*
 * clone3(2) without a stack of its own (fork semantics): 0 in the child, pid in the
 * parent, -errno. ret_pidfd may be NULL; cgroup_fd < 0 for none (CLONE_INTO_CGROUP needs
 * a v2 directory). The child of a threaded program may use only [child] functions.
 */
pid_t sys_clone3(uint64_t flags, int exit_signal, int cgroup_fd, int *ret_pidfd);

int sys_pidfd_open(pid_t pid, int *ret_fd);
int sys_pidfd_signal(int pidfd, int sig); /* [child] */

/* Field 22 of /proc/<pid>/stat, in clock ticks since boot: 0 or -ESRCH. */
int sys_proc_start_time(pid_t pid, uint64_t *ret_ticks);

/* A pidfd of the very process that had this start time: -ESRCH when it is gone. */
int sys_pidfd_open_verified(pid_t pid, uint64_t start_ticks, int *ret_fd);

/* Waits for the exit of a child by its pidfd: wait status in *ret_status. */
int sys_pidfd_wait(int pidfd, int *ret_status);

/* 1 when the process behind pidfd has exited (zombies included), 0 when alive, -errno. */
int sys_pidfd_exited(int pidfd);

/*
 * The wait status of a process that has exited, for who is not its parent. While it is a zombie
 * its stat file tells (any kernel); once somebody else has reaped it, the pidfd does, on Linux
 * 6.15 and later, if it was opened before. -EAGAIN: it runs; -ENODATA: it is over, and nobody
 * can say how any more.
 */
int sys_pidfd_status(int pidfd, pid_t pid, uint64_t start_ticks, int *ret_status);

/* A duplicate of a descriptor of another process, which must be of ours to trace: pidfd_getfd(2). */
int sys_pidfd_getfd(int pidfd, int fd, int *ret_fd);

/* "/proc/sys/kernel/random/boot_id": 36 characters, read once. */
enum { SYS_BOOT_ID_LEN = 36 };
const char *sys_boot_id(void);
