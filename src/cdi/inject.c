/*
 * From names to edits: the directories are read, conflicts are decided, edits are applied.
 */
#include "cdi/spec.h"

#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

struct file {
	const char *path;
	size_t dir;      /* later directories win */
	struct cdi_spec spec;
	bool edited;     /* what comes with every device of it is applied already */
};

struct files {
	struct file *list;
	size_t n;
	struct err bad;  /* the first file that was wrong */
};

static void read_file(const char *path, size_t dir, struct arena *a, struct files *f)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CDI_FILE_MAX);
	struct file *file = &f->list[f->n];
	struct err err = ERR_INIT;
	int r = sys_file_read(AT_FDCWD, path, CDI_FILE_MAX, &text);

	if (r < 0)
		r = err_sys(&err, r, "read it");
	else
		r = cdi_spec_read(text.data, text.len, !str_has_suffix(path, ".json"), a, &file->spec, &err);
	if (r == 0) {
		file->path = path;
		file->dir = dir;
		f->n++;
	} else if (f->bad.kind == ERR_NONE) {
		f->bad = err;
		err_wrap(&f->bad, r, "%s", path);
	}
}

static int is_spec(const struct dirent *e)
{
	return str_has_suffix(e->d_name, ".json") || str_has_suffix(e->d_name, ".yaml");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dir(const char *path, size_t dir, struct arena *a, struct files *f, struct err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, is_spec, by_name);
	bool too_many = n > 0 && f->n + (size_t)n > CDI_FILES_MAX;

	if (n < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "CDI directory %s", path);
	for (int i = 0; i < n; i++) {
		if (!too_many)
			read_file(arena_printf(a, "%s/%s", path, entries[i]->d_name), dir, a, f);
		free(entries[i]);
	}
	free(entries);
	return too_many ? err_set(err, ERR_LIMIT, "CDI: more than %d specifications", CDI_FILES_MAX) : 0;
}

static const struct cdi_device *device_in(const struct cdi_spec *s, const char *name)
{
	size_t kind = strlen(s->kind);

	if (strncmp(s->kind, name, kind) != 0 || name[kind] != '=')
		return NULL;
	for (size_t i = 0; i < s->n_devices; i++)
		if (str_eq(s->devices[i].name, name + kind + 1))
			return &s->devices[i];
	return NULL;
}

static int resolve(struct files *f, const char *name, struct file **ret_file, const struct cdi_device **ret,
		   struct err *err)
{
	const struct file *also = NULL;
	struct file *found = NULL;

	for (size_t i = 0; i < f->n; i++) {
		struct file *file = &f->list[i];

		if (!device_in(&file->spec, name))
			continue;
		also = found && found->dir == file->dir ? found : NULL;
		found = file;
	}
	if (also)
		return err_set(err, ERR_NOT_FOUND, "CDI device %s: both %s and %s have it", name, also->path,
			       found->path);
	if (!found && f->bad.kind)
		return err_set(err, ERR_NOT_FOUND,
			       "CDI device %s: no specification has it; one cannot be read: %.600s",
			       name, f->bad.text);
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "CDI device %s: no specification has it", name);
	*ret_file = found;
	*ret = device_in(&found->spec, name);
	return 0;
}

static bool before(char *const *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (str_eq(list[k], list[i]))
			return true;
	return false;
}

int cdi_inject(const char *const *dirs, size_t n_dirs, char *const *devices, size_t n_devices,
	       struct oci_config *config, struct arena *a, struct err *err)
{
	struct files f = { .bad = ERR_INIT };
	int r = 0;

	if (!n_devices)
		return 0;
	if (n_devices > CDI_DEVICES_MAX)
		return err_set(err, ERR_LIMIT, "CDI devices: more than %d", CDI_DEVICES_MAX);
	for (size_t i = 0; i < n_devices && r == 0; i++)
		r = cdi_name_check(devices[i], err);
	f.list = arena_new(a, CDI_FILES_MAX, sizeof(*f.list));
	for (size_t i = 0; i < n_dirs && r == 0; i++)
		r = read_dir(dirs[i], i, a, &f, err);
	for (size_t i = 0; i < n_devices && r == 0; i++) {
		const struct cdi_device *d = NULL;
		struct file *file = NULL;

		if (before(devices, i))
			continue;
		r = resolve(&f, devices[i], &file, &d, err);
		if (r == 0 && !file->edited) {
			file->edited = true;
			r = cdi_edits_apply(&file->spec.edits, config, a, err);
		}
		if (r == 0)
			r = cdi_edits_apply(&d->edits, config, a, err);
		if (r < 0 && err && err->kind != ERR_NOT_FOUND)
			err_wrap(err, r, "CDI device %s", devices[i]);
	}
	return r;
}

int cdi_of_annotations(const struct json_kv *annotations, size_t n, struct arena *a, char ***list,
		       size_t *n_list,
		       struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = annotations[i].value;

		if (!str_skip_prefix(annotations[i].key, "cdi.k8s.io/"))
			continue;
		while (at) {
			const char *comma = strchr(at, ',');
			char *name = arena_strndup(a, at, comma ? (size_t)(comma - at) : strlen(at));
			char **more;

			at = comma ? comma + 1 : NULL;
			if (cdi_name_check(name, err) < 0)
				return err_wrap(err, -EINVAL, "annotation %s", annotations[i].key);
			if (*n_list >= CDI_DEVICES_MAX)
				return err_set(err, ERR_LIMIT, "CDI devices: more than %d", CDI_DEVICES_MAX);
			more = arena_new(a, *n_list + 1, sizeof(*more));
			if (*n_list)
				memcpy(more, *list, *n_list * sizeof(*more));
			more[*n_list] = name;
			*list = more;
			*n_list += !before(more, *n_list);
		}
	}
	return 0;
}
