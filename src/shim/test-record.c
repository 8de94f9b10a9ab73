#include "shim/record.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[] = "/tmp/test-record-XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return sys_remove_tree(AT_FDCWD, dir);
}

static void an_exit_record_comes_back_as_it_was_written(void **state)
{
	static const struct shim_exit rows[] = {
		{ "c1", 4711, 0, INT64_C(1769903999123456789), false, false, "boot" },
		{ "c1", 4711, 137, 1, true, false, "boot" },
		{ "c1", 4711, 255, 1, false, true, "boot" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(arena_done) struct arena a = ARENA_INIT;
		struct shim_exit e;

		assert_int_equal(record_write_exit(dir, &rows[i], NULL), 0);
		assert_int_equal(shim_exit_read(dir, &a, &e, NULL), 0);
		assert_string_equal(e.id, rows[i].id);
		assert_string_equal(e.boot_id, rows[i].boot_id);
		assert_int_equal(e.pid, rows[i].pid);
		assert_int_equal(e.code, rows[i].code);
		assert_true(e.exited_at == rows[i].exited_at);
		assert_int_equal(e.oom_killed, rows[i].oom_killed);
		assert_int_equal(e.unknown, rows[i].unknown);
	}
}

static void there_is_no_exit_record_before_the_exit(void **state)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct shim_exit e;

	assert_true(shim_exit_read("/nonexistent", &a, &e, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void streams_come_back_and_garbage_is_refused(void **state)
{
	static const struct shim_stream_at at[SHIM_STREAMS] = { { -1 }, { 7, 14, UINT64_MAX }, { 8, 14, 3 }, { -1 } };
	static const char *const garbage[] = { "", "7 1 2\n", "x\n", "1 2 3\n1 2 3\n1 2 3\n", "1 2 3\n4 5\n6 7 8\n9 9 9\n" };
	autofree char *path = mem_printf("%s/streams", dir);
	struct shim_stream_at got[SHIM_STREAMS];
	struct err err = ERR_INIT;

	assert_true(shim_streams_read(dir, got, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(record_write_streams(dir, at, NULL), 0);
	assert_int_equal(shim_streams_read(dir, got, NULL), 0);
	for (int i = 0; i < SHIM_STREAMS; i++) {
		assert_int_equal(got[i].fd, at[i].fd);
		assert_true(got[i].dev == at[i].dev && got[i].ino == at[i].ino);
	}
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		err_clear(&err);
		assert_int_equal(sys_file_replace(AT_FDCWD, path, garbage[i], strlen(garbage[i]), 0600, false), 0);
		assert_true(shim_streams_read(dir, got, &err) < 0);
		assert_int_equal(err.kind, ERR_CORRUPT);
	}
}

static void a_shim_is_found_while_that_very_process_lives(void **state)
{
	struct err err = ERR_INIT;
	struct shim_process p;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(record_write_shim(dir, "/run/x/s", pid, NULL), 0);
	assert_int_equal(shim_find(dir, &p, &err), 0);
	assert_int_equal(p.pid, pid);
	assert_string_equal(p.address, "/run/x/s");
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	assert_true(shim_find(dir, &p, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	waitpid(pid, NULL, 0);
	err_clear(&err);
	assert_true(shim_find(dir, &p, &err) < 0);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exit_record_comes_back_as_it_was_written),
		cmocka_unit_test(there_is_no_exit_record_before_the_exit),
		cmocka_unit_test(streams_come_back_and_garbage_is_refused),
		cmocka_unit_test(a_shim_is_found_while_that_very_process_lives),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
