# Limits of what runs: changed in the kernel, the status, config.json and the record, or nowhere.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config update)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

pid_of() { crictl inspect "$1" | jq -r .info.pid; }

# limit PID V1-CONTROLLER V1-FILE V2-FILE
limit() {
	local line
	line=$(grep -E "^[0-9]+:([^:]*,)?$2(,[^:]*)?:" "/proc/$1/cgroup" | head -n 1)
	if [ -n "$line" ]; then
		cat "/sys/fs/cgroup/$2${line#*:*:}/$3"
	else
		line=$(grep '^0::' "/proc/$1/cgroup")
		cat "/sys/fs/cgroup${line#0::}/$4"
	fi
}

memory() { limit "$1" memory memory.limit_in_bytes memory.max; }
cpuset() { limit "$1" cpuset cpuset.cpus cpuset.cpus; }

@test "crictl update: the kernel, the status and config.json have the new limits" {
	id=$(run_container "$pod" "$pod_json" u 'sleep 1000' \
		'{"linux": {"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 512, "oom_score_adj": 500}}}')
	pid=$(pid_of "$id")
	[ "$(memory "$pid")" = 67108864 ]
	crictl update --memory 134217728 --cpuset-cpus 0 --cpu-quota 50000 --cpu-period 100000 "$id"
	[ "$(memory "$pid")" = 134217728 ]
	[ "$(cpuset "$pid")" = 0 ]
	crictl inspect "$id" >"$dir/inspect.json"
	[ "$(jq -r '.status.resources.linux | [.memoryLimitInBytes, .cpuShares, .cpusetCpus, .cpuQuota, .cpuPeriod, .oomScoreAdj] | join(" ")' "$dir/inspect.json")" = \
		"134217728 512 0 50000 100000 500" ]
	[ "$(jq -r '.info.runtimeSpec.linux.resources.memory.limit' "$dir/inspect.json")" = 134217728 ]
	[ "$(jq -r '.info.runtimeSpec.linux.resources.cpu.cpus' "$dir/inspect.json")" = 0 ]
	crictl rm -f "$id"
}

@test "a lower OOM score goes to every process that did not choose its own, and to execs" {
	id=$(run_container "$pod" "$pod_json" oom 'sleep 1000 & sh -c "echo 700 >/proc/self/oom_score_adj; exec sleep 1001" & sleep 1002' \
		'{"linux": {"resources": {"oom_score_adj": 400}}}')
	pid=$(pid_of "$id")
	for _ in $(seq 100); do grep -qx 700 /proc/$(pgrep -P "$pid" -f 1001)/oom_score_adj && break; sleep 0.05; done
	rpc UpdateContainerResources "container_id: \"$id\" linux { oom_score_adj: 450 }"
	[ "$(cat "/proc/$pid/oom_score_adj")" = 450 ]
	[ "$(cat "/proc/$(pgrep -P "$pid" -f 'sleep 1000')/oom_score_adj")" = 450 ]
	[ "$(cat "/proc/$(pgrep -P "$pid" -f 'sleep 1001')/oom_score_adj")" = 700 ]
	[ "$(crictl exec -s "$id" cat /proc/self/oom_score_adj)" = 450 ]
	crictl rm -f "$id"
}

@test "all or nothing: one value that the kernel refuses, and everything is as before" {
	id=$(run_container "$pod" "$pod_json" t 'sleep 1000' \
		'{"linux": {"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 512, "oom_score_adj": 300}}}')
	pid=$(pid_of "$id")
	before=$(crictl inspect "$id" | jq -S .)
	set=$(cpuset "$pid")
	run rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 134217728
		cpu_shares: 100 oom_score_adj: 600 cpuset_cpus: \"9999\" }"
	[ "$status" -eq 1 ]
	[[ $output == *cpuset.cpus*9999* ]] || { echo "$output"; false; }
	[ "$(memory "$pid")" = 67108864 ]
	[ "$(cpuset "$pid")" = "$set" ]
	[ "$(cat "/proc/$pid/oom_score_adj")" = 300 ]
	[ "$(crictl inspect "$id" | jq -S .)" = "$before" ]
	# below what is in use: refused, and nobody is killed for it
	run rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 4096 }"
	[ "$status" -eq 1 ]
	[ "$(memory "$pid")" = 67108864 ]
	[ "$(pid_of "$id")" = "$pid" ]
	[ -d "/proc/$pid" ]
	crictl rm -f "$id"
}

@test "a container that was created is started with what it was changed to" {
	id=$(crictl create "$pod" "$(container_config c 'sleep 1000')" "$pod_json")
	rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 100663296 oom_score_adj: 321 }"
	crictl start "$id"
	pid=$(pid_of "$id")
	[ "$(memory "$pid")" = 100663296 ]
	[ "$(cat "/proc/$pid/oom_score_adj")" = 321 ]
	crictl stop -t 0 "$id"
	run rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 134217728 }"
	[[ $output == STATE:* ]] || { echo "$output"; false; }
	crictl rm "$id"
}

@test "what was changed is known after a restart of the daemon" {
	id=$(run_container "$pod" "$pod_json" r 'sleep 1000')
	rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 77594624 }"
	rpc UpdatePodSandboxResources "pod_sandbox_id: \"$pod\" overhead { cpu_shares: 7 }
		resources { memory_limit_in_bytes: 1073741824 cpuset_cpus: \"0\" }"
	daemon_kill KILL
	daemon_start
	[ "$(status_of "$id" resources.linux.memoryLimitInBytes)" = 77594624 ]
	crictl inspectp "$pod" | jq -e '.info.config.linux | .resources.memory_limit_in_bytes == 1073741824 and .resources.cpuset_cpus == "0"
		and .overhead.cpu_shares == 7'
	crictl rm -f "$id"
}

@test "what cannot be is refused by its name" {
	run rpc UpdateContainerResources 'container_id: "0123456789" linux { cpu_shares: 2 }'
	[[ $output == NOT_FOUND:*0123456789* ]]
	id=$(run_container "$pod" "$pod_json" bad 'sleep 1000')
	run rpc UpdateContainerResources "container_id: \"$id\""
	[ "$output" = "INVALID: linux: required" ]
	run rpc UpdateContainerResources "container_id: \"$id\" windows { cpu_shares: 1 }"
	[ "$output" = "INVALID: windows: this is Linux" ]
	run rpc UpdateContainerResources "container_id: \"$id\" linux { cpu_shares: -5 }"
	[[ $output == INVALID:*cpu_shares* ]]
	run rpc UpdateContainerResources "container_id: \"$id\" linux { oom_score_adj: 2000 }"
	[[ $output == INVALID:*oom_score_adj* ]]
	if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
		run rpc UpdateContainerResources "container_id: \"$id\" linux { unified { key: \"memory.high\" value: \"1\" } }"
		[[ $output == UNSUPPORTED:*unified*memory.high* ]] || { echo "$output"; false; }
	else
		rpc UpdateContainerResources "container_id: \"$id\" linux { unified { key: \"memory.high\" value: \"64M\" } }"
		[ "$(limit "$(pid_of "$id")" memory x memory.high)" = 67108864 ]
	fi
	crictl rm -f "$id"
}

@test "a hundred changes leave nothing behind in the daemon" {
	id=$(run_container "$pod" "$pod_json" many 'sleep 1000')
	rpc UpdateContainerResources "container_id: \"$id\" linux { memory_limit_in_bytes: 67108864 }"
	for n in $(seq 100); do
		"$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/UpdateContainerResources <"$dir/request" >/dev/null
	done
	[ "$(memory "$(pid_of "$id")")" = 67108864 ]
	crictl rm -f "$id"
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
