/*
 * caisson-pause: the anchor of a pod's namespaces. Process 1 of the pod's pid namespace.
 *
 * Without a C library: a few hundred bytes of code and one page of stack is what each pod pays
 * for it. It ends on SIGTERM and SIGINT, and reaps what its namespace hands to process 1. Both
 * come by rt_sigtimedwait, so there is no handler, no sigreturn and no race.
 */
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { NR_WAIT4 = 61, NR_EXIT = 231, NR_SIGPROCMASK = 14, NR_SIGTIMEDWAIT = 128 };

static long call4(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall pause_main\n");

#elif defined(__aarch64__)
enum { NR_WAIT4 = 260, NR_EXIT = 94, NR_SIGPROCMASK = 135, NR_SIGTIMEDWAIT = 137 };

static long call4(long n, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tbl pause_main\n");
#else
#error "caisson-pause: the system calls of this architecture are not written down yet"
#endif

enum { SIG_INT = 2, SIG_TERM = 15, SIG_CHLD = 17, SIG_SETMASK = 2, W_NOHANG = 1 };

_Noreturn void pause_main(void);

_Noreturn void pause_main(void)
{
	const uint64_t set = UINT64_C(1) << (SIG_INT - 1) | UINT64_C(1) << (SIG_TERM - 1) |
			     UINT64_C(1) << (SIG_CHLD - 1);

	/* blocked signals stay pending for sigtimedwait, also for process 1, which ignores
	 * every signal that it has no handler for */
	call4(NR_SIGPROCMASK, SIG_SETMASK, (long)&set, 0, sizeof(set));
	for (;;) {
		long sig = call4(NR_SIGTIMEDWAIT, (long)&set, 0, 0, sizeof(set));

		if (sig == SIG_INT || sig == SIG_TERM)
			break;
		while (call4(NR_WAIT4, -1, 0, W_NOHANG, 0) > 0)
			;
	}
	for (;;)
		call4(NR_EXIT, 0, 0, 0, 0);
}
