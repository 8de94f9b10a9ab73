/* TOML, hosts.toml, and which hosts are chosen from which settings. */
#include "registry/hosts.h"
#include "registry/registry.h"
#include "registry/toml.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>

static const struct toml *toml(const char *text, struct arena *a, struct err *err)
{
	const struct toml *root = NULL;

	if (toml_read("t.toml", text, strlen(text), a, &root, err) < 0)
		return NULL;
	return root;
}

static void toml_is_read_as_written(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	const struct toml *t = toml("a = \"x\\ty\\u00e9\" # comment\n"
				    "b.c = 'C:\\n'\r\n"
				    "\"d e\" = [1, -2_0,\n  [true], # inside\n]\n"
				    "m = \"\"\"\nfirst\nsec\\\n   ond\"\"\"\n"
				    "when = 1979-05-27 07:32:00Z\npi = 3.14\n"
				    "p = {x = 1, y.z = {}}\n"
				    "[t.\"https://a.b\"]\nk = 1\n[t]\nown = 2\n"
				    "[[list]]\nv = 1\n[[list]]\nv = 2\n",
				    &a, &err);
	const struct toml *v;

	assert_non_null(t);
	assert_string_equal(toml_get(t, "a")->text, "x\ty\xc3\xa9");
	assert_string_equal(toml_get(toml_get(t, "b"), "c")->text, "C:\\n");
	v = toml_get(t, "d e");
	assert_int_equal(v->first->number, 1);
	assert_int_equal(v->first->next->number, -20);
	assert_true(v->first->next->next->first->truth);
	assert_string_equal(toml_get(t, "m")->text, "first\nsecond");
	assert_int_equal(toml_get(t, "pi")->kind, TOML_OTHER);
	assert_string_equal(toml_get(t, "when")->text, "1979-05-27 07:32:00Z");
	assert_int_equal(toml_get(toml_get(toml_get(t, "t"), "https://a.b"), "k")->number, 1);
	assert_int_equal(toml_get(toml_get(t, "t"), "own")->number, 2);
	assert_int_equal(toml_get(toml_get(t, "list")->first->next, "v")->number, 2);
}

static void wrong_toml_is_refused_with_its_line(void **state)
{
	static const char *const texts[][2] = {
		{ "a = 1\na = 2\n", "t.toml:2: a: given twice" },
		{ "a = \"x\n", "t.toml:1: a string does not end" },
		{ "a = 1 2\n", "t.toml:1: something stands behind the value on its line" },
		{ "a =\n", "t.toml:1: expected a value" },
		{ "a = yes\n", "t.toml:1: yes: is no value; a string needs quotes" },
		{ "[a]\n[a]\n", "t.toml:2: a: given twice" },
		{ "a = {x = 1}\n[a.b]\n", "t.toml:2: a: is no table that can be added to" },
		{ "a = \"\\q\"\n", "t.toml:1: unknown escape in a string" },
		{ "a = [1,\n2\n", "t.toml:3: expected a comma or ] in an array" },
		{ "\n= 1\n", "t.toml:2: expected a key" },
		{ "a = [[[[[[[[[[[[[[[[[[[[", "t.toml:1: nested too deep" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct err err = ERR_INIT;

		assert_null(toml(texts[i][0], &a, &err));
		assert_string_equal(err.text, texts[i][1]);
	}
}

static void hosts_toml_says_hosts_in_its_order(void **state)
{
	static const char text[] = "server = \"https://docker.io\"\n"
				   "[host.\"http://m1:5000\"]\n"
				   "  capabilities = [\"pull\"]\n"
				   "  skip_verify = true\n"
				   "[host.\"http://m1:5000\".header]\n"
				   "  X-Who = [\"a\", \"b\"]\n"
				   "[host.\"https://m2/prefix/\"]\n"
				   "  ca = [\"ca.pem\", \"/abs.pem\"]\n"
				   "  client = [[\"c.pem\", \"k.pem\"]]\n"
				   "  dial_timeout = \"1m30s\"\n"
				   "[host.\"https://m3/own/v2/x\"]\n"
				   "  override_path = true\n";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct host_files files[HOSTS_MAX];
	struct err err = ERR_INIT;
	struct host *h = NULL;

	assert_int_equal(hosts_toml_read("h", text, strlen(text), "docker.io", &a, &h, files, &err), 0);
	assert_string_equal(h->name, "m1:5000");
	assert_string_equal(h->path, "/v2");
	assert_true(h->mirror && h->pull && !h->resolve && h->skip_verify);
	assert_int_equal(h->schemes[0], SCHEME_HTTP);
	assert_int_equal(h->n_schemes, 1);
	assert_int_equal(h->n_headers, 2);
	assert_string_equal(h->headers[1], "X-Who: b");
	h = h->next;
	assert_string_equal(h->name, "m2");
	assert_string_equal(h->path, "/prefix/v2");
	assert_int_equal(h->connect_timeout, 90 * NSEC_PER_SEC);
	assert_string_equal(files[1].ca[1], "/abs.pem");
	assert_string_equal(files[1].client[1], "k.pem");
	h = h->next;
	assert_string_equal(h->path, "/own/v2/x");
	h = h->next;
	assert_string_equal(h->name, "docker.io");
	assert_false(h->mirror);
	assert_null(h->next);
}

static void wrong_hosts_toml_is_refused_by_key(void **state)
{
	static const char *const texts[][2] = {
		{ "servr = \"x\"\n", "h:1: servr: no such key" },
		{ "[host.\"http://m\"]\ncapabilities = \"pull\"\n", "h:2: capabilities: expected an array" },
		{ "[host.\"http://m\"]\ncapabilities = [\"fly\"]\n",
		  "h:2: capabilities: expected pull, resolve, push or referrers" },
		{ "[host.\"http://m\"]\ndial_timeout = \"soon\"\n",
		 "h:2: dial_timeout: expected a duration such as \"10s\"" },
		{ "[host.\"http://m a\"]\n",
		  "h:1: \"http://m a\" is no address of a registry (https://host:port/path)" },
		{ "[host.\"http://m\"]\nclient = [[\"a\",\"b\"],[\"c\",\"d\"]]\n",
		  "h:2: client: expected a path, or one pair of a certificate's and a key's path" },
		{ "[host.\"http://m\".header]\nx = \"a\\r\\nb: c\"\n",
		  "h:2: x: expected a header's value, or an array of them" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct host_files files[HOSTS_MAX];
		struct err err = ERR_INIT;
		struct host *h;

		assert_true(hosts_toml_read("h", texts[i][0], strlen(texts[i][0]), "x.org", &a, &h, files,
					    &err) < 0);
		assert_string_equal(err.text, texts[i][1]);
	}
}

/* "name|path|source" of the hosts for a registry, one a line */
static char *chosen(const struct registry_settings *s, const char *registry, struct arena *a)
{
	struct policy *p = policy_new(s);
	struct err err = ERR_INIT;
	struct host *h;
	char *out = arena_strdup(a, "");

	if (hosts_choose(p, registry, a, &h, &err) < 0)
		out = arena_strdup(a, err.text);
	else
		for (; h; h = h->next)
			out = arena_printf(a, "%s%s%s%s%s\n", out,
					   h->schemes[0] == SCHEME_HTTP ? "http://" : "https://",
					   h->name, h->path, h->broken ? " broken" : "");
	policy_unref(p);
	return out;
}

static void write_file(const char *dir, const char *sub, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", dir, sub, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void the_nearest_setting_decides(void **state)
{
	static const char yaml[] = "registries:\n"
				   "  docker.io: {mirrors: [{url: 'http://mine:1'}], fallback: false}\n"
				   "  _default: {mirrors: [{url: m.example/x}]}\n";
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char dir[] = "/tmp/hosts-XXXXXX", command[64];
	const char *dirs[] = { "/nonexistent", dir };
	struct registry_settings s = { .hosts_dirs = dirs, .n_hosts_dirs = 2 };
	struct err err = ERR_INIT;
	struct config c;

	assert_non_null(mkdtemp(dir));
	write_file(dir, "docker.io", "hosts.toml", "[host.\"https://d.example\"]\n");
	write_file(dir, "localhost_5000_", "hosts.toml", "server = \"http://other:2\"\n");
	write_file(dir, "q.example", "hosts.toml", "ca = \"missing.pem\"\n");
	write_file(dir, "w.example", "hosts.toml", "wrong\n");
	write_file(dir, "certs.example", "ca.crt", "PEM");
	assert_string_equal(chosen(&s, "docker.io", &a),
			    "https://d.example/v2\nhttps://registry-1.docker.io/v2\n");
	assert_string_equal(chosen(&s, "localhost:5000", &a), "http://other:2/v2\n");
	assert_string_equal(chosen(&s, "localhost:5001", &a), "http://localhost:5001/v2\n");
	assert_string_equal(chosen(&s, "ghcr.io", &a), "https://ghcr.io/v2\n");
	assert_string_equal(chosen(&s, "q.example", &a), "https://q.example/v2 broken\n");
	assert_string_equal(chosen(&s, "certs.example", &a), "https://certs.example/v2\n");
	assert_non_null(strstr(chosen(&s, "w.example", &a), "w.example/hosts.toml:1: wrong: expected ="));
	assert_int_equal(config_read("y", yaml, strlen(yaml), &a, &c, &err), 0);
	s.registries = c.registries;
	s.n_registries = c.n_registries;
	assert_string_equal(chosen(&s, "docker.io", &a), "http://mine:1/v2\n");
	assert_string_equal(chosen(&s, "q.example", &a), "https://q.example/v2 broken\n");
	assert_string_equal(chosen(&s, "ghcr.io", &a), "https://m.example/x/v2\nhttps://ghcr.io/v2\n");
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void a_rewrite_replaces_the_beginning_of_a_repository(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	char *rewrites[] = { (char *)"library/", (char *)"hub/", (char *)"", (char *)"rest/" };
	struct host h = { .rewrites = rewrites, .n_rewrites = 4 };

	assert_string_equal(host_repository(&h, "library/nginx", &a), "hub/nginx");
	assert_string_equal(host_repository(&h, "user/app", &a), "rest/user/app");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(toml_is_read_as_written),
		cmocka_unit_test(wrong_toml_is_refused_with_its_line),
		cmocka_unit_test(hosts_toml_says_hosts_in_its_order),
		cmocka_unit_test(wrong_hosts_toml_is_refused_by_key),
		cmocka_unit_test(the_nearest_setting_decides),
		cmocka_unit_test(a_rewrite_replaces_the_beginning_of_a_repository),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
