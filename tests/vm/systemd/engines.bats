# podman and containerd with the systemd driver, and our binary in runc's place.
# bats file_tags=systemd
load ../../oci/lib

setup_file() {
	[ -d /run/systemd/system ] || return 0
	local d=$BATS_FILE_TMPDIR
	cat >"$d/config.toml" <<-X
		version = 2
		root = "$d/root"
		state = "$d/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$d/c.sock"
	X
	containerd -c "$d/config.toml" >"$d/log" 2>&1 3>&- &
	echo $! >"$d/pid"
	for _ in $(seq 600); do ctr -a "$d/c.sock" version >/dev/null 2>&1 && return 0; sleep 0.1; done
	return 1
}

teardown_file() {
	[ -e "$BATS_FILE_TMPDIR/pid" ] && kill "$(cat "$BATS_FILE_TMPDIR/pid")"
	return 0
}

setup() {
	[ -d /run/systemd/system ] || skip "needs systemd"
	oci_setup
}
teardown() {
	[ -d /run/systemd/system ] || return 0
	# a shim that is left holds the test's output open
	ct task rm -f c1 >/dev/null 2>&1 || true
	ct container rm c1 >/dev/null 2>&1 || true
	oci_teardown
}

ct() { ctr -a "$BATS_FILE_TMPDIR/c.sock" "$@" 3>&-; }
pm() { podman --root "$BATS_FILE_TMPDIR/p" --runroot "$BATS_FILE_TMPDIR/pr" --storage-driver vfs --cgroup-manager systemd --runtime "$RUNTIME" \
	--events-backend file "$@" 3>&-; }
units() { systemctl list-units --plain --no-legend --all "$1"; }

@test "ctr run: the task is a scope" {
	ct run -d --runc-binary "$RUNTIME" --runc-systemd-cgroup --cgroup "machine-c.slice:test:c1" --memory-limit 67108864 \
		--rootfs "$B/rootfs" c1 sleep 1000
	pid=$(ct task ls | awk '$1 == "c1" {print $2}')
	[ "$(cat /proc/$pid/cgroup)" = 0::/machine.slice/machine-c.slice/test-c1.scope ]
	[ "$(systemctl show test-c1.scope -p MemoryMax --value)" = 67108864 ]
	[ "$(ct task exec --exec-id e1 c1 cat /proc/self/cgroup)" = 0::/ ] ||
		[ "$(ct task exec --exec-id e1 c1 cat /proc/self/cgroup)" = 0::/machine.slice/machine-c.slice/test-c1.scope ]
	ct task metrics c1 | grep -q 'memory.usage'
	ct task pause c1
	[ "$(cat /sys/fs/cgroup/machine.slice/machine-c.slice/test-c1.scope/cgroup.freeze)" = 1 ]
	ct task resume c1
	ct task kill -s KILL c1
	for _ in $(seq 200); do ct task rm c1 >/dev/null 2>&1 && break; sleep 0.1; done
	ct container rm c1
	[ -z "$(units 'test-c1.scope')" ]
}

@test "podman run, exec, update, pause, stop, rm" {
	pm run -d --name p1 --network none --memory 64m --memory-swap 64m --pids-limit 50 --cpus 0.5 --rootfs "$B/rootfs" sleep 1000
	id=$(pm inspect p1 --format '{{.Id}}')
	scope=libpod-$id.scope
	pid=$(pm inspect p1 --format '{{.State.Pid}}')
	grep -q "^0::/machine.slice/$scope" /proc/$pid/cgroup
	[ "$(systemctl show "$scope" -p MemoryMax --value)" = 67108864 ]
	[ "$(systemctl show "$scope" -p TasksMax --value)" = 50 ]
	[ "$(systemctl show "$scope" -p CPUQuotaPerSecUSec --value)" = 500ms ]
	[ "$(pm exec p1 echo hi)" = hi ]
	pm update --memory 128m --memory-swap 128m p1
	[ "$(systemctl show "$scope" -p MemoryMax --value)" = 134217728 ]
	[ "$(cat "/sys/fs/cgroup/machine.slice/$scope"/memory.max)" = 134217728 ]
	pm pause p1
	[ "$(pm inspect p1 --format '{{.State.Status}}')" = paused ]
	pm unpause p1
	pm stats --no-stream --format '{{.PIDs}}' p1
	pm stop -t 0 p1
	pm rm p1
	[ -z "$(units "$scope")" ]
}

@test "podman run: output, exit code, and systemd inside" {
	run pm run --rm --network none --rootfs "$B/rootfs" sh -c 'echo out; exit 7'
	[ "$status" = 7 ]
	[[ "$output" == *out* ]]
}

@test "podman of a user without privileges: the user's systemd makes the scope" {
	u=$(id -u tester)
	systemctl start --no-block "user@$u.service"
	cp "$RUNTIME" /usr/local/bin/caisson-oci
	h=/home/tester/t$BATS_TEST_NUMBER
	mkdir -p "$h"
	cp -a "$B/rootfs" "$h/rootfs"
	chown -hR tester:tester "$h"
	# a scope, not a service: conmon has to outlive the command that started it
	as() { (cd / && exec setpriv --reuid "$u" --regid "$u" --init-groups env HOME=/home/tester USER=tester LOGNAME=tester \
		XDG_RUNTIME_DIR=/run/user/"$u" DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/"$u"/bus \
		systemd-run --user --quiet --scope "$@" 3>&-); }
	for _ in $(seq 120); do as true >/dev/null 2>&1 && break; sleep 1; done
	pd() { as podman --storage-driver vfs --cgroup-manager systemd --events-backend file --runtime /usr/local/bin/caisson-oci "$@"; }
	pd run -d --name r1 --network none --memory 64m --pids-limit 50 --rootfs "$h/rootfs" sleep 1000
	pid=$(pd inspect r1 --format '{{.State.Pid}}')
	cg=/sys/fs/cgroup$(cut -d: -f3 </proc/"$pid"/cgroup)
	[[ "$cg" == *"user@$u.service/user.slice/libpod-"*.scope* ]]
	scope=$(sed 's/\(\.scope\).*/\1/' <<<"$cg")
	[ "$(cat "$scope/memory.max")" = 67108864 ]
	[ "$(cat "$scope/pids.max")" = 50 ]
	[ "$(pd exec r1 echo hi)" = hi ]
	run pd exec r1 sh -c 'cat /proc/1/cmdline; exit 9'
	[ "$status" = 9 ]
	[[ "$output" == *sleep* ]]
	run pd run --rm --network none --rootfs "$h/rootfs" sh -c 'exit 7'
	[ "$status" = 7 ]
	pd stop -t 0 r1
	pd rm r1
	[ ! -e "$scope" ]
}
