/* The names of the OCI specification for actions, comparisons, architectures and flags. */
#include "sec/seccomp.h"

#include "base/base.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <strings.h>

static const char *const actions[SEC_ACTIONS] = {
	[SEC_ACT_KILL_THREAD] = "SCMP_ACT_KILL_THREAD",
	[SEC_ACT_KILL_PROCESS] = "SCMP_ACT_KILL_PROCESS",
	[SEC_ACT_TRAP] = "SCMP_ACT_TRAP",
	[SEC_ACT_ERRNO] = "SCMP_ACT_ERRNO",
	[SEC_ACT_TRACE] = "SCMP_ACT_TRACE",
	[SEC_ACT_ALLOW] = "SCMP_ACT_ALLOW",
	[SEC_ACT_LOG] = "SCMP_ACT_LOG",
	[SEC_ACT_NOTIFY] = "SCMP_ACT_NOTIFY",
};

static const char *const ops[SEC_OPS] = {
	[SEC_OP_NE] = "SCMP_CMP_NE",
	[SEC_OP_LT] = "SCMP_CMP_LT",
	[SEC_OP_LE] = "SCMP_CMP_LE",
	[SEC_OP_EQ] = "SCMP_CMP_EQ",
	[SEC_OP_GE] = "SCMP_CMP_GE",
	[SEC_OP_GT] = "SCMP_CMP_GT",
	[SEC_OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
};

static const struct {
	const char *name;
	uint32_t token;
} arches[] = {
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
	{ "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS },
	{ "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64 },
	{ "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32 },
	{ "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL },
	{ "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64 },
	{ "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32 },
	{ "SCMP_ARCH_PPC", SCMP_ARCH_PPC },
	{ "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64 },
	{ "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE },
	{ "SCMP_ARCH_S390", SCMP_ARCH_S390 },
	{ "SCMP_ARCH_S390X", SCMP_ARCH_S390X },
	{ "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC },
	{ "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64 },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64 },
};

static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

static int find(const char *name, const char *const *list, int n)
{
	for (int i = 0; name && i < n; i++)
		if (strcmp(list[i], name) == 0)
			return i;
	return -EINVAL;
}

int sec_action_parse(const char *name)
{
	/* libseccomp's old name */
	return str_eq(name, "SCMP_ACT_KILL") ? SEC_ACT_KILL_THREAD : find(name, actions, SEC_ACTIONS);
}

const char *sec_action_name(enum sec_action action)
{
	return actions[action];
}

int sec_op_parse(const char *name)
{
	return find(name, ops, SEC_OPS);
}

const char *sec_op_name(enum sec_op op)
{
	return ops[op];
}

int sec_arch_parse(const char *name, uint32_t *ret)
{
	for (size_t i = 0; name && i < ARRAY_LEN(arches); i++) {
		if (strcmp(arches[i].name, name) == 0) {
			*ret = arches[i].token;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sec_arch_name(uint32_t arch)
{
	for (size_t i = 0; i < ARRAY_LEN(arches); i++)
		if (arches[i].token == arch)
			return arches[i].name;
	return NULL;
}

uint32_t sec_arch_native(void)
{
	return seccomp_arch_native();
}

int sec_flag_parse(const char *name, unsigned *ret)
{
	for (size_t i = 0; name && i < ARRAY_LEN(flags); i++) {
		if (strcmp(flags[i].name, name) == 0) {
			*ret = flags[i].flag;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sec_flag_name(unsigned flag)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].flag == flag)
			return flags[i].name;
	return NULL;
}

const char *sec_arch_known(size_t i)
{
	return i < ARRAY_LEN(arches) ? arches[i].name : NULL;
}

const char *sec_flag_known(size_t i)
{
	return i < ARRAY_LEN(flags) ? flags[i].name : NULL;
}
