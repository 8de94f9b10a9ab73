/*
 * Spec → plan: when, where and as what a process runs: scheduler and I/O priority, CPUs, memory
 * nodes, personality. Pure.
 */
#include "runtime/plan.h"

#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdio.h>
#include <sys/personality.h>

enum { BITS_MAX = 8192, LONG_BITS = 8 * sizeof(unsigned long) };

/* "0-3,5", or nothing at all. -EINVAL. */
static int parse_bits(const char *text, struct arena *a, struct bits_plan *ret)
{
	unsigned long *bits = arena_new(a, BITS_MAX / LONG_BITS, sizeof(*bits));
	size_t n = 0;

	for (const char *p = text ? text : ""; *p;) {
		unsigned from, to;
		int used;

		if (*p < '0' || *p > '9' || sscanf(p, "%u%n", &from, &used) != 1)
			return -EINVAL;
		p += used;
		to = from;
		if (*p == '-') {
			if (p[1] < '0' || p[1] > '9' || sscanf(p + 1, "%u%n", &to, &used) != 1)
				return -EINVAL;
			p += 1 + used;
		}
		if (from > to || to >= BITS_MAX || (*p && *p != ',') || (*p == ',' && !p[1]))
			return -EINVAL;
		p += *p == ',';
		for (unsigned i = from; i <= to; i++)
			bits[i / LONG_BITS] |= 1UL << i % LONG_BITS;
		n = to >= n ? to + 1 : n;
	}
	if (n)
		*ret = (struct bits_plan){ bits, (n + LONG_BITS - 1) / LONG_BITS * LONG_BITS };
	return 0;
}

static int plan_priorities(const struct oci_process *o, struct process_plan *p, struct err *err)
{
	static const struct {
		const char *name;
		int value;
	} classes[] = { { "IOPRIO_CLASS_RT", 1 }, { "IOPRIO_CLASS_BE", 2 }, { "IOPRIO_CLASS_IDLE", 3 } },
	  policies[] = { { "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 }, { "SCHED_BATCH", 3 },
			 { "SCHED_ISO", 4 }, { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 } },
	  flags[] = { { "SCHED_FLAG_RESET_ON_FORK", 1 }, { "SCHED_FLAG_RECLAIM", 2 },
		      { "SCHED_FLAG_DL_OVERRUN", 4 }, { "SCHED_FLAG_KEEP_POLICY", 8 },
		      { "SCHED_FLAG_KEEP_PARAMS", 16 }, { "SCHED_FLAG_UTIL_CLAMP_MIN", 32 },
		      { "SCHED_FLAG_UTIL_CLAMP_MAX", 64 } };

	p->io_priority = o->io_priority;
	for (size_t i = 0; o->io_priority && i < ARRAY_LEN(classes); i++)
		if (str_eq(classes[i].name, o->io_priority->class_))
			p->io_class = classes[i].value;
	if (o->io_priority && !p->io_class)
		return err_set(err, ERR_INVALID, "process.ioPriority.class: unknown \"%s\"",
			       o->io_priority->class_);
	if (o->io_priority && (o->io_priority->priority < 0 || o->io_priority->priority > 7))
		return err_set(err, ERR_INVALID, "process.ioPriority.priority: %d is not in 0 to 7",
			       o->io_priority->priority);
	p->scheduler = o->scheduler;
	p->scheduler_policy = -1;
	if (!o->scheduler)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		if (str_eq(policies[i].name, o->scheduler->policy))
			p->scheduler_policy = policies[i].value;
	if (p->scheduler_policy < 0)
		return err_set(err, ERR_INVALID, "process.scheduler.policy: unknown \"%s\"",
			       o->scheduler->policy);
	for (size_t i = 0; i < o->scheduler->n_flags; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(flags) && !str_eq(flags[k].name, o->scheduler->flags[i]))
			k++;
		if (k == ARRAY_LEN(flags))
			return err_set(err, ERR_INVALID, "process.scheduler.flags[%zu]: unknown \"%s\"", i,
				       o->scheduler->flags[i]);
		p->scheduler_flags |= (uint64_t)flags[k].value;
	}
	return 0;
}

static int plan_personality(const struct oci_personality *o, struct process_plan *p, struct err *err)
{
	p->personality = -1;
	if (!o)
		return 0;
	if (o->n_flags)
		return err_set(err, ERR_INVALID, "linux.personality.flags: none are defined");
	if (str_eq(o->domain, "LINUX"))
		p->personality = PER_LINUX;
	else if (str_eq(o->domain, "LINUX32"))
		p->personality = PER_LINUX32;
	else
		return err_set(err, ERR_INVALID, "linux.personality.domain: unknown \"%s\"", o->domain);
	return 0;
}


static int plan_affinity(const struct oci_cpu_affinity *o, struct arena *a, struct process_plan *p,
			 struct err *err)
{
	if (!o)
		return 0;
	if (parse_bits(o->initial, a, &p->cpus_initial) < 0)
		return err_set(err, ERR_INVALID, "process.execCPUAffinity.initial: \"%s\" is no list of CPUs",
			       o->initial);
	if (parse_bits(o->final, a, &p->cpus_final) < 0)
		return err_set(err, ERR_INVALID, "process.execCPUAffinity.final: \"%s\" is no list of CPUs",
			       o->final);
	return 0;
}

/* Names of the specification, numbers of set_mempolicy(2). */
static const struct {
	const char *name;
	int value;
} memory_modes[] = {
	{ "MPOL_DEFAULT", MPOL_DEFAULT }, { "MPOL_PREFERRED", MPOL_PREFERRED }, { "MPOL_BIND", MPOL_BIND },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE }, { "MPOL_LOCAL", MPOL_LOCAL },
	{ "MPOL_PREFERRED_MANY", 5 }, { "MPOL_WEIGHTED_INTERLEAVE", 6 },
}, memory_flags[] = {
	{ "MPOL_F_STATIC_NODES", 1 << 15 }, { "MPOL_F_RELATIVE_NODES", 1 << 14 },
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
};

const char *runtime_memory_mode(size_t i)
{
	return i < ARRAY_LEN(memory_modes) ? memory_modes[i].name : NULL;
}

const char *runtime_memory_flag(size_t i)
{
	return i < ARRAY_LEN(memory_flags) ? memory_flags[i].name : NULL;
}

static int plan_memory_policy(const struct oci_memory_policy *o, struct arena *a, struct process_plan *p,
			      struct err *err)
{
	p->memory_mode = -1;
	if (!o)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(memory_modes); i++)
		if (str_eq(memory_modes[i].name, o->mode))
			p->memory_mode = memory_modes[i].value;
	if (p->memory_mode < 0)
		return err_set(err, ERR_INVALID, "linux.memoryPolicy.mode: unknown \"%s\"", o->mode);
	if (parse_bits(o->nodes, a, &p->memory_nodes) < 0)
		return err_set(err, ERR_INVALID, "linux.memoryPolicy.nodes: \"%s\" is no list of memory nodes",
			       o->nodes);
	if ((p->memory_mode == MPOL_DEFAULT || p->memory_mode == MPOL_LOCAL) && p->memory_nodes.n)
		return err_set(err, ERR_INVALID, "linux.memoryPolicy.nodes: %s takes none", o->mode);
	if (p->memory_mode != MPOL_DEFAULT && p->memory_mode != MPOL_LOCAL &&
	    p->memory_mode != MPOL_PREFERRED && !p->memory_nodes.n)
		return err_set(err, ERR_INVALID, "linux.memoryPolicy.nodes: %s needs some", o->mode);
	for (size_t i = 0; i < o->n_flags; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(memory_flags) && !str_eq(memory_flags[k].name, o->flags[i]))
			k++;
		if (k == ARRAY_LEN(memory_flags))
			return err_set(err, ERR_INVALID, "linux.memoryPolicy.flags[%zu]: unknown \"%s\"", i,
				       o->flags[i]);
		p->memory_mode |= memory_flags[k].value;
	}
	return 0;
}

int plan_scheduling(const struct oci_process *o, const struct oci_linux *l, struct arena *a,
		    struct process_plan *p, struct err *err)
{
	int r = plan_priorities(o, p, err);

	if (r == 0)
		r = plan_affinity(o->exec_cpu_affinity, a, p, err);
	if (r == 0)
		r = plan_personality(l ? l->personality : NULL, p, err);
	return r < 0 ? r : plan_memory_policy(l ? l->memory_policy : NULL, a, p, err);
}
