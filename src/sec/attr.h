/*
 * Single attributes of a process: no_new_privs, LSM labels, the OOM score.
 *
 * Those that are files of procfs take a descriptor of the root of a procfs that the caller
 * has verified, since a path under /proc of the container may lead anywhere. All [child]
 * functions act on the calling thread and return 0 or -errno.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;

/* PR_SET_NO_NEW_PRIVS. [child] */
int sec_no_new_privs(void);

/* Whether the LSM runs on this kernel; read once. */
bool sec_apparmor_enabled(void);
bool sec_selinux_enabled(void);

/* INVALID when the text cannot be a profile or label (control characters, too long), or is no context of the
 * policy's; UNSUPPORTED when the LSM is off. NULL, "" and "unconfined" need nothing and pass. */
int sec_apparmor_check(const char *profile, struct err *err);
int sec_selinux_check(const char *label, struct err *err);

/*
 * Whether a process of the host runs under that profile or label: DENIED, with both names, where it does not. For a
 * process that somebody else has labelled, or has not. NULL and "" need nothing and pass; so does "unconfined".
 */
int sec_apparmor_verify(pid_t pid, const char *profile, struct err *err);
int sec_selinux_verify(pid_t pid, const char *label, struct err *err);

/* The profile or label that the next execve gets. [child] */
int sec_apparmor_set_exec(int procfd, const char *profile);
int sec_selinux_set_exec(int procfd, const char *label);
/* The label of keyrings made from now on. [child] */
int sec_selinux_set_keycreate(int procfd, const char *label);

/* -1000 … 1000. -EACCES: lower than the present one without CAP_SYS_RESOURCE: the caller
 * may clamp to sec_oom_score_adj_get and warn. [child] */
int sec_oom_score_adj(int procfd, int value);
int sec_oom_score_adj_get(int procfd, int *ret); /* [child] */
