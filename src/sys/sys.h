/*
 * sys — the kernel's façade.
 *
 * Thin, safe spellings of what Linux offers: path walking that cannot be tricked, the
 * descriptor-based mount API, clone3, pidfds, descriptor passing, atomic files, running a
 * program under a deadline. Kernel floor 5.14, so there are no fallbacks in here.
 *
 * All functions return -errno and say nothing; the caller adds the noun. Every descriptor
 * is close-on-exec from birth. Functions marked [child] neither allocate nor lock and may
 * run between clone and exec.
 *
 *	sys/path.h    openat2: RESOLVE_IN_ROOT / RESOLVE_BENEATH walks, mkdir and remove below a root
 *	sys/file.h    read whole small files, write kernel files, replace files atomically
 *	sys/fd.h      descriptor passing, close ranges, pipes
 *	sys/proc.h    clone3, pidfds, start times, boot id
 *	sys/mount.h   fsopen, fsconfig, fsmount, open_tree, move_mount, mount_setattr
 *	sys/spawn.h   run a program to its end with input, bounded output and a deadline
 *	sys/rest.h    give up memory that is not needed for now
 */
#pragma once

#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/path.h"
#include "sys/proc.h"
#include "sys/rest.h"
#include "sys/spawn.h"
