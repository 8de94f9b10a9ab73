# A kubelet's habits: cri-kubelet for a while, and then what it left in the daemon and the kernel.
# KUBELET_SECONDS and KUBELET_PODS make it longer: tests/cri/kubelet-long.

load daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || grep -v ' debug ' "$dir/log" | tail -n 25
}

descriptors() { ls "/proc/$(daemon_pid)/fd" | wc -l; }
memory() { awk '/^RssAnon/ { print $2 }' "/proc/$(daemon_pid)/status"; }

# settled FUNCTION MOST: it comes to at most that within some seconds
settled() {
	for _ in $(seq 100); do
		[ "$($1)" -le "$2" ] && return 0
		sleep 0.1
	done
	echo "$1: $($1), at most $2 expected"
	return 1
}

kubelet() { # SECONDS SEED
	timeout $(($1 + 300)) "$build/tests/cri-kubelet" -d "$1" -p "${KUBELET_PODS:-8}" -s "$2" -t 60 "$socket" "$image"
}

@test "pods come and go, are probed, restarted and repeated after deadlines: no drift" {
	run kubelet "${KUBELET_SECONDS:-15}" 1
	echo "# $output" >&3
	[ "$status" -eq 0 ]
	[[ $output == *" 0 drifts" ]]
	[ -z "$(crictl pods -q)" ]
	[ -z "$(crictl ps -aq)" ]
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "a second time costs neither memory nor descriptors" {
	before=$(memory)
	open=$(descriptors)
	run kubelet "${KUBELET_SECONDS:-15}" 2
	echo "# $output; anonymous memory $before KiB, then $(memory); descriptors $open, then $(descriptors)" >&3
	[ "$status" -eq 0 ]
	settled descriptors $((open + 2))
	sleep 2.5 # what operations leave free goes back then
	settled memory $((before + 2048))
}

@test "a daemon that dies in the middle: what runs goes on, and the next one knows it" {
	"$build/tests/cri-kubelet" -d 6 -p 4 -s 3 "$socket" "$image" >"$dir/interrupted" 2>&1 3>&- &
	client=$!
	sleep 3
	daemon_kill KILL
	daemon_start
	kill $client 2>/dev/null || true
	wait $client || true
	for id in $(crictl ps -q); do
		pid=$(crictl inspect "$id" | jq -r .info.pid)
		[ -d "/proc/$pid" ] || { echo "$id: $pid is not there"; false; }
	done
	# what its client asked for last goes on without it: it comes on the list, or is undone
	for _ in $(seq 100); do
		for id in $(crictl pods -q); do crictl rmp -f "$id" >/dev/null; done
		left=$(leftovers)
		[ -n "$left" ] || break
		sleep 0.1
	done
	[ -z "$left" ] || { echo "$left"; false; }
}
