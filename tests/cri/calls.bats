# Every RPC of the schema, once, in the order of a pod's life: what it is asked, and what is in its answer.

load daemon.bash

setup_file() {
	daemon_prepare
	daemon_criu
	registry_start
	daemon_start
	: >"$dir/called"
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# ask METHOD MESSAGE [OPTION…]: the answer as text, and the method is noted
ask() {
	local service method=$1 message=$2 request response
	shift 2
	read -r service request response < <(awk -v m="$method" '
		/^service/ { service = $2 }
		$1 == "rpc" && index($2, m "(") == 1 {
			gsub(/.*\(|\).*/, "", $2); gsub(/.*\(|\).*/, "", $NF); sub(/;$/, "", $NF); sub(/^stream /, "", $NF)
			print service, $2, $NF }' "$repo/schema/cri.proto")
	echo "$method" >>"$dir/called"
	protoc -I "$repo/schema" --encode="runtime.v1.$request" cri.proto <<<"$message" >"$dir/request.$method" || return 3
	"$build/tests/cri-call" "$@" "$socket" "/runtime.v1.$service/$method" <"$dir/request.$method" >"$dir/response.$method" || return 1
	protoc -I "$repo/schema" --decode="runtime.v1.$response" cri.proto <"$dir/response.$method"
}

# call METHOD MESSAGE WANTED [OPTION…]: a regular expression is in the answer, or there is none where none is wanted
call() {
	local answer
	answer=$(ask "$1" "$2" "${@:4}" 2>&1) || { echo "$1: $answer"; return 1; }
	if [ -n "$3" ]; then
		[[ $answer =~ $3 ]] || { echo "$1: no $3 in: $answer"; return 1; }
	else
		[ -z "$answer" ] || { echo "$1: $answer"; return 1; }
	fi
}
stream() { call "$@" -s; }
id_in() { sed -n 's/^[a-z_]*: "\([0-9a-f]\{64\}\)"$/\1/p'; }

@test "each is answered with what it was asked for" {
	call Version 'version: "v1"' 'runtime_name: "caisson".*runtime_api_version: "v1"'
	call Status 'verbose: true' 'type: "RuntimeReady".*status: true'
	call RuntimeConfig '' 'cgroup_driver: (CGROUPFS|SYSTEMD)'
	call UpdateRuntimeConfig 'runtime_config { network_config { pod_cidr: "10.1.0.0/16" } }' ''

	call PullImage "image { image: \"$image\" }" 'image_ref: "sha256:[0-9a-f]{64}"'
	call ImageStatus "image { image: \"$image\" } verbose: true" "repo_tags: \"$image\""
	call ListImages '' "repo_tags: \"$image\""
	stream StreamImages '' "repo_tags: \"$image\""
	call ImageFsInfo '' 'image_filesystems.*used_bytes.*container_filesystems'

	ask GetContainerEvents '' -s -n 3 -t 60000 >"$dir/events" 2>&1 3>&- &
	events=$!
	config="metadata { name: \"all\" uid: \"uid-all\" namespace: \"default\" } hostname: \"all\" log_directory: \"$dir/logs/all\" linux { }"
	mkdir -p "$dir/logs/all"
	pod=$(ask RunPodSandbox "config { $config }" | id_in)
	call PodSandboxStatus "pod_sandbox_id: \"$pod\" verbose: true" "id: \"$pod\".*network.*ip: "
	call ListPodSandbox "filter { id: \"$pod\" }" "id: \"$pod\".*uid: \"uid-all\""
	stream StreamPodSandboxes '' "id: \"$pod\".*uid: \"uid-all\""
	call UpdatePodSandboxResources "pod_sandbox_id: \"$pod\" overhead { cpu_shares: 100 } resources { cpu_shares: 200 }" ''

	id=$(ask CreateContainer "pod_sandbox_id: \"$pod\" sandbox_config { $config } config { metadata { name: \"one\" }
		image { image: \"$image\" } command: \"sleep\" args: \"1000\" log_path: \"one.log\" stdin: true
		linux { security_context { namespace_options { pid: CONTAINER } } } }" | id_in)
	call StartContainer "container_id: \"$id\"" ''
	call ContainerStatus "container_id: \"$id\" verbose: true" "state: CONTAINER_RUNNING.*key: \"info\""
	call ListContainers "filter { id: \"$id\" }" "id: \"$id\".*state: CONTAINER_RUNNING"
	stream StreamContainers '' "id: \"$id\".*state: CONTAINER_RUNNING"
	call UpdateContainerResources "container_id: \"$id\" linux { cpu_shares: 333 }" ''
	call ContainerStatus "container_id: \"$id\"" 'cpu_shares: 333'
	call ReopenContainerLog "container_id: \"$id\"" ''
	call ExecSync "container_id: \"$id\" cmd: \"echo\" cmd: \"said\" timeout: 10" 'stdout: "said'
	call Exec "container_id: \"$id\" cmd: \"true\" stdout: true" 'url: "http://127\.0\.0\.1:[0-9]+/exec/'
	call Attach "container_id: \"$id\" stdin: true stdout: true" 'url: "http://127\.0\.0\.1:[0-9]+/attach/'
	call PortForward "pod_sandbox_id: \"$pod\" port: 80" 'url: "http://127\.0\.0\.1:[0-9]+/portforward/'

	call ContainerStats "container_id: \"$id\"" "id: \"$id\".*usage_core_nano_seconds.*writable_layer"
	call ListContainerStats '' "id: \"$id\".*working_set_bytes"
	stream StreamContainerStats '' "id: \"$id\".*working_set_bytes"
	call PodSandboxStats "pod_sandbox_id: \"$pod\"" "id: \"$pod\".*process_count"
	call ListPodSandboxStats '' "id: \"$pod\".*process_count.*id: \"$id\""
	stream StreamPodSandboxStats '' "id: \"$pod\".*process_count.*id: \"$id\""
	call ListMetricDescriptors '' 'container_cpu_cfs_throttled_seconds_total'
	call ListPodSandboxMetrics '' "pod_sandbox_id: \"$pod\".*container_memory_working_set_bytes"
	stream StreamPodSandboxMetrics '' "pod_sandbox_id: \"$pod\".*container_memory_working_set_bytes"

	# where CRIU is not or cannot, its name is in the error
	if [ -n "$criu" ]; then
		call CheckpointContainer "container_id: \"$id\" location: \"$dir/one.tar\"" ''
		tar -tf "$dir/one.tar" >"$dir/names"
		grep -qx checkpoint/inventory.img "$dir/names"
		call CheckpointPod "pod_sandbox_id: \"$pod\" output_path: \"$dir/all.tar\"" ''
		[ "$(tar -tf "$dir/all.tar" | grep -cx one.tar)" -eq 1 ]
	else
		[[ $(ask CheckpointContainer "container_id: \"$id\" location: \"$dir/one.tar\"" 2>&1) == *criu* ]]
		[[ $(ask CheckpointPod "pod_sandbox_id: \"$pod\" output_path: \"$dir/all.tar\"" 2>&1) == *criu* ]]
	fi

	call StopContainer "container_id: \"$id\" timeout: 0" ''
	call ContainerStatus "container_id: \"$id\"" 'state: CONTAINER_EXITED.*exit_code: 137'
	call RemoveContainer "container_id: \"$id\"" ''
	call ListContainers '' ''
	call StopPodSandbox "pod_sandbox_id: \"$pod\"" ''
	call PodSandboxStatus "pod_sandbox_id: \"$pod\"" 'state: SANDBOX_NOTREADY'
	call RemovePodSandbox "pod_sandbox_id: \"$pod\"" ''
	call ListPodSandbox '' ''
	wait "$events"
	grep -q "container_id: \"$id\"" "$dir/events"

	if [ -n "$criu" ]; then
		pod=$(ask RestorePod "checkpoint_path: \"$dir/all.tar\"" | id_in | head -n 1)
		call ListContainers "filter { pod_sandbox_id: \"$pod\" state { state: CONTAINER_CREATED } }" 'name: "one"'
		call RemovePodSandbox "pod_sandbox_id: \"$pod\"" ''
	else
		[[ $(ask RestorePod "checkpoint_path: \"$dir/all.tar\"" 2>&1) == *"$dir/all.tar"* ]]
	fi
	call RemoveImage "image { image: \"$image\" }" ''
	call ListImages '' ''
}

@test "there is none in the schema that was not called" {
	sed -n 's/^\trpc \([A-Za-z]*\)(.*/\1/p' "$repo/schema/cri.proto" | sort >"$dir/all"
	[ "$(wc -l <"$dir/all")" -eq 43 ]
	diff "$dir/all" <(sort -u "$dir/called")
}

@test "nothing is left" {
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
