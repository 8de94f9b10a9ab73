/*
 * Runs a fuzz target over files and over simple mutations of them, without a fuzzing
 * engine: arguments are files or directories. Deterministic, so a failure repeats.
 * A directory that does not exist is an empty corpus; the built-in seeds still run.
 */
#include "base/base.h"
#include "sys/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20, MUTATIONS = 200 };

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* An exact heap copy each time, so that a sanitizer sees a read one past the end. */
static void run_copy(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_mutations(const uint8_t *data, size_t size)
{
	uint64_t seed = 88172645463325252u + size;
	autofree uint8_t *copy = mem_new(size + 1, 1);

	run_copy(data, size);
	for (int i = 0; i < MUTATIONS && size; i++) {
		size_t len = size;

		memcpy(copy, data, size);
		for (uint64_t n = next_random(&seed) % 4 + 1; n; n--)
			copy[next_random(&seed) % size] = (uint8_t)next_random(&seed);
		if (next_random(&seed) % 4 == 0)
			len = next_random(&seed) % size;
		run_copy(copy, len);
	}
}

static int run_file(int dirfd, const char *name)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(FILE_MAX + 1);
	int r = sys_file_read(dirfd, name, FILE_MAX, &b);

	if (r < 0)
		return r;
	run_mutations(b.data ? b.data : (const uint8_t *)"", b.len);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const seeds[] = { "", "{}", "[]", "\0\0\0\0\0\0\0\0", "a:b\n", "../../x" };
	int files = 0;

	for (size_t i = 0; i < ARRAY_LEN(seeds); i++)
		run_mutations((const uint8_t *)seeds[i], strlen(seeds[i]));
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir && errno == ENOTDIR) {
			assert(run_file(AT_FDCWD, argv[i]) == 0);
			files++;
		}
		while (dir && (e = readdir(dir)))
			if (e->d_name[0] != '.' && run_file(dirfd(dir), e->d_name) == 0)
				files++;
		if (dir)
			closedir(dir);
	}
	printf("%d files, %zu seeds, %d mutations of each\n", files, ARRAY_LEN(seeds), MUTATIONS);
	return 0;
}
