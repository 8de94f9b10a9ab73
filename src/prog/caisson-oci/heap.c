/*
 * The heap of a command that makes a container and ends. What it needs is known beforehand, so that it
 * is asked for once: the kernel gives a run of pages in one system call for a tenth of what it takes to give
 * each by a fault, and what is freed on the way is kept for what comes next instead of being given back.
 * Nothing depends on it: a kernel before 5.14 refuses, and the pages come one by one.
 */
#include "prog/caisson-oci/oci.h"

#include <malloc.h>
#include <sys/mman.h>

enum { HEAP_PAGES = 48, HEAP_MAX = 64 * 1024 * 1024 };

void heap_prepare(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p;

	mallopt(M_TRIM_THRESHOLD, HEAP_MAX);
	mallopt(M_MMAP_THRESHOLD, HEAP_MAX / 2);
	mallopt(M_TOP_PAD, (int)(HEAP_PAGES * page));
	p = malloc(HEAP_PAGES * page);
	if (p)
		madvise((char *)((uintptr_t)p & ~(page - 1)), HEAP_PAGES * page, MADV_POPULATE_WRITE);
	free(p);
}
