/*
 * /etc/passwd and /etc/group line by line, without copies: a cursor hands out the fields of
 * one line at a time.
 */
#include "pod/users.h"

#include <stdio.h>

enum { FIELDS_MAX = 7, ID_MAX = 0x7fffffff };

struct field {
	const char *s;
	size_t len;
};

/* The next line's fields; how many there are, -1 at the end of the text. */
static int next_line(const char **text, struct field f[FIELDS_MAX])
{
	const char *p = *text, *end;
	int n = 0;

	if (!*p)
		return -1;
	end = strchrnul(p, '\n');
	*text = *end ? end + 1 : end;
	while (n < FIELDS_MAX) {
		const char *colon = memchr(p, ':', (size_t)(end - p));
		const char *stop = colon ? colon : end;

		f[n++] = (struct field){ p, (size_t)(stop - p) };
		if (!colon)
			break;
		p = colon + 1;
	}
	return n;
}

static bool is(const struct field *f, const char *s)
{
	return f->len == strlen(s) && memcmp(f->s, s, f->len) == 0;
}

static bool number(const struct field *f, uint32_t *ret)
{
	char text[16];

	if (!f->len || f->len >= sizeof(text))
		return false;
	memcpy(text, f->s, f->len);
	text[f->len] = '\0';
	return str_to_u32(text, 10, ret) == 0 && *ret <= ID_MAX;
}

struct account {
	uint32_t uid, gid;
	struct field name, home;
};

/* By name, or by uid when name is NULL: the first entry, as getpwnam(3) gives it. */
static bool find_account(const char *passwd, const char *name, uint32_t uid, struct account *ret)
{
	struct field f[FIELDS_MAX];
	int n;

	while ((n = next_line(&passwd, f)) >= 0) {
		struct account acc;

		if (n < 6 || !f[0].len || !number(&f[2], &acc.uid) || !number(&f[3], &acc.gid))
			continue;
		if (name ? !is(&f[0], name) : acc.uid != uid)
			continue;
		acc.name = f[0];
		acc.home = f[5];
		*ret = acc;
		return true;
	}
	return false;
}

static bool find_group(const char *group, const char *name, uint32_t *ret)
{
	struct field f[FIELDS_MAX];
	int n;

	while ((n = next_line(&group, f)) >= 0)
		if (n >= 3 && is(&f[0], name) && number(&f[2], ret))
			return true;
	return false;
}

static bool is_member(const struct field *list, const struct field *name)
{
	const char *p = list->s, *end = p + list->len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - p) == name->len && memcmp(p, name->s, name->len) == 0)
			return true;
		p = stop + 1;
	}
	return false;
}

static void add_group(struct pod_user *u, size_t max, uint32_t gid)
{
	for (size_t i = 0; i < u->n_groups; i++)
		if (u->groups[i] == gid)
			return;
	if (u->n_groups < max)
		u->groups[u->n_groups++] = gid;
}

/* How many groups list the account; each line at most once. */
static size_t count_memberships(const char *group, const struct field *name)
{
	struct field f[FIELDS_MAX];
	size_t count = 0;
	int n;

	while ((n = next_line(&group, f)) >= 0)
		count += n >= 4 && is_member(&f[3], name);
	return count < POD_GROUPS_MAX ? count : POD_GROUPS_MAX;
}

static int check_id(const char *field, int64_t id, struct err *err)
{
	if (id >= 0 && id <= ID_MAX)
		return 0;
	return err_set(err, ERR_INVALID, "%s: %lld is no id", field, (long long)id);
}

/* What was asked for, as name or number. */
struct wish {
	const char *user, *group; /* names, NULL for numbers */
	uint32_t uid, gid;
	bool has_group;
};

static int wish_of_image(const char *image_user, struct arena *a, struct wish *w, struct err *err)
{
	const char *colon = strchr(image_user, ':');
	char *user = colon ? arena_strndup(a, image_user, (size_t)(colon - image_user)) :
			     arena_strdup(a, image_user);
	uint64_t id;

	if (!*user)
		w->uid = 0;
	else if (str_to_u64(user, 10, &id) < 0)
		w->user = user;
	else if (id > ID_MAX)
		return err_set(err, ERR_INVALID, "user %s of the image: no id", user);
	else
		w->uid = (uint32_t)id;
	if (!colon || !colon[1])
		return 0;
	w->has_group = true;
	if (str_to_u64(colon + 1, 10, &id) < 0)
		w->group = arena_strdup(a, colon + 1);
	else if (id > ID_MAX)
		return err_set(err, ERR_INVALID, "group %s of the image: no id", colon + 1);
	else
		w->gid = (uint32_t)id;
	return 0;
}

static int wish_of(const struct pod_security *s, const char *image_user, struct arena *a, struct wish *w,
		   struct err *err)
{
	int r = 0;

	if (s->run_as_group && !s->run_as_user && str_empty(s->run_as_username))
		return err_set(err, ERR_INVALID,
			       "run_as_group is given without run_as_user or run_as_username");
	if (s->run_as_user) {
		r = check_id("run_as_user", *s->run_as_user, err);
		w->uid = (uint32_t)*s->run_as_user;
	} else if (!str_empty(s->run_as_username)) {
		w->user = s->run_as_username;
	} else {
		r = wish_of_image(image_user ? image_user : "", a, w, err);
	}
	if (r == 0 && s->run_as_group) {
		r = check_id("run_as_group", *s->run_as_group, err);
		w->has_group = true;
		w->group = NULL;
		w->gid = (uint32_t)*s->run_as_group;
	}
	return r;
}

int pod_user_resolve(const struct pod_security *s, const char *image_user, const char *passwd,
		     const char *group, struct arena *a, struct pod_user *ret, struct err *err)
{
	struct pod_user u = { .home = "/" };
	struct wish w = { 0 };
	struct account acc;
	size_t max, n_member;
	bool known;
	int r = wish_of(s, image_user, a, &w, err);

	if (r < 0)
		return r;
	known = find_account(passwd, w.user, w.uid, &acc);
	if (w.user && !known)
		return err_set(err, ERR_INVALID, "user %s: not in the image's /etc/passwd", w.user);
	u.uid = known ? acc.uid : w.uid;
	if (w.group && !find_group(group, w.group, &u.gid))
		return err_set(err, ERR_INVALID, "group %s: not in the image's /etc/group", w.group);
	if (!w.group)
		u.gid = w.has_group ? w.gid : known ? acc.gid : 0;
	if (known) {
		u.name = arena_strndup(a, acc.name.s, acc.name.len);
		if (acc.home.len && acc.home.s[0] == '/')
			u.home = arena_strndup(a, acc.home.s, acc.home.len);
	}

	if (s->n_supplemental_groups > POD_GROUPS_MAX)
		return err_set(err, ERR_LIMIT, "supplemental_groups: more than %d", POD_GROUPS_MAX);
	n_member = known && !s->supplemental_strict ? count_memberships(group, &acc.name) : 0;
	max = 1 + s->n_supplemental_groups + n_member;
	u.groups = arena_new(a, max, sizeof(*u.groups));
	add_group(&u, max, u.gid);
	for (size_t i = 0; i < s->n_supplemental_groups; i++) {
		r = check_id("supplemental_groups", s->supplemental_groups[i], err);
		if (r < 0)
			return r;
		add_group(&u, max, (uint32_t)s->supplemental_groups[i]);
	}
	for (int n; n_member;) {
		struct field f[FIELDS_MAX];
		uint32_t gid;

		n = next_line(&group, f);
		if (n < 0)
			break;
		if (n >= 4 && is_member(&f[3], &acc.name) && number(&f[2], &gid))
			add_group(&u, max, gid);
	}
	*ret = u;
	return 0;
}
