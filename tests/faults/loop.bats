# Many pods one after another and at once, and daemons killed in the middle: in the end the
# kernel has nothing of us.

load ../cri/daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# what one pod would leave: counted before and after
census() {
	leftovers
	in_net ip -o link | grep -vE ' (lo|ct[^ ]*):' | sed 's/^[0-9]*: //; s/[:@].*//'
	find "$dir/root/cni" -type f -name '10.99.*' 2>/dev/null
	find "$dir/state/pods" -mindepth 1 -maxdepth 1 2>/dev/null
	find "$dir/root/snapshots" -mindepth 1 -maxdepth 1 2>/dev/null
}

cycle() { # name
	local pod id json
	json=$(pod_config "$1")
	pod=$(crictl runp "$json") || return 1
	id=$(run_container "$pod" "$json" "c-$1" 'echo hello; sleep 1000') || return 1
	crictl exec -s "$id" true || return 1
	crictl stopp "$pod" >/dev/null && crictl rmp "$pod" >/dev/null
}

@test "twenty pods, one after another, leave nothing" {
	fds=$(ls "/proc/$(daemon_pid)/fd" | wc -l)
	for i in $(seq 20); do cycle "seq$i"; done
	left=$(census)
	[ -z "$left" ] || { echo "$left"; false; }
	[ "$(ls "/proc/$(daemon_pid)/fd" | wc -l)" -le $((fds + 3)) ]
}

@test "ten pods at once leave nothing" {
	for i in $(seq 10); do cycle "par$i" >"$dir/par$i" 2>&1 & jobs="$jobs $!"; done
	for job in $jobs; do wait "$job" || { cat "$dir"/par*; false; }; done
	left=$(census)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "a daemon killed while pods come and go: the next one finds all of them or undoes them" {
	for round in $(seq 5); do
		for i in $(seq 4); do cycle "k$round-$i" >/dev/null 2>&1 & jobs="$jobs $!"; done
		sleep "0.$((round * 13 % 40 + 5))"
		daemon_kill KILL
		for job in $jobs; do wait "$job" || true; done
		jobs=
		daemon_start
	done
	for pod in $(crictl pods -q); do crictl rmp -f "$pod" >/dev/null; done
	# what the killed daemons were in the middle of goes in the background
	for _ in $(seq 100); do left=$(census); [ -z "$left" ] && break; sleep 0.1; done
	[ -z "$left" ] || { echo "$left"; false; }
	[ -z "$(crictl ps -aq)" ]
}

@test "a shim that is killed: stop and remove at once work and leave nothing" {
	json=$(pod_config s)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	shim=$(jq -r .pid "$dir/state/pods/$pod/shim.json")
	kill -KILL "$shim"
	sleep 0.5
	crictl stopp "$pod"
	crictl rmp "$pod"
	left=$(census)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "a shim that hangs: its pod is ended without it, and other pods do not notice" {
	json=$(pod_config h)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c-h 'sleep 1000')
	shim=$(jq -r .pid "$dir/state/pods/$pod/shim.json")
	kill -STOP "$shim"
	started=$SECONDS
	crictl stopp "$pod" &
	cycle other
	[ $((SECONDS - started)) -le 5 ]
	wait $!
	[ $((SECONDS - started)) -le 20 ]
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
	crictl rmp "$pod"
	[ ! -d "/proc/$shim" ]
	left=$(census)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "pause that is killed: the pod is not ready, and can be stopped and removed" {
	json=$(pod_config z)
	pod=$(crictl runp "$json")
	kill -KILL "$(crictl inspectp "$pod" | jq .info.pid)"
	for _ in $(seq 50); do [ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ] && break; sleep 0.05; done
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	run crictl create "$pod" "$(container_config c-z 'true')" "$json"
	[ "$status" -ne 0 ]
	[[ $output == *"not ready"* ]]
	crictl rmp -f "$pod"
	left=$(census)
	[ -z "$left" ] || { echo "$left"; false; }
}
