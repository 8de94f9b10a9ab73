# Exit records that are cut off, empty, changed in a bit or replaced by garbage: the daemon serves within a
# second, the container is over, the others run on. And what `caisson doctor` says of a sound node and
# of one without a daemon.

load ../cri/daemon.bash

setup_file() {
	daemon_prepare
	registry_start
	daemon_start
	crictl pull "$image" >/dev/null
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

doctor() { "$build/src/prog/caisson/caisson" --address "$socket" doctor; }

damage() { # how, file
	case $1 in
	empty) : >"$2" ;;
	cut) truncate -s "$(($(stat -c %s "$2") / 2))" "$2" ;;
	bit) python3 - "$2" <<-'PY'
		import sys
		with open(sys.argv[1], "r+b") as f:
		    data = bytearray(f.read())
		    data[len(data) // 2] ^= 0x10
		    f.seek(0)
		    f.write(data)
		PY
		;;
	garbage) head -c "$(stat -c %s "$2")" /dev/urandom >"$2.new" && cat "$2.new" >"$2" && rm "$2.new" ;;
	esac
}

# the last start served, and within a second
served_fast() {
	local ms
	ms=$(grep -o 'serves on .* [0-9]* ms after its start' "$dir/log" | tail -n 1 | grep -o '[0-9]* ms' | cut -d' ' -f1)
	echo "served after $ms ms"
	[ "$ms" -le 1000 ]
}

nothing_left() {
	for _ in $(seq 100); do left=$(leftovers); [ -z "$left" ] && return 0; sleep 0.05; done
	echo "$left"
	return 1
}

two_pods() { # name
	victim=$(crictl runp "$(pod_config "$1-v")")
	victim_ctr=$(run_container "$victim" "$dir/pod-$1-v.json" c 'sleep 1000')
	other=$(crictl runp "$(pod_config "$1-o")")
	other_ctr=$(run_container "$other" "$dir/pod-$1-o.json" c 'sleep 1000')
	other_pid=$(crictl inspect "$other_ctr" | jq .info.pid)
}

other_runs() {
	[ "$(status_of "$other_ctr" state)" = CONTAINER_RUNNING ]
	[ "$(crictl inspect "$other_ctr" | jq .info.pid)" = "$other_pid" ]
	[ "$(crictl exec -s "$other_ctr" echo hello)" = hello ]
}

both_go() {
	crictl rmp -f "$other" >/dev/null
	[ -z "$(crictl pods -q --id "$victim")" ] || crictl rmp -f "$victim" >/dev/null
	nothing_left
	[ -z "$(crictl pods -q)" ]
}

@test "with nothing damaged the doctor finds nothing, and no daemon is a finding" {
	[ "$(doctor)" = "nothing is wrong" ]
	run "$build/src/prog/caisson/caisson" --address "$dir/nowhere.sock" doctor
	[ "$status" -eq 1 ]
	[[ $output == *"no daemon answers"* && $output == *journalctl* ]]
}

@test "an exit record that is damaged: the container is over all the same" {
	local how ways=garbage
	[ "${FAULTS:-}" != all ] || ways="empty cut bit garbage"
	for how in $ways; do
		two_pods "e-$how"
		daemon_kill KILL
		kill -KILL "$(cut -d' ' -f1 "$dir/state/pods/$victim/$victim_ctr/init.pid")"
		for _ in $(seq 100); do [ -e "$dir/state/pods/$victim/$victim_ctr/exit.json" ] && break; sleep 0.02; done
		damage "$how" "$dir/state/pods/$victim/$victim_ctr/exit.json"
		daemon_start
		served_fast
		wait_state "$victim_ctr" CONTAINER_EXITED
		other_runs
		both_go
	done
}
