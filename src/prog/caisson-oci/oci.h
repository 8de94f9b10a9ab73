/*
 * caisson-oci's own header: options by tables, one function a command.
 *
 * The command line is runc's, since engines and people's scripts speak it: options are
 * taken before and after the id, short and long, with "=" or a space. Process: one thread;
 * `run` and `exec` in the foreground wait for the container's process (foreground.c).
 */
#pragma once

#include "base/base.h"
#include "runtime/runtime.h"

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_INT };

struct option_list {
	const char **values;
	size_t n;
};

struct option {
	const char *name; /* "pid-file" */
	char letter;      /* 'b', or 0 */
	enum option_kind kind;
	void *to;         /* bool, const char *, struct option_list, int */
	const char *help; /* "FILE\twhat it does": the part before the tab stands for the value */
};

struct global {
	const char *program; /* as it was called: "caisson-oci" */
	const char *root, *log, *log_format, *log_level, *cgroup_manager, *rootless, *criu;
	bool debug, no_pivot, systemd_cgroup, help, version;
	const struct option *options; /* the global ones */
	size_t n_options;
	struct arena arena;
};

struct command {
	const char *name, *arguments, *help;
	/* exit status, or negative with err */
	int (*run)(struct global *g, int argc, char **argv, struct err *err);
	int failure; /* exit status of its own failure */
};

extern const struct command commands[];
extern const size_t n_commands;

/*
 * Takes the options out of argv; what is left are *ret_words. most: once so many words were
 * seen the rest belongs to them, dashes and all (the command of exec); -1: no such bound.
 * "--" ends the options. `--help` prints and exits.
 */
int options_parse(const struct command *c, const struct option *options, size_t n, int argc, char **argv,
		  int most,
		  struct arena *a, char ***ret_words, size_t *ret_n, struct err *err);
/* Until it is called with NULL, options_parse only tells fn of its table and fails. */
void options_listen(void (*fn)(const struct option *options, size_t n, void *user), void *user);
/* The same for a command that takes exactly one container id. */
int options_id(const struct command *c, const struct option *options, size_t n, int argc, char **argv,
	       struct arena *a, const char **ret_id, struct err *err);
void options_help(const struct command *c, const struct option *options, size_t n);

const struct command *command_find(const char *name);

/* Where errors and warnings go: --log, --log-format, --log-level. */
/* journald or syslog, by a datagram. "journald:NAME", "syslog:NAME": 1 and a socket; 0: something else. */
int log_socket_open(const char *where, const char **ret_name, int *ret_fd, struct err *err);
void log_socket_write(int fd, const char *name, const char *level, const char *text);
int report_open(struct global *g, struct err *err);
void report(const char *level, const char *text);
void report_fatal(const struct global *g, const char *command, const struct err *err);

/* Absolute, since records outlive our working directory. NULL: the working directory. */
int bundle_path(struct global *g, const char *bundle, const char **ret, struct err *err);
/* Reads config.json for `what` already now: whether it asks for a terminal has to be known before it is
 * created. */
int bundle_read(struct runtime_create *what, struct runtime_config *config, bool *ret_terminal,
		struct err *err);
/* Connects to --console-socket: INVALID without a path. */
int console_connect(const char *path, int *ret, struct err *err);

/* Appends the statistics of a container whose first process is pid, as one JSON object. */
struct cgroup;
int stats_put(struct buf *b, const struct cgroup *cg, pid_t pid, struct err *err);

/* --pidfd-socket; nothing without a path, and without a socket. kind: "standard" or "setns". */
int pidfd_connect(const char *path, int *ret, struct err *err);
int pidfd_send(int sock, pid_t pid, const char *kind, struct err *err);

/* A process in the foreground: its terminal, its signals, its exit status. */
struct foreground {
	int receiver; /* our end of the console socket, or -EBADF */
	int sender;   /* the end for the runtime */
	int signals;
};

#define FOREGROUND_INIT { -EBADF, -EBADF, -EBADF }

/* Before the process is made: blocks the signals that are passed on, makes the socket. */
int foreground_init(struct foreground *f, bool terminal, struct err *err);
/* Until pid exits: its exit status as a shell gives it. */
int foreground_wait(struct foreground *f, pid_t pid, struct err *err);
void foreground_done(struct foreground *f);

/* Options that checkpoint and restore share; names: what --empty-ns was given. */
#define IMAGES_OPTIONS(i, names)                                                                           \
	{ "image-path", 0, OPTION_TEXT, &(i).path, "DIR\tthe checkpoint (default: checkpoint)" },          \
	{ "work-path", 0, OPTION_TEXT, &(i).work_path, "DIR\tCRIU's log (default: the image path)" },       \
	{ "tcp-established", 0, OPTION_FLAG, &(i).tcp_established, "with open TCP connections" },           \
	{ "ext-unix-sk", 0, OPTION_FLAG, &(i).ext_unix_sk, "with Unix sockets that lead outside" },         \
	{ "shell-job", 0, OPTION_FLAG, &(i).shell_job, "with a terminal that belongs to somebody else" },   \
	{ "lazy-pages", 0, OPTION_FLAG, &(i).lazy_pages, "memory is fetched when it is needed" },           \
	{ "file-locks", 0, OPTION_FLAG, &(i).file_locks, "with file locks" },                               \
	{ "manage-cgroups-mode", 0, OPTION_TEXT, &(i).manage_cgroups_mode,                                  \
	  "MODE\tignore (default), none, props, soft, full or strict" },                                    \
	{ "network-lock", 0, OPTION_TEXT, &(i).network_lock,                                                \
	  "HOW\tthe network meanwhile: iptables, nftables or skip" },                                       \
	{ "empty-ns", 0, OPTION_LIST, &(names), "NAME\tleave that namespace empty: network" },              \
	{ "auto-dedup", 0, OPTION_FLAG, &(i).auto_dedup, "drop pages that a later image has" }

int images_set_empty(struct runtime_images *images, const struct option_list *names, struct err *err);

int command_checkpoint(struct global *g, int argc, char **argv, struct err *err);
int command_restore(struct global *g, int argc, char **argv, struct err *err);
int command_completion(struct global *g, int argc, char **argv, struct err *err);
int command_events(struct global *g, int argc, char **argv, struct err *err);
int command_create(struct global *g, int argc, char **argv, struct err *err);
int command_run(struct global *g, int argc, char **argv, struct err *err);
int command_start(struct global *g, int argc, char **argv, struct err *err);
int command_exec(struct global *g, int argc, char **argv, struct err *err);
int command_state(struct global *g, int argc, char **argv, struct err *err);
int command_list(struct global *g, int argc, char **argv, struct err *err);
int command_ps(struct global *g, int argc, char **argv, struct err *err);
int command_kill(struct global *g, int argc, char **argv, struct err *err);
int command_delete(struct global *g, int argc, char **argv, struct err *err);
int command_mounts(struct global *g, int argc, char **argv, struct err *err);
int command_pause(struct global *g, int argc, char **argv, struct err *err);
int command_resume(struct global *g, int argc, char **argv, struct err *err);
int command_update(struct global *g, int argc, char **argv, struct err *err);
int command_spec(struct global *g, int argc, char **argv, struct err *err);
int command_features(struct global *g, int argc, char **argv, struct err *err);
