# What the kernel was really told, read from the kernel: namespaces by inode, cgroup files,
# /proc/<pid>/status, mountinfo. On cgroup v1, v2 and the hybrid alike.

load ../lib/load

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() {
	need_image busybox:1
	IMAGE=$(image busybox:1)
	leak_mark
}
teardown() {
	pods_clear
	! mountpoint -q "$WORK/shared" || umount "$WORK/shared"
	leak_check
}

is_v2() { [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; }

# limit PID: asserts one value by its name in v1 and in v2
limit() { # pid, v1 controller, v1 file, v1 value, v2 file, v2 value
	if is_v2; then
		same "$(cgroup_value "$1" none "$5")" "$6" "$5"
	else
		same "$(cgroup_value "$1" "$2" "$3")" "$4" "$3"
	fi
}

@test "net, ipc and uts are the pod's; mnt and cgroup the container's own" {
	pod=$(run_pod shared)
	one=$(run_container "$pod" "$IMAGE" '.metadata.name="one" | .log_path="one.log"')
	two=$(run_container "$pod" "$IMAGE" '.metadata.name="two" | .log_path="two.log"')
	a=$(pid_of "$one") b=$(pid_of "$two")
	for type in net ipc uts; do
		same "$(ns "$a" $type)" "$(ns "$b" $type)" "$type of the two"
		[ "$(ns "$a" $type)" != "$(ns $$ $type)" ]
	done
	[ "$(ns "$a" mnt)" != "$(ns "$b" mnt)" ]
	# the default is the pod's process namespace: one cannot be told from the other by pid 1
	same "$(ns "$a" pid)" "$(ns "$b" pid)" pid
	same "$(ns "$a" user)" "$(ns $$ user)" user
	pause=$(pid_of_pod "$pod")
	same "$(ns "$pause" net)" "$(ns "$a" net)" "net of the pod and the container"
	same "$(cat "/proc/$pause/root/proc/1/comm" 2>/dev/null || awk '/^NSpid/ {print $NF}' "/proc/$pause/status")" \
		"$(cat "/proc/$pause/comm" 2>/dev/null)" || same "$(awk '/^NSpid/ {print $NF}' "/proc/$pause/status")" 1
}

@test "process namespaces: container's own, the node's, another container's" {
	pod=$(run_pod pids)
	own=$(run_container "$pod" "$IMAGE" '.metadata.name="own" | .linux.security_context.namespace_options.pid=1')
	other=$(run_pod node '.linux.security_context.namespace_options.pid=2')
	node=$(run_container "$other" "$IMAGE" '.metadata.name="node" | .linux.security_context.namespace_options.pid=2')
	a=$(pid_of "$own") b=$(pid_of "$node")
	[ "$(ns "$a" pid)" != "$(ns "$b" pid)" ]
	same "$(awk '/^NSpid/ {print $NF}' "/proc/$a/status")" 1 "pid in its own namespace"
	same "$(ns "$b" pid)" "$(ns $$ pid)" "the node's"
	target=$(run_container "$pod" "$IMAGE" ".metadata.name=\"target\" | .linux.security_context.namespace_options={pid: 3, target_id: \"$own\"}")
	same "$(ns "$(pid_of "$target")" pid)" "$(ns "$a" pid)" "the target's"
}

@test "the node's network and ipc" {
	pod=$(run_pod node '.linux.security_context.namespace_options={network: 2, ipc: 2, pid: 1} | del(.hostname)')
	ctr=$(run_container "$pod" "$IMAGE" '.linux.security_context.namespace_options={network: 2, ipc: 2, pid: 1}')
	pid=$(pid_of "$ctr")
	same "$(ns "$pid" net)" "$(stat -L -c %i "$NODE")" "net"
	same "$(ns "$pid" ipc)" "$(ns $$ ipc)" ipc
	has "$(cri exec -s "$ctr" ip addr)" 192.0.2.1
}

@test "processors and memory: the files of its cgroup, below the parent that was asked for" {
	pod=$(run_pod limits)
	uid=$(cri inspectp "$pod" | jq -r .status.metadata.uid)
	ctr=$(run_container "$pod" "$IMAGE" '.linux.resources={cpu_period: 100000, cpu_quota: 50000, cpu_shares: 512,
		memory_limit_in_bytes: 67108864, cpuset_cpus: "0"}')
	pid=$(pid_of "$ctr")
	dir=$(cgroup_of "$pid" memory)
	has "$dir" "/$TAG/kubepods/burstable/pod$uid/"
	has "$dir" "$ctr"
	limit "$pid" cpu cpu.cfs_quota_us 50000 cpu.max "50000 100000"
	limit "$pid" cpu cpu.shares 512 cpu.weight $((1 + (512 - 2) * 9999 / 262142))
	limit "$pid" memory memory.limit_in_bytes 67108864 memory.max 67108864
	limit "$pid" cpuset cpuset.cpus 0 cpuset.cpus 0
	# really in it, in every hierarchy of ours
	grep -qx "$pid" "$dir/cgroup.procs"
}

@test "a cgroup goes with its container, the parent stays" {
	pod=$(run_pod gone)
	ctr=$(run_container "$pod" "$IMAGE")
	dir=$(cgroup_of "$(pid_of "$ctr")" memory)
	[ -d "$dir" ]
	cri stop -t 0 "$ctr"
	cri rm "$ctr"
	[ ! -d "$dir" ]
	[ -d "$(dirname "$dir")" ]
}

@test "devices: null yes, a disk no" {
	pod=$(run_pod devices)
	ctr=$(run_container "$pod" "$IMAGE" '.linux.security_context.capabilities.add_capabilities=["MKNOD"]')
	cri exec -s "$ctr" sh -c 'echo x >/dev/null && head -c 1 /dev/zero >/dev/null'
	major=$(printf %d "0x$(stat -c %t /dev/vda 2>/dev/null || echo fe)")
	cri exec -s "$ctr" mknod /tmp/disk b "$major" 0
	fails cri exec -s "$ctr" head -c 1 /tmp/disk
	has "$output" "peration not permitted"
}

@test "capabilities, filters and privileges in /proc/PID/status" {
	pod=$(run_pod caps)
	plain=$(pid_of "$(run_container "$pod" "$IMAGE" '.metadata.name="plain"')")
	# Docker's fourteen
	same "$(status_of "$plain" CapBnd)" 00000000a80425fb
	same "$(status_of "$plain" CapEff)" 00000000a80425fb
	same "$(status_of "$plain" CapInh)" 0000000000000000
	same "$(status_of "$plain" CapAmb)" 0000000000000000
	some=$(pid_of "$(run_container "$pod" "$IMAGE" '.metadata.name="some" |
		.linux.security_context.capabilities={drop_capabilities: ["ALL"], add_capabilities: ["NET_BIND_SERVICE"]}')")
	same "$(status_of "$some" CapBnd)" 0000000000000400
	strict=$(pid_of "$(run_container "$pod" "$IMAGE" '.metadata.name="strict" | .linux.security_context={no_new_privs: true,
		run_as_user: {value: 1002}, run_as_group: {value: 50}, supplemental_groups: [4000], seccomp: {profile_type: 0}}')")
	same "$(status_of "$strict" NoNewPrivs)" 1
	same "$(status_of "$strict" Seccomp)" 2
	same "$(status_of "$strict" Uid | awk '{print $1, $2, $3, $4}')" "1002 1002 1002 1002"
	same "$(status_of "$strict" Gid | awk '{print $1, $2, $3, $4}')" "50 50 50 50"
	has " $(status_of "$strict" Groups | tr '\t' ' ') " " 4000 "
	same "$(status_of "$strict" CapEff)" 0000000000000000
}

@test "set-user-ID gives root, but not with no_new_privs" {
	pod=$(run_pod suid)
	free=$(run_container "$pod" "$IMAGE" '.metadata.name="free" | .linux.security_context.run_as_user={value: 1002}')
	same "$(cri exec -s "$free" probe-suid euid)" 0
	strict=$(run_container "$pod" "$IMAGE" '.metadata.name="strict" |
		.linux.security_context={run_as_user: {value: 1002}, no_new_privs: true}')
	same "$(cri exec -s "$strict" probe-suid euid)" 1002
}

@test "its root is an overlay of its own; proc is masked and read-only where it must be" {
	pod=$(run_pod mounts)
	ctr=$(run_container "$pod" "$IMAGE")
	pid=$(pid_of "$ctr")
	root=$(mounts_of "$pid" | awk '$5 == "/"')
	has "$root" overlay
	has "$root" upperdir=
	for path in /proc /sys /dev /dev/pts /dev/shm /dev/mqueue; do
		mounts_of "$pid" | awk -v p=$path '$5 == p { n++ } END { exit n != 1 }' || { echo "$path"; false; }
	done
	for path in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger; do
		[ -e $path ] || continue # not on every kernel
		has "$(mounts_of "$pid" | awk -v p=$path '$5 == p { print $6 }')" ro
	done
	for path in /proc/kcore /proc/keys /proc/timer_list; do
		[ -e $path ] || continue
		same "$(mounts_of "$pid" | awk -v p=$path '$5 == p' | wc -l)" 1 "$path masked"
		same "$(cri exec -s "$ctr" sh -c "wc -c <$path")" 0
	done
	has "$(mounts_of "$pid" | awk '$5 == "/sys" { print $6 }')" ro
	# nothing of the host's tree is left but the files that the pod shares
	lacks "$(mounts_of "$pid" | awk '$5 != "/" && $5 !~ "^/etc/(hosts|hostname|resolv.conf)$|^/dev/shm$"')" "$WORK/"
	# and what it writes is in its own upper layer
	cri exec -s "$ctr" sh -c 'echo hello >/written'
	upper=$(sed 's/.*upperdir=\([^,]*\).*/\1/' <<<"$root")
	[ ! -d "$upper" ] || same "$(cat "$upper/written")" hello
}

@test "a read-only root is one, with /tmp of the request's mount writable" {
	mkdir -p "$WORK/vol"
	pod=$(run_pod readonly)
	ctr=$(run_container "$pod" "$IMAGE" ".linux.security_context.readonly_rootfs=true |
		.mounts=[{container_path: \"/tmp\", host_path: \"$WORK/vol\"}]")
	has "$(mounts_of "$(pid_of "$ctr")" | awk '$5 == "/" { print $6 }')" ro
	fails cri exec -s "$ctr" touch /x
	has "$output" "Read-only file system"
	cri exec -s "$ctr" touch /tmp/x
	[ -e "$WORK/vol/x" ]
}

@test "propagation: private, from the host, both ways" {
	mkdir -p "$WORK/shared"
	mount -t tmpfs tmpfs "$WORK/shared"
	mount --make-shared "$WORK/shared"
	pod=$(run_pod propagation '.linux.security_context.privileged=true')
	for p in 0 1 2; do
		ctr=$(run_container "$pod" "$IMAGE" ".metadata.name=\"p$p\" | .log_path=\"p$p.log\" |
			.linux.security_context.privileged=true |
			.mounts=[{container_path: \"/v\", host_path: \"$WORK/shared\", propagation: $p}]")
		tags=$(mounts_of "$(pid_of "$ctr")" | awk '$5 == "/v" { for (i = 7; $i != "-"; i++) printf "%s ", $i }')
		case $p in
		0) lacks "$tags" shared: && lacks "$tags" master: ;;
		1) lacks "$tags" shared: && has "$tags" master: ;;
		2) has "$tags" shared: ;;
		esac
	done
}

@test "over its memory limit: killed, seen, said" {
	pod=$(run_pod oom)
	ctr=$(run_container "$pod" "$IMAGE" '.linux.resources={memory_limit_in_bytes: 20971520, memory_swap_limit_in_bytes: 20971520}' probe eat 100)
	wait_exit "$ctr"
	same "$(exit_code_of "$ctr")" 137
	same "$(reason_of "$ctr")" OOMKilled
}

@test "exit codes, and the grace before SIGKILL" {
	pod=$(run_pod ends)
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name="code"' probe exit 42)
	wait_exit "$ctr"
	same "$(exit_code_of "$ctr")" 42
	same "$(reason_of "$ctr")" Error
	polite=$(run_container "$pod" "$IMAGE" '.metadata.name="polite" | .log_path="polite.log"' probe term 3)
	eventually 5 grep -q ready "$WORK/logs/ends/polite.log"
	cri stop -t 20 "$polite"
	same "$(exit_code_of "$polite")" 3
	has "$(cat "$WORK/logs/ends/polite.log")" "got signal 15"
	deaf=$(run_container "$pod" "$IMAGE" '.metadata.name="deaf" | .log_path="deaf.log"' probe hold)
	eventually 5 grep -q holding "$WORK/logs/ends/deaf.log"
	started=$(date +%s%N)
	cri stop -t 1 "$deaf"
	took=$((($(date +%s%N) - started) / 1000000))
	[ $took -ge 900 ]
	[ $took -lt 8000 ]
	same "$(exit_code_of "$deaf")" 137
}

@test "what it forked goes with it" {
	pod=$(run_pod orphans)
	ctr=$(run_container "$pod" "$IMAGE" . probe orphan)
	dir=$(cgroup_of "$(pid_of "$ctr")" memory)
	eventually 5 bash -c "[ \$(wc -l <$dir/cgroup.procs) -ge 2 ]"
	pids=$(cat "$dir/cgroup.procs")
	cri stop -t 0 "$ctr"
	for pid in $pids; do
		# a peer's sandbox process may not reap what is not its own
		ours || [ "$(awk '/^State/ {print $2}' "/proc/$pid/status")" != Z ] || continue
		eventually 3 test ! -d "/proc/$pid"
	done
}

@test "sysctls are the pod's own" {
	before=$(in_node cat /proc/sys/net/ipv4/ip_local_port_range)
	pod=$(run_pod sysctls '.linux.sysctls={"net.ipv4.ip_local_port_range": "20000 30000", "kernel.shm_rmid_forced": "1"}')
	ctr=$(run_container "$pod" "$IMAGE")
	same "$(cri exec -s "$ctr" cat /proc/sys/net/ipv4/ip_local_port_range | tr -s '\t' ' ')" "20000 30000"
	same "$(cri exec -s "$ctr" cat /proc/sys/kernel/shm_rmid_forced)" 1
	same "$(in_node cat /proc/sys/net/ipv4/ip_local_port_range)" "$before"
}

@test "a binary or a mount source that is not there: named, and nothing left half made" {
	pod=$(run_pod wrong)
	fails run_container "$pod" "$IMAGE" '.metadata.name="nobin"' /no/such/binary
	has "$output" /no/such/binary
	# others make a directory of that name on the node, so that a typing error becomes an empty volume
	if ours; then
		fails run_container "$pod" "$IMAGE" '.metadata.name="nosrc" |
			.mounts=[{container_path: "/v", host_path: "/no/such/source", readonly: true}]'
		has "$output" /no/such/source
		[ ! -e /no/such ]
	fi
	# the pod goes on
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name="good"')
	same "$(state_of "$ctr")" CONTAINER_RUNNING
}
