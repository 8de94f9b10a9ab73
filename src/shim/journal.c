/*
 * The log journal. Loop thread. Invariant: `phase` is stored last and cleared first, so that a note is
 * never half made.
 */
#include "shim/journal.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { HEAD_MAX = 256 };

enum phase { IDLE, WRITING, WRITTEN };

struct note {
	_Atomic uint32_t phase;
	uint64_t dev, ino;
	int64_t length;
	uint64_t pipe, n_raw;
	uint8_t head[HEAD_MAX]; /* of the raw bytes */
};

struct journal {
	struct note *page;
	struct note left; /* by the last shim */
};

struct journal *journal_open(const char *state_dir)
{
	char path[PATH_MAX];
	autofd int fd = -EBADF;
	struct journal *j;
	void *page;

	if (snprintf(path, sizeof(path), "%s/log.journal", state_dir) >= PATH_MAX)
		return NULL;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct note)) < 0)
		return NULL;
	page = mmap(NULL, sizeof(struct note), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	j = mem_new(1, sizeof(*j));
	j->page = page;
	j->left = *j->page;
	atomic_store(&j->page->phase, IDLE);
	return j;
}

void journal_begin(struct journal *j, const struct journal_batch *b)
{
	if (!j)
		return;
	j->page->dev = b->dev;
	j->page->ino = b->ino;
	j->page->length = b->length;
	j->page->pipe = b->pipe;
	j->page->n_raw = b->n_raw;
	memcpy(j->page->head, b->raw, b->n_raw < HEAD_MAX ? b->n_raw : HEAD_MAX);
	atomic_store(&j->page->phase, WRITING);
}

void journal_written(struct journal *j)
{
	if (j)
		atomic_store(&j->page->phase, WRITTEN);
}

void journal_end(struct journal *j)
{
	if (j)
		atomic_store(&j->page->phase, IDLE);
}

bool journal_left(const struct journal *j, ino_t pipe)
{
	return j && j->left.phase == WRITTEN && j->left.pipe == pipe;
}

size_t journal_doubled(struct journal *j, ino_t pipe, const uint8_t *head, size_t len)
{
	size_t n;

	if (!journal_left(j, pipe))
		return 0;
	j->left.phase = IDLE;
	n = j->left.n_raw;
	return n <= len && memcmp(head, j->left.head, n < HEAD_MAX ? n : HEAD_MAX) == 0 ? n : 0;
}

void journal_repair(struct journal *j, int fd)
{
	struct stat st;

	if (!j || j->left.phase != WRITING || fstat(fd, &st) < 0 || st.st_dev != j->left.dev ||
	    st.st_ino != j->left.ino)
		return;
	j->left.phase = IDLE;
	/* shorter than that: somebody else has cut it already */
	if (st.st_size > j->left.length && ftruncate(fd, j->left.length) < 0)
		return;
}
