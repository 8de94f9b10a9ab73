/*
 * A container on its way from config.json to a record that says it exists (inner header):
 * what create.c, which clones its process, and restore.c, which lets CRIU make it, share.
 *
 *	creation_open  reads, plans, makes <root>/<id> and writes the first record
 *	…              kernel objects: creation_cgroup and the rest
 *	creation_record   it exists
 *	creation_undo  instead, after any failure behind creation_open: nothing is left
 */
#pragma once

#include "runtime/parent.h"
#include "runtime/record.h"

struct creation {
	const struct runtime_create *what;
	struct arena arena;
	struct oci_config config;
	struct runtime_plan plan;
	struct record record;
	struct cgroup *cgroup;
	struct sec_filter filter;
	struct shared_filter *shared;
	struct child child;
	int dir, sync, pidfd;
	int netns; /* with devices of the host in it: held until it is said whether they stay */
	pid_t pid;
};

#define CREATION_INIT { .dir = -EBADF, .sync = -EBADF, .pidfd = -EBADF, .netns = -EBADF, .child = CHILD_INIT, \
			.filter = SEC_FILTER_INIT }

void creation_done(struct creation *c);
/* After a failure nothing is left and creation_undo is not to be called. */
int creation_open(struct creation *c, const struct runtime_create *what, struct err *err);
/* Its directories; the limits come later. Fills c->child.entry. */
int creation_cgroup(struct creation *c, struct err *err);
/* Network devices of the host into the namespace of c->pid. */
int creation_devices(struct creation *c, struct err *err);
/* The Intel RDT group, with c->pid in it. */
int creation_rdt(struct creation *c, struct err *err);
/* Compiles it, also for exec: seccomp.bpf. Nothing where there is no profile. */
int creation_filter(struct creation *c, struct err *err);
/* prestart and createRuntime, with c->pid. */
int creation_hooks(struct creation *c, struct err *err);
/* The record with c->pid, and the pid file. */
int creation_record(struct creation *c, struct err *err);
void creation_undo(struct creation *c);
