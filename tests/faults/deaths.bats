# A shim dies, or is stopped: containers, logs, terminals and inputs go on, what ended is known with its code, and
# what cannot go on says so. (All combinations of deaths: cycles.bats.)

bats_require_minimum_version 1.5.0
load ../cri/daemon.bash
load deaths.bash

# numbered lines, twenty thousand at full speed and then one a second, in pieces that a killed shim could tear
COUNT='i=0; while [ $i -lt 20000 ] || sleep 1; do i=$((i+1)); printf "line "; printf "%s\n" "$i of those that are counted"; done'

setup_file() {
	daemon_prepare
	daemon_ready
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || grep -v ": \(Version\|ImageFsInfo\|[A-Za-z]*Status\|List[A-Za-z]*\)[ :]" "$dir/log" | tail -n 15
	for p in $(crictl pods -q); do crictl rmp -f "$p" >/dev/null 2>&1; done
}

@test "a shim that is killed: containers run on, log, exec, attach and exit code go on" {
	json=$(pod_config a)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" count "$COUNT")
	quit=$(run_container "$pod" "$json" quit 'while [ ! -e /go ]; do sleep 0.05; done; exit 7')
	pid=$(pid_of "$id")
	for _ in 1 2 3; do
		shim=$(shim_of "$pod")
		kill -KILL "$shim"
		successor_of "$pod" "$shim"
	done
	[ "$(crictl inspectp "$pod" | jq -r .status.state)" = SANDBOX_READY ]
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	[ "$(pid_of "$id")" = "$pid" ]
	[ "$(crictl exec -s "$id" echo hello)" = hello ]
	[ "$(in_net timeout 5 crictl --config "$dir/crictl.yaml" attach "$id" </dev/null | head -n 2 | tail -n 1 | cut -d' ' -f1)" = line ]
	crictl exec -s "$quit" sh -c ": >/go"
	wait_state "$quit" CONTAINER_EXITED
	[ "$(status_of "$quit" exitCode)" = 7 ]
	crictl stop -t 0 "$id"
	[ "$(status_of "$id" exitCode)" = 137 ]
	whole_log "$dir/logs/a/count.log"
	crictl rmp -f "$pod"
	nothing_left
}

@test "the shim dies under a log that is written at full speed, twenty times: no line lost, torn, doubled" {
	json=$(pod_config b)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" count 'seq 1 100000000 | sed "s/.*/line & of those that are counted/"')
	for i in $(seq 20); do
		shim=$(shim_of "$pod")
		sleep "0.0$((i * 7 % 10))"
		kill -KILL "$shim"
		# ten deaths in ten seconds are taken for a fault of the pod's
		[ $((i % 8)) -ne 0 ] || sleep 10.5
		successor_of "$pod" "$shim"
	done
	sleep 0.3
	crictl stop -t 0 "$id"
	whole_log "$dir/logs/b/count.log"
	crictl rmp -f "$pod"
}

@test "a terminal and an open input outlive the shim" {
	json=$(pod_config t)
	pod=$(crictl runp "$json")
	tty=$(run_container "$pod" "$json" tty 'trap "exit 9" HUP; while read -r l; do echo "got $l"; done; exit 3' '{"tty": true, "stdin": true}')
	pipe=$(run_container "$pod" "$json" pipe 'while read -r l; do echo "got $l"; done; exit 3' '{"stdin": true}')
	shim=$(shim_of "$pod")
	kill -KILL "$shim"
	successor_of "$pod" "$shim"
	sleep 0.3
	[ "$(status_of "$tty" state)" = CONTAINER_RUNNING ]
	[ "$(status_of "$pipe" state)" = CONTAINER_RUNNING ]
	for id in $tty $pipe; do
		echo one >"$dir/state/pods/$pod/$id/stdin"
	done
	for log in tty pipe; do
		for _ in $(seq 100); do grep -q 'got one' "$dir/logs/t/$log.log" && break; sleep 0.02; done
		grep -q 'stdout F got one' "$dir/logs/t/$log.log"
	done
	crictl rmp -f "$pod"
}

@test "an exec that ran under a shim that died is over, and says so" {
	json=$(pod_config e)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	crictl exec -s "$id" sleep 777 >"$dir/exec" 2>&1 &
	for _ in $(seq 100); do crictl exec -s "$id" ps | grep -q 'sleep 777' && break; sleep 0.02; done
	shim=$(shim_of "$pod")
	kill -KILL "$shim"
	! wait $! || false
	grep -q "caisson-shim.* died" "$dir/exec" || { cat "$dir/exec"; false; }
	successor_of "$pod" "$shim"
	for _ in $(seq 100); do crictl exec -s "$id" ps | grep -q 'sleep 777' || break; sleep 0.02; done
	run ! sh -c "crictl exec -s $id ps | grep 'sleep 777'"
	[ "$(status_of "$id" state)" = CONTAINER_RUNNING ]
	crictl rmp -f "$pod"
}

@test "an end while the shim is stopped is seen all the same" {
	json=$(pod_config p)
	pod=$(crictl runp "$json")
	id=$(run_container "$pod" "$json" c 'sleep 1000')
	lone=$(crictl runp "$(pod_config p-lone)")
	kill -STOP "$(shim_of "$pod")" "$(shim_of "$lone")"
	kill -KILL "$(pid_of "$id")" "$(crictl inspectp "$lone" | jq .info.pid)"
	wait_state "$id" CONTAINER_EXITED || wait_state "$id" CONTAINER_EXITED
	[ "$(status_of "$id" exitCode)" = 137 ]
	for _ in $(seq 100); do
		[ "$(crictl inspectp "$lone" | jq -r .status.state)" = SANDBOX_NOTREADY ] && break
		sleep 0.1
	done
	[ "$(crictl inspectp "$lone" | jq -r '.status.state')" = SANDBOX_NOTREADY ]
	kill -CONT "$(shim_of "$pod")" "$(shim_of "$lone")"
	crictl rmp -f "$pod" "$lone"
}
