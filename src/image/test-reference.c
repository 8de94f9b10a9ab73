#include "image/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX

static void names_get_the_canonical_form_that_docker_gives_them(void **state)
{
	static const struct {
		const char *text, *canonical;
	} rows[] = {
		{ "nginx", "docker.io/library/nginx:latest" },
		{ "nginx:1.25", "docker.io/library/nginx:1.25" },
		{ "user/app", "docker.io/user/app:latest" },
		{ "docker.io/nginx", "docker.io/library/nginx:latest" },
		{ "index.docker.io/a/b:c", "docker.io/a/b:c" },
		{ "localhost/app", "localhost/app:latest" },
		{ "localhost:5000/app", "localhost:5000/app:latest" },
		{ "localhost:5000", "docker.io/library/localhost:5000" },
		{ "host.example:443/a/b/c_d/e-f.g:V1.0_x", "host.example:443/a/b/c_d/e-f.g:V1.0_x" },
		{ "Host/app", "Host/app:latest" },
		{ "127.0.0.1:5000/x", "127.0.0.1:5000/x:latest" },
		{ "[::1]:5000/x:1", "[::1]:5000/x:1" },
		{ "[fd00::2]/x", "[fd00::2]/x:latest" },
		{ "a__b/c---d", "docker.io/a__b/c---d:latest" },
		{ "nginx@" DIGEST, "docker.io/library/nginx@" DIGEST },
		{ "r.io:1/x:tag@" DIGEST, "r.io:1/x@" DIGEST },
		{ "r.io/" HEX, "r.io/" HEX ":latest" },
		/* not names */
		{ "", NULL },
		{ "Nginx", NULL },
		{ "a/B", NULL },
		{ "../etc", NULL },
		{ "a/../b", NULL },
		{ "r.io/../x", NULL },
		{ "r.io/a//b", NULL },
		{ "r.io//a", NULL },
		{ "/a", NULL },
		{ "a/", NULL },
		{ "r.io/", NULL },
		{ "a:", NULL },
		{ "a:.x", NULL },
		{ "a:b/c", NULL },
		{ "a:b:c", NULL },
		{ "a b", NULL },
		{ "a\n", NULL },
		{ "a%2f", NULL },
		{ "a___b", NULL },
		{ "a..b", NULL },
		{ "-a", NULL },
		{ "a-", NULL },
		{ "r.io:/a", NULL },
		{ "r.io:99999/a", NULL },
		{ "r.io:0/a", NULL },
		{ "-r.io/a", NULL },
		{ "r..io/a", NULL },
		{ "r.io./a", NULL },
		{ "user@r.io/a", NULL },
		{ "[::1/a", NULL },
		{ "[]/a", NULL },
		{ "[::1]x/a", NULL },
		{ "a@sha256:123", NULL },
		{ "a@sha512:" HEX, NULL },
		{ "a@", NULL },
		{ "@" DIGEST, NULL },
		{ "a@" DIGEST "0", NULL },
		{ DIGEST, NULL },
		{ HEX, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[REFERENCE_TEXT_MAX] = "";
		struct reference r;
		struct err err = ERR_INIT;
		int e = reference_parse(rows[i].text, &r, &err);

		if (e == 0)
			reference_format(&r, out);
		if ((e == 0) != !!rows[i].canonical || (e == 0 && strcmp(out, rows[i].canonical) != 0))
			fail_msg("\"%s\": %s %s", rows[i].text, out, err.text);
		if (e < 0)
			assert_int_equal(err.kind, ERR_INVALID);
	}
}

static void lengths_are_bounded(void **state)
{
	char text[1200];
	struct reference r;
	struct err err = ERR_INIT;

	memset(text, 'a', sizeof(text));
	text[1199] = '\0';
	assert_true(reference_parse(text, &r, &err) < 0);
	text[256 - strlen("docker.io/library/")] = '\0';
	assert_true(reference_parse(text, &r, &err) < 0);
	text[255 - strlen("docker.io/library/")] = '\0';
	assert_int_equal(reference_parse(text, &r, &err), 0);
	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[130] = '\0';
	assert_int_equal(reference_parse(text, &r, &err), 0);
	text[130] = 'a';
	text[131] = '\0';
	assert_true(reference_parse(text, &r, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_get_the_canonical_form_that_docker_gives_them),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
