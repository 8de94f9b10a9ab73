#include "sys/sys.h"

#include "base/base.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

/* A directory of its own for each test, gone afterwards. */
static int setup(void **state)
{
	char *dir = mem_strdup("/tmp/caisson-path-XXXXXX");

	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	int r = sys_remove_tree(AT_FDCWD, *state);

	free(*state);
	return r;
}

static int open_dir(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	assert_int_equal(fstat(a, &x), 0);
	assert_int_equal(fstat(b, &y), 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void test_links_stay_inside_root(void **state)
{
	autofd int root = open_dir(*state), etc = -EBADF, got = -EBADF;

	assert_int_equal(mkdirat(root, "etc", 0755), 0);
	assert_int_equal(symlinkat("/etc", root, "abs"), 0);
	assert_int_equal(symlinkat("../../../../etc", root, "up"), 0);
	assert_int_equal(symlinkat("/proc/self/root", root, "magic"), 0);
	assert_int_equal(sys_open_in(root, "etc", O_PATH, 0, &etc), 0);
	for (const char *const *p = (const char *const[]){ "abs", "up", "../../etc", "/etc", NULL }; *p; p++) {
		fd_drop(&got);
		assert_int_equal(sys_open_in(root, *p, O_PATH, 0, &got), 0);
		assert_true(same_file(etc, got));
	}
	assert_int_equal(sys_open_in(root, "magic/etc", O_PATH, 0, &got), -ENOENT);
	assert_int_equal(sys_open_beneath(root, "abs", O_PATH, 0, &got), -ELOOP);
	assert_int_equal(sys_open_beneath(root, "../x", O_PATH, 0, &got), -EXDEV);
}

static void test_mkdir_follows_links_inside_root_only(void **state)
{
	autofd int root = open_dir(*state), a = -EBADF, b = -EBADF;

	assert_int_equal(symlinkat("/target/deep", root, "dangling"), 0);
	assert_int_equal(sys_mkdir_in(root, "dangling/x/../y", 0755, &a), 0);
	assert_int_equal(sys_open_beneath(root, "target/deep/y", O_PATH, 0, &b), 0);
	assert_true(same_file(a, b));
	fd_drop(&b);
	assert_int_equal(sys_open_beneath(root, "target/deep/x", O_PATH, 0, &b), 0);
	fd_drop(&a);
	fd_drop(&b);
	assert_int_equal(sys_mkdir_in(root, "../../../escape", 0755, &a), 0);
	assert_int_equal(sys_open_beneath(root, "escape", O_PATH, 0, &b), 0);
	fd_drop(&a);
	assert_int_equal(symlinkat("loop", root, "loop"), 0);
	assert_int_equal(sys_mkdir_in(root, "loop/x", 0755, &a), -ELOOP);
}

/* A name that ends in "/" takes the long way, component by component: the same comes of both. */
static void test_mkdir_comes_to_the_same_by_both_ways(void **state)
{
	static const char *const rows[] = {
		"new", "/new", "there/new", "there/new/er", "link/new", "abs/new", "up/new", "there/../new",
		"there/./new", "../../new", "file/new", "file", "dangling/new", "dangling", "loop/new",
		"there", "link", "there/..", "there/.", "magic/new", "missing/../new", "", ".",
		"not/there/and/one/more",
	};
	static const char *const links[][2] = {
		{ "link", "there" }, { "abs", "/there" }, { "up", "../../there" },
		{ "dangling", "/no/where" }, { "loop", "loop" }, { "magic", "/proc/self/root" },
	};
	autofd int base = open_dir(*state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char place[2][PATH_MAX] = { "", "" };
		unsigned made[2] = { 0, 0 };
		int results[2];

		for (int way = 0; way < 2; way++) {
			char path[128], link[SYS_FD_PATH_MAX], above[PATH_MAX];
			autofd int root = -EBADF, fd = -EBADF;
			struct stat st;
			ssize_t n;

			assert_int_equal(mkdirat(base, "root", 0755), 0);
			assert_int_equal(sys_open_beneath(base, "root", O_PATH | O_DIRECTORY, 0, &root), 0);
			assert_int_equal(mkdirat(root, "there", 0755), 0);
			for (size_t k = 0; k < ARRAY_LEN(links); k++)
				assert_int_equal(symlinkat(links[k][1], root, links[k][0]), 0);
			assert_int_equal(mknodat(root, "file", S_IFREG | 0600, 0), 0);
			snprintf(path, sizeof(path), "%s%s", rows[i], way ? "/" : "");
			results[way] = sys_mkdir_in(root, path, 0751, &fd);
			if (fd >= 0) {
				n = readlink(sys_fd_path(root, link), above, sizeof(above));
				assert_true(n > 0);
				assert_true(readlink(sys_fd_path(fd, link), place[way], PATH_MAX - 1) >= n);
				assert_int_equal(fstat(fd, &st), 0);
				made[way] = st.st_mode;
			}
			assert_int_equal(sys_remove_tree(base, "root"), 0);
		}
		if (results[0] != results[1] || made[0] != made[1] || strcmp(place[0], place[1]) != 0)
			fail_msg("\"%s\": %d %o %s, %d %o %s", rows[i], results[0], made[0], place[0],
				 results[1], made[1], place[1]);
	}
}

static void test_mkfile_makes_the_target_of_a_dangling_link(void **state)
{
	autofd int root = open_dir(*state), a = -EBADF, b = -EBADF;
	struct stat st;

	assert_int_equal(symlinkat("/run/resolv.conf", root, "resolv.conf"), 0);
	assert_int_equal(sys_mkfile_in(root, "/resolv.conf", 0755, 0644, &a), 0);
	assert_int_equal(sys_open_beneath(root, "run/resolv.conf", O_PATH, 0, &b), 0);
	assert_true(same_file(a, b));
	assert_int_equal(fstat(a, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	fd_drop(&a);
	assert_int_equal(sys_mkfile_in(root, "new/dir/file", 0755, 0600, &a), 0);
	fd_drop(&a);
	assert_int_equal(sys_mkfile_in(root, "new/dir/file", 0755, 0600, &a), 0);
}

static void test_remove_tree_is_deep_and_follows_nothing(void **state)
{
	autofd int root = open_dir(*state), at = -EBADF, outside = -EBADF;

	assert_int_equal(sys_mkdir_in(root, "keep", 0755, &outside), 0);
	assert_int_equal(mkdirat(outside, "me", 0755), 0);
	assert_int_equal(sys_mkdir_in(root, "tree", 0755, &at), 0);
	for (int i = 0; i < 3000; i++) {
		int next = -EBADF;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		assert_int_equal(mkdirat(at, "e", 0755), 0);
		assert_int_equal(symlinkat("../../keep", at, "l"), 0);
		assert_int_equal(sys_open_beneath(at, "d", O_PATH | O_DIRECTORY, 0, &next), 0);
		close(at);
		at = next;
	}
	assert_int_equal(sys_remove_tree(root, "tree"), 0);
	assert_int_equal(faccessat(root, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(root, "keep/me", F_OK, 0), 0);
	assert_int_equal(sys_remove_tree(root, "tree"), 0);
}

static void test_files_are_replaced_whole(void **state)
{
	autofd int root = open_dir(*state);
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	char text[8];

	assert_int_equal(sys_file_replace(root, "f", "one", 3, 0600, true), 0);
	assert_int_equal(sys_file_replace(root, "f", "two\n", 4, 0600, false), 0);
	assert_int_equal(sys_file_read(root, "f", 4, &b), 0);
	assert_string_equal(buf_text(&b), "two\n");
	assert_int_equal(sys_file_read(root, "f", 3, &b), -EMSGSIZE);
	assert_int_equal(sys_file_read_text(root, "f", text, sizeof(text)), 3);
	assert_string_equal(text, "two");
	assert_int_equal(sys_file_write(root, "absent", "x"), -ENOENT);
}

static void test_spawn(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(1000), err = BUF_INIT(1000);
	const char *const cat[] = { "sh", "-c", "cat; echo oops >&2; exit 3", NULL };
	const char *const hang[] = { "sh", "-c", "sleep 100 & wait", NULL };
	struct sys_spawn s = { "/bin/sh", cat, NULL, NULL, "hello", 5, INT64_MAX };
	int status;

	(void)state;
	assert_int_equal(sys_spawn_run(&s, &out, &err, &status), 0);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_string_equal(buf_text(&out), "hello");
	assert_string_equal(buf_text(&err), "oops\n");
	s.argv = hang;
	s.deadline = time_now_mono() + 50 * NSEC_PER_MSEC;
	assert_int_equal(sys_spawn_run(&s, NULL, NULL, &status), -ETIMEDOUT);
	s.path = "/does/not/exist";
	assert_int_equal(sys_spawn_run(&s, NULL, NULL, &status), -ENOENT);
}

static void test_fds_travel(void **state)
{
	int pair[2], fds[2] = { 0, 1 }, got[4];
	size_t n = 4;
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(sys_send_fds(pair[0], "x", 1, fds, 2), 0);
	assert_int_equal(sys_recv_fds(pair[1], &c, 1, got, &n), 1);
	assert_int_equal(n, 2);
	close(got[0]);
	close(got[1]);
	assert_int_equal(sys_send_fds(pair[0], "x", 1, fds, 2), 0);
	n = 1;
	assert_int_equal(sys_recv_fds(pair[1], &c, 1, got, &n), -EMSGSIZE);
	close(pair[0]);
	close(pair[1]);
}

static void test_a_reused_pid_is_another_process(void **state)
{
	autofd int fd = -EBADF;
	uint64_t ticks;

	(void)state;
	assert_int_equal(sys_proc_start_time(getpid(), &ticks), 0);
	assert_int_equal(sys_pidfd_open_verified(getpid(), ticks, &fd), 0);
	assert_int_equal(sys_pidfd_exited(fd), 0);
	fd_drop(&fd);
	assert_int_equal(sys_pidfd_open_verified(getpid(), ticks + 1, &fd), -ESRCH);
	assert_int_equal(sys_pidfd_open_verified(0, ticks, &fd), -ESRCH);
	assert_int_equal(strlen(sys_boot_id()), SYS_BOOT_ID_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links_stay_inside_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mkdir_follows_links_inside_root_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mkdir_comes_to_the_same_by_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mkfile_makes_the_target_of_a_dangling_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_tree_is_deep_and_follows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_are_replaced_whole, setup, teardown),
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_fds_travel),
		cmocka_unit_test(test_a_reused_pid_is_another_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
