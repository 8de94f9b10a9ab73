/*
 * What the files of this room share: the object, and the two tables of functions.
 *
 * struct cgroup_driver is how cgroups come and go: by mkdir (cgroup_driver_fs), or by
 * asking a manager that owns the tree. struct cgroup_ops is what differs between the two
 * kernel interfaces; a hybrid host uses both at once, each for its own hierarchies, so it
 * is chosen by hierarchy and never by host.
 */
#pragma once

#include "cgroup/cgroup.h"

struct cgroup {
	const struct cgroup_host *host;
	const struct cgroup_driver *driver;
	char *path;
	bool sub;                         /* lives in one hierarchy only */
	/* the systemd driver's: which unit, and who holds it while nobody else is inside */
	char *unit;
	bool unit_user, unit_fresh;
	int holder;                       /* pidfd or -EBADF */
	int dirs[CGROUP_HIERARCHIES_MAX]; /* O_PATH, -EBADF where it is not */
};

struct cgroup_driver {
	const char *name;
	/* directories in all hierarchies, cg->dirs filled; undone on failure */
	int (*make)(struct cgroup *cg, const struct cgroup_config *config, const struct cgroup_plan *plan,
		    struct err *err);
	/* before the files are written; fresh: by make's caller, for the first time. NULL: nothing */
	int (*apply)(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err);
	/* after the directories went away; NULL: nothing more to do */
	int (*unmake)(struct cgroup *cg, struct err *err);
};

struct cgroup_ops {
	int version;
	/* after mkdir of the last component: what makes it usable */
	int (*prepare)(const struct cgroup_host *host, size_t h, const char *directory,
		       const struct cgroup_plan *plan, struct err *err);
	int (*freeze)(int dir, bool frozen, int64_t deadline);
	int (*frozen)(int dir);
	void (*stats)(const struct cgroup *cg, size_t h, struct cgroup_stats *st);
	int (*oom_kills)(int dir, uint64_t *ret);
	int (*oom_watch)(int dir, int *ret_fd);
};

extern const struct cgroup_ops cgroup_v1, cgroup_v2;

/* stats.c: what both show alike; a counter of huge pages is read by the function given */
typedef int (*cgroup_counter_fn)(int dir, const char *prefix, struct cgroup_counter *ret);
void cgroup_stats_pids(int dir, struct cgroup_stats *st);
void cgroup_stats_hugetlb(int dir, cgroup_counter_fn counter, struct cgroup_stats *st);
/* stats-v1.c, stats-v2.c */
void cgroup_stats_v1(const struct cgroup *cg, size_t h, struct cgroup_stats *st);
void cgroup_stats_v2(const struct cgroup *cg, size_t h, struct cgroup_stats *st);

static inline const struct cgroup_ops *cgroup_ops_of(const struct cgroup_host *host, size_t h)
{
	return host->hierarchies[h].version == 2 ? &cgroup_v2 : &cgroup_v1;
}

/* host.c: "<mount>[<self>]<path>" into out, -ENAMETOOLONG when it does not fit */
enum { CGROUP_DIRECTORY_MAX = 4096 };
int cgroup_directory_text(const struct cgroup_host *host, size_t h, const char *path,
			  char out[CGROUP_DIRECTORY_MAX]);
/* the hierarchy that can freeze and so kill for certain, or -1; only where cg has a directory */
int cgroup_freezer_of(const struct cgroup *cg);

/* apply.c: what cgroup_apply does, without the driver's part; LIMIT when the memory limit is
 * to be below what is in use and the plan asks to check that */
int cgroup_apply_files(struct cgroup *cg, const struct cgroup_plan *plan, struct err *err);
int cgroup_check_usage(const struct cgroup *cg, const struct cgroup_plan *plan, struct err *err);
/* cgroup.c: directories in all hierarchies, taken back after a failure */
int cgroup_fs_make(struct cgroup *cg, const struct cgroup_config *config, const struct cgroup_plan *plan,
		   struct err *err);
/* systemd.c: lets go of the process that kept the unit from being empty */
void cgroup_unit_release(struct cgroup *cg);

/* walk.c */
typedef int (*cgroup_walk_fn)(int dir, void *user);
/* fn for dir and every directory below it, children first; stops at the first non-zero. */
int cgroup_walk(int dir, cgroup_walk_fn fn, void *user);
/* rmdir of `name` in parent and of what is below: -EBUSY when processes are in the way. */
int cgroup_remove_tree(const char *directory);

/* devices.c, bpf.c */
int cgroup_devices_apply(struct cgroup *cg, const struct cgroup_device *rules, size_t n, struct err *err);
int cgroup_bpf_devices(int dir, const struct cgroup_device *rules, size_t n);

/* text.c: "key value" lines of statistics into a struct, by table */
struct cgroup_key {
	const char *key;
	size_t offset;
	uint64_t times;
};
enum { CGROUP_KEYS_MAX = 16 };
void cgroup_text_keys(const char *text, const struct cgroup_key *keys, size_t n, void *out);
/* One number, "max" or v1's huge "no limit" is UINT64_MAX: 0 or -errno. */
int cgroup_text_number_of(const char *text, uint64_t *ret);
void cgroup_text_psi_of(const char *text, struct cgroup_psi *ret);
int cgroup_text_number(int dir, const char *file, uint64_t *ret);
int cgroup_text_psi(int dir, const char *file, struct cgroup_psi *ret);
/* the entry of a device in st->io, made when new; NULL when full */
struct cgroup_io_stats *cgroup_text_io(struct cgroup_stats *st, unsigned major, unsigned minor);
/* "prefix.usage_in_bytes", "prefix.max_usage_in_bytes"… of v1: 0, -errno when there is no usage */
int cgroup_text_counter(int dir, const char *prefix, struct cgroup_counter *ret);
/* "mlx5_0 hca_handle=2 hca_object=max": usage, or the limits */
void cgroup_text_rdma(int dir, const char *file, bool limits, struct cgroup_stats *st);
/* page sizes of this kernel as the hugetlb files spell them ("2MB"), read once */
size_t cgroup_page_sizes(const char (**ret)[16]);
