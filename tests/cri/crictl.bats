# Every command of crictl, once: what it prints and what it did.

load daemon.bash

setup_file() {
	daemon_prepare
	registry_start
	daemon_start
	export pod_json web_json
	pod_json=$(pod_config whole)
	web_json=$(container_config web 'echo started; while true; do sleep 0.1; done')
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# crictl in the daemon's network namespace: streaming URLs are on its loopback.
inside() { in_net timeout 60 "$(type -P crictl)" --config "$dir/crictl.yaml" "$@"; }

id_of() { cat "$dir/$1.id"; }
# table COLUMNS ROW-REGEX COMMAND…: the columns by name, and one row of values under them, blanks made one
table() {
	local columns=$1 row=$2 text
	shift 2
	text=$(crictl "$@" | sed 's/.*\x1b\[H//' | tr -s ' ')
	[ "$(head -n 1 <<<"$text" | sed 's/ $//')" = "$columns" ] && grep -qE "^$row ?\$" <<<"$text" || { echo "$text"; return 1; }
}
age='(Less than a second|About a (minute|second)|[0-9]+ (second|minute)s?) ago'

# The commands that this file calls; the last test holds them against crictl's own list.
called=' attach checkpoint completion config create events exec help imagefsinfo images info inspect inspecti inspectp logs
	metricdescs metricsp pods port-forward ps pull rm rmi rmp run runp runtime-config start stats statsp stop stopp update
	update-runtime-config version '

@test "version, info, runtime-config, update-runtime-config, config" {
	[ "$(crictl version | sed 's/:.*//' | tr '\n' ' ')" = "Version RuntimeName RuntimeVersion RuntimeApiVersion " ]
	[[ $(crictl version) == *"RuntimeName:  caisson"*"RuntimeApiVersion:  v1"* ]]
	crictl info >"$dir/info.json"
	jq -e '.status.conditions | length >= 2 and all(.status == true)' "$dir/info.json"
	jq -e '.features.supplemental_groups_policy == true and (.runtimeHandlers | length) >= 1' "$dir/info.json"
	[[ $(crictl runtime-config) == *cgroup* ]]
	crictl update-runtime-config --pod-cidr 10.44.0.0/16 || crictl update-runtime-config 10.44.0.0/16
	cp "$dir/crictl.yaml" "$dir/other.yaml"
	timeout 20 "$(type -P crictl)" --config "$dir/other.yaml" config --set timeout=7
	[[ $(timeout 20 "$(type -P crictl)" --config "$dir/other.yaml" config --get timeout) == *7* ]]
}

@test "pull, images, inspecti, imagefsinfo" {
	[[ $(crictl pull "$image") == *"up to date"* ]]
	[[ $(crictl images) == *test/busybox*1* ]]
	table "IMAGE TAG IMAGE ID SIZE" "$registry/test/busybox 1 [0-9a-f]{13} [0-9.]+MB" images
	[ "$(crictl images -q | wc -l)" -eq 1 ]
	crictl inspecti "$image" | jq -e '.status.repoTags[0] | endswith("test/busybox:1")'
	crictl inspecti "$image" | jq -e '.status | keys == ["id", "pinned", "repoDigests", "repoTags", "size", "username"]'
	crictl imagefsinfo | jq -e '.status | (.imageFilesystems[0], .containerFilesystems[0]) | .fsId.mountpoint and .timestamp and .inodesUsed.value
		and (.usedBytes.value | tonumber > 0)'
}

@test "runp, pods, inspectp" {
	crictl runp "$pod_json" >"$dir/pod.id"
	table "POD ID CREATED STATE NAME NAMESPACE ATTEMPT RUNTIME" "$(id_of pod | cut -c1-13) $age Ready whole default 0 \(default\)" pods
	[ "$(crictl pods -q --state ready --label app=whole --namespace default --name whole)" = "$(id_of pod)" ]
	[ -z "$(crictl pods -q --state notready)" ]
	crictl inspectp "$(id_of pod)" | jq -e '.status.state == "SANDBOX_READY" and (.status.network.ip | length > 0)
		and .status.labels.app == "whole" and .status.annotations.note == "of a test"'
	crictl inspectp "$(id_of pod)" | jq -e '(.status | keys == ["annotations", "createdAt", "id", "labels", "linux", "metadata", "network",
		"runtimeHandler", "state"]) and (.info | has("pid") and has("runtimeSpec"))'
	# the request as it was, and what the network's plugins said, as tools look for them
	crictl inspectp "$(id_of pod)" | jq -e --slurpfile asked "$pod_json" '.status.network.ip as $ip | .info | .config == ($asked[0]
		| del(.linux, .metadata.attempt)) and .netNamespaceClosed == false and .cniResult.Interfaces.eth0.IPConfigs[0].IP == $ip'
}

@test "create, start, ps, inspect, logs" {
	crictl create "$(id_of pod)" "$web_json" "$pod_json" >"$dir/web.id"
	[[ $(crictl ps -a) == *Created*web* ]]
	crictl start "$(id_of web)"
	table "CONTAINER IMAGE CREATED STATE NAME ATTEMPT POD ID POD NAMESPACE" \
		"$(id_of web | cut -c1-13) $image $age Running web 0 $(id_of pod | cut -c1-13) unknown unknown" ps
	[ "$(crictl ps -q --pod "$(id_of pod)" --label container=web --state running --image "$image")" = "$(id_of web)" ]
	crictl inspect "$(id_of web)" | jq -e '.status.state == "CONTAINER_RUNNING" and .status.metadata.name == "web"
		and .status.logPath != "" and .info.pid > 0'
	crictl inspect "$(id_of web)" | jq -e '(.status | keys == ["annotations", "createdAt", "exitCode", "finishedAt", "id", "image", "imageId",
		"imageRef", "labels", "logPath", "message", "metadata", "mounts", "reason", "resources", "startedAt", "state", "stopSignal", "user"])
		and (.info | has("sandboxID") and has("snapshotKey") and has("runtimeSpec") and .removing == false)'
	crictl inspect "$(id_of web)" | jq -e --slurpfile asked "$web_json" '.info.config | del(.image.user_specified_image)
		== ($asked[0] | del(.linux, .metadata.attempt))'
	for _ in $(seq 100); do [ "$(crictl logs "$(id_of web)")" = started ] && break; sleep 0.05; done
	[ "$(crictl logs --tail 1 "$(id_of web)")" = started ]
	[[ $(crictl logs -t "$(id_of web)") == 20*started ]]
}

@test "exec, with and without a terminal, by stream and in one call" {
	[ "$(inside exec "$(id_of web)" echo streamed)" = streamed ]
	[ "$(inside exec -s "$(id_of web)" echo at once)" = "at once" ]
	[ "$(echo piped | inside exec -i "$(id_of web)" cat)" = piped ]
	run script -qec "nsenter --net=/proc/$holder/ns/net crictl --config $dir/crictl.yaml exec -it $(id_of web) sh -c tty" /dev/null </dev/null
	[[ $output == */dev/pts/0* ]] || { echo "$output"; false; }
	run inside exec "$(id_of web)" sh -c 'exit 9'
	[ "$status" -ne 0 ]
	[[ $output == *9* ]]
}

@test "attach: what is typed goes in, what is said comes out" {
	id=$(crictl create "$(id_of pod)" "$(container_config echo 'while read -r line; do echo "got $line"; done' \
		'{"stdin": true, "stdin_once": true}')" "$pod_json")
	crictl start "$id"
	[ "$( (sleep 0.3; echo typed; sleep 0.3) | inside attach -i "$id")" = "got typed" ]
	wait_state "$id" CONTAINER_EXITED
	crictl rm "$id"
}

@test "port-forward" {
	id=$(run_container "$(id_of pod)" "$pod_json" http 'mkdir -p /w; echo page >/w/index.html; exec httpd -f -p 8080 -h /w')
	port=$((20000 + RANDOM % 20000))
	in_net "$(type -P crictl)" --config "$dir/crictl.yaml" port-forward "$(id_of pod)" "$port:8080" >"$dir/forward" 2>&1 3>&- &
	forward=$!
	for _ in $(seq 100); do grep -q "Forwarding from" "$dir/forward" && break; sleep 0.05; done
	# the server of the container may not listen yet
	for _ in $(seq 100); do crictl exec -s "$id" sh -c 'grep -qi ":1F90 .* 0A " /proc/net/tcp /proc/net/tcp6' && break; sleep 0.05; done
	[ "$(in_net curl -s --max-time 5 "http://127.0.0.1:$port/")" = page ] || { cat "$dir/forward"; kill $forward; false; }
	kill $forward
	crictl rm -f "$id"
}

@test "stats, statsp, metricsp, metricdescs" {
	crictl stats >/dev/null
	sleep 1.2
	table "CONTAINER NAME CPU % MEM DISK INODES SWAP" "$(id_of web | cut -c1-13) web [0-9.]+ [0-9.]+k?M?B [0-9.]+k?B [0-9]+ 0B" stats --id "$(id_of web)"
	table "POD POD ID CPU % MEM" "whole $(id_of pod | cut -c1-13) [0-9.]+ [0-9.]+k?M?B" statsp
	crictl stats -o json | jq -e '.stats[0].cpu.usageCoreNanoSeconds.value | tonumber > 0'
	crictl statsp -o json | jq -e '.stats[0].linux.memory.workingSetBytes.value | tonumber > 0'
	[[ $(crictl metricdescs) == *container_cpu_usage_seconds_total* ]]
	[[ $(crictl metricsp) == *container_memory_working_set_bytes* ]]
}

@test "update" {
	crictl update --memory 67108864 --cpu-share 333 "$(id_of web)"
	crictl inspect "$(id_of web)" | jq -e '.status.resources.linux | (.memoryLimitInBytes | tonumber) == 67108864
		and (.cpuShares | tonumber) == 333'
}

# heard ID: the types of its events, in order; the last document may not be whole yet
heard() { jq -r --arg id "$1" 'select(.containerId == $id).containerEventType' "$dir/events" 2>/dev/null || true; }

@test "events, run" {
	crictl events >"$dir/events" 2>&1 3>&- &
	events=$!
	run_json=$(pod_config run)
	# it does not say from when on it listens: the first pods may have been before that
	for _ in $(seq 10); do
		id=$(crictl run --no-pull "$(container_config ran 'exit 0')" "$run_json")
		wait_state "$id" CONTAINER_EXITED
		crictl rmp -f "$(crictl pods -q --name run)"
		for _ in $(seq 20); do heard "$id" | grep -q DELETED && break 2; sleep 0.05; done
	done
	kill $events
	[ "$(heard "$id" | tr '\n' ' ')" = "CONTAINER_CREATED_EVENT CONTAINER_STARTED_EVENT CONTAINER_STOPPED_EVENT CONTAINER_DELETED_EVENT " ]
}

@test "checkpoint writes an archive, or says what CRIU says" {
	run crictl checkpoint --export="$dir/checkpoint.tar" "$(id_of web)"
	[ "$status" -ne 0 ] && [ -n "$output" ] || [ -s "$dir/checkpoint.tar" ]
}

@test "stop, rm, stopp, rmp, rmi" {
	crictl stop -t 1 "$(id_of web)"
	[[ $(crictl ps -a --id "$(id_of web)") == *Exited*web* ]]
	crictl rm "$(id_of web)"
	[ -z "$(crictl ps -aq)" ]
	[[ $(crictl stopp "$(id_of pod)") == "Stopped sandbox $(id_of pod)" ]]
	[[ $(crictl pods) == *NotReady*whole* ]]
	[[ $(crictl rmp "$(id_of pod)") == "Removed sandbox $(id_of pod)" ]]
	[ -z "$(crictl pods -q)" ]
	crictl rmi "$image"
	[ -z "$(crictl images -q)" ]
}

@test "crictl has no command that is not called here" {
	crictl help | sed -n '/^COMMANDS:/,/^[A-Z ]*OPTIONS:/p' | sed -n 's/^   \([a-z-]*\).*/\1/p' >"$dir/commands"
	[ "$(wc -l <"$dir/commands")" -ge 35 ]
	while read -r command; do
		[[ $called == *[[:space:]]"$command"[[:space:]]* ]] || { echo "crictl $command"; false; }
	done <"$dir/commands"
}

@test "nothing is left" {
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
