/*
 * The device filter of cgroup v2: a BPF program made from the rules, attached to the
 * directory. Needs CAP_BPF and CAP_NET_ADMIN or CAP_SYS_ADMIN. Any process.
 *
 * The kernel calls it with struct bpf_cgroup_dev_ctx for every open and mknod of a device:
 * 1 allows. The program keeps the wanted access bits that no rule has granted yet and goes
 * through the rules from the last to the first:
 *
 *	r2 = access still wanted, r3 = type, r4 = major, r5 = minor
 *	each rule:  not this device → next
 *	    allow:  r2 &= ~rule;  r2 == 0 → return 1
 *	    deny:   r2 & rule     → return 0
 *	end:        return 0 (a first rule for all devices decides instead)
 *
 * Several programs on one cgroup are all asked and each may deny, so on an update the old
 * one of ours is replaced in place: there is no moment without a filter.
 */
#include "cgroup/driver.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/syscall.h>

#define PROGRAM_NAME "caisson_dev"

/* Bound on the rules of one program; each becomes at most INSNS_RULE instructions. */
enum { RULES_MAX = 4096, INSNS_RULE = 9, INSNS_FIXED = 8, PROGRAMS_MAX = 64 };

#define INSN(code_, dst, src, off_, imm_)                                                  \
	((struct bpf_insn){ .code = (code_), .dst_reg = (dst), .src_reg = (src),           \
			    .off = (int16_t)(off_), .imm = (int32_t)(imm_) })
#define LOAD(dst, member) \
	INSN(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, member), 0)
#define MOV_REG(dst, src) INSN(BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define AND(dst, imm) INSN(BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, imm)
#define RSH(dst, imm) INSN(BPF_ALU | BPF_RSH | BPF_K, dst, 0, 0, imm)
#define JUMP_IF(op, dst, imm, off) INSN(BPF_JMP32 | (op) | BPF_K, dst, 0, off, imm)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static size_t emit_rule(const struct cgroup_device *d, struct bpf_insn *out)
{
	/* the kernel counts mknod 1, read 2, write 4 */
	unsigned access = (d->access & CGROUP_DEVICE_MKNOD ? BPF_DEVCG_ACC_MKNOD : 0) |
			  (d->access & CGROUP_DEVICE_READ ? BPF_DEVCG_ACC_READ : 0) |
			  (d->access & CGROUP_DEVICE_WRITE ? BPF_DEVCG_ACC_WRITE : 0);
	int type = d->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
	size_t body = d->allow ? 4 : 5, tests = (d->type != 'a') + (d->major >= 0) + (d->minor >= 0), n = 0;

	if (d->type != 'a') {
		out[n] = JUMP_IF(BPF_JNE, BPF_REG_3, type, tests - n - 1 + body);
		n++;
	}
	if (d->major >= 0) {
		out[n] = JUMP_IF(BPF_JNE, BPF_REG_4, d->major, tests - n - 1 + body);
		n++;
	}
	if (d->minor >= 0) {
		out[n] = JUMP_IF(BPF_JNE, BPF_REG_5, d->minor, tests - n - 1 + body);
		n++;
	}
	if (d->allow) {
		out[n++] = AND(BPF_REG_2, ~access);
		out[n++] = JUMP_IF(BPF_JNE, BPF_REG_2, 0, 2);
		out[n++] = MOV(BPF_REG_0, 1);
	} else {
		out[n++] = MOV_REG(BPF_REG_6, BPF_REG_2);
		out[n++] = AND(BPF_REG_6, access);
		out[n++] = JUMP_IF(BPF_JEQ, BPF_REG_6, 0, 2);
		out[n++] = MOV(BPF_REG_0, 0);
	}
	out[n++] = EXIT();
	return n;
}

static size_t generate(const struct cgroup_device *rules, size_t n, struct bpf_insn *out)
{
	size_t at = 0, first = 0;
	bool otherwise = false;

	out[at++] = LOAD(BPF_REG_2, access_type);
	out[at++] = MOV_REG(BPF_REG_3, BPF_REG_2);
	out[at++] = AND(BPF_REG_3, 0xffff);
	out[at++] = RSH(BPF_REG_2, 16);
	out[at++] = LOAD(BPF_REG_4, major);
	out[at++] = LOAD(BPF_REG_5, minor);
	if (n && rules[0].type == 'a') {
		otherwise = rules[0].allow;
		first = 1;
	}
	for (size_t i = n; i-- > first;)
		at += emit_rule(&rules[i], out + at);
	out[at++] = MOV(BPF_REG_0, otherwise);
	out[at++] = EXIT();
	return at;
}

static int bpf(int cmd, union bpf_attr *attr)
{
	long r;

	do /* the verifier gives up on signals */
		r = syscall(SYS_bpf, cmd, attr, sizeof(*attr));
	while (r < 0 && errno == EAGAIN);
	return r < 0 ? -errno : (int)r;
}

static int load(const struct bpf_insn *insns, size_t n, int *ret_fd)
{
	union bpf_attr attr = { 0 };
	int fd;

	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uintptr_t)"Apache-2.0";
	memcpy(attr.prog_name, PROGRAM_NAME, sizeof(PROGRAM_NAME));
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* The program of ours that is attached to this very directory, or -ENOENT. */
static int find_ours(int dir, int *ret_fd)
{
	uint32_t ids[PROGRAMS_MAX];
	union bpf_attr attr = { 0 };
	int r;

	attr.query.target_fd = (uint32_t)dir;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = PROGRAMS_MAX;
	r = bpf(BPF_PROG_QUERY, &attr);
	if (r < 0)
		return r;
	for (uint32_t i = 0, n = attr.query.prog_cnt; i < n; i++) {
		struct bpf_prog_info info = { 0 };
		autofd int fd = -EBADF;

		memset(&attr, 0, sizeof(attr));
		attr.prog_id = ids[i];
		fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
		if (fd < 0)
			continue;
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)fd;
		attr.info.info = (uintptr_t)&info;
		attr.info.info_len = sizeof(info);
		if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 || strcmp(info.name, PROGRAM_NAME) != 0)
			continue;
		*ret_fd = take_fd(&fd);
		return 0;
	}
	return -ENOENT;
}

int cgroup_bpf_devices(int path_fd, const struct cgroup_device *rules, size_t n)
{
	autofree struct bpf_insn *insns = NULL;
	autofd int program = -EBADF, old = -EBADF, dir = -EBADF;
	union bpf_attr attr = { 0 };
	int r;

	if (n > RULES_MAX)
		return -E2BIG;
	/* bpf(2) takes no O_PATH descriptor */
	dir = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	insns = mem_new(n * INSNS_RULE + INSNS_FIXED, sizeof(*insns));
	r = load(insns, generate(rules, n, insns), &program);
	if (r < 0)
		return r;
	attr.target_fd = (uint32_t)dir;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	r = find_ours(dir, &old);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old;
	}
	r = bpf(BPF_PROG_ATTACH, &attr);
	return r < 0 ? r : 0;
}
