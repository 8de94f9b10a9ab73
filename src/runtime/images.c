/*
 * The directory of a checkpoint: CRIU's images, and beside them what a restore has to know
 * that CRIU doesn't say: caisson.json (our own), descriptors.json (in the form that other
 * runtimes read and write). Hostile: the files may come from anywhere; they name nothing on
 * the host, only mount points of the container and descriptors by CRIU's keys.
 */
#include "runtime/criu.h"

#include "json/json.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { INFO_MAX = 1 << 20, INFO_VERSION = 1 };

static const struct json_field info_fields[] = {
	JSON_FIELD(I32, struct images_info, version, "version", JSON_REQUIRED),
	JSON_FIELD_LIST(STR_LIST, struct images_info, mounts, "mounts", 0),
	JSON_FIELD(BOOL, struct images_info, has_terminal, "terminal", 0),
};
static const struct json_type info_type = JSON_TYPE("caisson.json", struct images_info, info_fields);

int images_info_write(int dir, const struct images_info *info, struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(INFO_MAX);
	struct images_info copy = *info;
	int r;

	copy.version = INFO_VERSION;
	r = json_write(&info_type, &copy, 0, &out, err);
	if (r < 0)
		return r;
	r = sys_file_replace(dir, "caisson.json", out.data, out.len, 0600, false);
	return r < 0 ? err_sys(err, r, "write caisson.json") : 0;
}

int images_info_read(int dir, struct arena *a, struct images_info *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(INFO_MAX + 1);
	int r = sys_file_read(dir, "caisson.json", INFO_MAX, &text);

	memset(ret, 0, sizeof(*ret));
	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return err_sys(err, r, "open caisson.json");
	r = json_read(&info_type, buf_text(&text), text.len, a, ret, err);
	if (r < 0)
		return err_wrap(err, r, "caisson.json");
	if (ret->version != INFO_VERSION)
		return err_set(err, ERR_UNSUPPORTED, "caisson.json: version %d is not known", ret->version);
	return 0;
}

/* A list at the top of a document is not what our tables read: it is put into a member. */
struct stdio_list {
	char **links;
	size_t n_links;
};

static const struct json_field stdio_fields[] = {
	JSON_FIELD_LIST(STR_LIST, struct stdio_list, links, "links", 0),
};
static const struct json_type stdio_type = JSON_TYPE("descriptors.json", struct stdio_list, stdio_fields);

int images_stdio_write(int dir, char *const links[IMAGES_STDIO], struct err *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(INFO_MAX);
	int r = 0;

	for (size_t i = 0; i < IMAGES_STDIO && r == 0; i++) {
		r = buf_puts(&out, i ? "," : "[");
		if (r == 0)
			r = json_put_string(&out, links[i]);
	}
	if (r == 0)
		r = buf_puts(&out, "]");
	if (r == 0)
		r = sys_file_replace(dir, "descriptors.json", out.data, out.len, 0600, false);
	return r < 0 ? err_sys(err, r, "write descriptors.json") : 0;
}

int images_stdio_read(int dir, struct arena *a, char *ret[IMAGES_STDIO], struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(INFO_MAX + 32);
	struct stdio_list list;
	int r;

	for (size_t i = 0; i < IMAGES_STDIO; i++)
		ret[i] = NULL;
	buf_puts(&text, "{\"links\":");
	r = sys_file_read(dir, "descriptors.json", INFO_MAX, &text);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(err, r, "open descriptors.json");
	buf_puts(&text, "}");
	r = json_read(&stdio_type, text.data, text.len, a, &list, err);
	if (r < 0)
		return err_wrap(err, r, "descriptors.json");
	for (size_t i = 0; i < IMAGES_STDIO && i < list.n_links; i++)
		ret[i] = list.links[i];
	return 0;
}

/* ---- mountinfo (proc_pid_mountinfo(5)) ---- */

struct mount_line {
	int id;
	const char *device; /* "8:1" */
	size_t device_len;
	char *point;        /* unescaped */
};

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to = *s;
		}
	}
	*to = '\0';
}

/* The line at *text, which moves on to the next: 1, or 0 at the end. */
static int next_line(const char **text, struct arena *a, struct mount_line *ret)
{
	while (**text) {
		const char *p = *text, *field[5], *end = strchr(p, '\n');
		size_t n = 0;

		*text = end ? end + 1 : p + strlen(p);
		while (n < ARRAY_LEN(field) && *p && *p != '\n') {
			field[n++] = p;
			p += strcspn(p, " \n");
			p += *p == ' ';
		}
		if (n < ARRAY_LEN(field))
			continue;
		ret->id = atoi(field[0]);
		ret->device = field[2];
		ret->device_len = strcspn(field[2], " ");
		ret->point = arena_strndup(a, field[4], strcspn(field[4], " \n"));
		unescape(ret->point);
		return 1;
	}
	return 0;
}

static bool has_device(const char *text, const struct mount_line *m, struct arena *a)
{
	struct mount_line other;

	while (next_line(&text, a, &other))
		if (other.device_len == m->device_len && memcmp(other.device, m->device, m->device_len) == 0)
			return true;
	return false;
}

int images_external_mounts(const char *container, const char *host, struct arena *a, char ***ret,
			   size_t *ret_n)
{
	CLEANUP(arena_done) struct arena scratch = ARENA_INIT;
	struct mount_line m;
	size_t cap = 1;

	for (const char *p = container; *p; p++)
		cap += *p == '\n';
	*ret = arena_new(a, cap, sizeof(**ret));
	*ret_n = 0;
	while (next_line(&container, &scratch, &m))
		if (!str_eq(m.point, "/") && has_device(host, &m, &scratch))
			(*ret)[(*ret_n)++] = arena_strdup(a, m.point);
	return 0;
}

bool images_has_mount(const char *mountinfo, int id)
{
	CLEANUP(arena_done) struct arena scratch = ARENA_INIT;
	struct mount_line m;

	while (next_line(&mountinfo, &scratch, &m))
		if (m.id == id)
			return true;
	return false;
}

/* ---- what dump and restore have in common ---- */

static int open_dir(const char *path, const char *option, int *ret, struct err *err)
{
	int r = sys_mkdir_p(path, 0700);

	if (r < 0 && r != -EEXIST)
		return err_sys(err, r, "--%s %s", option, path);
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(err, errno, "--%s %s", option, path) : 0;
}

int images_open(const struct runtime_images *images, int *ret_images, int *ret_work, struct err *err)
{
	autofd int dir = -EBADF;
	int r = open_dir(images->path, "image-path", &dir, err);

	if (r == 0)
		r = open_dir(images->work_path ? images->work_path : images->path, "work-path", ret_work, err);
	if (r == 0)
		*ret_images = take_fd(&dir);
	return r;
}

/* "full" and so on as criu(8) names them; NULL: the container's processes stay where the
 * runtime puts them, which is what its own cgroup driver wants. */
static int cgroups_mode(const char *name, int *ret)
{
	static const char *const names[] = { "ignore", "none", "props", "soft", "full", "strict" };

	*ret = 0;
	for (size_t i = 0; name && i < ARRAY_LEN(names); i++)
		if (str_eq(names[i], name)) {
			*ret = (int)i;
			return 0;
		}
	return name ? -EINVAL : 0;
}

static int network_lock(const char *name, int *ret)
{
	static const char *const names[] = { NULL, "iptables", "nftables", "skip" };

	*ret = 0;
	for (size_t i = 1; name && i < ARRAY_LEN(names); i++)
		if (str_eq(names[i], name))
			*ret = (int)i;
	return name && !*ret ? -EINVAL : 0;
}

int images_options(const struct runtime_images *images, struct criu_call *call, int images_fd,
		   const char *config_file, struct err *err)
{
	struct criu_opts *o = call->opts;
	int mode, lock;

	if (cgroups_mode(images->manage_cgroups_mode, &mode) < 0)
		return err_set(err, ERR_INVALID,
			       "--manage-cgroups-mode: \"%s\" is none of ignore, none, props, soft, full, "
			       "strict", images->manage_cgroups_mode);
	if (network_lock(images->network_lock, &lock) < 0)
		return err_set(err, ERR_INVALID, "--network-lock: \"%s\" is none of iptables, nftables, skip",
			       images->network_lock);
	call->program = images->criu;
	criu_put_int(o, CRIU_IMAGES_DIR_FD, (unsigned)criu_keep(call, images_fd));
	criu_put_int(o, CRIU_WORK_DIR_FD, (unsigned)criu_keep(call, call->work_dir));
	criu_put_text(o, CRIU_LOG_FILE, call->log);
	criu_put_int(o, CRIU_LOG_LEVEL, 4);
	criu_put_text(o, CRIU_CONFIG_FILE, config_file);
	criu_put_flag(o, CRIU_TCP_ESTABLISHED, images->tcp_established);
	criu_put_flag(o, CRIU_EXT_UNIX_SK, images->ext_unix_sk);
	criu_put_flag(o, CRIU_SHELL_JOB, images->shell_job);
	criu_put_flag(o, CRIU_FILE_LOCKS, images->file_locks);
	criu_put_flag(o, CRIU_AUTO_DEDUP, images->auto_dedup);
	criu_put_flag(o, CRIU_LAZY_PAGES, images->lazy_pages);
	criu_put_flag(o, CRIU_EVASIVE_DEVICES, true);
	criu_put_flag(o, CRIU_ORPHAN_PTS_MASTER, true);
	criu_put_flag(o, CRIU_EXT_MASTERS, true);
	criu_put_flag(o, CRIU_MANAGE_CGROUPS, true);
	criu_put_int(o, CRIU_MANAGE_CGROUPS_MODE, (unsigned)mode);
	if (lock)
		criu_put_int(o, CRIU_NETWORK_LOCK, (unsigned)lock);
	if (images->empty_network)
		criu_put_int(o, CRIU_EMPTY_NS, CLONE_NEWNET);
	return 0;
}
