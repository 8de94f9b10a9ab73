# Descriptors, processes and memory are lacking at any system call (lack.py): with FAULTS=all, since a request
# under strace takes its time.

load ../lib/load

why_not() {
	if [ -n "${CRI_SOCKET:-}" ]; then
		echo "needs a daemon of its own"
	elif [ "${FAULTS:-}" != all ]; then
		echo "with FAULTS=all only"
	elif ! command -v strace >/dev/null; then
		echo "no strace"
	fi
}

setup_file() {
	# skipped by setup, since this bats takes a skip of setup_file for a failure of teardown_file
	[ -z "$(why_not)" ] || return 0
	work_start
	export FAULT_RUN=$WORK/daemon-run
	node_start
	registry_start
	daemon_start
	IMAGE=$(image busybox:1)
	export IMAGE CRI_PEER=${CRI_PEER:-caisson}
	cat >"$FAULT_RUN" <<-SH
		#!/bin/bash
		source "$LIB/load.bash"
		BUILD=$BUILD
		daemon_run
	SH
	chmod +x "$FAULT_RUN"
}

teardown_file() {
	if [ -n "${WORK:-}" ]; then
		suite_stop
	fi
}

setup() {
	[ -z "$(why_not)" ] || skip "$(why_not)"
}

@test "what is lacking is said, the request sent again succeeds, nothing is left" {
	local args=(--budget "${FAULTS_SECONDS:-1e9}")
	[ -z "${FAULTS_REPORTS:-}" ] || args+=(--report "$FAULTS_REPORTS/lack.json")
	[ -z "${LACK_ONLY:-}" ] || args+=(--only "$LACK_ONLY")
	python3 "$BATS_TEST_DIRNAME/lack.py" "${args[@]}" >"$WORK/lack.out" 2>&1 || { tail -n 40 "$WORK/lack.out"; tail -n 5 "$LOG"; false; }
	echo "# $(tail -n 1 "$WORK/lack.out")" >&3
}
