/* Fault points; only in builds for tests. Any thread. */
#include "base/fault.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_LEN = 128, LINE_MAX_LEN = 1024 };

static void note(const char *dir, const char *name)
{
	char path[PATH_MAX], line[NAME_MAX_LEN + 2];
	autofd int fd = -EBADF;
	int n = snprintf(line, sizeof(line), "%s\n", name);

	snprintf(path, sizeof(path), "%s/seen", dir);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, line, (size_t)n) != n)
		return;
}

/* The armed action when it is this point's: then it is nobody else's any more. */
static bool take(const char *dir, const char *name, char action[LINE_MAX_LEN])
{
	char path[PATH_MAX], line[LINE_MAX_LEN];
	autofd int fd = -EBADF;
	size_t len = strlen(name);
	ssize_t n;

	snprintf(path, sizeof(path), "%s/armed", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, name, len) != 0 || line[len] != ' ' || unlink(path) < 0)
		return false;
	strcpy(action, line + len + 1);
	return true;
}

int fault_point(const char *fmt, ...)
{
	const char *dir = getenv("CAISSON_FAULTS");
	char name[NAME_MAX_LEN], action[LINE_MAX_LEN];
	va_list ap;

	if (!dir)
		return 0;
	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (char *p = name; *p; p++)
		if (*p == ' ')
			*p = '-';
	note(dir, name);
	if (!take(dir, name, action))
		return 0;
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strncmp(action, "fail ", 5) == 0)
		return -atoi(action + 5);
	if (strncmp(action, "run ", 4) == 0 && system(action + 4) < 0)
		return -errno;
	return 0;
}
