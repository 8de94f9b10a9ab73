/* Users: every way of asking, against one /etc/passwd and /etc/group, and hostile ones. */
#include "pod/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char passwd[] =
	"root:x:0:0:root:/root:/bin/sh\n"
	"# comment\n"
	"broken line\n"
	"short:x:7\n"
	"big:x:99999999999:0::/:\n"
	"www-data:x:33:33:www:/var/www:/usr/sbin/nologin\n"
	"app:x:1001:1002::relative:/bin/sh\n"
	"nolast:x:5:6::/n:/bin/sh";

static const char group[] =
	"root:x:0:\n"
	"www-data:x:33:\n"
	"video:x:44:app,www-data\n"
	"audio:x:29:other,app\n"
	"apps:x:1002:\n"
	"bad:x:notanumber:app\n"
	"prefix:x:50:application\n";

struct row {
	const char *name;
	int64_t user, group; /* -1: not given */
	const char *username, *image;
	bool strict;
	int64_t extra; /* one supplemental group, -1: none */
	int result;    /* 0, or an err_kind */
	uint32_t uid, gid;
	const char *groups, *home;
};

static const struct row rows[] = {
	{ "nothing asked: root", -1, -1, NULL, NULL, false, -1, 0, 0, 0, "0", "/root" },
	{ "a name of the image", -1, -1, NULL, "www-data", false, -1, 0, 33, 33, "33 44", "/var/www" },
	{ "name:name", -1, -1, NULL, "app:video", false, -1, 0, 1001, 44, "44 29", "/" },
	{ "number:number", -1, -1, NULL, "1003:1004", false, -1, 0, 1003, 1004, "1004", "/" },
	{ "a number with an entry gets its group", -1, -1, NULL, "1001", false, -1, 0, 1001, 1002,
	  "1002 44 29", "/" },
	{ "a number without an entry: group 0", 4242, -1, NULL, "app", false, -1, 0, 4242, 0, "0", "/" },
	{ "the request wins", 0, -1, NULL, "app", false, -1, 0, 0, 0, "0", "/root" },
	{ "user and group asked", 1001, 5, NULL, "", false, -1, 0, 1001, 5, "5 44 29", "/" },
	{ "a user name asked", -1, -1, "www-data", "0:0", false, -1, 0, 33, 33, "33 44", "/var/www" },
	{ "group beside a user name", -1, 7, "app", NULL, false, -1, 0, 1001, 7, "7 44 29", "/" },
	{ "supplemental, merged", 1001, -1, NULL, NULL, false, 777, 0, 1001, 1002, "1002 777 44 29", "/" },
	{ "supplemental, strict", 1001, -1, NULL, NULL, true, 777, 0, 1001, 1002, "1002 777", "/" },
	{ "no end of line", -1, -1, "nolast", NULL, false, -1, 0, 5, 6, "6", "/n" },
	{ "group alone is refused", -1, 5, NULL, "app", false, -1, ERR_INVALID },
	{ "an unknown name is refused", -1, -1, "nobody-here", NULL, false, -1, ERR_INVALID },
	{ "an unknown name of the image is refused", -1, -1, NULL, "ghost", false, -1, ERR_INVALID },
	{ "an unknown group is refused", -1, -1, NULL, "app:ghosts", false, -1, ERR_INVALID },
	{ "a broken entry is no entry", -1, -1, "short", NULL, false, -1, ERR_INVALID },
	{ "an id beyond the kernel's is no entry", -1, -1, "big", NULL, false, -1, ERR_INVALID },
	{ "a negative id is refused", -5, -1, NULL, NULL, false, -1, ERR_INVALID },
	{ "a large id is refused", -1, -1, NULL, "4294967295", false, -1, ERR_INVALID },
};

static void users_are_resolved_as_asked(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		int64_t user = r->user, gid = r->group, extra = r->extra;
		struct pod_security s = {
			.run_as_user = user == -1 ? NULL : &user, .run_as_group = gid == -1 ? NULL : &gid,
			.run_as_username = (char *)r->username, .supplemental_strict = r->strict,
			.supplemental_groups = &extra, .n_supplemental_groups = extra == -1 ? 0 : 1,
		};
		struct err err = ERR_INIT;
		struct pod_user u;
		char list[256] = "";
		int n = pod_user_resolve(&s, r->image, passwd, group, &a, &u, &err);

		if (r->result) {
			if (n == 0 || err.kind != (enum err_kind)r->result)
				fail_msg("%s: %d %s", r->name, n, err.text);
			continue;
		}
		if (n < 0)
			fail_msg("%s: %s", r->name, err.text);
		for (size_t k = 0; k < u.n_groups; k++)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%u", k ? " " : "",
				 u.groups[k]);
		if (u.uid != r->uid || u.gid != r->gid || strcmp(list, r->groups) || strcmp(u.home, r->home))
			fail_msg("%s: %u:%u [%s] %s", r->name, u.uid, u.gid, list, u.home);
	}
}

static void a_missing_passwd_is_an_empty_one(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct pod_security s = { 0 };
	struct err err = ERR_INIT;
	struct pod_user u;

	assert_int_equal(pod_user_resolve(&s, "12", "", "", &a, &u, &err), 0);
	assert_int_equal(u.uid, 12);
	assert_string_equal(u.home, "/");
	assert_int_equal(pod_user_resolve(&s, "www-data", "", "", &a, &u, &err) < 0, 1);
	assert_non_null(strstr(err.text, "www-data"));
}

static void a_group_with_endless_members_is_bounded(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf text = BUF_INIT(16 << 20);
	struct pod_security s = { 0 };
	struct err err = ERR_INIT;
	struct pod_user u;

	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "g%d:x:%d:root\n", i, i + 10);
	assert_int_equal(pod_user_resolve(&s, "root", passwd, buf_text(&text), &a, &u, &err), 0);
	assert_true(u.n_groups <= POD_GROUPS_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_resolved_as_asked),
		cmocka_unit_test(a_missing_passwd_is_an_empty_one),
		cmocka_unit_test(a_group_with_endless_members_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
