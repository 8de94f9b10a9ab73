# RPCs that crictl has no command for, and what a client can do wrong: plain messages.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config rpc)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

@test "the cgroup driver is said, the pod's address range is taken" {
	[[ $(rpc RuntimeConfig) == *"cgroup_driver: CGROUPFS"* ]]
	rpc UpdateRuntimeConfig 'runtime_config { network_config { pod_cidr: "10.1.0.0/16" } }'
}

@test "an RPC that is not there says so by its name" {
	run "$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/NoSuch </dev/null
	[[ $output == UNSUPPORTED:*NoSuch* ]]
	run "$build/tests/cri-call" "$socket" /no.such.Service/Version </dev/null
	[[ $output == UNSUPPORTED:* ]]
}

@test "the log is reopened after a rotation: the new file is there at once and gets the lines" {
	id=$(run_container "$pod" "$pod_json" r 'while true; do echo line; sleep 0.05; done')
	log=$dir/logs/rpc/r.log
	for _ in $(seq 50); do [ -s "$log" ] && break; sleep 0.05; done
	mv "$log" "$log.1"
	rpc ReopenContainerLog "container_id: \"$id\""
	[ -e "$log" ]
	size=$(stat -c %s "$log.1")
	sleep 0.3
	[ -s "$log" ]
	[ "$(stat -c %s "$log.1")" = "$size" ]
	crictl rm -f "$id"
	run rpc ReopenContainerLog 'container_id: "0123456789"'
	[[ $output == NOT_FOUND:*0123456789* ]]
}

@test "stop and remove of unknown ids succeed" {
	for method in StopPodSandbox RemovePodSandbox; do rpc "$method" 'pod_sandbox_id: "0123456789"'; done
	for method in StopContainer RemoveContainer; do rpc "$method" 'container_id: "0123456789"'; done
	rpc RemoveImage 'image { image: "no.such/image:1" }'
}

@test "lists by state, by pod and by label" {
	id=$(run_container "$pod" "$pod_json" listed 'sleep 1000')
	[[ $(rpc ListContainers 'filter { state { state: CONTAINER_RUNNING } }') == *"$id"* ]]
	[ -z "$(rpc ListContainers 'filter { state { state: CONTAINER_CREATED } }')" ]
	[[ $(rpc ListContainers "filter { pod_sandbox_id: \"${pod:0:13}\" label_selector { key: \"container\" value: \"listed\" } }") == *"$id"* ]]
	[ -z "$(rpc ListContainers 'filter { pod_sandbox_id: "nosuch" }')" ]
	[[ $(rpc ListPodSandbox 'filter { state { state: SANDBOX_READY } label_selector { key: "app" value: "rpc" } }') == *"$pod"* ]]
	[ -z "$(rpc ListPodSandbox 'filter { state { state: SANDBOX_NOTREADY } }')" ]
	[[ $(rpc ListContainerStats "filter { label_selector { key: \"container\" value: \"listed\" } }") == *usage_core_nano_seconds* ]]
	sleep 1.1
	[[ $(rpc ContainerStats "container_id: \"$id\"") == *usage_nano_cores* ]]
	[[ $(rpc PodSandboxStats "pod_sandbox_id: \"$pod\"") == *process_count* ]]
	crictl rm -f "$id"
}

@test "what is wrong in a request is named as CRI names it" {
	run rpc RunPodSandbox 'config { metadata { name: "x" uid: "u" } }'
	[ "$output" = "INVALID: config.metadata.namespace: required" ]
	run rpc CreateContainer "pod_sandbox_id: \"$pod\" config { metadata { name: \"x\" } image { image: \"$image\" }
		linux { security_context { run_as_group { value: 5 } } } }"
	[ "$output" = "INVALID: config.linux.security_context.run_as_group: needs run_as_user or run_as_username" ]
	run rpc CreateContainer "pod_sandbox_id: \"$pod\" config { metadata { name: \"x\" } image { image: \"$image\" }
		mounts { container_path: \"/m\" host_path: \"/tmp\" recursive_read_only: true } }"
	[ "$output" = "INVALID: config.mounts[0].recursive_read_only: needs readonly" ]
	run rpc ExecSync "container_id: \"0123456789\""
	[ "$output" = "INVALID: cmd: required" ]
	[ -z "$(crictl ps -aq)" ]
}

@test "bytes that are no message are refused, and the daemon goes on" {
	head -c 3000 /dev/urandom >"$dir/noise"
	run "$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/RunPodSandbox <"$dir/noise"
	[ "$status" -eq 1 ]
	printf '\x0a\xff\xff\xff\xff\x0f' >"$dir/noise"
	run "$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/RunPodSandbox <"$dir/noise"
	[ "$status" -eq 1 ]
	crictl version >/dev/null
}

@test "a message over 16 MiB is refused" {
	head -c 17825792 /dev/zero >"$dir/huge"
	run "$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/Version <"$dir/huge"
	[ "$status" -eq 1 ]
	crictl version >/dev/null
}

@test "a deadline that passes is told, and what was begun is finished for who asks again" {
	run rpc PullImage "image { image: \"$image\" }" "-t 1"
	[[ $output == TIMEOUT:* ]]
	json=$(pod_config late)
	message="config { metadata { name: \"late\" uid: \"uid-late\" namespace: \"default\" } hostname: \"late\"
		log_directory: \"$dir/logs/late\" linux { } }"
	run rpc RunPodSandbox "$message" "-t 5"
	[[ $output == TIMEOUT:* ]]
	# the same request joins the one that runs, or finds its pod: one pod comes of both
	late=$(rpc RunPodSandbox "$message" | sed 's/.*"\(.*\)"/\1/')
	[ "${#late}" -eq 64 ]
	[ "$(crictl pods -q --name late | wc -l)" -eq 1 ]
	crictl rmp -f "$late"
}

@test "a hundred connections at once are served" {
	python3 - "$socket" <<-'PY'
		import socket, sys
		preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
		all = []
		for _ in range(300):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect(sys.argv[1])
		    s.sendall(preface)
		    all.append(s)
		for s in all:
		    s.settimeout(5)
		    assert len(s.recv(9)) > 0
	PY
	crictl version >/dev/null
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
