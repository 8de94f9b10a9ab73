# critest, the CRI's own conformance suite, on a kernel with AppArmor and pure cgroup v2.
#
# By default three of the nine specs that cannot run on a kernel without AppArmor; with VM_ALL=1 all nine and a
# cut of what depends on the cgroup version; with CRITEST_FOCUS=REGEX just that ('.' is the whole suite,
# for which VM_TIMEOUT has to be hours).

load ../lib/load
load critest.bash

setup() {
	[ -n "${CAISSON_VM:-}" ] || skip "only in the virtual machine"
	grep -q apparmor /sys/kernel/security/lsm || skip "this kernel runs without AppArmor"
}

@test "critest: AppArmor" {
	[ -z "${CRITEST_FOCUS:-}" ] || skip "CRITEST_FOCUS is another"
	if [ -n "${VM_ALL:-}" ]; then
		critest AppArmor 9
	else
		critest 'AppArmor.*prefer new' 3
	fi
}

@test "critest: what depends on the cgroup version" {
	[ -n "${VM_ALL:-}" ] && [ -z "${CRITEST_FOCUS:-}" ] || skip "with VM_ALL=1"
	critest 'OOM|stats|metrics|UserNamespaces|bucket|Seccomp|NoNewPrivs' 30
}

@test "critest: the focus that was asked for" {
	[ -n "${CRITEST_FOCUS:-}" ] || skip "with CRITEST_FOCUS"
	critest "$CRITEST_FOCUS" 1
}
