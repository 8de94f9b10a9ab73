/*
 * What a daemon that has done its work for now need not hold.
 *
 * A pull, a start or a stop uses code that nothing else does: half of libcurl, of its TLS, of the database.
 * Its pages stay mapped, and count as the process's own, long after. They are the files' pages, unchanged, so
 * the mapping can be given up at no loss: the kernel keeps them cached as long as it likes, and what is used
 * again is mapped again, a few microseconds for each sixteen pages.
 */
#pragma once

#include <stddef.h>

/*
 * Gives free heap memory back to the kernel, and maps of this program's and its libraries' code and constants,
 * which are taken again as they are used. What was ever written to (data, relocated tables) stays. Any thread,
 * while others run; takes a few hundred microseconds. Bytes of address space that were let go.
 */
size_t sys_rest(void);
