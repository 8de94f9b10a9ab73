/* kill, delete, pause, resume, update. */
#include "prog/caisson-oci/oci.h"

#include "sys/sys.h"

#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

/* "TERM", "SIGTERM", "15", "RTMIN+3", any case. */
static int parse_signal(const char *text, int *ret)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	uint32_t n;

	if (str_to_u32(text, 10, &n) == 0) {
		*ret = (int)n;
		return n <= 64 ? 0 : -EINVAL;
	}
	for (int s = 1; s < 32; s++)
		if (sigabbrev_np(s) && strcasecmp(sigabbrev_np(s), name) == 0) {
			*ret = s;
			return 0;
		}
	if (strncasecmp(name, "RTMIN", 5) == 0 && (!name[5] ||
						   (name[5] == '+' && str_to_u32(name + 6, 10, &n) == 0))) {
		*ret = SIGRTMIN + (name[5] ? (int)n : 0);
		return *ret <= SIGRTMAX ? 0 : -EINVAL;
	}
	if (strncasecmp(name, "RTMAX", 5) == 0 && (!name[5] ||
						   (name[5] == '-' && str_to_u32(name + 6, 10, &n) == 0))) {
		*ret = SIGRTMAX - (name[5] ? (int)n : 0);
		return *ret >= SIGRTMIN ? 0 : -EINVAL;
	}
	return -EINVAL;
}

/* What to do with one container of those that a pattern names. */
struct on_match {
	bool force;           /* delete */
	int sig;              /* kill; 0: delete */
	bool all;
};

static int act(struct global *g, const char *id, const struct on_match *m, struct err *err)
{
	return m->sig ? runtime_kill(g->root, id, m->sig, m->all, err) :
			runtime_delete(g->root, id, m->force, err);
}

static int matching(struct global *g, const char *pattern, const struct on_match *m, struct err *err)
{
	regex_t re;
	char **ids;
	size_t n;
	int r = 0;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB))
		return err_set(err, ERR_INVALID, "\"%s\" is not a regular expression", pattern);
	r = runtime_list(g->root, &g->arena, &ids, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (regexec(&re, ids[i], 0, NULL, 0) == 0)
			r = act(g, ids[i], m, err);
	regfree(&re);
	return r;
}

int command_kill(struct global *g, int argc, char **argv, struct err *err)
{
	bool all = false, regex = false;
	const struct option options[] = {
		{ "all", 'a', OPTION_FLAG, &all, "to all processes of the container" },
		{ "regex", 'r', OPTION_FLAG, &regex, "the id is a pattern: all that match" },
	};
	int sig = SIGTERM, r;
	char **words;
	size_t n;

	r = options_parse(command_find("kill"), options, ARRAY_LEN(options), argc, argv, -1, &g->arena,
			  &words, &n, err);
	if (r < 0)
		return r;
	if (n < 1 || n > 2)
		return err_set(err, ERR_INVALID, "\"kill\" requires a container ID and at most a signal");
	if (n == 2 && parse_signal(words[1], &sig) < 0)
		return err_set(err, ERR_INVALID, "unknown signal %s", words[1]);
	if (regex && !sig)
		return err_set(err, ERR_INVALID, "--regex: signal 0 asks for one container");
	return regex ? matching(g, words[0], &(struct on_match){ .sig = sig, .all = all }, err) :
		       runtime_kill(g->root, words[0], sig, all, err);
}

int command_delete(struct global *g, int argc, char **argv, struct err *err)
{
	bool force = false, regex = false;
	const struct option options[] = {
		{ "force", 'f', OPTION_FLAG, &force, "kill it first; nothing there is no error" },
		{ "regex", 'r', OPTION_FLAG, &regex, "the id is a pattern: all that match" },
	};
	const char *id;
	int r;

	r = options_id(command_find("delete"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (r < 0)
		return r;
	return regex ? matching(g, id, &(struct on_match){ .force = force }, err) :
		       runtime_delete(g->root, id, force, err);
}

int command_pause(struct global *g, int argc, char **argv, struct err *err)
{
	const char *id;
	int r = options_id(command_find("pause"), NULL, 0, argc, argv, &g->arena, &id, err);

	return r < 0 ? r : runtime_pause(g->root, id, err);
}

int command_resume(struct global *g, int argc, char **argv, struct err *err)
{
	const char *id;
	int r = options_id(command_find("resume"), NULL, 0, argc, argv, &g->arena, &id, err);

	return r < 0 ? r : runtime_resume(g->root, id, err);
}

/* ---- update ---- */

enum value_kind { TEXT, BYTES, SIGNED, UNSIGNED };

/* "64M" as people write sizes: powers of 1024. */
static int parse_bytes(const char *text, int64_t *ret)
{
	static const char units[] = "bkmgtp";
	size_t len = strcspn(text, "bBkKmMgGtTpP");
	char digits[24];
	int shift = 0;

	if (len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (text[len]) {
		shift = 10 * (int)(strchr(units, text[len] | 0x20) - units);
		if (text[len + 1] && strcasecmp(text + len + 1, "b") != 0 &&
		    strcasecmp(text + len + 1, "ib") != 0)
			return -EINVAL;
	}
	if (str_to_i64(digits, 10, ret) < 0)
		return -EINVAL;
	if (*ret > 0 && *ret > INT64_MAX >> shift)
		return -ERANGE;
	*ret = *ret < 0 ? *ret : *ret << shift;
	return 0;
}

struct update_option {
	const char *name;
	enum value_kind kind;
	const char *value;
	void *to; /* int64_t **, uint64_t **, char ** */
	const char *help;
};

static int apply_option(struct global *g, const struct update_option *o, struct err *err)
{
	int64_t *cell;

	if (str_empty(o->value)) /* engines give them all */
		return 0;
	if (o->kind == TEXT) {
		*(const char **)o->to = o->value;
		return 0;
	}
	cell = arena_new(&g->arena, 1, sizeof(*cell));
	if ((o->kind == BYTES ? parse_bytes(o->value, cell) : str_to_i64(o->value, 10, cell)) < 0 ||
	    (o->kind == UNSIGNED && *cell < 0))
		return err_set(err, ERR_INVALID, "--%s: invalid value \"%s\"", o->name, o->value);
	*(int64_t **)o->to = cell;
	return 0;
}

static int read_resources(struct global *g, const char *path, struct oci_resources *ret, struct err *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(OCI_CONFIG_MAX + 1);
	int r = sys_file_read(AT_FDCWD, str_eq(path, "-") ? "/dev/stdin" : path, OCI_CONFIG_MAX, &text);

	if (r < 0)
		return err_sys(err, r, "--resources: open %s", path);
	return json_read(&oci_resources_type, text.data ? text.data : (const uint8_t *)"", text.len,
			 &g->arena, ret, err);
}

int command_update(struct global *g, int argc, char **argv, struct err *err)
{
	struct oci_memory memory = { 0 };
	struct oci_cpu cpu = { 0 };
	struct oci_pids pids = { 0 };
	int64_t *pids_limit = NULL, *weight = NULL;
	struct oci_block_io io = { 0 };
	uint32_t io_weight;
	struct oci_resources r = { .memory = &memory, .cpu = &cpu };
	struct update_option values[] = {
		{ "blkio-weight", UNSIGNED, NULL, &weight,
		  "WEIGHT\tI/O weight, 10 to 1000" },
		{ "cpu-period", UNSIGNED, NULL, &cpu.period,
		  "USEC\tlength of a period of --cpu-quota" },
		{ "cpu-quota", SIGNED, NULL, &cpu.quota,
		  "USEC\tCPU time in a period; -1: no limit" },
		{ "cpu-burst", UNSIGNED, NULL, &cpu.burst,
		  "USEC\tunused quota that may be saved up" },
		{ "cpu-share", UNSIGNED, NULL, &cpu.shares,
		  "SHARES\tCPU weight, 2 to 262144" },
		{ "cpu-rt-period", UNSIGNED, NULL, &cpu.realtime_period,
		  "USEC\trealtime period (cgroup v1)" },
		{ "cpu-rt-runtime", SIGNED, NULL, &cpu.realtime_runtime,
		  "USEC\trealtime CPU time in a period (cgroup v1)" },
		{ "cpu-idle", SIGNED, NULL, &cpu.idle,
		  "0|1\trun only when nobody else wants to" },
		{ "cpuset-cpus", TEXT, NULL, &cpu.cpus,
		  "LIST\tCPUs, like 0-3,5" },
		{ "cpuset-mems", TEXT, NULL, &cpu.mems,
		  "LIST\tmemory nodes" },
		{ "memory", BYTES, NULL, &memory.limit,
		  "BYTES\tmemory limit, like 64M; -1: none" },
		{ "memory-reservation", BYTES, NULL, &memory.reservation,
		  "BYTES\tsoft memory limit" },
		{ "memory-swap", BYTES, NULL, &memory.swap,
		  "BYTES\tmemory and swap together; -1: no limit" },
		{ "kernel-memory-tcp", BYTES, NULL, &memory.kernel_tcp,
		  "BYTES\tTCP buffers (cgroup v1)" },
		{ "kernel-memory", BYTES, NULL, &memory.kernel,
		  "BYTES\tfor runc's command line; kernels have no such limit any more" },
		{ "pids-limit", SIGNED, NULL, &pids_limit,
		  "N\ttasks; -1: no limit" },
	};
	struct option options[ARRAY_LEN(values) + 3];
	struct oci_intel_rdt rdt = { 0 };
	const char *id, *file = NULL;
	int e;

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		options[i] = (struct option){ values[i].name, 0, OPTION_TEXT, &values[i].value,
					      values[i].help };
	options[ARRAY_LEN(values)] =
		(struct option){ "resources", 'r', OPTION_TEXT, &file,
				 "FILE\tlimits as JSON, \"-\" for stdin" };
	options[ARRAY_LEN(values) + 1] =
		(struct option){ "l3-cache-schema", 0, OPTION_TEXT, &rdt.l3_cache_schema,
				 "SCHEMA\tIntel RDT cache, like L3:0=f" };
	options[ARRAY_LEN(values) + 2] =
		(struct option){ "mem-bw-schema", 0, OPTION_TEXT, &rdt.mem_bw_schema,
				 "SCHEMA\tIntel RDT memory bandwidth, like MB:0=20" };
	e = options_id(command_find("update"), options, ARRAY_LEN(options), argc, argv, &g->arena, &id, err);
	if (e < 0)
		return e;
	if (file) {
		e = read_resources(g, file, &r, err);
		return e < 0 ? e : runtime_update(g->root, id, &r, err);
	}
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		e = apply_option(g, &values[i], err);
		if (e < 0)
			return e;
	}
	if (rdt.l3_cache_schema || rdt.mem_bw_schema) {
		e = runtime_update_rdt(g->root, id, &rdt, err);
		if (e < 0)
			return e;
	}
	if (pids_limit) {
		pids.limit = *pids_limit;
		r.pids = &pids;
	}
	if (weight) {
		io_weight = (uint32_t)*weight;
		io.weight = &io_weight;
		r.block_io = &io;
	}
	return runtime_update(g->root, id, &r, err);
}
