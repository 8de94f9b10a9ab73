# containerd drives the shim, by the name containerd-shim-caisson-v2: "ctr run --runtime
# io.containerd.caisson.v2". It is a containerd of this test's own, in $BATS_FILE_TMPDIR.

bats_require_minimum_version 1.5.0
load lib
load ../lib/containerd

setup_file() { containerd_start "$CAISSON_SHIM=containerd-shim-caisson-v2"; }
teardown_file() { containerd_stop; }

setup() {
	shim_setup
	containerd_there || skip "needs containerd"
	NS=caisson-shim-test-$$
	rootfs
}

teardown() {
	containerd_there || return 0
	containerd_clear
	remove_cgroups "/$NS"
	rmdir "/run/caisson/shim/$NS" "/run/caisson-oci/$NS" 2>/dev/null || true
}

run_rootfs() { # ctr run options… -- ID ARG…
	local options=()
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	ct run --runtime io.containerd.caisson.v2 "${options[@]}" --rootfs "$T/rootfs" "$@"
}

@test "ctr run: output, exit code, and nothing is left" {
	run --separate-stderr timeout 20 ctr -a "$BATS_FILE_TMPDIR/c.sock" -n "$NS" run --rm \
		--runtime io.containerd.caisson.v2 --rootfs "$T/rootfs" r1 sh -c 'echo out; echo err >&2; exit 5'
	[ "$status" = 5 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	eventually [ ! -e "/run/caisson/shim/$NS/r1" ]
	[ ! -e "/run/caisson-oci/$NS/r1" ]
}

@test "detached: ls, exec, ps, metrics, pause, resume, kill, rm" {
	run_rootfs -d -- d1 sleep 1000
	ct task ls | grep -qE '^d1 .*RUNNING'
	[ "$(echo abc | ct task exec --exec-id e1 d1 cat)" = abc ]
	run ct task exec --exec-id e2 d1 sh -c 'exit 9'
	[ "$status" = 9 ]
	run ct task exec --exec-id e3 d1 /nonexistent
	[ "$status" != 0 ]
	[[ "$output" == *"/nonexistent"* ]]
	ct task ps d1 | grep -qE '^[0-9]'
	ct task metrics d1 | grep -q memory
	ct task pause d1
	ct task ls | grep -qE '^d1 .*PAUSED'
	ct task resume d1
	ct task kill -s TERM d1 || true
	ct task kill -s KILL d1
	eventually sh -c "ctr -a '$BATS_FILE_TMPDIR/c.sock' -n '$NS' task ls | grep -qE '^d1 .*STOPPED'"
	# ctr rm gives the exit status of the task as a warning
	ct task rm d1 || true
	ct container rm d1
	for topic in create start exec-added exec-started exit delete paused resumed; do
		grep -qE "event forwarded.*ns=$NS topic=/tasks/$topic " "$BATS_FILE_TMPDIR/log"
	done
}

@test "a terminal through ctr" {
	sleep 2 | script -qec "ctr -a $BATS_FILE_TMPDIR/c.sock -n $NS run --rm -t --runtime io.containerd.caisson.v2 \
		--rootfs $T/rootfs t1 sh -c 'tty; exit 4'" "$T/typescript" 3>&- | tr -d '\r' >"$T/got"
	grep -qx /dev/pts/0 "$T/got"
}

@test "containers from an image: the overlay is not in the host's mounts" {
	[ -x "$(command -v umoci)" ] || skip "needs umoci"
	(
		cd "$T"
		umoci init --layout l
		umoci new --image l:t
		umoci unpack --image l:t b
		cp -a rootfs/. b/rootfs/
		umoci repack --image l:t b
		tar -C l -cf l.tar .
	) >/dev/null 2>&1
	ct image import --base-name bb "$T/l.tar" >/dev/null
	ct run -d --runtime io.containerd.caisson.v2 bb:t i1 sleep 1000
	[ "$(ct task exec --exec-id e1 i1 sh -c 'echo x >/new && cat /new')" = x ]
	! grep -q " $BATS_FILE_TMPDIR/.*overlay" /proc/self/mountinfo
}

@test "a shim that is killed: containerd cleans up by its delete command" {
	run_rootfs -d -- k1 sleep 1000
	pid=$(ct task ls | awk '$1 == "k1" { print $2 }')
	kill -9 "$(jq .pid "/run/caisson/shim/$NS/k1/shim.json")"
	eventually [ ! -e "/proc/$pid" ]
	eventually [ ! -e "/run/caisson-oci/$NS/k1" ]
	eventually [ ! -e "/run/caisson/shim/$NS/k1" ]
}
