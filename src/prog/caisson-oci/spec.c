/* spec. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>

/* What people expect `spec` to give: runc's document. */
static const char default_spec[] =
	"{\"ociVersion\":\"" OCI_VERSION "\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],"
	"\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\","
	"\"capabilities\":{"
	"\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
	"\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
	"\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivileges\":true},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"caisson\",\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	"\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
	"\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
	"{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
	"{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},"
	"{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}],"
	"\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},\"namespaces\":["
	"{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},"
	"{\"type\":\"cgroup\"}],"
	"\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/interrupts\",\"/proc/kcore\",\"/proc/keys\","
	"\"/proc/latency_stats\",\"/proc/sched_debug\",\"/proc/scsi\",\"/proc/timer_list\",\"/proc/timer_stats\","
	"\"/sys/devices/virtual/powercap\",\"/sys/firmware\"],"
	"\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

/*
 * What a user without privileges can have: a user namespace with the own id as its root, the
 * host's network and so its /sys, no limits, and no id that is not mapped.
 */
static void make_rootless(struct oci_config *c, struct arena *a)
{
	static const char *const sys_options[] = { "rbind", "nosuid", "noexec", "nodev", "ro" };
	struct oci_linux *l = c->linux_;
	struct oci_id_map *maps = arena_new(a, 2, sizeof(*maps));
	size_t n = 0;

	maps[0] = (struct oci_id_map){ .container_id = 0, .host_id = geteuid(), .size = 1 };
	maps[1] = (struct oci_id_map){ .container_id = 0, .host_id = getegid(), .size = 1 };
	l->uid_mappings = &maps[0];
	l->gid_mappings = &maps[1];
	l->n_uid_mappings = l->n_gid_mappings = 1;
	l->resources = NULL;
	for (size_t i = 0; i < l->n_namespaces; i++)
		if (str_eq(l->namespaces[i].type, "network"))
			l->namespaces[i].type = arena_strdup(a, "user");
	for (size_t i = 0; i < c->n_mounts; i++) {
		struct oci_mount m = c->mounts[i];
		size_t k = 0;

		if (str_skip_prefix(m.destination, "/sys/"))
			continue;
		if (str_eq(m.destination, "/sys")) {
			m.type = arena_strdup(a, "none");
			m.source = arena_strdup(a, "/sys");
			m.options = arena_new(a, ARRAY_LEN(sys_options), sizeof(*m.options));
			for (m.n_options = 0; m.n_options < ARRAY_LEN(sys_options); m.n_options++)
				m.options[m.n_options] = arena_strdup(a, sys_options[m.n_options]);
		}
		for (size_t o = 0; o < m.n_options; o++)
			if (!str_skip_prefix(m.options[o], "gid=") && !str_skip_prefix(m.options[o], "uid="))
				m.options[k++] = m.options[o];
		m.n_options = k;
		c->mounts[n++] = m;
	}
	c->n_mounts = n;
}

int command_spec(struct global *g, int argc, char **argv, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	const char *bundle = NULL, *file = "config.json";
	bool rootless = false;
	const struct option options[] = {
		{ "bundle", 'b', OPTION_TEXT, &bundle, "DIR\twhere it is written (default: here)" },
		{ "file", 'f', OPTION_TEXT, &file, "FILE\tits name (default: config.json)" },
		{ "rootless", 0, OPTION_FLAG, &rootless,
		  "for a user without privileges" },
	};
	autofd int dir = -EBADF, fd = -EBADF;
	struct oci_config c;
	char **words;
	size_t n;
	int r;

	r = options_parse(command_find("spec"), options, ARRAY_LEN(options), argc, argv, -1, &g->arena,
			  &words, &n, err);
	if (r < 0)
		return r;
	if (n)
		return err_set(err, ERR_INVALID, "\"spec\" requires no arguments");
	r = oci_config_read(default_spec, strlen(default_spec), &g->arena, &c, err);
	if (r == 0 && rootless)
		make_rootless(&c, &g->arena);
	if (r == 0)
		r = oci_config_write(&c, 4, &out, err);
	if (r < 0)
		return r;
	buf_puts(&out, "\n");
	dir = open(bundle ? bundle : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "bundle %s", bundle ? bundle : ".");
	fd = openat(dir, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_EXISTS, "file %s exists. Remove it first", file);
	if (fd < 0)
		return err_sys(err, errno, "make %s", file);
	r = sys_write_all(fd, out.data, out.len);
	return r < 0 ? err_sys(err, r, "write %s", file) : 0;
}
