# The unit tests whose results depend on the kernel, on pure cgroup v2.

setup() {
	[ -n "${CAISSON_VM:-}" ] || skip "only in the virtual machine"
}

@test "this machine has cgroup v2 and nothing else" {
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]
	grep -qw memory /sys/fs/cgroup/cgroup.controllers
	! grep -q ' cgroup ' /proc/mounts || false
}

@test "unit tests of sys, cgroup, sec and mnt pass on this kernel" {
	for t in "$CAISSON_BUILD"/{sys,cgroup,sec,mnt}/test-*; do
		[ -x "$t" ] || continue
		"$t" >"$BATS_TEST_TMPDIR/out" 2>&1 || { echo "$t"; cat "$BATS_TEST_TMPDIR/out"; false; }
	done
}
