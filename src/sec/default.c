/*
 * The profile RuntimeDefault, as a table.
 *
 * It allows what programs in containers need and what the kernel itself keeps apart by
 * namespace or capability, and refuses what reaches the host: keyrings, the kernel's
 * modules, clocks, swap, new namespaces. A row with a capability holds only for containers
 * that have it, since the kernel then asks for it anyway. Runs in the parent.
 */
#include "sec/seccomp.h"

#include "base/base.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/socket.h>

#define NEW_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
	 CLONE_NEWNET)

static const char *const always[] = {
	"accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget", "capset",
	"chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64", "clock_getres",
	"clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
	"clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup",
	"dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat",
	"exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate",
	"fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat",
	"fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr",
	"fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
	"ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",
	"futimesat", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid",
	"geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername",
	"getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32",
	"getresuid", "getresuid32", "getrlimit", "get_robust_list", "getrusage", "getsid", "getsockname",
	"getsockopt", "get_thread_area", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr",
	"getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
	"io_cancel", "ioctl", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64",
	"ioprio_get", "ioprio_set", "io_setup", "io_submit", "ipc", "kill", "landlock_add_rule",
	"landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link",
	"linkat", "listen", "listmount", "listxattr", "listxattrat", "llistxattr", "_llseek",
	"lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack",
	"membarrier", "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat",
	"mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify",
	"mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64",
	"mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock",
	"munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open",
	"openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc",
	"pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv",
	"preadv2", "prlimit64", "process_mrelease", "process_vm_readv", "process_vm_writev", "pselect6",
	"pselect6_time64", "ptrace", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
	"readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
	"remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
	"restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
	"sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
	"sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
	"semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg",
	"sendto", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
	"setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid",
	"setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit",
	"set_robust_list", "setsid", "setsockopt", "set_thread_area", "set_tid_address", "setuid",
	"setuid32", "setxattr", "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown",
	"sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair",
	"splice", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat",
	"sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create",
	"timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
	"timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime",
	"timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit", "umask", "uname",
	"unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimensat_time64", "utimes", "vfork",
	"vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
	/* of one architecture each; unknown to the others and left out there */
	"arch_prctl", "modify_ldt", "arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2",
	"breakpoint", "cacheflush", "set_tls", "riscv_flush_icache", "riscv_hwprobe", "s390_pci_mmio_read",
	"s390_pci_mmio_write", "s390_runtime_instr", "swapcontext",
};

/* Personalities that do not loosen the protection of memory. */
static const uint64_t personalities[] = {
	0x0, 0x8 /* LINUX32 */, 0x20000 /* UNAME26 */, 0x20008, 0xffffffff /* asks */,
};

enum { NAMES_ROW = 24 };

static const struct {
	int cap;
	const char *names[NAMES_ROW];
} by_cap[] = {
	{ CAP_DAC_READ_SEARCH, { "open_by_handle_at" } },
	{ CAP_SYS_ADMIN, { "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen",
			   "fspick", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
			   "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname",
			   "sethostname", "setns", "syslog", "umount", "umount2", "unshare" } },
	{ CAP_SYS_BOOT, { "reboot" } },
	{ CAP_SYS_CHROOT, { "chroot" } },
	{ CAP_SYS_MODULE, { "delete_module", "init_module", "finit_module" } },
	{ CAP_SYS_PACCT, { "acct" } },
	{ CAP_SYS_PTRACE, { "kcmp", "pidfd_getfd", "process_madvise" } },
	{ CAP_SYS_RAWIO, { "iopl", "ioperm" } },
	{ CAP_SYS_TIME, { "settimeofday", "stime", "clock_settime", "clock_settime64" } },
	{ CAP_SYS_TTY_CONFIG, { "vhangup" } },
	{ CAP_SYS_NICE, { "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node" } },
	{ CAP_SYSLOG, { "syslog" } },
	{ CAP_BPF, { "bpf" } },
	{ CAP_PERFMON, { "perf_event_open" } },
};

static const char *const clone_name[] = { "clone" }, *const clone3_name[] = { "clone3" };
static const char *const socket_name[] = { "socket" }, *const personality_name[] = { "personality" };

/* Clone with any flag that makes a namespace needs CAP_SYS_ADMIN, or hides behind
 * CLONE_NEWUSER; s390 has its first two arguments the other way round. */
#ifdef __s390x__
enum { CLONE_FLAGS_AT = 1 };
#else
enum { CLONE_FLAGS_AT = 0 };
#endif
static const struct sec_arg no_namespaces = { CLONE_FLAGS_AT, SEC_OP_MASKED_EQ, NEW_NAMESPACES, 0 };
/* the hypervisor's sockets know no network namespaces */
static const struct sec_arg no_vsock = { 0, SEC_OP_NE, AF_VSOCK, 0 };

#if defined(__x86_64__)
static const uint32_t arches[] = { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32 };
#elif defined(__aarch64__)
static const uint32_t arches[] = { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM };
#elif defined(__s390x__)
static const uint32_t arches[] = { SCMP_ARCH_S390X, SCMP_ARCH_S390 };
#else
static const uint32_t *const arches = NULL;
#define NO_ARCHES
#endif

static struct sec_rule allow(const char *const *names, size_t n, const struct sec_arg *args, size_t n_args)
{
	return (struct sec_rule){ names, n, SEC_ACT_ALLOW, -1, args, n_args };
}

void sec_seccomp_default(uint64_t caps, struct arena *a, struct sec_seccomp *ret)
{
	enum { FIXED = 4 };
	struct sec_rule *rules =
		arena_new(a, FIXED + ARRAY_LEN(personalities) + ARRAY_LEN(by_cap), sizeof(*rules));
	struct sec_arg *persona = arena_new(a, ARRAY_LEN(personalities), sizeof(*persona));
	size_t n = 0;

	rules[n++] = allow(always, ARRAY_LEN(always), NULL, 0);
	rules[n++] = allow(socket_name, 1, &no_vsock, 1);
	for (size_t i = 0; i < ARRAY_LEN(personalities); i++) {
		persona[i] = (struct sec_arg){ 0, SEC_OP_EQ, personalities[i], 0 };
		rules[n++] = allow(personality_name, 1, &persona[i], 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(by_cap); i++) {
		size_t names = 0;

		if (!(caps & UINT64_C(1) << by_cap[i].cap))
			continue;
		while (names < NAMES_ROW && by_cap[i].names[names])
			names++;
		rules[n++] = allow(by_cap[i].names, names, NULL, 0);
	}
	if (!(caps & UINT64_C(1) << CAP_SYS_ADMIN)) {
		rules[n++] = allow(clone_name, 1, &no_namespaces, 1);
		/* its flags are in memory, out of a filter's sight; ENOSYS makes the C library use clone */
		rules[n++] = (struct sec_rule){ clone3_name, 1, SEC_ACT_ERRNO, ENOSYS, NULL, 0 };
	}
	*ret = (struct sec_seccomp){
		.default_action = SEC_ACT_ERRNO,
		.default_errno_ret = EPERM,
		.arches = arches,
#ifndef NO_ARCHES
		.n_arches = ARRAY_LEN(arches),
#endif
		.rules = rules,
		.n_rules = n,
	};
}
