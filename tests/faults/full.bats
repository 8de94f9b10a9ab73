# The disk is full, at any write (full.py): a clear error, nothing half done, space given back, and what takes
# away works without a byte. A cut by default, with FAULTS=all every amount of space.

load ../lib/load

setup_file() {
	[ -n "${CRI_SOCKET:-}" ] && skip "needs a disk of its own"
	[ -e /dev/loop-control ] || skip "no loop devices"
	work_start
	node_start
	registry_start
	truncate -s 64M "$WORK/small.img"
	mkfs.ext4 -q -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -J size=4 "$WORK/small.img"
	mkdir "$WORK/small"
	mount -o loop "$WORK/small.img" "$WORK/small"
	mkdir "$WORK/small/root" "$WORK/small/logs"
	ln -s small/root "$WORK/root"
	CRIU=$("$TOP/tools/install-criu" 2>/dev/null) || CRIU=
	daemon_start
	if [ -n "$CRIU" ]; then
		sed -i "s|^pods:|&\n  criu: $CRIU|" "$WORK/config.yaml"
		daemon_restart
	fi
	cat >"$WORK/daemon-run" <<-SH
		#!/bin/bash
		source "$LIB/load.bash"
		daemon_run
	SH
	chmod +x "$WORK/daemon-run"
	export FAULT_RUN=$WORK/daemon-run CRIU
	pod_config full ".log_directory = \"$WORK/small/logs/full\"" >/dev/null
	container_config "$REGISTRY/busybox:1" . sleep 1000 >"$WORK/container-full.json"
	export BUILD REGISTRY
}

teardown_file() {
	[ -n "${WORK:-}" ] || return 0
	rm -f "$WORK/small/ballast"
	daemon_stop
	umount "$WORK/small"
	suite_stop
}

@test "with any amount of space too little for it a request says so, and nothing is half done" {
	local args=()
	[ "${FAULTS:-}" = all ] || args=(--quick)
	[ -z "${FULL_ONLY:-}" ] || args+=(--only "$FULL_ONLY")
	[ -z "${FAULTS_REPORTS:-}" ] || args+=(--report "$FAULTS_REPORTS/full.json")
	python3 "$BATS_TEST_DIRNAME/full.py" "${args[@]}" >"$WORK/full.out" 2>&1 || { cat "$WORK/full.out"; tail -n 5 "$LOG"; false; }
	echo "# $(tail -n 1 "$WORK/full.out")" >&3
}
