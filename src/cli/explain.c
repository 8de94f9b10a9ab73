/*
 * Reads /proc/<pid>/ns and the cgroup files. A process that ends meanwhile gives ESRCH, never
 * half a picture: all is read before anything is printed.
 */
#include "cli/explain.h"

#include "cgroup/cgroup.h"
#include "cli/table.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *const types[CLI_NAMESPACES] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

static uint64_t inode_of(pid_t pid, const char *type)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, type);
	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

int cli_namespaces(pid_t pid, pid_t anchor, struct cli_namespace ret[CLI_NAMESPACES])
{
	for (size_t i = 0; i < CLI_NAMESPACES; i++) {
		uint64_t own = inode_of(pid, types[i]);

		ret[i] = (struct cli_namespace){
			.type = types[i],
			.inode = own,
			.with_host = own && own == inode_of(getpid(), types[i]),
			.with_pod = own && anchor && own == inode_of(anchor, types[i]),
		};
	}
	return ret[0].inode ? 0 : -ESRCH;
}

/* The path that most hierarchies agree on is the container's; named ones may differ. */
static int cgroup_path_of(pid_t pid, char *ret, size_t size)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(65536);
	char path[64], *line, *save = NULL;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	r = sys_file_read(AT_FDCWD, path, 65535, &b);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	ret[0] = '\0';
	for (line = strtok_r((char *)b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strchr(line, ':');

		at = at ? strchr(at + 1, ':') : NULL;
		if (at && strlen(at + 1) > strlen(ret))
			snprintf(ret, size, "%s", at + 1);
	}
	return *ret ? 0 : -ENOENT;
}

/* The mount point of the hierarchy: what is left of the directory before the cgroup's path. */
static char *root_of(struct arena *a, const char *directory, const char *path)
{
	size_t len = strlen(directory), tail = strlen(path);

	if (len > tail && str_has_suffix(directory, path))
		len -= tail - 1;
	return arena_strndup(a, directory, len);
}

static void print_namespaces(const struct cli_namespace *ns, struct buf *out)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("NAMESPACE", "INODE", "WHOSE");

	for (size_t i = 0; i < CLI_NAMESPACES; i++) {
		char inode[24];

		snprintf(inode, sizeof(inode), "%" PRIu64, ns[i].inode);
		cli_table_row(&t, ns[i].type, inode,
			      ns[i].with_host ? "the host's" :
			      ns[i].with_pod  ? "the pod's, shared by its containers" :
						"its own");
	}
	cli_table_print(&t, out);
}

int cli_explain(pid_t pid, pid_t anchor, struct buf *out, struct err *err)
{
	CLEANUP(cli_table_done) struct cli_table t = CLI_TABLE("CONTROLLER", "FILE", "VALUE");
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(cgroup_freep) struct cgroup *cg = NULL;
	struct cli_namespace ns[CLI_NAMESPACES];
	const struct cgroup_host *host;
	struct cgroup_setting *settings;
	char path[CGROUP_PATH_MAX];
	size_t n;
	int r;

	r = cli_namespaces(pid, anchor, ns);
	if (r < 0)
		return err_sys(err, r, "process %d", (int)pid);
	r = cgroup_path_of(pid, path, sizeof(path));
	if (r < 0)
		return err_sys(err, r, "cgroup of process %d", (int)pid);
	if ((r = cgroup_host_get(&host, err)) < 0 || (r = cgroup_open(host, path, &cg, err)) < 0 ||
	    (r = cgroup_settings(cg, &a, &settings, &n, err)) < 0)
		return r;
	print_namespaces(ns, out);
	buf_printf(out, "\nlimits, in the cgroup %s\n", path);
	for (size_t i = 0; i < n; i++) {
		char *value = arena_strdup(&a, settings[i].value);

		if (!*value)
			continue;
		/* several lines in one file: one row, or the table is none */
		for (char *p = value; (p = strchr(p, '\n'));)
			*p = ';';
		cli_table_row(&t, settings[i].controller,
			      arena_printf(&a, "%s…/%s", root_of(&a, settings[i].directory, path), settings[i].file),
			      value);
	}
	cli_table_print(&t, out);
	return 0;
}
