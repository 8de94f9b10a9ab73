# Every adjustment that a plugin can ask for, by what the container's processes then have, or by the refusal
# that names it; and every conflict of two plugins. docs/nri.md names the test of each.

load nri.bash

setup() { [ -e "$dir/plugins" ] || plugin 10 adjust; }

teardown() {
	for id in $(crictl ps -aq); do crictl rm -f "$id" >/dev/null; done
	rm -f "$dir"/*.rules
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 25 "$dir/log"
}

# adjusted ADJUSTMENT [CONFIG]: $c runs with it, $pid is its process
adjusted() {
	rules adjust "[{\"event\": \"CreateContainer\", \"adjust\": $1}]"
	c=$(run_container "$pod" "$pod_json" "c$BATS_TEST_NUMBER" 'sleep 1000' "${2:-}")
	pid=$(crictl inspect "$c" | jq -r .info.pid)
}

# refused ADJUSTMENT TEXT: no container with it, and the error says TEXT
refused() {
	rules adjust "[{\"event\": \"CreateContainer\", \"adjust\": $1}]"
	run crictl create "$pod" "$(container_config "r$BATS_TEST_NUMBER" 'sleep 1000')" "$pod_json"
	[ "$status" -ne 0 ] && [[ $output == *"$2"* ]] || { echo "$1: $output"; return 1; }
	[ -z "$(crictl ps -aq --name "^r$BATS_TEST_NUMBER")" ]
}

inside() { crictl exec -s "$c" /bin/sh -c "$1"; }
ns() { readlink "/proc/$1/ns/$2"; }

# holds CONTROLLER FILE LINE: in the container's cgroup of v1
holds() {
	local path
	path=$(sed -nE "s/^[0-9]+:([^:]*,)?$1(,[^:]*)?:(.*)/\\3/p" "/proc/$pid/cgroup")
	grep -qxF -- "$3" "/sys/fs/cgroup/$1$path/$2" && return
	echo "$2 is $(cat "/sys/fs/cgroup/$1$path/$2"), not $3"
	return 1
}

@test "annotations, environment and arguments: added, changed, taken away" {
	adjusted '{"annotations": {"a.test/new": "1", "-a.test/gone": "", "a.test/changed": "2"},
		"env": [{"key": "NEW", "value": "a=b"}, {"key": "-GONE"}, {"key": "CHANGED", "value": "2"}],
		"args": ["", "/bin/sh", "-c", "exec sleep 999"]}' \
		'{"annotations": {"a.test/gone": "x", "a.test/changed": "1"}, "envs": [{"key": "GONE", "value": "x"}, {"key": "CHANGED", "value": "1"}]}'
	for _ in $(seq 100); do [ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" = "sleep 999 " ] && break; sleep 0.02; done
	[ "$(tr '\0' ' ' <"/proc/$pid/cmdline")" = "sleep 999 " ]
	[ "$(tr '\0' '\n' <"/proc/$pid/environ" | grep -E '^(NEW|GONE|CHANGED)=' | sort | tr '\n' ' ')" = "CHANGED=2 NEW=a=b " ]
	spec "$c" .annotations | jq -e '.["a.test/new"] == "1" and .["a.test/changed"] == "2" and .["a.test/gone"] == null'
	# what the request said is what the status says
	crictl inspect "$c" | jq -e '.status.annotations == {"a.test/gone": "x", "a.test/changed": "1"}'
	refused '{"env": [{"key": "A=B", "value": "1"}]}' 'NRI plugin 10-adjust: env A=B: no name of a variable'
	refused '{"args": [""]}' 'NRI plugin 10-adjust: args'
}

@test "mounts: added, in place of another, taken away; what cannot be mounted fails the start by name" {
	mkdir -p "$dir/volume/below"
	echo plugin >"$dir/volume/file"
	echo request >"$dir/requested"
	adjusted "{\"mounts\": [{\"destination\": \"/added\", \"source\": \"$dir/volume\", \"type\": \"bind\", \"options\": [\"rbind\", \"ro\"]},
		{\"destination\": \"/memory\", \"source\": \"tmpfs\", \"type\": \"tmpfs\", \"options\": [\"size=64k\", \"noexec\"]},
		{\"destination\": \"-/gone\"}, {\"destination\": \"-/replaced\"},
		{\"destination\": \"/replaced\", \"source\": \"$dir/volume/file\", \"type\": \"bind\", \"options\": [\"bind\"]}]}" \
		"{\"mounts\": [{\"container_path\": \"/gone\", \"host_path\": \"$dir/requested\"}, {\"container_path\": \"/replaced\", \"host_path\": \"$dir/requested\"}]}"
	[ "$(inside 'cat /added/file /replaced')" = "plugin
plugin" ]
	grep -E ' /added ' "/proc/$pid/mountinfo" | grep -q ' ro'
	grep -E ' /memory ' "/proc/$pid/mountinfo" | grep -E 'noexec.* - tmpfs .*size=64k'
	! grep -q ' /gone ' "/proc/$pid/mountinfo" || false
	refused '{"mounts": [{"destination": "relative", "source": "/", "type": "bind"}]}' 'NRI plugin 10-adjust: mount relative: not an absolute path'
	rules adjust '[{"event": "CreateContainer", "adjust": {"mounts": [{"destination": "/m", "source": "/nowhere/at/all", "type": "bind", "options": ["bind"]}]}}]'
	run run_container "$pod" "$pod_json" nowhere 'sleep 1'
	[ "$status" -ne 0 ]
	[[ $output == *"/nowhere/at/all"* ]]
}

@test "hooks: all six kinds run at their time, and one that fails fails the start" {
	hook() { echo "[{\"path\": \"/bin/sh\", \"args\": [\"sh\", \"-c\", \"echo $1 >>$2; test -z \\\"\$FAILS\\\"\"], \"env\": [\"KIND=$1\"${3:-}], \"timeout\": {\"value\": 5}}]"; }
	local out=$dir/hooks.order
	adjusted "{\"hooks\": {\"prestart\": $(hook prestart "$out"), \"create_runtime\": $(hook create_runtime "$out"),
		\"create_container\": $(hook create_container "$out"), \"start_container\": $(hook start_container /tmp/hook),
		\"poststart\": $(hook poststart "$out"), \"poststop\": $(hook poststop "$out")}}"
	[ "$(inside 'cat /tmp/hook')" = start_container ]
	for _ in $(seq 100); do [ "$(wc -l <"$out")" -ge 4 ] && break; sleep 0.02; done
	[ "$(tr '\n' ' ' <"$out")" = "prestart create_runtime create_container poststart " ]
	crictl rm -f "$c"
	[ "$(tail -n 1 "$out")" = poststop ]
	rules adjust "[{\"event\": \"CreateContainer\", \"adjust\": {\"hooks\": {\"create_runtime\": $(hook create_runtime "$out" ', "FAILS=1"')}}}]"
	run run_container "$pod" "$pod_json" fails 'sleep 1'
	[ "$status" -ne 0 ]
	[[ $output == *hook* ]]
	# that end without reading their state, though it is more than a pipe holds
	local true='[{"path": "/bin/true"}]'
	rules adjust "[{\"event\": \"CreateContainer\", \"adjust\": {\"annotations\": {\"long\": \"$(head -c 100000 /dev/zero | tr '\0' x)\"},
		\"hooks\": {\"prestart\": $true, \"create_runtime\": $true, \"create_container\": $true, \"start_container\": $true, \"poststart\": $true, \"poststop\": $true}}}]"
	c=$(run_container "$pod" "$pod_json" unread 'sleep 1000')
	crictl rm -f "$c"
	refused '{"hooks": {"poststop": [{"path": "sh"}]}}' 'NRI plugin 10-adjust: hook sh: not an absolute path'
}

@test "rlimits, oom score, io priority, scheduler, memory policy: the process has them" {
	adjusted '{"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 111, "hard": 222}, {"type": "CORE", "soft": 0, "hard": 4096}],
		"linux": {"oom_score_adj": {"value": 444}, "io_priority": {"class": 3}, "scheduler": {"policy": 4, "nice": 5},
		"memory_policy": {"mode": 2, "nodes": "0", "flags": [0]}}}'
	grep -qE '^Max open files +111 +222' "/proc/$pid/limits"
	grep -qE '^Max core file size +0 +4096' "/proc/$pid/limits"
	[ "$(cat "/proc/$pid/oom_score_adj")" = 444 ]
	[ "$(ionice -p "$pid")" = idle ]
	[ "$(cut -d' ' -f19,41 "/proc/$pid/stat")" = "5 3" ]
	grep -q ' bind=static:0 ' "/proc/$pid/numa_maps"
	refused '{"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 2}]}' 'rlimit RLIMIT_NOFILE: soft is above hard'
	refused '{"linux": {"oom_score_adj": {"value": 1001}}}' 'oom_score_adj : not between -1000 and 1000'
	refused '{"linux": {"io_priority": {"class": 2, "priority": 8}}}' 'io_priority IOPRIO_CLASS_BE: not a class with 0 to 7'
	refused '{"linux": {"scheduler": {"policy": 99}}}' 'scheduler policy: unknown'
	refused '{"linux": {"memory_policy": {"mode": 77}}}' 'memory_policy mode: unknown'
}

@test "limits, each field: the kernel's files have them, or the refusal names the file" {
	adjusted '{"linux": {"resources": {
		"memory": {"limit": {"value": 88080384}, "reservation": {"value": 50331648}, "swap": {"value": 96468992}, "kernel": {"value": 67108864},
			"kernel_tcp": {"value": 16777216}, "swappiness": {"value": 10}, "disable_oom_killer": {"value": true}, "use_hierarchy": {"value": true}},
		"cpu": {"shares": {"value": 777}, "quota": {"value": 33000}, "period": {"value": 66000}, "cpus": "0", "mems": "0"},
		"pids": {"limit": 99}, "hugepage_limits": [{"page_size": "2MB", "limit": 4194304}],
		"devices": [{"allow": true, "type": "c", "major": {"value": 10}, "minor": {"value": 229}, "access": "rw"}]}}}'
	holds memory memory.limit_in_bytes 88080384
	holds memory memory.soft_limit_in_bytes 50331648
	holds memory memory.memsw.limit_in_bytes 96468992
	holds memory memory.kmem.tcp.limit_in_bytes 16777216
	holds memory memory.swappiness 10
	holds memory memory.oom_control 'oom_kill_disable 1'
	holds cpu cpu.shares 777
	holds cpu cpu.cfs_quota_us 33000
	holds cpu cpu.cfs_period_us 66000
	holds cpuset cpuset.cpus 0
	holds cpuset cpuset.mems 0
	holds pids pids.max 99
	holds devices devices.list 'c 10:229 rw'
	grep -qx 4194304 "/sys/fs/cgroup/unified$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/hugetlb.2MB.max"
	crictl inspect "$c" | jq -e '.status.resources.linux | .memoryLimitInBytes == "88080384" and .cpuShares == "777" and .cpusetCpus == "0"'
	# this kernel has these, but not for us: the parent has no realtime to give, unified is of v2
	local row
	for row in '{"cpu": {"realtime_runtime": {"value": 1000}, "realtime_period": {"value": 1000000}}}|cpu.rt_runtime_us' \
		'{"unified": {"memory.high": "50331648"}}|memory.high'; do
		rules adjust "[{\"event\": \"CreateContainer\", \"adjust\": {\"linux\": {\"resources\": ${row%%|*}}}}]"
		run run_container "$pod" "$pod_json" "limit$RANDOM" 'sleep 1'
		[ "$status" -ne 0 ] && [[ $output == *"${row#*|}"* ]] || { echo "$row: $output"; false; }
	done
	refused '{"linux": {"resources": {"blockio_class": {"value": "fast"}}}}' 'blockio_class fast: no classes are configured on this node'
	refused '{"linux": {"resources": {"devices": [{"type": "x"}]}}}' 'resources.devices: a type that is none of a, b, c'
}

@test "devices, by node and from CDI; a device that was asked for is taken away" {
	mkdir -p "$dir/cdi"
	adjusted '{"linux": {"devices": [{"path": "/dev/new", "type": "c", "major": 1, "minor": 5, "file_mode": {"value": 384}, "uid": {"value": 7}, "gid": {"value": 8}},
		{"path": "/dev/pipe", "type": "p"}, {"path": "-/dev/gone"}]}}' \
		'{"devices": [{"host_path": "/dev/zero", "container_path": "/dev/gone", "permissions": "rwm"}]}'
	[ "$(stat -c '%A %u %g %t %T' "/proc/$pid/root/dev/new")" = "crw------- 7 8 1 5" ]
	[ -p "/proc/$pid/root/dev/pipe" ]
	[ ! -e "/proc/$pid/root/dev/gone" ]
	[ "$(inside 'head -c 2 /dev/new | od -An -tx1 | tr -d " \n"')" = 0000 ]
	refused '{"linux": {"devices": [{"path": "dev/x", "type": "c"}]}}' 'device dev/x: not an absolute path'
	refused '{"linux": {"devices": [{"path": "/dev/x", "type": "z"}]}}' 'device /dev/x: type is none of b, c, u, p'
	refused '{"CDI_devices": [{"name": "vendor.test/none=1"}]}' 'CDI device vendor.test/none=1: no specification has it'
}

@test "namespaces, cgroup and sysctls" {
	local of_pod=$(crictl inspectp "$pod" | jq -r .info.pid)
	unshare --ipc sleep 1000 3>&- &
	local other=$!
	echo $other >>"$dir/plugins"
	for _ in $(seq 100); do [ "$(ns $other ipc)" != "$(ns self ipc)" ] && break; sleep 0.02; done
	adjusted "{\"linux\": {\"namespaces\": [{\"type\": \"uts\"}, {\"type\": \"ipc\", \"path\": \"/proc/$other/ns/ipc\"}],
		\"cgroups_path\": \"$parent/elsewhere/c\", \"sysctl\": {\"net.ipv4.ip_unprivileged_port_start\": \"7\"}}}"
	[ "$(ns "$pid" uts)" != "$(ns "$of_pod" uts)" ]
	[ "$(ns "$pid" uts)" != "$(ns self uts)" ]
	[ "$(ns "$pid" ipc)" = "$(ns $other ipc)" ]
	[ "$(ns "$pid" net)" = "$(ns "$of_pod" net)" ]
	grep -qE ":pids:$parent/elsewhere/c\$" "/proc/$pid/cgroup"
	[ "$(inside 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')" = 7 ]
	[ "$(crictl stats -o json "$c" | jq -r '.stats[0].memory.workingSetBytes.value')" -gt 0 ]
	crictl rm -f "$c"
	[ ! -e "/sys/fs/cgroup/pids$parent/elsewhere/c" ]
	# none of its own: the node's
	adjusted '{"linux": {"namespaces": [{"type": "-ipc"}]}}'
	[ "$(ns "$pid" ipc)" = "$(ns self ipc)" ]
	refused '{"linux": {"namespaces": [{"type": "-mount"}]}}' 'namespace mount: no container is without one'
	refused '{"linux": {"namespaces": [{"type": "space"}]}}' 'namespace space: no such type'
	refused '{"linux": {"cgroups_path": "/a/../b"}}' 'cgroups_path /a/../b: not an absolute path'
	rules adjust '[{"event": "CreateContainer", "adjust": {"linux": {"sysctl": {"vm.swappiness": "1"}}}}]'
	run run_container "$pod" "$pod_json" sysctl 'sleep 1'
	[ "$status" -ne 0 ]
	[[ $output == *vm.swappiness* ]]
}

@test "seccomp policy, network devices; a class of resctrl is refused where there is none" {
	in_net ip link add nri0 type veth peer name nri1
	adjusted '{"linux": {"seccomp_policy": {"default_action": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
			"syscalls": [{"names": ["symlink", "symlinkat"], "action": "SCMP_ACT_ERRNO", "errno_ret": {"value": 42}},
			{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]},
		"net_devices": {"nri0": {"name": "moved0"}}}}'
	grep -qx 'Seccomp:	2' "/proc/$pid/status"
	spec "$c" .linux.seccomp.syscalls[0] | jq -e '.names[0] == "symlink" and .errnoRet == 42'
	[[ "$(inside 'busybox ln -s a /tmp/link 2>&1; true')" == *"No message of desired type"* ]]
	[ "$(inside 'kill -10 $$ 2>/dev/null; echo alive')" = alive ]
	nsenter -t "$pid" -n ip link show moved0
	! in_net ip link show nri0 || false
	in_net ip link del nri1
	rules adjust '[{"event": "CreateContainer", "adjust": {"linux": {"rdt": {"clos_id": {"value": "fast"}}}}}]'
	run run_container "$pod" "$pod_json" rdt 'sleep 1'
	[ "$status" -ne 0 ] && [[ $output == *intelRdt* ]] || { echo "$output"; false; }
	refused '{"linux": {"net_devices": {"a/b": {"name": "x"}}}}' 'net_device a/b: no name of an interface'
}

@test "what two plugins set, field by field: refused, naming both and the field" {
	plugin 20 second
	local row r='"linux": {"resources": {' both config
	config=$(container_config clash 'sleep 1000')
	for row in 'Annotations k|"annotations": {"k": "1"}' 'Mounts /m|"mounts": [{"destination": "/m", "type": "tmpfs"}]' \
		'Devices /dev/d|"linux": {"devices": [{"path": "/dev/d", "type": "c"}]}' 'CdiDevices a.b/c=d|"CDI_devices": [{"name": "a.b/c=d"}]' \
		'Env E|"env": [{"key": "E", "value": "1"}]' 'Args|"args": ["a"]' \
		"MemLimit|$r\"memory\": {\"limit\": {\"value\": 9999999}}}}" "MemReservation|$r\"memory\": {\"reservation\": {\"value\": 1}}}}" \
		"MemSwapLimit|$r\"memory\": {\"swap\": {\"value\": 1}}}}" "MemKernelLimit|$r\"memory\": {\"kernel\": {\"value\": 1}}}}" \
		"MemTCPLimit|$r\"memory\": {\"kernel_tcp\": {\"value\": 1}}}}" "MemSwappiness|$r\"memory\": {\"swappiness\": {\"value\": 1}}}}" \
		"MemDisableOomKiller|$r\"memory\": {\"disable_oom_killer\": {\"value\": true}}}}" \
		"MemUseHierarchy|$r\"memory\": {\"use_hierarchy\": {\"value\": true}}}}" "CPUShares|$r\"cpu\": {\"shares\": {\"value\": 9}}}}" \
		"CPUQuota|$r\"cpu\": {\"quota\": {\"value\": 9}}}}" "CPUPeriod|$r\"cpu\": {\"period\": {\"value\": 9}}}}" \
		"CPURealtimeRuntime|$r\"cpu\": {\"realtime_runtime\": {\"value\": 9}}}}" \
		"CPURealtimePeriod|$r\"cpu\": {\"realtime_period\": {\"value\": 9}}}}" "CPUSetCPUs|$r\"cpu\": {\"cpus\": \"0\"}}}" \
		"CPUSetMems|$r\"cpu\": {\"mems\": \"0\"}}}" "PidsLimit|$r\"pids\": {\"limit\": 9}}}" \
		"HugepageLimits 2MB|$r\"hugepage_limits\": [{\"page_size\": \"2MB\", \"limit\": 1}]}}" "CgroupsUnified pids.max|$r\"unified\": {\"pids.max\": \"9\"}}}" \
		"RdtClass|$r\"rdt_class\": {\"value\": \"c\"}}}" 'CgroupsPath|"linux": {"cgroups_path": "/x"}' \
		'OomScoreAdj|"linux": {"oom_score_adj": {"value": 1}}' 'Rlimits RLIMIT_CORE|"rlimits": [{"type": "CORE"}]' \
		'IoPriority|"linux": {"io_priority": {"class": 3}}' 'SeccompPolicy|"linux": {"seccomp_policy": {"default_action": "SCMP_ACT_ALLOW"}}' \
		'Namespace uts|"linux": {"namespaces": [{"type": "uts"}]}' 'Sysctl net.x|"linux": {"sysctl": {"net.x": "1"}}' \
		'LinuxNetDevices d0|"linux": {"net_devices": {"d0": {}}}' 'LinuxSched|"linux": {"scheduler": {"policy": 4}}' \
		'RdtClosID|"linux": {"rdt": {"clos_id": {"value": "c"}}}' 'RdtSchemata|"linux": {"rdt": {"schemata": {"value": ["x"]}}}' \
		'RdtEnableMonitoring|"linux": {"rdt": {"enable_monitoring": {"value": true}}}' 'MemoryPolicy|"linux": {"memory_policy": {"mode": 2, "nodes": "0"}}'; do
		both="[{\"event\": \"CreateContainer\", \"adjust\": {${row#*|}}}]"
		rules second "$both"
		rules adjust "$both"
		run crictl create "$pod" "$config" "$pod_json"
		[ "$status" -ne 0 ] && [[ $output == *"NRI plugins 10-adjust and 20-second both set ${row%%|*}"* ]] || { echo "$row: $output"; false; }
	done
	[ -z "$(crictl ps -aq)" ]
	# hooks of all plugins run
	rules second '[{"event": "CreateContainer", "adjust": {"hooks": {"poststart": [{"path": "/bin/true"}]}}}]'
	adjusted '{"hooks": {"poststart": [{"path": "/bin/true"}]}}'
	[ "$(spec "$c" '.hooks.poststart | length')" = 2 ]
}
