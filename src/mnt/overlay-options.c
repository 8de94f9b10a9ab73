/* The options of an overlay mount, from words to struct mnt_overlay. Pure. */
#include "mnt/internal.h"

#include <string.h>

/* What the kernel does anyway. */
static const char *const as_it_is[] = { "index=off", "redirect_dir=off", "metacopy=off" };

static int add_lower(struct mnt_overlay *o, const char **list, const char *path, struct err *err)
{
	if (*path != '/')
		return err_set(err, ERR_INVALID, "lowerdir \"%s\": not an absolute path", path);
	if (o->n_lowers == MNT_LOWERS_MAX)
		return err_set(err, ERR_LIMIT, "more than the %d layers that overlay takes", MNT_LOWERS_MAX);
	list[o->n_lowers++] = path;
	return 0;
}

/* "a:b\:c" → "a", "b:c": the kernel's escape of a colon in a layer's path. */
static int split_lowers(struct mnt_overlay *o, const char **list, const char *value, struct arena *a,
			struct err *err)
{
	for (const char *p = value;; p++) {
		char *path = arena_new(a, strcspn(p, "\\:") + strlen(p) + 1, 1), *out = path;
		int r;

		while (*p && *p != ':') {
			if (*p == '\\' && p[1])
				p++;
			*out++ = *p++;
		}
		r = add_lower(o, list, path, err);
		if (r < 0 || !*p)
			return r;
	}
}

int mnt_overlay_parse(const char *const *data, size_t n, struct arena *a, const struct mnt_overlay **ret,
		      struct err *err)
{
	struct mnt_overlay *o = arena_new(a, 1, sizeof(*o));
	const char **list = arena_new(a, MNT_LOWERS_MAX, sizeof(*list));
	int r = 0;

	*o = (struct mnt_overlay)MNT_OVERLAY_INIT;
	o->lowers = list;
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *value;

		if ((value = str_skip_prefix(data[i], "lowerdir+=")))
			r = add_lower(o, list, value, err);
		/* "::" begins data-only layers: for the kernel alone */
		else if ((value = str_skip_prefix(data[i], "lowerdir=")) && strstr(value, "::"))
			return 0;
		else if (value && o->n_lowers)
			r = err_set(err, ERR_INVALID, "overlay: lowerdir is given twice");
		else if (value)
			r = split_lowers(o, list, value, a, err);
		else if ((value = str_skip_prefix(data[i], "upperdir=")))
			o->upper = value;
		else if ((value = str_skip_prefix(data[i], "workdir=")))
			o->work = value;
		else if ((value = str_skip_prefix(data[i], "X-mount.subdir=")))
			o->subdir = value;
		else if (str_eq(data[i], "volatile"))
			o->is_volatile = true;
		else if (!str_in(data[i], as_it_is, ARRAY_LEN(as_it_is)))
			return 0;
	}
	if (r < 0)
		return r;
	if (!o->n_lowers)
		return err_set(err, ERR_INVALID, "overlay: no lowerdir");
	if (!o->upper != !o->work)
		return err_set(err, ERR_INVALID, "overlay: upperdir and workdir go together");
	if (o->upper && (*o->upper != '/' || *o->work != '/'))
		return err_set(err, ERR_INVALID, "overlay: upperdir and workdir must be absolute paths");
	*ret = o;
	return 1;
}
