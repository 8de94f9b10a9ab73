/*
 * What a container is made to do in tests, beyond busybox: one static program in the test
 * image, set-user-ID in a second copy.
 *
 *   probe euid              the effective user id
 *   probe eat MEGABYTES     touches so much memory, then sleeps
 *   probe fork N            N children that sleep; says how many there were
 *   probe hold              ignores SIGTERM and sleeps
 *   probe term CODE         exits with CODE on SIGTERM, prints the signal
 *   probe exit CODE
 *   probe lines N BYTES     N numbered lines of so many bytes to stdout
 *   probe orphan            leaves a grandchild that its parent does not wait for, then sleeps
 *   probe syscall NAME      tries one call that filters like to refuse: its errno
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int code;

static void on_term(int sig)
{
	char text[] = "got signal 00\n";

	text[11] = (char)('0' + sig / 10);
	text[12] = (char)('0' + sig % 10);
	(void)!write(1, text, sizeof(text) - 1);
	_exit(code);
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static int try(const char *name)
{
	if (!strcmp(name, "unshare-user"))
		return unshare(CLONE_NEWUSER);
	if (!strcmp(name, "sethostname"))
		return sethostname("probed", 6);
	if (!strcmp(name, "mount"))
		return mount("none", "/tmp", "tmpfs", 0, NULL);
	if (!strcmp(name, "raw-socket"))
		return socket(AF_INET, SOCK_RAW, 1);
	if (!strcmp(name, "mknod"))
		return mknod("/tmp/probe-node", S_IFCHR | 0600, 0x0103);
	if (!strcmp(name, "chroot"))
		return chroot("/tmp");
	errno = ENOSYS;
	return -1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long n = argc > 2 ? atol(argv[2]) : 0;

	if (!strcmp(what, "euid")) {
		printf("%d\n", (int)geteuid());
	} else if (!strcmp(what, "eat")) {
		for (long i = 0; i < n; i++) {
			char *p = malloc(1 << 20);

			if (!p)
				return 1;
			memset(p, 1, 1 << 20);
		}
		puts("full");
		fflush(stdout);
		wait_for_ever();
	} else if (!strcmp(what, "fork")) {
		long i = 0;

		while (i < n) {
			pid_t pid = fork();

			if (pid == 0)
				wait_for_ever();
			if (pid < 0)
				break;
			i++;
		}
		printf("%ld children, then: %s\n", i, i < n ? strerror(errno) : "enough");
		fflush(stdout);
		wait_for_ever();
	} else if (!strcmp(what, "hold")) {
		signal(SIGTERM, SIG_IGN);
		puts("holding");
		fflush(stdout);
		wait_for_ever();
	} else if (!strcmp(what, "term")) {
		code = (int)n;
		signal(SIGTERM, on_term);
		signal(SIGQUIT, on_term);
		signal(SIGUSR1, on_term);
		puts("ready");
		fflush(stdout);
		wait_for_ever();
	} else if (!strcmp(what, "exit")) {
		return (int)n;
	} else if (!strcmp(what, "lines")) {
		long bytes = argc > 3 ? atol(argv[3]) : 80;

		for (long i = 0; i < n; i++) {
			printf("%08ld ", i);
			for (long k = 9; k < bytes; k++)
				putchar('a' + (int)(k % 26));
			putchar('\n');
		}
	} else if (!strcmp(what, "orphan")) {
		if (fork() == 0) {
			if (fork() == 0)
				wait_for_ever();
			_exit(0);
		}
		wait_for_ever();
	} else if (!strcmp(what, "syscall")) {
		errno = 0;
		try(argc > 2 ? argv[2] : "");
		printf("%s\n", errno ? strerrorname_np(errno) : "0");
	} else {
		fprintf(stderr, "probe: what?\n");
		return 2;
	}
	return 0;
}
