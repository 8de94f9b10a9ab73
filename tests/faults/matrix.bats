# The fault matrix (matrix.py): every step of every operation, and a death, a failure or a stall there. A cut
# of it by default; with FAULTS=all the whole (FAULTS_SLICE=I/N: one part of it), and the same without fault
# points against Debian's containerd; tests/faults/report writes docs/faults.md from what they leave in
# $FAULTS_REPORTS.

load ../lib/load

setup_file() {
	local faults=$TOP/build-faults
	[ -n "${CRI_SOCKET:-}" ] && skip "kills the daemon"
	if ours && [ -z "${CAISSON_BUILD:-}" ]; then
		# the programs with fault points, which no release has
		[ -e "$faults/build.ninja" ] || meson setup "$faults" "$TOP" -Dfaults=true >/dev/null
		ninja -C "$faults" src/prog/{caissond/caissond,caisson-shim/caisson-shim,caisson-pause/caisson-pause} >/dev/null
		BUILD=$faults
	fi
	work_start
	export CAISSON_FAULTS=$WORK/faults FAULT_RUN=$WORK/daemon-run
	mkdir "$CAISSON_FAULTS"
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
	[ -n "${WORK:-}" ] || return 0
	suite_stop
}

matrix() { # name of the report, arguments of matrix.py
	local part=${FAULTS_SLICE:-1/1} name=$1
	shift
	[ -z "${FAULTS_REPORTS:-}" ] || set -- "$@" --report "$FAULTS_REPORTS/$(peer)-$name-${part%/*}.json"
	python3 "$BATS_TEST_DIRNAME/matrix.py" "$@" >"$WORK/matrix.out" 2>&1 || { tail -n 40 "$WORK/matrix.out"; tail -n 5 "$LOG"; false; }
	echo "# $(tail -n 1 "$WORK/matrix.out")" >&3
}

@test "every step of every operation: daemon dies, shim dies, step fails" {
	only_ours
	if [ "${FAULTS:-}" = all ]; then
		matrix steps --slice "${FAULTS_SLICE:-1/1}" --budget "${FAULTS_SECONDS:-1e9}"
	else
		matrix steps --quick --every 8 --budget 60
	fi
}

@test "killed at any time, without fault points: the request sent again succeeds, nothing is left" {
	if [ "${FAULTS:-}" = all ]; then
		matrix random --random 90 --slice "${FAULTS_SLICE:-1/1}" --budget "${FAULTS_SECONDS:-1e9}"
	else
		matrix random --random 9 --budget 30
	fi
}

@test "killed at a system call: daemon, shim, and whatever they start" {
	only_ours
	command -v strace >/dev/null || skip "no strace"
	if [ "${FAULTS:-}" = all ]; then
		matrix calls --syscalls "${FAULTS_CALLS:-20}" --slice "${FAULTS_SLICE:-1/1}" --budget "${FAULTS_SECONDS:-1e9}"
	else
		matrix calls --syscalls 2 --only start --budget 12
	fi
}
