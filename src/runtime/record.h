/*
 * The record of one container: <root>/<id>/state.json and the lock around it (inner header).
 *
 * The directory is made, locked and the record written before any kernel object exists, so
 * that whatever a killed create leaves behind can be found and removed. The record says
 * what was made; whether it lives is asked of the kernel each time (record_status).
 *
 * Hostile: nobody but the owner of `root` can write here; a record that was damaged all the
 * same is an error of kind CORRUPT, never a crash (fuzz-record.c).
 */
#pragma once

#include "cgroup/cgroup.h"
#include "oci/oci.h"

#include <sys/types.h>

enum record_status { RECORD_CREATING, RECORD_CREATED, RECORD_RUNNING, RECORD_PAUSED, RECORD_STOPPED };

struct record {
	int32_t version;
	char *id, *oci_version, *bundle, *rootfs, *created, *owner, *boot_id;
	bool is_created;       /* create was finished */
	int32_t pid;
	uint64_t start_ticks;
	char *cgroup_path;     /* NULL: none */
	char *cgroup_below;    /* where its processes are below that ("sub/delegated"); NULL: there */
	char *systemd_unit;    /* which systemd made for it; NULL: it did not */
	bool systemd_user;     /* the user's own systemd did */
	struct json_kv *cgroup_selves; /* of relative paths: the creator's own cgroup by hierarchy */
	size_t n_cgroup_selves;
	uint32_t namespaces;   /* 1 << enum ns_kind: those that differ from the host's */
	uint32_t joined;       /* those of them that were there before it */
	bool chrooted;         /* no mount namespace of its own: exec has to chroot as well */
	bool has_seccomp;
	char *listener_path, *listener_metadata; /* of a filter that asks an agent */
	struct json_kv *annotations;
	size_t n_annotations;
	struct oci_hooks *hooks;
	struct oci_intel_rdt *intel_rdt;
	bool intel_rdt_made; /* its group was made for this container */
	struct oci_personality *personality;
	struct oci_memory_policy *memory_policy;
	struct oci_process *process;
};

extern const struct json_type record_type;
int record_parse(const void *text, size_t len, struct arena *a, struct record *ret, struct err *err);

/* ---- the directory, locked while dir is open ---- */

/* INVALID unless it can be one path component. */
int record_check_id(const char *id, struct err *err);
/* Makes <root>/<id>: EXISTS. */
int record_new(const char *root, const char *id, int *ret_dir, struct err *err);
/* Opens, locks, reads. NOT_FOUND. */
int record_open(const char *root, const char *id, struct arena *a, int *ret_dir, struct record *ret,
		struct err *err);
/* The same without waiting for the lock: for looking only. */
int record_peek(const char *root, const char *id, struct arena *a, int *ret_dir, struct record *ret,
		struct err *err);
int record_write(int dir, const struct record *r, struct err *err);
/* Removes <root>/<id>. */
int record_remove(const char *root, const char *id, struct err *err);

/* What the kernel says. ret_pidfd (or NULL): of a live init, else -EBADF. */
enum record_status record_status(const struct record *r, int dir, int *ret_pidfd);
const char *record_status_name(enum record_status s);

/* The container's cgroup; NOT_FOUND when nothing of it is left, or it has none. */
int record_cgroup(const struct record *r, struct arena *a, struct cgroup **ret, struct err *err);

/* Removes the Intel RDT group that was made for it, if there was one. */
void record_leave_rdt(const struct record *r);

/* The state document, for `state` and hooks. */
void record_oci_state(const struct record *r, enum record_status s, struct oci_state *ret);
