/*
 * What a process holds that a checkpoint has to bring back. Each prints a number that grows, as long
 * as all is as it was; else it says what is wrong and exits with 1.
 *
 *   holds tcp            both ends of a connection over loopback
 *   holds locks FILE     a POSIX lock of bytes 0 to 9 of a file, and flock of all of it
 *   holds memory MB      pages, each with its number
 *   holds unlinked FILE  an open file whose name is gone, while another name is there
 *   holds unix SOCKET    a datagram socket that leads outside
 *   holds try FILE       does not hold, but tries the locks: prints which are taken
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int wrong(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static void count(int (*holds)(long n))
{
	for (long n = 1;; n++) {
		if (holds(n))
			exit(1);
		printf("%ld\n", n);
		fflush(stdout);
		usleep(50000);
	}
}

static int ends[2];

static int tcp(long n)
{
	long got = 0;

	if (write(ends[0], &n, sizeof(n)) != sizeof(n) || recv(ends[1], &got, sizeof(got), MSG_WAITALL) != sizeof(got))
		wrong("the connection");
	if (got != n)
		wrong("not what was sent");
	return 0;
}

static void open_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&a, &len) || connect(ends[0], (struct sockaddr *)&a, len))
		wrong("loopback");
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
}

static int file;

static int still_open(long n)
{
	struct stat st;

	return fstat(file, &st) || st.st_nlink != 1 ? wrong("the file") : 0;
}

static int nothing(long n)
{
	return 0;
}

static char *pages;
static size_t n_pages;

static int memory(long n)
{
	for (size_t i = 0; i < n_pages; i++)
		if (*(size_t *)(pages + i * 4096) != i)
			wrong("a page");
	return 0;
}

static int lock(int fd, int cmd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };

	return fcntl(fd, cmd, &l);
}

static int outside(long n)
{
	return write(file, "x", 1) == 1 ? 0 : wrong("the socket");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "tcp")) {
		open_tcp();
		count(tcp);
	} else if (!strcmp(what, "locks")) {
		file = open(name, O_RDWR | O_CREAT, 0666);
		if (lock(file, F_SETLK) || flock(open(name, O_RDWR), LOCK_EX | LOCK_NB))
			wrong("lock");
		count(nothing);
	} else if (!strcmp(what, "try")) {
		file = open(name, O_RDWR);
		printf("%s ", lock(file, F_SETLK) ? "posix" : "-");
		printf("%s\n", flock(open(name, O_RDWR), LOCK_EX | LOCK_NB) ? "flock" : "-");
	} else if (!strcmp(what, "memory")) {
		n_pages = (size_t)atoi(name) * 256;
		pages = mmap(NULL, n_pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (size_t i = 0; i < n_pages; i++)
			*(size_t *)(pages + i * 4096) = i;
		count(memory);
	} else if (!strcmp(what, "unlinked")) {
		char other[256];

		snprintf(other, sizeof(other), "%s.other", name);
		file = open(name, O_RDWR | O_CREAT, 0666);
		if (link(name, other) || unlink(name))
			wrong("link");
		count(still_open);
	} else if (!strcmp(what, "unix")) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		strncpy(a.sun_path, name, sizeof(a.sun_path) - 1);
		file = socket(AF_UNIX, SOCK_DGRAM, 0);
		if (connect(file, (struct sockaddr *)&a, sizeof(a)))
			wrong("connect");
		count(outside);
	}
	return 2;
}
