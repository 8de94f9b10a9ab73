/*
 * Telling the daemon: containerd's task events by Events.Forward.
 *
 * Events go out in order, one call at a time, and nobody waits for them: while the daemon
 * is away they queue up, at most EVENTS_MAX, then the oldest are dropped (a daemon that was
 * away asks for states anyway). address NULL: everything here does nothing. Loop thread.
 */
#pragma once

#include "shim/server.h"

enum { EVENTS_MAX = 256 };

struct task;
struct proc;
struct events;

void events_new(struct shim *s, const char *address, const char *ns, struct events **ret);
void events_free(struct events *e);
/* True when all is sent or nobody takes it. */
bool events_idle(const struct events *e);

void events_create(const struct task *t);
void events_start(const struct proc *p); /* TaskStart or TaskExecStarted */
void events_exit(const struct proc *p);
void events_oom(const struct task *t);
void events_delete(const struct proc *p);
void events_exec_added(const struct proc *p);
void events_checkpointed(const struct task *t, const char *path);
void events_paused(const struct task *t, bool paused);
