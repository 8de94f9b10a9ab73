#include "shim/record.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { RECORD_MAX = 16 * 1024 };

static const struct json_field exit_fields[] = {
	JSON_FIELD(I32, struct shim_exit, format, "format", 0),
	JSON_FIELD(STR, struct shim_exit, id, "id", JSON_REQUIRED),
	JSON_FIELD(I32, struct shim_exit, pid, "pid", JSON_ALWAYS),
	JSON_FIELD(I32, struct shim_exit, code, "code", JSON_REQUIRED | JSON_ALWAYS),
	JSON_FIELD(I64, struct shim_exit, exited_at, "exitedAt", JSON_REQUIRED | JSON_ALWAYS),
	JSON_FIELD(BOOL, struct shim_exit, oom_killed, "oomKilled", 0),
	JSON_FIELD(BOOL, struct shim_exit, unknown, "codeUnknown", 0),
	JSON_FIELD(STR, struct shim_exit, boot_id, "bootId", 0),
	JSON_FIELD(U64, struct shim_exit, sum, "sum", 0),
};
const struct json_type shim_exit_type = JSON_TYPE("exit", struct shim_exit, exit_fields);

static const struct json_field shim_fields[] = {
	JSON_FIELD(I32, struct shim_record, format, "format", 0),
	JSON_FIELD(STR, struct shim_record, address, "address", JSON_REQUIRED),
	JSON_FIELD(I32, struct shim_record, pid, "pid", JSON_REQUIRED),
	JSON_FIELD(U64, struct shim_record, start_ticks, "startTicks", JSON_REQUIRED),
	JSON_FIELD(STR, struct shim_record, boot_id, "bootId", JSON_REQUIRED),
};
static const struct json_type shim_type = JSON_TYPE("shim", struct shim_record, shim_fields);

static int path_of(const char *dir, const char *name, char out[PATH_MAX], struct err *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_set(err, ERR_INVALID, "%s: the path is too long", dir);
	return 0;
}

static int replace(const char *dir, const char *name, const void *data, size_t len, struct err *err)
{
	char path[PATH_MAX];
	int r = path_of(dir, name, path, err);

	if (r < 0)
		return r;
	r = sys_file_replace(AT_FDCWD, path, data, len, 0600, false);
	/* no directory of ours has such a name */
	if (r == -EISDIR && sys_remove_tree(AT_FDCWD, path) == 0)
		r = sys_file_replace(AT_FDCWD, path, data, len, 0600, false);
	return r < 0 ? err_sys(err, r, "write %s", path) : 0;
}

static int write_json(const char *dir, const char *name, const struct json_type *type, const void *obj,
		      struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX);
	int r = json_write(type, obj, 0, &text, err);

	if (r == 0)
		r = replace(dir, name, text.data, text.len, err);
	return r;
}

static int read_json(const char *dir, const char *name, const struct json_type *type, struct arena *a,
		     void *obj, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX);
	char path[PATH_MAX];
	int r = path_of(dir, name, path, err);

	if (r < 0)
		return r;
	r = sys_file_read(AT_FDCWD, path, RECORD_MAX, &text);
	if (r < 0)
		return err_sys(err, r, "read %s", path);
	r = json_read(type, text.data, text.len, a, obj, err);
	return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* Against accidents: a digit of an exit code that became another one is still a number. */
static uint64_t sum_of(const struct shim_exit *e)
{
	char text[512];
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	snprintf(text, sizeof(text), "%d %s %d %d %lld %d %d %s", e->format, e->id, e->pid, e->code,
		 (long long)e->exited_at, e->oom_killed, e->unknown, e->boot_id ? e->boot_id : "");
	/* FNV-1a */
	for (const char *s = text; *s; s++)
		sum = (sum ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return sum;
}

int record_write_exit(const char *bundle, const struct shim_exit *e, struct err *err)
{
	struct shim_exit copy = *e;

	copy.format = SHIM_EXIT_FORMAT;
	copy.sum = sum_of(&copy);
	return write_json(bundle, "exit.json", &shim_exit_type, &copy, err);
}

static int check_format(int32_t format, int32_t ours, const char *dir, const char *name, struct err *err)
{
	return format > ours ? err_set(err, ERR_UNSUPPORTED, "%s/%s has the format %d, newer than this program's %d", dir,
				       name, format, ours) :
			       0;
}

int shim_exit_read(const char *bundle, struct arena *a, struct shim_exit *ret, struct err *err)
{
	struct shim_exit e;
	int r = read_json(bundle, "exit.json", &shim_exit_type, a, &e, err);

	if (r == 0)
		r = check_format(e.format, SHIM_EXIT_FORMAT, bundle, "exit.json", err);
	/* those of before had none */
	if (r == 0 && e.format && e.sum != sum_of(&e))
		r = err_set(err, ERR_CORRUPT, "%s/exit.json: its checksum is wrong", bundle);
	if (r == 0)
		*ret = e;
	return r;
}

int record_write_init(const char *bundle, pid_t pid, uint64_t ticks, struct err *err)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%d %llu\n", (int)pid, (unsigned long long)ticks);

	return replace(bundle, "init.pid", text, (size_t)n, err);
}

int record_write_streams(const char *bundle, const struct shim_stream_at at[SHIM_STREAMS], struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(RECORD_MAX);

	for (int i = 0; i < SHIM_STREAMS; i++)
		buf_printf(&text, "%d %llu %llu\n", at[i].fd, (unsigned long long)at[i].dev,
			   (unsigned long long)at[i].ino);
	return replace(bundle, "streams", text.data, text.len, err);
}

int shim_streams_read(const char *bundle, struct shim_stream_at ret[SHIM_STREAMS], struct err *err)
{
	struct shim_stream_at at[SHIM_STREAMS];
	char path[PATH_MAX], text[512], *line = text;
	int r = path_of(bundle, "streams", path, err);
	ssize_t n;

	if (r < 0)
		return r;
	n = sys_file_read_text(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return err_sys(err, (int)n, "read %s", path);
	for (int i = 0; i < SHIM_STREAMS; i++) {
		unsigned long long dev, ino;
		char *end = line ? strchr(line, '\n') : NULL;

		if (end)
			*end = '\0';
		/* (the last newline is gone already) */
		if (!line || sscanf(line, "%d %llu %llu", &at[i].fd, &dev, &ino) != 3)
			return err_set(err, ERR_CORRUPT, "%s: not a list of streams", path);
		at[i].dev = dev;
		at[i].ino = ino;
		line = end ? end + 1 : NULL;
	}
	memcpy(ret, at, sizeof(at));
	return 0;
}

int record_write_shim(const char *state_dir, const char *address, pid_t pid, struct err *err)
{
	struct shim_record rec = { SHIM_RECORD_FORMAT, (char *)address, pid, 0, (char *)sys_boot_id() };
	int r = sys_proc_start_time(pid, &rec.start_ticks);

	if (r < 0)
		return err_sys(err, r, "start time of the shim");
	return write_json(state_dir, "shim.json", &shim_type, &rec, err);
}

int record_read_shim(const char *state_dir, struct arena *a, struct shim_record *ret, struct err *err)
{
	struct shim_record rec;
	int r = read_json(state_dir, "shim.json", &shim_type, a, &rec, err);

	if (r == 0)
		r = check_format(rec.format, SHIM_RECORD_FORMAT, state_dir, "shim.json", err);
	if (r == 0)
		*ret = rec;
	return r;
}

int record_write_root(const char *bundle, const char *runtime_root, struct err *err)
{
	return replace(bundle, "runtime-root", runtime_root, strlen(runtime_root), err);
}

int record_read_root(const char *bundle, struct arena *a, char **ret, struct err *err)
{
	char path[PATH_MAX], text[PATH_MAX];
	int r = path_of(bundle, "runtime-root", path, err);
	ssize_t n;

	if (r < 0)
		return r;
	n = sys_file_read_text(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return err_sys(err, (int)n, "read %s", path);
	if (text[0] != '/')
		return err_set(err, ERR_CORRUPT, "%s: not an absolute path", path);
	*ret = arena_strdup(a, text);
	return 0;
}
