# NRI: a real plugin, built with the stub that plugins are built with, sees, adjusts and refuses.

load daemon.bash
load rpc.bash

setup_file() {
	daemon_prepare
	export plugin_binary
	plugin_binary=$("$repo/tools/build-nri-plugin" 2>"$dir/plugin-build.log") ||
		skip "no NRI plugin: $(tail -n 1 "$dir/plugin-build.log")"
	mkdir "$dir/nri-plugins" "$dir/nri-conf"
	cp "$plugin_binary" "$dir/nri-plugins/05-installed"
	echo "{\"rules\": \"$dir/installed.rules\", \"log\": \"$dir/installed.log\"}" >"$dir/nri-conf/installed.conf"
	sed -i 's/^nri:/&\n  request_timeout: 1s/' "$dir/config.yaml"
	registry_start
	daemon_start
	crictl pull "$image" >/dev/null
	export pod pod_json
	pod_json=$(pod_config base)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	for i in $(cat "$dir/plugins" 2>/dev/null); do
		kill "$i" 2>/dev/null
		wait_gone "$i"
	done
	rm -f "$dir/plugins" "$dir"/*.rules
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 25 "$dir/log"
}

# plugin IDX NAME: an external one, when it hears events; its files are $dir/NAME.*
plugin() {
	rm -f "$dir/$2".*
	"$plugin_binary" -idx "$1" -name "$2" -socket "$dir/nri.sock" -rules "$dir/$2.rules" -log "$dir/$2.log" \
		>"$dir/$2.out" 2>&1 3>&- &
	echo $! >>"$dir/plugins"
	disown
	said "$2" '^Synchronize '
	for _ in $(seq 100); do grep -q "NRI plugin $1-$2 is registered" "$dir/log" && return; sleep 0.02; done
	return 1
}

# said NAME REGEX: within two seconds its log has such a line
said() {
	for _ in $(seq 100); do grep -qE "$2" "$dir/$1.log" 2>/dev/null && return; sleep 0.02; done
	cat "$dir/$1.log" >&2
	return 1
}

rules() { jq -c . >"$dir/$1.new" <<<"$2" && mv "$dir/$1.new" "$dir/$1.rules"; }
spec() { crictl inspect "$1" | jq -c ".info.runtimeSpec | $2"; }

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

@test "adjustments of every kind are in config.json, and the process has them" {
	plugin 10 adjust
	mkdir -p "$dir/volume"
	echo "of the plugin" >"$dir/volume/file"
	rules adjust "[{\"event\": \"CreateContainer\", \"container\": \"adjusted\", \"adjust\": {
		\"annotations\": {\"note.test/a\": \"b\"},
		\"mounts\": [{\"destination\": \"/from-plugin\", \"source\": \"$dir/volume\", \"type\": \"bind\", \"options\": [\"bind\", \"ro\"]}],
		\"env\": [{\"key\": \"ADDED\", \"value\": \"1\"}, {\"key\": \"-GONE\"}, {\"key\": \"CHANGED\", \"value\": \"new\"}],
		\"hooks\": {\"create_runtime\": [{\"path\": \"/bin/sh\", \"args\": [\"sh\", \"-c\", \"cat >$dir/hook.state\"]}]},
		\"rlimits\": [{\"type\": \"RLIMIT_NOFILE\", \"soft\": 123, \"hard\": 456}],
		\"linux\": {
			\"devices\": [{\"path\": \"/dev/nri-zero\", \"type\": \"c\", \"major\": 1, \"minor\": 5, \"file_mode\": {\"value\": 438}}],
			\"resources\": {\"memory\": {\"limit\": {\"value\": 88080384}}, \"cpu\": {\"shares\": {\"value\": 777}, \"cpus\": \"0\"}, \"pids\": {\"limit\": 99}},
			\"oom_score_adj\": {\"value\": 321},
			\"sysctl\": {\"net.ipv4.ip_unprivileged_port_start\": \"0\"},
			\"io_priority\": {\"class\": 2, \"priority\": 6}}}}]"
	c=$(run_container "$pod" "$pod_json" adjusted 'sleep 1000' \
		'{"envs": [{"key": "GONE", "value": "x"}, {"key": "CHANGED", "value": "old"}]}')
	pid=$(crictl inspect "$c" | jq -r .info.pid)
	[ "$(crictl exec -s "$c" /bin/sh -c 'cat /from-plugin/file')" = "of the plugin" ]
	run crictl exec -s "$c" /bin/sh -c 'echo x >/from-plugin/file'
	[ "$status" -ne 0 ]
	tr '\0' '\n' <"/proc/$pid/environ" >"$dir/environ"
	grep -qx ADDED=1 "$dir/environ"
	grep -qx CHANGED=new "$dir/environ"
	[ -z "$(grep GONE "$dir/environ")" ]
	[ "$(crictl exec -s "$c" /bin/sh -c 'head -c 3 /dev/nri-zero | od -An -tx1 | tr -d " \n"')" = 000000 ]
	grep -qE 'open files +123 +456' "/proc/$pid/limits"
	[ "$(cat "/proc/$pid/oom_score_adj")" = 321 ]
	grep -q "$c" "$dir/hook.state"
	[ "$(spec "$c" '[.annotations["note.test/a"], .linux.resources.memory.limit, .linux.resources.cpu.shares, .linux.resources.cpu.cpus, .linux.resources.pids.limit, .linux.sysctl["net.ipv4.ip_unprivileged_port_start"], .process.ioPriority.class]')" = \
		'["b",88080384,777,"0",99,"0","IOPRIO_CLASS_BE"]' ]
	jq -e '.linux.resources and (.env | index("GONE=x")) and .annotations["io.kubernetes.cri.container-type"] == "container"' "$dir/adjust.log.container"
	crictl rm -f "$c"
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
	[ "$took" -ge 900 ] && [ "$took" -lt 8000 ]
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
	before=$(rss)
	for case in length message configure garbage; do
		[ "$(nasty "$case")" = closed ] || { echo "$case"; false; }
	done
	nasty nobody
	nasty names
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

@test "a plugin that never registers is cut off" {
	begun=$(date +%s)
	timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(15)
assert s.recv(10) == b""' "$dir/nri.sock"
	[ $(($(date +%s) - begun)) -le 8 ]
	grep -q 'is cut off: it did not register in time' "$dir/log"
}
