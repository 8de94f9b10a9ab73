/*
 * CRI's enum Signal is in alphabetical order; its values are indices into this table.
 */
#include "cri/configs.h"

#include <signal.h>

/* the kernel's real-time signals: 34 is the first that a libc leaves to programs */
enum { RTMIN = 34, RTMAX = 64 };

static const uint8_t numbers[] = {
	0 /* RUNTIME_DEFAULT */, SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCHLD /* CLD */, SIGCONT, SIGFPE, SIGHUP,
	SIGILL, SIGINT, SIGIO, SIGABRT /* IOT */, SIGKILL, SIGPIPE, SIGIO /* POLL */, SIGPROF, SIGPWR, SIGQUIT,
	SIGSEGV, SIGSTKFLT, SIGSTOP, SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2,
	SIGVTALRM, SIGWINCH, SIGXCPU, SIGXFSZ,
};

enum { RTMIN_AT = ARRAY_LEN(numbers) };

_Static_assert(RTMIN_AT == (int)RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMIN, "the table follows the enum");
_Static_assert((int)RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMAX - RTMIN_AT == RTMAX - RTMIN, "all real-time signals");

int cri_signal_number(int signal)
{
	if (signal < 0 || signal > (int)RUNTIME__V1__SIGNAL__SIGNAL_SIGRTMAX)
		return -EINVAL;
	return signal < RTMIN_AT ? numbers[signal] : RTMIN + signal - RTMIN_AT;
}

int cri_signal_of(int number)
{
	if (number >= RTMIN && number <= RTMAX)
		return RTMIN_AT + number - RTMIN;
	for (int i = 1; i < RTMIN_AT; i++)
		if (numbers[i] == number)
			return i;
	return 0;
}
