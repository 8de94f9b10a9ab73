/*
 * runtime_entry: where the static programs begin, before the C library does.
 *
 * runtime_protect_self executes the program once more. Done from main() that starts the C
 * library twice, which costs more than the execve itself (processor detection traps in
 * virtual machines). Here the first start is six system calls long. Whatever does not work
 * here is left to runtime_protect_self, which can report it. Built without anything that
 * needs a C library (stack protector, sanitizers); no relocations have been done yet.
 */
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define CLONE_FLAGS (OPEN_TREE_CLONE | O_CLOEXEC)

#if defined(__x86_64__)
static long call5(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

/* rdx is the kernel's word to _start (a function to run at exit; none): kept */
__asm__(".globl runtime_entry\nruntime_entry:\n"
	"\tmov %rsp, %rbx\n\tmov %rdx, %r12\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n"
	"\tcall runtime_entry_protect\n\tmov %rbx, %rsp\n\tmov %r12, %rdx\n\txor %ebp, %ebp\n\tjmp _start\n");
#elif defined(__aarch64__)
static long call5(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}

__asm__(".globl runtime_entry\nruntime_entry:\n"
	"\tmov x19, x0\n\tmov x0, sp\n\tbl runtime_entry_protect\n\tmov x0, x19\n\tb _start\n");
#else
#error "runtime_entry: not written for this architecture yet"
#endif

void runtime_entry_protect(long *stack);

/* stack: argc, argv …, NULL, envp …, NULL, as the kernel lays it out. */
__attribute__((noinline, used)) void runtime_entry_protect(long *stack)
{
	static const char self[] = "/proc/self/exe";
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	struct statfs fs;
	long fd;

	if (call5(SYS_statfs, (long)self, (long)&fs, 0, 0, 0) < 0 || fs.f_flags & ST_RDONLY)
		return;
	fd = call5(SYS_open_tree, AT_FDCWD, (long)self, CLONE_FLAGS, 0, 0);
	if (fd < 0)
		return;
	if (call5(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&attr, sizeof(attr)) == 0)
		call5(SYS_execveat, fd, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
	call5(SYS_close, fd, 0, 0, 0, 0);
}
