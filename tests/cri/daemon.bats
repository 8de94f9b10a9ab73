# How caissond starts, refuses to start, and ends.

load daemon.bash

setup_file() { daemon_prepare; }
teardown_file() { daemon_end; }

caissond() { in_net timeout 10 "$build/src/prog/caissond/caissond" "$@"; }

@test "--version and --help answer without a daemon" {
	run caissond --version
	[ "$status" -eq 0 ]
	[[ $output == "caissond "[0-9]* ]]
	run caissond --help
	[ "$status" -eq 0 ]
	for option in --config --root --state --address --log-level; do [[ $output == *"$option"* ]]; done
}

@test "a wrong configuration is refused with file, line and key" {
	while IFS='|' read -r text complaint; do
		printf "$text" >"$dir/bad.yaml"
		run caissond --config "$dir/bad.yaml" --root "$dir/r" --state "$dir/s"
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"$dir/bad.yaml:$complaint"* ]]
	done <<-'CASES'
		root: /a\nroots: /b\n|2: roots: no such key
		cni:\n  timeout: soon\n|2: cni.timeout: expected a duration
		state: run\n|1: state: expected an absolute path
		a: [b\n|2: did not find expected ',' or ']'
	CASES
}

@test "a configuration that was named must be there; the default one may be absent" {
	run caissond --config "$dir/none.yaml" --state "$dir/s"
	[ "$status" -eq 1 ]
	[[ $output == *"$dir/none.yaml: No such file"* ]]
}

@test "wrong arguments are refused" {
	run caissond --log-level loud
	[ "$status" -eq 1 ]
	[[ $output == *"--log-level: expected error, warn, info or debug, got loud"* ]]
	run caissond extra
	[ "$status" -eq 1 ]
	[[ $output == *"unexpected argument extra"* ]]
	run caissond --nosuch
	[ "$status" -eq 1 ]
}

@test "a state directory and a socket serve one daemon at a time" {
	daemon_start
	run caissond --config "$dir/config.yaml" --root "$dir/r2" --address "$dir/other.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"another caissond (pid $(daemon_pid)) runs on the state directory $dir/state"* ]]
	run caissond --config "$dir/config.yaml" --root "$dir/r2" --state "$dir/s2"
	[ "$status" -eq 1 ]
	[[ $output == *"$socket"* ]]
	run caissond --config "$dir/config.yaml" --state "$dir/s2" --address "$dir/other.sock"
	[ "$status" -eq 1 ]
	[[ $output == *"$dir/root"* ]]
	crictl version
	daemon_kill TERM
}

@test "a socket left by a killed daemon is no obstacle" {
	daemon_start
	daemon_kill KILL
	[ -S "$socket" ]
	daemon_start
	daemon_kill TERM
}

@test "the service manager is told when it serves and when it ends" {
	cat >"$dir/notify.py" <<-'PY'
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		s.settimeout(10)
		for _ in range(2):
		    print(s.recv(100).decode(), flush=True)
	PY
	python3 "$dir/notify.py" "$dir/notify" >"$dir/notified" 3>&- &
	for _ in $(seq 100); do [ -S "$dir/notify" ] && break; sleep 0.05; done
	NOTIFY_SOCKET=$dir/notify daemon_start
	daemon_kill TERM
	wait
	[ "$(cat "$dir/notified")" = $'READY=1\nSTOPPING=1' ]
}

@test "idle, it takes at most 8 MiB" {
	[[ $build == *san* ]] && skip "a sanitizer takes its own"
	daemon_start
	pss=$(awk '/^Pss:/ { print $2 }' "/proc/$(daemon_pid)/smaps_rollup")
	echo "$pss kB"
	[ "$pss" -le 8192 ]
	[ "$(stat -c %a "$socket")" = 600 ]
	[ "$(stat -c %a "$dir/state")" = 711 ]
	daemon_kill TERM
}
