# The daemon with the systemd driver: a pod is a slice, its containers are scopes.
# bats file_tags=systemd

setup_file() {
	[ -d /run/systemd/system ] || return 0
	export DIR=/var/lib/caisson-vm/systemd
	export PATH=$PATH:/usr/sbin:/sbin
	mkdir -p $DIR
	cat >$DIR/config.yaml <<-Y
		root: $DIR/root
		state: $DIR/state
		address: $DIR/caisson.sock
		pods: {cgroup_driver: systemd}
		cni: {conf_dir: $DIR/none, default_bridge: cvs0, default_subnet: 10.78.0.0/24}
	Y
	"$CAISSON_BUILD/src/prog/caissond/caissond" --config $DIR/config.yaml >$DIR/log 2>&1 3>&- &
	echo $! >"$DIR/pid"
	for _ in $(seq 300); do [ -S $DIR/caisson.sock ] && break; sleep 0.1; done
	tools/make-layout $DIR/layout localhost/demo:latest
	"$CAISSON_BUILD/src/prog/caisson/caisson" -a $DIR/caisson.sock import $DIR/layout localhost/demo:latest
	# as the kubelet has it: the slice's whole path
	cat >$DIR/pod.json <<-J
		{"metadata":{"name":"web","namespace":"default","uid":"u1","attempt":0},"hostname":"web",
		"log_directory":"$DIR/logs","linux":{"cgroup_parent":"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu1.slice",
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
	[ -d /run/systemd/system ] || return 0
	kill "$(cat "$DIR/pid")" 2>/dev/null || true
}

setup() {
	[ -d /run/systemd/system ] || skip "needs systemd"
	[ -S $DIR/caisson.sock ] || { cat $DIR/log; false; }
}

teardown() {
	[ -z "${BATS_TEST_COMPLETED:-}" ] && [ -d /run/systemd/system ] && tail -n 20 $DIR/log || true
}

crictl() {
	command crictl --timeout 60s --runtime-endpoint unix://$DIR/caisson.sock --image-endpoint unix://$DIR/caisson.sock "$@"
}
slice=kubepods-burstable-podu1.slice
path=/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu1.slice
show() { systemctl show "$1" -p "$2" --value; }

@test "the kubelet is told that systemd makes the cgroups" {
	crictl info | jq -e '.config.cgroupDriver == "systemd"'
}

@test "a container is a scope in the pod's slice, with its limits as properties and in the files" {
	pod=$(crictl runp $DIR/pod.json)
	ctr=$(crictl create $pod $DIR/ctr.json $DIR/pod.json)
	crictl start $ctr
	pid=$(crictl inspect $ctr | jq .info.pid)
	echo $pod >$DIR/pod.id
	echo $ctr >$DIR/ctr.id
	scope=caisson-$ctr.scope
	cg=/sys/fs/cgroup$path/$scope
	[ "$(cat /proc/$pid/cgroup)" = "0::$path/$scope" ]
	[ "$(show $scope Slice)" = $slice ]
	[ "$(show $scope ControlGroup)" = $path/$scope ]
	[ "$(show $scope Delegate)" = yes ]
	[ "$(show $scope MemoryMax)" = 67108864 ]
	[ "$(show $scope MemoryHigh)" = 50331648 ]
	[ "$(show $scope TasksMax)" = 64 ]
	[ "$(show $scope CPUWeight)" = 20 ]
	[ "$(cat $cg/cpu.max)" = "50000 100000" ]
	[ "$(cat $cg/cpu.weight)" = 20 ]
	[ "$(cat $cg/memory.max)" = 67108864 ]
	[ "$(cat $cg/memory.swap.max)" = 0 ]
	[ "$(cat $cg/memory.high)" = 50331648 ]
	[ "$(cat $cg/pids.max)" = 64 ]
	[ "$(cat $cg/cpuset.cpus)" = 0 ]
}

@test "the limits and the devices are the same after a daemon-reload" {
	cg=/sys/fs/cgroup$path/caisson-$(cat $DIR/ctr.id).scope
	systemctl daemon-reload
	[ "$(cat $cg/cpu.max)" = "50000 100000" ]
	[ "$(cat $cg/memory.max)" = 67108864 ]
	[ "$(cat $cg/memory.high)" = 50331648 ]
	[ "$(cat $cg/pids.max)" = 64 ]
	crictl exec -s "$(cat $DIR/ctr.id)" cat /dev/null
	run crictl exec -s "$(cat $DIR/ctr.id)" sh -c 'busybox mknod /tmp/disk b 259 0 && cat /tmp/disk'
	[ "$status" -ne 0 ]
	[[ "$output" == *"not permitted"* ]]
}

@test "an update reaches systemd and the files" {
	ctr=$(cat $DIR/ctr.id)
	cg=/sys/fs/cgroup$path/caisson-$ctr.scope
	crictl update --memory 100663296 --cpu-quota 25000 $ctr
	[ "$(cat $cg/memory.max)" = 100663296 ]
	[ "$(cat $cg/cpu.max)" = "25000 100000" ]
	[ "$(show caisson-$ctr.scope MemoryMax)" = 100663296 ]
	systemctl daemon-reload
	[ "$(cat $cg/memory.max)" = 100663296 ]
}

@test "stats and exec work in a scope" {
	ctr=$(cat $DIR/ctr.id)
	[ "$(crictl exec -s $ctr cat /proc/1/cgroup)" = "0::/" ]
	crictl stats -o json $ctr 2>/dev/null | jq -e '.stats[0].memory.workingSetBytes.value | tonumber > 0'
}

@test "a pod that names no cgroup has a slice of its own, and a plain path is refused" {
	jq '.metadata.name="own" | .metadata.uid="u2" | del(.linux.cgroup_parent)' $DIR/pod.json >$DIR/own.json
	pod=$(crictl runp $DIR/own.json)
	[ -d "/sys/fs/cgroup/caisson.slice/caisson-pod$pod.slice/caisson-$pod.scope" ]
	crictl stopp $pod
	crictl rmp $pod
	[ ! -e "/sys/fs/cgroup/caisson.slice/caisson-pod$pod.slice" ]
	[ "$(show "caisson-pod$pod.slice" ActiveState)" = inactive ]
	jq '.metadata.uid="u3" | .linux.cgroup_parent="/kubepods/podu3"' $DIR/pod.json >$DIR/plain.json
	run crictl runp $DIR/plain.json
	[ "$status" -ne 0 ]
	[[ "$output" == *"/kubepods/podu3: not a slice"* ]]
	jq '.metadata.uid="u3" | .linux.cgroup_parent="/b.slice/a-b.slice"' $DIR/pod.json >$DIR/plain.json
	run crictl runp $DIR/plain.json
	[ "$status" -ne 0 ]
	[[ "$output" == *"systemd has this slice at /a.slice/a-b.slice"* ]]
}

@test "stop and remove leave no scope, slice or process" {
	crictl stopp "$(cat $DIR/pod.id)"
	crictl rmp "$(cat $DIR/pod.id)"
	[ -z "$(systemctl list-units --plain --no-legend --all 'caisson-*' 'kubepods*')" ]
	[ ! -e /sys/fs/cgroup/kubepods.slice ]
	! pgrep caisson-shim || false
}
