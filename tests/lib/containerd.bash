# A containerd of a test file's own, in $BATS_FILE_TMPDIR, without its CRI: an engine that drives
# our shim or our runtime. (As a peer with CRI it is started by lib/daemon.bash.)
#
#   setup_file()    { containerd_start; }      does nothing where there is none
#   teardown_file() { containerd_stop; }
#   ct …                                       ctr against it, in the namespace $NS
#   containerd_there                           false where it was not started
#   containerd_clear                           ends and removes every task and container of $NS
#
# shellcheck shell=bash

containerd_start() { # [PROGRAM=NAME…: further programs that it is to find, by these names]
	local d=$BATS_FILE_TMPDIR program
	[ "$(id -u)" = 0 ] && [ -x "$(command -v containerd)" ] || return 0
	mkdir -p "$d/bin"
	for program; do
		[ -x "${program%%=*}" ] || return 0
		ln -s "$(realpath "${program%%=*}")" "$d/bin/${program#*=}"
	done
	cat >"$d/config.toml" <<-X
		version = 2
		root = "$d/root"
		state = "$d/state"
		oom_score = 0
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$d/c.sock"
		[debug]
		  level = "debug"
	X
	PATH=$d/bin:$PATH containerd -c "$d/config.toml" >"$d/log" 2>&1 3>&- &
	echo $! >"$d/containerd.pid"
	for _ in $(seq 200); do
		ctr -a "$d/c.sock" version >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	tail -n 20 "$d/log"
	return 1
}

containerd_stop() {
	containerd_there || return 0
	kill "$(cat "$BATS_FILE_TMPDIR/containerd.pid")"
}

containerd_there() { [ -e "$BATS_FILE_TMPDIR/containerd.pid" ]; }

# (without bats' descriptor, which shims would keep)
ct() { ctr -a "$BATS_FILE_TMPDIR/c.sock" -n "$NS" "$@" 3>&-; }

# the exit status of rm is the task's: what counts is that the task is no longer listed
task_gone() {
	ct task rm -f "$1" >/dev/null 2>&1
	! ct task ls -q | grep -qx "$1"
}

containerd_clear() {
	local c
	containerd_there || return 0
	for c in $(ct container ls -q); do
		ct task kill -s KILL "$c" >/dev/null 2>&1 || true
		eventually task_gone "$c" || true
		ct container rm "$c" >/dev/null 2>&1 || true
	done
}
