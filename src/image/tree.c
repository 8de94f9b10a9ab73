#include "image/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int tree_names(int fd, struct arena *a, char ***ret, size_t *ret_n)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	char **names = mem_new(1, sizeof(*names));
	struct dirent *e;
	size_t n = 0;

	if (!dir) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		free(names);
		return r;
	}
	while ((errno = 0, e = readdir(dir))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if ((n & (n + 1)) == 0)
			names = mem_grow(names, 2 * n + 2, sizeof(*names));
		names[n++] = arena_strdup(a, e->d_name);
	}
	r = -errno;
	closedir(dir);
	names[n] = NULL;
	if (r < 0) {
		free(names);
		return r;
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	*ret_n = n;
	return 0;
}
