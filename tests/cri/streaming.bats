# Exec, attach and port-forward: the real crictl over SPDY/3.1, a small client over WebSocket.

load daemon.bash

setup_file() {
	daemon_prepare
	daemon_ready
	export pod pod_json id
	pod_json=$(pod_config p)
	pod=$(crictl runp "$pod_json")
	id=$(run_container "$pod" "$pod_json" main 'sleep 10000' '{}')
}

teardown_file() { daemon_end; }

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || tail -n 15 "$dir/log"
}

bats_require_minimum_version 1.5.0

# crictl in the daemon's network: its URLs are on that loopback address
stream() { timeout 60 nsenter --net="/proc/$holder/ns/net" crictl --config "$dir/crictl.yaml" "$@"; }
# the same, as the last command of a subshell: a background job whose pid is crictl's
become() { exec nsenter --net="/proc/$holder/ns/net" crictl --config "$dir/crictl.yaml" "$@" 3>&-; }
started() { run_container "$pod" "$pod_json" "$1" "$2" "$3"; }
eventually() {
	for _ in $(seq 200); do
		"$@" && return 0
		sleep 0.05
	done
	return 1
}

@test "exec: both outputs apart, and the exit code" {
	run --separate-stderr stream exec "$id" sh -c 'echo out; echo err >&2'
	[ "$status" -eq 0 ]
	[ "$output" = out ]
	[ "$stderr" = err ]
	run stream exec "$id" sh -c 'exit 7'
	[ "$status" -eq 1 ]
	[[ $output == *"exit code"*7* ]]
	run stream exec "$id" sh -c 'kill -9 $$'
	[[ $output == *"exit code"*137* ]]
}

@test "exec: what cannot be run is said" {
	run stream exec "$id" /no/such/program
	[ "$status" -ne 0 ]
	[[ $output == *"/no/such/program"* ]]
	run stream exec nosuchcontainer true
	[[ $output == *NotFound* ]]
}

@test "exec: the end of stdin arrives, a hundred times" {
	begin=$(date +%s%N)
	for i in $(seq 100); do
		[ "$(echo "x $i" | stream exec -i "$id" cat)" = "x $i" ]
	done
	echo "100 times in $((($(date +%s%N) - begin) / 1000000)) ms"
}

# pattern MIB: so many of them that repeat nowhere, made as they are read, the same each time
pattern() { head -c $(($1 << 20)) /dev/zero | openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f -iv 0 2>/dev/null; }

# bulk NAME COMMAND…: it gets the pattern and gives it back whole, while others are served and the daemon does not grow
bulk() {
	local name=$1 mib=${STREAM_MIB:-16} beside begin
	shift
	rm -f "$dir/over"
	streams beside "$id" "$(daemon_pid)" "$dir/over" >"$dir/beside" 2>&1 3>&- &
	beside=$!
	begin=$(date +%s%N)
	cmp <(pattern "$mib") <(pattern "$mib" | "$@") || { touch "$dir/over"; wait $beside; echo "$name: not the same bytes"; return 1; }
	begin=$(($(date +%s%N) - begin))
	touch "$dir/over"
	wait $beside || { cat "$dir/beside"; return 1; }
	echo "# $name: $mib MiB there and back in $((begin / 1000000)) ms; $(cat "$dir/beside")" >&3
}

# The size is gigabytes with STREAM_MIB=4096.
@test "bytes there and back: exec, attach and port-forward by both protocols; others go on, the daemon stays as it is" {
	started echo 'exec nc -ll -p 7 -e cat' '{}' >/dev/null
	for transport in spdy websocket; do
		bulk "exec by $transport" become exec --transport $transport -i "$id" cat
		cat=$(started "cat-$transport" 'exec cat' '{"stdin": true, "stdin_once": true, "log_path": ""}')
		bulk "attach by $transport" become attach --transport $transport -i "$cat"
		eventually exited "$cat"
		(become port-forward --transport $transport "$pod" 18084:7 >"$dir/pf" 2>&1) &
		forward=$!
		eventually grep -q Forwarding "$dir/pf"
		bulk "port-forward by $transport" streams pipe "$id" 18084
		kill "$forward"
		wait "$forward" || true
	done
}

@test "exec -it: a terminal with the size of the client's" {
	run script -qec "stty rows 33 cols 77; nsenter --net=/proc/$holder/ns/net crictl --config $dir/crictl.yaml exec -it $id sh -c 'sleep 0.3; stty size; tty; echo \$TERM'" /dev/null </dev/null
	[ "$status" -eq 0 ]
	[[ $output == *"33 77"* ]]
	[[ $output == */dev/pts/* ]]
	[[ $output == *xterm* ]]
}

@test "exec: a child that keeps the output open does not keep the client" {
	begin=$(date +%s)
	[ "$(stream exec "$id" sh -c 'sleep 4321 & echo done')" = done ]
	[ $(($(date +%s) - begin)) -lt 5 ]
	stream exec "$id" sh -c 'kill $(ps | grep "[s]leep 4321" | sed "s/^ *//; s/ .*//")'
}

@test "a client that does not read delays nobody, and its command ends with it" {
	id=$(started unread 'sleep 10000' '{}')
	stream exec "$id" sh -c 'while echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1234; do :; done' | sleep 100 3>&- &
	reader=$!
	sleep 1
	# sanitizers keep what was freed
	grep -q libasan "/proc/$(daemon_pid)/maps" ||
		[ "$(awk '/^Pss:/ { print $2 }' "/proc/$(daemon_pid)/smaps_rollup")" -lt 40000 ]
	begin=$(date +%s%N)
	[ "$(stream exec "$id" echo quick)" = quick ]
	[ $((($(date +%s%N) - begin) / 1000000)) -lt 2000 ]
	begin=$(date +%s%N)
	crictl stop -t 1 "$id"
	[ $((($(date +%s%N) - begin) / 1000000)) -lt 5000 ]
	kill "$reader"
}

@test "a client that is killed takes its command with it" {
	there() { stream exec "$id" ps | grep -q "sleep 77777"; }
	gone() { ! there; }
	(become exec -i "$id" sleep 77777 < <(sleep 60)) &
	client=$!
	eventually there
	kill -9 "$client"
	eventually gone
}

@test "attach: a shell with stdin_once ends with the client's input" {
	id=$(started shell 'exec sh' '{"stdin": true, "stdin_once": true}')
	out=$(printf 'echo hello\n' | stream attach -i "$id")
	[ "$out" = hello ]
	eventually exited "$id"
}

exited() { [ "$(crictl inspect "$1" | jq -r .status.state)" = CONTAINER_EXITED ]; }

@test "attach: output of the container, which goes on when the client leaves" {
	id=$(started ticker 'while :; do echo tick; sleep 0.05; done' '{}')
	run timeout -s KILL 1 nsenter --net="/proc/$holder/ns/net" crictl --config "$dir/crictl.yaml" attach "$id"
	[[ $output == *tick*tick* ]]
	[ "$(crictl inspect "$id" | jq -r .status.state)" = CONTAINER_RUNNING ]
}

@test "port-forward: many requests over one session" {
	id=$(started server 'exec /etc/serve' '{}')
	(become port-forward "$pod" 18080:80 >"$dir/pf" 2>&1) &
	forward=$!
	page() { in_net curl -sf --max-time 5 http://127.0.0.1:18080/ >"$dir/page"; }
	eventually page
	grep -q "out of a container" "$dir/page"
	for _ in $(seq 50); do page; done
	seq 20 | xargs -P 10 -I{} nsenter --net="/proc/$holder/ns/net" curl -sf --max-time 10 -o /dev/null http://127.0.0.1:18080/
	kill "$forward"
}

@test "port-forward: a port nobody listens on is said" {
	(become port-forward "$pod" 18081:9 >"$dir/pf" 2>&1) &
	forward=$!
	refused() { in_net curl -s --max-time 5 http://127.0.0.1:18081/; grep -q "Connection refused" "$dir/pf"; }
	eventually refused
	kill "$forward" 2>/dev/null || true # some versions of the client end by themselves
}

@test "WebSocket: exec with both outputs, exit code, end of stdin" {
	run --separate-stderr stream exec --transport websocket "$id" sh -c 'echo out; echo err >&2; exit 3'
	[ "$status" -eq 1 ]
	[ "$output" = out ]
	[[ $stderr == err*"exit code"*3* ]]
	[ "$(echo hello | stream exec --transport websocket -i "$id" cat)" = hello ]
}

@test "WebSocket: attach and port-forward" {
	shell=$(started wsshell 'exec sh' '{"stdin": true, "stdin_once": true}')
	[ "$(printf 'echo hello\n' | stream attach --transport websocket -i "$shell")" = hello ]
	(become port-forward --transport websocket "$pod" 18082:80 >"$dir/pf" 2>&1) &
	forward=$!
	page() { in_net curl -sf --max-time 5 http://127.0.0.1:18082/ >"$dir/page"; }
	eventually page
	grep -q "out of a container" "$dir/page"
	for _ in $(seq 20); do page; done
	kill "$forward"
}

# From outside the daemon's network the URL is only seen, not used.
url_of() { crictl --debug exec "$id" true 2>&1 | grep -o 'http://127[0-9.:]*/exec/[0-9a-f]*' | head -n 1; }

@test "a URL is of one kind, for upgrades only, and nobody guesses it" {
	code() { in_net curl -s -o /dev/null -w '%{http_code}' "$@"; }
	url=$(url_of)
	[ -n "$url" ]
	[ "$(code "$url")" = 426 ]
	[ "$(code "${url/exec/attach}")" = 404 ]
	[ "$(code "${url%?}")" = 404 ]
	upgrade=(-X POST -H 'Connection: Upgrade' -H 'Upgrade: SPDY/3.1' --max-time 1)
	[ "$(code "${upgrade[@]}" -H 'X-Stream-Protocol-Version: v9.channel.k8s.io' "$url")" = 403 ]
	[ "$(code "${upgrade[@]}" -H 'X-Stream-Protocol-Version: v4.channel.k8s.io' "$url")" = 101 ]
	# it has served
	[ "$(code "${upgrade[@]}" -H 'X-Stream-Protocol-Version: v4.channel.k8s.io' "$url")" = 404 ]
}

# streams CASE ID [ARG…]: streams.py in the daemon's network
streams() {
	local name=$1 target=$2
	shift 2
	timeout $((120 + ${STREAM_MIB:-0})) nsenter --net="/proc/$holder/ns/net" python3 "$BATS_TEST_DIRNAME/streams.py" "$name" \
		"$build/tests/cri-call" "$socket" "$target" "$@"
}

@test "WebSocket v5: stdin ends by itself, output and exit code come after; v4 has no such end" {
	streams half_close "$id"
	streams no_half_close "$id"
}

@test "WebSocket: exit codes, and sizes of a terminal" {
	streams exit_codes "$id"
	streams resize "$id"
}

@test "a terminal answers each key at once: exec and attach" {
	typed=$(started typed 'exec cat' '{"stdin": true, "tty": true}')
	streams typing "$id" "$typed" >&3
}

@test "a URL serves once, also when five come for it" { streams once "$id"; }

@test "a hundred execs at once, each with its own words" { streams many "$id" 100; }

@test "a hundred connections at once over one port-forward" {
	server=$(started crowd 'exec httpd -f -p 80 -h /www' '{}')
	for transport in spdy websocket; do
		(become port-forward --transport $transport "$pod" 18083:80 >"$dir/pf" 2>&1) &
		forward=$!
		page() { in_net curl -sf --max-time 5 -o /dev/null http://127.0.0.1:18083/; }
		eventually page
		streams connections "$id" 18083 100
		kill "$forward"
		wait "$forward" || true
	done
}

# The size is a gigabyte and more with STREAM_MIB=4096.
@test "output that nobody reads is not made, costs the daemon little, and is whole when it is read" {
	streams flood "$id" "$(daemon_pid)" "${STREAM_MIB:-32}" >&3
}

@test "a URL that nobody uses expires, a connection that is idle is cut, a busy one is not" {
	daemon_kill
	echo 'streaming: {url_timeout: 2s, idle_timeout: 3s}' >>"$dir/config.yaml"
	daemon_start
	streams expiry "$id" 2
	streams idle "$id" 3
	gone() { ! stream exec "$id" ps | grep -q "[s]leep 54321"; }
	eventually gone
}

@test "info says where streams are served" {
	crictl info | jq -e '.streaming | .address == "127.0.0.1" and .port > 0'
	[[ $(url_of) == "http://127.0.0.1:$(crictl info | jq .streaming.port)/"* ]]
}
