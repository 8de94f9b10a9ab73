# State files and records that are cut off, empty, changed in a bit or replaced by garbage: the daemon serves
# within a second, at most that one pod or container is set aside, the others run on, and `caisson doctor`
# says so.

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

@test "a meta.db that is damaged: its copy takes its place, and all pods run on" {
	local how ways="garbage empty"
	[ "${FAULTS:-}" != all ] || ways="empty cut bit garbage"
	for how in $ways; do
		two_pods "db-$how"
		# the copy is two seconds behind
		sleep 2.5
		daemon_kill KILL
		rm -f "$dir/root/meta.db-wal" "$dir/root/meta.db-shm"
		damage "$how" "$dir/root/meta.db"
		daemon_start
		served_fast
		other_runs
		[ "$(status_of "$victim_ctr" state)" = CONTAINER_RUNNING ]
		[ "$(crictl exec -s "$victim_ctr" echo hello)" = hello ]
		[ -n "$(crictl images -q)" ]
		run doctor
		[ "$status" -eq 1 ]
		[[ $output == *"meta.db is damaged"*"its copy taken"* ]]
		both_go
	done
}

@test "a pod's record that is damaged: that pod is set aside and taken away, the other runs on" {
	two_pods record
	daemon_kill KILL
	python3 - "$dir/root/meta.db" "$victim" <<-'PY'
		import sqlite3, sys
		db = sqlite3.connect(sys.argv[1])
		n = db.execute("UPDATE record SET doc = substr(doc, 1, length(doc) / 2) WHERE kind = 'pod' AND id = ?",
		               (sys.argv[2],)).rowcount
		assert n == 1, n
		db.commit()
	PY
	daemon_start
	served_fast
	other_runs
	[ -z "$(crictl pods -q --id "$victim")" ]
	run doctor
	[ "$status" -eq 1 ]
	[[ $output == *"pod record $victim is damaged"* ]]
	both_go
}
