# Fields of a container's configuration that no other suite looks at: what the process then has, or the refusal.
#
# shellcheck disable=SC2016  # what the shell in the container expands

load ../lib/load

setup_file() {
	suite_start
	need_image busybox:1
	need_image busybox:user
	need_image nginx:1
	export pod IMAGE
	IMAGE=$(image busybox:1)
	pod=$(run_pod fields)
}
teardown_file() { suite_stop; }
setup() { only_ours; }
teardown() {
	local ids
	ids=$(cri ps -aq)
	[ -z "$ids" ] || cri rm -f $ids >/dev/null
}

inside() { cri exec -s "$1" sh -c "$2"; }
refused() { # JQ-FILTER TEXT
	fails create_container "$pod" "$IMAGE" ".metadata.name = \"refused\" | $1" sleep 1000
	has "$output" "$2"
	[ -z "$(cri ps -aq --name refused)" ]
}
words() { tr '\0' ' ' <"/proc/$1/cmdline"; }

@test "command, arguments, directory, environment: the request's, else the image's" {
	ctr=$(run_container "$pod" "$(image nginx:1)" '.metadata.name = "image"')
	pid=$(pid_of "$ctr")
	has "$(words "$pid")" "/usr/sbin/nginx -g daemon off;"
	same "$(readlink "/proc/$pid/cwd")" /srv/www
	# (nginx writes its title over its environment)
	ctr=$(run_container "$pod" "$(image nginx:1)" '.metadata.name = "env" | .envs = [{key: "ADDED", value: "a=b c"}]' /bin/sleep 1000)
	pid=$(pid_of "$ctr")
	same "$(words "$pid")" "/bin/sleep 1000 "
	has "$(tr '\0' '\n' <"/proc/$pid/environ")" FROM_IMAGE=yes
	has "$(tr '\0' '\n' <"/proc/$pid/environ")" "ADDED=a=b c"
	# arguments alone go to the image's entry point; a command takes the place of both
	ctr=$(run_container "$pod" "$(image nginx:1)" '.metadata.name = "args" | .args = ["-g", "daemon off; master_process on;"]')
	has "$(words "$(pid_of "$ctr")")" "/usr/sbin/nginx -g daemon off; master_process on;"
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "command" | .command = ["/bin/sleep"] | .args = ["777"] | .working_dir = "/made/of/nothing"
		| .envs = [{key: "PATH", value: "/bin"}]')
	pid=$(pid_of "$ctr")
	same "$(words "$pid")" "/bin/sleep 777 "
	same "$(readlink "/proc/$pid/cwd")" /made/of/nothing
	same "$(tr '\0' '\n' <"/proc/$pid/environ" | grep ^PATH=)" PATH=/bin
	refused '.envs = [{key: "A=B", value: "x"}]' "A=B"
	refused '.envs = [{key: "", value: "x"}]' "env"
}

@test "stop signal: the image's, or the request's over it; an unknown one is refused" {
	ctr=$(run_container "$pod" "$(image nginx:1)" '.metadata.name = "of-image"')
	cri inspect "$ctr" >"$WORK/inspect"
	same "$(jq -r .status.stopSignal "$WORK/inspect")" SIGQUIT
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "asked" | .stop_signal = 29 | .log_path = "asked.log"' \
		sh -c 'trap "echo usr1; exit 5" USR1; trap "echo term; exit 6" TERM INT; while :; do sleep 0.1; done')
	eventually 5 grep -q "SigCgt:.*[2367abef]..$" "/proc/$(pid_of "$ctr")/status"
	cri stop -t 10 "$ctr"
	same "$(exit_code_of "$ctr")" 5
	has "$(cat "$WORK/logs/fields/asked.log")" usr1
	refused '.stop_signal = 999' "signal"
}

@test "devices: a node, under another path, with its permissions, a directory of them; anything else is refused" {
	ctr=$(run_container "$pod" "$IMAGE" '.devices = [{host_path: "/dev/zero", container_path: "/dev/other", permissions: "r"},
		{host_path: "/dev/fuse", permissions: "rw"}, {host_path: "/dev/net", container_path: "/dev/nets"}]' sleep 1000)
	same "$(inside "$ctr" 'head -c 2 /dev/other | od -An -tx1 | tr -d " \n"')" 0000
	inside "$ctr" 'ls /dev/fuse /dev/nets/tun'
	cri inspect "$ctr" | jq -e '[.info.runtimeSpec.linux.resources.devices[] | select(.major == 10 and .minor == 229)][0].access == "rw"'
	refused '.devices = [{host_path: "/etc/passwd"}]' /etc/passwd
	refused '.devices = [{host_path: "/dev/none-such"}]' /dev/none-such
	refused '.devices = [{host_path: "/dev/zero", permissions: "rx"}]' rx
}

@test "capabilities: ambient ones reach a user without privileges; ALL but some; unknown names are refused" {
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "ambient" | .linux.security_context += {run_as_user: {value: 1000}, capabilities:
		{add_capabilities: ["NET_ADMIN", "NET_BIND_SERVICE"], add_ambient_capabilities: ["NET_BIND_SERVICE"]}}' sleep 1000)
	pid=$(pid_of "$ctr")
	same "$(status_of "$pid" CapAmb)" 0000000000000400
	same "$(status_of "$pid" CapEff)" 0000000000000400
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "all" | .linux.security_context.capabilities = {add_capabilities: ["ALL"], drop_capabilities: ["NET_RAW"]}' sleep 1000)
	caps=$((16#$(status_of "$(pid_of "$ctr")" CapEff)))
	same $((caps >> 13 & 1)) 0
	same $((caps >> 12 & 1)) 1
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "none" | .linux.security_context.capabilities = {drop_capabilities: ["ALL"], add_capabilities: ["CHOWN"]}' sleep 1000)
	same "$(status_of "$(pid_of "$ctr")" CapEff)" 0000000000000001
	fails create_container "$pod" "$IMAGE" '.metadata.name = "x" | .linux.security_context.capabilities.add_capabilities = ["FLY"]' sleep 1
	has "$output" FLY
}

@test "supplemental groups: merged with the image's, or strictly those that were asked for, and the status says them" {
	ctr=$(run_container "$pod" "$(image busybox:user)" '.metadata.name = "merge" | .linux.security_context += {supplemental_groups: [4444]}' sleep 1000)
	pid=$(pid_of "$ctr")
	merged=$(status_of "$pid" Groups | tr ' ' '\n' | grep . | sort -n | paste -sd ' ')
	ctr2=$(run_container "$pod" "$(image busybox:user)" '.metadata.name = "strict" | .linux.security_context += {supplemental_groups: [4444], supplemental_groups_policy: 1}' sleep 1000)
	strict=$(status_of "$(pid_of "$ctr2")" Groups | tr ' ' '\n' | grep . | sort -n | paste -sd ' ')
	echo "merged: $merged; strict: $strict"
	has " $merged " " 4444 "
	has " $strict " " 4444 "
	[ "$(wc -w <<<"$merged")" -gt "$(wc -w <<<"$strict")" ]
	same "$(cri inspect "$ctr2" | jq -r '.status.user.linux.supplementalGroups | map(tonumber) | sort | join(" ")' | tr ' ' '\n' | grep -c .)" "$(wc -w <<<"$strict")"
	same "$(inside "$ctr2" 'id -G' | tr ' ' '\n' | grep . | sort -n | paste -sd ' ')" "$strict"
}

@test "limits: swap beyond memory, huge pages, oom score; unified is of v2; what makes no sense is refused" {
	[ -z "${CAISSON_VM:-}" ] && [ -d /sys/fs/cgroup/memory ] || skip "files of cgroup v1"
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "swap" | .linux.resources = {memory_limit_in_bytes: 67108864, memory_swap_limit_in_bytes: 100663296,
		oom_score_adj: 555, hugepage_limits: [{page_size: "2MB", limit: 4194304}]}' sleep 1000)
	pid=$(pid_of "$ctr")
	same "$(cgroup_value "$pid" memory memory.memsw.limit_in_bytes)" 100663296
	same "$(cat "/proc/$pid/oom_score_adj")" 555
	same "$(cat "/sys/fs/cgroup/unified$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/hugetlb.2MB.max")" 4194304
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "noswap" | .linux.resources = {memory_limit_in_bytes: 67108864}' sleep 1000)
	same "$(cgroup_value "$(pid_of "$ctr")" memory memory.memsw.limit_in_bytes)" 67108864
	cri rm -f $(cri ps -aq) >/dev/null
	refused '.linux.resources = {unified: {"memory.high": "1"}}' memory.high
	refused '.linux.resources = {oom_score_adj: 2000}' "oom_score_adj 2000"
	refused '.linux.resources = {cpu_shares: -5}' cpu_shares
}

@test "a missing directory of the host is named, not made; a relative or doubled path is refused" {
	fails run_container "$pod" "$IMAGE" ".mounts = [{container_path: \"/data\", host_path: \"$WORK/not/there\"}]" sleep 1000
	has "$output" "$WORK/not/there"
	[ ! -e "$WORK/not" ]
	refused '.mounts = [{container_path: "data", host_path: "/tmp"}]' data
	refused '.mounts = [{container_path: "/data", host_path: "/tmp", recursive_read_only: true}]' read
}

@test "a pid namespace of a container that is not there, or of another pod, is refused" {
	other=$(run_pod other)
	ctr=$(run_container "$other" "$IMAGE" '.metadata.name = "foreign"' sleep 1000)
	for target in "$ctr" 0123456789abcdef; do
		fails create_container "$pod" "$IMAGE" ".metadata.name = \"t\" | .linux.security_context.namespace_options = {pid: 3, target_id: \"$target\"}" sleep 1
		has "$output" "$target"
	done
	for network in 1 3; do
		fails run_pod bad ".linux.security_context.namespace_options.network = $network"
		has "$output" network
	done
	cri rmp -f "$other" >/dev/null
}

@test "standard input: empty without a word, open for one after the other with stdin" {
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "closed" | .log_path = "closed.log"' sh -c 'cat; echo "read to the end"')
	wait_exit "$ctr"
	has "$(cat "$WORK/logs/fields/closed.log")" "read to the end"
	ctr=$(run_container "$pod" "$IMAGE" '.metadata.name = "open" | .log_path = "open.log" | .stdin = true' sh -c 'while read -r x; do echo "got $x"; done; echo ended')
	for word in one two; do
		echo $word | timeout 20 nsenter --net="$NODE" "$CRICTL" -c "$WORK/crictl.yaml" attach -i "$ctr" >/dev/null 2>&1 3>&- &
		child=$!
		eventually 10 grep -q "got $word" "$WORK/logs/fields/open.log"
		kill $child 2>/dev/null || true
	done
	is_state "$ctr" CONTAINER_RUNNING
}

@test "attempts are containers of their own; names, labels and annotations come back" {
	ctr=$(run_container "$pod" "$IMAGE" '.metadata = {name: "again", attempt: 0} | .labels = {a: "1"} | .annotations = {"x/y": "a b"}' sh -c 'exit 0')
	wait_exit "$ctr"
	ctr2=$(run_container "$pod" "$IMAGE" '.metadata = {name: "again", attempt: 1}' sleep 1000)
	[ "$ctr" != "$ctr2" ]
	same "$(cri inspect "$ctr" | jq -c '.status | [.metadata.name, .metadata.attempt // 0, .labels, .annotations]')" '["again",0,{"a":"1"},{"x/y":"a b"}]'
	same "$(cri ps -a --name again -o json | jq -c '[.containers[].metadata.attempt // 0] | sort')" '[0,1]'
	same "$(cri ps -aq --label a=1 --no-trunc)" "$ctr"
}

@test "what a handler can do is in Status; an unknown handler is refused" {
	cri info | jq -e '.runtimeHandlers | length >= 1 and all(.features.recursive_read_only_mounts and .features.user_namespaces)'
	cri info | jq -e '.features.supplemental_groups_policy == true'
	file=$(pod_config handler)
	fails cri runp --runtime none-such "$file"
	has "$output" none-such
}
