# Container events: in the order of the changes, never before the lists, never lost in silence.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

setup() { subscribers=(); }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	[ ${#subscribers[@]} -eq 0 ] || kill "${subscribers[@]}" 2>/dev/null || true
}

# subscribe NAME: lines of cri-events into $dir/NAME
subscribe() {
	"$build/tests/cri-events" "$socket" >"$dir/$1" 2>&1 3>&- &
	subscribers+=($!)
	sleep 0.3
}

# wait_line FILE PATTERN
wait_line() {
	for _ in $(seq 200); do grep -qE -- "$2" "$dir/$1" && return 0; sleep 0.05; done
	echo "no $2 in:" && cat "$dir/$1"
	return 1
}

# the events of one container or pod: "CREATED STARTED …"
sequence() { awk -v id="$2" '$2 == id { printf "%s%s", sep, $1; sep = " " } END { print "" }' "$dir/$1"; }

@test "the life of a pod and its containers, in order, with the statuses of the moment" {
	subscribe one
	subscribe two
	json=$(pod_config life)
	pod=$(crictl runp "$json")
	ctr=$(run_container "$pod" "$json" short 'exit 3')
	wait_line one "^STOPPED $ctr"
	other=$(run_container "$pod" "$json" long 'sleep 1000')
	crictl stop -t 0 "$other"
	crictl rm "$ctr" "$other"
	crictl rmp -f "$pod"
	wait_line one "^DELETED $pod"
	wait_line two "^DELETED $pod"
	for id in "$pod" "$ctr" "$other"; do
		[ "$(sequence one "$id")" = "CREATED STARTED STOPPED DELETED" ] || { cat "$dir/one"; false; }
	done
	# everybody hears the same in the same order
	diff <(cut -d' ' -f1-9 "$dir/one" | sed 's/, listed.*//') <(cut -d' ' -f1-9 "$dir/two" | sed 's/, listed.*//')
	grep -q "^CREATED $pod of life: pod READY, -, listed READY, 0 containers" "$dir/one" || { cat "$dir/one"; false; }
	grep -qE "^STARTED $ctr of life: pod READY, RUNNING, listed (RUNNING|EXITED), 1 containers" "$dir/one"
	grep -q "^STOPPED $ctr of life: pod READY, EXITED, listed EXITED, 1 containers" "$dir/one"
	grep -q "^STOPPED $other of life: pod READY, EXITED, listed EXITED, 2 containers" "$dir/one"
	grep -qE "^DELETED $ctr of life: pod READY, -, listed -, [01] containers" "$dir/one"
	grep -qE "^DELETED $pod of life: pod NOTREADY, -, listed -, 0 containers" "$dir/one"
}

@test "no event is ahead of the lists" {
	subscribe ahead
	json=$(pod_config ahead)
	pod=$(crictl runp "$json")
	for n in $(seq 15); do
		id=$(run_container "$pod" "$json" "a$n" true)
		[ $((n % 3)) -ne 0 ] || crictl rm -f "$id" >/dev/null
	done
	crictl rmp -f "$pod"
	wait_line ahead "^DELETED $pod"
	# the lists may be further on than what is told, and never behind it
	! grep -E '^STARTED .* listed CREATED|^STOPPED .* EXITED, listed (CREATED|RUNNING)|^DELETED .* listed [A-Z]' \
		"$dir/ahead" || { cat "$dir/ahead"; false; }
	[ "$(grep -c "^STOPPED" "$dir/ahead")" -eq 16 ]
}

@test "crictl events shows them" {
	crictl events >"$dir/crictl-events" 2>&1 3>&- &
	subscribers+=($!)
	sleep 0.5
	json=$(pod_config show)
	pod=$(crictl runp "$json")
	ctr=$(run_container "$pod" "$json" c 'exit 0')
	wait_line crictl-events "CONTAINER_STOPPED_EVENT"
	crictl rmp -f "$pod"
	wait_line crictl-events "CONTAINER_DELETED_EVENT"
	grep -q "$ctr" "$dir/crictl-events" || { cat "$dir/crictl-events"; false; }
}

@test "a subscriber that does not read is told that it would lose events; the others go on" {
	subscribe reader
	protoc -I "$repo/schema" --encode=runtime.v1.GetEventsRequest cri.proto </dev/null >"$dir/request"
	"$build/tests/cri-call" -s -w 12 "$socket" /runtime.v1.RuntimeService/GetContainerEvents \
		<"$dir/request" >"$dir/slow.out" 2>"$dir/slow.err" 3>&- &
	slow=$!
	sleep 0.3
	# large annotations make large events
	head -c 150000 /dev/zero | tr '\0' 'a' >"$dir/big"
	json=$(pod_config slow)
	jq --rawfile big "$dir/big" '.annotations.big = $big' "$json" >"$json.new" && mv "$json.new" "$json"
	pod=$(crictl runp "$json")
	for n in $(seq 16); do
		id=$(run_container "$pod" "$json" "s$n" true)
		crictl rm -f "$id" >/dev/null
	done
	crictl rmp -f "$pod"
	wait_line reader "^DELETED $pod"
	[ "$(grep -c "^DELETED" "$dir/reader")" -eq 17 ] || { cut -c1-200 "$dir/reader"; false; }
	status=0
	wait "$slow" || status=$?
	[ "$status" -eq 1 ] || { cat "$dir/slow.err"; false; }
	grep -q "LIMIT: .* of events wait to be read" "$dir/slow.err" || { cat "$dir/slow.err"; false; }
	# what was sent before the end of the stream was sent whole
	[ "$(sed -n 's/ messages//p' "$dir/slow.err")" -gt 10 ]
}

@test "fifty subscribers, half of which leave" {
	for n in $(seq 50); do
		"$build/tests/cri-events" "$socket" >"$dir/many-$n" 2>&1 3>&- &
		subscribers+=($!)
	done
	sleep 1
	kill "${subscribers[@]:0:25}"
	json=$(pod_config many)
	pod=$(crictl runp "$json")
	crictl rmp -f "$pod"
	for n in $(seq 26 50); do wait_line "many-$n" "^DELETED $pod"; done
}

@test "an end of the daemon ends the streams with the reason" {
	subscribe end
	daemon_kill TERM
	wait_line end "^ended: .*the daemon is ending"
	daemon_start
}

@test "run in the foreground waits for events, and gives the exit code at once" {
	caisson() { "$build/src/prog/caisson/caisson" --address "$socket" "$@"; }
	run caisson run --rm --log-dir "$dir/logs/fg" "$image" sh -c 'echo out; exit 7'
	[ "$status" -eq 7 ] || { echo "$output"; false; }
	[ "$output" = out ]
	[ -z "$(crictl pods -q)" ]
	grep -q "debug caissond: GetContainerEvents" "$dir/log"
}

@test "nothing is left" {
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
