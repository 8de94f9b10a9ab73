/*
 * Prints the default seccomp profile for a container with the three capabilities of
 * `caisson-oci spec`, so that runtimes are measured with the filter that a pod of the daemon gets.
 *
 *	default-seccomp            as a config.json has it under linux.seccomp
 *	default-seccomp program    compiled: struct sock_filter, for floor
 */
#include "json/json.h"
#include "oci/oci.h"
#include "pod/security.h"
#include "sec/sec.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	CLEANUP(arena_done) struct arena a = ARENA_INIT;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	uint64_t caps = 1ull << CAP_AUDIT_WRITE | 1ull << CAP_KILL | 1ull << CAP_NET_BIND_SERVICE;
	CLEANUP(sec_filter_done) struct sec_filter filter = SEC_FILTER_INIT;
	struct sec_seccomp profile;
	struct err err = ERR_INIT;

	if (argc > 1) {
		sec_seccomp_default(caps, &a, &profile);
		if (sec_seccomp_compile(&profile, &filter, &err) < 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		return fwrite(filter.insns, sizeof(filter.insns[0]), filter.n, stdout) == filter.n ? 0 : 1;
	}
	if (json_write(&oci_seccomp_type, pod_seccomp_default(caps, &a), 0, &out, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return fwrite(out.data, 1, out.len, stdout) == out.len ? 0 : 1;
}
