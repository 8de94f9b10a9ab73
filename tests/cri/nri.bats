# NRI: a real plugin, built with the stub that plugins are built with, sees, adjusts and refuses.

load nri.bash
load rpc.bash

@test "all events of a pod and its container, in order, to an installed and an external plugin" {
	plugin 10 order
	json=$(pod_config order)
	p=$(crictl runp "$json")
	c=$(run_container "$p" "$json" work 'sleep 1000')
	crictl update --memory 67108864 "$c"
	rpc UpdatePodSandboxResources "pod_sandbox_id: \"$p\" resources: {cpu_shares: 333}"
	crictl stop -t 1 "$c"
	crictl rm "$c"
	crictl stopp "$p"
	crictl stopp "$p"
	crictl rmp "$p"
	for name in order installed; do
		[ "$(grep -E ' order( work)? ?$' "$dir/$name.log" | grep -v '^pod ' | cut -d' ' -f1 | tr '\n' ' ')" = \
			"RunPodSandbox CreateContainer ValidateContainerAdjustment PostCreateContainer StartContainer PostStartContainer UpdateContainer PostUpdateContainer UpdatePodSandbox PostUpdatePodSandbox StopContainer RemoveContainer StopPodSandbox RemovePodSandbox " ]
		grep -qx "resources memory=67108864" "$dir/$name.log"
		grep -qx "pod resources shares=333" "$dir/$name.log"
	done
	grep -qE "^pod order default .* ips=1 pid=true" "$dir/order.log"
	grep -q '^Configure caisson' "$dir/installed.log"
}

@test "a container that ends by itself: StopContainer is told once" {
	plugin 10 exits
	c=$(run_container "$pod" "$pod_json" short 'exit 3')
	said exits '^StopContainer base short'
	crictl rm "$c"
	[ "$(grep -c '^StopContainer base short' "$dir/exits.log")" = 1 ]
	[ "$(grep -c '^RemoveContainer base short' "$dir/exits.log")" = 1 ]
}

@test "a plugin that comes later hears of what exists, and of what is created at that moment, once" {
	c=$(run_container "$pod" "$pod_json" early 'sleep 1000')
	dead=$(run_container "$pod" "$pod_json" dead 'exit 0')
	for _ in $(seq 100); do [ "$(crictl inspect "$dead" | jq -r .status.state)" = CONTAINER_EXITED ] && break; sleep 0.05; done
	for i in $(seq 12); do
		crictl create "$pod" "$(container_config "many$i" 'sleep 1000' '{}')" "$pod_json" >/dev/null 3>&- &
	done
	plugin 11 late
	wait $(jobs -p) || true
	grep -qx 'Synchronize pod base' "$dir/late.log"
	grep -qx 'Synchronize container early CONTAINER_RUNNING' "$dir/late.log"
	[ -z "$(grep 'Synchronize container dead' "$dir/late.log")" ]
	for i in $(seq 12); do
		[ "$(grep -cE "^(Synchronize container many$i |CreateContainer base many$i\$)" "$dir/late.log")" = 1 ]
	done
	for id in $(crictl ps -aq); do crictl rm -f "$id" >/dev/null; done
}

@test "a container as a plugin sees it: what the request and the image say, and what will be its config.json" {
	plugin 10 sees
	c=$(crictl create "$pod" "$(container_config seen 'sleep 1000' '{"envs": [{"key": "E", "value": "x"}], "linux": {"security_context": {"seccomp": {"profile_type": 0}}}}')" "$pod_json")
	jq -e '.linux.resources and (.env | index("E=x")) and .annotations["io.kubernetes.cri.container-type"] == "container" and .labels.container == "seen"' "$dir/sees.log.container"
	jq -e '.linux.seccomp_policy.default_action == "SCMP_ACT_ERRNO" and (.linux.seccomp_policy.syscalls | length) > 1 and (.linux.seccomp_profile.profile_type // 0) == 0' "$dir/sees.log.container"
	o=$(crictl create "$pod" "$(container_config unseen 'sleep 1000' '{"linux": {"security_context": {"seccomp": {"profile_type": 1}}}}')" "$pod_json")
	jq -e '.linux.seccomp_policy == null and .linux.seccomp_profile.profile_type == 1' "$dir/sees.log.container"
	crictl rm "$c" "$o"
}

@test "two plugins that set the same thing: refused, naming both; removing first is allowed" {
	plugin 10 first
	plugin 20 second
	rules first '[{"event": "CreateContainer", "adjust": {"env": [{"key": "SHARED", "value": "1"}]}}]'
	rules second '[{"event": "CreateContainer", "adjust": {"env": [{"key": "SHARED", "value": "2"}]}}]'
	run crictl create "$pod" "$(container_config clash 'sleep 1000' '{}')" "$pod_json"
	[ "$status" -ne 0 ]
	[[ $output == *"NRI plugins 10-first and 20-second both set Env SHARED"* ]]
	[ -z "$(crictl ps -aq --name clash)" ]
	rules second '[{"event": "CreateContainer", "adjust": {"env": [{"key": "-SHARED"}, {"key": "SHARED", "value": "2"}]}}]'
	c=$(run_container "$pod" "$pod_json" clash 'sleep 1000')
	tr '\0' '\n' <"/proc/$(crictl inspect "$c" | jq -r .info.pid)/environ" | grep -qx SHARED=2
	crictl rm -f "$c"
}

@test "a validator sees owners and rejects with its reason" {
	plugin 10 sets
	plugin 90 guard
	rules sets '[{"event": "CreateContainer", "adjust": {"env": [{"key": "E", "value": "1"}], "annotations": {"a": "b"}}}]'
	rules guard '[{"event": "ValidateContainerAdjustment", "container": "guarded", "reject": "not on this node"}]'
	run crictl create "$pod" "$(container_config guarded 'sleep 1000' '{}')" "$pod_json"
	[ "$status" -ne 0 ]
	[[ $output == *"90-guard"*"not on this node"* ]]
	jq -e '.owners[].compound["6"].owners.E == "10-sets"' "$dir/guard.log.owners"
	[ -z "$(crictl ps -aq --name guarded)" ]
}

@test "a refused pod, container or start leaves nothing, and works when it is not refused any more" {
	plugin 10 refuse
	rules refuse '[{"event": "RunPodSandbox", "error": "no pods today"}]'
	json=$(pod_config refused)
	run crictl runp "$json"
	[ "$status" -ne 0 ]
	[[ $output == *"NRI plugin 10-refuse: RunPodSandbox: "*"no pods today"* ]]
	[ -z "$(crictl pods -q --name refused)" ]
	[ "$(ls "$dir/state/pods" | wc -l)" = 1 ]
	grep -q '^RemovePodSandbox refused' "$dir/refuse.log"
	rm "$dir/refuse.rules"
	p=$(crictl runp "$json")
	rules refuse '[{"event": "CreateContainer", "container": "c", "error": "no containers today"}]'
	run crictl create "$p" "$(container_config c 'sleep 1000' '{}')" "$json"
	[[ $output == *"no containers today"* ]]
	[ -z "$(crictl ps -aq --pod "$p")" ]
	rules refuse '[{"event": "StartContainer", "container": "c", "error": "no starts today"}]'
	c=$(crictl create "$p" "$(container_config c 'sleep 1000' '{}')" "$json")
	run crictl start "$c"
	[[ $output == *"no starts today"* ]]
	[ "$(crictl inspect "$c" | jq -r '.status.state + .status.reason')" = CONTAINER_EXITEDStartError ]
	crictl rmp -f "$p"
}

@test "while a hook runs, neither pod nor container is listed" {
	plugin 10 blocks
	json=$(pod_config blocked)
	rules blocks "[{\"event\": \"RunPodSandbox\", \"hang\": \"$dir/go1\"}, {\"event\": \"CreateContainer\", \"hang\": \"$dir/go2\"}]"
	crictl runp "$json" >"$dir/blocked.pod" 3>&- &
	said blocks '^RunPodSandbox blocked'
	[ -z "$(crictl pods -q --name blocked)" ]
	touch "$dir/go1"
	wait $!
	p=$(cat "$dir/blocked.pod")
	[ "$(crictl pods -q --name blocked --no-trunc)" = "$p" ]
	crictl create "$p" "$(container_config hidden 'sleep 1000' '{}')" "$json" >"$dir/blocked.container" 3>&- &
	said blocks '^CreateContainer blocked hidden'
	[ -z "$(crictl ps -aq --pod "$p")" ]
	touch "$dir/go2"
	wait $!
	[ "$(crictl ps -aq --no-trunc --pod "$p")" = "$(cat "$dir/blocked.container")" ]
	crictl rmp -f "$p"
}

@test "a plugin that hangs is cut off after its time, and the call goes on" {
	plugin 10 hangs
	rules hangs "[{\"event\": \"CreateContainer\", \"hang\": \"$dir/never\"}]"
	begun=$(date +%s%N)
	c=$(crictl create "$pod" "$(container_config patient 'sleep 1000' '{}')" "$pod_json")
	took=$((($(date +%s%N) - begun) / 1000000))
	[ "$took" -ge 2900 ]
	[ "$took" -lt 12000 ]
	grep -q 'NRI plugin 10-hangs is cut off: CreateContainer: no answer in time' "$dir/log"
	said hangs '^closed'
	crictl rm "$c"
}

@test "a plugin that is killed does not hold up anything" {
	plugin 10 killed
	kill -9 "$(cat "$dir/plugins")"
	c=$(run_container "$pod" "$pod_json" after-kill 'sleep 1000')
	crictl rm -f "$c"
}

@test "updates: unsolicited, in answers, in place of what a request asks for; of what is not there" {
	plugin 10 updates
	c=$(run_container "$pod" "$pod_json" updated 'sleep 1000')
	pid=$(crictl inspect "$c" | jq -r .info.pid)
	jq -nc --arg id "$c" '[{container_id: $id, linux: {resources: {memory: {limit: {value: 71303168}}}}},
		{container_id: "nobody", linux: {resources: {cpu: {shares: {value: 5}}}}}]' >"$dir/u" && mv "$dir/u" "$dir/updates.rules.unsolicited"
	said updates '^unsolicited failed=1 err=<nil>'
	[ "$(spec "$c" .linux.resources.memory.limit)" = 71303168 ]
	[ "$(crictl inspect "$c" | jq -r .status.resources.linux.memoryLimitInBytes)" = 71303168 ]
	rules updates "[{\"event\": \"CreateContainer\", \"container\": \"other\", \"updates\": [{\"container_id\": \"$c\", \"linux\": {\"resources\": {\"cpu\": {\"shares\": {\"value\": 555}}, \"pids\": {\"limit\": 77}}}}]},
		{\"event\": \"UpdateContainer\", \"updates\": [{\"container_id\": \"$c\", \"linux\": {\"resources\": {\"memory\": {\"limit\": {\"value\": 75497472}}}}}]}]"
	o=$(run_container "$pod" "$pod_json" other 'sleep 1000')
	[ "$(spec "$c" '[.linux.resources.cpu.shares, .linux.resources.pids.limit]')" = '[555,77]' ]
	# what the request asked for is changed by the plugin
	crictl update --memory 134217728 "$c"
	[ "$(spec "$c" .linux.resources.memory.limit)" = 75497472 ]
	crictl rm -f "$c" "$o"
}

@test "after a restart of the daemon plugins come back and hear of what runs" {
	c=$(run_container "$pod" "$pod_json" survivor 'sleep 1000')
	: >"$dir/installed.log"
	daemon_kill KILL
	daemon_start
	said installed '^Synchronize container survivor CONTAINER_RUNNING'
	said installed '^Synchronize pod base'
	crictl rm -f "$c"
	said installed '^RemoveContainer base survivor'
}

# nasty CASE: a plugin that does not keep to the protocol
nasty() { timeout 20 python3 "$repo/tests/cri/nri-nasty.py" "$dir/nri.sock" "$@"; }
rss() { awk '/^VmRSS/ {print $2}' "/proc/$(daemon_pid)/status"; }

@test "hostile plugins: each is cut off, memory stays, and containers are created" {
	local before case children=()
	before=$(rss)
	# at once, since each is given the time of a registration; "silent" never begins one
	for case in length message configure garbage silent nobody names; do
		nasty "$case" >"$dir/nasty.$case" 3>&- &
		children+=($!)
	done
	for case in "${children[@]}"; do wait "$case"; done
	for case in length message configure garbage silent; do
		[ "$(cat "$dir/nasty.$case")" = closed ] || { echo "$case: $(cat "$dir/nasty.$case")"; false; }
	done
	grep -q 'is cut off: it did not register in time' "$dir/log"
	nasty crowd
	for case in create-nonsense create-huge silent-after; do
		nasty "$case" >"$dir/nasty" 3>&- &
		for _ in $(seq 100); do grep -q admitted "$dir/nasty" && break; sleep 0.02; done
		run crictl create "$pod" "$(container_config "$case" 'sleep 1000')" "$pod_json"
		if [ "$case" = create-huge ]; then
			[[ $output == *"NRI plugin 66-nasty: env"*"too many"* ]]
		else
			[ "$status" = 0 ]
		fi
		[ "$case" = create-huge ] && kill $! 2>/dev/null
		wait $! || [ "$case" = create-huge ]
	done
	[ "$(rss)" -lt $((before + 32768)) ]
	c=$(run_container "$pod" "$pod_json" after 'sleep 1000')
	crictl rm -f "$c"
	for id in $(crictl ps -aq); do crictl rm -f "$id"; done
}

# evicted WHEN ID REASON [COMMAND…]: a plugin asks for it, when the command makes it hear of something
evicted() {
	local when=$1 id=$2 why=$3
	shift 3
	timeout 20 python3 "$repo/tests/cri/nri-evict.py" "$dir/nri.sock" "$when" "$id" "$why" >"$dir/evict" 3>&- &
	local child=$!
	for _ in $(seq 100); do grep -q admitted "$dir/evict" && break; sleep 0.02; done
	for _ in $(seq 100); do grep -q 'NRI plugin 66-nasty is registered' "$dir/log" && break; sleep 0.02; done
	[ $# -eq 0 ] || "$@"
	wait $child
}

@test "evictions: unsolicited and in answers; the container is killed, and its status says by whom and why" {
	for when in now create update; do
		c=$(run_container "$pod" "$pod_json" "victim-$when" 'sleep 1000')
		o=$(run_container "$pod" "$pod_json" "other-$when" 'sleep 1000')
		case $when in
		now) evicted now "$c" "it is in the way" && grep -qx 'answered 0' "$dir/evict" || { cat "$dir/evict"; false; } ;;
		create) evicted create "$c" "it is in the way" crictl create "$pod" "$(container_config "made" 'sleep 1000')" "$pod_json" ;;
		update) evicted update "$c" "it is in the way" crictl update --cpu-share 99 "$o" ;;
		esac
		wait_state "$c" CONTAINER_EXITED
		[ "$(crictl inspect "$c" | jq -r '.status | "\(.reason) \(.exitCode): \(.message)"')" = \
			"Evicted 137: evicted by NRI plugin 66-nasty: it is in the way" ]
		[ "$(status_of "$o" state)" = CONTAINER_RUNNING ]
		crictl rm -f $(crictl ps -aq)
	done
}

@test "an eviction of what does not run, or of nothing, harms nobody" {
	c=$(crictl create "$pod" "$(container_config waits 'exit 7')" "$pod_json")
	evicted now "$c" "too early"
	grep -q "NRI plugin 66-nasty: eviction of container $c: it does not run" "$dir/log"
	crictl start "$c"
	wait_state "$c" CONTAINER_EXITED
	[ "$(crictl inspect "$c" | jq -r '.status | "\(.reason) \(.exitCode)"')" = "Error 7" ]
	evicted now "$c" "too late"
	evicted now 0123456789ab "nobody"
	grep -q 'eviction of container 0123456789ab' "$dir/log"
	[ "$(crictl inspect "$c" | jq -r '.status | "\(.reason) \(.exitCode)"')" = "Error 7" ]
	crictl rm "$c"
}

@test "what a plugin set stays after an update of something else, in status, config.json and kernel" {
	plugin 10 keeps
	rules keeps '[{"event": "CreateContainer", "adjust": {"linux": {"oom_score_adj": {"value": 222}, "resources": {"memory":
		{"limit": {"value": 88080384}, "reservation": {"value": 50331648}}, "cpu": {"cpus": "0"}, "pids": {"limit": 88}}}}}]'
	c=$(run_container "$pod" "$pod_json" kept 'sleep 1000')
	pid=$(crictl inspect "$c" | jq -r .info.pid)
	crictl inspect "$c" | jq -e '.status.resources.linux | .memoryLimitInBytes == "88080384" and .cpusetCpus == "0" and .oomScoreAdj == "222"'
	crictl update --cpu-share 444 "$c"
	crictl inspect "$c" | jq -e '.status.resources.linux | .memoryLimitInBytes == "88080384" and .cpuShares == "444" and .cpusetCpus == "0"'
	[ "$(spec "$c" '[.linux.resources.memory.limit, .linux.resources.memory.reservation, .linux.resources.cpu.shares, .linux.resources.cpu.cpus, .linux.resources.pids.limit, .process.oomScoreAdj]')" = \
		'[88080384,50331648,444,"0",88,222]' ]
	[ "$(cat "/proc/$pid/oom_score_adj")" = 222 ]
	crictl rm -f "$c"
}
