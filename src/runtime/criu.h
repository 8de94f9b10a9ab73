/*
 * CRIU, which takes a tree of processes apart into files and puts it together again (inner
 * header). It is a program that somebody installed; here it is only asked.
 *
 *   criu-wire.c   its requests and replies as bytes, and what it complains of in a log: pure
 *   criu.c        one `criu swrk` run: request, notifications, reply, what its log says
 *   images.c      what we keep beside CRIU's own images, and which mounts are external
 *   checkpoint.c, restore.c   the two public calls
 *
 * Facts: criu(8), images/rpc.proto of CRIU (its documented interface, protocol buffers over
 * a SOCK_SEQPACKET pair, one message a packet).
 */
#pragma once

#include "base/base.h"
#include "runtime/runtime.h"

/* ---- messages ---- */

enum criu_type { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_PRE_DUMP = 4, CRIU_NOTIFY = 6 };

/* Numbers of the members of criu_opts, by CRIU's names. */
enum criu_option {
	CRIU_IMAGES_DIR_FD = 1, CRIU_PID = 2, CRIU_LEAVE_RUNNING = 3, CRIU_EXT_UNIX_SK = 4,
	CRIU_TCP_ESTABLISHED = 5, CRIU_EVASIVE_DEVICES = 6, CRIU_SHELL_JOB = 7, CRIU_FILE_LOCKS = 8,
	CRIU_LOG_LEVEL = 9, CRIU_LOG_FILE = 10, CRIU_PS = 11, CRIU_NOTIFY_SCRIPTS = 12, CRIU_ROOT = 13,
	CRIU_PARENT_IMG = 14, CRIU_TRACK_MEM = 15, CRIU_AUTO_DEDUP = 16, CRIU_WORK_DIR_FD = 17,
	CRIU_LINK_REMAP = 18, CRIU_EXT_MNT = 23, CRIU_MANAGE_CGROUPS = 24, CRIU_CG_ROOT = 25,
	CRIU_RST_SIBLING = 26, CRIU_INHERIT_FD = 27, CRIU_EXT_MASTERS = 30, CRIU_MANAGE_CGROUPS_MODE = 34,
	CRIU_EXTERNAL = 37, CRIU_EMPTY_NS = 38, CRIU_JOIN_NS = 39, CRIU_FREEZE_CGROUP = 44,
	CRIU_TCP_SKIP_IN_FLIGHT = 46, CRIU_LAZY_PAGES = 48, CRIU_STATUS_FD = 49,
	CRIU_ORPHAN_PTS_MASTER = 50, CRIU_CONFIG_FILE = 51, CRIU_TCP_CLOSE = 52, CRIU_LSM_PROFILE = 53,
	CRIU_LSM_MOUNT_CONTEXT = 63, CRIU_NETWORK_LOCK = 64, CRIU_MNTNS_COMPAT_MODE = 65,
};

/* A request's options as they are put together. An option that does not fit is remembered in
 * `r`, and the request then fails as a whole. */
struct criu_opts {
	struct buf b;
	int r;
};

#define CRIU_OPTS_INIT { .b = BUF_INIT(1 << 20) }

void criu_put_int(struct criu_opts *o, enum criu_option which, uint64_t value);
void criu_put_flag(struct criu_opts *o, enum criu_option which, bool value); /* false: left out */
void criu_put_text(struct criu_opts *o, enum criu_option which, const char *value); /* NULL: left out */
/* Options that are messages of two texts, or of a text and a number. */
void criu_put_pair(struct criu_opts *o, enum criu_option which, const char *key, const char *value);
void criu_put_pair_int(struct criu_opts *o, enum criu_option which, const char *key, uint64_t value);

int criu_request(enum criu_type type, const struct criu_opts *opts, struct buf *out);
/* The answer to a notification. */
int criu_request_go_on(struct buf *out);

struct criu_reply {
	enum criu_type type;
	bool success;
	int32_t pid;       /* restored, or of a notification */
	char script[32];   /* "post-restore": the notification's name */
	char message[256]; /* why it failed, where CRIU says it */
};

/* 0 or -EINVAL. Pure. */
int criu_reply_parse(const void *data, size_t len, struct criu_reply *ret);

/*
 * The lines of a log in which CRIU complains, joined by "; ": the first two, which say the cause, and the last
 * two, which say what came of it. out is "" where there is none, and ends with "..." where size (4 at least) is too small.
 * Each line of a log begins with the time, which is left out. Pure; the text is hostile.
 */
void criu_complaints(const char *log, char *out, size_t size);

/* ---- one run ---- */

enum { CRIU_KEEP_MAX = 24 };

struct criu_call {
	const char *program; /* NULL: "criu" of PATH */
	enum criu_type type;
	struct criu_opts *opts;
	const char *action;  /* "dump": for texts */
	const char *log;     /* name of the log in work_dir */
	int work_dir;
	int keep[CRIU_KEEP_MAX]; /* descriptors that CRIU refers to by number */
	size_t n_keep;
	uint64_t clone_flags;
	/* In CRIU's process before it is executed; NULL for nothing. [child] */
	int (*before)(void *user, struct err *err);
	/* For each notification; fd: the descriptor that came with it, or -EBADF. NULL: none asked for. */
	int (*notify)(void *user, const struct criu_reply *reply, int fd, struct err *err);
	void *user;
};

int criu_run(const struct criu_call *call, struct criu_reply *ret, struct err *err);

/* Keeps fd open for CRIU: its number. */
int criu_keep(struct criu_call *call, int fd);

/* ---- beside the images ---- */

/* caisson.json: what a restore has to know and CRIU's images don't say. */
struct images_info {
	int32_t version;
	char **mounts; /* mount points of what came from outside */
	size_t n_mounts;
	bool has_terminal;
};

enum { IMAGES_STDIO = 3 };

int images_info_write(int dir, const struct images_info *info, struct err *err);
/* 0, or 1 where there is none: images of another runtime. */
int images_info_read(int dir, struct arena *a, struct images_info *ret, struct err *err);
/* descriptors.json, as other runtimes have it: what descriptors 0, 1 and 2 were. */
int images_stdio_write(int dir, char *const links[IMAGES_STDIO], struct err *err);
int images_stdio_read(int dir, struct arena *a, char *ret[IMAGES_STDIO], struct err *err);

/*
 * Which mounts of a container came from outside: those whose device the host has mounted
 * too, but for the root itself. Both texts are of /proc/<pid>/mountinfo. Pure.
 */
int images_external_mounts(const char *container, const char *host, struct arena *a, char ***ret,
			   size_t *ret_n);
/* Whether a mount of that id is in the text. Pure. */
bool images_has_mount(const char *mountinfo, int id);

/* The images' and the log's directory, made where they are missing. */
int images_open(const struct runtime_images *images, int *ret_images, int *ret_work, struct err *err);
/* What dump and restore have in common. */
int images_options(const struct runtime_images *images, struct criu_call *call, int images_fd,
		   const char *config_file, struct err *err);
