/*
 * Which entry of an index is for this machine. The rule: operating system and architecture
 * must be the same; among those, the highest variant that this processor can run; among
 * equals the first. Entries that do not say their platform are tried last.
 */
#include "oci/image.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/utsname.h>

static const struct {
	const char *machine, *architecture;
} architectures[] = {
	/* uname -m and other spellings → GOARCH, the word that the specification uses */
	{ "x86_64", "amd64" },	 { "x86-64", "amd64" },	  { "amd64", "amd64" },	    { "aarch64", "arm64" },
	{ "arm64", "arm64" },	 { "armv8l", "arm" },	  { "armv7l", "arm" },	    { "armv6l", "arm" },
	{ "arm", "arm" },	 { "i386", "386" },	  { "i686", "386" },	    { "386", "386" },
	{ "ppc64le", "ppc64le" }, { "s390x", "s390x" },	  { "riscv64", "riscv64" }, { "mips64", "mips64" },
	{ "mips64le", "mips64le" }, { "loongarch64", "loong64" }, { "loong64", "loong64" },
};

static const char *architecture_of(const char *machine)
{
	for (size_t i = 0; i < ARRAY_LEN(architectures); i++)
		if (str_eq(machine, architectures[i].machine))
			return architectures[i].architecture;
	return machine ? machine : "";
}

/* The number in "v3" or "8"; `none` for an empty variant, -1 for one that is no number. */
static int level_of(const char *variant, int none)
{
	uint32_t n;

	if (str_empty(variant))
		return none;
	if (variant[0] == 'v')
		variant++;
	return str_to_u32(variant, 10, &n) < 0 || n > 100 ? -1 : (int)n;
}

/* What an empty variant means. */
static int level_default(const char *architecture)
{
	return str_eq(architecture, "arm64") ? 8 : str_eq(architecture, "arm") ? 7 : 1;
}

static const char *host_variant(const char *machine)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
	    __builtin_cpu_supports("avx512vl"))
		return "v4";
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma"))
		return "v3";
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
	    __builtin_cpu_supports("popcnt"))
		return "v2";
	return "v1";
#else
	if (str_skip_prefix(machine, "armv6"))
		return "v6";
	if (str_skip_prefix(machine, "armv7") || str_skip_prefix(machine, "armv8"))
		return "v7";
	return "";
#endif
}

static struct oci_host_platform host_platform = { "linux", "unknown", "" };

static void find_host(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	/* a machine that the table does not know gets no name of u's, which is on the stack */
	if (architecture_of(u.machine) != u.machine)
		host_platform.architecture = architecture_of(u.machine);
	host_platform.variant = host_variant(u.machine);
}

const struct oci_host_platform *oci_host_platform(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_host);
	return &host_platform;
}

int oci_platform_rank(const struct oci_platform *p, const struct oci_host_platform *host)
{
	int none = level_default(host->architecture), want, have = level_of(host->variant, none);

	if (!p || (str_empty(p->os) && str_empty(p->architecture)))
		return 0;
	if (!str_eq(p->os, host->os) || !str_eq(architecture_of(p->architecture), host->architecture))
		return -1;
	want = level_of(p->variant, none);
	if (want < 0 || want > have)
		return -1;
	return 1 + want;
}

static bool is_content(const struct oci_descriptor *d)
{
	/* attestations and other artifacts that travel in an image's index */
	if (d->platform && str_eq(d->platform->os, "unknown"))
		return false;
	for (size_t i = 0; i < d->n_annotations; i++)
		if (str_eq(d->annotations[i].key, "vnd.docker.reference.type"))
			return false;
	return str_empty(d->artifact_type);
}

const struct oci_descriptor *oci_index_choose(const struct oci_index *index,
					      const struct oci_host_platform *host, struct err *err)
{
	const struct oci_descriptor *best = NULL;
	char offered[400] = "";
	size_t len = 0;
	int best_rank = -1;

	for (size_t i = 0; i < index->n_manifests; i++) {
		const struct oci_descriptor *d = &index->manifests[i];
		const struct oci_platform *p = d->platform;
		int rank;

		if (!is_content(d))
			continue;
		rank = oci_platform_rank(p, host);
		if (rank > best_rank) {
			best = d;
			best_rank = rank;
		}
		if (p && len < sizeof(offered) - 1)
			len += (size_t)snprintf(offered + len, sizeof(offered) - len,
						"%s%.20s/%.20s%s%.10s", len ? ", " : "",
						p->os ? p->os : "", p->architecture ? p->architecture : "",
						str_empty(p->variant) ? "" : "/",
						p->variant ? p->variant : "");
	}
	if (!best)
		err_set(err, ERR_NOT_FOUND, "nothing for %s/%s%s%s; offered: %s", host->os,
			host->architecture,
			*host->variant ? "/" : "", host->variant, *offered ? offered : "nothing");
	return best;
}
