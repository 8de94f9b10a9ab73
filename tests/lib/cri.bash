# Configurations of pods and containers, and what became of them in the kernel.
#
#   pod=$(run_pod NAME [JQ-FILTER])                     filter edits the pod's configuration
#   ctr=$(create_container POD IMAGE [JQ-FILTER] [COMMAND…])
#   ctr=$(run_container …)                              the same, started
#   pid=$(pid_of CTR), pause=$(pid_of_pod POD), ip=$(ip_of POD)
#   ns PID net                                          inode of a namespace
#   cgroup_of PID memory                                path of its directory below /sys/fs/cgroup
#   cgroup_value PID memory memory.limit_in_bytes       content of one file there
#   status_of PID CapEff                                a line of /proc/PID/status
#
# shellcheck shell=bash

pod_config() { # NAME [JQ-FILTER]
	local name=$1 filter=${2:-.} uid
	uid=$(cat /proc/sys/kernel/random/uuid)
	mkdir -p "$WORK/logs/$name"
	jq -n --arg name "$name" --arg uid "$uid" --arg logs "$WORK/logs/$name" \
		--arg parent "/$TAG/kubepods/burstable/pod$uid" '{
		metadata: {name: $name, namespace: "default", uid: $uid, attempt: 0},
		hostname: $name, log_directory: $logs,
		dns_config: {servers: ["192.0.2.53"], searches: ["example.test"], options: ["ndots:2"]},
		labels: {app: $name}, annotations: {note: "a test"},
		linux: {cgroup_parent: $parent}
	}' | jq "$filter" >"$WORK/pod-$name.json"
	echo "$WORK/pod-$name.json"
}

run_pod() {
	local file id
	file=$(pod_config "$@") || return 1
	id=$(cri runp "$file") || return 1
	ln -sf "$file" "$WORK/pod-of-$id.json"
	echo "$id"
}

container_config() { # IMAGE FILTER COMMAND…
	local image=$1 filter=${2:-.}
	shift $(($# < 2 ? $# : 2))
	jq -n --arg image "$image" '{
		metadata: {name: "main", attempt: 0}, image: {image: $image}, log_path: "main.log",
		# as the kubelet sends them
		linux: {security_context: {
			masked_paths: ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"],
			readonly_paths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]}}
	} | if $ARGS.positional != [] then .command = $ARGS.positional else . end' --args -- "$@" | jq "$filter"
}

create_container() { # POD IMAGE [FILTER] [COMMAND…]
	local pod=$1 file r
	shift
	file=$(mktemp "$WORK/container.XXXXXX")
	container_config "$@" >"$file" || return 1
	cri create "$pod" "$file" "$WORK/pod-of-$pod.json"
	r=$?
	rm -f "$file"
	return $r
}

run_container() {
	local id
	id=$(create_container "$@") || { echo "$id"; return 1; }
	cri start "$id" >/dev/null || return 1
	echo "$id"
}

image() { echo "$REGISTRY/$1"; }

# The image in the store, pulled if it is not.
need_image() { # NAME:TAG
	cri inspecti -q "$REGISTRY/$1" >/dev/null 2>&1 || cri pull "$REGISTRY/$1" >/dev/null
}

pid_of() { cri inspect "$1" | jq -r .info.pid; }
pid_of_pod() { cri inspectp "$1" | jq -r .info.pid; }
ip_of() { cri inspectp "$1" | jq -r .status.network.ip; }
state_of() { cri inspect "$1" | jq -r .status.state; }
exit_code_of() { cri inspect "$1" | jq -r .status.exitCode; }
reason_of() { cri inspect "$1" | jq -r .status.reason; }
is_state() { [ "$(state_of "$1")" = "$2" ]; }
wait_exit() { eventually "${2:-10}" is_state "$1" CONTAINER_EXITED; }

ns() { stat -L -c %i "/proc/$1/ns/$2"; }

cgroup_of() { # PID CONTROLLER
	local line
	line=$(grep -E "^[0-9]+:([^:]*,)?$2(,[^:]*)?:" "/proc/$1/cgroup" | head -n 1)
	if [ -n "$line" ]; then
		echo "/sys/fs/cgroup/$2${line#*:*:}"
	else
		line=$(grep '^0::' "/proc/$1/cgroup")
		echo "/sys/fs/cgroup${line#0::}"
	fi
}

cgroup_value() { cat "$(cgroup_of "$1" "$2")/$3"; }

status_of() { awk -v key="$2:" '$1 == key { $1 = ""; print substr($0, 2) }' "/proc/$1/status"; }

# in_container PID COMMAND…: a command of the host's in the network namespace of a process.
in_net_of() {
	local pid=$1
	shift
	nsenter --net="/proc/$pid/ns/net" "$@"
}

mounts_of() { cat "/proc/$1/mountinfo"; }

log_file() { echo "$WORK/logs/$1/main.log"; }
