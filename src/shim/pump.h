/*
 * Moving bytes from one descriptor to another: a terminal's output to a FIFO, a FIFO to a
 * terminal. Waits for whichever side is slow; holds at most one read (4 KiB) meanwhile.
 *
 * Loop thread. `from` and `to` are non-blocking and borrowed; they may be the same
 * descriptor as another pump's (a terminal's master is read by one and written by the other),
 * so each pump watches duplicates of its own.
 */
#pragma once

#include "shim/server.h"

struct pump;

int pump_new(struct shim *s, int from, int to, struct pump **ret, struct err *err);
void pump_free(struct pump *p);
/* Moves what is there now: true when from is empty or at its end and all of it is in to. */
bool pump_drain(struct pump *p);
