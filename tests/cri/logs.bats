# Logs at full speed: no line is lost, torn, doubled or out of order, also while files are rotated.

load daemon.bash
load rpc.bash

setup_file() {
	command -v protoc >/dev/null || skip "protoc is not installed"
	daemon_prepare
	daemon_ready
	export pod pod_json
	pod_json=$(pod_config logs)
	pod=$(crictl runp "$pod_json")
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

# whole N FILE…: the files, one after another, have the numbers from 1 to N, each in a line of its own
whole() {
	local n=$1
	shift
	cat "$@" | LC_ALL=C awk -v n="$n" '
		NF != 4 || length($1) != 30 || $2 != "stdout" || $3 != "F" || $4 != NR { print "line " NR ": " $0; bad = 1; exit }
		$1 < last { print "line " NR " is older than the one before: " $0; bad = 1; exit }
		{ last = $1 }
		END { if (!bad && NR != n) { print NR " lines"; bad = 1 } exit bad }'
}

# a busy machine may take its time
wait_exited() {
	for _ in 1 2 3 4 5; do wait_state "$1" CONTAINER_EXITED && return 0; done
	return 1
}

# LOG_LINES=20000000 for as long as one likes to wait
lines=${LOG_LINES:-300000}

@test "every line is in the log as it was written" {
	local begin
	begin=$(date +%s%N)
	id=$(run_container "$pod" "$pod_json" fast "seq $lines")
	wait_exited "$id"
	echo "# $lines lines from start to exit in $((($(date +%s%N) - begin) / 1000000)) ms" >&3
	whole "$lines" "$dir/logs/logs/fast.log"
	crictl rm "$id"
	rm -f "$dir/logs/logs/fast.log"
}

@test "a log is rotated and reopened ten times while it is written at full speed" {
	local n=0 log=$dir/logs/logs/turned.log files=()
	# it writes for as long as files are turned
	id=$(run_container "$pod" "$pod_json" turned 'i=0; while [ ! -e /stop ]; do seq $((i * 10000 + 1)) $((i * 10000 + 10000)); i=$((i + 1)); done')
	for n in $(seq 10); do
		for _ in $(seq 250); do [ -s "$log" ] && break; sleep 0.02; done
		[ -s "$log" ]
		mv "$log" "$log.$n"
		rpc ReopenContainerLog "container_id: \"$id\""
		files+=("$log.$n")
	done
	for _ in $(seq 250); do [ -s "$log" ] && break; sleep 0.02; done
	crictl exec -s "$id" sh -c ': >/stop'
	wait_exited "$id"
	files+=("$log")
	n=$(cat "${files[@]}" | wc -l)
	[ $((n % 10000)) -eq 0 ] && [ "$n" -ge 10000 ]
	whole "$n" "${files[@]}"
	crictl rm "$id"
	rm -f "${files[@]}"
}

@test "both streams at full speed: each is whole, and no line of one is inside of the other's" {
	id=$(run_container "$pod" "$pod_json" both 'seq 100000 & seq 100000 >&2; wait')
	wait_exited "$id"
	for stream in stdout stderr; do
		LC_ALL=C awk -v s=$stream 'NF != 4 || $3 != "F" { bad = 1 } $2 == s && $4 != ++n { bad = 1 }
			END { exit bad || n != 100000 }' "$dir/logs/logs/both.log"
	done
	[ "$(wc -l <"$dir/logs/logs/both.log")" -eq 200000 ]
}

@test "nothing is left" {
	crictl rmp -f "$pod"
	left=$(leftovers)
	[ -z "$left" ] || { echo "$left"; false; }
}
