# The lifecycle of a pod on pure cgroup v2: what the kubelet asked for is what the files say.

setup_file() {
	[ -n "${CAISSON_VM:-}" ] || return 0
	export DIR=/var/lib/caisson-vm/run
	export PATH=$PATH:/usr/sbin:/sbin
	mkdir -p $DIR
	cat >$DIR/config.yaml <<-Y
		root: $DIR/root
		state: $DIR/state
		address: $DIR/caisson.sock
		cni: {conf_dir: $DIR/none, default_bridge: cvm0, default_subnet: 10.77.0.0/24}
	Y
	"$CAISSON_BUILD/src/prog/caissond/caissond" --config $DIR/config.yaml >$DIR/log 2>&1 3>&- &
	echo $! >$DIR/pid
	for _ in $(seq 300); do [ -S $DIR/caisson.sock ] && break; sleep 0.1; done
	tools/make-layout $DIR/layout localhost/demo:latest
	"$CAISSON_BUILD/src/prog/caisson/caisson" -a $DIR/caisson.sock import $DIR/layout localhost/demo:latest
	cat >$DIR/pod.json <<-J
		{"metadata":{"name":"web","namespace":"default","uid":"u1","attempt":0},"hostname":"web",
		"log_directory":"$DIR/logs","linux":{"cgroup_parent":"/kubepods/burstable/podu1",
		"security_context":{"namespace_options":{"pid":1}}}}
	J
	cat >$DIR/ctr.json <<-J
		{"metadata":{"name":"web"},"image":{"image":"localhost/demo:latest"},"log_path":"web.log",
		"linux":{"security_context":{"namespace_options":{"pid":1}},"resources":{"cpu_period":100000,"cpu_quota":50000,"cpu_shares":512,
		"memory_limit_in_bytes":67108864,"memory_swap_limit_in_bytes":67108864,"cpuset_cpus":"0",
		"unified":{"memory.high":"50331648","pids.max":"64"}}}}
	J
}

teardown_file() {
	[ -n "${CAISSON_VM:-}" ] || return 0
	kill "$(cat $DIR/pid)" 2>/dev/null || true
}

setup() {
	[ -n "${CAISSON_VM:-}" ] || skip "only in the virtual machine"
	[ -S $DIR/caisson.sock ] || { cat $DIR/log; false; }
}

teardown() {
	[ -z "${BATS_TEST_COMPLETED:-}" ] && tail -n 20 $DIR/log || true
}

crictl() {
	command crictl --timeout 60s --runtime-endpoint unix://$DIR/caisson.sock --image-endpoint unix://$DIR/caisson.sock "$@"
}

@test "a pod runs under the kubelet's cgroup with its limits in v2's files" {
	pod=$(crictl runp $DIR/pod.json)
	ctr=$(crictl create $pod $DIR/ctr.json $DIR/pod.json)
	crictl start $ctr
	pid=$(crictl inspect $ctr | jq .info.pid)
	echo $pod >$DIR/pod.id
	echo $ctr >$DIR/ctr.id
	cg=/sys/fs/cgroup/kubepods/burstable/podu1/$ctr
	[ "$(cat /proc/$pid/cgroup)" = "0::/kubepods/burstable/podu1/$ctr" ]
	[ "$(cat $cg/cpu.max)" = "50000 100000" ]
	# 1 + (512 - 2) * 9999 / 262142
	[ "$(cat $cg/cpu.weight)" = 20 ]
	[ "$(cat $cg/memory.max)" = 67108864 ]
	[ "$(cat $cg/memory.swap.max)" = 0 ]
	[ "$(cat $cg/memory.high)" = 50331648 ]
	[ "$(cat $cg/pids.max)" = 64 ]
	[ "$(cat $cg/cpuset.cpus)" = 0 ]
}

@test "inside, the container sees its own cgroup as the root" {
	[ "$(crictl exec -s "$(cat $DIR/ctr.id)" cat /proc/1/cgroup)" = "0::/" ]
}

@test "devices are filtered by a program, and the default ones work" {
	ctr=$(cat $DIR/ctr.id)
	crictl exec -s $ctr cat /dev/null
	run crictl exec -s $ctr sh -c 'busybox mknod /tmp/disk b 259 0 && cat /tmp/disk'
	[ "$status" -ne 0 ]
	[[ "$output" == *"not permitted"* ]]
}

@test "stats come from v2's files, within 1 %: processors, memory, swap, pressure, disk, processes" {
	ctr=$(cat $DIR/ctr.id)
	cg=/sys/fs/cgroup/kubepods/burstable/podu1/$ctr
	# throttled, faulting and writing for a while, then at rest
	crictl exec -s $ctr sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done
		busybox dd if=/dev/zero of=/written bs=1M count=8 conv=fsync 2>/dev/null'
	sleep 5 # the kernel sums up its counters of memory every two seconds
	crictl stats -o json --id $ctr 2>/dev/null | jq '.stats[0]' >$DIR/stats.json
	crictl metricsp >$DIR/metrics.json
	crictl statsp -o json 2>/dev/null | jq '.stats[] | select(.attributes.metadata.name == "web")' >$DIR/pod-stats.json
	wrong=
	near() { # WHAT OURS KERNEL'S
		awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(a != "" && b != "" && d <= 0.01 * (b > 1 ? b : 1)) }' ||
			wrong+="$1 is $2, the kernel says $3"$'\n'
	}
	ours() { jq -r "$1 | tonumber" $DIR/stats.json; }
	key() { awk -v key="$2" '$1 == key { print $2 }' "$cg/$1"; }
	current=$(cat $cg/memory.current)
	near processors "$(ours .cpu.usageCoreNanoSeconds.value)" "$(key cpu.stat usage_usec)000"
	near usage "$(ours .memory.usageBytes.value)" "$current"
	near "working set" "$(ours .memory.workingSetBytes.value)" $((current - $(key memory.stat inactive_file)))
	near "resident set" "$(ours .memory.rssBytes.value)" "$(key memory.stat anon)"
	near faults "$(ours .memory.pageFaults.value)" "$(key memory.stat pgfault)"
	near "major faults" "$(ours .memory.majorPageFaults.value)" "$(key memory.stat pgmajfault)"
	near available "$(ours .memory.availableBytes.value)" $((67108864 - $(ours .memory.workingSetBytes.value)))
	near swap "$(ours .swap.swapUsageBytes.value)" "$(cat $cg/memory.swap.current)"
	for what in cpu memory io; do
		near "$what some" "$(ours .$what.psi.Some.Total)" "$(sed -n 's/^some .*total=//p' $cg/$what.pressure)000"
		near "$what full" "$(ours .$what.psi.Full.Total)" "$(sed -n 's/^full .*total=//p' $cg/$what.pressure)000"
	done
	[ "$(ours .cpu.psi.Some.Total)" -gt 0 ]
	metric() { jq "[.podMetrics[].containerMetrics[] | select(.containerId == \"$ctr\").metrics[] | select(.name == \"$1\").value.value | tonumber] | add" $DIR/metrics.json; }
	io() { sed -n "s/.* $1=\([0-9]*\).*/\1/p" $cg/io.stat | awk '{ n += $1 } END { print n + 0 }'; }
	near "bytes written" "$(metric container_fs_writes_bytes_total)" "$(io wbytes)"
	near "writes" "$(metric container_fs_writes_total)" "$(io wios)"
	[ "$(io wbytes)" -ge 8388608 ]
	near "throttled periods" "$(metric container_cpu_cfs_throttled_periods_total)" "$(key cpu.stat nr_throttled)"
	near "processes" "$(jq -r '.linux.process.processCount.value | tonumber' $DIR/pod-stats.json)" "$(cat $cg/../pids.current)"
	[ -z "$wrong" ] || { echo "$wrong"; cat $DIR/stats.json; false; }
}

@test "a process over the memory limit is OOMKilled with 137" {
	# a node with more containers than instances
	sysctl -qw fs.inotify.max_user_instances=0
	pod=$(cat $DIR/pod.id)
	jq '.metadata.name="oom" | .log_path="oom.log" | .command=["sh","-c","x=; while :; do x=$x$x.................................................................; done"]
		| .linux.resources={"memory_limit_in_bytes":16777216,"memory_swap_limit_in_bytes":16777216}' $DIR/ctr.json >$DIR/oom.json
	ctr=$(crictl create $pod $DIR/oom.json $DIR/pod.json)
	crictl start $ctr
	for _ in $(seq 300); do
		[ "$(crictl inspect $ctr | jq -r .status.state)" = CONTAINER_EXITED ] && break
		sleep 0.2
	done
	crictl inspect $ctr | jq -e '.status.reason == "OOMKilled" and .status.exitCode == 137'
	crictl rm $ctr
	sysctl -qw fs.inotify.max_user_instances=128
}

@test "a pod with a user namespace has its layers idmapped, on kernels too that want them attached" {
	map='.linux.security_context.namespace_options += {"pid": 1, "userns_options":
		(["uids", "gids"] | map({(.): [{"container_id": 0, "host_id": 200000, "length": 65536}]}) | add + {"mode": 0})}'
	jq "$map"'| .metadata.name = "mapped" | .metadata.uid = "u2"' $DIR/pod.json >$DIR/mapped-pod.json
	jq "$map"'| .log_path = "mapped.log"' $DIR/ctr.json >$DIR/mapped.json
	pod=$(crictl runp $DIR/mapped-pod.json)
	ctr=$(crictl create $pod $DIR/mapped.json $DIR/mapped-pod.json)
	crictl start $ctr
	pid=$(crictl inspect $ctr | jq .info.pid)
	[ "$(awk '{ print $1, $2, $3 }' /proc/$pid/uid_map)" = "0 200000 65536" ]
	[ "$(crictl exec -s $ctr busybox stat -c %u /bin/busybox)" = 0 ]
	[ "$(crictl exec -s $ctr sh -c 'echo x >/new && busybox stat -c %u /new')" = 0 ]
	crictl rmp -f $pod
}

@test "stop and remove leave no cgroup, process, mount or interface" {
	crictl stopp "$(cat $DIR/pod.id)"
	crictl rmp "$(cat $DIR/pod.id)"
	[ -z "$(find /sys/fs/cgroup/kubepods -mindepth 1 -type d -name "*$(cut -c1-16 $DIR/ctr.id)*" 2>/dev/null)" ]
	! grep -q "$DIR/state/pods" /proc/mounts || false
	! ip -o link | grep -q veth || false
	! pgrep caisson-shim || false
}
