# ExecSync: its end takes everything with it, whoever ends it; its output is bounded.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
	export pod pod_json id container_pid
	pod_json=$(pod_config probes)
	pod=$(crictl runp "$pod_json")
	id=$(run_container "$pod" "$pod_json" probed 'trap "" TERM HUP; while true; do sleep 1000 & wait; done')
	container_pid=$(crictl inspect "$id" | jq -r .info.pid)
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# Processes of the container whose command line has the word.
running() {
	local p
	for p in $(cat "/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' "/proc/$container_pid/cgroup")/cgroup.procs" 2>/dev/null ||
		cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$container_pid/cgroup")/cgroup.procs"); do
		tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -qw -- "$1" && echo "$p"
	done
	return 0
}

# all_gone WORD: within a second
all_gone() {
	for _ in $(seq 50); do
		[ -z "$(running "$1")" ] && return 0
		sleep 0.02
	done
	echo "still there: $(running "$1")"
	return 1
}

appeared() {
	for _ in $(seq 100); do
		[ "$(running "$1" | wc -l)" -ge "$2" ] && return 0
		sleep 0.02
	done
	return 1
}

# a tree of three: one in the background, one in a session of its own
tree() { echo "cmd: \"/bin/sh\" cmd: \"-c\" cmd: \"sleep $1 & setsid sleep $1 & sleep $1\""; }

@test "a timeout kills the whole tree and says so" {
	run rpc ExecSync "container_id: \"$id\" $(tree 4101) timeout: 1"
	[ "$status" -eq 1 ]
	[[ $output == TIMEOUT:*"timed out after 1000 ms"* ]] || { echo "$output"; false; }
	all_gone 4101
}

@test "a client whose deadline passes takes the tree with it, without any timeout of its own" {
	run rpc ExecSync "container_id: \"$id\" $(tree 4102)" "-t 700"
	[ "$status" -eq 1 ]
	[[ $output == TIMEOUT:* ]]
	all_gone 4102
}

@test "a client that is killed takes the tree with it" {
	protoc -I "$repo/schema" --encode=runtime.v1.ExecSyncRequest cri.proto <<<"container_id: \"$id\" $(tree 4103) timeout: 600" >"$dir/request"
	"$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/ExecSync <"$dir/request" >/dev/null 2>&1 3>&- &
	appeared 4103 3
	kill -9 $!
	all_gone 4103
}

@test "an end of the daemon takes probes with it, at once, and nothing else" {
	protoc -I "$repo/schema" --encode=runtime.v1.ExecSyncRequest cri.proto <<<"container_id: \"$id\" $(tree 4104)" >"$dir/request"
	"$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/ExecSync <"$dir/request" >/dev/null 2>&1 3>&- &
	appeared 4104 3
	daemon_kill KILL
	all_gone 4104
	[ -d "/proc/$container_pid" ]
	daemon_start
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
}

@test "a start that is still going on when its client leaves leaves nothing" {
	fifos() { find "$dir/state" -type p \( -name '*.out' -o -name '*.err' \) | wc -l; }
	before=$(fifos) # the daemon that was killed could not take away its own
	for n in $(seq 30); do
		run rpc ExecSync "container_id: \"$id\" cmd: \"sleep\" cmd: \"4105\"" "-t $n"
	done
	all_gone 4105
	[ "$(crictl exec -s "$id" echo alive)" = alive ]
	[ "$(fifos)" -eq "$before" ]
}

@test "output beyond 16 MiB is dropped, the command's exit is not" {
	rpc ExecSync "container_id: \"$id\" cmd: \"sh\" cmd: \"-c\" cmd: \"head -c 30000000 /dev/zero; exit 5\"" >/dev/null
	size=$(stat -c %s "$dir/response")
	[ "$size" -gt $((16 * 1048576 - 131072)) ]
	[ "$size" -le $((16 * 1048576)) ]
	protoc -I "$repo/schema" --decode=runtime.v1.ExecSyncResponse cri.proto <"$dir/response" | grep -q '^exit_code: 5'
	# both streams share the bound
	rpc ExecSync "container_id: \"$id\" cmd: \"sh\" cmd: \"-c\" cmd: \"head -c 12000000 /dev/zero; head -c 12000000 /dev/zero >&2\"" >/dev/null
	size=$(stat -c %s "$dir/response")
	[ "$size" -gt $((16 * 1048576 - 131072)) ]
	[ "$size" -le $((16 * 1048576)) ]
}

@test "two hundred probes, a fifth of them cancelled: no descriptor, thread or process is left" {
	before=$(ls "/proc/$(daemon_pid)/fd" | wc -l)
	processes=$(running sleep | wc -l)
	protoc -I "$repo/schema" --encode=runtime.v1.ExecSyncRequest cri.proto <<<"container_id: \"$id\" cmd: \"true\"" >"$dir/quick"
	protoc -I "$repo/schema" --encode=runtime.v1.ExecSyncRequest cri.proto <<<"container_id: \"$id\" $(tree 4106)" >"$dir/long"
	for n in $(seq 40); do
		"$build/tests/cri-call" -t 60 "$socket" /runtime.v1.RuntimeService/ExecSync <"$dir/long" >/dev/null 2>&1 3>&- &
		for m in 1 2 3 4; do
			"$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/ExecSync <"$dir/quick" >/dev/null
		done
	done
	wait
	all_gone 4106
	for _ in $(seq 100); do [ "$(ls "/proc/$(daemon_pid)/task" | wc -l)" -le 2 ] && break; sleep 0.05; done
	after=$(ls "/proc/$(daemon_pid)/fd" | wc -l)
	[ "$after" -le "$before" ] || { ls -l "/proc/$(daemon_pid)/fd"; false; }
	[ "$(running sleep | wc -l)" -eq "$processes" ]
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
