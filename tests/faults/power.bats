# The power is cut. Images are pulled, imported, tagged and removed and pods run, the daemon's root on a
# disk that remembers in which order it was written (power/disk); then the disk is built as it was
# at many moments, with what a cache loses lost, and a daemon is started on each, as at the next
# boot (power/judge).
#
# By default a short run on this kernel; with FAULTS=all a longer one in a virtual machine, 200 moments.
# POWER_FS: xfs or btrfs instead of ext4. POWER_KEEP: a directory for the log of what failed.

load ../lib/load

setup_file() {
	[ -n "${CRI_SOCKET:-}" ] && skip "needs a disk of its own"
	command -v qemu-storage-daemon >/dev/null || skip "no qemu-storage-daemon"
	[ -e /dev/fuse ] && [ -e /dev/loop-control ] || skip "no FUSE or no loop devices"
	work_start
	images_ensure
	CRICTL=$("$TOP/tools/install-crictl") || skip "no crictl"
	export CRICTL MOMENTS=${POWER_MOMENTS:-5}
	disk_make
	if [ "${FAULTS:-}" = all ]; then
		MOMENTS=${POWER_MOMENTS:-200}
		power_on machine_work "${POWER_ROUNDS:-6}"
	else
		power_on here_work "${POWER_ROUNDS:-1}"
	fi >"$WORK/work.out" 2>&1 || { tail -n 30 "$WORK/work.out"; false; }
}

disk_make() {
	local fs=${POWER_FS:-ext4} options=()
	# no lazy work of the kernel's in the log
	[ "$fs" != ext4 ] || options=(-q -E "lazy_itable_init=0,lazy_journal_init=0" -J size=8)
	truncate -s "${POWER_SIZE:-256M}" "$WORK/disk.now"
	"mkfs.$fs" "${options[@]}" "$WORK/disk.now" >/dev/null
	cp --sparse=always "$WORK/disk.now" "$WORK/disk.first"
}

power_on() { # machine_work|here_work ROUNDS
	local disk status
	"$BATS_TEST_DIRNAME/power/disk" "$WORK/disk.sock" "$WORK/disk.now" "$WORK/disk.log" 3>&- &
	disk=$!
	eventually 5 test -S "$WORK/disk.sock" || return 1
	"$@"
	status=$?
	kill "$disk"
	return $status
}

machine_work() {
	local machine=$TOP/tests/vm/run-in-vm at=nbd:unix:$WORK/disk.sock:exportname crictl=$(realpath "$CRICTL")
	"$machine" --setup || return 1
	"$machine" --share "$TOP" --share "$BUILD" --share "$CAISSON_TEST_CACHE" --share "$(dirname "$crictl")" --timeout 550 \
		--disk "$at=disk" --disk "$at=notes" -- \
		env CAISSON_VM=1 CAISSON_BUILD="$BUILD" CAISSON_TEST_CACHE="$CAISSON_TEST_CACHE" CRICTL="$crictl" \
		WORK="$WORK" TAG="$TAG" "$BATS_TEST_DIRNAME/power/work" "$1" /dev/vda /dev/vdb
}

# A machine that is only a mount namespace: what it leaves running is killed, which is no part of the log.
here_work() {
	local status device export pids=()
	for export in disk notes; do
		touch "$WORK/$export.device"
		qemu-storage-daemon \
			--blockdev "driver=nbd,node-name=d,server.type=unix,server.path=$WORK/disk.sock,export=$export" \
			--export "type=fuse,id=e,node-name=d,mountpoint=$WORK/$export.device,writable=on" 3>&- &
		pids+=($!)
		eventually 5 mountpoint -q "$WORK/$export.device" || return 1
	done
	device=$(losetup --find --show "$WORK/disk.device") || return 1
	unshare --mount "$BATS_TEST_DIRNAME/power/work" "$1" "$device" "$WORK/notes.device"
	status=$?
	off
	eventually 10 device_free "$device" || status=1
	kill "${pids[@]}"
	wait "${pids[@]}"
	return $status
}

# Its last mount goes with the last process of the machine.
device_free() {
	! losetup "$1" 2>/dev/null || { losetup -d "$1" && ! losetup "$1" 2>/dev/null; }
}

# What runs of ours ends.
off() {
	local pids
	for _ in $(seq 100); do
		pids=$(grep -lzx "CAISSON_TEST_TAG=$TAG" /proc/[0-9]*/environ 2>/dev/null
			grep -lE "/$TAG(/|\$)" /proc/[0-9]*/cgroup 2>/dev/null
			grep -lF " $WORK/root " /proc/[0-9]*/mountinfo 2>/dev/null
			cat "$WORK"/registry.*.pid 2>/dev/null | sed 's|^|/proc/|')
		pids=$(cut -d/ -f3 <<<"$pids" | sort -u)
		kill -9 $pids 2>/dev/null || break
		sleep 0.05
	done
	rm -f "$WORK"/registry.*.pid
	find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*/$TAG*" -exec rmdir {} + 2>/dev/null
	true
}

teardown_file() {
	[ -n "${WORK:-}" ] || return 0
	off
	umount "$WORK/node.netns" 2>/dev/null || true
	work_stop
}

@test "after a cut of the power no image is wrong, nothing answered for is lost, pods are over, life goes on" {
	local args=(--moments "$MOMENTS" --seed "$RANDOM" --budget "${FAULTS_SECONDS:-1e9}")
	[ -z "${FAULTS_REPORTS:-}" ] || args+=(--report "$FAULTS_REPORTS/power-${POWER_FS:-ext4}.json")
	mkdir -p "$WORK/root"
	node_start
	registry_start
	# the configuration is the machine's
	daemon_run() { :; }
	daemon_start
	pod_config after >/dev/null
	container_config "$REGISTRY/busybox:1" . sleep 1000 >"$WORK/container-after.json"
	cat >"$WORK/daemon-run" <<-SH
		#!/bin/bash
		source "$LIB/load.bash"
		daemon_run
	SH
	chmod +x "$WORK/daemon-run"
	export FAULT_RUN=$WORK/daemon-run BUILD REGISTRY
	unshare --mount python3 "$BATS_TEST_DIRNAME/power/judge" "${args[@]}" "$WORK/disk.first" "$WORK/disk.log" \
		>"$WORK/judge.out" 2>&1 || {
		grep -v ': ok$' "$WORK/judge.out"
		[ -z "${POWER_KEEP:-}" ] || cp "$WORK/disk.log" "$WORK/judge.out" "$POWER_KEEP/"
		false
	}
	echo "# $(tail -n 1 "$WORK/judge.out")" >&3
}
