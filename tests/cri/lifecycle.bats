# One pod from a pull to nothing left, driven by the real crictl.

load daemon.bash

setup_file() {
	daemon_prepare
	registry_start
	daemon_start
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

@test "version has all four fields" {
	run crictl version
	[ "$status" -eq 0 ]
	[[ $output == *"RuntimeName:  caisson"* ]]
	[[ $output == *"RuntimeApiVersion:  v1"* ]]
}

@test "info: ready, with the default handler under the empty name and the state directory" {
	info=$(crictl info)
	[ "$(jq -r '[.status.conditions[] | select(.status)] | length' <<<"$info")" = 2 ]
	[ "$(jq -r '.runtimeHandlers[] | select((.name // "") == "") | .features.recursive_read_only_mounts' <<<"$info")" = true ]
	[ "$(jq -r .config.stateDir <<<"$info")" = "$dir/state" ]
}

@test "an unknown image is no error, an unknown container is NotFound" {
	run crictl inspecti nosuch:1
	[ "$status" -ne 0 ]
	[[ $output == *"no such image"* ]]
	run crictl inspect 0123456789
	[[ $output == *NotFound* ]]
	[[ $output == *0123456789* ]]
}

@test "stop and remove of what is not there succeed" {
	crictl stopp 0123456789
	crictl stop 0123456789
	# crictl itself looks a thing up before it removes it, so no rm here
}

@test "pull by tag, then by digest" {
	run crictl pull "$image"
	[ "$status" -eq 0 ]
	id=$(crictl images -q)
	[[ $id == sha256:* ]]
	digest=$(crictl inspecti "$image" | jq -r '.status.repoDigests[0]')
	[[ $digest == $registry/test/busybox@sha256:* ]]
	crictl pull "$digest"
	[ "$(crictl images -q | wc -l)" -eq 1 ]
	[ "$(crictl inspecti "$digest" | jq -r .status.id)" = "$id" ]
	run crictl pull "$registry/test/nosuch:1"
	[ "$status" -ne 0 ]
	[[ $output == *"$registry/test/nosuch:1"* ]]
}

@test "a pod and its container: status, log, exec, stats" {
	pod=$(crictl runp "$(pod_config web)")
	[ "${#pod}" -eq 64 ]
	inspect=$(crictl inspectp "$pod")
	[ "$(jq -r .status.state <<<"$inspect")" = SANDBOX_READY ]
	[[ $(jq -r .status.network.ip <<<"$inspect") == 10.99.0.* ]]
	[ "$(jq -r .status.labels.app <<<"$inspect")" = web ]
	[ "$(jq -r .status.annotations.note <<<"$inspect")" = "of a test" ]
	[ -d "/proc/$(jq -r .info.pid <<<"$inspect")" ]
	[ "$(crictl pods -q --label app=web)" = "$pod" ]
	[ -z "$(crictl pods -q --label app=other)" ]

	id=$(crictl create "$pod" "$(container_config main 'trap "echo bye; exit 7" TERM; echo hello; echo oops >&2; while true; do sleep 0.1; done')" "$dir/pod-web.json")
	[ "$(status_of "$id" state)" = CONTAINER_CREATED ]
	crictl start "$id"
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	[ "$(crictl ps -q)" = "$id" ]
	pid=$(crictl inspect "$id" | jq .info.pid)
	[ "$(readlink "/proc/$pid/ns/net")" = "$(readlink "/proc/$(jq -r .info.pid <<<"$inspect")/ns/net")" ]

	for _ in $(seq 50); do grep -q oops "$dir/logs/web/main.log" 2>/dev/null && break; sleep 0.05; done
	grep -Eq '^[0-9T:.-]+(Z|[+-][0-9:]+) stdout F hello$' "$dir/logs/web/main.log"
	grep -Eq ' stderr F oops$' "$dir/logs/web/main.log"
	[ "$(crictl logs "$id" 2>/dev/null)" = hello ]

	run crictl exec -s "$id" /bin/sh -c 'echo out; echo err >&2; exit 3'
	[ "$status" -ne 0 ]
	[[ $output == *out* ]]
	[[ $output == *"exit status 3"* || $output == *"exit code 3"* || $output == *" 3"* ]]
	[ "$(crictl exec -s "$id" hostname)" = web ]
	run crictl exec -s "$id" nosuchprogram
	[[ $output == *nosuchprogram* ]]

	stats=$(crictl stats -o json "$id")
	[ "$(jq -r '.stats[0].attributes.metadata.name' <<<"$stats")" = main ]
	[ "$(jq -r '.stats[0].cpu.timestamp | tonumber > 0' <<<"$stats")" = true ]
	[ "$(jq -r '.stats[0].memory.workingSetBytes.value | tonumber > 0' <<<"$stats")" = true ]
	stats=$(crictl statsp -o json "$pod")
	[ "$(jq -r '.stats[0].linux.network.defaultInterface.name' <<<"$stats")" = eth0 ]

	crictl stop --timeout 10 "$id"
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
	[ "$(status_of "$id" exitCode)" = 7 ]
	[ "$(status_of "$id" reason)" = Error ]
	grep -q ' stdout F bye$' "$dir/logs/web/main.log"
	crictl rm "$id"
	crictl stopp "$pod"
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_NOTREADY ]
	crictl rmp "$pod"
	[ -z "$(crictl pods -q)" ]
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "a web server answers on the pod's address" {
	pod=$(crictl runp "$(pod_config srv)")
	id=$(run_container "$pod" "$dir/pod-srv.json" srv 'exec /etc/serve')
	ip=$(crictl inspectp "$pod" | jq -r .status.network.ip)
	for _ in $(seq 50); do
		page=$(in_net curl -sf --max-time 2 "http://$ip/") && break
		sleep 0.05
	done
	[[ $page == *"out of a container"* ]]
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "logs: the last lines, and followed to the end" {
	pod=$(crictl runp "$(pod_config logs)")
	id=$(run_container "$pod" "$dir/pod-logs.json" l 'for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo last')
	for _ in $(seq 50); do grep -q 'line 5' "$dir/logs/logs/l.log" 2>/dev/null && break; sleep 0.05; done
	[ "$(crictl logs --tail 2 "$id")" = $'line 4\nline 5' ]
	[ "$(crictl logs -f "$id" | tail -n 1)" = last ]
	crictl rmp -f "$pod"
}

@test "a killed daemon: pods run on, logs go on, exit codes are known" {
	pod=$(crictl runp "$(pod_config k)")
	id=$(run_container "$pod" "$dir/pod-k.json" ticks 'i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.1; done')
	other=$(run_container "$pod" "$dir/pod-k.json" ends 'sleep 1; exit 42')
	pid=$(crictl inspect "$id" | jq .info.pid)
	daemon_kill KILL
	sleep 1.5
	[ -d "/proc/$pid" ]
	before=$(wc -l <"$dir/logs/k/ticks.log")
	daemon_start
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	[ "$(crictl inspect "$id" | jq .info.pid)" = "$pid" ]
	wait_state "$other" CONTAINER_EXITED
	[ "$(status_of "$other" exitCode)" = 42 ]
	[ "$(crictl exec -s "$id" echo here)" = here ]
	sleep 0.5
	[ "$(wc -l <"$dir/logs/k/ticks.log")" -gt "$before" ]
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}

@test "an image goes with all its names" {
	crictl rmi "$image"
	[ -z "$(crictl images -q)" ]
}

@test "SIGTERM ends the daemon in order and leaves no socket" {
	daemon_kill TERM
	[ ! -e "$socket" ]
	grep -q 'caissond: ended' "$dir/log"
	daemon_start
}
