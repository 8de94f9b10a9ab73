/*
 * Which pages may go: those of segments that are mapped from a file without the right to write. Such a page
 * differs from its file only where relocations were written into code, which an object says of itself (DT_TEXTREL,
 * DF_TEXTREL), and where a debugger has put its breakpoints. Segments of the kernel's own object have no file.
 */
#include "sys/rest.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* Relative to the object's address, as the program headers are. */
static bool has_relocated_code(const struct dl_phdr_info *object)
{
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];

		if (p->p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *d = (const void *)(object->dlpi_addr + p->p_vaddr); d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
				return true;
	}
	return false;
}

static bool is_kernels(const struct dl_phdr_info *object)
{
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);

	for (size_t i = 0; vdso && i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t from = object->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && vdso >= from && vdso < from + p->p_memsz)
			return true;
	}
	return false;
}

static int let_go(struct dl_phdr_info *object, size_t size, void *user)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t *sum = user;

	if (is_kernels(object) || has_relocated_code(object))
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		uintptr_t from = (object->dlpi_addr + p->p_vaddr) & ~(page - 1);
		/* a last page that is shared with the next segment is that one's */
		uintptr_t to = (object->dlpi_addr + p->p_vaddr + p->p_filesz) & ~(page - 1);

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && from < to &&
		    madvise((void *)from, to - from, MADV_DONTNEED) == 0)
			*sum += to - from;
	}
	return 0;
}

size_t sys_rest(void)
{
	size_t sum = 0;

	malloc_trim(0);
	dl_iterate_phdr(let_go, &sum);
	return sum;
}
