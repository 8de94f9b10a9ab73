/*
 * sec — what a process may do: capabilities, seccomp, resource limits, LSM labels.
 *
 * Each mechanism has the same two halves. The parent turns names into prepared data
 * (checked, allocated, with errors that name what the user wrote); the child, between
 * clone and exec, applies prepared data by straight system calls: functions marked [child]
 * neither allocate nor lock nor log, and return -errno.
 *
 *	sec/caps.h     capability sets
 *	sec/seccomp.h  system call filters: profiles, the default profile, compiled programs
 *	sec/rlimit.h   resource limits
 *	sec/attr.h     no_new_privs, AppArmor, SELinux, oom_score_adj: single attributes
 *
 * The order in the child, and why:
 *
 *	sec_rlimits_apply       while CAP_SYS_RESOURCE is still there
 *	sec_apparmor_set_exec, sec_selinux_set_exec, sec_oom_score_adj
 *	                        through a descriptor of a procfs that was verified
 *	sec_filter_apply        here when no_new_privs is NOT set: it needs CAP_SYS_ADMIN
 *	sec_caps_drop_bounding  needs CAP_SETPCAP
 *	sec_caps_keep(true), setgroups, setresgid, setresuid
 *	sec_caps_apply          permitted, effective, inheritable, then ambient
 *	sec_no_new_privs
 *	sec_filter_apply        here, last of all, when no_new_privs is set: the filter need
 *	                        not allow what the steps above use
 *	execve
 */
#pragma once

#include "sec/attr.h"
#include "sec/caps.h"
#include "sec/rlimit.h"
#include "sec/seccomp.h"
