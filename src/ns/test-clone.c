/*
 * Children that are born elsewhere. What needs rights to make namespaces skips without them.
 */
#include "ns/ns.h"

#include "base/base.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* A process in new namespaces, which ends with the test. */
static pid_t holder(uint64_t flags)
{
	pid_t pid = sys_clone3(flags, SIGCHLD, -EBADF, NULL);

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* In the child: 0 when its pid there is not the one that its parent knows, as in a joined pid
 * namespace, and no other process of ours is in between. */
static void tell(pid_t parent, bool elsewhere)
{
	bool far = syscall(SYS_getppid) == 0;

	_exit(far == elsewhere && (far || getppid() == parent) ? 7 : 8);
}

static int status_of(pid_t pid, int pidfd)
{
	int status = -1;

	assert_true(pid > 0 && pidfd >= 0);
	/* it is a child of ours, and the descriptor is its */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(sys_pidfd_exited(pidfd), 1);
	assert_int_equal(sys_pidfd_wait(pidfd, &status), 0);
	close(pidfd);
	return status;
}

/* In a pid and a UTS namespace of a holder; the caller is where it was. */
static int born_elsewhere(void)
{
	int join[NS_KINDS], pidfd = -EBADF, before = -EBADF, r;
	pid_t target = holder(CLONE_NEWPID | CLONE_NEWUTS), self = getpid(), pid;
	struct ns_birth birth = { .join = join, .cgroup_fd = -EBADF };

	if (target < 0)
		return 77;
	for (int k = 0; k < NS_KINDS; k++)
		join[k] = -EBADF;
	assert_int_equal(ns_open_pid(target, NS_PID, &join[NS_PID]), 0);
	assert_int_equal(ns_open_pid(target, NS_UTS, &join[NS_UTS]), 0);
	assert_int_equal(ns_open("/proc/self/ns/uts", NS_UTS, &before), 0);
	pid = ns_clone(&birth, &pidfd);
	if (pid == 0) {
		if (ns_is_own(join[NS_UTS], NS_UTS) != 1)
			_exit(9);
		tell(self, true);
	}
	r = status_of(pid, pidfd);
	/* it waits for the last one of its namespace to be reaped */
	end(target);
	assert_int_equal(r, 7 << 8);
	assert_int_equal(ns_is_own(before, NS_UTS), 1);
	pid = fork();
	if (pid == 0)
		tell(self, false);
	assert_int_equal(waitpid(pid, &r, 0), pid);
	close(join[NS_PID]);
	close(join[NS_UTS]);
	close(before);
	return WEXITSTATUS(r);
}

static void test_a_child_is_born_in_a_joined_pid_namespace(void **state)
{
	int r = born_elsewhere();

	if (r == 77)
		skip();
	assert_int_equal(r, 7);
}

static void test_inside_a_user_namespace_too_where_nothing_leads_back(void **state)
{
	pid_t pid = sys_clone3(CLONE_NEWUSER, SIGCHLD, -EBADF, NULL);
	int status;

	if (pid < 0)
		skip();
	if (pid == 0)
		_exit(born_elsewhere());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 7 << 8);
}

static pid_t admitted;

static int admit(pid_t between, void *user)
{
	admitted = between;
	/* it waits, and is ours */
	assert_int_equal(waitpid(between, NULL, WNOHANG), 0);
	return *(int *)user;
}

static void test_who_is_admitted_is_another_and_is_gone(void **state)
{
	int verdict = 0, pidfd = -EBADF;
	struct ns_birth birth = { .cgroup_fd = -EBADF, .admit = admit, .user = &verdict };
	pid_t self = getpid(), pid = ns_clone(&birth, &pidfd);

	if (pid == 0)
		tell(self, false);
	assert_true(admitted > 0 && admitted != pid);
	assert_int_equal(status_of(pid, pidfd), 7 << 8);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_without_admission_there_is_no_child(void **state)
{
	int verdict = -EXDEV, pidfd = -EBADF;
	struct ns_birth birth = { .cgroup_fd = -EBADF, .admit = admit, .user = &verdict };

	assert_int_equal(ns_clone(&birth, &pidfd), -EXDEV);
	assert_int_equal(pidfd, -EBADF);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_what_cannot_be_joined_is_an_error_and_no_child(void **state)
{
	int verdict = 0, pidfd = -EBADF, join[NS_KINDS], null = open("/dev/null", 0);
	struct ns_birth birth = { .join = join, .cgroup_fd = -EBADF };

	for (int k = 0; k < NS_KINDS; k++)
		join[k] = k == NS_PID ? null : -EBADF;
	assert_true(ns_clone(&birth, &pidfd) < 0);
	birth.admit = admit;
	birth.user = &verdict;
	assert_int_equal(ns_clone(&birth, &pidfd), -EINVAL);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_is_born_in_a_joined_pid_namespace),
		cmocka_unit_test(test_inside_a_user_namespace_too_where_nothing_leads_back),
		cmocka_unit_test(test_who_is_admitted_is_another_and_is_gone),
		cmocka_unit_test(test_without_admission_there_is_no_child),
		cmocka_unit_test(test_what_cannot_be_joined_is_an_error_and_no_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
