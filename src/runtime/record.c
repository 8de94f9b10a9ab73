#include "runtime/record.h"

#include "runtime/rdt.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { RECORD_VERSION = 1, RECORD_MAX = 8 * 1024 * 1024 };

static const struct json_field record_fields[] = {
	JSON_FIELD(I32, struct record, version, "version", JSON_REQUIRED),
	JSON_FIELD(STR, struct record, id, "id", JSON_REQUIRED),
	JSON_FIELD(STR, struct record, oci_version, "ociVersion", JSON_REQUIRED),
	JSON_FIELD(STR, struct record, bundle, "bundle", JSON_REQUIRED),
	JSON_FIELD(STR, struct record, rootfs, "rootfs", 0),
	JSON_FIELD(STR, struct record, created, "created", 0),
	JSON_FIELD(STR, struct record, owner, "owner", 0),
	JSON_FIELD(STR, struct record, boot_id, "bootId", JSON_REQUIRED),
	JSON_FIELD(BOOL, struct record, is_created, "isCreated", 0),
	JSON_FIELD(I32, struct record, pid, "pid", 0),
	JSON_FIELD(U64, struct record, start_ticks, "startTicks", 0),
	JSON_FIELD(STR, struct record, cgroup_path, "cgroupPath", 0),
	JSON_FIELD(STR, struct record, cgroup_below, "cgroupBelow", 0),
	JSON_FIELD(STR, struct record, systemd_unit, "systemdUnit", 0),
	JSON_FIELD(BOOL, struct record, systemd_user, "systemdUser", 0),
	JSON_FIELD_LIST(STR_MAP, struct record, cgroup_selves, "cgroupSelves", 0),
	JSON_FIELD(U32, struct record, namespaces, "namespaces", 0),
	JSON_FIELD(U32, struct record, joined, "joined", 0),
	JSON_FIELD(BOOL, struct record, chrooted, "chrooted", 0),
	JSON_FIELD(BOOL, struct record, has_seccomp, "hasSeccomp", 0),
	JSON_FIELD(STR, struct record, listener_path, "listenerPath", 0),
	JSON_FIELD(STR, struct record, listener_metadata, "listenerMetadata", 0),
	JSON_FIELD_LIST(STR_MAP, struct record, annotations, "annotations", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct record, hooks, "hooks", 0, &oci_hooks_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct record, intel_rdt, "intelRdt", 0, &oci_intel_rdt_type),
	JSON_FIELD(BOOL, struct record, intel_rdt_made, "intelRdtMade", 0),
	JSON_FIELD_OBJ(OPT_OBJ, struct record, personality, "personality", 0, &oci_personality_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct record, memory_policy, "memoryPolicy", 0, &oci_memory_policy_type),
	JSON_FIELD_OBJ(OPT_OBJ, struct record, process, "process", 0, &oci_process_type),
};
const struct json_type record_type = JSON_TYPE("state.json", struct record, record_fields);

int record_parse(const void *text, size_t len, struct arena *a, struct record *ret, struct err *err)
{
	int r = json_read(&record_type, text, len, a, ret, err);

	if (r < 0) {
		err->kind = ERR_CORRUPT;
		return r;
	}
	if (ret->version != RECORD_VERSION)
		return err_set(err, ERR_UNSUPPORTED,
			       "it has the version %d, %s than this program's %d", ret->version,
			       ret->version > RECORD_VERSION ? "newer" : "older", RECORD_VERSION);
	if (!str_is_id(ret->id, 1024) || ret->pid < 0)
		return err_set(err, ERR_CORRUPT, "id or pid can't be");
	return 0;
}

int record_check_id(const char *id, struct err *err)
{
	if (!str_is_id(id ? id : "", 1024))
		return err_set(err, ERR_INVALID, "invalid container ID format: \"%.100s\"", id ? id : "");
	return 0;
}

int record_new(const char *root, const char *id, int *ret_dir, struct err *err)
{
	autofd int top = -EBADF, dir = -EBADF;
	int r;

	r = record_check_id(id, err);
	if (r < 0)
		return r;
	top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0 && errno == ENOENT) {
		r = sys_mkdir_p(root, 0711);
		if (r < 0)
			return err_sys(err, r, "make %s", root);
		top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (top < 0)
		return err_sys(err, errno, "open %s", root);
	if (mkdirat(top, id, 0711) < 0) {
		if (errno == EEXIST)
			return err_set(err, ERR_EXISTS, "container with given ID already exists: %s", id);
		return err_sys(err, errno, "make %s/%s", root, id);
	}
	dir = openat(top, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || flock(dir, LOCK_EX) < 0) {
		r = err_sys(err, errno, "open %s/%s", root, id);
		unlinkat(top, id, AT_REMOVEDIR);
		return r;
	}
	*ret_dir = take_fd(&dir);
	return 0;
}

static int open_record(const char *root, const char *id, bool lock, struct arena *a, int *ret_dir,
		       struct record *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX + 1);
	autofree char *path = NULL;
	autofd int dir = -EBADF;
	struct stat st;
	int r;

	r = record_check_id(id, err);
	if (r < 0)
		return r;
	path = mem_printf("%s/%s", root, id);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "container does not exist: %s", id);
	if (dir < 0)
		return err_sys(err, errno, "open %s", path);
	if (lock && flock(dir, LOCK_EX) < 0)
		return err_sys(err, errno, "lock %s", path);
	/* deleted while we waited */
	if (fstat(dir, &st) < 0 || !st.st_nlink)
		return err_set(err, ERR_NOT_FOUND, "container does not exist: %s", id);
	r = sys_file_read(dir, "state.json", RECORD_MAX, &text);
	if (r == -ENOENT) {
		/* killed between making the directory and the record: nothing else exists */
		memset(ret, 0, sizeof(*ret));
		ret->version = RECORD_VERSION;
		ret->id = arena_strdup(a, id);
		ret->oci_version = ret->bundle = ret->boot_id = arena_strdup(a, "");
		*ret_dir = take_fd(&dir);
		return 0;
	}
	if (r < 0)
		return err_sys(err, r, "read %s/state.json", path);
	r = record_parse(text.data ? text.data : (const uint8_t *)"", text.len, a, ret, err);
	if (r < 0)
		return err_wrap(err, r, "%s/state.json", path);
	*ret_dir = take_fd(&dir);
	return 0;
}

int record_open(const char *root, const char *id, struct arena *a, int *ret_dir, struct record *ret,
		struct err *err)
{
	return open_record(root, id, true, a, ret_dir, ret, err);
}

int record_peek(const char *root, const char *id, struct arena *a, int *ret_dir, struct record *ret,
		struct err *err)
{
	return open_record(root, id, false, a, ret_dir, ret, err);
}

int record_write(int dir, const struct record *r, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(RECORD_MAX);
	struct record copy = *r;
	int e;

	copy.version = RECORD_VERSION;
	e = json_write(&record_type, &copy, 0, &out, err);
	if (e < 0)
		return e;
	e = sys_file_replace(dir, "state.json", out.data, out.len, 0600, false);
	return e < 0 ? err_sys(err, e, "write state.json") : 0;
}

/* What is nearly always all that is in it; the record last. */
static bool remove_usual(int top, const char *id)
{
	static const char *const files[] = { "seccomp.bpf", "state.json" };
	autofd int dir = openat(top, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; dir >= 0 && i < ARRAY_LEN(files); i++)
		unlinkat(dir, files[i], 0);
	return dir >= 0 && unlinkat(top, id, AT_REMOVEDIR) == 0;
}

int record_remove(const char *root, const char *id, struct err *err)
{
	autofd int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (top < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", root);
	r = remove_usual(top, id) ? 0 : sys_remove_tree(top, id);
	return r < 0 ? err_sys(err, r, "remove %s/%s", root, id) : 0;
}

enum record_status record_status(const struct record *r, int dir, int *ret_pidfd)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	autofd int pidfd = -EBADF;

	if (ret_pidfd)
		*ret_pidfd = -EBADF;
	/* a pid from before a reboot is somebody else's, whatever its start time */
	if (!r->pid || !str_eq(r->boot_id, sys_boot_id()))
		return r->is_created || !r->bundle[0] ? RECORD_STOPPED : RECORD_CREATING;
	if (sys_pidfd_open_verified(r->pid, r->start_ticks, &pidfd) < 0 || sys_pidfd_exited(pidfd) == 1)
		return RECORD_STOPPED;
	if (ret_pidfd)
		*ret_pidfd = take_fd(&pidfd);
	if (!r->is_created)
		return RECORD_CREATING;
	if (faccessat(dir, "start.sock", F_OK, 0) == 0)
		return RECORD_CREATED;
	if (r->cgroup_path && record_cgroup(r, &a, &cg, NULL) == 0 && cgroup_frozen(cg) == 1)
		return RECORD_PAUSED;
	return RECORD_RUNNING;
}

const char *record_status_name(enum record_status s)
{
	static const char *const names[] = { "creating", "created", "running", "paused", "stopped" };

	return names[s];
}

int record_cgroup(const struct record *r, struct arena *a, struct cgroup **ret, struct err *err)
{
	const struct cgroup_host *host;
	struct cgroup_host *as_creator;
	int e;

	if (!r->cgroup_path)
		return err_set(err, ERR_NOT_FOUND, "the container has no cgroup");
	e = cgroup_host_get(&host, err);
	if (e < 0)
		return e;
	if (*r->cgroup_path != '/') {
		/* relative paths count from the cgroup of whoever created it, not from ours */
		as_creator = arena_new(a, 1, sizeof(*as_creator));
		*as_creator = *host;
		for (size_t i = 0; i < host->n_hierarchies; i++)
			for (size_t k = 0; k < r->n_cgroup_selves; k++)
				if (str_eq(r->cgroup_selves[k].key, host->hierarchies[i].name))
					as_creator->hierarchies[i].self = r->cgroup_selves[k].value;
		host = as_creator;
	}
	if (r->systemd_unit) {
		struct cgroup_unit unit = { .name = r->systemd_unit, .user = r->systemd_user };

		return cgroup_open_unit(host, r->cgroup_path, &unit, ret, err);
	}
	return cgroup_open(host, r->cgroup_path, ret, err);
}

void record_leave_rdt(const struct record *r)
{
	autofd int dir = -EBADF;

	if (r->intel_rdt && rdt_open(&dir, NULL) == 0)
		rdt_leave(dir, r->intel_rdt, r->id, r->intel_rdt_made);
}

void record_oci_state(const struct record *r, enum record_status s, struct oci_state *ret)
{
	*ret = (struct oci_state){
		.oci_version = r->oci_version, .id = r->id, .status = (char *)record_status_name(s),
		.pid = s == RECORD_STOPPED ? 0 : r->pid, .bundle = r->bundle,
		.annotations = r->annotations, .n_annotations = r->n_annotations,
	};
}
