# The specs of critest that are there only on a kernel with SELinux. They cost minutes: with VM_ALL=1.

load ../../lib/load
load ../critest.bash

setup() {
	[ -e /sys/fs/selinux/enforce ] || skip "this kernel runs without SELinux"
	[ -n "${VM_ALL:-}" ] || skip "with VM_ALL=1"
}

@test "critest: SELinux" { critest SELinux 17; }
