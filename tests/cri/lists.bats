# The Stream* lists say what the lists say, in pages, as fast as the client reads.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config lists)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# create_many N ANNOTATION-BYTES: containers without a process; CreateContainer by plain messages
create_many() {
	local n filler
	filler=$(head -c "$2" /dev/zero | tr '\0' 'x')
	for n in $(seq "$1"); do
		cat >"$dir/message" <<-MESSAGE
			pod_sandbox_id: "$pod" config { metadata { name: "m$n" } image { image: "$image" } log_path: "m$n.log"
			labels { key: "parity" value: "$((n % 2))" } annotations { key: "filler" value: "$filler" }
			linux { } }
		MESSAGE
		protoc -I "$repo/schema" --encode=runtime.v1.CreateContainerRequest cri.proto <"$dir/message" >"$dir/request"
		"$build/tests/cri-call" "$socket" /runtime.v1.RuntimeService/CreateContainer <"$dir/request" >/dev/null
	done
}

# same LIST STREAM LIST-FIELD STREAM-FIELD [MESSAGE]: both give the same elements, in the same order
same() {
	rpc "$1" "${5:-}" | sed "s/^$3 {/$4 {/" >"$dir/list"
	rpc_stream "$2" "${5:-}" >"$dir/stream"
	[ -s "$dir/list" ] || { echo "$1 is empty"; return 1; }
	diff "$dir/list" "$dir/stream"
}

@test "containers, pods and images: a stream has what the list has, with filters too" {
	create_many 20 10
	same ListContainers StreamContainers containers containers
	same ListContainers StreamContainers containers containers 'filter { label_selector { key: "parity" value: "1" } }'
	[ "$(grep -c '^containers' "$dir/stream")" -eq 10 ]
	same ListPodSandbox StreamPodSandboxes items pod_sandboxes
	same ListPodSandbox StreamPodSandboxes items pod_sandboxes "filter { id: \"${pod:0:10}\" }"
	same ListImages StreamImages images images
	same ListImages StreamImages images images "filter { image { image: \"$image\" } }"
	[ -z "$(rpc_stream StreamContainers 'filter { id: "ffff" }')" ]
	[ -z "$(rpc_stream StreamImages 'filter { image { image: "no.such/image:1" } }')" ]
	[ -z "$(rpc_stream StreamPodSandboxes 'filter { state { state: SANDBOX_NOTREADY } }')" ]
}

@test "rows that are kept say what fresh ones say, whatever happens to what they are of" {
	local by_id running exited pod2 image_id
	image_id=$(crictl inspecti -o json "$image" | jq -r .status.id)
	by_id=$(crictl create "$pod" "$(container_config by-id 'sleep 1000' "{\"image\": {\"image\": \"$image_id\"}}")" "$pod_json")
	named() { rpc ListContainers "filter { id: \"$by_id\" }" | sed -n '/^  image {/,/}/s/^    image: //p'; }
	caisson() { "$build/src/prog/caisson/caisson" --address "$socket" "$@"; }
	[ "$(named)" = "\"$image\"" ]
	caisson tag "$image" 0.test/first:1
	[ "$(named)" = '"0.test/first:1"' ]
	caisson rmi 0.test/first:1
	[ "$(named)" = "\"$image\"" ]
	state() { rpc ListContainers "filter { id: \"$by_id\" }" | sed -n 's/^  state: //p'; }
	[ "$(state)" = "" ] # CREATED is 0
	crictl start "$by_id"
	[ "$(state)" = CONTAINER_RUNNING ]
	exited=$(run_container "$pod" "$pod_json" exited 'exit 3')
	wait_state "$exited" CONTAINER_EXITED
	pod2=$(crictl runp "$(pod_config second)")
	rpc ListPodSandbox "filter { id: \"$pod2\" }" >"$dir/ready"
	! grep -q SANDBOX_NOTREADY "$dir/ready"
	crictl stopp "$pod2"
	rpc ListPodSandbox "filter { id: \"$pod2\" }" | grep -q SANDBOX_NOTREADY
	rpc ListContainers >"$dir/kept"
	rpc ListPodSandbox >>"$dir/kept"
	daemon_kill
	daemon_start # keeps nothing of the other's
	rpc ListContainers >"$dir/fresh"
	rpc ListPodSandbox >>"$dir/fresh"
	[ "$(grep -c '^containers' "$dir/kept")" -ge 2 ]
	diff "$dir/kept" "$dir/fresh"
	crictl rmp -f "$pod2"
	crictl rm -f "$by_id" "$exited"
	[ -z "$(rpc ListContainers "filter { id: \"$by_id\" }")" ]
}

@test "stats of containers and pods, streamed" {
	id=$(run_container "$pod" "$pod_json" running 'sleep 1000')
	stats=$(rpc_stream StreamContainerStats)
	[ "$(grep -c '^container_stats' <<<"$stats")" -eq 21 ]
	[[ $stats == *"$id"*usage_core_nano_seconds* ]]
	stats=$(rpc_stream StreamContainerStats "filter { id: \"$id\" }")
	[ "$(grep -c '^container_stats' <<<"$stats")" -eq 1 ]
	stats=$(rpc_stream StreamPodSandboxStats)
	[ "$(grep -c '^pod_sandbox_stats' <<<"$stats")" -eq 1 ]
	[[ $stats == *"$pod"*process_count* ]]
	crictl rm -f "$id"
}

@test "a list longer than a message may be comes in pages; the plain list is refused with a reason" {
	create_many 200 100000
	run rpc ListContainers
	[ "$status" -eq 1 ]
	[[ $output == LIMIT:*larger\ than* ]] || { echo "$output" | cut -c1-300; false; }
	rpc_stream StreamContainers >"$dir/stream"
	[ "$(grep -c '^containers' "$dir/stream")" -eq 200 ]
	before=$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon_pid)/status")
	# many clients that do not read cost a page each, and nobody waits for them
	: >"$dir/empty"
	for n in $(seq 20); do
		"$build/tests/cri-call" -s -w 3 "$socket" /runtime.v1.RuntimeService/StreamContainers <"$dir/empty" \
			>"$dir/slow-$n" 2>"$dir/slow-err-$n" 3>&- &
	done
	sleep 0.5
	start=$(date +%s%N)
	crictl version >/dev/null
	[ $((($(date +%s%N) - start) / 1000000)) -lt 1500 ]
	wait
	for n in $(seq 20); do
		cmp "$dir/response" "$dir/slow-$n"
	done
	after=$(awk '/^VmHWM/ { print $2 }' "/proc/$(daemon_pid)/status")
	echo "peak of the daemon: $before, then $after KiB"
	[[ $build == *san* ]] || [ $((after - before)) -lt 65536 ]
}

@test "a client that leaves in the middle ends its stream" {
	: >"$dir/empty"
	for n in $(seq 10); do
		"$build/tests/cri-call" -s -n 1 "$socket" /runtime.v1.RuntimeService/StreamContainers <"$dir/empty" >/dev/null
		"$build/tests/cri-call" -s -n 1 "$socket" /runtime.v1.RuntimeService/StreamContainerStats <"$dir/empty" >/dev/null
	done
	run "$build/tests/cri-call" -s -t 20 "$socket" /runtime.v1.RuntimeService/StreamContainerStats <"$dir/empty"
	crictl version >/dev/null
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
