/*
 * Maps of an idmapped mount as crun takes them in an option: "uids=0-1-10#10-11-10;gids=0-100-10".
 * Pure.
 */
#include "mnt/mnt.h"

/* "INSIDE-OUTSIDE-SIZE" at *text, which moves behind it. */
static int parse_numbers(const char **text, uint32_t numbers[3])
{
	for (size_t i = 0; i < 3; i++) {
		size_t digits = strspn(*text, "0123456789");
		char number[12];

		if (!digits || digits >= sizeof(number))
			return -EINVAL;
		memcpy(number, *text, digits);
		number[digits] = '\0';
		if (str_to_u32(number, 10, &numbers[i]) < 0)
			return -EINVAL;
		*text += digits;
		if (i < 2 && *(*text)++ != '-')
			return -EINVAL;
	}
	return 0;
}

/* "RANGE#RANGE…" at *text, which moves to its end. */
static int parse_ranges(const char *name, const char **text, const struct ns_id_map *own, size_t n_own,
			struct arena *a, const struct ns_id_map **ret, size_t *ret_n, struct err *err)
{
	struct ns_id_map *maps = arena_new(a, NS_MAPS_MAX, sizeof(*maps));
	size_t n = 0, at;

	for (const char *p = *text;; p++) {
		bool relative = *p == '@';
		uint32_t numbers[3], outside;

		p += relative;
		if (n == NS_MAPS_MAX)
			return err_set(err, ERR_INVALID, "%s: more than %d ranges", name, NS_MAPS_MAX);
		if (parse_numbers(&p, numbers) < 0 || !strchr("#;", *p))
			return err_set(err, ERR_INVALID, "%s[%zu] is not INSIDE-OUTSIDE-SIZE", name, n);
		outside = numbers[1];
		if (relative && ns_maps_find(own, n_own, numbers[1], &outside) < 0)
			return err_set(err, ERR_INVALID, "%s[%zu]: %u is no id of the container's user "
				       "namespace", name, n, numbers[1]);
		maps[n++] = (struct ns_id_map){ numbers[0], outside, numbers[2] };
		if (*p == '#')
			continue;
		*text = p;
		break;
	}
	if (ns_maps_check(maps, n, &at) < 0)
		return err_set(err, ERR_INVALID, "%s[%zu]: empty, or overlaps another", name, at);
	*ret = maps;
	*ret_n = n;
	return 0;
}

int mnt_idmap_parse(const char *text, const struct mnt_idmap *own, struct arena *a, struct mnt_idmap *ret,
		    struct err *err)
{
	struct mnt_idmap out = { 0 };

	for (const char *p = text;; p++) {
		const char *rest;
		int r;

		if ((rest = str_skip_prefix(p, "uids=")) && !out.n_uids)
			r = parse_ranges("uids", &rest, own->uids, own->n_uids, a, &out.uids, &out.n_uids,
					 err);
		else if ((rest = str_skip_prefix(p, "gids=")) && !out.n_gids)
			r = parse_ranges("gids", &rest, own->gids, own->n_gids, a, &out.gids, &out.n_gids,
					 err);
		else
			r = err_set(err, ERR_INVALID, "\"%s\" is not uids=…;gids=…, each once", text);
		if (r < 0)
			return r;
		p = rest;
		if (!*p)
			break;
	}
	if (!out.n_uids || !out.n_gids)
		return err_set(err, ERR_INVALID, "uids= and gids= go together");
	*ret = out;
	return 0;
}
