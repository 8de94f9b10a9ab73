#include "runtime/rdt.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { RESCTRL_MAGIC = 0x7655821, SCHEMATA_MAX = 65536 };

static const char mount_point[] = "/sys/fs/resctrl";

/* "/" is the group that everybody is in to begin with. */
static const char *group_name(const struct oci_intel_rdt *o, const char *id)
{
	return str_empty(o->clos_id) ? id : str_eq(o->clos_id, "/") ? "." : o->clos_id;
}

int rdt_check(const struct oci_intel_rdt *o, struct err *err)
{
	const char *name = o->clos_id;

	if (!str_empty(name) && !str_eq(name, "/") &&
	    (str_eq(name, ".") || str_eq(name, "..") || strpbrk(name, "/\n")))
		return err_set(err, ERR_INVALID, "linux.intelRdt.closID: \"%s\" is no name of a directory", name);
	if (!str_empty(o->mem_bw_schema) &&
	    (!str_skip_prefix(o->mem_bw_schema, "MB:") || strchr(o->mem_bw_schema, '\n')))
		return err_set(err, ERR_INVALID, "linux.intelRdt.memBwSchema: must be one line that begins with MB:");
	for (size_t i = 0; i < o->n_schemata; i++)
		if (strchr(o->schemata[i], '\n') || !strchr(o->schemata[i], ':'))
			return err_set(err, ERR_INVALID, "linux.intelRdt.schemata[%zu]: \"%s\" is no line of a schema",
				       i, o->schemata[i]);
	return 0;
}

int rdt_open(int *ret_dir, struct err *err)
{
	autofd int dir = open(mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (dir < 0 || fstatfs(dir, &fs) < 0 || fs.f_type != RESCTRL_MAGIC)
		return err_set(err, ERR_UNSUPPORTED, "linux.intelRdt: no resctrl file system is mounted on %s",
			       mount_point);
	*ret_dir = take_fd(&dir);
	return 0;
}

/* The lines as one text: memBwSchema takes the place of "MB:" lines in l3CacheSchema. */
static int wanted(const struct oci_intel_rdt *o, struct buf *out)
{
	int r = 0;

	for (const char *p = o->l3_cache_schema ? o->l3_cache_schema : ""; *p && r == 0;) {
		size_t len = strcspn(p, "\n");

		if (len && !(o->mem_bw_schema && str_skip_prefix(p, "MB:")))
			r = buf_printf(out, "%.*s\n", (int)len, p);
		p += len + (p[len] == '\n');
	}
	if (r == 0 && !str_empty(o->mem_bw_schema))
		r = buf_printf(out, "%s\n", o->mem_bw_schema);
	for (size_t i = 0; i < o->n_schemata && r == 0; i++)
		r = buf_printf(out, "%s\n", o->schemata[i]);
	return r;
}

/* Whether the file has the line; the kernel indents its own. */
static bool has_line(const char *text, const char *line, size_t len)
{
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		const char *q = p + strspn(p, " ");

		if (strncmp(q, line, len) == 0 && (q[len] == '\n' || !q[len]))
			return true;
	}
	return false;
}

static int compare(int group, const char *name, const struct buf *want, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(SCHEMATA_MAX + 1);
	int r = sys_file_read(group, "schemata", SCHEMATA_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "linux.intelRdt: read schemata of %s", name);
	for (const char *p = buf_text(want); *p; p += strcspn(p, "\n") + 1)
		if (!has_line(buf_text(&text), p, strcspn(p, "\n")))
			return err_set(err, ERR_INVALID,
				       "linux.intelRdt: the group %s exists with another schema than \"%.*s\"", name,
				       (int)strcspn(p, "\n"), p);
	return 0;
}

static int put_pid(int group, const char *file, pid_t pid, struct err *err)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%d", (int)pid);
	r = sys_file_write(group, file, text);
	return r < 0 ? err_sys(err, r, "linux.intelRdt: write the process to %s", file) : 0;
}

static int monitor(int group, const char *id, pid_t pid, struct err *err)
{
	autofree char *dir = mem_printf("mon_groups/%s", id), *tasks = mem_printf("%s/tasks", dir);

	if (mkdirat(group, dir, 0755) < 0 && errno != EEXIST)
		return err_sys(err, errno, "linux.intelRdt.enableMonitoring: make %s", dir);
	return put_pid(group, tasks, pid, err);
}

int rdt_join(int dir, const struct oci_intel_rdt *o, const char *id, pid_t pid, bool *ret_made,
	     struct err *err)
{
	CLEANUP(buf_done) struct buf want = BUF_INIT(SCHEMATA_MAX);
	const char *name = group_name(o, id);
	autofd int group = -EBADF;
	int r = wanted(o, &want);

	if (r < 0)
		return err_sys(err, r, "linux.intelRdt: the schema is too long");
	/* a class that is only named is one that somebody has set up */
	if ((str_empty(o->clos_id) || want.len) && !str_eq(name, ".")) {
		if (mkdirat(dir, name, 0755) == 0)
			*ret_made = true;
		else if (errno != EEXIST)
			return err_sys(err, errno, "linux.intelRdt: make the group %s", name);
	}
	r = sys_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0, &group);
	if (r < 0)
		return err_sys(err, r, "linux.intelRdt.closID: %s", name);
	if (want.len && !*ret_made) {
		r = compare(group, name, &want, err);
	} else if (want.len) {
		r = sys_file_write(group, "schemata", buf_text(&want));
		if (r < 0)
			err_sys(err, r, "linux.intelRdt: write the schema of %s", name);
	}
	if (r == 0)
		r = put_pid(group, "tasks", pid, err);
	return r == 0 && o->enable_monitoring ? monitor(group, id, pid, err) : r;
}

int rdt_update(int dir, const struct oci_intel_rdt *o, const char *id, struct err *err)
{
	CLEANUP(buf_done) struct buf want = BUF_INIT(SCHEMATA_MAX);
	const char *name = group_name(o, id);
	autofd int group = -EBADF;
	int r = wanted(o, &want);

	if (r == 0)
		r = sys_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0, &group);
	if (r == 0)
		r = sys_file_write(group, "schemata", buf_text(&want));
	return r < 0 ? err_sys(err, r, "linux.intelRdt: write the schema of %s", name) : 0;
}

void rdt_leave(int dir, const struct oci_intel_rdt *o, const char *id, bool made)
{
	const char *name = group_name(o, id);
	autofree char *monitoring = mem_printf("%s/mon_groups/%s", name, id);

	if (o->enable_monitoring)
		unlinkat(dir, monitoring, AT_REMOVEDIR);
	/* a class that was named may be others' by now */
	if (made && str_empty(o->clos_id))
		unlinkat(dir, name, AT_REMOVEDIR);
}
