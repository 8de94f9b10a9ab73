# Under the real engines: containerd's own shim and podman, with our binary in runc's place.
load lib
load ../lib/containerd

setup_file() { containerd_start; }
teardown_file() { containerd_stop; }

setup() {
	oci_setup
	NS=caisson-oci-test-$$
}

teardown() {
	containerd_clear
	find /sys/fs/cgroup -depth -type d -path "*/$NS*" -exec rmdir {} + 2>/dev/null || true
	oci_teardown
}

needs_containerd() { containerd_there || skip "needs containerd"; }
run_rootfs() { ct run --runc-binary "$RUNTIME" --runc-root "$ROOT" "${@:1:$#}"; }

@test "ctr run by containerd's runc shim: output and exit code" {
	needs_containerd
	run --separate-stderr timeout 30 ctr -a "$BATS_FILE_TMPDIR/c.sock" -n "$NS" run --rm --runc-binary "$RUNTIME" \
		--runc-root "$ROOT" --rootfs "$B/rootfs" r1 sh -c 'echo out; exit 5' 3>&-
	[ "$output" = out ]
	[ "$status" = 5 ]
}

@test "detached: exec, ps, metrics, pause, resume, kill" {
	needs_containerd
	run_rootfs -d --rootfs "$B/rootfs" d1 sleep 1000
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
	ct task kill -s KILL d1
	eventually sh -c "ctr -a '$BATS_FILE_TMPDIR/c.sock' -n '$NS' task ls | grep -qE '^d1 .*STOPPED'"
}

@test "a terminal through containerd" {
	needs_containerd
	only_ours "about our terminal"
	sleep 3 | command script -qec "ctr -a $BATS_FILE_TMPDIR/c.sock -n $NS run --rm -t --runc-binary $RUNTIME --runc-root $ROOT \
		--rootfs $B/rootfs t1 sh -c 'tty; exit 4'" "$T/typescript" 3>&- | tr -d '\r' >"$T/got"
	grep -qx /dev/pts/0 "$T/got"
}

pod() { podman --root "$T/p/root" --runroot "$T/p/run" --runtime "$RUNTIME" --cgroup-manager cgroupfs --storage-driver vfs \
	--events-backend file --tmpdir "$T/p/tmp" "$@" 3>&-; }

@test "podman run, exec, pause, stop, rm" {
	command -v podman >/dev/null || skip "needs podman"
	mkdir -p "$T/p/tmp"
	run --separate-stderr timeout 60 podman --root "$T/p/root" --runroot "$T/p/run" --runtime "$RUNTIME" \
		--cgroup-manager cgroupfs --storage-driver vfs --events-backend file --tmpdir "$T/p/tmp" \
		run --rm --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --network none --rootfs "$B/rootfs" sh -c 'echo out; exit 6' 3>&-
	[ "$status" = 6 ] || { echo "$stderr"; false; }
	[ "$output" = out ]
	pod run -d --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --name c --network none --memory 64m --pids-limit 50 --rootfs "$B/rootfs" sleep 1000
	[ "$(pod exec c echo in)" = in ]
	run -127 pod exec c nosuch
	[ "$status" = 127 ]
	pod pause c
	[ "$(pod inspect c --format '{{.State.Status}}')" = paused ]
	pod unpause c
	pod stop -t 1 c
	[ "$(pod inspect c --format '{{.State.ExitCode}}')" = 137 ]
	pod rm -f c
}
