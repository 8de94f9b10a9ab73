# Operations belong to the daemon: who goes away leaves them running, and hears at its deadline (as does the log) at
# which stage and for how long they had been there; the same request again gets the result of the one that runs; and what a killed
# daemon had begun is undone by the next one, so that the same request works.

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash
load ../cri/rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "no protoc"
	daemon_prepare
	registry_start
	# a plugin behind the bridge: ADD waits as long as $dir/hold is there, DEL fails as long as $dir/stubborn is
	mkdir "$dir/plugins"
	cat >"$dir/plugins/gate" <<-SH
		#!/bin/sh
		[ "\$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'; exit 0; }
		echo "\$CNI_COMMAND \$CNI_CONTAINERID \$([ -e "\$CNI_NETNS" ] && echo netns)" >>"$dir/calls"
		if [ "\$CNI_COMMAND" = ADD ]; then
			echo \$\$ >"$dir/waits"
			while [ -e "$dir/hold" ]; do sleep 0.02; done
			rm -f "$dir/waits"
			[ ! -e "$dir/refuse" ] || { echo '{"cniVersion":"1.0.0","code":11,"msg":"not today"}'; exit 1; }
			sed 's/.*"prevResult":\(.*\)/\1/; s/}\$//'
			exit 0
		fi
		[ "\$CNI_COMMAND" = DEL ] && [ -e "$dir/stubborn" ] && { echo '{"cniVersion":"1.0.0","code":11,"msg":"not yet"}'; exit 1; }
		exit 0
	SH
	chmod +x "$dir/plugins/gate"
	cat >"$dir/net.d/10-net.conflist" <<-JSON
		{"cniVersion":"1.0.0","name":"n$tag","plugins":[
		{"type":"bridge","bridge":"ct$tag","isGateway":true,"ipMasq":false,
		 "ipam":{"type":"host-local","dataDir":"$dir/root/cni","ranges":[[{"subnet":"10.99.0.0/24"}]]}},
		{"type":"gate"}]}
	JSON
	sed -i "s#^cni:#&\n  bin_dirs: [$dir/plugins, /usr/lib/cni]#" "$dir/config.yaml"
	daemon_start
	crictl pull "$image" >/dev/null
}

teardown_file() { daemon_end; }

teardown() {
	rm -f "$dir/hold" "$dir/stubborn" "$dir/refuse"
	kill -CONT "$(cat "$dir/registry.pid")"
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

# the same pod as config_of's, for crictl
pod_config_late() {
	echo "{\"metadata\": {\"name\": \"late\", \"uid\": \"uid-late\", \"namespace\": \"default\"}, \"hostname\": \"late\",
		\"log_directory\": \"$dir/logs/late\", \"linux\": {}}" >"$dir/pod-late.json"
	echo "$dir/pod-late.json"
}

config_of() { # name
	echo "config { metadata { name: \"$1\" uid: \"uid-$1\" namespace: \"default\" } hostname: \"$1\"
		log_directory: \"$dir/logs/$1\" linux { } }"
}

run_pod_rpc() { # name, options of cri-call; prints the id
	local dir_of=$dir/rpc-$BASHPID
	mkdir -p "$dir_of"
	protoc -I "$repo/schema" --encode=runtime.v1.RunPodSandboxRequest cri.proto <<<"$(config_of "$1")" >"$dir_of/request" &&
		"$build/tests/cri-call" ${2:-} "$socket" /runtime.v1.RuntimeService/RunPodSandbox <"$dir_of/request" >"$dir_of/response" &&
		protoc -I "$repo/schema" --decode=runtime.v1.RunPodSandboxResponse cri.proto <"$dir_of/response" | sed 's/.*"\(.*\)"/\1/'
}

until_there() { # file
	for _ in $(seq 500); do [ -s "$1" ] && return 0; sleep 0.02; done
	return 1
}

leases() { find "$dir/root/cni" -name '10.99.*' | wc -l; }

# addresses, namespaces and directories are those of the pods on the list
as_listed() {
	local pods
	pods=$(crictl pods -q | sort)
	[ "$(find "$dir/root/cni" -name '10.99.*' -exec head -qn 1 {} + | tr -d '\r' | sort)" = "$pods" ] &&
		[ "$(find "$dir/state/pods" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)" = "$pods" ] &&
		[ "$(grep -F "$dir/state/pods/" /proc/self/mountinfo | grep -o '[0-9a-f]\{64\}/netns' | cut -d/ -f1 | sort -u)" = "$pods" ]
}

becomes_as_listed() {
	for _ in $(seq "${1:-200}"); do as_listed && return 0; sleep 0.05; done
	find "$dir/root/cni" -name '10.99.*' -exec head -qn 1 {} +
	grep -F "$dir/state/pods/" /proc/self/mountinfo
	crictl pods
	return 1
}

# A client's deadline passes: it hears of it in words. A client that gets no processor around its own deadline
# gives up by itself and hears nothing, so another one asks.
told_late() { # wanted (a pattern), command…
	local wanted=$1
	shift
	for _ in 1 2 3; do
		run "$@"
		[ "$status" -ne 0 ] || return 1
		[[ ! $output =~ $wanted ]] || return 0
	done
	echo "$output"
	return 1
}

@test "who gives up hears the stage and how long it has lasted, and the log says so" {
	touch "$dir/hold"
	stage='not done by the deadline: run pod default/late: CNI ADD and pause process \(for [0-9]+ s\); it goes on'
	told_late "TIMEOUT: $stage" run_pod_rpc late "-t 2500"
	# the clients of others too
	told_late "DeadlineExceeded.*$stage" crictl --timeout 2s runp "$(pod_config_late)"
	for _ in $(seq 100); do grep -q 'RunPodSandbox default/late: .*the client left' "$dir/log" && break; sleep 0.05; done
	grep -qE 'RunPodSandbox default/late: .*run pod default/late: CNI ADD and pause process \(for [123] s\)' "$dir/log"
	# its operation goes on, and who asks again gets its pod
	[ -s "$dir/waits" ]
	run_pod_rpc late >"$dir/again" 3>&- &
	again=$!
	run run_pod_rpc late "-t 100"
	[ "$status" -ne 0 ]
	rm "$dir/hold"
	wait "$again"
	[ "$(cat "$dir/again")" = "$(crictl pods -q --name late)" ]
	[ "$(grep -c "^ADD $(cat "$dir/again")" "$dir/calls")" = 1 ]
	[ "$(grep -c ^ADD "$dir/calls")" = 1 ]
}

@test "three who ask the same at once get the same" {
	touch "$dir/hold"
	for n in 1 2 3; do
		run_pod_rpc same >"$dir/same$n" 3>&- &
		clients[n]=$!
	done
	until_there "$dir/waits"
	for _ in $(seq 100); do [ "$(find "$dir" -maxdepth 1 -name 'rpc-*' -newer "$dir/hold" | wc -l)" -ge 3 ] && break; sleep 0.02; done
	rm "$dir/hold"
	for n in 1 2 3; do wait "${clients[n]}"; done
	[ "$(cat "$dir/same1")" = "$(cat "$dir/same2")" ]
	[ "$(cat "$dir/same1")" = "$(cat "$dir/same3")" ]
	[ "$(crictl pods -q --name same)" = "$(cat "$dir/same1")" ]
	# a stop that somebody else asked for already is joined: both hear of the one end
	id=$(run_container "$(cat "$dir/same1")" "$(pod_config same)" c 'trap "" TERM; while :; do sleep 0.1; done')
	crictl stop -t 2 "$id" >/dev/null 3>&- &
	first=$!
	crictl stop -t 2 "$id" >/dev/null
	wait "$first"
	[ "$(status_of "$id" exitCode)" = 137 ]
	[ "$(grep -c "StopContainer $id: OK" "$dir/log")" = 2 ]
}

@test "a stop that waits for a run says what it waits for" {
	touch "$dir/hold"
	run_pod_rpc busy >/dev/null 3>&- &
	client=$!
	until_there "$dir/waits"
	pod=$(tail -n 1 "$dir/calls" | cut -d' ' -f2)
	protoc -I "$repo/schema" --encode=runtime.v1.StopPodSandboxRequest cri.proto <<<"pod_sandbox_id: \"$pod\"" >"$dir/stop"
	run "$build/tests/cri-call" -t 1500 "$socket" /runtime.v1.RuntimeService/StopPodSandbox <"$dir/stop"
	rm "$dir/hold"
	wait "$client" || true
	# a pod that is not listed yet can be unknown, or waited for; it is never half there
	[ "$status" -eq 0 ] || grep -qE 'stop pod [0-9a-f]+: waiting for another operation on it' "$dir/log"
	[ -z "$(crictl pods -q --name busy)" ] || crictl rmp -f "$(crictl pods -q --name busy)"
	becomes_as_listed
}

@test "a daemon that is killed in the middle: the next one undoes it, and the same request works" {
	: >"$dir/calls"
	touch "$dir/hold"
	run_pod_rpc killed >/dev/null 2>&1 3>&- &
	client=$!
	until_there "$dir/waits"
	[ "$(leases)" = 1 ]
	first=$(tail -n 1 "$dir/calls" | cut -d' ' -f2)
	daemon_kill KILL
	wait "$client" || true
	# nobody would end it but us
	kill "$(cat "$dir/waits")"
	rm -f "$dir/hold" "$dir/waits"
	daemon_start
	second=$(run_pod_rpc killed)
	[ "$second" != "$first" ]
	becomes_as_listed
	[ "$(crictl pods -q)" = "$second" ]
	grep -q "^DEL $first netns" "$dir/calls"
}

@test "an ADD that failed is followed by DEL until it succeeds, over restarts; the namespace stays for it" {
	: >"$dir/calls"
	touch "$dir/refuse" "$dir/stubborn"
	run crictl runp "$(pod_config refused)"
	[ "$status" -ne 0 ]
	[[ $output == *"not today"* && $output == *"tried again later"* ]]
	rm "$dir/refuse"
	pod=$(grep -m 1 ^ADD "$dir/calls" | cut -d' ' -f2)
	[ -z "$(crictl pods -q)" ]
	dels() { grep -c "^DEL $pod netns" "$dir/calls"; }
	before=$(dels)
	[ "$before" -ge 1 ]
	for _ in 1 2; do
		daemon_kill KILL
		daemon_start
		for _ in $(seq 200); do [ "$(dels)" -gt "$before" ] && break; sleep 0.02; done
		[ "$(dels)" -gt "$before" ]
		before=$(dels)
		grep -qF "$pod/netns" /proc/self/mountinfo
	done
	rm "$dir/stubborn"
	# by the timer with FAULTS=all, else by one more start
	[ "${FAULTS:-}" = all ] || { daemon_kill TERM; daemon_start; }
	becomes_as_listed 600
	[ "$(leases)" = 0 ]
}

@test "after a reboot the addresses of pods that were are free, also where DEL fails at first" {
	: >"$dir/calls"
	pod=$(crictl runp "$(pod_config before)")
	id=$(run_container "$pod" "$dir/pod-before.json" c 'sleep 1000')
	[ "$(leases)" = 1 ]
	shim=$(jq .pid "$dir/state/pods/$pod/shim.json")
	daemon_kill KILL
	# what a reboot does: no process, no mount, nothing of /run, another boot id
	kill -KILL "$(crictl inspect "$id" 2>/dev/null | jq .info.pid)" 2>/dev/null || true
	for p in $(find /sys/fs/cgroup -maxdepth 5 -path "*$parent/*" -name cgroup.procs -exec cat {} + | sort -u) "$shim"; do
		kill -KILL "$p" 2>/dev/null || true
		wait_gone "$p"
	done
	umount "$dir/state/pods/$pod/netns" "$dir/state/pods/$pod/shm"
	rm -rf "$dir/state/pods/$pod" "$dir/state/runtime"
	for _ in 1 2 3; do find /sys/fs/cgroup -maxdepth 5 -depth -type d -path "*$parent/*" -exec rmdir {} + 2>/dev/null || true; done
	python3 - "$dir/root/meta.db" "$(cat /proc/sys/kernel/random/boot_id)" <<-'PY'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1])
		n = db.execute("UPDATE record SET doc = replace(doc, ?, '00000000-0000-4000-8000-000000000000'), sum = 0", (sys.argv[2],)).rowcount
		assert n >= 2, n
		db.commit()
	PY
	touch "$dir/stubborn"
	daemon_start
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
	[[ $(status_of "$id" message) == *"the node was restarted"* ]]
	run crictl rmp -f "$pod"
	[ "$status" -ne 0 ]
	[[ $output == *"not yet"* ]]
	# the chain has not succeeded, so the pod is still there to be removed
	[ "$(crictl pods -q)" = "$pod" ]
	rm "$dir/stubborn"
	crictl rmp -f "$pod"
	[ "$(leases)" = 0 ]
	# without the namespace, as CNI wants it then
	grep -q "^DEL $pod \$" "$dir/calls"
	becomes_as_listed
}

@test "a pull whose client gives up goes on, says at what it was, and is joined or found done" {
	in_net skopeo copy -q --dest-tls-verify=false "oci:$dir/layout:$image" "docker://$registry/test/slow:1"
	joined() { in_net "$build/src/prog/caisson/caisson" --address "$socket" image pulls; }
	kill -STOP "$(cat "$dir/registry.pid")"
	told_late "DeadlineExceeded.*not done by the deadline: resolving \(for [0-9]+ s\); it goes on" \
		crictl pull --pull-timeout 2s "$registry/test/slow:1"
	# who comes later joins what runs
	crictl pull "$registry/test/slow:1" >/dev/null 3>&- &
	second=$!
	for _ in $(seq 200); do joined | grep -q 'test/slow:1' && break; sleep 0.02; done
	joined | grep 'test/slow:1'
	kill -CONT "$(cat "$dir/registry.pid")"
	wait "$second"
	[ -n "$(crictl images -q "$registry/test/slow:1")" ]
	crictl rmi "$registry/test/slow:1" >/dev/null
	# and where nobody comes again
	kill -STOP "$(cat "$dir/registry.pid")"
	run crictl pull --pull-timeout 1s "$registry/test/slow:1"
	[ "$status" -ne 0 ]
	kill -CONT "$(cat "$dir/registry.pid")"
	for _ in $(seq 250); do [ -n "$(crictl images -q "$registry/test/slow:1")" ] && break; sleep 0.04; done
	[ -n "$(crictl images -q "$registry/test/slow:1")" ]
	# a daemon that ends does not wait for one that nobody waits for
	crictl rmi "$registry/test/slow:1" >/dev/null
	kill -STOP "$(cat "$dir/registry.pid")"
	run crictl pull --pull-timeout 1s "$registry/test/slow:1"
	daemon_kill TERM
	kill -CONT "$(cat "$dir/registry.pid")"
	daemon_start
}
