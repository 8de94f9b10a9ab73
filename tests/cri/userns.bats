#!/usr/bin/env bats
#
# Pods with a user namespace of their own (in Kubernetes: hostUsers: false), looked at from inside
# and from the host.
#
# shellcheck disable=SC2016  # what the shell in the container expands

load ../lib/load

HOST_ID=200000

setup_file() { suite_start; }
teardown_file() { suite_stop; }
setup() {
	only_ours
	leak_mark
	need_image busybox:1
}
teardown() {
	pods_clear
	leak_check
}

mapped() { # [LENGTH]
	echo '.linux.security_context.namespace_options.userns_options =
		(["uids", "gids"] | map({(.): [{container_id: 0, host_id: '$HOST_ID', length: '"${1:-65536}"'}]}) | add + {mode: 0})'
}

inside() { # CONTAINER COMMAND…
	local ctr=$1
	shift
	cri exec -s "$ctr" "$@"
}

written() { # CONTAINER BYTES
	[ "$(cri stats -o json "$1" | jq -r '.stats[0].writableLayer.usedBytes.value')" -ge "$2" ]
}

# the same with the container's own request, as the kubelet sends it
run_mapped() { # POD [FILTER] COMMAND…
	local pod=$1 filter=${2:-.}
	shift 2
	run_container "$pod" "$(image busybox:1)" "$(mapped) | $filter" "$@"
}

@test "root inside is nobody's root outside, in every namespace of the pod" {
	pod=$(run_pod p "$(mapped)")
	a=$(run_mapped "$pod" . sleep 1000)
	b=$(run_mapped "$pod" '.metadata.name = "second"' sleep 1000)
	pid=$(pid_of "$a")
	has "$(status_of "$pid" Uid)" "$HOST_ID $HOST_ID"
	has "$(status_of "$pid" Gid)" "$HOST_ID $HOST_ID"
	same "$(awk '{print $1, $2, $3}' "/proc/$pid/uid_map")" "0 $HOST_ID 65536"
	same "$(awk '{print $1, $2, $3}' "/proc/$pid/gid_map")" "0 $HOST_ID 65536"
	same "$(inside "$a" id -u)" 0
	# one namespace for the pod: pause, both containers, what is executed in them
	same "$(ns "$pid" user)" "$(ns "$(pid_of "$b")" user)"
	same "$(ns "$pid" user)" "$(ns "$(pid_of_pod "$pod")" user)"
	has "$(inside "$b" readlink /proc/self/ns/user)" "$(ns "$pid" user)"
	[ "$(ns "$pid" user)" != "$(ns self user)" ]
	# pause is not root inside either
	has "$(status_of "$(pid_of_pod "$pod")" Uid)" "$((HOST_ID + 65535))"
	same "$(cri inspectp "$pod" | jq -c '.status.linux.namespaces.options.usernsOptions.uids[0] |
		[.containerId // 0, .hostId, .length]')" "[0,$HOST_ID,65536]"
}

@test "the pod's root rules over its network, its names and its IPC, and over nothing else" {
	pod=$(run_pod p "$(mapped)")
	ctr=$(run_mapped "$pod" '.linux.security_context.capabilities.add_capabilities = ["NET_ADMIN", "SYS_ADMIN"]' sleep 1000)
	inside "$ctr" brctl addbr mine
	has "$(in_net_of "$(pid_of "$ctr")" ip link show mine)" mine
	inside "$ctr" hostname renamed
	same "$(inside "$ctr" hostname)" renamed
	fails inside "$ctr" mknod /tmp/disk b 8 0
	fails inside "$ctr" sh -c 'echo 1 >/proc/sys/kernel/panic'
	# devices are the host's, as everywhere
	inside "$ctr" sh -c 'echo x >/dev/null && head -c 1 /dev/zero >/tmp/zero && head -c 4 /dev/urandom >/tmp/random'
}

@test "the image's files keep their owners inside; what is written belongs to the mapped ids" {
	pod=$(run_pod p "$(mapped)")
	ctr=$(run_mapped "$pod" . sleep 1000)
	same "$(inside "$ctr" stat -c '%u:%g' /bin/busybox)" 0:0
	same "$(inside "$ctr" stat -c '%u:%g %a' /home/app)" '1002:1002 700'
	same "$(inside "$ctr" stat -c '%u %a' /)" '0 755'
	inside "$ctr" sh -c 'echo new >/etc/new && chown 1002:1002 /etc/new && echo more >>/etc/passwd'
	upper=$(ls -d "$ROOT/snapshots/$ctr"*/upper)
	same "$(stat -c '%u:%g' "$upper/etc/new")" "$((HOST_ID + 1002)):$((HOST_ID + 1002))"
	# copied up from a layer that belongs to the host's root
	same "$(stat -c '%u:%g' "$upper/etc/passwd")" "$HOST_ID:$HOST_ID"
	has "$(inside "$ctr" tail -n 1 /etc/passwd)" more
	# the layer is shared with pods that have no such namespace, and untouched
	plain=$(run_container "$(run_pod plain)" "$(image busybox:1)" . sleep 1000)
	same "$(inside "$plain" stat -c '%u:%g' /home/app)" 1002:1002
	lacks "$(inside "$plain" cat /etc/passwd)" more
}

@test "resolv.conf, hosts, hostname and /dev/shm are the pod's root's" {
	pod=$(run_pod p "$(mapped)")
	ctr=$(run_mapped "$pod" . sleep 1000)
	for file in /etc/resolv.conf /etc/hosts /etc/hostname; do
		same "$(inside "$ctr" stat -c '%u:%g %a' $file)" '0:0 644' $file
		inside "$ctr" sh -c "echo '# mine' >>$file"
	done
	has "$(inside "$ctr" cat /etc/resolv.conf)" "nameserver 192.0.2.53"
	has "$(inside "$ctr" cat /etc/hosts)" "$(ip_of "$pod")"
	same "$(inside "$ctr" stat -c '%u:%g %a' /dev/shm)" '0:0 1777'
	inside "$ctr" sh -c 'echo x >/dev/shm/x'
	same "$(stat -c %u "$STATE/pods/$pod/shm/x")" $HOST_ID
	second=$(run_mapped "$pod" '.metadata.name = "second"' sleep 1000)
	same "$(inside "$second" cat /dev/shm/x)" x
}

@test "volumes: idmapped ones have the owners that they have on the host, others are nobody's" {
	mkdir "$WORK/volume"
	echo roots >"$WORK/volume/file"
	chmod 600 "$WORK/volume/file"
	install -o 1002 -g 1002 -m 600 /dev/null "$WORK/volume/app"
	pod=$(run_pod p "$(mapped)")
	map='[{container_id: 0, host_id: '$HOST_ID', length: 65536}]'
	ctr=$(run_mapped "$pod" '.mounts = [
		{host_path: "'"$WORK/volume"'", container_path: "/mapped", uidMappings: '"$map"', gidMappings: '"$map"'},
		{host_path: "'"$WORK/volume"'", container_path: "/plain"}]' sleep 1000)
	same "$(inside "$ctr" stat -c '%u:%g' /mapped/file)" 0:0
	same "$(inside "$ctr" stat -c '%u:%g' /mapped/app)" 1002:1002
	same "$(inside "$ctr" cat /mapped/file)" roots
	inside "$ctr" sh -c 'echo new >/mapped/new && chown 1002 /mapped/new'
	same "$(stat -c '%u:%g' "$WORK/volume/new")" 1002:0
	same "$(inside "$ctr" stat -c '%u:%g' /plain/file)" 65534:65534
	fails inside "$ctr" cat /plain/file
	rm -rf "$WORK/volume"
}

@test "an image as a volume is idmapped too" {
	pod=$(run_pod p "$(mapped)")
	ctr=$(run_mapped "$pod" '.mounts = [{container_path: "/image", readonly: true, image: {image: "'"$(image busybox:1)"'"},
		image_sub_path: "home"}]' sleep 1000)
	same "$(inside "$ctr" stat -c '%u:%g %a' /image/app)" '1002:1002 700'
	fails inside "$ctr" touch /image/x
	has "$output" "Read-only file system"
}

@test "any user of the image may write to its own standard streams" {
	pod=$(run_pod p "$(mapped)")
	ctr=$(run_mapped "$pod" '.linux.security_context.run_as_user = {value: 1002}' \
		sh -c 'echo out >/dev/stdout; echo err >/dev/stderr; id -u')
	wait_exit "$ctr"
	same "$(exit_code_of "$ctr")" 0
	log=$(cat "$(log_file p)")
	has "$log" 'stdout F out'
	has "$log" 'stderr F err'
	has "$log" 'stdout F 1002'
}

@test "a web server serves, statistics count, logs and exec work, also after the daemon was killed" {
	need_image nginx:1
	pod=$(run_pod p "$(mapped)")
	web=$(run_container "$pod" "$(image nginx:1)" "$(mapped)")
	eventually 10 fetch "http://$(ip_of "$pod")/"
	has "$(fetch "http://$(ip_of "$pod")/")" "caisson test page"
	cpu=$(cri stats -o json "$web" | jq -r '.stats[0].cpu.usageCoreNanoSeconds.value')
	[ "$cpu" -gt 0 ]
	inside "$web" sh -c 'head -c 3000000 /dev/zero >/tmp/big'
	eventually 20 written "$web" 3000000
	daemon_kill
	daemon_run
	is_state "$web" CONTAINER_RUNNING
	same "$(inside "$web" awk '{print $2}' /proc/self/uid_map)" $HOST_ID
	has "$(fetch "http://$(ip_of "$pod")/")" "caisson test page"
	cri stop --timeout 10 "$web" >/dev/null
	same "$(exit_code_of "$web")" 0
	# (the mounts of a pod are found again, and go with it)
	cri stopp "$pod" >/dev/null
	lacks "$(cat /proc/self/mountinfo)" "$STATE/pods/$pod"
}

@test "sysctls, a mode of its own for pid, and the host's network" {
	pod=$(run_pod p "$(mapped) | .linux.sysctls = {\"net.ipv4.ip_forward\": \"1\", \"kernel.shm_rmid_forced\": \"1\"}")
	ctr=$(run_mapped "$pod" '.linux.security_context.namespace_options.pid = 1' \
		sh -c 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced; exec sleep 1000')
	eventually 5 grep -q 'F 1$' "$(log_file p)"
	same "$(grep -c 'stdout F 1$' "$(log_file p)")" 2
	same "$(inside "$ctr" cat /proc/1/comm)" sleep
	host=$(run_pod h "$(mapped) | .linux.security_context.namespace_options.network = 2")
	ctr=$(run_mapped "$host" '.linux.security_context.namespace_options.network = 2' sleep 1000)
	same "$(ns "$(pid_of "$ctr")" net)" "$(stat -L -c %i "$NODE")"
	same "$(status_of "$(pid_of "$ctr")" Uid | awk '{print $1}')" $HOST_ID
	has "$(inside "$ctr" ip link show host0)" host0
	fails inside "$ctr" ip link set host0 down
}

@test "what cannot be is refused, by name" {
	refused() { # POD-FILTER ERROR
		fails run_pod refused "$1"
		has "$output" "$2"
	}
	options='.linux.security_context.namespace_options'
	two='{container_id: 0, host_id: 1000, length: 10}, {container_id: 10, host_id: 2000, length: 10}'
	refused "$options.userns_options = {mode: 0, uids: [$two], gids: [$two]}" "exactly one mapping"
	one='{container_id: 1, host_id: 1000, length: 10}'
	refused "$options.userns_options = {mode: 0, uids: [$one], gids: [$one]}" "must map container id 0"
	wraps='{container_id: 0, host_id: 4294967290, length: 10}'
	refused "$options.userns_options = {mode: 0, uids: [$wraps], gids: [$wraps]}" "are no range"
	refused "$options.userns_options = {mode: 1}" "only POD and NODE"
	refused "$options.userns_options = {mode: 3}" "only POD and NODE"
	refused "$(mapped) | $options.pid = 2" "the host's pid namespace"
	refused "$(mapped) | $options.ipc = 2" "the host's ipc namespace"

	pod=$(run_pod p "$(mapped 1000)")
	fails run_container "$pod" "$(image busybox:1)" '.linux.security_context.run_as_user = {value: 1000}' id
	has "$output" "user 1000 has no mapping in the pod's user namespace of 1000 ids"
	fails run_container "$pod" "$(image busybox:1)" '.linux.security_context.supplemental_groups = [5000]' id
	has "$output" "supplemental group 5000 has no mapping"
	fails run_container "$pod" "$(image busybox:1)" "$(mapped 2000)" id
	has "$output" "not those of the pod"
	plain=$(run_pod plain)
	fails run_container "$plain" "$(image busybox:1)" "$(mapped)" id
	has "$output" "not those of the pod"
	# and small maps are enough for what fits
	ctr=$(run_container "$pod" "$(image busybox:1)" '.linux.security_context.run_as_user = {value: 999}' sleep 1000)
	same "$(status_of "$(pid_of "$ctr")" Uid | awk '{print $1}')" $((HOST_ID + 999))
}

@test "twenty pods, twenty ranges, and nothing of them stays" {
	pods=()
	for i in $(seq 20); do
		HOST_ID=$((200000 + i * 65536))
		pod=$(run_pod "p$i" "$(mapped)")
		ctr=$(run_mapped "$pod" . sleep 1000)
		same "$(status_of "$(pid_of "$ctr")" Uid | awk '{print $1}')" $HOST_ID
		pods+=("$pod")
	done
	cri rmp -f "${pods[@]}" >/dev/null
	lacks "$(cat /proc/self/mountinfo)" "$STATE/pods/"
}
