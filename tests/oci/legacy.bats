# The systemd driver on the hierarchies of cgroup v1, alone (LEGACY=all) and beside one of v2: in a
# machine of its own, since systemd owns what it runs on. tests/run legacy boots others so.
load lib
load machine

setup() {
	oci_setup
	only_ours "about our driver"
	is_v2 && skip "the host has cgroup v2 alone"
	[ -x /lib/systemd/systemd ] || skip "no systemd"
}
teardown() { oci_teardown; }

conformance() {
	local t
	for t in processes limits stats; do
		inside "$(realpath "$CAISSON_BUILD")/src/cgroup/test-$t" >"$T/out" 2>&1 || { cat "$T/out"; false; }
		grep -q 'LAYOUT.*systemd' "$T/out"
	done
}

suite() {
	local status=0
	inside bats --tap "$@" >"$T/out" 2>&1 || status=$?
	[ "$status" = 0 ] || { cat "$T/out"; false; }
	[ "$(grep -cE '^ok' "$T/out")" -gt 4 ]
}

@test "systemd on cgroup v1 beside v2: the conformance suites, and what holds for a running container" {
	machine hybrid
	[ "$(inside sed -n '/name=systemd/p; /^0:/p' /proc/1/cgroup | cut -d: -f3 | uniq)" = /init.scope ]
	conformance
	suite tests/oci/drivers.bats
}

@test "the same on cgroup v1 alone, and every limit on both" {
	[ "${LEGACY:-}" = all ] || skip "LEGACY=all"
	machine v1
	[ "$(inside grep -c '^0:.*scope' /proc/1/cgroup)" = 0 ]
	conformance
	suite tests/oci/drivers.bats
	suite tests/oci/limits.bats
	rt delete -f machine
	machine hybrid
	suite tests/oci/limits.bats
}
