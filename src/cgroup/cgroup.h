/*
 * cgroup — one container's control group, in every hierarchy of the host.
 *
 * cgroup v2 has one hierarchy, v1 one for each controller, and the hybrid layout both at
 * once: v1 controllers beside a v2 mount that has only some controllers or none. All of
 * them are one struct cgroup here: one path, one directory in each hierarchy.
 *
 *	CLEANUP(arena_done) struct arena a = ARENA_INIT;
 *	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
 *	struct cgroup_limits limits = { 0 };
 *	struct cgroup_plan plan;
 *	CLEANUP(cgroup_entry_done) struct cgroup_entry entry = CGROUP_ENTRY_INIT;
 *
 *	cgroup_limits_set(&limits, CGROUP_MEMORY_LIMIT, 64 << 20);
 *	cgroup_host_get(&host, err);                    // once a process, cached
 *	cgroup_plan(host, &limits, &a, &plan, err);     // checked; may be printed
 *	cgroup_create(host, &config, &plan, &cg, err);  // directories in all hierarchies
 *	cgroup_apply(cg, &plan, err);                   // the limits
 *	cgroup_entry_open(cg, &entry, err);
 *	pid = sys_clone3(flags, SIGCHLD, entry.clone_fd, &pidfd);
 *	... in the child:  cgroup_enter(&entry);        // [child], as late as it likes
 *
 * (systemd: cgroup_unit_parse, cgroup_unit_path, and cgroup_unit_limits after the plan.)
 * And later, from any process: cgroup_open, then cgroup_kill, cgroup_stats, cgroup_remove…
 *
 * Paths. "/kubepods/pod1/c1" is below the mount of each hierarchy; without a leading slash
 * it is below the caller's own cgroup, which may differ between v1 hierarchies. ".." and
 * control characters are refused.
 *
 * Context: any process, one thread at a time for one struct cgroup; functions marked
 * [child] may run between clone and exec. Everything blocks only as long as the kernel's
 * cgroup locks do, except where a deadline is given. Needs write access to cgroupfs.
 *
 * Errors: UNSUPPORTED names the controller that is not mounted and the limit that wanted
 * it; a refused value reads `cgroup memory: set memory.limit_in_bytes to 4096 in /a/b:
 * Device or resource busy`. NOT_FOUND only from cgroup_open, when no hierarchy has it.
 *
 * Hostile: the processes inside, which may fork without end, make sub-cgroups where they
 * are allowed to, and freeze themselves. Limits come from users and are validated here.
 *
 * Sources: cgroups(7), the kernel's admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */
#pragma once

#include "base/base.h"

#include <sys/types.h>

enum { CGROUP_HIERARCHIES_MAX = 24, CGROUP_PATH_MAX = 2048 };

enum cgroup_controller {
	CGROUP_CPU, CGROUP_CPUACCT, CGROUP_CPUSET, CGROUP_MEMORY, CGROUP_PIDS, CGROUP_IO /* blkio in v1 */,
	CGROUP_DEVICES, CGROUP_FREEZER, CGROUP_HUGETLB, CGROUP_NET_CLS, CGROUP_NET_PRIO, CGROUP_PERF_EVENT,
	CGROUP_RDMA, CGROUP_MISC,
	CGROUP_CONTROLLERS
};

/* ---- the host: what is mounted where ------------------------------------------------- */

enum cgroup_mode {
	CGROUP_V1,     /* v1 hierarchies only */
	CGROUP_HYBRID, /* v1 hierarchies and a v2 mount beside them */
	CGROUP_V2,     /* v2 only */
};

struct cgroup_hierarchy {
	int version;          /* 1 or 2 */
	char *name;           /* of /proc/self/cgroup: "memory", "cpu,cpuacct", "name=systemd", "" */
	char *mount;          /* "/sys/fs/cgroup/memory" */
	char *self;           /* the caller's own cgroup, below mount: "/", "/user.slice" */
	uint32_t controllers; /* 1 << enum cgroup_controller */
};

struct cgroup_host {
	enum cgroup_mode mode;
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX];
	size_t n_hierarchies;
	int8_t of[CGROUP_CONTROLLERS]; /* index of the hierarchy that has it, or -1 */
	int8_t v2;                     /* index of the v2 hierarchy, or -1 */
	int8_t processes;              /* the one whose process lists are believed */
};

/* Read once, then cached for the process (a mount made later is not seen). */
int cgroup_host_get(const struct cgroup_host **ret, struct err *err);

/* The pure part: the texts of /proc/self/mountinfo, /proc/self/cgroup and the root
 * cgroup.controllers of the v2 mount ("" when unknown). Strings live in the arena. */
int cgroup_host_parse(const char *mountinfo, const char *self_cgroup, const char *v2_controllers,
		      struct arena *a, struct cgroup_host *ret, struct err *err);

/* "v1", "hybrid", "v2". */
const char *cgroup_mode_name(enum cgroup_mode mode);
/* "memory"; blkio and io are one controller with a name a version. */
const char *cgroup_controller_name(enum cgroup_controller c, int version);

/* INVALID with the reason; "" and "/" are refused, since nobody's container is the root. */
int cgroup_path_check(const char *path, struct err *err);

/* Whether the caller may make this cgroup and move processes into it, in every hierarchy. */
bool cgroup_is_writable(const struct cgroup_host *host, const char *path);

/* ---- limits ---------------------------------------------------------------------------- */

enum cgroup_limit {
	/* values, in cgroup_limits.value[]. In brackets: what means "as it is". */
	CGROUP_CPU_SHARES,         /* v1 scale 2 … 262144 [0] */
	CGROUP_CPU_QUOTA,          /* microseconds in a period; -1 none [0] */
	CGROUP_CPU_PERIOD,         /* microseconds [0] */
	CGROUP_CPU_BURST,          /* microseconds */
	CGROUP_CPU_IDLE,           /* 0, 1 */
	CGROUP_CPU_RT_PERIOD,      /* microseconds, v1 [0] */
	CGROUP_CPU_RT_RUNTIME,     /* microseconds, v1 [0] */
	CGROUP_MEMORY_LIMIT,       /* bytes; -1 none [0] */
	CGROUP_MEMORY_SWAP,        /* bytes of memory + swap together, as in OCI; -1 none [0] */
	CGROUP_MEMORY_RESERVATION, /* bytes; -1 none [0] */
	CGROUP_MEMORY_KERNEL_TCP,  /* bytes, v1 [0] */
	CGROUP_MEMORY_SWAPPINESS,  /* 0 … 100, v1 */
	CGROUP_MEMORY_NO_OOM_KILL, /* 0, 1: v1 */
	CGROUP_PIDS_LIMIT,         /* -1 none [0] */
	CGROUP_IO_WEIGHT,          /* 10 … 1000 [0] */
	CGROUP_NET_CLASS_ID,       /* v1 [0] */
	/* the lists and texts of struct cgroup_limits: bits for `optional` only */
	CGROUP_CPUSET_CPUS, CGROUP_CPUSET_MEMS,
	CGROUP_IO_WEIGHT_DEVICE, CGROUP_IO_READ_BPS, CGROUP_IO_WRITE_BPS,
	CGROUP_IO_READ_IOPS, CGROUP_IO_WRITE_IOPS,
	CGROUP_HUGETLB_LIMIT, CGROUP_NET_PRIORITY, CGROUP_RDMA_LIMIT, CGROUP_UNIFIED, CGROUP_DEVICE_RULES,
	CGROUP_LIMITS,
	CGROUP_VALUES = CGROUP_CPUSET_CPUS
};

struct cgroup_io_limit {
	int64_t major, minor;
	uint64_t value;
};

struct cgroup_named_limit {
	const char *name; /* page size "2MB", RDMA device, network interface */
	uint64_t value;
};

struct cgroup_rdma_limit {
	const char *name;
	int64_t handles, objects; /* -1: not set */
};

struct cgroup_text {
	const char *file, *value; /* "memory.high": "max" */
};

enum { CGROUP_DEVICE_READ = 1, CGROUP_DEVICE_WRITE = 2, CGROUP_DEVICE_MKNOD = 4 };

struct cgroup_device {
	bool allow;
	char type;            /* 'a' all, 'b', 'c' */
	int64_t major, minor; /* -1: any */
	unsigned access;      /* CGROUP_DEVICE_*; for 'a' all three */
};

/* How CPU shares (2 … 262144) become cpu.weight (1 … 10000). */
enum cgroup_weight_curve {
	CGROUP_WEIGHT_LINEAR,    /* the line through both ends: 1024 → 39 */
	CGROUP_WEIGHT_QUADRATIC, /* through the defaults too, 1024 → 100: runc 1.3.2, crun 1.23 */
};

/* "linear", "quadratic": 0 or -EINVAL. */
int cgroup_weight_curve_find(const char *name, enum cgroup_weight_curve *ret);
int64_t cgroup_weight_of_shares(int64_t shares, enum cgroup_weight_curve curve);

/* Borrows everything. Zeroed it limits nothing. */
struct cgroup_limits {
	uint64_t set;      /* 1 << enum cgroup_limit: which of value[] are given */
	uint64_t optional; /* those (lists too) that are left out when the host lacks them */
	int64_t value[CGROUP_VALUES];
	const char *cpus, *mems; /* "0-3,5"; NULL or "": as it is */
	const struct cgroup_io_limit *io_weight_device;
	const struct cgroup_io_limit *io_read_bps, *io_write_bps, *io_read_iops, *io_write_iops;
	size_t n_io_weight_device, n_io_read_bps, n_io_write_bps, n_io_read_iops, n_io_write_iops;
	const struct cgroup_named_limit *hugetlb, *net_priority;
	size_t n_hugetlb, n_net_priority;
	const struct cgroup_rdma_limit *rdma;
	size_t n_rdma;
	const struct cgroup_text *unified; /* v2 files by name, written after all others */
	size_t n_unified;
	/* In order, a later rule wins over an earlier one. None at all: devices stay as they
	 * are (on creation: as the parent's). The usual "deny everything" first and the
	 * default devices belong to the caller. */
	const struct cgroup_device *devices;
	size_t n_devices;
	enum cgroup_weight_curve weight_curve; /* for CPU shares in v2 */
	bool check_before_update; /* refuse a memory limit below the present usage */
};

#define CGROUP_BIT(limit) (UINT64_C(1) << (limit))

static inline void cgroup_limits_set(struct cgroup_limits *l, enum cgroup_limit which, int64_t value)
{
	l->set |= CGROUP_BIT(which);
	l->value[which] = value;
}

/* Parses "rwm": 0 or -EINVAL. "" is none. */
int cgroup_device_access(const char *text, unsigned *ret);

/*
 * A plan: the limits as writes to files. Made without touching anything, so it can be
 * printed and tested without privilege. Writes of one group that the kernel refuses for
 * their order (memory against memory + swap) are tried again after the others of it.
 */
struct cgroup_write {
	int8_t hierarchy;       /* index in host->hierarchies */
	enum cgroup_limit limit;
	uint8_t controller;     /* enum cgroup_controller; CGROUP_CONTROLLERS for cgroup.* files */
	uint8_t group;          /* 0: by itself */
	unsigned flags;         /* CGROUP_WRITE_* */
	const char *file, *value;
};

enum {
	CGROUP_WRITE_OPTIONAL = 1,    /* a missing file or controller is no error */
	CGROUP_WRITE_KEEP_QUOTA = 2,  /* cpu.max with a period only: the quota is read first */
	CGROUP_WRITE_MISSING_OK = 4,  /* the file may lack where the kernel was built without it */
	CGROUP_WRITE_OR_NEXT = 8,     /* a missing file: the next write instead; done: skip that */
};

struct cgroup_plan {
	const struct cgroup_write *writes;
	size_t n_writes;
	const struct cgroup_device *devices;
	size_t n_devices;
	bool check_before_update;
	int64_t memory_limit;    /* for it; 0: not given */
	uint32_t v2_controllers; /* what must be enabled on the way down a v2 hierarchy */
	const struct cgroup_property *properties; /* cgroup_unit_limits; for the systemd driver */
	size_t n_properties;
};

/* Strings and lists are copied to the arena where they are not literals. */
int cgroup_plan(const struct cgroup_host *host, const struct cgroup_limits *limits, struct arena *a,
		struct cgroup_plan *ret, struct err *err);

/* ---- systemd's units ----------------------------------------------------------------------- */

/*
 * Where systemd owns the tree a container's cgroup is a unit that systemd makes on request:
 * a transient scope, with the limits as its properties, so that they hold when systemd
 * looks at the unit again (daemon-reload). What has no property is written to the files
 * afterwards, as everywhere else; `Delegate` makes that allowed.
 */
struct cgroup_property {
	const char *name; /* "CPUWeight" */
	const char *type; /* its D-Bus signature: one of b i u t s ay as a(ss) */
	uint64_t number;  /* b i u t */
	const char *text; /* s */
	const uint8_t *bytes;
	size_t n_bytes;           /* ay */
	const char *const *texts; /* as; of a(ss) two an element */
	size_t n_texts;
};

struct cgroup_unit {
	const char *name;        /* "caisson-web.scope" */
	const char *slice;       /* "machine.slice"; "-.slice" is the root */
	const char *description; /* what systemctl shows */
	bool user;               /* the user's own systemd, not the system's */
	const struct cgroup_property *properties; /* further ones, which the user asked for */
	size_t n_properties;
};

/*
 * "slice:prefix:name" as engines give it in cgroupsPath; NULL or "" is
 * "<default>:caisson:<id>". The scope is prefix-name.scope; a name that ends in .slice is
 * taken as it is. INVALID with the reason. Strings are in the arena or literals.
 */
int cgroup_unit_parse(const char *path, const char *id, bool user, struct arena *a, struct cgroup_unit *ret,
		      struct err *err);

/* "a-b-c.slice" → "/a.slice/a-b.slice/a-b-c.slice"; "-.slice" → "". INVALID. */
int cgroup_slice_path(const char *slice, struct arena *a, char **ret, struct err *err);

/*
 * The property of an annotation: `name` is what follows "org.systemd.property.", the value
 * is in GVariant's text form, as runc and crun take it: true, 5, uint64 5, 'text',
 * ['a', 'b']. Names that end in Sec are seconds and become USec. Only what changes nothing
 * but the end and the order of this very unit is allowed: DENIED names any other.
 */
int cgroup_property_parse(const char *name, const char *text, struct arena *a, struct cgroup_property *ret,
			  struct err *err);

/* The limits as properties, in the arena; what systemd does not know is left out. Pure. */
int cgroup_unit_limits(const struct cgroup_host *host, const struct cgroup_limits *limits, struct arena *a,
		       struct cgroup_plan *plan, struct err *err);

/* Where systemd will put the unit, below each hierarchy's root. Asks systemd. UNAVAILABLE
 * when it does not run or cannot be reached. */
int cgroup_unit_path(const struct cgroup_unit *unit, struct arena *a, char **ret, struct err *err);

/* Stops a unit, waits until it has, and forgets that it failed. One that is not there is no
 * error. */
int cgroup_unit_stop(const char *name, bool user, struct err *err);

/* ---- create, open, apply ----------------------------------------------------------------- */

struct cgroup;
struct cgroup_driver;

/* Where cgroups are made: directly in cgroupfs, or by systemd (which needs a unit, and does
 * everything else as the first). */
extern const struct cgroup_driver cgroup_driver_fs, cgroup_driver_systemd;

struct cgroup_config {
	const char *path;
	const struct cgroup_driver *driver; /* NULL: cgroup_driver_fs */
	const struct cgroup_unit *unit;     /* for cgroup_driver_systemd; path is cgroup_unit_path's */
	bool allow_populated;  /* an existing cgroup with processes in it may be joined */
	uid_t owner;           /* gets the delegated files (cgroup.procs…) of a v2 cgroup; -1: nobody */
};

#define CGROUP_CONFIG_INIT { .owner = (uid_t)-1 }

/*
 * Makes the directory in every hierarchy, and what is missing above it; enables v2
 * controllers on the way down, fills an empty v1 cpuset from its parent. An existing
 * cgroup is used as it is when no process is in it, else EXISTS. plan may be NULL. After a
 * failure what this call made is removed.
 */
int cgroup_create(const struct cgroup_host *host, const struct cgroup_config *config,
		  const struct cgroup_plan *plan, struct cgroup **ret, struct err *err);

/* An existing one; NOT_FOUND when no hierarchy has it. Parts may be missing, half removed
 * cgroups included: whatever works then, works. */
int cgroup_open(const struct cgroup_host *host, const char *path, struct cgroup **ret, struct err *err);
/* The same of one that systemd made; unit->name and user are enough. */
int cgroup_open_unit(const struct cgroup_host *host, const char *path, const struct cgroup_unit *unit,
		     struct cgroup **ret, struct err *err);

/*
 * A sub-cgroup for one exec, made if it is missing: `name` below cg, in the one hierarchy
 * by which all its processes can be killed (v2, else the freezer). Everything else stays
 * the container's, so it costs one directory and not one in each hierarchy. Where the
 * kernel does not allow one (a threaded v2 cgroup): UNSUPPORTED.
 */
int cgroup_create_sub(const struct cgroup *cg, const char *name, struct cgroup **ret, struct err *err);
/*
 * One that is there already, by its path below cg ("a/b"): in the hierarchies of these controllers
 * ("cpu,memory"), or NULL: in all that cg is in. *ret is added to where it is not NULL. NOT_FOUND:
 * there is none in one of them. INVALID: no such controller, or a path that leads out of cg.
 */
int cgroup_open_sub(const struct cgroup *cg, const char *controllers, const char *path, struct cgroup **ret,
		    struct err *err);
/* A directory of v2 becomes a user's to manage, as the container's own does where it has one. */
int cgroup_give(const struct cgroup *cg, uint32_t owner, struct err *err);

void cgroup_free(struct cgroup *cg); /* the object, not the cgroup */
static inline void cgroup_freep(struct cgroup **cg)
{
	cgroup_free(*cg);
}

const char *cgroup_path(const struct cgroup *cg);
const struct cgroup_host *cgroup_host_of(const struct cgroup *cg);
/* The absolute directory in a hierarchy, in the arena; NULL when it is not there. */
char *cgroup_directory(const struct cgroup *cg, size_t hierarchy, struct arena *a);

/* Writes a plan into a cgroup that was just made: after a failure it is to be removed. */
int cgroup_apply(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err);
/* The same for a cgroup in use: all of the plan's writes or none; what was written before the
 * one that the kernel refused gets its former value back. Device rules come last. */
int cgroup_update(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err);

/* ---- processes ----------------------------------------------------------------------------- */

/*
 * Entering. A process that moves itself, thread by thread, needs no system-wide lock and
 * no RCU wait, which moving another process does (several milliseconds on v1). So the
 * parent opens the files and the child, which has one thread, writes to them.
 *
 * clone_fd is the v2 directory for CLONE_INTO_CGROUP, -EBADF where there is no v2: pass it
 * to sys_clone3, or leave that and set enter_v2, then cgroup_enter moves there as well
 * (dearer, but memory is charged to the container only from then on).
 */
struct cgroup_entry {
	int clone_fd;
	bool enter_v2;
	size_t n;
	int fds[CGROUP_HIERARCHIES_MAX];
	int v2_fd;
	const char *names[CGROUP_HIERARCHIES_MAX]; /* of the hierarchies, for errors; the host's */
};

#define CGROUP_ENTRY_INIT { .clone_fd = -EBADF, .v2_fd = -EBADF }

/* With a sub-cgroup: sub's directory where it has one, cg's elsewhere; sub may be NULL. */
int cgroup_entry_open(const struct cgroup *cg, const struct cgroup *sub, struct cgroup_entry *ret,
		      struct err *err);
void cgroup_entry_done(struct cgroup_entry *e);
/* [child], with one thread. 0, or -errno with the hierarchy's index in *ret_at (may be NULL). */
int cgroup_enter(const struct cgroup_entry *e, size_t *ret_at);

/* For one more move, later: a process that writes "0" is in. v2. */
int cgroup_procs_open(const struct cgroup *cg, int *ret_fd, struct err *err);

/* Moves another process, all its threads, into every hierarchy. */
int cgroup_add_pid(struct cgroup *cg, pid_t pid, struct err *err);

/*
 * Has systemd move another process there, or into sub: it can from where the kernel refuses the
 * caller, who is outside of what is delegated to its user. Only a unit's cgroup can_attach.
 */
bool cgroup_can_attach(const struct cgroup *cg);
int cgroup_attach(struct cgroup *cg, const struct cgroup *sub, pid_t pid, struct err *err);

/* All processes at this moment, sub-cgroups included, each once, ascending. Heap. At most
 * CGROUP_PIDS_MAX; more are not returned. Pid 0 (not visible in our pid namespace) is left out. */
enum { CGROUP_PIDS_MAX = 1 << 20 };
int cgroup_pids(const struct cgroup *cg, pid_t **ret, size_t *ret_n, struct err *err);

/* 1 when any process is inside (zombies do not count on v2), 0 when none or removed, -errno. */
int cgroup_populated(const struct cgroup *cg);

/*
 * A descriptor on which poll(2) reports POLLPRI when "populated" may have changed
 * (cgroup.events) since it was last read; UNSUPPORTED on pure v1. Ask cgroup_populated after each event.
 */
int cgroup_events_open(const struct cgroup *cg, int *ret_fd, struct err *err);

/*
 * sig to every process, sub-cgroups included. SIGKILL leaves nobody behind, whatever they
 * fork meanwhile, and thaws what was frozen; the deaths themselves are not waited for.
 */
int cgroup_kill(struct cgroup *cg, int sig, struct err *err);

/* SIGKILL to all sub-cgroups of cgroup_create_sub whose name begins so, which are removed then. */
int cgroup_kill_subs(const struct cgroup *cg, const char *prefix, struct err *err);

/* Waits until empty: 0, or TIMEOUT after the monotonic deadline. */
int cgroup_wait_empty(struct cgroup *cg, int64_t deadline, struct err *err);

/* Waits until the kernel says that it is done, TIMEOUT after the deadline (then undone). */
int cgroup_freeze(struct cgroup *cg, bool frozen, int64_t deadline, struct err *err);
/* 1 frozen, 0 not, -errno. */
int cgroup_frozen(const struct cgroup *cg);

/*
 * Removes the directories in all hierarchies, sub-cgroups first. Retries while the kernel
 * says EBUSY (the dead are still being counted) until the deadline. kill: what is still
 * inside is killed first, as often as needed. What is gone already is success.
 */
int cgroup_remove(struct cgroup *cg, bool kill, int64_t deadline, struct err *err);
/*
 * The same of what nearly always is left of a container whose processes have ended: empty directories, which
 * nothing has to be opened for. path begins with "/". -EBUSY and whatever else: a part may be left, and
 * cgroup_open and cgroup_remove are for it.
 */
int cgroup_remove_empty(const struct cgroup_host *host, const char *path);

/* ---- what the kernel says --------------------------------------------------------------------- */

enum {
	CGROUP_HAVE_CPU = 1, CGROUP_HAVE_MEMORY = 2, CGROUP_HAVE_SWAP = 4, CGROUP_HAVE_PIDS = 8,
	CGROUP_HAVE_IO = 16, CGROUP_HAVE_PSI = 32, CGROUP_HAVE_HUGETLB = 64, CGROUP_HAVE_THROTTLING = 128,
	CGROUP_HAVE_RDMA = 256, CGROUP_HAVE_MISC = 512, CGROUP_HAVE_KERNEL_MEMORY = 1024,
	CGROUP_HAVE_KERNEL_TCP = 2048, CGROUP_HAVE_MEMORY_EVENTS = 4096,
};

struct cgroup_psi {
	double some_avg10, some_avg60, some_avg300, full_avg10, full_avg60, full_avg300;
	uint64_t some_total_usec, full_total_usec;
};

struct cgroup_io_stats {
	uint32_t major, minor;
	uint64_t read_bytes, write_bytes, read_ops, write_ops;
	uint64_t discard_bytes, discard_ops;
};

/* A thing that is counted against a limit; `failures`: how often it ran into it. */
struct cgroup_counter {
	uint64_t usage, peak, limit, failures;
};

struct cgroup_hugetlb_stats {
	char page_size[16];
	uint64_t usage, peak, limit, failures;
	struct cgroup_counter reserved; /* by mmap, before the first touch (since 5.7) */
};

struct cgroup_rdma_stats {
	char device[64];
	uint64_t handles, handles_limit, objects, objects_limit;
};

struct cgroup_misc_stats {
	char name[32]; /* "sev", "res_a" */
	struct cgroup_counter counter;
};

enum {
	CGROUP_IO_DEVICES_MAX = 32, CGROUP_PAGE_SIZES_MAX = 8, CGROUP_RDMA_DEVICES_MAX = 16,
	CGROUP_MISC_MAX = 8
};

/* UINT64_MAX in a limit: none. What a kernel does not count stays 0. */
struct cgroup_stats {
	unsigned have; /* CGROUP_HAVE_* */
	uint64_t cpu_usage_nsec, cpu_user_nsec, cpu_system_nsec;
	uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_nsec;
	uint64_t cpu_bursts, cpu_burst_nsec;
	uint64_t memory_usage, memory_peak, memory_limit;
	uint64_t memory_working_set; /* usage without inactive file pages: what the kubelet evicts by */
	uint64_t memory_rss, memory_cache, memory_mapped_file, memory_kernel;
	uint64_t memory_active_anon, memory_inactive_anon, memory_active_file, memory_inactive_file;
	uint64_t page_faults, major_page_faults, memory_failures;
	/* v2, HAVE_MEMORY_EVENTS: how often each boundary was met */
	uint64_t memory_low_events, memory_high_events, memory_max_events, oom_events;
	uint64_t oom_kills;
	uint64_t swap_usage, swap_peak, swap_limit; /* swap alone, not memory + swap */
	struct cgroup_counter memory_and_swap;      /* v1, HAVE_SWAP */
	/* v1, of a meter: the least of its own limit and those above it, 0 when not asked for */
	uint64_t memory_limit_least, memory_and_swap_limit_least;
	struct cgroup_counter kernel, kernel_tcp;   /* v1 */
	uint64_t pids, pids_peak, pids_limit, pids_failures;
	struct cgroup_io_stats io[CGROUP_IO_DEVICES_MAX];
	size_t n_io;
	struct cgroup_psi psi_cpu, psi_memory, psi_io;
	struct cgroup_hugetlb_stats hugetlb[CGROUP_PAGE_SIZES_MAX];
	size_t n_hugetlb;
	struct cgroup_rdma_stats rdma[CGROUP_RDMA_DEVICES_MAX];
	size_t n_rdma;
	struct cgroup_misc_stats misc[CGROUP_MISC_MAX];
	size_t n_misc;
};

/* One pass over what is there: a controller that is missing leaves its bit in `have` unset. */
int cgroup_stats(const struct cgroup *cg, struct cgroup_stats *ret, struct err *err);

/*
 * The figures that are asked for again and again (CPU time, memory, swap, processes, pressure)
 * from files that stay open, for a tenth of what opening them costs. Only what is wanted of
 * CGROUP_HAVE_CPU, MEMORY, SWAP, PIDS and PSI is read; v1 has SWAP only together with MEMORY. The rest of
 * the struct stays 0. Any thread, several at a time. Of a cgroup that is gone: NOT_FOUND.
 */
struct cgroup_meter;

int cgroup_meter_open(const struct cgroup_host *host, const char *path, struct cgroup_meter **ret,
		      struct err *err);
int cgroup_meter_read(const struct cgroup_meter *m, unsigned want, struct cgroup_stats *ret, struct err *err);
void cgroup_meter_free(struct cgroup_meter *m);

/*
 * What only a detailed report wants, one list a call, in the arena. A host or kernel
 * without it gives an empty list and no error.
 */
struct cgroup_named_value {
	const char *name;
	uint64_t value;
};

/* memory.stat, all lines in the kernel's order and with its names. */
int cgroup_memory_details(const struct cgroup *cg, struct arena *a, struct cgroup_named_value **ret,
			  size_t *ret_n, struct err *err);

struct cgroup_cpu_usage {
	uint64_t usage_nsec, user_nsec, system_nsec;
};

/* v1: by CPU number. v2 does not count by CPU: empty. */
int cgroup_cpu_details(const struct cgroup *cg, struct arena *a, struct cgroup_cpu_usage **ret,
		       size_t *ret_n, struct err *err);

enum cgroup_io_table {
	CGROUP_IO_SERVICE_BYTES, CGROUP_IO_SERVICED, CGROUP_IO_QUEUED, CGROUP_IO_SERVICE_TIME,
	CGROUP_IO_WAIT_TIME, CGROUP_IO_MERGED, CGROUP_IO_TIME, CGROUP_IO_SECTORS,
	CGROUP_IO_TABLES
};

struct cgroup_io_entry {
	enum cgroup_io_table table;
	uint32_t major, minor;
	const char *op; /* "Read", "Write", "Sync", "Async", "Discard", "Total"; "" in TIME and SECTORS */
	uint64_t value;
};

/* v1: the scheduler's counters where it has some, else the throttling layer's (the first two
 * tables only). v2: the first two, from io.stat. */
int cgroup_io_details(const struct cgroup *cg, struct arena *a, struct cgroup_io_entry **ret, size_t *ret_n,
		      struct err *err);

/* How often the OOM killer struck inside since the cgroup was made. */
int cgroup_oom_kills(const struct cgroup *cg, uint64_t *ret, struct err *err);
/*
 * A non-blocking descriptor that has *ret_events (of poll, and epoll's are the same) when that number may
 * have grown, and when the cgroup goes away: drain it with cgroup_watch_drain, then ask cgroup_oom_kills.
 * v1: an eventfd, POLLIN. v2: memory.events itself, POLLPRI: no inotify, of which a user has 128 by default.
 */
int cgroup_oom_watch(const struct cgroup *cg, int *ret_fd, short *ret_events, struct err *err);
/* -ENODEV: the cgroup is gone, and the descriptor will say so for ever: no longer watch it. */
int cgroup_watch_drain(int fd);

/*
 * When the cgroup is gone its counters are too: cgroup_oom_kills fails. The kernel's log still has
 * it. cgroup_oom_log_open begins to listen (it needs CAP_SYSLOG where dmesg_restrict is set);
 * cgroup_oom_logged then counts the kills in cg since, or since it was asked last. init: the
 * container's first process, which is recognised even where the kernel logs so many kills that it
 * leaves out the rest.
 */
int cgroup_oom_log_open(int *ret_fd);
int cgroup_oom_logged(const struct cgroup *cg, int log, pid_t init, uint64_t *ret, struct err *err);

/* A record of that log. Pure; anywhere: the path may begin further down. */
enum cgroup_oom_record {
	CGROUP_OOM_OTHER,
	CGROUP_OOM_INSIDE,      /* a process of the cgroup, or below it, is chosen */
	CGROUP_OOM_INSIDE_INIT, /* and that is init */
	CGROUP_OOM_INIT,        /* init is killed, without a word about its cgroup */
};
enum cgroup_oom_record cgroup_oom_parse(const char *record, const char *path, bool anywhere, pid_t init);

/* Which files hold its limits now: read back from the kernel. */
struct cgroup_setting {
	const char *controller, *directory, *file, *value;
};
int cgroup_settings(const struct cgroup *cg, struct arena *a, struct cgroup_setting **ret, size_t *ret_n,
		    struct err *err);
