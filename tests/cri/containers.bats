# What a container gets of what its request asks for: user, namespaces, mounts, limits.

load daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config p '{"dns_config": {"servers": ["10.9.8.7"], "searches": ["a.test", "b.test"], "options": ["ndots:3"]},
		"linux": {"sysctls": {"kernel.shm_rmid_forced": "1", "fs.mqueue.msg_max": "100"}},
		"port_mappings": [{"protocol": 0, "container_port": 80, "host_port": 12000}]}')
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# started NAME JSON [COMMAND]: a running container; prints its id
started() { run_container "$pod" "$pod_json" "$1" "${3:-sleep 1000}" "${2:-}"; }
in_container() { crictl exec -s "$1" /bin/sh -c "$2"; }
ctx() { jq -nc "{linux: {security_context: $1}}"; }

@test "resolv.conf, host name and sysctls are the pod's" {
	id=$(started files)
	[ "$(in_container "$id" 'cat /etc/resolv.conf')" = $'search a.test b.test\nnameserver 10.9.8.7\noptions ndots:3' ]
	[ "$(in_container "$id" hostname)" = p ]
	in_container "$id" 'cat /etc/hosts' | grep -q "$(crictl inspectp "$pod" | jq -r .status.network.ip).*p"
	[ "$(in_container "$id" 'cat /proc/sys/kernel/shm_rmid_forced')" = 1 ]
	[ "$(in_container "$id" 'cat /proc/sys/fs/mqueue/msg_max')" = 100 ]
}

@test "the same pod asked for again is the same pod" {
	[ "$(crictl runp "$pod_json")" = "$pod" ]
}

@test "a port of the node leads to the pod" {
	id=$(started server '{}' 'exec /etc/serve')
	for _ in $(seq 50); do
		page=$(in_net curl -sf --max-time 2 "http://127.0.0.1:12000/") && break
		sleep 0.05
	done
	[[ $page == *"out of a container"* ]]
}

@test "process ids: the pod's, its own, the node's" {
	id=$(started pid-pod)
	[ "$(in_container "$id" 'cat /proc/1/comm')" != sleep ]
	id=$(started pid-own "$(ctx '{namespace_options: {pid: 1}}')")
	[ "$(in_container "$id" 'cat /proc/1/comm')" = sleep ]
	id=$(started pid-node "$(ctx '{namespace_options: {pid: 2}}')")
	in_container "$id" "ps" | grep -q caissond
}

@test "user and groups: by number, by name, and as the status says" {
	id=$(started user "$(ctx '{run_as_user: {value: 1000}, supplemental_groups: [5, 6]}')")
	[[ $(in_container "$id" id) == "uid=1000(web) gid=1000(web) groups="*5*6* ]]
	[ "$(crictl inspect "$id" | jq -c '.status.user.linux | [.uid, .gid] | map(tonumber)')" = "[1000,1000]" ]
	id=$(started name "$(ctx '{run_as_username: "web"}')")
	[ "$(in_container "$id" 'id -u')" = 1000 ]
	id=$(started group "$(ctx '{run_as_user: {value: 1001}, run_as_group: {value: 1002}}')")
	[ "$(in_container "$id" 'echo $(id -u) $(id -g)')" = "1001 1002" ]
	run started alone "$(ctx '{run_as_group: {value: 1002}}')"
	[ "$status" -ne 0 ]
	[[ $output == *run_as_group* ]]
}

@test "capabilities: dropped, added, all" {
	id=$(started drop "$(ctx '{capabilities: {drop_capabilities: ["ALL"]}}')")
	[ "$(in_container "$id" 'grep CapBnd /proc/self/status')" = $'CapBnd:\t0000000000000000' ]
	id=$(started add "$(ctx '{capabilities: {add_capabilities: ["NET_ADMIN"]}}')")
	in_container "$id" 'ip link add d0 type dummy || ip link set lo down && ip link set lo up'
	id=$(started plain)
	run in_container "$id" 'ip link set lo down'
	[ "$status" -ne 0 ]
}

@test "seccomp: the runtime's default filters, unconfined does not, a file's own rules do" {
	id=$(started sec-default "$(ctx '{seccomp: {profile_type: 0}}')")
	[ "$(in_container "$id" 'grep Seccomp: /proc/self/status')" = $'Seccomp:\t2' ]
	id=$(started sec-un "$(ctx '{seccomp: {profile_type: 1}}')")
	[ "$(in_container "$id" 'grep Seccomp: /proc/self/status')" = $'Seccomp:\t0' ]
	jq -n '{defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["chmod", "fchmodat"], action: "SCMP_ACT_ERRNO"}]}' >"$dir/p.json"
	id=$(started sec-file "$(ctx "{seccomp: {profile_type: 2, localhost_ref: \"$dir/p.json\"}}")")
	run in_container "$id" 'busybox chmod 700 /tmp'
	[[ $output == *"Operation not permitted"* ]]
	run started sec-none "$(ctx "{seccomp: {profile_type: 2, localhost_ref: \"$dir/none.json\"}}")"
	[ "$status" -ne 0 ]
	[[ $output == *"$dir/none.json"* ]]
}

@test "read-only root, masked and read-only paths, no new privileges" {
	id=$(started ro "$(ctx '{readonly_rootfs: true}')")
	run in_container "$id" 'echo x >/x'
	[[ $output == *"Read-only file system"* ]]
	id=$(started paths "$(ctx '{masked_paths: ["/etc/serve"], readonly_paths: ["/tmp"], no_new_privs: true}')")
	[ -z "$(in_container "$id" 'cat /etc/serve')" ]
	run in_container "$id" 'echo x >/tmp/x'
	[[ $output == *"Read-only file system"* ]]
	[ "$(in_container "$id" 'grep NoNewPrivs /proc/self/status')" = $'NoNewPrivs:\t1' ]
}

@test "privileged: devices, all capabilities, no masks" {
	id=$(started priv "$(ctx '{privileged: true}')")
	[ -e /dev/kmsg ] && in_container "$id" 'ls /dev/kmsg'
	[ "$(in_container "$id" 'grep CapBnd /proc/self/status')" = "$(grep CapBnd /proc/self/status)" ]
}

@test "mounts: files and directories of the host, links resolved, read-only" {
	mkdir -p "$dir/vol/sub"
	echo data >"$dir/vol/file"
	ln -sfn "$dir/vol" "$dir/link"
	id=$(started mounts "$(jq -nc --arg d "$dir" '{mounts: [
		{host_path: ($d + "/link"), container_path: "/vol"},
		{host_path: ($d + "/vol"), container_path: "/ro", readonly: true},
		{host_path: ($d + "/vol/file"), container_path: "/etc/one"}]}')")
	[ "$(in_container "$id" 'cat /vol/file /etc/one')" = $'data\ndata' ]
	in_container "$id" 'echo new >/vol/new'
	[ "$(cat "$dir/vol/new")" = new ]
	run in_container "$id" 'echo x >/ro/x'
	[[ $output == *"Read-only file system"* ]]
	[ "$(crictl inspect "$id" | jq -c '[.status.mounts[].containerPath]')" = '["/vol","/ro","/etc/one"]' ]
	run started nomount "$(jq -nc --arg d "$dir" '{mounts: [{host_path: ($d + "/nothing"), container_path: "/n"}]}')"
	[ "$status" -ne 0 ]
	[[ $output == *"$dir/nothing"* ]]
}

@test "recursively read-only reaches mounts below" {
	mkdir -p "$dir/rro/sub"
	mount -t tmpfs tmpfs "$dir/rro/sub"
	id=$(started rro "$(jq -nc --arg d "$dir" '{mounts: [
		{host_path: ($d + "/rro"), container_path: "/rro", readonly: true, recursive_read_only: true},
		{host_path: ($d + "/rro"), container_path: "/ro", readonly: true}]}')")
	run in_container "$id" 'echo x >/rro/sub/x'
	umount -l "$dir/rro/sub"
	[[ $output == *"Read-only file system"* ]]
	in_container "$id" 'echo x >/ro/sub/x'
	crictl rm -f "$id"
}

@test "mounts made on the host later come into a container that asked for it" {
	mkdir -p "$dir/prop"
	mount --bind "$dir/prop" "$dir/prop"
	mount --make-shared "$dir/prop"
	id=$(started prop "$(jq -nc --arg d "$dir" '{mounts: [{host_path: ($d + "/prop"), container_path: "/prop", propagation: 1}]}')")
	mkdir -p "$dir/prop/later"
	mount -t tmpfs tmpfs "$dir/prop/later"
	echo x >"$dir/prop/later/x"
	run in_container "$id" 'cat /prop/later/x'
	umount -l "$dir/prop/later"
	crictl rm -f "$id"
	umount -l "$dir/prop"
	[ "$output" = x ]
}

# the file of a cgroup in whichever hierarchy has it
cgroup_file() { # container, file
	local path root
	path=$(crictl inspect "$1" | jq -r .info.cgroupPath)
	for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
		[ -e "$root$path/$2" ] && cat "$root$path/$2" && return
	done
	echo "no $2 in $path" >&2
	return 1
}

@test "limits are in the kernel's files, under the cgroup that was asked for" {
	json=$(pod_config limits "{\"linux\": {\"cgroup_parent\": \"$parent/kubepods/burstable/podx\"}}")
	limited=$(crictl runp "$json")
	id=$(run_container "$limited" "$json" l 'sleep 1000' '{"linux": {"resources": {"cpu_shares": 512, "cpu_period": 100000,
		"cpu_quota": 50000, "memory_limit_in_bytes": 67108864, "oom_score_adj": 500}}}')
	[[ $(crictl inspect "$id" | jq -r .info.cgroupPath) == "$parent/kubepods/burstable/podx/"* ]]
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		[ "$(cgroup_file "$id" cpu.weight)" = $((1 + (512 - 2) * 9999 / 262142)) ]
		[ "$(cgroup_file "$id" cpu.max)" = "50000 100000" ]
		[ "$(cgroup_file "$id" memory.max)" = 67108864 ]
	else
		[ "$(cgroup_file "$id" cpu.shares)" = 512 ]
		[ "$(cgroup_file "$id" cpu.cfs_quota_us)" = 50000 ]
		[ "$(cgroup_file "$id" memory.limit_in_bytes)" = 67108864 ]
	fi
	pid=$(crictl inspect "$id" | jq .info.pid)
	[ "$(cat "/proc/$pid/oom_score_adj")" = 500 ]
	cgroup_file "$id" cgroup.procs | grep -qx "$pid"
	crictl rmp -f "$limited"
}

@test "a pod shares network, IPC and host name, and nothing else" {
	one=$(crictl inspect "$(started ns-one)" | jq .info.pid)
	two=$(crictl inspect "$(started ns-two)" | jq .info.pid)
	pause=$(crictl inspectp "$pod" | jq .info.pid)
	for ns in net ipc uts pid; do
		[ "$(readlink "/proc/$one/ns/$ns")" = "$(readlink "/proc/$pause/ns/$ns")" ]
		[ "$(readlink "/proc/$one/ns/$ns")" = "$(readlink "/proc/$two/ns/$ns")" ]
	done
	for ns in net ipc uts pid mnt; do
		[ "$(readlink "/proc/$one/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
	done
	[ "$(readlink "/proc/$one/ns/mnt")" != "$(readlink "/proc/$two/ns/mnt")" ]
}

@test "over its memory limit: OOMKilled, 137" {
	id=$(started oom '{"linux": {"resources": {"memory_limit_in_bytes": 15728640, "memory_swap_limit_in_bytes": 15728640}}}' \
		'x=aaaaaaaaaaaaaaaaaaaa; while true; do x=$x$x; done')
	wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" reason)" = OOMKilled ]
	[ "$(status_of "$id" exitCode)" = 137 ]
}

@test "an exec over its time ends with everything that it started" {
	id=$(started slow)
	started=$SECONDS
	run crictl exec -s --timeout 1 "$id" /bin/sh -c 'sleep 4321 & sleep 4321'
	[ "$status" -ne 0 ]
	[ $((SECONDS - started)) -le 5 ]
	sleep 0.2
	run pgrep -f '^sleep 4321'
	[ "$status" -ne 0 ]
}

@test "exit codes and reasons" {
	id=$(started ok '{}' 'exit 0')
	wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" reason)" = Completed ]
	id=$(started five '{}' 'exit 5')
	wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" exitCode)" = 5 ]
	[ "$(status_of "$id" reason)" = Error ]
	id=$(crictl create "$pod" "$(container_config nothere x '{"command": ["/no/such/program"]}')" "$pod_json")
	run crictl start "$id"
	[ "$status" -ne 0 ]
	[[ $output == *"/no/such/program"* ]]
	[ "$(status_of "$id" state)" = CONTAINER_EXITED ]
}

@test "a container that ignores its signal is killed after the grace" {
	id=$(started stubborn '{}' 'trap "" TERM; while true; do sleep 0.1; done')
	started=$SECONDS
	crictl stop --timeout 1 "$id"
	[ $((SECONDS - started)) -le 4 ]
	[ "$(status_of "$id" exitCode)" = 137 ]
}

@test "an image that a container stands on may go; the container stays" {
	id=$(started stands)
	crictl rmi "$image"
	[ "$(in_container "$id" 'echo here')" = here ]
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	crictl pull "$image"
}

@test "a pod with the node's network has its host name and addresses" {
	json=$(pod_config host '{"hostname": "", "linux": {"security_context": {"namespace_options": {"network": 2}}}}')
	hostpod=$(crictl runp "$json")
	id=$(run_container "$hostpod" "$json" h 'sleep 1000')
	[ -z "$(crictl inspectp "$hostpod" | jq -r '.status.network.ip // ""')" ]
	[ "$(crictl exec -s "$id" hostname)" = "$(hostname)" ]
	crictl exec -s "$id" ip -o link | grep -q "ct$tag"
	crictl rmp -f "$hostpod"
}

@test "the pod goes with all its containers, and nothing is left" {
	crictl stopp "$pod"
	[ -z "$(crictl ps -q)" ]
	crictl rmp "$pod"
	[ -z "$(crictl ps -aq)" ]
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
